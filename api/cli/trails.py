"""A member's questions about things: `custody trail`, `custody lineage`, `custody recall`."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from api.cli.gateway import HOME, Gateway, Home, Json, PassphraseFile
from api.cli.record import label
from api.cli.terminal import REFUSED, WrongUsage, note, say, say_json, table

Unit = Annotated[str, typer.Argument(help="A unit or batch, in any spelling of its identifier.")]
Units = Annotated[list[str], typer.Argument(help="The bad units and batches.")]
Url = Annotated[str | None, typer.Option(help="Another address of the service.")]
_SHOWN = 20


def add_to(custody: typer.Typer) -> None:
    """Add these commands to the group `custody`."""
    for command in (trail, lineage, recall):
        custody.command()(command)


def trail(
    unit: Unit,
    home: Home = HOME,
    at: Annotated[str | None, typer.Option(help="As known at this time, as 2026-09-22T06:21:00+02:00.")] = None,
    clock: Annotated[str, typer.Option(help="By which clock: registered or anchored.")] = "registered",
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Show who held a unit, when, and whether the record of it is whole: findings first. Exit 1 if it is broken."""
    from api.goods_in import unit_text

    time = None if at is None else _instant(at)
    with Gateway(home, passphrase_file).client(url) as client:
        told = client.trail(unit_text(unit), at=time, clock=clock)
        names = {} if as_json else {str(one["id"]): str(one.get("name") or one["id"]) for one in client.members()}
    if as_json:
        say_json(told)
    else:
        _say_trail(told, names)
    if told["answer"] == "broken":
        raise typer.Exit(REFUSED)


def lineage(
    unit: Unit,
    home: Home = HOME,
    ancestors: Annotated[bool, typer.Option("--ancestors", help="What it came from, not what it went into.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many are listed.")] = 100,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List what a unit or batch went into, or came from, with the count of all."""
    from api.goods_in import unit_text

    direction = "ancestors" if ancestors else "descendants"
    with Gateway(home, passphrase_file).client(url) as client:
        told = client.lineage(unit_text(unit), direction, limit=limit)
    if as_json:
        say_json(told)
        return
    way = "came from" if ancestors else "went into"
    say(f"{label(told['unit'])} {way} {told['total']} things", "bold")
    for one in told["items"]:
        say(f"  {label(one)}")
    if len(told["items"]) < told["total"]:
        note(f"the first {len(told['items'])}; see more by --limit")
    _say_beyond(told)


def recall(
    unit: Units,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Find every unit, custodian and open shipment that holds bad units or batches now, or what was made of them."""
    from api.goods_in import unit_text

    with Gateway(home, passphrase_file).client(url) as client:
        told = client.recall([unit_text(one) for one in unit])
        names = {} if as_json else {str(one["id"]): str(one.get("name") or one["id"]) for one in client.members()}
    if as_json:
        say_json(told)
        return
    say(f"{told['total']} units hold it now, {len(told['shipments'])} shipments are open", "bold")
    contested = [one["unit"] for one in told["units"] if one["contested"]]
    if contested:
        say(f"contested: {', '.join(map(label, contested[:_SHOWN]))}", "bold red")
    table(("has", "units"), [(names.get(who, who), str(count)) for who, count in told["custodians"].items()])
    if told["shipments"]:
        say()
        rows = [
            (
                names.get(one["giver"], one["giver"]),
                names.get(one["taker"], one["taker"]),
                _clock(one["despatchedAt"]),
                "overdue" if one["overdue"] else "open",
                str(len(one["units"])),
            )
            for one in told["shipments"]
        ]
        table(("from", "to", "despatched", "stands", "units"), rows)
    say()
    for one in told["units"][:_SHOWN]:
        inside = f", in {label(one['within'])}" if one["within"] else ""
        who = ", ".join(names.get(holder, holder) for holder in one["holders"]) or "nobody known"
        say(f"  {label(one['unit'])}: {who}{inside}")
    if told["total"] > _SHOWN:
        note(f"and {told['total'] - _SHOWN} more: see all by --json")
    if told["gone"]:
        say(f"{len(told['gone'])} more held it once: used up, closed, emptied")
    _say_beyond(told)


def _say_trail(told: dict[str, Any], names: dict[str, str]) -> None:
    clocks = {one["record"]: one for one in told["records"]}
    findings = told["findings"]
    say(f"{len(findings) or 'no'} finding{'' if len(findings) == 1 else 's'} about {label(told['unit'])}", "bold")
    for one in findings:
        weight = one["weight"].replace("-", " ") + (", explained" if one["explainedBy"] else "")
        say(f"  {one['finding'].replace('-', ' ')} ({weight}): {one['what']}")
        for record in one["evidence"]:
            said = clocks.get(record, {})
            say(f"      shown by {record[:10]}…{record[66:]} {names.get(said.get('issuer') or '', '')}".rstrip())
    say()
    say(f"The record is {told['answer']}.", "bold red" if told["answer"] == "broken" else "bold green")
    say(f"As known at {_clock(told['at'])}, by when it was {told['clock']}.")
    for unit in told["units"]:
        say()
        say(label(unit["id"]), "bold")
        if unit["contested"]:
            say(f"  contested between {', '.join(names.get(who, who) for who in unit['claims'])}", "bold red")
        say(f"  held by {names.get(unit['custodian'] or '', 'nobody known')}")
        rows = [
            (
                names.get(leg["giver"] or "", "–"),
                names.get(leg["taker"] or "", "–"),
                leg["state"],
                _clock(leg["receivedAt"] or leg["despatchedAt"]),
                _clock(clocks.get(leg["acceptance"] or leg["offer"] or "", {}).get("registered")),
                _clock(clocks.get(leg["acceptance"] or leg["offer"] or "", {}).get("anchored")),
            )
            for leg in unit["legs"]
        ]
        if rows:
            table(("giver", "taker", "state", "stated", "registered", "anchored"), rows)
    _say_beyond(told)


def _say_beyond(told: dict[str, Any]) -> None:
    """What is not in the answer."""
    if told["hidden"]:
        say(f"{told['hidden']} more are there that you may not see")
    unread = told["registered"] - told["indexed"]
    if unread > 0:
        note(f"the last {unread} statements are not in it yet: ask again in a moment")


def _instant(text: str) -> int:
    from ledger_service.instants import instant

    try:
        return instant(text)
    except (ValueError, OverflowError):
        raise WrongUsage(f"--at {text}: expected a time with its offset, as 2026-09-22T06:21:00+02:00") from None


def _clock(time: int | None) -> str:
    return "–" if not time else datetime.fromtimestamp(time // 1000, UTC).strftime("%Y-%m-%d %H:%MZ")

"""What a member is told: `watch` and `webhooks`."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.gateway import HOME, Gateway, Home, Json, PassphraseFile
from api.cli.terminal import note, say, say_json, table

if TYPE_CHECKING:
    from api.client import LedgerClient

Url = Annotated[str | None, typer.Option(help="Another address of the service.")]
Id = Annotated[str, typer.Argument(help="The webhook's id.")]
PLACE = "notices-seen"


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    webhooks = typer.Typer(help="Addresses of ours to which notices are sent.", no_args_is_help=True)
    webhooks.command("add")(webhooks_add)
    webhooks.command("list")(webhooks_list)
    webhooks.command("rotate")(webhooks_rotate)
    webhooks.command("enable")(webhooks_enable)
    webhooks.command("test")(webhooks_test)
    webhooks.command("remove")(webhooks_remove)
    app.add_typer(webhooks, name="webhooks")
    app.command()(watch)


def watch(
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    from_start: Annotated[
        bool, typer.Option("--all", help="Begin with the first notice, not where we left off.")
    ] = False,
    once: Annotated[bool, typer.Option(help="Print what there is and end, instead of waiting for more.")] = False,
    pause: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 1.0,
    as_json: Json = False,
) -> None:
    """Print what happens in our custody as it happens: offers, answers, handoffs, dates gone by, findings.

    Where we left off is kept in the member's folder, so nothing is missed between two calls.
    """
    place = home / PLACE
    mark = None if from_start or not place.exists() else place.read_text(encoding="ascii").strip() or None
    folder = Gateway(home, passphrase_file)
    with folder.client(url) as client:
        names = folder.names()
        numbers: dict[str, str] = {}
        while True:
            page = client.notices(mark)
            for one in page["items"]:
                _show(one, as_json, names, lambda digest: _number(client, digest, numbers))
            if page["next"] != mark:
                mark = str(page["next"])
                _keep(place, mark)
            if not page["more"]:
                if once:
                    return
                time.sleep(pause)


def _keep(place: Path, mark: str) -> None:
    fresh = place.with_suffix(".new")
    fresh.write_text(mark + "\n", encoding="ascii")
    fresh.replace(place)


def _number(client: "LedgerClient", statement: str, known: dict[str, str]) -> str:
    """The number of the document that a statement is of, asked once; empty where it has none or is not ours to see."""
    from api.cli.custody import document_number
    from ledger_service.keys import from_hex

    if statement not in known:
        known[statement] = "" if "#" in statement else document_number(client, from_hex(statement, 32))
    return known[statement]


def _show(one: dict[str, Any], as_json: bool, names: Mapping[str, str], number_of: Callable[[str], str]) -> None:
    if as_json:
        import orjson

        say(orjson.dumps(one, option=orjson.OPT_SORT_KEYS).decode())
        return
    from api.feed import iso

    body = one["body"]
    about = dict.fromkeys(
        number_of(digest)
        for digest in (body.get("offer"), body.get("about"), body.get("statement"), *body.get("evidence", ()))
        if isinstance(digest, str)
    )
    words = [", ".join(number for number in about if number)]
    if body.get("finding"):
        # A notice of a finding has its kind beside its id, one of an explanation has both in one.
        told = body["finding"] if isinstance(body["finding"], dict) else body
        words.append(str(told.get("kind", "")).replace("-", " "))
    words.append("; ".join(_alert(one) for one in (*body.get("alerts", ()), *([body] if "alert" in body else ()))))
    if body.get("issuer"):
        words.append(f"by {_called(body['issuer'], names)}")
    if body.get("taker"):
        words.append(f"to {_called(body['taker'], names)}")
    why = (str(body[name]).replace("-", " ") for name in ("reason", "trouble", "weight") if body.get(name))
    words += [f"({one})" for one in why]
    if one["kind"] not in _NAMED and isinstance(body.get("unit"), str):
        words.append(f"unit {body['unit'][:10]}… on the chain")
    say(f"{iso(one['at'])}  {one['kind'].replace('-', ' '):<28}{' '.join(word for word in words if word)}".rstrip())


def _alert(one: Mapping[str, Any]) -> str:
    """An alert in a word or two: an exercise never looks like the thing itself."""
    exercise = "" if one["status"] == "Actual" else f"{one['status'].upper()} "
    return f"{exercise}{one['what']} {one['alert']}" + (f" {one['report']}" if one.get("report") else "")


_NAMED = frozenset({"handed-over"})
"""Kinds whose documents say more than the unit on the chain would."""


def _called(member: str, names: Mapping[str, str]) -> str:
    return names.get(member) or f"{member[:10]}…"


def webhooks_add(
    address: Annotated[str, typer.Argument(help="Where notices are sent: https://…")],
    kind: Annotated[
        list[str] | None, typer.Option(help="A kind of notice, such as overdue; may be repeated. All if left out.")
    ] = None,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Have our notices sent to an address from now on. The secret that is printed checks them; it is shown once."""
    with Gateway(home, passphrase_file).client(url) as client:
        _show_made(client.add_webhook(address, kind), as_json)


def webhooks_rotate(
    webhook: Id, home: Home = HOME, url: Url = None, passphrase_file: PassphraseFile = None, as_json: Json = False
) -> None:
    """Give a webhook a new secret; for a day notices are signed with the one before, too."""
    with Gateway(home, passphrase_file).client(url) as client:
        _show_made(client.change_webhook(webhook, "secret"), as_json)


def _show_made(made: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(made)
        return
    say(f"id      {made['id']}")
    say(f"secret  {made['secret']}")
    note("keep the secret with the receiver; it is not shown again, only replaced by `webhooks rotate`")


def webhooks_list(
    home: Home = HOME, url: Url = None, passphrase_file: PassphraseFile = None, as_json: Json = False
) -> None:
    """List our webhooks and how they stand."""
    with Gateway(home, passphrase_file).client(url) as client:
        found = client.webhooks()
    if as_json:
        say_json(found)
        return
    table(("id", "address", "kinds", "state", "set aside"), [
        (one["id"], one["url"], ", ".join(one["kinds"] or ["all"]), _state(one), str(one["setAside"])) for one in found
    ])  # fmt: skip


def _state(one: dict[str, Any]) -> str:
    if one["disabledAt"] is not None:
        return f"disabled: {one['trouble']}"
    return "well" if one["trouble"] is None else f"failing: {one['trouble']}"


def webhooks_enable(webhook: Id, home: Home = HOME, url: Url = None, passphrase_file: PassphraseFile = None) -> None:
    """Call a disabled webhook again, beginning with what it did not take."""
    with Gateway(home, passphrase_file).client(url) as client:
        client.change_webhook(webhook, "enable")
    say(f"{webhook} is called again")


def webhooks_test(
    webhook: Id, home: Home = HOME, url: Url = None, passphrase_file: PassphraseFile = None, as_json: Json = False
) -> None:
    """Send a notice of the kind `test` now, and say what the receiver answered. Exit code 1 if it did not take it."""
    with Gateway(home, passphrase_file).client(url) as client:
        found = client.change_webhook(webhook, "test")
    if as_json:
        say_json(found)
    else:
        say("taken" if found["trouble"] is None else str(found["trouble"]))
    if found["trouble"] is not None:
        raise typer.Exit(1)


def webhooks_remove(webhook: Id, home: Home = HOME, url: Url = None, passphrase_file: PassphraseFile = None) -> None:
    """Forget a webhook."""
    with Gateway(home, passphrase_file).client(url) as client:
        client.remove_webhook(webhook)
    say(f"{webhook} is forgotten")

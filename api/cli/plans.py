"""Joint continuity plans on the command line: `risk plans`, `risk plans agree`, `risk plans exercise`."""

from typing import Annotated, Any

import typer

from api.cli.gateway import HOME, Gateway, Home, Json, PassphraseFile
from api.cli.terminal import REFUSED, WrongUsage, complain, say, say_json, table

Url = Annotated[str | None, typer.Option(help="Another address of the service.")]
Key = Annotated[str, typer.Argument(help="The plan's key, as the list has it; its beginning is enough.")]
SOURCE = "continuity plans"


def add_to(group: typer.Typer) -> None:
    """Add these commands to the group `risk`."""
    plans = typer.Typer(help="Joint continuity plans: who does what when this happens.", no_args_is_help=True)
    for name, command in (("list", listed), ("agree", agree), ("exercise", exercise)):
        plans.command(name)(command)
    group.add_typer(plans, name="plans")


def listed(home: Home = HOME, url: Url = None, passphrase_file: PassphraseFile = None, as_json: Json = False) -> None:
    """List the plans that name us: what we do by when, who has not agreed yet, and when each was last tried."""
    with Gateway(home, passphrase_file).client(url) as client:
        found, member = client.plans(), client.member
    if as_json:
        say_json(found)
        return
    own = f"0x{member.hex()}"
    rows = []
    for one in found:
        state = "in force" if one["inForce"] else f"{len(one['missing'])} to agree" if one["missing"] else "over"
        ours = "; ".join(f"{each['what']} within {each['withinHours']} h" for each in one["measures"]
                         if each["member"] == own)  # fmt: skip
        tried = one["exercises"][-1]["at"][:10] if one["exercises"] else "never tried"
        rows.append((one["key"][:18], one["name"], state, one["until"], ours or "–", tried))
    table(("plan", "name", "state", "until", "what we do", "last tried"), rows)


def agree(
    key: Key, home: Home = HOME, url: Url = None, passphrase_file: PassphraseFile = None, as_json: Json = False
) -> None:
    """Agree to a plan, by stating it again as it is."""
    _state(key, home, url, passphrase_file, as_json, [])


def exercise(
    key: Key,
    outcome: Annotated[str, typer.Option(help="What came of it.")],
    at: Annotated[str | None, typer.Option(help="When, as 2026-09-10T10:00:00+02:00; now if left out.")] = None,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Log that a plan was tried; who has not agreed to it yet does so by that."""
    _state(key, home, url, passphrase_file, as_json, [{"at": at, "outcome": outcome}])


def _state(
    key: str, home: Home, url: str | None, passphrase_file: PassphraseFile, as_json: bool, tried: list[dict[str, Any]]
) -> None:
    from os import urandom

    from api.feed import iso
    from api.outbox import Draft
    from ledger_service import facts
    from ledger_service.keys import to_hex

    with Gateway(home, passphrase_file).client(url) as client:
        plans = [one for one in client.plans() if one["key"].startswith(key)]
        if len(plans) != 1:
            raise WrongUsage(f"{len(plans)} plans begin with {key}; see `tallystick risk plans list`")
        (plan,), now = plans, client.now()
        content = {
            "agreesTo": plan["key"],
            "asOf": iso(now),
            "document": {"number": plan["key"][:18], "type": "continuity-plan"},
            "exercises": plan["exercises"] + [one | {"at": one["at"] or iso(now)} for one in tried],
            "measures": plan["measures"],
            "name": plan["name"],
            # Whom it names may read who has agreed, and what was tried.
            "to": sorted(({one["member"] for one in plan["measures"]} | {plan["issuer"]}) - {to_hex(client.member)}),
            "triggers": plan["triggers"],
            "until": plan["until"],
        }
        facts.check("continuity-plan", content, now)
        (envelope,) = client.outbox.sign(
            [Draft(content, "continuity-plan")],
            issuer=client.member,
            signer=client.signer,
            domain=client.domain,
            now=now,
            random=urandom,
            source=SOURCE,
        )
        submission = client.submit()
    digest = envelope.header.digest(client.domain)
    reason = next((one.reason for one in submission.refused if one.digest == digest), None)
    if as_json:
        say_json({"refused": reason, "statement": to_hex(digest)})
    elif reason is None:
        say(to_hex(digest))
    else:
        complain(reason)
    if reason is not None:
        raise typer.Exit(REFUSED)

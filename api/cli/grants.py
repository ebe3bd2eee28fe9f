"""Audit grants: what others may read of our streams, and until when."""

from typing import Annotated, Any

import typer

from api.cli.gateway import HOME, Gateway, Home, Json, PassphraseFile, _id
from api.cli.terminal import WrongUsage, note, say, say_json

Url = Annotated[str | None, typer.Option(help="Another address of the service.")]
SOURCE = "grants"


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    grants = typer.Typer(help="What others may read of our streams.", no_args_is_help=True)
    grants.command("give")(give)
    grants.command("end")(end)
    app.add_typer(grants, name="grants")


def give(
    to: Annotated[list[str], typer.Option(help="Who may read: a member's name, DID, identifier or id.")],
    until: Annotated[str, typer.Option(help="When it ends, with offset, as 2026-12-31T00:00:00+01:00.")],
    purpose: Annotated[str, typer.Option(help="What it is for.")],
    stream: Annotated[list[str] | None, typer.Option(help="A stream of ours; may be repeated.")] = None,
    unit: Annotated[list[str] | None, typer.Option(help="A unit, of which our statements may be read.")] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(help="A field that is shown, as /despatchedAt; may be repeated. All if left out."),
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="When it begins; now if left out.")] = None,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Let other members read headers of our streams, and contents as far as named, until a time. Signed and sent."""
    from api.feed import iso
    from api.goods_in import unit_text
    from ledger_service.keys import to_hex

    gateway = Gateway(home, passphrase_file)
    content: dict[str, Any] = {
        "fields": sorted(set(field)) if field else "all",
        "from": start or iso(gateway.clock()()),
        "purpose": purpose,
        "to": [to_hex(one) for one in gateway.members_named(to)],
        "until": until,
    }
    if stream:
        content["streams"] = [to_hex(_id(one, "--stream")) for one in stream]
    if unit:
        content["units"] = [unit_text(one) for one in unit]
    _send(gateway, content, url, as_json)


def end(
    grant: Annotated[str, typer.Argument(help="The grant's id: 0x and 64 digits.")],
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """End a grant of ours now, by a grant that corrects it."""
    from api.feed import iso
    from ledger_service.envelope import Envelope
    from ledger_service.instants import instant
    from ledger_service.keys import to_hex

    gateway = Gateway(home, passphrase_file)
    wanted = _id(grant, "the grant's id")
    with gateway.outbox() as outbox:
        kept = outbox.find(wanted)
    given = None if kept is None else Envelope.parse(kept.data)
    if given is None or given.header.kind != "grant" or given.content is None:
        raise WrongUsage(f"our outbox has no grant {grant}: end it from the folder that gave it")
    now = gateway.clock()()
    begun = min(now, instant(given.content["from"]) or now)
    times = {"from": iso(begun), "until": iso(now), "corrects": to_hex(wanted)}
    _send(gateway, {name: one for name, one in given.content.items() if name != "replaces"} | times, url, as_json)


def _send(gateway: Gateway, content: dict[str, Any], url: str | None, as_json: bool) -> None:
    from os import urandom

    from api.outbox import Draft
    from ledger_service.grants import Grant
    from ledger_service.keys import to_hex

    Grant.parse(content)
    with gateway.client(url) as client:
        (envelope,) = client.outbox.sign(
            [Draft(content, "grant")],
            issuer=client.member,
            signer=client.signer,
            domain=client.domain,
            now=client.now(),
            random=urandom,
            source=SOURCE,
        )
        digest = to_hex(envelope.header.digest(client.domain))
        submission = client.submit()
    reasons = {to_hex(one.digest): one.reason for one in submission.refused}
    if as_json:
        say_json({"grant": digest, "refused": reasons.get(digest)})
    elif digest not in reasons:
        say(digest)
    if digest in reasons:
        note(f"refused: {reasons[digest]}")
        raise typer.Exit(1)

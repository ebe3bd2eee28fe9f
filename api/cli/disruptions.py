"""Disruptions and alerts on the command line: `risk disruption`, `alerts`, `acknowledge`, `threshold`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.gateway import HOME, Gateway, Home, Json, Out, PassphraseFile
from api.cli.terminal import WrongUsage, note, say, say_json, table

Url = Annotated[str | None, typer.Option(help="Another address of the service.")]
SOURCE = "disruptions"
FORMATS = ("cap", "cx-0146", "gdacs", "form")


def add_to(group: typer.Typer) -> None:
    """Add these commands to the group `risk`."""
    disruption = typer.Typer(help="What happened or is expected, by alerts and by our own word.", no_args_is_help=True)
    disruption.command("add")(add)
    disruption.command("list")(listed)
    disruption.command("show")(show)
    group.add_typer(disruption, name="disruption")
    for command in (alerts, acknowledge, threshold):
        group.command()(command)


def add(
    file: Annotated[Path, typer.Argument(help="The message: an alert, a notification, a feed, or the plain form.")],
    format: Annotated[str, typer.Option(help="cap, cx-0146, gdacs or form.")],  # noqa: A002 - the option's name
    to: Annotated[
        list[str] | None, typer.Option(help="Who may read it: a member's name, DID, identifier or id. Nobody else.")
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Sign it though some of it will count for nothing, to pass it on.")
    ] = False,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Report a disruption: the message is read here, asked about, signed and sent, one statement for each report.

    Refused, with nothing signed, where the service says that it would count for nothing: an update of what its source
    cancelled, other words for a report that was stated before; and where it names a site or a part that we may not
    speak for, unless we say --anyway.
    """
    from datetime import UTC, datetime
    from os import urandom

    from api.outbox import Draft
    from ledger_service import facts
    from ledger_service.keys import to_hex
    from risk.errors import RiskError
    from risk.messages import content_of, read

    if format not in FORMATS:
        raise WrongUsage(f"--format is one of {', '.join(FORMATS)}")
    if not file.is_file():
        raise WrongUsage(f"there is no file {file}")
    gateway, data = Gateway(home, passphrase_file), file.read_bytes()
    with gateway.client(url) as client:
        now = client.now()
        try:
            feed = read(format, data, to_hex(client.member), datetime.fromtimestamp(now // 1000, UTC))
        except RiskError as error:
            raise WrongUsage(f"{file}: {error}") from error
        # What of it would count, and is not stated yet, is asked of the service; what is signed was read here.
        told = client.read_disruption(format, data)
        fresh = {(one["sender"], one["identifier"]) for one in told["contents"]}
        for one in told["unread"]:
            note(f"{one['name']} counts for nothing: {one['what']}", "yellow")
        for one in told["told"]:
            note(f"{one['identifier']} of {one['sender']}: {one['what']}", "yellow")
        if told["told"] and not anyway:
            note("that much of it would count for nothing, so nothing is signed: add --anyway to pass it on as it is")
            raise typer.Exit(1)
        audience = [to_hex(one) for one in gateway.members_named(to)] if to else []
        contents = [content_of(one) | {"to": audience} for one in feed.reports if one.name in fresh]
        for content in contents:
            facts.check("disruption", content, now)
        envelopes = client.outbox.sign(
            [Draft(content, "disruption") for content in contents],
            issuer=client.member,
            signer=client.signer,
            domain=client.domain,
            now=now,
            random=urandom,
            source=SOURCE,
        )
        submission = client.submit()
    digests = [to_hex(one.header.digest(client.domain)) for one in envelopes]
    reasons = {to_hex(one.digest): one.reason for one in submission.refused}
    refused = {one: reasons[one] for one in digests if one in reasons}
    if as_json:
        say_json({"refused": refused, "statements": digests, "unread": told["unread"]})
    else:
        if not digests:
            note("nothing of it is new")
        for digest in digests:
            say(f"{digest}  refused: {refused[digest]}" if digest in refused else digest)
    if refused:
        raise typer.Exit(1)


def listed(
    status: Annotated[str | None, typer.Option(help="Actual, Exercise, System, Test or Draft.")] = None,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List the disruptions that we may read reports of, the newest first, and what of our own counts for nothing."""
    with Gateway(home, passphrase_file).client(url) as client:
        told = client.disruptions(status)
    if as_json:
        say_json(told)
        return
    rows = []
    for one in told["items"]:
        state = "cancelled" if one["isCancelled"] else "over" if one["isOver"] else "open"
        state += ", disputed" if one["isDisputed"] else ""
        from_day, until = (str(one[name] or "–")[:10] for name in ("onset", "ends"))
        rows.append((one["key"], one["status"], state, one["event"][:40], from_day, until, str(len(one["reports"]))))
    table(("disruption", "status", "state", "what", "from", "until", "reports"), rows)
    for one in told["told"]:
        note(f"{one['identifier']} of {one['sender']}: {one['what']}", "yellow")


def show(
    key: Annotated[str, typer.Argument(help="The disruption's key, as the list has it.")],
    format: Annotated[str, typer.Option(help="json, or a format to export: cap, cx-0146, gdacs, form.")] = "json",  # noqa: A002
    status: Annotated[str | None, typer.Option(help="Where an exercise has the same key.")] = None,
    home: Home = HOME,
    out: Out = None,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Show a disruption with its reports, or export its newest report: as it came, where it came in that format."""
    from api.cli.gateway import write

    if format not in ("json", *FORMATS):
        raise WrongUsage(f"--format is one of json, {', '.join(FORMATS)}")
    with Gateway(home, passphrase_file).client(url) as client:
        write(out, client.disruption(key, format, status))


def alerts(
    waiting: Annotated[bool, typer.Option("--open", help="Only those that wait to be acknowledged.")] = False,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List what we were told of disruptions, or will be with the next summary."""
    from api.feed import iso

    with Gateway(home, passphrase_file).client(url) as client:
        found = list(client.alerts(is_open=waiting))
    if as_json:
        say_json(found)
        return
    table(("no.", "at", "status", "what", "told", "acknowledged", "report"), [
        (str(one["number"]), iso(one["at"])[:16], one["status"], one["what"], _told(one), _seen(one),
         one["report"] or "–") for one in found
    ])  # fmt: skip


def _told(one: dict[str, Any]) -> str:
    if one["urgency"] == "interrupt":
        return "at once"
    return "with the next summary" if one["toldAt"] is None else "with a summary"


def _seen(one: dict[str, Any]) -> str:
    if one["acknowledgedAt"] is not None:
        return f"by {one['role']}"
    return "not yet" if one["asks"] else "–"


def acknowledge(
    number: Annotated[int, typer.Argument(min=1, help="The alert's number.")],
    role: Annotated[str, typer.Option(help="In which role, as 'risk manager'; never by whom.")],
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Acknowledge an alert of ours. The first acknowledgement stands."""
    with Gateway(home, passphrase_file).client(url) as client:
        found = client.acknowledge(number, role)
    if as_json:
        say_json(found)
    else:
        say(f"alert {number} is acknowledged by {found['role']}")


def threshold(
    days: Annotated[int | None, typer.Option(help="From how many days at a standstill on we are interrupted.")] = None,
    revenue: Annotated[
        str | None, typer.Option(help="Or from how much revenue on, in minor units; 'none' for no such bound.")
    ] = None,
    exercises: Annotated[bool | None, typer.Option(help="Whether exercises interrupt, too.")] = None,
    summary_at: Annotated[str | None, typer.Option(help="The hour of the rest, as 06:00+02:00.")] = None,
    remind_after: Annotated[str | None, typer.Option(help="After how many minutes we are reminded, or 'none'.")] = None,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Show from which effect on we are interrupted, or change it; what is left out stays as it is."""
    asked: dict[str, Any] = {"standstillDays": days, "exercises": exercises, "summaryAt": summary_at}
    asked = {name: value for name, value in asked.items() if value is not None}
    for name, text in (("revenueMinorUnits", revenue), ("remindAfterMinutes", remind_after)):
        if text is not None:
            if text != "none" and not text.isdecimal():
                raise WrongUsage("expected a whole number, or none")
            asked[name] = None if text == "none" else int(text)
    with Gateway(home, passphrase_file).client(url) as client:
        held = client.threshold(asked or None)
    if as_json:
        say_json(held)
        return
    say(f"interrupted from this many days at a standstill on: {held['standstillDays']}")
    if held["revenueMinorUnits"] is not None:
        cents = int(held["revenueMinorUnits"])
        say(f"or from revenue of {cents // 100:,}.{cents % 100:02} on, in our currency")
    say("by exercises, too" if held["exercises"] else "by exercises never; these come with the summary")
    say(f"the rest comes at {held['summaryAt']}")
    after = held["remindAfterMinutes"]
    say("never reminded" if after is None else f"reminded after {after} minutes")

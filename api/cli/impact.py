"""A member's risk: what disruptions do to it, and what it and others can do about that (`risk`)."""

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.gateway import HOME, Gateway, Home, Json, Out, PassphraseFile, _id
from api.cli.terminal import REFUSED, WrongUsage, note, say, say_json, table

Url = Annotated[str | None, typer.Option(help="Another address of the service.")]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--disruption", help="The key of a disruption; may be repeated. All that may still matter if left out."
    ),
]
Status = Annotated[
    str | None, typer.Option(help="Actual by default; or Exercise, Test, Draft, which are assessed apart.")
]
Day = Annotated[str | None, typer.Option(help="On which day, as 2026-10-12; today if left out.")]
Size = Annotated[int | None, typer.Option(min=1, help="By what was known at the checkpoint of this size.")]


def add_to(app: typer.Typer) -> typer.Typer:
    """Add the group `risk`, on which other modules hang their commands too."""
    group = typer.Typer(
        help="What disruptions do to you, by when, how sure that is, and what can be done.", no_args_is_help=True
    )
    for command in (assess, reports, report, view, network, recompute):
        group.command()(command)
    app.add_typer(group, name="risk")
    return group


def assess(
    disruption: Keys = None,
    status: Status = None,
    day: Day = None,
    size: Size = None,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Have the service report what disruptions do to us: signed, registered, and for us alone."""
    with Gateway(home, passphrase_file).client(url) as client:
        told = client.assess(**_asked(disruption, status, day, size))
    if as_json:
        say_json(told)
        return
    _say_report(told["content"])
    say(told["digest"])


def reports(home: Home = HOME, url: Url = None, passphrase_file: PassphraseFile = None, as_json: Json = False) -> None:
    """List our reports with what each comes to, the oldest first."""
    with Gateway(home, passphrase_file).client(url) as client:
        found = list(client.impact_reports())
    if as_json:
        say_json(found)
        return
    rows = []
    for one in found:
        summary = one["summary"] or {}
        first = summary.get("first") or "–"
        what = (summary.get("status") or "nothing hit", summary.get("day", "erased"), str(summary.get("stops", "")))
        rows.append((str(one["number"]), *what, first, one["state"], one["digest"]))
    table(("no.", "status", "day", "stops", "first", "state", "report"), rows)


def report(
    digest: Annotated[str, typer.Argument(help="The report's id: 0x and 64 digits.")],
    home: Home = HOME,
    out: Out = None,
    html: Annotated[Path | None, typer.Option(help="Write it as a page that needs nothing else to this file.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Write it as PDF to this file.")] = None,
    language: Annotated[str, typer.Option(help="Of the page and the PDF: en or de.")] = "en",
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Show one of our reports, held to its signature; with --out write its canonical JSON, with --html and --pdf what
    people read: both are made here of the report alone, and are the same bytes that the service gives.
    """
    from api.drawing.language import LANGUAGES
    from risk.sharing import canonical

    if language not in LANGUAGES:
        raise WrongUsage(f"a report speaks one of {', '.join(LANGUAGES)}, not {language!r}")
    gateway = Gateway(home, passphrase_file)
    with gateway.client(url) as client:
        content, member = client.impact_report(_id(digest, "the report's id")), client.member
        is_demo = client.is_demo()
    if out is not None:
        out.write_bytes(canonical(content))
    if html is not None or pdf is not None:
        from api.drawing.telling import Telling
        from api.network import Directory
        from api.pages.impact import page
        from api.paper.impact import ImpactPaper
        from ledger_service.keys import to_hex

        names = Directory.read(home / "members.json")
        members = {to_hex(one): names.name(one) for one in names.by_id}
        telling = Telling(content, names.name(member), digest, is_demo=is_demo, members=members, language=language)
        if html is not None:
            html.write_text(page(telling), encoding="utf-8", newline="")
        if pdf is not None:
            pdf.write_bytes(ImpactPaper(telling).pdf())
    if as_json:
        say_json(content)
    elif (out, html, pdf) == (None, None, None):
        _say_report(content)


def view(
    disruption: Keys = None,
    status: Status = None,
    day: Day = None,
    size: Size = None,
    like: Annotated[
        Path | None,
        typer.Option(help="A report that `risk report --out` or `stress-report --out` wrote: by its day and so on."),
    ] = None,
    home: Home = HOME,
    out: Out = None,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Fetch our view of the shared network and of what happens in it: what our report is made of, all of it."""
    import sys

    asked, of_stress = _asked(disruption, status, day, size), False
    if like is not None:
        by_report, of_stress = _of_report(_file(like))
        asked = by_report | asked
    with Gateway(home, passphrase_file).client(url) as client:
        found = client.stress_view(**asked) if of_stress else client.risk_view(**asked)
    if out is not None:
        out.write_bytes(found)
    else:
        sys.stdout.buffer.write(found + b"\n")


def network(home: Home = HOME, url: Url = None, passphrase_file: PassphraseFile = None, as_json: Json = False) -> None:
    """Show how our part of the shared network stands: what is known of it, what does not fit, what has grown old."""
    with Gateway(home, passphrase_file).client(url) as client:
        told = client.risk_network()
    if as_json:
        say_json(told)
        return
    coverage = told["coverage"]
    say(f"sites of ours in the network on {told['day']}: {told['sites']}", "bold")
    if coverage is not None:
        needs, known = coverage["needs"], _percent(coverage["share"])
        say(f"{known} of what goes into our products has a known source (needs that count: {needs})")
    say(f"requests of ours for facts that are open: {told['openRequests']}")
    for one in told["inconsistencies"]:
        say(f"  {one['about']}: {one['what']}", "bold red")
    for one in told["aged"]:
        say(f"  {one['kind']} {one['statement'][:10]}… is {one['days']} days old: state it anew")


def recompute(
    view_file: Annotated[Path, typer.Argument(metavar="VIEW", help="What `risk view --out` wrote.")],
    report_file: Annotated[
        Path, typer.Argument(metavar="REPORT", help="What `risk report --out` or `risk stress-report --out` wrote.")
    ],
    asked: Annotated[
        Path | None,
        typer.Option(help="What `risk stress --out` wrote, for a report that does not hold all that was asked."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a report again from its view alone, offline, and compare. Exit 0: the same to the byte; 1: it differs."""
    from api.impact.recomputing import first_difference
    from risk.errors import RiskError

    try:
        found = first_difference(_file(view_file), _file(report_file), None if asked is None else _question(asked))
    except RiskError as error:
        raise WrongUsage(f"{error}") from error
    if as_json:
        say_json({"difference": found, "same": found is None})
    elif found is None:
        say("The report follows from the view, to the byte.", "bold green")
    else:
        say(f"The report does not follow from the view: {found}", "bold red")
    if found is not None:
        raise typer.Exit(REFUSED)


def _asked(keys: list[str] | None, status: str | None, day: str | None, size: int | None) -> dict[str, Any]:
    asked = {"disruptions": keys or None, "status": status, "day": day, "size": size}
    return {name: value for name, value in asked.items() if value is not None}


def _of_report(data: bytes) -> tuple[dict[str, Any], bool]:
    """What a report was asked by, as far as it says so, and whether it is one of a stress test."""
    import json

    try:
        content = json.loads(data)
        asked = {"day": content["day"], "size": int(content["checkpoint"].split()[1])}
        if str(content.get("format", "")).startswith("tallystick-stress-report/"):
            return asked, True
        return asked | ({} if content["status"] is None else {"status": content["status"]}), False
    except (ValueError, LookupError, TypeError, AttributeError):
        raise WrongUsage("--like wants a report, as `risk report --out` writes it") from None


def _file(path: Path) -> bytes:
    if not path.is_file():
        raise WrongUsage(f"there is no file {path}")
    return path.read_bytes()


def _question(path: Path) -> dict[str, Any]:
    """What was asked, out of a file with the result of a test."""
    from risk.reading import parse

    kept = parse(_file(path))
    question = kept.get("question") if isinstance(kept, dict) else None
    if not isinstance(question, dict):
        raise WrongUsage(f"{path} has no question, as `risk stress --out` writes it")
    return question


def _say_report(content: dict[str, Any]) -> None:
    """What a report comes to, in a few lines; the whole is in its JSON, page and PDF."""
    parts, sites = content["names"]["parts"], content["names"]["sites"]
    status, effect = content["status"], content["effect"]
    if status not in (None, "Actual"):
        say(f"{status.upper()}: nothing of this is happening", "bold yellow")
    if not effect["stops"]:
        say(f"As of {content['day']} nothing of ours stops within {content['days']} days.", "bold green")
    for one in effect["stops"]:
        what = f"{sites.get(one['site'], one['site'])} stops making {parts.get(one['part'], one['part'])}"
        say(f"{what} on {one['first']}, until {one['last']}: {one['shortfall']} fewer", "bold red")
        for week in one["byWeek"]:
            say(f"    week of {week['week']}: {week['amount']}")
    for name, count in sorted(content["omitted"].items()):
        note(f"{count} more are not listed: {name}")
    if effect["revenueCents"] is not None and effect["stops"]:
        least, most = (content["interval"][one]["revenueCents"] for one in ("least", "most"))
        amounts = f"{_money(effect['revenueCents'])}, between {_money(least)} and {_money(most)}"
        say(f"Revenue at risk: {content['currency'] or ''} {amounts}".replace("  ", " "))
    anyway = (content["undisturbed"] or {}).get("lost", {})
    if anyway:
        lost = ", ".join(f"{quantity} {content['names']['parts'].get(key, key)}" for key, quantity in anyway.items())
        say(f"Lost with no disruption, too: {lost}. Stock ends before more can come: state what is on its way", "bold")
    sure = content["confidence"]
    chances = sorted({sure["probability"][one] for one in ("least", "most")}, key=Fraction)
    if content["origins"]:
        say(f"That it happens: {' to '.join(map(_percent, chances))}")
    say(f"{_percent(sure['coverage'])} of what goes into our products has a known source")
    for one in content["alternatives"]["suggestions"]:
        say(f"  {sites.get(one['supplier'], one['supplier'])}: {one['aWeek']} a week from {one['firstArrival']}, "
            f"{one['covers']} of the need")  # fmt: skip


def _percent(share: str) -> str:
    """A share as a whole per cent, rounded down: what is nearly all known is not all known."""
    return f"{Fraction(share) * 100 // 1} %"


def _money(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02}"

"""The facts a member states, and those it asks others for: `risk template`, `import`, `facts`, `ask`, `requests`,
`answer`, `forward`, `decline`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.gateway import HOME, Gateway, Home, Json, PassphraseFile, _id
from api.cli.terminal import REFUSED, WrongUsage, note, say, say_json, table

if TYPE_CHECKING:
    from api.client import LedgerClient
    from api.impact.answering import Filled
    from api.impact.gateway import FactGateway
    from api.impact.requests import Question
    from api.impact.table import Rules, Table

Url = Annotated[str | None, typer.Option(help="Another address of the service.")]
To = Annotated[
    list[str] | None,
    typer.Option(
        help="Who may read the statements themselves: a member's name, DID, identifier or id; may be repeated. What "
        "others see of your network they see by the levels of its links, whoever is named here."
    ),
]
Kind = Annotated[str | None, typer.Option(help="Of a CSV file: the kind of fact in its rows, as stock or supply-link.")]
Zone = Annotated[str, typer.Option(help="The time zone of times without an offset, as Europe/Berlin.")]
DecimalSign = Annotated[
    str | None,
    typer.Option("--decimal", help="The decimal sign of numbers that are text: . or , (else never guessed)."),
]
Column = Annotated[
    list[str] | None,
    typer.Option(help="THEIRS=OURS: a heading of your own export; nothing after = leaves it out; may be repeated."),
]
Fixed = Annotated[
    list[str] | None, typer.Option("--set", help="OURS=VALUE: for a column that the file lacks, as uom=pcs.")
]
Request = Annotated[str, typer.Argument(help="The request: its number, such as RQ-2026-31, or its id.")]


def add_to(group: typer.Typer) -> None:
    """Add these commands to the group `risk`."""
    for command in (template, import_, own_facts, ask, requests, answer, forward, decline):
        group.command({import_: "import", own_facts: "facts"}.get(command, command.__name__))(command)


def template(
    file: Annotated[Path, typer.Argument(help="The workbook to write, as facts.xlsx.")],
    lang: Annotated[str, typer.Option(help="en or de.")] = "en",
) -> None:
    """Write the Excel workbook in which facts are filled in: a sheet for each kind, with examples and lists."""
    from api.impact.template import LANGUAGES, workbook

    if lang not in LANGUAGES:
        raise WrongUsage(f"--lang {lang}: there are {', '.join(LANGUAGES)}")
    if file.exists():
        raise WrongUsage(f"{file} exists already, and somebody may have filled it in: name another file")
    file.write_bytes(workbook(lang))
    say(f"{file}: fill it in, then `tallystick risk import {file}`")


def import_(
    file: Annotated[Path, typer.Argument(help="A filled-in workbook, or a CSV file with --kind.")],
    to: To = None,
    kind: Kind = None,
    zone: Zone = "UTC",
    decimal: DecimalSign = None,
    column: Column = None,
    fixed: Fixed = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be said, and sign nothing.")] = False,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Read facts from a file, show what is new in it, sign and send that.

    The same file again says nothing again. A changed row takes the place of what was said before. Where anything
    cannot be read exactly, nothing is signed, and every place is named; exit 1.
    """
    from ledger_service.keys import to_hex

    folder = Gateway(home, passphrase_file)
    rules = _rules(folder, zone, decimal, column, fixed)
    found = _read(file, rules, kind)
    with _opened(folder, url) as (client, facts):
        audience = folder.members_named(to or ())
        new = facts.new(found.facts)
        for sheet, row, what in found.left_out:
            note(f"left out: {f'sheet {sheet}, ' if sheet else ''}row {row}: {what}")
        if not as_json:
            _say_new(new, len(found.facts))
        digests = []
        if not dry_run:
            with client.outbox.transaction():
                digests = [facts.state(fact.kind, content, audience) for fact, content in new]
            refused = _push(client)
        else:
            refused = {}
        if as_json:
            ids = [to_hex(one) for one in digests]
            items = [
                {"kind": fact.kind, "about": list(fact.about[1:]), "content": content, "sheet": fact.sheet,
                 "row": fact.row, "statement": ids[place] if ids else None,
                 "refused": refused.get(ids[place]) if ids else None}
                for place, (fact, content) in enumerate(new)
            ]  # fmt: skip
            say_json({"new": items, "unchanged": len(found.facts) - len(new)})
    if any(to_hex(one) in refused for one in digests):
        raise typer.Exit(REFUSED)


def own_facts(
    home: Home = HOME, url: Url = None, passphrase_file: PassphraseFile = None, as_json: Json = False
) -> None:
    """List what we have stated from this folder, and what of it does not fit together: that is told to us alone."""
    from api.client import ServiceRefused
    from api.impact.template import BY_KIND

    folder = Gateway(home, passphrase_file)
    with _opened(folder, url) as (client, facts):
        own = facts.own()
        try:
            found: dict[str, Any] = client.risk_network()
        except ServiceRefused as problem:  # before the first checkpoint there is no network
            found = {"inconsistencies": [], "note": str(problem)}
    if as_json:
        items = [
            {"kind": one.thing[0], "about": list(one.thing[1:]), "state": str(one.state), "content": dict(one.content)}
            for one in own
        ]
        say_json({"facts": items, "inconsistencies": found.get("inconsistencies", [])})
        return
    rows = []
    for one in own:
        about = ", ".join(_short(each) for each in one.thing[1:] if each)
        rows.append((BY_KIND[one.thing[0]].en, about, str(one.content.get("asOf", ""))[:10], one.reason or one.state))
    if rows:
        table(("what", "about", "as of", "stands"), rows)
    else:
        say("nothing was stated from here yet: `tallystick risk template facts.xlsx`, fill it in, `risk import` it")
    for problem_ in found.get("inconsistencies", []):
        say(f"does not fit: {problem_['about']}: {problem_['what']}", "bold")


def ask(
    member: Annotated[str, typer.Argument(help="Who is asked: a member's name, DID, identifier or id.")],
    want: Annotated[
        list[str],
        typer.Option(help="KIND, KIND@PART, KIND@PART@SITE or KIND@@SITE, as stock@09521004100011; may be repeated."),
    ],
    purpose: Annotated[str, typer.Option(help="What for, in words; whoever is asked reads it.")],
    until: Annotated[str | None, typer.Option(help="Until which day, as 2026-10-30; four weeks if left out.")] = None,
    level: Annotated[str | None, typer.Option(help="The sharing level that would do, as tier.")] = None,
    number: Annotated[str | None, typer.Option(help="The number of the request; made up if left out.")] = None,
    link: Annotated[bool, typer.Option(help="Make a link to the page on which it can be answered by hand.")] = False,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Ask another member for facts, for a purpose and until a day. What is open counts in your report's coverage."""
    from ledger_service.keys import to_hex

    folder = Gateway(home, passphrase_file)
    with _opened(folder, url) as (client, facts):
        (asked,) = folder.members_named([member])
        content = _request(asked, want, purpose, _until(until, client.now()), number or f"RQ-{client.now()}")
        if level:
            content["level"] = level
        digest = facts.ask(content)
        refused = _push(client)
        if to_hex(digest) in refused:
            note(f"refused: {refused[to_hex(digest)]}")
            raise typer.Exit(REFUSED)
        page = client.fact_page(digest) if link else None
    if as_json:
        say_json({"request": to_hex(digest), "page": page, "content": content})
        return
    say(to_hex(digest))
    if page:
        say(page)
        note("who has this link sees the request; to answer takes the PIN of whoever is asked")


def requests(
    request: Annotated[str | None, typer.Argument(help="One request, by its number or id, with its answers.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    link: Annotated[bool, typer.Option(help="Make a fresh link to the page of this request of ours.")] = False,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Say what we asked others and what others ask us, and what became of it."""
    from ledger_service.keys import from_hex, to_hex

    folder = Gateway(home, passphrase_file)
    with _opened(folder, url) as (client, facts):
        found = list(client.fact_requests())
        if request is not None:
            found = [_one(found, request)]
        elif not all_:
            found = [one for one in found if one["state"] in ("open", "forwarded")]
        page = client.fact_page(from_hex(found[0]["request"], 32)) if link and request is not None else None
        upward = {to_hex(below): to_hex(above) for below, above in facts.passed_on()}
        names, member = folder.names(), to_hex(client.member)
    for one in found:
        if one["request"] in upward:
            one["passedOnAs"] = upward[one["request"]]
    if as_json:
        say_json({"requests": found, "page": page})
        return
    if not found:
        say("nothing is asked" if all_ else "nothing is open; --all shows what is over")
        return
    rows = []
    for one in found:
        is_ours = one["asker"] == member
        partner = one["asked" if is_ours else "asker"]
        wanted = "; ".join(_wanted(each) for each in one["wanted"])
        rows.append((one["document"]["number"], "we ask" if is_ours else "asks us", names.get(partner, partner), wanted,
                     one["until"], one["state"]))  # fmt: skip
    table(("number", "", "who", "for what", "until", "stands"), rows)
    if request is not None:
        _say_one(found[0], page)


def answer(
    request: Request,
    file: Annotated[Path | None, typer.Option(help="A filled-in workbook, or a CSV file with --kind.")] = None,
    fact: Annotated[
        list[str] | None, typer.Option(help="The id of a fact that was stated before; may be repeated.")
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            help="What whoever asks may see of our supply links that this concerns: withheld, impact-only, "
            "region-and-cause, tier or named. Left as it is if left out."
        ),
    ] = None,
    kind: Kind = None,
    zone: Zone = "UTC",
    decimal: DecimalSign = None,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Answer a request with facts: from a file, which signs what is new in it, or by naming what was stated before."""
    from api.impact.answering import Filled, restated
    from ledger_service.custody.kinds import Reader
    from ledger_service.risk_kinds import AnswerOutcome, SharingLevel

    if (file is None) == (not fact):
        raise WrongUsage("name either a --file with facts, or each --fact that was stated before by its id")
    folder = Gateway(home, passphrase_file)
    with _opened(folder, url) as (client, facts):
        question = _question(client, facts, request)
        contents: list[tuple[str, dict[str, Any]]] = []
        known: list[bytes] = [_id(one, "--fact") for one in fact or ()]
        chosen = None
        if level is not None:
            chosen = Reader({"level": level}, "", "level").choice("level", SharingLevel)
            own = (one.content for one in facts.own() if one.thing[0] == "supply-link")
            contents += [("supply-link", one) for one in restated(own, question, chosen, (), client.now())]
        if file is not None:
            table_ = _read(file, _rules(folder, zone, decimal, None, None), kind)
            new = facts.new(table_.facts)
            said = {one.thing: one.statement for one in facts.own()}
            known += [said[one.about] for one in table_.facts if one.about not in {each.about for each, _ in new}]
            contents += [(one.kind, content) for one, content in new]
        _answer(client, facts, question, Filled(AnswerOutcome.ANSWERED, tuple(contents), chosen, known=tuple(known)),
                as_json=as_json)  # fmt: skip


def forward(
    request: Request,
    to: Annotated[str, typer.Option(help="The supplier of ours who is asked in turn.")],
    purpose: Annotated[str, typer.Option(help="What for, in your own words: your supplier reads it.")],
    part: Annotated[str | None, typer.Option(help="The part, as your supplier knows it.")] = None,
    until: Annotated[
        str | None, typer.Option(help="Until which day; two days before we have to answer if left out.")
    ] = None,
    number: Annotated[str | None, typer.Option(help="The number of our request; made up if left out.")] = None,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Pass a request on one tier up, as a request of our own. Whoever asked learns that, and not whom we ask; our
    supplier does not learn who asked us. Which was made for which stays in this folder.
    """
    from api.impact import answering
    from api.impact.answering import Filled
    from api.impact.table import read_part
    from ledger_service.risk_kinds import AnswerOutcome

    folder = Gateway(home, passphrase_file)
    with _opened(folder, url) as (client, facts):
        question = _question(client, facts, request)
        (asked,) = folder.members_named([to])
        if asked == question.asker:
            raise WrongUsage(f"--to {to} is who asks us")
        last = answering.until_for(question, client.now()) if until is None else _until(until, client.now())
        named = read_part(part) if part else None
        fresh = number or f"RQ-{client.now()}"
        upward = answering.passed_on(question, asked, purpose, fresh, part=named, until=last)
        _answer(client, facts, question, Filled(AnswerOutcome.FORWARDED, upward=upward), as_json=as_json)


def decline(
    request: Request,
    reason: Annotated[str, typer.Option(help="confidential, not-known, not-ours, no-longer, too-much or other.")],
    text: Annotated[str | None, typer.Option(help="In words.")] = None,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Say why we do not give the facts that somebody asks for."""
    from api.impact.answering import Filled
    from ledger_service.custody.kinds import Reader
    from ledger_service.risk_kinds import AnswerOutcome, Refusal

    folder = Gateway(home, passphrase_file)
    with _opened(folder, url) as (client, facts):
        question = _question(client, facts, request)
        why = Reader({"reason": reason}, "", "reason").choice("reason", Refusal)
        _answer(client, facts, question, Filled(AnswerOutcome.DECLINED, reason=why, text=text), as_json=as_json)


# -- how ---------------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(folder: Gateway, url: str | None) -> Iterator[tuple["LedgerClient", "FactGateway"]]:
    from api.impact.gateway import FactGateway

    with folder.client(url) as client:
        yield client, FactGateway(client, folder.member())


def _rules(
    folder: Gateway, zone: str, decimal: str | None, column: Sequence[str] | None, fixed: Sequence[str] | None
) -> "Rules":
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from api.impact.table import Rules
    from ledger_service.errors import MalformedInput

    def member(name: str) -> bytes:
        try:
            return folder.members_named([name])[0]
        except WrongUsage as problem:
            raise MalformedInput(str(problem).removeprefix("--to ")) from None

    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise WrongUsage(f"--zone {zone} is no time zone; write it as Europe/Berlin") from None
    if decimal not in (None, ".", ","):
        raise WrongUsage(f"--decimal {decimal}: it is . or ,")
    return Rules(
        now=folder.clock()(),
        zone=place,
        decimal=decimal,
        member=member,
        columns=_pairs(column or (), "--column", from_end=True),
        fixed=_pairs(fixed or (), "--set"),
    )


def _pairs(texts: Sequence[str], option: str, *, from_end: bool = False) -> dict[str, str]:
    found = {}
    for one in texts:
        name, sign, value = one.rpartition("=") if from_end else one.partition("=")
        if not sign or not name:
            raise WrongUsage(f"{option} {one}: write NAME=VALUE")
        found[name.strip()] = value.strip()
    return found


def _read(file: Path, rules: "Rules", kind: str | None) -> "Table":
    """The facts in a file; where it cannot be used every place is said, and the command ends."""
    from api.impact.table import UnfitTable, read

    try:
        return read(file.read_bytes(), rules, kind)
    except UnfitTable as problem:
        note(f"{file} cannot be used as it is, and nothing was signed:", "bold")
        for one in problem.problems:
            note(f"  {one}")
        raise typer.Exit(REFUSED) from None


def _say_new(new: Sequence[tuple[Any, dict[str, Any]]], total: int) -> None:
    from api.impact.template import BY_KIND

    rows = [
        (
            f"{fact.sheet or BY_KIND[fact.kind].en} {fact.row}",
            ", ".join(_short(one) for one in fact.about[1:] if one),
            "; ".join(f"{name} {value}" for name, value in _telling(content)),
            "in place of what was said" if "corrects" in content else "",
        )
        for fact, content in new
    ]
    if rows:
        table(("row", "about", "says", ""), rows)
    say(f"{len(new)} new, {total - len(new)} said before")


def _telling(content: dict[str, Any]) -> list[tuple[str, str]]:
    """What of a fact fits into a line."""
    names = ("quantity", "planned", "most", "share", "level", "name", "region", "expires", "minorUnits", "currency")
    said = [(name, str(content[name])) for name in names if name in content]
    return said + [(_short(need["part"]), need["quantity"]) for need in content.get("needs", ())]


def _push(client: "LedgerClient") -> dict[str, str | None]:
    """Send what waits; the reason of each statement that was refused."""
    from ledger_service.keys import to_hex

    refused = {to_hex(one.digest): one.reason for one in client.submit().refused}
    for digest, reason in refused.items():
        note(f"refused: {digest[:12]}…: {reason}")
    return refused


def _request(member: bytes, want: Sequence[str], purpose: str, until: date, number: str) -> dict[str, Any]:
    from api.impact.table import read_part, read_place
    from ledger_service.keys import to_hex

    wanted = []
    for one in want:
        kind, _, rest = one.partition("@")
        part, _, site = rest.partition("@")
        each = {"kind": kind}
        if part:
            each["part"] = read_part(part)
        if site:
            each["site"] = read_place(site)
        wanted.append(each)
    return {
        "to": [to_hex(member)],
        "document": {"type": "fact-request", "number": number},
        "wanted": wanted,
        "purpose": purpose,
        "until": until.isoformat(),
    }


def _until(text: str | None, now: int) -> date:
    today = datetime.fromtimestamp(now / 1000, UTC).date()
    if text is None:
        return today + timedelta(weeks=4)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise WrongUsage(f"--until {text}: write a day, as 2026-10-30") from None
    if day < today:
        raise WrongUsage(f"--until {text} is over")
    return day


def _question(client: "LedgerClient", facts: "FactGateway", request: str) -> "Question":
    from ledger_service.keys import from_hex

    one = _one(list(client.fact_requests("to-answer")), request)
    if one["state"] == "withdrawn":
        raise WrongUsage(f"{request} was taken back by whoever asked")
    return facts.question(from_hex(one["request"], 32))


def _one(found: Sequence[dict[str, Any]], request: str) -> dict[str, Any]:
    fitting = [one for one in found if request in (one["request"], one["document"]["number"])]
    if len(fitting) != 1:
        many = "several have this number: name it by its id" if fitting else "no such request"
        raise WrongUsage(f"{request}: {many}; `tallystick risk requests --all` lists them")
    return fitting[0]


def _answer(
    client: "LedgerClient", facts: "FactGateway", question: "Question", filled: "Filled", *, as_json: bool
) -> None:
    from ledger_service.keys import to_hex

    said = facts.answer(question, filled)
    refused = _push(client)
    if as_json:
        say_json(
            {
                "answer": to_hex(said.answer),
                "facts": [to_hex(one) for one in said.facts],
                "upward": None if said.upward is None else to_hex(said.upward),
                "refused": refused,
            }
        )
    else:
        say(to_hex(said.answer))
        if said.upward is not None:
            note(f"passed on as {to_hex(said.upward)}; `tallystick risk requests --all` shows what becomes of it")
    if refused:
        raise typer.Exit(REFUSED)


def _say_one(one: dict[str, Any], page: str | None) -> None:
    say(f"for: {one['purpose']}")
    say(f"id:  {one['request']}")
    if "level" in one:
        say(f"level that would do: {one['level']}")
    if "passedOnAs" in one:
        say(f"passed on as {one['passedOnAs']}")
    for each in one["answers"]:
        why = ": ".join(each[name] for name in ("reason", "text") if name in each)
        what = f"{len(each.get('facts', ()))} facts" if each["outcome"] == "answered" else why
        say(f"{each['outcome']}{' late' if each['isLate'] else ''} {what}".strip())
    if page:
        say(page)


def _wanted(one: dict[str, Any]) -> str:
    return " ".join([one["kind"], *(_short(one[name]) for name in ("part", "site") if name in one)])


def _short(key: str) -> str:
    from api.texts import identifier

    return identifier(key)

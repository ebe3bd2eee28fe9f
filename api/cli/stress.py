"""What might happen to a member: `risk stress` and `risk exposure`."""

import csv
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.gateway import HOME, Gateway, Home, Json, Out, PassphraseFile, _id
from api.cli.impact import Day, Size, Url
from api.cli.operation import Data
from api.cli.terminal import REFUSED, WrongUsage, note, say, say_json, table

_HEX_DIGITS = 66
_COLUMNS = ("of", "scenario", "mitigation", "part", "lost", "revenueCents", "first", "last", "chanceAYear",
            "breakEvenChance")  # fmt: skip


def add_to(group: typer.Typer) -> None:
    """Add these commands to the group `risk`."""
    group.command()(stress)
    group.command("stress-reports")(stress_reports)
    group.command("stress-report")(stress_report)
    group.command()(exposure)


def stress(
    scenarios: Annotated[
        str | None, typer.Option("--set", help="A file with name, version and scenarios, or the id of a scenario-set.")
    ] = None,
    every: Annotated[
        list[str] | None, typer.Option(help="Have each site, region or port fail alone; may be repeated.")
    ] = None,
    mitigation: Annotated[
        list[Path] | None, typer.Option(help="A file with a mitigation, or a list of them; may be repeated.")
    ] = None,
    worst: Annotated[int, typer.Option(min=1, help="How many of the worst to walk day by day.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="From which recovery times are drawn.")] = 0,
    draws: Annotated[int, typer.Option(min=0, help="How many times they are drawn for each scenario.")] = 0,
    days: Annotated[int, typer.Option(min=1, help="How many days are walked.")] = 120,
    day: Day = None,
    size: Size = None,
    report: Annotated[
        bool, typer.Option("--report", help="Have the service state the result: signed, registered, for us alone.")
    ] = False,
    recompute: Annotated[
        Path | None, typer.Option(help="Make the result in this file again, offline, and compare; nothing is asked.")
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="The network that all share, at the operator's machine alone.")
    ] = False,
    data: Data = None,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    out: Out = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write a row for each scenario to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Test what scenarios would do to us, the worst first, before and after mitigations.

    With --out the question, the result and our view go into a file that --recompute makes again offline, to the byte.
    With --report the service signs it and it is registered; `risk stress-report` shows it again.
    """
    if recompute is not None:
        _recompute(recompute, as_json)
        return
    asked: dict[str, Any] = {"days": days, "draws": draws, "every": every or [], "seed": seed, "worst": worst}
    asked |= {name: value for name, value in (("day", day), ("size", size)) if value is not None}
    asked["mitigations"] = [one for path in mitigation or () for one in _mitigations(path)]
    if scenarios is not None and scenarios.startswith("0x") and len(scenarios) == _HEX_DIGITS:
        asked["scenarioSet"] = scenarios
    elif scenarios is not None:
        said = _read(Path(scenarios))
        if not isinstance(said, dict) or "scenarios" not in said:
            raise WrongUsage(f"{scenarios} has no scenarios")
        asked |= {name: said[name] for name in ("name", "scenarios", "version") if name in said}
    if whole and report:
        raise WrongUsage("a test of the whole network is for the operator alone, and no statement")
    if whole:
        told = _of_all(asked, data)
    else:
        asked["withView"] = out is not None
        with Gateway(home, passphrase_file).client(url) as client:
            told = client.stress_report(asked) if report else client.stress(asked)
    if out is not None:
        out.write_bytes(_canonical({name: told[name] for name in ("question", "result", "view") if name in told}))
    if csv_file is not None:
        _write_csv(csv_file, told["result"])
    if as_json:
        say_json({name: told[name] for name in ("digest", "question", "result") if name in told})
        return
    if out is None and csv_file is None:
        _say_test(told["result"])
    if report:
        say(told["digest"])


def stress_reports(
    home: Home = HOME, url: Url = None, passphrase_file: PassphraseFile = None, as_json: Json = False
) -> None:
    """List our reports of stress tests with the worst of each, the oldest first."""
    with Gateway(home, passphrase_file).client(url) as client:
        found = list(client.stress_reports())
    if as_json:
        say_json(found)
        return
    rows = []
    for one in found:
        summary = one["summary"] or {}
        worst = summary.get("worst") or {}
        rows.append((str(one["number"]), summary.get("day", "erased"), str(summary.get("flagged", "")),
                     worst.get("name") or "–", _money(worst.get("revenueCents")), one["state"],
                     one["digest"]))  # fmt: skip
    table(("no.", "day", "can hit us", "the worst", "revenue", "state", "report"), rows)


def stress_report(
    digest: Annotated[str, typer.Argument(help="The report's id: 0x and 64 digits.")],
    home: Home = HOME,
    out: Out = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write a row for each scenario to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write it as a page that needs nothing else to this file.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Write it as PDF to this file.")] = None,
    language: Annotated[str, typer.Option(help="Of the page and the PDF: en or de.")] = "en",
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Show one of our reports of stress tests, held to its signature.

    With --out its canonical JSON is written: `risk view --like` fetches the view that it was made of, and
    `risk recompute` makes it again from that. Page and PDF are made here of the report alone.
    """
    from api.drawing.language import LANGUAGES

    if language not in LANGUAGES:
        raise WrongUsage(f"a report speaks one of {', '.join(LANGUAGES)}, not {language!r}")
    with Gateway(home, passphrase_file).client(url) as client:
        content, member = client.stress_statement(_id(digest, "the report's id")), client.member
        is_demo = client.is_demo()
    if html is not None or pdf is not None:
        from api.drawing.stressed import StressTelling
        from api.network import Directory
        from api.pages.impact import page
        from api.paper.impact import ImpactPaper

        name = Directory.read(home / "members.json").name(member)
        telling = StressTelling(content, name, digest, is_demo=is_demo, language=language)
        if html is not None:
            html.write_text(page(telling), encoding="utf-8", newline="")
        if pdf is not None:
            pdf.write_bytes(ImpactPaper(telling).pdf())
    if out is not None:
        out.write_bytes(_canonical(content))
    if csv_file is not None:
        _write_csv(csv_file, content)
    if as_json:
        say_json(content)
    elif (out, csv_file, html, pdf) == (None, None, None, None):
        _say_test(content)


def exposure(
    day: Day = None,
    size: Size = None,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Show how exposed we are to each site that we may see, and where all hangs by one."""
    asked = {name: value for name, value in (("day", day), ("size", size)) if value is not None}
    with Gateway(home, passphrase_file).client(url) as client:
        told = client.exposure(**asked)
    if out is not None:
        out.write_bytes(_canonical(told))
    if as_json:
        say_json(told)
    elif out is None:
        _say_exposure(told)


def _recompute(path: Path, as_json: bool) -> None:
    from api.impact.stress import remade
    from ledger_service.errors import LedgerError
    from risk.errors import RiskError
    from risk.reading import parse

    if not path.is_file():
        raise WrongUsage(f"there is no file {path}")
    try:
        kept = parse(path.read_bytes())  # positions in a view are numbers with a point, as no statement has them
        again = remade(kept if isinstance(kept, dict) else {})
    except (LedgerError, RiskError) as error:
        raise WrongUsage(f"{path}: {error}") from error
    is_same = again.text == _canonical(kept["result"])
    if as_json:
        say_json({"same": is_same})
    elif is_same:
        say("The result follows from its question and its view, to the byte.", "bold green")
    else:
        say("The result does not follow from its question and its view.", "bold red")
    if not is_same:
        raise typer.Exit(REFUSED)


def _of_all(asked: dict[str, Any], data: Path | None) -> dict[str, Any]:
    """The answer of the running service to its operator, or of its folder where none runs."""
    from datetime import UTC, date, datetime

    from api.cli.operation import ask_service, settings_of
    from api.impact import Impact
    from api.impact.stress import NAMES, as_file, read_question
    from api.network import Network, now_ms
    from ledger_service.chain.errors import ChainFileInUse

    if "scenarioSet" in asked:
        raise WrongUsage("the operator names a file of scenarios: the id of a set is for members")
    settings = settings_of(data)
    try:
        network = Network.open(settings)
    except ChainFileInUse:
        return ask_service(settings, "POST", "/v1/operator/stress", asked)
    try:
        impact = Impact(network, lambda _registrations: None)
        today = datetime.fromtimestamp(now_ms() / 1000, UTC).date()
        day = date.fromisoformat(asked["day"]) if "day" in asked else today
        question = {name: asked[name] for name in NAMES if name in asked}
        at = impact.shared.at(asked.get("size"), day, patience=None)
        test = impact.stress.test_whole(read_question(question), at=at)
        return as_file(question, test.content)
    finally:
        network.close()


def _read(path: Path) -> Any:
    from ledger_service import canonical
    from ledger_service.errors import LedgerError

    if not path.is_file():
        raise WrongUsage(f"there is no file {path}")
    try:
        return canonical.parse(path.read_bytes())
    except LedgerError as error:
        raise WrongUsage(f"{path}: {error}") from error


def _mitigations(path: Path) -> list[Any]:
    said = _read(path)
    return said if isinstance(said, list) else [said]


def _canonical(value: Any) -> bytes:
    from risk.sharing import canonical

    return canonical(value)


def _write_csv(path: Path, result: dict[str, Any]) -> None:
    """A row for each scenario, mitigation and part; amounts are exact decimals, money whole cents."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        rows.writeheader()
        for one in result["scenarios"]:
            about = {"chanceAYear": one["chanceAYear"], "of": one["of"], "scenario": _called(one, result)}
            for effect in (one["effect"], *one["mitigated"]):
                chance = effect.get("breakEven", {}).get("chanceAYear")
                more = {"breakEvenChance": chance, "first": effect["first"], "last": effect["last"],
                        "mitigation": effect.get("mitigation"), "revenueCents": effect["revenueCents"]}  # fmt: skip
                for part, lost in sorted(effect["lost"].items()) or [(None, "0")]:
                    rows.writerow(about | more | {"lost": lost, "part": part})


def _called(one: dict[str, Any], told: dict[str, Any]) -> str:
    where = one["where"]
    return one["name"] if where is None or one["of"] != "site" else _site(where, told)


def _site(where: dict[str, Any], told: dict[str, Any]) -> str:
    """A site in words, as far as we may know it."""
    if "site" in where:
        name: str = told["names"]["sites"].get(where["site"], where["site"])
        return name
    words = [f"tier {where['tier']}"] if where.get("tier") is not None else []
    words += [where["region"]] if where.get("region") else []
    return ", ".join(words) or "a site that is not shown"


def _units(lost: dict[str, str], told: dict[str, Any]) -> str:
    return ", ".join(f"{amount} {told['names']['parts'].get(part, part)}" for part, amount in sorted(lost.items()))


def _money(cents: int | None) -> str:
    return "–" if cents is None else f"{'-' if cents < 0 else ''}{abs(cents) // 100:,}.{abs(cents) % 100:02}"


def _rounded(cents: str | None) -> str:
    from fractions import Fraction

    return "–" if cents is None else _money(round(Fraction(cents)))


def _say_test(result: dict[str, Any]) -> None:
    """The worst list and what mitigations make of it, in tables; the whole is in its JSON."""
    say(f"{result['screened']} failures screened, {result['cleared']} cannot reach what we sell; as of {result['day']}",
        "bold")  # fmt: skip
    for place, count in sorted(result.get("omitted", {}).items()):
        note(f"{count} more are not in the report: {place}")
    for one in result["notSeen"]:
        note(f"{one['name']}: we see nothing of it ({', '.join(one['notSeen'])}), so nothing can be said")
    rows = []
    for one in result["scenarios"]:
        effect = one["effect"]
        least = effect["least"] or {}
        until = f"{effect['first']} – {effect['last']}" if effect["first"] else "nothing is lost"
        rows.append((_called(one, result), until, _units(effect["lost"], result), _money(effect["revenueCents"]),
                     _money(least.get("revenueCents")), _rounded(one["expectedCentsAYear"])))  # fmt: skip
    table(("scenario", "lost from – to", "units", "revenue", "at least", "expected a year"), rows)
    if not result["mitigations"]:
        return
    say()
    costs = []
    for one in result["mitigations"]:
        pays = {True: "yes", False: "no", None: "not known"}[one["paysForItself"]]
        costs.append((one["name"], _rounded(one["costCentsAYear"]), _rounded(one["savedCentsAYear"]), pays))
    table(("mitigation", "costs a year", "saves a year, where chances are known", "pays"), costs)
    say()
    saves = []
    for one in result["scenarios"]:
        for after in one["mitigated"]:
            even = after["breakEven"]
            chance = even["notKnown"] if even["chanceAYear"] is None else even["chanceAYear"]
            saves.append((_called(one, result), after["mitigation"], _units(after["saved"]["lost"], result),
                          _money(after["saved"]["revenueCents"]), chance))  # fmt: skip
    table(("scenario", "mitigation", "units saved", "revenue saved", "pays from this chance a year on"), saves)


def _say_exposure(told: dict[str, Any]) -> None:
    rows = []
    for one in told["sites"]:
        survive, recover, bucket = one["timeToSurvive"], one["recoverDays"], one["oneBucket"]
        taken = "–" if recover is None else f"{recover['likely']}{' (assumed)' if recover['isAssumed'] else ''}"
        short = "covered" if one["isCovered"] else "not covered" if one["gapDays"] is None else str(one["gapDays"])
        lost, cents = one["atRisk"]["lost"], one["atRisk"]["revenueCents"]
        rows.append((_site(one["where"], told), f"{'≥ ' if survive['isAtLeast'] else ''}{survive['days']}", taken,
                     short, "nothing" if not lost else _money(cents) if cents else _units(lost, told),
                     one["exposureIndex"] or "no price",
                     "–" if bucket is None else "covered" if bucket["isCovered"] else "not covered",
                     one["systemicRisk"] or "–"))  # fmt: skip
    money = f"lost meanwhile ({told['currency']})" if told["currency"] else "lost meanwhile"
    table(("site", "we survive (days)", "it takes (days)", "short by (days)", money, "exposure index",
           "without lead times", "systemic risk"), rows)  # fmt: skip
    said = told["essential"]
    for line in (
        "We survive: the longest outage that stops no line of ours, day by day. It takes: its likely recovery.",
        "Lost meanwhile: what we do not make if it stops today and comes back after that time.",
        "Exposure index (REI): that over the largest of the column. 1 costs us most, 0 nothing within that time.",
        "Without lead times: the published one-bucket program; it calls covered what stands still while goods travel.",
        "Systemic risk (ESRI): the share of all that is made in our view that goes if it never comes back.",
        f"Of {said['needs']} needs {said['stated']} are stated to be essential or not, {said['replaceable']} are not.",
        "What nobody has stated is taken as essential.",
    ):
        note(line)
    for one in told["commonUpstream"]:
        behind = ", ".join(_site(each, told) for each in one["suppliers"])
        say(f"{_site(one['common'], told)} stands behind {behind}, who supply {_site(one['customer'], told)}: "
            f"{one['shareAtRisk']} of the need", "bold red")  # fmt: skip
    for one in told["sharedPlaces"]:
        behind = ", ".join(_site(each, told) for each in one["suppliers"])
        say(f"{behind} are all in the {one['kind']} {one['name']} and supply {_site(one['customer'], told)}")
    for one in told["singleSources"]:
        part = told["names"]["parts"].get(one["part"], one["part"]) or "a part"
        say(f"{_site(one['customer'], told)} gets {part} from {_site(one['supplier'], told)} alone"
            f"{'; a stand-in is qualified' if one['hasStandIn'] else ''}")  # fmt: skip

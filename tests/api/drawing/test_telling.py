"""How a report is told: all that its content says is there, in words that a person reads, and nothing else."""

import re
from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from api.drawing.blocks import Block, Commands, Facts, Figure, Listing, Picture, Sentence, Table, Words
from api.drawing.language import ENGLISH
from api.drawing.telling import Telling
from api.texts import identifier, plain
from tests.api.drawing.contents import CASES, EACH, FORM, many, typhoon
from tests.risk.test_assessment import NOBODY

YEAR = 2026


def said(words: Words) -> str:
    return "".join(one if isinstance(one, str) else one.shown for one in words).replace("\u00a0", " ")


def headline(content: Any) -> str:
    return said(Telling(content).headline)


def all_words(telling: Telling) -> Iterator[Words]:
    yield telling.headline
    for name, one in telling.brief:
        yield from ((name,), one)
    yield from telling.asides
    for tile in telling.tiles:
        yield from ((tile.label,), tile.figure, tile.note)
    for section in telling.sections:
        yield (section.title,)
        for block in section.blocks:
            yield from words_of(block)


def words_of(block: Block) -> Iterator[Words]:
    match block:
        case Sentence(words, _):
            yield words
        case Facts(pairs):
            for name, one in pairs:
                yield from ((name,), one)
        case Listing(items):
            yield from items
        case Commands(lines):
            yield lines
        case Picture(_, alt):
            yield (alt,)
        case Table():
            yield (block.caption,)
            yield block.head
            for row in block.rows:
                yield from row


def whole(telling: Telling) -> str:
    """All that is said, figures with their exact values."""
    shown = [
        text
        for words in all_words(telling)
        for one in words
        for text in ((one.shown, one.value, one.hint) if isinstance(one, Figure) else (one,))
    ]
    return "\n".join([one.text for one in telling.banners] + shown)


def section(content: Any, name: str) -> str:
    (found,) = (one for one in Telling(content).sections if one.id == name)
    return "\n".join(said(words) for block in found.blocks for words in words_of(block))


HEADLINES = """
a maker of cars: In this exercise, your plants Magdeburg and Kielce stop on Tue 8 Dec until Thu 7 Jan 2027: 15,360 \
vehicles, EUR 491.5 M.
actual: Your plants Magdeburg and Kielce stop on Tue 8 Dec until Thu 7 Jan 2027: 15,360 vehicles, EUR 491.5 M.
first in line: In this exercise, your plant Lariana Lecco stops on Mon 23 Nov until Mon 4 Jan 2027: 23,040 rotors.
no effect: In this exercise, nothing of yours runs short within the 112 days looked at.
withheld: Nothing that is known to have happened touches you.
forty stops: Your plants Plant 00, Plant 01, Plant 02 and 37 more stop, the first of them on Mon 12 Oct, the last \
until Mon 23 Nov: 1,335 × part 0 and 6 more parts, EUR 107,641.
not over: Your plants Plant 00, Plant 01 and Plant 02 stop, the first of them on Mon 12 Oct, and are not all back \
within 112 days: 310 × part 0 and 2 more parts, EUR 11,447.
"""


@pytest.mark.parametrize("line", HEADLINES.replace("\\\n", "").strip().splitlines())
def test_the_headline_says_it_all(line: str) -> None:
    case, _, sentence = line.partition(": ")
    assert headline(CASES[case]()) == sentence


def test_what_is_unknown_is_said_and_never_zero() -> None:
    told = Telling(typhoon("nordrand"))
    assert "so what it costs is not known either" in said(told.asides[-1])
    assert said(told.tiles[-1].figure) == "not known"
    assert "EUR 0" not in whole(told)
    assert "Not computed" in section(typhoon("nordrand"), "plan")
    assert "parts of your supply are not known" in said(Telling(typhoon(level="withheld")).asides[0])
    assert "is not in these figures" in section(typhoon(level="withheld"), "confidence")


def test_prices_in_several_currencies_are_not_called_unknown() -> None:
    content = CASES["two currencies"]()
    text = " ".join(said(one) for one in Telling(content).asides)
    assert "Your prices are in several currencies (EUR, PLN), so revenue is not told" in text
    assert "No price" not in whole(Telling(content))
    assert said(Telling(content).tiles[-1].note) == "prices in several currencies"
    assert "none of yours is known" not in section(content, "plan")


def test_what_happens_at_worst_is_said_at_once_where_nothing_is_likely_to() -> None:
    content = typhoon("vltava")
    assert headline(content).endswith("nothing of yours runs short within the 112 days looked at.")
    if content["interval"]["most"]["first"] is not None:
        assert "At worst something does: " in " ".join(said(one) for one in Telling(content).asides)
    content["interval"]["most"] |= {"first": "2027-01-04", "last": "2027-01-25", "lost": {"motor": "14880"}}
    asides = " ".join(said(one) for one in Telling(content).asides)
    assert "At worst something does: 14,880 motors lost from Mon 4 Jan 2027 to Mon 25 Jan 2027." in asides


def test_the_first_screen_says_how_sure_it_is_and_what_helps() -> None:
    brief = {name: said(words) for name, words in Telling(typhoon("lariana")).brief}
    assert brief["How sure"] == "Chance that it happens: 75 %. 100 % of what you need is known by its source."
    assert brief["What helps"].startswith("With all that the consortium has to offer: 8,480 rotors are still lost")
    assert "Peipsi Narva has 76,800 a week for magnet at Lariana Lecco, from Mon 30 Nov on." in brief["What helps"]
    assert [name for name, _ in Telling(typhoon("vltava")).brief] == ["How sure"]
    third = {name: said(words) for name, words in Telling(CASES["a third is known"]()).brief}
    assert third["How sure"].endswith("33 % of what you need is known by its source.")
    assert third["What helps"].startswith("Nobody whom the consortium has qualified")
    agreed = dict(Telling(CASES["a plan was agreed"]()).brief)["What helps"]
    assert "Agreed in the plan Magnets from East Asia, for you to do: Books the airlift." in said(agreed)


def test_of_a_line_that_is_hit_alone_that_is_said() -> None:
    text = section(CASES["one line is hit"](), "network")
    assert "Cyclone: Yongjiang Ningbo, magnet alone, from Tue 13 Oct" in text
    assert "Cyclone: Yongjiang Ningbo, another line alone, from Tue 13 Oct" in text


def test_one_bucket_stands_beside_the_days() -> None:
    text = section(typhoon(), "bucket")
    assert "41 working days" in text
    assert "safe" in text
    assert "the one-bucket calculation" in said(Telling(typhoon()).asides[0]).lower()


def test_how_sure_it_is_comes_first_and_in_words() -> None:
    telling = Telling(typhoon())
    assert [one.id for one in telling.sections] == [
        "confidence", "weeks", "timeline", "network", "map", "alternatives", "day", "plan", "bucket", "assumptions",
        "sources", "check",
    ]  # fmt: skip
    text = section(typhoon(), "confidence")
    assert "75 %, by its sources" in text
    assert "Tue 8 Dec to Mon 4 Jan 2027: 12,240 vehicles, EUR 391.7 M" in text
    assert "2 of your questions to suppliers are not yet answered" in text
    assert "off by 5 %, as some are older than agreed" in section(typhoon("lariana"), "confidence")


def test_alternatives_are_ranked_with_weights_and_reasons() -> None:
    text = section(typhoon("lariana"), "alternatives")
    for words in ("Peipsi Narva", "33 %: 76,800 a week", "Mon 30 Nov", "Cimo Zhoushan", "it is hit itself",
                  "share of the need covered", "pro-rata-to-need", "8,480 rotors are still lost"):  # fmt: skip
        assert words in text


@pytest.mark.parametrize(("status", "banners"), [("Actual", []), ("Exercise", ["EXERCISE"]), ("Test", ["TEST"]),
                                                 ("Draft", ["DRAFT"])])  # fmt: skip
def test_what_is_not_actual_says_so_first(status: str, banners: list[str]) -> None:
    content = typhoon(status=status)
    assert [one.name for one in Telling(content).banners] == banners
    assert [one.name for one in Telling(content, is_demo=True).banners] == ["DEMO", *banners]
    assert headline(content).startswith("Your plants" if not banners else "In this ")


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from leaves(one, (*path, name))
    elif isinstance(value, list):
        for one in value:
            yield from leaves(one, path)
    else:
        yield path, value


def forms(path: tuple[str, ...], value: Any) -> list[str]:
    """How a value of the content may be told."""
    name = path[-1]
    if value is None or isinstance(value, bool) or name in ("status", "needs", "loads", "timeToRecoverDays"):
        return []
    if isinstance(value, int):
        return [
            ENGLISH.money(value, "EUR"), ENGLISH.exact_money(value, "EUR"), ENGLISH.amount(Fraction(value)), str(value)
        ]  # fmt: skip
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return [value, ENGLISH.day(date.fromisoformat(value), YEAR)]
    if re.fullmatch(r"\d{4}-\d\d-\d\d/\d{4}-\d\d-\d\d", value):
        return [value.split("/")[0]]
    if re.fullmatch(r"-?\d+(\.\d+)?", value):
        return [value]
    if name == "areas" and value.split(" ")[0] in ("circle", "polygon"):
        return ["km around" if value.startswith("circle") else "corners from"]
    return [plain(value, 120), plain(value, 400), plain(identifier(value), 120)]


@pytest.mark.parametrize("case", [one for one in EACH if one.values != ("hostile",)])
def test_everything_in_the_content_is_told(case: str) -> None:
    content = CASES[case]()
    text = whole(Telling(content))
    names = {key: name for kind in content["names"].values() for key, name in kind.items()}
    untold = []
    for path, value in leaves(content):
        found = [names.get(one, one) for one in forms(path, value)]
        if path in (("alternatives", "rule"), ("currency",)) and not content["effect"]["stops"]:
            continue
        if path[0] in ("effect", "interval") and value == "0":
            continue
        if path[-1] in ("member", "exercises", "at") or (path[0] == "plans" and path[-1] == "key"):
            continue
        if path[0] == "checkpoint":
            found = value.split(" ")[:1]
        if found and not any(one.casefold() in text.casefold() for one in found):
            untold.append((path, value))
    assert untold == []


def test_what_nobody_has_words_for_is_listed_as_it_stands() -> None:
    content = typhoon()
    content["transit"] = {"ships": [{"name": "Ever Late", "teu": "12"}], "closed": None}
    content["confidence"]["weather"] = "rough"
    text = whole(Telling(content))
    for words in ("Ever Late", "12", "transit closed", "not known", "rough"):
        assert words in text


@pytest.mark.parametrize("level", ["withheld", "impact-only", "region-and-cause", "tier"])
def test_nothing_is_told_of_strangers(level: str) -> None:
    text = whole(Telling(typhoon(level=level))).casefold()
    for name in (*NOBODY, "lariana", "vltava", "rotor", "motor", FORM.name.casefold()):
        assert name not in text


def test_all_numbers_and_days_are_those_of_the_content() -> None:
    """Whatever figure is told can be worked out of the content: a changed content changes them all."""
    content, other = many(5), many(5)
    for stop in other["effect"]["stops"]:
        stop["shortfall"] = "7777"
    other["effect"]["lost"] = dict.fromkeys(other["effect"]["lost"], "7777")
    figures = {one.value for words in all_words(Telling(content)) for one in words if isinstance(one, Figure)}
    changed = {one.value for words in all_words(Telling(other)) for one in words if isinstance(one, Figure)}
    assert "7777" in changed - figures
    assert set(content["effect"]["lost"].values()) & figures


def test_a_report_that_was_cut_says_what_it_leaves_out() -> None:
    asides = " ".join(said(one) for one in Telling(CASES["cut"]()).asides)
    assert "12 stops of yours and 3 stops of suppliers" in asides
    assert "Sums of money are of all" in asides


def test_a_long_table_is_open_for_its_first_rows() -> None:
    (plan,) = (one for one in Telling(many()).sections if one.id == "plan")
    first, rest = (one for one in plan.blocks if isinstance(one, Table))
    assert (len(first.rows), first.is_closed, first.more) == (10, False, 70)
    assert (len(rest.rows), rest.is_closed) == (80, True)


def test_forty_stops_are_no_wall_on_the_page_and_whole_on_paper() -> None:
    (timeline,) = (one for one in Telling(many()).sections if one.id == "timeline")
    first, rest = (
        one for one in timeline.blocks if isinstance(one, Table) and "Stops" in one.head and "Lost" in one.head
    )
    assert (len(first.rows), first.more, first.is_closed, first.on_paper) == (10, 30, False, False)
    assert (len(rest.rows), rest.more, rest.is_closed, rest.on_paper) == (40, 0, True, True)


def test_what_was_agreed_says_who_does_what_by_when() -> None:
    content = CASES["a plan was agreed"]()
    telling = Telling(content, members={"0x" + "aa" * 32: "Oderland Spedition"})
    text = whole(telling)
    for words in ("Magnets from East Asia, for the region East Asia, until ", "Tried 2 times, the last time on ",
                  "you", "Books the airlift", "Oderland Spedition", "Call list out of date"):  # fmt: skip
        assert words in text
    assert "km further through cape" in section(content, "network")

"""Facts from tables: numbers and dates as people write them come in exactly, what is wrong is told with its place."""

import io
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from api.impact.table import Known, Rules, UnfitTable, number_text, read, to_say
from api.impact.template import LANGUAGES, SHEETS, Sort, explaining_rows, workbook
from ledger_service import facts
from ledger_service.errors import MalformedInput
from ledger_service.instants import instant
from ledger_service.risk_kinds import PARSERS
from tests.api.impact.workbooks import LINK, OWN_SITE, PART, SITE, SITE_KEY, STOCK, cell, filled
from tests.consortium import member_id

NOW = instant("2026-10-12T06:00:00Z") or 0


def member(name: str) -> bytes:
    if name not in ("Havelmark", "Oderland Spedition"):
        raise MalformedInput(f"{name!r} is no member")
    return member_id("havelmark")


RULES = Rules(now=NOW, member=member)


def problems(data: bytes, rules: Rules = RULES, kind: str | None = None) -> list[str]:
    with pytest.raises(UnfitTable) as caught:
        read(data, rules, kind)
    return [str(one) for one in caught.value.problems]


def content(data: bytes, rules: Rules = RULES, kind: str | None = None) -> Any:
    (fact,) = read(data, rules, kind).facts
    facts.check(fact.kind, {**fact.content, "to": []}, NOW)
    return fact.content


# -- the template ------------------------------------------------------------------------------------------------------


def test_every_kind_of_fact_that_people_fill_in_has_a_sheet() -> None:
    assert PARSERS.keys() - {one.kind for one in SHEETS} <= {"scenario-set"}, (
        "sets of scenarios are agreed on, not filled in"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_examples_of_the_template_are_facts(language: str) -> None:
    def tell(book: Any) -> None:
        for sheet in book.worksheets[1:]:
            for (first,) in sheet.iter_rows(min_row=4, max_row=5, max_col=1):
                first.value = None

    found = read(filled({}, language, tell), RULES)
    assert [one.kind for one in found.facts] == [one.kind for one in SHEETS]
    for one in found.facts:
        facts.check(one.kind, {**one.content, "to": []}, NOW)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_empty_template_says_nothing(language: str) -> None:
    assert problems(workbook(language)) == ["there is nothing in it: fill in at least one row"]


def test_lists_to_choose_from_hold_what_is_read() -> None:
    for language in LANGUAGES:
        book = load_workbook(io.BytesIO(workbook(language)))
        for sheet in SHEETS:
            offered = {
                str(one.sqref)[0]: one.formula1.strip('"').split(",")
                for one in book[sheet.title(language)].data_validations.dataValidation
            }
            chosen = [one for one in sheet.columns if one.sort in (Sort.UNIT, Sort.LEVEL, Sort.YES, Sort.TRIGGER)]
            assert len(offered) == len(chosen)
            assert all(offered.values())


def test_what_somebody_writes_into_a_row_of_explanation_is_told_of_and_not_lost() -> None:
    data = filled({"stock": [STOCK]}, change=lambda book: put(book, "stock", 4, "quantity", 77))
    assert [one[1] for one in read(data, RULES).left_out] == [4]
    assert all(len(explaining_rows(one, "en")) >= 3 for one in SHEETS)


def put(book: Any, kind: str, row: int, column: str, value: Any) -> None:
    cell(book, kind, row, column).value = value


# -- numbers and dates -------------------------------------------------------------------------------------------------

NUMBERS = {
    "1920": "1920", "1,234.5": "1234.5", "1.234,5": "1234.5", "1 234,50": "1234.5", "1'234.5": "1234.5",
    "1,234,567": "1234567", "1.234.567": "1234567", "0,5": "0.5", ".5": "0.5", "0.125": "0.125", "1e-07": "0.0000001",
    "12,5": "12.5", "007": "7", "+3": "3",
}  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_as_people_write_them(text: str) -> None:
    assert number_text(text, None) == NUMBERS[text]


@pytest.mark.parametrize("text", ["1,234", "1.234", "12.345", "999,999"])
def test_a_number_that_could_be_two_is_refused_until_the_sign_is_known(text: str) -> None:
    with pytest.raises(ValueError, match="could be"):
        number_text(text, None)
    assert number_text(text, ".") != number_text(text, ",")


@pytest.mark.parametrize("text", ["-1", "−1", "1,2,3", "12 34", "NaN", "Infinity", "1e999", "x", "1..2", "--", "½"])
def test_what_is_no_number_or_below_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"below 0|no number|could be"):
        number_text(text, None)


@given(st.decimals(min_value=0, max_value=10**11, places=3, allow_nan=False), st.sampled_from([".", ","]))
def test_every_number_comes_in_as_it_was_written(number: Decimal, sign: str) -> None:
    grouped = f"{number:,}"
    written = grouped if sign == "." else grouped.translate(str.maketrans(",.", ".,"))
    assert Fraction(number_text(written, sign)) == Fraction(number)


@given(st.integers(0, 10**14), st.integers(0, 6))
def test_what_excel_holds_in_binary_comes_out_as_it_was_typed(digits: int, places: int) -> None:
    typed = Decimal(digits).scaleb(-places)
    assert Fraction(number_text(f"{float(typed):.15g}", ".")) == Fraction(typed)


DAYS: dict[str, tuple[Any, str]] = {
    "a date of Excel": (date(2026, 10, 13), "2026-10-13"),
    "a date with midnight": (datetime(2026, 10, 13), "2026-10-13"),  # noqa: DTZ001 # as Excel has it
    "ISO": ("2026-10-13", "2026-10-13"),
    "German": ("13.10.2026", "2026-10-13"),
}


@pytest.mark.parametrize("name", DAYS)
def test_days_as_people_write_them(name: str) -> None:
    value, day = DAYS[name]
    assert content(filled({"supply-link": [LINK | {"since": value}]}))["since"] == day


def test_a_time_without_offset_is_of_the_zone_that_was_named() -> None:
    rules = Rules(now=NOW, zone=ZoneInfo("Europe/Berlin"))
    for value in (datetime(2026, 10, 12, 6, 30), "2026-10-12 06:30", "2026-10-12T06:30"):  # noqa: DTZ001 # as Excel has it
        assert content(filled({"stock": [STOCK | {"as_of": value}]}), rules)["asOf"] == "2026-10-12T06:30:00+02:00"
    with_offset = "2026-10-12T06:30:00+00:00"
    assert problems(filled({"stock": [STOCK | {"as_of": with_offset}]}), rules)[0].endswith(
        "lies in the future; correct the clock or the time"
    )
    (gap,) = problems(filled({"stock": [STOCK | {"as_of": "2026-03-29 02:30"}]}), rules)
    assert "there is no 2026-03-29 02:30 in Europe/Berlin" in gap


def test_percent_is_read_as_excel_shows_it() -> None:
    def percent(book: Any) -> None:
        one = cell(book, "supply-link", 5, "share")
        one.value, one.number_format = 0.3, "0%"

    assert content(filled({"supply-link": [LINK]}, change=percent))["share"] == "0.3"
    assert content(filled({"supply-link": [LINK | {"share": "12,5 %"}]}))["share"] == "0.125"
    assert content(filled({"supply-link": [LINK | {"share": 40}]}))["share"] == "0.4"


def test_numbers_of_excel_are_as_excel_shows_them() -> None:
    kilos = STOCK | {"uom": "kg"}
    assert content(filled({"stock": [kilos | {"quantity": 0.1 + 0.2}]}))["quantity"] == "0.3"
    assert content(filled({"stock": [kilos | {"quantity": 1e-7}]}))["quantity"] == "0.0000001"


# -- what is wrong -----------------------------------------------------------------------------------------------------

Wrong = tuple[dict[str, list[dict[str, Any]]], Callable[[Any], object], str]


def same(_: Any) -> None:
    pass


WRONG: dict[str, Wrong] = {
    "a formula": (
        {"stock": [STOCK | {"quantity": "=40*48"}]},
        same,
        "sheet Stock, row 6, column In stock: is a formula: copy the column and paste it as values",
    ),
    "merged cells": (
        {"stock": [STOCK]},
        lambda book: book["Stock"].merge_cells("B6:B7"),
        "sheet Stock: the cells B6:B7 are merged",
    ),
    "a sheet of another name": (
        {"stock": [STOCK]},
        lambda book: setattr(book["Stock"], "title", "Lagerbestand 2026"),
        "sheet Lagerbestand 2026: no sheet of the template is called so",
    ),
    "a heading that means nothing": (
        {"stock": [STOCK]},
        lambda book: setattr(cell(book, "stock", 2, "quantity"), "value", "In stok"),
        "sheet Stock, row 2, column In stok: means nothing here; is it 'In stock'?",
    ),
    "a heading that comes twice": (
        {"stock": [STOCK]},
        lambda book: setattr(cell(book, "stock", 2, "coming_from"), "value", "In stock"),
        "sheet Stock, row 2, column In stock: comes twice",
    ),
    "a column that is gone": (
        {"stock": [STOCK]},
        lambda book: book["Stock"].delete_cols(5),
        "sheet Stock, row 2, column Unit: this column is missing",
    ),
    "a stock below 0": (
        {"stock": [STOCK | {"quantity": -5}]},
        same,
        "sheet Stock, row 6, column In stock: '-5' is below 0",
    ),
    "half a piece": (
        {"stock": [STOCK | {"quantity": 0.5}]},
        same,
        "sheet Stock, row 6, column In stock: H87 counts pieces",
    ),
    "no stock": ({"stock": [STOCK | {"quantity": None}]}, same, "where nothing is in stock, write 0"),
    "an unknown unit": (
        {"stock": [STOCK | {"uom": "pallets"}]},
        same,
        "sheet Stock, row 6, column Unit *: 'pallets' is no unit: write pcs, ",
    ),
    "a site in words": (
        {"stock": [STOCK | {"site": "Göttingen"}]},
        same,
        "sheet Stock, row 6, column Site (GLN) *: expected a place: a GLN",
    ),
    "a wrong check digit": (
        {"stock": [STOCK | {"site": "9521002000017"}]},
        same,
        "sheet Stock, row 6, column Site (GLN) *: ",
    ),
    "a part that Excel has cut": (
        {"stock": [STOCK | {"part": 1234567890123456}]},
        same,
        "sheet Stock, row 6, column Part *: is a number that Excel has cut",
    ),
    "the same thing twice": (
        {"capacity": [CAPACITY := {"site": SITE, "part": PART, "planned": 1, "most": 2, "uom": "pcs"}, CAPACITY]},
        same,
        "sheet Capacity, row 6, column Site (GLN) *: says the same again as row 5: keep one of them",
    ),
    "two stocks of one part": (
        {"stock": [STOCK, STOCK | {"quantity": 7}]},
        same,
        "sheet Stock, row 7, column In stock: is not what row 6 says of the same",
    ),
    "half a delivery": (
        {"stock": [STOCK | {"coming_quantity": 7}]},
        same,
        "sheet Stock, row 6, column On its way from (GLN): is empty, and what stands beside it needs it",
    ),
    "a date that could be two": (
        {"supply-link": [LINK | {"since": "05/06/2026"}]},
        same,
        "sheet Supply links, row 5, column Since: '05/06/2026' is no day that can be read in one way alone",
    ),
    "a date as a bare number": (
        {"supply-link": [LINK | {"since": 46307}]},
        same,
        "column Since: '46307' is a bare number: format the cell as a date",
    ),
    "a number that could be two": (
        {"supply-link": [LINK | {"most_per_day": "1,200"}]},
        same,
        "column At most per day: '1,200' could be 1200 or 1.200",
    ),
    "a share that could be two": ({"supply-link": [LINK | {"share": 1}]}, same, "'1' could be 1 % or 100 %"),
    "a share above all": ({"supply-link": [LINK | {"share": "101 %"}]}, same, "'101 %' is more than 100 %"),
    "a site that supplies itself": (
        {"supply-link": [LINK | {"supplier": SITE}]},
        same,
        "sheet Supply links, row 5, column To (GLN) *: a site does not supply itself",
    ),
    "an unknown level": (
        {"supply-link": [LINK | {"level": "secret"}]},
        same,
        "'secret' is no level; there are withheld",
    ),
    "an unknown member": ({"supply-link": [LINK | {"levels": "Nobody: named"}]}, same, "'Nobody' is no member"),
    "half a position": ({"site": [OWN_SITE | {"latitude": 51.5}]}, same, "a position has latitude and longitude"),
    "times to recover out of order": (
        {"site": [OWN_SITE | {"back_least": 9, "back_likely": 4, "back_most": 12}]},
        same,
        "column Back after days, at best: the likely time lies between the least and the most",
    ),
    "times to recover in part": ({"site": [OWN_SITE | {"back_least": 9}]}, same, "likely, most is missing"),
    "a price with parts of a cent": (
        {"product-price": [{"site": SITE, "part": PART, "price": 1.005, "currency": "EUR"}]},
        same,
        "EUR has no such small parts",
    ),
    "more planned than possible": (
        {"capacity": [CAPACITY | {"planned": 3}]},
        same,
        "sheet Capacity, row 5, column Planned per day *: more is planned than it can make",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_sheet_row_and_column(name: str) -> None:
    rows, change, what = WRONG[name]
    assert what in "\n".join(problems(filled(rows, change=change)))


def test_one_wrong_cell_keeps_all_of_the_file_out_and_everything_wrong_is_told() -> None:
    data = filled({"stock": [STOCK, {**STOCK, "part": "x", "uom": "y"}], "site": [OWN_SITE | {"weekdays": "never"}]})
    assert [one.split(":")[0] for one in problems(data)] == [
        "sheet Sites, row 5, column Works on",
        "sheet Stock, row 7, column Part *",
        "sheet Stock, row 7, column Unit *",
    ]


def test_a_site_of_somebody_else_is_told_of() -> None:
    rules = Rules(now=NOW, sites=frozenset())
    (told,) = problems(filled({"stock": [STOCK]}), rules)
    assert told.startswith("sheet Stock, row 6, column Site (GLN): is no site of yours: describe it on the sheet Sites")
    assert "neither this nor From (GLN) is no site of yours" in problems(filled({"supply-link": [LINK]}), rules)[0]
    assert len(read(filled({"stock": [STOCK], "site": [OWN_SITE]}), rules).facts) == 2
    assert len(read(filled({"stock": [STOCK]}), Rules(now=NOW, sites=frozenset({SITE_KEY}))).facts) == 1


def archive(**parts: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in parts.items():
            made.writestr(name, data)
    return out.getvalue()


def with_macro(data: bytes) -> bytes:
    out = io.BytesIO(data)
    with zipfile.ZipFile(out, "a") as made:
        made.writestr("xl/vbaProject.bin", b"Sub AutoOpen()")
    return out.getvalue()


FILES: dict[str, tuple[bytes, str]] = {
    "a bomb": (archive(big=b"0" * (65 << 20)), "unpacks to"),
    "an archive of something else": (archive(x=b"y"), "no Excel workbook"),
    "half a workbook": (workbook("en")[:4000], "no Excel workbook"),
    "macros": (with_macro(filled({"stock": [STOCK]})), "holds macros"),
    "too many rows": (
        filled({"stock": [STOCK]}, change=lambda book: [book["Stock"].append(["", "x"]) for _ in range(20_001)]),
        "has more than 20000 rows",
    ),
    "a cell at the end of the world": (
        filled({"stock": [STOCK]}, change=lambda book: book["Stock"].cell(1_000_000, 3, "x")),
        "goes on beyond row 30000",
    ),
    "a CSV file of no stated kind": (b"site,part\n", "of a CSV file say of which kind it is"),
    "bytes": (b"\xd0\xcf\x12\xe0", "of a CSV file say of which kind it is"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_none_is_told_so(name: str) -> None:
    data, what = FILES[name]
    (told,) = problems(data)
    assert what in told


# -- CSV ---------------------------------------------------------------------------------------------------------------


def test_an_export_with_headings_of_its_own_is_read_by_a_mapping() -> None:
    data = b"Werk;Material;Lagerort;Bestand frei;Bezeichnung\n9521002000016;09521004100011;0001;1.920;Welle\n"
    columns = {"Werk": "site", "Material": "part", "bestand FREI": "quantity"}
    rules = Rules(now=NOW, decimal=",", columns=columns, fixed={"uom": "pcs"})
    found = read(data, rules, "stock")
    (fact,) = found.facts
    assert (fact.content["quantity"], fact.content["uom"], fact.row) == ("1920", "H87", 2)
    assert [one[2] for one in found.left_out] == ["Lagerort", "Bezeichnung"]
    assert (
        "'1.920' could be 1920 or 1.920"
        in problems(data, Rules(NOW, columns=columns, fixed={"uom": "pcs"}), "stock")[0]
    )


def test_a_mapping_to_a_column_that_is_not_there_is_told() -> None:
    told = problems(b"Werk,part,quantity,uom\n", Rules(now=NOW, columns={"Werk": "plant"}), "stock")
    assert "'plant' is no column; known are site, part, quantity" in told[0]


def test_a_row_that_is_longer_than_the_heading_is_told() -> None:
    told = problems(f"site,part,quantity,uom\n{SITE},{PART},1,pcs,7\n".encode(), RULES, "stock")
    assert told == ["row 2: '7' stands right of the last heading"]


def test_what_a_fact_says_does_not_change_with_the_day_on_which_it_is_read() -> None:
    later = Rules(now=NOW + 86_400_000)
    (first,), (second,) = (read(filled({"stock": [STOCK]}), one).facts for one in (RULES, later))
    assert first.content != second.content
    known = {first.about: Known(b"\x01" * 32, {**first.content, "to": []})}
    assert to_say([second], known) == []
    assert first.about == ("stock", SITE_KEY, "https://id.gs1.org/01/09521004100011")


def test_a_changed_fact_is_said_anew_and_corrects_what_is_no_older() -> None:
    (first,) = read(filled({"stock": [STOCK | {"as_of": "2026-10-11"}]}), RULES).facts
    known = {first.about: Known(b"\x01" * 32, first.content)}

    def said(**changes: Any) -> list[Any]:
        facts = read(filled({"stock": [STOCK | {"as_of": "2026-10-11"} | changes]}), RULES).facts
        return [content.get("corrects") for _, content in to_say(facts, known)]

    assert said() == []
    assert said(quantity=7) == ["0x" + "01" * 32], "the same day, another stock"
    assert said(as_of="2026-10-12") == [None], "counted anew, and the same"
    assert said(as_of="2026-10-10") == ["0x" + "01" * 32], "or the one that is newer would hold"
    assert said(part="9521004100028") == [None]


def test_of_what_goes_into_one_somebody_may_say_whether_it_can_be_done_without() -> None:
    """Empty says nothing, and is no `no`."""
    row = {"site": SITE, "part": PART, "needs_quantity": 1, "needs_uom": "pcs"}
    parts = ("09521006000012", "09521006000029", "09521006000036")
    rows = [
        row | {"needs_part": part, "needs_essential": said} for part, said in zip(parts, ("no", "yes", ""), strict=True)
    ]
    needs = content(filled({"bill-of-material": rows}))["needs"]
    assert [one.get("essential") for one in needs] == [False, True, None]

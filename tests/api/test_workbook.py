"""Workbooks as other programs save them, and as nobody should send them: read exactly, or refused with the reason."""

import io
import re
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from api.impact.table import Rules, UnfitTable, read
from api.impact.template import SHEETS, workbook
from ledger_service.instants import instant
from tests.api.impact.workbooks import OTHER_SITE, OWN_SITE, STOCK, filled

TABLES = Path(__file__).resolve().parents[1] / "vectors" / "tables"
RULES = Rules(now=instant("2026-10-12T06:00:00Z"))
ON_ITS_WAY = STOCK | {"coming_from": OTHER_SITE, "coming_on": date(2026, 10, 13), "coming_quantity": 5}
PART = "https://id.gs1.org/01/09521004100011"


def problems(data: bytes, kind: str | None = None) -> list[str]:
    with pytest.raises(UnfitTable) as caught:
        read(data, RULES, kind)
    return [str(one) for one in caught.value.problems]


def test_what_libreoffice_saves_says_what_was_typed() -> None:
    """Typed into the German template, opened by LibreOffice 7.4 and saved as Excel's .xlsx."""
    found = {
        (one.kind, one.content.get("part")): one.content
        for one in read((TABLES / "libreoffice-7.4.xlsx").read_bytes(), RULES).facts
    }
    site = found["site", None]
    assert (site["latitude"], site["longitude"], site["name"]) == ("51.53", "9.93", "Göttingen")
    assert (site["weekdays"], site["asOf"]) == ([1, 2, 3, 4, 5], "2026-10-01T06:30:00+00:00")
    assert site["holidays"] == ["2026-12-24", "2026-12-25"]
    link, stock = found["supply-link", PART], found["stock", PART]
    assert (link["share"], link["since"], link["level"]) == ("0.35", "2026-02-01", "tier")
    assert (stock["quantity"], stock["uom"]) == ("1234.5", "KGM")
    assert [(one["arrives"], one["quantity"]) for one in stock["onTheWay"]] == [("2026-10-13", "1234.5")]
    assert ("part", "did:web:nordrand.example.org/part/00012") in found, "leading noughts are kept"


def test_a_sheet_that_libreoffice_exports_as_csv_says_the_same() -> None:
    workbook, table = ((TABLES / f"libreoffice-7.4{name}").read_bytes() for name in (".xlsx", "-stock.csv"))
    (expected,) = (one for one in read(workbook, RULES).facts if one.kind == "stock")
    for data in (table, b"\xef\xbb\xbf" + table, b"sep=;\r\n" + table, table.replace(b"\n", b"\r\n")):
        (found,) = read(data, RULES, "stock").facts
        assert found.content == expected.content


def test_days_of_a_workbook_that_counts_from_1904_are_the_same_days() -> None:
    def count_from_1904(book: Any) -> None:
        book.epoch = CALENDAR_MAC_1904

    early, late = (read(filled({"stock": [ON_ITS_WAY]}, change=one), RULES).facts for one in (count_from_1904, plain))
    assert early[0].content == late[0].content


def plain(_: Any) -> None:
    pass


def edited(name: str, change: Callable[[bytes], bytes]) -> bytes:
    """The workbook with one delivery on its way, the XML of the parts whose names match changed by `change`."""
    source, out = zipfile.ZipFile(io.BytesIO(filled({"stock": [ON_ITS_WAY]}))), io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for one in source.namelist():
            data = source.read(one)
            made.writestr(one, change(data) if re.fullmatch(name, one) else data)
    return out.getvalue()


_STOCK = r"xl/worksheets/sheet6\.xml"


def below(rows: bytes) -> bytes:
    """With more XML below the rows of the sheet Stock."""
    return edited(_STOCK, lambda data: data.replace(b"</sheetData>", rows + b"</sheetData>"))


def within(cell: bytes, entities: bytes) -> bytes:
    """With a document type that declares `entities`, and a cell that names one of them."""
    first = b'<sheetData><row r="1"><c t="inlineStr"><is><t>' + cell + b"</t></is></c></row>"
    declared = b'<?xml version="1.0"?><!DOCTYPE worksheet [' + entities + b"]>"
    return edited(_STOCK, lambda data: declared + data.replace(b"<sheetData>", first))


_LAUGHS = b"".join(
    b'<!ENTITY %c "%s">' % (98 + one, b"&%c;" % (97 + one) * 10) for one in range(9)
)  # fmt: skip


def hide(state: str) -> Callable[[Any], None]:
    def change(book: Any) -> None:
        book["Stock"].sheet_state = state

    return change


def hide_row(book: Any) -> None:
    book["Stock"].row_dimensions[6].hidden = True


def say_it_twice(book: Any) -> None:
    other = book.create_sheet("Bestände")
    for row in book["Stock"].iter_rows(values_only=True):
        other.append(list(row))


def link_outside(book: Any) -> None:
    book["Stock"].cell(6, 4).value = "=[1]Sheet1!$A$1"


def with_stock(change: Callable[[Any], None]) -> bytes:
    return filled({"stock": [ON_ITS_WAY]}, change=change)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a billion laughs": (lambda: within(b"&j;", b'<!ENTITY a "ha">' + _LAUGHS), "no Excel workbook that can be read"),
    "a file of the machine": (
        lambda: within(b"&a;", b'<!ENTITY a SYSTEM "file:///etc/hostname">'),
        "no Excel workbook that can be read",
    ),
    "empty rows without end": (lambda: below(b"<row/>" * 40_000), "sheet Stock goes on beyond row 30000"),
    "a million cells": (lambda: below((b"<row>" + b"<c><v>1</v></c>" * 200 + b"</row>") * 5000), "too many cells"),
    "a million merged cells": (
        lambda: edited(_STOCK, lambda data: data.replace(
            b"</sheetData>", b"</sheetData><mergeCells>" + b'<mergeCell ref="A1:B2"/>' * 900_000 + b"</mergeCells>")),
        "too many merged cells",
    ),
    "a cell far to the right": (
        lambda: below(b'<row><c r="XFD7"><v>1</v></c></row>' * 9),
        "a sheet goes on beyond column ZZ",
    ),
    "a cell right of all columns": (
        lambda: with_stock(lambda book: book["Stock"].cell(6, 300, "x")),
        "row 6 has more than 200 cells",
    ),
    "a row that comes twice": (
        lambda: below(b'<row r="6"><c r="B6" t="inlineStr"><is><t>x</t></is></c></row>'),
        "in sheet Stock row 6 comes twice, or out of order",
    ),
    "another word for merged cells": (
        lambda: edited(_STOCK, lambda data: data.replace(
            b"</sheetData>", b"</sheetData><mergeCells count='1'><mergeCell  ref='B6:B7' /></mergeCells>")),
        "sheet Stock: the cells B6:B7 are merged",
    ),
    "a hidden sheet": (lambda: with_stock(hide("hidden")), "sheet Stock: is hidden, and what stands there"),
    "a sheet that Excel does not list": (lambda: with_stock(hide("veryHidden")), "sheet Stock: is hidden"),
    "a row that a filter hides": (lambda: with_stock(hide_row), "sheet Stock, row 6: is hidden, by a filter maybe"),
    "one sheet in two languages": (
        lambda: with_stock(say_it_twice),
        "sheet Bestände, row 6, column Site (GLN): is said by sheet Stock, row 6 too: keep one of them",
    ),
    "a link to another workbook": (lambda: with_stock(link_outside), "row 6, column In stock: is a formula"),
    "a password, or Excel 97": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "without a password"),
    "OpenDocument": (
        lambda: b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
        "this is an OpenDocument file: save it as .xlsx",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_nobody_should_send_is_refused_with_the_reason(name: str) -> None:
    make, what = HOSTILE[name]
    (told,) = problems(make())
    assert what in told


def test_hidden_sheets_in_which_nothing_was_filled_in_are_as_good_as_none() -> None:
    def hide_the_rest(book: Any) -> None:
        for one in SHEETS:
            if one.kind != "stock":
                book[one.en].sheet_state = "hidden"

    assert len(read(with_stock(hide_the_rest), RULES).facts) == 1


def test_a_workbook_with_everything_wrong_is_told_of_two_hundred_places() -> None:
    told = problems(filled({"site": [OWN_SITE | {"latitude": "north"} for _ in range(400)]}))
    assert len(told) == 201
    assert re.fullmatch(r"and \d+ more", told[-1])


def gln(number: int) -> str:
    digits = f"95210{number:07d}"
    total = sum(int(one) * (3 if place % 2 else 1) for place, one in enumerate(digits))
    return f"{digits}{-total % 10}"


@pytest.mark.full
def test_ten_thousand_sites_fit_into_one_workbook() -> None:
    data = filled(
        {"site": [OWN_SITE | {"site": gln(one), "latitude": 51.5, "longitude": 9.9} for one in range(10_000)]}
    )
    tracemalloc.start()
    try:
        found = read(data, RULES).facts
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len({one.about for one in found}) == 10_000
    assert peak < 150 << 20
    assert len(workbook("en")) < 64 << 10

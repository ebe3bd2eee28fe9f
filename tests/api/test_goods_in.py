"""Tables from other systems: despatches as an ERP exports them, scans as they come from goods in."""

import io
import zipfile
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from api.custody_book import Scan
from api.despatch_table import read_despatches
from api.goods_in import UnfitRows, compare, decimal_text, read_scans
from api.workbook import MAX_UNPACKED_BYTES
from ledger_service.custody.kinds import Despatch
from ledger_service.errors import LedgerError
from ledger_service.keys import to_hex
from tests.consortium import NOON, despatch, member_id

SSCC = "395210040009260175"
KEY = f"https://id.gs1.org/00/{SSCC}"
PLATE = "licence-plate:UN049505160P00001"
SHAFT = "https://id.gs1.org/01/09521004100011"


def member(name: str) -> bytes:
    if name != "Nordrand":
        raise LedgerError(f"{name} is nobody in the directory")
    return member_id("nordrand")


def read(*lines: str) -> list[dict[str, Any]]:
    return read_despatches("\n".join(lines).encode(), member, giver=member_id("duero"), now=NOON)


def test_an_export_of_despatches_becomes_one_offer_for_each_document() -> None:
    made = read(
        "Delivery note;Customer;SSCC;Line;Part;Batch;Quantity;UoM;Ship to;Carrier;Seal",
        f"80417731;Nordrand;{SSCC};10;9521004100011;L2609;60;H87;9521002000016;Spedition Beispiel;ES-448221",
        f"80417731;Nordrand;{SSCC};20;9521004100011;L2610;12,5;KGM;9521002000016;Spedition Beispiel;ES-448221",
        "",
        "80417732;Nordrand;1JUN049505160P00001;;;;;;9521002000016;Spedition Beispiel;ES-448221",
    )
    assert [one["document"] for one in made] == [
        {"type": "delivery-note", "number": "80417731"},
        {"type": "delivery-note", "number": "80417732"},
    ]
    first = made[0]
    assert first["taker"] == to_hex(member_id("nordrand"))
    assert first["shipTo"] == "https://id.gs1.org/414/9521002000016"
    assert first["carrier"] == {"name": "Spedition Beispiel", "for": to_hex(member_id("duero"))}
    assert first["units"] == [
        {
            "id": KEY,
            "contents": [
                {"part": SHAFT, "quantity": "60", "uom": "H87", "batch": "L2609", "line": "10"},
                {"part": SHAFT, "quantity": "12.5", "uom": "KGM", "batch": "L2610", "line": "20"},
            ],
        }
    ]
    assert made[1]["units"] == [{"id": PLATE}]


HEAD = "document,taker,unit,part,quantity,uom,ship_to,despatched_at,deadline,seal"
GOOD = f"1,Nordrand,{SSCC},9521004100011,60,H87,,,,"
# By name: the rows below the heading, and all that is said of them.
UNFIT: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "a wrong check digit": (
        ["1,Nordrand,395210040009260176,,,,,,,"],
        ["row 2, column unit: the check digit of SSCC 395210040009260176"],
    ),
    "somebody unknown": ([f"1,Acme,{SSCC},,,,,,,"], ["row 2, column taker: Acme is nobody in the directory"]),
    "half a piece": (
        [f"1,Nordrand,{SSCC},9521004100011,1.5,H87,,,,"],
        ["row 2, column quantity: H87 counts pieces, and there is no part of a piece"],
    ),
    "no number": ([f"1,Nordrand,{SSCC},9521004100011,many,H87,,,,"], ["row 2, column quantity: 'many' is no number"]),
    "a negative one": ([f"1,Nordrand,{SSCC},9521004100011,-3,H87,,,,"], ["row 2, column quantity: expected a decimal"]),
    "nothing of it": ([f"1,Nordrand,{SSCC},9521004100011,0,H87,,,,"], ["row 2, column quantity: expected a quantity"]),
    "a unit of measure nobody knows": (
        [f"1,Nordrand,{SSCC},9521004100011,1,pieces,,,,"],
        ["row 2, column uom: expected a code of UN/ECE Recommendation 20"],
    ),
    "a place that is none": ([f"1,Nordrand,{SSCC},,,,9521002000017,,,"], ["row 2, column ship_to: "]),
    "a date without its offset": (
        [f"1,Nordrand,{SSCC},,,,,2026-09-18 16:10,,"],
        ["row 2, column despatched_at: '2026-09-18 16:10' is no date and time with its offset"],
    ),
    "an empty document": ([f",Nordrand,{SSCC},,,,,,,"], ["row 2, column document: is empty"]),
    "two words for one document": (
        [GOOD, f"1,Nordrand,{SSCC},9521004100011,60,H87,,,,ES-1"],
        ["row 3, column seal: is not what row 2 says of the same document 1"],
    ),
    "a deadline before the despatch": (
        [f"1,Nordrand,{SSCC},,,,,,2020-01-01T00:00:00Z,"],
        ["row 2, document 1: the deadline lies before the despatch"],
    ),
    "a cell too many": ([GOOD + ",x"], ["row 2 has 11 cells, the heading has 10"]),
    "several at once": (
        [f"1,Acme,{SSCC},,,,,,,", "2,Nordrand,pallet 7,,,,,,,"],
        ["row 2, column taker: Acme is nobody", "row 3, column unit: 'pallet 7' names no unit"],
    ),
    "no row": ([], ["there is no row below the heading"]),
}


@pytest.mark.parametrize("name", UNFIT)
def test_each_row_that_cannot_be_used_is_named_with_its_column(name: str) -> None:
    rows, expected = UNFIT[name]
    with pytest.raises(UnfitRows) as problem:
        read(HEAD, *rows)
    assert len(problem.value.problems) == len(expected)
    for found, words in zip(problem.value.problems, expected, strict=True):
        assert found.startswith(words)


ARRIVALS = {
    "a day": ("2026-10-13", "2026-10-13"),
    "a day as Excel has it": ("2026-10-13 00:00:00", "2026-10-13"),
    "a day as Germans write it": ("13.10.2026", "2026-10-13"),
    "a time with its offset": ("2026-10-13T06:00:00+02:00", "2026-10-13T06:00:00+02:00"),
    "a time without": ("2026-10-13 06:00", None),
    "a day that could be two": ("10/13/2026", None),
    "a day before the despatch": ("2020-01-01", None),
}


@pytest.mark.parametrize("name", ARRIVALS)
def test_when_goods_arrive_is_a_day_or_a_time_with_its_offset(name: str) -> None:
    written, expected = ARRIVALS[name]
    rows = ("document,taker,unit,despatched_at,ETA", f"1,Nordrand,{SSCC},2026-09-18T05:00:00Z,{written}")
    if expected is None:
        with pytest.raises(UnfitRows, match=r"row 2.*(arrives|leaves)"):
            read(*rows)
    else:
        (one,) = read(*rows)
        assert one["arrives"] == expected


def test_a_table_without_its_columns_says_which_there_are() -> None:
    with pytest.raises(UnfitRows, match="the column unit is missing; known are document, "):
        read("document,taker", "1,Nordrand")
    with pytest.raises(UnfitRows, match="is not UTF-8"):
        read_scans(b"unit\n\xff\n", NOON)
    with pytest.raises(UnfitRows, match="row 1: the column unit is missing"):
        read_scans(b"pallet\n1\n", NOON)


def test_scans_come_with_commas_semicolons_or_tabs_and_a_byte_order_mark() -> None:
    for mark, separator in ((b"", ","), (b"\xef\xbb\xbf", ";"), (b"", "\t")):
        text = separator.join(("unit", "part", "quantity", "uom"))
        text += (
            "\r\n" + separator.join((SSCC, "9521004100011", "59", "")) + "\r\n" + separator.join((PLATE, "", "", ""))
        )
        assert read_scans(mark + text.encode(), NOON) == [
            Scan(KEY, SHAFT, "59", "H87", NOON),
            Scan(PLATE, None, None, None, NOON),
        ]


def offered(*plates: int) -> Despatch:
    contents = [{"part": SHAFT, "quantity": "60", "uom": "H87"}]
    units = [{"id": f"licence-plate:UN049505160P{one:05d}", "contents": contents} for one in plates]
    return Despatch.parse({**despatch("nordrand", units=units), "to": []})


def scan(number: int, quantity: str | None = None, part: str = SHAFT) -> Scan:
    thing = f"licence-plate:UN049505160P{number:05d}"
    return Scan(thing, part if quantity else None, quantity, "H87" if quantity else None, NOON)


# By name: what was scanned of pallets 1 and 2 with 60 shafts each at a tolerance of 2 %, and what is decided.
CASES: dict[str, tuple[list[Scan], list[tuple[str, str | None]], list[str]]] = {
    "both scanned": ([scan(1), scan(2)], [], []),
    "both counted": ([scan(1, "60"), scan(2, "30"), scan(2, "30")], [], []),
    "two short of 120": ([scan(1, "58"), scan(2)], [("short", "2")], []),
    "one short and one over": ([scan(1, "59"), scan(2, "61")], [("short", "1"), ("over", "1")], []),
    "three short of 120": ([scan(1, "57"), scan(2)], [("short", "3")], ["2 % may pass"]),
    "short here and over there, together too much": (
        [scan(1, "58"), scan(2, "62")], [("short", "2"), ("over", "2")], ["2 % may pass"],
    ),
    "one pallet missing": ([scan(1)], [("short", None)], ["was not scanned"]),
    "a part nobody announced": (
        [scan(1, "60"), scan(1, "1", "did:web:duero.example.org/part/HX"), scan(2)], [("over", "1")],
        ["was not announced"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_was_scanned_is_held_against_what_was_despatched(name: str) -> None:
    scans, expected, reasons = CASES[name]
    decision = compare(offered(1, 2), scans, Fraction("0.02"))
    assert decision is not None
    assert [(one["what"], one.get("quantity")) for one in decision.discrepancies] == expected
    assert len(decision.reasons) == len(reasons)
    for found, words in zip(decision.reasons, reasons, strict=True):
        assert words in found
    assert decision.is_automatic is not bool(reasons)


def test_scans_of_other_goods_decide_nothing() -> None:
    assert compare(offered(1), [scan(7)], Fraction(0)) is None


@given(st.integers(0, 10**12), st.integers(0, 12))
def test_a_sum_of_decimals_is_written_as_it_is(number: int, digits: int) -> None:
    value = Fraction(number, 10**digits)
    text = decimal_text(value)
    assert Fraction(text) == value
    assert not ("." in text and text.endswith("0"))


def workbook(*rows: Sequence[object]) -> bytes:
    """An Excel file with these rows on its first sheet."""
    made = Workbook()
    sheet = made.worksheets[0]
    for row in rows:
        sheet.append(list(row))
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def test_a_workbook_is_read_as_its_csv_is() -> None:
    heading = ("Delivery note", "Customer", "SSCC", "Part", "Quantity", "UoM")
    row = (80417731, "Nordrand", SSCC, 9521004100011, 12.5, "KGM")
    sheet = read_despatches(workbook(heading, row, ()), member, giver=member_id("duero"), now=NOON)
    assert sheet == read(";".join(heading), ";".join(map(str, row)))


# By name: a file that is no good workbook, and a word of what is said of it.
WORKBOOKS: dict[str, tuple[bytes, str]] = {
    "a number with too many digits": (
        workbook(("document", "taker", "unit"), ("1", "Nordrand", int(SSCC))),
        "row 2, column unit: is a number that Excel has cut to 15 digits",
    ),
    "a date without its offset": (
        workbook(("document", "taker", "unit", "deadline"), ("1", "Nordrand", SSCC, datetime(2026, 9, 30, 12))),  # noqa: DTZ001
        "row 2, column deadline: '2026-09-30 12:00:00' is no date and time with its offset",
    ),
    "no row": (workbook(("document", "taker", "unit")), "there is no row"),
    "nothing": (workbook(), "there is no row below the heading"),
    "cut short": (workbook(("document",))[:-50], "no Excel workbook that can be read"),
    "some other archive": (b"PK\x03\x04" + bytes(100), "no Excel workbook that can be read"),
}


@pytest.mark.parametrize("name", WORKBOOKS)
def test_a_workbook_that_is_no_good_is_told_why(name: str) -> None:
    data, expected = WORKBOOKS[name]
    with pytest.raises(UnfitRows, match=expected):
        read_despatches(data, member, giver=member_id("duero"), now=NOON)


def test_a_small_file_that_unpacks_into_a_large_one_is_not_unpacked() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(MAX_UNPACKED_BYTES + 1))
    assert len(file.getvalue()) < 100_000
    with pytest.raises(UnfitRows, match="unpacks to 67108"):
        read_despatches(file.getvalue(), member, giver=member_id("duero"), now=NOON)

"""Tables in Excel workbooks, cell by cell as text. Pure: bytes in, rows out."""

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from typing import Any

from ledger_service.errors import LedgerError

MAX_UNPACKED_BYTES = 64 << 20
"""Of all parts of a workbook together: a small file can unpack into one that fills the memory."""
MAX_FILLED_BYTES = 24 << 20
"""The same for workbooks that people fill in: many times what they come to."""
MAX_ROW = 200_000
"""Whatever stands further down nobody has put there; each row in between takes time to skip."""
MAX_FILLED_ROW = 30_000
"""The same for workbooks that people fill in."""
MAX_CELL_TAGS = 2_500_000
"""Of the XML of rows, cells and their texts, four for a cell: to read as many takes seconds."""
MAX_OTHER_TAGS = 100_000
"""Of all else: openpyxl makes an object of each merged cell, style or link."""
MAX_MERGED = 100
"""Of a sheet; whoever is told of so many undoes them all."""
MAX_COLUMNS = 200
EXACT_DIGITS = 15
"""Excel keeps no more digits of a number than these and writes noughts for the rest."""
TOO_LONG = "\N{WARNING SIGN} number of more than 15 digits"
"""Stands for a number that Excel has cut: no reader takes it for an identifier or a quantity."""
FORMULA = "\N{WARNING SIGN} formula"
"""Stands for a formula: what it last came to need not be what it comes to on another machine."""
_MERGED = re.compile(rb"""<(?:\w+:)?mergeCell\s[^>]*?ref=["']([A-Z0-9:]{1,20})["']""")
_FAR_RIGHT = re.compile(rb"""\sr=["'][A-Z]{3}""")
"""A cell for which openpyxl would make thousands of empty ones to its left."""
_ROW = re.compile(rb"<(?:\w+:)?row(?:\s([^>]*?))?/?>")
_ROW_NUMBER = re.compile(rb"""(?:^|\s)r=["'](\d{1,9})["']""")
_IS_HIDDEN = re.compile(rb"""(?:^|\s)hidden=["'](?:1|true|on)["']""")
_OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""Begins what Excel wrote before 2007, and a workbook of today that opens by a password."""
_OPEN_DOCUMENT = b"mimetypeapplication/vnd.oasis.opendocument"


class UnreadableWorkbook(LedgerError):
    """The file is no Excel workbook that can be read, or its sheet is too large."""


def is_workbook(data: bytes) -> bool:
    """Whether the bytes begin as a workbook does: a ZIP archive, or what Excel had before."""
    return data.startswith((b"PK\x03\x04", _OLD))


@dataclass(frozen=True, slots=True)
class SheetOfCells:
    """A sheet by its name: rows with their numbers from 1 on, cells as text.

    `merged` are its merged cells, as A1:B2; `hidden` the numbers of rows that nobody sees who opens it. With
    `is_hidden` nobody sees the sheet.
    """

    name: str
    rows: tuple[tuple[int, list[str]], ...]
    merged: tuple[str, ...]
    hidden: frozenset[int]
    is_hidden: bool


def table_of(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """The rows of the first sheet with their numbers from 1 on, cells as text; formulas as last calculated.

    Raises UnreadableWorkbook. A number that Excel has cut to 15 digits, such as an SSCC in a cell that is not text,
    comes as `TOO_LONG`.
    """
    with _opened(data, MAX_UNPACKED_BYTES, last_calculated=True) as (workbook, _):
        yield from _rows(workbook.worksheets[0], lambda cell: _text(cell.value))


def sheets_of(data: bytes, most_rows: int) -> list[SheetOfCells]:
    """All sheets; a formula comes as `FORMULA`, a percentage with its sign, a number that Excel has cut as `TOO_LONG`.

    Raises UnreadableWorkbook, also for one with macros or with more than `most_rows` rows in which anything stands.
    """
    found, left = [], most_rows
    with _opened(data, MAX_FILLED_BYTES, last_calculated=False) as (workbook, archive):
        if any(name.casefold().endswith("vbaproject.bin") for name in archive.namelist()):
            raise UnreadableWorkbook("the workbook holds macros, which are not wanted here: save it as .xlsx")
        for sheet in workbook.worksheets:
            rows = []
            # openpyxl tells of these only where it loads the whole sheet at once.
            source = archive.read(sheet._worksheet_path)  # noqa: SLF001
            hidden = _hidden_rows(sheet.title, source)
            merged = [one.group(1).decode() for one in islice(_MERGED.finditer(source), MAX_MERGED)]
            for number, cells in _rows(sheet, _marked_text):
                if not cells:
                    continue
                left -= 1
                if left < 0:
                    raise UnreadableWorkbook(f"the workbook has more than {most_rows} rows: send it in parts")
                rows.append((number, cells))
            is_hidden = sheet.sheet_state != "visible"
            found.append(SheetOfCells(sheet.title, tuple(rows), tuple(merged), hidden, is_hidden))
    return found


def _hold_to_tags(archive: zipfile.ZipFile) -> None:
    """Raise UnreadableWorkbook where a workbook takes longer to read than what anybody fills in."""
    cells = others = 0
    for name in archive.namelist():
        if not name.casefold().endswith((".xml", ".rels", ".vml")):
            continue
        source = archive.read(name)
        first, last = source.find(b"sheetData>"), source.rfind(b"sheetData>")
        if name.casefold().endswith("sharedstrings.xml"):
            first, last = 0, len(source)
        inside = source.count(b"<", first, last) if first >= 0 else 0
        if inside and _FAR_RIGHT.search(source):
            raise UnreadableWorkbook("a sheet goes on beyond column ZZ: delete what is right of your columns")
        cells += inside
        others += source.count(b"<") - inside
    if cells > MAX_CELL_TAGS:
        raise UnreadableWorkbook("the workbook has too many cells, empty ones with a format too: send it in parts")
    if others > MAX_OTHER_TAGS:
        raise UnreadableWorkbook("the workbook has too many merged cells, formats or links: copy its rows to a new one")


def _hidden_rows(title: str, source: bytes) -> frozenset[int]:
    """The numbers of hidden rows.

    Raises UnreadableWorkbook where rows go on for ever, or one comes twice, of which openpyxl drops one.
    """
    hidden, last = set(), 0
    for match in _ROW.finditer(source):
        attributes = match.group(1) or b""
        named = _ROW_NUMBER.search(attributes)
        number = last + 1 if named is None else int(named.group(1))
        if number <= last:
            raise UnreadableWorkbook(f"in sheet {title} row {number} comes twice, or out of order: save it anew")
        if number > MAX_FILLED_ROW:
            raise UnreadableWorkbook(
                f"sheet {title} goes on beyond row {MAX_FILLED_ROW}: delete what is below your rows"
            )
        if _IS_HIDDEN.search(attributes):
            hidden.add(number)
        last = number
    return frozenset(hidden)


@contextmanager
def _opened(data: bytes, limit: int, *, last_calculated: bool) -> Iterator[tuple[Any, zipfile.ZipFile]]:
    # Nothing else of the program needs it.
    from openpyxl import load_workbook

    if data.startswith(_OLD):
        raise UnreadableWorkbook(
            "this is a workbook of Excel 97 to 2003, or one with a password: save it as .xlsx, without a password"
        )
    if _OPEN_DOCUMENT in data[:200]:
        raise UnreadableWorkbook("this is an OpenDocument file: save it as .xlsx, or as CSV (UTF-8)")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(one.file_size for one in archive.infolist())
            if size > limit:
                raise UnreadableWorkbook(f"the workbook unpacks to {size} bytes, the limit is {limit}")
            _hold_to_tags(archive)
            workbook = load_workbook(io.BytesIO(data), read_only=True, data_only=last_calculated, keep_links=False)
            try:
                yield workbook, archive
            finally:
                workbook.close()
    except UnreadableWorkbook:
        raise
    except Exception as error:
        # openpyxl raises whatever the parts below it do: KeyError, ValueError, BadZipFile, expat's and defusedxml's.
        raise UnreadableWorkbook(
            f"this is no Excel workbook that can be read ({type(error).__name__}): save it as .xlsx or as CSV (UTF-8)"
        ) from error


def _rows(sheet: Any, text: Callable[[Any], str]) -> Iterator[tuple[int, list[str]]]:
    # What the sheet says of its own size may be anything.
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows(), 1):
        if number > MAX_ROW:
            raise UnreadableWorkbook(f"the sheet goes on beyond row {MAX_ROW}: delete what is below your rows")
        if len(row) > MAX_COLUMNS and any(one.value is not None for one in row[MAX_COLUMNS:]):
            raise UnreadableWorkbook(f"row {number} has more than {MAX_COLUMNS} cells")
        cells = [text(one) for one in row[:MAX_COLUMNS]]
        while cells and not cells[-1]:
            cells.pop()
        yield number, cells


def _marked_text(cell: Any) -> str:
    if cell.data_type == "f":
        return FORMULA
    text = _text(cell.value)
    is_number = isinstance(cell.value, int | float) and not isinstance(cell.value, bool)
    if is_number and text != TOO_LONG and "%" in (cell.number_format or ""):
        return f"{Decimal(text) * 100:f} %"
    if isinstance(cell.value, float) and len(text.partition(".")[2]) == 3:
        return f"{text}0"  # or who reads it could take its point for one that parts thousands
    return text


def _text(value: Any) -> str:
    """A cell as somebody would type it. Times carry no offset in Excel, and none is made up."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        if abs(value) >= 10**EXACT_DIGITS:
            return TOO_LONG
        # Excel shows 0.3 where binary arithmetic has 0.30000000000000004.
        return str(value) if isinstance(value, int) else f"{value:.{EXACT_DIGITS}g}"
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value).strip()

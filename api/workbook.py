"""Tables in Excel workbooks, cell by cell as text. Pure: bytes in, rows out."""

import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

from ledger_service.errors import LedgerError

MAX_UNPACKED_BYTES = 64 << 20
"""Of all parts of a workbook together: a small file can unpack into one that fills the memory."""
MAX_COLUMNS = 200
EXACT_DIGITS = 15
"""Excel keeps no more digits of a number than these and writes noughts for the rest."""
TOO_LONG = "\N{WARNING SIGN} number of more than 15 digits"
"""Stands for a number that Excel has cut: no reader takes it for an identifier or a quantity."""


class UnreadableWorkbook(LedgerError):
    """The file is no Excel workbook that can be read, or its sheet is too large."""


def is_workbook(data: bytes) -> bool:
    """Whether the bytes begin as a workbook does, which is a ZIP archive."""
    return data[:4] == b"PK\x03\x04"


def table_of(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """The rows of the first sheet with their numbers from 1 on, cells as text; formulas as last calculated.

    Raises UnreadableWorkbook. A number that Excel has cut to 15 digits, such as an SSCC in a cell that is not text,
    comes as `TOO_LONG`.
    """
    # Nothing else of the program needs it.
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(one.file_size for one in archive.infolist())
        if size > MAX_UNPACKED_BYTES:
            raise UnreadableWorkbook(f"the workbook unpacks to {size} bytes, the limit is {MAX_UNPACKED_BYTES}")
        workbook = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        try:
            sheet: Any = workbook.worksheets[0]
            # What the sheet says of its own size may be anything.
            sheet.reset_dimensions()
            for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
                cells = [_text(one) for one in row[: MAX_COLUMNS + 1]]
                while cells and not cells[-1]:
                    cells.pop()
                if len(cells) > MAX_COLUMNS:
                    raise UnreadableWorkbook(f"row {number} has more than {MAX_COLUMNS} cells")
                yield number, cells
        finally:
            workbook.close()
    except UnreadableWorkbook:
        raise
    except Exception as error:
        # openpyxl raises whatever the parts below it do: KeyError, ValueError, BadZipFile, expat's and defusedxml's.
        raise UnreadableWorkbook(
            f"this is no Excel workbook that can be read ({type(error).__name__}): save it as .xlsx or as CSV (UTF-8)"
        ) from error


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

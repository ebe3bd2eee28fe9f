"""Filled-in workbooks for tests: the template as it is given out, with rows in it."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openpyxl import load_workbook

from api.impact.template import BY_KIND, workbook

SITE, OTHER_SITE, PART = "9521002000016", "9521004000014", "09521004100011"
SITE_KEY = f"https://id.gs1.org/414/{SITE}"
STOCK = {"site": SITE, "part": PART, "quantity": 1920, "uom": "pcs"}
OWN_SITE = {"site": SITE, "name": "Göttingen"}
LINK = {
    "supplier": OTHER_SITE, "customer": SITE, "part": PART, "uom": "pcs", "share": "100 %", "lead_days": 4,
    "level": "tier",
}  # fmt: skip


def filled(
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    language: str = "en",
    change: Callable[[Any], object] = lambda _: None,
) -> bytes:
    """The template with rows of each kind below its own, by the names of columns; `change` is done to the workbook."""
    book = load_workbook(io.BytesIO(workbook(language)))
    for kind, some in rows.items():
        sheet = BY_KIND[kind]
        page = book[sheet.title(language)]
        start = next(number for number in range(3, 20) if not str(page.cell(number, 1).value or "").startswith("#"))
        for number, row in enumerate(some, start):
            for place, column in enumerate(sheet.columns, 2):
                if column.name in row:
                    page.cell(number, place).value = row[column.name]
    change(book)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def cell(book: Any, kind: str, row: int, column: str) -> Any:
    """A cell of the workbook, by kind, row and name of the column."""
    sheet = BY_KIND[kind]
    return book[sheet.en].cell(row, 2 + [one.name for one in sheet.columns].index(column))

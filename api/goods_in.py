"""Goods in: what was despatched held against what was scanned and counted, and whether a person has to look. Pure."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from api import workbook
from api.custody_book import Scan
from ledger_service.custody.kinds import Despatch, Reader, read_unit
from ledger_service.errors import LedgerError, MalformedInput

SCAN_COLUMNS = ("unit", "part", "quantity", "uom")
_PIECES = {"PCE": "H87", "PCS": "H87", "STK": "H87"}
"""What is in exports for a piece, by the one code that Recommendation 20 has for it today: two systems would differ."""

_SEPARATOR = re.compile(r'"?sep=([,;\t])"?')
"""The first line by which Excel is told how the cells of a CSV file are separated."""
_GERMAN_DAY = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)


class UnfitRows(LedgerError):
    """Rows of a table that cannot be used; `problems` names each by row (as a spreadsheet counts) and column."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to answer to a despatch. With `reasons` a person has to look; `discrepancies` are as a receipt has them."""

    basis: str
    units: tuple[str, ...]
    discrepancies: tuple[Mapping[str, Any], ...]
    reasons: tuple[str, ...]

    @property
    def is_automatic(self) -> bool:
        return not self.reasons


def compare(despatch: Despatch, scans: Iterable[Scan], tolerance: Fraction) -> Decision | None:
    """What the scans say of `despatch`, None if none is of it.

    A unit that was scanned counts as what the despatch says is in it, unless its parts were counted. A whole unit
    that is missing, a part that was not announced and a share above `tolerance` are for a person.
    """
    offered = {one.id.key: one for one in despatch.units}
    seen: dict[str, list[Scan]] = defaultdict(list)
    for one in scans:
        if one.thing in offered:
            seen[one.thing].append(one)
    if not seen:
        return None
    reasons: list[str] = []
    discrepancies: list[Mapping[str, Any]] = []
    announced: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    off: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    counted_any = False
    for key, consignment in offered.items():
        lines: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for line in consignment.contents:
            lines[line.part, line.uom] += line.quantity
        for at, amount in lines.items():
            announced[at] += amount
        if key not in seen:
            reasons.append(f"{key} was not scanned")
            discrepancies.append({"unit": key, "what": "short"})
            continue
        counted: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for scan in seen[key]:
            if scan.part is not None and scan.quantity is not None and scan.uom is not None:
                counted[scan.part, scan.uom] += Fraction(scan.quantity)
        if not counted:
            continue
        counted_any = True
        for part, uom in sorted(counted.keys() | lines.keys()):
            found, said = counted.get((part, uom), Fraction(0)), lines.get((part, uom), Fraction(0))
            if found == said:
                continue
            if not said:
                reasons.append(f"{part} ({uom}) in {key} was not announced")
            off[part, uom] += abs(found - said)
            what = "short" if found < said else "over"
            quantity = decimal_text(abs(found - said))
            discrepancies.append({"unit": key, "what": what, "part": part, "quantity": quantity, "uom": uom})
    for (part, uom), amount in sorted(off.items()):
        total = announced.get((part, uom), Fraction(0))
        if total and amount / total > tolerance:
            reasons.append(
                f"{part} deviates by {decimal_text(amount)} of {decimal_text(total)} {uom}, "
                f"and {percent(tolerance)} may pass"
            )
    basis = "counted" if counted_any else "scanned"
    return Decision(basis, tuple(offered), tuple(discrepancies), tuple(reasons))


def decimal_text(value: Fraction) -> str:
    """A decimal as statements write it. Sums of decimals are decimals, so nothing is rounded."""
    scale = 0
    while value.denominator != 1 and scale < 40:
        value, scale = value * 10, scale + 1
    digits = str(value.numerator).rjust(scale + 1, "0")
    return digits if not scale else f"{digits[:-scale]}.{digits[-scale:]}"


def percent(share: Fraction) -> str:
    return f"{decimal_text(share * 100)} %"


def read_scans(data: bytes, scanned_at: int) -> list[Scan]:
    """The scans in a CSV file with the columns unit and, where parts were counted, part, quantity and uom.

    Raises UnfitRows, which names every row and column that cannot be used.
    """
    scans: list[Scan] = []
    problems: list[str] = []
    for number, row in rows_of(data, ("unit",), SCAN_COLUMNS):
        cell = Cells(row, number, problems)
        thing = cell.unit("unit")
        if not row.get("part") and not row.get("quantity"):
            scans.append(Scan(thing, None, None, None, scanned_at))
            continue
        part, (quantity, uom) = cell.part("part"), cell.quantity()
        scans.append(Scan(thing, part, quantity, uom, scanned_at))
    if problems:
        raise UnfitRows(problems)
    return scans


def rows_of(data: bytes, needed: Sequence[str], known: Sequence[str]) -> Iterable[tuple[int, dict[str, str]]]:
    """The rows of a table with a heading, with their numbers from 2 on: of an Excel workbook's first sheet, or of a CSV
    file separated by comma, semicolon or tab.

    Raises UnfitRows where it is no such file or lacks a column.
    """
    table = iter(_sheet(data) if workbook.is_workbook(data) else text_table(data))
    _, names = next(table, (1, []))
    heading = [name.strip().casefold().replace("-", "_").replace(" ", "_") for name in names]
    missing = [name for name in needed if name not in heading]
    if missing:
        raise UnfitRows([f"row 1: the column {', '.join(missing)} is missing; known are {', '.join(known)}"])
    rows = []
    for number, cells in table:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(heading):
            raise UnfitRows([f"row {number} has {len(cells)} cells, the heading has {len(heading)}"])
        rows.append((number, dict(zip(heading, (cell.strip() for cell in cells), strict=False))))
    if not rows:
        raise UnfitRows(["there is no row below the heading"])
    return rows


def _sheet(data: bytes) -> list[tuple[int, list[str]]]:
    try:
        return list(workbook.table_of(data))
    except workbook.UnreadableWorkbook as error:
        raise UnfitRows([str(error)]) from error


def text_table(data: bytes) -> list[tuple[int, list[str]]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnfitRows([f"byte {error.start} is not UTF-8: save the file as CSV (UTF-8)"]) from error
    first = text.split("\n", 1)[0].strip()
    named = _SEPARATOR.fullmatch(first)
    separator = max(",;\t", key=first.count) if named is None else named.group(1)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        if named is not None:
            next(reader)
        return [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise UnfitRows([f"row {reader.line_num}: {error}"]) from error


def day_text(written: str) -> str:
    """A day as statements write it, from one that can be read in one way alone; raises ValueError.

    >>> [day_text(one) for one in ("2026-10-12", "2026-10-12 00:00:00", "12.10.2026")]
    ['2026-10-12', '2026-10-12', '2026-10-12']
    """
    plain = written.removesuffix(" 00:00:00").strip()
    german = _GERMAN_DAY.fullmatch(plain)
    try:
        if german:
            day, month, year = (int(one) for one in german.groups())
            return date(year, month, day).isoformat()
        if len(plain) == 10:
            return date.fromisoformat(plain).isoformat()
    except ValueError:
        pass
    if written.isdecimal():
        raise ValueError(f"{written!r} is a bare number: format the cell as a date")
    raise ValueError(f"{written[:40]!r} is no day that can be read in one way alone: write it as 2026-10-12")


def unit_text(written: str) -> str:
    """A unit as identifiers are read, from how people write it: a bare SSCC of 18 digits will do."""
    digits = written.replace(" ", "")
    return f"(00){digits}" if digits.isdecimal() and len(digits) == 18 else written


class Cells:
    """One row of a table, read cell by cell; what is wrong is noted with row and column."""

    def __init__(self, row: Mapping[str, str], number: int, problems: list[str]) -> None:
        self._row = row
        self._number = number
        self._problems = problems

    def complain(self, column: str, what: str) -> None:
        self._problems.append(f"row {self._number}, column {column}: {what}")

    def text(self, column: str, *, longest: int = 70, otherwise: str = "") -> str:
        value = self._row.get(column, "") or otherwise
        if not value:
            self.complain(column, "is empty")
        elif value == workbook.TOO_LONG:
            self.complain(
                column, "is a number that Excel has cut to 15 digits: format the cells as text, type it again"
            )
            return ""
        elif len(value) > longest:
            self.complain(column, f"has more than {longest} characters")
        return value

    def unit(self, column: str) -> str:
        """The key of the unit named; a bare SSCC of 18 digits will do."""
        value = self.text(column, longest=300)
        if not value:
            return ""
        try:
            return read_unit(unit_text(value), "").key
        except MalformedInput as error:
            self.complain(column, error.what)
            return ""

    def part(self, column: str) -> str:
        """The key of a part; a bare GTIN will do."""
        value = self.text(column, longest=300)
        if not value:
            return ""
        written = f"(01){value.rjust(14, '0')}" if value.isdigit() and len(value) in (8, 12, 13, 14) else value
        try:
            return Reader({column: written}, "", column).part(column)
        except MalformedInput as error:
            self.complain(column, error.what)
            return ""

    def quantity(self, column: str = "quantity", uom: str = "uom") -> tuple[str, str]:
        """An amount as statements write it, and its unit of measure; a decimal comma is one."""
        written = self.text(column)
        unit = self.text(uom, otherwise="H87").upper()
        unit = _PIECES.get(unit, unit)
        if not written:
            return "", unit
        text = written.replace(",", ".") if written.count(",") == 1 and "." not in written else written
        try:
            number = Decimal(text)
            plain = decimal_text(Fraction(number)) if number.is_finite() and len(text) <= 40 else text
        except (InvalidOperation, ValueError):
            self.complain(column, f"{written!r} is no number")
            return "", unit
        try:
            Reader({"quantity": plain, "uom": unit}, "", "quantity uom").quantity()
        except MalformedInput as error:
            self.complain(column if "uom" not in error.where else uom, error.what)
        return plain, unit

    def place(self, column: str) -> str | None:
        """A place, None where the cell is empty; a bare GLN of 13 digits will do."""
        value = self._row.get(column, "")
        if not value:
            return None
        written = f"(414){value}" if value.isdigit() and len(value) == 13 else value
        try:
            return Reader({column: written}, "", column).place(column)
        except MalformedInput as error:
            self.complain(column, error.what)
            return None

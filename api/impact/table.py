"""Tables that people filled in, read into facts that can be signed: an Excel workbook, or a CSV file of one kind. Pure.

What cannot be read exactly as it is meant is named by sheet, row and column, and then there is no fact at all: a number
that could be 1234 or 1.234, a date that could be in May or in June, a formula, a thing that is said twice.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from api import goods_in, workbook
from api.impact.template import (
    BY_KIND,
    LANGUAGES,
    LEVELS,
    NO,
    NOTE,
    SHEETS,
    START,
    UNITS,
    YES,
    Column,
    Sheet,
    Sort,
    explaining_rows,
)
from ledger_service import canonical
from ledger_service.custody.kinds import CLOCK_TOLERANCE_MS, Reader
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.instants import clock_text, instant
from ledger_service.keys import to_hex
from ledger_service.risk_kinds import PARSERS

MAX_ROWS = 20_000
"""In one file, over all sheets, the template's own among them."""
MAX_PROBLEMS = 200
"""Told of one file; whoever has so many has one of them many times."""

_GROUPS = re.compile(r"\d{1,3}(?:([ .,'’\u00a0\u202f])\d{3})(?:\1\d{3})*")
_OWN_PART = re.compile(r"(?P<number>[^\s()]+) \((?P<owner>[a-z0-9.-]+)\)")
_WEEKDAYS = {
    name: day
    for day, names in enumerate(
        ("1 mon mo monday montag", "2 tue di tuesday dienstag", "3 wed mi wednesday mittwoch",
         "4 thu do thursday donnerstag", "5 fri fr friday freitag", "6 sat sa saturday samstag",
         "7 sun so sunday sonntag"),
        1,
    )
    for name in names.split()
}  # fmt: skip
_YES = {*YES, "true", "y", "j", "x"}
_NO = {*NO, "false", "n"}
_UNITS = {name.casefold(): code for code, names in UNITS.items() for name in names} | {
    "pieces": "H87", "pc": "H87", "piece": "H87", "stück": "H87", "st": "H87", "stk.": "H87", "pce": "H87", "ea": "H87",
    "set": "SET", "m2": "MTK", "m3": "MTQ", "to": "TNE",
}  # fmt: skip
_LEVELS = {name.casefold(): str(level) for level, names in LEVELS.items() for name in names}
_MINOR_DIGITS = {"BIF": 0, "CLP": 0, "ISK": 0, "JPY": 0, "KRW": 0, "PYG": 0, "UGX": 0, "VND": 0, "XAF": 0, "XOF": 0,
                 "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3}  # fmt: skip
"""Of ISO 4217, where it is not two."""
_OWN_SITE = {"stock": ("site",), "capacity": ("site",), "bill-of-material": ("site",), "product-price": ("site",),
             "qualification": ("customer",), "route-qualification": ("customer",),
             "supply-link": ("supplier", "customer")}  # fmt: skip
"""At least one of these places is a site of whoever states it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What cannot be used, and where: sheet, row as a spreadsheet counts, name of the column and its title there."""

    sheet: str
    row: int | None
    column: str
    title: str
    what: str

    def __str__(self) -> str:
        place = [f"sheet {self.sheet}"] if self.sheet else []
        place += [f"row {self.row}"] if self.row else []
        place += [f"column {self.title}"] if self.title else []
        return f"{', '.join(place)}: {self.what}" if place else self.what

    def as_json(self) -> dict[str, Any]:
        value = {"sheet": self.sheet, "row": self.row, "column": self.title, "what": self.what}
        return {name: one for name, one in value.items() if one}


class UnfitTable(LedgerError):
    """A table of facts that cannot be used as it is; `problems` names each place."""

    def __init__(self, problems: Sequence[Problem], more: int = 0) -> None:
        told = list(problems)
        if more:
            told.append(Problem("", None, "", "", f"and {more} more"))
        super().__init__("; ".join(map(str, told)))
        self.problems = told


def nobody(name: str) -> bytes:
    """For tables in which no member is named."""
    raise MalformedInput(f"{name!r} is nobody that is known here")


@dataclass(frozen=True, slots=True)
class Rules:
    """How a table is read. `now` in ms UTC; times without an offset are of `zone`.

    `decimal` is the decimal sign of numbers that are text; without it those that could be two numbers are refused.
    `sites` are the reader's own sites that the ledger knows already; None: not held to them. `member` gives the id of a
    member by its name. `columns` gives other headings their column ("" leaves one out); `fixed` stands for columns that
    are not there. With either, headings that nobody knows are left out.
    """

    now: int
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    decimal: str | None = None
    sites: frozenset[str] | None = None
    member: Callable[[str], bytes] = nobody
    columns: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact as a table says it: `content` lacks the audience `to`. `about` is the thing that it is about.

    Where `is_dated` is False nobody wrote of when it is: that it is said again on another day says nothing new.
    """

    kind: str
    content: Mapping[str, Any]
    about: tuple[str, ...]
    is_dated: bool
    sheet: str
    row: int

    def says_the_same(self, content: Mapping[str, Any]) -> bool:
        """Whether a statement with this content says the same: said again it would say nothing new."""
        left_out = {"to", "corrects", "replaces"} | (set() if self.is_dated else {"asOf", "document"})
        mine, other = (
            {name: one for name, one in each.items() if name not in left_out} for each in (self.content, content)
        )
        return canonical.dump(mine) == canonical.dump(other)


@dataclass(frozen=True, slots=True)
class Table:
    """What a file says, and what was left out: (sheet, row or 0, heading or what stands there)."""

    facts: tuple[Fact, ...]
    left_out: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What was said before: the id of a statement and its content."""

    id: bytes
    content: Mapping[str, Any]


def about(kind: str, content: Mapping[str, Any]) -> tuple[str, ...]:
    """What a fact is about, as its issuer has written that: of two facts about the same the newer one holds."""
    found = [kind]
    for column in BY_KIND[kind].columns:
        if column.is_key:
            value: Any = content
            for step in column.path.strip("/").split("/"):
                value = value.get(step, "") if isinstance(value, Mapping) else ""
            if isinstance(value, Mapping):
                value = value.get("number", "")
            found.append(" ".join(value) if isinstance(value, list) else str(value))
    return tuple(found)


def to_say(facts: Iterable[Fact], known: Mapping[tuple[str, ...], Known]) -> list[tuple[Fact, dict[str, Any]]]:
    """Those of `facts` that say something new, with the contents to sign; `known` is what was said of each thing last.

    What is no newer than what it changes corrects that, or the earlier one would still hold.
    """
    found = []
    for fact in facts:
        before = known.get(fact.about)
        if before is None:
            found.append((fact, dict(fact.content)))
        elif not fact.says_the_same(before.content):
            is_newer = instant(fact.content["asOf"]) > instant(before.content["asOf"])
            found.append((fact, {**fact.content, **({} if is_newer else {"corrects": to_hex(before.id)})}))
    return found


def read(data: bytes, rules: Rules, kind: str | None = None) -> Table:
    """The facts in an Excel workbook, or of one `kind` in a CSV file; raises UnfitTable."""
    reading = _Reading(rules)
    if workbook.is_workbook(data):
        try:
            sheets = workbook.sheets_of(data, MAX_ROWS)
        except workbook.UnreadableWorkbook as error:
            raise UnfitTable([Problem("", None, "", "", str(error))]) from error
        alone = len(sheets) == 1
        for one in sheets:
            reading.show(one)
            reading.sheet(one.name, one.rows, one.merged, kind if alone else None)
    else:
        if kind is None:
            known = ", ".join(BY_KIND)
            raise UnfitTable([Problem("", None, "", "", f"of a CSV file say of which kind it is: {known}")])
        try:
            rows = goods_in.text_table(data)
        except goods_in.UnfitRows as error:
            raise UnfitTable([Problem("", None, "", "", one) for one in error.problems]) from error
        if len(rows) > MAX_ROWS:
            raise UnfitTable([Problem("", None, "", "", f"the file has more than {MAX_ROWS} rows: send it in parts")])
        reading.sheet("", rows, (), kind)
    return reading.table()


def read_fields(kind: str, rows: Sequence[Mapping[str, str]], rules: Rules) -> list[Fact]:
    """The facts in the fields of a form, row by row, each by the names of its columns; raises UnfitTable."""
    sheet = BY_KIND[kind]
    reading = _Reading(rules)
    titles = {one.name: one.title("en") for one in sheet.columns}
    reading.facts_of(sheet, [_Row(reading, "", number, titles, row) for number, row in enumerate(rows, 1)])
    return list(reading.table().facts)


class _Reading:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.problems: list[Problem] = []
        self.wrong = 0
        self.facts: list[Fact] = []
        self.left_out: list[tuple[str, int, str]] = []

    def table(self) -> Table:
        if not self.problems and not self.facts:
            self.complain("", None, "", "", "there is nothing in it: fill in at least one row")
        self._hold_to_sites()
        self._hold_to_once()
        if self.problems:
            raise UnfitTable(self.problems, self.wrong - len(self.problems))
        return Table(tuple(self.facts), tuple(self.left_out))

    def complain(self, sheet: str, row: int | None, column: str, title: str, what: str) -> None:
        self.wrong += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(sheet, row, column, title, what))

    def show(self, sheet: workbook.SheetOfCells) -> None:
        """Complain of what nobody sees who opens the workbook and sends it."""
        rows = [number for number, cells in sheet.rows if not cells[0].strip().startswith(NOTE)]
        if sheet.is_hidden and len(rows) > 1 and _sheet_named(sheet.name) is not None:
            what = "is hidden, and what stands there would be signed: show it, or delete it"
            self.complain(sheet.name, None, "", "", what)
        for number in rows:
            if number in sheet.hidden:
                what = "is hidden, by a filter maybe, and would be signed: show it, or delete it"
                self.complain(sheet.name, number, "", "", what)

    def sheet(
        self, name: str, rows: Iterable[tuple[int, list[str]]], merged: Sequence[str], kind: str | None = None
    ) -> None:
        sheet = BY_KIND.get(kind) if kind else _sheet_named(name)
        if kind and sheet is None:
            self.complain(name, None, "", "", f"{kind!r} is no kind of fact; known are {', '.join(BY_KIND)}")
            return
        if sheet is None:
            if name not in START:
                known = ", ".join(one.en for one in SHEETS)
                self.complain(name, None, "", "", f"no sheet of the template is called so; known are {known}")
            return
        for one in merged:
            self.complain(name, None, "", "", f"the cells {one} are merged: undo that, and fill in each row")
        heading: list[Column | None] = []
        titles: dict[str, str] = {}
        found: list[_Row] = []
        for number, cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            if cells[0].strip().startswith(NOTE):
                if not _is_template_row(sheet, cells):
                    self.left_out.append((name, number, cells[0].strip()))
                continue
            if not heading:
                heading = self._heading(name, number, sheet, cells)
                titles = {one.name: title.strip() for one, title in zip(heading, cells, strict=True) if one is not None}
                continue
            values: dict[str, str] = {}
            for place, cell in enumerate(cells):
                column = heading[place] if place < len(heading) else None
                if column is not None:
                    values[column.name] = cell.strip()
                elif cell.strip() and place >= len(heading):
                    self.complain(name, number, "", "", f"{cell.strip()[:40]!r} stands right of the last heading")
            if any(values.values()):
                found.append(_Row(self, name, number, titles, {**self.rules.fixed, **values}))
        self.facts_of(sheet, found)

    def _heading(self, name: str, number: int, sheet: Sheet, cells: Sequence[str]) -> list[Column | None]:
        known = {_plain(one): column for column in sheet.columns for one in (column.name, column.en, column.de)}
        mapped = {_plain(theirs): ours for theirs, ours in self.rules.columns.items()}
        is_foreign = bool(self.rules.columns or self.rules.fixed)
        heading: list[Column | None] = []
        for cell in cells:
            title, written = _plain(cell), cell.strip()
            if title in mapped:
                column = known.get(_plain(mapped[title]))
                if column is None and mapped[title]:
                    names = ", ".join(one.name for one in sheet.columns)
                    self.complain(name, number, "", written, f"{mapped[title]!r} is no column; known are {names}")
            else:
                column = known.get(title)
                if column is None and title and is_foreign:
                    self.left_out.append((name, number, written))
                elif column is None and title:
                    near = get_close_matches(title, known, 1)
                    advice = f"; is it {known[near[0]].en!r}?" if near else ""
                    names = ", ".join(one.en for one in sheet.columns)
                    self.complain(name, number, "", written, f"means nothing here{advice} Known are: {names}")
            if column is not None and column in heading:
                self.complain(name, number, column.name, written, "comes twice")
            heading.append(column)
        there = {one.name for one in heading if one is not None} | self.rules.fixed.keys()
        for one in sheet.columns:
            if one.is_needed and one.name not in there:
                self.complain(name, number, one.name, one.en, "this column is missing")
        return heading

    # -- facts ---------------------------------------------------------------------------------------------------------

    def facts_of(self, sheet: Sheet, rows: Sequence["_Row"]) -> None:
        groups: dict[tuple[str, ...], list[_Row]] = defaultdict(list)
        keys = [one for one in sheet.columns if one.is_key]
        is_list = any(one.repeats for one in sheet.columns)
        for row in rows:
            key = tuple(row.key(one) for one in keys)
            if not all(name for name, one in zip(key, keys, strict=True) if one.is_needed):
                for one in sheet.columns:
                    if not one.is_key:
                        row.value(one)  # tell of all that is wrong at once
                continue
            if key in groups and not is_list:
                row.complain(keys[0].name, f"says the same again as row {groups[key][0].number}: keep one of them")
                continue
            groups[key].append(row)
        for some in groups.values():
            before = self.wrong
            fact = _Group(self, sheet, some).fact()
            if self.wrong == before:
                self.facts.append(fact)

    def _hold_to_once(self) -> None:
        """Complain of what two sheets of one kind both say."""
        first: dict[tuple[str, ...], Fact] = {}
        for one in self.facts:
            other = first.setdefault(one.about, one)
            if other is not one:
                column = next(each for each in BY_KIND[one.kind].columns if each.is_key)
                where = f"sheet {other.sheet}, row {other.row}" if other.sheet else f"row {other.row}"
                self.complain(one.sheet, one.row, column.name, column.en, f"is said by {where} too: keep one of them")

    def _hold_to_sites(self) -> None:
        """Complain of what is said of places that are no sites of whoever says it."""
        if self.rules.sites is None:
            return
        own = self.rules.sites | {one.about[1] for one in self.facts if one.kind == "site"}
        for one in self.facts:
            names = _OWN_SITE.get(one.kind, ())
            if names and not any(one.content[name] in own for name in names):
                column = BY_KIND[one.kind].column(names[-1])
                what = "is no site of yours: describe it on the sheet Sites, or correct the number"
                if len(names) > 1:
                    what = f"neither this nor {BY_KIND[one.kind].column(names[0]).en} {what}"
                self.complain(one.sheet, one.row, column.name, column.en, what)


class _Row:
    """One row, read cell by cell; what is wrong is noted with its place."""

    def __init__(
        self, reading: _Reading, sheet: str, number: int, titles: Mapping[str, str], values: Mapping[str, str]
    ) -> None:
        self.reading = reading
        self.sheet = sheet
        self.number = number
        self.titles = titles
        self.values = values

    def complain(self, column: str, what: str) -> None:
        self.reading.complain(self.sheet, self.number, column, self.titles.get(column, column), what)

    def text(self, name: str) -> str:
        return self.values.get(name, "")

    def key(self, column: Column) -> str:
        if column.is_needed and not self.text(column.name):
            self.complain(column.name, "is empty")
        value = self.value(column)
        return " ".join(value) if isinstance(value, list) else str(value or "")

    def value(self, column: Column) -> Any:
        """What the cell says, as contents write it; None where it is empty or, with a complaint, cannot be read."""
        text = self.text(column.name)
        if not text:
            return None
        if text == workbook.FORMULA:
            self.complain(column.name, "is a formula: copy the column and paste it as values")
            return None
        if text == workbook.TOO_LONG:
            self.complain(column.name, "is a number that Excel has cut to 15 digits: format the cells as text")
            return None
        if len(text) > 2000:
            self.complain(column.name, "has more than 2000 characters")
            return None
        try:
            return _READ[column.sort](text, self.reading.rules)
        except (LedgerError, ValueError) as error:
            self.complain(column.name, error.what if isinstance(error, MalformedInput) else str(error))
            return None


class _Group:
    """The rows of one fact."""

    def __init__(self, reading: _Reading, sheet: Sheet, rows: Sequence[_Row]) -> None:
        self.reading = reading
        self.sheet = sheet
        self.rows = rows

    def fact(self) -> Fact:
        """The fact; where something was complained of it is not to be used."""
        values = {one.name: self._one(one) for one in self.sheet.columns if not one.repeats}
        now = self.reading.rules.now
        is_dated = values.get("as_of") is not None
        as_of = values.get("as_of") or clock_text(now)
        content: dict[str, Any] = {
            "asOf": as_of,
            "document": {"type": "facts-table", "number": values.get("document") or as_of[:10]},
        }
        _BUILD.get(self.sheet.kind, _build)(self, values, content)
        if not self.reading.problems:
            try:
                PARSERS[self.sheet.kind]({**content, "to": []}, "", latest=now + CLOCK_TOLERANCE_MS)
            except MalformedInput as error:
                self._complain_at(error)
        name = self.sheet.kind
        return Fact(name, content, about(name, content), is_dated, self.rows[0].sheet, self.rows[0].number)

    def _one(self, column: Column) -> Any:
        """The one value of a column that all rows of the fact share."""
        told = [row for row in self.rows if row.text(column.name)]
        if not told:
            if column.is_needed:
                self.rows[0].complain(column.name, "is empty")
            return None
        first = told[0].value(column)
        for row in told[1:]:
            if row.text(column.name) != told[0].text(column.name) and row.value(column) != first:
                row.complain(column.name, f"is not what row {told[0].number} says of the same")
        return first

    def lists(self, *names: str, optional: str | None = None) -> list[tuple[Any, ...]]:
        """What the rows say in columns that go together; rows in which all of them are empty say nothing.

        What an `optional` column says beside them comes last, None where it says nothing.
        """
        found = []
        columns = (*names, *(() if optional is None else (optional,)))
        for row in self.rows:
            if not any(row.text(name) for name in columns):
                continue
            values = tuple(row.value(self.sheet.column(name)) for name in columns)
            for name, value in zip(names, values, strict=False):
                if value is None and not row.text(name):
                    row.complain(name, "is empty, and what stands beside it needs it")
            if None not in values[: len(names)]:
                found.append(values)
        return found

    def complain(self, column: str, what: str) -> None:
        row = next((one for one in self.rows if one.text(column)), self.rows[0])
        row.complain(column, what)

    def _complain_at(self, error: MalformedInput) -> None:
        where, last = error.where, error.where.rpartition("/")[2]
        near = [
            one for one in self.sheet.columns if where and (where.startswith(one.path) or one.path.startswith(where))
        ]
        best = max(near, key=lambda one: (where.startswith(one.path), one.name.endswith(last)), default=None)
        if best is None:
            self.rows[0].complain("", error.what)
        else:
            self.complain(best.name, error.what)


# -- from rows to contents ---------------------------------------------------------------------------------------------


def _build(group: _Group, values: Mapping[str, Any], content: dict[str, Any]) -> None:
    """Put each value where its column says; those that are empty stay out."""
    for column in group.sheet.columns:
        value = values.get(column.name)
        if value is None or column.repeats or column.name in ("as_of", "document"):
            continue
        inner = content
        *steps, last = column.path.strip("/").split("/")
        for step in steps:
            inner = inner.setdefault(step, {})
        inner[last] = value


def _build_bill(group: _Group, values: Mapping[str, Any], content: dict[str, Any]) -> None:
    _build(group, values, content)
    needs = group.lists("needs_part", "needs_quantity", "needs_uom", optional="needs_essential")
    if not needs and not group.reading.problems:
        group.complain("needs_part", "is empty")
    content["needs"] = [
        {"part": part, "quantity": quantity, "uom": uom} | ({} if essential is None else {"essential": essential})
        for part, quantity, uom, essential in needs
    ]


def _build_stock(group: _Group, values: Mapping[str, Any], content: dict[str, Any]) -> None:
    if values["quantity"] is None and not group.reading.problems:
        group.complain("quantity", "is empty: where nothing is in stock, write 0")
    _build(group, values, content)
    coming = group.lists("coming_from", "coming_on", "coming_quantity")
    if coming:
        content["onTheWay"] = [dict(zip(("from", "arrives", "quantity"), one, strict=True)) for one in coming]


def _build_price(group: _Group, values: Mapping[str, Any], content: dict[str, Any]) -> None:
    _build(group, values, content)
    price, currency = values["price"], values["currency"]
    if price is None or currency is None:
        return
    cents = Fraction(price) * 10 ** _MINOR_DIGITS.get(currency, 2)
    if cents.denominator != 1:
        group.complain("price", f"{currency} has no such small parts: write as many decimals as it has")
        return
    content["minorUnits"] = cents.numerator


def _build_plan(group: _Group, values: Mapping[str, Any], content: dict[str, Any]) -> None:
    _build(group, values, content)
    content["triggers"] = [
        dict(zip(("kind", "name"), one, strict=True)) for one in group.lists("trigger_kind", "trigger_name")
    ]
    measures = group.lists("member", "what", "within_hours")
    content["measures"] = [dict(zip(("member", "what", "withinHours"), one, strict=True)) for one in measures]


_BUILD: dict[str, Callable[[_Group, Mapping[str, Any], dict[str, Any]], None]] = {
    "bill-of-material": _build_bill,
    "stock": _build_stock,
    "product-price": _build_price,
    "continuity-plan": _build_plan,
}


# -- cells -------------------------------------------------------------------------------------------------------------


def number_text(text: str, decimal: str | None, *, is_small: bool = False) -> str:
    """A number as people and Excel write it, as contents write it: digits, maybe a point, no noughts at the end.

    `decimal` is the decimal sign of text. Without it a number that could be two is refused; `is_small` says that it
    has no thousands. Raises ValueError.

    >>> [number_text(one, None) for one in ("1,234.5", "1.234,50", "0,5", "1e-07", "12 500")]
    ['1234.5', '1234.5', '0.5', '0.0000001', '12500']
    """
    written = text.strip().removeprefix("+")
    if written.startswith(("-", "\N{MINUS SIGN}")):
        raise ValueError(f"{text!r} is below 0")
    marks = [one for one in ",." if one in written]
    if decimal is not None:
        sign = decimal
    elif len(marks) == 2:
        sign = max(marks, key=written.rindex)
    elif marks and written.count(marks[0]) > 1:
        sign = "." if marks[0] == "," else ","
    elif marks and not is_small and _GROUPS.fullmatch(written) and not written.startswith("0"):
        whole, _, rest = written.partition(marks[0])
        raise ValueError(f"{text!r} could be {whole}{rest} or {whole}.{rest}: say which sign is the decimal sign")
    else:
        sign = marks[0] if marks else "."
    whole, _, rest = written.partition(sign)
    grouped = _GROUPS.fullmatch(whole)
    if grouped:
        whole = whole.replace(grouped.group(1), "")
    try:
        number = Decimal(f"{whole}.{rest}" if rest else whole)
    except InvalidOperation:
        raise ValueError(f"{text[:40]!r} is no number") from None
    if not number.is_finite() or len(text) > 40 or abs(number.adjusted()) > 30:
        raise ValueError(f"{text[:40]!r} is no number that can be used")
    return goods_in.decimal_text(Fraction(number))


def _number(text: str, rules: Rules) -> str:
    return number_text(text, rules.decimal)


def _small(text: str, rules: Rules) -> str:
    return number_text(text, rules.decimal, is_small=True)


def _degrees(text: str, rules: Rules) -> str:
    is_below = text.strip().startswith(("-", "\N{MINUS SIGN}"))
    plain = _small(text.strip().lstrip("-\N{MINUS SIGN}").removesuffix("°").strip(), rules)
    return f"-{plain}" if is_below and plain != "0" else plain


def _share(text: str, rules: Rules) -> str:
    percent = Fraction(_small(text.removesuffix("%").strip(), rules))
    if not text.endswith("%") and 0 < percent <= 1:
        raise ValueError(f"{text!r} could be {text} % or {goods_in.decimal_text(percent * 100)} %: write the sign %")
    if percent > 100:
        raise ValueError(f"{text!r} is more than 100 %")
    return goods_in.decimal_text(percent / 100)


def _whole(text: str, rules: Rules) -> int:
    plain = _number(text, rules)
    if "." in plain:
        raise ValueError(f"{text!r} is no whole number")
    return int(plain)


def _day(text: str, _rules: Rules) -> str:
    return goods_in.day_text(text)


def _dates(text: str, rules: Rules) -> list[str]:
    return sorted(_day(one, rules) for one in _several(text))


def _time(text: str, rules: Rules) -> str:
    """A time with its offset: text that has one stays; a day is its beginning in the zone of the table."""
    try:
        if instant(text):
            return text
    except (ValueError, OverflowError):
        pass
    day, _, clock = text.strip().replace("T", " ").partition(" ")
    plain = goods_in.day_text(day)
    try:
        there = datetime.fromisoformat(f"{plain} {clock or '00:00'}").replace(tzinfo=rules.zone)
    except ValueError:
        raise ValueError(f"{clock[:40]!r} is no time of day: write it as 06:00") from None
    if there.astimezone(UTC).astimezone(rules.zone).replace(fold=0) != there:
        raise ValueError(f"there is no {text} in {rules.zone.key}: clocks are put forward then")
    return there.isoformat()


def _weekdays(text: str, _rules: Rules) -> list[int]:
    found: set[int] = set()
    for one in re.split(r"[,;]", text.replace("–", "-")):
        ends = [_WEEKDAYS.get(end.strip().casefold().rstrip("."), 0) for end in one.split("-")]
        if not 1 <= len(ends) <= 2 or 0 in ends or ends[0] > ends[-1]:
            raise ValueError(
                f"{one.strip()[:20]!r} is no day of the week, or none to another: write Mon-Fri or Mon, Wed"
            )
        found.update(range(ends[0], ends[-1] + 1))
    return sorted(found)


def read_place(text: str, _rules: Rules | None = None) -> str:
    """The key of a place as people write it; a bare GLN will do. Raises MalformedInput."""
    written = text.removeprefix("GLN").strip()
    digits = written.replace(" ", "")
    return Reader({"site": f"(414){digits}" if digits.isdigit() and len(digits) == 13 else written}, "", "site").place(
        "site"
    )


def read_part(text: str, _rules: Rules | None = None) -> str:
    """The key of a part as people write it: a bare GTIN, or HX-12 (owner.example.org). Raises MalformedInput."""
    written = text.removeprefix("GTIN").strip()
    own = _OWN_PART.fullmatch(written)
    if own is not None:
        written = f"did:web:{own['owner']}/part/{own['number']}"
    elif written.isdigit() and len(written) in (8, 12, 13, 14):
        written = f"(01){written.rjust(14, '0')}"
    return Reader({"part": written}, "", "part").part("part")


def _parts(text: str, _rules: Rules) -> list[str]:
    return [read_part(one) for one in _several(text)]


def _unit(text: str, _rules: Rules) -> str:
    code = _UNITS.get(text.casefold(), text.upper())
    try:
        return Reader({"uom": code}, "", "uom").measure()
    except MalformedInput:
        known = ", ".join(names[0] for names in UNITS.values())
        raise ValueError(f"{text[:20]!r} is no unit: write {known}, or a code of UN/ECE Recommendation 20") from None


def _yes(text: str, _rules: Rules) -> bool:
    word = text.casefold()
    if word not in _YES | _NO:
        raise ValueError(f"{text[:20]!r} is neither yes nor no")
    return word in _YES


def _level(text: str, _rules: Rules) -> str:
    if text.casefold() not in _LEVELS:
        raise ValueError(f"{text[:40]!r} is no level; there are {', '.join(LEVELS)}")
    return _LEVELS[text.casefold()]


def _levels(text: str, rules: Rules) -> list[dict[str, str]]:
    found = []
    for one in _several(text):
        name, colon, level = one.rpartition(":")
        if not colon:
            raise ValueError(f"{one[:40]!r}: write a member and its level, as Havelmark: named")
        found.append({"level": _level(level.strip(), rules), "member": to_hex(rules.member(name.strip()))})
    return found


def _several(text: str) -> list[str]:
    return [one.strip() for one in re.split(r"[;\n]", text) if one.strip()]


def _word(text: str, _rules: Rules) -> str:
    return text.casefold()


_READ: dict[Sort, Callable[[str, Rules], Any]] = {
    Sort.TEXT: lambda text, _: text,
    Sort.PLACE: read_place,
    Sort.PART: read_part,
    Sort.PARTS: _parts,
    Sort.UNIT: _unit,
    Sort.NUMBER: _number,
    Sort.DEGREES: _degrees,
    Sort.SHARE: _share,
    Sort.SHARES: lambda text, rules: [_share(one, rules) for one in _several(text)],
    Sort.WORDS: lambda text, _: [one.strip().casefold() for one in text.split(",") if one.strip()],
    Sort.DAYS: _whole,
    Sort.WHOLE: _whole,
    Sort.MONEY: _number,
    Sort.DAY: _day,
    Sort.DATES: _dates,
    Sort.TIME: _time,
    Sort.WEEKDAYS: _weekdays,
    Sort.YES: _yes,
    Sort.LEVEL: _level,
    Sort.LEVELS: _levels,
    Sort.TRIGGER: _word,
    Sort.MEMBER: lambda text, rules: to_hex(rules.member(text)),
    Sort.PORT: lambda text, _: text.upper(),
    Sort.CURRENCY: lambda text, _: text.upper(),
}


def _plain(title: str) -> str:
    """A heading without what people change about it."""
    return " ".join(title.replace("_", " ").replace("-", " ").rstrip("* ").casefold().split())


def _sheet_named(name: str) -> Sheet | None:
    wanted = _plain(name)
    return next((one for one in SHEETS if wanted in (_plain(one.kind), _plain(one.en), _plain(one.de))), None)


def _is_template_row(sheet: Sheet, cells: Sequence[str]) -> bool:
    """Whether a row that begins with # is one of the template's own, in any language."""
    written = [one.strip() for one in cells]
    return any(
        written[: len(row)] == row and not any(written[len(row) :])
        for language in LANGUAGES
        for row in map(_without_end, explaining_rows(sheet, language))
    )


def _without_end(row: list[str]) -> list[str]:
    """`row` without empty cells at its end, as a workbook gives it."""
    while row and not row[-1]:
        row = row[:-1]
    return row

"""Despatches as an ERP system exports them: one row for each line in each unit, made into offers. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from api.gateway import with_times
from api.goods_in import Cells, UnfitRows, day_text, rows_of
from ledger_service import facts
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.instants import clock_text, instant
from ledger_service.keys import to_hex

COLUMNS = (
    "document", "document_type", "version", "taker", "unit", "line", "part", "batch", "quantity", "uom", "ship_from",
    "ship_to", "carrier", "carrier_for", "seal", "despatched_at", "arrives", "deadline",
)  # fmt: skip
_NEEDED = ("document", "taker", "unit")
_OF_ALL_ROWS = (
    "document_type", "version", "taker", "ship_from", "ship_to", "carrier", "carrier_for", "seal", "despatched_at",
    "arrives", "deadline",
)  # fmt: skip
_ALIASES = {"eta": "arrives", "sscc": "unit", "delivery_note": "document", "customer": "taker"}


def read_despatches(data: bytes, member: Callable[[str], bytes], *, giver: bytes, now: int) -> list[dict[str, Any]]:
    """The despatches in a CSV file, as `CustodyGateway.offer` takes them; rows of one document make one despatch.

    `member` gives the id of the member that is called so, or raises; `giver` stays custodian where a row names a
    haulier alone. Times that no row names are left to the offer. Raises UnfitRows, which names each row and column
    that cannot be used; then there is no despatch.
    """
    problems: list[str] = []
    documents: dict[str, dict[str, Any]] = {}
    firsts: dict[str, tuple[int, Mapping[str, str]]] = {}
    for number, raw in rows_of(data, (), COLUMNS):
        row = {_ALIASES.get(name, name): value for name, value in raw.items()}
        missing = [name for name in _NEEDED if name not in row]
        if missing:
            raise UnfitRows([f"row 1: the column {', '.join(missing)} is missing; known are {', '.join(COLUMNS)}"])
        cells = Cells(row, number, problems)
        document = cells.text("document", longest=35)
        if not document:
            continue
        if document not in documents:
            documents[document] = _head(cells, row, member, giver, now)
            firsts[document] = (number, row)
        first, told = firsts[document]
        for column in _OF_ALL_ROWS:
            if row.get(column, "") != told.get(column, ""):
                cells.complain(column, f"is not what row {first} says of the same document {document}")
        _add_line(cells, row, documents[document]["units"])
    if not problems:
        for document, value in documents.items():
            value["units"] = list(value["units"].values())
            try:
                facts.check("despatch", with_times(value, now, 1) | {"to": []}, now)
            except MalformedInput as error:
                number, _ = firsts[document]
                problems.append(f"row {number}, document {document}: {error}")
    if problems:
        raise UnfitRows(problems)
    return list(documents.values())


def _head(
    cells: Cells, row: Mapping[str, str], member: Callable[[str], bytes], giver: bytes, now: int
) -> dict[str, Any]:
    value: dict[str, Any] = {
        "document": {
            "type": cells.text("document_type", longest=35, otherwise="delivery-note"),
            "number": row["document"],
        },
        "taker": _member(cells, "taker", member),
        "units": {},
    }
    for column, name in (("despatched_at", "despatchedAt"), ("deadline", "deadline")):
        if row.get(column):
            value[name] = clock_text(_time(cells, row, column, now))
    if row.get("arrives"):
        value["arrives"] = _arrival(cells, row["arrives"])
    if row.get("version"):
        value["document"]["version"] = cells.text("version", longest=10)
    for column, name in (("ship_from", "shipFrom"), ("ship_to", "shipTo")):
        place = cells.place(column)
        if place is not None:
            value[name] = place
    if row.get("seal"):
        value["seal"] = cells.text("seal", longest=35)
    if row.get("carrier"):
        stays = _member(cells, "carrier_for", member) if row.get("carrier_for") else to_hex(giver)
        value["carrier"] = {"name": cells.text("carrier"), "for": stays}
    return value


def _add_line(cells: Cells, row: Mapping[str, str], units: dict[str, dict[str, Any]]) -> None:
    key = cells.unit("unit")
    if not key:
        return
    unit = units.setdefault(key, {"id": key})
    if not row.get("part") and not row.get("quantity"):
        return
    part, (quantity, uom) = cells.part("part"), cells.quantity()
    line: dict[str, str] = {"part": part, "quantity": quantity, "uom": uom}
    for column, longest in (("batch", 20), ("line", 10)):
        if row.get(column):
            line[column] = cells.text(column, longest=longest)
    unit.setdefault("contents", []).append(line)


def _member(cells: Cells, column: str, member: Callable[[str], bytes]) -> str:
    name = cells.text(column, longest=300)
    if not name:
        return ""
    try:
        return to_hex(member(name))
    except (LedgerError, ValueError) as error:
        cells.complain(column, str(error))
        return ""


def _arrival(cells: Cells, written: str) -> str:
    """A day, or a time with its offset as it was written."""
    try:
        if instant(written):
            return written
    except (ValueError, OverflowError):
        pass
    try:
        return day_text(written)
    except ValueError as error:
        cells.complain("arrives", str(error))
        return ""


def _time(cells: Cells, row: Mapping[str, str], column: str, otherwise: int) -> int:
    text = row.get(column, "")
    if not text:
        return otherwise
    try:
        return instant(text)
    except (ValueError, OverflowError):
        cells.complain(column, f"{text!r} is no date and time with its offset, as 2026-09-18T16:10:00+02:00")
        return otherwise

"""What somebody filled in on the page, read into the receipt that it says. Pure.

Fields are named by place: `u3` says whether unit 3 is there, `w3.0`, `q3.0` and `f3.0` what is wrong with its first
line, how many, and which part came instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from api.texts import quantity_text
from ledger_service.custody.kinds import (
    MAX_ITEMS,
    Basis,
    Despatch,
    Deviation,
    Line,
    Outcome,
    Reader,
    Receipt,
    read_unit,
)
from ledger_service.errors import MalformedInput
from ledger_service.keys import to_hex

MAX_REASON = 500
MAX_DOCUMENT = 35
FINE, ARRIVED, MISSING = "fine", "arrived", "missing"
_MAX_EXTRA = 50
_LINE_FAULTS = (Deviation.SHORT, Deviation.OVER, Deviation.DAMAGED, Deviation.WRONG_PART)

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Mistake:
    """A field that cannot be read: its name, the text of the catalogue that says why, and what was in it."""

    field: str
    error: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Remark:
    """A discrepancy as the page words it; `unit` alone where all of it is meant."""

    what: str
    unit: str
    quantity: str | None = None
    uom: str | None = None
    part: str | None = None
    found: str | None = None


@dataclass(frozen=True, slots=True)
class FilledIn:
    """What the form says: an outcome with its remarks, or the mistakes that keep it from saying anything."""

    outcome: Outcome
    units: tuple[str, ...]
    basis: Basis
    remarks: tuple[Remark, ...]
    reason: str
    document: str
    mistakes: tuple[Mistake, ...]

    def content(self, despatch_id: bytes, despatch: Despatch, to: Sequence[bytes], received_at: str) -> dict[str, Any]:
        """The content of the receipt; it reads without a fault where there are no mistakes."""
        number = self.document or f"{despatch.document.number[:22].strip()}-{despatch_id.hex()[:8]}"
        content: dict[str, Any] = {
            "to": [to_hex(one) for one in sorted(to)],
            "document": {"type": "goods-receipt", "number": number},
            "despatch": to_hex(despatch_id),
            "receivedAt": received_at,
            "outcome": str(self.outcome),
            "basis": str(self.basis),
            "units": list(self.units),
        }
        if self.remarks:
            content["discrepancies"] = [_discrepancy(one) for one in self.remarks]
        if self.outcome is Outcome.REFUSED:
            content["reason"] = self.reason
        if despatch.ship_to is not None:
            content["place"] = despatch.ship_to
        Receipt.parse(content)
        return content


def remarks_of(receipt: Receipt) -> tuple[Remark, ...]:
    """What a receipt notes, as the page words it."""
    return tuple(
        Remark(
            one.what,
            one.unit.key,
            None if one.quantity is None else quantity_text(one.quantity),
            one.uom,
            one.part,
            one.found,
        )
        for one in receipt.discrepancies
    )


def read_refusal(fields: Fields, units: Sequence[str]) -> FilledIn:
    """What the form for refusing says of `units`."""
    reason = " ".join(fields.get("reason", "").split())
    mistakes = () if 0 < len(reason) <= MAX_REASON else (Mistake("reason", "error_reason"),)
    return FilledIn(Outcome.REFUSED, tuple(units), Basis.LISTED, (), reason, "", mistakes)


def read_answer(fields: Fields, despatch: Despatch, places: Sequence[int]) -> FilledIn:
    """What the form for accepting says of the units of `despatch` at `places`, those that nobody has answered."""
    remarks: list[Remark] = []
    mistakes: list[Mistake] = []
    for place in places:
        unit = despatch.units[place]
        if fields.get(f"u{place}") == MISSING:
            remarks.append(Remark(Deviation.SHORT, unit.id.key))
            continue
        for number, line in enumerate(unit.contents):
            fault = fields.get(f"w{place}.{number}", FINE)
            if fault in _LINE_FAULTS:
                _read_line(fields, f"{place}.{number}", Deviation(fault), unit.id.key, line, remarks, mistakes)
    units = [despatch.units[place].id.key for place in places]
    announced = {one.id.key for one in despatch.units}
    for extra in fields.get("extra", "").split("\n")[:_MAX_EXTRA]:
        written = extra.strip()
        if not written:
            continue
        try:
            key = read_unit(f"(00){written}" if written.isdigit() and len(written) == 18 else written, "").key
        except MalformedInput:
            mistakes.append(Mistake("extra", "error_extra", written[:60]))
            continue
        if key not in announced and key not in units:
            units.append(key)
            remarks.append(Remark(Deviation.OVER, key))
    document = " ".join(fields.get("document", "").split())
    if len(document) > MAX_DOCUMENT:
        mistakes.append(Mistake("document", "error_document"))
    basis = fields.get("basis", "")
    if basis not in set(Basis):
        mistakes.append(Mistake("basis", "error_basis"))
    if len(units) > MAX_ITEMS or len(remarks) > MAX_ITEMS:
        mistakes.append(Mistake("extra", "error_extra", ""))
    outcome = Outcome.WITH_DISCREPANCIES if remarks else Outcome.ACCEPTED
    known = Basis(basis) if basis in set(Basis) else Basis.LISTED
    return FilledIn(outcome, tuple(units), known, tuple(remarks), "", document, tuple(mistakes))


def _read_line(
    fields: Fields,
    place: str,
    fault: Deviation,
    unit: str,
    line: Line,
    remarks: list[Remark],
    mistakes: list[Mistake],
) -> None:
    """Note what is wrong with one line of a unit, or why that cannot be read."""
    quantity = _quantity(fields.get(f"q{place}", ""), line.uom)
    if quantity is None or (fault is not Deviation.OVER and quantity > line.quantity):
        mistakes.append(Mistake(f"q{place}", "error_over" if fault is Deviation.OVER else "error_quantity"))
        return
    found = None
    if fault is Deviation.WRONG_PART:
        found = _part(fields.get(f"f{place}", ""))
        if found is None:
            mistakes.append(Mistake(f"f{place}", "error_found"))
            return
    remarks.append(Remark(fault, unit, quantity_text(quantity), line.uom, line.part, found))


def _quantity(text: str, uom: str) -> Fraction | None:
    written = text.strip().replace(",", ".")
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    try:
        quantity, _ = Reader({"quantity": written, "uom": uom}, "", "quantity uom").quantity()
    except MalformedInput:
        return None
    return quantity


def _part(text: str) -> str | None:
    written = text.strip()
    if written.isdigit() and len(written) in (8, 12, 13, 14):
        written = f"(01){written.rjust(14, '0')}"
    try:
        return Reader({"found": written}, "", "found").part("found")
    except MalformedInput:
        return None


def _discrepancy(one: Remark) -> dict[str, Any]:
    value: dict[str, Any] = {"unit": one.unit, "what": str(one.what)}
    if one.quantity is not None:
        value |= {"quantity": one.quantity, "uom": one.uom, "part": one.part}
    if one.found is not None:
        value["found"] = one.found
    return value

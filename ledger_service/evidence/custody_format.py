"""The custody section of a bundle: the steps that the chain took, and what proves that none is missing. Pure.

Byte for byte in `docs/formats.md`, section 6.
"""

from dataclasses import dataclass
from typing import Any, Self

from ledger_service.errors import MalformedInput
from ledger_service.evidence.reader import Reader
from ledger_service.handoffs import TakenStep
from ledger_service.identifiers import identify
from ledger_service.keys import SIGNATURE_BYTES, bytes_from_hex, from_hex, to_hex


@dataclass(frozen=True, slots=True)
class UnitSteps:
    """All steps of one unit of the chain, in order; none for a unit that was never opened."""

    unit: bytes
    steps: tuple[TakenStep, ...]

    def as_json(self) -> dict[str, Any]:
        return {"steps": [one.as_json() for one in self.steps], "unit": to_hex(self.unit)}

    @classmethod
    def read(cls, value: Any, where: str) -> Self:
        reader = Reader(value, where, "unit")
        reader.only("steps unit")
        steps = tuple(TakenStep.read(item, at) for at, item in reader.items("steps"))
        return cls(reader.bytes("unit", 32), steps)


@dataclass(frozen=True, slots=True)
class CertificateProof:
    """The block and the receipt in which the contract says where `units` stand.

    `transaction_hash` is where to look on the chain; nothing rests on it.
    """

    units: tuple[bytes, ...]
    transaction_hash: bytes
    header: bytes
    receipt_index: int
    receipt_proof: tuple[bytes, ...]
    attestation: bytes | None

    def as_json(self) -> dict[str, Any]:
        return {
            "attestation": None if self.attestation is None else to_hex(self.attestation),
            "header": to_hex(self.header),
            "receiptIndex": self.receipt_index,
            "receiptProof": [to_hex(one) for one in self.receipt_proof],
            "transaction": to_hex(self.transaction_hash),
            "units": [to_hex(one) for one in self.units],
        }

    @classmethod
    def read(cls, value: Any, where: str) -> Self:
        reader = Reader(value, where, "certificate")
        reader.only("attestation header receiptIndex receiptProof transaction units")
        units = tuple(from_hex(one, 32, f"{where}/units/{at}") for at, one in enumerate(reader.texts("units")))
        return cls(
            units=units,
            transaction_hash=reader.bytes("transaction", 32),
            header=reader.bytes("header"),
            receipt_index=reader.number("receiptIndex"),
            receipt_proof=tuple(
                bytes_from_hex(one, f"{where}/receiptProof/{at}") for at, one in enumerate(reader.texts("receiptProof"))
            ),
            attestation=None
            if reader.value.get("attestation") is None
            else reader.bytes("attestation", SIGNATURE_BYTES),
        )


@dataclass(frozen=True, slots=True)
class CustodySection:
    """What a bundle brings along so that the record of `things` (keys of identifiers) can be judged."""

    things: tuple[str, ...]
    units: tuple[UnitSteps, ...]
    certificates: tuple[CertificateProof, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "certificates": [one.as_json() for one in self.certificates],
            "things": list(self.things),
            "units": [one.as_json() for one in self.units],
        }

    @classmethod
    def read(cls, value: Any, where: str) -> Self:
        reader = Reader(value, where, "custody section")
        reader.only("certificates things units")
        things = tuple(reader.texts("things"))
        for at, thing in enumerate(things):
            found = identify(thing, f"{where}/things/{at}")
            if found is None or found.key != thing:
                raise MalformedInput(f"{thing[:60]!r} is no identifier in its one spelling", f"{where}/things/{at}")
        if not things or list(things) != sorted(set(things)):
            raise MalformedInput("the things asked for are one or more, sorted, each once", f"{where}/things")
        return cls(
            things=things,
            units=tuple(UnitSteps.read(item, at) for at, item in reader.items("units")),
            certificates=tuple(CertificateProof.read(item, at) for at, item in reader.items("certificates")),
        )

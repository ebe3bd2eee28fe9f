"""The despatch note: the paper that travels with the goods, with the code that leads to the page of its offer."""

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from api.network import Directory
from api.paper import press
from api.texts import identifier, measure_text, plain, quantity_text, time_text
from ledger_service.custody.kinds import Despatch

TEMPLATE = "despatch_note.typ"


@dataclass(frozen=True, slots=True)
class DespatchNote:
    """The note of `despatch`, made by `giver`; `address` is where its code leads."""

    despatch: Despatch
    giver: bytes
    address: str
    directory: Directory
    is_demo: bool = False

    def pdf(self) -> bytes:
        """The note as PDF; the same note is the same bytes."""
        return press.pdf(TEMPLATE, self.data(), at=self.despatch.despatched_at // 1000)

    def pictures(self) -> list[bytes]:
        """The pages of the note as PNG."""
        return press.pictures(TEMPLATE, self.data(), at=self.despatch.despatched_at // 1000)

    def data(self) -> dict[str, Any]:
        """What the template is given."""
        despatch = self.despatch
        totals: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for unit in despatch.units:
            for line in unit.contents:
                totals[line.part, line.uom] += line.quantity
        return {
            "demo": self.is_demo,
            "document": {
                "number": plain(despatch.document.number),
                "type": plain(despatch.document.type),
                "version": plain(despatch.document.version or ""),
            },
            "giver": self._member(self.giver),
            "taker": self._member(despatch.taker),
            "shipFrom": identifier(despatch.ship_from) if despatch.ship_from else "",
            "shipTo": identifier(despatch.ship_to) if despatch.ship_to else "",
            "despatchedAt": time_text(despatch.despatched_at)[:16],
            "arrives": despatch.arrives.isoformat() if despatch.arrives else "",
            "deadline": time_text(despatch.deadline)[:16],
            "carrier": plain(despatch.carrier or ""),
            "carrierFor": "" if despatch.carrier_for is None else self._member(despatch.carrier_for)["name"],
            "seal": plain(despatch.seal or ""),
            "legs": [
                {
                    "who": f"{self._member(leg.giver)['name']} → {self._member(leg.taker)['name']}",
                    "way": f"{identifier(leg.start)} → {identifier(leg.end)}",
                }
                for leg in despatch.legs
            ],
            "units": [
                {
                    "id": identifier(unit.id.key),
                    "lines": [
                        {
                            "line": plain(line.line or ""),
                            "part": identifier(line.part),
                            "batch": plain(line.batch or ""),
                            "quantity": f"{quantity_text(line.quantity)} {measure_text(line.uom)}",
                        }
                        for line in unit.contents
                    ],
                }
                for unit in despatch.units
            ],
            "totals": [
                f"{quantity_text(amount)} {measure_text(uom)} of {identifier(part)}"
                for (part, uom), amount in sorted(totals.items())
            ],
            "address": self.address,
            "code": press.square_code(self.address),
        }

    def _member(self, member: bytes) -> dict[str, str]:
        known = self.directory.by_id.get(member)
        return {
            "name": plain(self.directory.name(member), 120),
            "identifiers": ", ".join(plain(one, 60) for one in known.identifiers[:3]) if known else "",
        }

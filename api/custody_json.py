"""A record of custody in JSON, with the same names wherever it is told (docs/formats.md, section 6)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledger_service.custody import Finding, Unit


def finding_json(one: "Finding") -> dict[str, Any]:
    """A finding for a program."""
    return {
        "evidence": list(one.evidence),
        "explainedBy": list(one.explained_by),
        "finding": str(one.problem),
        "id": one.id,
        "units": list(one.units),
        "weight": str(one.weight),
        "what": one.what,
    }


def unit_json(unit: "Unit") -> dict[str, Any]:
    """Where a unit stands and how it came there, for a program."""
    return {
        "claims": [_hex(one) for one in unit.claims],
        "closedAt": unit.closed_at,
        "contested": unit.is_contested,
        "custodian": _hex(unit.custodian),
        "id": unit.key,
        "legs": [
            {
                "acceptance": one.acceptance,
                "carriedIn": one.carried_in,
                "despatchedAt": one.despatched_at,
                "giver": _hex(one.giver),
                "offer": one.offer,
                "receivedAt": one.received_at,
                "state": str(one.state),
                "step": one.step,
                "taker": _hex(one.taker),
            }
            for one in unit.legs
        ],
        "within": unit.within,
    }


def _hex(value: bytes | None) -> str | None:
    return None if value is None else "0x" + value.hex()

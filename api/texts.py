"""Words from others and values of the ledger, as a person may be shown them. Pure."""

import re
from datetime import UTC, datetime
from fractions import Fraction

_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffe\uffff]"
)
"""Control characters, those that turn the direction of what follows, by which a text could pass for another, and those
that XML does not know.
"""
_STACKED = re.compile(r"([\u0300-\u036f]{3})[\u0300-\u036f]+")
"""Marks on a letter beyond those that any language needs: they would cover the lines around."""
_GS1 = {"00": "SSCC", "01": "GTIN", "414": "GLN", "417": "GLN", "8003": "GRAI", "8004": "GIAI"}
_QUALIFIERS = {"21": "serial", "10": "batch", "254": "extension"}
_PIECES = frozenset({"C62", "EA", "H87", "NAR", "PCE"})
_MEASURES = {"KGM": "kg", "GRM": "g", "TNE": "t", "MTR": "m", "LTR": "l", "MTK": "m²", "MTQ": "m³", "SET": "sets"}
_LAST_SECOND = 253_402_300_799


def plain(text: str, longest: int = 2000) -> str:
    """`text` without characters that hide or turn others, on one line, cut with … beyond `longest`."""
    shown = _STACKED.sub(r"\1", " ".join(_CONTROLS.sub("", text).split()))
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def identifier(key: str) -> str:
    """A thing, part or place by its key, as people write it: `SSCC 395210040009260175`.

    >>> identifier("https://id.gs1.org/01/09521004100011/10/L2609")
    'GTIN 09521004100011, batch L2609'
    >>> identifier("licence-plate:UN049505160A1")
    'UN049505160A1'
    >>> identifier("did:web:foundry.example.org/part/HX-12/serial/7")
    'HX-12, serial 7 (foundry.example.org)'
    """
    if key.startswith("https://id.gs1.org/"):
        steps = key.removeprefix("https://id.gs1.org/").split("/")
        if len(steps) % 2 == 0 and steps[0] in _GS1:
            rest = zip(steps[2::2], steps[3::2], strict=True)
            return plain(
                ", ".join([f"{_GS1[steps[0]]} {steps[1]}", *(f"{_QUALIFIERS.get(a, a)} {b}" for a, b in rest)])
            )
    own = re.fullmatch(r"did:web:([^/]+)/part/([^/]+)(?:/(serial|batch)/([^/]+))?", key)
    if own is not None:
        owner, part, sort, number = own.groups()
        return plain(f"{part}, {sort} {number} ({owner})" if sort else f"{part} ({owner})")
    return plain(key.removeprefix("licence-plate:"))


def shortened(hexadecimal: str) -> str:
    """The id of a record, `0x…` with or without `#step`, by its first and last digits.

    >>> shortened("0x11c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d8e9fa0#3")
    '11c2d3e4…9fa0 #3'
    """
    digits, _, step = hexadecimal.removeprefix("0x").partition("#")
    short = digits if len(digits) <= 14 else f"{digits[:8]}…{digits[-4:]}"
    return f"{short} #{step}" if step else short


def time_text(time: int | None) -> str:
    """A time in ms UTC to the second, as `2026-09-22 04:21:00`; a dash where there is none."""
    if time is None:
        return "–"
    seconds = time // 1000
    if not 0 <= seconds <= _LAST_SECOND:
        return f"{seconds} s after 1970"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def measure_text(uom: str) -> str:
    """A unit of measure as people write it; codes that few know stay as they are."""
    return "pcs" if uom in _PIECES else _MEASURES.get(uom, uom)


def quantity_text(amount: Fraction) -> str:
    """A quantity in decimal digits, as it was stated."""
    if amount.denominator == 1:
        return str(amount.numerator)
    digits = 1
    while (amount * 10**digits).denominator != 1:
        digits += 1
    whole, rest = divmod(abs(amount.numerator) * 10**digits // amount.denominator, 10**digits)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:0{digits}d}"

"""The strict JSON that may be signed, and its one canonical text (RFC 8785).

The profile is I-JSON (RFC 7493) made narrower so that no two readers can differ: no duplicate keys, no
floats (a decimal is a string), ASCII keys, integers within ±(2^53 - 1), no lone surrogates, bounded depth. Within it
`orjson` with sorted keys writes exactly RFC 8785, fifty times faster than a pure Python canonicaliser; a test holds
the two equal. No JSON parser for Python refuses a duplicate key by itself, hence this module.
"""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from ledger_service.errors import MalformedInput

TYPE_COMPLAINT = "only null, true, false, integers, strings, arrays and objects can be signed"

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 32
MAX_DECIMAL_DIGITS = 40
"""A decimal written out without an exponent may not be longer than this."""


class MalformedJson(MalformedInput):
    """JSON outside the strict profile."""


def dump(value: Any) -> bytes:
    """The canonical bytes of `value` (RFC 8785), which must be within the strict profile."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def parse(data: bytes, *, decimals: bool = False) -> Any:
    """The value written in `data`.

    With `decimals` each number literal with a fraction or an exponent becomes its decimal string without exponent and
    without trailing zeros, as EPCIS input needs (`1.50` gives "1.5", `2e3` gives "2000"); otherwise it is refused.
    Raises MalformedJson with a pointer to the first place outside the profile.

    >>> parse(b'{"kg": 1.50}', decimals=True)
    {'kg': '1.5'}
    """
    value = parse_canonical(data)
    if value is not None:
        try:
            check(value)
        except MalformedJson:
            pass  # the slow reader below knows the literal, and `decimals` may make it good
        else:
            return value
    return _parse_strictly(data, decimals)


def parse_canonical(data: bytes) -> Any:
    """The value written in `data` if these are its canonical bytes, else None.

    Writing the value again gives the same bytes only if no key came twice and nothing was lost, so this needs no
    key-by-key look. Floats and non-ASCII keys are not excluded: `check` or the field tree refuses them.
    """
    try:
        value = orjson.loads(data)
        if isinstance(value, dict | list) and orjson.dumps(value, option=orjson.OPT_SORT_KEYS) == data:
            return value
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # the latter for nesting that it reads and will not write
        return None
    return None


def check(value: Any, where: str = "", depth: int = 0) -> None:
    """Raise MalformedJson unless `value` is within the strict profile."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise MalformedJson("an integer lies outside ±(2^53 - 1); write it as a string", where)
    elif isinstance(value, dict | list):
        if depth >= MAX_DEPTH:
            raise MalformedJson(f"nested deeper than {MAX_DEPTH} levels", _shorten(where))
        if isinstance(value, _Repeated):
            raise MalformedJson(f"the key {value.key!r} comes twice", where)
        if isinstance(value, dict):
            for key, item in value.items():
                if not isinstance(key, str) or not key.isascii():
                    raise MalformedJson(f"the key {key!r} is not ASCII", where)
                check(item, f"{where}/{escape(key)}", depth + 1)
        else:
            for index, item in enumerate(value):
                check(item, f"{where}/{index}", depth + 1)
    elif isinstance(value, _Literal):
        raise MalformedJson(value.complaint, where)
    elif isinstance(value, float):
        raise MalformedJson("a number with a fraction or an exponent; write it as a decimal string", where)
    else:
        raise MalformedJson(TYPE_COMPLAINT, where)


def escape(key: str) -> str:
    """`key` as one step of an RFC 6901 pointer."""
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


def decimal_text(literal: str, where: str = "") -> str:
    """The number `literal` without exponent and without trailing zeros: the one spelling that is signed.

    >>> decimal_text("-0.0"), decimal_text("12.340e1")
    ('0', '123.4')
    """
    too_long = MalformedJson(f"the number {literal[:40]} has more than {MAX_DECIMAL_DIGITS} digits", where)
    try:
        number = Decimal(literal)
    except InvalidOperation as error:  # an exponent that Decimal itself cannot hold
        raise too_long from error
    if number == 0:
        return "0"
    if not number.is_finite() or abs(number.adjusted()) > MAX_DECIMAL_DIGITS:
        raise too_long
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    if sum(letter.isdigit() for letter in text) > MAX_DECIMAL_DIGITS:
        raise too_long
    return text


class _Repeated(dict[str, Any]):
    """Stands for an object in which `key` came twice, until `check` can say where it is."""

    key: str


class _Literal:
    """Stands for a number that may not be signed, until `check` can say where it is."""

    def __init__(self, text: str, complaint: str) -> None:
        self.text = text
        self.complaint = complaint


def _parse_strictly(data: bytes, decimals: bool) -> Any:
    if _depth(data) > _READABLE_DEPTH:
        raise MalformedJson(f"nested deeper than {MAX_DEPTH} levels")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedJson(f"not UTF-8: byte {error.start} is {data[error.start]:#04x}") from error
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_float=_decimal if decimals else _float,
            parse_int=_integer,
            parse_constant=lambda name: _Literal(name, f"{name} is not JSON"),
        )
    except json.JSONDecodeError as error:
        raise MalformedJson(f"not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from error
    check(value)
    return value


def _depth(data: bytes) -> int:
    """How deep the brackets in `data` nest; it stops counting beyond what json.loads may be given.

    json.loads would find out on the stack, whose end may be the process's.
    """
    if data.count(b"[") + data.count(b"{") <= _READABLE_DEPTH:
        return 0
    depth = deepest = 0
    for found in _TEXT_OR_BRACKET.finditer(data):
        token = found[0]
        if token in b"[{":
            depth += 1
            if depth > deepest:
                deepest = depth
                if deepest > _READABLE_DEPTH:
                    break
        elif token in b"]}":
            depth -= 1
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) == len(pairs):
        return result
    seen: set[str] = set()
    repeated = _Repeated()
    repeated.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return repeated


def _float(literal: str) -> _Literal:
    return _Literal(literal, f"{literal[:40]} is a floating-point number; write it as a decimal string")


def _decimal(literal: str) -> str | _Literal:
    try:
        return decimal_text(literal)
    except MalformedJson as error:
        return _Literal(literal, error.what)


def _integer(literal: str) -> int | _Literal:
    if len(literal) > 17:
        return _Literal(literal, "an integer lies outside ±(2^53 - 1); write it as a string")
    return int(literal)


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# A text without an end matches too and nothing is read twice: otherwise 300 kB of \" would take an hour.
_TEXT_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_READABLE_DEPTH = 200


def _check_text(text: str, where: str) -> None:
    if not text.isascii() and _LONE_SURROGATE.search(text):
        raise MalformedJson("half of a surrogate pair, which is no character", where)


def _shorten(where: str) -> str:
    return where if len(where) <= 80 else f"{where[:60]}…"

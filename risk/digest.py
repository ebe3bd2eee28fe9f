"""One value that names a network's facts: equal facts give the same, in whatever order and by whatever changes. Pure.

Every fact has a digest of its own. They lie sorted in buckets by their first bits, a bucket has the digest of what lies
in it and the whole that of all buckets: a changed fact costs two buckets, however large the network is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from hashlib import sha256

_BITS = 12


class FactDigests:
    """The digests of all facts of a network; immutable."""

    def __init__(self, facts: Iterable[object]) -> None:
        found: list[list[bytes]] = [[] for _ in range(1 << _BITS)]
        for fact in facts:
            one = _digest(fact)
            found[_bucket(one)].append(one)
        self._buckets = [tuple(sorted(one)) for one in found]
        self._roots = [_root(one) for one in self._buckets]

    def changed(self, gone: Iterable[object], come: Iterable[object]) -> "FactDigests":
        """The same without the facts `gone` and with those that `come`."""
        other = object.__new__(FactDigests)
        other._buckets, other._roots = self._buckets.copy(), self._roots.copy()
        touched: dict[int, list[bytes]] = {}
        for facts, is_gone in ((gone, True), (come, False)):
            for fact in facts:
                one = _digest(fact)
                bucket = touched.setdefault(_bucket(one), list(self._buckets[_bucket(one)]))
                if is_gone:
                    bucket.remove(one)
                else:
                    bucket.append(one)
        for number, bucket in touched.items():
            other._buckets[number] = tuple(sorted(bucket))
            other._roots[number] = _root(other._buckets[number])
        return other

    def of(self, day: date) -> str:
        """SHA-256 of the facts on `day`, in hex."""
        return sha256(day.isoformat().encode() + b"".join(self._roots)).hexdigest()


def _bucket(digest: bytes) -> int:
    return int.from_bytes(digest[:2]) >> (16 - _BITS)


def _root(digests: tuple[bytes, ...]) -> bytes:
    return sha256(b"".join(digests)).digest()


def _digest(fact: object) -> bytes:
    return sha256(_text(fact).encode()).digest()


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


def _text(value: object) -> str:
    """A fact in words that do not depend on the order in which sets and mappings were filled."""
    if value is None or isinstance(value, str | int | float):
        return repr(value)
    if isinstance(value, Fraction | date):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_text(key)}:{_text(item)}" for key, item in sorted(value.items())) + "}"
    if isinstance(value, frozenset):
        return "{" + ",".join(sorted(map(_text, value))) + "}"
    if isinstance(value, tuple):
        return "(" + ",".join(map(_text, value)) + ")"
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        return f"{kind.__name__}({','.join([_text(getattr(value, name)) for name in _names(kind)])})"
    raise TypeError(f"no text for a {type(value).__name__}")

"""Audit grants: what the issuer of streams lets somebody else read, for what, from when and until when. Pure.

A grant is a statement, so it is signed, logged and in the bundle like any other. Its readers are its audience, `/to`.
It shows headers of whole streams, so that the reader can tell whether anything is missing, and of contents the fields
it names. `docs/formats.md` section 3 has schema and example.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from ledger_service.custody.kinds import Document, Reader, read_unit
from ledger_service.errors import MalformedInput
from ledger_service.keys import from_hex
from ledger_service.statements import fields_of

Shown = bool | tuple[str, ...]
"""How much of a content: all (True), nothing but the header (False), or what is at and below these pointers."""

MAX_POINTER = 500
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")


@dataclass(frozen=True, slots=True)
class Grant:
    """Until `until`, from `start` on (ms), the readers may see `fields` of what is in scope; None: all fields.

    In scope are the `streams`, and of the issuer's other streams the statements that name one of the `units` (keys of
    identifiers). `corrects` is the id of an earlier grant that this one takes the place of; so a grant is ended.
    """

    document: Document | None
    corrects: bytes | None
    streams: tuple[bytes, ...]
    units: tuple[str, ...]
    fields: tuple[str, ...] | None
    start: int
    until: int
    purpose: str

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        _ = latest
        reader = Reader(content, where, "to fields from until purpose", "document corrects replaces streams units")
        if not reader.items("to"):
            raise MalformedInput("name at least one member who may read", reader.at("to"))
        streams = tuple(from_hex(item, 32, at) for at, item in reader.items("streams"))
        units = tuple(read_unit(item, at).key for at, item in reader.items("units"))
        if not streams and not units:
            raise MalformedInput("name at least one stream or unit", where)
        for name, named in (("streams", streams), ("units", units)):
            if len(set(named)) != len(named):
                raise MalformedInput("one of them comes twice, maybe in another spelling", reader.at(name))
        start, until = reader.time("from"), reader.time("until")
        if until < start:
            raise MalformedInput("it ends before it begins", reader.at("until"))
        return cls(
            document=Document.read(reader) if reader.has("document") else None,
            corrects=reader.hash_or_none("corrects"),
            streams=streams,
            units=units,
            fields=None if content["fields"] == "all" else _pointers(reader, content["fields"]),
            start=start,
            until=until,
            purpose=reader.text("purpose", 500),
        )

    def is_in_force(self, at: int) -> bool:
        """Whether it shows anything at `at` (ms)."""
        return self.start <= at < self.until


def _pointers(reader: Reader, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise MalformedInput('expected a list of pointers, or "all"', reader.at("fields"))
    found: list[str] = []
    for at, item in reader.items("fields", least=1):
        if not isinstance(item, str) or len(item) > MAX_POINTER or not _POINTER.fullmatch(item):
            raise MalformedInput("expected a pointer (RFC 6901), as /despatchedAt", at)
        found.append(item)
    if found != sorted(set(found)):
        raise MalformedInput("pointers are sorted and come once each", reader.at("fields"))
    return tuple(found)


def united(parts: Iterable[Shown]) -> Shown:
    """What all of `parts` show together.

    >>> united([False, ("/units",), ("/seal", "/units/0")])
    ('/seal', '/units')
    """
    pointers: set[str] = set()
    for one in parts:
        if one is True:
            return True
        if one is not False:
            pointers.update(one)
    return _outermost(pointers) or False


def common(one: Shown, other: Shown) -> Shown:
    """What both show.

    >>> common(("/units",), ("/units/0/id", "/seal"))
    ('/units/0/id',)
    """
    if one is True:
        return other
    if other is True:
        return one
    if one is False or other is False:
        return False
    inside = {a for a in one for b in other if is_within(a, b)} | {b for a in one for b in other if is_within(b, a)}
    return _outermost(inside) or False


def present(content: Any, shown: Shown) -> tuple[str, ...]:
    """Those of the pointers in `shown` that `content` has something at; all of it, none of it where it says so.

    >>> present({"seal": "ES-1", "units": []}, ("/carrier", "/seal"))
    ('/seal',)
    """
    paths = [path for path, _ in fields_of(content)]
    if shown is True:
        return tuple(paths)
    return tuple(one for one in shown or () if any(is_within(path, one) for path in paths))


def is_within(pointer: str, of: str) -> bool:
    """Whether `pointer` is at or below `of`."""
    return pointer == of or pointer.startswith(of + "/")


def _outermost(pointers: Iterable[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for one in sorted(pointers):
        if not any(is_within(one, other) for other in kept):
            kept.append(one)
    return tuple(kept)

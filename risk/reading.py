"""Values read back from their plain form: what `sharing.plain` wrote as JSON, by the types of its dataclasses. Pure.

The form is read as strictly as it is written: every field and no other, each value in its one spelling.

>>> read(tuple[Fraction, ...], ["2/3", "1"])
(Fraction(2, 3), Fraction(1, 1))
"""

import json
import math
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from fractions import Fraction
from functools import cache
from typing import Any, NoReturn, Union, get_args, get_origin, get_type_hints

from risk.errors import MalformedFact

_FRACTION = re.compile(r"-?\d+(/\d+)?", re.ASCII)


def parse(data: bytes) -> Any:
    """The JSON in `data`; raises MalformedFact, also for a key that comes twice and a number that is none."""
    try:
        return json.loads(data, object_pairs_hook=_object, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise MalformedFact(f"not JSON: {error}") from error


def read(kind: Any, value: Any, where: str = "") -> Any:
    """The value of type `kind` that `value` is the plain form of; raises MalformedFact with the place.

    `kind` is a dataclass, a plain type or an annotation made of them.
    """
    origin, of = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return _one_of(of, value, where)
    if origin is tuple and of[-1] is not ...:
        items = _list(value, where)
        if len(items) != len(of):
            _refuse(f"expected {len(of)} values", where)
        return tuple(read(each, item, f"{where}/{at}") for at, (each, item) in enumerate(zip(of, items, strict=True)))
    if origin in (tuple, Sequence, list):
        return tuple(read(of[0], item, f"{where}/{at}") for at, item in enumerate(_list(value, where)))
    if origin in (frozenset, set):
        return frozenset(read(of[0], item, f"{where}/{at}") for at, item in enumerate(_list(value, where)))
    if origin in (Mapping, dict):
        if not isinstance(value, dict):
            _refuse("expected an object", where)
        return {read(of[0], name, where): read(of[1], item, f"{where}/{name}") for name, item in value.items()}
    if is_dataclass(kind):
        return _dataclass(kind, value, where)
    return _scalar(kind, value, where)


def _one_of(of: Sequence[Any], value: Any, where: str) -> Any:
    if value is None and types.NoneType in of:
        return None
    kinds = [one for one in of if one is not types.NoneType]
    if len(kinds) > 1 and isinstance(value, dict):
        kinds = [one for one in kinds if is_dataclass(one) and {each.name for each in fields(one)} == value.keys()]
    if len(kinds) != 1:
        _refuse("is none of the things that may stand here", where)
    return read(kinds[0], value, where)


def _dataclass(kind: Any, value: Any, where: str) -> Any:
    types_of = _types(kind)
    if not isinstance(value, dict) or value.keys() != types_of.keys():
        _refuse(f"expected an object with {', '.join(types_of)}", where)
    return kind(**{name: read(each, value[name], f"{where}/{name}") for name, each in types_of.items()})


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind in (str, bool, int, float):
        if type(value) is not kind or (kind is float and not math.isfinite(value)):
            _refuse(f"expected {kind.__name__}", where)
        return value
    try:
        if kind is Fraction and isinstance(value, str) and not _FRACTION.fullmatch(value):
            raise ValueError(value)  # a Fraction also reads 1e999999999, and would work it out
        found = kind.fromisoformat(value) if kind in (date, datetime) else kind(value)
        if isinstance(value, str) and str(found) == value:
            return found
    except (ValueError, TypeError, ZeroDivisionError):
        pass
    return _refuse(f"{str(value)[:40]!r} is no {kind.__name__} in its one form", where)


@cache
def _types(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] for one in fields(kind)}


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        _refuse("expected a list", where)
    return list(value)


def _refuse(what: str, where: str) -> NoReturn:
    raise MalformedFact(what, where)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice in one object")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")

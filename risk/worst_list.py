"""A stress test as it is signed: the worst of it, as far as a statement holds that, and digests of the whole. Pure.

Whoever has the question and the result makes the same content again; who has the view makes the result again first.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from risk.assessment import MAX_FIELDS, fields, texts
from risk.sharing import canonical

FORMAT = "tallystick-stress-report/1"
MAX_QUESTION_FIELDS, MAX_QUESTION_BYTES = 1_500, 1 << 16
"""A question beyond that is told by its digest alone."""
_STOPS = (20, 3, 0)
"""How many stops of a scenario are told, while there is no room: which scenarios are the worst matters more."""


def worst_list(question: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """What a report says of the `result` of a test that was asked `question`, both as JSON has them.

    `omitted` counts what there was no room for, by its place.
    """
    asked, said = canonical(question), canonical(result)
    fits = fields(question) <= MAX_QUESTION_FIELDS and len(asked) <= MAX_QUESTION_BYTES
    content: dict[str, Any] = {
        **json.loads(said),
        "digests": {"question": sha256(asked).hexdigest(), "result": sha256(said).hexdigest()},
        "format": FORMAT,
        "omitted": {},
        "question": json.loads(asked) if fits else None,
    }
    for most in _STOPS:
        if fields(content) <= MAX_FIELDS:
            return content
        _cut(content, ("scenarios", "effect", "stops"), most)
    most = MAX_FIELDS // 8
    while fields(content) > MAX_FIELDS and most:
        for place in (("scenarios",), ("notSeen",), ("notSeen", "notSeen"), ("scenarios", "notSeen"), *_LOSSES):
            _cut(content, place, most)
        told = set(texts({name: value for name, value in content.items() if name != "names"}))
        content["names"] = {
            kind: {key: name for key, name in names.items() if key in told} for kind, names in content["names"].items()
        }
        most //= 2
    return content


_EFFECTS = (("effect",), ("mitigated",))
_LOSSES = (
    ("already", "lost"),
    *(("scenarios", *one, *more) for one in _EFFECTS for more in (("lost",), ("draws", "lost"), ("least", "lost"))),
    ("scenarios", "mitigated", "saved", "lost"),
    ("scenarios", "ifUnplaced", "lost"),
    ("unplaced", "region", "lost"),
    ("unplaced", "port", "lost"),
)
"""Where it says of each part what is lost."""


def _cut(content: dict[str, Any], place: tuple[str, ...], most: int) -> None:
    """Leave `most` entries in each list at `place`: the first, or of amounts by part the largest."""
    for holder in _holders(content, place[:-1]):
        listed = holder.get(place[-1]) or []
        if len(listed) <= most:
            continue
        name = "/".join(place)
        content["omitted"][name] = content["omitted"].get(name, 0) + len(listed) - most
        if isinstance(listed, dict):
            largest = sorted(listed, key=lambda part: (-abs(float(listed[part])), part))[:most]
            holder[place[-1]] = {part: listed[part] for part in sorted(largest)}
        else:
            holder[place[-1]] = listed[:most]


def _holders(value: Any, steps: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """All objects that `steps` lead to, through every entry of the lists on the way."""
    if isinstance(value, list):
        for one in value:
            yield from _holders(one, steps)
    elif isinstance(value, dict):
        if not steps:
            yield value
        elif steps[0] in value:
            yield from _holders(value[steps[0]], steps[1:])

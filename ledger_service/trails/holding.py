"""Who has what in hand now, from the rows of the index alone, as long as a thing's record is plain. Pure.

A record is plain if each handoff was given by whoever had taken it before, each was answered once or not at all, by
its taker, nothing about it was corrected, the chain took no step that its statements do not explain, and nobody else
had the thing in hand. Then the last taker has it, and there is nothing to judge. All others are left to the fold.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ledger_service.custody.policy import Policy
from ledger_service.trails.reading import How, Role, Sort

# Plain numbers: comparing members of an enumeration costs more than what is done with most rows.
_OFFERED, _RECEIVED, _MISSED, _OPENED, _SEEN, _AT_GATE, _ENDED = (
    int(one) for one in (Role.OFFERED, Role.RECEIVED, Role.MISSED, Role.OPENED, Role.SEEN, Role.AT_GATE, Role.ENDED)
)


class Row(NamedTuple):
    """What one statement says of one thing; `graph` numbers name things, times are ms."""

    thing: int
    role: int
    position: int
    sort: int
    issuer: bytes
    stated_at: int | None
    other: bytes | None
    due_at: int | None
    outcome: int | None
    digest: bytes
    stream: int


@dataclass(frozen=True, slots=True)
class Shipment:
    """An offer that waits for its taker's answer. Times in ms.

    By `due_at` a kept row is told anew later on. It is 0 where the fold told of the shipment, and counts in no
    comparison.
    """

    despatch: bytes
    giver: bytes
    taker: bytes
    despatched_at: int
    due_at: int = field(compare=False)
    is_overdue: bool


@dataclass(frozen=True, slots=True)
class Held:
    """Where one thing is. `holders` are all members who say that they have it, more than one where it is contested."""

    holders: tuple[bytes, ...] = ()
    is_contested: bool = False
    ended_at: int | None = None
    open: tuple[Shipment, ...] = ()


@dataclass(slots=True)
class _Leg:
    start: int
    record: bytes
    giver: bytes
    taker: bytes
    received: int | None
    is_moved: bool
    is_deemed: bool
    is_open: bool
    is_withdrawn: bool
    digest: bytes
    due_at: int


@dataclass(slots=True)
class _Line:
    legs: list[_Leg] = field(default_factory=list)
    sightings: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    ended_at: int | None = None
    is_plain: bool = True


Stay = tuple[int, int, int | None]
"""Carrier, since, until (ms; None: still)."""


class Holdings:
    """Who has what at `at`, of the things whose rows were given; None for what only the fold can tell."""

    def __init__(
        self,
        rows: Iterable[Row],
        packings: Sequence[tuple[int, int, int, int]],
        policy: Policy,
        at: int,
        *,
        explains: Callable[[int, Mapping[bytes, bytes]], bool],
        doubtful: frozenset[int],
    ) -> None:
        """`explains` tells whether the chain's steps of a thing fit its answered offers; `doubtful` are positions that
        were corrected or correct.
        """
        self._policy = policy
        self._at = at
        self._doubtful = doubtful
        self._explains = explains
        self._rows: dict[int, list[Row]] = defaultdict(list)
        times: dict[int, tuple[int, bytes]] = {}
        for row in rows:
            self._rows[row.thing].append(row)
            if row.sort == Sort.EVENT and row.stated_at is not None and row.position not in times:
                times[row.position] = (row.stated_at, row.digest)
        self.stays = _stays(packings, times)
        self._lines: dict[int, _Line] = {}

    def held(self, thing: int) -> Held | None:
        """Where `thing` is."""
        line = self._travelled(thing, frozenset())
        if not line.is_plain:
            return None
        tolerance = self._policy.clock_tolerance
        moved = sorted((one for one in line.legs if one.is_moved), key=lambda one: (one.start, one.record))
        holder: bytes | None = None
        for leg in moved:
            if holder is not None and leg.giver != holder:
                return None
            holder = leg.taker
        if not moved:
            legs = sorted(line.legs, key=lambda one: (one.start, one.record))
            last = max(line.sightings)[2] if line.sightings else None
            holder = legs[0].giver if legs else last
        elif not self._is_undisputed(line, moved, tolerance):
            return None
        shipments = tuple(
            Shipment(one.digest, one.giver, one.taker, one.start, one.due_at, one.due_at < self._at)
            for one in sorted(self._line(thing).legs, key=lambda one: (one.start, one.record))
            if one.is_open
        )
        return Held(() if holder is None else (holder,), False, line.ended_at, shipments)

    def carrier(self, thing: int) -> int | None:
        """What `thing` lies in."""
        for carrier, since, until in self.stays.get(thing, ()):
            if since <= self._at and (until is None or self._at < until):
                return carrier
        return None

    def _is_undisputed(self, line: _Line, moved: list[_Leg], tolerance: int) -> bool:
        start = moved[0].start - tolerance
        takers = [(one.start, one.taker) for one in line.legs if not one.is_moved and not one.is_withdrawn]
        place = -1
        for time, _, issuer in sorted(line.sightings):
            if time < start:
                continue
            while place + 1 < len(moved) and moved[place + 1].start - tolerance <= time:
                place += 1
            here = moved[max(place, 0)]
            if here.start - tolerance <= time <= (here.received or here.start) + tolerance:
                if issuer in (here.giver, here.taker):
                    continue
            elif issuer == here.taker:
                continue
            if not any(began - tolerance <= time and issuer == taker for began, taker in takers):
                return False
        return True

    def _travelled(self, thing: int, above: frozenset[int]) -> _Line:
        own = self._line(thing)
        if not self.stays.get(thing) or thing in above or not own.is_plain:
            return own
        line = _Line(list(own.legs), own.sightings, own.ended_at, own.is_plain)
        for carrier, since, until in self.stays[thing]:
            carried = self._travelled(carrier, above | {thing})
            if not carried.is_plain:
                line.is_plain = False
                return line
            line.legs += [one for one in carried.legs if one.start >= since and (until is None or one.start < until)]
        return line

    def _line(self, thing: int) -> _Line:
        line = self._lines.get(thing)
        if line is None:
            line = self._lines[thing] = self._read(thing)
        return line

    def _read(self, thing: int) -> _Line:
        line = _Line()
        answers: dict[bytes, list[Row]] = defaultdict(list)
        offers: list[Row] = []
        answered: dict[bytes, bytes] = {}
        for row in self._rows.get(thing, ()):
            if row.position in self._doubtful:
                line.is_plain = False
                return line
            role, time = row.role, row.stated_at
            if role == _OFFERED:
                offers.append(row)
            elif role in (_RECEIVED, _MISSED):
                answers[row.other or b""].append(row)
            elif role in (_SEEN, _OPENED, _AT_GATE):
                if time is not None:
                    line.sightings.append((time, row.digest, row.issuer))
            elif role == _ENDED and time is not None:
                line.ended_at = time if line.ended_at is None else min(line.ended_at, time)
        if len({(one.issuer, one.stated_at) for one in offers}) < len(offers):
            line.is_plain = False  # copies, maybe: the fold counts them once
            return line
        for row in offers:
            given = answers.pop(row.digest, [])
            start, due = row.stated_at or 0, row.due_at or 0
            if len(given) > 1 or (given and given[0].issuer != row.other):
                line.is_plain = False
                return line
            answer = given[0] if given else None
            is_moved = answer is not None and answer.outcome != 3 and answer.role == _RECEIVED
            if answer is not None:
                answered[row.digest] = answer.digest
            deem = self._policy.deem_after
            is_deemed = answer is None and deem is not None and due < self._at and due + deem < self._at
            line.legs.append(
                _Leg(
                    start,
                    row.digest,
                    row.issuer,
                    row.other or b"",
                    (None if answer is None else answer.stated_at) if not is_deemed else self._at,
                    is_moved or is_deemed,
                    is_deemed,
                    answer is None and not is_deemed,
                    False,
                    row.digest,
                    due,
                )
            )
        if answers or not self._explains(thing, answered):
            line.is_plain = False
            return line
        last: dict[bytes, int] = {}
        for leg in line.legs:
            if leg.is_moved and not leg.is_deemed:
                last[leg.giver] = max(last.get(leg.giver, leg.start), leg.start)
        for leg in line.legs:  # what nobody took is withdrawn by the next handoff of its giver
            if (leg.is_open or leg.is_deemed) and leg.start < last.get(leg.giver, leg.start):
                leg.is_open = leg.is_moved = leg.is_deemed = False
                leg.is_withdrawn = True
        return line


def _stays(
    packings: Sequence[tuple[int, int, int, int]], times: Mapping[int, tuple[int, bytes]]
) -> dict[int, list[Stay]]:
    """The times that things spent in others, as `custody.lineage` has them."""
    order = []
    for position, one, carrier, how in packings:
        if position in times:
            time, record = times[position]
            order.append((time, how != How.UNPACKED, record, one, carrier))
    order.sort()
    open_: dict[int, tuple[int, int]] = {}
    inside: dict[int, set[int]] = defaultdict(set)
    stays: dict[int, list[Stay]] = defaultdict(list)

    def close(one: int, time: int) -> None:
        carrier, since = open_.pop(one)
        inside[carrier].discard(one)
        stays[one].append((carrier, since, time))

    for time, is_packing, _, one, carrier in order:
        known = open_.get(one)
        if is_packing:
            if known is not None and known[0] == carrier:
                continue
            if known is not None:
                close(one, time)
            open_[one] = (carrier, time)
            inside[carrier].add(one)
        elif one == carrier:
            for child in list(inside[carrier]):
                close(child, time)
        elif known is not None and known[0] == carrier:
            close(one, time)
    for one, (carrier, since) in open_.items():
        stays[one].append((carrier, since, None))
    for found in stays.values():
        found.sort(key=lambda stay: stay[1])
    return dict(stays)

"""What went into what, as numbers in memory: followed both ways in a fraction of a microsecond a step. Pure.

Edges lie in arrays, each with the next edge of the same node, so that adding one changes nothing else and a million of
them take some 30 MB. Which edges count is up to who asks: every question comes with the streams that its reader sees.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ledger_service.trails.reading import How

_FOUND, _CONTENT, _SUBSTANCE = 1, 2, 4
# Plain numbers: comparing members of an enumeration costs as much as the step itself.
_PACKED, _CONTAINED, _INPUT, _OUTPUT = (int(one) for one in (How.PACKED, How.CONTAINED, How.INPUT, How.OUTPUT))
_INWARD = (_PACKED, _CONTAINED)


@dataclass(frozen=True, slots=True)
class View:
    """What counts: statements of the streams whose numbers have a one, and those at `positions`."""

    streams: bytearray
    positions: frozenset[int] = frozenset()

    def shows(self, stream: int) -> bool:
        """Whether all statements of the stream count."""
        return stream < len(self.streams) and bool(self.streams[stream])

    def sees(self, stream: int, position: int) -> bool:
        return (stream < len(self.streams) and bool(self.streams[stream])) or position in self.positions


Visible = View | None
"""None: all count."""


class Graph:
    """Things by number, and the ways from one into another, in the order in which statements told them."""

    def __init__(self) -> None:
        self._out = array("i")
        self._in = array("i")
        self._source = array("i")
        self._target = array("i")
        self._next_out = array("i")
        self._next_in = array("i")
        self._how = bytearray()
        self._stream = array("i")
        self._position = array("q")
        self.withdrawn: dict[int, dict[int, int]] = {}
        """By position: the statements that take it back, each with the number of its stream."""
        self._tainted: set[int] = set()
        self._streams = 0
        self.version = 0
        """Another number after each change."""

    def __len__(self) -> int:
        return len(self._how)

    def add(self, position: int, source: int, target: int, how: int, stream: int) -> None:
        """Another way; positions never fall."""
        highest = max(source, target)
        if highest >= len(self._out):
            more = array("i", [-1]) * (highest + 1 - len(self._out) + 1024)
            self._out += more
            self._in += more
        number = len(self._how)
        self.version += 1
        self._streams = max(self._streams, stream)
        self._source.append(source)
        self._target.append(target)
        self._how.append(how)
        self._stream.append(stream)
        self._position.append(position)
        self._next_out.append(self._out[source])
        self._out[source] = number
        self._next_in.append(self._in[target])
        self._in[target] = number

    def withdraw(self, position: int, by: int, stream: int) -> None:
        """The statement at `position` is taken back by the one at `by`, in the stream with this number."""
        self.withdrawn.setdefault(position, {})[by] = stream
        self.version += 1
        at = bisect_left(self._position, position)
        if at < len(self._position) and self._position[at] == position:
            self._tainted.add(self._stream[at])

    def drop(self, position: int) -> None:
        """Forget what the statement at `position` told."""
        self.version += 1
        at = bisect_left(self._position, position)
        while at < len(self._position) and self._position[at] == position:
            self._how[at] = 0
            at += 1
        for taken, by in list(self.withdrawn.items()):
            by.pop(position, None)
            if not by:
                del self.withdrawn[taken]

    def descend(self, start: Iterable[int], visible: Visible) -> tuple[list[int], bytearray]:
        """All that `start` and its contents went into, themselves first; and of each thing the marks of `is_substance`.

        The carrier of a bad piece is found, and what else lies on that carrier is not.
        """
        out, into, next_out, next_in = self._out, self._in, self._next_out, self._next_in
        source, target, how, stream = self._source, self._target, self._how, self._stream
        counts, quick = self._counts(visible), self._quick(visible)
        marks = bytearray(max(len(out), max(start, default=0) + 1))
        found: list[int] = []
        fired: dict[int, int] = {}
        content: list[int] = []
        forward: list[int] = []
        for one in start:
            if not marks[one] & _CONTENT:
                marks[one] |= _CONTENT | _SUBSTANCE
                content.append(one)
        while content or forward:
            if content:
                here = content.pop()
                if not marks[here] & _FOUND:
                    marks[here] |= _FOUND
                    found.append(here)
                    forward.append(here)
                edge = into[here] if here < len(into) else -1
                while edge >= 0:
                    if (
                        how[edge] in _INWARD
                        and not marks[source[edge]] & _CONTENT
                        and ((sure := quick[stream[edge]]) == 1 or (sure and counts(edge)))
                    ):
                        marks[source[edge]] |= _CONTENT | _SUBSTANCE
                        content.append(source[edge])
                    edge = next_in[edge]
                continue
            here = forward.pop()
            edge = out[here] if here < len(out) else -1
            while edge >= 0:
                kind, there = how[edge], target[edge]
                if kind == _PACKED:
                    if not marks[there] & _FOUND and ((sure := quick[stream[edge]]) == 1 or (sure and counts(edge))):
                        marks[there] |= _FOUND
                        found.append(there)
                        forward.append(there)
                elif kind == _CONTAINED:
                    if not marks[there] & _SUBSTANCE and (
                        (sure := quick[stream[edge]]) == 1 or (sure and counts(edge))
                    ):
                        marks[there] |= _SUBSTANCE
                        if not marks[there] & _FOUND:
                            marks[there] |= _FOUND
                            found.append(there)
                            forward.append(there)
                elif (
                    kind == _INPUT
                    and fired.get(there) not in (-1, here)
                    and ((sure := quick[stream[edge]]) == 1 or (sure and counts(edge)))
                ):
                    # What goes in and comes out again is not what it went into; another input says more.
                    first = fired.get(there)
                    fired[there] = here if first is None else -1
                    other = out[there]
                    while other >= 0:
                        made = target[other]
                        is_new = made != here if first is None else made == first
                        if (
                            is_new
                            and how[other] == _OUTPUT
                            and not marks[made] & _CONTENT
                            and ((sure := quick[stream[other]]) == 1 or (sure and counts(other)))
                        ):
                            marks[made] |= _CONTENT | _SUBSTANCE
                            content.append(made)
                        other = next_out[other]
                edge = next_out[edge]
        return found, marks

    def ascend(self, start: Iterable[int], visible: Visible) -> list[int]:
        """All that `start` and its contents came from, themselves first."""
        out, into, next_out, next_in = self._out, self._in, self._next_out, self._next_in
        source, target, how, stream = self._source, self._target, self._how, self._stream
        counts, quick = self._counts(visible), self._quick(visible)
        marks = bytearray(max(len(out), max(start, default=0) + 1))
        found: list[int] = []
        fired: dict[int, int] = {}
        waiting: list[int] = []

        def reach(one: int) -> None:
            if not marks[one]:
                marks[one] = 1
                found.append(one)
                waiting.append(one)

        def back(made: int) -> None:
            edge = into[made]
            while edge >= 0:
                process = source[edge]
                if (
                    how[edge] == _OUTPUT
                    and fired.get(process) not in (-1, made)
                    and ((sure := quick[stream[edge]]) == 1 or (sure and counts(edge)))
                ):
                    first = fired.get(process)
                    fired[process] = made if first is None else -1
                    other = into[process]
                    while other >= 0:
                        taken = source[other]
                        is_new = taken != made if first is None else taken == first
                        if (
                            is_new
                            and how[other] == _INPUT
                            and ((sure := quick[stream[other]]) == 1 or (sure and counts(other)))
                        ):
                            reach(taken)
                        other = next_in[other]
                edge = next_in[edge]

        for one in start:
            reach(one)
        while waiting:
            here = waiting.pop()
            if here >= len(into):
                continue
            edge = into[here]
            while edge >= 0:
                if (
                    how[edge] in _INWARD
                    and not marks[source[edge]]
                    and ((sure := quick[stream[edge]]) == 1 or (sure and counts(edge)))
                ):
                    reach(source[edge])
                edge = next_in[edge]
            back(here)
            edge = out[here]
            while edge >= 0:
                if how[edge] == _PACKED and ((sure := quick[stream[edge]]) == 1 or (sure and counts(edge))):
                    back(target[edge])
                edge = next_out[edge]
        return found

    def carriers(self, start: Iterable[int], visible: Visible) -> list[int]:
        """`start` and all that it was ever said to be packed in, at any depth, taken back since or not."""
        counts = _Counts(self._stream, self._position, visible, {})
        found = dict.fromkeys(start)
        waiting = list(found)
        while waiting:
            here = waiting.pop()
            edge = self._out[here] if here < len(self._out) else -1
            while edge >= 0:
                there = self._target[edge]
                if self._how[edge] == How.PACKED and there not in found and counts(edge):
                    found[there] = None
                    waiting.append(there)
                edge = self._next_out[edge]
        return list(found)

    def packings(
        self, things: Sequence[int], visible: Visible, *, ever: bool = False
    ) -> list[tuple[int, int, int, int]]:
        """Position, thing, carrier and how, of all packings and unpackings of `things`, and of the emptyings of what
        they were packed in; with `ever` also those that were taken back since.
        """
        counts = _Counts(self._stream, self._position, visible, {} if ever else self.withdrawn)
        found: list[tuple[int, int, int, int]] = []
        carriers: dict[int, None] = {}
        for one in things:
            edge = self._out[one] if one < len(self._out) else -1
            while edge >= 0:
                kind = self._how[edge]
                if kind in (How.PACKED, How.UNPACKED) and self._target[edge] != one and counts(edge):
                    found.append((self._position[edge], one, self._target[edge], kind))
                    carriers[self._target[edge]] = None
                edge = self._next_out[edge]
        for one in carriers:
            edge = self._out[one]
            while edge >= 0:
                if self._how[edge] == How.UNPACKED and self._target[edge] == one and counts(edge):
                    found.append((self._position[edge], one, one, How.UNPACKED))
                edge = self._next_out[edge]
        return found

    def elsewhere(self, things: Sequence[int], visible: Visible) -> set[int]:
        """The positions of all packings and unpackings of what was ever packed in `things`, into whatever it was, of
        the emptyings of that, and of the packings of what `things` are said to have come out of; taken back or not.
        """
        counts = _Counts(self._stream, self._position, visible, {})
        inside: dict[int, None] = {}
        for one in things:
            edge = self._in[one] if one < len(self._in) else -1
            while edge >= 0:
                if self._how[edge] in (How.PACKED, How.UNPACKED) and counts(edge):
                    inside[self._source[edge]] = None
                edge = self._next_in[edge]
        found = {position for position, _, _, _ in self.packings(list(inside), visible, ever=True)}
        for one in things:
            edge = self._out[one] if one < len(self._out) else -1
            while edge >= 0:
                if self._how[edge] == How.UNPACKED and counts(edge):
                    other = self._in[self._target[edge]]
                    while other >= 0:
                        if self._how[other] == How.PACKED and counts(other):
                            found.add(self._position[other])
                        other = self._next_in[other]
                edge = self._next_out[edge]
        return found

    def _counts(self, visible: Visible) -> "_Counts":
        return _Counts(self._stream, self._position, visible, self.withdrawn)

    def _quick(self, visible: Visible) -> bytearray:
        """Of each number of a stream: whether none (0), all (1) or some (2: ask `_counts`) of its ways count."""
        if visible is None:
            marks = bytearray(b"\x01") * (self._streams + 1)
        else:
            marks = bytearray(visible.streams)
            # Since that view was taken the graph may have grown.
            marks += bytes(max(self._streams + 1 - len(marks), 0))
            if visible.positions:
                marks = bytearray(one or 2 for one in marks)
        for stream in self._tainted:
            if stream < len(marks) and marks[stream]:
                marks[stream] = 2
        return marks


def is_substance(mark: int) -> bool:
    """Whether a thing holds what is sought itself, and did not only carry it."""
    return bool(mark & _SUBSTANCE)


class _Counts:
    """Whether an edge counts: its statement is visible, and so is none that takes it back."""

    __slots__ = ("_position", "_stream", "_visible", "_withdrawn")

    def __init__(
        self, stream: "array[int]", position: "array[int]", visible: Visible, withdrawn: Mapping[int, Mapping[int, int]]
    ) -> None:
        self._stream = stream
        self._position = position
        self._visible = visible
        self._withdrawn = withdrawn

    def __call__(self, edge: int) -> bool:
        visible = self._visible
        if visible is not None and not visible.sees(self._stream[edge], self._position[edge]):
            return False
        if self._withdrawn:
            by = self._withdrawn.get(self._position[edge])
            if by is not None:
                return visible is not None and not any(visible.sees(one, at) for at, one in by.items())
        return True

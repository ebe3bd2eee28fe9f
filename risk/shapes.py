"""Which of many things are which by how they hang together, and never by what they are called. Pure.

Things have colours, which are refined by what hangs on each of them (Weisfeiler and Leman 1968) until that sets no more
apart. Of things that stay alike one is set apart, and what hangs on it is refined again; which one does not matter
where they are alike in truth. Colours are keyed hashes of 64 bits: nobody can make different things look the same.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.uint64]
Index = NDArray[np.int64]

_MANY = (1 << 64) - 1
_STEP, _ONE, _TWO = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@dataclass(frozen=True, slots=True)
class Shape:
    """A colour for each thing, each its own; `alike` are those that only a choice has told apart; `digest` names it."""

    colours: list[int]
    alike: frozenset[int]
    digest: str


def numbering(key: bytes) -> Callable[[str], int]:
    """What gives each text a number of 64 bits, under `key`: another key gives others."""
    secret = sha256(b"shape" + key).digest()
    return lambda text: int.from_bytes(blake2b(text.encode(), digest_size=8, key=secret).digest())


def shape_of(colours: Colours, hidden: Index, what: Colours, nodes: Index, choice: Callable[[int], Any]) -> Shape:
    """The shape of what is said about things: `colours` are numbers of what each is, and `hidden` those of them which
    that does not tell from others, as a name does. `what` are numbers of what is said, each of the things in one row of
    `nodes`, in order and filled up with -1.

    Of things that are alike the one with the least `choice` is set apart first.
    """
    return _Shaping(colours, hidden, what, nodes, choice).shape()


class _Shaping:
    def __init__(
        self, colours: Colours, hidden: Index, what: Colours, nodes: Index, choice: Callable[[int], Any]
    ) -> None:
        self.choice = choice
        self.colours, self.hidden, self.what, self.nodes = colours.copy(), hidden, what, nodes
        # Where each thing comes in: facts and places in them, thing by thing.
        fact, place = np.nonzero(self.nodes >= 0)
        order = np.argsort(self.nodes[fact, place], kind="stable")
        self.fact, self.place = fact[order], place[order]
        of = self.nodes[self.fact, self.place]
        self.first = np.searchsorted(of, np.arange(len(colours) + 1))
        self.some = np.flatnonzero(self.first[1:] > self.first[:-1])

    def shape(self) -> Shape:
        self._refine()
        classes = self._classes()
        alike = frozenset(one for members in classes.values() for one in members)
        self._choose(classes)
        said = np.sort(self._facts())
        digest = sha256(said.tobytes() + np.sort(self.colours).tobytes()).hexdigest()
        return Shape(self.colours.tolist(), alike, digest)

    def _refine(self) -> None:
        """As many rounds over everything as set more things apart."""
        count = len(np.unique(self.colours[self.hidden]))
        while count < len(self.hidden):
            told = _mixed(self._facts()[self.fact] + (self.place.astype(np.uint64) + np.uint64(1)) * np.uint64(_STEP))
            sums = np.zeros(len(self.colours), np.uint64)
            sums[self.some] = np.add.reduceat(told, self.first[self.some])
            finer = _mixed(self.colours ^ _mixed(sums))
            self.colours[self.hidden] = finer[self.hidden]
            found = len(np.unique(self.colours[self.hidden]))
            if found == count:
                return
            count = found

    def _facts(self) -> Colours:
        """A number for each fact: what is said of things of which colours."""
        found = _mixed(self.what)
        for column in self.nodes.T:
            found = np.where(column >= 0, _mixed(found ^ self.colours[column]) + np.uint64(_STEP), found)
        return found

    def _classes(self) -> dict[int, set[int]]:
        """Hidden things of one colour, where there are several."""
        found: dict[int, set[int]] = defaultdict(set)
        for at, colour in zip(self.hidden.tolist(), self.colours[self.hidden].tolist(), strict=True):
            found[colour].add(at)
        return {colour: members for colour, members in found.items() if len(members) > 1}

    def _choose(self, classes: dict[int, set[int]]) -> None:
        """Set apart what is alike, one after the other; each time only what hangs on it is looked at again."""
        waiting = list(classes)
        heapify(waiting)
        while waiting:
            colour = heappop(waiting)
            members = classes.pop(colour, set())
            if len(members) < 2:
                continue
            first = min(members, key=self.choice)
            members.remove(first)
            classes[colour] = members
            heappush(waiting, colour)
            self.colours[first] = _mix(colour ^ _STEP)
            changed = [first]
            while changed:
                changed = self._spread(changed, classes, waiting)

    def _spread(self, changed: Sequence[int], classes: dict[int, set[int]], waiting: list[int]) -> list[int]:
        """Tell apart what hangs on the `changed` ones; what that changes in turn."""
        beside = {other for one in changed for fact, _ in self._comes_in(one) for other in self.nodes[fact].tolist()}
        touched: dict[int, list[int]] = defaultdict(list)
        for one in beside - {-1}:
            colour = int(self.colours[one])
            members = classes.get(colour, set())
            if len(members) > 1 and one in members:
                touched[colour].append(one)
        finer: dict[int, dict[int, list[int]]] = {}
        for colour, some in touched.items():
            told: dict[int, list[int]] = defaultdict(list)
            for one in some:
                told[self._told(one)].append(one)
            if len(told) > 1 or len(some) < len(classes[colour]):
                finer[colour] = told
        found: list[int] = []
        for colour, told in finer.items():
            for new, some in told.items():
                self.colours[some] = np.uint64(new)
                classes[colour] -= set(some)
                classes[new] = set(some)
                heappush(waiting, new)
                found += some
            heappush(waiting, colour)
        return found

    def _comes_in(self, one: int) -> list[tuple[int, int]]:
        places = slice(self.first[one], self.first[one + 1])
        return list(zip(self.fact[places].tolist(), self.place[places].tolist(), strict=True))

    def _told(self, one: int) -> int:
        """The finer colour of a thing, by what is said of it."""
        total = 0
        for fact, place in self._comes_in(one):
            found = _mix(int(self.what[fact]))
            for other in self.nodes[fact].tolist():
                if other >= 0:
                    found = (_mix(found ^ int(self.colours[other])) + _STEP) & _MANY
            total += _mix((found + (place + 1) * _STEP) & _MANY)
        return _mix(int(self.colours[one]) ^ _mix(total & _MANY))


def _mixed(numbers: Colours) -> Colours:
    """Each number mixed so that close ones come far apart (splitmix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(_ONE)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(_TWO)
    return np.asarray(numbers ^ (numbers >> np.uint64(31)), np.uint64)


def _mix(number: int) -> int:
    """`_mixed` of one number."""
    number = ((number ^ (number >> 30)) * _ONE) & _MANY
    number = ((number ^ (number >> 27)) * _TWO) & _MANY
    return number ^ (number >> 31)

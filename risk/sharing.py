"""What one reader may be shown of the network that all of them count in, and the text of that. Pure.

Each supply link has a level that its owner chose, for everybody or for one reader. A withheld link is not there. From
*impact only* upward a link counts in full, so that the reader's figures are those of the full network; what the reader
learns of the sites behind it grows with the level. Whoever is an end of a link knows it anyway. Who sees what, and
under which ids, `sights` works out.

A view is what a report is computed from; the report (`assessment`) shows less.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from functools import cache, cached_property
from hashlib import sha256
from typing import Any, Self, get_type_hints

from risk.alternatives import Alternative, Qualification, RouteAlternative
from risk.errors import MalformedFact
from risk.network import Line, Site, Stock, SupplyLink, SupplyNetwork
from risk.plans import ContinuityPlan
from risk.reading import parse, read


class Level(StrEnum):
    """How much the owner of a link shows of it to those who are not its ends; each shows what those before it show."""

    WITHHELD = "withheld"
    IMPACT_ONLY = "impact-only"
    REGION_AND_CAUSE = "region-and-cause"
    TIER = "tier"
    NAMED = "named"

    @property
    def rank(self) -> int:
        """0 shows nothing."""
        return _RANKS[self]

    def shows(self, other: "Level") -> bool:
        """Whether what `other` shows can be seen at this level."""
        return self.rank >= other.rank


@dataclass(frozen=True, slots=True)
class Source:
    """Who says that a site is hit, and in which areas: "circle 29.9,121.6 120.5", "polygon 28,120 28,123 31,123 28,120"
    or the kind of a named place and its name. What is not `is_public` is for those who may see the site by its name.
    """

    name: str
    areas: tuple[str, ...]
    is_public: bool


_RANKS = {level: rank for rank, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class Hit:
    """A disruption at one site: from `start` on the share `left` of its capacity stays, until it is `back`: at the
    earliest, most likely, at the latest. `onset` is when the disruption itself begins, if not on `start`. `is_assumed`:
    nobody has said when it is back. With `part` only the line that makes it is hit.
    """

    site: str
    start: date
    back: tuple[date, date, date]
    cause: str
    left: Fraction = Fraction(0)
    onset: date | None = None
    status: str = "Actual"
    probability: Fraction = Fraction(1)
    sources: tuple[Source, ...] = ()
    is_assumed: bool = False
    part: str | None = None

    def check(self) -> None:
        """Raise MalformedFact unless it begins before it ends, and its shares are shares."""
        if not self.start <= self.back[0] <= self.back[1] <= self.back[2] or self.start == self.back[0]:
            raise MalformedFact("it is back after it began: at the earliest, most likely, at the latest", self.site)
        if not 0 <= self.left <= 1 or not 0 <= self.probability <= 1:
            raise MalformedFact("what is left, and how sure that is, are shares from 0 to 1", self.site)


@dataclass(frozen=True, slots=True)
class LinkHit:
    """A disruption of what brings goods over one link (or a route that stands in for it, by its key): a port, a lane,
    a passage. From `start` on it lets the share `left` through, until it is `back`: at the earliest, likely, latest.

    `after_days` is how many days after leaving goods come to where it is closed: 0 at the port of departure. `closed`
    names the ports, lanes and passages.
    """

    link: str
    start: date
    back: tuple[date, date, date]
    cause: str
    left: Fraction = Fraction(0)
    after_days: int = 0
    onset: date | None = None
    status: str = "Actual"
    probability: Fraction = Fraction(1)
    sources: tuple[Source, ...] = ()
    is_assumed: bool = False
    closed: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise MalformedFact unless it begins before it ends, and its shares are shares."""
        where = f"closing of {self.link}"
        if not self.start <= self.back[0] <= self.back[1] <= self.back[2] or self.start == self.back[0]:
            raise MalformedFact("it opens after it closed: at the earliest, most likely, at the latest", where)
        if not 0 <= self.left <= 1 or not 0 <= self.probability <= 1:
            raise MalformedFact("what is left, and how sure that is, are shares from 0 to 1", where)
        if self.after_days < 0:
            raise MalformedFact("goods come to where it is closed after they left", where)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the reader may know of a site: what `level` shows. In `tier` suppliers of suppliers count up from 1."""

    level: Level
    is_own: bool = False
    tier: int | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of how much of what the reader and those before it need it is known where it comes from: the mean over `needs`.

    Needs of sites that are shared below the level `tier` are not counted, or their number would tell how many there
    are. What is withheld and what nobody has stated look the same. `requests` are questions to
    suppliers not yet answered.
    """

    needs: int
    share: Fraction
    requests: int = 0


@dataclass(frozen=True)
class View:
    """The network of one reader at one checkpoint, with what happens in it; ids of others are of no use elsewhere."""

    reader: str
    checkpoint: str
    network: SupplyNetwork
    seen: Mapping[str, Seen]
    known_parts: frozenset[str]
    hits: tuple[Hit, ...]
    alternatives: tuple[Alternative, ...]
    qualifications: tuple[Qualification, ...]
    doubts: Mapping[tuple[str, str], Fraction]
    coverage: Coverage
    link_hits: tuple[LinkHit, ...] = ()
    routes: tuple[RouteAlternative, ...] = ()
    plans: tuple[ContinuityPlan, ...] = ()
    site_names: Mapping[str, str] = field(default_factory=dict)
    part_names: Mapping[str, str] = field(default_factory=dict)
    _still: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)
    """the text of what no hit changes, as far as it is written already"""
    _digests: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    """and the SHA-256 of that"""
    _networks: dict[str, SupplyNetwork] = field(default_factory=dict, init=False, repr=False, compare=False)
    """networks that follow from this one alone, as far as they are made already"""

    @classmethod
    def read(cls, data: bytes) -> Self:
        """The view whose text `data` is, in any layout; raises MalformedFact for anything that no view says."""
        said = parse(data)
        if not isinstance(said, dict):
            raise MalformedFact("a view is an object")
        types = get_type_hints(cls)
        names = {one.name: _camel(one.name) for one in fields(cls) if one.init and one.name not in _APART}
        wanted = {*names.values(), *_OF_NETWORK, "doubts"}
        if said.keys() != wanted:
            wrong = ", ".join(sorted(said.keys() ^ wanted))[:200]
            raise MalformedFact(f"a view has {', '.join(sorted(wanted))}; one of these is missing or too many: {wrong}")
        values = {name: read(types[name], said[shown], f"/{shown}") for name, shown in names.items()}
        parts = {name: read(kind, said[name], f"/{name}") for name, kind in _OF_NETWORK.items()}
        doubts = read(tuple[tuple[str, str, Fraction], ...], said["doubts"], "/doubts")
        network = SupplyNetwork.of(
            parts["day"], parts["sites"].values(), parts["lines"], parts["links"], parts["stocks"]
        )
        view = cls(network=network, doubts={(site, part): doubt for site, part, doubt in doubts}, **values)
        if view.text != canonical(said) or not network.sites.keys() <= view.seen.keys():
            raise MalformedFact("not as a view is written: something is missing, comes twice, or in another order")
        return view

    @property
    def text(self) -> bytes:
        """All of it in one text form: what two worlds are compared by, and what a report can be made of again."""
        return b"{" + b",".join(canonical(name) + b":" + said for name, said in self._said()) + b"}"

    def kept(self, name: str, make: Callable[[], SupplyNetwork]) -> SupplyNetwork:
        """What `make` makes of the network and the doubts alone, called `name`: once for all views of one sight."""
        if name not in self._networks:
            self._networks[name] = make()
        return self._networks[name]

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the canonical object that has the SHA-256 of each field of the text under its name.

        So what no hit changes, nearly all of it, is hashed once for all views of one sight.
        """
        digests = {}
        for name, said in self._said():
            if self._still.get(name) is not said:
                digests[name] = sha256(said).hexdigest()
                continue
            if name not in self._digests:
                self._digests[name] = sha256(said).hexdigest()
            digests[name] = self._digests[name]
        return sha256(canonical(digests)).hexdigest()

    def _said(self) -> Iterator[tuple[str, bytes]]:
        """The fields of the text, in order, and what each says; what no hit changes is written once for all views."""
        names = {_camel(one.name): one.name for one in fields(self) if one.init and one.name not in _APART}
        for shown in sorted({*names, *_OF_NETWORK, "doubts"}):
            if names.get(shown) in _HAPPENING:
                yield shown, canonical(plain(getattr(self, names[shown])))
                continue
            if shown not in self._still:
                said = [[*place, plain(doubt)] for place, doubt in sorted(self.doubts.items())]
                if shown != "doubts":
                    said = plain(getattr(self.network if shown in _OF_NETWORK else self, names.get(shown, shown)))
                self._still[shown] = canonical(said)
            yield shown, self._still[shown]


_APART = ("network", "doubts")
_HAPPENING = frozenset({"hits", "link_hits", "coverage"})
"""What differs between views of one sight."""
_OF_NETWORK: Mapping[str, Any] = {
    "day": date,
    "lines": tuple[Line, ...],
    "links": tuple[SupplyLink, ...],
    "sites": Mapping[str, Site],
    "stocks": tuple[Stock, ...],
}
"""What a view says of its network."""


def plain(value: Any) -> Any:
    """`value` as JSON without floats: fractions and dates as text, sets in order, dataclasses by their fields."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Fraction | date):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in _fields(type(value))}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(map(plain, value))
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return value


@cache
def _fields(kind: type) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


def canonical(value: Any) -> bytes:
    """The one text of `value` (RFC 8785, for content without floats and with ASCII keys)."""
    return _ENCODER.encode(value).encode()


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))

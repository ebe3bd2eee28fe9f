"""How goods travel: by which modes, from which port to which, through which passages. Pure.

A link or a stand-in for it may state its route; a disruption of a port, of a lane or of a passage then closes it. How
long a way by sea is, and how much longer the one round a closed passage, is worked out from sea lanes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from risk.errors import MalformedFact, RiskError

Vector = NDArray[np.float64]

EARTH_KM = 6371.0088
"""Mean radius (IUGG)."""


class Mode(StrEnum):
    """By what goods travel, in the order of UN/CEFACT recommendation 19."""

    SEA = "sea"
    RAIL = "rail"
    ROAD = "road"
    AIR = "air"
    INLAND_WATERWAY = "inland-waterway"


class Passage(StrEnum):
    """A canal, strait or cape that ships cannot well do without."""

    SUEZ = "suez"
    PANAMA = "panama"
    MALACCA = "malacca"
    SUNDA = "sunda"
    BAB_EL_MANDEB = "bab-el-mandeb"
    HORMUZ = "hormuz"
    GIBRALTAR = "gibraltar"
    BOSPORUS = "bosporus"
    DARDANELLES = "dardanelles"
    GOOD_HOPE = "good-hope"
    MAGELLAN = "magellan"
    BERING = "bering"
    NORTHWEST = "northwest"
    KIEL = "kiel"


@dataclass(frozen=True, slots=True)
class ShippingRoute:
    """The modes of a route in order, the ports (UN/LOCODE) where it begins and ends, the passages on its way in order.

    `lane` is what the trade calls it, as "Far East to Mediterranean".
    """

    modes: tuple[Mode, ...]
    origin: str | None = None
    destination: str | None = None
    passages: tuple[Passage, ...] = ()
    lane: str | None = None

    def check(self, where: str = "") -> None:
        """Raise MalformedFact for a route by nothing, to where it began, or through one passage twice."""
        if not self.modes:
            raise MalformedFact("a route says by what goods travel", where)
        if self.origin is not None and self.origin == self.destination:
            raise MalformedFact(f"a route does not end where it began ({self.origin})", where)
        if len(set(self.passages)) != len(self.passages):
            raise MalformedFact("a route goes through a passage once", where)
        if self.passages and Mode.SEA not in self.modes:
            raise MalformedFact("passages are of the sea, and this route has no leg by sea", where)


NAUTICAL_MILE_KM = 1.852
DEFAULT_KNOTS = 16.0
"""The speed of container ships on the way from Shanghai to Rotterdam (Notteboom, Pallis and Rodrigue, *Port Economics,
Management and Policy*, 2022, routing options)."""
MOST_TO_PORT_KM = 250.0
"""How far a port may lie from the sea lanes of the data."""
_THROATS = {
    Passage.PANAMA: (9.11, -79.71),
    Passage.SUEZ: (30.27, 32.47),
    Passage.BOSPORUS: (41.08, 29.06),
    Passage.DARDANELLES: (40.25, 26.45),
    Passage.HORMUZ: (26.48, 56.65),
}
"""Where these are cut when they are closed, in degrees: the data count what lies before them to them, and so ports."""
ICE = frozenset({Passage.NORTHWEST})
"""Closed unless somebody says that it is open."""


class UnknownPort(RiskError):
    """A port that the data of sea lanes do not have, or one that lies too far from any of them."""

    def __init__(self, locode: str, what: str = "is in no list of sea ports: check its UN/LOCODE") -> None:
        super().__init__(f"{locode} {what}")
        self.locode = locode


class NoWay(RiskError):
    """No ship gets from `origin` to `destination` while `closed` are closed."""

    def __init__(self, origin: str, destination: str, closed: Iterable[Passage]) -> None:
        shut = ", ".join(sorted(closed))
        super().__init__(f"no ship gets from {origin} to {destination} while these are closed: {shut}")
        self.origin = origin
        self.destination = destination


@dataclass(frozen=True, slots=True)
class Voyage:
    """The shortest way by sea between two ports: its length, and the passages that it takes, in order.

    An estimate from sea lanes, good to some per cent; it is for comparing ways, and no ship is to be steered by it.
    """

    origin: str
    destination: str
    km: float
    passages: tuple[Passage, ...]

    @property
    def nautical_miles(self) -> float:
        return self.km / NAUTICAL_MILE_KM

    def days(self, knots: float = DEFAULT_KNOTS) -> float:
        """Days at sea at `knots`, without calls at other ports and without waiting."""
        if not knots > 0:
            raise MalformedFact(
                f"a ship makes more than 0 knots, not {knots:g}", f"{self.origin} to {self.destination}"
            )
        return self.nautical_miles / knots / 24


@dataclass(frozen=True, slots=True)
class WayRound:
    """What it takes to sail round closed passages: the usual voyage, the one that is left, and what that is longer."""

    usual: Voyage
    left: Voyage

    @property
    def extra_km(self) -> float:
        return self.left.km - self.usual.km

    def extra_days(self, knots: float = DEFAULT_KNOTS) -> float:
        return self.left.days(knots) - self.usual.days(knots)


def voyage(origin: str, destination: str, *, closed: Iterable[Passage] = (), is_open_in_ice: bool = False) -> Voyage:
    """The shortest way by sea from one port to the other (UN/LOCODE) that takes none of the passages in `closed`.

    The Kiel Canal is not in the data: no way takes it. Raises UnknownPort, and NoWay if nothing is left.

    >>> voyage("CNSHA", "NLRTM").passages[-2:]
    (<Passage.SUEZ: 'suez'>, <Passage.GIBRALTAR: 'gibraltar'>)
    """
    shut = frozenset(closed) | (frozenset() if is_open_in_ice else ICE)
    return _sea_lanes().voyage(origin, destination, shut)


def way_round(origin: str, destination: str, closed: Iterable[Passage]) -> WayRound:
    """How much longer it is from one port to the other while the passages in `closed` are; as `voyage` raises."""
    closed = frozenset(closed)
    return WayRound(voyage(origin, destination), voyage(origin, destination, closed=closed))


def port_position(locode: str) -> tuple[float, float] | None:
    """Latitude and longitude of a sea port in degrees (WGS 84), None for one that the data do not have."""
    return _sea_lanes().ports.get(locode)


@cache
def _sea_lanes() -> "_SeaLanes":
    return _SeaLanes()


class _SeaLanes:
    """The sea lanes and ports of `sea_lanes.json`, as a sparse matrix; `sea_lanes.md` says where they come from.

    They are searoute's, whose own function keeps the restrictions of the last call for the next one, answers with a way
    of no length where there is none, and takes a port to the lane that is nearest in degrees: at the date line that is
    on the other side of the earth.
    """

    def __init__(self) -> None:
        found = json.loads((files("risk") / "sea_lanes.json").read_text())
        self.ports: dict[str, tuple[float, float]] = {name: (one[0], one[1]) for name, one in found["ports"].items()}
        self.nodes = np.array(found["places"], np.float64)
        lanes = found["lanes"]
        self.ends = np.array([(low, high) for low, high, *_ in lanes], np.int64)
        # The date line is crossed by lanes of no length, which a sparse matrix would take for none.
        self.lengths = np.maximum(np.array([km for _, _, km, *_ in lanes], np.float64), 1e-6)
        through = {at: Passage(passage[0]) for at, (_, _, _, *passage) in enumerate(lanes) if passage}
        self.cut = {name: self._cut(name, through) for name in Passage}
        self.taken = {(low, high): name for name, at in self.cut.items() for low, high in self.ends[at].tolist()}

    def _cut(self, name: Passage, through: Mapping[int, Passage]) -> list[int]:
        """The lanes that nobody takes while the passage is closed."""
        lanes = [at for at, passage in through.items() if passage is name]
        if name not in _THROATS:
            return lanes
        middles = self.nodes[self.ends[lanes]].mean(axis=1)
        return [lanes[int(_km(middles, _THROATS[name]).argmin())]]

    def voyage(self, origin: str, destination: str, closed: frozenset[Passage]) -> Voyage:
        start, from_port = self._lane(origin)
        end, to_port = self._lane(destination)
        is_open = np.ones(len(self.ends), np.bool_)
        is_open[[at for name in closed for at in self.cut.get(name, ())]] = False
        rows, columns = self.ends[is_open].T
        count = len(self.nodes)
        graph = sparse.csr_array((self.lengths[is_open], (rows, columns)), shape=(count, count))
        found_lengths, found_before = csgraph.dijkstra(graph, False, [start], True)
        lengths, before = found_lengths[0], found_before[0]
        if not np.isfinite(lengths[end]):
            raise NoWay(origin, destination, closed)
        found: list[Passage] = []
        at = end
        while at != start:
            last = int(before[at])
            passage = self.taken.get((min(last, at), max(last, at)))
            if passage is not None and passage not in found:
                found.append(passage)
            at = last
        return Voyage(origin, destination, float(lengths[end]) + from_port + to_port, tuple(reversed(found)))

    def _lane(self, locode: str) -> tuple[int, float]:
        """The place on the lanes where ships from a port come to them, and how far that is (km)."""
        position = self.ports.get(locode)
        if position is None:
            raise UnknownPort(locode)
        away = _km(self.nodes, position)
        nearest = int(away.argmin())
        if away[nearest] > MOST_TO_PORT_KM:
            raise UnknownPort(locode, f"lies {away[nearest]:.0f} km from the next sea lane")
        return nearest, float(away[nearest])


def _km(points: Vector, point: tuple[float, float]) -> Vector:
    """Great-circle distances of `points` (latitude, longitude) from one (haversine)."""
    latitudes, longitudes = np.radians(points).T
    latitude, longitude = np.radians(point)
    half = np.sin((latitudes - latitude) / 2) ** 2
    half += np.cos(latitudes) * np.cos(latitude) * np.sin((longitudes - longitude) / 2) ** 2
    return np.asarray(2 * EARTH_KM * np.arcsin(np.sqrt(np.minimum(half, 1.0))), np.float64)

"""How goods travel: by which modes, from which port to which, through which passages. Pure.

A link or a stand-in for it may state its route; a disruption of a port, of a lane or of a passage then closes it.
"""

from dataclasses import dataclass
from enum import StrEnum

from risk.errors import MalformedFact


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

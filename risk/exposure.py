"""How exposed a reader is to each site it may see: how long it survives, what is lost, where all hangs by one. Pure.

Everything is made of a view as `stress.what_if` has it: time to survive against time to recover, the risk exposure
index (walked day by day, and by both programs of `survival`), the economic systemic risk index of the view as a network
of firms, single sources, and what suppliers that look independent have in common further up. It is told as far as the
levels of sharing go: a site below the level `tier` is neither named nor counted.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from risk.criticality import Essential, FirmNetwork, NotConverged
from risk.hits import ASSUMED_DAYS
from risk.mitigation import decimal
from risk.network import SupplyNetwork
from risk.outlook import before_them, label, names_in, outlets, own_sites, recovery_of, upstream
from risk.propagation import Stop, propagate
from risk.reach import Outage
from risk.screen import Scenario, Screen, Screened, every_site
from risk.sharing import Level, View, canonical
from risk.stress import ENGINE, LARGEST_CHAIN
from risk.survival import NoSolution, risk_exposure, time_to_survive

Shares = NDArray[np.float32]
FORMAT = "tallystick-exposure/1"
MOST_SITES = 20
"""Sites that are looked at one by one: the worst by the screen, after what others have to spare."""
MOST_TOLD = 200
MOST_PARTS = 1_000
"""Parts of a network whose systemic risk is worked out; the matrix of what is essential grows with the square."""
PRECISION = 1e-6
SMALL = 1e-6
"""Units that are no loss: what walks leave over in their last places."""
NEVER = 3650
LONGEST = 120
"""Days of the longest outage that is tried."""
FURTHEST = 730
"""Days that are walked at most: who states that it recovers in ten years does not keep others' cores busy."""
LOOKS_ON = 90
"""Days after the end of an outage for which it is walked on: what it costs may come late."""
RESTS_ON = {
    "exposureIndex": "`atRisk` is what you lose within two years if the site stops today and comes back after its "
    "likely time, day by day with leads, stocks and spare capacity; `exposureIndex` is that over the largest of these "
    "losses, as the risk exposure index of Simchi-Levi et al. (2014, 2015) is: 1 is the site that costs you most, 0 "
    "one that costs you nothing while it recovers. It is of units where your products have prices in several "
    "currencies or none, and null where what is lost has no price and other products have one.",
    "isCovered": "Nothing of yours is lost while it recovers: you survive without it (time to survive) for as long as "
    "it likely takes to come back (time to recover). `gapDays` is by how many days of the calendar you do not.",
    "oneBucket": "The published programs of Simchi-Levi et al. (2015): one bucket of time, working days and no lead "
    "times. They find an upper bound of how long you survive, and call covered what stands still while goods are on "
    "their way: where they say covered and `isCovered` says no, lead times make the difference.",
    "systemicRisk": "The economic systemic risk index (ESRI), Diem et al. 2022, equations 4 to 10: the share of all "
    "that is made in your view that goes if the site fails for good. What a bill of material does not say otherwise of "
    "is taken as essential: nothing is made without it (`essential` counts what was said). Nobody states turnover, so "
    "each part counts alike, by shares of what is made of it a day. No stock, no time and no recovery: an upper bound "
    "for your view as a whole, and not for you.",
    "timeToSurvive": "The longest outage, in days of the calendar, that stops no line of yours, day by day with leads, "
    "stocks and spare capacity; what you have made already counts for your customers and not here.",
}
"""What each figure is made from: it goes with every result."""


@dataclass(frozen=True)
class Exposure:
    """A result as it is kept: `content` has no floats and one text form."""

    content: Mapping[str, Any]

    @property
    def text(self) -> bytes:
        """The canonical bytes of the content (RFC 8785)."""
        return canonical(self.content)


def exposure(view: View) -> Exposure:
    """How exposed the reader of `view` is. Raises MalformedFact for a view in which something really happens."""
    return Exposure(_Exposure(view).content())


def firms(network: SupplyNetwork) -> tuple[FirmNetwork, int] | None:
    """The lines of `network` as firms in the order of its arrays, and how many they are; None for too many parts.

    A line sells its part in shares of what is made of it a day: to the lines that need it, the rest to a market that
    never fails. What a need gets from nobody in particular comes from a firm of the part's sector that never fails.
    What no bill of material says otherwise of is essential.
    """
    arrays = network.arrays
    parts = sorted({line.part for line in arrays.lines} | {part for _, part in arrays.bins})
    if len(parts) > MOST_PARTS:
        return None
    at = {part: number for number, part in enumerate(parts)}
    sector = [at[line.part] for line in arrays.lines]
    lines, bins, count = len(sector), len(arrays.bins), len(parts)
    made = np.bincount(sector, arrays.per_day, count)
    worth = np.divide(1.0, made, out=np.zeros(count), where=made > 0)
    used = sparse.csr_array(
        (arrays.need_amount * arrays.per_day[arrays.need_line], (arrays.need_bin, arrays.need_line)),
        shape=(bins, lines),
    )
    sent = sparse.csr_array((arrays.share, (arrays.link_line, arrays.link_bin)), shape=(lines, bins)) @ used
    of_bin = np.array([at[part] for _, part in arrays.bins], np.int64)
    unnamed = sparse.csr_array((arrays.outside, (of_bin, np.arange(bins))), shape=(count, bins)) @ used
    flows = sparse.coo_array(sent)
    others = sparse.coo_array(unnamed)
    rest = np.maximum(arrays.per_day - np.asarray(sent.sum(axis=1)).ravel(), 0.0)
    own = worth[np.array(sector, np.int64)] if lines else np.zeros(0)
    market = lines
    weights = sparse.coo_array(
        (
            np.concatenate([flows.data * own[flows.coords[0]], rest * own, others.data * worth[others.coords[0]]]),
            (
                np.concatenate([flows.coords[0], np.arange(lines), others.coords[0] + market + 1]),
                np.concatenate([flows.coords[1], np.full(lines, market), others.coords[1]]),
            ),
        ),
        shape=(lines + 1 + count,) * 2,
    )
    weights.eliminate_zeros()
    essential = np.full((count + 1, count + 1), int(Essential.REPLACEABLE), np.int64)
    for line in network.lines:
        for part in line.needs:
            # A part that one maker of another cannot do without is essential to all who make that.
            if line.essential.get(part, True):
                essential[at[part], at[line.part]] = int(Essential.ESSENTIAL)
    essential[:, count] = int(Essential.IRRELEVANT)
    return FirmNetwork(weights, [*sector, count, *range(count)], essential), lines


@dataclass(frozen=True, slots=True)
class _AtRisk:
    """What is lost while a site recovers: units by part, cents, and by which of them it is put in order."""

    lost: Mapping[str, Fraction]
    cents: int
    size: Fraction


class _Exposure:
    """One exposure on its way."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.network = view.network
        self.own = own_sites(view)
        self.recovery = recovery_of(view)
        self.arrays = self.network.arrays
        self.before = upstream(self.network, self.own)
        products = outlets(self.network, self.own)
        self.products = frozenset((self.arrays.lines[at].site, self.arrays.lines[at].part) for at in products)
        self.screen = Screen(self.network, products)
        self.currencies = self.network.currencies({self.arrays.lines[at].site for at in products})
        self.has_price = len(self.currencies) == 1

    def content(self) -> dict[str, Any]:
        view, (looked_at, more) = self.view, self._looked_at()
        sites = [one.scenario.name for one in looked_at]
        at_risk = {site: self._at_risk(site) for site in sites}
        indices = self._indices(sites)
        firm_network = firms(self.network)
        content = {
            "checkpoint": view.checkpoint,
            "commonUpstream": self._common(),
            "coverage": {"needs": view.coverage.needs, "share": decimal(view.coverage.share)},
            "currency": self.currencies[0] or None if self.has_price else None,
            "day": self.network.day.isoformat(),
            "engine": ENGINE,
            "essential": self._essential(),
            "format": FORMAT,
            "moreSites": more,
            "reader": view.reader,
            "restsOn": dict(RESTS_ON),
            "sharedPlaces": self._places(),
            "singleSources": self._single_sources(),
            "sites": [self._site(one, at_risk, indices, firm_network) for one in looked_at],
            "view": view.digest,
        }
        return content | {"names": names_in(view, content)}

    def _looked_at(self) -> tuple[list[Screened], int]:
        """Of the sites that the reader may tell apart the worst, of the others one of each kind; how many are left."""
        flagged = {one.scenario.name: one for one in self.screen.run(every_site(self.network)) if one.products}
        order = self.screen.left_over([one.scenario for one in flagged.values()])
        seen, told = set[bytes](), []
        for one in order:
            said = canonical(label(self.view, one.scenario.name))
            if said not in seen:
                seen.add(said)
                told.append(flagged[one.scenario.name])
        return told[:MOST_SITES], max(len(told) - MOST_SITES, 0)

    @cached_property
    def chain(self) -> SupplyNetwork | None:
        """The reader's sites and all before them, None where they are too many for programs."""
        if sum(line.site in self.before for line in self.network.lines) > LARGEST_CHAIN:
            return None
        return before_them(self.network, self.own, [self.arrays.line_index[place] for place in sorted(self.products)])

    def _range(self, site: str) -> tuple[int, int, int]:
        return self.recovery.get(site, ASSUMED_DAYS)

    def _essential(self) -> dict[str, int]:
        """Of how many needs somebody has said whether nothing can be made without, where their number may be told."""
        told = [line for line in self.network.lines if self.view.seen[line.site].level.shows(Level.TIER)]
        said = [one for line in told for part, one in line.essential.items() if part in line.needs]
        return {"needs": sum(len(line.needs) for line in told), "replaceable": said.count(False), "stated": len(said)}

    def _working_days(self, site: str) -> float:
        """How many working days the likely recovery of a site takes."""
        is_open, first = self.network.sites[site].calendar.is_open, self.network.day
        return float(sum(is_open(first + timedelta(days=n)) for n in range(self._range(site)[1])))

    def _indices(self, sites: Sequence[str]) -> dict[str, float]:
        """The published index of those of `sites` that are before the reader's; of none where it cannot be had."""
        if self.chain is None:
            return {}
        days = {site: self._working_days(site) for site in sites if site in self.chain.sites}
        try:
            return risk_exposure(self.chain, days)
        except NoSolution:
            return {}

    def _site(
        self,
        one: Screened,
        at_risk: Mapping[str, _AtRisk],
        indices: Mapping[str, float],
        of: tuple[FirmNetwork, int] | None,
    ) -> dict[str, Any]:
        site = one.scenario.name
        least, likely, most = self._range(site)
        walked = self._walked(site)
        risked, largest = at_risk[site], max(each.size for each in at_risk.values())
        is_named = self.view.seen[site].level is Level.NAMED
        return {
            "atMost": {"centsADay": one.cents_a_day if self.has_price else None, "products": one.products},
            "atRisk": {
                "lost": {part: decimal(amount) for part, amount in risked.lost.items()},
                "revenueCents": risked.cents if self.has_price else None,
            },
            "exposureIndex": _share(risked, largest),
            "gapDays": None if not is_named else max(likely - walked, 0) if risked.lost else 0,
            "isCovered": not risked.lost,
            "oneBucket": self._one_bucket(site, indices.get(site)),
            "recoverDays": {"isAssumed": site not in self.recovery, "least": least, "likely": likely, "most": most}
            if is_named
            else None,
            "systemicRisk": self._systemic(site, of),
            "timeToSurvive": {"days": walked, "isAtLeast": walked >= LONGEST},
            "where": label(self.view, site),
        }

    def _one_bucket(self, site: str, index: float | None) -> dict[str, Any] | None:
        """What the published programs say; None where the network is too large for them."""
        if self.chain is None or site not in self.chain.sites:
            return None
        try:
            days = time_to_survive(self.chain, [site], most_days=NEVER)
        except NoSolution:
            return None
        return {
            "days": None if days >= NEVER else decimal(days),
            "exposureIndex": None if index is None else decimal(index),
            "isCovered": days >= self._working_days(site),
            "isEndless": days >= NEVER,
        }

    def _stops(self, site: str, days: int) -> list[Stop]:
        """The stops of the reader's own lines that count, if the site is out for so many days from today."""
        first = self.network.day
        out = [Outage(site, ((first, 0.0), (first + timedelta(days=days), 1.0)))]
        impact = propagate(self.network, out, days=min(max(days, LONGEST) + LOOKS_ON, FURTHEST))
        return [one for one in impact.stops if (one.site, one.part) in self.products and one.shortfall > SMALL]

    def _at_risk(self, site: str) -> _AtRisk:
        stops = self._stops(site, self._range(site)[1])
        lost: dict[str, Fraction] = defaultdict(Fraction)
        for one in stops:
            lost[one.part] += Fraction(decimal(one.shortfall))
        cents = sum(one.revenue_cents or 0 for one in stops)
        known = {part: amount for part, amount in sorted(lost.items()) if amount}
        return _AtRisk(known, cents, Fraction(cents) if self.has_price else sum(known.values(), Fraction(0)))

    def _walked(self, site: str) -> int:
        """The longest outage up to LONGEST days that stops none of the lines that count: found by halving."""
        if not self._stops(site, LONGEST):
            return LONGEST
        safe, lost = 0, LONGEST
        while lost - safe > 1:
            middle = (safe + lost) // 2
            if self._stops(site, middle):
                lost = middle
            else:
                safe = middle
        return safe

    def _systemic(self, site: str, of: tuple[FirmNetwork, int] | None) -> str | None:
        if of is None:
            return None
        network, lines = of
        left = np.ones(network.count)
        left[list(self.arrays.lines_at(site))] = 0
        try:
            rest = network.cascade(left, precision=PRECISION, most_rounds=1_000).left
        except NotConverged:
            return None
        weight = network.out[:lines]
        total = float(weight.sum())
        return decimal(float(weight @ (1 - rest[:lines])) / total if total else 0.0, 4)

    # -- where all hangs by one ---------------------------------------------------------------------------------------

    def _single_sources(self) -> list[dict[str, Any]]:
        """Needs of the reader and of those before it that may be told apart which have one source and no stand-in."""
        found = {}
        suppliers: dict[int, list[int]] = defaultdict(list)
        for link, bin_ in enumerate(self.arrays.link_bin.tolist()):
            suppliers[bin_].append(link)
        stand_ins = {(one.customer, one.part) for one in self.view.alternatives if one.consents}
        for bin_, links in suppliers.items():
            site, part = self.arrays.bins[bin_]
            makers = {self.network.links[at].supplier for at in links}
            if site not in self.before or len(makers) > 1 or self.arrays.outside[bin_] > 1e-9:
                continue
            if not self._may_count(site, makers):
                continue
            one = {
                "customer": label(self.view, site),
                "hasStandIn": (site, part) in stand_ins,
                "part": part if part in self.view.known_parts else None,
                "supplier": label(self.view, makers.pop()),
            }
            found[canonical(one)] = one
        return [one for _, one in sorted(found.items())][:MOST_TOLD]

    def _may_count(self, customer: str, suppliers: Iterable[str]) -> bool:
        """Whether the reader may know how many suppliers there are: of its own sites, and where all can be told apart.

        A link is in the view at every level but `withheld`, and how many a partner has is not for everybody.
        """
        others = () if customer in self.own else (customer, *suppliers)
        return all(self.view.seen[one].level.shows(Level.TIER) for one in others)

    @cached_property
    def _suppliers(self) -> Mapping[int, frozenset[int]]:
        """The lines that supply each line."""
        first, users = self.arrays.user_rows
        found: dict[int, set[int]] = defaultdict(set)
        for line in range(len(self.arrays.lines)):
            for user in users[first[line] : first[line + 1]].tolist():
                found[user].add(line)
        return {line: frozenset(some) for line, some in found.items()}

    def _ancestors(self, line: int) -> frozenset[int]:
        found, wave = {line}, {line}
        while wave:
            wave = {one for at in wave for one in self._suppliers.get(at, ())} - found
            found |= wave
        return frozenset(found)

    def _several(self) -> Iterable[tuple[int, dict[int, float]]]:
        """Needs with two suppliers or more, own ones first: the need, and the share of each supplying line."""
        shares: dict[int, dict[int, float]] = defaultdict(dict)
        for bin_, line, share in zip(
            self.arrays.link_bin.tolist(), self.arrays.link_line.tolist(), self.arrays.share.tolist(), strict=True
        ):
            shares[bin_][line] = shares[bin_].get(line, 0.0) + share
        bins = [one for one in shares if len(shares[one]) > 1 and self.arrays.bins[one][0] in self.before]
        lines = self.arrays.lines
        bins = [
            one for one in bins if self._may_count(self.arrays.bins[one][0], (lines[at].site for at in shares[one]))
        ]
        bins.sort(key=lambda one: (self.arrays.bins[one][0] not in self.own, self.arrays.bins[one]))
        return [(one, shares[one]) for one in bins[:MOST_TOLD]]

    def _common(self) -> list[dict[str, Any]]:
        """Who stands behind two suppliers of one need: the nearest such site of each pair, and what hangs on it."""
        ancestors: dict[int, frozenset[int]] = {}
        wanted: dict[tuple[int, str], set[int]] = defaultdict(set)
        several = list(self._several())
        lines = self.arrays.lines
        for bin_, shares in several:
            for line in shares:
                ancestors.setdefault(line, self._ancestors(line))
            for one in shares:
                for two in shares:
                    for site in self._nearest(one, two, ancestors) if one < two else ():
                        wanted[bin_, site] |= {one, two}
        sites = sorted({site for _, site in wanted})
        made: dict[str, Shares] = {}
        for start in range(0, len(sites), 64):
            some = sites[start : start + 64]
            of = self.screen.made([Scenario(site, (site,)) for site in some])
            made |= {site: of[:, column] for column, site in enumerate(some)}
        found: dict[bytes, dict[str, Any]] = {}
        all_shares = dict(several)
        for (bin_, site), behind in sorted(wanted.items(), key=lambda one: (self.arrays.bins[one[0][0]], one[0][1])):
            customer, part = self.arrays.bins[bin_]
            lost = sum(share * float(1 - made[site][line]) for line, share in all_shares[bin_].items())
            said = {
                "common": label(self.view, site),
                "customer": label(self.view, customer),
                "part": part if part in self.view.known_parts else None,
                "suppliers": sorted((label(self.view, lines[at].site) for at in behind), key=canonical),
            }
            text, share = canonical(said), Fraction(decimal(min(lost, 1.0)))
            if text not in found or Fraction(found[text]["shareAtRisk"]) < share:
                found[text] = said | {"shareAtRisk": decimal(share)}
        worst = sorted(found.values(), key=lambda one: (-Fraction(one["shareAtRisk"]), canonical(one)))
        return worst[:MOST_TOLD]

    def _nearest(self, one: int, two: int, ancestors: Mapping[int, frozenset[int]]) -> set[str]:
        """The sites behind both lines that are behind no other such site alone."""
        lines = self.arrays.lines
        sites = [{lines[at].site for at in ancestors[line]} for line in (one, two)]
        common = (sites[0] & sites[1]) - self.own
        if lines[one].site == lines[two].site:
            return set()
        near = []
        for line in (one, two):
            direct = {lines[line].site}
            for at in ancestors[line]:
                if lines[at].site not in common:
                    direct |= {lines[supplier].site for supplier in self._suppliers.get(at, ())}
            near.append(direct & common)
        return near[0] & near[1] or near[0] | near[1]

    def _places(self) -> list[dict[str, Any]]:
        """Regions and ports that two suppliers of one need share, where the reader may place them."""
        found = {}
        for bin_, shares in self._several():
            customer, part = self.arrays.bins[bin_]
            for kind, of in (("region", "region"), ("port", "locode")):
                groups: dict[str, set[str]] = defaultdict(set)
                for line in shares:
                    site = self.network.sites[self.arrays.lines[line].site]
                    if getattr(site, of):
                        groups[getattr(site, of)].add(site.key)
                for name, sites in groups.items():
                    if len(sites) > 1:
                        one = {
                            "customer": label(self.view, customer),
                            "kind": kind,
                            "name": name,
                            "part": part if part in self.view.known_parts else None,
                            "suppliers": sorted((label(self.view, each) for each in sites), key=canonical),
                        }
                        found[canonical(one)] = one
        return [one for _, one in sorted(found.items())][:MOST_TOLD]


def _share(risked: _AtRisk, largest: Fraction) -> str | None:
    """What is lost, over the largest loss; None for a loss that has no price where others have one."""
    if risked.lost and not risked.size:
        return None
    return decimal(risked.size / largest if largest else Fraction(0), 4)

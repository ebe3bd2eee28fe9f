"""Stress tests: scenarios walked day by day, the worst first, before and after mitigations. Pure.

`screen` finds among thousands of failures those worth a walk; `propagate` and `plan` say what stock, leads and spare
capacity make of them. A test is made of a reader's view (or of the whole network, at the operator's machine) and of a
question, and of nothing else: the same two give the same bytes. How long a recovery takes in a draw follows from the
seed by SHA-256, so no library's random numbers are in it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from hashlib import sha256
from math import isqrt
from typing import Any

from risk.errors import MalformedFact, RiskError
from risk.hits import ASSUMED_DAYS, CLOSED_DAYS
from risk.mitigation import (
    Mitigation,
    break_even,
    currency_of,
    decimal,
    described,
    expected,
    is_mitigation,
    mitigated,
    pays_json,
)
from risk.network import SupplyNetwork
from risk.outlook import before_them, label, names_in, outlets, own_sites, recovery_of, upstream
from risk.propagation import Impact, Stop, propagate
from risk.reach import Closure, Diversion, Outage
from risk.screen import Failing, Scenario, Screen, Screened, every_port, every_region, every_site
from risk.sharing import Level, View, canonical, plain
from risk.survival import NoSolution, plan

ENGINE = 2
"""Goes up whenever the same question about the same view gets other figures."""
FORMAT = "tallystick-stress/1"
MOST_SCENARIOS, MOST_MITIGATIONS, MOST_WORST, MOST_DRAWS, MOST_DAYS = 200, 10, 50, 500, 730
MOST_WALKS = 2_000
"""Walks through the network in one test; a walk takes milliseconds where there are 10,000 sites."""
MOST_WORK = 600_000_000
"""Walks times days times lines of the network in one test: a few minutes, so that nobody keeps a core for an hour."""
MOST_PROGRAMS = 12
"""Linear programs in one test; a scenario that gets none says so."""
LARGEST_PROGRAM, LARGEST_CHAIN = 3_000, 400
"""Lines times days that a program may have, and lines of the reader and before it: such a one takes seconds."""
MOST_SEED = 2**53 - 1
ASSUMPTIONS = (
    "What fails makes nothing, or the stated share, until it is back, and everything from that day on.",
    "Where nobody has said how long a site takes to recover, it takes 28, 42 or 63 days: at least, likely, at most.",
    "Where nobody has said how long a port or a passage is closed, it is 6, 13 or 20 days.",
    "What would come where a link is closed takes a second route, where that is one of the mitigations.",
    "In a draw each site recovers after its own time, triangular from the least to the most; the likely case is none.",
    "A region or a port fails with those sites of it that the reader may place there, and with no others.",
    "What is lost if unplaced sites fail too: all sites before the reader whose place it does not know, wherever.",
    "A share of a need that nobody has named comes as planned.",
    "Customers order as planned, and are served in proportion when there is too little.",
    "The least loss is what the best reaction of all together, for this reader alone, would still lose.",
    "A scenario comes once a year at most, and apart from the others; its chance is the word of whoever stated it.",
    "Costs are the word of whoever asked. Revenue is told where all prices are in one currency.",
)
_LOOKED_AT = 2
"""So many times as many failures as are asked for are walked to find the worst."""


class Every(StrEnum):
    """What fails one at a time, besides the scenarios that have a name."""

    SITE = "site"
    REGION = "region"
    PORT = "port"


class TooMuchAsked(RiskError):
    """A test with more work in it than one call may ask for; `limit` is how much of `what` it may be."""

    def __init__(self, what: str, asked: int, limit: int) -> None:
        super().__init__(f"{asked} {what} are asked for, at most {limit} go into one test")
        self.what = what
        self.limit = limit


@dataclass(frozen=True, slots=True)
class ScenarioSet:
    """Scenarios under one name and version, for all to test alike."""

    name: str
    version: str
    scenarios: tuple[Scenario, ...]

    def check(self) -> None:
        """Raise MalformedFact for a set of nothing and two scenarios of one name, TooMuchAsked for too many."""
        if not self.scenarios:
            raise MalformedFact("a set has one scenario at least", self.name)
        if len(self.scenarios) > MOST_SCENARIOS:
            raise TooMuchAsked("scenarios", len(self.scenarios), MOST_SCENARIOS)
        if len({one.name for one in self.scenarios}) != len(self.scenarios):
            raise MalformedFact("two scenarios have one name", self.name)
        for one in self.scenarios:
            one.check()

    @property
    def digest(self) -> str:
        """SHA-256 of what it says, in hex, wherever it comes from."""
        return sha256(canonical(plain(self))).hexdigest()


_EVERY = {Every.SITE: every_site, Every.REGION: every_region, Every.PORT: every_port}


@dataclass(frozen=True, slots=True)
class Question:
    """What a test is asked: scenarios by name, what fails one at a time, and what could be done about it.

    Of what fails one at a time the `worst` by the screen are walked, `days` days long; `draws` of recovery times come
    from `seed`.
    """

    scenarios: ScenarioSet | None = None
    every: tuple[Every, ...] = ()
    mitigations: tuple[Mitigation, ...] = ()
    worst: int = 10
    seed: int = 0
    draws: int = 0
    days: int = 120

    def check(self) -> None:
        """Raise MalformedFact for a question that is none, TooMuchAsked for one that is too much."""
        if self.scenarios is None and not self.every:
            raise MalformedFact("name scenarios, or ask for every site, region or port")
        if self.scenarios is not None:
            self.scenarios.check()
        if not 0 <= self.seed <= MOST_SEED:
            raise MalformedFact(f"a seed is a whole number from 0 to {MOST_SEED}")
        if len(set(self.every)) != len(self.every):
            raise MalformedFact("each of site, region and port comes once")
        if len({one.name for one in self.mitigations}) != len(self.mitigations):
            raise MalformedFact("two mitigations have one name")
        for what, asked, least, limit in (
            ("mitigations", len(self.mitigations), 0, MOST_MITIGATIONS),
            ("of the worst", self.worst, 1, MOST_WORST),
            ("draws", self.draws, 0, MOST_DRAWS),
            ("days", self.days, 1, MOST_DAYS),
        ):
            if asked < least:
                raise MalformedFact(f"{asked} {what}: it is {least} at least")
            if asked > limit:
                raise TooMuchAsked(what, asked, limit)
        for one in self.mitigations:
            one.cost.check()
        currency_of(self.mitigations)


@dataclass(frozen=True)
class StressTest:
    """A result as it is kept: `content` has no floats and one text form."""

    content: Mapping[str, Any]

    @property
    def text(self) -> bytes:
        """The canonical bytes of the content (RFC 8785)."""
        return canonical(self.content)


def drawn(seed: int, scenario: str, site: str, number: int, days: tuple[int, int, int]) -> int:
    """How long a recovery takes in draw `number`: triangular between the least and the most, to whole days. Exact.

    >>> [drawn(7, "Storm", "harbour", number, (28, 42, 63)) for number in range(5)]
    [52, 39, 47, 44, 35]
    """
    least, likely, most = days
    if least == most:
        return least
    said = canonical([seed, scenario, site, number])
    chance = int.from_bytes(sha256(said).digest()[:8])
    span, half = most - least, 1 << 64
    if chance * span < (likely - least) * half:
        return least + (isqrt(4 * chance * span * (likely - least) // half) + 1) // 2
    return most - (isqrt(4 * (half - chance) * span * (most - likely) // half) + 1) // 2


def stress_test(view: View, question: Question) -> StressTest:
    """What the scenarios of `question` do to the reader of `view`, and what its mitigations save.

    Raises MalformedFact for a question or a mitigation that is none, TooMuchAsked for more than one test holds.
    """
    question.check()
    return StressTest(_Test(view, question).content())


@dataclass(frozen=True, slots=True)
class _Row:
    """One scenario on its way: what it is called to the reader, which sites fail, and what the screen says."""

    of: str
    scenario: Scenario
    where: Mapping[str, Any] | None
    failing: Failing
    screened: Screened | None = None


@dataclass(frozen=True, slots=True)
class _Loss:
    """What a walk loses of the reader's products: units by part to the thousandth, cents, first and last day."""

    lost: Mapping[str, Fraction]
    cents: int
    stops: tuple[Stop, ...]


_Fails = tuple[tuple[Outage, ...], tuple[Closure, ...], tuple[Diversion, ...]]


class _Test:
    """One test: the networks before and after each mitigation, and the walks through them."""

    def __init__(self, view: View, question: Question) -> None:
        self.view, self.question = view, question
        self.own = own_sites(view)
        self.recovery = recovery_of(view)
        self.variants: list[tuple[str, SupplyNetwork, Fraction | None]] = []
        for one in question.mitigations:
            self.variants.append((one.name, mitigated(view.network, [one]), one.cost.a_year))
        if len(question.mitigations) > 1:
            costs = [one.cost.a_year for one in question.mitigations]
            known = [one for one in costs if one is not None]
            total = sum(known, Fraction(0)) if len(known) == len(costs) else None
            self.variants.append(("all together", mitigated(view.network, question.mitigations), total))
        lines = view.network.arrays.lines
        products = outlets(view.network, self.own)
        self.products = frozenset((lines[at].site, lines[at].part) for at in products)
        self.screen = Screen(view.network, products)
        currencies = view.network.currencies({lines[at].site for at in products})
        self.currency = currency_of(question.mitigations)
        self.has_price = len(currencies) == 1
        if self.has_price and self.currency is not None and currencies[0] not in ("", self.currency):
            raise MalformedFact(
                f"costs in {self.currency} cannot be compared with revenue in {currencies[0]}: state them in that"
            )
        self.currency = (currencies[0] or self.currency) if self.has_price else self.currency
        before = upstream(view.network, self.own) - self.own
        sites = [one for key, one in view.network.sites.items() if key in before]
        self.unplaced = {
            Every.REGION: tuple(sorted(one.key for one in sites if not one.region)),
            Every.PORT: tuple(sorted(one.key for one in sites if one.locode is None)),
        }
        self.walked: dict[tuple[int, _Fails], _Loss] = {}
        self.programs = MOST_PROGRAMS
        self.chains: dict[int, SupplyNetwork] = {}

    def content(self) -> dict[str, Any]:
        view, question, named = self.view, self.question, self.question.scenarios
        rows = self._named() + [row for kind in question.every for row in self._every(kind)]
        flagged = [one for one in rows if one.screened is not None and one.screened.products]
        cleared = [one for one in rows if one.screened is not None and not one.screened.products]
        few = sum(min(sum(one.of == kind for one in flagged), question.worst) for kind in question.every)
        walks = (few + sum(one.of == "set" for one in flagged)) * (1 + len(self.variants)) * (1 + question.draws) + few
        most = min(MOST_WALKS, MOST_WORK // (question.days * max(len(view.network.lines), 1)))
        if walks > most:
            raise TooMuchAsked("walks (scenarios, times variants, times draws)", walks, most)
        chosen = self._chosen(flagged)
        tested = [self._tested(one) for one in chosen]
        tested.sort(key=lambda one: _worst_first(one[1]))
        shown = [one for one, _ in tested]
        unplaced = [one for one in rows if one.screened is None]
        content = {
            "already": self._already(),
            "assumptions": list(ASSUMPTIONS),
            "checkpoint": view.checkpoint,
            "cleared": len(cleared),
            "coverage": {
                "needs": view.coverage.needs,
                "openRequests": view.coverage.requests,
                "share": decimal(view.coverage.share),
            },
            "currency": self.currency,
            "day": view.network.day.isoformat(),
            "days": question.days,
            "draws": question.draws,
            "engine": ENGINE,
            "every": [str(one) for one in question.every],
            "flagged": len(flagged),
            "format": FORMAT,
            "mitigations": self._mitigations(tested),
            "network": None if view.reader else view.network.digest,
            "notSeen": [{"name": one.scenario.name, "notSeen": list(one.failing.not_seen)} for one in unplaced],
            "reader": view.reader,
            "scenarioSet": None
            if named is None
            else {"digest": named.digest, "name": named.name, "version": named.version},
            "scenarios": shown,
            "screened": len(flagged) + len(cleared),
            "seed": question.seed,
            "unplaced": {str(kind): self._unplaced_alone(kind) for kind in self._kinds()},
            "view": view.digest if view.reader else None,
            "worst": question.worst,
        }
        return content | {"names": names_in(view, content)}

    def _kinds(self) -> list[Every]:
        """Of regions and ports those that are asked about."""
        named = () if self.question.scenarios is None else self.question.scenarios.scenarios
        return [
            kind
            for kind, is_named in (
                (Every.REGION, any(one.regions for one in named)),
                (Every.PORT, any(one.ports for one in named)),
            )
            if is_named or kind in self.question.every
        ]

    def _unplaced_alone(self, kind: Every) -> dict[str, Any] | None:
        """What hangs on sites before the reader's whose place it may not know, and what is lost if they all fail, and
        they alone: a region or a port that is not among the worst costs no more. None where it may place all.

        It is made of all of them together, so whoever fails one region after the other does not learn where they are.
        """
        sites = self.unplaced[kind]
        if not sites:
            return None
        (screened,) = self.screen.run([Scenario("", sites)])
        loss = self._run(0, self.view.network, _Row("", Scenario("", sites), None, Failing(sites)))
        return self._summed(loss) | {"shareOfOutput": decimal(screened.share / max(len(self.products), 1))}

    def _if_unplaced(self, row: _Row) -> dict[str, Any] | None:
        """What a region or a port costs if all those sites are there too."""
        scenario = row.scenario
        kinds = [kind for kind, some in ((Every.REGION, scenario.regions), (Every.PORT, scenario.ports)) if some]
        more = {site for kind in kinds for site in self.unplaced[kind]} - {*row.failing.sites}
        if not more:
            return None
        sites = tuple(sorted({*row.failing.sites, *more}))
        return self._summed(self._run(0, self.view.network, replace(row, failing=replace(row.failing, sites=sites))))

    def _summed(self, loss: _Loss) -> dict[str, Any]:
        return {
            "first": min((one.first.isoformat() for one in loss.stops), default=None),
            "last": max((one.last.isoformat() for one in loss.stops), default=None),
            "lost": _lost(loss.lost),
            "revenueCents": self._cents(loss.cents),
        }

    def _named(self) -> list[_Row]:
        if self.question.scenarios is None:
            return []
        network, rows, asked = self.view.network, [], []
        links = {one.key: one for one in network.links}
        for one in self.question.scenarios.scenarios:
            failing = one.failing(network)
            # Where nothing comes through, at most everything stops that is made of it.
            waiting = {links[key].customer for key, _ in failing.links}
            if failing.sites or failing.links:
                asked.append(Scenario(one.name, tuple(sorted({*failing.sites, *waiting}))))
            rows.append((one, failing))
        screened = {one.scenario.name: one for one in self.screen.run(asked)}
        return [_Row("set", one, None, failing, screened.get(one.name)) for one, failing in rows]

    def _every(self, kind: Every) -> list[_Row]:
        """What fails one at a time and puts something at risk or not; of what the reader may not tell apart one."""
        network, rows, seen = self.view.network, [], set[bytes]()
        screened = self.screen.run(_EVERY[kind](network))
        flagged = [one for one in screened if one.products]
        if len(flagged) > _LOOKED_AT * self.question.worst:
            # What spare capacity cannot make up for comes first, then what it might.
            likely = {one.scenario.name: at for at, one in enumerate(
                self.screen.left_over([one.scenario for one in flagged]))}  # fmt: skip
            screened.sort(key=lambda one: likely.get(one.scenario.name, len(likely)))
        for one in screened:
            key = one.scenario.name
            where = label(self.view, key) if kind is Every.SITE else {str(kind): key}
            said = canonical(where)
            if said in seen:
                continue
            seen.add(said)
            if kind is Every.SITE:
                scenario = Scenario(key if "site" in where or "id" in where else "", (key,))
            elif kind is Every.REGION:
                scenario = Scenario(key, regions=(key,))
            else:
                scenario = Scenario(key, ports=(key,))
            rows.append(_Row(str(kind), scenario, where, scenario.failing(network), one))
        return rows

    def _chosen(self, flagged: Sequence[_Row]) -> list[_Row]:
        """All that have a name, and of each kind of the others those that lose most of the first few."""
        chosen = [one for one in flagged if one.of == "set"]
        for kind in self.question.every:
            some = [one for one in flagged if one.of == kind]
            if len(some) > self.question.worst:
                walked = []
                for one in some[: _LOOKED_AT * self.question.worst]:
                    loss = self._run(0, self.view.network, one)
                    units = sum(loss.lost.values(), Fraction(0))
                    walked.append(((-loss.cents, -units, canonical(one.where)), one))
                some = [one for _, one in sorted(walked, key=lambda each: each[0])[: self.question.worst]]
            chosen += some
        return chosen

    def _range(self, scenario: Scenario, site: str) -> tuple[int, int, int]:
        return scenario.days or (self.recovery.get(site, ASSUMED_DAYS) if site else CLOSED_DAYS)

    def _days(self, scenario: Scenario, site: str, draw: int | None) -> int:
        days = self._range(scenario, site)
        if draw is None:
            return days[1]
        # Those that are back together are drawn together.
        return drawn(self.question.seed, scenario.name, "" if scenario.days else site, draw, days)

    def _fails(self, network: SupplyNetwork, row: _Row, draw: int | None) -> _Fails:
        scenario = row.scenario
        failing = row.failing if network is self.view.network else scenario.failing(network)
        start, left = network.day + timedelta(days=scenario.after_days), float(scenario.left)

        def steps(key: str) -> tuple[tuple[date, float], ...]:
            return (start, left), (start + timedelta(days=self._days(scenario, key, draw)), 1.0)

        closures = tuple(Closure(key, steps(""), after) for key, after in failing.links)
        return tuple(Outage(site, steps(site)) for site in failing.sites), closures, _round(network, closures)

    def _walk(self, network: SupplyNetwork, fails: _Fails) -> _Loss:
        outages, closures, diversions = fails
        return self._loss(
            propagate(network, outages, closures=closures, diversions=diversions, days=self.question.days)
        )

    def _loss(self, impact: Impact) -> _Loss:
        stops = tuple(one for one in impact.stops if (one.site, one.part) in self.products)
        lost: dict[str, float] = defaultdict(float)
        for one in stops:
            lost[one.part] += one.shortfall
        amounts = {part: Fraction(decimal(amount)) for part, amount in sorted(lost.items())}
        return _Loss(
            {part: one for part, one in amounts.items() if one}, sum(one.revenue_cents or 0 for one in stops), stops
        )

    def _already(self) -> dict[str, Any] | None:
        """What runs short although nothing happens; None where nothing does."""
        network = self.view.network
        if network.arrays.slack(self.question.days).min(initial=0.0) >= 0:
            return None
        sites = sorted({line.site for line in network.lines})
        loss = self._walk(network, (tuple(Outage(site, ((network.day, 1.0),)) for site in sites), (), ()))
        return {"lost": _lost(loss.lost), "revenueCents": self._cents(loss.cents)} if loss.lost else None

    def _cents(self, cents: int) -> int | None:
        return cents if self.has_price else None

    def _run(self, number: int, network: SupplyNetwork, row: _Row, draw: int | None = None) -> _Loss:
        """What a scenario loses in variant `number` (0: as it is): in the likely case, or in a draw."""
        fails = self._fails(network, row, draw)
        if (number, fails) not in self.walked:
            self.walked[number, fails] = self._walk(network, fails)
        return self.walked[number, fails]

    def _draws(self, number: int, network: SupplyNetwork, row: _Row) -> list[_Loss]:
        return [self._run(number, network, row, draw) for draw in range(self.question.draws)]

    def _tested(self, row: _Row) -> "tuple[dict[str, Any], _Tested]":
        screened, scenario = row.screened, row.scenario
        assert screened is not None
        before, draws = self._run(0, self.view.network, row), self._draws(0, self.view.network, row)
        expects = _mean(before, draws)
        # A program for each variant or for none: with a part of them nothing could be compared.
        solve = self.programs >= 1 + len(self.variants) and bool(before.lost)
        least = self._least(0, self.view.network, row) if solve else None
        saves: list[Fraction | None] = []
        variants = []
        for number, (name, network, a_year) in enumerate(self.variants, 1):
            after, drawn_after = self._run(number, network, row), self._draws(number, network, row)
            saved = expects - _mean(after, drawn_after) if self.has_price else None
            saves.append(saved)
            variants.append(
                self._shown(after, drawn_after, self._least(number, network, row) if least is not None else None)
                | {
                    "breakEven": pays_json(break_even(a_year, saved)),
                    "mitigation": name,
                    "saved": {
                        "lost": _lost(
                            {
                                part: before.lost.get(part, Fraction(0)) - after.lost.get(part, Fraction(0))
                                for part in sorted(before.lost.keys() | after.lost.keys())
                            }
                        ),
                        "revenueCents": self._cents(before.cents - after.cents),
                        "expectedCents": None if saved is None else decimal(saved),
                    },
                }
            )
        shown = {
            "atMost": {"centsADay": self._cents(screened.cents_a_day), "products": screened.products},
            "chanceAYear": None if scenario.chance is None else decimal(scenario.chance, 9),
            "effect": self._shown(before, draws, least) | {"stops": [_stop(one) for one in before.stops]},
            "expectedCentsAYear": None
            if scenario.chance is None or not self.has_price
            else decimal(scenario.chance * expects),
            "ifUnplaced": self._if_unplaced(row),
            "mitigated": variants,
            "name": scenario.name,
            "notSeen": list(row.failing.not_seen),
            "of": row.of,
            "recoverDays": self._recovers(row),
            "startsAfterDays": scenario.after_days,
            "where": row.where,
        }
        return shown, _Tested(before, scenario.name, scenario.chance, tuple(saves))

    def _recovers(self, row: _Row) -> dict[str, Any] | None:
        """How long it takes; None where that would say it of a site that the reader may not name."""
        sites = row.failing.sites
        if row.scenario.days is None and any(self.view.seen[one].level is not Level.NAMED for one in sites):
            return None
        ranges = [self._range(row.scenario, one) for one in sites or ("",)]
        return {
            "isAssumed": row.scenario.days is None and any(one not in self.recovery for one in sites or ("",)),
            "least": min(one[0] for one in ranges),
            "likely": max(one[1] for one in ranges),
            "most": max(one[2] for one in ranges),
        }

    def _shown(self, likely: _Loss, draws: Sequence[_Loss], least: dict[str, Any] | None) -> dict[str, Any]:
        shown: dict[str, Any] = self._summed(likely) | {"draws": None, "least": least}
        if draws:
            cents = sorted(one.cents for one in draws)
            parts = sorted({part for one in draws for part in one.lost})
            shown["draws"] = {
                "lost": _lost(
                    {part: sum((one.lost.get(part, Fraction(0)) for one in draws), Fraction(0)) / len(draws)
                     for part in parts}
                ),
                "revenueCents": {
                    "least": cents[0],
                    "mean": decimal(_mean(likely, draws)),
                    "most": cents[-1],
                    "of95In100": cents[-(-95 * len(cents) // 100) - 1],
                }
                if self.has_price
                else None,
                "share": decimal(Fraction(sum(bool(one.lost) for one in draws), len(draws))),
            }  # fmt: skip
        return shown

    def _least(self, number: int, network: SupplyNetwork, row: _Row) -> dict[str, Any] | None:
        """What the best reaction would still lose in the likely case; None where no program says so, or not in time."""
        if number not in self.chains:
            before = upstream(network, self.own)
            if sum(line.site in before for line in network.lines) > LARGEST_CHAIN:
                return None
            products = [network.arrays.line_index[place] for place in sorted(self.products)]
            self.chains[number] = before_them(network, self.own, products)
        chain = self.chains[number]
        outages, closures, _ = self._fails(network, row, None)
        outages = tuple(one for one in outages if one.site in chain.sites)
        links = {one.key: line for one, line in zip(chain.links, chain.arrays.link_line.tolist(), strict=True)}
        closures = tuple(one for one in closures if one.link in links)
        lines = [line for one in outages for line in chain.arrays.lines_at(one.site)]
        lines += [links[one.link] for one in closures]
        if len(chain.arrays.reach(lines)) * self.question.days > LARGEST_PROGRAM:
            return None
        self.programs -= 1
        try:
            best = plan(chain, outages, closures=closures, days=self.question.days)
        except NoSolution:
            return None
        lost: dict[str, float] = defaultdict(float)
        for (_, part), days in best.lost.items():
            lost[part] += sum(amount for _, amount in days)
        return {
            "lost": _lost({part: Fraction(amount) for part, amount in sorted(lost.items())}),
            "revenueCents": self._cents(round(best.cents)),
        }

    def _mitigations(self, tested: "Sequence[tuple[dict[str, Any], _Tested]]") -> list[dict[str, Any]]:
        """Each mitigation over all scenarios: what it costs a year, and what it saves where a chance is known."""
        said = [described(one) for one in self.question.mitigations]
        if len(said) > 1:
            said.append({"kind": "all", "name": "all together", "cost": None})
        found = []
        for at, (about, (_, _, a_year)) in enumerate(zip(said, self.variants, strict=True)):
            pairs = [(one.chance, one.saves[at]) for _, one in tested]
            known = [(chance, saved) for chance, saved in pairs if chance is not None and saved is not None]
            saved_a_year = expected(known) if known else None
            not_known = sum(1 for chance, saved in pairs if chance is None and (saved is None or saved > 0))
            pays: bool | None = None
            if a_year is not None and saved_a_year is not None:
                if saved_a_year >= a_year:
                    pays = True
                elif not not_known:
                    pays = False
            found.append(
                about
                | {
                    "costCentsAYear": None if a_year is None else decimal(a_year),
                    "paysForItself": pays,
                    "savedCentsAYear": None if saved_a_year is None else decimal(saved_a_year),
                    "scenariosWithoutChance": not_known,
                }
            )
        return found


def _round(network: SupplyNetwork, closures: Sequence[Closure]) -> tuple[Diversion, ...]:
    """Where a link is closed and there is a second route, what would come there while it is closed goes that way."""
    found = []
    if closures:
        links = {one.key: one for one in network.links}
        ways = {(one.supplier, one.customer, one.part): key for key, one in links.items() if is_mitigation(one)}
        for closure in closures:
            link = links[closure.link]
            way = ways.get((link.supplier, link.customer, link.part))
            if way is not None and way != link.key:
                (start, left), (end, _) = closure.left
                open_again = max(end - timedelta(days=closure.after_days or 0), start + timedelta(days=1))
                found.append(Diversion(link.key, way, ((start, 1 - left), (open_again, 0.0))))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Tested:
    """What of a walked scenario is needed to rank it and to weigh mitigations."""

    before: _Loss
    name: str
    chance: Fraction | None
    saves: tuple[Fraction | None, ...]


def _worst_first(one: _Tested) -> tuple[Any, ...]:
    return -one.before.cents, -sum(one.before.lost.values(), Fraction(0)), one.name


def _mean(likely: _Loss, draws: Sequence[_Loss]) -> Fraction:
    """The cents that are expected if it happens: the mean of the draws, or the likely case where there are none."""
    if not draws:
        return Fraction(likely.cents)
    return Fraction(sum(one.cents for one in draws), len(draws))


def _lost(amounts: Mapping[str, Fraction]) -> dict[str, str]:
    shown = {part: decimal(amount) for part, amount in amounts.items()}
    return {part: amount for part, amount in shown.items() if amount != "0"}


def _stop(one: Stop) -> dict[str, Any]:
    return {
        "becauseOf": one.because_of,
        "first": one.first.isoformat(),
        "isOver": one.is_over,
        "last": one.last.isoformat(),
        "lost": decimal(one.shortfall),
        "part": one.part,
        "revenueCents": one.revenue_cents,
        "site": one.site,
        "standstillDays": one.standstill_days,
    }

"""From a disruption to its report, every single failure, a changed link: each beside plain networkx in the same run."""

import gc
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from random import Random
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import networkx as nx

from benchmarks.figures import Figure, Goal, own_cpu_seconds, percentile
from benchmarks.tiers import MONDAY, TIERS, site_key, tiers
from risk.assessment import assess
from risk.facts import Facts, Record
from risk.network import Lead, Line, SupplyLink, SupplyNetwork, days_from
from risk.propagation import propagate
from risk.reach import Outage
from risk.screen import Screen, every_site
from risk.sharing import Hit
from risk.sights import Sights

ONSET, BACK = MONDAY + timedelta(days=1), MONDAY + timedelta(days=43)
DAYS = 120


def run(*, quick: bool) -> Iterator[Figure]:
    """Milliseconds, seconds and MiB; a site fails for six weeks and is looked at for 120 days."""
    small = 2_000 if quick else 10_000
    large = 10_000 if quick else 100_000
    network, seconds = _built(large)
    yield from _memory(network, large)
    yield from _reports(network, large, Goal(at_most=250))
    yield from _changed_link(network, large, seconds)
    yield from _changed_facts(network, large)
    yield _reports_of_losses(_shown(network), large, 1, Goal(at_most=250))
    network, _ = _built(small)
    yield from _reports(network, small, Goal(at_most=50))
    yield _every_site(network, small)
    shown = _shown(network)
    yield from _whole_reports(shown, small)
    yield _reports_of_losses(shown, small, 4, Goal(at_most=50))


def _built(sites: int) -> tuple[SupplyNetwork, float]:
    """A network with its arrays, and how many seconds those took once the facts were there."""
    gc.disable()  # a million facts that all stay: the collector would only count them again and again
    try:
        network = tiers(sites)
        start = perf_counter()
        network = SupplyNetwork.of(network.day, network.sites.values(), network.lines, network.links, network.stocks)
        network.arrays.slack(DAYS)
        network.arrays.reach([0])
        seconds = perf_counter() - start
    finally:
        gc.enable()
    gc.collect()
    gc.freeze()
    return network, seconds


def _outages(sites: int, count: int) -> list[Outage]:
    random = Random(7)
    per = sites // TIERS
    return [
        Outage(site_key(random.randrange(TIERS - 1), random.randrange(per)), ((ONSET, 0.0), (BACK, 1.0)))
        for _ in range(count)
    ]


def _reports(network: SupplyNetwork, sites: int, goal: Goal) -> Iterator[Figure]:
    outages = _outages(sites, 200)
    propagate(network, outages[:1], days=DAYS)
    times, cpu, walked, stops = [], [], [], []
    for outage in outages:
        begun, used = perf_counter(), own_cpu_seconds()
        impact = propagate(network, [outage], days=DAYS)
        times.append(1000 * (perf_counter() - begun))
        cpu.append(1000 * (own_cpu_seconds() - used))
        walked.append(impact.lines)
        stops.append(len(impact.stops))
    graph = network.graph
    plain = []
    for outage in outages[:20]:
        begun = perf_counter()
        _plain_walk(graph, outage)
        plain.append(1000 * (perf_counter() - begun))
    yield Figure(
        f"disruption to report at {sites:,} sites, p95",
        percentile(times, 0.95),
        "ms",
        (goal,),
        percentile(plain, 0.95),
        "a plain walk over networkx, day by day, without stand-ins and refills",
        f"median {percentile(times, 0.5):.1f}, longest {max(times):.1f} ms; of processor time median "
        f"{percentile(cpu, 0.5):.1f}, p95 {percentile(cpu, 0.95):.1f} ms\n"
        f"{len(network.links):,} links; {percentile(walked, 0.5):,.0f} lines walked (median, most {max(walked):,}), "
        f"most that stopped {max(stops):,}",
    )


def _plain_walk(graph: nx.MultiDiGraph, outage: Outage) -> dict[tuple[str, str], float]:
    """What each line behind the outage misses, the way one writes it with dictionaries."""
    reached = nx.descendants(graph, outage.site) | {outage.site}
    order = list(nx.topological_sort(graph.subgraph(reached)))
    stock: dict[tuple[str, str], float] = {}
    coming: dict[tuple[str, str, date], float] = defaultdict(float)
    lines: dict[str, list[Line]] = {one: graph.nodes[one]["lines"] for one in order}
    into: dict[str, list[SupplyLink]] = {
        one: [data["link"] for _, _, data in graph.in_edges(one, data=True)] for one in order
    }
    missed: dict[tuple[str, str], float] = defaultdict(float)
    for day in days_from(MONDAY, DAYS):
        if day.weekday() > 4:
            continue
        share_made: dict[str, float] = {}
        for site in order:
            for line in lines[site]:
                able = 1.0 if site != outage.site or not ONSET <= day < BACK else 0.0
                for part, amount in line.needs.items():
                    want = float(amount * line.per_day)
                    there = stock.get((site, part), 5 * want) + coming.pop((site, part, day), 0.0)
                    able = min(able, there / want if want else 1.0)
                    stock[site, part] = there
                for part, amount in line.needs.items():
                    stock[site, part] -= able * float(amount * line.per_day)
                share_made[site] = able
                missed[site, line.part] += (1 - able) * float(line.per_day)
            for link in into[site]:
                arrives = day + timedelta(days=link.lead.days)
                while arrives.weekday() > 4:
                    arrives += timedelta(days=1)
                sent = share_made.get(link.supplier, 1.0) * float(link.share)
                coming[site, link.part, arrives] += sent * sum(float(one.per_day) for one in lines[site])
    return missed


def _every_site(network: SupplyNetwork, sites: int) -> Figure:
    scenarios = every_site(network)
    begun = perf_counter()
    found = Screen(network).run(scenarios)
    seconds = perf_counter() - begun
    graph = network.graph
    some = scenarios[:: max(len(scenarios) // 20, 1)]
    begun = perf_counter()
    order = list(nx.topological_sort(graph))
    for one in some:
        _plain_screen(graph, order, one.sites[0])
    plain = (perf_counter() - begun) * len(scenarios) / len(some)
    return Figure(
        f"every single-site failure at {sites:,} sites",
        seconds,
        "s",
        (Goal(at_most=5),),
        plain,
        f"the same over networkx, in topological order ({len(some)} of them, times {len(scenarios) / len(some):,.0f})",
        f"{len(found):,} failures, {sum(1 for one in found if one.products):,} put a product at risk",
    )


def _plain_screen(graph: nx.MultiDiGraph, order: list[str], failed: str) -> dict[str, float]:
    made: dict[str, float] = {}
    for site in order:
        parts: dict[str, float] = defaultdict(float)
        for supplier, _, data in graph.in_edges(site, data=True):
            parts[data["part"]] += float(data["share"]) * made[supplier]
        made[site] = 0.0 if site == failed else min(parts.values(), default=1.0)
    return made


def _changed_link(network: SupplyNetwork, sites: int, rebuild_seconds: float) -> Iterator[Figure]:
    assert network.digest
    random = Random(11)
    changes: dict[str, Callable[[SupplyLink], SupplyLink]] = {
        "changed": lambda link: replace(link, lead=Lead(20), share=link.share / 2),
        "new": lambda link: replace(link, key=f"{link.key} again", share=link.share * 0),
    }
    for name, change in changes.items():
        times = []
        for _ in range(20):
            link = change(random.choice(network.links))
            begun = perf_counter()
            other = network.with_changes(links=[link])
            assert other.digest != network.digest
            other.arrays.slack(DAYS)
            times.append(1000 * (perf_counter() - begun))
        yield Figure(
            f"a {name} link at {sites:,} sites, digest and arrays included, median",
            percentile(times, 0.5),
            "ms",
            (Goal(at_most=0.05, of_bare=True),),
            1000 * rebuild_seconds,
            "the network made anew, without the digest",
            f"longest {max(times):.0f} ms",
        )


def _changed_facts(network: SupplyNetwork, sites: int) -> Iterator[Figure]:
    """A fact arrives: until the network of all facts is there with its digest and its arrays."""
    noon = datetime.combine(network.day, time(12), UTC)
    records = list(_records(network, noon))
    facts = Facts()
    facts.take(records)
    gc.disable()
    begun = perf_counter()
    known = facts.known(noon, network.day)
    whole = perf_counter() - begun
    assert known.network.digest
    known.network.arrays.slack(DAYS)
    known.network.arrays.reach([0])
    gc.enable()
    gc.freeze()
    random = Random(13)
    changes: dict[str, Callable[[Any], dict[str, Any]]] = {
        "supply-link": lambda fact: {"lead_days": fact.lead_days + 1},
        "stock": lambda fact: {"amount": fact.amount / 2},
        "capacity": lambda fact: {"planned": fact.planned * Fraction(9, 10)},
    }
    for kind, change in changes.items():
        some, times = [one for one in records if one.kind == kind], []
        for number in range(30):
            old, at = random.choice(some), noon + timedelta(seconds=1 + number)
            said = {**vars(old.fact), **change(old.fact), "stated": SimpleNamespace(as_of=int(at.timestamp()) * 1000,
                                                                                    corrects=None)}  # fmt: skip
            new = Record(f"{kind} {number}", kind, old.issuer, at, SimpleNamespace(**said))
            begun = perf_counter()
            facts.take([new])
            known = facts.known(at, network.day)
            assert known.network.digest
            known.network.arrays.slack(DAYS)
            times.append(1000 * (perf_counter() - begun))
            noon = at
        yield Figure(
            f"a {kind} that changes at {sites:,} sites, from the fact to the network, median",
            percentile(times, 0.5),
            "ms",
            (Goal(at_most=0.05, of_bare=True),),
            1000 * whole,
            f"all {len(records):,} facts read at once",
            f"longest {max(times):.0f} ms",
        )


def _records(network: SupplyNetwork, at: datetime) -> Iterator[Record]:
    """The facts that the network is made of, as their owners state them."""
    owner = {site.key: site.owner for site in network.sites.values()}
    stated = SimpleNamespace(as_of=int(at.timestamp()) * 1000, corrects=None)

    def record(kind: str, issuer: str, *about: str, **said: Any) -> Record:
        return Record(f"{kind} {' '.join(about)}", kind, issuer, at, SimpleNamespace(stated=stated, **said))

    for one in network.sites.values():
        yield record("site", one.owner, one.key, site=one.key, name=None, region=one.region, latitude=None, holidays=(),
                     longitude=None, locode=one.locode, weekdays=(1, 2, 3, 4, 5), recovery_days=None)  # fmt: skip
    for line in network.lines:
        here = {"site": line.site, "part": line.part}
        yield record("capacity", owner[line.site], line.site, **here, uom="H87", planned=line.per_day,
                     most=line.capacity, is_offered=False)  # fmt: skip
        if line.needs:
            needs = tuple((part, amount, "H87") for part, amount in line.needs.items())
            yield record("bill-of-material", owner[line.site], line.site, **here, needs=needs, essential=())
    coming: dict[tuple[str, str], list[tuple[str, date, Fraction]]] = defaultdict(list)
    for link in network.links:
        yield record("supply-link", owner[link.customer], link.key, supplier=link.supplier, customer=link.customer,
                     part=link.part, uom="H87", share=link.share, lead_days=link.lead.days, is_working_days=False,
                     sails=None, most_per_day=None, since=None, level="tier", levels=(), route=None)  # fmt: skip
        coming[link.customer, link.part] += [(link.supplier, day, some) for day, some in link.in_transit.items()]
    for stock in network.stocks:
        yield record("stock", owner[stock.site], stock.site, stock.part, site=stock.site, part=stock.part, uom="H87",
                     amount=stock.amount, on_the_way=tuple(coming[stock.site, stock.part]))  # fmt: skip


def _shown(network: SupplyNetwork) -> SupplyNetwork:
    """The same, with each site a member of its own, that sees of all others tier and region."""
    return SupplyNetwork.of(
        network.day,
        [replace(one, owner=one.key) for one in network.sites.values()],
        network.lines,
        [replace(one, level="tier") for one in network.links],
        network.stocks,
    )


def _whole_reports(network: SupplyNetwork, sites: int) -> Iterator[Figure]:
    """What a member waits for: its view of a disruption, and the report of that, ready to be signed."""
    per = sites // TIERS
    random = Random(17)
    reader = site_key(TIERS - 1, random.randrange(per))
    begun = perf_counter()
    sight = Sights(network, key=bytes(32), checkpoint="benchmark").of(reader)
    drawn = perf_counter() - begun
    assert assess(sight.view([_fire(site_key(0, 0))])).text
    prepared = perf_counter() - begun
    yield Figure(
        f"a reader's sight of a checkpoint at {sites:,} sites, once for all disruptions",
        prepared,
        "s",
        (Goal(at_most=2),),
        None,
        "",
        f"of it {prepared - drawn:.1f} s the first report",
    )
    gc.collect()
    gc.freeze()
    times: dict[bool, list[float]] = {True: [], False: []}
    cpu = []
    for _ in range(150):
        hit = _fire(site_key(random.randrange(TIERS - 1), random.randrange(per)))
        begun, used = perf_counter(), own_cpu_seconds()
        report = assess(sight.view([hit]))
        assert report.text
        cpu.append(1000 * (own_cpu_seconds() - used))
        times[bool(report.content["effect"]["stops"])].append(1000 * (perf_counter() - begun))
    lost = times[True] or [0.0]
    yield Figure(
        f"disruption to a reader's whole report at {sites:,} sites, p95",
        percentile(times[True] + times[False], 0.95),
        "ms",
        (Goal(at_most=50),),
        None,
        "",
        f"median {percentile(times[True] + times[False], 0.5):.0f} ms; of processor time median "
        f"{percentile(cpu, 0.5):.0f}, p95 {percentile(cpu, 0.95):.0f} ms\n"
        f"{len(times[True])} of 150 reach the reader: "
        f"median {percentile(lost, 0.5):.0f}, longest {max(lost):.0f} ms",
    )


def _reports_of_losses(network: SupplyNetwork, sites: int, readers: int, goal: Goal) -> Figure:
    """The same where the reader makes a product that stops: with its best plan, its interval and one more day of stock.

    Each time three of its suppliers, at any remove, are out, up to ten times for each reader.
    """
    random = Random(19)
    suppliers: dict[str, list[str]] = defaultdict(list)
    for link in network.links:
        suppliers[link.customer].append(link.supplier)
    sights = Sights(network, key=bytes(32), checkpoint="benchmark")
    wall, cpu = [], []
    for _ in range(readers):
        reader = site_key(TIERS - 1, random.randrange(sites // TIERS))
        before, wave = set[str](), {reader}
        while wave:
            wave = {one for site in wave for one in suppliers[site]} - before
            before |= wave
        sight = sights.of(reader)
        near, lost = sorted(before, reverse=True)[: 8 * TIERS], 0
        for _ in range(200):
            some = random.sample(near, min(3, len(near)))
            outages = [Outage(one, ((ONSET, 0.0), (BACK, 1.0))) for one in some]
            if all(one.site != reader for one in propagate(network, outages, days=112, of=[reader]).stops):
                continue
            hits = [_fire(one) for one in some]
            if not lost:
                assert assess(sight.view(hits)).text  # what is made once for all disruptions
                gc.collect()
                gc.freeze()
            begun, used = perf_counter(), own_cpu_seconds()
            report = assess(sight.view(hits))
            assert report.text
            cpu.append(1000 * (own_cpu_seconds() - used))
            wall.append(1000 * (perf_counter() - begun))
            assert report.content["effect"]["stops"]
            assert report.content["bestPlan"]
            lost += 1
            if lost == 10:
                break
    return Figure(
        f"disruption to the whole report of a reader who loses by it at {sites:,} sites, p95",
        percentile(wall, 0.95),
        "ms",
        (goal,),
        None,
        "",
        f"{len(wall)} reports; median {percentile(wall, 0.5):.0f} ms; of processor time median "
        f"{percentile(cpu, 0.5):.0f}, p95 {percentile(cpu, 0.95):.0f} ms",
    )


def _fire(site: str) -> Hit:
    return Hit(site, ONSET, (ONSET + timedelta(days=28), BACK, ONSET + timedelta(days=63)), "fire")


def _memory(network: SupplyNetwork, sites: int) -> Iterator[Figure]:
    """What the arrays take, and the facts that they are made from, beside the graph that networkx makes of them."""
    arrays = network.arrays
    mirrored = sum(
        one.nbytes for one in (*vars(arrays).values(), *arrays.slack_by_days.values(), *arrays.user_rows)
        if hasattr(one, "nbytes")
    )  # fmt: skip
    fresh = replace(network)
    tracemalloc.start()
    graph = fresh.graph
    plain, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    yield Figure(
        f"memory of the arrays at {sites:,} sites",
        mirrored / 2**20,
        "MiB",
        (),
        plain / 2**20,
        f"networkx's graph of the same {graph.number_of_edges():,} links",
        f"the whole process, facts as objects included: {_resident_mib():,.0f} MiB",
    )


def _resident_mib() -> float:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

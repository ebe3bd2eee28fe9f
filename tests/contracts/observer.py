"""Trade as the chain shows it, and somebody who reads nothing but the chain and guesses who is behind it.

What the attacker has: each field of each handoff and the block it stands in; how many handoffs each member gives and
how many it takes; the rules in this file. What it lacks: the members' schedules and secrets. What it tries:

* grouping: handoffs that share an address, an hour of the day, a weekday, a place in the batch … belong together, and
  the groups are matched with the members by size;
* clustering: the members are the components of a mixture, each with its own distribution of what is seen, fitted by
  expectation maximisation from several starts, the likeliest kept. The components' weights are either the known shares
  of volume from the outset, or found freely and then matched with the shares by rank.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from math import log, log2, prod
from random import Random
from typing import TYPE_CHECKING

from ledger_service.handoffs import (
    CustodyDomain,
    CustodySeed,
    HandOff,
    Offer,
    common_deadline,
    mix,
    release_time,
    unit_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Sequence

HOUR, DAY, WEEK = 3_600, 86_400, 604_800
START = 1_798_416_000  # Monday 2026-12-28, 00:00 UTC
DOMAIN = CustodyDomain(52_952, bytes(range(20)))
OFFER_LIFETIME = 28 * DAY


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a member takes goods in, and how long it keeps them; none of it is known to the attacker.

    `docks` are hours of the day, `spread_hours` how far around them lorries arrive, `weekdays` from Monday 0.
    """

    docks: tuple[float, ...]
    spread_hours: float
    weekdays: tuple[int, ...]
    dwell_days: float


@dataclass(frozen=True, slots=True)
class Relay:
    """How handoffs get to the chain: cut every `interval` seconds, at a cut drawn from the next `spread` seconds.

    Without `one_time`, each member keeps one address; without `shuffles`, batches stand in order of arrival.
    """

    interval: int
    spread: int
    one_time: bool = True
    shuffles: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """A handoff as the chain shows it: its fields, the time of its block, its place in the batch."""

    handoff: HandOff
    block_time: int
    place: int
    batch: int

    @property
    def offer(self) -> Offer:
        return self.handoff.offer


@dataclass(frozen=True, slots=True)
class Trade:
    """What the chain shows, and beside it what it must not: the numbers of the members who gave and took."""

    seen: list[Seen]
    givers: list[int]
    takers: list[int]


def volumes(members: int) -> list[float]:
    """Unequal shares, as in any trade: the n-th member has n^-0.8 of the first one's volume."""
    return [(n + 1) ** -0.8 for n in range(members)]


def diverse(members: int, random: Random) -> list[Schedule]:
    """Members that differ in everything a schedule can differ in."""
    return [
        Schedule(
            tuple(random.uniform(4, 20) for _ in range(random.choice([1, 2, 2, 3]))),
            0.4,
            tuple(random.sample(range(5), random.choice([3, 4, 5, 5]))),
            random.choice([0.3, 1, 2, 4, 8]),
        )
        for _ in range(members)
    ]


def in_shifts(members: int, random: Random) -> list[Schedule]:
    """Members that never share an hour: the easiest of all for somebody who sees the time."""
    return [Schedule((2 * n + 0.5,), 0.05, tuple(range(7)), random.choice([0.5, 1, 2])) for n in range(members)]


def simulate(count: int, schedules: Sequence[Schedule], relay: Relay, random: Random) -> Trade:
    """`count` handoffs of units that wander between members, in proportion to their volumes, over about nine weeks."""
    members, weights = range(len(schedules)), volumes(len(schedules))
    seeds = [CustodySeed(random.randbytes(32)) for _ in members]
    counters = [0 for _ in members]

    def address_of(member: int) -> bytes:
        counters[member] += 1
        return seeds[member].key(DOMAIN, counters[member] if relay.one_time else 0).address

    waiting: dict[int, list[tuple[int, HandOff]]] = defaultdict(list)
    parties: dict[tuple[bytes, int], tuple[int, int]] = {}
    made = 0
    while made < count:
        (holder,) = random.choices(members, weights)
        moment, released, address = START + random.uniform(0, 60) * DAY, 0, address_of(holder)
        unit = unit_id(address, random.randbytes(32))
        for sequence in range(1, 1 + min(count - made, random.choice([1, 1, 2, 3, 4, 5, 6]))):
            others = [member for member in members if member != holder]
            (taker,) = random.choices(others, [weights[member] for member in others])
            offered = moment + random.expovariate(1 / (schedules[holder].dwell_days * DAY))
            moment = _next_arrival(offered, schedules[taker], random)
            to = address_of(taker)
            deadline = common_deadline(int(offered), OFFER_LIFETIME)
            offer = Offer(unit, sequence, address, to, random.randbytes(32), deadline)
            due = release_time(int(moment), relay.interval, relay.spread, random)
            released = max(released, due)  # the chain takes a unit's steps in their order
            handoff = HandOff(offer, random.randbytes(32), b"", b"")  # signatures say no more than who signed
            waiting[released].append((int(moment), handoff))
            parties[unit, sequence] = (holder, taker)
            made, holder, address = made + 1, taker, to

    seen = []
    for time, arrived in sorted(waiting.items()):
        batch = [handoff for _, handoff in sorted(arrived, key=_moment)]
        batch = mix(batch, random) if relay.shuffles else batch
        seen += [Seen(handoff, time, place, len(batch)) for place, handoff in enumerate(batch)]
    truth = [parties[each.offer.unit, each.offer.sequence] for each in seen]
    return Trade(seen, [giver for giver, _ in truth], [taker for _, taker in truth])


def _moment(arrived: tuple[int, HandOff]) -> int:
    return arrived[0]


def _next_arrival(after: float, schedule: Schedule, random: Random) -> float:
    day = after // DAY * DAY
    while True:
        moment = day + random.gauss(random.choice(schedule.docks), schedule.spread_hours) * HOUR
        if moment >= after and (day // DAY + 3) % 7 in schedule.weekdays:  # the epoch was a Thursday
            return moment
        day += DAY


# What an attacker looks at


def clues(seen: Sequence[Seen], side: Callable[[Seen], bytes]) -> dict[str, list[tuple[Hashable, ...]]]:
    """What is seen of each handoff, by the kind of clue."""
    times = {(s.offer.unit, s.offer.sequence): s.block_time for s in seen}
    found: dict[str, list[tuple[Hashable, ...]]] = {
        "address": [],
        "hour": [],
        "weekday": [],
        "time": [],
        "wait": [],
        "place": [],
        "step": [],
        "all": [],
    }
    for each in seen:
        offer = each.offer
        hour, weekday = each.block_time % DAY // HOUR, each.block_time // DAY % 7
        before = times.get((offer.unit, offer.sequence - 1))
        wait = -1 if before is None else int(2 * log2(1 + (each.block_time - before) / HOUR))
        found["address"].append((side(each),))
        found["hour"].append((hour,))
        found["weekday"].append((weekday,))
        found["time"].append((hour, weekday))
        found["wait"].append((wait,))
        found["place"].append((10 * each.place // each.batch, int(2 * log2(each.batch))))
        found["step"].append((offer.sequence, (offer.deadline - each.block_time) // WEEK))
        found["all"].append((hour, weekday, wait, offer.sequence))
    return found


def attacks(
    seen: Sequence[Seen],
    shares: Sequence[int],
    side: Callable[[Seen], bytes],
    random: Random,
    only: Collection[str] = (),
) -> dict[str, list[int]]:
    """Every attack's guess of the member behind each handoff, on the side of the giver or the taker."""
    guesses = {}
    for clue, values in clues(seen, side).items():
        if only and clue not in only:
            continue
        guesses[f"groups of one {clue}"] = by_size(values, shares)
        if clue != "address":
            guesses[f"clusters by {clue}, known weights"] = by_clustering(values, shares, random, is_free=False)
            guesses[f"clusters by {clue}, matched by rank"] = by_clustering(values, shares, random, is_free=True)
    return guesses


def gains(trade: Trade, random: Random, only: Collection[str] = ()) -> dict[str, float]:
    """By how much each attack beats always naming the member of the largest volume, as a share of all handoffs.

    With `only`, the attacks that use those clues.
    """
    found = {}
    for name, truth, side in (("giver", trade.givers, _giver), ("taker", trade.takers, _taker)):
        shares = [truth.count(member) for member in range(max(truth) + 1)]
        for attack, guesses in attacks(trade.seen, shares, side, random, only).items():
            right = sum(guess == member for guess, member in zip(guesses, truth, strict=True))
            found[f"{name}: {attack}"] = (right - max(shares)) / len(truth)
    return found


def gain_of_an_insider(trade: Trade, random: Random) -> float:
    """The gain over the volume guess of who knows every schedule: it is told half the takers and guesses the rest."""
    values, truth = clues(trade.seen, _taker)["all"], trade.takers
    order = list(range(len(truth)))
    random.shuffle(order)
    told, hidden = order[: len(order) // 2], order[len(order) // 2 :]
    members = Counter(truth[at] for at in told)
    tables = [Counter((truth[at], values[at][place]) for at in told) for place in range(len(values[0]))]
    kinds = [len({value[place] for value in values}) for place in range(len(values[0]))]

    def odds(member: int, value: tuple[Hashable, ...]) -> float:
        return members[member] * prod(
            (table[member, one] + 0.5) / (members[member] + 0.5 * kind)
            for table, kind, one in zip(tables, kinds, value, strict=True)
        )

    right = sum(max(members, key=lambda member: odds(member, values[at])) == truth[at] for at in hidden)
    return (right - max(Counter(truth[at] for at in hidden).values())) / len(hidden)


def _giver(seen: Seen) -> bytes:
    return seen.offer.giver


def _taker(seen: Seen) -> bytes:
    return seen.offer.taker


def by_size(values: Sequence[tuple[Hashable, ...]], shares: Sequence[int]) -> list[int]:
    """Groups of one value, from the largest, to the member with the most volume left; what is alone to the largest."""
    remaining = list(shares)
    member_of = {}
    for value, size in Counter(values).most_common():
        if size == 1:
            break
        member_of[value] = remaining.index(max(remaining))
        remaining[member_of[value]] -= size
    largest = shares.index(max(shares))
    return [member_of.get(value, largest) for value in values]


def by_clustering(
    values: Sequence[tuple[Hashable, ...]], shares: Sequence[int], random: Random, *, is_free: bool, starts: int = 4
) -> list[int]:
    """The likeliest member for each value under the likeliest of some fitted mixtures."""
    counted = Counter(values)
    if len(counted) < 2:
        return [shares.index(max(shares))] * len(values)
    coded = [{one: n for n, one in enumerate(dict.fromkeys(column))} for column in zip(*counted, strict=True)]
    cells = [tuple(code[one] for code, one in zip(coded, value, strict=True)) for value in counted]
    fits = [_fit(cells, list(counted.values()), shares, random, is_free=is_free) for _ in range(starts)]
    _, best = max(fits)
    member_of = dict(zip(counted, best, strict=True))
    return [member_of[value] for value in values]


def _seeds(cells: list[tuple[int, ...]], counts: list[int], random: Random, wanted: int) -> list[tuple[int, ...]]:
    """Cells far from each other, as k-means++ chooses them."""
    (first,) = random.choices(cells, counts)
    seeds = [first]
    while len(seeds) < wanted:
        distances = [min(sum(a != b for a, b in zip(cell, seed, strict=True)) for seed in seeds) for cell in cells]
        odds = [count * distance**2 for count, distance in zip(counts, distances, strict=True)]
        seeds += random.choices(cells, odds if any(odds) else counts)
    return seeds


def _fit(
    cells: list[tuple[int, ...]],
    counts: list[int],
    shares: Sequence[int],
    random: Random,
    *,
    is_free: bool,
    rounds: int = 40,
) -> tuple[float, list[int]]:
    """The log-likelihood of one fit, and the member it names for each cell."""
    total, members = sum(counts), range(len(shares))
    columns = range(len(cells[0]))
    overall = [[0.0] * (1 + max(cell[c] for cell in cells)) for c in columns]
    for cell, count in zip(cells, counts, strict=True):
        for c in columns:
            overall[c][cell[c]] += count / total
    # Each component begins as everybody, bent towards one of the seeds, the largest member's first.
    ranked = sorted(members, key=shares.__getitem__, reverse=True)
    seeds = dict(zip(ranked, _seeds(cells, counts, random, len(shares)), strict=True))
    tables = [
        [[0.3 * p + 0.7 * (one == seeds[member][c]) for one, p in enumerate(overall[c])] for c in columns]
        for member in members
    ]
    weights = [share / total for share in shares]
    names, named, likelihood, before = list(members), [0] * len(cells), 0.0, 0.0
    for turn in range(rounds):
        # A little of everybody in each keeps a distribution from closing over what it has not seen.
        fresh = [[[0.2 * p for p in overall[c]] for c in columns] for _ in members]
        sizes, likelihood = [1.0 for _ in members], 0.0
        for at, (cell, count) in enumerate(zip(cells, counts, strict=True)):
            odds = list(weights)
            for c in columns:
                one = cell[c]
                odds = [odd * table[c][one] for odd, table in zip(odds, tables, strict=True)]
            whole = sum(odds)
            likelihood += count * log(whole)
            named[at] = odds.index(max(odds))
            for member, odd in enumerate(odds):
                part = count * odd / whole
                sizes[member] += part
                for c in columns:
                    fresh[member][c][cell[c]] += part
        tables = [[[n / sum(column) for n in column] for column in table] for table in fresh]
        if is_free and turn <= rounds // 2:
            weights = [size / sum(sizes) for size in sizes]
            if turn == rounds // 2:
                for rank, member in zip(ranked, sorted(members, key=sizes.__getitem__, reverse=True), strict=True):
                    names[member], weights[member] = rank, shares[rank] / total
        elif before and likelihood - before < 1e-6 * abs(likelihood):
            break
        before = likelihood
    return likelihood, [names[member] for member in named]


RELAYS = {
    "one address per member": Relay(DAY, WEEK, one_time=False),
    "cut every hour": Relay(HOUR, HOUR),
    "cut every day": Relay(DAY, DAY),
    "cut every hour, drawn over a day": Relay(HOUR, DAY),
    "cut every day, drawn over a week": Relay(DAY, WEEK),
}


def main() -> None:
    """Print the table of decision 0008: the best attack and the insider, by relay, world and seed."""
    for name, relay in RELAYS.items():
        for schedules in (in_shifts, diverse):
            for seed in (1, 2, 3):
                random = Random(seed)
                trade = simulate(10_000, schedules(12, random), relay, random)
                how, gain = max(gains(trade, random).items(), key=lambda found: found[1])
                insider = gain_of_an_insider(trade, random)
                line = f"{name:42s} {schedules.__name__:10s} {seed}  best {gain:+.4f}  insider {insider:+.4f}  {how}"
                sys.stdout.write(line + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()

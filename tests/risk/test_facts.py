"""From signed facts to the network: who may say what, which of two holds, and who is told what does not fit."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger_service.risk_kinds import PARSERS
from risk.alternatives import RouteAlternative
from risk.assessment import assess
from risk.facts import Despatched, Facts, Goods, Known, OwnerOf, Received, Record, anybody, known
from risk.network import Lead
from risk.routes import Mode, Passage, ShippingRoute
from risk.sharing import Hit, Level
from risk.sights import view

NOON = datetime(2026, 10, 12, 12, tzinfo=UTC)
DAY = date(2026, 10, 12)
PLANT, MAKER, SPARE = (f"https://{name}.example.org/site" for name in ("plant", "maker", "spare"))
A, B, C = "0x" + "aa" * 32, "0x" + "bb" * 32, "0x" + "cc" * 32
AXLE, SHAFT, SAME = (
    f"did:web:{name}/part/1" for name in ("plant.example.org", "maker.example.org", "buyer.example.org")
)


def say(kind: str, issuer: str, *, hours: float = -1, number: int = 0, **content: Any) -> Record:
    as_of = (NOON + timedelta(hours=hours)).isoformat()
    given = {"to": [], "document": {"type": "list", "number": "1"}, "asOf": as_of} | content
    fact = PARSERS[kind](given)
    names = "|".join(str(content.get(name)) for name in ("site", "part", "supplier", "customer"))
    return Record(f"{kind}|{issuer}|{names}|{as_of}|{number}", kind, issuer, NOON - timedelta(minutes=5), fact)


def capacity(issuer: str, site: str, part: str, planned: str, most: str, **content: Any) -> Record:
    return say("capacity", issuer, site=site, part=part, planned=planned, most=most, **({"uom": "H87"} | content))


def link(issuer: str, **content: Any) -> Record:
    given = {"supplier": MAKER, "customer": PLANT, "part": SHAFT, "uom": "H87", "share": "1", "lead": {"days": 2},
             "level": "named"}  # fmt: skip
    return say("supply-link", issuer, **(given | content))


def stock(hours: float = -1, **content: Any) -> Record:
    given = {"site": PLANT, "part": SHAFT, "quantity": "300", "uom": "H87"}
    return say("stock", A, hours=hours, **(given | content))


BASE = [
    say("site", A, site=PLANT, region="West"),
    say("site", B, site=MAKER, region="East", weekdays=[1, 2, 3, 4, 5, 6],
        recoveryDays={"least": 7, "likely": 14, "most": 21}),
    say("site", C, site=SPARE),
    say("part", B, part=SHAFT, uom="H87", sameAs=[SAME]),
    say("part", A, part=SAME, uom="H87", sameAs=[SHAFT]),
    say("bill-of-material", A, site=PLANT, part=AXLE, needs=[{"part": SAME, "quantity": "2", "uom": "H87"}]),
    capacity(A, PLANT, AXLE, "50", "60"),
    capacity(B, MAKER, SHAFT, "100", "100"),
    capacity(C, SPARE, SHAFT, "10", "30", offered=True),
    link(A),
    stock(onTheWay=[{"from": MAKER, "arrives": "2026-10-13", "quantity": "100"}]),
    say("qualification", A, supplier=SPARE, part=SHAFT, customer=PLANT, scope="all", expires="2027-06-30",
        firstArrivalDays=7),
    say("product-price", A, site=PLANT, part=AXLE, minorUnits=90_000, currency="EUR"),
]  # fmt: skip


def read(*more: Record, without: str = "", at: datetime = NOON) -> Known:
    return known([*(one for one in BASE if one.kind != without), *more], at, DAY)


def test_the_facts_of_three_members_make_one_network() -> None:
    found = read()
    network = found.network
    assert network.inconsistencies == ()
    part = found.network.links[0].part
    assert part == min(SHAFT, SAME)
    axles = next(one for one in network.lines if one.part == AXLE)
    assert (axles.per_day, axles.needs, axles.revenue_cents) == (Fraction(50), {part: Fraction(2)}, 90_000)
    assert network.links[0].in_transit == {date(2026, 10, 13): 100}
    assert network.sites[MAKER].calendar.weekdays == frozenset(range(6))
    (spare,) = found.alternatives
    assert (spare.a_week, spare.consents, spare.first_arrival) == (Fraction(100), True, date(2026, 10, 19))
    assert found.recovery_days == {MAKER: (7, 14, 21)}
    assert found.doubts == {(PLANT, part): Fraction(1, 20)}


def test_the_order_of_records_does_not_matter() -> None:
    shuffled = list(BASE)
    Random(7).shuffle(shuffled)
    assert known(shuffled, NOON, DAY).network.digest == read().network.digest


def test_the_newest_fact_holds_and_a_corrected_one_does_not() -> None:
    assert read(stock(-2, quantity="1")).network.stocks[0].amount == 300
    assert read(stock(-0.5, quantity="7")).network.stocks[0].amount == 7
    later = Record("late", "stock", A, NOON + timedelta(seconds=1), stock(quantity="9").fact)
    assert read(later).network.stocks[0].amount == 300


def test_each_member_is_known_to_write_its_own_number_for_a_part() -> None:
    found = read()
    root = found.network.links[0].part
    # The buyer says SAME in its bill and SHAFT in its link; whoever made it and whoever could make it say SHAFT.
    assert found.part_numbers == {(root, A): min(SHAFT, SAME), (root, B): SHAFT, (root, C): SHAFT}
    assert {here: min(some) for here, some in found.own_numbers.items()} == found.part_numbers
    assert read(without="part").part_numbers == {}


def test_an_old_fact_is_used_doubted_and_named() -> None:
    found = read(stock(-72), without="stock")
    assert found.network.stocks[0].amount == 300
    assert list(found.doubts.values()) == [Fraction(3, 20)]
    assert list(found.aged.values()) == [3]


@pytest.mark.parametrize(
    ("name", "record", "owner", "what"),
    [
        ("a stranger's stock", say("stock", C, site=PLANT, part=SHAFT, quantity="1", uom="H87"), C,
         "whose site it is not"),
        ("another unit", capacity(C, SPARE, SAME, "10", "30", uom="KGM", hours=-0.5), C, "which is counted in H87"),
        ("a link to nobody", link(A, supplier="https://nobody.example.org/site"), A, "nobody has described"),
        ("a stranger's link", link(C), C, "neither its supplier nor its customer"),
        ("a site said to be another's", say("site", C, hours=0, site=PLANT, number=1), C, "settle whose it is"),
        ("a bill without capacity",
         say("bill-of-material", C, site=SPARE, part=AXLE, needs=[{"part": SHAFT, "quantity": "1", "uom": "H87"}]),
         C, "nobody says how much of it is made"),
        ("a part in two units", say("part", C, part=SAME, uom="KGM", number=2), C, "others count this part in H87"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_left_out_and_told_to_its_owner_alone(
    name: str, record: Record, owner: str, what: str
) -> None:
    late = Record(record.statement, record.kind, record.issuer, NOON, record.fact)
    found = read(late)
    (one,) = found.inconsistencies_of(owner)
    assert what in one.what, name
    assert found.network.inconsistencies == (one,)
    assert {place.site for place in found.network.stocks} == {PLANT}
    assert len(found.network.links) == 1


def test_of_two_ends_the_customer_counts_and_the_more_private_level_holds() -> None:
    theirs = link(B, share="0.5", level="tier", levels=[{"member": C, "level": "impact-only"}])
    found = read(theirs)
    (one,) = found.network.links
    assert (one.share, one.level) == (Fraction(1), "tier")
    assert found.exceptions == {(one.key, C): Level.IMPACT_ONLY}


CLAIM = [
    capacity(C, SPARE, AXLE, "1", "1"),
    say("bill-of-material", C, site=SPARE, part=AXLE, needs=[{"part": SHAFT, "quantity": "1", "uom": "H87"}]),
    link(C, customer=SPARE, share="0.5"),
]
"""A stranger says that it buys of MAKER, and would be shown it as its supplier."""


def test_whoever_names_its_customers_has_no_others_whatever_they_claim() -> None:
    assert len(read(*CLAIM).network.links) == 2, "as long as the maker says nothing"
    found = read(*CLAIM, link(B))
    assert [one.customer for one in found.network.links] == [PLANT]
    (told,) = found.inconsistencies_of(C)
    assert "not among those that its supplier states" in told.what
    assert found.network.inconsistencies == (told,)
    assert len(read(*CLAIM, link(B), link(B, customer=SPARE, share="0.5")).network.links) == 2


def test_whoever_names_its_suppliers_has_no_others_whatever_they_claim() -> None:
    found = read(link(C, supplier=SPARE, share="0"))
    assert [one.supplier for one in found.network.links] == [MAKER]
    (told,) = found.inconsistencies_of(C)
    assert "not among those that its customer states" in told.what


def test_a_list_that_begins_or_ends_overturns_what_others_claim_as_if_all_were_read_at_once() -> None:
    facts = Facts()
    facts.take([*BASE, *CLAIM])
    assert len(facts.known(NOON, DAY).network.links) == 2
    listed = link(B)
    facts.take([listed])
    assert facts.known(NOON, DAY).network.digest == read(*CLAIM, listed).network.digest
    assert len(facts.known(NOON, DAY).network.links) == 1


def test_facts_become_a_report() -> None:
    found = read()
    least, likely, most = (DAY + timedelta(days) for days in found.recovery_days[MAKER])
    seen = view(found.network, A, key=bytes(32), checkpoint="c", exceptions=found.exceptions,
                hits=[Hit(MAKER, DAY, (least, likely, most), "fire")], alternatives=found.alternatives,
                qualifications=found.qualifications, doubts=found.doubts)  # fmt: skip
    told = assess(seen, days=56).content
    (stop,) = told["effect"]["stops"]
    # 300 lie there and 100 are on the way: four days at 100 a day.
    assert (stop["site"], stop["first"]) == (PLANT, "2026-10-16")
    assert told["effect"]["revenueCents"] == stop["revenueCents"]
    assert told["alternatives"]["suggestions"][0]["supplier"] == SPARE


# --- one checkpoint after the other ---------------------------------------------------------------------------------

X, Y, Z = (f"did:web:{letter}.example.org/part/{letter}" for letter in "xyz")
# By name: who calls which part how, the first to speak first, which numbers are one, and who is told of it.
SAID_TO_BE_ONE: dict[str, tuple[list[tuple[str, str, list[str]]], set[str], list[str]]] = {
    "one alone says so": ([(A, X, [Y]), (B, Y, [])], set(), [A]),
    "of a number that nobody has described": ([(A, X, [Y])], set(), [A]),
    "both say so": ([(A, X, [Y]), (B, Y, [X])], {X, Y}, []),
    "one member has two numbers": ([(A, X, [Y]), (A, Y, [])], {X, Y}, []),
    "a stranger glues two of others": ([(A, X, []), (B, Y, []), (C, X, [Y]), (C, Y, [X])], set(), [C, C]),
    "a stranger says what both say, and is told what it would be told anyway": (
        [(A, X, [Y]), (B, Y, [X]), (C, X, [Y])], {X, Y}, [C],
    ),
    "a stranger glues its own to another's": ([(A, X, []), (C, Z, [X])], set(), [C]),
    "a stranger who describes another's number later does not own it": (
        [(A, X, []), (C, X, [Z]), (C, Z, [X])], set(), [C, C],
    ),
    "two partners of one supplier": ([(B, Y, [X, Z]), (A, X, [Y]), (C, Z, [Y])], {X, Y, Z}, []),
    "one of two partners agrees": ([(B, Y, [X, Z]), (A, X, [Y]), (C, Z, [])], {X, Y}, [B]),
}  # fmt: skip


def described(said: list[tuple[str, str, list[str]]], owner_of: OwnerOf = anybody) -> Known:
    records = []
    for number, (issuer, part, others) in enumerate(said):
        one = say("part", issuer, number=number, part=part, uom="H87", sameAs=others)
        records.append(Record(one.statement, one.kind, issuer, NOON + timedelta(minutes=number - 60), one.fact))
    made = capacity(A, PLANT, X, "1", "1"), capacity(B, MAKER, Y, "1", "1"), capacity(C, SPARE, Z, "1", "1")
    sites = [one for one in BASE if one.kind == "site"]
    return known([*sites, *records, *made], NOON, DAY, owner_of=owner_of)


@pytest.mark.parametrize("name", SAID_TO_BE_ONE)
def test_two_numbers_are_one_part_where_those_whom_they_belong_to_say_so(name: str) -> None:
    said, one_part, told = SAID_TO_BE_ONE[name]
    found = described(said)
    assert sorted(one.owner for one in found.network.inconsistencies) == told
    names = [{X, Y, Z} & {line.part} for line in found.network.lines]
    assert len(set().union(*names)) == 3 - max(len(one_part) - 1, 0)
    for one in found.network.inconsistencies:
        assert "as well only once those whom both numbers belong to say so" in one.what


def test_a_number_below_a_members_own_domain_is_its_own_as_soon_as_it_describes_the_part() -> None:
    def owner_of(part: str) -> str | None:
        return {X: A, Y: B}.get(part)

    squatted = [(C, X, [Z]), (C, Z, [X])]
    assert len({one.part for one in described(squatted, owner_of).network.lines}) == 2
    assert len({one.part for one in described([*squatted, (A, X, [])], owner_of).network.lines}) == 3


def test_a_part_is_counted_as_the_member_says_below_whose_domain_its_number_stands() -> None:
    early, late = say("part", C, part=X, uom="KGM"), say("part", A, part=X, uom="H87")
    early = Record(early.statement, early.kind, C, NOON - timedelta(minutes=9), early.fact)
    records = [*(one for one in BASE if one.kind == "site"), early, late]
    (told,) = known(records, NOON, DAY, owner_of={X: A}.get).network.inconsistencies
    assert told.owner == C
    (told,) = known(records, NOON, DAY).network.inconsistencies
    assert told.owner == A


def test_numbers_of_two_units_are_not_joined_and_both_are_told() -> None:
    in_kilos = say("part", B, part=SHAFT, uom="KGM", sameAs=[SAME], hours=-0.5)
    found = read(in_kilos)
    assert {one.owner for one in found.network.inconsistencies} >= {A, B}
    assert any("which is counted in another unit" in one.what for one in found.inconsistencies_of(A))


MEMBERS = [f"0x{number:064x}" for number in range(3)]
PLACES = [f"https://s{number}.example.org/site" for number in range(5)]
PARTS = [f"did:web:s0.example.org/part/{number}" for number in range(5)]
UNITS = ["H87", "H87", "H87", "KGM"]


def some_record(random: Random, number: int, before: list[Record], daily: bool) -> Record:
    """A fact about few things, by somebody who may be anybody: much of it fits, some does not."""
    always = [] if daily else ["site", "part", "bill-of-material"] * 2
    kind = random.choice([*always, "supply-link", "stock", "capacity", "qualification", "product-price"])
    site, other = random.sample(range(len(PLACES)), 2)
    part, need = random.sample(range(len(PARTS)), 2)
    if random.random() < 0.8:  # supply goes one way
        site, other, part, need = min(site, other), max(site, other), min(part, need), max(part, need)
    owner = MEMBERS[site % 3] if random.random() < 0.9 else random.choice(MEMBERS)
    amount = str(random.randint(0, 9))
    uom = random.choice(UNITS)
    content: dict[str, Any] = {"site": PLACES[site], "part": PARTS[part], "uom": uom}
    if kind == "site":
        content = {"site": PLACES[site], "weekdays": random.choice([[1, 2, 3], [1, 2, 3, 4, 5]])}
    elif kind == "part":
        content = {"part": PARTS[part], "uom": uom, "sameAs": random.choice([[], [PARTS[need]]])}
    elif kind == "bill-of-material":
        content = {"site": PLACES[site], "part": PARTS[part],
                   "needs": [{"part": PARTS[need], "quantity": str(random.randint(1, 3)), "uom": uom}]}  # fmt: skip
    elif kind == "capacity":
        content |= {
            "planned": amount,
            "most": str(int(amount) + random.randint(0, 3)),
            "offered": random.random() < 0.5,
        }
    elif kind == "stock":
        coming = [{"from": PLACES[other], "arrives": f"2026-10-{random.randint(10, 20)}", "quantity": "4"}]
        content |= {"quantity": amount, "part": PARTS[random.choice([part, need])],
                    "onTheWay": random.choice([[], coming])}  # fmt: skip
    elif kind == "product-price":
        content = {"site": PLACES[site], "part": PARTS[part], "minorUnits": int(amount), "currency": "EUR"}
    elif kind == "qualification":
        content = {"supplier": PLACES[other], "customer": PLACES[site], "part": PARTS[need], "scope": "all",
                   "expires": "2027-06-30", "firstArrivalDays": int(amount)}  # fmt: skip
    else:
        levels = [] if random.random() < 0.6 else [{"member": MEMBERS[int(amount) % 3], "level": "named"}]
        content = {"supplier": PLACES[other], "customer": PLACES[site], "part": PARTS[need], "uom": uom,
                   "share": random.choice(["0", "0.5", "1"]), "lead": {"days": int(amount)}, "level": "tier",
                   "levels": levels}  # fmt: skip
    same = [one for one in before if (one.kind, one.issuer) == (kind, owner)]
    corrects = random.choice(before if random.random() < 0.1 else same or before) if before else None
    if corrects is not None and random.random() < 0.2:
        content["corrects"] = corrects.statement
    record = say(kind, owner, hours=-random.randint(1, 4000) / 4, **content)
    registered = NOON - timedelta(minutes=random.randint(-400, 400))
    return Record(f"0x{number:064x}", kind, owner, registered, record.fact)


def check_equal(one: Known, other: Known) -> None:
    assert one.network == other.network
    assert one.network.digest == other.network.digest
    assert np.array_equal(one.network.arrays.share, other.network.arrays.share)
    for name in ("exceptions", "doubts", "recovery_days", "aged", "site_names", "part_names"):
        assert dict(getattr(one, name)) == dict(getattr(other, name)), name
    assert (one.alternatives, one.qualifications) == (other.alternatives, other.qualifications)


@pytest.mark.parametrize(
    ("said", "comes"),
    [
        ([None], []),
        ([True], [True]),
        ([False], [False]),
        ([False, False], [False]),
        ([False, True], [True]),
        ([True, False], [True]),
        ([False, None], []),
    ],
)
def test_what_goes_by_two_numbers_can_be_done_without_where_both_can(
    said: list[bool | None], comes: list[bool]
) -> None:
    needs = [
        {"part": part, "quantity": "1", "uom": "H87"} | ({} if one is None else {"essential": one})
        for part, one in zip((SHAFT, SAME), said, strict=False)
    ]
    bill = say("bill-of-material", A, site=PLANT, part=AXLE, needs=needs)
    (line,) = read(bill, without="bill-of-material").network.lines_at(PLANT)
    assert list(line.essential.values()) == comes
    assert line.essential.keys() <= line.needs.keys()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9))
@example(5440)  # what one makes and what it sells for change at once
def test_facts_that_come_one_after_the_other_come_to_what_all_of_them_come_to(seed: int) -> None:
    random = Random(seed)
    records: list[Record] = []
    for number in range(random.randint(20, 80)):
        records.append(some_record(random, number, records, daily=False))
    facts, taken, at, day = Facts(), 0, NOON - timedelta(hours=7), DAY
    past: list[tuple[Known, Known]] = []
    for _ in range(random.randint(1, 12)):
        if random.random() < 0.7:
            for _ in range(random.randint(1, 3)):
                records.append(some_record(random, len(records), records, daily=True))
        until = random.randint(taken, len(records)) if random.random() < 0.5 else len(records)
        facts.take(records[taken:until])
        taken = until
        at += timedelta(minutes=random.choice([-30, 0, 10, 60, 600]))
        day += timedelta(days=random.random() < 0.1)
        found, expected = facts.known(at, day), known(records[:taken], at, day)
        check_equal(found, expected)
        past.append((found, expected))
    for found, expected in past:
        check_equal(found, expected)


def way(issuer: str = A, *, hours: float = -1, number: int = 0, **content: Any) -> Record:
    given = {
        "supplier": MAKER,
        "customer": PLANT,
        "part": SHAFT,
        "uom": "H87",
        "scope": "all",
        "expires": "2027-06-30",
        "route": {"modes": ["air"], "from": "CNNGB", "to": "ITMIL"},
        "mostAWeek": "200",
        "ramp": ["0.5"],
        "firstDepartureDays": 3,
        "lead": {"days": 2, "sails": [1, 4]},
        "loads": 9,
        "extraMinorUnits": 12,
    }
    return say("route-qualification", issuer, hours=hours, number=number, **(given | content))


def test_a_link_has_its_route_and_the_way_that_may_be_taken_instead() -> None:
    canal = {"modes": ["sea", "road"], "from": "CNNGB", "to": "ITGOA", "passages": ["malacca", "suez"], "lane": "AEX"}
    found = read(link(A, hours=-0.5, route=canal), way())
    (one,) = found.network.links
    assert one.route == ShippingRoute(
        (Mode.SEA, Mode.ROAD), "CNNGB", "ITGOA", (Passage.MALACCA, Passage.SUEZ), "AEX"
    )  # fmt: skip
    (other,) = found.routes
    assert other == RouteAlternative(
        f"{one.key} by air CNNGB ITMIL", one.key, Fraction(200), Lead(2, sails=frozenset({0, 3})), date(2026, 10, 15),
        date(2027, 6, 30), A, (Fraction(1, 2),), 9, 12, ShippingRoute((Mode.AIR,), "CNNGB", "ITMIL"),
    )  # fmt: skip
    assert found.network.inconsistencies == ()
    # One that differs in its route is another one, else the newer holds.
    rail = {"modes": ["rail"]}
    assert len(read(way(), way(number=1, hours=-0.5, loads=2), way(route=rail, number=2)).routes) == 2


@pytest.mark.parametrize(
    ("name", "record", "owner", "what"),
    [
        ("a stranger's way", way(B), B, "whose site it is not"),
        ("in another unit", way(uom="KGM"), A, "counted in H87"),
        ("for nothing that comes", way(supplier=SPARE), A, "nobody has stated a link"),
    ],
)
def test_a_way_that_fits_nothing_is_told_to_whoever_stated_it(name: str, record: Record, owner: str, what: str) -> None:
    found = read(record)
    (one,) = found.inconsistencies_of(owner)
    assert what in one.what, name
    assert found.routes == ()


def test_a_way_counts_as_soon_as_its_link_is_stated() -> None:
    facts = Facts()
    facts.take([one for one in BASE if one.kind != "supply-link"] + [way()])
    assert facts.known(NOON, DAY).routes == ()
    facts.take([link(A)])
    assert len(facts.known(NOON, DAY).routes) == 1
    assert facts.known(NOON, DAY).network.inconsistencies == ()


def sent(number: int = 1, *, hours: float = -0.5, issuer: str = B, amount: int = 40, **details: Any) -> Despatched:
    """Handed over half an hour before noon; the stock was counted an hour before."""
    given: dict[str, Any] = {
        "leaves": DAY,
        "supplier": MAKER,
        "customer": PLANT,
        "units": ((f"pallet {number}", SAME, Fraction(amount), "H87"),),
    }
    return Despatched(f"despatch {number}", issuer, NOON + timedelta(hours=hours), **(given | details))


def coming(*goods: Goods, records: Sequence[Record] = tuple(BASE), at: datetime = NOON) -> dict[str, int]:
    (one,) = known(records, at, DAY, goods=goods).network.links
    return {day.isoformat(): int(amount) for day, amount in sorted(one.in_transit.items())}


TO_COME = {"2026-10-13": 100}
"""What the stock says is on its way."""


@pytest.mark.parametrize(
    ("name", "goods", "expected"),
    [
        ("after the stock was counted", [sent()], TO_COME | {"2026-10-14": 40}),
        ("twice", [sent(), sent(2, amount=5)], TO_COME | {"2026-10-14": 45}),
        ("before that: it is in what the stock says", [sent(hours=-2)], TO_COME),
        ("received", [sent(), Received(A, NOON, ("pallet 1",))], TO_COME),
        ("received by its haulier", [sent(), Received(C, NOON, ("pallet 1",))], TO_COME | {"2026-10-14": 40}),
        ("another pallet received", [sent(), Received(A, NOON, ("pallet 2",))], TO_COME | {"2026-10-14": 40}),
        ("carried on by the haulier", [sent(issuer=C)], TO_COME),
        ("from nowhere", [sent(supplier="https://nobody.example.org/site")], TO_COME),
        ("where nothing is supplied", [sent(customer=SPARE)], TO_COME),
        ("in another unit", [sent(units=(("pallet 1", SHAFT, Fraction(1), "KGM"),))], TO_COME),
        ("another part", [sent(units=(("pallet 1", AXLE, Fraction(1), "H87"),))], TO_COME),
        ("corrected", [sent(), sent(3, corrects="despatch 1", amount=7)], TO_COME | {"2026-10-14": 7}),
        ("taken back", [sent(), sent(3, corrects="despatch 1", units=())], TO_COME),
        ("corrected by a stranger", [sent(), sent(3, issuer=C, corrects="despatch 1", units=())],
         TO_COME | {"2026-10-14": 40}),
        ("overdue", [sent(leaves=date(2026, 10, 1))], {"2026-10-13": 140}),
        ("when it is said to come", [sent(arrives=date(2026, 10, 22))], TO_COME | {"2026-10-22": 40}),
        ("said to come today", [sent(arrives=DAY)], {"2026-10-12": 40} | TO_COME),
        ("said to have come by now", [sent(arrives=date(2026, 10, 9))], {"2026-10-13": 140}),
        ("long on its way, and said to be longer", [sent(leaves=date(2026, 9, 1), arrives=date(2026, 10, 30))],
         TO_COME | {"2026-10-30": 40}),
        ("corrected to come on another day", [sent(arrives=date(2026, 10, 22)),
                                               sent(3, corrects="despatch 1", arrives=date(2026, 10, 29))],
         TO_COME | {"2026-10-29": 40}),
        ("on a Friday", [sent(leaves=date(2026, 10, 16))], TO_COME | {"2026-10-19": 40}),
        ("later than the checkpoint", [sent(hours=1)], TO_COME),
    ],
)  # fmt: skip
def test_open_handoffs_are_on_their_way(name: str, goods: list[Goods], expected: dict[str, int]) -> None:
    assert coming(*goods) == expected, name
    assert coming(*reversed(goods)) == expected or "correct" in name or "back" in name, name


def test_goods_that_should_have_come_are_told_to_both_sides() -> None:
    facts = Facts()
    facts.take(BASE)
    facts.follow([sent(arrives=date(2026, 10, 9)), sent(2, arrives=date(2026, 10, 15))])
    found = facts.known(NOON, DAY)
    (wrong,), (waiting,) = found.inconsistencies_of(B), found.inconsistencies_of(A)
    assert (wrong.about, waiting.about) == ("despatch despatch 1", f"site {PLANT}")
    assert waiting.what.startswith(f"goods from {MAKER} should have come on 2026-10-09, and are taken to come on")
    assert wrong.what == "should have come on 2026-10-09, and nobody has received it: it is taken to come on 2026-10-13"
    facts.follow([Received(A, NOON, ("pallet 1",))])
    assert facts.known(NOON, DAY).network.inconsistencies == ()
    assert len(facts.known(NOON, date(2026, 10, 16)).network.inconsistencies) == 2


def test_without_a_stock_fact_what_was_handed_over_is_all_that_is_known() -> None:
    assert coming(sent(hours=-99), records=[one for one in BASE if one.kind != "stock"]) == {"2026-10-14": 40}


@pytest.mark.parametrize("seed", range(30))
def test_goods_that_come_one_by_one_give_what_all_at_once_give(seed: int) -> None:
    random = Random(seed)
    moved: list[Record | Goods] = [
        stock(-random.random(), number=n, quantity=str(random.randint(1, 90))) for n in range(3)
    ]
    for number in range(6):
        moved.append(sent(number, hours=-random.random(), amount=random.randint(1, 9)))
        if random.random() < 0.4:
            moved.append(Received(A, NOON - timedelta(minutes=random.randint(0, 20)), (f"pallet {number}",)))
    random.shuffle(moved)
    facts = Facts()
    facts.take(BASE)
    facts.known(NOON - timedelta(minutes=random.randint(0, 60)), DAY)
    for one in moved:
        if isinstance(one, Record):
            facts.take([one])
        else:
            facts.follow([one])
        if random.random() < 0.5:
            facts.known(NOON, DAY)
    records, goods = (
        [one for one in moved if isinstance(one, Record)],
        [one for one in moved if not isinstance(one, Record)],
    )
    assert facts.known(NOON, DAY).network.digest == known([*BASE, *records], NOON, DAY, goods=goods).network.digest


def test_plans_are_known_with_the_network_and_what_agrees_to_none_is_told() -> None:
    content: dict[str, Any] = {
        "measures": [{"member": A, "what": "Books the airlift", "withinHours": 24}],
        "name": "Magnets",
        "triggers": [{"kind": "region", "name": "East"}],
        "until": "2027-08-31",
    }
    found = read(say("continuity-plan", A, **content), say("continuity-plan", B, agreesTo="0x" + "77" * 32, **content))
    (plan,) = found.plans
    assert plan.is_in_force(DAY)
    (wrong,) = found.inconsistencies_of(B)
    assert wrong.what == "agrees to a plan that is not there"

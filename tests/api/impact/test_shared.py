"""The shared network follows the log: what counts in it, from when on, and what it costs to be asked again."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from api.feed import iso
from api.impact.shared import SharedNetwork, short_as_planned
from api.network import owner_of
from ledger_service.anchoring import UnknownCheckpoint
from ledger_service.bundle import NotYetAnchored
from ledger_service.envelope import Envelope
from ledger_service.keys import LocalKey, to_hex
from risk.network import Calendar, Lead, Line, Site, Stock, SupplyLink, SupplyNetwork, arrival
from risk.sights import Sights
from tests.consortium import Consortium, member_id

KEY = bytes(range(32))
DUERO, NORDRAND = (f"https://{name}.example.org/site/1" for name in ("duero", "nordrand"))
CASTING, AXLE = (f"did:web:{name}.example.org/part/1" for name in ("duero", "nordrand"))


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    made = Consortium(tmp_path)
    yield made
    made.close()


def fact(consortium: Consortium, who: str, kind: str, signer: LocalKey | None = None, **content: Any) -> Envelope:
    said = {"asOf": iso(consortium.clock.now - 1000), "document": {"number": "1", "type": "list"}, **content}
    return consortium.envelope(who, (), content=said, kind=kind, stream=f"{who} facts", signer=signer)


def today(consortium: Consortium) -> date:
    return datetime.fromtimestamp(consortium.clock.seconds(), UTC).date()


def test_what_is_withheld_or_void_never_counts_and_what_was_erased_counts_no_more(consortium: Consortium) -> None:
    shared, day = SharedNetwork(consortium.ledger, KEY), today(consortium)
    plain = fact(consortium, "duero", "site", site=DUERO)
    withheld = replace(fact(consortium, "nordrand", "site", site=NORDRAND), content=None, secret=None)
    other = consortium.add_key("duero", "duero second")
    consortium.register(plain, withheld)
    consortium.register(fact(consortium, "duero", "site", other, site=f"{DUERO}/second"))
    consortium.revoke_key("duero", "duero second")
    consortium.publish()
    assert list(shared.at(None, day).known.network.sites) == [DUERO]
    consortium.ledger.erase(plain.header.digest(consortium.ledger.domain), consortium.clock.now)
    assert list(shared.at(None, day).known.network.sites) == []


def test_only_what_is_anchored_is_asked_about(consortium: Consortium) -> None:
    shared, day = SharedNetwork(consortium.ledger, KEY), today(consortium)
    with pytest.raises(UnknownCheckpoint, match="no checkpoint yet"):
        shared.at(None, day)
    consortium.register(fact(consortium, "duero", "site", site=DUERO))
    consortium.publish()
    first = shared.at(None, day)
    consortium.register(consortium.envelope())
    consortium.publish()
    assert shared.at(None, day) is first, "what has nothing to do with risk moves nothing"
    assert shared.at(2, day).known.network.sites == first.known.network.sites
    with pytest.raises(UnknownCheckpoint, match="no checkpoint has 7"):
        shared.at(7, day)


def test_a_checkpoint_on_its_way_to_the_chain_is_not_yet_there(tmp_path: Path) -> None:
    class Cut(BaseException):
        """The machine stops here."""

    def step(name: str) -> None:
        if name == "checkpoint stored":
            raise Cut

    consortium = Consortium(tmp_path, steps=step)
    consortium.register(fact(consortium, "duero", "site", site=DUERO))
    with pytest.raises(Cut):
        consortium.ledger.publish(consortium.clock.now)
    shared = SharedNetwork(consortium.ledger, KEY)
    with pytest.raises(NotYetAnchored):
        shared.at(1, today(consortium))
    consortium.close()


def said(consortium: Consortium, random: Random) -> Envelope:
    """Something that duero or nordrand states of one of their sites."""
    amount, part = str(random.randint(1, 900)), {"part": CASTING, "uom": "H87"}
    made = {"planned": "10", "most": "20", "uom": "H87"}
    link = {"supplier": DUERO, "customer": NORDRAND, "share": "1", "lead": {"days": random.randint(1, 9)}, **part}
    options: list[tuple[str, str, dict[str, Any]]] = [
        ("nordrand", "stock", {"site": NORDRAND, "quantity": amount, **part}),
        ("duero", "stock", {"site": DUERO, "quantity": amount, **part}),
        ("nordrand", "supply-link", {**link, "level": random.choice(["named", "tier", "withheld"])}),
        ("duero", "capacity", {"site": DUERO, "part": CASTING, **made}),
        ("nordrand", "capacity", {"site": NORDRAND, "part": AXLE, **made}),
        ("nordrand", "bill-of-material",
         {"site": NORDRAND, "part": AXLE, "needs": [{"part": CASTING, "quantity": "2", "uom": "H87"}]}),
        ("nordrand", "site", {"site": NORDRAND, "name": f"Plant {amount}"}),
        ("oderland", "stock", {"site": NORDRAND, "quantity": amount, **part}),
    ]  # fmt: skip
    who, kind, content = random.choice(options)
    return fact(consortium, who, kind, **content)


def handed_over(consortium: Consortium, number: int, pieces: int, **content: Any) -> Envelope:
    """So many castings of duero's on their way to nordrand, on one pallet."""
    now = iso(consortium.clock.now)
    pallet = {
        "contents": [{"part": CASTING, "quantity": str(pieces), "uom": "H87"}],
        "id": f"{CASTING}/serial/{number}",
    }
    said = {
        "deadline": iso(consortium.clock.now + 86_400_000),
        "despatchedAt": now,
        "document": {"number": str(number), "type": "delivery-note"},
        "shipFrom": DUERO,
        "shipTo": NORDRAND,
        "taker": to_hex(member_id("nordrand")),
        "units": [pallet],
        **content,
    }
    return consortium.envelope("duero", ("nordrand",), content=said, kind="despatch", stream="duero goods")


def linked(consortium: Consortium) -> list[Envelope]:
    """Duero casts what nordrand's axles are made of."""
    made: dict[str, Any] = {"planned": "10", "most": "20", "uom": "H87"}
    link: dict[str, Any] = {"supplier": DUERO, "customer": NORDRAND, "share": "1", "lead": {"days": 9}, "level": "tier"}
    return [
        fact(consortium, "duero", "site", site=DUERO),
        fact(consortium, "nordrand", "site", site=NORDRAND),
        fact(consortium, "duero", "capacity", site=DUERO, part=CASTING, **made),
        fact(consortium, "nordrand", "capacity", site=NORDRAND, part=AXLE, **made),
        fact(consortium, "nordrand", "bill-of-material", site=NORDRAND, part=AXLE,
             needs=[{"part": CASTING, "quantity": "2", "uom": "H87"}]),
        fact(consortium, "nordrand", "supply-link", part=CASTING, uom="H87", **link),
    ]  # fmt: skip


def test_what_was_handed_over_since_the_stock_was_counted_is_on_its_way_until_it_is_received(
    consortium: Consortium,
) -> None:
    shared, day = SharedNetwork(consortium.ledger, KEY), today(consortium)
    consortium.register(*linked(consortium), handed_over(consortium, 1, 5))
    consortium.clock.forward(10)
    consortium.register(fact(consortium, "nordrand", "stock", site=NORDRAND, part=CASTING, quantity="9", uom="H87"))
    consortium.clock.forward(10)
    second = handed_over(consortium, 2, 40)
    consortium.register(second)
    consortium.publish()

    def under_way(size: int | None = None) -> list[int]:
        (one,) = shared.at(size, day).known.network.links
        return [int(amount) for amount in one.in_transit.values()]

    before = shared.at(None, day).size
    assert under_way() == [40]
    digest = second.header.digest(consortium.ledger.domain)
    receipt = {
        "basis": "counted",
        "despatch": to_hex(digest),
        "document": {"number": "1", "type": "goods-receipt"},
        "outcome": "accepted",
        "receivedAt": iso(consortium.clock.now),
        "units": [f"{CASTING}/serial/2"],
    }
    consortium.register(consortium.envelope("nordrand", ("duero",), content=receipt, kind="receipt", stream="in"))
    consortium.publish()
    assert under_way() == []
    assert under_way(before) == [40]
    assert SharedNetwork(consortium.ledger, KEY, batch=1).at(None, day).known.network.digest == (
        shared.at(None, day).known.network.digest
    )
    consortium.ledger.erase(digest, consortium.clock.now)
    assert under_way(before) == []


def test_goods_come_on_the_day_that_their_despatch_says(consortium: Consortium) -> None:
    shared, day = SharedNetwork(consortium.ledger, KEY), today(consortium)
    arrives = day + timedelta(days=33)
    moved = handed_over(consortium, 1, 5), handed_over(consortium, 2, 7, arrives=f"{arrives}T06:00:00+02:00")
    consortium.register(*linked(consortium), *moved)
    consortium.publish()
    (one,) = shared.at(None, day).known.network.links
    assert one.in_transit == {arrival(one.lead, Calendar(), day): 5, arrives: 7}


def test_goods_that_left_before_our_era_are_not_on_their_way(consortium: Consortium) -> None:
    shared = SharedNetwork(consortium.ledger, KEY)
    times = {"despatchedAt": "0001-01-01T00:00:00+14:00", "deadline": "0001-01-01T00:00:00Z"}
    consortium.register(*linked(consortium), handed_over(consortium, 1, 5, **times))
    consortium.publish()
    (one,) = shared.at(None, today(consortium)).known.network.links
    assert not one.in_transit


def test_a_number_below_a_member_s_domain_is_its_own(consortium: Consortium) -> None:
    """Duero describes nordrand's number first, to have it for one of its own; nordrand's word ends that."""
    theirs, own = "did:web:nordrand.example.org/part/AX-9", "did:web:duero.example.org/part/D-9"
    shared = SharedNetwork(consortium.ledger, KEY, owner_of=partial(owner_of, salt=b"test salt"))
    consortium.register(
        *linked(consortium),
        fact(consortium, "duero", "part", part=theirs, uom="H87", sameAs=[own]),
        fact(consortium, "duero", "part", part=own, uom="H87", sameAs=[theirs]),
    )
    consortium.publish()
    before = shared.at(None, today(consortium)).known
    assert before.network.inconsistencies == ()
    consortium.clock.forward(10)
    consortium.register(fact(consortium, "nordrand", "part", part=theirs, uom="H87"))
    consortium.publish()
    after = shared.at(None, today(consortium)).known
    assert {one.owner for one in after.network.inconsistencies} == {to_hex(member_id("duero"))}
    assert owner_of("https://id.gs1.org/01/09521004100011", b"test salt") is None


@pytest.mark.parametrize("seed", range(3))
def test_followed_step_by_step_or_read_at_once_each_checkpoint_gives_the_same_view(
    consortium: Consortium, seed: int
) -> None:
    random, day, readers = Random(seed), today(consortium), [member_id("duero"), member_id("nordrand")]
    following = SharedNetwork(consortium.ledger, KEY)
    consortium.register(
        fact(consortium, "duero", "site", site=DUERO), fact(consortium, "nordrand", "site", site=NORDRAND)
    )
    consortium.publish()
    seen = {}
    for _ in range(12):
        consortium.clock.forward(1)
        consortium.register(*(said(consortium, random) for _ in range(random.randint(1, 4))))
        consortium.publish()
        at = following.at(None, day)
        assert at.size == consortium.ledger.size
        for reader in readers:
            seen[at.size, reader] = following.view(reader, at).text
    for batch in (1, 7, 5_000):
        afresh = SharedNetwork(consortium.ledger, KEY, batch=batch)
        for (size, reader), text in random.sample(sorted(seen.items()), 8):
            assert afresh.view(reader, afresh.at(size, day)).text == text
            assert following.view(reader, following.at(size, day)).text == text


@pytest.mark.parametrize("seed", range(2))
def test_restated_and_taken_back_over_and_over_it_is_the_same_for_who_followed_and_who_begins(
    consortium: Consortium, seed: int
) -> None:
    random, day = Random(seed), today(consortium)
    following = SharedNetwork(consortium.ledger, KEY)
    consortium.register(fact(consortium, "nordrand", "site", site=NORDRAND))
    stated: list[Envelope] = []
    for _ in range(40):
        consortium.clock.forward(5)
        content: dict[str, Any] = {"site": NORDRAND, "part": CASTING, "quantity": str(len(stated)), "uom": "H87"}
        content["asOf"] = iso(consortium.clock.now - random.randint(1, 60) * 1000)
        if random.random() < 0.3:
            content["part"] = random.choice([CASTING, AXLE])
            if stated:
                content["corrects"] = to_hex(random.choice(stated).header.digest(consortium.ledger.domain))
        stated.append(fact(consortium, "nordrand", "stock", **content))
        consortium.register(stated[-1])
        if random.random() < 0.7:
            consortium.publish()
            amounts = [
                one.at(None, day).known.network.stocks for one in (following, SharedNetwork(consortium.ledger, KEY))
            ]
            assert list(amounts[0]) == list(amounts[1])
            assert list(following.at(consortium.ledger.size, day).known.network.stocks) == list(amounts[0])


def test_what_is_read_ahead_is_there_when_it_is_asked_for(consortium: Consortium) -> None:
    shared, day = SharedNetwork(consortium.ledger, KEY), today(consortium)
    shared.read_ahead(day)  # there is nothing yet, which is no trouble
    consortium.register(*linked(consortium))
    consortium.publish()
    shared.read_ahead(day)
    assert len(shared.at(None, day, patience=None).known.network.links) == 1


def test_what_was_handed_over_half_a_year_ago_is_on_its_way_no_more(consortium: Consortium) -> None:
    shared = SharedNetwork(consortium.ledger, KEY)
    consortium.register(*linked(consortium), handed_over(consortium, 1, 5))
    consortium.publish()
    before = consortium.ledger.size
    (link_then,) = shared.at(None, today(consortium)).known.network.links
    assert sum(link_then.in_transit.values()) == 5
    consortium.clock.forward(200 * 86_400)
    consortium.register(fact(consortium, "duero", "site", site=DUERO, name="Works"))
    consortium.publish()
    for one in (shared, SharedNetwork(consortium.ledger, KEY)):
        (link_now,) = one.at(None, today(consortium)).known.network.links
        assert not link_now.in_transit
        (link_then,) = one.at(before, today(consortium)).known.network.links
        assert sum(link_then.in_transit.values()) == 5, "as it was known then"


def test_stock_that_ends_before_more_can_come_is_told_by_the_view_alone() -> None:
    link = SupplyLink("l", "works", "plant", "casting", lead=Lead(21))
    ten = Fraction(10)
    lines = [Line("works", "casting", ten, ten), Line("plant", "axle", ten, ten, {"casting": Fraction(1)})]
    monday = date(2026, 10, 12)

    def told(days: int) -> list[str]:
        stocks = [Stock("plant", "casting", Fraction(10 * days))]
        network = SupplyNetwork.of(monday, [Site("works", "0x01"), Site("plant", "0x02")], lines, [link], stocks)
        view = Sights(network, key=KEY, checkpoint="ledger.example.org/x 1 00").of("0x02").view()
        return [f"{one.about}: {one.what}" for one in short_as_planned(view, 112)]

    assert told(15) == [], "three weeks of working days"
    (short,) = told(10)
    assert short.startswith("stock plant casting: what lies there and is on its way is 5 working days short")

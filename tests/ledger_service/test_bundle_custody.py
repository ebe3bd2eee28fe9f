"""Records of custody as the ledger puts them together: out of the index, for a reader, with their genealogy."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ledger_service.bundle import NotYetAnchored
from ledger_service.bundle_custody import Made, custody_bundle
from ledger_service.custody import Answer, Problem, Weight
from ledger_service.evidence import Bundle, CertificateProof, CustodyVerdict, verify_bundle
from ledger_service.keys import to_hex
from ledger_service.ledger import Record
from ledger_service.trails import Trails, UnknownThing
from tests.consortium import member_id
from tests.custody import DAY, clock_text
from tests.custody_chain import House
from tests.story import BEFORE, DUERO, MEMBERS, NORDRAND, ODERLAND, PALLETS, STRAY, at, tell

LOT = "https://id.gs1.org/01/09521004100011/10/L2609"
CRATE = "licence-plate:UN049505160C00001"
SHAFT = "https://id.gs1.org/01/09521004100011/21/S1"


class Archive:
    """A house with the index of its trails."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.trails = Trails(house.consortium.ledger, house.steps, b"index key of the tests, 32 bytes")
        self.certified: list[Sequence[bytes]] = []

    def certify(self, units: Sequence[bytes]) -> list[CertificateProof]:
        self.certified.append(units)
        return [self.house.certify(*units)]

    def make(self, things: Sequence[str], reader: str | None = None, *, genealogy: bool = False) -> Made:
        ledger = self.house.consortium.ledger
        sight = None if reader is None else ledger.sight(member_id(reader), self.house.consortium.clock.now)

        def showing(record: Record) -> bool | tuple[str, ...]:
            return True if sight is None else sight.shown(record.header.stream, record.position) or False

        return custody_bundle(
            ledger, self.trails, things, sight, showing, self.certify, self.house.steps, genealogy=genealogy
        )

    def judge(self, bundle: Bundle) -> CustodyVerdict:
        verdict = verify_bundle(Bundle.parse(bundle.data), self.house.consortium.trust)
        assert verdict.custody is not None
        return verdict.custody


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    house = House(tmp_path_factory.mktemp("story"), BEFORE, MEMBERS)
    tell(house)
    yield Archive(house)
    house.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Archive]:
    house = House(tmp_path, BEFORE, MEMBERS)
    yield Archive(house)
    house.close()


def test_the_story_comes_out_of_the_index_as_it_was_told(archive: Archive) -> None:
    made = archive.make(PALLETS, NORDRAND)
    custody = archive.judge(made.bundle)
    assert custody.answer is Answer.WITH_RESERVATIONS
    assert len(custody.trail.findings) == 4
    assert (made.hidden, custody.unseen, custody.untold) == (0, 0, ())
    assert {one.thing for one in custody.chain} == set(PALLETS)


def test_one_pallet_takes_its_own_steps_and_the_whole_of_the_streams(archive: Archive) -> None:
    made = archive.make([STRAY])
    assert made.bundle.custody is not None
    assert len(made.bundle.custody.units) == 1
    assert len(made.bundle.statements) == 17
    custody = archive.judge(made.bundle)
    assert custody.things == (STRAY,)
    assert len(custody.trail.findings) == 4


def test_what_nobody_ever_named_is_unknown(archive: Archive) -> None:
    with pytest.raises(UnknownThing):
        archive.make(["licence-plate:UN049505160P99999"])


def test_what_is_not_anchored_yet_is_no_evidence_yet(fresh: Archive) -> None:
    fresh.house.open(DUERO, [CRATE], at("18T14:00"))
    with pytest.raises(NotYetAnchored, match="1 statements of this trail are not anchored yet"):
        fresh.make([CRATE])
    fresh.house.publish()
    assert fresh.judge(fresh.make([CRATE]).bundle).answer is Answer.WHOLE


def test_statements_of_other_things_go_in_by_their_headers(fresh: Archive) -> None:
    house = fresh.house
    house.open(DUERO, [CRATE], at("18T14:00"))
    house.scan(DUERO, ["licence-plate:UN049505160P00007"], at("18T15:00"))
    house.publish()
    custody = fresh.judge(fresh.make([CRATE]).bundle)
    assert (custody.answer, custody.unseen) == (Answer.WHOLE, 1)


def test_a_genealogy_comprises_what_it_came_from_and_what_it_went_into(fresh: Archive) -> None:
    house = fresh.house
    house.open(DUERO, [CRATE], at("18T14:00"))
    made_of = {
        "type": "TransformationEvent",
        "inputQuantityList": [{"epcClass": LOT, "quantity": "1", "uom": "KGM"}],
        "outputEPCList": [SHAFT],
    }
    house.event(DUERO, made_of, at("18T15:00"))
    house.event(
        DUERO,
        {"type": "AggregationEvent", "action": "ADD", "parentID": CRATE, "childEPCs": [SHAFT], "bizStep": "packing"},
        at("18T16:00"),
    )
    house.hand_over(DUERO, NORDRAND, [CRATE], at("18T17:00"), at("18T18:00"))
    house.publish()
    alone = fresh.judge(fresh.make([SHAFT]).bundle)
    assert alone.things == (SHAFT,)
    assert set(alone.trail.units) == {SHAFT, CRATE}  # it travelled in it
    whole = fresh.judge(fresh.make([LOT], genealogy=True).bundle)
    assert set(whole.things) == {LOT, SHAFT, CRATE}
    assert whole.answer is Answer.WHOLE
    assert whole.custody.holder(SHAFT) == member_id(NORDRAND)


@pytest.fixture
def two_legs(fresh: Archive) -> Archive:
    """A crate from Duero by Oderland to Nordrand, each leg known to its two sides alone."""
    house = fresh.house
    house.audience = (DUERO, ODERLAND)
    house.open(DUERO, [CRATE], at("18T14:00"))
    house.hand_over(DUERO, ODERLAND, [CRATE], at("18T15:00"), at("18T16:00"))
    house.audience = (ODERLAND, NORDRAND)
    house.hand_over(ODERLAND, NORDRAND, [CRATE], at("18T17:00"), at("18T18:00"))
    house.publish()
    return fresh


def test_who_may_not_see_a_leg_learns_that_there_was_one_and_nothing_else(two_legs: Archive) -> None:
    made = two_legs.make([CRATE], DUERO)
    assert {one.header.issuer for one in made.bundle.statements} == {member_id(DUERO), member_id(ODERLAND)}
    custody = two_legs.judge(made.bundle)
    assert custody.answer is Answer.WHOLE  # what partners further on do not show breaks no record of those behind
    (found,) = custody.trail.findings
    assert (found.problem, found.weight) == (Problem.UNSIGNED_LEG, Weight.INFORMATION)
    assert made.hidden == 2


def test_a_leg_whose_headers_were_granted_is_withheld_and_breaks_nothing(two_legs: Archive) -> None:
    house = two_legs.house
    for issuer, other in ((ODERLAND, NORDRAND), (NORDRAND, ODERLAND)):
        content = {
            "fields": ["/despatchedAt", "/receivedAt"],
            "from": clock_text(house.consortium.clock.now),
            "until": clock_text(house.consortium.clock.now + DAY),
            "purpose": "Audit of September",
            "streams": [to_hex(house.stream(issuer, other))],
        }
        house.audience = (issuer, DUERO)
        house.say(issuer, "grant", content, house.consortium.clock.now)
    house.publish()
    made = two_legs.make([CRATE], DUERO)
    custody = two_legs.judge(made.bundle)
    assert custody.answer is Answer.WHOLE
    assert [str(leg.state) for leg in custody.custody.units[CRATE].legs] == ["handed over", "content withheld"]
    disclosed = {field.path for one in made.bundle.statements for field in one.disclosed}
    assert disclosed == {"/despatchedAt", "/receivedAt"}

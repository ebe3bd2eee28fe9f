"""Records of custody before their judge: the story of the auditor from a real chain, and all that can be bent in it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ledger_service import blocks, canonical
from ledger_service.custody import Answer, Policy, Problem, Weight, fold
from ledger_service.custody.facts import fact_of
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.evidence import Bundle, BundleRefused, CustodySection, Strength, Trust, Verdict, verify_bundle
from ledger_service.keys import keccak
from ledger_service.statements import Header
from tests.consortium import member_id, witness
from tests.custody_chain import House
from tests.story import BEFORE, DUERO, MEMBERS, NORDRAND, ODERLAND, PALLETS, STRAY, at, tell


@dataclass(frozen=True)
class Story:
    house: House
    bundle: bytes
    trust: Trust
    said: dict[str, bytes]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    house = House(tmp_path_factory.mktemp("story"), BEFORE, MEMBERS)
    said = tell(house)
    yield Story(house, house.bundle(PALLETS).data, house.consortium.trust, said)
    house.close()


def judged(data: bytes, trust: Trust, witnesses: int = 0) -> Verdict:
    return verify_bundle(Bundle.parse(data), trust, min_witnesses=witnesses)


def test_the_auditors_story_holds_and_is_whole_with_reservations(story: Story) -> None:
    verdict = judged(story.bundle, story.trust, 2)
    assert verdict.strength is Strength.WITNESSED
    assert verdict.witnesses == (witness("havelmark").name, witness("duero").name)
    custody = verdict.custody
    assert custody is not None
    assert custody.answer is Answer.WITH_RESERVATIONS
    found = {one.problem: (one.weight, one.is_explained, one.what) for one in custody.trail.findings}
    assert len(custody.trail.findings) == 4
    assert found == {
        Problem.DOUBLE_POSSESSION: (
            Weight.NEEDS_EXPLAINING,
            True,
            "a second member had it in hand while it was another's",
        ),
        Problem.QUANTITY_NOT_CONSERVED: (Weight.NEEDS_EXPLAINING, True, "what was received is not what was offered"),
        Problem.LATE_REGISTRATION: (Weight.INFORMATION, False, "registered 26 h after it happened"),
        Problem.UNSIGNED_LEG: (
            Weight.INFORMATION,
            False,
            "an agreed leg has no handoff of its own, as the policy allows here",
        ),
    }
    assert custody.policy == story.said["policy"]
    assert (custody.untold, custody.unseen) == ((), 0)
    assert {one.thing for one in custody.chain} == set(PALLETS)
    assert all(one.steps == 3 and not one.is_closed for one in custody.chain)
    assert custody.custody.holder(STRAY) == member_id(NORDRAND)


def test_a_record_is_read_as_it_was_written(story: Story) -> None:
    assert Bundle.parse(story.bundle).data == story.bundle


# -- every part of the section -----------------------------------------------------------------------------------------

CRATE = "licence-plate:UN049505160C00001"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Trust]]:
    """One crate, opened, handed over twice and closed, as JSON."""
    house = House(tmp_path_factory.mktemp("small"), BEFORE, MEMBERS)
    house.open(DUERO, [CRATE], at("18T14:00"))
    house.hand_over(DUERO, ODERLAND, [CRATE], at("18T15:00"), at("18T16:00"))
    _, last = house.hand_over(ODERLAND, NORDRAND, [CRATE], at("18T17:00"), at("18T18:00"))
    house.end(NORDRAND, CRATE, last)
    house.publish()
    yield json.loads(house.bundle([CRATE]).data), house.consortium.trust
    house.close()


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all texts and numbers."""
    if isinstance(value, dict | list):
        for name, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(one, (*path, name))
    else:
        yield path


def bent(value: Any) -> Any:
    """Another value of the same kind: a number one higher, a text with another last digit."""
    if isinstance(value, int):
        return value + 1
    return value[:-1] + ("0" if value[-1] != "0" else "1")


def test_no_text_and_no_number_of_the_section_can_be_another(small: tuple[Any, Trust]) -> None:
    """But for the two that nothing rests on: where to look on the chain, and what was asked for."""
    bundle, trust = small
    verdict = verify_bundle(Bundle.parse(canonical.dump(bundle)), trust)
    assert verdict.custody is not None
    assert verdict.custody.answer is Answer.WHOLE
    places = list(leaves(bundle["custody"]))
    assert len(places) > 40
    for path in places:
        changed = json.loads(canonical.dump(bundle))
        holder = changed["custody"]
        for name in path[:-1]:
            holder = holder[name]
        holder[path[-1]] = bent(holder[path[-1]])
        if path[-1] == "transaction":
            verify_bundle(Bundle.parse(canonical.dump(changed)), trust)
        elif path[0] == "things":
            other = verify_bundle(Bundle.parse(canonical.dump(changed)), trust).custody
            assert other is not None
            assert (other.answer, len(other.untold)) == (None, 1)
        else:
            with pytest.raises((BundleRefused, MalformedInput)):
                verify_bundle(Bundle.parse(canonical.dump(changed)), trust)


def test_no_member_of_the_section_can_be_left_out(small: tuple[Any, Trust]) -> None:
    bundle, trust = small
    for path in {place[:depth] for place in leaves(bundle["custody"]) for depth in range(1, len(place) + 1)}:
        changed = json.loads(canonical.dump(bundle))
        holder = changed["custody"]
        for name in path[:-1]:
            holder = holder[name]
        del holder[path[-1]]
        with pytest.raises((BundleRefused, MalformedInput)):
            verify_bundle(Bundle.parse(canonical.dump(changed)), trust)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (None, "/custody"),
        ([], "/custody"),
        ({"things": [], "units": [], "certificates": []}, "/custody/things"),
        ({"things": [CRATE, CRATE], "units": [], "certificates": []}, "/custody/things"),
        ({"things": ["1JUN049505160C00001"], "units": [], "certificates": []}, "/custody/things/0"),
        ({"things": [7], "units": [], "certificates": []}, "/custody/things/0"),
        ({"things": [CRATE], "units": [{"unit": "0x11", "steps": []}], "certificates": []}, "/custody/units/0/unit"),
        ({"things": [CRATE], "units": [{"unit": "0x" + "11" * 32}], "certificates": []}, "/custody/units/0"),
        ({"things": [CRATE], "units": [], "certificates": [{"units": []}]}, "/custody/certificates/0"),
    ],
)
def test_a_section_that_is_none_is_refused_with_the_place(value: Any, where: str) -> None:
    with pytest.raises(MalformedInput) as refusal:
        CustodySection.read(value, "/custody")
    assert refusal.value.where == where


# -- the certificate's event -------------------------------------------------------------------------------------------

CONTRACT, UNIT = b"\x17" * 20, b"\x11" * 32
WORDS = b"".join((b"\x22" * 20).rjust(32, b"\0") if n == 0 else n.to_bytes(32) for n in (0, 3, 1)) + b"\x33" * 32


def receipt(*logs: blocks.Log, succeeded: bool = True) -> blocks.Receipt:
    return blocks.Receipt(2, succeeded, 100_000, logs)


def certified(address: bytes = CONTRACT, unit: bytes = UNIT, data: bytes = WORDS) -> blocks.Log:
    return blocks.Log(address, (keccak(b"Certified(bytes32,address,uint64,bool,bytes32)"), unit), data)


def test_a_certificate_says_where_a_unit_stands() -> None:
    found = blocks.certified_standing(receipt(certified(unit=b"\x12" * 32), certified()), CONTRACT, UNIT)
    assert found == blocks.Standing(b"\x22" * 20, 3, is_closed=True, head=b"\x33" * 32)


@pytest.mark.parametrize(
    "made",
    [
        receipt(certified(), succeeded=False),
        receipt(),
        receipt(certified(), certified()),
        receipt(certified(address=b"\x18" * 20)),
        receipt(certified(unit=b"\x12" * 32)),
        receipt(certified(data=WORDS + bytes(32))),
        receipt(certified(data=WORDS[:-1])),
        receipt(certified(data=b"\1" + WORDS[1:])),
        receipt(certified(data=WORDS[:32] + b"\1" + WORDS[33:])),
        receipt(certified(data=WORDS[:95] + b"\2" + WORDS[96:])),
        receipt(replace(certified(), topics=(*certified().topics, bytes(32)))),
    ],
)
def test_what_is_no_certificate_of_the_unit_is_refused(made: blocks.Receipt) -> None:
    with pytest.raises(LedgerError):
        blocks.certified_standing(made, CONTRACT, UNIT)


def test_a_quantity_that_would_fill_the_memory_is_not_read() -> None:
    """Whoever makes a bundle need not have asked our door."""
    listed = [{"epcClass": "https://id.gs1.org/01/09521004100011/10/L1", "quantity": "1e99999999999", "uom": "KGM"}]
    event = {"type": "ObjectEvent", "eventTime": "2026-09-18T16:00:00Z", "action": "OBSERVE", "quantityList": listed}
    packed = {**event, "type": "AggregationEvent", "parentID": CRATE, "childQuantityList": listed}
    header = Header(member_id(DUERO), "epcis-event", bytes(32), 1, at("18T18:00"), bytes(32))
    fact = fact_of(header, bytes(32), at("18T18:00"), at("18T18:00"), {"to": [], "event": packed, "context": []})
    folded = fold([fact], [], Policy(), at=at("19T18:00"))
    assert list(folded.unread) == [fact.record]

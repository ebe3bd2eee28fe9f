"""Custody as partners live it: gateways that open, offer, accept, refuse, withdraw and close, over HTTP."""

from collections.abc import Iterator
from fractions import Fraction

import pytest

from api.client import ServiceRefused
from api.custody_book import StepState, UnitState
from api.gateway import NewUnit, NoAddressLeft, NotHeld, SaidOtherwise, SeedMissing, UnfitOffered
from ledger_service.handoffs import Closing, HandOff, Opening, TakenStep, verify_sequence
from ledger_service.keys import to_hex
from ledger_service.offering import Offers, check_offers
from tests.api.gateways import DAY, SHAFT, Yard, plate, yard
from tests.api.house import House, served
from tests.consortium import member_id, receipt


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("network")
    with served(folder, custody_release_interval_seconds=0, custody_release_spread_seconds=0) as house:
        yield house


@pytest.fixture(scope="module")
def partners(running: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with yard(running, tmp_path_factory.mktemp("yard")) as open_yard:
        open_yard.introduce("duero", "nordrand", "havelmark", "oderland", each=60)
        yield open_yard
        with running.network.ledger.store.read() as connection:
            assert list(check_offers(connection)) == []


_numbers = iter(range(1, 10_000))


def fresh() -> int:
    """A pallet that no test has used yet."""
    return next(_numbers)


def outcomes(house: House, despatch: bytes) -> tuple[str, list[str]]:
    """How an offer stands by the service's own word."""
    offers: Offers = house.app.state.service.offers
    view = offers.find(despatch, house.clock.now, house.network.ledger.custody_policy(house.clock.now))
    assert view is not None
    return str(view.state), [one.outcome for one in view.answers]


def taken(yard: Yard, thing: str, name: str) -> list[TakenStep]:
    """The steps of a thing that the chain has taken, once the relay has nothing left to send."""
    held = yard.gateway(name).book.unit_of(thing)
    assert held is not None
    relaying = yard.house.network.relaying
    for _ in range(50):
        relaying.run(yard.house.clock.now)
        waiting = [one for one in relaying.waiting(held.unit) if one.state in ("waiting", "sent")]
        if not waiting:
            break
    steps = list(relaying.taken([held.unit]).get(held.unit, ()))
    verify_sequence(steps)
    return steps


def test_a_unit_goes_from_hand_to_hand_each_step_signed_by_both_and_ends(partners: Yard) -> None:
    one, two = fresh(), fresh()
    first = partners.offer("duero", "nordrand", "A1", one, two)
    nordrand, havelmark = partners.gateway("nordrand"), partners.gateway("havelmark")
    assert outcomes(partners.house, first) == ("open", [])
    nordrand.accept(first, basis="scanned")
    assert nordrand.push().refused == []
    assert outcomes(partners.house, first) == ("answered", ["accepted", "accepted"])
    second = partners.offer("nordrand", "havelmark", "B1", one)
    damaged = [{"unit": plate(one), "what": "damaged", "part": SHAFT, "quantity": "3", "uom": "H87"}]
    havelmark.accept(second, basis="counted", discrepancies=damaged)
    assert havelmark.push().refused == []
    assert outcomes(partners.house, second) == ("answered", ["accepted-with-discrepancies"])
    assert havelmark.close([plate(one)], [member_id("nordrand")], business_step="decommissioning")
    assert havelmark.push().refused == []
    steps = taken(partners, plate(one), "havelmark")
    assert [type(step.step) for step in steps] == [Opening, HandOff, HandOff, Closing]
    assert steps[1].step.offer.statement == first  # type: ignore[union-attr]
    assert nordrand.book.unit_of(plate(one)).state is UnitState.OFFERED  # type: ignore[union-attr]
    assert nordrand.book.unit_of(plate(two)).state is UnitState.HELD  # type: ignore[union-attr]
    nordrand.follow()
    assert nordrand.book.unit_of(plate(one)).state is UnitState.GIVEN  # type: ignore[union-attr]


def test_what_is_refused_stays_with_its_giver_who_takes_the_step_away_by_itself(partners: Yard) -> None:
    one = fresh()
    despatch = partners.offer("duero", "nordrand", "A2", one)
    nordrand, duero = partners.gateway("nordrand"), partners.gateway("duero")
    nordrand.refuse(despatch, "not ordered")
    nordrand.push()
    assert outcomes(partners.house, despatch) == ("refused", ["refused"])
    assert duero.follow() == [despatch]
    assert duero.push().refused == []
    again = partners.offer("duero", "havelmark", "A2b", one)
    partners.gateway("havelmark").accept(again)
    assert partners.gateway("havelmark").push().refused == []
    steps = taken(partners, plate(one), "havelmark")
    assert [step.sequence for step in steps] == [0, 1, 2]
    to_itself = steps[1].step
    assert isinstance(to_itself, HandOff)
    assert to_itself.acceptance == to_itself.offer.statement


def findings(yard: Yard, thing: str, name: str) -> list[str]:
    """What the record of a thing has to say to one of its custodians, once it is anchored."""
    yard.house.anchor()
    taken(yard, thing, name)
    answer = yard.house.get(name, "/v1/custody/trail", unit=thing)
    assert answer.status_code == 200, answer.text
    return [f"{one['finding']}: {one['what']}" for one in answer.json()["findings"]]


def test_a_refusal_a_withdrawal_and_a_missing_unit_leave_a_whole_record(partners: Yard) -> None:
    refused, withdrawn, missing, there = fresh(), fresh(), fresh(), fresh()
    duero, nordrand = partners.gateway("duero"), partners.gateway("nordrand")
    first = partners.offer("duero", "nordrand", "R1", refused)
    second = partners.offer("duero", "nordrand", "R2", withdrawn)
    third = partners.offer("duero", "nordrand", "R3", missing, there)
    nordrand.refuse(first, "not ordered")
    nordrand.accept(third, discrepancies=[{"unit": plate(missing), "what": "short"}])
    nordrand.push()
    duero.follow()
    duero.withdraw(second)
    duero.push()
    again = partners.offer("duero", "nordrand", "R4", refused, withdrawn, missing)
    nordrand.accept(again)
    assert nordrand.push().refused == []
    for thing in (refused, withdrawn, there):
        for name in ("duero", "nordrand"):
            assert findings(partners, plate(thing), name) == [], (thing, name)
    # What was said to be missing is told as that, and nothing else is.
    (found,) = findings(partners, plate(missing), "nordrand")
    assert found.startswith("quantity-not-conserved")


def test_an_offer_that_is_withdrawn_cannot_be_accepted_any_more(partners: Yard) -> None:
    one = fresh()
    despatch = partners.offer("duero", "nordrand", "A3", one)
    duero, nordrand = partners.gateway("duero"), partners.gateway("nordrand")
    assert duero.withdraw(despatch)
    assert duero.push().refused == []
    assert not duero.withdraw(despatch)
    assert outcomes(partners.house, despatch)[0] == "withdrawn"
    nordrand.accept(despatch)
    (line,) = nordrand.push().refused
    assert "corrected or taken back" in line
    assert nordrand.book.unit_of(plate(one)) is None
    assert duero.book.unit_of(plate(one)).state is UnitState.HELD  # type: ignore[union-attr]


def test_a_withdrawal_that_crosses_an_acceptance_leaves_the_unit_with_the_taker(partners: Yard) -> None:
    taken_by_then, left = fresh(), fresh()
    despatch = partners.offer("duero", "nordrand", "A3b", taken_by_then, left)
    duero, nordrand = partners.gateway("duero"), partners.gateway("nordrand")
    assert duero.withdraw(despatch)  # on the giver's side, and not sent yet
    nordrand.accept(despatch, units=[plate(taken_by_then)])
    assert nordrand.push().refused == []
    (line,) = duero.push().refused
    assert "was accepted before this came" in line
    assert duero.follow() == []
    assert duero.book.unit_of(plate(taken_by_then)).state is UnitState.GIVEN  # type: ignore[union-attr]
    assert nordrand.book.unit_of(plate(taken_by_then)).state is UnitState.HELD  # type: ignore[union-attr]
    # What nobody had answered can still be taken back.
    assert duero.book.unit_of(plate(left)).state is UnitState.OFFERED  # type: ignore[union-attr]
    assert duero.withdraw(despatch)
    assert duero.push().refused == []
    again = partners.offer("duero", "nordrand", "A3c", left)
    nordrand.accept(again)
    assert nordrand.push().refused == []
    for thing in (taken_by_then, left):
        for name in ("duero", "nordrand"):
            assert findings(partners, plate(thing), name) == [], (thing, name)


def test_doing_it_again_is_doing_it_once_and_saying_it_otherwise_is_refused(partners: Yard) -> None:
    one = fresh()
    duero, nordrand = partners.gateway("duero"), partners.gateway("nordrand")
    said = partners.despatch("nordrand", "A4", one)
    despatch = duero.offer(said, open_missing=True)
    assert duero.offer(said, open_missing=True) == despatch
    with pytest.raises(SaidOtherwise, match="correct that one"):
        duero.offer(partners.despatch("nordrand", "A4", one, quantity="61"))
    duero.push()
    answer = nordrand.accept(despatch)
    assert nordrand.accept(despatch) == answer
    with pytest.raises(SaidOtherwise):
        nordrand.refuse(despatch, "no")
    assert nordrand.push().registered == 1
    assert nordrand.push().registered == 0
    (held,) = duero.open([NewUnit(plate(one))], [])
    assert held.unit == nordrand.book.unit_of(plate(one)).unit  # type: ignore[union-attr]


def test_a_whole_unit_that_is_missing_stays_with_its_giver(partners: Yard) -> None:
    one, two = fresh(), fresh()
    despatch = partners.offer("duero", "nordrand", "A5", one, two)
    nordrand, duero = partners.gateway("nordrand"), partners.gateway("duero")
    nordrand.accept(despatch, discrepancies=[{"unit": plate(two), "what": "short"}])
    assert nordrand.push().steps == 1
    assert outcomes(partners.house, despatch) == ("answered", ["accepted-with-discrepancies", "missing"])
    assert duero.follow() == [despatch]
    duero.push()
    assert duero.book.unit_of(plate(one)).state is UnitState.GIVEN  # type: ignore[union-attr]
    assert duero.book.unit_of(plate(two)).state is UnitState.HELD  # type: ignore[union-attr]


def test_a_unit_whose_seed_was_lost_goes_on_under_a_new_one(partners: Yard) -> None:
    one = fresh()
    partners.gateway("oderland").open([NewUnit(plate(one))], [member_id("nordrand")])
    partners.gateway("oderland").push()
    later = partners.gateway("oderland", seed="found after the fire")
    with pytest.raises(SeedMissing, match="continues"):
        later.offer(partners.despatch("nordrand", "A6", one))
    before = later.book.unit_of(plate(one))
    (held,) = later.open([NewUnit(plate(one))], [member_id("nordrand")], anew=True)
    assert before is not None
    assert held.unit != before.unit
    assert later.push().refused == []
    despatch = later.offer(partners.despatch("nordrand", "A6", one))
    assert later.push().refused == []
    partners.gateway("nordrand").accept(despatch)
    assert partners.gateway("nordrand").push().refused == []


def test_an_error_is_corrected_and_both_stay(partners: Yard) -> None:
    one = fresh()
    despatch = partners.offer("duero", "nordrand", "A7", one)
    nordrand = partners.gateway("nordrand")
    answer = nordrand.accept(despatch)
    nordrand.push()
    short = [{"unit": plate(one), "what": "short", "part": SHAFT, "quantity": "1", "uom": "H87"}]
    changes = {"outcome": "accepted-with-discrepancies", "discrepancies": short}
    corrected = nordrand.correct(answer, changes)
    assert nordrand.correct(answer, changes) == corrected
    assert nordrand.push().refused == []
    assert outcomes(partners.house, despatch) == ("answered", ["accepted-with-discrepancies"])


def test_a_member_without_addresses_left_cannot_be_offered_anything(partners: Yard) -> None:
    pallets = [fresh() for _ in range(9)]
    duero = partners.gateway("duero")
    with pytest.raises(NoAddressLeft, match="custody deposit"):
        duero.offer(partners.despatch("kleinwerk", "A8", *pallets), open_missing=True)
    assert [duero.book.unit_of(plate(one)) for one in pallets] == [None] * 9
    assert duero.push().registered == 0


def test_one_address_is_never_used_twice(partners: Yard) -> None:
    duero = partners.gateway("duero")
    despatches = [partners.offer("duero", "nordrand", f"A9-{number}", fresh()) for number in range(4)]
    addresses = [one.offer.taker for despatch in despatches for one in duero.book.signatures(despatch)]
    assert len(set(addresses)) == 4
    offered = int(duero.book.units(UnitState.OFFERED)[0].thing[-5:])
    with pytest.raises(NotHeld, match="withdraw that one first"):
        duero.offer(partners.despatch("havelmark", "A9-9", offered))


def test_what_was_scanned_within_the_tolerance_is_accepted_by_itself_and_the_rest_waits(partners: Yard) -> None:
    whole, few, missing, lone = fresh(), fresh(), fresh(), fresh()
    good = partners.offer("duero", "nordrand", "G1", whole)
    close = partners.offer("duero", "nordrand", "G2", few)
    bad = partners.offer("duero", "nordrand", "G3", missing, lone)
    quiet = partners.offer("duero", "nordrand", "G4", fresh())
    nordrand = partners.gateway("nordrand")
    rows = [
        "unit;part;quantity;uom",
        f"{plate(whole)};;;",
        f"{plate(few)};9521004100011;59;H87",
        f"{plate(lone)};;;",
    ]
    assert nordrand.import_scans("\n".join(rows).encode())
    assert not nordrand.import_scans("\n".join(rows).encode())
    assert len(nordrand.receive(Fraction("0.02"))) == 2
    assert nordrand.push().refused == []
    assert outcomes(partners.house, good) == ("answered", ["accepted"])
    assert outcomes(partners.house, close) == ("answered", ["accepted-with-discrepancies"])
    assert outcomes(partners.house, bad)[0] == outcomes(partners.house, quiet)[0] == "open"
    (task,) = [one for one in nordrand.book.tasks() if one.despatch == bad]
    assert task.reasons == (f"{plate(missing)} was not scanned",)
    decision = nordrand.decide(bad, Fraction(0))
    assert decision is not None
    nordrand.accept(bad, basis=decision.basis, discrepancies=decision.discrepancies)
    assert nordrand.push().refused == []
    assert bad not in [one.despatch for one in nordrand.book.tasks()]
    assert nordrand.receive(Fraction("0.02")) == []


def test_what_deviates_by_more_than_the_tolerance_waits(partners: Yard) -> None:
    one = fresh()
    despatch = partners.offer("duero", "nordrand", "G5", one)
    nordrand = partners.gateway("nordrand")
    nordrand.import_scans(f"unit,part,quantity\n{plate(one)},9521004100011,57\n".encode())
    assert nordrand.receive(Fraction("0.02")) == []
    (task,) = [one for one in nordrand.book.tasks() if one.despatch == despatch]
    assert task.reasons == (f"{SHAFT} deviates by 3 of 60 H87, and 2 % may pass",)


def test_what_somebody_at_a_site_asks_for_is_signed_or_waits_or_is_declined(partners: Yard) -> None:
    one, two = fresh(), fresh()
    nordrand, house = partners.gateway("nordrand"), partners.house
    desk = house.app.state.service.desk
    good, bad = (partners.offer("duero", "nordrand", f"Q{one}", one), partners.offer("duero", "nordrand", "Q0", two))
    for despatch, pallet in ((good, one), (bad, one)):
        content = receipt(despatch, at=house.clock.now, units=[plate(pallet)], document={"type": "x", "number": "7"})
        desk.requests.ask(member_id("nordrand"), despatch, "receipt", content | {"to": []}, house.clock.now)
    assert nordrand.fulfil_requests(sign=False) == []
    assert {good, bad} <= {one.despatch for one in nordrand.book.tasks()}
    (signed,) = nordrand.fulfil_requests(sign=True)
    assert outcomes(house, good) == ("answered", ["accepted"])
    assert desk.requests.newest(good).statement == signed
    assert plate(one) in desk.requests.newest(bad).declined
    assert [type(step.step) for step in taken(partners, plate(one), "nordrand")] == [Opening, HandOff]


def test_parts_of_an_offer_are_answered_one_by_one(partners: Yard) -> None:
    one, two = fresh(), fresh()
    despatch, nordrand = partners.offer("duero", "nordrand", "P1", one, two), partners.gateway("nordrand")
    first = nordrand.accept(despatch, units=[plate(one)])
    assert outcomes(partners.house, despatch)[0] == "open"
    second = nordrand.accept(despatch, units=[plate(two)])
    assert first != second
    assert nordrand.accept(despatch, units=[plate(two)]) == second
    with pytest.raises(SaidOtherwise):
        nordrand.accept(despatch)
    assert nordrand.push().refused == []
    assert outcomes(partners.house, despatch) == ("answered", ["accepted", "accepted"])
    assert findings(partners, plate(one), "duero") == []


def test_a_haulier_who_is_no_member_carries_for_the_one_who_stays_custodian(partners: Yard) -> None:
    one = fresh()
    said = partners.despatch("nordrand", "A10", one) | {
        "carrier": {"name": "Spedition Beispiel", "for": to_hex(member_id("duero"))}
    }
    despatch = partners.gateway("duero").offer(said, open_missing=True)
    partners.gateway("duero").push()
    assert partners.gateway("nordrand").look_at(despatch).said.carrier_for == member_id("duero")
    partners.gateway("nordrand").accept(despatch)
    assert partners.gateway("nordrand").push().refused == []


def test_an_offer_to_another_is_not_ours_to_look_at(partners: Yard) -> None:
    despatch = partners.offer("duero", "nordrand", "A11", fresh())
    with pytest.raises(ServiceRefused, match="404"):
        partners.gateway("havelmark").look_at(despatch)
    said = partners.despatch("nordrand", "A12", fresh())
    seen = partners.gateway("duero").offer(said, [member_id("havelmark")], open_missing=True)
    partners.gateway("duero").push()
    with pytest.raises(UnfitOffered, match="not to us"):
        partners.gateway("havelmark").look_at(seen)


def test_time_that_goes_by_is_told_from_a_word_that_was_signed(partners: Yard) -> None:
    despatch = partners.offer("duero", "nordrand", "A13", fresh(), hours=1)
    house = partners.house
    house.clock.forward(3601)
    service = house.app.state.service
    policy = house.network.ledger.custody_policy(house.clock.now)
    assert outcomes(house, despatch) == ("overdue", [])
    crossed = service.offers.crossed(house.clock.now - DAY, house.clock.now, policy)
    assert [one.state for one in crossed if one.offer.despatch == despatch] == ["overdue"]
    nordrand = partners.gateway("nordrand")
    nordrand.accept(despatch)
    (line,) = nordrand.push().refused
    assert "ran out" in line
    nordrand.refuse(despatch, "too late")
    assert nordrand.push().refused == []
    assert nordrand.book.steps(StepState.REFUSED)[-1].step.step.offer.statement == despatch  # type: ignore[union-attr]
    assert outcomes(house, despatch) == ("refused", ["refused"])

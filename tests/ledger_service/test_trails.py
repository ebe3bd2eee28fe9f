"""The index of trails against the slow fold of everything: the same lineage, trail and holders for every reader."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger_service.custody import Custody, Fact, Policy, Trail, fold
from ledger_service.identifiers import identify
from ledger_service.ledger import Ledger
from ledger_service.store.trail_tables import chain_unit, holding, link, mention, saying
from ledger_service.store.trail_tables import thing as thing_table
from ledger_service.trails import Direction, Trails, UnknownThing, held_by_fold
from ledger_service.trails.checking import check_index
from tests.consortium import Consortium
from tests.custody import DAY, HOUR, START, Record, member_id, pallet
from tests.trails import clear, erased, taken_steps, tell

NAMES = ("duero", "oderland", "nordrand", "vltava")
NOW = START + 30 * DAY
PIECES = [f"https://id.gs1.org/01/09521004100011/21/{number}" for number in range(3)]
PALLETS = [pallet(number) for number in range(3)]
TRUCKS = [pallet(100 + number) for number in range(2)]
LOTS = [f"https://id.gs1.org/01/09521004100011/10/L{number}" for number in range(3)]
THINGS = [*PIECES, *PALLETS, *TRUCKS, *LOTS]
LEVELS = [PIECES, PALLETS, TRUCKS]


@pytest.fixture(scope="module")
def ledger() -> Iterator[Ledger]:
    with tempfile.TemporaryDirectory() as folder:
        made = Consortium(Path(folder))
        yield made.ledger
        made.close()


def key_of(thing: str) -> str:
    found = identify(thing)
    assert found is not None
    return found.key


@st.composite
def histories(draw: st.DrawFn) -> tuple[Record, dict[bytes, tuple[bytes, ...]]]:
    """Some things packed, shipped, answered, made into others, corrected and declared wrong, by four members."""
    record = Record(on_chain=draw(st.booleans()))
    audiences: dict[bytes, tuple[bytes, ...]] = {}
    open_offers: list[tuple[str, str, list[str], Fact]] = []
    events: list[tuple[str, Fact]] = []

    def note(fact: Fact) -> Fact:
        if fact.stream not in audiences:
            others = draw(st.sets(st.sampled_from(NAMES), max_size=3))
            audiences[fact.stream] = tuple(member_id(one) for one in sorted(others))
        return fact

    opened: set[str] = set()
    for number in range(draw(st.integers(2, 12))):
        hour = number * 3 + draw(st.integers(0, 2))
        one, other = draw(st.permutations(NAMES))[:2]
        match draw(st.sampled_from(["pack", "unpack", "ship", "answer", "make", "scan", "correct", "declare", "open"])):
            case "pack" | "unpack" as what:
                level = draw(st.integers(0, 1))
                children = draw(st.lists(st.sampled_from(LEVELS[level]), min_size=1, max_size=2, unique=True))
                parent = draw(st.sampled_from(LEVELS[level + 1]))
                if what == "unpack" and draw(st.booleans()):
                    children = []
                name = {"eventID": f"urn:event:{number}"}
                action = "ADD" if what == "pack" else "DELETE"
                events.append((one, note(record.pack(one, parent, children, hour, action=action, **name))))
            case "ship":
                things = draw(st.lists(st.sampled_from([*PALLETS, *TRUCKS]), min_size=1, max_size=2, unique=True))
                lots = draw(st.lists(st.sampled_from(["L0", "L1", "L2"]), max_size=2, unique=True))
                offer = record.offer(one, other, things, hour, deadline=draw(st.sampled_from([2, 2000])))
                if lots:
                    record.facts[-1] = offer = _with_lots(offer, lots)
                open_offers.append((one, other, things, note(offer)))
            case "answer" if open_offers:
                giver, taker, things, offer = draw(st.sampled_from(open_offers))
                outcome = draw(st.sampled_from(["accepted", "accepted", "refused"]))
                missing = [{"unit": things[0], "what": "short"}] if draw(st.integers(0, 3)) == 0 else []
                issuer = taker if draw(st.integers(0, 5)) else giver
                discrepancies = missing if outcome == "accepted" else []
                answer = record.receipt(issuer, offer, things, hour, outcome=outcome, discrepancies=discrepancies)
                note(answer)
            case "make":
                taken = draw(st.lists(st.sampled_from([*LOTS, *PIECES]), min_size=1, max_size=2, unique=True))
                made = draw(st.lists(st.sampled_from([*LOTS, *PIECES]), min_size=1, max_size=2, unique=True))
                body: dict[str, Any] = {"type": "TransformationEvent"}
                for side, things in (("input", taken), ("output", made)):
                    body[f"{side}EPCList"] = [thing for thing in things if thing in PIECES]
                    body[f"{side}QuantityList"] = [{"epcClass": thing} for thing in things if thing in LOTS]
                events.append((one, note(record.event(one, body, hour, name=f"urn:event:{number}"))))
            case "scan":
                note(record.scan(one, [draw(st.sampled_from([*PIECES, *PALLETS, *TRUCKS]))], hour))
            case "correct" if open_offers:
                giver, taker, things, offer = draw(st.sampled_from(open_offers))
                note(record.offer(giver, taker, things[:1], hour, corrects=offer))
            case "declare" if events:
                issuer, event = draw(st.sampled_from(events))
                content = event.content
                assert content is not None
                body = {**content["event"], "errorDeclaration": {"declarationTime": content["event"]["eventTime"]}}
                note(record.say(issuer, "epcis-event", {"event": body, "context": []}, hour))
            case "open":
                thing = draw(st.sampled_from(PALLETS))
                if thing not in opened:
                    opened.add(thing)
                    note(record.open(one, thing, hour))
            case _:
                pass
    return record, audiences


def _with_lots(offer: Fact, lots: list[str]) -> Fact:
    content = dict(offer.content or {})
    line = {"part": "https://id.gs1.org/01/09521004100011", "quantity": "1", "uom": "H87"}
    content["units"] = [{**unit, "contents": [{**line, "batch": lot} for lot in lots]} for unit in content["units"]]
    return replace(offer, content=content)


def told(
    ledger: Ledger, record: Record, audiences: dict[bytes, tuple[bytes, ...]], order: list[Fact], step: int = 500
) -> Trails:
    """An index that has read the facts in this order, so many at a time."""
    clear(ledger)
    tell(ledger, order, audiences)
    steps = taken_steps(record.steps, PALLETS)
    trails = Trails(ledger, lambda units: {one: steps[one] for one in units if one in steps}, b"k" * 32)
    while trails.index(step):
        pass
    assert trails.catch_up() <= 0
    assert trails.indexed == len(order)
    return trails


def kept_holders(ledger: Ledger) -> dict[str, tuple[Any, ...]]:
    """The rows of who has what, by thing; they are what is told anew."""
    with ledger.store.read() as connection:
        assert list(check_index(connection)) == []
        query = sa.select(thing_table.c.name, holding).join(thing_table, thing_table.c.id == holding.c.thing)
        return {row.name: tuple(row)[2:] for row in connection.execute(query)}


def seen_by(name: str | None, facts: list[Fact], audiences: dict[bytes, tuple[bytes, ...]]) -> list[Fact]:
    if name is None:
        return facts
    return [one for one in facts if member_id(name) in (one.issuer, *audiences[one.stream])]


def lineage(trails: Trails, thing: str, direction: Direction, sight: Any) -> tuple[int, set[str]]:
    found: list[str] = []
    after = None
    while True:
        page = trails.lineage(thing, direction, sight, after, limit=2)
        found += page.items
        after = page.after
        if after is None:
            assert len(found) == len(set(found))
            return page.total, set(found)


QUICK = settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@QUICK
@given(history=histories(), data=st.data())
def test_lineage_is_that_of_the_fold_for_every_reader_and_any_order(
    ledger: Ledger, history: tuple[Record, dict[bytes, tuple[bytes, ...]]], data: st.DataObject
) -> None:
    record, audiences = history
    trails = told(ledger, record, audiences, data.draw(st.permutations(record.facts)))
    for name in (None, *NAMES[:2]):
        whole = _fold_of(seen_by(name, record.facts, audiences), record)
        sight = ledger.sight(None if name is None else member_id(name), NOW)
        for thing in map(key_of, THINGS):
            for direction in Direction:
                walk = whole.lineage.descendants if direction is Direction.DESCENDANTS else whole.lineage.ancestors
                try:
                    total, found = lineage(trails, thing, direction, sight)
                except UnknownThing:
                    assert thing not in whole.lineage.forward
                    continue
                assert found == set(walk(thing)), (name, thing, direction)
                assert total == len(found)


def _fold_of(facts: list[Fact], record: Record) -> Custody:
    return fold(facts, record.steps, Policy(), at=NOW)


@QUICK
@given(history=histories(), data=st.data())
def test_a_recall_tells_who_has_what_as_the_fold_does(
    ledger: Ledger, history: tuple[Record, dict[bytes, tuple[bytes, ...]]], data: st.DataObject
) -> None:
    record, audiences = history
    step = data.draw(st.sampled_from([1, 2, 5, 500]))
    trails = told(ledger, record, audiences, data.draw(st.permutations(record.facts)), step)
    kept = kept_holders(ledger)
    trails.rebuild()
    trails.catch_up()
    assert kept_holders(ledger) == kept, "told bit by bit as at once"
    for name in (None, *NAMES[:2]):
        facts = seen_by(name, record.facts, audiences)
        sight = ledger.sight(None if name is None else member_id(name), NOW)
        for thing in map(key_of, THINGS):
            try:
                recall = trails.recall([thing], sight, at=NOW)
            except UnknownThing:
                continue
            seen_units = {one.unit for one in record.steps if _may_see_unit(one.unit, facts)}
            whole = fold(facts, [one for one in record.steps if one.unit in seen_units], Policy(), at=NOW)
            reached = {thing, *whole.lineage.descendants(thing)} - {key_of(one) for one in LOTS}
            assert {one.thing for one in recall.units} | set(recall.gone) == reached
            for unit in recall.units:
                held = held_by_fold(whole, unit.thing)
                assert (unit.holders, unit.is_contested) == (held.holders, held.is_contested), (name, unit)
                assert [one.despatch for one in unit.open] == [one.despatch for one in held.open], (name, unit)
                assert unit.within == whole.lineage.parent_at(unit.thing, NOW)


def _may_see_unit(unit: bytes, facts: list[Fact]) -> bool:
    return any(one.kind == "opening" and unit.hex() in repr(one.content) for one in facts)


@QUICK
@given(history=histories(), data=st.data())
def test_a_trail_folded_from_what_was_gathered_is_that_of_everything(
    ledger: Ledger, history: tuple[Record, dict[bytes, tuple[bytes, ...]]], data: st.DataObject
) -> None:
    record, audiences = history
    trails = told(ledger, record, audiences, data.draw(st.permutations(record.facts)))
    for name in (None, NAMES[0]):
        facts = [replace(one, anchored_at=None) for one in seen_by(name, record.facts, audiences)]
        sight = ledger.sight(None if name is None else member_id(name), NOW)
        units = {one.unit for one in record.steps if _may_see_unit(one.unit, facts)}
        for at in (NOW, START + 12 * HOUR):
            whole = fold(facts, [one for one in record.steps if one.unit in units], Policy(), at=at)
            for thing in map(key_of, [*PIECES, *PALLETS, *TRUCKS]):
                try:
                    custody = trails.custody([thing], sight, at=at)
                except UnknownThing:
                    assert thing not in whole.units
                    continue
                expected, found = whole.trail([thing]), custody.trail([thing])
                assert found.legs == expected.legs
                assert _about(found) == _about(expected)
                assert custody.holder(thing) == whole.holder(thing)


def _about(trail: Trail) -> list[tuple[Any, ...]]:
    """The findings as far as they are about the units of the trail: what else they are about is another's trail."""
    named = set(trail.units)
    return [
        (one.problem, one.what, one.evidence, one.weight, one.stream, one.explained_by, named.intersection(one.units))
        for one in trail.findings
    ]


@QUICK
@given(history=histories(), data=st.data())
def test_an_index_after_erasures_is_one_made_anew(
    ledger: Ledger, history: tuple[Record, dict[bytes, tuple[bytes, ...]]], data: st.DataObject
) -> None:
    record, audiences = history
    trails = told(ledger, record, audiences, record.facts)
    for thing in THINGS[:2]:
        with_graph = Direction.DESCENDANTS
        try:
            trails.lineage(key_of(thing), with_graph, None)
        except UnknownThing:
            continue
    some = st.lists(st.sampled_from(record.facts), max_size=3, unique_by=id) if record.facts else st.just([])
    gone = data.draw(some)
    for fact in gone:
        erased(ledger, fact, NOW)

    def everything() -> list[Any]:
        found: list[Any] = []
        for thing in map(key_of, THINGS):
            for direction in Direction:
                try:
                    found.append((thing, lineage(trails, thing, direction, None)))
                except UnknownThing:
                    found.append((thing, None))
        return found

    def recalled() -> dict[str, Any]:
        found: dict[str, Any] = {}
        for thing in map(key_of, THINGS):
            with suppress(UnknownThing):
                recall = trails.recall([thing], None, at=NOW)
                found[thing] = set(recall.units), set(recall.gone)  # things are numbered otherwise when made anew
        return found

    before, held = everything(), recalled()
    left = [replace(one, content=None) if one in gone else one for one in record.facts]
    whole = _fold_of(left, record)
    for thing, answer in before[::2]:
        if answer is not None:
            assert answer[1] == set(whole.lineage.descendants(thing))
    trails.rebuild()
    assert trails.indexed == 0
    trails.catch_up()
    assert everything() == before
    assert recalled() == held


class PowerFails(Exception):
    """The process ends here."""


@pytest.mark.parametrize("step", ["indexing", "indexed", "index cleared"])
def test_an_index_cut_off_at_any_step_goes_on_where_it_was(ledger: Ledger, step: str) -> None:
    record = Record(on_chain=False)
    for number, thing in enumerate(PALLETS):
        record.hand_over("duero", "nordrand", [thing], number * 10)
        record.pack("nordrand", TRUCKS[0], [thing], number * 10 + 8)
    audiences: dict[bytes, tuple[bytes, ...]] = {one.stream: () for one in record.facts}
    whole = told(ledger, record, audiences, record.facts)
    expected = [whole.recall([key_of(thing)], None, at=NOW) for thing in PALLETS]

    def fail(name: str) -> None:
        if name == step:
            raise PowerFails

    failing = Trails(ledger, lambda _: {}, b"k" * 32, steps=fail)

    def go_on() -> None:
        failing.rebuild()
        failing.index()

    with pytest.raises(PowerFails):
        go_on()
    again = Trails(ledger, lambda _: {}, b"k" * 32)
    again.catch_up()
    assert again.indexed == len(record.facts)
    assert [again.recall([key_of(thing)], None, at=NOW) for thing in PALLETS] == expected
    with ledger.store.read() as connection:
        assert list(check_index(connection)) == []


def test_two_openings_of_one_thing_are_found_whoever_made_them(ledger: Ledger) -> None:
    record = Record()
    record.open("duero", PALLETS[0], 1)
    record.open("duero", PALLETS[1], 1)
    record.open("nordrand", PALLETS[0], 2, generation=1)
    audiences: dict[bytes, tuple[bytes, ...]] = {one.stream: () for one in record.facts}
    trails = told(ledger, record, audiences, record.facts)
    (conflict,) = trails.conflicts()
    assert conflict.thing == key_of(PALLETS[0])
    assert set(conflict.sides) == {member_id("duero"), member_id("nordrand")}
    assert len(conflict.units) == 2
    with pytest.raises(UnknownThing):
        trails.gather([key_of(PALLETS[0])], ledger.sight(member_id("vltava"), NOW))
    erased(ledger, record.facts[0], NOW)
    (conflict,) = trails.conflicts()
    assert conflict.sides == (member_id("nordrand"),), "who opened it first is gone; that somebody did is not"


def test_a_unit_that_continues_a_lost_one_is_no_conflict(ledger: Ledger) -> None:
    record = Record()
    record.open("duero", PALLETS[0], 1)
    record.open("duero", PALLETS[0], 5, generation=1, continues=0)
    trails = told(ledger, record, {one.stream: () for one in record.facts}, record.facts)
    assert trails.conflicts() == []


def test_a_name_goes_with_the_last_statement_that_mentions_it(ledger: Ledger) -> None:
    record = Record()
    facts = [record.scan("duero", [PALLETS[0]], 1), record.scan("duero", [PALLETS[0]], 2)]
    trails = told(ledger, record, {one.stream: () for one in record.facts}, record.facts)

    def names() -> list[str | None]:
        with ledger.store.read() as connection:
            return list(connection.execute(sa.select(thing_table.c.name)).scalars())

    erased(ledger, facts[0], NOW)
    assert names() == [key_of(PALLETS[0])]
    erased(ledger, facts[1], NOW)
    assert names() == [None]
    with pytest.raises(UnknownThing):
        trails.gather([key_of(PALLETS[0])], None)


def test_who_has_a_thing_is_kept_as_a_row_until_somebody_takes_back_what_it_was_told_from(ledger: Ledger) -> None:
    record = Record(on_chain=False)
    for number, thing in enumerate(PALLETS):
        record.hand_over("duero", "nordrand", [thing], number * 10)
    record.offer("nordrand", "vltava", [PALLETS[1]], 30)
    sent = record.facts[0]
    trails = told(ledger, record, {one.stream: () for one in record.facts}, record.facts, step=1)
    nordrand, (first, second, third) = member_id("nordrand"), map(key_of, PALLETS)
    assert {name: row[0] for name, row in kept_holders(ledger).items()} == dict.fromkeys(
        (first, second, third), nordrand
    )
    before = [trails.recall([one], None, at=NOW) for one in (first, second, third)]
    correction = record.offer("duero", "oderland", [PALLETS[0]], 40, corrects=sent)
    tell(ledger, [correction], {correction.stream: ()})
    trails.catch_up()
    assert set(kept_holders(ledger)) == {second, third}
    erased(ledger, record.facts[2], NOW)
    assert set(kept_holders(ledger)) == {third}
    assert trails.recall([third], None, at=NOW).units == before[2].units
    with ledger.store.write() as connection:
        connection.execute(sa.delete(holding))
    assert trails.recall([third], None, at=NOW).units == before[2].units, "without a row it is told from the statements"


def test_a_check_sees_every_row_that_was_changed(ledger: Ledger) -> None:
    record = Record()
    record.open("duero", PALLETS[0], 0)
    record.hand_over("duero", "nordrand", [PALLETS[0]], 1)
    record.pack("nordrand", TRUCKS[0], [PALLETS[0]], 8)
    for table in (mention, saying, link, chain_unit):
        told(ledger, record, {one.stream: () for one in record.facts}, record.facts)
        with ledger.store.read() as connection:
            assert list(check_index(connection)) == []
        with ledger.store.write() as connection:
            connection.execute(sa.delete(table).where(table.c.position >= 0))
        with ledger.store.read() as connection:
            assert list(check_index(connection)), table.name
    told(ledger, record, {one.stream: () for one in record.facts}, record.facts)
    with ledger.store.write() as connection:
        connection.execute(sa.update(holding).values(holder=member_id("vltava")))
    with ledger.store.read() as connection:
        assert list(check_index(connection)), "holding"

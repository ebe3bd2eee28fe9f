"""Notices: each step of custody told once, in order, to those whom it concerns, and to nobody else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from api.notices import Notices, Told
from api.service import INDEX
from api.webhooks import Outcome, Webhooks
from ledger_service.handoffs import HandOff, SignedStep
from ledger_service.keys import to_hex
from ledger_service.store import Store
from ledger_service.store.notice_tables import notice
from ledger_service.store.tables import custody_request
from tests.api.gateways import SHAFT, Yard, plate, yard
from tests.api.house import House, house, served
from tests.api.test_feed import reading
from tests.consortium import Consortium, member_id

_numbers = iter(range(50_000, 60_000))


@pytest.fixture(scope="module")
def partners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    folder = tmp_path_factory.mktemp("network")
    with (
        served(folder, custody_release_interval_seconds=0, custody_release_spread_seconds=0) as running,
        yard(running, tmp_path_factory.mktemp("yard")) as made,
    ):
        made.introduce("duero", "nordrand", "oderland", each=20)
        yield made


def told(running: House, name: str, /, **wanted: Any) -> list[dict[str, Any]]:
    """All notices of a member whose body has these values."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = running.get(name, "/v1/notices", **({} if after is None else {"after": after})).json()
        found += page["items"]
        after = page["next"]
        if not page["more"]:
            return [one for one in found if wanted.items() <= one["body"].items()]


def wait(running: House, name: str, kind: Told, count: int = 1, /, **wanted: Any) -> list[dict[str, Any]]:
    """The notices of this kind once there are so many."""
    deadline = time.monotonic() + 20
    while True:
        found = [one for one in told(running, name, **wanted) if one["kind"] == kind]
        if len(found) >= count:
            assert len(found) == count
            return found
        assert time.monotonic() < deadline, [one["kind"] for one in told(running, name)]
        running.app.state.service.rounds.nudge()
        time.sleep(0.05)


def test_an_opening_is_told_though_the_index_comes_late(partners: Yard) -> None:
    """Whom it concerns stands in the index alone."""
    running, one = partners.house, next(_numbers)
    running.app.state.service.rounds.rest(INDEX, 3)
    despatch = partners.offer("duero", "nordrand", "N0", one)
    partners.gateway("nordrand").accept(despatch, basis="scanned")
    assert partners.gateway("nordrand").push().refused == []
    (handed,) = wait(running, "nordrand", Told.HANDED_OVER, offer=to_hex(despatch))
    wait(running, "duero", Told.OPENED_ON_CHAIN, unit=handed["body"]["unit"])


def test_the_life_of_a_unit_is_told_to_both_sides_in_order_and_to_nobody_else(partners: Yard) -> None:
    running, one = partners.house, next(_numbers)
    handed: dict[str, Any] = {}
    despatch = partners.offer("duero", "nordrand", "N1", one)
    partners.gateway("nordrand").accept(despatch, basis="scanned")
    assert partners.gateway("nordrand").push().refused == []
    offer = to_hex(despatch)
    for name in ("duero", "nordrand"):
        (made,) = wait(running, name, Told.OFFER_MADE, statement=offer)
        assert made["body"]["taker"] == to_hex(member_id("nordrand"))
        wait(running, name, Told.ACCEPTED, offer=offer)
        (handed,) = wait(running, name, Told.HANDED_OVER, offer=offer)
        assert handed["body"].keys() == {"acceptance", "block", "offer", "sequence", "unit"}
        kinds = [told_one["kind"] for told_one in told(running, name)]
        assert kinds.index("offer-made") < kinds.index("accepted") < kinds.index("handed-over")
    wait(running, "duero", Told.OPENED_ON_CHAIN, unit=handed["body"]["unit"])
    assert told(running, "oderland", statement=offer) == told(running, "oderland", offer=offer) == []


def test_refused_withdrawn_and_taken_with_damage_are_told_apart(partners: Yard) -> None:
    running = partners.house
    refused = partners.offer("duero", "nordrand", "N2", next(_numbers))
    partners.gateway("nordrand").refuse(refused, "not ordered")
    damaged_one = next(_numbers)
    damaged = partners.offer("duero", "nordrand", "N3", damaged_one)
    what = [{"unit": plate(damaged_one), "what": "damaged", "part": SHAFT, "quantity": "3", "uom": "H87"}]
    partners.gateway("nordrand").accept(damaged, basis="counted", discrepancies=what)
    partners.gateway("nordrand").push()
    withdrawn = partners.offer("duero", "nordrand", "N4", next(_numbers))
    assert partners.gateway("duero").withdraw(withdrawn)
    partners.gateway("duero").push()
    for name in ("duero", "nordrand"):
        wait(running, name, Told.REFUSED, offer=to_hex(refused))
        wait(running, name, Told.ACCEPTED_WITH_DISCREPANCIES, offer=to_hex(damaged))
        wait(running, name, Told.OFFER_WITHDRAWN, corrects=to_hex(withdrawn))


def test_an_offer_that_nobody_answers_is_told_overdue_once_to_both_sides(partners: Yard) -> None:
    running = partners.house
    finding: dict[str, Any] = {}
    offer = to_hex(partners.offer("duero", "nordrand", "N5", next(_numbers), hours=1))
    wait(running, "nordrand", Told.OFFER_MADE, statement=offer)
    assert [one["kind"] for one in told(running, "nordrand", offer=offer)] == []
    running.clock.forward(3601)
    running.sign_out()
    for name in ("duero", "nordrand"):
        wait(running, name, Told.OVERDUE, offer=offer)
    running.clock.forward(3600)
    running.sign_out()
    for name in ("duero", "nordrand"):
        (finding,) = wait(running, name, Told.FINDING_APPEARED, kind="one-sided-handoff")
        assert offer in finding["body"]["evidence"]
        wait(running, name, Told.OVERDUE, offer=offer)
    body = finding["body"]
    content = {
        "finding": {"evidence": body["evidence"], "kind": body["kind"]},
        "text": "The lorry had an accident; the goods are back with us.",
    }
    sent = running.send("duero", running.envelope(content=content, kind="explanation").data)
    assert sent.status_code == 201, sent.text
    for name in ("duero", "nordrand"):
        (explained,) = wait(running, name, Told.FINDING_EXPLAINED, finding=body["finding"])
        assert explained["body"]["explainedBy"] == [sent.json()["digest"]]


def test_a_thing_opened_twice_is_told_to_both_sides_each_by_its_own_statement(partners: Yard) -> None:
    running, one = partners.house, next(_numbers)
    offers = {}
    for giver, taker in (("duero", "nordrand"), ("oderland", "nordrand")):
        offers[giver] = partners.offer(giver, taker, f"N6 {giver}", one)
    found = {name: wait(running, name, Told.CONTESTED)[0]["body"]["statements"] for name in ("duero", "oderland")}
    assert len(found["duero"]) == len(found["oderland"]) == 1
    assert found["duero"] != found["oderland"]
    assert sorted(wait(running, "nordrand", Told.CONTESTED)[0]["body"]["statements"]) == sorted(
        found["duero"] + found["oderland"]
    )


def test_a_handoff_that_the_chain_refuses_is_told_to_both_sides(partners: Yard) -> None:
    running, one = partners.house, next(_numbers)
    despatch = partners.offer("duero", "nordrand", "N7", one)
    partners.gateway("nordrand").accept(despatch, basis="scanned")
    partners.gateway("nordrand").push()
    (handed,) = wait(running, "duero", Told.HANDED_OVER, offer=to_hex(despatch))
    unit = bytes.fromhex(handed["body"]["unit"][2:])
    step = running.network.relaying.taken([unit])[unit][1].step
    assert isinstance(step, HandOff)
    second = SignedStep(replace(step, acceptance=b"\x07" * 32), b"")
    row = {
        "struct_hash": second.step.struct_hash, "unit": unit, "sequence": 1, "step": orjson.dumps(second.as_json()),
        "deadline_seconds": step.offer.deadline, "submitted_at": running.clock.now, "release_seconds": 0,
        "state": "refused", "tries": 1, "reason": "WrongSequence",
    }  # fmt: skip
    with running.network.ledger.store.write() as connection:
        connection.execute(sa.insert(custody_request).values(**row))
    for name in ("duero", "nordrand"):
        both = wait(running, name, Told.STEP_REFUSED, 2, offer=to_hex(despatch))
        assert {(one["body"]["isTaken"], one["body"].get("reason")) for one in both} == {
            (False, "WrongSequence"), (True, None)
        }  # fmt: skip


def test_a_recall_is_told_to_who_has_it_by_what_they_may_see_themselves(partners: Yard) -> None:
    running, one = partners.house, next(_numbers)
    despatch = partners.offer("duero", "nordrand", "N10", one)
    body = {"units": [plate(one)]}
    assert running.post("oderland", "/v1/custody/recall", json=body).status_code == 404
    raised = running.post("duero", "/v1/custody/recall", json=body).json()
    assert (raised["hidden"], raised["told"]) == (0, 1)
    (recall,) = wait(running, "nordrand", Told.RECALL_RAISED, by=to_hex(member_id("duero")))
    assert recall["body"]["statements"][0] == to_hex(despatch)
    assert 1 < recall["body"]["units"] <= raised["total"], "what is of the same batch, too"
    assert running.post("duero", "/v1/custody/recall", json=body).json()["told"] == 0
    assert [one for one in told(running, "duero") if one["kind"] == Told.RECALL_RAISED] == []


def test_notices_are_on_the_feed_and_whoever_comes_back_misses_none(partners: Yard) -> None:
    running = partners.house
    kind = "org.example.tallystick.notice.offer-made"
    with reading(running, "nordrand") as reader:
        first = partners.offer("duero", "nordrand", "N8", next(_numbers))
        count = 0
        while to_hex(first) not in [one.data["data"]["statement"] for one in reader.told if one.kind == kind]:
            count += 1  # offers of the tests before may still be on their way
            reader.wait(count, kind)
        place = reader.last_id
    second = partners.offer("duero", "nordrand", "N9", next(_numbers))
    with reading(running, "nordrand", **{"Last-Event-ID": place}) as reader:
        reader.wait(1, kind)
        statements = [one.data["data"]["statement"] for one in reader.told if one.kind == kind]
    assert statements == [to_hex(second)]
    assert first != second


def test_a_place_in_the_notices_is_good_for_its_reader_alone(partners: Yard) -> None:
    after = partners.house.get("nordrand", "/v1/notices", limit=1).json()["next"]
    again = partners.house.get("duero", "/v1/notices", after=after)
    assert (again.status_code, again.json()["type"].rpartition("/")[2]) == (400, "foreign-cursor")


def test_a_grant_is_told_to_whom_it_is_given(tmp_path: Path) -> None:
    with house(tmp_path) as running:
        content = {
            "fields": "all", "from": "2026-09-01T00:00:00Z", "until": "2026-12-01T00:00:00Z", "purpose": "Audit",
            "streams": ["0x" + "11" * 32],
        }  # fmt: skip
        sent = running.send("duero", running.envelope(to=("oderland",), content=content, kind="grant").data)
        (grant,) = wait(running, "oderland", Told.GRANT)
        assert grant["body"]["statement"] == sent.json()["digest"]
        assert told(running, "nordrand") == []


ARRIVALS = 300
KILLED = """
import sys
from pathlib import Path
from api.notices import Notices
from ledger_service.store import Store

notices = Notices(Store.open(Path(sys.argv[1])), batch=3)
while sys.stdin.readline() and notices.follow(0):
    print("told", flush=True)
"""


def test_killed_at_any_moment_nothing_is_told_twice_or_left_out(tmp_path: Path, root: Path) -> None:
    consortium = Consortium(tmp_path)
    envelopes = [
        consortium.envelope(
            content={
                "document": {"type": "gate-log", "number": f"T-{number}"},
                "arrivedAt": "2026-09-20T05:52:00+02:00",
                "place": "https://id.gs1.org/414/9521002000016",
            },
            kind="gate-arrival",
        )
        for number in range(ARRIVALS)
    ]
    expected = [to_hex(one.digest) for one in consortium.register(*envelopes).accepted]
    consortium.close()
    path = tmp_path / "ledger.sqlite"
    for rounds in (1, 2, 5):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": str(root)},
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            # Leave for two rounds more than are waited for: it is killed somewhere in those, however late.
            process.stdin.write("go\n" * (rounds + 2))
            process.stdin.flush()
            for _ in range(rounds):
                assert process.stdout.readline() == "told\n"
            process.send_signal(signal.SIGKILL)
    store = Store.open(path)
    try:
        with store.read() as connection:
            before = connection.execute(sa.select(sa.func.count()).select_from(notice)).scalar_one()
        notices = Notices(store, batch=50)
        while notices.follow(0):
            pass
        for name in ("duero", "nordrand"):
            found = notices.page(member_id(name), 0, ARRIVALS + 1)
            assert [one.number for one in found] == list(range(1, ARRIVALS + 1))
            assert [one.body["statement"] for one in found] == expected
        assert 0 < before < 2 * ARRIVALS, "it was killed under way"
    finally:
        store.close()


def test_telling_the_same_again_tells_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "ledger.sqlite")
    try:
        notices = Notices(store)
        assert notices.tell([b"\x01" * 32, b"\x02" * 32], Told.RECALL_RAISED, {"recall": "1"}, 1, "recall 1") == 2
        assert notices.tell([b"\x02" * 32, b"\x03" * 32], Told.RECALL_RAISED, {"recall": "1"}, 2, "recall 1") == 1
        assert notices.tell([b"\x02" * 32], Told.RECALL_RAISED, {"recall": "2"}, 3, "recall 2") == 1
        assert [one.number for one in notices.page(b"\x02" * 32, 0, 10)] == [1, 2]
    finally:
        store.close()


def test_notices_older_than_agreed_go_unless_a_webhook_owes_them_and_the_last_one_stays(tmp_path: Path) -> None:
    day = 86_400_000
    store = Store.open(tmp_path / "ledger.sqlite")
    try:
        notices = Notices(store, keep=30 * day)
        hooks = Webhooks(store, b"k" * 32, randomness=os.urandom, draw=lambda: 0.5, give_up_after=day)
        names = [bytes([number]) * 32 for number in range(3)]
        hook = hooks.add(names[1], "https://hooks.example.org/", None, 0)
        for number in range(1, 6):
            notices.tell(names, Told.TEST, {}, number * day, f"of day {number}")
        notices.tell(names[:1], Told.TEST, {}, 60 * day, "later")
        while notices.forget(33 * day):
            pass

        def left() -> list[list[int]]:
            return [[one.number for one in notices.page(name, 0, 100)] for name in names]

        assert left() == [[3, 4, 5, 6], [1, 2, 3, 4, 5], [3, 4, 5]], "those of days 1 and 2, but not of who waits"
        (first,) = hooks.next(hook.id, 33 * day)
        hooks.record(first, Outcome.TAKEN, None, 33 * day)
        (second,) = hooks.next(hook.id, 33 * day)
        hooks.record(second, Outcome.REFUSED, "no", 33 * day)
        assert not notices.forget(100 * day)
        assert left() == [[6], [2, 3, 4, 5], [5]], "what was set aside is tried again"
        notices.tell(names, Told.TEST, {}, 101 * day, "next")
        assert left() == [[6, 7], [2, 3, 4, 5, 6], [5, 6]], "numbered on"
        assert not Notices(store).forget(10_000 * day)
        assert left() == [[6, 7], [2, 3, 4, 5, 6], [5, 6]], "without an age they are kept for ever"
    finally:
        store.close()

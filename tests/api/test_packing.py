"""Packing that cannot be: refused at the member's desk and at the door, with its place, and nothing kept."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from api.client import LedgerClient
from api.outbox import Outbox, State
from ledger_service.custody.kinds import PIECE_UNITS
from ledger_service.custody.packing import ImpossiblePacking
from ledger_service.intake.epcis import PIECES
from tests.api.house import House
from tests.consortium import event, key, member_id

PIECE, PIECE_2 = "urn:epc:id:sgtin:9521000.012345.1", "urn:epc:id:sgtin:9521000.012345.2"
BOX, BOX_2, TRUCK = (f"urn:epc:id:sscc:9521000.400000000{number}" for number in (1, 2, 3))
CONTEXT = event()["context"]


def pack(parent: str, *children: str, hour: int = 8, action: str = "ADD", **more: Any) -> dict[str, Any]:
    return {
        "type": "AggregationEvent",
        "eventTime": f"2026-09-18T{hour:02d}:10:00Z",
        "eventTimeZoneOffset": "+02:00",
        "parentID": parent,
        "childEPCs": list(children),
        "action": action,
        "bizStep": "packing",
        **more,
    }


def make(taken: list[str], made: list[str], hour: int = 8) -> dict[str, Any]:
    return {
        "type": "TransformationEvent",
        "eventTime": f"2026-09-18T{hour:02d}:10:00Z",
        "eventTimeZoneOffset": "+02:00",
        "inputEPCList": taken,
        "outputEPCList": made,
    }


def counted(quantity: Any, **uom: str) -> dict[str, Any]:
    lot = {"epcClass": "urn:epc:class:lgtin:9521000.012345.L1", "quantity": quantity, **uom}
    return pack(BOX, childQuantityList=[lot])


REFUSED: dict[str, tuple[list[dict[str, Any]], int, str]] = {
    "one child in two parents": ([pack(BOX, PIECE), pack(BOX_2, PIECE, hour=9)], 1, "never taken out of the first"),
    "one child in two parents at one time": ([pack(BOX, PIECE), pack(BOX_2, PIECE)], 1, "never taken out"),
    "two parents, the later one said first": ([pack(BOX_2, PIECE, hour=9), pack(BOX, PIECE)], 0, "never taken out"),
    "a circle of two": ([pack(BOX, BOX_2), pack(BOX_2, BOX, hour=9)], 1, "something that lies in it"),
    "a circle of three": (
        [pack(BOX, BOX_2), pack(BOX_2, TRUCK), pack(TRUCK, BOX, hour=9)], 2, "something that lies in it"
    ),
    "packed after it was used up": ([make([PIECE], [PIECE_2]), pack(BOX, PIECE, hour=9)], 1, "used it up"),
    "used up and packed at one time": ([pack(BOX, PIECE), make([PIECE], [PIECE_2])], 0, "used it up"),
}  # fmt: skip
GOOD: dict[str, list[dict[str, Any]]] = {
    "taken out in between": [
        pack(BOX, PIECE), pack(BOX, PIECE, hour=9, action="DELETE"), pack(BOX_2, PIECE, hour=10)
    ],
    "emptied in between": [pack(BOX, PIECE), pack(BOX, hour=9, action="DELETE"), pack(BOX_2, PIECE, hour=10)],
    "a box in a truck": [pack(BOX, PIECE), pack(TRUCK, BOX, hour=9)],
    "packed, unpacked, used up": [
        pack(BOX, PIECE), pack(BOX, PIECE, hour=9, action="DELETE"), make([PIECE], [PIECE_2], hour=10)
    ],
    "the same said twice": [pack(BOX, PIECE), pack(BOX, PIECE)],
}  # fmt: skip
QUANTITIES: dict[str, dict[str, Any]] = {
    "a box in itself": pack(BOX, BOX),
    "negative pieces": counted(-1, uom="H87"),
    "negative kilogrammes": counted(-1, uom="KGM"),
    "half a piece": counted("0.5", uom="H87"),
    "half of what is counted": counted("0.5"),
    "a set and a bit": counted("1.25", uom="SET"),
}


def rows(house: House) -> dict[str, int]:
    """How many rows each table has that a registration writes."""
    with sqlite3.connect(house.network.folder / "ledger.sqlite") as connection:
        names = ("statement", "content", "stream", "reader", "fork", "content")
        found = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
    connection.close()
    return found


def batch(house: House, events: list[dict[str, Any]], stream: str) -> list[bytes]:
    return [
        house.envelope(content={"event": one, "context": CONTEXT}, stream=stream, sequence=number).data
        for number, one in enumerate(events, 1)
    ]


def problem_of(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = next(one["problem"] for one in answer.json()["results"] if "problem" in one)
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_packed_so_is_refused_and_nothing_kept(service: House, name: str) -> None:
    events, item, why = REFUSED[name]
    before = rows(service)
    answer = service.send_batch("duero", batch(service, events, name))
    assert answer.status_code == 422, answer.text
    problem = problem_of(answer)
    assert (problem["type"].rsplit("/", 1)[1], problem["status"], problem["item"]) == ("impossible-packing", 422, item)
    assert problem["where"] == "/content/event"
    assert why in problem["detail"]
    assert rows(service) == before


@pytest.mark.parametrize("name", QUANTITIES)
def test_pieces_below_zero_parts_of_pieces_and_a_box_in_itself_are_refused(service: House, name: str) -> None:
    before = rows(service)
    content = {"event": QUANTITIES[name], "context": CONTEXT}
    answer = service.send("duero", service.envelope(content=content, stream=name, sequence=1).data)
    problem = answer.json()
    assert (answer.status_code, problem["type"].rsplit("/", 1)[1]) == (422, "refused-event"), answer.text
    where = "/childEPCs" if name == "a box in itself" else "/childQuantityList/0/quantity"
    assert problem["where"].startswith(f"/content/event{where}")
    assert rows(service) == before


def test_of_a_call_that_keeps_what_is_good_only_the_impossible_is_left_out(fresh: House) -> None:
    events, item, _ = REFUSED["one child in two parents"]
    answer = fresh.send_batch("duero", batch(fresh, events, "kept"), "keep_good")
    assert (answer.status_code, answer.json()["registered"]) == (201, 1)
    assert problem_of(answer)["item"] == item


@pytest.mark.parametrize("name", GOOD)
def test_what_can_be_packed_so_is_taken(service: House, name: str) -> None:
    answer = service.send_batch("duero", batch(service, GOOD[name], name))
    assert answer.status_code == 201, answer.text


def test_what_came_before_is_no_reason_to_refuse(fresh: House) -> None:
    """It is a finding: what others said may come late, and who comes second may be right."""
    first, second = batch(fresh, [pack(BOX, PIECE), pack(BOX_2, PIECE, hour=9)], "one by one")
    assert fresh.send("duero", first).status_code == 201
    assert fresh.send("duero", second).status_code == 201
    again = fresh.send_batch("duero", [first, second])
    assert (again.status_code, again.json()["registered"]) == (201, 0), "what is registered stays registered"
    found = fresh.get("duero", "/v1/custody/trail", unit=PIECE).json()["findings"]
    assert "packed-twice" in {one["finding"] for one in found}


@pytest.mark.parametrize("name", REFUSED)
def test_at_the_members_desk_it_is_refused_before_anything_is_signed(service: House, name: str, tmp_path: Path) -> None:
    events, _, why = REFUSED[name]
    document = {
        "@context": CONTEXT,
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-09-18T20:00:00Z",
        "epcisBody": {"eventList": events},
    }
    with Outbox.open(tmp_path / "outbox.sqlite") as outbox:
        trust = service.network.trust()
        with LedgerClient("http://127.0.0.1:9", key("duero"), trust, outbox, now=lambda: service.clock.now) as client:
            with pytest.raises(ImpossiblePacking, match=why):
                client.sign_document(json.dumps(document).encode(), [], issuer=member_id("duero"))
            assert outbox.count(service.domain, State.WAITING) == 0


def test_intake_and_facts_count_the_same_pieces() -> None:
    assert PIECES == PIECE_UNITS

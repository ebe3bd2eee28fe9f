"""Trails, lineages and recalls over HTTP: what is told to whom, and what is refused."""

from typing import Any

import pytest

from ledger_service.keys import to_hex
from tests.api.house import House
from tests.consortium import NOON, event, member_id

PALLET = "urn:epc:id:sscc:9521000.4000000001"
OTHER = "urn:epc:id:sscc:9521000.4000000002"
LOT = "urn:epc:class:lgtin:9521000.012345.L2609"
MADE = "urn:epc:class:lgtin:9521000.012345.M1"
STATED = "2026-09-18T14:10:00.000Z"
HOUR = 3_600_000


def key_of(house: House, name: str, unit: str) -> str:
    return str(house.get(name, "/v1/custody/lineage", unit=unit).json()["unit"])


def say(house: House, issuer: str, to: tuple[str, ...], **content: Any) -> str:
    """Register an event of `issuer`; the id of its statement."""
    kind = content.pop("kind", "epcis-event")
    answer = house.send(issuer, house.envelope(issuer, to, content=content["content"], kind=kind).data)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["digest"])


def pack(parent: str, *children: str, hour: int = 10) -> dict[str, Any]:
    content = event(1, type="AggregationEvent", parentID=parent, childEPCs=list(children), action="ADD")
    body = content["event"]
    del body["epcList"]
    body["bizStep"] = "packing"
    body["eventTime"] = f"2026-09-18T{hour:02d}:10:00Z"
    return content


def make(taken: str, made: str) -> dict[str, Any]:
    body = {
        "type": "TransformationEvent",
        "eventTime": STATED,
        "eventTimeZoneOffset": "+02:00",
        "inputQuantityList": [{"epcClass": taken, "quantity": 60}],
        "outputQuantityList": [{"epcClass": made, "quantity": 60}],
    }
    return {"event": body, "context": event(1)["context"]}


def despatch(taker: str, unit: str, number: str) -> dict[str, Any]:
    return {
        "document": {"type": "delivery-note", "number": number},
        "taker": to_hex(member_id(taker)),
        "despatchedAt": STATED,
        "deadline": "2026-09-30T14:10:00.000Z",
        "units": [
            {
                "id": unit,
                "contents": [
                    {"part": "(01)09521000123458", "batch": "M1", "quantity": "60", "uom": "H87"},
                ],
            }
        ],
    }


@pytest.fixture(scope="module")
def told(service: House) -> House:
    """Batch L2609 becomes M1, which lies on a pallet that Duero sends to Nordrand, which sends it on unseen."""
    say(service, "duero", ("nordrand",), content=make(LOT, MADE))
    first = say(service, "duero", ("nordrand",), kind="despatch", content=despatch("nordrand", PALLET, "N1"))
    receipt = {
        "document": {"type": "goods-receipt", "number": "R1"},
        "despatch": first,
        "receivedAt": "2026-09-19T06:00:00.000Z",
        "outcome": "accepted",
        "basis": "scanned",
        "units": [PALLET],
    }
    say(service, "nordrand", ("duero",), kind="receipt", content=receipt)
    say(service, "nordrand", ("havelmark",), kind="despatch", content=despatch("havelmark", PALLET, "N2") | LATER)
    say(service, "nordrand", ("havelmark",), content=pack(OTHER, PALLET, hour=8))
    return service


LATER = {"despatchedAt": "2026-09-20T08:00:00.000Z"}


def test_a_recall_reaches_what_each_may_see_and_counts_the_rest(told: House) -> None:
    members = {name: to_hex(member_id(name)) for name in ("duero", "nordrand", "havelmark")}
    seen = {}
    for name in ("duero", "nordrand"):
        answer = told.get(name, "/v1/custody/recall", unit=LOT)
        assert answer.status_code == 200, answer.text
        seen[name] = answer.json()
    duero, nordrand = seen["duero"], seen["nordrand"]
    assert [one["holders"] for one in duero["units"]] == [[members["nordrand"]]]
    assert duero["custodians"] == {members["nordrand"]: 1}
    assert duero["shipments"] == []
    assert duero["hidden"] == 1, "the truck it lies on is Nordrand's and Havelmark's affair"
    assert nordrand["hidden"] == 0
    assert {one["unit"] for one in nordrand["units"]} == {key_of(told, "nordrand", one) for one in (PALLET, OTHER)}
    (shipment,) = nordrand["shipments"]
    assert (shipment["taker"], shipment["units"]) == (members["havelmark"], [key_of(told, "nordrand", PALLET)])
    within = {one["unit"]: one["within"] for one in nordrand["units"]}
    assert within[key_of(told, "nordrand", PALLET)] == key_of(told, "nordrand", OTHER)


def test_a_trail_has_findings_an_answer_legs_and_three_clocks(told: House) -> None:
    answer = told.get("nordrand", "/v1/custody/trail", unit="(00)" + key_of(told, "nordrand", PALLET)[-18:])
    assert answer.status_code == 200, answer.text
    trail = answer.json()
    assert trail["unit"] == key_of(told, "nordrand", PALLET)
    legs = next(one["legs"] for one in trail["units"] if one["id"] == trail["unit"])
    assert [one["state"] for one in legs] == ["pending", "offered"]
    assert trail["answer"] in ("whole", "broken", "whole with reservations")
    assert {one["kind"] for one in trail["records"]} >= {"despatch", "receipt"}
    for record in trail["records"]:
        assert record.keys() == {"record", "issuer", "kind", "stated", "registered", "anchored"}
    assert told.get("duero", "/v1/custody/trail", unit=PALLET).json()["hidden"] == 2


def test_a_trail_as_known_before_anything_was_registered_is_empty(told: House) -> None:
    trail = told.get("duero", "/v1/custody/trail", unit=PALLET, at=NOON - HOUR).json()
    assert (trail["units"], trail["findings"], trail["answer"]) == ([], [], "whole")
    anchored = told.get("duero", "/v1/custody/trail", unit=PALLET, at=NOON - HOUR, clock="anchored").json()
    assert (anchored["clock"], anchored["units"]) == ("anchored", [])


def test_a_lineage_comes_in_pages_with_the_count_of_all(told: House) -> None:
    first = told.get("nordrand", "/v1/custody/lineage", unit=LOT, limit=2).json()
    assert (first["total"], len(first["items"])) == (3, 2)
    rest = told.get("nordrand", "/v1/custody/lineage", unit=LOT, limit=2, after=first["next"]).json()
    assert (len(rest["items"]), rest["next"]) == (1, None)
    back = told.get("nordrand", "/v1/custody/lineage", unit=PALLET, direction="ancestors").json()
    assert key_of(told, "nordrand", LOT) in back["items"]
    stolen = told.get("duero", "/v1/custody/lineage", unit=LOT, after=first["next"])
    assert (stolen.status_code, stolen.json()["type"].rsplit("/", 1)[1]) == (400, "foreign-cursor")


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "no unit": ({}, 400, "malformed-request"),
    "an empty unit": ({"unit": ""}, 400, "malformed-"),
    "a unit that is none": ({"unit": "pallet 7"}, 400, "malformed-input"),
    "a place": ({"unit": "https://id.gs1.org/414/9521004000014"}, 400, "malformed-input"),
    "a wrong check digit": ({"unit": "(00)395210040009260176"}, 400, "malformed-input"),
    "an id of the chain": ({"unit": "0x" + "11" * 32}, 400, "malformed-input"),
    "a null byte": ({"unit": "(00)3952100400\x0009260175"}, 400, "malformed-input"),
    "a unit nobody ever named": ({"unit": "(00)395210040009260175"}, 404, "not-found"),
    "a very long unit": ({"unit": "x" * 2000}, 400, "malformed-"),
}  # fmt: skip


@pytest.mark.parametrize("path", ["trail", "lineage", "recall"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_identifier_is_refused_and_says_why(told: House, path: str, name: str) -> None:
    params, status, kind = BAD[name]
    answer = told.anyone.get(f"/v1/custody/{path}", headers=told.headers("nordrand"), params=params)
    assert answer.status_code == status, answer.text
    assert answer.json()["type"].rsplit("/", 1)[1].startswith(kind)
    assert answer.json()["detail"]


@pytest.mark.parametrize("path", ["trail", "lineage", "recall"])
def test_what_others_said_of_a_unit_is_as_if_it_were_not(told: House, path: str) -> None:
    unknown = told.get("oderland", f"/v1/custody/{path}", unit="(00)395210040009260175")
    hidden = told.get("oderland", f"/v1/custody/{path}", unit=PALLET)
    assert hidden.status_code == 404
    assert hidden.json() == unknown.json()


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("trail", {"at": -1}),
        ("trail", {"at": "yesterday"}),
        ("trail", {"at": 2**63}),
        ("trail", {"clock": "stated"}),
        ("lineage", {"direction": "sideways"}),
        ("lineage", {"limit": 0}),
        ("lineage", {"limit": 100_000}),
        ("recall", {"limit": 0}),
    ],
)
def test_a_bad_parameter_is_refused(told: House, path: str, params: dict[str, Any]) -> None:
    answer = told.get("nordrand", f"/v1/custody/{path}", unit=PALLET, **params)
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (400, "malformed-request")

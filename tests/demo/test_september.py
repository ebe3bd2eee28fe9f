"""The demo's data: they tell the story, they never change by accident, and nothing in them belongs to anybody."""

import json
import re
from collections import Counter
from hashlib import sha256
from typing import Any

import pytest

from demo.consortium import Consortium, consortium
from demo.september import Document, check_digit, documents, main, special_pallet
from ledger_service.identifiers import identify, named
from ledger_service.instants import instant
from ledger_service.intake import epcis
from ledger_service.intake.epcis import EpcisEvent

GOLDEN = "bbef18b91f7ca1b0949a9f9383816ba68311193249c7fab7017c79254923b08a"
"""SHA-256 over all documents in their order. Whoever changes the story changes this, on purpose."""


@pytest.fixture(scope="module")
def cast() -> Consortium:
    return consortium()


@pytest.fixture(scope="module")
def month() -> list[Document]:
    return documents()


@pytest.fixture(scope="module")
def events(month: list[Document]) -> list[tuple[Document, EpcisEvent]]:
    found: list[tuple[Document, EpcisEvent]] = []
    for one in month:
        for event in epcis.read_each(one.text.encode(), now=one.registered_at):
            assert isinstance(event, EpcisEvent), f"{one.about}: {event}"
            found.append((one, event))
    return found


def of(events: list[tuple[Document, EpcisEvent]], company: str, step: str) -> list[dict[str, Any]]:
    return [event.event for one, event in events if one.company == company and event.event["bizStep"] == step]


def test_the_same_files_give_the_same_bytes(month: list[Document], tmp_path: Any) -> None:
    assert sha256("".join(one.text for one in month).encode()).hexdigest() == GOLDEN
    assert documents() == month
    main([str(tmp_path)])
    assert len(list(tmp_path.glob("*.jsonld"))) == len(month)


def test_every_event_is_good_epcis_without_anything_odd(events: list[tuple[Document, EpcisEvent]]) -> None:
    assert [flag for _, event in events for flag in event.flags] == []
    assert len(events) == 548


def test_the_identifiers_of_the_story_have_the_right_check_digits(cast: Consortium) -> None:
    duero, nordrand = (cast.companies[name].sites[0].gln for name in ("duero", "nordrand"))
    assert (duero, nordrand) == ("9521004000014", "9521002000016")
    assert cast.products["shaft"].gtin == "9521004100011"
    assert special_pallet().sscc == "395210040009260175"
    assert named("sscc", special_pallet().sscc) == identify(special_pallet().epc)
    numbers = [site.gln for one in cast.companies.values() for site in one.sites if site.gln]
    for number in (*numbers, "9521004100011", special_pallet().sscc):
        assert check_digit(number[:-1]) == number[-1]
    assert len(set(numbers)) == len(numbers)


def test_only_examples_stand_in_the_data(cast: Consortium, month: list[Document]) -> None:
    text = "".join(one.text for one in month)
    assert set(re.findall(r"urn:epc:(?:id|class):[a-z]+:(\d{3})", text)) == {"952"}
    hosts = {
        re.sub(r"^(?:[a-z-]+\.)+(?=example\.org$)", "", host) for host in re.findall(r"https://([a-z0-9.-]+)", text)
    }
    assert hosts == {"example.org", "ref.gs1.org"}
    for company in cast.companies.values():
        assert company.did.endswith(".example.org")
        assert company.gs1_prefix is None or company.gs1_prefix.startswith("952")
    assert cast.origin.split("/")[0] == "ledger.example.org"


def test_sixteen_pallets_leave_on_each_of_22_working_days(events: list[tuple[Document, EpcisEvent]]) -> None:
    sent = of(events, "duero", "shipping")
    assert len(sent) == 22
    assert [len(one["epcList"]) for one in sent] == [16] * 22
    packed = of(events, "duero", "packing")
    assert len(packed) == len({one["parentID"] for one in packed}) == 352
    assert sum(one["childQuantityList"][0]["quantity"] for one in packed) == 21_120


def test_the_pallet_of_the_story_has_been_where_the_story_says(events: list[tuple[Document, EpcisEvent]]) -> None:
    pallet = special_pallet().epc
    trail = sorted(
        (event.event["eventTime"][5:16], one.company, event.event["bizStep"])
        for one, event in events
        if pallet in (*event.event.get("epcList", ()), event.event.get("parentID"))
    )
    assert trail == [
        ("09-18T14:52", "duero", "packing"),
        ("09-18T16:10", "duero", "shipping"),
        ("09-18T16:10", "oderland", "accepting"),
        ("09-21T04:35", "rheinknoten", "receiving"),
        # 19:05: the carrier never signed for the leg to Göttingen.
        ("09-21T19:05", "rheinknoten", "shipping"),
        ("09-22T06:21", "nordrand", "arriving"),
        ("09-22T06:21", "oderland", "arriving"),
        # Accepted from the list, and later declared wrong.
        ("09-22T06:50", "nordrand", "receiving"),
        ("09-22T06:50", "nordrand", "receiving"),
        ("09-22T13:40", "vltava", "receiving"),
        ("09-25T16:05", "vltava", "shipping"),
        ("09-25T16:12", "oderland", "accepting"),
        ("09-28T07:38", "nordrand", "arriving"),
        ("09-28T08:04", "nordrand", "receiving"),
    ]


def test_the_error_is_declared_by_the_rules_and_corrected_to_fifteen(
    events: list[tuple[Document, EpcisEvent]],
) -> None:
    (declared,) = [event for _, event in events if event.is_error_declaration]
    error = declared.event["errorDeclaration"]
    wrong, right = (
        [event.event for _, event in events if event.event["eventID"] == name and event is not declared]
        for name in (declared.event["eventID"], error["correctiveEventIDs"][0])
    )
    assert {key: value for key, value in declared.event.items() if key != "errorDeclaration"} == wrong[0]
    assert (len(wrong[0]["epcList"]), len(right[0]["epcList"])) == (16, 15)
    assert (error["reason"], error["declarationTime"]) == ("incorrect_data", "2026-09-24T10:15:00+02:00")


def test_one_scan_is_registered_26_hours_late_and_the_gate_knew_the_truck_in_time(
    events: list[tuple[Document, EpcisEvent]],
) -> None:
    late = {
        (
            one.company,
            event.event["bizStep"],
            round((one.registered_at - instant(event.event["eventTime"])) / 3_600_000),
        )
        for one, event in events
        if one.registered_at - instant(event.event["eventTime"]) > 12 * 3_600_000
    }
    assert ("rheinknoten", "receiving", 26) in late
    assert {(company, step) for company, step, _ in late} == {
        ("rheinknoten", "receiving"),
        ("nordrand", "receiving"),
    }
    gate = [one["eventTime"] for one in of(events, "nordrand", "arriving")]
    posted = [one["eventTime"] for one in of(events, "nordrand", "receiving")]
    assert "2026-09-17T05:52:00+02:00" in gate
    assert "2026-09-18T07:10:00+02:00" in posted


def test_twelve_shafts_on_four_pallets_are_damaged_and_eight_pallets_come_a_truck_later(
    events: list[tuple[Document, EpcisEvent]],
) -> None:
    damaged = of(events, "nordrand", "inspecting")
    assert len({one["epcList"][0] for one in damaged}) == 4
    assert sum(one["quantityList"][0]["quantity"] for one in damaged) == 12
    sizes = Counter(len(one["epcList"]) for one in of(events, "rheinknoten", "shipping"))
    assert sizes == {16: 20, 8: 1, 24: 1}


def test_one_supplier_uses_licence_plates_only(events: list[tuple[Document, EpcisEvent]]) -> None:
    plates = [plate for one in of(events, "pannon", "shipping") for plate in one["epcList"]]
    kinds = {found.kind for plate in plates if (found := identify(plate)) is not None}
    assert (len(plates), kinds) == (40, {"licence-plate"})


def test_every_document_is_registered_after_it_happened_and_before_the_story_starts(
    cast: Consortium, events: list[tuple[Document, EpcisEvent]], month: list[Document]
) -> None:
    assert [one.registered_at for one in month] == sorted(one.registered_at for one in month)
    for one, event in events:
        assert instant(event.event["eventTime"]) < one.registered_at < cast.starts_at
    assert json.loads(month[0].text)["type"] == "EPCISDocument"

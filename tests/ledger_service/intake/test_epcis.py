"""Real EPCIS gets in; what breaks the standard is refused with a pointer, what is odd is flagged."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_service import canonical
from ledger_service.instants import instant
from ledger_service.intake.epcis import (
    MAX_REMARKS,
    EpcisEvent,
    NotEpcis,
    RefusedEvent,
    check_event,
    content,
    read_document,
    read_each,
)
from ledger_service.intake.event_hash import AmbiguousEvent, event_hash

NOW = instant("2026-09-01T12:00:00Z")
CONTEXT = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"example": "https://ns.example.com/epcis/"},
]

SHIPPING: dict[str, Any] = {
    "type": "ObjectEvent",
    "eventID": "urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8",
    "eventTime": "2026-09-01T10:00:00+02:00",
    "eventTimeZoneOffset": "+02:00",
    "epcList": ["https://id.gs1.org/00/095212340000000013", "urn:epc:id:sscc:9521234.0000000002"],
    "quantityList": [{"epcClass": "urn:epc:class:lgtin:9521234.011111.L1", "quantity": 12, "uom": "H87"}],
    "action": "OBSERVE",
    "bizStep": "shipping",
    "disposition": "in_transit",
    "readPoint": {"id": "urn:epc:id:sgln:9521234.00005.0"},
    "bizLocation": {"id": "https://example.org/414/9521234000051"},
    "bizTransactionList": [{"type": "desadv", "bizTransaction": "urn:epcglobal:cbv:bt:9521234000006:4711"}],
    "sourceList": [{"type": "possessing_party", "source": "urn:epc:id:pgln:9521234.00000"}],
    "destinationList": [{"type": "possessing_party", "destination": "urn:epc:id:pgln:9521239.00000"}],
    "sensorElementList": [
        {
            "sensorMetadata": {"time": "2026-09-01T09:59:00+02:00", "deviceID": "urn:epc:id:giai:9521234.111"},
            "sensorReport": [{"type": "Temperature", "value": -4, "uom": "CEL"}],
        }
    ],
    "example:note": {"example:lines": ["a", "b"]},
}
PACKING: dict[str, Any] = {
    "type": "AggregationEvent",
    "eventTime": "2026-09-01T09:00:00+02:00",
    "eventTimeZoneOffset": "+02:00",
    "parentID": "urn:epc:id:sscc:9521234.0000000001",
    "childEPCs": ["urn:epc:id:sgtin:9521234.011111.1", "urn:epc:id:sgtin:9521234.011111.2"],
    "action": "ADD",
}
ORDERING: dict[str, Any] = {
    "type": "TransactionEvent",
    "eventTime": "2026-09-01T08:00:00+02:00",
    "eventTimeZoneOffset": "+02:00",
    "bizTransactionList": [{"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:9521234000006:77"}],
    "epcList": ["urn:epc:id:sscc:9521234.0000000001"],
    "action": "ADD",
}
CASTING: dict[str, Any] = {
    "type": "TransformationEvent",
    "eventTime": "2026-09-01T07:00:00+02:00",
    "eventTimeZoneOffset": "+02:00",
    "inputQuantityList": [{"epcClass": "urn:epc:class:lgtin:9521234.022222.C1", "quantity": 600, "uom": "KGM"}],
    "outputEPCList": ["urn:epc:id:sgtin:9521234.011111.1"],
    "ilmd": {"example:batch": "4711"},
}
FITTING: dict[str, Any] = {
    "type": "AssociationEvent",
    "eventTime": "2026-09-01T06:00:00+02:00",
    "eventTimeZoneOffset": "+02:00",
    "parentID": "urn:epc:id:grai:9521234.55555.98765",
    "childEPCs": ["urn:epc:id:giai:9521234.12345"],
    "action": "ADD",
}
ALL_TYPES = [SHIPPING, PACKING, ORDERING, CASTING, FITTING]


def document(*events: dict[str, Any]) -> dict[str, Any]:
    return {
        "@context": CONTEXT,
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-09-01T10:00:00Z",
        "epcisBody": {"eventList": list(events)},
    }


def query_document(*events: dict[str, Any]) -> dict[str, Any]:
    results = {"queryName": "SimpleEventQuery", "resultsBody": {"eventList": list(events)}}
    return {"@context": CONTEXT, "type": "EPCISQueryDocument", "epcisBody": {"queryResults": results}}


def text(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


def read_one(event: dict[str, Any]) -> EpcisEvent:
    (result,) = read_document(text(document(event)), now=NOW)
    return result


FORMS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "document": lambda events: document(*events),
    "query document": lambda events: query_document(*events),
    "list of events": lambda events: [{"@context": CONTEXT, **event} for event in events],
    "bare event list": lambda events: {"@context": CONTEXT, "eventList": events},
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_same_events(form: str) -> None:
    results = read_document(text(FORMS[form](ALL_TYPES)), now=NOW)
    assert [result.event for result in results] == ALL_TYPES
    assert all(result.context == CONTEXT and result.flags == () for result in results)


@pytest.mark.parametrize(
    "single",
    [{"@context": CONTEXT, **SHIPPING}, {**document(), "epcisBody": {"event": SHIPPING}}],
    ids=["event", "document with one event"],
)
def test_a_single_event_is_read_like_one_in_a_list(single: dict[str, Any]) -> None:
    (result,) = read_document(text(single), now=NOW)
    assert result.event == SHIPPING
    assert result.context == CONTEXT
    assert json.loads(result.original)["eventID"] == SHIPPING["eventID"]


def test_the_original_text_is_kept_to_the_letter() -> None:
    odd = '{ "type":"ObjectEvent" , "\\u0061ction":"OBSERVE","epcList":[ ],\n\t"eventTime":"2026-09-01T10:00:00Z",'
    odd += '"eventTimeZoneOffset":"+00:00","quantityList":[{"epcClass":"urn:x:y","quantity":1.50e1}] }'
    other = text(PACKING).decode()
    head = '{"type": "EPCISDocument", "x": ["eventList", {"epcisBody": 1}], "epcisBody" : {"a":{},\n"eventList":['
    body = f"{head}{odd} ,\r\n{other}]}}}}"
    first, second = read_document(body.encode())
    assert (first.original, second.original) == (odd, other)
    assert first.event["quantityList"][0]["quantity"] == "15"
    assert (first.where, second.where) == ("/epcisBody/eventList/0", "/epcisBody/eventList/1")


@pytest.mark.parametrize(
    ("literal", "value"),
    [("12", 12), ("12.50", "12.5"), ("12.0", "12"), ("1e3", "1000"), ("0.1", "0.1"), ("1E-7", "0.0000001"), ("0", 0)],
)
def test_numbers_with_fraction_or_exponent_become_decimal_strings(literal: str, value: int | str) -> None:
    data = text(document(SHIPPING)).replace(b'"quantity": 12', f'"quantity": {literal}'.encode())
    (result,) = read_document(data.replace(b'"H87"', b'"KGM"'), now=NOW)
    assert result.event["quantityList"][0]["quantity"] == value
    canonical.check(content(result, ["0x" + "00" * 32]))


def test_the_content_of_a_statement_carries_audience_event_and_context() -> None:
    result = read_one(SHIPPING)
    assert content(result, ["0xaa", "0xbb"]) == {"to": ["0xaa", "0xbb"], "event": SHIPPING, "context": CONTEXT}


def test_an_events_own_context_follows_that_of_the_document() -> None:
    own = {"mine": "https://mine.example.org/"}
    result = read_one({"@context": own, **PACKING, "mine:x": 1})
    assert result.context == [*CONTEXT, own]
    assert "@context" not in result.event
    assert result.flags == ()


def at(path: str) -> Callable[[Any], Callable[[dict[str, Any]], None]]:
    """Sets the value at the pointer `path`; `...` takes it away."""

    def setter(value: Any) -> Callable[[dict[str, Any]], None]:
        def change(event: dict[str, Any]) -> None:
            *steps, last = path.strip("/").split("/")
            owner: Any = event
            for step in steps:
                owner = owner[int(step) if isinstance(owner, list) else step]
            key: Any = int(last) if isinstance(owner, list) else last
            if value is ...:
                del owner[key]
            else:
                owner[key] = value

        return change

    return setter


Case = tuple[dict[str, Any], str, Any, str, str]
REFUSED: dict[str, Case] = {
    # what: (event, pointer, new value, code, where it is reported)
    "unknown event type": (SHIPPING, "/type", "ShippingEvent", "event-type", "/type"),
    "type is a list": (SHIPPING, "/type", ["ObjectEvent"], "event-type", "/type"),
    "no event time": (SHIPPING, "/eventTime", ..., "missing", ""),
    "event time without offset": (SHIPPING, "/eventTime", "2026-09-01T10:00:00", "missing-offset", "/eventTime"),
    "event time is a date": (SHIPPING, "/eventTime", "2026-09-01", "time", "/eventTime"),
    "event time on 30 February": (SHIPPING, "/eventTime", "2026-02-30T10:00:00Z", "time", "/eventTime"),
    "event time is a number": (SHIPPING, "/eventTime", 1788254400, "time", "/eventTime"),
    "event time ahead of the clock": (SHIPPING, "/eventTime", "2026-09-01T12:05:01Z", "future", "/eventTime"),
    "no zone offset": (SHIPPING, "/eventTimeZoneOffset", ..., "missing-offset", ""),
    "zone offset by name": (SHIPPING, "/eventTimeZoneOffset", "CEST", "offset", "/eventTimeZoneOffset"),
    "zone offset beyond 14 hours": (SHIPPING, "/eventTimeZoneOffset", "+15:00", "offset", "/eventTimeZoneOffset"),
    "no action": (SHIPPING, "/action", ..., "missing", ""),
    "action in lower case": (SHIPPING, "/action", "observe", "action", "/action"),
    "action in a transformation": (CASTING, "/action", "ADD", "field-of-another-type", "/action"),
    "list of another type": (PACKING, "/epcList", [], "field-of-another-type", "/epcList"),
    "field misspelt": (SHIPPING, "/bizstep", "shipping", "misspelt-field", "/bizstep"),
    "wrong check digit in epcList": (
        SHIPPING, "/epcList/0", "https://id.gs1.org/00/095212340000000015", "check-digit", "/epcList/0"),
    "wrong check digit in childEPCs": (
        PACKING, "/childEPCs/1", "https://example.org/01/09521234111117/21/2", "check-digit", "/childEPCs/1"),
    "wrong check digit in parentID": (
        PACKING, "/parentID", "https://example.org/00/095212340000000015", "check-digit", "/parentID"),
    "wrong check digit in a quantity": (
        CASTING, "/inputQuantityList/0/epcClass", "https://example.org/01/09521234222221/10/C1", "check-digit",
        "/inputQuantityList/0/epcClass"),
    "wrong check digit in outputEPCList": (
        CASTING, "/outputEPCList/0", "https://example.org/01/09521234111117/21/1", "check-digit", "/outputEPCList/0"),
    "wrong check digit at the read point": (
        SHIPPING, "/readPoint/id", "https://example.org/414/9521234000052", "check-digit", "/readPoint/id"),
    "wrong check digit at the location": (
        SHIPPING, "/bizLocation/id", "https://example.org/gln/9521234000052", "check-digit", "/bizLocation/id"),
    "wrong check digit of a source": (
        SHIPPING, "/sourceList/0/source", "https://id.gs1.org/417/9521234000007", "check-digit",
        "/sourceList/0/source"),
    "wrong check digit of a destination": (
        SHIPPING, "/destinationList/0/destination", "https://id.gs1.org/417/9521234000007", "check-digit",
        "/destinationList/0/destination"),
    "wrong check digit of a document": (
        SHIPPING, "/bizTransactionList/0/bizTransaction", "https://id.gs1.org/253/9521234000007A", "check-digit",
        "/bizTransactionList/0/bizTransaction"),
    "wrong check digit of a sensor's rules": (
        SHIPPING, "/sensorElementList/0/sensorMetadata/bizRules", "https://x.org/253/9521234000007A", "check-digit",
        "/sensorElementList/0/sensorMetadata/bizRules"),
    "EPC with too few digits": (SHIPPING, "/epcList/0", "urn:epc:id:sscc:9521234.1", "identifier", "/epcList/0"),
    "bare number for an EPC": (SHIPPING, "/epcList/0", "095212340000000013", "uri", "/epcList/0"),
    "braces in a URI": (SHIPPING, "/epcList/0", "https://x.org/{a}", "uri", "/epcList/0"),
    "EPC is an object": (SHIPPING, "/epcList/0", {"id": "urn:x:y"}, "uri", "/epcList/0"),
    "a field is null": (SHIPPING, "/epcList", None, "null", "/epcList"),
    "EPC list is text": (SHIPPING, "/epcList", "urn:x:y", "not-a-list", "/epcList"),
    "the same EPC twice": (SHIPPING, "/epcList/0", "urn:epc:id:sscc:9521234.0000000002", "duplicate", "/epcList/1"),
    "the same child twice": (PACKING, "/childEPCs/1", "urn:epc:id:sgtin:9521234.011111.1", "duplicate", "/childEPCs/1"),
    "a parent among its children": (
        PACKING, "/childEPCs/1", "https://id.gs1.org/00/095212340000000013", "own-parent", "/childEPCs/1"),
    "nothing observed": (ORDERING, "/epcList", ..., "nothing-named", ""),
    "nothing packed": (PACKING, "/childEPCs", [], "nothing-named", ""),
    "packed into nothing": (PACKING, "/parentID", ..., "missing", ""),
    "fixed to nothing": (FITTING, "/parentID", ..., "missing", ""),
    "a transaction without document": (ORDERING, "/bizTransactionList", [], "missing", ""),
    "cast from nothing": (CASTING, "/inputQuantityList", ..., "nothing-named", ""),
    "negative quantity": (SHIPPING, "/quantityList/0/quantity", -1, "negative-quantity", "/quantityList/0/quantity"),
    "negative decimal": (SHIPPING, "/quantityList/0/quantity", -0.5, "negative-quantity", "/quantityList/0/quantity"),
    "quantity in words": (SHIPPING, "/quantityList/0/quantity", "twelve", "number", "/quantityList/0/quantity"),
    "quantity with a comma": (SHIPPING, "/quantityList/0/quantity", "1,5", "number", "/quantityList/0/quantity"),
    "quantity is true": (SHIPPING, "/quantityList/0/quantity", True, "number", "/quantityList/0/quantity"),
    "quantity without class": (SHIPPING, "/quantityList/0/epcClass", ..., "missing", "/quantityList/0"),
    "unit in lower case": (SHIPPING, "/quantityList/0/uom", "kg", "unit", "/quantityList/0/uom"),
    "read point is text": (SHIPPING, "/readPoint", "urn:x:y", "place", "/readPoint"),
    "source without type": (SHIPPING, "/sourceList/0/type", ..., "missing", "/sourceList/0"),
    "business step with a blank": (SHIPPING, "/bizStep", "shipping out", "word", "/bizStep"),
    "business step that forges a field": (
        SHIPPING, "/bizStep", "https://x.org/a{https://ns.example.com/epcis/}b=1", "word", "/bizStep"),
    "sensor without report": (SHIPPING, "/sensorElementList/0/sensorReport", [], "missing", "/sensorElementList/0"),
    "measurement is text": (
        SHIPPING, "/sensorElementList/0/sensorReport/0/value", "cold", "number",
        "/sensorElementList/0/sensorReport/0/value"),
    "sensor time without offset": (
        SHIPPING, "/sensorElementList/0/sensorMetadata/time", "2026-09-01T09:59:00", "missing-offset",
        "/sensorElementList/0/sensorMetadata/time"),
    "error declaration without time": (
        SHIPPING, "/errorDeclaration", {"reason": "did_not_occur"}, "missing", "/errorDeclaration"),
    "error declaration is text": (SHIPPING, "/errorDeclaration", "wrong", "error-declaration", "/errorDeclaration"),
    "ilmd is text": (CASTING, "/ilmd", "x", "ilmd", "/ilmd"),
}  # fmt: skip


def changed(event: dict[str, Any], pointer: str, value: Any) -> dict[str, Any]:
    event = copy.deepcopy(event)
    at(pointer)(value)(event)
    return event


@pytest.mark.parametrize("case", REFUSED)
def test_what_breaks_the_standard_is_refused_with_its_place(case: str) -> None:
    event, pointer, value, code, where = REFUSED[case]
    with pytest.raises(RefusedEvent) as refusal:
        read_one(changed(event, pointer, value))
    problems = {(problem.code, problem.where) for problem in refusal.value.problems}
    assert problems == {(code, "/epcisBody/eventList/0" + where)}
    assert all(len(problem.what) > 20 for problem in refusal.value.problems), "a person must learn what to do"


FLAGGED: dict[str, Case] = {
    "zone offset in conflict": (
        SHIPPING, "/eventTimeZoneOffset", "+01:00", "offset-conflict", "/eventTimeZoneOffset"),
    "recorded before it happened": (SHIPPING, "/recordTime", "2026-09-01T07:59:59Z", "recorded-before", "/recordTime"),
    "older than ten years": (SHIPPING, "/eventTime", "2006-09-01T10:00:00+02:00", "old", "/eventTime"),
    "unit that is not in Rec 20": (SHIPPING, "/quantityList/0/uom", "ZQQ", "unknown-unit", "/quantityList/0/uom"),
    "unit withdrawn from Rec 20": (SHIPPING, "/quantityList/0/uom", "05", "withdrawn-unit", "/quantityList/0/uom"),
    "a sensor's own unit": (
        SHIPPING, "/sensorElementList/0/sensorReport/0/uom", "degC", "unknown-unit",
        "/sensorElementList/0/sensorReport/0/uom"),
    "quantity of zero": (SHIPPING, "/quantityList/0/quantity", 0, "zero-quantity", "/quantityList/0/quantity"),
    "unit without quantity": (
        SHIPPING, "/quantityList/0/quantity", ..., "unit-without-quantity", "/quantityList/0/uom"),
    "one thing in two spellings": (
        SHIPPING, "/epcList/1", "urn:epc:id:sscc:9521234.0000000001", "duplicate", "/epcList/1"),
    "business step of nobody": (SHIPPING, "/bizStep", "teleporting", "unknown-word", "/bizStep"),
    "field of nobody": (SHIPPING, "/colour", "red", "unknown-field", "/colour"),
    "field of nobody at a place": (SHIPPING, "/readPoint/dock", "4", "unknown-field", "/readPoint/dock"),
    "a batch of nobody": (CASTING, "/ilmd/lot", "4", "unknown-field", "/ilmd/lot"),
    "a name with an equals sign": (SHIPPING, "/example:a=b", "1", "ambiguous-hash", "/example:a=b"),
    "prefix of nobody": (SHIPPING, "/acme:x", "1", "undefined-prefix", "/acme:x"),
    "EPC scheme of tomorrow": (SHIPPING, "/epcList/1", "urn:epc:id:next:1.2", "unknown-scheme", "/epcList/1"),
    "place with an umlaut": (SHIPPING, "/readPoint/id", "https://x.org/Köln", "not-ascii", "/readPoint/id"),
    "ilmd while observing": (SHIPPING, "/ilmd", {"example:a": "b"}, "ilmd-without-add", "/ilmd"),
    "a step that hides a disposition": (
        SHIPPING, "/bizStep", "https://x.org/adisposition=https://x.org/b", "ambiguous-hash", "/bizStep"),
    "an order address with a query": (
        SHIPPING, "/bizTransactionList/0/bizTransaction", "https://x.org/order?id=5", "ambiguous-hash",
        "/bizTransactionList/0/bizTransaction"),
    "free text that hides a field": (
        SHIPPING, "/example:note", {"example:a": "1{https://x.org/}b=2"}, "ambiguous-hash", "/example:note/example:a"),
    "error declaration without event id": (
        PACKING, "/errorDeclaration", {"declarationTime": "2026-09-01T11:00:00Z"}, "no-event-id", "/errorDeclaration"),
}  # fmt: skip


@pytest.mark.parametrize("case", FLAGGED)
def test_what_is_odd_is_taken_and_flagged(case: str) -> None:
    event, pointer, value, code, where = FLAGGED[case]
    odd = changed(event, pointer, value)
    result = read_one(odd)
    assert {(flag.code, flag.where) for flag in result.flags} == {(code, "/epcisBody/eventList/0" + where)}
    assert result.event == odd


TAKEN: dict[str, tuple[dict[str, Any], str, Any]] = {
    "event time in another zone than the place": (SHIPPING, "/eventTime", "2026-09-01T08:00:00Z"),
    "event time just within the tolerance": (SHIPPING, "/eventTime", "2026-09-01T14:05:00+02:00"),
    "microseconds": (SHIPPING, "/eventTime", "2026-09-01T10:00:00.123456+02:00"),
    "words as web addresses": (SHIPPING, "/bizStep", "https://ref.gs1.org/cbv/BizStep-shipping"),
    "words as compact addresses": (SHIPPING, "/bizStep", "cbv:BizStep-shipping"),
    "words of CBV 1.2": (SHIPPING, "/bizStep", "urn:epcglobal:cbv:bizstep:shipping"),
    "no things but sensors at a place": (SHIPPING, "/epcList", []),
    "unpacking all children": (changed(PACKING, "/action", "DELETE"), "/childEPCs", ...),
    "inputs alone, joined by a transformation": (
        changed(CASTING, "/transformationID", "urn:epc:id:gdti:9521234.55555.1"), "/outputEPCList", ...),
    "a licence plate": (SHIPPING, "/epcList/0", "https://labels.example.org/1J/UN049505160A1B2C3"),
    "a member's own serial": (SHIPPING, "/epcList/0", "did:web:foundry.example.org/part/HX-12/serial/7"),
    "a certificate": (SHIPPING, "/certificationInfo", ["https://x.org/c/1"]),
    "an error declaration": (SHIPPING, "/errorDeclaration", {
        "declarationTime": "2026-09-01T11:00:00Z", "reason": "did_not_occur", "correctiveEventIDs": ["urn:uuid:1"]}),
    "a persistent disposition": (SHIPPING, "/persistentDisposition", {"set": ["damaged"], "unset": ["active"]}),
    "a name written out in full": (SHIPPING, "/https:~1~1ns.example.com~1epcis~1x".replace("~1", "|"), "1"),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN)
def test_what_the_standard_allows_is_taken_without_a_word(case: str) -> None:
    event, pointer, value = TAKEN[case]
    event = changed(event, pointer, value)
    event = {key.replace("|", "/"): item for key, item in event.items()}
    assert read_one(event).flags == ()


@pytest.mark.parametrize("case", REFUSED)
def test_a_hub_refuses_of_a_signed_event_what_the_reader_would_have_refused(case: str) -> None:
    event, pointer, value, code, where = REFUSED[case]
    signed = canonical.parse(text(changed(event, pointer, value)), decimals=True)
    with pytest.raises(RefusedEvent) as refusal:
        check_event(signed, CONTEXT, now=NOW, where="/content/event")
    assert [(problem.code, problem.where) for problem in refusal.value.problems] == [(code, f"/content/event{where}")]


@pytest.mark.parametrize("event", ALL_TYPES, ids=lambda event: event["type"])
def test_a_hub_takes_a_signed_event_that_the_reader_took(event: dict[str, Any]) -> None:
    assert check_event(read_one(event).event, CONTEXT, now=NOW) == ()


@pytest.mark.parametrize(("event", "context"), [(7, CONTEXT), (SHIPPING, "context"), (SHIPPING, None), (None, [])])
def test_a_hub_refuses_content_of_another_shape(event: Any, context: Any) -> None:
    with pytest.raises(RefusedEvent, match="expected an event object"):
        check_event(event, context)


def test_a_flood_of_nonsense_gets_a_short_answer() -> None:
    nonsense = ["x" * 5000 for _ in range(500)] + ["https://id.gs1.org" + "/01" * 5000]
    with pytest.raises(RefusedEvent) as refusal:
        read_one({**SHIPPING, "epcList": nonsense, "bizStep": "y z" * 5000})
    assert len(refusal.value.problems) == MAX_REMARKS
    assert all(len(problem.what) < 300 for problem in refusal.value.problems)


def test_an_error_declaration_is_known_as_one() -> None:
    declaration = {"declarationTime": "2026-09-01T11:00:00Z", "reason": "incorrect_data"}
    assert read_one({**SHIPPING, "errorDeclaration": declaration}).is_error_declaration
    assert not read_one(SHIPPING).is_error_declaration


def test_all_problems_of_all_events_are_told_at_once() -> None:
    first = changed(changed(SHIPPING, "/action", "look"), "/epcList/0", "https://id.gs1.org/00/095212340000000015")
    second = changed(PACKING, "/eventTime", ...)
    with pytest.raises(RefusedEvent) as refusal:
        read_document(text(document(first, FITTING, second)), now=NOW)
    assert [str(problem) for problem in refusal.value.problems] == [
        "/epcisBody/eventList/0/action: 'look' is not an action; expected one of ADD, OBSERVE, DELETE",
        (
            "/epcisBody/eventList/0/epcList/0: the check digit of SSCC 095212340000000015 (digit 18) is 5 "
            "but its other digits ask for 3; compare the number with the label"
        ),
        "/epcisBody/eventList/2: eventTime is missing; give date, time and offset, such as 2026-09-01T10:00:00+02:00",
    ]
    assert str(refusal.value).endswith("(and 2 more) (at /epcisBody/eventList/0/action)")


def test_the_good_events_of_a_document_can_be_kept() -> None:
    bad = changed(SHIPPING, "/action", ...)
    results = read_each(text(document(PACKING, bad, FITTING)), now=NOW)
    assert [isinstance(result, RefusedEvent) for result in results] == [False, True, False]
    refused = results[1]
    assert isinstance(refused, RefusedEvent)
    assert refused.event_at == "/epcisBody/eventList/1"


@pytest.mark.parametrize(
    ("body", "complaint", "where"),
    [
        ("7", "plain value", ""),
        ("{}", "there is no type", ""),
        ('{"isA": "EPCISDocument"}', "draft's name", ""),
        ('{"type": "EPCISMasterDataDocument"}', "neither an EPCISDocument", "/type"),
        ('{"type": "EPCISDocument"}', "has no epcisBody", ""),
        ('{"type": "EPCISDocument", "epcisBody": []}', "has no eventList", "/epcisBody"),
        ('{"type": "EPCISDocument", "epcisBody": {"eventList": {}}}', "must be a list", "/epcisBody/eventList"),
        (
            '{"type": "EPCISQueryDocument", "epcisBody": {"queryResults": {}}}',
            "no resultsBody",
            "/epcisBody/queryResults",
        ),
    ],
)
def test_what_holds_no_events_is_refused(body: str, complaint: str, where: str) -> None:
    with pytest.raises(NotEpcis, match=complaint) as refusal:
        read_document(body.encode())
    assert refusal.value.where == where


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (b'"action"', b'"acti\xc3\xb6n"', "not ASCII"),
        (b'"action"', b'"eventTime"', "comes twice"),
        (b'"quantity": 12', b'"quantity": NaN', "not JSON"),
        (b'"quantity": 12', b'"quantity": 1e400', "more than 40 digits"),
        (b'"quantity": 12', b'"quantity": 9007199254740993', "outside"),
        (b'"shipping"', b'"\\ud800"', "surrogate"),
        (b'"shipping"', b'"\xff"', "UTF-8"),
        (b'"shipping"', b"[" * 40 + b"]" * 40, "nested"),
    ],
)
def test_json_that_cannot_be_signed_is_refused_at_the_door(old: bytes, new: bytes, complaint: str) -> None:
    with pytest.raises(canonical.MalformedJson, match=complaint):
        read_document(text(document(SHIPPING)).replace(old, new, 1))


@pytest.mark.parametrize("junk", [None, 7, "x", [], [1], True])
def test_an_event_must_be_an_object(junk: Any) -> None:
    (result,) = read_each(text([junk]))
    assert isinstance(result, RefusedEvent)
    assert result.problems[0].code == "not-an-event"


NAMES = st.sampled_from(["type", "id", "epcClass", "x:y"])
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("=x{}: ", max_size=6) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(ALL_TYPES), st.data(), JUNK)
def test_junk_in_any_field_is_judged_and_never_crashes(event: dict[str, Any], data: st.DataObject, junk: Any) -> None:
    field = data.draw(st.sampled_from(sorted(event)))
    for result in read_each(text(document({**event, field: junk})), now=NOW):
        if isinstance(result, RefusedEvent):
            assert result.problems[0].where.startswith("/epcisBody/eventList/0")
        else:
            canonical.check(content(result, []))
            try:
                event_hash(result.event, result.context)
            except AmbiguousEvent:
                assert "ambiguous-hash" in {flag.code for flag in result.flags}


@given(st.permutations(ALL_TYPES), st.randoms(use_true_random=False))
def test_reading_what_was_read_changes_nothing(events: list[dict[str, Any]], random: Any) -> None:
    def shuffled(event: dict[str, Any]) -> dict[str, Any]:
        keys = list(event)
        random.shuffle(keys)
        return {key: event[key] for key in keys}

    first = read_document(text(document(*map(shuffled, events))), now=NOW)
    again = read_document(text(document(*(result.event for result in first))), now=NOW)
    assert [result.event for result in again] == [result.event for result in first] == events
    assert [json.loads(result.original) for result in first] == events


def test_reading_grows_in_step_with_the_document() -> None:
    """A document of 400 events with 50 things each is read in one go; quadratic work would take minutes."""
    things = [f"urn:epc:id:sgtin:9521234.011111.{serial}" for serial in range(50)]
    results = read_document(text(document(*[{**SHIPPING, "epcList": things} for _ in range(400)])), now=NOW)
    assert len(results) == 400


EXAMPLES: dict[str, tuple[int, set[str]]] = {
    # document: (events taken in, codes of their flags); none of the 22 is refused
    "CertificationInfoAndSensorReportWithCRS": (1, set()),
    "ReferenceEventHashAlgorithm": (1, set()),
    "ReferenceEventHashAlgorithm2": (1, set()),
    "ReferenceEventHashAlgorithm3": (1, set()),
    "TimeStampRoundOff": (3, set()),
    "epcisDocHavingEventWithComment": (1, {"old"}),
    "epcisDocHavingEventWithIgnoreFields": (2, set()),
    "epcisDocWithAllGS1Keys": (1, {"duplicate"}),  # one SSCC as EPC URI and as Digital Link
    "epcisDocWithCustomSchemaInContext": (2, set()),
    "epcisDocWithDefaultSchemaInContext": (2, set()),
    "epcisDocWithSensorComponent": (1, set()),
    "epcisDocWithSensorDataObjectEvent": (1, set()),
    "epcisDocWithShippingAndTransportingEvent": (2, set()),
    "epcisDocWithSingleEvent": (1, set()),
    "epcisDocWithVariousEventTypes": (13, set()),
    "epcisDocWithXMLstartTagAndErrorDeclaration": (1, set()),
    "epcisEventWithCURIEs": (1, set()),
    "epcisQueryDocHavingEventWithIgnoreFields": (2, set()),
    "epcisQueryDocument": (2, {"old"}),
    "epclist_normalisation": (1, set()),
    "persistentDisposition": (2, set()),
    "ralfsChaosExample": (1, {"old"}),
}
REFUSED_EXAMPLES: dict[str, str] = {}
"""What is refused of the 22 published documents, with its reason: nothing, all their numbers and times are in order."""


def test_the_table_of_published_documents_is_complete(shared: Path) -> None:
    folder = shared / "vectors/epcis-event-hash/tests/examples"
    assert {path.stem for path in folder.glob("*.jsonld")} == EXAMPLES.keys() | REFUSED_EXAMPLES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_published_documents_are_taken_in(shared: Path, name: str) -> None:
    data = (shared / f"vectors/epcis-event-hash/tests/examples/{name}.jsonld").read_bytes()
    results = read_document(data, now=NOW)
    count, codes = EXAMPLES[name]
    assert len(results) == count
    assert {flag.code for result in results for flag in result.flags} == codes
    for result in results:
        canonical.check(content(result, ["0x" + "00" * 32]))
        assert result.original.encode() in data

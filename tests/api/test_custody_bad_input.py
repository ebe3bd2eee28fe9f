"""Whatever is sent to the routes of custody, deep, huge, mistyped or misspelt: a clear 4xx, and no row more."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from ledger_service.envelope import Envelope
from ledger_service.handoffs import HandOff, Offer, SignedStep
from ledger_service.keys import to_hex
from tests.api.house import House
from tests.api.test_custody_input import WEEK, domain, rows
from tests.consortium import despatch, key, receipt

H32, H20, H65 = "0x" + "77" * 32, "0x" + "17" * 20, "0x" + "11" * 65
PALLET, NOWHERE = "licence-plate:UN049505160P00001", "licence-plate:UN049505160P99999"
VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "a negative number": -1,
    "the largest number": 2**53 - 1,
    "a number too large": 2**64,
    "a fraction": 1.5,
    "no text": "",
    "a NUL": "\0",
    "a long text": "a" * 70_000,
    "hexadecimal in capitals": "0x" + "AB" * 32,
    "a hash a digit short": "0x" + "77" * 31 + "7",
    "a wrong check digit": "(00)395210040009260174",
    "a plate with a line break": PALLET + "\n",
    "a plate in other digits": "licence-plate:UN０４９５０５１６０P00001",
    "a serial that is no UTF-8": "did:web:x.example.org/part/%FF/serial/1",
    "an empty object": {},
    "an unknown member": {"nothing": 1},
    "lists in lists": [[[]]],
    "a list of nulls": [None, None],
    "a list too long": [PALLET] * 1001,
}
STEP = {"commitment": H32, "custodian": H20, "deadline": 3000 * WEEK, "signature": H65, "type": "opening"}
HANDOFF = {
    "acceptance": H32, "deadline": 3000 * WEEK, "from": H20, "giverSignature": H65, "offer": H32, "sequence": 1,
    "takerSignature": H65, "to": H20, "type": "handoff", "unit": H32,
}  # fmt: skip
UNIT_OFFER = {"deadline": 3000 * WEEK, "from": H20, "sequence": 1, "signature": H65, "to": H20, "unit": H32}
SHIPPED = {name: one for name, one in despatch("nordrand", "B9").items() if name != "to"}
BODIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "offers": ("duero", "/v1/custody/offers", {"despatch": H32, "units": [UNIT_OFFER]}),
    "opening": ("duero", "/v1/custody/steps", {"steps": [STEP]}),
    "handoff": ("duero", "/v1/custody/steps", {"steps": [HANDOFF]}),
    "bundle": ("duero", "/v1/custody/bundle", {"genealogy": True, "pin": False, "units": [NOWHERE]}),
    "report": ("duero", "/v1/custody/report", {"units": [NOWHERE]}),
    "recall": ("duero", "/v1/custody/recall", {"units": [NOWHERE]}),
    "note": ("duero", "/v1/custody/notes", {"despatch": H32}),
    "declined": ("duero", "/v1/custody/requests/7/declined", {"reason": "no"}),
    "hosted offer": ("kleinwerk", "/v1/custody/custodial/offer", {"despatch": SHIPPED | {"legs": H32}, "to": [H32]}),
    "hosted accept": (
        "kleinwerk",
        "/v1/custody/custodial/accept",
        {"despatch": H32, "discrepancies": [{"unit": PALLET, "what": "short"}], "units": [PALLET]},
    ),
    "hosted refuse": ("kleinwerk", "/v1/custody/custodial/refuse", {"despatch": H32, "reason": "no"}),
    "hosted close": ("kleinwerk", "/v1/custody/custodial/close", {"to": [], "units": [NOWHERE]}),
}
QUERIES = {
    "/v1/custody/trail": {"at": "0", "clock": "registered", "unit": NOWHERE},
    "/v1/custody/lineage": {"after": "x", "direction": "ancestors", "limit": "1", "unit": NOWHERE},
    "/v1/custody/recall": {"limit": "1", "unit": NOWHERE},
    "/v1/custody/offers": {"after": "x", "limit": "1", "side": "giver", "state": "open"},
    "/v1/custody/addresses": {"after": "x", "limit": "1", "of": H32},
    "/v1/custody/steps": {"unit": H32},
    "/v1/notices": {"after": "x", "limit": "1"},
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for name, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(one, (*path, name))


def bent(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """`value` with `new` at `path`."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = bent(value[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize("name", BODIES)
def test_no_body_is_a_fault_of_ours_and_none_leaves_a_row(service: House, name: str) -> None:
    caller, path, good = BODIES[name]
    before = rows(service.network.ledger)
    for place in places(good):
        written = json.dumps(bent(good, place, "@"))
        bodies = {what: json.dumps(bent(good, place, one)) for what, one in VALUES.items()}
        bodies["deep lists"] = written.replace('"@"', "[" * 3000 + "]" * 3000)
        bodies["deep objects"] = written.replace('"@"', '{"a":' * 3000 + "1" + "}" * 3000)
        bodies["more than any number"] = written.replace('"@"', "1e999")
        for what, body in bodies.items():
            answer = service.post(caller, path, content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code < 500, (place, what, answer.text)
            assert answer.status_code >= 400 or answer.json().get("refused") or "told" in answer.json(), (place, what)
    assert rows(service.network.ledger) == before


@pytest.mark.parametrize("path", QUERIES)
def test_no_query_is_a_fault_of_ours(service: House, path: str) -> None:
    good = QUERIES[path]
    for name in good:
        for what, one in VALUES.items():
            value = one if isinstance(one, str) else json.dumps(one)
            query = {key: one for key, one in good.items() if key != "after"} | {name: value[:60_000]}
            answer = service.get("duero", path, **query)
            assert answer.status_code < 500, (name, what, answer.text)


def test_a_page_or_offer_by_any_other_name_is_not_there(service: House) -> None:
    for odd in ("%00", "%FF", "a" * 3000, "-" * 22, "%F0%9F%98%80", "0x" + "AB" * 32):
        for method, path in (
            ("GET", f"/o/{odd}"), ("POST", f"/o/{odd}/pin"), ("POST", f"/o/{odd}/answer"), ("POST", f"/o/{odd}/leave"),
            ("GET", f"/v1/custody/offers/{odd}"), ("POST", f"/v1/webhooks/{odd}/test"),
            ("POST", f"/v1/custody/requests/{odd}/declined"), ("POST", f"/v1/custody/custodial/{odd}"),
        ):  # fmt: skip
            answer = service.anyone.request(method, path, headers=service.headers("duero"))
            assert 400 <= answer.status_code < 500, (method, path)


def test_what_a_statement_is_that_one_may_not_see_the_relay_does_not_tell(service: House) -> None:
    """Every member reads the ids in the log; which of them are despatches is for their readers."""
    hidden = [
        service.envelope("nordrand", ("oderland",), content=content, kind=kind, stream=f"hidden {kind}")
        for kind, content in (("despatch", despatch("oderland", "H1")), ("epcis-event", None))
    ]
    for one in hidden:
        assert service.send("nordrand", one.data).status_code == 201
    ids = [one.header.digest(service.domain) for one in hidden] + [sha256(b"never registered").digest()]
    whole = service.envelope("duero", (), content=receipt(ids[0]), kind="receipt", stream="header only")
    own = Envelope(whole.header, whole.signature)
    assert service.send("duero", own.data).status_code == 201
    told = set()
    for digest in ids:
        offer = Offer(sha256(b"unit").digest(), 1, key("hand 1").address, key("hand 2").address, digest, 3000 * WEEK)
        signature = offer.sign(key("hand 1"), domain(service))
        step = HandOff.complete(offer, signature, own.header.digest(service.domain), key("hand 2"), domain(service))
        answer = service.post("duero", "/v1/custody/steps", json={"steps": [SignedStep(step).as_json()]}).json()
        assert answer["steps"] == []
        (refused,) = answer["refused"]
        told.add(refused["problem"]["detail"].replace(to_hex(digest), "…"))
    assert len(told) == 1, told

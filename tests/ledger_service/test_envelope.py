"""Envelopes: read as they were written, examined for all that needs no registry, and refused with the place."""

from hashlib import sha256
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_service import canonical, facts
from ledger_service.envelope import MAX_ENVELOPE_BYTES, ContentMismatch, Envelope, examine
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.keys import BadSignature
from ledger_service.statements import MAX_CONTENT_DEPTH, Domain, UnknownKind
from tests.consortium import NOON, event, key, member_id, stream_id

DOMAIN = Domain(131_277, b"\x01" * 20)
TO = sorted("0x" + member_id(name).hex() for name in ("nordrand", "oderland"))


def sealed(content: dict[str, Any] | None = None, **changes: Any) -> Envelope:
    arguments: dict[str, Any] = {
        "issuer": member_id("duero"),
        "kind": "epcis-event",
        "stream": stream_id("a"),
        "sequence": 1,
        "issued_at": NOON,
        "secret": sha256(b"secret").digest(),
        "signer": key("duero"),
        "domain": DOMAIN,
        **changes,
    }
    return Envelope.seal({"to": TO, **event()} if content is None else content, **arguments)


ENVELOPE = sealed(original='{"as": "it came"}')


def look(data: bytes) -> None:
    examine(data, DOMAIN, lambda kind, content: facts.check(kind, content, NOON))


def test_an_envelope_is_read_as_it_was_written() -> None:
    for one in (ENVELOPE, sealed(), Envelope(ENVELOPE.header, ENVELOPE.signature)):
        assert Envelope.parse(one.data) == one
        assert Envelope.parse(one.data).data == one.data


def test_what_is_examined_is_what_was_sealed() -> None:
    found = examine(ENVELOPE.data, DOMAIN, lambda kind, content: facts.check(kind, content, NOON))
    assert found.header == ENVELOPE.header
    assert found.digest == ENVELOPE.header.digest(DOMAIN)
    assert found.signer == key("duero").address
    assert found.audience == tuple(sorted((member_id("nordrand"), member_id("oderland"))))
    assert found.content == canonical.dump(ENVELOPE.content)
    assert (found.secret, found.original) == (ENVELOPE.secret, ENVELOPE.original)


def test_another_spelling_of_an_envelope_is_the_same_statement() -> None:
    spelled = orjson.dumps(ENVELOPE.as_json(), option=orjson.OPT_INDENT_2)
    check = lambda kind, content: facts.check(kind, content, NOON)  # noqa: E731
    assert examine(spelled, DOMAIN, check) == examine(ENVELOPE.data, DOMAIN, check)


def test_a_header_may_come_alone() -> None:
    found = examine(Envelope(ENVELOPE.header, ENVELOPE.signature).data, DOMAIN, lambda _kind, _content: None)
    assert (found.audience, found.content, found.secret) == (None, None, None)


def changed(**changes: Any) -> bytes:
    value = orjson.loads(ENVELOPE.data)
    for pointer, change in changes.items():
        at = value
        *steps, last = pointer.split("__")
        for step in steps:
            at = at[step]
        if change is ...:
            del at[last]
        else:
            at[last] = change
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"x": value}
    return value


SIGNATURE = "0x" + ENVELOPE.signature.hex()
CASES: dict[str, tuple[bytes, type[LedgerError], str | None]] = {
    "no object": (b"[]", MalformedInput, ""),
    "no header": (changed(header=...), MalformedInput, ""),
    "no signature": (changed(signature=...), MalformedInput, ""),
    "a member nobody knows": (changed(extra=1), MalformedInput, ""),
    "content without its secret": (changed(secret=...), MalformedInput, ""),
    "a secret without content": (changed(content=..., original=...), MalformedInput, ""),
    "content of null": (changed(content=None, secret=None), MalformedInput, ""),
    "an original of null": (changed(original=None), MalformedInput, ""),
    "content that is a list": (changed(content=[]), MalformedInput, "/content"),
    "an original that is no text": (changed(original={}), MalformedInput, "/original"),
    "an original without content": (changed(content=..., secret=...), MalformedInput, "/original"),
    "a short secret": (changed(secret="0x00"), MalformedInput, "/secret"),
    "a signature of 64 bytes": (changed(signature=SIGNATURE[:-2]), MalformedInput, "/signature"),
    "a signature of 66 bytes": (changed(signature=SIGNATURE + "00"), MalformedInput, "/signature"),
    "a signature with v of 0": (changed(signature=SIGNATURE[:-2] + "00"), BadSignature, None),
    "a signature in capitals": (changed(signature=SIGNATURE.upper()), MalformedInput, "/signature"),
    "a signature of nobody": (changed(signature="0x" + "00" * 64 + "1b"), BadSignature, None),
    "a header that lacks its kind": (changed(header__kind=...), MalformedInput, "/header"),
    "number zero": (changed(header__sequence=0), MalformedInput, "/header/sequence"),
    "a field changed": (changed(content__event__action="ADD"), ContentMismatch, None),
    "a field added": (changed(content__event__more=1), ContentMismatch, None),
    "a field removed": (changed(content__event__bizStep=...), ContentMismatch, None),
    "another secret": (changed(secret="0x" + "00" * 32), ContentMismatch, None),
    "another root": (changed(header__contentRoot="0x" + "00" * 32), ContentMismatch, None),
    "a float": (changed(content__event__kg=1.5), MalformedInput, "/content/event/kg"),
    "a key that is not ASCII": (changed(content__event__ä=1), MalformedInput, "/content/event"),
    "a key that is a number": (changed(content__event__epcList={"0": "x"}), MalformedInput, "/content/event/epcList"),
    "content too deep": (
        changed(content__event__deep=nested(MAX_CONTENT_DEPTH)),
        MalformedInput,
        "/content/event/deep" + "/x" * (MAX_CONTENT_DEPTH - 2),
    ),
    "a duplicate key": (
        ENVELOPE.data.replace(b'"action":', b'"action":"ADD","action":'),
        MalformedInput,
        "/content/event",
    ),
    "a literal beyond every float": (
        ENVELOPE.data.replace(b'"action":"OBSERVE"', b'"action":1e400'),
        MalformedInput,
        "/content/event/action",
    ),
    "half a surrogate pair": (
        ENVELOPE.data.replace(b'"action":"OBSERVE"', b'"action":"\\ud800"'),
        MalformedInput,
        "/content/event/action",
    ),
    "too long": (b" " * MAX_ENVELOPE_BYTES + ENVELOPE.data, MalformedInput, ""),
    "no JSON": (b"\xff", MalformedInput, ""),
}


@pytest.mark.parametrize(("data", "error", "where"), CASES.values(), ids=CASES.keys())
def test_what_does_not_fit_together_is_refused_with_its_place(
    data: bytes, error: type[LedgerError], where: str | None
) -> None:
    with pytest.raises(error) as caught:
        look(data)
    if where is not None:
        assert getattr(caught.value, "where", None) == where


SIGNED: dict[str, tuple[Envelope, type[LedgerError], str | None]] = {
    "an unknown kind": (sealed(kind="gossip"), UnknownKind, None),
    "an event with a member more": (sealed({"to": TO, **event(), "more": 1}), MalformedInput, "/content"),
    "an event without context": (sealed({"to": TO, "event": event()["event"]}), MalformedInput, "/content"),
    "a void without a reason": (sealed({"to": TO}, kind="void"), MalformedInput, "/content"),
    "a void with an empty reason": (sealed({"to": TO, "reason": ""}, kind="void"), MalformedInput, "/content/reason"),
    "a void that says too much": (
        sealed({"to": TO, "reason": "x" * 501}, kind="void"),
        MalformedInput,
        "/content/reason",
    ),
    "a replacement of nothing": (
        sealed({"to": TO, "reason": "sent twice", "replaces": "0x00"}, kind="void"),
        MalformedInput,
        "/content/replaces",
    ),
}


@pytest.mark.parametrize(("envelope", "error", "where"), SIGNED.values(), ids=SIGNED.keys())
def test_what_was_signed_well_must_also_be_what_its_kind_says(
    envelope: Envelope, error: type[LedgerError], where: str | None
) -> None:
    with pytest.raises(error) as caught:
        look(envelope.data)
    if where is not None:
        assert getattr(caught.value, "where", None) == where


def test_a_void_and_a_replacement_are_taken() -> None:
    look(sealed({"to": [], "reason": "sent twice"}, kind="void").data)
    look(sealed({"to": TO, **event(), "replaces": "0x" + "11" * 32}).data)


def test_a_signature_for_another_network_leads_to_nobody_we_know() -> None:
    found = examine(ENVELOPE.data, Domain(1, b"\x01" * 20), lambda _kind, _content: None)
    assert found.signer != key("duero").address


@pytest.mark.parametrize("depth", [MAX_CONTENT_DEPTH - 2])
def test_content_as_deep_as_may_be_reads_in_every_spelling(depth: int) -> None:
    envelope = sealed({"to": [], "event": nested(depth)})
    for data in (envelope.data, b" " + envelope.data):
        examine(data, DOMAIN, lambda _kind, _content: None)


def test_nothing_is_sealed_without_an_audience() -> None:
    with pytest.raises(MalformedInput, match="lists in `to`"):
        sealed({"event": 1})


@given(st.integers(0, len(ENVELOPE.data) - 1), st.integers(1, 255))
def test_a_byte_changed_is_refused_or_says_the_same(at: int, flip: int) -> None:
    data = bytearray(ENVELOPE.data)
    data[at] ^= flip
    try:
        found = examine(bytes(data), DOMAIN, lambda kind, content: facts.check(kind, content, NOON))
    except LedgerError:
        return
    whole = examine(ENVELOPE.data, DOMAIN, lambda kind, content: facts.check(kind, content, NOON))
    # Only two things are not under the signature: which key made it, and the original beside it.
    assert found._replace(original=whole.original) == whole or found.signer != whole.signer

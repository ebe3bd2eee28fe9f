"""Bundles forged from nothing: each proof in them holds, something else is odd, and both verifiers say the same."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.verify.forge import (
    CHECKPOINTS,
    START,
    Anchor,
    Change,
    Forgery,
    Said,
    address,
    admitted,
    forged,
    key_added,
    key_retired,
    key_revoked,
    member,
    operator_set,
    standing,
    topics,
)
from tests.verify.second import answers, essence, second

DUERO = (admitted(1, "duero"), key_added(1, "duero", "duero"))
MANY = {"to": [], "reason": "x", "a": 1, "b": [1, 2], "c": {}}
FOUR = ("v1", "v2", "v3", "v4")

SERVICE = (admitted(1, "service"), key_added(1, "service", "operator", purposes=24), operator_set(1, "operator"))
REPORT = Said(issuer="service", key="operator", kind="impact-report")
HERS = (*SERVICE, *DUERO, key_added(1, "duero", "hers", purposes=16))
"""A member has a key that may report."""

HOLD: dict[str, Forgery] = {
    "a report of the service": forged(changes=SERVICE, said=(REPORT,)),
    "a stress test of the service": forged(changes=SERVICE, said=(replace(REPORT, kind="stress-report"),)),
    "a report of the service, and a member's word": forged(
        changes=(*SERVICE, *DUERO), said=(REPORT, Said(stream=b"\x12" * 32)), anchors=(Anchor(9, 2),)
    ),
    "a report whose service is suspended": forged(
        changes=(*SERVICE, standing(3, "service", 2)), said=(replace(REPORT, void="member not active at anchor"),)
    ),
    "a report by a new operator's member": forged(
        changes=(*HERS, operator_set(10, "hers")), said=(replace(REPORT, issuer="duero", key="hers"),)
    ),
    "a plain one": forged(),
    "a key added in the anchor's own block": forged(changes=(admitted(1, "duero"), key_added(10, "duero", "duero"))),
    "a custodial key": forged(changes=(admitted(1, "duero"), key_added(1, "duero", "duero", custodial=True))),
    "a key for statements and nothing else": forged(
        changes=(admitted(1, "duero"), key_added(1, "duero", "duero", purposes=1))
    ),
    "retired a block after the anchor": forged(changes=(*DUERO, key_retired(2, "duero", "duero", 11))),
    "retired in the anchor's block": forged(
        changes=(*DUERO, key_retired(2, "duero", "duero", 10)), said=(Said(void="key retired before anchor"),)
    ),
    "revoked in the anchor's block": forged(
        changes=(*DUERO, key_revoked(10, "duero", "duero", START + 5)), said=(Said(void="key revoked before anchor"),)
    ),
    "revoked later, compromised since the anchor's second": forged(
        changes=(*DUERO, key_revoked(12, "duero", "duero", START + 10))
    ),
    "revoked later, compromised a second after the anchor": forged(
        changes=(*DUERO, key_revoked(12, "duero", "duero", START + 11))
    ),
    "retired and then revoked": forged(
        changes=(*DUERO, key_retired(2, "duero", "duero", 4), key_revoked(6, "duero", "duero", START)),
        said=(Said(void="key retired before anchor"),),
    ),
    "revoked and its member suspended": forged(
        changes=(*DUERO, standing(3, "duero", 2), key_revoked(6, "duero", "duero", START)),
        said=(Said(void="key revoked before anchor"),),
    ),
    "retired and its member suspended": forged(
        changes=(*DUERO, standing(3, "duero", 2), key_retired(4, "duero", "duero", 6)),
        said=(Said(void="key retired before anchor"),),
    ),
    "a member suspended": forged(
        changes=(*DUERO, standing(10, "duero", 2)), said=(Said(void="member not active at anchor"),)
    ),
    "a member suspended and reinstated in the anchor's block": forged(
        changes=(*DUERO, standing(4, "duero", 2), standing(10, "duero", 3))
    ),
    "a member suspended after the anchor": forged(changes=(*DUERO, standing(11, "duero", 2))),
    "a change after the checkpoint, of another": forged(changes=(*DUERO, admitted(3, "nordrand")), stated=2),
    "a key revoked after the checkpoint was signed": forged(
        changes=(*DUERO, key_revoked(9, "duero", "duero", START)),
        stated=2,
        said=(Said(void="key revoked before anchor"),),
    ),
    "registered five minutes before the anchor before": forged(
        anchors=(Anchor(400, 1, previous_time=START + 305),), said=(Said(registered_at=(START + 5) * 1000),)
    ),
    "registered a little earlier": forged(
        anchors=(Anchor(400, 1, previous_time=START + 305),), said=(Said(registered_at=(START + 5) * 1000 - 1),)
    ),
    "registered five minutes after its anchor": forged(said=(Said(registered_at=(START + 310) * 1000),)),
    "registered a little later": forged(said=(Said(registered_at=(START + 310) * 1000 + 1),)),
    "two anchors, the second of all": forged(
        said=(Said(), Said(sequence=2)), anchors=(Anchor(5, 1), Anchor(9, 2)), changes=DUERO
    ),
    "two anchors in one block": forged(said=(Said(), Said(sequence=2)), anchors=(Anchor(5, 1), Anchor(5, 2))),
    "an earlier anchor that covers fewer changes": forged(
        changes=(*DUERO, admitted(6, "nordrand")),
        said=(Said(), Said(sequence=2)),
        anchors=(Anchor(5, 1, changes=2), Anchor(9, 2)),
    ),
    "no field disclosed": forged(said=(Said(content=MANY, shown=()),)),
    "fields disclosed in order": forged(said=(Said(content=MANY, shown=("/a", "/b/1", "/to")),)),
    "sealed by three of four": forged(validators=FOUR, seal=(("v1", "v2", "v3"),)),
    "sealed by all": forged(validators=FOUR, seal=(FOUR,), attestor=None),
    "sealed by the only one": forged(validators=("v1",), seal=(("v1",),)),
    "pinned and attested": forged(pinned=True),
    "pinned and attested by nobody": forged(pinned=True, attestor=None, anchors=(Anchor(10, 1, attested_by=None),)),
    "a stream from its third number on": forged(said=(Said(sequence=3),)),
}

FAIL: dict[str, Forgery] = {
    "a stress test of a member": forged(
        changes=HERS, said=(replace(REPORT, kind="stress-report", issuer="duero", key="hers"),)
    ),
    "a report of a member": forged(changes=HERS, said=(replace(REPORT, issuer="duero", key="hers"),)),
    "a report with a key for statements": forged(
        changes=(*SERVICE, *DUERO), said=(replace(REPORT, issuer="duero", key="duero"),)
    ),
    "a report where nobody anchors": forged(changes=SERVICE[:2], said=(REPORT,)),
    "a report by whoever anchors another origin": forged(
        changes=(*SERVICE[:2], operator_set(1, "operator", "elsewhere.example.org/log")), said=(REPORT,)
    ),
    "a report by who anchored before": forged(changes=(*HERS, operator_set(10, "hers")), said=(REPORT,)),
    "another word of the service": forged(
        changes=(*SERVICE, key_added(1, "service", "more", purposes=1)), said=(Said(issuer="service", key="more"),)
    ),
    "a key added a block too late": forged(changes=(admitted(1, "duero"), key_added(11, "duero", "duero"))),
    "a key added after the checkpoint was signed": forged(stated=1),
    "a key of another member": forged(
        changes=(admitted(1, "duero"), admitted(1, "nordrand"), key_added(1, "nordrand", "duero"))
    ),
    "a key to sign in with": forged(changes=(admitted(1, "duero"), key_added(1, "duero", "duero", purposes=4))),
    "a key that nobody added": forged(changes=(admitted(1, "duero"),)),
    "a key that its own end is all that is known of": forged(
        changes=(admitted(1, "duero"), key_retired(2, "duero", "duero", 20))
    ),
    "a member who was never admitted": forged(changes=(key_added(1, "duero", "duero"),)),
    "one admitted twice": forged(changes=(*DUERO, admitted(3, "duero"))),
    "one key added twice": forged(changes=(*DUERO, key_added(3, "duero", "duero"))),
    "reinstated without having been suspended": forged(changes=(*DUERO, standing(3, "duero", 3))),
    "suspended after having been expelled": forged(
        changes=(*DUERO, standing(3, "duero", 4), standing(4, "duero", 2)),
        said=(Said(void="member not active at anchor"),),
    ),
    "hidden: retired before": forged(changes=(*DUERO, key_retired(2, "duero", "duero", 10))),
    "void for no reason": forged(said=(Said(void="key revoked before anchor"),)),
    "void for a reason that there is not": forged(said=(Said(void="because"),)),
    "an anchor under other changes": forged(anchors=(Anchor(10, 1, head=b"\x05" * 32),)),
    "the first anchor under other changes": forged(
        said=(Said(), Said(sequence=2)), anchors=(Anchor(5, 1, head=b"\x05" * 32), Anchor(9, 2))
    ),
    "a newest anchor that covers fewer changes": forged(anchors=(Anchor(10, 1, changes=1),)),
    "anchors whose blocks run backwards": forged(said=(Said(), Said(sequence=2)), anchors=(Anchor(9, 1), Anchor(5, 2))),
    "one anchor twice": forged(anchors=(Anchor(10, 1), Anchor(10, 1))),
    "two statements of one number": forged(
        said=(Said(), Said(registered_at=(START + 6) * 1000)), anchors=(Anchor(9, 2),)
    ),
    "two issuers in one stream": forged(
        changes=(*DUERO, admitted(1, "nordrand"), key_added(1, "nordrand", "nordrand")),
        said=(Said(), Said(issuer="nordrand", key="nordrand", sequence=2)),
        anchors=(Anchor(9, 2),),
    ),
    "a batch that no anchor covers": forged(said=(Said(), Said(sequence=2)), anchors=(Anchor(9, 2, previous=1),)),
    "fields disclosed out of order": forged(said=(Said(content=MANY, shown=("/to", "/a")),)),
    "a field disclosed twice": forged(said=(Said(content=MANY, shown=("/a", "/a")),)),
    "sealed by two of four": forged(validators=FOUR, seal=(("v1", "v2"),)),
    "sealed by one three times": forged(validators=FOUR, seal=(("v1", "v1", "v1"),)),
    "sealed by strangers": forged(validators=FOUR, seal=(("x1", "x2", "x3"),)),
    "sealed by three and a stranger": forged(validators=FOUR, seal=(("v1", "v2", "x1"),)),
    "attested by somebody else": forged(anchors=(Anchor(10, 1, attested_by="mallory"),)),
    "attested by nobody": forged(anchors=(Anchor(10, 1, attested_by=None),)),
    "pinned and attested by somebody else": forged(pinned=True, anchors=(Anchor(10, 1, attested_by="mallory"),)),
    "headers that are none": forged(pinned=True, more=(("headers", ["0xc0"]),)),
    "a content of digits": forged(said=(Said(content={"to": [], "7": "x"}),)),
    "a stream that ends before it begins": forged(
        more=(("streams", [{"stream": "0x" + "11" * 32, "first": 2, "last": 1}]),)
    ),
}


def changing(*changes: Change) -> Forgery:
    """A good bundle under a registry with these changes after the first two."""
    return forged(changes=(*DUERO, *changes))


def another(root: bytes = b"\x08" * 20, *after: int) -> list[Change]:
    """A second member with this root key, and what became of it: 2 suspended, 3 reinstated, 4 expelled."""
    words = second().words
    return [Change(2, 1, words(NORDRAND, root, bytes(32), 1)), *(standing(3, "nordrand", kind) for kind in after)]


def recorded(kind: int, *values: object) -> Change:
    return Change(4, kind, second().words(*values))


NORDRAND, OWN = member("nordrand"), member("duero")
REGISTRY: dict[str, Forgery] = {
    "another member, suspended": changing(*another(b"\x08" * 20, 2)),
    "another member, expelled": changing(*another(b"\x08" * 20, 4)),
    "suspended and expelled": changing(*another(b"\x08" * 20, 2, 4)),
    "suspended twice": changing(*another(b"\x08" * 20, 2, 2)),
    "expelled twice": changing(*another(b"\x08" * 20, 4, 4)),
    "expelled and reinstated": changing(*another(b"\x08" * 20, 4, 3)),
    "a member without an id": changing(recorded(1, bytes(32), b"\x08" * 20, bytes(32), 1)),
    "a root key that is zero": changing(*another(bytes(20))),
    "a root key that signs": changing(*another(address("duero"))),
    "a key that is a root key": changing(recorded(5, OWN, b"\x09" * 20, 7, 0)),
    "a key that is zero": changing(recorded(5, OWN, bytes(20), 7, 0)),
    "a key without a purpose": changing(recorded(5, OWN, b"\x07" * 20, 0, 0)),
    "a key with all purposes": changing(recorded(5, OWN, b"\x07" * 20, 63, 0)),
    "a key with a purpose too many": changing(recorded(5, OWN, b"\x07" * 20, 64, 0)),
    "a key of one suspended": changing(*another(b"\x08" * 20, 2), recorded(5, NORDRAND, b"\x07" * 20, 7, 0)),
    "a key of one expelled": changing(*another(b"\x08" * 20, 4), recorded(5, NORDRAND, b"\x07" * 20, 7, 0)),
    "an unknown key retired": changing(recorded(6, OWN, b"\x07" * 20, 20)),
    "a key retired by another": changing(*another(), recorded(6, NORDRAND, address("duero"), 20)),
    "retired twice": changing(key_retired(2, "duero", "duero", 20), key_retired(3, "duero", "duero", 30)),
    "retired in the past": changing(key_retired(12, "duero", "duero", 11)),
    "retired at once": changing(key_retired(12, "duero", "duero", 12)),
    "revoked and then retired": changing(
        key_revoked(12, "duero", "duero", START + 11), key_retired(13, "duero", "duero", 30)
    ),
    "revoked twice": changing(
        key_revoked(12, "duero", "duero", START + 11), key_revoked(13, "duero", "duero", START + 11)
    ),
    "retired by one suspended": changing(standing(12, "duero", 2), key_retired(13, "duero", "duero", 30)),
    "retired by one expelled": changing(standing(12, "duero", 4), key_retired(13, "duero", "duero", 30)),
    "revoked by one expelled": changing(standing(12, "duero", 4), key_revoked(13, "duero", "duero", START)),
    "compromised in the future": changing(key_revoked(12, "duero", "duero", START + 13)),
    "revoked and added again": changing(key_revoked(12, "duero", "duero", START + 11), key_added(13, "duero", "duero")),
    "another root key": changing(recorded(8, OWN, b"\x06" * 20, bytes(32))),
    "the same root key": changing(recorded(8, OWN, b"\x09" * 20, bytes(32))),
    "a root key of one suspended": changing(*another(b"\x08" * 20, 2), recorded(8, NORDRAND, b"\x06" * 20, bytes(32))),
    "a root key of one expelled": changing(*another(b"\x08" * 20, 4), recorded(8, NORDRAND, b"\x06" * 20, bytes(32))),
    "a relayer": changing(recorded(9, b"\x05" * 20), recorded(10, b"\x05" * 20)),
    "a relayer twice": changing(recorded(9, b"\x05" * 20), recorded(9, b"\x05" * 20)),
    "a relayer that was none": changing(recorded(10, b"\x05" * 20)),
    "a relayer that is zero": changing(recorded(9, bytes(20))),
    "no operator": changing(recorded(11, bytes(32), bytes(20))),
    "a quorum of two thirds": changing(recorded(12, 2, 3)),
    "a quorum of half": changing(recorded(12, 1, 2)),
    "a quorum of all": changing(recorded(12, 1, 1)),
    "a quorum of more than all": changing(recorded(12, 3, 2)),
    "a quorum of nothing": changing(recorded(12, 0, 0)),
    "something approved": changing(recorded(13, bytes(32))),
    "a kind that there is not": changing(recorded(14, bytes(32))),
    "a word too many": changing(recorded(13, bytes(32), bytes(32))),
    "an address with a thirteenth byte": changing(recorded(9, b"\x01" * 32)),
    "a flag of two": changing(recorded(1, NORDRAND, b"\x08" * 20, bytes(32), 2)),
    "blocks that run backwards": forged(changes=(admitted(3, "duero"), key_added(2, "duero", "duero"))),
}


def receipted(**parts: Any) -> Forgery:
    return forged(anchors=(Anchor(10, 1, **parts),))


RECEIPTS: dict[str, Forgery] = {
    "of an old transaction": receipted(prefix=b""),
    "of a list of accesses": receipted(prefix=b"\x01"),
    "of the type nought": receipted(prefix=b"\x00"),
    "of the last type": receipted(prefix=b"\x7f"),
    "of no type": receipted(prefix=b"\x80"),
    "of two types": receipted(prefix=b"\x02\x02"),
    "of a failure": receipted(status=b""),
    "of a status of two": receipted(status=b"\x02"),
    "of a state root": receipted(status=bytes(32)),
    "with another contract's event": receipted(others=((CHECKPOINTS[:-1] + b"\x09", (b"\x01" * 32,), b"x"),)),
    "with the same event of another contract": receipted(others=((b"\x09" * 20, topics(), bytes(192)),)),
    "with the event of another origin": receipted(others=((CHECKPOINTS, (topics()[0], b"\x09" * 32), bytes(192)),)),
    "with an event of one topic": receipted(others=((CHECKPOINTS, topics()[:1], bytes(192)),)),
    "with an event of three topics": receipted(others=((CHECKPOINTS, (*topics(), bytes(32)), bytes(192)),)),
    "with a contract of 19 bytes": receipted(others=((b"\x09" * 19, (), b""),)),
    "with a topic of 31 bytes": receipted(others=((b"\x09" * 20, (b"\x01" * 31,), b""),)),
    "with no event": receipted(times=0),
    "with the event twice": receipted(times=2),
    "with a word too many": receipted(more_data=bytes(32)),
    "with a byte too many": receipted(more_data=b"\x01"),
}


WRONG_FIELDS = [
    (0, bytes(31)), (1, b""), (1, bytes(33)), (2, b""), (2, bytes(21)), (3, b""), (4, b""), (6, b""), (6, bytes(255)),
    (7, b"\x00"), (7, b"\x01" * 33), (8, b"\x01" * 9), (8, b"\x00"), (9, b"\x00"), (10, b"\x00"), (11, b"\x01" * 9),
    (11, b"\x00"), (12, b"x" * 1000), (13, b""), (14, b""), (14, bytes(9)), (15, b"\x00"), (16, b""), (17, b"\x00"),
    (18, b"\x00"), (19, b""), (20, b""),
]  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize(("at", "value"), WRONG_FIELDS)
def test_a_header_with_another_field(at: int, value: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged(receipted(fields=21, bent=((at, value),)), tmp_path, capsys)


@pytest.mark.full
@pytest.mark.parametrize("count", range(14, 24))
def test_a_header_of_so_many_fields(count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged(receipted(fields=count), tmp_path, capsys)


@pytest.mark.parametrize("name", RECEIPTS)
def test_receipts(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged(RECEIPTS[name], tmp_path, capsys)


@pytest.mark.parametrize("name", REGISTRY)
def test_registries_odd_and_impossible(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged(REGISTRY[name], tmp_path, capsys)


ENDS = ("key revoked before anchor", "key retired before anchor", "member not active at anchor")


@pytest.mark.full
@pytest.mark.parametrize("reason", ENDS)
@pytest.mark.parametrize("retired", [None, 4, 6, 8])
@pytest.mark.parametrize("revoked", [None, 6])
@pytest.mark.parametrize("left", [None, 3, 7])
def test_the_reason_of_a_void_statement_is_one(
    reason: str,
    retired: int | None,
    revoked: int | None,
    left: int | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ends = [key_retired(2, "duero", "duero", retired)] if retired else []
    later = [standing(left, "duero", 2)] if left else []
    later += [key_revoked(revoked, "duero", "duero", START)] if revoked else []
    changes = (*DUERO, *ends, *sorted(later, key=lambda one: one.block))
    judged(forged(changes=changes, said=(Said(void=reason),)), tmp_path, capsys)


def test_contents_of_every_size_and_depth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for depth in (23, 24, 25, 27):
        content: dict[str, Any] = {}
        for _ in range(depth - 1):
            content = {"a": content}
        assert judged(forged(said=(Said(content=content),)), tmp_path, capsys) == int(depth > 24)
    for fields in (4096, 4097):
        assert judged(forged(said=(Said(content={"a": [0] * fields}),)), tmp_path, capsys) == int(fields > 4096)


def judged(case: Forgery, folder: Path, capsys: pytest.CaptureFixture[str]) -> int:
    bundle, trust = case.made()
    (folder / "bundle.json").write_text(json.dumps(bundle))
    (folder / "trust.json").write_text(json.dumps(trust))
    (code, said), (other_code, other_said) = answers(folder / "bundle.json", folder / "trust.json", capsys)
    assert (other_code, essence(other_said)) == (code, essence(said)), f"first: {said}\nsecond: {other_said}"
    return code


@pytest.mark.parametrize("name", HOLD)
def test_what_is_odd_and_holds(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert judged(HOLD[name], tmp_path, capsys) == 0


@pytest.mark.parametrize("name", FAIL)
def test_what_is_odd_and_does_not(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert judged(FAIL[name], tmp_path, capsys) == 1

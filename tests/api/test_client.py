"""The member's client against a real service on a socket, over a network that fails both ways."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from api.client import (
    LedgerClient,
    LogRewritten,
    ServiceRefused,
    ServiceUnreachable,
    UnfitAnswer,
    check_challenge,
)
from api.outbox import Draft, Outbox, State, UnreadableOutbox
from ledger_service.checkpoint import Checkpoint, Note, UnverifiedNote
from ledger_service.errors import MalformedInput
from ledger_service.evidence import verify_bundle
from ledger_service.keys import to_hex
from tests.api.fault_proxy import ANSWER_LOST, BUSY, NEVER_SENT, FaultProxy, fault_proxy
from tests.api.house import House, served
from tests.consortium import event, key, member_id, witness

NORDRAND = member_id("nordrand")


@dataclass
class Desk:
    """A member at its desk: an outbox of its own, a client, and what it waited."""

    house: House
    proxy: FaultProxy
    folder: Path
    pauses: list[float] = field(default_factory=list)

    def client(self, outbox: Outbox, name: str = "duero", patience: float = 5.0) -> LedgerClient:
        return LedgerClient(
            self.proxy.url,
            key(name),
            self.house.network.trust(),
            outbox,
            now=lambda: self.house.clock.now,
            sleep=self.pauses.append,
            patience_seconds=patience,
        )

    @property
    def path(self) -> Path:
        return self.folder / "outbox.sqlite"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with served(tmp_path_factory.mktemp("network")) as house:
        yield house


@pytest.fixture
def desk(running: House, tmp_path: Path) -> Iterator[Desk]:
    with fault_proxy(str(running.anyone.base_url)) as proxy:
        yield Desk(running, proxy, tmp_path)


def document(*numbers: int, **changes: Any) -> bytes:
    """An EPCIS document of one event for each number."""
    events = [event(number, **changes)["event"] for number in numbers]
    context = event()["context"]
    value = {"@context": context, "type": "EPCISDocument", "schemaVersion": "2.0", "epcisBody": {"eventList": events}}
    return json.dumps(value).encode()


# -- in ----------------------------------------------------------------------------------------------------------------


def test_what_is_signed_at_home_is_registered_anchored_and_verified_offline(desk: Desk) -> None:
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client:
        signed = client.sign_document(document(1, 2, 3), [NORDRAND])
        assert outbox.count(client.domain, State.WAITING) == 3
        done = client.submit()
        assert (done.registered, done.refused, len(done.promises)) == (3, (), 1)
        assert [one.header.sequence for one in signed.envelopes] == [1, 2, 3]
        assert outbox.count(client.domain, State.WAITING) == 0
        digest = signed.envelopes[0].header.digest(client.domain)
        desk.house.anchor()
        bundle = client.bundle({signed.envelopes[0].header.stream: (1, None)})
    with Outbox.open(desk.folder / "nordrand.sqlite") as outbox, desk.client(outbox, "nordrand") as reader:
        assert verify_bundle(bundle, reader.trust).statements == 3
        assert verify_bundle(reader.receipt(digest), reader.trust).statements == 1
        assert reader.explain(digest)["state"] == "anchored"
        assert any(to_hex(signed.envelopes[0].header.stream) == one["stream"] for one in reader.streams())


@pytest.mark.parametrize("faults", [[NEVER_SENT], [ANSWER_LOST], [ANSWER_LOST, NEVER_SENT, ANSWER_LOST]])
def test_after_a_lost_answer_the_same_bytes_are_sent_and_registered_once(desk: Desk, faults: list[str]) -> None:
    before = desk.house.network.ledger.size
    desk.proxy.next_faults = list(faults)
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client:
        client.sign_document(document(1, 2), [NORDRAND])
        done = client.submit()
    assert done.registered == 2
    assert {one.is_new for one in done.answers} == {ANSWER_LOST not in faults}
    assert desk.house.network.ledger.size == before + 2
    assert len(desk.proxy.bodies) == len(faults) + 1
    assert len(set(desk.proxy.bodies)) == 1


@pytest.mark.parametrize("fault", [NEVER_SENT, ANSWER_LOST])
def test_what_was_not_answered_in_time_waits_in_the_outbox_for_another_day(desk: Desk, fault: str) -> None:
    before = desk.house.network.ledger.size
    with Outbox.open(desk.path) as outbox, desk.client(outbox, patience=0) as client:
        client.sign_document(document(1), [NORDRAND])
        desk.proxy.next_faults = [fault]
        with pytest.raises(ServiceUnreachable, match="kept and goes out again"):
            client.submit()
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client:
        assert client.submit().registered == 1
    assert desk.house.network.ledger.size == before + 1


def test_a_busy_service_is_asked_again_when_it_says(desk: Desk) -> None:
    desk.proxy.next_faults = [BUSY]
    with Outbox.open(desk.path) as outbox, desk.client(outbox, patience=60) as client:
        client.sign_document(document(1), [NORDRAND])
        assert client.submit().registered == 1
    assert desk.pauses == [7.0]


def test_calls_are_cut_to_what_is_asked_for(desk: Desk) -> None:
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client:
        client.sign_document(document(1, 2, 3, 4, 5), [NORDRAND])
        done = client.submit(2)
        assert (done.registered, len(done.promises)) == (5, 3)
        client.sign_document(document(6, 7), [NORDRAND])
        assert len(client.submit(max_bytes=1).promises) == 2
    assert [len(body.splitlines()) for body in desk.proxy.bodies] == [2, 2, 1, 1, 1]


def test_a_stale_token_is_replaced_without_a_word(desk: Desk) -> None:
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client:
        assert client.member == member_id("duero")
        desk.house.clock.forward(3600)
        assert client.streams() is not None


def test_a_refused_statement_gives_its_number_back(desk: Desk) -> None:
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client:
        client.sign_document(document(1), [NORDRAND])
        client.now = lambda: desk.house.clock.now + 3_600_000
        (early,) = client.sign_document(document(2), [NORDRAND]).envelopes
        done = client.submit()
        assert (done.registered, len(done.refused)) == (1, 1)
        assert "later than the ledger's clock" in str(done.refused[0].reason)
        client.now = lambda: desk.house.clock.now
        again, after = client.sign_document(document(3, 4), [NORDRAND]).envelopes
        assert (early.header.sequence, again.header.sequence, after.header.sequence) == (2, 2, 3)
        assert client.submit().registered == 2


def test_a_number_that_holds_another_statement_is_not_given_out_again(desk: Desk) -> None:
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client:
        client.sign_document(document(1), [NORDRAND])
        client.submit()
    shutil.copy(desk.path, desk.folder / "older.sqlite")
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client:
        client.sign_document(document(2), [NORDRAND])
        assert client.submit().registered == 1
    with Outbox.open(desk.folder / "older.sqlite") as outbox, desk.client(outbox) as client:
        (envelope,) = client.sign_document(document(3), [NORDRAND]).envelopes
        assert "is taken by statement" in str(client.submit().refused[0].reason)
        kept = outbox.find(envelope.header.digest(client.domain))
        assert kept is not None
        assert kept.state is State.TAKEN
        (again,) = client.sign_document(document(3), [NORDRAND]).envelopes
        assert again.header.sequence == 3
        assert client.submit().registered == 1


def test_a_bad_event_keeps_its_document_at_home_unless_the_good_ones_are_wanted(desk: Desk) -> None:
    good, bad = event(1)["event"], event(2, action="LOOK")["event"]
    data = json.dumps({"@context": event()["context"], "eventList": [good, bad]}).encode()
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client:
        refused = client.sign_document(data, [NORDRAND])
        assert (refused.envelopes, len(refused.refused)) == ((), 1)
        assert refused.refused[0].problems[0].where == "/eventList/1/action"
        assert outbox.count(client.domain, State.WAITING) == 0
        assert len(client.sign_document(data, [NORDRAND], keep_good=True).envelopes) == 1


# -- what is not believed ----------------------------------------------------------------------------------------------


def _other_promise(answer: bytes) -> bytes:
    value = json.loads(answer)
    note = Note.parse(value["promise"])
    value["promise"] = str(Note(note.text.replace("\n2\n", "\n1\n"), note.signatures))
    return json.dumps(value).encode()


def _forged_promise(answer: bytes) -> bytes:
    value = json.loads(answer)
    value["promise"] = value["promise"][:-10] + "AAAAAAA=\n"
    return json.dumps(value).encode()


def _no_promise(answer: bytes) -> bytes:
    return json.dumps({**json.loads(answer), "promise": None}).encode()


def _another_digest(answer: bytes) -> bytes:
    value = json.loads(answer)
    value["results"][0]["digest"] = "0x" + "11" * 32
    return json.dumps(value).encode()


def _one_left_out(answer: bytes) -> bytes:
    value = json.loads(answer)
    del value["results"][0]
    return json.dumps(value).encode()


@pytest.mark.parametrize("bend", [_other_promise, _forged_promise, _no_promise, _another_digest, _one_left_out])
def test_an_answer_that_does_not_hold_leaves_everything_waiting(desk: Desk, bend: Any) -> None:
    desk.proxy.bend = bend
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client:
        client.sign_document(document(1, 2), [NORDRAND])
        with pytest.raises((UnfitAnswer, UnverifiedNote, MalformedInput)):
            client.submit()
        assert outbox.count(client.domain, State.WAITING) == 2
        desk.proxy.bend = None
        assert client.submit().registered == 2


def test_only_a_sign_in_for_our_own_key_is_ever_signed() -> None:
    address = key("duero").address
    wants = f"ledger wants you to sign in with your Ethereum account:\n{to_hex(address)}\n\nWords.\n"
    good = f"{wants}\nURI: https://ledger\nChain ID: 5"
    check_challenge(good, address, 5, "https://ledger")
    for bad in (
        "",
        good.replace(to_hex(address), to_hex(bytes(20))),
        good.replace("Chain ID: 5", "Chain ID: 6"),
        good.replace("wants you to sign in with", "takes all from"),
        good.replace("URI: https://ledger", "URI: https://ledger.evil"),
        good.replace("URI: https://ledger", "URI: [x"),
        "\n" + good,
    ):
        with pytest.raises(UnfitAnswer, match="nothing was signed"):
            check_challenge(bad, address, 5, "https://ledger")


def test_a_log_that_shrank_or_forked_is_refused(desk: Desk) -> None:
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client:
        client.sign_document(document(1), [NORDRAND])
        client.submit()
        desk.house.anchor()
        seen = Checkpoint.parse(client.checkpoint().text)
        assert outbox.last_seen(seen.origin) == seen
        client.checkpoint()
    forked = Checkpoint(seen.origin, seen.size, sha256(b"another history").digest())
    larger = Checkpoint(seen.origin, seen.size + 10, seen.root)
    older = Checkpoint(seen.origin, max(seen.size - 1, 1), sha256(b"never was").digest())
    for number, known in enumerate((forked, larger, older)):
        with Outbox.open(desk.folder / f"{number}.sqlite") as outbox, desk.client(outbox) as client:
            outbox.see(known)
            with pytest.raises(LogRewritten) as caught:
                client.checkpoint()
            assert (caught.value.known, caught.value.offered) == (known, seen)
            assert outbox.last_seen(seen.origin) == known


# -- witness -----------------------------------------------------------------------------------------------------------


def test_a_witness_cosigns_what_extends_its_last_word_and_refuses_what_does_not(desk: Desk) -> None:
    cosigner = witness("havelmark")
    with Outbox.open(desk.path) as outbox, desk.client(outbox, "havelmark") as client:
        desk.house.post("duero", "/v1/statements", content=desk.house.envelope(stream="w").data, headers=JSON)
        desk.house.anchor()
        first, is_new = client.cosign(cosigner)
        assert is_new
        assert client.cosign(cosigner) == (first, False)
        cosigner.verifier.verify(client.checkpoint(first.size))
        desk.house.post("duero", "/v1/statements", content=desk.house.envelope(stream="w").data, headers=JSON)
        desk.house.anchor()
        second, _ = client.cosign(cosigner)
        assert second.size == first.size + 1
        desk.house.post("duero", "/v1/statements", content=desk.house.envelope(stream="w").data, headers=JSON)
        desk.house.anchor()
        third = Checkpoint.parse(client.checkpoint().text)
    for number, known in enumerate(
        (
            Checkpoint(third.origin, third.size + 1, third.root),
            Checkpoint(third.origin, third.size, bytes(32)),
            Checkpoint(third.origin, second.size, bytes(32)),
        )
    ):
        with Outbox.open(desk.folder / f"w{number}.sqlite") as outbox, desk.client(outbox, "havelmark") as client:
            assert outbox.cosign(cosigner.name, None, known, "line")
            with pytest.raises(LogRewritten):
                client.cosign(cosigner)
            assert outbox.last_cosigned(third.origin, cosigner.name) == (known, "line")
            with pytest.raises(UnverifiedNote):
                cosigner.verifier.verify(client.checkpoint(third.size))


@pytest.mark.parametrize("fault", [NEVER_SENT, ANSWER_LOST])
def test_a_cosignature_is_on_disk_before_it_is_sent(desk: Desk, fault: str) -> None:
    cosigner = witness("havelmark")
    desk.house.post("duero", "/v1/statements", content=desk.house.envelope(stream="w").data, headers=JSON)
    desk.house.anchor()
    desk.proxy.about, desk.proxy.next_faults = "/v1/log/cosignatures", [fault]
    with Outbox.open(desk.path) as outbox, desk.client(outbox, "havelmark", patience=0) as client:
        with pytest.raises(ServiceUnreachable):
            client.cosign(cosigner)
        offered = Checkpoint.parse(client.checkpoint().text)
        last = outbox.last_cosigned(offered.origin, cosigner.name)
        assert last is not None
        assert last[0] == offered
        desk.house.clock.forward(30)
        assert client.cosign(cosigner) == (offered, False)
        assert last[1] in str(client.checkpoint())


def test_nobody_cosigns_for_a_witness_the_ledger_does_not_know(desk: Desk) -> None:
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client, pytest.raises(ServiceRefused):
        client.cosign(witness("mallory"))


# -- the outbox --------------------------------------------------------------------------------------------------------


def test_a_stream_is_one_source_and_one_audience_numbered_without_a_gap(desk: Desk) -> None:
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client:
        one = client.sign_document(document(1, 2), [NORDRAND], source="scanner").envelopes
        other = client.sign_document(document(3), [NORDRAND], source="gate").envelopes
        both = client.sign_document(document(4), [NORDRAND, member_id("oderland")], source="scanner").envelopes
        assert len({envelope.header.stream for envelope in (*one, *other, *both)}) == 3
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client:
        (third,) = client.sign_document(document(5), [NORDRAND], source="scanner").envelopes
        assert (third.header.stream, third.header.sequence) == (one[0].header.stream, 3)
        assert sorted(source for _, source in outbox.streams(client.domain)) == ["gate", "scanner", "scanner"]


def test_a_draft_that_cannot_be_signed_takes_no_number_from_the_others(desk: Desk) -> None:
    with Outbox.open(desk.path) as outbox:
        trust = desk.house.network.trust()
        keys: dict[str, Any] = {"issuer": member_id("duero"), "signer": key("duero"), "domain": trust.domain}
        good = Draft({"to": [to_hex(NORDRAND)], **event(1)})
        bad = Draft({"to": [to_hex(NORDRAND)], "event": {"weight": 1.5}, "context": []})
        with pytest.raises(MalformedInput):
            outbox.sign([good, bad], **keys, now=desk.house.clock.now, random=lambda size: sha256(b"x").digest()[:size])
        assert outbox.count(trust.domain, State.WAITING) == 0
        random = iter(range(100))
        (envelope,) = outbox.sign(
            [good],
            **keys,
            now=desk.house.clock.now,
            random=lambda size: sha256(next(random).to_bytes(4)).digest()[:size],
        )
        assert envelope.header.sequence == 1


def test_an_event_too_large_for_any_ledger_is_refused_before_it_takes_a_number(desk: Desk) -> None:
    large = {"example:note": "x" * (1 << 20)}
    with Outbox.open(desk.path) as outbox, desk.client(outbox) as client:
        with pytest.raises(MalformedInput, match="an envelope has at most 1048576 bytes"):
            client.sign_document(document(1, **large), [NORDRAND])
        (envelope,) = client.sign_document(document(1), [NORDRAND]).envelopes
        assert envelope.header.sequence == 1


def test_a_file_that_is_no_outbox_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    path.write_bytes(b"this is a letter, not a database" * 100)
    with pytest.raises(UnreadableOutbox):
        Outbox.open(path)


JSON = {"Content-Type": "application/json"}

"""In at the door and back out again: registration, its promise, receipts, bundles, streams and the log."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from api.service import operator_token
from ledger_service import merkle
from ledger_service.checkpoint import LogProof, Note, from_base64, to_base64
from ledger_service.evidence import Bundle, verify_bundle
from ledger_service.keys import from_hex, to_hex
from ledger_service.statements import log_entry
from tests.api.house import House, house
from tests.consortium import event, member_id, stream_id, witness


def test_a_statement_is_promised_registered_once_and_anchored(service: House) -> None:
    envelope = service.envelope(stream="once")
    first = service.send("duero", envelope.data)
    assert (first.status_code, first.json()["isNew"], first.json()["state"]) == (201, True, "registered")
    again = service.send("duero", envelope.data)
    assert (again.status_code, again.json()["isNew"]) == (200, False)
    assert again.json()["registeredAt"] == first.json()["registeredAt"]
    note = Note.parse(first.json()["promise"])
    service.network.ledger.log_key.verifier.verify(note)
    entry = log_entry(from_hex(first.json()["digest"], 32), envelope.signature, first.json()["registeredAt"])
    assert note.text.split("\n")[3:5] == ["1", to_base64(merkle.leaf_hash(entry))]

    service.anchor()
    told = service.get("nordrand", f"/v1/statements/{first.json()['digest']}").json()
    assert (told["state"], told["content"]["to"]) == ("anchored", [to_hex(member_id("nordrand"))])
    assert told["times"]["issued"] < told["times"]["anchored"]
    assert "position" not in str(told)
    assert "index" not in str(told)


def test_a_receipt_and_a_proof_come_with_the_anchor_and_verify_offline(service: House) -> None:
    envelope = service.envelope(stream="receipts")
    with service.network.ledger.anchoring.lane:
        digest = service.send("duero", envelope.data).json()["digest"]
        early = service.get("duero", f"/v1/statements/{digest}/receipt")
        assert (early.status_code, early.headers["Retry-After"]) == (409, "1")
        assert early.json()["type"].endswith("/not-yet-anchored")
        assert service.get("duero", f"/v1/statements/{digest}/explain").json()["state"] == "registered"
    service.anchor()
    trust = service.network.trust()
    receipt = Bundle.parse(service.get("nordrand", f"/v1/statements/{digest}/receipt").content)
    assert verify_bundle(receipt, trust).statements == 1
    proof = LogProof.parse(service.get("nordrand", f"/v1/statements/{digest}/proof").text)
    trust.log_key.verify(proof.note)
    assert service.get("nordrand", f"/v1/statements/{digest}/explain").json()["state"] == "anchored"


def test_sixteen_at_once_register_one_statement_once(service: House) -> None:
    envelope = service.envelope(stream="at once")
    service.token("duero")
    size = service.network.ledger.size
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: service.send("duero", envelope.data), range(16)))
    assert sorted(one.status_code for one in answers) == [200] * 15 + [201]
    assert len({one.json()["registeredAt"] for one in answers}) == 1
    assert service.network.ledger.size == size + 1


def test_a_batch_sent_again_gives_the_same_registrations(service: House) -> None:
    items = [service.envelope(stream="batch").data for _ in range(300)]
    first, again = service.send_batch("duero", items).json(), service.send_batch("duero", items).json()
    assert (first["registered"], again["registered"]) == (300, 0)
    keep = ("item", "digest", "registeredAt")
    assert [{k: one[k] for k in keep} for one in first["results"]] == [
        {k: one[k] for k in keep} for one in again["results"]
    ]
    json = service.post("duero", "/v1/statements/batch", content=b'{"statements":[' + b",".join(items[:3]) + b"]}",
                        headers={"Content-Type": "application/json"})  # fmt: skip
    assert [one["digest"] for one in json.json()["results"]] == [one["digest"] for one in first["results"][:3]]


def test_with_keep_good_each_item_has_its_result_in_order(service: House) -> None:
    items = [service.envelope(stream="mixed").data, b"{}", service.envelope(stream="mixed").data, b"nothing"]
    answer = service.send_batch("duero", items, "keep_good")
    assert [("digest" in one, one["item"]) for one in answer.json()["results"]] == [
        (True, 0), (False, 1), (True, 2), (False, 3),
    ]  # fmt: skip
    all_or_nothing = service.send_batch("duero", items)
    assert (all_or_nothing.status_code, [one["item"] for one in all_or_nothing.json()["results"]]) == (422, [1, 3])


def test_pages_follow_each_other_without_gap_or_repeat(service: House) -> None:
    for number in range(25):
        service.send("duero", service.envelope(stream="paged", content=event(number + 1)).data)
    stream = to_hex(stream_id("paged"))
    for params in ({"stream": stream}, {}):
        seen: list[str] = []
        after = None
        while True:
            page = service.get(
                "nordrand", "/v1/statements", limit=7, **params, **({"after": after} if after else {})
            ).json()
            seen += [one["digest"] for one in page["items"]]
            after = page["next"]
            if after is None:
                break
        assert len(seen) == len(set(seen))
        assert len(seen) >= 25
        assert "content" not in page["items"][0]


def test_a_cursor_is_good_for_one_reader_and_one_list_and_not_when_bent(service: House) -> None:
    for _ in range(3):
        service.send("duero", service.envelope(stream="cursors").data)
    cursor = service.get("nordrand", "/v1/statements", limit=1).json()["next"]
    assert service.get("nordrand", "/v1/statements", after=cursor).status_code == 200
    bent = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    for reader, path, given in (
        ("duero", "/v1/statements", cursor),
        ("nordrand", "/v1/streams", cursor),
        ("nordrand", "/v1/feed", cursor),
        ("nordrand", "/v1/statements", bent),
        ("nordrand", "/v1/statements", cursor[:10]),
    ):
        answer = service.get(reader, path, after=given)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (400, "foreign-cursor")
    narrowed = service.get("nordrand", "/v1/statements", after=cursor, stream=to_hex(stream_id("cursors")))
    assert narrowed.status_code == 400


def test_a_hole_is_shown_explained_and_after_a_day_a_finding(service: House) -> None:
    for sequence in (1, 2, 5):
        service.send("duero", service.envelope(stream="holes", sequence=sequence).data)
    stream = to_hex(stream_id("holes"))
    view = service.get("nordrand", f"/v1/streams/{stream}").json()
    assert (view["highest"], view["registered"]) == (5, 3)
    assert [(one["first"], one["last"]) for one in view["holes"]] == [(3, 4)]
    told = {n: service.get("nordrand", f"/v1/streams/{stream}/explain", sequence=n).json()["state"] for n in (2, 4, 9)}
    assert told[4] == "missing"
    assert told[9] == "unknown"
    assert told[2] in ("registered", "checkpointed", "anchored")
    assert not [one for one in service.get("nordrand", "/v1/findings").json()["items"] if one["stream"] == stream]
    rules = service.network.ledger.rules
    try:
        service.network.ledger.rules = type(rules)(stream_gap_after=0)
        found = [one for one in service.get("nordrand", "/v1/findings").json()["items"] if one["stream"] == stream]
    finally:
        service.network.ledger.rules = rules
    assert [(one["finding"], one["first"], one["last"]) for one in found] == [("stream hole", 3, 4)]


def test_erasure_is_the_issuers_and_leaves_the_proof(service: House) -> None:
    digest = service.send("duero", service.envelope(stream="erased").data).json()["digest"]
    path = f"/v1/statements/{digest}/content"
    by = {
        name: service.anyone.delete(path, headers=service.headers(name)).status_code
        for name in ("oderland", "nordrand")
    }
    assert by == {"oderland": 404, "nordrand": 403}
    assert service.anyone.delete(path, headers=service.headers("duero")).status_code == 204
    service.anchor()
    told = service.get("nordrand", f"/v1/statements/{digest}").json()
    assert told["erasedAt"]
    assert "content" not in told
    receipt = Bundle.parse(service.get("nordrand", f"/v1/statements/{digest}/receipt").content)
    assert verify_bundle(receipt, service.network.trust()).statements == 1


def test_a_bundle_discloses_what_was_asked_for(service: House) -> None:
    for _ in range(4):
        service.send("duero", service.envelope(stream="bundled").data)
    service.anchor()
    stream = to_hex(stream_id("bundled"))
    trust = service.network.trust()
    whole = service.post("nordrand", "/v1/bundles", json={"streams": [{"stream": stream}], "pin": True})
    assert verify_bundle(Bundle.parse(whole.content), trust).statements == 4
    some = service.post(
        "nordrand",
        "/v1/bundles",
        json={"streams": [{"stream": stream, "first": 2, "last": 3}], "fields": ["/event/action"]},
    )
    bundle = Bundle.parse(some.content)
    assert verify_bundle(bundle, trust).statements == 2
    assert [[field.path for field in one.disclosed] for one in bundle.statements] == [["/event/action"]] * 2
    unknown = service.post("nordrand", "/v1/bundles", json={"streams": [{"stream": stream}], "fields": ["/nothing"]})
    assert unknown.status_code == 400


def test_the_log_reads_as_c2sp_has_it(service: House) -> None:
    service.send_batch("duero", [service.envelope(stream="log").data for _ in range(280)])
    service.anchor()
    note = Note.parse(service.get("oderland", "/v1/log/checkpoint").text)
    service.network.trust().log_key.verify(note)
    _, size, root = note.text.split("\n")[:3]
    entries: list[bytes] = []
    for at in range(0, int(size), 256):
        width = min(256, int(size) - at)
        place = f"{at // 256:03}" + ("" if width == 256 else f".p/{width}")
        data = service.get("oderland", f"/v1/log/tile/entries/{place}").content
        entries += [data[i + 2 : i + 74] for i in range(0, len(data), 74)]
        hashes = service.get("oderland", f"/v1/log/tile/0/{place}").content
        assert hashes == b"".join(merkle.leaf_hash(one) for one in entries[at:])
    leaves = [merkle.leaf_hash(one) for one in entries]
    assert merkle.root(leaves) == from_base64(root, 32)
    assert service.get("oderland", "/v1/log/tile/1/000.p/1").content == merkle.root(leaves[:256])
    path = service.get("oderland", "/v1/log/consistency", old=100, new=int(size)).json()["path"]
    merkle.verify_consistency(
        100, int(size), merkle.root(leaves[:100]), merkle.root(leaves), [from_base64(one, 32) for one in path]
    )
    path = service.get("oderland", "/v1/log/inclusion", index=7, size=int(size)).json()["path"]
    merkle.verify_inclusion(leaves[7], 7, int(size), [from_base64(one, 32) for one in path], merkle.root(leaves))


def test_a_witness_cosigns_and_others_do_not(service: House) -> None:
    service.send("duero", service.envelope(stream="witnessed").data)
    service.anchor()
    note = Note.parse(service.get("havelmark", "/v1/log/checkpoint").text)
    size = int(note.text.split("\n")[1])
    text = {"Content-Type": "text/plain"}
    answers = {
        name: service.post("havelmark", f"/v1/log/cosignatures?size={size}", headers=text,
                           content=witness(name).sign(note.text, service.clock.seconds()).line.encode()).status_code
        for name in ("havelmark", "duero")
    }  # fmt: skip
    assert answers == {"havelmark": 204, "duero": 403}
    wrong = witness("havelmark").sign(note.text + "x\n", service.clock.seconds()).line.encode()
    assert (
        service.post("havelmark", f"/v1/log/cosignatures?size={size}", headers=text, content=wrong).status_code == 422
    )
    witness("havelmark").verifier.verify(Note.parse(service.get("duero", "/v1/log/checkpoint", size=size).text))


def test_events_are_signed_for_a_custodial_member_under_following_numbers(service: House) -> None:
    def document(*numbers: int) -> dict[str, object]:
        events = [event(number)["event"] for number in numbers]
        return {"@context": event()["context"], "type": "EPCISDocument", "schemaVersion": "2.0",
                "creationDate": "2026-09-18T15:00:00Z", "epcisBody": {"eventList": events}}  # fmt: skip

    to = to_hex(member_id("duero"))
    first = service.post("kleinwerk", "/v1/epcis/capture", json=document(1, 2), params={"to": to})
    second = service.post("kleinwerk", "/v1/epcis/capture", json=document(3), params={"to": to})
    assert (first.status_code, first.json()["registered"], second.json()["registered"]) == (201, 2, 1)
    digests = [one["digest"] for answer in (first, second) for one in answer.json()["results"]]
    heads = [service.get("duero", f"/v1/statements/{one}").json()["header"] for one in digests]
    assert [one["sequence"] for one in heads] == [1, 2, 3]
    assert len({one["stream"] for one in heads}) == 1
    assert service.get("nordrand", f"/v1/statements/{digests[0]}").status_code == 404

    bad = document(4, 5)
    bad["epcisBody"]["eventList"][0].pop("eventTime")  # type: ignore[index]
    refused = service.post("kleinwerk", "/v1/epcis/capture", json=bad, params={"to": to})
    assert (refused.status_code, [one["item"] for one in refused.json()["results"]]) == (422, [0])
    kept = service.post("kleinwerk", "/v1/epcis/capture", json=bad, params={"to": to, "on_error": "keep_good"})
    assert [("digest" in one, one["item"]) for one in kept.json()["results"]] == [(False, 0), (True, 1)]
    last = service.get("duero", f"/v1/statements/{kept.json()['results'][1]['digest']}").json()["header"]
    assert last["sequence"] == 4


def test_the_publisher_anchors_by_itself_and_health_says_so(service: House) -> None:
    digest = service.send("duero", service.envelope(stream="by itself").data).json()["digest"]
    deadline = time.monotonic() + 20

    def wait() -> None:
        assert time.monotonic() < deadline
        service.clock.forward(1)
        time.sleep(0.05)

    while service.get("duero", f"/v1/statements/{digest}").json()["state"] != "anchored":
        wait()
    while (ready := service.anyone.get("/health/ready")).json()["backlog"]:
        wait()  # the gateway of a custodial member may have left addresses meanwhile
    assert (ready.status_code, ready.json()["backlog"], ready.json()["reasons"]) == (200, 0, [])
    text = service.anyone.get("/metrics").text
    assert "tallystick_backlog 0.0" in text
    assert "0x" not in text


def test_a_dying_examiner_is_replaced_and_its_chunk_examined_again(tmp_path: Path) -> None:
    with house(tmp_path, workers=1) as running:
        items = [running.envelope().data for _ in range(500)]
        assert running.send_batch("duero", items[:10]).status_code == 201
        pool = running.app.state.service.examiners._pool
        for pid in list(pool._processes):
            os.kill(pid, signal.SIGKILL)
        assert running.send_batch("duero", items).json()["registered"] == 490
        assert running.app.state.service.examiners.replaced >= 1


def test_examiners_go_when_their_service_is_killed() -> None:
    script = (
        "import time\n"
        "from api.examination import Examiners\n"
        "from ledger_service.statements import Domain\n"
        "if __name__ == '__main__':\n"
        "    examiners = Examiners(Domain(1, bytes(20)), 2)\n"
        "    examiners.warm_up()\n"
        "    print(*examiners._pool._processes, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as service:
        assert service.stdout is not None
        examiners = [int(one) for one in service.stdout.readline().split()]
        service.kill()
    assert len(examiners) == 2
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{one}").exists() for one in examiners):
        assert time.monotonic() < deadline, "an examiner outlives its service"
        time.sleep(0.05)


def test_a_backup_opens_as_the_same_network(tmp_path: Path) -> None:
    with house(tmp_path / "first") as running:
        digest = running.send("duero", running.envelope().data).json()["digest"]
        running.anchor()
        operator = {"Authorization": f"Bearer {operator_token(running.network)}"}
        folder = tmp_path / "second"
        answer = running.anyone.post("/v1/operator/backup", json={"folder": str(folder)}, headers=operator)
        assert answer.json() == {"folder": str(folder), "size": 1}
        again = running.anyone.post("/v1/operator/backup", json={"folder": str(folder)}, headers=operator)
        assert (again.status_code, again.json()["type"].rpartition("/")[2]) == (409, "folder-not-empty")
        assert running.anyone.get("/v1/operator/check", headers=operator).json() == {"isClean": True, "violations": []}
        assert running.anyone.get("/v1/operator/status", headers=operator).json()["registered"] == 1
    with house(folder) as copy:
        assert copy.get("nordrand", f"/v1/statements/{digest}").json()["state"] == "anchored"

"""`tallystick verify` as a stranger runs it: what holds, and what is refused, by record, reason and exit code."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.cli.program import run
from ledger_service import blocks, canonical
from ledger_service.bundle import audit_bundle, receipt
from ledger_service.checkpoint import LOG_KEY, Checkpoint, Note, NoteKey
from ledger_service.keys import keccak, to_hex
from tests.consortium import Consortium, stream_id, witness

STREAM = stream_id("duero to nordrand")
OTHER = stream_id("nordrand to duero")


@dataclass(frozen=True)
class Evidence:
    """A folder with a trust file, a bundle of 100 statements, one with an overtaken statement, and a receipt."""

    folder: Path

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def bent(self, name: str, change: Callable[[Any], None]) -> str:
        """The path of a copy of `name` in which `change` was made."""
        value = json.loads((self.folder / name).read_bytes())
        change(value)
        path = self.folder / "bent.json"
        path.write_bytes(canonical.dump(value))
        return str(path)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    folder = tmp_path_factory.mktemp("evidence")
    consortium = Consortium(tmp_path_factory.mktemp("ledger"))
    ledger = consortium.ledger
    accepted = consortium.register(*[consortium.envelope() for _ in range(60)]).accepted
    consortium.publish()
    consortium.clock.forward(2)
    consortium.register(*[consortium.envelope() for _ in range(40)])
    consortium.publish()
    second = consortium.add_key("nordrand", "nordrand second")
    consortium.register(consortium.envelope("nordrand", ("duero",), signer=second))
    consortium.revoke_key("nordrand", "nordrand second")
    consortium.publish()
    note = ledger.anchoring.note()
    for name in ("havelmark", "duero"):
        line = witness(name).sign(note.text, consortium.clock.seconds()).line
        ledger.cosign(ledger.anchoring.checkpoint_size, line, [witness(name).verifier], consortium.clock.now)
    (folder / "bundle.json").write_bytes(audit_bundle(ledger, {STREAM: (1, None)}).data)
    (folder / "overtaken.json").write_bytes(audit_bundle(ledger, {OTHER: (1, None)}).data)
    (folder / "receipt.json").write_bytes(receipt(ledger, accepted[7].digest).data)
    (folder / "trust.json").write_bytes(canonical.dump(consortium.trust.as_json()))
    yield Evidence(folder)
    consortium.close()


def verify(evidence: Evidence, path: str, *options: str) -> int:
    return run(["verify", path, "--trust", evidence.path("trust.json"), *options])


# -- what holds --------------------------------------------------------------------------------------------------------


def test_a_whole_bundle_holds_and_the_verdict_says_how_far(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(evidence, evidence.path("bundle.json"), "--min-witnesses", "2") == 0
    said = capsys.readouterr().out
    for words in (
        "It holds: 100 statements",
        "strength        witnessed: members who watch the log",
        "as known at     block ",
        "witness.havelmark.example.org, witness.duero.example.org",
        "numbers 1 to 100, none missing",
        "findings        none",
        "does not prove  that the thing in the box was the thing on the label",
    ):
        assert words in said


def test_a_program_gets_the_same_verdict_as_json(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(evidence, evidence.path("receipt.json"), "--json") == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["verdict"], verdict["strength"], verdict["statements"]) == ("holds", "attested", 1)
    assert verdict["doesNotProve"]


def test_an_overtaken_statement_is_void_and_a_finding(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(evidence, evidence.path("overtaken.json")) == 0
    said = capsys.readouterr().out
    assert "1 void" in said
    assert "finding         void: key revoked before anchor" in said


# -- what does not -----------------------------------------------------------------------------------------------------


def _payload(bundle: Any) -> None:
    event = bundle["statements"][4]["content"]["event"]
    event["eventTime"] = event["eventTime"].replace("14:10", "14:11")


def _swapped(bundle: Any) -> None:
    one, other = bundle["statements"][0], bundle["statements"][1]
    one["signature"], other["signature"] = other["signature"], one["signature"]


def _other_leaf(bundle: Any) -> None:
    bundle["statements"][0]["inclusion"] = bundle["statements"][1]["inclusion"]


def _foreign_head(bundle: Any) -> None:
    checkpoint = Checkpoint.parse(Note.parse(bundle["head"]).text)
    text = Checkpoint("ledger.example.org/other", checkpoint.size, checkpoint.root).text
    foreign = NoteKey("ledger.example.org/other", LOG_KEY, bytes(range(32)))
    bundle["head"] = str(Note(text, (foreign.sign(text),)))


def _hidden_void(bundle: Any) -> None:
    del bundle["statements"][0]["void"]


def _forged_anchor(bundle: Any) -> None:
    """Another receipt in a block of one's own, under the attestation of the true one."""
    anchor = bundle["anchors"][0]
    leaf: Any = blocks.decode_rlp(bytes.fromhex(anchor["receiptProof"][0][2:]))
    node = blocks.encode_rlp((leaf[0], leaf[1][:-1] + bytes([leaf[1][-1] ^ 1])))
    fields: list[Any] = list(blocks.decode_rlp(bytes.fromhex(anchor["header"][2:])))
    fields[5] = keccak(node)
    anchor["receiptProof"] = [to_hex(node)]
    anchor["header"] = to_hex(blocks.encode_rlp(tuple(fields)))


def _missing_number(bundle: Any) -> None:
    del bundle["statements"][41]


def _dropped_change(bundle: Any) -> None:
    del bundle["changes"][4]


REFUSED: dict[str, tuple[str, Callable[[Any], None], str, str]] = {
    "a changed payload byte": ("bundle", _payload, "statement 5 of stream", "content was changed"),
    "a swapped signature": ("bundle", _swapped, "statement 1 of stream", "signature is not the registered one"),
    "a proof of another leaf": ("bundle", _other_leaf, "statement 1 of stream", "it is not entry 0 of the log"),
    "a checkpoint of another origin": ("bundle", _foreign_head, "head checkpoint", "your trust file is for"),
    "a key revoked before the anchor": ("overtaken", _hidden_void, "statement 1 of stream", "before the anchor"),
    "a forged anchor": ("bundle", _forged_anchor, "anchor of 60 statements", "attestor"),
    "a missing stream number": ("bundle", _missing_number, "stream 0x", "missing number 42"),
    "a dropped key change": ("bundle", _dropped_change, "membership and key changes", "one is missing"),
}


@pytest.mark.parametrize(("name", "change", "record", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_was_bent_is_refused_by_record_and_reason(
    evidence: Evidence,
    capsys: pytest.CaptureFixture[str],
    name: str,
    change: Callable[[Any], None],
    record: str,
    reason: str,
) -> None:
    path = evidence.bent(f"{name}.json", change)
    assert verify(evidence, path) == 1
    assert "does not hold" in (said := capsys.readouterr().err)
    assert any(record in line and reason in line for line in said.splitlines()), said
    assert verify(evidence, path, "--json") == 1
    failures = json.loads(capsys.readouterr().out)["failures"]
    assert any(one["record"].startswith(record) and reason in one["reason"] for one in failures)


def test_too_few_witnesses_are_too_few(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    def without_one(bundle: Any) -> None:
        bundle["head"] = "".join(
            line for line in bundle["head"].splitlines(keepends=True) if not line.startswith("— witness.duero")
        )

    assert verify(evidence, evidence.bent("bundle.json", without_one), "--min-witnesses", "2") == 1
    assert "witnesses: 1 of the 2 cosignatures" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"{}", "expected a file of format"),
        (b'{"format": "tallystick-bundle/1", "format": "tallystick-bundle/1"}', "comes twice"),
        (b'{"format": "tallystick-bundle/1\\u001b[2J"}', "tallystick-bundle/1"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_bundle_is_refused_without_a_trace_of_the_program(
    evidence: Evidence, capsys: pytest.CaptureFixture[str], data: bytes, reason: str
) -> None:
    path = evidence.folder / "no-bundle.json"
    path.write_bytes(data)
    assert verify(evidence, str(path)) == 1
    said = capsys.readouterr().err
    assert reason in said
    assert "Traceback" not in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify"], "Missing argument"),
        (["verify", "absent.json", "--trust", "TRUST"], "No such file"),
        (["verify", "BUNDLE", "--trust", "absent.json"], "there is no trust file"),
        (["verify", "BUNDLE", "--trust", "BUNDLE"], "is not a trust file"),
        (["verify", "BUNDLE", "--trust", "TRUST", "--min-witnesses", "-1"], "Invalid value"),
        (["trust", "show", "absent.json"], "there is no trust file"),
    ],
)
def test_wrong_usage_exits_with_2(
    evidence: Evidence, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    names = {"BUNDLE": evidence.path("bundle.json"), "TRUST": evidence.path("trust.json")}
    assert run([names.get(one, one) for one in arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_trust_file_is_shown_with_the_fingerprint_in_groups(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["trust", "show", evidence.path("trust.json"), "--json"]) == 0
    fingerprint = json.loads(capsys.readouterr().out)["fingerprint"]
    assert [len(group) for group in fingerprint.split(" ")] == [4] * 16
    assert run(["trust", "show", evidence.path("trust.json")]) == 0
    said = capsys.readouterr().out
    assert fingerprint[:39] in said
    assert "witness.duero.example.org" in said


# -- as a process ------------------------------------------------------------------------------------------------------

FOREIGN = ("web3", "sqlalchemy", "fastapi", "httpx", "eth", "eth_abi", "eth_tester", "eth_account", "eth_keyfile")


def process(evidence: Evidence, root: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> tuple[int, str, float]:
    """Exit code, output and seconds from start to exit."""
    command = [*prefix, sys.executable, "-P", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    start = time.monotonic()
    done = subprocess.run(
        command, cwd=evidence.folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout + done.stderr, time.monotonic() - start


def test_a_hundred_events_are_checked_in_a_process_of_its_own(evidence: Evidence, root: Path) -> None:
    """How long it takes is for the benchmarks to say; that nothing slow is loaded is held below."""
    code, said, _ = process(evidence, root, "-m", "api.cli", "verify", "bundle.json")
    assert code == 0, said


def test_verify_loads_neither_chain_nor_store_nor_web(evidence: Evidence, root: Path) -> None:
    watch = (
        "import sys\nfrom api.cli.program import run\n"
        "code = run(['verify', 'bundle.json'])\n"
        f"print('loaded:', sorted(name for name in {FOREIGN!r} if name in sys.modules))\nsys.exit(code)\n"
    )
    code, said, _ = process(evidence, root, "-c", watch)
    assert code == 0, said
    assert "loaded: []" in said, said


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_it_says_is_utf_8_in_every_locale(evidence: Evidence, root: Path, encoding: str) -> None:
    command = [sys.executable, "-P", "-m", "api.cli", "verify", "bündel.json", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, cwd=evidence.folder, env=environment, capture_output=True, check=False, timeout=60)
    assert (done.returncode, "bündel.json" in done.stderr.decode()) == (2, True), done.stderr


def test_verify_asks_nothing_of_the_network(evidence: Evidence, root: Path) -> None:
    """Held by Python's own audit events: a program that opens a socket raises one (PEP 578)."""
    watch = (
        "import sys\n"
        "sys.addaudithook(lambda event, _: sys.exit(f'asked for {event}') if event.startswith('socket.') else None)\n"
        "from api.cli.program import run\nsys.exit(run(['verify', 'bundle.json']))\n"
    )
    code, said, _ = process(evidence, root, "-c", watch)
    assert code == 0, said


@pytest.mark.full
def test_verify_works_with_the_network_cut(evidence: Evidence, root: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare is not here, so the network cannot be cut")
    prefix = (unshare, "--net", "--map-root-user")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody cut the network")
    code, said, _ = process(evidence, root, "-m", "api.cli", "verify", "bundle.json", prefix=prefix)
    assert code == 0, said

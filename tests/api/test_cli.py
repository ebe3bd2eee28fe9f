"""The command line of a member and of an operator, against a service on a socket; `verify` has a file of its own."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from api.cli import keystore
from api.cli.program import run
from api.cli.serving import PLACE, Serving
from api.network import Network, Plan
from api.outbox import Outbox
from api.settings import Settings
from ledger_service import keys
from ledger_service.checkpoint import Checkpoint
from ledger_service.keys import LocalKey, keccak, to_hex
from tests.consortium import event

ORIGIN = "ledger.example.org/cli"
MEMBERS = ("Duero", "Nordrand")


@dataclass(frozen=True)
class Place:
    """A folder with a network, the folders of its members, and the service's address while it runs."""

    folder: Path
    url: str

    def home(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def data(self) -> str:
        return str(self.folder / "network")


def make_member(folder: Path, name: str) -> Path:
    keystore.make_keys(
        folder / name,
        name=f"{name} (DEMO)",
        did=f"did:web:{name.lower()}.example.org",
        identifiers=(f"GLN:{name}",),
        purposes=keys.EVENTS | keys.LOGIN,
        is_witness=name == "Duero",
        passphrase=b"secret",
        random=os.urandom,
        scrypt_cost=2,
    )
    return folder / name / "member.json"


@pytest.fixture(autouse=True, scope="module")
def _environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TALLYSTICK_KEY_PASSPHRASE", "secret")
        patch.setenv("TALLYSTICK_PASSPHRASE", "the service's")
        yield


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    members = [json.loads(make_member(folder, name).read_bytes()) for name in MEMBERS]
    values: dict[str, Any] = {"data": folder / "network"}
    plan = Plan.of({"origin": ORIGIN, "members": members}, random=os.urandom)
    Network.found(Settings(**values), plan, secret=os.urandom(32), scrypt_cost=2)
    return folder


@pytest.fixture(scope="module")
def place(founded: Path) -> Iterator[Place]:
    values: dict[str, Any] = {
        "data": founded / "network",
        "workers": 0,
        "port": 0,
        "publish_interval_seconds": 0.02,
        "webhook_allowed_hosts": ("127.0.0.1:9",),
    }
    settings = Settings(**values)
    network = Network.open(settings)
    try:
        with Serving(network, settings).running() as url:
            for name in MEMBERS:
                assert run(["trust", "fetch", url, "--home", str(founded / name)]) == 0
            yield Place(founded, url)
    finally:
        network.close()


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonld"
    path.write_text(json.dumps({"@context": event()["context"], "eventList": [event(n)["event"] for n in (1, 2, 3)]}))
    return path


def signed(place: Place, events: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run(["sign", str(events), "--to", "Nordrand", "--home", place.home("Duero"), "--json", *options]) == 0
    statements: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["signed"]
    return statements


def test_the_record_of_a_unit_is_fetched_by_any_spelling_of_its_identifier_and_judged(
    place: Place, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signed(place, events, capsys, "--source", "record")
    assert run(["submit", "--home", place.home("Duero")]) == 0
    record, trust = str(tmp_path / "record.json"), str(Path(place.home("Nordrand")) / "trust.json")
    units = ["urn:epc:id:sscc:9521000.4000000001", "(00)495210000000000023"]
    assert run(["custody", "bundle", *units, "-o", record, "--home", place.home("Nordrand")]) == 0
    assert "0 steps of the chain" in capsys.readouterr().err
    members = str(Path(place.home("Nordrand")) / "members.json")
    assert run(["verify", record, "--trust", trust, "--members", members]) == 0
    said = capsys.readouterr().out
    assert "The record is whole." in said
    assert "held by Duero (DEMO)" in said
    assert run(["custody", "bundle", "nonsense", "--home", place.home("Nordrand")]) == 1
    assert "names no unit" in capsys.readouterr().err


# -- a member ----------------------------------------------------------------------------------------------------------


def test_a_members_events_go_the_whole_way_by_command(
    place: Place, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    duero, nordrand = place.home("Duero"), place.home("Nordrand")
    statements = signed(place, events, capsys, "--source", "gate")
    assert [one["sequence"] for one in statements] == [1, 2, 3]
    digest, stream = statements[0]["digest"], statements[0]["stream"]
    assert run(["explain", digest, "--home", duero]) == 0
    assert "not there: the ledger does not have it" in capsys.readouterr().out
    assert run(["submit", "--home", duero]) == 0
    said = capsys.readouterr().out
    assert "registered" in said
    assert f"tallystick.promise/v1\n{ORIGIN}\n" in said
    receipt, bundle = str(tmp_path / "receipt.json"), str(tmp_path / "bundle.json")
    assert run(["receipt", digest, "--home", nordrand, "--out", receipt]) == 0
    assert run(["witness", "--home", duero]) == 0
    assert re.search(r"witness\.duero\.example\.org cosigned .* at \d+ statements", capsys.readouterr().out)
    assert run(["bundle", "--stream", f"{stream}:1-3", "--home", nordrand, "--out", bundle]) == 0
    assert run(["explain", digest, "--home", nordrand]) == 0
    assert "anchored: block" in capsys.readouterr().out
    trust = str(place.folder / "Nordrand" / "trust.json")
    assert run(["verify", receipt, "--trust", trust]) == 0
    assert run(["verify", bundle, "--trust", trust, "--min-witnesses", "1"]) == 0


def test_envelopes_signed_elsewhere_are_sent_from_a_file_as_often_as_one_likes(
    place: Place, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    envelopes = tmp_path / "envelopes.ndjson"
    digests = [one["digest"] for one in signed(place, events, capsys, "--source", "file", "--out", str(envelopes))]
    (place.folder / "Duero" / "outbox.sqlite").rename(tmp_path / "lost.sqlite")
    for is_new in (True, False):
        assert run(["submit", str(envelopes), "--home", place.home("Duero"), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)["registered"]
        assert [one["digest"] for one in told] == digests
        assert {one["isNew"] for one in told} == {is_new}


def test_a_refused_event_is_listed_with_its_reason_and_nothing_is_signed(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = "https://id.gs1.org/00/395210040009260176"
    found = [event(1)["event"], event(2, epcList=[wrong])["event"], event(3, eventTimeZoneOffset=None)["event"]]
    path = tmp_path / "events.jsonld"
    path.write_text(json.dumps({"@context": event()["context"], "eventList": found}))
    command = ["sign", str(path), "--to", "GLN:Nordrand", "--home", place.home("Duero"), "--source", "bad"]
    assert run(command) == 1
    said = capsys.readouterr().err
    assert f"{path}/eventList/1 is refused" in said
    assert "/eventList/1/epcList/0: the check digit of" in said
    assert "/eventList/2" in said
    assert "nothing was signed" in said
    assert run([*command, "--keep-good", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (len(told["signed"]), [one["event"] for one in told["refused"]]) == (1, ["/eventList/1", "/eventList/2"])


def test_a_witness_refuses_a_log_that_shrank(
    place: Place, events: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    signed(place, events, capsys, "--source", "watched")
    assert run(["submit", "--home", place.home("Duero")]) == 0
    home = tmp_path / "witness"
    home.mkdir()
    for name in ("signing.json", "witness.json", "trust.json", "network.json"):
        (home / name).write_bytes((place.folder / "Duero" / name).read_bytes())
    with Outbox.open(home / "outbox.sqlite") as outbox:
        beyond = Checkpoint(ORIGIN, 10_000, bytes(32))
        assert outbox.cosign("witness.duero.example.org", None, beyond, "a line")
    capsys.readouterr()
    assert run(["witness", "--home", str(home)]) == 1
    assert "does not extend the checkpoint seen before" in capsys.readouterr().err


def test_another_trust_file_than_the_one_compared_is_not_taken_in_silence(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place.folder / "Nordrand" / "trust.json"
    compared = path.read_bytes()
    value = json.loads(compared)
    value["witnesses"] = []
    path.write_text(json.dumps(value))
    assert run(["trust", "fetch", place.url, "--home", place.home("Nordrand")]) == 2
    assert "another fingerprint" in capsys.readouterr().err
    path.write_bytes(compared)
    assert run(["trust", "fetch", place.url, "--home", place.home("Nordrand")]) == 0


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (
            ["sign", "EVENTS", "--to", "Nobody"],
            2,
            "is nobody in the directory, which has Duero (DEMO), Nordrand (DEMO)",
        ),
        (["sign", "absent.jsonld", "--to", "Nordrand"], 2, "absent.jsonld: No such file or directory"),
        (["sign", "EVENTS"], 2, "Missing option"),
        (["receipt", "0x12"], 2, "the statement's id: expected 0x and 64"),
        (["receipt", "0x" + "00" * 32], 1, "the service answered 404"),
        (["explain", "0x" + "00" * 32], 1, "neither the ledger nor our outbox knows"),
        (["bundle", "--stream", "0x" + "00" * 32], 1, "the service answered 404"),
        (["bundle", "--stream", "0x" + "00" * 32 + ":a-b"], 2, "write 0x…, 0x…:3 or 0x…:3-7"),
        (["submit", "--url", "http://127.0.0.1:9", "--patience", "0"], 1, "no answer from http://127.0.0.1:9"),
        (["keys", "list", "--home", "absent"], 2, "make them by `keys new`"),
        (["sign", "EVENTS", "--to", "Nordrand", "--home", "absent"], 2, "get it by `trust fetch URL`"),
        (["keys", "new", "Duero", "--did", "did:web:x.example.org", "--purposes", "love"], 2, "love is unknown"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence(
    place: Place, events: Path, capsys: pytest.CaptureFixture[str], command: list[str], code: int, said: str
) -> None:
    arguments = [str(events) if one == "EVENTS" else one for one in command]
    if "--home" not in arguments and command[0] != "nonsense":
        arguments += ["--home", place.home("Duero")]
    if command[0] == "submit":
        signed(place, events, capsys, "--source", "unreachable")
    assert run(arguments) == code
    told = capsys.readouterr().err
    assert said in told.replace("\n", " ")
    assert "Traceback" not in told


def test_the_wrong_passphrase_is_named_and_the_right_one_opens(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, right = tmp_path / "wrong", tmp_path / "right"
    wrong.write_text("another\n")
    right.write_text("secret\n")
    for name in ("signing", "witness"):
        path = str(place.folder / "Duero" / f"{name}.json")
        assert run(["keys", "show", path, "--check", "--passphrase-file", str(wrong)]) == 1
        assert "does not open with this passphrase" in capsys.readouterr().err
        assert run(["keys", "show", path, "--check", "--passphrase-file", str(right)]) == 0
        assert "the passphrase opens it" in capsys.readouterr().out


@pytest.mark.full  # four keys at full cost
def test_new_keys_are_encrypted_and_their_public_facts_are_enough_to_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["keys", "new", "Duero", "--did", "did:web:duero.example.org", "--home", str(tmp_path / "new")]
    assert run(command) == 0
    facts = json.loads((tmp_path / "new" / "member.json").read_bytes())
    next_root = json.loads((tmp_path / "new" / "next-root.json").read_bytes())["tallystick"]["public"]
    assert facts["nextRootHash"] == to_hex(keccak(bytes.fromhex(next_root[2:]).rjust(32, b"\x00")))
    assert facts["keys"][0]["purposes"] == ["events", "agreements", "login"]
    signer = keystore.open_signer(tmp_path / "new" / "signing.json", b"secret")
    assert facts["keys"][0]["address"] == to_hex(signer.address)
    assert (tmp_path / "new" / "signing.json").stat().st_mode & 0o077 == 0
    assert run(command) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


# -- an operator -------------------------------------------------------------------------------------------------------


def test_check_and_backup_go_through_the_running_service_and_restore_gives_the_same_ledger(
    place: Place, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = signed(place, events, capsys, "--source", "kept")[0]["digest"]
    assert run(["submit", "--home", place.home("Duero")]) == 0
    assert run(["receipt", digest, "--home", place.home("Duero"), "--out", str(tmp_path / "receipt.json")]) == 0
    capsys.readouterr()
    assert run(["check", "--data", place.data]) == 0
    assert "every invariant of the running service holds" in capsys.readouterr().out
    backup, restored = str(tmp_path / "backup"), str(tmp_path / "restored")
    assert run(["backup", backup, "--data", place.data]) == 0
    assert run(["backup", backup, "--data", place.data]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert run(["restore", backup, "--data", place.data]) == 1
    assert "nothing is ever restored over a ledger" in capsys.readouterr().err
    assert run(["restore", backup, "--data", restored]) == 0
    assert run(["check", "--data", restored, "--json"]) == 0
    said = capsys.readouterr().out
    assert json.loads(said[said.index("{") :]) == {"isClean": True, "violations": []}
    assert run(["backup", str(tmp_path / "again"), "--data", restored]) == 0


def test_a_backup_whose_halves_do_not_fit_is_not_restored(
    place: Place, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(["backup", str(first), "--data", place.data]) == 0
    digest = signed(place, events, capsys, "--source", "later")[0]["digest"]
    assert run(["submit", "--home", place.home("Duero")]) == 0
    assert run(["receipt", digest, "--home", place.home("Duero"), "--out", str(tmp_path / "receipt.json")]) == 0
    assert run(["backup", str(second), "--data", place.data]) == 0
    (second / "chain.sqlite").write_bytes((first / "chain.sqlite").read_bytes())
    capsys.readouterr()
    assert run(["restore", str(second), "--data", str(tmp_path / "restored")]) == 1
    assert "the chain was restored from an older copy" in capsys.readouterr().err
    assert not (tmp_path / "restored").exists()


def test_check_names_what_was_tampered_with(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    assert run(["backup", str(tmp_path / "copy"), "--data", place.data]) == 0
    connection = sqlite3.connect(tmp_path / "copy" / "ledger.sqlite")
    connection.execute("UPDATE statement SET registered_at = registered_at - 1 WHERE position = 0")
    connection.commit()
    connection.close()
    capsys.readouterr()
    assert run(["check", "--data", str(tmp_path / "copy")]) == 1
    assert "tallystick: " in capsys.readouterr().err
    assert run(["restore", str(tmp_path / "copy"), "--data", str(tmp_path / "restored")]) == 1
    assert not (tmp_path / "restored").exists()


def test_the_service_says_in_the_networks_folder_where_it_runs(place: Place) -> None:
    assert json.loads((Path(place.data) / PLACE).read_bytes())["url"] == place.url


def test_a_network_is_founded_from_what_its_members_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    members = [str(make_member(tmp_path, name)) for name in MEMBERS]
    command = ["init", "--origin", ORIGIN, "--data", str(tmp_path / "network")]
    assert run([*command, "--member", members[0], "--member", members[1]]) == 0
    said = capsys.readouterr().out
    assert f"founded {ORIGIN} with 2 members" in said
    assert re.search(r"\b([0-9a-f]{4} ){15}[0-9a-f]{4}\b", said)
    assert run([*command, "--member", members[0]]) == 1
    assert "holds a network already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({}, "a plan has origin and members"),
        ({"origin": ORIGIN, "members": [{"name": "x"}]}, "a member has name, did, rootKey"),
        ({"origin": ORIGIN, "members": [], "colour": "red"}, "a plan has origin and members"),
        ({"origin": "two words", "members": []}, "not the name of a key or a log"),
    ],
)
def test_a_plan_that_is_none_founds_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], plan: dict[str, Any], said: str
) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan))
    assert run(["init", "--plan", str(path), "--data", str(tmp_path / "data")]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "data" / "network.json").exists()


def test_a_folder_without_a_network_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["serve"], ["check"], ["backup", str(tmp_path / "backup")]):
        assert run([*command, "--data", str(tmp_path / "empty")]) == 1
        assert "holds no network" in capsys.readouterr().err


def test_a_secret_key_outside_the_group_is_drawn_again(tmp_path: Path) -> None:
    draws = iter([bytes(32), b"\xff" * 32, *(sha256(bytes([n])).digest() for n in range(10))])
    facts = keystore.make_keys(
        tmp_path,
        name="Duero",
        did="did:web:duero.example.org",
        identifiers=(),
        purposes=keys.EVENTS,
        is_witness=False,
        passphrase=b"secret",
        random=lambda size: next(draws).ljust(size, b"\x00")[:size] if size == 32 else bytes(size),
        scrypt_cost=2,
    )
    assert facts["rootKey"] == to_hex(LocalKey.from_bytes(sha256(bytes([0])).digest()).address)


# -- what a member is told ---------------------------------------------------------------------------------------------


def test_a_grant_is_given_seen_by_its_reader_and_ended(
    place: Place, events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statements = signed(place, events, capsys, "--source", "granted")
    duero, nordrand = ("--home", place.home("Duero")), ("--home", place.home("Nordrand"))
    assert run(["submit", *duero]) == 0
    assert run(["watch", "--once", *nordrand]) == 0
    capsys.readouterr()
    stream = statements[0]["stream"]
    options = ["--until", "2099-01-01T00:00:00Z", "--purpose", "Audit", "--stream", stream, "--field", "/event/action"]
    assert run(["grants", "give", "--to", "Nordrand", *options, *duero]) == 0
    grant = capsys.readouterr().out.strip()
    assert run(["grants", "end", grant, *duero]) == 0
    ended = capsys.readouterr().out.strip()
    told: list[dict[str, Any]] = []
    while len(told) < 2:
        assert run(["watch", "--once", "--json", *nordrand]) == 0
        told += [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["kind"], one["body"]["statement"]) for one in told] == [("grant", grant), ("grant", ended)]
    assert told[1]["body"]["corrects"] == grant
    assert run(["grants", "end", "0x" + "11" * 32, *duero]) == 2
    assert run(["grants", "give", "--to", "Nordrand", "--until", "tomorrow", "--purpose", "x", *duero]) != 0


def test_webhooks_are_kept_by_command(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    home = ("--home", place.home("Nordrand"))
    assert run(["webhooks", "add", "https://10.0.0.1/", *home]) == 1
    assert "public" in capsys.readouterr().err
    assert run(["webhooks", "add", "http://127.0.0.1:9/", "--kind", "overdue", "--json", *home]) == 0
    made = json.loads(capsys.readouterr().out)
    assert run(["webhooks", "rotate", made["id"], "--json", *home]) == 0
    assert json.loads(capsys.readouterr().out)["secret"] != made["secret"]
    assert run(["webhooks", "test", made["id"], *home]) == 1
    assert "ConnectError" in capsys.readouterr().out
    assert run(["webhooks", "list", *home]) == 0
    shown = capsys.readouterr().out
    assert made["id"] in shown
    assert made["secret"] not in shown
    assert run(["webhooks", "enable", made["id"], *home]) == 0
    assert run(["webhooks", "remove", made["id"], *home]) == 0
    assert run(["webhooks", "remove", made["id"], *home]) == 1

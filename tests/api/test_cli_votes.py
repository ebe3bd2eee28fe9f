"""What members decide together, by command: a custody policy voted in force, members and relayers, the quorum."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cli.gateway import Gateway
from api.cli.program import run
from api.cli.serving import Serving
from api.network import Network, Plan
from api.settings import Settings
from ledger_service.keys import to_hex
from tests.api.test_cli import Place, _environment, events, make_member

__all__ = ["_environment", "events"]
ORIGIN = "ledger.example.org/votes"
MEMBERS = ("Duero", "Nordrand", "Vltava")
SSCC = "https://id.gs1.org/00/495210000000000016"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("votes")
    members = [json.loads(make_member(folder, name).read_bytes()) for name in MEMBERS]
    values: dict[str, Any] = {"data": folder / "network", "workers": 0, "port": 0, "publish_interval_seconds": 0.02}
    settings = Settings(**values)
    Network.found(
        settings,
        Plan.of({"origin": ORIGIN, "members": members}, random=os.urandom),
        secret=os.urandom(32),
        scrypt_cost=2,
    )
    network = Network.open(settings)
    try:
        with Serving(network, settings).running() as url:
            for name in MEMBERS:
                assert run(["trust", "fetch", url, "--home", str(folder / name)]) == 0
            yield Place(folder, url)
    finally:
        network.close()


def vote(place: Place, file: str, *names: str) -> None:
    for name in names:
        assert run(["vote", "sign", file, "--home", place.home(name)]) == 0


def test_three_members_vote_a_policy_in_force_and_verify_says_so(
    place: Place, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = place.home("Duero")
    assert run(["policy", "show", "--home", home, "--json"]) == 0
    held = json.loads(capsys.readouterr().out)
    assert held["statement"] is None
    written, proposal = tmp_path / "policy.json", str(tmp_path / "proposal.json")
    written.write_text(
        json.dumps({**held["policy"], "registerWithinMinutes": 10_000_000, "deemAcceptedAfterMinutes": 4320})
    )
    assert run(["policy", "propose", str(written), "--out", proposal, "--home", home]) == 0
    assert run(["vote", "show", proposal, "--home", place.home("Nordrand")]) == 0
    shown = capsys.readouterr().out
    assert '"deemAcceptedAfterMinutes": 4320' in shown
    assert "0 of 2 votes that it takes" in shown

    vote(place, proposal, "Nordrand")
    assert run(["vote", "relay", proposal, "--home", home]) == 1, "it takes two of three"
    vote(place, proposal, "Vltava", "Duero")
    assert run(["vote", "relay", proposal, "--home", place.home("Vltava")]) == 0
    assert "decided: to approve 0x" in capsys.readouterr().out
    assert run(["vote", "relay", proposal, "--home", home]) == 0, "what is decided stays decided"
    capsys.readouterr()
    assert run(["policy", "show", "--home", place.home("Nordrand"), "--json"]) == 0
    held = json.loads(capsys.readouterr().out)
    assert held["policy"]["deemAcceptedAfterMinutes"] == 4320
    assert held["statement"] is not None

    assert run(["sign", str(events), "--to", "Nordrand", "--home", home]) == 0
    assert run(["submit", "--home", home]) == 0
    with Gateway(Path(home)).client() as client:
        bundle, hidden = client.custody_bundle(["(00)" + SSCC[-18:]])
    assert not hidden
    (tmp_path / "bundle.json").write_bytes(bundle.data)
    capsys.readouterr()
    verified = ["verify", str(tmp_path / "bundle.json"), "--trust", str(Path(home) / "trust.json")]
    assert run(verified) == 0
    assert f"Judged by the policy {held['statement'][:10]}…, voted in force" in capsys.readouterr().out
    assert run([*verified, "--json"]) == 0
    custody = json.loads(capsys.readouterr().out)["custody"]
    assert custody["policy"] == held["statement"]
    assert custody["answer"] == "whole"


PROPOSALS: dict[str, tuple[list[str], str]] = {
    "suspend": (["suspend", "Vltava"], "to suspend Vltava (DEMO)"),
    "expel": (["expel", "Vltava"], "to expel Vltava (DEMO)"),
    "reinstate": (["reinstate", "Vltava"], "to reinstate Vltava (DEMO)"),
    "relayer": (["add-relayer", "0x" + "11" * 20], "to let 0x1111"),
    "relayer gone": (["remove-relayer", "0x" + "11" * 20], "relay no longer"),
    "operator": (["operator", "0x" + "22" * 20], "anchor the log 0x"),
    "quorum": (["quorum", "3", "4"], "to have 3 of 4 voting members carry"),
    "root": (
        ["recover-root", "Vltava", "--root-key", "0x" + "33" * 20, "--next-root-hash", "0x" + "44" * 32],
        "to give Vltava (DEMO) the root key 0x3333",
    ),
    "approve": (["approve", "0x" + "55" * 32], "to approve 0x5555"),
}


@pytest.mark.parametrize("name", PROPOSALS)
def test_every_change_is_proposed_shown_and_signed_in_words(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    arguments, words = PROPOSALS[name]
    file, home = str(tmp_path / "proposal.json"), place.home("Duero")
    assert run(["vote", "propose", *arguments, "--out", file, "--home", home]) == 0
    assert words in capsys.readouterr().out
    assert run(["vote", "sign", file, "--home", home]) == 0
    assert run(["vote", "show", file, "--home", home, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert list(shown["votesCounted"].values()) == ["counts"]
    assert shown["threshold"] == 2


def test_relayers_and_members_come_by_vote(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A member is entered, admitted, and signs in with a key that another member relayed for it."""
    home = place.home("Duero")
    for arguments in (["add-relayer", "0x" + "66" * 20], ["quorum", "3", "4"]):
        file = str(tmp_path / f"{arguments[0]}.json")
        assert run(["vote", "propose", *arguments, "--out", file, "--home", home]) == 0
        vote(place, file, "Duero", "Nordrand")
        assert run(["vote", "relay", file, "--home", home]) == 0
    candidate = make_member(place.folder, "Cimo")
    capsys.readouterr()
    assert run(["enter", str(candidate), "--data", place.data]) == 0
    own_id = capsys.readouterr().out.strip()
    file = str(tmp_path / "admit.json")
    assert run(["vote", "propose", "admit", str(candidate), "--id", own_id, "--out", file, "--home", home]) == 0
    vote(place, file, "Duero", "Nordrand")
    assert run(["vote", "relay", file, "--home", home]) == 1, "now it takes three of three"
    assert "takes 3" in capsys.readouterr().err
    vote(place, file, "Vltava")
    assert run(["vote", "relay", file, "--home", home]) == 0
    with Gateway(Path(home)).client() as client:
        assert client.standing(bytes.fromhex(own_id[2:]))["voting"] is True


WRONG: dict[str, tuple[list[str], int, str]] = {
    "nobody": (["vote", "propose", "suspend", "Nobody"], 2, "is nobody in the directory"),
    "no proposal": (["vote", "show", "{}/events.jsonld"], 2, "is not a proposal"),
    "a policy that is none": (["policy", "propose", "{}/events.jsonld"], 2, "is not a policy"),
    "an address cut short": (["vote", "propose", "add-relayer", "0x11"], 1, "40 lower-case hexadecimal digits"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_voted_is_said_in_a_sentence(
    place: Place, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    command, code, said = WRONG[name]
    filled = [one.replace("{}", str(tmp_path)) for one in command]
    out = [] if "show" in filled else ["--out", str(tmp_path / "proposal.json")]
    assert run([*filled, *out, "--home", place.home("Duero")]) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "proposal.json").exists()


def test_a_vote_with_another_key_than_the_root_does_not_count(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, home = tmp_path / "proposal.json", place.home("Duero")
    assert run(["vote", "propose", "approve", "0x" + "77" * 32, "--out", str(file), "--home", home]) == 0
    vote(place, str(file), "Duero")
    value = json.loads(file.read_bytes())
    value["votes"].append({**value["votes"][0], "member": to_hex(Gateway(Path(place.home("Nordrand"))).member())})
    file.write_text(json.dumps(value))
    assert run(["vote", "relay", str(file), "--home", home]) == 1
    assert "Nordrand (DEMO) did not sign this" in capsys.readouterr().err

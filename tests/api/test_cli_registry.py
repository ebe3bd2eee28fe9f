"""A member's commands on its own keys: added, retired, revoked, and a root that is rotated."""

import json
from pathlib import Path

import pytest

from api.cli.keystore import KeyFile
from api.cli.program import run
from api.keyfiles import read_key_file
from ledger_service.keys import LocalKey, to_hex
from tests.api.test_cli import Place, _environment, events, founded, place, signed

__all__ = ["_environment", "events", "founded", "place"]


def view(place: Place, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    """Duero's keys by address, as the service tells Nordrand."""
    from api.cli.gateway import Gateway

    gateway = Gateway(Path(place.home("Nordrand")))
    with gateway.client() as client:
        found = next(one for one in client.members() if one["name"].startswith("Duero"))
    capsys.readouterr()
    return {one["address"]: one for one in found["keys"]}


def test_keys_come_and_go_by_command_and_a_revoked_one_signs_no_more(
    place: Place, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, file = place.home("Duero"), tmp_path / "second.json"
    assert run(["keys", "add", str(file), "--purposes", "events", "--home", home]) == 0
    second = KeyFile.read(file).public
    assert view(place, capsys)[second]["purposes"] == ["events"]
    assert run(["keys", "add", str(file), "--home", home]) == 2, "nothing is overwritten"

    assert run(["keys", "retire", second, "--home", home]) == 0
    said = capsys.readouterr().out
    until = view(place, capsys)[second]["until"]
    assert isinstance(until, int)
    assert f"counts until block {until - 1}" in said
    assert run(["keys", "retire", second, "--home", home]) == 1
    assert "AlreadyRetired" in capsys.readouterr().err

    assert run(["keys", "rotate-root", "--home", home]) == 0
    assert len(list(Path(home).glob("old-root-*.json"))) == 1
    assert not (Path(home) / "coming-root.json").exists()
    assert run(["keys", "rotate-root", "--home", home]) == 0, "and the one after"

    third = tmp_path / "third.json"
    assert run(["keys", "add", str(third), "--home", home]) == 0, "the new root is in office"
    assert run(["keys", "revoke", KeyFile.read(third).public, "--home", home]) == 0
    assert view(place, capsys)[KeyFile.read(third).public]["compromisedSince"] is not None

    last = signed(place, events, capsys, "--source", "after")[-1]["digest"]
    assert run(["submit", "--home", home]) == 0
    # It waits for the anchor, as a bundle does not.
    assert run(["receipt", last, "--home", home, "--out", str(tmp_path / "receipt.json")]) == 0
    assert run(["bundle", "--home", home, "--out", str(tmp_path / "bundle.json")]) == 0
    assert run(["witness", "--home", home]) == 0, "a witness follows a registry that only grew"
    trust = str(Path(home) / "trust.json")
    assert run(["verify", str(tmp_path / "bundle.json"), "--trust", trust]) == 0
    assert len(json.loads((tmp_path / "bundle.json").read_bytes())["changes"]) >= 6


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["keys", "add", "{}/x.json", "--purposes", "everything"], 2, "--purposes everything is unknown"),
        (["keys", "revoke", "0x12"], 1, "40 lower-case hexadecimal digits"),
        (["keys", "revoke", "0x" + "11" * 20, "--since", "yesterday"], 2, "is not a time"),
        (["keys", "revoke", "0x" + "11" * 20, "--since", "2026-09-24T08:00:00"], 2, "has no offset"),
        (["keys", "revoke", "0x" + "11" * 20], 1, "UnknownKey"),
        (["keys", "retire", "0x" + "11" * 20, "--block", "1"], 1, "UnknownKey"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], code: int, said: str
) -> None:
    filled = [one.replace("{}", str(tmp_path)) for one in command]
    assert run([*filled, "--home", place.home("Duero")]) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize("command", ["retire", "revoke"])
def test_the_last_key_that_signs_in_is_not_ended(
    place: Place, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    home = place.home("Nordrand")
    address = KeyFile.read(Path(home) / "signing.json").public
    assert run(["keys", command, address, "--home", home]) == 2
    assert "the only key that signs you in" in capsys.readouterr().err


def test_a_key_is_made_with_the_service_and_entrusted_by_its_member(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["custodial", "new", "Acme", "--data", place.data]) == 1
    assert "Acme is nobody in the directory" in capsys.readouterr().err
    assert run(["custodial", "new", "Duero", "--data", place.data]) == 0
    (path,) = (Path(place.data) / "custodial").glob("0x*.json")
    address = json.loads(path.read_bytes())["tallystick"]["public"]
    assert address in capsys.readouterr().out
    assert run(["custodial", "new", "Duero", "--data", place.data]) == 2, "nothing is overwritten"
    assert run(["keys", "entrust", address, "--home", place.home("Duero")]) == 0
    known = view(place, capsys)[address]
    assert (known["custodial"], known["purposes"]) == (True, ["events"])
    kept = read_key_file(path, b"the service's")
    assert to_hex(LocalKey.from_bytes(kept).address) == address
    assert run(["keys", "revoke", address, "--home", place.home("Duero")]) == 0

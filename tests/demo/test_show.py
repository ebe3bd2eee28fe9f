"""The demo as a newcomer runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from api.cli.program import run

pytestmark = pytest.mark.full
STORY = {
    "double-possession": ("needs-explaining", True),
    "late-registration": ("for-information", False),
    "quantity-not-conserved": ("needs-explaining", True),
    "unsigned-leg": ("for-information", False),
}
"""What the auditor finds, and nothing else."""
TOLD = (
    "15,360 vehicles (W50 3,840, W51 4,800, W52 2,880, W1 3,840)",
    "EUR 491.52 M",
    "41 working days of cover",
    "Zhoushan: it is hit itself",
    "tier 3, East Asia",
    "are alerted at the same moment",
    "loses 800 vehicles, with the airlift too 0",
    "979,200 magnets in 5 loads",
    "The report follows from the view, to the byte.",
)
"""What the risk manager is told."""


def command(root: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    return [sys.executable, "-P", "-m", "api.cli", "demo", *arguments], {**os.environ, "PYTHONPATH": str(root)}


def test_once_it_goes_the_whole_way_and_leaves_bundle_and_trust(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, environment = command(root, "--once", "--out", str(tmp_path))
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=200, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DEMO" in done.stdout.splitlines()[1]
    assert "It holds: " in done.stdout
    assert "its content was changed" in done.stdout
    assert "WrongSequence" in done.stdout, "the chain refused the second handoff"
    for told in TOLD:
        assert told in done.stdout, done.stdout
    endings = (".html", ".json", ".pdf", "-view.json")
    impact = {f"impact-{company}{end}" for company in ("havelmark", "nordrand") for end in endings}
    files = {"bundle.json", "impact-bundle.json", "members.json", "report.pdf", "trust.json", *impact}
    assert {path.name for path in tmp_path.iterdir()} == files
    trust = str(tmp_path / "trust.json")
    assert run(["verify", str(tmp_path / "bundle.json"), "--trust", trust, "--min-witnesses", "2", "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["strength"], len(verdict["witnesses"])) == ("witnessed", 2)
    record = verdict["custody"]
    assert record["answer"] == "whole with reservations"
    assert {one["finding"]: (one["weight"], bool(one["explainedBy"])) for one in record["findings"]} == STORY
    assert len(record["findings"]) == len(STORY)


def test_it_serves_until_it_is_told_to_stop_and_is_whole(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE_FILE", str(tmp_path / "demo" / "passphrase"))
    monkeypatch.setenv("TALLYSTICK_KEY_PASSPHRASE", "demo")
    line, environment = command(root, "--data", str(tmp_path / "demo"), "--port", "0")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(line, env=environment, stdout=log, stderr=log, cwd=tmp_path)
    try:
        end = time.monotonic() + 180
        while "Ctrl-C" not in (tmp_path / "log").read_text():
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < end
            time.sleep(0.2)
        home = str(tmp_path / "demo" / "members" / "duero")
        event = tmp_path / "event.jsonld"
        event.write_text(json.dumps(EVENT))
        assert run(["sign", str(event), "--to", "Nordrand", "--home", home]) == 0
        assert run(["submit", "--home", home]) == 0
        assert run(["witness", "--home", home]) == 0
        assert run(["check", "--data", str(tmp_path / "demo" / "network")]) == 0
        assert "every invariant of the running service holds" in capsys.readouterr().out
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, (tmp_path / "log").read_text()
    assert run(["check", "--data", str(tmp_path / "demo" / "network")]) == 0


EVENT = {
    "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
    "type": "ObjectEvent",
    "eventTime": "2026-10-12T07:45:00+02:00",
    "eventTimeZoneOffset": "+02:00",
    "epcList": ["urn:epc:id:sscc:9521004.3000926999"],
    "action": "OBSERVE",
    "bizStep": "shipping",
}

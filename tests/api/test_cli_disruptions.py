"""Disruptions and alerts on the command line, against a service on a socket."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.cli.program import run
from tests.api.test_cli import Place, _environment, founded, place

__all__ = ["_environment", "founded", "place"]

SITE = "https://duero.example.org/site/1"


def form(number: str, **more: Any) -> dict[str, Any]:
    begins = datetime.now(UTC) + timedelta(days=1)
    given = {"what": "fire", "status": "Actual", "number": number, "where": {"sites": [SITE]}, "sure": "Observed"}
    return {**given, "from": begins.isoformat(timespec="seconds"), **more}


def said(capsys: pytest.CaptureFixture[str], *command: str) -> Any:
    """What a command answers with --json."""
    capsys.readouterr()
    assert run([*command, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_a_form_is_signed_here_sent_listed_and_given_back(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", place.home("Duero")]
    path = tmp_path / "form.json"
    path.write_text(json.dumps(form("7")))
    add = ["risk", "disruption", "add", str(path), "--format", "form", "--to", "Nordrand", "--anyway", *home]
    (digest,) = said(capsys, *add)["statements"]
    assert digest.startswith("0x")
    until = time.monotonic() + 20
    while not (items := said(capsys, "risk", "disruption", "list", *home)["items"]):
        assert time.monotonic() < until
    (one,) = items
    assert [each["statement"] for each in one["reports"]] == [digest]
    out = tmp_path / "out.json"
    theirs = ["--home", place.home("Nordrand")]
    assert run(["risk", "disruption", "show", one["key"], "--format", "form", "--out", str(out), *theirs]) == 0
    assert out.read_bytes() == path.read_bytes()
    assert run(["risk", "disruption", "show", one["key"], "--format", "cap", "--out", str(out), *theirs]) == 0
    assert b"<status>Actual</status>" in out.read_bytes()
    capsys.readouterr()
    assert run(["risk", "disruption", "list", *home]) == 0
    listed = capsys.readouterr()
    assert one["key"] in listed.out
    assert "neither owns nor deals with" in listed.err, "nobody has described the site"


def test_what_would_count_for_nothing_is_not_signed(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", place.home("Nordrand")]
    path = tmp_path / "form.json"
    add = ["risk", "disruption", "add", str(path), "--format", "form", *home]
    sent = datetime.now(UTC).isoformat(timespec="seconds")
    path.write_text(json.dumps(form("1", sent=sent)))
    assert run([*add, "--anyway"]) == 0
    until = time.monotonic() + 20
    while not said(capsys, "risk", "disruption", "list", *home)["items"]:
        assert time.monotonic() < until
    path.write_text(json.dumps(form("1", sent=sent, what="flood")))
    assert run(add) == 1
    assert "the first one holds" in capsys.readouterr().err
    before = said(capsys, "risk", "disruption", "list", *home)["items"]
    path.write_text(json.dumps(form("3")))
    assert run(add) == 1
    refused = capsys.readouterr()
    assert "neither owns nor deals with" in refused.err
    assert "add --anyway" in refused.err
    assert said(capsys, "risk", "disruption", "list", *home)["items"] == before
    path.write_text(json.dumps(form("2", left="half")))
    assert run(add) == 2
    assert "expected a number" in capsys.readouterr().err
    for command in (["--format", "pdf"], ["--format", "form", "--home", str(tmp_path)]):
        assert run(["risk", "disruption", "add", str(tmp_path / "none"), *command]) == 2


def test_thresholds_are_kept_and_alerts_listed(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", place.home("Nordrand")]
    changed = said(capsys, "risk", "threshold", "--days", "3", "--revenue", "100", "--exercises", "--summary-at",
                   "06:30+02:00", "--remind-after", "none", *home)  # fmt: skip
    assert changed == {
        "exercises": True,
        "remindAfterMinutes": None,
        "revenueMinorUnits": 100,
        "standstillDays": 3,
        "summaryAt": "06:30+02:00",
    }
    assert said(capsys, "risk", "threshold", "--revenue", "none", *home) == changed | {"revenueMinorUnits": None}
    assert said(capsys, "risk", "alerts", *home) == []
    assert run(["risk", "alerts", "--open", *home]) == 0
    assert run(["risk", "threshold", *home]) == 0
    assert "never reminded" in capsys.readouterr().out
    assert run(["risk", "acknowledge", "7", "--role", "risk manager", *home]) == 1
    assert "no alert 7" in capsys.readouterr().err
    assert run(["risk", "threshold", "--revenue", "much", *home]) == 2

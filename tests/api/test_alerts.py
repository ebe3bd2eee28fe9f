"""Alerts: told to all concerned at the same moment, to each only its own, once, whatever is killed when."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.feed import iso
from api.impact.alerts import Alerts, Wishes
from api.notices import Told
from api.service import Service
from ledger_service.errors import MalformedInput
from ledger_service.instants import instant
from ledger_service.keys import to_hex
from ledger_service.store.tables import statement
from tests.api.house import House, still
from tests.api.impact.flood import CASTINGS, DAY, chain, flood
from tests.consortium import member_id

HOUR = 3_600_000
KINDS = {Told.IMPACT_ALERT, Told.IMPACT_CLEARED, Told.IMPACT_REMINDER, Told.RISK_SUMMARY}


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose members have stated their supply, as it lies on disk."""
    folder = tmp_path_factory.mktemp("network")
    with still(folder) as running:
        chain(running)
        running.anchor()
    return folder


@pytest.fixture
def service(founded: Path, tmp_path: Path) -> Iterator[House]:
    shutil.copytree(founded, tmp_path / "network")
    with still(tmp_path / "network") as running:
        yield running


def alerts(running: House) -> Alerts:
    inside: Service = running.app.state.service
    return inside.alerts


def settle(running: House) -> None:
    """Let the service do all there is to do about alerts."""
    running.sign_out()  # tokens end sooner than the days that are let go by
    running.anchor()
    while any(
        task(running.clock.now)
        for task in (alerts(running).raise_new, alerts(running).summarise, alerts(running).remind)
    ):
        running.anchor()


def told(running: House, who: str) -> list[tuple[str, dict[str, Any]]]:
    """The notices of a member that are about alerts."""
    items = running.get(who, "/v1/notices").json()["items"]
    return [(one["kind"], one["body"]) for one in items if one["kind"] in KINDS]


def wish(running: House, who: str, **wishes: Any) -> None:
    answer = running.post(who, "/v1/risk/threshold", json=wishes)
    assert answer.status_code == 200, answer.text


def listed(running: House, who: str, **params: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = running.get(who, "/v1/risk/alerts", **params).json()["items"]
    return items


def test_all_who_lose_something_are_alerted_at_once_each_of_its_own_report(service: House) -> None:
    flood(service, "1")
    settle(service)
    for who in ("havelmark", "nordrand", "duero"):
        ((kind, body),) = told(service, who)
        assert (kind, body["alert"], body["status"], body["what"]) == (Told.IMPACT_ALERT, 1, "Actual", "alert")
        report = service.get(who, f"/v1/risk/reports/{body['report']}").json()
        assert report["content"]["reader"] == to_hex(member_id(who))
        assert report["content"]["effect"]["stops"]
    moments = {listed(service, who)[0]["toldAt"] for who in ("havelmark", "nordrand", "duero")}
    assert len(moments) == 1
    for who in ("oderland", "kleinwerk"):
        assert told(service, who) == []
        assert listed(service, who) == []
        assert service.get(who, "/v1/risk/reports").json()["items"] == []


def test_no_notice_and_no_alert_names_another_member_or_its_site(service: House) -> None:
    flood(service, "1")
    settle(service)
    names = {name: to_hex(member_id(name)) for name in ("havelmark", "nordrand", "duero")}
    for who in names:
        text = str(told(service, who)) + str(listed(service, who))
        assert not any(other in text for other in names.values())
        assert CASTINGS not in text


def test_nobody_is_told_before_all_are_assessed_and_nothing_twice(service: House) -> None:
    flood(service, "1")
    running = alerts(service)
    while not told(service, "duero"):
        assert not told(service, "havelmark")
        assert running.raise_new(service.clock.now)
    assert told(service, "havelmark")
    before = [told(service, who) for who in ("havelmark", "nordrand", "duero")]
    settle(service)
    settle(service)
    assert [told(service, who) for who in ("havelmark", "nordrand", "duero")] == before


def test_an_exercise_waits_for_the_summary_unless_the_member_wants_otherwise(service: House) -> None:
    wish(service, "nordrand", exercises=True)
    wish(service, "duero", summaryAt="06:00-03:00")
    flood(service, "1", "Exercise")
    settle(service)
    assert [kind for kind, _ in told(service, "nordrand")] == [Told.IMPACT_ALERT]
    assert told(service, "havelmark") == []
    (waiting,) = listed(service, "havelmark")
    assert (waiting["status"], waiting["toldAt"], waiting["asks"]) == ("Exercise", None, False)
    for hours in range(1, 26):
        service.clock.forward(3600)
        settle(service)
        assert bool(told(service, "havelmark")) == (service.clock.now >= due(waiting["at"], 6)), hours
        assert bool(told(service, "duero")) == (service.clock.now >= due(waiting["at"], 9)), hours
    ((kind, body),) = told(service, "havelmark")
    assert kind == Told.RISK_SUMMARY
    assert [one["alert"] for one in body["alerts"]] == [1]
    assert service.get("havelmark", f"/v1/risk/reports/{body['alerts'][0]['report']}").status_code == 200


def due(at: int, hour: int) -> int:
    """The next time after `at` that it is so many hours UTC."""
    start = at // DAY * DAY + hour * HOUR
    return start if start > at else start + DAY


@pytest.mark.parametrize(
    ("wishes", "interrupts"),
    [
        ({"standstillDays": 3650}, False),
        ({"standstillDays": 3650, "revenueMinorUnits": 1}, True),
        ({"standstillDays": 3650, "revenueMinorUnits": 10**15}, False),
        ({"standstillDays": 2}, True),
    ],
)
def test_only_an_effect_above_the_own_threshold_interrupts(
    service: House, wishes: dict[str, Any], interrupts: bool
) -> None:
    wish(service, "havelmark", **wishes)
    flood(service, "1")
    settle(service)
    assert [kind for kind, _ in told(service, "havelmark")] == [Told.IMPACT_ALERT] * interrupts
    assert [kind for kind, _ in told(service, "nordrand")] == [Told.IMPACT_ALERT], "each by its own"
    assert listed(service, "havelmark")[0]["urgency"] == ("interrupt" if interrupts else "daily-summary")


def test_an_update_is_told_only_to_whom_it_changes_something(service: House) -> None:
    flood(service, "1")
    settle(service)
    flood(service, "2", updates="1")
    settle(service)
    assert [len(told(service, who)) for who in ("havelmark", "nordrand", "duero")] == [1, 1, 1], "the same again"
    flood(service, "3", updates="2", until=iso(service.clock.now + 60 * DAY))
    settle(service)
    changed = [told(service, who)[-1][1] for who in ("havelmark", "nordrand", "duero")]
    assert [(one["alert"], one["what"]) for one in changed] == [(2, "update")] * 3
    flood(service, "4", updates="3", left="0.5", until=iso(service.clock.now + 60 * DAY))
    settle(service)
    assert [len(told(service, who)) for who in ("havelmark", "nordrand", "duero")] == [2, 2, 2]
    assert [one["urgency"] for one in listed(service, "havelmark")] == ["interrupt"] * 2 + ["daily-summary"], (
        "nobody stands still any more"
    )


def test_who_was_alerted_is_told_that_it_was_cancelled_and_nobody_else(service: House) -> None:
    wish(service, "nordrand", standstillDays=3650)
    flood(service, "1")
    settle(service)
    cancel(service, "2", "1")
    settle(service)
    for who in ("havelmark", "duero"):
        kind, body = told(service, who)[-1]
        assert (kind, body["what"], body["report"]) == (Told.IMPACT_CLEARED, "cleared", None)
        assert not any(one["asks"] for one in listed(service, who)[1:])
    assert listed(service, "nordrand") == [], "it had not heard of it yet"
    service.clock.forward(2 * DAY // 1000)
    settle(service)
    assert told(service, "nordrand") == []
    assert [kind for kind, _ in told(service, "havelmark")] == [Told.IMPACT_ALERT, Told.IMPACT_CLEARED], "no reminder"


def test_what_came_with_a_summary_is_taken_back_with_one(service: House) -> None:
    wish(service, "havelmark", standstillDays=3650)
    flood(service, "1")
    settle(service)
    service.clock.forward(DAY // 1000)
    settle(service)
    cancel(service, "2", "1")
    settle(service)
    assert [kind for kind, _ in told(service, "havelmark")] == [Told.RISK_SUMMARY]
    service.clock.forward(DAY // 1000)
    settle(service)
    kind, body = told(service, "havelmark")[-1]
    assert (kind, [one["what"] for one in body["alerts"]]) == (Told.RISK_SUMMARY, ["cleared"])


def cancel(service: House, number: str, which: str) -> None:
    form = {"number": number, "status": "Actual", "what": "flood", "cancels": which}
    answer = service.post("duero", "/v1/risk/disruptions/read", json=form, params={"format": "form"})
    (content,) = answer.json()["contents"]
    said = {name: value for name, value in content.items() if name != "to"}
    one = service.envelope("duero", (), content=said, kind="disruption", stream="duero disruptions")
    assert service.send("duero", one.data).status_code == 201


def test_an_alert_is_acknowledged_once_in_a_role_and_else_told_again_once(service: House) -> None:
    wish(service, "havelmark", remindAfterMinutes=60)
    wish(service, "nordrand", remindAfterMinutes=None)
    wish(service, "duero", remindAfterMinutes=60)
    flood(service, "1")
    settle(service)
    seen = service.post("duero", "/v1/risk/alerts/1/acknowledge", json={"role": "risk manager"})
    assert (seen.status_code, seen.json()["role"]) == (200, "risk manager")
    again = service.post("duero", "/v1/risk/alerts/1/acknowledge", json={"role": "somebody else"})
    assert again.json() == seen.json()
    assert [len(listed(service, who, open=True)) for who in ("havelmark", "nordrand", "duero")] == [1, 1, 0]
    service.clock.forward(3500)
    settle(service)
    assert len(told(service, "havelmark")) == 1
    for _ in range(3):
        service.clock.forward(3600)
        settle(service)
    assert [kind for kind, _ in told(service, "havelmark")] == [Told.IMPACT_ALERT, Told.IMPACT_REMINDER]
    assert [len(told(service, who)) for who in ("nordrand", "duero")] == [1, 1]
    assert service.get("nordrand", "/v1/risk/alerts").json()["items"][0]["acknowledgedAt"] is None, "each its own"


BAD: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "an alert that is not there": ("alerts/7/acknowledge", {"role": "it"}, 404, "not-found"),
    "an alert of no number": ("alerts/0/acknowledge", {"role": "it"}, 404, "not-found"),
    "an alert of too large a number": (f"alerts/{2**63}/acknowledge", {"role": "it"}, 404, "not-found"),
    "no role": ("alerts/1/acknowledge", {}, 400, "malformed-input"),
    "an empty role": ("alerts/1/acknowledge", {"role": " "}, 400, "malformed-input"),
    "a role that is a book": ("alerts/1/acknowledge", {"role": "x" * 101}, 400, "malformed-input"),
    "no days at all": ("threshold", {"standstillDays": 0}, 400, "malformed-input"),
    "days in words": ("threshold", {"standstillDays": "two"}, 400, "malformed-input"),
    "days as true": ("threshold", {"standstillDays": True}, 400, "malformed-input"),
    "no revenue at all": ("threshold", {"revenueMinorUnits": 0}, 400, "malformed-input"),
    "a fraction of a cent": ("threshold", {"revenueMinorUnits": 0.5}, 400, "malformed-json"),
    "an hour without offset": ("threshold", {"summaryAt": "06:00"}, 400, "malformed-input"),
    "an hour that is none": ("threshold", {"summaryAt": "25:00+00:00"}, 400, "malformed-input"),
    "an hour as a number": ("threshold", {"summaryAt": 6}, 400, "malformed-input"),
    "a reminder at once": ("threshold", {"remindAfterMinutes": 0}, 400, "malformed-input"),
    "a reminder after a year": ("threshold", {"remindAfterMinutes": 525_600}, 400, "malformed-input"),
    "exercises perhaps": ("threshold", {"exercises": "maybe"}, 400, "malformed-input"),
    "something else": ("threshold", {"colour": "red"}, 400, "malformed-input"),
}


def test_what_makes_no_sense_is_refused_and_changes_nothing(service: House) -> None:
    before = service.get("havelmark", "/v1/risk/threshold").json()
    for name, (path, body, status, problem) in BAD.items():
        answer = service.post("havelmark", f"/v1/risk/{path}", json=body)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (status, problem), name
    assert service.get("havelmark", "/v1/risk/threshold").json() == before
    wish(service, "havelmark", standstillDays=3650)
    flood(service, "1")
    settle(service)
    answer = service.post("havelmark", "/v1/risk/alerts/1/acknowledge", json={"role": "it"})
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "nothing-to-acknowledge")


def test_killed_between_reports_and_notices_it_goes_on_and_tells_once(founded: Path, tmp_path: Path) -> None:
    shutil.copytree(founded, tmp_path, dirs_exist_ok=True)
    with still(tmp_path) as running:
        flood(running, "1")
        work = alerts(running)._begin()
        assert work is not None
        for status, disruptions in work.live.items():
            inside: Service = running.app.state.service
            inside.impact.reports.assess_all(work.to_come, disruptions, at=work.at, now=running.clock.now)
            assert str(status) == "Actual"
        assert told(running, "havelmark") == []
        reports = count(running)
        assert reports == 3
    with still(tmp_path) as running:
        settle(running)
        assert count(running) == reports, "the reports that were there are found again"
        for who in ("havelmark", "nordrand", "duero"):
            assert [kind for kind, _ in told(running, who)] == [Told.IMPACT_ALERT]
    with still(tmp_path) as running:
        settle(running)
        assert [len(told(running, who)) for who in ("havelmark", "nordrand", "duero")] == [1, 1, 1]
        assert count(running) == reports


@pytest.mark.full
def test_killed_at_any_commit_it_tells_all_concerned_once(founded: Path, tmp_path: Path, root: Path) -> None:
    shutil.copytree(founded, tmp_path / "flooded")
    with still(tmp_path / "flooded") as running:
        flood(running, "1")
    done = subprocess.run(
        [sys.executable, "-m", "tests.api.impact.cut_alerts", str(tmp_path / "flooded")],
        capture_output=True, text=True, cwd=root, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["lives"] > 3, "it was killed under way"


def count(running: House) -> int:
    """How many reports are registered."""
    query = sa.select(sa.func.count()).where(statement.c.kind == "impact-report")
    with running.network.ledger.store.read() as connection:
        return int(connection.execute(query).scalar_one())


@pytest.mark.parametrize(
    ("hour", "now", "due"),
    [
        ("06:00+00:00", "2026-10-12T06:00:00Z", "2026-10-12T06:00:00Z"),
        ("06:00+00:00", "2026-10-12T05:59:59Z", "2026-10-11T06:00:00Z"),
        ("06:00Z", "2026-10-12T23:00:00Z", "2026-10-12T06:00:00Z"),
        ("07:30+08:00", "2026-10-12T00:00:00Z", "2026-10-11T23:30:00Z"),
        ("22:00-05:00", "2026-10-12T02:59:00Z", "2026-10-11T03:00:00Z"),
        ("00:00+14:00", "2026-10-12T10:00:00Z", "2026-10-12T10:00:00Z"),
    ],
)
def test_the_hour_of_a_summary_has_its_offset(hour: str, now: str, due: str) -> None:
    assert Wishes(summary_at=hour).last_summary(instant(now)) == instant(due)


@pytest.mark.parametrize("hour", ["6:00+00:00", "06:00", "24:00Z", "06:60Z", "06:00+15:00", "06:00 +01:00", ""])
def test_an_hour_that_is_none_is_refused(hour: str) -> None:
    with pytest.raises(MalformedInput, match="offset"):
        Wishes(summary_at=hour).check()

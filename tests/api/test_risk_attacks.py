"""What a member tries by false facts and disruptions against the figures and the secrets of others."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from api.feed import iso
from api.impact import stress
from ledger_service.keys import to_hex
from risk.hits import AREAS_AT_ONCE
from tests.api.house import House, still
from tests.api.impact.flood import AXLE, AXLES, CASTINGS, HOUSING, OTHER, chain, flood, state, today
from tests.consortium import member_id

OWN = "did:web:oderland.example.org/part/1"


def report(service: House, who: str, **said: Any) -> Any:
    content = {
        "format": "cap-1.2",
        "sender": "office@weather.example.org",
        "identifier": "1",
        "sent": iso(service.clock.now - 3_600_000),
        "status": "Actual",
        "action": "Alert",
        "severity": "Severe",
        "certainty": "Observed",
        "cause": "natural-disaster",
        "event": "Flood",
        "areas": [{"region": "Iberia"}],
        **said,
    }
    one = service.envelope(who, (), content=content, kind="disruption", stream=f"{who} disruptions")
    return service.send(who, one.data)


@pytest.mark.parametrize("year", ["0001", "1899", "3000", "9999"])
@pytest.mark.parametrize("name", ["sent", "onset", "ends"])
def test_a_report_of_a_time_from_which_no_days_can_be_counted_stops_nobody(
    tmp_path: Path, name: str, year: str
) -> None:
    with still(tmp_path) as service:
        chain(service)
        answer = report(service, "oderland", **{name: f"{year}-12-31T00:00:00Z"})
        assert answer.status_code == 400, answer.text
        assert name in answer.json()["where"]


@pytest.mark.parametrize(
    ("kind", "content", "where"),
    [
        ("site", {"site": OTHER, "region": "R", "holidays": ["9999-12-31"]}, "/content/holidays/0/day"),
        (
            "stock",
            {
                "site": OTHER,
                "part": AXLE,
                "quantity": "1",
                "uom": "H87",
                "onTheWay": [{"from": AXLES, "arrives": "9999-12-31", "quantity": "1"}],
            },
            "/content/onTheWay/0/arrives",
        ),
        (
            "supply-link",
            {
                "supplier": AXLES,
                "customer": OTHER,
                "part": AXLE,
                "uom": "H87",
                "share": "1",
                "lead": {"days": 3650},
                "level": "named",
                "since": "0001-01-01",
            },
            "/content/since",
        ),
    ],
)
def test_a_fact_of_a_day_from_which_none_can_be_counted_is_refused(
    tmp_path: Path, kind: str, content: dict[str, Any], where: str
) -> None:
    with still(tmp_path) as service:
        said = {"asOf": iso(service.clock.now), "document": {"number": "1", "type": "list"}, **content}
        answer = service.send("oderland", service.envelope("oderland", (), content=said, kind=kind).data)
        assert (answer.status_code, answer.json()["where"]) == (400, where)


def test_whoever_describes_a_site_of_another_does_not_get_it_when_its_owner_describes_it_again(tmp_path: Path) -> None:
    with still(tmp_path) as service:
        chain(service)
        service.clock.forward(1)
        state(service, "oderland", "site", site=CASTINGS, region="Elsewhere")
        service.clock.forward(1)
        state(service, "duero", "site", site=CASTINGS, name="Castings", region="Iberia")
        service.anchor()
        known = service.app.state.service.impact.shared.at(None, today(service)).known
        assert known.network.sites[CASTINGS].owner == to_hex(member_id("duero"))
        assert known.inconsistencies_of(to_hex(member_id("duero"))) == ()
        (told,) = known.inconsistencies_of(to_hex(member_id("oderland")))
        assert "another member has described this site before" in told.what


@pytest.mark.parametrize("is_joined", [False, True], ids=["says its unit", "says it is the same as one of its own"])
def test_whoever_counts_a_part_of_another_otherwise_changes_nobody_s_figures(tmp_path: Path, is_joined: bool) -> None:
    with still(tmp_path) as service:
        if is_joined:
            state(service, "oderland", "part", part=OWN, uom="KGM")
            service.clock.forward(1)
        chain(service)
        flood(service, "1")
        before = service.post("havelmark", "/v1/risk/assess", json={}).json()["content"]["effect"]
        service.clock.forward(1)
        if is_joined:
            state(service, "oderland", "part", part=OWN, uom="KGM", sameAs=[AXLE])
        else:
            state(service, "oderland", "part", part=AXLE, uom="KGM")
        service.clock.forward(1)
        state(service, "nordrand", "part", part=AXLE, uom="H87", name="Axle")
        service.anchor()
        assert service.post("havelmark", "/v1/risk/assess", json={}).json()["content"]["effect"] == before
        known = service.app.state.service.impact.shared.at(None, today(service)).known
        assert known.inconsistencies_of(to_hex(member_id("nordrand"))) == ()
        (told,) = known.inconsistencies_of(to_hex(member_id("oderland")))
        expected = "only once those whom both numbers belong to say so" if is_joined else "in H87, not in KGM"
        assert expected in told.what


def test_whoever_qualifies_a_site_that_has_agreed_to_nothing_learns_nothing_of_it(tmp_path: Path) -> None:
    """Not where it lies, by regions of its own; not what it has to spare; not, by small areas, its position."""
    seen = []
    for number, (region, spare, radius) in enumerate((("Iberia", "110", "100"), ("Elsewhere", "500", "1"))):
        with still(tmp_path / str(number)) as service:
            chain(service)
            state(service, "oderland", "site", site=OTHER, region="Iberia")
            state(service, "oderland", "site", site=f"{OTHER}0", region="Iberia")
            state(service, "oderland", "part", part=OWN, uom="H87")
            for site, part in ((OTHER, OWN), (f"{OTHER}0", HOUSING)):
                state(service, "oderland", "capacity", site=site, part=part, planned="10", most="10", uom="H87")
            needs = [{"part": HOUSING, "quantity": "1", "uom": "H87"}]
            state(service, "oderland", "bill-of-material", site=OTHER, part=OWN, needs=needs)
            state(service, "oderland", "supply-link", supplier=f"{OTHER}0", customer=OTHER, part=HOUSING, uom="H87",
                  share="1", lead={"days": 1}, level="named")  # fmt: skip
            state(service, "oderland", "qualification", supplier=CASTINGS, part=HOUSING, customer=OTHER, scope="all",
                  expires="2027-06-30", firstArrivalDays=1)  # fmt: skip
            state(service, "duero", "site", site=CASTINGS, region=region, latitude="41.65", longitude="-4.72")
            state(service, "duero", "capacity", site=CASTINGS, part=HOUSING, planned="100", most=spare, uom="H87")
            circle = {"circle": {"latitude": "41.6", "longitude": "-4.72", "radiusKm": radius}}
            name = {"site": f"{OTHER}0"}
            assert report(service, "oderland", areas=[circle, name]).status_code == 201
            service.anchor()
            answer = service.get("oderland", "/v1/risk/view").json()
            seen.append([answer[one] for one in ("alternatives", "hits", "seen", "sites", "siteNames")])
    assert seen[0] == seen[1]
    assert len(seen[0][1]) == 1, "its own site is hit, and it learns of no other"


@pytest.mark.parametrize("is_huge", [False, True], ids=["sums that cannot be signed", "a program without an answer"])
def test_a_member_that_cannot_be_assessed_keeps_nobody_else_waiting(tmp_path: Path, is_huge: bool) -> None:
    with still(tmp_path) as service:
        chain(service)
        made = "9" * 40 if is_huge else "10"
        state(service, "oderland", "site", site=OTHER, region="Elsewhere")
        state(service, "oderland", "capacity", site=OTHER, part=OWN, planned=made, most=made, uom="H87")
        needs = [{"part": AXLE, "quantity": "1", "uom": "H87"}]
        state(service, "oderland", "bill-of-material", site=OTHER, part=OWN, needs=needs)
        state(service, "oderland", "product-price", site=OTHER, part=OWN, currency="EUR", minorUnits=2**53 - 1)
        state(service, "oderland", "supply-link", supplier=AXLES, customer=OTHER, part=AXLE, uom="H87", share="1",
              lead={"days": 1}, level="named")  # fmt: skip
        flood(service, "1")
        for _ in range(20):
            service.app.state.service.rounds.once()
        troubles = [one.trouble for one in service.app.state.service.rounds.conditions.values() if one.trouble]
        assert troubles == []
        assert len(service.get("havelmark", "/v1/risk/alerts").json()["items"]) == 1
        for path, asked in (("assess", {}), ("stress", {"every": ["site"]})):
            answer = service.post("oderland", f"/v1/risk/{path}", json=asked)
            assert answer.status_code < 500, answer.text


def settled(service: House) -> None:
    """Let the service do all there is to do about alerts."""
    service.anchor()
    while service.app.state.service.alerts.raise_new(service.clock.now):
        service.anchor()


def told(service: House, who: str) -> list[str]:
    items = service.get(who, "/v1/notices").json()["items"]
    return [one["kind"] for one in items if one["kind"].startswith("impact")]


EVERYWHERE = {"areas": [{"circle": {"latitude": "41", "longitude": "0", "radiusKm": "3000"}}]}


def test_whoever_states_warnings_without_end_is_heard_a_few_times_and_keeps_nobody_else_waiting(
    tmp_path: Path,
) -> None:
    with still(tmp_path) as service:
        chain(service)
        for number in range(60):
            assert (
                report(service, "oderland", identifier=str(number), event=f"Flood {number}", **EVERYWHERE).status_code
                == 201
            )
        settled(service)
        hits = service.get("duero", "/v1/risk/view").json()["hits"]
        assert Counter(one["site"] for one in hits)[CASTINGS] == AREAS_AT_ONCE
        before = [len(told(service, who)) for who in ("havelmark", "nordrand", "duero")]
        flood(service, "1", until=iso(service.clock.now + 90 * 86_400_000))
        settled(service)
        assert [len(told(service, who)) for who in ("havelmark", "nordrand", "duero")] == [one + 1 for one in before]
        hits = service.get("duero", "/v1/risk/view").json()["hits"]
        assert Counter(one["site"] for one in hits)[CASTINGS] == AREAS_AT_ONCE + 1, "who it belongs to is heard"
        listed = service.get("oderland", "/v1/risk/disruptions", limit=10)
        assert (listed.status_code, len(listed.json()["items"]), listed.json()["more"]) == (200, 10, True)


@pytest.mark.parametrize("is_circle", [False, True], ids=["a chain", "a circle"])
def test_updates_of_updates_are_one_disruption(tmp_path: Path, is_circle: bool) -> None:
    with still(tmp_path) as service:
        chain(service)
        for number in range(40):
            before = {"sender": "office@weather.example.org", "identifier": str((number - 1) % 40)}
            said: dict[str, Any] = {"references": [before], "action": "Update"} if number or is_circle else {}
            sent = iso(service.clock.now - 3_600_000 + number)
            assert report(service, "oderland", identifier=str(number), sent=sent, **said).status_code == 201
        settled(service)
        (one,) = service.get("oderland", "/v1/risk/disruptions").json()["items"]
        assert (len(one["reports"]), one["isDisputed"]) == (40, False)
        assert len(told(service, "duero")) == 1


def test_an_outline_of_ten_thousand_corners_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with still(tmp_path) as service:
        chain(service)
        ring = [["41", f"{number / 10_000}"] for number in range(10_000)]
        form = {"number": "1", "status": "Actual", "what": "flood", "sure": "Likely", "from": iso(service.clock.now),
                "where": {"polygons": [[*ring, ring[0]]]}}  # fmt: skip
        answer = service.post("oderland", "/v1/risk/disruptions/read", json=form, params={"format": "form"})
        assert (answer.status_code, answer.json()["where"]) == (400, "/content/areas/0/polygon")
        assert "give a simpler one" in answer.json()["detail"]


def test_hundreds_of_sites_of_one_member_in_a_storm_show_nothing_to_others(tmp_path: Path) -> None:
    with still(tmp_path) as service:
        chain(service)
        for number in range(100):
            state(service, "oderland", "site", site=f"https://oderland.example.org/site/{number}", region="Iberia",
                  latitude="41.6", longitude=f"-4.{number}1")  # fmt: skip
        before = service.get("havelmark", "/v1/risk/view")
        assert report(service, "oderland", **EVERYWHERE).status_code == 201
        settled(service)
        assert told(service, "duero") == ["impact-alert"]
        view = service.get("havelmark", "/v1/risk/view").json()
        assert (len(view["sites"]), len(view["hits"])) == (3, 2), before.status_code
        assert told(service, "oderland") == [], "its own sites make nothing"


def test_whoever_passes_a_warning_on_first_does_not_own_it(tmp_path: Path) -> None:
    with still(tmp_path) as service:
        chain(service)
        nowhere = {"areas": [{"circle": {"latitude": "0", "longitude": "-140", "radiusKm": "1"}}]}
        assert report(service, "oderland", **nowhere).status_code == 201
        settled(service)
        assert told(service, "duero") == []
        assert report(service, "havelmark").status_code == 201
        settled(service)
        assert told(service, "duero") == ["impact-alert"]
        ref = [{"sender": "office@weather.example.org", "identifier": "1"}]
        cancel = {"action": "Cancel", "references": ref, "identifier": "2", "areas": []}
        assert report(service, "oderland", **cancel).status_code == 201
        settled(service)
        assert told(service, "duero") == ["impact-alert"], "nobody takes back what another passes on"
        disputed = service.get("havelmark", "/v1/risk/disruptions").json()
        assert any("disputed" in one["what"] for one in disputed["told"])
        assert report(service, "havelmark", **cancel).status_code == 201
        settled(service)
        assert told(service, "duero") == ["impact-alert", "impact-cleared"]


def test_a_member_has_one_stress_test_at_a_time_so_that_others_have_theirs(tmp_path: Path) -> None:
    with still(tmp_path) as service:
        tests: stress.Stress = service.app.state.service.impact.stress
        own, other = member_id("oderland"), member_id("duero")
        assert tests.alone(own, lambda: tests.alone(other, lambda: 1)) == 1
        with pytest.raises(stress.TestsRunning, match="of yours"):
            tests.alone(own, lambda: tests.alone(own, lambda: 1))
        assert tests.alone(own, lambda: 2) == 2

import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from hypothesis import given
from hypothesis import strategies as st

from ledger_service import facts
from ledger_service.risk_kinds import DisruptionFact
from risk.confidence import happens
from risk.disruption import (
    Action,
    Cancelled,
    Certainty,
    Circle,
    Named,
    Place,
    Polygon,
    Report,
    Severity,
    Status,
    distance_km,
    gather,
)
from risk.errors import MalformedFact
from risk.messages import (
    content_of,
    read,
    read_alert,
    read_feed,
    read_form,
    read_notification,
    report_of,
    write_alert,
    write_notification,
)
from risk.network import Site

NOON = datetime(2026, 10, 12, 12, tzinfo=UTC)


def report(sender: str = "cma.example.org", identifier: str = "1", **details: Any) -> Report:
    given: dict[str, Any] = {"format": "form", "sent": NOON, "status": Status.ACTUAL, "action": Action.ALERT}
    return Report(sender=sender, identifier=identifier, **(given | {"event": "typhoon"} | details))


def test_a_catena_x_notification_goes_in_and_out_whole(shared: Path) -> None:
    data = (shared / "data/catenax/DemandAndCapacityNotification.json").read_bytes()
    read = read_notification(data, "BPNL000000000001")
    assert json.loads(write_notification(read)) == json.loads(data)
    assert (read.key, read.is_over, read.cause) == ("cx:c69cb3e4-16ad-43c3-82b9-0deac75ecf9e", True, "strike")
    assert read.areas == (Named(Place.SITE, "BPNS7588787849VQ"),)
    again = read_notification(write_notification(by_hand(read)), "BPNL000000000001")
    assert (again.key, again.onset, again.ends, again.areas) == (read.key, read.onset, read.ends, read.areas)


def by_hand(one: Report) -> Report:
    """The same report as if it had been entered by hand."""
    fields = {name: getattr(one, name) for name in Report.__dataclass_fields__}
    return Report(**(fields | {"format": "form", "original": ""}))


@pytest.mark.parametrize("name", ["gdacs-1.xml", "gdacs-2.xml"])
def test_a_gdacs_feed_is_read_whole(shared: Path, name: str) -> None:
    data = (shared / "data/gdacs" / name).read_bytes()
    feed = read_feed(data)
    assert feed.unread == ()
    assert len(feed.reports) == data.count(b"<item>")
    assert feed.original.encode("utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8") == data
    assert len(gather(feed.reports)) == len({(one.key, one.status) for one in feed.reports})


@pytest.mark.parametrize("name", ["gdacs-1.xml", "gdacs-2.xml"])
def test_each_item_of_a_feed_is_kept_as_it_stood_there_and_reads_alone(shared: Path, name: str) -> None:
    data = (shared / "data/gdacs" / name).read_bytes().decode("utf-8-sig")
    rest = data
    for one in read_feed(data.encode()).reports:
        start, _, item = one.original.partition("<channel>")
        item = item.removesuffix("</channel></rss>")
        assert item.startswith("<item>")
        assert start in data
        before, found, rest = rest.partition(item)
        assert found
        assert "<item>" not in before
        assert read_feed(one.original.encode()).reports == (one,)
    assert "<item>" not in rest


def test_an_item_is_cut_where_it_ends_whatever_stands_in_it() -> None:
    item = "<item note='a > b'><guid>TC7</guid><title><![CDATA[</item>]]></title><item/></item>"
    (name, _reason), (other, _) = read_feed(f"<rss a='>'><channel>{item}<item/></channel></rss>".encode()).unread
    assert (name, other) == ("TC7", "?")
    with pytest.raises(MalformedFact, match="UTF-8"):
        read_feed("<?xml version='1.0' encoding='latin-1'?><rss><channel>ö</channel></rss>".encode("latin-1"))


def messages(shared: Path) -> list[Report]:
    data = shared / "data"
    return [
        read_notification((data / "catenax/DemandAndCapacityNotification.json").read_bytes(), "0x" + "7c" * 32),
        read_alert(write_alert(report(areas=(Circle(1e-7, -0.0, 0.1 + 0.2), Named(Place.LANE, "suez")), left=0.25))),
        read_form(FORM_TEXT, "0x" + "7c" * 32, NOON),
        *(
            one
            for name in ("gdacs-1.xml", "gdacs-2.xml")
            for one in read_feed((data / "gdacs" / name).read_bytes()).reports
        ),
    ]


def test_a_report_comes_out_of_its_statement_as_it_went_in(shared: Path) -> None:
    for one in messages(shared):
        content = json.loads(json.dumps(content_of(one) | {"to": []}))
        facts.check("disruption", content, int(NOON.timestamp() * 1000))
        assert report_of(DisruptionFact.parse(content)) == one
        assert content_of(report_of(DisruptionFact.parse(content))) | {"to": []} == content


@given(
    st.floats(-90, 90).filter(lambda value: value == 0 or abs(value) > 1e-18),
    st.floats(0, 20_000).filter(lambda value: value == 0 or value > 1e-18),
    st.integers(0, 10**15),
    st.sampled_from(Status),
)
def test_whatever_a_report_says_it_says_in_its_statement(
    latitude: float, radius: float, microseconds: int, status: Status
) -> None:
    sent = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds // 2)
    area = Circle(latitude, 2 * latitude, radius)
    one = report(areas=(area,), left=radius / 20_000, sent=sent, onset=sent, status=status, text=" as\ntyped ")
    content = content_of(one) | {"to": []}
    facts.check("disruption", content, int(NOON.timestamp() * 1000))
    assert report_of(DisruptionFact.parse(content)) == one


FORM_VALUE: dict[str, Any] = {
    "what": "tropical cyclone",
    "status": "Exercise",
    "number": "YJ-7",
    "where": {
        "sites": ["https://id.gs1.org/414/9521006000012"],
        "regions": ["East Asia"],
        "ports": ["CNNGB"],
        "circles": [{"latitude": "29.87", "longitude": 121.54, "radiusKm": 120}],
        "polygons": [[["28", "120"], [28, 123], [31.5, "123"], ["28", "120"]]],
    },
    "from": "2026-10-12T06:00:00+08:00",
    "until": "2026-11-24T06:00:00+08:00",
    "left": "0",
    "sure": "Likely",
    "cause": "natural-disaster",
    "about": [{"sender": "weather.example.org", "identifier": "TC26-1"}],
}
FORM_TEXT = json.dumps(FORM_VALUE).encode()


def test_a_form_says_what_was_typed() -> None:
    read = read_form(FORM_TEXT, "0x" + "59" * 32, NOON)
    assert (read.sender, read.identifier, read.sent, read.left) == ("0x" + "59" * 32, "YJ-7", NOON, 0)
    assert read.references == (("weather.example.org", "TC26-1"),)
    assert read.areas[0] == Named(Place.SITE, "https://id.gs1.org/414/9521006000012")
    assert Circle(29.87, 121.54, 120) in read.areas
    assert read.original.encode() == FORM_TEXT
    typed = {"what": "it", "status": "Actual", "number": "8", "cancels": "YJ-7"}
    cancel = read_form(json.dumps(typed).encode(), "0x" + "59" * 32, NOON)
    assert (cancel.action, cancel.references) == (Action.CANCEL, (("0x" + "59" * 32, "YJ-7"),))


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("not saying where", {"where": ...}, "where is missing"),
        ("not saying whether it is an exercise", {"status": ...}, "status is missing"),
        ("nowhere", {"where": {}}, "expected some of"),
        ("a planet", {"where": {"planets": ["Mars"]}}, "expected some of"),
        ("a site without name", {"where": {"sites": [""]}}, "/where/sites/0"),
        ("a site as a number", {"where": {"sites": [7]}}, "/where/sites/0"),
        ("a negative radius", {"where": {"circles": [{"latitude": 0, "longitude": 0, "radiusKm": -1}]}}, "radius"),
        ("a circle without centre", {"where": {"circles": [{"radiusKm": 1}]}}, "/where/circles/0"),
        ("a corner of three", {"where": {"polygons": [[["0", "0", "0"]]]}}, "/where/polygons/0"),
        ("an open ring", {"where": {"polygons": [[[0, 0], [0, 1], [1, 1], [1, 0]]]}}, "ends where it began"),
        ("no number", {"left": "half"}, "/left"),
        ("more than all", {"left": "1.5"}, "share from 0 to 1"),
        ("true for a number", {"left": True}, "/left"),
        ("an end before the start", {"until": "2026-10-11T06:00:00+08:00"}, "ends before it begins"),
        ("a time without offset", {"from": "2026-10-12T06:00:00"}, "/from"),
        ("a day", {"from": "2026-10-12"}, "/from"),
        ("a word for how sure", {"sure": "quite"}, "/sure"),
        ("not over", {"over": False}, "/over"),
        ("both at once", {"updates": "1", "cancels": "1"}, "not both"),
        ("a word of its own", {"colour": "red"}, "colour is unknown"),
        ("no list", {"parts": "all"}, "/parts"),
        ("somebody's report without name", {"about": [{"sender": "x"}]}, "/about/0"),
    ],
)
def test_forms_that_cannot_be_read_say_why(name: str, change: dict[str, Any], reason: str) -> None:
    value = {key: item for key, item in (FORM_VALUE | change).items() if item is not ...}
    with pytest.raises(MalformedFact, match=reason):
        read_form(json.dumps(value).encode(), "0x" + "59" * 32, NOON)


def test_a_format_that_nobody_reads_is_refused() -> None:
    with pytest.raises(MalformedFact, match="none of cap"):
        read("pdf", b"%PDF", "x", NOON)
    assert read("form", FORM_TEXT, "x", NOON).reports == (read_form(FORM_TEXT, "x", NOON),)


def test_a_cyclone_touches_what_lies_in_its_box(shared: Path) -> None:
    feed = read_feed((shared / "data/gdacs/gdacs-1.xml").read_bytes())
    (cyclone,) = (one for one in gather(feed.reports) if one.key == "gdacs:TC1000643")
    assert cyclone.touches(Site("saint-denis", "x", latitude=-20.88, longitude=55.45))
    assert not cyclone.touches(Site("ningbo", "x", latitude=29.87, longitude=121.54))


def test_an_alert_written_by_us_fits_the_schema_and_reads_as_it_was(shared: Path) -> None:
    schema = xmlschema.XMLSchema(str(shared / "data/cap12/CAP-v1.2-schema.xsd"))
    ours = report(
        status=Status.EXERCISE,
        onset=NOON + timedelta(hours=10),
        ends=NOON + timedelta(days=2),
        severity=Severity.EXTREME,
        certainty=Certainty.LIKELY,
        key="incident:typhoon-7",
        areas=(
            Polygon(((28.0, 120.0), (28.0, 123.0), (31.0, 123.0), (28.0, 120.0))),
            Circle(29.9, 121.6, 120.5),
            Named(Place.PORT, "CNNGB"),
            Named(Place.REGION, "East Asia"),
        ),
        text="Landfall on 13 October <near> Ningbo & Zhoushan",
        left=0.25,
    )
    data = write_alert(ours)
    schema.validate(data.decode())
    read = read_alert(data)
    for name in ("status", "action", "onset", "ends", "severity", "certainty", "key", "areas", "text", "event", "sent",
                 "left"):  # fmt: skip
        assert getattr(read, name) == getattr(ours, name), name
    assert write_alert(read) == data


CAP_TEXT = write_alert(report(key="incident:x")).decode()


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("no XML", b"<alert", "no XML"),
        ("a document type", b'<!DOCTYPE a [<!ENTITY b "c">]><alert/>', "no XML"),
        ("another format", b"<rss/>", "expected an alert"),
        ("an acknowledgement", CAP_TEXT.replace(">Alert<", ">Ack<").encode(), "reports nothing"),
        ("no status", CAP_TEXT.replace("<status>Actual</status>", "").encode(), "status is missing"),
        ("an unknown status", CAP_TEXT.replace(">Actual<", ">Maybe<").encode(), "none of"),
        ("a time without offset", CAP_TEXT.replace("+00:00", "").encode(), "no offset"),
        ("no info", CAP_TEXT[: CAP_TEXT.index("<info>")].encode() + b"</alert>", "has an info"),
        (
            "an end before the start",
            write_alert(report(onset=NOON, ends=NOON - timedelta(seconds=1))),
            "ends before it begins",
        ),
        ("a latitude of 91", write_alert(report(areas=(Circle(91.0, 0.0, 1.0),))), "no latitude"),
        ("an open ring", write_alert(report(areas=(Polygon(((0.0, 0.0), (1.0, 1.0), (2.0, 0.0))),))), "polygon"),
    ],
)
def test_alerts_that_cannot_be_read_say_why(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(MalformedFact, match=reason):
        read_alert(data)


NOTIFICATION = {
    "leadingRootCause": "strike",
    "effect": "capacity-reduction",
    "startDateOfEffect": "2026-10-13T00:00:00+08:00",
    "status": "open",
    "contentChangedAt": "2026-10-12T12:00:00Z",
    "sourceDisruptionId": "c69cb3e4-16ad-43c3-82b9-0deac75ecf9e",
    "notificationId": "d9452f24-3bf3-4134-b3eb-68858f1b2362",
}


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("something missing", {"effect": ...}, "effect is missing"),
        ("something unknown", {"probability": 1}, "probability is unknown"),
        ("an unknown cause", {"leadingRootCause": "weather"}, "one of strike"),
        ("an unknown effect", {"effect": "chaos"}, "effect is one of"),
        ("no UUID", {"notificationId": "7"}, "UUID"),
        ("no site", {"affectedSitesSender": ["BPNL1"]}, "no BPNS"),
        ("no offset", {"startDateOfEffect": "2026-10-13T00:00:00"}, "offset"),
        ("resolved without a measure", {"status": "resolved"}, "by which measure"),
        ("too much text", {"text": "x" * 4001}, "4,000"),
        ("an end before the start", {"expectedEndDateOfEffect": "2026-10-12T00:00:00+08:00"}, "ends before"),
    ],
)
def test_notifications_that_cannot_be_read_say_why(name: str, change: dict[str, Any], reason: str) -> None:
    value = {key: item for key, item in (NOTIFICATION | change).items() if item is not ...}
    with pytest.raises(MalformedFact, match=reason):
        read_notification(json.dumps(value).encode(), "BPNL000000000001")


def test_one_disruption_on_three_paths_counts_once_and_shows_all_sources() -> None:
    paths = [
        report("gdacs.org", "TC1/1/1", key="gdacs:TC1", onset=NOON, certainty=Certainty.OBSERVED),
        report("cma.example.org", "7", key="gdacs:TC1", onset=NOON + timedelta(hours=1), certainty=Certainty.LIKELY),
        report("yongjiang", "n", key="cx:1", references=(("cma.example.org", "7"),), ends=NOON + timedelta(days=9)),
    ]
    for order in (paths, paths[::-1], [paths[1], paths[2], paths[0]]):
        (found,) = gather([*order, paths[0]])
        assert found.sources == ("cma.example.org", "gdacs.org", "yongjiang")
        assert (found.onset, found.ends, found.certainty) == (NOON, NOON + timedelta(days=9), Certainty.OBSERVED)
        # The plant passes on what the weather service said, and does not make it surer.
        assert happens(found, {"gdacs.org": Fraction(9, 10)}) == 1 - Fraction("0.1") * (1 - Fraction("0.525"))


@pytest.mark.parametrize("status", [Status.EXERCISE, Status.TEST, Status.DRAFT, Status.SYSTEM])
def test_what_is_not_actual_never_joins_what_is(status: Status) -> None:
    actual, other = report(identifier="1", key="incident:x"), report(identifier="2", key="incident:x", status=status)
    found = gather([actual, other])
    assert [(one.status, len(one.reports)) for one in found] == [(Status.ACTUAL, 1), (status, 1)]


def test_what_was_cancelled_is_not_updated() -> None:
    alert = report(identifier="1", key="incident:x")
    cancel = report(identifier="2", action=Action.CANCEL, references=(alert.name,), sent=NOON + timedelta(hours=1))
    update = report(identifier="3", action=Action.UPDATE, references=(alert.name,), sent=NOON + timedelta(hours=2))
    (ended,) = gather([alert, cancel])
    assert ended.is_cancelled
    with pytest.raises(Cancelled, match="send a new alert"):
        gather([alert, cancel, update])
    again = report(identifier="4", key="incident:x", sent=NOON + timedelta(hours=3))
    assert not gather([alert, cancel, again])[0].is_cancelled


FIJI = ((-20, 170), (-20, -170), (-10, -170), (-10, 170), (-20, 170))


@pytest.mark.parametrize(
    ("name", "ring", "inside", "outside"),
    [
        ("a plain one", ((0, 0), (0, 10), (10, 10), (10, 0), (0, 0)), (5, 5), (5, 11)),
        ("across the date line", FIJI, (-15, 179), (-15, 0)),
        ("and on its other side", FIJI, (-15, -175), (-15, -165)),
        ("the other way round", ((10, 0), (10, 10), (0, 10), (0, 0), (10, 0)), (5, 5), (11, 5)),
    ],
)  # fmt: skip
def test_what_lies_in_a_polygon(
    name: str,
    ring: tuple[tuple[float, float], ...],
    inside: tuple[float, float],
    outside: tuple[float, float],
) -> None:
    assert Polygon(ring).covers(*inside), name
    assert not Polygon(ring).covers(*outside), name


def test_zhoushan_is_66_km_from_ningbo() -> None:
    assert distance_km(29.87, 121.55, 30.02, 122.2) == pytest.approx(65, abs=2)
    assert Circle(0, 179.9, 50).covers(0, -179.9)


def test_a_cancellation_without_an_event_is_an_alert_without_an_info(shared: Path) -> None:
    schema = xmlschema.XMLSchema(str(shared / "data/cap12/CAP-v1.2-schema.xsd"))
    cancel = report(event="", action=Action.CANCEL, references=(("cma.example.org", "1"),))
    data = write_alert(cancel)
    schema.validate(data.decode())
    assert b"<info>" not in data
    assert read_alert(data).references == cancel.references

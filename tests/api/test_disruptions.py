"""Disruptions over HTTP: what others write goes in, is signed, counts or is told not to, and comes out whole."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import xmlschema

from api.feed import iso
from ledger_service.keys import to_hex
from risk.disruption import Action, Area, Certainty, Circle, Named, Place, Polygon, Report, Severity, Status
from risk.messages import read_alert, write_alert
from tests.api.house import House, still
from tests.api.impact.flood import CASTINGS, DAY, HOUSING, chain, state
from tests.consortium import key, member_id

MEDIA = {"cap": "application/cap+xml", "gdacs": "application/rss+xml"}
OTHER_PART = "did:web:duero.example.org/part/2"
CX_SITE = "urn:bpn:BPNS7588787849VQ"


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
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


def read(running: House, who: str, form: str, data: bytes | str, **params: str) -> Any:
    return running.post(
        who,
        "/v1/risk/disruptions/read",
        content=data,
        params={"format": form, **params},
        headers={"Content-Type": MEDIA.get(form, "application/json")},
    )


def report(running: House, who: str, form: str, data: bytes | str, to: tuple[str, ...] = ()) -> list[str]:
    """The ids of the statements by which `who` reports what is in a message, anchored."""
    answer = read(running, who, form, data, to=",".join(to_hex(member_id(one)) for one in to))
    assert answer.status_code == 200, answer.text
    digests = []
    for content in answer.json()["contents"]:
        said = {name: value for name, value in content.items() if name != "to"}
        one = running.envelope(who, to, content=said, kind="disruption", stream=f"{who} disruptions {to}")
        sent = running.send(who, one.data)
        assert sent.status_code == 201, sent.text
        digests.append(sent.json()["digest"])
    running.anchor()
    return digests


def listed(running: House, who: str, **params: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = running.get(who, "/v1/risk/disruptions", **params).json()["items"]
    return items


def told(running: House, who: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = running.get(who, "/v1/risk/disruptions").json()["told"]
    return found


def export(running: House, who: str, key: str, form: str, **params: str) -> Any:
    return running.get(who, f"/v1/risk/disruptions/{key}", format=form, **params)


def alert(running: House, *areas: Area, **details: Any) -> bytes:
    now = datetime.fromtimestamp(running.clock.now / 1000, UTC)
    given: dict[str, Any] = {
        "format": "cap-1.2",
        "sender": "weather.example.org",
        "identifier": "TC26-1",
        "sent": now - timedelta(hours=2),
        "status": Status.ACTUAL,
        "action": Action.ALERT,
        "event": "flood",
        "severity": Severity.SEVERE,
        "certainty": Certainty.LIKELY,
        "onset": now + timedelta(days=1),
        "areas": areas or (Circle(41.65, -4.72, 80.0),),
    }
    return write_alert(Report(**(given | details)))


def assessed(running: House, who: str, **asked: Any) -> dict[str, Any]:
    answer = running.post(who, "/v1/risk/assess", json=asked)
    assert answer.status_code == 201, answer.text
    content: dict[str, Any] = answer.json()["content"]
    return content


def form(running: House, number: str, **more: Any) -> str:
    begins = iso(running.clock.now + DAY)
    given = {"what": "flood", "status": "Actual", "number": number, "where": {"sites": [CASTINGS]}, "from": begins}
    return json.dumps({**given, "sure": "Observed", **more})


@pytest.mark.parametrize("name", ["gdacs-1.xml", "gdacs-2.xml"])
def test_a_gdacs_feed_goes_in_and_every_item_comes_out_as_it_stood_there(
    service: House, shared: Path, name: str
) -> None:
    data = (shared / "data/gdacs" / name).read_bytes()
    schema = xmlschema.XMLSchema(str(shared / "data/cap12/CAP-v1.2-schema.xsd"))
    digests = report(service, "duero", "gdacs", data)
    assert len(digests) == data.count(b"<item>")
    found = listed(service, "duero")
    assert sum(len(one["reports"]) for one in found) == len(digests)
    text, kept = data.decode("utf-8-sig"), []
    for one in found:
        whole = json.loads(export(service, "duero", one["key"], "json").content)
        kept += [each["report"]["original"] for each in whole["reports"]]
        newest = export(service, "duero", one["key"], "gdacs")
        assert newest.headers["content-type"].startswith("application/rss+xml")
        assert newest.text == whole["reports"][-1]["report"]["original"]
        as_cap = export(service, "duero", one["key"], "cap")
        assert read_alert(as_cap.content).event == one["event"]
        schema.validate(as_cap.text)
    items = [one.partition("<channel>")[2].removesuffix("</channel></rss>") for one in kept]
    assert sorted(items) == sorted(f"<item>{one.partition('</item>')[0]}</item>" for one in text.split("<item>")[1:])


def test_a_feed_may_be_sent_as_often_as_one_likes_and_only_what_is_new_is_stated(service: House, shared: Path) -> None:
    data = (shared / "data/gdacs/gdacs-1.xml").read_bytes().decode("utf-8-sig")
    first = data.index("</item>") + len("</item>")
    half = data[:first] + "</channel></rss>"
    assert len(report(service, "duero", "gdacs", half)) == 1
    changed = data.replace("was active", "is active", 1)
    answer = read(service, "duero", "gdacs", changed).json()
    assert len(answer["contents"]) == data.count("<item>") - 1
    assert [one["what"].partition("; ")[2] for one in answer["unread"]] == ["the first one holds"]
    assert len(report(service, "duero", "gdacs", data)) == data.count("<item>") - 1
    assert read(service, "duero", "gdacs", data).json() == {"contents": [], "told": [], "unread": []}
    assert len(read(service, "nordrand", "gdacs", data).json()["contents"]) == data.count("<item>")
    kept = service.post("kleinwerk", "/v1/risk/disruptions", content=data, params={"format": "gdacs"},
                        headers={"Content-Type": "application/rss+xml"})  # fmt: skip
    assert kept.json()["registered"] == data.count("<item>")
    service.anchor()
    kept = service.post("kleinwerk", "/v1/risk/disruptions", content=data, params={"format": "gdacs"},
                        headers={"Content-Type": "application/rss+xml"})  # fmt: skip
    assert (kept.status_code, kept.json()["registered"]) == (201, 0)


def test_a_catena_x_notification_comes_out_as_it_came(service: House, shared: Path) -> None:
    data = (shared / "data/catenax/DemandAndCapacityNotification.json").read_bytes()
    report(service, "duero", "cx-0146", data)
    (one,) = listed(service, "duero")
    assert export(service, "duero", one["key"], "cx-0146").content == data
    assert one["sources"] == [to_hex(member_id("duero"))]
    assert any("demand reduction" in each["what"] for each in told(service, "duero")), "which stops no site"


def test_a_cap_alert_comes_out_as_it_came(service: House) -> None:
    data = alert(service, Polygon(((28.0, 120.0), (28.0, 123.0), (31.0, 123.0), (28.0, 120.0))))
    report(service, "duero", "cap", data)
    (one,) = listed(service, "duero")
    answer = export(service, "duero", one["key"], "cap")
    assert (answer.content, answer.headers["content-type"]) == (data, "application/cap+xml")
    assert export(service, "duero", one["key"], "gdacs").status_code == 422


def test_what_a_member_typed_comes_out_as_an_alert_that_fits_the_schema(service: House, shared: Path) -> None:
    schema = xmlschema.XMLSchema(str(shared / "data/cap12/CAP-v1.2-schema.xsd"))
    key = f"{to_hex(member_id('duero'))}/7"
    areas = {"sites": [CASTINGS], "ports": ["CNNGB"], "polygons": [[["1", "1"], ["1", "2"], ["2", "1"], ["1", "1"]]]}
    report(service, "duero", "form", form(service, "7", where=areas, text="Water in <hall> 2 & 3"))
    schema.validate(export(service, "duero", key, "cap").text)
    assert export(service, "duero", key, "cx-0146").status_code == 422, "it has no source disruption"
    report(service, "duero", "form", json.dumps({"what": "flood", "status": "Actual", "number": "8", "cancels": "7"}))
    schema.validate(export(service, "duero", key, "cap").text)
    assert b"<msgType>Cancel" in export(service, "duero", key, "cap").content


def test_an_event_of_a_real_feed_becomes_a_report(service: House, shared: Path) -> None:
    """The cyclone Calvinia as GDACS told of it, on the day of the test, at the plant of somebody at its edge."""
    data = (shared / "data/gdacs/gdacs-2.xml").read_bytes().decode("utf-8-sig")
    then = "Sun, 29 Dec 2019 12:00:00 GMT"
    assert then in data
    today = format_datetime(datetime.fromtimestamp(service.clock.now // 1000, UTC) - timedelta(hours=1), usegmt=True)
    site = {"site": CASTINGS, "region": "Réunion", "latitude": "-20.88", "longitude": "55.45"}
    given = {"asOf": iso(service.clock.now), "document": {"number": "2", "type": "list"}}
    moved = service.envelope("duero", (), content=given | site, kind="site", stream="duero moved")
    assert service.send("duero", moved.data).status_code == 201
    report(service, "oderland", "gdacs", data.replace(then, today))
    ours = assessed(service, "duero")
    (origin,) = ours["origins"]
    assert origin["cause"] == "tropical cyclone"
    assert [one["name"] for one in origin["sources"]] == ["gdacs.org"]
    assert origin["sources"][0]["areas"][0].startswith("polygon -46.78")
    assert ours["effect"]["stops"][0]["site"] == CASTINGS
    theirs = assessed(service, "havelmark")
    assert theirs["origins"][0]["sources"] == origin["sources"]
    assert CASTINGS not in json.dumps(theirs)
    assert listed(service, "havelmark") == [], "the statement is not addressed to it"


def test_one_flood_on_three_paths_is_one_hit_of_three_sources(service: House) -> None:
    report(service, "oderland", "cap", alert(service, key="incident:F7"))
    report(service, "havelmark", "cap", alert(service, sender="river.example.org", identifier="9", key="incident:F7"))
    about = [{"sender": "weather.example.org", "identifier": "TC26-1"}]
    report(service, "duero", "form", form(service, "7", about=about), to=("nordrand",))
    (origin,) = assessed(service, "duero")["origins"]
    names = [one["name"] for one in origin["sources"]]
    assert names == [to_hex(member_id("duero")), "river.example.org", "weather.example.org"]
    (origin,) = assessed(service, "havelmark")["origins"]
    assert [one["name"] for one in origin["sources"]] == ["river.example.org", "weather.example.org"]
    assert [len(listed(service, who)) for who in ("oderland", "havelmark", "duero", "nordrand")] == [1, 1, 1, 1]
    assert [one["sources"] for one in listed(service, "nordrand")] == [[to_hex(member_id("duero"))]]


def test_an_exercise_beside_what_is_actual_is_another_disruption_and_another_report(service: House) -> None:
    report(service, "duero", "cap", alert(service, key="incident:F7"))
    exercise = alert(service, identifier="TC26-2", key="incident:F7", status=Status.EXERCISE)
    report(service, "duero", "cap", exercise)
    found = listed(service, "duero")
    assert sorted((one["key"], one["status"]) for one in found) == [
        ("incident:F7", "Actual"), ("incident:F7", "Exercise")
    ]  # fmt: skip
    assert export(service, "duero", "incident:F7", "cap", status="Exercise").content == exercise
    assert export(service, "duero", "incident:F7", "cap", status="Draft").status_code == 404
    assert [assessed(service, "duero", status=one)["status"] for one in ("Actual", "Exercise")] == [
        "Actual", "Exercise"
    ]  # fmt: skip
    both = service.post("duero", "/v1/risk/assess", json={"disruptions": ["incident:F7"], "status": "Exercise"})
    assert both.json()["content"]["status"] == "Exercise"


def test_across_the_date_line_an_area_hits_what_lies_on_either_side(service: House) -> None:
    ring = ((-25.0, 175.0), (-25.0, -170.0), (-10.0, -170.0), (-10.0, 175.0), (-25.0, 175.0))
    for who, site, longitude in (("oderland", "https://oderland.example.org/site/1", "178.4"),
                                 ("kleinwerk", "https://kleinwerk.example.org/site/1", "-171.8")):  # fmt: skip
        content = {"site": site, "region": "Pacific", "latitude": "-13.8", "longitude": longitude,
                   "asOf": iso(service.clock.now), "document": {"number": "2", "type": "list"}}  # fmt: skip
        signer = key("kept") if who == "kleinwerk" else None
        one = service.envelope(who, (), content=content, kind="site", stream=f"{who} site", signer=signer)
        assert service.send(who, one.data).status_code == 201
    report(service, "duero", "cap", alert(service, Polygon(ring)))
    for who in ("oderland", "kleinwerk"):
        assert [one["site"] for one in assessed(service, who)["origins"]] == [f"https://{who}.example.org/site/1"]
    assert assessed(service, "duero")["origins"] == []


def test_what_a_stranger_says_of_a_site_counts_for_nothing_and_only_it_is_told(service: House) -> None:
    before = assessed(service, "havelmark")["origins"]
    report(service, "oderland", "form", form(service, "7"))
    (one,) = told(service, "oderland")
    assert one["identifier"] == "7"
    assert "neither owns nor deals with" in one["what"]
    assert [told(service, who) for who in ("duero", "havelmark", "nordrand")] == [[], [], []]
    assert assessed(service, "havelmark")["origins"] == before == []
    report(service, "nordrand", "form", form(service, "7"))
    assert assessed(service, "havelmark")["origins"], "its customer may"


def test_the_materials_of_a_notification_stop_their_lines_and_show_their_numbers_to_those_who_know_them(
    service: House,
) -> None:
    """Of a notification without sites they are all lines of its sender that make them."""
    state(service, "duero", "capacity", to=("nordrand",), site=CASTINGS, part=OTHER_PART, planned="5", most="5",
          uom="H87")  # fmt: skip
    begins = iso(service.clock.now + DAY)
    notification = {
        "affectedSitesRecipient": [], "contentChangedAt": iso(service.clock.now - DAY), "effect": "capacity-reduction",
        "leadingRootCause": "production-incident", "materialsAffected": [{"materialNumberSupplier": "1"}],
        "notificationId": "urn:uuid:d9452f24-3bf3-4134-b3eb-68858f1b2362", "startDateOfEffect": begins,
        "sourceDisruptionId": "urn:uuid:c69cb3e4-16ad-43c3-82b9-0deac75ecf9e", "status": "open", "text": "Furnace 2",
    }  # fmt: skip
    answer = read(service, "duero", "cx-0146", json.dumps(notification)).json()
    assert (len(answer["contents"]), answer["told"]) == (1, [])
    report(service, "duero", "cx-0146", json.dumps(notification))
    (own,) = service.get("duero", "/v1/risk/view").json()["hits"]
    assert (own["site"], own["part"]) == (CASTINGS, HOUSING)
    (theirs,) = service.get("havelmark", "/v1/risk/view").json()["hits"]
    assert theirs["part"].startswith("part-")
    (origin,) = assessed(service, "duero")["origins"]
    assert origin["part"] == HOUSING
    assert [one["part"] for one in assessed(service, "duero")["effect"]["stops"]] == [HOUSING]
    unknown = notification | {"materialsAffected": [{"materialNumberSupplier": "XX-9"}]}
    (told_before,) = read(service, "duero", "cx-0146", json.dumps(unknown | {
        "notificationId": "urn:uuid:d9452f24-3bf3-4134-b3eb-68858f1b2363"})).json()["told"]  # fmt: skip
    assert "none of its issuer's sites makes" in told_before["what"]


NOBODYS = "https://nobody.example.org/site/1"


@pytest.mark.parametrize(
    ("who", "more", "reasons"),
    [
        ("duero", {}, []),
        ("nordrand", {"parts": ["did:web:duero.example.org/part/1"]}, []),
        ("havelmark", {}, ["neither owns nor deals with"]),
        ("duero", {"where": {"sites": [CASTINGS, NOBODYS]}}, ["neither owns nor deals with"]),
        ("duero", {"parts": ["1", "XX-7"]}, ["none that its issuer makes there"]),
        ("nordrand", {"parts": ["XX-7"]}, ["none that its issuer gets from there"]),
        ("duero", {"parts": ["1"], "where": {"regions": ["Iberia"]}}, ["for no area"]),
    ],
)
def test_who_may_not_speak_for_a_site_or_a_part_is_told_before_it_signs(
    service: House, who: str, more: dict[str, Any], reasons: list[str]
) -> None:
    answer = read(service, who, "form", form(service, "9", **more)).json()
    assert len(answer["contents"]) == 1, "it may be passed on all the same"
    assert len(answer["told"]) == len(reasons)
    for one, reason in zip(answer["told"], reasons, strict=True):
        assert reason in one["what"]
        assert (one["identifier"], one["sender"]) == ("9", to_hex(member_id(who)))
    report(service, who, "form", form(service, "9", **more))
    assert told(service, who) == answer["told"], "and the same once it is stated"


def test_a_site_of_nobody_and_one_of_a_stranger_are_told_alike(service: House) -> None:
    one, other = (
        read(service, "havelmark", "form", form(service, "9", where={"sites": [site]})).json()["told"][0]["what"]
        for site in (CASTINGS, NOBODYS)
    )
    assert one.replace(CASTINGS, "") == other.replace(NOBODYS, "")


def test_a_member_whose_key_is_kept_here_has_its_report_signed_by_the_service(service: House) -> None:
    def send(who: str, data: bytes | str, form: str = "form", **more: str) -> Any:
        params = {"format": form, "to": to_hex(member_id("duero")), **more}
        return service.post(
            who, "/v1/risk/disruptions", content=data, params=params,
            headers={"Content-Type": MEDIA.get(form, "application/json")},
        )  # fmt: skip

    assert send("duero", form(service, "7")).status_code == 403
    refused = send("kleinwerk", form(service, "7"))
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "counts-for-nothing")
    assert [one["what"] for one in refused.json()["problems"]] == [
        f"7: names the site {CASTINGS}, which its issuer neither owns nor deals with"
    ]
    assert listed(service, "duero") == []
    first = send("kleinwerk", form(service, "7"), anyway="true")
    assert (first.status_code, first.json()["registered"]) == (201, 1)
    second = send("kleinwerk", alert(service), "cap")
    assert second.status_code == 201, second.text
    service.anchor()
    assert sorted(one["key"] for one in listed(service, "duero")) == [
        f"{to_hex(member_id('kleinwerk'))}/7", "weather.example.org/TC26-1"
    ]  # fmt: skip


def test_an_update_of_a_cancelled_alert_is_refused_where_it_is_read_and_counts_for_nothing_if_it_is_stated(
    service: House,
) -> None:
    report(service, "duero", "cap", alert(service))
    of_first = {"references": (("weather.example.org", "TC26-1"),)}
    later = datetime.fromtimestamp(service.clock.now / 1000, UTC) - timedelta(hours=1)
    report(service, "duero", "cap", alert(service, identifier="2", action=Action.CANCEL, sent=later, **of_first))
    assert [one["isCancelled"] for one in listed(service, "duero")] == [True]
    update = alert(service, identifier="3", action=Action.UPDATE, sent=later + timedelta(minutes=1), **of_first)
    answer = read(service, "duero", "cap", update)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "cancelled-before")
    assert "send a new alert" in answer.json()["detail"]
    assert assessed(service, "duero")["origins"] == []


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><alert>&i;</alert>"
)
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><alert>&x;</alert>'
CIRCLE = {"latitude": "0", "longitude": "0", "radiusKm": "1"}


def bad(running: House) -> dict[str, tuple[str, bytes | str, int, str]]:
    """What is wrong: its format, the message, the status and the kind of problem."""
    good = alert(running).decode()
    return {
        "an end before the start": ("form", form(running, "1", until=iso(running.clock.now)), 422, "malformed-fact"),
        "an end before the start in CAP": (
            "cap",
            alert(running, ends=datetime.fromtimestamp(running.clock.now / 1000, UTC)),
            422,
            "malformed-fact",
        ),
        "a polygon that is a line": (
            "form",
            form(running, "1", where={"polygons": [[["0", "0"], ["1", "1"], ["0", "0"]]]}),
            422,
            "malformed-fact",
        ),
        "an open ring": ("cap", alert(running, Polygon(((0.0, 0.0), (0.0, 1.0), (1.0, 1.0)))), 422, "malformed-fact"),
        "a negative radius": ("cap", alert(running, Circle(0.0, 0.0, -1.0)), 422, "malformed-fact"),
        "a centre off the earth": (
            "form",
            form(running, "1", where={"circles": [CIRCLE | {"latitude": "91"}]}),
            422,
            "malformed-fact",
        ),
        "a radius of letters": ("cap", good.replace(" 80.0<", " eighty<"), 422, "malformed-fact"),
        "a number that is endless": ("cap", good.replace(" 80.0<", " 1e999<"), 422, "malformed-fact"),
        "a number too fine": ("cap", good.replace(" 80.0<", " 1e-300<"), 400, "malformed-input"),
        "a harbour in words": ("cap", alert(running, Named(Place.PORT, "Ningbo")), 400, "malformed-input"),
        "a bomb": ("cap", BOMB, 422, "malformed-fact"),
        "a bomb in a feed": ("gdacs", BOMB, 422, "malformed-fact"),
        "a file of ours": ("cap", OUTSIDE, 422, "malformed-fact"),
        "XML that ends too soon": ("cap", good[:-20], 422, "malformed-fact"),
        "XML nested a hundred thousand deep": ("cap", "<a>" * 100_000 + "</a>" * 100_000, 422, "malformed-fact"),
        "JSON nested a hundred thousand deep": ("form", "[" * 100_000 + "]" * 100_000, 422, "malformed-fact"),
        "another encoding": (
            "cap",
            good.replace("UTF-8", "latin-1").replace("flood", "Überflutung").encode("latin-1"),
            422,
            "malformed-fact",
        ),
        "a feed for an alert": ("cap", "<rss><channel/></rss>", 422, "malformed-fact"),
        "an alert for a feed": ("gdacs", good, 422, "malformed-fact"),
        "an alert for a form": ("form", good, 422, "malformed-fact"),
        "a form for a notification": ("cx-0146", form(running, "1"), 422, "malformed-fact"),
        "a format that nobody reads": ("pdf", good, 400, "malformed-request"),
        "nothing": ("form", "", 422, "malformed-fact"),
        "a message of five megabytes": ("cap", "<alert>" + "x" * (5 << 20) + "</alert>", 413, "body-too-large"),
        "a message too long for a statement": (
            "cap",
            good.replace("</alert>", f"<note>{'x' * 300_000}</note></alert>"),
            400,
            "malformed-input",
        ),
        "more corners than fields": (
            "cap",
            alert(running, *(Polygon((*((n / 500, k) for n in range(900)), (0.0, k))) for k in (1.0, 2.0, 3.0))),
            400,
            "malformed-json",
        ),
        "sent tomorrow": (
            "cap",
            alert(running, sent=datetime.fromtimestamp(running.clock.now / 1000 + 86_400, UTC)),
            400,
            "malformed-input",
        ),
        "in the name of a member": ("cap", alert(running, sender="0x" + "77" * 32), 422, "malformed-fact"),
        "half a surrogate": ("form", form(running, "1").replace("flood", "\\ud800"), 422, "malformed-fact"),
    }


def test_what_cannot_be_read_is_refused_with_its_reason_and_nothing_is_kept(service: House) -> None:
    ledger = service.network.ledger
    before = ledger.size
    for name, (kind, data, status, problem) in bad(service).items():
        answer = read(service, "duero", kind, data)
        assert answer.status_code == status, (name, answer.text)
        assert answer.json()["type"].rpartition("/")[2] == problem, (name, answer.text)
        assert answer.json()["detail"], name
        sent = service.post(
            "kleinwerk",
            "/v1/risk/disruptions",
            content=data,
            params={"format": kind},
            headers={"Content-Type": MEDIA.get(kind, "application/json")},
        )
        assert (sent.status_code, sent.json()["type"].rpartition("/")[2]) == (status, problem), (name, sent.text)
    plain = service.post("duero", "/v1/risk/disruptions/read", content="x", params={"format": "form"},
                         headers={"Content-Type": "text/plain"})  # fmt: skip
    assert plain.status_code == 415
    assert ledger.size == before
    assert listed(service, "duero") == []
    assert listed(service, "kleinwerk") == []


def test_what_is_not_for_the_reader_and_what_is_not_there_look_alike(service: House) -> None:
    report(service, "duero", "cap", alert(service), to=("nordrand",))
    assert export(service, "nordrand", "weather.example.org/TC26-1", "json").status_code == 200
    theirs = export(service, "havelmark", "weather.example.org/TC26-1", "json")
    none = export(service, "havelmark", "weather.example.org/TC26-9", "json")
    assert (theirs.status_code, none.status_code) == (404, 404)
    assert theirs.json()["detail"].replace("-1'", "-9'") == none.json()["detail"]

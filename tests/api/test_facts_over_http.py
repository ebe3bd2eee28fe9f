"""Tables of facts and requests for facts over HTTP: what is wrong is a problem with its place, and nothing is kept."""

import io
import zipfile
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa

from api.impact.requests import end_of
from api.notices import Told
from api.noticing import FactNotices
from api.routes.facts import XLSX
from ledger_service.keys import from_hex, to_hex
from ledger_service.store.tables import statement
from tests.api.house import House, house
from tests.api.impact.workbooks import LINK, OWN_SITE, PART, SITE, SITE_KEY, STOCK, filled
from tests.consortium import member_id

WHOLE: dict[str, list[dict[str, Any]]] = {"site": [OWN_SITE], "stock": [STOCK], "supply-link": [LINK]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("facts")) as running:
        yield running


def send(service: House, name: str, data: bytes, path: str = "read", media_type: str = XLSX, **params: Any) -> Any:
    where = "/v1/risk/facts" + (f"/{path}" if path else "")
    return service.post(name, where, content=data, params=params, headers={"Content-Type": media_type})


def request(service: House, asker: str = "nordrand", asked: str = "duero", **changes: Any) -> Any:
    content = {
        "document": {"type": "fact-request", "number": "RQ-1"},
        "wanted": [{"kind": "stock"}],
        "purpose": "drill",
        "until": "2026-10-30",
        **changes,
    }
    return service.send(
        asker,
        service.envelope(asker, (asked,), kind="fact-request", content=content, stream=f"{asker} asks {asked}").data,
    )


def kept(service: House) -> int:
    """How many statements there are, but for the addresses that custodial members' gateways leave by themselves."""
    query = sa.select(sa.func.count()).where(statement.c.kind != "custody-addresses")
    with service.network.ledger.store.read() as connection:
        return int(connection.execute(query).scalar_one())


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("xl/worksheets/sheet1.xml", b"0" * (65 << 20))
    return out.getvalue()


def test_the_template_comes_in_both_languages(service: House) -> None:
    for lang in ("en", "de"):
        answer = service.get("duero", "/v1/risk/facts/template.xlsx", lang=lang)
        assert (answer.status_code, answer.headers["content-type"]) == (200, XLSX)
        assert answer.content[:2] == b"PK"
    assert service.get("duero", "/v1/risk/facts/template.xlsx", lang="tlh").status_code == 400


def test_a_workbook_is_read_into_contents_that_can_be_signed(service: House) -> None:
    answer = send(service, "duero", filled(WHOLE), to=to_hex(member_id("nordrand")))
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [(one["kind"], one["isNew"]) for one in items] == [("site", True), ("supply-link", True), ("stock", True)]
    for number, one in enumerate(items):
        envelope = service.envelope(
            "duero", ("nordrand",), kind=one["kind"], content=one["content"], stream=f"f{number}"
        )
        assert service.send("duero", envelope.data).status_code == 201
    again = send(service, "duero", filled(WHOLE), to=to_hex(member_id("nordrand"))).json()["items"]
    assert [one["isNew"] for one in again] == [False, False, False]
    changed = send(service, "duero", filled(WHOLE | {"stock": [STOCK | {"quantity": 7}]})).json()["items"]
    assert [one["isNew"] for one in changed] == [False, False, True]


def test_the_service_signs_what_is_new_for_a_custodial_member_and_for_nobody_else(service: House) -> None:
    data = filled({"site": [{"site": "9521003000015"}], "stock": [STOCK | {"site": "9521003000015"}]})
    first = send(service, "kleinwerk", data, "")
    assert (first.status_code, first.json()["registered"]) == (201, 2), first.text
    assert send(service, "kleinwerk", data, "").json()["registered"] == 0
    changed = filled({"stock": [STOCK | {"site": "9521003000015", "quantity": 3}]})
    assert send(service, "kleinwerk", changed, "").json()["registered"] == 1
    streams = service.get("kleinwerk", "/v1/streams").json()["items"]
    assert 3 in [one["registered"] for one in streams if one["audience"] == []]
    assert send(service, "duero", filled(WHOLE), "").status_code == 403


CSV = f"site,part,quantity,uom\n{SITE},{PART},5,pcs\n".encode()
BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "JSON": ({"data": b"{}", "media_type": "application/json"}, 415, "expected application/vnd"),
    "nothing": ({"data": b""}, 422, "of a CSV file say of which kind"),
    "too much": ({"data": b"PK\x03\x04" + b"0" * (5 << 20)}, 413, "the limit is"),
    "a bomb": ({"data": bomb()}, 422, "unpacks to"),
    "half a workbook": ({"data": filled(WHOLE)[:9000]}, 422, "no Excel workbook"),
    "a formula": ({"data": filled({"stock": [STOCK | {"quantity": "=1+1"}]})}, 422, "is a formula"),
    "merged cells": (
        {"data": filled(WHOLE, change=lambda book: book["Stock"].merge_cells("B6:B7"))}, 422, "B6:B7 are merged",
    ),
    "a sheet of another name": (
        {"data": filled(WHOLE, change=lambda book: setattr(book["Stock"], "title", "X"))}, 422, "called so",
    ),
    "a stock below 0": ({"data": filled({"stock": [STOCK | {"quantity": -1}]})}, 422, "is below 0"),
    "an unknown unit": ({"data": filled({"stock": [STOCK | {"uom": "x y"}]})}, 422, "is no unit"),
    "a site of nobody's": ({"data": filled({"stock": [STOCK | {"site": "9521001000017"}]})}, 422, "no site of yours"),
    "the same twice": ({"data": filled({"site": [OWN_SITE, OWN_SITE]})}, 422, "says the same again as row 5"),
    "an unknown member": (
        {"data": filled({"supply-link": [LINK | {"levels": "Nobody: named"}]})}, 422, "is nobody in the directory",
    ),
    "an unknown kind": ({"data": CSV, "media_type": "text/csv", "kind": "mood"}, 422, "no kind of fact"),
    "no kind": ({"data": CSV, "media_type": "text/csv"}, 422, "of a CSV file say of which kind"),
    "no zone": ({"data": CSV, "media_type": "text/csv", "kind": "stock", "zone": "Mars/Olympus"}, 400, "no time zone"),
    "a zone that is a path": (
        {"data": CSV, "media_type": "text/csv", "kind": "stock", "zone": "../../etc/passwd"}, 400, "no time zone",
    ),
    "another decimal sign": ({"data": CSV, "media_type": "text/csv", "kind": "stock", "decimal": ";"}, 400, "decimal"),
    "half a mapping": ({"data": CSV, "media_type": "text/csv", "kind": "stock", "column": "Werk"}, 400, "name=value"),
    "a mapping to nothing there": (
        {"data": CSV, "media_type": "text/csv", "kind": "stock", "column": "part=piece"}, 422, "is no column",
    ),
    "not UTF-8": ({"data": b"\xff\xfe", "media_type": "text/csv", "kind": "stock"}, 422, "is not UTF-8"),
    "an audience of nobody": (
        {"data": CSV, "media_type": "text/csv", "kind": "stock", "to": "0x12"}, 400, "64 lower-case",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_a_table_is_a_problem_and_nothing_is_kept(service: House, name: str) -> None:
    parts, status, what = BAD[name]
    size = kept(service)
    for member, path in (("oderland", "read"), ("kleinwerk", "")):
        answer = send(service, member, **{"path": path, **parts})
        assert answer.status_code == status, answer.text
        assert what in answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    assert kept(service) == size


def test_a_problem_names_sheet_row_and_column(service: House) -> None:
    answer = send(service, "oderland", filled({"stock": [STOCK | {"uom": "x y"}], "site": [OWN_SITE]}))
    (problem,) = answer.json()["problems"]
    assert (problem["sheet"], problem["row"], problem["column"]) == ("Stock", 6, "Unit *")
    assert answer.json()["type"].endswith("/unfit-table")


def test_both_sides_see_a_request_and_are_told_and_nobody_else_is(service: House) -> None:
    asked = request(service).json()["digest"]
    said = {
        "request": asked, "outcome": "declined", "reason": "not-known",
    }  # fmt: skip
    answer = service.envelope("duero", ("nordrand",), kind="fact-answer", content=said, stream="answers")
    assert service.send("duero", answer.data).status_code == 201
    for name, side in (("nordrand", "asked"), ("duero", "to-answer")):
        items = service.get(name, "/v1/risk/requests", side=side).json()["items"]
        assert [(one["request"], one["state"]) for one in items] == [(asked, "declined")]
        assert service.get(name, "/v1/risk/requests", state="open").json()["items"] == []
        kinds = _notices(service, name)
        assert [one["kind"] for one in kinds] == [Told.FACT_REQUEST, Told.FACT_ANSWER]
        assert kinds[1]["body"]["request"] == asked
        assert "purpose" not in str(kinds)
    assert service.get("oderland", "/v1/risk/requests").json()["items"] == []
    assert _notices(service, "oderland") == []
    assert service.app.state.service.impact.requests.open_requests(member_id("nordrand"), 10_000) == 0


def test_an_answer_with_facts_that_are_not_there_or_not_its_own_closes_nothing(fresh: House) -> None:
    asked = request(fresh).json()["digest"]
    fact = {
        "asOf": "2026-09-20T06:00:00Z", "document": {"type": "t", "number": "1"}, "site": SITE_KEY,
        "part": f"(01){PART}", "quantity": "5", "uom": "H87",
    }  # fmt: skip
    theirs = fresh.send("oderland", fresh.envelope("oderland", (), kind="stock", content=fact).data).json()["digest"]
    own = fresh.send("duero", fresh.envelope("duero", (), kind="stock", content=fact).data).json()["digest"]
    for facts, state in (["0x" + "77" * 32], "open"), ([theirs], "open"), ([own, theirs], "open"), ([own], "answered"):
        said = {"request": asked, "outcome": "answered", "facts": facts}
        answer = fresh.envelope("duero", ("nordrand",), kind="fact-answer", content=said, stream="answers")
        assert fresh.send("duero", answer.data).status_code == 201
        assert fresh.get("nordrand", "/v1/risk/requests").json()["items"][0]["state"] == state


def test_both_sides_are_told_once_when_the_day_of_a_request_is_over(fresh: House) -> None:
    late, answered = (request(fresh, document={"type": "x", "number": one}).json()["digest"] for one in ("1", "2"))
    said = {"request": answered, "outcome": "declined", "reason": "other"}
    fresh.send("duero", fresh.envelope("duero", ("nordrand",), kind="fact-answer", content=said).data)
    running = fresh.app.state.service
    closing = FactNotices(running.ledger, running.notices, running.impact.requests)
    closing.closed(fresh.clock.now)
    assert running.impact.requests.find(from_hex(late, 32)).standing(end_of(date(2026, 10, 30)) - 1) == "open"
    fresh.clock.now = end_of(date(2026, 10, 30))
    fresh.sign_out()
    for _ in range(2):
        closing.closed(fresh.clock.now)
    for name in ("duero", "nordrand"):
        over = [one for one in _notices(fresh, name) if one["kind"] == Told.FACT_UNANSWERED]
        assert [one["body"] for one in over] == [{"request": late}]
        states = {one["request"]: one["state"] for one in fresh.get(name, "/v1/risk/requests").json()["items"]}
        assert states == {late: "unanswered", answered: "declined"}
    assert _notices(fresh, "oderland") == []


def _notices(service: House, name: str) -> list[dict[str, Any]]:
    service.app.state.service.notices.follow(service.clock.now)
    items: list[dict[str, Any]] = service.get(name, "/v1/notices").json()["items"]
    return [one for one in items if one["kind"].startswith("fact-")]


def test_the_list_of_requests_goes_on_page_by_page(fresh: House) -> None:
    made = [request(fresh, document={"type": "x", "number": str(number)}).json()["digest"] for number in range(5)]
    seen: list[str] = []
    after: dict[str, Any] = {}
    while True:
        page = fresh.get("nordrand", "/v1/risk/requests", limit=2, **after).json()
        seen += [one["request"] for one in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == made
    assert fresh.get("nordrand", "/v1/risk/requests", after="0x" + "77" * 32).status_code == 400
    assert fresh.get("oderland", "/v1/risk/requests", after=made[0]).status_code == 400, "no place in that list"
    assert fresh.app.state.service.impact.requests.open_requests(member_id("nordrand"), 3) == 3
    assert fresh.app.state.service.impact.requests.open_requests(member_id("duero"), 5) == 0


def test_the_service_asks_for_a_custodial_member_and_for_nobody_else(service: House) -> None:
    content: dict[str, Any] = {
        "to": [to_hex(member_id("oderland"))],
        "document": {"type": "fact-request", "number": "RQ-9"},
        "wanted": [{"kind": "stock"}],
        "purpose": "drill",
        "until": "2026-10-30",
    }
    answer = service.post("kleinwerk", "/v1/risk/requests", json=content)
    assert answer.status_code == 201, answer.text
    (asked,) = service.get("oderland", "/v1/risk/requests").json()["items"]
    assert (asked["request"], asked["asker"]) == (answer.json()["request"], to_hex(member_id("kleinwerk")))
    size = kept(service)
    for changes, status in (
        ({"to": [to_hex(member_id("kleinwerk"))]}, 400),
        ({"to": []}, 400),
        ({"to": ["0x" + "55" * 32]}, 422),
        ({"wanted": []}, 400),
        ({"until": "soon"}, 400),
        ({"colour": "red"}, 400),
    ):
        assert service.post("kleinwerk", "/v1/risk/requests", json=content | changes).status_code == status, changes
    assert service.post("duero", "/v1/risk/requests", json=content).status_code == 403
    assert kept(service) == size


REQUESTS: dict[str, dict[str, Any]] = {
    "nothing wanted": {"wanted": []},
    "an unknown kind": {"wanted": [{"kind": "mood"}]},
    "a site in words": {"wanted": [{"kind": "stock", "site": "Ningbo"}]},
    "no day": {"until": "soon"},
    "an unknown level": {"level": "secret"},
    "no purpose": {"purpose": ""},
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_that_asks_nothing_clear_is_refused(service: House, name: str) -> None:
    size = kept(service)
    answer = request(service, **REQUESTS[name])
    assert answer.status_code == 400, answer.text
    assert answer.json()["where"].startswith("/content/")
    assert kept(service) == size


def test_what_is_read_of_others_is_nothing(service: House) -> None:
    """Whose a site is that somebody else has described is not found out by naming it."""
    named, made_up = (
        send(service, "oderland", filled({"stock": [STOCK | {"site": one}]})).json()["problems"]
        for one in (SITE, "9521001000017")
    )
    assert named == made_up
    assert SITE_KEY not in str(named)

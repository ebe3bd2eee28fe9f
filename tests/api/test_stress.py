"""Stress tests and exposure over HTTP: a member's own view, sets that members agree on, and what is refused."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.impact.recomputing import first_difference
from api.impact.stress import remade
from api.service import operator_token
from ledger_service.keys import to_hex
from risk.errors import MalformedFact
from risk.sharing import canonical
from risk.worst_list import worst_list
from tests.api.house import House, still
from tests.api.impact.flood import AXLE, AXLES, CAR, CASTINGS, HOUSING, OTHER, PLANT, chain, state
from tests.consortium import member_id

ROOT = Path(__file__).parents[2]
COST = {"centsAYear": 100_000, "currency": "EUR", "onceCents": 500_000, "years": 5}
STOCK = {"cost": COST, "days": 5, "kind": "stock", "name": "Axles", "part": AXLE, "site": PLANT}
OUT = {"days": {"least": 14, "likely": 28, "most": 42}, "name": "Axles out", "sites": [AXLES]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with still(tmp_path_factory.mktemp("network")) as running:
        chain(running)
        running.anchor()
        yield running


def asked(service: House, who: str, expect: int = 200, **question: Any) -> Any:
    answer = service.post(who, "/v1/risk/stress", json=question)
    assert answer.status_code == expect, answer.text
    return answer.json()


def test_a_member_tests_its_own_view_and_makes_the_result_again_from_it(service: House) -> None:
    question: dict[str, Any] = {
        "draws": 5,
        "every": ["site", "region"],
        "mitigations": [STOCK],
        "scenarios": [{**OUT, "chanceAYear": "0.1"}],
        "seed": 3,
    }
    told = asked(service, "havelmark", **question, withView=True)
    result = told["result"]
    named = next(one for one in result["scenarios"] if one["of"] == "set")
    assert (named["name"], named["recoverDays"]["isAssumed"]) == ("Axles out", False)
    lost = named["effect"]["lost"][CAR]
    assert named["effect"]["revenueCents"] == int(lost) * 3_000_000
    saved = named["mitigated"][0]["saved"]
    assert saved["lost"] == {CAR: "500"}
    assert named["mitigated"][0]["breakEven"]["notKnown"] is None
    assert result["mitigations"][0]["paysForItself"] is True
    assert {one["where"].get("region") for one in result["scenarios"] if one["of"] == "region"} >= {"Central Europe"}
    assert CASTINGS not in canonical(told).decode(), "whom our supplier buys from is not ours to know"
    assert remade(told).text == canonical(result)
    assert asked(service, "havelmark", **question) == {name: told[name] for name in ("question", "result")}


def test_what_came_of_a_test_is_a_statement_that_only_its_reader_has(service: House) -> None:
    question: dict[str, Any] = {"every": ["site"], "mitigations": [STOCK], "seed": 5}
    answer = service.post("havelmark", "/v1/risk/stress/reports", json=question | {"withView": True})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    content, digest = made["content"], made["digest"]
    assert content == worst_list(question, made["result"])
    assert content["scenarios"] == made["result"]["scenarios"], "a small one is whole"
    again = service.post("havelmark", "/v1/risk/stress/reports", json=question).json()
    assert (again["digest"], again["number"]) == (digest, made["number"]), "one question has one report"
    view = service.get(
        "havelmark", f"/v1/risk/stress/view?day={content['day']}&size={content['checkpoint'].split()[1]}"
    )
    assert first_difference(view.content, canonical(content)) is None
    forged = content | {"mitigations": []}
    assert "/mitigations" in str(first_difference(view.content, canonical(forged)))
    service.anchor()
    stated = service.get("havelmark", f"/v1/statements/{digest}").json()
    assert (stated["header"]["kind"], stated["state"]) == ("stress-report", "anchored")
    assert stated["content"] == content | {"to": [to_hex(member_id("havelmark"))]}
    (line,) = service.get("havelmark", "/v1/risk/stress/reports").json()["items"]
    assert (line["digest"], line["summary"]["mitigations"]) == (digest, ["Axles"])
    assert line["summary"]["worst"]["revenueCents"] == content["scenarios"][0]["effect"]["revenueCents"]
    assert service.get("havelmark", f"/v1/risk/stress/reports/{digest}").json()["content"] == content
    assert service.get("nordrand", f"/v1/risk/stress/reports/{digest}").status_code == 404
    assert service.get("havelmark", f"/v1/risk/reports/{digest}").status_code == 404, "it is no impact report"
    assert service.get("nordrand", "/v1/risk/stress/reports").json()["items"] == []


def test_both_verifiers_take_the_bundle_of_a_stress_report(service: House, tmp_path: Path) -> None:
    made = service.post("havelmark", "/v1/risk/stress/reports", json={"every": ["site"], "seed": 9}).json()
    service.anchor()
    stream = service.get("havelmark", f"/v1/statements/{made['digest']}").json()["header"]["stream"]
    assert service.get("havelmark", f"/v1/statements/{made['digest']}/receipt").status_code == 200
    bundle = service.post("havelmark", "/v1/bundles", json={"streams": [{"stream": stream}]})
    assert bundle.status_code == 200, bundle.text
    (tmp_path / "bundle.json").write_bytes(bundle.content)
    (tmp_path / "trust.json").write_text(service.anyone.get("/v1/trust", headers=service.headers("havelmark")).text)
    for program in (["-m", "api.cli", "verify"], [str(ROOT / "verify" / "tallystick-verify.py")]):
        done = subprocess.run(
            [sys.executable, *program, str(tmp_path / "bundle.json"), "--trust", str(tmp_path / "trust.json")],
            capture_output=True, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_report_without_its_question_wants_the_one_that_was_asked(service: House) -> None:
    question: dict[str, Any] = {"every": ["site"], "seed": 6}
    made = service.post("havelmark", "/v1/risk/stress/reports", json=question).json()
    view = service.get("havelmark", "/v1/risk/stress/view").content
    report = made["content"] | {"question": None}
    with pytest.raises(MalformedFact, match="name the file"):
        first_difference(view, canonical(report))
    with pytest.raises(MalformedFact, match="not the question that was asked"):
        first_difference(view, canonical(report), question | {"seed": 7})
    assert (
        first_difference(view, canonical(report), question)
        == '/question: the view gives {"every":["site"],"seed":6}, the report says null'
    )


def test_members_agree_on_a_set_and_each_tests_its_own_part_of_it(service: House) -> None:
    digest = state(
        service, "duero", "scenario-set", to=("havelmark", "nordrand"), name="Circle", version="2",
        scenarios=[OUT, {"name": "Castings out", "sites": [CASTINGS]}],
    )  # fmt: skip
    service.anchor()
    theirs = asked(service, "nordrand", scenarioSet=digest)["result"]
    ours = asked(service, "havelmark", scenarioSet=digest)["result"]
    assert ours["scenarioSet"] == theirs["scenarioSet"]
    assert (ours["scenarioSet"]["name"], ours["scenarioSet"]["version"]) == ("Circle", "2")
    assert [one["name"] for one in theirs["scenarios"]] == ["Axles out", "Castings out"]
    assert [one["name"] for one in ours["scenarios"]] == ["Axles out"]
    assert ours["notSeen"] == [{"name": "Castings out", "notSeen": [CASTINGS]}]
    assert theirs["scenarios"][1]["recoverDays"] == {"isAssumed": False, "least": 14, "likely": 28, "most": 42}
    assert asked(service, "oderland", 404, scenarioSet=digest)["type"].endswith("not-found")
    castings = state(service, "duero", "part", part=f"{HOUSING}9", uom="H87")
    assert asked(service, "duero", 404, scenarioSet=castings)["type"].endswith("not-found")


def test_who_has_no_site_is_told_so(service: House) -> None:
    assert asked(service, "oderland", 409, every=["site"])["type"].endswith("no-sites")
    assert service.get("oderland", "/v1/risk/exposure").json()["type"].endswith("no-sites")


def test_exposure_goes_as_far_as_the_levels_do(service: House) -> None:
    told = service.get("havelmark", "/v1/risk/exposure").json()
    by_place = {one["where"].get("site") or one["where"].get("region"): one for one in told["sites"]}
    assert by_place.keys() == {PLANT, AXLES, "Iberia"}
    assert by_place[AXLES]["oneBucket"]["days"] == "5"
    assert (by_place["Iberia"]["gapDays"], by_place[AXLES]["isCovered"]) == (None, False)
    assert by_place[AXLES]["atRisk"]["revenueCents"] == int(by_place[AXLES]["atRisk"]["lost"][CAR]) * 3_000_000
    assert told["currency"] == "EUR"
    assert by_place["Iberia"]["recoverDays"] is None
    assert by_place[AXLES]["systemicRisk"] == "1"
    assert set(told["restsOn"]) == {
        "exposureIndex",
        "isCovered",
        "oneBucket",
        "systemicRisk",
        "timeToSurvive",
    }
    assert [one["supplier"] for one in told["singleSources"]] == [{"site": AXLES}]
    assert told["essential"]["stated"] == 0
    assert "essential" in told["restsOn"]["systemicRisk"]
    assert (
        service.get("havelmark", "/v1/risk/exposure").content == service.get("havelmark", "/v1/risk/exposure").content
    )


def test_the_whole_network_is_for_the_operator_alone(service: House) -> None:
    headers = {"Authorization": f"Bearer {operator_token(service.network)}"}
    answer = service.anyone.post("/v1/operator/stress", json={"every": ["site"], "worst": 3}, headers=headers)
    assert answer.status_code == 200, answer.text
    result = answer.json()["result"]
    assert (result["reader"], result["view"]) == ("", None)
    assert {one["where"]["site"] for one in result["scenarios"]} == {PLANT, AXLES, CASTINGS}
    refused = service.post("havelmark", "/v1/operator/stress", json={"every": ["site"]})
    assert refused.status_code == 403


def test_what_a_reader_may_not_see_does_not_change_its_result(fresh: House) -> None:
    """Two worlds: duero's own supplier, withheld from all others, is in one of them."""
    chain(fresh)
    fresh.anchor()
    question: dict[str, Any] = {"every": ["site", "region", "port"], "mitigations": [STOCK]}

    def told() -> list[Any]:
        exposure = fresh.get("havelmark", "/v1/risk/exposure").json()
        result = asked(fresh, "havelmark", **question)["result"]
        # What may differ: the checkpoint, and with it the ids that are made for it.
        return [{k: v for k, v in one.items() if k not in ("checkpoint", "view")} for one in (exposure, result)]

    before = told()
    smelter, steel = OTHER, "did:web:oderland.example.org/part/1"
    state(fresh, "oderland", "site", site=smelter, region="Iberia", locode="ESBIO")
    state(fresh, "oderland", "part", part=steel, uom="KGM")
    state(fresh, "oderland", "capacity", site=smelter, part=steel, planned="100", most="100", uom="KGM")
    state(fresh, "duero", "supply-link", supplier=smelter, customer=CASTINGS, part=steel, uom="KGM", share="1",
          lead={"days": 1}, level="withheld")  # fmt: skip
    fresh.anchor()
    assert told() == before


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing": ({}, 400, ""),
    "no scenarios": ({"scenarios": []}, 400, "/scenarios"),
    "a billion scenarios": ({"scenarios": [{**OUT, "name": str(n)} for n in range(201)]}, 400, "/scenarios"),
    "a site that nobody sees": ({"scenarios": [{**OUT, "sites": [CASTINGS]}]}, 400, "/scenarios/0"),
    "a site that is not there": ({"scenarios": [{**OUT, "sites": [PLANT + "9"]}]}, 400, "/scenarios/0"),
    "a region in which nothing is": ({"scenarios": [{"name": "x", "regions": ["Moon"]}]}, 400, "/scenarios/0"),
    "both a set and scenarios": ({"scenarios": [OUT], "scenarioSet": "0x" + "11" * 32}, 400, "/scenarioSet"),
    "a set that is none": ({"scenarioSet": "0x" + "11" * 32}, 404, ""),
    "a set in words": ({"scenarioSet": "Circle"}, 404, ""),
    "every planet": ({"every": ["planet"]}, 400, "/every/0"),
    "every site twice": ({"every": ["site", "site"]}, 400, "/every"),
    "a seed in words": ({"every": ["site"], "seed": "seven"}, 400, "/seed"),
    "a seed out of range": ({"every": ["site"], "seed": -1}, 400, "/seed"),
    "too many draws": ({"every": ["site"], "draws": 10**9}, 400, "/draws"),
    "more walks than one test holds": (
        {"every": ["site"], "draws": 500, "mitigations": [{**STOCK, "name": str(n)} for n in range(10)]},
        422,
        "",
    ),
    "more mitigations than one test holds": (
        {"every": ["site"], "mitigations": [{**STOCK, "name": str(n)} for n in range(11)]},
        400,
        "/mitigations",
    ),
    "a mitigation of a kind of its own": ({"every": ["site"], "mitigations": [{**STOCK, "kind": "hope"}]}, 400,
                                          "/mitigations/0/kind"),
    "a mitigation without a cost": (
        {"every": ["site"], "mitigations": [{name: one for name, one in STOCK.items() if name != "cost"}]}, 400,
        "/mitigations/0"),
    "a negative cost": ({"every": ["site"], "mitigations": [{**STOCK, "cost": {**COST, "onceCents": -1}}]}, 400,
                        "/mitigations/0/cost/onceCents"),
    "a cost in words": ({"every": ["site"], "mitigations": [{**STOCK, "cost": {**COST, "currency": "Euro"}}]}, 400,
                        "/mitigations/0/cost/currency"),
    "two currencies": (
        {"every": ["site"], "mitigations": [STOCK, {**STOCK, "name": "n", "cost": {**COST, "currency": "USD"}}]}, 422,
        ""),
    "stock of a part that nobody uses": ({"every": ["site"], "mitigations": [{**STOCK, "part": HOUSING}]}, 422,
                                         "Axles"),
    "stock for no days": ({"every": ["site"], "mitigations": [{**STOCK, "days": 0}]}, 400, "/mitigations/0/days"),
    "nothing a day": (
        {"every": ["site"], "mitigations": [{"cost": COST, "kind": "capacity", "name": "x", "part": CAR,
                                             "perDay": "0", "site": PLANT}]}, 400, "/mitigations/0/perDay"),
    "a seed with a point": ({"every": ["site"], "seed": 1.5}, 400, "/seed"),
    "a seed that is true": ({"every": ["site"], "seed": True}, 400, "/seed"),
    "a seed beyond JSON": ({"every": ["site"], "seed": 2**53}, 400, "/seed"),
    "no days": ({"every": ["site"], "days": 0}, 400, "/days"),
    "ten years of days": ({"every": ["site"], "days": 3650}, 400, "/days"),
    "none of the worst": ({"every": ["site"], "worst": 0}, 400, "/worst"),
    "a scenario years from now": ({"scenarios": [{**OUT, "afterDays": 10**9}]}, 400, "/scenarios/0/afterDays"),
    "a recovery of a million days": (
        {"scenarios": [{**OUT, "days": {"least": 1, "likely": 2, "most": 10**6}}]}, 400, "/scenarios/0/days/most"),
    "a recovery backwards": (
        {"scenarios": [{**OUT, "days": {"least": 9, "likely": 2, "most": 10}}]}, 400, "/scenarios/0/days"),
    "a chance of two": ({"scenarios": [{**OUT, "chanceAYear": "2"}]}, 400, "/scenarios/0/chanceAYear"),
    "a chance with an exponent": ({"scenarios": [{**OUT, "chanceAYear": "1e-999999"}]}, 400,
                                  "/scenarios/0/chanceAYear"),
    "more than all is left": ({"scenarios": [{**OUT, "left": "1.1"}]}, 400, "/scenarios/0/left"),
    "a scenario without a name": ({"scenarios": [{**OUT, "name": ""}]}, 400, "/scenarios/0/name"),
    "a name of a thousand letters": ({"scenarios": [{**OUT, "name": "x" * 1_000}]}, 400, "/scenarios/0/name"),
    "ten thousand sites in one": ({"scenarios": [{**OUT, "sites": [f"{PLANT}{n}" for n in range(10_000)]}]}, 400,
                                  "/scenarios/0/sites"),
    "scenarios in an object": ({"scenarios": {"0": OUT}}, 400, "/scenarios"),
    "mitigations in a text": ({"every": ["site"], "mitigations": "all"}, 400, "/mitigations"),
    "a mitigation that is a list": ({"every": ["site"], "mitigations": [[STOCK]]}, 400, "/mitigations/0"),
    "a cost spread over a million years": (
        {"every": ["site"], "mitigations": [{**STOCK, "cost": {**COST, "years": 10**6}}]}, 400,
        "/mitigations/0/cost/years"),
    "a cost in a text": (
        {"every": ["site"], "mitigations": [{**STOCK, "cost": {**COST, "onceCents": "5"}}]}, 400,
        "/mitigations/0/cost/onceCents"),
    "stock at a site that we cannot see": (
        {"every": ["site"], "mitigations": [{**STOCK, "site": CASTINGS}]}, 422, "Axles"),
    "a supplier whom we cannot see": (
        {"every": ["site"], "mitigations": [{"cost": COST, "customer": CASTINGS, "kind": "supplier", "leadDays": 1,
                                             "name": "x", "part": AXLE, "perDay": "1", "supplier": OTHER}]}, 422, "x"),
    "a part of more digits than there are": (
        {"every": ["site"], "mitigations": [{"cost": COST, "kind": "capacity", "name": "x", "part": CAR,
                                             "perDay": "9" * 50, "site": PLANT}]}, 400, "/mitigations/0/perDay"),
    "a view perhaps": ({"every": ["site"], "withView": "perhaps"}, 400, "/withView"),
    "a day years away": ({"every": ["site"], "day": "2036-01-01"}, 400, "/day"),
    "a checkpoint that is none": ({"every": ["site"], "size": 999_999}, 404, ""),
    "a word that means nothing": ({"every": ["site"], "colour": "red"}, 400, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(WRONG))
def test_what_is_wrong_is_said_with_its_place(service: House, name: str) -> None:
    question, status, where = WRONG[name]
    problem = asked(service, "havelmark", status, **question)
    assert problem.get("where", "") == where, problem
    assert problem["detail"]


def test_what_cannot_be_seen_is_refused_as_what_is_not_there(service: House) -> None:
    """A mitigation at a site that the asker cannot see says no more of it than one at a site that nobody has."""
    for kind in ({**STOCK}, {"cost": COST, "kind": "capacity", "name": "Axles", "part": AXLE, "perDay": "1"}):
        hidden, none = (
            asked(service, "havelmark", 422, every=["site"], mitigations=[kind | {"site": site}])
            for site in (CASTINGS, f"{CASTINGS}-none")
        )
        for problem in (hidden, none):
            problem.pop("instance", None)
        said = [str(problem).replace(site, "?") for problem, site in ((hidden, CASTINGS), (none, f"{CASTINGS}-none"))]
        assert said[0] == said[1]


def test_a_body_too_large_is_refused_before_it_is_read(service: House) -> None:
    many = [{**OUT, "name": f"{number:0>70}"} for number in range(20_000)]
    assert asked(service, "havelmark", 413, scenarios=many)["detail"]
    for route in ("/v1/risk/stress", "/v1/risk/stress/reports"):
        deep = b'{"every":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
        answer = service.post("havelmark", route, content=deep, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, answer.text


def test_sums_that_no_statement_can_hold_are_refused_and_nothing_is_kept(fresh: House) -> None:
    chain(fresh)
    state(fresh, "havelmark", "product-price", site=PLANT, part=CAR, minorUnits=10**15, currency="EUR")
    fresh.anchor()
    answer = fresh.post("havelmark", "/v1/risk/stress/reports", json={"scenarios": [OUT]})
    assert answer.status_code == 400, answer.text
    assert fresh.get("havelmark", "/v1/risk/stress/reports").json()["items"] == []
    assert fresh.get("havelmark", "/v1/risk/exposure").status_code in (200, 400)


def test_a_member_without_the_right_is_never_shown_anothers_result(service: House) -> None:
    ours = asked(service, "havelmark", every=["site"])["result"]
    theirs = asked(service, "nordrand", every=["site"])["result"]
    assert (ours["reader"], theirs["reader"]) == tuple(to_hex(member_id(one)) for one in ("havelmark", "nordrand"))
    assert all(one["effect"]["revenueCents"] is None for one in theirs["scenarios"]), "what cars cost is not theirs"

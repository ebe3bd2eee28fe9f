"""What of a stress test goes into a statement: all of a small one, the worst of a large one, and digests of both."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from ledger_service.statements import MAX_FIELDS, content_root
from risk.sharing import canonical
from risk.worst_list import worst_list

Json = dict[str, Any]
QUESTION: Json = {"every": ["site"], "seed": 7}


def scenario(number: int, stops: int = 1, parts: int = 1, mitigations: int = 0) -> Json:
    lost = {f"part-{each}": str(each + 1) for each in range(parts)}
    effect = {"draws": None, "least": None, "lost": lost, "revenueCents": 1_000 - number}
    return {
        "effect": {**effect, "stops": [{"part": f"part-{each}", "site": f"site-{number}"} for each in range(stops)]},
        "mitigated": [{**effect, "saved": {"lost": dict(lost)}} for _ in range(mitigations)],
        "name": f"site-{number}",
        "notSeen": [],
    }


def result(*scenarios: Json, **more: Any) -> Json:
    names = {"parts": {}, "sites": {f"site-{each}": f"Site {each}" for each in range(len(scenarios))}}
    return {"already": None, "names": names, "notSeen": [], "reader": "0x12", "scenarios": [*scenarios], **more}


def test_a_small_result_is_in_its_report_whole() -> None:
    said = result(*(scenario(number, stops=5) for number in range(10)))
    report = worst_list(QUESTION, said)
    assert {name: report[name] for name in said} == said
    assert (report["question"], report["omitted"]) == (QUESTION, {})
    assert report["digests"] == {name: sha256(canonical(one)).hexdigest() for name, one in
                                 (("question", QUESTION), ("result", said))}  # fmt: skip


LARGE: dict[str, tuple[Callable[[], Json], set[str]]] = {
    "many stops": (lambda: result(*(scenario(one, stops=100) for one in range(50))), {"scenarios/effect/stops"}),
    "many parts": (
        lambda: result(*(scenario(one, parts=500) for one in range(50))),
        {"scenarios", "scenarios/effect/lost", "scenarios/effect/stops"},
    ),
    "many of everything": (
        lambda: result(*(scenario(one, 200, 30, 11) for one in range(250))),
        {"scenarios", "scenarios/effect/lost", "scenarios/effect/stops", "scenarios/mitigated/lost",
         "scenarios/mitigated/saved/lost"},
    ),
    "much that is not seen": (
        lambda: result(notSeen=[{"name": str(one), "notSeen": ["x"] * 300} for one in range(200)]),
        {"notSeen", "notSeen/notSeen"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_of_a_large_one_the_worst_go_into_a_statement_and_the_rest_is_counted(name: str) -> None:
    make, omitted = LARGE[name]
    said = make()
    report = worst_list(QUESTION, said)
    assert set(report["omitted"]) <= omitted
    assert report["omitted"]
    assert report["scenarios"] == [] or report["scenarios"][0]["name"] == "site-0"
    assert len(report["scenarios"]) + report["omitted"].get("scenarios", 0) == len(said["scenarios"])
    assert report["digests"]["result"] == sha256(canonical(said)).hexdigest()
    told = {one["name"] for one in report["scenarios"]}
    assert set(report["names"]["sites"]) >= told
    assert len(content_root({"to": ["0x12"], **report}, bytes(32))) == 32, f"it has more than {MAX_FIELDS} fields"
    assert worst_list(QUESTION, said) == report


def test_of_what_is_lost_the_largest_amounts_stay() -> None:
    report = worst_list(QUESTION, result(*(scenario(one, parts=500) for one in range(50))))
    kept = report["scenarios"][0]["effect"]["lost"]
    assert "part-499" in kept
    assert "part-0" not in kept


@pytest.mark.parametrize("long", [{"scenarios": ["x"] * 1_600}, {"name": "x" * 70_000}])
def test_a_question_that_is_too_long_is_told_by_its_digest(long: Json) -> None:
    report = worst_list(long, result(scenario(0)))
    assert report["question"] is None
    assert report["digests"]["question"] == sha256(canonical(long)).hexdigest()

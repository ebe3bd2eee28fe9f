"""The second verifier's fold of custody: every case of the conformance suite, and histories drawn at random."""

import random
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from ledger_service.custody import PARSERS, Clock
from ledger_service.errors import LedgerError
from tests.custody import DAY, HOUR, START
from tests.custody_histories import any_policy, honest, soup
from tests.ledger_service.test_custody_kinds import EXAMPLES
from tests.vectors.custody import case_of, cases
from tests.vectors.custody import judged as first_judged
from tests.verify.second import second

ID = "0x" + "5" * 64


def fact(value: dict[str, Any]) -> Any:
    return second().Fact(
        value["id"],
        value["issuer"],
        value["kind"],
        value["stream"],
        value["sequence"],
        value["registeredAt"],
        value["anchoredAt"],
        value["content"],
        value["isVoid"],
        value["isDisputed"],
    )


def step(value: dict[str, Any]) -> Any:
    members = ("unit", "sequence", "giver", "taker", "offer", "acceptance", "reason", "time")
    return second().Step(*(value[one] for one in members))


def judged(case: dict[str, Any]) -> dict[str, Any]:
    """What the second verifier makes of a case, in the words of the suite."""
    verifier = second()
    policy = verifier.Policy() if case["policy"] is None else verifier.Policy.parse(case["policy"])
    fold = verifier.Custody(map(fact, case["facts"]), map(step, case["steps"]), policy, case["at"], case["clock"])
    findings = fold.findings()
    trails = {}
    for key in fold.units:
        units, found, answer = fold.trail([key])
        trails[key] = {"answer": answer, "findings": [findings.index(one) for one in found], "units": units}
    return {
        "corrected": fold.corrected,
        "findings": [
            {
                "evidence": list(one.evidence),
                "explainedBy": one.explained_by,
                "kind": one.kind,
                "stream": min(one.streams, default=None),
                "units": sorted(one.units),
                "weight": one.weight,
            }
            for one in findings
        ],
        "repeated": fold.repeated,
        "trails": trails,
        "units": {
            one.key: {
                "claims": one.claims,
                "closedAt": one.closed_at,
                "contested": one.contested,
                "custodian": one.custodian,
                "legs": [{**verifier.leg_json(leg), "start": leg.start} for leg in one.legs],
                "records": sorted(one.records),
                "within": one.within,
            }
            for one in fold.units.values()
        },
        "unread": sorted(fold.unread),
    }


@pytest.mark.parametrize("name", ["findings", "honest", "random", "policies", "views"])
def test_records_are_judged_as_the_suite_has_them(name: str) -> None:
    for case in cases(name):
        found = judged(case)
        for part, expected in case["expected"].items():
            assert found[part] == expected, (case["name"], part)


def test_identifiers_have_one_key() -> None:
    for case in cases("identifiers"):
        try:
            found = second().identify(case["text"])
        except second().Malformed:
            assert case.get("refused"), case
            continue
        assert not case.get("refused"), case
        assert (found and found.kind, found and found.key) == (case["kind"], case["key"]), case


def is_read(kind: str, content: Any) -> bool:
    try:
        second().read_paper(second().Fact(ID, ID, kind, ID, 1, 0, 0, content, False, False))
    except second().Malformed:
        return False
    return True


def test_contents_are_read_as_the_suite_has_them() -> None:
    for case in cases("contents"):
        assert is_read(case["kind"], case["content"]) == case["read"], case


def test_the_policy_in_force_is_the_one_approved() -> None:
    for case in cases("approvals"):
        approved = [(one["blockTime"] * 1000, one["data"]) for one in case["changes"] if one["kind"] == 13]
        found, _ = second().policy_in_force(approved, list(map(fact, case["statements"])), case["at"])
        assert found == case["statement"]


# -- beyond the suite --


def history(seed: int) -> dict[str, Any]:
    """Anything that members may say and chains may take, in any length, as known at any time by either clock."""
    rng = random.Random(seed)
    record = soup(rng, rng.choice([6, 14, 25, 40])) if seed % 5 else honest(seed).record
    policy = any_policy(rng) if rng.random() < 0.6 else None
    facts = [replace(one, anchored_at=None) if rng.random() < 0.1 else one for one in record.facts]
    at = START + rng.choice([30 * DAY, rng.randrange(1, 120) * HOUR])
    return case_of(str(seed), facts, list(record.steps), policy, at, rng.choice(list(Clock)))


def agree(seed: int) -> None:
    case = history(seed)
    found = judged(case)
    for part, expected in case["expected"].items():
        assert found[part] == expected, (seed, part)


def test_histories_at_random_are_judged_alike() -> None:
    for seed in range(10_000, 10_120):
        agree(seed)


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_many_histories_at_random_are_judged_alike() -> None:
    for seed in range(20_000, 24_000):
        agree(seed)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict | list):
        for name, item in list(value.items()) if isinstance(value, dict) else list(enumerate(value)):
            found += places(item, (*path, name))
    return found


VALUES: list[Any] = [
    None, True, 0, 1, -1, "", "x", " x", "0", "1", "0.5", "1.0", "60", "0x", "0x" + "a" * 40, ID, [], {}, ["a"], [ID],
    "2026-09-18T16:10:00Z", "2026-02-29T00:00:00Z", "2026-09-18T24:00:00Z", "2026-09-18T16:10:00-14:00", "DEDUI", "de",
    "geo:1,2", "(01)09521004100011", "(414)9521002000016", "1JUN049505160A1B2C3", "did:web:x.org/part/P/serial/1",
    "did:web:x.org/part/P", "KGM", "H87", "kg", "short", "damaged", "wrong-part", "late", "accepted", "refused",
    "x" * 36, "x" * 71, "\u00a0x", "https://id.gs1.org/00/395210040009260175", "urn:epc:id:sgtin:4012345.011111.9876",
    "2026-09-22", "2026-09-17", "2026-09-16", "2027-09-19", "2027-09-20", "2026-09-18T08:00:00-12:00", "0000-01-01",
    "gap", f"{ID}#1", f"{ID}#01", [f"{ID}#1", ID], "1" * 41,
]  # fmt: skip
MEMBERS = ["corrects", "replaces", "seal", "units", "text", "line", "batch", "contents", "continues", "chain", "found",
    "reason", "automatic", "discrepancies", "from", "carrier", "legs", "part", "quantity", "uom", "colour",
    "arrives"]  # fmt: skip


def changed(content: Any, rng: random.Random) -> Any:
    """A copy with something added, left out or put in another's place, once or twice."""
    content = deepcopy(content)
    for _ in range(rng.choice([1, 1, 2])):
        path = rng.choice(places(content))
        at = content
        for one in path[:-1]:
            at = at[one]
        choice = rng.random()
        if not path or choice < 0.2:
            target = at[path[-1]] if path else at
            if isinstance(target, dict):
                target[rng.choice(MEMBERS)] = deepcopy(rng.choice(VALUES))
            elif isinstance(target, list):
                target.append(deepcopy(rng.choice([*VALUES, *target])))
        elif choice < 0.4:
            del at[path[-1]]
        else:
            at[path[-1]] = deepcopy(rng.choice(VALUES))
    return content


def read_alike(seed: int, count: int) -> None:
    rng = random.Random(seed)
    for _ in range(count):
        kind = rng.choice(sorted(PARSERS))
        content = changed(EXAMPLES[kind], rng)
        try:
            PARSERS[kind](deepcopy(content))
            expected = True
        except LedgerError:
            expected = False
        assert is_read(kind, content) == expected, (kind, content)


def test_contents_changed_at_random_are_read_alike() -> None:
    read_alike(1, 600)


@pytest.mark.full
def test_many_contents_changed_at_random_are_read_alike() -> None:
    read_alike(2, 20_000)


EVENTS: list[dict[str, Any]] = [
    {
        "type": "AggregationEvent",
        "action": "ADD",
        "eventTime": "2026-09-18T16:00:00Z",
        "parentID": "licence-plate:UN049505160A1B2C3",
        "childEPCs": ["urn:epc:id:sscc:9521000.4000926017", "x"],
        "childQuantityList": [
            {"epcClass": "https://id.gs1.org/01/09521004100011/10/L1", "quantity": "5", "uom": "KGM"}
        ],
        "eventID": "a",
    },
    {
        "type": "TransformationEvent",
        "eventTime": "2026-09-18T16:00:00Z",
        "inputEPCList": ["a", "https://id.gs1.org/01/09521004100011/21/7"],
        "inputQuantityList": [{"epcClass": "b", "quantity": 3}],
        "outputEPCList": ["c"],
        "outputQuantityList": [{"epcClass": "b", "quantity": "2"}],
        "transformationID": "t",
    },
    {
        "type": "ObjectEvent",
        "action": "DELETE",
        "eventTime": "2026-09-18T16:00:00Z",
        "epcList": ["a"],
        "quantityList": [{"epcClass": "b", "quantity": "3.5", "uom": "KGM"}],
        "errorDeclaration": {"declarationTime": "2026-09-18T16:00:00Z"},
        "eventID": "z",
    },
]


def events_alike(seed: int, count: int) -> None:
    """What no door would let in, and a bundle may bring: events of any shape are read by both or by neither."""
    rng = random.Random(seed)
    for _ in range(count):
        facts = [
            {
                "anchoredAt": None,
                "content": {"to": [], "context": [], "event": changed(rng.choice(EVENTS), rng)},
                "id": f"0x{number:064x}",
                "isDisputed": False,
                "isVoid": False,
                "issuer": ID,
                "kind": "epcis-event",
                "registeredAt": START + number,
                "sequence": number,
                "stream": ID,
            }
            for number in (1, 2)
        ]
        case = {"facts": facts, "steps": [], "policy": None, "at": START + 30 * DAY, "clock": "registered"}
        assert judged(case) == first_judged(case), facts


def test_events_changed_at_random_are_read_alike() -> None:
    events_alike(1, 300)


@pytest.mark.full
def test_many_events_changed_at_random_are_read_alike() -> None:
    events_alike(2, 10_000)

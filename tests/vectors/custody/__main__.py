"""Write the cases anew: `python -m tests.vectors.custody`. What changes in them changes what others have built on."""

import random
from copy import deepcopy
from dataclasses import replace
from typing import Any

from ledger_service.custody import PARSERS, Clock, resolution_in_force
from ledger_service.errors import MalformedInput
from ledger_service.identifiers import MalformedIdentifier, identify
from ledger_service.keys import to_hex
from ledger_service.membership import Approved, Change
from tests.custody import DAY, HOUR, START, Record
from tests.custody_histories import POLICY, any_policy, honest, soup, untidy
from tests.custody_scenarios import SCENARIOS, A, B, C, P
from tests.ledger_service.test_custody_kinds import EXAMPLES, WRONG
from tests.ledger_service.test_identifiers import NO_IDENTIFIERS, SPELLINGS
from tests.ledger_service.test_identifiers import WRONG as WRONG_IDENTIFIERS
from tests.vectors.custody import case_of, fact_json, write

AT = START + 30 * DAY


def shuffled(
    name: str,
    record: Record,
    policy: dict[str, Any] | None,
    rng: random.Random,
    at: int = AT,
    clock: Clock | None = None,
) -> dict[str, Any]:
    facts, steps = list(record.facts), list(record.steps)
    rng.shuffle(facts)
    rng.shuffle(steps)
    return case_of(name, facts, steps, policy, at, clock or Clock.REGISTERED)


def scenarios() -> list[dict[str, Any]]:
    rng = random.Random(1)
    made = []
    for name, (_, build) in SCENARIOS.items():
        record = Record()
        build(record)
        made.append(shuffled(name, record, None, rng))
        found = record.fold().findings[0]
        record.say(A, "explanation", found.explanation("So it was.", []), 200)
        record.say("stranger", "explanation", found.explanation("I heard of it.", []), 201)
        made.append(shuffled(f"{name}, explained", record, {**POLICY, "registerWithinMinutes": 60}, rng))
    return made


def views() -> list[dict[str, Any]]:
    """One record at many times, by both clocks; some statements are not anchored yet."""
    rng = random.Random(2)
    record = untidy()
    record.facts = [replace(one, anchored_at=None) if rng.random() < 0.1 else one for one in record.facts]
    return [
        shuffled(f"after {hour} h, {clock}", record, None, rng, START + hour * HOUR, clock)
        for hour in (0, 2, 7, 10, 15, 21, 23, 26, 41, 55, 90, 400)
        for clock in Clock
    ]


def policies() -> list[dict[str, Any]]:
    made = []
    for place in range(40):
        rng = random.Random(30_000 + place)
        record = soup(rng)
        record.offer(A, B, [P], 41, legs=[(A, C)])
        made.append(shuffled(f"policy {place}", record, any_policy(rng), rng))
    return made


def random_ones() -> list[dict[str, Any]]:
    made = []
    for place in range(70):
        rng = random.Random(40_000 + place)
        at, clock = (rng.choice([AT, AT, START + rng.randint(1, 80) * HOUR]), rng.choice(list(Clock)))
        made.append(shuffled(f"random {place}", soup(rng, 20), None, rng, at, clock))
    return made


def honest_ones() -> list[dict[str, Any]]:
    made = []
    for seed in range(25):
        way = honest(seed)
        made.append(shuffled(f"honest {seed}", way.record, way.policy, random.Random(seed), START + 60 * DAY))
    return made


def identifiers() -> list[dict[str, Any]]:
    texts = [spelling for _, key, spellings in SPELLINGS.values() for spelling in (key, *spellings)]
    texts += [*(one for one, _ in WRONG_IDENTIFIERS), *NO_IDENTIFIERS, "https://example.com/01/4012345111119/21/7"]
    return [identifier(one) for one in dict.fromkeys(texts)]


def identifier(text: str) -> dict[str, Any]:
    try:
        found = identify(text)
    except MalformedIdentifier:
        return {"refused": True, "text": text}
    return {
        "key": None if found is None else found.key,
        "kind": None if found is None else found.kind,
        "text": text,
    }


def contents() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    examples = {kind: example for kind, example in EXAMPLES.items() if kind in PARSERS}
    for kind, example in examples.items():
        made.append({"content": example, "kind": kind})
        for name in example:
            made.append({"content": {**example, name: {"odd": 7}}, "kind": kind})
            made.append({"content": {one: value for one, value in example.items() if one != name}, "kind": kind})
    for kind, change, _ in WRONG.values():
        if kind in examples:
            content = deepcopy(examples[kind])
            change(content)
            made.append({"content": content, "kind": kind})
    return [{**one, "read": _is_read(one["kind"], one["content"])} for one in made]


def _is_read(kind: str, content: Any) -> bool:
    try:
        PARSERS[kind](content)
    except MalformedInput:
        return False
    return True


def approvals() -> list[dict[str, Any]]:
    made = []
    for seed in range(30):
        rng = random.Random(50_000 + seed)
        record = Record()
        said = [
            record.say(
                A,
                rng.choice(["custody-policy", "custody-policy", "custody-policy", "explanation"]),
                rng.choice([POLICY, POLICY, {**POLICY, "weights": 7}, None]),
                hour,
                is_void=rng.random() < 0.2,
            )
            for hour in range(4)
        ]
        ids = [*(one.id for one in said), bytes(32)]
        changes = []
        for index, what in enumerate(rng.sample(ids, rng.randint(0, 5)), 1):
            changes.append(Change.of(Approved(what), index, index * 3, START // 1000 + index * 60))
        at = START + rng.randint(0, 6 * 60_000)
        held = resolution_in_force(changes, said, at)
        made.append(
            {
                "at": at,
                "changes": [
                    {"blockTime": one.block_time, "data": to_hex(one.data), "index": one.index, "kind": one.kind}
                    for one in changes
                ],
                "statement": None if held is None else to_hex(held.statement),
                "statements": [fact_json(one) for one in said],
            }
        )
    return made


if __name__ == "__main__":
    write("identifiers", identifiers())
    write("contents", contents())
    write("approvals", approvals())
    write("findings", scenarios())
    write("views", views())
    write("policies", policies())
    write("random", random_ones())
    write("honest", honest_ones())

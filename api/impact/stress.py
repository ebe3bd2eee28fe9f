"""Stress tests and exposure over the ledger: a member's view of what might happen, and the questions it is asked.

A result is a file: the question as it was asked with every scenario in it, the result, and, where it is wanted, the
view. Whoever has question and view makes the same bytes again, offline (`remade`). Where it is to be kept, the service
states the worst of it (`worst_list`) with the digests of both, as it states impact reports.
"""

import re
import threading
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, TypeVar

import orjson

from api.impact.issuing import Issuing, Reported
from api.impact.reports import NoSites
from api.impact.requests import FactRequests
from api.impact.shared import Checkpointed, SharedNetwork
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.risk_kinds import MAX_CENTS, Reader, ScenarioFact, ScenarioSetFact, read_scenarios
from risk.errors import MalformedFact
from risk.exposure import Exposure, exposure
from risk.mitigation import AnotherSupplier, Cost, Mitigation, MoreCapacity, MoreStock, SecondRoute
from risk.outlook import what_if, whole
from risk.screen import Scenario
from risk.sharing import View, canonical
from risk.stress import (
    MOST_DAYS,
    MOST_DRAWS,
    MOST_MITIGATIONS,
    MOST_SEED,
    MOST_WORST,
    Every,
    Question,
    ScenarioSet,
    StressTest,
    stress_test,
)
from risk.worst_list import worst_list

AT_ONCE = 2
"""Tests that run side by side; each takes a thread and up to a minute of it."""
NAMES = ("scenarios", "name", "version", "every", "mitigations", "worst", "seed", "draws", "days")
"""What a question may say."""
Made = TypeVar("Made")
_ID = re.compile(r"(?:site|part)-[0-9a-f]{24}")
_COST = "onceCents centsAYear currency years"


class TestsRunning(LedgerError):
    """As many stress tests run as may at once."""


class Stress:
    """Tests of members' views, each its own; the whole network is tested for the operator at its machine alone."""

    def __init__(self, shared: SharedNetwork, requests: FactRequests, issuing: Issuing) -> None:
        self._shared = shared
        self._requests = requests
        self._issuing = issuing
        self._room = threading.BoundedSemaphore(AT_ONCE)
        self._lane = threading.Lock()
        self._running: set[bytes | None] = set()

    def view(self, reader: bytes, at: Checkpointed) -> View:
        """What `reader` may see, with how long each site would take to recover; raises NoSites."""
        if reader not in at.owners:
            raise NoSites
        hits = what_if(at.known.network, at.known.recovery_days)
        return self._shared.view(reader, at, hits, self._requests.open_requests(reader, at.size))

    def test(self, reader: bytes, question: Question, *, at: Checkpointed, is_strict: bool) -> tuple[View, StressTest]:
        """The view and what its test says. Where `is_strict`, a name that the reader cannot see is refused.

        Raises NoSites, MalformedInput, TestsRunning, and what `stress_test` raises.
        """
        return self.alone(reader, lambda: self._tested(self.view(reader, at), question, is_strict=is_strict))

    def report(self, reader: bytes, asked: Mapping[str, Any], test: StressTest, *, now: int) -> Reported:
        """The statement of what came of `asked`, registered at `now` (ms): once, however often it is asked for.

        Raises MalformedInput for sums that cannot be signed, and what registration raises.
        """
        return self._issuing.issue([self._issuing.draft(reader, worst_list(asked, test.content))], now)[0]

    def page(self, reader: bytes, after: int, limit: int) -> list[Reported]:
        """Up to `limit` reports for `reader` with numbers above `after`, the oldest first."""
        return self._issuing.page(reader, after, limit)

    def find(self, reader: bytes, digest: bytes) -> Reported:
        """The report for `reader` with this id; raises UnknownStatement, alike for those of others."""
        return self._issuing.find(reader, digest)

    def test_whole(self, question: Question, *, at: Checkpointed) -> StressTest:
        """The test of the whole network, which no member may have; raises as `test` does."""
        seen = whole(at.known.network, at.checkpoint, at.known.recovery_days)
        return self.alone(None, lambda: self._tested(seen, question, is_strict=True)[1])

    def exposure(self, reader: bytes, *, at: Checkpointed) -> Exposure:
        """How exposed `reader` is; raises NoSites, TestsRunning."""
        return self.alone(reader, lambda: exposure(self.view(reader, at)))

    def _tested(self, view: View, question: Question, *, is_strict: bool) -> tuple[View, StressTest]:
        if is_strict and question.scenarios is not None:
            for number, one in enumerate(question.scenarios.scenarios):
                missing = one.failing(view.network).not_seen
                if missing:
                    raise MalformedInput(f"you see nothing that is called {missing[0]}", f"/scenarios/{number}")
        test = stress_test(view, question)
        try:
            orjson.dumps(test.content)
        except TypeError as error:
            raise MalformedInput(f"what comes of it is no number that can be written: {error}") from error
        return view, test

    def alone(self, whose: bytes | None, work: Callable[[], Made]) -> Made:
        """What `work` gives; one member has one test at a time, so that it does not keep all others waiting."""
        with self._lane:
            if whose in self._running:
                raise TestsRunning("a stress test of yours runs already: ask again when it has ended")
            if not self._room.acquire(blocking=False):
                raise TestsRunning(f"{AT_ONCE} stress tests run already: ask again when one has ended")
            self._running.add(whose)
        try:
            return work()
        finally:
            with self._lane:
                self._running.remove(whose)
                self._room.release()


def read_question(asked: Mapping[str, Any], where: str = "") -> Question:
    """The question in JSON; raises MalformedInput with the place of what is wrong."""
    reader = Reader(dict(asked), where, "", " ".join(NAMES))
    scenarios = None
    if reader.has("scenarios"):
        scenarios = ScenarioSet(
            reader.text_or_none("name") or "",
            reader.text_or_none("version") or "",
            tuple(map(_scenario, read_scenarios(reader))),
        )
    elif reader.has("name") or reader.has("version"):
        raise MalformedInput("a name and a version go with scenarios", where)
    every = []
    for at, item in reader.items("every"):
        if item not in list(Every):
            raise MalformedInput(f"expected one of {', '.join(Every)}", at)
        every.append(Every(item))
    if len(set(every)) != len(every):
        raise MalformedInput("one comes twice", reader.at("every"))
    if scenarios is None and not every:
        raise MalformedInput("name scenarios, or ask for every site, region or port", where)
    items = reader.items("mitigations")
    if len(items) > MOST_MITIGATIONS:
        raise MalformedInput(f"at most {MOST_MITIGATIONS} go into one test", reader.at("mitigations"))

    def number(name: str, usual: int, least: int, most: int) -> int:
        return reader.number(name, least=least, most=most) if reader.has(name) else usual

    return Question(
        scenarios,
        tuple(every),
        tuple(_mitigation(item, at) for at, item in items),
        worst=number("worst", 10, 1, MOST_WORST),
        seed=number("seed", 0, 0, MOST_SEED),
        draws=number("draws", 0, 0, MOST_DRAWS),
        days=number("days", 120, 1, MOST_DAYS),
    )


def set_in(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a question says of the scenarios in the content of a `scenario-set`."""
    ScenarioSetFact.parse(content)
    return {name: content[name] for name in ("name", "scenarios", "version")}


def as_file(asked: Mapping[str, Any], result: Mapping[str, Any], view: View | None = None) -> dict[str, Any]:
    """A result as it is kept."""
    value: dict[str, Any] = {"question": dict(asked), "result": dict(result)}
    return value if view is None else value | {"view": orjson.loads(view.text)}


def remade(kept: Mapping[str, Any], view: View | None = None) -> StressTest:
    """The result of a file, made again of its question and its view (or of `view`).

    Raises MalformedInput for a file that is none or has no view, MalformedFact where the view is another one than the
    result was made of.
    """
    if not isinstance(kept.get("question"), dict) or not isinstance(kept.get("result"), dict):
        raise MalformedInput("a result has its question and what came of it")
    if view is None:
        if "view" not in kept:
            raise MalformedInput("the file has no view: ask for the result with it, or name the view's own file")
        view = View.read(canonical(kept["view"]))
    if kept["result"].get("view") != view.digest:
        raise MalformedFact(f"the result was made of the view {kept['result'].get('view')}, this is {view.digest}")
    return stress_test(view, read_question(kept["question"], "/question"))


def _scenario(fact: ScenarioFact) -> Scenario:
    return Scenario(
        fact.name,
        fact.sites,
        fact.regions,
        fact.ports,
        fact.passages,
        fact.after_days,
        fact.days,
        fact.left,
        fact.chance,
    )


def _mitigation(value: Any, where: str) -> Mitigation:
    if not isinstance(value, dict):
        raise MalformedInput("expected an object", where)
    kind = value.get("kind")
    if kind == "stock":
        one = Reader(value, where, "kind name site part days cost")
        return MoreStock(
            one.text("name"), _site(one, "site"), _part(one), one.number("days", least=1, most=3650), _cost(one)
        )
    if kind == "capacity":
        one = Reader(value, where, "kind name site part perDay cost")
        return MoreCapacity(one.text("name"), _site(one, "site"), _part(one), _amount(one), _cost(one))
    if kind == "supplier":
        one = Reader(value, where, "kind name supplier customer part perDay leadDays cost", "afterDays region port")
        return AnotherSupplier(
            one.text("name"),
            _site(one, "supplier"),
            _site(one, "customer"),
            _part(one),
            _amount(one),
            one.number("leadDays", most=3650),
            one.number("afterDays", most=3650) if one.has("afterDays") else 0,
            one.text_or_none("region") or "",
            one.text_or_none("port", 5),
            _cost(one),
        )
    if kind == "route":
        one = Reader(value, where, "kind name supplier customer part leadDays cost", "perDay")
        return SecondRoute(
            one.text("name"),
            _site(one, "supplier"),
            _site(one, "customer"),
            _part(one),
            one.number("leadDays", most=3650),
            _amount(one) if one.has("perDay") else None,
            _cost(one),
        )
    raise MalformedInput("expected stock, capacity, supplier or route", f"{where}/kind")


def _cost(reader: Reader) -> Cost:
    one = reader.child("cost", "currency", _COST.replace("currency ", ""))
    currency = one.text("currency", 3)
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise MalformedInput("expected a currency of ISO 4217, as EUR", one.at("currency"))
    return Cost(
        one.number("onceCents", most=MAX_CENTS) if one.has("onceCents") else 0,
        one.number("centsAYear", most=MAX_CENTS) if one.has("centsAYear") else 0,
        currency,
        one.number("years", least=1, most=100) if one.has("years") else None,
    )


def _amount(reader: Reader) -> Fraction:
    amount = reader.decimal("perDay")
    if amount == 0:
        raise MalformedInput("expected an amount above 0", reader.at("perDay"))
    return amount


def _site(reader: Reader, name: str) -> str:
    """A site by its name, or by its id in the view."""
    value = reader.value(name)
    return value if isinstance(value, str) and _ID.fullmatch(value) else reader.place(name)


def _part(reader: Reader) -> str:
    value = reader.value("part")
    return value if isinstance(value, str) and _ID.fullmatch(value) else reader.part("part")

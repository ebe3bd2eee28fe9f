"""Findings while a record is being judged: each kind and evidence once, about all units that it was found for. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from ledger_service.custody.policy import Policy, Problem, Weight
from ledger_service.custody.trail import Finding, finding_id

_HEAVIEST = [Weight.BREAKS, Weight.NEEDS_EXPLAINING, Weight.INFORMATION]


class Findings:
    """What was found so far, weighed by one policy."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._found: dict[tuple[Problem, tuple[str, ...]], Finding] = {}

    def add(
        self,
        problem: Problem,
        what: str,
        evidence: Iterable[str | None],
        units: Iterable[str],
        *,
        stream: bytes | None = None,
        weight: Weight | None = None,
    ) -> None:
        """Note a finding; of two weights for the same one the heavier counts."""
        shown = tuple(sorted({one for one in evidence if one is not None}))
        weight = weight or self.policy.weight(problem)
        known = self._found.get((problem, shown))
        named = set(units)
        if known is not None:
            named.update(known.units)
            weight = min(weight, known.weight, key=_HEAVIEST.index)
            what = min(what, known.what)
        self._found[problem, shown] = Finding(problem, what, shown, tuple(sorted(named)), weight, stream)

    def unsigned(
        self, what: str, evidence: Iterable[str | None], key: str, giver: bytes | None, taker: bytes | None
    ) -> None:
        """Note a leg without its two signatures, by what the policy says of such legs."""
        weight = None
        if self.policy.may_go_unsigned(giver, taker):
            weight, what = Weight.INFORMATION, what + ", as the policy allows here"
        self.add(Problem.UNSIGNED_LEG, what, evidence, [key], weight=weight)

    def by_id(self) -> dict[str, Finding]:
        """All of them by the id that an explanation names."""
        return {finding_id(problem, evidence): one for (problem, evidence), one in self._found.items()}

    def explain(self, finding: Finding, record: str) -> None:
        """Note that the explanation `record` counts for `finding`."""
        known = self._found[finding.problem, finding.evidence]
        said = tuple(sorted({*known.explained_by, record}))
        self._found[finding.problem, finding.evidence] = replace(known, explained_by=said)

    def all(self) -> tuple[Finding, ...]:
        return tuple(sorted(self._found.values(), key=lambda one: (one.problem, one.evidence)))

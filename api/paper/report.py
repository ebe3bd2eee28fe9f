"""The audit report: what a verified bundle says of custody, for a person, findings first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

from api.network import Directory
from api.paper import NoRecord, press
from api.texts import identifier, measure_text, plain, quantity_text, shortened, time_text
from ledger_service.custody import Answer, Finding, Leg, LegState, Problem, Trail, Weight
from ledger_service.custody.kinds import Discrepancy
from ledger_service.evidence import STRENGTH_MEANS, Bundle, Trust, Verdict, verify_bundle
from ledger_service.evidence.verdict import CustodyVerdict
from ledger_service.keys import to_hex

TEMPLATE = "report.typ"
MAX_UNITS_NAMED = 40
MAX_LISTED = 300
"""Findings, legs or members on paper, the gravest and the first; how many more there are is said."""
_GROUP = 8
_EXAMPLES = ("example.org", "example.com", "example.net")
_ANSWER_MEANS = {
    Answer.WHOLE: "Nothing in the record breaks it, and nothing in it needs explaining.",
    Answer.WITH_RESERVATIONS: (
        "Nothing in the record breaks it. What needed explaining has been explained by somebody who was part of it: "
        "read the explanations before you rely on them."
    ),
    Answer.BROKEN: (
        "Something in this record breaks it, or needs an explanation that nobody who was part of it has signed."
    ),
}
_UNTOLD = "The bundle shows nothing that tells of some of the units, so nobody can say whether their record is whole."
_PROBLEMS = {
    Problem.GAP: "Gap",
    Problem.FORK: "Fork",
    Problem.DOUBLE_POSSESSION: "Double possession",
    Problem.TIME_REVERSAL: "Time reversal",
    Problem.QUANTITY_NOT_CONSERVED: "Quantity not conserved",
    Problem.UNSIGNED_LEG: "Unsigned leg",
    Problem.ONE_SIDED_HANDOFF: "One-sided handoff",
    Problem.KEY_COMPROMISED: "Key compromised",
    Problem.EVENT_AFTER_CLOSE: "Event after close",
    Problem.REOPENED_AFTER_KEY_LOSS: "Reopened after key loss",
    Problem.CONFLICTING_EVENT: "Conflicting event",
    Problem.STREAM_HOLE: "Number missing in a stream",
    Problem.STREAM_FORK: "Number used twice in a stream",
    Problem.LATE_REGISTRATION: "Late registration",
    Problem.PACKED_TWICE: "Packed twice",
    Problem.PACKING_CYCLE: "Packed in itself",
}
_WEIGHTS = {
    Weight.BREAKS: "breaks the record",
    Weight.NEEDS_EXPLAINING: "needs explaining",
    Weight.INFORMATION: "for information",
}
_ORDER = {Weight.BREAKS: 0, Weight.NEEDS_EXPLAINING: 1, Weight.INFORMATION: 2}
_TAKER_SAYS = {
    LegState.DEEMED_ACCEPTED: "no: silent past the date, which the policy counts as acceptance",
    LegState.WITHHELD: "not shown: the content is withheld",
    LegState.WITHDRAWN: "no: the giver took the offer back",
    LegState.OFFERED: "not yet",
    LegState.OVERDUE: "no: the date has passed",
}


@dataclass(frozen=True, slots=True)
class Said:
    """Who said a record, what kind it is, and its words, where it has some."""

    issuer: bytes
    kind: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """An audit report. `file_hash` is the SHA-256 of the bundle file that it was made from."""

    verdict: Verdict
    record: CustodyVerdict
    trust: Trust
    said: Mapping[str, Said]
    directory: Directory
    file_hash: bytes
    is_demo: bool = False

    @classmethod
    def of(cls, data: bytes, trust: Trust, directory: Directory, *, is_demo: bool = False) -> Self:
        """The report of the bundle file `data`, judged by `trust`; names come from `directory`.

        Raises BundleRefused, MalformedInput, or NoRecord for a bundle that says nothing of custody.
        """
        bundle = Bundle.parse(data)
        verdict = verify_bundle(bundle, trust)
        if verdict.custody is None:
            raise NoRecord("this bundle holds no record of custody: ask for one of the units you mean")
        return cls(
            verdict,
            verdict.custody,
            trust,
            said_in(bundle, trust),
            directory,
            sha256(data).digest(),
            is_demo or is_example(trust.origin),
        )

    @property
    def answer(self) -> str:
        """The verdict in three words at most."""
        return "open" if self.record.answer is None else str(self.record.answer)

    @property
    def trail(self) -> Trail:
        return self.record.trail

    def pdf(self) -> bytes:
        """The report as PDF; the same report is the same bytes."""
        return press.pdf(TEMPLATE, self.data(), at=self.verdict.known_at[1])

    def pictures(self) -> list[bytes]:
        """The pages of the report as PNG."""
        return press.pictures(TEMPLATE, self.data(), at=self.verdict.known_at[1])

    def data(self) -> dict[str, Any]:
        """What the template is given: texts and lists, in the order in which they are read."""
        verdict, record, trail = self.verdict, self.record, self.trail
        number, seconds = verdict.known_at
        findings = sorted(trail.findings, key=lambda one: (_ORDER[one.weight], one.is_explained, one.problem))
        legs = self._together()
        digits = self.file_hash.hex()
        return {
            "demo": self.is_demo,
            "answer": self.answer,
            "answerMeans": _UNTOLD if record.answer is None else _ANSWER_MEANS[record.answer],
            "subject": self._subject(),
            "knownAt": {"block": str(number), "time": time_text(seconds * 1000)},
            "origin": plain(verdict.head.origin),
            "counts": {
                "statements": str(verdict.statements),
                "void": str(verdict.void),
                "anchors": str(verdict.anchors),
                "members": str(verdict.members),
                "logSize": str(verdict.head.size),
            },
            "strength": {"name": str(verdict.strength), "means": STRENGTH_MEANS[verdict.strength]},
            "witnesses": [plain(one) for one in verdict.witnesses],
            "tally": self._tally(),
            "findings": [self._finding(one) for one in findings[:MAX_LISTED]],
            "moreFindings": str(max(len(findings) - MAX_LISTED, 0)),
            "logFindings": [
                {"record": plain(records), "what": plain(what)} for what, records in verdict.remarks[:MAX_LISTED]
            ],
            "legs": [self._leg(leg, units) for leg, units in legs[:MAX_LISTED]],
            "moreLegs": str(max(len(legs) - MAX_LISTED, 0)),
            "units": [identifier(one) for one in trail.units[:MAX_UNITS_NAMED]],
            "moreUnits": str(max(len(trail.units) - MAX_UNITS_NAMED, 0)),
            "untold": [identifier(one) for one in record.untold],
            "unseen": str(record.unseen),
            "policy": "" if record.policy is None else shortened(to_hex(record.policy)),
            "parties": self._parties(),
            "doesNotProve": [plain(one) for one in verdict.does_not_prove],
            "fingerprint": self.trust.fingerprint,
            "chain": str(self.trust.chain_id),
            "file": [digits[at : at + _GROUP] for at in range(0, len(digits), _GROUP)],
            "fileShort": digits[:16],
            "code": press.square_code(f"sha256:{digits}"),
        }

    def _name(self, member: bytes | None) -> str:
        return "nobody named" if member is None else plain(self.directory.name(member), 120)

    def _subject(self) -> str:
        things = self.record.things
        many = "1 unit" if len(things) == 1 else f"{len(things)} units"
        return "; ".join(identifier(one) for one in things) if len(things) <= 3 else many

    def _units(self, units: Iterable[str]) -> str:
        """What `units` are called in a line: all of them by one word, few by name, many by number."""
        named = list(units)
        if len(named) > 1 and set(named) == set(self.trail.units):
            return f"all {len(named)} units"
        if len(named) <= 3:
            return "; ".join(identifier(one) for one in named)
        return f"{len(named)} of the units"

    def _tally(self) -> str:
        findings = self.trail.findings
        explained = sum(one.is_explained for one in findings)
        noted = sum(one.weight is Weight.INFORMATION and not one.is_explained for one in findings)
        left = len(findings) - explained - noted
        parts = [(explained, "explained"), (left, "not explained"), (noted, "for information")]
        return ", ".join(f"{count} {what}" for count, what in parts if count) or "none"

    def _finding(self, finding: Finding) -> dict[str, Any]:
        explanations = []
        for record in finding.explained_by:
            said = self.said.get(record)
            explanations.append(
                {
                    "by": self._name(said.issuer) if said else "",
                    "words": plain(said.words) if said else "",
                    "record": shortened(record),
                    "time": self._clock(record)["registered"],
                }
            )
        if finding.is_explained:
            status = "explained"
        elif finding.weight is Weight.INFORMATION:
            status = "noted"
        else:
            status = "not explained"
        return {
            "problem": _PROBLEMS[finding.problem],
            "what": plain(finding.what),
            "weight": _WEIGHTS[finding.weight],
            "status": status,
            "units": self._units(finding.units),
            "evidence": [self._evidence(one) for one in finding.evidence[:12]],
            "moreEvidence": str(max(len(finding.evidence) - 12, 0)),
            "explanations": explanations,
        }

    def _evidence(self, record: str) -> dict[str, str]:
        said = self.said.get(record)
        if said is not None:
            return {"id": shortened(record), "what": f"{said.kind} by {self._name(said.issuer)}"}
        return {"id": shortened(record), "what": "step on the chain" if "#" in record else "record"}

    def _clock(self, record: str | None) -> dict[str, str]:
        stated, registered, anchored = self.record.custody.clocks.get(record or "", (None, None, None))
        return {"stated": time_text(stated), "registered": time_text(registered), "anchored": time_text(anchored)}

    def _together(self) -> list[tuple[list[Leg], list[str]]]:
        """Legs that one offer and one answer made for several units, together, in the order in which they began."""
        grouped: dict[tuple[Any, ...], tuple[list[Leg], list[str]]] = {}
        for unit, legs in self.trail.legs.items():
            for leg in legs:
                key = (leg.giver, leg.taker, leg.state, leg.offer, leg.acceptance, leg.received_at, leg.step is None)
                of_key = grouped.setdefault(key, ([], []))
                of_key[0].append(leg)
                of_key[1].append(unit)
        return sorted(grouped.values(), key=lambda one: one[0][0].order)

    def _leg(self, legs: list[Leg], units: list[str]) -> dict[str, Any]:
        leg = legs[0]
        steps = [one.step for one in legs if one.step is not None]
        clocks = []
        for label, record, stated in (
            ("offered", leg.offer, leg.despatched_at),
            ("answered", leg.acceptance, leg.received_at),
        ):
            if record is not None:
                clock = self._clock(record)
                if stated is not None:
                    clock["stated"] = time_text(stated)
                clocks.append({"label": label, "record": shortened(record), **clock})
        if steps:
            times = sorted(
                {self.record.custody.clocks[one][2] or 0 for one in steps if one in self.record.custody.clocks}
            )
            span = time_text(times[0]) if times else "–"
            if len(times) > 1:
                span = f"{span} to {time_text(times[-1])}"
            many = "" if len(steps) == 1 else f" and {len(steps) - 1} more"
            clocks.append(
                {
                    "label": "on the chain",
                    "record": shortened(steps[0]) + many,
                    "stated": "–",
                    "registered": "–",
                    "anchored": span,
                }
            )
        return {
            "giver": self._name(leg.giver),
            "taker": self._name(leg.taker),
            "state": str(leg.state),
            "units": self._units(units),
            "giverSigned": leg.offer is not None,
            "giverSays": "" if leg.offer is not None else "no offer of it is known",
            "takerSigned": leg.acceptance is not None and leg.state is not LegState.DEEMED_ACCEPTED,
            "takerSays": self._taker_says(leg),
            "chain": bool(steps),
            "clocks": clocks,
            "discrepancies": _first([_noted(one) for each in legs for one in each.discrepancies], MAX_UNITS_NAMED),
        }

    def _taker_says(self, leg: Leg) -> str:
        if leg.acceptance is not None and leg.state is not LegState.DEEMED_ACCEPTED:
            return "refused" if leg.state is LegState.REFUSED else ""
        return _TAKER_SAYS.get(leg.state, "no answer of it is known")

    def _parties(self) -> list[dict[str, str]]:
        members = {one for legs in self.trail.legs.values() for leg in legs for one in (leg.giver, leg.taker) if one}
        members |= {self.said[one].issuer for one in self.trail.records if one in self.said}
        found = []
        for member in members:
            known = self.directory.by_id.get(member)
            found.append(
                {
                    "name": self._name(member),
                    "id": shortened(to_hex(member)),
                    "identifiers": ", ".join(plain(one, 60) for one in known.identifiers[:4]) if known else "",
                    "did": plain(known.did, 120) if known else "not in the directory",
                }
            )
        return sorted(found, key=lambda one: one["name"].casefold())[:MAX_LISTED]


def _first(texts: list[str], most: int) -> list[str]:
    """The first of `texts`, and how many more there are."""
    return texts if len(texts) <= most else [*texts[:most], f"and {len(texts) - most} more"]


def _noted(one: Discrepancy) -> str:
    """What a taker wrote beside a unit."""
    unit = identifier(one.unit.key)
    if one.quantity is None or one.part is None:
        return f"{one.what}: {unit}"
    found = f" ({identifier(one.found)} came instead)" if one.found is not None else ""
    amount = f"{quantity_text(one.quantity)} {measure_text(one.uom or '')}"
    return f"{one.what}: {amount} of {identifier(one.part)}{found}, {unit}"


def said_in(bundle: Bundle, trust: Trust) -> dict[str, Said]:
    """Who said what, by record, as far as the bundle shows it."""
    found = {}
    for one in bundle.statements:
        words = (one.content or {}).get("text")
        found[to_hex(one.header.digest(trust.domain))] = Said(
            one.header.issuer, one.header.kind, words if isinstance(words, str) else ""
        )
    return found


def is_example(origin: str) -> bool:
    """Whether a log is named after a domain that RFC 2606 keeps for examples: such a network is a demo."""
    host = origin.split("/", 1)[0].casefold()
    return any(host == one or host.endswith(f".{one}") for one in _EXAMPLES)

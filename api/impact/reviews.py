"""Reviews: while a disruption runs, what facts that have changed since make of it, for those who were told and others.

They are made at fixed points of the clock, every so many seconds, and only where facts have changed since the one
before: a registered fact costs no assessment by itself, and when a notice comes tells nothing of when which fact was
stated. What members were told by is held against what is known now, both on the same day, so that the mere passing of
time raises nothing and clears nothing. Whoever it changes materially is told by the rules of alerts, all in one
transaction: it is hit for the first time or no more, its first stop comes a day sooner, a tenth more is lost, or it is
above its threshold where it was not.

Reports come first: while alerts are raised no review goes on, and one that was under way begins anew after them, or it
would tell again what they have overtaken.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from api.impact.alerts import PLACE as ALERTED
from api.impact.alerts import effect_of, history, loudest, settle_all, wishes_of
from api.impact.disruptions import Disruptions
from api.impact.reports import Reports
from api.impact.shared import Checkpointed, FactsBeingRead, SharedNetwork
from api.notices import Notices, keep_place, place_of
from ledger_service.anchoring import UnknownCheckpoint
from ledger_service.bundle import NotYetAnchored
from ledger_service.errors import LedgerError
from ledger_service.keys import to_hex
from ledger_service.ledger import Ledger, UnknownStatement
from risk.assessment import Assessment, Urgency
from risk.disruption import Disruption, Status
from risk.errors import RiskError
from risk.sharing import Hit, LinkHit

_log = logging.getLogger(__name__)

PLACE = "reviews of facts"
AT_ONCE = 2
"""Members looked at in one piece of work: each takes two views."""
MATERIAL = Fraction(11, 10)
"""More of what was told is lost than that: a tenth."""


@dataclass
class _UnderWay:
    """What is held against what, by status, for members of whom some still are to come; `alerted` is how far alerts had
    been raised.
    """

    alerted: int
    before: Checkpointed
    at: Checkpointed
    live: Mapping[Status, Sequence[Disruption]]
    to_come: list[bytes]
    concerned: dict[Status, list[bytes]]


class Reviews:
    """Reviews of a ledger's facts every `every_seconds`. `is_active` says whether a member still takes part,
    `is_alerting` whether alerts are being raised.
    """

    def __init__(
        self,
        ledger: Ledger,
        notices: Notices,
        shared: SharedNetwork,
        disruptions: Disruptions,
        reports: Reports,
        is_active: Callable[[bytes], bool],
        is_alerting: Callable[[], bool],
        *,
        every_seconds: int,
    ) -> None:
        self._store = ledger.store
        self._notices = notices
        self._shared = shared
        self._disruptions = disruptions
        self._reports = reports
        self._is_active = is_active
        self._is_alerting = is_alerting
        self._every = every_seconds * 1000
        self._point: int | None = None
        self._under_way: _UnderWay | None = None

    def review(self, now: int) -> bool:
        """A task of the rounds: at the next point of the clock look at a few members at a time, then tell all at once.

        After a start the next point is waited for.
        """
        point = now // self._every
        if self._point is None:
            self._point = point
        work = self._under_way
        if (work is None and point <= self._point) or self._is_alerting():
            return False
        if work is None or work.alerted != self._alerted():
            try:
                work = self._begin(datetime.fromtimestamp(point * self._every / 1000, UTC).date())
            except FactsBeingRead:
                return False
            self._point, self._under_way = point, work
            return work is not None
        some, work.to_come = work.to_come[:AT_ONCE], work.to_come[AT_ONCE:]
        for member in some:
            self._look(work, member)
        if not work.to_come:
            self._under_way = None
            self._tell(work, now)
        return True

    def _alerted(self) -> int:
        with self._store.read() as connection:
            return place_of(connection, ALERTED)

    def _begin(self, day: date) -> _UnderWay | None:
        """What there is to look at; None if no fact has changed, or nothing runs."""
        if all(one.is_cancelled for one in self._disruptions.at().disruptions):
            return None
        try:
            at = self._shared.at(None, day)
        except (UnknownCheckpoint, NotYetAnchored):
            return None
        with self._store.read() as connection:
            alerted = place_of(connection, ALERTED)
            start = place_of(connection, PLACE) or alerted
        live = {status: self._disruptions.live(status, at) for status in Status}
        live = {status: some for status, some in live.items() if some}
        if start == at.size:
            return None
        try:
            before = self._shared.at(start, day) if live and start else None
        except (UnknownCheckpoint, NotYetAnchored):
            before = None
        members = set() if before is None else self._reached(live, before, at)
        if before is None or not members:
            with self._store.write() as connection:
                keep_place(connection, PLACE, at.size)
            return None
        return _UnderWay(alerted, before, at, live, sorted(members), {status: [] for status in live})

    def _reached(
        self, live: Mapping[Status, Sequence[Disruption]], before: Checkpointed, at: Checkpointed
    ) -> set[bytes]:
        """The members that may lose something by it, then or now: nobody else has to be looked at."""
        found: set[bytes] = set()
        for some in live.values():
            for then in (before, at):
                found |= owners_reached(then, self._disruptions.hits(some, then))
        return {one for one in found if self._is_active(one)}

    def _look(self, work: _UnderWay, member: bytes) -> None:
        """Note where `member` is to be told; one that cannot be assessed keeps nobody else waiting."""
        for status, some in work.live.items():
            try:
                then, now = self._reports.compare(member, some, before=work.before, at=work.at)
                if _effect(then) != _effect(now) and self._is_news(member, status, now):
                    self._reports.prepare(member, some, at=work.at)
                    work.concerned[status].append(member)
            except (RiskError, LedgerError) as error:
                _log.error("changed facts cannot be assessed for %s: %s", to_hex(member), error, exc_info=error)

    def _is_news(self, member: bytes, status: Status, now: Assessment | None) -> bool:
        """Whether what comes of the disruptions of a status is materially other than what `member` was told last."""
        with self._store.read() as connection:
            told, pending = history(connection, member, status)
            threshold = wishes_of(connection, member).threshold
        last = pending or (told[-1] if told else None)
        if last is None or last.effect is None or _effect(now) is None:
            return _effect(now) != (None if last is None else last.effect)
        assert now is not None
        before = loudest(told) if pending is None else pending.urgency
        if before is Urgency.DAILY_SUMMARY and threshold.urgency(now) is Urgency.INTERRUPT:
            return True
        try:
            report = None if last.report is None else self._reports.find(member, last.report).content
        except UnknownStatement:
            report = None
        return report is None or is_material(report, now.content)

    def _tell(self, work: _UnderWay, now: int) -> None:
        """Register the reports of those concerned, then write all notices and how far was looked."""
        reported = {
            status: self._reports.assess_all(work.concerned[status], some, at=work.at, now=now)
            for status, some in work.live.items()
        }
        if settle_all(self._store, reported, work.concerned, (PLACE, work.at.size), now):
            self._notices.on_told()


def owners_reached(at: Checkpointed, hits: Sequence[Hit | LinkHit]) -> set[bytes]:
    """The owners of all lines that `hits` can reach, at any remove."""
    network, arrays = at.known.network, at.known.network.arrays
    link_of = {one.key: one.link for one in at.known.routes}
    lines: set[int] = set()
    for one in hits:
        if isinstance(one, Hit):
            lines |= {place for place in arrays.lines_at(one.site) if one.part in (None, arrays.lines[place].part)}
        else:
            for link in network.links.of(link_of.get(one.link, one.link)):
                lines |= set(arrays.lines_at(link.customer))
    sites = {arrays.lines[place].site for place in arrays.reach(lines).tolist()} if lines else set()
    return {bytes.fromhex(network.sites[one].owner[2:]) for one in sites}


def is_material(told: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the report `now` says something materially worse than the one that was told: its first stop comes a day
    sooner at least, or a tenth more is lost of a part, or of revenue, in the weeks that both look at.
    """
    one, other = _lost(told, now), _lost(now, told)
    first = min(stop["first"] for stop in told["effect"]["stops"])
    if min(stop["first"] for stop in now["effect"]["stops"]) < first:
        return True
    return any(amount > one.get(what, Fraction(0)) * MATERIAL for what, amount in other.items())


def _lost(report: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Fraction]:
    """What `report` says is lost of each part, and of revenue (""), in the weeks that both reports look at in full; on
    the same day in all of them. A shortened report shows the worst stops alone, and so do both sides here.
    """
    spans = [(date.fromisoformat(one["day"]), one["days"]) for one in (report, other)]
    first = max(day for day, _ in spans)
    last = min(day + timedelta(days=days) for day, days in spans)
    is_same = spans[0] == spans[1]
    found: dict[str, Fraction] = {}
    for stop in report["effect"]["stops"]:
        whole = lost = Fraction(0)
        for one in stop["byWeek"]:
            week, amount = date.fromisoformat(one["week"]), Fraction(one["amount"])
            whole += amount
            lost += amount if is_same or (first <= week and week + timedelta(days=7) <= last) else 0
        found[stop["part"]] = found.get(stop["part"], Fraction(0)) + lost
        if stop["revenueCents"] and whole:
            found[""] = found.get("", Fraction(0)) + stop["revenueCents"] * lost / whole
    return found


def _effect(assessment: Assessment | None) -> bytes | None:
    return None if assessment is None else effect_of(assessment)

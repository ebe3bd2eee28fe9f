"""Alerts: what a new or changed disruption does to each member, told to all at the same moment and to each its own.

Once a checkpoint covers reports that nobody was told of, every member that sees a change in what is hit is assessed and
all reports are registered; only then are the notices of all written, in one transaction that also notes how far was
read. Who sees no change gets no report either, or it would learn that something happened to others.
Killed anywhere, the service assesses again, finds the reports it had made, and tells nothing twice. Above a member's
own threshold it is interrupted and asked to acknowledge; the rest waits for its daily summary. A member that loses
nothing is told nothing, and no notice says of whom it came.
"""

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from api.impact.disruptions import Disruptions, Stated
from api.impact.issuing import Reported
from api.impact.reports import Reports
from api.impact.shared import Checkpointed, FactsBeingRead, SharedNetwork
from api.notices import Notices, Told, Writing, keep_place, place_of
from ledger_service.anchoring import UnknownCheckpoint
from ledger_service.bundle import NotYetAnchored
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.keys import to_hex
from ledger_service.ledger import Ledger
from ledger_service.store import Store
from ledger_service.store.risk_tables import alert, alert_threshold
from risk.assessment import Assessment, Threshold, Urgency
from risk.disruption import Disruption, Status
from risk.errors import RiskError
from risk.sharing import Hit, LinkHit, canonical

_log = logging.getLogger(__name__)

PLACE = "alerts"
AT_ONCE = 4
"""Members assessed in one piece of work, so that other tasks of the rounds get their turn."""
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
_HOUR = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?:(Z)|([+-])(0\d|1[0-4]):([0-5]\d))", re.ASCII)


class UnknownAlert(LedgerError):
    """The caller has no alert of this number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"you have no alert {number}: GET /v1/risk/alerts lists them")


class NothingToAcknowledge(LedgerError):
    """What only came with a summary asks for no acknowledgement."""

    def __init__(self, number: int) -> None:
        super().__init__(f"{number} came with a daily summary, or took an alert back: it asks for no acknowledgement")


class What(StrEnum):
    """What an alert is to those before it."""

    ALERT = "alert"
    UPDATE = "update"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Wishes:
    """When a member wants to be told: from which effect on at once, at which hour (as 06:00+02:00) of the rest, and
    after how many ms again if nobody acknowledges, None for never.
    """

    threshold: Threshold = field(default_factory=Threshold)
    summary_at: str = "06:00+00:00"
    remind_after: int | None = 4 * HOUR_MS

    def check(self) -> None:
        """Raise MalformedInput unless the hour has an offset and the rest can be."""
        if self.threshold.standstill_days < 1 or self.threshold.standstill_days > 3650:
            raise MalformedInput("expected 1 to 3,650 working days", "/standstillDays")
        if self.threshold.revenue_cents is not None and not 1 <= self.threshold.revenue_cents < 2**53:
            raise MalformedInput("expected minor units above 0, or null", "/revenueMinorUnits")
        if not _HOUR.fullmatch(self.summary_at):
            raise MalformedInput("expected an hour with its offset, as 06:00+02:00", "/summaryAt")
        if self.remind_after is not None and not 60_000 <= self.remind_after <= 30 * DAY_MS:
            raise MalformedInput("expected 1 to 43,200 minutes, or null for never", "/remindAfterMinutes")

    def last_summary(self, now: int) -> int:
        """The last time (ms) up to `now` at which a summary was due."""
        match = _HOUR.fullmatch(self.summary_at)
        assert match is not None, "wishes are checked"
        hour, minute, _, sign, hours, minutes = match.groups()
        offset = timedelta(0) if sign is None else timedelta(hours=int(hours), minutes=int(minutes))
        here = datetime.fromtimestamp(now / 1000, timezone(-offset if sign == "-" else offset))
        due = here.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
        if due > here:
            due -= timedelta(days=1)
        return int(due.timestamp()) * 1000


@dataclass(frozen=True, slots=True)
class Alert:
    """The alert `number` of one member, counted from 1; times in ms. `told_at` is None while it waits for the summary.

    Who acknowledged it is a role, never a person. What was cleared has no report.
    """

    number: int
    status: Status
    what: What
    urgency: Urgency
    report: bytes | None
    effect: bytes | None
    at: int
    told_at: int | None
    acknowledged_at: int | None
    role: str | None

    @property
    def is_open(self) -> bool:
        """Whether it waits for somebody to acknowledge it."""
        return self.asks and self.acknowledged_at is None

    @property
    def asks(self) -> bool:
        """Whether it asks for an acknowledgement at all."""
        return self.urgency is Urgency.INTERRUPT and self.what is not What.CLEARED


@dataclass
class _UnderWay:
    """Disruptions that are being assessed, by status, for members of whom some still are to come."""

    at: Checkpointed
    live: Mapping[Status, Sequence[Disruption]]
    before: Mapping[Status, Sequence[Hit | LinkHit]]
    now: Mapping[Status, Sequence[Hit | LinkHit]]
    to_come: list[bytes]
    concerned: dict[Status, list[bytes]]


class Alerts:
    """The alerts of a ledger's members. `is_active` says whether a member still takes part."""

    def __init__(
        self,
        ledger: Ledger,
        notices: Notices,
        shared: SharedNetwork,
        disruptions: Disruptions,
        reports: Reports,
        is_active: Callable[[bytes], bool],
    ) -> None:
        self._ledger = ledger
        self._store = ledger.store
        self._notices = notices
        self._shared = shared
        self._disruptions = disruptions
        self._reports = reports
        self._is_active = is_active
        self._lane = threading.Lock()
        self._under_way: _UnderWay | None = None

    # -- the rounds ----------------------------------------------------------------------------------------------------

    def raise_new(self, now: int) -> bool:
        """A task of the rounds: assess what is new a few members at a time, and tell all once all are assessed."""
        with self._lane:
            work = self._under_way or self._begin()
            if work is None:
                return False
            self._under_way = work
            some, work.to_come = work.to_come[:AT_ONCE], work.to_come[AT_ONCE:]
            for member in some:
                self._prepare(work, member)
            if not work.to_come:
                self._under_way = None
                self._tell(work, now)
            return True

    @property
    def is_under_way(self) -> bool:
        """Whether some members were assessed, and nobody was told yet."""
        return self._under_way is not None

    def summarise(self, now: int) -> bool:
        """A task of the rounds: tell each member, at its hour, what did not interrupt it since."""
        with self._store.read() as connection:
            query = sa.select(alert.c.member, sa.func.min(alert.c.at).label("first")).where(alert.c.told_at.is_(None))
            waiting = connection.execute(query.group_by(alert.c.member)).all()
            due = {row.member: wishes_of(connection, row.member).last_summary(now) for row in waiting}
        ready = {row.member: due[row.member] for row in waiting if row.first < due[row.member]}
        if not ready:
            return False
        with self._store.write() as connection:
            writing = Writing(connection)
            for member, until in sorted(ready.items()):
                which = sa.and_(alert.c.member == member, alert.c.told_at.is_(None), alert.c.at < until)
                rows = connection.execute(sa.select(alert).where(which).order_by(alert.c.number)).all()
                body = {"alerts": [_named(_alert(row)) for row in rows]}
                writing.add([member], Told.RISK_SUMMARY, body, now, f"{rows[0].number} to {rows[-1].number}")
                connection.execute(sa.update(alert).where(which).values(told_at=now))
            writing.flush()
        self._notices.on_told()
        return True

    def remind(self, now: int) -> bool:
        """A task of the rounds: tell again, once, of alerts that nobody has acknowledged in time."""
        is_due = alert.c.remind_at <= now
        with self._store.read() as connection:
            if connection.execute(sa.select(alert.c.number).where(is_due).limit(1)).first() is None:
                return False
        with self._store.write() as connection:
            writing = Writing(connection)
            for row in connection.execute(sa.select(alert).where(is_due)).all():
                writing.add([row.member], Told.IMPACT_REMINDER, _named(_alert(row)), now, str(row.number))
            connection.execute(sa.update(alert).where(is_due).values(remind_at=None))
            writing.flush()
        self._notices.on_told()
        return True

    # -- a member's own ------------------------------------------------------------------------------------------------

    def page(self, member: bytes, after: int, limit: int, *, is_open: bool = False) -> list[Alert]:
        """Up to `limit` alerts of `member` above a number, or only those that wait for an acknowledgement."""
        query = sa.select(alert).where(alert.c.member == member, alert.c.number > after).order_by(alert.c.number)
        if is_open:
            query = query.where(
                alert.c.acknowledged_at.is_(None),
                alert.c.urgency == str(Urgency.INTERRUPT),
                alert.c.what != str(What.CLEARED),
            )
        with self._store.read() as connection:
            return [_alert(row) for row in connection.execute(query.limit(limit))]

    def acknowledge(self, member: bytes, number: int, role: str, now: int) -> Alert:
        """Note that `role` has seen an alert; the first acknowledgement stands. Raises UnknownAlert, or
        NothingToAcknowledge for one that does not ask for it.
        """
        which = sa.and_(alert.c.member == member, alert.c.number == number)
        with self._store.write() as connection:
            row = connection.execute(sa.select(alert).where(which)).first()
            if row is None:
                raise UnknownAlert(number)
            if not _alert(row).asks:
                raise NothingToAcknowledge(number)
            if row.acknowledged_at is None:
                change = {"acknowledged_at": now, "role": role, "remind_at": None}
                connection.execute(sa.update(alert).where(which).values(**change))
            return _alert(connection.execute(sa.select(alert).where(which)).one())

    def wishes(self, member: bytes) -> Wishes:
        """When `member` wants to be told."""
        with self._store.read() as connection:
            return wishes_of(connection, member)

    def wish(self, member: bytes, wishes: Wishes, now: int) -> None:
        """From now on tell `member` as it wishes; raises MalformedInput."""
        wishes.check()
        values = {
            "standstill_days": wishes.threshold.standstill_days,
            "revenue_cents": wishes.threshold.revenue_cents,
            "exercises": int(wishes.threshold.exercises),
            "summary_at": wishes.summary_at,
            "remind_after": wishes.remind_after,
            "changed_at": now,
        }
        with self._store.write() as connection:
            update = sa.update(alert_threshold).where(alert_threshold.c.member == member)
            if not connection.execute(update.values(**values)).rowcount:
                connection.execute(sa.insert(alert_threshold).values(member=member, **values))

    # -- telling -------------------------------------------------------------------------------------------------------

    def _begin(self) -> _UnderWay | None:
        """What there is to assess since the last time; the same again after a crash, on the same day."""
        with self._store.read() as connection:
            start = place_of(connection, PLACE)
        gathered = self._disruptions.at()
        if not gathered.stated or gathered.stated[-1].position < start:
            return None
        fresh = [one for one in gathered.since(start) if one.trouble is None]
        if not fresh:
            with self._store.write() as connection:
                keep_place(connection, PLACE, gathered.stated[-1].position + 1)
            return None
        try:
            at = self._shared.at(None, _day(fresh))
        except (UnknownCheckpoint, NotYetAnchored, FactsBeingRead):
            return None
        if at.size <= fresh[-1].position:
            return None
        statuses = sorted({one.report.status for one in fresh})
        members = sorted(one for one in at.owners if self._is_active(one))
        live = {status: self._disruptions.live(status, at) for status in statuses}
        return _UnderWay(
            at=at,
            live=live,
            before={one: self._disruptions.hits(self._disruptions.live(one, at, start), at) for one in live},
            now={status: self._disruptions.hits(disruptions, at) for status, disruptions in live.items()},
            to_come=members,
            concerned={status: [] for status in live},
        )

    def _prepare(self, work: _UnderWay, member: bytes) -> None:
        """Assess one member where it sees a change; one that cannot be assessed keeps nobody else waiting."""
        for status, disruptions in work.live.items():
            try:
                if self._reports.sees_change(member, work.before[status], work.now[status], at=work.at):
                    self._reports.prepare(member, disruptions, at=work.at)
                    work.concerned[status].append(member)
            except (RiskError, LedgerError) as error:
                _log.error("what was reported cannot be assessed for %s: %s", to_hex(member), error, exc_info=error)

    def _tell(self, work: _UnderWay, now: int) -> None:
        """Register all reports, then write all notices."""
        reported = {
            status: self._reports.assess_all(work.concerned[status], disruptions, at=work.at, now=now)
            for status, disruptions in work.live.items()
        }
        if settle_all(self._store, reported, work.concerned, (PLACE, work.at.size), now):
            self._notices.on_told()


def effect_of(assessment: Assessment) -> bytes | None:
    """A hash of what a report says happens to its reader, and within which bounds; None if nothing does.

    Where two reports agree in that the reader is not told again; a further source or a newer fact is in the report.
    """
    content = assessment.content
    if not content["effect"]["stops"]:
        return None
    return sha256(canonical([content["effect"], content["interval"]])).digest()


def settle_all(
    store: Store,
    reported: Mapping[Status, Mapping[bytes, Reported]],
    concerned: Mapping[Status, Sequence[bytes]],
    looked: tuple[str, int],
    now: int,
) -> bool:
    """Tell all that are `concerned`, and note how far was looked (its name and place), at the same moment; whether
    anybody was told.
    """
    with store.write() as connection:
        writing = Writing(connection)
        for status, of_members in reported.items():
            for member in concerned[status]:
                settle(writing, member, status, of_members.get(member), now)
        told = writing.flush()
        keep_place(connection, *looked)
    return bool(told)


def settle(writing: Writing, member: bytes, status: Status, reported: Reported | None, now: int) -> None:
    """Tell `member` of what became of the disruptions of a status, if that is new to it."""
    connection, wishes = writing.connection, wishes_of(writing.connection, member)
    told, pending = history(connection, member, status)
    assessment = None if reported is None or reported.content is None else Assessment(reported.said)
    effect = None if assessment is None else effect_of(assessment)
    believes = told[-1].effect if told else None
    if effect == (believes if pending is None else pending.effect):
        return
    if pending is not None:  # overtaken before anybody was told
        which = sa.and_(alert.c.member == member, alert.c.number == pending.number)
        connection.execute(sa.delete(alert).where(which))
    if effect == believes:
        return
    if assessment is None or effect is None:
        what, urgency = What.CLEARED, loudest(told)
    else:
        what, urgency = What.ALERT if believes is None else What.UPDATE, wishes.threshold.urgency(assessment)
    interrupts = urgency is Urgency.INTERRUPT
    if interrupts:
        of_status = sa.and_(alert.c.member == member, alert.c.status == str(status))
        connection.execute(sa.update(alert).where(of_status).values(remind_at=None))
    one = Alert(
        number=(connection.execute(_NUMBER.where(alert.c.member == member)).scalar() or 0) + 1,
        status=status,
        what=what,
        urgency=urgency,
        report=None if reported is None or effect is None else reported.digest,
        effect=effect,
        at=now,
        told_at=now if interrupts else None,
        acknowledged_at=None,
        role=None,
    )
    connection.execute(
        sa.insert(alert).values(
            member=member,
            number=one.number,
            status=str(status),
            what=str(what),
            urgency=str(urgency),
            report=one.report,
            effect=effect,
            at=now,
            told_at=one.told_at,
            remind_at=None if not one.asks or wishes.remind_after is None else now + wishes.remind_after,
        )
    )
    if interrupts:
        kind = Told.IMPACT_CLEARED if what is What.CLEARED else Told.IMPACT_ALERT
        writing.add([member], kind, _named(one), now, str(one.number))


_NUMBER = sa.select(sa.func.max(alert.c.number))


def history(connection: sa.Connection, member: bytes, status: Status) -> tuple[list[Alert], Alert | None]:
    """What a member was told of disruptions of a status since nothing was left of them, and what waits to be told."""
    query = sa.select(alert).where(alert.c.member == member, alert.c.status == str(status))
    told: list[Alert] = []
    pending = None
    for row in connection.execute(query.order_by(alert.c.number.desc())):
        one = _alert(row)
        if one.told_at is None:
            pending = one
            continue
        told.insert(0, one)
        if one.what is What.ALERT or one.what is What.CLEARED:
            break
    return told, pending


def loudest(told: Sequence[Alert]) -> Urgency:
    """Whoever was interrupted by it is interrupted when it is over."""
    return Urgency.INTERRUPT if any(one.urgency is Urgency.INTERRUPT for one in told) else Urgency.DAILY_SUMMARY


def wishes_of(connection: sa.Connection, member: bytes) -> Wishes:
    """When `member` wants to be told."""
    row = connection.execute(sa.select(alert_threshold).where(alert_threshold.c.member == member)).first()
    if row is None:
        return Wishes()
    threshold = Threshold(row.standstill_days, row.revenue_cents, bool(row.exercises))
    return Wishes(threshold, row.summary_at, row.remind_after)


def _alert(row: Any) -> Alert:
    return Alert(
        number=row.number,
        status=Status(row.status),
        what=What(row.what),
        urgency=Urgency(row.urgency),
        report=row.report,
        effect=row.effect,
        at=row.at,
        told_at=row.told_at,
        acknowledged_at=row.acknowledged_at,
        role=row.role,
    )


def _named(one: Alert) -> dict[str, Any]:
    """An alert as a notice names it: nothing in it tells of anybody else."""
    report = None if one.report is None else to_hex(one.report)
    return {"alert": one.number, "report": report, "status": str(one.status), "what": str(one.what)}


def _day(fresh: Sequence[Stated]) -> date:
    """The day on which the newest of some reports was registered."""
    return datetime.fromtimestamp(max(one.registered_at for one in fresh) / 1000, UTC).date()

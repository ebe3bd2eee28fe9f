"""What members have reported: the disruptions that their statements come to at a checkpoint, and what counts not.

Statements are read once, as anchored checkpoints come to cover them. What a report says is for those who may see its
statement; to all others a disruption shows in nothing but the origins of their own impact reports.
"""

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import orjson
import sqlalchemy as sa

from api.impact.shared import Checkpointed
from ledger_service import facts
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.keys import to_hex
from ledger_service.ledger import Ledger, record_of
from ledger_service.risk_kinds import DisruptionFact
from ledger_service.sight import Sight
from ledger_service.statements import fields_of
from ledger_service.store.risk_tables import IS_RISK
from ledger_service.store.tables import content, statement
from ledger_service.store.trail_tables import forgotten
from risk import hits as striking
from risk.disruption import Disruption, Gathering, Report, Status, gather
from risk.errors import RiskError
from risk.hits import ASSUMED_DAYS, Places, Told
from risk.messages import GDACS, Feed, content_of, read, report_of
from risk.sharing import Hit, LinkHit

_Key = tuple[Status, str, str]
"""Reports by what they are meant as, their sender and identifier."""
BATCH = 5_000
KEPT_GATHERED = 4
KEPT_PLACES = 4
KEPT_HITS = 16
MAX_READ = 500
"""Reports of one message: a feed has a few hundred items."""
MAX_TOLD = 500
"""Reports of its own of which a member is told what became of them: the newest."""


class UnknownDisruption(LedgerError):
    """No disruption of this key is known at the checkpoint, or none of its reports is for the reader."""

    def __init__(self, key: str) -> None:
        super().__init__(f"there is no disruption {key[:200]!r} that you may see: GET /v1/risk/disruptions lists them")


class CountsForNothing(LedgerError):
    """Some of what a member is about to state would count for nothing, by the network as it stands."""

    def __init__(self, told: Sequence[Told]) -> None:
        self.reasons = tuple(dict.fromkeys(f"{one.report[1]}: {one.what}" for one in told))
        super().__init__(
            f"some of it would count for nothing: {'; '.join(self.reasons)[:1000]}. Nothing was signed: with"
            " anyway=true it is stated all the same, for others to repeat who may say so"
        )


@dataclass(frozen=True, slots=True)
class Stated:
    """A report as the log has it; `trouble` says why it counts for nothing, None where it counts."""

    position: int
    digest: bytes
    issuer: bytes
    stream: bytes
    registered_at: int
    report: Report
    trouble: str | None


@dataclass(frozen=True)
class Gathered:
    """The disruptions of a checkpoint in the order of `gather`, and all the statements."""

    disruptions: tuple[Disruption, ...]
    stated: Sequence[Stated]

    @cached_property
    def _by_last_word(self) -> tuple[list[date], list[Disruption]]:
        """Each disruption by the last day that one of its reports names."""
        ordered = sorted(self.disruptions, key=_last_day)
        return [_last_day(one) for one in ordered], ordered

    def live(self, day: date, longest_days: int) -> list[Disruption]:
        """Those that may still matter on `day` where recovery takes `longest_days` at most; cancelled ones do not."""
        days, ordered = self._by_last_word
        start = bisect_left(days, day - timedelta(days=longest_days + 1))
        return [one for one in ordered[start:] if not one.is_cancelled]

    def holding(self, report: Report) -> Disruption | None:
        """The disruption that a report belongs to."""
        return self._by_report.get((report.status, *report.name))

    def known_as(self, key: str) -> list[Disruption]:
        """Those that somebody who sees some of the reports may call by `key`."""
        return self._by_key.get(key, [])

    def since(self, position: int) -> Sequence[Stated]:
        """The statements at `position` and after it."""
        return self.stated[bisect_left(self.stated, position, key=lambda one: one.position) :]

    def shown(self, disruption: Disruption, sight: Sight) -> list[tuple[Disruption, list[Stated]]]:
        """A disruption as it comes out of those of its reports that a reader may see, each with its statements.

        What hangs together by a report that the reader may not see is several; of what it may see nothing of, none.
        """
        names = dict.fromkeys((report.status, *report.name) for report in disruption.reports)
        seen = [one for name in names for one in self._by_name[name] if is_shown(sight, one)]
        pieces = gather((one.report for one in seen), (to_hex(one.issuer) for one in seen))
        within = {report.name: at for at, piece in enumerate(pieces) for report in piece.reports}
        found: list[tuple[Disruption, list[Stated]]] = [(piece, []) for piece in pieces]
        for one in seen:
            found[within[one.report.name]][1].append(one)
        return found

    def find(self, key: str, sight: Sight) -> list[tuple[Disruption, list[Stated]]]:
        """What a reader knows by `key`: one for each status. Raises UnknownDisruption."""
        found = [pair for one in self._by_key.get(key, []) for pair in self.shown(one, sight) if pair[0].key == key]
        if not found:
            raise UnknownDisruption(key)
        return found

    @cached_property
    def _by_report(self) -> dict[_Key, Disruption]:
        return {(one.status, *report.name): one for one in self.disruptions for report in one.reports}

    @cached_property
    def _by_key(self) -> dict[str, list[Disruption]]:
        found: dict[str, list[Disruption]] = {}
        for one in self.disruptions:
            keys = (key for report in one.reports for key in (report.key, "/".join(report.name)) if key is not None)
            for key in dict.fromkeys(keys):
                found.setdefault(key, []).append(one)
        return found

    @cached_property
    def _by_name(self) -> dict[_Key, list[Stated]]:
        found: dict[_Key, list[Stated]] = {}
        for one in self.stated:
            if one.trouble is None:
                found.setdefault((one.report.status, *one.report.name), []).append(one)
        return found


class Disruptions:
    """The disruptions that a ledger's statements tell of."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lane = threading.RLock()
        self._stated: list[Stated] = []
        self._gathering = Gathering()
        self._read = 0
        self._forgotten = 0
        self._kept: OrderedDict[int, Gathered] = OrderedDict()
        self._places: OrderedDict[int, Places] = OrderedDict()
        self._hits: OrderedDict[tuple[int, ...], tuple[tuple[Disruption, ...], Places, list[Hit | LinkHit]]] = (
            OrderedDict()
        )

    def at(self, size: int | None = None) -> Gathered:
        """What the statements at positions below `size` tell, by default all that are anchored."""
        with self._lane:
            self._follow()
            count = len(self._stated) if size is None else bisect_left(self._stated, size, key=lambda one: one.position)
            if count not in self._kept:
                self._kept[count] = self._gathered(count)
                if len(self._kept) > KEPT_GATHERED:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(count)
            return self._kept[count]

    def _gathered(self, count: int) -> Gathered:
        stated, gathering = tuple(self._stated[:count]), self._gathering
        if count < len(self._stated):
            gathering = Gathering()
            for one in stated:
                if one.trouble is None:
                    gathering.take(one.report, to_hex(one.issuer))
        return Gathered(gathering.disruptions, stated)

    def live(self, status: Status, at: Checkpointed, size: int | None = None) -> list[Disruption]:
        """The disruptions of a status that may still matter on the day of a checkpoint; with `size`, by the statements
        below that alone.
        """
        longest = max((days[2] for days in at.known.recovery_days.values()), default=0)
        gathered = self.at(at.size if size is None else size)
        return [one for one in gathered.live(at.day, max(longest, ASSUMED_DAYS[2])) if one.status is status]

    def named(self, keys: Collection[str], sight: Sight, at: Checkpointed) -> list[Disruption]:
        """The disruptions that a reader calls by `keys`, as it knows them; raises UnknownDisruption."""
        gathered = self.at(at.size)
        found = {}
        for key in keys:
            for piece, _ in gathered.find(key, sight):
                whole = gathered.holding(piece.reports[0])
                assert whole is not None, "what is seen is there"
                found[whole.status, whole.key] = whole
        return [found[one] for one in sorted(found)]

    def hits(self, disruptions: Sequence[Disruption], at: Checkpointed) -> list[Hit | LinkHit]:
        """What `disruptions` do to sites and links of the network at a checkpoint.

        Those of the last lists are kept: each member is assessed by the same.
        """
        places, some = self._places_of(at), tuple(disruptions)
        place = (*map(id, some), id(places))
        with self._lane:
            kept = self._hits.get(place)
            if kept is not None:
                self._hits.move_to_end(place)
                return kept[2]
        found = striking.strike(some, places)
        with self._lane:
            self._hits[place] = (some, places, found)  # what is held has no other thing's id
            if len(self._hits) > KEPT_HITS:
                self._hits.popitem(last=False)
        return found

    def told(self, member: bytes, at: Checkpointed | None) -> list[Told]:
        """What of the last reports that `member` stated counts for nothing or is disputed, by the network of a
        checkpoint where there is one already.
        """
        name, gathered = to_hex(member), self.at(None if at is None else at.size)
        own = [one for one in gathered.stated if one.issuer == member][-MAX_TOLD:]
        found = [Told(name, one.report.name, one.trouble) for one in own if one.trouble is not None]
        if at is None:
            return found
        places = self._places_of(at)
        whole = {id(one): one for one in (gathered.holding(each.report) for each in own) if one is not None}
        for one in whole.values():
            told = striking.told(one, at.known, places=places)
            found += [each for each in told if each.member == name]
        return found

    def unheard(self, reports: Sequence[Report], member: bytes, at: Checkpointed | None) -> list[Told]:
        """What of `reports` would count for nothing if `member` stated them now, by the network of a checkpoint where
        there is one. It follows from the member's own sites and links, so whoever asks learns nothing of others'.
        """
        if at is None:
            return []
        places, name = self._places_of(at), to_hex(member)
        found: list[Told] = []
        for one in reports:
            said = report_of(DisruptionFact.parse({**content_of(one), "to": []}))
            alone = Disruption(said.identifier, said.status, (said,), (frozenset({name}),))
            found += striking.told(alone, at.known, places=places)
        return list(dict.fromkeys(found))

    def read(self, form: str, data: bytes, member: bytes, now: int) -> Feed:
        """The reports in a message that `member` is about to state, without those that it has stated already.

        Raises MalformedFact, MalformedInput or Cancelled where a report would be refused or count for nothing; of a
        feed that one is among the unread, and the others go on.
        """
        time = datetime.fromtimestamp(now // 1000, UTC)
        feed = read(form, data, to_hex(member), time)
        if len(feed.reports) > MAX_READ:
            raise MalformedInput(f"a message has {MAX_READ} reports at most, this one has {len(feed.reports)}")
        fresh, unread = [], list(feed.unread)
        with self._lane:
            self._follow()
            for report in feed.reports:
                try:
                    value = {**content_of(report), "to": []}
                    facts.check("disruption", value, now)
                    fields_of(value, "/content")
                    # As it will be read once it is stated: sites and parts in the form that all use.
                    self._gathering.check(report_of(DisruptionFact.parse(value)), to_hex(member))
                except (MalformedInput, RiskError) as error:
                    if form != GDACS:
                        raise
                    unread.append((report.identifier, str(error)))
                    continue
                if not self._gathering.has(report, to_hex(member)):
                    fresh.append(report)
        return Feed(tuple(fresh), tuple(unread), feed.original)

    def _places_of(self, at: Checkpointed) -> Places:
        with self._lane:
            kept = self._places.get(id(at.known))
            if kept is None or kept.known is not at.known:
                kept = self._places[id(at.known)] = Places(at.known)
                if len(self._places) > KEPT_PLACES:
                    self._places.popitem(last=False)
            return kept

    def _follow(self) -> None:
        """Read what was anchored since, and forget what was erased."""
        ledger, end = self._ledger, self._ledger.anchoring.anchored_size
        with ledger.store.read() as connection:
            gone = connection.execute(
                sa.select(forgotten.c.number, forgotten.c.position)
                .where(forgotten.c.number > self._forgotten)
                .order_by(forgotten.c.number)
            ).all()
            if gone:
                self._forgotten = gone[-1].number
                self._forget({row.position for row in gone})
            while self._read < end:
                rows = connection.execute(
                    sa.select(statement, content.c.content)
                    .join(content, content.c.position == statement.c.position)
                    .where(IS_RISK, statement.c.kind == "disruption")
                    .where(statement.c.position >= self._read, statement.c.position < end)
                    .order_by(statement.c.position)
                    .limit(BATCH)
                    .with_hint(statement, "INDEXED BY ix_statement_risk", "sqlite")
                ).all()
                for row in rows:
                    self._take(row)
                self._read = rows[-1].position + 1 if len(rows) == BATCH else end

    def _take(self, row: Any) -> None:
        """Count what a row says; one that is void, withheld or erased says nothing."""
        if row.content is None or self._ledger.void(record_of(row)) is not None:
            return
        try:
            report = report_of(DisruptionFact.parse(orjson.loads(row.content)))
        except (MalformedInput, RiskError):
            return  # an earlier version took it
        self._count(Stated(row.position, row.digest, row.issuer, row.stream, row.registered_at, report, None))

    def _count(self, one: Stated) -> None:
        trouble = None
        try:
            self._gathering.take(one.report, to_hex(one.issuer))
        except RiskError as error:
            trouble = str(error)
        self._stated.append(replace(one, trouble=trouble))

    def _forget(self, positions: Collection[int]) -> None:
        kept = [one for one in self._stated if one.position not in positions]
        if len(kept) < len(self._stated):
            self._stated, self._gathering = [], Gathering()
            self._kept.clear()
            for one in kept:
                self._count(one)


def is_shown(sight: Sight, one: Stated) -> bool:
    """Whether a reader may see all that a statement says."""
    return sight.shown(one.stream, one.position) is True


def _last_day(disruption: Disruption) -> date:
    """The last day that one of its reports names."""
    times = (time for one in disruption.reports for time in (one.sent, one.onset, one.ends) if time is not None)
    return max((time.date() for time in times), default=date.min)

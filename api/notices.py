"""Notices: each step of custody, told once to everyone whom it concerns, in an order of each reader's own.

They are derived from what is registered and what the chain took, in the transaction that notes how far was read: a
service that was killed goes on where it stopped, and tells nothing twice. A notice names statements, units of the
chain, members and findings by their ids, and only such as its reader may see; what they say is fetched with these.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import Any

import orjson
import sqlalchemy as sa

from ledger_service.custody.policy import Policy
from ledger_service.keys import to_hex
from ledger_service.offering import Crossing, Offers, OfferState
from ledger_service.store import Store
from ledger_service.store.notice_tables import notice, notice_progress, undelivered, webhook
from ledger_service.store.tables import content, offer, reader, statement

SCAN = 5_000
"""Log entries looked through at a time."""
BATCH = 500
"""Statements told of in one transaction."""
PAGE = 500
"""Notices of one member that are deleted at a time."""
STALE_MS = 600_000
"""Where nothing was due, how far was looked is noted this often and not each second."""


class Told(StrEnum):
    """What a notice tells."""

    OFFER_MADE = "offer-made"
    OFFER_WITHDRAWN = "offer-withdrawn"
    ACCEPTED = "accepted"
    ACCEPTED_WITH_DISCREPANCIES = "accepted-with-discrepancies"
    REFUSED = "refused"
    OVERDUE = "overdue"
    DEEMED_ACCEPTED = "deemed-accepted"
    EXPIRED = "expired"
    ARRIVED = "arrived-at-gate"
    COMPLAINT = "complaint"
    EXPLANATION = "explanation"
    OPENED = "opened"
    ADDRESSES = "addresses-deposited"
    POLICY = "policy-stated"
    GRANT = "grant"
    FACT_REQUEST = "fact-request"
    FACT_ANSWER = "fact-answer"
    FACT_UNANSWERED = "fact-request-unanswered"
    OPENED_ON_CHAIN = "opened-on-chain"
    HANDED_OVER = "handed-over"
    CLOSED = "closed"
    STEP_REFUSED = "step-refused"
    CONTESTED = "contested"
    FINDING_APPEARED = "finding-appeared"
    FINDING_EXPLAINED = "finding-explained"
    RECALL_RAISED = "recall-raised"
    SIGNING_REQUEST = "signing-request-filed"
    IMPACT_ALERT = "impact-alert"
    IMPACT_CLEARED = "impact-cleared"
    IMPACT_REMINDER = "impact-reminder"
    RISK_SUMMARY = "risk-summary"
    WEBHOOK_DISABLED = "webhook-disabled"
    WEBHOOK_GAVE_UP = "webhook-gave-up"
    TEST = "test"


_KINDS = {
    "despatch": Told.OFFER_MADE,
    "receipt": Told.ACCEPTED,
    "gate-arrival": Told.ARRIVED,
    "complaint": Told.COMPLAINT,
    "explanation": Told.EXPLANATION,
    "opening": Told.OPENED,
    "custody-addresses": Told.ADDRESSES,
    "custody-policy": Told.POLICY,
    "grant": Told.GRANT,
    "fact-request": Told.FACT_REQUEST,
    "fact-answer": Told.FACT_ANSWER,
}
TOLD_KINDS = frozenset(_KINDS)
"""The kinds of statements that are told of."""
_DATES = {
    OfferState.OVERDUE: Told.OVERDUE,
    OfferState.DEEMED_ACCEPTED: Told.DEEMED_ACCEPTED,
    OfferState.EXPIRED: Told.EXPIRED,
}


@dataclass(frozen=True, slots=True)
class Notice:
    """The notice `number` of one member, counted from 1 without a gap; `at` is when it came about (ms)."""

    number: int
    kind: Told
    at: int
    body: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"at": self.at, "body": dict(self.body), "kind": str(self.kind)}


class Notices:
    """The notices of a ledger's members. `on_told` is called after some were written, in whatever thread wrote them.

    `keep` is how long they are kept at least, in ms; None: for ever.
    """

    def __init__(
        self,
        store: Store,
        on_told: Callable[[], None] = lambda: None,
        *,
        batch: int = BATCH,
        keep: int | None = None,
    ) -> None:
        self._store = store
        self._batch = batch
        self._keep = keep
        self._looked = 0
        """How far was looked through: further than is noted, where nothing was found since."""
        self.on_told = on_told

    def page(self, member: bytes, after: int, limit: int, kinds: Collection[str] | None = None) -> list[Notice]:
        """Up to `limit` notices of `member` above the number `after`, of some kinds or of all."""
        query = sa.select(notice).where(notice.c.member == member, notice.c.number > after)
        if kinds is not None:
            query = query.where(notice.c.kind.in_(kinds))
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(notice.c.number).limit(limit)).all()
        return [Notice(row.number, Told(row.kind), row.at, orjson.loads(row.body)) for row in rows]

    def last(self, member: bytes) -> int:
        """The number of the newest notice of `member`, 0 before the first."""
        with self._store.read() as connection:
            return _last(connection, member)

    def tell(self, members: Iterable[bytes], kind: Told, body: Mapping[str, Any], at: int, source: str) -> int:
        """Tell `members` something that came about at `at` (ms); how many of them had not been told yet.

        Whatever has the same kind and `source` is the same thing, and told once.
        """
        with self._store.write() as connection:
            told = Writing(connection).tell(members, kind, body, at, source)
        if told:
            self.on_told()
        return told

    def follow(self, _now: int) -> bool:
        """A task of the rounds: tell of the statements that were registered since."""
        with self._store.read() as connection:
            start = max(place_of(connection, "statements"), self._looked)
            end = connection.execute(sa.select(sa.func.max(statement.c.position))).scalar()
            stop = min(start + SCAN, -1 if end is None else end) + 1
            if stop <= start:
                return False
            query = (
                sa.select(statement, content.c.content)
                .outerjoin(content, content.c.position == statement.c.position)
                .where(statement.c.position >= start, statement.c.position < stop, statement.c.kind.in_(_KINDS))
                .order_by(statement.c.position)
                .limit(self._batch)
            )
            rows = connection.execute(query).all()
            readers = readers_of(connection, {row.stream for row in rows})
        if not rows and stop - start < SCAN:
            self._looked = stop  # after a crash it is looked through again, which is cheaper than to note it
            return False
        if len(rows) == self._batch:
            stop = rows[-1].position + 1
        with self._store.write() as connection:
            writing = Writing(connection)
            aged = place_of(connection, "ageing")
            for row in rows:
                value = None if row.content is None else orjson.loads(row.content)
                kind, more = _what(row.kind, value)
                body = _place(row) | more
                writing.add(readers[row.stream], kind, body, row.registered_at, to_hex(row.digest))
                if kind is Told.OFFER_MADE and row.registered_at <= aged:
                    _tell_late(writing, row.position, aged)
            writing.flush()
            keep_place(connection, "statements", stop)
        if rows:
            self.on_told()
        return True

    def age(self, now: int, offers: Offers, policy: Policy) -> bool:
        """Tell both sides of offers whose date went by without an answer, once for each date."""
        with self._store.read() as connection:
            start = place_of(connection, "ageing")
        limit = BATCH
        crossings = offers.crossed(start, now, policy, limit)
        while len(crossings) == limit and crossings[0].at == crossings[-1].at:
            limit *= 4  # more than a page at one moment, which cannot be told in parts
            crossings = offers.crossed(start, now, policy, limit)
        # Of a full page some of the last moment may be missing: it is looked at again, and tells nothing twice.
        until = crossings[-1].at - 1 if len(crossings) == limit else now
        if not crossings and now - start < STALE_MS:
            return False
        with self._store.write() as connection:
            writing = Writing(connection)
            for one in crossings:
                _tell_crossing(writing, one)
            told = writing.flush()
            keep_place(connection, "ageing", max(until, start))
        if told:
            self.on_told()
        return bool(told)

    def begin(self, now: int) -> int:
        """The time (ms) before which notices need not be kept at `now`, and nothing is told of any more."""
        return 0 if self._keep is None else now - self._keep

    def forget(self, now: int) -> bool:
        """A task of the rounds: delete what is older than agreed, from the oldest on, for each member.

        What a webhook has still to deliver stays, and so does the last notice of each: the next is numbered after it.
        """
        begin, member, has_more = self.begin(now), b"", False
        while begin:
            with self._store.read() as connection:
                others = sa.select(notice.c.member).where(notice.c.member > member).order_by(notice.c.member).limit(1)
                found = connection.execute(others).scalar()
                old = [] if found is None else _old(connection, found, begin)
            if found is None:
                break
            member = found
            if old:
                with self._store.write() as connection:
                    gone = sa.and_(notice.c.member == member, notice.c.number <= old[-1])
                    connection.execute(sa.delete(notice).where(gone))
            has_more = has_more or len(old) == PAGE
        return has_more


class Writing:
    """Notices as one transaction writes them."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self._last: dict[bytes, int] = {}
        self._waiting: list[tuple[bytes, dict[str, Any]]] = []

    def tell(self, members: Iterable[bytes], kind: Told, body: Mapping[str, Any], at: int, source: str) -> int:
        """See `Notices.tell`."""
        self.add(members, kind, body, at, source)
        return self.flush()

    def add(self, members: Iterable[bytes], kind: Told, body: Mapping[str, Any], at: int, source: str) -> None:
        """The same, at the next `flush`: many at once cost a fraction of each alone."""
        name = hashlib.sha256(f"{kind}\n{source}".encode()).digest()
        text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()
        row = {"kind": str(kind), "at": at, "body": text, "source": name}
        self._waiting += [(member, row) for member in sorted(set(members))]

    def flush(self) -> int:
        """Write what was added, in that order; how many notices had not been told yet."""
        waiting, self._waiting = self._waiting, []
        known: set[tuple[bytes, bytes]] = set()
        for some in _chunks(sorted({row["source"] for _, row in waiting})):
            query = sa.select(notice.c.member, notice.c.source)
            query = query.where(notice.c.source.in_(some), notice.c.member.in_({member for member, _ in waiting}))
            known |= {(row.member, row.source) for row in self.connection.execute(query)}
        rows = []
        for member, row in waiting:
            if (member, row["source"]) not in known:
                known.add((member, row["source"]))
                number = self._last.get(member) or _last(self.connection, member)
                self._last[member] = number + 1
                rows.append({"member": member, "number": number + 1, **row})
        if rows:
            self.connection.execute(sa.insert(notice), rows)
        return len(rows)


def _old(connection: sa.Connection, member: bytes, begin: int) -> list[int]:
    """The first notices of `member`, by number, that came about before `begin` (ms) and that nobody waits for."""
    mine = webhook.c.member == member
    owed = connection.execute(sa.select(sa.func.min(webhook.c.delivered)).where(mine)).scalar()
    aside = sa.select(sa.func.min(undelivered.c.number)).join(webhook, webhook.c.id == undelivered.c.webhook)
    again = connection.execute(aside.where(mine, undelivered.c.due_at.is_not(None))).scalar()
    ends = (_last(connection, member), None if owed is None else owed + 1, again)
    end = min(one for one in ends if one is not None)
    query = sa.select(notice.c.number, notice.c.at).where(notice.c.member == member, notice.c.number < end)
    rows = connection.execute(query.order_by(notice.c.number).limit(PAGE))
    return [row.number for row in takewhile(lambda row: row.at < begin, rows)]


def place_of(connection: sa.Connection, name: str) -> int:
    """How far a source of notices has been read, 0 at first."""
    query = sa.select(notice_progress.c.place).where(notice_progress.c.name == name)
    return connection.execute(query).scalar() or 0


def keep_place(connection: sa.Connection, name: str, place: int) -> None:
    """Note how far a source of notices has been read."""
    changed = connection.execute(
        sa.update(notice_progress).where(notice_progress.c.name == name).values(place=place)
    ).rowcount
    if not changed:
        connection.execute(sa.insert(notice_progress).values(name=name, place=place))


def readers_of(connection: sa.Connection, streams: Collection[bytes]) -> dict[bytes, set[bytes]]:
    """Issuer and audience of each stream."""
    found: dict[bytes, set[bytes]] = {one: set() for one in streams}
    for some in _chunks(sorted(streams)):
        for row in connection.execute(sa.select(reader).where(reader.c.stream.in_(some))):
            found[row.stream].add(row.member)
    return found


def _last(connection: sa.Connection, member: bytes) -> int:
    return connection.execute(sa.select(sa.func.max(notice.c.number)).where(notice.c.member == member)).scalar() or 0


def _place(row: Any) -> dict[str, Any]:
    return {
        "issuer": to_hex(row.issuer),
        "sequence": row.sequence,
        "statement": to_hex(row.digest),
        "stream": to_hex(row.stream),
    }


def _what(kind: str, value: Mapping[str, Any] | None) -> tuple[Told, dict[str, Any]]:
    """What to tell of a statement, and which other ids belong to it; of a header there is no more to tell."""
    told = _KINDS[kind]
    if value is None:
        return told, {"isWithheld": True}
    named = ("corrects", "about", "despatch", "taker", "outcome", "request")
    more = {name: value[name] for name in named if name in value}
    if "despatch" in more:
        more["offer"] = more.pop("despatch")
    if kind == "despatch" and not value["units"]:
        return Told.OFFER_WITHDRAWN, more
    if kind == "receipt":
        return Told(value["outcome"]), more
    if kind == "explanation":
        return told, {"finding": value["finding"]}
    return told, more


def _tell_late(writing: Writing, position: int, aged: int) -> None:
    """Of an offer that came with its date over already, which the look at dates has passed."""
    row = writing.connection.execute(sa.select(offer).where(offer.c.position == position)).first()
    if row is not None and row.deadline <= aged and row.unanswered:
        body = {"offer": to_hex(row.despatch), "taker": to_hex(row.taker)}
        writing.add((row.giver, row.taker), Told.OVERDUE, body, row.deadline, to_hex(row.despatch))


def _tell_crossing(writing: Writing, crossing: Crossing) -> None:
    one = crossing.offer
    body = {"offer": to_hex(one.despatch), "taker": to_hex(one.taker)}
    writing.add((one.giver, one.taker), _DATES[crossing.state], body, crossing.at, to_hex(one.despatch))


def _chunks(values: list[bytes], size: int = 500) -> Iterable[list[bytes]]:
    for at in range(0, len(values), size):
        yield values[at : at + size]

"""What the chain and the record say, told as notices: steps taken and refused, contested units, findings.

Each source is read on from where it was read to, and told in the transaction that notes how far. Whom a step concerns
is whoever may see the statements it names; nobody is told an id of a statement that he may not see.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from api.impact.requests import FactRequests
from api.notices import Notices, Told, Writing, keep_place, place_of, readers_of
from ledger_service.custody import Finding, Policy
from ledger_service.handoffs import HandOff, Opening, SignedStep, TakenStep
from ledger_service.keys import to_hex
from ledger_service.ledger import Ledger
from ledger_service.offering import Offers, OfferState
from ledger_service.relaying import REFUSED, Relaying
from ledger_service.store.notice_tables import noticed_finding
from ledger_service.store.tables import custody_request, custody_step, offer, reader, signing_request, statement
from ledger_service.store.trail_tables import chain_unit, citation, mention, thing
from ledger_service.trails import Recall, TooMuchToFold, Trails, UnknownThing

STEPS = 200
"""Steps told of in one transaction."""
STATEMENTS = 25
"""Statements whose trails are judged in one go: each is folded once for each of its readers."""
KINDS = ("despatch", "receipt", "gate-arrival", "complaint", "explanation", "opening")
"""The kinds that findings about custody come with; sightings in EPCIS events are judged when one of these comes."""
SCAN = 5_000
DAY_MS = 86_400_000
MAX_NAMED = 500
"""Statements that one notice names."""
THINGS = 200
"""Things folded at once."""


class ChainNotices:
    """Notices of what the chain took and refused."""

    def __init__(self, ledger: Ledger, notices: Notices, relaying: Relaying, trails: Trails) -> None:
        self._ledger = ledger
        self._store = ledger.store
        self._notices = notices
        self._relaying = relaying
        self._trails = trails
        self._first_seen: tuple[int, int] | None = None
        """The last step that waits for the index, and how many statements there were when it was seen."""
        self._refusals: set[bytes] = set()
        """Refused steps that were told of since the start; telling again would change nothing and cost a look."""

    def taken(self, _now: int) -> bool:
        """A task of the rounds: tell of the steps that the chain took since."""
        with self._store.read() as connection:
            start = place_of(connection, "steps")
        steps = self._named(self._relaying.taken_since(start, STEPS))
        if not steps:
            return False
        with self._store.write() as connection:
            writing = Writing(connection)
            for _, one in steps:
                _tell_step(writing, one)
            keep_place(connection, "steps", steps[-1][0] + 1)
        self._notices.on_told()
        return True

    def _named(self, steps: list[tuple[int, TakenStep]]) -> list[tuple[int, TakenStep]]:
        """Those of `steps` of which it is known whom they concern. Of an opening the index of trails knows it, once it
        has read what was registered before the step was seen; told sooner, it would be told to nobody for ever.
        """
        if not any(isinstance(one.step, Opening) for _, one in steps):
            return steps
        if self._first_seen is None:
            self._first_seen = steps[-1][0], self._ledger.size
        last, size = self._first_seen
        if self._trails.indexed < size:
            return []
        self._first_seen = None
        return [one for one in steps if one[0] <= last]

    def refused(self, now: int) -> bool:
        """A task of the rounds: tell both sides of the handoffs that the chain will never take, and those whose step
        stands in their place.
        """
        begin = self._notices.begin(now)  # what was told before may be deleted by now, and is not told again
        is_refused = custody_request.c.state == REFUSED
        with self._store.read() as connection:
            count = connection.execute(sa.select(sa.func.count()).where(is_refused)).scalar_one()
            if count == len(self._refusals):
                return False
            query = sa.select(custody_request).where(is_refused)
            rows = [row for row in connection.execute(query) if row.struct_hash not in self._refusals]
        with self._store.write() as connection:
            news = [row for row in rows[:STEPS] if row.submitted_at >= begin]
            told = sum(_tell_refusal(Writing(connection), row) for row in news)
        self._refusals.update(row.struct_hash for row in rows[:STEPS])
        if told:
            self._notices.on_told()
        return bool(told)


class FactNotices:
    """Notices of requests for facts that nobody has answered in time."""

    def __init__(self, ledger: Ledger, notices: Notices, requests: FactRequests) -> None:
        self._store = ledger.store
        self._notices = notices
        self._requests = requests

    def closed(self, now: int) -> bool:
        """A task of the rounds: tell both sides, once a day, of requests whose day is over."""
        until = now // DAY_MS * DAY_MS  # they close with a day of UTC
        with self._store.read() as connection:
            start = place_of(connection, "fact requests")
        if start >= until:
            return False
        found = self._requests.closed(start, until)
        with self._store.write() as connection:
            writing = Writing(connection)
            for one in found:
                body = {"request": to_hex(one.id)}
                sides = (one.asker, one.said.asked)
                writing.add(sides, Told.FACT_UNANSWERED, body, one.ends_at, to_hex(one.id))
            told = writing.flush()
            keep_place(connection, "fact requests", until)
        if told:
            self._notices.on_told()
        return bool(told)


class RequestNotices:
    """Notices of what somebody at a site asked a member's gateway to sign."""

    def __init__(self, ledger: Ledger, notices: Notices) -> None:
        self._store = ledger.store
        self._notices = notices

    def filed(self, _now: int) -> bool:
        """A task of the rounds: tell of the signing requests that were filed since."""
        with self._store.read() as connection:
            start = place_of(connection, "signing requests")
            query = sa.select(signing_request).where(signing_request.c.number > start)
            rows = connection.execute(query.order_by(signing_request.c.number).limit(STEPS)).all()
        if not rows:
            return False
        with self._store.write() as connection:
            writing = Writing(connection)
            for row in rows:
                named = "asked" if row.kind == "fact-answer" else "offer"
                body = {"kind": row.kind, named: to_hex(row.about), "request": row.number}
                writing.tell([row.member], Told.SIGNING_REQUEST, body, row.made_at, str(row.number))
            keep_place(connection, "signing requests", rows[-1].number)
        self._notices.on_told()
        return True


def _tell_step(writing: Writing, taken: TakenStep) -> None:
    step = taken.step
    body: dict[str, Any] = {"block": taken.block, "sequence": taken.sequence, "unit": to_hex(taken.unit)}
    if isinstance(step, HandOff):
        kind, named = Told.HANDED_OVER, {"offer": step.offer.statement, "acceptance": step.acceptance}
    elif isinstance(step, Opening):
        kind, named = Told.OPENED_ON_CHAIN, {}
    else:
        kind, named = Told.CLOSED, {"reason": step.statement}
    source = f"{to_hex(taken.unit)}#{taken.sequence}"
    seen = {name: _readers(writing.connection, digest) for name, digest in named.items()}
    readers = set().union(*seen.values()) if named else _who_names(writing.connection, taken.unit)
    for member in readers:
        visible = {name: to_hex(digest) for name, digest in named.items() if member in seen[name]}
        writing.tell([member], kind, body | visible, taken.time * 1000, source)


def _tell_refusal(writing: Writing, row: Any) -> int:
    """Of a handoff that was refused: to both its sides, and to both sides of the one that was taken."""
    step = SignedStep.read(orjson.loads(row.step)).step
    if not isinstance(step, HandOff):
        return 0
    body = {"sequence": row.sequence, "unit": to_hex(row.unit)}
    source = to_hex(row.struct_hash)
    at = row.submitted_at
    told = 0
    for member in _sides(writing.connection, step.offer.statement):
        lost = body | {"isTaken": False, "offer": to_hex(step.offer.statement), "reason": row.reason}
        told += writing.tell([member], Told.STEP_REFUSED, lost, at, source)
    standing = writing.connection.execute(
        sa.select(custody_step.c.step).where(custody_step.c.unit == row.unit, custody_step.c.sequence == row.sequence)
    ).scalar()
    if standing is not None:
        taken = TakenStep.read(orjson.loads(standing)).step
        if isinstance(taken, HandOff) and taken.struct_hash != row.struct_hash:
            for member in _sides(writing.connection, taken.offer.statement):
                won = body | {"isTaken": True, "offer": to_hex(taken.offer.statement)}
                told += writing.tell([member], Told.STEP_REFUSED, won, at, f"{source} stands")
    return told


def _sides(connection: sa.Connection, despatch: bytes) -> list[bytes]:
    """Giver and taker of an offer; nobody where none was made here."""
    row = connection.execute(sa.select(offer.c.giver, offer.c.taker).where(offer.c.despatch == despatch)).first()
    return [] if row is None else sorted({row.giver, row.taker})


def _readers(connection: sa.Connection, digest: bytes) -> set[bytes]:
    """The parties of the statement with this digest."""
    stream = connection.execute(sa.select(statement.c.stream).where(statement.c.digest == digest)).scalar()
    return set() if stream is None else readers_of(connection, [stream])[stream]


def _who_names(connection: sa.Connection, unit: bytes) -> set[bytes]:
    """The parties of the openings that name a unit of the chain."""
    streams = connection.execute(
        sa.select(statement.c.stream)
        .join(citation, citation.c.position == statement.c.position)
        .where(citation.c.what == unit, statement.c.kind == "opening")
        .distinct()
    ).scalars()
    return set().union(*readers_of(connection, list(streams)).values())


class RecordNotices:
    """Notices of what is wrong with the record, as each party's own trails show it.

    `policy` gives the policy in force at a time (ms).
    """

    def __init__(
        self, ledger: Ledger, notices: Notices, trails: Trails, offers: Offers, policy: Callable[[int], Policy]
    ) -> None:
        self._ledger = ledger
        self._store = ledger.store
        self._notices = notices
        self._trails = trails
        self._offers = offers
        self._policy = policy
        self._looked = 0
        """How far statements were looked through: further than is noted, where nothing was found since."""

    def contested(self, _now: int) -> bool:
        """A task of the rounds: tell all sides of a thing that was opened twice, each by its own statements."""
        with self._store.read() as connection:
            start = place_of(connection, "contested")
            fresh = sa.select(chain_unit.c.number).where(chain_unit.c.position >= start).limit(1)
            end = self._trails.indexed
            if connection.execute(fresh).first() is None:
                return False
        conflicts = self._trails.conflicts(start)
        told = 0
        with self._store.write() as connection:
            writing = Writing(connection)
            for one in conflicts:
                rows = connection.execute(sa.select(statement).where(statement.c.position.in_(one.positions))).all()
                readers = readers_of(connection, {row.stream for row in rows})
                for member in set().union(*readers.values()):
                    mine = sorted(to_hex(row.digest) for row in rows if member in readers[row.stream])
                    at = max(row.registered_at for row in rows)
                    source = " ".join(map(str, one.positions))
                    told += writing.tell([member], Told.CONTESTED, {"statements": mine}, at, source)
            keep_place(connection, "contested", end)
        if told:
            self._notices.on_told()
        return True

    def raise_recall(self, by: bytes, recall: Recall, now: int) -> int:
        """Tell all who have some of it now, or wait for it, that `by` recalls it; how many were told now.

        Each is told how many units it is about, and its own statements of them: offers and receipts that it may see.
        """
        wanted: dict[bytes, set[str]] = {}
        for unit in recall.units:
            parties = {*unit.holders, *(side for one in unit.open for side in (one.giver, one.taker))}
            for member in parties - {by}:
                wanted.setdefault(member, set()).add(unit.thing)
        told = 0
        with self._store.write() as connection:
            writing = Writing(connection)
            for member, things in wanted.items():
                named = self._statements_of(connection, member, things)
                body = {"by": to_hex(by), "statements": named[:MAX_NAMED], "units": len(things)}
                source = f"{to_hex(by)} {' '.join(sorted(recall.things))} {' '.join(sorted(things))}"
                told += writing.tell([member], Told.RECALL_RAISED, body, now, source)
        if told:
            self._notices.on_told()
        return told

    def _statements_of(self, connection: sa.Connection, member: bytes, things: Collection[str]) -> list[str]:
        """The offers and receipts of some things that a member is a party to, newest first."""
        found: dict[int, str] = {}
        macs = sorted(self._trails.mac(one) for one in things)
        for at in range(0, len(macs), 500):
            query = (
                sa.select(statement.c.position, statement.c.digest)
                .join(mention, mention.c.position == statement.c.position)
                .join(thing, thing.c.id == mention.c.thing)
                .join(reader, reader.c.stream == statement.c.stream)
                .where(thing.c.mac.in_(macs[at : at + 500]), reader.c.member == member)
                .where(statement.c.kind.in_(("despatch", "receipt")))
            )
            found.update({row.position: to_hex(row.digest) for row in connection.execute(query)})
        return [found[position] for position in sorted(found, reverse=True)]

    def findings(self, now: int) -> bool:
        """A task of the rounds: judge anew what new statements and steps are about, for each of the parties."""
        return self._of_statements(now) or self._of_steps(now)

    def _of_statements(self, now: int) -> bool:
        with self._store.read() as connection:
            start = max(place_of(connection, "findings of statements"), self._looked)
            stop = min(start + SCAN, self._trails.indexed)
            query = (
                sa.select(statement.c.position)
                .where(statement.c.position >= start, statement.c.position < stop, statement.c.kind.in_(KINDS))
                .order_by(statement.c.position)
                .limit(STATEMENTS)
            )
            positions = list(connection.execute(query).scalars())
        if stop <= start or (not positions and stop - start < SCAN):
            self._looked = max(start, stop)
            return False
        if len(positions) == STATEMENTS:
            stop = positions[-1] + 1
        self._judge(positions, now, "findings of statements", stop)
        return True

    def _of_steps(self, now: int) -> bool:
        with self._store.read() as connection:
            start = place_of(connection, "findings of steps")
            query = (
                sa.select(custody_step.c.place, custody_step.c.unit)
                .where(custody_step.c.place >= start)
                .order_by(custody_step.c.place)
                .limit(STATEMENTS)
            )
            rows = connection.execute(query).all()
            if not rows:
                return False
            positions = self._naming(connection, {row.unit for row in rows})
        self._judge(positions, now, "findings of steps", rows[-1].place + 1)
        return True

    def findings_of_dates(self, now: int) -> bool:
        """A task of the rounds: the same for offers whose date went by."""
        with self._store.read() as connection:
            start = place_of(connection, "findings of dates")
        # A moment later than the date itself: until it is over, nothing is wrong.
        until, limit = now - 1, STATEMENTS
        crossed = self._offers.crossed(start, until, self._policy(now), limit)
        while len(crossed) == limit and crossed[0].at == crossed[-1].at:
            limit *= 4
            crossed = self._offers.crossed(start, until, self._policy(now), limit)
        if not crossed:
            return False
        if len(crossed) == limit:
            until = crossed[-1].at - 1
        due = {one.offer.position for one in crossed if one.state is not OfferState.EXPIRED and one.at <= until}
        self._judge(sorted(due), now, "findings of dates", until)
        return True

    def _naming(self, connection: sa.Connection, units: Collection[bytes]) -> list[int]:
        query = sa.select(citation.c.position).where(citation.c.what.in_(sorted(units)))
        return sorted(set(connection.execute(query).scalars()))

    def _judge(self, positions: Iterable[int], now: int, name: str, place: int) -> None:
        """Tell each party of these statements what its trails show of what they are about."""
        wanted: dict[bytes, set[str]] = {}
        with self._store.read() as connection:
            for position in positions:
                stream = connection.execute(
                    sa.select(statement.c.stream).where(statement.c.position == position)
                ).scalar()
                if stream is None:
                    continue
                named = connection.execute(
                    sa.select(thing.c.name)
                    .join(mention, mention.c.thing == thing.c.id)
                    .where(mention.c.position == position, thing.c.name.is_not(None))
                ).scalars()
                things = set(named) | self._of_evidence(connection, position)
                for member in readers_of(connection, [stream])[stream]:
                    wanted.setdefault(member, set()).update(things)
        found = {member: self._found(member, things, now) for member, things in wanted.items()}
        told = 0
        with self._store.write() as connection:
            writing = Writing(connection)
            for member, findings in found.items():
                told += sum(_tell_finding(writing, member, one, now) for one in findings)
            keep_place(connection, name, place)
        if told:
            self._notices.on_told()

    def _of_evidence(self, connection: sa.Connection, position: int) -> set[str]:
        """What an explanation or an answer is about: the things of the statements that it names."""
        named = (
            sa.select(thing.c.name)
            .join(mention, mention.c.thing == thing.c.id)
            .join(statement, statement.c.position == mention.c.position)
            .join(citation, citation.c.what == statement.c.digest)
            .where(citation.c.position == position, thing.c.name.is_not(None))
        )
        return {str(one) for one in connection.execute(named).scalars()}

    def _found(self, member: bytes, things: Collection[str], now: int) -> list[Finding]:
        """What the member's own trails of `things` show to be wrong."""
        sight, policy = self._ledger.sight(member, now), self._policy(now)
        found: dict[str, Finding] = {}
        ordered = sorted(things)
        for at in range(0, len(ordered), THINGS):
            some = ordered[at : at + THINGS]
            try:
                custody = self._trails.custody(some, sight, at=now, policy=policy)
            except (UnknownThing, TooMuchToFold):
                continue  # what cannot be folded at once is told when somebody asks for less of it
            found.update({one.id: one for one in custody.trail(some).findings})
        return list(found.values())


def _tell_finding(writing: Writing, member: bytes, one: Finding, now: int) -> int:
    connection, name = writing.connection, bytes.fromhex(one.id)
    mine = sa.and_(noticed_finding.c.member == member, noticed_finding.c.finding == name)
    known = connection.execute(sa.select(noticed_finding.c.explained).where(mine)).scalar()
    if known is not None and (known or not one.is_explained):
        return 0
    if known is None:
        row = {"member": member, "finding": name, "explained": int(one.is_explained)}
        connection.execute(sa.insert(noticed_finding).values(**row))
    else:
        connection.execute(sa.update(noticed_finding).where(mine).values(explained=1))
    kind = Told.FINDING_APPEARED if known is None else Told.FINDING_EXPLAINED
    body: Mapping[str, Any] = {
        "evidence": list(one.evidence),
        "explainedBy": list(one.explained_by),
        "finding": one.id,
        "kind": str(one.problem),
        "weight": str(one.weight),
    }
    return writing.tell([member], kind, body, now, one.id)

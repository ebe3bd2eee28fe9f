"""Offers: the despatches that wait for an answer, who has to give it by when, and what became of them.

An offer is entered in the transaction that registers its despatch and answered in the one that registers its receipt,
so the list of what is open is never behind the log. Beside it lie the giver's signatures for the chain, which only
the two sides see: with them the taker completes each handoff alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

import orjson
import sqlalchemy as sa

from ledger_service import handoffs
from ledger_service.custody import check_acceptance
from ledger_service.custody.kinds import CustodyAddresses, Despatch, Deviation, Outcome, Receipt
from ledger_service.custody.offers import OfferRefused
from ledger_service.custody.policy import Policy
from ledger_service.envelope import Examined
from ledger_service.errors import LedgerError
from ledger_service.handoffs import Closing, CustodyDomain, HandOff, SignedOffer, SignedStep
from ledger_service.keys import to_hex
from ledger_service.store import Store
from ledger_service.store.tables import content, offer, offer_answer, offer_signature, reader, statement, stream

DESPATCH, RECEIPT, ADDRESSES = "despatch", "receipt", "custody-addresses"
ACCEPTED = frozenset({str(Outcome.ACCEPTED), str(Outcome.WITH_DISCREPANCIES)})
MISSING = "missing"
"""The outcome of a unit that a receipt says was not there at all: it stays with its giver."""


class OfferReplaced(OfferRefused):
    """The giver has corrected or taken back the despatch."""

    def __init__(self, despatch: bytes) -> None:
        super().__init__(
            f"the giver has corrected or taken back {to_hex(despatch)}: answer its newest offer, or refuse this one"
        )
        self.despatch = despatch


class AlreadyAccepted(OfferRefused):
    """A correction takes off a despatch what its taker has accepted: that is handed over."""

    def __init__(self, despatch: bytes, things: Sequence[str]) -> None:
        named = f"{', '.join(things[:3])}{' and others' if len(things) > 3 else ''}"
        super().__init__(
            f"{named} of {to_hex(despatch)} was accepted before this came: correct what nobody has answered, and have"
            " the rest handed back"
        )
        self.despatch = despatch
        self.things = tuple(things)


class UnfitOffer(LedgerError):
    """A giver's signature that does not go with the despatch it is sent for."""


class UnfitStep(LedgerError):
    """A step for the relay that no registered statement of its sender asks for."""


class OfferState(StrEnum):
    """How an offer stands. None of these but `answered` and `refused` was signed by the taker."""

    OPEN = "open"
    ANSWERED = "answered"
    REFUSED = "refused"
    OVERDUE = "overdue"
    DEEMED_ACCEPTED = "deemed accepted"
    EXPIRED = "expired"
    """The date is over, and so is the time in which the chain would take the handoff."""
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Answer:
    """A receipt that answers the unit at `place` of a despatch; `at` is when it was registered (ms)."""

    place: int
    receipt: bytes
    outcome: str
    at: int


@dataclass(frozen=True, slots=True)
class OfferView:
    """An offer as it stands at a time. Times in ms; `unanswered` of its `units` nobody has answered."""

    position: int
    despatch: bytes
    giver: bytes
    taker: bytes
    made_at: int
    deadline: int
    units: int
    unanswered: int
    replaced_by: bytes | None
    state: OfferState
    answers: tuple[Answer, ...] = ()
    signatures: tuple[SignedOffer, ...] = ()


@dataclass(frozen=True, slots=True)
class Crossing:
    """An unanswered offer that came into `state` at `at` (ms) because a date went by."""

    offer: OfferView
    state: OfferState
    at: int


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a statement that a receipt or a correction names; `accepted` are places of its units."""

    issuer: bytes
    kind: str
    despatch: Despatch | None
    readers: frozenset[bytes]
    is_replaced: bool = False
    accepted: frozenset[int] = frozenset()


class Answers:
    """The door's view of what a batch answers and corrects, looked up at once.

    Whichever of an acceptance and a withdrawal is registered first stands, and the other is refused: the two sides
    then never both have what was offered.
    """

    def __init__(
        self,
        receipts: Mapping[bytes, Receipt],
        corrections: Mapping[bytes, Despatch],
        known: Mapping[bytes, _Known],
        fresh: Mapping[bytes, Examined],
    ) -> None:
        self._receipts = receipts
        self._corrections = corrections
        self._known = known
        self._fresh = fresh

    @classmethod
    def load(cls, connection: sa.Connection, items: Sequence[Examined]) -> Self:
        """For a batch that answers and corrects nothing this asks the store nothing."""
        receipts: dict[bytes, Receipt] = {}
        corrections: dict[bytes, Despatch] = {}
        for one in items:
            if one.content is None:
                continue
            if one.kind == RECEIPT:
                receipts[one.digest] = Receipt.parse(orjson.loads(one.content))
            elif one.kind == DESPATCH and b'"corrects"' in one.content:
                said = Despatch.parse(orjson.loads(one.content))
                if said.corrects is not None:
                    corrections[one.digest] = said
        if not receipts and not corrections:
            return cls({}, {}, {}, {})
        named = {one.despatch for one in receipts.values()}
        corrected = [one.corrects for one in receipts.values()] + [one.corrects for one in corrections.values()]
        named |= {one for one in corrected if one is not None}
        known: dict[bytes, _Known] = {}
        readers: dict[bytes, set[bytes]] = {}
        for ids in _chunks(sorted(named)):
            rows = connection.execute(
                sa.select(
                    statement.c.digest,
                    statement.c.issuer,
                    statement.c.kind,
                    statement.c.stream,
                    content.c.content,
                    offer.c.replaced_by,
                )
                .outerjoin(content, content.c.position == statement.c.position)
                .outerjoin(offer, offer.c.despatch == statement.c.digest)
                .where(statement.c.digest.in_(ids))
            ).all()
            streams = {row.stream for row in rows}
            may_see = sa.select(reader.c.stream, reader.c.member).where(reader.c.stream.in_(streams))
            for stream_id, member in connection.execute(may_see):
                readers.setdefault(stream_id, set()).add(member)
            accepted: dict[bytes, set[int]] = {}
            if corrections:
                of_them = offer_answer.c.despatch.in_(ids) & offer_answer.c.outcome.in_(ACCEPTED)
                for digest, place in connection.execute(
                    sa.select(offer_answer.c.despatch, offer_answer.c.place).where(of_them)
                ):
                    accepted.setdefault(digest, set()).add(place)
            for row in rows:
                is_offer = row.kind == DESPATCH and row.content is not None
                despatch = Despatch.parse(orjson.loads(row.content)) if is_offer else None
                seen_by = frozenset(readers.get(row.stream, ()))
                known[row.digest] = _Known(
                    row.issuer,
                    row.kind,
                    despatch,
                    seen_by,
                    row.replaced_by is not None,
                    frozenset(accepted.get(row.digest, ())),
                )
        fresh = {one.digest: one for one in items if one.digest in {*named, *receipts, *corrections}}
        return cls(receipts, corrections, known, fresh)

    def check(self, item: Examined, at: int, taken: Mapping[tuple[bytes, int], tuple[bytes, bytes, int]]) -> None:
        """Raise OfferRefused if `item` is a receipt that answers no offer it may answer at `at` (ms), or a corrected
        despatch that leaves out what was accepted of it.

        `taken` tells which of the batch's own statements stand. A despatch whose content is withheld or erased cannot
        be looked at, and is for the fold to judge.
        """
        if item.digest in self._corrections:
            self._check_correction(item, self._corrections[item.digest], taken)
        receipt = self._receipts.get(item.digest)
        if receipt is None:
            return
        known = self._find(receipt.despatch, taken)
        if known is None or known.kind != DESPATCH or item.issuer not in known.readers:
            # To whom it was offered is nobody's business who cannot see the offer.
            check_acceptance(receipt, item.issuer, None, at)
            return
        if known.despatch is None:
            return
        if receipt.corrects is not None:
            corrected = self._find(receipt.corrects, taken)
            if corrected is None or (corrected.issuer, corrected.kind) != (item.issuer, RECEIPT):
                receipt = replace(receipt, corrects=None)
        check_acceptance(receipt, item.issuer, known.despatch, at)
        if receipt.corrects is not None or receipt.outcome is Outcome.REFUSED:
            return
        is_replaced = known.is_replaced or any(
            said.corrects == receipt.despatch and self._stands(digest, known.issuer, taken)
            for digest, said in self._corrections.items()
        )
        if is_replaced:
            raise OfferReplaced(receipt.despatch)

    def _check_correction(
        self, item: Examined, said: Despatch, taken: Mapping[tuple[bytes, int], tuple[bytes, bytes, int]]
    ) -> None:
        """Raise AlreadyAccepted if a unit that the taker has accepted, in this batch at the latest, is not in it."""
        assert said.corrects is not None
        known = self._find(said.corrects, taken)
        if known is None or known.despatch is None or known.issuer != item.issuer:
            return
        accepted = set(known.accepted)
        for digest, receipt in self._receipts.items():
            if receipt.despatch == said.corrects and self._stands(digest, known.despatch.taker, taken):
                for place, outcome in _outcomes(receipt, known.despatch).items():
                    if outcome in ACCEPTED:
                        accepted.add(place)
        kept = {one.id.key for one in said.units}
        things = [known.despatch.units[place].id.key for place in sorted(accepted)]
        lost = [one for one in things if one not in kept]
        if lost:
            raise AlreadyAccepted(said.corrects, lost)

    def _stands(
        self, digest: bytes, issuer: bytes, taken: Mapping[tuple[bytes, int], tuple[bytes, bytes, int]]
    ) -> bool:
        """Whether the batch's own statement is about to be registered, and says something of its issuer's own."""
        item = self._fresh[digest]
        return item.issuer == issuer and taken.get((item.stream, item.sequence), (b"",))[0] == digest

    def _find(self, digest: bytes, taken: Mapping[tuple[bytes, int], tuple[bytes, bytes, int]]) -> _Known | None:
        known = self._known.get(digest)
        if known is not None:
            return known
        item = self._fresh.get(digest)
        if item is None or taken.get((item.stream, item.sequence), (b"",))[0] != digest:
            return None
        is_offer = item.kind == DESPATCH and item.content is not None
        despatch = Despatch.parse(orjson.loads(item.content or b"")) if is_offer else None
        return _Known(item.issuer, item.kind, despatch, frozenset({item.issuer, *(item.audience or ())}))

    def keep(
        self,
        connection: sa.Connection,
        rows: Sequence[Examined],
        position: int,
        now: int,
        taken: Mapping[tuple[bytes, int], tuple[bytes, bytes, int]],
    ) -> None:
        """Enter the offers and answers among the statements that were just added from `position` on."""
        offers = [
            (place, one, Despatch.parse(orjson.loads(one.content)))
            for place, one in enumerate(rows, position)
            if one.kind == DESPATCH and one.content is not None
        ]
        if offers:
            connection.execute(sa.insert(offer), [_offer_row(place, one, said, now) for place, one, said in offers])
        answers: list[Examined] = []
        for one in rows:
            if one.digest in self._receipts:
                answers.append(one)
            elif one.digest in self._corrections:
                # What was answered before it is carried over to it.
                self._keep_answers(connection, answers, now, taken)
                answers = []
                said = self._corrections[one.digest]
                assert said.corrects is not None
                _replace(connection, one, said, said.corrects)
        self._keep_answers(connection, answers, now, taken)

    def _keep_answers(
        self,
        connection: sa.Connection,
        rows: Sequence[Examined],
        now: int,
        taken: Mapping[tuple[bytes, int], tuple[bytes, bytes, int]],
    ) -> None:
        """The first answer to a unit stands until its issuer corrects it; a second one is for the fold to point at."""
        if not rows:
            return
        said: list[tuple[Examined, Receipt, Despatch]] = []
        for one in rows:
            receipt = self._receipts[one.digest]
            known = self._find(receipt.despatch, taken)
            if known is not None and known.despatch is not None and known.despatch.taker == one.issuer:
                said.append((one, receipt, known.despatch))
        answers: dict[bytes, dict[int, tuple[bytes, str]]] = {receipt.despatch: {} for _, receipt, _ in said}
        for ids in _chunks(sorted(answers)):
            for row in connection.execute(sa.select(offer_answer).where(offer_answer.c.despatch.in_(ids))):
                answers[row.despatch][row.place] = (row.receipt, row.outcome)
        fresh: dict[tuple[bytes, int], dict[str, Any]] = {}
        changed: list[dict[str, Any]] = []
        for one, receipt, despatch in said:
            known_answers = answers[receipt.despatch]
            for place, outcome in _outcomes(receipt, despatch).items():
                before = known_answers.get(place)
                if before is not None and before[0] != receipt.corrects:
                    continue
                known_answers[place] = (one.digest, outcome)
                values = {"receipt": one.digest, "outcome": outcome, "answered_at": now}
                key = (receipt.despatch, place)
                if before is None or key in fresh:
                    fresh[key] = {"despatch": receipt.despatch, "place": place, **values}
                else:
                    changed.append({"of": receipt.despatch, "at": place, **values})
        if fresh:
            connection.execute(sa.insert(offer_answer), list(fresh.values()))
        if changed:
            which = (offer_answer.c.despatch == sa.bindparam("of")) & (offer_answer.c.place == sa.bindparam("at"))
            connection.execute(sa.update(offer_answer).where(which), changed)
        units = {receipt.despatch: len(despatch.units) for _, receipt, despatch in said}
        counts = [
            {
                "of": despatch,
                "unanswered": units[despatch] - len(found),
                "refused": sum(outcome == str(Outcome.REFUSED) for _, outcome in found.values()),
            }
            for despatch, found in answers.items()
        ]
        if counts:
            connection.execute(sa.update(offer).where(offer.c.despatch == sa.bindparam("of")), counts)


def _offer_row(position: int, item: Examined, despatch: Despatch, now: int) -> dict[str, Any]:
    return {
        "position": position,
        "despatch": item.digest,
        "giver": item.issuer,
        "taker": despatch.taker,
        "made_at": now,
        "deadline": despatch.deadline,
        "units": len(despatch.units),
        "unanswered": len(despatch.units),
        "refused": 0,
    }


def _outcomes(receipt: Receipt, despatch: Despatch) -> dict[int, str]:
    """What a receipt says of each unit that it answers, by the unit's place in the despatch."""
    places = {one.id.key: place for place, one in enumerate(despatch.units)}
    said = {places[one.key]: str(receipt.outcome) for one in receipt.units if one.key in places}
    for one in receipt.discrepancies:
        if one.what is Deviation.SHORT and one.quantity is None and one.unit.key in places:
            said[places[one.unit.key]] = MISSING
    return said


def _replace(connection: sa.Connection, item: Examined, despatch: Despatch, corrects: bytes) -> None:
    """Note that a despatch is corrected. What was answered stays answered: the correction asks about the rest."""
    corrected = connection.execute(
        sa.select(offer, content.c.content)
        .outerjoin(content, content.c.position == offer.c.position)
        .where(offer.c.despatch == corrects, offer.c.giver == item.issuer, offer.c.replaced_by.is_(None))
    ).first()
    if corrected is None:
        return
    connection.execute(sa.update(offer).where(offer.c.despatch == corrects).values(replaced_by=item.digest))
    if corrected.content is None or corrected.taker != despatch.taker:
        return
    before = [one.id.key for one in Despatch.parse(orjson.loads(corrected.content)).units]
    places = {one.id.key: place for place, one in enumerate(despatch.units)}
    answers = connection.execute(sa.select(offer_answer).where(offer_answer.c.despatch == corrects)).all()
    kept = [
        {"despatch": item.digest, "place": places[before[row.place]], "receipt": row.receipt, "outcome": row.outcome,
         "answered_at": row.answered_at}
        for row in answers
        if before[row.place] in places
    ]  # fmt: skip
    if kept:
        connection.execute(sa.insert(offer_answer), kept)
        _count(connection, item.digest)


def _count(connection: sa.Connection, despatch: bytes) -> None:
    counted = sa.select(sa.func.count()).where(offer_answer.c.despatch == despatch)
    refused = counted.where(offer_answer.c.outcome == str(Outcome.REFUSED))
    connection.execute(
        sa.update(offer)
        .where(offer.c.despatch == despatch)
        .values(unanswered=offer.c.units - counted.scalar_subquery(), refused=refused.scalar_subquery())
    )


class Offers:
    """The offers of a ledger as they stand, and the givers' signatures that go with them."""

    def __init__(self, store: Store, domain: CustodyDomain) -> None:
        self._store = store
        self._domain = domain

    def find(self, despatch: bytes, now: int, policy: Policy) -> OfferView | None:
        """The offer that the statement `despatch` made, None where it made none."""
        with self._store.read() as connection:
            rows = connection.execute(sa.select(offer).where(offer.c.despatch == despatch)).all()
            return next(iter(self._views(connection, rows, now, policy)), None)

    def listed(
        self,
        member: bytes,
        now: int,
        policy: Policy,
        *,
        side: str | None = None,
        state: OfferState | None = None,
        after: int = -1,
        limit: int = 100,
    ) -> list[OfferView]:
        """Offers that `member` made (`side` giver) or got (taker), in the order of registration after a position."""
        mine = {"giver": offer.c.giver == member, "taker": offer.c.taker == member}
        whose = mine[side] if side is not None else sa.or_(*mine.values())
        query = sa.select(offer).where(whose, offer.c.position > after)
        if state is not None:
            query = query.where(_is_in(state, now, policy))
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(offer.c.position).limit(limit)).all()
            return self._views(connection, rows, now, policy)

    def crossed(self, after: int, until: int, policy: Policy, limit: int = 1000) -> list[Crossing]:
        """Unanswered offers that a date passed in `after` < date <= `until` (ms), in the order of these dates.

        Each is told once for each date: overdue the moment its deadline is over, deemed accepted where the policy says
        so, expired when the chain would not take it any more.
        """
        if until <= after:
            return []
        dates: list[tuple[OfferState, sa.ColumnElement[int]]]
        dates = [(OfferState.OVERDUE, offer.c.deadline), (OfferState.EXPIRED, offer.c.expires_at)]
        if policy.deem_after is not None:
            dates[1] = (OfferState.DEEMED_ACCEPTED, offer.c.deadline + policy.deem_after)
        found: list[Crossing] = []
        with self._store.read() as connection:
            for state, date in dates:
                query = sa.select(offer, date.label("date")).where(_WAITING, date > after, date <= until)
                rows = connection.execute(query.order_by(date, offer.c.position).limit(limit)).all()
                views = self._views(connection, rows, until, policy)
                found += [Crossing(view, state, row.date) for view, row in zip(views, rows, strict=True)]
        return sorted(found, key=lambda one: (one.at, one.offer.position))[:limit]

    def keep_signatures(self, giver: bytes, despatch: bytes, signatures: Sequence[SignedOffer]) -> OfferView:
        """Keep the signatures by which `giver` offers units of its own `despatch`; sending them twice changes nothing.

        Raises UnfitOffer, or WrongSigner where a custodian did not sign.
        """
        with self._store.read() as connection:
            row = connection.execute(
                sa.select(offer, content.c.content)
                .outerjoin(content, content.c.position == offer.c.position)
                .where(offer.c.despatch == despatch, offer.c.giver == giver)
            ).first()
        if row is None or row.content is None:
            raise UnfitOffer(f"you have registered no despatch {to_hex(despatch)} here: send the statement first")
        named = {one.chain for one in Despatch.parse(orjson.loads(row.content)).units}
        for one in signatures:
            if one.offer.unit not in named:
                raise UnfitOffer(f"the despatch does not name the unit {to_hex(one.offer.unit)} of the chain")
            if one.offer.deadline * 1000 < row.deadline:
                raise UnfitOffer(f"the chain would take {to_hex(one.offer.unit)} no more before the answer is due")
            if one.offer.deadline % handoffs.DEADLINE_STEP:
                raise UnfitOffer(
                    f"the relay would not take {to_hex(one.offer.unit)}: its deadline is no multiple of "
                    f"{handoffs.DEADLINE_STEP} s"
                )
            self._domain.verify(one.offer.struct_hash, one.signature, one.offer.giver)
        with self._store.write() as connection:
            known = {one.offer.unit: one for one in self._signatures(connection, [despatch]).get(despatch, ())}
            for one in signatures:
                before = known.get(one.offer.unit)
                if before is not None:
                    if before.offer != one.offer:
                        raise UnfitOffer(f"{to_hex(one.offer.unit)} is offered by this despatch to another address")
                    continue
                connection.execute(
                    sa.insert(offer_signature).values(
                        despatch=despatch,
                        unit=one.offer.unit,
                        sequence=one.offer.sequence,
                        giver_address=one.offer.giver,
                        taker_address=one.offer.taker,
                        deadline_seconds=one.offer.deadline,
                        signature=one.signature,
                    )
                )
            latest = sa.select(sa.func.max(offer_signature.c.deadline_seconds) * 1000)
            connection.execute(
                sa.update(offer)
                .where(offer.c.despatch == despatch)
                .values(expires_at=latest.where(offer_signature.c.despatch == despatch).scalar_subquery())
            )
        found = self.find(despatch, 0, Policy())
        assert found is not None
        return found

    def deposits(self, owner: bytes, reader_of: bytes, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Position and id of the statements after a position by which `owner` deposited addresses that `reader_of` may
        see.
        """
        may_see = sa.exists().where(reader.c.member == reader_of, reader.c.stream == statement.c.stream)
        query = (
            sa.select(statement.c.position, statement.c.digest)
            .where(statement.c.issuer == owner, _IS_DEPOSIT, statement.c.position > after, may_see)
            .order_by(statement.c.position)
            .limit(limit)
        )
        with self._store.read() as connection:
            return [(row.position, row.digest) for row in connection.execute(query)]

    def correspondents(self, member: bytes) -> list[bytes]:
        """The members who tell `member` something, or whom it tells something."""
        hears = sa.select(reader.c.stream).where(reader.c.member == member)
        told = sa.select(stream.c.id).where(stream.c.issuer == member)
        query = sa.union(
            sa.select(stream.c.issuer).where(stream.c.id.in_(hears)),
            sa.select(reader.c.member).where(reader.c.stream.in_(told)),
        )
        with self._store.read() as connection:
            return sorted({bytes(row[0]) for row in connection.execute(query)} - {member})

    def check_step(self, step: SignedStep, member: bytes) -> None:
        """Raise UnfitStep unless what `member` hands to the relay follows from statements that are registered here.

        A handoff is the answer of its taker to an offer that names the unit, and no refusal. One whose offer and
        acceptance are one statement hands the unit to its own custodian: that deposit names both addresses. A closing
        names a statement of the closer's own. Whose the signatures are the chain itself looks at.
        """
        if isinstance(step.step, Closing):
            self._said(step.step.statement, member)
        elif isinstance(step.step, HandOff):
            self._check_handoff(step.step, member)

    def _check_handoff(self, handoff: HandOff, member: bytes) -> None:
        offer = handoff.offer
        kind, said = self._said(handoff.acceptance, member)
        if handoff.acceptance == offer.statement:
            named = set() if kind != ADDRESSES or said is None else set(CustodyAddresses.parse(said).addresses)
            if said is not None and not {offer.giver, offer.taker} <= named:
                raise UnfitStep("offer and acceptance are one statement, which does not name both addresses")
            return
        offered_kind, offered = self._said(offer.statement, None, reader_of=member)
        if kind != RECEIPT or offered_kind != DESPATCH:
            raise UnfitStep("the offer of a handoff is a despatch, and its acceptance is a receipt")
        if said is None or offered is None:
            return  # withheld: there is nothing to look at
        receipt, despatch = Receipt.parse(said), Despatch.parse(offered)
        if receipt.despatch != offer.statement:
            raise UnfitStep("the receipt answers another despatch")
        thing = next((one.id.key for one in despatch.units if one.chain == offer.unit), None)
        if thing is None:
            raise UnfitStep(f"the despatch does not name the unit {to_hex(offer.unit)} of the chain")
        gone = {one.unit.key for one in receipt.discrepancies if one.what is Deviation.SHORT and one.quantity is None}
        if receipt.outcome is Outcome.REFUSED or thing not in {one.key for one in receipt.units} - gone:
            raise UnfitStep(f"the receipt does not take over {thing}")

    def _said(self, digest: bytes, issuer: bytes | None, reader_of: bytes | None = None) -> tuple[str, Any]:
        """Kind and content of a statement that `issuer` has registered, or that `reader_of` may see; raises UnfitStep.

        What a member may not see is to it as if it were not there: every member can read ids in the log.
        """
        query = (
            sa.select(statement.c.kind, statement.c.issuer, content.c.content)
            .outerjoin(content, content.c.position == statement.c.position)
            .where(statement.c.digest == digest)
        )
        if reader_of is not None:
            query = query.where(sa.exists().where(reader.c.member == reader_of, reader.c.stream == statement.c.stream))
        with self._store.read() as connection:
            row = connection.execute(query).first()
        if row is None or (issuer is not None and row.issuer != issuer):
            whose = "" if issuer is None else " by you"
            raise UnfitStep(f"no statement {to_hex(digest)}{whose} is registered here: send it first")
        return row.kind, None if row.content is None else orjson.loads(row.content)

    def _views(self, connection: sa.Connection, rows: Iterable[Any], now: int, policy: Policy) -> list[OfferView]:
        rows = list(rows)
        digests = [row.despatch for row in rows]
        signatures = self._signatures(connection, digests)
        answers: dict[bytes, list[Answer]] = {}
        for ids in _chunks(digests):
            query = sa.select(offer_answer).where(offer_answer.c.despatch.in_(ids)).order_by(offer_answer.c.place)
            for row in connection.execute(query):
                one = Answer(row.place, row.receipt, row.outcome, row.answered_at)
                answers.setdefault(row.despatch, []).append(one)
        return [
            OfferView(
                row.position,
                row.despatch,
                row.giver,
                row.taker,
                row.made_at,
                row.deadline,
                row.units,
                row.unanswered,
                row.replaced_by,
                _state(row, now, policy),
                tuple(answers.get(row.despatch, ())),
                tuple(signatures.get(row.despatch, ())),
            )
            for row in rows
        ]

    def _signatures(self, connection: sa.Connection, digests: Sequence[bytes]) -> dict[bytes, list[SignedOffer]]:
        found: dict[bytes, list[SignedOffer]] = {}
        for ids in _chunks(digests):
            query = sa.select(offer_signature).where(offer_signature.c.despatch.in_(ids))
            for row in connection.execute(query.order_by(offer_signature.c.unit)):
                made = handoffs.Offer(
                    row.unit, row.sequence, row.giver_address, row.taker_address, row.despatch, row.deadline_seconds
                )
                found.setdefault(row.despatch, []).append(SignedOffer(made, row.signature))
        return found


_IS_DEPOSIT = statement.c.kind == sa.literal_column("'custody-addresses'")
"""In these very words, so that the database takes the index that is made for it."""
_WAITING = sa.and_(offer.c.unanswered > 0, offer.c.replaced_by.is_(None))


def _state(row: Any, now: int, policy: Policy) -> OfferState:
    if row.unanswered == 0 and row.units:
        return OfferState.REFUSED if row.refused == row.units else OfferState.ANSWERED
    if row.replaced_by is not None or not row.units:
        return OfferState.WITHDRAWN
    if row.deadline >= now:
        return OfferState.OPEN
    if policy.deem_after is not None and row.deadline + policy.deem_after < now:
        return OfferState.DEEMED_ACCEPTED
    if policy.deem_after is None and row.expires_at is not None and row.expires_at < now:
        return OfferState.EXPIRED
    return OfferState.OVERDUE


def _is_in(state: OfferState, now: int, policy: Policy) -> sa.ColumnElement[bool]:
    """The same rule for the database."""
    over = sa.and_(_WAITING, offer.c.deadline < now)
    deemed = sa.false() if policy.deem_after is None else offer.c.deadline < now - policy.deem_after
    expired = sa.false() if policy.deem_after is not None else offer.c.expires_at < now
    done = sa.and_(offer.c.unanswered == 0, offer.c.units > 0)
    return {
        OfferState.OPEN: sa.and_(_WAITING, offer.c.deadline >= now),
        OfferState.ANSWERED: sa.and_(done, offer.c.refused < offer.c.units),
        OfferState.REFUSED: sa.and_(done, offer.c.refused == offer.c.units),
        OfferState.WITHDRAWN: sa.or_(
            offer.c.units == 0, sa.and_(offer.c.replaced_by.is_not(None), offer.c.unanswered > 0)
        ),
        OfferState.DEEMED_ACCEPTED: sa.and_(over, deemed),
        OfferState.EXPIRED: sa.and_(over, expired),
        OfferState.OVERDUE: sa.and_(over, sa.not_(deemed), sa.or_(sa.not_(expired), offer.c.expires_at.is_(None))),
    }[state]


def check_offers(connection: sa.Connection) -> Iterator[tuple[bytes, str]]:
    """What is wrong with the list of offers, by despatch: it has to follow from the statements that are registered.

    Where a content was erased since, its part cannot be told any more and is left alone.
    """
    query = (
        sa.select(statement.c.digest, statement.c.issuer, statement.c.kind, content.c.content)
        .join(content, content.c.position == statement.c.position)
        .where(statement.c.kind.in_((DESPATCH, RECEIPT)))
        .order_by(statement.c.position)
    )
    said: dict[bytes, tuple[bytes, Despatch]] = {}
    answers: dict[bytes, dict[int, tuple[bytes, str]]] = {}
    replaced: dict[bytes, bytes] = {}
    gone: set[bytes] = set()
    for row in connection.execute(query):
        if row.content is None:
            gone.add(row.digest)
        elif row.kind == DESPATCH:
            despatch = Despatch.parse(orjson.loads(row.content))
            said[row.digest] = (row.issuer, despatch)
            answers[row.digest] = {}
            before = said.get(despatch.corrects or b"")
            if before is not None and despatch.corrects is not None and before[0] == row.issuer:
                if despatch.corrects not in replaced and before[1].taker == despatch.taker:
                    places = {one.id.key: place for place, one in enumerate(despatch.units)}
                    for place, answer in answers[despatch.corrects].items():
                        key = before[1].units[place].id.key
                        if key in places:
                            answers[row.digest][places[key]] = answer
                replaced.setdefault(despatch.corrects, row.digest)
        else:
            receipt = Receipt.parse(orjson.loads(row.content))
            offered = said.get(receipt.despatch)
            if offered is not None and offered[1].taker == row.issuer:
                known = answers[receipt.despatch]
                for place, outcome in _outcomes(receipt, offered[1]).items():
                    if place not in known or known[place][0] == receipt.corrects:
                        known[place] = (row.digest, outcome)
    kept: dict[bytes, dict[int, tuple[bytes, str]]] = {}
    for row in connection.execute(sa.select(offer_answer)):
        kept.setdefault(row.despatch, {})[row.place] = (row.receipt, row.outcome)
    rows = {row.despatch: row for row in connection.execute(sa.select(offer))}
    for digest in said.keys() - rows.keys():
        yield digest, "it is not in the list of offers"
    for digest, row in rows.items():
        stored = kept.get(digest, {})
        if digest not in said or gone:
            continue
        if stored != answers[digest]:
            yield digest, "its answers are not those that the receipts give"
        if row.replaced_by != replaced.get(digest):
            yield digest, "another despatch corrects it than the list says"
        refused = sum(outcome == str(Outcome.REFUSED) for _, outcome in stored.values())
        if (row.unanswered, row.refused) != (row.units - len(stored), refused):
            yield digest, "its counters are not those of its answers"


def _chunks(values: Sequence[Any], size: int = 500) -> Iterable[Sequence[Any]]:
    for at in range(0, len(values), size):
        yield values[at : at + size]

"""The desk where printed notes are answered: it looks an offer up, and has its taker's answer signed.

For a member whose key is kept here the service signs the receipt with it. For all others it files a signing request,
which the member's own gateway fetches; until that has signed, nothing is answered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from api.capture import Custodian
from api.door import Door
from api.network import Directory
from api.pages.answers import FilledIn, Remark, remarks_of
from api.pages.notes import Note, Notes
from api.pages.requests import (
    FACT_ANSWER,
    AlreadyAsked,
    AnsweredMeanwhile,
    Requests,
    RequestState,
    SigningRequest,
    UnfitStatement,
)
from api.paper import NothingToPrint
from api.paper.despatch_note import DespatchNote
from api.problems import NotCustodial
from ledger_service import canonical
from ledger_service.custody.kinds import Despatch, Outcome, Receipt
from ledger_service.instants import clock_text
from ledger_service.keys import from_hex
from ledger_service.ledger import CallRefused, Ledger, UnknownStatement
from ledger_service.offering import DESPATCH, RECEIPT, Offers, OfferState, OfferView
from ledger_service.risk_kinds import FactAnswer

ACCEPTABLE = frozenset({OfferState.OPEN})
REFUSABLE = frozenset({OfferState.OPEN, OfferState.OVERDUE, OfferState.DEEMED_ACCEPTED, OfferState.EXPIRED})
"""A refusal may come after the deadline: silence is not held against who speaks at last."""
_SOURCE = "printed notes"


@dataclass(frozen=True, slots=True)
class Standing:
    """An offer as the page finds it. `places` are its units that nobody has answered; `request` the newest one.

    `receipts` are the answers whose content is here, by their ids.
    """

    despatch: Despatch
    view: OfferView
    audience: tuple[bytes, ...]
    request: SigningRequest | None
    places: tuple[int, ...]
    receipts: Mapping[bytes, Receipt]

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What the answers note, and while one waits, what it shall."""
        told = [one for receipt in self.receipts.values() for one in remarks_of(receipt)]
        if self.is_waiting and self.request is not None:
            told += remarks_of(Receipt.parse(self.request.content))
        return tuple(told)

    @property
    def is_waiting(self) -> bool:
        """Whether an answer lies with the taker's gateway."""
        return self.request is not None and self.request.state is RequestState.WAITING and bool(self.places)

    @property
    def may_accept(self) -> bool:
        return self.view.state in ACCEPTABLE and not self.is_waiting

    @property
    def may_refuse(self) -> bool:
        return self.view.state in REFUSABLE and not self.is_waiting


class Desk:
    """Where notes are made and answered. `now` is the clock of the service, ms UTC."""

    def __init__(
        self,
        ledger: Ledger,
        door: Door,
        offers: Offers,
        custodian: Custodian,
        directory: Directory,
        *,
        key: bytes,
        now: Callable[[], int],
        randomness: Callable[[int], bytes],
    ) -> None:
        self._ledger = ledger
        self._door = door
        self._offers = offers
        self._custodian = custodian
        self._directory = directory
        self._now = now
        self.notes = Notes(ledger.store, key, randomness)
        self.requests = Requests(ledger.store)

    def standing(self, note: Note) -> Standing | None:
        """How the offer of `note` stands now; None where its content was erased."""
        return self._standing(note.about)

    def signs_for(self, member: bytes) -> bool:
        """Whether the service keeps the key of `member`."""
        try:
            self._custodian.key_of(member, self._ledger)
        except NotCustodial:
            return False
        return True

    def print_note(self, giver: bytes, despatch_id: bytes, url: str, *, is_demo: bool) -> bytes:
        """The PDF of a fresh note of the giver's own despatch, with a token of its own; raises NothingToPrint."""
        now = self._now()
        found = self._standing(despatch_id)
        if found is None or found.view.giver != giver:
            raise NothingToPrint("you have registered no despatch with this id and its content here")
        if found.view.state is OfferState.WITHDRAWN:
            raise NothingToPrint("this despatch was taken back or corrected: print the note of the newest one")
        token = self.notes.make(despatch_id, found.view.deadline, now)
        return DespatchNote(found.despatch, giver, f"{url}/o/{token}", self._directory, is_demo).pdf()

    async def answer(self, note: Note, filled: FilledIn) -> None:
        """Have what was filled in signed: here, or by the taker's gateway.

        Raises AnsweredMeanwhile where there is nothing to answer any more, AlreadyAsked, or what the door raises.
        """
        found = await run_in_threadpool(self._answerable, note.about, filled)
        if not await run_in_threadpool(self.signs_for, found.view.taker):
            await run_in_threadpool(self._ask, note, found, filled)
            return
        async with self._custodian.lane:
            # Two who answer at once are two receipts, of which the ledger would have to point at the second.
            found = await run_in_threadpool(self._answerable, note.about, filled)
            item = await run_in_threadpool(self._seal, note, found, filled)
            try:
                await self._door.register([item], keep_good=False, vet=lambda results: results)
            except CallRefused as error:
                raise error.refusals[0].error from None

    def fulfil(self, member: bytes, number: int, statement: bytes) -> SigningRequest:
        """Note that the member's gateway signed what was asked for.

        Raises UnknownRequest, or UnfitStatement unless `statement` is a receipt of the member's for that despatch.
        """
        request = self.requests.of_member(member, number)
        try:
            record = self._ledger.record(statement)
        except UnknownStatement:
            raise UnfitStatement("this statement is not registered here: register it first") from None
        envelope, _ = self._ledger.envelope(record)
        if record.header.issuer != member or record.header.kind != request.kind or envelope.content is None:
            raise UnfitStatement(f"this statement is no {request.kind} of yours with its content")
        is_fact_answer = request.kind == FACT_ANSWER
        answered = (
            FactAnswer.parse(envelope.content).request if is_fact_answer else Receipt.parse(envelope.content).despatch
        )
        if answered != request.about:
            raise UnfitStatement(f"this statement answers another {'request' if is_fact_answer else 'despatch'}")
        return self.requests.fulfil(member, number, statement, self._now())

    def _standing(self, despatch_id: bytes) -> Standing | None:
        now = self._now()
        view = self._offers.find(despatch_id, now, self._ledger.custody_policy(now))
        if view is None:
            return None
        record = self._ledger.record(despatch_id)
        envelope, _ = self._ledger.envelope(record)
        if record.header.kind != DESPATCH or envelope.content is None:
            return None
        despatch = Despatch.parse(envelope.content)
        answered = {one.place for one in view.answers}
        readers = {*(from_hex(one, 32) for one in envelope.content["to"]), view.giver}
        return Standing(
            despatch,
            view,
            tuple(sorted(readers - {view.taker})),
            self.requests.newest(despatch_id),
            tuple(place for place in range(len(despatch.units)) if place not in answered),
            self._receipts(view),
        )

    def _receipts(self, view: OfferView) -> dict[bytes, Receipt]:
        found = {}
        for digest in dict.fromkeys(one.receipt for one in view.answers):
            envelope, _ = self._ledger.envelope(self._ledger.record(digest))
            if envelope.content is not None:
                found[digest] = Receipt.parse(envelope.content)
        return found

    def _answerable(self, despatch_id: bytes, filled: FilledIn) -> Standing:
        found = self._standing(despatch_id)
        refuses = filled.outcome is Outcome.REFUSED
        if found is not None and found.is_waiting:
            raise AlreadyAsked("an answer to this despatch waits for the gateway: it signs that one first")
        if found is None or not (found.may_refuse if refuses else found.may_accept):
            raise AnsweredMeanwhile("this offer takes no such answer any more")
        places = {unit.id.key: place for place, unit in enumerate(found.despatch.units)}
        if any(places[one] not in found.places for one in filled.units if one in places):
            raise AnsweredMeanwhile("some of these units were answered meanwhile")
        return found

    def _content(self, note: Note, found: Standing, filled: FilledIn) -> dict[str, Any]:
        return filled.content(note.about, found.despatch, found.audience, clock_text(self._now()))

    def _ask(self, note: Note, found: Standing, filled: FilledIn) -> None:
        content = self._content(note, found, filled)
        self.requests.ask(found.view.taker, note.about, RECEIPT, content, self._now())

    def _seal(self, note: Note, found: Standing, filled: FilledIn) -> bytes:
        content = canonical.parse(canonical.dump(self._content(note, found, filled)))
        return self._custodian.seal_fact(
            self._ledger, found.view.taker, found.audience, _SOURCE, RECEIPT, content, self._now()
        )

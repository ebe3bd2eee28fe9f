"""Gateways within the service, for members who asked it to keep their key: the same code with another key source.

Each has a file of its own below the network's folder, and a custody seed derived from the service's secret. Whoever
holds that secret holds what lies at their addresses: the registry flags their keys as custodial.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.capture import Custodian
from api.client import Answered, Submission
from api.custody_book import Book
from api.gateway import CustodyGateway, Standing, StepAnswer, UnfitOffered
from api.network import Network
from api.outbox import Outbox, State
from api.problems import NotCustodial, NotThere
from ledger_service.batch import StatementConflict
from ledger_service.envelope import Envelope
from ledger_service.errors import LedgerError
from ledger_service.handoffs import CustodySeed, SignedOffer, SignedStep
from ledger_service.keys import Signer, to_hex
from ledger_service.ledger import Call, Ledger, Registration, UnknownStatement, examine
from ledger_service.offering import Offers, OfferState, OfferView
from ledger_service.relaying import Relaying
from ledger_service.statements import Domain

_AT_ONCE = 500


@dataclass(frozen=True)
class Inside:
    """The service as a gateway within it sees it (gateway.Wire), for one `member`."""

    member: bytes
    outbox: Outbox
    signer: Signer
    now: Callable[[], int]
    random: Callable[[int], bytes]
    ledger: Ledger
    offers: Offers
    relaying: Relaying
    on_registered: Callable[[Sequence[Registration]], None]

    @property
    def domain(self) -> Domain:
        return self.ledger.domain

    def submit(self) -> Submission:
        """Register what waits in the outbox, as the door would."""
        answers: list[Answered] = []
        while waiting := self.outbox.waiting(self.domain, _AT_ONCE, 8 << 20):
            now = self.now()
            items = examine([one.data for one in waiting], self.domain, now)
            outcome = self.ledger.register(Call(items, keep_good=True), now)
            refused = {one.item: one.error for one in outcome.refused}
            told = {one.item: one for one in outcome.accepted}
            self.outbox.settle(
                [(one.digest, one.registered_at) for one in outcome.accepted],
                [
                    (
                        waiting[at].digest,
                        State.TAKEN if isinstance(error, StatementConflict) else State.REFUSED,
                        str(error),
                    )
                    for at, error in refused.items()
                ],
                domain=self.domain,
                promise=None if outcome.promise is None else str(outcome.promise),
            )
            self.on_registered([outcome])
            answers += [
                Answered(one.digest, told[at].registered_at, told[at].is_new)
                if at in told
                else Answered(one.digest, None, False, str(refused[at]))
                for at, one in enumerate(waiting)
            ]
        return Submission(tuple(answers), ())

    def release_seconds(self) -> int:
        return self.relaying.interval + self.relaying.spread

    def checked_statement(self, digest: bytes) -> Envelope:
        """A statement that the member may see. It was checked when it came in."""
        try:
            record = self.ledger.record(digest)
        except UnknownStatement:
            raise NotThere from None
        if self.member not in self.ledger.readers(record.header.stream):
            raise NotThere
        if self.ledger.void(record) is not None:
            raise UnfitOffered(f"{to_hex(digest)} counts for nothing: its key did not count when it was anchored")
        return self.ledger.envelope(record)[0]

    def deposits(self, partner: bytes, mark: str) -> Iterator[tuple[Envelope, str]]:
        after = int(mark or -1)
        while found := self.offers.deposits(partner, self.member, after, _AT_ONCE):
            for after, digest in found:
                yield self.checked_statement(digest), str(after)

    def offer_standing(self, despatch: bytes) -> Standing:
        now = self.now()
        view = self.offers.find(despatch, now, self.ledger.custody_policy(now))
        if view is None or self.member not in (view.giver, view.taker):
            raise NotThere
        return _standing(view)

    def signatures_to_us(self, mark: str) -> Iterator[tuple[list[SignedOffer], str]]:
        reached, is_complete = int(mark or -1), True
        while page := self._to_us(reached):
            for view in page:
                is_complete = is_complete and (bool(view.signatures) or view.state is not OfferState.OPEN)
                mark = str(view.position) if is_complete else mark
            yield [signed for view in page for signed in view.signatures], mark
            reached = page[-1].position

    def offers_to_us(self) -> Iterator[bytes]:
        after = -1
        while page := self._to_us(after, OfferState.OPEN):
            yield from (view.despatch for view in page)
            after = page[-1].position

    def _to_us(self, after: int, state: OfferState | None = None) -> list[OfferView]:
        now = self.now()
        policy = self.ledger.custody_policy(now)
        return self.offers.listed(self.member, now, policy, side="taker", state=state, after=after, limit=_AT_ONCE)

    def signing_requests(self) -> Iterator[dict[str, Any]]:
        """None: what people ask for at the page is signed there."""
        return iter(())

    def fulfil_request(self, number: str, _statement: bytes) -> None:
        raise NotThere(f"there is no signing request {number} of a member whose key is kept here")

    def decline_request(self, number: str, _reason: str) -> None:
        raise NotThere(f"there is no signing request {number} of a member whose key is kept here")

    def post_offer(self, despatch: bytes, signatures: Sequence[SignedOffer]) -> None:
        self.offers.keep_signatures(self.member, despatch, signatures)

    def post_steps(self, steps: Sequence[SignedStep]) -> list[StepAnswer]:
        answers = []
        for step in steps:
            try:
                self.offers.check_step(step, self.member)
                (outcome,) = self.relaying.submit([step], self.now())
            except LedgerError as error:
                outcome = error
            if isinstance(outcome, LedgerError):
                answers.append(StepAnswer(step.unit, step.sequence, str(outcome)))
            else:
                refused = outcome.reason if outcome.state == "refused" else None
                answers.append(StepAnswer(step.unit, step.sequence, refused))
        return answers


def _fate(error: LedgerError) -> State:
    return State.TAKEN if isinstance(error, StatementConflict) else State.REFUSED


def _standing(view: OfferView) -> Standing:
    return Standing(
        str(view.state),
        {one.place: one.outcome for one in view.answers},
        view.signatures,
        {one.place: one.receipt for one in view.answers},
    )


class Hosted:
    """The gateways of all members whose key is kept here. One thread at a time works with one of them."""

    def __init__(
        self,
        network: Network,
        custodian: Custodian,
        offers: Offers,
        now: Callable[[], int],
        random: Callable[[int], bytes],
        on_registered: Callable[[Sequence[Registration]], None],
    ) -> None:
        self._network = network
        self._custodian = custodian
        self._offers = offers
        self._now = now
        self._random = random
        self._on_registered = on_registered
        self._open: dict[bytes, CustodyGateway] = {}
        self.lane = threading.Lock()
        """Held while a gateway is worked with."""

    def gateway(self, member: bytes) -> CustodyGateway:
        """The gateway of `member`; raises NotCustodial. Hold the `lane`."""
        ledger, relaying = self._network.ledger, self._network.relaying
        signer = self._custodian.key_of(member, ledger)
        if member not in self._open:
            path: Path = self._network.folder / "custodial" / f"{to_hex(member)}.sqlite"
            outbox = Outbox.open(path)
            seed = CustodySeed(self._network.service.derive(f"custody seed of {to_hex(member)}"))
            wire = Inside(
                member, outbox, signer, self._now, self._random, ledger, self._offers, relaying, self._on_registered
            )
            self._open[member] = CustodyGateway(wire, Book(outbox, relaying.domain), seed, member, relaying.domain)
        return self._open[member]

    def work(self, _now: int) -> bool:
        """Send what waits and complete what was answered at the page, for each member: a task of the rounds."""
        worked = False
        for member in self._custodian.members:
            with self.lane:
                try:
                    gateway = self.gateway(member)
                except NotCustodial:
                    continue  # the registry has ended the key: what it signed stays, and nothing is added
                gateway.notice_offers()
                completed = gateway.complete()
                pushed = gateway.push()
                back = gateway.follow()
                worked = worked or bool(completed or back or pushed.registered or pushed.steps)
        return worked

    def close(self) -> None:
        with self.lane:
            for gateway in self._open.values():
                gateway.wire.outbox.close()
            self._open.clear()

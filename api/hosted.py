"""Gateways within the service, for members who asked it to keep their key: the same code with another key source.

Each has a file of its own below the network's folder, and a custody seed derived from the service's secret. Whoever
holds that secret holds what lies at their addresses: the registry flags their keys as custodial.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.capture import Custodian
from api.client import Answered, Submission
from api.custody_book import Book
from api.despatch_table import read_despatches
from api.gateway import LIFETIME_MS, CustodyGateway, Pushed, Standing, StepAnswer, UnfitOffered, with_times
from api.network import Network
from api.outbox import Outbox, State
from api.problems import NotCustodial, NotThere, TooManyItems
from ledger_service import facts
from ledger_service.batch import StatementConflict
from ledger_service.envelope import Envelope
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.handoffs import CustodySeed, SignedOffer, SignedStep
from ledger_service.keys import Signer, from_hex, to_hex
from ledger_service.ledger import Call, Ledger, Registration, UnknownStatement, examine
from ledger_service.membership import MemberState
from ledger_service.offering import Offers, OfferState, OfferView
from ledger_service.relaying import Relaying
from ledger_service.statements import Domain

KEPT_ADDRESSES = 100
"""How many unused addresses a partner has of each member here: nobody is there to leave more for a full truck."""
MAX_UNITS = 500
"""In one table: each takes some milliseconds, in which no other gateway here is worked with."""
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
                (outcome,) = self.relaying.submit([step], self.now(), self.member)
            except LedgerError as error:
                outcome = error
            if isinstance(outcome, LedgerError):
                answers.append(StepAnswer(step.unit, step.sequence, str(outcome)))
            else:
                refused = outcome.reason if outcome.state == "refused" else None
                answers.append(StepAnswer(step.unit, step.sequence, refused))
        return answers


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
        *,
        steps: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._network = network
        self._custodian = custodian
        self._offers = offers
        self._now = now
        self._random = random
        self._on_registered = on_registered
        self._steps = steps
        self._open: dict[bytes, CustodyGateway] = {}
        self._met: dict[bytes, int] = {}
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
            book = Book(outbox, relaying.domain)
            self._open[member] = CustodyGateway(wire, book, seed, member, relaying.domain, steps=self._steps)
        return self._open[member]

    def offer(
        self,
        member: bytes,
        despatches: Sequence[Mapping[str, Any]],
        to: Sequence[bytes] = (),
        *,
        lifetime: int = LIFETIME_MS,
    ) -> tuple[list[bytes], Pushed]:
        """Offer all of these for `member`, or none: the ids of the offers, and what went out.

        Takers whose key is kept here as well leave addresses first. Raises what CustodyGateway.offer raises, and
        MalformedInput or TooManyItems. Hold the `lane`.
        """
        gateway = self.gateway(member)
        now, units = self._now(), Counter[bytes]()
        for one in despatches:
            facts.check("despatch", {**with_times(one, now, lifetime), "to": []}, now)
            if "chain" in set().union(*one["units"]):
                raise MalformedInput("leave out the units of the chain: they are found here", "/units")
            units[from_hex(one["taker"], 32)] += len(one["units"])
        if units.total() > MAX_UNITS:
            raise TooManyItems(f"{units.total()} units in one call, the limit is {MAX_UNITS}: send them in parts")
        for taker, number in units.items():
            self._welcome(member, taker, number)
        with gateway.wire.outbox.transaction():
            made = [gateway.offer(one, to, open_missing=True, lifetime=lifetime) for one in despatches]
        return made, gateway.push()

    def offer_table(
        self, member: bytes, data: bytes, to: Sequence[bytes] = (), *, lifetime: int = LIFETIME_MS
    ) -> tuple[list[dict[str, Any]], list[bytes], Pushed]:
        """Offer what a table says that an ERP or a spreadsheet exports, all of it or nothing: the despatches in it,
        their ids, and what went out. Raises UnfitRows, and what `offer` raises. Hold the `lane`.
        """
        find = self._network.directory.find
        despatches = read_despatches(data, find, giver=member, now=self._now())
        made, pushed = self.offer(member, despatches, to, lifetime=lifetime)
        return despatches, made, pushed

    def _welcome(self, giver: bytes, taker: bytes, units: int) -> None:
        """Have a taker whose key is kept here leave addresses for so many units with the giver."""
        if taker == giver or taker not in self._custodian.members:
            return
        try:
            gateway = self.gateway(taker)
        except NotCustodial:
            return  # the registry has ended the key: the offer says what is missing
        gateway.notice_offers()
        if gateway.book.count_deposited(giver) < units:
            gateway.deposit(giver, max(units, KEPT_ADDRESSES))
        gateway.push()

    def _meet(self, member: bytes, gateway: CustodyGateway) -> int:
        """Leave addresses with all who tell the member something, or whom it tells something; how many were added."""
        ledger, added = self._network.ledger, 0
        if self._met.get(member) == ledger.size:
            return 0
        size, members = ledger.size, ledger.anchoring.membership.members
        for partner in self._offers.correspondents(member):
            known = members.get(partner)
            if known is None or known.states[-1][1] is not MemberState.ACTIVE:
                continue
            # In one statement for many, and not in one for each that was used.
            if gateway.book.count_deposited(partner) < KEPT_ADDRESSES // 2:
                added += gateway.deposit(partner, KEPT_ADDRESSES)
        self._met[member] = size
        return added

    def work(self, _now: int) -> bool:
        """Send what waits, complete what was answered at the page and leave addresses with partners, for each member:
        a task of the rounds. What is wrong at one member is raised when all had their turn.
        """
        worked, trouble = False, None
        for member in self._custodian.members:
            try:
                with self.lane:
                    worked = self._work_for(member) or worked
            except NotCustodial:
                continue  # the registry has ended the key: what it signed stays, and nothing is added
            except Exception as error:  # noqa: BLE001 - of one member, and no matter of the others
                trouble = trouble or error
        if trouble is not None:
            raise trouble
        return worked

    def _work_for(self, member: bytes) -> bool:
        gateway = self.gateway(member)
        gateway.notice_offers()
        added = self._meet(member, gateway)
        completed = gateway.complete()
        pushed = gateway.push()
        back = gateway.follow()
        return bool(added or completed or back or pushed.registered or pushed.steps)

    def close(self) -> None:
        with self.lane:
            for gateway in self._open.values():
                gateway.wire.outbox.close()
            self._open.clear()

"""A member's gateway: it opens units, offers them, accepts, refuses and closes, and signs each step at home.

    gateway = CustodyGateway(client, Book(client.outbox, domain), seed, member)
    gateway.deposit(duero)
    gateway.offer(despatch, to=[nordrand])
    gateway.push()

What is signed for one thing done is on disk in one transaction: statements, signatures for the chain, addresses used.
`push` sends what is not yet answered, as often as it is called, and the same bytes each time. Doing the same thing
again under the same name (the number of the delivery note, the offer that is answered) gives what was done the first
time. Whatever is cut off anywhere, the next `push` goes on from there.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Protocol

from api import goods_in
from api.custody_book import Book, HeldUnit, MadeOffer, OwnAddress, Scan, StepState, Task, UnitState
from api.outbox import Draft, Outbox, State
from ledger_service import canonical, facts
from ledger_service.custody.kinds import CustodyAddresses, Despatch, Deviation, Discrepancy, Reader, Receipt, read_unit
from ledger_service.custody.offers import OfferRefused
from ledger_service.envelope import Envelope
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.handoffs import (
    SECRET_BYTES,
    Closing,
    CustodyDomain,
    CustodySeed,
    HandOff,
    Offer,
    Opening,
    SignedOffer,
    SignedStep,
    commitment,
    common_deadline,
)
from ledger_service.instants import clock_text
from ledger_service.keys import LocalKey, Signer, from_hex, to_hex
from ledger_service.statements import Domain, audience

ADDRESSES_SOURCE, SOURCE = "custody-addresses", "custody"
KEPT_ADDRESSES = 20
"""How many unused addresses a partner has of us, unless it is told otherwise."""
LIFETIME_MS = 72 * 3_600_000
"""How long a taker has to answer, unless the offer says otherwise."""
MAX_STEPS = 200
"""Steps in one call."""
MAX_ADDRESSES = 1000


class NotHeld(LedgerError):
    """A unit that is not ours to hand on."""

    def __init__(self, thing: str, why: str) -> None:
        super().__init__(f"{thing} {why}")
        self.thing = thing


class NoAddressLeft(LedgerError):
    """The partner has no unused one-time address deposited with us."""

    def __init__(self, partner: bytes, wanted: int) -> None:
        super().__init__(
            f"{to_hex(partner)} has deposited too few one-time addresses with us ({wanted} more are needed): "
            "ask it to run `tallystick custody deposit`, then offer again"
        )
        self.partner = partner


class SaidOtherwise(LedgerError):
    """Something was done under this name already, and with other words."""

    def __init__(self, name: str, statement: bytes) -> None:
        super().__init__(
            f"{name} was said already, and otherwise, by {to_hex(statement)}: correct that one, or use another number"
        )
        self.statement = statement


class SeedMissing(LedgerError):
    """The custody seed that an address was made from is not here."""

    def __init__(self, address: bytes) -> None:
        super().__init__(
            f"the custody seed of {to_hex(address)} is not here: put its file back; if it is lost for good, open the "
            "unit anew so that it continues the old one"
        )
        self.address = address


class UnfitOffered(LedgerError):
    """An offer whose signatures do not hold, or which is not for us: nothing was signed."""


@dataclass(frozen=True, slots=True)
class Offered:
    """An offer that was made to us, checked: who signed it, what it says, and the giver's signatures for the chain."""

    despatch: bytes
    giver: bytes
    audience: tuple[bytes, ...]
    said: Despatch
    signatures: Mapping[bytes, SignedOffer]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the service says of an offer: its state, and outcome and receipt of each place that was answered."""

    state: str
    outcomes: Mapping[int, str]
    signatures: tuple[SignedOffer, ...] = ()
    receipts: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """What the relay says of one step; `reason` is set where it will not take it."""

    unit: bytes
    sequence: int
    reason: str | None = None


@dataclass(slots=True)
class Pushed:
    """What went out: statements registered, offers posted, steps handed to the relay, and what was refused."""

    registered: int = 0
    offers: int = 0
    steps: int = 0
    refused: list[str] = field(default_factory=list)


class Wire(Protocol):
    """The service as a gateway sees it: over HTTP for a member at home, or within it for one whose key it keeps.

    Every call may be repeated. `submit` sends what waits in the outbox and notes the answers there.
    """

    @property
    def outbox(self) -> Outbox: ...

    @property
    def signer(self) -> Signer: ...

    @property
    def now(self) -> Callable[[], int]:
        """The member's clock, ms UTC."""
        ...

    @property
    def random(self) -> Callable[[int], bytes]:
        """What secrets are drawn from."""
        ...

    @property
    def domain(self) -> Domain:
        """The network that statements are signed for."""
        ...

    def submit(self) -> Any: ...

    def release_seconds(self) -> int:
        """The longest that the relay may hold a step back."""
        ...

    def checked_statement(self, digest: bytes) -> Envelope:
        """A statement with its content, held to its id, signature and signer's key; raises where it does not hold."""
        ...

    def deposits(self, partner: bytes, mark: str) -> Iterator[tuple[Envelope, str]]:
        """The statements after `mark` by which `partner` has deposited addresses, checked, each page with its mark."""
        ...

    def offer_standing(self, despatch: bytes) -> Standing: ...

    def signatures_to_us(self, mark: str) -> Iterator[tuple[list[SignedOffer], str]]:
        """The givers' signatures of offers to us after `mark`, page by page, each with the mark up to which it is
        complete.
        """
        ...

    def offers_to_us(self) -> Iterator[bytes]:
        """The despatches that wait for our answer."""
        ...

    def signing_requests(self) -> Iterator[dict[str, Any]]:
        """What people at our sites asked for: id, despatch, kind, and the content of the receipt that they want."""
        ...

    def fulfil_request(self, number: str, statement: bytes, /) -> None: ...

    def decline_request(self, number: str, reason: str, /) -> None: ...

    def post_offer(self, despatch: bytes, signatures: Sequence[SignedOffer]) -> None:
        """Leave the giver's signatures with the service; raises ServiceRefused."""
        ...

    def post_steps(self, steps: Sequence[SignedStep]) -> list[StepAnswer]:
        """Hand steps to the relay; an answer for each, in order."""
        ...


@dataclass(frozen=True, slots=True)
class NewUnit:
    """A unit to open: its identifier in any spelling, and what is in it, as an opening has it."""

    id: str
    contents: tuple[Mapping[str, Any], ...] = ()


class CustodyGateway:
    """The gateway of one member on one network; `steps` is told each durable step, for whoever cuts the power there."""

    def __init__(
        self,
        wire: Wire,
        book: Book,
        seed: CustodySeed | None,
        member: bytes,
        custody: CustodyDomain,
        *,
        steps: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self.wire = wire
        self.book = book
        self.member = member
        self.custody = custody
        self._seed = seed
        self._steps = steps

    # -- addresses -----------------------------------------------------------------------------------------------------

    def deposit(self, partner: bytes, wanted: int = KEPT_ADDRESSES) -> int:
        """Have `partner` hold at least `wanted` unused addresses of ours; how many were added."""
        with self.wire.outbox.transaction():
            missing = min(wanted - self.book.count_deposited(partner), MAX_ADDRESSES)
            if missing <= 0:
                return 0
            fresh = self._fresh(missing, partner)
            content = {"addresses": [to_hex(one) for one in fresh]}
            self.book.bind(fresh, self._sign("custody-addresses", content, [partner], ADDRESSES_SOURCE))
            self._steps("deposit kept")
        self._steps("deposited")
        return missing

    def learn(self, partner: bytes) -> int:
        """Read the addresses that `partner` has deposited with us; how many are unused."""
        for envelope, mark in self.wire.deposits(partner, self.book.mark(partner)):
            addresses = CustodyAddresses.parse(envelope.content).addresses
            with self.wire.outbox.transaction():
                # What a partner gave to several could be used by several.
                if audience(envelope.content or {}) == [self.member]:
                    self.book.learn(partner, addresses)
                self.book.set_mark(partner, mark)
        return self.book.count_partner_addresses(partner)

    def notice_offers(self) -> None:
        """See which of our addresses partners have used, also in offers that were never answered, so that `deposit`
        counts right.
        """
        for page, mark in self.wire.signatures_to_us(self.book.mark(self.member)):
            with self.wire.outbox.transaction():
                for one in page:
                    own = self.book.own_address(one.offer.taker)
                    if own is not None and own.used_by is None:
                        self.book.use_own(one.offer.taker, one.offer.statement)
                self.book.set_mark(self.member, mark)

    # -- giving --------------------------------------------------------------------------------------------------------

    def open(
        self, units: Sequence[NewUnit], to: Sequence[bytes], *, opened_at: int | None = None, anew: bool = False
    ) -> list[HeldUnit]:
        """Open these units on the chain, with a statement for the members `to`; those that are open stay as they are.

        With `anew` those whose custody seed was lost go on under a new unit that continues the old one.
        """
        with self.wire.outbox.transaction():
            fresh = []
            for one in units:
                held = self.book.unit_of(read_unit(one.id, "/unit").key)
                if held is None or (anew and held.state is not UnitState.CLOSED and not self._has_key(held.custodian)):
                    fresh.append((one, held))
            if fresh:
                self._open(fresh, to, opened_at)
                self._steps("opening kept")
        self._steps("opened")
        found = [self.book.unit_of(read_unit(one.id, "/unit").key) for one in units]
        return [one for one in found if one is not None]

    def offer(
        self,
        despatch: Mapping[str, Any],
        to: Sequence[bytes] = (),
        *,
        open_missing: bool = False,
        lifetime: int = LIFETIME_MS,
    ) -> bytes:
        """Offer what `despatch` says, the content of such a statement without `to` and chain units; the offer's id.

        Its taker and the members who carry on the way see it, and the members `to`. Without times of its own it was
        shipped now, and the taker has `lifetime` (ms). With `open_missing` units that were never opened are opened
        first. Raises NotHeld, NoAddressLeft, SaidOtherwise or MalformedInput; then nothing is signed.
        """
        if not isinstance(despatch, Mapping):
            raise MalformedInput("expected an object", "/despatch")
        said = _hash(despatch)
        despatch = with_times(despatch, self.wire.now(), lifetime)
        document = Reader(despatch, "", "document taker deadline units", _DESPATCH_OPTIONS)
        Despatch.parse({**despatch, "to": []}, "")  # whole, before anything is opened for it
        taker = document.hash("taker")
        name = _name("despatch", despatch)
        known = self._done(name, said)
        if known is not None:
            return known
        now = self.wire.now()
        units = [dict(one) for _, one in document.items("units", least=1)]
        seen_by = {taker, *to, *(bytes.fromhex(leg[side][2:]) for leg in despatch.get("legs", ()) for side in _SIDES)}
        readers = sorted(seen_by - {self.member})
        if self.book.count_partner_addresses(taker) < len(units):
            self.learn(taker)
        with self.wire.outbox.transaction():
            things = [read_unit(one.get("id"), f"/units/{place}/id").key for place, one in enumerate(units)]
            held = [self.book.unit_of(thing) for thing in things]
            missing = [
                (NewUnit(str(one["id"]), tuple(one.get("contents", ()))), None)
                for one, unit in zip(units, held, strict=True)
                if unit is None and open_missing
            ]
            if missing:
                self._open(missing, readers, None)
            ours = [self._to_give(thing) for thing in things]
            for one, unit in zip(units, ours, strict=True):
                one["chain"] = to_hex(unit.unit)
            content = {**despatch, "units": units}
            digest = self._sign("despatch", content, readers)
            deadline = document.time("deadline")
            seconds = self._deadline(max(deadline - now, 0) // 1000 + 1)
            signatures: list[SignedOffer] = []
            for unit in ours:
                address = self.book.take_partner_address(taker, digest)
                if address is None:
                    raise NoAddressLeft(taker, len(units) - len(signatures))
                made = Offer(unit.unit, unit.sequence + 1, unit.custodian, address, digest, seconds)
                signatures.append(SignedOffer(made, made.sign(self._key(unit.custodian), self.custody)))
                self.book.put_unit(replace(unit, state=UnitState.OFFERED, offered_in=digest))
            self.book.put_offer(MadeOffer(digest, taker, deadline, "made"), signatures)
            self.book.note_deed(name, digest, said)
            self._steps("offer kept")
        self._steps("offered")
        return digest

    def withdraw(self, despatch: bytes) -> bool:
        """Take an offer back as far as it was not accepted: its units go to addresses of our own, which takes the step
        that was offered.

        What was not answered is taken off the despatch by a correction. False if all of it was accepted.
        """
        made = self.book.offer(despatch)
        if made is None:
            raise UnfitOffered(f"we have made no offer {to_hex(despatch)}")
        self.push()
        standing = self.wire.offer_standing(despatch)
        original = self._own_content(despatch)
        with self.wire.outbox.transaction():
            back, kept, unanswered = [], [], 0
            for place, one in enumerate(original["units"]):
                unit = self.book.unit_of(read_unit(one["id"], f"/units/{place}/id").key)
                outcome = standing.outcomes.get(place)
                if outcome in _ACCEPTED:
                    kept.append(one)
                    continue
                if outcome is None:
                    unanswered += 1
                else:
                    kept.append(one)
                if unit is not None and unit.state is UnitState.OFFERED and unit.offered_in == despatch:
                    back.append(unit)
            if not back:
                return False
            readers = audience(original)
            after = None
            if unanswered:
                content = {name: value for name, value in original.items() if name not in ("to", "replaces")}
                after = self._sign("despatch", {**content, "units": kept, "corrects": to_hex(despatch)}, readers)
            self._keep_to_ourselves(back, readers, after)
            self.book.mark_offer(despatch, "withdrawn")
            self._steps("withdrawal kept")
        self._steps("withdrawn")
        return True

    def close(
        self, things: Sequence[str], to: Sequence[bytes], *, business_step: str = "decommissioning"
    ) -> list[bytes]:
        """End these units, on the chain and by an EPCIS event for the members `to`; the ids of the units closed."""
        with self.wire.outbox.transaction():
            keys = [read_unit(one, "/unit").key for one in things]
            units = []
            for key in keys:
                known = self.book.unit_of(key)
                if known is None or known.state is not UnitState.CLOSED:
                    units.append(self._to_give(key))
            if units:
                event = {
                    "type": "ObjectEvent",
                    "action": "DELETE",
                    "bizStep": business_step,
                    "epcList": [one.thing for one in units],
                    "eventTime": clock_text(self.wire.now()),
                    "eventTimeZoneOffset": "+00:00",
                }
                content = {"event": event, "context": [_EPCIS_CONTEXT]}
                reason = self._sign("epcis-event", content, sorted({*to} - {self.member}))
                for unit in units:
                    step = Closing(unit.unit, unit.sequence + 1, unit.custodian, reason, self._deadline(0))
                    signature = self.custody.sign(step.struct_hash, self._key(unit.custodian), unit.custodian)
                    self.book.add_step(SignedStep(step, signature), reason)
                    self.book.put_unit(replace(unit, sequence=step.sequence, state=UnitState.CLOSED, statement=reason))
                self._steps("closing kept")
        self._steps("closed")
        return [one.unit for one in units]

    # -- taking --------------------------------------------------------------------------------------------------------

    def look_at(self, despatch: bytes) -> Offered:
        """An offer to us, checked against its giver's key, our addresses and the giver's signatures for the chain.

        Raises UnfitOffered, WrongSigner, or what is wrong with the statement.
        """
        envelope = self.wire.checked_statement(despatch)
        if envelope.header.kind != "despatch" or envelope.content is None:
            raise UnfitOffered(f"{to_hex(despatch)} is no despatch whose content we can see")
        said = Despatch.parse(envelope.content)
        giver = envelope.header.issuer
        if said.taker != self.member:
            raise UnfitOffered(f"{to_hex(despatch)} is offered to {to_hex(said.taker)}, not to us")
        standing = self.wire.offer_standing(despatch)
        signatures: dict[bytes, SignedOffer] = {}
        chains = {one.chain for one in said.units if one.chain is not None}
        for one in standing.signatures:
            offer = one.offer
            if offer.unit not in chains or offer.statement != despatch:
                raise UnfitOffered(f"a signature for {to_hex(offer.unit)} does not go with {to_hex(despatch)}")
            own = self.book.own_address(offer.taker)
            if own is None or own.partner != giver:
                raise UnfitOffered(f"{to_hex(offer.taker)} is no address that we have deposited with {to_hex(giver)}")
            if own.used_by not in (None, despatch):
                raise UnfitOffered(f"our address {to_hex(offer.taker)} was used for another offer")
            self.custody.verify(offer.struct_hash, one.signature, offer.giver)
            signatures[offer.unit] = one
        with self.wire.outbox.transaction():
            for one in signatures.values():
                self.book.use_own(one.offer.taker, despatch)
        return Offered(despatch, giver, tuple(audience(envelope.content)), said, signatures)

    def accept(
        self,
        despatch: bytes,
        *,
        basis: str = "scanned",
        units: Sequence[str] | None = None,
        discrepancies: Sequence[Mapping[str, Any]] = (),
        tolerance: Fraction | None = None,
        document: Mapping[str, str] | None = None,
        received_at: int | None = None,
        place: str | None = None,
    ) -> bytes:
        """Take over what was offered by `despatch`, all of it or these `units`; the id of the receipt.

        `discrepancies` are as a receipt has them; a whole unit that is short stays with its giver. `tolerance` says
        that no person looked. Raises UnfitOffered while the giver's signature for a unit on the chain is missing.
        """
        for number, one in enumerate(discrepancies):
            if not isinstance(one, Mapping):
                raise MalformedInput("expected an object", f"/discrepancies/{number}")
        offered = self.look_at(despatch)
        keys = None if units is None else {read_unit(one, "/units").key for one in units}
        named = [one for one in offered.said.units if keys is None or one.id.key in keys]
        extra = [] if keys is None else sorted(keys - {one.id.key for one in offered.said.units})
        content: dict[str, Any] = {
            "despatch": to_hex(despatch),
            "outcome": "accepted-with-discrepancies" if discrepancies else "accepted",
            "basis": basis,
            "units": [one.id.key for one in named] + extra,
        }
        if discrepancies:
            content["discrepancies"] = [dict(one) for one in discrepancies]
        if tolerance is not None:
            content["automatic"] = {"tolerance": goods_in.decimal_text(tolerance)}
        if place is not None:
            content["place"] = place
        return self._answer(offered, content, document, received_at)

    def refuse(
        self,
        despatch: bytes,
        reason: str,
        *,
        document: Mapping[str, str] | None = None,
        received_at: int | None = None,
    ) -> bytes:
        """Refuse what was offered by `despatch`, all of it; the id of the receipt that says so."""
        offered = self.look_at(despatch)
        content = {
            "despatch": to_hex(despatch),
            "outcome": "refused",
            "reason": reason,
            "basis": "listed",
            "units": [one.id.key for one in offered.said.units],
        }
        return self._answer(offered, content, document, received_at)

    def correct(self, statement: bytes, changes: Mapping[str, Any]) -> bytes:
        """Say an earlier statement of ours again with these members changed, as its correction; the new id.

        What the chain took stays as it is, and so does the earlier statement: both are in the record.
        """
        name, said = f"correction of {to_hex(statement)}", _hash(changes)
        known = self._done(name, said)
        if known is not None:
            return known
        kept = self.wire.outbox.find(statement)
        if kept is None:
            raise UnfitOffered(f"{to_hex(statement)} was not signed here")
        envelope = Envelope.parse(kept.data)
        content = {name: value for name, value in (envelope.content or {}).items() if name not in ("to", "replaces")}
        with self.wire.outbox.transaction():
            digest = self._sign(
                envelope.header.kind,
                {**content, **changes, "corrects": to_hex(statement)},
                audience(envelope.content or {}),
            )
            self.book.note_deed(name, digest, said)
            self._steps("correction kept")
        self._steps("corrected")
        return digest

    def state(self, kind: str, content: Mapping[str, Any], to: Sequence[bytes]) -> bytes:
        """Sign for the members `to` a gate arrival or a complaint, which hand nothing over; its id.

        Without a time of its own it is of now. The same again under the number of its document is the same; raises
        SaidOtherwise or MalformedInput.
        """
        name, said = _name(kind, content), _hash(content)
        known = self._done(name, said)
        if known is not None:
            return known
        with self.wire.outbox.transaction():
            timed = {_TIMES[kind]: clock_text(self.wire.now()), **content}
            digest = self._sign(kind, timed, sorted({*to} - {self.member}))
            self.book.note_deed(name, digest, said)
            self._steps("fact kept")
        self._steps("stated")
        return digest

    def explain(self, finding: Mapping[str, Any], text: str, to: Sequence[bytes]) -> bytes:
        """Sign for the members `to` why a finding is as it is; the id of the explanation.

        `finding` is as a trail tells it (`finding`, `evidence`). The finding stays, and is shown as explained.
        """
        about = {"kind": str(finding["finding"]), "evidence": list(finding["evidence"])}
        name, said = f"explanation of {_hash(about).hex()}", _hash({"text": text})
        known = self._done(name, said)
        if known is not None:
            return known
        with self.wire.outbox.transaction():
            digest = self._sign("explanation", {"finding": about, "text": text}, sorted({*to} - {self.member}))
            self.book.note_deed(name, digest, said)
            self._steps("explanation kept")
        self._steps("explained")
        return digest

    # -- sending -------------------------------------------------------------------------------------------------------

    def push(self) -> Pushed:
        """Send what was not answered yet: statements, then the signatures and steps that go with registered ones."""
        done = Pushed()
        submission = self.wire.submit()
        self._steps("submitted")
        done.registered = submission.registered
        done.refused += [f"{to_hex(one.digest)}: {one.reason}" for one in submission.refused]
        self._unwind()
        for offer in self.book.offers("made"):
            if not self._is_registered(offer.despatch):
                continue
            signatures = self.book.signatures(offer.despatch)
            if signatures:
                self.wire.post_offer(offer.despatch, signatures)
            self._steps("offer posted")
            with self.wire.outbox.transaction():
                self.book.mark_offer(offer.despatch, "posted")
            done.offers += 1
        ready = [one for one in self.book.steps(StepState.WAITING) if self._is_registered(one.statement)]
        for at in range(0, len(ready), MAX_STEPS):
            chunk = ready[at : at + MAX_STEPS]
            answers = self.wire.post_steps([one.step for one in chunk])
            self._steps("steps posted")
            with self.wire.outbox.transaction():
                for one, answer in zip(chunk, answers, strict=True):
                    if answer.reason is None:
                        self.book.mark_step(one.position, StepState.SENT)
                        done.steps += 1
                    else:
                        self.book.mark_step(one.position, StepState.REFUSED, answer.reason)
                        self._was_taken(one.step)
                        done.refused.append(f"step {one.step.sequence} of {to_hex(one.step.unit)}: {answer.reason}")
        self._steps("pushed")
        return done

    def follow(self) -> list[bytes]:
        """See what became of our offers; those of which something was refused, whose units we take back at once.

        A refused offer's signature could still be completed by its taker until the deadline: to hand the unit to
        ourselves takes that step away.
        """
        back = []
        for offer in self.book.offers("posted"):
            standing = self.wire.offer_standing(offer.despatch)
            units = self._own_content(offer.despatch)["units"]
            with self.wire.outbox.transaction():
                for place, one in enumerate(units):
                    unit = self.book.unit_of(read_unit(one["id"], "/id").key)
                    if unit is None or unit.state is not UnitState.OFFERED or unit.offered_in != offer.despatch:
                        continue
                    if standing.outcomes.get(place) in _ACCEPTED:
                        self.book.put_unit(replace(unit, state=UnitState.GIVEN))
                if all(standing.outcomes.get(place) in _ACCEPTED for place in range(len(units))):
                    self.book.mark_offer(offer.despatch, "answered")
                    continue
            if len(standing.outcomes) == len(units) and self.withdraw(offer.despatch):
                back.append(offer.despatch)
        return back

    def receive(self, tolerance: Fraction, *, document_type: str = "goods-receipt") -> list[bytes]:
        """Accept by ourselves what was scanned and deviates no more than by `tolerance`; the ids of the receipts.

        The rest is filed for a person (`Book.tasks`) with the reasons; an offer that is bad in itself as well.
        """
        receipts = []
        for despatch in list(self.wire.offers_to_us()):
            try:
                offered = self.look_at(despatch)
                if any(self.book.deed(_answer_name(despatch, one.id.key)) for one in offered.said.units):
                    continue
                scans = self.book.scans([one.id.key for one in offered.said.units])
                decision = goods_in.compare(offered.said, scans, tolerance)
                if decision is None:
                    continue
                if decision.is_automatic:
                    receipts.append(
                        self.accept(
                            despatch,
                            basis=decision.basis,
                            discrepancies=decision.discrepancies,
                            tolerance=tolerance,
                            document={"type": document_type, "number": _receipt_number(despatch, ())},
                            received_at=max(one.scanned_at for one in scans),
                        )
                    )
                    continue
                reasons = decision.reasons
            except UnfitOffered as problem:
                reasons = (str(problem),)
            with self.wire.outbox.transaction():
                self.book.put_task(Task(despatch, reasons, self.wire.now()))
        return receipts

    def complete(self) -> int:
        """Sign for the chain what receipts of ours have accepted that were not made here; how many units.

        At a member whose key the service keeps, people answer at the page of a printed note.
        """
        done = 0
        for despatch in self.book.offers_under_way():
            standing = self.wire.offer_standing(despatch)
            if standing.receipts:
                try:
                    offered = self.look_at(despatch)
                except UnfitOffered as problem:
                    # One giver's bad signature keeps nobody else's units waiting.
                    if all(one.despatch != despatch for one in self.book.tasks()):
                        with self.wire.outbox.transaction():
                            self.book.put_task(Task(despatch, (str(problem),), self.wire.now()))
                    continue
                with self.wire.outbox.transaction():
                    for place, one in enumerate(offered.said.units):
                        signature = offered.signatures.get(one.chain or b"")
                        receipt = standing.receipts.get(place)
                        name = _answer_name(despatch, one.id.key)
                        if receipt is None or self.book.deed(name) is not None:
                            continue
                        outcome = standing.outcomes[place]
                        if outcome in _ACCEPTED and signature is not None:
                            self._take(one.id.key, signature, receipt)
                            done += 1
                        self.book.note_deed(name, receipt, outcome.encode())
                    self._steps("completion kept")
            if standing.state in ("answered", "refused", "withdrawn"):
                with self.wire.outbox.transaction():
                    self.book.finish(despatch)
        return done

    def fulfil_requests(self, *, sign: bool) -> list[bytes]:
        """What people at our sites asked for on the page of a printed note: signed, or with `sign` False filed for a
        person. The ids of the receipts.

        Such a request comes from the service and proves nothing by itself: whoever runs the service could make one up.
        It is held to the offer like any other answer, and one that does not fit is declined with the reason.
        """
        signed = []
        for request in list(self.wire.signing_requests()):
            number, content = str(request["id"]), dict(request["content"])
            if request["kind"] == "fact-answer":
                if sign:
                    signed += self._answer_request(number, request)
                continue
            despatch = from_hex(request["despatch"], 32, "/despatch")
            if not sign:
                outcome = str(content.get("outcome"))
                with self.wire.outbox.transaction():
                    self.book.put_task(Task(despatch, (f"somebody at a site says: {outcome}",), self.wire.now()))
                continue
            try:
                offered = self.look_at(despatch)
                said = {name: value for name, value in content.items() if name not in ("to", "automatic", "corrects")}
                if said.get("despatch") != to_hex(despatch):
                    raise UnfitOffered("it answers another despatch")
                receipt = self._answer(offered, said, None, None)
                self.push()
            except (UnfitOffered, SaidOtherwise, MalformedInput, OfferRefused) as problem:
                self.wire.decline_request(number, str(problem)[:500])
                continue
            refusal = self._was_refused(receipt)
            if refusal is not None:
                self.wire.decline_request(number, refusal[:500])
                continue
            self.wire.fulfil_request(number, receipt)
            self._steps("request fulfilled")
            signed.append(receipt)
        return signed

    def _answer_request(self, number: str, request: Mapping[str, Any]) -> list[bytes]:
        """An answer to a request for facts, signed as somebody has filled it in; what does not fit is declined."""
        # With the network comes numpy and the like, which no handoff needs.
        from api.impact.answering import Filled
        from api.impact.gateway import FactGateway, NotAskedOfUs

        gateway = FactGateway(self.wire, self.member)
        try:
            question = gateway.question(from_hex(request["asked"], 32, "/asked"))
            answer = gateway.answer(question, Filled.parse(request["content"])).answer
            self.push()
        except (NotAskedOfUs, MalformedInput) as problem:
            self.wire.decline_request(number, str(problem)[:500])
            return []
        refusal = self._was_refused(answer)
        if refusal is not None:
            self.wire.decline_request(number, refusal[:500])
            return []
        self.wire.fulfil_request(number, answer)
        self._steps("request fulfilled")
        return [answer]

    def import_scans(self, data: bytes, scanned_at: int | None = None) -> bool:
        """Keep a file of scans (see goods_in.read_scans); False if the same bytes were there. Raises UnfitRows."""
        scans: list[Scan] = goods_in.read_scans(data, self.wire.now() if scanned_at is None else scanned_at)
        with self.wire.outbox.transaction():
            return self.book.import_scans(hashlib.sha256(data).digest(), scans)

    def decide(self, despatch: bytes, tolerance: Fraction) -> goods_in.Decision | None:
        """What the scans say of an offer, for the person who has to look."""
        offered = self.look_at(despatch)
        return goods_in.compare(offered.said, self.book.scans([one.id.key for one in offered.said.units]), tolerance)

    # -- the parts -----------------------------------------------------------------------------------------------------

    def _answer(
        self,
        offered: Offered,
        content: dict[str, Any],
        document: Mapping[str, str] | None,
        received_at: int | None,
    ) -> bytes:
        keys = [read_unit(one, f"/units/{place}").key for place, one in enumerate(content["units"])]
        known = self._answered(offered.despatch, keys, str(content["outcome"]))
        if known is not None:
            return known
        now = self.wire.now()
        number = _receipt_number(offered.despatch, keys if len(keys) < len(offered.said.units) else ())
        content = {
            "document": dict(document or {"type": "goods-receipt", "number": number}),
            "receivedAt": clock_text(now if received_at is None else received_at),
            **content,
        }
        readers = sorted({offered.giver, *offered.audience} - {self.member})
        with self.wire.outbox.transaction():
            digest = self._sign("receipt", content, readers)
            receipt = Receipt.parse({**content, "to": []})
            for key, signature in self._taken(offered, receipt):
                self._take(key, signature, digest)
            for key in keys:
                self.book.note_deed(_answer_name(offered.despatch, key), digest, str(content["outcome"]).encode())
            self.book.drop_task(offered.despatch)
            self._steps("answer kept")
        self._steps("answered")
        return digest

    def _take(self, key: str, signature: SignedOffer, receipt: bytes) -> None:
        """Complete the handoff of a unit, and have it."""
        offer = signature.offer
        step = HandOff.complete(offer, signature.signature, receipt, self._key(offer.taker), self.custody)
        self.book.add_step(SignedStep(step), receipt)
        self.book.put_unit(HeldUnit(offer.unit, key, offer.sequence, offer.taker, UnitState.HELD, receipt, None))

    def _answered(self, despatch: bytes, keys: Sequence[str], outcome: str) -> bytes | None:
        """The receipt by which these units of a despatch were answered so; raises SaidOtherwise."""
        known = [self.book.deed(_answer_name(despatch, key)) for key in keys]
        said = {one for one in known if one is not None}
        if not said:
            return None
        statement, before = next(iter(said))
        if len(said) > 1 or None in known or before.decode() != outcome:
            raise SaidOtherwise(f"the answer to {to_hex(despatch)}", statement)
        return statement

    def _taken(self, offered: Offered, receipt: Receipt) -> Iterator[tuple[str, SignedOffer]]:
        """The units that a receipt takes over on the chain."""
        if receipt.reason is not None:
            return
        gone = {one.unit.key for one in receipt.discrepancies if _is_missing(one)}
        named = {one.key for one in receipt.units} - gone
        for one in offered.said.units:
            if one.chain is None or one.id.key not in named:
                continue
            signature = offered.signatures.get(one.chain)
            if signature is None:
                raise UnfitOffered(
                    f"the giver's signature for {one.id.key} is not here yet: try again when its gateway has sent it"
                )
            yield one.id.key, signature

    def _open(
        self, fresh: Sequence[tuple[NewUnit, HeldUnit | None]], to: Sequence[bytes], opened_at: int | None
    ) -> None:
        now = self.wire.now()
        addresses = self._fresh(len(fresh), None)
        entries, openings = [], []
        for (one, before), address in zip(fresh, addresses, strict=True):
            key, secret = read_unit(one.id, "/unit").key, self.wire.random(SECRET_BYTES)
            step = Opening(address, commitment(key, secret), self._deadline(0))
            entry: dict[str, Any] = {
                "id": one.id,
                "chain": to_hex(step.unit),
                "custodian": to_hex(address),
                "secret": to_hex(secret),
            }
            if one.contents:
                entry["contents"] = [dict(line) for line in one.contents]
            if before is not None:
                entry["continues"] = to_hex(before.unit)
            entries.append(entry)
            openings.append((key, step))
        content = {"openedAt": clock_text(now if opened_at is None else opened_at), "units": entries}
        statement = self._sign("opening", content, sorted({*to} - {self.member}))
        for (key, step), (_, before) in zip(openings, fresh, strict=True):
            signature = self.custody.sign(step.struct_hash, self._key(step.custodian), step.custodian)
            self.book.add_step(SignedStep(step, signature), statement)
            self.book.put_unit(HeldUnit(step.unit, key, 0, step.custodian, UnitState.HELD, statement, None))
            if before is not None:
                self.book.put_unit(replace(before, state=UnitState.CLOSED))

    def _keep_to_ourselves(self, units: Sequence[HeldUnit], readers: Sequence[bytes], after: bytes | None) -> None:
        """Hand units to fresh addresses of ours; the statement that names both sides is offer and acceptance in one.

        The steps wait until the statement `after` is registered, and fall with it: it is refused where the taker has
        accepted meanwhile.
        """
        fresh = self._fresh(len(units), None)
        named = sorted({*fresh, *(one.custodian for one in units)})
        statement = self._sign("custody-addresses", {"addresses": [to_hex(one) for one in named]}, readers)
        self.book.bind(fresh, statement)
        for unit, address in zip(units, fresh, strict=True):
            offer = Offer(unit.unit, unit.sequence + 1, unit.custodian, address, statement, self._deadline(0))
            signature = offer.sign(self._key(unit.custodian), self.custody)
            step = HandOff.complete(offer, signature, statement, self._key(address), self.custody)
            self.book.add_step(SignedStep(step), after or statement)
            self.book.put_unit(
                replace(
                    unit,
                    sequence=offer.sequence,
                    custodian=address,
                    state=UnitState.HELD,
                    statement=statement,
                )
            )

    def _to_give(self, thing: str) -> HeldUnit:
        """The unit of `thing` if it is ours to hand on; raises NotHeld or SeedMissing."""
        held = self.book.unit_of(thing)
        if held is None:
            raise NotHeld(thing, "was never opened and never handed to us: open it first")
        if held.state is UnitState.OFFERED and held.offered_in is not None:
            raise NotHeld(thing, f"is offered by {to_hex(held.offered_in)}: withdraw that one first")
        if held.state is not UnitState.HELD:
            raise NotHeld(thing, "was handed on" if held.state is UnitState.GIVEN else "was closed")
        if not self._has_key(held.custodian):
            raise SeedMissing(held.custodian)
        return held

    def _fresh(self, number: int, partner: bytes | None) -> list[bytes]:
        """So many new addresses of ours, in the book before anybody sees them."""
        seed = self._require_seed()
        name = seed_name(seed)
        made = []
        for counter in self.book.take_counters(name, number):
            address = seed.key(self.custody, counter).address
            self.book.add_address(OwnAddress(address, name, counter, partner, None))
            made.append(address)
        return made

    def _key(self, address: bytes) -> LocalKey:
        own = self.book.own_address(address)
        if own is None or self._seed is None or own.seed != seed_name(self._seed):
            raise SeedMissing(address)
        return self._seed.key(self.custody, own.counter)

    def _has_key(self, address: bytes) -> bool:
        own = self.book.own_address(address)
        return own is not None and self._seed is not None and own.seed == seed_name(self._seed)

    def _require_seed(self) -> CustodySeed:
        if self._seed is None:
            raise LedgerError("there is no custody seed here: make one by `tallystick custody seed`")
        return self._seed

    def _sign(self, kind: str, content: Mapping[str, Any], to: Iterable[bytes], source: str = SOURCE) -> bytes:
        """The id of the statement that says `content`, signed and in the outbox; raises MalformedInput."""
        whole = {**content, "to": [to_hex(one) for one in sorted(to)]}
        now = self.wire.now()
        facts.check(kind, whole, now)
        (envelope,) = self.wire.outbox.sign(
            [Draft(whole, kind)],
            issuer=self.member,
            signer=self.wire.signer,
            domain=self.wire.domain,
            now=now,
            random=self.wire.random,
            source=source,
        )
        return envelope.header.digest(self.wire.domain)

    def _done(self, name: str, said: bytes) -> bytes | None:
        known = self.book.deed(name)
        if known is None:
            return None
        if known[1] != said:
            raise SaidOtherwise(name, known[0])
        return known[0]

    def _own_content(self, statement: bytes) -> dict[str, Any]:
        kept = self.wire.outbox.find(statement)
        assert kept is not None, "what we have signed is in the outbox"
        return Envelope.parse(kept.data).content or {}

    def _was_taken(self, step: SignedStep) -> None:
        """Where a withdrawal came too late, the offer stands again, and `follow` sees what became of it."""
        held = self.book.unit(step.unit)
        if held is None or held.offered_in is None or not isinstance(step.step, HandOff):
            return
        offer = step.step.offer
        if held.custodian == offer.taker and self.book.own_address(offer.giver) is not None:
            before = replace(held, sequence=held.sequence - 1, custodian=offer.giver, state=UnitState.OFFERED)
            self.book.put_unit(before)
            self.book.mark_offer(held.offered_in, "posted")

    def _is_registered(self, statement: bytes) -> bool:
        kept = self.wire.outbox.find(statement)
        # What was not signed here is known from the service alone, where it is registered.
        return kept is None or kept.state is State.REGISTERED

    def _was_refused(self, statement: bytes) -> str | None:
        kept = self.wire.outbox.find(statement)
        if kept is None or kept.state not in (State.REFUSED, State.TAKEN):
            return None
        return kept.reason or "its number is taken"

    def _unwind(self) -> None:
        """Take back what went with statements that the ledger did not take: nobody has seen any of it."""
        with self.wire.outbox.transaction():
            for offer in self.book.offers("made"):
                if self._was_refused(offer.despatch) is None:
                    continue
                self.book.mark_offer(offer.despatch, "refused by the ledger")
                for unit in self.book.units(UnitState.OFFERED):
                    if unit.offered_in == offer.despatch:
                        self.book.put_unit(replace(unit, state=UnitState.HELD, offered_in=None))
            for kept in reversed(self.book.steps(StepState.WAITING)):
                reason = self._was_refused(kept.statement)
                if reason is None:
                    continue
                self.book.mark_step(kept.position, StepState.REFUSED, reason)
                held, step = self.book.unit(kept.step.unit), kept.step.step
                if held is None or held.sequence != kept.step.sequence:
                    continue
                if isinstance(step, Closing):
                    self.book.put_unit(replace(held, sequence=held.sequence - 1, state=UnitState.HELD))
                elif isinstance(step, HandOff) and self.book.own_address(step.offer.giver) is not None:
                    if held.offered_in is not None:
                        self._was_taken(kept.step)
                        continue
                    self.book.put_unit(replace(held, sequence=held.sequence - 1, custodian=step.offer.giver))
                else:
                    self.book.forget_unit(held.unit)

    def _deadline(self, seconds: int) -> int:
        """The chain's deadline of a step that shall still be good in `seconds`, with the relay's wait on top."""
        return common_deadline(self.wire.now() // 1000, seconds + self.wire.release_seconds())


_SIDES = ("giver", "taker")
_TIMES = {"gate-arrival": "arrivedAt", "complaint": "raisedAt"}
_ACCEPTED = frozenset({"accepted", "accepted-with-discrepancies"})
_DESPATCH_OPTIONS = "despatchedAt corrects legs carrier seal shipFrom shipTo arrives"
_EPCIS_CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"


def seed_name(seed: CustodySeed) -> bytes:
    """A name for a seed that tells nothing of it, to see which seed an address came from."""
    return hashlib.sha256(b"tallystick custody seed" + seed.secret).digest()[:16]


def with_times(despatch: Mapping[str, Any], now: int, lifetime: int) -> dict[str, Any]:
    """`despatch` with the times that it does not name: shipped now, to be answered within `lifetime` (ms)."""
    return {"despatchedAt": clock_text(now), "deadline": clock_text(now + lifetime), **despatch}


def _is_missing(one: Discrepancy) -> bool:
    return one.what is Deviation.SHORT and one.quantity is None


def _name(kind: str, content: Mapping[str, Any]) -> str:
    """What a deed is called: by the source document of whoever does it."""
    document = content["document"]
    if not isinstance(document, dict):
        return kind
    return " ".join([kind, *(str(document.get(part, "")) for part in ("type", "number", "line", "version"))]).strip()


def _hash(value: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(canonical.dump(dict(value))).digest()


def _answer_name(despatch: bytes, key: str) -> str:
    return f"answer to {to_hex(despatch)} for {key}"


def _receipt_number(despatch: bytes, keys: Sequence[str]) -> str:
    """The number of a receipt that nobody numbered: one for each offer, or for each part of it that is answered."""
    part = hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:8] if keys else ""
    return f"GR-{despatch.hex()[:20]}{part}"

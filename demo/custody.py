"""Truck 14 as its handlers hand it on: offers, acceptances, the error of 22 September and what they signed about it.

What partners' systems scan is in `september`; here is what their gateways agree on, unit by unit, with both signatures
on the chain. The times are those of the truck in `trucks.csv`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from api.gateway import CustodyGateway
from demo.consortium import Consortium
from demo.september import shaft_key, truck
from ledger_service.custody import Problem
from ledger_service.custody.kinds import read_unit
from ledger_service.errors import LedgerError
from ledger_service.handoffs import HandOff
from ledger_service.instants import clock_text
from ledger_service.keys import LocalKey, to_hex

TRUCK = 14
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
POLICY: dict[str, Any] = {
    "registerWithinMinutes": 1440,
    "clockToleranceMinutes": 5,
    "streamGapAfterMinutes": 1440,
    "answerWithinMinutes": 10_080,
    "quantityTolerance": [],
    "weights": [],
}
"""What the Circle votes on; that Oderland's legs may go unsigned is added with its id."""


class StoryBroken(LedgerError):
    """A member could not do what the story wants of it."""


class Stage(Protocol):
    """What the story is played on."""

    @property
    def ids(self) -> Mapping[str, bytes]:
        """The members' ids."""
        ...

    def gateway(self, company: str) -> CustodyGateway:
        """The gateway of a member."""
        ...

    def custody_key(self, company: str, address: bytes | None) -> LocalKey:
        """The one-time key of an address of a member; a fresh one for None."""
        ...

    def hand_off(self, handoff: HandOff) -> str:
        """What the contract says to a handoff that is sent past the service."""
        ...

    def findings(self, company: str, unit: str) -> list[dict[str, Any]]:
        """What the service tells this member to be wrong with the record of a unit."""
        ...

    def settle(self) -> None:
        """Wait until all that was handed to the relay is on the chain."""
        ...


@dataclass(frozen=True, slots=True)
class Deed:
    """What one member does at a moment (ms UTC)."""

    moment: int
    company: str
    about: str
    act: Callable[[], None]


@dataclass
class TruckStory:
    """The handoffs of the truck's sixteen pallets, one deed after the other."""

    cast: Consortium
    stage: Stage
    offers: dict[str, bytes] = field(default_factory=dict)
    receipts: dict[str, bytes] = field(default_factory=dict)
    refusal: str = ""

    def __post_init__(self) -> None:
        self.row, self.pallets, self.special = truck(TRUCK)

    def deeds(self) -> Iterator[Deed]:
        """All of them, in order of time."""
        leaves, reaches = self.at("leaves_valladolid"), self.at("reaches_duisburg")
        onward, gate = self.at("leaves_duisburg"), self.at("gate_goettingen")
        early = leaves - 4 * 60 * MINUTE_MS
        for taker, giver in (("oderland", "duero"), ("rheinknoten", "oderland"), ("nordrand", "rheinknoten")):
            yield Deed(early, taker, f"addresses for {giver}", partial(self.deposit, taker, giver))
        yield self.offer(leaves - 10 * MINUTE_MS, "duero", "oderland", "DN-260914", valid=4)
        yield self.accept(leaves, "oderland", "DN-260914")
        yield self.offer(reaches - 15 * MINUTE_MS, "oderland", "rheinknoten", "OD-260914", valid=2)
        yield self.accept(reaches, "rheinknoten", "OD-260914")
        yield self.offer(onward, "rheinknoten", "nordrand", "RK-260914", valid=2, by="oderland")
        yield self.accept(gate, "nordrand", "RK-260914", basis="listed")
        yield Deed(_berlin("2026-09-22T13:40"), "rheinknoten", "the second handoff", self.hand_on_again)
        counted = _berlin("2026-09-24T10:15")
        yield Deed(counted, "nordrand", "the count", self.count_again)
        yield Deed(counted + 5 * 60 * MINUTE_MS, "rheinknoten", "the reprint", self.explain_reprint)
        yield Deed(counted + 5 * 60 * MINUTE_MS, "nordrand", "the list", self.explain_list)

    def at(self, column: str) -> int:
        return _berlin(self.row[column].replace(" ", "T"))

    # -- what they do --------------------------------------------------------------------------------------------------

    def deposit(self, owner: str, partner: str) -> None:
        gateway = self.stage.gateway(owner)
        gateway.deposit(self.stage.ids[partner], len(self.pallets))
        self.push(gateway)

    def offer(self, moment: int, giver: str, taker: str, number: str, *, valid: int, by: str | None = None) -> Deed:
        def act() -> None:
            gateway = self.stage.gateway(giver)
            contents = [{"part": shaft_key(), "quantity": "60", "uom": "H87", "batch": "L2609"}]
            despatch: dict[str, Any] = {
                "document": {"type": "delivery-note", "number": number},
                "taker": to_hex(self.stage.ids[taker]),
                "despatchedAt": clock_text(moment),
                "deadline": clock_text(moment + valid * DAY_MS),
                "units": [{"id": f"(00){one.sscc}", "contents": contents} for one in self.pallets],
            }
            if by is not None:
                # Who only carries takes over nothing of its own here; whether it has to sign is for the policy to say.
                leg = {"giver": giver, "taker": by}
                despatch["legs"] = [
                    {side: to_hex(self.stage.ids[name]) for side, name in leg.items()}
                    | {"from": self.place("duisburg"), "to": self.place("goettingen")}
                ]
            self.offers[number] = gateway.offer(despatch, self.readers(giver, taker), open_missing=True)
            self.push(gateway)

        return Deed(moment, giver, f"offers {number}", act)

    def accept(self, moment: int, taker: str, number: str, *, basis: str = "scanned") -> Deed:
        def act() -> None:
            gateway = self.stage.gateway(taker)
            self.receipts[number] = gateway.accept(
                self.offers[number],
                basis=basis,
                document={"type": "goods-receipt", "number": f"GR-{number}"},
                received_at=moment,
            )
            self.push(gateway)

        return Deed(moment, taker, f"accepts {number}", act)

    def hand_on_again(self) -> None:
        """The second terminal, which has not heard of the first, signs the pallet to Vltava under the same number.

        Vltava signs too; the contract has to refuse it, whoever sends it.
        """
        given = next(
            one
            for one in self.stage.gateway("rheinknoten").book.signatures(self.offers["RK-260914"])
            if one.offer.unit == self.unit
        )
        self.stage.gateway("vltava")
        giver, taker = self.stage.custody_key("rheinknoten", given.offer.giver), self.stage.custody_key("vltava", None)
        again = replace(given.offer, taker=taker.address)
        domain = self.stage.gateway("vltava").custody
        signature = again.sign(giver, domain)
        self.refusal = self.stage.hand_off(HandOff.complete(again, signature, bytes(32), taker, domain))

    @property
    def unit(self) -> bytes:
        """The unit on the chain of the pallet that the auditor asks about."""
        held = self.stage.gateway("rheinknoten").book.unit_of(read_unit(f"(00){self.special.sscc}", "").key)
        assert held is not None
        return held.unit

    def count_again(self) -> None:
        """Nordrand had accepted sixteen from the list and counts fifteen."""
        gateway = self.stage.gateway("nordrand")
        missing = {"unit": f"(00){self.special.sscc}", "what": "short"}
        gateway.correct(
            self.receipts["RK-260914"],
            {"outcome": "accepted-with-discrepancies", "basis": "counted", "discrepancies": [missing]},
        )
        self.push(gateway)

    def explain_reprint(self) -> None:
        self.explain(
            "rheinknoten",
            Problem.DOUBLE_POSSESSION,
            "On 21 September at 18:40 we printed the label of this pallet twice. The second one went on a pallet for"
            " Plzeň by mistake; the pallet itself stood there until 25 September.",
        )

    def explain_list(self) -> None:
        self.explain(
            "nordrand",
            Problem.QUANTITY_NOT_CONSERVED,
            "We accepted 16 of 16 from the list without counting. Counted were 15; the sixteenth is …0175.",
        )

    def explain(self, company: str, problem: Problem, text: str) -> None:
        """Sign what a member says about a finding that its own view of the trail shows."""
        gateway = self.stage.gateway(company)
        for finding in self.stage.findings(company, f"(00){self.special.sscc}"):
            if finding["finding"] == problem:
                gateway.explain(finding, text, self.readers(company))
        self.push(gateway)

    # -- the parts -----------------------------------------------------------------------------------------------------

    def push(self, gateway: CustodyGateway) -> None:
        done = gateway.push()
        if done.refused:
            raise StoryBroken(done.refused[0])
        self.stage.settle()

    def readers(self, *known: str) -> list[bytes]:
        """Who else sees a handoff of the truck: those who handle it, and the auditor."""
        parties = ("circle", "duero", "oderland", "rheinknoten", "nordrand", "vltava")
        return [self.stage.ids[one] for one in parties if one not in known]

    def place(self, site: str) -> str:
        _, found = self.cast.site(site)
        return found.un_locode or (f"https://id.gs1.org/414/{found.gln}" if found.gln else found.read_point(None))


def _berlin(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}:00+02:00").timestamp()) * 1000


def policy_content(oderland: bytes, readers: Sequence[bytes]) -> dict[str, Any]:
    """The content of the Circle's custody policy: a haulier's legs may go unsigned."""
    return {
        "to": [to_hex(one) for one in readers],
        **POLICY,
        "unsignedAllowed": [{"taker": to_hex(oderland)}],
    }

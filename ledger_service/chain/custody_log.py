"""Steps of custody as the chain's events and calldata tell them.

Events name a step and its head; the signatures stand in the transaction that brought it. A batch has an event for each
of its handoffs, in their order: `HandedOff` for one that was taken, `HandOffRefused` for one that was not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.exceptions import DecodingError

from ledger_service.chain import abi
from ledger_service.chain.errors import ChainUnavailable, TransactionRefused
from ledger_service.chain.port import RefusedHandOff
from ledger_service.handoffs import Closing, HandOff, Offer, Opening, TakenStep

STEPS = ("Opened", "HandedOff", "HandOffRefused", "Closed")
REFUSALS = ("HandOffRefused",)


@dataclass(frozen=True, slots=True)
class CustodyEvent:
    """An event of CustodyLedger; `values` by the names of the ABI, `position` counts the events of its block."""

    name: str
    values: Mapping[str, Any]
    block: int
    position: int
    transaction_hash: bytes


def refusals(events: Sequence[CustodyEvent]) -> list[RefusedHandOff]:
    """The refused handoffs among `events`, in their order."""
    return [
        RefusedHandOff(
            event.values["unit"],
            event.values["sequence"],
            event.values["item"],
            abi.refusal(event.values["reason"], "without a reason"),
            event.block,
            event.transaction_hash,
        )
        for event in events
        if event.name == "HandOffRefused"
    ]


def steps(
    events: Sequence[CustodyEvent], calldata_of: Callable[[bytes], bytes], time_of: Callable[[int], int]
) -> list[TakenStep]:
    """The steps that `events` tell, in their order; all events of a transaction have to be there.

    `calldata_of` gives what a transaction (by its hash) carried, `time_of` the time of a block. Raises ChainUnavailable
    where events and calldata do not fit each other.
    """
    ordered = sorted(events, key=lambda event: (event.block, event.position))
    found: list[TakenStep] = []
    at = 0
    while at < len(ordered):
        transaction_hash = ordered[at].transaction_hash
        end = at
        while end < len(ordered) and ordered[end].transaction_hash == transaction_hash:
            end += 1
        group = ordered[at:end]
        if any(event.name != "HandOffRefused" for event in group):
            found += _of_transaction(group, calldata_of(transaction_hash), time_of(group[0].block))
        at = end
    return found


def _of_transaction(events: Sequence[CustodyEvent], calldata: bytes, time: int) -> list[TakenStep]:
    selector, body = calldata[:4], calldata[4:]
    wanted = _CALLS.get(selector)
    if wanted is None:
        raise ChainUnavailable("a step of custody was sent by another call than those of CustodyLedger")
    try:
        arguments = abi.codec.decode(wanted.inputs, body)
    except (DecodingError, OverflowError, ValueError) as error:
        raise ChainUnavailable(f"the calldata of {wanted.name} cannot be read: {error}") from error
    handoffs = {"handOff": arguments, "handOffMany": arguments[0]}.get(wanted.name)
    if handoffs is None:
        (event,) = events if len(events) == 1 else (None,)
        if event is None:
            raise ChainUnavailable(f"{wanted.name} has {len(events)} events")
        return [_taken(event, None, arguments[-1], time)]
    if len(handoffs) != len(events):
        raise ChainUnavailable(f"{len(handoffs)} handoffs were sent, and {len(events)} events tell of them")
    return [
        _taken(event, handoff, b"", time)
        for event, handoff in zip(events, handoffs, strict=True)
        if event.name != "HandOffRefused"
    ]


def _taken(event: CustodyEvent, sent: tuple[Any, ...] | None, signature: bytes, time: int) -> TakenStep:
    told = event.values
    step: Opening | HandOff | Closing
    if event.name == "Opened":
        step = Opening(told["custodian"], told["commitment"], told["deadline"])
    elif event.name == "Closed":
        step = Closing(told["unit"], told["sequence"], told["custodian"], told["reasonDigest"], told["deadline"])
    else:
        offer = Offer(told["unit"], told["sequence"], told["from"], told["to"], told["offerDigest"], told["deadline"])
        signatures = (b"", b"") if sent is None else sent[-2:]
        step = HandOff(offer, told["acceptanceDigest"], *signatures)
        if sent is None or step.arguments != sent:
            raise ChainUnavailable("a handoff in the calldata is not the one that its event tells")
    return TakenStep(step, signature, event.block, time, told["head"])


_CALLS = {found.selector: found for found in map(abi.function, ("open", "handOff", "handOffMany", "close"))}


def reason_of(error: TransactionRefused) -> str:
    """A refusal in one line, as it is kept and told: the contract's error with its numbers."""
    return str(error).removeprefix("the chain refuses the transaction: ")

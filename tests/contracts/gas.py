"""What each function costs, in gas. `python -m tests.contracts.gas` writes `contracts/gas-snapshot.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts import artifact
from ledger_service.handoffs import Closing
from tests.contracts.custody import Custody, many_units
from tests.contracts.network import ADMITTED, APPROVED, DAY, Network, key, party
from tests.contracts.trees import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ledger_service.handoffs import HandOff

SNAPSHOT = Path(__file__).resolve().parents[2] / "contracts" / "gas-snapshot.json"

# From one checkpoint to the next: small logs, a batch, and a log of 131,067 entries, whose proof is long.
ANCHORS = [(1, 2), (2, 3), (7, 8), (64, 65), (64, 128), (100, 130), (129, 130), (1_000, 6_000), (131_000, 131_067)]


def measure() -> dict[str, int]:
    """The gas of each function called as usual, base fee and calldata included, by what it does."""
    return dict(_measured(Network()))


def _measured(network: Network) -> Iterator[tuple[str, int]]:
    member = network.members[0]

    def used(function: Any, sender: bytes | None = None) -> int:
        return int(network.do(function, sender)["gasUsed"])

    for name in ("MemberRegistry", "CheckpointRegistry", "CustodyLedger"):
        yield f"{name}: runtime bytes", len(artifact(name).runtime_bytecode)
    deployed = [network.w3.eth.get_block(block, full_transactions=True) for block in (1, 2)]
    yield "deploy MemberRegistry with 5 members", int(deployed[0]["gasUsed"])
    yield "deploy CheckpointRegistry", int(deployed[1]["gasUsed"])
    yield "addKey", used(network.authorised("AddKey", member, key("new").address, 1, False))
    yield "retireKey", used(network.authorised("RetireKey", member, key("new").address, network.block + 50))
    yield "revokeKey", used(network.authorised("RevokeKey", member, member.signing.address, network.time))
    yield "rotateRoot", used(network.authorised("RotateRoot", member, member.next_root.address, b"\1" * 32))
    approval, newcomer = network.proposal(APPROVED, b"\1" * 32), party("newcomer")
    voters = network.members[1:]
    yield "vote: the first", used(network.vote(approval, voters[0]))
    yield "vote: the second", used(network.vote(approval, voters[1]))
    yield "vote: the last, which approves", used(network.vote(approval, voters[2]))
    admission = network.proposal(ADMITTED, newcomer.id, newcomer.root.address, b"\2" * 32, True)
    yield "vote: three at once, which admit", used(network.vote(admission, *voters))

    tree = Tree()
    first = network.checkpoints.functions.anchor(network.ORIGIN, 1, tree.root(1), [])
    yield "anchor: the first", used(first, network.operator)
    for old, new in ANCHORS:
        with network.undone():
            at_old = network.deploy("CheckpointRegistry", network.registry.address)
            network.do(at_old.functions.anchor(network.ORIGIN, old, tree.root(old), []), network.operator)
            path = tree.consistency(old, new)
            function = at_old.functions.anchor(network.ORIGIN, new, tree.root(new), path)
            yield f"anchor: {old} to {new} entries, {len(path)} nodes", used(function, network.operator)
    yield from _of_custody(network)


def _of_custody(network: Network) -> Iterator[tuple[str, int]]:
    custody = Custody(network)

    def used(function: Any) -> int:
        return int(network.do(function, network.relayer)["gasUsed"])

    yield "deploy CustodyLedger", int(network.w3.eth.get_block("latest")["gasUsed"])
    giver, taker = custody.key("first"), custody.key("second")
    opening = custody.opening(giver)
    yield "open", used(custody.functions.open(*opening.sign(giver, custody.domain)))
    yield "handOff", used(custody.one(custody.handoff(opening.unit, 1, giver, taker)))
    closing = Closing(opening.unit, 2, taker.address, bytes(range(32)), network.time + DAY)
    yield "close", used(custody.close(closing, taker))
    yield "certify one unit", used(custody.functions.certify([opening.unit]))
    handoffs = many_units(custody, 100)
    batches = {}
    for size in (1, 50, 100):
        with network.undone():
            batches[size] = used(custody.many(*handoffs[:size]))
            yield f"handOffMany: {size}", batches[size]
    yield "handOffMany: each of 50, its share of the transaction included", -(-batches[50] // 50)
    yield "handOffMany: each beyond the 50th", -(-(batches[100] - batches[50]) // 50)
    with network.undone():
        yield "handOffMany: 50 again, all of them refused", _refused_again(custody, handoffs[:50], used)


def _refused_again(custody: Custody, handoffs: Sequence[HandOff], used: Callable[[Any], int]) -> int:
    used(custody.many(*handoffs))
    return used(custody.many(*handoffs))


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")

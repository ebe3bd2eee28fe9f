"""The registry's running head: recomputed from the events by a second hand, and by the product's own fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_abi.abi import encode
from eth_abi.packed import encode_packed

from ledger_service import membership
from ledger_service.keys import keccak
from tests.contracts.network import (
    ADMITTED,
    APPROVED,
    EXPELLED,
    KEY_ADDED,
    KEY_RETIRED,
    KEY_REVOKED,
    OPERATOR_SET,
    QUORUM_CHANGED,
    REINSTATED,
    RELAYER_ADDED,
    RELAYER_REMOVED,
    ROOT_ROTATED,
    SUSPENDED,
    Network,
    change_data,
    key,
    party,
    root_hash,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

WHAT = bytes(range(32))
RECORD = ["uint64", "uint64", "uint64", "uint8", "bytes"]


def check_heads(network: Network) -> None:
    """Fold the events and hold every head on the way against them, and the last against the contract."""
    head = bytes(32)
    changes = network.changes()
    for count, (*record, recorded) in enumerate(changes, start=1):
        head = keccak(encode_packed(["bytes32", "bytes"], [head, encode(RECORD, record)]))
        assert (record[0], recorded) == (count, head)
    assert network.registry.functions.head().call() == head
    assert network.registry.functions.changeCount().call() == len(changes)

    folded = membership.fold(membership.Change(*change[:5]) for change in changes)
    assert (folded.count, folded.head) == (len(changes), head)


def recorded(network: Network, since: int) -> Sequence[tuple[int, bytes]]:
    return [(kind, data) for _, _, _, kind, data, _ in network.changes()[since:]]


def test_the_founding_is_recorded_change_by_change(network: Network) -> None:
    expected = []
    for p in [*network.members, network.service]:
        expected.append((ADMITTED, change_data(ADMITTED, p.id, p.root.address, root_hash(p.next_root), p.votes)))
        expected.append((KEY_ADDED, change_data(KEY_ADDED, p.id, p.signing.address, 63 if p.votes else 56, False)))
    expected.append((RELAYER_ADDED, change_data(RELAYER_ADDED, network.relayer)))
    expected.append((OPERATOR_SET, change_data(OPERATOR_SET, network.ORIGIN, network.operator)))
    expected.append((QUORUM_CHANGED, change_data(QUORUM_CHANGED, 2, 3)))
    assert recorded(network, 0) == expected
    check_heads(network)


def test_every_kind_of_change_moves_the_head_and_is_recorded_as_it_was_voted(network: Network) -> None:
    member, last, newcomer = network.members[0], network.members[3], party("newcomer")
    founded = len(network.changes())
    expected: list[tuple[int, bytes]] = []

    def voted(kind: int, *values: object) -> None:
        network.decide(kind, *values, voters=network.members[1:], nonce=len(expected))
        expected.append((kind, change_data(kind, *values)))

    def signed(kind: int, name: str, *values: object) -> None:
        network.do(network.authorised(name, member, *values))
        expected.append((kind, change_data(kind, member.id, *values)))

    signed(KEY_ADDED, "AddKey", key("new").address, 5, True)
    signed(KEY_RETIRED, "RetireKey", key("new").address, network.block + 50)
    signed(KEY_REVOKED, "RevokeKey", member.signing.address, network.time)
    signed(ROOT_ROTATED, "RotateRoot", member.next_root.address, WHAT)
    voted(ADMITTED, newcomer.id, newcomer.root.address, bytes(32), False)
    voted(KEY_REVOKED, last.id, last.signing.address, 0)
    voted(ROOT_ROTATED, member.id, key("recovered").address, bytes(32))
    voted(RELAYER_ADDED, WHAT[:20])
    voted(RELAYER_REMOVED, WHAT[:20])
    voted(OPERATOR_SET, WHAT, WHAT[:20])
    voted(APPROVED, WHAT)
    voted(SUSPENDED, member.id)
    voted(REINSTATED, member.id)
    voted(EXPELLED, member.id)
    voted(QUORUM_CHANGED, 3, 4)
    assert recorded(network, founded) == expected
    assert {kind for kind, _ in expected} == set(range(1, 14))
    check_heads(network)


def test_an_anchor_carries_the_head_of_the_changes_before_it(network: Network) -> None:
    for size in (1, 2):
        network.decide(APPROVED, bytes([size]) * 32)
    head = network.registry.functions.head().call()
    receipt = network.do(network.checkpoints.functions.anchor(network.ORIGIN, 1, WHAT, []), network.operator)
    event = network.checkpoints.events.CheckpointAnchored().process_receipt(receipt)[0]["args"]
    assert (event["registryHead"], event["registryChanges"]) == (head, len(network.changes()))

"""Anchoring: a log only ever grows, and the chain can show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger_service.keys import keccak
from tests.contracts.network import APPROVED, OPERATOR_SET, Network, Refusal
from tests.contracts.trees import Tree

if TYPE_CHECKING:
    from web3.contract import Contract

TREE = Tree()


def anchor(network: Network, old: int, new: int, tree: Tree = TREE, origin: bytes = Network.ORIGIN) -> Any:
    path = tree.consistency(old, new) if old else []
    return network.checkpoints.functions.anchor(origin, new, tree.root(new), path)


def latest(contract: Contract, origin: bytes = Network.ORIGIN) -> tuple[Any, ...]:
    return tuple(contract.functions.latest(origin).call())


def test_a_log_without_a_checkpoint_has_none(network: Network) -> None:
    assert latest(network.checkpoints) == (0, bytes(32), 0, 0)


def test_a_log_grows_by_proof_and_each_anchor_names_the_one_before(network: Network) -> None:
    sizes = [1, 2, 3, 7, 8, 64, 65, 130, 1000]
    before, anchored_at = 0, 0
    for size in sizes:
        receipt = network.do(anchor(network, before, size), network.operator)
        assert latest(network.checkpoints) == (size, TREE.root(size), network.block, network.time)
        event = network.checkpoints.events.CheckpointAnchored().process_receipt(receipt)[0]["args"]
        assert dict(event) == {
            "origin": network.ORIGIN,
            "size": size,
            "root": TREE.root(size),
            "previousSize": before,
            "previousAnchoredAt": anchored_at,
            "registryHead": network.registry.functions.head().call(),
            "registryChanges": network.registry.functions.changeCount().call(),
        }
        before, anchored_at = size, network.time


def test_what_does_not_extend_the_anchored_log_is_refused(network: Network) -> None:
    network.do(anchor(network, 0, 7), network.operator)
    other = Tree("another history ")
    assert network.refusal(anchor(network, 7, 9, other), network.operator) == Refusal("NotAnExtension", (7, 9))
    assert network.refusal(anchor(network, 6, 9), network.operator) == Refusal("NotAnExtension", (7, 9))
    no_proof = network.checkpoints.functions.anchor(network.ORIGIN, 9, TREE.root(9), [])
    assert network.refusal(no_proof, network.operator) == Refusal("NotAnExtension", (7, 9))
    for size in (0, 1, 6, 7):
        stale = network.checkpoints.functions.anchor(network.ORIGIN, size, TREE.root(size), [])
        assert network.refusal(stale, network.operator) == Refusal("StaleCheckpoint", (7, size))


def test_the_first_checkpoint_has_entries_and_takes_no_proof(network: Network) -> None:
    empty = network.checkpoints.functions.anchor(network.ORIGIN, 0, TREE.root(0), [])
    assert network.refusal(empty, network.operator) == Refusal("StaleCheckpoint", (0, 0))
    proven = network.checkpoints.functions.anchor(network.ORIGIN, 2, TREE.root(2), [TREE.root(1)])
    assert network.refusal(proven, network.operator) == Refusal("NotAnExtension", (0, 2))


def test_logs_do_not_know_of_each_other(network: Network) -> None:
    other = keccak(b"log.example.org/october")
    network.decide(OPERATOR_SET, other, network.relayer)
    network.do(anchor(network, 0, 5), network.operator)
    network.do(anchor(network, 0, 3, origin=other), network.relayer)
    assert (latest(network.checkpoints)[0], latest(network.checkpoints, other)[0]) == (5, 3)


def test_a_new_deployment_continues_an_adopted_tree(network: Network) -> None:
    network.do(anchor(network, 0, 77), network.operator)
    successor = network.deploy("CheckpointRegistry", network.registry.address)
    adoption = successor.functions.adoptionOf(network.ORIGIN, 77, TREE.root(77)).call()
    # an adoption is for one contract on one chain
    assert adoption != network.checkpoints.functions.adoptionOf(network.ORIGIN, 77, TREE.root(77)).call()
    network.decide(APPROVED, adoption)
    receipt = network.do(successor.functions.adopt(network.ORIGIN, 77, TREE.root(77)))
    assert successor.events.CheckpointAnchored().process_receipt(receipt)[0]["args"]["previousSize"] == 0
    assert latest(successor) == (77, TREE.root(77), network.block, network.time)
    network.do(
        successor.functions.anchor(network.ORIGIN, 78, TREE.root(78), TREE.consistency(77, 78)), network.operator
    )
    assert latest(successor)[0] == 78


def test_a_log_that_began_here_adopts_nothing_and_nobody_adopts_the_empty_tree(network: Network) -> None:
    for size in (0, 7):
        network.decide(APPROVED, network.checkpoints.functions.adoptionOf(network.ORIGIN, size, TREE.root(size)).call())
    empty = network.checkpoints.functions.adopt(network.ORIGIN, 0, TREE.root(0))
    assert network.refusal(empty) == Refusal("EmptyTree", (network.ORIGIN,))
    network.do(anchor(network, 0, 3), network.operator)
    late = network.checkpoints.functions.adopt(network.ORIGIN, 7, TREE.root(7))
    assert network.refusal(late) == Refusal("AlreadyStarted", (network.ORIGIN, 3))


def test_an_operator_that_was_replaced_anchors_no_more(network: Network) -> None:
    network.do(anchor(network, 0, 3), network.operator)
    network.decide(OPERATOR_SET, network.ORIGIN, network.relayer)
    refusal = network.refusal(anchor(network, 3, 4), network.operator)
    assert refusal == Refusal("NotOperator", (network.ORIGIN, network.relayer, network.operator))
    network.do(anchor(network, 3, 4), network.relayer)

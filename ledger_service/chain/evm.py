"""What both engines share: the port over one JSON-RPC node, whether it runs in this process or across a network."""

import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import eth  # noqa: F401 - so that what it does to Python has been done when we undo it below
from web3 import Web3
from web3.providers import BaseProvider

from contracts import artifact
from ledger_service.chain import abi, custody_log
from ledger_service.chain.errors import (
    ChainError,
    ChainUnavailable,
    NonceTaken,
    TransactionRefused,
    TransactionUnderpriced,
    WrongChain,
)
from ledger_service.chain.port import (
    AnchoredCheckpoint,
    AnchorEvidence,
    Block,
    ChainIdentity,
    Contracts,
    Founding,
    RecordedChange,
    RefusedHandOff,
    SignedTransaction,
)
from ledger_service.chain.proofs import read_block, receipt_proof, validators_of
from ledger_service.chain.transaction import Fees, Transaction, created_address, read_transaction
from ledger_service.chain.wire import Node, NodeRefusal, hexed, octets, quantity, record, rows, shown
from ledger_service.handoffs import TakenStep
from ledger_service.keys import Signer, keccak
from ledger_service.membership import Change, next_head

# py-evm lifts the limit to 100,000 for contracts that call one another a thousand deep. Deeply nested JSON from outside
# then no longer ends in RecursionError but in a stack overflow, which kills the process. Our contracts call three deep.
sys.setrecursionlimit(1000)

# An anchor writes at most four slots and hashes about twice per element of its path; measured, it takes 49,000 gas for
# 130 leaves and 76,000 for 131,067. What is not used is not paid for.
ANCHOR_GAS = 250_000
ANCHOR_GAS_PER_NODE = 5_000

_ALREADY_KNOWN = ("already known", "known transaction", "already imported", "already in the pool", "already exists")
_NONCE_TOO_LOW = ("nonce too low", "nonce is too low", "invalid nonce")
_UNDERPRICED = (
    "underpriced",
    "gas price below",
    "gas price too low",
    "less than block base fee",
    "max fee per gas less than",
    "fee too low",
    "tip cap",
)
_HOPELESS = (
    "insufficient funds",
    "upfront cost exceeds",
    "intrinsic gas",
    "exceeds block gas limit",
    "gas limit too high",
    "invalid chain id",
    "wrong chain",
    "invalid sender",
    "invalid signature",
    "not authorized",
    "oversized",
    "exceeds the configured cap",
    "only replay-protected",
    "max initcode size",
    "type not supported",
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the engine waits for a relayed transaction and how much it asks for at once. Times are in seconds.

    Logs are asked for in spans of `log_span` blocks, as many nodes refuse longer ones.
    """

    relay_timeout: float = 60.0
    poll_interval: float = 0.25
    log_span: int = 10_000


class EvmChain:
    """The Chain port over a JSON-RPC node behind a web3 provider.

    Every answer is checked before it counts: headers against their hashes, receipts against their root, changes
    against their running head. May be used from several threads.

    What happened counts as final when `confirmations` further blocks stand on its own: none on a chain with immediate
    finality (QBFT, embedded).
    """

    def __init__(
        self,
        provider: BaseProvider,
        contracts: Contracts | None = None,
        *,
        expected: ChainIdentity | None = None,
        confirmations: int = 0,
        patience: Patience | None = None,
        attestor: bytes | None = None,
    ) -> None:
        self.web3 = Web3(provider)
        self.confirmations = confirmations
        self.patience = patience or Patience()
        self._node = Node(provider)
        self._contracts = contracts
        self._expected = expected
        self._attestor = attestor
        self._identity: ChainIdentity | None = None
        self._chain_id: int | None = None
        self._fees: Fees | None = None
        self._lock = threading.RLock()
        self._sending = threading.Lock()
        self._times: OrderedDict[int, Block] = OrderedDict()

    @property
    def contracts(self) -> Contracts:
        """Where the contracts stand. Raises ChainError before a network was founded here."""
        if self._contracts is None:
            raise ChainError("no network is founded on this chain yet: its contracts are not deployed")
        return self._contracts

    # -- what this chain is ------------------------------------------------------------------------------------------

    def identity(self) -> ChainIdentity:
        """What pins this chain and its three contracts; asked once, and again after every lost connection."""
        with self._lock:
            if self._identity is None:
                self._identity = self._read_identity()
            return self._identity

    def check_identity(self) -> None:
        """Raise WrongChain unless the node still serves the chain it served at first, or the one that was expected."""
        self._identity = self._read_identity()

    def _read_identity(self) -> ChainIdentity:
        known = self._expected or self._identity
        chain_id = quantity(self._node.read("eth_chainId"), "the chain id")
        if known is not None and chain_id != known.chain_id:
            raise WrongChain("chain id", expected=known.chain_id, found=chain_id)
        genesis, _ = self._block_at(0)
        if known is not None and genesis.hash != known.genesis_hash:
            raise WrongChain("genesis hash", expected=known.genesis_hash, found=genesis.hash)
        contracts = self.contracts
        codes = [
            self._contract_code(abi.MEMBER_REGISTRY, contracts.registry),
            self._contract_code(abi.CHECKPOINT_REGISTRY, contracts.checkpoints),
            self._contract_code(abi.CUSTODY_LEDGER, contracts.custody),
        ]
        found = ChainIdentity(
            chain_id=chain_id,
            genesis_hash=genesis.hash,
            registry=contracts.registry,
            checkpoints=contracts.checkpoints,
            custody=contracts.custody,
            registry_code_hash=keccak(codes[0]),
            checkpoints_code_hash=keccak(codes[1]),
            custody_code_hash=keccak(codes[2]),
            attestor=self._attestor,
            validators=validators_of(self.head()),
        )
        if known is not None:
            require_same(known, found)
        return found

    def _contract_code(self, name: str, address: bytes) -> bytes:
        code = self._code(address)
        if not artifact(name).is_code(code):
            found = f"{len(code)} bytes of other code" if code else "nothing"
            raise WrongChain(f"contract at 0x{address.hex()}", expected=name, found=found)
        return code

    def _code(self, address: bytes) -> bytes:
        return octets(self._node.read("eth_getCode", hexed(address), "latest"), "code")

    # -- blocks ------------------------------------------------------------------------------------------------------

    def head(self) -> Block:
        """The newest block."""
        block, _ = self._block_at("latest")
        return block

    def final(self) -> Block:
        """The newest block with `confirmations` others on top; block 0 while there are not so many."""
        head = self.head()
        return head if not self.confirmations else self._known_block(max(head.number - self.confirmations, 0))

    def headers(self, first: int, last: int) -> list[bytes]:
        """The RLP headers of blocks `first` to `last`, both included; blocks beyond the head are left out."""
        last = min(last, self.head().number)
        return [self._block_at(number)[0].header for number in range(first, last + 1)]

    def _block_at(self, number: int | str) -> tuple[Block, Mapping[str, Any]]:
        reply = self._node.read("eth_getBlockByNumber", hex(number) if isinstance(number, int) else number, False)
        if reply is None:
            raise ChainUnavailable(f"the node has no block {number}")
        block, fields = read_block(reply)
        if isinstance(number, int) and block.number != number:
            raise ChainUnavailable(f"asked for block {number}, got block {block.number}")
        return block, fields

    def _known_block(self, number: int) -> Block:
        """A final block, remembered, so that many logs of one block ask once."""
        with self._lock:
            if number in self._times:
                self._times.move_to_end(number)
                return self._times[number]
        block, _ = self._block_at(number)
        with self._lock:
            self._times[number] = block
            while len(self._times) > 1000:
                self._times.popitem(last=False)
        return block

    # -- reading the contracts ---------------------------------------------------------------------------------------

    def call(self, function: str, arguments: Sequence[Any] = ()) -> Any:
        """What a view of one of the contracts answers at the head: a value, or a tuple of them."""
        wanted = abi.function(function)
        request = {"to": hexed(self._address(wanted.contract)), "data": hexed(wanted.encode(arguments))}
        try:
            answer = self._node.ask("eth_call", request, "latest")
        except NodeRefusal as refused:
            if _is_revert(refused):
                raise abi.refusal(refused.data, refused.message) from refused
            raise ChainUnavailable(f"eth_call: {shown(refused)}") from refused
        return wanted.decode(octets(answer, "the answer of a call"))

    def latest(self, origin: bytes) -> AnchoredCheckpoint | None:
        """The last anchored checkpoint of `origin` (32 bytes), None before the first."""
        size, root, block_number, anchored_at = self.call("latest", [origin])
        return AnchoredCheckpoint(size, root, block_number, anchored_at) if size else None

    def changes(self, after_index: int, limit: int = 1000, *, from_block: int = 0) -> list[RecordedChange]:
        """Membership changes after `after_index` (0 for all), oldest first, without a gap, at most `limit`."""
        count = self.call("changeCount")
        wanted = min(limit, count - after_index)
        final = self._final_number()
        found: list[RecordedChange] = []
        first = from_block
        while len(found) < wanted and first <= final:
            last = min(first + self.patience.log_span - 1, final)
            for recorded in self._changes_between(first, last):
                following = after_index + len(found) + 1
                if len(found) == wanted or recorded.change.index < following:
                    continue
                if recorded.change.index > following:
                    raise ChainUnavailable(f"the node left out membership change {following}")
                found.append(recorded)
            first = last + 1
        _check_heads(found)
        return found

    def _changes_between(self, first: int, last: int) -> list[RecordedChange]:
        query = {
            "address": hexed(self.contracts.registry),
            "topics": [hexed(abi.topic("MembershipChanged"))],
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }
        logs = [record(log, "a log") for log in rows(self._node.read("eth_getLogs", query), "logs")]
        changes = [self._change(log, first, last) for log in logs]
        return sorted(changes, key=lambda recorded: recorded.change.index)

    def _change(self, log: Mapping[str, Any], first: int, last: int) -> RecordedChange:
        topics = [octets(topic, "a topic", 32) for topic in rows(log.get("topics"), "a log's topics")]
        number = quantity(log.get("blockNumber"), "a log's block")
        is_asked_for = (
            len(topics) == 3
            and topics[0] == abi.topic("MembershipChanged")
            and octets(log.get("address"), "a log's address", 20) == self.contracts.registry
            and first <= number <= last
        )
        if not is_asked_for:
            raise ChainUnavailable("the node answered with a log that was not asked for")
        try:
            data, head = abi.codec.decode(("bytes", "bytes32"), octets(log.get("data"), "a log's data"))
        except Exception as error:
            raise ChainUnavailable(f"a membership change cannot be read: {shown(error)}") from error
        time_ = self._known_block(number).timestamp
        index, kind = int.from_bytes(topics[1]), int.from_bytes(topics[2])
        return RecordedChange(Change(index, number, time_, kind, data), head)

    # -- custody -----------------------------------------------------------------------------------------------------

    def custody_steps(self, first_block: int, last_block: int) -> list[TakenStep]:
        """The steps of custody in final blocks `first_block` to `last_block`; see the port."""
        events = self._custody_events(custody_log.STEPS, first_block, last_block)
        return custody_log.steps(events, self._calldata, lambda number: self._known_block(number).timestamp)

    def custody_refusals(self, first_block: int, last_block: int) -> list[RefusedHandOff]:
        """The handoffs in batches of these final blocks that changed nothing."""
        return custody_log.refusals(self._custody_events(custody_log.REFUSALS, first_block, last_block))

    def _custody_events(self, names: Sequence[str], first: int, last: int) -> list[custody_log.CustodyEvent]:
        """Events of CustodyLedger with one of these names, in the order of the chain."""
        last = min(last, self._final_number())
        by_topic = {abi.topic(name): name for name in names}
        found: list[custody_log.CustodyEvent] = []
        while first <= last:
            until = min(first + self.patience.log_span - 1, last)
            query = {
                "address": hexed(self.contracts.custody),
                "topics": [[hexed(topic) for topic in by_topic]],
                "fromBlock": hex(first),
                "toBlock": hex(until),
            }
            for reply in rows(self._node.read("eth_getLogs", query), "logs"):
                log = record(reply, "a log")
                topics = [octets(topic, "a topic", 32) for topic in rows(log.get("topics"), "a log's topics")]
                block = quantity(log.get("blockNumber"), "a log's block")
                is_asked_for = (
                    len(topics) == 2  # the event and the unit
                    and topics[0] in by_topic
                    and octets(log.get("address"), "a log's address", 20) == self.contracts.custody
                    and first <= block <= until
                )
                if not is_asked_for:
                    raise ChainUnavailable("the node answered with a log that was not asked for")
                name = by_topic[topics[0]]
                found.append(
                    custody_log.CustodyEvent(
                        name,
                        abi.read_event(name, topics, octets(log.get("data"), "a log's data")),
                        block,
                        quantity(log.get("logIndex"), "a log's index"),
                        octets(log.get("transactionHash"), "a log's transaction", 32),
                    )
                )
            first = until + 1
        return sorted(found, key=lambda event: (event.block, event.position))

    def _calldata(self, transaction_hash: bytes) -> bytes:
        """What a mined transaction carried."""
        fields = record(self._node.read("eth_getTransactionByHash", hexed(transaction_hash)), "a transaction")
        if octets(fields.get("hash"), "a transaction's hash", 32) != transaction_hash:
            raise ChainUnavailable("the node answered with another transaction than the one that was asked for")
        if octets(fields.get("to") or "0x", "a transaction's contract") != self.contracts.custody:
            raise ChainUnavailable("a step of custody was sent through another contract; its signatures are not there")
        return octets(fields.get("input"), "a transaction's data")

    def _final_number(self) -> int:
        return self.head().number - self.confirmations

    # -- transactions ------------------------------------------------------------------------------------------------

    def next_nonce(self, sender: bytes) -> int:
        """The nonce that follows every transaction of `sender` the chain knows of, mined or waiting."""
        return self._nonce(sender, "pending")

    def _nonce(self, sender: bytes, at: str) -> int:
        return quantity(self._node.read("eth_getTransactionCount", hexed(sender), at), "a nonce")

    def sign_anchor(
        self, origin: bytes, size: int, root: bytes, path: Sequence[bytes], nonce: int, key: Signer
    ) -> SignedTransaction:
        """The transaction that anchors a checkpoint, signed but not sent; once connected, the chain is not asked."""
        gas = ANCHOR_GAS + ANCHOR_GAS_PER_NODE * len(path)
        return self.sign_call("anchor", [origin, size, root, list(path)], nonce, gas, key)

    def sign_call(
        self, function: str, arguments: Sequence[Any], nonce: int, gas: int, key: Signer
    ) -> SignedTransaction:
        """The transaction that calls a contract function with at most `gas`, signed but not sent."""
        wanted = abi.function(function)
        to = self._address(wanted.contract)
        return self._sign(to, wanted.encode(arguments), nonce, gas, key)

    def sign_again(self, raw: bytes, key: Signer) -> SignedTransaction:
        """The same call under the same nonce, with the fee that the chain takes now."""
        asked, _ = read_transaction(raw)
        return self._sign(asked.to, asked.data, asked.nonce, asked.gas, key)

    def _sign(self, to: bytes, data: bytes, nonce: int, gas: int, key: Signer) -> SignedTransaction:
        with self._lock:
            if self._chain_id is None:
                self._chain_id = quantity(self._node.read("eth_chainId"), "the chain id")
            if self._fees is None:
                self._fees = self._read_fees()
            transaction = Transaction(self._chain_id, nonce, self._fees, gas, to, data)
        return transaction.sign(key)

    def _read_fees(self) -> Fees:
        """An offer that still stands when the base fee has tripled: nothing above what a block asks is paid."""
        _, fields = self._block_at("latest")
        if fields.get("baseFeePerGas") is None:
            raise ChainError("the chain has no base fee: a node that runs London or later is needed")
        base = quantity(fields["baseFeePerGas"], "the base fee")
        price = quantity(self._node.read("eth_gasPrice"), "the gas price")
        priority = max(price - base, 0)
        return Fees(3 * base + priority, priority)

    def send(self, raw: bytes) -> None:
        """Hand a signed transaction to the chain; sending it twice is sending it once. See the port."""
        transaction, signed = read_transaction(raw)
        self._before_sending()
        if self._is_mined(signed):
            return
        following = self._nonce(signed.sender, "latest")
        if following > signed.nonce:
            if self._is_mined(signed):  # in between
                return
            raise NonceTaken(signed.nonce, following)
        if following == signed.nonce:  # with others waiting before it, the head says nothing about its fate
            self._rehearse(transaction, signed)
        self._submit(transaction, signed)

    def send_many(self, raws: Sequence[bytes]) -> list[ChainError | None]:
        """Hand over many transactions, one after the other; None where one was taken."""
        outcomes: list[ChainError | None] = []
        for raw in raws:
            if isinstance(outcomes and outcomes[-1], ChainUnavailable):
                outcomes.append(outcomes[-1])  # no use to wait for a silent node once more for each
                continue
            try:
                self.send(raw)
            except (TransactionRefused, ChainUnavailable) as error:
                outcomes.append(error)
            else:
                outcomes.append(None)
        return outcomes

    def _before_sending(self) -> None:
        """What an engine wants to be sure of before it writes."""

    def _rehearse(self, transaction: Transaction, signed: SignedTransaction) -> None:
        """Raise TransactionRefused, with the contract's own error, if the transaction would revert at the head."""
        try:
            self._node.ask("eth_call", _request(transaction, signed.sender), "latest")
        except NodeRefusal as refused:
            if not _is_revert(refused):
                return  # funds, gas and the like: sending it tells
            if self._is_mined(signed):  # in between, and it is no longer news to the contract
                return
            raise abi.refusal(refused.data, refused.message) from refused

    def _submit(self, transaction: Transaction, signed: SignedTransaction) -> None:
        try:
            answer = self._node.ask("eth_sendRawTransaction", hexed(signed.raw))
        except NodeRefusal as refused:
            self._judge(refused, transaction, signed)
            return
        except ChainUnavailable:
            if self._is_known(signed):  # it happened and the answer was lost
                return
            raise
        if octets(answer, "a transaction hash", 32) != signed.hash:
            raise ChainUnavailable("the node acknowledged another transaction than the one it was sent")

    def _judge(self, refused: NodeRefusal, transaction: Transaction, signed: SignedTransaction) -> None:
        """Return if the refusal means that the chain has the transaction, else raise what it does mean."""
        words = refused.message.lower()
        if any(phrase in words for phrase in _ALREADY_KNOWN):
            return
        if self._is_mined(signed):
            return
        if _is_revert(refused):
            raise abi.refusal(refused.data, refused.message) from refused
        if any(phrase in words for phrase in _NONCE_TOO_LOW):
            following = self._nonce(signed.sender, "latest")
            if following > signed.nonce:
                raise NonceTaken(signed.nonce, following) from refused
        if any(phrase in words for phrase in _UNDERPRICED):
            self._offer_more(transaction.fees)
            raise TransactionUnderpriced(refused.message) from refused
        if any(phrase in words for phrase in _HOPELESS):
            raise TransactionRefused("Rejected", detail=refused.message) from refused
        raise ChainUnavailable(f"eth_sendRawTransaction: {shown(refused)}") from refused

    def _offer_more(self, refused: Fees) -> None:
        """From now on offer what the chain asks, and at least a quarter more than what it refused."""
        read = self._read_fees()
        # Nodes want a tenth more on both before they replace a waiting transaction.
        fees = Fees(max(read.most, refused.most * 5 // 4 + 1), max(read.priority, refused.priority * 5 // 4 + 1))
        with self._lock:
            self._fees = Fees(max(fees.most, fees.priority), fees.priority)

    def _is_mined(self, signed: SignedTransaction) -> bool:
        """Whether the transaction is in a block. Raises TransactionRefused if it is, and failed there."""
        receipt = self._receipt(signed.hash)
        if receipt is None:
            return False
        if quantity(receipt.get("status"), "a receipt's status") == 0:
            raise self._failure(signed.hash, receipt)
        return True

    def _is_known(self, signed: SignedTransaction) -> bool:
        """Whether the node holds the transaction, mined or waiting; False also where it cannot say."""
        try:
            return self._node.read("eth_getTransactionByHash", hexed(signed.hash)) is not None
        except ChainUnavailable:
            return False

    def _receipt(self, transaction_hash: bytes) -> Mapping[str, Any] | None:
        reply = self._node.read("eth_getTransactionReceipt", hexed(transaction_hash))
        if reply is None:
            return None
        receipt = record(reply, "a receipt")
        if octets(receipt.get("transactionHash"), "a receipt's transaction", 32) != transaction_hash:
            raise ChainUnavailable("the node answered with the receipt of another transaction")
        return receipt

    def _failure(self, transaction_hash: bytes, receipt: Mapping[str, Any]) -> TransactionRefused:
        """Why a mined transaction failed, as far as running it again on the block before tells."""
        number = quantity(receipt.get("blockNumber"), "a receipt's block")
        try:
            fields = record(self._node.read("eth_getTransactionByHash", hexed(transaction_hash)), "a transaction")
            request = {name: fields[name] for name in ("from", "to", "gas")} | {"data": fields["input"]}
            self._node.ask("eth_call", request, hex(number - 1))
        except NodeRefusal as refused:
            return abi.refusal(refused.data, f"mined in block {number} and reverted")
        except (ChainUnavailable, KeyError):
            pass
        return TransactionRefused("Reverted", detail=f"mined in block {number} and reverted")

    def anchor_of(self, transaction_hash: bytes) -> AnchorEvidence | None:
        """The proof that a transaction was mined, None while it is not mined or not final."""
        receipt = self._receipt(transaction_hash)
        if receipt is None:
            return None
        number = quantity(receipt.get("blockNumber"), "a receipt's block")
        if number > self._final_number():
            return None
        block, fields = self._block_at(number)
        if octets(receipt.get("blockHash"), "a receipt's block", 32) != block.hash:
            return None  # the chain turned between the two questions
        if quantity(receipt.get("status"), "a receipt's status") == 0:
            raise self._failure(transaction_hash, receipt)
        index = quantity(receipt.get("transactionIndex"), "a receipt's index")
        receipts = self._receipts(block, fields)
        if index >= len(receipts) or receipts[index].get("transactionHash") != receipt.get("transactionHash"):
            raise ChainUnavailable(f"block {number} does not hold the transaction where its receipt says")
        root = octets(fields.get("receiptsRoot"), "receiptsRoot", 32)
        return AnchorEvidence(
            chain_id=self.identity().chain_id,
            contract=octets(receipt.get("to"), "a receipt's contract", 20) if receipt.get("to") else b"",
            transaction_hash=transaction_hash,
            block_number=block.number,
            block_hash=block.hash,
            block_time=block.timestamp,
            header=block.header,
            receipt_index=index,
            receipt_proof=receipt_proof(receipts, index, root),
            attestation=self._attestation(block),
        )

    def _attestation(self, block: Block) -> bytes | None:  # noqa: ARG002 - the embedded engine has one
        return None

    def _receipts(self, block: Block, fields: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        hashes = [octets(value, "a transaction hash", 32) for value in rows(fields.get("transactions"), "transactions")]
        try:
            reply = self._node.ask("eth_getBlockReceipts", hex(block.number))
        except NodeRefusal:  # not every node has it
            reply = [self._node.read("eth_getTransactionReceipt", hexed(value)) for value in hashes]
        receipts = [record(value, "a receipt") for value in rows(reply, "receipts")]
        if len(receipts) != len(hashes):
            raise ChainUnavailable(f"{len(receipts)} receipts for the {len(hashes)} transactions of a block")
        return receipts

    def relay(self, function: str, arguments: Sequence[Any], key: Signer) -> bytes:
        """Call a contract function in a transaction and wait until it is mined; the transaction's hash."""
        wanted = abi.function(function)
        return self._transact(self._address(wanted.contract), wanted.encode(arguments), key).hash

    def deploy(self, founding: Founding, key: Signer) -> Contracts:
        """Found a network: deploy its contracts, paid for by `key`, and belong to them from now on.

        Their addresses follow from the address of `key` and its nonce. Raises ChainError if this chain has a network,
        and TransactionRefused if the founding is more than one transaction carries (EIP-3860: some 100 founders with
        three keys each; more members are admitted by vote).
        """
        if self._contracts is not None:
            raise ChainError("a network is founded on this chain already")
        founders = [
            (
                founder.member,
                founder.root_key,
                founder.next_root_hash,
                founder.voting,
                [(first.key, first.purposes, first.custodial) for first in founder.keys],
            )
            for founder in founding.founders
        ]
        registry = self._create(
            abi.creation(
                artifact(abi.MEMBER_REGISTRY),
                founders,
                list(founding.relayers),
                list(founding.operators),
                founding.retirement_blocks,
            ),
            key,
        )
        checkpoints = self._create(abi.creation(artifact(abi.CHECKPOINT_REGISTRY), registry), key)
        custody = self._create(abi.creation(artifact(abi.CUSTODY_LEDGER), registry), key)
        contracts = Contracts(registry, checkpoints, custody)
        self._found(contracts)
        return contracts

    def _found(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self.check_identity()

    def _create(self, data: bytes, key: Signer) -> bytes:
        sent = self._transact(b"", data, key)
        return created_address(sent.sender, sent.nonce)

    def _transact(self, to: bytes, data: bytes, key: Signer) -> SignedTransaction:
        """Send one transaction and see it mined and successful; gas by estimate, which is a rehearsal too."""
        request = {"from": hexed(key.address), "data": hexed(data)} | ({"to": hexed(to)} if to else {})
        with self._sending:
            try:
                estimate = quantity(self._node.ask("eth_estimateGas", request), "a gas estimate")
            except NodeRefusal as refused:
                if _is_revert(refused):
                    raise abi.refusal(refused.data, refused.message) from refused
                if any(phrase in refused.message.lower() for phrase in _HOPELESS):
                    raise TransactionRefused("Rejected", detail=refused.message) from refused
                raise ChainUnavailable(f"eth_estimateGas: {shown(refused)}") from refused
            signed = self._sign(to, data, self.next_nonce(key.address), estimate * 5 // 4 + 20_000, key)
            self.send(signed.raw)
            self._wait(lambda: self._is_mined(signed), f"transaction 0x{signed.hash.hex()} is not mined")
        return signed

    def _wait(self, is_done: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + self.patience.relay_timeout
        while not is_done():
            if time.monotonic() >= deadline:
                raise ChainUnavailable(f"{otherwise} after {self.patience.relay_timeout:g} s")
            time.sleep(self.patience.poll_interval)

    def _address(self, contract: str) -> bytes:
        contracts = self.contracts
        places = {
            abi.MEMBER_REGISTRY: contracts.registry,
            abi.CHECKPOINT_REGISTRY: contracts.checkpoints,
            abi.CUSTODY_LEDGER: contracts.custody,
        }
        return places[contract]

    def close(self) -> None:
        """Let go of what the engine holds; it is of no use afterwards."""


def require_same(expected: ChainIdentity, found: ChainIdentity) -> None:
    """Raise WrongChain for the first thing that tells `found` from `expected`. Validators come and go."""
    for what in (
        "chain_id",
        "genesis_hash",
        "registry",
        "checkpoints",
        "custody",
        "registry_code_hash",
        "checkpoints_code_hash",
        "custody_code_hash",
        "attestor",
    ):
        ours, theirs = getattr(expected, what), getattr(found, what)
        if ours != theirs:
            raise WrongChain(what.replace("_", " "), expected=ours, found=theirs)


def _check_heads(changes: Sequence[RecordedChange]) -> None:
    head = bytes(32) if changes and changes[0].change.index == 1 else None
    for recorded in changes:
        if head is not None and next_head(head, recorded.change) != recorded.head:
            raise ChainUnavailable(f"membership change {recorded.change.index} does not fold to its head")
        head = recorded.head


def _request(transaction: Transaction, sender: bytes) -> dict[str, str]:
    request = {
        "from": hexed(sender),
        "gas": hex(transaction.gas),
        "maxFeePerGas": hex(transaction.fees.most),
        "maxPriorityFeePerGas": hex(transaction.fees.priority),
        "data": hexed(transaction.data),
    }
    return request | ({"to": hexed(transaction.to)} if transaction.to else {})


def _is_revert(refused: NodeRefusal) -> bool:
    # geth, Anvil and newer Besu use code 3 and carry the data; Besu also has -32000 "Execution reverted".
    return refused.code == 3 or "revert" in refused.message.lower()

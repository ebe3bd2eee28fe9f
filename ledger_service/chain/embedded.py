"""The embedded engine: py-evm, driven as eth-tester drives it, on one SQLite file, with nothing to install or to run.

It orders and it refuses mistakes, but it is the operator's own file and so no second trust domain: the attestor signs
every header, which says who vouches for it and no more.

Time: a block is stamped max(parent + 1, now()), for the EVM wants time to move. Blocks that are mined faster than one
a second therefore run ahead of the clock, k blocks within a second by k - 1 seconds at most, and the lead shrinks by a
second for every second without a block. `send_many` puts any number of transactions into one block.

Gas is free, as on any permissioned network of ours: the base fee starts at nothing and stays there, since no block
fills half of the gas limit. So nobody needs funds, and the genesis needs none.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import coincurve  # noqa: F401 - required: eth-keys falls back to pure Python without it: 50 times slower, and wrong on edge cases
import rlp
from eth.abc import BlockAPI, BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI
from eth.chains.base import MiningChain
from eth.consensus.applier import ConsensusApplier
from eth.consensus.noproof import NoProofConsensus
from eth.constants import BLANK_ROOT_HASH, POST_MERGE_DIFFICULTY, POST_MERGE_MIX_HASH, POST_MERGE_NONCE, ZERO_ADDRESS
from eth.exceptions import CanonicalHeadNotFound, HeaderNotFound, Revert, TransactionNotFound, VMError
from eth.vm.forks.cancun import CancunVM
from eth.vm.forks.shanghai.constants import MAX_INITCODE_SIZE
from eth.vm.spoof import SpoofTransaction
from eth_tester import PyEVMBackend
from eth_typing import Address
from eth_utils.exceptions import ValidationError
from web3.providers import BaseProvider
from web3.types import RPCEndpoint, RPCResponse

from ledger_service.blocks import attestation_digest
from ledger_service.chain import abi
from ledger_service.chain.block_file import BlockFile, StoredLog
from ledger_service.chain.errors import (
    ChainError,
    ChainFileDamaged,
    ChainUnavailable,
    MalformedTransaction,
    NonceTaken,
    TransactionRefused,
    WrongChain,
)
from ledger_service.chain.evm import EvmChain
from ledger_service.chain.port import Block, ChainIdentity, Contracts, SignedTransaction
from ledger_service.chain.transaction import created_address, read_transaction
from ledger_service.chain.wire import hexed
from ledger_service.keys import Signer

GAS_LIMIT = 10**12  # of a block; half of it is never reached, which is what keeps the base fee at nothing
CALL_GAS = 10**9
_SHOWN_BLOCKS = 8
_REVERTED = 3
_REJECTED = -32000
_UNKNOWN_METHOD = -32601
_INVALID_PARAMS = -32602


@dataclass(frozen=True, slots=True)
class Genesis:
    """Block 0. The same values give the same hash on every machine.

    `timestamp` is seconds UTC; `balances` are wei by address and may well be empty, as gas is free.
    """

    chain_id: int
    timestamp: int
    balances: Mapping[bytes, int] = field(default_factory=dict)


class _Refusal(Exception):
    """What an error answer carries."""

    def __init__(self, code: int, message: str, data: bytes | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class _NotAtAll(_Refusal):
    """Bytes that are no transaction."""


class _NonceTooHigh(_Refusal):
    """No pool waits here for the transactions that are missing before it, so this is no refusal for good."""

    def __init__(self, nonce: int, following: int) -> None:
        super().__init__(_REJECTED, f"nonce too high: next nonce {following}, tx nonce {nonce}")


class _NonceTooLow(_Refusal):
    def __init__(self, nonce: int, following: int) -> None:
        super().__init__(_REJECTED, f"nonce too low: next nonce {following}, tx nonce {nonce}")
        self.nonce = nonce
        self.following = following


class EmbeddedChain(EvmChain):
    """The Chain port on a file of our own: `create` it once, then `open` it.

    `send` mines a block and returns when it is on disk. A transaction that would revert is refused and takes no nonce;
    in `send_many` it is mined as failed, as on any chain.
    """

    def __init__(self, node: "EmbeddedNode", contracts: Contracts | None, expected: ChainIdentity | None) -> None:
        super().__init__(EmbeddedProvider(node), contracts, expected=expected, attestor=node.attestor.address)
        self._embedded = node

    @classmethod
    def create(cls, path: Path, genesis: Genesis, *, attestor: Signer, now: Callable[[], int]) -> "EmbeddedChain":
        """A new chain in a new file; `now` is the clock that stamps its blocks, seconds UTC.

        Raises FileExistsError if there is a chain in the file already.
        """
        return cls(EmbeddedNode.create(BlockFile(path), genesis, attestor, now), None, None)

    @classmethod
    def open(
        cls, path: Path, *, attestor: Signer, now: Callable[[], int], expected: ChainIdentity | None = None
    ) -> "EmbeddedChain":
        """The chain in an existing file, at the block where it stood.

        Raises FileNotFoundError if there is none, ChainFileInUse if another process has it, ChainFileDamaged if it
        cannot be read, and WrongChain if the attestor is another one or the chain is not the one `expected`.
        """
        if not path.is_file():
            raise FileNotFoundError(path)
        file = BlockFile(path)
        try:
            node = EmbeddedNode(file, attestor, now)
            registry, checkpoints, custody = (file.about(name) for name in ("registry", "checkpoints", "custody"))
            contracts = Contracts(registry, checkpoints, custody) if registry and checkpoints and custody else None
            chain = cls(node, contracts, expected)
            if expected is not None:
                chain.check_identity()
        except BaseException:
            file.close()
            raise
        return chain

    def head(self) -> Block:
        """The newest block."""
        return self._embedded.head()

    def headers(self, first: int, last: int) -> list[bytes]:
        """The RLP headers of blocks `first` to `last`, both included; blocks beyond the head are left out."""
        return self._embedded.headers(first, last)

    def send_many(self, raws: Sequence[bytes]) -> list[ChainError | None]:
        """Mine all transactions in one block, in this order; None where one succeeded or had been mined before.

        One that fails does not stop the others. One that reverts is in the block and has used its nonce.
        """
        return self._embedded.send_many(raws)

    def snapshot(self, path: Path) -> None:
        """Copy the chain, as it stands after its last block, to a new file at `path`, while it goes on."""
        self._embedded.snapshot(path)

    def _rehearse(self, transaction: Any, signed: SignedTransaction) -> None:
        """Nothing: the node itself takes no transaction that reverts."""

    def _attestation(self, block: Block) -> bytes | None:
        return self._embedded.attestation(block.hash)

    def _found(self, contracts: Contracts) -> None:
        super()._found(contracts)
        self._embedded.note(
            {"registry": contracts.registry, "checkpoints": contracts.checkpoints, "custody": contracts.custody}
        )

    def close(self) -> None:
        """Close the file and let another process have it."""
        self._embedded.close()


class LedgerBackend(PyEVMBackend):  # type: ignore[misc] # eth-tester ships no types
    """eth-tester's backend on a block file.

    eth-tester finds a transaction by walking from the head to genesis, and keeps pending blocks in memory; whatever it
    would do that way is done by `EmbeddedNode` instead.
    """

    def __init__(self, chain: MiningChain) -> None:
        self.account_keys = ()
        self.chain = chain

    def reset_to_genesis(self, *_: Any, **__: Any) -> None:
        """Refused: this chain is not a test's."""
        raise ChainError("a ledger's chain is never reset")

    revert_to_snapshot = take_snapshot = time_travel = send_raw_transaction = mine_blocks = reset_to_genesis
    get_transaction_by_hash = get_transaction_receipt = reset_to_genesis


class EmbeddedNode:
    """The chain itself: what a node across the network would do, done in this process, under one lock."""

    def __init__(self, file: BlockFile, attestor: Signer, now: Callable[[], int]) -> None:
        self.attestor = attestor
        self._file = file
        self._now = now
        self._lock = threading.RLock()
        chain_id = file.about("chain id")
        last = file.last_block()
        if chain_id is None or last is None:
            raise ChainFileDamaged(file.path, "there is no chain in it")
        known = file.about("attestor")
        if known != attestor.address:
            raise WrongChain("attestor", expected=attestor.address, found=known)
        self.chain_id = int.from_bytes(chain_id)
        try:
            # Any: py-evm has its own type for every kind of bytes
            self._chain: Any = _chain_class(self.chain_id)(file)
        except CanonicalHeadNotFound as error:
            raise ChainFileDamaged(file.path, "there is no head in it") from error
        self._head: BlockHeaderAPI = self._chain.get_canonical_head()
        if (self._head.block_number, self._head.hash) != last:
            raise ChainFileDamaged(file.path, "its index of blocks and its chain end at different blocks")
        self._backend = LedgerBackend(self._chain)
        self._shown: dict[bytes, list[dict[str, Any]]] = {}

    @classmethod
    def create(cls, file: BlockFile, genesis: Genesis, attestor: Signer, now: Callable[[], int]) -> "EmbeddedNode":
        """Write block 0 into a new file."""
        try:
            if file.last_block() is not None:
                raise FileExistsError(file.path)
            chain = _chain_class(genesis.chain_id).from_genesis(
                file,
                {
                    "coinbase": ZERO_ADDRESS,
                    "difficulty": POST_MERGE_DIFFICULTY,
                    "extra_data": f"tallystick {genesis.chain_id}".encode(),
                    "gas_limit": GAS_LIMIT,
                    "base_fee_per_gas": 0,
                    "mix_hash": POST_MERGE_MIX_HASH,
                    "nonce": POST_MERGE_NONCE,
                    "receipt_root": BLANK_ROOT_HASH,
                    "timestamp": genesis.timestamp,
                    "transaction_root": BLANK_ROOT_HASH,
                },
                {
                    Address(address): {"balance": balance, "nonce": 0, "code": b"", "storage": {}}
                    for address, balance in genesis.balances.items()
                },
            )
            facts = {"chain id": genesis.chain_id.to_bytes(8), "attestor": attestor.address}
            header = chain.get_canonical_head()
            attestation = attestor.sign(attestation_digest(header.hash, genesis.chain_id))
            file.commit_block(0, header.hash, _rlp(header), attestation, (), facts)
            return cls(file, attestor, now)
        except BaseException:
            file.close()
            raise

    # -- mining ------------------------------------------------------------------------------------------------------

    def send(self, raw: bytes) -> bytes:
        """Mine one transaction; its hash, once it is on disk. Raises _Refusal, with nothing mined, if it would fail."""
        with self._lock:
            (outcome,) = self._mine([raw], may_revert=False)
            if isinstance(outcome, _Refusal):
                raise outcome
            return outcome

    def send_many(self, raws: Sequence[bytes]) -> list[ChainError | None]:
        """Mine all that can be mined, in one block."""
        with self._lock:
            return [
                _refused(outcome) if isinstance(outcome, _Refusal) else None
                for outcome in self._mine(raws, may_revert=True)
            ]

    def _mine(self, raws: Sequence[bytes], *, may_revert: bool) -> list[bytes | _Refusal]:
        """The hash of each transaction that is now mined, or why it is not."""
        header = self._chain.create_header_from_parent(
            self._head, timestamp=max(self._head.timestamp + 1, self._now()), gas_limit=GAS_LIMIT
        )
        vm: Any = self._chain.get_vm(header)
        outcomes: list[bytes | _Refusal] = []
        taken: list[SignedTransactionAPI] = []
        receipts: list[ReceiptAPI] = []
        try:
            for raw in raws:
                try:
                    signed = self._readable(raw)
                    if self._place(signed.hash) is not None:
                        outcomes.append(self._known_outcome(signed.hash))
                        continue
                    if any(signed.hash == other.hash for other in taken):
                        outcomes.append(signed.hash)
                        continue
                    self._require_nonce(signed, vm.state.get_nonce(signed.sender))
                    transaction = vm.get_transaction_builder().decode(raw)
                    receipt, computation = vm.apply_transaction(header, transaction)
                except _Refusal as refusal:
                    outcomes.append(refusal)
                    continue
                except ValidationError as error:  # raised before the transaction touches the state
                    outcomes.append(_Refusal(_REJECTED, _rejection(error)))
                    continue
                if computation.is_error:
                    outcomes.append(_reverted(computation))
                    if not may_revert:
                        break
                else:
                    outcomes.append(signed.hash)
                header = vm.increment_blob_gas_used(vm.add_receipt_to_header(header, receipt), transaction)
                taken.append(transaction)
                receipts.append(receipt)
            if taken:
                filled = vm.set_block_transactions_and_withdrawals(vm.get_block(), header, taken, receipts)
                self._write(vm.mine_block(filled).block, receipts)
        finally:
            self._file.discard()
        return outcomes

    def _write(self, block: BlockAPI, receipts: Sequence[ReceiptAPI]) -> None:
        # vm.mine_block has validated the block; persist_block would do it all over again.
        self._chain.persist_block(block, perform_validation=False)
        header: BlockHeaderAPI = block.header
        attestation = self.attestor.sign(attestation_digest(header.hash, self.chain_id))
        logs = [
            StoredLog(
                block=header.block_number,
                position=0,
                transaction_index=index,
                transaction_hash=transaction.hash,
                address=log.address,
                topics=tuple(topic.to_bytes(32) for topic in log.topics),
                data=log.data,
            )
            for index, (transaction, receipt) in enumerate(zip(block.transactions, receipts, strict=True))
            for log in receipt.logs
        ]
        numbered = [replace(log, position=position) for position, log in enumerate(logs)]
        self._file.commit_block(header.block_number, header.hash, _rlp(header), attestation, numbered)
        self._head = header
        self._chain.header = self._chain.create_header_from_parent(header)

    def _readable(self, raw: bytes) -> SignedTransaction:
        try:
            transaction, signed = read_transaction(raw)
        except MalformedTransaction as error:
            raise _NotAtAll(_REJECTED, f"invalid sender: {error}") from error
        if transaction.chain_id != self.chain_id:
            raise _Refusal(_REJECTED, f"invalid chain id: {transaction.chain_id}, this is chain {self.chain_id}")
        if (
            not transaction.to and len(transaction.data) > MAX_INITCODE_SIZE
        ):  # py-evm would notice with its state changed
            raise _Refusal(_REJECTED, f"max initcode size exceeded: {len(transaction.data)} bytes")
        return signed

    @staticmethod
    def _require_nonce(signed: SignedTransaction, following: int) -> None:
        if signed.nonce < following:
            raise _NonceTooLow(signed.nonce, following)
        if signed.nonce > following:
            raise _NonceTooHigh(signed.nonce, following)

    def _known_outcome(self, transaction_hash: bytes) -> bytes | _Refusal:
        place = self._place(transaction_hash)
        assert place is not None
        receipt = self._receipts(place[0])[place[1]]
        if receipt.state_root == b"":
            return _Refusal(_REVERTED, f"execution reverted in block {place[0].number}")
        return transaction_hash

    # -- look-ups, none of which takes longer on a longer chain --------------------------------------------------------

    def head(self) -> Block:
        """The newest block."""
        header = self._head
        return Block(header.block_number, header.hash, header.parent_hash, header.timestamp, _rlp(header))

    def headers(self, first: int, last: int) -> list[bytes]:
        """RLP headers, as far as there are any."""
        with self._lock:
            return self._file.headers(first, last)

    def attestation(self, block_hash: bytes) -> bytes | None:
        """The attestor's signature over a block."""
        with self._lock:
            return self._file.attestation(block_hash)

    def note(self, facts: Mapping[str, bytes]) -> None:
        """Note facts about this chain in its file."""
        with self._lock:
            self._file.note(facts)

    def snapshot(self, path: Path) -> None:
        """Copy the file between two blocks."""
        with self._lock:
            self._file.snapshot(path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _place(self, transaction_hash: bytes) -> tuple[BlockAPI, int] | None:
        try:
            number, index = self._chain.chaindb.get_transaction_index(transaction_hash)
        except TransactionNotFound:
            return None
        return self._chain.get_canonical_block_by_number(number), index

    def _receipts(self, block: BlockAPI) -> tuple[ReceiptAPI, ...]:
        return tuple(block.get_receipts(self._chain.chaindb))

    def _block(self, number: object) -> BlockAPI | None:
        wanted = self._number(number)
        if wanted > self._head.block_number:
            return None
        block: BlockAPI = self._chain.get_canonical_block_by_number(wanted)
        return block

    def _number(self, at: object) -> int:
        if at in ("latest", "pending", "safe", "finalized"):  # a block is final when it is mined, and none is pending
            return self._head.block_number
        return 0 if at == "earliest" else _integer(at)

    # -- JSON-RPC ----------------------------------------------------------------------------------------------------

    def answer(self, method: str, params: Sequence[Any]) -> Any:
        """The result of a JSON-RPC call. Raises _Refusal for what a node would answer with an error."""
        answers = getattr(self, f"_rpc_{method}", None)
        if answers is None:
            raise _Refusal(_UNKNOWN_METHOD, f"the method {method} does not exist")
        with self._lock:
            try:
                return answers(*params)
            except (TypeError, ValueError, KeyError) as error:
                raise _Refusal(_INVALID_PARAMS, f"invalid parameters: {error}") from error

    def _rpc_web3_clientVersion(self) -> str:  # noqa: N802
        return "Tallystick/py-evm"

    def _rpc_net_version(self) -> str:
        return str(self.chain_id)

    def _rpc_eth_chainId(self) -> str:  # noqa: N802
        return hex(self.chain_id)

    def _rpc_eth_blockNumber(self) -> str:  # noqa: N802
        return hex(self._head.block_number)

    def _rpc_eth_gasPrice(self) -> str:  # noqa: N802
        return "0x0"

    def _rpc_eth_maxPriorityFeePerGas(self) -> str:  # noqa: N802
        return "0x0"

    def _rpc_eth_getBlockByNumber(self, number: object, full: bool = False) -> Any:  # noqa: N802
        block = self._block(number)
        return _block_json(block, full=full) if block is not None else None

    def _rpc_eth_getBlockByHash(self, block_hash: str, full: bool = False) -> Any:  # noqa: N802
        try:
            return _block_json(self._chain.get_block_by_hash(_bytes(block_hash)), full=full)
        except HeaderNotFound:
            return None

    def _rpc_eth_getTransactionByHash(self, transaction_hash: str) -> Any:  # noqa: N802
        place = self._place(_bytes(transaction_hash))
        return _transaction_json(*place) if place is not None else None

    def _rpc_eth_getTransactionReceipt(self, transaction_hash: str) -> Any:  # noqa: N802
        place = self._place(_bytes(transaction_hash))
        return self._receipts_json(place[0])[place[1]] if place is not None else None

    def _rpc_eth_getBlockReceipts(self, number: object) -> Any:  # noqa: N802
        block = self._block(number)
        return self._receipts_json(block) if block is not None else None

    def _receipts_json(self, block: BlockAPI) -> list[dict[str, Any]]:
        """A block's receipts, remembered for a few blocks: who asks about one of a large block asks about more."""
        if block.hash not in self._shown:
            if len(self._shown) >= _SHOWN_BLOCKS:
                self._shown.clear()
            self._shown[block.hash] = _receipts_json(block, self._receipts(block))
        return self._shown[block.hash]

    def _rpc_eth_getLogs(self, query: Mapping[str, Any]) -> Any:  # noqa: N802
        address = query.get("address") or []
        addresses = [_bytes(each) for each in ([address] if isinstance(address, str) else address)]
        topics = [
            [_bytes(each) for each in ([wanted] if isinstance(wanted, str) else wanted or [])]
            for wanted in query.get("topics") or []
        ]
        if query.get("blockHash") is not None:
            row = self._chain.get_block_header_by_hash(_bytes(query["blockHash"]))
            first = last = row.block_number
        else:
            first = self._number(query.get("fromBlock", "latest"))
            last = self._number(query.get("toBlock", "latest"))
        found = self._file.logs(first, last, addresses, topics)
        hashes = {number: self._chain.get_canonical_block_hash(number) for number in {log.block for log in found}}
        return [_log_json(log, hashes[log.block]) for log in found]

    def _rpc_eth_getTransactionCount(self, address: str, at: object = "latest") -> str:  # noqa: N802
        return hex(self._backend.get_nonce(_bytes(address), self._number(at)))

    def _rpc_eth_getBalance(self, address: str, at: object = "latest") -> str:  # noqa: N802
        return hex(self._backend.get_balance(_bytes(address), self._number(at)))

    def _rpc_eth_getCode(self, address: str, at: object = "latest") -> str:  # noqa: N802
        return hexed(self._backend.get_code(_bytes(address), self._number(at)))

    def _rpc_eth_getStorageAt(self, address: str, slot: str, at: object = "latest") -> str:  # noqa: N802
        stored: int = self._backend.get_storage(_bytes(address), _integer(slot), self._number(at))
        return hexed(stored.to_bytes(32))

    def _rpc_eth_call(self, request: Mapping[str, Any], at: object = "latest") -> str:
        computation = self._run(request, at)
        if computation.is_error:
            raise _reverted(computation)
        return hexed(computation.output)

    def _rpc_eth_estimateGas(self, request: Mapping[str, Any], at: object = "latest") -> str:  # noqa: N802
        """Enough, not the least: what it used with plenty, and the 64th that EIP-150 holds back at every call."""
        computation = self._run({**request, "gas": hex(CALL_GAS)}, at)
        if computation.is_error:
            raise _reverted(computation)
        used = CALL_GAS - computation.get_gas_remaining()
        return hex(used + used // 8 + 10_000)

    def _rpc_eth_sendRawTransaction(self, raw: str) -> str:  # noqa: N802
        return hexed(self.send(_bytes(raw)))

    def _run(self, request: Mapping[str, Any], at: object) -> ComputationAPI:
        """Run a call on the state after block `at` and keep nothing of it."""
        header = self._chain.get_canonical_block_header_by_number(self._number(at))
        vm = self._chain.get_vm(header)
        sender = _bytes(request.get("from") or hexed(ZERO_ADDRESS))
        unsigned = vm.get_transaction_builder().new_unsigned_dynamic_fee_transaction(
            chain_id=self.chain_id,
            nonce=vm.state.get_nonce(sender),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=0,
            gas=_integer(request.get("gas", hex(CALL_GAS))),
            to=_bytes(request.get("to") or "0x"),
            value=_integer(request.get("value", "0x0")),
            data=_bytes(request.get("data") or request.get("input") or "0x"),
            access_list=(),
        )
        try:
            computation: ComputationAPI = vm.state.apply_transaction(SpoofTransaction(unsigned, from_=sender))
        except (ValidationError, VMError) as error:
            raise _Refusal(_REJECTED, _rejection(error)) from error
        return computation


class EmbeddedProvider(BaseProvider):
    """A web3 provider that answers standard JSON-RPC out of this process, so that web3 works here as anywhere."""

    def __init__(self, node: EmbeddedNode) -> None:
        super().__init__()
        self._node = node

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """The answer to one call, as a node would send it."""
        try:
            return {"jsonrpc": "2.0", "id": 0, "result": self._node.answer(method, params or [])}
        except _Refusal as refusal:
            error: dict[str, Any] = {"code": refusal.code, "message": refusal.message}
            if refusal.data is not None:
                error["data"] = hexed(refusal.data)
            return cast(RPCResponse, {"jsonrpc": "2.0", "id": 0, "error": error})

    def is_connected(self, show_traceback: bool = False) -> bool:  # noqa: ARG002 - as web3 has it
        """Always: it is in this process."""
        return True


def _chain_class(number: int) -> type[MiningChain]:
    vms = ConsensusApplier(NoProofConsensus).amend_vm_configuration(((0, CancunVM),))

    class LedgerChain(MiningChain):
        chain_id = number
        vm_configuration = vms

    return LedgerChain


def _rlp(header: BlockHeaderAPI) -> bytes:
    encoded: bytes = rlp.encode(header)
    return encoded


def _reverted(computation: ComputationAPI) -> _Refusal:
    error = computation.error
    data = error.args[0] if isinstance(error, Revert) and error.args and isinstance(error.args[0], bytes) else None
    why = "" if data is not None else f": {type(error).__name__} {error}"
    return _Refusal(_REVERTED, f"execution reverted{why}", data)


def _rejection(error: Exception) -> str:
    """What py-evm holds against a transaction before it runs it, in the words nodes use."""
    words = str(error)
    if "EIP-3860" in words:
        return f"max initcode size exceeded: {words}"
    if "funds" in words or "balance" in words:
        return f"insufficient funds: {words}"
    return f"intrinsic gas too low: {words}" if "gas" in words.lower() else f"invalid sender: {words}"


def _refused(refusal: _Refusal) -> ChainError:
    if isinstance(refusal, _NonceTooLow):
        return NonceTaken(refusal.nonce, refusal.following)
    if isinstance(refusal, _NonceTooHigh):
        return ChainUnavailable(refusal.message)
    if isinstance(refusal, _NotAtAll):
        return MalformedTransaction(refusal.message)
    if refusal.code == _REVERTED:
        return abi.refusal(refusal.data, refusal.message)
    return TransactionRefused("Rejected", detail=refusal.message)


def _bytes(text: object) -> bytes:
    if not isinstance(text, str) or not text.startswith("0x"):
        raise ValueError(f"{text!r} is not hexadecimal data")
    return bytes.fromhex(text[2:])


def _integer(value: object) -> int:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError(f"{value!r} is not a quantity")
    return int(value, 16)


def _block_json(block: BlockAPI, *, full: bool) -> dict[str, Any]:
    header: Any = block.header
    transactions: list[Any] = [
        _transaction_json(block, index) if full else hexed(transaction.hash)
        for index, transaction in enumerate(block.transactions)
    ]
    return {
        "number": hex(header.block_number),
        "hash": hexed(header.hash),
        "parentHash": hexed(header.parent_hash),
        "sha3Uncles": hexed(header.uncles_hash),
        "miner": hexed(header.coinbase),
        "stateRoot": hexed(header.state_root),
        "transactionsRoot": hexed(header.transaction_root),
        "receiptsRoot": hexed(header.receipt_root),
        "logsBloom": hexed(header.bloom.to_bytes(256)),
        "difficulty": hex(header.difficulty),
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "timestamp": hex(header.timestamp),
        "extraData": hexed(header.extra_data),
        "mixHash": hexed(header.mix_hash),
        "nonce": hexed(header.nonce),
        "baseFeePerGas": hex(header.base_fee_per_gas),
        "withdrawalsRoot": hexed(header.withdrawals_root),
        "blobGasUsed": hex(header.blob_gas_used),
        "excessBlobGas": hex(header.excess_blob_gas),
        "parentBeaconBlockRoot": hexed(header.parent_beacon_block_root),
        "size": hex(len(rlp.encode(block))),
        "transactions": transactions,
        "uncles": [],
        "withdrawals": [],
    }


def _transaction_json(block: BlockAPI, index: int) -> dict[str, Any]:
    transaction: Any = block.transactions[index]
    return {
        "type": "0x2",
        "hash": hexed(transaction.hash),
        "blockHash": hexed(block.hash),
        "blockNumber": hex(block.number),
        "transactionIndex": hex(index),
        "from": hexed(transaction.sender),
        "to": hexed(transaction.to) if transaction.to else None,
        "nonce": hex(transaction.nonce),
        "value": hex(transaction.value),
        "gas": hex(transaction.gas),
        "gasPrice": "0x0",
        "maxFeePerGas": hex(transaction.max_fee_per_gas),
        "maxPriorityFeePerGas": hex(transaction.max_priority_fee_per_gas),
        "input": hexed(transaction.data),
        "chainId": hex(transaction.chain_id),
        "accessList": [],
        "v": hex(transaction.y_parity),
        "yParity": hex(transaction.y_parity),
        "r": hex(transaction.r),
        "s": hex(transaction.s),
    }


def _receipts_json(block: BlockAPI, receipts: Sequence[ReceiptAPI]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    used = position = 0
    for index, (transaction, receipt) in enumerate(zip(block.transactions, receipts, strict=True)):
        logs = []
        for log in receipt.logs:
            topics = tuple(topic.to_bytes(32) for topic in log.topics)
            stored = StoredLog(block.number, position, index, transaction.hash, log.address, topics, log.data)
            logs.append(_log_json(stored, block.hash))
            position += 1
        creates = not transaction.to
        found.append(
            {
                "type": "0x2",
                "transactionHash": hexed(transaction.hash),
                "transactionIndex": hex(index),
                "blockHash": hexed(block.hash),
                "blockNumber": hex(block.number),
                "from": hexed(transaction.sender),
                "to": None if creates else hexed(transaction.to),
                "contractAddress": hexed(created_address(transaction.sender, transaction.nonce)) if creates else None,
                "cumulativeGasUsed": hex(receipt.gas_used),
                "gasUsed": hex(receipt.gas_used - used),
                "effectiveGasPrice": "0x0",
                "logsBloom": hexed(receipt.bloom.to_bytes(256)),
                "logs": logs,
                "status": "0x1" if receipt.state_root == b"\x01" else "0x0",
            }
        )
        used = receipt.gas_used
    return found


def _log_json(log: StoredLog, block_hash: bytes) -> dict[str, Any]:
    return {
        "address": hexed(log.address),
        "topics": [hexed(topic) for topic in log.topics],
        "data": hexed(log.data),
        "blockNumber": hex(log.block),
        "blockHash": hexed(block_hash),
        "transactionHash": hexed(log.transaction_hash),
        "transactionIndex": hex(log.transaction_index),
        "logIndex": hex(log.position),
        "removed": False,
    }

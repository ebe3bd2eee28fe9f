"""A small consortium on an EVM in memory, its members' keys at hand, and one way to do or to be refused a thing."""

from __future__ import annotations

from ast import literal_eval
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from eth_abi.abi import decode, encode
from eth_account.messages import encode_typed_data
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from web3 import EthereumTesterProvider, Web3

from contracts import artifact
from ledger_service.keys import LocalKey, keccak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from web3.contract import Contract

RETIREMENT_BLOCKS = 5
DAY = 24 * 60 * 60
# Ahead of any clock, so that py-evm counts on from here second by second, and the bytes of a deadline, which cost gas,
# are the same in every run.
START = 4_102_444_800  # 2100-01-01T00:00:00Z
GAS = 8_000_000

# What a root key signs, EIP-712 types as the contract's documentation gives them.
TYPES: Mapping[str, str] = {
    "AddKey": "bytes32 member,address key,uint8 purposes,bool custodial,uint64 nonce,uint64 deadline",
    "RetireKey": "bytes32 member,address key,uint64 effectiveBlock,uint64 nonce,uint64 deadline",
    "RevokeKey": "bytes32 member,address key,uint64 compromisedSince,uint64 nonce,uint64 deadline",
    "RotateRoot": "bytes32 member,address rootKey,bytes32 nextRootHash,uint64 nonce,uint64 deadline",
    "Vote": "bytes32 member,uint8 kind,bytes data,uint64 expiresAt,uint256 nonce",
    "Statement": "bytes32 issuer,string kind,bytes32 stream,uint64 sequence,uint64 issuedAt,bytes32 contentRoot",
}

# Kinds of change and how their data are encoded.
ADMITTED, SUSPENDED, REINSTATED, EXPELLED, KEY_ADDED, KEY_RETIRED, KEY_REVOKED = range(1, 8)
ROOT_ROTATED, RELAYER_ADDED, RELAYER_REMOVED, OPERATOR_SET, QUORUM_CHANGED, APPROVED = range(8, 14)
DATA: Mapping[int, Sequence[str]] = {
    ADMITTED: ("bytes32", "address", "bytes32", "bool"),
    SUSPENDED: ("bytes32",),
    REINSTATED: ("bytes32",),
    EXPELLED: ("bytes32",),
    KEY_ADDED: ("bytes32", "address", "uint8", "bool"),
    KEY_RETIRED: ("bytes32", "address", "uint64"),
    KEY_REVOKED: ("bytes32", "address", "uint64"),
    ROOT_ROTATED: ("bytes32", "address", "bytes32"),
    RELAYER_ADDED: ("address",),
    RELAYER_REMOVED: ("address",),
    OPERATOR_SET: ("bytes32", "address"),
    QUORUM_CHANGED: ("uint16", "uint16"),
    APPROVED: ("bytes32",),
}

UNKNOWN, ACTIVE, SUSPENDED_STANDING, EXPELLED_STANDING = range(4)


class WasAccepted(AssertionError):
    """What should have been refused would have passed."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The custom error a call ended with, or `malformed` where its arguments could not even be decoded."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Party:
    """A member and the keys it keeps: root, the root to follow, one signing key."""

    name: str
    id: bytes
    root: LocalKey
    next_root: LocalKey
    signing: LocalKey
    votes: bool


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change put to the vote."""

    kind: int
    data: bytes
    expires_at: int
    nonce: int

    @property
    def arguments(self) -> tuple[int, bytes, int, int]:
        return (self.kind, self.data, self.expires_at, self.nonce)

    @property
    def id(self) -> bytes:
        return keccak(encode(["uint8", "bytes", "uint64", "uint256"], self.arguments))


def key(label: str) -> LocalKey:
    """The same key for the same label, always."""
    return LocalKey.from_bytes(keccak(label.encode()))


def party(name: str, *, votes: bool = True) -> Party:
    """A member named `name`."""
    member = keccak(f"did:web:{name}.example.org".encode())
    return Party(name, member, key(f"{name} root"), key(f"{name} next root"), key(f"{name} signs"), votes)


def root_hash(root: LocalKey) -> bytes:
    """What commits a member to `root` as its next root key."""
    return keccak(encode(["address"], [root.address]))


def change_data(kind: int, *values: Any) -> bytes:
    """The data of a change of `kind`."""
    return encode(DATA[kind], values)


def address(value: str) -> bytes:
    """The 20 bytes of an address that web3 prints."""
    return bytes.fromhex(value.removeprefix("0x"))


class Network:
    """Four voting members and the service, which has no vote; 3 of 4 carry a proposal."""

    FOUNDERS = ("foundry", "gearbox", "carrier", "assembly")
    ORIGIN = keccak(b"log.example.org/september")

    def __init__(self) -> None:
        genesis = PyEVMBackend.generate_genesis_params({"timestamp": START})
        self.tester = EthereumTester(PyEVMBackend(genesis_parameters=genesis), auto_mine_transactions=True)
        self.w3 = Web3(EthereumTesterProvider(self.tester))
        self.accounts = [bytes.fromhex(account[2:]) for account in self.tester.get_accounts()]
        # Whoever signs, it is a stranger that sends; only anchoring asks who sends.
        self.operator, self.stranger, self.relayer = self.accounts[0], self.accounts[1], self.accounts[2]
        self.w3.eth.default_account = Web3.to_checksum_address(
            self.stranger
        )  # else web3 lists all accounts at each call
        self.members = [party(name) for name in self.FOUNDERS]
        self.service = party("service", votes=False)
        self.registry = self.deploy(
            "MemberRegistry",
            [
                (
                    p.id,
                    p.root.address,
                    root_hash(p.next_root),
                    p.votes,
                    [(p.signing.address, 63 if p.votes else 56, False)],
                )
                for p in [*self.members, self.service]
            ],
            [self.relayer],
            [(self.ORIGIN, self.operator)],
            RETIREMENT_BLOCKS,
        )
        self.checkpoints = self.deploy("CheckpointRegistry", self.registry.address)
        self.harness = self.deploy("ContractHarness")
        self.selectors = {
            keccak(f"{entry['name']}({','.join(_type(i) for i in entry['inputs'])})".encode())[:4]: (
                entry["name"],
                [_type(i) for i in entry["inputs"]],
            )
            for name in ("MemberRegistry", "CheckpointRegistry", "CustodyLedger")
            for entry in artifact(name).abi
            if entry["type"] == "error"
        }

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Whatever happens inside has not happened afterwards."""
        snapshot = self.tester.take_snapshot()
        yield
        self.tester.revert_to_snapshot(snapshot)

    def deploy(self, name: str, *arguments: Any) -> Contract:
        """A fresh contract `name`."""
        made = artifact(name)
        factory = self.w3.eth.contract(abi=made.abi, bytecode=made.bytecode)
        sent = factory.constructor(*arguments).transact({"from": self.operator, "gas": 25_000_000})
        receipt = self.w3.eth.get_transaction_receipt(sent)
        assert receipt["status"] == 1
        return cast("Contract", self.w3.eth.contract(address=receipt["contractAddress"], abi=made.abi))

    def do(self, function: Any, sender: bytes | None = None) -> Any:
        """The receipt of `function`, mined in a block of its own."""
        sent = function.transact({"from": sender or self.stranger, "gas": GAS, "gasPrice": 10**10})
        receipt = self.w3.eth.get_transaction_receipt(sent)
        assert receipt["status"] == 1, f"{function.fn_name} was refused: {self.refusal(function, sender)}"
        return receipt

    def refusal(self, function: Any, sender: bytes | None = None) -> Refusal:
        """How `function` would be refused now; raises WasAccepted if it would not."""
        return self._refusal(lambda: function.call({"from": sender or self.stranger, "gas": GAS}))

    def refused_deployment(self, name: str, *arguments: Any) -> Refusal:
        """How the deployment of `name` would be refused; raises WasAccepted if it would not."""
        made = artifact(name)
        made_with = self.w3.eth.contract(abi=made.abi, bytecode=made.bytecode).constructor(*arguments)
        call = {
            "from": self.tester.get_accounts()[0],
            "to": "",
            "data": made_with.data_in_transaction,
            "gas": 25_000_000,
        }
        return self._refusal(lambda: self.tester.call(call))

    def _refusal(self, call: Callable[[], Any]) -> Refusal:
        try:
            call()
        except TransactionFailed as error:
            # eth-tester has the error's data as the repr of bytes in its message, and nowhere else
            data = literal_eval(str(error).removeprefix("execution reverted: "))
            if not data:
                return Refusal("malformed", ())
            name, types = self.selectors[data[:4]]
            values = decode(types, data[4:])
            return Refusal(name, tuple(address(v) if t == "address" else v for t, v in zip(types, values, strict=True)))
        raise WasAccepted

    @property
    def time(self) -> int:
        """Seconds of the latest block."""
        return int(self.w3.eth.get_block("latest")["timestamp"])

    @property
    def block(self) -> int:
        """Number of the latest block."""
        return int(self.w3.eth.block_number)

    def wait_until(self, time: int) -> None:
        """Let a block carry `time`."""
        self.tester.time_travel(time + 1)  # the time is that of the block after the one it mines
        assert self.time == time

    def mine(self, blocks: int = 1) -> None:
        """Let empty blocks pass."""
        self.tester.mine_blocks(blocks)

    def digest(
        self, kind: str, values: Mapping[str, Any], *, chain_id: int | None = None, registry: Any = None
    ) -> bytes:
        """The EIP-712 digest of `values`, by eth-account."""
        fields = [dict(zip(("type", "name"), field.split(" "), strict=True)) for field in TYPES[kind].split(",")]
        domain = {
            "name": "Tallystick",
            "version": "1",
            "chainId": chain_id or self.w3.eth.chain_id,
            "verifyingContract": registry or self.registry.address,
        }
        message = encode_typed_data(domain, {kind: fields}, dict(values))
        return keccak(b"\x19" + message.version + message.header + message.body)

    def authorised(
        self,
        kind: str,
        member: Party,
        *values: Any,
        signer: LocalKey | None = None,
        nonce: int | None = None,
        deadline: int | None = None,
        **domain: Any,
    ) -> Any:
        """The call that carries out a change by root key, signed by `signer` or whoever should."""
        function = kind[0].lower() + kind[1:]
        if nonce is None:
            nonce = self.registry.functions.member(member.id).call()[3]
        if deadline is None:
            deadline = self.time + DAY
        if signer is None:
            signer = member.next_root if kind == "RotateRoot" else member.root
        names = [field.split(" ")[1] for field in TYPES[kind].split(",")]
        signed = dict(zip(names, (member.id, *values, nonce, deadline), strict=True))
        signature = signer.sign(self.digest(kind, signed, **domain))
        return self.registry.functions[function](member.id, *values, (nonce, deadline, signature))

    def proposal(self, kind: int, *values: Any, nonce: int = 0, expires_at: int | None = None) -> Proposal:
        """A proposal open for a day."""
        return Proposal(kind, change_data(kind, *values), expires_at or self.time + DAY, nonce)

    def ballot(self, proposal: Proposal, member: Party, signer: LocalKey | None = None, **domain: Any) -> bytes:
        """The vote of `member` for `proposal`."""
        signed = dict(zip(("kind", "data", "expiresAt", "nonce"), proposal.arguments, strict=True))
        return (signer or member.root).sign(self.digest("Vote", {"member": member.id, **signed}, **domain))

    def vote(self, proposal: Proposal, *voters: Party) -> Any:
        """The call that casts the votes of `voters`."""
        signatures = [self.ballot(proposal, voter) for voter in voters]
        return self.registry.functions.vote(proposal.arguments, [voter.id for voter in voters], signatures)

    def decide(self, kind: int, *values: Any, nonce: int = 0, voters: Sequence[Party] = ()) -> Any:
        """The receipt of a change that the active founders, or `voters`, voted."""
        proposal = self.proposal(kind, *values, nonce=nonce)
        receipt = self.do(self.vote(proposal, *(voters or self.active)))
        assert self.registry.functions.ballotOf(proposal.id).call()[2], "the votes were too few"
        return receipt

    @property
    def active(self) -> list[Party]:
        """The founders that may vote now."""
        return [m for m in self.members if self.registry.functions.member(m.id).call()[1] == ACTIVE]

    def changes(self) -> list[tuple[int, int, int, int, bytes, bytes]]:
        """Every change so far: index, block, block time, kind, data, head; as the events tell it."""
        topic = "0x" + keccak(b"MembershipChanged(uint64,uint8,bytes,bytes32)").hex()
        logs = self.tester.get_logs(from_block=0, to_block="latest", address=self.registry.address, topics=[topic])
        times: dict[int, int] = {}
        found = []
        for log in logs:
            block = int(log["block_number"])
            if block not in times:
                times[block] = int(self.tester.get_block_by_number(block)["timestamp"])
            index, kind = (int(topic, 16) for topic in log["topics"][1:3])
            data, head = decode(["bytes", "bytes32"], bytes.fromhex(log["data"].removeprefix("0x")))
            found.append((index, block, times[block], kind, data, head))
        return found


def _type(parameter: Mapping[str, Any]) -> str:
    name: str = parameter["type"]
    return name

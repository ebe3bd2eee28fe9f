"""A network's folder: what `init` writes, what every other command opens.

network.json   origin, chain engine, retirement time, witnesses; no secrets
members.json   the directory: what the members are called and which identifiers are theirs
service.json   the service's one secret, in a Web3 keystore; all its keys are derived from it
chain.sqlite   the embedded chain (absent where a node is used)
ledger.sqlite  the ledger
custodial/     encrypted keys the service keeps for members who asked it to
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Any, Self

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.keyfiles import SCRYPT_COST, read_key_file, write_file, write_key_file
from api.settings import Settings
from ledger_service import canonical, keys
from ledger_service.bundle import trust
from ledger_service.chain.port import FirstKey, Founder, Founding
from ledger_service.checkpoint import LOG_KEY, WITNESS_KEY, NoteKey, VerifierKey, check_name
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.evidence import Trust
from ledger_service.keys import LocalKey, from_hex, keccak, to_hex
from ledger_service.ledger import Ledger, Rules, no_step
from ledger_service.relaying import Relaying
from ledger_service.store import Store

MAX_DIRECTORY_BYTES = 4 << 20


class NoNetwork(LedgerError):
    """The folder holds no network."""


class UnknownName(LedgerError):
    """Nobody, or more than one member, is called so in the directory."""


class NetworkExists(LedgerError):
    """The folder holds a network already; founding another one over it would lose it."""


def now_ms() -> int:
    """The time of this machine, ms UTC."""
    return time.time_ns() // 1_000_000


def member_id(did: str, salt: bytes) -> bytes:
    """The id of a member in statements and on chain: without the salt nobody can tell the member from it."""
    return keccak(did.encode() + salt)


def service_id(origin: str, salt: bytes) -> bytes:
    """The id of the service itself, which is a member without a vote: it reports."""
    return member_id(f"tallystick:{origin}", salt)


def owner_of(part: str, salt: bytes) -> str | None:
    """The id, in hexadecimal digits, of the member below whose DID a number of a part is; None for a GTIN."""
    did, is_own, _ = part.partition("/part/")
    return to_hex(member_id(did, salt)) if is_own else None


@dataclass(frozen=True, slots=True)
class Member:
    """What the directory says of a member. `identifiers` are `GLN:…`, `BPN:…`, `LEI:…`, `DUNS:…`, one owner each."""

    id: bytes
    did: str
    name: str
    identifiers: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {"did": self.did, "id": to_hex(self.id), "identifiers": list(self.identifiers), "name": self.name}

    @classmethod
    def parse(cls, value: Any, where: str = "") -> Self:
        if not isinstance(value, dict) or not value.keys() >= {"did", "id", "name"}:
            raise MalformedInput("a member of the directory has did, id and name", where)
        identifiers = value.get("identifiers", [])
        if not isinstance(identifiers, list) or not all(isinstance(one, str) for one in identifiers):
            raise MalformedInput("identifiers are a list of text", f"{where}/identifiers")
        return cls(from_hex(value["id"], 32, f"{where}/id"), str(value["did"]), str(value["name"]), tuple(identifiers))


class Directory:
    """The members by id; an identifier belongs to one of them."""

    def __init__(self, members: list[Member]) -> None:
        self.by_id = {one.id: one for one in members}
        self.by_name = {one.name.casefold(): one for one in members}
        owners: dict[str, Member] = {}
        for one in members:
            for identifier in one.identifiers:
                if owners.setdefault(identifier, one) is not one:
                    raise MalformedInput(f"{identifier} is claimed by {owners[identifier].name} and by {one.name}")

    def name(self, member: bytes) -> str:
        """What to call a member on a page for people."""
        known = self.by_id.get(member)
        return known.name if known else f"{to_hex(member)[:10]}…"

    def find(self, name: str) -> bytes:
        """The id of the member that is called so: by name, DID, identifier, beginning of a name, or id.

        Raises UnknownName.
        """
        if name.startswith("0x"):
            return from_hex(name, 32)
        exact = [one for one in self.by_id.values() if name in (one.name, one.did, *one.identifiers)]
        loose = exact or [one for one in self.by_id.values() if one.name.casefold().startswith(name.casefold())]
        if len(loose) != 1:
            could = (
                f"could be {', '.join(sorted(one.name for one in loose))}" if loose else "is nobody in the directory"
            )
            raise UnknownName(f"{name} {could}")
        return loose[0].id

    @classmethod
    def read(cls, path: Path) -> Self:
        if not path.exists():
            return cls([])
        value = canonical.parse(path.read_bytes()[:MAX_DIRECTORY_BYTES])
        return cls([Member.parse(one, f"/{index}") for index, one in enumerate(value)])

    def write(self, path: Path) -> None:
        write_file(path, orjson.dumps([one.as_json() for one in self.by_id.values()], option=orjson.OPT_INDENT_2))


@dataclass(frozen=True, slots=True)
class ServiceKeys:
    """The service's keys, all derived from one 32-byte secret (HKDF-SHA-256, one label each)."""

    secret: bytes = field(repr=False)

    def derive(self, label: str) -> bytes:
        return HKDF(SHA256(), 32, None, f"tallystick {label} v1".encode()).derive(self.secret)

    @property
    def operator(self) -> LocalKey:
        """Sends anchors, and nothing else, so that its nonces are the anchoring's own."""
        return LocalKey.from_bytes(self.derive("operator"))

    @property
    def relay(self) -> LocalKey:
        """Sends members' key changes and votes."""
        return LocalKey.from_bytes(self.derive("relay"))

    @property
    def custody_relay(self) -> LocalKey:
        """Sends members' steps of custody, and nothing else, so that its nonces are the relay's own."""
        return LocalKey.from_bytes(self.derive("custody relay"))

    @property
    def root(self) -> LocalKey:
        """The service's own root key in the registry."""
        return LocalKey.from_bytes(self.derive("root"))

    @property
    def attestor(self) -> LocalKey:
        """Signs the blocks of the embedded chain."""
        return LocalKey.from_bytes(self.derive("attestor"))

    def log(self, origin: str) -> NoteKey:
        """Signs checkpoints and promises."""
        return NoteKey(origin, LOG_KEY, self.derive("log"))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a network is founded from: its origin, its founders and where its chain is.

    `rpc_url` names a JSON-RPC node; without it the chain is embedded, with `chain_id`. `salt` hides members behind
    their ids.
    """

    origin: str
    salt: bytes
    founders: tuple[tuple[Member, Founder], ...]
    chain_id: int = 131_277
    rpc_url: str | None = None
    witnesses: tuple[VerifierKey, ...] = ()
    retirement_blocks: int = 100

    @classmethod
    def of(cls, value: Mapping[str, Any], *, random: Callable[[int], bytes]) -> Self:
        """What to found from a plan's JSON: origin, members as `keys new` writes them, and optionally chainId, rpcUrl,
        salt, retirementBlocks and more witnesses. Raises MalformedInput.
        """
        known = {"origin", "members", "chainId", "rpcUrl", "salt", "retirementBlocks", "witnesses"}
        if not {"origin", "members"} <= value.keys() <= known:
            raise MalformedInput(f"a plan has origin and members, and may have {', '.join(sorted(known))}")
        salt = from_hex(value["salt"], 32, "/salt") if "salt" in value else random(32)
        founders: list[tuple[Member, Founder]] = []
        witnesses: list[VerifierKey] = []
        for index, one in enumerate(value["members"]):
            where = f"/members/{index}"
            try:
                first_keys = []
                for at, key in enumerate(one["keys"]):
                    unknown = [name for name in key["purposes"] if name not in keys.PURPOSES]
                    if unknown:
                        raise MalformedInput(f"unknown purpose {unknown[0]!r}", f"{where}/keys/{at}/purposes")
                    bits = sum(keys.PURPOSES[name] for name in set(key["purposes"]))
                    address = from_hex(key["address"], 20, f"{where}/keys/{at}/address")
                    first_keys.append(FirstKey(address, bits, bool(key.get("custodial", False))))
                own_id = member_id(one["did"], salt)
                member = Member(own_id, one["did"], one["name"], tuple(one.get("identifiers", ())))
                founder = Founder(
                    own_id,
                    from_hex(one["rootKey"], 20, f"{where}/rootKey"),
                    from_hex(one["nextRootHash"], 32, f"{where}/nextRootHash"),
                    bool(one.get("voting", True)),
                    tuple(first_keys),
                )
                if "witness" in one:
                    witnesses.append(VerifierKey.parse(one["witness"]))
            except (KeyError, TypeError) as error:
                raise MalformedInput(
                    f"a member has name, did, rootKey, nextRootHash and keys: {error}", where
                ) from error
            founders.append((member, founder))
        witnesses += [VerifierKey.parse(one) for one in value.get("witnesses", ())]
        if any(one.kind != WITNESS_KEY for one in witnesses):
            raise MalformedInput("a witness key is of type 4 (cosignature/v1)", "/witnesses")
        return cls(
            origin=value["origin"],
            salt=salt,
            founders=tuple(founders),
            chain_id=value.get("chainId") or 131_277,
            rpc_url=value.get("rpcUrl"),
            witnesses=tuple(witnesses),
            retirement_blocks=value.get("retirementBlocks") or 100,
        )


class Network:
    """An open network folder: the ledger with its chain, relay and keys, the directory and the witnesses."""

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        relaying: Relaying,
        service: ServiceKeys,
        description: Mapping[str, Any],
        now: Callable[[], int] = now_ms,
    ) -> None:
        self.folder = folder
        self.now = now
        self.ledger = ledger
        self.relaying = relaying
        self.service = service
        self.salt = from_hex(description["salt"], 32, "/salt")
        self.witnesses = tuple(VerifierKey.parse(one) for one in description["witnesses"])
        self.is_demo = bool(description.get("demo", False))
        self.directory = Directory.read(folder / "members.json")

    @property
    def service_member(self) -> bytes:
        """The id of the service itself, which issues impact reports."""
        return service_id(self.ledger.origin, self.salt)

    @classmethod
    def found(
        cls,
        settings: Settings,
        plan: Plan,
        *,
        secret: bytes,
        now: Callable[[], int] = now_ms,
        demo: bool = False,
        scrypt_cost: int = SCRYPT_COST,
    ) -> None:
        """Write a new network into the folder and deploy its contracts; `secret` is 32 fresh random bytes.

        Raises NetworkExists where there is one. Interrupted half-way it leaves no network.json, and may be run again.
        """
        from ledger_service.chain.embedded import EmbeddedChain, Genesis
        from ledger_service.chain.rpc import JsonRpcChain

        folder = settings.data
        if (folder / "network.json").exists():
            raise NetworkExists(f"{folder} holds a network already: name another folder")
        check_name(plan.origin)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in ("chain.sqlite", "chain.sqlite-wal", "chain.sqlite-shm", "ledger.sqlite"):
            (folder / left).unlink(missing_ok=True)
        service = ServiceKeys(secret)
        own = Founder(
            service_id(plan.origin, plan.salt),
            service.root.address,
            bytes(32),
            voting=False,
            keys=(
                FirstKey(service.operator.address, keys.CHECKPOINT | keys.REPORT),
                FirstKey(service.relay.address, keys.RELAY),
                FirstKey(service.custody_relay.address, keys.RELAY),
            ),
        )
        founding = Founding(
            founders=(*(founder for _, founder in plan.founders), own),
            relayers=(service.relay.address, service.custody_relay.address),
            operators=((keccak(plan.origin.encode()), service.operator.address),),
            retirement_blocks=plan.retirement_blocks,
        )
        description: dict[str, Any] = {
            "demo": demo,
            "origin": plan.origin,
            "salt": to_hex(plan.salt),
            "witnesses": [one.text for one in plan.witnesses],
        }
        if plan.rpc_url is None:
            genesis = Genesis(plan.chain_id, now() // 1000)
            chain: Any = EmbeddedChain.create(
                folder / "chain.sqlite", genesis, attestor=service.attestor, now=lambda: now() // 1000
            )
            description["chain"] = {"engine": "embedded"}
        else:
            chain = JsonRpcChain.connect(plan.rpc_url)
            description["chain"] = {"engine": "rpc", "url": plan.rpc_url}
        try:
            contracts = chain.deploy(founding, service.relay)
        finally:
            chain.close()
        description["chain"] |= {
            "checkpoints": to_hex(contracts.checkpoints),
            "custody": to_hex(contracts.custody),
            "registry": to_hex(contracts.registry),
        }
        passphrase = read_passphrase(settings)
        write_key_file(folder / "service.json", secret, passphrase, scrypt_cost)
        Directory([member for member, _ in plan.founders]).write(folder / "members.json")
        # Last: a folder without it holds no network.
        write_file(folder / "network.json", orjson.dumps(description, option=orjson.OPT_INDENT_2))

    @classmethod
    def open(
        cls, settings: Settings, *, now: Callable[[], int] | None = None, steps: Callable[[str], None] = no_step
    ) -> Self:
        """The network in the folder. `now` (ms UTC) stamps its blocks; a clock of one's own is for the demo only.

        Raises NoNetwork, WrongPassphrase, what the chain and the ledger raise when they do not fit each other.
        """
        from ledger_service.chain.embedded import EmbeddedChain
        from ledger_service.chain.port import Contracts
        from ledger_service.chain.rpc import JsonRpcChain

        folder = settings.data
        description = read_description(folder)
        if now is not None and not description.get("demo"):
            raise LedgerError("a settable clock is for a demo network only; this one is not a demo")
        clock = now or now_ms
        service = ServiceKeys(read_key_file(folder / "service.json", read_passphrase(settings)))
        place = description["chain"]
        if place["engine"] == "embedded":
            chain: Any = EmbeddedChain.open(
                folder / "chain.sqlite", attestor=service.attestor, now=lambda: clock() // 1000
            )
        else:
            contracts = Contracts(*(from_hex(place[name], 20) for name in ("registry", "checkpoints", "custody")))
            chain = JsonRpcChain.connect(place["url"], contracts, confirmations=settings.confirmations)
        rules = Rules(
            clock_tolerance=settings.clock_tolerance_seconds * 1000,
            max_backlog=settings.max_backlog,
            stream_gap_after=settings.stream_gap_after_seconds * 1000,
        )
        try:
            origin = description["origin"]
            ledger = Ledger(
                Store.open(folder / "ledger.sqlite"),
                chain,
                origin=origin,
                log_key=service.log(origin),
                operator=service.operator,
                rules=rules,
                steps=steps,
            )
            relaying = Relaying(
                ledger.store,
                chain,
                service.custody_relay,
                interval=settings.custody_release_interval_seconds,
                spread=settings.custody_release_spread_seconds,
                random=SystemRandom(),
                steps=steps,
            )
        except BaseException:
            chain.close()
            raise
        return cls(folder, ledger, relaying, service, description, clock)

    def trust(self, *, pin: bool = False) -> Trust:
        """The trust file of this network with its witnesses."""
        return trust(self.ledger, self.witnesses, pin=pin)

    def close(self) -> None:
        self.ledger.close()


def read_description(folder: Path) -> dict[str, Any]:
    """What network.json says; raises NoNetwork."""
    try:
        data = (folder / "network.json").read_bytes()
    except FileNotFoundError as error:
        raise NoNetwork(f"{folder} holds no network: found one with `tallystick init`, or name its folder") from error
    value: dict[str, Any] = canonical.parse(data)
    return value


def read_passphrase(settings: Settings) -> bytes:
    """The passphrase of the service's key file; raises LedgerError where none is set."""
    if settings.passphrase_file is not None:
        return settings.passphrase_file.read_bytes().rstrip(b"\r\n")
    if settings.passphrase is not None:
        return settings.passphrase.get_secret_value().encode()
    raise LedgerError(
        "set TALLYSTICK_PASSPHRASE_FILE (or TALLYSTICK_PASSPHRASE): the service's keys are kept encrypted"
    )

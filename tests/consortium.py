"""A small consortium for tests: members with real keys on a real embedded chain, and a clock that tests move."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ledger_service import keys
from ledger_service.bundle import trust
from ledger_service.chain.embedded import EmbeddedChain, Genesis
from ledger_service.chain.port import Chain, FirstKey, Founder, Founding
from ledger_service.checkpoint import LOG_KEY, WITNESS_KEY, NoteKey
from ledger_service.envelope import Envelope
from ledger_service.evidence import Trust
from ledger_service.keys import LocalKey, keccak
from ledger_service.ledger import Call, Ledger, Registration, Rules, examine, no_step
from ledger_service.mandates import KeyChange, key_change, vote_digest, votes
from ledger_service.membership import Fact, KeyAdded, KeyRevoked, OperatorSet
from ledger_service.store import Store
from tests.custody import clock_text

ORIGIN = "ledger.example.org/test"
NOON = 1_790_000_000_000
"""2026-09-21 14:13:20 UTC in ms: when every test's clock starts."""


def key(name: str) -> LocalKey:
    """The key that this name always has in tests."""
    return LocalKey.from_bytes(sha256(f"test key {name}".encode()).digest())


def member_id(name: str) -> bytes:
    return keccak(f"did:web:{name}.example.org".encode() + b"test salt")


def stream_id(name: str) -> bytes:
    return sha256(f"stream {name}".encode()).digest()


@dataclass
class Clock:
    """Time as the test tells it, in ms UTC."""

    now: int = NOON

    def seconds(self) -> int:
        return self.now // 1000

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * 1000)


FOUNDERS = ("havelmark", "nordrand", "duero", "oderland")


def founding(names: tuple[str, ...] = FOUNDERS) -> Founding:
    """Voting members with one signing key each, and the service with its own purposes and no vote."""
    everything = keys.EVENTS | keys.AGREEMENTS | keys.LOGIN
    members = tuple(
        Founder(
            member_id(name),
            key(f"{name} root").address,
            keccak(key(f"{name} next root").address.rjust(32, b"\x00")),
            True,
            (FirstKey(key(name).address, everything),),
        )
        for name in names
    )
    service = Founder(
        member_id("service"),
        key("service root").address,
        bytes(32),
        False,
        (FirstKey(key("operator").address, keys.CHECKPOINT | keys.REPORT | keys.RELAY),),
    )
    return Founding(
        founders=(*members, service),
        relayers=(key("operator").address, key("custody relay").address),
        operators=((keccak(ORIGIN.encode()), key("operator").address),),
    )


def _as_it_is(chain: Chain) -> Chain:
    return chain


@cache
def founded_chain(now: int, names: tuple[str, ...] = FOUNDERS) -> bytes:
    """The file of a chain on which the contracts stand, made once for all tests: deploying them takes a while."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "chain.sqlite"
        chain = EmbeddedChain.create(path, Genesis(131_277, now - 3600), attestor=key("attestor"), now=lambda: now)
        chain.deploy(founding(names), key("operator"))
        chain.close()
        return path.read_bytes()


@cache
def empty_store() -> bytes:
    """The file of a ledger with nothing in it, made once for all tests: its migrations take a while."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        Store.open(path).close()
        return path.read_bytes()


@dataclass
class Consortium:
    """A ledger in a folder, its members' keys and its clock."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    rules: Rules = field(default_factory=Rules)
    steps: Callable[[str], None] = no_step
    wrap: Callable[[Chain], Chain] = _as_it_is
    origin: str = ORIGIN
    founders: tuple[str, ...] = FOUNDERS
    ledger: Ledger = field(init=False)
    _sequences: dict[bytes, int] = field(default_factory=dict)
    _nonces: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        path = self.folder / "chain.sqlite"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(founded_chain(self.clock.seconds(), self.founders))
            (self.folder / "ledger.sqlite").write_bytes(empty_store())
        self.open()

    def open(self) -> None:
        path = self.folder / "chain.sqlite"
        chain = self.wrap(EmbeddedChain.open(path, attestor=key("attestor"), now=self.clock.seconds))
        store = Store.open(self.folder / "ledger.sqlite")
        try:
            self.ledger = Ledger(
                store,
                chain,
                origin=self.origin,
                log_key=NoteKey(self.origin, LOG_KEY, sha256(b"test log key").digest()),
                operator=key("operator"),
                rules=self.rules,
                steps=self.steps,
            )
        except BaseException:
            chain.close()
            store.close()
            raise

    def close(self) -> None:
        self.ledger.close()

    def restart(self) -> None:
        self.close()
        self.open()

    @property
    def trust(self) -> Trust:
        return trust(self.ledger, [witness("havelmark").verifier, witness("duero").verifier])

    def envelope(
        self,
        issuer: str = "duero",
        to: tuple[str, ...] = ("nordrand",),
        *,
        content: dict[str, Any] | None = None,
        stream: str | None = None,
        sequence: int | None = None,
        kind: str = "epcis-event",
        signer: LocalKey | None = None,
        issued_at: int | None = None,
    ) -> Envelope:
        """The next statement of a stream, signed by its issuer; any part of it can be another."""
        stream_key = stream_id(stream or f"{issuer} to {' '.join(to)}")
        if sequence is None:
            sequence = self._sequences.get(stream_key, 0) + 1
        self._sequences[stream_key] = max(sequence, self._sequences.get(stream_key, 0))
        members = sorted(keys.to_hex(member_id(name)) for name in to)
        return Envelope.seal(
            {"to": members, **(content or event(sequence))},
            issuer=member_id(issuer),
            kind=kind,
            stream=stream_key,
            sequence=sequence,
            issued_at=self.clock.now if issued_at is None else issued_at,
            secret=sha256(stream_key + sequence.to_bytes(8) + repr(content).encode()).digest(),
            signer=signer or key(issuer),
            domain=self.ledger.domain,
        )

    def change_key(self, member: str, change: KeyChange) -> None:
        """A change of a member's keys, by its root key, on the chain; the ledger hears of it at its next look."""
        mandate = key_change(
            change,
            nonce=self._nonces.get(member, 0),
            deadline=self.clock.seconds() + 86_400,
            root=key(f"{member} root"),
            domain=self.ledger.domain,
        )
        self.ledger.anchoring.chain.relay(mandate.function, mandate.arguments, key("relayer"))
        self._nonces[member] = self._nonces.get(member, 0) + 1

    def add_key(self, member: str, name: str, *, custodial: bool = False) -> LocalKey:
        """Another key for statements, known to the chain and to the ledger."""
        self.change_key(member, KeyAdded(member_id(member), key(name).address, keys.EVENTS, custodial))
        self.ledger.anchoring.refresh()
        return key(name)

    def revoke_key(self, member: str, name: str, *, compromised_seconds_ago: int = 60) -> None:
        """Revoked on the chain, which the ledger has not read yet."""
        since = self.clock.seconds() - compromised_seconds_ago
        self.change_key(member, KeyRevoked(member_id(member), key(name).address, since))

    def set_operator(self, name: str) -> None:
        """Who may anchor."""
        self.vote(OperatorSet(keccak(self.origin.encode()), key(name).address))

    def vote(self, change: Fact) -> None:
        """A vote of two thirds of the founders, by which the registry carries it out."""
        expires = self.clock.seconds() + 86_400
        nonce = self._nonces.get("votes", 0)
        self._nonces["votes"] = nonce + 1
        signatures = {}
        for founder in self.founders[: -(-2 * len(self.founders) // 3)]:
            digest = vote_digest(change, member_id(founder), expires_at=expires, nonce=nonce, domain=self.ledger.domain)
            signatures[member_id(founder)] = key(f"{founder} root").sign(digest)
        mandate = votes(change, signatures, expires_at=expires, nonce=nonce)
        self.ledger.anchoring.chain.relay(mandate.function, mandate.arguments, key("relayer"))

    def register(self, *envelopes: Envelope, keep_good: bool = False) -> Registration:
        return self.register_bytes([one.data for one in envelopes], keep_good=keep_good)

    def register_bytes(self, items: list[bytes], *, keep_good: bool = False) -> Registration:
        examined = examine(items, self.ledger.domain, self.clock.now)
        return self.ledger.register(Call(examined, keep_good), self.clock.now)

    def publish(self) -> None:
        while self.ledger.publish(self.clock.now):
            pass


def witness(name: str) -> NoteKey:
    """The cosigning key of a member that watches the log."""
    return NoteKey(f"witness.{name}.example.org", WITNESS_KEY, sha256(f"witness {name}".encode()).digest())


def event(number: int = 1, **changes: Any) -> dict[str, Any]:
    """The content of an EPCIS event about one pallet, without its audience."""
    body = {
        "type": "ObjectEvent",
        "eventTime": "2026-09-18T14:10:00Z",
        "eventTimeZoneOffset": "+02:00",
        "epcList": [f"urn:epc:id:sscc:9521000.4{number:09d}"],
        "action": "OBSERVE",
        "bizStep": "shipping",
    }
    return {"event": body | changes, "context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"]}


def despatch(
    taker: str, number: str = "80417731", *, at: int = NOON, hours: int = 48, **changes: Any
) -> dict[str, Any]:
    """The content of a despatch of one pallet to `taker`, without its audience."""
    return {
        "document": {"type": "delivery-note", "number": number},
        "taker": keys.to_hex(member_id(taker)),
        "despatchedAt": clock_text(at),
        "deadline": clock_text(at + hours * 3_600_000),
        "units": [{"id": "licence-plate:UN049505160P00001", "contents": [SHAFTS]}],
        **changes,
    }


def receipt(offer: bytes, *, at: int = NOON, **changes: Any) -> dict[str, Any]:
    """The content of a receipt that accepts that pallet, without its audience."""
    return {
        "document": {"type": "goods-receipt", "number": f"GR-{offer.hex()[:8]}"},
        "despatch": keys.to_hex(offer),
        "receivedAt": clock_text(at),
        "outcome": "accepted",
        "basis": "scanned",
        "units": ["licence-plate:UN049505160P00001"],
        **changes,
    }


SHAFTS = {"part": "https://id.gs1.org/01/09521004100011", "quantity": "60", "uom": "H87"}

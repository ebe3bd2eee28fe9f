"""Bundles that no ledger of ours would make: every word of them chosen here, and every proof and signature good.

Built from the second verifier's own primitives and a signing library, so that what the first one's makers never thought
of can be put before both.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import coincurve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.reference import merkle
from tests.verify.second import second

ORIGIN = "ledger.example.org/forged"
CHAIN_ID = 5
REGISTRY, CHECKPOINTS, CUSTODY = b"\x01" * 20, b"\x02" * 20, b"\x03" * 20
START = 1_790_000_000
"""Block times in s: block n is at START + n."""


def signer(name: str) -> coincurve.PrivateKey:
    return coincurve.PrivateKey(hashlib.sha256(f"forged {name}".encode()).digest())


def address(name: str) -> bytes:
    found: bytes = second().keccak(signer(name).public_key.format(compressed=False)[1:])[12:]
    return found


def member(name: str) -> bytes:
    return hashlib.sha256(f"member {name}".encode()).digest()


def root_of(name: str) -> bytes:
    return b"\x09" * 20 if name == "duero" else address(f"{name} root")


def sign(name: str, digest: bytes) -> bytes:
    made = signer(name).sign_recoverable(digest, hasher=None)
    return made[:64] + bytes([made[64] + 27])


@dataclass(frozen=True)
class Change:
    """A membership change in a block, its data as the words of its kind."""

    block: int
    kind: int
    data: bytes


def admitted(block: int, name: str) -> Change:
    return Change(block, 1, second().words(member(name), root_of(name), bytes(32), 1))


def standing(block: int, name: str, kind: int) -> Change:
    """Suspended (2), reinstated (3) or expelled (4)."""
    return Change(block, kind, member(name))


def key_added(block: int, name: str, key: str, *, purposes: int = 7, custodial: bool = False) -> Change:
    return Change(block, 5, second().words(member(name), address(key), purposes, int(custodial)))


def key_retired(block: int, name: str, key: str, effective: int) -> Change:
    return Change(block, 6, second().words(member(name), address(key), effective))


def key_revoked(block: int, name: str, key: str, since: int) -> Change:
    return Change(block, 7, second().words(member(name), address(key), since))


def operator_set(block: int, key: str, origin: str = "") -> Change:
    """Whose key may anchor the origin."""
    v = second()
    return Change(block, 11, v.words(v.keccak((origin or ORIGIN).encode()), address(key)))


@dataclass(frozen=True)
class Said:
    """A statement, and what the bundle says of it."""

    issuer: str = "duero"
    key: str = "duero"
    sequence: int = 1
    stream: bytes = b"\x11" * 32
    registered_at: int = (START + 5) * 1000
    void: str | None = None
    kind: str = "void"
    content: dict[str, Any] = field(default_factory=lambda: {"to": [], "reason": "forged"})
    shown: tuple[str, ...] | None = None
    """Pointers of the fields that are disclosed, in this order; None: all is shown."""


@dataclass(frozen=True)
class Anchor:
    block: int
    size: int
    changes: int | None = None
    """How many changes it covers; None: all."""
    head: bytes | None = None
    previous: int | None = None
    """The size of the anchor before; None: as the last one here says."""
    previous_time: int = 0
    extra: bytes = b""
    status: bytes = b"\x01"
    prefix: bytes = b"\x02"
    """The type of the transaction before its receipt (EIP-2718)."""
    others: tuple[tuple[bytes, tuple[bytes, ...], bytes], ...] = ()
    """Events beside that of the anchor, as (contract, topics, data)."""
    times: int = 1
    """How often the anchor's event is there."""
    more_data: bytes = b""
    fields: int = 15
    """How many fields the header has."""
    bent: tuple[tuple[int, bytes], ...] = ()
    """Fields of the header in whose place others stand."""
    attested_by: str | None = "attestor"


@dataclass(frozen=True)
class Forgery:
    """What goes into a bundle and its trust file; the rest follows from it."""

    changes: tuple[Change, ...] = (admitted(1, "duero"), key_added(1, "duero", "duero"))
    said: tuple[Said, ...] = (Said(),)
    anchors: tuple[Anchor, ...] = (Anchor(10, 1),)
    stated: int | None = None
    """How many changes the checkpoint states; None: all."""
    validators: tuple[str, ...] = ()
    attestor: str | None = "attestor"
    pinned: bool = False
    seal: tuple[tuple[str, ...], ...] = ()
    """Whose seals each anchor's block carries, on a QBFT chain."""
    more: tuple[tuple[str, Any], ...] = ()
    """Members of the bundle that are put in the place of what was made."""

    def made(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The bundle and the trust file."""
        v = second()
        heads = [bytes(32)]
        changes = []
        for index, one in enumerate(self.changes, 1):
            words = v.words(index, one.block, START + one.block, one.kind, 160, len(one.data))
            heads.append(v.keccak(heads[-1], words, one.data + bytes(-len(one.data) % 32)))
            changes.append(
                {
                    "index": index,
                    "blockNumber": one.block,
                    "blockTime": START + one.block,
                    "kind": one.kind,
                    "data": v.to_hex(one.data),
                }
            )
        entries, statements = [], []
        for said in self.said:
            entry, statement = self._statement(said)
            entries.append(v.leaf_hash(entry))
            statements.append(statement)
        size, root = len(entries), merkle.root(entries)
        for index, statement in enumerate(statements):
            statement["index"] = index
            statement["inclusion"] = [_base64(one) for one in merkle.path(index, entries)]
        anchors, blocks, before = [], [], 0
        for number, anchor in enumerate(self.anchors):
            covered = len(changes) if anchor.changes is None else anchor.changes
            event = v.words(
                anchor.size,
                merkle.root(entries[: anchor.size]),
                before if anchor.previous is None else anchor.previous,
                anchor.previous_time,
                heads[covered] if anchor.head is None else anchor.head,
                covered,
            )
            before = anchor.size
            header, proof = self._block(anchor, v.Log(CHECKPOINTS, topics(), event), number)
            hashed = v.Block.parse(header, qbft=True).hash if self.validators else v.keccak(header)
            blocks.append({"number": anchor.block, "hash": v.to_hex(hashed)})
            digest = v.attestation_digest(hashed, CHAIN_ID)
            anchors.append(
                {
                    "size": anchor.size,
                    "root": _base64(merkle.root(entries[: anchor.size])),
                    "consistency": [_base64(one) for one in _consistency(anchor.size, entries)],
                    "transaction": "0x" + "ee" * 32,
                    "header": v.to_hex(header),
                    "receiptIndex": 0,
                    "receiptProof": [v.to_hex(one) for one in proof],
                    "attestation": None if anchor.attested_by is None else v.to_hex(sign(anchor.attested_by, digest)),
                }
            )
        stated = len(changes) if self.stated is None else self.stated
        text = f"{ORIGIN}\n{size}\n{_base64(root)}\nregistry {stated} {_base64(heads[stated])}\n"
        log = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
        public = b"\x01" + log.public_key().public_bytes_raw()
        key_id = hashlib.sha256(ORIGIN.encode() + b"\n" + public).digest()[:4]
        bundle = {
            "format": "tallystick-bundle/1",
            "head": f"{text}\n— {ORIGIN} {_base64(key_id + log.sign(text.encode()))}\n",
            "statements": statements,
            "streams": _spans(self.said),
            "anchors": anchors,
            "changes": changes,
            "headers": [],
            **dict(self.more),
        }
        trust = {
            "format": "tallystick-trust/1",
            "origin": ORIGIN,
            "logKey": f"{ORIGIN}+{key_id.hex()}+{_base64(public)}",
            "chain": {"chainId": CHAIN_ID, "genesisHash": "0x" + "00" * 32},
            "contracts": {
                name: {"address": v.to_hex(one), "codeHash": "0x" + "00" * 32}
                for name, one in (
                    ("MemberRegistry", REGISTRY),
                    ("CheckpointRegistry", CHECKPOINTS),
                    ("CustodyLedger", CUSTODY),
                )
            },
            "validators": [v.to_hex(address(one)) for one in self.validators],
            "attestor": None if self.attestor is None else v.to_hex(address(self.attestor)),
            "pinned": blocks[-1] if self.pinned else None,
            "witnesses": [],
        }
        return bundle, trust

    def _statement(self, one: Said) -> tuple[bytes, dict[str, Any]]:
        v = second()
        secret = hashlib.sha256(f"secret {one.issuer} {one.sequence}".encode()).digest()
        fields = v.fields_of(one.content)
        salts = [v.hmac.new(secret, path.encode(), hashlib.sha256).digest() for path, _ in fields]
        leaves = [v.field_leaf(path, value, salt) for (path, value), salt in zip(fields, salts, strict=True)]
        header = v.Header(
            member(one.issuer), one.kind, one.stream, one.sequence, one.registered_at, merkle.root(leaves)
        )
        digest = header.digest(v.typed_domain(CHAIN_ID, REGISTRY))
        signature = sign(one.key, digest)
        statement: dict[str, Any] = {
            "header": {
                "issuer": v.to_hex(header.issuer),
                "kind": header.kind,
                "stream": v.to_hex(header.stream),
                "sequence": header.sequence,
                "issuedAt": header.issued_at,
                "contentRoot": v.to_hex(header.content_root),
            },
            "signature": v.to_hex(signature),
            "registeredAt": one.registered_at,
        }
        if one.void is not None:
            statement["void"] = one.void
        if one.shown is None:
            statement |= {"content": one.content, "secret": v.to_hex(secret)}
        else:
            names = [path for path, _ in fields]
            statement["disclosed"] = [
                {
                    "path": path,
                    "value": fields[names.index(path)][1],
                    "salt": v.to_hex(salts[names.index(path)]),
                    "index": names.index(path),
                    "fields": len(fields),
                    "proof": [v.to_hex(one) for one in merkle.path(names.index(path), leaves)],
                }
                for path in one.shown
            ]
        return digest + hashlib.sha256(signature).digest() + one.registered_at.to_bytes(8), statement

    def _block(self, anchor: Anchor, log: Any, number: int) -> tuple[bytes, list[bytes]]:
        """A block with one receipt in which one event stands; its receipt's trie is one leaf."""
        v = second()
        logs = [[one, list(topics), data] for one, topics, data in anchor.others]
        logs += [[log.address, list(log.topics), log.data + anchor.more_data]] * anchor.times
        receipt = v.write_rlp([anchor.status, b"\x52\x08", bytes(256), logs])
        leaf = v.write_rlp([b"\x20\x80", anchor.prefix + receipt])
        fields = [bytes([number + 1]) * 32, bytes(32), bytes(20), bytes(32), bytes(32), v.keccak(leaf), bytes(256)]
        fields += [b"", v.write_integer(anchor.block), b"\x01", b"\x01", v.write_integer(START + anchor.block)]
        fields += [anchor.extra, bytes(32), bytes(8)]
        if self.validators:
            vanity, addresses = bytes(32), [address(one) for one in self.validators]
            fields[12] = v.write_rlp([vanity, addresses, [], b"\x03", []])
            digest = v.keccak(v.write_rlp(fields))
            seals = [sign(one, digest) for one in self.seal[number]]
            seals = [one[:64] + bytes([one[64] - 27]) for one in seals]
            fields[12] = v.write_rlp([vanity, addresses, [], b"\x03", seals])
        more = [b"\x01", bytes(32), b"", b"", bytes(32), bytes(32)]
        fields = [*fields, *more, *([b""] * 10)][: anchor.fields]
        for at, value in anchor.bent:
            fields[at] = value
        return v.write_rlp(fields), [leaf]


def topics() -> tuple[bytes, bytes]:
    name = b"CheckpointAnchored(bytes32,uint64,bytes32,uint64,uint64,bytes32,uint64)"
    return second().keccak(name), second().keccak(ORIGIN.encode())


def _base64(data: bytes) -> str:
    return str(second().b64encode(data).decode())


def _consistency(size: int, entries: Sequence[bytes]) -> list[bytes]:
    return [] if size == len(entries) else merkle.proof(size, entries)


def _spans(said: Sequence[Said]) -> list[dict[str, Any]]:
    numbers: dict[bytes, list[int]] = {}
    for one in said:
        numbers.setdefault(one.stream, []).append(one.sequence)
    return [
        {"stream": second().to_hex(stream), "first": min(found), "last": max(found)}
        for stream, found in numbers.items()
    ]


PLAIN = Forgery()


def forged(**parts: Any) -> Forgery:
    return replace(PLAIN, **parts)

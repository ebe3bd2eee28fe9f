"""What a partner signs: a statement's header, its salted field tree and its EIP-712 digest. Pure.

The content is a JSON object in the strict profile of `canonical`. Each of its scalars and empty containers is a leaf

    SHA-256(0x00 ‖ HMAC-SHA-256(secret, path) ‖ JCS([path, value]))

ordered by path (RFC 6901 pointer); `contentRoot` is their RFC 9162 root. So one field can be shown and proven alone, a
digest gives no guessable content away, and deleting content and secret breaks no proof.
"""

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from operator import itemgetter
from typing import Any, Self

import orjson

from ledger_service import merkle
from ledger_service.canonical import MAX_DEPTH, MAX_INTEGER, TYPE_COMPLAINT, MalformedJson, escape
from ledger_service.errors import LedgerError, MalformedInput, ProofError
from ledger_service.keys import EVENTS, REPORT, from_hex, keccak, to_hex

STATEMENT_TYPE = (
    "Statement(bytes32 issuer,string kind,bytes32 stream,uint64 sequence,uint64 issuedAt,bytes32 contentRoot)"
)
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
SECRET_BYTES = 32
MAX_FIELDS = 4096
MAX_CONTENT_DEPTH = MAX_DEPTH - 8
"""Content nests less deep than JSON may, so that envelopes, calls and bundles can still be wrapped around it."""
_KIND = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_HEADER_KEYS = {"contentRoot", "issuedAt", "issuer", "kind", "sequence", "stream"}
_TYPE_HASH = keccak(STATEMENT_TYPE.encode())


PURPOSE_OF_KIND = {
    "epcis-event": EVENTS,
    "void": EVENTS,
    "despatch": EVENTS,
    "gate-arrival": EVENTS,
    "receipt": EVENTS,
    "complaint": EVENTS,
    "explanation": EVENTS,
    "opening": EVENTS,
    "custody-addresses": EVENTS,
    "custody-policy": EVENTS,
    "grant": EVENTS,
    "site": EVENTS,
    "part": EVENTS,
    "bill-of-material": EVENTS,
    "supply-link": EVENTS,
    "stock": EVENTS,
    "capacity": EVENTS,
    "qualification": EVENTS,
    "route-qualification": EVENTS,
    "product-price": EVENTS,
    "continuity-plan": EVENTS,
    "scenario-set": EVENTS,
    "disruption": EVENTS,
    "fact-request": EVENTS,
    "fact-answer": EVENTS,
    "impact-report": REPORT,
    "stress-report": REPORT,
}
"""The kinds of statement there are, and the purpose that the signing key of each must have."""
REPORT_KINDS = tuple(kind for kind, purpose in PURPOSE_OF_KIND.items() if purpose == REPORT)
"""What the service of a log states itself; nobody else may (`Membership.check_statement`)."""


class UnknownKind(LedgerError):
    """A kind of statement that this version does not know."""


def purpose_of(kind: str) -> int:
    """The key purpose that statements of `kind` need; raises UnknownKind."""
    try:
        return PURPOSE_OF_KIND[kind]
    except KeyError:
        known = ", ".join(PURPOSE_OF_KIND)
        raise UnknownKind(f"statements of kind {kind!r} are unknown to this version, which knows {known}") from None


@dataclass(frozen=True)
class Domain:
    """The network a statement is signed for: its chain and its MemberRegistry, whose address is its identity."""

    chain_id: int
    registry: bytes

    @cached_property
    def separator(self) -> bytes:
        """The EIP-712 domain separator."""
        return keccak(
            keccak(DOMAIN_TYPE.encode())
            + keccak(b"Tallystick")
            + keccak(b"1")
            + self.chain_id.to_bytes(32)
            + self.registry.rjust(32, b"\x00")
        )


@dataclass(frozen=True, slots=True)
class Header:
    """What is signed of a statement: who says what kind of thing, its place in a stream, when, and the root of its
    content.

    `issuer` and `stream` are 32 bytes, `sequence` counts from 1, `issued_at` is in ms UTC.
    """

    issuer: bytes
    kind: str
    stream: bytes
    sequence: int
    issued_at: int
    content_root: bytes

    def digest(self, domain: Domain) -> bytes:
        """The EIP-712 digest: what is signed, and the statement's id."""
        struct = (
            _TYPE_HASH
            + self.issuer
            + _kind_hash(self.kind)
            + self.stream
            + self.sequence.to_bytes(32)
            + self.issued_at.to_bytes(32)
            + self.content_root
        )
        return keccak(b"\x19\x01" + domain.separator + keccak(struct))

    @classmethod
    def parse(cls, value: Any, where: str = "") -> Self:
        """The header written as a JSON object with exactly the six keys; raises MalformedInput."""
        if not isinstance(value, dict) or value.keys() != _HEADER_KEYS:
            raise MalformedInput(f"a header is an object with exactly {', '.join(sorted(_HEADER_KEYS))}", where)
        kind = value["kind"]
        if not isinstance(kind, str) or len(kind) > 64 or not _KIND.fullmatch(kind):
            raise MalformedInput("a kind is lower-case words joined by hyphens, 64 characters at most", f"{where}/kind")
        return cls(
            from_hex(value["issuer"], 32, f"{where}/issuer"),
            kind,
            from_hex(value["stream"], 32, f"{where}/stream"),
            _positive(value["sequence"], f"{where}/sequence"),
            _positive(value["issuedAt"], f"{where}/issuedAt"),
            from_hex(value["contentRoot"], 32, f"{where}/contentRoot"),
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "contentRoot": to_hex(self.content_root),
            "issuedAt": self.issued_at,
            "issuer": to_hex(self.issuer),
            "kind": self.kind,
            "sequence": self.sequence,
            "stream": to_hex(self.stream),
        }


@dataclass(frozen=True, slots=True)
class DisclosedField:
    """One field of a statement, with what proves it: its salt and its path through the field tree."""

    path: str
    value: Any
    salt: bytes
    index: int
    fields: int
    proof: tuple[bytes, ...]

    def verify(self, content_root: bytes) -> None:
        """Raise ProofError unless this field is part of the content under `content_root`."""
        if isinstance(self.value, dict | list) and self.value:
            raise ProofError(f"the field {self.path} is no scalar and no empty container, so it is no field")
        leaf = _field_leaf(self.salt, self.path, self.value)
        try:
            merkle.verify_inclusion(leaf, self.index, self.fields, self.proof, content_root)
        except ProofError as error:
            raise ProofError(f"the field {self.path} is not part of the signed content: {error}") from error

    def as_json(self) -> dict[str, Any]:
        return {
            "fields": self.fields,
            "index": self.index,
            "path": self.path,
            "proof": [to_hex(value) for value in self.proof],
            "salt": to_hex(self.salt),
            "value": self.value,
        }

    @classmethod
    def parse(cls, value: Any, where: str = "") -> Self:
        if not isinstance(value, dict) or value.keys() != {"fields", "index", "path", "proof", "salt", "value"}:
            raise MalformedInput("a disclosed field has fields, index, path, proof, salt and value", where)
        if not isinstance(value["path"], str) or not isinstance(value["proof"], list):
            raise MalformedInput("a disclosed field has a pointer and a list of hashes", where)
        for name in ("fields", "index"):
            if type(value[name]) is not int or not 0 <= value[name] <= MAX_FIELDS:
                raise MalformedInput(f"{name} is a small whole number", f"{where}/{name}")
        return cls(
            value["path"],
            value["value"],
            from_hex(value["salt"], 32, f"{where}/salt"),
            value["index"],
            value["fields"],
            tuple(from_hex(item, 32, f"{where}/proof/{i}") for i, item in enumerate(value["proof"])),
        )


def log_entry(digest: bytes, signature: bytes, registered_at: int) -> bytes:
    """The 72-byte log entry of a statement: its digest, the hash of its one signature, and when it was registered
    (ms).
    """
    return digest + sha256(signature).digest() + registered_at.to_bytes(8)


def fields_of(content: Any, where: str = "") -> list[tuple[str, Any]]:
    """The leaves of `content` as (pointer, value), ordered by pointer.

    Raises MalformedJson for anything outside the strict profile, naming the place; text is taken to be free of lone
    surrogates, which `orjson` refuses to read and to write. A key of digits alone is refused as well: under it,
    `{"0": 1}` and `[1]` would be one tree of fields, and a signature over one a signature over the other.
    """
    leaves: list[tuple[str, Any]] = []
    if type(content) in (dict, list):
        _collect(content, "", 0, leaves, where)
    else:
        _check_scalar(content, where)
        leaves.append(("", content))
    if len(leaves) > MAX_FIELDS:
        raise MalformedJson(f"a statement has at most {MAX_FIELDS} fields, this one has {len(leaves)}", where)
    # Keys are ASCII and each path is unique, so text order is byte order and values are never compared.
    leaves.sort(key=itemgetter(0))
    return leaves


def content_root(content: Any, secret: bytes, where: str = "") -> bytes:
    """The root of the salted field tree of `content` under the 32-byte `secret`."""
    return merkle.root(field_hashes(fields_of(content, where), secret))


def field_hashes(fields: Iterable[tuple[str, Any]], secret: bytes) -> list[bytes]:
    """The leaf hash of each field.

    The inner loop of ingest: HMAC is unrolled into copies of the two keyed SHA-256 states (RFC 2104), which halves its
    cost against `hmac.digest`.
    """
    key = secret.ljust(64, b"\x00")
    begun_inner, begun_outer = sha256(key.translate(_IPAD)).copy, sha256(key.translate(_OPAD)).copy
    begun_leaf, dumps = _BEGUN_LEAF.copy, orjson.dumps
    hashes = []
    for field in fields:
        inner = begun_inner()
        inner.update(field[0].encode())
        salt = begun_outer()
        salt.update(inner.digest())
        leaf = begun_leaf()
        leaf.update(salt.digest() + dumps(field))
        hashes.append(leaf.digest())
    return hashes


def disclose(content: Any, secret: bytes, paths: Iterable[str]) -> list[DisclosedField]:
    """The fields at and below each of `paths`, each with its own salt and proof; unknown paths raise MalformedInput."""
    fields = fields_of(content)
    node = merkle.nodes_of(field_hashes(fields, secret))
    shown: dict[int, DisclosedField] = {}
    for wanted in paths:
        found = [i for i, (path, _) in enumerate(fields) if path == wanted or path.startswith(wanted + "/")]
        if not found:
            raise MalformedInput(f"this statement has no field {wanted!r}")
        for index in found:
            path, value = fields[index]
            salt = hmac.digest(secret, path.encode(), "sha256")
            proof = tuple(merkle.inclusion_path(node, index, len(fields)))
            shown[index] = DisclosedField(path, value, salt, index, len(fields), proof)
    return [shown[index] for index in sorted(shown)]


def audience(content: Mapping[str, Any], where: str = "") -> list[bytes]:
    """The member ids in `/to`: who may see the statement besides its issuer. Raises MalformedInput."""
    to = content.get("to")
    if not isinstance(to, list) or len(to) > 256:
        raise MalformedInput(
            "the content lists in `to` the ids of the members who may see it, 256 at most", f"{where}/to"
        )
    members = [from_hex(item, 32, f"{where}/to/{i}") for i, item in enumerate(to)]
    if members != sorted(set(members)):
        raise MalformedInput("member ids in `to` are sorted and come once each", f"{where}/to")
    return members


_IPAD = bytes(value ^ 0x36 for value in range(256))
_OPAD = bytes(value ^ 0x5C for value in range(256))
_BEGUN_LEAF = sha256(b"\x00")


@lru_cache(maxsize=256)
def _kind_hash(kind: str) -> bytes:
    return keccak(kind.encode())


def _field_leaf(salt: bytes, path: str, value: Any) -> bytes:
    return sha256(b"\x00" + salt + orjson.dumps([path, value])).digest()


class _Steps(dict[str, str]):
    """Keys as steps of a pointer. The same few hundred keys come again and again, so each is looked at once."""

    def __missing__(self, key: str) -> str:
        if not key.isascii():
            raise MalformedJson(f"the key {key!r} is not ASCII")
        if key.isdigit():
            raise MalformedJson(f"the key {key!r} is a number, which only places in a list are")
        if len(self) >= _MAX_STEPS:
            self.clear()
        step = "/" + escape(key)
        if len(key) <= _MAX_STEP:
            self[key] = step
        return step


_MAX_STEPS = 4096
_MAX_STEP = 100
_STEPS = _Steps()


def _collect(value: Any, path: str, depth: int, leaves: list[tuple[str, Any]], where: str) -> None:
    """Add the leaves of `value`, an object or a list that stands at `path`."""
    if depth >= MAX_CONTENT_DEPTH:
        raise MalformedJson(f"content nested deeper than {MAX_CONTENT_DEPTH} levels", where + path)
    if not value:
        leaves.append((path, value))
    elif type(value) is dict:
        for key, item in value.items():
            try:
                at = path + _STEPS[key]
            except MalformedJson as error:
                raise MalformedJson(error.what, where + path) from None
            kind = type(item)
            if kind is dict or kind is list:
                _collect(item, at, depth + 1, leaves, where)
            else:
                if kind is not str:
                    _check_scalar(item, where + at)
                leaves.append((at, item))
    else:
        for index, item in enumerate(value):
            at = f"{path}/{index}"
            kind = type(item)
            if kind is dict or kind is list:
                _collect(item, at, depth + 1, leaves, where)
            else:
                if kind is not str:
                    _check_scalar(item, where + at)
                leaves.append((at, item))


def _check_scalar(value: Any, where: str) -> None:
    kind = type(value)
    if kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise MalformedJson("an integer lies outside ±(2^53 - 1); write it as a string", where)
    elif kind is float:
        raise MalformedJson("a number with a fraction or an exponent; write it as a decimal string", where)
    elif value is not None and kind is not bool and kind is not str:
        raise MalformedJson(TYPE_COMPLAINT, where)


def _positive(value: Any, where: str) -> int:
    if type(value) is not int or not 0 < value <= MAX_INTEGER:
        raise MalformedInput("expected a whole number from 1 to 2^53 - 1", where)
    return value

"""Checkpoints and who vouches for them: the C2SP text formats, parsed and printed as exact inverses. Pure.

`signed-note`, `tlog-checkpoint`, `tlog-cosignature` (Ed25519) and `tlog-proof` are at https://c2sp.org. Ed25519 has
this one use.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger_service.errors import LedgerError, MalformedInput

LOG_KEY, WITNESS_KEY = 0x01, 0x04
"""The signature types of C2SP signed-note that we make and accept: Ed25519, and Ed25519 cosignature/v1."""
MAX_SIZE = 2**63 - 1
_DASH = "\u2014"
_PROOF_HEADER = "c2sp.org/tlog-proof@v1"


class MalformedNote(MalformedInput):
    """Text that is not a signed note, a checkpoint, a key or a proof in its one form."""


class UnverifiedNote(LedgerError):
    """A note without a good signature by the key that was asked for."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The first `size` entries of the log `origin`, under one Merkle root.

    `registry` is how many membership changes the log knew of and their running head: written as an extension line, so
    that whoever cosigns the tree cosigns the list of keys with it (decision 0009).
    """

    origin: str
    size: int
    root: bytes
    registry: tuple[int, bytes] | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The checkpoint written as origin, size and root, and the registry line; no other extension is read."""
        lines = text.split("\n")
        if len(lines) not in (4, 5) or lines[-1] or not lines[0]:
            raise MalformedNote(f"expected the lines origin, size, root and registry, got {text[:120]!r}")
        origin, size, root, *extension = lines[:-1]
        registry = None
        if extension:
            word, _, stated = extension[0].partition(" ")
            changes, _, head = stated.partition(" ")
            if word != "registry":
                raise MalformedNote(f"an extension line that is not known: {extension[0][:40]!r}")
            registry = _count(changes), from_base64(head, 32)
        return cls(check_name(origin), _count(size), from_base64(root, 32), registry)

    @property
    def text(self) -> str:
        extension = "" if self.registry is None else f"registry {self.registry[0]} {to_base64(self.registry[1])}\n"
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n{extension}"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line of a note: whose key it names and the bytes after the key id."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        return f"{_DASH} {self.name} {to_base64(self.key_id + self.signature)}\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """The signature written as one line, which ends in a newline."""
        parts = line.removesuffix("\n").split(" ")
        if len(parts) != 3 or parts[0] != _DASH or not line.endswith("\n"):
            raise MalformedNote(f"not a signature line: {line[:120]!r}")
        value = from_base64(parts[2])
        if len(value) < 5:
            raise MalformedNote(f"a signature of {len(value)} bytes is too short")
        return cls(check_name(parts[1]), value[:4], value[4:])


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and the signatures on it."""

    text: str
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def parse(cls, note: str) -> Self:
        if len(note) > 65536:
            raise MalformedNote("a note of more than 65,536 characters")
        text, separator, block = note.rpartition("\n\n")
        if not separator or not block.endswith("\n"):
            raise MalformedNote("a note is a text, an empty line and signature lines")
        lines = block.removesuffix("\n").split("\n")
        if len(lines) > 64:
            raise MalformedNote("a note has 64 signatures at most")
        if any(ord(letter) < 0x20 and letter != "\n" for letter in text):
            raise MalformedNote("a note has no control characters but newlines")
        return cls(text + "\n", tuple(NoteSignature.parse(line + "\n") for line in lines))

    def __str__(self) -> str:
        return self.text + "\n" + "".join(signature.line for signature in self.signatures)

    def with_signatures(self, more: Iterable[NoteSignature]) -> "Note":
        """This note with those of `more` that it does not have yet."""
        return Note(self.text, tuple(dict.fromkeys([*self.signatures, *more])))


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key that vouches for notes, written as a C2SP vkey: name+hash+base64(type ‖ key)."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        try:
            name, key_id, encoded = text.split("+", 2)
        except ValueError as error:
            raise MalformedNote(f"a key is written name+id+key, got {text[:80]!r}") from error
        raw = from_base64(encoded)
        if len(raw) != 33 or raw[0] not in (LOG_KEY, WITNESS_KEY):
            raise MalformedNote(f"the key of {name!r} is not an Ed25519 log key (type 1) or witness key (type 4)")
        key = cls(check_name(name), raw[0], raw[1:])
        if key.text != text:
            raise MalformedNote(f"the key id of {name!r} is {key.key_id.hex()}, written is {key_id[:16]!r}")
        return key

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    @property
    def text(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{to_base64(bytes([self.kind]) + self.public)}"

    def verify(self, note: Note) -> int | None:
        """The POSIX time of this key's cosignature on `note`, or None for a log key's signature.

        Raises UnverifiedNote unless the note carries a good signature by this key. Signatures by other keys are
        ignored, a bad one under this key's name and id is not (C2SP signed-note).
        """
        mine = [one for one in note.signatures if (one.name, one.key_id) == (self.name, self.key_id)]
        if not mine:
            raise UnverifiedNote(f"no signature by {self.name}")
        times = [self._verify_one(note.text, one.signature) for one in mine]
        return max((time for time in times if time is not None), default=None)

    def _verify_one(self, text: str, signature: bytes) -> int | None:
        time, message = None, text.encode()
        if self.kind == WITNESS_KEY:
            if len(signature) != 72 or signature[0] & 0x80:
                raise UnverifiedNote(f"the cosignature by {self.name} is not a time and an Ed25519 signature")
            time, signature = int.from_bytes(signature[:8]), signature[8:]
            message = _cosigned(text, time)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature as error:
            raise UnverifiedNote(f"the signature by {self.name} does not fit the text") from error
        return time


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A secret Ed25519 key that signs notes as a log, or cosigns checkpoints as a witness."""

    name: str
    kind: int
    seed: bytes = field(repr=False)

    @property
    def verifier(self) -> VerifierKey:
        return _opened(self.name, self.kind, self.seed)[1]

    def sign(self, text: str, time: int | None = None) -> NoteSignature:
        """The signature on `text`; a witness states the POSIX `time` of its cosignature, a log has none."""
        key, verifier, key_id = _opened(self.name, self.kind, self.seed)
        if self.kind == WITNESS_KEY:
            if time is None:
                raise ValueError("a cosignature states its time")
            value = time.to_bytes(8) + key.sign(_cosigned(text, time))
        else:
            value = key.sign(text.encode())
        return NoteSignature(verifier.name, key_id, value)


@dataclass(frozen=True, slots=True)
class LogProof:
    """One entry's inclusion under a signed checkpoint, as a C2SP `.tlog-proof` text."""

    index: int
    path: tuple[bytes, ...]
    note: Note

    @property
    def text(self) -> str:
        hashes = "".join(to_base64(value) + "\n" for value in self.path)
        return f"{_PROOF_HEADER}\nindex {self.index}\n{hashes}\n{self.note}"

    @classmethod
    def parse(cls, text: str) -> Self:
        head, separator, note = text.partition("\n\n")
        lines = head.split("\n")
        if not separator or lines[0] != _PROOF_HEADER or len(lines) < 2:
            raise MalformedNote(f"a proof starts with {_PROOF_HEADER} and an index")
        word, _, index = lines[1].partition(" ")
        if word != "index" or not index.isascii() or not index.isdigit() or str(int(index[:20])) != index:
            raise MalformedNote(f"expected an index, got {lines[1][:60]!r}")
        return cls(int(index), tuple(from_base64(line, 32) for line in lines[2:]), Note.parse(note))


def promise_text(origin: str, registered_at: int, count: int, root: bytes) -> str:
    """What the log key signs at registration: `count` leaves under `root` were taken at `registered_at` (ms UTC).

    The first line keeps a promise from ever reading as a checkpoint.
    """
    return f"tallystick.promise/v1\n{origin}\n{registered_at}\n{count}\n{to_base64(root)}\n"


def add_checkpoint_body(old_size: int, path: Sequence[bytes], note: Note) -> str:
    """The body of a C2SP tlog-witness `add-checkpoint` request."""
    return f"old {old_size}\n" + "".join(to_base64(value) + "\n" for value in path) + "\n" + str(note)


def check_name(name: str) -> str:
    """`name` if it can name a key or a log: no spaces, no plus sign (C2SP signed-note)."""
    if not name or "+" in name or not name.isprintable() or any(letter.isspace() for letter in name):
        raise MalformedNote(f"not the name of a key or a log: {name[:80]!r}")
    return name


def to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def from_base64(text: str, size: int | None = None) -> bytes:
    """The bytes written in standard Base64 (RFC 4648, section 4) with padding, in that one spelling."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedNote(f"not Base64: {text[:60]!r}") from error
    if to_base64(value) != text:
        raise MalformedNote(f"not the canonical Base64 of its bytes: {text[:60]!r}")
    if size is not None and len(value) != size:
        raise MalformedNote(f"expected {size} bytes in Base64, got {len(value)}")
    return value


@lru_cache(maxsize=64)
def _opened(name: str, kind: int, seed: bytes) -> tuple[Ed25519PrivateKey, VerifierKey, bytes]:
    """A note key ready for use, with its public half and its key id: every call that is registered is signed for."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    verifier = VerifierKey(check_name(name), kind, key.public_key().public_bytes_raw())
    return key, verifier, verifier.key_id


def _count(text: str) -> int:
    """The decimal number `text`, in its one spelling."""
    if not text.isascii() or not text.isdigit() or len(text) > 19 or str(int(text)) != text or int(text) > MAX_SIZE:
        raise MalformedNote(f"not a size in decimal digits: {text[:40]!r}")
    return int(text)


def _cosigned(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()

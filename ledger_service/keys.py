"""Signing keys: secp256k1 for everything that is evidence, one algorithm and one encoding.

A signature is 65 bytes, r ‖ s ‖ v, with s in the lower half of the group order and v 27 or 28. `ecrecover`,
OpenZeppelin's ECDSA and this module give the same verdict on every such string and on every other one;
`docs/decisions/0003` says why there is no second algorithm.
"""

from dataclasses import dataclass
from typing import Protocol

import coincurve

from ledger_service.errors import LedgerError, MalformedInput

GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SIGNATURE_BYTES = 65

EVENTS, AGREEMENTS, LOGIN, CHECKPOINT, REPORT, RELAY = 1, 2, 4, 8, 16, 32
PURPOSES = {
    "events": EVENTS,
    "agreements": AGREEMENTS,
    "login": LOGIN,
    "checkpoint": CHECKPOINT,
    "report": REPORT,
    "relay": RELAY,
}
"""What a signing key may be used for; one bit each, as `MemberRegistry` stores them."""


class BadSignature(LedgerError):
    """A signature that is not in the one accepted encoding, or that no key can have made."""


try:
    from sha3 import keccak_256 as _keccak_256

    def keccak(data: bytes) -> bytes:
        """Keccak-256 as Ethereum uses it (not SHA3-256, which pads differently)."""
        digest: bytes = _keccak_256(data).digest()
        return digest

except ImportError:  # safe-pysha3 ships wheels for Linux alone; this one is four times slower and equal
    from Crypto.Hash import keccak as _keccak

    def keccak(data: bytes) -> bytes:
        """Keccak-256 as Ethereum uses it (not SHA3-256, which pads differently)."""
        return _keccak.new(digest_bits=256, data=data).digest()


def purpose_names(purposes: int) -> list[str]:
    """The names of the bits set in `purposes`, in a fixed order."""
    return [name for name, bit in PURPOSES.items() if purposes & bit]


class Signer(Protocol):
    """Something that signs for one address: a key file today, a key service tomorrow."""

    @property
    def address(self) -> bytes: ...

    def sign(self, digest: bytes) -> bytes:
        """The 65-byte low-s signature over the 32-byte `digest`."""
        ...


@dataclass(frozen=True, slots=True)
class LocalKey:
    """A secp256k1 key held in this process."""

    secret: coincurve.PrivateKey
    address: bytes

    @classmethod
    def from_bytes(cls, secret: bytes) -> "LocalKey":
        """The key whose secret scalar is `secret` (32 bytes); raises MalformedInput outside 1…n-1."""
        if len(secret) != 32 or not 0 < int.from_bytes(secret) < GROUP_ORDER:
            raise MalformedInput("a secret key is 32 bytes between 1 and the group order")
        key = coincurve.PrivateKey(secret)
        return cls(key, _address(key.public_key))

    @property
    def secret_bytes(self) -> bytes:
        return self.secret.secret

    def sign(self, digest: bytes) -> bytes:
        """The 65-byte low-s signature over the 32-byte `digest` (RFC 6979 nonce)."""
        signature = self.secret.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([signature[64] + 27])

    def __repr__(self) -> str:
        return f"LocalKey({self.address.hex()})"


def recover(digest: bytes, signature: bytes) -> bytes:
    """The 20-byte address that signed `digest`.

    Raises BadSignature for anything but 65 bytes of low-s r ‖ s ‖ v with v 27 or 28: `eth_account` would take
    four spellings of one signature, and a second spelling would be a second leaf for the same words.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise BadSignature(f"a signature has {SIGNATURE_BYTES} bytes, this one has {len(signature)}")
    if signature[64] not in (27, 28):
        raise BadSignature(f"the last byte of a signature is 27 or 28, here {signature[64]}")
    if int.from_bytes(signature[32:64]) > GROUP_ORDER // 2:
        raise BadSignature("s is in the upper half of the group order: this is the malleable twin of a signature")
    try:
        public = coincurve.PublicKey.from_signature_and_message(
            signature[:64] + bytes([signature[64] - 27]), digest, hasher=None
        )
    except Exception as error:  # coincurve raises bare Exception for a point that is not on the curve
        raise BadSignature("no key can have made this signature") from error
    return _address(public)


def _address(public: coincurve.PublicKey) -> bytes:
    return keccak(public.format(compressed=False)[1:])[12:]


def from_hex(text: object, size: int, where: str = "") -> bytes:
    """The `size` bytes written as `text`: 0x and lower-case hexadecimal digits, no other spelling."""
    if not isinstance(text, str) or len(text) != 2 + 2 * size or not text.startswith("0x"):
        raise MalformedInput(f"expected 0x and {2 * size} lower-case hexadecimal digits, got {_shown(text)}", where)
    try:
        value = bytes.fromhex(text[2:])
    except ValueError:
        value = b""
    if value.hex() != text[2:]:
        raise MalformedInput(f"expected 0x and {2 * size} lower-case hexadecimal digits, got {_shown(text)}", where)
    return value


def bytes_from_hex(text: object, where: str = "") -> bytes:
    """The bytes, however many, written as `text` in the same one spelling."""
    size = len(text) // 2 - 1 if isinstance(text, str) else 0
    return from_hex(text, max(size, 0), where)


def to_hex(value: bytes) -> str:
    """`value` as 0x and lower-case hexadecimal digits."""
    return "0x" + value.hex()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 90 else f"{text[:80]}… ({len(text)} characters)"

"""Who calls: a challenge signed with a login key becomes a short-lived token, and a token a member.

Challenges are EIP-4361 messages for this service and this chain. They are not stored: a challenge carries its own
seal, and only those answered are remembered, until they would have expired, so that each is used once. Neither
challenge nor token is evidence of anything.
"""

import hmac
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from eth_utils.address import to_checksum_address

from api.problems import ForeignCursor, LoginRefused, Unauthenticated
from ledger_service import keys
from ledger_service.checkpoint import from_base64, to_base64
from ledger_service.errors import LedgerError
from ledger_service.keys import keccak, to_hex
from ledger_service.membership import KeyNotValid, Membership

CHALLENGE_SECONDS = 300
MAX_SEEN = 4096
"""Tokens whose seal is remembered as good; whether they still count is asked anew each time."""
ALGORITHM = "HS256"
AUDIENCE = "tallystick api"
_NONCE = re.compile(r"\nNonce: ([0-9a-f]{64})\n")
_ISSUED = re.compile(r"\nIssued At: (\S{1,40})\n")
_ADDRESS = re.compile(r"\n0x([0-9a-fA-F]{40})\n")


@dataclass(frozen=True, slots=True)
class Session:
    """What a token says: which member calls, with which login key, until when (seconds UTC)."""

    member: bytes
    key: bytes
    expires_at: int


class Identity:
    """Challenges, tokens and their checks, for one service at `url` on one chain.

    `secret` is 32 bytes; `now` is ms UTC; `randomness` gives as many random bytes as asked for; `registry` gives the
    membership and the block by which keys are judged now.
    """

    def __init__(
        self,
        *,
        origin: str,
        url: str,
        chain_id: int,
        secret: bytes,
        token_minutes: int,
        now: Callable[[], int],
        randomness: Callable[[int], bytes],
        registry: Callable[[], tuple[Membership, int]],
    ) -> None:
        self._origin = origin
        self._url = url
        self._domain = urlsplit(url).netloc
        self._chain_id = chain_id
        self._secret = secret
        self._seconds = min(token_minutes, 15) * 60
        self._now = now
        self._randomness = randomness
        self._registry = registry
        self._used: dict[str, int] = {}
        self._seen: dict[str, Session] = {}
        self._lock = threading.Lock()

    def challenge(self, address: bytes) -> tuple[str, int]:
        """The message that the key `address` must sign, and when it expires (ms)."""
        issued = self._now() // 1000
        return self._message(address, issued, self._randomness(16)), (issued + CHALLENGE_SECONDS) * 1000

    def token(self, message: str, signature: bytes) -> tuple[str, int, bytes]:
        """A token, how long it lasts (s) and for which member; raises LoginRefused.

        `signature` is by EIP-191 over the challenge `message`, which is used up by this.
        """
        seconds = self._now() // 1000
        address, issued, nonce = self._read(message)
        if not issued - 60 <= seconds < issued + CHALLENGE_SECONDS:
            raise LoginRefused("the challenge has expired: ask for another one")
        data = message.encode()
        try:
            signer = keys.recover(keccak(b"\x19Ethereum Signed Message:\n%d" % len(data) + data), signature)
        except keys.BadSignature as error:
            raise LoginRefused(str(error)) from error
        if signer != address:
            raise LoginRefused(f"signed by {to_hex(signer)}, the challenge was for {to_hex(address)}")
        member = self._member(address)
        with self._lock:
            self._used = {one: until for one, until in self._used.items() if until > seconds}
            if nonce in self._used:
                raise LoginRefused("this challenge was answered before: ask for another one")
            self._used[nonce] = issued + CHALLENGE_SECONDS
        claims = {
            "aud": AUDIENCE,
            "exp": seconds + self._seconds,
            "iat": seconds,
            "iss": self._origin,
            "key": to_hex(address),
            "sub": to_hex(member),
        }
        return jwt.encode(claims, self._secret, ALGORITHM), self._seconds, member

    def session(self, token: str) -> Session:
        """The session of a token; raises Unauthenticated when it, its key or its member does not count (any more)."""
        session = self._seen.get(token)
        if session is None:
            session = self._verified(token)
            if len(self._seen) >= MAX_SEEN:
                self._seen.clear()
            self._seen[token] = session
        self.check(session)
        return session

    def _verified(self, token: str) -> Session:
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._origin,
                # Against our own clock, which in a demo is not the machine's.
                options={"verify_exp": False, "verify_iat": False, "require": ["exp", "iat", "sub", "aud", "iss"]},
            )
            return Session(bytes.fromhex(claims["sub"][2:]), bytes.fromhex(claims["key"][2:]), int(claims["exp"]))
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError) as error:
            raise Unauthenticated("the token is not one of this service: sign in again") from error

    def check(self, session: Session) -> None:
        """Raise Unauthenticated unless the session still counts."""
        if self._now() // 1000 >= session.expires_at:
            raise Unauthenticated("the token has expired: sign in again")
        membership, block = self._registry()
        try:
            membership.check_signer(session.key, session.member, keys.LOGIN, block)
        except KeyNotValid as error:
            raise Unauthenticated(f"the token's key does not count any more: {error.reason}") from error

    def _member(self, address: bytes) -> bytes:
        membership, block = self._registry()
        known = membership.keys.get(address)
        if known is None:
            raise LoginRefused(f"{to_hex(address)} is no key of a member")
        try:
            membership.check_signer(address, known.member, keys.LOGIN, block)
        except KeyNotValid as error:
            raise LoginRefused(str(error)) from error
        return known.member

    def _message(self, address: bytes, issued: int, random: bytes) -> str:
        seal = hmac.digest(self._secret, b"challenge" + address + issued.to_bytes(8) + random, "sha256")[:16]
        return (
            f"{self._domain} wants you to sign in with your Ethereum account:\n"
            f"{to_checksum_address(address)}\n"
            "\n"
            f"Sign in to the Tallystick ledger {self._origin}. This opens a session and is no evidence of anything.\n"
            "\n"
            f"URI: {self._url}\n"
            "Version: 1\n"
            f"Chain ID: {self._chain_id}\n"
            f"Nonce: {(random + seal).hex()}\n"
            f"Issued At: {_iso(issued)}\n"
            f"Expiration Time: {_iso(issued + CHALLENGE_SECONDS)}"
        )

    def _read(self, message: str) -> tuple[bytes, int, str]:
        """Address, time of issue and nonce of a message that is exactly as this service wrote it."""
        parts = [pattern.search(message) for pattern in (_ADDRESS, _ISSUED, _NONCE)]
        if all(parts):
            address, issued, nonce = (part[1] for part in parts if part)
            try:
                time = int(datetime.fromisoformat(issued).timestamp())
            except (ValueError, OverflowError):
                time = -1
            if time >= 0:
                written = self._message(bytes.fromhex(address), time, bytes.fromhex(nonce)[:16])
                if hmac.compare_digest(written.encode(), message.encode("utf-8", "replace")):
                    return bytes.fromhex(address), time, nonce
        raise LoginRefused("this is not a challenge of this service, to the letter: ask for one and sign it unchanged")


class Cursors:
    """Places in a list as text that says nothing and is good for one reader and one list (AES-SIV, RFC 5297)."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)

    def seal(self, reader: bytes, name: str, *numbers: int) -> str:
        """A cursor for `numbers`."""
        return self.seal_bytes(reader, name, b"".join(number.to_bytes(8) for number in numbers))

    def open(self, reader: bytes, name: str, cursor: str, count: int) -> tuple[int, ...]:
        """The numbers in a cursor; raises ForeignCursor unless it was made for this reader and list."""
        data = self.open_bytes(reader, name, cursor)
        if len(data) != 8 * count:
            raise ForeignCursor("this cursor is of another list")
        return tuple(int.from_bytes(data[at : at + 8]) for at in range(0, len(data), 8))

    def seal_bytes(self, reader: bytes, name: str, value: bytes) -> str:
        sealed = self._cipher.encrypt(value, [reader, name.encode()])
        return to_base64(sealed).rstrip("=").replace("+", "-").replace("/", "_")

    def open_bytes(self, reader: bytes, name: str, cursor: str) -> bytes:
        try:
            text = cursor.replace("-", "+").replace("_", "/")
            sealed = from_base64(text + "=" * (-len(text) % 4))
            return self._cipher.decrypt(sealed, [reader, name.encode()])
        except (InvalidTag, LedgerError, ValueError) as error:
            raise ForeignCursor("this is not a cursor that you were given for this list") from error


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Printed notes and who may answer them: tokens, PINs of sites, and the sessions that a right PIN opens.

A token is a capability that ends with its offer and a margin. It shows the offer, which the paper it is printed on
does too; it answers nothing. That takes the PIN of the taker's site. A PIN is short, so each paper has twenty wrong
tries and no more, counted before they are looked at, and the database alone does not help in finding it: it is hashed
together with a key of the service. Links to the pages of requests for facts are notes as well, in a table of their own.
"""

import hashlib
import hmac
import itertools
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import sqlalchemy as sa

from ledger_service.errors import LedgerError
from ledger_service.store import Store
from ledger_service.store.tables import note, site_pin

TOKEN_BYTES = 16
MARGIN_MS = 7 * 24 * 60 * 60 * 1000
"""How long after the deadline of its offer a note still shows what became of it."""
TRIES_IN_A_ROW = 5
TRIES_IN_ALL = 20
BLOCKED_MS = 15 * 60 * 1000
SESSION_MS = 30 * 60 * 1000
ALL_SITES = ""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_PIN = re.compile(r"[0-9]{6,12}", re.ASCII)
_SCRYPT = {"n": 1 << 14, "r": 8, "p": 1, "dklen": 32}


class UnfitPin(LedgerError):
    """A PIN that anybody would try first, or none at all."""


@dataclass(frozen=True, slots=True)
class Note:
    """A printed note of what the statement `about` offers or asks; times in ms. `id` is the hash of its token."""

    id: bytes
    about: bytes
    made_at: int
    ends_at: int
    tries: int
    blocked_until: int

    def is_over(self, now: int) -> bool:
        return now >= self.ends_at

    @property
    def is_dead(self) -> bool:
        """Whether it has had all its wrong tries."""
        return self.tries >= TRIES_IN_ALL


@dataclass(frozen=True, slots=True)
class Session:
    """What the reader's cookie holds. `pin_set_at` is when the PIN was set that opened it; 0: none did yet."""

    nonce: str
    until: int
    pin_set_at: int

    @property
    def is_open(self) -> bool:
        return self.pin_set_at > 0


@dataclass(frozen=True, slots=True)
class Pin:
    """That a site has a PIN, and since when (ms)."""

    site: str
    set_at: int


class Notes:
    """The notes and PINs of a ledger. `key` is 32 secret bytes of the service; `about` says what each note is of in the
    table of these notes.
    """

    def __init__(
        self,
        store: Store,
        key: bytes,
        randomness: Callable[[int], bytes],
        about: sa.Column[bytes] = note.c.despatch,
    ) -> None:
        self._store = store
        self._about = about
        self._note = about.table
        self._randomness = randomness
        self._sessions = hmac.digest(key, b"sessions", "sha256")
        self._pepper = hmac.digest(key, b"pins", "sha256")

    # -- notes ---------------------------------------------------------------------------------------------------------

    def make(self, about: bytes, deadline: int, now: int) -> str:
        """A fresh token for the page of an offer or a request; it is told once and kept as a hash."""
        token = urlsafe_b64encode(self._randomness(TOKEN_BYTES)).rstrip(b"=").decode()
        with self._store.write() as connection:
            connection.execute(
                sa.insert(self._note).values(
                    {
                        "token": sha256(token.encode()).digest(),
                        self._about.name: about,
                        "made_at": now,
                        "ends_at": max(deadline, now) + MARGIN_MS,
                        "tries": 0,
                        "blocked_until": 0,
                    }
                )
            )
        return token

    def find(self, token: str) -> Note | None:
        """The note with this token, over or not; None where there is none."""
        if not _TOKEN.fullmatch(token):
            return None
        with self._store.read() as connection:
            found = self._note.c.token == sha256(token.encode()).digest()
            row = connection.execute(sa.select(self._note).where(found)).first()
        if row is None:
            return None
        return Note(row.token, getattr(row, self._about.name), row.made_at, row.ends_at, row.tries, row.blocked_until)

    # -- PINs ----------------------------------------------------------------------------------------------------------

    def set_pin(self, member: bytes, site: str, pin: str, now: int) -> Pin:
        """Let whoever knows `pin` answer notes for `site` of `member` (ALL_SITES: those without one of their own).

        Sessions that another PIN opened end. Raises UnfitPin.
        """
        digits = [int(one) for one in pin] if _PIN.fullmatch(pin) else []
        steps = {after - before for before, after in itertools.pairwise(digits)}
        if not digits:
            raise UnfitPin("a PIN has 6 to 12 digits and nothing else")
        if steps <= {0} or steps in ({1}, {-1}):
            raise UnfitPin("digits that are all alike or in a row would be tried first: choose others")
        salt = self._randomness(16)
        values = {"salt": salt, "hash": self._hash(pin, salt), "set_at": now}
        with self._store.write() as connection:
            connection.execute(sa.delete(site_pin).where(site_pin.c.member == member, site_pin.c.site == site))
            connection.execute(sa.insert(site_pin).values(member=member, site=site, **values))
        return Pin(site, now)

    def pins(self, member: bytes) -> list[Pin]:
        """The sites of `member` that have a PIN."""
        query = sa.select(site_pin).where(site_pin.c.member == member).order_by(site_pin.c.site)
        with self._store.read() as connection:
            return [Pin(row.site, row.set_at) for row in connection.execute(query)]

    def pin_for(self, member: bytes, site: str | None) -> Pin | None:
        """The PIN that counts at `site`: its own, else the one for all sites."""
        row = self._pin_row(member, site)
        return None if row is None else Pin(row.site, row.set_at)

    def try_pin(self, one: Note, member: bytes, site: str | None, pin: str, now: int) -> Pin | None:
        """The PIN that `pin` is, None if it is wrong or the note takes no try now.

        The try is counted before it is looked at, so that many at once are not more than one after the other.
        """
        with self._store.write() as connection:
            row = connection.execute(sa.select(self._note).where(self._note.c.token == one.id)).first()
            if row is None or row.blocked_until > now or row.tries >= TRIES_IN_ALL:
                return None
            tries = row.tries + 1
            blocked = now + BLOCKED_MS if tries % TRIES_IN_A_ROW == 0 else row.blocked_until
            counted = sa.update(self._note).where(self._note.c.token == one.id)
            connection.execute(counted.values(tries=tries, blocked_until=blocked))
        known = self._pin_row(member, site)
        if known is None or not hmac.compare_digest(known.hash, self._hash(pin, known.salt)):
            return None
        with self._store.write() as connection:
            connection.execute(counted.values(tries=0, blocked_until=0))
        return Pin(known.site, known.set_at)

    def _pin_row(self, member: bytes, site: str | None) -> sa.Row[tuple[bytes, str, bytes, bytes, int]] | None:
        sites = [ALL_SITES] if site is None else [site, ALL_SITES]
        query = sa.select(site_pin).where(site_pin.c.member == member, site_pin.c.site.in_(sites))
        with self._store.read() as connection:
            return connection.execute(query.order_by(site_pin.c.site.desc())).first()  # ALL_SITES comes last

    def _hash(self, pin: str, salt: bytes) -> bytes:
        return hashlib.scrypt(hmac.digest(self._pepper, pin.encode(), "sha256"), salt=salt, **_SCRYPT)

    # -- sessions ------------------------------------------------------------------------------------------------------

    def begin(self, now: int, pin: Pin | None = None) -> Session:
        """A new session: of a reader, or of somebody who knew `pin`."""
        return Session(self._randomness(16).hex(), now + SESSION_MS, 0 if pin is None else pin.set_at)

    def cookie(self, one: Note, session: Session) -> str:
        """`session` as the reader's browser keeps it; it holds for this note alone."""
        text = f"{session.nonce}.{session.until}.{session.pin_set_at}"
        return f"{text}.{self._seal(one, 'cookie', text)}"

    def session(self, one: Note, cookie: str, now: int) -> Session | None:
        """The session in `cookie`, None unless we made it for this note and it lasts."""
        text, _, seal = cookie.rpartition(".")
        if not text or not hmac.compare_digest(seal.encode(), self._seal(one, "cookie", text).encode()):
            return None
        nonce, until, pin_set_at = text.split(".")
        return Session(nonce, int(until), int(pin_set_at)) if int(until) > now else None

    def form_token(self, one: Note, session: Session) -> str:
        """What a form of this session carries, so that no other page can send it."""
        return self._seal(one, "form", f"{session.nonce}.{session.until}.{session.pin_set_at}")

    def is_form_token(self, one: Note, session: Session, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.form_token(one, session).encode())

    def _seal(self, one: Note, use: str, text: str) -> str:
        return hmac.digest(self._sessions, one.id + f"{use}.{text}".encode(), "sha256").hex()

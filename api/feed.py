"""The feed: what is registered, anchored and noticed, told to each reader as it happens, from where it left off.

Nothing is queued for anyone. A reader holds a place in the log; when something has happened it is woken and reads on
from there, so a slow reader costs no memory, and one that comes back after a week reads what it missed.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool

from api.identity import Cursors, Identity, Session
from api.notices import Notices
from api.problems import Busy, Unauthenticated
from api.visibility import Fields
from ledger_service.keys import to_hex
from ledger_service.ledger import AnchorPlace, Ledger, Record, State
from ledger_service.sight import Sight

PAGE = 200
HEARTBEAT_SECONDS = 15.0
GATHER_SECONDS = 0.1
"""A reader is woken at most this often: under load it reads more at a time instead."""
REGISTERED = "org.example.tallystick.statement.registered"
ANCHORED = "org.example.tallystick.checkpoint.anchored"
MAX_READERS_EACH = 20
"""Readers of one member, so that none can keep the others out."""
NOTICE = "org.example.tallystick.notice."
LIST = "feed"

Place = tuple[int, int, int]
"""A reader's place: position in the log, size of the last anchored checkpoint, number of its last notice."""


class Feed:
    """Wakes the readers of one service and reads for them. Made in the event loop that serves them."""

    def __init__(
        self,
        ledger: Ledger,
        notices: Notices,
        cursors: Cursors,
        identity: Identity,
        now: Callable[[], int],
        *,
        max_readers: int,
    ) -> None:
        self._ledger = ledger
        self._notices = notices
        self._now = now
        self._cursors = cursors
        self._identity = identity
        self._max_readers = max_readers
        self._loop = asyncio.get_running_loop()
        self._bells: set[asyncio.Event] = set()
        self._bells_of: Counter[bytes] = Counter()
        self._is_ringing = threading.Event()
        self._is_closed = False

    @property
    def readers(self) -> int:
        return len(self._bells)

    def ring(self) -> None:
        """Something has happened. May be called in any thread, as often as it likes."""
        if not self._is_ringing.is_set():
            self._is_ringing.set()
            with suppress(RuntimeError):  # the loop has closed: nobody is left to be told
                self._loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        self._is_ringing.clear()
        for bell in self._bells:
            bell.set()

    def close(self) -> None:
        """End all readers' streams."""
        self._is_closed = True
        self._ring()

    def place(self, member: bytes, cursor: str | None) -> Place:
        """Where to read on from: what a cursor says, or the present; raises ForeignCursor."""
        if cursor is None:
            return self._ledger.size, self._ledger.anchoring.anchored_size, self._notices.last(member)
        position, size, number = self._cursors.open(member, LIST, cursor, 3)
        return position, size, number

    def read(
        self, session: Session, place: Place, fields_of: Callable[[Sight, Record], Fields]
    ) -> AsyncIterator[bytes]:
        """Server-sent events from `place` on, until the session ends; raises Busy when there are too many readers."""
        if len(self._bells) >= self._max_readers:
            raise Busy(f"{len(self._bells)} readers follow the feed already: try again later")
        if self._bells_of[session.member] >= MAX_READERS_EACH:
            raise Busy(f"you follow the feed {MAX_READERS_EACH} times already: end one of them")
        return self._events(session, place, fields_of)

    async def _events(
        self, session: Session, place: Place, fields_of: Callable[[Sight, Record], Fields]
    ) -> AsyncIterator[bytes]:
        bell = asyncio.Event()
        bell.set()
        self._bells.add(bell)
        self._bells_of[session.member] += 1
        try:
            # An id without data is no event, and still what a browser comes back with.
            yield b"retry: 1000\nid: " + self._cursors.seal(session.member, LIST, *place).encode() + b"\n\n"
            while True:
                try:
                    await asyncio.wait_for(bell.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield b": still here\n\n"
                if self._is_closed:
                    return
                try:
                    self._identity.check(session)
                except Unauthenticated:
                    return  # whoever reconnects is asked for a new token
                bell.clear()
                text, place, is_more = await run_in_threadpool(self._page, session.member, place, fields_of)
                if is_more:
                    bell.set()
                if text:
                    yield text
                await asyncio.sleep(GATHER_SECONDS)
        finally:
            self._bells.discard(bell)
            self._bells_of[session.member] -= 1

    def _page(
        self, member: bytes, place: Place, fields_of: Callable[[Sight, Record], Fields]
    ) -> tuple[bytes, Place, bool]:
        """The next events as text, the place after them, and whether there are more."""
        position, size, number = place
        # Asked for anew each time: a grant may have begun or ended meanwhile.
        sight = self._ledger.sight(member, self._now())
        records, following = self._ledger.page(sight, position, PAGE)
        anchors = self._ledger.anchors(size, PAGE)
        notices = self._notices.page(member, number, PAGE)
        parts: list[bytes] = []
        for record in records:
            position = record.position + 1
            fields = fields_of(sight, record)
            if fields:
                value = {name: one for name, one in _statement(record).items() if name in fields}
                parts.append(
                    self._event(
                        member, (position, size, number), REGISTERED, to_hex(record.digest), record.registered_at, value
                    )
                )
        position = following
        for one in anchors:
            size = one.size
            place = position, size, number
            parts.append(self._event(member, place, ANCHORED, f"checkpoint/{size}", one.anchored_at, _anchor(one)))
        for notice in notices:
            number = notice.number
            parts.append(
                self._event(
                    member, (position, size, number), NOTICE + notice.kind, f"notice/{number}", notice.at,
                    dict(notice.body),
                )
            )  # fmt: skip
        is_more = following < self._ledger.size or len(anchors) == PAGE or len(notices) == PAGE
        return b"".join(parts), (position, size, number), is_more

    def _event(self, member: bytes, place: Place, kind: str, subject: str, time: int, data: dict[str, Any]) -> bytes:
        cursor = self._cursors.seal(member, LIST, *place)
        event = {
            "specversion": "1.0",
            "id": subject,
            "source": f"urn:tallystick:{self._ledger.origin}",
            "type": kind,
            "subject": subject,
            "time": iso(time),
            "datacontenttype": "application/json",
            "data": data,
        }
        return b"id: " + cursor.encode() + b"\nevent: " + kind.encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"


def iso(ms: int) -> str:
    """A time (ms UTC) in ISO 8601."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _statement(record: Record) -> dict[str, Any]:
    return {
        "digest": to_hex(record.digest),
        "header": record.header.as_json(),
        "registeredAt": record.registered_at,
        "state": State.REGISTERED,
    }


def _anchor(place: AnchorPlace) -> dict[str, Any]:
    return {"anchoredAt": place.anchored_at, "block": place.block_number, "size": place.size}

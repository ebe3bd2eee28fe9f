"""Webhooks: where a member wants its notices sent, and how far each of them has come.

Deliveries are signed as Standard Webhooks has it (standardwebhooks.com): `webhook-id` is the same however often a
message is sent, `webhook-timestamp` is in seconds, `webhook-signature` is HMAC-SHA-256 over `id.timestamp.body`. What
is delivered is noted after the receiver has answered, so it may come twice and is never lost.

Messages go in order. A receiver that is down holds up its own alone; a single message that it refuses is set aside and
tried again by itself. A receiver that takes nothing for days is disabled, and its member is told.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson
import sqlalchemy as sa

from api.feed import iso
from api.notices import Notice, Told, Writing
from api.outbound import Target
from api.problems import TooManyWebhooks, UnknownWebhook
from ledger_service.store import Store
from ledger_service.store.notice_tables import notice, undelivered, webhook

PAUSES = (5, 60, 300, 1_800, 7_200, 18_000, 36_000)
"""Seconds after the first, second, … failure in a row; from then on the last."""
JITTER = 0.2
MAX_EACH = 10
"""Webhooks of one member."""
TRIES_IN_LINE = 6
"""So often a message that is answered by an error holds up those behind it; then it is set aside."""
OVERLAP_MS = 86_400_000
"""How long the secret before a rotation signs along."""
_WEBHOOK_KINDS = (Told.WEBHOOK_DISABLED, Told.WEBHOOK_GAVE_UP)


class Outcome(Enum):
    """What became of an attempt."""

    TAKEN = "taken"
    DOWN = "down"
    """Not reached, or too busy: later, and in the same order."""
    FAILED = "failed"
    """Answered by an error of the receiver's: later, and not for ever in the way of others."""
    REFUSED = "refused"
    """This message it does not want; the next one it may."""
    GONE = "gone"


def outcome_of(status: int) -> Outcome:
    """What an HTTP status says. 3xx counts as failure: whoever has moved registers the new address."""
    if 200 <= status < 300:
        return Outcome.TAKEN
    if status == 410:
        return Outcome.GONE
    if status in (408, 425, 429, 502, 503, 504):
        return Outcome.DOWN
    return Outcome.REFUSED if 400 <= status < 500 else Outcome.FAILED


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to send what. `delivered`: each notice up to this number was delivered or set aside. Times in ms."""

    id: str
    member: bytes
    url: str
    kinds: tuple[str, ...] | None
    generation: int
    rotated_at: int
    made_at: int
    delivered: int
    failures: int
    failing_since: int | None
    due_at: int
    trouble: str | None
    disabled_at: int | None
    set_aside: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "disabledAt": self.disabled_at,
            "failingSince": self.failing_since,
            "id": self.id,
            "kinds": None if self.kinds is None else list(self.kinds),
            "madeAt": self.made_at,
            "setAside": self.set_aside,
            "trouble": self.trouble,
            "url": self.url,
        }


@dataclass(frozen=True, slots=True)
class Message:
    """A notice on its way to a webhook; `failures` counts those of this message where it was set aside."""

    webhook: Webhook
    notice: Notice
    failures: int | None = None

    @property
    def id(self) -> str:
        """The same each time it is sent."""
        name = f"{self.webhook.id}\n{self.notice.number}".encode()
        return "msg_" + hashlib.sha256(name).hexdigest()[:32]

    @property
    def body(self) -> bytes:
        value = {"data": dict(self.notice.body), "timestamp": iso(self.notice.at), "type": str(self.notice.kind)}
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


class Webhooks:
    """The webhooks of a ledger's members.

    `key` is what their secrets are derived from, `randomness` gives as many random bytes as asked for, `draw` a number
    from 0 up to 1, `give_up_after` is in ms. `allowed` are `host:port` that may be private and without TLS.
    `is_active` says whether a member may be told anything now.
    """

    def __init__(
        self,
        store: Store,
        key: bytes,
        *,
        randomness: Callable[[int], bytes],
        draw: Callable[[], float],
        give_up_after: int,
        allowed: frozenset[str] = frozenset(),
        is_active: Callable[[bytes], bool] = lambda _member: True,
        on_told: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._key = key
        self._randomness = randomness
        self._draw = draw
        self._give_up_after = give_up_after
        self._is_active = is_active
        self._on_told = on_told
        self.allowed = allowed

    # What a member does

    def add(self, member: bytes, url: str, kinds: Sequence[str] | None, now: int) -> Webhook:
        """A webhook for what `member` is told from now on; raises UnfitAddress, TooManyWebhooks."""
        Target.parse(url, self.allowed)
        made = self._randomness(12).hex()
        with self._store.write() as connection:
            count = connection.execute(sa.select(sa.func.count()).where(webhook.c.member == member)).scalar_one()
            if count >= MAX_EACH:
                raise TooManyWebhooks(f"you have {count} webhooks already: remove one first")
            last = connection.execute(sa.select(sa.func.max(notice.c.number)).where(notice.c.member == member)).scalar()
            connection.execute(
                sa.insert(webhook).values(
                    id=made,
                    member=member,
                    url=url,
                    kinds=None if kinds is None else orjson.dumps(sorted(set(kinds))).decode(),
                    generation=1,
                    rotated_at=now,
                    made_at=now,
                    delivered=last or 0,
                    failures=0,
                    due_at=now,
                )
            )
        return self.of(member, made)

    def listed(self, member: bytes) -> list[Webhook]:
        """The webhooks of `member`, oldest first."""
        with self._store.read() as connection:
            rows = connection.execute(_query().where(webhook.c.member == member).order_by(webhook.c.made_at)).all()
        return [_webhook(row) for row in rows]

    def of(self, member: bytes, name: str) -> Webhook:
        """The webhook of `member` with this id; raises UnknownWebhook, alike for none and for another member's."""
        with self._store.read() as connection:
            row = connection.execute(_query().where(webhook.c.member == member, webhook.c.id == name)).first()
        if row is None:
            raise UnknownWebhook("you have no such webhook")
        return _webhook(row)

    def rotate(self, member: bytes, name: str, now: int) -> Webhook:
        """Give the webhook a new secret; the one before signs along for a day. Raises UnknownWebhook."""
        return self._change(member, name, generation=webhook.c.generation + 1, rotated_at=now)

    def enable(self, member: bytes, name: str, now: int) -> Webhook:
        """Deliver again, from the first notice that was not delivered; raises UnknownWebhook."""
        return self._change(member, name, disabled_at=None, trouble=None, failures=0, failing_since=None, due_at=now)

    def remove(self, member: bytes, name: str) -> None:
        """Forget the webhook and all that it did not take; raises UnknownWebhook."""
        self.of(member, name)
        with self._store.write() as connection:
            connection.execute(sa.delete(undelivered).where(undelivered.c.webhook == name))
            connection.execute(sa.delete(webhook).where(webhook.c.id == name, webhook.c.member == member))

    def _change(self, member: bytes, name: str, **values: Any) -> Webhook:
        self.of(member, name)
        with self._store.write() as connection:
            connection.execute(
                sa.update(webhook).where(webhook.c.id == name, webhook.c.member == member).values(**values)
            )
        return self.of(member, name)

    # Secrets and signatures

    def secret(self, one: Webhook, *, before: bool = False) -> str:
        """The secret by which deliveries are checked, `whsec_` and base64; derived, and stored nowhere."""
        name = f"webhook {one.id} {one.generation - before}".encode()
        return "whsec_" + base64.b64encode(hmac.digest(self._key, name, "sha256")).decode()

    def headers(self, message: Message, now: int) -> dict[str, str]:
        """The headers of a delivery at `now` (ms)."""
        secrets = [self.secret(message.webhook)]
        if message.webhook.generation > 1 and now - message.webhook.rotated_at < OVERLAP_MS:
            secrets.append(self.secret(message.webhook, before=True))
        seconds = now // 1000
        return {
            "Content-Type": "application/json",
            "User-Agent": "tallystick-webhooks/1",
            "webhook-id": message.id,
            "webhook-signature": " ".join(sign(one, message.id, seconds, message.body) for one in secrets),
            "webhook-timestamp": str(seconds),
        }

    # Deliveries

    def due(self, now: int) -> list[str]:
        """The webhooks that something may have to be sent to at `now`."""
        waits = sa.exists().where(notice.c.member == webhook.c.member, notice.c.number > webhook.c.delivered)
        again = sa.exists().where(undelivered.c.webhook == webhook.c.id, undelivered.c.due_at <= now)
        query = (
            sa.select(webhook.c.id, webhook.c.member)
            .where(webhook.c.disabled_at.is_(None), webhook.c.due_at <= now, waits | again)
            .order_by(webhook.c.due_at)
        )
        with self._store.read() as connection:
            rows = connection.execute(query).all()
        return [row.id for row in rows if self._is_active(row.member)]

    def next(self, name: str, now: int) -> list[Message]:
        """What to send to a webhook now: the next notice in line, and one that was set aside and is due."""
        with self._store.read() as connection:
            row = connection.execute(_query().where(webhook.c.id == name)).first()
            if row is None or row.disabled_at is not None or row.due_at > now or not self._is_active(row.member):
                return []
            one = _webhook(row)
            own = sa.select(notice).where(notice.c.member == one.member)
            line = own.where(notice.c.number > one.delivered).order_by(notice.c.number).limit(1)
            if one.kinds is not None:
                line = line.where(notice.c.kind.in_(one.kinds))
            messages = [Message(one, _notice(row)) for row in connection.execute(line)]
            aside = (
                own.add_columns(undelivered.c.failures)
                .join(undelivered, undelivered.c.number == notice.c.number)
                .where(undelivered.c.webhook == name, undelivered.c.due_at <= now)
                .order_by(undelivered.c.due_at)
                .limit(1)
            )
            messages += [Message(one, _notice(row), row.failures) for row in connection.execute(aside)]
            last = connection.execute(
                sa.select(sa.func.max(notice.c.number)).where(notice.c.member == one.member)
            ).scalar()
        if one.kinds is not None and (last or 0) > one.delivered and not any(m.failures is None for m in messages):
            with self._store.write() as connection:  # what came since is not for this webhook
                self._set(connection, one, delivered=last)
        return messages

    def record(self, message: Message, outcome: Outcome, trouble: str | None, now: int) -> None:
        """Note what became of an attempt to deliver `message` at `now` (ms)."""
        with self._store.write() as connection:
            row = connection.execute(_query().where(webhook.c.id == message.webhook.id)).first()
            if row is None:
                return
            told = self._record(connection, message, _webhook(row), outcome, trouble or outcome.value, now)
        if told:
            self._on_told()

    def _record(
        self, connection: sa.Connection, message: Message, one: Webhook, outcome: Outcome, trouble: str, now: int
    ) -> int:
        number, is_aside = message.notice.number, message.failures is not None
        mine = sa.and_(undelivered.c.webhook == one.id, undelivered.c.number == number)
        if outcome is Outcome.TAKEN:
            if is_aside:
                connection.execute(sa.delete(undelivered).where(mine))
                self._set(connection, one, failing_since=None, trouble=None)
            else:
                self._set(connection, one, delivered=number, failures=0, failing_since=None, trouble=None, due_at=now)
            return 0
        since = now if one.failing_since is None else one.failing_since
        if outcome is Outcome.GONE or now - since >= self._give_up_after:
            self._set(connection, one, disabled_at=now, failing_since=since, trouble=trouble)
            body = {"trouble": trouble, "webhook": one.id}
            return Writing(connection).tell([one.member], Told.WEBHOOK_DISABLED, body, now, f"{one.id} {now}")
        if is_aside:
            return self._again(connection, message, one, trouble, now)
        failures = one.failures + 1
        is_stuck = outcome is Outcome.FAILED and failures >= TRIES_IN_LINE
        if outcome is Outcome.REFUSED or is_stuck:
            connection.execute(
                sa.insert(undelivered).values(
                    webhook=one.id, number=number, failures=failures, since=now, due_at=now + self._pause(failures),
                    trouble=trouble,
                )
            )  # fmt: skip
            self._set(connection, one, delivered=number, failures=0, failing_since=since, trouble=trouble, due_at=now)
            return 0
        due_at = now + self._pause(failures)
        self._set(connection, one, failures=failures, failing_since=since, trouble=trouble, due_at=due_at)
        return 0

    def _again(self, connection: sa.Connection, message: Message, one: Webhook, trouble: str, now: int) -> int:
        mine = sa.and_(undelivered.c.webhook == one.id, undelivered.c.number == message.notice.number)
        row = connection.execute(sa.select(undelivered).where(mine)).first()
        if row is None:
            return 0
        is_over = now - row.since >= self._give_up_after
        due_at = None if is_over else now + self._pause(row.failures + 1)
        connection.execute(
            sa.update(undelivered).where(mine).values(failures=row.failures + 1, due_at=due_at, trouble=trouble)
        )
        if not is_over or message.notice.kind in _WEBHOOK_KINDS:
            return 0
        body = {"message": message.id, "trouble": trouble, "webhook": one.id}
        return Writing(connection).tell([one.member], Told.WEBHOOK_GAVE_UP, body, now, message.id)

    def _set(self, connection: sa.Connection, one: Webhook, **values: Any) -> None:
        connection.execute(sa.update(webhook).where(webhook.c.id == one.id).values(**values))

    def _pause(self, failures: int) -> int:
        """Milliseconds to wait after so many failures, drawn a little apart so that not all come back at once."""
        seconds = PAUSES[min(failures, len(PAUSES)) - 1]
        return int(seconds * 1000 * (1 - JITTER + 2 * JITTER * self._draw()))


def sign(secret: str, name: str, seconds: int, body: bytes) -> str:
    """The signature `v1,…` of a message by Standard Webhooks.

    >>> body = b'{"test": 2432232314}'
    >>> sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{name}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def _query() -> sa.Select[Any]:
    aside = sa.select(sa.func.count()).where(undelivered.c.webhook == webhook.c.id).scalar_subquery()
    return sa.select(webhook, aside.label("set_aside"))


def _webhook(row: Any) -> Webhook:
    kinds = None if row.kinds is None else tuple(orjson.loads(row.kinds))
    return Webhook(
        row.id,
        row.member,
        row.url,
        kinds,
        row.generation,
        row.rotated_at,
        row.made_at,
        row.delivered,
        row.failures,
        row.failing_since,
        row.due_at,
        row.trouble,
        row.disabled_at,
        row.set_aside,
    )


def _notice(row: Any) -> Notice:
    return Notice(row.number, Told(row.kind), row.at, orjson.loads(row.body))

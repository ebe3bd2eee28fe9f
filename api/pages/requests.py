"""Signing requests: what somebody at a site asked for, until the member's own gateway signs it or says why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
import sqlalchemy as sa

from ledger_service import canonical
from ledger_service.errors import LedgerError
from ledger_service.keys import to_hex
from ledger_service.store import Store
from ledger_service.store.tables import signing_request

FACT_ANSWER = "fact-answer"


class RequestState(StrEnum):
    """How far a request has come; nothing is signed while it waits."""

    WAITING = "waiting"
    FULFILLED = "fulfilled"
    DECLINED = "declined"


class AlreadyAsked(LedgerError):
    """An answer to this waits for the gateway already."""


class AnsweredMeanwhile(LedgerError):
    """The offer was answered, taken back or ran out between the form and its sending."""


class UnknownRequest(LedgerError):
    """The member has no such signing request."""


class UnfitStatement(LedgerError):
    """A statement that is not the one which was asked for."""


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """What `member` is asked to sign: a statement of `kind` with `content`, which answers the one with the id `about`.

    Of kind `fact-answer` the content is what api.impact.answering makes of a filled-in page. Times in ms.
    """

    number: int
    member: bytes
    about: bytes
    kind: str
    content: Mapping[str, Any]
    made_at: int
    settled_at: int | None
    statement: bytes | None
    declined: str | None

    @property
    def state(self) -> RequestState:
        if self.statement is not None:
            return RequestState.FULFILLED
        return RequestState.WAITING if self.declined is None else RequestState.DECLINED

    def as_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "id": str(self.number),
            "state": str(self.state),
            "asked" if self.kind == FACT_ANSWER else "despatch": to_hex(self.about),
            "kind": self.kind,
            "content": dict(self.content),
            "madeAt": self.made_at,
        }
        if self.settled_at is not None:
            value["settledAt"] = self.settled_at
        if self.statement is not None:
            value["statement"] = to_hex(self.statement)
        if self.declined is not None:
            value["declined"] = self.declined
        return value


class Requests:
    """The signing requests of a ledger."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ask(self, member: bytes, about: bytes, kind: str, content: Mapping[str, Any], now: int) -> SigningRequest:
        """File a request; raises AlreadyAsked while another one about the same waits."""
        with self._store.write() as connection:
            waiting = connection.execute(
                sa.select(signing_request.c.number).where(
                    signing_request.c.about == about,
                    signing_request.c.statement.is_(None),
                    signing_request.c.declined.is_(None),
                )
            ).first()
            if waiting is not None:
                raise AlreadyAsked("an answer to this waits for the gateway: it signs that one first")
            made = connection.execute(
                sa.insert(signing_request).values(
                    member=member, about=about, kind=kind, content=canonical.dump(dict(content)), made_at=now
                )
            )
            number = made.inserted_primary_key[0] if made.inserted_primary_key else 0
        return self.of_member(member, number)

    def newest(self, about: bytes) -> SigningRequest | None:
        """The last request about a statement, None where there is none."""
        query = sa.select(signing_request).where(signing_request.c.about == about)
        with self._store.read() as connection:
            row = connection.execute(query.order_by(signing_request.c.number.desc())).first()
        return None if row is None else _read(row)

    def of_member(self, member: bytes, number: int) -> SigningRequest:
        """The request with this number; raises UnknownRequest unless it is the member's."""
        query = sa.select(signing_request).where(signing_request.c.number == number, signing_request.c.member == member)
        with self._store.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise UnknownRequest(f"there is no signing request {number} of yours")
        return _read(row)

    def listed(
        self, member: bytes, *, state: RequestState | None = None, after: int = 0, limit: int = 100
    ) -> list[SigningRequest]:
        """The member's requests after the number `after`, oldest first."""
        query = sa.select(signing_request).where(signing_request.c.member == member, signing_request.c.number > after)
        signed, declined = signing_request.c.statement.is_not(None), signing_request.c.declined.is_not(None)
        if state is RequestState.FULFILLED:
            query = query.where(signed)
        elif state is RequestState.DECLINED:
            query = query.where(declined, sa.not_(signed))
        elif state is RequestState.WAITING:
            query = query.where(sa.not_(signed), sa.not_(declined))
        with self._store.read() as connection:
            return [_read(row) for row in connection.execute(query.order_by(signing_request.c.number).limit(limit))]

    def fulfil(self, member: bytes, number: int, statement: bytes, now: int) -> SigningRequest:
        """Note that `statement`, which is registered, is what was asked for; again: no change.

        Raises UnknownRequest, or UnfitStatement where another one fulfilled it.
        """
        known = self.of_member(member, number)
        if known.statement not in (None, statement):
            raise UnfitStatement(f"request {number} was fulfilled by {to_hex(known.statement or b'')}")
        return self._settle(known, now, statement=statement)

    def decline(self, member: bytes, number: int, reason: str, now: int) -> SigningRequest:
        """Note why the member's gateway does not sign; raises UnknownRequest, UnfitStatement if it has signed."""
        known = self.of_member(member, number)
        if known.statement is not None:
            raise UnfitStatement(f"request {number} was fulfilled already")
        return self._settle(known, now, declined=reason)

    def _settle(self, known: SigningRequest, now: int, **values: Any) -> SigningRequest:
        settled = known.settled_at if known.state is not RequestState.WAITING else None
        with self._store.write() as connection:
            connection.execute(
                sa.update(signing_request)
                .where(signing_request.c.number == known.number)
                .values(settled_at=settled or now, **values)
            )
        return self.of_member(known.member, known.number)


def _read(row: Any) -> SigningRequest:
    return SigningRequest(
        row.number,
        row.member,
        row.about,
        row.kind,
        orjson.loads(row.content),
        row.made_at,
        row.settled_at,
        row.statement,
        row.declined,
    )

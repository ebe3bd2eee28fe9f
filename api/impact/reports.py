"""Impact reports: what disruptions do to a member, signed by the service and registered through the one door.

A report follows from its reader's view and from nothing else, so the same view has one report however often, and
whatever crashed before, it is asked for: its secret is derived from its text, and it is looked up by its content root
before another one is signed.
"""

import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from api.impact.disruptions import Disruptions
from api.impact.requests import FactRequests
from api.impact.shared import Checkpointed, SharedNetwork
from ledger_service import facts
from ledger_service.envelope import Envelope, Examined, examine
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.keys import Signer, to_hex
from ledger_service.ledger import Call, Ledger, Registration, UnknownStatement, record_of
from ledger_service.statements import content_root
from ledger_service.store.risk_tables import IS_REPORT
from ledger_service.store.tables import content, statement
from risk.assessment import Assessment, assess
from risk.disruption import Disruption
from risk.sharing import Hit, LinkHit, View

KIND = "impact-report"
KEPT_ASSESSMENTS = 512


class NoSites(LedgerError):
    """A member asked what happens to it, and no site of the network is its own."""

    def __init__(self) -> None:
        super().__init__(
            "no site of the network is yours at this checkpoint, so nothing can be said of you: state your sites "
            "(kind site) with what they make, need and have, and ask again when that is anchored"
        )


@dataclass(frozen=True)
class Reported:
    """A registered report: the id of its statement, its number in its reader's stream and its content.

    `is_new` is false for one that was there before; the content of an erased one is None.
    """

    digest: bytes
    number: int
    content: Mapping[str, Any] | None
    registered_at: int
    position: int
    is_new: bool = False

    @property
    def assessment(self) -> Assessment:
        """The report as `risk` made it, without the list of those who may see it."""
        assert self.content is not None
        return Assessment({name: value for name, value in self.content.items() if name != "to"})


class Reports:
    """Assesses disruptions for members and issues what comes of it as the service's own member `issuer`.

    `key` (32 bytes) makes stream ids and secrets. `on_registered` is told of what was registered.
    """

    def __init__(
        self,
        ledger: Ledger,
        shared: SharedNetwork,
        disruptions: Disruptions,
        requests: FactRequests,
        *,
        issuer: bytes,
        signer: Signer,
        key: bytes,
        on_registered: Callable[[Sequence[Registration]], None],
    ) -> None:
        self._ledger = ledger
        self._shared = shared
        self._disruptions = disruptions
        self._requests = requests
        self._issuer = issuer
        self._signer = signer
        self._key = key
        self._on_registered = on_registered
        self._lane = threading.Lock()
        self._assessments: OrderedDict[str, Assessment] = OrderedDict()

    def view(self, reader: bytes, disruptions: Sequence[Disruption], *, at: Checkpointed) -> View:
        """What `reader` may see of the network and of what `disruptions` do in it; raises NoSites."""
        if reader not in at.owners:
            raise NoSites
        return self._view(reader, self._disruptions.hits(disruptions, at), at)

    def assess(self, reader: bytes, disruptions: Sequence[Disruption], *, at: Checkpointed, now: int) -> Reported:
        """The report of what `disruptions` do to `reader` by what is known `at` a checkpoint, registered at `now` (ms).

        Raises NoSites, and what registration raises.
        """
        return self._issue([self.view(reader, disruptions, at=at)], now)[0]

    def sees_change(
        self, reader: bytes, before: Sequence[Hit | LinkHit], now: Sequence[Hit | LinkHit], *, at: Checkpointed
    ) -> bool:
        """Whether `reader` can see anything of what `now` has otherwise than `before`."""
        if reader not in at.owners or list(before) == list(now):
            return False
        one, other = (self._view(reader, hits, at) for hits in (before, now))
        return (one.hits, one.link_hits) != (other.hits, other.link_hits)

    def prepare(self, reader: bytes, disruptions: Sequence[Disruption], *, at: Checkpointed) -> None:
        """Work out ahead what `assess_all` will say to `reader`; nothing is registered. Raises what that would raise
        for this reader, so that it can leave out whom nothing can be signed for.
        """
        hits = self._disruptions.hits(disruptions, at)
        view = self._view(reader, hits, at) if reader in at.owners else None
        if view is not None and (view.hits or view.link_hits):
            self._drafted(view)

    def assess_all(
        self, readers: Sequence[bytes], disruptions: Sequence[Disruption], *, at: Checkpointed, now: int
    ) -> dict[bytes, Reported]:
        """The reports of those of `readers` who see something hit, all of them registered when this returns.

        A member who sees nothing hit gets none: that there is one would tell it that something happened.
        """
        hits = self._disruptions.hits(disruptions, at)
        views = {one: self._view(one, hits, at) for one in readers if one in at.owners}
        told = {one: view for one, view in views.items() if view.hits or view.link_hits}
        return dict(zip(told, self._issue(list(told.values()), now), strict=True))

    def page(self, reader: bytes, after: int, limit: int) -> list[Reported]:
        """Up to `limit` reports for `reader` with numbers above `after`, the oldest first."""
        return self._held(
            sa.and_(statement.c.stream == self._stream(reader), statement.c.sequence > after), limit=limit
        )

    def find(self, reader: bytes, digest: bytes) -> Reported:
        """The report for `reader` with this id; raises UnknownStatement, alike for those of others."""
        found = self._held(sa.and_(statement.c.stream == self._stream(reader), statement.c.digest == digest))
        if not found:
            raise UnknownStatement(f"there is no report {to_hex(digest)} for you")
        return found[0]

    # -- making --------------------------------------------------------------------------------------------------------

    def _view(self, reader: bytes, hits: Sequence[Hit | LinkHit], at: Checkpointed) -> View:
        return self._shared.view(reader, at, hits, self._requests.open_requests(reader, at.size))

    def _issue(self, views: Sequence[View], now: int) -> list[Reported]:
        """The report of each view, those that are new registered together."""
        drafts = [self._drafted(view) for view in views]
        with self._lane:
            there = {root: self._registered(reader, root) for reader, _, _, root in drafts}
            items: list[Examined | LedgerError] = []
            for reader, said, secret, root in drafts:
                if there[root] is None:
                    items.append(self._sealed(reader, said, secret, now))
            if items:
                self._on_registered([self._ledger.register(Call(items), now)])
                fresh = {one.content_root for one in items if isinstance(one, Examined)}
                there |= {
                    root: self._registered(reader, root, is_new=True) for reader, _, _, root in drafts if root in fresh
                }
        found = [there[root] for _, _, _, root in drafts]
        return [one for one in found if one is not None]

    def _drafted(self, view: View) -> tuple[bytes, dict[str, Any], bytes, bytes]:
        """Reader, content, secret and content root of the report that comes of a view; raises MalformedInput for one
        that cannot be signed, with sums above 2^53 for example.
        """
        said = {"to": [view.reader], **self._assessed(view).content}
        try:
            text = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
        except TypeError as error:
            raise MalformedInput(f"what comes of your facts is no number that can be signed: {error}") from error
        secret = hmac.digest(self._key, b"secret" + text, "sha256")
        return bytes.fromhex(view.reader[2:]), said, secret, content_root(said, secret)

    def _assessed(self, view: View) -> Assessment:
        """What comes of a view; that of the last ones is kept."""
        with self._lane:
            known = self._assessments.get(view.digest)
        if known is None:
            known = assess(view)
            with self._lane:
                self._assessments[view.digest] = known
                if len(self._assessments) > KEPT_ASSESSMENTS:
                    self._assessments.popitem(last=False)
        return known

    def _sealed(self, reader: bytes, said: dict[str, Any], secret: bytes, now: int) -> Examined:
        stream = self._stream(reader)
        envelope = Envelope.seal(
            said,
            issuer=self._issuer,
            kind=KIND,
            stream=stream,
            sequence=self._next_number(stream),
            issued_at=now,
            secret=secret,
            signer=self._signer,
            domain=self._ledger.domain,
        )
        return examine(envelope.data, self._ledger.domain, lambda kind, value: facts.check(kind, value, now))

    def _stream(self, reader: bytes) -> bytes:
        """The stream of the reports for `reader`; without the key nobody can tell whose it is."""
        return hmac.digest(self._key, b"stream" + reader, "sha256")

    def _next_number(self, stream: bytes) -> int:
        with self._ledger.store.read() as connection:
            query = sa.select(sa.func.max(statement.c.sequence)).where(statement.c.stream == stream)
            return (connection.execute(query).scalar() or 0) + 1

    def _registered(self, reader: bytes, root: bytes, *, is_new: bool = False) -> Reported | None:
        """The report for `reader` with this content that counts."""
        of = sa.and_(IS_REPORT, statement.c.stream == self._stream(reader), statement.c.content_root == root)
        held = self._held(of, index="ix_statement_report", is_new=is_new)
        return next((one for one in held if one.content is not None), None)

    def _held(
        self,
        which: sa.ColumnElement[bool],
        *,
        limit: int | None = None,
        index: str | None = None,
        is_new: bool = False,
    ) -> list[Reported]:
        query = (
            sa.select(statement, content.c.content)
            .outerjoin(content, content.c.position == statement.c.position)
            .where(which)
            .order_by(statement.c.sequence)
            .limit(limit)
        )
        if index is not None:
            query = query.with_hint(statement, f"INDEXED BY {index}", "sqlite")
        with self._ledger.store.read() as connection:
            rows = connection.execute(query).all()
        return [
            Reported(
                row.digest,
                row.sequence,
                None if row.content is None else orjson.loads(row.content),
                row.registered_at,
                row.position,
                is_new,
            )
            for row in rows
            if self._ledger.void(record_of(row)) is None
        ]

"""The running service: an open network with its door, publisher, examiners and feed; and who is calling it."""

import asyncio
import hmac
import re
import time
from collections import Counter as Counted
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

import orjson
from fastapi import Depends, Request
from fastapi.security.utils import get_authorization_scheme_param
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from api.capture import Custodian
from api.courier import Courier
from api.door import Door
from api.examination import Examiners, Result
from api.feed import Feed
from api.hosted import Hosted
from api.identity import Cursors, Identity, Session
from api.impact import Impact
from api.impact.alerts import Alerts
from api.impact.reviews import Reviews
from api.network import Network
from api.notices import TOLD_KINDS, Notices
from api.noticing import KINDS, ChainNotices, FactNotices, RecordNotices, RequestNotices
from api.pages.desk import Desk
from api.pages.questions import FactDesk
from api.problems import Forbidden, NotTheIssuer, NotThere, Unauthenticated, kind_of
from api.publisher import Publisher
from api.rounds import SAFETY_SECONDS, News, Rounds
from api.settings import Settings
from api.visibility import ANYONE, Action, Actor, Fields, Subject, can, content_for
from api.webhooks import Webhooks
from ledger_service.anchoring import Anchored
from ledger_service.custody.policy import Policy
from ledger_service.envelope import Examined, Refusal
from ledger_service.errors import LedgerError
from ledger_service.grants import Shown
from ledger_service.keys import from_hex, to_hex
from ledger_service.ledger import Ledger, Record, Registration, UnknownStatement
from ledger_service.membership import MemberState
from ledger_service.offering import Offers
from ledger_service.sight import Sight
from ledger_service.trails import Trails

MAX_FEED_READERS = 500
HOUR_SECONDS = 3_600.0
INDEX = "index of trails"
INDEX_AT_ONCE = 125
INDEX_RESTS_SECONDS = 0.25
"""While statements keep coming the index reads few at once, so that no call waits long for its transaction, and rests
in between: some 500 a second.
"""
HOSTED_KINDS = ("custody-addresses", "despatch", "opening", "receipt")
"""What gives the gateways of custodial members something to do."""
MAX_BUNDLES_AT_ONCE = 2
"""A large one takes hundreds of megabytes and a thread; those beyond wait."""
_HEX = re.compile(r"0x[0-9a-f]{64}")
_FORWARDED = frozenset({"forwarded", "x-forwarded-for", "x-real-ip", "via"})


class Json(Response):
    """JSON as orjson writes it."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


class Metrics:
    """What Prometheus reads. No label ever names a member, a stream or a statement."""

    def __init__(self, service: "Service") -> None:
        registry = self.registry = CollectorRegistry()
        self.registrations = Counter(
            "tallystick_registrations", "Statements registered for the first time.", registry=registry
        )
        self.repeats = Counter(
            "tallystick_repeated_registrations", "Statements sent again that were there.", registry=registry
        )
        self.refusals = Counter(
            "tallystick_refusals", "Refused requests and statements by kind of problem.", ["problem"], registry=registry
        )
        self.requests = Counter(
            "tallystick_requests", "Requests by route, method and status.", ["route", "method", "status"],
            registry=registry,
        )  # fmt: skip
        self.publish_errors = Counter(
            "tallystick_publish_errors",
            "Failed attempts to publish by kind of problem.",
            ["problem"],
            registry=registry,
        )
        self.round_errors = Counter(
            "tallystick_round_errors",
            "Failed rounds of a task in the background by kind of problem.",
            ["task", "problem"],
            registry=registry,
        )
        self.custody_steps = Counter(
            "tallystick_custody_steps", "Steps of custody that the chain has taken.", registry=registry
        )
        self.anchor_seconds = Histogram(
            "tallystick_anchor_seconds",
            "From registration to anchor, of the oldest statement of each anchored checkpoint.",
            buckets=(0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200),
            registry=registry,
        )
        ledger = service.ledger
        for name, text, read in (
            ("tallystick_statements", "Statements registered in this log.", lambda: ledger.size),
            ("tallystick_backlog", "Statements that wait for the chain.", lambda: ledger.waiting),
            ("tallystick_unindexed", "Statements that the index of trails has to read.", lambda: service.unindexed),
            ("tallystick_inside", "Statements being examined or stored.", lambda: service.door.inside),
            ("tallystick_feed_readers", "Readers of the feed.", lambda: service.feed.readers),
            ("tallystick_publish_failures", "Failed attempts in a row.", lambda: service.publisher.condition.failures),
            ("tallystick_examiners_replaced", "Pools replaced after a death.", lambda: service.examiners.replaced),
        ):
            Gauge(name, text, registry=registry).set_function(read)
        registry.register(_RelayQueue(service))


class _RelayQueue(Collector):
    """How many steps of custody stand how, counted when it is asked for."""

    def __init__(self, service: "Service") -> None:
        self._service = service

    def describe(self) -> list[Metric]:
        return []  # else they would be counted before the service is whole

    def collect(self) -> list[Metric]:
        queue = self._service.relaying.queue(self._service.now())
        gauge = GaugeMetricFamily(
            "tallystick_custody_requests", "Steps of custody that were given to the relay.", labels=["standing"]
        )
        for standing in ("drawn", "blocked", "due", "sent", "refused"):
            gauge.add_metric([standing], getattr(queue, standing))
        return [gauge]


class Service:
    """Everything a route may need, made when the app starts and closed when it ends."""

    def __init__(
        self,
        network: Network,
        settings: Settings,
        now: Callable[[], int],
        randomness: Callable[[int], bytes],
        custodian: Custodian,
    ) -> None:
        self.network = network
        self.settings = settings
        self.ledger: Ledger = network.ledger
        self.now = now
        keys = network.service
        self.cursors = Cursors(keys.derive("cursor"))
        self.url = (settings.public_url or f"http://{settings.host}:{settings.port}").rstrip("/")
        self.identity = Identity(
            origin=self.ledger.origin,
            url=self.url,
            chain_id=self.ledger.domain.chain_id,
            secret=keys.derive("token"),
            token_minutes=settings.token_minutes,
            now=now,
            randomness=randomness,
            registry=lambda: (self.ledger.anchoring.membership, self.ledger.anchoring.next_block),
        )
        self.operator_token = operator_token(network)
        self.custodian = custodian
        self.bundling = asyncio.Semaphore(MAX_BUNDLES_AT_ONCE)
        self.examiners = Examiners(self.ledger.domain, settings.workers)
        keep = settings.notice_keep_days * 86_400_000
        self.notices = Notices(self.ledger.store, self._told, keep=keep or None)
        self.feed = Feed(self.ledger, self.notices, self.cursors, self.identity, now, max_readers=MAX_FEED_READERS)
        self.door = Door(
            self.ledger,
            self.examiners,
            now,
            room=4 * settings.max_batch_items,
            on_registered=self._registered,
        )
        self.publisher = Publisher(
            self.ledger,
            now,
            interval_seconds=settings.publish_interval_seconds,
            on_anchored=self._anchored,
            on_trouble=lambda error: self.metrics.publish_errors.labels(kind_of(error).name).inc(),
        )
        self.offers = Offers(self.ledger.store, network.trust().custody_domain)
        self.desk = Desk(
            self.ledger,
            self.door,
            self.offers,
            custodian,
            network.directory,
            key=keys.derive("printed notes"),
            now=now,
            randomness=randomness,
        )
        self.relaying = network.relaying
        self.hosted = Hosted(network, custodian, self.offers, now, randomness, self._registered)
        self._relayed_at = 0.0
        self.rounds = Rounds(
            now, on_trouble=lambda name, error: self.metrics.round_errors.labels(name, kind_of(error).name).inc()
        )
        self.trails = Trails(self.ledger, self.relaying.taken, keys.derive("index of trails"))
        self.trails.follow(self._indexed)
        self._index_saw = self.ledger.size
        self._facts_read: date | None = None
        self.ledger.thing_mac = self.trails.mac
        self.impact = Impact(network, self._registered)
        self.fact_desk = FactDesk(
            self.ledger,
            self.door,
            self.impact.requests,
            self.impact.stated,
            custodian,
            network.directory,
            # A PIN is hashed with a key that is derived from this one: both kinds of page ask for the same PIN.
            key=keys.derive("printed notes"),
            now=now,
            randomness=randomness,
        )
        self.record_notices = RecordNotices(self.ledger, self.notices, self.trails, self.offers, self._policy)
        self.alerts = Alerts(
            self.ledger,
            self.notices,
            self.impact.shared,
            self.impact.disruptions,
            self.impact.reports,
            self._is_active,
        )
        self.reviews = Reviews(
            self.ledger,
            self.notices,
            self.impact.shared,
            self.impact.disruptions,
            self.impact.reports,
            self._is_active,
            lambda: self.alerts.is_under_way,
            every_seconds=settings.alert_review_interval_seconds,
        )
        self._add_tasks()
        self.webhooks = Webhooks(
            self.ledger.store,
            keys.derive("webhook"),
            randomness=randomness,
            draw=lambda: int.from_bytes(randomness(6)) / 2**48,
            give_up_after=settings.webhook_give_up_days * 86_400_000,
            allowed=frozenset(settings.webhook_allowed_hosts),
            is_active=self._is_active,
            on_told=self._told,
        )
        self.courier = Courier(self.webhooks, now)
        self.metrics = Metrics(self)

    def _add_tasks(self) -> None:
        """What goes on in the rounds, each with what wakes it. Where no time is said it looks each second: what waits
        for a date, for the chain, or for what nobody tells of.
        """
        of_chain = ChainNotices(self.ledger, self.notices, self.relaying, self.trails)
        of_requests = RequestNotices(self.ledger, self.notices)
        of_facts = FactNotices(self.ledger, self.notices, self.impact.requests)
        of_record = self.record_notices
        add = self.rounds.add
        add("relay of custody", self._relay, on=[News.SUBMITTED])
        if self.custodian.members:
            add("gateways of custodial members", self.hosted.work, on=[*HOSTED_KINDS, News.STEPS])
        add("notices of statements", self.notices.follow, on=TOLD_KINDS, every=SAFETY_SECONDS)
        add("notices of dates", lambda at: self.notices.age(at, self.offers, self._policy(at)))
        add("old notices", self.notices.forget, every=HOUR_SECONDS)
        add(INDEX, self._index, on=[News.REGISTERED], every=SAFETY_SECONDS)
        add("notices of requests", of_requests.filed)
        add("notices of requests for facts", of_facts.closed)
        add("notices of steps", of_chain.taken, on=[News.STEPS, News.INDEXED], every=SAFETY_SECONDS)
        add("notices of refused steps", of_chain.refused, on=[News.STEPS])
        add("notices of contested units", of_record.contested, on=[News.INDEXED], every=SAFETY_SECONDS)
        add("notices of findings", of_record.findings, on=[News.INDEXED, News.STEPS], every=SAFETY_SECONDS)
        add("findings of dates", of_record.findings_of_dates)
        add("facts of the day", self._read_ahead, every=SAFETY_SECONDS)
        add("alerts of disruptions", self.alerts.raise_new, on=[News.ANCHORED], every=SAFETY_SECONDS)
        add("reviews of changed facts", self.reviews.review)
        add("summaries of risk", self.alerts.summarise)
        add("reminders of alerts", self.alerts.remind)

    @property
    def unindexed(self) -> int:
        """How many statements the index of trails has still to read."""
        return max(self.ledger.size - self.trails.indexed, 0)

    def start(self) -> None:
        self.examiners.warm_up()
        self.publisher.start()
        self.rounds.start()
        self.courier.start()

    def close(self) -> None:
        """Stop everything that was started; what was answered is on disk already."""
        self.feed.close()
        self.door.close()
        self.rounds.close()
        self.hosted.close()
        self.courier.close()
        self.publisher.close()
        self.examiners.close()

    def _registered(self, registrations: Sequence[Registration]) -> None:
        accepted = [one for registration in registrations for one in registration.accepted]
        fresh = sum(one.is_new for one in accepted)
        self.metrics.registrations.inc(fresh)
        self.metrics.repeats.inc(len(accepted) - fresh)
        if fresh:
            kinds = frozenset[str]().union(*(one.kinds for one in registrations))
            self.publisher.nudge()
            self.rounds.nudge(News.REGISTERED, *kinds)
            self.feed.ring()

    def _told(self) -> None:
        self.feed.ring()
        self.courier.nudge()

    def _relay(self, now: int) -> bool:
        """Bring steps of custody to the chain; whether it took any."""
        # Each block has a second of its own: when they have run ahead of the clock, one a second is enough.
        if time.monotonic() < self._relayed_at + 1 and self.publisher.is_chain_ahead():
            return False
        self._relayed_at = time.monotonic()
        try:
            taken = self.relaying.run(now)
        except LedgerError:
            self.rounds.nudge(News.STEPS)  # some may have been read before it went wrong
            raise
        if taken:
            self.rounds.nudge(News.STEPS)
        self.metrics.custody_steps.inc(len(taken))
        return bool(taken)

    def _read_ahead(self, at: int) -> bool:
        """Have the facts of a new day read before anybody asks for them, after a start too."""
        day = datetime.fromtimestamp(at / 1000, UTC).date()
        if day != self._facts_read:
            self._facts_read = day
            self.impact.shared.read_ahead(day)
        return False

    def _index(self, _now: int) -> bool:
        """Bring the index of trails on. While statements stream in it reads a batch and rests, so that it takes a few
        hundredths of the machine; in quiet times it catches up.
        """
        size, before = self.ledger.size, self._index_saw
        self._index_saw = size
        if size == before:
            return self.trails.index()
        has_more = self.trails.index(INDEX_AT_ONCE)
        self.rounds.rest(INDEX, INDEX_RESTS_SECONDS)
        return has_more

    def _indexed(self, kinds: frozenset[str]) -> None:
        if not kinds.isdisjoint(KINDS):
            self.rounds.nudge(News.INDEXED)

    def _policy(self, at: int) -> Policy:
        return self.ledger.custody_policy(at)

    def _is_active(self, member: bytes) -> bool:
        known = self.ledger.anchoring.membership.members.get(member)
        return known is not None and known.states[-1][1] is MemberState.ACTIVE

    def count_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Count the refused items of a call by their kind of problem."""
        for name, count in Counted(kind_of(one.error).name for one in refusals).items():
            self.metrics.refusals.labels(name).inc(count)

    def _anchored(self, anchored: Anchored) -> None:
        registered_at = self.ledger.registered_at(anchored.previous_size)
        if registered_at is not None:
            self.metrics.anchor_seconds.observe(max(self.now() - registered_at, 0) / 1000)
        self.rounds.nudge(News.ANCHORED)
        self.feed.ring()


def operator_token(network: Network) -> str:
    """The bearer token of the operator's routes; whoever can open the service's keys can make it."""
    return network.service.derive("operator api").hex()


def subject_in(sight: Sight, stream_id: bytes, issuer: bytes, position: int | None = None) -> Subject:
    """A stream, or with `position` a statement of it, as it stands to whose `sight` it is."""
    if sight.member is not None and sight.is_party(stream_id):
        return Subject(issuer, frozenset({sight.member}))
    return Subject(issuer, granted=sight.granted(stream_id, position))


@dataclass(frozen=True)
class Caller:
    """Who calls, for what, and the service that is asked."""

    service: Service
    actor: Actor
    action: Action
    fields: Fields
    session: Session | None = None

    @property
    def member(self) -> bytes:
        """The calling member; only routes that need one may ask."""
        assert self.actor.member is not None
        return self.actor.member

    @property
    def ledger(self) -> Ledger:
        return self.service.ledger

    def sees(self, subject: Subject) -> Fields:
        """Which fields of `subject` the caller may have by what it does."""
        return can(self.actor, self.action, subject)

    def record(self, digest: str) -> tuple[Record, Subject, Fields]:
        """The statement with this digest; raises NotThere, alike for what is not there and what is not the caller's."""
        try:
            record = self.ledger.record(hash_of(digest))
        except UnknownStatement:
            raise NotThere from None
        subject = self.subject_of(record)
        fields = can(self.actor, Action.READ_STATEMENT, subject)
        if not fields:
            raise NotThere
        return record, subject, fields

    @cached_property
    def sight(self) -> Sight:
        """What the caller may see at the time of this call."""
        return self.ledger.sight(self.member, self.service.now())

    def subject(self, stream_id: bytes, issuer: bytes, position: int | None = None) -> Subject:
        """A stream, or with `position` a statement of it, as it stands to the caller."""
        return subject_in(self.sight, stream_id, issuer, position)

    def subject_of(self, record: Record) -> Subject:
        """A statement as it stands to the caller."""
        return self.subject(record.header.stream, record.header.issuer, record.position)

    def shows(self, record: Record) -> Shown:
        """How much of a statement's content the caller may have."""
        return content_for(self.actor, self.subject_of(record))

    def vet(self, results: Sequence[Result]) -> list[Result]:
        """Examined statements, with the reason in the place of those that this caller may not register."""
        issuers = {one.issuer for one in results if isinstance(one, Examined)}
        refused = {one for one in issuers if not can(self.actor, Action.REGISTER, Subject(one))}
        if not refused:
            return list(results)
        return [
            NotTheIssuer(
                f"its issuer is {to_hex(one.issuer)}, you are {to_hex(self.member)}: each member sends its own"
            )
            if isinstance(one, Examined) and one.issuer in refused
            else one
            for one in results
        ]


class Asks:
    """A dependency of every route: finds out who calls and asks whether it may do `action` at all."""

    def __init__(self, action: Action) -> None:
        self.action = action

    async def __call__(self, request: Request) -> Caller:
        service: Service = request.app.state.service
        actor, session = ANYONE, None
        if not can(ANYONE, self.action):
            scheme, token = get_authorization_scheme_param(request.headers.get("Authorization"))
            if scheme.lower() != "bearer" or not token:
                raise Unauthenticated("this needs a token: POST /v1/auth/challenge, sign it, POST /v1/auth/token")
            if hmac.compare_digest(token.encode(), service.operator_token.encode()) and _is_loopback(request):
                actor = Actor(is_operator=True)
            else:
                session = service.identity.session(token)
                actor = Actor(session.member)
        fields = can(actor, self.action)
        if not fields:
            raise Forbidden(f"you may not {self.action}")
        return Caller(service, actor, self.action, fields, session)


def asks(action: Action) -> Any:
    """The dependency that names a route's action."""
    return Depends(Asks(action))


def hash_of(text: str) -> bytes:
    """The 32 bytes named in a path; raises NotThere for anything else: nothing has such a name."""
    if not _HEX.fullmatch(text):
        raise NotThere
    return from_hex(text, 32)


def _is_loopback(request: Request) -> bool:
    """Whether the call was made at this machine. A proxy on it is near too, and says that it calls for another."""
    if not _FORWARDED.isdisjoint(request.headers.keys()):
        return False
    return request.client is not None and request.client.host in ("127.0.0.1", "::1", "localhost")

"""The member's side of the service: sign at home, send until it is answered, and believe only what can be checked.

    with Outbox.open(Path("outbox.sqlite")) as outbox:
        client = LedgerClient("http://127.0.0.1:8440", signer, trust, outbox)
        client.sign_document(Path("events.jsonld").read_bytes(), to=[nordrand])
        print(client.submit().registered)

What is signed is on disk before it is sent. Whatever fails on the way, `submit` may simply be called again: the same
bytes go out, and the ledger answers them as the first time. Checkpoints are remembered; a log that shrinks or forks
is refused.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from os import urandom
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

import httpx
import orjson

from api.gateway import Standing, StepAnswer
from api.outbox import DEFAULT_SOURCE, Draft, Kept, Outbox, State
from ledger_service import merkle
from ledger_service.checkpoint import (
    LOG_KEY,
    WITNESS_KEY,
    Checkpoint,
    Note,
    NoteKey,
    VerifierKey,
    from_base64,
    promise_text,
)
from ledger_service.custody.packing import impossible, packing_of
from ledger_service.envelope import Envelope
from ledger_service.errors import LedgerError, MalformedInput, ProofError
from ledger_service.evidence import Bundle, Trust, read_changes
from ledger_service.handoffs import Offer, SignedOffer, SignedStep
from ledger_service.intake import epcis
from ledger_service.keys import SIGNATURE_BYTES, Signer, from_hex, keccak, to_hex
from ledger_service.mandates import Mandate
from ledger_service.membership import Membership, RegistryHeadMismatch, UnfitChange, fold
from ledger_service.statements import Domain, log_entry

_BUSY = frozenset({429, 502, 503, 504})
_NOT_YET_ANCHORED = 409
_LONGEST_PAUSE_SECONDS = 30.0
_NO_END = 1 << 62
"""A block beyond all others: a key that counts there has no end."""


_LONG_WORK_SECONDS = 300.0
"""How long an answer may take that the service works for: stress tests and exposure."""


class ServiceUnreachable(LedgerError):
    """The service gave no answer in time; whether it has taken what was sent is unknown, and sending it again is
    right.
    """


class ServiceRefused(LedgerError):
    """The service said no. `status` is the HTTP status, `problem` what it said (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        detail = problem.get("detail") or problem.get("title") or "no reason given"
        where = f" (at {problem['where']})" if problem.get("where") else ""
        super().__init__(f"the service answered {status}: {detail}{where}")
        self.status = status
        self.problem = problem


class UnfitAnswer(LedgerError):
    """The service answered something that does not hold: a promise, checkpoint or challenge that cannot be believed."""


class LogRewritten(LedgerError):
    """The log does not extend what was seen of it before: it shrank, or history was changed. Keep both checkpoints."""

    def __init__(self, known: Checkpoint, offered: Checkpoint, reason: str) -> None:
        super().__init__(
            f"the log {known.origin} does not extend the checkpoint seen before: {reason}. "
            f"Seen before: {known.size} statements under {known.root.hex()}; offered: {offered.size} under "
            f"{offered.root.hex()}. Do not go on; compare with other members"
        )
        self.known = known
        self.offered = offered


@dataclass(frozen=True, slots=True)
class Answered:
    """What the ledger says of one envelope; `reason` is set where it refused it."""

    digest: bytes
    registered_at: int | None
    is_new: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of all that waited. `promises` are the log key's signed notes, checked and kept in the outbox."""

    answers: tuple[Answered, ...]
    promises: tuple[Note, ...]

    @property
    def registered(self) -> int:
        return sum(one.reason is None for one in self.answers)

    @property
    def refused(self) -> tuple[Answered, ...]:
        return tuple(one for one in self.answers if one.reason is not None)


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """The events of a document: those that were signed, and those that were refused with all their problems."""

    envelopes: tuple[Envelope, ...]
    refused: tuple[epcis.RefusedEvent, ...]
    flags: tuple[epcis.Remark, ...]


@dataclass
class _Token:
    value: str
    good_until: float
    member: bytes


@dataclass
class LedgerClient:
    """One member's connection to one ledger.

    `now` is the member's clock in ms UTC, `sleep` waits so many seconds, `random` gives secrets. A call that finds no
    answer is repeated for `patience_seconds`; then ServiceUnreachable is raised and it may be called again.
    """

    base_url: str
    signer: Signer
    trust: Trust
    outbox: Outbox
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[int], bytes] = urandom
    patience_seconds: float = 60.0
    timeout_seconds: float = 30.0
    _http: httpx.Client = field(init=False, repr=False)
    _token: _Token | None = field(init=False, default=None, repr=False)
    _limits: dict[str, Any] | None = field(init=False, default=None, repr=False)
    _custody: dict[str, Any] | None = field(init=False, default=None, repr=False)
    _registry: Membership | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        self._http = open_http(self.base_url, self.timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @classmethod
    def introduce(cls, base_url: str, signer: Signer, outbox: Outbox, **options: Any) -> "LedgerClient":
        """A client that takes its trust file from the service itself: compare its fingerprint with other members'."""
        provisional = cls(base_url, signer, _nobody(), outbox, **options)
        try:
            told = provisional._json("GET", "/v1/network", anonymous=True)
            provisional.trust = replace(provisional.trust, chain_id=int(told["chainId"]))
            answer = provisional._answer("GET", "/v1/trust")
            if answer.status_code >= 400:
                raise ServiceRefused(answer.status_code, _object(answer))
            return cls(base_url, signer, Trust.parse(answer.content), outbox, **options)
        except (KeyError, TypeError, ValueError) as error:
            raise UnfitAnswer(f"{base_url} does not answer like a Tallystick service") from error
        finally:
            provisional.close()

    @property
    def domain(self) -> Domain:
        """The network that everything is signed for."""
        return self.trust.domain

    def is_demo(self) -> bool:
        """Whether the network is a demo's, whose clock is a story's."""
        return bool(self._json("GET", "/v1/network", anonymous=True).get("demo"))

    # -- identity ------------------------------------------------------------------------------------------------------

    def login(self) -> bytes:
        """The id of the member whose key this is; gets a fresh token by signing the service's challenge."""
        self._token = None
        return self._current_token().member

    @property
    def member(self) -> bytes:
        """The id of the member whose key this is, by the service's word for it."""
        return self._current_token().member

    def _current_token(self) -> _Token:
        if self._token is None or self._token.good_until <= time.monotonic():
            self._token = self._fetch_token()
        return self._token

    def _fetch_token(self) -> _Token:
        """A challenge is good for one answer: where that answer's answer was lost, another one is asked for."""
        try:
            return self._sign_in()
        except ServiceRefused as refusal:
            if refusal.status != 401:
                raise
            return self._sign_in()

    def _sign_in(self) -> _Token:
        address = to_hex(self.signer.address)
        value = self._json("POST", "/v1/auth/challenge", {"address": address}, anonymous=True)
        message = str(value.get("message"))
        check_challenge(message, self.signer.address, self.trust.chain_id, self.base_url)
        signature = self.signer.sign(personal_digest(message))
        answer = self._json(
            "POST", "/v1/auth/token", {"message": message, "signature": to_hex(signature)}, anonymous=True
        )
        try:
            life = float(answer["expiresIn"])
            member = from_hex(answer["member"], 32, "/member")
            return _Token(str(answer["accessToken"]), time.monotonic() + max(life - 10, 1), member)
        except (KeyError, TypeError, ValueError) as error:
            raise UnfitAnswer(f"the service's token answer is not in its form: {error}") from error

    # -- in ------------------------------------------------------------------------------------------------------------

    def sign_event(
        self, event: epcis.EpcisEvent, to: Sequence[bytes], *, source: str = DEFAULT_SOURCE, issuer: bytes | None = None
    ) -> Envelope:
        """One EPCIS event as a signed statement in the outbox; see Outbox.sign."""
        return self._sign([event], to, source, issuer)[0]

    def sign_document(
        self,
        data: bytes,
        to: Sequence[bytes],
        *,
        source: str = DEFAULT_SOURCE,
        issuer: bytes | None = None,
        keep_good: bool = False,
    ) -> SignedDocument:
        """The events of an EPCIS 2.0 JSON-LD document as signed statements in the outbox, visible to the members `to`.

        With a refused event nothing is signed, unless `keep_good`. Raises ImpossiblePacking for events that do not fit
        each other: nothing is signed then. Without `issuer` the service is asked who we are.
        """
        good: list[epcis.EpcisEvent] = []
        refused: list[epcis.RefusedEvent] = []
        for one in epcis.read_each(data, now=self.now()):
            if isinstance(one, epcis.RefusedEvent):
                refused.append(one)
            else:
                good.append(one)
        read = [(number, packing_of(epcis.content(one, ()), b"")) for number, one in enumerate(good)]
        unfit = impossible([(number, one) for number, one in read if one is not None])
        if unfit:
            raise unfit[0][1]
        if refused and not keep_good:
            good = []
        flags = tuple(flag for one in good for flag in one.flags)
        return SignedDocument(tuple(self._sign(good, to, source, issuer)), tuple(refused), flags)

    def _sign(
        self, events: Sequence[epcis.EpcisEvent], to: Sequence[bytes], source: str, issuer: bytes | None
    ) -> list[Envelope]:
        return self.outbox.sign(
            [draft(one, to) for one in events],
            issuer=self.member if issuer is None else issuer,
            signer=self.signer,
            domain=self.domain,
            now=self.now(),
            random=self.random,
            source=source,
        )

    def submit(
        self,
        batch: int = 1000,
        *,
        max_bytes: int = 8 << 20,
        on_batch: Callable[[int], None] | None = None,
    ) -> Submission:
        """Send everything that waits in the outbox and note what became of it.

        Good envelopes are registered whatever happens to their neighbours. Raises ServiceUnreachable with the rest
        still waiting. `on_batch` is told how many envelopes were answered.
        """
        answers: list[Answered] = []
        promises: list[Note] = []
        if self._limits is None and self.outbox.count(self.domain, State.WAITING):
            self._limits = self._json("GET", "/v1/network", anonymous=True).get("limits", {})
        limits = self._limits or {}
        batch = min(batch, int(limits.get("batchItems", batch)))
        max_bytes = min(max_bytes, int(limits.get("bodyBytes", max_bytes)))
        while chunk := self.outbox.waiting(self.domain, batch, max_bytes):
            answered, promise = self.send(chunk)
            answers += answered
            promises += [promise] if promise else []
            if on_batch is not None:
                on_batch(len(chunk))
        return Submission(tuple(answers), tuple(promises))

    def send(self, chunk: Sequence[Kept]) -> tuple[list[Answered], Note | None]:
        """Send these envelopes in one call, note the answer in the outbox and give it back."""
        body = b"\n".join(one.data for one in chunk) + b"\n"
        answer = self._answer(
            "POST", "/v1/statements/batch?on_error=keep_good", body, {"content-type": "application/x-ndjson"}
        )
        value = _object(answer)
        if answer.status_code >= 400 and not isinstance(value.get("results"), list):
            raise ServiceRefused(answer.status_code, value)
        answers = _results(value, chunk)
        promise = self._checked_promise(value.get("promise"), chunk, answers)
        self.outbox.settle(
            [(one.digest, one.registered_at) for one in answers if one.registered_at is not None],
            [
                (one.digest, State.TAKEN if _is_taken(item) else State.REFUSED, one.reason)
                for one, item in zip(answers, value["results"], strict=True)
                if one.reason is not None
            ],
            domain=self.domain,
            promise=None if promise is None else str(promise),
        )
        return answers, promise

    def _checked_promise(self, text: Any, chunk: Sequence[Kept], answers: Sequence[Answered]) -> Note | None:
        """The promise, if the log key signed it over exactly the leaves of these answers."""
        taken = [
            (kept, one.registered_at) for kept, one in zip(chunk, answers, strict=True) if one.registered_at is not None
        ]
        if not taken:
            return None
        if not isinstance(text, str):
            raise UnfitAnswer(
                "the service took statements and gave no promise: keep the envelopes and ask its operator"
            )
        leaves = [
            merkle.leaf_hash(log_entry(kept.digest, Envelope.parse(kept.data).signature, registered_at))
            for kept, registered_at in taken
        ]
        expected = promise_text(self.trust.origin, max(time for _, time in taken), len(leaves), merkle.root(leaves))
        promise = Note.parse(text)
        if promise.text != expected:
            raise UnfitAnswer("the service's promise is about other statements than it says it has registered")
        self.trust.log_key.verify(promise)
        return promise

    # -- out -----------------------------------------------------------------------------------------------------------

    def statement(self, digest: bytes) -> dict[str, Any]:
        """A statement as far as it may be seen, with its state and its three clocks."""
        return self._json("GET", f"/v1/statements/{to_hex(digest)}")

    def explain(self, digest: bytes) -> dict[str, Any]:
        """Why a statement is where it is, in words."""
        return self._json("GET", f"/v1/statements/{to_hex(digest)}/explain")

    def await_anchor(self, digest: bytes, *, pause_seconds: float = 0.05) -> None:
        """Return once the statement is anchored; raises ServiceUnreachable when patience is at its end."""
        end = time.monotonic() + self.patience_seconds
        while self.statement(digest)["state"] != "anchored":
            if time.monotonic() > end:
                raise ServiceUnreachable(
                    f"statement {to_hex(digest)} was not anchored within {self.patience_seconds:.0f} s: ask explain why"
                )
            self.sleep(pause_seconds)

    def receipt(self, digest: bytes, *, wait: bool = True) -> Bundle:
        """The receipt of a statement; with `wait`, as soon as it is anchored."""
        path = f"/v1/statements/{to_hex(digest)}/receipt"
        end = time.monotonic() + (self.patience_seconds if wait else 0)
        while True:
            answer = self._answer("GET", path)
            if answer.status_code < 400:
                return self._checked_bundle(answer.content)
            if answer.status_code != _NOT_YET_ANCHORED or time.monotonic() > end:
                raise ServiceRefused(answer.status_code, _object(answer))
            self.sleep(_retry_after(answer, 0.5))

    def bundle(
        self,
        streams: Mapping[bytes, tuple[int, int | None]],
        *,
        pin: bool = False,
        fields: Sequence[str] | None = None,
    ) -> Bundle:
        """The audit bundle of `streams`, each from a first to a last number (None for the newest anchored one)."""
        wanted: dict[str, Any] = {
            "streams": [
                {"stream": to_hex(stream), "first": first, **({} if last is None else {"last": last})}
                for stream, (first, last) in streams.items()
            ],
            "pin": pin,
        }
        if fields is not None:
            wanted["fields"] = list(fields)
        answer = self._answer("POST", "/v1/bundles", orjson.dumps(wanted), {"content-type": "application/json"})
        if answer.status_code >= 400:
            raise ServiceRefused(answer.status_code, _object(answer))
        return self._checked_bundle(answer.content)

    def custody_bundle(
        self, units: Sequence[str], *, genealogy: bool = False, pin: bool = False, wait: bool = True
    ) -> tuple[Bundle, int]:
        """The record of custody of `units`, in any spelling of their identifiers, and how many statements about them
        are not for us; with `wait`, as soon as all of it is anchored and certified.
        """
        wanted = orjson.dumps({"genealogy": genealogy, "pin": pin, "units": list(units)})
        end = time.monotonic() + (self.patience_seconds if wait else 0)
        while True:
            answer = self._answer("POST", "/v1/custody/bundle", wanted, {"content-type": "application/json"})
            if answer.status_code < 400:
                return self._checked_bundle(answer.content), int(answer.headers["Tallystick-Hidden"])
            if _object(answer).get("retryAfter") is None or time.monotonic() > end:
                raise ServiceRefused(answer.status_code, _object(answer))
            self.sleep(_retry_after(answer, 0.5))

    def _checked_bundle(self, data: bytes) -> Bundle:
        bundle = Bundle.parse(data)
        self.trust.log_key.verify(bundle.head)
        self.follow(Checkpoint.parse(bundle.head.text))
        return bundle

    def notices(self, after: str | None = None) -> dict[str, Any]:
        """Some notices to this member after a place, whether there are `more`, and the `next` place."""
        return self._json("GET", "/v1/notices" + (f"?after={quote(after, safe='')}" if after else ""))

    def webhooks(self) -> list[dict[str, Any]]:
        """This member's webhooks, and how they stand."""
        return list(self._json("GET", "/v1/webhooks")["items"])

    def add_webhook(self, url: str, kinds: Sequence[str] | None = None) -> dict[str, Any]:
        """A webhook for all notices or for some kinds, with its secret. Asked for twice, there are two."""
        return self._json("POST", "/v1/webhooks", {"url": url} | ({"kinds": list(kinds)} if kinds else {}))

    def change_webhook(self, webhook: str, how: str) -> dict[str, Any]:
        """What became of `secret` (a new one), `enable` or `test`."""
        return self._json("POST", f"/v1/webhooks/{quote(webhook, safe='')}/{how}")

    def remove_webhook(self, webhook: str) -> None:
        answer = self._answer("DELETE", f"/v1/webhooks/{quote(webhook, safe='')}")
        if answer.status_code >= 400:
            raise ServiceRefused(answer.status_code, _object(answer))

    def streams(self) -> list[dict[str, Any]]:
        """The streams that this member may see."""
        return list(self._pages("/v1/streams"))

    def statements(self, stream: bytes) -> Iterator[dict[str, Any]]:
        """The statements of a stream, as far as they may be seen, in the order of their registration."""
        return self._pages(f"/v1/statements?stream={to_hex(stream)}&limit=500")

    def members(self) -> list[dict[str, Any]]:
        """The directory with each member's keys."""
        return list(self._pages("/v1/members"))

    def assess(self, **asked: Any) -> dict[str, Any]:
        """Our report of what disruptions do to us, held to its signature: `digest` and `content`.

        `asked` may name disruptions, status, day and size. Raises ServiceRefused, and as `checked_statement` does.
        """
        told = self._json("POST", "/v1/risk/assess", asked)
        return {**told, "content": self.impact_report(from_hex(told.get("digest"), 32, "/digest"))}

    def impact_reports(self) -> Iterator[dict[str, Any]]:
        """Our reports with what each comes to, the oldest first."""
        return self._pages("/v1/risk/reports")

    def impact_report(self, digest: bytes) -> dict[str, Any]:
        """The content of a report of ours, held to its signature, as `risk` computes it; raises as
        `checked_statement` does.
        """
        return self._report(digest, "impact-report", "an impact report")

    def _report(self, digest: bytes, kind: str, called: str) -> dict[str, Any]:
        envelope = self.checked_statement(digest)
        if envelope.header.kind != kind or envelope.content is None:
            raise UnfitAnswer(f"{to_hex(digest)} is not {called}, or its content was erased")
        return {name: value for name, value in envelope.content.items() if name != "to"}

    def risk_view(self, **asked: Any) -> bytes:
        """Our view of the shared network and of what happens in it, as the reports are made of it; canonical JSON."""
        return self._canonical(f"/v1/risk/view?{urlencode(asked, doseq=True)}")

    def _canonical(self, path: str) -> bytes:
        answer = self._answer("GET", path)
        if answer.status_code >= 400:
            raise ServiceRefused(answer.status_code, _object(answer))
        return answer.content

    def risk_network(self) -> dict[str, Any]:
        """How our part of the shared network stands."""
        return self._json("GET", "/v1/risk/network")

    def plans(self) -> list[dict[str, Any]]:
        """The continuity plans that name us or that we have stated, by their names."""
        found: list[dict[str, Any]] = self._json("GET", "/v1/risk/plans")["items"]
        return found

    def fact_requests(self, side: str | None = None, state: str | None = None) -> Iterator[dict[str, Any]]:
        """Requests for facts: what we asked (`side` asked), what others ask us (to-answer), the oldest first."""
        wanted = {name: value for name, value in (("side", side), ("state", state)) if value is not None}
        return self._pages("/v1/risk/requests" + (f"?{urlencode(wanted)}" if wanted else ""))

    def fact_page(self, request: bytes) -> str:
        """A fresh link to the page on which a request of ours can be answered by hand."""
        return str(self._json("POST", f"/v1/risk/requests/{to_hex(request)}/page", {})["url"])

    def read_disruption(self, form: str, data: bytes) -> dict[str, Any]:
        """What the service reads in a message about a disruption: `contents`, what of them would count for nothing in
        `told`, and `unread`. Raises ServiceRefused where it would count for nothing altogether.
        """
        media_type = "application/xml" if form in ("cap", "gdacs") else "application/json"
        path = f"/v1/risk/disruptions/read?{urlencode({'format': form})}"
        answer = self._answer("POST", path, data, {"content-type": media_type})
        if answer.status_code >= 400:
            raise ServiceRefused(answer.status_code, _object(answer))
        parsed: dict[str, Any] = _parsed(answer)
        return parsed

    def disruptions(self, status: str | None = None) -> dict[str, Any]:
        """The disruptions that we may read reports of, in `items`, and in `told` what of our own counts for nothing."""
        return self._json("GET", "/v1/risk/disruptions" + (f"?{urlencode({'status': status})}" if status else ""))

    def disruption(self, key: str, form: str = "json", status: str | None = None) -> bytes:
        """A disruption with its reports, or its newest report in a format."""
        asked = {"format": form} | ({"status": status} if status else {})
        answer = self._answer("GET", f"/v1/risk/disruptions/{quote(key, safe='')}?{urlencode(asked)}")
        if answer.status_code >= 400:
            raise ServiceRefused(answer.status_code, _object(answer))
        return answer.content

    def alerts(self, *, is_open: bool = False) -> Iterator[dict[str, Any]]:
        """Our alerts, the oldest first, or those that wait to be acknowledged."""
        return self._pages("/v1/risk/alerts" + ("?open=true" if is_open else ""))

    def acknowledge(self, number: int, role: str) -> dict[str, Any]:
        """An alert after somebody in a role has acknowledged it."""
        return self._json("POST", f"/v1/risk/alerts/{number}/acknowledge", {"role": role})

    def threshold(self, asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """From which effect on we are interrupted, after changing what is `asked`."""
        if asked is None:
            return self._json("GET", "/v1/risk/threshold")
        return self._json("POST", "/v1/risk/threshold", dict(asked))

    def stress(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What might happen to us, by the service's word: `question` and `result`, and `view` where it is asked for;
        `api.impact.stress.remade` holds the result to the other two.
        """
        return self._json("POST", "/v1/risk/stress", asked, timeout_seconds=_LONG_WORK_SECONDS)

    def stress_report(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The same, stated by the service: `digest` and `content` of its statement, held to its signature, besides
        `question`, `result` and, where it is asked for, `view`. Raises as `checked_statement` does.
        """
        told = self._json("POST", "/v1/risk/stress/reports", asked, timeout_seconds=_LONG_WORK_SECONDS)
        return {**told, "content": self.stress_statement(from_hex(told.get("digest"), 32, "/digest"))}

    def stress_reports(self) -> Iterator[dict[str, Any]]:
        """Our reports of stress tests with the worst of each, the oldest first."""
        return self._pages("/v1/risk/stress/reports")

    def stress_statement(self, digest: bytes) -> dict[str, Any]:
        """The content of a report of ours of a stress test, held to its signature; raises as `checked_statement`."""
        return self._report(digest, "stress-report", "a stress test")

    def stress_view(self, **asked: Any) -> bytes:
        """Our view of the shared network while nothing happens, of which stress tests are made; canonical JSON."""
        return self._canonical(f"/v1/risk/stress/view?{urlencode(asked)}")

    def exposure(self, **asked: Any) -> dict[str, Any]:
        """How exposed we are to each site that we may see, by the service's word."""
        return self._json("GET", f"/v1/risk/exposure?{urlencode(asked)}", timeout_seconds=_LONG_WORK_SECONDS)

    def custody_policy(self) -> dict[str, Any]:
        """By what records of custody are judged now, by the service's word: `policy`, its `statement`, `since`."""
        return self._json("GET", "/v1/custody/policy")

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        mark = ""
        while True:
            joint = "&" if "?" in path else "?"
            value = self._json("GET", path + (f"{joint}after={quote(mark, safe='')}" if mark else ""))
            yield from value["items"]
            mark = str(value.get("next") or "")
            if not mark:
                return

    # -- custody: the service as a gateway sees it (gateway.Wire) ------------------------------------------------------

    def custody_terms(self) -> dict[str, Any]:
        """The contract, the step of deadlines and the relay's release times, as the service tells them."""
        if self._custody is None:
            told = self._json("GET", "/v1/network", anonymous=True).get("custody")
            if not isinstance(told, dict):
                raise UnfitAnswer("the service says nothing of custody: is it older than this program?")
            self._custody = told
        return self._custody

    def release_seconds(self) -> int:
        """The longest that the relay may hold a step back."""
        release = self.custody_terms().get("release", {})
        return int(release.get("interval", 0)) + int(release.get("spread", 0))

    def checked_statement(self, digest: bytes) -> Envelope:
        """A statement with its content, held to its id, its signature and its signer's key in the registry.

        Raises UnfitAnswer, BadSignature, ContentMismatch or KeyNotValid; the registry is held to the newest checkpoint.
        """
        told = self.statement(digest)
        parts = {
            name: told[name] for name in ("header", "signature", "content", "secret") if told.get(name) is not None
        }
        envelope = Envelope.from_json(parts)
        if envelope.header.digest(self.domain) != digest:
            raise UnfitAnswer(f"the service gave another statement than {to_hex(digest)}")
        if told.get("void"):
            raise UnfitAnswer(f"{to_hex(digest)} counts for nothing: {told['void']}")
        signer = envelope.verify(self.domain)
        block = told.get("block")
        at = block if type(block) is int else _NO_END
        header = envelope.header
        if self._registry is None or signer not in self._registry.keys:
            self._registry = self._checked_membership()
        origin = keccak(self.trust.origin.encode())
        self._registry.check_statement(signer, header.issuer, header.kind, origin, at)
        return envelope

    def _checked_membership(self) -> Membership:
        membership = self.membership()
        try:
            note = self.checkpoint()
        except ServiceRefused as refusal:
            if refusal.status != 404:
                raise
            return membership  # nothing was published yet that it could be held to
        registry = Checkpoint.parse(note.text).registry
        if registry is not None:
            membership.check_head(*registry)
        return membership

    def deposits(self, partner: bytes, mark: str) -> Iterator[tuple[Envelope, str]]:
        """The statements after `mark` by which `partner` has deposited addresses with us, checked, with their marks."""
        while True:
            place = f"&after={quote(mark, safe='')}" if mark else ""
            page = self._json("GET", f"/v1/custody/addresses?of={to_hex(partner)}{place}")
            if not page["items"]:
                return
            found = [self.checked_statement(from_hex(one["digest"], 32, "/digest")) for one in page["items"]]
            for place_in_page, envelope in enumerate(found, 1):
                if (envelope.header.kind, envelope.header.issuer) != ("custody-addresses", partner):
                    raise UnfitAnswer(f"the service gave addresses that {to_hex(partner)} has not deposited")
                # A mark is for the whole page: cut off within it, it is read again.
                yield envelope, str(page["next"]) if place_in_page == len(found) else mark
            mark = str(page["next"])

    def offer_standing(self, despatch: bytes) -> Standing:
        """How an offer of ours, or one to us, stands."""
        return _standing(self._json("GET", f"/v1/custody/offers/{to_hex(despatch)}"), despatch)

    def trail(self, unit: str, *, at: int | None = None, clock: str = "registered") -> dict[str, Any]:
        """Who held a unit and whether the record of it is whole, as known at `at` (ms); raises ServiceRefused."""
        wanted: dict[str, Any] = {"unit": unit, "clock": clock} | ({} if at is None else {"at": at})
        return self._json("GET", f"/v1/custody/trail?{urlencode(wanted)}")

    def lineage(self, unit: str, direction: str = "descendants", *, limit: int = 100) -> dict[str, Any]:
        """What a unit went into or came from, page upon page, up to `limit` of them; raises ServiceRefused."""
        wanted: dict[str, Any] = {"unit": unit, "direction": direction, "limit": min(limit, 1000)}
        told = self._json("GET", f"/v1/custody/lineage?{urlencode(wanted)}")
        while told["next"] is not None and len(told["items"]) < limit:
            page = self._json("GET", f"/v1/custody/lineage?{urlencode(wanted | {'after': told['next']})}")
            told |= {"items": told["items"] + page["items"], "next": page["next"]}
        return told | {"items": told["items"][:limit]}

    def recall(self, units: Sequence[str]) -> dict[str, Any]:
        """Who holds `units`, or what was made of them, now; raises ServiceRefused."""
        return self._json("GET", f"/v1/custody/recall?{urlencode([('unit', one) for one in units])}")

    def offers(self, side: str | None = None, state: str | None = None) -> Iterator[dict[str, Any]]:
        """The offers that we made (`side` giver) or got (taker), the oldest first."""
        wanted = {name: value for name, value in (("side", side), ("state", state)) if value is not None}
        return self._pages("/v1/custody/offers" + (f"?{urlencode(wanted)}" if wanted else ""))

    def signatures_to_us(self, mark: str) -> Iterator[tuple[list[SignedOffer], str]]:
        """The givers' signatures of offers to us after `mark`, page by page, with the mark up to which all came."""
        reached, is_complete = mark, True
        while True:
            place = f"&after={quote(reached, safe='')}" if reached else ""
            page = self._json("GET", f"/v1/custody/offers?side=taker{place}")
            found: list[SignedOffer] = []
            for one in page["items"]:
                standing = _standing(one, from_hex(one["despatch"], 32, "/despatch"))
                found += standing.signatures
                # Signatures come a moment after their despatch.
                is_complete = is_complete and (bool(standing.signatures) or standing.state != "open")
            following = str(page.get("next") or "")
            if following and is_complete:
                mark = following
            yield found, mark
            if not following:
                return
            reached = following

    def offers_to_us(self) -> Iterator[bytes]:
        """The despatches that wait for our answer."""
        for one in self.offers("taker", "open"):
            yield from_hex(one["despatch"], 32, "/despatch")

    def post_offer(self, despatch: bytes, signatures: Sequence[SignedOffer]) -> None:
        """Leave the signatures that go with our despatch with the service; raises ServiceRefused."""
        units = [
            {
                "deadline": one.offer.deadline,
                "from": to_hex(one.offer.giver),
                "sequence": one.offer.sequence,
                "signature": to_hex(one.signature),
                "to": to_hex(one.offer.taker),
                "unit": to_hex(one.offer.unit),
            }
            for one in signatures
        ]
        self._json("POST", "/v1/custody/offers", {"despatch": to_hex(despatch), "units": units})

    def post_steps(self, steps: Sequence[SignedStep]) -> list[StepAnswer]:
        """Hand steps to the relay; an answer for each, in order."""
        told = self._json("POST", "/v1/custody/steps", {"steps": [one.as_json() for one in steps]})
        refused = {int(one["item"]): str((one.get("problem") or {}).get("detail")) for one in told.get("refused", [])}
        refused |= {
            int(one["item"]): str(one.get("reason")) for one in told.get("steps", []) if one.get("state") == "refused"
        }
        return [StepAnswer(one.unit, one.sequence, refused.get(place)) for place, one in enumerate(steps)]

    def steps_of(self, unit: bytes) -> dict[str, Any]:
        """The steps of a unit that the chain has taken, and those that wait for their release."""
        return self._json("GET", f"/v1/custody/steps?unit={to_hex(unit)}")

    # -- the log -------------------------------------------------------------------------------------------------------

    def print_note(self, despatch: bytes) -> bytes:
        """The PDF of a fresh note of our own despatch; its code leads to the page where its taker answers."""
        body = orjson.dumps({"despatch": to_hex(despatch)})
        return self._file("/v1/custody/notes", body)

    def report(self, bundle: bytes) -> bytes:
        """The audit report of a bundle with a record of custody, as PDF; it names the bundle by its SHA-256."""
        return self._file("/v1/custody/report", bundle)

    def set_pin(self, pin: str, site: str | None = None) -> None:
        """Let whoever knows `pin` answer printed notes for a site of ours, or for all that have none of their own."""
        self._json("POST", "/v1/custody/pins", {"pin": pin} if site is None else {"pin": pin, "site": site})

    def signing_requests(self, state: str | None = "waiting") -> Iterator[dict[str, Any]]:
        """What people at our sites asked us to sign, the oldest first."""
        after = 0
        while True:
            path = f"/v1/custody/requests?after={after}" + (f"&state={state}" if state is not None else "")
            page = self._json("GET", path)
            yield from page["items"]
            if page["next"] is None:
                return
            after = page["next"]

    def fulfil_request(self, number: str, statement: bytes) -> None:
        """Say that we have signed and registered what was asked for."""
        self._json("POST", f"/v1/custody/requests/{number}/fulfilled", {"statement": to_hex(statement)})

    def decline_request(self, number: str, reason: str) -> None:
        """Say why we do not sign what was asked for."""
        self._json("POST", f"/v1/custody/requests/{number}/declined", {"reason": reason})

    def checkpoint(self, size: int | None = None) -> Note:
        """The newest checkpoint (or that of `size`), signed by the log and consistent with all that was seen before.

        Raises UnverifiedNote, LogRewritten, or ServiceRefused while there is none.
        """
        answer = self._answer("GET", "/v1/log/checkpoint" + ("" if size is None else f"?size={size}"))
        if answer.status_code >= 400:
            raise ServiceRefused(answer.status_code, _object(answer))
        note = Note.parse(answer.text)
        self.trust.log_key.verify(note)
        self.follow(Checkpoint.parse(note.text), is_newest=size is None)
        return note

    def follow(self, checkpoint: Checkpoint, *, is_newest: bool = False) -> None:
        """Raise LogRewritten unless `checkpoint` fits the largest one seen; remember it where it is larger.

        The newest checkpoint of a log is never smaller than one that was seen.
        """
        if checkpoint.origin != self.trust.origin:
            raise UnfitAnswer(f"a checkpoint of {checkpoint.origin}, expected one of {self.trust.origin}")
        known = self.outbox.last_seen(checkpoint.origin)
        if known is not None:
            if is_newest and checkpoint.size < known.size:
                raise LogRewritten(known, checkpoint, "it has become smaller")
            self.check_extends(known, checkpoint)
        self.outbox.see(checkpoint)

    def check_extends(self, one: Checkpoint, other: Checkpoint) -> None:
        """Raise LogRewritten unless the smaller of the two is a prefix of the larger, registry included."""
        old, new = sorted((one, other), key=lambda checkpoint: checkpoint.size)
        self._check_registries(old, new)
        if old.size == new.size:
            if old.root != new.root:
                raise LogRewritten(one, other, "two trees of one size")
            return
        if old.size == 0:
            return
        path = self._json("GET", f"/v1/log/consistency?old={old.size}&new={new.size}").get("path", [])
        try:
            merkle.verify_consistency(old.size, new.size, old.root, new.root, [from_base64(item, 32) for item in path])
        except (ProofError, MalformedInput) as error:
            raise LogRewritten(one, other, f"no proof leads from one to the other, {error}") from error

    def standing(self, member: bytes) -> dict[str, Any]:
        """A member as the registry has it, with what signing a key change takes: nonce, head, retirementBlocks."""
        return self._json("GET", f"/v1/members/{to_hex(member)}")

    def relay(self, mandate: Mandate) -> None:
        """Have the service send what a root key signed; raises ServiceRefused with the registry's own reason."""
        self._json(
            "POST", "/v1/members/changes", {"function": mandate.function, "arguments": _plain(mandate.arguments)}
        )

    def membership(self) -> Membership:
        """The registry as the service tells it; hold it to a checkpoint's registry line before believing it."""
        return fold(read_changes(self._json("GET", "/v1/log/changes").get("changes")))

    def _check_registries(self, old: Checkpoint, new: Checkpoint) -> None:
        """Raise LogRewritten unless the list of membership changes of `old` is a prefix of that of `new`."""
        if new.registry is None:
            raise LogRewritten(old, new, "it does not say which registry it goes with")
        if old.registry in (None, new.registry):
            return
        try:
            membership = self.membership()
            membership.check_head(*new.registry)
            if old.registry is not None:
                membership.check_head(*old.registry)
                if old.registry[0] > new.registry[0]:
                    raise ProofError("the registry has become shorter")
        except (ProofError, MalformedInput, RegistryHeadMismatch, UnfitChange) as error:
            raise LogRewritten(old, new, f"the list of members and keys was rewritten, {error}") from error

    def cosign(self, key: NoteKey) -> tuple[Checkpoint, bool]:
        """Cosign the newest checkpoint as witness `key`, and whether it is new since this witness's last.

        Raises LogRewritten where it does not extend the checkpoint this witness cosigned last; nothing is signed
        then. The cosignature is on disk before it is sent.
        """
        if key.kind != WITNESS_KEY:
            raise MalformedInput("a witness signs with a key of type 4 (cosignature/v1)")
        note = self.checkpoint()
        offered = Checkpoint.parse(note.text)
        last = self.outbox.last_cosigned(offered.origin, key.name)
        known = last[0] if last else None
        if known is not None:
            if offered.size < known.size:
                raise LogRewritten(known, offered, "it is smaller than what this witness has cosigned")
            self.check_extends(known, offered)
        if last is not None and known == offered:
            line = last[1]
        else:
            line = key.sign(note.text, self.now() // 1000).line
            if not self.outbox.cosign(key.name, known, offered, line):
                raise UnfitAnswer("another process cosigned with this key just now: run it again")
        answer = self._answer(
            "POST", f"/v1/log/cosignatures?size={offered.size}", line.encode(), {"content-type": "text/plain"}
        )
        if answer.status_code >= 400:
            raise ServiceRefused(answer.status_code, _object(answer))
        return offered, known != offered

    # -- the wire ------------------------------------------------------------------------------------------------------

    def _json(
        self,
        method: str,
        path: str,
        value: Any = None,
        *,
        anonymous: bool = False,
        timeout_seconds: float | None = None,
    ) -> dict[str, Any]:
        body = None if value is None else orjson.dumps(value)
        answer = self._answer(
            method,
            path,
            body,
            {"content-type": "application/json"},
            anonymous=anonymous,
            timeout_seconds=timeout_seconds,
        )
        if answer.status_code >= 400:
            raise ServiceRefused(answer.status_code, _object(answer))
        parsed: dict[str, Any] = _parsed(answer)
        return parsed

    def _file(self, path: str, body: bytes) -> bytes:
        """The file that the service makes of `body`."""
        answer = self._answer("POST", path, body, {"content-type": "application/json"})
        if answer.status_code >= 400:
            raise ServiceRefused(answer.status_code, _object(answer))
        return answer.content

    def _answer(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        anonymous: bool = False,
        timeout_seconds: float | None = None,
    ) -> httpx.Response:
        """The service's answer to a call that may be repeated, which every call of ours may.

        A busy service is asked again when it says, a silent one after growing pauses, a stale token is replaced once.
        """
        end = time.monotonic() + self.patience_seconds
        renewed = anonymous
        for attempt in range(1_000_000):
            try:
                sent = dict(headers or {})
                if not anonymous:
                    sent["authorization"] = f"Bearer {self._current_token().value}"
                timeout = timeout_seconds or self.timeout_seconds
                answer = self._http.request(method, path, content=body, headers=sent, timeout=timeout)
            except httpx.TransportError as error:
                pause = min(0.1 * 2**attempt, 5.0)
                if time.monotonic() + pause > end:
                    raise ServiceUnreachable(
                        f"no answer from {self.base_url} ({error}). Is it running, is the address right?"
                        " What was sent is kept and goes out again next time"
                    ) from error
                self.sleep(pause)
                continue
            if answer.status_code == 401 and not renewed:
                renewed, self._token = True, None
                continue
            if answer.status_code in _BUSY:
                pause = _retry_after(answer, min(0.1 * 2**attempt, 5.0))
                if time.monotonic() + pause <= end:
                    self.sleep(pause)
                    continue
            return answer
        raise AssertionError("patience outlasts a million tries")


def _standing(told: Mapping[str, Any], despatch: bytes) -> Standing:
    try:
        signatures = [
            SignedOffer(
                Offer(
                    from_hex(one["unit"], 32, "/units/unit"),
                    int(one["sequence"]),
                    from_hex(one["from"], 20, "/units/from"),
                    from_hex(one["to"], 20, "/units/to"),
                    despatch,
                    int(one["deadline"]),
                ),
                from_hex(one["signature"], SIGNATURE_BYTES, "/units/signature"),
            )
            for one in told["units"]
        ]
        outcomes = {int(one["place"]): str(one["outcome"]) for one in told["answers"]}
        receipts = {int(one["place"]): from_hex(one["receipt"], 32, "/answers/receipt") for one in told["answers"]}
        return Standing(str(told["state"]), outcomes, tuple(signatures), receipts)
    except (KeyError, TypeError, ValueError) as error:
        raise UnfitAnswer(f"the service's word on an offer is not in its form: {error}") from error


def _plain(value: Any) -> Any:
    """Arguments of a contract call as the service reads them from JSON: bytes as 0x text, structs as lists."""
    if isinstance(value, bytes):
        return to_hex(value)
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value


def open_http(base_url: str, timeout_seconds: float) -> httpx.Client:
    """A connection pool for `base_url`; proxies from the environment are not used for a service on this machine."""
    url = httpx.URL(base_url)
    is_local = url.host in ("localhost", "::1") or url.host.startswith("127.")
    # Reading the certificates of the world takes longer than everything else here, and http has no use for them.
    is_secure = url.scheme != "http"
    return httpx.Client(
        base_url=base_url,
        timeout=timeout_seconds,
        follow_redirects=False,
        trust_env=not is_local,
        verify=is_secure,
    )


def _nobody() -> Trust:
    """A trust file that trusts nothing, until one has been fetched."""
    none = bytes(32)
    contracts = (none[:20], none) * 3
    return Trust("nobody", VerifierKey("nobody", LOG_KEY, none), 0, none, *contracts)


def draft(event: epcis.EpcisEvent, to: Sequence[bytes]) -> Draft:
    """The event as it will be signed for the members `to`."""
    return Draft(epcis.content(event, sorted(to_hex(one) for one in to)), original=event.original)


def personal_digest(message: str) -> bytes:
    """What is signed of a text that a person or a program was shown (EIP-191, version 0x45)."""
    data = message.encode()
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(data)).encode() + data)


def check_challenge(message: str, address: bytes, chain_id: int, url: str) -> None:
    """Raise UnfitAnswer unless `message` is a sign-in (EIP-4361) for our own address on our own chain with the host we
    called: we sign nothing else.

    Another host may have fetched it from the real service, to sign in there as us.
    """
    lines = message.split("\n")
    if (
        len(lines) < 6
        or not re.fullmatch(r"\S+ wants you to sign in with your Ethereum account:", lines[0])
        or lines[1].lower() != to_hex(address)
        or f"Chain ID: {chain_id}" not in lines
    ):
        raise UnfitAnswer("the service's challenge is not a sign-in for this key on this network: nothing was signed")
    named = next((line.removeprefix("URI: ") for line in lines if line.startswith("URI: ")), "")
    if _host(named) != _host(url):
        raise UnfitAnswer(
            f"the sign-in is for {named[:80]!r} and you called {url}: nothing was signed. Call it by that address, or "
            "have its operator set TALLYSTICK_PUBLIC_URL"
        )


def _host(url: str) -> str:
    """The host that `url` names; this machine has several names."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return "this machine" if host in ("127.0.0.1", "::1", "localhost", "0.0.0.0") else host


def _results(value: Mapping[str, Any], chunk: Sequence[Kept]) -> list[Answered]:
    """The answer for each envelope of `chunk`, in its order; raises UnfitAnswer where one is missing or another's."""
    results = value.get("results")
    if not isinstance(results, list) or len(results) != len(chunk):
        raise UnfitAnswer("the service did not answer for each envelope it was sent")
    results.sort(key=lambda item: item.get("item", -1))
    answers = []
    for index, (item, kept) in enumerate(zip(results, chunk, strict=True)):
        if item.get("item") != index:
            raise UnfitAnswer(f"the service answered for item {item.get('item')}, expected item {index}")
        problem = item.get("problem")
        if problem is not None:
            answers.append(Answered(kept.digest, None, False, str(problem.get("detail") or problem.get("title"))))
            continue
        if item.get("digest") != to_hex(kept.digest) or type(item.get("registeredAt")) is not int:
            raise UnfitAnswer(
                f"the service registered {item.get('digest')} for item {index}, sent was {to_hex(kept.digest)}"
            )
        answers.append(Answered(kept.digest, item["registeredAt"], bool(item.get("isNew"))))
    return answers


def _is_taken(item: Mapping[str, Any]) -> bool:
    """Whether a refused item met another statement on its number."""
    problem = item.get("problem") or {}
    return problem.get("status") == 409


def _retry_after(answer: httpx.Response, otherwise: float) -> float:
    """The seconds an answer asks us to wait (RFC 9110, 10.2.3), within reason."""
    text = answer.headers.get("retry-after", "")
    if text.isdigit():
        return min(float(text), _LONGEST_PAUSE_SECONDS)
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return otherwise
    return min(max(moment - time.time(), 0.0), _LONGEST_PAUSE_SECONDS)


def _parsed(answer: httpx.Response) -> Any:
    try:
        return orjson.loads(answer.content) if answer.content else {}
    except orjson.JSONDecodeError as error:
        raise UnfitAnswer(f"the service answered {answer.status_code} with something that is not JSON") from error


def _object(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object in an answer; for anything else an object that says so."""
    try:
        value = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"title": answer.reason_phrase or "no JSON"}

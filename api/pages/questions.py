"""The desk where requests for facts are answered by hand: what is filled in on the page, and its way to a signature.

For a member whose key is kept here the service signs; for all others it files a signing request, which the member's own
gateway fetches. Until that has signed, nothing is answered.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool

from api.capture import Custodian
from api.door import Door
from api.impact import answering
from api.impact.answering import Filled
from api.impact.requests import ANSWER, OPEN, FactRequests, Question, Standing
from api.impact.stated import StatedFacts
from api.impact.table import Rules, UnfitTable, read_fields
from api.impact.template import BY_KIND, Column, Sheet, Sort
from api.network import Directory, Member
from api.pages.answers import Fields, Mistake
from api.pages.notes import MARGIN_MS, Notes
from api.pages.requests import AlreadyAsked, AnsweredMeanwhile, Requests, RequestState, SigningRequest
from api.problems import NotCustodial
from api.texts import identifier
from ledger_service import canonical
from ledger_service.envelope import Envelope
from ledger_service.keys import to_hex
from ledger_service.ledger import CallRefused, Ledger
from ledger_service.membership import MemberState
from ledger_service.risk_kinds import AnswerOutcome, Refusal, SharingLevel, Wanted
from ledger_service.store.risk_tables import fact_page, fact_passed_on

Word = TypeVar("Word", SharingLevel, Refusal)
MAX_TEXT = 500
ROWS = {"bill-of-material": 4, "stock": 2}
"""How many rows the page has for a fact that is a list."""
_POSITION = re.compile(r"([+-]?\d{1,2}(?:[.,]\d+)?)\s*°?(?:\s*;|,\s|\s)\s*([+-]?\d{1,3}(?:[.,]\d+)?)\s*°?", re.ASCII)
BY_HAND = frozenset(
    {"site", "part", "bill-of-material", "supply-link", "stock", "capacity", "qualification", "product-price"}
)
"""The kinds that a page asks for; what is longer is filled in as a table."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that is wanted, as the page asks for it: `place` names its fields."""

    place: int
    wanted: Wanted
    sheet: Sheet

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is asked; what the request says already is not asked again."""
        given = {"part"} if self.wanted.part else set()
        if self.wanted.site and len([one for one in self.sheet.columns if one.name == "site"]) == 1:
            given.add("site")
        return tuple(one for one in self.sheet.columns if one.asks and one.name not in given)

    @property
    def filled_in(self) -> str:
        """What the page fills in for the place that the request names."""
        return identifier(self.wanted.site) if self.wanted.site else ""

    @property
    def rows(self) -> int:
        return ROWS.get(self.sheet.kind, 1)

    def field(self, column: str, row: int = 0) -> str:
        """The name of a field of the form."""
        return f"f{self.place}.{row}.{column}"


def asked_by_hand(question: Question) -> tuple[Asked, ...]:
    """What of a request a page can ask for."""
    return tuple(
        Asked(place, one, BY_KIND[one.kind]) for place, one in enumerate(question.said.wanted) if one.kind in BY_HAND
    )


def read_answer(
    fields: Fields, question: Question, rules: Rules, links: Sequence[dict[str, Any]]
) -> tuple[Filled | None, tuple[Mistake, ...]]:
    """The facts that were filled in, or what keeps them from being said. `links` are own links that get the level."""
    mistakes: list[Mistake] = []
    level = _choice(fields.get("level", ""), SharingLevel)
    found: list[tuple[str, Mapping[str, Any]]] = []
    states_links = any(one.kind == "supply-link" for one in question.said.wanted)
    if (states_links or links) and level is None:
        mistakes.append(Mistake("level-tier", "ask_error_level"))
    for asked in asked_by_hand(question):
        rows = _rows(fields, asked)
        if not rows:
            continue
        _part_position(rows[0])
        if asked.sheet.kind == "supply-link":
            rows[0]["level"] = str(level or SharingLevel.WITHHELD)
        try:
            # Whose sites these are follows from who answers; see `_claimed`.
            said = read_fields(asked.sheet.kind, rows, replace(rules, sites=None))
            found += [(one.kind, one.content) for one in said]
        except UnfitTable as error:
            for one in error.problems:
                name = one.column if one.column in {each.name for each in asked.columns} else asked.columns[0].name
                value = fields.get(asked.field(name, max((one.row or 1) - 1, 0)), "")
                mistakes.append(Mistake(asked.field(name, max((one.row or 1) - 1, 0)), "ask_error_field", value))
    if not found and not mistakes:
        mistakes.append(Mistake("answer", "ask_error_nothing"))
    if mistakes:
        return None, tuple(mistakes)
    found += [("site", one) for one in _claimed(found, rules.sites or frozenset())]
    found += [("supply-link", one) for one in links]
    return Filled(AnswerOutcome.ANSWERED, tuple(found), level if states_links or links else None), ()


def _part_position(row: dict[str, str]) -> None:
    """Put a latitude and a longitude where they belong that stand in one field, as maps have them to copy."""
    both = _POSITION.fullmatch(row.get("latitude", ""))
    if both is not None and not row.get("longitude"):
        row["latitude"], row["longitude"] = both.groups()


def _claimed(found: Sequence[tuple[str, Mapping[str, Any]]], own: frozenset[str]) -> list[dict[str, Any]]:
    """Sites that are answered for and were never described: whoever answers says that they are its own, and no more."""
    described = own | {str(content["site"]) for kind, content in found if kind == "site"}
    claimed: dict[str, dict[str, Any]] = {}
    for kind, content in found:
        site = str(content.get("customer" if kind == "qualification" else "site", ""))
        if site and site not in described and kind != "supply-link":
            claimed[site] = {"asOf": content["asOf"], "document": content["document"], "site": site}
    return list(claimed.values())


def is_filled_in(fields: Fields, asked: Asked) -> bool:
    """Whether the form says anything of it."""
    return bool(_rows(fields, asked))


def read_declining(fields: Fields) -> tuple[Filled | None, tuple[Mistake, ...]]:
    """Why facts are not given."""
    reason, text = _choice(fields.get("reason", ""), Refusal), " ".join(fields.get("text", "").split())
    mistakes = []
    if reason is None:
        mistakes.append(Mistake("reason", "ask_error_reason"))
    if len(text) > MAX_TEXT:
        mistakes.append(Mistake("text", "ask_error_long"))
    if mistakes:
        return None, tuple(mistakes)
    return Filled(AnswerOutcome.DECLINED, reason=reason, text=text or None), ()


def read_passing_on(
    fields: Fields, question: Question, suppliers: Mapping[str, bytes], number: str, today: date
) -> tuple[Filled | None, tuple[Mistake, ...]]:
    """The request that is made one tier up."""
    mistakes = []
    to = suppliers.get(fields.get("supplier", ""))
    if to is None:
        mistakes.append(Mistake("supplier", "ask_error_supplier"))
    purpose = " ".join(fields.get("purpose", "").split())
    if not 0 < len(purpose) <= MAX_TEXT:
        mistakes.append(Mistake("purpose", "ask_error_purpose"))
    try:
        until = date.fromisoformat(fields.get("until", ""))
    except ValueError:
        until = date.min
    if until < today:
        mistakes.append(Mistake("until", "ask_error_until"))
    part = None
    if fields.get("part", "").strip():
        try:
            content = read_fields("part", [{"part": fields["part"].strip(), "uom": "pcs"}], Rules(now=0))[0].content
            part = str(content["part"])
        except UnfitTable:
            mistakes.append(Mistake("part", "ask_error_part"))
    if mistakes or to is None:
        return None, tuple(mistakes)
    upward = answering.passed_on(question, to, purpose, number, part=part, until=until)
    return Filled(AnswerOutcome.FORWARDED, upward=upward), ()


def _choice(text: str, among: type[Word]) -> Word | None:
    return next((one for one in among if one == text), None)


def _rows(fields: Fields, asked: Asked) -> list[dict[str, str]]:
    """The rows of the form in which something was filled in; what the request says goes with them."""
    rows: list[dict[str, str]] = []
    repeated = [one.name for one in asked.sheet.columns if one.repeats]
    shares = {one.name for one in asked.columns if one.sort is Sort.SHARE}
    for row in range(asked.rows):
        names = [one.name for one in asked.columns if not row or one.name in repeated]
        values = {name: fields.get(asked.field(name, row), "").strip()[:300] for name in names}
        # The page has the sign beside the field, so 1 is no whole here as it may be in a cell.
        values |= {name: f"{value} %" for name, value in values.items() if name in shares and value[-1:].isdigit()}
        # A list to choose from always says something, and what the page has filled in itself says nothing.
        if any(value and value != asked.filled_in for name, value in values.items() if name not in _CHOSEN):
            rows.append(values)
    if not rows:
        return []
    given = {"part": asked.wanted.part, "site": asked.wanted.site}
    known = {name: value for name, value in given.items() if value and asked.sheet.has(name)}
    keys = {one.name: rows[0].get(one.name, "") for one in asked.sheet.columns if one.is_key}
    return [keys | row | known for row in rows]


_CHOSEN = frozenset({"uom", "needs_uom", "lead_working", "offered"})


@dataclass(frozen=True, slots=True)
class Case:
    """A request as the page finds it: how it stands, and the newest thing that was asked to be signed about it."""

    question: Question
    standing: Standing
    request: SigningRequest | None

    @property
    def is_waiting(self) -> bool:
        """Whether an answer lies with the gateway of the member that is asked."""
        return self.request is not None and self.request.state is RequestState.WAITING and self.may_be_answered

    @property
    def may_be_answered(self) -> bool:
        """A late answer still counts; what was answered or taken back takes none on the page."""
        return self.standing in OPEN | {Standing.UNANSWERED}

    @property
    def is_open(self) -> bool:
        return self.may_be_answered and not self.is_waiting


class FactDesk:
    """Where links to requests are made and answered. `now` is the clock of the service, ms UTC."""

    def __init__(
        self,
        ledger: Ledger,
        door: Door,
        requests: FactRequests,
        stated: StatedFacts,
        custodian: Custodian,
        directory: Directory,
        *,
        key: bytes,
        now: Callable[[], int],
        randomness: Callable[[int], bytes],
    ) -> None:
        self._ledger = ledger
        self._door = door
        self._requests = requests
        self._stated = stated
        self._custodian = custodian
        self._directory = directory
        self._now = now
        self._randomness = randomness
        self.notes = Notes(ledger.store, key, randomness, fact_page.c.request)
        self.signing = Requests(ledger.store)

    def make_page(self, question: Question) -> tuple[str, int]:
        """A fresh token for the page of a request, and until when it leads there (ms)."""
        now = self._now()
        return self.notes.make(question.id, question.ends_at, now), max(question.ends_at, now) + MARGIN_MS

    def case(self, request: bytes) -> Case | None:
        """How a request stands now; None where it is not there any more."""
        question = self._requests.find(request)
        if question is None:
            return None
        return Case(question, question.standing(self._now()), self.signing.newest(request))

    def signs_for(self, member: bytes) -> bool:
        """Whether the service keeps the key of `member`."""
        try:
            self._custodian.key_of(member, self._ledger)
        except NotCustodial:
            return False
        return True

    def suppliers(self, question: Question) -> dict[str, Member]:
        """The members whom the asked one can ask in turn, by their ids; neither side of this request is among them."""
        states = self._ledger.anchoring.membership.members
        return {
            to_hex(one.id): one
            for one in sorted(self._directory.by_id.values(), key=lambda one: one.name.casefold())
            if one.id not in (question.asker, question.said.asked)
            and one.id in states
            and states[one.id].states[-1][1] is MemberState.ACTIVE
        }

    def links(self, question: Question, level: SharingLevel) -> list[dict[str, Any]]:
        """Own supply links of the asked member that a level for whoever asks is about, with that level."""
        if any(one.kind == "supply-link" for one in question.said.wanted):
            return []  # then the level is that of the link which is stated here
        own = self._stated.of(question.said.asked, ("supply-link",))
        return answering.restated(
            (one.content for one in own.values()), question, level, self._stated.sites(question.asker), self._now()
        )

    def has_links(self, question: Question) -> bool:
        """Whether a level would change anything."""
        return bool(self.links(question, SharingLevel.NAMED) or self.links(question, SharingLevel.WITHHELD))

    def rules(self, question: Question) -> Rules:
        """How the fields of the page are read: as of now, and of sites of whoever is asked."""
        return Rules(now=self._now(), sites=self._stated.sites(question.said.asked))

    def new_number(self) -> str:
        """A number for a request that is passed on; nothing of the first request is in it."""
        return f"RQ-{self._randomness(6).hex().upper()}"

    def passed_on(self, member: bytes) -> dict[bytes, bytes]:
        """For which request that a custodial `member` was asked its gateway here has asked another one."""
        query = sa.select(fact_passed_on).where(fact_passed_on.c.member == member)
        with self._ledger.store.read() as connection:
            return {row.request: row.upward for row in connection.execute(query)}

    def today(self) -> date:
        return datetime.fromtimestamp(self._now() / 1000, UTC).date()

    async def answer(self, question: Question, filled: Filled) -> None:
        """Have what was filled in signed: here, or by the gateway of whoever is asked.

        Raises AnsweredMeanwhile where there is nothing to answer any more, AlreadyAsked, or what the door raises.
        """
        member = question.said.asked
        await run_in_threadpool(self._answerable, question)
        filled.check(question, self._now())
        if not await run_in_threadpool(self.signs_for, member):
            value = canonical.parse(canonical.dump(filled.as_json()))
            await run_in_threadpool(self.signing.ask, member, question.id, ANSWER, value, self._now())
            return
        async with self._custodian.lane:
            await run_in_threadpool(self._answerable, question)
            items, said = await run_in_threadpool(self._seal, question, filled)
            try:
                await self._door.register(items, keep_good=False, vet=lambda results: results)
            except CallRefused as error:
                raise error.refusals[0].error from None
            if said.upward is not None:
                await run_in_threadpool(self._note_passed_on, member, question.id, said.upward)

    def _answerable(self, question: Question) -> Case:
        found = self.case(question.id)
        if found is None or not found.may_be_answered:
            raise AnsweredMeanwhile("this request was answered or taken back meanwhile")
        if found.is_waiting:
            raise AlreadyAsked("an answer to this waits for the gateway: it signs that one first")
        return found

    def _seal(self, question: Question, filled: Filled) -> tuple[list[bytes], answering.Said]:
        items: list[bytes] = []
        counts: dict[tuple[str, tuple[bytes, ...]], int] = {}
        member, now = question.said.asked, self._now()

        def seal(kind: str, content: Mapping[str, Any], to: Sequence[bytes], source: str) -> bytes:
            place = source, tuple(to)
            named = {**content, "to": [to_hex(one) for one in sorted(to)]}
            data = self._custodian.seal_fact(
                self._ledger, member, sorted(to), source, kind, canonical.parse(canonical.dump(named)), now,
                after=counts.get(place, 0),
            )  # fmt: skip
            counts[place] = counts.get(place, 0) + 1
            items.append(data)
            return Envelope.parse(data).header.digest(self._ledger.domain)

        said = answering.say(filled, question, seal)
        return items, said

    def _note_passed_on(self, member: bytes, request: bytes, upward: bytes) -> None:
        with self._ledger.store.write() as connection:
            connection.execute(sa.insert(fact_passed_on).values(member=member, request=request, upward=upward))

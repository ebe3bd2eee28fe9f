"""The page behind the code on a despatch note: for a person with a telephone, in plain HTML."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import pages
from api.pages import languages, views
from api.pages.answers import FilledIn, read_answer, read_refusal
from api.pages.desk import Desk, Standing
from api.pages.markup import Element, e
from api.pages.notes import TRIES_IN_A_ROW, Note, Notes, Session
from api.pages.requests import AlreadyAsked, AnsweredMeanwhile, RequestState
from api.pages.views import Banner, Form, Frame, Offered, moment
from api.problems import kind_of
from api.routes.bodies import body
from api.service import Caller, Service, asks
from api.texts import plain
from api.visibility import Action
from ledger_service.custody.kinds import Outcome
from ledger_service.custody.offers import OfferRefused
from ledger_service.errors import LedgerError
from ledger_service.keys import to_hex
from ledger_service.offering import OfferState

router = APIRouter(prefix="/o", include_in_schema=False)
MAX_FORM_BYTES = 1 << 20
MAX_FIELDS = 20_000
COOKIE = "tallystick_note"
_STYLE = (Path(pages.__file__).parent / "page.css").read_bytes()
STYLE_PATH = f"/o/page.css?v={sha256(_STYLE).hexdigest()[:12]}"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}
_STATES = {
    OfferState.OPEN: ("state_open", ""),
    OfferState.OVERDUE: ("state_overdue", "fair"),
    OfferState.DEEMED_ACCEPTED: ("state_deemed", "fair"),
    OfferState.EXPIRED: ("state_expired", "fair"),
    OfferState.WITHDRAWN: ("state_withdrawn", "bad"),
}
_OUTCOMES = {
    Outcome.ACCEPTED: ("state_accepted", "good"),
    Outcome.WITH_DISCREPANCIES: ("state_discrepancies", "good"),
    Outcome.REFUSED: ("state_refused", "bad"),
}


@router.get("/page.css")
def style(caller: Caller = asks(Action.READ_NOTE)) -> Response:
    """The one style sheet of all pages. Its address changes with it."""
    del caller
    return Response(_STYLE, media_type="text/css", headers={"Cache-Control": "public, max-age=31536000, immutable"})


@router.get("/{token}")
async def show(token: str, request: Request, caller: Caller = asks(Action.READ_NOTE)) -> Response:
    """What is offered, how it stands, and to whom has signed in, the forms to answer it."""
    return await run_in_threadpool(_show, caller.service, token, request)


@router.post("/{token}/pin")
async def sign_in(token: str, request: Request, caller: Caller = asks(Action.ANSWER_NOTE)) -> Response:
    """Open a session by the PIN of the taker's site."""
    fields = await form_fields(request)
    return await run_in_threadpool(_sign_in, caller.service, token, request, fields)


@router.post("/{token}/leave")
async def leave(token: str, request: Request, caller: Caller = asks(Action.ANSWER_NOTE)) -> Response:
    """End the session."""
    visit = await run_in_threadpool(_visit, caller.service, token, request)
    return visit if isinstance(visit, Response) else visit.leave()


@router.post("/{token}/answer")
async def answer(token: str, request: Request, caller: Caller = asks(Action.ANSWER_NOTE)) -> Response:
    """Show the answer once more, and have it signed when it is sent from there."""
    fields = await form_fields(request)
    visit = await run_in_threadpool(_visit, caller.service, token, request)
    if isinstance(visit, Response):
        return visit
    session = visit.session
    if session is None or not await run_in_threadpool(visit.is_open) or not visit.is_ours(fields):
        return visit.message("stale", 403)
    if not (visit.found.may_accept or visit.found.may_refuse):
        return await run_in_threadpool(visit.overtaken)
    filled = visit.filled(fields)
    stage = fields.get("stage", "review")
    if filled.mistakes or stage == "edit":
        return await run_in_threadpool(visit.page, Form(visit.form_token(session), fields, filled.mistakes))
    if stage != "sign":
        return visit.review(filled, fields, session)
    try:
        await caller.service.desk.answer(visit.note, filled)
    except (AlreadyAsked, AnsweredMeanwhile):
        again = await run_in_threadpool(_visit, caller.service, token, request)
        return again if isinstance(again, Response) else await run_in_threadpool(again.overtaken)
    except OfferRefused as error:
        return visit.html(
            views.message(
                visit.frame,
                visit.frame.say("trouble_title"),
                visit.frame.say("not_taken", reason=plain(str(error))),
                back=True,
            ),
            409,
        )
    except LedgerError as error:
        caller.service.metrics.refusals.labels(kind_of(error).name).inc()
        return visit.message("trouble", 503)
    return go_to(visit.frame.here())


class PageVisit(ABC):
    """One call of a page behind a token: the note it stands on, the frame around it, and whose session it is, which the
    browser keeps as `cookie` for this token's pages alone.
    """

    cookie: ClassVar[str]

    def __init__(self, service: Service, notes: Notes, note: Note, frame: Frame, session: Session | None) -> None:
        self.service = service
        self.notes = notes
        self.note = note
        self.frame = frame
        self.session = session

    @property
    @abstractmethod
    def door(self) -> tuple[bytes, str | None]:
        """Whose PIN opens a session, and that of which of its sites."""

    @abstractmethod
    def page(self, form: Form | None = None, problem: str = "", status: int = 200) -> Response:
        """The page as it stands, with the forms that this reader may use."""

    def is_open(self) -> bool:
        """Whether the session was opened by the PIN that counts now."""
        pin = self.notes.pin_for(*self.door)
        return self.session is not None and pin is not None and self.session.pin_set_at == pin.set_at

    def sign_in(self, token: str, fields: Mapping[str, str]) -> Response:
        """Open a session where the PIN is right; say how many tries are left where it is not."""
        if not self.is_ours(fields):
            return self.message("stale", 403)
        now = self.service.now()
        pin = self.notes.try_pin(self.note, *self.door, fields.get("pin", "")[:12], now)
        if pin is not None:
            answer = go_to(self.frame.here())
            self.keep(answer, self.notes.begin(now, pin))
            return answer
        tried = self.notes.find(token)
        assert tried is not None, "it was there a moment ago"
        self.note = tried
        left = TRIES_IN_A_ROW - tried.tries % TRIES_IN_A_ROW
        is_blocked = tried.is_dead or tried.blocked_until > now
        return self.page(problem=self.frame.say("pin_wrong", count=str(left)), status=429 if is_blocked else 403)

    def leave(self) -> Response:
        """End the session."""
        answer = go_to(self.frame.here())
        answer.delete_cookie(self.cookie, path=self.frame.address)
        return answer

    def is_ours(self, fields: Mapping[str, str]) -> bool:
        """Whether a form came from a page of this session."""
        token = fields.get("form", "")
        return self.session is not None and self.notes.is_form_token(self.note, self.session, token)

    def form_token(self, session: Session) -> str:
        return self.notes.form_token(self.note, session)

    def message(self, name: str, status: int) -> Response:
        """A page that says one thing of the catalogue and leads back."""
        say = self.frame.say
        return self.html(views.message(self.frame, say(f"{name}_title"), say(f"{name}_text"), back=True), status)

    def keep(self, answer: Response, session: Session) -> None:
        """Have the browser keep `session`."""
        answer.set_cookie(
            self.cookie,
            self.notes.cookie(self.note, session),
            path=self.frame.address,
            secure=self.service.url.startswith("https:"),
            httponly=True,
            samesite="strict",
            max_age=max((session.until - self.service.now()) // 1000, 0),
        )

    @staticmethod
    def html(text: str, status: int = 200) -> Response:
        return HTMLResponse(text, status, headers=HEADERS)


class Visit(PageVisit):
    """A visit to the page of a printed note, and how its offer stands."""

    cookie = COOKIE

    def __init__(self, service: Service, note: Note, found: Standing, frame: Frame, session: Session | None) -> None:
        super().__init__(service, service.desk.notes, note, frame, session)
        self.found = found
        directory = service.network.directory
        carrier_for = found.despatch.carrier_for
        self.offered = Offered(
            note.about,
            found.despatch,
            plain(directory.name(found.view.giver), 120),
            plain(directory.name(found.view.taker), 120),
            "" if carrier_for is None else plain(directory.name(carrier_for), 120),
        )

    @property
    def desk(self) -> Desk:
        return self.service.desk

    @property
    def door(self) -> tuple[bytes, str | None]:
        return self.found.view.taker, self.found.despatch.ship_to

    def filled(self, fields: Mapping[str, str]) -> FilledIn:
        """What the fields say, of the units that nobody has answered."""
        despatch, places = self.found.despatch, self.found.places
        if fields.get("answer") == "refuse" or not self.found.may_accept:
            return read_refusal(fields, [despatch.units[place].id.key for place in places])
        return read_answer(fields, despatch, places)

    def banners(self) -> list[Banner]:
        """How the offer stands. Only what the taker signed is called signed."""
        say, view, names = self.frame.say, self.found.view, {"taker": self.offered.taker, "giver": self.offered.giver}
        told: list[Banner] = []
        for receipt in dict.fromkeys(one.receipt for one in view.answers):
            one = next(each for each in view.answers if each.receipt == receipt)
            name, tone = _OUTCOMES[Outcome(one.outcome)]
            told.append(Banner(_say(self.frame, name, names | {"time": moment(one.at)}), tone))
        if self.found.is_waiting:
            return [*told, Banner(_say(self.frame, "state_waiting", names), "fair")]
        if view.state in _STATES:
            name, tone = _STATES[view.state]
            told.append(Banner(_say(self.frame, name, names), tone))
        request = self.found.request
        if request is not None and request.state is RequestState.DECLINED and self.found.places:
            told.append(Banner(say("declined", reason=plain(request.declined or "", 500)), "bad"))
        return told

    def page(self, form: Form | None = None, problem: str = "", status: int = 200) -> Response:
        session = self.session
        if session is None:
            session = self.notes.begin(self.service.now())
        forms: list[Element] = []
        if self.found.is_waiting:
            forms.append(views.look_again(self.frame))
        elif self.found.may_accept or self.found.may_refuse:
            if self.is_open():
                forms += views.answer_forms(
                    self.frame,
                    self.offered,
                    self.found.places,
                    form or Form(self.form_token(session), {}),
                    may_accept=self.found.may_accept,
                )
            else:
                forms.append(self._pin_form(session, problem))
        records = [to_hex(one) for one in dict.fromkeys(one.receipt for one in self.found.view.answers)]
        if form is not None and form.mistakes:
            status = 422
        page = views.offer_page(
            self.frame, self.offered, self.banners(), forms, records=records, remarks=self.found.remarks
        )
        answer = self.html(page, status)
        if self.session is None:
            self.keep(answer, session)
        return answer

    def _pin_form(self, session: Session, problem: str) -> Element:
        say, now = self.frame.say, self.service.now()
        names = {"taker": self.offered.taker, "giver": self.offered.giver}
        if self.notes.pin_for(*self.door) is None:
            return e("p", _say(self.frame, "pin_none", names), class_="state fair", role="status")
        if self.note.is_dead:
            return e("p", _say(self.frame, "pin_dead", names), class_="state bad", role="alert")
        if self.note.blocked_until > now:
            blocked = say("pin_blocked", time=moment(self.note.blocked_until + 59_999))
            return e("p", blocked, class_="state bad", role="alert")
        return views.pin_form(self.frame, self.offered, Form(self.form_token(session), {}), problem)

    def overtaken(self) -> Response:
        """Why an answer that was sent was not taken: another one came first, or there is no offer to answer now."""
        if self.found.is_waiting or self.found.view.state in (OfferState.ANSWERED, OfferState.REFUSED):
            return self.message("answered", 409)
        return self.page(status=409)

    def review(self, filled: FilledIn, fields: Mapping[str, str], session: Session) -> Response:
        kept = {name: value for name, value in fields.items() if name not in ("form", "stage", "lang")}
        signs_here = self.desk.signs_for(self.found.view.taker)
        token = self.form_token(session)
        return self.html(views.review_page(self.frame, self.offered, filled, kept, token, signs_here=signs_here))


def _visit(service: Service, token: str, request: Request) -> Visit | Response:
    """The visit, or the page that says why there is none."""
    asked = request.query_params.get("lang")
    say = languages.words(languages.chosen(asked, request.headers.get("accept-language", "")[:1000]))
    frame = Frame(say, f"/o/{token}", STYLE_PATH, service.network.is_demo)
    note = service.desk.notes.find(token)
    if note is None:
        nowhere = Frame(say, "/o/-", STYLE_PATH, service.network.is_demo)
        return Visit.html(views.message(nowhere, say("unknown_title"), say("unknown_text")), 404)
    now = service.now()
    found = None if note.is_over(now) else service.desk.standing(note)
    if found is None:
        return Visit.html(views.message(frame, say("ended_title"), say("ended_text")), 410)
    cookie = request.cookies.get(COOKIE, "")
    return Visit(service, note, found, frame, service.desk.notes.session(note, cookie, now))


def _show(service: Service, token: str, request: Request) -> Response:
    visit = _visit(service, token, request)
    return visit if isinstance(visit, Response) else visit.page()


def _sign_in(service: Service, token: str, request: Request, fields: Mapping[str, str]) -> Response:
    visit = _visit(service, token, request)
    return visit if isinstance(visit, Response) else visit.sign_in(token, fields)


async def form_fields(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name; raises LedgerError for anything else."""
    data = await body(request, MAX_FORM_BYTES, "application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        return {}  # without its form token it is nobody's
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


def _say(frame: Frame, name: str, values: Mapping[str, str]) -> str:
    """A text of the catalogue with those of `values` that it has places for."""
    return frame.say(name, **values)


def go_to(address: str) -> Response:
    return RedirectResponse(address, 303, headers=HEADERS)

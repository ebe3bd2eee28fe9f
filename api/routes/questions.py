"""The page behind the link to a request for facts: for a supplier without software, in plain HTML."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.impact import answering
from api.impact.answering import Filled
from api.impact.requests import Standing
from api.pages import languages, question_views, views
from api.pages.answers import Mistake
from api.pages.markup import Element, e
from api.pages.notes import Note, Session
from api.pages.question_views import Sides, day_text
from api.pages.questions import Case, FactDesk, read_answer, read_declining, read_passing_on
from api.pages.requests import AlreadyAsked, AnsweredMeanwhile, RequestState
from api.pages.views import Banner, Form, Frame, moment
from api.problems import kind_of
from api.routes.pages import STYLE_PATH, PageVisit, form_fields, go_to
from api.service import Caller, Service, asks
from api.texts import plain
from api.visibility import Action
from ledger_service.errors import LedgerError
from ledger_service.risk_kinds import SharingLevel

router = APIRouter(prefix="/q", include_in_schema=False)
COOKIE = "tallystick_request"
_TONES = {
    Standing.OPEN: "",
    Standing.FORWARDED: "fair",
    Standing.ANSWERED: "good",
    Standing.DECLINED: "bad",
    Standing.UNANSWERED: "fair",
    Standing.WITHDRAWN: "bad",
}


@router.get("/{token}")
async def show(token: str, request: Request, caller: Caller = asks(Action.READ_FACT_PAGE)) -> Response:
    """Who asks what, how it stands, and to whom has signed in, the forms to answer it."""
    return await run_in_threadpool(_show, caller.service, token, request)


@router.post("/{token}/pin")
async def sign_in(token: str, request: Request, caller: Caller = asks(Action.ANSWER_FACT_PAGE)) -> Response:
    """Open a session by the PIN of the member that is asked."""
    fields = await form_fields(request)
    return await run_in_threadpool(_sign_in, caller.service, token, request, fields)


@router.post("/{token}/leave")
async def leave(token: str, request: Request, caller: Caller = asks(Action.ANSWER_FACT_PAGE)) -> Response:
    """End the session."""
    visit = await run_in_threadpool(_visit, caller.service, token, request)
    return visit if isinstance(visit, Response) else visit.leave()


@router.post("/{token}/answer")
async def answer(token: str, request: Request, caller: Caller = asks(Action.ANSWER_FACT_PAGE)) -> Response:
    """Show the answer once more, and have it signed when it is sent from there."""
    fields = await form_fields(request)
    visit = await run_in_threadpool(_visit, caller.service, token, request)
    if isinstance(visit, Response):
        return visit
    session = visit.session
    if session is None or not await run_in_threadpool(visit.is_open) or not visit.is_ours(fields):
        return visit.message("stale", 403)
    if not visit.case.is_open:
        return visit.message("answered", 409)
    filled, mistakes = await run_in_threadpool(visit.read, fields)
    form = Form(visit.form_token(session), fields, mistakes)
    stage = fields.get("stage", "review")
    if filled is None or stage == "edit":
        return await run_in_threadpool(visit.page, form)
    if stage != "sign":
        return await run_in_threadpool(visit.review, filled, fields, session)
    try:
        await visit.desk.answer(visit.case.question, filled)
    except (AlreadyAsked, AnsweredMeanwhile):
        return visit.message("answered", 409)
    except LedgerError as error:
        caller.service.metrics.refusals.labels(kind_of(error).name).inc()
        reason = visit.frame.say("not_taken", reason=plain(str(error)))
        return visit.html(views.message(visit.frame, visit.frame.say("trouble_title"), reason, back=True), 409)
    return go_to(visit.frame.here())


class Visit(PageVisit):
    """A visit to the page of a request for facts, and how that stands."""

    cookie = COOKIE

    def __init__(self, service: Service, note: Note, case: Case, frame: Frame, session: Session | None) -> None:
        super().__init__(service, service.fact_desk.notes, note, frame, session)
        self.case = case
        name = service.network.directory.name
        self.sides = Sides(plain(name(case.question.asker), 120), plain(name(case.question.said.asked), 120))

    @property
    def desk(self) -> FactDesk:
        return self.service.fact_desk

    @property
    def door(self) -> tuple[bytes, str | None]:
        return self.case.question.said.asked, None

    def read(self, fields: Mapping[str, str]) -> tuple[Filled | None, tuple[Mistake, ...]]:
        """What the fields say, or what is wrong with them."""
        question, desk = self.case.question, self.desk
        if fields.get("answer") == "decline":
            return read_declining(fields)
        if fields.get("answer") == "forward":
            suppliers = {name: one.id for name, one in desk.suppliers(question).items()}
            return read_passing_on(fields, question, suppliers, desk.new_number(), desk.today())
        chosen = fields.get("level", "")
        links = desk.links(question, SharingLevel(chosen)) if chosen in set(SharingLevel) else []
        return read_answer(fields, question, desk.rules(question), links)

    def banners(self) -> list[Banner]:
        """How the request stands. Only what was signed is called signed."""
        say, question = self.frame.say, self.case.question
        names = {"asker": self.sides.asker, "asked": self.sides.asked}
        names["until"] = day_text(question.said.until, say)
        names["time"] = moment(question.answers[-1].at) if question.answers else ""
        if self.case.is_waiting:
            return [Banner(say("ask_state_waiting", **names), "fair")]
        told = [Banner(say(f"ask_state_{self.case.standing}", **names), _TONES[self.case.standing])]
        request = self.case.request
        if request is not None and request.state is RequestState.DECLINED and self.case.may_be_answered:
            told.append(Banner(say("declined", reason=plain(request.declined or "", 500)), "bad"))
        return told

    def page(self, form: Form | None = None, problem: str = "", status: int = 200) -> Response:
        session = self.session
        if session is None:
            session = self.notes.begin(self.service.now())
        forms: list[Element] = []
        if self.case.is_waiting:
            forms.append(views.look_again(self.frame))
        elif self.case.is_open:
            if self.is_open():
                forms += self._forms(form or Form(self.form_token(session), {}))
            else:
                forms.append(self._pin_form(session, problem))
        if form is not None and form.mistakes:
            status = 422
        page = question_views.question_page(self.frame, self.case.question, self.sides, self.banners(), forms)
        answer = self.html(page, status)
        if self.session is None:
            self.keep(answer, session)
        return answer

    def _forms(self, form: Form) -> list[Element]:
        question, chosen, token = self.case.question, form.value("answer"), Form(form.token, {})
        told = {name: form if chosen == name else token for name in ("answer", "forward", "decline")}
        asks_level = any(one.kind == "supply-link" for one in question.said.wanted) or self.desk.has_links(question)
        until = answering.until_for(question, self.service.now())
        parts = [question_views.mistakes(self.frame, question, form)] if form.mistakes else []
        return [
            *parts,
            question_views.answer_form(
                self.frame, question, self.sides, told["answer"], asks_level=asks_level,
                is_opened=chosen == "answer",
            ),
            question_views.passing_on_form(
                self.frame, self.desk.suppliers(question), until, told["forward"], is_opened=chosen == "forward"
            ),
            question_views.declining_form(self.frame, told["decline"], is_opened=chosen == "decline"),
            e("form", form.hidden(), e("button", self.frame.say("leave"), class_="plain"), method="post",
              action=self.frame.here("/leave")),
        ]  # fmt: skip

    def _pin_form(self, session: Session, problem: str) -> Element:
        say, now = self.frame.say, self.service.now()
        if self.notes.pin_for(*self.door) is None:
            return e("p", say("ask_pin_none", asked=self.sides.asked), class_="state fair", role="status")
        if self.note.is_dead:
            return e("p", say("ask_pin_dead", asker=self.sides.asker), class_="state bad", role="alert")
        if self.note.blocked_until > now:
            blocked = say("pin_blocked", time=moment(self.note.blocked_until + 59_999))
            return e("p", blocked, class_="state bad", role="alert")
        return question_views.pin_form(self.frame, self.sides, Form(self.form_token(session), {}), problem)

    def review(self, filled: Filled, fields: Mapping[str, str], session: Session) -> Response:
        question = self.case.question
        kept = {name: value for name, value in fields.items() if name not in ("form", "stage", "lang")}
        return self.html(
            question_views.review_page(
                self.frame, question, self.sides, filled, kept, self.form_token(session),
                self.desk.suppliers(question), signs_here=self.desk.signs_for(question.said.asked),
            )
        )  # fmt: skip


def _visit(service: Service, token: str, request: Request) -> Visit | Response:
    """The visit, or the page that says why there is none."""
    accepted = request.headers.get("accept-language", "")[:1000]
    say = languages.question_words(languages.chosen(request.query_params.get("lang"), accepted))
    frame = Frame(say, f"/q/{token}", STYLE_PATH, service.network.is_demo)
    note = service.fact_desk.notes.find(token)
    if note is None:
        nowhere = Frame(say, "/q/-", STYLE_PATH, service.network.is_demo)
        return Visit.html(views.message(nowhere, say("unknown_title"), say("ask_unknown_text")), 404)
    now = service.now()
    case = None if note.is_over(now) else service.fact_desk.case(note.about)
    if case is None:
        return Visit.html(views.message(frame, say("ended_title"), say("ask_ended_text")), 410)
    cookie = request.cookies.get(COOKIE, "")
    return Visit(service, note, case, frame, service.fact_desk.notes.session(note, cookie, now))


def _show(service: Service, token: str, request: Request) -> Response:
    visit = _visit(service, token, request)
    return visit if isinstance(visit, Response) else visit.page()


def _sign_in(service: Service, token: str, request: Request, fields: Mapping[str, str]) -> Response:
    visit = _visit(service, token, request)
    return visit if isinstance(visit, Response) else visit.sign_in(token, fields)

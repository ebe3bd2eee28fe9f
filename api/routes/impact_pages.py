"""Reports for people, of impact and of stress tests: a page that needs nothing else, and a PDF."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from api import problems
from api.drawing.language import LANGUAGES
from api.drawing.stressed import StressTelling
from api.drawing.telling import Telling
from api.impact.issuing import Reported
from api.pages.impact import POLICY, page
from api.pages.languages import chosen
from api.paper import CannotPrint
from api.paper.impact import ImpactPaper
from api.problems import NotThere, documented
from api.routes.bodies import gives
from api.service import Caller, asks, hash_of
from api.visibility import Action
from ledger_service.keys import to_hex
from ledger_service.ledger import UnknownStatement

router = APIRouter(prefix="/v1/risk", tags=["risk"])
Asked = Annotated[
    str | None,
    Query(alias="language", max_length=20, description="`en` or `de`; else by the header Accept-Language."),
]
Accepted = Annotated[str, Header(alias="Accept-Language", max_length=1000, description="What the browser takes.")]
_HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


@router.get(
    "/reports/{digest}/html",
    responses=gives("<!doctype html>…", "One file without scripts that loads nothing.", "text/html")
    | documented(problems.Unauthenticated, problems.NotThere),
)
async def read_page(
    digest: str, asked: Asked = None, accepted: Accepted = "", caller: Caller = asks(Action.READ_REPORTS)
) -> Response:
    """One of your reports as a page: what stops when, how it reaches you, how sure that is and what can be done.

    It says what the report says and no more, so it can be made from the report alone: `tallystick risk report --html`
    gives the same bytes.
    """
    language = chosen(asked, accepted, LANGUAGES)
    made = await run_in_threadpool(lambda: page(_telling(caller, digest, language)))
    return HTMLResponse(made, headers=_HEADERS | _spoken(language))


@router.get(
    "/reports/{digest}/pdf",
    responses=gives("%PDF-1.7 …", "The same as PDF/A. The same report gives the same bytes.", "application/pdf")
    | documented(problems.Unauthenticated, problems.NotThere, CannotPrint),
)
async def read_pdf(
    digest: str, asked: Asked = None, accepted: Accepted = "", caller: Caller = asks(Action.READ_REPORTS)
) -> Response:
    """One of your reports on paper."""
    language = chosen(asked, accepted, LANGUAGES)
    async with caller.service.bundling:
        made = await run_in_threadpool(lambda: ImpactPaper(_telling(caller, digest, language)).pdf())
    return Response(made, media_type="application/pdf", headers=_spoken(language))


@router.get(
    "/stress/reports/{digest}/html",
    responses=gives("<!doctype html>…", "One file without scripts that loads nothing.", "text/html")
    | documented(problems.Unauthenticated, problems.NotThere),
)
async def read_stress_page(
    digest: str, asked: Asked = None, accepted: Accepted = "", caller: Caller = asks(Action.READ_REPORTS)
) -> Response:
    """One of your reports of stress tests as a page: the worst first, before and after mitigations with their costs.

    `tallystick risk stress-report --html` gives the same bytes.
    """
    language = chosen(asked, accepted, LANGUAGES)
    made = await run_in_threadpool(lambda: page(_stress_telling(caller, digest, language)))
    return HTMLResponse(made, headers=_HEADERS | _spoken(language))


@router.get(
    "/stress/reports/{digest}/pdf",
    responses=gives("%PDF-1.7 …", "The same as PDF/A. The same report gives the same bytes.", "application/pdf")
    | documented(problems.Unauthenticated, problems.NotThere, CannotPrint),
)
async def read_stress_pdf(
    digest: str, asked: Asked = None, accepted: Accepted = "", caller: Caller = asks(Action.READ_REPORTS)
) -> Response:
    """One of your reports of stress tests on paper."""
    language = chosen(asked, accepted, LANGUAGES)
    async with caller.service.bundling:
        made = await run_in_threadpool(lambda: ImpactPaper(_stress_telling(caller, digest, language)).pdf())
    return Response(made, media_type="application/pdf", headers=_spoken(language))


def _spoken(language: str) -> dict[str, str]:
    return {"Content-Language": language, "Vary": "Accept-Language"}


def _held(find: Callable[[bytes, bytes], Reported], caller: Caller, digest: str) -> Reported:
    """The caller's report; raises NotThere for those of others and for one whose content was erased."""
    try:
        found = find(caller.member, hash_of(digest))
    except UnknownStatement:
        raise NotThere from None
    if found.content is None:
        raise NotThere
    return found


def _stress_telling(caller: Caller, digest: str, language: str) -> StressTelling:
    service = caller.service
    found = _held(service.impact.stress.find, caller, digest)
    reader = service.network.directory.name(caller.member)
    return StressTelling(
        found.said, reader, to_hex(found.digest), is_demo=service.network.is_demo, language=language
    )  # fmt: skip


def _telling(caller: Caller, digest: str, language: str) -> Telling:
    service = caller.service
    found = _held(service.impact.reports.find, caller, digest)
    directory = service.network.directory
    return Telling(
        found.said,
        directory.name(caller.member),
        to_hex(found.digest),
        is_demo=service.network.is_demo,
        members={to_hex(member): directory.name(member) for member in directory.by_id},
        language=language,
    )

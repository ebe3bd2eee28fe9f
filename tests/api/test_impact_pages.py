"""Reports as pages and paper over HTTP: for their reader alone, with a policy that lets nothing in."""

from collections.abc import Iterator

import pytest

from api.drawing.telling import Telling
from api.pages.impact import POLICY, page
from api.paper.impact import ImpactPaper
from tests.api.house import House, still
from tests.api.impact.flood import CASTINGS, chain, flood
from tests.api.test_impact import assessed
from tests.consortium import member_id


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with still(tmp_path_factory.mktemp("pages")) as running:
        chain(running)
        flood(running, "1")
        yield running


def test_a_report_is_a_page_and_a_pdf_made_of_what_it_says_and_no_more(service: House) -> None:
    report = assessed(service, "havelmark")
    network = service.network
    reader = network.directory.name(member_id("havelmark"))
    telling = Telling(report["content"], reader, report["digest"], is_demo=network.is_demo)
    html = service.get("havelmark", f"/v1/risk/reports/{report['digest']}/html")
    assert html.status_code == 200
    assert html.headers["content-security-policy"] == POLICY
    assert html.headers["content-type"] == "text/html; charset=utf-8"
    assert "our plant Magdeburg stops on" in html.text
    assert CASTINGS not in html.text, "whom our supplier buys from is not ours to know"
    assert html.text == page(telling)
    pdf = service.get("havelmark", f"/v1/risk/reports/{report['digest']}/pdf")
    assert (pdf.status_code, pdf.headers["content-type"]) == (200, "application/pdf")
    assert pdf.content == ImpactPaper(telling).pdf()


@pytest.mark.parametrize("form", ["html", "pdf"])
def test_reports_of_others_are_not_there(service: House, form: str) -> None:
    report = assessed(service, "havelmark")
    theirs, none = (
        service.get("nordrand", f"/v1/risk/reports/{digest}/{form}") for digest in (report["digest"], "0x" + "77" * 32)
    )
    assert (theirs.status_code, theirs.content) == (none.status_code, none.content)
    assert theirs.status_code == 404
    assert service.get("havelmark", f"/v1/risk/reports/0x77/{form}").status_code in (400, 404)


def test_of_an_erased_report_nothing_can_be_drawn(service: House) -> None:
    report = assessed(service, "nordrand")
    service.network.ledger.erase(bytes.fromhex(report["digest"][2:]), service.clock.now)
    for form in ("html", "pdf"):
        assert service.get("nordrand", f"/v1/risk/reports/{report['digest']}/{form}").status_code == 404


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [(None, None, "en"), (None, "de-AT, de;q=0.9, en;q=0.8", "de"), ("de", "en", "de"), ("en", "de", "en"),
     ("xx", "fr", "en"), (None, "q=;;\x7f, *", "en")],
)  # fmt: skip
def test_a_page_speaks_the_language_that_is_asked_for_or_that_the_browser_takes(
    service: House, asked: str | None, accepted: str | None, language: str
) -> None:
    report = assessed(service, "havelmark")
    path = f"/v1/risk/reports/{report['digest']}"
    headers = service.headers("havelmark") | ({} if accepted is None else {"Accept-Language": accepted})
    params = {} if asked is None else {"language": asked}
    answer = service.anyone.get(f"{path}/html", params=params, headers=headers)
    assert answer.status_code == 200
    assert f'<html lang="{language}">' in answer.text
    assert answer.headers["content-language"] == language
    assert answer.headers["vary"] == "Accept-Language"


def test_paper_speaks_german_too(service: House) -> None:
    report = assessed(service, "havelmark")
    network = service.network
    reader = network.directory.name(member_id("havelmark"))
    telling = Telling(report["content"], reader, report["digest"], is_demo=network.is_demo, language="de")
    answer = service.get("havelmark", f"/v1/risk/reports/{report['digest']}/pdf", language="de")
    assert answer.headers["content-language"] == "de"
    assert answer.content == ImpactPaper(telling).pdf()

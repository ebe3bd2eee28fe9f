"""The impact report on paper: few pages, the same bytes, and names that typst does not read as its language."""

import pytest

from api.drawing.telling import Telling
from api.paper.impact import ImpactPaper
from tests.api.drawing.contents import CASES, many, typhoon


def paper(case: str) -> ImpactPaper:
    return ImpactPaper(Telling(CASES[case](), "Havelmark", "0x" + "ab" * 32, is_demo=True))


def test_the_same_report_is_the_same_pdf_for_archives() -> None:
    made = paper("a maker of cars").pdf()
    assert made == paper("a maker of cars").pdf()
    assert made.startswith(b"%PDF-")
    assert b"pdfaid" in made


def test_it_says_what_the_page_says_in_the_same_order() -> None:
    telling = Telling(typhoon(), "Havelmark")
    data = ImpactPaper(telling).data()
    assert [one["title"] for one in data["sections"]] == [one.title for one in telling.sections]
    assert data["status"]["name"] == "EXERCISE"
    assert data["headline"].replace("\u00a0", " ").endswith("15,360 vehicles, EUR 491.5 M.")
    tables = [block for one in data["sections"] for block in one["blocks"] if block["type"] == "table"]
    cells = {cell.replace("\u00a0", " ") for table in tables for row in table["rows"] for cell in row}
    assert "EUR 327,680,000.00" in cells, "paper cannot be pointed at: amounts stand there to the cent"
    drawn = [block for one in data["sections"] for block in one["blocks"] if block["type"] == "picture"]
    assert len(drawn) == 4
    assert all(one["svg"].startswith("<svg") and one["alt"] for one in drawn)


@pytest.mark.full
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("case", "pages"),
    [("a maker of cars", 4), ("first in line", 4), ("impact only", 4), ("without prices", 4), ("no effect", 3),
     ("withheld", 2), ("not over", 4), ("forty stops", 8)],
)  # fmt: skip
def test_a_report_is_a_few_pages(case: str, pages: int) -> None:
    assert 1 <= len(paper(case).pictures()) <= pages


@pytest.mark.full
@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", CASES)
def test_every_report_can_be_set(case: str) -> None:
    assert paper(case).pdf().startswith(b"%PDF-")


def test_names_cannot_run_as_typst() -> None:
    hostile = ImpactPaper(Telling(many(20, are_hostile=True), '#panic("run")', is_demo=True))
    assert hostile.pdf().startswith(b"%PDF-")

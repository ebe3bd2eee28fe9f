"""The despatch note: what stands on it, its code, and text that would rather be markup."""

from pathlib import Path

import pytest

from api.network import Directory, Member
from api.paper import press
from api.paper.despatch_note import DespatchNote
from ledger_service.custody.kinds import Despatch
from tests.api.pages.notes import parsed
from tests.consortium import member_id

ADDRESS = "https://ledger.example.org/o/3q2-7w_Zx81kPq0aBcDeFg"
DIRECTORY = Directory(
    [Member(member_id(one), f"did:web:{one}.example.org", one.title()) for one in ("duero", "nordrand")]
)


def note(despatch: Despatch | None = None, directory: Directory = DIRECTORY) -> DespatchNote:
    return DespatchNote(despatch or parsed(), member_id("duero"), ADDRESS, directory, is_demo=True)


def test_it_shows_document_sides_units_contents_carrier_and_seal() -> None:
    data = note().data()
    assert (data["document"]["number"], data["giver"]["name"], data["taker"]["name"]) == (
        "80417731",
        "Duero",
        "Nordrand",
    )
    assert (data["carrier"], data["carrierFor"], data["seal"]) == ("Oderland Spedition", "Duero", "ES-448221")
    assert data["shipTo"] == "GLN 9521002000016"
    assert data["units"][0]["id"] == "SSCC 395210040009260106"
    assert data["units"][0]["lines"][0]["quantity"] == "60 pcs"
    assert data["totals"] == ["180 pcs of GTIN 09521004100011"]
    assert data["address"] == ADDRESS


def test_the_same_note_is_the_same_bytes() -> None:
    assert note().pdf() == note().pdf()


@pytest.mark.parametrize(
    "text",
    [
        '#panic("run")',
        '#read("/etc/passwd")',
        "]",
        "\\",
        "*/ #{ panic() }",
        "$ x $ @y <z>",
        "宁波永江磁材有限公司",
        "שלום \u202eمرحبا",
        "W" * 70,
        "\u200b\u2028x",
    ],
)
def test_text_of_others_is_text(text: str) -> None:
    despatch = parsed(seal=text[:35], carrier={"name": text, "for": "0x" + member_id("duero").hex()})
    hostile = Directory([Member(member_id("duero"), "did:web:x", text), Member(member_id("nordrand"), text, text * 8)])
    made = note(despatch, hostile)
    assert made.pdf().startswith(b"%PDF-")
    assert "\u202e" not in made.data()["carrier"]


def test_a_thousand_units_are_many_pages() -> None:
    units = [{"id": f"1JUN049505160P{number:05d}"} for number in range(1000)]
    assert 20 < len(note(parsed(units=units)).pictures()) < 60


def test_a_long_word_gets_places_to_break_and_short_ones_none() -> None:
    assert press.breakable("short words stay") == "short words stay"
    assert press.breakable("witness.havelmark.example.org").split("\u200b") == [
        "witness.",
        "havelmark.",
        "example.",
        "org",
    ]
    assert max(map(len, press.breakable("x" * 500).split("\u200b"))) <= 16


def test_templates_lie_where_the_package_is() -> None:
    assert {one.name for one in Path(press.__file__).parent.glob("*.typ")} == {
        "glyph.typ",
        "impact.typ",
        "despatch_note.typ",
        "report.typ",
        "style.typ",
    }

"""The audit report: what the auditor's story looks like on paper, by command and over HTTP, and what is refused one."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from api.cli.program import run
from api.network import Directory, Member
from api.paper import NoRecord
from api.paper.report import Report, is_example
from ledger_service import canonical
from ledger_service.bundle import audit_bundle
from ledger_service.evidence import BundleRefused, Trust
from ledger_service.keys import to_hex
from tests.consortium import member_id
from tests.custody_chain import House
from tests.story import BEFORE, MEMBERS, PALLETS, STRAY, tell

HOSTILE = (
    '#panic("run") #read("/etc/passwd") ] ) } \\ $ @x <y> *b* _i_ `c` // /* */ "quoted" '
    "\u202eRTL \u2066שלום مرحبا 宁波永江磁材"
)


@dataclass(frozen=True)
class Story:
    """The bundle of the story, byte for byte, with what it is judged by and what its members are called."""

    house: House
    data: bytes
    trust: Trust
    directory: Directory

    def report(self) -> Report:
        return Report.of(self.data, self.trust, self.directory)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    house = House(tmp_path_factory.mktemp("story"), BEFORE, MEMBERS)
    tell(house)
    directory = Directory([Member(member_id(one), f"did:web:{one}.example.org", one.title()) for one in MEMBERS])
    yield Story(house, house.bundle(PALLETS).data, house.consortium.trust, directory)
    house.close()


def test_findings_come_first_and_each_says_what_it_weighs_and_whether_it_is_explained(story: Story) -> None:
    data = story.report().data()
    assert data["answer"] == "whole with reservations"
    assert [(one["problem"], one["weight"], one["status"]) for one in data["findings"]] == [
        ("Double possession", "needs explaining", "explained"),
        ("Quantity not conserved", "needs explaining", "explained"),
        ("Late registration", "for information", "noted"),
        ("Unsigned leg", "for information", "noted"),
    ]
    double = data["findings"][0]
    assert double["units"] == "SSCC 395210040009260175"
    assert double["explanations"][0]["by"] == "Rheinknoten"
    assert double["explanations"][0]["words"] == "We printed one label twice; the second went to Plzeň."
    assert {one["what"] for one in double["evidence"]} >= {"epcis-event by Vltava", "step on the chain"}
    assert data["tally"] == "2 explained, 2 for information"


def test_a_leg_has_giver_taker_three_clocks_and_both_signatures(story: Story) -> None:
    data = story.report().data()
    ways = [(one["giver"], one["taker"]) for one in data["legs"]]
    assert ways == [("Duero", "Oderland"), ("Oderland", "Rheinknoten"), ("Rheinknoten", "Nordrand")]
    for leg in data["legs"]:
        assert (leg["giverSigned"], leg["takerSigned"], leg["chain"], leg["units"]) == (
            True,
            True,
            True,
            "all 16 units",
        )
        for clock in leg["clocks"][:2]:
            times = [clock[name] for name in ("stated", "registered", "anchored")]
            assert all(re.fullmatch(r"2026-09-\d\d \d\d:\d\d:\d\d", one) for one in times), clock
    assert data["legs"][-1]["discrepancies"] == ["short: SSCC 395210040009260175"]


def test_it_says_by_what_to_check_it_what_it_is_worth_and_what_it_does_not_prove(story: Story) -> None:
    report = story.report()
    data = report.data()
    assert "".join(data["file"]) == sha256(story.data).hexdigest()
    assert data["fingerprint"] == story.trust.fingerprint
    assert data["strength"]["name"] == "witnessed"
    assert len(data["witnesses"]) == 2
    assert data["doesNotProve"] == list(report.verdict.does_not_prove)
    assert data["demo"] is True, "a log of an example domain is a demo's"


def test_the_same_bundle_is_the_same_bytes_dated_at_the_block_it_is_known_at(story: Story) -> None:
    made = story.report().pdf()
    assert made == story.report().pdf()
    assert made.startswith(b"%PDF-")
    assert b"D:20260930" in made
    assert b"pdfaid" in made


def test_ids_are_short_on_paper_and_secrets_are_not_on_it(story: Story) -> None:
    data = story.report().data()
    text = json.dumps({name: one for name, one in data.items() if name not in ("file", "fingerprint", "code")})
    assert not re.search(r"[0-9a-f]{20}", text)
    assert "secret" not in text


def test_names_and_words_of_others_are_set_as_they_are_and_never_read_as_markup(story: Story) -> None:
    members = [Member(one.id, "did:web:x", HOSTILE + "W" * 500) for one in story.directory.by_id.values()]
    report = story.report()
    said = {record: replace(one, words=HOSTILE * 20) for record, one in report.said.items()}
    hostile = replace(report, directory=Directory(members), said=said)
    assert hostile.pdf() != report.pdf()
    words = hostile.data()["findings"][0]["explanations"][0]["words"]
    assert '#panic("run")' in words
    assert "\u202e" not in words


def test_a_bundle_that_does_not_hold_or_says_nothing_of_custody_has_no_report(story: Story) -> None:
    value = canonical.parse(story.data)
    value["statements"][0]["registeredAt"] += 1
    with pytest.raises(BundleRefused):
        Report.of(canonical.dump(value), story.trust, story.directory)
    first = next(iter(story.house.records.values())).header.stream
    plain = audit_bundle(story.house.consortium.ledger, {first: (1, None)})
    with pytest.raises(NoRecord):
        Report.of(plain.data, story.trust, story.directory)


def test_of_very_much_the_gravest_is_on_paper_and_the_rest_is_counted(story: Story) -> None:
    report = story.report()
    trail = report.trail
    (unit, legs) = next(iter(trail.legs.items()))
    many = {f"{unit}{number}": (replace(legs[0], offer=f"0x{number:064x}"),) for number in range(400)}
    noted = replace(legs[-1], discrepancies=trail.legs[STRAY][-1].discrepancies * 50)
    record = replace(report.record, trail=replace(trail, findings=trail.findings * 200, legs=many | {STRAY: (noted,)}))
    large = replace(report, record=record)
    data = large.data()
    assert (len(data["findings"]), data["moreFindings"]) == (300, "500")
    assert (len(data["legs"]), data["moreLegs"]) == (300, "101")
    assert {one["weight"] for one in data["findings"]} == {"needs explaining"}
    small = replace(report, record=replace(record, trail=replace(trail, legs={STRAY: (noted,)})))
    assert small.data()["legs"][0]["discrepancies"][-1] == "and 10 more"
    assert small.pdf().startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("origin", "is_demo"),
    [
        ("ledger.example.org/demo", True),
        ("example.com", True),
        ("example.org.evil.net/x", False),
        ("ledger.acme.io/example.org", False),
    ],
)
def test_a_network_of_an_example_domain_is_a_demo(origin: str, is_demo: bool) -> None:
    assert is_example(origin) is is_demo


def test_the_command_writes_it_offline(story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bundle.json").write_bytes(story.data)
    (tmp_path / "trust.json").write_bytes(canonical.dump(story.trust.as_json()))
    story.directory.write(tmp_path / "members.json")
    names = [str(tmp_path / one) for one in ("bundle.json", "trust.json", "report.pdf")]
    assert run(["report", names[0], "--trust", names[1], "-o", names[2]]) == 0
    assert (tmp_path / "report.pdf").read_bytes() == story.report().pdf()
    assert f"whole with reservations; SHA-256 of the bundle {sha256(story.data).hexdigest()}" in capsys.readouterr().err
    (tmp_path / "bundle.json").write_bytes(story.data.replace(b'"format"', b'"formal"'))
    (tmp_path / "report.pdf").unlink()
    assert run(["report", names[0], "--trust", names[1], "-o", names[2]]) == 1
    assert not (tmp_path / "report.pdf").exists()
    assert to_hex(member_id("duero")) not in capsys.readouterr().out


def test_one_pallet_alone_is_named(story: Story) -> None:
    data = story.house.bundle([STRAY]).data
    made = Report.of(data, story.trust, story.directory).data()
    assert made["subject"] == "SSCC 395210040009260175"

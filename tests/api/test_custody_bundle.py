"""Records of custody over HTTP: what gateways did, had as one file and judged by `tallystick verify`."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from api.cli.program import run
from api.client import LedgerClient, ServiceRefused
from ledger_service import blocks, canonical
from ledger_service.evidence import Bundle, Strength, verify_bundle
from tests.api.gateways import SHAFT, Yard, plate, yard
from tests.api.house import House, served
from tests.consortium import member_id


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("network")
    with served(folder, custody_release_interval_seconds=0, custody_release_spread_seconds=0) as house:
        yield house


@pytest.fixture(scope="module")
def partners(running: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """Pallets 1 and 2 went from Duero to Nordrand, 1 with three pieces damaged; 3 is under way."""
    with yard(running, tmp_path_factory.mktemp("yard")) as made:
        made.introduce("duero", "nordrand")
        despatch = made.offer("duero", "nordrand", "A1", 1, 2)
        damaged = [{"unit": plate(1), "what": "damaged", "part": SHAFT, "quantity": "3", "uom": "H87"}]
        made.gateway("nordrand").accept(despatch, basis="counted", discrepancies=damaged)
        assert made.gateway("nordrand").push().refused == []
        made.offer("duero", "nordrand", "A2", 3)
        settle(made, plate(1), plate(2), plate(3))
        yield made


def settle(yard: Yard, *things: str) -> None:
    """Until the relay has nothing to send of these things, and all is anchored."""
    relaying = yard.house.network.relaying
    for thing in things:
        held = yard.gateway("duero").book.unit_of(thing)
        assert held is not None
        for _ in range(50):
            relaying.run(yard.house.clock.now)
            if not any(one.state in ("waiting", "sent") for one in relaying.waiting(held.unit)):
                break
    yard.house.clock.forward(5)
    yard.house.anchor()


def client(yard: Yard, name: str) -> LedgerClient:
    found = yard.gateway(name).wire
    assert isinstance(found, LedgerClient)
    return found


def test_both_sides_have_the_same_record_and_it_is_whole(partners: Yard, tmp_path: Path) -> None:
    trust = partners.house.network.trust()
    (tmp_path / "trust.json").write_bytes(canonical.dump(trust.as_json()))
    for name in ("duero", "nordrand"):
        made, hidden = client(partners, name).custody_bundle([plate(1), "1JUN049505160P00002"])
        assert hidden == 0
        custody = verify_bundle(made, trust).custody
        assert custody is not None
        assert str(custody.answer) == "whole"
        assert custody.things == (plate(1), plate(2))
        assert custody.custody.holder(plate(1)) == member_id("nordrand")
        assert [(one.steps, one.thing) for one in custody.chain] in (
            [(1, plate(1)), (1, plate(2))],
            [(1, plate(2)), (1, plate(1))],
        )
        (tmp_path / "bundle.json").write_bytes(made.data)
        assert run(["verify", str(tmp_path / "bundle.json"), "--trust", str(tmp_path / "trust.json")]) == 0


def test_what_is_under_way_is_told_as_offered(partners: Yard) -> None:
    made, _ = client(partners, "nordrand").custody_bundle([plate(3)])
    custody = verify_bundle(made, partners.house.network.trust()).custody
    assert custody is not None
    assert [str(leg.state) for leg in custody.custody.units[plate(3)].legs] == ["offered"]
    assert str(custody.answer) == "whole"


def test_a_certificate_is_made_once_for_one_question(partners: Yard) -> None:
    one, other = (client(partners, "duero").custody_bundle([plate(2)])[0] for _ in range(2))
    assert one.custody == other.custody


def test_with_a_pin_the_blocks_lead_to_one_that_was_compared_and_need_no_attestor(partners: Yard) -> None:
    made, _ = client(partners, "duero").custody_bundle([plate(1)], pin=True)
    pinned = blocks.Header.parse(made.headers[-1])
    trust = replace(partners.house.network.trust(), attestor=None, pinned=(pinned.number, pinned.hash))
    assert verify_bundle(made, trust).strength is Strength.PINNED


def test_who_may_see_nothing_of_a_unit_learns_nothing(partners: Yard) -> None:
    answers = [
        partners.house.post("oderland", "/v1/custody/bundle", json={"units": [unit]})
        for unit in (plate(1), plate(99_999))
    ]
    assert [one.status_code for one in answers] == [404, 404]
    assert answers[0].json()["detail"] == answers[1].json()["detail"]


def test_the_section_is_in_the_answer_as_in_the_file(partners: Yard) -> None:
    answer = partners.house.post("nordrand", "/v1/custody/bundle", json={"units": [plate(1)], "genealogy": True})
    assert answer.headers["Tallystick-Hidden"] == "0"
    assert set(answer.json()["custody"]) == {"things", "units", "certificates"}
    assert Bundle.parse(answer.content).data == canonical.dump(json.loads(answer.content))


@pytest.mark.parametrize(
    ("body", "problem", "where"),
    [
        ({"units": []}, "malformed-input", "/units"),
        ({"units": "x"}, "malformed-input", "/units"),
        ({"units": [7]}, "malformed-input", "/units/0"),
        ({"units": ["(00)395210040009260174"]}, "malformed-input", "/units/0"),
        ({"units": ["nonsense"]}, "malformed-input", "/units/0"),
        ({"units": [plate(1)], "genealogy": "yes"}, "malformed-input", "/genealogy"),
        ({"units": [plate(1)], "pin": 1}, "malformed-input", "/pin"),
        ({"units": [plate(1)] * 501}, "malformed-input", "/units"),
    ],
)
def test_a_question_that_is_none_is_told_where(
    partners: Yard, body: dict[str, object], problem: str, where: str
) -> None:
    answer = partners.house.post("duero", "/v1/custody/bundle", json=body)
    assert answer.status_code in (400, 422)
    assert (answer.json()["type"].rsplit("/", 1)[-1], answer.json().get("where")) == (problem, where)


def test_the_client_says_what_the_service_said(partners: Yard) -> None:
    with pytest.raises(ServiceRefused, match="no statement that you may see names it"):
        client(partners, "duero").custody_bundle([plate(99_999)])

"""Custody of members whose key the service keeps: the same deeds, the same record, another key source."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from api.backup import back_up
from api.hosted import KEPT_ADDRESSES
from ledger_service.handoffs import Closing, HandOff, Opening, verify_sequence
from ledger_service.keys import to_hex
from ledger_service.offering import check_offers
from tests.api.gateways import Yard, plate, yard
from tests.api.house import House, served
from tests.consortium import key, member_id, receipt


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("network")
    with served(folder, custody_release_interval_seconds=0, custody_release_spread_seconds=0) as house:
        yield house


@pytest.fixture(scope="module")
def partners(running: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with yard(running, tmp_path_factory.mktemp("yard")) as open_yard:
        duero = open_yard.gateway("duero")
        duero.deposit(member_id("kleinwerk"))
        duero.push()
        # The rounds of the service do the same, whoever comes first.
        running.app.state.service.hosted.work(running.clock.now)
        assert duero.learn(member_id("kleinwerk")) == KEPT_ADDRESSES
        assert have(running, "deposit", partner=to_hex(member_id("duero")))["registered"] == 0
        yield open_yard
        with running.network.ledger.store.read() as connection:
            assert list(check_offers(connection)) == []


def have(house: House, deed: str, *, status: int = 200, **body: Any) -> dict[str, Any]:
    """What the service answers Kleinwerk, for which it keeps the key."""
    answer = house.post("kleinwerk", f"/v1/custody/custodial/{deed}", json=body)
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json()
    return told


def kinds(house: House, unit: bytes) -> list[type]:
    """The steps of a unit that the chain has taken, once nothing waits."""
    relaying = house.network.relaying
    while any(one.state in ("waiting", "sent") for one in relaying.waiting(unit)):
        relaying.run(house.clock.now)
    steps = list(relaying.taken([unit]).get(unit, ()))
    verify_sequence(steps)
    return [type(one.step) for one in steps]


def test_a_custodial_member_takes_over_hands_on_and_ends_what_was_offered(partners: Yard) -> None:
    house, duero = partners.house, partners.gateway("duero")
    first = partners.offer("duero", "kleinwerk", "K1", 1, 2)
    taken = have(house, "accept", despatch=to_hex(first), basis="scanned")
    assert (taken["registered"], taken["steps"], taken["refused"]) == (1, 2, [])
    assert have(house, "accept", despatch=to_hex(first), basis="scanned")["statement"] == taken["statement"]
    said = partners.despatch("duero", "K2", 1)
    back = have(house, "offer", despatch=said)
    assert (back["offers"], back["refused"]) == (1, [])
    despatch = bytes.fromhex(back["statement"][2:])
    duero.accept(despatch)
    assert duero.push().refused == []
    have(house, "close", units=[plate(2)], to=[to_hex(member_id("duero"))])
    units = {one.thing: one.unit for one in duero.book.units()}
    assert kinds(house, units[plate(1)]) == [Opening, HandOff, HandOff]
    assert kinds(house, units[plate(2)]) == [Opening, HandOff, Closing]
    house.anchor()
    for name in ("duero", "kleinwerk"):
        assert house.get(name, "/v1/custody/trail", unit=plate(1)).json()["findings"] == []


def test_what_was_answered_elsewhere_with_the_kept_key_is_completed_on_the_chain(partners: Yard) -> None:
    house = partners.house
    despatch = partners.offer("duero", "kleinwerk", "K3", 3)
    content = receipt(despatch, at=house.clock.now, units=[plate(3)])
    answer = house.envelope("kleinwerk", ("duero",), content=content, kind="receipt", signer=key("kept"))
    assert house.send("kleinwerk", answer.data).status_code == 201
    hosted = house.app.state.service.hosted
    for _ in range(3):  # the rounds of the service do the same
        hosted.work(house.clock.now)
    unit = partners.gateway("duero").book.unit_of(plate(3))
    assert unit is not None
    assert kinds(house, unit.unit) == [Opening, HandOff]


def test_what_is_wrong_is_said_and_others_sign_at_home(partners: Yard) -> None:
    house = partners.house
    despatch = partners.offer("duero", "kleinwerk", "K4", 4)
    nobody = "0x" + "77" * 32
    problem = have(house, "accept", status=404, despatch=nobody)
    assert problem["type"].endswith("/not-found")
    assert have(house, "offer", status=400, despatch={"units": []})["type"].endswith("/malformed-input")
    assert have(house, "close", status=409, units=[plate(99)])["type"].endswith("/not-held")
    assert have(house, "refuse", despatch=to_hex(despatch), reason="not ordered")["registered"] == 1
    told = have(house, "accept", status=409, despatch=to_hex(despatch))
    assert told["type"].endswith("/said-otherwise")
    answer = house.post("duero", "/v1/custody/custodial/refuse", json={"despatch": nobody, "reason": "x"})
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (403, "not-custodial")


def test_a_backup_takes_the_kept_gateways_along(partners: Yard, tmp_path: Path) -> None:
    back_up(partners.house.network, tmp_path / "backup")
    (path,) = (tmp_path / "backup" / "custodial").glob("*.sqlite")
    with closing(sqlite3.connect(path)) as copy:
        assert copy.execute("SELECT next FROM custody_counter").fetchone()[0] >= 20

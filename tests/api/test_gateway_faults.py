"""Gateways whose power is cut between any two durable steps, or whose calls or answers are lost, do each thing once."""

from collections.abc import Callable, Iterator

import orjson
import pytest
import sqlalchemy as sa

from api.custody_book import StepState, UnitState
from api.gateway import CustodyGateway
from ledger_service.handoffs import Closing, HandOff, Opening
from ledger_service.offering import check_offers
from ledger_service.store.tables import content, statement
from tests.api.fault_proxy import ANSWER_LOST, NEVER_SENT, fault_proxy
from tests.api.gateways import Yard, plate, yard
from tests.api.house import House, served
from tests.api.test_gateway import taken
from tests.consortium import member_id

KINDS = {"despatch": 3, "receipt": 1, "opening": 2, "epcis-event": 1}
"""The statements of one day: two offers, one of which is taken back by a correction, an answer, and an end."""


class PowerCut(BaseException):
    """What stands for kill -9: nothing catches it, and only what was committed is left."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("network")
    with served(folder, custody_release_interval_seconds=0, custody_release_spread_seconds=0) as house:
        yield house


@pytest.fixture(scope="module")
def partners(running: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with yard(running, tmp_path_factory.mktemp("yard")) as open_yard:
        open_yard.introduce("duero", "nordrand")
        yield open_yard
        with running.network.ledger.store.read() as connection:
            assert list(check_offers(connection)) == []


def live(partners: Yard, day: int, gateway: Callable[[str], CustodyGateway]) -> None:
    """A day of two members, told from its beginning; what was done before stays as it was done."""
    duero, nordrand = gateway("duero"), gateway("nordrand")
    nordrand.notice_offers()
    nordrand.deposit(member_id("duero"), 6)
    nordrand.push()
    one, two = 2 * day, 2 * day + 1
    first = duero.offer(said(partners, f"D{day}-1", one), open_missing=True)
    duero.push()
    nordrand.accept(first)
    nordrand.push()
    duero.follow()
    second = duero.offer(said(partners, f"D{day}-2", two), open_missing=True)
    duero.push()
    duero.withdraw(second)
    duero.push()
    nordrand.close([plate(one)], [member_id("duero")])
    nordrand.push()


def said(partners: Yard, number: str, pallet: int) -> dict[str, object]:
    return partners.despatch("nordrand", number, pallet)


def check(partners: Yard, day: int, before: dict[str, int]) -> None:
    """Raise unless the day was lived exactly once."""
    one, two = plate(2 * day), plate(2 * day + 1)
    now = counts(partners.house)
    assert {kind: now[kind] - before.get(kind, 0) for kind in KINDS} == KINDS, f"day {day}"
    assert [type(step.step) for step in taken(partners, one, "nordrand")] == [Opening, HandOff, Closing]
    assert [type(step.step) for step in taken(partners, two, "duero")] == [Opening, HandOff]
    duero, nordrand = partners.gateway("duero"), partners.gateway("nordrand")
    states = [gateway.book.unit_of(thing) for gateway, thing in ((duero, one), (nordrand, one), (duero, two))]
    assert [one.state for one in states if one] == [UnitState.GIVEN, UnitState.CLOSED, UnitState.HELD]
    for gateway in (duero, nordrand):
        assert gateway.book.steps(StepState.WAITING) == gateway.book.steps(StepState.REFUSED) == []
        assert gateway.book.offers("made") == []
    used = [signed.offer.taker for made in duero.book.offers() for signed in duero.book.signatures(made.despatch)]
    assert len(set(used)) == len(used), "an address was used twice"


def counts(house: House) -> dict[str, int]:
    """How many statements of each kind are registered."""
    query = sa.select(statement.c.kind, sa.func.count()).group_by(statement.c.kind)
    with house.network.ledger.store.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def sweep(partners: Yard, first: int, stride: int) -> int:
    """Live days that are cut at every `stride`th durable step, until one ends by itself; how many were cut."""
    cuts = 0
    for cut in range(0, 1000, stride):
        day, before = first + cut, counts(partners.house)
        names: list[str] = []

        def step(name: str, at: int = cut, names: list[str] = names) -> None:
            names.append(name)
            if len(names) > at:
                raise PowerCut(name)

        try:
            live(partners, day, lambda name: partners.gateway(name, steps=step))
        except PowerCut:
            cuts += 1
            # Another process: nothing is left but the files.
            live(partners, day, lambda name: partners.gateway(name, steps=lambda _name: None))
        partners.gateways.clear()
        check(partners, day, before)
        if len(names) <= cut:
            return cuts
    raise AssertionError("a day has no end")


def test_a_gateway_cut_off_at_some_durable_steps_goes_on_from_there(partners: Yard) -> None:
    assert sweep(partners, 0, 7) >= 5
    shown = deposited(partners.house)
    assert len(shown) == len(set(shown)), "an address was deposited twice"


@pytest.mark.full
def test_a_gateway_cut_off_between_any_two_durable_steps_goes_on_from_there(partners: Yard) -> None:
    assert sweep(partners, 100, 1) >= 30
    shown = deposited(partners.house)
    assert len(shown) == len(set(shown)), "an address was deposited twice"


def deposited(house: House) -> list[str]:
    """All addresses that nordrand has deposited with duero."""
    query = (
        sa.select(content.c.content)
        .join(statement, statement.c.position == content.c.position)
        .where(statement.c.kind == "custody-addresses", statement.c.issuer == member_id("nordrand"))
    )
    with house.network.ledger.store.read() as connection:
        return [one for data in connection.execute(query).scalars() for one in orjson.loads(data)["addresses"]]


@pytest.mark.parametrize("fault", [NEVER_SENT, ANSWER_LOST])
def test_a_lost_call_and_a_lost_answer_change_nothing(partners: Yard, fault: str) -> None:
    with fault_proxy(partners.url) as proxy:
        proxy.about = "/v1/"
        partners.house.sign_out()
        day = 1000 if fault == NEVER_SENT else 2000
        before = counts(partners.house)
        live(partners, day, lambda name: partners.gateway(name, url=proxy.url))
        calls = len(proxy.bodies)
        check(partners, day, before)
        assert calls > 15
        # Every fourth call is lost, half of all calls at some time.
        for phase in (1, 2):
            day += 1
            before = counts(partners.house)
            proxy.next_faults = [fault if number % 4 == phase else "" for number in range(2 * calls)]
            live(partners, day, lambda name: partners.gateway(name, url=proxy.url))
            proxy.next_faults = []
            check(partners, day, before)
        partners.gateways.clear()

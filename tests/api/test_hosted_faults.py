"""Gateways within the service whose power is cut between any two durable steps, of theirs or of the ledger."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from api.capture import Custodian
from api.custody_book import StepState, UnitState
from api.gateway import CustodyGateway
from api.hosted import Hosted
from api.network import Network
from api.settings import Settings
from ledger_service.handoffs import Closing, HandOff, Opening, verify_sequence
from ledger_service.keys import to_hex
from ledger_service.ledger import Call, examine
from ledger_service.offering import Offers, check_offers
from ledger_service.store.tables import content, statement
from tests.api.gateways import plate, quiet
from tests.api.house import PASSPHRASE
from tests.api.test_custodial_despatches import found, row, table
from tests.api.test_gateway_faults import PowerCut
from tests.consortium import Clock, member_id, receipt

KLEINWERK, ODERLAND = member_id("kleinwerk"), member_id("oderland")
KINDS = {"despatch": 4, "receipt": 2, "opening": 3, "epcis-event": 1}
"""The statements of one day: three offers, one of which is taken back by a correction, two answers, and an end."""


@dataclass
class Machine:
    """The service's machine: what is in its folder outlives a cut, what is open does not."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    network: Network = field(init=False)
    hosted: Hosted = field(init=False)
    custodian: Custodian = field(init=False)
    offers: Offers = field(init=False)

    def start(self, steps: Callable[[str], None] = quiet) -> None:
        settings = Settings(
            data=self.folder,
            passphrase=SecretStr(PASSPHRASE),
            custody_release_interval_seconds=0,
            custody_release_spread_seconds=0,
        )
        self.network = Network.open(settings, now=lambda: self.clock.now, steps=steps)
        self.custodian = Custodian.unlock(
            self.folder / "custodial", self.network.service, PASSPHRASE.encode(), os.urandom
        )
        self.offers = Offers(self.network.ledger.store, self.network.relaying.domain)
        self.hosted = Hosted(
            self.network, self.custodian, self.offers, lambda: self.clock.now, os.urandom, lambda _: None, steps=steps
        )

    def stop(self) -> None:
        self.hosted.close()
        self.network.close()

    def gateway(self, member: bytes) -> CustodyGateway:
        return self.hosted.gateway(member)

    def offer(self, number: str, pallet: int) -> bytes:
        """An offer of kleinwerk's, from a table."""
        with self.hosted.lane:
            _, (made,), done = self.hosted.offer_table(KLEINWERK, table(row(number, "oderland", pallet)))
        assert done.refused == []
        return made

    def answer_at_the_page(self, despatch: bytes, pallet: int) -> None:
        """What the desk does when oderland's dock answers on a telephone."""
        ledger, now = self.network.ledger, self.clock.now
        view = self.offers.find(despatch, now, ledger.custody_policy(now))
        assert view is not None
        if view.answers:
            return
        said = receipt(despatch, at=now, units=[plate(pallet)], to=[to_hex(KLEINWERK)])
        item = self.custodian.seal_fact(ledger, ODERLAND, [KLEINWERK], "printed notes", "receipt", said, now)
        outcome = ledger.register(Call(examine([item], ledger.domain, now), keep_good=False), now)
        assert not outcome.refused

    def counts(self) -> dict[str, int]:
        query = sa.select(statement.c.kind, sa.func.count()).group_by(statement.c.kind)
        with self.network.ledger.store.read() as connection:
            return {str(kind): int(number) for kind, number in connection.execute(query)}

    def deposited(self) -> list[str]:
        """All addresses that oderland has left with kleinwerk."""
        query = (
            sa.select(content.c.content)
            .join(statement, statement.c.position == content.c.position)
            .where(statement.c.kind == "custody-addresses", statement.c.issuer == ODERLAND)
        )
        with self.network.ledger.store.read() as connection:
            return [one for data in connection.execute(query).scalars() for one in orjson.loads(data)["addresses"]]

    def taken(self, pallet: int) -> list[type]:
        relaying = self.network.relaying
        held = self.gateway(KLEINWERK).book.unit_of(plate(pallet))
        assert held is not None
        for _ in range(50):
            relaying.run(self.clock.now)
            if not any(one.state in ("waiting", "sent") for one in relaying.waiting(held.unit)):
                break
        steps = list(relaying.taken([held.unit]).get(held.unit, ()))
        verify_sequence(steps)
        return [type(one.step) for one in steps]


def live(machine: Machine, day: int) -> None:
    """A day of two members, told from its beginning; what was done before stays as it was done."""
    one, two, three = 3 * day, 3 * day + 1, 3 * day + 2
    first = machine.offer(f"D{day}-1", one)
    oderland, kleinwerk = machine.gateway(ODERLAND), machine.gateway(KLEINWERK)
    oderland.notice_offers()
    oderland.accept(first)
    oderland.push()
    kleinwerk.follow()
    second = machine.offer(f"D{day}-2", two)
    kleinwerk.withdraw(second)
    kleinwerk.push()
    third = machine.offer(f"D{day}-3", three)
    machine.answer_at_the_page(third, three)
    machine.hosted.work(machine.clock.now)
    oderland.close([plate(one)], [KLEINWERK])
    oderland.push()


def check(machine: Machine, day: int, before: dict[str, int]) -> None:
    """Raise unless the day was lived exactly once."""
    one, two, three = 3 * day, 3 * day + 1, 3 * day + 2
    now = machine.counts()
    assert {kind: now[kind] - before.get(kind, 0) for kind in KINDS} == KINDS, f"day {day}"
    assert machine.taken(one) == [Opening, HandOff, Closing]
    assert machine.taken(two) == machine.taken(three) == [Opening, HandOff]
    oderland, kleinwerk = machine.gateway(ODERLAND), machine.gateway(KLEINWERK)
    for gateway, pallet, state in (
        (kleinwerk, one, UnitState.GIVEN),
        (oderland, one, UnitState.CLOSED),
        (kleinwerk, two, UnitState.HELD),
        (kleinwerk, three, UnitState.GIVEN),
        (oderland, three, UnitState.HELD),
    ):
        held = gateway.book.unit_of(plate(pallet))
        assert held is not None
        assert held.state is state, f"day {day}, pallet {pallet}"
    for gateway in (oderland, kleinwerk):
        assert gateway.book.steps(StepState.WAITING) == gateway.book.steps(StepState.REFUSED) == []
        assert gateway.book.offers("made") == []
        assert gateway.book.tasks() == []
    used = [
        signed.offer.taker for made in kleinwerk.book.offers() for signed in kleinwerk.book.signatures(made.despatch)
    ]
    assert len(set(used)) == len(used), "an address was used twice"


def sweep(folder: Path, stride: int) -> int:
    """Live days that are cut at every `stride`th durable step, until one ends by itself; how many were cut."""
    machine, cuts = Machine(folder), 0
    found(folder, machine.clock)
    for cut in range(0, 2000, stride):
        names: list[str] = []

        def step(name: str, at: int = cut, names: list[str] = names) -> None:
            names.append(name)
            if len(names) > at:
                raise PowerCut(name)

        machine.start()
        before = machine.counts()
        machine.stop()
        try:
            machine.start(step)
            live(machine, cut)
        except PowerCut:
            cuts += 1
        machine.stop()
        machine.start()
        live(machine, cut)
        check(machine, cut, before)
        shown = machine.deposited()
        assert len(shown) == len(set(shown)), "an address was deposited twice"
        with machine.network.ledger.store.read() as connection:
            assert list(check_offers(connection)) == []
        machine.stop()
        if len(names) <= cut:
            return cuts
    raise AssertionError("a day has no end")


def test_a_service_cut_off_at_some_durable_steps_goes_on_with_each_members_custody(tmp_path: Path) -> None:
    assert sweep(tmp_path, 11) >= 3


@pytest.mark.full
def test_a_service_cut_off_between_any_two_durable_steps_goes_on_with_each_members_custody(tmp_path: Path) -> None:
    assert sweep(tmp_path, 1) >= 50

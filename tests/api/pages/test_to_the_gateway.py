"""From the paper to the chain: noted on a telephone, signed by the taker's own gateway, taken by the chain."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.client import LedgerClient, ServiceRefused
from api.paper.report import Report
from ledger_service.handoffs import HandOff
from ledger_service.keys import to_hex
from tests.api.gateways import Yard, plate, yard
from tests.api.house import House, served
from tests.api.pages.notes import PIN, Telephone, note


@pytest.fixture(scope="module")
def partners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    folder: Path = tmp_path_factory.mktemp("paper")
    with (
        served(folder / "network", custody_release_interval_seconds=0, custody_release_spread_seconds=0) as house,
        yard(house, folder / "yard") as opened,
    ):
        opened.introduce("duero", "nordrand", each=12)
        client(opened, "nordrand").set_pin(PIN)
        yield opened


def client(yard: Yard, name: str) -> LedgerClient:
    wire = yard.gateway(name).wire
    assert isinstance(wire, LedgerClient)
    return wire


def telephone(partners: Yard, despatch: bytes) -> Telephone:
    house: House = partners.house
    made = Telephone(house, note(house, despatch))
    made.sign_in()
    return made


def test_what_is_noted_on_a_telephone_is_signed_by_the_takers_gateway_and_reaches_the_chain(partners: Yard) -> None:
    despatch = partners.offer("duero", "nordrand", "P1", 1, 2)
    assert client(partners, "duero").print_note(despatch).startswith(b"%PDF-")
    page = telephone(partners, despatch)
    page.accept(w0__0="damaged", q0__0="3", document="5000188213")
    assert page.states()[0].startswith("Your answer is with the gateway of nordrand")
    nordrand = partners.gateway("nordrand")
    (receipt,) = nordrand.fulfil_requests(sign=True)
    page.get()
    assert page.states()[0].startswith("Accepted with remarks. Signed by nordrand on 20")
    assert nordrand.fulfil_requests(sign=True) == []
    (settled,) = client(partners, "nordrand").signing_requests("fulfilled")
    assert settled["statement"] == to_hex(receipt)
    nordrand.push()
    held = nordrand.book.unit_of(plate(1))
    assert held is not None
    relaying = partners.house.network.relaying
    for _ in range(20):
        relaying.run(partners.house.clock.now)
    steps = relaying.taken([held.unit])[held.unit]
    assert isinstance(steps[-1].step, HandOff)
    assert steps[-1].step.acceptance == receipt

    # And back onto paper: the same bytes from the service as at home.
    partners.house.anchor()
    duero = client(partners, "duero")
    bundle = duero.custody_bundle([plate(1)])[0].data
    directory = partners.house.network.directory
    assert duero.report(bundle) == Report.of(bundle, duero.trust, directory, is_demo=True).pdf()
    with pytest.raises(ServiceRefused) as refused:
        duero.report(bundle.replace(b'"registeredAt":17', b'"registeredAt":16', 1))
    assert refused.value.status == 422


def test_a_refusal_on_a_telephone_is_signed_by_the_takers_gateway(partners: Yard) -> None:
    page = telephone(partners, partners.offer("duero", "nordrand", "P2", 3))
    page.refuse("Wet through.")
    partners.gateway("nordrand").fulfil_requests(sign=True)
    page.get()
    assert page.states()[0].startswith("Refused. Signed by nordrand on 20")


def test_a_gateway_that_leaves_it_to_a_person_leaves_the_page_waiting(partners: Yard) -> None:
    page = telephone(partners, partners.offer("duero", "nordrand", "P3", 4))
    page.accept()
    assert partners.gateway("nordrand").fulfil_requests(sign=False) == []
    page.get()
    assert page.states()[0].startswith("Your answer is with the gateway of nordrand, which has not signed it yet.")


def test_what_the_gateway_cannot_sign_comes_back_with_its_reason(partners: Yard) -> None:
    despatch = partners.offer("duero", "nordrand", "P4", 5)
    page = telephone(partners, despatch)
    page.refuse("Nobody ordered this.")
    nordrand = partners.gateway("nordrand")
    nordrand.accept(despatch, basis="scanned")  # somebody at a desk was quicker
    nordrand.push()
    nordrand.fulfil_requests(sign=True)
    page.get()
    (state,) = page.states()
    assert state.startswith("Accepted. Signed by nordrand on 20")
    (declined,) = client(partners, "nordrand").signing_requests("declined")
    assert "was said already, and otherwise" in declined["declined"]

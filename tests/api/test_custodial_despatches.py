"""Small suppliers: a table of what was shipped becomes offers, notes and handoffs on the chain."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from openpyxl import Workbook
from pydantic import SecretStr

from api.keyfiles import write_key_file
from api.network import Network
from api.settings import Settings
from ledger_service import keys
from ledger_service.chain.port import FirstKey
from ledger_service.evidence import Bundle, verify_bundle
from ledger_service.handoffs import HandOff, Opening, verify_sequence
from ledger_service.instants import clock_text
from ledger_service.keys import from_hex, to_hex
from ledger_service.store.tables import statement
from tests.api.gateways import DAY, Yard, plate, yard
from tests.api.house import PASSPHRASE, House, plan, served
from tests.api.pages.notes import Telephone, note, set_pin
from tests.consortium import Clock, key, member_id

CSV, XLSX = "text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
HEADING = ("document", "taker", "unit", "part", "batch", "quantity", "uom", "arrives")
KEPT = {"kleinwerk": "kept", "oderland": "kept for oderland"}
"""Members whose key the service keeps, and the names of these keys."""


def found(folder: Path, clock: Clock) -> None:
    """A network in which the service keeps the keys of two members."""
    everything = plan()
    founders = []
    for member, founder in everything.founders:
        if member.name in KEPT:
            own = FirstKey(key(member.name).address, keys.LOGIN)
            founder = replace(
                founder, keys=(own, FirstKey(key(KEPT[member.name]).address, keys.EVENTS, custodial=True))
            )
        founders.append((member, founder))
    settings = Settings(data=folder, passphrase=SecretStr(PASSPHRASE), workers=0)
    secret = bytes(31) + b"\x07"
    Network.found(
        settings, replace(everything, founders=tuple(founders)), secret=secret, now=lambda: clock.now, demo=True,
        scrypt_cost=2,
    )  # fmt: skip
    for name, kept in KEPT.items():
        path = folder / "custodial" / f"{to_hex(member_id(name))}.json"
        write_key_file(path, key(kept).secret_bytes, PASSPHRASE.encode(), 2)


@pytest.fixture(scope="module")
def partners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    folder = tmp_path_factory.mktemp("custodial")
    found(folder / "network", Clock())
    with (
        served(folder / "network", custody_release_interval_seconds=0, custody_release_spread_seconds=0) as house,
        yard(house, folder / "yard") as opened,
    ):
        nordrand = opened.gateway("nordrand")
        nordrand.deposit(member_id("kleinwerk"))
        nordrand.push()
        yield opened


def row(document: str, taker: str, number: int, **changes: str) -> dict[str, str]:
    one = {"document": document, "taker": taker, "unit": plate(number), "part": "9521004100011", "quantity": "60"}
    return {**one, "batch": "L2609", "uom": "H87"} | changes


def table(*rows: dict[str, str]) -> bytes:
    lines = [HEADING, *(tuple(one.get(name, "") for name in HEADING) for one in rows)]
    return "\r\n".join(";".join(line) for line in lines).encode("utf-8-sig")


def sheet(*rows: dict[str, str]) -> bytes:
    workbook = Workbook()
    for line in [HEADING, *(tuple(one.get(name) for name in HEADING) for one in rows)]:
        workbook.worksheets[0].append(list(line))
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


def upload(house: House, data: bytes, kind: str = CSV, who: str = "kleinwerk", **params: Any) -> Any:
    return house.post(
        who, "/v1/custody/custodial/despatches", content=data, headers={"Content-Type": kind}, params=params
    )


def offered(answer: Any) -> list[bytes]:
    assert answer.status_code == 200, answer.text
    assert answer.json()["refused"] == []
    return [from_hex(one["despatch"], 32) for one in answer.json()["offers"]]


def steps(house: House, unit: bytes) -> list[type]:
    """The steps of a unit that the chain has taken, once nothing waits."""
    relaying = house.network.relaying
    for _ in range(50):
        relaying.run(house.clock.now)
        if not any(one.state in ("waiting", "sent") for one in relaying.waiting(unit)):
            break
    taken = list(relaying.taken([unit]).get(unit, ()))
    verify_sequence(taken)
    return [type(one.step) for one in taken]


def unit_of(house: House, member: str, number: int) -> bytes:
    hosted = house.app.state.service.hosted
    with hosted.lane:
        held = hosted.gateway(member_id(member)).book.unit_of(plate(number))
    assert held is not None
    unit: bytes = held.unit
    return unit


def judged(house: House, member: str, number: int) -> tuple[str, set[str]]:
    """What the bundle of a pallet comes to, as this member has it: the answer, and the findings of the ledger."""
    house.clock.forward(5)
    house.anchor()
    house.sign_out()
    answer = house.post(member, "/v1/custody/bundle", json={"units": [plate(number)]})
    assert answer.status_code == 200, answer.text
    verdict = verify_bundle(Bundle.parse(answer.content), house.network.trust())
    assert verdict.custody is not None
    assert verdict.custody.custody.holder(plate(number)) == member_id("nordrand" if number < 10 else "oderland")
    return str(verdict.custody.answer), {one.what for one in verdict.findings}


CUSTODIAL = "signed with a custodial key: the operator keeps it for the member"


def test_what_a_spreadsheet_says_is_offered_printed_taken_over_and_on_the_chain(partners: Yard) -> None:
    house, nordrand = partners.house, partners.gateway("nordrand")
    arrives = clock_text(house.clock.now + 2 * DAY)[:10]
    rows = [row("K-1", "nordrand", number, arrives=arrives) for number in (1, 2)]
    (despatch,) = offered(upload(house, table(*rows)))
    said = house.get("nordrand", f"/v1/statements/{to_hex(despatch)}").json()["content"]
    assert said["arrives"] == arrives
    printed = house.post("kleinwerk", "/v1/custody/notes", json={"despatch": to_hex(despatch)})
    assert printed.content.startswith(b"%PDF-")
    nordrand.accept(despatch, basis="scanned")
    assert nordrand.push().refused == []
    unit = unit_of(house, "kleinwerk", 1)
    assert steps(house, unit) == [Opening, HandOff]
    answer, findings = judged(house, "nordrand", 1)
    assert answer == "whole"
    assert CUSTODIAL in findings


def test_between_two_members_whose_keys_are_kept_the_telephone_at_the_dock_completes_it(partners: Yard) -> None:
    house = partners.house
    data = sheet(row("K-10", "oderland", 10), row("K-11", "Oderland", 11))
    first, second = offered(upload(house, data, XLSX))
    assert set_pin(house, "oderland").status_code in (200, 201, 204)
    page = Telephone(house, note(house, first))
    page.sign_in()
    page.accept()
    assert page.states()[0].startswith("Accepted. Signed by oderland")
    page = Telephone(house, note(house, second))
    page.sign_in()
    page.refuse("not ordered")
    for _ in range(3):
        house.app.state.service.hosted.work(house.clock.now)
    assert steps(house, unit_of(house, "kleinwerk", 10)) == [Opening, HandOff]
    # What was refused goes back to its giver, so that the signature that is out there is worth nothing.
    assert steps(house, unit_of(house, "kleinwerk", 11)) == [Opening, HandOff]
    answer, findings = judged(house, "oderland", 10)
    assert answer == "whole"
    assert CUSTODIAL in findings


def test_a_table_sent_again_is_the_same_offers_and_with_other_words_it_is_refused(partners: Yard) -> None:
    house = partners.house
    rows = [row("K-20", "oderland", 20), row("K-21", "oderland", 21)]
    made = offered(upload(house, table(*rows)))
    assert offered(upload(house, table(*rows))) == made
    assert offered(upload(house, sheet(*rows), XLSX)) == made
    changed = upload(house, table(row("K-22", "oderland", 22), row("K-21", "oderland", 21, quantity="59")))
    assert (changed.status_code, changed.json()["type"].rsplit("/", 1)[1]) == (409, "said-otherwise")
    hosted = house.app.state.service.hosted
    with hosted.lane:
        assert hosted.gateway(member_id("kleinwerk")).book.unit_of(plate(22)) is None, "all or nothing"


# By name: the media type, the body, then status, type and a word of the answer.
UNFIT: dict[str, tuple[str, bytes, int, str, str]] = {
    "JSON": ("application/json", b"{}", 415, "wrong-media-type", "text/csv"),
    "nothing": (CSV, b"", 422, "unfit-rows", "no row below the heading"),
    "a heading alone": (CSV, table(), 422, "unfit-rows", "no row below the heading"),
    "Latin-1": (CSV, "document;taker;unit\n1;Müller;x".encode("latin-1"), 422, "unfit-rows", "is not UTF-8"),
    "a picture": (XLSX, b"\x89PNG\r\n\x1a\n" + bytes(50), 422, "unfit-rows", "is not UTF-8"),
    "a broken workbook": (XLSX, sheet()[:-80], 422, "unfit-rows", "no Excel workbook"),
    "too much": (CSV, b"x" * ((1 << 20) + 1), 413, "body-too-large", "the limit is 1048576"),
    "too many units": (
        CSV,
        table(*[row(f"U-{one // 100}", "oderland", 1000 + one) for one in range(501)]),
        413,
        "too-many-items",
        "501 units in one call, the limit is 500",
    ),
    "a wrong check digit": (
        CSV, table(row("U-1", "nordrand", 80, unit="395210040009260176")), 422, "unfit-rows", "row 2, column unit",
    ),
    "nobody": (CSV, table(row("U-2", "acme", 80)), 422, "unfit-rows", "acme is nobody in the directory"),
    "half a piece": (CSV, table(row("U-3", "nordrand", 80, quantity="0.5")), 422, "unfit-rows", "no part of a piece"),
    "to oneself": (CSV, table(row("U-4", "kleinwerk", 80)), 409, "no-address-left", "has deposited too few"),
    "somebody who left no address": (
        CSV, table(row("U-5", "nordrand", 80), row("U-6", "havelmark", 81)), 409, "no-address-left", "custody deposit",
    ),
    "a unit that is on its way already": (
        CSV, table(row("U-7", "oderland", 90), row("U-8", "nordrand", 90)), 409, "not-held", "withdraw that one first",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFIT)
def test_a_table_that_is_no_good_is_told_why_and_nothing_is_offered(partners: Yard, name: str) -> None:
    house = partners.house
    kind, data, status, problem, word = UNFIT[name]
    house.app.state.service.hosted.work(house.clock.now)
    before = despatches(house)
    answer = upload(house, data, kind)
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (status, problem), answer.text
    assert word in answer.text
    house.app.state.service.hosted.work(house.clock.now)
    assert despatches(house) == before


def test_only_members_whose_key_is_kept_have_tables_offered(partners: Yard) -> None:
    answer = upload(partners.house, table(row("N-1", "oderland", 95)), who="nordrand")
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (403, "not-custodial")
    for params in ({"hours": 0}, {"hours": "many"}, {"to": "0x12"}):
        assert upload(partners.house, table(row("N-2", "oderland", 95)), **params).status_code == 400


# By name: the deed, what is sent, and the status.
DEEDS: dict[str, tuple[str, dict[str, Any], int]] = {
    "a list for a despatch": ("offer", {"despatch": []}, 400),
    "a number for a despatch": ("offer", {"despatch": 5}, 400),
    "a despatch with legs of numbers": (
        "offer",
        {
            "despatch": {
                "document": {"type": "delivery-note", "number": "D-1"},
                "taker": to_hex(member_id("oderland")),
                "units": [{"id": plate(96)}],
                "legs": [5],
            }
        },
        400,
    ),
    "a despatch that names chain units": (
        "offer",
        {
            "despatch": {
                "document": {"type": "delivery-note", "number": "D-2"},
                "taker": to_hex(member_id("oderland")),
                "units": [{"id": plate(96), "chain": "0x" + "11" * 32}],
            }
        },
        400,
    ),
    "a discrepancy of text": ("accept", {"despatch": "0x" + "77" * 32, "discrepancies": ["short"]}, 404),
    "no deed": ("steal", {}, 400),
}


@pytest.mark.parametrize("name", DEEDS)
def test_a_deed_that_is_no_good_is_a_problem_and_no_fault(partners: Yard, name: str) -> None:
    deed, value, status = DEEDS[name]
    answer = partners.house.post("kleinwerk", f"/v1/custody/custodial/{deed}", json=value)
    assert answer.status_code in (status, 400), answer.text
    assert answer.status_code < 500


def despatches(house: House) -> int:
    query = sa.select(sa.func.count()).select_from(statement).where(statement.c.kind.in_(["despatch", "opening"]))
    with house.network.ledger.store.read() as connection:
        return int(connection.execute(query).scalar_one())

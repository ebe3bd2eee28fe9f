"""Custody on the command line: a pallet goes from an ERP's export to a goods receipt, and one goes back."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.cli import keystore
from api.cli.custody import SEED_FILE
from api.cli.program import run
from api.cli.serving import Serving
from api.network import Network, Plan
from api.settings import Settings
from tests.api.test_cli import make_member

MEMBERS = ("Duero", "Nordrand")


@dataclass(frozen=True)
class Site:
    """A service, two members with custody seeds, and what their commands print."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def run(self, who: str, *command: str | Path, expect: int = 0) -> str:
        self.capture.readouterr()
        status = run([*map(str, command), "--home", str(self.folder / who)])
        said = self.capture.readouterr()
        assert status == expect, said.out + said.err
        return said.out + said.err

    def file(self, name: str, *lines: str) -> Path:
        path = self.folder / name
        path.write_text("\n".join(lines))
        return path

    def offer(self, document: str, *plates: int) -> str:
        """The id of an offer of these pallets by Duero."""
        rows = [f"{document},Nordrand,1JUN049505160P{one:05d},9521004100011,60,H87" for one in plates]
        path = self.file(f"{document}.csv", "document,taker,unit,part,quantity,uom", *rows)
        made: dict[str, Any] = json.loads(self.run("Duero", "custody", "offer", path, "--json").split("\n\x00")[0])
        return str(made["offers"][0]["despatch"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TALLYSTICK_KEY_PASSPHRASE", "secret")
        environment.setenv("TALLYSTICK_PASSPHRASE", "the service's")
        place = tmp_path_factory.mktemp("site")
        members = [json.loads(make_member(place, name).read_bytes()) for name in MEMBERS]
        values: dict[str, Any] = {
            "data": place / "network", "workers": 0, "port": 0, "publish_interval_seconds": 0.02,
            "custody_release_interval_seconds": 0, "custody_release_spread_seconds": 0,
        }  # fmt: skip
        settings = Settings(**values)
        plan = Plan.of({"origin": "ledger.example.org/site", "members": members}, random=os.urandom)
        Network.found(settings, plan, secret=os.urandom(32), scrypt_cost=2)
        network = Network.open(settings)
        try:
            with Serving(network, settings).running() as url:
                for name in MEMBERS:
                    assert run(["trust", "fetch", url, "--home", str(place / name)]) == 0
                    # `custody seed` does the same at the full cost of scrypt.
                    secret = keystore.new_secret(os.urandom)
                    seed = place / name / SEED_FILE
                    keystore.write_key(seed, secret, b"secret", keystore.CUSTODY_SEED, "0a0b", [], 2)
                yield place
        finally:
            network.close()


@pytest.fixture
def site(folder: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    return Site(folder, capsys)


def test_a_pallet_goes_from_the_export_to_the_goods_receipt(site: Site) -> None:
    assert "addresses more" in site.run("Nordrand", "custody", "deposit", "Duero")
    site.run("Duero", "custody", "deposit", "Nordrand")
    despatch = site.offer("80417731", 1, 2)
    assert site.offer("80417731", 1, 2) == despatch
    assert "open" in site.run("Nordrand", "custody", "offers", "--side", "taker")
    scans = site.file("scans.csv", "unit;part;quantity", "1JUN049505160P00001;;", "1JUN049505160P00002;;")
    said = site.run("Nordrand", "gateway", "run", "--once", "--scans", scans, "--partner", "Duero")
    assert "accepted by 0x" in said
    assert "accepted by" not in site.run("Nordrand", "gateway", "run", "--once", "--scans", scans)
    assert "answered" in site.run("Duero", "custody", "offers", "--state", "answered")
    site.run("Duero", "gateway", "run", "--once")
    assert "given" in site.run("Duero", "custody", "units")
    assert "held" in site.run("Nordrand", "custody", "units")
    steps = json.loads(site.run("Nordrand", "custody", "steps", "1JUN049505160P00001"))
    told = [one["type"] for one in steps["steps"]] + [one["state"] for one in steps["waiting"]]
    assert len(told) >= 1
    assert "ends" in site.run("Nordrand", "custody", "close", "1JUN049505160P00001", "--to", "Duero")


def test_what_deviates_waits_for_a_person_who_says_what_is_wrong(site: Site) -> None:
    despatch = site.offer("80417732", 3)
    scans = site.file("short.csv", "unit,part,quantity,uom", "1JUN049505160P00003,9521004100011,50,PCE")
    said = site.run("Nordrand", "gateway", "run", "--once", "--scans", scans, "--tolerance", "0.02")
    assert "1 offers wait for a person" in said
    assert "deviates by 10 of 60 H87" in site.run("Nordrand", "custody", "offers", "--waiting")
    assert site.run("Nordrand", "custody", "accept", despatch, "--scanned").startswith("0x")
    assert "nothing that was scanned waits" in site.run("Nordrand", "custody", "offers", "--waiting")


def test_what_is_refused_goes_back_and_may_be_offered_again(site: Site) -> None:
    despatch = site.offer("80417733", 4)
    site.run("Nordrand", "custody", "refuse", despatch, "--reason", "not ordered")
    assert "took back" in site.run("Duero", "gateway", "run", "--once")
    other = site.offer("80417734", 4)
    assert "withdrawn" in site.run("Duero", "custody", "withdraw", other)
    assert "nothing of it is left" in site.run("Duero", "custody", "withdraw", other)
    third = site.offer("80417735", 4)
    damaged = "1JUN049505160P00004:damaged:(01)09521004100011:3:H87"
    site.run("Nordrand", "custody", "accept", third, "--discrepancy", damaged, "--number", "5000188213")


def test_offers_go_by_the_numbers_on_the_paper_and_members_by_their_names(site: Site) -> None:
    despatch = site.offer("80417740", 40)
    assert "80417740" in site.run("Nordrand", "custody", "offers")
    assert despatch not in site.run("Nordrand", "custody", "offers")
    assert despatch in site.run("Nordrand", "custody", "offers", "--ids")
    assert "no offer to us has this number" in site.run("Nordrand", "custody", "accept", "80419999", expect=2)
    assert site.run("Nordrand", "custody", "accept", "80417740").startswith("0x")
    many = [f"80417741,Duero,1JUN049505160P{one:05d},,," for one in range(500, 600)]
    path = site.file("many.csv", "document,taker,unit,part,quantity,uom", *many)
    assert "Duero (DEMO) has deposited too few one-time addresses" in site.run(
        "Nordrand", "custody", "offer", path, expect=1
    )


def test_the_dock_sees_what_to_do_and_says_what_came_what_was_wrong_and_why(site: Site) -> None:
    site.offer("80417750", 50)
    assert "80417750  Duero (DEMO)" in site.run("Nordrand", "custody", "todo")
    gate = ("--place", "9521004000014", "--vehicle", "4471 KLM", "--number", "TOR-1")
    arrived = site.run("Nordrand", "custody", "arrive", "--despatch", "80417750", *gate)
    assert arrived.startswith("0x")
    assert "expected a place" in site.run("Nordrand", "custody", "arrive", "--place", "Hall 2", expect=1)
    part = "did:web:duero.example.org/part/4711-88"
    short = f"1JUN049505160P00050:short:{part}:2:H87"
    site.run("Nordrand", "custody", "accept", "80417750", "--discrepancy", short)
    assert "80417750" not in site.run("Nordrand", "custody", "todo")
    damaged = f"damaged@1JUN049505160P00050@{part}@3@H87"
    said = (
        "custody",
        "complain",
        "80417750",
        "--item",
        damaged,
        "--item",
        "late",
        "--number",
        "Q-1",
        "--text",
        "scratched",
    )
    complaint = site.run("Nordrand", *said)
    assert complaint.startswith("0x")
    assert site.run("Nordrand", *said).split()[0] == complaint.split()[0]
    assert "is none of short" in site.run("Nordrand", "custody", "complain", "80417750", "--item", "bad", expect=1)
    assert "WHAT@UNIT" in site.run("Nordrand", "custody", "complain", "80417750", "--item", "late@1@2", expect=2)
    listed = site.run("Duero", "custody", "explain", "1JUN049505160P00050")
    assert listed.startswith("1  ")
    why = ("--finding", "1", "--text", "Two fell off the belt.")
    assert site.run("Duero", "custody", "explain", "1JUN049505160P00050", *why).startswith("0x")
    assert "(explained)" in site.run("Nordrand", "custody", "explain", "1JUN049505160P00050")
    assert "name both" in site.run("Duero", "custody", "explain", "1JUN049505160P00050", "--finding", "1", expect=2)
    many = ("--finding", "99", "--text", "x")
    assert "list them" in site.run("Duero", "custody", "explain", "1JUN049505160P00050", *many, expect=2)


def test_rows_that_cannot_be_used_are_all_named_and_nothing_is_offered(site: Site) -> None:
    path = site.file(
        "wrong.csv", "document,taker,unit,quantity,part", "9,Acme,1JUN049505160P00009,,",
        "9,Acme,395210040009260176,1,9521004100011",
    )  # fmt: skip
    said = site.run("Duero", "custody", "offer", path, expect=1)
    assert "row 2, column taker: Acme is nobody in the directory" in said
    assert "row 3, column unit: the check digit" in said
    assert "nothing was offered" in said
    for command, words in (
        (("custody", "accept", "0x12"), "64"),
        (("gateway", "run", "--once", "--tolerance", "2"), "a share from 0 to below 1"),
        (("custody", "seed"), "exists already"),
        (("custody", "steps", "1JUN049505160P09999"), "never held"),
    ):
        assert words in site.run("Duero", *command, expect=2)


def test_the_giver_prints_a_note_and_the_taker_sets_the_pin_by_which_it_is_answered(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    despatch = site.offer("80417799", 77)
    paper = site.folder / "note.pdf"
    assert "takes the PIN of the taker's site" in site.run("Duero", "note", despatch, "-o", paper)
    assert paper.read_bytes().startswith(b"%PDF-")
    site.run("Nordrand", "note", despatch, "-o", paper, expect=1)
    monkeypatch.setenv("TALLYSTICK_PIN", "480913")
    assert "set for 9521002000016" in site.run("Nordrand", "pin", "--site", "9521002000016")
    monkeypatch.setenv("TALLYSTICK_PIN", "111111")
    assert "choose others" in site.run("Nordrand", "pin", expect=1)

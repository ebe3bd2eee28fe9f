"""Risk on the command line: from two members' facts to a report, shown, listed, and made again from its view."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.cli.gateway import Gateway
from api.cli.program import run
from api.cli.serving import Serving
from api.feed import iso
from api.network import Network, Plan
from api.outbox import Draft
from api.settings import Settings
from risk.messages import content_of, read_form
from tests.api.test_cli import make_member

MEMBERS = ("Duero", "Nordrand")
WORKS, PLANT = "https://duero.example.org/site/1", "https://nordrand.example.org/site/1"
CASTING, AXLE = "did:web:duero.example.org/part/C-1", "did:web:nordrand.example.org/part/A-1"


@dataclass(frozen=True)
class Site:
    """A service, two members, and what their commands print."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def run(self, who: str, *command: str | Path, expect: int = 0) -> str:
        return self.bare(*command, "--home", self.folder / who, expect=expect)

    def bare(self, *command: str | Path, expect: int = 0) -> str:
        self.capture.readouterr()
        status = run([*map(str, command)])
        said = self.capture.readouterr()
        assert status == expect, said.out + said.err
        return said.out + said.err


def state(folder: Path, who: str, drafts: list[tuple[str, dict[str, Any]]]) -> None:
    """Facts of `who`, signed, sent and anchored."""
    as_of = iso(time.time_ns() // 1_000_000 - 3_600_000)
    given = {"to": [], "asOf": as_of, "document": {"number": "1", "type": "list"}}
    with Gateway(folder / who).client() as client:
        signed = client.outbox.sign(
            [Draft(said if kind == "disruption" else {**given, **said}, kind) for kind, said in drafts],
            issuer=client.member, signer=client.signer, domain=client.domain, now=client.now(), random=os.urandom,
            source="facts",
        )  # fmt: skip
        assert not client.submit().refused
        client.await_anchor(signed[-1].header.digest(client.domain))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TALLYSTICK_KEY_PASSPHRASE", "secret")
        environment.setenv("TALLYSTICK_PASSPHRASE", "the service's")
        place = tmp_path_factory.mktemp("risk")
        members = [json.loads(make_member(place, name).read_bytes()) for name in MEMBERS]
        values: dict[str, Any] = {
            "data": place / "network", "workers": 0, "port": 0, "publish_interval_seconds": 0.02,
        }  # fmt: skip
        settings = Settings(**values)
        plan = Plan.of({"origin": "ledger.example.org/risk", "members": members}, random=os.urandom)
        Network.found(settings, plan, secret=os.urandom(32), scrypt_cost=2)
        network = Network.open(settings)
        try:
            with Serving(network, settings).running() as url:
                for name in MEMBERS:
                    assert run(["trust", "fetch", url, "--home", str(place / name)]) == 0
                fill(place)
                yield place
        finally:
            network.close()


def fill(folder: Path) -> None:
    """Duero casts for Nordrand, and has a flood from tomorrow on."""
    made = {"planned": "10", "most": "10", "uom": "H87"}
    state(folder, "Duero", [("site", {"site": WORKS, "name": "Works"}),
                            ("capacity", {"site": WORKS, "part": CASTING, **made})])  # fmt: skip
    need = [{"part": CASTING, "quantity": "1", "uom": "H87"}]
    link = {"supplier": WORKS, "customer": PLANT, "part": CASTING, "uom": "H87", "share": "1", "lead": {"days": 1}}
    state(folder, "Nordrand", [
        ("site", {"site": PLANT, "name": "Plant", "latitude": "51.53", "longitude": "9.93"}),
        ("part", {"part": AXLE, "uom": "H87", "name": "Axle"}),
        ("capacity", {"site": PLANT, "part": AXLE, **made}),
        ("bill-of-material", {"site": PLANT, "part": AXLE, "needs": need}),
        ("product-price", {"site": PLANT, "part": AXLE, "currency": "EUR", "minorUnits": 12_345}),
        ("supply-link", {**link, "level": "named"}),
    ])  # fmt: skip
    with Gateway(folder / "Duero").client() as client:
        now = client.now()
        form = {"what": "flood", "status": "Actual", "number": "7", "where": {"sites": [WORKS]}, "sure": "Observed",
                "from": iso(now + 86_400_000)}  # fmt: skip
        sender = f"0x{client.member.hex()}"
    said = content_of(read_form(json.dumps(form).encode(), sender, datetime.fromtimestamp(now // 1000, UTC)))
    state(folder, "Duero", [("disruption", {"to": [], **said})])


@pytest.fixture
def site(folder: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    return Site(folder, capsys)


def test_a_report_is_asked_for_shown_listed_and_made_again_from_its_view(site: Site, tmp_path: Path) -> None:
    said = site.run("Nordrand", "risk", "assess")
    assert "Plant stops making Axle on" in said
    assert "Revenue at risk: EUR " in said
    digest = said.split()[-1]
    assert digest in site.run("Nordrand", "risk", "reports", "--json")
    assert "Actual" in site.run("Nordrand", "risk", "reports")
    report, view = tmp_path / "report.json", tmp_path / "view.json"
    site.run("Nordrand", "risk", "report", digest, "--out", report)
    anyway = json.loads(report.read_text(encoding="utf-8"))["undisturbed"]["lost"]
    assert ("Lost with no disruption, too: " in said) == bool(anyway)
    site.run("Nordrand", "risk", "view", "--like", report, "--out", view)
    assert "follows from the view, to the byte" in site.bare("risk", "recompute", view, report)
    html, pdf = tmp_path / "report.html", tmp_path / "report.pdf"
    site.run("Nordrand", "risk", "report", digest, "--html", html, "--pdf", pdf)
    assert "our plant Plant stops on" in html.read_text(encoding="utf-8")
    assert pdf.read_bytes().startswith(b"%PDF-")
    with Gateway(site.folder / "Nordrand").client() as client:
        for path in (html, pdf):
            answer = client._answer("GET", f"/v1/risk/reports/{digest}/{path.suffix[1:]}")
            assert answer.content == path.read_bytes(), "what is made at home is what the service makes"
        site.run("Nordrand", "risk", "report", digest, "--html", html, "--language", "de")
        answer = client._answer("GET", f"/v1/risk/reports/{digest}/html?language=de")
        assert answer.content == html.read_bytes()
        assert "Stillstand im Werk Plant" in answer.text
    site.run("Nordrand", "risk", "report", digest, "--language", "tlh", expect=2)
    content = json.loads(report.read_bytes())
    content["effect"]["stops"][0]["shortfall"] = "0"
    report.write_text(json.dumps(content, indent=1))
    assert "/effect/stops/0/shortfall: the view gives" in site.bare("risk", "recompute", view, report, expect=1)
    content["view"] = "00" * 32
    report.write_text(json.dumps(content))
    assert "it was made of the view 0000" in site.bare("risk", "recompute", view, report, expect=1)
    view.write_bytes(view.read_bytes().replace(b'"requests":0', b'"requests":"0"'))
    assert "/coverage/requests: expected int" in site.bare("risk", "recompute", view, report, expect=2)
    assert "--like wants a report" in site.run("Nordrand", "risk", "view", "--like", view, expect=2)
    assert "there is no file" in site.bare("risk", "recompute", tmp_path / "none", report, expect=2)


def test_what_cannot_be_asked_is_refused_in_words(site: Site) -> None:
    assert "within a year" in site.run("Nordrand", "risk", "assess", "--day", "1999-01-01", expect=1)
    assert "there is no disruption" in site.run("Nordrand", "risk", "view", "--disruption", "none", expect=1)
    assert "expected one of Actual" in site.run("Nordrand", "risk", "assess", "--status", "real", expect=1)
    site.run("Nordrand", "risk", "report", "0x77", expect=2)
    site.run("Nordrand", "risk", "report", "0x" + "77" * 32, expect=1)


def test_nothing_hit_is_said_and_so_is_how_the_network_stands(site: Site) -> None:
    assert "nothing of ours stops within 112 days" in site.run("Nordrand", "risk", "assess", "--status", "Test")
    said = site.run("Nordrand", "risk", "network")
    assert "sites of ours in the network on" in said
    assert "100 % of what goes into our products has a known source (needs that count: 1)" in said


def test_an_alert_is_watched_listed_and_acknowledged_in_a_role(site: Site) -> None:
    until = time.monotonic() + 20
    while not (found := json.loads(site.run("Nordrand", "risk", "alerts", "--open", "--json"))):
        assert time.monotonic() < until
    (alert,) = found
    assert f"impact alert                alert 1 {alert['report']}" in site.run("Nordrand", "watch", "--all", "--once")
    assert "Plant stops making Axle" in site.run("Nordrand", "risk", "report", alert["report"])
    assert "not yet" in site.run("Nordrand", "risk", "alerts")
    said = site.run("Nordrand", "risk", "acknowledge", "1", "--role", "risk manager")
    assert "acknowledged by risk manager" in said
    assert "by risk manager" in site.run("Nordrand", "risk", "alerts")
    assert json.loads(site.run("Nordrand", "risk", "alerts", "--open", "--json")) == []

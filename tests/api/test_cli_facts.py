"""Facts on the command line: a workbook goes in and is said once; three tiers ask, pass on, answer and decline."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli import keystore
from api.cli.custody import SEED_FILE, opened
from api.cli.program import run
from api.cli.serving import Serving
from api.network import Network, Plan
from api.settings import Settings
from tests.api.impact.workbooks import LINK, OTHER_SITE, OWN_SITE, PART, SITE, STOCK, filled
from tests.api.test_cli import make_member
from tests.api.test_cli_custody import Site

MEMBERS = ("Havelmark", "Nordrand", "Lariana")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TALLYSTICK_KEY_PASSPHRASE", "secret")
        environment.setenv("TALLYSTICK_PASSPHRASE", "the service's")
        place = tmp_path_factory.mktemp("facts")
        members = [json.loads(make_member(place, name).read_bytes()) for name in MEMBERS]
        values: dict[str, Any] = {
            "data": place / "network", "workers": 0, "port": 0, "publish_interval_seconds": 0.02,
        }  # fmt: skip
        settings = Settings(**values)
        plan = Plan.of({"origin": "ledger.example.org/facts", "members": members}, random=os.urandom)
        Network.found(settings, plan, secret=os.urandom(32), scrypt_cost=2)
        network = Network.open(settings)
        try:
            with Serving(network, settings).running() as url:
                (place / "url").write_text(url)
                for name in MEMBERS:
                    assert run(["trust", "fetch", url, "--home", str(place / name)]) == 0
                    seed = place / name / SEED_FILE
                    keystore.write_key(
                        seed, keystore.new_secret(os.urandom), b"secret", keystore.CUSTODY_SEED, "0a", [], 2
                    )
                yield place
        finally:
            network.close()


@pytest.fixture
def site(folder: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    return Site(folder, capsys)


def told(said: str) -> Any:
    return json.loads(said[said.index("{") :])


def book(site: Site, name: str, rows: dict[str, list[dict[str, Any]]]) -> Path:
    path = site.folder / name
    path.write_bytes(filled(rows))
    return path


def open_requests(site: Site, who: str, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = told(site.run(who, "risk", "requests", "--json", *more))["requests"]
    return found


def test_the_template_is_written_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "facts.xlsx"
    assert run(["risk", "template", str(path), "--lang", "de"]) == 0
    assert path.read_bytes()[:2] == b"PK"
    assert run(["risk", "template", str(path)]) == 2
    assert "somebody may have filled it in" in capsys.readouterr().err
    assert run(["risk", "template", str(folder / "x.xlsx"), "--lang", "tlh"]) == 2


def test_a_workbook_is_said_once_and_a_changed_row_takes_its_place(site: Site) -> None:
    rows: dict[str, list[dict[str, Any]]] = {"site": [OWN_SITE], "stock": [STOCK], "supply-link": [LINK]}
    first = book(site, "first.xlsx", rows)
    dry = site.run("Nordrand", "risk", "import", first, "--dry-run")
    assert "3 new, 0 said before" in dry
    assert "quantity 1920" in dry
    made = {"site": OWN_SITE["site"], "part": "AX-1 (nordrand.example.org)", "needs_part": STOCK["part"]}
    bill = book(site, "bill.xlsx", {"bill-of-material": [made | {"needs_quantity": 24, "needs_uom": "pcs"}]})
    assert "09521004100011 24" in site.run("Nordrand", "risk", "import", bill, "--dry-run")
    assert "nothing was stated from here yet" in site.run("Nordrand", "risk", "facts")
    assert "3 new, 0 said before" in site.run("Nordrand", "risk", "import", first)
    assert "0 new, 3 said before" in site.run("Nordrand", "risk", "import", first)
    changed = book(site, "second.xlsx", rows | {"stock": [STOCK | {"quantity": 960}]})
    assert "1 new, 2 said before" in site.run("Nordrand", "risk", "import", changed)
    listed = told(site.run("Nordrand", "risk", "facts", "--json"))
    stock = next(one for one in listed["facts"] if one["kind"] == "stock")
    assert (stock["content"]["quantity"], stock["state"]) == ("960", "registered")
    assert "Stock" in site.run("Nordrand", "risk", "facts")
    dated = STOCK | {"quantity": 961, "as_of": "2026-01-01"}
    said = told(site.run("Nordrand", "risk", "import", book(site, "third.xlsx", {"stock": [dated]}), "--json"))
    assert said["new"][0]["content"]["corrects"].startswith("0x"), "an earlier date would else not hold"


def test_what_cannot_be_used_is_said_with_its_place_and_nothing_is_signed(site: Site) -> None:
    wrong = book(site, "wrong.xlsx", {"stock": [STOCK | {"quantity": "=1+1"}], "site": [OWN_SITE | {"name": "Other"}]})
    said = site.run("Nordrand", "risk", "import", wrong, expect=1)
    assert "sheet Stock, row 6, column In stock: is a formula" in said
    stated = told(site.run("Nordrand", "risk", "facts", "--json"))["facts"]
    assert all(one["content"].get("name") != "Other" for one in stated)


def test_an_export_is_read_by_a_mapping(site: Site) -> None:
    path = site.file("export.csv", "Werk;Material;Frei;Text", f"{SITE};{PART};1.920;x")
    command: list[str | Path] = ["risk", "import", path, "--kind", "stock", "--set", "uom=pcs", "--dry-run"]
    for one in ("Werk=site", "Material=part", "Frei=quantity"):
        command += ["--column", one]
    assert "could be 1920 or 1.920" in site.run("Nordrand", *command, expect=1)
    assert "1 new" in site.run("Nordrand", *command, "--decimal", ",")


def test_a_request_is_passed_on_answered_and_nobody_learns_what_is_not_theirs(site: Site) -> None:
    asked = told(
        site.run("Havelmark", "risk", "ask", "Nordrand", "--want", f"stock@{PART}", "--purpose", "typhoon drill",
                 "--number", "RQ-1", "--json")
    )  # fmt: skip
    (below,) = open_requests(site, "Nordrand")
    assert (below["purpose"], below["state"]) == ("typhoon drill", "open")
    forwarded = told(
        site.run("Nordrand", "risk", "forward", "RQ-1", "--to", "Lariana", "--purpose", "our own planning", "--part",
                 "RT-1 (lariana.example.org)", "--number", "N-77", "--json")
    )  # fmt: skip
    assert forwarded["upward"].startswith("0x")
    assert [one["state"] for one in open_requests(site, "Havelmark")] == ["forwarded"]
    (above,) = open_requests(site, "Lariana")
    assert "typhoon" not in str(above)
    assert asked["request"] not in str(above)
    mine = {one["document"]["number"]: one for one in open_requests(site, "Nordrand")}
    assert mine["RQ-1"]["passedOnAs"] == forwarded["upward"]
    assert site.run("Lariana", "risk", "decline", "N-77", "--reason", "not-known", "--text", "ask in May").startswith(
        "0x"
    )
    assert "declined not-known: ask in May" in site.run("Nordrand", "risk", "requests", "N-77")
    stock = book(site, "answer.xlsx", {"stock": [STOCK | {"quantity": 44}]})
    answered = told(site.run("Nordrand", "risk", "answer", "RQ-1", "--file", stock, "--json"))
    assert len(answered["facts"]) == 1
    again = told(site.run("Nordrand", "risk", "answer", "RQ-1", "--fact", answered["facts"][0], "--json"))
    assert again["refused"] == {}
    assert "answered 1 facts" in site.run("Havelmark", "risk", "requests", "RQ-1")
    assert "nothing is open" in site.run("Havelmark", "risk", "requests")


def test_what_is_filled_in_on_the_page_is_signed_by_the_gateway(site: Site) -> None:
    url = (site.folder / "url").read_text()
    said = told(
        site.run("Havelmark", "risk", "ask", "Lariana", "--want", f"stock@{PART}@{OTHER_SITE}", "--purpose", "drill",
                 "--number", "RQ-2", "--link", "--json")
    )  # fmt: skip
    with opened(site.folder / "Lariana", None, None) as (_, client, _folder):
        client.set_pin("480913")
    with httpx.Client(base_url=url, follow_redirects=True) as page:
        path = "/q/" + said["page"].rpartition("/")[2]

        def form(text: str) -> str:
            return text.partition('name="form" value="')[2].partition('"')[0]

        opened_page = page.post(f"{path}/pin", data={"form": form(page.get(path).text), "pin": "480913"})
        fields = {"answer": "answer", "f0.0.quantity": "12", "f0.0.uom": "pcs", "stage": "sign"}
        sent = page.post(f"{path}/answer", data={"form": form(opened_page.text), **fields})
        assert "is with the gateway of Lariana" in sent.text
    assert "nothing waits" in site.run("Lariana", "custody", "todo")
    site.run("Lariana", "gateway", "run", "--once", "--sign-requests")
    (one,) = told(site.run("Havelmark", "risk", "requests", "RQ-2", "--json"))["requests"]
    assert one["state"] == "answered"
    own = told(site.run("Lariana", "risk", "facts", "--json"))["facts"]
    assert [(fact["kind"], fact["content"].get("quantity")) for fact in own] == [("site", None), ("stock", "12")]


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (["ask", "Nobody", "--want", "stock", "--purpose", "x"], "nobody in the directory"),
        (["ask", "Lariana", "--want", "mood", "--purpose", "x"], "no kind of fact"),
        (["ask", "Lariana", "--want", "stock@xyz", "--purpose", "x"], "expected a part"),
        (["ask", "Lariana", "--want", "stock", "--purpose", "x", "--until", "2020-01-01"], "is over"),
        (["ask", "Lariana", "--want", "stock", "--purpose", "x", "--level", "secret"], "none of withheld"),
        (["answer", "RQ-9", "--fact", "0x" + "11" * 32], "no such request"),
        (["answer", "RQ-9"], "name either a --file"),
        (["forward", "RQ-9", "--to", "Lariana", "--purpose", "x"], "no such request"),
        (["decline", "RQ-9", "--reason", "other"], "no such request"),
        (["import", "missing.xlsx"], "missing.xlsx"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(site: Site, command: list[str], what: str) -> None:
    site.capture.readouterr()
    assert run(["risk", *command, "--home", str(site.folder / "Nordrand")]) in (1, 2)
    assert what in site.capture.readouterr().err

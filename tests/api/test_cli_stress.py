"""Stress tests and exposure on the command line: tables for people, exact JSON and CSV, and the result made again."""

import csv
import json
from pathlib import Path

from tests.api import test_cli_impact
from tests.api.test_cli_impact import AXLE, CASTING, PLANT, WORKS, Site

folder, site = test_cli_impact.folder, test_cli_impact.site
"""The service and its two members, one of whom casts for the other."""


def written(place: Path, name: str, value: object) -> Path:
    path = place / name
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_a_test_is_shown_kept_and_made_again_offline(site: Site, tmp_path: Path) -> None:
    scenarios = written(
        tmp_path,
        "set.json",
        {
            "name": "Us",
            "version": "1",
            "scenarios": [
                {"name": "Works out", "sites": [WORKS], "chanceAYear": "0.1",
                 "days": {"least": 5, "likely": 10, "most": 20}},
            ],
        },
    )  # fmt: skip
    stock = written(
        tmp_path,
        "stock.json",
        {"kind": "stock", "name": "Two days of castings", "site": PLANT, "part": CASTING, "days": 2,
         "cost": {"onceCents": 100, "centsAYear": 50, "currency": "EUR", "years": 2}},
    )  # fmt: skip
    asked = ("risk", "stress", "--set", scenarios, "--mitigation", stock, "--every", "site", "--draws", "3")
    said = site.run("Nordrand", *asked)
    assert "Works out" in said
    assert "20 Axle" in said, "two days of ten castings are two days of ten axles"
    assert "Two days of castings" in said
    result, rows = tmp_path / "result.json", tmp_path / "rows.csv"
    site.run("Nordrand", *asked, "--out", result, "--csv", rows)
    assert "to the byte" in site.bare("risk", "stress", "--recompute", result)
    kept = json.loads(result.read_bytes())
    assert kept["result"] == json.loads(site.run("Nordrand", *asked, "--json"))["result"]
    with rows.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    before, after = (next(one for one in table if one["mitigation"] == name and one["of"] == "set")
                     for name in ("", "Two days of castings"))  # fmt: skip
    assert before["part"] == AXLE
    assert int(before["lost"]) - int(after["lost"]) == 20
    assert int(before["revenueCents"]) == 12_345 * int(before["lost"])
    kept["result"]["scenarios"][0]["name"] = "Another"
    forged = written(tmp_path, "forged.json", kept)
    assert "does not follow" in site.bare("risk", "stress", "--recompute", forged, expect=1)
    del kept["view"]
    without = written(tmp_path, "without.json", kept)
    assert "has no view" in site.bare("risk", "stress", "--recompute", without, expect=2)


def test_a_result_is_stated_and_made_again_from_the_view_that_the_reader_downloads(site: Site, tmp_path: Path) -> None:
    asked = ("risk", "stress", "--every", "site", "--draws", "2", "--seed", "11")
    kept, report, view = tmp_path / "kept.json", tmp_path / "report.json", tmp_path / "view.json"
    digest = site.run("Nordrand", *asked, "--report", "--out", kept).strip()
    assert digest in site.run("Nordrand", *asked, "--report"), "asked again it is the same"
    assert "to the byte" in site.bare("risk", "stress", "--recompute", kept)
    shown = site.run("Nordrand", "risk", "stress-report", digest)
    assert "Works" in shown
    site.run("Nordrand", "risk", "stress-report", digest, "--out", report)
    site.run("Nordrand", "risk", "view", "--like", report, "--out", view)
    assert "to the byte" in site.bare("risk", "recompute", view, report)
    html = tmp_path / "worst.html"
    site.run("Nordrand", "risk", "stress-report", digest, "--html", html, "--language", "de")
    assert '<html lang="de">' in html.read_text(encoding="utf-8")
    said = json.loads(report.read_bytes())
    assert said["question"]["seed"] == 11
    listed = json.loads(site.run("Nordrand", "risk", "stress-reports", "--json"))
    assert [one["digest"] for one in listed] == [digest]
    forged = written(tmp_path, "forged.json", said | {"cleared": said["cleared"] + 1})
    assert "/cleared" in site.bare("risk", "recompute", view, forged, expect=1)
    shortened = written(tmp_path, "shortened.json", said | {"question": None})
    assert "name the file" in site.bare("risk", "recompute", view, shortened, expect=2)
    assert "/question" in site.bare("risk", "recompute", view, shortened, "--asked", kept, expect=1)


def test_exposure_is_shown_and_kept(site: Site, tmp_path: Path) -> None:
    said = site.run("Nordrand", "risk", "exposure")
    assert "Works" in said
    assert "from Works alone" in said
    assert "0 nothing within that time" in " ".join(said.split()), "what each figure means stands below them"
    out = tmp_path / "exposure.json"
    site.run("Nordrand", "risk", "exposure", "--out", out)
    assert json.loads(out.read_bytes()) == json.loads(site.run("Nordrand", "risk", "exposure", "--json"))


def test_the_operator_tests_the_whole_network_at_its_machine(site: Site) -> None:
    told = site.bare("risk", "stress", "--whole", "--every", "site", "--data", site.folder / "network", "--json")
    assert {one["where"]["site"] for one in json.loads(told)["result"]["scenarios"]} == {WORKS, PLANT}


def test_what_cannot_be_asked_is_refused_in_words(site: Site, tmp_path: Path) -> None:
    assert "name scenarios" in site.run("Nordrand", "risk", "stress", expect=1)
    assert "there is no file" in site.run("Nordrand", "risk", "stress", "--set", tmp_path / "none", expect=2)
    bare = written(tmp_path, "bare.json", {"name": "x"})
    assert "has no scenarios" in site.run("Nordrand", "risk", "stress", "--set", bare, expect=2)
    assert "expected one of site" in site.run("Nordrand", "risk", "stress", "--every", "planet", expect=1)
    nothing = written(tmp_path, "nothing.json", {"kind": "hope"})
    said = site.run("Nordrand", "risk", "stress", "--every", "site", "--mitigation", nothing, expect=1)
    assert "expected stock, capacity, supplier or route" in said

"""The drawings of impact reports: nothing on top of something else, the same bytes again, nothing that is not told."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import accumulate, combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.drawing import network, timeline, weeks, world
from api.drawing.canvas import ROLES, Box, Canvas, text_box
from api.drawing.language import ENGLISH, LANGUAGES, Language
from api.drawing.reading import Reading, shape_of
from risk.disruption import Circle
from tests.api.drawing.contents import ALERT, CASES, EACH, FORM, many, typhoon

DRAWINGS: dict[str, Callable[[Reading, float], Canvas | None]] = {
    "weeks": weeks.draw, "timeline": timeline.draw, "network": network.draw, "map": world.draw,
}  # fmt: skip
WIDTHS = (752.0, 358.0)
SVG = "{http://www.w3.org/2000/svg}"


def drawn(content: Any, width: float = 752, language: Language = ENGLISH) -> dict[str, Canvas]:
    found = {name: draw(Reading(content, language), width) for name, draw in DRAWINGS.items()}
    return {name: one for name, one in found.items() if one is not None}


def texts(content: Any) -> list[str]:
    return [label.text for one in drawn(content).values() for label in one.labels]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("case", EACH)
def test_no_text_stands_on_another_or_leaves_the_sheet(case: str, width: float, language: str) -> None:
    for name, canvas in drawn(CASES[case](), width, Language.of(language)).items():
        sheet = Box(-0.5, -0.5, canvas.width + 1, canvas.height + 1)
        for label in canvas.labels:
            assert label.box.within(sheet), f"{name}: {label.text} leaves the sheet"
        for one, other in combinations(canvas.labels, 2):
            # Boxes are as high as the tallest letters; lines of one text may touch by what no letter fills.
            low = Box(other.box.x, other.box.y + 1.5, other.box.width, other.box.height - 3)
            assert not one.box.overlaps(low), f"{name}: {one.text!r} stands on {other.text!r}"


@pytest.mark.parametrize("case", EACH)
def test_a_drawing_is_well_formed_small_and_needs_nothing_else(case: str) -> None:
    for canvas in drawn(CASES[case]()).values():
        text = canvas.svg("What it <shows>")
        root = ET.fromstring(text)
        assert root.find(f"{SVG}title").text == "What it <shows>"  # type: ignore[union-attr]
        assert root.attrib["role"] == "img"
        assert len(text) < 120_000
        names = {one.tag.removeprefix(SVG) for one in root.iter()}
        assert names <= {"svg", "title", "rect", "circle", "line", "path", "text"}
        for one in root.iter():
            assert not {name for name in one.attrib if "href" in name or name.startswith("on") or name == "style"}
            assert "url(" not in " ".join(one.attrib.values())
            assert one.tag.endswith(("svg", "title")) or one.attrib["class"] in ROLES


def test_the_same_report_is_drawn_in_the_same_bytes() -> None:
    first, again = ({name: one.svg("") for name, one in drawn(many()).items()} for _ in range(2))
    assert first == again


def test_havelmark_sees_its_plants_its_supplier_and_two_steps_without_names() -> None:
    said = [label.text for label in drawn(typhoon())["network"].labels]
    assert {"tier 3, East Asia", "cyclone", "from Tue 13 Oct", "tier 2", "bottleneck: e-axle"} <= set(said)
    assert "stops Wed 2 Dec" in said  # Nordrand
    assert said.count("stops Tue 8 Dec") == said.count("yours") == 2


def test_weeks_have_their_numbers_and_the_week_that_is_closed_has_none() -> None:
    said = [label.text for label in drawn(typhoon())["weeks"].labels]
    assert said[::3] == ["W50", "W51", "W52", "W53", "W1"]
    assert said[2::3] == ["3,840", "4,800", "2,880", "0", "3,840"]
    assert said[-2] == "from 4 Jan 2027"


def test_the_timeline_says_how_long_stocks_last_and_when_what_was_hit_is_back() -> None:
    canvas = drawn(typhoon("lariana"))["timeline"]
    said = [label.text for label in canvas.labels]
    assert "back Tue 24 Nov (Tue 10 Nov – Tue 15 Dec)" in said
    assert "Mon 23 Nov – Mon 4 Jan 2027, 24 working days" in said
    assert {"today, Mon 12 Oct", "onset, Tue 13 Oct", "closed anyway", "Dec", "Jan 2027", "W50"} <= set(said)
    bars = re.findall(r'<rect class="bar-(\w+)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', canvas.svg(""))
    stock = next(float(x) + float(wide) for kind, x, wide in bars if kind == "stock" and float(wide) > 15)
    assert any(kind == "bad" and abs(float(x) - stock) < 0.2 for kind, x, _ in bars), "it stops when stock is used up"


def test_a_plant_that_makes_less_is_not_said_to_stand_still() -> None:
    said = texts(CASES["not over"]())
    assert any("makes less" in one for one in said)
    assert any("not back" in one for one in said)


def test_the_map_goes_over_the_date_line() -> None:
    canvas = drawn(many())["map"]
    dots = [float(x) for x in re.findall(r'<circle class="site[^"]*" cx="([-\d.]+)"[^>]* r="[56]"', canvas.svg(""))]
    assert len(dots) == 42
    assert all(0 <= one <= canvas.width for one in dots)
    # From 150° E to 140° W it is a quarter of the earth, not three.
    assert max(dots) - min(dots) > canvas.width / 4


@pytest.mark.parametrize(
    ("circle", "is_drawn"),
    [
        (Circle(29.9, 121.6, 180), True), (Circle(0, 179.9, 900), True), (Circle(88, 10, 600), True),
        (Circle(-89, 0, 3000), True), (Circle(0, 0, 20_100), True), (Circle(10, 10, 0), False),
    ],
)  # fmt: skip
def test_circles_are_drawn_wherever_they_are(circle: Circle, is_drawn: bool) -> None:
    content = typhoon()
    area = f"circle {circle.latitude},{circle.longitude} {circle.radius_km}"
    assert shape_of(area) == circle
    content["origins"][0]["sources"] = [{"areas": [area], "name": "x"}]
    for width in WIDTHS:
        canvas = world.draw(Reading(content), width)
        assert canvas is not None
        found = re.search(r'<path class="area" d="([^"]+)"', canvas.svg(""))
        assert found is not None
        numbers = list(map(float, re.findall(r"-?[\d.]+", found.group(1))))
        assert (max(numbers[::2]) - min(numbers[::2]) > 1) is is_drawn
        assert all(-0.1 <= one <= width + 0.1 for one in numbers[::2])


@pytest.mark.parametrize("area", ["", "circle", "circle 1,2", "circle 1,2 x", "circle 99,2 5", "polygon 1,2 3,4 1,2",
                                  "polygon 1,2 3,4 5,6 7,8", "region East Asia", "circle 1,2 5 6"])  # fmt: skip
def test_what_is_no_shape_is_a_place_by_its_name(area: str) -> None:
    assert shape_of(area) is None


@pytest.mark.parametrize("level", ["impact-only", "region-and-cause", "tier"])
def test_what_may_not_be_named_has_no_name_and_no_place_on_the_map(level: str) -> None:
    said = " ".join(texts(typhoon(level=level)))
    assert not [one for one in ("Yongjiang", "Lariana", "magnet", "rotor", FORM.name) if one in said]
    dots = re.findall(r'<circle class="site[^>]* r="[56]"', drawn(typhoon(level=level))["map"].svg(""))
    assert len(dots) == 3


def test_below_the_tier_the_line_from_what_was_hit_is_dotted() -> None:
    assert "edge-masked" in drawn(typhoon(level="impact-only"))["network"].svg("")
    assert "edge-masked" not in drawn(typhoon(level="tier"))["network"].svg("")
    assert "not shown" in texts(typhoon(level="impact-only"))


def test_where_nothing_happens_nothing_is_drawn() -> None:
    assert "network" not in drawn(typhoon("vltava"))
    assert drawn(typhoon(level="withheld")).keys() <= {"map"}
    assert ALERT.areas[0] not in texts(typhoon(level="withheld"))


def test_what_does_not_fit_is_cut_and_said_when_pointed_at() -> None:
    canvas = Canvas(100)
    canvas.text(0, 20, "Donaudampfschifffahrtsgesellschaft", most=80)
    assert canvas.labels[0].text.endswith("…")
    assert canvas.labels[0].box.width <= 80
    assert "<title>Donaudampfschifffahrtsgesellschaft</title>" in canvas.svg("")
    assert text_box(50, 0, "abc", 10, anchor="middle").x < 50


def test_the_outline_of_the_world_is_small_whole_and_has_its_note() -> None:
    files = {one.name: one for one in Path(world.__file__).parent.iterdir()}
    assert sum(files[name].stat().st_size for name in ("land.txt", "borders.txt")) < 100_000
    assert "public domain" in files["LAND.md"].read_text(encoding="utf-8")
    for name in ("land.txt", "borders.txt"):
        for line in files[name].read_text(encoding="ascii").splitlines():
            numbers = list(map(int, line.split()))
            assert len(numbers) % 2 == 0
            across, up = accumulate(numbers[::2]), list(accumulate(numbers[1::2]))
            assert all(-380 * 20 <= one <= 380 * 20 for one in across)
            assert all(-90 * 20 <= one <= 90 * 20 for one in up)


@settings(max_examples=20, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60), st.sampled_from(WIDTHS))
def test_any_name_can_be_drawn(name: str, width: float) -> None:
    content = many(3)
    for names in content["names"].values():
        names.update(dict.fromkeys(names, name))
    content["origins"][0]["cause"] = name
    for canvas in drawn(content, width).values():
        ET.fromstring(canvas.svg(name))
        for one, other in combinations(canvas.labels, 2):
            low = Box(other.box.x, other.box.y + 1.5, other.box.width, other.box.height - 3)
            assert not one.box.overlaps(low), f"{one.text!r} stands on {other.text!r}"

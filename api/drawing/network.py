"""The network drawn, from what was hit to the reader's own sites; who may not be named has no name here."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import pairwise

from api.drawing.canvas import Box, Canvas, text_width, wrapped
from api.drawing.reading import Origin, Reading, Step

MAX_COLUMNS = 6
_BEND = 0.5
_TITLE, _NOTE = 13, 11.5


@dataclass(frozen=True, slots=True)
class _Node:
    """A card: a site, a step without a name, or several of them together."""

    key: str
    step: Step
    notes: tuple[tuple[str, str], ...] = ()
    ribbon: tuple[str, ...] = ()
    is_hit: bool = False

    @property
    def role(self) -> str:
        if self.step.is_own:
            return "card-own"
        masked = "" if self.step.is_named else "-masked"
        return f"card{masked}{'-hit' if self.is_hit else ''}" if self.is_hit or masked else "card"


@dataclass(frozen=True, slots=True)
class _Graph:
    """Cards in columns, from what was hit on the left, and what leads from one to the other."""

    columns: tuple[tuple[_Node, ...], ...]
    edges: tuple[tuple[str, str], ...]


def draw(reading: Reading, width: float) -> Canvas | None:
    """The network of all paths to what stops of the reader's; None where nothing stops. Narrow sheets run downwards."""
    if not reading.stops:
        return None
    is_wide = width >= 560
    graph = _graph(reading, most=7 if is_wide else 4)
    return _across(graph, width) if is_wide else _down(graph, width)


def _graph(reading: Reading, most: int) -> _Graph:
    rank: dict[str, int] = {}
    steps: dict[str, Step] = {}
    edges: dict[tuple[str, str], None] = {}
    for stop in reading.stops:
        path = _shortened(reading, stop.path)
        for place, step in enumerate(path):
            rank[_key(step)] = max(rank.get(_key(step), 0), len(path) - 1 - place)
            steps[_key(step)] = step
        for here, there in pairwise(path):
            if _key(here) != _key(there):
                edges[_key(here), _key(there)] = None
    notes, ribbons = _notes(reading)
    hits = {_key(one.step): one for one in reading.origins}
    starts = {_key(stop.path[0]) for stop in reading.stops if stop.path}
    nodes = {
        key: _Node(
            key,
            step,
            (*_own_notes(reading, step), *_hit_notes(reading, hits.get(key)), *notes.get(key, ())),
            ribbons.get(key, ()),
            key in hits or key in starts,
        )
        for key, step in steps.items()
    }
    # A step leads to one further on, whatever other paths say of it.
    for _ in nodes:
        for one, other in edges:
            if other not in hits and rank[one] <= rank[other]:
                rank[one] = min(rank[other] + 1, MAX_COLUMNS - 1)
    columns: dict[int, list[_Node]] = defaultdict(list)
    first = _first_stops(reading)
    for key, node in nodes.items():
        columns[rank[key]].append(node)
    merged: dict[str, str] = {}
    drawn = []
    for place in sorted(columns, reverse=True):
        ordered = sorted(columns[place], key=lambda one: (first.get(one.key, date.max), one.key))
        shown, rest = (ordered, []) if len(ordered) <= most else (ordered[: most - 1], ordered[most - 1 :])
        if rest:
            key = f"more {place}"
            merged |= {one.key: key for one in rest}
            shown.append(_more(reading, key, rest, first))
        drawn.append(tuple(shown))
    kept = dict.fromkeys((merged.get(here, here), merged.get(there, there)) for here, there in edges)
    return _Graph(tuple(drawn), tuple(one for one in kept if one[0] != one[1]))


def _shortened(reading: Reading, path: Sequence[Step]) -> Sequence[Step]:
    """A path of at most as many steps as there are columns; the table has the whole one."""
    if len(path) <= MAX_COLUMNS:
        return path
    left_out = len(path) - MAX_COLUMNS + 1
    title = reading.language.text("network.between", count=str(left_out))
    between = Step(title=title, region=title)
    return [*path[:2], between, *path[2 + left_out :]]


def _key(step: Step) -> str:
    return f"site {step.site}" if step.is_named else f"tier {step.tier} {step.region}"


def _notes(reading: Reading) -> tuple[Mapping[str, Sequence[tuple[str, str]]], Mapping[str, tuple[str, ...]]]:
    """What cards say of stops, and what the card before a stop is the bottleneck for: in full, and in short."""
    text, day_text = reading.language.text, partial(_held, reading)
    notes: dict[str, list[tuple[str, str]]] = defaultdict(list)
    ribbons: dict[str, tuple[str, ...]] = {}
    for one in (*reading.suppliers, *reading.stops):
        begins = text("network.stops" if one.is_whole else "network.less", day=day_text(one.first))
        key = _key(reading.step(one.site))
        if not notes[key]:
            notes[key].append((begins, "bad"))
            if one.is_over:
                notes[key].append((text("network.until", day=day_text(one.last)), "quiet"))
            else:
                notes[key].append((text("network.open"), "quiet"))
        if one.because_of is not None and len(one.path) > 1:
            full = text("network.bottleneckOf", part=reading.name(one.because_of))
            ribbons.setdefault(_key(one.path[-2]), (full, text("network.bottleneck")))
    return notes, ribbons


def _held(reading: Reading, day: date) -> str:
    """A day that stays on one line."""
    return reading.day_text(day).replace(" ", "\u00a0")


def _own_notes(reading: Reading, step: Step) -> list[tuple[str, str]]:
    return [(reading.language.text("network.yours"), "act")] if step.is_own else []


def _hit_notes(reading: Reading, origin: Origin | None) -> list[tuple[str, str]]:
    if origin is None:
        return []
    text = reading.language.text
    notes = [(text("network.closed") if origin.way is not None else origin.cause or text("network.hit"), "bad")]
    if origin.onset is not None:
        notes.append((text("network.from", day=_held(reading, origin.onset)), "bad"))
    return notes


def _first_stops(reading: Reading) -> dict[str, date]:
    first: dict[str, date] = {}
    for one in (*reading.suppliers, *reading.stops):
        key = _key(reading.step(one.site))
        first[key] = min(one.first, first.get(key, date.max))
    return first


def _more(reading: Reading, key: str, rest: Sequence[_Node], first: Mapping[str, date]) -> _Node:
    days = [first[one.key] for one in rest if one.key in first]
    text = reading.language.text
    note = ((text("network.from", day=_held(reading, min(days))), "bad"),) if days else ()
    are_own = all(one.step.is_own for one in rest)
    step = Step(key, text("network.moreYours" if are_own else "network.more", count=str(len(rest))), is_own=are_own)
    return _Node(key, step, note)


def _lines(node: _Node, width: float) -> list[tuple[str, str, float, bool]]:
    """What a card says: (text, role, size, bold)."""
    lines: list[tuple[str, str, float, bool]] = [
        (text, "ink", _TITLE, True) for text in wrapped(node.step.title, width, _TITLE, lines=3, bold=True)
    ]
    if node.step.note:
        lines += [(text, "quiet", _NOTE, False) for text in wrapped(node.step.note, width, _NOTE, lines=2)]
    for note, role in node.notes:
        lines += [
            (text, role, _NOTE, role != "quiet") for text in wrapped(note, width, _NOTE, lines=2, bold=role != "quiet")
        ]
    return lines


def _height(node: _Node, width: float) -> float:
    ribbon = 20 if node.ribbon else 0
    return 16 + sum(size * 1.35 for _, _, size, _ in _lines(node, width - 20)) + ribbon


def _card(canvas: Canvas, node: _Node, box: Box) -> None:
    canvas.rectangle(box, node.role, radius=6)
    line = box.y + 8
    for text, role, size, bold in _lines(node, box.width - 20):
        line += size * 1.35
        canvas.text(box.x + 10, line - size * 0.35, text, role, size=size, bold=bold, most=box.width - 18)
    if node.ribbon:
        ribbon = Box(box.x + 6, box.y + box.height - 25, box.width - 12, 19)
        canvas.rectangle(ribbon, "ribbon", radius=3)
        full, short = node.ribbon
        text = full if text_width(full, 11, bold=True) <= ribbon.width - 10 else short
        canvas.text(ribbon.x + 5, ribbon.y + 13.5, text, "fair", size=11, bold=True, most=ribbon.width - 8)


def _across(graph: _Graph, width: float) -> Canvas:
    """Columns from left to right."""
    canvas = Canvas(width)
    count = len(graph.columns)
    gap = 54.0 if count <= 4 else 36.0
    wide = min((width - 4 - gap * (count - 1)) / count, 200)
    if count > 1:
        gap = min((width - 4 - wide * count) / (count - 1), 110)
    start = (width - wide * count - gap * (count - 1)) / 2
    heights = [sum(_height(one, wide) + 14 for one in column) - 14 for column in graph.columns]
    canvas.height = max(heights) + 4
    boxes: dict[str, Box] = {}
    for place, column in enumerate(graph.columns):
        y = 2 + (canvas.height - 4 - heights[place]) / 2
        for node in column:
            boxes[node.key] = Box(start + place * (wide + gap), y, wide, _height(node, wide))
            y += boxes[node.key].height + 14
    for here, there, role in _drawn_edges(graph):
        a, b = boxes[here], boxes[there]
        x1, y1, x2, y2 = a.x + a.width, a.y + a.height / 2, b.x - 7, b.y + b.height / 2
        if x2 <= x1:  # two of one column
            continue
        bend = (x2 - x1) * _BEND
        canvas.path(["M", x1, y1, "C", x1 + bend, y1, x2 - bend, y2, x2, y2], role)
        canvas.polygon([(x2 + 7, y2), (x2 - 3, y2 - 5), (x2 - 3, y2 + 5)], "tip")
    for column in graph.columns:
        for node in column:
            _card(canvas, node, boxes[node.key])
    return canvas


def _down(graph: _Graph, width: float) -> Canvas:
    """Tiers from top to bottom, two cards side by side."""
    canvas = Canvas(width)
    boxes: dict[str, Box] = {}
    y, gap = 2.0, 38.0
    for column in graph.columns:
        a_row = 1 if len(column) == 1 else 2
        wide = (width - 4 - 14 * (a_row - 1)) / a_row
        for at in range(0, len(column), a_row):
            row = column[at : at + a_row]
            high = max(_height(one, wide) for one in row)
            for place, node in enumerate(row):
                boxes[node.key] = Box(2 + place * (wide + 14), y, wide, high)
            y += high + 14
        y += gap - 14
    canvas.height = y - gap + 2
    for here, there, role in _drawn_edges(graph):
        a, b = boxes[here], boxes[there]
        x1, y1, x2, y2 = a.x + a.width / 2, a.y + a.height, b.x + b.width / 2, b.y - 7
        if y2 <= y1:
            continue
        bend = (y2 - y1) * _BEND
        canvas.path(["M", x1, y1, "C", x1, y1 + bend, x2, y2 - bend, x2, y2], role)
        canvas.polygon([(x2, y2 + 7), (x2 - 5, y2 - 3), (x2 + 5, y2 - 3)], "tip")
    for column in graph.columns:
        for node in column:
            _card(canvas, node, boxes[node.key])
    return canvas


def _drawn_edges(graph: _Graph) -> list[tuple[str, str, str]]:
    """Where a path may hide steps (at what is shown below the level `tier`), the line is dotted."""
    nodes = {one.key: one for column in graph.columns for one in column}
    return [
        (here, there, "edge-bad" if _shows_next(nodes[here].step) else "edge-masked") for here, there in graph.edges
    ]


def _shows_next(step: Step) -> bool:
    return step.is_named or step.tier is not None

"""The map: what a disruption covers, and sites that may be shown by position, on as much of the world as matters.

Degrees are drawn straight, as long as they are wide in the middle of the sheet. The sheet goes round the earth
wherever that is shortest, also over the date line. The outline of the land is in `land.txt` (see `LAND.md`).
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from api.drawing.canvas import Box, Canvas, fitted, text_box, text_width
from api.drawing.reading import Position, Reading
from risk.disruption import EARTH_KM, Circle, Polygon

_UNIT = 20
_SIZE = 12
_SMALL = 11.5
_LEAST_DEGREES = 16.0
_LONGEST = 190.0
_LEGEND = {"site-own": "map.own", "site": "map.other", "site-hit": "map.hit", "area": "map.area"}
MAX_CROWD = 12
"""Sites that may have their names further off, with a line to them; of more, only those are named that have room."""

Point = tuple[float, float]
"""Longitude and latitude in degrees, or x and y."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """The part of the world that is drawn: from `west` (degrees) on, and how degrees become places on the sheet."""

    west: float
    north: float
    across: float
    up: float
    scale_x: float
    scale_y: float

    def place(self, longitude: float, latitude: float) -> Point:
        return (longitude - self.west) * self.scale_x, (self.north - latitude) * self.scale_y


def draw(reading: Reading, width: float) -> Canvas | None:
    """The map; None where nothing may be shown by position."""
    shapes = [_outline(one) for one in reading.areas]
    points = [(one.longitude, one.latitude) for one in reading.positions]
    if not points and not shapes:
        return None
    frame = _frame(points, shapes, width, tallest=0.42 if width >= 560 else 0.85)
    canvas = Canvas(width)
    canvas.height = frame.up * frame.scale_y
    sheet = Box(0, 0, width, canvas.height)
    canvas.rectangle(sheet, "sea")
    _land(canvas, frame, sheet)
    for shape in shapes:
        for ring in _copies(shape, frame):
            inside = _thinned(_clipped([frame.place(*point) for point in ring], sheet))
            if inside:
                canvas.polygon(inside, "area")
    _sites(canvas, reading, frame, sheet)
    _legend(canvas, reading)
    return canvas


def _legend(canvas: Canvas, reading: Reading) -> None:
    """What the colours mean, as far as they are there, below the sheet."""
    hit = {one.step.site for one in reading.origins}
    roles = {_role(one, reading, hit) for one in reading.positions} | ({"area"} if reading.areas else set())
    x, line = 6.0, canvas.height + 17
    for role in ("site-own", "site", "site-hit", "area"):
        if role not in roles:
            continue
        text = reading.language.text(_LEGEND[role])
        if x + 11 + text_width(text, _SMALL) > canvas.width:
            x, line = 6.0, line + 17
        canvas.circle(x, line - 4, 4, role)
        said = canvas.text(x + 11, line, text, "quiet", size=_SMALL)
        x = said.x + said.width + 22
    canvas.height = line + 5


def _role(one: Position, reading: Reading, hit: Collection[str | None]) -> str:
    return "site-hit" if one.site in hit else "site-own" if one.site in reading.own_sites else "site"


def _sites(canvas: Canvas, reading: Reading, frame: _Frame, sheet: Box) -> None:
    hit = {one.step.site for one in reading.origins}
    stopped = {one.site: one for one in (*reading.suppliers, *reading.stops)}

    def weight(one: Position) -> tuple[int, str]:
        return (0 if one.site in hit else 1 if one.site in stopped else 2, one.site)

    placed: list[tuple[Position, Point]] = []
    for one in sorted(reading.positions, key=weight):
        x, y = frame.place(frame.west + (one.longitude - frame.west) % 360, one.latitude)
        placed.append((one, (x, y)))
    dots = [Box(x - 6, y - 6, 12, 12) for _, (x, y) in placed]
    taken = list(dots)
    for number, (one, (x, y)) in enumerate(placed):
        name = fitted(reading.name(one.site), _LONGEST, _SIZE, bold=True)
        others = taken[:number] + taken[number + 1 :]
        free = _free_place(name, x, y, others, sheet, far=len(placed) <= MAX_CROWD)
        if free is not None:
            left, line, anchor = free
            box = text_box(left, line, name, _SIZE, anchor=anchor, bold=True)
            if abs(line - y) > 14:
                near = min(max(x, box.x), box.x + box.width)
                canvas.line(x, y, near, box.y if line > y else box.y + box.height, "leader")
            canvas.rectangle(Box(box.x - 2, box.y, box.width + 4, box.height), "halo", radius=2)
            role = "bad" if one.site in hit else "ink"
            taken.append(canvas.text(left, line, name, role, size=_SIZE, anchor=anchor, bold=True))
    for one, (x, y) in reversed(placed):
        canvas.circle(x, y, 6 if one.site in hit else 5, _role(one, reading, hit))


def _free_place(
    name: str, x: float, y: float, taken: Sequence[Box], sheet: Box, *, far: bool
) -> tuple[float, float, str] | None:
    """Where `name` can stand near a dot without touching anything; None where there is no room."""
    for away in (0, 16, 32, 48) if far else (0,):
        for left, line, anchor in (
            (x + 9, y + 4 - away, "start"),
            (x + 9, y + 4 + away, "start"),
            (x - 9, y + 4 - away, "end"),
            (x - 9, y + 4 + away, "end"),
            (x, y - 11 - away, "middle"),
            (x, y + 20 + away, "middle"),
        ):
            box = text_box(left, line, name, _SIZE, anchor=anchor, bold=True)
            around = Box(box.x - 3, box.y - 1, box.width + 6, box.height + 2)
            if around.within(sheet) and not any(around.overlaps(one) for one in taken):
                return left, line, anchor
    return None


def _frame(points: Sequence[Point], shapes: Sequence[Sequence[Point]], width: float, *, tallest: float) -> _Frame:
    """The least part of the world that holds everything, with something around it."""
    west, across = _narrowest([lon for lon, _ in points], [_span(one) for one in shapes])
    lats = [lat for _, lat in points] + [lat for one in shapes for _, lat in one]
    south, north = min(lats), max(lats)
    around = max(across * 0.1, (north - south) * 0.15, 2.0)
    across, west = across + 2 * around, west - around
    south, north = max(south - around, -90.0), min(north + around, 90.0)
    if across < _LEAST_DEGREES:
        west, across = west - (_LEAST_DEGREES - across) / 2, _LEAST_DEGREES
    if across > 360:
        west, across = west + (across - 360) / 2, 360.0
    # The sheet is neither a strip nor a tower.
    squeeze = max(math.cos(math.radians((south + north) / 2)), 0.3)
    up = north - south
    least, most = across * squeeze * 0.4, across * squeeze * tallest
    if up < least:
        south, north = south - (least - up) / 2, north + (least - up) / 2
    elif up > most:
        wider = min(up / tallest / squeeze, 360.0)
        west, across = west - (wider - across) / 2, wider
    if north > 90:
        south, north = max(south - (north - 90), -90.0), 90.0
    if south < -90:
        south, north = -90.0, min(north + (-90 - south), 90.0)
    scale = width / across
    return _Frame(west, north, across, north - south, scale, scale / squeeze)


def _narrowest(longitudes: Iterable[float], spans: Iterable[Point]) -> Point:
    """The shortest stretch (its west end, its length) that holds all; it may cross the date line."""
    stretches = sorted([(lon % 360, 0.0) for lon in longitudes] + [(west % 360, length) for west, length in spans])
    best = (stretches[0][0], 360.0)
    for start, _ in stretches:
        end = max((west - start) % 360 + length for west, length in stretches)
        if end < best[1]:
            best = (start, end)
    west = best[0]
    return (west - 360 if west > 180 else west, best[1])


def _span(ring: Sequence[Point]) -> Point:
    west, east = min(lon for lon, _ in ring), max(lon for lon, _ in ring)
    return west, min(east - west, 360.0)


def _outline(area: Circle | Polygon) -> list[Point]:
    """A shape as a ring without jumps, of (longitude, latitude)."""
    if isinstance(area, Polygon):
        return _unwrapped([(lon, lat) for lat, lon in area.points])
    angle = area.radius_km / EARTH_KM
    lat, lon = math.radians(area.latitude), math.radians(area.longitude)
    ring = []
    for number in range(72):
        bearing = 2 * math.pi * number / 72
        sine = math.sin(lat) * math.cos(angle) + math.cos(lat) * math.sin(angle) * math.cos(bearing)
        there = math.asin(max(-1.0, min(1.0, sine)))
        turn = math.atan2(
            math.sin(bearing) * math.sin(angle) * math.cos(lat), math.cos(angle) - math.sin(lat) * math.sin(there)
        )
        ring.append((math.degrees(lon + turn), math.degrees(there)))
    ring = _unwrapped(ring)
    pole = math.copysign(90.0, area.latitude)
    if abs(area.latitude) + math.degrees(angle) >= 90:  # it holds the pole: all longitudes up to it
        return [*ring, (ring[0][0] + math.copysign(360, ring[-1][0] - ring[0][0]), ring[0][1]),
                (ring[0][0] + math.copysign(360, ring[-1][0] - ring[0][0]), pole), (ring[0][0], pole)]  # fmt: skip
    return ring


def _unwrapped(ring: Sequence[Point]) -> list[Point]:
    found = [ring[0]]
    for lon, lat in ring[1:]:
        before = found[-1][0]
        found.append((before + (lon - before + 180) % 360 - 180, lat))
    return found


def _land(canvas: Canvas, frame: _Frame, sheet: Box) -> None:
    steps: list[str | float] = []
    for ring in _lines("land.txt"):
        for copy in _copies(ring, frame):
            inside = _clipped([frame.place(*point) for point in copy], sheet)
            inside = _thinned(inside)
            if len(inside) < 3:
                continue
            for at, (x, y) in enumerate(inside):
                steps += ["L" if at else "M", x, y]
            steps.append("Z")
    if steps:
        canvas.path(steps, "land")
    steps = []
    for line in _lines("borders.txt"):
        for copy in _copies(line, frame):
            for stretch in _stretches([frame.place(*point) for point in copy], sheet):
                for at, (x, y) in enumerate(stretch):
                    steps += ["L" if at else "M", x, y]
    if steps:
        canvas.path(steps, "border")


def _stretches(line: Sequence[Point], sheet: Box) -> list[list[Point]]:
    """What of a line lies on the sheet or leads off it."""
    found: list[list[Point]] = []
    for here, there in pairwise(line):
        touches = (
            max(here[0], there[0]) >= sheet.x
            and min(here[0], there[0]) <= sheet.x + sheet.width
            and max(here[1], there[1]) >= sheet.y
            and min(here[1], there[1]) <= sheet.y + sheet.height
        )
        if not touches:
            continue
        if found and found[-1][-1] == here:
            found[-1].append(there)
        else:
            found.append([here, there])
    return [_thinned(one[:-1]) + one[-1:] for one in found]


@cache
def _lines(name: str) -> tuple[tuple[Point, ...], ...]:
    found = []
    for line in (Path(__file__).parent / name).read_text(encoding="ascii").splitlines():
        numbers = list(map(int, line.split()))
        lon = lat = 0
        ring = []
        for across, up in zip(numbers[::2], numbers[1::2], strict=True):
            lon, lat = lon + across, lat + up
            ring.append((lon / _UNIT, lat / _UNIT))
        found.append(tuple(ring))
    return tuple(found)


def _copies(ring: Sequence[Point], frame: _Frame) -> Iterable[list[Point]]:
    """The ring wherever it comes into the frame, once round the earth or twice."""
    west, east = min(lon for lon, _ in ring), max(lon for lon, _ in ring)
    for turn in (-720, -360, 0, 360, 720):
        if west + turn < frame.west + frame.across and east + turn > frame.west:
            yield [(lon + turn, lat) for lon, lat in ring]


def _clipped(ring: Sequence[Point], sheet: Box) -> list[Point]:
    """What of a ring lies on the sheet (Sutherland and Hodgman)."""
    found = list(ring)
    for axis, bound, keeps_more in (
        (0, sheet.x, True),
        (0, sheet.x + sheet.width, False),
        (1, sheet.y, True),
        (1, sheet.y + sheet.height, False),
    ):
        if not found:
            break
        before, found = found, []
        for here, there in pairwise([before[-1], *before]):
            is_in = (there[axis] >= bound) is keeps_more or there[axis] == bound
            was_in = (here[axis] >= bound) is keeps_more or here[axis] == bound
            if is_in is not was_in:
                share = (bound - here[axis]) / (there[axis] - here[axis])
                found.append((here[0] + share * (there[0] - here[0]), here[1] + share * (there[1] - here[1])))
            if is_in:
                found.append(there)
    return found


def _thinned(ring: Sequence[Point]) -> list[Point]:
    """The ring without steps too small to see."""
    found: list[Point] = []
    for x, y in ring:
        if not found or abs(x - found[-1][0]) + abs(y - found[-1][1]) >= 0.7:
            found.append((x, y))
    return found

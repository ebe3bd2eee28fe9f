"""The timeline of stops: how long stocks last, when sites stand still and when what was hit is back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from api.drawing.canvas import Box, Canvas, text_width
from api.drawing.reading import Origin, Reading, Standstill

MAX_OWN = 12
MAX_OTHERS = 5
_DAY = timedelta(days=1)
_BAR = 14
_SMALL = 11.5
_LEGEND = ("bar-hit", "bar-stock", "bar-bad", "hatch", "bar-soft")


@dataclass(frozen=True, slots=True)
class _Bar:
    """From the morning of `first` to the evening of `last`."""

    first: date
    last: date
    role: str
    closed: tuple[tuple[date, date], ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    """One line: whose it is, its bars and what it says. `whisker` is the earliest and the latest of something."""

    title: str
    note: str
    bars: tuple[_Bar, ...]
    whisker: tuple[date, date, date] | None = None
    is_bold: bool = False


@dataclass(frozen=True, slots=True)
class _Mark:
    """A day that goes down through all rows."""

    day: date
    text: str
    role: str
    ink: str


def draw(reading: Reading, width: float) -> Canvas | None:
    """The timeline; None where nothing of the reader's stops and nothing that it may name does."""
    text = reading.language.text
    groups = [
        (text("timeline.hit"), _hits(reading)),
        (text("timeline.suppliers"), _stops(reading, reading.suppliers, MAX_OTHERS, "timeline.moreSuppliers")),
        (text("timeline.yours"), _stops(reading, reading.stops, MAX_OWN, "timeline.moreYours")),
        (text("timeline.bounds"), _bounds(reading)),
    ]
    if not reading.stops and not reading.suppliers:
        return None
    return _Timeline(reading, width, [one for one in groups if one[1]]).drawn()


def _hits(reading: Reading) -> list[_Row]:
    return [_hit(reading, one) for one in reading.origins if one.onset is not None][:MAX_OTHERS]


def _hit(reading: Reading, one: Origin) -> _Row:
    assert one.onset is not None
    text, onset = reading.language.text, reading.day_text(one.onset)
    if one.back is None:
        note = text("timeline.backHidden", cause=one.cause or text("timeline.cause"), day=onset)
        return _Row(one.title, note, ())
    early, middle, late = map(reading.day_text, one.back)
    likely = text("timeline.back", likely=middle, early=early, late=late)
    return _Row(one.title, likely, (_Bar(one.onset, max(one.back[1] - _DAY, one.onset), "bar-hit"),), one.back)


def _stops(reading: Reading, stops: Sequence[Standstill], most: int, what: str) -> list[_Row]:
    shown = stops if len(stops) <= most else stops[: most - 1]
    rows = [_stop(reading, one) for one in shown]
    rest = stops[len(shown) :]
    if rest:
        first, last = min(one.first for one in rest), max(one.last for one in rest)
        text, span = reading.language.text, _span(reading, first, last)
        title = text(reading.language.form(what, len(rest)), count=str(len(rest)))
        rows.append(_Row(title, text("timeline.inAll", span=span), (_Bar(first, last, "bar-soft"),)))
    return rows


def _stop(reading: Reading, one: Standstill) -> _Row:
    language = reading.language
    note = _span(reading, one.first, one.last)
    if not one.is_over:
        note = language.text("timeline.open", day=reading.day_text(one.first))
    if one.days:
        note += language.text(language.form("timeline.days", one.days), count=str(one.days))
    elif one.days == 0:
        note += language.text("timeline.less")
    bars = [_Bar(one.first, one.last, "bar-bad" if one.is_whole else "bar-soft", one.closed)]
    if one.because_of is not None and one.first > reading.day:
        bars.insert(0, _Bar(reading.day, one.first - _DAY, "bar-stock"))
    return _Row(f"{reading.name(one.site)}: {reading.name(one.part)}", note, tuple(bars), is_bold=True)


def _bounds(reading: Reading) -> list[_Row]:
    if not reading.stops:
        return []
    rows, text = [], reading.language.text
    for title, bound in ((text("bound.least"), reading.least), (text("bound.most"), reading.most)):
        if bound.first is None or bound.last is None:
            rows.append(_Row(title, text("timeline.nothing"), ()))
        else:
            note = _span(reading, bound.first, bound.last)
            rows.append(_Row(title, note, (_Bar(bound.first, bound.last, "bar-soft"),)))
    return rows


def _span(reading: Reading, first: date, last: date) -> str:
    return f"{reading.day_text(first)} – {reading.day_text(last)}"


class _Timeline:
    """The sheet on its way."""

    def __init__(self, reading: Reading, width: float, groups: Sequence[tuple[str, list[_Row]]]) -> None:
        self.reading = reading
        self.canvas = Canvas(width)
        self.groups = groups
        rows = [row for _, group in groups for row in group]
        days = [reading.day, *(one.onset for one in reading.origins if one.onset is not None)]
        days += [day for row in rows for bar in row.bars for day in (bar.first, bar.last)]
        days += [day for row in rows if row.whisker for day in row.whisker]
        first, last = min(days), max(days)
        self.first = first - timedelta(days=first.weekday())
        self.end = last + timedelta(days=7 - last.weekday())
        self.left = 1.0
        self.room = width - 2

    def x(self, day: date) -> float:
        """The morning of `day`."""
        return self.left + self.room * (day - self.first).days / (self.end - self.first).days

    def drawn(self) -> Canvas:
        canvas = self.canvas
        top = 42.0 + 16 * len(self._marks())
        body = self._rows(top, measure_only=True)
        self._axis(body)
        self._rows(top, measure_only=False)
        canvas.height = self._legend(body + 4)
        return canvas

    def _legend(self, top: float) -> float:
        """What the colours mean, as far as they are there."""
        canvas, x = self.canvas, self.left
        rows = [row for _, group in self.groups for row in group]
        there = {bar.role for row in rows for bar in row.bars}
        there |= {"hatch" for row in rows for bar in row.bars if bar.closed}
        for role in _LEGEND:
            if role not in there:
                continue
            text = self.reading.language.text(f"timeline.legend.{role}")
            wide = 20 + text_width(text, _SMALL)
            if x > self.left and x + wide > canvas.width:
                x, top = self.left, top + 18
            canvas.rectangle(Box(x, top + 2, 14, 10), "bar-bad" if role == "hatch" else role, radius=2)
            if role == "hatch":
                for step in (3.5, 7, 10.5):
                    canvas.line(x + step, top + 3, x + step, top + 11, "hatch")
            canvas.text(x + 20, top + 11.5, text, "quiet", size=_SMALL)
            x += wide + 18
        return top + 18

    def _marks(self) -> list[_Mark]:
        text, day_text = self.reading.language.text, self.reading.day_text
        marks = [_Mark(self.reading.day, text("timeline.today", day=day_text(self.reading.day)), "now", "ink")]
        onsets = sorted({one.onset for one in self.reading.origins if one.onset is not None})
        marks += [_Mark(onset, text("timeline.onset", day=day_text(onset)), "onset", "bad") for onset in onsets]
        return marks[:4]

    def _axis(self, bottom: float) -> None:
        """Months, weeks and the marks, above everything else; ticks go down to `bottom`."""
        canvas, language, top = self.canvas, self.reading.language, 0.0
        month = self.first
        starts = [self.first]
        while (month := _next_month(month)) < self.end:
            starts.append(month)
        for start, end in pairwise([*starts, self.end]):
            name = language.month(start) + (f" {start.year}" if start.month == 1 or start == self.first else "")
            if text_width(name, _SMALL, bold=True) < self.x(end) - self.x(start) - 6:
                canvas.text(self.x(start) + 2, top + 12, name, size=_SMALL, bold=True)
        weeks = (self.end - self.first).days // 7
        a_week = self.room / weeks
        wide = max(text_width(language.week(self.first + timedelta(days=7 * at)), 10.5) for at in range(weeks)) + 5
        step = next(one for one in (1, 2, 4, 8, 16, weeks) if one * a_week >= wide or one >= weeks)
        for number in range(weeks + 1):
            monday = self.first + timedelta(days=7 * number)
            canvas.line(self.x(monday), top + 34, self.x(monday), bottom, "tick")
            if number % step == 0 and number < weeks:
                canvas.text(self.x(monday) + 2, top + 28, language.week(monday), "quiet", size=10.5)
        canvas.line(self.left, top + 34, self.left + self.room, top + 34, "axis")
        # The first day stands lowest, so that no line runs through a text.
        marks = sorted(self._marks(), key=lambda one: one.day, reverse=True)
        for lane, mark in enumerate(marks):
            x, line = self.x(mark.day), top + 48.0 + 16 * lane
            canvas.line(x, top + 34, x, line + 2, mark.role)
            is_left = x + 5 + text_width(mark.text, _SMALL) <= canvas.width
            self._words(line, mark.text, "", mark.ink, x + 4 if is_left else x - 6 - text_width(mark.text, _SMALL))

    def _rows(self, top: float, *, measure_only: bool) -> float:
        """Draw the rows from `top` on, or only see how far they go."""
        for title, rows in self.groups:
            if not measure_only:
                self._words(top + 14, title, "", "quiet")
            top += 20
            for row in rows:
                if not measure_only:
                    self._row(top, row)
                top += self._text_height(row) + _BAR + (7 if row.bars or row.whisker else -_BAR + 4)
            top += 4
        return top - 4

    def _text_height(self, row: _Row) -> float:
        return 18 if self._is_one_line(row) else 34

    def _is_one_line(self, row: _Row) -> bool:
        title = text_width(row.title, 12, bold=row.is_bold)
        return title + 14 + text_width(row.note, _SMALL) <= self.canvas.width

    def _row(self, top: float, row: _Row) -> None:
        canvas = self.canvas
        ink = "ink"
        if self._is_one_line(row):
            self._words(top + 13, row.title, row.note, ink, is_bold=row.is_bold)
        else:
            self._words(top + 13, row.title, "", ink, is_bold=row.is_bold)
            self._words(top + 29, "", row.note, ink)
        y = top + self._text_height(row)
        if row.bars or row.whisker:
            canvas.rectangle(Box(self.left, y, self.room, _BAR), "track", radius=2)
        for bar in row.bars:
            x, end = self.x(bar.first), self.x(bar.last + _DAY)
            canvas.rectangle(Box(x, y, max(end - x, 2), _BAR), bar.role, radius=2)
            for start, stop in bar.closed:
                place, right = self.x(start) + 1, self.x(stop + _DAY) - 1
                while place <= right:
                    canvas.line(place, y + 1, place, y + _BAR - 1, "hatch")
                    place += 3.5
        if row.bars or row.whisker:
            for mark in self._marks():
                canvas.line(self.x(mark.day), y - 2, self.x(mark.day), y + _BAR + 2, mark.role)
        if row.whisker is not None:
            early, likely, late = (self.x(day) for day in row.whisker)
            middle = y + _BAR / 2
            canvas.line(early, middle, late, middle, "whisker")
            for x in (early, late):
                canvas.line(x, y + 2, x, y + _BAR - 2, "whisker")
            canvas.circle(likely, middle, 4, "quiet")

    def _words(
        self, line: float, title: str, note: str, ink: str, left: float | None = None, *, is_bold: bool = False
    ) -> None:
        """Words over the ticks, on a ground of their own."""
        canvas, x = self.canvas, self.left + 2 if left is None else left
        size = 12 if ink == "ink" and left is None else _SMALL
        for text, role, height, bold in ((title, ink, size, is_bold), (note, "quiet", _SMALL, False)):
            if not text:
                continue
            most = canvas.width - x - 2
            wide = min(text_width(text, height, bold=bold), most)
            canvas.rectangle(Box(x - 2, line - height, wide + 4, height * 1.3), "halo")
            x += canvas.text(x, line, text, role, size=height, bold=bold, most=most).width + 12


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)

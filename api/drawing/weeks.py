"""What is lost week by week: a bar and its number for each week."""

from datetime import date
from fractions import Fraction

from api.drawing.canvas import Box, Canvas, text_width
from api.drawing.reading import Reading

_ROW = 19
_SIZE = 12.5
MAX_PARTS = 4
"""Parts that are drawn, those of which most is lost; the table has them all."""


def draw(reading: Reading, width: float) -> Canvas | None:
    """The bars; None where nothing is lost in any week."""
    if not any(amount for series in reading.weeks.values() for _, amount in series):
        return None
    canvas, top = Canvas(width), 0.0
    for part, series in list(reading.weeks.items())[:MAX_PARTS]:
        if len(reading.weeks) > 1:
            canvas.text(0, top + 16, reading.name(part), bold=True, size=13, most=width)
            top += 28
        top = _series(canvas, top, series, reading) + 14
    canvas.height = top - 14
    return canvas


def _series(canvas: Canvas, top: float, series: list[tuple[date, Fraction]], reading: Reading) -> float:
    language = reading.language
    most = max(amount for _, amount in series)
    names = [_week_name(week, reading) for week, _ in series]
    number = max(text_width(language.week(week), _SIZE, bold=True) for week, _ in series) + 8
    left = number + max(text_width(name, _SIZE) for name in names) + 10
    right = max(text_width(language.rough(amount), _SIZE, bold=True) for _, amount in series) + 10
    room = max(canvas.width - left - right, 20)
    for (week, amount), name in zip(series, names, strict=True):
        line = top + _ROW / 2 + _SIZE * 0.36
        canvas.text(0, line, language.week(week), size=_SIZE, bold=True)
        canvas.text(number, line, name, "quiet", size=_SIZE)
        long = float(amount / most) * room
        canvas.rectangle(Box(left, top + 3, room, _ROW - 6), "track", radius=2)
        if amount:
            canvas.rectangle(Box(left, top + 3, max(long, 2), _ROW - 6), "bar-bad", radius=2)
        canvas.text(
            left + room + right, line, language.rough(amount), "ink" if amount else "quiet", size=_SIZE, anchor="end",
            bold=bool(amount),
        )  # fmt: skip
        top += _ROW
    return top


def _week_name(monday: date, reading: Reading) -> str:
    language = reading.language
    text = language.text("weeks.from", day=str(monday.day), month=language.month(monday))
    return text if monday.year == reading.day.year else f"{text} {monday.year}"

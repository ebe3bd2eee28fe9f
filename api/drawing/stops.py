"""What is lost in which week, and when what stops."""

from datetime import date
from fractions import Fraction

from api.drawing import weeks
from api.drawing.blocks import Block, Picture, Sentence, Table, Words
from api.drawing.reading import Standstill
from api.drawing.voice import Voice

_MOST_COLUMNS = 6
_NAMED = 12


def by_week(voice: Voice) -> list[Block]:
    """What is lost in each week, of each part and at each plant."""
    reading, language, text = voice.reading, voice.language, voice.text
    if not reading.weeks:
        return []
    parts = list(reading.weeks)
    names = [reading.name(part) for part in parts]
    mondays = sorted({week for series in reading.weeks.values() for week, _ in series})
    amounts = {(part, week): amount for part, series in reading.weeks.items() for week, amount in series}
    alt = "; ".join(
        f"{reading.name(part)}: "
        + ", ".join(f"{language.week(week)} {language.amount(amount)}" for week, amount in series)
        for part, series in list(reading.weeks.items())[: weeks.MAX_PARTS]
    )
    blocks: list[Block] = [Picture("weeks", text("weeks.alt", amounts=alt))]
    if len(parts) > weeks.MAX_PARTS:
        blocks.append(Sentence(voice.say("weeks.drawn", drawn=str(weeks.MAX_PARTS), parts=str(len(parts))), "quiet"))
    rows: list[tuple[Words, ...]]
    if len(names) <= _MOST_COLUMNS:
        rows = [
            (
                (language.week(week),),
                (voice.day(week),),
                *((voice.number(amounts.get((part, week), Fraction(0))),) for part in parts),
            )
            for week in mondays
        ]
        lost = ((voice.number(reading.lost.get(part, Fraction(0))),) for part in parts)
        rows.append(((text("weeks.all"),), ("",), *lost))
        head, numbers = (text("week"), text("from"), *names), range(2, 2 + len(parts))
        blocks.append(Table.of(text("weeks.numbers"), head, rows, numbers, is_closed=True))
    else:
        rows = [
            ((language.week(week),), (voice.day(week),), (reading.name(part),), (voice.number(amounts[part, week]),))
            for part in parts
            for week in mondays
            if amounts.get((part, week))
        ]
        head = (text("week"), text("from"), text("part"), text("lost"))
        blocks.append(Table.of(text("weeks.numbers"), head, rows, [3], is_closed=True))
    if len(reading.stops) > 1:
        rows = [
            ((reading.name(one.site),), (reading.name(one.part),), (language.week(week),), (voice.number(amount),))
            for one in reading.stops
            for week, amount in one.by_week
        ]
        head = (text("plant"), text("part"), text("week"), text("lost"))
        blocks.append(Table.of(text("weeks.plants"), head, rows, [3], is_closed=True))
    return blocks


def by_day(voice: Voice) -> list[Block]:
    """When the reader's plants stop, and those of others that it may name."""
    reading, text = voice.reading, voice.text
    if not reading.stops and not reading.suppliers:
        return [Sentence(voice.say("stops.none"))]
    first = [
        text("stops.alt.one", site=reading.name(one.site), day=reading.day_text(one.first))
        for one in reading.stops[:_NAMED]
    ]
    said = reading.listed(first, _NAMED) or text("stops.alt.suppliers")
    blocks: list[Block] = [Picture("timeline", text("stops.alt", stops=said))]
    if reading.stops:
        has_money = any(one.revenue_cents is not None for one in reading.stops)
        columns = ("plant", "makes", "stops", "until", "days", "lost", *(["revenue"] if has_money else []), "waits")
        rows = [_stop(voice, one, has_money=has_money) for one in reading.stops]
        head = [text(one) for one in columns]
        numbers = [4, 5, 6] if has_money else [4, 5]
        blocks += voice.opened(Table.of(text("stops.yours"), head, rows, numbers), on_paper=True)
        blocks += _closed(voice)
    if reading.suppliers:
        rows = [
            ((reading.name(one.site),), (reading.name(one.part),), (voice.day(one.first),), _until(voice, one))
            for one in reading.suppliers
        ]
        head = [text(one) for one in ("site", "makes", "stops", "until")]
        blocks += voice.opened(Table.of(text("stops.suppliers"), head, rows), on_paper=True)
    return blocks


def _stop(voice: Voice, one: Standstill, *, has_money: bool) -> tuple[Words, ...]:
    reading = voice.reading
    row: list[Words] = [
        (reading.name(one.site),),
        (reading.name(one.part),),
        (voice.day(one.first),),
        _until(voice, one),
        (voice.number(one.days or 0),),
        (voice.number(one.shortfall or Fraction(0)),),
    ]
    if has_money:
        row.append((voice.text("unknown"),) if one.revenue_cents is None else (voice.money(one.revenue_cents),))
    row.append((reading.name(one.because_of),) if one.because_of is not None else voice.say("stops.itself"))
    return tuple(row)


def _until(voice: Voice, one: Standstill) -> Words:
    return (voice.day(one.last),) if one.is_over else voice.say("stops.open", day=voice.day(one.last))


def _closed(voice: Voice) -> list[Block]:
    """Days on which plants would not have worked anyway."""
    plants: dict[tuple[date, date], list[str]] = {}
    for one in voice.reading.stops:
        for stretch in one.closed:
            plants.setdefault(stretch, []).append(voice.reading.name(one.site))
    words: Words = ()
    for (first, last), names in plants.items():
        name = "closed.day" if first == last else "closed.days"
        named = voice.reading.listed(names, 4)
        words += (("; ",) if words else ()) + voice.say(
            name, plants=named, first=voice.day(first), last=voice.day(last)
        )
    return [Sentence(voice.say("closed", stretches=words), "quiet")] if words else []

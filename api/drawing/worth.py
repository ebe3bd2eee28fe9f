"""What stock is worth: one more day of it, the best plan that could be made, and what one bucket would say."""

from fractions import Fraction

from api.drawing.blocks import Block, Sentence, Table, Words
from api.drawing.voice import Voice


def one_more_day(voice: Voice) -> list[Block]:
    """What one more day's use would have saved, where something is scarce."""
    rows: list[tuple[Words, ...]] = [
        (
            (voice.reading.name(one["site"]),),
            voice.losses({one["part"]: Fraction(one["amount"])}, None),
            voice.losses({part: Fraction(amount) for part, amount in one["saves"].items()}, None)
            or voice.say("nothing"),
        )
        for one in voice.content["oneMoreDay"]
    ]
    head = (voice.text("at"), voice.text("day.use"), voice.text("day.saved"))
    return [*voice.opened(Table.of("", head, rows))] if rows else []


def best_plan(voice: Voice) -> list[Block]:
    """The least that anybody could lose, and what the reader's own stocks are worth there."""
    plan, reading = voice.content["bestPlan"], voice.reading
    if plan is None:
        why = "plan.currencies" if reading.currencies else "plan.uncomputed"
        return [Sentence(voice.say(why), "quiet")] if reading.stops else []
    lost = voice.losses({part: Fraction(amount) for part, amount in plan["lost"].items()}, None)
    blocks: list[Block] = [Sentence(voice.say("plan.least", lost=lost) if lost else voice.say("plan.nothing"))]
    rows: list[tuple[Words, ...]] = [
        ((reading.name(one["site"]),), (reading.name(one["part"]),), (voice.money(one["centsForADay"]),))
        for one in plan["stockWorth"]
    ]
    if rows:
        head = (voice.text("at"), voice.text("of"), voice.text("plan.worth"))
        blocks += voice.opened(Table.of(voice.text("plan.stocks"), head, rows, [2]))
    return blocks


def one_bucket(voice: Voice) -> list[Block]:
    """The classic program beside the one that knows days."""
    said, reading = voice.content["oneBucket"], voice.reading
    if said is None or not reading.stops:
        return []
    first, last = min(one.first for one in reading.stops), max(one.last for one in reading.stops)
    survive, recover = Fraction(said["timeToSurviveDays"]), Fraction(said["timeToRecoverDays"])

    def days(count: Fraction) -> Words:
        return voice.say(voice.language.form("bucket.days", count), count=voice.number(count))

    rows: list[tuple[Words, ...]] = [
        (voice.say("bucket.looks"), voice.say("bucket.sum"), voice.say("bucket.each")),
        (voice.say("bucket.holds"), days(survive), voice.say("bucket.before", day=voice.day(first))),
        (voice.say("bucket.outage"), days(recover), voice.say("bucket.felt", day=voice.day(last))),
        (
            voice.say("bucket.says"),
            voice.say("bucket.safe" if said["isSafe"] else "bucket.unsafe"),
            voice.losses(reading.lost, reading.revenue_cents) or voice.say("nothing"),
        ),
    ]
    return [Table.of("", ("", voice.text("bucket.one"), voice.text("bucket.time")), rows)]

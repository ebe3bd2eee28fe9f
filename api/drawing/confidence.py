"""How sure a report is: the chance that it happens, both ends of the range, and how much is known."""

from collections.abc import Mapping
from fractions import Fraction

from api.drawing.blocks import Block, Facts, Table, Words, sentences
from api.drawing.reading import Bound
from api.drawing.voice import Voice, flat

_TOLD = frozenset({"coverage", "needs", "openRequests", "probability", "stockDoubt"})


def told(voice: Voice) -> list[Block]:
    """Why the figures are as sure as they are."""
    said, reading = voice.content["confidence"], voice.reading
    pairs: list[tuple[str, Words]] = []
    if reading.status is not None:
        pairs.append((voice.text("sure.happens"), voice.say("sure.bySources", chance=chance(voice))))
    elif int(said["needs"]) and Fraction(said["probability"]["most"]):
        pairs.append((voice.text("sure.something"), voice.say("sure.byCoverage", chance=chance(voice))))
    if reading.stops or reading.most.first is not None:
        pairs.append((voice.text("bound.least"), _bound(voice, reading.least)))
        pairs.append((voice.text("bound.most"), _bound(voice, reading.most)))
    pairs.append((voice.text("sure.known"), _known(voice)))
    requests = int(said["openRequests"])
    name = voice.language.form("sure.requests", requests) if requests else "sure.noRequests"
    pairs.append((voice.text("sure.open"), voice.say(name, count=voice.number(requests))))
    doubt = Fraction(said["stockDoubt"])
    fresh = voice.say("sure.doubt", doubt=voice.percent(doubt)) if doubt else voice.say("sure.fresh")
    pairs.append((voice.text("sure.age"), fresh))
    pairs += flat({key: one for key, one in said.items() if key not in _TOLD}, voice.text("unknown"))
    return [Facts(tuple(pairs)), *_by_part(voice)]


def brief(voice: Voice) -> Words:
    """The chance, and how much is known, in one line."""
    said = voice.content["confidence"]
    known = voice.say("brief.coverage", share=voice.percent(said["coverage"])) if int(said["needs"]) else ()
    if voice.reading.status is None:
        return known or voice.say("sure.noNeeds")
    return sentences(voice.say("brief.chance", chance=chance(voice)), known)


def chance(voice: Voice) -> Words:
    """How likely it is, as a share or between two."""
    said = voice.content["confidence"]["probability"]
    if Fraction(said["least"]) == Fraction(said["most"]):
        return (voice.percent(said["least"]),)
    return voice.say("between", least=voice.percent(said["least"]), most=voice.percent(said["most"]))


def _known(voice: Voice) -> Words:
    said = voice.content["confidence"]
    needs, coverage = int(said["needs"]), Fraction(said["coverage"])
    if not needs:
        return voice.say("sure.noNeeds")
    counted = voice.say(voice.language.form("sure.needs", needs), count=voice.number(needs))
    name = "sure.coverage" if coverage == 1 else "sure.part"
    return voice.say(name, share=voice.percent(coverage), counted=counted)


def _bound(voice: Voice, bound: Bound) -> Words:
    if bound.first is None or bound.last is None:
        return voice.say("bound.nothing")
    lost = voice.losses(bound.lost, bound.revenue_cents) or voice.say("bound.noLoss")
    return voice.say("bound", first=voice.day(bound.first), last=voice.day(bound.last), lost=lost)


def _by_part(voice: Voice) -> list[Block]:
    """What is lost of each part by every way of counting, where sentences would not name them all."""
    reading, said = voice.reading, voice.content["alternatives"]
    ways: list[tuple[str, Mapping[str, Fraction]]] = [
        ("parts.likely", reading.lost),
        ("bound.least", reading.least.lost),
        ("bound.most", reading.most.lost),
    ]
    for name, after in (
        ("parts.after", said["after"]),
        ("parts.afterSuppliers", said["afterSuppliers"]),
        ("parts.afterRoutes", said["afterRoutes"]),
        ("parts.plan", voice.content["bestPlan"]),
    ):
        if after is not None:
            ways.append((name, {part: Fraction(amount) for part, amount in after["lost"].items()}))
    parts = sorted({part for _, lost in ways for part in lost})
    if len(parts) < 2:
        return []
    rows: list[tuple[Words, ...]] = [
        ((reading.name(part),), *((voice.number(lost.get(part, Fraction(0))),) for _, lost in ways)) for part in parts
    ]
    head = (voice.text("part"), *(voice.text(name) for name, _ in ways))
    return [Table.of(voice.text("parts"), head, rows, range(1, len(head)), is_closed=True)]

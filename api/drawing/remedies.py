"""What could stand in: suppliers and ways, what they cost and leave, and what was agreed for this."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from api.drawing.blocks import Block, Facts, Figure, Sentence, Table, Words, sentences
from api.drawing.voice import Voice, flat, short_member
from api.texts import plain

_TOLD = frozenset(
    {"after", "afterRoutes", "afterSuppliers", "refused", "refusedRoutes", "routes", "rule", "suggestions", "weights"}
)
_BRIEF = 2
_SUGGESTION = ("supplier", "suggest.for", "covers", "from", "costsAWeek", "shared", "alone", "score")


def told(voice: Voice) -> list[Block]:
    """All alternatives, those that were left out among them."""
    said, reading, text = voice.content["alternatives"], voice.reading, voice.text
    blocks: list[Block] = []
    if said["after"] is not None and reading.stops:
        blocks.append(Sentence(together(voice), "good"))
        if said["afterSuppliers"] is not None and said["afterRoutes"] is not None:
            alone = [(key, said[key]) for key in ("afterSuppliers", "afterRoutes")]
            words = [voice.say(_name(f"stand.{key}", after), left=voice.left(after)) for key, after in alone]
            blocks.append(Sentence(sentences(*words)))
    if said["suggestions"] or reading.stops:
        rule = plain(said["rule"], 60)
        means = voice.language.texts.get(f"rule.{rule}") or text("rule")
        blocks.append(Sentence(voice.say("stand.rule", means=means, rule=rule)))
    blocks += _suggestions(voice, said)
    blocks += _routes(voice, said["routes"])
    refused: list[tuple[Words, ...]] = [
        ((reading.name(one["supplier"]),), (voice.what_for(one),), _reason(voice, one)) for one in said["refused"]
    ]
    for one in said["refusedRoutes"]:
        way = Figure(text("stand.otherWay", supplier=reading.name(one["supplier"])), plain(one["key"], 400))
        refused.append(((way,), (voice.what_for(one),), _reason(voice, one)))
    if refused:
        head = (text("stand.what"), text("suggest.for"), text("because"))
        blocks.append(Table.of(text("stand.refused"), head, refused))
    rest = flat({key: one for key, one in said.items() if key not in _TOLD}, text("unknown"))
    return [*blocks, Facts(tuple(rest))] if rest else blocks


def brief(voice: Voice) -> Words:
    """What helps most, in a sentence or two; nothing where nothing is needed."""
    said, reading = voice.content["alternatives"], voice.reading
    if not reading.stops:
        return ()
    found = [together(voice) if said["after"] is not None else voice.say("brief.nobody")]
    best = [one for one in said["suggestions"] if one["rank"] == 1][:_BRIEF]
    found += [
        voice.say(
            "brief.supplier",
            supplier=reading.name(one["supplier"]),
            target=voice.what_for(one),
            amount=voice.number(one["aWeek"]),
            day=voice.day(one["firstArrival"]),
        )
        for one in best
    ]
    found += [
        voice.say(
            "brief.way",
            way=_way(voice, one),
            target=voice.what_for(one),
            amount=voice.number(one["amount"]),
            day=voice.day(one["firstArrival"]),
        )
        for one in said["routes"][: _BRIEF - len(best)]
    ]
    for plan in (voice.content.get("plans") or ())[:1]:
        yours = "; ".join(plain(one["what"], 120) for one in plan["yours"][:_BRIEF])
        name = "brief.plan" if yours else "brief.planOfOthers"
        found.append(voice.say(name, plan=plain(plan["name"], 120), what=yours))
    return sentences(*found)


def together(voice: Voice) -> Words:
    """What all alternatives together leave of what is lost."""
    after, reading = voice.content["alternatives"]["after"], voice.reading
    now = voice.losses(reading.lost, reading.revenue_cents)
    return voice.say(_name("stand.after", after), left=voice.left(after), now=now)


def _name(name: str, after: Mapping[str, Any] | None) -> str:
    is_nothing = after is not None and not any(Fraction(amount) for amount in after["lost"].values())
    return f"{name}.{'nothing' if is_nothing else 'some'}"


def _reason(voice: Voice, one: Mapping[str, Any]) -> Words:
    return (voice.language.known("reason", one["reason"], 200),)


def _suggestions(voice: Voice, said: Mapping[str, Any]) -> list[Block]:
    reading, text = voice.reading, voice.text
    weights: Words = ()
    for name, weight in sorted((said.get("weights") or {}).items(), key=lambda one: (-Fraction(one[1]), one[0])):
        criterion = voice.language.known("criterion", name, 200)
        weights += (*(("; ",) if weights else ()), f"{criterion} (", voice.number(weight), ")")
    ranked = voice.say("suggest.ranked", weights=weights) if weights else ()
    if not said["suggestions"]:
        nothing = "suggest.none"
        if said["after"] is not None and not said["routes"]:
            nothing = "suggest.further"
        blocks: list[Block] = [Sentence(voice.say(nothing if reading.stops else "suggest.unneeded"))]
        return [*blocks, Sentence(ranked, "quiet")] if ranked else blocks
    targets = list(dict.fromkeys(voice.what_for(one) for one in said["suggestions"]))
    rows, columns = [_suggestion(voice, one) for one in said["suggestions"]], list(_SUGGESTION)
    if len(targets) == 1:
        columns.remove("suggest.for")
        rows = [(row[0], *row[2:]) for row in rows]
    stays = [
        voice.say("suggest.stays", target=voice.what_for(one), share=voice.percent(one["stability"]))
        for one in said["suggestions"]
        if one["rank"] == 1
    ]
    title = text("suggest.one", target=targets[0]) if len(targets) == 1 else text("suggest.many")
    numbers = [at for at, name in enumerate(columns) if name in ("costsAWeek", "score")]
    table = Table.of(title, [text(one) for one in columns], rows, numbers)
    return [table, Sentence(sentences(ranked, voice.say("suggest.scores"), *stays), "quiet")]


def _suggestion(voice: Voice, one: Mapping[str, Any]) -> tuple[Words, ...]:
    return (
        voice.say("suggest.ranked.as", rank=str(one["rank"]), supplier=voice.reading.name(one["supplier"])),
        (voice.what_for(one),),
        voice.say("suggest.covers", share=voice.percent(one["covers"]), amount=voice.number(one["aWeek"])),
        (voice.day(one["firstArrival"]),),
        (voice.money(one["extraCentsAWeek"]),),
        ("; ".join(voice.place(each) for each in one["shared"]) or voice.text("suggest.nothingShared"),),
        voice.left(one["alone"]),
        (voice.number(one["closeness"]),),
    )


def _routes(voice: Voice, routes: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Other ways for what usually comes by another."""
    rows: list[tuple[Words, ...]] = [
        (
            (f"{voice.what_for(one)}: ", _way(voice, one)),
            voice.say("ways.times", departs=voice.day(one["firstDeparture"]), arrives=voice.day(one["firstArrival"]),
                      last=voice.day(one["lastArrival"])),
            voice.say("ways.amounts", amount=voice.number(one["amount"]), loads=voice.number(one["loads"]),
                      week=voice.number(one["aWeek"]), share=voice.percent(one["covers"])),
            (voice.money(one["extraCents"]),),
            voice.left(one["alone"]),
        )
        for one in routes
    ]  # fmt: skip
    head = [voice.text(one) for one in ("ways.way", "ways.when", "ways.brings", "costsInAll", "alone")]
    return [Table.of(voice.text("ways"), head, rows, [3])] if rows else []


def _way(voice: Voice, one: Mapping[str, Any]) -> Figure:
    """A route by what is stated of it: how, from where to where, through what; by its key where nothing is."""
    key, said, listed = plain(one["key"], 400), one["route"] or {}, voice.reading.listed
    ends = [plain(said.get(end) or "", 60) for end in ("from", "to")]
    steps = [listed([voice.language.coded("mode", mode, 40) for mode in said.get("modes", ())], 9)]
    if all(ends):
        steps.append(voice.text("ways.fromTo", origin=ends[0], destination=ends[1]))
    else:
        steps += ends
    if said.get("lane"):
        steps.append(voice.text("ways.lane", lane=plain(said["lane"], 60)))
    if said.get("passages"):
        passages = listed([voice.language.coded("passage", each, 40) for each in said["passages"]], 9)
        steps.append(voice.text("ways.through", passages=passages))
    return Figure(", ".join(filter(None, steps)) or key, key)


def agreed(voice: Voice) -> list[Block]:
    """What has been agreed to do when this happens."""
    blocks: list[Block] = []
    for one in voice.content.get("plans") or ():
        trigger, last, text = one["trigger"], one["lastExercise"], voice.text
        agreed_on = voice.say(
            "plans.for",
            plan=plain(one["name"], 200),
            kind=voice.language.coded("trigger", trigger["kind"], 40),
            name=voice.reading.name(trigger["name"]),
            until=voice.day(one["until"]),
        )
        tried = voice.say("plans.untried")
        if last is not None:
            tried = voice.say(
                voice.language.form("plans.tried", one["exercises"]),
                count=str(one["exercises"]),
                day=voice.day(last["at"][:10]),
                outcome=plain(last["outcome"], 400),
            )
        rows: list[tuple[Words, ...]] = [
            (
                (text("plans.you"),) if whose == "yours" else (voice.member(each["member"]),),
                (plain(each["what"], 400),),
                voice.say("plans.hours", hours=voice.number(each["withinHours"])),
            )
            for whose in ("yours", "others")
            for each in one[whose]
        ]
        head = (text("plans.who"), text("plans.does"), text("plans.within"))
        blocks += [Sentence(sentences(agreed_on, tried)), Table.of("", head, rows)]
        blocks.append(Sentence(voice.say("plans.key", key=short_member(one["key"])), "quiet"))
    return blocks

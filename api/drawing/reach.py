"""How it reaches the reader: what was hit, by which paths, and where that is."""

from collections.abc import Mapping
from typing import Any

from api.drawing.blocks import Block, Facts, Picture, Sentence, Table, Words, ended, sentences
from api.drawing.reading import Origin, Step
from api.drawing.voice import Voice
from api.texts import plain
from risk.disruption import Circle, Polygon


def paths(voice: Voice) -> list[Block]:
    """The network from what was hit to the reader, and what is said of what was hit."""
    reading, text = voice.reading, voice.text
    blocks: list[Block] = []
    found: dict[tuple[Step, ...], None] = dict.fromkeys(one.path for one in reading.stops)
    if found:
        drawn = [" → ".join(step.title for step in path) for path in found]
        blocks.append(Picture("network", text("paths.alt", paths=reading.listed(drawn, 4))))
    blocks += [Sentence(_origin(voice, one)) for one in reading.origins]
    if any(not step.is_named and step.tier is None for path in found for step in path):
        blocks.append(Sentence(voice.say("paths.dotted"), "quiet"))
    scarce = list(dict.fromkeys(reading.name(one.because_of) for one in reading.stops if one.because_of is not None))
    if scarce:
        blocks.append(Sentence(voice.say("paths.bottleneck", parts=reading.listed(scarce, 6))))
    if found:
        rows: list[tuple[Words, ...]] = [
            (
                (" → ".join(step.title + (f" ({step.note})" if step.note else "") for step in path),),
                (reading.listed([reading.name(one.part) for one in reading.stops if one.path == path], 6),),
            )
            for path in found
        ]
        blocks.append(Table.of(text("paths"), (text("paths.from"), text("stops")), rows, is_closed=True))
    return blocks


def _origin(voice: Voice, one: Origin) -> Words:
    what = one.cause[0].upper() + one.cause[1:] if one.cause else voice.text("hit.what")
    if one.way is not None:
        words = voice.say("hit.way", what=what, way=one.way)
    elif one.step.is_named or one.step.region or one.step.tier is not None:
        words = voice.say("hit.at", what=what, where=one.step.title)
    else:
        words = voice.say("hit.hidden", what=what)
    if one.line is not None:
        words += voice.say("hit.line", line=one.line)
    if one.onset is not None:
        words += voice.say("hit.onset", day=voice.day(one.onset))
    if one.back is None:
        words += voice.say("hit.backHidden")
    else:
        early, likely, late = map(voice.day, one.back)
        words += voice.say("hit.back", likely=likely, early=early, late=late)
    if one.closed:
        words += voice.say("hit.closed", places=voice.reading.listed(one.closed, 9))
    return sentences(ended(words), _detour(voice, one.detour))


def _detour(voice: Voice, said: Mapping[str, Any] | None) -> Words:
    """How much further a ship sails round what is closed."""
    if said is None:
        return ()
    if said["extraKm"] is None:
        return voice.say("detour.none")
    passages = voice.reading.listed([voice.language.coded("passage", one, 40) for one in said["passages"]], 9)
    return voice.say(
        "detour.through" if passages else "detour",
        further=voice.number(said["extraKm"]),
        passages=passages,
        days=voice.number(said["extraDays"]),
        knots=voice.number(said["knots"]),
    )


def places(voice: Voice) -> list[Block]:
    """The map, and in words what cannot be on it."""
    reading, text = voice.reading, voice.text
    names = [reading.name(one.site) for one in reading.positions]
    if not reading.stops and not reading.origins and not names:
        return []
    blocks: list[Block] = []
    if names or reading.areas:
        name = "map.alt.area" if reading.areas else "map.alt"
        blocks.append(Picture("map", text(name, sites=reading.listed(names, 12) or text("map.alt.nobody"))))
    else:
        blocks.append(Sentence(voice.say("map.none"), "quiet"))
    without = sorted({reading.name(site) for site in _sites(voice)} - set(names))
    pairs: list[tuple[str, Words]] = []
    if reading.regions:
        pairs.append((text("map.regions"), ("; ".join(reading.regions),)))
    if without and names:
        pairs.append((text("map.without"), (reading.listed(without, 8),)))
    named = dict.fromkeys(place for one in reading.origins for each in one.sources for place in each.places)
    if named:
        pairs.append((text("map.named"), (reading.listed([voice.place(one) for one in named], 8),)))
    if pairs:
        blocks.append(Facts(tuple(pairs)))
    unstated = text("unstated")
    rows: list[tuple[Words, ...]] = [
        (
            (reading.name(site),),
            (plain(place["region"] or "", 120) or unstated,),
            (plain(place["locode"] or "", 20) or unstated,),
            (unstated,) if place["latitude"] is None else (f"{place['latitude']}, {place['longitude']}",),
        )
        for site, place in voice.content["places"].items()
    ]
    if rows:
        head = (text("site"), text("region"), "UN/LOCODE", text("position"))
        blocks.append(Table.of(text("map.numbers"), head, rows, is_closed=True))
    return blocks


def _sites(voice: Voice) -> set[str]:
    """All that the report names."""
    reading = voice.reading
    sites = {one.site for one in (*reading.stops, *reading.suppliers)}
    sites |= {step.site for one in reading.stops for step in one.path if step.site is not None}
    return sites | {one.step.site for one in reading.origins if one.step.site is not None}


def sources(voice: Voice) -> list[Block]:
    """Who says what happened, and what the network is made of."""
    text, reading = voice.text, voice.reading
    rows: list[tuple[Words, ...]] = [
        (
            (voice.members.get(each.name) or each.name,),
            (one.title,),
            (
                "; ".join(
                    [
                        *(shape_text(voice, shape) for shape in each.shapes),
                        *(voice.place(place) for place in each.places),
                    ]
                )
                or text("unstated"),
            ),
        )
        for one in reading.origins
        for each in one.sources
    ]
    blocks: list[Block] = []
    if rows:
        head = (text("sources.who"), text("sources.of"), text("sources.where"))
        blocks.append(Table.of(text("sources.what"), head, list(dict.fromkeys(rows))))
    elif reading.origins:
        blocks.append(Sentence(voice.say("sources.hidden"), "quiet"))
    origin, size, _ = reading.checkpoint
    log = voice.say("sources.upTo", origin=origin, size=voice.number(size)) if size else (origin,)
    days = voice.number(voice.content["days"])
    blocks.append(Sentence(voice.say("sources.network", log=log, day=voice.day(reading.day), days=days)))
    return blocks


def shape_text(voice: Voice, shape: Circle | Polygon) -> str:
    """A shape in words: `an area of 3 corners from 30° N to 40° N, 175° E to 175° W`."""
    if isinstance(shape, Circle):
        centre = f"{_degrees(voice, shape.latitude, 'n', 's')}, {_degrees(voice, shape.longitude, 'e', 'w')}"
        return voice.text("shape.circle", radius=f"{shape.radius_km:g}", centre=centre)
    latitudes = [lat for lat, _ in shape.points]
    longitudes = [shape.points[0][1]]
    for _, lon in shape.points[1:]:
        longitudes.append(longitudes[-1] + (lon - longitudes[-1] + 180) % 360 - 180)
    north, south = (_degrees(voice, end, "n", "s") for end in (max(latitudes), min(latitudes)))
    ends = (min(longitudes), max(longitudes))
    west, east = (_degrees(voice, (end + 180) % 360 - 180, "e", "w") for end in ends)
    corners = str(len(shape.points) - 1)
    return voice.text("shape.polygon", corners=corners, south=south, north=north, west=west, east=east)


def _degrees(voice: Voice, value: float, plus: str, minus: str) -> str:
    written = f"{round(abs(value), 1):g}".replace(".", voice.text("format.decimal"))
    return f"{written}° {voice.text('compass.' + (plus if value >= 0 else minus))}"

"""What disruptions do to which sites: who may say it, when it stops and is back, and which sources are named."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from risk.alternatives import RouteAlternative
from risk.disruption import (
    Action,
    Area,
    Cause,
    Certainty,
    Circle,
    Disruption,
    Named,
    Place,
    Polygon,
    Report,
    Status,
    gather,
)
from risk.facts import Known
from risk.hits import AREAS_AT_ONCE, ASSUMED_DAYS, CLOSED_DAYS, NAMES_AT_ONCE, Places, hits, strike, told
from risk.network import Calendar, Lead, Line, Site, SupplyLink, SupplyNetwork
from risk.routes import Mode, Passage, ShippingRoute
from risk.sharing import Hit, LinkHit, Source

MAKER, BUYER, OTHER, STRANGER = ("0x" + pair * 32 for pair in ("aa", "bb", "cc", "dd"))
MAGNET, ALLOY = (f"did:web:ningbo.example.org/part/{number}" for number in ("MG-1", "AL-2"))
MONDAY, LANDFALL = date(2026, 10, 12), date(2026, 10, 13)
FEED = "weather.example.org"
BASIN = Circle(29.5, 122.0, 120.0)
SITES = [
    Site("urn:site:ningbo", MAKER, "East Asia", 29.87, 121.54, "CNNGB"),
    Site("urn:site:zhoushan", OTHER, "East Asia", 30.0, 122.2),
    Site("urn:site:lecco", BUYER, "Southern Europe", 45.85, 9.39),
    Site("urn:site:suva", OTHER, "Pacific", -18.1, 178.4),
    Site("urn:bpn:BPNS7588787849VQ", MAKER, "East Asia"),
]
LINES = [
    Line("urn:site:ningbo", MAGNET, Fraction(10), Fraction(10)),
    Line("urn:site:ningbo", ALLOY, Fraction(10), Fraction(10)),
    Line("urn:site:lecco", "rotor", Fraction(10), Fraction(10), {MAGNET: Fraction(1)}),
]
LINK = SupplyLink("ningbo > lecco", "urn:site:ningbo", "urn:site:lecco", MAGNET, Fraction(1), Lead(36))
SEA = ShippingRoute((Mode.SEA,), "CNNGB", "ITGOA", (Passage.MALACCA, Passage.SUEZ), "Far East to Mediterranean")


def known(
    day: date = MONDAY, route: ShippingRoute | None = None, recovery: dict[str, tuple[int, int, int]] | None = None
) -> Known:
    network = SupplyNetwork.of(day, SITES, LINES, [replace(LINK, route=route)], [])
    assert network.inconsistencies == ()
    fields: dict[str, Any] = dict.fromkeys(Known.__dataclass_fields__, ())
    days = {f"urn:site:{name}": days for name, days in (recovery or {}).items()}
    maps: dict[str, Any] = {key: {} for key in ("exceptions", "doubts", "aged", "own_numbers")}
    return Known(**(fields | maps | {"network": network, "recovery_days": days}))


def alert(*areas: Area, **details: Any) -> Report:
    given: dict[str, Any] = {
        "format": "cap-1.2",
        "sender": FEED,
        "identifier": "TC26-1",
        "sent": datetime(2026, 10, 12, 5, tzinfo=UTC),
        "status": Status.EXERCISE,
        "action": Action.ALERT,
        "event": "tropical cyclone",
        "onset": datetime.fromisoformat("2026-10-13T06:00:00+08:00"),
        "ends": datetime.fromisoformat("2026-10-14T18:00:00+08:00"),
        "certainty": Certainty.LIKELY,
        "cause": Cause.NATURAL_DISASTER,
        "areas": areas or (BASIN,),
    }
    return Report(**(given | details))


def word(member: str, *sites: str, **details: Any) -> Report:
    given: dict[str, Any] = {
        "format": "form",
        "sender": member,
        "identifier": "7",
        "event": "we close the plant of Ningbo Magnets",
        "onset": datetime.fromisoformat("2026-10-12T06:00:00+08:00"),
        "ends": datetime.fromisoformat("2026-11-24T06:00:00+08:00"),
        "references": ((FEED, "TC26-1"),),
        "certainty": Certainty.OBSERVED,
    }
    return alert(*(Named(Place.SITE, f"urn:site:{one}") for one in sites), **(given | details))


def joined(*reports: Report) -> Disruption:
    """The disruption of these reports: members speak for themselves, and a buyer passes on what feeds say."""
    (disruption,) = gather(reports, [one.sender if one.sender.startswith("0x") else BUYER for one in reports])
    return disruption


def struck(*reports: Report, by: Known | None = None) -> tuple[Hit | LinkHit, ...]:
    return hits(joined(*reports), by or known())


def sites(found: tuple[Hit | LinkHit, ...]) -> dict[str, Hit]:
    return {one.site.rpartition(":")[2]: one for one in found if isinstance(one, Hit)}


def test_a_warning_and_the_word_of_the_owner_are_one_hit_with_two_sources() -> None:
    found = sites(struck(alert(), word(MAKER, "ningbo"), by=known(recovery={"ningbo": (28, 42, 63)})))
    assert set(found) == {"ningbo", "zhoushan"}
    hit = found["ningbo"]
    assert (hit.start, hit.onset) == (MONDAY, LANDFALL)
    assert hit.back == (date(2026, 11, 10), date(2026, 11, 24), date(2026, 12, 15))
    assert (hit.status, hit.left, hit.is_assumed) == ("Exercise", Fraction(0), False)
    # 0.7 · 0.75 for the warning, 0.7 · 1 for the owner.
    assert hit.probability == 1 - Fraction(19, 40) * Fraction(3, 10)
    own, feed = hit.sources
    assert own == Source(MAKER, ("site urn:site:ningbo",), is_public=False)
    assert feed == Source(FEED, ("circle 29.5,122 120",), is_public=True)
    assert hit.cause == "tropical cyclone"
    assert found["zhoushan"].start == LANDFALL
    assert found["zhoushan"].sources == (feed,)


def test_what_comes_on_three_paths_hits_once() -> None:
    paths = [alert(), alert(sender="gdacs.org", identifier="TC1/1/1", format="gdacs", references=((FEED, "TC26-1"),)),
             word(MAKER, "ningbo")]  # fmt: skip
    for seed in range(5):
        Random(seed).shuffle(paths)
        found = struck(*paths)
        assert [one.site for one in found if isinstance(one, Hit)] == ["urn:site:ningbo", "urn:site:zhoushan"]
        assert {one.name for one in found[0].sources} == {FEED, "gdacs.org", MAKER}


DAYS = tuple(LANDFALL + timedelta(one) for one in ASSUMED_DAYS)


@pytest.mark.parametrize(
    ("name", "reports", "recovery", "back", "is_assumed"),
    [
        ("nobody has said", (alert(),), {}, DAYS, True),
        ("the site says how long", (alert(),), {"ningbo": (7, 14, 21)},
         tuple(LANDFALL + timedelta(one) for one in (7, 14, 21)), False),
        ("the owner says until when", (alert(), word(MAKER, "ningbo")), {}, (date(2026, 11, 24),) * 3, False),
        ("its customer says until when", (alert(), word(BUYER, "ningbo")), {},
         tuple(MONDAY + timedelta(one) for one in ASSUMED_DAYS), True),
        ("sooner than it ever was", (alert(), word(MAKER, "ningbo")), {"ningbo": (60, 70, 80)},
         (date(2026, 11, 24), date(2026, 11, 24), date(2027, 1, 1)), False),
        ("the owner has no end", (word(MAKER, "ningbo", ends=None),), {},
         tuple(MONDAY + timedelta(one) for one in ASSUMED_DAYS), True),
        ("the storm is over sooner", (alert(ends=datetime.fromisoformat("2026-10-13T07:00:00+08:00")),), {}, DAYS,
         True),
    ],
)  # fmt: skip
def test_when_a_site_is_back(
    name: str,
    reports: tuple[Report, ...],
    recovery: dict[str, tuple[int, int, int]],
    back: tuple[date, ...],
    is_assumed: bool,
) -> None:
    hit = sites(struck(*reports, by=known(recovery=recovery)))["ningbo"]
    assert (hit.back, hit.is_assumed) == (back, is_assumed), name
    hit.check()


CANCEL = alert(identifier="TC26-2", action=Action.CANCEL, references=((FEED, "TC26-1"),), areas=(),
               sent=datetime(2026, 10, 12, 9, tzinfo=UTC))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "reports", "hit"),
    [
        ("cancelled", (alert(), CANCEL), []),
        ("cancelled, but the owner stands by it", (alert(), CANCEL, word(MAKER, "ningbo")), ["ningbo"]),
        ("the owner is back", (alert(), word(MAKER, "ningbo", is_over=True)), ["zhoushan"]),
        ("its customer says it is back", (alert(), word(BUYER, "ningbo", is_over=True)), ["ningbo", "zhoushan"]),
        ("a feed no longer lists it", (alert(format="gdacs", is_over=True),), ["ningbo", "zhoushan"]),
        ("a partner calls a region over", (word(OTHER, areas=(Named(Place.REGION, "East Asia"),), is_over=True),), []),
        ("nothing is lost", (word(MAKER, "ningbo", left=1.0),), []),
        ("a region", (alert(Named(Place.REGION, "Southern Europe")),), ["lecco"]),
        ("more demand", (word(MAKER, "ningbo", format="cx-0146", event="demand-increase"),), []),
        ("the number of a site", (word(MAKER, areas=(Named(Place.SITE, "BPNS7588787849VQ"),)),), ["BPNS7588787849VQ"]),
        ("over the date line", (alert(Polygon(((-20.0, 175.0), (-20.0, -170.0), (-10.0, -170.0), (-10.0, 175.0),
                                               (-20.0, 175.0)))),), ["suva"]),
        ("round the pole", (alert(Circle(90.0, 0.0, 13_000.0)),), ["lecco", "ningbo", "suva", "zhoushan"]),
    ],
)  # fmt: skip
def test_what_is_hit(name: str, reports: tuple[Report, ...], hit: list[str]) -> None:
    assert sorted(sites(struck(*reports))) == sorted(hit), name


def lines(found: tuple[Hit | LinkHit, ...]) -> list[tuple[str, str | None]]:
    """Which lines are hit; None: all of the site."""
    return [(one.site.rpartition(":")[2], one.part) for one in found if isinstance(one, Hit)]


ONE, BOTH = [("ningbo", MAGNET)], [("ningbo", ALLOY), ("ningbo", MAGNET)]
NAMED = (MAGNET,)


@pytest.mark.parametrize(
    ("name", "reports", "hit"),
    [
        ("its owner", (word(MAKER, "ningbo", parts=NAMED),), ONE),
        ("its owner, as it calls it", (word(MAKER, "ningbo", parts=("MG-1",)),), ONE),
        ("its owner, all that it makes", (word(MAKER, "ningbo", parts=("MG-1", "AL-2")),), BOTH),
        ("its owner, one of them unknown", (word(MAKER, "ningbo", parts=("MG-1", "XX")),), ONE),
        ("its owner, unknown ones alone", (word(MAKER, "ningbo", parts=("XX",)),), []),
        ("who gets it from there", (word(BUYER, "ningbo", parts=NAMED),), ONE),
        ("who gets another one from there", (word(BUYER, "ningbo", parts=(ALLOY,)),), []),
        ("the owner knows best", (alert(), word(MAKER, "ningbo", parts=NAMED)), [*ONE, ("zhoushan", None)]),
        ("a customer does not", (alert(), word(BUYER, "ningbo", parts=NAMED)), [*BOTH, ("zhoushan", None)]),
        ("that line is back", (alert(), word(MAKER, "ningbo", parts=NAMED, is_over=True)),
         [("ningbo", ALLOY), ("zhoushan", None)]),
        ("materials without a site", (word(MAKER, areas=(), parts=("MG-1",), format="cx-0146",
                                           event="capacity-reduction"),), ONE),
        ("materials of somebody else", (word(BUYER, areas=(), parts=("MG-1",), format="cx-0146",
                                             event="capacity-reduction"),), []),
        ("an area is not narrowed", (word(MAKER, areas=(Circle(30.0, 122.2, 5.0),), parts=NAMED),),
         [("zhoushan", None)]),
    ],
)  # fmt: skip
def test_a_word_that_names_parts_stops_their_lines_and_no_others(
    name: str, reports: tuple[Report, ...], hit: list[tuple[str, str | None]]
) -> None:
    assert lines(struck(*reports)) == hit, name


def test_only_own_numbers_of_a_part_name_it() -> None:
    """Who could name it by the number of another would find out that both are the same."""
    numbers = {
        (MAGNET, MAKER): frozenset({MAGNET, "did:web:ningbo.example.org/part/MG-1B"}),
        (MAGNET, BUYER): frozenset({"did:web:lecco.example.org/part/7"}),
    }
    by = replace(known(), own_numbers=numbers)
    for member, number, hit in (
        (BUYER, "7", ONE), (BUYER, "MG-1", []), (MAKER, "MG-1", ONE), (MAKER, "MG-1B", ONE), (MAKER, "7", []),
        (BUYER, "7 (lecco.example.org)", ONE), (BUYER, "MG-1 (ningbo.example.org)", []),
        (MAKER, "MG-1 (ningbo.example.org)", ONE),
    ):  # fmt: skip
        assert lines(struck(word(member, "ningbo", parts=(number,)), by=by)) == hit, (member, number)


def test_each_line_stops_as_those_say_who_speak_of_it() -> None:
    storm = alert(left=0.5, ends=None)
    own = word(BUYER, "ningbo", parts=NAMED, left=0.25)
    found = {one.part: one for one in struck(storm, own) if isinstance(one, Hit) and one.part is not None}
    assert (found[MAGNET].left, found[ALLOY].left) == (Fraction(1, 4), Fraction(1, 2))
    assert (found[MAGNET].start, found[ALLOY].start) == (MONDAY, LANDFALL)
    assert [one.name for one in found[ALLOY].sources] == [FEED]


def test_what_is_over_before_the_day_hits_nothing() -> None:
    assert struck(alert(), by=known(day=LANDFALL + timedelta(ASSUMED_DAYS[2]))) == ()
    assert struck(alert(), by=known(day=LANDFALL + timedelta(ASSUMED_DAYS[2] - 1)))


@pytest.mark.parametrize(
    ("name", "report", "members", "reason"),
    [
        ("a stranger names a site", word(STRANGER, "ningbo"), [STRANGER], "neither owns nor deals with"),
        ("nobody's site", word(MAKER, "atlantis"), [MAKER], "neither owns nor deals with"),
        ("a part that it does not make", word(MAKER, "ningbo", parts=("XX",)), [MAKER], "none that its issuer makes"),
        ("a part that it does not get", word(BUYER, "ningbo", parts=(ALLOY,)), [BUYER], "none that its issuer gets"),
        ("a part that is not there", word(BUYER, "ningbo", parts=("XX",)), [BUYER], "none that its issuer gets"),
        ("materials that it does not make", word(MAKER, areas=(), parts=("XX",)), [MAKER], "none of its issuer's"),
        ("less demand", word(MAKER, "ningbo", format="cx-0146", event="demand-reduction"), [MAKER], "stops no site"),
    ],
)
def test_what_counts_for_nothing_is_told_to_whoever_said_it(
    name: str, report: Report, members: list[str], reason: str
) -> None:
    assert struck(report) == (), name
    found = told(joined(report), known())
    assert [one.member for one in found] == members
    assert all(reason in one.what and one.report == report.name for one in found)


@pytest.mark.parametrize(
    "area",
    [Circle(0.0, -140.0, 10.0), Circle(-18.1, 178.4, 10.0), Named(Place.REGION, "Asien"), Named(Place.PORT, "NLRTM")],
)
def test_nobody_finds_out_where_others_have_sites_by_naming_areas(area: Area) -> None:
    assert told(joined(alert(area)), known()) == ()


def test_a_report_that_covers_other_sites_alone_makes_nothing_surer_here() -> None:
    elsewhere = alert(Circle(-18.1, 178.4, 10.0), sender="gdacs.org", identifier="9", references=((FEED, "TC26-1"),))
    nowhere = replace(elsewhere, areas=(Circle(0.0, -140.0, 10.0),))
    alone = sites(struck(alert()))["ningbo"].probability
    assert [sites(struck(alert(), one))["ningbo"].probability for one in (elsewhere, nowhere)] == [alone, alone]


def test_whoever_deals_with_a_site_may_name_it_and_does_not_say_when_it_is_back() -> None:
    (hit,) = struck(word(BUYER, "ningbo"))
    assert isinstance(hit, Hit)
    assert hit.back == tuple(MONDAY + timedelta(one) for one in ASSUMED_DAYS)
    assert struck(word(OTHER, "ningbo")) == ()


def test_what_a_stranger_says_makes_nothing_surer() -> None:
    alone = struck(alert())
    assert [one.probability for one in struck(alert(), word(STRANGER, "ningbo"))] == [one.probability for one in alone]


def test_of_one_message_passed_on_by_two_the_word_of_the_one_who_may_speak_counts() -> None:
    report = alert(Named(Place.SITE, "urn:site:ningbo"))
    (disruption,) = gather([report, report], [STRANGER, MAKER])
    assert len(hits(disruption, known())) == 1
    assert [one.member for one in told(disruption, known())] == [STRANGER]


NOWHERE = Circle(0.0, -140.0, 1.0)
FORGED_CANCEL = alert(identifier="TC26-2", action=Action.CANCEL, references=((FEED, "TC26-1"),), areas=(),
                      sent=datetime(2026, 10, 12, 9, tzinfo=UTC))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "stated", "hit", "is_disputed"),
    [
        ("a squatted name", [(alert(NOWHERE), STRANGER), (alert(), BUYER)], True, True),
        ("a forged cancellation", [(alert(), BUYER), (FORGED_CANCEL, STRANGER)], True, True),
        ("one that the other passes on, too", [(alert(), BUYER), (FORGED_CANCEL, STRANGER), (FORGED_CANCEL, BUYER)],
         False, False),
        ("a forged update that it is nowhere",
         [(alert(), BUYER), (replace(FORGED_CANCEL, action=Action.UPDATE, areas=(NOWHERE,)), STRANGER)],
         True, False),
        ("the same in other bytes", [(alert(original="<a/>"), BUYER), (alert(original="<a >"), STRANGER)],
         True, False),
    ],
)  # fmt: skip
def test_nobody_takes_back_or_replaces_what_another_member_passes_on(
    name: str, stated: list[tuple[Report, str]], hit: bool, is_disputed: bool
) -> None:
    (disruption,) = gather((report for report, _ in stated), (member for _, member in stated))
    assert ("ningbo" in sites(hits(disruption, known()))) == hit, name
    assert disruption.is_disputed == is_disputed, name
    members = {one.member for one in told(disruption, known()) if "disputed" in one.what}
    assert (BUYER in members) == is_disputed


def test_one_source_that_several_pass_on_is_no_surer_for_that() -> None:
    (disruption,) = gather([alert(), alert(), alert(certainty=Certainty.POSSIBLE)], [BUYER, MAKER, STRANGER])
    (alone,) = gather([alert()], [BUYER])
    assert [one.probability for one in hits(disruption, known())] == [one.probability for one in hits(alone, known())]


def test_what_a_partner_wrote_and_a_spot_on_the_map_are_for_those_who_see_the_name() -> None:
    spot = alert(Circle(29.87, 121.54, 2.0), event="fire at Ningbo Magnets")
    (hit,) = struck(spot)
    assert [one.is_public for one in hit.sources] == [False]
    assert hit.cause == "natural-disaster"
    (hit,) = struck(word(MAKER, "ningbo", references=()))
    assert (hit.cause, [one.is_public for one in hit.sources]) == ("natural-disaster", [False])


@pytest.mark.parametrize(
    ("place", "name", "after", "hit"),
    [
        (Place.PORT, "CNNGB", 0, True),
        (Place.PORT, "ITGOA", 36, True),
        (Place.LANE, "suez", 24, True),
        (Place.LANE, "Far East to Mediterranean", 0, True),
        (Place.LANE, "panama", 0, False),
    ],
)
def test_a_port_a_lane_or_a_passage_closes_the_links_through_it_and_stops_no_site(
    place: Place, name: str, after: int, hit: bool
) -> None:
    found = struck(alert(Named(place, name)), by=known(route=SEA))
    assert [(one.link, one.after_days) for one in found if isinstance(one, LinkHit)] == [(LINK.key, after)] * hit
    assert not sites(found)
    for one in found:
        one.check()
        assert one.back == (date(2026, 10, 14),) * 3


def test_areas_show_as_many_corners_as_a_map_needs() -> None:
    ring = [(29.0 + n / 1000, 121.0 + (n % 7)) for n in range(500)]
    (hit, _) = struck(alert(Polygon((*ring, ring[0])), BASIN))
    assert isinstance(hit, Hit)
    assert all(len(area.split()) <= 26 for source in hit.sources for area in source.areas)


def test_places_find_what_every_area_covers() -> None:
    random = Random(7)
    around = [
        Site(f"s{n}", MAKER, "", random.uniform(-90, 90), random.uniform(-180, 180), calendar=Calendar())
        for n in range(300)
    ]
    base = known()
    places = Places(replace(base, network=SupplyNetwork.of(MONDAY, around, [], [], [])))
    for _ in range(200):
        latitude, longitude = random.uniform(-90, 90), random.uniform(-180, 180)
        area: Circle | Polygon = Circle(latitude, longitude, random.uniform(0, 9_000))
        if random.random() < 0.5:
            corners = [(random.uniform(-90, 90), random.uniform(-180, 180)) for _ in range(4)]
            area = Polygon((*corners, corners[0]))
        wanted = {
            one.key
            for one in around
            if one.latitude is not None and one.longitude is not None and area.covers(one.latitude, one.longitude)
        }
        assert {places.keys[at] for at in places.covered(area).tolist()} == wanted


def storms(count: int, *areas: Area, **details: Any) -> list[Disruption]:
    """Warnings of their own, one an hour, passed on by one member."""
    hour = datetime(2026, 10, 12, tzinfo=UTC)
    reports = [
        alert(*areas, identifier=str(number), sent=hour + timedelta(hours=number), event=str(number), **details)
        for number in range(count)
    ]
    return gather(reports, [BUYER] * count)


def test_several_disruptions_do_what_each_of_them_does() -> None:
    places = Places(known(route=SEA))
    some = [*storms(3), joined(word(MAKER, "ningbo")), *gather([alert(identifier="x")], [STRANGER])]
    assert strike(some, places) == [hit for one in some for hit in hits(one, places.known)]


def test_nobody_is_heard_at_one_place_more_often_than_that() -> None:
    """The last ones sent count, and the words of others are not crowded out."""
    places = Places(known(route=SEA))
    many = storms(50)
    found = strike([*many, *gather([alert(identifier="x")], [STRANGER])], places)
    for name in ("ningbo", "zhoushan"):
        of = [one.cause for one in found if isinstance(one, Hit) and one.site.endswith(name)]
        assert of == ["47", "48", "49", "tropical cyclone"], name
    assert len([one for one in found if isinstance(one, LinkHit)]) == AREAS_AT_ONCE + 1
    names = gather([word(BUYER, "ningbo", identifier=str(number), references=()) for number in range(50)], [BUYER] * 50)
    assert len(strike(names, places)) == NAMES_AT_ONCE
    ports = storms(50, Named(Place.PORT, "CNNGB"))
    assert len(strike(ports, places)) == AREAS_AT_ONCE
    parts = gather([word(MAKER, "ningbo", identifier=str(number), references=(), parts=(("MG-1", "AL-2")[number % 2],))
                    for number in range(60)], [MAKER] * 60)  # fmt: skip
    assert len(strike(parts, places)) == 2 * NAMES_AT_ONCE


def test_what_others_tie_bears_on_a_place_as_often_as_what_they_do_not() -> None:
    places, some = Places(known(route=SEA)), [one.reports[0] for one in storms(30)]
    tie = alert(Named(Place.REGION, "Pacific"), sender="far", references=tuple(one.name for one in some))
    (found,) = gather([*some, tie], [BUYER] * 30 + [STRANGER])
    assert len(found.words) == len(found.strands) == 31
    for name in ("ningbo", "zhoushan"):
        (tied,) = [one for one in strike([found], places) if isinstance(one, Hit) and one.site.endswith(name)]
        assert tied.cause == "27", "the first one of the last three"


def test_a_disruption_with_no_report_left_hits_nothing() -> None:
    assert hits(Disruption("x", Status.ACTUAL, ()), known()) == ()


def test_a_storm_over_a_port_closes_what_goes_through_it_and_the_ways_that_stand_in_too() -> None:
    air = RouteAlternative("by air", LINK.key, Fraction(10), Lead(7), MONDAY, date(2027, 6, 30), BUYER,
                           route=ShippingRoute((Mode.AIR,), "CNNGB", "ITMIL"))  # fmt: skip
    cape = replace(air, key="from Qingdao", route=ShippingRoute((Mode.SEA,), "CNTAO", "ITGOA", (Passage.GOOD_HOPE,)))
    by = replace(known(route=SEA), routes=(air, cape))
    found = {one.link: one for one in struck(alert(), by=by) if isinstance(one, LinkHit)}
    assert set(found) == {LINK.key, "by air"}
    assert {one.after_days for one in found.values()} == {0}
    assert found["by air"].back == (date(2026, 10, 14),) * 3
    (assumed, *_) = [one for one in struck(alert(ends=None), by=by) if isinstance(one, LinkHit)]
    assert assumed.back == tuple(LANDFALL + timedelta(one) for one in CLOSED_DAYS)
    assert assumed.is_assumed
    closed = struck(alert(Named(Place.LANE, "good-hope")), by=by)
    assert [one.link for one in closed if isinstance(one, LinkHit)] == ["from Qingdao"]

"""Ways by sea: their length against published ones, passages that are closed, and ports on the right coast."""

import pytest

from risk.errors import MalformedFact
from risk.routes import Mode, NoWay, Passage, ShippingRoute, UnknownPort, port_position, voyage, way_round

SUEZ, PANAMA = Passage.SUEZ, Passage.PANAMA


@pytest.mark.parametrize(
    ("origin", "destination", "closed", "published"),
    [
        # Notteboom, Pallis and Rodrigue, Port Economics, Management and Policy (2022): routing options.
        ("CNSHA", "NLRTM", (), 10_600),
        ("CNSHA", "NLRTM", (SUEZ, PANAMA), 13_800),
        # Suez Canal Authority, savings in distance.
        ("SAJED", "ROCND", (), 1_698),
        ("SAJED", "ROCND", (SUEZ,), 11_771),
    ],
)
def test_a_way_is_as_long_as_published_to_3_per_cent(
    origin: str, destination: str, closed: tuple[Passage, ...], published: float
) -> None:
    assert voyage(origin, destination, closed=closed).nautical_miles == pytest.approx(published, rel=0.03)


def test_from_ningbo_to_genoa_through_the_canal_and_round_the_cape() -> None:
    """Round the Cape Shanghai to Rotterdam is 3,200 miles and 8 days longer, into the Mediterranean 5,000 and 13."""
    way = way_round("CNNGB", "ITGOA", [SUEZ, PANAMA])
    assert way.usual.passages == (Passage.MALACCA, Passage.BAB_EL_MANDEB, SUEZ)
    assert way.left.passages == (Passage.SUNDA, Passage.GOOD_HOPE, Passage.GIBRALTAR)
    assert way.extra_km == pytest.approx(9_207, abs=100)
    assert way.usual.days() == pytest.approx(22.5, abs=0.5)
    assert way.extra_days(16) == pytest.approx(12.9, abs=0.3)
    assert way.extra_days(20) < way.extra_days(16)
    # With the strait before it closed, the canal is of no use.
    assert way_round("CNNGB", "ITGOA", [Passage.BAB_EL_MANDEB]).left.km == way.left.km


@pytest.mark.parametrize(
    ("name", "origin", "destination", "closed", "passages"),
    [
        ("Balboa lies on the Pacific", "PABLB", "USLAX", (PANAMA,), ()),
        ("Colón lies on the Atlantic", "PAONX", "USNYC", (PANAMA,), ()),
        ("from there to the Pacific is round the Horn", "PAONX", "USLAX", (PANAMA,), (Passage.MAGELLAN,)),
        ("Port Said lies on the Mediterranean", "EGPSD", "ITGOA", (SUEZ,), ()),
        ("Ain Sukhna lies on the Red Sea", "EGSOK", "SAJED", (SUEZ,), ()),
        ("Haifa lies on the Mediterranean", "ILHFA", "ITGOA", (SUEZ,), ()),
        ("Fujairah lies outside of the strait", "AEFJR", "INNSA", (Passage.HORMUZ,), ()),
        ("Istanbul lies before the strait", "TRIST", "ITGOA", (Passage.BOSPORUS,), (Passage.DARDANELLES,)),
        ("over the date line", "JPYOK", "USLAX", (), ()),
        ("the ice is closed", "NLRTM", "JPYOK", (SUEZ, PANAMA), (Passage.GOOD_HOPE, Passage.SUNDA)),
    ],
)
def test_ports_lie_on_their_own_coast(
    name: str, origin: str, destination: str, closed: tuple[Passage, ...], passages: tuple[Passage, ...]
) -> None:
    assert voyage(origin, destination, closed=closed).passages == passages, name


def test_the_date_line_is_no_detour() -> None:
    """Suva, at 178° E, to Los Angeles is 4,800 nautical miles as the crow flies."""
    assert voyage("FJSUV", "USLAX").nautical_miles == pytest.approx(4_988, rel=0.03)
    assert voyage("NZAKL", "CLVAP").nautical_miles == pytest.approx(5_593, rel=0.03)


def test_a_way_is_as_long_back_as_there_and_closing_what_it_does_not_take_changes_nothing() -> None:
    there, back = voyage("CNNGB", "ITGOA"), voyage("ITGOA", "CNNGB")
    assert there.km == pytest.approx(back.km)
    assert there.passages == tuple(reversed(back.passages))
    for passage in Passage:
        closed = voyage("CNNGB", "ITGOA", closed=[passage])
        assert (closed.km > there.km) == (passage in there.passages)
    # What one asks leaves nothing behind for the next one.
    assert voyage("CNNGB", "ITGOA") == there


def test_what_cannot_be_sailed_says_so() -> None:
    with pytest.raises(NoWay, match="SGSIN to SAJED while these are closed: bab-el-mandeb, northwest, suez"):
        voyage("SGSIN", "SAJED", closed=[Passage.BAB_EL_MANDEB, SUEZ])
    with pytest.raises(NoWay):
        voyage("AEJEA", "INNSA", closed=[Passage.HORMUZ])
    with pytest.raises(UnknownPort, match="XXXXX is in no list"):
        voyage("XXXXX", "ITGOA")
    with pytest.raises(UnknownPort, match="km from the next sea lane"):
        voyage("USLAS", "ITGOA")  # Las Vegas
    with pytest.raises(MalformedFact, match="more than 0 knots"):
        voyage("CNNGB", "ITGOA").days(0)


def test_where_ports_are() -> None:
    assert port_position("CNNGB") == pytest.approx((29.87, 121.56), abs=0.01)
    assert port_position("XXXXX") is None


@pytest.mark.parametrize(
    ("route", "what"),
    [
        (ShippingRoute(()), "by what goods travel"),
        (ShippingRoute((Mode.SEA,), "CNNGB", "CNNGB"), "where it began"),
        (ShippingRoute((Mode.SEA,), passages=(SUEZ, SUEZ)), "once"),
        (ShippingRoute((Mode.AIR,), passages=(SUEZ,)), "no leg by sea"),
    ],
)
def test_what_is_no_route_is_refused(route: ShippingRoute, what: str) -> None:
    with pytest.raises(MalformedFact, match=what):
        route.check("link x")

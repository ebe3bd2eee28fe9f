"""How sure a report is: from who said it, who else said so, how old the facts are and how much of the network is known.

Four plain formulas, exact, so that a reader can redo them on paper. None of them pretends to know what nobody stated:
what is unknown widens an interval and is never put in the middle of it. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from risk.disruption import LIKELIHOOD, Disruption
from risk.errors import MalformedFact

PRIOR = (7, 3)
"""What is taken of a source of which nothing is known: as if it had been right 7 times and wrong 3 times."""
TOLERANCE = Fraction(1, 20)
"""By how much a stock that is no older than agreed may be wrong, where its owner says nothing else: 5 %."""


@dataclass(frozen=True, slots=True)
class Band:
    """What is believed at least and what cannot be excluded, shares from 0 to 1."""

    least: Fraction
    most: Fraction


def reliability(right: int, wrong: int) -> Fraction:
    """How often a source is right that was right `right` and wrong `wrong` times: the mean of the Beta posterior.

    (right + 7) / (right + wrong + 10): Gelman et al., Bayesian Data Analysis, 2.4, with the prior Beta(7, 3).

    >>> reliability(0, 0), reliability(10, 0)
    (Fraction(7, 10), Fraction(17, 20))
    """
    if right < 0 or wrong < 0:
        raise MalformedFact("a source was right and wrong so many times, not less than never")
    return Fraction(right + PRIOR[0], right + wrong + sum(PRIOR))


def happens(disruption: Disruption, reliabilities: Mapping[str, Fraction]) -> Fraction:
    """How sure it is that `disruption` happens: one minus the chance that each of its sources is wrong.

    1 − Π(1 − likelihood · reliability) over the latest word of each source (noisy-OR, Pearl 1988, 4.3.2). Sources are
    taken as independent as far as their reports do not refer to each other's or to the same third one's: those that
    pass one alert on count once, as the surest of them. Nothing is left of a cancelled one.
    """
    chances = {
        sender: Fraction(str(LIKELIHOOD[certainty])) * reliabilities.get(sender, reliability(0, 0))
        for sender, certainty in disruption.likelihoods.items()
    }
    surest: dict[str, Fraction] = {}
    for sender, origin in _origins(disruption, chances).items():
        if sender in chances:
            surest[origin] = max(surest.get(origin, Fraction(0)), chances[sender])
    return corroborated(surest.values())


def _origins(disruption: Disruption, chances: Mapping[str, Fraction]) -> dict[str, str]:
    """Whose word each source of `disruption` passes on: its own, or that of one to which its reports refer.

    Only who has spoken before can be repeated. Who repeats several counts with the surest of them, so that nobody makes
    two sources one by naming both; one that is not among the sources is the origin of all who pass it on alone.
    """
    named: dict[str, set[str]] = {}
    for report in sorted(disruption.reports, key=lambda one: (one.sent, one.sender, one.identifier)):
        named.setdefault(report.sender, set()).update(sender for sender, _ in report.references)
    found: dict[str, str] = {}
    for sender, others in named.items():
        others.discard(sender)
        said = sorted({found[one] for one in others if one in found}, key=lambda one: (-chances.get(one, 0), one))
        unknown = sorted(others - named.keys())
        found[sender] = (*said, *unknown, sender)[0]
    return found


def corroborated(chances: Iterable[Fraction]) -> Fraction:
    """One minus the chance that none of independent `chances` holds.

    >>> corroborated([Fraction(1, 2), Fraction(1, 2)])
    Fraction(3, 4)
    """
    wrong = Fraction(1)
    for chance in chances:
        if not 0 <= chance <= 1:
            raise MalformedFact(f"a chance is a share from 0 to 1, this one is {chance}")
        wrong *= 1 - chance
    return 1 - wrong


def doubt(age_days: Fraction, agreed_days: Fraction, tolerance: Fraction = TOLERANCE) -> Fraction:
    """By what share a stated amount may be wrong: `tolerance` while it is no older than agreed, then in proportion to
    its age, and never more than all of it.

    That is an interval and no standard deviation: a stock may drift one way all the time, so it grows with the age and
    not with its root (interval arithmetic, Moore 1966).

    >>> doubt(Fraction(1), Fraction(7)), doubt(Fraction(21), Fraction(7)), doubt(Fraction(999), Fraction(1))
    (Fraction(1, 20), Fraction(3, 20), Fraction(1, 1))
    """
    if agreed_days <= 0 or age_days < 0 or not 0 <= tolerance <= 1:
        raise MalformedFact("an age is not negative, an agreed one above 0, a tolerance a share from 0 to 1")
    return min(tolerance * max(age_days / agreed_days, Fraction(1)), Fraction(1))


def discounted(chance: Fraction, coverage: Fraction) -> Band:
    """What can be said of a reader's own case if only the share `coverage` of its supply is known.

    Belief chance · coverage, plausibility belief + (1 − coverage): evidence discounted by what it does not cover
    (Shafer 1976, chapter 11). What is not covered is not known to be hit, and not known to be safe.

    >>> discounted(Fraction(9, 10), Fraction(2, 3))
    Band(least=Fraction(3, 5), most=Fraction(14, 15))
    """
    if not (0 <= chance <= 1 and 0 <= coverage <= 1):
        raise MalformedFact("a chance and a coverage are shares from 0 to 1")
    return Band(chance * coverage, chance * coverage + 1 - coverage)

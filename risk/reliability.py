"""How likely a thing is to work, exactly, where it needs some things together and others in place of each other. Pure.

What works in several ways is no sum of chances where the ways share something: the chance is worked out by looking at
each shared thing once as working and once as not (Shannon expansion), so a sub-supplier that two alternatives have in
common counts once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import product

from risk.errors import MalformedFact
from risk.network import SupplyNetwork

Ways = frozenset[frozenset[str]]


def availability(ways: Iterable[Iterable[str]], chances: Mapping[str, float]) -> float:
    """The chance, 0 to 1, that in one of `ways` at least all things work; `chances` is how likely each of them does.

    >>> round(availability([["a", "d"], ["b", "e"], ["a", "c", "e"], ["b", "c", "d"]], dict.fromkeys("abcde", 0.9)), 5)
    0.97848
    """
    wanted = _least(frozenset(frozenset(one) for one in ways))
    for name in sorted(set().union(*wanted)):
        if name not in chances:
            raise MalformedFact("nobody has said how likely it is to work", name)
        if not 0 <= chances[name] <= 1:
            raise MalformedFact("a chance lies between 0 and 1", name)
    return _chance(wanted, chances, {})


def ways_to_make(network: SupplyNetwork, site: str, part: str, *, most: int = 10_000) -> Ways:
    """The least sets of sites that are enough to make `part` at `site`: all its parts, one supplier of each.

    Raises MalformedFact where there are more than `most` of them.
    """
    arrays = network.arrays
    if (site, part) not in arrays.line_index:
        raise MalformedFact(f"it does not make {part}", site)
    known: dict[int, Ways] = {}

    def of(line: int) -> Ways:
        if line not in known:
            place = arrays.lines[line].site
            choices: list[Ways] = []
            for bin_ in arrays.need_bin[arrays.need_line == line].tolist():
                suppliers = arrays.link_line[arrays.link_bin == bin_].tolist()
                if suppliers:
                    choices.append(_least(frozenset(way for one in suppliers for way in of(one))))
            count = 1
            for some in choices:
                count *= len(some)
            if count > most:
                raise MalformedFact(f"there are more than {most} ways to make it", place)
            known[line] = _least(frozenset(frozenset({place}).union(*one) for one in product(*choices)))
        return known[line]

    return of(arrays.line_index[site, part])


def _least(ways: Ways) -> Ways:
    """Without those that contain another one."""
    kept: list[frozenset[str]] = []
    for way in sorted(ways, key=len):
        if not any(one <= way for one in kept):
            kept.append(way)
    return frozenset(kept)


def _chance(ways: Ways, chances: Mapping[str, float], known: dict[Ways, float]) -> float:
    if not ways:
        return 0.0
    if frozenset() in ways:
        return 1.0
    if ways not in known:
        counts = Counter(name for way in ways for name in way)
        pivot = min(counts, key=lambda name: (-counts[name], name))
        works = _chance(_least(frozenset(way - {pivot} for way in ways)), chances, known)
        fails = _chance(frozenset(way for way in ways if pivot not in way), chances, known)
        known[ways] = chances[pivot] * works + (1 - chances[pivot]) * fails
    return known[ways]

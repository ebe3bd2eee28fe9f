"""Facts as a view says them, with blanks where each reader's names go: made once, filled in for every reader. Pure.

Two readers are shown the same amounts of a part wherever they see the same lines of it; only the names differ. So the
amounts are scaled and written down once, and the next reader, or the next checkpoint, finds them here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from fractions import Fraction
from functools import cache
from itertools import chain
from json import JSONEncoder
from typing import Any, NamedTuple

from risk.network import Calendar, Lead, Line, Stock, SupplyLink
from risk.sharing import Level, canonical, plain

quoted = JSONEncoder(ensure_ascii=False).encode
"""A name as it stands in JSON."""


class LinkBlank(NamedTuple):
    """A link but for its key, its ends and its part. `what` is the number of what it says, `said` that in words where
    the reader may see the link itself.
    """

    scale: Fraction
    level: Level
    is_known: bool
    most_per_day: Fraction | None
    in_transit: Mapping[date, Fraction]
    what: int
    said: str
    after_customer: str
    after_key: str
    after_part: str

    def filled(self, link: SupplyLink, key: str, supplier: str, customer: str, part: str) -> SupplyLink:
        """`link` as it is shown, under these names."""
        return SupplyLink(
            key,
            supplier,
            customer,
            part,
            link.share,
            link.lead,
            self.most_per_day,
            self.in_transit,
            link.since,
            self.level,
            link.route if self.is_known else None,
        )


class LineBlank(NamedTuple):
    """A line but for its site and its parts; what it needs is in the order of the line's own."""

    scales: tuple[Fraction, ...]
    is_priced: bool
    is_named: bool
    per_day: Fraction
    capacity: Fraction
    needs: tuple[Fraction, ...]
    essential: tuple[tuple[str, bool], ...]
    what: int
    need_whats: tuple[int, ...]
    before_essential: str
    need_texts: tuple[str, ...]
    after_part: str


class StockBlank(NamedTuple):
    """A stock but for its site and its part."""

    scale: Fraction
    doubt: Fraction | None
    amount: Fraction
    what: int
    before_part: str


class Blanks:
    """The blanks of a network's facts; `number` is the number of what is said in words.

    Of each fact two are kept: that in its own amounts and that in those which were asked for last. What `before` had
    of the same facts is taken over.
    """

    def __init__(
        self,
        facts: Iterable[Sequence[SupplyLink] | Sequence[Line] | Sequence[Stock]],
        number: Callable[[str], int],
        before: "Blanks | None" = None,
    ) -> None:
        self._number = number
        there: Mapping[int, list[Any]] = {} if before is None else before.of_facts
        self._facts = tuple(facts)
        """kept so that no other fact gets the identity of one of these"""
        self.of_facts: dict[int, list[Any]] = {
            id(one): there.get(id(one)) or [None, None] for one in chain.from_iterable(self._facts)
        }

    def links(
        self,
        links: Sequence[SupplyLink],
        scales: Sequence[Fraction],
        levels: Sequence[Level],
        known: Sequence[bool],
    ) -> list[LinkBlank]:
        """The blank of each of `links`, its amounts times its scale, at its level."""
        found: list[LinkBlank] = []
        scaled = _Scaled()
        for link, scale, level, is_known in zip(links, scales, levels, known, strict=True):
            kept = self.of_facts[id(link)]
            one: LinkBlank | None = kept[scale != 1]
            if one is None or one.level is not level or one.is_known != is_known or not _same(one.scale, scale):
                one = kept[scale != 1] = self._link(link, scale, level, is_known, scaled)
            found.append(one)
        return found

    def lines(
        self,
        lines: Sequence[Line],
        scales: Sequence[tuple[Fraction, ...]],
        priced: Sequence[bool],
        named: Sequence[bool],
    ) -> list[LineBlank]:
        """The blank of each of `lines`; the scales are those of what it makes and of each part that it needs.

        Prices are for the owner, `named` are lines at sites that the reader may see by their names.
        """
        found: list[LineBlank] = []
        for line, some, is_priced, is_named in zip(lines, scales, priced, named, strict=True):
            kept = self.of_facts[id(line)]
            one: LineBlank | None = kept[some[0] != 1]
            if one is None or one.is_priced != is_priced or one.is_named != is_named or one.scales != some:
                one = kept[some[0] != 1] = self._line(line, some, is_priced, is_named)
            found.append(one)
        return found

    def stocks(
        self, stocks: Sequence[Stock], scales: Sequence[Fraction], doubts: Sequence[Fraction | None]
    ) -> list[StockBlank]:
        """The blank of each of `stocks`, with the doubt that it is read with."""
        found: list[StockBlank] = []
        for stock, scale, doubt in zip(stocks, scales, doubts, strict=True):
            kept = self.of_facts[id(stock)]
            one: StockBlank | None = kept[scale != 1]
            if one is None or not _same(one.scale, scale) or not _same(one.doubt, doubt):
                amount = stock.amount * scale
                what = self._number(f"stock {amount} {doubt}")
                one = kept[scale != 1] = StockBlank(scale, doubt, amount, what, f'{{"amount":"{amount}","part":')
            found.append(one)
        return found

    def _link(self, link: SupplyLink, scale: Fraction, level: Level, is_known: bool, scaled: "_Scaled") -> LinkBlank:
        route = None if link.route is None or not is_known else canonical(plain(link.route)).decode()
        days = sorted(link.in_transit.items())
        coming = {day: scaled.times(amount, scale) for day, amount in days}
        in_transit = {day: amount for day, (amount, _) in coming.items()}
        most = None if link.most_per_day is None else link.most_per_day * scale
        lead, lead_text = _lead(link.lead)
        listed = " ".join([f"{day}:{text}" for day, (_, text) in coming.items()])
        days_texts = ",".join([f'"{day}":"{text}"' for day, (_, text) in coming.items()])
        said = f"{link.share} {lead} {most} {link.since} {level} [{listed}] {route or ''}"
        return LinkBlank(
            scale,
            level,
            is_known,
            most,
            in_transit,
            0 if is_known else self._number(f"link {said}"),
            said if is_known else "",
            f',"in_transit":{{{days_texts}}},"key":',
            f',"lead":{lead_text},"level":"{level}","most_per_day":{_text(most)},"part":',
            f',"route":{route or "null"},"share":"{link.share}","since":{_text(link.since)},"supplier":',
        )

    def _line(self, line: Line, scales: tuple[Fraction, ...], is_priced: bool, is_named: bool) -> LineBlank:
        by, *others = scales
        per_day, capacity = line.per_day * by, line.capacity * by
        needs = tuple([amount * scale / by for amount, scale in zip(line.needs.values(), others, strict=True)])
        # That something cannot be done without is what is taken where nobody says so, and who said so is known of named
        # sites alone.
        essential = {part: said for part, said in line.essential.items() if is_named or not said}
        price, currency = (line.revenue_cents, line.currency) if is_priced else (None, None)
        return LineBlank(
            scales,
            is_priced,
            is_named,
            per_day,
            capacity,
            needs,
            tuple(essential.items()),
            self._number(f"line {per_day} {capacity} {price}"),
            tuple(
                self._number(f"need {amount}{_if_stated(essential.get(part))}")
                for part, amount in zip(line.needs, needs, strict=True)
            ),
            f'{{"capacity":"{capacity}","currency":{"null" if currency is None else quoted(currency)},"essential":{{',
            tuple([f'"{amount}"' for amount in needs]),
            f',"per_day":"{per_day}","revenue_cents":{"null" if price is None else price},"site":',
        )


class _Scaled:
    """Products of amounts with scales, each worked out and written once."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int, int], tuple[Fraction, str]] = {}
        self._scales: list[Fraction] = []

    def times(self, amount: Fraction, scale: Fraction) -> tuple[Fraction, str]:
        key = (amount.numerator, amount.denominator, id(scale))
        found = self._found.get(key)
        if found is None:
            self._scales.append(scale)  # so that no other gets its identity
            product = amount * scale
            found = self._found[key] = product, str(product)
        return found


def _same(one: Fraction | None, other: Fraction | None) -> bool:
    return one is other or one == other


def _if_stated(essential: bool | None) -> str:
    return "" if essential is None else f" essential {essential}"


def _text(value: Fraction | date | None) -> str:
    return "null" if value is None else f'"{value}"'


@cache
def _lead(lead: Lead) -> tuple[str, str]:
    """What a lead says in words, and as JSON."""
    sails = None if lead.sails is None else sorted(lead.sails)
    return f"{lead.days} {lead.working} {sails}", canonical(plain(lead)).decode()


@cache
def calendar_text(calendar: Calendar) -> str:
    """A calendar as JSON."""
    return canonical(plain(calendar)).decode()

"""What a member has stated of its supply network, as the ledger has it: the newest fact about each thing."""

from typing import Any

import orjson
import sqlalchemy as sa

from api.impact.table import Known, about
from api.impact.template import BY_KIND
from ledger_service.instants import instant
from ledger_service.keys import from_hex
from ledger_service.ledger import Ledger
from ledger_service.risk_kinds import SiteFact
from ledger_service.store.risk_tables import IS_RISK
from ledger_service.store.tables import content, statement


class StatedFacts:
    """The facts in a ledger by who stated them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def of(self, member: bytes, kinds: tuple[str, ...] = tuple(BY_KIND)) -> dict[tuple[str, ...], Known]:
        """What `member` said last of each thing. What a later statement of its own corrects is left out."""
        query = (
            sa.select(statement.c.digest, statement.c.kind, content.c.content)
            .join(content, content.c.position == statement.c.position)
            .where(IS_RISK, statement.c.issuer == member, statement.c.kind.in_(kinds))
            .where(content.c.content.is_not(None))
            .order_by(statement.c.position)
        )
        with self._ledger.store.read() as connection:
            said = [(row.digest, row.kind, orjson.loads(row.content)) for row in connection.execute(query)]
        corrected = {from_hex(value["corrects"], 32) for _, _, value in said if "corrects" in value}
        newest: dict[tuple[str, ...], Known] = {}
        for digest, kind, value in said:
            thing = about(kind, value)
            before = newest.get(thing)
            if digest not in corrected and (before is None or _time(before.content) <= _time(value)):
                newest[thing] = Known(digest, value)
        return newest

    def sites(self, member: bytes) -> frozenset[str]:
        """The sites that `member` has described."""
        return frozenset(SiteFact.parse(one.content).site for one in self.of(member, ("site",)).values())


def _time(value: dict[str, Any] | Any) -> int:
    return instant(value["asOf"])

"""Records of custody put into a ledger's store, for tests of what is found there."""

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from benchmarks.bulk import Said, load
from ledger_service import canonical
from ledger_service.custody import Fact, Step
from ledger_service.handoffs import Closing, HandOff, Offer, Opening, TakenStep, commitment
from ledger_service.identifiers import identify
from ledger_service.ledger import Ledger
from ledger_service.store.tables import content, metadata
from tests.custody import chain_unit, unit_secret


def clear(ledger: Ledger) -> None:
    """Empty every table that a record fills."""
    kept = {"network", "change", "checkpoint", "anchor", "attempt", "cosignature", "tile"}
    with ledger.store.write() as connection:
        for table in reversed(metadata.sorted_tables):
            if table.name not in kept:
                connection.execute(sa.delete(table))


def tell(ledger: Ledger, facts: Iterable[Fact], audiences: Mapping[bytes, Sequence[bytes]]) -> None:
    """Put `facts` into the ledger's store in this order; `audiences` are by stream."""
    load(
        ledger.store,
        [
            Said(
                one.id,
                one.issuer,
                one.kind,
                one.stream,
                one.sequence,
                one.registered_at,
                None if one.content is None else canonical.dump(dict(one.content)),
                tuple(audiences.get(one.stream, ())),
            )
            for one in facts
        ],
    )


def taken_steps(steps: Sequence[Step], things: Sequence[str]) -> dict[bytes, list[TakenStep]]:
    """The steps as the chain took them, by unit; `things` are those that may have been opened."""
    secrets = {}
    for thing in things:
        found = identify(thing)
        assert found is not None
        for generation in range(3):
            secrets[chain_unit(thing, generation)] = commitment(found.key, unit_secret(thing, generation))
    taken: dict[bytes, list[TakenStep]] = {}
    for one in sorted(steps, key=lambda step: (step.unit, step.sequence)):
        made: Opening | HandOff | Closing
        if one.sequence == 0:
            assert one.taker is not None
            made = Opening(one.taker, secrets[one.unit], 0)
        elif one.taker is None:
            made = Closing(one.unit, one.sequence, one.giver or b"", one.reason or b"", 0)
        else:
            offer = Offer(one.unit, one.sequence, one.giver or b"", one.taker, one.offer or b"", 0)
            made = HandOff(offer, one.acceptance or b"", b"", b"")
        taken.setdefault(one.unit, []).append(TakenStep(made, b"", one.block, one.time // 1000, bytes(32)))
    return taken


def erased(ledger: Ledger, fact: Fact, now: int) -> None:
    """Erase what `fact` says."""
    ledger.erase(fact.id, now)


def contents(ledger: Ledger) -> int:
    """How many contents are still held."""
    with ledger.store.read() as connection:
        query = sa.select(sa.func.count()).where(content.c.content.is_not(None))
        return int(connection.execute(query).scalar_one())

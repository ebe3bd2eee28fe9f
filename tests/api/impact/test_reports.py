"""One report for each view, whatever crashes on the way to it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.dialects import sqlite

from api.impact import Impact
from api.network import Network
from api.settings import Settings
from ledger_service.ledger import no_step
from ledger_service.risk_kinds import PARSERS
from ledger_service.statements import PURPOSE_OF_KIND
from ledger_service.store import Store
from ledger_service.store.risk_tables import FACT_KINDS, IS_RISK, RISK_KINDS
from ledger_service.store.tables import statement
from risk.disruption import Status
from tests.api.house import PASSPHRASE, House, still
from tests.api.impact.flood import chain, flood, state, today
from tests.consortium import Clock, member_id

MEMBERS = ("havelmark", "nordrand", "oderland")


class PowerCut(BaseException):
    """The machine stops here."""


def cut_at(name: str) -> Callable[[str], None]:
    def step(reached: str) -> None:
        if reached == name:
            raise PowerCut

    return step


def reports(folder: Path, clock: Clock, steps: Callable[[str], None] = no_step) -> list[tuple[str, int, bytes]]:
    """Have the reports of all members made by a service that begins anew; what there is then: whose, number, id."""
    settings = Settings(data=folder, passphrase=SecretStr(PASSPHRASE))
    network = Network.open(settings, now=lambda: clock.now, steps=steps)
    try:
        impact = Impact(network, lambda _registrations: None)
        clock.forward(1)
        at = impact.shared.at(None, datetime.fromtimestamp(clock.seconds(), UTC).date())
        live = impact.disruptions.live(Status.ACTUAL, at)
        made = impact.reports.assess_all([member_id(one) for one in MEMBERS], live, at=at, now=clock.now)
        assert made.keys() == {member_id(one) for one in MEMBERS[:2]}, "who has no sites is told nothing"
        return [
            (name, one.number, one.digest) for name in MEMBERS for one in impact.reports.page(member_id(name), 0, 10)
        ]
    finally:
        network.close()


@pytest.mark.parametrize("step", ["registering", "registered"])
def test_a_cut_before_or_after_the_reports_are_on_disk_leaves_one_for_each_member(tmp_path: Path, step: str) -> None:
    with still(tmp_path) as running:
        chain(running)
        flood(running, "1")
        clock = running.clock
    with pytest.raises(PowerCut):
        reports(tmp_path, clock, cut_at(step))
    made = reports(tmp_path, clock)
    assert [(name, number) for name, number, _ in made] == [("havelmark", 1), ("nordrand", 1)]
    assert reports(tmp_path, clock) == made, "asked again it is looked up"


def test_a_member_who_sees_nothing_hit_gets_no_report_that_would_tell_it_of_something(fresh: House) -> None:
    chain(fresh)
    state(fresh, "oderland", "site", site="https://oderland.example.org/site/1")
    flood(fresh, "1")
    impact = fresh.app.state.service.impact
    at = impact.shared.at(None, today(fresh))
    live = impact.disruptions.live(Status.ACTUAL, at)
    made = impact.reports.assess_all(sorted(at.owners), live, at=at, now=fresh.clock.now)
    assert made.keys() == {member_id(one) for one in ("havelmark", "nordrand", "duero")}
    assert fresh.get("oderland", "/v1/risk/reports").json()["items"] == []


def test_the_index_of_risk_serves_what_is_asked_of_it(tmp_path: Path) -> None:
    assert set(FACT_KINDS) <= PARSERS.keys()
    assert set(RISK_KINDS) <= PURPOSE_OF_KIND.keys()
    assert set(FACT_KINDS) < set(RISK_KINDS)
    store = Store.open(tmp_path / "ledger.sqlite")
    try:
        query = (
            sa.select(statement.c.position)
            .where(IS_RISK, statement.c.position >= 5)
            .with_hint(statement, "INDEXED BY ix_statement_risk", "sqlite")
        )
        text = str(query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
        with store.read() as connection:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
        assert plan == ["SEARCH statement USING INDEX ix_statement_risk (position>?)"]
    finally:
        store.close()

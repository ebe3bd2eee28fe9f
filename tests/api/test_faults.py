"""What the service says when something behind it fails: in plain words, with a number, and never with a trace."""

import time

import sqlalchemy as sa
from starlette.testclient import TestClient

from ledger_service.store.tables import stream
from tests.api.house import House


def test_while_the_chain_is_away_the_service_takes_statements_and_says_why_they_wait(fresh: House) -> None:
    fresh.anchor()
    fresh.network.ledger.anchoring.chain.close()
    digest = fresh.send("duero", fresh.envelope().data).json()["digest"]
    deadline = time.monotonic() + 10
    while fresh.app.state.service.publisher.condition.trouble is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    answer = fresh.anyone.get("/health/ready")
    ready = answer.json()
    assert answer.status_code == 503
    assert (ready["status"], ready["backlog"]) == ("not ready", 1)
    assert ready["reasons"]
    told = fresh.get("nordrand", f"/v1/statements/{digest}/explain").json()
    assert told["state"] in ("registered", "checkpointed")
    assert "by itself" in told["next"]
    assert "chain" in told["why"]
    assert fresh.send("duero", fresh.envelope().data).status_code == 201
    assert "tallystick_publish_errors_total" in fresh.anyone.get("/metrics").text


def test_a_full_disk_is_503_and_heals_by_itself(fresh: House) -> None:
    one = fresh.envelope().data
    store = fresh.network.ledger.store
    with store.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        # As many pages as there are: SQLite answers as if the disk were full.
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    many = [one, *(fresh.envelope().data for _ in range(200))]
    refused = fresh.send_batch("duero", many)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "30")
    assert refused.json()["type"].endswith("/storage-unavailable")
    assert fresh.network.ledger.size == 0
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(stream)).scalar_one() == 0
    with store.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1073741823")
    assert fresh.send_batch("duero", many).json()["registered"] == 201


def test_a_fault_of_ours_is_a_problem_with_a_number_and_no_trace(fresh: House) -> None:
    with fresh.network.ledger.store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE reader RENAME TO elsewhere")
    client = TestClient(fresh.app, base_url="http://127.0.0.1:8440", raise_server_exceptions=False)
    answer = client.get("/v1/streams", headers=fresh.headers("duero"))
    assert answer.status_code == 500
    problem = answer.json()
    assert problem["type"].endswith("/internal-error")
    assert problem["instance"].removeprefix("urn:uuid:") in problem["detail"]
    assert "Traceback" not in answer.text
    assert "reader" not in answer.text
    with fresh.network.ledger.store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO reader")
    assert fresh.get("duero", "/v1/streams").status_code == 200

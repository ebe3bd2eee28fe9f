"""The relay inside a running service: steps go to the chain by themselves, and the operator sees how they stand."""

import time

from api.service import operator_token
from ledger_service.keys import to_hex
from ledger_service.relaying import Waiting
from tests.api.house import House
from tests.relay import Parties


def test_the_rounds_bring_steps_to_the_chain_and_the_operator_sees_how_they_stand(fresh: House) -> None:
    relaying = fresh.network.relaying
    parties = Parties(relaying.domain, fresh.clock.seconds())
    opened = [parties.open() for _ in range(5)]
    for one in relaying.submit(opened, fresh.clock.now):
        assert isinstance(one, Waiting)
        assert one.release_at > fresh.clock.seconds(), "it is drawn over the days that come"
    token = {"Authorization": f"Bearer {operator_token(fresh.network)}"}

    def status() -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = fresh.anyone.get("/v1/operator/status", headers=token).json()
        return found

    assert status()["custody"]["drawn"] == 5
    assert status()["custody"]["relayer"] == to_hex(relaying.relayer)
    fresh.clock.forward(9 * 86_400)
    deadline = time.monotonic() + 20
    # Counted after they are kept: whoever looks in between sees five steps that are not in the sum yet.
    while "tallystick_custody_steps_total 5.0" not in (metrics := fresh.anyone.get("/metrics").text):
        assert time.monotonic() < deadline, status()
        time.sleep(0.05)
    assert status()["custody"]["taken"] == 5
    assert status()["rounds"]["relay of custody"]
    assert 'tallystick_custody_requests{standing="due"} 0.0' in metrics
    checked = fresh.anyone.get("/v1/operator/check", headers=token).json()
    assert checked == {"isClean": True, "violations": []}


def test_members_changes_and_steps_of_custody_have_numbers_of_their_own(fresh: House) -> None:
    service = fresh.network.service
    assert service.relay.address != service.custody_relay.address
    chain = fresh.network.ledger.anchoring.chain
    for key in (service.relay, service.custody_relay):
        assert chain.call("isRelayer", [key.address])

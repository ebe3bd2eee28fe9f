"""The publisher: what it does to the chain's clock."""

import threading
import time
from pathlib import Path

from api.publisher import MAX_LEAD_SECONDS, Publisher
from ledger_service.anchoring import Anchored
from tests.consortium import Consortium


def test_blocks_do_not_run_further_ahead_of_the_clock_than_a_verifier_allows(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path)
    ledger, clock = consortium.ledger, consortium.clock
    anchored = threading.Event()

    def note(_anchored: Anchored) -> None:
        anchored.set()

    publisher = Publisher(
        ledger, lambda: clock.now, interval_seconds=0.001, on_anchored=note, on_trouble=lambda _error: None
    )
    publisher.start()

    def lead_seconds() -> int:
        return ledger.anchoring.chain.head().timestamp - clock.seconds()

    def anchor_one() -> float:
        start = time.monotonic()
        anchored.clear()
        consortium.register(consortium.envelope())
        publisher.nudge()
        assert anchored.wait(30)
        return time.monotonic() - start

    try:
        while lead_seconds() <= MAX_LEAD_SECONDS:
            anchor_one()
        anchor_one()  # the pause before this one may have begun before it came
        assert anchor_one() >= 0.5
        clock.forward(60)
        anchor_one()
        assert lead_seconds() <= 1
    finally:
        publisher.close()
        consortium.close()

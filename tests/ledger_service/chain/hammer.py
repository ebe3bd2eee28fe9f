"""Anchors without end on the chain file named on the command line, and says so after each: to be killed."""

import sys
from pathlib import Path

from tests.ledger_service.chain.lane import Lane, reopen

if __name__ == "__main__":
    lane = Lane(reopen(Path(sys.argv[1])))
    while True:
        transaction = lane.anchor(lane.size + 1)
        head = lane.chain.head()
        sys.stdout.write(f"{head.number} {head.hash.hex()} {transaction.hash.hex()}\n")
        sys.stdout.flush()

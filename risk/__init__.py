"""What a disruption does to whom: the supply network, its propagation, time to survive, alternatives, stress tests.

Nothing works here yet. This package will hold the pure computations alone, over plain records that the shell reads
from the ledger; it opens nothing, asks no clock and does not know `ledger_service`.
"""

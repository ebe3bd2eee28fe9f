"""The ledger: statements that partners sign, the log they are entered in, and the proofs that leave it.

The modules come in layers (see pyproject.toml, which a test holds them to): pure values and checks below, the adapters
`store` and `chain` above them, and `ledger`, the one door, on top.
"""

__version__ = "0.1.0"

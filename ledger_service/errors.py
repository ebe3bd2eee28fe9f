"""What can be wrong in the ledger, one class per thing a caller would do differently.

The core knows nothing of HTTP: `api/problems.py` turns these classes into status codes.
"""


class LedgerError(Exception):
    """Anything this package refuses; the message says what, where, and what to do."""


class MalformedInput(LedgerError):
    """Bytes from outside that are not in the form the formats page fixes.

    `where` is an RFC 6901 pointer to the offending place, empty for the whole input.
    """

    def __init__(self, what: str, where: str = "") -> None:
        super().__init__(f"{what} (at {where})" if where else what)
        self.what = what
        self.where = where


class ProofError(LedgerError):
    """A proof does not lead where it claims to."""

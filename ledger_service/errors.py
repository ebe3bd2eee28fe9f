"""What can be wrong in the ledger, one class per thing a caller would do differently.

The core knows nothing of HTTP: `api/problems.py` turns these classes into status codes.
"""

from typing import Any


class LedgerError(Exception):
    """Anything this package refuses; the message says what, where, and what to do."""

    def __reduce__(self) -> Any:
        # Exception's own way calls the class with the finished message, which no class with facts of its own survives.
        return _again, (type(self), self.args, self.__dict__)


def _again(error: type[LedgerError], args: tuple[Any, ...], facts: dict[str, Any]) -> LedgerError:
    """The error as it was in the process that raised it."""
    made = error.__new__(error, *args)
    made.__dict__.update(facts)
    return made


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

"""What can be wrong with a chain, one class per thing a caller would do differently."""

from collections.abc import Mapping
from pathlib import Path

from ledger_service.errors import LedgerError


class ChainError(LedgerError):
    """Anything a chain engine refuses or cannot do."""


class ChainUnavailable(ChainError):
    """The chain gave no answer that can be trusted, so the outcome is unknown.

    What was asked for may have happened, or may still happen: ask the chain before doing it again.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"no usable answer from the chain: {reason}")
        self.reason = reason


class TransactionRefused(ChainError):
    """A transaction that has failed, or that this chain will never take as it stands.

    `reason` is the contract's own error where there is one (`StaleCheckpoint`, `NotOperator`, …) and `arguments`
    are its numbers; otherwise `reason` says what the chain held against it. Sending the same bytes again is useless.
    """

    def __init__(self, reason: str, arguments: Mapping[str, object] | None = None, detail: str = "") -> None:
        self.reason = reason
        self.arguments = dict(arguments or {})
        numbers = ", ".join(f"{name}={_shown(value)}" for name, value in self.arguments.items())
        stated = f"{reason}({numbers})" if numbers else reason
        super().__init__(f"the chain refuses the transaction: {stated}{': ' + detail if detail else ''}")


class MalformedTransaction(TransactionRefused):
    """Bytes that are not a transaction that we could have signed."""

    def __init__(self, detail: str) -> None:
        super().__init__("Malformed", detail=detail)


class NonceTaken(TransactionRefused):
    """Another transaction of this sender has been mined under this one's nonce."""

    def __init__(self, nonce: int, next_nonce: int) -> None:
        super().__init__("NonceTaken", {"nonce": nonce, "next": next_nonce})
        self.nonce = nonce
        self.next_nonce = next_nonce


class TransactionUnderpriced(TransactionRefused):
    """The fee is below what the chain takes today.

    Sign again *under the same nonce*: the engine has looked at the fees anew, and of two transactions with one
    nonce the chain takes at most one.
    """

    def __init__(self, detail: str) -> None:
        super().__init__("Underpriced", detail=detail)


class WrongChain(ChainError):
    """This is not the chain we anchored to; nothing is written to it."""

    def __init__(self, what: str, *, expected: object, found: object) -> None:
        super().__init__(f"this is another chain: its {what} is {_shown(found)}, expected {_shown(expected)}")
        self.what = what
        self.expected = expected
        self.found = found


class ChainFileInUse(ChainError):
    """Another process owns the embedded chain's file; two writers would end in two histories."""

    def __init__(self, path: Path, pid: int | None) -> None:
        owner = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"{path} is in use by {owner}: one process may own a chain file")
        self.path = path
        self.pid = pid


class ChainFileDamaged(ChainError):
    """The embedded chain's file cannot be read as what it claims to be; restore it from a backup."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is not a usable chain file: {reason}")
        self.path = path
        self.reason = reason


def _shown(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)

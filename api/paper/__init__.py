"""What is printed: the report an auditor is handed and the despatch note on the pallet; and why something is not."""

from ledger_service.errors import LedgerError


class CannotPrint(LedgerError):
    """The page could not be set. The message says what the typesetter said."""


class NoRecord(LedgerError):
    """A bundle without a record of custody, of which there is nothing to report."""


class NothingToPrint(LedgerError):
    """A despatch of which no note can be made: it is not yours, was taken back, or its content is not here."""

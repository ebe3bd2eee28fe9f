"""What can be wrong with what the risk package is given."""


class RiskError(Exception):
    """The base of all errors of this package; the message is for the person who asked."""


class MalformedFact(RiskError):
    """A fact that cannot be part of any network; `where` names it."""

    def __init__(self, what: str, where: str = "") -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.what = what
        self.where = where

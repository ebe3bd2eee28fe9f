"""What a receipt may answer: the offer that was made, to whom it was made, while it stands. Pure."""

from fractions import Fraction

from ledger_service.custody.kinds import Despatch, Deviation, Outcome, Receipt
from ledger_service.errors import LedgerError


class OfferRefused(LedgerError):
    """A receipt that answers no offer it may answer."""


class UnknownOffer(OfferRefused):
    """The despatch was never made, or is not to be seen here."""

    def __init__(self, despatch: bytes) -> None:
        super().__init__(f"there is no despatch 0x{despatch.hex()}: ask the giver whether it was sent")
        self.despatch = despatch


class OfferToAnother(OfferRefused):
    """The despatch was made to another member."""

    def __init__(self, taker: bytes, issuer: bytes) -> None:
        super().__init__(f"this was offered to 0x{taker.hex()}, and 0x{issuer.hex()} cannot answer it")
        self.taker = taker
        self.issuer = issuer


class OfferExpired(OfferRefused):
    """The deadline of the despatch is over."""

    def __init__(self, deadline: int, at: int) -> None:
        super().__init__(f"the offer ran out {(at - deadline) // 60_000} minutes ago: ask the giver for a new one")
        self.deadline = deadline
        self.at = at


class UnitNotOffered(OfferRefused):
    """A unit that is not on the despatch; one that came all the same is a discrepancy `over`."""

    def __init__(self, unit: str) -> None:
        super().__init__(f"{unit} is not on the despatch; if it came with it, say so as a discrepancy `over`")
        self.unit = unit


class BeyondTolerance(OfferRefused):
    """An automatic receipt of more deviation than its receiver lets pass without a person."""

    def __init__(self, part: str, share: Fraction, tolerance: Fraction) -> None:
        super().__init__(f"{part} deviates by {share}, above the tolerance of {tolerance}: a person has to look")
        self.part = part
        self.share = share
        self.tolerance = tolerance


def check_acceptance(receipt: Receipt, issuer: bytes, despatch: Despatch | None, at: int) -> None:
    """Raise OfferRefused unless `issuer` may answer `despatch` with `receipt` at `at` (ms).

    A correction of an earlier receipt, and a refusal, may come after the deadline.
    """
    if despatch is None:
        raise UnknownOffer(receipt.despatch)
    if despatch.taker != issuer:
        raise OfferToAnother(despatch.taker, issuer)
    if at > despatch.deadline and receipt.corrects is None and receipt.outcome is not Outcome.REFUSED:
        raise OfferExpired(despatch.deadline, at)
    offered = {one.id.key: one for one in despatch.units}
    over = {one.unit.key for one in receipt.discrepancies if one.what is Deviation.OVER}
    for unit in receipt.units:
        if unit.key not in offered and unit.key not in over:
            raise UnitNotOffered(unit.key)
    if receipt.tolerance is not None:
        _check_tolerance(receipt, despatch, receipt.tolerance)


def _check_tolerance(receipt: Receipt, despatch: Despatch, tolerance: Fraction) -> None:
    offered: dict[tuple[str, str], Fraction] = {}
    for unit in despatch.units:
        for line in unit.contents:
            key = (line.part, line.uom)
            offered[key] = offered.get(key, Fraction(0)) + line.quantity
    deviation: dict[tuple[str, str], Fraction] = {}
    for one in receipt.discrepancies:
        if one.part is not None and one.uom is not None and one.quantity is not None:
            key = (one.part, one.uom)
            deviation[key] = deviation.get(key, Fraction(0)) + one.quantity
    for key, amount in deviation.items():
        share = amount / offered[key] if key in offered else Fraction(1)
        if share > tolerance:
            raise BeyondTolerance(key[0], share, tolerance)

"""Custody: who held each unit, when, and whether the record of it is whole. Pure.

`kinds` reads what partners say, `record` is what a fold is made from, `policy` by what it is judged, `lineage` what
went into what, `folding` the fold itself, `trail` what comes out of it, `offers` what a receipt may answer.
"""

from ledger_service.custody.folding import fold
from ledger_service.custody.kinds import PARSERS
from ledger_service.custody.lineage import Lineage, Link
from ledger_service.custody.offers import OfferRefused, check_acceptance
from ledger_service.custody.policy import (
    Answer,
    Policy,
    Problem,
    Resolution,
    UnsignedAllowed,
    Weight,
    policy_in_force,
    resolution_in_force,
)
from ledger_service.custody.record import Clock, ConflictingSteps, Fact, Step
from ledger_service.custody.trail import Custody, Finding, Leg, LegState, Trail, Unit, finding_id, judge

__all__ = [
    "PARSERS",
    "Answer",
    "Clock",
    "ConflictingSteps",
    "Custody",
    "Fact",
    "Finding",
    "Leg",
    "LegState",
    "Lineage",
    "Link",
    "OfferRefused",
    "Policy",
    "Problem",
    "Resolution",
    "Step",
    "Trail",
    "Unit",
    "UnsignedAllowed",
    "Weight",
    "check_acceptance",
    "finding_id",
    "fold",
    "judge",
    "policy_in_force",
    "resolution_in_force",
]

"""How much of a whole network one failure takes with it: the economic systemic risk index (ESRI). Pure.

Source: Diem, Borsos, Reisch, Kertész, Thurner, "Quantifying firm-level economic systemic risk from nation-wide
supply networks", Scientific Reports 12:7719 (2022), equations 4 to 10. It knows no stock, no time and no recovery: an
upper bound of what stops if nobody reacts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from risk.errors import RiskError
from risk.network import totals

Vector = NDArray[np.float64]


class Essential(IntEnum):
    """What a sector's goods are to a buyer's production."""

    IRRELEVANT = 0
    REPLACEABLE = 1
    """its loss costs its share of the inputs (linear)"""
    ESSENTIAL = 2
    """without it nothing is made (Leontief)"""


class NotConverged(RiskError):
    """A cascade that had not come to rest after `rounds` rounds; it decays slowly where goods run in circles."""

    def __init__(self, rounds: int, change: float) -> None:
        super().__init__(f"not at rest after {rounds} rounds, the last one still changed {change:.3g}")
        self.rounds = rounds
        self.change = change


@dataclass(frozen=True, slots=True)
class Cascade:
    """How a failure settles: for each firm what is left, 0 to 1, of its supply and of its demand side."""

    downstream: Vector
    upstream: Vector
    rounds: int

    @property
    def left(self) -> Vector:
        return np.minimum(self.downstream, self.upstream)


class FirmNetwork:
    """Firms that supply each other: `weights[i, j]` is what i sells to j, `sectors[i]` what kind of goods i makes.

    `essential[k, l]` says what goods of sector k are to makers of l. With `replaceable`, buyers of a failed firm go
    to the rest of its sector as far as that is large enough.
    """

    def __init__(
        self,
        weights: sparse.coo_array[np.float64],
        sectors: Sequence[int],
        essential: NDArray[np.int64],
        *,
        replaceable: bool = False,
    ) -> None:
        w = weights.copy()
        w.sum_duplicates()
        if w.nnz and w.data.min() < 0:
            raise RiskError("a firm cannot sell less than nothing")
        self.count = w.shape[0]
        source, target = (np.asarray(one, dtype=np.int64) for one in w.coords)
        sector = np.asarray(sectors, dtype=np.int64)
        self.sector = sector
        self.is_replaceable = replaceable
        self.out = totals(source, w.data, self.count)
        into = totals(target, w.data, self.count)
        groups = essential[sector[source], sector[target]]
        # Inputs of one essential sector to one firm are a group; the scarcest group decides.
        is_essential = groups == Essential.ESSENTIAL
        self.groups, group_of = np.unique(
            np.stack([target[is_essential], sector[source[is_essential]]]), axis=1, return_inverse=True
        )
        group_of = group_of.reshape(-1)
        size = self.groups.shape[1]
        total = totals(group_of, w.data[is_essential], size)
        self.essential = sparse.csr_array(
            (w.data[is_essential] / total[group_of], (group_of, source[is_essential])), shape=(size, self.count)
        )
        is_linear = groups == Essential.REPLACEABLE
        self.linear = sparse.csr_array(
            (w.data[is_linear] / into[target[is_linear]], (target[is_linear], source[is_linear])),
            shape=(self.count, self.count),
        )
        sold = np.divide(1.0, self.out, out=np.zeros(self.count), where=self.out > 0)
        self.upward = sparse.csr_array((w.data * sold[source], (source, target)), shape=(self.count, self.count))

    def cascade(self, left: Vector, *, precision: float = 1e-2, most_rounds: int = 10_000) -> Cascade:
        """Where the network settles when firm i keeps only `left[i]` of its output (0: it fails).

        Rounds end when none lost more than `precision`. Raises NotConverged.
        """
        down, up = left.copy(), left.copy()
        change = 0.0
        for number in range(1, most_rounds + 1):
            lost = self._substitution(down) * (1 - down)
            next_down = np.minimum(1 - _product(self.linear, lost), left)
            if self.groups.shape[1]:
                np.minimum.at(next_down, self.groups[0], 1 - _product(self.essential, lost))
            next_down = np.maximum(next_down, 0)
            next_up = np.maximum(np.minimum(left, 1 - _product(self.upward, 1 - up)), 0)
            change = max(np.max(down - next_down), np.max(up - next_up))
            down, up = next_down, next_up
            if change <= precision:
                return Cascade(down, up, number)
        raise NotConverged(most_rounds, change)

    def _substitution(self, down: Vector) -> Vector:
        """How much of what each firm fails to deliver is missed: the less, the more its sector has left."""
        if not self.is_replaceable:
            return np.ones(self.count)
        market = totals(self.sector, down * self.out, self.sector.max() + 1)[self.sector]
        return np.minimum(1.0, np.divide(self.out, market, out=self.out.copy(), where=market > 1e-10))


def _product(matrix: sparse.csr_array[np.float64], vector: Vector) -> Vector:
    return np.asarray(matrix @ vector, np.float64)


def systemic_risk(
    network: FirmNetwork, firms: Sequence[int] | None = None, *, precision: float = 1e-2
) -> dict[int, float]:
    """The ESRI of each firm: the share of all output, 0 to 1, that goes with it when it alone fails for good."""
    share = network.out / network.out.sum()
    found = {}
    for firm in range(network.count) if firms is None else firms:
        left = np.ones(network.count)
        left[firm] = 0
        found[firm] = float(share @ (1 - network.cascade(left, precision=precision).left))
    return found

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import coo_array

from risk.criticality import FirmNetwork, NotConverged, systemic_risk
from risk.errors import RiskError

LINEAR, LEONTIEF = np.full((5, 5), 1), np.full((5, 5), 2)
MIXED = np.full((5, 5), 1)
MIXED[[0, 1], :] = 2


@pytest.mark.parametrize(
    ("name", "essential", "replaceable"),
    [
        ("linear", LINEAR, False),
        ("leontief", LEONTIEF, False),
        ("mixed_sectors_1_2_essential", MIXED, False),
        ("linear_market", LINEAR, True),
        ("leontief_market", LEONTIEF, True),
    ],
)
def test_the_index_equals_the_authors_program(
    shared: Path, name: str, essential: np.ndarray[tuple[int, int], np.dtype[np.int64]], replaceable: bool
) -> None:
    case = json.loads((shared / "vectors/risk/known_answers.json").read_text())["esri_toy_11"]
    weights = np.zeros((11, 11))
    for supplier, customer in case["edges"]:
        weights[supplier - 1, customer - 1] = case["weight"]
    network = FirmNetwork(coo_array(weights), [one - 1 for one in case["sector"]], essential, replaceable=replaceable)
    found = systemic_risk(network, precision=case["eps"])
    assert list(found.values()) == pytest.approx(case[name], abs=1e-12)


def test_a_circle_that_decays_slowly_says_that_it_is_not_at_rest() -> None:
    ring = np.zeros((4, 4))
    ring[[0, 1, 2, 3], [1, 2, 0, 0]] = [1, 1, 1, 1e-6]
    network = FirmNetwork(coo_array(ring), [0] * 4, np.full((1, 1), 1))
    with pytest.raises(NotConverged, match="not at rest after 3 rounds"):
        network.cascade(np.array([1, 1, 1, 0.0]), precision=1e-15, most_rounds=3)


def test_nobody_sells_less_than_nothing() -> None:
    with pytest.raises(RiskError, match="less than nothing"):
        FirmNetwork(coo_array(np.array([[0.0, -1.0], [0.0, 0.0]])), [0, 0], np.full((1, 1), 1))

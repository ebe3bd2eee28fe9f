from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.house import House, house


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One running service for the tests of a module, on a real embedded chain; it examines in its own process."""
    with house(tmp_path_factory.mktemp("network")) as running:
        yield running


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[House]:
    """A service of its own for a test that changes the network."""
    with house(tmp_path) as running:
        yield running

"""The consortium that the contract tests share; each test gets it as founded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contracts.network import Network

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def founded() -> Network:
    return Network()


@pytest.fixture
def network(founded: Network) -> Iterator[Network]:
    with founded.undone():
        yield founded

"""Impact reports: what disruptions do to a member, signed by the service and registered through the one door."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.impact.shared import Checkpointed, SharedNetwork
from ledger_service.keys import Signer
from ledger_service.ledger import Ledger
from risk.disruption import Disruption
from risk.sharing import Hit


@dataclass(frozen=True)
class Reported:
    """A registered report: the id of its statement and its content."""

    digest: bytes
    content: Mapping[str, Any]


HitsOf = Callable[[Sequence[Disruption], Checkpointed], Sequence[Hit]]
"""What disruptions do to the sites of a network."""


class Reports:
    """Assesses disruptions for members and issues what comes of it as the service's own member `issuer`."""

    def __init__(self, ledger: Ledger, shared: SharedNetwork, *, issuer: bytes, signer: Signer, key: bytes) -> None:
        self._ledger = ledger
        self._shared = shared
        self._issuer = issuer
        self._signer = signer
        self._key = key

    def assess(self, reader: bytes, disruptions: Sequence[Disruption], *, at: Checkpointed, now: int) -> Reported:
        """The report of what `disruptions` do to `reader` by what is known `at` a checkpoint, registered at `now`.

        The same question has the same report: asked again, it is looked up.
        """
        raise NotImplementedError

    def assess_all(
        self, readers: Sequence[bytes], disruptions: Sequence[Disruption], *, at: Checkpointed, now: int
    ) -> dict[bytes, Reported]:
        """The report of each of `readers`, all of them registered when this returns."""
        raise NotImplementedError

"""Risk over the ledger: the network that signed facts make at a checkpoint, and what disruptions do to each member.

Here the ledger and the pure package `risk` meet. `shared` reads facts into a network and gives each member its view;
`reports` assesses disruptions, signs what comes of it as the service, and registers it like any statement.
"""

from collections.abc import Callable, Sequence
from functools import partial

from api.impact.disruptions import Disruptions
from api.impact.issuing import Issuing
from api.impact.reports import Reports
from api.impact.requests import FactRequests
from api.impact.shared import SharedNetwork
from api.impact.stated import StatedFacts
from api.impact.stress import Stress
from api.network import Network, owner_of
from ledger_service.ledger import Registration


class Impact:
    """All of it over one open network, as routes and rounds use it."""

    def __init__(self, network: Network, on_registered: Callable[[Sequence[Registration]], None]) -> None:
        keys = network.service

        def issuing(kind: str, key: bytes) -> Issuing:
            return Issuing(
                network.ledger,
                kind,
                issuer=network.service_member,
                signer=keys.operator,
                key=key,
                on_registered=on_registered,
            )

        self.disruptions = Disruptions(network.ledger)
        self.requests = FactRequests(network.ledger)
        self.stated = StatedFacts(network.ledger)
        self.shared = SharedNetwork(
            network.ledger, keys.derive("risk view"), owner_of=partial(owner_of, salt=network.salt)
        )
        self.reports = Reports(
            self.shared, self.disruptions, self.requests, issuing("impact-report", keys.derive("impact reports"))
        )
        self.stress = Stress(self.shared, self.requests, issuing("stress-report", keys.derive("stress reports")))

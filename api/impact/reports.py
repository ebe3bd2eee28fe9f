"""Impact reports: what disruptions do to a member, as statements of the service.

A report follows from its reader's view and from nothing else, so the same view has one report however often, and
whatever crashed before, it is asked for (`issuing`).
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import replace

from api.impact.disruptions import Disruptions
from api.impact.issuing import Draft, Issuing, Reported
from api.impact.requests import FactRequests
from api.impact.shared import Checkpointed, SharedNetwork
from ledger_service.errors import LedgerError
from risk.assessment import Assessment, assess
from risk.disruption import Disruption
from risk.sharing import Hit, LinkHit, View

KEPT_ASSESSMENTS = 512


class NoSites(LedgerError):
    """A member asked what happens to it, and no site of the network is its own."""

    def __init__(self) -> None:
        super().__init__(
            "no site of the network is yours at this checkpoint, so nothing can be said of you: state your sites "
            "(kind site) with what they make, need and have, and ask again when that is anchored"
        )


class Reports:
    """Assesses disruptions for members and has `issuing` state what comes of it."""

    def __init__(
        self, shared: SharedNetwork, disruptions: Disruptions, requests: FactRequests, issuing: Issuing
    ) -> None:
        self._shared = shared
        self._disruptions = disruptions
        self._requests = requests
        self._issuing = issuing
        self._lane = threading.Lock()
        self._assessments: OrderedDict[str, Assessment] = OrderedDict()
        self._drafts_at: Checkpointed | None = None
        self._drafts: dict[Hashable, Draft | None] = {}

    def view(self, reader: bytes, disruptions: Sequence[Disruption], *, at: Checkpointed) -> View:
        """What `reader` may see of the network and of what `disruptions` do in it; raises NoSites."""
        if reader not in at.owners:
            raise NoSites
        return self._view(reader, self._disruptions.hits(disruptions, at), at)

    def assess(self, reader: bytes, disruptions: Sequence[Disruption], *, at: Checkpointed, now: int) -> Reported:
        """The report of what `disruptions` do to `reader` by what is known `at` a checkpoint, registered at `now` (ms).

        Raises NoSites, and what registration raises.
        """
        return self._issuing.issue([self._drafted(self.view(reader, disruptions, at=at))], now)[0]

    def sees_change(
        self, reader: bytes, before: Sequence[Hit | LinkHit], now: Sequence[Hit | LinkHit], *, at: Checkpointed
    ) -> bool:
        """Whether `reader` can see anything of what `now` has otherwise than `before`."""
        if reader not in at.owners or list(before) == list(now):
            return False
        if not any(self._shared.sees(reader, at, hits) for hits in (before, now)):
            return False
        one, other = (self._view(reader, hits, at) for hits in (before, now))
        return (one.hits, one.link_hits) != (other.hits, other.link_hits)

    def compare(
        self, reader: bytes, disruptions: Sequence[Disruption], *, before: Checkpointed, at: Checkpointed
    ) -> tuple[Assessment | None, Assessment | None]:
        """What `disruptions` do to `reader` by the facts of two checkpoints on the same day, None where it sees nothing
        hit; one and the same where nothing that it may see has changed. Nothing is registered.
        """
        then = self._seen(reader, self._disruptions.hits(disruptions, before), before)
        now = self._seen(reader, self._disruptions.hits(disruptions, at), at)
        if then is not None and now is not None and replace(then, checkpoint=now.checkpoint).digest == now.digest:
            found = self._assessed(now)
            return found, found
        one, other = (None if view is None else self._assessed(view) for view in (then, now))
        return one, other

    def prepare(self, reader: bytes, disruptions: Sequence[Disruption], *, at: Checkpointed) -> None:
        """Work out ahead what `assess_all` will say to `reader`; nothing is registered. Raises what that would raise
        for this reader, so that it can leave out whom nothing can be signed for.
        """
        self._prepared(reader, self._disruptions.hits(disruptions, at), at)

    def assess_all(
        self, readers: Sequence[bytes], disruptions: Sequence[Disruption], *, at: Checkpointed, now: int
    ) -> dict[bytes, Reported]:
        """The reports of those of `readers` who see something hit, all of them registered when this returns.

        A member who sees nothing hit gets none: that there is one would tell it that something happened.
        """
        hits = self._disruptions.hits(disruptions, at)
        drafts = {one: draft for one in readers if (draft := self._prepared(one, hits, at)) is not None}
        return dict(zip(drafts, self._issuing.issue(list(drafts.values()), now), strict=True))

    def page(self, reader: bytes, after: int, limit: int) -> list[Reported]:
        """Up to `limit` reports for `reader` with numbers above `after`, the oldest first."""
        return self._issuing.page(reader, after, limit)

    def find(self, reader: bytes, digest: bytes) -> Reported:
        """The report for `reader` with this id; raises UnknownStatement, alike for those of others."""
        return self._issuing.find(reader, digest)

    # -- making --------------------------------------------------------------------------------------------------------

    def _view(self, reader: bytes, hits: Sequence[Hit | LinkHit], at: Checkpointed) -> View:
        return self._shared.view(reader, at, hits, self._requests.open_requests(reader, at.size))

    def _seen(self, reader: bytes, hits: Sequence[Hit | LinkHit], at: Checkpointed) -> View | None:
        """What `reader` may see, if anything of it is hit."""
        if reader not in at.owners or not self._shared.sees(reader, at, hits):
            return None
        return self._view(reader, hits, at)

    def _prepared(self, reader: bytes, hits: Sequence[Hit | LinkHit], at: Checkpointed) -> Draft | None:
        """The report of what `reader` sees of `hits`; those of the last checkpoint are kept, as views are large."""
        key = (reader, tuple(hits), self._requests.open_requests(reader, at.size))
        with self._lane:
            if self._drafts_at is not at or len(self._drafts) > KEPT_ASSESSMENTS:
                self._drafts_at, self._drafts = at, {}
            drafts = self._drafts
        if key not in drafts:
            view = self._seen(reader, hits, at)
            drafts[key] = None if view is None else self._drafted(view)
        return drafts[key]

    def _drafted(self, view: View) -> Draft:
        """The report that comes of a view; raises MalformedInput for one that cannot be signed."""
        return self._issuing.draft(bytes.fromhex(view.reader[2:]), self._assessed(view).content)

    def _assessed(self, view: View) -> Assessment:
        """What comes of a view; that of the last ones is kept."""
        with self._lane:
            known = self._assessments.get(view.digest)
        if known is None:
            known = assess(view)
            with self._lane:
                self._assessments[view.digest] = known
                if len(self._assessments) > KEPT_ASSESSMENTS:
                    self._assessments.popitem(last=False)
        return known

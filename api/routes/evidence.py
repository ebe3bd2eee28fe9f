"""Records of custody as bundles, to be judged offline."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import problems
from api.problems import documented
from api.routes import examples
from api.routes.bodies import gives, json_body, json_object
from api.service import Caller, asks
from api.visibility import Action
from ledger_service import bundle
from ledger_service.bundle_custody import Made, custody_bundle
from ledger_service.chain.errors import ChainUnavailable
from ledger_service.custody.kinds import read_unit
from ledger_service.errors import MalformedInput
from ledger_service.evidence import BUNDLE_FORMAT
from ledger_service.relaying import NotYetCertified
from ledger_service.trails import UnknownThing

router = APIRouter(prefix="/v1/custody", tags=["custody"])
MAX_UNITS = 500
HIDDEN = "Tallystick-Hidden"
"""The header that says how many statements about the units are not for the caller."""


@router.post(
    "/bundle",
    responses=gives(
        examples.RECEIPT | {"custody": {"certificates": [], "things": [], "units": []}, "format": BUNDLE_FORMAT},
        f"The audit bundle, to be verified offline. `{HIDDEN}` counts statements that are not for you.",
    )
    | documented(
        problems.Unauthenticated, UnknownThing, bundle.NotYetAnchored, NotYetCertified, bundle.TooLarge,
        MalformedInput, ChainUnavailable, problems.WrongMediaType,
    ),
    openapi_extra=json_body(
        {"genealogy": False, "pin": False, "units": ["(00)395210040009260175"]},
        "Units or batches, in any spelling of their identifiers. With `genealogy` all that they came from and went "
        "into goes in as well; `pin` leads the block headers up to the newest block.",
    ),
)  # fmt: skip
async def make_record(request: Request, caller: Caller = asks(Action.BUNDLE)) -> Response:
    """The record of custody of some units: what was said of them, the steps that the chain took, and that none is
    missing.
    """
    value = await json_object(request, "units", optional=("genealogy", "pin"))
    things = _things(value["units"])
    genealogy, pin = value.get("genealogy", False), value.get("pin", False)
    for name, flag in (("genealogy", genealogy), ("pin", pin)):
        if not isinstance(flag, bool):
            raise MalformedInput(f"{name} is true or false", f"/{name}")
    async with caller.service.bundling:
        made = await run_in_threadpool(record_for, caller, things, genealogy=genealogy, pin=pin)
    return Response(made.bundle.data, media_type="application/json", headers={HIDDEN: str(made.hidden)})


def record_for(caller: Caller, things: Iterable[str], *, genealogy: bool = False, pin: bool = False) -> Made:
    """The record of `things` (keys of identifiers) as far as the caller may see it."""
    service = caller.service
    chain = caller.ledger.anchoring.chain
    return custody_bundle(
        caller.ledger,
        service.trails,
        things,
        caller.sight,
        caller.shows,
        lambda units: service.relaying.certificates(units, service.now()),
        service.relaying.taken,
        genealogy=genealogy,
        pin_block=(lambda: chain.head().number) if pin else None,
    )


def _things(value: Any) -> list[str]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_UNITS:
        raise MalformedInput(f"units is a list of 1 to {MAX_UNITS} identifiers", "/units")
    return sorted({read_unit(one, f"/units/{place}").key for place, one in enumerate(value)})

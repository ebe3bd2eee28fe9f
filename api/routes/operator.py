"""What the operator does at the machine itself."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import backup, problems
from api.network import Network
from api.problems import documented
from api.routes.bodies import gives, json_body, json_object, text
from api.service import Caller, Json, asks
from api.visibility import Action
from ledger_service import invariants
from ledger_service.errors import MalformedInput
from ledger_service.keys import to_hex

router = APIRouter(prefix="/v1/operator", tags=["operator"])


@router.post(
    "/backup",
    responses=gives({"folder": "/backups/2026-09-21", "size": 128}, "A consistent pair of ledger and chain.")
    | documented(
        problems.Unauthenticated, problems.Forbidden, MalformedInput, backup.FolderNotEmpty, backup.CannotWrite
    ),
    openapi_extra=json_body({"folder": "/backups/2026-09-21"}, "An empty or new folder on the service's machine."),
)
async def make_backup(request: Request, caller: Caller = asks(Action.OPERATE)) -> Response:
    """Copy ledger, chain, keys and directory into an empty folder while nothing is registered or published."""
    value = await json_object(request, "folder")
    folder = Path(text(value["folder"], "/folder"))
    if not folder.is_absolute():
        raise MalformedInput("name the folder by its whole path", "/folder")
    if "\0" in str(folder):
        raise MalformedInput("no folder has such a name", "/folder")
    size = await run_in_threadpool(_back_up, caller.service.network, folder)
    return Json({"folder": str(folder), "size": size})


def _back_up(network: Network, folder: Path) -> int:
    try:
        return backup.back_up(network, folder)
    except OSError as error:
        raise backup.CannotWrite(f"{error.filename or folder}: {error.strerror or error}") from error


@router.get(
    "/check",
    responses=gives({"isClean": True, "violations": []}, "Every invariant that does not hold.")
    | documented(problems.Unauthenticated, problems.Forbidden),
)
def check(caller: Caller = asks(Action.OPERATE)) -> Response:
    """Walk every invariant of ledger and chain."""
    violations = [str(one) for one in invariants.check(caller.ledger, relaying=caller.service.relaying)]
    return Json({"isClean": not violations, "violations": violations})


@router.get(
    "/status",
    responses=gives({"anchored": 128, "backlog": 0, "registered": 128, "trouble": None}, "Is it keeping up?")
    | documented(problems.Unauthenticated, problems.Forbidden),
)
def status(caller: Caller = asks(Action.OPERATE)) -> Response:
    """How the service stands: sizes, backlog, the last anchor, what keeps publication and the rounds from going on."""
    service, ledger = caller.service, caller.ledger
    condition = service.publisher.condition
    queue = service.relaying.queue(service.now())
    value: dict[str, Any] = {
        "anchored": ledger.anchoring.anchored_size,
        "anchoredAt": condition.anchored_at,
        "backlog": ledger.waiting,
        "checkpointed": ledger.anchoring.checkpoint_size,
        "custody": {**asdict(queue), "relayer": to_hex(service.relaying.relayer)},
        "examinersReplaced": service.examiners.replaced,
        "failures": condition.failures,
        "feedReaders": service.feed.readers,
        "inside": service.door.inside,
        "isHalted": condition.is_halted,
        "origin": ledger.origin,
        "registered": ledger.size,
        "rounds": {name: asdict(one) for name, one in service.rounds.conditions.items()},
        "since": condition.since,
        "trouble": condition.trouble,
    }
    return Json(value)

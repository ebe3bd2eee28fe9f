"""The web application over an open network."""

import os
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.capture import Custodian
from api.network import Network, now_ms, read_passphrase
from api.routes import (
    alerts,
    capture,
    custody,
    disruptions,
    docs,
    evidence,
    facts,
    feed,
    health,
    impact,
    impact_pages,
    log,
    members,
    operator,
    pages,
    paper,
    plans,
    questions,
    statements,
    streams,
    stress,
    trails,
    webhooks,
)
from api.service import Service
from api.settings import Settings
from ledger_service import __version__

ROUTERS = (
    members,
    statements,
    streams,
    log,
    feed,
    webhooks,
    custody,
    trails,
    evidence,
    paper,
    capture,
    disruptions,
    alerts,
    impact,
    impact_pages,
    facts,
    plans,
    stress,
    health,
    operator,
    docs,
    pages,
    questions,
)
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "POST"})
DESCRIPTION = (
    "Signed supply-chain statements, registered in an append-only log that is anchored on a permissioned chain. All "
    "bytes are 0x and "
    "lower-case hexadecimal digits except in the C2SP formats; all times are milliseconds UTC."
)


def create_app(
    network: Network,
    settings: Settings,
    *,
    now: Callable[[], int] = now_ms,
    randomness: Callable[[int], bytes] = os.urandom,
) -> FastAPI:
    """The application that serves `network`. Its threads and processes run from start-up to shutdown; the network
    stays open.

    `now` is the clock, ms UTC, and must be the one the network was opened with. Raises LedgerError where custodial
    keys cannot be opened.
    """
    folder = network.folder / "custodial"
    passphrase = read_passphrase(settings) if folder.is_dir() and any(folder.iterdir()) else None
    custodian = Custodian.unlock(folder, network.service, passphrase, randomness)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = Service(network, settings, now, randomness, custodian)
        app.state.service = service
        try:
            await run_in_threadpool(service.start)
            yield
        finally:
            await run_in_threadpool(service.close)

    app = FastAPI(
        title=f"Tallystick: {network.ledger.origin}",
        description=DESCRIPTION,
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # FastAPI's own schema of a validation error is none that we answer with.
        separate_input_output_schemas=False,
    )
    for one in ROUTERS:
        app.include_router(one.router)
    problems.install(app)
    app.add_middleware(Counting, app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign] # FastAPI's documented way to extend the schema
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
        )
        components = schema.setdefault("components", {})
        components["schemas"] = {"Problem": dict(problems.SCHEMA)}
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                # What FastAPI says of its own validation is said by `malformed-request` instead.
                if "HTTPValidationError" in str(operation["responses"].get("422", "")):
                    del operation["responses"]["422"]
                for answer in operation["responses"].values():
                    # FastAPI adds its default media type to routes that answer in another.
                    others = [one for one in answer.get("content", ()) if one != "application/json"]
                    if others and "example" not in answer["content"].get("application/json", {"example": None}):
                        del answer["content"]["application/json"]
                if not re.match(r"/v1/(auth|network)|/health|/metrics", path):
                    operation["security"] = [{"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema


class Server(uvicorn.Server):
    """Serves the app; at the end it lets the readers of the feed go, for whom uvicorn would wait."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app = self.config.loaded_app if isinstance(self.config.loaded_app, FastAPI) else self.config.app
        if isinstance(app, FastAPI) and hasattr(app.state, "service"):
            app.state.service.feed.close()
        await super().shutdown(sockets)


class Counting:
    """Counts requests by route and outcome, and refusals by kind of problem."""

    def __init__(self, app: ASGIApp, whole: FastAPI) -> None:
        self._app = app
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count(scope, message["status"])
                headers = [*message.get("headers", ()), (b"x-content-type-options", b"nosniff")]
                if not any(name.lower() == b"cache-control" for name, _ in headers):
                    # What one member may see must not be kept by anything between us and that member.
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = headers
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            # It becomes a problem further out.
            scope["state"]["problem"] = problems.KINDS[Exception].name
            self._count(scope, 500)
            raise

    def _count(self, scope: Scope, status: int) -> None:
        metrics = self._whole.state.service.metrics
        route = getattr(scope.get("route"), "path", "none")
        # Whoever calls may make up methods; each would be a metric of its own.
        method = scope["method"] if scope["method"] in METHODS else "other"
        metrics.requests.labels(route, method, status).inc()
        problem = scope["state"].get("problem")
        if problem is not None:
            metrics.refusals.labels(problem).inc()

"""The courier: carries messages to webhooks, many at a time and one at a time to each, in a thread of its own.

Between two messages a webhook gives its place to the next one, so a slow receiver holds up its own messages alone.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

import httpx

from api.outbound import CallFailed, Resolve, Target, UnfitAddress, open_client, post, resolve
from api.webhooks import Message, Outcome, Webhooks, outcome_of

AT_ONCE = 32
"""Messages on the way at a time."""
SECONDS = 10.0
"""How long a receiver has for its whole answer."""
IDLE_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Courier:
    """Delivers what is due until it is closed. `now` is ms UTC."""

    def __init__(
        self,
        webhooks: Webhooks,
        now: Callable[[], int],
        *,
        resolve: Resolve = resolve,
        at_once: int = AT_ONCE,
        seconds: float = SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._webhooks = webhooks
        self._now = now
        self._resolve = resolve
        self._at_once = at_once
        self._seconds = seconds
        self._idle = idle_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._is_ready = threading.Event()
        self._is_closing = False
        self._client: httpx.AsyncClient | None = None
        self._visits: dict[str, asyncio.Task[None]] = {}
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._is_ready.wait()

    def nudge(self) -> None:
        """There may be something to deliver. May be called in any thread, as often as it likes."""
        loop, wake = self._loop, self._wake
        if loop is not None and wake is not None:
            with suppress(RuntimeError):  # the loop has closed
                loop.call_soon_threadsafe(wake.set)

    def attempt(self, message: Message) -> "Future[tuple[int | None, str | None]]":
        """Send a message once, whatever comes of it: the status, or what went wrong. Nothing is noted."""
        assert self._loop is not None, "the courier has not started"
        return asyncio.run_coroutine_threadsafe(self._send(message), self._loop)

    def close(self) -> None:
        """Give up what is on the way (it will come again), and stop."""
        self._is_closing = True
        self.nudge()
        if self._thread.is_alive():
            self._thread.join(30)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._is_ready.set()
        places = asyncio.Semaphore(self._at_once)
        try:
            while not self._is_closing:
                self._wake.clear()
                try:
                    for name in await asyncio.to_thread(self._webhooks.due, self._now()):
                        if name not in self._visits:
                            self._visits[name] = asyncio.create_task(self._visit(name, places))
                except Exception:  # noqa: BLE001 - the courier outlives whatever is wrong; the operator is told
                    _log.exception("webhooks could not be looked at")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._idle)
        finally:
            for task in list(self._visits.values()):
                task.cancel()
            await asyncio.gather(*self._visits.values(), return_exceptions=True)
            if self._client is not None:
                await self._client.aclose()

    async def _visit(self, name: str, places: asyncio.Semaphore) -> None:
        """Bring a webhook what is due, until it fails or nothing is left."""
        try:
            while not self._is_closing:
                messages = await asyncio.to_thread(self._webhooks.next, name, self._now())
                if not messages:
                    return
                for message in messages:
                    async with places:
                        status, trouble = await self._send(message)
                    outcome = Outcome.DOWN if status is None else outcome_of(status)
                    await asyncio.to_thread(self._webhooks.record, message, outcome, trouble, self._now())
                    if outcome is Outcome.DOWN:
                        break
        except Exception:  # noqa: BLE001 - as above
            _log.exception("a webhook could not be served")
        finally:
            del self._visits[name]

    async def _send(self, message: Message) -> tuple[int | None, str | None]:
        if self._client is None:
            self._client = open_client()
        try:
            target = Target.parse(message.webhook.url, self._webhooks.allowed)
            status = await post(
                self._client,
                target,
                message.body,
                self._webhooks.headers(message, self._now()),
                seconds=self._seconds,
                resolve=self._resolve,
            )
        except (CallFailed, UnfitAddress) as error:
            return None, str(error)
        return status, None if 200 <= status < 300 else f"answered {status}"

"""A real browser for tests: headless Chromium with the size of a telephone, told what to do over its debugging port."""

import base64
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

WIDTH, HEIGHT = 390, 844
_PATIENCE_SECONDS = 30
_NAMES = ("chromium", "chromium-browser", "google-chrome")


class Browser:
    """One page. What it says on the console is kept: a page of ours has nothing to say."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT, deviceScaleFactor=2, mobile=True)
        self._loads = 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The browser's answer; what it tells meanwhile is noted."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._socket.recv(timeout=_PATIENCE_SECONDS))
        if answer.get("method") == "Page.loadEventFired":
            self._loads += 1
        elif answer.get("method") == "Log.entryAdded":
            said = answer["params"]["entry"]["text"]
            if "responded with a status of 4" not in said:  # a page that says no is a page
                self.complaints.append(said)
        elif answer.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(answer["params"]["exceptionDetails"]["text"]))
        return answer

    def script(self, enabled: bool) -> None:
        """Whether pages may run scripts; what a test asks of the page is answered all the same."""
        self.call("Emulation.setScriptExecutionDisabled", value=not enabled)

    def open(self, address: str) -> None:
        seen = self._loads
        self.call("Page.navigate", url=address)
        self._wait(seen)

    def ask(self, expression: str) -> Any:
        """What `expression` comes to on the page, as JSON."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def click(self, selector: str, *, loads: bool = False) -> None:
        """Touch the middle of an element; with `loads` wait for the next page."""
        place = self.ask(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)}); "
            "one.scrollIntoView({block: 'center'}); const box = one.getBoundingClientRect(); "
            "return [box.x + box.width / 2, box.y + box.height / 2] })()"
        )
        seen = self._loads
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)
        if loads:
            self._wait(seen)

    def press(self, name: str, *, loads: bool = False) -> None:
        """Press a key: Tab, Enter or Space."""
        code = {"Tab": 9, "Enter": 13, "Space": 32}[name]
        key = " " if name == "Space" else name
        text = {"Tab": "", "Enter": "\r", "Space": " "}[name]
        seen = self._loads
        for kind, typed in (("keyDown", text), ("keyUp", "")):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=name, windowsVirtualKeyCode=code, text=typed)
        if loads:
            self._wait(seen)

    def write(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def picture(self, path: Path, width: int = WIDTH) -> None:
        """The whole page as PNG."""
        height = self.ask("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _wait(self, seen: int) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        while self._loads <= seen:
            assert time.monotonic() < end, "the page does not load"
            self._next()


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser of its own with an empty profile; skips where there is none on this machine."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("no chromium on the PATH: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--remote-debugging-port=0", f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        try:
            assert process.stderr is not None
            port = next(
                found.group(1)
                for line in process.stderr
                if (found := re.search(r"ws://127\.0\.0\.1:(\d+)/", line)) is not None
            )
            with connect(_page(port), max_size=None) as socket:
                yield Browser(socket)
        finally:
            process.terminate()
            process.wait(20)
            if process.stderr is not None:
                process.stderr.close()


def _page(port: str) -> str:
    import httpx

    for _ in range(100):
        for one in httpx.get(f"http://127.0.0.1:{port}/json/list").json():
            if one["type"] == "page":
                address: str = one["webSocketDebuggerUrl"]
                return address
        time.sleep(0.1)
    raise AssertionError("the browser opens no page")

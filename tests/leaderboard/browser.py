"""A small driver for a headless Chromium over its debugging pipe: no port, no further package."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip

PATIENCE = 100
"""Seconds that Chromium may take for an answer: a machine with other work on it is slow, not broken."""


def find() -> str | None:
    """Path of an installed Chromium, or None. `RuntimeError` where RADBENCH_REQUIRE says that there must be one, as in CI."""
    path = next((path for name in NAMES if (path := shutil.which(name))), None)
    if path is None and "browser" in os.environ.get("RADBENCH_REQUIRE", "").split(","):
        raise RuntimeError("tests must not do without a browser here: install chromium")
    return path


class Page:
    """One tab. `problems` gathers console messages, exceptions and requests that leave the disk."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write, self._buffer, self._last = read, write, b"", 0
        self._events: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self.requests: list[str] = []
        target = self._send("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session: str | None = self._send("Target.attachToTarget", {"targetId": target, "flatten": True})[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable", {})

    def _send(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive(PATIENCE)
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _receive(self, seconds: float) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            chunk = os.read(self._read, 1 << 16) if ready else b""
            if not chunk:
                raise TimeoutError("Chromium did not answer")
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        kind, params = event.get("method"), event.get("params", {})
        if kind == "Runtime.exceptionThrown":
            self.problems.append(str(params["exceptionDetails"]))
        elif kind == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(str(params["args"]))
        elif kind == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])
        elif kind == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif kind == "Network.loadingFailed" and not params.get("canceled"):
            self.problems.append(f"not loaded: {params.get('errorText')}")

    def open(
        self,
        path: Path,
        *,
        width: int = 1280,
        height: int = 1000,
        dark: bool = False,
        script: bool = True,
        fragment: str = "",
    ) -> None:
        """Show a file in a window of that size and theme; with `script` off as a browser without JavaScript would.

        `fragment` is what follows `#` in the address. The page is always loaded anew.
        """
        self._send("Emulation.setDeviceMetricsOverride",
                   {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})  # fmt: skip
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", {"features": [theme]})
        self._send("Emulation.setScriptExecutionDisabled", {"value": not script})
        self._events.clear()
        # Between two addresses that differ in the fragment alone a browser would not load anything.
        self._send("Page.navigate", {"url": "about:blank"})
        while not any(event.get("method") == "Page.loadEventFired" for event in self._events):
            self._note(self._receive(PATIENCE))
        self._events.clear()
        address = path.resolve().as_uri() + (f"#{fragment}" if fragment else "")
        self._send("Page.navigate", {"url": address})
        while not any(event.get("method") == "Page.loadEventFired" for event in self._events):
            self._note(self._receive(PATIENCE))

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page."""
        result = self._send("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until a JavaScript expression holds in the page; `RuntimeError` where it does not come to hold."""
        self.evaluate(
            "new Promise((done, failed) => { const end = Date.now() + 60000; (function look() { "
            f"if ({condition}) done(true); else if (Date.now() > end) failed(new Error('not in time')); "
            "else setTimeout(look, 20); })() })"
        )

    def press(self, key: str, code: int) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self._send(
                "Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, **text}
            )

    def screenshot(self) -> bytes:
        """PNG of the whole page."""
        import base64

        size = self._send("Page.getLayoutMetrics", {})["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        return base64.b64decode(
            self._send("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})["data"]
        )


@contextmanager
def page(profile: Path) -> Iterator[Page]:
    """A tab of a fresh Chromium with a new profile in the folder `profile`; both end with the block."""
    program = find()
    assert program is not None
    to_child, ours_out = os.pipe()
    ours_in, from_child = os.pipe()

    def place() -> None:  # Chromium reads commands from descriptor 3 and answers on 4
        first, second = os.dup(to_child), os.dup(from_child)
        os.dup2(first, 3)
        os.dup2(second, 4)

    process = subprocess.Popen(
        [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=place,
    )  # fmt: skip
    os.close(to_child)
    os.close(from_child)
    try:
        yield Page(ours_in, ours_out)
    finally:
        os.close(ours_out)
        os.close(ours_in)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

"""A headless Chromium driven through the DevTools protocol, for tests of what a page does in a real browser."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import websocket

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)

_KEYS = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "ArrowUp": 38, "ArrowDown": 40, "Tab": 9}
_KEYS |= {"End": 35, "Home": 36}


class Browser:
    """One browser with one page. Use it in a ``with`` statement.

    ``problems`` collects what a developer would see in red: uncaught exceptions, ``console.error`` and what the
    browser itself reports, violations of the Content-Security-Policy among it. ``requests`` are the addresses of all
    loads but ``data:``. All durations are seconds.
    """

    def __init__(self, *, timeout: float = 60.0) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._timeout = timeout
        self._number = 0
        self._session = ""

    def __enter__(self) -> Browser:
        if CHROMIUM is None:
            raise RuntimeError("no Chromium is installed")
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._socket = websocket.create_connection(self._address(), timeout=self._timeout)
            self._attach()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._session = ""
            self.call("Browser.close")
        except (OSError, websocket.WebSocketException):
            pass  # It may close the connection before it answers.
        self._socket.close()
        self._stop()

    def _stop(self) -> None:
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._profile.cleanup()

    def _address(self) -> str:
        """The address of the DevTools socket, which the browser writes into its profile once it listens."""
        announced = Path(self._profile.name) / "DevToolsActivePort"
        end = time.monotonic() + self._timeout
        while time.monotonic() < end and self._process.poll() is None:
            if announced.is_file() and len(lines := announced.read_text().split()) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            time.sleep(0.02)
        self._process.kill()
        raise RuntimeError(f"{CHROMIUM} did not start (exit code {self._process.poll()})")

    def _attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a DevTools command; events that come before it are noted.

        Raises:
            RuntimeError: the browser refused the command.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while True:
            reply = json.loads(self._socket.recv())
            if reply.get("id") == self._number:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']['message']}")
                return dict(reply["result"])
            self._note(reply)

    def _note(self, event: dict[str, Any]) -> None:
        method, details = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            thrown = details["exceptionDetails"]
            self.problems.append(thrown.get("exception", {}).get("description", thrown["text"]))
        elif method == "Runtime.consoleAPICalled" and details["type"] in {"error", "warning", "assert"}:
            self.problems.append(" ".join(str(item.get("value", item.get("description"))) for item in details["args"]))
        elif method == "Log.entryAdded" and details["entry"]["level"] in {"error", "warning"}:
            self.problems.append(details["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not details["request"]["url"].startswith("data:"):
            self.requests.append(details["request"]["url"])

    def open(self, page: Path | str, ready: str = "document.readyState === 'complete'") -> float:
        """Load a file, or an address, and wait until the expression ``ready`` holds; the seconds it took."""
        # The answer to the command may come while the former document is still there.
        self.evaluate("window.former = true")
        started = time.perf_counter()
        self.call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        self.wait(f"!window.former && document.documentElement !== null && {ready}")
        return time.perf_counter() - started

    def evaluate(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression; a promise is awaited.

        Raises:
            AssertionError: the expression threw.
        """
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"].get("exception", {}).get("description", expression))
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until the expression is true.

        Raises:
            AssertionError: it did not become true in time.
        """
        end = time.monotonic() + self._timeout
        while not self.evaluate(expression):
            if time.monotonic() > end:
                raise AssertionError(f"still not true after {self._timeout:.0f} s: {expression}")
            time.sleep(0.01)

    def settle(self) -> None:
        """Wait until what the page has asked to be done before the next two frames is done."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def viewport(self, width: int, height: int, *, dark: bool = False) -> None:
        """Set the size of the page in CSS pixels and the colour scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.settle()

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key: one character, or ``Enter``, ``Escape``, ``Tab``, ``Home``, ``End`` or an arrow."""
        common: dict[str, Any] = {
            "key": key,
            "windowsVirtualKeyCode": _KEYS.get(key, 0),
            "modifiers": 8 if shift else 0,
        }
        text = "\r" if key == "Enter" else key if len(key) == 1 else ""
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)
        self.settle()

    def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        self.call("Input.insertText", text=text)
        self.settle()

    def move(self, x: float, y: float) -> None:
        """Move the mouse to a point of the viewport, in CSS pixels."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.settle()

    def click(self, x: float, y: float) -> None:
        """Click at a point of the viewport, in CSS pixels."""
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.settle()

    def centre(self, selector: str) -> tuple[float, float]:
        """The middle of the first element that matches, in CSS pixels of the viewport."""
        box = self.evaluate(
            f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        return box[0], box[1]

    def screenshot(self, path: Path) -> None:
        """Write what the viewport shows as a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def pdf(self) -> bytes:
        """The page as it prints."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

"""A headless Chromium, driven through a pipe by its own DevTools protocol: no driver is needed.

It reports what a page asks for, and everything that it writes to the console.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # which root cannot have
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-default-browser-check",
    "--window-size=1000,1200",
)
SECONDS = 15.0  # for anything that is waited for


class Browser:
    """One tab of a headless Chromium."""

    def __init__(self, folder: Path):
        self.events: list[dict[str, Any]] = []
        self._number, self._session, self._read = 0, "", b""
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        words = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        with (folder / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(  # its ends of the pipe are 3 and 4
                ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs_in, theirs_out),
                start_new_session=True,
            )
        os.close(theirs_in)
        os.close(theirs_out)
        self._downloads = folder / "downloads"
        asked = {"downloadPath": str(self._downloads), "eventsEnabled": True}
        self.call("Browser.setDownloadBehavior", behavior="allowAndName", **asked)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End Chromium and all its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """Ask Chromium for something."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": given}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            message = self._message(deadline)
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message}"
                return dict(message["result"])
            self.events.append(message)
        raise AssertionError(f"no answer to {method}")

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(self._in, 2**20) if ready else b""
            assert part, "Chromium does not answer"
            self._read += part
        first, _, self._read = self._read.partition(b"\0")
        return dict(json.loads(first))

    def open(self, address: str) -> None:
        """Go to a page, with nothing left over from the one before."""
        self.events.clear()
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", **asked)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if self.js(f"Boolean({condition})"):
                return
            time.sleep(0.02)
        raise AssertionError(
            f"never: {condition}; the page shows\n{self.js('document.body.innerText')}"
        )

    def text(self, selector: str) -> str:
        """What stands in an element."""
        return str(self.js(f"document.querySelector({json.dumps(selector)}).textContent"))

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a mouse does."""
        x, y = self.js(
            "(element => {"
            "element.scrollIntoView({block: 'center'});"
            "const box = element.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })"
            f"(document.querySelector({json.dumps(selector)}))"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            where = {"type": kind, "x": x, "y": y, "clickCount": 1}
            self.call("Input.dispatchMouseEvent", button="left", **where)

    def press(self, key: str, number: int, text: str = "") -> None:
        """Press a key of the keyboard, which may write something."""
        for kind in ("keyDown", "keyUp"):
            asked = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": number}
            self.call("Input.dispatchKeyEvent", text=text, **asked)

    def write(self, selector: str, text: str) -> None:
        """Put text into a field in place of what it holds, as the keyboard does."""
        self.js(f"document.querySelector({json.dumps(selector)}).select()")
        self.js(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def downloaded(self) -> tuple[str, str]:
        """Name and text of the file that is being downloaded, once it is complete."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            found = {event["method"]: event["params"] for event in self.events}
            if found.get("Browser.downloadProgress", {}).get("state") == "completed":
                begun = found["Browser.downloadWillBegin"]
                return begun["suggestedFilename"], (self._downloads / begun["guid"]).read_text()
            self.js("null")  # hears of events
            time.sleep(0.02)
        raise AssertionError("nothing was downloaded")

    def complaints(self) -> list[str]:
        """What the page wrote to the console, or failed with."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event) for event in self.events if event["method"] in kinds]

    def requests(self) -> list[str]:
        """The addresses that the page has asked."""
        sent = [event for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [str(event["params"]["request"]["url"]) for event in sent]

"""A headless Chromium that tests can click and type in: a small client of its DevTools protocol, over a pipe.

Protocol: https://chromedevtools.github.io/devtools-protocol/. Messages are JSON, each ended by a zero byte; the browser
reads them from file descriptor 3 and writes to 4.
"""

import fcntl
import json
import os
import pathlib
import select
import shutil
import time

BINARY = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1200,900",
]
SHIFT = 8
CODES = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
PATIENCE = 60.0  # seconds: far more than any answer takes on a busy machine


class Browser:
    """A context manager; `profile` is an empty folder for the browser's own files."""

    def __init__(self, profile: pathlib.Path):
        self.profile = profile
        self.messages, self.rest, self.number = [], b"", 0

    def __enter__(self) -> "Browser":
        theirs_in, self.to = _pipe()
        self.back, theirs_out = _pipe()
        actions = [(os.POSIX_SPAWN_DUP2, theirs_in, 3), (os.POSIX_SPAWN_DUP2, theirs_out, 4)]
        actions += [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
        command = [BINARY, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"]
        self.process = os.posix_spawn(BINARY, command, os.environ, file_actions=actions)
        os.close(theirs_in)
        os.close(theirs_out)
        return self

    def __exit__(self, *_):
        self.call("Browser.close")
        os.waitpid(self.process, 0)
        os.close(self.to)
        os.close(self.back)

    def call(self, method: str, session: str | None = None, **parameters) -> dict:
        """The result of a method of the protocol."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self.number:
            self.messages.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _next(self) -> dict:
        while b"\0" not in self.rest:
            if not select.select([self.back], [], [], PATIENCE)[0]:
                raise TimeoutError("the browser does not answer")
            read = os.read(self.back, 1 << 20)
            if not read:
                raise EOFError("the browser has ended")
            self.rest += read
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)


class Tab:
    """One page, opened at `url` and ready when the expression `ready` is true."""

    def __init__(self, browser: Browser, url: str, ready: str = "document.body?.dataset.ready === 'true'"):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=url)
        self.wait(ready)

    def call(self, method: str, **parameters) -> dict:
        return self.browser.call(method, self.session, **parameters)

    def value(self, expression: str):
        """What JavaScript makes of the expression; promises are awaited."""
        options = {"returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", expression=expression, **options)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until the expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.value(condition):
            if time.monotonic() > end:
                raise TimeoutError(f"this never became true: {condition}")
            time.sleep(0.02)

    def click(self, element: str, shift: bool = False) -> None:
        """A click of the left button in the middle of the element that the expression gives."""
        self.value(f"{element}.scrollIntoView({{block: 'center'}})")
        box = self.value(f"{element}.getBoundingClientRect().toJSON()")
        where = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "modifiers": SHIFT * shift}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **where)

    def press(self, key: str, shift: bool = False) -> None:
        """A key down and up, by its name in `KeyboardEvent.key`."""
        event = {"key": key, "modifiers": SHIFT * shift, "windowsVirtualKeyCode": CODES.get(key, 0)}
        event |= {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def events(self, method: str) -> list[dict]:
        """The parameters of all events of this name so far."""
        mine = [m for m in self.browser.messages if m.get("sessionId") == self.session]
        return [message["params"] for message in mine if message.get("method") == method]


def _pipe() -> tuple[int, int]:
    """Both ends away from the low numbers that the browser's own ends will have."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high

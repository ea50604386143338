"""A page in headless Chromium: wait for what it shows, take a picture."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from websockets.sync.client import ClientConnection, connect

START_SECONDS = 60.0
SIZE = (1440, 1000)


class Page:
    """One tab, driven by Chromium's DevTools protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0

    def open(self, url: str) -> None:
        """Go to an address."""
        self._call("Page.navigate", url=url)

    def wait_for(self, *texts: str, seconds: float = 60.0) -> str:
        """Wait until the page shows all texts, and return all that it shows."""
        deadline = time.monotonic() + seconds
        while True:
            shown = str(self.evaluate("document.body ? document.body.innerText : ''"))
            if all(text.lower() in shown.lower() for text in texts):
                return shown
            missing = [text for text in texts if text.lower() not in shown.lower()]
            assert time.monotonic() < deadline, f"{missing} not shown, but: {shown[:3000]}"
            time.sleep(0.5)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def resize(self, width: int, height: int = 900) -> None:
        """Give the window another size, also one that Chromium would not make."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def click(self, text: str, *, row: str = "") -> None:
        """Click the innermost element that shows exactly this text, in a table's row if given."""
        is_wanted = f"element.innerText === {json.dumps(text)}"
        if row:
            is_wanted += f" && element.closest('tr')?.innerText.startsWith({json.dumps(row)})"
        count = self.evaluate(
            "(() => { const shown = [...document.querySelectorAll('a, button, span')].filter("
            f"element => {is_wanted}); shown.at(-1)?.click(); return shown.length }})()"
        )
        assert count, f"{text} is not shown"

    def picture(self, file: Path) -> None:
        """Write what the window shows as PNG."""
        found = self._call("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(found["data"]))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        self._connection.send(json.dumps(message))
        while True:  # events come in between
            answer = json.loads(self._connection.recv(timeout=60))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])


@contextmanager
def chromium_page(program: str, profile: Path) -> Iterator[Page]:
    """Start Chromium with a profile of its own, and leave none of its processes and files."""
    with tempfile.TemporaryDirectory(prefix="ch-", dir="/tmp") as temp:  # it puts a socket there
        with _started(program, profile, Path(temp)) as process:
            port = _port(process, profile / "DevToolsActivePort")
            with connect(_page_address(port), max_size=2**27) as connection:
                yield Page(connection)


@contextmanager
def _started(program: str, profile: Path, temp: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        + ["--remote-debugging-port=0", "--no-first-run", "--hide-scrollbars"]
        + [f"--user-data-dir={profile}", f"--window-size={SIZE[0]},{SIZE[1]}", "about:blank"],
        env=os.environ | {"TMPDIR": str(temp)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        family = [*psutil.Process(process.pid).children(recursive=True)]
        process.terminate()
        _, alive = psutil.wait_procs([psutil.Process(process.pid), *family], timeout=10)
        for one in alive:
            one.kill()
        process.wait()


def _port(process: subprocess.Popen[bytes], file: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    while not (file.exists() and file.read_text().strip()):
        assert process.poll() is None, "Chromium ended at once"
        assert time.monotonic() < deadline, "Chromium does not start"
        time.sleep(0.1)
    return int(file.read_text().splitlines()[0])


def _page_address(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
        pages = [one for one in json.loads(answer.read()) if one["type"] == "page"]
    return str(pages[0]["webSocketDebuggerUrl"])

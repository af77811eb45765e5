"""As much of Playwright's interface as the host uses.

The command "hang" never comes back, as with a page whose process is stopped; "outlive" comes
back when the trainer is gone; "crash" raises.
"""

import json
import os
import subprocess
import threading
import time
from typing import Any, Self


class Page:
    """A page of nothing; it tells the browser's pid as the game's version."""

    def __init__(self, browser: "subprocess.Popen[bytes]") -> None:
        """Belong to a browser."""
        self._browser = browser
        self._scripts: list[str] = []

    def add_init_script(self, script: str) -> None:
        """Remember a script."""
        self._scripts.append(script)

    def goto(self, url: str, **options: Any) -> None:
        """Go nowhere."""
        assert url.startswith("http")
        assert self._scripts
        assert options == {"wait_until": "load", "timeout": 0}

    def evaluate(self, expression: str, command: str | None = None) -> str:
        """Return what is to be seen."""
        assert expression.startswith(("() => evertrain.begin", "(command) => evertrain.act"))
        if command == "hang":
            threading.Event().wait()
        if command == "outlive":
            trainer = os.getppid()
            while os.getppid() == trainer:
                time.sleep(0.001)
        if command == "crash":
            raise RuntimeError("Page.evaluate: Target crashed")
        seen = {"aircraft": [], "conflicts": [], "score": 0, "errors": {"count": 0, "last": ""}}
        return json.dumps(seen | {"version": str(self._browser.pid)})


class Context:
    """A profile."""

    def __init__(self, browser: "subprocess.Popen[bytes]") -> None:
        """Belong to a browser."""
        self._browser = browser

    def route(self, predicate: Any, handle: Any) -> None:
        """Refuse nothing: nothing is asked for."""
        assert predicate("http://elsewhere.example/")
        assert callable(handle)

    def new_page(self) -> Page:
        """Return a page."""
        return Page(self._browser)

    def close(self) -> None:
        """Do nothing."""


class Browser:
    """A program that sleeps, in a session of its own."""

    def __init__(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(["sleep", "1000"], start_new_session=True)

    def new_context(self, **_: Any) -> Context:
        """Return a profile."""
        return Context(self._process)


class BrowserType:
    """Starts browsers."""

    def launch(self, **options: Any) -> Browser:
        """Start one that leaves signals alone."""
        assert not any(options[f"handle_{name}"] for name in ("sigint", "sigterm", "sighup"))
        return Browser()


class Playwright:
    """Its context manager."""

    chromium = BrowserType()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the browser running: the worst that it may do."""


def sync_playwright() -> Playwright:
    """Return it."""
    return Playwright()

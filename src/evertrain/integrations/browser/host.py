"""The program that drives one browser for one environment.

    python -m evertrain.integrations.browser.host HANDLE TRAINER_PID TRAINER_START DIRECTORY

Each order is a line of JSON, and so is each answer: {"look": ...}, or {"error": "..."} and the
end. It ends when the line is cut, and when its trainer dies, even in the middle of a call that
never returns; the browser ends with it.

Layer: integrations. Imports its siblings and core.
"""

import json
import os
import select
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol
from urllib.parse import urlsplit

from evertrain.core import proc
from evertrain.core.document import parse_line
from evertrain.core.errors import first_line
from evertrain.integrations.browser.scratch import remove

# No page is in front of anybody: it draws and counts as if it were.
_ARGUMENTS: Final = (
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--mute-audio",
)
_PAGE: Final = {"width": 1024, "height": 768}
_INLINE: Final = ("data:", "blob:")
_LEAVING: Final = threading.Lock()


class Pages(Protocol):
    """Where games are played, one at a time."""

    def begin(self, url: str, script: str, chromium: str | None) -> str:
        """Open a fresh page, with `script` before its own. Return what is to be seen, as JSON."""

    def act(self, command: str) -> str:
        """Give a command, and let time pass. Return what is to be seen, as JSON."""


def serve(orders: Iterable[bytes], tell: Callable[[bytes], Any], pages: Pages) -> None:
    """Obey until there are no more orders, or one fails."""
    for order in orders:
        try:
            told = _obey(pages, parse_line(order))
        except Exception as error:  # noqa: BLE001  (whatever a browser does: the trainer is told)
            tell(json.dumps({"error": first_line(error)}).encode() + b"\n")
            return
        tell(b'{"look": ' + told.encode() + b"}\n")


def _obey(pages: Pages, order: dict[str, Any]) -> str:
    if order["do"] == "begin":
        return pages.begin(order["url"], order["script"], order["chromium"])
    return pages.act(order["command"])


class BrowserPages:
    """Pages of a Chromium that is started with the first of them.

    Args:
        chromium: Playwright's `chromium`.
    """

    def __init__(self, chromium: Any) -> None:
        """Start nothing yet."""
        self._chromium = chromium
        self._browser: Any = None
        self._context: Any = None
        self._page: Any = None

    def begin(self, url: str, script: str, chromium: str | None) -> str:
        """See `Pages.begin`."""
        if self._browser is None:
            self._browser = self._chromium.launch(
                executable_path=chromium,
                args=list(_ARGUMENTS),
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
                timeout=0,
            )
        if self._context is not None:
            self._context.close()
        self._context = self._browser.new_context(
            viewport=_PAGE, locale="en-US", timezone_id="UTC", service_workers="block"
        )
        self._context.route(lambda address: is_elsewhere(address, url), _refuse)
        self._page = self._context.new_page()
        self._page.add_init_script(script)
        self._page.goto(url, wait_until="load", timeout=0)
        told: str = self._page.evaluate("() => evertrain.begin()")
        return told

    def act(self, command: str) -> str:
        """See `Pages.act`."""
        told: str = self._page.evaluate("(command) => evertrain.act(command)", command)
        return told


def is_elsewhere(address: str, home: str) -> bool:
    """Say whether an address leads to another server than the game's."""
    if address.startswith(_INLINE):
        return False
    there, here = urlsplit(address), urlsplit(home)
    return (there.scheme, there.netloc) != (here.scheme, here.netloc)


def _refuse(route: Any) -> None:
    route.abort()


def _die_with(trainer: proc.Proc, scratch: Path) -> None:
    """Wait for the trainer's end, then end this process and all below it."""
    life = proc.watch(trainer)
    if life is not None:
        select.select([life], [], [])
    _leave(scratch)


def _leave(scratch: Path) -> NoReturn:
    """End this process and all below it, and leave no files; the second thread waits for that."""
    with _LEAVING:
        proc.sweep()
        remove(scratch)
        os._exit(0)


def main(arguments: list[str]) -> None:
    """Serve the trainer at the other end of the line. Does not return."""
    from playwright.sync_api import sync_playwright

    handle, pid, started = (int(each) for each in arguments[:3])
    trainer, scratch = proc.Proc(pid, started), Path(arguments[3])
    proc.become_subreaper()
    threading.Thread(target=_die_with, args=(trainer, scratch), daemon=True).start()
    line = socket.socket(fileno=handle)
    try:
        with sync_playwright() as playwright:
            serve(line.makefile("rb"), line.sendall, BrowserPages(playwright.chromium))
    except ConnectionError:
        pass  # the line is cut: there is nobody to tell
    except Exception:  # noqa: BLE001  (a browser that is being ended may raise anything)
        if trainer.is_alive:
            traceback.print_exc()
    _leave(scratch)


if __name__ == "__main__":
    main(sys.argv[1:])

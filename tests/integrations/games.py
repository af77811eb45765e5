"""Games for the tests of the browser integration: one in Python, one in Node, one in a browser."""

import importlib.util
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from evertrain.integrations.browser import (
    Aircraft,
    BrowserGame,
    BrowserGameEnv,
    Conflict,
    GameLostError,
    GameSettings,
    Look,
)

HERE = Path(__file__).parent
STUB = HERE / "stub_game"
NOWHERE = "http://127.0.0.1:9"  # nobody listens: the games of these tests need no server


def settings(**changes: Any) -> GameSettings:
    """Return small settings."""
    small: dict[str, Any] = {
        "url": NOWHERE,
        "episode_steps": 12,
        "slots": 3,
        "action_s": 20.0,
        "instructions": ("fh 090", "fh 270", "a 30", "sp 180"),
    }
    return GameSettings(**(small | changes))


def node() -> str | None:
    """Return the Node that Playwright brings along, or one on the PATH."""
    found = importlib.util.find_spec("playwright")
    if found is not None and found.origin is not None:
        bundled = Path(found.origin).parent / "driver" / "node"
        if bundled.is_file():
            return str(bundled)
    return shutil.which("node")


def node_game(changed: GameSettings | None = None) -> BrowserGame:
    """Return the stub game, played in Node."""
    program = (str(node()), str(HERE / "node_host.js"))
    return BrowserGame(changed or settings(), program=program)


def node_env(**changes: Any) -> BrowserGameEnv:
    """Return an environment around the stub game in Node."""
    chosen = settings(**changes)
    return BrowserGameEnv(chosen, game=node_game(chosen))


def aircraft(callsign: str, **changes: Any) -> Aircraft:
    """Return an aircraft in the airspace that was told nothing."""
    plain: dict[str, Any] = {
        "is_arrival": True,
        "is_controllable": True,
        "is_hit": False,
        "position_km": (0.0, 0.0),
        "altitude_ft": 5000.0,
        "heading_rad": 0.0,
        "ground_speed_kt": 250.0,
        "trend": 0.0,
        "told_altitude_ft": 5000.0,
        "told_heading_rad": 0.0,
        "told_speed_kt": 250.0,
    }
    return Aircraft(callsign, **(plain | changes))


def look(
    *planes: Aircraft,
    conflicts: tuple[Conflict, ...] = (),
    score: float = 0.0,
    version: str = "1",
    digest: str = "",
) -> Look:
    """Return a look."""
    return Look(planes, conflicts, score, version, 0, "", digest)


class FakeGame:
    """A game in Python: a number that follows from the seed and from what was told.

    Args:
        losses: Calls, counted from 1 over its whole life, that lose the game.
        version: What it calls itself.
        is_leaky: Whether chance comes from elsewhere, too.
    """

    def __init__(
        self, *, losses: frozenset[int] = frozenset(), version: str = "1", is_leaky: bool = False
    ) -> None:
        """Begin nothing."""
        self.losses = losses
        self.version = version
        self.calls = 0
        self.is_closed = False
        self._is_leaky = is_leaky
        self._random: random.Random | None = None
        self._score = 0.0

    def begin(self, seed: int) -> Look:
        """See `Game.begin`."""
        self._count()
        self._random = random.Random(None if self._is_leaky else seed)
        self._score = 0.0
        return self._look()

    def act(self, command: str) -> Look:
        """See `Game.act`."""
        self._count()
        assert self._random is not None
        self._score += self._random.random() + len(command)
        return self._look()

    def close(self) -> None:
        """See `Game.close`."""
        self.is_closed = True

    def _count(self) -> None:
        self.calls += 1
        if self.calls in self.losses:
            self._random = None
            raise GameLostError(f"call {self.calls} crashed")

    def _look(self) -> Look:
        plane = aircraft("ONE1", position_km=(self._score / 10, 0.0))
        return look(plane, score=self._score, version=self.version, digest=repr(self._score))


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing of it."""

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@contextmanager
def served(directory: Path = STUB) -> Iterator[str]:
    """Serve a directory. Yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

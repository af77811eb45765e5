"""A game to be played: begun from a seed, then told one command after another.

Layer: integrations. Imports its siblings and core.
"""

import os
import sys
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.document import parse_line
from evertrain.integrations.browser.look import Look, digest_of, read_look
from evertrain.integrations.browser.process import GameLostError, HostProcess
from evertrain.integrations.browser.script import init_script
from evertrain.integrations.browser.settings import GameSettings, find_chromium
from evertrain.integrations.extras import require

HOST: Final = (sys.executable, "-P", "-m", "evertrain.integrations.browser.host")
_CLOSE_S: Final = 3.0


class Game(Protocol):
    """What an environment plays. Equal seeds and equal commands have to make equal games."""

    def begin(self, seed: int) -> Look:
        """Begin anew.

        Args:
            seed: 32 bits.

        Raises:
            GameLostError: It could not be begun. The next call tries afresh.
        """

    def act(self, command: str) -> Look:
        """Give a command, and let the time of one action pass.

        Args:
            command: One line; "" lets time pass only.

        Raises:
            GameLostError: The game is gone. Only `begin` helps.
        """

    def close(self) -> None:
        """Leave nothing running. A closed game may be begun again."""


class BrowserGame:
    """A game in a browser of its own, which is started when it is needed and ended when it hangs.

    Each game has a fresh page and an empty profile, so that nothing of one leaks into the next.
    A copy in a forked process has a browser of its own, from its next `begin` on.

    Args:
        settings: What to play.
        program: Command of another host than Playwright's.
        environ: Environment variables, for the place of the browser.
        clock: Source of the time.

    Raises:
        ConfigError: There is no browser where the settings say.
        MissingExtraError: Playwright is not installed.
    """

    def __init__(
        self,
        settings: GameSettings,
        *,
        program: Sequence[str] | None = None,
        environ: Mapping[str, str] = os.environ,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Start nothing yet."""
        if program is None:
            require("playwright", extra="game")
        self._settings = settings
        self._program = HOST if program is None else program
        self._chromium = find_chromium(settings.chromium, environ)
        self._clock = clock
        self._host: HostProcess | None = None
        self._owner_pid = os.getpid()
        self._end: Any = None
        self._of_others: list[HostProcess | None] = []

    def begin(self, seed: int) -> Look:
        """See `Game.begin`."""
        self._leave_to_its_owner()
        if self._host is None:
            self._host = self._started()
        order = {
            "do": "begin",
            "url": self._settings.url,
            "script": init_script(self._settings, seed),
            "chromium": self._chromium,
        }
        look = self._asked(self._host, order, self._settings.start_s)
        self._host.remember()
        return look

    def act(self, command: str) -> Look:
        """See `Game.act`."""
        self._leave_to_its_owner()
        if self._host is None:
            raise GameLostError("it was closed, or is lost already")
        return self._asked(self._host, {"do": "act", "command": command}, self._settings.step_s)

    def close(self) -> None:
        """See `Game.close`."""
        self._leave_to_its_owner()
        self._let_go(_CLOSE_S)

    def _leave_to_its_owner(self) -> None:
        """Touch no host of the process that this one was forked from: it is asked from there."""
        if os.getpid() != self._owner_pid:
            self._owner_pid = os.getpid()
            self._of_others.append(self._host)
            self._host = None

    def _started(self) -> HostProcess:
        try:
            host = HostProcess(self._program, clock=self._clock)
        except OSError as error:
            # No names of directories, which differ each time: it may stand in a checkpoint.
            why = error.strerror or type(error).__name__
            raise GameLostError(f"{self._program[0]} cannot be started: {why}") from error
        self._end = weakref.finalize(self, _end, host, os.getpid())
        return host

    def _asked(self, host: HostProcess, order: Mapping[str, Any], limit_s: float) -> Look:
        """Return the answer. Whatever goes wrong, a host that may still owe one is no more."""
        try:
            return _read(host.ask(order, limit_s))
        except (ValueError, AttributeError, TypeError) as error:
            self._let_go(0.0)
            raise GameLostError(f"its answer makes no sense: {error}") from error
        except BaseException:
            self._let_go(0.0)
            raise

    def _let_go(self, grace_s: float) -> None:
        host, self._host = self._host, None
        if host is not None:
            self._end.detach()
            host.end(grace_s)


def _read(line: bytes) -> Look:
    answer = parse_line(line)
    if "error" in answer:
        raise GameLostError(str(answer["error"]))
    return read_look(answer.get("look"), digest_of(line))


def _end(host: HostProcess, owner_pid: int) -> None:
    """End a host that nobody holds any more, but not from a process that was only forked."""
    if os.getpid() == owner_pid:
        host.end(0.0)

"""What is supervised, and the world in which that happens.

Layer: supervise. Imports core only.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evertrain.core.clock import Clock
from evertrain.core.rundir import RunDir
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.reserve import Reserve
from evertrain.supervise.screen import Screen
from evertrain.supervise.signals import Signals
from evertrain.supervise.systemd.service import OURS

# Of one attempt, or the supervisor's own.
_KEPT_BACK: Final = OURS | {"EVERTRAIN_RESUME", "EVERTRAIN_RESEED", "EVERTRAIN_NOTIFY"}
# Whoever inherits it belongs to the attempt that it names, whatever session it fled to.
_MARK: Final = "EVERTRAIN_LAST_WORDS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to supervise, and how.

    Attributes:
        command: Program and arguments, as the user gave them.
        run_dir: Where everything of it lies.
        shown: That path as the user knows it.
        options: Limits and pace.
        cwd: Directory in which the command was given.
    """

    command: list[str]
    run_dir: RunDir
    shown: Path
    options: SuperviseOptions
    cwd: Path

    def mark(self, attempt: int) -> str:
        """Return what stands in the environment of all that belongs to an attempt."""
        return f"{_MARK}={self.run_dir.words(attempt)}"

    def environment(
        self, attempt: int, *, resume: str | None, is_reseeded: bool = False
    ) -> dict[str, str]:
        """Return the child's environment: ours, and what a `Run` in it has to know.

        Args:
            attempt: Its number.
            resume: Where it begins; None leaves that to the program.
            is_reseeded: Whether it takes other random numbers from there on.
        """
        env = {key: value for key, value in os.environ.items() if key not in _KEPT_BACK}
        if is_reseeded:
            env["EVERTRAIN_RESEED"] = str(attempt)
        if resume is not None:
            env["EVERTRAIN_RESUME"] = resume
        return env | {
            "EVERTRAIN_RUN": str(self.run_dir.path),
            "EVERTRAIN_ATTEMPT": str(attempt),
            "EVERTRAIN_HEARTBEAT": str(self.run_dir.heartbeat),
            "EVERTRAIN_SUPERVISED": "1",
            _MARK: str(self.run_dir.words(attempt)),
            "EVERTRAIN_COMMAND": json.dumps(self.command),
            "EVERTRAIN_CWD": str(self.cwd),
            # Whole lines when it is killed, and a traceback when it dies below Python.
            "PYTHONUNBUFFERED": env.get("PYTHONUNBUFFERED", "1"),
            "PYTHONFAULTHANDLER": env.get("PYTHONFAULTHANDLER", "1"),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Whom the supervisor talks to, and whose time it keeps.

    Attributes:
        screen: Where people look.
        signals: What people and schedulers want.
        clock: Source of the time.
        reserve: Where attempts get their shims.
    """

    screen: Screen
    signals: Signals
    clock: Clock
    reserve: Reserve

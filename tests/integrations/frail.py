"""An environment that dies in every way that real ones do, on request."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from evertrain.integrations.sb3 import EnvLimits, ResilientVecEnv

FINE = 0
_SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


class Unpicklable(Exception):  # noqa: N818
    """Can be pickled, but not unpickled: its constructor wants more than its message."""

    def __init__(self, one: int, two: int) -> None:
        """Take two."""
        super().__init__(f"{one} and {two}")


def kill_me() -> None:
    """Die of SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)


def stop_me() -> None:
    """Stand still, like a process that a debugger or Ctrl+Z holds."""
    os.kill(os.getpid(), signal.SIGSTOP)


def raise_error() -> None:
    """Raise."""
    raise ValueError("the physics exploded")


def raise_odd_error() -> None:
    """Raise what cannot be unpickled."""
    raise Unpicklable(1, 2)


def hang() -> None:
    """Never return."""
    while True:
        time.sleep(600)


WAYS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "SIGKILL": kill_me,
    "SIGSEGV": lambda: ctypes.string_at(0),
    "os._exit": lambda: os._exit(7),
    "sys.exit": lambda: sys.exit(5),
    "exception": raise_error,
    "odd exception": raise_odd_error,
    "Ctrl+C": lambda: (_ for _ in ()).throw(KeyboardInterrupt),
    "EOFError": lambda: (_ for _ in ()).throw(EOFError),
    "hang": hang,
    "SIGSTOP": stop_me,
}
NAMES = list(WAYS)


class Frail(gymnasium.Env[Any, Any]):
    """Counts its steps; its action names a way to die, and so do the options of a reset."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012  (as Gymnasium has it)

    def __init__(
        self,
        index: int = 0,
        *,
        length: int = 1000,
        space: gymnasium.Space[Any] | None = None,
        simulator: bool = False,
        dies_in_reset: int | None = None,
    ) -> None:
        """Build it, with a child process of its own if asked."""
        self.observation_space = space or gymnasium.spaces.Box(-9, 9, (3,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(len(WAYS))
        self.render_mode = "rgb_array"
        self.index, self.length, self.level = index, length, 0
        self.simulator = subprocess.Popen(_SLEEPER, start_new_session=True) if simulator else None
        self._dies_in_reset = dies_in_reset
        self._resets = self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        WAYS[(options or {}).get("way", "nothing")]()
        self._steps, self._resets = 0, self._resets + 1
        if self._resets == self._dies_in_reset:
            kill_me()
        return self._look(), {"seed": seed, "level": self.level}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a step, or die."""
        WAYS[NAMES[int(action)]]()
        self._steps += 1
        is_over = self._steps >= self.length
        info = {"level": self.level, "steps": self._steps}
        return self._look(), np.float32(self._steps), is_over and self.index % 2 == 0, is_over, info  # type: ignore[return-value]

    def render(self) -> Any:
        """Return a picture."""
        return np.full((2, 2, 3), self._steps, np.uint8)

    def die(self, way: str) -> str:
        """Die, or return how."""
        WAYS[way]()
        return way

    def where(self) -> tuple[int, int | None]:
        """Return the process ids of its worker and of its simulator."""
        return os.getpid(), self.simulator.pid if self.simulator is not None else None

    def close(self) -> None:
        """Forget to end the simulator."""

    def _look(self) -> Any:
        if isinstance(self.observation_space, gymnasium.spaces.Box):
            shape = self.observation_space.shape
            return self.np_random.normal(size=shape).astype(self.observation_space.dtype)
        return self.observation_space.sample()


LIMITS = EnvLimits(step_s=20.0, reset_s=20.0, close_s=5.0)
QUICK = EnvLimits(step_s=0.5, reset_s=0.5, call_s=0.5, close_s=0.5)


def build(count: int = 3, limits: EnvLimits = LIMITS, **options: Any) -> Any:
    """Return a vector of frail environments; forked, which starts fastest."""
    made = {key: options.pop(key) for key in list(options) if key in FRAIL}
    factories = [lambda index=index: Frail(index, **made) for index in range(count)]
    return ResilientVecEnv(factories, "fork", limits=limits, **options)


FRAIL = {"length", "space", "simulator", "dies_in_reset"}


def only(index: int, way: str, count: int = 3) -> Any:
    """Return actions with which one environment dies."""
    actions = np.zeros(count, np.int64)
    actions[index] = NAMES.index(way)
    return actions


def is_running(pid: int | None) -> bool:
    """Say whether a process lives, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

"""How long an environment may take, and how often it may die: pure rules.

Layer: integrations. Imports core only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from evertrain.core.errors import ConfigError

_KNOWN: Final = 100  # answers after which the longest of them says something
_TIMES: Final = 10  # as long as the longest so far: nobody hangs, somebody is slow
_FADE: Final = 0.999  # what was longest is believed for about a thousand answers


@dataclass(frozen=True, slots=True)
class EnvLimits:
    """Longest times that a worker may take to answer, in seconds.

    A limit of None is learned: `unlearned_s` until a hundred answers came, then
    ten times the longest of late, and never less than `floor_s`.

    Attributes:
        step_s: One step, without the reset that may follow it.
        reset_s: One reset.
        start_s: Starting a worker, with its imports and the environment's constructor.
        call_s: `env_method`, `get_attr`, `set_attr`, a picture, the state for a checkpoint.
        close_s: `env.close()`; afterwards the worker is killed.
        unlearned_s: A learned limit before anything is known.
        floor_s: The shortest learned limit.
    """

    step_s: float | None = None
    reset_s: float | None = None
    start_s: float = 600.0
    call_s: float = 600.0
    close_s: float = 10.0
    unlearned_s: float = 600.0
    floor_s: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what would kill every environment, all faults at once."""
        chosen = {name: getattr(self, name) for name in self.__slots__}
        refuse("EnvLimits", {k: v for k, v in chosen.items() if v is not None and not v > 0})


@dataclass(frozen=True, slots=True)
class RestartBudget:
    """How often one environment may be restarted before it is given up.

    Attributes:
        lifetime: Over the whole run, resumes included; None sets no bound.
        per_window: Within `window_s`, in this process; None sets no bound.
        window_s: Seconds.
    """

    lifetime: int | None = None
    per_window: int | None = 5
    window_s: float = 600.0

    def __post_init__(self) -> None:
        """Refuse negative numbers, all faults at once."""
        counts = {"lifetime": self.lifetime, "per_window": self.per_window}
        faults: dict[str, object] = {k: v for k, v in counts.items() if v is not None and v < 0}
        if not self.window_s > 0:
            faults["window_s"] = self.window_s
        refuse("RestartBudget", faults)

    def is_spent(self, restarts: int, at_s: Sequence[float], now_s: float) -> bool:
        """Say whether one more restart would be too many.

        Args:
            restarts: How many there were over the whole run.
            at_s: When they were, as far as this process knows, on the clock of `now_s`.
            now_s: Monotonic seconds.
        """
        if self.lifetime is not None and restarts >= self.lifetime:
            return True
        if self.per_window is None:
            return False
        return sum(now_s - each < self.window_s for each in at_s) >= self.per_window


@dataclass(slots=True)
class Learned:
    """The longest answers of late, and the limit that follows.

    Attributes:
        longest_s: Longest answer; what is long ago has faded. Seconds.
        count: Answers seen.
    """

    longest_s: float = field(default=0.0)
    count: int = field(default=0)

    def see(self, took_s: float) -> None:
        """Learn from one answer: grow at once, shrink slowly."""
        self.longest_s = max(took_s, self.longest_s * _FADE)
        self.count += 1

    def limit_s(self, limits: EnvLimits) -> float:
        """Return how long the next answer may take."""
        if self.count < _KNOWN:
            return limits.unlearned_s
        return max(limits.floor_s, _TIMES * self.longest_s)


def pause_s(failures: int) -> float:
    """Return how long to wait before the next start of an environment that keeps failing.

    Args:
        failures: How often it died since it last took a step, 1 or more. The first
            restart comes at once; a port or a license may need a moment to be free.
    """
    return 0.0 if failures <= 1 else min(30.0, 0.5 * 2.0 ** (failures - 2))


def refuse(owner: str, faults: dict[str, object]) -> None:
    """Raise one error about all `faults`, if there are any."""
    if faults:
        shown = ", ".join(f"{name}={value!r}" for name, value in faults.items())
        raise ConfigError(
            f"{owner}({shown}).",
            "seconds have to be above 0, and counts 0 or more.",
            "Correct these; None where it is allowed means learned, or unbounded.",
        )

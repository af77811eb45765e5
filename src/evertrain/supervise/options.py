"""What the user decides about supervision.

Layer: supervise. Imports core only.
"""

import math
import shlex
from dataclasses import dataclass
from typing import Final

from evertrain.core.errors import ConfigError
from evertrain.supervise.progress.pattern import problem_of

# Places to resume from that go on where the training was; any other abandons what lies behind it.
GOES_ON: Final = frozenset({"auto", "latest", "must"})
DEFAULT_MAX_CRASHES: Final = 10
DEFAULT_WINDOW_S: Final = 3600.0
DEFAULT_MIN_GOODPUT: Final = 0.1
# A pause in which Python has time to start, seconds.
_PREPARED_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperviseOptions:
    """How a command is supervised.

    Attributes:
        max_crashes: Stop at this crash, and for no other count; 0 never stops for a count.
            None is the default: the ledgers decide, and 10 crashes in the window are too many.
        window_s: Only crashes of the last so many seconds count; None is an hour by default,
            and for ever where `max_crashes` is given.
        delay_s: Pause before a restart, seconds, 0 or more.
        backoff: Whether the pause is short after progress, and grows without it, instead.
        reseed: Whether a training that always dies at one step may get other random numbers.
        min_goodput: Least share of useful time, 0 to 1; None is 10 % where the ledgers decide.
        grace_s: Longest time a graceful stop may take, seconds, above 0.
        checkpoints: Glob of the files that a command of its own kind saves, or None.
        resume_arg: Arguments appended to such a command when there is a checkpoint, with
            `{path}` or `{step}` in it, or None.
        resume: Where the first attempt begins: "auto", "never", "must", "latest", "best",
            a step, "stage:1", "last-stage" or a path. Later attempts always use "auto".
        progress: Regular expression that finds the step of a command of its own kind in its
            output; its group `step`, or else the first, is the number. None is none.
        progress_file: Glob of files that such a command writes as it gets on, or None.
        hang: What becomes of a training that hangs: "act" ends and restarts it, "observe"
            only tells of it.
        hang_timeout_s: Longest silence, seconds, above 0; None learns it for each phase.
        ladder: File of settings from most aggressive to safest. None is the one that a resumed
            run remembers, "" is none.

    Raises:
        ConfigError: Some values cannot work. All of them are named at once.
    """

    max_crashes: int | None = None
    window_s: float | None = None
    delay_s: float = 5.0
    backoff: bool = False
    reseed: bool = False
    min_goodput: float | None = None
    grace_s: float = 120.0
    checkpoints: str | None = None
    resume_arg: str | None = None
    resume: str = "auto"
    progress: str | None = None
    progress_file: str | None = None
    hang: str = "act"
    hang_timeout_s: float | None = None
    ladder: str | None = None

    @property
    def limit(self) -> int:
        """The crash at which to stop; 0 is unlimited: on a ladder crashes have their price."""
        if self.max_crashes is None:
            return 0 if self.ladder else DEFAULT_MAX_CRASHES
        return self.max_crashes

    @property
    def counted_s(self) -> float | None:
        """For how long a crash counts, seconds; None is for ever."""
        if self.window_s is None and self.max_crashes is None:
            return DEFAULT_WINDOW_S
        return self.window_s

    @property
    def counts_only(self) -> bool:
        """Whether the number of crashes alone decides: somebody has said how many."""
        return self.max_crashes is not None

    @property
    def is_hasty(self) -> bool:
        """Whether there may be no pause in which the next attempt could be prepared."""
        return not self.backoff and self.delay_s < _PREPARED_S

    @property
    def goodput_floor(self) -> float:
        """Least share of useful time, 0 to 1; 0 asks for none."""
        if self.min_goodput is None:
            return 0.0 if self.counts_only else DEFAULT_MIN_GOODPUT
        return self.min_goodput

    def resume_at(self, attempt_count: int) -> str:
        """Return where to begin, as long as no attempt has.

        Args:
            attempt_count: How many have tried. "latest" insists on a checkpoint that may be
                deadly, once: then it is the newest that lets an attempt live.
        """
        return "must" if self.resume == "latest" and attempt_count else self.resume

    def __post_init__(self) -> None:
        """Reject values that cannot work."""
        rules = {
            f"--max-crashes is {self.max_crashes}, but must be 0 (unlimited) or more": (
                self.max_crashes is None or self.max_crashes >= 0
            ),
            f"--window is {self.window_s}, but must be above 0 seconds": (
                self.window_s is None or (math.isfinite(self.window_s) and self.window_s > 0)
            ),
            f"--min-goodput is {self.min_goodput}, but must be a share from 0 to 1": (
                self.min_goodput is None or 0 <= self.min_goodput <= 1
            ),
            f"--delay is {self.delay_s:g}, but must be 0 seconds or more": (
                math.isfinite(self.delay_s) and self.delay_s >= 0
            ),
            f"--grace is {self.grace_s:g}, but must be above 0 seconds": (
                math.isfinite(self.grace_s) and self.grace_s > 0
            ),
            "--checkpoints is empty": self.checkpoints != "",
            "--progress-file is empty": self.progress_file != "",
            f"--progress {self.progress!r} {_problem(self.progress)}": not _problem(self.progress),
            "--resume is empty": self.resume != "",
            f"--hang is {self.hang!r}, but must be act or observe": self.hang in {"act", "observe"},
            f"--hang-timeout is {self.hang_timeout_s}, but must be above 0 seconds": (
                self.hang_timeout_s is None
                or (math.isfinite(self.hang_timeout_s) and self.hang_timeout_s > 0)
            ),
            "--resume-arg needs --checkpoints, which says where to look": (
                self.resume_arg is None or self.checkpoints is not None
            ),
            f"--resume-arg is {self.resume_arg!r}, but must contain {{path}} or {{step}}": (
                self.resume_arg is None
                or "{path}" in self.resume_arg
                or "{step}" in self.resume_arg
            ),
            f"--resume-arg is {self.resume_arg!r} with unmatched quotes": _is_shell(
                self.resume_arg
            ),
        }
        broken = [text for text, holds in rules.items() if not holds]
        if broken:
            raise ConfigError(
                "; ".join(broken) + ".",
                "the supervisor could not do what you asked for.",
                "Change these options; see: evertrain run --help",
            )


def _problem(pattern: str | None) -> str | None:
    return None if pattern is None else problem_of(pattern)


def _is_shell(text: str | None) -> bool:
    try:
        shlex.split(text or "")
    except ValueError:
        return False
    return True

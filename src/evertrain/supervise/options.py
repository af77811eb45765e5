"""What the user decides about supervision.

Layer: supervise. Imports core only.
"""

import math
import shlex
from dataclasses import dataclass

from evertrain.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperviseOptions:
    """How a command is supervised.

    Attributes:
        max_crashes: Stop at this crash. 0 never stops for a count.
        delay_s: Pause before a restart, seconds, 0 or more.
        grace_s: Longest time a graceful stop may take, seconds, above 0.
        checkpoints: Glob of the files that a command of its own kind saves, or None.
        resume_arg: Arguments appended to such a command when there is a checkpoint, with
            `{path}` or `{step}` in it, or None.
        resume: Where the first attempt begins: "auto", "never", "must", "latest", "best",
            a step, "stage:1", "last-stage" or a path. Later attempts always use "auto".

    Raises:
        ConfigError: Some values cannot work. All of them are named at once.
    """

    max_crashes: int = 10
    delay_s: float = 5.0
    grace_s: float = 120.0
    checkpoints: str | None = None
    resume_arg: str | None = None
    resume: str = "auto"

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
                self.max_crashes >= 0
            ),
            f"--delay is {self.delay_s:g}, but must be 0 seconds or more": (
                math.isfinite(self.delay_s) and self.delay_s >= 0
            ),
            f"--grace is {self.grace_s:g}, but must be above 0 seconds": (
                math.isfinite(self.grace_s) and self.grace_s > 0
            ),
            "--checkpoints is empty": self.checkpoints != "",
            "--resume is empty": self.resume != "",
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


def _is_shell(text: str | None) -> bool:
    try:
        shlex.split(text or "")
    except ValueError:
        return False
    return True

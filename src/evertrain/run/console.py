"""What a training says on its terminal: banners, and how far it is.

On a terminal one line is rewritten; elsewhere one plain line a minute.

Layer: run. Imports core only.
"""

import sys
from typing import Final, TextIO

from evertrain.core.clock import SYSTEM_CLOCK, Clock, human_duration
from evertrain.core.printable import printable

_TTY_EVERY_S: Final = 0.2
_PLAIN_EVERY_S: Final = 60.0
_RULE: Final = "=" * 70
_SMOOTH: Final = 0.3


class Console:
    """Writes lines for people.

    Args:
        out: Where to; None is the program's standard output at each write.
        clock: Source of the pace.
    """

    def __init__(self, out: TextIO | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        """Say nothing yet."""
        self._out = out
        self._clock = clock
        self._shown = 0
        self._pace: tuple[float, int] | None = None
        self._rate = 0.0
        self._next_s = 0.0

    def say(self, text: str) -> None:
        """Print one line (or more), clear of the progress line."""
        self._clear()
        self._write(printable(text, keep="\n\t") + "\n")

    def banner(self, text: str) -> None:
        """Print `text` between two rules."""
        self.say(f"{_RULE}\n  {text}\n{_RULE}")

    def start(self, step: int) -> None:
        """Begin to measure the pace at `step`."""
        now_s = self._clock.monotonic_s()
        self._pace = (now_s, step)
        self._next_s = now_s + (_TTY_EVERY_S if self._is_tty() else _PLAIN_EVERY_S)

    def progress(self, step: int, total: int | None, unit: str, extra: str = "") -> None:
        """Show how far the training is, at most five times a second (plain: once a minute)."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            return
        is_tty = self._is_tty()
        self._next_s = now_s + (_TTY_EVERY_S if is_tty else _PLAIN_EVERY_S)
        self._measure(now_s, step)
        line = progress_line(step, total, unit, self._rate) + (f"  {extra}" if extra else "")
        if is_tty:
            padding = " " * max(0, self._shown - len(line))
            self._write(f"\r{line}{padding}")
            self._shown = len(line)
        else:
            self._write(line + "\n")

    def finish(self) -> None:
        """Leave the progress line standing and go to the next line."""
        if self._shown:
            self._write("\n")
            self._shown = 0

    def _measure(self, now_s: float, step: int) -> None:
        if self._pace is None:
            self._pace = (now_s, step)
            return
        then_s, before = self._pace
        if now_s > then_s and step > before:
            newest = (step - before) / (now_s - then_s)
            self._rate = newest if not self._rate else self._rate + _SMOOTH * (newest - self._rate)
            self._pace = (now_s, step)

    def _clear(self) -> None:
        if self._shown:
            self._write("\r" + " " * self._shown + "\r")
            self._shown = 0

    def _is_tty(self) -> bool:
        """Say whether a line can be rewritten. Loggers that replace stdout often cannot tell."""
        try:
            return bool((self._out or sys.stdout).isatty())
        except (AttributeError, OSError, ValueError):  # ValueError: it is closed
            return False

    def _write(self, text: str) -> None:
        """Write; a closed or broken terminal must never end a training."""
        out = self._out or sys.stdout
        try:
            out.write(text)
            out.flush()
        except (AttributeError, OSError, ValueError):  # AttributeError: None, or no flush
            self._shown = 0


def progress_line(step: int, total: int | None, unit: str, rate: float) -> str:
    """Return e.g. "episode 120/300  40 %  3.5 episodes/s  ETA 51 s"."""
    parts = [f"{unit} {step:,}" if total is None else f"{unit} {step:,}/{total:,}"]
    if total:
        parts.append(f"{100 * step / total:.0f} %")
    if rate > 0:
        parts.append(f"{rate:,.1f} {unit}s/s")
        if total and total > step:
            parts.append(f"ETA {human_duration((total - step) / rate)}")
    return "  ".join(parts)

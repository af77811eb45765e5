"""One attempt, seen from the supervisor: start the shim, pass on what people want, wait.

Layer: supervise. Imports core only.
"""

import errno
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from evertrain.core import proc
from evertrain.core.errors import ConfigError, LockedError
from evertrain.supervise.hang.record import Hang, decode_hang
from evertrain.supervise.progress.trail import Trail, decode_trail
from evertrain.supervise.reserve import Ready
from evertrain.supervise.shim import FORCE_S, SWEEP_S, TERMINATE_S
from evertrain.supervise.task import World
from evertrain.supervise.wire import Order, Row, encode_order

STOP_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
# A shim that takes this much longer than it promised is ended by the supervisor, seconds.
_SLACK_S: Final = 10.0
_KILL_S: Final = 5.0
# What keeps a program from being started now, and may not in a minute: memory, processes,
# descriptors, a network file system.
_PASSING: Final = frozenset(
    {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended, before anybody judged it.

    Attributes:
        code: Exit status of the leader; negative is the signal that killed it; None unknown.
        seconds: How long it ran.
        stop_requested: Whether somebody asked the supervisor to stop it.
        is_forced: Whether somebody lost patience with that, and pressed Ctrl+C again.
        is_moved: Whether the supervisor stopped it to go on with another setting.
        killed: What had to be killed, as "name (pid)".
        lost_log_bytes: Output that the disk refused.
        peak_bytes: Largest resident set of one of its processes, or None if unknown.
        hang: The hang for which it was ended, or None.
        trail: How far it got, as its output or its files tell; None where nobody looked.
        unstarted: Why the system did not start it this time, or None if it did.
    """

    code: int | None
    seconds: float
    stop_requested: bool
    is_forced: bool = False
    is_moved: bool = False
    killed: tuple[str, ...] = ()
    lost_log_bytes: int = 0
    peak_bytes: int | None = None
    hang: Hang | None = None
    trail: Trail | None = None
    unstarted: str | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """Whether a healthy attempt is to make room for another one.

    Attributes:
        wait_s: In how many seconds to ask that.
        is_over: The answer.
    """

    wait_s: Callable[[], float]
    is_over: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Later:
    """What there is to do while the attempt lives.

    Attributes:
        after_s: When to do something once, seconds from the start.
        do: What.
        review: What to ask again and again, or None.
    """

    after_s: float
    do: Callable[[], None]
    review: Review | None = None


def run_attempt(order: Order, world: World, later: Later) -> Outcome:
    """Run the command that `order` names, until nothing of it is left.

    Raises:
        ConfigError: The command cannot be started.
        LockedError: Another shim still holds the run.
    """
    world.screen.flush()
    try:
        shim = world.reserve.take()
    except OSError as error:
        if error.errno not in _PASSING:
            raise _cannot_start(sys.executable, error.strerror or str(error)) from error
        why = error.strerror
        return Outcome(code=None, seconds=0.0, stop_requested=False, unstarted=why)
    watch = _Watch(order, shim, world, later)
    try:
        watch.until_ended()
    finally:
        watch.clean_up()
    return watch.outcome()


class _Watch:
    """The supervisor's end of one attempt."""

    def __init__(self, order: Order, shim: Ready, world: World, later: Later) -> None:
        self._order = order
        self._wire = shim.wire
        self._shim, self._shim_proc = shim, shim.proc
        self._reserve = world.reserve
        self._signals = world.signals
        self._screen = world.screen
        self._clock = world.clock
        self._began_s = world.clock.monotonic_s()
        self._later = later
        self._later_s = self._began_s + later.after_s
        self._review = review = later.review
        self._review_s = self._began_s + review.wait_s() if review else float("inf")
        self._limit_s = float("inf")
        self._stop_count = 0
        self._is_moved = False
        self._ended: Row | None = None
        self._unstarted: str | None = None
        self._is_over = False
        self._wire.tell(encode_order(order))

    def until_ended(self) -> None:
        """Pass on signals until the shim reports the end, dies, or breaks its promise."""
        signals = self._signals
        while self._ended is None and self._clock.monotonic_s() < self._limit_s:
            for number in signals.take():
                self._on_signal(number)
            if not signals.wait(self._timeout_s(), [self._wire.fileno()]):
                self._do_if_due()
                continue
            rows = self._wire.hear()
            if rows is None:
                return
            for row in rows:
                self._on_row(row)

    def _timeout_s(self) -> float | None:
        left_s = min(self._limit_s, self._later_s, self._review_s) - self._clock.monotonic_s()
        return None if left_s == float("inf") else max(0.0, left_s)

    def _do_if_due(self) -> None:
        if self._clock.monotonic_s() >= self._later_s:
            self._later_s = float("inf")
            self._later.do()
        if self._review is not None and self._clock.monotonic_s() >= self._review_s:
            self._do_review(self._review)

    def _do_review(self, review: Review) -> None:
        if self._stop_count or not review.is_over():
            self._review_s = self._clock.monotonic_s() + review.wait_s()
            return
        self._review_s = float("inf")
        self._is_moved = True
        self._promise("stop", self._order.grace_s + TERMINATE_S + SWEEP_S)
        self._screen.say("Stopping at the next safe point, to go on with another setting.", "blue")

    def clean_up(self) -> None:
        """Leave nothing: neither the shim nor, if it died, what it held."""
        self._wire.close()
        if self._is_over and proc.wait_gone([self._shim_proc], _KILL_S):
            self._shim.child.wait()
            return
        if self._shim_proc.is_alive:
            self._screen.say("The shim does not answer; ending its tree.", "yellow")
        proc.kill_tree(self._shim_proc)
        self._shim.child.wait()
        # The supervisor adopts what a killed shim leaves.
        spare = [*self._shim.spare, *self._reserve.waiting]
        proc.sweep(spare, grace_s=SWEEP_S, clock=self._clock)

    def outcome(self) -> Outcome:
        """Return what is known now."""
        ended = self._ended or {}
        return Outcome(
            code=ended.get("code"),
            seconds=float(ended.get("seconds", self._clock.monotonic_s() - self._began_s)),
            stop_requested=self._stop_count > 0,
            is_forced=self._stop_count > 1,
            is_moved=self._is_moved,
            killed=tuple(ended.get("killed", ())),
            lost_log_bytes=int(ended.get("lost_log_bytes", 0)),
            peak_bytes=ended.get("peak_bytes"),
            hang=decode_hang(ended.get("hang")),
            trail=decode_trail(ended.get("trail")),
            unstarted=self._unstarted,
        )

    def _on_row(self, row: Row) -> None:
        self._is_over = row.get("event") in {"failed", "ended"}
        match row.get("event"):
            case "started":
                self._reserve.on_launch()
            case "signalled":
                name, pid = row["name"], row["pid"]
                self._screen.say(f"Sent SIGINT to {name} (pid {pid}).", "dim")
            case "hang":
                then = "only observed" if row["is_observed"] else "ending it"
                self._screen.say()
                self._screen.say(f"{row['summary']} ({then}).", "red")
            case "unwatched":
                self._screen.say(f"Hangs are not looked for any more: {row['error']}", "yellow")
            case "unread":
                self._screen.say(f"Its progress is not read any more: {row['error']}", "yellow")
            case "failed" if "locked" in row:
                raise LockedError(*row["locked"])
            case "failed" if row["errno"] in _PASSING:
                self._unstarted = str(row["error"])
            case "failed":
                raise _cannot_start(self._order.command[0], str(row["error"]))
            case "ended":
                self._ended = row
            case _:
                pass

    def _on_signal(self, number: signal.Signals) -> None:
        if number is signal.SIGWINCH:
            rows, columns = self._screen.size()
            self._wire.tell({"do": "resize", "rows": rows, "columns": columns})
        elif number in STOP_SIGNALS and self._stop_count == 0:
            self._stop(number)
        elif number is signal.SIGINT:  # only people press twice; schedulers repeat themselves
            self._force()

    def _stop(self, number: signal.Signals) -> None:
        self._stop_count = 1
        self._signals.service.stopping()
        grace_s = self._order.grace_s
        self._promise("stop", grace_s + TERMINATE_S + SWEEP_S)
        self._screen.say()
        self._screen.say(
            f"{number.name}: stopping at the next safe point (at most {grace_s:g} s). "
            "Press Ctrl+C again to force.",
            "yellow",
        )

    def _force(self) -> None:
        self._stop_count += 1
        self._screen.say()
        if self._stop_count == 2:  # noqa: PLR2004
            self._promise("force", FORCE_S + TERMINATE_S + SWEEP_S)
            self._screen.say(
                f"Forcing: one last save, at most {FORCE_S:g} s. Press Ctrl+C again to kill.",
                "red",
            )
        else:
            self._promise("kill", _KILL_S - _SLACK_S)
            self._screen.say("Killing everything now.", "red")

    def _promise(self, what: str, limit_s: float) -> None:
        self._wire.tell({"do": what})
        self._limit_s = self._clock.monotonic_s() + limit_s + _SLACK_S


def _cannot_start(program: str, error: str) -> ConfigError:
    return ConfigError(
        f"{program!r} cannot be started: {error}.",
        "it is not a program that this machine can run.",
        f"Check it by hand, or name its interpreter: evertrain run -- bash {program}",
    )

"""The hands that do harm: to one run directory, and to the processes that own it.

Whom to hit is read from the run's leases, so no other process can be meant; what
to change is looked for below the run directory, and nowhere else.

Layer: testing. Imports core only.
"""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from evertrain.core import lock, proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.errors import UsageError
from evertrain.core.journal import Journal
from evertrain.core.proc import Proc
from evertrain.core.rundir import RunDir
from evertrain.testing.chaos.harm import ballast, files_inside, flip_bits, tear_tail
from evertrain.testing.chaos.plan import (
    Fault,
    FillDisk,
    FlipBits,
    Hang,
    Interrupt,
    Kill,
    TearTail,
    Who,
)

BALLAST: Final = ".chaos-ballast"
MAX_BALLAST_BYTES: Final = 2**30
_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Injury:
    """What a fault did.

    Attributes:
        fault: The fault.
        is_hit: Whether there was something to hit.
        what: What was hit, in a few words, or why nothing was.
    """

    fault: Fault
    is_hit: bool
    what: str


class Chaos:
    """Faults for one run: SIGKILL, hangs, Ctrl+C, a full disk, flipped bits, torn lines.

    Leave it as a block, and whatever it stopped goes on, and its ballast is gone.

    Args:
        run_dir: The run. It need not be there yet.
        seed: Which files and which bits are hit; the same one hits the same.
        max_ballast_bytes: Largest ballast; a disk with more room is refused.
        clock: Source of the time.
    """

    def __init__(
        self,
        run_dir: Path | str,
        *,
        seed: int = 0,
        max_ballast_bytes: int = MAX_BALLAST_BYTES,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Touch nothing yet."""
        self._run_dir = RunDir(Path(run_dir))
        self._chance = random.Random(seed)  # noqa: S311  (no secret; must be repeatable)
        self._max_ballast_bytes = max_ballast_bytes
        self._clock = clock
        self._over = threading.Event()
        self._stopped: set[Proc] = set()

    def play(
        self, faults: Iterable[Fault], *, until: Callable[[], object] = lambda: False
    ) -> list[Injury]:
        """Inflict each fault when its time has come; return what they did, in that order.

        Args:
            faults: As `schedule` returns them; their times count from this call. One that
                is late, because the one before it took long, comes at once.
            until: Asked twenty times a second, and before each fault; true ends the play.
        """
        began_s = self._clock.monotonic_s()
        done: list[Injury] = []
        for fault in sorted(faults, key=lambda each: each.at_s):
            while not until() and (left_s := began_s + fault.at_s - self._clock.monotonic_s()) > 0:
                self._clock.wait(self._over, min(left_s, _LOOK_S))
            if until():
                break
            done.append(self.inflict(fault))
        return done

    def inflict(self, fault: Fault) -> Injury:
        """Do it now, whatever its `at_s` says; return when the fault is over.

        Raises:
            UsageError: It would touch something outside the run directory, fill a disk
                larger than allowed, or hit this very process.
        """
        match fault:
            case Kill():
                return self._signal(fault, fault.who, signal.SIGKILL, "killed")
            case Interrupt():
                return self._signal(fault, fault.who, signal.SIGINT, "interrupted")
            case Hang():
                return self._hang(fault)
            case FillDisk():
                return self._fill_disk(fault)
            case FlipBits():
                return self._flip(fault)
            case TearTail():
                return self._tear(fault)

    def owner(self, who: Who) -> Proc | None:
        """Return the live process that is the run's trainer, supervisor or shim, or None."""
        leases = {
            "trainer": self._run_dir.lock,
            "supervisor": self._run_dir.supervisor_lock,
            "shim": self._run_dir.shim_lock,
        }
        found = lock.live_owner(leases[who])
        if found is not None:
            return Proc(found.pid, found.start_time)
        return self._leader() if who == "trainer" else None

    def close(self) -> None:
        """Let go on what was stopped, and give the disk its room back. Safe to call twice."""
        self._over.set()
        for each in self._stopped:
            proc.send(each, signal.SIGCONT)
        self._stopped.clear()
        (self._run_dir.path / BALLAST).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _leader(self) -> Proc | None:
        """Return the supervised command's process, where it is no `Run` that takes a lease."""
        row = Journal(self._run_dir.journal).last("launched") if self._is_run() else None
        if row is None or row.get("boot_id") != proc.boot_id():
            return None
        pid, started = row.get("pid"), row.get("start_time")
        if not isinstance(pid, int) or not isinstance(started, int):
            return None
        found = Proc(pid, started)
        return found if found.is_alive else None

    def _is_run(self) -> bool:
        return self._run_dir.identity.is_file()

    def _signal(self, fault: Fault, who: Who, number: signal.Signals, done: str) -> Injury:
        target = self._target(who)
        if target is None or not proc.send(target, number):
            return Injury(fault, is_hit=False, what=f"there is no {who}")
        if number is signal.SIGKILL:
            proc.wait_gone([target], 10.0, clock=self._clock)
        return Injury(fault, is_hit=True, what=f"{who} (pid {target.pid}) {done}")

    def _hang(self, fault: Hang) -> Injury:
        target = self._target(fault.who)
        if target is None or not proc.send(target, signal.SIGSTOP):
            return Injury(fault, is_hit=False, what=f"there is no {fault.who}")
        self._stopped.add(target)
        try:
            self._clock.wait(self._over, fault.duration_s)
        finally:
            proc.send(target, signal.SIGCONT)
            self._stopped.discard(target)
        text = f"{fault.who} (pid {target.pid}) stood still for {fault.duration_s:g} s"
        return Injury(fault, is_hit=True, what=text)

    def _target(self, who: Who) -> Proc | None:
        """Return whom to hit.

        Raises:
            UsageError: It is the process that asks.
        """
        found = self.owner(who)
        if found is not None and found.pid == os.getpid():
            raise UsageError(
                f"the {who} of {self._run_dir.path} is this very process.",
                "whoever kills itself cannot tell what became of the run.",
                "Train in a process of its own, and let this one do the harm.",
            )
        return found

    def _fill_disk(self, fault: FillDisk) -> Injury:
        if not self._is_run():
            return Injury(fault, is_hit=False, what="there is no run yet")
        path = self._run_dir.path / BALLAST
        with ballast(path, fault.leave_bytes, self._max_ballast_bytes) as size_bytes:
            self._clock.wait(self._over, fault.duration_s)
        text = f"the disk was full for {fault.duration_s:g} s ({size_bytes:,} bytes of ballast)"
        return Injury(fault, is_hit=True, what=text)

    def _flip(self, fault: FlipBits) -> Injury:
        path = self._choose(fault.pattern)
        try:
            places = [] if path is None else flip_bits(path, fault.count, self._chance)
        except OSError as error:  # pruned meanwhile
            return Injury(fault, is_hit=False, what=str(error))
        if path is None or not places:
            return Injury(fault, is_hit=False, what=f"no file is like {fault.pattern}")
        return Injury(fault, is_hit=True, what=f"bits {places} of {self._named(path)} flipped")

    def _tear(self, fault: TearTail) -> Injury:
        path = self._choose(fault.pattern)
        try:
            size_bytes = 0 if path is None else tear_tail(path)
        except OSError as error:
            return Injury(fault, is_hit=False, what=str(error))
        if path is None or not size_bytes:
            return Injury(fault, is_hit=False, what=f"no line to tear in {fault.pattern}")
        text = f"{self._named(path)} ends with {size_bytes} bytes of a line"
        return Injury(fault, is_hit=True, what=text)

    def _choose(self, pattern: str) -> Path | None:
        found = files_inside(self._run_dir.path, pattern) if self._is_run() else []
        return self._chance.choice(found) if found else None

    def _named(self, path: Path) -> str:
        return str(path.relative_to(self._run_dir.path.resolve()))

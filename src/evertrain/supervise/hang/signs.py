"""What can be seen of a training from outside: heartbeat, output, processor, files.

Looking costs a file of a kilobyte each second. The tree is looked at only in a silence:
that reads a few files for each process of the machine.

Layer: supervise. Imports core only.
"""

import os
from pathlib import Path
from typing import Final

from evertrain.core import proc, usage
from evertrain.core.clock import Clock
from evertrain.core.heartbeat import Beat, read_beat
from evertrain.core.proc import Proc
from evertrain.supervise.hang.silence import Activity, Signs

# An interpreter that ran no thread for so long is held by a library, seconds.
FROZEN_S: Final = 10.0
_MAX_PROCESSES: Final = 32


class Eyes:
    """Looks at the tree below this process.

    Args:
        heartbeat: Where the trainer beats, if it does.
        clock: Source of the time.

    Attributes:
        trainer: Who gave the newest beat, or None.
    """

    def __init__(self, heartbeat: Path, *, clock: Clock) -> None:
        """See nothing yet."""
        self.trainer: Proc | None = None
        self._told: Proc | None = None
        self._first_count = 0
        self._heartbeat = heartbeat
        self._clock = clock

    def look(self, output_bytes: int, *, is_close: bool) -> Signs:
        """Return what can be seen now.

        Args:
            output_bytes: What the training has printed so far.
            is_close: Whether to look at the tree, too.
        """
        beat = read_beat(self._heartbeat)
        self._recognize(beat)
        activity = self._activity() if is_close else None
        trainer = self.trainer
        if beat is None or trainer is None or not trainer.is_alive:
            # In a container, under another number: alive if it was ever heard to go on.
            has_trainer = trainer is None and beat is not None and beat.count != self._first_count
            return Signs(
                beat=beat, output_bytes=output_bytes, activity=activity, has_trainer=has_trainer
            )
        is_frozen = beat.pulse_s is not None and self._clock.monotonic_s() - beat.pulse_s > FROZEN_S
        return Signs(
            beat=beat,
            output_bytes=output_bytes,
            activity=activity,
            has_trainer=True,
            is_stopped=is_close and proc.is_stopped(trainer.pid),
            is_traced=is_close and usage.is_traced(trainer.pid),
            is_frozen=is_frozen,
        )

    def tree(self) -> list[str]:
        """Return a line for each process of the tree: who it is, and what it waits for.

        The trainer comes first: of a large tree, not all are told.
        """
        found: list[str] = []
        tree = sorted(proc.descendants(os.getpid()), key=lambda each: each != self.trainer)
        for each in tree[:_MAX_PROCESSES]:
            now = usage.usage(each.pid)
            if now is None:
                continue
            threads = [
                f"{thread.name} {thread.state} {thread.waits_in}".rstrip()
                for thread in usage.threads(each.pid)
            ]
            name = proc.executable(each.pid) or "?"
            found.append(f"{name} (pid {each.pid}): {now.cpu_s:.1f} s CPU; " + ", ".join(threads))
        return found

    def _recognize(self, beat: Beat | None) -> None:
        """Find out who beats. A number alone names nobody: it may be of another container."""
        found = None if beat is None else Proc(beat.pid, beat.start_time)
        if found != self._told:
            is_ours = found is not None and found in proc.descendants(os.getpid())
            self._told, self.trainer = found, found if is_ours else None
            self._first_count = beat.count if beat is not None else 0

    def _activity(self) -> Activity:
        tree = proc.descendants(os.getpid())
        used = {each.pid: usage.usage(each.pid) for each in tree}
        is_blocked = self.trainer is not None and usage.is_blocked(self.trainer.pid)
        there = {pid: now for pid, now in used.items() if now is not None and now.state != "Z"}
        own = None if self.trainer is None else there.get(self.trainer.pid)
        return Activity(
            at_s=self._clock.monotonic_s(),
            cpu_s=sum(now.cpu_s for now in there.values()),
            io_bytes=sum(now.io_bytes for now in there.values()),
            pids=frozenset(there),
            own_cpu_s=0.0 if own is None else own.cpu_s,
            is_blocked=is_blocked or any(now.state == "D" for now in there.values()),
        )

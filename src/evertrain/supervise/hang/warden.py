"""The hands of the watch: write a hang down, tell the supervisor, ask the trainer to end.

Layer: supervise. Imports core only.
"""

import signal
from collections.abc import Callable
from typing import TypeVar

from evertrain.core import proc
from evertrain.core.clock import Clock
from evertrain.core.journal import Journal, Row
from evertrain.core.proc import Proc
from evertrain.core.rundir import RunDir
from evertrain.supervise.hang.record import Hang, encode_hang, note_hang
from evertrain.supervise.hang.signs import Eyes
from evertrain.supervise.hang.watch import Watch
from evertrain.supervise.progress.deputy import Deputy
from evertrain.supervise.progress.trail import encode_trail
from evertrain.supervise.trainer import find_trainer
from evertrain.supervise.wire import Order, Wire

_T = TypeVar("_T")


class Warden:
    """Watches what the shim has launched, and decides when it has to end.

    Args:
        order: What was launched.
        run_dir: Its run.
        journal: That of the run.
        wire: The supervisor.
        clock: Source of the time.
    """

    def __init__(
        self, order: Order, run_dir: RunDir, journal: Journal, wire: Wire, clock: Clock
    ) -> None:
        """Begin with the launch."""
        self._order, self._run_dir = order, run_dir
        self._journal, self._wire = journal, wire
        self._hang: Hang | None = None
        self._is_blind = self._has_told = False
        self._deputy: Deputy | None = None
        if order.progress is not None or order.progress_file is not None:
            self._deputy = Deputy(order, run_dir, journal, clock=clock)
        self._eyes = Eyes(run_dir.heartbeat, clock=clock)
        limit_s = order.hang_timeout_s
        self._watch = Watch(self._eyes, journal, order.attempt, timeout_s=limit_s, clock=clock)

    @property
    def period_s(self) -> float:
        """How often to look, seconds."""
        return self._watch.period_s

    @property
    def reader(self) -> Callable[[bytes], None] | None:
        """Who wants to read what it prints, or None."""
        return None if self._deputy is None or self._deputy.hear is None else self._read

    @property
    def found(self) -> Row:
        """The hang for which the training was ended, and how far it got; None for nothing."""
        hang, deputy = self._hang, self._deputy
        return {
            "hang": None if hang is None else encode_hang(hang),
            "trail": None if deputy is None else encode_trail(deputy.trail),
        }

    def look(self, leader: Proc, output_bytes: int) -> float | None:
        """Look; of a training that hangs, ask the trainer to end.

        One that only takes too long may still save then.

        Returns:
            How long it may take to do so, seconds; None if nothing is to be ended.
        """
        hang = self._spare(lambda: self._look(leader, output_bytes))
        if hang is None:
            return None
        order, is_observed = self._order, self._order.hang == "observe"
        trainer = self._trainer(leader)
        is_asleep = hang.evidence == "stopped"  # perhaps in a row, with the journal in its hands
        if is_asleep and not is_observed:
            _ask_to_end(trainer)
        note_hang(hang, self._run_dir, order.attempt, self._journal, is_observed=is_observed)
        self._wire.tell({"event": "hang", "is_observed": is_observed, "summary": hang.summary})
        if is_observed:
            return None
        self._hang = hang
        if not is_asleep:
            _ask_to_end(trainer)
        return min(6.0, max(1.0, hang.limit_s / 10))

    def end(self, leader: Proc) -> None:
        """Let the next attempt know what was learned, once `leader` has said its last words."""
        deputy = self._deputy
        if deputy is not None:
            self._spare(lambda: deputy.end(leader))
        self._watch.end(was_ended=self._hang is not None)

    def _trainer(self, leader: Proc) -> Proc:
        found = self._eyes.trainer
        if found is None or found == leader:  # perhaps a shell, for which a deputy beats
            return find_trainer(leader, self._run_dir)
        return found

    def _read(self, data: bytes) -> None:
        if self._deputy is not None and self._deputy.hear is not None:
            hear = self._deputy.hear
            self._spare(lambda: hear(data))

    def _look(self, leader: Proc, output_bytes: int) -> Hang | None:
        if self._deputy is not None and self._watch.is_due:
            self._deputy.look(leader)
            self._tell_once(self._deputy.problem)
        return self._watch.look(output_bytes)

    def _tell_once(self, problem: str | None) -> None:
        """Say that progress is not read any more, if there is such a problem."""
        if problem is not None and not self._has_told:
            self._has_told = True
            self._wire.tell({"event": "unread", "error": problem})

    def _spare(self, do: Callable[[], _T]) -> _T | None:
        """Do it. Whatever goes wrong in that costs the watch, and never the training."""
        if self._is_blind:
            return None
        try:
            return do()
        except Exception as error:  # noqa: BLE001
            self._is_blind = True
            self._wire.tell({"event": "unwatched", "error": f"{type(error).__name__}: {error}"})
            return None


def _ask_to_end(trainer: Proc) -> None:
    """Let it save and end; one that was stopped finds that waiting when it wakes up."""
    proc.send(trainer, signal.SIGTERM)
    proc.send(trainer, signal.SIGCONT)

"""The hands of the watch: write a hang down, tell the supervisor, ask the trainer to end.

Layer: supervise. Imports core only.
"""

import signal

from evertrain.core import proc
from evertrain.core.clock import Clock
from evertrain.core.journal import Journal, Row
from evertrain.core.proc import Proc
from evertrain.core.rundir import RunDir
from evertrain.supervise.hang.record import Hang, encode_hang, note_hang
from evertrain.supervise.hang.signs import Eyes
from evertrain.supervise.hang.watch import Watch
from evertrain.supervise.trainer import find_trainer
from evertrain.supervise.wire import Order, Wire


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
        self._is_blind = False
        self._eyes = Eyes(run_dir.heartbeat, clock=clock)
        limit_s = order.hang_timeout_s
        self._watch = Watch(self._eyes, journal, order.attempt, timeout_s=limit_s, clock=clock)

    @property
    def period_s(self) -> float:
        """How often to look, seconds."""
        return self._watch.period_s

    @property
    def row(self) -> Row | None:
        """The hang for which the training was ended, as a row; None if there was none."""
        return None if self._hang is None else encode_hang(self._hang)

    def look(self, leader: Proc, output_bytes: int) -> float | None:
        """Look; of a training that hangs, ask the trainer to end.

        One that only takes too long may still save then.

        Returns:
            How long it may take to do so, seconds; None if nothing is to be ended.
        """
        hang = self._seen(output_bytes)
        if hang is None:
            return None
        order, is_observed = self._order, self._order.hang == "observe"
        note_hang(hang, self._run_dir, order.attempt, self._journal, is_observed=is_observed)
        self._wire.tell({"event": "hang", "is_observed": is_observed, "summary": hang.summary})
        if is_observed:
            return None
        self._hang = hang
        trainer = self._eyes.trainer or find_trainer(leader, self._run_dir)
        proc.send(trainer, signal.SIGTERM)
        proc.send(trainer, signal.SIGCONT)
        return min(6.0, max(1.0, hang.limit_s / 10))

    def end(self) -> None:
        """Let the next attempt know what was learned."""
        self._watch.end(was_ended=self._hang is not None)

    def _seen(self, output_bytes: int) -> Hang | None:
        """Look. Whatever goes wrong in that costs the watch, and never the training."""
        if self._is_blind:
            return None
        try:
            return self._watch.look(output_bytes)
        except Exception as error:  # noqa: BLE001
            self._is_blind = True
            self._wire.tell({"event": "unwatched", "error": f"{type(error).__name__}: {error}"})
            return None

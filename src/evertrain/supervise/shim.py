"""The small process between supervisor and training: it outlives the one and buries the other.

It leads a session of its own, adopts every orphan below it, holds the terminal and the log
of the training and one end of a wire to the supervisor. When that wire breaks, the
supervisor is dead: the shim then stops the training gracefully and leaves nothing behind.
It holds `shim.lock` as long as anything of its tree may live.

Layer: supervise. Imports core only.
"""

import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from evertrain.core import lock, proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.errors import EXIT_FAILED, EXIT_LOCKED, EXIT_OK, LockedError
from evertrain.core.journal import PATIENCE_S, Journal
from evertrain.core.proc import Proc
from evertrain.core.rundir import RunDir
from evertrain.supervise.cause import signal_name
from evertrain.supervise.logs.pack import Packer
from evertrain.supervise.logs.writer import LogWriter
from evertrain.supervise.output import Output
from evertrain.supervise.screen import Screen
from evertrain.supervise.trainer import find_trainer
from evertrain.supervise.wire import Order, Row, Wire, decode_order, is_length

if TYPE_CHECKING:
    from evertrain.supervise.hang.warden import Warden

FORCE_S: Final = 12.0  # a Run's last save may take 10
TERMINATE_S: Final = 5.0
SWEEP_S: Final = 2.0
_TICK_S: Final = 0.25
# After the trainer ended, its launcher gets this long to end by itself, seconds.
_LAUNCHER_S: Final = 1.0
# Between two SIGINTs to one process, seconds: two at once arrive as one.
_AGAIN_S: Final = 0.2
_IGNORED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGTTOU)


class Shim:
    """One attempt, from its start until nothing of it is left.

    The phase only moves forward: running, stopping (the trainer was asked), forcing (it was
    asked again), terminating (SIGTERM to all), killing. One that hangs goes from running to
    hung (SIGTERM to the trainer), then to killing.

    Args:
        order: What to start.
        wire: The supervisor.
        output: The training's terminal or pipe.
        clock: Source of the time.
    """

    def __init__(
        self, order: Order, wire: Wire, output: Output, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """Start nothing yet."""
        self._order = order
        self._wire = wire
        self._output = output
        self._clock = clock
        self._run_dir = RunDir(Path(order.run))
        self._journal = Journal(self._run_dir.journal, clock=clock, patience_s=PATIENCE_S)
        self._phase = "running"
        self._deadline_s = float("inf")
        self._asked: list[Proc] = []
        self._ask_at_s = self._asked_at_s = 0.0
        self._is_again_due = False
        self._killed: list[str] = []
        self._supervisor_pid = os.getppid()
        self._is_alone = False

    def run(self, rows: list[Row]) -> int:
        """Start, obey `rows`, watch, sweep, report. Return this process's exit code."""
        order, output = self._order, self._output
        try:
            leader = proc.launch(
                order.command, env=order.env, output=output.theirs, terminal=output.terminal
            )
        except OSError as error:
            self._wire.tell({"event": "failed", "errno": error.errno, "error": error.strerror})
            return EXIT_FAILED
        began_s = self._clock.monotonic_s()
        self._wire.tell({"event": "started", "pid": leader.pid})
        self._note_launch(leader)
        for row in rows:  # a stop that was already on its way
            self._do(row)
        warden = self._warden()
        output.reader = warden.reader
        code = self._watch(leader, warden)
        seconds = self._clock.monotonic_s() - began_s
        self._sweep(SWEEP_S)
        output.drain(clock=self._clock)
        warden.end(leader)
        self._journal.catch_up()  # the training may have hung with the journal in its hands
        self._report(code, seconds, warden.found)
        return EXIT_OK

    def _warden(self) -> "Warden":
        from evertrain.supervise.hang.warden import Warden  # behind the launch: that is urgent

        return Warden(self._order, self._run_dir, self._journal, self._wire, self._clock)

    def _note_launch(self, leader: Proc) -> None:
        """Record who was started, for a successor that finds neither supervisor nor shim."""
        order = self._order
        with suppress(OSError):
            self._journal.record(
                "launched",
                attempt=order.attempt,
                pid=leader.pid,
                start_time=leader.start_time,
                boot_id=proc.boot_id(),
                command=order.command,
                resumed_from=order.resumed_from,
            )

    def _watch(self, leader: Proc, warden: "Warden") -> int | None:
        """Return the leader's exit status, once it and whatever still saves have ended."""
        poll = select.poll()
        poll.register(self._output.handle, select.POLLIN)
        poll.register(self._wire.fileno(), select.POLLIN)
        leader_handle = os.pidfd_open(leader.pid)
        poll.register(leader_handle, select.POLLIN)
        does: dict[int, Callable[[], bool]] = {
            self._output.handle: self._output.pump,
            self._wire.fileno(): self._obey,
        }
        code: int | None = None
        while code is None or self._is_saving():
            for handle, _ in poll.poll(self._timeout_ms(warden, is_ended=code is not None)):
                if handle == leader_handle or not does[handle]():
                    poll.unregister(handle)
            ended = proc.reap()
            if leader.pid in ended:
                code = proc.exit_of(ended[leader.pid])
            self._tick(leader)
            if self._phase == "running" and code is None:
                patience_s = warden.look(leader, self._output.seen_bytes)
                if patience_s is not None:
                    self._enter("hung", patience_s)
            self._output.log.tick()
        os.close(leader_handle)
        return code

    def _timeout_ms(self, warden: "Warden", *, is_ended: bool) -> float:
        if self._phase != "running" or is_ended:
            return 1000 * _TICK_S
        log_s = self._output.log.wait_s()
        return 1000 * (warden.period_s if log_s is None else min(log_s, warden.period_s))

    def _is_saving(self) -> bool:
        """Say whether one that was asked to stop survives its leader: it may be saving."""
        if self._phase not in {"stopping", "forcing"}:
            return False
        return any(each.is_alive for each in self._asked)

    def _obey(self) -> bool:
        """Do what the supervisor says. Return False once it is gone."""
        rows = self._wire.hear()
        if rows is None:
            self._go_on_alone()
            return False
        for row in rows:
            self._do(row)
        return True

    def _do(self, row: Row) -> None:
        match row.get("do"):
            case "resize" if is_length(row.get("rows")) and is_length(row.get("columns")):
                self._output.resize(row["rows"], row["columns"])
            case "stop" if self._phase == "running":
                self._enter("stopping", self._order.grace_s)
            case "force" if self._phase in {"running", "stopping"}:
                self._is_again_due = True
                self._ask_at_s = 0.0
                self._enter("forcing", FORCE_S)
            case "kill":
                self._enter("killing", 0.0)
            case _:
                pass

    def _enter(self, phase: str, limit_s: float) -> None:
        self._phase = phase
        self._deadline_s = self._clock.monotonic_s() + limit_s

    def _go_on_alone(self) -> None:
        """The supervisor died: end the training as it would have, and leave nothing."""
        self._is_alone = True
        with suppress(OSError):
            self._journal.record(
                "supervisor_lost", attempt=self._order.attempt, pid=self._supervisor_pid
            )
        limit_s = self._order.grace_s
        self._output.say(f"the supervisor is gone; stopping the training (at most {limit_s:g} s).")
        if self._phase == "running":
            self._enter("stopping", limit_s)

    def _tick(self, leader: Proc) -> None:
        """Ask who is to be asked; when the time is up, stop asking."""
        if self._clock.monotonic_s() >= self._deadline_s:
            if self._phase in {"stopping", "forcing"}:
                self._enter("terminating", TERMINATE_S)
                for each in proc.descendants(os.getpid()):
                    proc.send(each, signal.SIGTERM)
                    proc.send(each, signal.SIGCONT)
            else:
                self._sweep(0.0)
                self._deadline_s = self._clock.monotonic_s() + 1.0
        elif self._phase in {"stopping", "forcing"}:
            now_s = self._clock.monotonic_s()
            if self._is_saving():
                self._ask_at_s = now_s + _LAUNCHER_S
                if self._is_again_due and now_s >= self._asked_at_s + _AGAIN_S:
                    self._is_again_due = False
                    self._asked.clear()
                    self._ask(leader)
            elif now_s >= self._ask_at_s:
                self._ask(leader)

    def _ask(self, leader: Proc) -> None:
        """Send SIGINT to the trainer, once; again to what a script runs after it."""
        trainer = find_trainer(leader, self._run_dir)
        if trainer in self._asked or not trainer.is_alive:
            return
        name = proc.executable(trainer.pid)
        if proc.send(trainer, signal.SIGINT):
            proc.send(trainer, signal.SIGCONT)
            self._asked.append(trainer)
            self._asked_at_s = self._clock.monotonic_s()
            self._wire.tell({"event": "signalled", "pid": trainer.pid, "name": name})

    def _sweep(self, grace_s: float) -> None:
        names = {each.pid: proc.executable(each.pid) for each in proc.descendants(os.getpid())}
        killed = proc.sweep(grace_s=grace_s, clock=self._clock)
        self._killed += [f"{names.get(each.pid, '')} (pid {each.pid})" for each in killed]

    def _report(self, code: int | None, seconds: float, found: Row) -> None:
        proc.reap()
        ended: Row = {
            "attempt": self._order.attempt,
            "code": code,
            "signal": signal_name(code),
            "seconds": round(seconds, 3),
            "phase": self._phase,
            "killed": self._killed,
            "lost_log_bytes": self._output.log.lost_bytes,
            "peak_bytes": proc.peak_bytes(),
        }
        if not self._wire.tell({"event": "ended", **found, **ended}) or self._is_alone:
            with suppress(OSError):
                self._journal.record("ended", by="shim", **ended)


def main() -> int:
    """Run the shim whose wire is the descriptor that the first argument names."""
    handle = int(sys.argv[1])
    os.set_inheritable(handle, False)  # noqa: FBT003  (the training must not hold it open)
    wire = Wire(socket.socket(fileno=handle))
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    proc.become_subreaper()
    heard = wire.hear_first()  # perhaps only in hours: this one may be a reserve
    if heard is None:
        return EXIT_FAILED
    row, more = heard
    order = decode_order(row)
    if order is None:
        return EXIT_FAILED
    run_dir = RunDir(Path(order.run))
    try:
        lease: AbstractContextManager[object] = lock.take(run_dir.shim_lock, attempt=order.attempt)
    except LockedError as error:
        wire.tell({"event": "failed", "locked": list(error.args)})
        return EXIT_LOCKED
    except OSError:  # a full disk: the supervisor's own lease has to do
        lease = nullcontext()
    with lease:
        packer = Packer(run_dir.logs, order.attempt)
        log = LogWriter(run_dir.log(order.attempt), piece_ended=packer.piece_ended)
        output = Output(order.size, log, Screen())
        packer.start()
        return Shim(order, wire, output).run(more)


if __name__ == "__main__":
    os._exit(main())  # everything is written: a restart need not wait for the interpreter

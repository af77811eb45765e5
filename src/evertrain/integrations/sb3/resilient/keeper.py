"""The process above a worker: it forks it, sees it die, and leaves nothing behind.

    trainer -- keeper (one for each environment) -- worker -- what the environment starts

A keeper is started once, when the trainer is young, and never imports what an
environment needs. So it can fork a fresh worker at any time, which the trainer, with
its threads and its GPU, no longer could. It is a subreaper: what a worker started stays
below it, also when the worker is gone, and is killed before the next one begins. It
ends when the trainer does, however that ends.

Layer: integrations. Imports its siblings and core.
"""

import faulthandler
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Final, NoReturn

from evertrain.core import proc
from evertrain.core.clock import SYSTEM_CLOCK
from evertrain.integrations.sb3.resilient.channel import Channel, Data, dumps, loads
from evertrain.integrations.sb3.resilient.restart import Ended
from evertrain.integrations.sb3.resilient.worker import Birth, Source, own_stacks, serve

START: Final = "start"
END: Final = "end"

_DUMP_SIGNAL: Final = signal.SIGUSR1
_DUMP_BYTES: Final = 1 << 16  # what a pipe holds
_DUMP_S: Final = 1.0
_QUIET_S: Final = 0.1
_TICK_S: Final = 10.0
_FAREWELL_S: Final = 2.0


@dataclass(slots=True)
class Ward:
    """The worker of the moment.

    Attributes:
        process: Its process.
        life: A descriptor that becomes readable when it ends.
        dump: A descriptor from which its stacks can be read.
        kill_at_s: When it is to be killed, monotonic seconds; None lets it live.
        stacks: What it said about where it hangs.
        was_stopped: Whether it was found stopped when it hung.
    """

    process: proc.Proc
    life: int
    dump: int
    kill_at_s: float | None = None
    stacks: str = ""
    was_stopped: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """A keeper's connections to its trainer.

    Attributes:
        control: Orders, and what becomes of the workers.
        handover: Brings each worker's end of its own connection.
    """

    control: socket.socket
    handover: socket.socket


def keep(
    lines: Lines, source: Source, trainer: proc.Proc, inherited: Sequence[socket.socket]
) -> None:
    """Run a keeper until its trainer has no more use for it.

    Args:
        lines: To the trainer.
        source: Where environments come from.
        trainer: Who it works for.
        inherited: The trainer's own ends, where this process was forked with them.
    """
    for each in inherited:
        each.close()
    # Out of the reach of Ctrl+C. Not a session: the kernel shares processors out among those,
    # and every step would wait for its turn twice.
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTTOU):  # whoever prints may print
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    proc.become_subreaper()
    life = proc.watch(trainer)
    try:
        if life is not None:
            Keeper(lines, source, life).run()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        proc.sweep()


class Keeper:
    """Starts workers, one after the other, and tells how each of them ended.

    Args:
        lines: To the trainer.
        source: Where environments come from.
        trainer_life: A descriptor that becomes readable when the trainer ends.
    """

    def __init__(self, lines: Lines, source: Source, trainer_life: int) -> None:
        """Start nothing yet."""
        self._lines = lines
        self._source = source
        self._orders = Channel(lines.control, blocks=False)
        self._news = Channel(lines.control, blocks=True)
        self._trainer_life = trainer_life
        self._ward: Ward | None = None

    def run(self) -> None:
        """Serve until the trainer closes its end, or dies."""
        with suppress(EOFError, OSError):
            while True:
                ready = self._wait()
                if self._trainer_life in ready:
                    break
                while (message := self._orders.read()) is not None:  # several may have come
                    self._obey(message)
                self._look_after_ward()
        if self._ward is not None:
            proc.wait_gone([self._ward.process], _FAREWELL_S)  # its line is cut: it says goodbye

    def _wait(self) -> set[int]:
        poller = select.poll()
        for handle in (self._orders.fileno(), self._trainer_life):
            poller.register(handle, select.POLLIN)
        timeout_s = _TICK_S
        if self._ward is not None:
            poller.register(self._ward.life, select.POLLIN)
            if self._ward.kill_at_s is not None:
                timeout_s = max(0.0, self._ward.kill_at_s - SYSTEM_CLOCK.monotonic_s())
        return {handle for handle, _ in poller.poll(1000 * timeout_s)}

    def _obey(self, message: Data) -> None:
        order, *details = loads(message)
        if order == START:
            self._start(*details)
        elif self._ward is not None:  # else its end has been told
            self._condemn(self._ward, *details)

    def _start(self, birth: Birth) -> None:
        _, handles, _, _ = socket.recv_fds(self._lines.handover, 1, 1)
        line = socket.socket(fileno=handles[0])
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = proc.fork()
        if pid == 0:
            for handle in (self._trainer_life, reader):
                os.close(handle)
            self._lines.control.close()
            self._lines.handover.close()
            _work(line, writer, self._source, birth)
        os.close(writer)
        line.close()
        process = proc.Proc(pid, proc.start_time(pid) or 0)
        life = proc.watch(process)
        # One that is dead already is readable as well: the end of a pipe that nobody writes to.
        self._ward = Ward(process, reader if life is None else life, reader)
        self._news.send(dumps(process))

    def _condemn(self, ward: Ward, grace_s: float, is_hung: bool) -> None:  # noqa: FBT001
        """Let the worker end by itself for some time; one that hangs says where, and is killed."""
        if is_hung:
            ward.was_stopped = proc.is_stopped(ward.process.pid)
            if not ward.was_stopped and proc.send(ward.process, _DUMP_SIGNAL):
                ward.stacks = _read(ward.dump, _DUMP_S)
        ward.kill_at_s = SYSTEM_CLOCK.monotonic_s() + grace_s

    def _look_after_ward(self) -> None:
        ended, ward = proc.reap(), self._ward
        if ward is None:
            return
        killed: tuple[str, ...] = ()
        is_late = ward.kill_at_s is not None and SYSTEM_CLOCK.monotonic_s() >= ward.kill_at_s
        if is_late and ward.process.pid not in ended:
            killed = self._clear()
            ended |= proc.reap()
        if ward.process.pid in ended:
            self._bury(ward, ended[ward.process.pid], killed or self._clear())

    def _bury(self, ward: Ward, status: int, killed: tuple[str, ...]) -> None:
        dump = ward.stacks or _read(ward.dump, 0.0)
        for handle in {ward.life, ward.dump}:
            os.close(handle)
        self._ward = None
        ended = Ended(proc.exit_of(status), own_stacks(dump), ward.was_stopped, killed)
        self._news.send(dumps(ended))

    def _clear(self) -> tuple[str, ...]:
        """Kill everything below, whatever session it fled to. Return what the worker left."""
        below = proc.descendants(os.getpid())
        names = {each: f"{proc.executable(each.pid)} (pid {each.pid})" for each in below}
        worker = self._ward.process if self._ward is not None else None
        killed = [each for each in proc.sweep() if each != worker]
        return tuple(names.get(each, f"(pid {each.pid})") for each in killed)


def _work(line: socket.socket, dump: int, source: Source, birth: Birth) -> NoReturn:
    """Be the worker: programs that it starts find their signals as usual, Ctrl+C is not for it."""
    code = 1
    try:
        signal.signal(signal.SIGINT, _ignore)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        _dump_stacks_to(dump)
        code = serve(Channel(line, blocks=True), source, birth)
    finally:
        with suppress(Exception):  # the environment may have closed or replaced them
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _dump_stacks_to(dump: int) -> None:
    # Undone first: where the trainer had asked for it, and a library has taken the signals since,
    # as Ray does, asking again would change the file only.
    faulthandler.disable()
    faulthandler.unregister(_DUMP_SIGNAL)
    faulthandler.enable(dump, all_threads=True)
    faulthandler.register(_DUMP_SIGNAL, dump, all_threads=True)


def _read(handle: int, timeout_s: float) -> str:
    """Return what comes out of a pipe until it is quiet, at most `timeout_s` for the first byte."""
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    found = b""
    wait_s = timeout_s
    while len(found) < _DUMP_BYTES and poller.poll(1000 * wait_s):
        chunk = os.read(handle, _DUMP_BYTES)
        if not chunk:
            break
        found += chunk
        wait_s = _QUIET_S if timeout_s else 0.0
    return found.decode("utf-8", "replace").rstrip()


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN, that is not passed on to programs that are executed."""
    del number, frame


def _leave(number: int, frame: FrameType | None) -> None:
    """End, by the way that sweeps."""
    del number, frame
    raise SystemExit(0)

"""Waiting in front of people, who may lose patience.

Layer: supervise. Imports core only.
"""

import signal

from evertrain.core import proc
from evertrain.core.proc import Proc
from evertrain.supervise.attempt import STOP_SIGNALS
from evertrain.supervise.signals import Signals
from evertrain.supervise.task import World


def count_down(wait_s: float, world: World) -> bool:
    """Wait `wait_s` seconds, showing how many are left.

    Returns:
        False as soon as somebody wants to stop.
    """
    screen, signals, clock = world.screen, world.signals, world.clock
    deadline_s = clock.monotonic_s() + wait_s
    left_s = wait_s
    screen.say()
    if wait_s > 0 and not screen.is_terminal:
        screen.say(_restarting_in(wait_s))
    is_stopped = is_stop_wanted(signals)  # while nobody waited for anything
    while left_s > 0 and not is_stopped:
        if screen.is_terminal:
            screen.write(f"\r\x1b[K{_restarting_in(left_s)}".encode())
        signals.wait(left_s % 1.0 or 1.0)
        is_stopped = is_stop_wanted(signals)
        left_s = deadline_s - clock.monotonic_s()
    if is_stopped or (wait_s > 0 and screen.is_terminal):
        screen.say()
    if not is_stopped:
        screen.say("Restarting now!", "blue")
    return not is_stopped


def wait_until_gone(target: Proc, limit_s: float, world: World) -> bool:
    """Wait until `target` has ended, and kill its tree after `limit_s` seconds.

    A stopped one (SIGSTOP) is continued: it can do nothing until then.

    Returns:
        False as soon as somebody wants to stop; `target` then goes on ending.
    """
    screen, signals, clock = world.screen, world.signals, world.clock
    deadline_s = clock.monotonic_s() + limit_s
    while target.is_alive:
        if proc.is_stopped(target.pid):
            proc.send(target, signal.SIGCONT)
        signals.wait(0.1)
        if is_stop_wanted(signals):
            return False
        if clock.monotonic_s() >= deadline_s:
            screen.say("It did not stop in time; killing it.", "red")
            proc.kill_tree(target, clock=clock)
    return True


def is_stop_wanted(signals: Signals) -> bool:
    """Say whether a signal that means "stop" came since the last look."""
    return any(number in STOP_SIGNALS for number in signals.take())


def _restarting_in(left_s: float) -> str:
    shown = round(left_s) if left_s >= 1 else round(left_s, 1)
    unit = "second" if shown == 1 else "seconds"
    return f"Restarting in {shown:g} {unit}... (Press Ctrl+C now to stop)"

"""`evertrain stop|save|pin|unpin`: ask a run's owner, or act where it has none.

Layer: cli.
"""

import signal
import threading

import click

from evertrain.checkpoint.store import Store
from evertrain.cli.render import clean
from evertrain.core import lock, proc, request
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.errors import EvertrainError, NotFoundError
from evertrain.core.journal import PATIENCE_S, Journal
from evertrain.core.layout import check_link
from evertrain.core.rundir import RunDir, open_run_dir

_POLL_S = 0.1
_FORCE_TRIES = 50
# A supervisor is asked to stop, and then to force that; a third time would kill at once.
_PRESSES = 2
_BETWEEN_PRESSES_S = 0.5


@click.command(epilog="Example: evertrain stop runs/structure")
@click.argument("run")
@click.option("--now", is_flag=True, help="Do not wait for the end of the step.")
@click.option("--timeout", "timeout_s", default=120.0, show_default=True, help="Seconds to wait.")
def stop(run: str, *, now: bool, timeout_s: float) -> None:
    """Stop RUN at its next safe point, saved and ready to resume."""
    run_dir = open_run_dir(run)
    trainer, supervisor = lock.live_owner(run_dir.lock), lock.live_owner(run_dir.supervisor_lock)
    if trainer is None and supervisor is None:
        click.echo(f"{run_dir.path} is not running: nothing to stop")
        return
    if now:
        _force(trainer, supervisor)
    elif trainer is not None:
        request.post(run_dir, "stop")
        click.echo("stop requested; the step is finished and saved first")
    elif supervisor is not None:
        proc.send(proc.Proc(supervisor.pid, supervisor.start_time), signal.SIGTERM)
    owners = [each for each in (trainer, supervisor) if each is not None]
    _wait_until_gone(owners, timeout_s, is_forced=now)
    click.echo(f"{run_dir.path} is stopped")


@click.command(epilog="Example: evertrain save runs/structure")
@click.argument("run")
@click.option("--timeout", "timeout_s", default=120.0, show_default=True, help="Seconds to wait.")
def save(run: str, timeout_s: float) -> None:
    """Have RUN save a checkpoint at its next safe point."""
    run_dir = open_run_dir(run)
    if lock.live_owner(run_dir.lock) is None:
        raise NotFoundError(
            f"{run_dir.path} is not running.",
            "only a living training has a state that is not saved yet.",
            f"Go on with it: evertrain resume {run}",
        )
    saved = _wait_for_save(run_dir, request.post(run_dir, "save"), timeout_s)
    click.echo(f"saved step {saved['step']}: {run_dir.checkpoints / str(saved['path'])}")


@click.command(epilog="Example: evertrain pin runs/structure 250")
@click.argument("run")
@click.argument("step", type=click.IntRange(min=0))
def pin(run: str, step: int) -> None:
    """Keep the checkpoint STEP of RUN whatever retention says."""
    _pin(run, step, is_pinned=True)


@click.command(epilog="Example: evertrain unpin runs/structure 250")
@click.argument("run")
@click.argument("step", type=click.IntRange(min=0))
def unpin(run: str, step: int) -> None:
    """Give the checkpoint STEP of RUN back to retention."""
    _pin(run, step, is_pinned=False)


def _pin(run: str, step: int, *, is_pinned: bool) -> None:
    """Mark the checkpoint: a marker file is one atomic change, whoever owns the run."""
    run_dir = open_run_dir(run)
    check_link(run_dir.checkpoints)
    store = Store(run_dir.checkpoints, warn=_warn)
    store.get(step)
    (store.pin if is_pinned else store.unpin)(step)
    event = "pinned" if is_pinned else "unpinned"
    Journal(run_dir.journal, patience_s=PATIENCE_S).record(event, must=False, step=step)
    click.echo(f"{run_dir.path}@{step} is {event}")


def _warn(text: str) -> None:
    """Tell of what the disk refused besides: the marker is what counts."""
    click.echo(clean(f"evertrain: {text}"), err=True)


def _force(trainer: lock.Owner | None, supervisor: lock.Owner | None) -> None:
    """Interrupt the trainer until it is gone, a few seconds at most: its second one forces.

    Of one that is deaf to that, or is no `Run`, the supervisor is asked as by two Ctrl+C.
    """
    if trainer is not None and _interrupt(trainer, _FORCE_TRIES, _POLL_S):
        return
    if supervisor is not None:
        _interrupt(supervisor, _PRESSES, _BETWEEN_PRESSES_S)


def _interrupt(
    owner: lock.Owner, tries: int, pause_s: float, *, clock: Clock = SYSTEM_CLOCK
) -> bool:
    """Send so many SIGINT, or fewer if it is gone then. Return whether it is.

    Two signals back to back are often one: the kernel keeps only one of a kind pending.
    """
    target = proc.Proc(owner.pid, owner.start_time)
    for _ in range(tries):
        if not proc.send(target, signal.SIGINT) or proc.wait_gone([target], pause_s, clock=clock):
            return True
    return False


def _wait_until_gone(
    owners: list[lock.Owner],
    timeout_s: float,
    *,
    is_forced: bool,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    targets = [proc.Proc(each.pid, each.start_time) for each in owners]
    if proc.wait_gone(targets, timeout_s, clock=clock):
        return
    pids = [str(each.pid) for each in owners]
    forced = f"kill -9 {' '.join(pids)}" if is_forced else "evertrain stop RUN --now"
    raise EvertrainError(
        f"pid {', '.join(pids)} has not stopped in {timeout_s:g} s.",
        "its step is longer than that, or it hangs.",
        f"Wait longer (--timeout 3600), or force it: {forced}",
    )


def _wait_for_save(
    run_dir: RunDir, posted: request.Request, timeout_s: float, *, clock: Clock = SYSTEM_CLOCK
) -> dict[str, object]:
    """Return the first `saved` event after the request was acknowledged."""
    journal, never = Journal(run_dir.journal), threading.Event()
    deadline_s = clock.monotonic_s() + timeout_s
    while clock.monotonic_s() < deadline_s:
        events = journal.events("save_requested", "saved", "save_failed")
        taken = [i for i, row in enumerate(events) if row.get("request") == posted.id]
        if taken and events[taken[0]].get("is_stale"):
            raise EvertrainError(
                "the training that was asked has ended without that save.",
                "another attempt has begun since, from the newest checkpoint.",
                f"Ask again: evertrain save {run_dir.path}",
            )
        for row in events[taken[0] + 1 :] if taken else ():
            if row["event"] == "save_failed":
                raise EvertrainError(
                    f"the save after step {row.get('step')} failed: {row.get('error')}",
                    "older checkpoints are whole.",
                    f"Look at: evertrain log {run_dir.path}",
                )
            if row["event"] == "saved":
                return row
        clock.wait(never, _POLL_S)
    raise EvertrainError(
        f"no save in {timeout_s:g} s.",
        "the running step has not ended; this training will save when it does.",
        "Wait longer: --timeout 3600",
    )

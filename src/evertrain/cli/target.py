"""Names on the command line: RUN and RUN@CHECKPOINT.

Layer: cli.
"""

from dataclasses import dataclass

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.core.errors import NotFoundError, UsageError
from evertrain.core.rundir import RunDir, open_run_dir, typed_step


@dataclass(frozen=True, slots=True)
class Target:
    """What a name stands for.

    Attributes:
        run_dir: The run.
        which: "latest", "best", a step, or None for the run as a whole.
    """

    run_dir: RunDir
    which: str | int | None = None


def parse_target(text: str) -> Target:
    """Return the run, and the checkpoint if one is named after an "@".

    Raises:
        NotFoundError: There is no such run.
        UsageError: What follows the "@" names no checkpoint.
        FormatError: The run was written by a newer version.
        CorruptError: Its `run.json` is damaged.
    """
    name, at, which = text.rpartition("@")
    if not at or "/" in which:
        return Target(open_run_dir(text))
    try:
        return Target(open_run_dir(text))  # a directory may have an "@" in its name
    except NotFoundError:
        run_dir = open_run_dir(name)
    if which in {"latest", "best"}:
        return Target(run_dir, which)
    step = typed_step(which)
    if step is not None:
        return Target(run_dir, step)
    raise UsageError(
        f"{text!r} names no checkpoint.",
        'after the "@" stands "latest", "best" or a step.',
        f"List what is there with: evertrain ls {name}",
    )


def checkpoint_of(target: Target) -> CheckpointInfo:
    """Return the checkpoint that `target` names; the latest if it names none.

    Raises:
        NotFoundError: The run has no such checkpoint.
        FormatError: It was written by a newer version.
        CorruptError: Its manifest is damaged.
    """
    from evertrain.checkpoint.store import Store

    store = Store(target.run_dir.checkpoints)
    if isinstance(target.which, int):
        return store.get(target.which)
    found = store.best() if target.which == "best" else store.latest()
    if found is not None:
        return found
    why = (
        "no checkpoint has a score; the run names its metric with best='max:METRIC'."
        if target.which == "best" and store.latest() is not None
        else "it has not saved anything yet."
    )
    raise NotFoundError(
        f"{target.run_dir.path} has no {target.which or 'latest'} checkpoint.",
        why,
        f"Look at: evertrain status {target.run_dir.path}",
    )

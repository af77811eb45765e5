"""The first minute of an attempt: directory, lease, identity, journal.

Layer: run. Imports checkpoint and core.
"""

import os
import platform
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from evertrain.checkpoint import trash
from evertrain.checkpoint.catalog import step_names
from evertrain.checkpoint.commit import Tools, sweep
from evertrain.core import lock
from evertrain.core.changes import diff_config
from evertrain.core.clock import Clock
from evertrain.core.document import parse_json
from evertrain.core.errors import UsageError
from evertrain.core.fs import Fs, make_dir, sync_names
from evertrain.core.journal import Journal, finite
from evertrain.core.kinds import is_attempt
from evertrain.core.refusal import is_full, refusing
from evertrain.core.rundir import (
    Identity,
    RunDir,
    claim_run_dir,
    new_identity,
    typed_step,
    write_identity,
)
from evertrain.run.choose import Resume
from evertrain.run.regain import look_up, remembered, set_aside
from evertrain.run.whose import check_recipe

T = TypeVar("T")

ENV_RUN: Final = "EVERTRAIN_RUN"  # these by the supervisor for its child
ENV_ATTEMPT: Final = "EVERTRAIN_ATTEMPT"
ENV_RESUME: Final = "EVERTRAIN_RESUME"
ENV_COMMAND: Final = "EVERTRAIN_COMMAND"
ENV_CWD: Final = "EVERTRAIN_CWD"
ENV_HEARTBEAT: Final = "EVERTRAIN_HEARTBEAT"
ENV_SUPERVISED: Final = "EVERTRAIN_SUPERVISED"
ENV_AUDIT: Final = "EVERTRAIN_AUDIT"  # by `evertrain audit`


@dataclass(frozen=True, slots=True, kw_only=True)
class Plea:
    """What the program asks for.

    Attributes:
        path: Run directory that it names.
        unit: What a step is called.
        seed: Seed of a fresh start.
        total: Steps wanted.
        config: Its configuration, strict JSON values; None keeps what is known.
        recipe: Name of the recipe, or None.
    """

    path: Path
    unit: str
    seed: int | None
    total: int | None
    config: Mapping[str, Any] | None
    recipe: str | None


@dataclass(frozen=True, slots=True)
class Opened:
    """An attempt that has begun.

    Attributes:
        run_dir: Where.
        lease: Proof of ownership.
        journal: Memory of the run.
        identity: Who the run is.
        notes: Lines for the console.
    """

    run_dir: RunDir
    lease: lock.Lease
    journal: Journal
    identity: Identity
    notes: tuple[str, ...]


_REDIRECTED: dict[str, str] = {}


def directory_for(path: Path, environ: Mapping[str, str]) -> tuple[Path, tuple[str, ...]]:
    """Return where the run really lives: the supervisor's choice comes first.

    Raises:
        UsageError: A second, different run would be sent to the same place.
    """
    given = environ.get(ENV_RUN)
    if not given:
        return path, ()
    asked = _REDIRECTED.setdefault(given, str(path))
    if asked != str(path):
        raise UsageError(
            f"this process opens a second run, {str(path)!r}, beside {asked!r}.",
            f"{ENV_RUN}={given} holds one run, and both would write there.",
            "Train one run per process, or start the program without the supervisor.",
        )
    if Path(given).absolute() == path.absolute():
        return Path(given), ()
    return Path(given), (f"run directory: {given} (set by {ENV_RUN} instead of {path})",)


def where(resume: Resume, environ: Mapping[str, str]) -> Resume:
    """Return where to begin: what a person tells the supervisor comes before the program's word.

    A program that always says "latest" cannot have looked at what that does to it; where
    nobody looks, a supervisor has to get past a checkpoint that kills.
    """
    is_watched = ENV_SUPERVISED not in environ
    return environ.get(ENV_RESUME) or ("must" if resume == "latest" and not is_watched else resume)


def begin(plea: Plea, environ: Mapping[str, str], *, fs: Fs, clock: Clock) -> Opened:
    """Take the run directory and write down that an attempt begins.

    Raises:
        ConfigError: The directory cannot hold this run. Nothing was touched.
        FormatError: It was written by a newer version. Nothing was touched.
        LockedError: Another live process owns it. Nothing was touched.
        SaveError: The disk is full. What was begun does not hinder a later start.
    """
    path, notes = directory_for(plea.path, environ)
    with refusing(path):
        return _begin(path, notes, plea, environ, fs=fs, clock=clock)


def _begin(  # noqa: PLR0913
    path: Path,
    notes: tuple[str, ...],
    plea: Plea,
    environ: Mapping[str, str],
    *,
    fs: Fs,
    clock: Clock,
) -> Opened:
    run_dir = claim_run_dir(path.absolute())  # a program may change its directory meanwhile
    check_recipe(run_dir, plea.recipe, _command(environ))
    make_dir(run_dir.path, fs=fs)
    sync_names(run_dir.path, fs=fs)
    wanted = _attempt(environ)
    journal = Journal(run_dir.journal, fs=fs, clock=clock)
    last = journal.last("attempt_started")
    after = last["attempt"] + 1 if last and is_attempt(last.get("attempt")) else 1
    lease = lock.take(run_dir.lock, attempt=max(wanted, after), fs=fs, clock=clock)
    try:
        _sweep(run_dir, fs)

        def identify() -> tuple[Identity, tuple[str, ...]]:
            return _identify(run_dir, plea, environ, journal, lease, fs=fs, clock=clock)

        identity, more = _with_room(run_dir, identify, Tools(fs, clock))
    except BaseException:
        lease.release()
        raise
    return Opened(run_dir, lease, journal, identity, notes + more)


def _with_room(run_dir: RunDir, act: Callable[[], T], tools: Tools) -> T:
    """Act; on a full disk, once more without what could have come back from the trash."""
    try:
        return act()
    except OSError as error:
        shelf = run_dir.checkpoints / trash.TRASH
        if not is_full(error) or not trash.empty(shelf, tools, is_urgent=True):
            raise
    return act()


def _attempt(environ: Mapping[str, str]) -> int:
    """Return the number that the supervisor gave this attempt; 0 without one.

    Raises:
        UsageError: It is no number.
    """
    text = environ.get(ENV_ATTEMPT) or "0"
    number = typed_step(text)
    if number is not None and is_attempt(number):
        return number
    raise UsageError(
        f"{ENV_ATTEMPT} is {text!r:.40}.",
        "the supervisor sets it to the number of the attempt.",
        f"Unset it: env -u {ENV_ATTEMPT} ...",
    )


def _sweep(run_dir: RunDir, fs: Fs) -> None:
    """Remove the unfinished files of dead processes; the store sweeps its own."""
    for directory in (run_dir.path, run_dir.inbox, run_dir.crashes):
        with suppress(OSError):  # litter does no harm
            sweep(directory, fs)


def _identify(  # noqa: PLR0913
    run_dir: RunDir,
    plea: Plea,
    environ: Mapping[str, str],
    journal: Journal,
    lease: lock.Lease,
    *,
    fs: Fs,
    clock: Clock,
) -> tuple[Identity, tuple[str, ...]]:
    known, fault = look_up(run_dir)
    command = _command(environ)
    config = known.config if known and plea.config is None else dict(plea.config or {})
    if known is None:
        identity = new_identity(
            clock=clock,
            unit=plea.unit,
            seed=plea.seed,
            command=command,
            cwd=_cwd(environ),
            config=config,
            recipe=plea.recipe,
        )
        identity = remembered(identity, run_dir, journal)
    else:
        identity = replace(known, config=config, unit=plea.unit, recipe=plea.recipe)
        if ENV_COMMAND in environ:
            identity = replace(identity, command=command, cwd=_cwd(environ))
    changes = _changes(known, identity, plea, journal)
    if fault is not None:
        set_aside(run_dir, fs)
    if identity != known:
        write_identity(run_dir, identity, fs=fs)
    attempt = lease.owner.attempt
    journal.record(
        "attempt_started",
        attempt=attempt,
        pid=os.getpid(),
        host=lease.owner.host,
        command=command,
        total=plea.total,
        supervised=ENV_SUPERVISED in environ,
        versions=versions(),
        newest=_newest(run_dir),
    )
    if fault is not None:
        journal.record("rebuilt", attempt=attempt, file="run.json", why=fault)
    if changes:
        journal.record("config_changed", attempt=attempt, changes=changes)
    notes = [f"config changed: {key}: {old} -> {new}" for key, (old, new) in changes.items()]
    notes += [] if fault is None else [f"run.json is made anew: {fault}"]
    return identity, tuple(notes)


def _newest(run_dir: RunDir) -> int:
    """Return the step of the newest checkpoint in its place: what comes later is not this past."""
    return max(map(int, step_names(run_dir.checkpoints)), default=-1)


def _changes(
    known: Identity | None, identity: Identity, plea: Plea, journal: Journal
) -> dict[str, list[Any]]:
    if known is None:
        return {}
    changes = diff_config(finite(known.config), identity.config)
    before = journal.last("attempt_started")
    if before is not None and before.get("total") != plea.total:
        changes["total"] = [before.get("total"), plea.total]
    if known.seed != plea.seed:
        changes["seed"] = [known.seed, plea.seed]
    return changes


def versions() -> dict[str, str]:
    """Return the versions of what is loaded: Python and the frameworks."""
    found = {"python": platform.python_version()}
    for name in ("evertrain", "numpy", "torch", "stable_baselines3", "gymnasium", "jax"):
        version = getattr(sys.modules.get(name), "__version__", None)
        if isinstance(version, str):
            found[name] = version
    return found


def _command(environ: Mapping[str, str]) -> list[str]:
    """Return the command that starts this training again."""
    try:
        given = parse_json(os.fsencode(environ.get(ENV_COMMAND, "")))
    except ValueError:
        given = None
    if isinstance(given, list) and all(isinstance(each, str) for each in given):
        return given
    return list(sys.orig_argv)


def _cwd(environ: Mapping[str, str]) -> str:
    return environ.get(ENV_CWD) or str(Path.cwd())

"""Which checkpoint a run goes on from, and why, in one line.

Layer: run. Imports checkpoint and core.
"""

import errno
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from evertrain.checkpoint.catalog import demoted, misplaced_names, step_names
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.read import Loaded, map_checkpoint
from evertrain.checkpoint.store import Store
from evertrain.checkpoint.strict import corrupt
from evertrain.core.errors import CorruptError, EvertrainError, NotFoundError, UsageError
from evertrain.core.rundir import RunDir, step_name, typed_step

KEYWORDS: Final = ("auto", "never", "must", "latest", "best", "last-stage")
MEANINGS: Final = f"one of {', '.join(KEYWORDS)}, a step, stage:N, or the path of a checkpoint"
Resume = str | int | Path
OnCorrupt = Callable[[int, CorruptError], None]
# By name of a checkpoint, the attempts that it killed in a row, one after another.
Deadly = Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Choice:
    """What to resume from.

    Attributes:
        loaded: The checkpoint, verified and in memory; None is a fresh start.
        why: The reason, for people and the journal.
        is_rewind: Whether later checkpoints must be set aside.
        is_import: Whether it lies outside this run's branch, all of which must be set aside.
        passed_over: Newer ones that are whole, and kill whoever restores them: by step, the
            attempts that they killed. They are demoted once this one has proved better.
    """

    loaded: Loaded | None
    why: str
    is_rewind: bool = False
    is_import: bool = False
    passed_over: Mapping[int, Sequence[int]] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """Step to go on from; 0 is a fresh start."""
        return self.loaded.info.step if self.loaded else 0

    def without_state(self) -> "Choice":
        """Return the same choice without its arrays: a restored state is needed once only."""
        return (
            replace(self, loaded=replace(self.loaded, state={}, mapped={})) if self.loaded else self
        )


def choose(
    store: Store, resume: Resume, on_corrupt: OnCorrupt, deadly: Deadly | None = None
) -> Choice:
    """Choose the checkpoint that `resume` asks for.

    Args:
        store: The run's checkpoints.
        resume: A keyword, a step, "stage:N", or the path of a checkpoint.
        on_corrupt: Called for each damaged checkpoint on the way; it sets it aside.
        deadly: Checkpoints that "auto" and "must" pass over. What is asked for in other
            words is taken all the same.

    Raises:
        NotFoundError: What was asked for is not there, or all that is left is deadly.
        CorruptError: It is damaged, and it was asked for by name.
        EvertrainError: The disk reads none of them.
        UsageError: `resume` means nothing.
    """
    for name in misplaced_names(store.path):  # its step could not be saved
        on_corrupt(int(name), corrupt(store.path / name, "it is no directory"))
    steps = [int(name) for name in step_names(store.path)]  # also those that cannot be read
    if resume == "never":
        return Choice(None, "a fresh start was asked for", is_rewind=True)
    if resume in {"auto", "must", "latest"}:
        spared = {} if resume == "latest" else deadly or {}
        must = resume != "auto"
        return _newest_whole(store, steps, must=must, on_corrupt=on_corrupt, deadly=spared)
    path = Path(str(resume)) if _is_path(resume) else _demoted_path(store, resume)
    if path is not None:
        return _at_path(store, steps, path)
    info = _named(store, store.list(), resume)
    loaded = store.map(info.step)
    return Choice(loaded, f"{resume!r} was asked for", is_rewind=info.step < steps[-1])


def starts_fresh(run_dir: Path, resume: Resume) -> bool:
    """Say whether a run there begins anew, as far as that is known without reading anything."""
    if resume == "auto":
        return not step_names(RunDir(run_dir).checkpoints)
    return resume == "never"


def check(store: Store, resume: str) -> None:
    """Refuse what `choose` would refuse for want of a checkpoint. Loads and changes nothing.

    Raises:
        NotFoundError: What was asked for is not there.
        CorruptError: Its manifest is damaged, and it was asked for by name.
        UsageError: `resume` means nothing.
    """
    if resume in {"must", "latest"} and not step_names(store.path):
        raise _none_at_all(store)
    if resume in {"auto", "never", "must", "latest"}:
        return
    if not _is_path(resume):
        if _demoted_path(store, resume) is None:
            _named(store, store.list(), resume)
    elif not (Path(resume) / "manifest.json").is_file():
        raise _not_at(Path(resume))


def is_meant(resume: str) -> bool:
    """Say whether `resume` could name a checkpoint, here or in some other run."""
    is_word = resume in KEYWORDS or resume.startswith("stage:")
    return is_word or typed_step(resume) is not None or _is_path(resume)


def _at_path(store: Store, steps: list[int], path: Path) -> Choice:
    """Choose by path: a checkpoint of this branch, or one to import."""
    loaded, why = read_path(path), f"{path} was asked for"
    if path.resolve().parent == store.path.resolve():
        return Choice(loaded, why, is_rewind=loaded.info.step < steps[-1])
    return Choice(loaded, why, is_rewind=True, is_import=True)


def read_path(path: Path) -> Loaded:
    """Return the checkpoint in the directory `path`, be it of this run, aside, or of another.

    Raises:
        NotFoundError: There is none.
        CorruptError: It is damaged.
    """
    try:
        return map_checkpoint(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _not_at(path) from error


def _newest_whole(
    store: Store, steps: list[int], *, must: bool, on_corrupt: OnCorrupt, deadly: Deadly
) -> Choice:
    """Choose the newest that loads. A newer format ends the search: it is no damage.

    Nothing is set aside before that is found out: where the disk reads none of them, the disk
    is at fault, and it may be another one tomorrow.
    """
    damaged, passed_over = dict[int, CorruptError](), dict[int, Sequence[int]]()
    for step in reversed(steps):
        if step_name(step) in deadly:
            passed_over[step] = deadly[step_name(step)]
            continue
        try:
            loaded = store.map(step)
        except CorruptError as error:
            damaged[step] = error
            continue
        _set_aside(damaged, on_corrupt)
        return Choice(loaded, _note(len(damaged), passed_over), passed_over=passed_over)
    unread = next((each for each in damaged.values() if _is_unread(each)), None)
    if unread is not None:
        raise _disk_fails(unread)
    _set_aside(damaged, on_corrupt)
    if passed_over or demoted(store.path):  # a fresh start would throw them away unseen
        raise _none_lives(store, passed_over)
    if must:
        raise _none_at_all(store)
    note = f"all {len(damaged)} checkpoints are damaged" if damaged else "no checkpoints found"
    return Choice(None, note)


def _set_aside(damaged: Mapping[int, CorruptError], on_corrupt: OnCorrupt) -> None:
    for step, error in damaged.items():
        on_corrupt(step, error)


def _is_unread(error: CorruptError) -> bool:
    """Say whether the medium did not give the bytes, where others give wrong ones."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EIO


def _disk_fails(error: CorruptError) -> EvertrainError:
    return EvertrainError(
        f"no checkpoint can be read. The newest one: {error.what}",
        "a disk that reads none of them is at fault, not they; a fresh start would throw away"
        " what another disk or another cable still reads. Nothing was set aside.",
        "See whether the disk is there and healthy: dmesg; evertrain doctor. To begin anew all"
        " the same: --resume never",
    )


def _note(skipped: int, passed_over: Mapping[int, Sequence[int]]) -> str:
    name = "the newest whole one" if skipped else "the newest"
    if passed_over:
        name += f" before {_listed(passed_over)}, of which attempts died"
    return f"{name}; {skipped} damaged set aside" if skipped else name


def _listed(steps: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(steps)))


def _demoted_path(store: Store, resume: Resume) -> Path | None:
    """Return where the demoted checkpoint of a step is, if there is no other one of it."""
    step = typed_step(str(resume))
    if step is None or (store.path / step_name(step)).exists():
        return None
    found = [info.path for info in demoted(store.path) if info.step == step]
    return found[-1] if found else None


def _named(store: Store, found: list[CheckpointInfo], resume: Resume) -> CheckpointInfo:
    text = str(resume)
    step = typed_step(text)
    if step is not None:
        return store.get(step)
    if text == "best":
        best = store.best()
        if best is not None:
            return best
        raise _missing(store, text, "no checkpoint has a score; name one with best='max:METRIC'")
    if text == "last-stage" or text.startswith("stage:"):
        return _stage(store, found, text)
    raise UsageError(
        f"resume={text!r} means nothing.",
        f"it is {MEANINGS}.",
        "List what is there with: evertrain ls " + str(store.path.parent),
    )


def _stage(store: Store, found: list[CheckpointInfo], text: str) -> CheckpointInfo:
    wanted = text.partition(":")[2]
    ended = [each for each in found if each.kind in {"stage", "final"} and each.stage_index]
    fitting = [
        each for each in ended if not wanted or wanted in {str(each.stage_index), each.stage}
    ]
    if fitting:
        return fitting[-1]
    have = ", ".join(f"stage:{each.stage_index}" for each in ended) or "none"
    raise _missing(store, text, f"finished stages with a checkpoint: {have}")


def _none_at_all(store: Store) -> NotFoundError:
    return NotFoundError(
        f"{store.path} holds no checkpoint to resume from.",
        "resuming was demanded, and starting anew would throw the past away unseen.",
        "Check the path; to start anew use --resume auto or never.",
    )


def _none_lives(store: Store, passed_over: Mapping[int, Sequence[int]]) -> NotFoundError:
    died = sorted({attempt for each in passed_over.values() for attempt in each})
    steps = _listed(passed_over) or _listed(info.step for info in demoted(store.path))
    who = f" (attempts {_listed(died)})" if died else ""
    return NotFoundError(
        f"{store.path} holds no checkpoint that lets an attempt live.",
        f"whoever restored {steps} died before a step had ended{who}: where that is so of each of"
        " them, the machine or the program is more likely at fault than the checkpoints.",
        "Mend it and go on from the newest with --resume latest, from one of them with"
        " --resume STEP, or start anew with --resume never.",
    )


def _not_at(path: Path) -> NotFoundError:
    return NotFoundError(
        f"there is no checkpoint at {path}.",
        "a checkpoint is a directory with a manifest.json.",
        "List a run's checkpoints with: evertrain ls RUN",
    )


def _missing(store: Store, text: str, why: str) -> NotFoundError:
    return NotFoundError(
        f"{store.path} has no checkpoint {text!r}.",
        why + ".",
        "List what is there with: evertrain ls " + str(store.path.parent),
    )


def _is_path(resume: Resume) -> bool:
    """Say whether a path is meant. Keywords win: a directory may be called "best"."""
    if isinstance(resume, Path):
        return True
    if isinstance(resume, int) or resume in KEYWORDS or resume.startswith("stage:"):
        return False
    # The name of a directory counts, but digits always mean a step.
    return "/" in resume or bool(resume and not resume.isdigit() and Path(resume).is_dir())

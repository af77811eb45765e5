"""The name of every file of a run directory, and the run's identity card.

The run directory is the API: `docs/format.md` specifies each file named here.

Layer: core. Imports core only.
"""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from evertrain.core import layout
from evertrain.core.clock import SYSTEM_CLOCK, Clock, iso_utc
from evertrain.core.document import CARD_BYTES, parse_json
from evertrain.core.errors import CorruptError, FormatError, NotFoundError
from evertrain.core.fs import LOCAL_FS, Fs, make_dir, write_atomic
from evertrain.core.journal import finite
from evertrain.core.kinds import is_count, is_object, is_text, is_words, misfit, or_none
from evertrain.core.refusal import refusal, refusing
from evertrain.core.regular import read_regular

FORMAT: Final = 1
STEP_DIGITS: Final = 9

_TYPED_STEP: Final = re.compile(r"[0-9]{1,19}")
_STEP_NAME: Final = re.compile(r"[0-9]{9,19}")


def step_name(step: int) -> str:
    """Return the directory name of the checkpoint of `step`: nine digits or more."""
    return f"{step:0{STEP_DIGITS}d}"


def parse_step(name: str) -> int | None:
    """Return the step that a checkpoint's directory name says, or None."""
    return int(name) if _STEP_NAME.fullmatch(name) and name == step_name(int(name)) else None


def typed_step(text: str) -> int | None:
    """Return the step that a person typed, or None: "²" is a digit to Python, and no number."""
    return int(text) if _TYPED_STEP.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class RunDir:
    """Where everything of the run at `path` lies. Touches nothing.

    Attributes:
        path: The run directory.
    """

    path: Path

    @property
    def identity(self) -> Path:
        """`run.json`, which makes a directory a run."""
        return self.path / "run.json"

    @property
    def lock(self) -> Path:
        """The trainer's lease."""
        return self.path / "lock"

    @property
    def supervisor_lock(self) -> Path:
        """The supervisor's lease."""
        return self.path / "supervisor.lock"

    @property
    def shim_lock(self) -> Path:
        """The lease of the process that holds the supervised command's tree and output."""
        return self.path / "shim.lock"

    @property
    def journal(self) -> Path:
        """Events, append-only."""
        return self.path / "journal.jsonl"

    @property
    def metrics(self) -> Path:
        """One object per logged step, append-only."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Directory of the committed checkpoints; the store's root."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """Directory of the attempts' output."""
        return self.path / "logs"

    @property
    def crashes(self) -> Path:
        """Directory of the attempts' post-mortems."""
        return self.path / "crashes"

    @property
    def inbox(self) -> Path:
        """Directory of requests to the owner: stop, save, pin."""
        return self.path / "inbox"

    @property
    def heartbeat(self) -> Path:
        """Small shared-memory file: the owner's step, phase and time."""
        return self.path / "heartbeat"

    @property
    def directories(self) -> tuple[Path, ...]:
        """What must be a directory, if it is there."""
        return (self.checkpoints, self.logs, self.crashes, self.inbox)

    @property
    def files(self) -> tuple[Path, ...]:
        """What must be a regular file, if it is there; `read_identity` judges `run.json`."""
        return (self.lock, self.supervisor_lock, self.shim_lock, self.journal, self.metrics)

    def log(self, attempt: int) -> Path:
        """Output of one attempt."""
        return self.logs / f"attempt-{attempt:04d}.log"

    def crash(self, attempt: int) -> Path:
        """Post-mortem of one attempt."""
        return self.crashes / f"attempt-{attempt:04d}.json"

    def words(self, attempt: int) -> Path:
        """What a dying attempt wrote itself, without `.errors.jsonl` and `.fault.txt`."""
        return self.crashes / f"attempt-{attempt:04d}"

    def stacks(self, attempt: int) -> Path:
        """Stacks of one attempt that hung."""
        return self.crashes / f"attempt-{attempt:04d}-stacks.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What `run.json` says: who this run is, whatever happens to it.

    Attributes:
        id: Random name, never reused.
        created_at: RFC 3339 time of the first start.
        format: Version of the directory's format.
        unit: What a step is called: "step", "episode", "iteration".
        seed: Seed of the fresh start, or None.
        command: The command line that started it; empty if unknown.
        cwd: Directory in which it was started; empty if unknown.
        config: The configuration in force at the last start.
        recipe: Name of the shipped recipe, or None.
    """

    id: str
    created_at: str
    format: int = FORMAT
    unit: str = "step"
    seed: int | None = None
    command: list[str] = field(default_factory=list)
    cwd: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    recipe: str | None = None


_KINDS: Final = {
    "id": is_text,
    "created_at": is_text,
    "format": is_count,
    "unit": is_text,
    "seed": or_none(is_count),
    "command": is_words,
    "cwd": is_text,
    "config": is_object,
    "recipe": or_none(is_text),
}


def new_identity(*, clock: Clock = SYSTEM_CLOCK, **known: Any) -> Identity:
    """Return the identity of a run that starts now."""
    import secrets  # slow to import, and readers never need it

    return Identity(id=secrets.token_hex(6), created_at=iso_utc(clock.now_s()), **known)


def write_identity(run_dir: RunDir, identity: Identity, *, fs: Fs = LOCAL_FS) -> None:
    """Write `run.json`, creating the run directory if needed.

    Durability:
        As `write_atomic`.
    """
    make_dir(run_dir.path, fs=fs)
    card = finite(asdict(identity))
    text = json.dumps(card, indent=2, sort_keys=False, default=str, allow_nan=False) + "\n"
    write_atomic(run_dir.identity, text.encode(), fs=fs)


def read_identity(run_dir: RunDir) -> Identity | None:
    """Return what `run.json` says, or None where there is no run yet.

    Raises:
        FormatError: The run was written by a newer version.
        CorruptError: The file is not what evertrain writes.
    """
    path = run_dir.identity
    try:
        text = read_regular(path, CARD_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        if not path.is_symlink():
            return None
        problem = f"it is a symbolic link that leads nowhere: {path.readlink()}"
        raise _damaged(path, problem) from error
    except OSError as error:
        raise refusal(error, path) from error
    try:
        found = parse_json(text)
        version = found["format"]
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path, f"reading it fails with {type(error).__name__}: {error}") from error
    check_format(path, version)
    wrong = misfit(found, _KINDS)
    if wrong is not None:
        raise _damaged(path, f"its {wrong!r} is {found[wrong]!r:.60}")
    try:
        return Identity(**{key: value for key, value in found.items() if key in _KINDS})
    except TypeError as error:
        raise _damaged(path, f"it lacks a field: {error}") from error


def _damaged(path: Path, problem: str) -> CorruptError:
    return CorruptError(
        f"{path} does not hold the identity of a run.",
        f"{problem}; without it a run cannot be told from another one.",
        "Start the training again: from its checkpoints and journal it makes a new one. "
        "Without a journal, restore it from a backup.",
    )


def check_format(path: Path, version: object, newest: int = FORMAT) -> None:
    """Refuse a file of a version that this code does not read.

    Raises:
        FormatError: `version` is newer, or not a version at all.
    """
    if type(version) is int and 1 <= version <= newest:
        return
    raise FormatError(
        f"{path} has format {version!r:.40}.",
        f"this evertrain reads formats 1 to {newest}; guessing could damage the run.",
        "Upgrade evertrain (pip install -U evertrain), or use the version that wrote it.",
    )


def open_run_dir(path: Path | str) -> RunDir:
    """Return the directory of an existing run, named by path or by name under `runs/`.

    Raises:
        NotFoundError: There is no run.
        FormatError: It was written by a newer version.
        CorruptError: Its `run.json` is damaged.
    """
    for candidate in (Path(path), Path("runs") / path):
        run_dir = RunDir(candidate)
        # A supervised command that is no `Run` has a journal before it has an identity.
        if read_identity(run_dir) is not None or run_dir.journal.is_file():
            return run_dir
    raise NotFoundError(
        f"there is no run at {str(path)!r}.",
        f"neither {path}/run.json nor runs/{path}/run.json exists.",
        "List the runs here with: evertrain ls",
    )


def claim_run_dir(path: Path) -> RunDir:
    """Return `path` as a place where a run may live, new or old. Touches nothing.

    Raises:
        ConfigError: It is a file, a directory of something else, or not writable;
            or something else stands where a run has its own files.
        FormatError: It was written by a newer version.
        CorruptError: Its `run.json` is damaged, and no journal says that it was a run.
    """
    run_dir = RunDir(path)
    with refusing(path):
        layout.check_kind(path)
        if not _is_known(run_dir):
            layout.check_unmixed(path)
        layout.check_writable(path)
        layout.check_entries(run_dir.directories, run_dir.files)
    return run_dir


def _is_known(run_dir: RunDir) -> bool:
    """Say whether there is a run of ours, be it one whose `run.json` is lost or damaged."""
    try:
        return read_identity(run_dir) is not None or layout.tells_of_attempts(run_dir.journal)
    except CorruptError:
        if layout.tells_of_attempts(run_dir.journal):
            return True
        raise

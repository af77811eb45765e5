"""A directory of checkpoints: save, load, list, verify, pin, prune.

One process writes; any number of processes read, without a lock, at any time.

Layer: checkpoint. Imports core only.
"""

import math
import operator
import os
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, SupportsIndex, TypeVar

from evertrain.checkpoint import shelf, trash
from evertrain.checkpoint.about import About
from evertrain.checkpoint.arena import Arena
from evertrain.checkpoint.catalog import DEMOTED, Catalog, step_names
from evertrain.checkpoint.commit import Tools, sweep, write_snapshot
from evertrain.checkpoint.commit import draft as draft_manifest
from evertrain.checkpoint.counts import lies
from evertrain.checkpoint.custom import check_rules
from evertrain.checkpoint.directory import opened
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.keep import Keep, Verdict, verdicts
from evertrain.checkpoint.manifest import Manifest, to_info
from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.previous import Base, after, found
from evertrain.checkpoint.rank import Best, highest, parse_best, ranked
from evertrain.checkpoint.read import Loaded, map_checkpoint, read_checkpoint, read_manifest
from evertrain.checkpoint.snapshot import Snapshot, take
from evertrain.checkpoint.verify import Fault, Memory, faults_of
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.disk import Size
from evertrain.core.errors import (
    ConfigError,
    EvertrainError,
    NotFoundError,
    SaveError,
    UsageError,
)
from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.core.refusal import is_full
from evertrain.core.rundir import RunDir, step_name, typed_step

T = TypeVar("T")

# Inside the class, `list` is the method.
Infos = list[CheckpointInfo]
Faults = list[Fault]
Verdicts = list[Verdict]
Names = list[str]

MAX_STEP: Final = 10**18
_NEAR: Final = 5  # how many checkpoints an error names
_TRIES: Final = 100  # of a reader; a fast training prunes in milliseconds what it looks at


def warn_user(text: str) -> None:
    """Warn in Python's own way. Where warnings are errors, it is printed: the save is safe."""
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=4)
    except RuntimeWarning:
        print(text, file=sys.stderr)


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A save that has begun.

    Attributes:
        step: The step.
        snapshot: Its state.
        about: Everything else.
        draft: Its manifest, so far.
    """

    step: int
    snapshot: Snapshot
    about: About
    draft: Manifest

    @property
    def need(self) -> Size:
        """What its files will take on the disk: at most that, where there are hard links."""
        return self.snapshot.need


class Store:
    """The checkpoints of one run, or of no run at all.

    A save looks at each manifest's stamp and writes `index.json` anew, so what
    it costs grows with the number of checkpoints kept: little to a hundred,
    a tenth of a second at a few thousand. Retention keeps that number small.

    Args:
        path: A directory of checkpoints, new or old, or a run directory.
        best: What is better, "max:total_profit" or "min:loss", for saves that do not say.
        fs: Disk to write to.
        clock: Source of the times.
        warn: Tells of what is wrong, but harms no save; maybe in the thread of a commit.

    Attributes:
        path: The directory of the checkpoints.

    Raises:
        UsageError: `path` is no path, or `best` says nothing.
        ConfigError: There is a file at `path`.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        best: str | None = None,
        fs: Fs = LOCAL_FS,
        clock: Clock = SYSTEM_CLOCK,
        warn: Callable[[str], object] = warn_user,
    ) -> None:
        """Touch nothing: the first save creates the directory."""
        run_dir = RunDir(_place(path))
        self.path = run_dir.checkpoints if run_dir.identity.exists() else run_dir.path
        self._best: Best | None = None if best is None else parse_best(best)
        self._tools = Tools(fs, clock)
        self._warn = warn
        self._catalog = Catalog(self.path)
        self._base: Base | None = None
        self._doubted: set[str] = set()
        self._arena = Arena()
        self._writing = threading.RLock()
        self._deriving = threading.Lock()
        self._pinning = threading.Lock()  # what is being pinned is not being pruned
        self._has_litter = False

    def save(
        self, step: int, state: Mapping[str, Tree], *, about: About | None = None
    ) -> CheckpointInfo:
        """Save the state after `step`.

        Nothing is copied: the arrays are written from where they are. They
        must not change until this returns.

        Args:
            step: 0 or more; there is no checkpoint of it yet.
            state: Trees of dicts, lists, numbers, strings, arrays, ... by name.
            about: Everything else worth knowing.

        Raises:
            UsageError: The step is taken, or no step at all; `state` is no mapping of names;
                a metric is no float.
            StateError: Something in `state` cannot be stored. The message names its path.
            SaveError: The disk refused. What was there before is still there.
            FencedError: `about.fence` says that another attempt owns the run.

        Durability:
            After return the checkpoint survives a power cut. A crash before
            that leaves all earlier ones, and perhaps a `.tmp-*` that
            `recover` removes; it never leaves half of this one.
        """
        return self.commit(self.begin(step, state, about=about, copy=False))

    def begin(
        self,
        step: int,
        state: Mapping[str, Tree],
        *,
        about: About | None = None,
        copy: bool = True,
    ) -> Pending:
        """Take the state as it is now, to be written by `commit`, perhaps in another thread.

        Only what changed since the last save is copied, into memory that the
        next one uses again: so commit one before you begin the next. In this process:
        a forked child does not have the copy.

        Args:
            step: As `save`.
            state: As `save`.
            about: As `save`.
            copy: Whether the state may change before it is committed. If not, nothing
                is taken on trust: what the owner of `Rows` says it wrote is checked.

        Raises:
            UsageError: As `save`.
            StateError: As `save`.
            MemoryError: There is no room for the copy.
        """
        step = _whole(step)
        _check_names(state)
        full = self._ranked(about or About())
        self._target(step, full)
        draft = draft_manifest(step, full, self._tools)
        with self._writing:  # a commit under way reads the memory that is copied to
            snapshot = take(state, self._base, self._arena if copy else None, self._doubted)
        return Pending(step, snapshot, full, draft)

    def commit(self, pending: Pending) -> CheckpointInfo:
        """Write what `begin` took.

        Raises:
            UsageError: The step was taken meanwhile, or another save was begun, or this is
                a forked child.
            SaveError: The disk refused. What was there before is still there.
            BaseLostError: A checkpoint that it was to share with was removed meanwhile.
            FencedError: `about.fence` says that another attempt owns the run.

        Durability:
            As `save`.
        """
        fence = pending.about.fence or _no_fence
        with self._writing:
            target, snapshot = self._target(pending.step, pending.about), pending.snapshot
            self._check_copy(pending)
            self._sweep_litter()
            self._base = None  # a failed save leaves nothing to trust
            try:
                manifest = write_snapshot(
                    target, snapshot, pending.draft, pending.about, self._tools
                )
            except SaveError as error:
                self._has_litter = True
                if is_full(error):
                    self._base = snapshot.base  # nothing is wrong with it, and it saves room
                raise
            self._base = after(target, manifest, snapshot.base, snapshot.written)
            self._doubt(snapshot, manifest)
            info = to_info(manifest, target)
            self._catalog.learn(info)
            fence()  # who lost it meanwhile has committed for nobody, and must not prune
            self._refresh()
        return info

    def share_with(self, path: Path, manifest: Manifest) -> None:
        """Let the next save share files with a checkpoint that an earlier process left.

        Args:
            path: Its directory.
            manifest: What it holds; its bytes were checked.
        """
        self._base = found(path, manifest)

    def load(self, which: str | int = "latest", *, names: Collection[str] | None = None) -> Loaded:
        """Load a checkpoint, every byte checked against its digest.

        Args:
            which: "latest", "best", or a step.
            names: The objects to load; None loads all.

        Raises:
            NotFoundError: There is no such checkpoint, or it lacks one of `names`.
            CorruptError: It is damaged.
            FormatError: A newer version wrote it.
            StateError: It needs a type that the program has not registered.
        """
        return self._load(which, lambda path: read_checkpoint(path, names=names))

    def map(self, which: str | int = "latest") -> Loaded:
        """Load a checkpoint, every byte checked, its arrays mapped instead of read.

        Copy an array before you change or keep it: until the last of them is
        gone, the disk's space is not free.

        Raises:
            EvertrainError: As `load`.
        """
        return self._load(which, map_checkpoint)

    def list(self) -> Infos:
        """Return the checkpoints that can be read, ascending by step.

        Only manifests are read, each once, and not even those that
        `index.json` describes. A damaged one is left out; `verify` tells.
        """
        return self._catalog.infos()

    def latest(self) -> CheckpointInfo | None:
        """Return the checkpoint of the highest step, or None."""
        return self._catalog.newest()

    def best(self) -> CheckpointInfo | None:
        """Return the checkpoint of the highest score, ties to the later, or None."""
        return next(iter(ranked(self.list(), self._best)), None)

    def get(self, step: int) -> CheckpointInfo:
        """Return the checkpoint of `step`.

        Raises:
            NotFoundError: There is none.
            CorruptError: Its manifest is damaged.
            FormatError: A newer version wrote it.
        """
        return self._find(step)

    def verify(self, step: int | None = None) -> Faults:
        """Read everything back, byte by byte, and return what is wrong.

        A file that checkpoints share is read once, and found in all of them if it is rotten.

        Args:
            step: The checkpoint to look at; None looks at all of them.

        Raises:
            NotFoundError: There is no checkpoint of `step`.
        """
        names = step_names(self.path) if step is None else [self._find_path(_step_of(step)).name]
        found: Faults = []
        memory: Memory = {}
        for name in names:
            with suppress(FileNotFoundError):  # pruned meanwhile
                found += faults_of(self.path / name, int(name), memory)
        return found

    def pin(self, step: int) -> None:
        """Keep the checkpoint of `step` whatever the rules say.

        Raises:
            NotFoundError: There is none.
            OSError: The disk refused.
        """
        with self._pinning:
            shelf.pin(self.path, _step_of(step), self._tools.fs)
        self._refresh()

    def unpin(self, step: int) -> None:
        """Let the rules decide again on the checkpoint of `step`.

        Raises:
            NotFoundError: There is none.
            OSError: The disk refused.
        """
        step = _step_of(step)
        self._find_path(step)
        shelf.unpin(self.path, step, self._tools.fs)
        self._refresh()

    def prune(
        self,
        keep: Keep,
        *,
        protect: Collection[int] = (),
        dry_run: bool = False,
        ahead: Pending | None = None,
    ) -> Verdicts:
        """Delete what the rule `keep` does not keep.

        The newest whole checkpoint, anything newer, and the pinned ones stay
        whatever `keep` says. Damaged ones are not touched.

        Args:
            keep: The rule.
            protect: Steps that must stay, such as the one that the run resumed from.
            dry_run: Only say what would happen.
            ahead: A save that is about to be committed, for a disk without room for it:
                what `keep` drops once it is there goes before. Its score does not count
                yet, so the best so far stays; so does what it shares files with.

        Returns:
            What happened to each, oldest first.

        Raises:
            ConfigError: `keep` is no rule.
            OSError: The disk refused.

        Durability:
            Each is moved to `trash/` before it is deleted, so a crash leaves
            whole checkpoints only. `recover` deletes what a crash left there.
        """
        check_rules("prune", keep)
        with self._writing:
            if not dry_run:
                trash.empty(self.path / trash.TRASH, self._tools)
            with self._pinning:
                found = self.list()
                guarded = self._newest_whole(found) | dict.fromkeys(protect, "resume base")
                if ahead is None:
                    judged = verdicts(found, keep, guarded)
                else:
                    judged = self._verdicts_ahead(found, keep, guarded, ahead)
                doomed = [] if dry_run else [each.step for each in judged if not each.is_kept]
                moved = trash.discard(self.path, doomed, self._tools)
            if self._base is not None and self._base.manifest.step in doomed:
                self._base = None
            if doomed:
                self._refresh()
                trash.delete(moved, self._tools)
        return judged

    def _verdicts_ahead(
        self, found: Infos, keep: Keep, guarded: Mapping[int, str], ahead: Pending
    ) -> Verdicts:
        """Judge as if a save were there already, but protect what it may yet need."""
        base = ahead.snapshot.base
        needed = {} if base is None else {base.manifest.step: "shared with the next save"}
        newest = {found[-1].step: "newest"} if found else {}
        coming = replace(to_info(ahead.draft, self.path / step_name(ahead.step)), score=None)
        judged = verdicts([*found, coming], keep, {**newest, **guarded, **needed})
        return [each for each in judged if each.step != ahead.step]

    def empty_trash(self) -> int:
        """Delete what could still come back from the trash, for a disk that is full.

        Returns:
            How many checkpoints went.
        """
        return trash.empty(self.path / trash.TRASH, self._tools, is_urgent=True)

    def recover(self) -> Names:
        """Clean up what a crash left: unfinished saves, trash, stale links and index.

        Only for the process that owns the run. What a person threw away stays
        in the trash until its grace is over.

        Returns:
            The names of the unfinished saves and files that were removed.

        Raises:
            OSError: The disk refused.
        """
        with self._writing:
            fs = self._tools.fs
            shelves = (self.path / each for each in (shelf.EMERGENCY, shelf.QUARANTINE, DEMOTED))
            places = [self.path, *(each for each in shelves if not each.is_symlink())]
            gone = [name for place in places for name in sweep(place, fs)]
            trash.empty(self.path / trash.TRASH, self._tools)
            self._refresh()
        return gone

    def _sweep_litter(self) -> None:
        """Remove what an earlier save could not, because the disk refused that, too."""
        if self._has_litter:
            with suppress(OSError):
                sweep(self.path, self._tools.fs)
                self._has_litter = False

    def _target(self, step: int, about: About) -> Path:
        target = self.path / step_name(step)
        if target.exists() and about.fence is not None:
            about.fence()  # whose it is: this process may have lost the run, or somebody else has
        if target.exists():
            raise UsageError(
                f"there is a checkpoint of step {step} already: {target}.",
                "a checkpoint is never overwritten.",
                "Save under another step, or move that one away first.",
            )
        return target

    def _check_copy(self, pending: Pending) -> None:
        turn = pending.snapshot.turn
        if turn is None or self._arena.is_current(turn):
            return
        raise UsageError(
            f"the save of step {pending.step} has lost its copy of the state.",
            "another one was begun since, in the same memory, or this is a forked child.",
            "Commit a save before you begin the next one, in the process that began it.",
        )

    def _ranked(self, about: About) -> About:
        """Fill in how good the checkpoint is, where the caller left it open."""
        if about.metric_name is None and about.score is None and self._best is not None:
            about = replace(
                about,
                metric_name=self._best.metric,
                metric_value=about.metrics.get(self._best.metric),
                score=self._best.score(about.metrics),
            )
        if about.is_best is not None or about.score is None:
            return about
        best = highest(self.list(), self._best)
        return replace(about, is_best=_beats(about.score, best))

    def _doubt(self, snapshot: Snapshot, manifest: Manifest) -> None:
        """Stop believing the owners of rows that changed, although they counted none."""
        if snapshot.base is None:
            return
        liars = lies(snapshot.claimed, snapshot.base.manifest, manifest) - self._doubted
        self._doubted |= liars
        for name in sorted(liars):
            self._warn(
                f"{name}: rows of its arrays changed, but not in the order that its count of rows"
                " written says; checkpoints before this one may hold old rows of it. Until the"
                " next start its count is not believed, and every row is compared"
            )

    def _refresh(self) -> None:
        """Bring links and index up to date. The checkpoints do not depend on them."""
        try:
            with self._deriving:
                self._catalog.refresh(self._tools)
        except (OSError, EvertrainError) as error:
            self._warn(
                f"{self.path}: the links latest and best, or index.json, could not be updated"
                f" ({error}); the checkpoints themselves are safe"
            )

    def _find(self, which: str | int) -> CheckpointInfo:
        if isinstance(which, str) and which in {"latest", "best"}:
            return self._ranked_first(which)
        path = self._find_path(_step_of(which))
        known = self._catalog.find(path.name)
        if known is not None:
            return known
        with opened(path) as directory:  # says what is wrong with it
            return to_info(read_manifest(directory), path)

    def _ranked_first(self, which: str) -> CheckpointInfo:
        """Return the latest or the best. All that were listed may have been pruned meanwhile."""
        for _ in range(_TRIES):
            info = self.latest() if which == "latest" else self.best()
            if info is not None:
                return info
        raise self._nothing(which, self.list())

    def _find_path(self, step: int) -> Path:
        path = self.path / step_name(step)
        if step < 0 or not path.is_dir():
            raise self._nothing(step, self.list())
        return path

    def _nothing(self, which: str | int, found: Infos) -> NotFoundError:
        steps = [info.step for info in found]
        if isinstance(which, int):
            near = sorted(sorted(steps, key=lambda step: abs(step - which))[:_NEAR])
            known = f"the nearest ones are of the steps {', '.join(map(str, near))}."
        else:
            known = f"the newest ones are of the steps {', '.join(map(str, steps[-_NEAR:]))}."
        return NotFoundError(
            f"there is no checkpoint {which!r} in {self.path}.",
            known if found else "it holds no checkpoint.",
            "List what there is with: evertrain ls RUN",
        )

    def _newest_whole(self, found: Infos) -> dict[int, str]:
        """Return the newest checkpoint whose files are all there, and what is newer."""
        guarded: dict[int, str] = {}
        for info in reversed(found):
            guarded[info.step] = "newest whole"
            if self._is_whole(info.path):
                break
            guarded[info.step] = "newest"
        guarded.pop(found[-1].step if found else -1, None)  # the rules' guard says so already
        return guarded

    def _is_whole(self, path: Path) -> bool:
        """Say whether every file is there at its full size."""
        try:
            if self._base is not None and self._base.path == path:
                files = self._base.manifest.files
            else:
                with opened(path) as directory:
                    files = read_manifest(directory).files
            return all((path / name).stat().st_size == each.bytes for name, each in files.items())
        except (OSError, EvertrainError):
            return False

    def _load(self, which: str | int, read_at: Callable[[Path], Loaded]) -> Loaded:
        def read() -> Loaded:
            info = self._find(which)
            loaded = read_at(info.path)
            return replace(loaded, info=replace(loaded.info, is_pinned=info.is_pinned))

        return self._despite_pruning(read)

    def _despite_pruning(self, read: Callable[[], T]) -> T:
        """Read again where a checkpoint was pruned under our feet: there is a newer one."""
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):
                return read()
        return read()


def _no_fence() -> None:
    """Let everybody commit: the store of no run."""


def _place(path: object) -> Path:
    """Return the directory that a store may live in; a file would pass for an empty one."""
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise UsageError(
            f"Store({path!r:.80}) is nowhere.",
            "checkpoints live in a directory.",
            "Write for example Store('runs/NAME')",
        )
    if os.path.exists(text) and not os.path.isdir(text):  # noqa: PTH110, PTH112  (they never raise)
        raise ConfigError(
            f"{text} is no directory.",
            "checkpoints live in a directory.",
            "Give the directory of the checkpoints, or that of their run.",
        )
    return Path(text)


def _check_names(state: object) -> None:
    if not isinstance(state, Mapping):
        raise UsageError(
            f"save(state={state!r:.80}) got a {type(state).__name__}.",
            "what is saved is found again by its name.",
            "Give a dict: save(step, {'agent': tree})",
        )
    for name in state:
        if not isinstance(name, str) or _is_broken(name):
            raise UsageError(
                f"save() got the name {name!a:.80}.",
                "what is saved is found again by its name, which is text.",
                "Give strings: save(step, {'agent': tree})",
            )


def _is_broken(name: str) -> bool:
    """Say whether a file cannot hold it: half a surrogate pair is no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return True
    return False


def _whole(step: object) -> int:
    """Return the step as an int; numpy's integers are welcome, True is not."""
    if isinstance(step, SupportsIndex) and not isinstance(step, bool):
        found = operator.index(step)
        if 0 <= found <= MAX_STEP:
            return found
    raise UsageError(
        f"{step!r:.80} is no step.",
        "a checkpoint is named by a whole number, 0 or more, of 18 digits at most.",
        "Give the number of the step that just ended.",
    )


def _step_of(which: str | int) -> int:
    if isinstance(which, SupportsIndex) and not isinstance(which, bool):
        return operator.index(which)
    step = typed_step(which) if isinstance(which, str) else None
    if step is not None:
        return step
    raise UsageError(
        f"{which!r} names no checkpoint.",
        "a checkpoint goes by 'latest', 'best', or its step.",
        "Write load('latest'), load('best') or load(250).",
    )


def _beats(score: float, best: float | None) -> bool:
    """Say whether a score is the best so far; NaN never is, a tie goes to the later."""
    return not math.isnan(score) and (best is None or score >= best)

"""Everything that writes to a run: what it begins with, what it does, what may be left of it."""

import fcntl
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evertrain.checkpoint import Store, keep_last
from evertrain.checkpoint.care.archive import archive, check
from evertrain.checkpoint.care.export import flat_arrays, write_safetensors
from evertrain.checkpoint.care.prune import prune, remove
from evertrain.checkpoint.care.retire import RUNS_TRASH, remove_run
from evertrain.checkpoint.care.unarchive import unarchive
from evertrain.checkpoint.care.undo import undo
from evertrain.core import request
from evertrain.core.journal import Journal
from evertrain.core.lock import take
from evertrain.core.rundir import RunDir, read_identity
from evertrain.testing import FakeClock
from power.judge import check_state
from power.program import STILL, train

RUN = "r"
BEFORE = 3  # steps that most scenarios begin with


def _nothing(_: Path) -> None:
    """Begin with an empty disk; look at nothing."""


def _trained(root: Path) -> None:
    train(root / RUN, BEFORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One thing that is done to a disk.

    Attributes:
        act: Does it, in a directory that holds the run `r`.
        wanted: Steps that a resume may go on from, and must, each after some death.
        ends_at: The step that it must go on from once everything was done.
        prepare: Makes what it begins with.
        look: Looks at what is left after any death, and fails if that is wrong.
        newest: Returns which of `wanted` a resume may go on from, as things are.
        lasts: Says whether what was done is there, once it was done.
        rotten: Steps whose checkpoints are damaged from the beginning.
    """

    act: Callable[[Path], object]
    wanted: Collection[int] = (BEFORE,)
    ends_at: int = BEFORE
    prepare: Callable[[Path], object] = _trained
    look: Callable[[Path], object] = _nothing
    newest: Callable[[Path], Collection[int]] | None = None
    lasts: Callable[[Path], bool] = lambda _: True
    rotten: Collection[int] = ()

    def allowed(self, root: Path) -> Collection[int]:
        """Return the steps that a resume may go on from: none older than what was told as saved."""
        if self.newest is not None:
            return self.newest(root)
        told = Journal(root / RUN / "journal.jsonl").last("saved") or {"step": 0}
        least = min(told["step"], *self.wanted) if self.rotten else told["step"]
        return [step for step in self.wanted if step >= least]


def rot(root: Path, step: int) -> None:
    """Flip a bit in what a checkpoint shares with no other."""
    path = root / RUN / "checkpoints" / f"{step:09}" / "run_state.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()
    path.write_bytes(data)


# ---- the training itself ------------------------------------------------------------------


def _rotten(root: Path) -> None:
    _trained(root)
    rot(root, BEFORE)


def _with_litter(root: Path) -> None:
    """Leave what crashes leave: unfinished saves, trash, wrong links, no index."""
    _trained(root)
    checkpoints = root / RUN / "checkpoints"
    for name in (f".tmp-000000004-{2**22 + 2}-1", "trash/000000001", "trash/000000002"):
        (checkpoints / name).mkdir(parents=True)
        (checkpoints / name / "a.safetensors").write_bytes(b"half")
    (checkpoints / f".index.json.tmp-{2**22 + 2}").write_bytes(b"half")
    (checkpoints / "index.json").unlink()
    (checkpoints / "latest").unlink()
    (checkpoints / "latest").symlink_to("000000001")


def _without_identity(root: Path) -> None:
    _trained(root)
    (root / RUN / "run.json").write_bytes(b"{half")


def _is_itself(root: Path) -> bool:
    """Say whether the run has the id that its checkpoints tell."""
    known = read_identity(RunDir(root / RUN))
    return known is not None and known.id == Store(root / RUN).load(1).manifest.run_id


def _take_over(root: Path) -> None:
    """Take the run while a process that a dead owner forked still holds its lock."""
    with (root / RUN / "lock").open() as left_behind:
        fcntl.flock(left_behind, fcntl.LOCK_EX)
        take(root / RUN / "lock").release()


def _die_of_an_error(root: Path) -> None:
    def fail(step: int) -> None:
        if step == 5:
            raise ValueError("planned")

    with suppress(ValueError):
        train(root / RUN, 5, during=fail)


def _ask(root: Path) -> None:
    clock = FakeClock()
    for verb in ("pin", "stop"):
        clock.advance(1)
        request.post(RunDir(root / RUN), verb, step=2, clock=clock)


def _obey(root: Path) -> None:
    train(root / RUN, 5, during=lambda step: _ask(root) if step == 4 else None)


def _look_at_requests(root: Path) -> None:
    verbs = _verbs(root)
    assert verbs == ["pin", "stop"][: len(verbs)]


def _verbs(root: Path) -> list[str]:
    return [each.verb for each in request.pending(RunDir(root / RUN))]


def _rewind(root: Path) -> None:
    train(root / RUN, 2, resume=1)


def _newest_of_rewind(root: Path) -> Collection[int]:
    """Once the rewind is written down, what it abandoned is never resumed."""
    last = Journal(root / RUN / "journal.jsonl").last("resumed")
    assert last is not None
    return (1, 2) if last["attempt"] == 2 else (1, 2, 3)


def _start_over(root: Path) -> None:
    train(root / RUN, 1, resume="never")


def _newest_of_fresh_start(root: Path) -> Collection[int]:
    last = Journal(root / RUN / "journal.jsonl").last("resumed")
    assert last is not None
    return (0, 1) if last["attempt"] == 2 else (0, 1, 2, 3)


# ---- people and tools ---------------------------------------------------------------------


def _pin(root: Path) -> None:
    store = Store(root / RUN)
    store.pin(1)
    store.unpin(1)
    store.pin(2)


def _look_at_pins(root: Path) -> None:
    assert _pins(root) in (set(), {1}, {2})


def _pins(root: Path) -> set[int]:
    return {info.step for info in Store(root / RUN).list() if info.is_pinned}


def _record(root: Path) -> None:
    journal = Journal(root / RUN / "journal.jsonl")
    for number in range(3):
        journal.record("note", number=number, text="x" * 50)
    journal.record("note", sync=False, number=3)
    journal.record("note", number=4)


def _look_at_journal(root: Path) -> None:
    """What was told before is still there, and of what is told now nothing is out of order."""
    journal = Journal(root / RUN / "journal.jsonl")
    assert journal.last("finished") is not None
    assert _notes(root) == list(range(len(_notes(root))))


def _notes(root: Path) -> list[int]:
    return [row["number"] for row in Journal(root / RUN / "journal.jsonl").events("note")]


def _archive(root: Path) -> None:
    archive(RunDir(root / RUN), root / "out" / "r.tar")


def _look_at_archive(root: Path) -> None:
    path = root / "out" / "r.tar"
    if path.exists():
        assert "checkpoints/000000003/manifest.json" in check(path).files


def _archived(root: Path) -> None:
    _trained(root)
    _archive(root)


def _unarchive(root: Path) -> None:
    unarchive(root / "out" / "r.tar", root / "back" / "r")


def _look_at_unarchived(root: Path) -> None:
    if (root / "back" / "r").exists():
        check_state(root / "back" / "r", BEFORE)


def _export(root: Path) -> None:
    arrays = flat_arrays(root / RUN / "checkpoints" / "000000003", "still")
    write_safetensors(arrays, root / "still.safetensors")


def _look_at_export(root: Path) -> None:
    if (root / "still.safetensors").exists():
        from safetensors.numpy import load_file

        [array] = load_file(root / "still.safetensors").values()
        assert array.tolist() == STILL.tolist()


def _prune(root: Path) -> None:
    prune(RunDir(root / RUN), keep_last(1), grace_s=0)


def _remove(root: Path) -> None:
    remove(RunDir(root / RUN), [1, 2])


def _removed(root: Path) -> None:
    _trained(root)
    _remove(root)


def _undo(root: Path) -> None:
    undo(RunDir(root / RUN))


def _look_at_all_three(root: Path) -> None:
    """Each checkpoint is whole in its place, or can come back."""
    found = set()
    for manifest in (root / RUN / "checkpoints").rglob("manifest.json"):
        if not any(part.startswith(".") for part in manifest.relative_to(root).parts):
            found.add(int(manifest.parent.name[:9]))
    assert found == {1, 2, 3}


def _remove_run(root: Path) -> None:
    remove_run(RunDir(root / RUN))


def _newest_of_removed_run(root: Path) -> Collection[int]:
    """The run is whole in its place, or in the trash."""
    if (root / RUN).exists():
        return (BEFORE,)
    [thrown] = (root / RUNS_TRASH).iterdir()
    check_state(thrown, BEFORE)
    return (0,)


def _steps(root: Path) -> list[int]:
    return [info.step for info in Store(root / RUN).list()]


SCENARIOS: dict[str, Scenario] = {
    "first start": Scenario(
        act=lambda root: train(root / RUN, 2), wanted=(0, 1, 2), ends_at=2, prepare=_nothing
    ),
    "save that shares": Scenario(act=lambda root: train(root / RUN, 4), wanted=(3, 4), ends_at=4),
    "save that prunes": Scenario(
        act=lambda root: train(root / RUN, 4, keep=keep_last(1)),
        wanted=(3, 4),
        ends_at=4,
        lasts=lambda root: _steps(root) == [4],
    ),
    "quarantine": Scenario(
        act=lambda root: train(root / RUN, 3),
        wanted=(2, 3),
        prepare=_rotten,
        rotten=(3,),
        lasts=lambda root: (root / RUN / "checkpoints" / "quarantine" / "000000003").is_dir(),
    ),
    "recovery": Scenario(act=lambda root: Store(root / RUN).recover(), prepare=_with_litter),
    "lease taken over": Scenario(act=_take_over),
    "identity made anew": Scenario(
        act=lambda root: train(root / RUN, 4),
        wanted=(3, 4),
        ends_at=4,
        prepare=_without_identity,
        lasts=_is_itself,
    ),
    "emergency": Scenario(act=_die_of_an_error, wanted=(3, 4), ends_at=4),
    "requests posted": Scenario(
        act=_ask, look=_look_at_requests, lasts=lambda root: len(_verbs(root)) == 2
    ),
    "requests obeyed": Scenario(
        act=_obey,
        wanted=(3, 4),
        ends_at=4,
        lasts=lambda root: _pins(root) == {2},
    ),
    "rewind": Scenario(act=_rewind, wanted=(1, 2, 3), ends_at=2, newest=_newest_of_rewind),
    "fresh start": Scenario(
        act=_start_over, wanted=(0, 1, 2, 3), ends_at=1, newest=_newest_of_fresh_start
    ),
    "pins": Scenario(act=_pin, look=_look_at_pins, lasts=lambda root: _pins(root) == {2}),
    "journal": Scenario(
        act=_record, look=_look_at_journal, lasts=lambda root: _notes(root) == [0, 1, 2, 3, 4]
    ),
    "archive": Scenario(
        act=_archive,
        look=_look_at_archive,
        lasts=lambda root: (root / "out" / "r.tar").is_file(),
    ),
    "unarchive": Scenario(
        act=_unarchive,
        look=_look_at_unarchived,
        prepare=_archived,
        lasts=lambda root: (root / "back" / "r").is_dir(),
    ),
    "export": Scenario(
        act=_export,
        look=_look_at_export,
        lasts=lambda root: (root / "still.safetensors").is_file(),
    ),
    "prune": Scenario(act=_prune, lasts=lambda root: _steps(root) == [3]),
    "removal": Scenario(
        act=_remove, look=_look_at_all_three, lasts=lambda root: _steps(root) == [3]
    ),
    "undo": Scenario(
        act=_undo,
        look=_look_at_all_three,
        prepare=_removed,
        lasts=lambda root: _steps(root) == [1, 2, 3],
    ),
    "removal of the run": Scenario(
        act=_remove_run, wanted=(0, 3), ends_at=0, newest=_newest_of_removed_run
    ),
}

"""The judge has teeth: each way to get durability wrong is caught by some death."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from evertrain.checkpoint import shelf, store, trash
from evertrain.core import fs as disk_room
from evertrain.core import journal, rundir
from evertrain.core.fs import Fs
from evertrain.testing import PowerDisk
from power.scenarios import SCENARIOS
from power.test_deaths import judge, recorded

FEW = 8
Patch = pytest.MonkeyPatch


def no_sync_of_files(patch: Patch) -> None:
    """Leave out every fsync of a file of a checkpoint."""
    forget(patch, lambda name, path: name == "sync_file" and ".tmp-0" in str(path.parent))


def no_sync_of_the_manifest(patch: Patch) -> None:
    """Leave out the fsync of the manifest."""
    forget(patch, lambda name, path: name == "sync_file" and path.name == "manifest.json")


def no_sync_of_the_new_directory(patch: Patch) -> None:
    """Leave out the fsync of a checkpoint's own directory."""
    forget(patch, lambda name, path: name == "sync_dir" and path.name.startswith(".tmp-0"))


def no_sync_of_the_journal(patch: Patch) -> None:
    """Leave out every fsync of the journal."""
    forget(patch, lambda name, path: name == "sync_file" and path.name == "journal.jsonl")


def no_sync_of_the_metrics(patch: Patch) -> None:
    """Leave out every fsync of the metrics."""
    forget(patch, lambda name, path: name == "sync_file" and path.name == "metrics.jsonl")


def no_sync_of_names(patch: Patch) -> None:
    """Leave out the fsync of the checkpoints' parent."""
    forget(patch, lambda name, path: name == "sync_dir" and path.name == "checkpoints")


def forget(patch: Patch, is_left_out: Callable[[str, Path], bool]) -> None:
    """Leave operations out of what the recorder is told."""
    real = PowerDisk._did

    def note(self: PowerDisk, name: str, *args: Any) -> None:
        if not is_left_out(name, Path(str(args[0]))):
            real(self, name, *args)

    patch.setattr(PowerDisk, "_did", note)


def in_place(patch: Patch) -> None:
    """Write small files over the old ones."""

    def write(path: Path, data: bytes, *, fs: Fs = disk_room.LOCAL_FS) -> None:
        fs.write(path, (data,))
        fs.sync_file(path)

    for room in (shelf, rundir):
        patch.setattr(room, "write_atomic", write)


def delete_before_the_move_is_durable(patch: Patch) -> None:
    """Prune in place, without the trash."""

    def discard(root: Path, steps: Iterable[int], tools: Any) -> list[Path]:
        for step in steps:
            tools.fs.rmtree(root / f"{step:09}")
        return []

    patch.setattr(trash, "discard", discard)


def prune_before_the_commit(patch: Patch) -> None:
    """Make room for the new checkpoint first."""
    real = store.Store.commit

    def commit_late(self: Any, pending: Any) -> Any:
        for path in self.path.glob("0*"):
            self._tools.fs.rmtree(path)
        self._base = None
        return real(self, pending)

    patch.setattr(store.Store, "commit", commit_late)


def no_sweep(patch: Patch) -> None:
    """Leave what is unfinished."""
    patch.setattr(store, "sweep", lambda *_: [])


def a_torn_tail_is_not_ended(patch: Patch) -> None:
    """Append to an unfinished line."""
    patch.setattr(journal, "_has_torn_tail", lambda _: False)


MUTANTS: dict[Callable[[Patch], None], str] = {
    no_sync_of_files: "save that shares",
    no_sync_of_the_manifest: "save that shares",
    no_sync_of_the_new_directory: "save that shares",
    no_sync_of_names: "save that shares",
    no_sync_of_the_journal: "journal",
    no_sync_of_the_metrics: "save that shares",
    in_place: "first start",
    delete_before_the_move_is_durable: "save that prunes",
    prune_before_the_commit: "save that prunes",
    no_sweep: "save that shares",
    a_torn_tail_is_not_ended: "save that shares",
}


# What only a resume meets: it is made after every death, not after some.
RESUMED = {in_place, a_torn_tail_is_not_ended}


@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda mutate: mutate.__name__)
def test_a_single_fault_in_the_code_is_caught(
    mutate: Callable[[Patch], None], tmp_path: Path, monkeypatch: Patch
) -> None:
    """One line wrong, and some death is not survived."""
    scenario = SCENARIOS[MUTANTS[mutate]]
    with monkeypatch.context() as patch:
        mutate(patch)
        disk = recorded(scenario, tmp_path / "disk")
        with pytest.raises(Exception) as caught:
            judge(scenario, disk, tmp_path / "after", FEW, each=1 if mutate in RESUMED else 8)
    assert caught.value.__notes__, "it failed in a death, and says which"
    shutil.rmtree(tmp_path / "after")

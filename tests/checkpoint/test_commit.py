"""A checkpoint is there whole or not at all, wherever the process or the power dies."""

import errno
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain.checkpoint import About, Store, keep_last
from evertrain.checkpoint.commit import sweep
from evertrain.core.errors import FencedError, SaveError
from evertrain.core.fs import LOCAL_FS, Bytes, LocalFs
from evertrain.core.proc import start_time
from evertrain.testing import PowerDisk
from support import FAST, FastFs, another_process

OLD, NEW, NEXT = 10, 20, 30


def state(step: int) -> dict[str, Any]:
    """Return a state in two objects that says which step it is of."""
    return {
        "agent": {"weights": np.full((5, 7), step, np.float32), "step": step},
        "buffer": {"rows": np.arange(step, dtype=np.int64)},
    }


def save(store: Store, step: int) -> None:
    """Save the state of `step`."""
    store.save(step, state(step), about=About(score=float(step)))


def save_and_prune(store: Store, step: int) -> None:
    """Save the state of `step` and keep nothing else."""
    save(store, step)
    store.prune(keep_last(1))


def pin_and_unpin(store: Store, _: int) -> None:
    """Mark the old checkpoint, and take the mark away."""
    store.pin(OLD)
    store.unpin(OLD)


def prepared(root: Path) -> Path:
    """Return a store with two older checkpoints."""
    store = Store(root, fs=FAST)
    save(store, OLD - 5)
    save(store, OLD)
    return root


def check_survivor(root: Path) -> int:
    """Assert all that must hold after a death; return the step that is left to go on from."""
    store = Store(root, fs=FAST)
    store.recover()
    info = store.latest()
    assert info is not None
    loaded = store.load("latest")
    assert loaded.state["agent"]["step"] == info.step
    np.testing.assert_array_equal(loaded.state["buffer"]["rows"], np.arange(info.step))
    assert (root / "latest").readlink() == Path(info.path.name)
    assert not list(root.glob(".*"))
    assert not list((root / "trash").glob("*"))
    assert store.verify() == []
    save(store, NEXT)
    assert store.load(NEXT).state["agent"]["step"] == NEXT
    return info.step


@pytest.mark.parametrize("action", [save, save_and_prune, pin_and_unpin])
def test_power_cut_at_every_operation(tmp_path: Path, action: Callable[[Store, int], None]) -> None:
    """Killed or without power at any moment, in every world: the old or the new one loads whole."""
    root, after = prepared(tmp_path / "live"), tmp_path / "after"
    disk = PowerDisk(root, FAST)
    with another_process(FAST):
        action(Store(root, fs=disk), NEW)
    seen, count = set(), 0
    for left in disk.deaths(limit=64):
        left.plant(after)
        assert Store(after).verify() == [], left
        seen.add(check_survivor(after))
        shutil.rmtree(after)
        count += 1
    assert count > 5
    assert seen == ({OLD} if action is pin_and_unpin else {OLD, NEW})


def test_return_means_durable(tmp_path: Path) -> None:
    """Once save returns, the checkpoint outlives the machine in every world."""
    root = prepared(tmp_path / "live")
    disk = PowerDisk(root, FAST)
    save(Store(root, fs=disk), NEW)
    for number, world in enumerate(disk.worlds()):
        after = tmp_path / f"after-{number}"
        disk.reboot(after, world)
        assert check_survivor(after) == NEW


class Underived(PowerDisk):
    """A disk that has no room for the links and the index."""

    def symlink(self, target: str, path: Path) -> None:
        """Refuse."""
        raise OSError(errno.ENOSPC, f"no space for {path} -> {target}")

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """Refuse the index."""
        if "index" in path.name:
            raise OSError(errno.ENOSPC, "no space")
        return super().write(path, chunks)


def test_return_means_durable_also_without_links(tmp_path: Path) -> None:
    """The name of the checkpoint is synced for itself, not because links are written beside it."""
    root = prepared(tmp_path / "live")
    disk = Underived(root, FAST)
    save(Store(root, fs=disk, warn=lambda _: None), NEW)
    for number, world in enumerate(disk.worlds()):
        after = tmp_path / f"after-{number}"
        disk.reboot(after, world)
        assert check_survivor(after) == NEW


def test_first_save_is_durable(tmp_path: Path) -> None:
    """The very first save creates its directories durably."""
    (tmp_path / "live").mkdir()
    disk = PowerDisk(tmp_path / "live", FAST)
    save(Store(tmp_path / "live" / "runs" / "checkpoints", fs=disk), NEW)
    for number, world in enumerate(disk.worlds()):
        disk.reboot(tmp_path / f"after-{number}", world)
        assert check_survivor(tmp_path / f"after-{number}" / "runs" / "checkpoints") == NEW


class FailingFs(FastFs):
    """A disk on which the n-th operation of some kinds fails, once."""

    def __init__(self, fail_at: int, number: int = errno.ENOSPC) -> None:
        """Count from zero."""
        self.left = fail_at
        self.number = number

    def _tick(self) -> None:
        self.left -= 1
        if self.left == -1:
            raise OSError(self.number, os.strerror(self.number))

    def mkdir(self, path: Path) -> None:
        """See `Fs.mkdir`."""
        self._tick()
        super().mkdir(path)

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """See `Fs.write`."""
        self._tick()
        return super().write(path, chunks)

    def sync_file(self, path: Path) -> None:
        """See `Fs.sync_file`."""
        self._tick()
        super().sync_file(path)

    def sync_dir(self, path: Path) -> None:
        """See `Fs.sync_dir`."""
        self._tick()
        super().sync_dir(path)

    def replace(self, src: Path, dst: Path) -> None:
        """See `Fs.replace`."""
        self._tick()
        super().replace(src, dst)


def test_disk_full_at_every_operation(tmp_path: Path) -> None:
    """An error of the disk is a SaveError, or a warning once the checkpoint is safe."""
    outcomes = set()
    for number in range(40):
        root = prepared(tmp_path / str(number))
        fs = FailingFs(number)
        told: list[str] = []
        try:
            save(Store(root, fs=fs, warn=told.append), NEW)
            outcomes.add("warned" if told else "saved")
            assert (root / "000000020").exists()
        except SaveError as error:
            outcomes.add("refused")
            assert isinstance(error.__cause__, OSError)  # noqa: PT017  (one of three outcomes)
            assert not list(root.glob(".tmp*"))
            assert not (root / "000000020").exists()
        assert check_survivor(root) in {OLD, NEW}
    assert outcomes == {"saved", "refused", "warned"}


def test_a_warning_that_is_an_error_costs_no_save(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As under `python -W error`: the checkpoint is safe, and the save returns."""
    for number in range(40):
        with suppress(SaveError):
            save(Store(prepared(tmp_path / str(number)), fs=FailingFs(number)), NEW)
            assert (tmp_path / str(number) / "000000020").exists()
    assert "the checkpoints themselves are safe" in capsys.readouterr().err


class ShortFs(LocalFs):
    """A disk that loses the end of a file and says nothing."""

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """Write all but the last byte of each array file."""
        data = b"".join(bytes(chunk) for chunk in chunks)
        is_part = path.suffix == ".safetensors"
        return super().write(path, (data[:-1] if is_part else data,)) + is_part


def test_lost_bytes_are_noticed(tmp_path: Path) -> None:
    """A disk that drops bytes silently is caught before the save counts."""
    root = prepared(tmp_path / "store")
    with pytest.raises(SaveError, match="bytes"):
        save(Store(root, fs=ShortFs()), NEW)
    assert check_survivor(root) == OLD


def test_fenced_save_leaves_nothing(tmp_path: Path) -> None:
    """A process that lost the run commits nothing and leaves nothing behind."""
    root = prepared(tmp_path / "store")

    def fence() -> None:
        assert list(root.glob(".tmp*"))
        raise FencedError("lost", "why", "fix")

    with pytest.raises(FencedError):
        Store(root).save(NEW, state(NEW), about=About(fence=fence))
    assert check_survivor(root) == OLD


def test_files_are_read_only(tmp_path: Path) -> None:
    """Committed files are 0444 and directories 0755: rm -rf works, scribbling does not."""
    root = prepared(tmp_path / "store")
    assert {path.stat().st_mode & 0o777 for path in (root / "000000010").iterdir()} == {0o444}
    assert (root / "000000010").stat().st_mode & 0o777 == 0o755


def test_sweep_spares_the_living(tmp_path: Path) -> None:
    """Only what dead processes left is swept: not a live one's save, nor anything else's."""
    parent = os.getppid()
    spared = [f".tmp-000000010-{parent}-{start_time(parent)}", ".hidden", "000000010"]
    doomed = [f".tmp-000000010-{parent}-1", f".tmp-000000010-{os.getpid()}-1"]
    for name in (*spared, *doomed):
        (tmp_path / name).mkdir()
    dead = 2**22 + 1  # above the largest pid that Linux gives
    (tmp_path / f".index.json.tmp-{dead}").write_bytes(b"half")
    (tmp_path / f".index.json.tmp-{parent}").write_bytes(b"half")
    (tmp_path / f".latest.tmp-{dead}").symlink_to("000000010")

    gone = sweep(tmp_path, LOCAL_FS)

    unfinished = [f".{name}.tmp-{dead}" for name in ("index.json", "latest")]
    assert sorted(gone) == sorted([*doomed, *unfinished])
    assert {path.name for path in tmp_path.iterdir()} == {*spared, f".index.json.tmp-{parent}"}

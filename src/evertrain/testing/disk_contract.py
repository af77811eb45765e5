"""What evertrain relies on in any `Fs`: subclass the suite, provide the disk, inherit the tests.

    class TestMyDisk(FsContract):
        @pytest.fixture
        def fs(self) -> Fs:
            return MyDisk()

Layer: testing. Imports checkpoint and core only.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evertrain.checkpoint.keep import keep_last
from evertrain.checkpoint.store import Store
from evertrain.core.fs import Fs
from evertrain.testing.cut import CutFs, PowerCut


class FsContract:
    """One test for each thing that an operation must and must not do."""

    @pytest.fixture
    def fs(self) -> Fs:
        """Provide the disk under test; it works below pytest's `tmp_path`. Override it."""
        raise NotImplementedError

    def test_mkdir_makes_parents_and_may_be_repeated(self, fs: Fs, tmp_path: Path) -> None:
        """A directory that is there is no error."""
        for _ in range(2):
            fs.mkdir(tmp_path / "a" / "b")
        assert (tmp_path / "a" / "b").is_dir()

    def test_write_takes_any_buffers_and_counts_bytes(self, fs: Fs, tmp_path: Path) -> None:
        """Also none, also one of numbers."""
        path, numbers = tmp_path / "f", np.arange(3.0)
        chunks = (b"12", bytearray(b"3"), memoryview(b"45"), numbers.data)
        assert fs.write(path, iter(chunks)) == 5 + numbers.nbytes
        assert path.read_bytes() == b"12345" + numbers.tobytes()
        assert fs.write(path, ()) == 0
        assert path.read_bytes() == b""

    def test_append_adds_and_creates(self, fs: Fs, tmp_path: Path) -> None:
        """Nothing that was there is touched."""
        fs.append(tmp_path / "f", b"")
        assert (tmp_path / "f").read_bytes() == b""
        for _ in range(2):
            fs.append(tmp_path / "f", b"ab")
        assert (tmp_path / "f").read_bytes() == b"abab"

    def test_replace_takes_the_place_of_a_file(self, fs: Fs, tmp_path: Path) -> None:
        """The old bytes are gone, the old name too; who holds the old file still reads it."""
        fs.write(tmp_path / "old", (b"old",))
        fs.write(tmp_path / "new", (b"new",))
        with (tmp_path / "old").open("rb") as held:
            fs.replace(tmp_path / "new", tmp_path / "old")
            assert held.read() == b"old"
        assert (tmp_path / "old").read_bytes() == b"new"
        assert not (tmp_path / "new").exists()

    def test_replace_moves_directories(self, fs: Fs, tmp_path: Path) -> None:
        """With all that is in them."""
        fs.mkdir(tmp_path / "a" / "b")
        fs.write(tmp_path / "a" / "b" / "f", (b"x",))
        fs.mkdir(tmp_path / "c")
        fs.replace(tmp_path / "a" / "b", tmp_path / "c" / "d")
        assert (tmp_path / "c" / "d" / "f").read_bytes() == b"x"
        assert not (tmp_path / "a" / "b").exists()

    def test_link_is_a_second_name_or_a_copy(self, fs: Fs, tmp_path: Path) -> None:
        """It says which; either outlives the first name."""
        fs.write(tmp_path / "f", (b"x",))
        is_link = fs.link(tmp_path / "f", tmp_path / "g")
        first, second = (tmp_path / name for name in ("f", "g"))
        assert (first.stat().st_ino == second.stat().st_ino) == is_link
        fs.unlink(first)
        assert second.read_bytes() == b"x"

    def test_link_overwrites_nothing(self, fs: Fs, tmp_path: Path) -> None:
        """What stands there stays, and what is not there cannot be linked."""
        for name in ("f", "g"):
            fs.write(tmp_path / name, (name.encode(),))
        with pytest.raises(FileExistsError):
            fs.link(tmp_path / "f", tmp_path / "g")
        assert (tmp_path / "g").read_bytes() == b"g"
        with pytest.raises(FileNotFoundError):
            fs.link(tmp_path / "missing", tmp_path / "h")

    def test_symlink_says_its_target(self, fs: Fs, tmp_path: Path) -> None:
        """Whether or not that is there."""
        fs.symlink("nowhere", tmp_path / "l")
        assert str((tmp_path / "l").readlink()) == "nowhere"

    def test_removing_what_is_not_there_is_fine(self, fs: Fs, tmp_path: Path) -> None:
        """Two processes may clean up at once."""
        fs.unlink(tmp_path / "missing")
        fs.rmtree(tmp_path / "missing")

    def test_rmtree_follows_no_link(self, fs: Fs, tmp_path: Path) -> None:
        """What a link leads to is somebody else's."""
        fs.mkdir(tmp_path / "kept")
        fs.write(tmp_path / "kept" / "f", (b"x",))
        fs.mkdir(tmp_path / "d" / "e")
        fs.symlink("../kept", tmp_path / "d" / "l")
        fs.rmtree(tmp_path / "d")
        assert not (tmp_path / "d").exists()
        assert (tmp_path / "kept" / "f").read_bytes() == b"x"

    @pytest.mark.parametrize(
        "act",
        [
            lambda fs, path: fs.write(path, (b"x",)),
            lambda fs, path: fs.append(path, b"x"),
            lambda fs, path: fs.sync_file(path),
            lambda fs, path: fs.sync_dir(path),
            lambda fs, path: fs.replace(path, path.with_name("other")),
            lambda fs, path: fs.chmod(path, 0o600),
        ],
        ids=["write", "append", "sync_file", "sync_dir", "replace", "chmod"],
    )
    def test_errors_are_the_systems(
        self, fs: Fs, tmp_path: Path, act: Callable[[Fs, Path], object]
    ) -> None:
        """Nothing is created on the way, and nothing passes for done that was not."""
        with pytest.raises(OSError, match="missing"):
            act(fs, tmp_path / "missing" / "f")
        assert not (tmp_path / "missing").exists()

    def test_a_store_lives_on_it(self, fs: Fs, tmp_path: Path) -> None:
        """It saves, shares, prunes, pins, loads and verifies."""
        store = Store(tmp_path / "store", fs=fs)
        for step in range(4):
            store.save(step, _state(step))
        store.pin(1)
        store.prune(keep_last(1))
        assert [info.step for info in store.list()] == [1, 3]
        for step in (1, 3):
            assert store.load(step).state["agent"]["step"] == step
        assert store.verify() == []

    def test_a_process_may_die_on_it(self, fs: Fs, tmp_path: Path) -> None:
        """Before any operation of a save: the old or the new checkpoint is the newest."""
        newest, cut = [0], 0
        while newest[-1] == 0 or cut < 5:  # noqa: PLR2004
            root = tmp_path / str(cut)
            Store(root, fs=fs).save(0, _state(0))
            with pytest.raises(PowerCut):
                Store(root, fs=CutFs(fs, cut_before=cut)).save(1, _state(1))
            store = Store(root, fs=fs)
            store.recover()
            newest.append(store.load().info.step)
            assert store.verify() == []
            cut += 1
        assert newest == sorted(newest)


def _state(step: int) -> dict[str, dict[str, object]]:
    """Return a state of which half never changes."""
    return {"agent": {"w": np.full(9, float(step)), "step": step}, "still": {"w": np.ones(9)}}

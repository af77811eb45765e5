"""The fault injectors themselves: a plug that does not cut would prove nothing."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from evertrain.core.fs import LOCAL_FS, Fs, write_atomic
from evertrain.testing import CutFs, PowerCut, PowerDisk, World


def everything(fs: Fs, root: Path) -> None:
    """Use each operation once, with contents that can be halved."""
    fs.mkdir(root / "d" / "e")
    fs.write(root / "d" / "f", (b"12", b"34"))
    fs.chmod(root / "d" / "f", 0o644)
    fs.append(root / "d" / "f", b"5678")
    fs.sync_file(root / "d" / "f")
    fs.link(root / "d" / "f", root / "d" / "g")
    fs.symlink("f", root / "d" / "h")
    fs.replace(root / "d" / "g", root / "i")
    fs.sync_dir(root)
    fs.unlink(root / "d" / "h")
    fs.rmtree(root / "d")


def listing(root: Path) -> dict[str, bytes]:
    """Return every file below `root`, and every directory and link by name."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b"-"
        for path in sorted(root.rglob("*"))
    }


@pytest.mark.parametrize("wrap", [CutFs, lambda fs: fs])
def test_without_a_cut_nothing_differs(tmp_path: Path, wrap: Callable[[Fs], Fs]) -> None:
    """Through the injectors, a program leaves what it leaves on the bare disk."""
    for name in ("bare", "disk"):
        (tmp_path / name).mkdir()
    everything(LOCAL_FS, tmp_path / "bare")
    everything(wrap(PowerDisk(tmp_path / "disk")), tmp_path / "disk")
    assert listing(tmp_path / "disk") == listing(tmp_path / "bare") == {"i": b"12345678"}


def test_dies_before_each_operation(tmp_path: Path) -> None:
    """Cut before the k-th operation, exactly k were done, and nothing works afterwards."""
    for cut in range(11):
        root = tmp_path / str(cut)
        root.mkdir()
        fs = CutFs(cut_before=cut)
        with pytest.raises(PowerCut):
            everything(fs, root)
        assert fs.operations == cut
        before = listing(root)
        with pytest.raises(PowerCut):
            fs.rmtree(root)
        with pytest.raises(PowerCut):
            fs.write(root / "x", ())
        assert listing(root) == before


@pytest.mark.parametrize(
    ("cut", "left"),
    [(1, {"d", "d/e", "d/f"}), (3, {"d", "d/e", "d/f"}), (10, {"d", "d/e", "i"})],
    ids=["write", "append", "rmtree"],
)
def test_torn_operations_get_halfway(tmp_path: Path, cut: int, left: set[str]) -> None:
    """Torn, the fatal operation leaves half of its work."""
    with pytest.raises(PowerCut):
        everything(CutFs(cut_before=cut, is_torn=True), tmp_path)
    assert listing(tmp_path).keys() == left
    if cut < 10:
        assert listing(tmp_path)["d/f"] == (b"12" if cut == 1 else b"123456")


def worlds_of(tmp_path: Path, act: Callable[[Fs, Path], None]) -> list[dict[str, bytes]]:
    """Return what each world holds after `act`, in a directory with the durable file `old`."""
    root = tmp_path / "live"
    root.mkdir()
    (root / "old").write_bytes(b"old!")
    disk = PowerDisk(root)
    act(disk, root)
    found = []
    for number, world in enumerate(disk.worlds()):
        disk.reboot(tmp_path / str(number), world)
        found.append(listing(tmp_path / str(number)))
    return found


def test_unsynced_data_may_be_anything(tmp_path: Path) -> None:
    """A file that was written and renamed over another without a sync can hold garbage."""

    def act(fs: Fs, root: Path) -> None:
        fs.write(root / "new", (b"new!",))
        fs.replace(root / "new", root / "old")

    found = worlds_of(tmp_path, act)
    assert {each["old"] for each in found} == {b"old!", b"new!", b"", b"ne", b"ne\xa5\xa5"}


def test_synced_file_in_an_unsynced_directory_may_be_lost(tmp_path: Path) -> None:
    """Syncing a file says nothing of its name."""

    def act(fs: Fs, root: Path) -> None:
        fs.write(root / "new", (b"new!",))
        fs.sync_file(root / "new")

    assert {each.get("new") for each in worlds_of(tmp_path, act)} == {None, b"new!"}


def test_write_atomic_is_old_or_new(tmp_path: Path) -> None:
    """The right sequence leaves the new contents in every world."""
    found = worlds_of(tmp_path, lambda fs, root: write_atomic(root / "old", b"new!", fs=fs))
    assert {each["old"] for each in found} == {b"new!"}


def test_moves_between_directories_are_one_step(tmp_path: Path) -> None:
    """A file moved to another directory may be in either, or both; never in neither."""

    def act(fs: Fs, root: Path) -> None:
        fs.mkdir(root / "d")
        fs.sync_dir(root)
        fs.replace(root / "old", root / "d" / "old")

    places = {tuple(name for name in each if name != "d") for each in worlds_of(tmp_path, act)}
    assert places == {("d/old",), ("old",), ("d/old", "old")}


def test_deleting_may_be_seen_before_the_rename(tmp_path: Path) -> None:
    """A directory that was renamed and emptied without a sync can be back, without its files."""

    def act(fs: Fs, root: Path) -> None:
        fs.mkdir(root / "d")
        fs.write(root / "d" / "f", (b"data",))
        fs.sync_file(root / "d" / "f")
        fs.sync_dir(root / "d")
        fs.sync_dir(root)
        fs.replace(root / "d", root / "gone")
        fs.rmtree(root / "gone")

    found = [each.keys() - {"old"} for each in worlds_of(tmp_path, act)]
    assert {"d"} in found
    assert {"d", "d/f"} in found
    assert set() in found


def test_cut_and_power_combine(tmp_path: Path) -> None:
    """A plug that is pulled in the middle leaves the worlds of what was done until then."""
    root = tmp_path / "live"
    root.mkdir()
    (root / "old").write_bytes(b"old!")
    disk = PowerDisk(root)
    with suppress(PowerCut):
        write_atomic(root / "old", b"new!", fs=CutFs(disk, cut_before=3))
    seen = set()
    for number, world in enumerate(disk.worlds()):
        disk.reboot(tmp_path / str(number), world)
        seen.add((tmp_path / str(number) / "old").read_bytes())
    assert seen == {b"old!", b"new!"}
    assert World(frozenset(), "full") in set(disk.worlds())


def test_power_cut_is_not_absorbed() -> None:
    """A handler of errors does not catch a death."""
    assert not issubclass(PowerCut, Exception)

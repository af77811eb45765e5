"""The fault injectors themselves: a plug that does not cut would prove nothing."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from evertrain.core.fs import LOCAL_FS, Fs, write_atomic
from evertrain.testing import CutFs, PowerCut, PowerDisk, World, everything_on
from evertrain.testing.tree import scan
from support import FAST


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


@pytest.mark.parametrize("wrap", [CutFs, lambda fs: fs], ids=["killed", "whole"])
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
    assert World(frozenset(), ()) in set(disk.worlds())


def test_power_cut_is_not_absorbed() -> None:
    """A handler of errors does not catch a death."""
    assert not issubclass(PowerCut, Exception)


def names_of(found: list[dict[str, bytes]]) -> set[tuple[str, ...]]:
    """Return the different sets of names."""
    return {tuple(sorted(each)) for each in found}


def test_names_reach_the_medium_in_any_order(tmp_path: Path) -> None:
    """Six new names, none of them synced: every subset of them may be there, and no other."""

    def act(fs: Fs, root: Path) -> None:
        for name in "abcdef":
            fs.write(root / name, (b"",))
            fs.sync_file(root / name)

    found = worlds_of(tmp_path, act)
    assert len(found) == len(names_of(found)) == 2**6


def test_each_file_has_a_fate_of_its_own(tmp_path: Path) -> None:
    """Three files whose names are safe and whose data is not: every combination."""

    def act(fs: Fs, root: Path) -> None:
        for name in "abc":
            fs.write(root / name, (b"1234",))
        fs.sync_dir(root)

    found = worlds_of(tmp_path, act)
    assert len({tuple(each.values()) for each in found}) == len(found) == 4**3


def test_what_was_appended_may_be_lost_and_what_was_synced_not(tmp_path: Path) -> None:
    """The end is there, in part, as garbage, or not at all; the beginning always is."""

    def act(fs: Fs, root: Path) -> None:
        fs.append(root / "old", b"1234")

    found = {each["old"] for each in worlds_of(tmp_path, act)}
    assert found == {b"old!", b"old!1234", b"old!12", b"old!12\xa5\xa5"}


def test_a_file_written_in_place_may_be_old_new_or_ruined(tmp_path: Path) -> None:
    """Nothing says when the old bytes go."""

    def act(fs: Fs, root: Path) -> None:
        fs.write(root / "old", (b"1234",))

    found = {each["old"] for each in worlds_of(tmp_path, act)}
    assert found == {b"old!", b"1234", b"12", b"12\xa5\xa5", b""}


def test_changes_of_one_name_keep_their_order(tmp_path: Path) -> None:
    """A name that is given away is not gone before it is taken: no file is in no place."""

    def act(fs: Fs, root: Path) -> None:
        fs.write(root / "c", (b"c",))
        fs.sync_file(root / "c")
        fs.sync_dir(root)
        fs.replace(root / "old", root / "b")
        fs.replace(root / "c", root / "old")

    assert names_of(worlds_of(tmp_path, act)) == {("c", "old"), ("b", "c"), ("b", "old")}


def test_links_are_one_file_after_a_reboot(tmp_path: Path) -> None:
    """What two names shared they share still."""
    root = tmp_path / "live"
    root.mkdir()
    disk = PowerDisk(root)
    disk.write(root / "a", (b"x",))
    disk.link(root / "a", root / "b")
    disk.reboot(tmp_path / "after", max(disk.worlds(), key=lambda world: len(world.applied)))
    first, second = (tmp_path / "after" / name for name in "ab")
    assert first.stat().st_ino == second.stat().st_ino


def unfinished(fs: Fs, root: Path) -> None:
    """Leave an unfinished directory of many files, and one unsynced file."""
    fs.mkdir(root / ".tmp-1")
    for number in range(20):
        fs.write(root / ".tmp-1" / str(number), (b"1234",))
    fs.write(root / "a", (b"12",))


def test_what_nobody_reads_does_not_multiply(tmp_path: Path) -> None:
    """Worlds differ in what a reader can see; what is unfinished is merely there or not."""
    found = worlds_of(tmp_path, unfinished)
    assert len(found) == 2 * 5  # the directory there or not; `a` missing, or one of four


def test_too_many_worlds_are_sampled(tmp_path: Path) -> None:
    """About as many as asked for, the extremes among them, and the same every time."""
    root = tmp_path / "live"
    root.mkdir()
    disk = PowerDisk(root)
    for number in range(20):
        disk.write(root / str(number), (b"1234",))
    found = list(disk.worlds(limit=100))
    assert 60 < len(found) < 400
    assert found == list(disk.worlds(limit=100))
    assert found != list(disk.worlds(limit=100, seed=1))
    lost = {20 - len(each.applied) for each in found}
    assert {0, 1, 19, 20} <= lost


def test_deaths_are_what_a_killed_process_leaves(tmp_path: Path) -> None:
    """Each cut that `CutFs` makes, torn or not, is among those that the recorder tells of."""
    (tmp_path / "disk").mkdir()
    disk = PowerDisk(tmp_path / "disk", FAST)
    everything(disk, tmp_path / "disk")
    told = []
    for number, left in enumerate(disk.deaths()):
        left.plant(tmp_path / f"told-{number}")
        told.append(listing(tmp_path / f"told-{number}"))
    for cut in range(11):
        for is_torn in (False, True):
            root = tmp_path / f"{cut}-{is_torn}"
            root.mkdir()
            with pytest.raises(PowerCut):
                everything(CutFs(FAST, cut_before=cut, is_torn=is_torn), root)
            assert listing(root) in told, (cut, is_torn)


def test_a_death_says_what_it_was(tmp_path: Path) -> None:
    """The moment, and what was lost, in words."""
    root = tmp_path / "live"
    root.mkdir()
    disk = PowerDisk(root)
    disk.write(root / "new", (b"1234",))
    disk.sync_dir(root)
    told = [str(left) for left in disk.deaths()]
    assert "killed after 0 operations, before write new" in told
    assert "without power after 1 operations, before sync_dir .; lost: new is garbage" in told
    assert "killed halfway after 0 operations, before write new" in told


def test_everything_may_be_put_on_another_disk(tmp_path: Path) -> None:
    """Whatever writes to the machine's own disk writes to that one, until the block ends."""
    disk = PowerDisk(tmp_path)
    with everything_on(disk):
        write_atomic(tmp_path / "a", b"x")
    write_atomic(tmp_path / "b", b"x")
    assert [each.name for each in disk.operations] == ["write", "sync_file", "replace", "sync_dir"]
    assert scan(tmp_path).keys() == {"a", "b"}

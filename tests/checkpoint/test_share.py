"""What checkpoints share: counted once, and free only when its last name is gone."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evertrain.checkpoint.share import added_bytes, disk_bytes, files_below, freed
from evertrain.core.disk import Size


def linked(root: Path, layout: list[list[int]]) -> list[Path]:
    """Return directories; directory i holds the files `layout[i]`, each of number+1 bytes."""
    paths = [root / f"{index:03d}" for index in range(len(layout))]
    first: dict[int, Path] = {}
    for path, numbers in zip(paths, layout, strict=True):
        path.mkdir(parents=True)
        for number in numbers:
            file = path / str(number)
            if number in first:
                file.hardlink_to(first[number])
            else:
                file.write_bytes(b"x" * (number + 1))
                first[number] = file
    return paths


def test_hard_links_count_once(tmp_path: Path) -> None:
    """Ten names of one file take the space of one; links are not followed."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"x" * 1000)
    for index in range(9):
        os.link(tmp_path / "a" / "one", tmp_path / f"name-{index}")
    (tmp_path / "other").write_bytes(b"x" * 10)
    (tmp_path / "link").symlink_to(tmp_path / "other")

    assert disk_bytes(tmp_path) == 1010


def test_nothing_is_nothing(tmp_path: Path) -> None:
    """A directory that is gone has no bytes."""
    assert disk_bytes(tmp_path / "gone") == 0


def test_a_file_may_vanish_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pruned between listing and looking does not count."""
    (tmp_path / "a").write_bytes(b"x")
    entries = list(os.scandir(tmp_path))
    (tmp_path / "a").unlink()
    monkeypatch.setattr(os, "scandir", lambda _path: entries)

    assert disk_bytes(tmp_path) == 0


def test_gone_meanwhile(tmp_path: Path) -> None:
    """A directory that vanished holds nothing."""
    assert added_bytes([tmp_path / "gone"]) == [0]
    assert freed([tmp_path / "gone"]) == Size()
    assert list(files_below(tmp_path / "gone")) == []


@settings(deadline=None)
@given(
    layout=st.lists(st.lists(st.integers(0, 6), unique=True, max_size=5), max_size=5),
    data=st.data(),
)
def test_any_layout(layout: list[list[int]], data: st.DataObject, tmp_path_factory: object) -> None:
    """What all add is what the disk holds; what some free is what the disk then holds less."""
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        paths = linked(Path(place) / "x", layout)
        before = disk_bytes(Path(place))
        assert sum(added_bytes(paths)) == before
        doomed = data.draw(st.lists(st.sampled_from(paths), unique=True) if paths else st.just([]))
        gain = freed(doomed)
        for path in doomed:
            shutil.rmtree(path)
        assert disk_bytes(Path(place)) == before - gain.bytes

"""Files that grow: whatever changes after the start counts, and nothing of evertrain's own."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from evertrain.supervise.progress.growth import Growth
from evertrain.testing.clock import FakeClock


def has_grown(files: Growth) -> bool:
    """Have it look now, and return what that found."""
    files.wait()
    had_grown = files.has_grown()
    files.wait()
    return files.has_grown() or had_grown


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Growth]:
    """A watch over the CSV files of a folder in which one lies, and a run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.csv").write_text("1\n")
    (tmp_path / "run").mkdir()
    watch = Growth("**/*.csv", tmp_path / "run", clock=FakeClock())
    yield watch
    watch.wait()  # else it looks on where the next test stands


def test_what_lies_there_is_no_growth(files: Growth) -> None:
    """Only what is added since, in an old file or in a new one; each once."""
    assert not has_grown(files)
    with Path("old.csv").open("a") as file:
        file.write("2\n")
    assert has_grown(files)
    assert not has_grown(files)
    Path("sub").mkdir()
    Path("sub/new.csv").write_text("")
    assert has_grown(files)


def test_links_to_nowhere_and_folders_are_no_files(files: Growth) -> None:
    """And what is removed while one looks does not disturb."""
    Path("gone.csv").symlink_to("nowhere")
    Path("folder.csv").mkdir()
    assert not has_grown(files)
    Path("old.csv").unlink()
    assert not has_grown(files), "that nothing is left is no progress"


def test_a_link_that_is_removed_while_one_looks_does_not_disturb(
    files: Growth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between being seen and being followed: the others count as ever."""
    files.wait()
    Path("gone.csv").symlink_to("old.csv")

    def gone(path: str, **_: object) -> str:
        raise FileNotFoundError(2, "No such file or directory", path)

    monkeypatch.setattr("os.readlink", gone)
    Path("old.csv").write_text("1\n2\n")
    assert has_grown(files)


def test_what_evertrain_writes_itself_is_none(files: Growth) -> None:
    """Else the beats of the supervisor would be taken for progress, for ever."""
    Path("run/metrics.csv").write_text("1\n")
    Path("link.csv").symlink_to("run/metrics.csv")
    assert not has_grown(files)


def test_a_look_that_takes_long_is_rare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A glob over a million files must not keep a disk busy."""
    clock = FakeClock()
    looks: list[bool] = []

    def slow(_: str, *, recursive: bool) -> list[str]:
        looks.append(recursive)
        clock.advance(2.0)
        return []

    monkeypatch.setattr("glob.iglob", slow)
    files = Growth("**/*.csv", tmp_path, clock=clock)
    files.wait()
    for _ in range(99):
        assert not files.has_grown()
        clock.advance(1.0)
    assert len(looks) == 1
    clock.advance(2.0)
    assert not files.has_grown()
    files.wait()
    assert len(looks) == 2


def test_a_disk_that_does_not_answer_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look waits alone; nothing is concluded, and no second one is sent after it."""
    answer, looks = threading.Event(), []

    def dead(pattern: str, *, recursive: bool) -> list[str]:
        looks.append((pattern, recursive))
        answer.wait()
        return []

    monkeypatch.setattr("glob.iglob", dead)
    files = Growth("*.csv", tmp_path, clock=FakeClock())
    assert [files.has_grown() for _ in range(5)] == [False] * 5
    assert len(looks) == 1
    answer.set()
    files.wait()

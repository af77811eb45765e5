"""The heartbeat: what is written is what a reader in another place sees."""

from pathlib import Path

import pytest

from evertrain.core.heartbeat import Heart, read_beat


def test_a_reader_sees_the_newest_beat(tmp_path: Path) -> None:
    """Step, phase and pid arrive; a later beat replaces an earlier one."""
    with Heart(tmp_path / "heartbeat", 42) as heart:
        heart.beat(1, "start")
        heart.beat(7, "eval")

        beat = read_beat(tmp_path / "heartbeat")

    assert beat is not None
    assert (beat.pid, beat.step, beat.phase) == (42, 7, "eval")


def test_the_last_beat_outlives_the_writer(tmp_path: Path) -> None:
    """A post-mortem can still read how far the dead process was."""
    with Heart(tmp_path / "heartbeat", 42) as heart:
        heart.beat(7, "save")

    beat = read_beat(tmp_path / "heartbeat")
    assert beat is not None
    assert beat.step == 7


@pytest.mark.parametrize("content", [None, b"", b"not a heartbeat", bytes(200)])
def test_no_beat_where_there_is_none(tmp_path: Path, content: bytes | None) -> None:
    """A missing, empty or foreign file is no sign of life."""
    if content is not None:
        (tmp_path / "heartbeat").write_bytes(content)

    assert read_beat(tmp_path / "heartbeat") is None


def test_no_beat_before_the_first(tmp_path: Path) -> None:
    """A file that was created but never written to says nothing."""
    with Heart(tmp_path / "heartbeat", 42):
        assert read_beat(tmp_path / "heartbeat") is None


def test_a_long_phase_name_is_cut(tmp_path: Path) -> None:
    """A phase's name never spills over into another field."""
    with Heart(tmp_path / "heartbeat", 42) as heart:
        heart.beat(3, "x" * 100)
        beat = read_beat(tmp_path / "heartbeat")

    assert beat is not None
    assert beat.phase == "x" * 32
    assert beat.step == 3

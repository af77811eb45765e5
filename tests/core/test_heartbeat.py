"""The heartbeat: what is written is what a reader in another place sees."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from evertrain.core import proc
from evertrain.core.fs import Bytes, LocalFs
from evertrain.core.heartbeat import FIRST, WARM, Heart, forget_beat, read_beat
from evertrain.testing.clock import FakeClock


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


def test_the_longest_time_of_each_phase_is_kept(tmp_path: Path) -> None:
    """From beat to beat, exactly, however seldom a reader looks; the last first step apart."""
    clock = FakeClock()
    with Heart(tmp_path / "heartbeat", 42, clock=clock) as heart:
        for phase, seconds in (
            ("setup", 8), (FIRST, 30), (FIRST, 2), (FIRST, 3), ("step", 1), ("step", 4),
            ("eval", 50), ("step", 2), ("step", 0),
        ):  # fmt: skip
            heart.beat(1, phase)
            clock.advance(seconds)
        beat = read_beat(tmp_path / "heartbeat")

    assert beat is not None
    assert beat.longest_s == {"setup": 8, FIRST: 30, WARM: 3, "step": 4, "eval": 50}


def test_more_phases_than_there_is_room_for(tmp_path: Path) -> None:
    """Names without end overflow nothing: the first ones are kept."""
    clock = FakeClock()
    with Heart(tmp_path / "heartbeat", 42, clock=clock) as heart:
        for number in range(100):
            heart.beat(number, f"phase {number}")
            clock.advance(1)
        beat = read_beat(tmp_path / "heartbeat")

    assert beat is not None
    assert beat.phase == "phase 99"
    assert list(beat.longest_s) == [f"phase {number}" for number in range(32)]


def test_the_rest_of_what_a_watcher_sees(tmp_path: Path) -> None:
    """Who beats, the pulse, the moves, the signal for the stacks, and the end of main."""
    clock = FakeClock()
    own = proc.start_time(1)
    with Heart(tmp_path / "heartbeat", 1, clock=clock) as heart:
        heart.beat(3, "step")
        heart.pass_step(9)
        before = read_beat(tmp_path / "heartbeat")
        heart.pulse(5)
        heart.offer_stacks(10, 7)
        heart.leave()
        after = read_beat(tmp_path / "heartbeat")

    assert before is not None
    assert after is not None
    assert (before.step, before.start_time, before.count) == (9, own, after.count)
    assert (before.pulse_s, before.moves, before.stacks, before.is_leaving) == (
        None, 0, None, False,
    )  # fmt: skip
    assert (after.pulse_s, after.moves, after.stacks, after.is_leaving) == (
        clock.monotonic_s(), 5, (10, 7), True,
    )  # fmt: skip


def test_a_heart_begins_anew_and_truncates_nothing(tmp_path: Path) -> None:
    """What was there is forgotten; who still writes to it (another run) is not killed."""
    path = tmp_path / "heartbeat"
    with Heart(path, 42) as old:
        old.beat(7, "save")
        old.leave()
        inode = path.stat().st_ino
        with Heart(path, 43) as new:
            assert read_beat(path) is None
            old.pulse(1)
            new.beat(0, "setup")
            beat = read_beat(path)

    assert beat is not None
    assert (beat.pid, beat.step, beat.longest_s, beat.is_leaving) == (43, 0, {}, False)
    assert path.stat().st_ino == inode


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A file elsewhere that looks like a heartbeat is not written to."""
    other = tmp_path / "other"
    Heart(other, 42).close()
    before = other.read_bytes()
    (tmp_path / "heartbeat").symlink_to(other)

    with pytest.raises(OSError):
        Heart(tmp_path / "heartbeat", 43)
    assert other.read_bytes() == before


class FullDisk(LocalFs):
    """Has room for nothing new."""

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """Refuse."""
        del chunks
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def test_what_a_dead_process_has_beaten_is_forgotten(tmp_path: Path) -> None:
    """Its successor needs no room: on a full disk it beats in the same file."""
    path, clock = tmp_path / "heartbeat", FakeClock()
    with Heart(path, 2**22 + 1, clock=clock) as dead:  # no process has that number
        dead.beat(7, "save")
        clock.advance(50)
        dead.beat(8, "step")
    size = path.stat().st_size
    forget_beat(path)
    assert read_beat(path) is None
    assert path.stat().st_size == size
    with Heart(path, os.getpid(), fs=FullDisk()) as heart:
        assert read_beat(path) is None
        heart.beat(9, "step")
        beat = read_beat(path)
    assert beat is not None
    assert (beat.pid, beat.step, beat.longest_s) == (os.getpid(), 9, {})


def test_what_a_live_process_beats_stays(tmp_path: Path) -> None:
    """A second supervisor is refused only later; the training that it found goes on."""
    path = tmp_path / "heartbeat"
    with Heart(path, os.getpid()) as heart:
        heart.beat(7, "eval")
        forget_beat(path)
        beat = read_beat(path)
    assert beat is not None
    assert (beat.step, beat.phase) == (7, "eval")


@pytest.mark.parametrize("content", [None, b"", b"not a heartbeat", bytes(2000)])
def test_what_is_no_heartbeat_is_left_alone(tmp_path: Path, content: bytes | None) -> None:
    """Nobody knows whose it is."""
    path = tmp_path / "heartbeat"
    if content is not None:
        path.write_bytes(content)
    forget_beat(path)
    assert (path.read_bytes() if path.exists() else None) == content

"""Chaos hits what it is told to, when it is told to, and nothing else."""

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from evertrain.core import proc
from evertrain.core.errors import UsageError
from evertrain.core.journal import append_lines, read_lines
from evertrain.core.lock import Owner
from evertrain.core.proc import Proc
from evertrain.core.rundir import RunDir
from evertrain.testing import Chaos, FakeClock, schedule
from evertrain.testing.chaos import (
    Fault,
    FillDisk,
    FlipBits,
    Hang,
    Interrupt,
    Kill,
    TearTail,
    Who,
    hands,
    harm,
)
from evertrain.testing.processes import Say, Wait, program, wait_until
from runs import trained_run

HOUR_S = 3600.0


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """Provide a run with checkpoints, whose trainer is gone."""
    return trained_run(tmp_path / "run", steps=(1, 2, 3))


@pytest.fixture
def child() -> Iterator[Proc]:
    """Provide a process that waits."""
    command = program(Say("here"), Wait(60))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield Proc(process.pid, proc.start_time(process.pid) or 0)
        process.kill()


def owns(path: Path, owner: Proc) -> None:
    """Let a process own the lease at `path`, as far as anybody can read."""
    record = Owner(
        pid=owner.pid,
        start_time=owner.start_time,
        boot_id=proc.boot_id(),
        host=proc.host(),
        attempt=1,
        since="2026-11-22T00:00:00.000Z",
    )
    path.write_text(json.dumps(asdict(record)))


# ---- the plan ---------------------------------------------------------------------------


def test_a_schedule_is_pure() -> None:
    """The same seed gives the same faults; another one gives them at other times."""
    rates: dict[Fault, float] = {Kill(): 60.0, Hang(duration_s=3.0): 6.0}

    assert schedule(1, HOUR_S, rates) == schedule(1, HOUR_S, rates)
    assert schedule(1, HOUR_S, rates) != schedule(2, HOUR_S, rates)


def test_a_schedule_keeps_its_rates_and_its_times() -> None:
    """So many of each as the rate says, at least one, in order, within the time, as described."""
    hang = Hang(who="supervisor", duration_s=3.0)
    faults = schedule(1, HOUR_S / 2, {Kill(): 60.0, hang: 0.1, FlipBits(): 0.0})
    times = [each.at_s for each in faults]

    assert Counter(type(each) for each in faults) == {Kill: 30, Hang: 1}
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= HOUR_S / 2
    assert [replace(each, at_s=0.0) for each in faults if isinstance(each, Hang)] == [hang]


@pytest.mark.parametrize(("duration_s", "rate"), [(0.0, 1.0), (-1.0, 1.0), (HOUR_S, -1.0)])
def test_a_schedule_that_means_nothing_is_refused(duration_s: float, rate: float) -> None:
    """No time, or less than never."""
    with pytest.raises(UsageError, match="schedule over"):
        schedule(1, duration_s, {Kill(): rate})


# ---- processes --------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("who", ["trainer", "supervisor", "shim"])
def test_a_kill_hits_the_owner_of_the_lease(run_dir: RunDir, child: Proc, who: Who) -> None:
    """Whoever it is told to kill is dead when it returns; who owns nothing is not there."""
    lease = {"trainer": run_dir.lock, "supervisor": run_dir.supervisor_lock}
    chaos = Chaos(run_dir.path)
    assert not chaos.inflict(Kill(who=who)).is_hit
    owns(lease.get(who, run_dir.shim_lock), child)
    injury = chaos.inflict(Kill(who=who))

    assert injury.is_hit
    assert f"{who} (pid {child.pid})" in injury.what
    assert not child.is_alive


@pytest.mark.slow
def test_an_interrupt_is_ctrl_c(run_dir: RunDir, child: Proc) -> None:
    """The process ends as Python ends for SIGINT."""
    owns(run_dir.supervisor_lock, child)

    assert Chaos(run_dir.path).inflict(Interrupt()).is_hit
    wait_until(lambda: not child.is_alive, "the end of the interrupted process")


@pytest.mark.slow
def test_who_hangs_goes_on(run_dir: RunDir, child: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands still for that long, and lives on."""
    owns(run_dir.lock, child)
    seen = []
    clock = FakeClock()
    wait = clock.wait

    def looking(*args: object) -> bool:
        wait_until(lambda: proc.is_stopped(child.pid), "the process to stop")
        seen.append(clock.monotonic_s())
        return wait(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(clock, "wait", looking)
    injury = Chaos(run_dir.path, clock=clock).inflict(Hang(duration_s=30.0))

    assert injury.is_hit
    assert clock.monotonic_s() - seen[0] == 30.0
    wait_until(lambda: not proc.is_stopped(child.pid), "the process to go on")
    assert child.is_alive


@pytest.mark.slow
def test_a_command_that_is_no_run_can_be_hit(run_dir: RunDir, child: Proc) -> None:
    """Who takes no lease is found by what the supervisor wrote down when it launched it."""
    row = {"pid": child.pid, "start_time": child.start_time, "boot_id": proc.boot_id()}
    append_lines(run_dir.journal, [{"event": "launched", **row}], sync=False)

    assert Chaos(run_dir.path).inflict(Kill()).is_hit
    assert not child.is_alive


def test_nobody_kills_himself(run_dir: RunDir) -> None:
    """A test that trains in its own process is told so, and lives."""
    owns(run_dir.lock, Proc(os.getpid(), proc.start_time(os.getpid()) or 0))

    with pytest.raises(UsageError, match="this very process"):
        Chaos(run_dir.path).inflict(Kill())


def test_a_play_keeps_its_times(run_dir: RunDir) -> None:
    """Each fault comes at its time, in order, until somebody says that it is over."""
    clock = FakeClock()
    began_s = clock.monotonic_s()
    faults: list[Fault] = [TearTail(at_s=2.0), FlipBits(at_s=1.0), FlipBits(at_s=90.0)]

    def is_over() -> bool:
        return clock.monotonic_s() > began_s + 60

    injuries = Chaos(run_dir.path, clock=clock).play(faults, until=is_over)

    assert [each.fault for each in injuries] == [faults[1], faults[0]]
    assert all(each.is_hit for each in injuries)
    assert 60 <= clock.monotonic_s() - began_s < 61


# ---- bytes ------------------------------------------------------------------------------


def test_flipped_bits(run_dir: RunDir) -> None:
    """As many bits as told of one file that matches, nothing else, and nobody can see it."""
    home = run_dir.checkpoints / "000000003"
    before = {each: (each.read_bytes(), each.stat()) for each in home.iterdir()}
    pattern = "checkpoints/000000003/*.safetensors"
    assert Chaos(run_dir.path).inflict(FlipBits(pattern=pattern, count=3)).is_hit
    changed = [each for each, (data, _) in before.items() if each.read_bytes() != data]

    assert [each.suffix for each in changed] == [".safetensors"]
    data, stat = before[changed[0]]
    bits = int.from_bytes(data) ^ int.from_bytes(changed[0].read_bytes())
    assert bits.bit_count() == 3
    now = changed[0].stat()
    assert (now.st_mode, now.st_size) == (stat.st_mode, stat.st_size)
    assert now.st_mtime_ns == stat.st_mtime_ns


def test_the_same_seed_flips_the_same_bit(tmp_path: Path) -> None:
    """A failure that it provoked can be provoked again."""
    words = set()
    for name in ("one", "two"):
        trained_run(tmp_path / name, steps=(1, 2))
        words.add(Chaos(tmp_path / name, seed=5).inflict(FlipBits()).what)

    assert len(words) == 1


@pytest.mark.parametrize("pattern", ["../*", "/etc/hostname", "checkpoints/../../*"])
def test_a_pattern_that_leads_outside_is_refused(run_dir: RunDir, pattern: str) -> None:
    """Nobody else's files are for the taking."""
    with pytest.raises(UsageError, match="leads out of"):
        Chaos(run_dir.path).inflict(FlipBits(pattern=pattern))


def test_files_with_names_outside_are_left_alone(run_dir: RunDir, tmp_path: Path) -> None:
    """Neither a link that leads out, nor a file that a backup shares, comes to harm."""
    mine = run_dir.path / "mine.bin"
    mine.write_bytes(b"abc")
    (tmp_path / "backup.bin").hardlink_to(mine)
    (tmp_path / "other.bin").write_bytes(b"abc")
    (run_dir.path / "link.bin").symlink_to(tmp_path / "other.bin")
    os.mkfifo(run_dir.path / "pipe.bin")

    assert not Chaos(run_dir.path).inflict(FlipBits(pattern="*.bin")).is_hit
    assert mine.read_bytes() == (tmp_path / "other.bin").read_bytes() == b"abc"


def test_a_file_that_checkpoints_share_can_be_hit(run_dir: RunDir) -> None:
    """All of its names are inside."""
    home = run_dir.checkpoints / "000000003"
    (run_dir.checkpoints / "shared").hardlink_to(home / "metadata.json")

    found = harm.files_inside(run_dir.path, "checkpoints/000000003/metadata.json")

    assert found == [(home / "metadata.json").resolve()]


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    """A directory without an identity may be anything."""
    (tmp_path / "journal.jsonl").write_text('{"event": "mine"}\n')
    chaos = Chaos(tmp_path)

    for fault in (TearTail(), FlipBits(pattern="*"), FillDisk(), Kill()):
        assert not chaos.inflict(fault).is_hit
    assert (tmp_path / "journal.jsonl").read_text() == '{"event": "mine"}\n'


def test_a_torn_line_loses_nothing(run_dir: RunDir) -> None:
    """Readers skip it, and the next append ends it; a torn file is not torn twice."""
    before = read_lines(run_dir.journal).rows
    chaos = Chaos(run_dir.path)
    assert chaos.inflict(TearTail()).is_hit
    assert not chaos.inflict(TearTail()).is_hit
    append_lines(run_dir.journal, [{"event": "later"}], sync=False)
    found = read_lines(run_dir.journal)

    assert found.rows == (*before, {"event": "later"})
    assert found.bad_count == 1


# ---- the disk ---------------------------------------------------------------------------


def test_a_large_disk_is_refused(run_dir: RunDir) -> None:
    """Nothing is written to a disk that others need."""
    free = harm.free_bytes(run_dir.path)
    chaos = Chaos(run_dir.path, max_ballast_bytes=free // 2)

    with pytest.raises(UsageError, match="not yours alone"):
        chaos.inflict(FillDisk())
    assert not (run_dir.path / hands.BALLAST).exists()


def test_a_full_disk(run_dir: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the room that it is told to leave is left, for as long as told, and then all of it."""
    ballast, room = run_dir.path / hands.BALLAST, 5_000_000

    def free_bytes(_: Path) -> int:
        return room - (ballast.stat().st_size if ballast.exists() else 0)

    monkeypatch.setattr(harm, "free_bytes", free_bytes)
    clock, sizes = FakeClock(), []
    wait = clock.wait

    def looking(*args: object) -> bool:
        sizes.append(ballast.stat().st_size)
        return wait(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(clock, "wait", looking)
    fault = FillDisk(duration_s=7.0, leave_bytes=1_000)

    assert Chaos(run_dir.path, clock=clock).inflict(fault).is_hit
    assert sizes == [room - 1_000]
    assert not ballast.exists()


@pytest.mark.slow
def test_leaving_the_block_heals(run_dir: RunDir, child: Proc) -> None:
    """Whoever stands still goes on, and the ballast goes, also after an error."""
    owns(run_dir.lock, child)
    with pytest.raises(KeyboardInterrupt), Chaos(run_dir.path) as chaos:
        proc.send(child, signal.SIGSTOP)
        chaos._stopped.add(child)
        (run_dir.path / hands.BALLAST).write_bytes(b"heavy")
        raise KeyboardInterrupt

    wait_until(lambda: not proc.is_stopped(child.pid), "the process to go on")
    assert not (run_dir.path / hands.BALLAST).exists()

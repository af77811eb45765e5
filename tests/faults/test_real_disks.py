"""Disks that are really full, read-only or out of names: a training goes on and is seen."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from evertrain import Run, every, keep_last
from evertrain.checkpoint import Store
from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.trash import discard
from evertrain.cli.main import cli
from evertrain.core.disk import room_at
from evertrain.core.errors import ConfigError, EvertrainError, SaveError
from evertrain.core.journal import Journal, Row
from evertrain.testing import FakeClock
from faults.conftest import Mount

SIZE = 400_000  # bytes of a checkpoint, about

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*could not be updated:RuntimeWarning"),
]


class Others:
    """What other programs have on the disk."""

    def __init__(self, disk: Path) -> None:
        self.file = disk / "others"

    def leave(self, free_bytes: int) -> None:
        """Take all but so much."""
        self.file.unlink(missing_ok=True)
        found = os.statvfs(self.file.parent)
        taken = max(0, found.f_bavail * found.f_frsize - free_bytes)
        with self.file.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(taken, 1))


class Training:
    """A training whose state changes all over, a minute a step."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.clock = FakeClock()
        given: dict[str, Any] = {"total": 20, "save": every(steps=1), "keep": keep_last(3)}
        self.run = Run(path, clock=self.clock, **(given | options))
        self.weights = np.zeros(SIZE // 8 - 4000)
        self.run.attach(weights=self.weights)

    def walk(self, until: int) -> None:
        """Take steps up to this one, and wait for its save."""
        for step in self.run:
            self.weights += step
            self.run.log(loss=float(step))
            self.clock.advance(60.0)
            if step == until:
                self.run.end_step()
                break
        self.run.wait()


def events(path: Path, *names: str) -> tuple[Row, ...]:
    """Return what the journal says."""
    return Journal(path / "journal.jsonl").events(*names)


def steps(path: Path) -> list[int]:
    """Return the checkpoints, all of them whole."""
    store = Store(path)
    assert store.verify() == []
    return [info.step for info in store.list()]


def command(*args: str) -> Result:
    """Run a command of ours."""
    return CliRunner().invoke(cli, list(args))


def test_a_disk_that_fills_up_and_has_room_again(
    mount: Mount, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is pruned in time, then refused and told with what to free, then everything is saved."""
    disk = mount("size=4m")
    path, others = disk / "run", Others(disk)
    training = Training(path)
    training.walk(4)
    assert steps(path) == [2, 3, 4]

    others.leave(SIZE // 2)
    training.walk(5)
    assert steps(path) == [3, 4, 5]
    assert events(path, "save_failed") == ()
    assert [row["state"] for row in events(path, "disk_low")][-1] == "prune"
    capsys.readouterr()

    others.leave(0)
    training.walk(7)
    assert steps(path) == [3, 4, 5]
    out = capsys.readouterr().out
    said = r"the save after step 6 failed: the checkpoint of step 6 needs about \d+\.\d kB and"
    assert re.search(said, out)
    assert f"evertrain prune {path} --keep-last 1 --keep-best 1 --grace 0 frees 7" in out

    others.leave(3 * SIZE)
    training.walk(9)
    assert steps(path) == [5, 8, 9] or steps(path) == [7, 8, 9]
    training.clock.advance(600.0)
    training.walk(20)
    training.run.close()

    assert steps(path) == [18, 19, 20]
    assert [row["loss"] for row in training.run.metrics] == list(range(1, 21))
    assert events(path, "finished")
    failed = events(path, "save_failed")
    assert all(row["needed"] > SIZE * 0.9 and row["free"] < SIZE for row in failed)


def test_a_trash_that_fills_the_disk_goes(mount: Mount) -> None:
    """What could come back makes room before anything is refused."""
    disk = mount("size=4m")
    path = disk / "run"
    training = Training(path)
    training.walk(4)
    discard(path / "checkpoints", [2, 3], Tools(), grace_s=86_400)
    Others(disk).leave(SIZE // 2)
    training.walk(5)
    training.run.close()

    assert steps(path) == [4, 5]
    assert not list((path / "checkpoints" / "trash").iterdir())
    assert events(path, "save_failed") == ()
    assert len(events(path, "trash_emptied")) == 1


def test_a_disk_that_stays_full_ends_the_training_with_what_to_free(mount: Mount) -> None:
    """After five tries; what is left resumes as soon as there is room."""
    disk = mount("size=4m")
    path, others = disk / "run", Others(disk)
    training = Training(path)
    training.walk(4)
    others.leave(0)
    with pytest.raises(SaveError, match="5 saves in a row failed") as caught:
        training.walk(20)
    training.run.close()
    assert f"evertrain prune {path}" in caught.value.fix

    others.leave(4 * SIZE)
    again = Training(path)
    again.walk(20)
    again.run.close()
    assert again.weights[0] == sum(range(1, 21))
    assert [row["loss"] for row in again.run.metrics] == list(range(1, 21))


def test_rows_that_find_no_room_take_none(mount: Mount) -> None:
    """Each try would take what others free, and leave half a row; they wait, and come once."""
    disk = mount("size=4m")
    path, others = disk / "run", Others(disk)
    training = Training(path, save=every(steps=100))
    training.walk(2)
    others.leave(20_000)
    before = (path / "metrics.jsonl").read_bytes()
    for step in training.run:
        training.run.log(note=f"{step}" * 50_000)
        training.clock.advance(60.0)
        assert (path / "metrics.jsonl").read_bytes() == before
        if step == 6:
            break
    others.leave(2_000_000)
    training.walk(8)
    training.run.close()

    assert [row["step"] for row in training.run.metrics] == list(range(1, 9))
    lines = (path / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 8


def test_a_disk_without_names(mount: Mount) -> None:
    """Bytes are free, and inodes are not: that is said, and deleting files is what helps."""
    disk = mount("size=8m,nr_inodes=60")
    path = disk / "run"
    training = Training(path, keep=keep_last(9))
    training.walk(2)
    count = 0
    while (room := room_at(disk)) is not None and room.free_files:
        (disk / f"name-{count}").touch()
        count += 1
    training.walk(3)
    assert steps(path) == [1, 2]
    failed = events(path, "save_failed")
    assert [row["step"] for row in failed] == [3]
    assert "in 0 files" in failed[0]["error"]

    for number in range(count):
        (disk / f"name-{number}").unlink()
    training.walk(4)
    training.run.close()
    assert steps(path) == [1, 2, 4]


def test_a_disk_that_turned_read_only(mount: Mount) -> None:
    """As after an error of the disk: the run can be looked at, and goes on once it is mended."""
    disk = mount("size=8m")
    path = disk / "run"
    training = Training(path)
    training.walk(3)
    training.run.close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for words in (["status"], ["ls"], ["show"], ["verify"], ["ls", "--detailed"]):
        found = command(*words, str(path))
        assert found.exit_code == 0, found.output
    pruned = command("prune", str(path), "--keep-last", "1")
    assert pruned.exit_code in {1, 78}
    assert "Read-only" in pruned.output
    with pytest.raises(ConfigError, match="read-only"):
        Training(path)

    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    again = Training(path)
    again.walk(5)
    again.run.close()
    assert steps(path) == [3, 4, 5]


def test_reading_needs_no_room(mount: Mount) -> None:
    """Every command that looks works on a disk without a free byte, and says how it is."""
    disk = mount("size=4m")
    path = disk / "run"
    training = Training(path)
    training.walk(4)
    training.run.close()
    Others(disk).leave(0)

    for words in (["ls"], ["ls", "--detailed"], ["show"], ["verify"]):
        assert command(*words, str(path)).exit_code == 0
    found = command("status", str(path))
    assert found.exit_code == 0
    assert re.search(r"0 B free, next save about \d+\.\d kB, low: no room", found.output)


def test_a_full_disk_can_be_pruned(mount: Mount) -> None:
    """The command that the error names works where nothing else does."""
    disk = mount("size=4m")
    path = disk / "run"
    training = Training(path)
    training.walk(4)
    training.run.close()
    Others(disk).leave(0)

    found = command("prune", str(path), "--keep-last", "1", "--grace", "0")
    assert found.exit_code == 0, found.output
    assert steps(path) == [4]
    room = room_at(disk)
    assert room is not None
    assert room.free_bytes > 1.5 * SIZE


def test_an_archive_that_does_not_fit_leaves_nothing(mount: Mount) -> None:
    """Neither half a file, nor a run that lost something."""
    disk = mount("size=4m")
    path = disk / "run"
    training = Training(path)
    training.walk(4)
    training.run.close()
    Others(disk).leave(SIZE)
    before = sorted(str(each) for each in disk.rglob("*"))

    found = command("archive", str(path), "--out", str(disk / "run.tar"))
    assert found.exit_code == 1
    assert "No space left" in found.output
    assert sorted(str(each) for each in disk.rglob("*")) == before


def test_a_start_on_a_disk_with_little_room_says_so(
    mount: Mount, capsys: pytest.CaptureFixture[str]
) -> None:
    """Room for fewer than two saves is told before the first step."""
    disk = mount("size=4m")
    path = disk / "run"
    training = Training(path)
    training.walk(4)
    training.run.close()
    Others(disk).leave(int(1.5 * SIZE))
    capsys.readouterr()
    again = Training(path)
    again.run.restore()
    again.run.close()

    assert "there is no room for two (evertrain status)" in capsys.readouterr().out


def test_a_disk_without_a_limit_is_not_full(mount: Mount) -> None:
    """A tmpfs of no size says that it has none; nobody is warned, and nothing is refused."""
    disk = mount("size=0")
    assert room_at(disk) is None
    training = Training(disk / "run", total=3)
    training.walk(3)
    training.run.close()

    assert events(disk / "run", "disk_low", "save_failed") == ()
    assert "next save" not in command("status", str(disk / "run")).output


def test_what_is_reserved_for_root_counts_for_root(tmp_path: Path) -> None:
    """Where a disk keeps its last blocks for root, root's save is tried, and the others' told."""
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    made = subprocess.run(["mkfs.ext4", "-q", "-m", "40", str(image)], check=False).returncode
    mounted = made == 0 and os.geteuid() == 0
    command_line = ["mount", "-o", "loop", str(image), str(disk)]
    if not mounted or subprocess.run(command_line, check=False, capture_output=True).returncode:
        pytest.skip("NOT TESTED with blocks reserved for root: no loop device can be mounted")
    try:
        room = room_at(disk)
        assert room is not None
        (disk / "others").write_bytes(bytes(room.free_bytes))
        training = Training(disk / "run", total=3)
        training.walk(3)
        training.run.close()
        assert steps(disk / "run") == [1, 2, 3]
        assert events(disk / "run", "save_failed") == ()
        assert [row["state"] for row in events(disk / "run", "disk_low")] == ["reserve"]
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


TRAIN = """
import sys
from pathlib import Path
import numpy as np
from evertrain import Run, every
disk = Path(sys.argv[1])
with Run(disk / "run", total=6, save=every(steps=1)) as run:
    for step in run:
        run.state.weights = np.full(50_000, float(step))
        if step == 3 and run.attempt == 1:
            run.wait()
            with (disk / "others").open("wb", buffering=0) as file:
                while file.write(bytes(4096)) == 4096:
                    pass
"""


def test_a_supervisor_on_a_full_disk(mount: Mount) -> None:
    """It starts, restarts and ends a training though it can write nothing down, and says so."""
    disk = mount("size=3m")
    script = disk / "train.py"
    script.write_text(TRAIN)
    args = [sys.executable, "-m", "evertrain", "run", "--run", str(disk / "run")]
    args += ["--max-crashes", "2", "--delay", "0", "--", sys.executable, str(script), str(disk)]
    done = subprocess.run(args, check=False, capture_output=True, text=True, timeout=120)

    assert done.returncode == 20, done.stdout + done.stderr
    assert "No space left on device" in done.stdout
    assert steps(disk / "run") == [1, 2]
    (disk / "others").unlink()
    again = subprocess.run(args, check=False, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stdout + again.stderr
    assert steps(disk / "run")[-1] == 6


def test_export_and_unarchive_find_no_room(mount: Mount, tmp_path: Path) -> None:
    """A file that does not fit is not there; what was packed elsewhere is not half unpacked."""
    disk = mount("size=4m")
    path = tmp_path / "run"
    training = Training(path)
    training.walk(4)
    training.run.close()
    archive = tmp_path / "run.tar"
    assert command("archive", str(path), "--out", str(archive)).exit_code == 0
    Others(disk).leave(SIZE // 2)
    out = disk / "weights.safetensors"
    exported = command("export", str(path), "--format", "safetensors", "--out", str(out))
    assert exported.exit_code == 1
    assert "No space left" in exported.output
    unpacked = command("unarchive", str(archive), "--to", str(disk / "run"))
    assert unpacked.exit_code == 1

    assert os.listdir(disk) == ["others"]


def test_errors_are_ours(mount: Mount) -> None:
    """Whoever starts on a disk without a byte hears what to do, from each start alike."""
    disk = mount("size=2m")
    Others(disk).leave(0)
    for _ in range(2):
        with pytest.raises(EvertrainError, match="No space left"):
            Training(disk / "run")

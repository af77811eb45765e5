"""The examination of a machine and its disk."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from evertrain.cli import checkup
from evertrain.cli.checkup import disk_checks, filesystem_of, machine_checks
from evertrain.core.fs import LOCAL_FS, LocalFs
from evertrain.testing.clock import FakeClock
from runs import tree_of

Ask = Callable[..., dict[str, Any]]
Invoke = Callable[..., Any]

NAMES = {
    "python",
    "extras",
    "processors",
    "memory",
    "clock",
    "gpu",
    "disk space",
    "file system",
    "permissions",
    "fsync",
    "rename",
    "directory fsync",
    "hard links",
    "disk clock",
}


def _verdicts(checks: list[checkup.Check]) -> dict[str, str]:
    return {each.name: each.verdict for each in checks}


def test_every_check_answers(ask: Ask) -> None:
    """Each has a verdict, what was found, and a fix unless all is well."""
    found = ask("doctor")

    assert {each["name"] for each in found["checks"]} == NAMES
    assert all(each.keys() == {"name", "verdict", "found", "fix"} for each in found["checks"])
    assert all(each["fix"] for each in found["checks"] if each["verdict"] != "ok")
    assert found["ok"] is True


def test_it_leaves_nothing_behind(place: Path, invoke: Invoke) -> None:
    """Names and bytes below the directory are what they were."""
    (place / "runs").mkdir()
    (place / "runs" / "mine").write_bytes(b"x")
    before = tree_of(place / "runs" / "mine")
    text = invoke("doctor", "runs").output

    assert [each.name for each in (place / "runs").iterdir()] == ["mine"]
    assert tree_of(place / "runs" / "mine") == before
    assert "fsync " in text


def test_a_missing_directory(invoke: Invoke) -> None:
    """It says how to make one."""
    assert "mkdir -p nope" in invoke("doctor", "nope", code=10).stderr


class Faulty(LocalFs):
    """A disk with some peculiarities."""

    def __init__(self, **raises: int) -> None:
        """Take what goes wrong."""
        self._raises = raises

    def write(self, path: Path, chunks: Any) -> int:
        """Fail, if that is asked for."""
        if "write" in self._raises:
            raise OSError(self._raises["write"], "no")
        return super().write(path, chunks)

    def link(self, src: Path, dst: Path) -> bool:
        """Copy, if links are refused."""
        if "link" not in self._raises:
            return super().link(src, dst)
        dst.write_bytes(src.read_bytes())
        return False

    def replace(self, src: Path, dst: Path) -> None:
        """Do nothing, if that is asked for."""
        if "replace" not in self._raises or src.name != "new":
            super().replace(src, dst)


def test_a_disk_without_hard_links(tmp_path: Path) -> None:
    """It works, and takes more space."""
    assert _verdicts(disk_checks(tmp_path, fs=Faulty(link=1)))["hard links"] == "warn"


def test_a_rename_that_does_not_replace(tmp_path: Path) -> None:
    """Checkpoints could not be committed there."""
    assert _verdicts(disk_checks(tmp_path, fs=Faulty(replace=1)))["rename"] == "bad"


def test_a_full_disk(tmp_path: Path) -> None:
    """It is a verdict, not a traceback."""
    checks = disk_checks(tmp_path, fs=Faulty(write=errno.ENOSPC))

    assert checks[-1].verdict == "bad"
    assert list(tmp_path.iterdir()) == []


def test_bad_is_a_failure(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script can rely on the exit status."""
    monkeypatch.setattr("evertrain.cli.doctor.LOCAL_FS", Faulty(write=errno.EROFS))
    text = invoke("doctor", code=1).output

    assert "write: Free space" in text


def test_a_directory_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing more is tried there."""
    monkeypatch.setattr(os, "access", lambda *_: False)

    assert disk_checks(tmp_path, fs=LOCAL_FS)[-1].fix.endswith(f"chmod u+w {tmp_path}")


def test_a_slow_disk(tmp_path: Path) -> None:
    """A durable write that takes 200 ms is told."""

    class Slow(FakeClock):
        def monotonic_s(self) -> float:
            self.advance(0.2)
            return super().monotonic_s()

    clock = Slow(now_s=tmp_path.stat().st_mtime)
    assert _verdicts(disk_checks(tmp_path, fs=LOCAL_FS, clock=clock))["fsync"] == "warn"


def test_clocks_that_differ(tmp_path: Path) -> None:
    """The times of files and of the journal would not compare; a clock of 1970 is worse."""
    clock = FakeClock(now_s=0.0)

    assert _verdicts(disk_checks(tmp_path, fs=LOCAL_FS, clock=clock))["disk clock"] == "warn"
    assert _verdicts(machine_checks(clock))["clock"] == "warn"


def test_a_directory_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems refuse: a warning; any other error is one."""
    real = os.fsync

    def refuse(code: int) -> None:
        def fsync(handle: int) -> None:
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                raise OSError(code, "no")
            real(handle)

        monkeypatch.setattr(os, "fsync", fsync)

    refuse(errno.EINVAL)
    assert _verdicts(disk_checks(tmp_path, fs=LOCAL_FS))["directory fsync"] == "warn"
    refuse(errno.EIO)
    assert disk_checks(tmp_path, fs=LOCAL_FS)[-1].verdict == "bad"


@pytest.mark.parametrize(("kind", "verdict"), [("nfs4", "warn"), ("tmpfs", "warn"), ("xfs", "ok")])
def test_file_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, verdict: str
) -> None:
    """A network's leases and memory's durability are limits worth knowing."""
    mount = type("Mount", (), {"mountpoint": str(tmp_path), "fstype": kind})
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [mount])

    assert filesystem_of(tmp_path / "runs") == (kind, str(tmp_path))
    assert _verdicts(disk_checks(tmp_path, fs=LOCAL_FS))["file system"] == verdict
    assert filesystem_of(Path("/")) == ("unknown", "/")


def test_little_of_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Little memory and a full disk are told before they end a training."""
    memory = type("Memory", (), {"available": 10, "total": 1000})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(checkup, "_cgroup_limit", lambda: 500)
    monkeypatch.setattr(checkup, "_LOW_DISK_BYTES", 10**18)
    found = {each.name: each for each in machine_checks() + disk_checks(tmp_path, fs=LOCAL_FS)}

    assert (found["memory"].verdict, found["disk space"].verdict) == ("warn", "warn")
    assert "this control group may use 500 B" in found["memory"].found


def test_missing_extras_name_their_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra is optional: its absence is no fault."""
    monkeypatch.setattr(checkup, "_EXTRAS", {"torch": "no_such_module"})
    found = {each.name: each for each in machine_checks()}["extras"]

    assert (found.verdict, found.found) == ("ok", "torch: no")
    assert "pip install 'evertrain[torch]'" in found.fix


@pytest.mark.parametrize(
    ("cores", "threads", "is_hinted"), [(2, None, True), (2, "1", False), (16, None, False)]
)
def test_few_cores_want_few_threads(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: str | None, *, is_hinted: bool
) -> None:
    """On a small machine each torch process takes every core, unless it is told not to."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if threads is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
    found = {each.name: each for each in machine_checks()}["processors"]

    assert found.verdict == "ok", "a hint is no fault"
    assert ("OMP_NUM_THREADS=1" in found.fix) == is_hinted

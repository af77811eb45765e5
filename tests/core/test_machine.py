"""What a process may use, where a container says less than the machine has."""

import os
from pathlib import Path

import psutil
import pytest

from evertrain.core.machine import available_bytes, cores

MIB = 1 << 20
HERE = 1 << 62  # bytes; more than any machine has


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on a machine of 64 cores and as much memory as it takes."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    memory = type("Memory", (), {"available": HERE})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def system(root: Path, groups: str, files: dict[str, str]) -> Path:
    """Return a root whose process is in `groups`."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_control_groups_it_is_the_machines(tmp_path: Path) -> None:
    """As on macOS."""
    assert cores(tmp_path) == 64
    assert available_bytes(tmp_path) == HERE


def test_the_machine_here_has_some() -> None:
    """Whatever limits it has."""
    assert cores() >= 1
    assert available_bytes() > MIB


def test_a_limit_of_version_2(tmp_path: Path) -> None:
    """The tightest of all groups above counts, and files in memory can go."""
    root = system(
        tmp_path,
        "0::/pod/box\n",
        {
            "pod/box/memory.max": "max\n",
            "pod/box/cpu.max": "max 100000\n",
            "pod/memory.max": f"{100 * MIB}\n",
            "pod/memory.current": f"{70 * MIB}\n",
            "pod/memory.stat": f"anon 1\ninactive_file {20 * MIB}\n",
            "pod/cpu.max": "150000 100000\n",
        },
    )
    assert available_bytes(root) == 50 * MIB
    assert cores(root) == 2


def test_a_limit_of_version_1(tmp_path: Path) -> None:
    """Each controller has a tree of its own."""
    root = system(
        tmp_path,
        "5:cpu,cpuacct:/box\n4:memory:/box\n",
        {
            "memory/box/memory.limit_in_bytes": f"{64 * MIB}\n",
            "memory/box/memory.usage_in_bytes": f"{60 * MIB}\n",
            "memory/box/memory.stat": f"total_inactive_file {MIB}\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/memory.usage_in_bytes": "5\n",
            "cpu/box/cpu.cfs_quota_us": "-1\n",
            "cpu/box/cpu.cfs_period_us": "100000\n",
        },
    )
    assert available_bytes(root) == 5 * MIB
    assert cores(root) == 64


def test_a_group_that_is_mounted_as_the_top_one(tmp_path: Path) -> None:
    """A container sees the path of its host, and its own group where all groups would be."""
    root = system(
        tmp_path,
        "0::/docker/1234\n",
        {"memory.max": f"{10 * MIB}\n", "memory.current": f"{11 * MIB}\n", "cpu.max": "1 100\n"},
    )
    assert available_bytes(root) == 0
    assert cores(root) == 1


def test_what_makes_no_sense_limits_nothing(tmp_path: Path) -> None:
    """A file of another system is not ours to judge."""
    files = {"memory.max": "lots\n", "memory.current": "\n", "cpu.max": "a b c\n"}
    root = system(tmp_path, "nonsense\n0::/\n", files)
    assert available_bytes(root) == HERE
    assert cores(root) == 64

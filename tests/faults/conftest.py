"""Small disks in memory, mounted for a test."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Mount = Callable[..., Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Return what mounts a small tmpfs in memory."""
    made: list[Path] = []

    def make(options: str, name: str = "disk") -> Path:
        disk = tmp_path / name
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if os.geteuid() != 0 or done.returncode:
            pytest.skip(f"NOT TESTED on a real full disk: mounting needs root ({done.stderr!r})")
        made.append(disk)
        return disk

    yield make
    for disk in made:
        subprocess.run(["umount", "-l", str(disk)], check=True)

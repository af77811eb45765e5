"""Sizes and tails: what lies on the disk, counted once."""

import os
from pathlib import Path

import pytest

from evertrain.monitor.disk import disk_bytes, tail_rows


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


def test_the_tail_of_a_huge_file(tmp_path: Path) -> None:
    """Only the end is read; the line that the cut tears apart is left out."""
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"".join(b'{"step":%d}\n' % step for step in range(20_000)))

    rows = tail_rows(path)

    assert rows[-1] == {"step": 19_999}
    assert 1_000 < len(rows) < 10_000
    assert tail_rows(tmp_path / "gone") == ()

"""Which checkpoint is the newest whole one, and whose fault it is that there is none."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain import Store
from evertrain.checkpoint import check
from evertrain.core.errors import CorruptError, EvertrainError
from evertrain.run.choose import choose

Break = Callable[..., None]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return three checkpoints."""
    store = Store(tmp_path)
    for step in (10, 20, 30):
        store.save(step, {"agent": {"w": np.arange(step)}})
    return store


@pytest.fixture
def bad_sectors(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Return what lets the disk fail at files of some steps."""
    fill = check.fill

    def broken(file: Any, view: memoryview, path: Path) -> None:
        if int(path.parent.name) in steps and path.suffix == ".safetensors":
            bad = type("Bad", (), {"readinto": _refuse})()
            fill(bad, view, path)
        fill(file, view, path)

    def _refuse(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    steps: set[int] = set()
    monkeypatch.setattr(check, "fill", broken)
    return steps.update


def test_a_bad_sector_in_the_newest_is_damage(store: Store, bad_sectors: Break) -> None:
    """The disk reads an older one: that is used, and the newest is set aside."""
    bad_sectors([30])
    aside: list[int] = []

    choice = choose(store, "auto", lambda step, _: aside.append(step))

    assert (choice.step, aside) == (20, [30])
    assert choice.why == "the newest whole one; 1 damaged set aside"


@pytest.mark.parametrize("resume", ["auto", "must", "latest"])
def test_a_disk_that_reads_none_is_at_fault(store: Store, bad_sectors: Break, resume: str) -> None:
    """No fresh start, and nothing is set aside: tomorrow the disk may be well."""
    bad_sectors([10, 20, 30])
    aside: list[int] = []

    with pytest.raises(EvertrainError, match="no checkpoint can be read") as caught:
        choose(store, resume, lambda step, _: aside.append(step))

    assert not isinstance(caught.value, CorruptError)
    assert "000000030" in str(caught.value)
    assert aside == []


def test_wrong_bytes_everywhere_are_damage(store: Store) -> None:
    """They will be as wrong tomorrow: a fresh start, and each is set aside."""
    for path in store.path.glob("0*/*.safetensors"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    aside: list[int] = []

    choice = choose(store, "auto", lambda step, _: aside.append(step))

    assert (choice.step, sorted(aside)) == (0, [10, 20, 30])
    assert choice.why == "all 3 checkpoints are damaged"


def test_one_that_cannot_be_read_among_damaged_ones(store: Store, bad_sectors: Break) -> None:
    """It may be whole: no fresh start."""
    for path in store.path.glob("000000030/*.safetensors"):
        path.write_bytes(b"")
    bad_sectors([10, 20])

    with pytest.raises(EvertrainError, match="no checkpoint can be read"):
        choose(store, "auto", lambda *_: None)

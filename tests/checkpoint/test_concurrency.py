"""Readers need no lock: they see whole checkpoints while another process saves and prunes."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from evertrain.checkpoint import Store
from evertrain.core.errors import NotFoundError

WRITER = """
import sys
import numpy as np
from evertrain.checkpoint import About, Store, keep_any, keep_best, keep_last

store = Store(sys.argv[1])
store.recover()
latest = store.latest()
step = latest.step if latest else 0
print("go", flush=True)
for step in range(step + 1, step + 1 + int(sys.argv[2])):
    state = {"a": {"x": np.full(20_000, step), "step": step}, "b": np.full(999, step)}
    store.save(step, state, about=About(score=float(step % 7)))
    store.prune(keep_any(keep_last(1), keep_best(1)))
"""


@contextmanager
def writing(root: Path, count: int) -> Iterator[subprocess.Popen[bytes]]:
    """Save and prune `count` times in another process."""
    command = [sys.executable, "-c", WRITER, str(root), str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"go\n"
        yield process
        process.wait(120)


def check(store: Store, which: str) -> int:
    """Load a checkpoint, which must be of one step throughout."""
    loaded = store.load(which)
    step = loaded.info.step
    assert loaded.state["a"]["step"] == step
    assert np.all(loaded.state["a"]["x"] == step)
    assert np.all(loaded.state["b"] == step)
    return step


@pytest.mark.slow
def test_readers_beside_a_writer(tmp_path: Path) -> None:
    """While 150 checkpoints come and go, every load is whole and every listing sane."""
    store, seen = Store(tmp_path), set()
    with writing(tmp_path, 150) as process:
        while process.poll() is None:
            infos = store.list()
            steps = [info.step for info in infos]
            assert steps == sorted(set(steps))
            if not infos:
                continue
            seen |= {check(store, "latest"), check(Store(tmp_path), "best")}
            assert store.verify() == []
            with suppress(NotFoundError):  # pruned since the listing, and said so
                store.load(steps[0])
        assert process.returncode == 0
    assert check(store, "latest") == 150
    assert len(seen) > 5
    assert store.verify() == []


@pytest.mark.slow
def test_sigkill_at_any_time(tmp_path: Path) -> None:
    """Killed again and again at whatever moment, the store always has a whole checkpoint."""
    last = 0
    for number in range(12):
        with writing(tmp_path, 10_000) as process:
            reader = Store(tmp_path)
            while reader.latest() is None or check(reader, "latest") < last + 2:
                assert process.poll() is None
            for _ in range(number * 37):  # another moment each time
                tmp_path.stat()
            process.send_signal(signal.SIGKILL)
        now = check(Store(tmp_path), "latest")
        assert now > last
        last = now
    Store(tmp_path).recover()
    assert Store(tmp_path).verify() == []
    assert not list(tmp_path.glob(".*"))

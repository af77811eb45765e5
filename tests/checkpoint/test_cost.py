"""What saving and importing may cost: no copy of the arrays, no framework at start-up."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from evertrain.checkpoint import Store


def test_saving_makes_no_copy(tmp_path: Path) -> None:
    """Saving 64 MiB takes a few MiB of memory, in C and in Fortran order."""
    array = np.zeros((2048, 2048), np.float64)
    store = Store(tmp_path)
    store.save(1, {"warm": np.zeros(3)})
    tracemalloc.start()
    store.save(2, {"c": array[:1024], "f": array.T[:, :1024]})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20
    assert store.verify() == []


def test_loading_takes_the_state_once(tmp_path: Path) -> None:
    """Loading 32 MiB takes little more than 32 MiB."""
    store = Store(tmp_path)
    store.save(1, {"a": np.zeros(4 << 20), "b": np.zeros(3)})
    tracemalloc.start()
    loaded = store.load()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (32 + 4) << 20
    assert loaded.state["a"].nbytes == 32 << 20


@pytest.mark.slow
def test_import_is_light() -> None:
    """Importing the room loads neither numpy nor any other heavy package."""
    code = (
        "import sys, evertrain.checkpoint;"
        "print([n for n in ('numpy', 'torch', 'pydantic', 'rich', 'safetensors', 'blake3',"
        " 'importlib.metadata') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_listing_needs_no_numpy(tmp_path: Path) -> None:
    """Listing and verifying load no numpy: `evertrain ls` stays quick."""
    Store(tmp_path).save(1, {"a": np.zeros(3)})
    code = (
        "import sys; from evertrain.checkpoint import Store; s = Store(sys.argv[1]);"
        "print(len(s.list()), s.verify(), 'numpy' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "1 [] False"

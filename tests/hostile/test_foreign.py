"""Weights and checkpoints of other programs: looked at, or loaded without running anything."""

import io
import pickle
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evertrain import Run
from evertrain.core.errors import EvertrainError
from evertrain.supervise.foreign import choose, list_found
from evertrain.supervise.wholeness import problem_of
from hostile.doors import told
from hostile.foreign import PICKLES, SAFETENSORS, ZIPS, zipped
from hostile.witness import Payload, harmless

EVERYTHING = {
    **{f"{name} ({suffix})": (suffix, data)
       for suffix, files in {"safetensors": SAFETENSORS, "pt": ZIPS, "pkl": PICKLES}.items()
       for name, data in files.items()},
    **{f"{name} (pth)": ("pth", data) for name, data in PICKLES.items()},
    **{f"{name} (zip)": ("zip", data) for name, data in ZIPS.items()},
}  # fmt: skip


def begin(path: Path, source: Path, thing: object) -> None:
    """Begin a run from the weights in the file `source`."""
    with Run(path, total=1, init_from=source) as run:
        run.attach(w=thing)
        run.restore()


@pytest.mark.parametrize(("suffix", "data"), EVERYTHING.values(), ids=EVERYTHING)
def test_weights_of_a_stranger(tmp_path: Path, outside: Path, suffix: str, data: bytes) -> None:
    """Taken as they are, or refused; what attached it, an array or a model, stays as it was."""
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(data)
    things = (np.zeros(12), torch.nn.Linear(3, 2))
    for index, thing in enumerate(things):
        with harmless(outside, tmp_path / f"run{index}"):
            told("init_from", partial(begin, tmp_path / f"run{index}", path, thing))
    assert not things[0].any()


@pytest.mark.parametrize(("suffix", "data"), EVERYTHING.values(), ids=EVERYTHING)
def test_a_checkpoint_of_a_stranger_is_looked_at(
    tmp_path: Path, outside: Path, suffix: str, data: bytes
) -> None:
    """Whole or not, in a sentence; handed over it is only by its path."""
    path = tmp_path / f"model_ep7.{suffix}"
    path.write_bytes(data)
    with harmless(outside):
        problem = problem_of(path)
        choice = choose(str(tmp_path / "model_ep*"))
    assert problem is None or 0 < len(problem) < 500
    assert (choice.found is None) == (problem is not None)


@pytest.mark.parametrize("name", [
    "a directory of four gigabytes", "overlapping members", "half of one", "only its mark",
])  # fmt: skip
def test_a_zip_that_lies_is_not_whole(tmp_path: Path, name: str) -> None:
    """What would unpack for ever, or fill the memory, is no checkpoint."""
    (tmp_path / "a.zip").write_bytes(ZIPS[name])
    assert problem_of(tmp_path / "a.zip") is not None


@pytest.mark.parametrize("name", [
    "bytes of 2**62", "bytes of 2**64 - 1", "a text of four gigabytes", "a negative length",
    "an integer of two gigabytes", "a line that never ends", "no opcode",
])  # fmt: skip
def test_a_pickle_that_lies_is_not_whole(tmp_path: Path, name: str) -> None:
    """A length that no file of that size can hold."""
    (tmp_path / "a.pkl").write_bytes(PICKLES[name])
    assert problem_of(tmp_path / "a.pkl") == "truncated pickle"


def test_what_a_library_unpacks_at_once_is_not_unpacked(tmp_path: Path) -> None:
    """bz2 and lzma make gigabytes of a few bytes, and zipfile asks for all of them."""
    for method, is_read in ((zipfile.ZIP_BZIP2, False), (zipfile.ZIP_LZMA, False), (8, True)):
        data = bytearray(zipped({"a": bytes(1000)}, method))
        data[14] ^= 1  # the checksum
        data[data.rindex(b"PK\x01\x02") + 16] ^= 1
        (tmp_path / "a.npz").write_bytes(data)
        assert (problem_of(tmp_path / "a.npz") is not None) == is_read


def test_a_long_array_in_a_pickle_is_not_read(tmp_path: Path) -> None:
    """It is walked over: a replay buffer of gigabytes need not fit into the supervisor."""
    out = io.BytesIO()
    pickle.dump({"buffer": bytes(50 << 20)}, out, protocol=4)
    (tmp_path / "a.pkl").write_bytes(out.getvalue())
    assert problem_of(tmp_path / "a.pkl") is None
    (tmp_path / "a.pkl").write_bytes(out.getvalue()[:-2])
    assert problem_of(tmp_path / "a.pkl") == "truncated pickle"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_is_walked_to_its_end(tmp_path: Path, protocol: int) -> None:
    """All opcodes with all kinds of arguments; at no length but the full one it is whole."""
    value: list[Any] = [
        None, True, 1, -5, 10**6, 10**30, 10**700, 1.5, "a\nb", "\u00e9" * 300, b"x" * 300, (1,),
        {"a": {2}}, frozenset([3]), bytearray(5), Payload(), complex(1, 2), np.arange(300), [],
    ]  # fmt: skip
    data = pickle.dumps(value, protocol=protocol)
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    assert problem_of(path) is None
    for length in range(1, len(data), 37):
        path.write_bytes(data[:length])
        assert problem_of(path) is not None, length


def test_a_directory_of_odd_things(tmp_path: Path, outside: Path) -> None:
    """A checkpoint may be a directory: what is no file in it is not waited for."""
    import os

    path = tmp_path / "checkpoint-5"
    path.mkdir()
    os.mkfifo(path / "fifo")
    (path / "zero").symlink_to("/dev/zero")
    (path / "loop").symlink_to("loop")
    (path / "up").symlink_to("../..")
    (path / "weights.bin").write_bytes(b"x")
    with harmless(outside):
        assert problem_of(path) is None
        assert [each.step for each in list_found(str(tmp_path / "*"))].count(5) == 1


@pytest.mark.parametrize("name", ["\u0663" * 3, "\u00b2", "step" + "9" * 240, "\x1b[2J\n", "-5"])
def test_odd_names(tmp_path: Path, name: str) -> None:
    """Whatever digits a name holds, it has a step or none."""
    (tmp_path / f"{name}.pt").write_bytes(b"x")
    assert len(list_found(str(tmp_path / "*.pt"))) == 1


def test_an_export_refuses_what_others_could_not_load(tmp_path: Path) -> None:
    """Dtypes that torch lacks, keys that need code: named, instead of a traceback."""
    from evertrain.integrations.torch.export import write_pt

    trees: tuple[Any, ...] = (
        {"x": np.zeros(2, np.longdouble)},
        {"x": np.zeros(2, np.clongdouble)},
        {"x": np.zeros(2, "M8[s]")},
        {(1, 2): 3},
        {"x": np.datetime64("2020-01-01")},
        {frozenset(): 1},
    )
    for tree in trees:
        with pytest.raises(EvertrainError, match=r"plain values|longdouble|ndarray|tuple|code"):
            write_pt(tree, tmp_path / "x.pt")
    assert list(tmp_path.iterdir()) == []
    write_pt({"x": np.zeros(2, ">f4"), 5: np.ones(2, "u2"), None: 1}, tmp_path / "x.pt")

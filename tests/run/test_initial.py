"""`init_from`: weights of another run for a fresh start, and nothing else of it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from evertrain import Run, every
from evertrain.core.errors import CorruptError, NotFoundError, StateError
from evertrain.core.rundir import RunDir
from evertrain.run.initial import _as_numpy
from support import OpenRun, walk


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A finished run whose weights are 1, 2, 3 after its three steps; the best is step 2."""
    path = tmp_path / "teacher"
    with Run(path, total=3, save=every(steps=1), best="max:x", seed=5) as run:
        weights, optimizer = np.zeros(2), {"steps": 0}
        run.attach(weights=weights, optimizer=optimizer)
        run.state.epsilon = 0.5
        for step in run:
            weights += 1
            optimizer["steps"] = step
            run.log(x=[0, 1, 9, 2][step])
    return path


@pytest.mark.parametrize(("which", "value"), [("", 3), ("@latest", 3), ("@best", 2), ("@1", 1)])
def test_weights_come_from_any_checkpoint(
    open_run: OpenRun, teacher: Path, which: str, value: int
) -> None:
    """What is attached under the same name starts from there; step, state and metrics are new."""
    run = open_run(init_from=f"{teacher}{which}")
    weights = np.zeros(2)
    run.attach(weights=weights, head=[7])
    run.state.epsilon = 1.0
    run.restore()

    assert weights.tolist() == [value, value]
    assert (run.step, run.state.epsilon, run.metrics) == (0, 1.0, [])


@pytest.mark.parametrize(("which", "value"), [("", 3), ("@best", 2)])
def test_a_run_may_have_an_at_in_its_name(
    open_run: OpenRun, teacher: Path, which: str, value: int
) -> None:
    """Only what stands behind the last one names a checkpoint, and only if no run is meant."""
    other = teacher.with_name("w@x") / "run@1"
    other.parent.mkdir()
    teacher.rename(other)
    run = open_run(init_from=f"{other}{which}")
    weights = np.zeros(2)
    run.attach(weights=weights)
    run.restore()

    assert weights.tolist() == [value, value]


def test_weights_come_from_a_path(open_run: OpenRun, teacher: Path) -> None:
    """A checkpoint's directory serves as well, wherever it lies."""
    run = open_run(init_from=RunDir(teacher).checkpoints / "000000002")
    weights = np.zeros(2)
    run.attach(weights=weights)
    run.restore()

    assert weights.tolist() == [2, 2]


def test_a_resume_does_not_start_from_there_again(open_run: OpenRun, teacher: Path) -> None:
    """Once there is a checkpoint of its own, a run goes on from that."""
    run = open_run(init_from=teacher)
    weights = np.zeros(2)
    run.attach(weights=weights)
    for step in run:
        weights += 10
        if step == 2:
            run.end_step()
            break

    run = open_run(init_from=teacher)
    weights = np.zeros(2)
    run.attach(weights=weights)
    run.restore()

    assert weights.tolist() == [23, 23]
    assert walk(run)[0] == 3


@pytest.mark.parametrize("name", ["nobody", "nobody.pt", "nobody@best", "teacher@9", "empty"])
def test_a_source_that_is_not_there_is_told(
    open_run: OpenRun, teacher: Path, tmp_path: Path, name: str
) -> None:
    """A run, checkpoint or file that does not exist is an error before anything is touched."""
    Run(tmp_path / "empty").close()

    with pytest.raises(NotFoundError, match=r"nobody|9|empty"):
        open_run(init_from=tmp_path / name)

    assert teacher.is_dir()
    assert not (tmp_path / "run").exists()


def test_a_source_is_needed_for_a_fresh_start_only(open_run: OpenRun, teacher: Path) -> None:
    """Once the run has a checkpoint, its teacher may be deleted; a fresh start needs it again."""
    run = open_run(init_from=teacher)
    run.attach(weights=np.zeros(2))
    walk(run, until=1)
    teacher.rename(teacher.with_name("away"))
    run = open_run(init_from=teacher)
    run.attach(weights=np.zeros(2))

    assert next(run) == 2
    run.close()
    with pytest.raises(NotFoundError, match="teacher"):
        open_run(init_from=teacher, resume="never")


@pytest.mark.parametrize(
    ("shape", "partial", "line"),
    [
        ((2,), (), ": weights; fresh: head"),
        ((5,), ["weights"], ": none; fresh: weights, head"),
    ],
)
def test_the_line_says_what_was_taken(
    open_run: OpenRun,
    teacher: Path,
    capsys: pytest.CaptureFixture[str],
    shape: tuple[int],
    partial: list[str],
    line: str,
) -> None:
    """What may differ, and does, is not among it."""
    run = open_run(init_from=teacher, partial=partial)
    run.attach(weights=np.zeros(shape), head=[7])
    run.restore()

    assert f"Starting with the weights of {teacher}{line}\n" in capsys.readouterr().out


def test_the_line_names_leaves_that_stay_fresh(
    open_run: OpenRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A head of another shape inside a dict is not passed for taken; nor is a dict of nothing."""
    with Run(tmp_path / "first", total=1) as run:
        run.attach(nets={"body": np.ones(2), "head": np.ones(2)}, all={"a": np.ones(2)})
        next(run)
    run = open_run(init_from=tmp_path / "first", partial=["head", "a"])
    run.attach(nets={"body": np.zeros(2), "head": np.zeros(5)}, all={"a": np.zeros(5)})
    run.restore()

    assert "first: nets (without head); fresh: all\n" in capsys.readouterr().out


def test_weights_that_do_not_fit_are_refused(open_run: OpenRun, teacher: Path) -> None:
    """Other shapes, or no common name at all, are told; nothing starts half from there."""
    run = open_run(init_from=teacher)
    run.attach(weights=np.zeros(5))
    with pytest.raises(StateError, match=r"weights: float64 \(2,\) there, float64 \(5,\) here"):
        run.restore()

    run = open_run(init_from=teacher)
    run.attach(network=np.zeros(2))
    with pytest.raises(StateError, match="none of them is attached here"):
        run.restore()


def test_differences_that_are_named_start_fresh(open_run: OpenRun, teacher: Path) -> None:
    """`partial` lets a new head differ, at the top or inside a dict."""
    run = open_run(init_from=teacher, partial=["weights"])
    weights, optimizer = np.full(5, 7.0), {"steps": 0}
    run.attach(weights=weights, optimizer=optimizer)
    run.restore()

    assert weights.tolist() == [7] * 5
    assert optimizer == {"steps": 3}


def test_a_leaf_inside_a_dict_may_differ(open_run: OpenRun) -> None:
    """The rest of the dict still comes back."""
    run = open_run()
    run.attach(nets={"body": np.ones(2), "head": np.ones(2)})
    walk(run, until=1)

    run = open_run(partial=["head"])
    nets = {"body": np.zeros(2), "head": np.zeros(5)}
    run.attach(nets=nets)
    run.restore()

    assert nets["body"].tolist() == [1, 1]
    assert nets["head"].tolist() == [0] * 5


MAKE: dict[str, Callable[[int], Any]] = {
    "random": random.Random,
    "generator": np.random.default_rng,
    "bits": np.random.PCG64,
    "state": np.random.RandomState,
}


def _draw(generator: Any) -> Any:
    return generator.random_raw() if hasattr(generator, "random_raw") else generator.random()


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("is_inside", [False, True])
def test_generators_stay_fresh(
    open_run: OpenRun,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    *,
    is_inside: bool,
) -> None:
    """Weights are taken, the stream of random numbers is not: neither alone, nor in a dict."""

    def attached(seed: int, value: float) -> tuple[Any, Any, dict[str, Any]]:
        generator, weights = MAKE[kind](seed), np.full(2, value)
        if is_inside:
            return generator, weights, {"net": {"w": weights, "rng": generator}}
        return generator, weights, {"net": weights, "rng": generator}

    with Run(tmp_path / "source", total=1) as source:
        generator, _, things = attached(1, 7.0)
        source.attach(**things)
        for _ in source:
            _draw(generator)

    run = open_run(init_from=tmp_path / "source")
    generator, weights, things = attached(2, 0.0)
    run.attach(**things)
    run.restore()

    assert weights.tolist() == [7, 7]
    assert _draw(generator) == _draw(MAKE[kind](2))
    told = f"Starting with the weights of {tmp_path / 'source'}: net"
    assert told + ("" if is_inside else "; fresh: rng") + "\n" in capsys.readouterr().out


def test_a_source_of_nothing_but_generators_is_refused(open_run: OpenRun, tmp_path: Path) -> None:
    """A start without any weight is not the one that was asked for."""
    with Run(tmp_path / "source", total=1) as source:
        source.attach(rng=random.Random(1))
        for _ in source:
            pass
    run = open_run(init_from=tmp_path / "source")
    run.attach(rng=random.Random(2))

    with pytest.raises(StateError, match="attached here with weights"):
        run.restore()


@pytest.mark.parametrize(
    "keys", [("w", "deep.b"), ("net.w", "net.deep.b")], ids=["plain", "prefixed"]
)
def test_a_bare_file_fills_what_it_fits(
    open_run: OpenRun, tmp_path: Path, keys: tuple[str, str]
) -> None:
    """Keys are paths inside the one thing with weights, with or without its name."""
    arrays = {keys[0]: np.full(2, 5.0), keys[1]: np.full((2, 2), 6.0)}
    save_file(arrays, tmp_path / "w.safetensors")
    run = open_run(init_from=tmp_path / "w.safetensors")
    net: dict[str, Any] = {"w": np.zeros(2), "deep": {"b": np.zeros((2, 2))}, "n": 3}
    run.attach(net=net, rng=np.random.default_rng(1), log=[])
    run.restore()

    assert net["w"].tolist() == [5, 5]
    assert net["deep"]["b"].tolist() == [[6, 6], [6, 6]]
    assert net["n"] == 3, "what is no array is not in such a file"
    assert run.step == 0


def test_a_bare_file_may_be_for_several_things(open_run: OpenRun, tmp_path: Path) -> None:
    """Then each key begins with a name; a thing that the file does not know stays fresh."""
    save_file({"a": np.ones(2), "b.w": np.ones(3)}, tmp_path / "w.safetensors")
    run = open_run(init_from=tmp_path / "w.safetensors")
    a, b, c = np.zeros(2), {"w": np.zeros(3)}, np.zeros(4)
    run.attach(a=a, b=b, c=c)
    run.restore()

    assert (a.tolist(), b["w"].tolist(), c.tolist()) == ([1, 1], [1, 1, 1], [0, 0, 0, 0])


def _strange(path: Path) -> Path:
    there = {"net.w": np.ones(3), "net.old": np.ones(1), "other.x": np.ones(1)}
    save_file(there, path / "w.safetensors")
    return path / "w.safetensors"


def test_what_does_not_fit_a_bare_file_is_listed(open_run: OpenRun, tmp_path: Path) -> None:
    """Missing, extra and reshaped keys are named at once, and nothing is changed."""
    run = open_run(init_from=_strange(tmp_path))
    net, more = {"w": np.zeros(2), "b": np.zeros(1)}, np.zeros(1)
    run.attach(net=net, more=more)

    with pytest.raises(StateError) as caught:
        run.restore()
    for line in (
        "net.w: float64 (3,) there, float64 (2,) here",
        "net.b: missing in the file",
        "net.old: not in the program",
        "other.x: not in the program",
    ):
        assert line in caught.value.what
    assert net["w"].tolist() == [0, 0]


def test_a_bare_file_may_differ_where_that_is_named(open_run: OpenRun, tmp_path: Path) -> None:
    """`partial` lets leaves stay fresh, and keys be left over."""
    run = open_run(init_from=_strange(tmp_path), partial=["net.w", "net.b", "old", "other.*"])
    net, more = {"w": np.zeros(2), "b": np.zeros(1)}, np.zeros(1)
    run.attach(net=net, more=more)
    run.restore()

    assert (net["w"].tolist(), net["b"].tolist()) == ([0, 0], [0])


def test_a_bare_file_for_nothing_is_refused(open_run: OpenRun, tmp_path: Path) -> None:
    """The keys and the names are put side by side."""
    save_file({"x": np.ones(1)}, tmp_path / "w.safetensors")
    run = open_run(init_from=tmp_path / "w.safetensors")
    run.attach(a=np.zeros(1), b=np.zeros(1))
    with pytest.raises(StateError, match=r"holds x\.\n.*with weights: a, b"):
        run.restore()

    run = open_run(init_from=tmp_path / "w.safetensors")
    run.attach(log=[])
    with pytest.raises(StateError, match="with weights: nothing"):
        run.restore()


@pytest.mark.parametrize("data", [b"", b"garbage", b"\xff" * 64])
def test_a_damaged_file_is_told(open_run: OpenRun, tmp_path: Path, data: bytes) -> None:
    """It is read with every bound checked."""
    (tmp_path / "w.safetensors").write_bytes(data)
    run = open_run(init_from=tmp_path / "w.safetensors")
    run.attach(a=np.zeros(1))

    with pytest.raises(CorruptError):
        run.restore()


def test_a_file_that_is_missing_or_strange_is_told(open_run: OpenRun, tmp_path: Path) -> None:
    """A suffix of weights means a file, and other files are not guessed at."""
    with pytest.raises(NotFoundError, match="there is no file"):
        open_run(init_from=tmp_path / "no.safetensors")

    (tmp_path / "w.onnx").write_bytes(b"x")
    run = open_run(init_from=tmp_path / "w.onnx")
    run.attach(a=np.zeros(1))
    with pytest.raises(StateError, match="nothing here reads"):
        run.restore()


def test_numpy_reads_safetensors_without_torch(tmp_path: Path) -> None:
    """What numpy has a name for; the array of an empty shape included."""
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "a": np.arange(6, dtype=np.int16).reshape(2, 3),
        "e": np.zeros((0, 2)),
        "h": np.ones(1),
    }
    save_file(arrays, tmp_path / "w.safetensors", metadata={"format": "np"})
    found = _as_numpy(tmp_path / "w.safetensors")

    assert found.keys() == arrays.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(found[key], array)
        assert found[key].dtype == array.dtype

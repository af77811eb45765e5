"""Checkpoints whose bytes and digests are right, and whose state is not what any program saves."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain.checkpoint.plugin import RawArray
from evertrain.checkpoint.tree import flatten, unflatten
from evertrain.core.errors import EvertrainError, StateError
from evertrain.run import rng
from evertrain.run.adapters import GeneratorAdapter
from hostile.documents import seal
from hostile.doors import READERS, WRITERS, Door, come_in, told, train
from hostile.skeletons import GENERATORS, POSITIONS, SKELETONS
from hostile.witness import harmless

NEWEST = "checkpoints/000000003"
PARTS = ["net", "run.state", "run.rng", "run.position"]
DOORS: dict[str, Door] = {name: READERS[name] for name in ("load", "map", "verify")}
COMMANDS = (("show", "runs/r@latest"), ("show", "runs/r@latest", "--json"))
EXPORTS = (
    ("export", "runs/r", "--out", "runs/r.safetensors"),
    ("export", "runs/r", "--format", "pt", "--out", "runs/r.pt"),
    ("export", "runs/r", "--format", "pt", "--name", "net", "--out", "runs/net.pt"),
)


def forge(run_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite the newest manifest; its digest is right."""
    path = run_path / NEWEST / "manifest.json"
    document = json.loads(path.read_bytes())
    change(document)
    path.unlink()
    path.write_bytes(seal(document))


def with_keys(node: Any, key: str) -> Any:
    """Return a skeleton whose arrays called "w" are called `key`."""
    if isinstance(node, dict):
        return {
            name: key if name == "key" and value == "w" else with_keys(value, key)
            for name, value in node.items()
        }
    return [with_keys(each, key) for each in node] if isinstance(node, list) else node


def put(part: str, skeleton: Any) -> Callable[[dict[str, Any]], None]:
    """Return what replaces the skeleton of one part."""

    def change(document: dict[str, Any]) -> None:
        key = next(iter(document["arrays"].get(part) or {"w": 0}))
        document["skeletons"][part] = with_keys(skeleton, key)

    return change


def enter(run_path: Path, outside: Path) -> EvertrainError | None:
    """Go through the doors that a state passes; return what a resume says."""
    state = random.getstate(), np.random.get_state(legacy=False)["state"]["pos"]  # noqa: NPY002
    with harmless(outside):
        come_in(run_path, DOORS, COMMANDS)
    with harmless(outside, run_path.parent):
        come_in(run_path, {"start from": WRITERS["start from"]}, EXPORTS)
        found = told("resume", lambda: train(run_path, 5))
    random.setstate(state[0])
    return found


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
@pytest.mark.parametrize("part", PARTS)
def test_a_hostile_part(run_path: Path, outside: Path, part: str, skeleton: Any) -> None:
    """Whatever a part is replaced with: every door ends well, or says what is wrong."""
    forge(run_path, put(part, skeleton))

    enter(run_path, outside)


@pytest.mark.parametrize("skeleton", GENERATORS.values(), ids=GENERATORS)
def test_hostile_generators(run_path: Path, outside: Path, skeleton: Any) -> None:
    """What is no state of a generator is refused: drawing from it would be anything."""
    forge(run_path, put("run.rng", skeleton))

    assert isinstance(enter(run_path, outside), StateError)


@pytest.mark.parametrize("skeleton", POSITIONS.values(), ids=POSITIONS)
def test_hostile_positions(run_path: Path, outside: Path, skeleton: Any) -> None:
    """A checkpoint that does not say where it was taken is no place to go on from."""
    forge(run_path, put("run.position", skeleton))

    found = enter(run_path, outside)
    assert found is None or isinstance(found, StateError)


def test_numpys_generator_never_reads_beside_its_numbers(run_path: Path, outside: Path) -> None:
    """Numpy takes any position from a state; the next draw would read other memory."""

    def move(document: dict[str, Any]) -> None:
        document["skeletons"]["run.rng"]["numpy"]["state"]["pos"] = 10**6

    forge(run_path, move)
    found = enter(run_path, outside)
    assert isinstance(found, StateError)
    assert "stands at 1000000" in found.what


def positions(name: str, at: int) -> dict[str, Any]:
    """Return the state of a bit generator that stands somewhere else."""
    state: dict[str, Any] = getattr(np.random, name)(0).state
    if name == "Philox":
        return state | {"buffer_pos": at}
    return state | {"state": state["state"] | {"pos": at}}


@pytest.mark.parametrize("name", ["MT19937", "Philox"])
@pytest.mark.parametrize("at", [-(10**5), -1, 625, 10**6, "x", None, 1.5])
def test_no_door_lets_a_position_outside_in(name: str, at: Any) -> None:
    """Stored whole, attached, or of `numpy.random` itself."""
    state = positions(name, at)
    flat = flatten({"class": "BitGenerator", "bits": name, "state": state, "seed": None})
    with pytest.raises(StateError):
        unflatten({"$": "generator", "tree": flat.skeleton}, flat.arrays)
    with pytest.raises((ValueError, TypeError)):
        GeneratorAdapter().restore(
            np.random.Generator(getattr(np.random, name)(0)), {"state": state}
        )
    with pytest.raises(StateError, match="memory"):
        rng.restore({"numpy": state}, "memory")


@pytest.mark.parametrize("at", [0, 623, 624])
def test_positions_inside_are_welcome(at: int) -> None:
    """The bounds themselves are states like others."""
    generator = np.random.Generator(np.random.MT19937(0))
    GeneratorAdapter().restore(generator, {"state": positions("MT19937", at), "spawned": 0})
    assert generator.bit_generator.state["state"]["pos"] == at


@pytest.mark.parametrize(
    "seed",
    [
        {"pool_size": 65536},
        {"entropy": 1 << 10_000_000},
        {"entropy": [1] * 100_000},
        {"spawn_key": [0] * 100_000},
        {"spawn_key": 5},
        {"entropy": "x"},
    ],
    ids=lambda seed: next(iter(seed)),
)
def test_a_seed_that_would_mix_for_ever(seed: dict[str, Any]) -> None:
    """Numpy's work grows with the square of what the file says."""
    known = {"entropy": 1, "spawn_key": [], "pool_size": 4, "n_children_spawned": 0}
    state = np.random.PCG64(0).state
    flat = flatten({"class": "Generator", "bits": "PCG64", "state": state, "seed": known | seed})
    with pytest.raises(StateError):
        unflatten({"$": "generator", "tree": flat.skeleton}, flat.arrays)


def test_a_generator_that_spawned_too_many() -> None:
    """Each child would be made once more, to be thrown away."""
    generator = np.random.default_rng(1)
    tree = GeneratorAdapter().capture(generator)
    with pytest.raises(ValueError, match="spawned 1000000000000"):
        GeneratorAdapter().restore(generator, {**tree, "spawned": 10**12})


@pytest.mark.parametrize("kind", ["bytes", "array", "raw"])
def test_an_array_stands_for_one_leaf(kind: str) -> None:
    """A thousand leaves that name the same mebibyte are not a gibibyte."""
    arrays = {"w": RawArray("U8", (1 << 20,), np.zeros(1 << 20, np.uint8))}
    with pytest.raises(StateError):
        unflatten([{"$": kind, "key": "w"}] * 2, arrays)
    assert unflatten([{"$": kind, "key": "w"}], arrays)


def test_a_hint_is_nothing_to_paste(run_path: Path) -> None:
    """The advice to install something never quotes what a stranger wrote."""
    forge(run_path, put("net", SKELETONS["a codec to paste into a shell"]))

    found = told("load", lambda: READERS["load"](run_path))
    assert found is not None
    assert "curl" not in found.fix

"""Weights for other programs: the same numbers, and nothing that runs."""

import random
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from evertrain.checkpoint import Store
from evertrain.core.rundir import RunDir
from runs import new_run

Ask = Callable[..., dict[str, Any]]
Invoke = Callable[..., Any]


@pytest.fixture
def run_dir(place: Path) -> RunDir:
    """Provide a run with weights of torch and numpy, counters and a generator."""
    found = new_run(place / "runs" / "r")
    policy = {"net.weight": torch.arange(6.0).reshape(2, 3), "net.bias": torch.ones(2).bfloat16()}
    state = {
        "model": {"policy": policy, "steps": 7, "lr": np.float64(0.5)},
        "buffer": [{"rows": np.arange(4)}, None, (1, "x")],
        "run.rng": {"numpy": np.random.default_rng(0)},
    }
    Store(found.checkpoints).save(5, state)
    return found


def test_safetensors(run_dir: RunDir, invoke: Invoke, ask: Ask) -> None:
    """One object under its own names, or all of them with theirs before."""
    assert ask("export", "r", "--name", "buffer")["files"] == ["r-5-buffer.safetensors"]
    found = safetensors.numpy.load_file("r-5-buffer.safetensors")
    assert {key: value.tolist() for key, value in found.items()} == {"0.rows": [0, 1, 2, 3]}
    invoke("export", "r@latest", "--out", "all.safetensors")
    from safetensors.torch import load_file

    everything = load_file("all.safetensors")
    names = {"model.policy.net.weight", "model.policy.net.bias", "buffer.0.rows"}
    assert names <= everything.keys()
    assert not any(key.startswith("run.") for key in everything)
    assert everything["model.policy.net.bias"].dtype == torch.bfloat16
    assert run_dir.path.is_dir()


def test_arrays_mean_to_others_what_they_meant_here(place: Path, invoke: Invoke) -> None:
    """Columns first, big-endian, or both: a checkpoint keeps that, a bare file cannot say it."""
    square = np.arange(4.0).reshape(2, 2)
    odd = {
        "columns": np.asfortranarray(square),
        "big": np.array(7, ">i4"),
        "both": np.asfortranarray(square.astype(">f4")),
        "complex": np.asfortranarray(square + 1j),
    }
    Store(new_run(place / "runs" / "odd").checkpoints).save(1, {"odd": odd})

    invoke("export", "odd", "--name", "odd", "--out", "x")
    invoke("export", "odd", "--out", "y")
    invoke("export", "odd", "--name", "odd.columns", "--out", "z")

    found = safetensors.numpy.load_file("x")
    assert found["columns"].tolist() == found["both"].tolist() == square.tolist()
    assert (found["big"].dtype, found["big"].tolist()) == (np.dtype("<i4"), 7)
    assert found["complex"].tobytes() == (square + 1j).tobytes()
    everything = safetensors.numpy.load_file("y")
    assert everything["odd.columns"].tolist() == square.tolist()
    assert safetensors.numpy.load_file("z")["columns"].tolist() == square.tolist()


@pytest.mark.parametrize("name", ["model.policy", "policy"])
@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_a_part(run_dir: RunDir, invoke: Invoke, name: str, kind: str) -> None:
    """By its way, or by its last name where there is only one: a state dict."""
    from safetensors.torch import load_file

    invoke("export", "r", "--format", kind, "--name", name, "--out", "x")
    found = load_file("x") if kind == "safetensors" else torch.load("x", weights_only=True)
    assert found.keys() == {"net.weight", "net.bias"}
    assert torch.equal(found["net.weight"], torch.arange(6.0).reshape(2, 3))
    assert run_dir.path.is_dir()


def test_pt_of_all(run_dir: RunDir, invoke: Invoke) -> None:
    """Arrays become tensors, numbers stay numbers, and loading it needs no code."""
    invoke("export", "r", "--format", "pt")
    found = torch.load("r-5.pt", weights_only=True)
    assert (found["model"]["steps"], found["model"]["lr"]) == (7, 0.5)
    assert found["buffer"][0]["rows"].tolist() == [0, 1, 2, 3]
    assert found["buffer"][1:] == [None, (1, "x")]
    assert run_dir.path.is_dir()


def test_pt_of_queues_sets_and_generators(place: Path, invoke: Invoke) -> None:
    """What a model holds besides its weights: as the plain values that it consists of."""
    numpy_rng, python_rng, torch_rng = np.random.default_rng(0), random.Random(0), torch.Generator()
    held = {
        "lately": deque([1.5, {"r": 2}], maxlen=9),
        "seen": {"b", "a"},
        "rng": [numpy_rng, np.random.RandomState(0), python_rng, torch_rng],
    }
    Store(new_run(place / "runs" / "r").checkpoints).save(5, {"model": held})

    invoke("export", "r", "--format", "pt")

    found = torch.load("r-5.pt", weights_only=True)["model"]
    assert (found["lately"], found["seen"]) == ([1.5, {"r": 2}], ["a", "b"])
    assert found["rng"][0]["state"]["state"] == numpy_rng.bit_generator.state["state"]
    assert found["rng"][1]["state"]["bit_generator"] == "MT19937"
    assert found["rng"][2] == python_rng.getstate()
    assert torch.equal(found["rng"][3], torch_rng.get_state())


def test_what_no_pt_can_hold_is_told_with_what_can(place: Path, invoke: Invoke) -> None:
    """The parts that are named are those of this checkpoint, and can be written."""
    weights = {"w": torch.ones(2)}
    state = {"net": weights, "agent": {"when": np.zeros(2, "M8[s]"), "policy": weights}}
    Store(new_run(place / "runs" / "r").checkpoints).save(5, state)

    text = invoke("export", "r", "--format", "pt", code=78).output

    assert "agent.when is a ndarray" in text
    assert text.strip().endswith("--name net, --name agent.policy")
    text = invoke("export", "r", "--format", "pt", "--name", "agent", code=78).output
    assert text.strip().endswith("can be: --name agent.policy")
    for name in ("net", "agent.policy"):
        invoke("export", "r", "--format", "pt", "--name", name)
    text = invoke("export", "r", "--format", "pt", "--name", "agent.when", code=78).output
    assert "--format safetensors" in text


def test_errors(run_dir: RunDir, invoke: Invoke) -> None:
    """No such part, nothing in it, a file that exists, a damaged checkpoint."""
    invoke("export", "r", "--name", "nothing", code=10)
    invoke("export", "r", "--name", "model.steps", code=10)
    invoke("export", "r", "--name", "model.policy.nothing", code=10)
    Path("mine").write_text("mine")
    for kind in ("safetensors", "pt"):
        invoke("export", "r", "--format", kind, "--name", "policy", "--out", "mine", code=2)
    assert Path("mine").read_text() == "mine"
    invoke("export", "r", "--out", "no/such/place", code=1)
    file = run_dir.checkpoints / "000000005" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)
    invoke("export", "r", "--out", "x", code=12)
    assert not Path("x").exists()


PROGRAM = """
import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

def make():
    env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))
    return PPO("MlpPolicy", env, n_steps=16, batch_size=16, n_epochs=1, device="cpu")

def other():
    return 5

def narrower():
    env = DummyVecEnv([lambda: gymnasium.make("CartPole-v1")])
    narrow = {"net_arch": [8]}
    return PPO("MlpPolicy", env, n_steps=16, batch_size=16, device="cpu", policy_kwargs=narrow)
"""


def test_sb3(place: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `PPO.load` reads plays as the training's own model does."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecNormalize

    from evertrain import Run
    from evertrain.integrations.sb3 import learn

    (place / "cart_program.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(str(place))
    import cart_program  # type: ignore[import-not-found]

    with Run("runs/cart", total=48, seed=0) as run:
        trained = cart_program.make()
        learn(run, trained)
    arguments = ("export", "cart", "--format", "sb3")
    invoke(*arguments, "--model", "cart_program", code=2)
    invoke(*arguments, "--model", "cart_program:nothing", code=2)
    invoke(*arguments, "--model", "no_such_program:make", code=2)
    invoke(*arguments, "--model", "cart_program:other", code=2)
    assert "does not fit" in invoke(*arguments, "--model", "cart_program:narrower", code=78).output
    invoke(*arguments, "--model", "cart_program:make")

    loaded = PPO.load("cart-48.zip", device="cpu")
    assert loaded.num_timesteps == 48
    for key, value in trained.policy.state_dict().items():
        assert torch.equal(loaded.policy.state_dict()[key], value)
    statistics: Any = VecNormalize.load(
        "cart-48.zip.vecnormalize.pkl", cart_program.make().env.venv
    )
    np.testing.assert_array_equal(statistics.obs_rms.mean, trained.env.obs_rms.mean)

    told = invoke(*arguments, "--out", "alone.zip").output
    assert told.splitlines() == ["alone.zip.vecnormalize.pkl", "alone.zip"]
    alone = PPO.load("alone.zip", device="cpu")
    assert (alone.num_timesteps, alone.n_steps, alone.batch_size) == (48, 16, 16)
    for key, value in trained.policy.state_dict().items():
        assert torch.equal(alone.policy.state_dict()[key], value)
    assert Path("alone.zip.vecnormalize.pkl").exists()


def test_sb3_without_a_model(run_dir: RunDir, invoke: Invoke, place: Path) -> None:
    """A checkpoint that no SB3 training made is refused by name."""
    (place / "cart_program_two.py").write_text(PROGRAM)
    text = invoke(
        "export", "r", "--format", "sb3", "--model", "cart_program_two:make", code=10
    ).output
    assert "0 models of Stable-Baselines3" in text
    assert run_dir.path.is_dir()

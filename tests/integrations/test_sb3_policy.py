"""SB3 models from their checkpoints alone: they play, and become SB3's own files again."""

import io
import os
import pickle
import random
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecCheckNan,
    VecEnvWrapper,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from evertrain import Run, Store, load_policy
from evertrain.checkpoint.plugin import INFERENCE
from evertrain.core.errors import StateError, UsageError
from evertrain.integrations.sb3 import learn
from evertrain.integrations.sb3.export import saved
from evertrain.integrations.sb3.inference import described
from evertrain.integrations.sb3.model import ModelAdapter
from evertrain.integrations.sb3.policy import load_policy as policy_from
from evertrain.integrations.sb3.rebuild import rebuilt
from integrations.worlds import World

POINT = spaces.Box(-9.0, 9.0, (3,), np.float32)
PUSH = spaces.Box(-2.0, 2.0, (2,), np.float32)
PICTURE = spaces.Box(0, 255, (36, 40, 1), np.uint8)
# Not in the order of the names: the networks read them as they stand.
PARTS = spaces.Dict([("z", POINT), ("a", spaces.Discrete(2))])
ALBUM = spaces.Dict([("z", POINT), ("picture", PICTURE)])
SMALL: dict[str, Any] = {"n_steps": 8}
BUFFER: dict[str, Any] = {"buffer_size": 50, "batch_size": 4}


class Still(gymnasium.Env[Any, Any]):
    """Shows something at random, whatever is done."""

    def __init__(self, seen: spaces.Space[Any], done: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = seen, done

    def reset(self, **_options: Any) -> tuple[Any, dict[str, Any]]:
        return self.observation_space.sample(), {}

    def step(self, _action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), 0.5, False, False, {}


def make(
    algorithm: Any, policy: Any, seen: spaces.Space[Any], done: spaces.Space[Any], **options: Any
) -> Any:
    """Return a model with statistics of a few observations, where they can be normalized."""
    env: Any = DummyVecEnv([lambda: Still(seen, done)] * 2)
    if seen is POINT:
        env = VecNormalize(env, clip_obs=1.5, epsilon=1e-3)
    elif isinstance(seen, spaces.Dict):
        env = VecNormalize(env, norm_obs_keys=["z"])
    model = algorithm(policy, env, device="cpu", seed=5, **options)
    model.env.reset()
    for _ in range(3):
        model.env.step(np.stack([done.sample()] * 2))
    return model


def kept(place: Path, model: Any) -> Path:
    """Return the directory of a checkpoint that holds `model`."""
    return Store(place).save(1, {"model": ModelAdapter().capture(model)}).path


def shown(seen: spaces.Space[Any], count: int) -> Any:
    """Return a batch of observations."""
    samples = [seen.sample() for _ in range(count)]
    if isinstance(seen, spaces.Dict):
        return {key: np.stack([each[key] for each in samples]) for key in seen.spaces}
    return np.stack(samples)


def generators() -> tuple[Any, ...]:
    """Return the states of the global generators."""
    drawn = np.random.get_state(legacy=False)  # noqa: NPY002  (the one that programs use)
    return random.getstate(), str(drawn), torch.get_rng_state().numpy().tobytes()


def played(model: Any, observations: Any) -> Any:
    """Return what the training's own model does there."""
    normalize = model.get_vec_normalize_env()
    seen = observations if normalize is None else normalize.normalize_obs(observations)
    return model.predict(seen, deterministic=True)[0]


NETS: dict[str, Any] = {
    "net_arch": {"pi": [8], "vf": [4, 4]},
    "activation_fn": torch.nn.ELU,
    "log_std_init": -1.0,
    "optimizer_class": torch.optim.SGD,
    "optimizer_kwargs": {"momentum": 0.5},
}
CASES: dict[str, tuple[Any, str, Any, Any, dict[str, Any]]] = {
    "PPO": (PPO, "MlpPolicy", POINT, PUSH, SMALL | {"batch_size": 16, "policy_kwargs": NETS}),
    "PPO-gSDE": (PPO, "MlpPolicy", POINT, PUSH, SMALL | {"batch_size": 16, "use_sde": True}),
    "PPO-dict": (PPO, "MultiInputPolicy", PARTS, PUSH, SMALL | {"batch_size": 16}),
    "PPO-album": (PPO, "MultiInputPolicy", ALBUM, PUSH, SMALL | {"batch_size": 16}),
    "PPO-binary": (PPO, "MlpPolicy", POINT, spaces.MultiBinary(3), SMALL | {"batch_size": 16}),
    "A2C": (A2C, "MlpPolicy", POINT, spaces.MultiDiscrete([3, 2]), SMALL),
    "A2C-picture": (A2C, "CnnPolicy", PICTURE, spaces.Discrete(3), SMALL),
    "DQN": (DQN, "MlpPolicy", POINT, spaces.Discrete(4), BUFFER),
    "SAC": (SAC, "MlpPolicy", POINT, PUSH, BUFFER | {"policy_kwargs": {"net_arch": [8]}}),
    "SAC-gSDE": (SAC, "MlpPolicy", POINT, PUSH, BUFFER | {"use_sde": True}),
    "TD3": (TD3, "MlpPolicy", POINT, PUSH, BUFFER | {"policy_kwargs": {"net_arch": [8]}}),
    "DDPG": (DDPG, "MlpPolicy", POINT, PUSH, BUFFER | {"policy_kwargs": {"net_arch": [8]}}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_model_plays_from_its_checkpoint(tmp_path: Path, case: str) -> None:
    """As the training's own does, to the bit; one observation or many; nothing is drawn."""
    algorithm, policy, seen, done, options = CASES[case]
    model = make(algorithm, policy, seen, done, **options)
    path, observations = kept(tmp_path, model), shown(seen, 9)
    expected, before = played(model, observations), generators()

    found = load_policy(path)

    assert generators() == before, "loading draws no random numbers"
    np.testing.assert_array_equal(found.predict(observations), expected)
    is_one = not isinstance(seen, spaces.Dict)
    one = observations[0] if is_one else {key: each[0] for key, each in observations.items()}
    np.testing.assert_array_equal(found.predict(one), played(model, one))
    torch.manual_seed(1)
    many = np.stack([found.predict(observations, deterministic=False) for _ in range(4)])
    assert many.shape == (4, *expected.shape)
    if not issubclass(algorithm, (DQN, TD3)) and not model.use_sde:
        assert len(np.unique(many, axis=0)) > 1


@pytest.mark.parametrize("case", ["PPO", "A2C-picture", "PPO-dict", "SAC", "DDPG"])
def test_a_model_becomes_a_file_of_sb3_again(tmp_path: Path, case: str) -> None:
    """`PPO.load` reads it: weights, moments, settings; and so does `VecNormalize.load`."""
    algorithm, policy, seen, done, options = CASES[case]
    rate = {"learning_rate": lambda left: 2e-3 * left}
    model = make(algorithm, policy, seen, done, **(options | rate))
    model.num_timesteps = 77
    path, observations = kept(tmp_path, model), shown(seen, 9)

    files = saved(path)

    loaded: Any = algorithm.load(io.BytesIO(files.model), device="cpu")
    assert (type(loaded), loaded.num_timesteps, loaded.learning_rate) == (algorithm, 77, 2e-3)
    for name in ("n_steps", "batch_size", "buffer_size", "gamma", "train_freq", "tau"):
        assert getattr(loaded, name, None) == getattr(model, name, None), name
    assert str(loaded.get_parameters()) == str(model.get_parameters())
    normalize = model.get_vec_normalize_env()
    if normalize is not None:
        assert files.normalize is not None
        statistics = pickle.loads(files.normalize)
        statistics.set_venv(DummyVecEnv([lambda: Still(seen, done)]))
        raw, observations = observations, statistics.normalize_obs(observations)
        assert str(observations) == str(normalize.normalize_obs(raw))
    np.testing.assert_array_equal(
        loaded.predict(observations, deterministic=True)[0],
        model.predict(observations, deterministic=True)[0],
    )


@pytest.mark.slow
def test_neither_program_nor_environment_is_needed(tmp_path: Path) -> None:
    """A fresh process, in which nothing of the training can be imported, plays the same."""
    env = VecNormalize(DummyVecEnv([World] * 2))
    model = PPO("MlpPolicy", env, n_steps=16, batch_size=32, n_epochs=1, device="cpu")
    with Run(tmp_path / "run", total=64, seed=1) as run:
        learn(run, model, log_interval=None)
    points = np.linspace(-3, 3, 12, dtype=np.float32).reshape(4, 3)
    code = (
        "import numpy as np\n"
        "from evertrain import load_policy\n"
        "points = np.linspace(-3, 3, 12, dtype=np.float32).reshape(4, 3)\n"
        "print(load_policy('run@latest').predict(points).tobytes().hex())\n"
    )
    alone = {key: each for key, each in os.environ.items() if not key.startswith("EVERTRAIN")}

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=alone,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == played(model, points).tobytes().hex(), done.stderr


class OwnPolicy(ActorCriticPolicy):
    """What only this program knows."""


class OwnExtractor(FlattenExtractor):
    """What only this program knows."""


@pytest.mark.parametrize(
    ("policy", "kwargs", "what"),
    [
        (OwnPolicy, {}, "a policy of the class OwnPolicy"),
        ("MlpPolicy", {"features_extractor_class": OwnExtractor}, "OwnExtractor"),
        ("MlpPolicy", {"activation_fn": partial(torch.nn.ELU, 2.0)}, "activation_fn=a partial"),
    ],
    ids=["policy", "extractor", "partial"],
)
def test_what_only_the_program_can_build_is_said(
    tmp_path: Path, policy: Any, kwargs: Mapping[str, Any], what: str
) -> None:
    """And it may: its policy is filled, and its observations are normalized all the same."""
    options = SMALL | {"batch_size": 16, "policy_kwargs": dict(kwargs)}
    model, other = (make(PPO, policy, POINT, PUSH, **options) for _ in range(2))
    for parameter in model.policy.parameters():
        parameter.data += 0.1
    path, observations = kept(tmp_path, model), shown(POINT, 5)

    with pytest.raises(StateError, match=what):
        load_policy(path)
    with pytest.raises(StateError, match="--model"):
        saved(path)

    found = load_policy(path, module=lambda: other.policy)
    np.testing.assert_array_equal(found.predict(observations), played(model, observations))
    assert saved(path, model=other).model[:2] == b"PK"


def test_a_subclass_of_an_algorithm_plays_as_it(tmp_path: Path) -> None:
    """Its policy is what counts."""

    class Mine(PPO):
        pass

    model = make(Mine, "MlpPolicy", POINT, PUSH, n_steps=8, batch_size=16)
    observations = shown(POINT, 5)

    found = load_policy(kept(tmp_path, model))

    np.testing.assert_array_equal(found.predict(observations), played(model, observations))


def test_frames_that_are_stacked_behind_the_statistics_are_the_programs(tmp_path: Path) -> None:
    """What is normalized is not what the policy takes: nobody here knows the frames before."""
    env = VecFrameStack(VecNormalize(DummyVecEnv([lambda: Still(POINT, PUSH)])), 2)
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=8, device="cpu")

    with pytest.raises(StateError, match=r"\(3,\) are normalized, and the policy takes \(6,\)"):
        load_policy(kept(tmp_path, model))


@pytest.mark.parametrize(
    ("case", "observation", "message"),
    [
        ("A2C", [[1.0]], r"the shape \(1, 1\).*takes \(3,\)"),
        ("A2C", 1.0, r"the shape \(\)"),
        ("A2C", np.zeros((2, 2, 3)), r"the shape \(2, 2, 3\)"),
        ("A2C", [[1.0], [1.0, 2.0]], "is no array"),
        ("A2C-picture", np.zeros((36, 40)), r"the shape \(36, 40\).*\(36, 40, 1\)"),
        ("PPO-dict", np.zeros(3), "no parts"),
        ("PPO-dict", {"z": np.zeros(3)}, r"\['z'\].*\['a', 'z'\]"),
        ("PPO-dict", {"z": np.zeros((1, 1)), "a": [0]}, r"part 'z' has the shape \(1, 1\)"),
        ("PPO-dict", {"z": np.zeros((2, 3)), "a": 0}, "batches of"),
    ],
)
def test_an_observation_of_another_shape_is_refused(
    case: str, observation: Any, message: str, tmp_path: Path
) -> None:
    """Numpy would stretch it to one that fits."""
    algorithm, policy, seen, done, options = CASES[case]
    found = load_policy(kept(tmp_path, make(algorithm, policy, seen, done, **options)))

    with pytest.raises(UsageError) as raised:
        found.predict(observation)

    assert re.search(message, str(raised.value), re.DOTALL)


def test_an_argument_that_means_nothing_is_refused(tmp_path: Path) -> None:
    """A policy's name, and a module that is no policy."""
    path = kept(tmp_path, make(PPO, "MlpPolicy", POINT, PUSH, n_steps=8, batch_size=16))

    with pytest.raises(UsageError, match="policy_id"):
        load_policy(path, policy_id="seeker")
    with pytest.raises(UsageError, match=r"make_model\(\)\.policy"):
        load_policy(path, module=torch.nn.Linear(3, 2))


HUGE: dict[str, Any] = {"shape": [2**24, 2**24], "dtype": "float32", "low": 0.0, "high": 1.0}


@pytest.mark.parametrize(
    "lie",
    [
        {"algorithm": "os.system"},
        {"algorithm": "DQN"},
        {"policy": "Popen"},
        {"policy": "CnnPolicy"},
        {"policy_kwargs": {"net_arch": [10**7, 10**7]}},
        {"policy_kwargs": {"net_arch": [[[[]]]]}},
        {"policy_kwargs": {"activation_fn": {"class": "Popen"}}},
        {"policy_kwargs": {"features_extractor_class": {"class": "ELU"}}},
        {"policy_kwargs": {"no_such": 1}},
        {"policy_kwargs": None},
        {"spaces": None},
        {"spaces": [{"box": HUGE}, {"box": HUGE}]},
        {"normalize": {"space": {"box": HUGE}, "actions": {"discrete": {"n": 1, "start": 0}}}},
        {"normalize": 5},
        {"settings": None},
    ],
    ids=str,
)
def test_what_a_file_says_builds_nothing_else(tmp_path: Path, lie: dict[str, Any]) -> None:
    """A description that does not fit the weights is refused, before it costs any memory."""
    model = make(PPO, "MlpPolicy", POINT, PUSH, n_steps=8, batch_size=16)
    tree = Store(tmp_path).load(_number(kept(tmp_path, model))).state["model"]
    tree[INFERENCE] |= lie

    with pytest.raises(StateError):
        policy_from(tree, module=None, policy_id=None)


def test_settings_that_build_nothing_are_refused(tmp_path: Path) -> None:
    """Those of a whole model count only for a file of SB3's own."""
    model = make(PPO, "MlpPolicy", POINT, PUSH, n_steps=8, batch_size=16)
    tree = Store(tmp_path).load(_number(kept(tmp_path, model))).state["model"]
    tree[INFERENCE]["settings"] |= {"n_steps": "many"}

    with pytest.raises(StateError):
        rebuilt(tree)


def _number(path: Path) -> int:
    return int(path.name)


def test_a_description_is_small_and_says_what_counts() -> None:
    """Part of every checkpoint: names, numbers, and nothing that could be run."""
    model = make(PPO, "MlpPolicy", POINT, PUSH, n_steps=8, batch_size=16, policy_kwargs=NETS)

    how = described(model)

    assert (how["by"], how["algorithm"], how["policy"]) == ("stable_baselines3", "PPO", "MlpPolicy")
    assert how["policy_kwargs"]["activation_fn"] == {"class": "ELU"}
    assert how["settings"]["n_steps"] == 8
    assert "problem" not in how
    assert len(str(how)) < 3000


class Flips(VecEnvWrapper):
    """What only this program knows: it changes observations, and not their shape."""

    def reset(self) -> Any:
        """Turn the sign of what is seen."""
        return -np.asarray(self.venv.reset())

    def step_wait(self) -> Any:
        """Turn the sign of what is seen."""
        seen, *rest = self.venv.step_wait()
        return (-np.asarray(seen), *rest)


@pytest.mark.parametrize("is_normalized", [False, True])
def test_observations_that_the_program_changes_are_the_programs(
    tmp_path: Path,
    is_normalized: bool,  # noqa: FBT001
) -> None:
    """Nobody here knows how, so the policy is refused, until the program says that it does."""
    env: Any = Flips(DummyVecEnv([lambda: Still(POINT, PUSH)]))
    env = VecNormalize(env) if is_normalized else env
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=8, device="cpu")
    model.env.reset()  # type: ignore[union-attr]
    path, observations = kept(tmp_path, model), shown(POINT, 5)

    with pytest.raises(StateError, match="Flips"):
        load_policy(path)

    found = load_policy(path, module=model.policy)
    np.testing.assert_array_equal(found.predict(-observations), played(model, -observations))


def test_observations_that_are_changed_behind_the_statistics_are_refused(tmp_path: Path) -> None:
    """Not even the program can give them: they lie between the statistics and the policy."""
    env = Flips(VecNormalize(DummyVecEnv([lambda: Still(POINT, PUSH)])))
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=8, device="cpu")

    with pytest.raises(StateError, match="Flips"):
        load_policy(kept(tmp_path, model), module=model.policy)


@pytest.mark.parametrize("wrapper", [VecMonitor, VecCheckNan])
def test_wrappers_that_only_watch_are_no_obstacle(tmp_path: Path, wrapper: Any) -> None:
    """They are SB3's, and leave observations as they are."""
    env = wrapper(VecNormalize(wrapper(DummyVecEnv([lambda: Still(POINT, PUSH)]))))
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=8, device="cpu")
    observations = shown(POINT, 5)

    found = load_policy(kept(tmp_path, model))
    np.testing.assert_array_equal(found.predict(observations), played(model, observations))

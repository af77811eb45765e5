"""Where nothing dies, `ResilientVecEnv` is `SubprocVecEnv`, bit for bit."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv, VecNormalize

from evertrain import Run
from evertrain.integrations.sb3 import ResilientVecEnv
from integrations.frail import LIMITS, Frail
from integrations.worlds import StatelessWorld, World, build, train

pytestmark = pytest.mark.slow

SPACES: dict[str, spaces.Space[Any]] = {
    "Box": spaces.Box(-9, 9, (3,), np.float32),
    "image": spaces.Box(0, 255, (3, 400, 400), np.uint8),  # more than a pipe holds
    "Discrete": spaces.Discrete(7),
    "MultiDiscrete": spaces.MultiDiscrete([3, 4]),
    "MultiBinary": spaces.MultiBinary(5),
    "Dict": spaces.Dict({"a": spaces.Box(0, 1, (2,)), "b": spaces.Discrete(3)}),
    "Tuple": spaces.Tuple((spaces.Box(0, 1, (2, 2)), spaces.MultiBinary(2))),
}


def same(one: Any, two: Any) -> bool:
    """Say whether two results are the same: types, dtypes and every bit."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())
    return bool(one == two)


def play(venv: VecEnv) -> list[Any]:
    """Use the whole interface, and return all that comes back."""
    venv.seed(11)
    venv.set_options([{"way": "nothing"}, {}, {}])
    found: list[Any] = [venv.observation_space, venv.action_space, venv.num_envs]
    found += [venv.render_mode, venv.metadata, venv.reset(), venv.reset_infos]
    for _ in range(7):
        found += [venv.step(np.zeros(3, np.int64)), venv.reset_infos]
    found += [venv.get_attr("index"), venv.get_attr("length", [2, 0]), venv.has_attr("nonsense")]
    venv.set_attr("level", 4, indices=[1])
    found += [venv.get_attr("level"), venv.env_method("die", "nothing", indices=1)]
    found += [venv.env_is_wrapped(Monitor), venv.get_images(), venv.render()]
    venv.step_async(np.zeros(3, np.int64))
    found += [venv.step_wait(), venv.reset()]
    return found


@pytest.mark.parametrize("name", SPACES)
def test_every_answer_is_the_same(name: str) -> None:
    """Observations, rewards, infos, episodes that end either way, and every other method."""

    def factories() -> list[Callable[[], gymnasium.Env[Any, Any]]]:
        return [
            lambda: Frail(0, length=3, space=SPACES[name]),
            lambda: Monitor(Frail(1, length=2, space=SPACES[name])),
            lambda: Frail(2, space=SPACES[name]),
        ]

    with closing(SubprocVecEnv(factories(), "fork")) as venv:
        expected = play(venv)
    with closing(ResilientVecEnv(factories(), "fork", limits=LIMITS)) as mine:
        found = play(mine)

    for one, two in zip(found, expected, strict=True):
        _without_times(one)
        _without_times(two)
        assert same(one, two), (one, two)


def _without_times(found: Any) -> None:
    """Take the wall-clock time out of what `Monitor` tells."""
    if isinstance(found, tuple) and len(found) == 4:
        for info in found[3]:
            info.get("episode", {}).pop("t", None)


def test_the_generators_of_a_worker_are_those_of_stable_baselines() -> None:
    """A forked worker begins with the trainer's state, and nothing in between draws from it."""
    found = []
    for kind in (SubprocVecEnv, ResilientVecEnv):
        np.random.seed(5)  # noqa: NPY002
        with closing(kind([World, World], "fork")) as venv:
            venv.seed(1)
            venv.reset()
            found.append(venv.step(np.zeros((2, 1)))[0])

    assert same(*found)


def test_what_cannot_travel_does_not_stop_an_environment() -> None:
    """An info that cannot be pickled, or only one way, comes as its text."""

    class Odd(Frail):
        def step(self, action: Any) -> Any:
            *rest, info = super().step(action)
            return *rest, info | {"lambda": lambda: 1, "error": Odd1(1, 2), "nested": [object]}

    class Odd1(Exception):  # noqa: N818
        def __init__(self, one: int, two: int) -> None:
            super().__init__(one)
            self.two = two

    with closing(ResilientVecEnv([Odd], "fork", limits=LIMITS)) as venv:
        venv.reset()
        info = venv.step(np.zeros(1, np.int64))[3][0]

    assert info["steps"] == 1
    assert info["lambda"]() == 1  # by value
    assert info["error"] == "Odd1(1)"
    assert info["nested"] == [object]


def test_make_vec_env_takes_it() -> None:
    """A drop-in: the class is all that a program changes."""
    kind: Any = ResilientVecEnv  # their annotation knows only their two
    venv: Any = make_vec_env(
        Frail, 2, seed=3, vec_env_cls=kind, vec_env_kwargs={"start_method": "fork"}
    )
    with closing(venv):
        assert venv.reset().shape == (2, 3)
        assert venv.env_is_wrapped(Monitor) == [True, True]


@pytest.mark.parametrize("world", [World, StatelessWorld])
def test_a_training_with_it_is_the_same(world: Any, tmp_path: Path) -> None:
    """The whole state of the model in the end, and that of the environments."""

    def make(kind: Any) -> Any:
        def program() -> Any:
            model = build(world)
            inner = kind([_limited(world)] * 2, "fork")
            model.set_env(VecNormalize(inner))
            return model

        return program

    train(tmp_path / "theirs", make(SubprocVecEnv), barrier_rollouts=2)
    train(tmp_path / "mine", make(ResilientVecEnv), barrier_rollouts=2)

    assert _weights(tmp_path / "mine", world) == _weights(tmp_path / "theirs", world)


def _limited(world: Any) -> Callable[[], Any]:
    return lambda: Monitor(gymnasium.wrappers.TimeLimit(world(), 23))


def _weights(path: Path, world: Any) -> dict[str, bytes]:
    """Return the weights of the last checkpoint."""
    model = build(world)
    with Run(path, total=1, resume="auto") as run:
        run.attach(model=model)
        run.restore()
    return {name: each.numpy().tobytes() for name, each in model.policy.state_dict().items()}

"""Environments: what their wrappers, workers and generators hold comes back."""

import copy
import enum
import os
import random
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3 import A2C
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecFrameStack

from evertrain import Run, every
from evertrain.checkpoint.tree import flatten, unflatten
from evertrain.core.errors import StateError
from evertrain.integrations.envs.attributes import put, take
from evertrain.integrations.sb3 import learn, vector, vector_env
from evertrain.integrations.sb3.asking import knows_state
from integrations.worlds import ROLLOUT, StatelessWorld, World, build, digest, train
from support import resumed_from


def stored(tree: Any) -> Any:
    """Take a tree through the checkpoint's own form."""
    flat = copy.deepcopy(flatten(tree))
    return unflatten(flat.skeleton, flat.arrays)


class Pictures(World):
    """A world that is looked at."""

    def __init__(self) -> None:
        """See pictures."""
        super().__init__()
        self.observation_space = gymnasium.spaces.Box(
            0,
            255,
            (36, 36, 1),
            np.uint8,
        )

    def reset(self, **options: Any) -> Any:
        """Return a picture."""
        return self._picture(), super().reset(**options)[1]

    def step(self, action: Any) -> Any:
        """Return a picture."""
        return self._picture(), *super().step(action)[1:]

    def _picture(self) -> Any:
        return np.zeros((36, 36, 1), np.uint8)


class Color(enum.Enum):
    """Something that is no number."""

    RED = 1
    BLUE = 2


class Statistics:
    """A part with attributes of its own."""

    def __init__(self, mean: float) -> None:
        """Remember a number and an array."""
        self.mean = mean
        self.var = np.full(2, mean)


class Wrapper:
    """An object with all kinds of attributes."""

    def __init__(self, seed: int) -> None:
        """Fill everything from `seed`."""
        self.count = seed
        self.scale = np.float32(seed)
        self.long = [float(seed)] * 100
        self.names = {"a": seed, 3: (seed, [seed])}
        self.window = deque([seed], maxlen=3)
        self.color = Color.RED if seed else Color.BLUE
        self.statistics = Statistics(seed)
        self.generator = np.random.default_rng(seed)
        self.legacy = np.random.RandomState(seed)
        self.python = random.Random(seed)
        self.space = gymnasium.spaces.Dict({"x": gymnasium.spaces.Discrete(50, seed=seed)})
        self.env = World()
        self.rule = max
        self.start_time = float(seed)


def draw(thing: Wrapper) -> list[Any]:
    """Draw from every generator of `thing`."""
    draws = [thing.generator.random(), thing.legacy.rand(), thing.python.random()]
    return [*draws, thing.space["x"].sample()]


def test_attributes_come_back_into_the_program_s_own_object() -> None:
    """Numbers, containers, parts and generators; environments and code do not."""
    old, new = Wrapper(5), Wrapper(0)
    draw(old)
    env, statistics, generator = new.env, new.statistics, new.generator
    tree = stored(take(old))
    expected = draw(old)

    put(new, tree)

    assert not {"env", "rule"} & tree.keys()
    assert new.start_time == old.start_time  # its own, whatever it is called
    assert (new.env, new.statistics, new.generator) == (env, statistics, generator)
    assert (new.count, float(new.scale), new.long) == (5, 5.0, [5.0] * 100)
    assert new.names == old.names
    assert (new.window, new.window.maxlen, new.color) == (deque([5]), 3, Color.RED)
    assert (new.statistics.mean, new.statistics.var.tolist()) == (5, [5.0, 5.0])
    assert draw(new) == expected


def test_a_generator_that_the_program_does_not_have_yet_is_handed_out() -> None:
    """Gymnasium creates its generators at the first use."""
    old, new = World(), World()
    old.reset(seed=3)
    assert vars(new).get("_np_random") is None

    put(new, stored(take(old, ("_np_random",))))

    assert new.np_random.random() == old.np_random.random()


def test_wrappers_of_the_vector_come_back() -> None:
    """Frame stacks and monitors are state; the seeds of a pending reset too."""

    def make() -> VecEnv:
        return VecFrameStack(DummyVecEnv([lambda: Monitor(World())]), 3)

    old, new = make(), make()
    old.seed(4)
    old.reset()
    for _ in range(3):
        old.step(np.zeros((1, 1)))
    tree = stored(vector.capture(old))
    new.seed(9)

    assert vector.mismatches(new, tree) == []
    assert vector.restore(new, tree)

    assert new.get_attr("rewards") == old.get_attr("rewards")
    state = np.random.get_state()  # noqa: NPY002
    expected: Any = old.step(np.ones((1, 1)))[0]
    np.random.set_state(state)  # noqa: NPY002
    assert np.array_equal(np.asarray(new.step(np.ones((1, 1)))[0]), expected)
    assert new.unwrapped._seeds == [None]


def test_other_wrappers_are_refused() -> None:
    """A checkpoint with frame stacks does not fit a program without."""
    plain: VecEnv = DummyVecEnv([World])
    stacked = VecFrameStack(DummyVecEnv([World]), 2)

    [found] = vector.mismatches(plain, stored(vector.capture(stacked)))

    assert (found.path, found.problem) == ("wrappers", "['VecFrameStack'] there, none here")


def test_an_environment_that_fails_to_tell_is_named() -> None:
    """In a worker the error would be lost; here it says which environment, and why."""

    class Broken(World):
        def get_state(self) -> dict[str, Any]:
            raise KeyError("lost")

    venv = DummyVecEnv([World, Broken])

    with pytest.raises(StateError, match=r"environment 1 .* KeyError: 'lost'"):
        vector.capture(venv)


def test_an_emergency_checkpoint_without_environments_resets_them(tmp_path: Path) -> None:
    """While workers owe an answer their state cannot be asked for, and is not invented."""
    program, fresh = build(), build()
    with Run(tmp_path / "run", total=ROLLOUT) as run:
        learn(run, program, log_interval=None)
    program.env.unwrapped.waiting = True
    tree = stored(vector.capture(program.env))

    assert tree["worlds"] is None
    assert not vector.restore(fresh.env, tree)


@pytest.mark.slow
def test_workers_leave_interrupts_to_the_trainer() -> None:
    """Ctrl+C reaches the whole group; the rollout still finishes, in workers of both kinds."""
    plain = SubprocVecEnv([World], start_method="fork")
    assert knows_state(plain)
    quiet = vector_env([StatelessWorld])
    assert isinstance(quiet, SubprocVecEnv)

    for venv in (plain, quiet):
        venv.reset()
        for process in venv.processes:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGINT)
        venv.step(np.zeros((1, 1)))
        venv.close()


@pytest.mark.slow
def test_a_worker_that_is_gone_is_named() -> None:
    """Its state went with it, and the message says so."""
    venv = SubprocVecEnv([World, World], start_method="fork")
    assert knows_state(venv)
    venv.processes[1].kill()
    venv.processes[1].join()

    with pytest.raises(StateError, match="worker process of the environments is gone"):
        vector.capture(venv)
    venv.processes[0].kill()


def test_in_one_process_no_worker_is_needed() -> None:
    """`vector_env` builds either kind."""
    assert isinstance(vector_env([World], processes=False), DummyVecEnv)


@pytest.mark.slow
def test_a_process_killed_in_the_middle_of_a_rollout_goes_on_exactly(tmp_path: Path) -> None:
    """SIGKILL leaves nothing to chance: another process ends where one alone would have."""
    program = f"""
import os, signal
from integrations.worlds import CrashAt, build, train
CrashAt._on_step = lambda self: self.num_timesteps < {3 * ROLLOUT + 20} or os.kill(os.getpid(), 9)
train({str(tmp_path / "cut")!r}, build)
"""
    paths = os.pathsep.join(sys.path)
    killed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": paths},
        check=False,
        capture_output=True,
        timeout=100,
    )

    train(tmp_path / "cut", build)
    train(tmp_path / "whole", build)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert resumed_from(tmp_path / "cut") > 0
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")


def test_a_program_may_restore_before_it_learns(tmp_path: Path) -> None:
    """SB3's set-up must not reset what came back."""
    train(tmp_path / "whole", build)
    train(tmp_path / "cut", build, total_timesteps=3 * ROLLOUT)
    with Run(tmp_path / "cut", total=6 * ROLLOUT, seed=7, save=every(steps=1)) as run:
        program = build()
        run.attach(model=program)
        run.restore()
        assert program.num_timesteps == 3 * ROLLOUT
        learn(run, program, log_interval=None)

    weights, expected = (
        program.policy.state_dict(),
        train(tmp_path / "whole", build).policy.state_dict(),
    )
    assert all(weights[name].equal(expected[name]) for name in expected)


def test_two_trainings_with_pictures_are_alike(tmp_path: Path) -> None:
    """The network for pictures draws one of its space, whose generator nobody has seeded."""

    def make() -> A2C:
        return A2C("CnnPolicy", DummyVecEnv([Pictures]), n_steps=4, seed=3, device="cpu")

    for name in ("one", "other"):
        train(tmp_path / name, make, total=4)

    assert digest(tmp_path / "one") == digest(tmp_path / "other")

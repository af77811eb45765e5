"""Environments in a loop of one's own: attached, they go on in the middle of an episode."""

import gc
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from evertrain import Run, every
from evertrain.checkpoint.plugin import Adapter
from evertrain.core.errors import StateError, UsageError
from evertrain.integrations.envs import replay, trial
from evertrain.integrations.envs.adapter import keep_by
from evertrain.integrations.envs.identity import ByIdentity
from evertrain.integrations.envs.play import Player
from evertrain.integrations.gymnasium import PLUGIN
from evertrain.testing import AdapterContract
from integrations import liars
from integrations.worlds import digest

Make = Callable[[], Any]


def cart() -> Any:
    """Return CartPole as `make` wraps it."""
    return gymnasium.make("CartPole-v1")


def carts() -> Any:
    """Return three of them side by side, which begin their episodes themselves."""
    venv = gymnasium.make_vec("CartPole-v1", num_envs=3, vectorization_mode="sync")
    for each in (venv, *venv.envs):  # type: ignore[attr-defined]
        each.action_space.seed(1)
        each.observation_space.seed(1)
    return venv


def tag() -> Any:
    """Return PettingZoo's game of tag: everybody moves at once."""
    return pytest.importorskip("mpe2.simple_tag_v3").parallel_env(max_cycles=25)


def turns() -> Any:
    """Return the same, one after the other."""
    return pytest.importorskip("mpe2.simple_tag_v3").env(max_cycles=25)


def walk() -> Any:
    """Return an environment that only its own steps can bring back."""
    return liars.ClosureOfAnEpisode()


def train(path: Path, make: Make, *, crash_at: int | None = None, total: int = 24) -> list[str]:
    """Play eight turns a step, as users write it. Return what was seen in this attempt."""
    seen: list[str] = []
    with Run(path, total=total, seed=3, save=every(steps=1)) as run:
        env = make()
        run.attach(env=env)
        run.state.is_begun = False
        for step in run:
            if not run.state.is_begun:
                env.reset(seed=5)
                run.state.is_begun = True
            seen += Player(env, step).play(8)
            if step == crash_at:
                raise KeyboardInterrupt
            run.log(last=int(seen[-1][:6], 16))
    return seen


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    """Leave the deprecations of pygame, which PettingZoo's environments import, to them."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


@pytest.mark.parametrize("make", [cart, carts, tag, turns, walk])
def test_a_killed_loop_goes_on_exactly(make: Make, tmp_path: Path) -> None:
    """Whatever the library: what is seen, the metrics and the last state are the same."""
    whole = train(tmp_path / "whole", make)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", make, crash_at=13)
    rest = train(tmp_path / "cut", make)

    assert rest == whole[-len(rest) :]
    assert len(rest) == 8 * 12
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")


def test_a_copy_by_pickle_lies() -> None:
    """What the guide's library calls a copy is a new game: the reason for all this."""
    env = tag()
    env.reset(seed=1)
    Player(env, 1).play(5)
    state, copied = env.state(), pickle.loads(pickle.dumps(env))
    copied.reset(seed=2)

    assert not np.array_equal(copied.state(), state)


def test_one_that_cannot_be_kept_is_refused_when_it_is_attached(tmp_path: Path) -> None:
    """There is no schedule on which somebody could reset it."""
    with (
        pytest.raises(StateError, match=r"not by attributes: \.counter is a itertools\.cycle"),
        Run(tmp_path, total=3) as run,
    ):
        run.attach(env=liars.Iterator())


def test_one_that_has_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resume is exact, or it refuses."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, liars.Plain, crash_at=5)
    monkeypatch.setattr(liars.Plain, "hidden", lambda _: 1.0)

    with pytest.raises(StateError, match=r"liars\.Plain is not what it was: restored,"):
        train(tmp_path, liars.Plain)


def test_another_environment_is_refused(tmp_path: Path) -> None:
    """By name."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, liars.Plain, crash_at=5)

    with pytest.raises(
        StateError, match=r"env: integrations\.liars\.Plain there, integrations\.liars\.S"
    ):
        train(tmp_path, liars.Sound)


def test_an_episode_that_is_too_long_is_refused_by_the_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where it has to be played again."""
    monkeypatch.setattr(replay, "MAX_STEPS", 5)
    with (
        pytest.raises(StateError, match="or more than 5"),
        Run(tmp_path, total=3, save=every(steps=1)) as run,
    ):
        env = liars.Plain()
        keep_by(env, "replay")
        run.attach(env=env)
        for _ in run:
            env.reset(seed=1)
            for _ in range(7):
                env.step(0)


def test_what_is_asked_for_must_pass_when_it_is_attached(tmp_path: Path) -> None:
    """Nobody gets another way who asked for one."""
    env = liars.Plain()
    keep_by(env, "state")

    with (
        pytest.raises(StateError, match="not by state: it has no get_state and set_state"),
        Run(tmp_path, total=3) as run,
    ):
        run.attach(env=env)


@pytest.mark.parametrize("wanted", ["by attributes", "barrier", None])
def test_a_way_that_nobody_knows_is_refused_at_once(wanted: Any) -> None:
    """Whatever the environment is; a loop of one's own knows no barriers."""
    with pytest.raises(UsageError, match=r"(?s)wanted=.*one of: auto, state, attributes, replay\."):
        keep_by(liars.Plain(), wanted)


@dataclass
class Fields(liars.Plain):
    """A dataclass: it is compared by its values, and has no hash."""

    level: int = 1

    def __post_init__(self) -> None:
        super().__init__()

    def hidden(self) -> float:
        return float(self.level)


@pytest.mark.parametrize("way", ["attributes", "replay"])
def test_environments_that_are_equal_are_two(way: str, tmp_path: Path) -> None:
    """Each is kept for itself; none of them needs a hash."""

    def program(crash_at: int | None) -> list[str]:
        seen: list[str] = []
        with Run(tmp_path, total=6, seed=3, save=every(steps=1)) as run:
            envs = [Fields(), Fields()]
            for number, env in enumerate(envs):
                keep_by(env, way)
                run.attach(**{f"env{number}": env})
            run.restore()
            for step in run:
                for number, env in enumerate(envs):
                    if step == 1:
                        env.reset(seed=number)
                    seen += Player(env, step).play(8)
                if step == crash_at:
                    raise KeyboardInterrupt
        return seen

    with pytest.raises(KeyboardInterrupt):
        program(3)
    resumed = program(None)
    shutil.rmtree(tmp_path)
    assert program(None)[-len(resumed) :] == resumed


def test_what_is_known_of_a_thing_ends_with_it() -> None:
    """So that another one in its place is not taken for it."""
    known: ByIdentity[int] = ByIdentity()
    env = Fields()
    known[env] = 5
    assert (known.get(env), Fields() in known) == (5, False)
    del env
    gc.collect()
    assert not known._known


def test_a_resumed_run_does_not_choose_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a trial would say today, on a machine that is too busy for it."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, walk, crash_at=5)

    def choose(*_: Any, **__: Any) -> trial.Choice:
        return trial.Choice("barrier", None, 0, (("replay", "it took longer than 30 s"),))

    monkeypatch.setattr(trial, "choose", choose)

    assert len(train(tmp_path, walk)) == 8 * 20


def test_a_script_goes_on_where_it_is_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its classes and functions are those of `__main__`, or of another module."""

    class Mine(liars.Plain):
        rule: Any = None

        def __init__(self) -> None:
            super().__init__()
            self.rule, self.kind = walk, liars.Plain

    with monkeypatch.context() as script, pytest.raises(KeyboardInterrupt):
        for each in (Mine, walk, liars.Plain):
            script.setattr(each, "__module__", "__main__")
        train(tmp_path, Mine, crash_at=5)

    assert len(train(tmp_path, Mine)) == 8 * 20


def test_the_banner_says_how(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kind and method, in a line."""
    train(tmp_path, liars.Plain, total=1)

    assert "env: integrations.liars.Plain, its state kept by attributes" in capsys.readouterr().out


class TestEnvAdapter(AdapterContract):
    """The adapter passes the suite for strangers'."""

    @pytest.fixture
    def adapter(self) -> Adapter:
        return PLUGIN.adapters[0]

    @pytest.fixture
    def make(self) -> Make:
        return liars.Plain

    @pytest.fixture
    def train(self) -> Callable[[Any], object]:
        def play(env: Any) -> object:
            if env.length <= 0:
                env.reset(seed=4)
            return Player(env, int(abs(env.place[0] * 1e6))).play(7)

        return play

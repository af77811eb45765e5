"""A method is believed when a copy of the environment has gone on alike, and only then."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.monitor import Monitor

from evertrain.checkpoint.tree import flatten, unflatten
from evertrain.core import proc
from evertrain.integrations.envs import forked, graph, method, replay, trial
from evertrain.integrations.envs.generators import mark_globals, seed_globals
from evertrain.integrations.envs.play import Player
from integrations import liars

IDS = ["CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCarContinuous-v0", "FrozenLake-v1"]


def stored(tree: Any) -> Any:
    """Take a tree through the checkpoint's own form."""
    flat = flatten(tree)
    return unflatten(flat.skeleton, flat.arrays)


def goes_on(make: Any, way: str) -> tuple[list[str], list[str]]:
    """Return what an environment does, and what another one does in its place."""
    old, new = make(), make()
    if way == "replay":
        replay.record(old)
    old.reset(seed=7)
    Player(old, 1).play(33)
    state = stored(method.capture(old, way, with_globals=True))
    state = unpickled(state)
    expected = Player(old, 2).play(70)
    assert method.restore(new, way, state) == []
    return Player(new, 2).play(70), expected


def unpickled(tree: Any) -> Any:
    """Return a tree that shares nothing with the environment, as that of a file."""
    import pickle

    return pickle.loads(pickle.dumps(tree))


@pytest.mark.parametrize("name", IDS)
def test_gymnasium_s_own_are_kept_by_their_attributes(name: str) -> None:
    """Whatever `make` wraps around them; another one goes on as they do."""
    choice = trial.choose(gymnasium.make(name), "auto", is_alone=False)

    assert choice.method == "attributes"
    assert choice.episodes >= 1
    found, expected = goes_on(lambda: Monitor(gymnasium.make(name)), "attributes")
    assert found == expected


@pytest.mark.parametrize("name", IDS)
def test_they_can_be_played_again_as_well(name: str) -> None:
    """Generators, reset and actions lead to the same place."""
    assert trial.choose(gymnasium.make(name), "replay", is_alone=False).method == "replay"
    found, expected = goes_on(lambda: Monitor(gymnasium.make(name)), "replay")
    assert found == expected


@pytest.mark.parametrize(
    ("make", "expected", "reason"),
    [
        (liars.Plain, "attributes", ""),
        (liars.Sound, "state", ""),
        (liars.Forgetful, "attributes", "state: restored, it goes on differently at step"),
        (liars.Closure, "barrier", "attributes: restored, it goes on differently at step 1 of"),
        (liars.ClosureOfAnEpisode, "replay", "attributes: restored, it goes on differently"),
        (liars.Module, "barrier", "replay: after "),
        (liars.OfTheClass, "barrier", "attributes: restored, it goes on differently"),
        (liars.Iterator, "barrier", "attributes: .counter is a itertools.cycle, which cannot be"),
        (liars.Growing, "replay", "attributes: .others[0] was Other, and a"),
        (liars.Clock, "barrier", "replay: "),
        (liars.Drawing, "barrier", "replay: its steps draw from the global generators"),
        (liars.Deadly, "barrier", "attributes: it died (exit code 3)"),
    ],
)
def test_a_method_that_does_not_see_everything_is_not_used(
    make: Any, expected: str, reason: str
) -> None:
    """The first one that does is; the reasons name what was hidden, or how it showed."""
    choice = trial.choose(make(), "auto", is_alone=False)

    assert choice.method == expected
    assert not reason or any(f"{way}: {why}".startswith(reason) for way, why in choice.reasons), (
        choice.reasons
    )


def test_in_a_process_of_its_own_it_may_draw_from_the_global_generators() -> None:
    """There nobody else does, so that the steps can be played again."""
    assert trial.choose(liars.Drawing(), "auto", is_alone=True).method == "replay"


def test_a_copy_that_hangs_is_ended() -> None:
    """The training waits no longer than it must."""
    choice = trial.choose(liars.Hanging(), "attributes", is_alone=True, timeout_s=0.3)

    assert choice.reasons == (("attributes", "it took longer than 1 s by the clock"),)


def test_a_copy_that_waits_for_what_stayed_behind_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It sleeps without a moment of a processor, which a busy machine does to nobody."""
    monkeypatch.setattr(forked, "_SLEEP_S", 0.5)

    with pytest.raises(forked.TrialError, match="waits for what a copy does not have") as raised:
        forked.try_out(threading.Event().wait, timeout_s=10.0)

    assert raised.value.is_cut


def test_a_copy_that_works_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much it sleeps in between."""
    monkeypatch.setattr(forked, "_SLEEP_S", 1.5)
    monkeypatch.setattr(forked, "_LOOK_S", 0.5)

    def work() -> str:
        for _ in range(30):
            time.sleep(0.1)
        return "done"

    assert forked.try_out(work) == "done"


def test_a_trial_disturbs_nothing() -> None:
    """Not the environment, no generator, no variable of a module."""
    env = gymnasium.make("CartPole-v1")
    env.reset(seed=3)
    liars.COUNTS.clear()
    before = mark_globals(), graph.take(env).nodes
    marks = repr(unpickled({path: repr(node) for path, node in before[1].items()}))

    trial.choose(env, "auto", is_alone=False)
    trial.choose(liars.Module(), "auto", is_alone=False)

    assert mark_globals() == before[0]
    assert repr({path: repr(node) for path, node in graph.take(env).nodes.items()}) == marks
    assert liars.COUNTS == []


def test_a_simulator_in_another_process_hears_nothing_of_it() -> None:
    """The copy's connections lead nowhere, and so the trial fails."""
    to_simulator, at_simulator = os.pipe(), os.pipe()
    env = liars.Remote(to_simulator[1], at_simulator[0])

    choice = trial.choose(env, "auto", is_alone=True)

    assert choice.method == "barrier"
    os.set_blocking(to_simulator[0], False)
    with pytest.raises(BlockingIOError):
        os.read(to_simulator[0], 1)
    os.write(at_simulator[1], b"x")
    os.write(to_simulator[1], b"y")  # the training's own connection is as it was
    assert os.read(to_simulator[0], 9) == b"y"


class Managed(liars.Remote):
    """It saves itself over its connection, and kills its simulator when that fails."""

    def get_state(self) -> Any:
        return self.hidden()

    def set_state(self, state: Any) -> None:
        """Begin there."""

    def step(self, action: int) -> Any:
        try:
            return super().step(action)
        except (OSError, IndexError):
            os.kill(os.getppid(), 9)
            raise


def test_its_own_methods_count_where_no_trial_is_possible() -> None:
    """And what a copy does to mend its simulator reaches no process."""
    to_simulator, at_simulator = os.pipe(), os.pipe()

    choice = trial.choose(Managed(to_simulator[1], at_simulator[0]), "auto", is_alone=True)

    assert (choice.method, choice.proof) == ("state", None)
    assert choice.doubt == "a copy may signal no process"


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda: subprocess.run(["true"], check=True), "a copy may start no process"),
        (os.fork, "a copy may start no process"),
        (lambda: os.pidfd_open(os.getppid()), ".* has no attribute 'pidfd_open'"),
        (lambda: Path("here").write_text("x"), "a copy may write no file"),
        (lambda: Path(__file__).unlink(), "a copy may write no file"),
        (lambda: socket.create_connection(("127.0.0.1", 9)), "a copy may connect to nothing"),
    ],
    ids=["start", "fork", "pidfd", "write", "remove", "connect"],
)
def test_a_copy_reaches_nothing_outside(act: Any, told: str) -> None:
    """It starts, signals, connects and writes nothing; the reason is plain, and no error's."""
    with pytest.raises(forked.TrialError, match=f"^{told}"):
        forked.try_out(act)


def test_files_are_neither_written_nor_read_ahead(tmp_path: Path) -> None:
    """Their positions are the training's."""
    (tmp_path / "source").write_bytes(bytes(1000))
    (tmp_path / "sink").write_bytes(b"")
    source = os.open(tmp_path / "source", os.O_RDONLY)
    sink = os.open(tmp_path / "sink", os.O_WRONLY)
    os.lseek(source, 100, os.SEEK_SET)

    trial.choose(liars.Writing(source, sink), "auto", is_alone=True)

    assert os.lseek(source, 0, os.SEEK_CUR) == 100
    assert (tmp_path / "sink").read_bytes() == b""


def test_an_error_of_the_copy_is_its_reason() -> None:
    """In one line, without a traceback of the training's."""

    def fail() -> None:
        raise ValueError("first line\nsecond")

    with pytest.raises(forked.TrialError, match=r"^ValueError: first line$"):
        forked.try_out(fail)


def test_a_long_answer_is_read_whole() -> None:
    """Longer than a pipe holds."""
    assert len(forked.try_out(lambda: b"x" * 1_000_000)) == 1_000_000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_of_the_whole_group_changes_no_choice(number: signal.Signals) -> None:
    """The trainer saves and stops, and the choice that it saves is the one it would have made."""

    def be_stopped() -> str:
        signal.raise_signal(number)
        return "still here"

    assert forked.try_out(be_stopped) == "still here"


def test_nothing_is_left_of_the_copies() -> None:
    """No process, no descriptor."""
    before, children = os.listdir("/proc/self/fd"), proc.descendants(os.getpid())

    trial.choose(liars.Deadly(), "attributes", is_alone=True)

    assert os.listdir("/proc/self/fd") == before
    assert set(proc.descendants(os.getpid())) <= set(children)


@pytest.mark.parametrize("way", ["state", "attributes", "replay"])
def test_another_process_confirms_the_proof(way: str, tmp_path: Path) -> None:
    """With the same code it goes on alike; with other code it does not, and the step is told."""
    proof = trial.choose(liars.Sound(), way, is_alone=True).proof
    (tmp_path / "proof").write_bytes(__import__("pickle").dumps(proof))
    program = f"""
import pickle, sys
from evertrain.integrations.envs import trial
from integrations import liars
proof = pickle.load(open({str(tmp_path / "proof")!r}, "rb"))
print(trial.confirm(liars.Sound(), {way!r}, proof))
liars.Sound.hidden = lambda self: float(self.length == 3)
print(trial.confirm(liars.Sound(), {way!r}, proof))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    same, other = done.stdout.splitlines()
    assert same == "None"
    assert "goes on differently at step" in other or "shows something else" in other


def test_an_unknown_episode_is_not_complete() -> None:
    """Recorded since the middle of an episode, or for too long: until the next reset."""
    env = liars.Plain()
    env.reset(seed=1)
    replay.record(env)
    env.step(0)
    assert replay.capture(env) is None
    env.reset()
    assert replay.capture(env) is not None


def test_an_episode_that_is_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would want to play it again, nor keep its actions."""
    monkeypatch.setattr(replay, "MAX_STEPS", 5)
    env = liars.Plain()
    replay.record(env)
    env.reset(seed=1)
    for _ in range(6):
        env.step(0)

    assert replay.capture(env) is None
    assert len(replay.record(env).actions) == 5


def test_what_is_played_again_differently_is_told() -> None:
    """The last observation of the episode is compared."""
    env, other = liars.Plain(), liars.Plain()
    replay.record(env)
    env.reset(seed=1)
    env.step(0)
    tree = stored(method.capture(env, "replay", with_globals=False))
    setattr(other, "hidden", partial(float, 1))  # noqa: B010

    [problem] = method.restore(other, "replay", tree)

    assert problem == "after 1 steps that were played again it shows something else"


def test_other_wrappers_are_told() -> None:
    """Before anything is put back."""
    tree = stored(method.capture(Monitor(liars.Plain()), "attributes", with_globals=False))

    [problem] = method.restore(liars.Plain(), "attributes", tree)

    assert problem == "it was Monitor of Plain and is Plain"


def test_a_method_that_is_asked_for_and_fails_is_a_barrier() -> None:
    """The caller says what to do about it."""
    choice = trial.choose(liars.Plain(), "state", is_alone=True)

    assert (choice.method, choice.reasons) == (
        "barrier",
        (("state", "it has no get_state and set_state"),),
    )


def test_global_generators_of_a_worker_come_back() -> None:
    """Python's, numpy's and torch's."""
    seed_globals(3)
    tree = stored(method.capture(liars.Plain(), "attributes", with_globals=True))
    expected = random.random(), np.random.rand()  # noqa: NPY002

    method.restore(liars.Plain(), "attributes", tree)

    assert (random.random(), np.random.rand()) == expected  # noqa: NPY002

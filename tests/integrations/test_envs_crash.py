"""Environments that die: each one alone, in every way, and without a trace."""

import faulthandler
import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    SubprocVecEnv,
    VecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from evertrain.core import proc
from evertrain.core.errors import EnvError, UsageError
from evertrain.core.journal import Journal
from evertrain.integrations.sb3 import EnvRestart, ResilientVecEnv, RestartBudget
from evertrain.integrations.sb3.resilient.reins import Reins
from evertrain.testing import FakeClock
from integrations.frail import (
    LIMITS,
    NAMES,
    QUICK,
    Frail,
    Unpicklable,
    build,
    is_running,
    only,
)
from support import Tally

pytestmark = pytest.mark.slow

DEATHS = {
    # way: cause, exit code, signal, part of the summary
    "SIGKILL": ("signal", None, "SIGKILL", "killed by SIGKILL"),
    "SIGSEGV": ("signal", None, "SIGSEGV", "killed by SIGSEGV"),
    "os._exit": ("exit", 7, None, "ended with exit code 7"),
    "sys.exit": ("exit", 1, None, "sys.exit(5)"),
    "exception": ("exception", 1, None, "ValueError: the physics exploded"),
    "odd exception": ("exception", 1, None, "Unpicklable: 1 and 2"),
    "Ctrl+C": ("exception", 1, None, "KeyboardInterrupt"),
    "EOFError": ("exception", 1, None, "EOFError"),
    "hang": ("hang", None, None, "no answer for 0.5 s"),
    "SIGSTOP": ("hang", None, None, "it was stopped"),
}


@pytest.mark.parametrize("way", DEATHS)
def test_one_dies_and_the_others_go_on(way: str, tally: Tally) -> None:
    """Its episode is truncated where it was; what happened is told; a new one goes on."""
    cause, code, name, summary = DEATHS[way]
    heard: list[EnvRestart] = []
    limits = QUICK if cause == "hang" else LIMITS
    with closing(build(limits=limits, on_restart=heard.append)) as venv:
        venv.seed(3)
        venv.reset()
        before = venv.step(only(1, "nothing"))[0]
        after, rewards, dones, infos = venv.step(only(1, way))
        later, more, *_ = venv.step(only(1, "nothing"))

    assert dones.tolist() == [False, True, False]
    assert rewards.tolist() == [2.0, 0.0, 2.0]
    assert rewards.dtype == np.float32
    assert infos[1]["TimeLimit.truncated"] is True
    assert np.array_equal(infos[1]["terminal_observation"], before[1])
    assert not np.array_equal(after[1], before[1])
    assert more.tolist() == [3.0, 1.0, 3.0]
    assert later.shape == (3, 3)
    failure = infos[1]["env_failure"]
    assert infos[1]["env_restarted"] is True
    assert (failure["cause"], failure["code"], failure["signal"]) == (cause, code, name)
    assert summary in failure["message"]
    assert failure["message"].endswith("in step")
    assert [each.about() for each in heard] == [failure]
    assert "env_restarted" not in infos[0]
    tally(f"an environment: {way}", injected=1)


@pytest.mark.parametrize("way", ["hang", "SIGSTOP"])
def test_long_answers_of_the_others_are_read_behind_one_that_hangs(way: str) -> None:
    """A picture comes in pieces: who could not send the last one in time has not hung."""
    space = spaces.Box(0, 1, (1000, 1000), np.float32)
    with closing(build(limits=QUICK, space=space)) as venv:
        venv.reset()
        dones, infos = venv.step(only(0, way))[2:]

    assert dones.tolist() == [True, False, False]
    assert ["env_restarted" in info for info in infos] == [True, False, False]


@pytest.mark.parametrize("way", ["exception", "SIGSEGV", "hang"])
def test_the_real_traceback_is_told(way: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Not the end of a pipe, but the line of the environment that did it."""
    with closing(build(limits=QUICK if way == "hang" else LIMITS)) as venv:
        venv.reset()
        infos = venv.step(only(0, way))[3]

    trace = infos[0]["env_failure"]["traceback"]
    assert "frail.py" in trace
    assert "in step" in trace
    assert "worker.py" not in trace
    out = capfd.readouterr().err
    assert "evertrain: environment 0 died: " in out
    assert trace.splitlines()[0] in out


@pytest.mark.parametrize(("way", "number"), [("SIGSEGV", "SIGSEGV"), ("hang", "SIGUSR1")])
def test_a_traceback_is_told_where_a_library_took_the_signal_before(way: str, number: str) -> None:
    """As Ray does, behind an earlier `faulthandler.enable`: a second one would do nothing."""
    with tempfile.TemporaryFile() as elsewhere:
        faulthandler.enable(elsewhere)
        faulthandler.register(signal.SIGUSR1, elsewhere)
        signal.signal(signal.Signals[number], signal.SIG_DFL)
        try:
            with closing(build(limits=QUICK if way == "hang" else LIMITS)) as venv:
                venv.reset()
                infos = venv.step(only(0, way))[3]
        finally:
            faulthandler.unregister(signal.SIGUSR1)
            faulthandler.disable()
            faulthandler.enable(2)

    assert "frail.py" in infos[0]["env_failure"]["traceback"]


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_other_ways_to_start_workers(method: str) -> None:
    """What a factory needs travels to a process that shares nothing with the trainer."""
    venv = ResilientVecEnv([lambda: Frail(length=2)], method, limits=LIMITS)
    with closing(venv):
        venv.reset()
        for way, done in (("nothing", False), ("SIGKILL", True), ("nothing", False)):
            assert venv.step(only(0, way, 1))[2].tolist() == [done]


def wait_for_the_end(pids: Sequence[int]) -> None:
    """Wait until none of these processes is there, for up to 20 s."""
    deadline_s = time.monotonic() + 20
    while any(is_running(pid) for pid in pids) and time.monotonic() < deadline_s:
        time.sleep(0.01)


@pytest.mark.parametrize("way", ["SIGKILL", "exception", "hang", "close", "keeper", "trainer"])
def test_a_simulator_never_outlives_its_environment(way: str) -> None:
    """Also one in a session of its own, whose parent is gone before anybody looks."""
    if way == "trainer":
        pids = _pids_of_a_killed_trainer()
    else:
        venv = build(1, QUICK, simulator=True)
        venv.reset()
        pids = venv.env_method("where")[0]
        assert all(is_running(pid) for pid in pids)
        if way == "keeper":
            os.kill(venv.processes[0].pid, signal.SIGKILL)
            venv.processes[0].join()
            venv.step(only(0, "nothing", 1))
        elif way != "close":
            venv.step(only(0, way, 1))
            assert [is_running(pid) for pid in pids] == [False, False]
        venv.close()
    wait_for_the_end(pids)

    assert [is_running(pid) for pid in pids] == [False, False]


def test_what_a_worker_without_a_keeper_leaves_is_known_before_it_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its line cut, it may be gone before anybody looks for its simulator."""
    ended = Reins.ended

    def late(reins: Reins, grace_s: float) -> Any:
        wait_for_the_end(pids[:1])
        return ended(reins, grace_s)

    venv = build(1, QUICK, simulator=True)
    venv.reset()
    pids = venv.env_method("where")[0]
    monkeypatch.setattr(Reins, "ended", late)
    os.kill(venv.processes[0].pid, signal.SIGKILL)
    venv.processes[0].join()
    venv.step(only(0, "nothing", 1))
    monkeypatch.undo()
    venv.close()

    assert [is_running(pid) for pid in pids] == [False, False]


def test_a_worker_is_known_even_if_its_keeper_is_slower_than_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed before its word came through, the keeper would leave a worker that nobody knows."""
    watch = proc.watch

    def slow(process: proc.Proc) -> int | None:
        time.sleep(0.3)  # in the keeper, which was forked with it
        return watch(process)

    monkeypatch.setattr(proc, "watch", slow)
    venv = build(1, QUICK, simulator=True)
    monkeypatch.undo()
    venv.reset()
    pids = venv.env_method("where")[0]
    os.kill(venv.processes[0].pid, signal.SIGKILL)
    venv.processes[0].join()
    venv.step(only(0, "nothing", 1))
    venv.close()

    assert [is_running(pid) for pid in pids] == [False, False]


def _pids_of_a_killed_trainer() -> list[int]:
    """Return the processes that a trainer started which was killed with SIGKILL."""
    program = """
import os
from integrations.frail import build
venv = build(1, simulator=True)
venv.reset()
print(*venv.env_method("where")[0], flush=True)
os.kill(os.getpid(), 9)
"""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, stdout=subprocess.PIPE, check=False
    )
    assert done.returncode == -signal.SIGKILL
    return [int(word) for word in done.stdout.split()]


def test_a_death_between_two_steps_is_no_step() -> None:
    """The action was meant for what is gone: the new environment does not get it."""
    with closing(build()) as venv:
        venv.reset()
        before = venv.step(only(0, "nothing"))[0]
        os.kill(venv.env_method("where", indices=2)[0][0], signal.SIGKILL)
        assert venv.get_attr("level") == [0, 0, 0]  # asked of the new one
        after, rewards, dones, infos = venv.step(only(0, "nothing"))
        _, more, *_ = venv.step(only(0, "nothing"))

    assert (rewards.tolist(), dones.tolist()) == ([2.0, 2.0, 0.0], [False, False, True])
    assert np.array_equal(infos[2]["terminal_observation"], before[2])
    assert not np.array_equal(after[2], before[2])
    assert more.tolist() == [3.0, 3.0, 1.0]


def test_a_death_in_the_reset_behind_an_episode_loses_nothing() -> None:
    """The last step was whole, and stays so; only the next episode comes from another one."""
    with closing(build(length=2, dies_in_reset=2)) as venv:
        venv.reset()
        venv.step(only(0, "nothing"))
        observations, rewards, dones, infos = venv.step(only(0, "nothing"))

    assert rewards.tolist() == [2.0, 2.0, 2.0]
    assert dones.tolist() == [True] * 3
    assert [each["TimeLimit.truncated"] for each in infos] == [False, True, False]
    assert [each["env_failure"]["phase"] for each in infos] == ["reset"] * 3
    assert not np.array_equal(infos[0]["terminal_observation"], observations[0])


def test_a_reset_may_fail() -> None:
    """The new environment is reset with the same options, and tells why it is new."""
    with closing(build()) as venv:
        venv.seed(5)
        venv.set_options([{}, {"level": 1, "way": "nothing"}, {}])
        venv.reset()
        os.kill(venv.env_method("where", indices=1)[0][0], signal.SIGKILL)
        venv.seed(5)
        first = venv.reset()
        infos = venv.reset_infos

    assert first.shape == (3, 3)
    assert [each.get("env_restarted") for each in infos] == [None, True, None]
    assert infos[0]["seed"] == 5
    assert infos[1]["seed"] not in {None, 6}


def test_what_was_set_is_set_again_and_a_hook_may_prepare_more() -> None:
    """A curriculum's level must not fall back to where the factory begins."""
    seen: list[Any] = []

    def prepare(restart: EnvRestart) -> None:
        seen.extend(venv.get_attr("level", indices=restart.index))
        venv.env_method("__setattr__", "index", 40, indices=restart.index)

    with closing(build(on_restart=prepare)) as venv:
        venv.reset()
        venv.set_attr("level", 7, indices=[0, 1])
        venv.step(only(1, "SIGKILL"))
        levels, indices = venv.get_attr("level"), venv.get_attr("index")

    assert (seen, levels, indices) == ([7], [7, 7, 0], [0, 40, 2])
    assert venv.reset_infos[1]["level"] == 7


def test_calls_are_answered_whatever_they_do() -> None:
    """What a method raises is the caller's; what kills twice is refused, and nothing is lost."""
    with closing(build(limits=LIMITS)) as venv:
        venv.reset()
        with pytest.raises(ValueError, match="the physics exploded") as raised:
            venv.env_method("die", "exception", indices=[0])
        with pytest.raises(EnvError, match="Unpicklable: 1 and 2"):
            venv.env_method("die", "odd exception", indices=[0])
        with pytest.raises(AttributeError, match="nonsense"):
            venv.get_attr("nonsense")
        assert not venv.has_attr("nonsense")
        assert venv.step(only(0, "nothing"))[2].tolist() == [False] * 3

        with pytest.raises(EnvError, match="'die' ended the worker of environments \\[0, 1, 2\\]"):
            venv.env_method("die", "SIGKILL")
        assert venv.step(only(0, "nothing"))[2].tolist() == [True] * 3
        venv.step_async(only(0, "nothing"))
        with pytest.raises(UsageError, match="owes the answer to a step"):
            venv.get_attr("level")
        assert venv.step_wait()[2].tolist() == [False] * 3

    assert "frail.py" in raised.value.__notes__[0]


def test_an_environment_that_cannot_be_built_is_named() -> None:
    """At the start a constructor's error is an error of the program: no second try."""

    def broken() -> Frail:
        raise FileNotFoundError("no such level")

    with pytest.raises(EnvError, match="environment 1 could not be built: FileNotFound") as raised:
        ResilientVecEnv([Frail, broken], "fork")

    assert "in broken" in raised.value.__notes__[0]


@contextmanager
def wrapped(kind: str, venv: VecEnv) -> Iterator[Any]:
    """Yield `venv` below one of the usual wrappers."""
    makers: dict[str, Callable[[], VecEnv]] = {
        "VecNormalize": lambda: VecNormalize(venv),
        "VecMonitor": lambda: VecMonitor(venv),
        "VecFrameStack": lambda: VecFrameStack(venv, 2),
    }
    yield makers[kind]()
    venv.close()


@pytest.mark.parametrize("kind", ["VecNormalize", "VecMonitor", "VecFrameStack"])
def test_wrappers_see_an_episode_that_ends(kind: str) -> None:
    """Their statistics, stacks and terminal observations are those of a truncation."""
    with wrapped(kind, build()) as venv:
        venv.reset()
        before: Any = venv.step(only(1, "nothing"))[0]
        after, _, dones, infos = venv.step(only(1, "SIGKILL"))

    assert dones.tolist() == [False, True, False]
    terminal = infos[1]["terminal_observation"]
    if kind == "VecFrameStack":
        assert np.array_equal(terminal[3:], before[1, 3:])  # the newest frame
        assert not after[1, :3].any()
    if kind == "VecMonitor":
        assert infos[1]["episode"]["l"] == 2
    if kind == "VecNormalize":
        assert np.abs(terminal).max() <= 10.0


def test_a_mean_reward_leaves_out_what_was_lost() -> None:
    """`Monitor` in the environment reports whole episodes only."""
    factories: list[Callable[[], Any]] = [lambda: Monitor(Frail(length=3))]
    with closing(ResilientVecEnv(factories, "fork", limits=LIMITS)) as venv:
        venv.reset()
        ways = ["nothing", "SIGKILL", "nothing", "nothing", "nothing"]
        infos = [venv.step(only(0, way, 1))[3][0] for way in ways]

    assert ["episode" in each for each in infos] == [False, False, False, False, True]
    assert infos[-1]["episode"]["l"] == 3


class TestBudget:
    """How often is too often."""

    def test_a_spare_takes_the_place_of_a_repeat_offender(self) -> None:
        """Then it has a budget of its own; beyond it, the training ends with the reason."""
        budget = RestartBudget(lifetime=1, per_window=None)
        with closing(build(budget=budget, spare=lambda index: Frail(100 + index))) as venv:
            venv.reset()
            quarantined = [
                venv.step(only(1, "exception"))[3][1]["env_failure"]["quarantined"]
                for _ in range(2)
            ]
            served = venv.get_attr("index")
            venv.step(only(1, "exception"))
            with pytest.raises(EnvError, match="environment 1 keeps dying: 4 times") as raised:
                venv.step(only(1, "exception"))

        assert (quarantined, served) == ([False, True], [0, 101, 2])
        assert "the physics exploded" in str(raised.value)
        assert "frail.py" in raised.value.__notes__[0]

    def test_without_a_spare_the_training_ends(self) -> None:
        """A place with nothing in it would feed the policy what nobody saw."""
        with closing(build(budget=RestartBudget(lifetime=0))) as venv:
            venv.reset()
            with pytest.raises(EnvError, match="give a spare"):
                venv.step(only(0, "SIGKILL"))

    def test_too_many_quarantined_end_it_too(self) -> None:
        """A training of spares is another training."""
        venv = build(
            budget=RestartBudget(lifetime=0),
            spare=lambda index: Frail(9 + index),
            max_quarantined=0.4,
        )
        with closing(venv):
            venv.reset()
            venv.step(only(0, "SIGKILL"))
            with pytest.raises(EnvError, match="environment 1 keeps dying"):
                venv.step(only(1, "SIGKILL"))


UNGUARDED = """
from evertrain.integrations.sb3 import ResilientVecEnv
from integrations.frail import Frail
ResilientVecEnv([Frail], "forkserver")
"""


def test_a_script_without_a_guard_is_told_what_it_lacks(tmp_path: Path) -> None:
    """Its workers import it, and would start workers: they die before they can say why."""
    (tmp_path / "train.py").write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 1
    assert "environment 0 could not be built" in done.stderr
    assert 'if __name__ == "__main__":' in done.stderr[done.stderr.rindex("could not be built") :]


def test_a_factory_that_fails_later_is_tried_again(tmp_path: Path) -> None:
    """A port that is still taken is free in a moment; one that stays taken ends the training."""
    blocked = tmp_path / "blocked"

    def make() -> Frail:
        if blocked.exists():
            blocked.write_bytes(blocked.read_bytes()[1:])
            if blocked.stat().st_size:
                raise OSError("the port is taken")
        return Frail()

    clock = FakeClock()  # nobody waits for the pauses in between
    with closing(ResilientVecEnv([make], "fork", limits=LIMITS, clock=clock)) as venv:
        venv.reset()
        began_s = clock.monotonic_s()
        blocked.write_bytes(b"xxx")
        info = venv.step(only(0, "SIGKILL", 1))[3][0]
        waited_s = clock.monotonic_s() - began_s
        blocked.write_bytes(b"x" * 50)
        with pytest.raises(EnvError, match="OSError: the port is taken while it was built"):
            venv.step(only(0, "SIGKILL", 1))

    assert info["env_failure"]["restarts"] == 3
    assert info["env_failure"]["phase"] == "start"
    assert info["TimeLimit.truncated"] is True
    assert waited_s == 0.5 + 1.0


def test_a_spare_has_to_be_like_the_others() -> None:
    """Its observations would not fit into the array."""
    budget = RestartBudget(lifetime=0)
    odd = spaces.Box(0, 1, (4,))
    with closing(build(budget=budget, spare=lambda index: Frail(index, space=odd))) as venv:
        venv.reset()
        with pytest.raises(EnvError, match="spare for environment 1 has other spaces"):
            venv.step(only(1, "SIGKILL"))


def test_an_answer_that_cannot_be_read_is_a_failure_of_its_environment() -> None:
    """The trainer does not die of a class that only the worker can make."""

    class Odd(Frail):
        def step(self, action: Any) -> Any:
            observation, _, *rest = super().step(0)
            return observation, Unpicklable(1, 2) if action else 1.0, *rest

    with closing(ResilientVecEnv([Odd], "fork", limits=LIMITS)) as venv:
        venv.reset()
        info = venv.step(only(0, "hang", 1))[3][0]
        assert venv.step(only(0, "nothing", 1))[2].tolist() == [False]

    assert "its answer cannot be read here: TypeError" in info["env_failure"]["message"]


def test_a_vector_that_is_forgotten_ends_its_workers() -> None:
    """Many trials in one process leave no processes behind."""
    venv = build(1)
    venv.reset()
    pid = venv.env_method("where")[0][0]
    del venv
    gc.collect()

    assert not is_running(pid)


def test_only_the_trainer_closes() -> None:
    """A copy of the vector in a process that the trainer forked is none of its own."""
    with closing(build(1)) as venv:
        venv.reset()
        child = os.fork()
        if child == 0:
            venv.close()
            os._exit(0)
        os.waitpid(child, 0)

        assert venv.step(only(0, "nothing", 1))[2].tolist() == [False]


def test_one_ctrl_c_saves_with_all_environments_alive(tmp_path: Path) -> None:
    """It reaches the whole group of the terminal; the rollout is finished, nobody is lost."""
    program = f"""
from stable_baselines3 import PPO
from evertrain import Run
from evertrain.integrations.sb3 import ResilientVecEnv, learn
from integrations.test_envs_resume import Still
with Run({str(tmp_path / "run")!r}, total=10**9, seed=0) as run:
    model = PPO("MlpPolicy", ResilientVecEnv([Still] * 2, "fork"), n_steps=64, device="cpu")
    learn(run, model, log_interval=None)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    journal = Journal(tmp_path / "run" / "journal.jsonl")
    deadline_s = time.monotonic() + 120
    while journal.last("saved") is None and time.monotonic() < deadline_s:
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGINT)

    assert child.wait(100) == 75
    assert journal.last("stopped") is not None
    assert journal.last("env_restarted") is None


def test_closing_waits_for_nobody_for_ever() -> None:
    """Neither for a step that hangs, nor for a worker that is stopped."""
    venv = build(limits=QUICK)
    venv.reset()
    pids = [pid for pid, _ in venv.env_method("where")]
    venv.step_async(np.array([NAMES.index(way) for way in ("hang", "SIGSTOP", "nothing")]))

    venv.close()
    venv.close()

    assert [is_running(pid) for pid in pids] == [False] * 3
    assert [process.is_alive() for process in venv.processes] == [False] * 3


def test_ctrl_c_is_left_to_the_trainer() -> None:
    """The rollout that it finishes needs the workers; a group of their own keeps them."""
    with closing(build(1, simulator=True)) as venv:
        venv.reset()
        worker, simulator = venv.env_method("where")[0]
        assert os.getpgid(worker) != os.getpgid(0)
        assert os.getsid(worker) == os.getsid(0)  # else each step waits for the scheduler
        os.kill(worker, signal.SIGINT)
        os.kill(venv.processes[0].pid, signal.SIGINT)
        assert venv.step(only(0, "nothing", 1))[2].tolist() == [False]
        assert _ignored(simulator) & (1 << (signal.SIGINT - 1)) == 0  # it may want it itself


def _ignored(pid: int | None) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("SigIgn")).split()[1], 16)


@pytest.mark.parametrize(("way", "count"), [("SIGKILL", 1), ("SIGKILL", 2), ("hang", 1)])
def test_what_stable_baselines_does_itself(way: str, count: int) -> None:
    """SubprocVecEnv knows only that a pipe ended, or waits for ever: the reason for all this.

    Two forked workers hold each other's pipes open, so that not even a death ends one.
    """
    venv = SubprocVecEnv([Frail] * count, start_method="fork")
    try:
        venv.reset()
        venv.step_async(only(count - 1, way, count))
        if (way, count) == ("SIGKILL", 1):
            with pytest.raises((EOFError, ConnectionResetError)) as raised:
                venv.step_wait()
            assert "SIGKILL" not in str(raised.value)
        else:
            assert not venv.remotes[-1].poll(1.0)  # its recv() has no timeout
    finally:
        for process in venv.processes:
            process.kill()
            process.join()

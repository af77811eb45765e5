"""The rules of `ResilientVecEnv`, and the messages between its processes, without processes."""

import multiprocessing
import select
import socket
import threading
from typing import Any, cast

import pytest

from evertrain.core.errors import ConfigError
from evertrain.core.patience import Patience
from evertrain.integrations.sb3 import EnvLimits, ResilientVecEnv, RestartBudget
from evertrain.integrations.sb3.resilient.channel import Channel, dumps, loads
from evertrain.integrations.sb3.resilient.crew import Crew
from evertrain.integrations.sb3.resilient.limits import Learned, pause_s
from evertrain.integrations.sb3.resilient.remote import Remote
from evertrain.integrations.sb3.resilient.restart import (
    Ended,
    Failure,
    describe,
)
from evertrain.integrations.sb3.resilient.slot import Slot
from evertrain.integrations.sb3.resilient.worker import own_stacks, portable
from evertrain.supervise.cause import signal_name
from evertrain.testing import FakeClock


class TestLearned:
    """A limit that follows from what was seen."""

    def test_until_enough_is_known_it_is_generous(self) -> None:
        """The first step may compile for minutes."""
        learned, limits = Learned(), EnvLimits(unlearned_s=77.0)
        for _ in range(99):
            learned.see(0.01)
        assert learned.limit_s(limits) == 77.0
        learned.see(0.01)
        assert learned.limit_s(limits) == limits.floor_s

    def test_it_grows_at_once_and_shrinks_slowly(self) -> None:
        """A slow level is not a hang; one slow answer is not believed for ever."""
        learned, limits = Learned(count=1000), EnvLimits(floor_s=1.0)
        learned.see(50.0)
        assert learned.limit_s(limits) == 500.0
        for _ in range(100):
            learned.see(0.1)
        assert 400 < learned.limit_s(limits) < 500
        for _ in range(10_000):
            learned.see(0.1)
        assert learned.limit_s(limits) == pytest.approx(1.0, abs=0.2)


class Slow:
    """A worker whose reset takes a minute, and whose steps take no time."""

    def __init__(self, clock: FakeClock) -> None:
        """Wait by that clock."""
        self._clock = clock

    def answer(self, phase: str, patience: Patience) -> tuple[Any, ...]:
        """Answer after a minute, or at once."""
        if phase == "reset":
            self._clock.advance(60.0)
            patience.left_s -= 60.0
        return ("ok", 0, 0.0, False, {})


def test_a_step_in_which_nothing_is_reset_says_nothing_of_resets() -> None:
    """Else thousands of steps would let one slow reset fade, and the next one be killed."""
    clock, limits = FakeClock(), EnvLimits()
    crew = Crew([], multiprocessing.get_context("spawn"), limits, clock=clock)
    crew.remotes = [cast("Remote", Slow(clock))]
    crew.expect(0, "reset")
    crew.hear("reset", [0])
    for _ in range(5_000):
        crew.expect(0, "step")
        crew.hear("step", [0])
        crew.hear("reset", list(crew.pending))
    learned = crew._learned
    assert (learned["reset"].count, learned["step"].count) == (1, 5_000)
    assert learned["reset"].longest_s == 60.0
    assert learned["reset"].limit_s(limits) == limits.unlearned_s


class TestBudget:
    """When one more restart is too many."""

    @pytest.mark.parametrize(
        ("budget", "restarts", "at_s", "is_spent"),
        [
            (RestartBudget(), 10_000, [], False),
            (RestartBudget(lifetime=3, per_window=None), 2, [999.0] * 2, False),
            (RestartBudget(lifetime=3, per_window=None), 3, [], True),
            (RestartBudget(per_window=2, window_s=60.0), 9, [930.0, 950.0], False),
            (RestartBudget(per_window=2, window_s=60.0), 9, [941.0, 950.0], True),
            (RestartBudget(per_window=0), 0, [], True),
        ],
    )
    def test_at_1000_seconds(
        self,
        budget: RestartBudget,
        restarts: int,
        at_s: list[float],
        is_spent: bool,  # noqa: FBT001  (as in the table)
    ) -> None:
        """The lifetime counts all, the window what is young enough."""
        assert budget.is_spent(restarts, at_s, 1000.0) is is_spent

    def test_the_first_restart_comes_at_once_and_the_later_ones_wait(self) -> None:
        """A port or a license may need a moment."""
        assert [pause_s(failures) for failures in (1, 2, 3, 20)] == [0.0, 0.5, 1.0, 30.0]

    def test_all_faults_are_named_at_once(self) -> None:
        """Seconds above 0, counts not below it, shares within 0 and 1."""
        with pytest.raises(ConfigError, match=r"EnvLimits\(step_s=-1.0, close_s=0\)"):
            EnvLimits(step_s=-1.0, close_s=0)
        with pytest.raises(ConfigError, match=r"RestartBudget\(lifetime=-1, window_s=nan\)"):
            RestartBudget(lifetime=-1, window_s=float("nan"))
        with pytest.raises(ConfigError, match=r"max_quarantined=2"):
            ResilientVecEnv([], max_quarantined=2)


def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to use there instead."""
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(ConfigError, match="SubprocVecEnv"):
        ResilientVecEnv([])


class SleepyPoller:
    """A poller that never has anything, on a machine that sleeps meanwhile."""

    def __init__(self, clock: FakeClock, took_s: float) -> None:
        """Take so long each time."""
        self.clock, self.took_s, self.count = clock, took_s, 0

    def poll(self, timeout_ms: float) -> list[tuple[int, int]]:
        """Return nothing, late."""
        del timeout_ms
        self.count += 1
        self.clock.advance(self.took_s)
        return []


@pytest.mark.parametrize(("took_s", "polls"), [(0.5, 20), (3600.0, 10)])
def test_time_in_which_the_trainer_slept_counts_for_nobody(took_s: float, polls: int) -> None:
    """After Ctrl+Z and `fg`, no environment is late: at most a second of each look counts."""
    clock = FakeClock()
    patience, poller = Patience(10.0, clock=clock), SleepyPoller(clock, took_s)

    assert not patience.wait(poller)  # type: ignore[arg-type]
    assert poller.count == polls
    assert patience.spent_s == pytest.approx(10.0)


class TestChannel:
    """Messages arrive whole, in order, in whatever pieces."""

    def test_pieces(self) -> None:
        """Short ones, an empty one, and one that is longer than any buffer."""
        left, right = socket.socketpair()
        messages = [b"", b"a", b"x" * 3_000_000, b"b" * 70_000, b"c"]
        sender, reader = Channel(left, blocks=True), Channel(right, blocks=False)
        poller = select.poll()
        poller.register(right, select.POLLIN)

        def send_all() -> None:
            for each in messages:
                sender.send(each)

        thread = threading.Thread(target=send_all)
        thread.start()
        found: list[bytes] = []
        while len(found) < len(messages):
            message = reader.read()
            if message is None:
                poller.poll(10_000)
            else:
                found.append(bytes(message))
        thread.join()

        assert found == messages
        assert reader.read() is None
        sender.shut()
        with pytest.raises(EOFError):
            reader.read()
        sender.close()
        reader.close()

    def test_byte_by_byte(self) -> None:
        """What has come is kept until the rest comes."""
        left, right = socket.socketpair()
        Channel(left, blocks=True).send(b"word")
        stream = right.recv(100)
        other, end = socket.socketpair()
        reader = Channel(end, blocks=False)
        for index in range(len(stream) - 1):
            other.send(stream[index : index + 1])
            assert reader.read() is None
        other.send(stream[-1:])

        assert reader.read() == b"word"
        for each in (left, right, other, end):
            each.close()

    def test_nobody_reads(self) -> None:
        """A worker that is stopped does not stop who sends to it."""
        left, right = socket.socketpair()
        asked: list[int] = []

        def wait() -> bool:
            asked.append(1)
            return len(asked) < 3

        with pytest.raises(TimeoutError):
            Channel(left, blocks=False).send(b"x" * 3_000_000, wait)
        assert len(asked) == 3
        left.close()
        right.close()

    def test_functions_go_by_value(self) -> None:
        """As in `SubprocVecEnv`, which knows that only for factories."""
        assert loads(dumps(lambda: 7))() == 7


class TestDescription:
    """What people read."""

    @pytest.mark.parametrize(
        ("failure", "ended", "summary", "name"),
        [
            (Failure("idle", "signal"), Ended(-9), "killed by SIGKILL (from outside", "SIGKILL"),
            (Failure("call", "signal"), Ended(-11), "killed by SIGSEGV in a call", "SIGSEGV"),
            (Failure("step", "signal"), Ended(-40), "killed by signal 40 in step", "signal 40"),
            (Failure("step", "signal"), Ended(3), "ended with exit code 3 in step", None),
            (Failure("start", "signal"), Ended(), "gone while it was built", None),
            (Failure("reset", "hang", "late"), Ended(-9), "late in reset", None),
            (
                Failure("step", "hang", "late"),
                Ended(-9, was_stopped=True),
                "late: it was stopped",
                None,
            ),
            (Failure("step", "exception", "E: x"), Ended(1), "E: x in step", None),
        ],
    )
    def test_each(self, failure: Failure, ended: Ended, summary: str, name: str | None) -> None:
        """The exit status says more than the end of a pipe; a kill of ours is no cause."""
        restart = describe(2, failure, ended, 4, is_quarantined=False)

        assert restart.summary.startswith(summary)
        assert restart.signal == name
        assert restart.cause == (
            "exit" if failure.cause == "signal" and not name else failure.cause
        )

    def test_exit_codes_are_no_signals(self) -> None:
        """Nor is what nobody knows."""
        assert [signal_name(code) for code in (None, 0, 9)] == [None, None, None]

    def test_stacks_end_where_the_environment_begins(self) -> None:
        """What stands above it is the same every time."""
        from evertrain.integrations.sb3.resilient import worker

        dump = "\n".join(
            (
                "Current thread 0x01 (most recent call first):",
                '  File "env.py", line 3 in step',
                f'  File "{worker.__file__}", line 9 in _step',
                '  File "spawn.py", line 1 in main',
                "",
                "Thread 0x02 (most recent call first):",
                '  File "sim.py", line 1 in run',
                "",
                "Extension modules: numpy",
            )
        )
        assert own_stacks(dump).splitlines() == [
            "Current thread 0x01 (most recent call first):",
            '  File "env.py", line 3 in step',
            "",
            "Thread 0x02 (most recent call first):",
            '  File "sim.py", line 1 in run',
        ]


def test_plain_infos_are_not_copied() -> None:
    """The usual case costs a look at each value; long lists are tried instead."""
    info = {"a": 1, "b": {"c": [1.0, "x"]}, "d": [1] * 500}
    assert portable(info) == info
    usual = {"a": 1, "b": {"c": [1.0, "x"]}}
    assert portable(usual) is usual


def test_each_restart_of_a_seeded_index_has_a_seed_of_its_own() -> None:
    """The same in every attempt, another for each index; without a seed, chance decides."""
    seeds = {
        Slot(index, seed=seed, restarts=restarts).seeds()
        for index in (0, 1)
        for seed in (0, 1)
        for restarts in (1, 2)
    }
    assert len(seeds) == 8
    assert Slot(1, seed=1, restarts=2).seeds() in seeds
    assert Slot(0, restarts=5).seeds() == (None, None)

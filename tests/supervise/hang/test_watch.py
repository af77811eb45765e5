"""The watch over whole trainings, hours of them, on a clock that is turned by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from evertrain.core.heartbeat import PROGRESS
from supervise.hang.theatre import Theatre

# From the last beat to the verdict; SIGTERM, SIGKILL and --delay come to about 14 s.
DETECT_S = 70.0


def idle(theatre: Theatre) -> None:
    """A worker is dead, or a lock is never given back: nobody does anything."""
    theatre.is_busy = False


def livelock(theatre: Theatre) -> None:
    """`while True: pass`: busy, but always in the same function."""


def frozen(theatre: Theatre) -> None:
    """A library holds the interpreter."""
    theatre.has_pulse = False


def stopped(theatre: Theatre) -> None:
    """SIGSTOP."""
    theatre.is_busy, theatre.has_pulse = False, False
    theatre.signs = replace(theatre.signs, is_stopped=True)


@pytest.mark.parametrize("misfortune", [idle, livelock, frozen, stopped])
@pytest.mark.parametrize("step_s", [0.001, 1.0, 9.9])
def test_a_hang_in_a_step_is_found_in_time(
    theatre: Theatre, misfortune: object, step_s: float
) -> None:
    """Steps below ten seconds, and one that never ends: found within 70 s, after 60 s at least."""
    theatre.begin(step_s=step_s)
    assert callable(misfortune)
    misfortune(theatre)
    theatre.play(200)
    ((hang, after_s),) = theatre.hangs
    assert (hang.kind, hang.phase, hang.step) == ("hang", "step", 24)
    assert 55 <= after_s <= DETECT_S


def test_a_slow_training_gets_more_time(theatre: Theatre) -> None:
    """Steps of two minutes: nothing after four minutes of silence, a hang after seven."""
    theatre.begin(step_s=120)
    theatre.is_busy = False
    assert theatre.play(240) == []
    assert len(theatre.play(240)) == 1


@pytest.mark.parametrize("step_s", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("is_idle", [False, True])
def test_declared_evaluations_are_no_hangs(
    theatre: Theatre, step_s: float, *, is_idle: bool
) -> None:
    """Fifty times longer than a step, again and again, from the very first one on."""
    theatre.begin(step_s=step_s)
    for _ in range(3):
        assert theatre.steps(5, step_s) == []
        theatre.beat("eval")
        theatre.is_busy = not is_idle
        assert theatre.play(50 * step_s) == []
        theatre.is_busy = True
        theatre.beat("step")


@pytest.mark.parametrize("step_s", [0.1, 1.0, 10.0])
def test_an_evaluation_that_nobody_declared_is_no_hang(theatre: Theatre, step_s: float) -> None:
    """Inside of a step, fifty times longer than all before: its functions come and go."""
    theatre.begin(step_s=step_s)
    for _ in range(2):
        theatre.is_moving = True
        assert theatre.play(50 * step_s) == []
        theatre.beat("step", theatre.step + 1)
        theatre.is_moving = False
        assert theatre.steps(10, step_s) == []


def test_a_simulator_that_loads_is_waited_for(theatre: Theatre) -> None:
    """The trainer waits, and does not move, for a process of its own that works: ten minutes."""
    theatre.begin()
    theatre.is_busy, theatre.is_helped = False, True
    assert theatre.play(300) == []
    assert len(theatre.play(400)) == 1


def test_a_training_that_varies_is_never_disturbed(theatre: Theatre) -> None:
    """Steps that vary by a factor of four, evaluations, saves, and a break by the machine."""
    theatre.begin(step_s=20)
    for hour in range(10):
        for index in range(20):
            assert theatre.play(5 + 3 * (index * 7 % 11)) == []
            theatre.beat("step", theatre.step + 1)
        for phase, seconds in (("eval", 200 + 10 * (hour % 7)), ("save", 8)):
            theatre.beat(phase)
            assert theatre.play(seconds) == []
        theatre.beat("step")
        theatre.clock.advance(3600.0)  # suspended, with its watcher


def test_a_long_first_step_is_no_hang(theatre: Theatre) -> None:
    """It compiles for an hour, in C and mute; and the steps behind it have limits all the same."""
    theatre.begin(first_s=3600)
    theatre.is_busy = False
    assert len(theatre.play(80)) == 1


def test_a_first_step_that_does_nothing_hangs(theatre: Theatre) -> None:
    """No processor, no files, no output, no movement for ten minutes."""
    theatre.play(3)
    theatre.beat("first")
    theatre.is_busy = False
    assert theatre.play(590) == []
    (hang,) = theatre.play(30)
    assert (hang.phase, hang.evidence) == ("first", "idle")


def test_an_epoch_of_many_hours_is_no_hang(theatre: Theatre) -> None:
    """A step of which nothing is known, and that is busy, may take half a day."""
    theatre.play(3)
    theatre.beat("first")
    assert theatre.play(11 * 3600) == []


def test_what_is_printed_speaks_for_an_unknown_phase(theatre: Theatre) -> None:
    """A tree without work of its own that prints now and then waits for somebody else."""
    theatre.play(3)
    theatre.beat("setup")
    theatre.is_busy = False
    for _ in range(20):
        assert theatre.play(900) == []
        theatre.output_bytes += 10
    assert len(theatre.play(2000)) == 1


def test_a_hang_at_import_is_found_by_what_an_earlier_attempt_has_shown(theatre: Theatre) -> None:
    """The launch took three seconds then: now five minutes of nothing are a hang."""
    theatre.begin()
    theatre.end()
    theatre.launch()
    theatre.is_busy = False
    assert theatre.play(295) == []
    (hang,) = theatre.play(20)
    assert (hang.phase, hang.step) == ("launch", None)


def test_a_heart_that_begins_late_tells_nothing_of_the_launch(theatre: Theatre) -> None:
    """Its disk was full for half an hour: that was training."""
    assert theatre.play(1700) == []
    theatre.beat("save", 50)
    assert theatre.steps(5, 1) == []
    theatre.end()
    theatre.launch()
    theatre.is_busy = False
    assert [hang.phase for hang in theatre.play(1900)] == ["silence"]


def test_limits_are_persisted(theatre: Theatre) -> None:
    """An evaluation of ten minutes is known to the next attempt, a step of one second too."""
    theatre.begin()
    theatre.beat("eval")
    theatre.play(400)
    theatre.beat("step")
    theatre.play(1)
    theatre.end()
    theatre.launch()
    theatre.play(3)
    theatre.beat("eval")
    theatre.is_busy = False
    assert theatre.play(900) == []
    (hang,) = theatre.play(100)
    assert hang.limit_s == pytest.approx(2 * 400 + 180, abs=5)


def test_limits_of_another_machine_are_not_believed(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that moved to a slower machine learns anew."""
    theatre.begin()
    theatre.end()
    monkeypatch.setattr("evertrain.core.proc.host", lambda: "elsewhere")
    theatre.launch()
    theatre.play(3)
    theatre.beat("step")
    assert theatre.play(3600) == []


@pytest.mark.parametrize("row", [{"longest": 5}, {"longest": {"step": "NaN", "eval": -1}}, {}])
def test_odd_limits_are_no_limits(theatre: Theatre, row: dict[str, object]) -> None:
    """A journal may hold anything: what is no duration is not learned from."""
    from evertrain.core import proc

    theatre.journal.record("limits", {"host": proc.host(), **row})
    theatre.begin()
    theatre.is_busy = False
    assert len(theatre.play(100)) == 1


def test_a_slower_machine_does_not_inherit_a_fast_step(theatre: Theatre) -> None:
    """Steps of 0.1 s before, of 90 s now, in C: the first ones tell what to expect."""
    theatre.begin(step_s=0.1)
    theatre.end()
    theatre.launch()
    theatre.begin(step_s=90)


def test_a_doubtful_kill_is_not_repeated(theatre: Theatre) -> None:
    """An evaluation in C that nobody declared: ended once, and let through by the next attempt."""
    theatre.begin()
    assert len(theatre.play(200)) == 1
    theatre.end()
    theatre.launch()
    theatre.begin()
    assert theatre.play(200) == []


def test_a_certain_kill_teaches_nothing(theatre: Theatre) -> None:
    """A deadlock at another step is found as fast the second time, and the third."""
    for more in range(3):
        theatre.begin()
        theatre.steps(more, 1.0)
        theatre.is_busy = False
        assert len(theatre.play(80)) == 1
        theatre.end()
        theatre.launch()


def test_a_wait_that_nobody_declared_is_ended_once(theatre: Theatre) -> None:
    """A minute and a half for a machine elsewhere, always behind the same step, and again later."""
    theatre.begin()
    theatre.is_busy = False
    assert len(theatre.play(100)) == 1
    theatre.end()
    theatre.launch()
    theatre.begin()
    for _ in range(3):
        theatre.is_busy = False
        assert theatre.play(100) == []
        theatre.beat("step", theatre.step + 1)
        theatre.is_busy = True
        assert theatre.steps(20, 1.0) == []


def test_a_wait_gets_more_time_with_each_attempt(theatre: Theatre) -> None:
    """Sixteen minutes at one step: ended twice, in doubt the second time, and then let through."""
    for found in (1, 1, 0):
        theatre.begin()
        theatre.is_busy = False
        assert len(theatre.play(960)) == found
        theatre.end()
        theatre.launch()


def test_time_without_the_watcher_does_not_count(theatre: Theatre) -> None:
    """Suspended, stopped or starved together: the silence is that of the watch."""
    theatre.begin()
    theatre.is_busy = False
    theatre.play(30)
    theatre.clock.advance(7200)
    assert theatre.play(20) == []
    assert len(theatre.play(30)) == 1


def test_a_break_does_not_blunt_the_watch(theatre: Theatre) -> None:
    """Two hours of suspension in a step are not its length: a hang behind it is found as ever."""
    theatre.begin()
    theatre.clock.advance(7200)
    theatre.steps(10, 1.0)
    theatre.is_busy = False
    assert len(theatre.play(80)) == 1


def test_a_debugger_stops_the_clock(theatre: Theatre) -> None:
    """Whoever looks at a live training with gdb is not interrupted; afterwards it counts again."""
    theatre.begin()
    theatre.is_busy = False
    theatre.signs = replace(theatre.signs, is_traced=True)
    assert theatre.play(3600) == []
    theatre.signs = replace(theatre.signs, is_traced=False)
    assert theatre.play(30) == []
    assert len(theatre.play(60)) == 1


def test_declared_waiting_has_no_limit(theatre: Theatre) -> None:
    """`run.phase("wait for the simulator")` may take days, unless the process is stopped."""
    theatre.begin()
    theatre.beat("wait for the simulator")
    theatre.is_busy = False
    assert theatre.play(4 * 3600) == []
    theatre.signs = replace(theatre.signs, is_stopped=True)
    assert len(theatre.play(100)) == 1


def test_a_save_to_a_disk_that_works_is_no_hang(theatre: Theatre) -> None:
    """Known to take a second, now four minutes: a thread waits for the disk, so it gets time."""
    theatre.begin()
    theatre.beat("save")
    theatre.play(1)
    theatre.beat("step")
    theatre.beat("save")
    theatre.is_busy, theatre.is_blocked = False, True
    assert theatre.play(300) == []
    (hang,) = theatre.play(400)
    assert hang.phase == "save"


def test_a_save_that_waits_for_nothing_hangs(theatre: Theatre) -> None:
    """A lock in the writer, no disk: a minute."""
    theatre.begin()
    theatre.beat("save")
    theatre.play(1)
    theatre.beat("save")
    theatre.is_busy = False
    assert len(theatre.play(80)) == 1


def test_an_exit_hang_is_one_of_its_own(theatre: Theatre) -> None:
    """The main thread is through, another one waits for ever: a minute of nothing."""
    theatre.begin()
    theatre.beat("finished")
    theatre.leave()
    theatre.is_busy = False
    (hang,) = theatre.play(90)
    assert (hang.kind, hang.phase) == ("exit_hang", "finished")


def test_work_after_the_training_is_no_exit_hang(theatre: Theatre) -> None:
    """The program draws, exports and uploads for hours; doing nothing for ten minutes is one."""
    theatre.begin()
    theatre.beat("finished")
    assert theatre.play(13 * 3600) == []
    theatre.is_busy = False
    assert theatre.play(590) == []
    (hang,) = theatre.play(30)
    assert hang.kind == "exit_hang"


def test_a_thread_that_still_saves_is_no_exit_hang(theatre: Theatre) -> None:
    """The last save of a script without a `with` block goes on behind the main thread."""
    theatre.begin()
    theatre.leave()
    assert theatre.play(1800) == []


def test_a_failed_training_has_to_end(theatre: Theatre) -> None:
    """`finally: env.close()` waits for a dead simulator: a minute of nothing."""
    theatre.begin()
    theatre.beat("failed")
    theatre.is_busy = False
    (hang,) = theatre.play(90)
    assert (hang.kind, hang.phase) == ("exit_hang", "failed")


def test_a_foreign_command_is_judged_by_output_and_work(theatre: Theatre) -> None:
    """Half an hour without either; one that prints, or computes, may take for ever."""
    assert theatre.play(7200) == []
    theatre.is_busy = False
    for _ in range(5):
        assert theatre.play(1700) == []
        theatre.output_bytes += 1
    (hang,) = theatre.play(2 * 1700 + 300)
    assert (hang.kind, hang.phase, hang.step) == ("hang", "silence", None)


def test_a_foreign_command_that_sleeps_long_is_ended_once(theatre: Theatre) -> None:
    """Silence proves nothing: the next attempt gets twice the time."""
    theatre.is_busy = False
    assert len(theatre.play(1850)) == 1
    theatre.end()
    theatre.launch()
    theatre.is_busy = False
    assert theatre.play(3600) == []


@pytest.mark.parametrize("step_s", [0.5, 10.0, 70.0])
def test_a_command_whose_step_is_known_hangs_in_time(theatre: Theatre, step_s: float) -> None:
    """As soon as it does nothing, for several times as long as a step, it is ended."""
    assert theatre.steps(20, step_s, name=PROGRESS) == []
    theatre.is_busy = False
    (hang,) = theatre.play(600)
    assert (hang.phase, hang.step, hang.evidence) == (PROGRESS, 20, "idle")
    assert hang.limit_s == {0.5: 60, 10.0: 60, 70.0: 320}[step_s]
    theatre.end()
    theatre.launch()
    assert theatre.steps(20, step_s, name=PROGRESS) == []
    theatre.is_busy = False
    assert theatre.play(1.5 * hang.silent_s) == [], "in doubt, not twice for the same reason"


@pytest.mark.parametrize("step_s", [0.5, 10.0, 70.0])
def test_a_command_that_evaluates_without_a_step_is_let_through(
    theatre: Theatre, step_s: float
) -> None:
    """Fifty times as long as a step, as long as it works; a livelock is found in the end."""
    assert theatre.steps(20, step_s, name=PROGRESS) == []
    assert theatre.play(50 * step_s) == []
    assert theatre.steps(20, step_s, name=PROGRESS) == []
    (hang,) = theatre.play(50_000)
    assert (hang.phase, hang.evidence) == (PROGRESS, "busy")


def test_before_the_second_step_a_command_has_half_an_hour(theatre: Theatre) -> None:
    """Nobody knows yet how long its steps are."""
    theatre.beat(PROGRESS, 1)
    theatre.is_busy = False
    assert theatre.play(1700) == []
    assert len(theatre.play(200)) == 1


def test_a_person_may_say_how_long(tmp_path: Path) -> None:
    """--hang-timeout 20: for every phase, whatever has been learned; a busy start has more."""
    theatre = Theatre(tmp_path, timeout_s=20)
    theatre.begin(launch_s=100, first_s=100)
    assert theatre.play(15) == []
    assert len(theatre.play(15)) == 1
    theatre.beat("finished")
    assert theatre.play(400) == [], "nobody would repeat what is done behind the training"
    theatre.leave()
    assert theatre.play(100) == []
    assert len(theatre.play(300)) == 1
    theatre.end()
    assert theatre.journal.events("limits") == ()


def test_a_person_may_say_how_long_a_foreign_command_is_mute(tmp_path: Path) -> None:
    """Then output alone counts, once there was some."""
    theatre = Theatre(tmp_path, timeout_s=20)
    assert theatre.play(200) == []
    theatre.output_bytes = 1
    assert theatre.play(19) == []
    assert len(theatre.play(10)) == 1


def test_each_silence_is_told_once(theatre: Theatre) -> None:
    """Where hangs are only observed, the next one is told again, and nothing in between."""
    theatre.begin()
    theatre.is_busy = False
    theatre.play(3000)
    assert len(theatre.hangs) == 1
    theatre.beat("step", 100)
    theatre.play(20000)
    assert len(theatre.hangs) == 2

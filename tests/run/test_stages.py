"""Curricula: stages in order, their overrides real, before and after a crash."""

from collections.abc import Mapping
from typing import Any

import pytest

from evertrain import Run, Stage, every, keep_last
from evertrain.core.errors import StateError, UsageError
from evertrain.core.journal import Journal
from support import OpenRun

STAGES = [
    Stage("easy", steps=3, overrides={"lr": 0.1}),
    Stage("middle", steps=2, overrides={"lr": 0.2}),
    Stage("hard", steps=4, overrides={"lr": 0.3}),
]


class Program:
    """A training whose learning rate is part of its state, as in a real optimizer."""

    def __init__(self) -> None:
        self.optimizer = {"lr": 0.0}
        self.seen: list[tuple[str, int, float]] = []

    def apply(self, overrides: Mapping[str, Any]) -> None:
        self.optimizer["lr"] = overrides["lr"]

    def train(self, run: Run, until: int | None = None) -> "Program":
        run.attach(optimizer=self.optimizer)
        for stage in run.stages(STAGES, apply=self.apply):
            for step in stage:
                self.seen.append((stage.name, step, self.optimizer["lr"]))
                self.optimizer["lr"] = round(self.optimizer["lr"] * 0.5, 6)  # a schedule
                if step == until:
                    run.end_step()
                    return self
        return self


WHOLE = [
    ("easy", 1, 0.1), ("easy", 2, 0.05), ("easy", 3, 0.025),
    ("middle", 4, 0.2), ("middle", 5, 0.1),
    ("hard", 6, 0.3), ("hard", 7, 0.15), ("hard", 8, 0.075), ("hard", 9, 0.0375),
]  # fmt: skip


def test_every_stage_gets_its_steps_and_overrides(open_run: OpenRun) -> None:
    """The step counter runs on over the stages; each begins with its own learning rate."""
    run = open_run(total=None)

    assert Program().train(run).seen == WHOLE
    assert run.total == 9
    assert Journal(run.path / "journal.jsonl").last("finished") is not None


@pytest.mark.parametrize("crash", range(1, 10))
def test_a_crash_anywhere_changes_nothing(open_run: OpenRun, crash: int) -> None:
    """Killed behind any step, also the last of a stage, the rest is as it would have been."""
    Program().train(open_run(total=None), until=crash)

    assert Program().train(open_run(total=None)).seen == WHOLE[crash:]


@pytest.mark.parametrize(
    ("resume", "first"), [("last-stage", 5), ("stage:1", 3), ("stage:easy", 3), ("stage:2", 5)]
)
def test_stages_can_be_started_again(open_run: OpenRun, resume: str, first: int) -> None:
    """From the middle of stage 3 one can go back to its start, or to that of stage 2."""
    Program().train(open_run(total=None), until=7)

    assert Program().train(open_run(total=None, resume=resume)).seen == WHOLE[first:]


def test_finished_stages_leave_a_checkpoint_that_is_kept(open_run: OpenRun) -> None:
    """Retention never removes the end of a stage."""
    run = open_run(total=None, save=every(steps=1))
    Program().train(run)

    kinds = {info.step: info.kind for info in run.store.list()}
    assert (kinds[3], kinds[5], kinds[9]) == ("stage", "stage", "final")
    assert run.store.get(5).stage == "middle"


def test_checkpoints_of_later_stages_can_be_deleted_by_hand(open_run: OpenRun) -> None:
    """`rm -rf` of what came after stage 1 resumes with stage 2."""
    run = open_run(total=None)
    Program().train(run, until=7)
    for info in run.store.list():
        if info.step > 3:
            for path in sorted(info.path.iterdir()):
                path.unlink()
            info.path.rmdir()

    assert Program().train(open_run(total=None)).seen == WHOLE[3:]


def test_a_stage_that_is_left_early_is_over(open_run: OpenRun) -> None:
    """Breaking out of a stage ends it, and the next one has its full length."""
    run = open_run(total=None)
    taken = []
    for stage in run.stages(STAGES[:2]):
        for step in stage:
            taken.append((stage.index, step))
            if step == 1:
                break

    assert taken == [(1, 1), (2, 2), (2, 3)]
    assert [(info.step, info.kind) for info in run.store.list() if info.kind != "step"] == [
        (1, "stage"),
        (3, "final"),
    ]


def test_the_running_stage_is_known_before_the_loop(open_run: OpenRun) -> None:
    """A program can build what its stage needs before anything is restored."""
    Program().train(open_run(total=None, keep=keep_last(1)), until=4)

    run = open_run(total=None)
    stage = next(run.stages(STAGES))

    assert (stage.index, stage.name, stage.start, stage.end, stage.count) == (2, "middle", 3, 5, 3)
    assert run.stage is not None
    assert run.stage.name == "middle"


def test_a_finished_curriculum_yields_nothing(open_run: OpenRun) -> None:
    """All stages done is done."""
    Program().train(open_run(total=None))

    assert Program().train(open_run(total=None)).seen == []


@pytest.mark.parametrize("stages", [[], [Stage("a", 1), Stage("a", 2)]])
def test_impossible_curricula_are_refused(open_run: OpenRun, stages: list[Stage]) -> None:
    """No stage at all, or two of one name, is a mistake."""
    with pytest.raises(UsageError):
        next(open_run(total=None).stages(stages))


def test_a_stage_has_a_length() -> None:
    """A stage of no steps is a mistake."""
    with pytest.raises(UsageError, match="0 steps"):
        Stage("none", steps=0)


def test_a_generator_of_stages_is_used_once(open_run: OpenRun) -> None:
    """Whatever can be iterated over is a curriculum."""
    run = open_run(total=None)
    seen = [(stage.name, step) for stage in run.stages(x for x in STAGES[:2]) for step in stage]

    assert seen == [("easy", 1), ("easy", 2), ("easy", 3), ("middle", 4), ("middle", 5)]


def _changes(run: Run) -> list[Any]:
    events = Journal(run.path / "journal.jsonl").events("config_changed")
    return [row["changes"]["stages"] for row in events if "stages" in row["changes"]]


@pytest.mark.parametrize(
    ("stages", "seen"),
    [
        ([Stage("a", 3), Stage("z", 2)], [("z", 5)]),
        ([Stage("b", 2), Stage("a", 3)], [("a", 5), ("a", 6)]),
        ([Stage("a", 9), Stage("b", 3)], [("b", 5), ("b", 6)]),
        ([Stage("a", 3), Stage("b", 2), Stage("c", 1)], [("b", 5), ("c", 6)]),
    ],
)
def test_a_changed_curriculum_is_told_and_journalled(
    open_run: OpenRun,
    capsys: pytest.CaptureFixture[str],
    stages: list[Stage],
    seen: list[tuple[str, int]],
) -> None:
    """Renamed, swapped, longer: the run goes on at its place, and nobody misses it."""
    was = [["a", 3], ["b", 2]]
    _train(open_run(total=None), [Stage("a", 3), Stage("b", 2)], until=4)
    run = open_run(total=None)

    assert _train(run, stages) == seen
    now = [[each.name, each.steps] for each in stages]
    assert _changes(run) == [[was, now]]
    assert capsys.readouterr().out.count("stages changed: a (3), b (2) -> ") == 1
    _train(open_run(total=None), stages)
    assert _changes(run) == [[was, now]]


def test_the_same_curriculum_is_no_change(open_run: OpenRun) -> None:
    """Also if its overrides are others: they are the program's."""
    _train(open_run(total=None), [Stage("a", 3), Stage("b", 2)], until=4)
    run = open_run(total=None)
    _train(run, [Stage("a", 3), Stage("b", 2, {"lr": 0.5})])

    assert _changes(run) == []


@pytest.mark.parametrize(
    ("stages", "until", "problem"),
    [
        ([Stage("a", 3)], 4, "stage 2, and the program has 1: a"),
        ([Stage("a", 3), Stage("b", 1)], 4, "'b', has 1 steps now, and 1 of it are done"),
        ([Stage("a", 2), Stage("b", 9)], 2, "'a', has 2 steps now, and 2 of it are done"),
        ([Stage("a", 3)], 5, "stage 2, and the program has 1: a"),
    ],
)
def test_a_curriculum_without_a_place_for_the_run_is_refused(
    open_run: OpenRun, stages: list[Stage], until: int, problem: str
) -> None:
    """A stage that was begun is gone, or would have ended before: nothing is trained."""
    _train(open_run(total=None), [Stage("a", 3), Stage("b", 3)], until=until)
    run = open_run(total=None)

    with pytest.raises(StateError, match=problem):
        run.stages(stages)
    assert run.step == until


def test_a_finished_stage_may_be_the_last_one_after_all(open_run: OpenRun) -> None:
    """Nothing of the second one was done: leaving it out ends the run."""
    _train(open_run(total=None), [Stage("a", 3), Stage("b", 3)], until=3)

    assert _train(open_run(total=None), [Stage("a", 3)]) == []


def _train(run: Run, stages: list[Stage], until: int | None = None) -> list[tuple[str, int]]:
    seen = []
    for stage in run.stages(stages):
        for step in stage:
            seen.append((stage.name, step))
            if step == until:
                run.end_step()
                return seen
    return seen


def test_overrides_are_applied_once_where_nothing_was_restored(open_run: OpenRun) -> None:
    """An `apply` that adds something adds it once for each stage."""
    run, applied = open_run(total=None), []
    for stage in run.stages(STAGES[:2], apply=lambda overrides: applied.append(overrides["lr"])):
        for _ in stage:
            pass

    assert applied == [0.1, 0.2]


GROWING = [
    Stage("plain", steps=2),
    Stage("fast", steps=2, overrides={"lr": 0.5, "batch": 8}),
    Stage("curious", steps=2, overrides={"curiosity": 0.1, "batch": 16}),
]


def _settings(run: Run, until: int | None = None) -> list[dict[str, Any]]:
    """Train with settings that nobody attached: each attempt has those that it was built with."""
    settings: dict[str, Any] = {"lr": 0.1}
    seen = []
    for stage in run.stages(GROWING, apply=settings.update):
        for step in stage:
            seen.append(dict(settings))
            if step == until:
                run.end_step()
                return seen
    return seen


@pytest.mark.parametrize("crash", [3, 4, 5])
def test_a_stage_keeps_the_overrides_of_the_stages_before_it(open_run: OpenRun, crash: int) -> None:
    """Its set is complete: a process that begins in it has what one has that has seen all."""
    fast = {"lr": 0.5, "batch": 8}
    curious = {"lr": 0.5, "batch": 16, "curiosity": 0.1}
    whole = [{"lr": 0.1}] * 2 + [fast] * 2 + [curious] * 2
    assert _settings(open_run(total=None), until=crash) == whole[:crash]

    run = open_run(total=None)
    assert _settings(run) == whole[crash:]

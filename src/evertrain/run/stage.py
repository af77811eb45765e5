"""Curricula: stages in order, each with a length and hyper-parameters of its own.

`Plan` is the pure part: which stage is running, where it began and where it
ends. `StageLoop` is what the user iterates over.

Layer: run. Imports core only.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from evertrain.core.errors import UsageError

if TYPE_CHECKING:
    from evertrain.run.run import Run


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a curriculum.

    Attributes:
        name: For people, e.g. "M4.5 @ 50kN".
        steps: Its length, in steps of the run; 1 or more.
        overrides: Hyper-parameters that change when it starts.
    """

    name: str
    steps: int
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject a stage without a step."""
        if self.steps < 1:
            raise UsageError(
                f"stage {self.name!r} has {self.steps} steps.",
                "a stage trains for at least one step.",
                "Give it steps=1 or more, or leave the stage out.",
            )


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands in its curriculum.

    Attributes:
        index: Number of the running stage, from 0; the count of stages after the last.
        start: Step at which it began.
    """

    index: int = 0
    start: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """The curriculum.

    Attributes:
        stages: In order; at least one.
    """

    stages: tuple[Stage, ...]

    def end(self, at: Position) -> int:
        """Return the step at which the stage of `at` ends."""
        return at.start + self.stages[at.index].steps

    def total(self, at: Position) -> int:
        """Return the step at which the last stage ends, seen from `at`."""
        return at.start + sum(stage.steps for stage in self.stages[at.index :])

    def is_over(self, at: Position) -> bool:
        """Say whether every stage is finished."""
        return at.index >= len(self.stages)


def make_plan(stages: Sequence[Stage]) -> Plan:
    """Return the plan of `stages`.

    Raises:
        UsageError: There is none, or two have the same name.
    """
    names = [stage.name for stage in stages]
    if names and len(set(names)) == len(names):
        return Plan(tuple(stages))
    raise UsageError(
        f"the stages are called {names}.",
        "a curriculum has at least one stage, and each its own name.",
        'Give e.g. [Stage("easy", steps=1000), Stage("hard", steps=1000)].',
    )


Apply = Callable[[Mapping[str, Any]], None]


@dataclass(slots=True)
class Curriculum:
    """Where a run stands among its stages, and how overrides become real.

    Attributes:
        at: The position, part of every checkpoint.
        plan: The stages; None until the program names them.
        apply: Makes a stage's overrides real, or None.
    """

    at: Position = Position()
    plan: Plan | None = None
    apply: Apply | None = None

    @property
    def is_over(self) -> bool:
        """Whether there is a plan, and every stage of it is finished."""
        return self.plan is not None and self.plan.is_over(self.at)

    @property
    def total(self) -> int | None:
        """Step at which the last stage ends, or None without a plan."""
        return self.plan.total(self.at) if self.plan else None

    def running(self, run: "Run") -> "StageLoop | None":
        """Return the stage that runs, or None."""
        if self.plan is None or self.plan.is_over(self.at):
            return None
        return StageLoop(run, self.plan, self.at)

    def move_on(self, run: "Run", *, ends_stage: bool) -> "StageLoop | None":
        """Go to the next stage if the running one has ended; return the ended one.

        Args:
            run: Its `step` decides.
            ends_stage: Whether the stage ends here, complete or not.
        """
        ended = self.running(run)
        if self.plan is None or ended is None:
            return None
        if run.step >= ended.end or ends_stage:
            self.at = Position(ended.index, run.step)
            return ended
        return None


class StageLoop:
    """One stage while it runs: iterate over it for its steps.

    Attributes:
        name: Name of the stage.
        index: Its number, from 1.
        count: How many stages there are.
        start: Step at which it began.
        end: Step at which it ends.
        overrides: Its hyper-parameters.
    """

    def __init__(self, run: "Run", plan: Plan, at: Position) -> None:
        """Do not call: `Run.stages` makes these."""
        stage = plan.stages[at.index]
        self.name = stage.name
        self.index = at.index + 1
        self.count = len(plan.stages)
        self.start = at.start
        self.end = plan.end(at)
        self.overrides = dict(stage.overrides)
        self._run = run

    @property
    def is_over(self) -> bool:
        """Whether its last step is done."""
        return self._run.step >= self.end or self._run.is_over

    def __iter__(self) -> Iterator[int]:
        """Yield the number of each step about to end, until the stage ends."""
        for step in self._run:
            yield step
            if self._run.end_step() and self.is_over:
                return

    def __repr__(self) -> str:
        """Return e.g. "stage 2/4: M5.7 @ 100kN"."""
        return f"stage {self.index}/{self.count}: {self.name}"


class StagesLoop:
    """The stages that are left.

    A `for` loop over them trains; `next` alone only looks at the first one. Leaving
    the loop early ends the run, so the two are told apart: only a loop asks for an iterator.

    Args:
        stages: Begins and ends the stages.
        enter: Called when a loop begins.
    """

    def __init__(self, stages: Iterator[StageLoop], enter: Callable[[], None]) -> None:
        """Begin no stage yet."""
        self._stages, self._enter = stages, enter

    def __iter__(self) -> Self:
        """Begin the loop."""
        self._enter()
        return self

    def __next__(self) -> StageLoop:
        """Return the next stage."""
        return next(self._stages)

"""Curricula: stages in order, each with a length and hyper-parameters of its own.

`Plan` is the pure part: which stage is running, where it began and where it
ends. `StageLoop` is what the user iterates over.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from evertrain.checkpoint.store import MAX_STEP
from evertrain.core.errors import StateError, UsageError
from evertrain.run.arguments import as_index

if TYPE_CHECKING:
    from evertrain.run.run import Run


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a curriculum.

    Attributes:
        name: For people, e.g. "M4.5 @ 50kN".
        steps: Its length, in steps of the run; 1 or more.
        overrides: Hyper-parameters that change when it starts, and stay so in the
            stages behind it, until one of those changes them again.
    """

    name: str
    steps: int
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject a stage without a name, a length or a mapping; make the length an int."""
        name: object = self.name
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise UsageError(
                f"a stage is called {name!a:.80}.",
                "its name is printed, and `stage:NAME` goes back to it.",
                'Give it a line of text: Stage("easy", steps=1000)',
            )
        steps = as_index(self.steps)
        if steps is None or not 1 <= steps <= MAX_STEP:
            raise UsageError(
                f"stage {self.name!r} has {self.steps!r:.80} steps.",
                "a stage trains for a whole number of steps, at least one.",
                "Give it steps=1 or more, or leave the stage out.",
            )
        if not isinstance(self.overrides, Mapping):
            raise UsageError(
                f"stage {self.name!r} has the overrides {self.overrides!r:.80}.",
                "they go by the names of hyper-parameters.",
                "Give a dict, overrides={'lr': 0.1}, or leave them out.",
            )
        object.__setattr__(self, "steps", steps)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands in its curriculum.

    Attributes:
        index: Number of the running stage, from 0; the count of stages after the last.
        start: Step at which it began.
    """

    index: int = 0
    start: int = 0


Outline = list[list[Any]]


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

    def overrides(self, at: Position) -> dict[str, Any]:
        """Return what the stages up to that of `at` have changed: a new process needs all of it."""
        begun = self.stages[: at.index + 1]
        return {name: value for stage in begun for name, value in stage.overrides.items()}

    def is_over(self, at: Position) -> bool:
        """Say whether every stage is finished."""
        return at.index >= len(self.stages)

    @property
    def outline(self) -> Outline:
        """Name and length of each stage, as JSON has it."""
        return [[each.name, each.steps] for each in self.stages]

    def check_holds(self, at: Position, step: int) -> None:
        """Refuse a plan that has no place for a run at `at`, whose last ended step is `step`.

        Raises:
            StateError: A stage that was begun is not there, or is over before `step`.
        """
        begun = at.index + (step > at.start)
        if begun > len(self.stages):
            raise StateError(
                f"the run is in or behind its stage {begun}, and the program has"
                f" {len(self.stages)}: {', '.join(each.name for each in self.stages)}.",
                "a stage that was begun cannot be taken back by leaving it out.",
                "Name it, also where it is finished; or go back: --resume stage:N, or never",
            )
        if step > at.start and step >= self.end(at):
            stage = self.stages[at.index]
            raise StateError(
                f"stage {at.index + 1}, {stage.name!r}, has {stage.steps} steps now,"
                f" and {step - at.start} of it are done.",
                "it would have ended before this step.",
                f"Give it {step - at.start + 1} steps or more; or start it again:"
                " --resume last-stage",
            )


def make_plan(stages: Iterable[Stage]) -> Plan:
    """Return the plan of `stages`, which are looked at once: a generator will do.

    Raises:
        UsageError: There is none, one is no stage, or two have the same name.
    """
    given: object = stages
    found = tuple(given) if isinstance(given, Iterable) else (given,)
    odd = [each for each in found if not isinstance(each, Stage)]
    if odd:
        raise UsageError(
            f"run.stages() got {odd[0]!r:.80} for a stage.",
            "a curriculum is a list of stages.",
            'Give e.g. [Stage("easy", steps=1000), Stage("hard", steps=1000)].',
        )
    names = [stage.name for stage in found]
    if names and len(set(names)) == len(names):
        return Plan(found)
    raise UsageError(
        f"the stages are called {names}.",
        "a curriculum has at least one stage, and each its own name.",
        'Give e.g. [Stage("easy", steps=1000), Stage("hard", steps=1000)].',
    )


Apply = Callable[[Mapping[str, Any]], None]


def outline_of(outline: Outline) -> str:
    """Return e.g. "easy (100), hard (200)"."""
    return ", ".join(f"{name} ({steps})" for name, steps in outline)


@dataclass(slots=True)
class Curriculum:
    """Where a run stands among its stages, and how overrides become real.

    Attributes:
        at: The position, part of every checkpoint.
        known: Names and lengths of the stages that the checkpoint was saved with, or None.
        plan: The stages; None until the program names them.
        apply: Makes a stage's overrides real, or None.
    """

    at: Position = Position()
    known: Outline | None = None
    plan: Plan | None = None
    apply: Apply | None = None

    def adopt(self, plan: Plan, apply: Apply | None, step: int) -> tuple[Outline, Outline] | None:
        """Go on with `plan`; return what it was and what it is now, or None if that is the same.

        Args:
            plan: The stages as the program names them now.
            apply: Makes a stage's overrides real, or None.
            step: The last step that ended.

        Raises:
            StateError: The position is none of this plan's.
        """
        plan.check_holds(self.at, step)
        self.plan, self.apply = plan, apply
        was, self.known = self.known, plan.outline
        return None if was is None or was == self.known else (was, self.known)

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
        overrides: Its hyper-parameters, and those of the stages before it that stay in force.
    """

    def __init__(self, run: "Run", plan: Plan, at: Position) -> None:
        """Do not call: `Run.stages` makes these."""
        stage = plan.stages[at.index]
        self.name = stage.name
        self.index = at.index + 1
        self.count = len(plan.stages)
        self.start = at.start
        self.end = plan.end(at)
        self.overrides = plan.overrides(at)
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

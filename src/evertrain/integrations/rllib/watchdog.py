"""New steps of the environments, counted: the only sign that RLlib is training.

When all its runners are dead or hang, RLlib's `train()` returns normally, its
iteration counter rises, and nothing was learned; its own lifetime counter of steps
counts double after a restore. So the steps of each result are added up here, and a
training that gets none for long is ended, with what its runners said last.

Layer: integrations. Imports core and its siblings.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from evertrain.core.clock import SYSTEM_CLOCK, Clock, human_duration
from evertrain.core.errors import EnvError
from evertrain.integrations.rllib.faults import Faults

_NEW: Final = ("env_runners", "num_env_steps_sampled")
_OLD: Final = "num_env_steps_sampled_this_iter"


class NoStepsError(EnvError):
    """RLlib goes on, but no environment takes a step any more."""


class EnvStepWatchdog:
    """Counts new steps, and ends a training that has none.

    Attach it beside the algorithm, and its count goes on over restarts:
    `run.attach(algorithm=algorithm, steps=watchdog)`.

    Args:
        algorithm: Whose results are looked at.
        max_empty: Iterations without a step, one after another, that end the training.
            RLlib itself needs two or three to replace a runner that died.
        max_minutes: Minutes without a step that end it, in two iterations or more.
        clock: Source of the time.

    Attributes:
        steps: Steps of the environments since the training began.
        empty: Iterations without a step since the last one that had some.
    """

    def __init__(
        self,
        algorithm: Any,
        *,
        max_empty: int = 10,
        max_minutes: float = 15.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Listen to what RLlib says of its runners."""
        self.steps = 0
        self.empty = 0
        self._algorithm = algorithm
        self._max_empty = max_empty
        self._max_s = 60 * max_minutes
        self._clock = clock
        self._since_s = clock.monotonic_s()
        self._faults = Faults()

    def look(self, result: Mapping[str, Any]) -> int:
        """Return the new steps in what `algorithm.train()` returned.

        Raises:
            NoStepsError: There were none for too long.
        """
        new = new_steps(result)
        self.steps += new
        if new:
            self.empty = 0
            self._since_s = self._clock.monotonic_s()
            self._faults.forget()
            return new
        self.empty += 1
        passed_s = self._clock.monotonic_s() - self._since_s
        if self.empty >= self._max_empty or (self.empty > 1 and passed_s >= self._max_s):
            raise self._no_steps(passed_s)
        return 0

    def state_dict(self) -> dict[str, int]:
        """Return the count. What is missed since then is this attempt's."""
        return {"steps": self.steps}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on counting."""
        self.steps = int(state["steps"])

    def _no_steps(self, passed_s: float) -> NoStepsError:
        cause = self._faults.last() or "no runner said why"
        healthy, restarts = _runners(self._algorithm)
        return NoStepsError(
            f"{self.empty} iterations of RLlib in {human_duration(passed_s)} had no step of an"
            f" environment; {healthy} healthy runners, {restarts} restarts: {cause}",
            "train() returns normally then, and learns nothing.",
            "Mend the environment; with num_env_runners=0 its exception ends the training.",
        )


def new_steps(result: Mapping[str, Any]) -> int:
    """Return the steps of environments that one iteration sampled, on either API stack.

    Args:
        result: What `algorithm.train()` returned. After a fault it may lack most keys.
    """
    inner = result.get(_NEW[0])
    found = inner.get(_NEW[1]) if isinstance(inner, Mapping) else None
    if found is None:
        found = result.get(_OLD, 0)
    number = float(found)
    return 0 if math.isnan(number) else int(number)


def _runners(algorithm: Any) -> tuple[int, int]:
    group = getattr(algorithm, "env_runner_group", None)
    if group is None:
        return 0, 0
    return group.num_healthy_remote_workers(), group.num_remote_worker_restarts()

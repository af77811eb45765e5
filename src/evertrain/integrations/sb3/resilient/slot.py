"""One place of the vector, whichever environment serves it.

Layer: integrations. Imports its siblings only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.envs.attributes import put_value, take_value
from evertrain.integrations.sb3.resilient.restart import FAILURE, RESTARTED


@dataclass(slots=True)
class Slot:
    """What is known about one index; the workers come and go.

    Attributes:
        index: From 0.
        seed: What it was last seeded with; None if it never was.
        restarts: How often it was restarted over the whole run.
        charged: How many of these count for the factory that serves it now.
        charged_at_s: When these were, as far as this process knows, monotonic seconds.
        failures: How often it died since it last took a step.
        is_spare: Whether it is quarantined, and the spare serves it.
        attributes: What `set_attr` set, for the environments to come.
        observation: The last one that the training was given.
        reset_info: Of the last reset.
        fresh: First observation of an environment that was restarted.
        restarted: About a restart that the training has not been told of.
        is_owed: Whether an episode was lost: the next step has to end it.
        is_in_use: Whether the training has begun: an environment that comes late is reset.
    """

    index: int
    seed: int | None = None
    restarts: int = 0
    charged: int = 0
    charged_at_s: list[float] = field(default_factory=list)
    failures: int = 0
    is_spare: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)
    observation: Any = None
    reset_info: dict[str, Any] = field(default_factory=dict)
    fresh: Any = None
    restarted: dict[str, Any] | None = None
    is_owed: bool = False
    is_in_use: bool = False

    def seeds(self) -> tuple[int | None, int | None]:
        """Return seeds for a restarted environment's reset, and for its worker's generators.

        They follow from the seed of the index and the number of restarts, so that a run
        that is resumed restarts as the uninterrupted one. Without a seed, chance decides.
        """
        if self.seed is None:
            return None, None
        words = np.random.SeedSequence([self.seed, self.index, self.restarts]).generate_state(2)
        for_reset, for_worker = (int(word) // 2 for word in words)
        return for_reset, for_worker

    def charge(self, now_s: float) -> None:
        """Count one more restart.

        Args:
            now_s: Monotonic seconds.
        """
        self.restarts += 1
        self.charged += 1
        self.failures += 1
        self.charged_at_s.append(now_s)

    def quarantine(self) -> None:
        """Let the spare serve the index; it has a budget of its own."""
        self.is_spare = True
        self.charged = 0
        self.charged_at_s.clear()

    def begin_reset(self, seed: int | None) -> None:
        """Begin to reset the environment; whatever it owed is forgotten."""
        self.is_in_use = True
        self.seed = self.seed if seed is None else seed
        self.is_owed = False
        self.restarted = None

    def end_reset(self, answer: Sequence[Any] | None) -> None:
        """Take the observation and the info of the reset, or those of a restarted environment."""
        if answer is not None:
            self.observation, self.reset_info = answer
        else:
            self.observation = self.fresh
            self._tell(self.reset_info)
        self.is_owed = False

    def begin_episode(self, answer: Sequence[Any] | None, info: dict[str, Any]) -> Any:
        """Return the first observation behind an episode that ended as it should.

        Args:
            answer: Observation and info of the reset; None if the environment died in it.
            info: Of the last step; it tells of that.
        """
        if answer is not None:
            observation, self.reset_info = answer
            return observation
        self._tell(info)
        return self.fresh

    def settle(self, reward: Any) -> tuple[Any, Any, bool, dict[str, Any]]:
        """Return observation, reward, done and info of the step in which an episode was lost.

        The last observation stands in for the next one, which nobody knows: what follows
        is worth what it was worth there.
        """
        terminal = self.fresh if self.observation is None else self.observation
        info = {"TimeLimit.truncated": True, "terminal_observation": terminal}
        self._tell(info)
        self.observation = self.fresh
        self.is_owed = False
        return self.observation, reward, True, info

    def capture(self) -> Tree:
        """Return what a resumed run has to know."""
        return {
            "seed": self.seed,
            "restarts": self.restarts,
            "charged": self.charged,
            "is_spare": self.is_spare,
            "observation": take_value(self.observation),
            "owed": [take_value(self.fresh), take_value(self.restarted)] if self.is_owed else None,
        }

    def restore(self, tree: Tree) -> None:
        """Put it back; the worker is another matter."""
        for name in ("seed", "restarts", "charged", "is_spare"):
            setattr(self, name, tree[name])
        self.is_in_use = True
        self.observation = put_value(None, tree["observation"])
        self.is_owed = tree["owed"] is not None
        owed = tree["owed"] or (None, None)
        self.fresh, self.restarted = (put_value(None, each) for each in owed)

    def _tell(self, info: dict[str, Any]) -> None:
        info |= {RESTARTED: True, FAILURE: self.restarted}
        self.restarted = None

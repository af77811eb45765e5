"""Every number of the air traffic recipe, in one model with its presets.

Units are in the names. "default" has a network as large as the guide's, "small"
learns the same in minutes, "frail" is "small" on a simulator that crashes.

Layer: recipes. Imports its siblings.
"""

from math import isclose
from typing import Any, Final, Literal, NamedTuple, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic import model_validator as check

from evertrain.recipes.seeds import MOST_EPISODES
from evertrain.recipes.settings import (
    CheckpointConfig,
    Device,
    Strict,
    falling,
    refuse_broken_batches,
)

REAL_STEP_S: Final = 0.05  # BlueSky's own step, with which it keeps up with a clock on the wall
USUAL_TIMEWARP: Final = 20.0


class Usual(NamedTuple):
    """What a scenario has where the configuration says nothing."""

    timewarp: float
    action_interval_s: float
    episode_actions: int


_USUAL: Final = {"sector": Usual(USUAL_TIMEWARP, 6.0, 200), "merge": Usual(100.0, 50.0, 50)}


class SimulatorConfig(Strict):
    """How hard the simulator is driven.

    Attributes:
        scenario: "sector": through a sector full of traffic. "merge": into the stream of
            arrivals.
        timewarp: Simulated seconds of a step of the simulator, over the 0.05 s with which it
            keeps up with a clock on the wall: 20 makes steps of 1 s. More is faster and
            coarser. None is the scenario's own: 20, or 100 in "merge".
        action_interval_s: Simulated seconds between two actions; a whole number of steps.
            None is 6 s, or 50 s in "merge".
        traffic: Other aircraft, as a multiple of the usual number.
        episode_actions: Actions after which an episode ends. None is the scenario's own: 200,
            or 50 in "merge".
    """

    scenario: Literal["sector", "merge"] = "sector"
    timewarp: PositiveFloat | None = None
    action_interval_s: PositiveFloat | None = None
    traffic: PositiveFloat = 1.0
    episode_actions: PositiveInt | None = None

    @property
    def warp(self) -> float:
        """The time warp in force."""
        return self.timewarp or _USUAL[self.scenario].timewarp

    @property
    def step_s(self) -> float:
        """Simulated time of one step of the simulator, s."""
        return self.warp * REAL_STEP_S

    @property
    def steps_per_action(self) -> int:
        """Steps of the simulator between two actions."""
        return max(1, round(self._interval_s / self.step_s))

    @property
    def episode_length(self) -> int:
        """Actions after which an episode ends."""
        return self.episode_actions or _USUAL[self.scenario].episode_actions

    @property
    def _interval_s(self) -> float:
        return self.action_interval_s or _USUAL[self.scenario].action_interval_s

    @check(mode="after")
    def _actions_come_on_steps(self) -> Self:
        found = self.steps_per_action * self.step_s
        if not isclose(found, self._interval_s, rel_tol=1e-6):
            msg = (
                f"an action each {self._interval_s:g} s is no whole number of steps of "
                f"{self.step_s:g} s (timewarp {self.warp:g}); the nearest is "
                f"action_interval_s={found:g}"
            )
            raise ValueError(msg)
        return self


class FaultConfig(Strict):
    """Crashes on purpose, so that an aggressive setting is one. By default there are none.

    Rates are those of one environment, per 1,000 steps, at a time warp of 20.

    Attributes:
        segfaults: The process dies.
        hangs: A step that never ends.
        errors: An exception.
        growth: Exponent: at twice the time warp, 2 to its power times as many.
    """

    segfaults: NonNegativeFloat = 0.0
    hangs: NonNegativeFloat = 0.0
    errors: NonNegativeFloat = 0.0
    growth: NonNegativeFloat = 2.0

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return self.segfaults + self.hangs + self.errors > 0

    def per_step(self, timewarp: float) -> dict[str, float]:
        """Return the probability of each in one step."""
        scale = (timewarp / USUAL_TIMEWARP) ** self.growth / 1000
        rates = {"segfault": self.segfaults, "hang": self.hangs, "error": self.errors}
        return {name: rate * scale for name, rate in rates.items()}


class PpoConfig(Strict):
    """Settings of PPO as plain data; the training module builds the model.

    Attributes:
        learning_rate: Adam step size at the start.
        final_learning_rate: Step size at the end; linear in between.
        n_steps: Steps per environment and rollout.
        batch_size: Samples per gradient step.
        n_epochs: Passes over each rollout.
        gamma: Discount factor per step.
        gae_lambda: Factor of the advantage estimate, 0 to 1.
        clip_range: Clipping range of the probability ratio.
        ent_coef: Weight of the entropy bonus.
        net_arch: Hidden layers of policy and value network each.
        log_std_init: Logarithm of the first standard deviation of actions.
    """

    learning_rate: PositiveFloat = 3e-4
    final_learning_rate: PositiveFloat = 3e-5
    n_steps: PositiveInt = 256
    batch_size: int = Field(default=256, ge=2)
    n_epochs: PositiveInt = 5
    gamma: float = Field(default=0.97, gt=0, le=1)
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    clip_range: PositiveFloat = 0.2
    ent_coef: NonNegativeFloat = 0.0
    net_arch: tuple[PositiveInt, ...] = (1891, 1891)
    log_std_init: float = -0.7

    def learning_rate_at(self, remaining: float) -> float:
        """Return the learning rate with a fraction of the training left, 1 to 0; clipped."""
        return falling(self.learning_rate, self.final_learning_rate, 1 - remaining)

    def arguments(self) -> dict[str, Any]:
        """Return keyword arguments of `stable_baselines3.PPO`, the learning rate as a schedule."""
        apart = {"final_learning_rate", "net_arch", "log_std_init"}
        network = {"net_arch": list(self.net_arch), "log_std_init": self.log_std_init}
        return {
            **self.model_dump(exclude=apart),
            "learning_rate": self.learning_rate_at,
            "policy_kwargs": network,
        }


class EvaluationConfig(Strict):
    """Flights that training never sees, without faults.

    Attributes:
        exams: How often the policy is examined while it trains.
        exam_episodes: Episodes of each of these.
        episodes: Episodes of the report at the end.
        envs: Simulators that are flown at once, each in a process of its own.
        seed: Of the episodes; those of exams and report differ, and another seed shares none.
    """

    exams: PositiveInt = 8
    exam_episodes: int = Field(default=8, ge=1, le=MOST_EPISODES)
    episodes: int = Field(default=40, ge=2, le=MOST_EPISODES)
    envs: PositiveInt = 2
    seed: int = Field(default=0, ge=0, le=2**30)


class AtcConfig(Strict):
    """The whole recipe.

    Attributes:
        seed: Of everything that is random in the training.
        steps: Of the training, all environments together.
        envs: Simulators, each in a process of its own.
        is_resilient: Whether a simulator that crashes is replaced alone. If not, its crash ends
            the attempt, and the supervisor starts the next one.
        hang_s: A simulator that takes longer for a step is given up, where it is replaced alone.
        device: What torch computes on: "cpu", "cuda", "cuda:1", or "auto".
        checkpoints: When to save, and what to keep.
        simulator: How hard it is driven.
        faults: Crashes on purpose.
        ppo: The learner.
        evaluation: The examination.
        normalize_clip: Observations and rewards are clipped at this many standard deviations.
    """

    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    steps: PositiveInt = 50_000
    envs: PositiveInt = 4
    is_resilient: bool = True
    hang_s: PositiveFloat = 30.0
    device: Device = "cpu"
    checkpoints: CheckpointConfig = CheckpointConfig()
    simulator: SimulatorConfig = SimulatorConfig()
    faults: FaultConfig = FaultConfig()
    ppo: PpoConfig = PpoConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    normalize_clip: PositiveFloat = 10.0

    @check(mode="after")
    def _batches_divide_rollouts(self) -> Self:
        refuse_broken_batches(
            n_steps=self.ppo.n_steps, envs=self.envs, batch_size=self.ppo.batch_size
        )
        return self


_SMALL: Final[dict[str, Any]] = {
    "steps": 204_800,
    "envs": 2,
    "simulator": {"timewarp": 60},
    "checkpoints": {"every_steps": 2_500},
    "ppo": {
        "net_arch": (128, 128),
        "learning_rate": 1e-3,
        "final_learning_rate": 1e-4,
        "n_steps": 2048,  # an aircraft alongside costs a hundred points: fewer are mostly luck
        "n_epochs": 10,
        "batch_size": 512,
        "ent_coef": 0.002,
        "log_std_init": -1.2,
    },
}

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "default": {"checkpoints": {"every_steps": 2_500}},
    "small": _SMALL,
    "frail": {
        **_SMALL,
        "simulator": {},
        "is_resilient": False,
        "ppo": {**_SMALL["ppo"], "n_steps": 256, "batch_size": 64},  # a crash costs a rollout
        "faults": {"segfaults": 0.1, "errors": 0.1},
    },
}

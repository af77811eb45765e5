"""Every number of the structure recipe, in one model with two presets.

Units are in the names. "default" trains for 1.4 million steps, "small" for about a minute
and a half.

Layer: recipes. Imports its siblings.
"""

from typing import Any, Final, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic import model_validator as check

from evertrain.recipes.settings import CheckpointConfig, Strict, broken_batches, falling

EXAM_SEED: Final = 1_000_003  # of the motions of the exams during a training


class BuildingConfig(Strict):
    """The bare building: a shear frame, linear and elastic.

    Attributes:
        storeys: Number of storeys.
        floor_mass_kg: Mass of each floor, in kg.
        storey_stiffness_n_m: Lateral stiffness of each storey, in N/m.
        soft_storey: Number of the weak storey, 1 at the ground.
        soft_storey_ratio: Its stiffness as a fraction of the others.
        damping_ratio: Fraction of critical damping of modes 1 and 2.
    """

    storeys: int = Field(default=12, ge=2)
    floor_mass_kg: PositiveFloat = 200e3
    storey_stiffness_n_m: PositiveFloat = 340e6
    soft_storey: PositiveInt = 8
    soft_storey_ratio: float = Field(default=0.6, gt=0, le=1)
    damping_ratio: float = Field(default=0.02, gt=0, lt=1)

    @check(mode="after")
    def _soft_storey_exists(self) -> Self:
        if self.soft_storey > self.storeys:
            msg = f"soft_storey {self.soft_storey} is above storey {self.storeys}"
            raise ValueError(msg)
        return self


class DamperConfig(Strict):
    """The active tuned mass damper on the roof.

    Spring and dashpot follow from the mass (see `building.tune`).

    Attributes:
        mass_ratio: Mass as a fraction of the whole building's.
        travel_m: Free travel to either side before a buffer, in m.
        buffer_stiffness_n_m: Spring of each buffer, in N/m.
        buffer_damping_ns_m: Dashpot of each buffer, in N s/m.
    """

    mass_ratio: float = Field(default=0.02, gt=0, lt=0.2)
    travel_m: PositiveFloat = 1.5
    buffer_stiffness_n_m: PositiveFloat = 10e6
    buffer_damping_ns_m: NonNegativeFloat = 400e3


class MotionConfig(Strict):
    """One earthquake: time grid, envelope and soil.

    The soil values are those of firm ground; they are a choice, not a site.

    Attributes:
        sample_s: Time between two samples, in s; also the step of the physics.
        duration_s: Length of the motion, in s.
        rise_s: Quadratic rise at the start, in s.
        plateau_s: Full strength after it, in s.
        decay_per_s: Rate of the exponential decay after that, in 1/s.
        ground_rad_s: Kanai-Tajimi ground frequency, in rad/s.
        ground_damping: Kanai-Tajimi damping, fraction of critical.
        filter_rad_s: Clough-Penzien high-pass frequency, in rad/s.
        filter_damping: Its damping, fraction of critical.
    """

    sample_s: PositiveFloat = 0.01
    duration_s: PositiveFloat = 20.0
    rise_s: PositiveFloat = 3.0
    plateau_s: PositiveFloat = 9.0
    decay_per_s: PositiveFloat = 0.25
    ground_rad_s: PositiveFloat = 12.5
    ground_damping: PositiveFloat = 0.6
    filter_rad_s: PositiveFloat = 1.5
    filter_damping: PositiveFloat = 0.6

    @property
    def samples(self) -> int:
        """Number of samples of a motion."""
        return round(self.duration_s / self.sample_s)


class ControlConfig(Strict):
    """How often the actuator is told what to do, and the LQR it is compared with.

    Attributes:
        samples_per_action: Physics steps per action. Four of 0.01 s make 0.04 s.
        lqr_force_weight: Weight of the squared relative force against the
            building's energy; smaller means a bolder LQR.
        lqr_stroke_weight: Weight of the damper's own energy, to keep it off its
            stops; 0 means that nobody minds them. The reward has the same weight.
    """

    samples_per_action: PositiveInt = 4
    lqr_force_weight: PositiveFloat = 1e-6
    lqr_stroke_weight: NonNegativeFloat = 0.2


class PpoConfig(Strict):
    """Settings of PPO as plain data; the training module builds the model.

    Attributes:
        learning_rate: Adam step size at the start of a stage.
        final_learning_rate: Step size at the end of it; linear in between.
        n_steps: Steps per environment and rollout.
        batch_size: Samples per gradient step.
        n_epochs: Passes over each rollout.
        gamma: Discount factor per step.
        gae_lambda: Factor of the advantage estimate, 0 to 1.
        clip_range: Clipping range of the probability ratio.
        ent_coef: Weight of the entropy bonus.
        vf_coef: Weight of the value loss.
        max_grad_norm: Gradient clipping, Euclidean norm.
        net_arch: Hidden layers of policy and value network each.
        log_std_init: Logarithm of the first standard deviation of actions.
    """

    learning_rate: PositiveFloat = 3e-4
    final_learning_rate: PositiveFloat = 5e-5
    n_steps: PositiveInt = 625
    batch_size: int = Field(default=250, ge=2)
    n_epochs: PositiveInt = 5
    gamma: float = Field(default=0.95, gt=0, le=1)
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    clip_range: PositiveFloat = 0.2
    ent_coef: NonNegativeFloat = 0.0
    vf_coef: NonNegativeFloat = 0.5
    max_grad_norm: PositiveFloat = 0.5
    net_arch: tuple[PositiveInt, ...] = (64, 64)
    log_std_init: float = 0.0

    def learning_rate_at(self, done: float) -> float:
        """Return the learning rate after a fraction of the stage.

        Args:
            done: Steps done over steps of the stage, 0 to 1; clipped to that.
        """
        return falling(self.learning_rate, self.final_learning_rate, done)

    def arguments(self) -> dict[str, Any]:
        """Return keyword arguments of `stable_baselines3.PPO`.

        `learning_rate` is the first one; pass a schedule made of
        `learning_rate_at` to have it fall. Network settings are under
        `policy_kwargs`.
        """
        apart = {"final_learning_rate", "net_arch", "log_std_init"}
        network = {"net_arch": list(self.net_arch), "log_std_init": self.log_std_init}
        return {**self.model_dump(exclude=apart), "policy_kwargs": network}


class PpoOverrides(Strict):
    """What a stage changes in `PpoConfig`; None keeps the common value.

    The network is not here: its shape cannot change between stages.
    """

    learning_rate: PositiveFloat | None = None
    final_learning_rate: PositiveFloat | None = None
    n_steps: PositiveInt | None = None
    batch_size: int | None = Field(default=None, ge=2)
    n_epochs: PositiveInt | None = None
    gamma: float | None = Field(default=None, gt=0, le=1)
    gae_lambda: float | None = Field(default=None, ge=0, le=1)
    clip_range: PositiveFloat | None = None
    ent_coef: NonNegativeFloat | None = None


class StageConfig(Strict):
    """One step of the curriculum.

    Attributes:
        magnitude: Moment magnitude; a label, the motion follows `pga_g`.
        pga_g: Peak ground acceleration, in multiples of gravity.
        max_force_kn: Limit of the actuator's force, in kN.
        steps: Environment steps of training, all environments together.
        ppo: What changes in PPO during this stage.
    """

    magnitude: PositiveFloat
    pga_g: PositiveFloat
    max_force_kn: PositiveFloat
    steps: PositiveInt
    ppo: PpoOverrides = PpoOverrides()

    @property
    def name(self) -> str:
        """Label of the stage, such as `M4.5 @ 50kN`."""
        return f"M{self.magnitude:g} @ {self.max_force_kn:g}kN"


class EvaluationConfig(Strict):
    """The examination on motions that training never sees.

    Attributes:
        motions: Motions per stage; paired over all controllers.
        seed: Seed of those motions; another seed, another examination. Those that the exams
            during the training have are none of the report's.
    """

    motions: int = Field(default=60, ge=2)
    seed: int = Field(default=0, ge=0, lt=EXAM_SEED)


class StructureConfig(Strict):
    """The whole recipe.

    Attributes:
        seed: Seed of everything that is random in the training.
        checkpoints: When to save, and what to keep.
        building: The frame.
        damper: The damper on its roof.
        motion: The earthquakes.
        control: The actuator's clock and the reference controller.
        ppo: Common PPO settings.
        stages: The curriculum, in order; at least one.
        evaluation: The examination.
        envs: Environments that are stepped together.
        normalize_clip: VecNormalize clips observations and rewards at this many
            standard deviations.
        device: Where the networks are: "cpu", which is faster for such small ones, "cuda",
            or "auto".
        exports: Directory for models as files of SB3's own, of each stage and of the end;
            None writes none.
    """

    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    checkpoints: CheckpointConfig = CheckpointConfig()
    building: BuildingConfig = BuildingConfig()
    damper: DamperConfig = DamperConfig()
    motion: MotionConfig = MotionConfig()
    control: ControlConfig = ControlConfig()
    ppo: PpoConfig = PpoConfig()
    stages: tuple[StageConfig, ...] = Field(min_length=1)
    evaluation: EvaluationConfig = EvaluationConfig()
    envs: PositiveInt = 4
    normalize_clip: PositiveFloat = 10.0
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    exports: str | None = Field(default=None, min_length=1)

    @property
    def action_s(self) -> float:
        """Time between two actions, in s."""
        return self.motion.sample_s * self.control.samples_per_action

    @property
    def actions(self) -> int:
        """Number of actions in one earthquake, that is, steps of an episode."""
        return self.motion.samples // self.control.samples_per_action

    def ppo_of(self, stage: int) -> PpoConfig:
        """Return the PPO settings that apply in a stage, overrides included.

        Args:
            stage: Index into `stages`, from 0.
        """
        changed = self.stages[stage].ppo.model_dump(exclude_none=True)
        return self.ppo.model_copy(update=changed)

    @check(mode="after")
    def _batches_divide_rollouts(self) -> Self:
        faults = []
        for index, stage in enumerate(self.stages):
            ppo = self.ppo_of(index)
            fault = broken_batches(n_steps=ppo.n_steps, envs=self.envs, batch_size=ppo.batch_size)
            if fault is not None:
                faults.append(f"stage {index} ({stage.name}): {fault}")
        if self.actions < 1:
            faults.append("a motion must be longer than one action")
        if faults:
            raise ValueError("; ".join(faults))
        return self


def _stages(steps: tuple[int, ...], later: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the four stages of the curriculum with their budgets (steps).

    Args:
        steps: Budget of each stage.
        later: PPO overrides of the stages after the first.
    """
    shakes = [(4.5, 0.25, 50), (5.7, 0.35, 100), (7.4, 0.75, 150), (8.4, 0.90, 150)]
    return [
        {
            "magnitude": magnitude,
            "pga_g": pga_g,
            "max_force_kn": max_force_kn,
            "steps": budget,
            "ppo": later if index else {},
        }
        for index, ((magnitude, pga_g, max_force_kn), budget) in enumerate(
            zip(shakes, steps, strict=True)
        )
    ]


PRESETS: Final[dict[str, dict[str, Any]]] = {
    "default": {
        "stages": _stages(
            (300_000, 300_000, 400_000, 400_000),
            {"learning_rate": 2e-4, "n_steps": 1250, "batch_size": 500},
        ),
    },
    "small": {
        "checkpoints": {"every_steps": 10_000},
        "ppo": {"n_epochs": 10, "final_learning_rate": 1e-4},
        "stages": _stages((40_000,) * 4, {"learning_rate": 2.5e-4, "n_steps": 500}),
    },
}

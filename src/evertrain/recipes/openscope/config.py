"""Every number of the openscope recipe, in one model with its presets.

Units are in the names. "default" is a night of training, "small" some minutes; "conservative"
and "extreme" are the ends of a ladder of time warps.

Layer: recipes. Imports its siblings and core; integrations when the game's own rules are asked.
"""

from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic import model_validator as check

from evertrain.core.errors import ConfigError
from evertrain.recipes.seeds import MOST_EPISODES
from evertrain.recipes.settings import CheckpointConfig, Device, Strict, refuse_broken_batches

if TYPE_CHECKING:
    from evertrain.integrations.browser import GameSettings


class GameConfig(Strict):
    """The game; see `evertrain.integrations.browser.GameSettings`, which has the same names.

    Attributes:
        url: Where it is served.
        chromium: Path of a Chromium; None looks for one.
        airport: ICAO code; None takes the one that the game opens with.
        timewarp: Seconds of the game in one second of the page.
        frame_ms: Virtual milliseconds of the page from frame to frame.
        action_s: Seconds of the game between two actions; a whole number of frames.
        episode_steps: Actions after which an episode ends.
        slots: Aircraft that are observed, and may be told something.
        instructions: What else an aircraft can be told, such as "i 25L".
        points_per_reward: Points of the game's score that make a reward of 1.
        conflict_cost: Taken off for each pair of aircraft that is close, at each step.
        violation_cost: The same, for each pair closer than the rules allow.
        start_s: Longest time to start a browser and begin a game, seconds.
        step_s: Longest time of one action, seconds.
        starts: Attempts to begin a game.
    """

    url: str = "http://localhost:3003"
    chromium: str | None = None
    airport: str | None = "klas"
    timewarp: PositiveFloat = 20.0
    frame_ms: PositiveInt = 50
    action_s: PositiveFloat = 6.0
    episode_steps: PositiveInt = 300
    slots: PositiveInt = 12
    instructions: tuple[str, ...] = ()
    points_per_reward: PositiveFloat = 10.0
    conflict_cost: NonNegativeFloat = 0.05
    violation_cost: NonNegativeFloat = 0.2
    start_s: PositiveFloat = 120.0
    step_s: PositiveFloat = 30.0
    starts: PositiveInt = 3


class PpoConfig(Strict):
    """Settings of PPO as plain data; the training module builds the model.

    Attributes:
        learning_rate: Adam step size.
        n_steps: Steps per environment and rollout.
        batch_size: Samples per gradient step.
        n_epochs: Passes over each rollout.
        gamma: Discount factor per step.
        ent_coef: Weight of the entropy bonus.
        net_arch: Hidden layers of policy and value network each.
    """

    learning_rate: PositiveFloat = 3e-4
    n_steps: PositiveInt = 256
    batch_size: int = Field(default=128, ge=2)
    n_epochs: PositiveInt = 5
    gamma: float = Field(default=0.98, gt=0, le=1)
    ent_coef: NonNegativeFloat = 0.01
    net_arch: tuple[PositiveInt, ...] = (256, 256)

    def arguments(self) -> dict[str, Any]:
        """Return keyword arguments of `stable_baselines3.PPO`."""
        chosen = self.model_dump(exclude={"net_arch"})
        return {**chosen, "policy_kwargs": {"net_arch": list(self.net_arch)}}


class GuideCheckpointConfig(CheckpointConfig):
    """As that of all recipes, but saved as often as the guide does."""

    every_steps: PositiveInt | None = 2_500


class EvaluationConfig(Strict):
    """The report at the end, on games that training never sees.

    Attributes:
        games: How many of them, for each controller.
        seed: Of the games; another seed, other games.
    """

    games: int = Field(default=10, ge=2, le=MOST_EPISODES)
    seed: int = Field(default=0, ge=0, le=2**30)


class OpenscopeConfig(Strict):
    """The whole recipe.

    Attributes:
        seed: Of everything that is random in the training.
        steps: Of the training, all environments together.
        envs: Games at a time, each in a browser of its own.
        device: What torch computes on: "cpu", "cuda", "cuda:1", or "auto".
        game: What is played.
        checkpoints: When to save, and what to keep.
        ppo: The learner.
        evaluation: The report.
        normalize_clip: Observations and rewards are clipped at this many standard deviations.
    """

    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    steps: PositiveInt = 50_000
    envs: PositiveInt = 2
    device: Device = "cpu"
    game: GameConfig = GameConfig()
    checkpoints: GuideCheckpointConfig = GuideCheckpointConfig()
    ppo: PpoConfig = PpoConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    normalize_clip: PositiveFloat = 10.0

    @check(mode="after")
    def _batches_divide_rollouts(self) -> Self:
        refuse_broken_batches(
            n_steps=self.ppo.n_steps, envs=self.envs, batch_size=self.ppo.batch_size
        )
        return self

    @check(mode="after")
    def _game_can_work(self) -> Self:
        """Ask the game's own rules. Where its packages are missing, nobody can train anyway."""
        try:
            game_settings(self.game)
        except ModuleNotFoundError:
            return self
        except ConfigError as error:
            raise ValueError(error.what) from error
        return self


def game_settings(config: GameConfig) -> "GameSettings":
    """Return the settings of the environment.

    Raises:
        ConfigError: They cannot work.
        ModuleNotFoundError: A package of the game is not installed.
    """
    from evertrain.integrations.browser.settings import INSTRUCTIONS, GameSettings

    more = {"instructions": (*INSTRUCTIONS, *config.instructions)}
    return GameSettings(**(config.model_dump() | more))


PRESETS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "small": {
        "steps": 8_192,
        "envs": 1,
        "game": {"episode_steps": 120},
        "ppo": {"net_arch": (64, 64)},
    },
    "conservative": {"game": {"timewarp": 10.0}},
    "extreme": {"game": {"timewarp": 40.0}},
}

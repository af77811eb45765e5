"""Every number of the hide-and-seek recipe, in one model with two presets.

The keys of the section `ppo` that say when and where to save are those of the
guide that this recipe follows: `checkpoint_freq` and `checkpoint_dir`.

Layer: recipes. Imports pydantic only.
"""

from typing import Any, Final, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic import model_validator as check

from evertrain.recipes.settings import Strict


class GameConfig(Strict):
    """The game: `simple_tag_v3` of mpe2, in which who seeks is slower than who hides.

    Attributes:
        seekers: Agents that are rewarded for touching a hider; all of them for each touch.
        hiders: Agents that lose as much, and pay for leaving the field.
        obstacles: Round walls that nobody passes.
        episode_steps: Steps of a game; it never ends earlier.
    """

    seekers: PositiveInt = 3
    hiders: PositiveInt = 1
    obstacles: int = Field(default=2, ge=0)
    episode_steps: PositiveInt = 135


class PpoConfig(Strict):
    """Settings of PPO, the same for both policies; and when and where to save.

    Attributes:
        lr: Adam's step size.
        gamma: Discount factor per step.
        gae_lambda: Factor of the advantage estimate, 0 to 1.
        clip_param: Clipping range of the probability ratio.
        vf_loss_coeff: Weight of the value loss.
        vf_clip_param: Largest squared error of the value that counts; returns are near 100.
        entropy_coeff: Weight of the entropy bonus.
        kl_coeff: First weight of the KL penalty; RLlib adapts it.
        kl_target: KL divergence that it aims at.
        epochs: Passes over each iteration's steps.
        minibatch_size: Steps of one policy in a gradient step.
        hiddens: Hidden layers of each policy's network, which its value shares.
        checkpoint_freq: Iterations between two checkpoints.
        checkpoint_dir: Folder for checkpoints in RLlib's own format, with `metadata.json` and
            `checkpoint_index.json`, besides those that the run goes on from; None writes none.
        keep_last_n: Newest checkpoints that stay, in both places; 0 keeps all. The best one stays.
    """

    lr: PositiveFloat = 3e-4
    gamma: float = Field(default=0.95, gt=0, le=1)
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    clip_param: PositiveFloat = 0.2
    vf_loss_coeff: NonNegativeFloat = 1.0
    vf_clip_param: PositiveFloat = 1e4
    entropy_coeff: NonNegativeFloat = 0.01
    kl_coeff: NonNegativeFloat = 0.2
    kl_target: PositiveFloat = 0.01
    epochs: PositiveInt = 8
    minibatch_size: PositiveInt = 500
    hiddens: tuple[PositiveInt, ...] = (64, 64)
    checkpoint_freq: PositiveInt = 10
    checkpoint_dir: str | None = None
    keep_last_n: int = Field(default=10, ge=0)


class RayConfig(Strict):
    """Where the games are played.

    Attributes:
        address: An existing cluster ("auto", "10.0.0.1:6379"); None starts one for this training.
        cpus: Processors of the cluster that is started. Learning needs none of them.
        env_runners: Processes that play, each on one of `cpus`; 0 plays in the training itself.
            Where one of them dies, what follows depends on when, and is not what it would have
            been.
        envs: Games that each of them plays side by side.
        sample_timeout_s: How long an iteration waits for their games, in seconds.
        patience_s: How long a run that has trained waits at a restart for a cluster that is
            down, in seconds.
    """

    address: str | None = Field(default=None, min_length=1)
    cpus: PositiveInt = 2
    env_runners: int = Field(default=0, ge=0)
    envs: PositiveInt = 10
    sample_timeout_s: PositiveFloat = 60.0
    patience_s: float = Field(default=6 * 3600.0, ge=0)

    @check(mode="after")
    def _runners_have_processors(self) -> Self:
        """Ray would wait for a processor for ever, and say nothing."""
        if self.address is None and self.env_runners > self.cpus:
            msg = (
                f"env_runners {self.env_runners} is more than cpus {self.cpus}: each of them"
                " occupies one"
            )
            raise ValueError(msg)
        return self


class ReportConfig(Strict):
    """The games after the training: each policy against a trained one and an untrained one.

    Attributes:
        games: Games of each pairing, all from the same starts.
        seed: Seed of those starts; another seed, other starts.
    """

    games: int = Field(default=200, ge=2)
    seed: int = Field(default=0, ge=0)


class HideSeekConfig(Strict):
    """The whole recipe.

    Attributes:
        seed: Seed of everything that is random in the training.
        iterations: Iterations of PPO; a step of the run is one of them.
        episodes_per_iteration: Whole games of each iteration.
        max_empty_iterations: Calls of RLlib in a row that may bring no new step before the
            training fails: it returns as if all were well when its env runners are dead.
        game: The game.
        ppo: How both policies learn, and when they are saved.
        ray: Where the games are played.
        report: The games after the training.
    """

    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    iterations: PositiveInt = 500
    episodes_per_iteration: PositiveInt = 30
    max_empty_iterations: PositiveInt = 5
    game: GameConfig = GameConfig()
    ppo: PpoConfig = PpoConfig()
    ray: RayConfig = RayConfig()
    report: ReportConfig = ReportConfig()

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of an iteration; in each of them every agent acts."""
        return self.episodes_per_iteration * self.game.episode_steps

    @property
    def total_episodes(self) -> int:
        """Games of the whole training."""
        return self.iterations * self.episodes_per_iteration

    @check(mode="after")
    def _iterations_are_whole_games(self) -> Self:
        at_once = self.ray.envs * max(self.ray.env_runners, 1)
        if self.episodes_per_iteration % at_once:
            msg = (
                f"episodes_per_iteration {self.episodes_per_iteration} is no multiple of the"
                f" {at_once} games that are played at once (ray.envs * ray.env_runners)"
            )
            raise ValueError(msg)
        return self


PRESETS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "small": {
        "iterations": 60,
        "episodes_per_iteration": 40,
        "game": {"episode_steps": 25},
        "ppo": {"lr": 1e-3, "minibatch_size": 250, "hiddens": [64, 64], "checkpoint_freq": 5},
        "report": {"games": 200},
    },
}

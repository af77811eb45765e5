"""Every setting of the trading recipe, in one model with two presets.

The section `checkpoints:` has the keys of the guide that this recipe grew from,
so its `config.yaml` is a configuration of this one.

Layer: recipes. Imports its siblings and checkpoint.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic import model_validator as check

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.recipes.settings import Strict

Ranking = Literal["total_profit", "sharpe_ratio", "max_drawdown"]

SOURCES: Final = ("googl", "eurusd", "random_walk")


class MarketConfig(Strict):
    """Whose prices, how they are divided, and what a trade costs.

    Attributes:
        source: "googl" (daily, 2009 to 2018), "eurusd" (hourly, 2017), "random_walk", which
            nobody can predict, or the path of a `.csv` file with a column `Close`.
        seed: Of the random walk; another seed, another walk.
        train_share: Fraction of the bars to train on, the first ones.
        validation_share: Fraction behind them that ranks the checkpoints. What is left is
            the test, which is looked at once, at the end.
        fee: Cost of a trade, as a fraction of what is traded. None: usual for the source.
        bars_per_year: For the Sharpe ratio. None: usual for the source.
        capital: Money at the start of an examination; profits are in this currency.
    """

    source: str = "googl"
    seed: int = Field(default=0, ge=0)
    train_share: float = Field(default=0.7, gt=0, lt=1)
    validation_share: float = Field(default=0.15, gt=0, lt=1)
    fee: float | None = Field(default=None, ge=0, lt=0.5)
    bars_per_year: PositiveFloat | None = None
    capital: PositiveFloat = 10_000.0

    @check(mode="after")
    def _source_is_known(self) -> Self:
        if self.source not in SOURCES and not self.source.endswith(".csv"):
            msg = f"source {self.source!r} is none of {', '.join(SOURCES)}, and no .csv file"
            raise ValueError(msg)
        return self

    @check(mode="after")
    def _something_is_left_to_test(self) -> Self:
        if self.train_share + self.validation_share >= 1:
            msg = "train_share and validation_share leave nothing for the test"
            raise ValueError(msg)
        return self


class AgentConfig(Strict):
    """The DQN, and how it explores.

    Attributes:
        window: Bars that it sees: the last so many changes of the price.
        learning_rate: Adam step size.
        buffer_size: Transitions that it remembers.
        learning_starts: Steps before the first update; until then it acts at random.
        batch_size: Transitions per update.
        gamma: Discount factor per bar.
        gradient_steps: Updates after each episode.
        target_update_steps: Steps between two copies to the target network.
        max_grad_norm: Gradient clipping, Euclidean norm.
        net_arch: Hidden layers.
        epsilon: Fraction of random actions in the first episode.
        epsilon_final: Least fraction of random actions.
        epsilon_decay: Factor from one episode to the next.
    """

    window: PositiveInt = 20
    learning_rate: PositiveFloat = 5e-4
    buffer_size: PositiveInt = 50_000
    learning_starts: int = Field(default=1000, ge=0)
    batch_size: PositiveInt = 64
    gamma: float = Field(default=0.9, ge=0, le=1)
    gradient_steps: PositiveInt = 125
    target_update_steps: PositiveInt = 500
    max_grad_norm: PositiveFloat = 10.0
    net_arch: tuple[PositiveInt, ...] = (64, 64)
    epsilon: float = Field(default=1.0, ge=0, le=1)
    epsilon_final: float = Field(default=0.05, ge=0, le=1)
    epsilon_decay: float = Field(default=0.985, gt=0, le=1)

    def epsilon_in(self, episode: int) -> float:
        """Return the fraction of random actions in an episode.

        It follows from the number of the episode alone: neither a resume nor more episodes
        than were planned move it.

        Args:
            episode: From 1.
        """
        return max(self.epsilon_final, self.epsilon * self.epsilon_decay ** (episode - 1))


class CheckpointConfig(Strict):
    """When the training saves itself, what stays, and where the weights are put for others.

    Attributes:
        save_frequency: Episodes between two checkpoints.
        max_keep: Newest of these that stay.
        save_best: Whether each new best is saved, and the best one always kept.
        metric_name: What is better: the metric of this name on the validation part, never on
            what was trained on. More of each is better; a drawdown is below 0.
        dir: Folder for `model_ep250.pt`, `model_ep250.json` and the like; None writes none.
    """

    save_frequency: PositiveInt = 10
    max_keep: PositiveInt = 5
    save_best: bool = True
    metric_name: Ranking = "total_profit"
    dir: Path | None = None

    def regular(self, found: Sequence[CheckpointInfo]) -> list[CheckpointInfo]:
        """Return those that are not saved as a best one, or by a stop, in between. Pure."""
        return [info for info in found if info.step % self.save_frequency == 0]


class TradingConfig(Strict):
    """The whole recipe.

    Attributes:
        seed: Seed of everything that is random in the training.
        episodes: Episodes to train, over all attempts.
        episode_bars: Length of one, from a random bar of the training part on.
        verbose: Whether each episode gets a line.
        market: Prices, parts, costs.
        agent: The DQN.
        checkpoints: When to save, and what to keep.
    """

    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    episodes: PositiveInt = 300
    episode_bars: PositiveInt = 250
    verbose: bool = False
    market: MarketConfig = MarketConfig()
    agent: AgentConfig = AgentConfig()
    checkpoints: CheckpointConfig = CheckpointConfig()


PRESETS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "small": {
        "episodes": 60,
        "agent": {
            "gradient_steps": 50,
            "learning_starts": 500,
            "buffer_size": 10_000,
            "net_arch": [32],
            "epsilon_decay": 0.93,
        },
    },
}

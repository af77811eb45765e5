"""The configuration: the guide's own file, and what is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from evertrain.config import resolve
from evertrain.core.errors import ConfigError
from evertrain.recipes import find
from evertrain.recipes.flags import expand
from evertrain.recipes.trading.config import AgentConfig, MarketConfig, TradingConfig

GUIDE = """\
checkpoints:
  save_frequency: 10     # Save every 10 episodes
  max_keep: 5            # Keep last 5 checkpoints
  save_best: true        # Always save best model
  metric_name: total_profit  # Metric to track for "best"
"""


def test_the_guides_file_is_a_configuration(tmp_path: Path) -> None:
    """Its section is taken as it stands, and its values are the defaults."""
    path = tmp_path / "config.yaml"
    path.write_text(GUIDE)

    assert resolve(TradingConfig, file=path).config == TradingConfig()


def test_its_keys_count(tmp_path: Path) -> None:
    """Each of them can be changed, and a metric that cannot rank is refused with its line."""
    path = tmp_path / "config.yaml"
    path.write_text(GUIDE.replace("10 ", "20 ").replace("true", "false"))

    found = resolve(TradingConfig, file=path).config.checkpoints

    assert (found.save_frequency, found.save_best) == (20, False)
    path.write_text(GUIDE.replace("total_profit", "total_trades"))
    with pytest.raises(ConfigError, match=r"config.yaml:5:3: checkpoints.metric_name"):
        resolve(TradingConfig, file=path)


@pytest.mark.parametrize("name", ["default", "small"])
def test_a_preset_is_a_configuration(name: str) -> None:
    """What ships is what the model allows."""
    preset = find("trading").preset_named(name)

    assert resolve(TradingConfig, preset=preset).config.episodes >= 60


def test_epsilon_falls_by_episodes_to_its_least_value() -> None:
    """It follows from the number of the episode, so neither a resume nor more episodes move it."""
    agent = AgentConfig(epsilon=0.8, epsilon_decay=0.5, epsilon_final=0.15)

    assert [agent.epsilon_in(episode) for episode in (1, 2, 3, 4, 99)] == pytest.approx(
        [0.8, 0.4, 0.2, 0.15, 0.15]
    )


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"train_share": 0.9, "validation_share": 0.1}, "nothing for the test"),
        ({"source": "googel"}, "none of googl, eurusd, random_walk"),
        ({"fee": 0.7}, "less than 0.5"),
    ],
    ids=str,
)
def test_markets_that_cannot_be_are_refused(settings: dict[str, object], problem: str) -> None:
    """Before anything is trained."""
    with pytest.raises(ValidationError, match=problem):
        MarketConfig.model_validate(settings)


def test_the_guides_options_are_settings() -> None:
    """`--episodes 20 --auto-resume --verbose`, as its user types them."""
    words = ["trading", "--auto-resume", "--episodes", "20", "--verbose"]

    meant = expand(find("trading").flags, words)

    assert meant == ["trading", "-o", "episodes=20", "-o", "verbose=true"]
    overrides = [word for word in meant if "=" in word]
    found = resolve(TradingConfig, overrides=overrides).config
    assert (found.episodes, found.verbose) == (20, True)

"""The configuration: the guide's keys, and what it refuses."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from evertrain import recipes
from evertrain.config.resolve import resolve
from evertrain.recipes.hideseek.config import PRESETS, HideSeekConfig


def test_the_guides_file_is_a_configuration(tmp_path: Path) -> None:
    """Its section `ppo` with how often and where to save is read as it stands."""
    file = tmp_path / "config.yaml"
    file.write_text(
        "ppo:\n"
        "  checkpoint_freq: 10  # Save every 10 iterations\n"
        '  checkpoint_dir: "./checkpoints"\n'
    )
    config = resolve(HideSeekConfig, file=file).config

    assert config.ppo.checkpoint_freq == 10
    assert config.ppo.checkpoint_dir == "./checkpoints"
    assert config.ppo.keep_last_n == 10


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_whole(name: str) -> None:
    """Each preset is a configuration, of whole games, saved more than once."""
    config = HideSeekConfig.model_validate(PRESETS[name])

    assert config.steps_per_iteration == config.episodes_per_iteration * config.game.episode_steps
    assert config.iterations >= 4 * config.ppo.checkpoint_freq


def test_an_iteration_is_of_whole_rounds() -> None:
    """Games that are played side by side end together: an iteration must be some rounds of them."""
    with pytest.raises(ValidationError, match="no multiple of the 20 games"):
        HideSeekConfig.model_validate({"ray": {"envs": 10, "env_runners": 2}})


def test_runners_without_a_processor_are_refused() -> None:
    """The training would wait for them for ever; somebody else's cluster may be any size."""
    runners = {"env_runners": 3, "envs": 1}
    with pytest.raises(ValidationError, match="env_runners 3 is more than cpus 2"):
        HideSeekConfig.model_validate({"ray": runners})

    HideSeekConfig.model_validate({"ray": {**runners, "cpus": 3}})
    HideSeekConfig.model_validate({"ray": {**runners, "address": "auto"}})


def test_its_flags_are_settings() -> None:
    """`--ray-address auto` is another word for `-o ray.address=auto`."""
    flags = {flag.name: flag.means for flag in recipes.find("hideseek").flags}
    config = resolve(HideSeekConfig, overrides=[flags["--ray-address"][1].replace("{}", "auto")])

    assert config.config.ray.address == "auto"

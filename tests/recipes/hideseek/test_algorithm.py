"""What reaches RLlib."""

import pytest

pytest.importorskip("ray")
pytest.importorskip("mpe2")

from evertrain.recipes.hideseek import algorithm as algorithms
from evertrain.recipes.hideseek.config import PRESETS, HideSeekConfig

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_the_numbers_reach_rllib() -> None:
    """Of both presets, none is only for show."""
    config = HideSeekConfig.model_validate(PRESETS["small"])
    settings = algorithms.settings_of(config)

    assert settings.lr == 1e-3
    assert settings.total_train_batch_size == 1000
    assert settings.get_rollout_fragment_length() == 100, "four games on each of ten fields"
    assert settings.num_epochs == 8
    assert settings.minibatch_size == 250
    assert (settings.lambda_, settings.gamma, settings.clip_param) == (0.95, 0.95, 0.2)
    assert (settings.kl_coeff, settings.kl_target, settings.entropy_coeff) == (0.2, 0.01, 0.01)
    assert settings.env_config["episode_steps"] == 25
    assert settings.seed == 0


@pytest.mark.parametrize("name", PRESETS)
def test_an_iteration_ends_where_games_end(name: str) -> None:
    """Each field plays whole games, so no metrics and no advantages are of a piece of one."""
    config = HideSeekConfig.model_validate(PRESETS[name])
    length = algorithms.settings_of(config).get_rollout_fragment_length()

    assert length % config.game.episode_steps == 0


def test_the_policies_stand_in_order() -> None:
    """Not in that of the process's hashes: by it the networks would be drawn."""
    settings = algorithms.settings_of(HideSeekConfig())

    assert list(settings.policies) == ["seeker_policy", "hider_policy"]
    assert list(settings.rl_module_spec.rl_module_specs) == ["seeker_policy", "hider_policy"]

"""RLlib's PPO for two policies, built the same in every process.

Modules stand in a fixed order: in a set, their order would follow the process's hashes.
An iteration ends where games end, for all are equally long; with `complete_episodes` it
would, too, but RLlib then seeds each sample alike, and plays the same starts again and
again. RLlib's logger writes nothing, for the run has the metrics.

Layer: recipes. Imports its siblings and Ray.
"""

import logging
import warnings
from typing import Final

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from evertrain.integrations.rllib.layout import build_quietly
from evertrain.recipes.hideseek.config import HideSeekConfig
from evertrain.recipes.hideseek.env import ROLES, HideAndSeek, policy_of
from evertrain.recipes.hideseek.tally import Tally

_QUIET: Final = ("ray.rllib", "ray.tune", "ray._common.deprecation")


def build(config: HideSeekConfig) -> Algorithm:
    """Return the algorithm as it is on a fresh start. Ray is running."""
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # RLlib's, of its own classes
        built: Algorithm = build_quietly(settings_of(config))
    return built


def settings_of(config: HideSeekConfig) -> PPOConfig:
    """Return the recipe's numbers as RLlib's configuration."""
    ppo = config.ppo
    network = DefaultModelConfig(fcnet_hiddens=list(ppo.hiddens), fcnet_activation="tanh")
    modules = {role: RLModuleSpec(model_config=network) for role in ROLES}
    settings = PPOConfig()  # type: ignore[no-untyped-call]
    settings.environment(
        HideAndSeek, env_config=config.game.model_dump(), disable_env_checking=True
    )
    settings.framework("torch")
    settings.env_runners(
        num_env_runners=config.ray.env_runners,
        num_envs_per_env_runner=config.ray.envs,
        sample_timeout_s=config.ray.sample_timeout_s,
    )
    settings.learners(num_learners=0)
    settings.multi_agent(policies=list(ROLES), policy_mapping_fn=policy_of)
    settings.rl_module(rl_module_spec=MultiRLModuleSpec(rl_module_specs=modules))
    settings.training(
        lr=ppo.lr,
        gamma=ppo.gamma,
        lambda_=ppo.gae_lambda,
        clip_param=ppo.clip_param,
        vf_loss_coeff=ppo.vf_loss_coeff,
        vf_clip_param=ppo.vf_clip_param,
        entropy_coeff=ppo.entropy_coeff,
        kl_coeff=ppo.kl_coeff,
        kl_target=ppo.kl_target,
        num_epochs=ppo.epochs,
        minibatch_size=ppo.minibatch_size,
        train_batch_size_per_learner=config.steps_per_iteration,
    )
    settings.callbacks(Tally)
    settings.reporting(metrics_num_episodes_for_smoothing=1)  # nobody reads its windows
    settings.debugging(seed=config.seed, log_level="ERROR")
    return settings

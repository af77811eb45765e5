"""Train a controller of air traffic with PPO, in a game that runs in a browser.

Read it top to bottom: build, learn, report. Killed anywhere, it goes on where it
was, in the middle of every game. A browser that crashes costs its episode, and
nothing else: the environment replaces it.

Layer: recipes. Imports its siblings, integrations, run, checkpoint and core.
"""

import math
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecNormalize

from evertrain.core.fs import LOCAL_FS, write_atomic
from evertrain.integrations.browser import GameSettings, make_env
from evertrain.integrations.browser.env import IS_LOST
from evertrain.integrations.sb3 import learn, vector_env
from evertrain.recipes.openscope.config import OpenscopeConfig, game_settings
from evertrain.recipes.openscope.evaluate import play, silence, table
from evertrain.recipes.policy import policy_of
from evertrain.recipes.saving import keep_rule, save_rule
from evertrain.recipes.seeds import of_report
from evertrain.run.run import Run


def train(config: OpenscopeConfig, path: Path | str) -> None:
    """Train with `config` in the run directory `path`, or go on there, then report.

    Raises:
        Stopped: A stop was requested; the state is saved.
        EvertrainError: As `Run`.
    """
    settings = game_settings(config.game)
    with Run(
        path,
        total=config.steps,
        unit="step",
        seed=config.seed,
        best="max:rollout/ep_rew_mean",
        save=save_rule(config.checkpoints.every_steps),
        keep=keep_rule(config.checkpoints.keep_last),
        config=config.model_dump(mode="json"),
        recipe="openscope",
    ) as run:
        run.say(f"Creating environment: {settings.url}, timewarp {settings.timewarp:g}...")
        model = build(config, settings)
        run.say(f"Using device: {model.device}")
        run.say(f"Network parameters: {sum(each.numel() for each in model.policy.parameters()):,}")
        learn(run, model, log_interval=None, after_update=partial(of_episodes, model))
        with run.phase("report", isolate_rng=True):
            report = _report(config, settings, model)
        run.say(report)
        write_atomic(run.path / "report.txt", f"{report}\n".encode(), fs=LOCAL_FS)
        _environments(model).close()


def build(config: OpenscopeConfig, settings: GameSettings) -> PPO:
    """Return the model and its environments as they are on a fresh start."""
    venv = VecNormalize(
        vector_env([partial(_monitored, settings)] * config.envs, processes=config.envs > 1),
        gamma=config.ppo.gamma,
        clip_obs=config.normalize_clip,
        clip_reward=config.normalize_clip,
    )
    return PPO("MlpPolicy", venv, device=config.device, **config.ppo.arguments())


def of_episodes(model: PPO) -> dict[str, float]:
    """Return means over the last hundred episodes of training: the score, and how many were lost.

    A game whose browser crashed or hung is lost; its score is what it had last.
    """
    episodes = model.ep_info_buffer or ()
    scores = [each["score"] for each in episodes if not math.isnan(each["score"])]
    row = {"episode/score": fmean(scores)} if scores else {}
    return row | ({"episode/lost": fmean(each[IS_LOST] for each in episodes)} if episodes else {})


def _monitored(settings: GameSettings) -> Monitor[Any, Any]:
    return Monitor(make_env(settings), info_keywords=("score", IS_LOST))


def _environments(model: PPO) -> VecNormalize:
    found = model.get_vec_normalize_env()
    assert found is not None  # noqa: S101  (build made it)
    return found


def _report(config: OpenscopeConfig, settings: GameSettings, model: PPO) -> str:
    """Return the table of the policy and its reference, in a browser of their own."""
    chosen, env = config.evaluation, make_env(settings)
    first = of_report(chosen.seed)
    controllers = {"silence": silence, "policy": policy_of(model)}
    try:
        return table(
            {
                name: [play(env, each, first + index) for index in range(chosen.games)]
                for name, each in controllers.items()
            }
        )
    finally:
        env.close()

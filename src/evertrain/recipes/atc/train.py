"""Train a controller of one aircraft with PPO, on simulators that may crash, and examine it.

Read it top to bottom: build, learn, report. Killed anywhere, it goes on where it
was, in the middle of every episode; the report at the end is the same.

At every eighth of the training the policy flies the same few episodes, which
training never sees, and `best` is the checkpoint with the highest reward there.

Layer: recipes. Imports its siblings, integrations, run, checkpoint and core.
"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from statistics import fmean

from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from evertrain.core.fs import LOCAL_FS, write_atomic
from evertrain.integrations.sb3 import learn
from evertrain.recipes import seeds
from evertrain.recipes.atc.config import AtcConfig
from evertrain.recipes.atc.evaluate import Controller, direct, fly, straight, table
from evertrain.recipes.atc.world import TOLD, examination_envs, training_envs
from evertrain.recipes.policy import policy_of
from evertrain.recipes.saving import keep_rule, save_rule
from evertrain.run.run import Run


def train(config: AtcConfig, path: Path | str) -> None:
    """Train with `config` in the run directory `path`, or go on there, then report.

    Raises:
        Stopped: A stop was requested; the state is saved.
        EvertrainError: As `Run`.
    """
    with Run(
        path,
        total=config.steps,
        unit="step",
        seed=config.seed,
        best="max:exam/reward",
        save=save_rule(config.checkpoints.every_steps),
        keep=keep_rule(config.checkpoints.keep_last),
        config=config.model_dump(mode="json"),
        recipe="atc",
    ) as run:
        run.say("Creating environment...")
        venv = training_envs(config)
        run.say("Creating agent...")
        model = build(config, venv)
        run.say(f"Using device: {model.device}")
        run.say(f"Network parameters: {_parameters(model):,}")
        run.say(f"Starting training for {config.steps} timesteps...")
        examiners = cache(partial(examination_envs, config))  # started when first needed
        after = _after_update(config, run, model, examiners)
        learn(run, model, log_interval=None, after_update=after)
        report = _report(config, model, examiners())
        run.say(report)
        write_atomic(run.path / "report.txt", f"{report}\n".encode(), fs=LOCAL_FS)
    for each in (venv, examiners()):  # not where one died: it would not answer
        each.close()


def build(config: AtcConfig, venv: VecEnv) -> PPO:
    """Return the model as it is on a fresh start, with normalized environments."""
    clip = config.normalize_clip
    normalized = VecNormalize(venv, gamma=config.ppo.gamma, clip_obs=clip, clip_reward=clip)
    return PPO("MlpPolicy", normalized, device=config.device, **config.ppo.arguments())


def _after_update(
    config: AtcConfig, run: Run, model: PPO, examiners: Callable[[], VecEnv]
) -> Callable[[], dict[str, float]]:
    """Return what adds the episodes' numbers to each row, and the exam's where one is due.

    Where it is due depends on the step alone, so a resumed training examines the
    same policies on the same episodes.
    """
    part = config.steps / config.evaluation.exams

    def look() -> dict[str, float]:
        row = _of_episodes(model)
        before = model.num_timesteps - model.n_steps * model.n_envs
        if model.num_timesteps // part > before // part:
            with run.phase("exam", isolate_rng=True):
                row |= _exam(config, model, examiners())
        return row

    return look


def _of_episodes(model: PPO) -> dict[str, float]:
    """Return means over the last hundred episodes of training."""
    episodes = model.ep_info_buffer or ()
    if not episodes:
        return {}
    return {f"episode/{name}": fmean(each[name] for each in episodes) for name in TOLD}


def _exam(config: AtcConfig, model: PPO, venv: VecEnv) -> dict[str, float]:
    flights = fly(
        policy_of(model),
        venv,
        episodes=config.evaluation.exam_episodes,
        seed=seeds.of_exams(config.evaluation.seed),
    )
    return {f"exam/{name}": fmean(each[name] for each in flights) for name in flights[0]}


def _report(config: AtcConfig, model: PPO, venv: VecEnv) -> str:
    """Return the table of the policy and its two references."""
    observed = venv.get_attr("observed")[0]
    controllers: dict[str, Controller] = {
        "straight on": straight,
        "to the waypoint": direct(observed, config.simulator.scenario),
        "policy": policy_of(model),
    }
    chosen = config.evaluation
    return table(
        {
            name: fly(each, venv, episodes=chosen.episodes, seed=seeds.of_report(chosen.seed))
            for name, each in controllers.items()
        }
    )


def _parameters(model: PPO) -> int:
    return sum(each.numel() for each in model.policy.parameters())

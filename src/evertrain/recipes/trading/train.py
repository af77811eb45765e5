"""Train a DQN to buy, hold and sell, and examine it on days that it never saw.

Read it top to bottom: a market in three parts, an agent, an examination after each
episode, a report. Killed anywhere, it goes on where it was.

A profit on what was trained on says nothing: a network of this size learns a few years
by heart, of a random walk as well. So `total_profit` and its like are those of the
validation part, and `best` is ranked by them; what was earned in sample is logged beside
them, as `in_sample/...`. Whoever takes the best of three hundred is lucky on the validation
part, too: what that is worth shows on the test part, which only the report looks at.

Layer: recipes. Imports its siblings, integrations, run, checkpoint and core.
"""

import json
import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stable_baselines3 import DQN
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.utils import ConstantSchedule

from evertrain.checkpoint.care.export import read_part
from evertrain.checkpoint.keep import Found, Keep, Rule, keep_any, keep_best, keep_last
from evertrain.checkpoint.when import every
from evertrain.core.fs import LOCAL_FS, write_atomic
from evertrain.integrations.sb3 import Episodes, vector_env
from evertrain.recipes.trading.backtest import Policy, Score, buy_and_hold, examine, table
from evertrain.recipes.trading.config import CheckpointConfig, TradingConfig
from evertrain.recipes.trading.env import TradingEnv
from evertrain.recipes.trading.exports import NETWORK, exported, mirrored
from evertrain.recipes.trading.market import PARTS, Market
from evertrain.run.opening import where
from evertrain.run.run import Run

Row = tuple[str, str, Score]


def train(config: TradingConfig, path: Path | str) -> None:
    """Train with `config` in the run directory `path`, or go on there, then report.

    Raises:
        Stopped: A stop was requested; the state is saved.
        EvertrainError: As `Run`.
    """
    kept = config.checkpoints
    with (
        Run(
            path,
            total=config.episodes,
            unit="episode",
            seed=config.seed,
            best=f"max:{kept.metric_name}" if kept.save_best else None,
            save=every(steps=kept.save_frequency),
            keep=_keep(kept),
            config=config.model_dump(mode="json"),
            recipe="trading",
        ) as run,
        mirrored(run, config) as refresh,
    ):
        market = Market.of(config.market, config.agent.window)
        model = build(config, market)
        policies = {"buy and hold": buy_and_hold, "untrained": greedy(deepcopy(model.policy))}
        _tell_origin(run, config)
        episodes = Episodes(run, model, total_timesteps=config.episodes * config.episode_bars)
        refresh()
        for episode in run:
            _explore(model, config.agent.epsilon_in(episode))
            played = episodes.play()
            earned = _exam(model, market)
            run.log({**earned, **played})
            if config.verbose:
                run.say(_line(episode, config, earned))
            refresh()
        refresh()
        policies["last"] = greedy(model.policy)
        best = run.store.best()
        if best is not None:
            policies[f"best ({best.step})"] = greedy(_saved(model, best.path))
        with run.phase("report"):
            _report(run, _scores(policies, market))


def build(config: TradingConfig, market: Market) -> DQN:
    """Return the model and its environment as they are on a fresh start."""
    agent = config.agent
    return DQN(
        "MlpPolicy",
        vector_env([lambda: Monitor(TradingEnv(market, config.episode_bars))], processes=False),
        learning_rate=agent.learning_rate,
        buffer_size=agent.buffer_size,
        learning_starts=agent.learning_starts,
        batch_size=agent.batch_size,
        gamma=agent.gamma,
        train_freq=(1, "episode"),
        gradient_steps=agent.gradient_steps,
        target_update_interval=agent.target_update_steps,
        max_grad_norm=agent.max_grad_norm,
        policy_kwargs={"net_arch": list(agent.net_arch)},
        device="cpu",
    )


def greedy(policy: BasePolicy) -> Policy:
    """Return a network as a function from observations to the actions that it holds best."""

    def act(observations: Any) -> Any:
        return policy.predict(observations, deterministic=True)[0]

    return act


def _explore(model: DQN, epsilon: float) -> None:
    """Let a fraction of the next episode's actions be random."""
    model.exploration_rate = epsilon
    model.exploration_schedule = ConstantSchedule(epsilon)


def _exam(model: DQN, market: Market) -> dict[str, float]:
    """Return what the policy earns now: on the validation part, and on what it trains on."""
    policy = greedy(model.policy)
    in_sample = examine(policy, market, market.parts["train"])
    held_out = examine(policy, market, market.parts["validation"])
    return held_out.named() | in_sample.named("in_sample/")


def _line(episode: int, config: TradingConfig, earned: Mapping[str, float]) -> str:
    """Return an episode as a line for people."""
    return (
        f"Episode {episode}/{config.episodes}"
        f"  profit {earned['total_profit']:,.2f}  sharpe {earned['sharpe_ratio']:.2f}"
        f"  drawdown {earned['max_drawdown']:.3f}  trades {earned['total_trades']:,}"
        f"  epsilon {config.agent.epsilon_in(episode):.3f}"
        f"  (in sample: {earned['in_sample/total_profit']:,.2f})"
    )


def _saved(model: DQN, path: Path) -> BasePolicy:
    """Return the network of a checkpoint."""
    policy = deepcopy(model.policy)
    policy.load_state_dict(read_part(path, NETWORK))
    return policy


def _scores(policies: dict[str, Policy], market: Market) -> list[Row]:
    """Return what each policy earns in each part."""
    return [
        (part, who, examine(policy, market, market.parts[part]))
        for part in PARTS
        for who, policy in policies.items()
    ]


def _report(run: Run, rows: list[Row]) -> None:
    """Tell people and programs what came of it."""
    run.say(table(rows))
    write_atomic(run.path / "report.txt", (table(rows) + "\n").encode(), fs=LOCAL_FS)
    found = [{"part": part, "policy": who, **asdict(score)} for part, who, score in rows]
    text = json.dumps(found, indent=2) + "\n"
    write_atomic(run.path / "report.json", text.encode(), fs=LOCAL_FS)


def _tell_origin(run: Run, config: TradingConfig) -> None:
    """Say which file of weights belongs to where the run goes on, for those who know the files."""
    origin = run.resumed_from
    file = None if origin is None else exported(config, origin.step)
    if origin is not None and file is not None and where("auto", os.environ) == "auto":
        run.say(f"Auto-resuming from episode {origin.step}: {file}")


def _keep(config: CheckpointConfig) -> Keep:
    """Keep the newest of those at each `save_frequency`, and the best."""
    newest = keep_last(config.max_keep)

    def why(found: Found) -> dict[int, str]:
        return dict(newest.why(config.regular(found)))

    rule = Rule(f"{newest} of each {config.save_frequency} episodes", why)
    return keep_any(rule, keep_best(1)) if config.save_best else rule

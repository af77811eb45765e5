"""Train seekers and hider against each other, save every few iterations, and compare.

Read it top to bottom: join Ray, build, iterate, report. Killed anywhere, it goes on
where it was; with games played in the training itself, bit for bit.

Layer: recipes. Imports its siblings, integrations, run, checkpoint and core.
"""

from contextlib import ExitStack
from pathlib import Path

from ray.rllib.algorithms.algorithm import Algorithm

from evertrain.checkpoint.when import every
from evertrain.core.fs import LOCAL_FS, write_atomic
from evertrain.integrations.rllib import EnvStepWatchdog
from evertrain.recipes.hideseek.algorithm import build
from evertrain.recipes.hideseek.cluster import joined
from evertrain.recipes.hideseek.config import HideSeekConfig
from evertrain.recipes.hideseek.console import block
from evertrain.recipes.hideseek.mirror import claimed, mirrored, of_folder
from evertrain.recipes.hideseek.play import compare, policies_of, table
from evertrain.recipes.hideseek.tally import games_of, row_of
from evertrain.recipes.saving import keep_rule
from evertrain.run.run import Run


def train(config: HideSeekConfig, path: Path | str) -> None:
    """Train with `config` in the run directory `path`, or go on there, then report.

    Raises:
        Stopped: A stop was requested; the state is saved.
        NoStepsError: The env runners bring no new step any more.
        EnvError: The cluster that the run has joined before is down, and stays so.
        ConfigError: The folder for other programs is not this run's.
        EvertrainError: As `Run`.
    """
    with (
        ExitStack() as afterwards,
        Run(
            path,
            total=config.iterations,
            unit="iteration",
            seed=config.seed,
            best="max:reward_mean",
            save=every(steps=config.ppo.checkpoint_freq),
            keep=keep_rule(config.ppo.keep_last_n, of_folder(config.ppo)),
            config=config.model_dump(mode="json"),
            recipe="hideseek",
        ) as run,
    ):
        folder = claimed(config, run)  # before Ray, which takes a while
        afterwards.enter_context(joined(config.ray, run))  # the run's last save needs it
        algorithm = build(config)
        afterwards.callback(algorithm.stop)
        untrained = policies_of(algorithm)
        watchdog = EnvStepWatchdog(algorithm, max_empty=config.max_empty_iterations)
        run.attach(algorithm=algorithm, steps=watchdog)
        run.state.episodes = 0
        run.restore()
        with mirrored(folder, config, run, algorithm) as mirror:
            for iteration in run:
                row = _iterate(run, algorithm, watchdog)
                run.log(row)
                for line in block(row, iteration, config.iterations, config.total_episodes):
                    run.say(line)
                mirror(iteration, row)
        with run.phase("report", isolate_rng=True):
            text = table(
                compare(
                    policies_of(algorithm),
                    untrained,
                    config.game,
                    games=config.report.games,
                    seed=config.report.seed,
                )
            )
        run.say(text)
        write_atomic(run.path / "report.txt", (text + "\n").encode(), fs=LOCAL_FS)


def _iterate(run: Run, algorithm: Algorithm, watchdog: EnvStepWatchdog) -> dict[str, float]:
    """Let RLlib play and learn once, and return the iteration's metrics.

    A call of RLlib that brings no game is no iteration.

    Raises:
        NoStepsError: Too many of them in a row.
    """
    while True:
        result = algorithm.train()  # type: ignore[no-untyped-call]
        games = games_of(result)
        if watchdog.look(result) and games:
            break
        run.say("evertrain: RLlib returned without a game; its env runners are gone or stuck")
    run.state.episodes += games
    row = row_of(result)
    counts = {"episodes_completed": run.state.episodes, "episodes": games}
    return {"reward_mean": row["reward_mean"], **counts, **row, "env_steps": watchdog.steps}

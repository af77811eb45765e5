"""What evertrain costs the trainings that it ships: steps a second with it and without.

Each is built as its recipe builds it (`--preset small`), and runs without its
examinations: in pairs of blocks, by the library's own loop and in a `Run` that saves as
the recipe does, each second pair the other way round. Timed are its rounds (a rollout or
an episode, and what is learned from it), each up to the beginning of the next one, saves
included; opening and closing a run are not, for a long training does that once. "Slower" is
the mean of what the pairs differ by: a median of rounds would not see saves that fewer than
half of them feel. Beside it stands how long the loop stood still for saves, which the noise
of a machine hardly touches.

Usage: python benchmarks/recipes.py [--quick] [--rounds N] [--dir DISK]
"""

import contextlib
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import ConstantSchedule

from evertrain import Run, every, recipes
from evertrain.checkpoint.when import When
from evertrain.integrations.sb3 import Episodes, learn
from evertrain.recipes.saving import save_rule
from measure import Measured, Numbers, arguments, attempt, hush, scratch, settle
from table import Cell, Report, Table

# Steps a second, and seconds a checkpoint, that the guide of such a training tells of.
GUIDES = {"structure": ("-", "2 to 5"), "atc": ("1 to 15", "-")}

_EPSILON = 0.05

Mark = tuple[float, int]
Train = Callable[[int], list[Mark]]  # some rounds; returns when each began, and at which step


@dataclass(frozen=True)
class Pair:
    """One training: by its library's own loop, and in the run `place / "run"`."""

    bare: Train
    ours: Train


@dataclass
class Timed:
    """What blocks of one kind took: seconds a step, of each block, and seconds in all."""

    blocks_s: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, marks: list[Mark]) -> None:
        """Add a block; its first round warms up."""
        (began_s, first), *_, (ended_s, last) = marks[1:]
        self.blocks_s.append((ended_s - began_s) / (last - first))
        self.seconds += ended_s - began_s


def main() -> None:
    """Measure each recipe, and judge."""
    asked = arguments(__doc__)
    hush()
    seconds, blocks = (1.0, 1) if asked.quick else (15.0, asked.rounds or 12)
    with scratch(asked.dir) as place:
        report = Report("recipes", place, is_quick=asked.quick)
        report.set(seconds_a_block=seconds, blocks=blocks)
        table = Table("recipes, --preset small", ["", *COLUMNS, "guide: steps/s", "a save, s"])
        measured = Measured()
        for name in PAIRS:
            own = place / name
            own.mkdir()
            found = attempt(
                measured, name, lambda name=name, own=own: judged(name, own, seconds, blocks)
            )
            if found is None:
                table.notes.append(f"{name}: does not run: {measured.errors[name]}")
                continue
            known = {key: value for key, value in found.items() if not math.isnan(value)}
            measured.samples[name] = {key: [value] for key, value in known.items()}
            numbers: list[Cell] = [known.get(key) for key in COLUMNS]
            table.rows.append([name, *numbers, *GUIDES.get(name, ("-", "-"))])
        report.add(table)
        report.keep(table.title, measured)
        for name in measured.samples:
            still = measured.median(name, "stands still %")
            report.at_most(f"{name}: share of the time that the loop stands still", still, 1.0, "%")
        report.finish(asked.out)


def judged(name: str, place: Path, seconds: float, blocks: int) -> Numbers:
    """Train one recipe in pairs of blocks, bare and ours, and return its numbers."""
    bare, ours = Timed(), Timed()
    with PAIRS[name](place) as pair:
        (began_s, _), *_, (ended_s, _) = pair.bare(4)[1:]
        count = max(4, round(seconds / ((ended_s - began_s) / 2)))
        sides = [(bare, pair.bare), (ours, pair.ours)]
        for _ in range(blocks):
            for timed, train in sides:
                settle()
                timed.add(train(count))
            sides.reverse()  # or a machine that slows down would count against the second
    saves = saves_between(place / "run" / "journal.jsonl")
    percent, error = slower(bare.blocks_s, ours.blocks_s)
    numbers = (
        1 / statistics.fmean(bare.blocks_s),
        1 / statistics.fmean(ours.blocks_s),
        percent,
        error,
        100 * sum(row["blocked"] for row in saves) / ours.seconds,
        len(saves) / blocks,
        median(row["seconds"] for row in saves),
        median(row["bytes"] for row in saves) / 1e6,
    )
    return dict(zip(COLUMNS, numbers, strict=True))


def saves_between(journal: Path) -> list[dict[str, Any]]:
    """Return the saves that a run made while it trained; the loop has left at its last one."""
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    return [row for row in rows if row["event"] == "saved" and row["kind"] != "final"]


def median(found: Iterable[float]) -> float:
    """Return the median, or NaN of nothing."""
    return statistics.median(listed) if (listed := list(found)) else math.nan


def slower(bare_s: list[float], ours_s: list[float]) -> tuple[float, float]:
    """Return by how many percent the blocks of ours are slower, and the standard error of that.

    The error is NaN where there is one block, and nobody knows.
    """
    found = [100 * (ours / bare - 1) for bare, ours in zip(bare_s, ours_s, strict=True)]
    error = math.nan if len(found) < 2 else statistics.stdev(found) / math.sqrt(len(found))
    return statistics.fmean(found), error


COLUMNS = (
    "steps/s bare",
    "with evertrain",
    "slower %",
    "standard error",
    "stands still %",
    "saves a block",
    "a save, s",
    "MB",
)


class Marks(BaseCallback):
    """Notes when each rollout begins."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.found: list[Mark] = []

    def _on_rollout_start(self) -> None:
        self.found.append((time.perf_counter(), self.model.num_timesteps))

    def _on_step(self) -> bool:
        return True


def bare_loop(model: BaseAlgorithm, steps_a_round: int) -> Train:
    """Return what trains by SB3's own loop."""

    def train(count: int) -> list[Mark]:
        marks = Marks()
        model.learn(
            count * steps_a_round, callback=marks, log_interval=None, reset_num_timesteps=False
        )
        return marks.found

    return train


def by_steps(bare: Any, model: Any, place: Path, save: When) -> Pair:
    """Train PPO of SB3; the run counts its steps and saves as the recipe does."""
    steps = model.n_steps * model.n_envs
    total = 0

    def ours(count: int) -> list[Mark]:
        nonlocal total
        total += count * steps
        marks = Marks()
        with Run(place / "run", total=total, unit="step", save=save) as run:
            learn(run, model, callback=marks, log_interval=None)
        return marks.found

    return Pair(bare_loop(bare, steps), ours)


@contextlib.contextmanager
def structure(place: Path) -> Iterator[Pair]:
    """The curriculum, in its first stage."""
    from evertrain.recipes.structure.train import build

    config = small("structure")
    yield by_steps(build(config), build(config), place, save_rule(config.checkpoints.every_steps))


@contextlib.contextmanager
def atc(place: Path) -> Iterator[Pair]:
    """The aircraft, on simulators in worker processes."""
    from evertrain.recipes.atc.train import build
    from evertrain.recipes.atc.world import training_envs

    config = small("atc")
    venvs = [training_envs(config), training_envs(config)]
    try:
        bare, ours = (build(config, each) for each in venvs)
        yield by_steps(bare, ours, place, save_rule(config.checkpoints.every_steps))
    finally:
        for each in venvs:
            each.close()


@contextlib.contextmanager
def trading(place: Path) -> Iterator[Pair]:
    """The DQN on a market, episode after episode."""
    from evertrain.recipes.trading.market import Market
    from evertrain.recipes.trading.train import build

    config = small("trading")
    market = Market.of(config.market, config.agent.window)
    bare, model = build(config, market), build(config, market)
    for each in (bare, model):  # or the one that plays by chance more often would be faster
        each.exploration_schedule = ConstantSchedule(_EPSILON)
    total = 0

    def ours(count: int) -> list[Mark]:
        nonlocal total
        total += count
        rule = every(steps=config.checkpoints.save_frequency)
        marks = Marks()
        with Run(place / "run", total=total, unit="episode", save=rule) as run:
            episodes = Episodes(run, model, callback=marks)
            for _ in run:
                run.log(episodes.play())
        return marks.found

    yield Pair(bare_loop(bare, config.episode_bars), ours)


@contextlib.contextmanager
def hideseek(place: Path) -> Iterator[Pair]:
    """Two policies of RLlib, iteration after iteration."""
    from evertrain.recipes.hideseek.algorithm import build
    from evertrain.recipes.hideseek.cluster import joined

    config = small("hideseek")
    with joined(config.ray, place / "run"):
        plain, algorithm = build(config), build(config)
        total = 0

        def train(each: Any) -> int:
            result = each.train()
            return int(result["env_runners"]["num_env_steps_sampled"])

        def bare(count: int) -> list[Mark]:
            found = [(time.perf_counter(), 0)]
            for _ in range(count):
                steps = train(plain)
                found.append((time.perf_counter(), found[-1][1] + steps))
            return found

        def ours(count: int) -> list[Mark]:
            nonlocal total
            total += count
            found: list[Mark] = []
            steps = 0
            rule = every(steps=config.ppo.checkpoint_freq)
            with Run(place / "run", total=total, unit="iteration", save=rule) as run:
                run.attach(algorithm=algorithm)
                for _ in run:
                    found.append((time.perf_counter(), steps))
                    steps += train(algorithm)
            return found

        yield Pair(bare, ours)
        for each in (plain, algorithm):
            each.stop()


def small(name: str) -> Any:
    """Return the configuration of a recipe's small preset."""
    recipe = recipes.find(name)
    return recipe.config_model.model_validate(recipe.preset_named("small").values)


PAIRS = {"structure": structure, "trading": trading, "atc": atc, "hideseek": hideseek}


if __name__ == "__main__":
    main()

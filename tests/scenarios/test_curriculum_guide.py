"""A four-stage curriculum that resumes: the recipe itself, with stages of two rollouts.

Where the guide goes back to the last finished stage, an interrupted training
goes on in the middle of its stage; `last-stage` does what the guide does.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evertrain import Run, Stopped, Store
from evertrain.checkpoint.manifest import state_digest
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.monitor.metrics import read_metrics
from evertrain.recipes.policy import policy_of
from evertrain.recipes.structure import train as recipe
from evertrain.recipes.structure.config import EXAM_SEED, StructureConfig
from evertrain.recipes.structure.env import StructureEnv
from evertrain.recipes.structure.evaluate import evaluate
from recipes.structure.worlds import preset

ROLLOUT = 50
STAGE = 2 * ROLLOUT
NAMES = ["M4.5 @ 50kN", "M5.7 @ 100kN", "M7.4 @ 150kN", "M8.4 @ 150kN"]


@pytest.fixture(scope="module")
def config() -> StructureConfig:
    """The small preset, cut down to stages of two rollouts."""
    values = preset("small").model_dump(mode="json")
    values |= {"envs": 2, "evaluation": {"motions": 2, "seed": 0}}
    values["ppo"] |= {"n_steps": 25, "batch_size": 25, "n_epochs": 1}
    values["motion"] |= {"duration_s": 2.0, "rise_s": 0.5, "plateau_s": 0.5}
    values["checkpoints"] = {"every_steps": ROLLOUT, "keep_last": 0}
    for stage in values["stages"]:
        stage |= {"steps": STAGE, "ppo": {"learning_rate": 2e-4}}
    return StructureConfig.model_validate(values)


Strike = Callable[[int, Callable[[], None]], None]


@pytest.fixture
def strike(monkeypatch: pytest.MonkeyPatch) -> Strike:
    """Do something when the training has taken so many environment steps since now."""
    step, trainer = StructureEnv.step, os.getpid()

    def set_up(after: int, act: Callable[[], None]) -> None:
        taken = 0

        def counted(self: StructureEnv, action: Any) -> Any:
            nonlocal taken
            taken += 1
            if taken == after and os.getpid() == trainer:  # and not in a copy that is tried
                act()
            return step(self, action)

        monkeypatch.setattr(StructureEnv, "step", counted)

    return set_up


def ctrl_c() -> None:
    """Press Ctrl+C."""
    os.kill(os.getpid(), signal.SIGINT)


def error() -> None:
    """Fail as a simulator does."""
    raise FloatingPointError("the building has left the ground")


def digests(path: Path) -> dict[int, str]:
    """Return the digest of every checkpoint's state, by step."""
    store = Store(path)
    return {info.step: state_digest(store.load(info.step).manifest) for info in store.list()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, config: StructureConfig) -> dict[int, str]:
    """Digests of the undisturbed training, by step."""
    path = tmp_path_factory.mktemp("curriculum") / "whole"
    recipe.train(config, path)
    return digests(path)


def test_interruption_goes_on_in_the_middle_of_the_stage(
    tmp_path: Path,
    config: StructureConfig,
    whole: dict[int, str],
    strike: Strike,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Scenario 1: stages 1 and 2 complete, Ctrl+C in stage 3, and the same command again."""
    strike(2 * STAGE + 10, ctrl_c)
    with pytest.raises(Stopped):
        recipe.train(config, tmp_path / "run")
    kinds = {info.step: (info.kind, info.stage) for info in Store(tmp_path / "run").list()}
    assert kinds[STAGE] == ("stage", NAMES[0])
    assert kinds[2 * STAGE] == ("stage", NAMES[1])
    assert kinds[2 * STAGE + ROLLOUT] == ("step", NAMES[2])
    capsys.readouterr()

    recipe.train(config, tmp_path / "run")

    out = capsys.readouterr().out
    assert f"STAGE 3/4: {NAMES[2]}" in out
    assert "STAGE 2/4" not in out
    assert "RESUMING FROM CHECKPOINT" in out
    assert "Last completed: Stage 2/4\n   Will resume from Stage 3/4, 50 of 100 steps done" in out
    assert f"Resuming from step {2 * STAGE + ROLLOUT}" in out
    assert digests(tmp_path / "run") == whole


def test_last_stage_starts_the_stage_again(
    tmp_path: Path,
    config: StructureConfig,
    whole: dict[int, str],
    strike: Strike,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The guide's way: `--resume last-stage` goes on from the end of stage 2."""
    strike(2 * STAGE + 10, ctrl_c)
    with pytest.raises(Stopped):
        recipe.train(config, tmp_path / "run")
    capsys.readouterr()

    monkeypatch.setenv("EVERTRAIN_RESUME", "last-stage")
    recipe.train(config, tmp_path / "run")

    out = capsys.readouterr().out
    assert f"Resuming from step {2 * STAGE}: " in out
    assert "Last completed: Stage 2/4\n   Will resume from Stage 3/4\n" in out
    assert f"STAGE 3/4: {NAMES[2]}" in out
    assert digests(tmp_path / "run") == whole


def test_an_error_is_kept_apart_and_not_resumed_from(
    tmp_path: Path, config: StructureConfig, whole: dict[int, str], strike: Strike
) -> None:
    """Scenario 2: an exception in stage 2 leaves an ERROR checkpoint; the training goes on."""
    strike(STAGE + 10, error)
    with pytest.raises(FloatingPointError, match="left the ground"):
        recipe.train(config, tmp_path / "run")
    emergency = tmp_path / "run" / "checkpoints" / "emergency"
    assert [path.name for path in emergency.iterdir()] == [f"{STAGE:09d}-ERROR"]

    recipe.train(config, tmp_path / "run")

    resumed = Journal(tmp_path / "run" / "journal.jsonl").last("resumed")
    assert resumed is not None
    assert resumed["from"] == f"{STAGE:09d}"
    assert digests(tmp_path / "run") == whole


def test_a_fresh_start_says_so(
    tmp_path: Path, config: StructureConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scenario 3: without checkpoints the training starts fresh, and ends with its report."""
    recipe.train(config, tmp_path / "run")

    out = capsys.readouterr().out
    assert "Device: cpu\n\nNo checkpoints found - starting fresh training\n" in out
    for number, name in enumerate(NAMES, 1):
        assert f"STAGE {number}/4: {name}\n" in out
        assert f"Stage {number} complete!\n" in out
    assert (tmp_path / "run" / "report.txt").read_text().count("policy") >= 4


def test_deleting_later_checkpoints_resumes_from_stage_2(
    tmp_path: Path, config: StructureConfig, whole: dict[int, str]
) -> None:
    """`rm -rf` of what came after stage 1 trains stage 2 and the rest again, to the same end."""
    recipe.train(config, tmp_path / "run")
    for info in Store(tmp_path / "run").list():
        if info.step > STAGE:
            for path in info.path.iterdir():
                path.unlink()
            info.path.rmdir()

    recipe.train(config, tmp_path / "run")

    assert digests(tmp_path / "run") == whole


def test_going_back_to_a_stage_keeps_what_came_later(
    tmp_path: Path,
    config: StructureConfig,
    whole: dict[int, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`resume --from stage:1` does the same, and sets the later checkpoints aside."""
    recipe.train(config, tmp_path / "run")

    monkeypatch.setenv("EVERTRAIN_RESUME", "stage:1")
    recipe.train(config, tmp_path / "run")

    assert digests(tmp_path / "run") == whole
    superseded = tmp_path / "run" / "checkpoints" / "superseded"
    assert len(list(superseded.iterdir())) == 6


def test_each_stage_really_has_its_settings(
    tmp_path: Path, config: StructureConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Learning rate, entropy and rollout length change with the stage, also after a resume."""
    from stable_baselines3 import PPO

    values = config.model_dump(mode="json")
    values["stages"][1]["ppo"] = {"ent_coef": 0.25, "n_steps": 50, "learning_rate": 1e-3}
    config = StructureConfig.model_validate(values)
    seen: list[tuple[int, float, float, int]] = []
    update = PPO.train

    def spy(self: PPO) -> None:
        update(self)
        rate = self.policy.optimizer.param_groups[0]["lr"]
        seen.append(
            (self.num_timesteps, self.ent_coef, round(rate, 6), self.rollout_buffer.buffer_size)
        )

    monkeypatch.setattr(PPO, "train", spy)
    recipe.train(config, tmp_path / "run")
    uninterrupted = list(seen)
    seen.clear()
    monkeypatch.setenv("EVERTRAIN_RESUME", "stage:1")
    recipe.train(config, tmp_path / "run")

    stage_2 = next(row for row in uninterrupted if row[0] == STAGE + 100)
    assert stage_2[1:] == (0.25, 0.0001, 50)
    assert seen == [row for row in uninterrupted if row[0] > STAGE]


def exams(path: Path) -> dict[int, dict[str, float]]:
    """Return the examination's numbers of the live rows, by step, where there are any."""
    found = {
        row["step"]: {name: x for name, x in row.items() if name.startswith("exam/")}
        for row in read_metrics(RunDir(path))
    }
    return {step: row for step, row in found.items() if row}


def test_a_finished_training_reports_again(tmp_path: Path, config: StructureConfig) -> None:
    """Killed in its report, or run again: nothing is left to train, and the report is made."""
    recipe.train(config, tmp_path / "run")
    report = tmp_path / "run" / "report.txt"
    first = report.read_text()
    before = digests(tmp_path / "run")
    report.unlink()

    recipe.train(config, tmp_path / "run")

    assert report.read_text() == first
    assert digests(tmp_path / "run") == before


def test_an_examination_belongs_to_the_policy_that_is_saved(
    tmp_path: Path, config: StructureConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers of a row are those of the policy in the checkpoint of its step."""
    recipe.train(config, tmp_path / "run")
    found = exams(tmp_path / "run")
    scores = {step: row["exam/mean_reduction_percent"] for step, row in found.items()}
    best = Store(tmp_path / "run", best="max:exam/mean_reduction_percent").best()
    assert best is not None
    assert list(scores) == [ROLLOUT * n for n in range(1, 9)]
    assert best.score == scores[best.step] == max(scores.values())

    model = recipe.build(config)
    monkeypatch.setenv("EVERTRAIN_RESUME", "best")
    with Run(tmp_path / "run", unit="step", seed=config.seed, recipe="structure") as run:
        run.attach(model=model)
        run.restore()
        motions, seed = recipe._EXAM_MOTIONS, EXAM_SEED
        again = evaluate(policy_of(model), config, motions=motions, seed=seed)

    reductions = [each.roof_reduction_percent.mean for each in again if each.controller == "policy"]
    assert len(reductions) == 4  # all stages: what compares policies of different stages
    assert sum(reductions) / 4 == pytest.approx(best.score, rel=1e-12)


def test_numbers_of_an_examination_stay_in_their_row(
    tmp_path: Path, config: StructureConfig, monkeypatch: pytest.MonkeyPatch, strike: Strike
) -> None:
    """Examined once a stage, a training has them once a stage; killed and resumed as well."""
    monkeypatch.setattr(recipe, "_EXAMS", 1)
    recipe.train(config, tmp_path / "whole")
    strike(3 * STAGE + 60, error)
    with pytest.raises(FloatingPointError):
        recipe.train(config, tmp_path / "cut")
    recipe.train(config, tmp_path / "cut")

    assert list(exams(tmp_path / "whole")) == [STAGE * n for n in range(1, 5)]
    assert exams(tmp_path / "cut") == exams(tmp_path / "whole")
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")

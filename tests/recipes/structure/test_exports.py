"""Models as files of SB3's own: loadable, of the right stage, and made of checkpoints alone."""

import os
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from evertrain import Stopped, Store, load_policy
from evertrain.core.errors import ConfigError
from evertrain.core.rundir import RunDir, new_identity, write_identity
from evertrain.integrations.sb3.export import Saved
from evertrain.recipes import find
from evertrain.recipes.flags import expand
from evertrain.recipes.structure import exports
from evertrain.recipes.structure import train as recipe
from evertrain.recipes.structure.config import StructureConfig
from evertrain.recipes.structure.env import StructureEnv
from evertrain.recipes.structure.exports import export_stages, refuse_others
from recipes.structure.worlds import preset

ROLLOUT = 50
STAGE = 2 * ROLLOUT
STEMS = ["stage1_50kN", "stage2_100kN", "final_structure"]


@pytest.fixture
def config(tmp_path: Path) -> StructureConfig:
    """Two stages of the small preset, cut down to two rollouts, with a place for their models."""
    values = preset("small").model_dump(mode="json")
    values |= {"envs": 2, "evaluation": {"motions": 2, "seed": 0}}
    values["ppo"] |= {"n_steps": 25, "batch_size": 25, "n_epochs": 1}
    values["motion"] |= {"duration_s": 2.0, "rise_s": 0.5, "plateau_s": 0.5}
    values["checkpoints"] = {"every_steps": ROLLOUT, "keep_last": 0}
    values["exports"] = str(tmp_path / "models")
    values["stages"] = values["stages"][:2]
    for stage in values["stages"]:
        stage |= {"steps": STAGE, "ppo": {"learning_rate": 2e-4}}
    return StructureConfig.model_validate(values)


@pytest.fixture
def strike(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], None]:
    """Do something when the training has taken so many environment steps since now."""
    step = StructureEnv.step

    def set_up(after: int, act: Callable[[], None]) -> None:
        taken = 0

        def counted(self: StructureEnv, action: Any) -> Any:
            nonlocal taken
            taken += 1
            if taken == after:
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


def names(folder: Path) -> set[str]:
    """Return what lies in a directory; nothing if there is none."""
    return {each.name for each in folder.glob("*")}


def files(*stems: str) -> set[str]:
    """Return the three files of each model."""
    return {f"{stem}{end}" for stem in stems for end in (".zip", "_vecnormalize.pkl", ".json")}


def contents(folder: Path) -> dict[str, bytes]:
    """Return what lies in a directory, and what it holds."""
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def finished(path: Path, *, saved_at_s: float) -> Any:
    """Return a run at the end of its first stage, as far as exports look at it."""
    if not (path / "run.json").exists():
        write_identity(RunDir(path), new_identity())
    info = SimpleNamespace(
        step=STAGE, kind="stage", stage_index=1, saved_at_s=saved_at_s, path=path / "100"
    )
    return SimpleNamespace(path=path, step=STAGE, store=SimpleNamespace(list=lambda: [info]))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a checkpoint's model be the path of its run, and of the time at which it is written."""
    counter = count(1)

    def saved(path: Path) -> Saved:
        return Saved(f"{path} {next(counter)}".encode(), b"statistics")

    monkeypatch.setattr(exports, "saved", saved)


def test_each_stage_and_the_end_leave_a_model_that_sb3_loads(
    tmp_path: Path, config: StructureConfig
) -> None:
    """`PPO.load` and `VecNormalize.load`: weights, counters and actions of that checkpoint."""
    recipe.train(config, tmp_path / "run")

    models = tmp_path / "models"
    assert names(models) == files(*STEMS)
    env = DummyVecEnv([lambda: StructureEnv(config)])
    seen = np.random.default_rng(0).normal(scale=0.1, size=(7, 6)).astype(np.float32)
    for index, stem in enumerate(STEMS):
        step = min(index + 1, 2) * STAGE
        model = PPO.load(models / f"{stem}.zip", device="cpu")
        statistics = VecNormalize.load(str(models / f"{stem}_vecnormalize.pkl"), env)
        actions = model.predict(statistics.normalize_obs(seen), deterministic=True)[0]
        own = load_policy(f"{tmp_path / 'run'}@{step}").predict(seen)
        assert model.num_timesteps == step
        np.testing.assert_array_equal(actions, own)


def test_models_are_made_of_checkpoints_and_change_no_training(
    tmp_path: Path, config: StructureConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """Deleted ones are made again by the next start; torn ones too."""
    recipe.train(config, tmp_path / "run")
    models = tmp_path / "models"
    first = {path.name: path.read_bytes() for path in models.iterdir()}
    stamps = {path.name: path.stat().st_mtime_ns for path in models.iterdir()}
    (models / "stage2_100kN_vecnormalize.pkl").unlink()
    (models / "final_structure.zip").write_bytes(first["final_structure.zip"][:-1])
    capsys.readouterr()

    recipe.train(config, tmp_path / "run")

    written = [line for line in capsys.readouterr().out.splitlines() if "Model saved" in line]
    assert [Path(line.split()[-1]).name for line in written] == [
        "stage2_100kN.zip",
        "final_structure.zip",
    ]
    assert names(models) == set(first)
    for name in files("stage1_50kN"):
        assert (models / name).stat().st_mtime_ns == stamps[name]


@pytest.mark.usefixtures("quick")
def test_a_model_is_of_its_checkpoint_whatever_the_clock_says(
    tmp_path: Path, config: StructureConfig
) -> None:
    """The same step again, saved by a clock that had been ahead: the file is the new one."""
    zip_file = tmp_path / "models" / "stage1_50kN.zip"
    one, again = (finished(tmp_path / "run", saved_at_s=each) for each in (2000.0, 1000.0))

    for run, content in ((one, b"1"), (one, b"1"), (again, b"2"), (again, b"2")):
        list(export_stages(config, run))
        assert zip_file.read_bytes()[-1:] == content


@pytest.mark.usefixtures("quick")
def test_a_model_of_another_run_is_not_replaced(tmp_path: Path, config: StructureConfig) -> None:
    """It is refused, however old it is; and so is one that nobody knows the run of."""
    one, two = (finished(tmp_path / each, saved_at_s=2e9) for each in ("one", "two"))
    list(export_stages(config, one))
    models = tmp_path / "models"
    before = contents(models)

    for act in (refuse_others, lambda *given: list(export_stages(*given))):
        with pytest.raises(ConfigError, match=r"stage1_50kN.zip, which another run, .*one, has"):
            act(config, two)
    refuse_others(config, one)
    assert contents(models) == before

    (models / "stage1_50kN.json").unlink()
    with pytest.raises(ConfigError, match="nobody knows which run") as caught:
        refuse_others(config, one)
    assert "-o exports=FOLDER" in caught.value.fix


@pytest.mark.parametrize("name", ["final_structure.zip", "stage2_ERROR_100kN_vecnormalize.pkl"])
def test_the_training_refuses_before_its_first_step(
    tmp_path: Path, config: StructureConfig, name: str
) -> None:
    """Not after hours, when it has something to write; and leaves no emergency model there."""
    models = tmp_path / "models"
    models.mkdir()
    (models / name).write_text("mine")
    (models / "other.zip").write_text("mine, too")

    with pytest.raises(ConfigError, match=name):
        recipe.train(config, tmp_path / "run")

    assert contents(models) == {name: b"mine", "other.zip": b"mine, too"}
    assert Store(tmp_path / "run").list() == []


def test_going_back_leaves_the_later_models_until_their_stages_end_again(
    tmp_path: Path, config: StructureConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`resume --from stage:1`: what is set aside is exported no more, the new branch is."""
    recipe.train(config, tmp_path / "run")
    models = tmp_path / "models"
    before = {name: (models / name).stat().st_mtime_ns for name in names(models)}
    (models / "stage2_100kN.zip").unlink()
    seen: list[set[str]] = []
    build = recipe._examiner

    def begin(*given: Any) -> Any:
        seen.append(names(models))
        return build(*given)

    monkeypatch.setattr(recipe, "_examiner", begin)

    monkeypatch.setenv("EVERTRAIN_RESUME", "stage:1")
    recipe.train(config, tmp_path / "run")

    assert "stage2_100kN.zip" not in seen[0], "it is of a branch that was left"
    assert names(models) == files(*STEMS)
    again = {name for name in before if (models / name).stat().st_mtime_ns > before[name]}
    assert again == files(*STEMS[1:])


@pytest.mark.parametrize(
    ("act", "ends", "kind", "word"),
    [
        (ctrl_c, Stopped, "INTERRUPTED", "interrupted"),
        (error, FloatingPointError, "ERROR", "failed"),
    ],
    ids=["ctrl_c", "error"],
)
def test_an_emergency_leaves_a_model_that_nothing_resumes_from(
    tmp_path: Path,
    config: StructureConfig,
    strike: Callable[[int, Callable[[], None]], None],
    capsys: pytest.CaptureFixture[str],
    act: Callable[[], None],
    ends: type[BaseException],
    kind: str,
    word: str,
) -> None:
    """In stage 2: its name says so, SB3 loads it, and deleting it costs the training nothing."""
    strike(STAGE + 10, act)
    with pytest.raises(ends):
        recipe.train(config, tmp_path / "run")

    models, stem = tmp_path / "models", f"stage2_{kind}_100kN"
    assert names(models) == files("stage1_50kN", stem)
    assert PPO.load(models / f"{stem}.zip", device="cpu").num_timesteps >= STAGE
    out = capsys.readouterr().out
    assert f"Training {word} in stage 2" in out
    assert f"Emergency model saved: {models / stem}.zip" in out

    for path in models.glob(f"*_{kind}_*"):  # the guide's clean-up
        path.unlink()
    recipe.train(config, tmp_path / "run")

    assert names(models) == files(*STEMS)
    assert Store(tmp_path / "run").list()[-1].step == 2 * STAGE


def test_a_disk_that_refuses_ends_no_training_and_hides_no_error(
    tmp_path: Path,
    config: StructureConfig,
    strike: Callable[[int, Callable[[], None]], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The models are lost; what the training fails of later is what is raised."""

    def refuse(*given: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    strike(STAGE + 10, error)
    monkeypatch.setattr("evertrain.recipes.structure.exports.write_atomic", refuse)
    with pytest.raises(FloatingPointError, match="left the ground"):
        recipe.train(config, tmp_path / "run")

    out = capsys.readouterr().out
    assert "No model saved: [Errno 28] No space left on device; the next start" in out
    assert "STAGE 2/2" in out
    assert "No emergency model: [Errno 28] No space left on device" in out


def test_without_a_place_no_model_is_written(
    tmp_path: Path,
    config: StructureConfig,
    strike: Callable[[int, Callable[[], None]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The default. Where it stopped is said all the same."""
    strike(10, ctrl_c)
    with pytest.raises(Stopped):
        recipe.train(config.model_copy(update={"exports": None}), tmp_path / "run")

    out = capsys.readouterr().out
    assert "Training interrupted in stage 1" in out
    assert "model saved" not in out
    assert names(tmp_path) == {"run"}


def test_the_option_names_the_place() -> None:
    """`--exports DIR` is `-o exports=DIR`."""
    words = expand(find("structure").flags, ["structure", "--exports", "models"])

    assert words == ["structure", "-o", "exports=models"]

"""The configuration: what it refuses and what reaches PPO."""

from functools import partial

import pytest
from pydantic import ValidationError
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from evertrain.recipes.structure.config import (
    EXAM_SEED,
    BuildingConfig,
    PpoConfig,
    StructureConfig,
)
from evertrain.recipes.structure.env import StructureEnv
from recipes.structure.worlds import preset


def test_default_curriculum() -> None:
    """Four stages with the guide's forces and budgets."""
    stages = preset("default").stages

    assert [s.name for s in stages] == [
        "M4.5 @ 50kN",
        "M5.7 @ 100kN",
        "M7.4 @ 150kN",
        "M8.4 @ 150kN",
    ]
    assert [s.steps for s in stages] == [300_000, 300_000, 400_000, 400_000]


def test_small_is_the_same_problem() -> None:
    """The small preset differs in nothing but PPO and its budgets."""
    default, small = preset("default"), preset("small")

    assert small.building == default.building
    assert small.motion == default.motion
    assert [s.pga_g for s in small.stages] == [s.pga_g for s in default.stages]
    assert sum(s.steps for s in small.stages) < 200_000


@pytest.mark.parametrize("name", ["default", "small"])
def test_stages_hold_whole_rollouts(name: str) -> None:
    """A stage's budget is a whole number of rollouts, so no step is too many."""
    config = preset(name)
    for index, stage in enumerate(config.stages):
        assert stage.steps % (config.ppo_of(index).n_steps * config.envs) == 0


def test_all_faults_at_once() -> None:
    """Unknown names and bad values are all reported, each with its place."""
    data = preset("default").model_dump()
    data["bilding"] = {}
    data["stages"][2]["max_force_kn"] = -1
    data["ppo"]["gamma"] = 1.5

    with pytest.raises(ValidationError) as caught:
        StructureConfig.model_validate(data)

    places = {fault["loc"] for fault in caught.value.errors()}
    assert places == {("bilding",), ("stages", 2, "max_force_kn"), ("ppo", "gamma")}


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_numbers_are_finite(number: float) -> None:
    """No infinity and no NaN gets into the physics."""
    with pytest.raises(ValidationError, match="finite"):
        BuildingConfig(floor_mass_kg=number)


def test_soft_storey_must_exist() -> None:
    """The soft storey is one of the storeys."""
    with pytest.raises(ValidationError, match="soft_storey 13 is above storey 12"):
        BuildingConfig(soft_storey=13)


def test_batches_must_divide_rollouts() -> None:
    """A batch size that an override makes impossible is found before training."""
    data = preset("default").model_dump()
    data["stages"][3]["ppo"]["n_steps"] = 77

    with pytest.raises(ValidationError, match=r"stage 3 \(M8.4 @ 150kN\): batch_size"):
        StructureConfig.model_validate(data)


def test_motion_must_hold_an_action() -> None:
    """A motion shorter than one action is refused."""
    data = preset("default").model_dump()
    data["motion"]["duration_s"] = 0.02

    with pytest.raises(ValidationError, match="longer than one action"):
        StructureConfig.model_validate(data)


def test_overrides_apply() -> None:
    """A stage's overrides replace the common values, and only those."""
    data = preset("default").model_dump()
    data["stages"][1]["ppo"] = {"learning_rate": 1e-5, "ent_coef": 0.01, "n_steps": 1250}
    config = StructureConfig.model_validate(data)

    changed = config.ppo_of(1)

    assert (changed.learning_rate, changed.ent_coef, changed.n_steps) == (1e-5, 0.01, 1250)
    assert changed.gamma == config.ppo.gamma
    assert config.ppo_of(0) == config.ppo


def test_arguments_build_ppo() -> None:
    """PPO takes the arguments as they are and trains behind VecNormalize."""
    ppo = PpoConfig(n_steps=10, batch_size=10, net_arch=(8,), log_std_init=-1.0)
    config = preset("small")
    env = DummyVecEnv([partial(StructureEnv, config, index=i) for i in range(2)])

    model = PPO("MlpPolicy", VecNormalize(env), device="cpu", **ppo.arguments())
    model.learn(20)

    assert model.num_timesteps == 20
    assert (model.gamma, model.n_epochs, model.batch_size) == (ppo.gamma, ppo.n_epochs, 10)
    assert model.policy.net_arch == [8]


def test_learning_rate_falls() -> None:
    """The schedule is linear from the first to the final rate and stays there."""
    ppo = PpoConfig(learning_rate=4e-4, final_learning_rate=2e-4)

    rates = [ppo.learning_rate_at(done) for done in (-1, 0, 0.5, 1, 2)]

    assert rates == pytest.approx([4e-4, 4e-4, 3e-4, 2e-4, 2e-4])


def test_json_round_trip() -> None:
    """A configuration written as JSON reads back equal."""
    config = preset("default")

    assert StructureConfig.model_validate_json(config.model_dump_json()) == config


def test_the_report_has_other_motions_than_the_exams() -> None:
    """`best` was chosen by those: a report on them would praise a policy for what chose it."""
    data = preset("small").model_dump()

    with pytest.raises(ValidationError, match="less than 1000003"):
        StructureConfig.model_validate({**data, "evaluation": {"seed": EXAM_SEED}})

"""The openscope recipe, on the stub game in Node."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from evertrain import Run, Store
from evertrain.core.errors import ConfigError
from evertrain.integrations.browser import BrowserGameEnv, GameSettings
from evertrain.recipes import find
from evertrain.recipes.atc.config import AtcConfig
from evertrain.recipes.flags import expand
from evertrain.recipes.openscope import train as module
from evertrain.recipes.openscope.config import PRESETS, GameConfig, OpenscopeConfig, game_settings
from evertrain.recipes.openscope.evaluate import Played, play, silence, table
from integrations.games import FakeGame, node, node_env, settings
from integrations.worlds import digest

SHORT: dict[str, Any] = {
    "steps": 64,
    "envs": 1,
    "game": {"action_s": 1.0, "slots": 2, "episode_steps": 20},
    "checkpoints": {"every_steps": 32},
    "ppo": {"n_steps": 32, "batch_size": 32, "n_epochs": 1, "net_arch": (8,)},
    "evaluation": {"games": 2},
}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_configuration(name: str) -> None:
    """And its game's settings can work."""
    config = OpenscopeConfig.model_validate(PRESETS[name])

    assert game_settings(config.game).frames >= 1


@pytest.mark.parametrize("timewarp", [40.0, 30.0, 20.0, 10.0])
def test_a_ladder_needs_no_other_setting(timewarp: float) -> None:
    """At each of the guide's time warps, an action is a whole number of frames."""
    chosen = game_settings(GameConfig(timewarp=timewarp))

    assert chosen.frames * chosen.frame_ms * timewarp / 1000 == chosen.action_s


def test_the_configuration_has_every_setting_of_the_game() -> None:
    """A setting that is added there is added here, with the same default."""
    own, theirs = GameConfig(), GameSettings(url="http://localhost:3003")
    defaults = {name: getattr(theirs, name) for name in GameSettings.__slots__}

    assert own.model_dump() | {"instructions": ()} == defaults | {"instructions": ()}
    assert game_settings(own) == theirs


@pytest.mark.parametrize(
    ("game", "said"),
    [
        ({"timewarp": 7}, "no whole number"),
        ({"url": "localhost:3003"}, "no http address"),
        ({"instructions": [""]}, "lines of text"),
    ],
)
def test_a_game_that_cannot_work_is_no_configuration(game: dict[str, Any], said: str) -> None:
    """`config check` says what the training would."""
    with pytest.raises(ValidationError, match=said):
        OpenscopeConfig.model_validate({"game": game})


@pytest.mark.parametrize("model", [OpenscopeConfig, AtcConfig])
def test_a_device_that_torch_does_not_have_is_no_configuration(model: type[BaseModel]) -> None:
    """It would be found out by a traceback of torch, in each attempt."""
    for name in ("gpu", "cuda:", "cuda:x", "", "cpu "):
        with pytest.raises(ValidationError, match="device"):
            model.model_validate({"device": name})
    for name in ("cpu", "auto", "cuda", "cuda:1"):
        assert model.model_validate({"device": name}).model_dump()["device"] == name


def test_instructions_are_added() -> None:
    """An airport's own clearances come behind those of all."""
    chosen = game_settings(GameConfig(instructions=("i 25L",)))

    assert chosen.instructions[-1] == "i 25L"
    assert len(chosen.instructions) > 20


def test_what_cannot_work_is_refused() -> None:
    """By the model, also where it takes two settings."""
    with pytest.raises(ValidationError, match="does not divide a rollout"):
        OpenscopeConfig.model_validate({"ppo": {"n_steps": 100}})
    with pytest.raises(ConfigError, match="no whole number"):
        game_settings(GameConfig(action_s=1.7))


def test_the_flags_of_the_guide() -> None:
    """`--game-url` and the path of the browser are settings like any other."""
    words = ["openscope", "--game-url", "http://localhost:8080", "--chromium=/opt/chromium"]

    assert expand(find("openscope").flags, words) == [
        "openscope", "-o", "game.url=http://localhost:8080", "-o", "game.chromium=/opt/chromium",
    ]  # fmt: skip


def test_the_numbers_of_the_episodes() -> None:
    """The share of lost games, and the score of those that have one."""
    model: Any = SimpleNamespace(ep_info_buffer=None)
    assert module.of_episodes(model) == {}

    model.ep_info_buffer = [
        {"score": 10.0, "is_lost": 0.0},
        {"score": 30.0, "is_lost": 1.0},
        {"score": math.nan, "is_lost": 1.0},
        {"score": 20.0, "is_lost": 0.0},
    ]
    assert module.of_episodes(model) == {"episode/score": 20.0, "episode/lost": 0.5}


def test_a_game_that_is_lost_counts_as_far_as_it_went() -> None:
    """The report survives a browser that crashes, and tells of it."""
    env = BrowserGameEnv(settings(), game=FakeGame(losses=frozenset({5})))

    played = play(env, silence, 1)

    assert played.reward > 0
    assert played.score == pytest.approx(10 * played.reward)
    assert played.is_lost


def test_the_table_of_the_report() -> None:
    """A row for each controller, what lies between them game by game, and who was lost."""
    found = {
        "silence": [Played(1.0, 10.0, 2.0, is_lost=False), Played(3.0, 30.0, 2.0, is_lost=True)],
        "policy": [Played(2.0, 20.0, 0.0, is_lost=False), Played(4.0, 40.0, 0.0, is_lost=False)],
    }

    assert table(found).splitlines() == [
        "2 games each; mean +- standard error",
        "controller            reward       score          pairs close   lost",
        "silence               2.00 +-1.00  20.00 +-10.00  2.00 +-0.00   1",
        "policy                3.00 +-1.00  30.00 +-10.00  0.00 +-0.00   0",
        "policy, less silence  1.00 +-0.00  10.00 +-0.00   -2.00 +-0.00",
    ]


@pytest.mark.slow
@pytest.mark.skipif(node() is None, reason="no Node: install evertrain[game]")
def test_a_training_that_was_stopped_goes_on_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of it, then the rest, comes out as all of it; and it reports."""
    chosen = game_settings(OpenscopeConfig.model_validate(SHORT).game)
    given = {name: getattr(chosen, name) for name in GameSettings.__slots__}
    monkeypatch.setattr(module, "make_env", lambda _: node_env(**given))
    whole = OpenscopeConfig.model_validate(SHORT)

    module.train(OpenscopeConfig.model_validate(SHORT | {"steps": 32}), tmp_path / "cut")
    module.train(whole, tmp_path / "cut")
    module.train(whole, tmp_path / "whole")

    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    with Run(tmp_path / "whole", total=64, recipe="openscope") as run:
        assert list(run.metrics)[-1]["episode/lost"] == 0.0
    assert [each.step for each in Store(tmp_path / "whole").list()][-1] == 64
    report = (tmp_path / "whole" / "report.txt").read_text()
    assert report == (tmp_path / "cut" / "report.txt").read_text()
    assert report.startswith("2 games each")
    shown = capsys.readouterr()
    assert "Using device: cpu" in shown.out + shown.err
    assert "Network parameters: " in shown.out + shown.err

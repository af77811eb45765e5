"""The folder of weights: what belongs there, and whose it is."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.store import Store
from evertrain.cli.main import cli
from evertrain.core.errors import CorruptError, NotFoundError
from evertrain.core.rundir import RunDir, new_identity, write_identity
from evertrain.recipes.cardfile import encoded
from evertrain.recipes.owner import digest
from evertrain.recipes.trading.config import CheckpointConfig
from evertrain.recipes.trading.exports import remove
from evertrain.recipes.trading.folder import CARD as CARD_SUFFIX
from evertrain.recipes.trading.folder import WEIGHTS, Card, cards_in, place, wanted
from evertrain.supervise import loop
from evertrain.supervise.options import SuperviseOptions
from evertrain.testing.clock import FakeClock
from evertrain.testing.power import PowerDisk

CARD = Card(
    episode=200,
    metrics={"total_profit": 5234.56, "sharpe_ratio": 1.234},
    is_best=False,
    metric_name="total_profit",
    metric_value=5234.56,
    epsilon=0.1,
    saved_at_s=1.5,
    run="runs/trading",
    run_id="abc",
    sha256="0" * 64,
)


def found(*steps: int, best: int) -> list[CheckpointInfo]:
    """Return checkpoints of these steps, one of them the best."""
    return [CheckpointInfo(step=x, saved_at_s=x, score=float(x == best)) for x in steps]


def test_weights_never_outlive_their_card(tmp_path: Path) -> None:
    """Whatever a power cut keeps of a removal: a folder with somebody's weights is refused."""
    folder = tmp_path / "models"
    folder.mkdir()
    for suffix in (WEIGHTS, CARD_SUFFIX):
        (folder / f"model_ep2{suffix}").write_bytes(b"x")
    disk = PowerDisk(folder)

    remove(folder, "model_ep2", fs=disk)

    left = []
    for number, death in enumerate(disk.deaths()):
        death.plant(tmp_path / str(number))
        left.append(sorted(path.suffix for path in (tmp_path / str(number)).iterdir()))
    assert [WEIGHTS] not in left
    assert [CARD_SUFFIX] in left
    assert [] in left


@pytest.mark.parametrize(
    ("steps", "best", "names"),
    [
        ((), 0, []),
        ((1,), 1, ["best_model", "model_ep1"]),
        ((1, 7, 10), 7, ["best_model", "model_ep10"]),
        ((7, 10, 20, 24), 7, ["best_model", "model_ep10", "model_ep20", "model_ep24"]),
        ((10, 20, 30, 40), 10, ["best_model", "model_ep20", "model_ep30", "model_ep40"]),
        ((20, 30, 31), 30, ["best_model", "model_ep20", "model_ep30", "model_ep31"]),
    ],
    ids=str,
)  # fmt: skip
def test_a_folder_holds_the_newest_of_the_frequency_and_the_best(
    steps: tuple[int, ...], best: int, names: list[str]
) -> None:
    """And the newest of all, which may be that of a stop; a new best in between is `best_model`."""
    config = CheckpointConfig(save_frequency=10, max_keep=3)
    infos = found(*steps, best=best)

    mirror = wanted(infos, config)

    assert sorted(mirror) == names
    assert all(mirror[name].step == int(name[8:]) for name in names if name != "best_model")
    if names:
        assert mirror["best_model"].step == best
    without = wanted(infos, config.model_copy(update={"save_best": False}))
    assert sorted(without) == [name for name in names if name != "best_model"]


def test_a_card_is_the_guides_json_and_comes_back(tmp_path: Path) -> None:
    """Its fields are there by their names; ours stand behind them."""
    path = tmp_path / "model_ep200.json"
    path.write_bytes(encoded(CARD))

    shown = json.loads(path.read_text())

    assert list(shown)[:5] == ["episode", "metrics", "is_best", "metric_name", "metric_value"]
    assert shown["metrics"]["total_profit"] == 5234.56
    assert Card.of(path) == CARD


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"episode": 200}', '{"episode": "200"}'])
def test_what_is_no_card_is_none(text: str, tmp_path: Path) -> None:
    """A file of some other program, or a torn one, says nothing."""
    path = tmp_path / "model_ep200.json"
    path.write_text(text)

    assert Card.of(path) is None
    assert Card.of(tmp_path / "model_ep1.json") is None


def test_only_names_of_ours_are_looked_at(tmp_path: Path) -> None:
    """Whatever else lies there is not our business."""
    for name in ("model_ep10.pt", "best_model.pt", "best_model.json", "notes.json", "model_epx.pt"):
        (tmp_path / name).touch()
    (tmp_path / "model_ep20.json").write_bytes(encoded(CARD))

    assert cards_in(tmp_path) == {"best_model": None, "model_ep10": None, "model_ep20": CARD}
    assert cards_in(tmp_path / "nowhere") == {}


def exported(tmp_path: Path) -> tuple[Path, Path]:
    """Return a run with a checkpoint of 200, and the file of weights that was made of it."""
    run, weights = tmp_path / "runs" / "trading", tmp_path / "models" / "model_ep200.pt"
    write_identity(RunDir(run), replace(new_identity(recipe="trading"), id="abc"))
    saved = Store(run).save(200, {"model": {"policy": 1}})
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    card = replace(
        CARD, run=str(run), saved_at_s=saved.saved_at_s, sha256=digest(weights.read_bytes())
    )
    weights.with_suffix(".json").write_bytes(encoded(card))
    return run, weights


def test_a_file_of_weights_is_the_step_that_it_was_made_of(tmp_path: Path) -> None:
    """Of another run, that run's checkpoint; what is no such file stays as it was typed."""
    mine, weights = exported(tmp_path)

    assert place(str(weights), mine) == "200"
    assert place(str(weights), tmp_path / "other") == f"{mine}/checkpoints/000000200"
    for word in ("auto", "200", "best", "never", str(tmp_path), str(tmp_path / "model_ep1.pt")):
        assert place(word, mine) == word
    weights.with_suffix(".json").unlink()
    assert place(str(weights), mine) == str(weights)


def test_a_file_of_a_checkpoint_that_is_no_more_is_refused(tmp_path: Path) -> None:
    """Nor is another one of that step taken for it, and a file that has changed leads nowhere."""
    mine, weights = exported(tmp_path)
    shutil.rmtree(RunDir(mine).checkpoints / "000000200")
    for there in (False, True):
        with pytest.raises(NotFoundError, match=f"a checkpoint that {mine} has no more"):
            place(str(weights), mine)
        if not there:
            Store(mine, clock=FakeClock()).save(200, {"model": {"policy": 2}})

    weights.write_bytes(b"torn")
    with pytest.raises(CorruptError, match="not what was written"):
        place(str(weights), mine)


def test_the_command_line_takes_a_file_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--resume models/model_ep200.pt` begins at episode 200, with the guide's other options."""
    mine, weights = exported(tmp_path)
    asked: list[tuple[list[str], str]] = []

    def record(command: list[str], _: str, options: SuperviseOptions, **__: object) -> int:
        asked.append((command, options.resume))
        return 0

    monkeypatch.setattr(loop, "supervise", record)
    words = ["train", "trading", "--run", str(mine), "--resume", str(weights), "--episodes", "20"]

    done = CliRunner().invoke(cli, words)

    assert done.exit_code == 0, done.output
    [(command, resume)] = asked
    assert resume == "200"
    assert command[-2:] == ["-o", "episodes=20"]

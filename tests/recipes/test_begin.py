"""How a recipe that cannot begin ends: in three lines, with what keeps a supervisor from trying."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evertrain import Run, recipes
from evertrain.core.errors import EXIT_CONFIG, EXIT_LOCKED, ConfigError, LockedError
from evertrain.recipes.__main__ import begin
from evertrain.recipes.cardfile import encoded
from evertrain.recipes.owner import Owner, claim
from evertrain.recipes.trading.config import MarketConfig
from evertrain.recipes.trading.market import load_prices

Told = Callable[..., tuple[int | str | None, str]]


@pytest.fixture
def told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Told:
    """Return what starts a recipe, and gives its exit status and what it said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").write_text("of somebody's")
    (tmp_path / "d.csv").mkdir()

    def start(*words: str) -> tuple[int | str | None, str]:
        with pytest.raises(SystemExit) as ended:
            begin([*words, "--run", "mine"])
        return ended.value.code, capsys.readouterr().err

    return start


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-o", "market.source=nope.csv"), "no file nope.csv"),
        (("-o", "market.source=d.csv"), "does not hold prices: Is a directory"),
        (("-o", "market.source=a-file/x.csv"), "does not hold prices: Not a directory"),
        (("--preset", "nope"), "no preset 'nope'"),
        (("--config", "."), "Is a directory"),
    ],
)
def test_a_mistake_ends_with_78(told: Told, words: tuple[str, ...], said: str) -> None:
    """A wrong path is as final as a wrong value, and no traceback."""
    code, text = told("trading", *words)

    assert code == EXIT_CONFIG
    assert text.startswith("evertrain: ")
    assert said in text


@pytest.mark.parametrize("where", ["must", "latest", "nope", "31", "./nowhere"])
def test_nowhere_to_begin_ends_with_78(
    told: Told, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Another start of the same command would not find it either."""
    monkeypatch.setenv("EVERTRAIN_RESUME", where)
    code, text = told("trading")

    assert code == EXIT_CONFIG, text


def test_a_run_that_another_process_owns_keeps_its_own_status(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor tells 11 from a mistake."""

    def train(*_: Any) -> None:
        raise LockedError("a", "b", "c")

    monkeypatch.setattr(recipes.Recipe, "train", train)

    assert told("trading")[0] == EXIT_LOCKED


def test_a_disk_that_fails_in_the_midst_of_a_training_is_a_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its traceback is what a post-mortem is made of, and another start may help."""

    def train(*_: Any) -> None:
        raise OSError(errno.EIO, "as planned")

    monkeypatch.setattr(recipes.Recipe, "train", train)

    with pytest.raises(OSError, match="as planned"):
        begin(["trading", "--run", "mine"])


def test_prices_that_a_spreadsheet_saved(tmp_path: Path) -> None:
    """It begins such a file with a mark of its encoding."""
    path = tmp_path / "prices.csv"
    path.write_text("Close,Volume\n1.5,7\n2.5,8\n", encoding="utf-8-sig")

    assert load_prices(MarketConfig(source=str(path))).tolist() == [1.5, 2.5]


def test_a_folder_is_claimed_once(tmp_path: Path) -> None:
    """The mark names the run."""
    with Run(tmp_path / "run", total=1) as run:
        owner = Owner.of(run.path)
    folder = tmp_path / "new"
    claim(folder, owner, is_meant=bool, option="x")
    claim(folder, owner, is_meant=bool, option="x")

    assert (folder / "evertrain-owner.json").read_bytes() == encoded(owner)


@pytest.mark.parametrize("name", ["a-file", "a-file/below"])
def test_a_file_is_no_folder_to_claim(tmp_path: Path, name: str) -> None:
    """It is refused before anything is written."""
    (tmp_path / "a-file").write_text("of somebody's")

    with pytest.raises(ConfigError, match="is not what belongs there"):
        claim(tmp_path / name, Owner("run", "id"), is_meant=bool, option="x")

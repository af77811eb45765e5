"""What recipes.py makes of the blocks that it measured."""

import math
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evertrain.checkpoint.when import every

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names of the script; its neighbours are found as where it is run."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield runpy.run_path(str(SCRIPTS / "recipes.py"))
    for name in ("table", "measure"):
        sys.modules.pop(name, None)


def test_each_block_is_compared_with_the_one_of_its_pair(bench: dict[str, Any]) -> None:
    """So that a machine that slows down over the hour is not taken for a cost of ours."""
    percent, error = bench["slower"]([1.0, 2.0], [1.1, 2.4])

    assert percent == pytest.approx(15)
    assert error == pytest.approx(5)


def test_one_block_knows_nothing_of_its_error(bench: dict[str, Any]) -> None:
    """And says so."""
    percent, error = bench["slower"]([1.0], [1.1])

    assert percent == pytest.approx(10)
    assert math.isnan(error)


def test_the_last_save_does_not_hold_up_the_loop(bench: dict[str, Any], tmp_path: Path) -> None:
    """It is over by then; in short blocks it would be a good part of all saves."""
    journal = tmp_path / "journal.jsonl"
    rows = [("saved", "periodic"), ("resumed", None), ("saved", "best"), ("saved", "final")]
    journal.write_text("".join(f'{{"event":"{e}","kind":"{k}"}}\n' for e, k in rows))

    assert [row["kind"] for row in bench["saves_between"](journal)] == ["periodic", "best"]


def test_a_run_saves_by_the_rule_that_it_is_given(bench: dict[str, Any], tmp_path: Path) -> None:
    """And not by the default one: the table says that it saves as the recipe does."""
    asked: list[Any] = []
    model = SimpleNamespace(n_steps=4, n_envs=1)
    names = bench["by_steps"].__globals__

    def run(*_: Any, save: Any, **__: Any) -> Any:
        asked.append(save)
        raise KeyboardInterrupt

    names["Run"] = run
    rule = every(steps=10_000)

    with pytest.raises(KeyboardInterrupt):
        bench["by_steps"](model, model, tmp_path, rule).ours(1)

    assert asked == [rule]

"""What `Run` is given is judged before its directory exists."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import evertrain
from evertrain import Run, auto, every, keep_last
from evertrain.core.errors import UsageError
from evertrain.core.journal import Journal
from evertrain.run.arguments import check
from support import OpenRun, walk

LOOP: dict[str, Any] = {}
LOOP["itself"] = LOOP


class NoInstance:
    """Stands for a settings class that was given instead of an instance of it."""

    def model_dump(self, mode: str) -> dict[str, Any]:
        return {"mode": mode}


MAKERS = [getattr(evertrain, name) for name in evertrain.__all__ if name.startswith("keep_")]

BAD = [
    *({"total": value} for value in ("5", 2.5, True, 0, -1, 10**30, np.float64(3), np.arange(2))),
    *({"stride": value} for value in (1.5, 0, -1, None, "1", False)),
    *({"seed": value} for value in (1.5, -1, 2**32, "0", True)),
    *({"save": value} for value in (10, "every", every, auto, int)),
    *({"keep": value} for value in (3, [keep_last(1)], *MAKERS)),
    *({"resume": value} for value in (None, True, 2.5, -1, "", "nonsense", "²", "٣", b"auto")),
    *({"resume": value} for value in ("9" * 30, 10**30, "a/\0")),
    *({"best": value} for value in (3, True, ["max:x"], "reward")),
    *({"partial": value} for value in (3, None, [1], [b"x"], b"head.*")),
    *({"on_stop": value} for value in ("ret", None, True, ["exit"], np.arange(2))),
    *({"unit": value} for value in ("", " ", None, 5, "a\nb")),
    *({"init_from": value} for value in ("", 3, b"run")),
    *({"recipe": value} for value in (3, ["x"])),
    *({"config": value} for value in (3, "lr=1", [("lr", 1)], argparse.Namespace(lr=1))),
    *({"config": value} for value in ({(1, 2): 3}, LOOP, NoInstance, {"n": 10**5000})),
]


def name_of(options: dict[str, Any]) -> str:
    """Return a name for a test."""
    [(name, value)] = options.items()
    return f"{name}={type(value).__name__}"


@pytest.mark.parametrize("options", BAD, ids=name_of)
def test_what_cannot_mean_anything_is_refused_untouched(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """The message names the argument, and no directory is left behind."""
    [name] = options

    with pytest.raises(UsageError, match=name) as caught:
        Run(tmp_path / "run", **options)

    assert caught.value.why
    assert caught.value.fix
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", [5, None, b"run", "", "a\0b", ["run"]])
def test_a_path_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any
) -> None:
    """A number, no name at all, or what the system could not open."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match="path"):
        Run(path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("best", ["", "loss", "least:loss", "max:"])
def test_an_unclear_best_is_refused_untouched(tmp_path: Path, best: str) -> None:
    """What is better must be said in full before the first step."""
    with pytest.raises(UsageError, match="best"):
        Run(tmp_path / "run", best=best)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [np.int64, np.uint8, np.array])
def test_numpys_integers_are_welcome(open_run: OpenRun, number: Callable[[int], Any]) -> None:
    """What counts like an int is one from then on, in files too."""
    run = open_run(total=number(6), stride=number(2), seed=number(3))

    assert walk(run) == [2, 4, 6]
    assert [type(each) for each in (run.total, run.stride, run.step)] == [int, int, int]
    assert json.loads((run.path / "run.json").read_text())["seed"] == 3
    assert open_run(resume=number(4), total=6).step == 4


def test_one_pattern_may_be_a_string() -> None:
    """`partial="head.*"` means that pattern, and not its letters."""
    given: dict[str, Any] = {
        "path": "run",
        "total": None,
        "unit": "step",
        "seed": None,
        "best": None,
        "save": None,
        "keep": None,
        "resume": "auto",
        "config": None,
        "stride": 1,
        "on_stop": "exit",
        "init_from": None,
        "recipe": None,
    }

    assert check(**given, partial="head.*").partial == ("head.*",)
    assert check(**given, partial=["a", "b"]).partial == ("a", "b")


def test_numbers_that_json_lacks_are_kept_by_their_names(
    open_run: OpenRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """run.json is strict, and the same NaN is no change at the next start."""
    config = {"clip": float("inf"), "net": {"low": float("-inf"), "mean": [float("nan"), 1.0]}}
    open_run(config=config)
    run = open_run(config=config)

    text = (run.path / "run.json").read_text()
    stored = json.loads(text, parse_constant=pytest.fail)["config"]
    assert stored == {"clip": "Infinity", "net": {"low": "-Infinity", "mean": ["NaN", 1.0]}}
    assert Journal(run.path / "journal.jsonl").last("config_changed") is None
    assert "config changed" not in capsys.readouterr().out


def test_a_mapping_of_mappings_stays_one(open_run: OpenRun) -> None:
    """What behaves like a dict is stored as one, at any depth."""
    run = open_run(config=MappingProxyType({"net": MappingProxyType({"width": 8})}))

    card = json.loads((run.path / "run.json").read_text())
    assert card["config"] == {"net": {"width": 8}}

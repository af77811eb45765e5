"""A run directory is told from anything else, and nothing else is touched."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.core.changes import diff_config
from evertrain.core.errors import ConfigError, CorruptError, FormatError, NotFoundError
from evertrain.core.rundir import (
    RunDir,
    claim_run_dir,
    new_identity,
    open_run_dir,
    parse_step,
    read_identity,
    step_name,
    typed_step,
    write_identity,
)


@given(st.integers(min_value=0, max_value=10**15))
def test_step_names_round_trip(step: int) -> None:
    """A checkpoint's name and its step say the same."""
    assert parse_step(step_name(step)) == step


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_step_names_sort_like_steps_while_nine_digits_do(a: int, b: int) -> None:
    """Listing by name lists by step, up to a billion steps."""
    if max(a, b) < 10**9:
        assert (step_name(a) < step_name(b)) == (a < b)


@pytest.mark.parametrize("name", ["latest", "00000001", "0000000010", ".tmp-1", "000000001-ERROR"])
def test_other_names_are_no_steps(name: str) -> None:
    """Links, temporary and emergency directories are no checkpoints."""
    assert parse_step(name) is None


def test_identity_round_trips(tmp_path: Path) -> None:
    """What is written is read, fields of later versions ignored."""
    run_dir = RunDir(tmp_path / "run")
    identity = new_identity(unit="episode", seed=3, command=["python", "x.py"], config={"lr": 1e-4})
    write_identity(run_dir, identity)
    found = json.loads(run_dir.identity.read_text())
    run_dir.identity.write_text(json.dumps(found | {"from_the_future": 1}))

    assert read_identity(run_dir) == identity


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """A directory of a later version is not touched, and the error says what to do."""
    (tmp_path / "run.json").write_text('{"format": 99, "id": "x", "created_at": "now"}')

    with pytest.raises(FormatError, match="format 99") as caught:
        claim_run_dir(tmp_path)

    assert "pip install -U evertrain" in caught.value.fix


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"id": "x"}', "\x00"])
def test_a_damaged_identity_is_told(tmp_path: Path, text: str) -> None:
    """A run.json that evertrain did not write is never guessed around."""
    (tmp_path / "run.json").write_text(text)

    with pytest.raises(CorruptError):
        read_identity(RunDir(tmp_path))


CARD = json.loads(
    '{"format": 1, "id": "x", "created_at": "now", "unit": "step", "seed": 3, "cwd": "",'
    ' "command": ["python"], "config": {}, "recipe": null}'
)
ODD: list[object] = [2.5, True, -1, [1], 2**70]
ODD_BESIDES: dict[str, list[object]] = {
    "id": [5, [], {}, None],
    "created_at": [5, [], {}, None],
    "unit": [5, [], {}, None],
    "cwd": [5, [], {}, None],
    "seed": ["x", [], {}],
    "recipe": [5, [], {}],
    "command": [5, "x", {}, None],
    "config": [5, "x", [], None],
}


@pytest.mark.parametrize("name", ODD_BESIDES)
def test_an_identity_of_odd_types_is_told(tmp_path: Path, name: str) -> None:
    """A field that somebody has edited is named, and not believed."""
    for odd in [*ODD, *ODD_BESIDES[name]]:
        (tmp_path / "run.json").write_text(json.dumps(CARD | {name: odd}))
        with pytest.raises(CorruptError, match=name):
            read_identity(RunDir(tmp_path))


@pytest.mark.parametrize("text", ["²", "٣", "", "-1", "1.0", " 1", "1_0", "9" * 30, "x"])
def test_what_is_typed_is_a_step_only_in_digits(text: str) -> None:
    """Python takes more for a digit than it can count with."""
    assert typed_step(text) is None
    assert typed_step("007") == 7


@pytest.mark.parametrize("version", [True, 0, -1, "1", 1.0, None])
def test_a_version_that_is_none_is_refused(tmp_path: Path, version: object) -> None:
    """Only the whole numbers that this code knows are formats."""
    (tmp_path / "run.json").write_text(json.dumps({"format": version, "id": "x"}))

    with pytest.raises(FormatError):
        read_identity(RunDir(tmp_path))


def test_a_foreign_directory_is_refused_untouched(tmp_path: Path) -> None:
    """Somebody's photos are not a run, and stay as they are."""
    (tmp_path / "photo.jpg").write_bytes(b"x")

    with pytest.raises(ConfigError, match=r"photo\.jpg"):
        claim_run_dir(tmp_path)

    assert os.listdir(tmp_path) == ["photo.jpg"]


def test_a_file_is_no_run_directory(tmp_path: Path) -> None:
    """A path that names a file is refused by name."""
    (tmp_path / "run").write_text("")

    with pytest.raises(ConfigError, match="is a file"):
        claim_run_dir(tmp_path / "run")


def test_a_new_or_empty_directory_is_fine(tmp_path: Path) -> None:
    """A run may start where nothing is, or where only its own supervisor was."""
    (tmp_path / "empty").mkdir()
    for name in ("logs", "ladder"):
        (tmp_path / "waiting" / name).mkdir(parents=True)

    claim_run_dir(tmp_path / "new" / "deep")
    claim_run_dir(tmp_path / "empty")
    claim_run_dir(tmp_path / "waiting")

    assert not (tmp_path / "new").exists()


def test_an_unwritable_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be saved, training does not start."""
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(ConfigError, match="cannot be written"):
        claim_run_dir(tmp_path / "run")


def test_runs_are_found_by_path_and_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`trading` means runs/trading when no directory of that name is a run."""
    write_identity(RunDir(tmp_path / "runs" / "trading"), new_identity())
    monkeypatch.chdir(tmp_path)

    assert open_run_dir("trading").path == Path("runs/trading")
    assert open_run_dir("runs/trading").path == Path("runs/trading")
    with pytest.raises(NotFoundError, match="no run at 'walking'"):
        open_run_dir("walking")


def test_config_changes_are_named_by_their_dotted_key() -> None:
    """Changed, added and removed values are all told, and nothing else."""
    old = {"ppo": {"lr": 1e-4, "gamma": 0.99}, "seed": 1, "gone": 2}
    new = {"ppo": {"lr": 3e-4, "gamma": 0.99}, "seed": 1, "added": {"x": 1}}

    assert diff_config(old, new) == {
        "ppo.lr": [1e-4, 3e-4],
        "gone": [2, None],
        "added": [None, {"x": 1}],
    }

"""`evertrain.supervise.ladder.rewrite`: a copy of a configuration in which only values differ."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from evertrain.core.errors import ConfigError
from evertrain.supervise.ladder.rewrite import MisfitError, check, replaced, with_value
from evertrain.testing import FaultyFs

TEXT = """\
# the simulator
simulator: {timewarp: 40, render: yes}   # fast
lr: 1e-4
empty:
stages:
  - steps: 100
  - steps: 200
on: 010
"""


@pytest.mark.parametrize(
    ("key", "value", "before", "after"),
    [
        ("simulator.timewarp", 10, "timewarp: 40", "timewarp: 10"),
        ("lr", 1e-05, "lr: 1e-4", "lr: 1.0e-05"),
        ("lr", 0.5, "lr: 1e-4", "lr: 0.5"),
        ("empty", "a b: c", "empty:\n", 'empty: "a b: c"\n'),
        ("stages.1.steps", None, "steps: 200", "steps: null"),
        ("stages.0.steps", [1, 2.0, True], "steps: 100", "steps: [1, 2.0, true]"),
        ("on", False, "on: 010", "on: false"),
    ],
)
def test_only_the_value_changes(key: str, value: Any, before: str, after: str) -> None:
    """Comments, `yes` and `1e-4`, which other parsers read otherwise, stay as they are."""
    assert with_value(TEXT, key, value) == TEXT.replace(before, after)


def test_json_stays_json() -> None:
    """A JSON file is read as JSON afterwards."""
    text = json.dumps({"a": {"b": [1, 2]}, "c": "x"}, indent=1)

    made = with_value(with_value(text, "a.b.1", 1e-5), "c", "y")

    assert json.loads(made) == {"a": {"b": [1, 1e-5]}, "c": "y"}


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ("a: 1", "b", "the file has no 'b'"),
        ("a: 1", "a.b", "the file has no 'a.b'"),
        ("a: [1]", "a.1", "the file has no 'a.1'"),
        ("a: &x 1\nb: *x", "a", "cannot be replaced alone"),
        ("a: &x 1\nb: *x", "b", "cannot be replaced alone"),
        ("base: &x {a: 1}\nb: {<<: *x}", "base.a", "cannot be replaced alone"),
        ("[1, 2]", "0", "holds a list"),
    ],
)
def test_what_cannot_be_replaced_alone_is_refused(text: str, key: str, problem: str) -> None:
    """Rather than change something else with it."""
    with pytest.raises(MisfitError, match=problem):
        with_value(text, key, 5)


def test_a_block_is_replaced_whole_or_refused() -> None:
    """Never so that a neighbor is lost."""
    text = "a:\n  b: 1\n  c: 2\nd: 3\n"
    try:
        made = with_value(text, "a", [1])
    except MisfitError:
        return
    assert "d: 3" in made


def test_the_command_gets_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the word that named the file; the file stays as it is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fast.yaml").write_text(TEXT)
    place = tmp_path / "ladder"

    words = replaced(
        ["train", "fast.yaml", "--config=fast.yaml", "not-fast.yaml"],
        {"fast.yaml": {"lr": 2}},
        place,
    )

    assert words == [
        "train",
        f"{place}/0-fast.yaml",
        f"--config={place}/0-fast.yaml",
        "not-fast.yaml",
    ]
    assert (place / "0-fast.yaml").read_text() == TEXT.replace("1e-4", "2")
    assert (tmp_path / "fast.yaml").read_text() == TEXT


def test_a_disk_that_is_full_by_then_has_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written at the start serves every restart; another setting needs the disk."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fast.yaml").write_text(TEXT)
    place, disk = tmp_path / "ladder", FaultyFs(error=errno.ENOSPC, is_sticky=True)
    first = replaced(["train", "fast.yaml"], {"fast.yaml": {"lr": 2}}, place, fs=disk)
    disk.fail()

    assert replaced(["train", "fast.yaml"], {"fast.yaml": {"lr": 2}}, place, fs=disk) == first
    with pytest.raises(OSError, match="No space left"):
        replaced(["train", "fast.yaml"], {"fast.yaml": {"lr": 3}}, place, fs=disk)


def test_a_file_that_changed_meanwhile_is_a_config_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is started on settings that are not those of the ladder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fast.yaml").write_text("other: 1")

    with pytest.raises(ConfigError, match="cannot be changed as the ladder wants"):
        replaced(["train", "fast.yaml"], {"fast.yaml": {"lr": 2}}, tmp_path / "ladder")


@pytest.mark.parametrize("link", ["ladder", "ladder/key"])
def test_a_link_in_the_run_leads_nothing_out_of_it(
    link: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is refused, and nothing is written behind the link."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fast.yaml").write_text("lr: 1")
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(outside)

    with pytest.raises(ConfigError, match="symbolic link"):
        replaced(["train", "fast.yaml"], {"fast.yaml": {"lr": 2}}, tmp_path / "ladder" / "key")

    assert list(outside.rglob("*")) == []


@pytest.mark.parametrize("name", ["missing.yaml", "data.toml", "binary.yaml", "long.yaml"])
def test_files_that_cannot_be_changed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a fault of the ladder, not a traceback."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.toml").write_text("a = 1")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "long.yaml").write_text("a: 1\n" + "# x\n" * 100_000)

    assert list(check(name, {"a": 1}, [name])) == [""]

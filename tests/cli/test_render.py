"""What people see: aligned, readable, and never an escape code off a terminal."""

import json
import math
import sys

import pytest

from evertrain.cli.render import (
    Column,
    ago,
    clean,
    is_fancy,
    local_time,
    number,
    plain_table,
    print_json,
    print_table,
    size,
)

COLUMNS = (Column("Step", "right"), Column("State"))


def test_a_plain_table_is_aligned() -> None:
    """Numbers to the right, words to the left, no blanks at the end of a line."""
    text = plain_table(COLUMNS, [["1", "ok"], ["250", "crashed"]])

    assert text == "Step  State\n   1  ok\n 250  crashed"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (12_345_678, "12.3 MB"),
        (999_960, "1.0 MB"),
        (5 * 10**12, "5.0 TB"),
        (10**16, "10.0 PB"),
    ],
)
def test_sizes(size_bytes: int, text: str) -> None:
    """Three digits and a unit, in powers of ten as disks are sold."""
    assert size(size_bytes) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (5234.5678, "5234.57"),
        (1.23456, "1.235"),
        (1e-9, "1e-09"),
        (45, "45"),
        (math.nan, "nan"),
        (True, "True"),
        ("warm", "warm"),
    ],
)
def test_numbers(value: object, text: str) -> None:
    """As many digits as a column can use."""
    assert number(value) == text


def test_times_that_are_not_known() -> None:
    """They are a dash."""
    assert (local_time(None), ago(None), ago(41.0)) == ("-", "-", "41 s ago")


def test_names_from_files_cannot_command_the_terminal() -> None:
    """Control characters are replaced."""
    assert clean("run\x1b[2J\n") == "run?[2J?"
    assert clean("plain") == "plain"


def test_json_has_its_version_and_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    """NaN becomes a string that every parser can read."""
    print_json({"x": math.nan, "y": [1.5]})

    assert json.loads(capsys.readouterr().out) == {"schema_version": 1, "x": "NaN", "y": [1.5]}


def _on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)


def test_no_color_is_honored(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR and TERM=dumb make a terminal plain."""
    _on_a_terminal(monkeypatch)
    assert is_fancy()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_fancy()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not is_fancy()


def test_a_terminal_gets_the_same_cells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rich draws every cell, and no markup in a name is taken for a command."""
    _on_a_terminal(monkeypatch)
    print_table(COLUMNS, [["1", "[FINAL] crashed"]])

    text = capsys.readouterr().out
    assert "[FINAL] crashed" in text
    assert "Step" in text

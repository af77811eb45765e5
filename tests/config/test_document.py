"""YAML with positions: every value and every fault knows its line and column."""

from pathlib import Path

import pytest

from evertrain.config.document import parse_document, parse_value, read_document


def test_scientific_notation_is_a_number() -> None:
    """`1e-4` is a float, not a string."""
    layer, faults = parse_document("ppo:\n  learning_rate: 1e-4\n", "t.yaml")

    assert faults == []
    assert layer.values == {"ppo": {"learning_rate": 1e-4}}
    assert isinstance(layer.values["ppo"]["learning_rate"], float)


def test_words_stay_words() -> None:
    """YAML 1.2: `on`, `yes` and `no` are not booleans."""
    layer, _ = parse_document("a: on\nb: yes\nc: true\n", "t.yaml")

    assert layer.values == {"a": "on", "b": "yes", "c": True}


def test_every_value_has_a_place() -> None:
    """Keys and list items are found by line and column, both from 1."""
    layer, _ = parse_document("ppo:\n  net: [64, 32]\n  gamma: 0.9\n", "t.yaml")

    places = {loc: origin.where for loc, origin in layer.origins.items()}
    assert places == {
        ("ppo",): "t.yaml:1:1",
        ("ppo", "net"): "t.yaml:2:3",
        ("ppo", "net", 0): "t.yaml:2:9",
        ("ppo", "net", 1): "t.yaml:2:13",
        ("ppo", "gamma"): "t.yaml:3:3",
    }


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: [1, 2\n", 2, 1),
        ("a: 1\n b: 2\n", 2, 3),
        ("a:\n\t- 1\n", 2, 1),
        ("a: b: c\n", 1, 5),
        ("a: *nobody\n", 1, 4),
        ("a: !python/object:os.system x\n", 1, 4),
        ("--- {a: 1}\n--- {b: 2}\n", 2, 1),
    ],
)
def test_syntax_faults_have_a_place(text: str, line: int, column: int) -> None:
    """What is not YAML is one fault, with the line and column of the parser."""
    layer, faults = parse_document(text, "t.yaml")

    assert layer.values == {}
    assert [(each.line, each.column) for each in faults] == [(line, column)]
    assert str(faults[0]).startswith(f"t.yaml:{line}:{column}: not YAML: ")


def test_control_characters_are_a_fault() -> None:
    """A file with a control character is refused, not crashed on."""
    _, faults = parse_document("a: \x01\n", "t.yaml")

    assert len(faults) == 1
    assert "not YAML" in faults[0].problem


def test_every_repeated_key_is_a_fault() -> None:
    """Each repetition is named with both places; the first value is kept."""
    layer, faults = parse_document("a: 1\nb: {c: 1, c: 2}\na: 3\n", "t.yaml")

    assert layer.values == {"a": 1, "b": {"c": 1}}
    assert [str(each) for each in faults] == [
        "t.yaml:2:11: b.c: repeated; it was set in line 2 already",
        "t.yaml:3:1: a: repeated; it was set in line 1 already",
    ]


def test_merge_keys_give_what_is_not_set_here() -> None:
    """`<<` fills in; the table's own keys win, wherever they stand."""
    text = "base: &b {x: 1, y: 1}\nmore: &m {y: 2, z: 2}\nused: {y: 9, <<: [*b, *m]}\n"
    layer, faults = parse_document(text, "t.yaml")

    assert faults == []
    assert layer.values["used"] == {"x": 1, "y": 9, "z": 2}


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "just text\n", "42\n"])
def test_a_file_without_keys_is_a_fault(text: str) -> None:
    """A list or a scalar is no configuration."""
    _, faults = parse_document(text, "t.yaml")

    assert [each.where for each in faults] == ["t.yaml:1:1"]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"])
def test_an_empty_file_sets_nothing(text: str) -> None:
    """An empty file is a configuration that changes nothing."""
    layer, faults = parse_document(text, "t.yaml")

    assert (layer.values, faults) == ({}, [])


def test_a_table_as_a_key_is_a_fault() -> None:
    """Only words can be keys."""
    _, faults = parse_document("? [1, 2]\n: 3\n", "t.yaml")

    assert [each.problem for each in faults] == ["a key must be a word"]


def test_an_alias_inside_itself_is_a_fault() -> None:
    """A value that contains itself ends in a fault, not in a recursion."""
    _, faults = parse_document("a: &a [*a]\n", "t.yaml")

    assert "refers to itself" in faults[0].problem


def test_aliases_cannot_blow_up() -> None:
    """A small file that means billions of values is refused."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    _, faults = parse_document("\n".join(lines), "t.yaml")

    assert any("too much" in each.problem for each in faults)


def test_a_missing_file_names_its_neighbor(tmp_path: Path) -> None:
    """A misspelled file name is answered with the one that is there."""
    (tmp_path / "train.yaml").write_text("a: 1\n")
    _, faults = read_document(tmp_path / "trian.yaml")

    assert faults[0].problem == "there is no such file"
    assert faults[0].suggestion == str(tmp_path / "train.yaml")


def test_a_missing_directory_is_a_fault(tmp_path: Path) -> None:
    """Without a directory there is no neighbor, and still only a fault."""
    _, faults = read_document(tmp_path / "no" / "such.yaml")

    assert (faults[0].problem, faults[0].suggestion) == ("there is no such file", None)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A binary file is a fault, not an exception."""
    path = tmp_path / "t.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    _, faults = read_document(path)

    assert "cannot be read" in faults[0].problem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("true", True),
        ("null", None),
        ("", None),
        ("[64, 64]", [64, 64]),
        ("M4.5 @ 50kN", "M4.5 @ 50kN"),
        ("'7'", "7"),
        ("{a: 1}", {"a": 1}),
    ],
)
def test_values_of_the_command_line(text: str, value: object) -> None:
    """One value is read as a file would hold it."""
    assert parse_value(text) == value


@pytest.mark.parametrize("text", ["[1", "{a: 1, a: 2}", "@x"])
def test_a_value_that_is_not_yaml(text: str) -> None:
    """It is a ValueError that says why in one line."""
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
        parse_value(text)

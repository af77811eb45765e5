"""`evertrain.supervise.ladder.file`: a YAML list of settings, and every fault with its place."""

from pathlib import Path

import pytest

from evertrain.core.errors import ConfigError
from evertrain.supervise.ladder.file import read_ladder

COMMAND = ["python", "train.py", "--config=fast.yaml"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory with a configuration file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fast.yaml").write_text("simulator:\n  timewarp: 40\n")
    return tmp_path


def test_flags_variables_and_keys(place: Path) -> None:
    """A text is arguments; a table may name, flag, set, unset, configure and expect."""
    (place / "ladder.yaml").write_text(
        """
        - --timewarp 40 --note 'two words'
        - name: fast
          args: [--timewarp, 20, --lr, 0.001, --render, false]
          env: {OMP_NUM_THREADS: 1, DEBUG: null}
        - config: {fast.yaml: {simulator.timewarp: 10}}
        - {}
        """
    )

    first, fast, slow, plain = read_ladder("ladder.yaml", COMMAND).rungs

    assert first.args == ("--timewarp", "40", "--note", "two words")
    assert first.name == "--timewarp 40 --note 'two words'"
    assert fast.args == ("--timewarp", "20", "--lr", "0.001", "--render", "false")
    assert fast.env == {"OMP_NUM_THREADS": "1", "DEBUG": None}
    assert fast.settings == ("--timewarp 20 --lr 0.001 --render false OMP_NUM_THREADS=1 -DEBUG")
    assert slow.config == {"fast.yaml": {"simulator.timewarp": 10}}
    assert slow.name == "simulator.timewarp: 10"
    assert plain.name == "as is"


def test_a_rung_is_known_by_what_it_sets(place: Path) -> None:
    """Another name, another place, another expected speed: the same rung. Another value: not."""
    (place / "a.yaml").write_text("- {args: -x 1, name: one, speed: 2}\n- {args: -x 2, speed: 1}")
    (place / "b.yaml").write_text("- -x 3\n- {args: [-x, 1]}\n- -x 2\n")
    a, b = (read_ladder(name, COMMAND).rungs for name in ("a.yaml", "b.yaml"))

    assert [a[0].key, a[1].key] == [b[1].key, b[2].key]
    assert b[0].key not in {a[0].key, a[1].key}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("timewarp: 40", "ladder.yaml: must be a list of 2 to 30 rungs"),
        ("- -x 1", "must be a list of 2 to 30 rungs"),
        ("", "must be a list of 2 to 30 rungs"),
        ("- -x 1\n- 7", "ladder.yaml:2:3: 1: must be arguments as a text, or a table"),
        ("- -x 1\n- arg: -x 2", "ladder.yaml:2:3: 1.arg: there is no such key; did you mean 'a"),
        ("- -x 1\n- args: -x '2", "2:3: 1.args: is \"-x '2\": no closing quotation"),
        ("- -x 1\n- args: {x: 2}", "2:3: 1.args: is {'x': 2}, but must be a text or a list"),
        ("- -x 1\n- args: [[x]]", "2:3: 1.args: is [['x']], but must be a text or a list"),
        ("- -x 1\n-  -x 1", "ladder.yaml:2:4: 1: sets the same as rung 1, '-x 1'"),
        ("- {args: a, name: n}\n- {args: b, name: n}", "2:13: 1.name: rung 1 is called 'n', too"),
        ("- -x 1\n- {args: b, name: 'a\\tb'}", "ok"),
        ('- -x 1\n- {args: b, name: "a\\tb"}', "1.name: is 'a\\tb', but must be a text of 1 to 40"),
        ("- -x 1\n- env: [A]", "2:3: 1.env: is ['A'], but must be a table"),
        ("- -x 1\n- env: {A=B: 1}", "1.env.A=B: cannot be an environment variable"),
        ("- -x 1\n- env: {A: [1]}", "1.env.A: is [1], but must be a text, a number or null"),
        ("- -x 1\n- env: {EVERTRAIN_RUN: x}", "1.env.EVERTRAIN_RUN: is the supervisor's own"),
        ("- -x 1\n- {args: b, speed: 3}", "ladder.yaml:1:3: 0: has no speed, and others have"),
        ("- -x 1\n- {args: b, speed: -3}", "1.speed: is -3, but must be a number above 0"),
        ("- -x 1\n- {args: b, speed: .nan}", "1.speed: is nan, but must be a number above 0"),
        ("- -x 1\n- config: {slow.yaml: {a: 1}}", "1.config.slow.yaml: the command does not name"),
        ("- -x 1\n- config: {fast.yaml: 3}", "1.config.fast.yaml: is 3, but must be a table"),
        (
            "- -x 1\n- config:\n    fast.yaml:\n      simulator.timewrap: 1",
            "ladder.yaml:4:7: 1.config.fast.yaml.simulator.timewrap: the file has no "  # noqa: ISC004
            "'simulator.timewrap'; did you mean 'simulator.timewarp'?",
        ),
        ("- -x 1\n- [", "ladder.yaml:2:4: not YAML"),
        ("- &a -x 1\n- *a", "sets the same as rung 1"),
    ],
)  # fmt: skip
def test_each_fault_has_its_place(place: Path, text: str, named: str) -> None:
    """File, line, column and key, and what was meant."""
    (place / "ladder.yaml").write_text(text)
    if named == "ok":
        read_ladder("ladder.yaml", COMMAND)
        return

    with pytest.raises(ConfigError) as caught:
        read_ladder("ladder.yaml", COMMAND)

    assert named in caught.value.what


def test_all_faults_are_named_at_once(place: Path) -> None:
    """Whoever mends one does not find the next one only then."""
    (place / "ladder.yaml").write_text("- {arg: 1}\n- {env: 3}\n- {speed: x}\n")

    with pytest.raises(ConfigError, match="faults") as caught:
        read_ladder("ladder.yaml", COMMAND)

    assert all(f"ladder.yaml:{line}:" in caught.value.what for line in (1, 2, 3))


def test_a_file_that_is_not_there(place: Path) -> None:
    """The name that was probably meant is said."""
    (place / "ladder.yaml").write_text("- a\n- b\n")

    with pytest.raises(ConfigError, match=r"there is no such file; did you mean 'ladder\.yaml'"):
        read_ladder("lader.yaml", COMMAND)

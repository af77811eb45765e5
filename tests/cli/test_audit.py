"""What `evertrain audit` takes, and what it prints."""

import sys
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from evertrain.audit.cause import Cause, Nature
from evertrain.audit.compare import Difference
from evertrain.audit.verdict import Verdict
from evertrain.cli.audit import _body, _command, _lines
from evertrain.cli.main import cli
from evertrain.core.errors import ConfigError, UsageError
from evertrain.recipes import find
from evertrain.recipes.options import settle

NO_SETTINGS: dict[str, Any] = {"file": None, "preset": "default", "overrides": ()}
EXACT = Verdict(
    kills=(10, 40, 70), seed=7, leaves=57, bytes=88_000_000, checkpoints=12, metrics=240
)
DIFFERENT = Verdict(
    kills=(20,),
    seed=7,
    difference=Difference(
        step=30,
        part="state",
        path="agent.w",
        one="1.5 at [3]",
        two="2.5 at [3]",
        detail="F32 (4,): 1 of 4 elements differ, by at most 1",
        others=2,
        equal=9,
    ),
    resumed_at=20,
    nature=Nature.RESUME,
    cause=Cause("`rng` is not attached", "Attach it."),
    kept=Path("/tmp/evertrain-audit-1"),  # noqa: S108  (nothing is there)
)


def test_a_proof_in_one_line() -> None:
    """Leaves, bytes and kills; metrics that no training repeats are named before."""
    assert _lines(EXACT) == [
        "equal: 12 checkpoints, 240 rows of metrics",
        "bit-exact: 57 leaves, 88.0 MB, 3 kills",
    ]
    noisy = Verdict(kills=(1,), seed=7, leaves=1, bytes=9, ignored=("fps", "seconds"))
    assert _lines(noisy)[1:] == [
        "not compared, for two undisturbed trainings differ in them: fps, seconds",
        "bit-exact: 1 leaf, 9 B, 1 kill",
    ]


def test_a_difference() -> None:
    """Where, both values, how much else, why, what to do, and where to look."""
    assert _lines(DIFFERENT) == [
        "different: leaf agent.w at step 30, after the resume from step 20",
        "  undisturbed: 1.5 at [3]",
        "  killed:      2.5 at [3]",
        "  F32 (4,): 1 of 4 elements differ, by at most 1",
        "  of the others at this step, 2 differ and 9 do not",
        "likely cause: `rng` is not attached",
        "  fix: Attach it.",
        "both runs: /tmp/evertrain-audit-1",
    ]


def test_a_resume_that_fails() -> None:
    """It is no proof, and says which kill it was."""
    broken = Verdict(kills=(20,), seed=7, failure="the attempt after it ended with exit code 78")

    assert not broken.is_exact
    assert _lines(broken) == [
        "cannot resume: after 1 kill, the attempt after it ended with exit code 78"
    ]


def test_json() -> None:
    """The same for programs."""
    body = _body(DIFFERENT)

    assert (body["ok"], body["kills"], body["nature"]) == (False, [20], "resume")
    assert body["cause"] == {"what": "`rng` is not attached", "fix": "Attach it."}
    assert _body(EXACT)["difference"] is None


def test_a_recipe_is_its_training() -> None:
    """The name of a recipe means its command, with its settings; they are checked at once."""
    settings: dict[str, Any] = {"file": None, "preset": "small", "overrides": ("seed=3",)}

    command = _command(("structure",), **settings)

    assert command[:4] == [sys.executable, "-m", "evertrain.recipes", "structure"]
    assert command[4:] == ["--preset", "small", "-o", "seed=3", "-o", "exports=null"]
    with pytest.raises(ConfigError):
        _command(("structure",), file=None, preset="small", overrides=("seed=x",))


@pytest.mark.parametrize(
    ("recipe", "key"),
    [
        ("structure", "exports"),
        ("trading", "checkpoints.dir"),
        ("hideseek", "ppo.checkpoint_dir"),
    ],
)
def test_an_audit_fills_no_folder_for_other_programs(
    recipe: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever names it, file, variable or option: it is that of the real training."""
    section, _, name = key.rpartition(".")
    file = tmp_path / "config.yaml"
    file.write_text(f"{section}:\n  {name}: models\n" if section else f"{name}: models\n")
    monkeypatch.setenv(f"EVERTRAIN_{key.upper().replace('.', '__')}", "models")
    command = _command((recipe,), file=file, preset="small", overrides=(f"{key}=models",))

    overrides = [word for flag, word in pairwise(command) if flag == "-o"]
    found = settle(find(recipe), file=file, preset="small", overrides=overrides).config

    assert attrgetter(key)(found) is None


def test_settings_of_a_recipe_are_not_for_commands() -> None:
    """A command gets its own arguments; an option that would be ignored is an error."""
    assert _command(("python", "train.py", "--preset"), **NO_SETTINGS)[-1] == "--preset"
    with pytest.raises(UsageError, match="settings of a recipe, and 'python' is none"):
        _command(("python", "train.py"), file=None, preset="small", overrides=())
    with pytest.raises(UsageError, match="nothing to audit"):
        _command((), **NO_SETTINGS)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["audit"], 2, "there is nothing to audit"),
        (["audit", "--kills", "0", "--", "true"], 78, "--kills is 0"),
        (["audit", "--", "no-such-program"], 78, "there is no program 'no-such-program'"),
    ],
    ids=["nothing", "no kills", "no program"],
)
def test_exit_codes(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be audited is refused before anything starts."""
    assert cli.main(arguments, standalone_mode=False) == code
    assert words in capsys.readouterr().err

"""RUN and RUN@CHECKPOINT."""

from pathlib import Path

import pytest

from evertrain.cli.target import checkpoint_of, parse_target
from evertrain.core.errors import NotFoundError, UsageError
from evertrain.core.rundir import RunDir
from runs import new_run, trained_run


@pytest.mark.parametrize(
    ("text", "which", "step"),
    [
        ("trading", None, 30),
        ("runs/trading", None, 30),
        ("trading@latest", "latest", 30),
        ("trading@best", "best", 20),
        ("runs/trading@10", 10, 10),
    ],
)
def test_names(trading: RunDir, text: str, which: str | int | None, step: int) -> None:
    """By path or by name under runs/; after the @ a keyword or a step."""
    found = parse_target(text)

    assert found.run_dir.path.resolve() == trading.path.resolve()
    assert found.which == which
    assert checkpoint_of(found).step == step


def test_a_directory_may_have_an_at_sign(place: Path) -> None:
    """The name of a run is tried first, whole."""
    trained_run(place / "me@home", steps=(5,))

    assert parse_target("me@home").which is None
    assert checkpoint_of(parse_target("me@home@5")).step == 5
    new_run(place / "a@b" / "run")
    assert parse_target("a@b/run").which is None


def test_what_names_no_checkpoint(trading: RunDir) -> None:
    """A word that is none is a usage error; a step that is none is not found."""
    with pytest.raises(UsageError, match="latest"):
        parse_target("trading@newest")
    with pytest.raises(NotFoundError):
        checkpoint_of(parse_target("trading@11"))
    with pytest.raises(NotFoundError):
        parse_target("nope@best")


def test_a_run_that_saved_nothing(place: Path) -> None:
    """It has no latest checkpoint, and the error says why."""
    new_run(place / "fresh")

    with pytest.raises(NotFoundError, match="not saved anything"):
        checkpoint_of(parse_target("fresh@latest"))


def test_a_run_without_scores_has_no_best(place: Path) -> None:
    """The error says how a run gets one."""
    from evertrain.checkpoint import Store

    run_dir = new_run(place / "plain")
    Store(run_dir.checkpoints).save(1, {"a": {"x": 1}})

    with pytest.raises(NotFoundError, match="best='max:METRIC'"):
        checkpoint_of(parse_target("plain@best"))

"""Kills that come too late: the training was over before it could be hit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import evertrain.audit.audit as subject
from evertrain import Run, every
from evertrain.audit.attempts import Interrupted
from evertrain.audit.plan import AuditOptions
from evertrain.core import proc
from evertrain.core.errors import ConfigError
from evertrain.core.rundir import RunDir


def train(run: RunDir) -> None:
    """Save at each of five steps."""
    with Run(run.path, total=5, save=every(steps=1), on_stop="return") as opened:
        for step in opened:
            opened.state.step = step


@pytest.fixture
def auditing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[list[str], Any]]:
    """Return what audits a training of which as many kills hit as the arguments say."""

    def audited(*hits: int) -> tuple[list[str], Any]:
        left = list(hits)

        def disturbed(_: object, run: RunDir, **__: object) -> Interrupted:
            train(run)
            return Interrupted(tuple(range(1, 1 + left.pop(0))))

        monkeypatch.setattr(proc, "become_subreaper", lambda: None)
        monkeypatch.setattr(subject, "undisturbed", lambda _, run, **__: train(run))
        monkeypatch.setattr(subject, "disturbed", disturbed)
        options = AuditOptions(kills=3, seed=7, keep=tmp_path / "both")
        said: list[str] = []
        return said, subject.audit(["true"], options, say=said.append)

    return audited


def test_a_kill_that_missed_is_told_and_tried_again(auditing: Any) -> None:
    """In a run of its own, from the beginning; what is counted are the kills of that one."""
    said, verdict = auditing(2, 3)

    assert said[1:] == [
        "killed: SIGKILL behind the checkpoints 1, 2 (--seed 7); 1 of 3 missed",
        "killed: SIGKILL behind the checkpoints 1, 2, 3 (--seed 7)",
    ]
    assert verdict.is_exact
    assert verdict.kills == (1, 2, 3)
    assert (verdict.kept / "killed-2").is_dir()


def test_a_training_that_is_always_over_too_soon(auditing: Any) -> None:
    """Three times are enough; a verdict with fewer kills than asked for would be a lie."""
    with pytest.raises(ConfigError, match="only 2 of 3 kills hit"):
        auditing(0, 1, 2)

"""What an audited run does besides: it saves at fixed steps, keeps all, and may end early."""

import json
from typing import Any

import numpy as np
import pytest

from evertrain import every, keep_last
from evertrain.audit.evidence import read_looks, steps_between_saves
from evertrain.checkpoint.when import Moment, Quiet
from evertrain.core.errors import ConfigError
from evertrain.core.journal import Journal
from evertrain.run.audited.mandate import Mandate
from support import OpenRun


@pytest.mark.parametrize(
    ("mandate", "total", "steps"),
    [
        (Mandate(), 200, 10),
        (Mandate(), 5, 1),
        (Mandate(), None, 100),
        (Mandate(steps=7), 200, 7),
        (Mandate(until=40), 200, 2),
        (Mandate(until=40), None, 2),
        (Mandate(until=400), 200, 10),
    ],
)
def test_when_it_saves(mandate: Mandate, total: int | None, steps: int) -> None:
    """As asked; else so that a training of known length has some twenty checkpoints."""
    assert mandate.saves(total).every.steps == steps


def test_a_fast_loop_asks_at_the_last_step() -> None:
    """The rule is not quiet beyond the step where the training ends."""
    saves = Mandate(steps=10, until=13).saves(None)

    assert saves.quiet(Moment(step=3, previous_step=2)) == Quiet(before_step=10)
    assert saves.quiet(Moment(step=10, previous_step=9)) == Quiet(before_step=13)
    assert saves(Moment(step=10, previous_step=9)) == "every 10 steps"


def test_it_comes_back_from_the_environment() -> None:
    """What is sent is what arrives."""
    mandate = Mandate(steps=3, until=9)

    assert Mandate.of(mandate.environment()) == mandate


@pytest.mark.parametrize(
    "text",
    ["", "1", "[]", '{"steps": 0}', '{"steps": "a"}', '{"more": 1}', "[" * 100_000,
     '{"steps": 1' + "0" * 2_000 + "}", '{"steps": 1, "steps": 2}'],
    ids=["empty", "number", "list", "zero", "word", "more", "deep", "huge", "twice"],
)  # fmt: skip
def test_nonsense_is_refused(text: str) -> None:
    """A mandate that nobody gave is no mandate."""
    with pytest.raises(ConfigError, match="EVERTRAIN_AUDIT is"):
        Mandate.of({"EVERTRAIN_AUDIT": text})


def test_an_audited_run(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program's own rules give way, and the run ends as finished."""
    monkeypatch.setenv("EVERTRAIN_AUDIT", json.dumps({"steps": 4, "until": 10}))
    rng = np.random.default_rng(0)
    run = open_run(total=100, save=every(steps=3), keep=keep_last(1))
    run.attach(weights=np.zeros(2))

    steps = [step for step in run if rng.random() < 2]

    assert steps[-1] == 10
    assert [each.step for each in run.store.list()] == [1, 4, 8, 10]
    last: Any = Journal(run.path / "journal.jsonl").last("finished")
    assert (last["step"], last["why"]) == (10, "the audit ends here")
    told = "evertrain: audited: every(steps=4), keeps every checkpoint, ends at 10"
    assert told in capsys.readouterr().out
    looks = read_looks(run._dir)
    assert [(each.at, each.step) for each in looks] == [
        ("begin", 0),
        ("save", 1),
        ("save", 4),
        ("save", 8),
        ("save", 10),
    ]
    assert looks[0].found["test_an_audited_run(): rng"].kind == "generator"
    assert steps_between_saves(looks) == 4


def test_what_cannot_be_looked_at_ends_nothing(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An object that refuses to be looked at costs the evidence, not the training."""

    class Trap:
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise ZeroDivisionError("do not look")

    monkeypatch.setenv("EVERTRAIN_AUDIT", "{}")
    trap = Trap()
    run = open_run(total=3)

    assert list(run) == [1, 2, 3]
    assert type(trap) is Trap
    out = capsys.readouterr().out
    assert out.count("the variables cannot be looked at (ZeroDivisionError('do not look'))") == 1
    assert read_looks(run._dir) == []


def test_killed_between_its_last_save_and_its_end_it_makes_no_step_more(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint of the last step is there, and nothing says that it was the last one."""
    run = open_run(save=every(steps=1))
    for step in run:
        if step == 4:
            run.end_step()
            break
    monkeypatch.setenv("EVERTRAIN_AUDIT", Mandate(until=4).environment()["EVERTRAIN_AUDIT"])

    run = open_run()

    assert list(run) == []
    assert run.step == 4

"""Pruning and removing from the command line: said before it is done, and why."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evertrain.checkpoint import Store
from evertrain.core import lock
from evertrain.core.rundir import RunDir
from runs import new_run, share, tell, trained_run, tree_of

Ask = Callable[..., dict[str, Any]]
Invoke = Callable[..., Any]


def steps_of(run_dir: RunDir) -> list[int]:
    """Return what there is."""
    return [info.step for info in Store(run_dir.checkpoints).list()]


def test_the_table_says_why(trading: RunDir, invoke: Invoke) -> None:
    """Each checkpoint has its verdict and its reasons, as restic's forget shows them."""
    lines = invoke("prune", "trading", "--keep-last", "1", "--keep-best", "1").output.splitlines()

    assert lines[0].split() == ["Step", "Saved", "Kind", "Size", "Verdict", "Reasons"]
    assert lines[1].split()[-2:] == ["remove", "-"]
    assert lines[2].endswith("keep     best 1")
    assert lines[3].endswith("keep     last 1 of 1, newest, newest whole")
    assert lines[5].startswith("kept 2, removed: 1 (")
    assert "in the trash for 1 d 00 h" in lines[6]
    assert steps_of(trading) == [20, 30]


def test_a_dry_run_changes_nothing(place: Path, trading: RunDir, invoke: Invoke, ask: Ask) -> None:
    """It says the same, and touches no file."""
    before = tree_of(place)
    found = ask("prune", "trading", "--keep-last", "1", "--dry-run")
    text = invoke("prune", "trading", "--keep-last", "1", "-n").output
    invoke("rm", "trading@10", "-n")
    invoke("rm", "trading", "-n")

    assert tree_of(place) == before
    assert "would be removed: 2" in text
    assert found["dry_run"] is True
    assert found["removed"] == [10, 20]
    assert found["checkpoints"][2].keys() == {
        "step",
        "saved_at",
        "kind",
        "size_bytes",
        "is_kept",
        "reasons",
    }
    done = ask("prune", "trading", "--keep-last", "1")
    assert done == found | {"dry_run": False}


def test_shared_bytes_are_not_freed(trading: RunDir, ask: Ask) -> None:
    """What the removed ones share with those that stay remains on the disk."""
    share(trading.checkpoints, 30, 10)
    found = ask("prune", "trading", "--keep-last", "1", "-n")
    sizes = {each["step"]: each["size_bytes"] for each in found["checkpoints"]}
    shared = (trading.checkpoints / "000000010" / "agent.safetensors").stat().st_size

    assert found["freed_bytes"] == sizes[10] + sizes[20] - shared


def test_an_empty_policy_is_refused(trading: RunDir, invoke: Invoke) -> None:
    """A prune without a rule is a mistake, not a wish to lose everything."""
    assert "prune was given no rule" in invoke("prune", "trading", code=2).output
    assert "--keep-last 5" in invoke("prune", "trading", "-n", code=2).output
    invoke("prune", "trading", "--keep-last", "0", code=2)
    invoke("prune", "trading", "--keep-within", "soon", code=2)
    invoke("prune", "trading", "--keep-within", "0", code=78)
    invoke("prune", "nope", "--keep-last", "1", code=10)
    assert steps_of(trading) == [10, 20, 30]


def test_every_rule_has_its_option(trading: RunDir, ask: Ask) -> None:
    """All of them together: the union."""
    options = ["--keep-every", "20", "--keep-hourly", "1", "--keep-daily", "1", "--keep-stages"]
    found = ask("prune", "trading", *options, "--keep-within", "1d12h", "-n")
    reasons = {each["step"]: ", ".join(each["reasons"]) for each in found["checkpoints"]}

    assert reasons[10] == "within 1d12h"
    assert reasons[20] == "every 20, within 1d12h"
    assert reasons[30].startswith("hourly 1, daily 1, within 1d12h, final")


def test_ends_of_stages_are_pointed_out(place: Path, invoke: Invoke) -> None:
    """What ended the run goes if no rule keeps it, but not in silence."""
    run_dir = trained_run(place / "runs" / "r")
    Store(run_dir.checkpoints).save(40, {"agent": {"w": 1}})
    text = invoke("prune", "r", "--keep-last", "1", "--grace", "0").output

    assert "Ends of stages or of the run are among them: 30 (--keep-stages)" in text
    assert "trash" not in text
    assert list((run_dir.checkpoints / "trash").iterdir()) == []


def test_undo(trading: RunDir, invoke: Invoke, ask: Ask) -> None:
    """What was pruned comes back; what must not is named, with exit code 3."""
    invoke("prune", "trading", "--keep-last", "1")
    assert ask("prune", "trading", "--undo")["steps"] == [10, 20]
    assert steps_of(trading) == [10, 20, 30]
    invoke("rm", "trading@20")
    tell(trading, {"event": "resumed", "attempt": 2, "step": 10})
    text = invoke("prune", "trading", "--undo", code=3).output
    assert text.startswith(
        "brought back: nothing\nstays in the trash: 000000020: the run went back"
    )
    invoke("prune", "trading", "--undo", "--keep-last", "1", code=2)
    invoke("prune", "trading", "--undo", "-n", code=2)


def test_nothing_to_prune(place: Path, invoke: Invoke) -> None:
    """A run without checkpoints is no error."""
    new_run(place / "r")
    assert "nothing to prune" in invoke("prune", "r", "--keep-last", "1").output


def test_a_disk_that_refuses(trading: RunDir, invoke: Invoke) -> None:
    """It is told in a sentence, and nothing is lost."""
    (trading.checkpoints / "trash").write_text("a file in its place")
    for command in (("prune", "trading", "--keep-last", "1"), ("rm", "trading@10")):
        assert "the disk refused" in invoke(*command, code=1).output
    assert steps_of(trading) == [10, 20, 30]


def test_rm_a_checkpoint(trading: RunDir, invoke: Invoke, ask: Ask) -> None:
    """By step or by word, several at once; the way back is told."""
    text = invoke("rm", "trading@10", "trading@best").output
    assert "removed runs/trading@10" in text
    assert "evertrain prune runs/trading --undo" in text
    assert steps_of(trading) == [30]
    invoke("prune", "trading", "--undo")
    found = ask("rm", "trading@20", "--grace", "0")
    assert found["removed"] == [{"run": "runs/trading", "step": 20}]
    invoke("rm", "trading@20", code=10)


def test_rm_needs_force(trading: RunDir, invoke: Invoke) -> None:
    """For a pinned one, and for the last."""
    invoke("pin", "trading", "10")
    assert "is pinned" in invoke("rm", "trading@10", code=1).output
    invoke("rm", "trading@20", "trading@30", "--force")
    invoke("unpin", "trading", "10")
    assert "without a checkpoint" in invoke("rm", "trading@10", code=1).output
    invoke("rm", "trading@10", "--force")
    assert steps_of(trading) == []


def test_rm_checks_all_before_it_removes_any(trading: RunDir, invoke: Invoke) -> None:
    """A mistake in the last name leaves the first where it is."""
    trained_run(trading.path.parent / "other")
    invoke("rm", "trading@10", "other@99", code=10)
    assert steps_of(trading) == [10, 20, 30]


def test_rm_a_run(trading: RunDir, invoke: Invoke, ask: Ask) -> None:
    """It asks; without a terminal it needs --yes; a live one is refused by pid."""
    assert "Add --yes" in invoke("rm", "trading", code=2).output
    with lock.take(trading.lock):
        invoke("rm", "trading", "--yes", code=11)
    assert steps_of(trading) == [10, 20, 30]
    [gone] = ask("rm", "trading", "--yes")["removed"]
    assert not trading.path.exists()
    Path(gone["trash"]).rename(trading.path)
    assert "mv " in invoke("rm", "trading", "--yes").output


@pytest.mark.parametrize(
    ("text", "grace_s"), [("0", 0), ("0s", 0), ("2d12h", 216_000), ("1.5h", 5400), ("1w", 604_800)]
)
def test_durations(text: str, grace_s: float) -> None:
    """Numbers with units; only zero needs none."""
    from evertrain.cli.duration import DURATION

    assert DURATION.convert(text, None, None) == grace_s
    assert DURATION.convert(grace_s, None, None) == grace_s

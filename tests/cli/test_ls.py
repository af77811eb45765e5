"""Listing runs and checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from evertrain.checkpoint import Store
from evertrain.cli.ls import find_runs
from evertrain.cli.render import size
from evertrain.core.rundir import RunDir
from runs import new_run, share, trained_run

Ask = Callable[..., dict[str, Any]]
Invoke = Callable[..., Any]

RUN_KEYS = {
    "path",
    "id",
    "created_at",
    "recipe",
    "state",
    "demoted",
    "reason",
    "unit",
    "step",
    "total",
    "stage",
    "rung",
    "checkpoints",
    "saves",
    "checkpoint",
    "best",
    "attempts",
    "crashes",
    "crashes_per_h",
    "size_bytes",
    "disk",
}
CHECKPOINT_KEYS = {
    "step",
    "saved_at",
    "kind",
    "stage",
    "stage_index",
    "metrics",
    "score",
    "is_best",
    "is_pinned",
    "attempt",
    "size_bytes",
    "path",
}


def test_runs_as_a_table(place: Path, trading: RunDir, invoke: Invoke) -> None:
    """One line a run: state, progress, newest checkpoint, best, crashes."""
    trained_run(place / "runs" / "deep" / "atc", is_finished=False)
    lines = invoke("ls").output.splitlines()

    assert lines[0].split()[:3] == ["Run", "State", "Step"]
    assert lines[1].startswith("deep/atc  crashed   30/30  30, ")
    assert lines[2].startswith("trading   finished  30/30  30, ")
    assert "total_profit 0 @ 20" in lines[2]
    assert trading.path.is_dir()


def test_runs_as_json(place: Path, trading: RunDir, ask: Ask) -> None:
    """The schema of a run is complete and does not depend on its state."""
    new_run(place / "runs" / "fresh")
    found = ask("ls")

    assert [each["path"] for each in found["runs"]] == ["runs/fresh", "runs/trading"]
    assert all(each.keys() == RUN_KEYS for each in found["runs"])
    assert found["runs"][1]["best"] == {"step": 20, "metric": "total_profit", "value": 0.0}
    assert found["runs"][0]["checkpoint"] is None
    assert trading.path.is_dir()


def test_checkpoints_as_a_table(trading: RunDir, invoke: Invoke) -> None:
    """What the guide showed: step, date, metrics, the mark of the final one, and a summary."""
    Store(trading.checkpoints).pin(10)
    lines = invoke("ls", "trading").output.splitlines()

    assert lines[0] == "runs/trading: finished, episode 30/30"
    assert lines[2].split() == ["Episode", "Date", "Kind", "total_profit", "trades", "Size"]
    assert "step [PINNED]" in lines[3]
    assert "step [BEST]" in lines[4]
    assert lines[5].split()[2] == "[FINAL]"
    assert "Total checkpoints: 3" in lines
    assert "Latest episode: 30" in lines
    assert any(line.startswith("Total disk usage: ") and line.endswith("kB") for line in lines)


def test_details(trading: RunDir, invoke: Invoke) -> None:
    """`--detailed` and `-d` add times, bytes, attempts, pins and paths."""
    text = invoke("ls", "trading", "--detailed").output

    assert "runs/trading/checkpoints/000000030" in text
    assert all(word in text for word in ("Saved", "Attempt", "Bytes", "Pinned"))
    assert invoke("ls", "trading", "-d").output.split()[:3] == text.split()[:3]
    assert "Created" in invoke("ls", "-d").output
    assert trading.path.is_dir()


def test_checkpoints_as_json(trading: RunDir, ask: Ask) -> None:
    """Ascending by step, each with the full schema."""
    found = ask("ls", str(trading.path))

    assert found["run"].keys() == RUN_KEYS
    assert [each["step"] for each in found["checkpoints"]] == [10, 20, 30]
    assert all(each.keys() == CHECKPOINT_KEYS | {"added_bytes"} for each in found["checkpoints"])
    assert [each["is_best"] for each in found["checkpoints"]] == [False, True, False]
    assert found["checkpoints"][0]["metrics"] == {"total_profit": -100.0, "trades": 45.0}


def test_shared_bytes(trading: RunDir, invoke: Invoke, ask: Ask) -> None:
    """What a checkpoint shares with those before it is logical size, and no more on the disk."""
    share(trading.checkpoints, 10, 20)
    share(trading.checkpoints, 10, 30)
    found = ask("ls", "trading")
    sizes = [each["size_bytes"] for each in found["checkpoints"]]
    shared = (trading.checkpoints / "000000010" / "agent.safetensors").stat().st_size
    added = [each["added_bytes"] for each in found["checkpoints"]]
    text = invoke("ls", "trading", "-d").output

    assert added == [sizes[0], sizes[1] - shared, sizes[2] - shared]
    assert found["totals"] == {"size_bytes": sum(sizes), "disk_bytes": sum(added)}
    assert f"Total size: {size(sum(sizes))}, on disk: {size(sum(added))}" in text
    assert "Added" in text


def test_stages_have_a_column(place: Path, invoke: Invoke) -> None:
    """Only where there are any."""
    from evertrain.checkpoint import About

    run_dir = new_run(place / "quake", unit="step")
    store = Store(run_dir.checkpoints)
    store.save(1, {"a": {"x": 1}}, about=About(stage="M4.5", stage_index=1))
    store.save(2, {"a": {"x": 1}})

    lines = invoke("ls", "quake").output.splitlines()
    assert lines[2].split() == ["Step", "Date", "Kind", "Stage", "Size"]
    assert lines[3].split()[3] == "M4.5"


def test_nothing_to_list(place: Path, invoke: Invoke) -> None:
    """An empty place is no error, and the answer says how to begin."""
    assert "no runs here" in invoke("ls").output
    (place / "runs").mkdir()
    assert "no runs in runs" in invoke("ls").output
    new_run(place / "runs" / "fresh")
    assert "Total checkpoints: 0" in invoke("ls", "fresh").output


def test_inside_a_run(trading: RunDir, invoke: Invoke, monkeypatch: Any) -> None:
    """In a run's own directory, `ls` lists that run."""
    monkeypatch.chdir(trading.path)

    assert "Total checkpoints: 3" in invoke("ls").output


def test_a_missing_place(invoke: Invoke) -> None:
    """Neither a run nor a directory: not found."""
    invoke("ls", "nope", code=10)


def test_an_unreadable_run_does_not_hide_the_others(
    place: Path, trading: RunDir, invoke: Invoke, ask: Ask
) -> None:
    """It is shown as unreadable, and the exit status 3 says that something was skipped."""
    new_run(place / "runs" / "future", format=2)
    text = invoke("ls", code=3).output

    assert "trading" in text
    assert "unreadable" in text
    assert "has format 2" in text
    assert "unreadable" in invoke("ls", "-d", code=3).output
    rows = {each["path"]: each for each in ask("ls", code=3)["runs"]}
    assert rows["runs/future"]["exit_code"] == 78
    assert trading.path.is_dir()


def test_a_newer_run_is_refused_by_name(place: Path, invoke: Invoke) -> None:
    """Asked for alone, it is an error with the code of its kind."""
    new_run(place / "runs" / "future", format=2)

    invoke("ls", "future", code=78)


def test_a_journal_alone_is_no_reason_to_fail(place: Path, invoke: Invoke) -> None:
    """A run whose identity is lost is listed as unreadable, beside the others."""
    (place / "runs" / "lost").mkdir(parents=True)
    (place / "runs" / "lost" / "journal.jsonl").write_text('{"event":"saved"}\n')

    assert "lost  unreadable" in invoke("ls", code=3).output


def test_runs_are_found_without_wandering(place: Path) -> None:
    """Hidden directories, links, runs inside runs and deep trees are left out."""
    new_run(place / "a")
    new_run(place / "a" / "inner")
    new_run(place / ".hidden")
    new_run(place / "1" / "2" / "3" / "4")
    new_run(place / "1" / "2" / "3x")
    (place / "link").symlink_to(place / "a")

    found = [str(each.path.relative_to(place)) for each in find_runs(place)]

    assert found == ["1/2/3x", "a"]
    assert list(find_runs(place / "gone")) == []

"""The files beside the checkpoints: damage to none of them loses the run."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from corruption.damage import CONTENTS, KINDS, LENGTHS, flip
from evertrain.checkpoint import Store
from evertrain.cli.main import cli
from evertrain.core.errors import CorruptError, EvertrainError
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir, read_identity
from evertrain.monitor.metrics import read_metrics
from power.judge import check_state
from power.program import train

UNTIL = 5
BYTES = {**LENGTHS, **{name: each for name, each in CONTENTS.items() if "swapped" not in name}}
DERIVED = ("index.json", "latest")
MADE_DO_WITH = {("heartbeat", how) for how in ("a directory", "a FIFO", "a link to nowhere")}


def place(run_dir: RunDir, name: str) -> Path:
    """Return a file beside the checkpoints."""
    return run_dir.checkpoints / name if name in DERIVED else run_dir.path / name


@pytest.mark.parametrize("name", ["journal.jsonl", "metrics.jsonl", "lock", "heartbeat"])
@pytest.mark.parametrize("how", [*BYTES, "gone"])
def test_what_a_run_remembers(run_dir: RunDir, name: str, how: str) -> None:
    """It goes on from the newest; of metrics, at most what was damaged is missing."""
    (BYTES | KINDS)[how](place(run_dir, name))
    assert train(run_dir.path, UNTIL) == 3
    assert Store(run_dir.path).verify() == []
    if name == "metrics.jsonl":
        assert {4, 5} <= {row["step"] for row in read_metrics(run_dir)}
    else:
        check_state(run_dir.path, UNTIL)
    last = Journal(run_dir.journal).last("attempt_started")
    assert last is not None
    assert last["attempt"] >= 2


@pytest.mark.parametrize("name", ["journal.jsonl", "metrics.jsonl", "lock", "heartbeat"])
@pytest.mark.parametrize("how", ["a directory", "a FIFO", "a link to nowhere"])
def test_what_is_no_file_is_refused_untouched(run_dir: RunDir, name: str, how: str) -> None:
    """It says which, or makes do; once it is moved away the run goes on."""
    path = place(run_dir, name)
    KINDS[how](path)
    if (name, how) in MADE_DO_WITH:
        assert train(run_dir.path, UNTIL) == 3
    else:
        with pytest.raises(EvertrainError, match=path.name):
            train(run_dir.path, UNTIL)
        path.rmdir() if path.is_dir() else path.unlink()
        assert train(run_dir.path, UNTIL) == 3
    assert Store(run_dir.path).verify() == []


@pytest.mark.parametrize("how", [*BYTES, *(each for each in KINDS if each != "another file")])
def test_the_index_is_never_believed(run_dir: RunDir, how: str) -> None:
    """Whatever it says, the manifests are the truth; the next start writes it anew."""
    before = Store(run_dir.path).list()
    path = place(run_dir, "index.json")
    (BYTES | KINDS)[how](path)
    assert Store(run_dir.path).list() == before
    if how == "a directory":
        path.rmdir()
    assert train(run_dir.path, UNTIL) == 3
    check_state(run_dir.path, UNTIL)


def test_every_bit_of_the_index(run_dir: RunDir) -> None:
    """Whichever flips, what is listed is the same."""
    before = Store(run_dir.path).list()
    path = place(run_dir, "index.json")
    for bit in range(0, 8 * path.stat().st_size, 5):
        flip(path, bit)
        assert Store(run_dir.path).list() == before, bit
        flip(path, bit)


@pytest.mark.parametrize("target", ["000000001", "nowhere", "/etc", "latest", None])
@pytest.mark.parametrize("name", ["latest", "best"])
def test_wrong_links(run_dir: RunDir, name: str, target: str | None) -> None:
    """They are for people; a resume looks at the checkpoints, and puts them right."""
    path = run_dir.checkpoints / name
    path.unlink(missing_ok=True)
    if target is not None:
        path.symlink_to(target)
    assert train(run_dir.path, UNTIL) == 3
    check_state(run_dir.path, UNTIL)


@pytest.mark.parametrize("how", [*BYTES, "gone"])
def test_the_identity_is_made_anew(run_dir: RunDir, how: str) -> None:
    """From what checkpoints and journal say: the run keeps its id, and goes on."""
    known = read_identity(run_dir)
    assert known is not None
    (BYTES | KINDS)[how](run_dir.identity)
    is_lost = _is_lost(run_dir)
    assert is_lost or how in {"one byte less", "a byte in the middle"}
    assert train(run_dir.path, UNTIL) == 3
    check_state(run_dir.path, UNTIL)
    found = read_identity(run_dir)
    assert found is not None
    assert (found.id, found.unit, found.created_at) == (known.id, known.unit, known.created_at)
    rebuilt = Journal(run_dir.journal).events("rebuilt")
    assert [row["file"] for row in rebuilt] == ["run.json"] * is_lost
    assert (run_dir.path / "run.json.damaged").exists() == (is_lost and how != "gone")
    store = Store(run_dir.path)
    ids = {store.load(info.step).manifest.run_id for info in store.list()}
    assert ids == {known.id}


def _is_lost(run_dir: RunDir) -> bool:
    try:
        return read_identity(run_dir) is None
    except CorruptError:
        return True


@pytest.mark.parametrize("how", ["cut in half", "all garbage"])
def test_readers_tell_of_a_damaged_identity(run_dir: RunDir, how: str) -> None:
    """They change nothing, and say how it is mended."""
    BYTES[how](run_dir.identity)
    data = run_dir.identity.read_bytes()
    for command in ("status", "verify"):
        result = CliRunner().invoke(cli, [command, str(run_dir.path)])
        assert result.exit_code == 12
        assert "run.json" in result.output
        assert "Start the training again" in result.output
    assert run_dir.identity.read_bytes() == data


def test_an_identity_that_belongs_to_nobody(run_dir: RunDir) -> None:
    """Without checkpoint and journal there is nothing that says that it was a run of ours."""
    run_dir.identity.write_bytes(b"{")
    run_dir.journal.unlink()
    before = sorted(os.listdir(run_dir.path))
    with pytest.raises(CorruptError, match=r"run\.json"):
        train(run_dir.path, UNTIL)
    assert sorted(os.listdir(run_dir.path)) == before

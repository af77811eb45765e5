"""A run of every format that was ever released is read, and goes on, in today's version."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evertrain.checkpoint import Store
from evertrain.checkpoint.care.archive import archive
from evertrain.checkpoint.care.unarchive import unarchive
from evertrain.checkpoint.manifest import MANIFEST
from evertrain.checkpoint.read import read_checkpoint
from evertrain.checkpoint.shelf import emergencies
from evertrain.checkpoint.strict import dumps, seal
from evertrain.checkpoint.tree.decode import _KINDS
from evertrain.cli.main import cli
from evertrain.core import request
from evertrain.core.errors import EXIT_CONFIG, FormatError
from evertrain.core.journal import Journal
from evertrain.core.lock import read_owner
from evertrain.core.rundir import RunDir
from evertrain.monitor.metrics import read_metrics
from evertrain.testing.plugin_contract import stored
from runs import tree_of

pytest.importorskip("torch")

from format.make import _rows
from format.program import LONGER, leaves, train

HERE = Path(__file__).parent
FORMATS = sorted(each.name.partition(".")[0] for each in HERE.glob("*.tar.xz"))


@pytest.fixture(params=FORMATS)
def number(request: pytest.FixtureRequest) -> str:
    """Provide each format."""
    found: str = request.param
    return found


@pytest.fixture
def run_dir(number: str, tmp_path: Path) -> RunDir:
    """Provide a copy of its run."""
    with tarfile.open(HERE / f"{number}.tar.xz") as file:
        file.extractall(tmp_path, filter="tar")
    return RunDir(tmp_path / "run")


@pytest.fixture
def expected(number: str) -> dict[str, Any]:
    """Provide what it must give."""
    found: dict[str, Any] = json.loads((HERE / f"{number}.json").read_text())
    return found


def test_there_is_one_of_each() -> None:
    """A format without a stored run would not be kept."""
    from evertrain.core.rundir import FORMAT

    assert [str(each) for each in range(1, FORMAT + 1)] == FORMATS


def test_it_is_small(number: str) -> None:
    """Every clone carries it."""
    assert (HERE / f"{number}.tar.xz").stat().st_size < 300_000


def test_it_is_listed_and_whole(run_dir: RunDir, expected: dict[str, Any]) -> None:
    """Each checkpoint, with its kind and stage; what is best, pinned, shared, set aside."""
    store = Store(run_dir.path)
    found = store.list()
    assert [[info.step, info.kind, info.stage] for info in found] == expected["checkpoints"]
    assert store.verify() == []
    best = store.best()
    assert best is not None
    assert best.step == 2
    assert [info.step for info in found if info.is_pinned] == [1]
    assert [info.path.name for info in emergencies(store.path)] == ["000000004-ERROR"]
    aside = sorted(each.name for each in (store.path / "superseded").iterdir())
    assert aside == ["000000003-attempt1", "000000004-attempt1"]
    assert (store.path / "quarantine" / "000000006.reason.json").is_file()
    files = [path.stat().st_ino for path in store.path.glob("0*/*.safetensors")]
    assert len(set(files)) < len(files)


def test_its_metrics_are_read(run_dir: RunDir, expected: dict[str, Any]) -> None:
    """The live rows, not those of the branch that it left."""
    assert _rows(run_dir.path) == expected["rows"]


def test_every_leaf_comes_back(run_dir: RunDir) -> None:
    """Of every kind that there is, bit for bit."""
    for info in Store(run_dir.path).list():
        text = json.dumps(json.loads((info.path / MANIFEST).read_bytes())["skeletons"])
        missing = [kind for kind in _KINDS if f'"$": "{kind}"' not in text]
        assert missing == []
        found = read_checkpoint(info.path).state["run.state"]["leaves"]
        assert stored(found) == stored(leaves(info.step))


def test_it_goes_on(run_dir: RunDir, expected: dict[str, Any]) -> None:
    """Exactly: the generators draw what they would have drawn then."""
    assert train(run_dir.path, LONGER) == 6
    assert _rows(run_dir.path) == expected["continued"]
    assert Store(run_dir.path).verify() == []


@pytest.mark.parametrize("step", [2, 3, 5])
def test_it_goes_back(run_dir: RunDir, expected: dict[str, Any], step: int) -> None:
    """From any checkpoint on, the same numbers come again."""
    assert train(run_dir.path, LONGER, resume=step) == step
    assert _rows(run_dir.path) == expected["continued"]


@pytest.mark.parametrize(
    "command",
    [
        ("ls",),
        ("show",),
        ("status",),
        ("verify",),
        ("ls", "--json"),
        ("show", "--json"),
        ("status", "--json"),
        ("verify", "--json"),
    ],
    ids=" ".join,
)
def test_every_command_reads_it(run_dir: RunDir, command: tuple[str, ...]) -> None:
    """And changes nothing."""
    before = tree_of(run_dir.path)
    result = CliRunner().invoke(cli, [command[0], str(run_dir.path), *command[1:]])
    assert result.exit_code == 0, result.output
    assert tree_of(run_dir.path) == before


def test_it_can_be_archived(run_dir: RunDir, tmp_path: Path, expected: dict[str, Any]) -> None:
    """And what comes back goes on as it would have."""
    archive(run_dir, tmp_path / "run.tar")
    back = unarchive(tmp_path / "run.tar", tmp_path / "back")
    assert train(back.path, LONGER) == 6
    assert _rows(back.path) == expected["continued"]


def reseal(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a sealed document as another version would have written it."""
    document = json.loads(path.read_bytes())
    del document["digest"]
    change(document)
    path.unlink()
    path.write_bytes(seal({name: dumps(value) for name, value in document.items()}))


def test_a_newer_run_is_refused_untouched(run_dir: RunDir) -> None:
    """Politely, with exit code 78, by those who write and by those who read."""
    card = json.loads(run_dir.identity.read_bytes())
    run_dir.identity.write_text(json.dumps(card | {"format": card["format"] + 1}))
    before = tree_of(run_dir.path)
    with pytest.raises(FormatError, match="Upgrade evertrain") as caught:
        train(run_dir.path, LONGER)
    assert caught.value.exit_code == EXIT_CONFIG
    for command in ("show", "status", "verify"):
        result = CliRunner().invoke(cli, [command, str(run_dir.path)])
        assert result.exit_code == EXIT_CONFIG, result.output
        assert "Upgrade evertrain" in result.output
    assert tree_of(run_dir.path) == before


def test_a_newer_checkpoint_is_not_passed_over(run_dir: RunDir) -> None:
    """It is no damage: it stays, and nothing older is taken in its place."""
    path = run_dir.checkpoints / "000000006" / MANIFEST
    reseal(path, lambda document: document.update(format=2))
    with pytest.raises(FormatError, match="Upgrade evertrain"):
        train(run_dir.path, LONGER)
    assert path.is_file()
    assert len(list((run_dir.checkpoints / "quarantine").glob("*.json"))) == 1
    assert train(run_dir.path, LONGER, resume=5) == 5


def test_what_a_later_writer_adds_is_ignored(run_dir: RunDir, expected: dict[str, Any]) -> None:
    """Fields and events that this version does not know, in every file that has some."""
    more = {"added_later": {"by": [1, None]}}
    card = json.loads(run_dir.identity.read_bytes())
    run_dir.identity.write_text(json.dumps(card | more))
    lease = json.loads(run_dir.lock.read_bytes())
    run_dir.lock.write_text(json.dumps(lease | more))
    for name in ("000000005", "000000006"):
        reseal(run_dir.checkpoints / name / MANIFEST, lambda document: document.update(more))
    reseal(
        run_dir.checkpoints / "index.json",
        lambda document: [each.update(more) for each in (document, *document["checkpoints"])],
    )
    with run_dir.journal.open("a") as journal:
        journal.write(json.dumps({"event": "invented", "attempt": 3} | more) + "\n")
    journal_text = run_dir.journal.read_text().replace(
        '"event":"saved"', '"added_later":1,"event":"saved"'
    )
    run_dir.journal.write_text(journal_text)
    metrics = run_dir.metrics.read_text().replace('"step":', '"added_later":1,"step":')
    run_dir.metrics.write_text(metrics)
    request.post(run_dir, "pin", step=3)
    [posted] = run_dir.inbox.glob("*.json")
    posted.write_text(json.dumps(json.loads(posted.read_text()) | more))
    (run_dir.inbox / "1.json").write_text(json.dumps({"verb": "invented"} | more))
    (run_dir.path / "later").mkdir()
    (run_dir.checkpoints / "later.json").write_text("{}")

    assert read_owner(run_dir.lock) is not None
    assert Store(run_dir.path).verify() == []
    assert [info.step for info in Store(run_dir.path).list()] == [1, 2, 3, 4, 5, 6]
    assert train(run_dir.path, LONGER) == 6
    rows = [{k: v for k, v in row.items() if k != "added_later"} for row in _rows(run_dir.path)]
    assert rows == expected["continued"]
    assert [info.step for info in Store(run_dir.path).list() if info.is_pinned] == [1, 3]
    assert Journal(run_dir.journal).last("invented") is not None
    assert (run_dir.inbox / "1.json").exists()
    assert read_metrics(run_dir)[0]["added_later"] == 1

"""One run or one checkpoint, in full."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from evertrain.core.rundir import RunDir
from runs import new_run

Ask = Callable[..., dict[str, Any]]
Invoke = Callable[..., Any]


def test_a_run(trading: RunDir, invoke: Invoke) -> None:
    """Identity, command and state."""
    text = invoke("show", "trading").output

    assert text.startswith("runs/trading: finished - all steps done")
    assert "python train.py" in text
    assert trading.path.is_dir()


def test_a_run_as_json(place: Path, ask: Ask) -> None:
    """The configuration of its last start is there as it was given."""
    new_run(place / "r", config={"ppo": {"gamma": 0.9}}, recipe="structure")
    found = ask("show", "r")["run"]

    assert found["config"] == {"ppo": {"gamma": 0.9}}
    assert found["command"] == ["python", "train.py"]
    assert (found["seed"], found["recipe"], found["format"]) == (0, "structure", 1)


def test_nested_settings_are_dotted(place: Path, invoke: Invoke) -> None:
    """As they are written on the command line."""
    new_run(place / "r", config={"ppo": {"gamma": 0.9}})

    assert "config ppo.gamma  0.9" in invoke("show", "r").output


def test_a_checkpoint(trading: RunDir, invoke: Invoke) -> None:
    """Metadata, versions and what was attached."""
    text = invoke("show", "trading@best").output

    assert text.startswith("runs/trading@20\n")
    assert "step [BEST]" in text
    assert "metric total_profit" in text
    assert "version numpy" in text
    assert "agent        1  800 B" in text
    assert trading.path.is_dir()


def test_a_checkpoint_as_json(trading: RunDir, ask: Ask) -> None:
    """Everything that tells one checkpoint from another."""
    found = ask("show", "trading@30")["checkpoint"]

    assert (found["step"], found["kind"]) == (30, "final")
    assert found["objects"] == [{"name": "agent", "arrays": 1, "bytes": 800}]
    assert found["metadata"]["step"] == 30
    assert len(found["digest"]) == len(found["state_digest"]) == 64
    assert {"python", "numpy"} <= found["versions"].keys()
    same = ask("show", "trading@latest")["checkpoint"]["state_digest"]
    assert same == found["state_digest"]
    assert trading.path.is_dir()


def test_what_is_not_there(trading: RunDir, invoke: Invoke) -> None:
    """A missing run or checkpoint is 10, a meaningless name 2."""
    invoke("show", "nope", code=10)
    invoke("show", "trading@7", code=10)
    invoke("show", "trading@newest", code=2)
    assert trading.path.is_dir()


def test_a_damaged_manifest(trading: RunDir, invoke: Invoke) -> None:
    """A checkpoint that lies about itself is not shown."""
    manifest = trading.checkpoints / "000000030" / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes().replace(b'"step":30', b'"step":31'))

    invoke("show", "trading@30", code=12)


def test_a_checkpoint_of_a_newer_version(trading: RunDir, invoke: Invoke) -> None:
    """It is refused by its format, not guessed at."""
    manifest = trading.checkpoints / "000000030" / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes().replace(b'"format":1', b'"format":2'))

    invoke("show", "trading@30", code=78)

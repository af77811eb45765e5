"""Start-up stays cheap: what is not needed is not imported."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HEAVY = ("pydantic", "ruamel", "rich", "numpy", "torch", "matplotlib", "psutil", "safetensors")

SAVING = tuple(f"evertrain.checkpoint.{name}" for name in ("store", "commit", "tree", "keep"))


def _loaded(code: str, place: Path) -> set[str]:
    """Return the modules that `code` leaves imported in a fresh interpreter."""
    show = "import sys; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=place,
    )
    return set(done.stdout.splitlines()[-1].split())


def _command(*args: str) -> str:
    return f"from evertrain.cli.main import cli\ncli.main({list(args)!r}, standalone_mode=False)"


def test_import_evertrain(place: Path) -> None:
    """`import evertrain` loads none of the heavy packages, nor click."""
    assert _loaded("import evertrain", place).isdisjoint({*HEAVY, "click"})


def test_help(place: Path) -> None:
    """`evertrain --help` loads click and nothing heavier."""
    loaded = _loaded(_command("--help"), place)

    assert "click" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.usefixtures("trading")
@pytest.mark.parametrize("command", [("ls",), ("ls", "trading"), ("status", "trading")])
def test_looking(place: Path, command: tuple[str, ...]) -> None:
    """Listing loads no array library, no colors where no terminal is, and nothing that saves."""
    loaded = _loaded(_command(*command), place)

    assert loaded.isdisjoint(HEAVY)
    assert loaded.isdisjoint(SAVING)

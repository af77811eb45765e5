"""Start-up stays cheap: what is not needed is not imported."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HEAVY = ("pydantic", "ruamel", "rich", "numpy", "torch", "matplotlib", "psutil", "safetensors")


def _loaded(code: str, place: Path) -> set[str]:
    """Return the top-level modules that `code` leaves imported in a fresh interpreter."""
    show = "import sys; print(' '.join({name.partition('.')[0] for name in sys.modules}))"
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
    """Listing checkpoints reads manifests: no array library, no colors where no terminal is."""
    assert _loaded(_command(*command), place).isdisjoint(HEAVY)

"""A run of three checkpoints, made once and copied for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from evertrain.checkpoint import cut, group
from evertrain.core.rundir import RunDir
from evertrain.testing import everything_on
from evertrain.testing.tree import Tree, plant, scan
from power.program import train
from support import FAST

STEPS = 3


@pytest.fixture(autouse=True, scope="module")
def small_parts() -> Iterator[None]:
    """Cut after 64 bytes instead of 2 MiB, and wait for no medium."""
    with pytest.MonkeyPatch.context() as patch, everything_on(FAST):
        patch.setattr(cut, "PART_BYTES", 64)
        patch.setattr(group, "_WORTH_BYTES", 64)
        yield


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Make the run."""
    root = tmp_path_factory.mktemp("template")
    train(root / "r", STEPS)
    return scan(root)


@pytest.fixture
def run_dir(template: Tree, tmp_path: Path) -> RunDir:
    """Provide a run of three checkpoints; what stands still is one file in all of them."""
    plant(template, tmp_path / "place")
    return RunDir(tmp_path / "place" / "r")

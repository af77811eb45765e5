"""The stage of the matrix."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from supervise.play import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A folder for scripts and runs."""
    found = Stage(tmp_path)
    yield found
    found.clear()

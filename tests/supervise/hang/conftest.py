"""The stage of the watch's tests."""

from pathlib import Path

import pytest

from supervise.hang.theatre import Theatre


@pytest.fixture
def theatre(tmp_path: Path) -> Theatre:
    """A training that is only played."""
    return Theatre(tmp_path)

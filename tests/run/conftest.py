"""A run in a temporary directory, opened as often as a test needs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evertrain import Run, every
from support import OpenRun


@pytest.fixture
def open_run(tmp_path: Path) -> Iterator[OpenRun]:
    """Open the run `tmp_path/run`; whatever is still open is closed afterwards.

    Closing without finishing is what is left after a process that died between two steps.
    """
    opened: list[Run] = []

    def open_it(**options: Any) -> Run:
        for each in opened:
            each.close()
        defaults: dict[str, Any] = {"total": 10, "save": every(steps=1), "on_stop": "return"}
        options = defaults | options
        run = Run(tmp_path / "run", **options)
        opened.append(run)
        return run

    yield open_it
    for each in opened:
        each.close()

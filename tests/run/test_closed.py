"""A closed run has given its directory back: it can be read, and not trained."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evertrain import Run
from evertrain.core.errors import UsageError
from support import OpenRun, walk

USES: dict[str, Callable[[Run], Any]] = {
    "tick": lambda run: run.tick(),
    "next step": next,
    "log": lambda run: run.log(x=1.0),
    "attach": lambda run: run.attach(x=np.zeros(1)),
    "restore": lambda run: run.restore(),
    "finish": lambda run: run.finish(),
}


@pytest.mark.parametrize("name", USES)
def test_a_closed_run_says_so(open_run: OpenRun, name: str) -> None:
    """Nothing is counted, measured or saved in a directory that may be somebody else's."""
    run = open_run(total=5)
    walk(run, until=2)
    run.close()
    before = (run.path / "journal.jsonl").read_bytes()

    with pytest.raises(UsageError, match="closed") as caught:
        USES[name](run)

    assert name.split(maxsplit=1)[0] in caught.value.what
    assert (run.path / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", USES)
def test_a_run_that_was_closed_before_it_began_says_so(open_run: OpenRun, name: str) -> None:
    """Closed before the state was restored, it is closed all the same."""
    run = open_run(total=5)
    run.close()

    with pytest.raises(UsageError, match="closed"):
        USES[name](run)


def test_a_closed_run_can_still_be_read(open_run: OpenRun) -> None:
    """What it did is looked at after it, in a notebook for one."""
    run = open_run(total=3)
    for step in run:
        run.log(x=float(step))
    run.close()

    assert [row["x"] for row in run.metrics] == [1.0, 2.0, 3.0]
    assert [info.step for info in run.store.list()] == [1, 2, 3]
    assert (run.path / "run.json").is_file()
    assert (run.step, run.is_over, run.progress) == (3, True, 1.0)


def test_a_run_may_be_closed_inside_its_block(open_run: OpenRun) -> None:
    """Leaving the block afterwards has nothing left to do."""
    with open_run(total=5) as run:
        for step in run:
            if step == 2:
                run.close()
                break

    assert open_run(total=5).step <= 2

"""`evertrain.supervise.trainer`: who is asked to stop."""

import pytest

from evertrain.core.proc import Proc
from evertrain.supervise.trainer import descend

TREES = {
    "a program": ({1: "python3.11"}, {}, 1),
    "a script": ({1: "bash", 2: "python3"}, {1: [2]}, 2),
    "a script in a script": ({1: "bash", 2: "dash", 3: "python"}, {1: [2], 2: [3]}, 3),
    "workers below": ({1: "sh", 2: "python", 3: "python"}, {1: [2], 2: [3]}, 2),
    "a pipeline": ({1: "bash", 2: "python", 3: "tee"}, {1: [2, 3]}, 2),
    "two commands at once": ({1: "bash", 2: "python", 3: "python"}, {1: [2, 3]}, 1),
    "a shell at rest": ({1: "zsh"}, {}, 1),
    "only a filter": ({1: "bash", 2: "tee"}, {1: [2]}, 1),
    "a screen of its own": ({1: "dash", 2: "Xvfb", 3: "python"}, {1: [2, 3]}, 3),
    "a stopwatch": ({1: "time", 2: "python"}, {1: [2]}, 2),
    "a launcher": ({1: "python", 2: "python"}, {1: [2]}, 1),
}


@pytest.mark.parametrize("name", TREES)
def test_who_is_asked(name: str) -> None:
    """Through shells with one command in front, filters aside; never further."""
    names, below, wanted = TREES[name]
    found = descend(
        Proc(1, 0),
        children=lambda pid: [Proc(each, 0) for each in below.get(pid, [])],
        executable=lambda pid: names[pid],
    )
    assert found.pid == wanted

"""`evertrain.supervise.diagnosis.memory`: the kernel's counters, whichever a machine has."""

from pathlib import Path

import pytest

from evertrain.supervise.diagnosis.memory import Kills, compare, read_counters

V2 = {
    "proc/self/cgroup": "0::/user.slice/train.scope\n",
    "sys/fs/cgroup/user.slice/train.scope/memory.events": "low 0\noom 2\noom_kill {n}\n",
    "sys/fs/cgroup/user.slice/train.scope/memory.max": "24000000000\n",
    "sys/fs/cgroup/user.slice/memory.events": "oom_kill 900\n",
    "proc/vmstat": "nr_free_pages 1\noom_kill 7\n",
}
V1 = {
    "proc/self/cgroup": "4:memory:/box\n1:cpu:/\n",
    "sys/fs/cgroup/memory/box/memory.oom_control": (
        "oom_kill_disable 0\nunder_oom 0\noom_kill {n}\n"
    ),
    "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "9223372036854771712\n",
    "proc/vmstat": "oom_kill 7\n",
}
BARE = {"proc/vmstat": "nr_free_pages 1\noom_kill {n}\n"}


def _machine(root: Path, files: dict[str, str], count: int) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{n}", str(count)))
    return root


@pytest.mark.parametrize(
    ("files", "killed"),
    [(V2, (2, 0, 24_000_000_000)), (V1, (2, 0, None)), (BARE, (None, 2, None))],
    ids=["version 2", "version 1", "no groups"],
)
def test_what_was_killed_in_between(
    tmp_path: Path, files: dict[str, str], killed: tuple[int | None, int, int | None]
) -> None:
    """The innermost group counts; without groups, the whole machine."""
    before = read_counters(_machine(tmp_path, files, 3))
    after = read_counters(_machine(tmp_path, files, 5))
    found = compare(before, after)

    assert (found.in_group, found.on_machine, found.limit_bytes) == killed
    assert len(found.evidence) == 1
    assert "oom_kill 3 -> 5" in found.evidence[0]
    assert compare(after, after).evidence == ()


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    """No counter, a counter that came, and garbage are nothing known."""
    assert read_counters(tmp_path) == ()
    assert compare((), read_counters(_machine(tmp_path, BARE, 3))) == Kills()
    _machine(tmp_path, {"proc/vmstat": "oom_kill many\noom_kill\n\xff"}, 0)
    assert read_counters(tmp_path) == ()

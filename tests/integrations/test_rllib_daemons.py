"""Ray's daemons end with their driver, however that dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from evertrain.core import proc
from evertrain.core.errors import LockedError
from evertrain.core.lock import take
from evertrain.integrations.rllib import local_ray
from evertrain.integrations.rllib.cluster import MARK, end_leftovers, home_of
from integrations.herds import sigterms_heard_in

PROGRAM = """
import os, signal, sys
from evertrain.integrations.rllib import local_ray
with local_ray(sys.argv[1], num_cpus=1, logging_level="ERROR"):
    open(sys.argv[1] + ".started", "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def start(*command: str) -> int:
    """Run a command to its end; return its exit code."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.run(list(command), env=env, check=False, timeout=280, **quiet).returncode  # type: ignore[call-overload, no-any-return]


def left(home: Path) -> list[proc.Proc]:
    """Return the processes of a Ray that still live."""
    return proc.started_with(f"{MARK}={home}")


@pytest.mark.slow
def test_a_supervisor_leaves_none(tmp_path: Path) -> None:
    """Raylet, servers and agents are swept when the driver is killed."""
    owner = tmp_path / "run"
    run = ("run", "--run", str(tmp_path / "supervised"), "--max-crashes", "1")

    start(sys.executable, "-m", "evertrain", *run, "--", sys.executable, "-c", PROGRAM, str(owner))

    assert Path(f"{owner}.started").exists()
    assert left(home_of(owner)) == []
    assert end_leftovers(home_of(owner)) == []


@pytest.mark.slow
def test_the_next_start_ends_what_was_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a supervisor the agents survive; whoever starts next finds them, and their logs."""
    found: list[object] = []
    owner = tmp_path / "run"
    home = home_of(owner)
    monkeypatch.setattr(ray, "init", lambda **_: found.extend([left(home), home.exists()]))
    monkeypatch.setattr(ray, "shutdown", lambda: None)

    assert start(sys.executable, "-c", PROGRAM, str(owner)) == -signal.SIGKILL
    assert list(home.glob("session_*"))

    assert left(home)

    with local_ray(owner):
        assert found == [[], False]  # before a new Ray begins


def test_the_ray_of_a_live_training_is_left_alone(tmp_path: Path) -> None:
    """A second start by mistake neither ends its daemons nor removes its files."""
    home = home_of(tmp_path / "run")
    (home / "session_1").mkdir(parents=True)
    sleeper = subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: str(home)})
    try:
        with (
            take(home.with_name(f"{home.name}.lock")),
            pytest.raises(LockedError),
            local_ray(tmp_path / "run"),
        ):
            pytest.fail("it has begun")
        assert sleeper.poll() is None
        assert (home / "session_1").exists()
    finally:
        assert end_leftovers(home) == [sleeper.pid]
        sleeper.wait()


def test_a_run_still_hears_sigterm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray takes the signal for itself, and would exit where the run saves."""
    assert sigterms_heard_in(local_ray(tmp_path / "run"), monkeypatch) == [signal.SIGTERM]


def test_what_the_training_starts_is_not_rays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that the program starts in the block outlives it; what Ray started does not."""
    started: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(ray, "init", lambda **_: started.append(subprocess.Popen(["sleep", "60"])))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    try:
        with local_ray(tmp_path / "run"):
            started.append(subprocess.Popen(["sleep", "60"]))
        assert started[0].wait(timeout=10) < 0
        assert started[1].poll() is None
    finally:
        for each in started:
            each.kill()
            each.wait()


def test_a_home_has_room_for_sockets() -> None:
    """However long the path of the run is, and another one for each."""
    homes = {home_of("/a/" + "very/" * 40 + name) for name in ("one", "other")}

    assert len(homes) == 2
    assert all(len(str(home)) <= 40 for home in homes)

"""`--ray-address`: a cluster is joined, left clean, and stays; a dead one is told."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")
pytest.importorskip("mpe2")

import ray

from evertrain.core.errors import ConfigError, EnvError
from evertrain.core.rundir import RunDir
from evertrain.monitor.metrics import read_metrics
from evertrain.recipes.hideseek.cluster import joined
from evertrain.recipes.hideseek.config import RayConfig
from evertrain.run.stop import Stopped
from evertrain.testing.clock import FakeClock
from integrations.herds import sigterms_heard_in

TINY = (
    "episodes_per_iteration=4",
    "game.episode_steps=10",
    "ray.envs=2",
    "ray.env_runners=1",
    "ppo.hiddens=[8]",
    "ppo.minibatch_size=30",
    "ppo.epochs=2",
    "ppo.checkpoint_freq=2",
    "report.games=2",
    "iterations=6",
)

# What a cluster knows of the drivers that were there: nodes, actors and jobs that live.
CENSUS = """
import json, sys, ray
from ray._private import state
ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")
mine = ray.get_runtime_context().get_job_id()
jobs = state.jobs()
print(json.dumps({
    "nodes": sum(each["Alive"] for each in ray.nodes()),
    "actors": [each["State"] for each in state.actors().values() if each["State"] != "DEAD"],
    "jobs": [each["JobID"] for each in jobs if not each["IsDead"] and each["JobID"] != mine],
    "drivers": len(jobs),
    "free": ray.available_resources().get("CPU"),
}))
"""


class Calls:
    """A training that joins, and what it says, tells and is asked meanwhile.

    Args:
        path: Its directory.
        stop_after: Ask it to end behind so many pauses; None never.
    """

    def __init__(self, path: Path, *, stop_after: int | None = None) -> None:
        self.path, self.said, self.phases = path, list[str](), list[str]()
        self.stop_after = stop_after

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self.phases.append(name)
        yield

    def stop_if_asked(self) -> bool:
        if len(self.phases) == self.stop_after:
            raise Stopped(0, "evertrain stop")
        return False


@pytest.fixture
def training(tmp_path: Path) -> Calls:
    """A training that has joined no cluster yet."""
    return Calls(tmp_path)


def join(training: Calls, address: str = "auto") -> None:
    """Join a cluster, and leave it at once."""
    with joined(RayConfig(address=address), training, clock=FakeClock()):
        pass


def test_a_cluster_that_is_not_there(monkeypatch: pytest.MonkeyPatch, training: Calls) -> None:
    """One error that says what to do; no other Ray is started in its place."""

    def refuse(address: str, **_: Any) -> None:
        raise ConnectionError(f"Could not find any Ray at {address}")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ConfigError, match="no Ray cluster at 'auto'") as caught:
        join(training)
    assert "Could not find any Ray at auto" in caught.value.why
    assert "ray start --head" in caught.value.fix


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, training: Calls) -> None:
    """It is told at once: Ray, which would try for minutes, is not even asked."""
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray was asked"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(ConfigError, match="no Ray cluster at") as caught:
            join(training, f"127.0.0.1:{taken.getsockname()[1]}")
    assert "refused" in caught.value.why


def test_what_listens_is_not_let_in(monkeypatch: pytest.MonkeyPatch, training: Calls) -> None:
    """Another version, or no Ray at all: all lines of what Ray says, in one."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.60.0")

    monkeypatch.setattr(ray, "init", refuse)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(ConfigError, match="no Ray cluster at") as caught,
    ):
        join(training, f"localhost:{server.getsockname()[1]}")
    assert "was started with: Ray: 2.60.0" in caught.value.why


@pytest.mark.parametrize(("mode", "hints"), [(None, 1), ("token", 0)])
def test_a_cluster_that_asks_for_a_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str | None, hints: int
) -> None:
    """Since 2.60 Ray sends the token that is there only if it is told to, and does not say so."""

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("a1b2")
    if mode is None:
        monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    else:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(ConfigError) as caught:
        join(Calls(tmp_path))
    assert caught.value.fix.count("RAY_AUTH_MODE=token") == hints


def test_a_cluster_that_was_there_stays(monkeypatch: pytest.MonkeyPatch, training: Calls) -> None:
    """The training leaves it, and starts and ends nothing of its own."""
    calls: list[str] = []
    monkeypatch.setattr(ray, "init", lambda address, **_: calls.append(f"joined {address}"))
    monkeypatch.setattr(ray, "shutdown", lambda: calls.append("left"))
    with joined(RayConfig(address="auto"), training):
        calls.append("trained")

    assert calls == ["joined auto", "trained", "left"]


class Flaky:
    """A `ray.init` that fails as often as there are errors, each a while later than the last."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.tries = list(errors), 0

    def __call__(self, *_: object, **__: object) -> None:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)


def rejoin(
    monkeypatch: pytest.MonkeyPatch,
    training: Calls,
    *errors: Exception,
    patience_s: float = 3600.0,
) -> int:
    """Join a cluster that the training has joined before. Return how often that was tried."""
    init, ended = Flaky(), list[str]()
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append("shutdown"))
    join(training)
    assert (training.said, training.phases, ended) == ([], [], ["shutdown"])
    init.errors, init.tries = list(errors), 0
    try:
        with joined(RayConfig(patience_s=patience_s, address="auto"), training, clock=FakeClock()):
            pass
    finally:
        assert len(ended) == init.tries + 1, "what a failed try has begun is ended, too"
    return init.tries


def test_a_cluster_that_is_down_for_a_while_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, training: Calls
) -> None:
    """A run that has joined it says so now and then, not at each try, and when it is back."""
    tries = rejoin(monkeypatch, training, *[ConnectionError("nobody at home")] * 200)
    assert tries == 201
    assert [line.split("waiting, ")[-1].split(" (")[0] for line in training.said] == [
        "0.0 s of 1 h 00 m",
        "10 m 00 s of 1 h 00 m",
        "evertrain: the Ray cluster at 'auto' is back",
    ]
    assert "nobody at home" in training.said[0]
    assert training.phases == ["wait"] * 200


def test_a_cluster_that_is_there_is_joined_without_a_word(
    monkeypatch: pytest.MonkeyPatch, training: Calls
) -> None:
    """As ever."""
    assert rejoin(monkeypatch, training) == 1
    assert training.said == []


def test_patience_has_an_end(monkeypatch: pytest.MonkeyPatch, training: Calls) -> None:
    """An error of the world, which another attempt may not meet; not of the configuration."""
    errors = [ConnectionError("nobody at home")] * 100
    with pytest.raises(EnvError, match="the Ray cluster at 'auto' is down") as caught:
        rejoin(monkeypatch, training, *errors, patience_s=60.0)
    assert "waited for 1 m 00 s" in caught.value.why


def test_a_head_that_has_just_begun_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, training: Calls
) -> None:
    """Ray calls the files that it lacks a ValueError, or what its server says a RuntimeError."""
    errors = ValueError("Can't find a `node_ip_address.json` file"), RuntimeError("no raylet")
    assert rejoin(monkeypatch, training, *errors) == 3


def test_what_waiting_cannot_mend_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, training: Calls
) -> None:
    """The cluster was installed anew in the meantime."""
    error = RuntimeError("Version mismatch: The cluster was started with: Ray 3.1")
    with pytest.raises(ConfigError, match="no Ray cluster at 'auto'") as caught:
        rejoin(monkeypatch, training, ConnectionError("down"), error)
    assert str(error) in caught.value.why


def test_a_stop_ends_the_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody who asks for one waits six hours for it."""
    with pytest.raises(Stopped):
        rejoin(monkeypatch, Calls(tmp_path, stop_after=3), *[ConnectionError("down")] * 9)


def test_a_cluster_that_was_never_joined_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, training: Calls
) -> None:
    """The address is new, and perhaps mistyped, although the run is not."""
    rejoin(monkeypatch, training)
    monkeypatch.setattr(ray, "init", Flaky(ConnectionError("nobody")))
    with pytest.raises(ConfigError):
        join(training, "ray://elsewhere")


def test_a_run_still_hears_sigterm(monkeypatch: pytest.MonkeyPatch, training: Calls) -> None:
    """Ray takes the signal for itself, and would exit where the run saves."""
    heard = sigterms_heard_in(joined(RayConfig(address="auto"), training), monkeypatch)
    assert heard == [signal.SIGTERM]


@contextmanager
def head(port: int) -> Iterator[str]:
    """A cluster of one processor at `port`, or at a free one for 0; its address."""
    home = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))
    command = f"start --head --block --port={port} --num-cpus=1 --temp-dir={home}"
    more = "--include-dashboard=false --disable-usage-stats --object-store-memory=80000000"
    script = str(Path(sys.executable).with_name("ray"))
    process = subprocess.Popen(
        [script, *command.split(), *more.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        # Since 2.60 a head asks for a token if this user happens to have one.
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
    )
    try:
        # Ray writes the file with its address only after it has told of its start.
        found = (re.search("--address='([^']+)'", line) for line in process.stdout or ())
        yield next(match[1] for match in found if match)
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A cluster that nothing here may end."""
    with head(0) as address:
        yield address


def call(cwd: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a Python program to its end."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(cwd)}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, capture_output=True, text=True, check=False, env=env
    )


def census(cwd: Path, address: str) -> dict[str, Any]:
    """Return what lives on the cluster, besides who asks."""
    done = call(cwd, "-c", CENSUS, address)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_killed_on_a_cluster_it_goes_on_there(tmp_path: Path, cluster: str) -> None:
    """Bit for bit behind SIGKILL; the cluster stays, and holds no actor and no job of it."""
    options = [word for each in (*TINY, f"ray.address={cluster}") for word in ("-o", each)]
    kills = ("--kills", "1", "--seed", "4", "--keep", str(tmp_path / "runs"))

    done = call(tmp_path, "-m", "evertrain", "audit", "hideseek", *kills, *options)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(", 1 kill")
    rows = read_metrics(RunDir(max((tmp_path / "runs").glob("killed*"))))
    assert {row["attempt"] for row in rows} == {1, 2}
    left = census(tmp_path, cluster)
    assert left["drivers"] >= 4, "three attempts were there"
    assert (left["nodes"], left["actors"], left["jobs"], left["free"]) == (1, [], [], 1.0)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_stop_on_a_cluster_is_saved(tmp_path: Path, cluster: str) -> None:
    """SIGTERM ends the training behind its iteration, with a checkpoint."""
    options = [word for each in (*TINY[:-1], "iterations=2000") for word in ("-o", each)]
    start = (sys.executable, "-m", "evertrain.recipes", "hideseek", "--ray-address", cluster)
    program = subprocess.Popen(
        [*start, *options],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in program.stdout or ():
        if line.startswith("Training Iteration 3/"):
            program.send_signal(signal.SIGTERM)
            break
    said, _ = program.communicate(timeout=300)

    assert program.returncode == 75, said
    rows = read_metrics(RunDir(tmp_path / "runs" / "hideseek"))
    newest = max((tmp_path / "runs" / "hideseek" / "checkpoints").glob("0*"))
    assert int(newest.name) == rows[-1]["step"] >= 3
    assert census(tmp_path, cluster)["actors"] == []


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_cluster_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    """The attempt dies with it; the next one waits, and goes on where the run was saved."""
    options = [word for each in (*TINY[:-1], "iterations=100000") for word in ("-o", each)]
    with head(0) as address:
        train = (sys.executable, "-m", "evertrain", "train", "hideseek", "--ray-address", address)
        program = subprocess.Popen(
            [*train, *options],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        heard = until(program, "Training Iteration 5/")
    heard += until(program, "is down; waiting")
    run_dir = RunDir(tmp_path / "runs" / "hideseek")
    saved = int(max((run_dir.path / "checkpoints").glob("0*")).name)
    shown = call(tmp_path, "-m", "evertrain", "status", "hideseek").stdout
    with head(int(address.rpartition(":")[2])):
        heard += until(program, f"Training Iteration {saved + 3}/")
        program.send_signal(signal.SIGTERM)
        rest, _ = program.communicate(timeout=300)
    heard += rest

    assert program.returncode == 75, heard
    assert "(wait)" in shown
    assert f"the Ray cluster at '{address}' is back" in heard
    rows = read_metrics(run_dir)
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    assert next(row["step"] for row in rows if row["attempt"] > 1) == saved + 1


def until(program: "subprocess.Popen[str]", word: str) -> str:
    """Read what a program prints, up to the line with `word`."""
    heard = ""
    for line in program.stdout or ():
        heard += line
        if word in line:
            return heard
    pytest.fail(f"no {word!r} in:\n{heard}")


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_what_listens_and_is_no_ray_is_told_in_time(tmp_path: Path) -> None:
    """Somebody else's port, such as that of a dashboard: no supervisor tries it again."""
    with socket.create_server(("0.0.0.0", 0)) as mute:  # noqa: S104  (Ray asks by the outer address)
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        run = ("train", "hideseek", "--ray-address", address)
        done = subprocess.run(
            [sys.executable, "-m", "evertrain", *run],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )

    assert done.returncode == 20, done.stdout + done.stderr
    assert f"no Ray cluster at '{address}'" in done.stdout
    # Since 2.60 Ray has words for it.
    assert re.search("does not answer as Ray does|Failed to connect to Ray", done.stdout)
    assert len(list((tmp_path / "runs" / "hideseek" / "logs").iterdir())) == 1

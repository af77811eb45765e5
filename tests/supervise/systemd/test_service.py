"""`evertrain.supervise.systemd.service`: what systemd hears, and what happens if it does not."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evertrain.core.heartbeat import Heart
from evertrain.supervise.signals import Signals
from evertrain.supervise.systemd.service import Service
from evertrain.testing.clock import FakeClock
from supervise.play import Stage


class Manager:
    """systemd's end of the socket."""

    def __init__(self, name: str) -> None:
        """Listen."""
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.settimeout(0)

    def heard(self) -> list[dict[str, str]]:
        """Return what was said since the last look."""
        found: list[dict[str, str]] = []
        while True:
            try:
                text = self.socket.recv(65_536).decode()
            except BlockingIOError:
                return found
            found.append(dict(line.split("=", 1) for line in text.split("\n")))


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """Return a listening manager."""
    name = f"@evertrain-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    found = Manager(name)
    yield found
    found.socket.close()


def test_what_systemd_hears(manager: Manager, tmp_path: Path) -> None:
    """Ready, how it goes with the step, alive every third of the watchdog's time, stopping."""
    clock = FakeClock()
    environ = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "60000000"}
    service = Service(environ, heartbeat=tmp_path / "heartbeat", clock=clock)
    assert service.beat() is None, "not before it is ready"
    service.ready()
    assert manager.heard() == [{"READY": "1", "STATUS": "starting", "WATCHDOG": "1"}]
    with Heart(tmp_path / "heartbeat", 1, clock=clock) as heart:
        heart.beat(120_000, "step")
        service.say("attempt 3")
    (said,) = manager.heard()
    assert said["STATUS"] == "attempt 3, step 120,000"
    assert service.beat() == pytest.approx(20.0)
    assert manager.heard() == []
    clock.advance(20)
    service.beat()
    assert manager.heard()[0]["WATCHDOG"] == "1"
    service.stopping()
    service.stopping()
    clock.advance(5)
    assert service.beat() == pytest.approx(5.0)
    first, second = manager.heard()
    assert first["STOPPING"] == second["STOPPING"] == "1"
    assert first["EXTEND_TIMEOUT_USEC"] == "60000000"
    assert first["STATUS"] == "stopping: attempt 3, step 120,000"


def test_another_service_is_not_spoken_for(manager: Manager) -> None:
    """In a terminal of a notebook's server, which is a service itself: it would be ended."""
    for pid, count in (("1", 0), (str(os.getpid()), 1)):
        environ = {"NOTIFY_SOCKET": manager.name, "SYSTEMD_EXEC_PID": pid}
        Service(environ, clock=FakeClock()).ready()
        assert len(manager.heard()) == count


def test_a_status_is_one_line(manager: Manager) -> None:
    """What a run is called cannot say READY=0."""
    service = Service({"NOTIFY_SOCKET": manager.name}, clock=FakeClock())
    service.ready()
    service.say("a\nWATCHDOG=trigger")
    assert manager.heard()[-1]["STATUS"] == "a?WATCHDOG=trigger"


@pytest.mark.parametrize(
    "environ",
    [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "@"}, {"NOTIFY_SOCKET": "vsock:2:1234"}],
)
def test_nobody_listens(environ: dict[str, str]) -> None:
    """Nothing is said, and no wait is shortened."""
    service = Service(environ, clock=FakeClock())
    service.ready()
    assert service.beat() is None


@pytest.mark.parametrize("kind", ["missing", "dead", "full"])
def test_a_socket_that_takes_nothing_delays_nothing(tmp_path: Path, kind: str) -> None:
    """Missing, without a reader, or full: the words are lost, and said again at the next beat."""
    name, clock = str(tmp_path / "notify"), FakeClock()
    listener = Manager(name) if kind != "missing" else None
    service = Service({"NOTIFY_SOCKET": name}, clock=clock)
    if kind == "dead" and listener is not None:
        listener.socket.close()
    for number in range(2000):
        service.ready() if number == 0 else service.say(str(number))
    if kind == "full" and listener is not None:
        assert 0 < len(listener.heard()) < 2000
        clock.advance(100)
        service.beat()
        assert listener.heard() == [{"READY": "1", "STATUS": "1999"}]
        listener.socket.close()


@pytest.mark.parametrize(
    ("environ", "every_s"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 30.0),
        ({"WATCHDOG_USEC": "0"}, 30.0),
        ({"WATCHDOG_USEC": "soon"}, 30.0),
    ],
)
def test_whose_watchdog_it_is(manager: Manager, environ: dict[str, str], every_s: float) -> None:
    """Only ours counts, and only one that makes sense."""
    service = Service({"NOTIFY_SOCKET": manager.name, **environ}, clock=FakeClock())
    service.ready()
    assert service.beat() == pytest.approx(every_s)
    assert ("WATCHDOG" in manager.heard()[-1]) == (every_s == 1.0)


def test_each_wait_of_the_main_loop_is_a_sign_of_life(manager: Manager) -> None:
    """And no wait is longer than the time until the next one is due."""
    clock = FakeClock()
    environ = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "30000"}
    service = Service(environ, clock=clock)
    service.ready()
    manager.heard()
    with Signals(service) as signals:
        clock.advance(0.01)
        assert signals.wait(None) == set(), "it returns although nothing came"
    assert len(manager.heard()) == 1


@pytest.mark.slow
def test_a_supervisor_under_systemd(stage: Stage, tmp_path: Path) -> None:
    """From READY to STOPPING, with a status; the training does not inherit the socket."""
    manager = Manager(str(tmp_path / "notify"))
    stage.script(
        """
        import os, time
        print("INHERITED", os.environ.get("NOTIFY_SOCKET"), os.environ.get("WATCHDOG_USEC"))
        print("TRAINING", flush=True)
        time.sleep(100)
        """
    )
    env = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "3000000"}
    play = stage.run("--", sys.executable, "train.py", env=env)
    play.wait_for("TRAINING")
    heard: list[dict[str, str]] = []

    def has_beaten() -> bool:
        heard.extend(manager.heard())
        return len(heard) > 3

    stage.wait_until(has_beaten, "beats")
    play.send(signal.SIGTERM)
    assert play.end() == 75
    heard += manager.heard()
    manager.socket.close()
    assert "INHERITED None None" in play.text
    assert heard[0]["READY"] == "1"
    assert "attempt 1" in [each["STATUS"] for each in heard]
    assert heard[-1]["STOPPING"] == "1"
    assert all(each["WATCHDOG"] == "1" for each in heard)


@pytest.mark.slow
def test_a_complete_run_is_ready_before_it_ends(stage: Stage, tmp_path: Path) -> None:
    """Else systemd would call its end a failure, and start it again and again."""
    stage.script("print('done')")
    assert stage.run("--", sys.executable, "train.py").end() == 0
    manager = Manager(str(tmp_path / "notify"))
    env = {"NOTIFY_SOCKET": manager.name}
    assert stage.run("--", sys.executable, "train.py", env=env).end() == 0
    assert manager.heard()[0]["READY"] == "1"
    manager.socket.close()

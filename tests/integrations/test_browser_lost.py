"""A game that crashes or hangs is ended with all that it started, and another one begins.

The games are real processes: the stub game in Node, and the host itself with a Playwright
whose browser is a program that sleeps.
"""

import gc
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evertrain.core import proc
from evertrain.integrations.browser import BrowserGame, GameLostError, process
from evertrain.integrations.browser.scratch import make_scratch
from integrations.games import HERE, node, node_game, settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(node() is None, reason="no Node: install evertrain[game]"),
]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let hosts have their directories in one of this test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def below(game: BrowserGame) -> list[proc.Proc]:
    """Return the processes of a game: its host, and all below that."""
    assert game._host is not None
    host = game._host.process
    return [host, *proc.descendants(host.pid)]


def kill_host(game: BrowserGame) -> None:
    """Kill the host from outside, and ask it something."""
    proc.send(below(game)[0], signal.SIGKILL)
    game.act("")


FAULTS: dict[str, tuple[Callable[[BrowserGame], Any], str]] = {
    "ends": (lambda game: game.act("exit"), "the process of its browser is gone"),
    "is killed": (kill_host, "is gone|is cut"),
    "is stopped": (lambda game: game.act("stop"), r"no answer for 3\.0 s"),
    "loops": (lambda game: game.act("hang"), r"no answer for 3\.0 s"),
    "tells nonsense": (lambda game: game.act("garbage"), "its answer makes no sense"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_lost_game_leaves_nothing_and_begins_again(name: str, scratch: Path) -> None:
    """Whatever it does: it is told in time, its processes and its files are gone."""
    fault, reason = FAULTS[name]
    step_s = 3.0 if "no answer" in reason else 60.0  # the other actions need some, too
    game = node_game(settings(step_s=step_s, action_s=1.0))
    first = game.begin(5)
    game.act("leave")
    game.begin(5)  # now it is known what runs below
    processes = below(game)
    assert len(processes) == 2

    with pytest.raises(GameLostError, match=reason):
        fault(game)

    assert proc.wait_gone(processes, 10.0)
    assert list(scratch.iterdir()) == []
    with pytest.raises(GameLostError, match="lost already"):
        game.act("")
    assert game.begin(5) == first
    game.close()


BABBLE = """
import socket, sys
line = socket.socket(fileno=int(sys.argv[2]))
line.recv(1)
line.sendall(sys.argv[1].encode() + b"\\n")
line.recv(1 << 20)
"""


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (("/nowhere/host",), "/nowhere/host cannot be started: No such file or directory"),
        (("true",), "is gone|is cut"),
        (("sh", "-c", "exec sleep 1000"), "no answer for"),
        ((sys.executable, "-c", "raise SystemExit('broken')"), "is gone|is cut"),
        ((sys.executable, "-c", BABBLE, "5"), "its answer makes no sense"),
        ((sys.executable, "-c", BABBLE, "[[["), "its answer makes no sense"),
        ((sys.executable, "-c", BABBLE, "x" * 2000), "its answer is longer than 1000 bytes"),
    ],
    ids=["absent", "ends at once", "never answers", "broken", "number", "no JSON", "endless"],
)
def test_a_host_that_does_not_serve(
    program: tuple[str, ...], reason: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as a loss, and leaves nothing either."""
    monkeypatch.setattr(process, "CARD_BYTES", 1000)
    start_s = 1.0 if program[0] == "sh" else 60.0
    game = BrowserGame(settings(start_s=start_s), program=program)

    with pytest.raises(GameLostError, match=reason):
        game.begin(1)

    assert list(scratch.iterdir()) == []


def test_a_game_that_nobody_holds_is_ended(scratch: Path) -> None:
    """An environment that is dropped without `close` leaves no browser."""
    game = node_game()
    game.begin(1)
    processes = below(game)

    pid = proc.fork()  # a data worker of the trainer: what it drops is not its own
    if pid == 0:
        del game
        gc.collect()
        os._exit(0)
    os.waitpid(pid, 0)
    assert processes[0].is_alive
    assert game.act("").aircraft
    del game
    gc.collect()

    assert proc.wait_gone(processes, 10.0)
    assert list(scratch.iterdir()) == []


def test_a_forked_copy_has_a_game_of_its_own(scratch: Path) -> None:
    """Whoever tries an environment out in a copy of its process does not play in the original."""
    game, undisturbed = node_game(), node_game()
    for each in (game, undisturbed):
        each.begin(5)
    expected = undisturbed.act("")

    pid = proc.fork()
    if pid == 0:
        code = 1
        with pytest.raises(GameLostError, match="lost already"):
            game.act("")
        if game.begin(5).digest and game.act("") == expected:
            game.close()
            code = 0
        os._exit(code)
    _, status = os.waitpid(pid, 0)

    assert proc.exit_of(status) == 0
    assert game.act("") == expected
    for each in (game, undisturbed):
        each.close()
    assert list(scratch.iterdir()) == []


def test_what_a_dead_trainer_left_is_removed(scratch: Path) -> None:
    """Where host and trainer were killed at once, the next one removes the directory."""
    dead = proc.Proc(2**22 + 1, 1)  # a pid above the largest that Linux gives
    mine = make_scratch()
    space, pid, start, token = mine.name.removeprefix("evertrain-game-").split("-")
    abandoned = scratch / f"evertrain-game-{space}-{dead.pid}-{dead.start_time}-{token}"
    reused = scratch / f"evertrain-game-{space}-{pid}-{int(start) + 1}-{token}"
    elsewhere = scratch / f"evertrain-game-{space}1-{dead.pid}-{dead.start_time}-{token}"
    foreign = scratch / "evertrain-game-notes"
    for each in (abandoned, reused, elsewhere, foreign):
        (each / "profile").mkdir(parents=True)

    another = make_scratch()

    assert set(scratch.iterdir()) == {mine, another, elsewhere, foreign}
    assert mine.stat().st_mode & 0o077 == 0


FAKE = str(HERE / "fake_playwright")
TRAINER = """
import os, signal, sys, tempfile
tempfile.tempdir = sys.argv[1]
from evertrain.integrations.browser import BrowserGame
from evertrain.integrations.browser.scratch import make_scratch
from integrations.games import settings
game = BrowserGame(settings(), environ={})
look = game.begin(1)
host = game._host
print(host.process.pid, host.process.start_time, look.version, flush=True)
if sys.argv[2] != "nothing":
    host._socket.sendall(b'{"do": "act", "command": "%s"}\\n' % sys.argv[2].encode())
if sys.argv[2] == "go on":
    host._line.poll()  # an answer that nobody reads resets the line
os.kill(os.getpid(), signal.SIGKILL)
"""


def with_fake_playwright(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes that are started from now on find it in place of the real one."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([FAKE, *sys.path]))


@pytest.mark.parametrize("command", ["nothing", "go on", "outlive", "hang"])
def test_nothing_outlives_a_trainer_that_was_killed(
    command: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two calls, behind one, and in one that ends too late or never; without a word."""
    with_fake_playwright(monkeypatch)

    done = subprocess.run(
        [sys.executable, "-c", TRAINER, str(scratch), command],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,  # what outlives it holds its stderr open
    )

    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    host, started, browser = (int(each) for each in done.stdout.split())
    processes = [proc.Proc(host, started), proc.Proc(browser, proc.start_time(browser) or 0)]
    assert proc.wait_gone(processes, 10.0)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "reason"),
    [("crash", "Page.evaluate: Target crashed"), ("hang", r"no answer for 1\.0 s")],
)
def test_the_host_tells_and_ends(
    command: str, reason: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real host: an error of the browser is told, a hang is cut off; the browser ends."""
    with_fake_playwright(monkeypatch)
    game = BrowserGame(settings(step_s=1.0), environ={})
    browser = int(game.begin(1).version)
    assert game.begin(2).version == str(browser)  # another page of the same browser
    processes = [*below(game), proc.Proc(browser, proc.start_time(browser) or 0)]

    with pytest.raises(GameLostError, match=reason):
        game.act(command)

    assert proc.wait_gone(processes, 10.0)
    assert list(scratch.iterdir()) == []


def test_closing_leaves_nothing(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a browser that Playwright leaves behind; a closed game may be begun again."""
    with_fake_playwright(monkeypatch)
    game = BrowserGame(settings(), environ={})
    first = game.begin(1).version
    processes = below(game)

    game.close()

    assert proc.wait_gone(processes, 10.0)
    assert list(scratch.iterdir()) == []
    assert game.begin(1).version != first
    game.close()

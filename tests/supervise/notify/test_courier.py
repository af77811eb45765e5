"""`evertrain.supervise.notify`: news of a real journal, to a real HTTP server."""

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evertrain.core.clock import SYSTEM_CLOCK
from evertrain.core.journal import Journal, append_lines
from evertrain.core.rundir import RunDir
from evertrain.supervise.notify.courier import Courier, Subscription, notifying
from evertrain.supervise.notify.event import DEFAULT, EVENTS, Note
from evertrain.supervise.notify.news import News
from evertrain.supervise.notify.post import Answer, post
from evertrain.supervise.notify.target import Message, Target, parse_target
from evertrain.supervise.screen import Screen
from evertrain.testing.clock import FakeClock
from supervise.play import Stage

MESSAGE = Message("r", "h", [Note("crash", "it crashed")])


class Hook:
    """A webhook on this machine, which answers as it is told."""

    def __init__(self) -> None:
        """Listen."""
        self.got: list[Any] = []
        self.status, self.headers = 200, {}  # type: ignore[var-annotated]
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append(json.loads(body))
                self.send_response(hook.status)
                for each in hook.headers.items():
                    self.send_header(*each)
                self.end_headers()

            def do_GET(self) -> None:
                hook.got.append("GET")
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/s3cret"

    def close(self) -> None:
        """Go away."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    """Return a webhook."""
    found = Hook()
    yield found
    found.close()


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the URL of a place that takes the call and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/s3cret"
    listener.close()


class Shown:
    """What was said on the screen."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self._read, self._write = os.pipe()
        self.screen = Screen(self._write)

    def text(self) -> str:
        """Return it, and close."""
        self.screen.flush()
        os.close(self._write)
        with os.fdopen(self._read, errors="replace") as file:
            return file.read()


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """Return a run with a past."""
    found = RunDir(tmp_path / "trading")
    found.path.mkdir()
    Journal(found.journal).record("crashed", attempt=1, cause="long ago")
    return found


def test_posting(hook: Hook) -> None:
    """The message arrives, and the answer says so."""
    assert post(parse_target(hook.url), MESSAGE, 5.0) == Answer()
    assert hook.got[0]["text"] == "it crashed"


@pytest.mark.parametrize(
    ("status", "headers", "answer"),
    [
        (204, {}, Answer()),
        (404, {}, Answer("HTTP 404", is_final=True)),
        (429, {"Retry-After": "7"}, Answer("HTTP 429", after_s=7.0)),
        (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, Answer("HTTP 503")),
    ],
)
def test_what_a_place_answers(
    hook: Hook, status: int, headers: dict[str, str], answer: Answer
) -> None:
    """Some answers are worth another try, some are not."""
    hook.status, hook.headers = status, headers
    assert post(parse_target(hook.url), MESSAGE, 5.0) == answer


def test_a_redirect_is_not_followed(hook: Hook) -> None:
    """The secret goes where it was meant to go."""
    hook.status, hook.headers = 302, {"Location": hook.url}
    assert post(parse_target(hook.url), MESSAGE, 5.0) == Answer("HTTP 302", is_final=True)
    assert "GET" not in hook.got


def test_no_answer_names_no_secret(silent: str) -> None:
    """Neither one that never comes, nor a refused call, nor garbage."""
    assert post(parse_target(silent), MESSAGE, 0.05).problem == "TimeoutError"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    refused = post(parse_target(f"http://127.0.0.1:{port}/s3cret"), MESSAGE, 5.0)
    assert refused == Answer("Connection refused")


def test_apprise_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With title and body; what its plugins raise is no more than a failure."""
    told: list[Any] = []

    def notify(**words: str) -> bool:
        told.append(words)
        if len(told) == 3:
            raise RuntimeError("s3cret")
        return len(told) == 1

    place = SimpleNamespace(add=lambda _: True, notify=notify)
    monkeypatch.setitem(sys.modules, "apprise", SimpleNamespace(Apprise=lambda: place))
    target = parse_target("mailto://s3cret@example.org")
    assert post(target, MESSAGE, 5.0) == Answer()
    assert told == [{"body": "it crashed", "title": "r: crash (h)"}]
    assert post(target, MESSAGE, 5.0).problem == "apprise could not deliver it"
    assert post(target, MESSAGE, 5.0).problem == "RuntimeError"


def test_news_begin_now(run_dir: RunDir) -> None:
    """What was before is no news; a torn line is one when it is whole; twice is once."""
    news = News(run_dir, DEFAULT)
    journal = Journal(run_dir.journal, clock=FakeClock())
    assert news.read() == []
    journal.record("crashed", attempt=2, cause="SIGSEGV")
    journal.record("crashed", attempt=2, cause="SIGSEGV")
    journal.record("saved", attempt=2, step=1, is_best=True)
    with run_dir.journal.open("ab") as file:
        file.write(b'{"event":"gave_')
    assert [note.text for note in news.read()] == ["attempt 2 crashed: SIGSEGV"]
    with run_dir.journal.open("ab") as file:
        file.write(b'up","why":"10 crashes"}\n')
    assert [note.event for note in news.read()] == ["gave-up"]
    run_dir.journal.write_bytes(b"")
    assert news.read() == []
    journal.record("finished", step=3)
    assert [note.event for note in news.read()] == ["finished"]


def test_a_new_best_says_its_value(run_dir: RunDir) -> None:
    """It stands in the checkpoint; where that is gone already, the step must do."""
    news = News(run_dir, EVENTS)
    about = run_dir.checkpoints / "000000010" / "metadata.json"
    about.parent.mkdir(parents=True)
    about.write_text('{"metric_name": "reward", "metric_value": 12.5}')
    for step in (10, 20):
        Journal(run_dir.journal).record("saved", attempt=1, step=step, is_best=True)
    assert [note.text for note in news.read()] == [
        "new best checkpoint at step 10, reward: 12.5",
        "new best checkpoint at step 20",
    ]


def test_what_the_disk_refuses_is_told_all_the_same(run_dir: RunDir, hook: Hook) -> None:
    """A row that the journal could not take goes the short way."""
    shown = Shown()
    told = notifying(
        Subscription([parse_target(hook.url)]),
        run_dir,
        "r",
        screen=shown.screen,
        clock=SYSTEM_CLOCK,
    )
    with told as tell:
        tell({"event": "gave_up", "why": "no space left", "sync": False})
        tell({"event": "backoff"})
    assert [note["text"] for note in hook.got[0]["events"]] == ["gave up: no space left"]
    shown.text()


def test_a_metric_that_turns(run_dir: RunDir) -> None:
    """Told once an attempt, of what was a number before; what never was one is left alone."""
    news = News(run_dir, DEFAULT)

    def log(attempt: int, step: int, **values: object) -> None:
        append_lines(run_dir.metrics, [{"step": step, "attempt": attempt, **values}], sync=False)

    log(1, 1, loss=0.5, reward="NaN")
    log(1, 2, loss=0.4, reward="NaN")
    assert news.read() == []
    log(1, 3, loss=["NaN"], reward={"mean": 1})  # by another hand than `Run`'s
    log(1, 3, loss="NaN", reward="NaN")
    log(1, 4, loss="Infinity", reward=1.0)
    assert [note.text for note in news.read()] == ["loss is NaN at step 3"]
    log(2, 3, loss="-Infinity")
    assert [note.text for note in news.read()] == ["loss is -Infinity at step 3"]
    assert News(run_dir, {"crash"})._metrics is None


@pytest.mark.parametrize(
    ("events", "told"),
    [({"crash"}, ["crash"]), ({"nan"}, ["nan"]), ({"crash", "nan"}, ["nan"]), ({"hang"}, [])],
)
def test_a_crash_of_nan_is_told_to_whoever_asked_for_either(
    run_dir: RunDir, events: set[str], told: list[str]
) -> None:
    """Once, and by the name that says more."""
    news = News(run_dir, events)
    Journal(run_dir.journal).record("crashed", attempt=2, kind="NaN", summary="loss is NaN")

    assert [note.event for note in news.read()] == told


class Place:
    """A place that answers as it is told, without a network."""

    def __init__(self, *answers: Answer) -> None:
        """Take the answers; then all is well."""
        self.answers = list(answers)
        self.got: list[list[str]] = []

    def __call__(self, target: Target, message: Message, timeout_s: float) -> Answer:
        """Take a message."""
        del target, timeout_s
        self.got.append([note.text for note in message.notes])
        return self.answers.pop(0) if self.answers else Answer()


def courier(run_dir: RunDir, place: Place, clock: FakeClock, screen: Screen) -> Courier:
    """Return a courier that a test drives by hand."""
    target = parse_target("https://hooks.slack.com/s3cret")
    return Courier(
        News(run_dir, DEFAULT), target, "trading", screen=screen, clock=clock, send=place
    )


def test_a_refusal_for_good_is_said_once(run_dir: RunDir) -> None:
    """And nothing more is sent there."""
    shown, clock, place = Shown(), FakeClock(), Place(Answer("HTTP 404", is_final=True))
    found = courier(run_dir, place, clock, shown.screen)
    for number in range(3):
        Journal(run_dir.journal, clock=clock).record("crashed", attempt=number, cause="x")
        found.look()
        clock.advance(100)
        found.deliver()
    assert len(place.got) == 1
    text = shown.text()
    assert text == ("Notifications to slack (hooks.slack.com): HTTP 404; no more are sent there.\n")


def test_failures_are_tried_again_and_then_given_up(run_dir: RunDir) -> None:
    """Six tries, then one line on the screen; the next news are tried anew."""
    shown, clock, place = Shown(), FakeClock(), Place(*[Answer("HTTP 503")] * 6)
    found = courier(run_dir, place, clock, shown.screen)
    Journal(run_dir.journal, clock=clock).record("crashed", attempt=1, cause="x")
    found.look()
    for _ in range(1000):
        clock.advance(1)
        found.deliver()
    Journal(run_dir.journal, clock=clock).record("crashed", attempt=2, cause="y")
    found.look()
    clock.advance(100)
    found.deliver()
    assert [len(each) for each in place.got] == [1] * 7
    assert place.got[-1] == ["attempt 2 crashed: y"]
    assert shown.text().count("could not be delivered") == 1


def test_the_last_message_does_not_wait(run_dir: RunDir) -> None:
    """Neither for more to come, nor for the gap, nor for patience with a failure."""
    shown, clock, place = Shown(), FakeClock(), Place(Answer("HTTP 503"))
    found = courier(run_dir, place, clock, shown.screen)
    journal = Journal(run_dir.journal, clock=clock)
    journal.record("crashed", attempt=1, cause="x")
    found.look()
    clock.advance(2)
    found.deliver()
    journal.record("gave_up", why="enough")
    found.finish()
    found.work()
    assert place.got == [["attempt 1 crashed: x"], ["attempt 1 crashed: x", "gave up: enough"]]
    assert found.has_ended(0.0)
    shown.text()


def test_told_while_it_happens(run_dir: RunDir, hook: Hook) -> None:
    """Threads of their own read the journal; leaving sends what is left, to each place."""
    shown = Shown()
    places = [parse_target(hook.url), parse_target(f"ntfy+{hook.url}")]
    told = notifying(
        Subscription(places, frozenset(EVENTS)),
        run_dir,
        "trading",
        screen=shown.screen,
        clock=SYSTEM_CLOCK,
    )
    with told:
        Journal(run_dir.journal).record("crashed", attempt=1, cause="SIGSEGV")
        Journal(run_dir.journal).record("finished", attempt=2, step=10)
    assert len(hook.got) == 2
    assert any(each.get("topic") == "s3cret" for each in hook.got)
    assert all("training finished at step 10" in str(each) for each in hook.got)
    assert shown.text() == ""


def test_a_place_that_never_answers_holds_nobody(
    run_dir: RunDir, silent: str, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end comes while it still waits for its answer; the other place was told."""
    monkeypatch.setattr("evertrain.supervise.notify.courier.LAST_S", 1.0)
    shown = Shown()
    places = [parse_target(silent), parse_target(hook.url)]
    answered = threading.Event()

    def send(target: Target, message: Message, timeout_s: float) -> Answer:
        if target.url == silent:
            answered.wait(20)
        return post(target, message, timeout_s)

    monkeypatch.setitem(Courier.__init__.__kwdefaults__ or {}, "send", send)
    with notifying(Subscription(places), run_dir, "r", screen=shown.screen, clock=SYSTEM_CLOCK):
        Journal(run_dir.journal).record("gave_up", why="enough")
    assert not answered.is_set(), "nobody waited for the silent one"
    assert len(hook.got) == 1
    answered.set()
    text = shown.text()
    assert "was not taken within 1 s" in text
    assert "s3cret" not in text


@pytest.mark.slow
def test_a_supervision_tells_its_end(stage: Stage, hook: Hook) -> None:
    """Crashes and the end arrive; the URL is in no file, no process and on no screen."""
    stage.script(
        """
        import os, sys
        print("ENVIRONMENT", os.environ.get("EVERTRAIN_NOTIFY"))
        sys.exit(3)
        """
    )
    words = ("--max-crashes", "2", "--delay", "0", "--", sys.executable, "train.py")
    play = stage.run(*words, env={"EVERTRAIN_NOTIFY": hook.url})
    assert play.end() == 20
    events = [note["event"] for each in hook.got for note in each["events"]]
    assert events == ["crash", "crash", "gave-up"]
    assert hook.got[-1]["run"] == "train"
    assert "ENVIRONMENT None" in play.text
    assert "s3cret" not in play.text
    for path in play.run_dir.path.rglob("*"):
        if path.is_file():
            assert b"s3cret" not in path.read_bytes(), path

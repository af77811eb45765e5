"""`evertrain.supervise.notify.target`, `.event`: whom a URL means, and what they are told."""

import base64
import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from evertrain.core.errors import ConfigError, MissingExtraError
from evertrain.supervise.notify.event import DEFAULT, EVENTS, Note, note_of
from evertrain.supervise.notify.target import Message, parse_target, request_for

NOTES = [Note("crash", "attempt 1 crashed: <&> @everyone", 1, 10, "2026-01-01T00:00:00.000Z")]
MESSAGE = Message("trading", "box", NOTES)


@pytest.mark.parametrize(
    ("url", "kind", "host"),
    [
        ("https://hooks.slack.com/services/T0/B0/s3cret", "slack", "hooks.slack.com"),
        ("https://discord.com/api/webhooks/1/s3cret", "discord", "discord.com"),
        ("https://ptb.discord.com/api/webhooks/1/s3cret", "discord", "ptb.discord.com"),
        ("https://ntfy.sh/s3cret", "ntfy", "ntfy.sh"),
        ("https://ntfy.example.org/s3cret", "ntfy", "ntfy.example.org"),
        ("http://127.0.0.1:8000/hook?key=s3cret", "json", "127.0.0.1"),
        ("https://discord.com/s3cret", "json", "discord.com"),
        ("slack+https://mattermost.example/hooks/s3cret", "slack", "mattermost.example"),
        ("ntfy+http://10.0.0.1/s3cret", "ntfy", "10.0.0.1"),
        ("json+https://hooks.slack.com/s3cret", "json", "hooks.slack.com"),
    ],
)
def test_kinds_of_places(url: str, kind: str, host: str) -> None:
    """Told apart by host or by what stands before; shown without what is secret."""
    target = parse_target(f" {url} ")
    assert (target.kind, target.host) == (kind, host)
    assert "s3cret" not in f"{target} {target!r} {request_for(target, MESSAGE).headers}"


@pytest.mark.parametrize(
    "url",
    ["", "s3cret", "https://", "https:///s3cret", "https://ntfy.sh/", "teams+https://x/s3cret",
     "http://x:99999/s3cret", "https://a b/s3cret", "https://x/\u00e9s3cret", "https://[::1/s3cret"],
)  # fmt: skip
def test_what_is_no_url_is_refused_without_being_shown(url: str) -> None:
    """The message says what is wrong with it, and not what it is."""
    with pytest.raises(ConfigError) as caught:
        parse_target(url)
    assert "s3cret" not in str(caught.value)
    assert type(caught.value) is ConfigError


def body_for(url: str, message: Message = MESSAGE) -> Any:
    """Return what is posted there."""
    return json.loads(request_for(parse_target(url), message).body)


def test_what_each_place_is_told() -> None:
    """In its own form; nobody is mentioned, no markup comes out of a crash."""
    slack = body_for("https://hooks.slack.com/x")
    assert slack == {"text": "*trading: crash (box)*\nattempt 1 crashed: &lt;&amp;&gt; @everyone"}

    discord = body_for("https://discord.com/api/webhooks/1/x")
    assert discord["content"].startswith("**trading: crash (box)**\n")
    assert discord["allowed_mentions"] == {"parse": []}

    ntfy = body_for("https://ntfy.sh/my%20topic")
    assert ntfy["topic"] == "my topic"
    assert ntfy["message"] == NOTES[0].text
    assert request_for(parse_target("https://ntfy.sh/my%20topic?a=b"), MESSAGE).url == (
        "https://ntfy.sh/?a=b"
    )
    assert body_for("https://ntfy.sh/x", Message("r", "h", [Note("gave-up", "x")]))["priority"] == 4

    plain = body_for("https://example.org/x")
    assert plain["run"] == "trading"
    assert plain["events"] == [
        {
            "event": "crash",
            "text": "attempt 1 crashed: <&> @everyone",
            "attempt": 1,
            "step": 10,
            "time": "2026-01-01T00:00:00.000Z",
        }
    ]


def test_a_login_becomes_a_header() -> None:
    """It does not stay in the URL."""
    request = request_for(parse_target("https://ada:p%40ss@example.org:8443/x"), MESSAGE)
    assert request.url == "https://example.org:8443/x"
    sent = request.headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent) == b"ada:p@ss"


def test_many_notes_are_one_short_message() -> None:
    """The first two and the last ones, and how many more there were."""
    notes = [Note("crash", f"crash {number} " + "x" * 80) for number in range(50)]
    text = Message("r", "h", notes, omitted=7).text
    lines = text.splitlines()
    assert lines[0].startswith("crash 0 ")
    assert lines[2] == "... and 47 more ..."
    assert lines[-1].startswith("crash 49 ")
    assert len(text) <= 1800
    longest = Message("r" * 300, "h", notes * 9)
    assert len(body_for("https://discord.com/api/webhooks/1/x", longest)["content"]) <= 2000


def test_other_places_need_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where it is missing, the error says what to install, and no more of the URL."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(MissingExtraError, match=r"evertrain\[notify\]") as caught:
        parse_target("tgram://s3cret/chat")
    assert "s3cret" not in str(caught.value)


def test_apprise_judges_its_own_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not know is refused before anything is started."""
    places = SimpleNamespace(add=lambda url: url.startswith("tgram"))
    monkeypatch.setitem(sys.modules, "apprise", SimpleNamespace(Apprise=lambda: places))
    assert str(parse_target("tgram://s3cret/chat")) == "apprise (tgram://)"
    with pytest.raises(ConfigError, match="apprise does not know"):
        parse_target("nothing://s3cret")


@pytest.mark.parametrize(
    ("row", "event", "text"),
    [
        (
            {"event": "crashed", "attempt": 3, "cause": "exit code 1", "message": "ValueError: no",
             "count": 3, "limit": 10},
            "crash", "attempt 3 crashed: exit code 1: ValueError: no (crash 3 of 10)",
        ),
        ({"event": "crashed", "attempt": 3, "cause": "SIGKILL", "count": 1, "limit": 0},
         "crash", "attempt 3 crashed: SIGKILL (crash 1 of any number)"),
        ({"event": "crashed", "attempt": 1, "summary": "loss is NaN", "kind": "NaN",
          "advice": ["lower the learning rate", "look"]},
         "nan", "attempt 1 crashed: loss is NaN - lower the learning rate"),
        ({"event": "gave_up", "why": "10 crashes", "cause": "SIGSEGV"},
         "gave-up", "gave up: 10 crashes: SIGSEGV"),
        ({"event": "hang", "attempt": 2, "phase": "eval", "step": 1200, "silent_s": 61.2},
         "hang", "attempt 2 hangs in eval at step 1,200, silent for 61 s"),
        ({"event": "hang_observed", "attempt": 2}, "hang", "attempt 2 hangs"),
        ({"event": "saved", "step": 1000, "is_best": True},
         "best", "new best checkpoint at step 1,000"),
        ({"event": "finished", "step": 50, "why": "all steps"},
         "finished", "training finished at step 50: all steps"),
        ({"event": "supervisor_stopped", "why": "on request"}, "stopped", "stopped: on request"),
        ({"event": "disk_low", "state": "low", "free": 2_000_000, "needed": 3_000_000},
         "disk", "disk low (low), 2.0 MB free, a save takes 3.0 MB"),
        ({"event": "save_failed", "step": 5, "error": "No space"},
         "disk", "the save of step 5 failed: No space"),
    ],
)  # fmt: skip
def test_what_a_row_is_worth(row: dict[str, Any], event: str, text: str) -> None:
    """One line, of the fields that are there."""
    note = note_of(row)
    assert note is not None
    assert (note.event, note.text) == (event, text)
    assert event in EVENTS


@pytest.mark.parametrize(
    "row",
    [{}, {"event": 3}, {"event": "saved", "step": 1}, {"event": "saved", "is_best": "yes"},
     {"event": "backoff", "seconds": 1}],
)  # fmt: skip
def test_what_is_worth_nothing(row: dict[str, Any]) -> None:
    """Nobody is told of each checkpoint."""
    assert note_of(row) is None


def test_a_row_may_hold_anything() -> None:
    """Long, in many lines, with control characters, of odd types: it is one short line."""
    row = {"event": "crashed", "attempt": True, "cause": "a\n\x1b[31mb" + "x" * 9000, "count": "?"}
    note = note_of(row)
    assert note is not None
    assert note.text.startswith("attempt None crashed: a ?[31mb")
    assert len(note.text) == 400
    assert note.text.isprintable()


def test_the_default_is_what_one_wants_to_be_woken_for() -> None:
    """Not each new best, and not what one has done oneself."""
    assert EVENTS.keys() - DEFAULT == {"best", "stopped"}

"""Where messages go: what kind of place a URL is, and how it wants to be told. Pure.

A URL is a secret: whoever knows it may write there. It stays in here and in the request;
messages of ours name the kind of place and its host.

Layer: supervise. Imports core only.
"""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from evertrain.core.errors import ConfigError, MissingExtraError
from evertrain.supervise.notify.event import Note

Kind = Literal["slack", "discord", "ntfy", "json", "apprise"]

_HTTP: Final = re.compile(r"(?:(\w+)\+)?(https?://.+)", re.IGNORECASE)
_KINDS: Final[dict[str, Kind]] = {
    "slack": "slack",
    "discord": "discord",
    "ntfy": "ntfy",
    "json": "json",
}
_OTHER: Final = re.compile(r"([A-Za-z][A-Za-z0-9]*)s?://.+")
_MAX_LINES: Final = 10
_MAX_TEXT: Final = 1800  # Discord takes 2000, ntfy 4096 bytes
_URGENT: Final = frozenset({"gave-up", "hang"})


@dataclass(frozen=True, slots=True)
class Target:
    """One place to tell.

    Attributes:
        kind: How it wants to be told.
        url: Where it is. A secret.
        host: What may be shown of that.
    """

    kind: Kind
    url: str = field(repr=False)
    host: str

    def __str__(self) -> str:
        """Return e.g. "slack (hooks.slack.com)"."""
        return f"{self.kind} ({self.host})"


@dataclass(frozen=True, slots=True)
class Message:
    """What a place is told at once.

    Attributes:
        run: Name of the run.
        host: Name of the machine.
        notes: What happened, oldest first; at least one.
        omitted: How many more did.
    """

    run: str
    host: str
    notes: Sequence[Note]
    omitted: int = 0

    @property
    def title(self) -> str:
        """Which run, and the last thing that happened."""
        return f"{self.run}: {self.notes[-1].event.replace('-', ' ')} ({self.host})"

    @property
    def text(self) -> str:
        """What happened, a line each; the first and the last ones if they are many."""
        lines = [note.text for note in self.notes]
        omitted = self.omitted
        if len(lines) > _MAX_LINES:
            omitted += len(lines) - _MAX_LINES
            lines = [*lines[:2], *lines[2 - _MAX_LINES :]]
        if omitted:
            lines[2:2] = [f"... and {omitted} more ..."]
        return "\n".join(lines)[:_MAX_TEXT]


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP POST.

    Attributes:
        url: Where to, without user and password.
        body: What.
        headers: As whom.
    """

    url: str = field(repr=False)
    body: bytes
    headers: dict[str, str] = field(repr=False)


def parse_target(text: str) -> Target:
    """Return the place that a URL means.

    `slack+https://...`, `discord+`, `ntfy+` and `json+` say what cannot be told from the host;
    any other kind of URL is one of apprise's.

    Raises:
        ConfigError: It is none. The message does not repeat it.
        MissingExtraError: It needs apprise, which is not installed.
    """
    match = _HTTP.fullmatch(text.strip())
    if match is None:
        return _of_apprise(text.strip())
    try:
        parts = urlsplit(match[2])
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or not text.strip().isascii() or " " in text.strip():
        raise _no_url("it names no host, or has characters that no URL has")
    said = (match[1] or "").lower()
    if said and said not in _KINDS:
        raise _no_url(f"there is no kind {said!r} of places, but {', '.join(_KINDS)}")
    kind = _KINDS[said] if said else _kind_of(host, parts.path)
    if kind == "ntfy" and not parts.path.strip("/"):
        raise _no_url("its last part would be the topic")
    return Target(kind, match[2], host)


def request_for(target: Target, message: Message) -> Request:
    """Return what to post to a place that takes HTTP."""
    parts = urlsplit(target.url)
    headers = {"Content-Type": "application/json", "User-Agent": "evertrain"}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
    path, body = parts.path, _BODIES[target.kind](message)
    if target.kind == "ntfy":  # as JSON, which takes any character: posted to the root
        path, _, topic = path.rstrip("/").rpartition("/")
        body["topic"] = unquote(topic)
    netloc = parts.netloc.rpartition("@")[2]
    url = urlunsplit((parts.scheme, netloc, path or "/", parts.query, ""))
    return Request(url, json.dumps(body).encode(), headers)


def _kind_of(host: str, path: str) -> Kind:
    if host == "hooks.slack.com" or host.endswith(".slack.com"):
        return "slack"
    if host.endswith(("discord.com", "discordapp.com")) and path.startswith("/api/webhooks/"):
        return "discord"
    if host == "ntfy.sh" or host.startswith("ntfy."):
        return "ntfy"
    return "json"


def _of_apprise(text: str) -> Target:
    match = _OTHER.fullmatch(text)
    if match is None:
        raise _no_url("it has no scheme such as https://")
    try:
        apprise = import_module("apprise")
    except ImportError as error:
        raise MissingExtraError(
            f"--notify has a URL that begins with {match[1]}://.",
            "places that are not told by a webhook (http, https) are told through apprise.",
            "pip install 'evertrain[notify]'",
        ) from error
    if not apprise.Apprise().add(text):
        raise _no_url("apprise does not know such a place")
    return Target("apprise", text, f"{match[1]}://")


def _no_url(why: str) -> ConfigError:
    return ConfigError(
        "--notify has a URL that cannot be used (it is a secret, and not shown).",
        f"{why}.",
        "Give a webhook of Slack or Discord, https://ntfy.sh/TOPIC, or any URL that takes JSON.",
    )


def _slack(message: Message) -> dict[str, Any]:
    text = f"*{message.title}*\n{message.text}"
    for character, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, name)
    return {"text": text}


def _discord(message: Message) -> dict[str, Any]:
    text = f"**{message.title}**\n{message.text}"
    return {"content": text[:2000], "allowed_mentions": {"parse": []}}


def _ntfy(message: Message) -> dict[str, Any]:
    is_urgent = any(note.event in _URGENT for note in message.notes)
    tags = sorted({note.event for note in message.notes})
    more = {"priority": 4} if is_urgent else {}
    return {"title": message.title, "message": message.text, "tags": tags, **more}


def _json(message: Message) -> dict[str, Any]:
    events = [
        {
            "event": note.event,
            "text": note.text,
            "attempt": note.attempt,
            "step": note.step,
            "time": note.time,
        }
        for note in message.notes
    ]
    return {
        "run": message.run,
        "host": message.host,
        "title": message.title,
        "text": message.text,
        "events": events,
        "omitted": message.omitted,
    }


_BODIES: Final = {"slack": _slack, "discord": _discord, "ntfy": _ntfy, "json": _json}

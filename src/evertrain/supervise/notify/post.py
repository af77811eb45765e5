"""Handing one message to one place.

Layer: supervise. Imports core only.
"""

import logging
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from evertrain.supervise.notify.target import Message, Request, Target, request_for

_TOO_MANY: Final = 429
_TIMEOUT: Final = 408
_SERVER: Final = 500
_FAILURE: Final = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a message.

    Attributes:
        problem: What went wrong, without any secret; "" if it arrived.
        is_final: Whether another try would fail as well.
        after_s: How long the place wants to be left alone, seconds, or None.
    """

    problem: str = ""
    is_final: bool = False
    after_s: float | None = None


def post(target: Target, message: Message, timeout_s: float) -> Answer:
    """Tell `target`, waiting about `timeout_s` seconds for each of its steps.

    Raises:
        Nothing that a place or a network does.
    """
    if target.kind == "apprise":
        return _through_apprise(target, message)
    return _over_http(request_for(target, message), timeout_s)


def _over_http(request: Request, timeout_s: float) -> Answer:
    from http.client import HTTPException
    from urllib import error
    from urllib import request as http

    class _Stays(http.HTTPRedirectHandler):
        """Goes nowhere else: a redirect would carry the secret there."""

        def redirect_request(self, *_: object, **__: object) -> None:
            """Refuse."""

    asked = http.Request(request.url, request.body, request.headers, method="POST")  # noqa: S310
    try:
        with http.build_opener(_Stays).open(asked, timeout=timeout_s) as found:
            return Answer() if found.status < _FAILURE else _refused(found.status, None)
    except error.HTTPError as refusal:
        with refusal:
            return _refused(refusal.code, refusal.headers.get("Retry-After"))
    except error.URLError as failure:  # its reason's text may hold what was asked for
        return Answer(_name(failure.reason))
    except (OSError, HTTPException, ValueError) as failure:
        return Answer(_name(failure))


def _refused(code: int, retry_after: str | None) -> Answer:
    is_final = code < _SERVER and code not in {_TOO_MANY, _TIMEOUT}
    text = (retry_after or "").strip()
    is_number = text.isascii() and text.isdecimal() and len(text) < 10  # noqa: PLR2004
    return Answer(f"HTTP {code}", is_final, float(text) if is_number else None)


def _name(failure: object) -> str:
    if isinstance(failure, OSError) and failure.strerror:
        return failure.strerror
    return type(failure).__name__


def _through_apprise(target: Target, message: Message) -> Answer:
    apprise = import_module("apprise")
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would log the URL
    place = apprise.Apprise()
    try:
        is_told = place.add(target.url) and place.notify(body=message.text, title=message.title)
    except Exception as failure:  # noqa: BLE001  (a plugin of a stranger)
        return Answer(type(failure).__name__)
    return Answer() if is_told else Answer("apprise could not deliver it")

"""`--notify` and `--notify-on`: what cannot be meant is refused before anything starts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Invoke = Callable[..., Any]


@pytest.mark.parametrize("command", [("run",), ("train", "structure")])
def test_an_unknown_event(place: Path, invoke: Invoke, command: tuple[str, ...]) -> None:
    """The known ones are listed."""
    words = (
        *command,
        "--notify-on",
        "crash,lunch",
        *(("--", "true") if command == ("run",) else ()),
    )
    done = invoke(*words, code=2)
    assert "there is no event 'lunch'" in done.stderr
    assert "gave-up" in done.stderr
    assert not list(place.iterdir())


def test_a_url_that_is_none(place: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given or in the environment, it is not shown."""
    done = invoke("run", "--notify", "s3cret", "--", "true", code=78)
    assert "cannot be used" in done.stderr
    assert "s3cret" not in done.output
    monkeypatch.setenv("EVERTRAIN_NOTIFY", "https://ntfy.sh/ok s3cret")
    done = invoke("run", "--", "true", code=78)
    assert "s3cret" not in done.output
    assert not list(place.iterdir())

"""What listens to SIGTERM after Ray has taken the signal for itself: whoever did before."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from evertrain.integrations.rllib.cluster import keeping_sigterm


def _mine(*_: Any) -> None:
    """Listen."""


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("handler", [_mine, signal.SIG_IGN, signal.SIG_DFL])
def test_it_is_given_back(handler: Any) -> None:
    """A program that ignores it, or dies of it, goes on doing so."""
    signal.signal(signal.SIGTERM, handler)
    with keeping_sigterm():
        signal.signal(signal.SIGTERM, lambda *_: None)

    assert signal.getsignal(signal.SIGTERM) is handler

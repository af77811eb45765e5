"""Whatever stands in for the terminal, a training goes on."""

import io
import sys

import pytest

from evertrain.run.console import Console
from evertrain.testing.clock import FakeClock
from support import OpenRun, walk


class Tee:
    """A logger in the place of standard output, as programs write them: only `write`."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


class Closed(io.StringIO):
    """A stream that is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.close()


@pytest.mark.parametrize("out", [Tee(), Closed(), None])
def test_any_output_is_good_enough(out: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stand-in for standard output makes a line or the progress fail."""
    monkeypatch.setattr(sys, "stdout", out)
    clock = FakeClock()
    console = Console(clock=clock)

    console.start(0)
    clock.advance(100)
    console.progress(5, 10, "step")
    console.banner("done")
    console.finish()

    if isinstance(out, Tee):
        assert "step 5/10" in out.text
        assert "done" in out.text


@pytest.mark.parametrize("out", [Tee(), Closed()])
def test_a_training_outlives_its_output(
    open_run: OpenRun, out: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training whose output was replaced or closed reaches its end."""
    monkeypatch.setattr(sys, "stdout", out)

    assert walk(open_run())[-1] == 10

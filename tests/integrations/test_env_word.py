"""An environment's own word counts where a copy of it is cut off, and not where it is broken."""

import mmap
import os
import struct
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from evertrain.integrations.envs import forked, trial
from integrations import liars


class Typo(liars.Plain):
    """Its set_state cannot work."""

    def get_state(self) -> Any:
        return {"place": self.place.copy(), "length": self.length}

    def set_state(self, state: Any) -> None:
        self.place = state["plaec"]


class Unwritten(liars.Plain):
    """Its get_state is still to be written."""

    def get_state(self) -> Any:
        raise NotImplementedError

    def set_state(self, state: Any) -> None:
        """Begin there."""


class Remote(liars.Remote):
    """A simulator at the other end of a pipe keeps its state."""

    def get_state(self) -> Any:
        return self.hidden()

    def set_state(self, state: Any) -> None:
        """Begin there."""


class Shared(liars.Plain):
    """A simulator reads and writes memory that it shares with others."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = mmap.mmap(-1, 8)

    def hidden(self) -> float:
        (count,) = struct.unpack("q", self.memory[:8])
        self.memory[:8] = struct.pack("q", count + 1)
        return float(count)


@pytest.mark.parametrize(
    ("make", "reason"), [(Typo, "KeyError: 'plaec'"), (Unwritten, "NotImplementedError: ")]
)
def test_methods_that_are_broken_are_not_believed(make: Any, reason: str) -> None:
    """They would be as broken at the resume; what remains is tried."""
    choice = trial.choose(make(), "auto", is_alone=True)

    assert (choice.method, choice.doubt) == ("attributes", "")
    assert choice.reasons == (("state", reason),)


def test_methods_are_believed_where_the_copy_is_cut_off() -> None:
    """The other end does not answer a copy; nothing speaks against the environment."""
    to_simulator, at_simulator = os.pipe(), os.pipe()

    choice = trial.choose(Remote(to_simulator[1], at_simulator[0]), "auto", is_alone=True)

    assert (choice.method, choice.proof) == ("state", None)
    assert choice.doubt.startswith("OSError: ")


def hide(error: Exception) -> None:
    """Raise another error for it, as libraries do."""
    try:
        raise error
    except type(error):
        raise ValueError("no frame") from None


@pytest.mark.parametrize(
    ("error", "is_cut"),
    [
        (EOFError(), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (KeyError(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_one_of_the_copy_whatever_was_made_of_it(
    error: Exception, *, is_cut: bool
) -> None:
    """Its causes are looked at too."""
    with pytest.raises(forked.TrialError, match="ValueError: no frame") as raised:
        forked.try_out(lambda: hide(error))

    assert raised.value.is_cut is is_cut


@pytest.mark.parametrize("has_card", [True, False])
def test_a_copy_cannot_use_the_training_s_graphics_card(
    monkeypatch: pytest.MonkeyPatch, *, has_card: bool
) -> None:
    """CUDA refuses to work in a fork by an error like any other."""
    cuda = SimpleNamespace(is_initialized=lambda: has_card)
    torch = SimpleNamespace(cuda=cuda, set_num_threads=lambda _: None)
    monkeypatch.setitem(sys.modules, "torch", torch)

    with pytest.raises(forked.TrialError) as raised:
        forked.try_out(lambda: hide(RuntimeError("in forked subprocess")))

    assert raised.value.is_cut is has_card


def test_what_is_forbidden_is_one_of_the_copy_although_nothing_is_left_of_it() -> None:
    """Also where the environment forgets the error, and fails later."""

    def act() -> None:
        try:
            os.kill(os.getppid(), 0)
        except OSError:
            pass
        else:
            raise AssertionError
        raise KeyError("page")

    with pytest.raises(forked.TrialError, match=r"^a copy may signal no process$") as raised:
        forked.try_out(act)

    assert raised.value.is_cut


def test_shared_memory_is_not_written_by_a_trial() -> None:
    """Neither the training nor a simulator finds a change; the trial fails, and says why."""
    env = Shared()
    env.memory[:8] = struct.pack("q", 5)

    choice = trial.choose(env, "auto", is_alone=True)

    assert struct.unpack("q", env.memory[:8]) == (5,)
    assert choice.method == "barrier"
    assert dict(choice.reasons)["replay"].startswith("it died (SIGSEGV: it wrote into memory that")
    env.memory[:8] = struct.pack("q", 6)  # the training itself goes on writing

"""Calls into environments: answered, even if their workers have to be replaced first.

Layer: integrations. Imports its siblings and core.
"""

from collections.abc import Iterable
from typing import Any

from evertrain.core.errors import EnvError
from evertrain.integrations.sb3.resilient.channel import dumps
from evertrain.integrations.sb3.resilient.crew import Crew
from evertrain.integrations.sb3.resilient.succession import Succession
from evertrain.integrations.sb3.resilient.worker import RAISED


def call(
    crew: Crew, succession: Succession, indices: Iterable[int], order: str, data: Any
) -> list[Any]:
    """Return what each environment answers. One that is lost is replaced and asked once more.

    Raises:
        Exception: What the call raised in a worker; the environment goes on.
        EnvError: Environments die of the call.
        UsageError: A step is pending.
    """
    chosen = list(indices)
    message = dumps((order, data))
    answers = crew.ask_all(chosen, message)
    missing = [index for index in chosen if answers[index] is None]
    if missing:
        succession.revive()
        again = crew.ask_all(missing, message)
        killed = [index for index in missing if again[index] is None]
        if killed:
            succession.revive()
            raise _deadly(order, data, killed)
        for index in missing:
            answers[index] = again[index]
    for index in chosen:
        if answers[index][0] == RAISED:
            raise _raised(index, *answers[index][1:])
    return [answers[index][1] for index in chosen]


def _raised(index: int, error: BaseException | None, traceback: str) -> BaseException:
    """Return what was raised, or that something was which cannot be brought here."""
    if error is None:
        error = EnvError(
            f"a call into environment {index} raised {traceback.splitlines()[-1]}",
            "the error itself cannot be brought here; the environment goes on.",
            "Look at the traceback below.",
        )
    error.add_note(f"In the worker of environment {index}:\n{traceback}")
    return error


def _deadly(order: str, data: Any, killed: list[int]) -> EnvError:
    what = f"{order} {data[0]!r}" if isinstance(data, tuple) else f"{order} {data!r}"
    return EnvError(
        f"{what} ended the worker of environments {killed}, and that of those in their place.",
        "a third attempt would not end better; the environments themselves were restarted.",
        "Look above for what killed them.",
    )

"""What the methods of a run are given, judged at the call.

A wrong argument is told where it was written, not by a `TypeError` from the middle
of a step, or from the journal after the training.

Layer: run. Imports checkpoint and core.
"""

from typing import Any

from evertrain.checkpoint.store import MAX_STEP
from evertrain.core.errors import UsageError
from evertrain.run.arguments import as_index, is_rule


def count_of(count: Any) -> int:
    """Return the steps that a step counts as an int; numpy's integers are welcome.

    Raises:
        UsageError: It is no whole number, or below 0.
    """
    found = as_index(count)
    if found is not None and 0 <= found <= MAX_STEP:
        return found
    raise UsageError(
        f"a step cannot count {count!r:.80}.",
        "a step number is a whole number that only grows; resuming depends on it.",
        "Give an int, 0 or more; to go back: --resume STEP.",
    )


def check_rule(rule: Any) -> None:
    """Refuse what `run.due` cannot ask.

    Raises:
        UsageError: It is no rule.
    """
    if not is_rule(rule):
        name = getattr(rule, "__name__", None) if callable(rule) else None
        raise UsageError(
            f"run.due({name or repr(rule):.80}) asks no rule.",
            "a rule is a function from a moment to a reason, or to None.",
            "Write for example run.due(every(steps=1000))",
        )


def check_phase(name: Any) -> None:
    """Refuse a name that the heartbeat cannot hold.

    Raises:
        UsageError: It is no text.
    """
    if not _is_text(name):
        raise UsageError(
            f"run.phase({name!a:.80}) has no name.",
            "the watchdog and `evertrain status` show it, so it is text (UTF-8).",
            'Write for example run.phase("eval")',
        )


def check_line(text: Any) -> None:
    """Refuse what is no line.

    Raises:
        UsageError: It is no string.
    """
    if not isinstance(text, str):
        raise UsageError(
            f"run.say({text!r:.80}) says no text.",
            "it prints a line of text.",
            'Write for example run.say(f"accuracy {accuracy:.3f}")',
        )


def check_why(why: Any) -> None:
    """Refuse a reason to finish that nobody could read in the journal.

    Raises:
        UsageError: It is no text, or empty.
    """
    if not _is_text(why) or not why.strip():
        raise UsageError(
            f"run.finish({why!a:.80}) gives no reason.",
            "the journal keeps it, and a later start tells it; the run is not finished.",
            'Write run.finish() or run.finish("target reached")',
        )


def check_apply(apply: Any) -> None:
    """Refuse what cannot make a stage's overrides real.

    Raises:
        UsageError: It cannot be called.
    """
    if apply is not None and not callable(apply):
        raise UsageError(
            f"run.stages(apply={apply!r:.80}) cannot be called.",
            "it gets the overrides of each stage that starts.",
            "Write for example run.stages(STAGES, apply=optimizer.update)",
        )


def _is_text(value: object) -> bool:
    """Say whether it is a string that a file can hold: half a surrogate pair is none."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True

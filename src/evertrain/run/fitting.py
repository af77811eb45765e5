"""Whether one attached thing and what is stored of it fit, and putting it back.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, Final

from evertrain.checkpoint.plugin import Adapter, Mismatch, Tree
from evertrain.checkpoint.tree import flatten
from evertrain.core.errors import EvertrainError, StateError
from evertrain.run.filling import Container, unfillable
from evertrain.run.rebuild import class_names, whole
from evertrain.run.refusals import cannot_be_filled

# What a `load_state_dict` raises that finds something else than it expects.
_REFUSALS: Final = (
    LookupError,
    ValueError,
    TypeError,
    RuntimeError,
    AttributeError,
    AssertionError,
)


def misfits(adapter: Adapter | None, thing: Any, tree: Tree) -> Sequence[Mismatch]:
    """Compare one thing. An object gets back what it gave, and a class would come as a name."""
    if adapter is None:
        return ()
    names = [] if isinstance(adapter, Container) else whole(class_names(tree))
    return names or adapter.mismatches(thing, tree)


@contextmanager
def judging(where: str) -> Iterator[None]:
    """Refuse a state of such a form that it cannot even be compared.

    Args:
        where: Name of what holds it, for the message.

    Raises:
        StateError: Comparing it failed.
    """
    try:
        yield
    except EvertrainError:
        raise
    except (*_REFUSALS, ArithmeticError) as error:
        raise StateError(
            f"{where} holds what cannot be compared with this program:"
            f" {type(error).__name__}: {error!s:.200}",
            "no run saves a state of such a form.",
            "Restore the program that made it, or start anew with --resume never.",
        ) from error


def settle(name: str, thing: Any, adapter: Adapter, *, is_resumed: bool) -> None:
    """Refuse what cannot be stored; let an adapter decide that has to, unless the run has.

    Raises:
        StateError: It cannot be stored.
    """
    decide = getattr(adapter, "settle", None)
    if decide is None:
        flatten(adapter.capture(thing), name)
    elif not is_resumed:
        decide(thing)


def check_fillable(name: str, thing: Any, adapter: Adapter) -> None:
    """Refuse what a resume could not write to.

    Raises:
        StateError: All such leaves are listed.
    """
    found = [Mismatch(join(name, each.path), each.problem) for each in unfillable(adapter, thing)]
    if found:
        raise cannot_be_filled(found)


def restore_one(name: str, thing: Any, adapter: Adapter, tree: Tree) -> None:
    """Restore one thing, unless it may differ as a whole; its own complaint gets its name."""
    if any(not each.path for each in misfits(adapter, thing, tree)):
        return  # named in `partial`, else we would not be here
    try:
        adapter.restore(thing, tree)
    except (*_REFUSALS, ArithmeticError) as error:
        raise StateError(
            f"{name} refused its stored state: {type(error).__name__}: {error!s:.400}",
            "the checkpoint was made by another version of this program.",
            "Restore the program that made it, or start anew with --resume never.",
        ) from error


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Say whether `path`, or `path` without its first part, fits one of `patterns`."""
    inner = path.partition(".")[2]
    return any(fnmatchcase(path, each) or fnmatchcase(inner, each) for each in patterns)


def refused(faults: Sequence[Mismatch], partial: Sequence[str]) -> list[Mismatch]:
    """Return those that no pattern of `partial` accepts, and those that none can accept."""
    return [each for each in faults if each.accepted is None or not matches(each.path, partial)]


def join(name: str, path: str) -> str:
    """Return the path of something inside the thing called `name`."""
    return f"{name}.{path}" if path else name

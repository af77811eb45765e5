"""Everything that a run saves: attached things, rebound state, generators.

One place knows the order: state is captured without being touched, and on
restore the generators come last, after whatever drew from them.

Layer: run. Imports checkpoint and core.
"""

import itertools
from collections.abc import Mapping, Sequence
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import Any, Final

from evertrain.checkpoint.plugin import Adapter, Mismatch, Rows, Tree, active
from evertrain.checkpoint.tree import flatten
from evertrain.core.errors import StateError
from evertrain.run import rng
from evertrain.run.adapters import adapter_for
from evertrain.run.outline import outline
from evertrain.run.state import State, values_of
from evertrain.run.template import differences, fill
from evertrain.run.weights import is_fresh, taken

# The run's own parts. The dot keeps them apart from any name that can be attached.
STATE: Final = "run.state"
RNG: Final = "run.rng"
RUN: Final = "run.position"
OWN: Final = frozenset({STATE, RNG, RUN})

# What a `load_state_dict` raises that finds something else than it expects.
_REFUSALS: Final = (
    LookupError,
    ValueError,
    TypeError,
    RuntimeError,
    AttributeError,
    AssertionError,
)


class Capture:
    """What one run saves and restores.

    Attributes:
        state: The namespace of rebound values.
    """

    def __init__(self) -> None:
        """Attach nothing yet."""
        self.state = State()
        self._things: dict[str, tuple[Any, Adapter]] = {}
        self._shown: dict[str, Any] | None = None  # outlines; None until the loop begins

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the attached things, in order."""
        return tuple(self._things)

    def attach(self, things: Mapping[str, Any]) -> None:
        """Add mutable things, or replace one of the same name.

        Raises:
            StateError: One of them cannot be stored (the message has its path), or
                is new although the loop has begun.
        """
        for name, thing in things.items():
            if self._shown is not None and name not in self._things:
                raise _too_late(name)
            adapter = adapter_for(name, thing)
            flatten(adapter.capture(thing), name)
            self._things[name] = (thing, adapter)
            if self._shown is not None:
                self._shown[name] = outline(thing)

    def begin(self) -> None:
        """Remember what the program shows before the loop; refuse what could not be stored.

        Raises:
            StateError: A value of `run.state` cannot be stored; the message has its path.
        """
        flatten(dict(values_of(self.state)), STATE)
        things = {name: outline(thing) for name, (thing, _) in self._things.items()}
        self._shown = {**things, STATE: outline(values_of(self.state))}

    def check_resumable(self, trees: Mapping[str, Tree], partial: Sequence[str]) -> None:
        """Refuse to save what this program, started again, could not take back.

        Args:
            trees: What is about to be saved, by part.
            partial: Patterns of leaves that may differ.

        Raises:
            StateError: All such leaves are listed.
        """
        shown = self._shown or {}
        faults = [
            Mismatch(_join(name, each.path), each.problem)
            for name, (_, adapter) in self._things.items()
            if name in shown
            for each in adapter.mismatches(shown[name], _bare(trees[name]))
        ]
        faults += self._state_faults(shown.get(STATE, {}), trees[STATE])
        left = [each for each in faults if not _matches(each.path, partial)]
        if left:
            raise _not_resumable(left)

    def trees(self, meta: Mapping[str, Any]) -> dict[str, Tree]:
        """Return everything as trees, by part. Changes nothing and draws nothing."""
        generators = rng.capture()
        found = {name: adapter.capture(thing) for name, (thing, adapter) in self._things.items()}
        own = {STATE: dict(values_of(self.state)), RNG: generators, RUN: dict(meta)}
        return {name: self._as_rows(name, tree) for name, tree in found.items()} | own

    def _as_rows(self, name: str, tree: Tree) -> Tree:
        """Mark what is data, and may be a buffer of which few rows change."""
        return Rows(tree) if getattr(self._things[name][1], "is_data", False) else tree

    def restore(self, trees: Mapping[str, Tree], partial: Sequence[str], where: str) -> None:
        """Put everything back: attached things, then state, then the generators.

        Args:
            trees: What the checkpoint holds, by part.
            partial: Patterns of leaves that may differ and then stay fresh.
            where: Name of the checkpoint, for the message.

        Raises:
            StateError: What is stored does not fit the program. All differences
                are listed, and nothing has been changed. Only an object that judges
                its state itself, by `load_state_dict`, may refuse after others were
                restored: the program must not go on then.
        """
        faults, fitting = self._compare(trees)
        mine, stored = values_of(self.state), trees.get(STATE, {})
        faults += self._state_faults(mine, stored)
        left = [each for each in faults if not _matches(each.path, partial)]
        if left:
            raise _mismatch_error(left, where)
        for name in fitting:
            thing, adapter = self._things[name]
            _restore_one(name, thing, adapter, trees[name])
        mine.update({name: fill(mine.get(name), deepcopy(tree)) for name, tree in stored.items()})
        rng.restore(trees.get(RNG, {}))

    @property
    def things(self) -> Mapping[str, tuple[Any, Adapter]]:
        """The attached things, each with its adapter."""
        return self._things

    def restore_weights(
        self,
        trees: Mapping[str, Tree],
        partial: Sequence[str],
        where: str,
        faults: Sequence[Mismatch] = (),
    ) -> str:
        """Put back only the weights that `trees` also has; no state, nothing that learns or draws.

        Args:
            trees: What is there, by part.
            partial: Patterns of leaves that may differ and then stay fresh.
            where: Name of what holds them, for the message.
            faults: What is known not to fit.

        Returns:
            One line for people: what was taken, and what starts fresh.

        Raises:
            StateError: None is there, or one does not fit. Nothing was changed.
        """
        shared = {
            name: taken(thing, adapter, trees[name])
            for name, (thing, adapter) in self._things.items()
            if name in trees and not is_fresh(adapter)
        }
        if not shared:
            raise StateError(
                f"init_from: {where} holds {', '.join(trees) or 'nothing'}.",
                "none of them is attached here with weights"
                f" ({', '.join(self._things) or 'nothing is'}).",
                "Attach the model under the name it had there.",
            )
        found = [
            Mismatch(_join(name, each.path), each.problem)
            for name, tree in shared.items()
            for each in self._things[name][1].mismatches(self._things[name][0], tree)
        ]
        left = [each for each in (*faults, *found) if not _matches(each.path, partial)]
        if left:
            raise _mismatch_error(left, where)
        for name, tree in shared.items():
            thing, adapter = self._things[name]
            _restore_one(name, thing, adapter, tree)
        whole = {each.path for each in found}  # what may differ as a whole stays as it is
        took = [name for name in shared if name not in whole]
        fresh = ", ".join(name for name in self._things if name not in took)
        line = f"Starting with the weights of {where}: {', '.join(took) or 'none'}"
        return f"{line}; fresh: {fresh}" if fresh else line

    def descriptions(self) -> list[str]:
        """Return one line for each attached thing that a plugin can describe."""
        lines: list[str] = []
        for name, (thing, _) in self._things.items():
            for plugin in active():
                text = plugin.describe(thing) if plugin.describe else None
                if text:
                    lines.append(f"{name}: {text}")
                    break
        return lines

    def _compare(self, trees: Mapping[str, Tree]) -> tuple[list[Mismatch], list[str]]:
        faults = [
            Mismatch(name, "in the checkpoint, but not attached")
            for name in trees
            if name not in self._things and name not in OWN
        ]
        fitting: list[str] = []
        for name, (thing, adapter) in self._things.items():
            if name not in trees:
                faults.append(Mismatch(name, "attached, but missing in the checkpoint"))
                continue
            fitting.append(name)
            inner = adapter.mismatches(thing, trees[name])
            faults += [Mismatch(_join(name, each.path), each.problem) for each in inner]
        return faults, fitting

    def _state_faults(self, mine: Mapping[str, Any], stored: Mapping[str, Tree]) -> list[Mismatch]:
        lost = [
            Mismatch(f"{STATE}.{name}", "set here, but missing in the checkpoint")
            for name in mine
            if name not in stored
        ]
        inner = [differences(mine.get(name), stored[name], f"{STATE}.{name}") for name in stored]
        return [*lost, *itertools.chain.from_iterable(inner)]


def _restore_one(name: str, thing: Any, adapter: Adapter, tree: Tree) -> None:
    """Restore one thing, unless it may differ as a whole; its own complaint gets its name."""
    if any(not each.path for each in adapter.mismatches(thing, tree)):
        return  # named in `partial`, else we would not be here
    if not getattr(adapter, "copies", False):
        tree = deepcopy(tree)  # the arrays lie in the checkpoint's files still
    try:
        adapter.restore(thing, tree)
    except _REFUSALS as error:
        raise StateError(
            f"{name} refused its stored state: {type(error).__name__}: {error}",
            "the checkpoint was made by another version of this program.",
            "Restore the program that made it, or start anew with --resume never.",
        ) from error


def _bare(tree: Tree) -> Tree:
    return tree.array if isinstance(tree, Rows) else tree


def _matches(path: str, patterns: Sequence[str]) -> bool:
    """Say whether `path`, or `path` without its first part, fits one of `patterns`."""
    inner = path.partition(".")[2]
    return any(fnmatchcase(path, each) or fnmatchcase(inner, each) for each in patterns)


def _join(name: str, path: str) -> str:
    return f"{name}.{path}" if path else name


def _too_late(name: str) -> StateError:
    return StateError(
        f"attach({name}=...) comes after the state was restored.",
        "a resumed program restores before its first step, and would find nothing to fill.",
        f"Attach {name} before the loop; what the loop creates belongs into run.state.",
    )


def _not_resumable(faults: Sequence[Mismatch]) -> StateError:
    first = faults[0].path
    return StateError(
        "a program started again could not take this state back:\n" + _listed(faults),
        '"here" is what was set or attached before the loop; a resume starts from that.',
        "Set or attach before the loop what has the final shape and class, keep what grows"
        f" in a list, or let it start fresh after a resume: partial=[{first!r}].",
    )


def _listed(faults: Sequence[Mismatch]) -> str:
    shown = [f"  {each.path}: {each.problem}" for each in faults[:20]]
    more = [f"  ... and {len(faults) - 20} more"] if len(faults) > 20 else []  # noqa: PLR2004
    return "\n".join(shown + more)


def _mismatch_error(faults: Sequence[Mismatch], where: str) -> StateError:
    first = faults[0].path
    return StateError(
        f"{where} does not fit this program:\n" + _listed(faults),
        "a resume that drops or invents state would train on silently wrong.",
        f"Restore the program that made it, or accept the difference: partial=[{first!r}].",
    )

"""Everything that a run saves: attached things, rebound state, generators.

One place knows the order: state is captured without being touched, and on
restore the generators come last, after whatever drew from them.

Layer: run. Imports checkpoint and core.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from evertrain.checkpoint.plugin import Adapter, Mismatch, Rows, Tree, active, gathering
from evertrain.checkpoint.tree import flatten
from evertrain.core.errors import StateError
from evertrain.run import rng
from evertrain.run.adapters import adapter_for, find_adapter
from evertrain.run.classes import NONE, Classes, familiar
from evertrain.run.cycle import refusing_cycles
from evertrain.run.filling import Container
from evertrain.run.fitting import (
    check_fillable,
    judging,
    misfits,
    refused,
    restore_one,
    settle,
)
from evertrain.run.outline import outline
from evertrain.run.refusals import does_not_fit, name_taken, not_resumable, too_late
from evertrain.run.state import State, values_of
from evertrain.run.template import differences, fill
from evertrain.run.weights import is_fresh, rigid_misfits, taken

# The run's own parts. The dot keeps them apart from what programs call their things.
STATE: Final = "run.state"
RNG: Final = "run.rng"
RUN: Final = "run.position"
OWN: Final = frozenset({STATE, RNG, RUN})


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
        self._classes: Classes | None = None  # those that the program shows; None until then
        self._first: dict[str, Any] = {}  # outlines of what the program shows without a stage

    @property
    def copying(self) -> frozenset[str]:
        """Names of the attached things that copy every array that a restore gives them."""
        found = (name for name, (_, each) in self._things.items() if getattr(each, "copies", False))
        return frozenset(found)

    def attach(self, things: Mapping[str, Any], *, is_resumed: bool = False) -> None:
        """Add mutable things, or replace one of the same name.

        A thing that replaces one inside the loop is judged as the first one: that is what
        a resumed program attaches. Only what a stage applies is applied again.

        Args:
            things: By name.
            is_resumed: Whether they are about to be restored.

        Raises:
            StateError: One of them cannot be stored, or not be filled in place (the message
                has its path), or is new although the loop has begun.
        """
        for name, thing in things.items():
            if name in OWN:
                raise name_taken(name)
            if self._shown is not None and name not in self._things:
                raise too_late(name)
            adapter = adapter_for(name, thing)
            with refusing_cycles(name, thing):
                settle(name, thing, adapter, is_resumed=is_resumed)
                check_fillable(name, thing, adapter)
            self._things[name] = (thing, adapter)

    @contextmanager
    def applying(self) -> Iterator[None]:
        """Let a stage's `apply` change structures and attach anew what was attached.

        A program that is started again in this stage applies it again, and no other: what it
        changes here is what it shows then, and the rest is as it was first.
        """
        before = {
            name: (thing, outline(thing, find_adapter)) for name, (thing, _) in self._things.items()
        }
        yield
        if self._shown is None:
            return
        self._shown = dict(self._first)
        for name, (thing, adapter) in self._things.items():
            old, was = before.get(name, (None, None))
            if thing is not old or misfits(find_adapter(was), was, adapter.capture(thing)):
                self._shown[name] = outline(thing, find_adapter)

    def begin(self) -> None:
        """Remember what the program shows before the loop; refuse what could not be stored.

        Raises:
            StateError: A value of `run.state` cannot be stored, or something attached no
                longer be filled; the message has its path.
        """
        flatten(dict(values_of(self.state)), STATE)
        shown = {}
        for name, (thing, adapter) in self._things.items():
            with refusing_cycles(name, thing):
                check_fillable(name, thing, adapter)
                shown[name] = outline(thing, find_adapter)
        self._classes = self._known()
        self._first = {**shown, STATE: outline(values_of(self.state), find_adapter)}
        self._shown = self._first

    def check_resumable(self, trees: Mapping[str, Tree], partial: Sequence[str]) -> None:
        """Refuse to save what this program, started again, could not take back.

        Args:
            trees: What is about to be saved, by part.
            partial: Patterns of leaves that may differ.

        Raises:
            StateError: All such leaves are listed.
        """
        shown = self._shown or {}
        faults: list[Mismatch] = []
        for name in self._things:
            if name in shown:
                first, tree = shown[name], _bare(trees[name])
                with refusing_cycles(name, tree):
                    found = misfits(find_adapter(first), first, self._familiar(name, tree))
                faults += [each.within(name) for each in found]
        with refusing_cycles(STATE, trees[STATE]):
            faults += self._state_faults(shown.get(STATE, {}), self._stored_state(trees))
        left = refused(faults, partial)
        if left:
            raise not_resumable(left)

    def trees(self, meta: Mapping[str, Any]) -> dict[str, Tree]:
        """Return everything as trees, by part. Changes nothing and draws nothing."""
        generators = rng.capture()
        found: dict[str, Tree] = {}
        with gathering():
            for name, (thing, adapter) in self._things.items():
                with refusing_cycles(name, thing):
                    found[name] = self._as_rows(adapter, adapter.capture(thing))
        return {**found, STATE: dict(values_of(self.state)), RNG: generators, RUN: dict(meta)}

    def _as_rows(self, adapter: Adapter, tree: Tree) -> Tree:
        """Mark what is data, and may be a buffer of which few rows change."""
        return Rows(tree) if getattr(adapter, "is_data", False) else tree

    def restore(
        self, trees: Mapping[str, Tree], partial: Sequence[str], where: str
    ) -> Sequence[Mismatch]:
        """Put everything back: attached things, then state, then the generators.

        Args:
            trees: What the checkpoint holds, by part.
            partial: Patterns of leaves that may differ and then stay fresh.
            where: Name of the checkpoint, for the message.

        Returns:
            The differences that `partial` accepted.

        Raises:
            StateError: What is stored does not fit the program. All differences
                are listed, and nothing has been changed. Only an object that judges
                its state itself, by `load_state_dict`, may refuse after others were
                restored: the program must not go on then.
        """
        mine = values_of(self.state)
        with judging(where):
            trees = {name: self._familiar(name, tree) for name, tree in trees.items()}
            faults, fitting = self._compare(trees)
            stored = self._stored_state(trees)
            faults += self._state_faults(mine, stored)
        left = refused(faults, partial)
        if left:
            raise does_not_fit(left, where)
        for name in fitting:
            thing, adapter = self._things[name]
            restore_one(name, thing, adapter, trees[name])
        mine.update({name: fill(mine.get(name), tree) for name, tree in stored.items()})
        rng.restore(trees.get(RNG, {}), where)
        return faults

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
    ) -> None:
        """Put back only the weights that `trees` also has; no state, nothing that learns or draws.

        Args:
            trees: What is there, by part.
            partial: Patterns of leaves that may differ and then stay fresh.
            where: Name of what holds them, for the message.
            faults: What is known not to fit.

        Raises:
            StateError: None is there, or one does not fit. Nothing was changed.
        """
        with judging(where):
            shared = {
                name: taken(thing, adapter, self._familiar(name, trees[name]))
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
        with judging(where):
            found = [
                each.within(name)
                for name, tree in shared.items()
                for each in rigid_misfits(*self._things[name], tree)
            ]
        left = refused((*faults, *found), partial)
        if left:
            raise does_not_fit(left, where)
        for name, tree in shared.items():
            thing, adapter = self._things[name]
            restore_one(name, thing, adapter, tree)

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

    def _known(self) -> Classes:
        """Return the classes that the program's values show now."""
        return Classes(values_of(self.state), *(thing for thing, _ in self._things.values()))

    def _familiar(self, name: str, tree: Tree) -> Tree:
        """Return a tree with the classes that the program knows; most objects know none."""
        if name not in self._things or not isinstance(self._things[name][1], Container):
            return tree if name in OWN else familiar(tree, NONE)
        return familiar(tree, self._classes or self._known())

    def _stored_state(self, trees: Mapping[str, Tree]) -> Mapping[str, Tree]:
        known = self._classes or self._known()
        return {name: familiar(x, known) for name, x in trees.get(STATE, {}).items()}

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
            inner = misfits(adapter, thing, trees[name])
            faults += [each.within(name) for each in inner]
        return faults, fitting

    def _state_faults(self, mine: Mapping[str, Any], stored: Mapping[str, Tree]) -> list[Mismatch]:
        lost = [
            Mismatch(f"{STATE}.{name}", "set here, but missing in the checkpoint")
            for name in mine
            if name not in stored
        ]
        inner = [differences(mine.get(name), stored[name], f"{STATE}.{name}") for name in stored]
        return [*lost, *itertools.chain.from_iterable(inner)]


def _bare(tree: Tree) -> Tree:
    return tree.array if isinstance(tree, Rows) else tree

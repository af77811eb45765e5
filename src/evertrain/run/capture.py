"""Everything that a run saves: attached things, rebound state, generators.

One place knows the order: state is captured without being touched, and on
restore the generators come last, after whatever drew from them.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from evertrain.checkpoint.plugin import Adapter, Mismatch, Tree, active
from evertrain.checkpoint.tree import flatten
from evertrain.core.errors import StateError
from evertrain.run import rng
from evertrain.run.adapters import adapter_for
from evertrain.run.template import State, fill, values_of

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

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the attached things, in order."""
        return tuple(self._things)

    def attach(self, things: Mapping[str, Any]) -> None:
        """Add mutable things, or replace one of the same name.

        Raises:
            StateError: One of them cannot be stored; the message has its path.
        """
        for name, thing in things.items():
            adapter = adapter_for(name, thing)
            flatten(adapter.capture(thing), name)
            self._things[name] = (thing, adapter)

    def check_state(self) -> None:
        """Refuse now what could not be stored later.

        Raises:
            StateError: A value of `run.state` cannot be stored; the message has its path.
        """
        flatten(dict(values_of(self.state)), STATE)

    def trees(self, meta: Mapping[str, Any]) -> dict[str, Tree]:
        """Return everything as trees, by part. Changes nothing and draws nothing."""
        generators = rng.capture()
        found = {name: adapter.capture(thing) for name, (thing, adapter) in self._things.items()}
        return {**found, STATE: dict(values_of(self.state)), RNG: generators, RUN: dict(meta)}

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
        values = self._fill_state(trees.get(STATE, {}), faults)
        left = [each for each in faults if not _matches(each.path, partial)]
        if left:
            raise _mismatch_error(left, where)
        for name in fitting:
            thing, adapter = self._things[name]
            _restore_one(name, thing, adapter, trees[name])
        values_of(self.state).update(values)
        rng.restore(trees.get(RNG, {}))

    def restore_weights(
        self, trees: Mapping[str, Tree], partial: Sequence[str], where: str
    ) -> None:
        """Put back only the attached things that `trees` also has; no state, no generators.

        Raises:
            StateError: None is there, or one does not fit.
        """
        shared = {name: trees[name] for name in self._things if name in trees}
        if not shared:
            raise StateError(
                f"init_from: {where} holds {', '.join(trees) or 'nothing'}.",
                f"none of them is attached here ({', '.join(self._things) or 'nothing is'}).",
                "Attach the model under the name it had there.",
            )
        faults = [
            Mismatch(_join(name, each.path), each.problem)
            for name, tree in shared.items()
            for each in self._things[name][1].mismatches(self._things[name][0], tree)
        ]
        left = [each for each in faults if not _matches(each.path, partial)]
        if left:
            raise _mismatch_error(left, where)
        for name, tree in shared.items():
            thing, adapter = self._things[name]
            _restore_one(name, thing, adapter, tree)

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

    def _fill_state(self, stored: Mapping[str, Tree], faults: list[Mismatch]) -> dict[str, Any]:
        mine = values_of(self.state)
        faults += [
            Mismatch(f"{STATE}.{name}", "set here, but missing in the checkpoint")
            for name in mine
            if name not in stored
        ]
        return {
            name: fill(mine.get(name), tree, f"{STATE}.{name}", faults)
            for name, tree in stored.items()
        }


def _restore_one(name: str, thing: Any, adapter: Adapter, tree: Tree) -> None:
    """Restore one thing, unless it may differ as a whole; its own complaint gets its name."""
    if any(not each.path for each in adapter.mismatches(thing, tree)):
        return  # named in `partial`, else we would not be here
    try:
        adapter.restore(thing, tree)
    except _REFUSALS as error:
        raise StateError(
            f"{name} refused its stored state: {type(error).__name__}: {error}",
            "the checkpoint was made by another version of this program.",
            "Restore the program that made it, or start anew with --resume never.",
        ) from error


def _matches(path: str, patterns: Sequence[str]) -> bool:
    """Say whether `path`, or `path` without its first part, fits one of `patterns`."""
    inner = path.partition(".")[2]
    return any(fnmatchcase(path, each) or fnmatchcase(inner, each) for each in patterns)


def _join(name: str, path: str) -> str:
    return f"{name}.{path}" if path else name


def _mismatch_error(faults: Sequence[Mismatch], where: str) -> StateError:
    shown = [f"  {each.path}: {each.problem}" for each in faults[:20]]
    more = [f"  ... and {len(faults) - 20} more"] if len(faults) > 20 else []  # noqa: PLR2004
    first = faults[0].path
    return StateError(
        f"{where} does not fit this program:\n" + "\n".join(shown + more),
        "a resume that drops or invents state would train on silently wrong.",
        f"Restore the program that made it, or accept the difference: partial=[{first!r}].",
    )

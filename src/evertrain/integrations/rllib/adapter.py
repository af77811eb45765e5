"""RLlib's `Algorithm` as one attached thing: `run.attach(algorithm=algorithm)`.

Nothing of Ray is imported here: this file is loaded as soon as a program imports Ray,
which it may do for other reasons than RLlib.

Layer: integrations. Imports its siblings, checkpoint and core.
"""

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from evertrain.checkpoint.plugin import Mismatch, Tree
from evertrain.core.errors import StateError
from evertrain.integrations.rllib.compare import first_difference

_ALGORITHM: Final = "ray.rllib.algorithms.algorithm"
# How this process hashes, which is told otherwise; where a generator once came from.
_NOT_COMPARED: Final = frozenset({"hashing", "seed"})
NEW, OLD = "new", "old"
TRIED: Final = ("2.50.0", "2.60.0")  # versions of Ray that all of this was tested with
_SHOWN: Final = 4


class AlgorithmAdapter:
    """An algorithm, whole, so that the next iteration is the one that would have come.

    `save_to_path` drops Adam's moments, the coefficients of the KL loss, the generators,
    the environments and the episodes that are open, and doubles the counters of steps.
    """

    weights = ("weights",)

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        return is_algorithm(thing)

    def capture(self, thing: Any) -> Tree:
        """See `Adapter.capture`.

        Raises:
            StateError: It keeps state that is not known here, or a part does not answer.
        """
        return {
            "class": type(thing).__name__,
            "ray": _ray_version(),
            "stack": stack_of(thing),
            **room_of(thing).take(thing),
        }

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        return self.remember(thing)(tree)

    def remember(self, thing: Any) -> Callable[[Tree], Sequence[Mismatch]]:
        """See `Adapter`: class, API stack, version of Ray, modules, optimizers, runners."""
        mine = {"class": type(thing).__name__, "stack": stack_of(thing), "ray": _ray_version()}
        judge = room_of(thing).remember(thing)

        def misfits(tree: Tree) -> Sequence[Mismatch]:
            if not isinstance(tree, dict) or not mine.keys() <= tree.keys():
                return (Mismatch("", f"a {type(tree).__name__} there, an algorithm here"),)
            found = [_differing(name, tree[name], here) for name, here in mine.items()]
            told = [each for each in found if each is not None]
            is_other = any(each.path != "ray" for each in told)
            return told if is_other else [*told, *judge(tree)]

        return misfits

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`. What came back is taken once more, and compared.

        Raises:
            StateError: It is not what was stored.
        """
        room = room_of(thing)
        room.put(thing, tree)
        found = room.take(thing)
        there = {name: each for name, each in tree.items() if name in found}
        found["runners"] = _of_those_stored(found["runners"], tree["runners"])
        where = first_difference(there, found, _NOT_COMPARED)
        if where is not None:
            raise StateError(
                f"{where} of the {type(thing).__name__} did not come back as it was stored.",
                "the training would not go on exactly.",
                "A connector, callback or environment of your own keeps it: give it get_state"
                " and set_state, or let episodes begin anew (see docs/rllib.md).",
            )
        gone = sum(each is None for group in tree["runners"] for each in group)
        if gone:
            _warn(f"the checkpoint lacks {gone} runners: their episodes begin anew, not exactly")
        if _hashing_of(found) != _hashing_of(tree):
            _warn(
                "strings hash otherwise than when the checkpoint was made, so RLlib batches its"
                " agents in another order from here on: start each attempt with PYTHONHASHSEED=0"
            )


def is_algorithm(thing: object) -> bool:
    """Say whether a thing is an algorithm of RLlib; imports nothing."""
    module = sys.modules.get(_ALGORITHM)
    return module is not None and isinstance(thing, module.Algorithm)


def stack_of(algorithm: Any) -> str:
    """Return which of RLlib's two API stacks an algorithm is built on."""
    return NEW if algorithm.config.enable_env_runner_and_connector_v2 else OLD


def describe(thing: Any) -> str | None:
    """Return e.g. "PPO of ray 2.50.0, 2 policies, a local runner", or None for other things."""
    if not is_algorithm(thing):
        return None
    policies = len(thing.config.policies) if thing.config.is_multi_agent else 1
    runners = thing.config.num_env_runners
    where = f"{runners} remote runners" if runners else "a local runner"
    text = f"{type(thing).__name__} of ray {_ray_version()}, {_count(policies)}, {where}"
    from evertrain.integrations.rllib import environments  # it imports Gymnasium

    keeping = environments.of(thing)
    return text if keeping is None else f"{text}; {keeping.sentence()}"


def _count(policies: int) -> str:
    return "1 policy" if policies == 1 else f"{policies} policies"


def _differing(name: str, there: Any, here: str) -> Mismatch | None:
    if there == here:
        return None
    hint, accepted = "", None  # nothing of another class, or stack, has a place
    if name == "ray":
        accepted = "all else is put into this version"
        hint = (
            f": pip install 'ray[rllib]=={there}', or accept another version, which may play"
            " differently, with Run(partial=['*.ray'])"
        )
    return Mismatch(name, f"{there} there, {here} here{hint}", accepted)


def room_of(algorithm: Any) -> ModuleType:
    """Return the module that knows the API stack of an algorithm.

    Raises:
        StateError: This version of Ray keeps things elsewhere.
    """
    name = "newstack" if stack_of(algorithm) == NEW else "oldstack"
    try:
        room = import_module(f"evertrain.integrations.rllib.{name}")
        found = room.strangers(algorithm)
    except (ImportError, AttributeError, LookupError, TypeError) as error:
        raise _elsewhere(f"{type(error).__name__}: {error}") from error
    if found:
        raise _elsewhere("; ".join(found[:_SHOWN]))
    return room


def _elsewhere(problem: str) -> StateError:
    return StateError(
        f"the algorithm is of ray {_ray_version()}: {problem}.",
        f"evertrain knows where RLlib {' and '.join(TRIED)} keep their state, and another place"
        " is not guessed.",
        f"pip install 'ray[rllib]=={TRIED[0]}'",
    )


def _ray_version() -> str:
    version: str = sys.modules["ray"].__version__
    return version


def _of_those_stored(found: list[list[Tree]], stored: list[list[Tree]]) -> list[list[Tree]]:
    """Return the runners, less those that were gone when the checkpoint was made."""
    return [
        [each if there is not None else None for each, there in zip(*both, strict=True)]
        for both in zip(found, stored, strict=True)
    ]


def _hashing_of(tree: Tree) -> list[int | None]:
    return [each["hashing"] for group in tree["runners"] for each in group if each is not None]


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=3)

"""Environments that a program attaches to its run: `run.attach(env=env)`.

A loop of one's own has no schedule on which environments could be reset. So what
passes no trial is refused when it is attached, and a resume that is not exact is refused too.

Layer: integrations. Imports its siblings, checkpoint and core.
"""

from collections.abc import Callable, Sequence
from typing import Any

from evertrain.checkpoint.plugin import Mismatch, Tree
from evertrain.core.errors import StateError
from evertrain.integrations.envs import method as methods
from evertrain.integrations.envs import replay, trial
from evertrain.integrations.envs.identity import ByIdentity
from evertrain.integrations.envs.layers import kind_of, names

_CHOSEN: ByIdentity[trial.Choice] = ByIdentity()
_WANTED: ByIdentity[str] = ByIdentity()


def keep_by(env: Any, wanted: str) -> None:
    """Say how the state of an environment is to be kept, before it is attached.

    `run.attach` refuses an environment that fails the trial of it. A resumed run keeps it as
    it did before.

    Args:
        env: The outermost wrapper.
        wanted: "auto", "state", "attributes" or "replay".

    Raises:
        UsageError: There is no such way in a loop of one's own.
    """
    methods.check(wanted, "wanted", (methods.AUTO, *methods.ORDER))
    _WANTED[env] = wanted


class EnvAdapter:
    """Environments of one library, with their wrappers.

    Args:
        accepts: Says whether a thing is one.
    """

    weights = ()

    def __init__(self, accepts: Callable[[object], bool]) -> None:
        """Look at none yet."""
        self._accepts = accepts

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        return self._accepts(thing)

    def settle(self, thing: Any) -> None:
        """See `Adapter`: try out how its state can be kept.

        Raises:
            StateError: It fails the trial; the message says why.
        """
        choice = trial.choose(thing, _WANTED.get(thing) or methods.AUTO, is_alone=False)
        if choice.method == methods.BARRIER:
            raise _refusal(thing, choice)
        if choice.method == methods.REPLAY:
            replay.record(thing)
        _CHOSEN[thing] = choice

    def capture(self, thing: Any) -> Tree:
        """See `Adapter.capture`.

        Raises:
            StateError: Its state cannot be kept, or the steps of its episode are not known.
        """
        if thing not in _CHOSEN:
            self.settle(thing)
        choice = _CHOSEN[thing]
        state = methods.capture(thing, choice.method, with_globals=False)
        if choice.method == methods.REPLAY and state["envs"][0]["replay"] is None:
            raise _unknown(thing)
        if state["hidden"]:
            raise _unseen(thing, state["hidden"][0][1])
        return {
            "kind": kind_of(thing),
            "names": names(thing),
            "method": choice.method,
            "proof": choice.proof,
            "state": state,
        }

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        is_tree = isinstance(tree, dict)
        if is_tree and tree["names"] == names(thing):
            return ()
        there = tree["kind"] if is_tree else type(tree).__name__
        return (Mismatch("", f"{there} there, {kind_of(thing)} here"),)

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`.

        Raises:
            StateError: The environment does not go on as it did.
        """
        method, proof = tree["method"], tree["proof"]
        if method not in methods.ORDER:
            raise ValueError(f"a method called {method!r:.60}")
        doubt = None if proof is None else trial.confirm(thing, method, proof)
        problems = [doubt] if doubt else methods.restore(thing, method, tree["state"])
        if problems:
            raise StateError(
                f"the environment {kind_of(thing)} is not what it was: {problems[0]}.",
                "the training would go on in another episode than the one that was saved.",
                "Build it as the run began, or do not attach it.",
            )
        _CHOSEN[thing] = trial.Choice(method, proof, 0, ())

    def describe(self, thing: object) -> str | None:
        """Return e.g. "CartPoleEnv, state by attributes", or None for other things."""
        if not self._accepts(thing) or thing not in _CHOSEN:
            return None
        return f"{kind_of(thing)}, its state kept by {_CHOSEN[thing].method}"


def _refusal(env: Any, choice: trial.Choice) -> StateError:
    reasons = "; ".join(f"not by {method}: {reason}" for method, reason in choice.reasons)
    return StateError(
        f"the state of the environment {kind_of(env)} cannot be kept. {reasons}.",
        "a resumed run would go on in another episode.",
        "Give it get_state and set_state, or do not attach it: reset it at the beginning of"
        " each step, seeded from the step.",
    )


def _unknown(env: Any) -> StateError:
    return StateError(
        f"the state of the environment {kind_of(env)} is the steps since its last reset, and these"
        f" are not known, or more than {replay.MAX_STEPS:,}.",
        "a resumed run could not play them again.",
        "Attach it before its first reset, reset it before the first save, and end its episodes"
        " (gymnasium.wrappers.TimeLimit).",
    )


def _unseen(env: Any, hidden: str) -> StateError:
    return StateError(
        f"the state of the environment {kind_of(env)} is kept by its attributes, and it holds what"
        f" it did not hold when it was tried: {methods.unseen(hidden)}.",
        "a resumed run would go on with another one.",
        "Give it get_state and set_state, or make that thing before it is attached.",
    )

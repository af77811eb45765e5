"""How a run keeps the state of its environments: chosen once, proven, alike in every attempt.

Each kind of environment is tried where it lives, in copies of that process; what holds
something that cannot be looked into is of another kind than what does not. The
choice and its proof are saved with the environments; a resumed attempt lets the
proof go on in its own process before it believes what it restores.

Layer: integrations. Imports its siblings, `integrations.envs` and core.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from weakref import WeakKeyDictionary, WeakSet

from stable_baselines3.common.vec_env import VecEnv

from evertrain.checkpoint.plugin import Tree
from evertrain.core.errors import StateError
from evertrain.integrations.envs import method as methods
from evertrain.integrations.envs import trial
from evertrain.integrations.sb3 import env as inside
from evertrain.integrations.sb3 import subclass
from evertrain.integrations.sb3.asking import checked, teach

_NAMES: Final = {
    methods.STATE: "get_state",
    methods.ATTRIBUTES: "attributes",
    methods.REPLAY: "replay",
}


@dataclass(frozen=True, slots=True)
class Keeping:
    """How the state of the environments of one vector is kept.

    Attributes:
        wanted: What the program asked for.
        stage: Name of the stage for whose environments it was settled; "" without stages.
        methods: One for each environment, or `barrier` for all.
        proofs: By index of an environment of each kind, what its trial showed.
        about: For people: how, and why not otherwise.
    """

    wanted: str
    stage: str
    methods: tuple[str, ...]
    proofs: Mapping[int, Tree]
    about: str

    @property
    def has_barriers(self) -> bool:
        """Whether all environments are reset on a schedule instead."""
        return methods.BARRIER in self.methods

    def to_tree(self) -> Tree:
        """Return it for a checkpoint."""
        return {
            "wanted": self.wanted,
            "stage": self.stage,
            "methods": list(self.methods),
            "proofs": {str(index): proof for index, proof in self.proofs.items()},
            "about": self.about,
        }


_KEEPING: WeakKeyDictionary[VecEnv, Keeping] = WeakKeyDictionary()
_UNCONFIRMED: WeakSet[VecEnv] = WeakSet()


def keeping_of(venv: VecEnv) -> Keeping | None:
    """Return how the state of the environments is kept, once that is settled."""
    return _KEEPING.get(venv.unwrapped)


def settle(venv: VecEnv, wanted: str, stage: str = "") -> bool:
    """Choose how the state is kept, unless the run has done so before, for the same stage.

    Args:
        venv: The outermost wrapper.
        wanted: "auto", "state", "attributes", "replay" or "barrier".
        stage: Name of the stage, which may have changed the environments.

    Returns:
        Whether the environments must be reset before they can be saved.

    Raises:
        StateError: An environment fails the trial of the method that was asked for.
        UsageError: There is no such method.
    """
    methods.check(wanted, "env_state")
    before = keeping_of(venv)
    if before is not None and (before.wanted, before.stage) == (wanted, stage):
        return False
    found = _choose(venv, wanted, stage)
    found = replace(found, about=found.about + subclass.told(venv.unwrapped))
    _adopt(venv, found)
    _UNCONFIRMED.discard(venv.unwrapped)
    was_recorded = before is not None and before.methods == found.methods
    return methods.REPLAY in found.methods and not was_recorded


def resume(venv: VecEnv, tree: Tree) -> None:
    """Keep the state as the run does. It is to be confirmed."""
    found = Keeping(
        str(tree["wanted"]),
        str(tree["stage"]),
        tuple(tree["methods"]),
        {int(index): proof for index, proof in tree["proofs"].items()},
        str(tree["about"]),
    )
    _adopt(venv, found)
    _UNCONFIRMED.add(venv.unwrapped)


def confirm(venv: VecEnv) -> list[str]:
    """Return why the state that a resumed attempt restored is not to be believed.

    Copies of the environments go on from the proofs of the run. That is done once, and
    not where `settle` has just tried them.
    """
    base, found = venv.unwrapped, keeping_of(venv)
    if found is None or base not in _UNCONFIRMED:
        return []
    _UNCONFIRMED.discard(base)
    doubts = []
    for index, proof in found.proofs.items():
        if proof is not None:
            asked = (inside.CONFIRM, found.methods[index], proof)
            doubt = checked(base.env_method(*asked, indices=[index]), [index])[0]
            doubts += [f"environment {index}: {doubt}"] if doubt else []
    return doubts


def _adopt(venv: VecEnv, found: Keeping) -> None:
    base = venv.unwrapped
    _KEEPING[base] = found
    recorded = [n for n, method in enumerate(found.methods) if method == methods.REPLAY]
    if recorded:
        base.set_attr(inside.RECORDED, value=True, indices=recorded)


def _choose(venv: VecEnv, wanted: str, stage: str) -> Keeping:
    base, count = venv.unwrapped, venv.num_envs
    none = (methods.BARRIER,) * count
    if wanted == methods.BARRIER:
        return Keeping(wanted, stage, none, {}, "as asked for")
    if not teach(venv):
        return Keeping(wanted, stage, none, {}, "they are not Gymnasium's")
    # A kind is a class with its wrappers, and the methods that are not out of the question.
    kinds = [tuple(each) for each in checked(base.env_method(inside.KIND), range(count))]
    first = {kind: kinds.index(kind) for kind in kinds}
    indices = list(first.values())
    answers = checked(base.env_method(inside.CHOOSE, wanted, indices=indices), indices)
    chosen: dict[tuple[str, ...], trial.Choice] = dict(zip(first, answers, strict=True))
    failed = {kind: each for kind, each in chosen.items() if each.method == methods.BARRIER}
    if failed:
        kind, why = next(iter(failed.items()))
        about = f"{kind[0]}: {_reasons(why)}"
        if wanted != methods.AUTO:
            raise _refusal(wanted, about)
        return Keeping(wanted, stage, none, {}, about)
    return Keeping(
        wanted,
        stage,
        tuple(chosen[kind].method for kind in kinds),
        {index: chosen[kind].proof for kind, index in first.items()},
        _praise(list(chosen.values())),
    )


def _praise(chosen: list[trial.Choice]) -> str:
    names = dict.fromkeys(_NAMES[each.method] for each in chosen)
    proven = [each for each in chosen if not each.doubt]
    steps, ends = trial.AFTER_STEPS * len(proven), sum(each.episodes for each in proven)
    tried = f"a copy went on alike for {steps} steps, over {ends} ends of episodes"
    if len(proven) < len(chosen):
        tried = f"not tried: {next(each.doubt for each in chosen if each.doubt)}"
    rejected = [_reasons(each) for each in chosen if each.reasons and each.method == methods.REPLAY]
    return f"by {' and '.join(names)} ({'; '.join([tried, *rejected])})"


def _reasons(choice: trial.Choice) -> str:
    return "; ".join(f"no {_NAMES[method]}: {reason}" for method, reason in choice.reasons)


def _refusal(wanted: str, about: str) -> StateError:
    return StateError(
        f"env_state={wanted!r}, but the trial of it failed. {about}",
        "a resumed run would not go on exactly.",
        'Use env_state="auto", which takes what works, or correct the environment.',
    )

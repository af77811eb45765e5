"""The proof that an environment goes on alike: one copy plays, another one goes on from there.

Both are forked copies of the process in which the environment lives, so the training
does not notice. The first one plays over ends of episodes, is captured as for a checkpoint,
and plays on. The second one, whose environment is as fresh as in a program that is
started again, is given what was captured and has to play on alike. Whatever a method
cannot see stays behind in the first copy, and shows.

What the first copy did is kept in the checkpoints: each resumed attempt repeats
the second half, in its own process and with its own code.

Layer: integrations. Imports its siblings and checkpoint.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from evertrain.checkpoint.plugin import RawArray, Tree
from evertrain.checkpoint.tree import flatten, unflatten
from evertrain.integrations.envs import method as methods
from evertrain.integrations.envs import replay
from evertrain.integrations.envs.forked import TrialError, try_out
from evertrain.integrations.envs.generators import seed_globals
from evertrain.integrations.envs.play import Player

BEFORE_STEPS: Final = 60
AFTER_STEPS: Final = 120
TRIAL_S: Final = 30.0
_SEED: Final = 20_240_229
_KEPT_BYTES: Final = 16 << 20  # a proof that is larger is not kept for the resumes


@dataclass(frozen=True, slots=True)
class Choice:
    """How the state of one environment is kept.

    Attributes:
        method: `state`, `attributes`, `replay` or `barrier`.
        doubt: Why it could not be tried, where it is used all the same; "" if it was.
        proof: The state of the first copy, in numbers that are nobody's weights, and its marks
            from there on: what `confirm` needs. None without a trial, and if it is very large.
        episodes: Ends of episodes that the proof went over.
        reasons: Why other methods are not used: method and reason.
    """

    method: str
    proof: Tree
    episodes: int
    reasons: tuple[tuple[str, str], ...]
    doubt: str = ""


def choose(env: Any, wanted: str, *, is_alone: bool, timeout_s: float = TRIAL_S) -> Choice:
    """Return the first method that an environment passes the trial with.

    Its own `get_state` counts also where no trial is possible, for instance because its
    simulator is another process: that is its word, and nothing speaks against it. An error
    that has nothing to do with being a copy does.

    Args:
        env: The outermost wrapper.
        wanted: One of `method.CHOICES`.
        is_alone: Whether nobody else draws from the global generators of this process.
        timeout_s: Seconds of a processor that each half of a trial may take.
    """
    reasons: list[tuple[str, str]] = []
    candidates = {methods.AUTO: methods.ORDER, methods.BARRIER: ()}.get(wanted, (wanted,))
    for method in candidates:
        reason = methods.applies(env, method)
        if reason is None:
            try:
                reason, proof = _prove(env, method, is_alone=is_alone, timeout_s=timeout_s)
            except (TrialError, OSError) as error:
                reason, proof = str(error), {}
                if method == methods.STATE and getattr(error, "is_cut", True):
                    return Choice(method, None, 0, tuple(reasons), reason)
            if reason is None:
                kept = proof if _bytes(proof) <= _KEPT_BYTES else None
                return Choice(method, kept, proof["episodes"], tuple(reasons))
        reasons.append((method, reason))
    return Choice(methods.BARRIER, None, 0, tuple(reasons))


def confirm(env: Any, method: str, proof: Tree, *, timeout_s: float = TRIAL_S) -> str | None:
    """Return how a copy of an environment, given the proof, goes on differently; None if alike.

    Args:
        env: The outermost wrapper.
        method: By which the run keeps its state.
        proof: Of the same run, from this or another process.
        timeout_s: Seconds of a processor that it may take.
    """
    try:
        problem: str | None = try_out(partial(_go_on, env, method, proof), timeout_s=timeout_s)
    except (TrialError, OSError) as error:
        return str(error)
    return problem


def _prove(
    env: Any, method: str, *, is_alone: bool, timeout_s: float
) -> tuple[str | None, dict[str, Any]]:
    """Return what the trial has shown to go on differently, or None and the proof.

    Raises:
        TrialError: It did not come to an end.
        OSError: This process cannot be copied.
    """
    proof = try_out(partial(_begin, env, method, is_alone), timeout_s=timeout_s)
    if isinstance(proof, str):
        return proof, {}
    return try_out(partial(_go_on, env, method, proof), timeout_s=timeout_s), proof


def _begin(env: Any, method: str, is_alone: bool) -> dict[str, Any] | str:  # noqa: FBT001
    """Play, be captured, play on: in the first copy. Return the proof, or what is in the way."""
    seed_globals(_SEED)
    if method == methods.REPLAY:
        replay.record(env)
    env.reset(seed=_SEED)
    Player(env, _SEED).play(BEFORE_STEPS)
    reason = methods.applies(env, method)
    if reason is not None:
        return reason
    flat = flatten(methods.capture(env, method, with_globals=True), "env")
    state = {
        "skeleton": flat.skeleton,
        "arrays": {
            key: [raw.dtype, list(raw.shape), raw.data.copy()] for key, raw in flat.arrays.items()
        },
    }
    player = Player(env, _SEED + 1)
    marks = player.play(AFTER_STEPS)
    if method == methods.REPLAY and not is_alone and player.draws:
        return "its steps draw from the global generators, which others in this process use too"
    return {"state": state, "marks": marks, "episodes": player.episodes}


def _bytes(proof: Tree) -> int:
    return sum(data.nbytes for _, _, data in proof["state"]["arrays"].values())


def _state_of(proof: Tree) -> Tree:
    """Return the state in a proof as a checkpoint gives it back."""
    arrays = proof["state"]["arrays"].items()
    raw = {key: RawArray(dtype, tuple(shape), data) for key, (dtype, shape, data) in arrays}
    return unflatten(proof["state"]["skeleton"], raw)


def _go_on(env: Any, method: str, proof: Tree) -> str | None:
    """Go on from the proof: in the second copy."""
    problems = methods.restore(env, method, _state_of(proof))
    if problems:
        return problems[0]
    marks = Player(env, _SEED + 1).play(len(proof["marks"]))
    differing = [
        n for n, pair in enumerate(zip(marks, proof["marks"], strict=True)) if pair[0] != pair[1]
    ]
    if not differing:
        return None
    return f"restored, it goes on differently at step {differing[0] + 1} of {len(marks)}"

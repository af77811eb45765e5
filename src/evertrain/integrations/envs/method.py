"""The ways to keep an environment's state, each as two functions: take it, put it back.

    state       the environment's own get_state and set_state (or state_dict, load_state_dict)
    attributes  everything that its objects hold: environments in plain Python
    replay      the generators at the last reset, and the actions since: simulators
    barrier     none of these: all environments are reset on a schedule

The environments of one process are taken together: what they share is shared again.

Layer: integrations. Imports its siblings, checkpoint and core.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import gymnasium

from evertrain.checkpoint.plugin import Tree
from evertrain.core.errors import UsageError
from evertrain.integrations.envs import fill, graph, replay
from evertrain.integrations.envs.attributes import put_space, take_space
from evertrain.integrations.envs.generators import put_globals, take_globals
from evertrain.integrations.envs.layers import (
    GENERATOR,
    innermost,
    layers,
    pair_of,
    wrapper_names,
)

STATE: Final = "state"
ATTRIBUTES: Final = "attributes"
REPLAY: Final = "replay"
BARRIER: Final = "barrier"
ORDER: Final = (STATE, ATTRIBUTES, REPLAY)
AUTO: Final = "auto"
NUMBER: Final = "environment"
CHOICES: Final = (AUTO, *ORDER, BARRIER)

_SPACES: Final = ("action_space", "observation_space")


def check(wanted: object, name: str, choices: Collection[str] = CHOICES) -> None:
    """Refuse what is no way to keep the state: every door of a program asks here first.

    Args:
        wanted: What the program said.
        name: Of the argument, for people.
        choices: What it may be there.

    Raises:
        UsageError: It is none of them.
    """
    if not isinstance(wanted, str) or wanted not in choices:
        raise UsageError(
            f"{name}={wanted!r}.",
            "it says how the state of the environments is kept.",
            f"Use one of: {', '.join(choices)}.",
        )


def applies(env: Any, method: str) -> str | None:
    """Return why a method is out of the question for an environment; None if it may serve."""
    if method == STATE:
        has_pair = any(pair_of(layer) for layer in layers(env))
        return None if has_pair else "it has no get_state and set_state"
    if method == ATTRIBUTES:
        hidden = _look([env], [method]).hidden
        return unseen(_told(hidden[0])[1]) if hidden else None
    return None


def unseen(hidden: str) -> str:
    """Return for people what is wrong with something hidden, e.g. ".clock is a time.Clock"."""
    return f"{hidden}, which cannot be looked into"


def capture(env: Any, method: str, *, with_globals: bool) -> Tree:
    """Return the state of the only environment of a process; see `capture_all`."""
    return capture_all([env], [method], with_globals=with_globals)


def capture_all(envs: Sequence[Any], chosen: Sequence[str], *, with_globals: bool) -> Tree:
    """Return the state of all environments of a process, with their wrappers. Changes nothing.

    Args:
        envs: The outermost wrapper of each.
        chosen: For each `state`, `attributes` or `replay`; with `barrier`, only wrappers and
            generators are taken.
        with_globals: Whether the process runs nothing else: its generators are taken too.

    An error of an environment's own methods says in its attribute `NUMBER` whose it is.
    """
    taken = _look(envs, chosen)
    hidden = [[n, what] for n, what in map(_told, taken.hidden) if chosen[n] == ATTRIBUTES]
    owns = []
    for n, (env, method) in enumerate(zip(envs, chosen, strict=True)):
        with _of(n):
            owns.append(_own(env, method))
    return {
        "first": 0,
        "envs": owns,
        "objects": taken.nodes,
        "hidden": hidden,
        "globals": take_globals() if with_globals else None,
    }


def split(tree: Tree, number: int) -> Tree:
    """Return the part of one environment, for a process in which it is alone now.

    What it shared with others has no place there, and `restore_all` says so.
    """
    own = {p: node for p, node in tree["objects"].items() if p.startswith(f"[{number}]")}
    return {
        "first": number,
        "envs": [tree["envs"][number]],
        "objects": {"": {"list": [None] * number + [{"at": f"[{number}]"}]}, **own},
        "hidden": [[0, what] for n, what in tree["hidden"] if n == number],
        "globals": tree["globals"],
    }


def is_complete(tree: Tree, method: str) -> bool:
    """Say whether what was taken, of all of them by one method, tells the whole state."""
    return are_complete(tree, [method] * len(tree["envs"]))


def are_complete(tree: Tree, chosen: Sequence[str]) -> bool:
    """Say whether what was taken tells the whole state of every environment."""
    if tree["hidden"] or BARRIER in chosen:
        return False
    replays = [
        own["replay"] for own, way in zip(tree["envs"], chosen, strict=True) if way == REPLAY
    ]
    return all(each is not None and each["start"] is not None for each in replays)


def restore(env: Any, method: str, tree: Tree) -> list[str]:
    """Put the state of the only environment of a process back; see `restore_all`."""
    return [problem for _, problem in restore_all([env], [method], tree)]


def restore_all(envs: Sequence[Any], chosen: Sequence[str], tree: Tree) -> list[tuple[int, str]]:
    """Put a state back; the global generators last.

    Args:
        envs: Built by the program as then.
        chosen: By which methods the state was taken.
        tree: What `capture_all` returned.

    Returns:
        What is not as it was, and why, each with the environment's number; empty if everything is.
    """
    found = list(zip(envs, chosen, tree["envs"], strict=True))
    others = [(n, _other(env, own["class"])) for n, (env, _, own) in enumerate(found)]
    problems = [(n, problem) for n, problem in others if problem]
    if problems:
        return problems
    problems = [(n, unseen(what)) for n, what in tree["hidden"][:1]]
    for n, (env, method, own) in enumerate(found):
        problem = _replay(env, own["replay"]) if method == REPLAY else None
        problems += [(n, problem)] if problem else []
    problems += _fill(envs, chosen, tree)
    for n, (env, _, own) in enumerate(found):
        with _of(n):
            _put_own(env, own)
    if tree["globals"] is not None:
        put_globals(tree["globals"])
    return problems


@contextmanager
def _of(number: int) -> Iterator[None]:
    """Let an error say of which environment it is."""
    try:
        yield
    except Exception as error:
        vars(error)[NUMBER] = number
        raise


def _own(env: Any, method: str) -> Tree:
    """Return what no other environment has a part in."""
    chain = layers(env)
    pairs = {n: pair for n, layer in enumerate(chain) if (pair := pair_of(layer))}
    return {
        "class": [type(layer).__name__ for layer in chain],
        "own": {n: getattr(chain[n], pair[0])() for n, pair in pairs.items()}
        if method == STATE
        else {},
        "spaces": [_spaces(layer) for layer in chain],
        "replay": replay.capture(env) if method == REPLAY else None,
    }


def _put_own(env: Any, own: Tree) -> None:
    chain = layers(env)
    for layer, spaces in zip(chain, own["spaces"], strict=True):
        for name, space in spaces.items():
            put_space(getattr(layer, name), space)
    for n, state in own["own"].items():
        pair = pair_of(chain[n])
        if pair:
            getattr(chain[n], pair[1])(state)


def _other(env: Any, names: Sequence[str]) -> str | None:
    mine = [type(layer).__name__ for layer in layers(env)]
    return None if mine == names else f"it was {' of '.join(names)} and is {' of '.join(mine)}"


def _replay(env: Any, known: Tree) -> str | None:
    return replay.restore(env, known) if known else "its episode was not known"


def _fill(envs: Sequence[Any], chosen: Sequence[str], tree: Tree) -> list[tuple[int, str]]:
    """Put the objects back; where the program builds some in its first reset, after a reset."""
    nodes, nobody = tree["objects"], [None] * tree["first"]
    looked_into = [env for env, method in zip(envs, chosen, strict=True) if method == ATTRIBUTES]
    problems = fill.put([*nobody, *envs], nodes)
    if problems and looked_into:
        for env in looked_into:
            innermost(env).reset()
        problems = fill.put([*nobody, *envs], nodes)
    if not problems and looked_into:
        changed = graph.differences(_look(envs, chosen, tree["first"]), nodes)
        problems = [f"{path} differs" for path in changed if path]
    return [(number - tree["first"], what) for number, what in map(_told, problems[:1])]


def _look(envs: Sequence[Any], chosen: Sequence[str], first: int = 0) -> graph.Taken:
    """Take the wrappers apart; an environment itself too, if its attributes are its state."""
    chains = [layers(env) for env in envs]
    wrappers = {id(each) for chain in chains for each in chain[:-1]}
    closed = {
        id(chain[-1]) for chain, method in zip(chains, chosen, strict=True) if method != ATTRIBUTES
    }

    def names(thing: object) -> Collection[str] | None:
        if id(thing) in wrappers:
            return wrapper_names(thing)
        if hasattr(thing, "env_fns"):  # of a vector: the factories, which are code
            return vars(thing).keys() - {"env_fns"}
        return GENERATOR if id(thing) in closed else None

    return graph.take([None] * first + list(envs), names=names)


def _told(text: str) -> tuple[int, str]:
    """Take "[2].clock is ..." apart: the environment's number, and what is said of it."""
    number, _, what = text.removeprefix("[").partition("]")
    return int(number), what if what.startswith((".", "[")) else f"it{what}"


def _spaces(layer: Any) -> Tree:
    found = {name: getattr(layer, name, None) for name in _SPACES}
    return {
        name: take_space(space)
        for name, space in found.items()
        if isinstance(space, gymnasium.Space)
    }

"""`load_policy`: what a checkpoint has learned, ready to play, without its training.

What was captured says how it is put together, as plain data, under `INFERENCE`; the
plugin that captured it does the rest. A bare torch module says nothing of the kind, so
the program gives one.

Layer: integrations. Imports run, checkpoint and core.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evertrain.checkpoint.care.export import OWN, Part, find_part
from evertrain.checkpoint.directory import opened
from evertrain.checkpoint.manifest import MANIFEST, Manifest
from evertrain.checkpoint.plugin import INFERENCE, Policy, Tree, plugin_named
from evertrain.checkpoint.read import map_checkpoint, read_manifest
from evertrain.core.errors import MissingExtraError, NotFoundError, StateError, UsageError
from evertrain.core.rundir import typed_step
from evertrain.run.initial import in_run
from evertrain.run.rebuild import is_wrapped

__all__ = ["Policy", "load_policy"]


def load_policy(
    source: str | Path,
    *,
    name: str | None = None,
    module: Any = None,
    policy_id: str | None = None,
) -> Policy:
    """Return what a training has learned, ready to play: `load_policy("RUN@best").predict(obs)`.

    Nothing of the training is needed, neither its program nor its environments, as long
    as the model is made of its framework's own parts. Whatever is not (a torch module, a
    class of your own) is given as `module`. No generator is touched, no file changed.

    Args:
        source: RUN, RUN@latest, RUN@best, RUN@STEP, or a checkpoint's directory.
        name: What it is attached as, or a part of that, "agent.actor". None finds it.
        module: A torch module as the training builds it, or a function that returns one.
            It is filled with the checkpoint's weights, and stays the caller's.
        policy_id: Which policy, where several play (RLlib).

    Returns:
        An object with `predict(observation, *, deterministic=True)`. It takes one observation
        or a batch, as the environment gives them, and returns arrays. A torch module takes and
        returns what its `forward` does, and has no way to be other than deterministic.

    Raises:
        NotFoundError: There is no such run, checkpoint or part, or several could be meant.
        CorruptError: It is damaged.
        StateError: It does not fit `module`, or only the training's program can build it.
        MissingExtraError: Its framework is not installed.
        UsageError: An argument is missing, or means nothing here.
    """
    path, built = _find(source), _built(module)
    with opened(path) as directory:
        part = _choose(read_manifest(directory), name, built)
    tree = map_checkpoint(path, names=[part.owner]).state[part.owner]
    for key in part.inside:
        tree = tree[key]
    how = _how(tree)
    if how is None:
        return _of_module(tree, built, part, policy_id)
    plugin = plugin_named(how["by"])
    if plugin is None or plugin.load_policy is None:
        raise MissingExtraError(
            f"{path} holds a policy that {how['by']!r:.60} plays, which nothing here can.",
            "the package, or the plugin that knows it, is not installed.",
            "Install what the training used; evertrain doctor lists the plugins.",
        )
    return plugin.load_policy(tree, module=built, policy_id=policy_id)


def _find(source: str | Path) -> Path:
    """Return the directory of the checkpoint that `source` names."""
    path = Path(source)
    if (path / MANIFEST).is_file():
        return path
    store, which = in_run(source)
    step = typed_step(which)
    return store.load(which if step is None else step, names=()).info.path


def _built(module: Any) -> Any:
    """Return the module, or what the function returns that builds it.

    Raises:
        UsageError: It has no weights by name.
    """
    is_built = hasattr(module, "state_dict") and not isinstance(module, type)
    found = module() if callable(module) and not is_built else module
    if module is None or hasattr(found, "state_dict"):
        return found
    raise UsageError(
        f"module= is, or returns, a {type(found).__name__}.",
        "weights are put into a module.",
        "Give one, or a function that returns one, as the training builds it.",
    )


def _choose(manifest: Manifest, name: str | None, module: Any) -> Part:
    """Return the part that is meant: the one that says how it plays, or that fits the module."""
    if name is not None:
        return find_part(manifest, _path_to(name, manifest))
    own = {key: each for key, each in manifest.skeletons.items() if not key.startswith(OWN)}
    found = [key for key, each in own.items() if _how(each) is not None]
    if not found and module is not None:
        keys = set(module.state_dict())
        found = [key for key, each in own.items() if isinstance(each, dict) and each.keys() == keys]
    if len(found) == 1:
        return Part(found[0])
    several = f"several could be meant: {', '.join(found)}"
    raise NotFoundError(
        f"the checkpoint of step {manifest.step} holds {', '.join(own) or 'nothing'}.",
        f"{several if found else 'none of it says how it plays, or has the names of the module'}.",
        "Say which: load_policy(..., name='agent'), and for a torch module module=make_agent.",
    )


def _path_to(name: str, manifest: Manifest) -> str:
    """Return where "nets.actor" lies in the tree of an attached dict of modules."""
    owner, dot, rest = name.partition(".")
    is_container = bool(dot) and is_wrapped(manifest.skeletons.get(owner))
    return f"{owner}.items.{rest}" if is_container else name


def _how(tree: Tree) -> Mapping[str, Any] | None:
    """Return what a tree, or its skeleton, says about how it plays; None if it says nothing."""
    how = tree.get(INFERENCE) if isinstance(tree, dict) else None
    return how if isinstance(how, dict) and isinstance(how.get("by"), str) else None


def _of_module(tree: Tree, module: Any, part: Part, policy_id: str | None) -> Policy:
    where = ".".join((part.owner, *part.inside))
    if module is None:
        raise UsageError(
            f"{where!r} holds weights, and not how they are put together.",
            "a checkpoint holds no classes.",
            "Give a module as the training builds it: load_policy(..., module=make_agent)",
        )
    if policy_id is not None:
        raise UsageError(
            f"policy_id={policy_id!r:.60} was given for {where!r}.",
            "a module is one policy.",
            "Leave it out; name= says which of several attached things is meant.",
        )
    if not isinstance(tree, dict):
        raise StateError(
            f"{where!r} is a {type(tree).__name__}, and no module's state.",
            "its weights go by their names.",
            "Name what the training attached as a module.",
        )
    from evertrain.integrations.torch.policy import ModulePolicy

    return ModulePolicy(module, tree)

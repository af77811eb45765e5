"""A policy of RLlib from a checkpoint alone: no environment, no algorithm, no `ray.init`.

Layer: integrations. Imports its siblings, run, checkpoint and core.
"""

from collections.abc import Mapping
from typing import Any, Final

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.inference_only_api import InferenceOnlyAPI
from ray.rllib.core.rl_module.rl_module import RLModule
from ray.rllib.utils.spaces.space_utils import (
    clip_action,
    get_base_struct_from_space,
    unsquash_action,
)

from evertrain.checkpoint.plugin import INFERENCE, Tree
from evertrain.core.errors import NotFoundError, StateError, UsageError
from evertrain.integrations.rllib import inference
from evertrain.integrations.rllib.observation import batched
from evertrain.integrations.rllib.spaces import build
from evertrain.integrations.torch.module import ModuleAdapter
from evertrain.integrations.torch.weightless import SENSELESS, weightless
from evertrain.run.rng import isolated

_MODULE: Final = ModuleAdapter()


class ModulePolicy:
    """One policy of an algorithm.

    Args:
        module: With the weights of the checkpoint.
        actions: What RLlib does to an action before the environment gets it.

    Attributes:
        module: RLlib's own object.
    """

    def __init__(self, module: RLModule, actions: str | None) -> None:
        """Keep both."""
        self.module = module
        self._change = {inference.UNSQUASH: unsquash_action, inference.CLIP: clip_action}.get(
            actions or ""
        )

    def predict(self, observation: Any, *, deterministic: bool = True) -> Any:
        """Return the action for one observation, or the actions for a batch of them.

        Args:
            observation: As the environment gives it to one agent of this policy.
            deterministic: RLlib's `explore=False`: the likeliest action, or the mean. False
                draws from the policy, by torch's generator.

        Raises:
            UsageError: It is no observation that the policy takes, nor a batch of them.
        """
        space: Any = self.module.observation_space  # None only of modules of several policies
        tensors, is_batch = batched(observation, space)
        with torch.no_grad():
            actions = self._act({Columns.OBS: tensors}, deterministic=deterministic)
        if self._change is not None:
            actions = self._change(actions, get_base_struct_from_space(self.module.action_space))
        return actions if is_batch else _unbatched(actions)

    def _act(self, batch: dict[str, Any], *, deterministic: bool) -> Any:
        module = self.module
        if deterministic:
            found = module.forward_inference(batch)
            kind = module.get_inference_action_dist_cls()
        else:
            found = module.forward_exploration(batch)
            kind = module.get_exploration_action_dist_cls()
        if Columns.ACTIONS in found:
            return _arrays(found[Columns.ACTIONS])
        distribution = kind.from_logits(found[Columns.ACTION_DIST_INPUTS])
        if deterministic:
            distribution = distribution.to_deterministic()
        return _arrays(distribution.sample())


def load(tree: Tree, *, module: Any, policy_id: str | None) -> ModulePolicy:
    """Return a policy of a captured algorithm; see `evertrain.load_policy`.

    Raises:
        NotFoundError: There is no policy of that name.
        StateError: It is made of what only its program knows, does not fit `module`, or sees
            and does something else than the module alone.
        UsageError: There are several, and `policy_id` does not say which; or `module` is none.
    """
    how = tree[INFERENCE]
    if how.get("stack") != "new":
        raise StateError(
            "the checkpoint is of RLlib's old API stack.",
            "its policies are built from the whole configuration, which only the program has.",
            "Restore it into the algorithm, and use algorithm.get_policy(ID).",
        )
    name = _chosen(list(tree["weights"]), policy_id)
    change = _change(how)
    if module is None:
        known = how["policies"].get(name, {"problem": "a learner in another process"})
        module = _built(known, tree["weights"][name])
    _refuse_unplayable(module)
    weights = _needed(module, tree["weights"][name])
    problems = _MODULE.mismatches(module, weights)
    if problems:
        raise StateError(
            f"the weights of {name!r} do not fit: {problems[0].path}: {problems[0].problem}.",
            "a policy of wrong weights would play silently wrong.",
            "Give the module as the training builds it: load_policy(..., module=MODULE)",
        )
    _MODULE.restore(module, weights)
    module.eval()
    return ModulePolicy(module, change)


def _change(how: Mapping[str, Any]) -> str | None:
    """Return what RLlib does to an action, if nothing else stands around the module."""
    connectors = how.get("connectors", "somewhere (the checkpoint does not say)")
    if connectors is None:
        found: str | None = how.get("actions")
        return found
    raise StateError(
        f"the algorithm has connectors of its own {connectors!s:.80}.",
        "without them a policy sees other observations, or does other things, than in training.",
        "Let the algorithm play: restore(algorithm, PATH); or leave them out of the training.",
    )


def _refuse_unplayable(module: Any) -> None:
    if not isinstance(module, RLModule) or not isinstance(module, torch.nn.Module):
        raise UsageError(
            f"module= is a {type(module).__name__}.",
            "the checkpoint holds a module of RLlib for torch.",
            "Give the module as the training builds it: module=algorithm.get_module(ID)",
        )
    if module.is_stateful():
        raise StateError(
            "the policy is a recurrent module.",
            "what it does depends on what it saw before, which predict does not keep.",
            "Let the algorithm play: restore(algorithm, PATH).",
        )


def _needed(module: Any, weights: Tree) -> Tree:
    """Return the weights without those that only a learner needs, for a module that only plays."""
    if not module.inference_only or not issubclass(type(module), InferenceOnlyAPI):
        return weights
    mine = module.state_dict().keys()
    others = tuple(f"{each}." for each in module.get_non_inference_attributes())
    return {key: each for key, each in weights.items() if key in mine or not key.startswith(others)}


def _chosen(names: list[str], wanted: str | None) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return str(wanted)
    if wanted is None:
        raise UsageError(
            f"the algorithm has the policies {', '.join(names)}.",
            "each of them plays otherwise.",
            f"Say which: load_policy(..., policy_id={names[0]!r})",
        )
    raise NotFoundError(
        f"the algorithm has no policy {wanted!r:.60}.",
        f"it has {', '.join(names)}.",
        f"Give one of them: policy_id={names[0]!r}",
    )


def _built(how: Mapping[str, Any], weights: Tree) -> RLModule:
    """Return the module with the weights that it would begin with. Draws no random numbers.

    It is first laid out without memory and compared with the weights, so that no file makes
    this process build what it does not hold.
    """
    if "problem" in how:
        raise StateError(
            f"the policy has {how['problem']!s:.200}.",
            "only the program that trained it can build that: a checkpoint holds no classes.",
            "Give the module as the training builds it: load_policy(..., module=MODULE)",
        )
    try:
        with isolated():
            with weightless():
                laid_out: Any = _empty(how)
                problems = _MODULE.mismatches(laid_out, weights)
            if problems:
                raise ValueError(f"{problems[0].path}: {problems[0].problem}")
            return _empty(how)
    except SENSELESS as error:
        raise StateError(
            f"what the checkpoint says about its policy builds none: {error!s:.200}.",
            "it was not saved by this integration, or by another version of it.",
            "Give the module: load_policy(..., module=MODULE)",
        ) from error


def _empty(how: Mapping[str, Any]) -> RLModule:
    observations, actions = (build(each) for each in how["spaces"])
    return inference.KNOWN[how["class"]](
        observation_space=observations,
        action_space=actions,
        inference_only=False,
        model_config=dict(how["model_config"]),
    )


def _arrays(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.numpy(force=True)
    if isinstance(value, Mapping):
        return {key: _arrays(each) for key, each in value.items()}
    return tuple(map(_arrays, value)) if isinstance(value, tuple) else value


def _unbatched(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _unbatched(each) for key, each in value.items()}
    return tuple(map(_unbatched, value)) if isinstance(value, tuple) else value[0]

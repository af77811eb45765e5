"""`torch.optim.Optimizer`: every tensor and hyper-parameter comes back bit for bit.

`Optimizer.load_state_dict` casts the state to the dtype of the parameter, which
loses bits where an optimizer keeps a wider (or integer) state. So the state is
put back here, parameter by parameter, in the dtype it had.

Layer: integrations. Imports checkpoint and core.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.optim import Optimizer

from evertrain.checkpoint.plugin import Mismatch, Tree
from evertrain.integrations.torch.module import differences, on_cpu


class OptimizerAdapter:
    """Moments, counters and the hyper-parameters of each group."""

    weights = ()

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        return isinstance(thing, Optimizer)

    def capture(self, thing: Optimizer) -> Tree:
        """See `Adapter.capture`."""
        if _is_custom(thing):
            return {"class": _class(thing), "own": _map(thing.state_dict(), on_cpu)}
        state: dict[Any, Any] = dict(thing.state)
        shared = {key: value for key, value in state.items() if not isinstance(key, torch.Tensor)}
        owned = [(parameter, state.get(parameter)) for parameter, _ in _parameters(thing)]
        return {
            "class": _class(thing),
            "groups": [_hyper(group) for group in thing.param_groups],
            "shapes": _shapes(thing),
            "state": [_map(values, on_cpu) for _, values in owned],
            "off_device": [_off_device(values or {}, parameter) for parameter, values in owned],
            "shared": _map(shared, on_cpu),
        }

    def mismatches(self, thing: Optimizer, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        return self.remember(thing)(tree)

    def remember(self, thing: Optimizer) -> Callable[[Tree], Sequence[Mismatch]]:
        """See `Adapter`: the groups and their shapes. What it learns comes with the steps."""
        name, shapes = _class(thing), _shapes(thing)
        return lambda tree: _compare(name, shapes, tree)

    def restore(self, thing: Optimizer, tree: Tree) -> None:
        """See `Adapter.restore`. Groups that do not fit keep their fresh state."""
        if self.mismatches(thing, tree):
            return
        if "own" in tree:
            thing.load_state_dict(tree["own"])
            return
        for group, stored in zip(thing.param_groups, tree["groups"], strict=True):
            _set_hyper(group, stored)
        thing.state.update(tree["shared"])
        stored = zip(_parameters(thing), tree["state"], tree["off_device"], strict=True)
        for (parameter, group), values, off_device in stored:
            if values is None:
                thing.state.pop(parameter, None)
                continue
            mine = thing.state.get(parameter, {})
            thing.state[parameter] = _placed(mine, parameter, group, values, off_device)


def _compare(name: str, mine: list[list[list[int]]], tree: Tree) -> Sequence[Mismatch]:
    if not isinstance(tree, dict) or tree.get("class") != name:
        there = tree.get("class") if isinstance(tree, dict) else type(tree).__name__
        return (Mismatch("class", f"{there} there, {name} here"),)
    if "own" in tree:
        return ()
    if len(mine) != len(tree["shapes"]):
        problem = f"{len(tree['shapes'])} groups there, {len(mine)} here"
        return (Mismatch("param_groups", problem),)
    found: list[Mismatch] = []
    for index, (here, there) in enumerate(zip(mine, tree["shapes"], strict=True)):
        found += _group_mismatches(f"param_groups[{index}]", here, there)
    return found


def _shapes(optimizer: Optimizer) -> list[list[list[int]]]:
    return [[list(p.shape) for p in group["params"]] for group in optimizer.param_groups]


def _is_custom(optimizer: Optimizer) -> bool:
    """Say whether its class writes its own `state_dict`, which then alone knows its state."""
    return type(optimizer).state_dict is not Optimizer.state_dict


def _class(thing: object) -> str:
    return type(thing).__name__


def _parameters(optimizer: Optimizer) -> list[tuple[torch.Tensor, dict[str, Any]]]:
    """Return every parameter with its group, in the order of the groups."""
    return [(each, group) for group in optimizer.param_groups for each in group["params"]]


def _hyper(group: dict[str, Any]) -> Tree:
    return {key: _map(value, on_cpu) for key, value in group.items() if key != "params"}


def _set_hyper(group: dict[str, Any], stored: dict[str, Any]) -> None:
    for key, value in stored.items():
        mine = group.get(key)
        if isinstance(mine, torch.Tensor) and isinstance(value, torch.Tensor):
            if not differences(mine, value):
                mine.detach().copy_(value)  # schedulers and graphs may hold this very tensor
                continue
            value = value.to(mine.device)  # noqa: PLW2901
        group[key] = value


def _off_device(state: dict[str, Any], parameter: torch.Tensor) -> list[str]:
    """Return the keys whose tensors live beside, not on, the parameter's device."""
    return [
        str(key)
        for key, value in state.items()
        if isinstance(value, torch.Tensor) and value.device != parameter.device
    ]


def _placed(
    mine: dict[str, Any],
    parameter: torch.Tensor,
    group: dict[str, Any],
    stored: dict[str, Any],
    off_device: list[str],
) -> dict[str, Any]:
    """Return the state of one parameter, each tensor where the optimizer wants it."""
    on_device = bool(group.get("capturable") or group.get("fused"))
    placed: dict[str, Any] = {}
    for key, value in stored.items():
        is_beside = (key == "step" and not on_device) or key in off_device
        device = torch.device("cpu") if is_beside else parameter.device
        placed[key] = _reuse(mine.get(key), _map(value, _mover(device)))
    return placed


def _mover(device: torch.device) -> Any:
    return lambda value: value.to(device) if isinstance(value, torch.Tensor) else value


def _reuse(mine: Any, value: Any) -> Any:
    """Fill an existing tensor of the same kind, which a CUDA graph may hold."""
    if (
        not isinstance(mine, torch.Tensor)
        or differences(mine, value)
        or mine.device != value.device
    ):
        return value
    return mine.detach().copy_(value)


def _map(value: Any, change: Any) -> Any:
    """Return `value` with `change` applied to each leaf of its dicts and lists."""
    if isinstance(value, dict):
        return {key: _map(each, change) for key, each in value.items()}
    if type(value) in {list, tuple}:
        return type(value)(_map(each, change) for each in value)
    return change(value)


def _group_mismatches(path: str, here: list[list[int]], there: list[list[int]]) -> list[Mismatch]:
    if len(here) != len(there):
        return [Mismatch(path, f"{len(there)} parameters there, {len(here)} here")]
    return [
        Mismatch(f"{path}.params[{index}]", f"shape {tuple(old)} there, {tuple(new)} here")
        for index, (new, old) in enumerate(zip(here, there, strict=True))
        if new != old
    ]

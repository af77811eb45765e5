"""`torch.nn.Module`: captured by its `state_dict`, restored in place.

Wrappers that only prefix names (`torch.compile`, DistributedDataParallel,
DataParallel) are looked through, so a checkpoint fits with and without them.

Layer: integrations. Imports checkpoint only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch

from evertrain.checkpoint.plugin import Mismatch, Tree
from evertrain.integrations.torch.device import on_host

_COMPILED: Final = "_orig_mod."


class ModuleAdapter:
    """Parameters, persistent buffers and extra state of a module."""

    copies = True

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        return isinstance(thing, torch.nn.Module)

    def capture(self, thing: torch.nn.Module) -> Tree:
        """See `Adapter.capture`. CPU tensors are aliased, others copied to the CPU."""
        return {key: on_cpu(value) for key, value in _state(thing).items()}

    def mismatches(self, thing: torch.nn.Module, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`. Paths are the names in the `state_dict`."""
        return _compare(_state(thing), tree)

    def remember(self, thing: torch.nn.Module) -> Callable[[Tree], Sequence[Mismatch]]:
        """See `Adapter`: names, shapes and dtypes, for a loop may add layers or cast them."""
        mine = {key: _shell(value) for key, value in _state(thing).items()}
        return lambda tree: _compare(mine, tree)

    def restore(self, thing: torch.nn.Module, tree: Tree) -> None:
        """See `Adapter.restore`. What does not fit keeps its fresh value."""
        module = _inner(thing)
        mine = {_plain(key): (key, value) for key, value in module.state_dict().items()}
        fitting = {
            key: tree[name]
            for name, (key, value) in mine.items()
            if name in tree and not differences(value, tree[name])
        }
        module.load_state_dict(fitting, strict=len(fitting) == len(mine))


def _state(module: torch.nn.Module) -> dict[str, Any]:
    return {_plain(key): value for key, value in _inner(module).state_dict().items()}


def _shell(value: Any) -> Any:
    """Return a tensor without its memory; what is none is compared by its name only."""
    if not isinstance(value, torch.Tensor):
        return None
    return torch.empty(value.shape, dtype=value.dtype, device="meta")


def _compare(mine: Mapping[str, Any], tree: Tree) -> Sequence[Mismatch]:
    if not isinstance(tree, dict):
        return (Mismatch("", f"a {type(tree).__name__} there, a module here"),)
    found = [Mismatch(key, "missing in the checkpoint") for key in mine if key not in tree]
    found += [Mismatch(key, "not in the program") for key in tree if key not in mine]
    for key in mine.keys() & tree.keys():
        found += [Mismatch(key, each.problem) for each in differences(mine[key], tree[key])]
    return sorted(found, key=lambda each: each.path)


def differences(here: Any, there: Any) -> tuple[Mismatch, ...]:
    """Compare shapes and dtypes of two leaves; what is no tensor always fits."""
    if not isinstance(here, torch.Tensor):
        return ()
    if not isinstance(there, torch.Tensor):
        return (Mismatch("", f"a {type(there).__name__} there, a tensor here"),)
    if here.shape != there.shape:
        return (Mismatch("", f"shape {tuple(there.shape)} there, {tuple(here.shape)} here"),)
    if here.dtype != there.dtype:
        return (Mismatch("", f"{there.dtype} there, {here.dtype} here"),)
    return ()


def on_cpu(value: Any) -> Any:
    """Return a tensor as plain data of the CPU, sharing memory if it can; else `value`."""
    if isinstance(value, torch.Tensor) and type(value) in {torch.Tensor, torch.nn.Parameter}:
        return on_host(value)
    return value


def _inner(module: torch.nn.Module) -> torch.nn.Module:
    """Look through the wrappers that only add a prefix."""
    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    while True:
        inner = module.module if isinstance(module, parallel) else None
        children = module.__dict__.get("_modules", {})
        if "_orig_mod" in children:  # not `get`: what a script has for a dict lacks it
            inner = children["_orig_mod"]
        if inner is None:
            return module
        module = inner


def _plain(key: str) -> str:
    """Drop the prefix of compiled parts inside."""
    return key.replace(_COMPILED, "")

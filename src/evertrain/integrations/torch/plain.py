"""The smaller objects of torch: tensors, generators, gradient scalers, and a refusal.

Layer: integrations. Imports checkpoint and core.
"""

from collections.abc import Sequence

import torch
from torch.utils.data import DataLoader

from evertrain.checkpoint.plugin import Mismatch, Tree
from evertrain.core.errors import StateError
from evertrain.integrations.torch.module import differences


class TensorAdapter:
    """Tensors and parameters, filled in place."""

    copies = is_data = True

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        return isinstance(thing, torch.Tensor)

    def capture(self, thing: torch.Tensor) -> Tree:
        """See `Adapter.capture`."""
        return thing

    def mismatches(self, thing: torch.Tensor, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        return differences(thing, tree)

    def restore(self, thing: torch.Tensor, tree: Tree) -> None:
        """See `Adapter.restore`."""
        with torch.no_grad():
            thing.copy_(tree)

    def unfillable(self, thing: torch.Tensor) -> Sequence[Mismatch]:
        """See `Adapter`. An expanded tensor has one place in memory for several numbers."""
        if thing.is_inference():
            return (Mismatch("", "a tensor of inference mode"),)
        sizes = zip(thing.shape, thing.stride(), strict=True) if _is_strided(thing) else ()
        is_expanded = any(size > 1 and stride == 0 for size, stride in sizes)
        return (Mismatch("", "an expanded tensor"),) if is_expanded else ()

    def renewed(self, thing: torch.Tensor, tree: Tree) -> Tree:
        """See `Adapter`. It needs a gradient, and is a parameter, if the stored one was."""
        if not isinstance(tree, torch.Tensor) or tree.device == thing.device:
            return tree
        moved = tree.detach().to(thing.device)
        if isinstance(tree, torch.nn.Parameter):
            return torch.nn.Parameter(moved, requires_grad=tree.requires_grad)
        return moved.requires_grad_(tree.requires_grad)


def _is_strided(tensor: torch.Tensor) -> bool:
    return tensor.layout is torch.strided and not torch.nn.parameter.is_lazy(tensor)


class GeneratorAdapter:
    """Generators, set in place."""

    weights = ()

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        return isinstance(thing, torch.Generator)

    def capture(self, thing: torch.Generator) -> Tree:
        """See `Adapter.capture`."""
        return {"device": thing.device.type, "state": thing.get_state()}

    def mismatches(self, thing: torch.Generator, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`. Generators of a CPU and of a GPU cannot replace each other."""
        there = tree.get("device") if isinstance(tree, dict) else type(tree).__name__
        mine = thing.device.type
        return () if there == mine else (Mismatch("device", f"{there} there, {mine} here"),)

    def restore(self, thing: torch.Generator, tree: Tree) -> None:
        """See `Adapter.restore`."""
        thing.set_state(tree["state"].cpu())


class ScalerAdapter:
    """`torch.amp.GradScaler`."""

    weights = ()

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        return isinstance(thing, torch.amp.GradScaler)

    def capture(self, thing: torch.amp.GradScaler) -> Tree:
        """See `Adapter.capture`."""
        return thing.state_dict()

    def mismatches(self, thing: torch.amp.GradScaler, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        if bool(tree) == thing.is_enabled():
            return ()
        states = {True: "enabled", False: "disabled"}
        problem = f"{states[bool(tree)]} there, {states[thing.is_enabled()]} here"
        return (Mismatch("enabled", problem),)

    def restore(self, thing: torch.amp.GradScaler, tree: Tree) -> None:
        """See `Adapter.restore`."""
        if tree and thing.is_enabled():
            thing.load_state_dict(tree)


class DataLoaderRefusal:
    """Says why a `DataLoader` cannot be attached, and what to do instead."""

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`. A loader that knows its position is welcome as it is."""
        return isinstance(thing, DataLoader) and not hasattr(thing, "state_dict")

    def capture(self, thing: object) -> Tree:
        """Refuse.

        Raises:
            StateError: Always.
        """
        raise StateError(
            f"a {type(thing).__name__} is attached.",
            "torch's DataLoader does not know how far its iterators have come.",
            "Leave it out: with one epoch per step of the run, its shuffling follows torch's "
            "generator, which is always saved. To resume within an epoch, use torchdata's "
            "StatefulDataLoader.",
        )

    def mismatches(self, thing: object, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`. Never reached: nothing was ever stored."""
        del thing, tree
        return ()

    def restore(self, thing: object, tree: Tree) -> None:
        """See `Adapter.restore`. Never reached: nothing was ever stored."""
        del tree
        self.capture(thing)

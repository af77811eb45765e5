"""One line about an attached object, for the start-up banner.

Layer: integrations. Imports nothing from evertrain.
"""

import torch


def describe(thing: object) -> str | None:
    """Return e.g. "7,339,053 parameters on cuda:0", or None for what is not torch's."""
    if isinstance(thing, torch.nn.Module):
        return _module(thing)
    if isinstance(thing, torch.optim.Optimizer):
        rates = ", ".join(sorted({f"{float(group['lr']):g}" for group in thing.param_groups}))
        return f"{type(thing).__name__}, learning rate {rates}"
    if isinstance(thing, torch.Tensor):
        return f"{str(thing.dtype).removeprefix('torch.')} {tuple(thing.shape)} on {thing.device}"
    return None


def _module(module: torch.nn.Module) -> str:
    parameters = list(module.parameters())
    count = sum(each.numel() for each in parameters)
    devices = ", ".join(sorted({str(each.device) for each in parameters}))
    return f"{count:,} parameters on {devices}" if parameters else "no parameters"

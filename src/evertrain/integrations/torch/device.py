"""Tensors of a GPU on their way to the host.

`tensor.cpu()` waits for one tensor after the other, and goes through the driver's
small buffer piece by piece. Inside `gathering` the copies go to pinned memory, on a
stream beside the program's, and are waited for once, all together. torch keeps pinned
memory that nobody uses any more, so a later save takes no fresh one.

Layer: integrations. Imports nothing of ours.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import torch

_COPY: Final = "_evertrain_is_copy"


class Lane(Protocol):
    """What moves tensors to the host without waiting for each."""

    def takes(self, tensor: torch.Tensor) -> bool:
        """Say whether it can move this one."""

    def copy(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a contiguous copy in the host's memory, whose bytes may come later.

        Raises:
            RuntimeError: There is no memory for it.
        """

    def wait(self) -> None:
        """Return when the bytes of all copies are there."""


class CudaLane:
    """Pinned memory, and one stream for each device."""

    def __init__(self) -> None:
        """Start no stream yet: that would wake a sleeping GPU."""
        self._streams: dict[torch.device, torch.cuda.Stream] = {}

    def takes(self, tensor: torch.Tensor) -> bool:
        """See `Lane.takes`."""
        return tensor.device.type == "cuda"

    def copy(self, tensor: torch.Tensor) -> torch.Tensor:
        """See `Lane.copy`. What the program has queued before is done before."""
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        if tensor.device not in self._streams:
            self._streams[tensor.device] = torch.cuda.Stream(tensor.device)  # type: ignore[no-untyped-call]
        stream = self._streams[tensor.device]
        stream.wait_stream(torch.cuda.current_stream(tensor.device))
        with torch.cuda.stream(stream):
            host.copy_(tensor, non_blocking=True)
        return host

    def wait(self) -> None:
        """See `Lane.wait`."""
        for stream in self._streams.values():
            stream.synchronize()


class _Open(threading.local):
    """The lane of this thread, while it gathers."""

    lane: Lane | None = None
    sources: list[torch.Tensor]


_open: Final = _Open()
_CUDA: Final = CudaLane()


@contextmanager
def gathering(lane: Lane | None = None) -> Iterator[None]:
    """See `evertrain.checkpoint.plugin.gathering`."""
    if _open.lane is not None:
        yield  # the outer one waits
        return
    _open.lane, _open.sources = lane or _CUDA, []
    try:
        yield
    finally:
        lane, _open.lane = _open.lane, None
        if _open.sources:
            lane.wait()  # before the tensors that are read may go
        _open.sources = []


def on_host(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in the host's memory, detached: the same one, or a copy.

    Inside `gathering`, the bytes of a copy are there when that ends.
    """
    if is_copy(tensor):
        return tensor
    there = tensor.detach()
    lane = _open.lane if _open.lane is not None and _open.lane.takes(there) else None
    if lane is None and there.device.type == "cpu":
        return there
    host = there.cpu() if lane is None else _sent(there, lane)
    setattr(host, _COPY, True)
    return host


def is_copy(tensor: torch.Tensor) -> bool:
    """Say whether `on_host` made this tensor: then nobody else will ever change it."""
    return getattr(tensor, _COPY, False)


def _sent(tensor: torch.Tensor, lane: Lane) -> torch.Tensor:
    try:
        host = lane.copy(tensor)
    except RuntimeError:  # no more memory can be pinned: slower, and as right
        return tensor.cpu()
    _open.sources.append(tensor)
    return host

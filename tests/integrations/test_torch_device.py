"""Tensors of a GPU: copied side by side, waited for once, and never looked at too soon."""

from pathlib import Path

import numpy as np
import pytest
import torch

from evertrain import Run, Store, every
from evertrain.checkpoint.plugin import RawArray
from evertrain.integrations.torch import PLUGIN, device
from evertrain.integrations.torch.codec import raw
from evertrain.integrations.torch.device import gathering, is_copy, on_host


class LateLane:
    """Takes every tensor for one of a GPU; its bytes come when they are waited for."""

    def __init__(self, room: int = 1_000) -> None:
        """Have room for so many copies."""
        self.room = room
        self.waits = 0
        self._under_way: list[tuple[torch.Tensor, torch.Tensor]] = []

    def takes(self, tensor: torch.Tensor) -> bool:
        """Everything that is not empty."""
        return tensor.numel() > 0

    def copy(self, tensor: torch.Tensor) -> torch.Tensor:
        """Promise a copy."""
        if not self.room:
            raise RuntimeError("CUDA error: out of memory")
        self.room -= 1
        host = torch.zeros(tensor.shape, dtype=tensor.dtype)
        self._under_way.append((host, tensor))
        return host

    def wait(self) -> None:
        """Keep the promises."""
        self.waits += 1
        for host, tensor in self._under_way:
            host.copy_(tensor)
        self._under_way.clear()


@pytest.fixture
def lane(monkeypatch: pytest.MonkeyPatch) -> LateLane:
    """Return a lane that saves use."""
    late = LateLane()
    monkeypatch.setattr("evertrain.checkpoint.plugin.active", lambda: (PLUGIN,))
    monkeypatch.setattr(device, "_CUDA", late)
    return late


def test_copies_are_there_when_the_gathering_ends() -> None:
    """And they are one wait, however many there are."""
    late, tensors = LateLane(), [torch.arange(4.0), torch.eye(3)]
    with gathering(late):
        hosts = [on_host(each) for each in tensors]
        assert not any(host.any() for host in hosts)
    assert all(torch.equal(host, each) for host, each in zip(hosts, tensors, strict=True))
    assert late.waits == 1


def test_a_gathering_inside_another_waits_with_it() -> None:
    """The inner one looks at nothing."""
    outer, inner = LateLane(), LateLane()
    with gathering(outer):
        with gathering(inner):
            host = on_host(torch.ones(2))
        assert (outer.waits, inner.waits) == (0, 0)
    assert host.tolist() == [1.0, 1.0]


def test_an_error_inside_is_waited_out() -> None:
    """The device still reads the tensors, whatever has gone wrong here."""
    late = LateLane()
    with pytest.raises(ValueError, match="wrong"), gathering(late):
        host = on_host(torch.ones(2))
        raise ValueError("wrong")
    assert host.tolist() == [1.0, 1.0]
    assert not is_copy(on_host(torch.ones(2)))


def test_without_pinned_memory_it_is_copied_at_once() -> None:
    """Slower, and as right."""
    late = LateLane(room=1)
    with gathering(late):
        hosts = [on_host(torch.full((2,), 3.0)) for _ in range(2)]
        assert [host.tolist() for host in hosts] == [[0.0, 0.0], [3.0, 3.0]]
    assert hosts[0].tolist() == [3.0, 3.0]


def test_a_copy_is_not_copied_again() -> None:
    """Its bytes are the save's own: the snapshot takes them as they are."""
    tensor = torch.arange(6.0).reshape(2, 3).t()  # not contiguous
    with gathering(LateLane()):
        once = on_host(tensor)
        assert on_host(once) is once
        array = raw(once)
    assert isinstance(array, RawArray)
    assert array.is_own
    assert array.data.view(np.float32).tolist() == [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    assert not raw(torch.ones(2)).is_own


@pytest.mark.parametrize("dtype", [torch.complex64, torch.bfloat16, torch.bool, torch.float8_e5m2])
def test_every_kind_of_number(dtype: torch.dtype) -> None:
    """Conjugate views, too: their bytes are those of their values."""
    tensor = torch.tensor([1 + 2j, 3 - 1j]) if dtype.is_complex else torch.ones(2).to(dtype)
    view = tensor.conj() if dtype.is_complex else tensor
    with gathering(LateLane()):
        array = raw(view)
    assert array.data.tobytes() == raw(view.resolve_conj()).data.tobytes()


def test_a_save_waits_for_all_of_them(lane: LateLane, tmp_path: Path) -> None:
    """Leaves of plain trees as well, which the store takes itself."""
    store = Store(tmp_path)
    for step in (1, 2):
        weights = torch.full((100,), float(step))
        store.commit(store.begin(step, {"own": {"weights": weights, "still": torch.ones(50)}}))
        weights.fill_(-1.0)
    found = [store.load(step).state["own"] for step in (1, 2)]
    assert [each["weights"].unique().tolist() for each in found] == [[1.0], [2.0]]
    assert [each["still"].unique().tolist() for each in found] == [[1.0], [1.0]]
    assert lane.waits == 2


def test_a_training_is_saved_through_it(lane: LateLane, tmp_path: Path) -> None:
    """A model and its optimizer: what comes back is what was there."""

    def train(total: int) -> list[float]:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 1)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        with Run(tmp_path / "run", total=total, save=every(steps=1)) as run:
            run.attach(model=model, optimizer=optimizer)
            for _ in run:
                optimizer.zero_grad()
                model(torch.ones(4, 3)).sum().backward()
                optimizer.step()
        return [float(each) for each in model.weight.detach().reshape(-1)]

    first = train(3)
    assert train(3) == first
    assert lane.waits > 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu(tmp_path: Path) -> None:
    """What the program queued before the save is in it, and what it queues later is not."""
    store = Store(tmp_path)
    weights = torch.zeros(1_000_000, device="cuda")
    for step in range(1, 4):
        weights += 1
        pending = store.begin(step, {"own": {"weights": weights, "view": weights[::2]}})
        weights += 0.5
        store.commit(pending)
        weights -= 0.5
    for step in range(1, 4):
        found = store.load(step).state["own"]
        assert found["weights"].cpu().unique().tolist() == [float(step)]
        assert found["view"].cpu().unique().tolist() == [float(step)]

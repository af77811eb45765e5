"""Leaves of torch: every dtype and shape comes back bit for bit, or is refused by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evertrain.checkpoint import Store
from evertrain.checkpoint.plugin import Rows
from evertrain.checkpoint.tree import flatten, unflatten
from evertrain.core.errors import StateError
from evertrain.integrations.torch.codec import TensorCodec, from_bytes, raw
from evertrain.integrations.torch.rng import cuda_is_awake

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.uint16,
    torch.int32,
    torch.uint32,
    torch.int64,
    torch.uint64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz,
    torch.complex32,
    torch.complex64,
    torch.complex128,
]


def bits(tensor: torch.Tensor) -> bytes:
    """Return the bytes of a tensor."""
    return raw(tensor).data.tobytes()


def come_back(value: object) -> object:
    """Store and load a value."""
    flat = flatten({"leaf": value})
    return unflatten(flat.skeleton, flat.arrays)["leaf"]


def random_tensor(dtype: torch.dtype, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Return a tensor of random bits, NaNs of all kinds included."""
    count = int(np.prod(shape, dtype=int)) * dtype.itemsize
    data = np.random.default_rng(seed).integers(0, 256, count, dtype=np.uint8)
    if dtype is torch.bool:
        data &= 1
    if not count:
        return torch.empty(shape, dtype=dtype)
    return torch.from_numpy(data).view(dtype).reshape(shape)


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(0, 4), max_size=4).map(tuple),
    seed=st.integers(0, 2**16),
)
def test_any_dtype_and_shape_comes_back_bit_for_bit(
    dtype: torch.dtype, shape: tuple[int, ...], seed: int
) -> None:
    """Scalars, empty tensors, NaN payloads: the bits are the same."""
    tensor = random_tensor(dtype, shape, seed)

    again = come_back(tensor)

    assert isinstance(again, torch.Tensor)
    assert (again.dtype, again.shape, bits(again)) == (dtype, tensor.shape, bits(tensor))


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_view_with_gaps_comes_back(dtype: torch.dtype) -> None:
    """Transposed and strided views are stored as what they show."""
    tensor = random_tensor(dtype, (6, 4), 1)[::2].T

    again = come_back(tensor)

    assert isinstance(again, torch.Tensor)
    assert bits(again) == bits(tensor)


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_one_number_of_a_longer_row_comes_back(dtype: torch.dtype) -> None:
    """A column of a batch of one has a stride that means nothing."""
    tensor = random_tensor(dtype, (1, 4), 2)[:, 1]

    again = come_back(tensor)

    assert tensor.stride() == (4,)
    assert isinstance(again, torch.Tensor)
    assert bits(again) == bits(tensor.clone())


def test_conjugated_and_negated_views_are_resolved() -> None:
    """Lazy complex conjugation is made real before it is stored."""
    tensor = torch.tensor([1 + 2j, 3 - 4j]).conj()

    assert torch.equal(come_back(tensor), tensor)  # type: ignore[arg-type]
    assert torch.equal(come_back(tensor.imag), tensor.imag)  # type: ignore[arg-type]


def test_a_contiguous_cpu_tensor_is_not_copied() -> None:
    """Its array shares the memory of the tensor."""
    tensor = torch.zeros(8)
    array = raw(tensor)

    tensor[0] = 1.0

    assert array.data.any()


def test_what_comes_back_has_memory_of_its_own(tmp_path: Path) -> None:
    """A loaded tensor can be written to: neither the file nor a second load changes with it."""
    Store(tmp_path).save(1, {"a": torch.zeros(3), "b": Rows(torch.zeros(1 << 20, 3))})
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    assert len(files) == 8
    state = Store(tmp_path).load().state

    for tensor in state.values():
        tensor.add_(1)

    assert not any(tensor.any() for tensor in Store(tmp_path).load().state.values())
    assert {path: path.read_bytes() for path in files} == files
    assert Store(tmp_path).verify() == []


def test_what_is_mapped_lies_in_the_file_but_does_not_change_it(tmp_path: Path) -> None:
    """Writing to a mapped tensor writes to memory of one's own."""
    Store(tmp_path).save(1, {"a": torch.zeros(3)})
    mapped = Store(tmp_path).map().state["a"]

    mapped += 1

    assert mapped.tolist() == [1, 1, 1]
    assert not Store(tmp_path).load().state["a"].any()
    assert Store(tmp_path).verify() == []


@pytest.mark.parametrize(
    "value",
    [
        torch.nn.Parameter(torch.ones(2)),
        torch.nn.Parameter(torch.ones(2), requires_grad=False),
        torch.ones(2, requires_grad=True),
    ],
)
def test_parameters_and_gradient_flags_are_kept(value: torch.Tensor) -> None:
    """A parameter is one again, and needs a gradient if it did."""
    again = come_back(value)

    assert type(again) is type(value)
    assert isinstance(again, torch.Tensor)
    assert again.requires_grad == value.requires_grad


STRANGE: dict[str, Callable[[], torch.Tensor]] = {
    "not strided": lambda: torch.eye(2).to_sparse(),
    "quantized": lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
    "meta device": lambda: torch.ones(2, device="meta"),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]),
    "no shape yet": lambda: torch.nn.LazyLinear(2).weight,
}


@pytest.mark.parametrize("reason", STRANGE)
@pytest.mark.filterwarnings("ignore:.*quant.*", "ignore:.*Lazy.*", "ignore:.*nested.*")
def test_strange_tensors_are_refused_with_their_path(reason: str) -> None:
    """The error says which leaf, and what is wrong with it."""
    with pytest.raises(StateError, match=f"(?s)agent\\.layers\\[0\\].*{reason}"):
        flatten({"layers": [STRANGE[reason]()]}, "agent")


@pytest.mark.parametrize(
    "value", [torch.Size([2, 3]), torch.device("cuda:1"), torch.bfloat16, torch.Size([])], ids=str
)
def test_shapes_devices_and_dtypes_come_back(value: object) -> None:
    """They are equal, and of the same type."""
    again = come_back(value)

    assert again == value
    assert type(again) is type(value)


def test_a_generator_goes_on_where_it_was() -> None:
    """It draws what the stored one would have drawn."""
    generator = torch.Generator().manual_seed(3)
    torch.rand(5, generator=generator)
    again = come_back(generator)
    assert isinstance(again, torch.Generator)

    assert torch.equal(torch.rand(9, generator=again), torch.rand(9, generator=generator))


def test_a_tensor_that_lived_on_an_absent_gpu_comes_back_on_the_cpu() -> None:
    """Reading a checkpoint of a GPU needs none, and wakes none."""
    encoded = TensorCodec().encode(torch.ones(2))

    again = TensorCodec().decode({**encoded.meta, "device": "cuda:7"}, encoded.children)

    assert again.device.type == "cpu"
    assert not cuda_is_awake()


def test_too_few_bytes_are_an_error() -> None:
    """A leaf that does not fit its bytes is named as such."""
    with pytest.raises(StateError, match="has 8 bytes"):
        from_bytes(raw(torch.ones(2)), torch.float32, (3,))


def test_an_unknown_dtype_is_an_error() -> None:
    """A name that is no dtype of this torch is refused, whatever attribute it names."""
    encoded = TensorCodec().encode(torch.ones(2))

    with pytest.raises(StateError, match="'load'"):
        TensorCodec().decode({**encoded.meta, "dtype": "load"}, encoded.children)

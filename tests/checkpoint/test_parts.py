"""Our safetensors files are the library's, both ways, and no header is believed unseen."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evertrain.checkpoint.parts import Placed, header_bytes, parse_header, pieces, plan
from evertrain.checkpoint.plugin import RawArray
from evertrain.checkpoint.tree import flatten
from evertrain.core.errors import CorruptError, FormatError, StateError

HERE = Path("x.safetensors")


def encode(arrays: Mapping[str, RawArray]) -> bytes:
    """Return the bytes of a file with `arrays`."""
    layout = plan(arrays)
    return layout.head + b"".join(
        bytes(piece) for key in layout.places for piece in pieces(arrays[key].data)
    )


def parse(data: bytes) -> dict[str, Placed]:
    """Return what the header of a file says."""
    return parse_header(data[: header_bytes(data[:8], len(data), HERE)], len(data), HERE)


native = st.sampled_from(
    ["?", "u1", "i1", "<u2", "<i2", "<f2", "<u4", "<i4", "<f4", "<u8", "<i8", "<f8"]
)
some_arrays = st.dictionaries(
    st.text(max_size=9).filter(lambda key: key != "__metadata__"),
    hnp.arrays(native, hnp.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=4)),
    max_size=5,
)


@settings(deadline=None)
@given(arrays=some_arrays)
def test_the_library_reads_ours(arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    """The safetensors library finds the same arrays, bit for bit, in a file of ours."""
    flat = flatten(list(arrays.values()))
    named = dict(zip(arrays, flat.arrays.values(), strict=True))
    found = safetensors.numpy.load(encode(named))
    assert found.keys() == arrays.keys()
    for key, array in found.items():
        assert (array.dtype, array.shape) == (arrays[key].dtype, arrays[key].shape)
        assert array.tobytes() == arrays[key].tobytes()


@settings(deadline=None)
@given(arrays=some_arrays, metadata=st.none() | st.just({"format": "pt"}))
def test_we_read_the_library(
    arrays: dict[str, np.ndarray[Any, Any]], metadata: dict[str, str] | None
) -> None:
    """We find the same arrays in a file of the library, with or without metadata."""
    contiguous = {key: array.copy() for key, array in arrays.items()}
    data = safetensors.numpy.save(contiguous, metadata)
    places = parse(data)
    assert places.keys() == arrays.keys()
    for key, place in places.items():
        assert place.shape == arrays[key].shape
        assert data[place.offset : place.offset + place.bytes] == arrays[key].tobytes()


def test_bfloat16_for_the_library() -> None:
    """A bfloat16 array is a BF16 tensor to everybody else."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import load

    tensor = torch.arange(6).to(torch.bfloat16).reshape(2, 3)
    raw = RawArray("BF16", (2, 3), tensor.reshape(-1).view(torch.uint8).numpy())
    found = load(encode({"w": raw}))["w"]
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, tensor)


def test_arrays_start_aligned() -> None:
    """Larger items come first, so every array starts at a multiple of its item size."""
    arrays = flatten([np.zeros(3, "u1"), np.zeros(3, "f8"), np.zeros(3, "f2"), np.zeros(1, "f4")])
    for place, size in zip(plan(arrays.arrays).places.values(), (8, 4, 2, 1), strict=True):
        assert place.offset % size == 0


def test_same_arrays_same_bytes() -> None:
    """The file depends on the arrays alone, so digests of equal state are equal."""
    arrays = flatten({"b": np.zeros(3), "a": np.ones(2)}).arrays
    assert encode(arrays) == encode(dict(arrays))


def test_pieces_share_memory() -> None:
    """What is written is the array's own memory, in bounded pieces."""
    data = np.zeros(5 << 20, np.uint8)
    found = list(pieces(data))
    assert max(map(len, found)) <= 1 << 20
    assert sum(map(len, found)) == data.size
    assert all(np.shares_memory(np.frombuffer(each, np.uint8), data) for each in found)


@pytest.mark.parametrize(
    "raw",
    [
        RawArray("F32", (3,), np.zeros(8, np.uint8)),
        RawArray("F99", (8,), np.zeros(8, np.uint8)),
        RawArray("F32", (2,), np.zeros(2, np.float32)),
        RawArray("U8", (4,), np.zeros(8, np.uint8)[::2]),
    ],
    ids=["size", "dtype", "not bytes", "strided"],
)
def test_bad_raw_arrays(raw: RawArray) -> None:
    """A plugin's mistake is caught before it is on disk."""
    with pytest.raises((StateError, FormatError)):
        plan({"a": raw})


def file_of(header: Any, body: bytes = b"") -> bytes:
    """Return a file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(dtype: Any = "U8", shape: Any = (4,), offsets: Any = (0, 4)) -> dict[str, Any]:
    """Return the header of one array."""
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\x02",
        struct.pack("<Q", 2**63),
        struct.pack("<Q", 100) + b"{}",
        file_of(b"[]"),
        file_of(b"\xff\xfe"),
        file_of(b'{"a":1'),
        file_of(b'{"a":{},"a":{}}'),
        file_of(b'{"a":NaN}'),
        file_of(b"[" * 100_000),
        file_of(b'{"a":' * 10_000),
        file_of({"a": 5}),
        file_of({"a": {}}),
        file_of(entry(shape=(-4,)), b"1234"),
        file_of(entry(shape=(2**62, 4)), b"1234"),
        file_of(entry(shape=(2**31, 2**31, 2**31)), b"1234"),
        file_of(entry(shape=(4.0,)), b"1234"),
        file_of(entry(shape=(True, 4)), b"1234"),
        file_of(entry(shape="4"), b"1234"),
        file_of(entry(shape=(1,) * 65, offsets=(0, 1)), b"1"),
        file_of(entry(offsets=(0, 5)), b"12345"),
        file_of(entry(offsets=(4, 0)), b"1234"),
        file_of(entry(offsets=(-4, 0)), b"1234"),
        file_of(entry(offsets=(1, 5)), b"12345"),
        file_of(entry(offsets=(0, 4, 8)), b"1234"),
        file_of(entry(), b"123"),
        file_of(entry(), b"12345"),
        file_of({**entry(), "b": entry()["a"]}, b"1234"),
    ],
)
def test_hostile_headers(data: bytes) -> None:
    """A header that lies about anything is refused before anything is allocated."""
    with pytest.raises(CorruptError):
        parse(data)


def test_unknown_dtype() -> None:
    """A dtype of the future is no damage: it asks for a newer version."""
    with pytest.raises(FormatError, match="F4X"):
        parse(file_of(entry(dtype="F4X"), b"1234"))


@settings(deadline=None)
@given(data=st.binary(max_size=80))
def test_any_bytes(data: bytes) -> None:
    """Random bytes are refused, not read."""
    with pytest.raises(CorruptError):
        parse(data)

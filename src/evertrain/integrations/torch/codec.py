"""Leaves of torch types, taken apart into bytes and JSON.

A contiguous CPU tensor is not copied: its `RawArray` shares its memory. Every
dtype is kept; those without a name in safetensors travel as bytes with their
dtype beside them.

Layer: integrations. Imports checkpoint and core.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

from evertrain.checkpoint.plugin import Encoded, Meta, RawArray, Tree
from evertrain.checkpoint.tree.kinds import Unstorable
from evertrain.core.errors import StateError
from evertrain.integrations.torch.device import is_copy, on_host
from evertrain.integrations.torch.rng import cuda_is_awake

# dtypes that safetensors has a name for; the names of the rest would need a newer reader.
_NAMES: Final = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.uint16: "U16",
    torch.int32: "I32",
    torch.uint32: "U32",
    torch.int64: "I64",
    torch.uint64: "U64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}


_DTYPES: Final = {name: dtype for dtype, name in _NAMES.items()}


class TensorCodec:
    """Strided tensors of any dtype, and parameters."""

    name = "torch.tensor"

    def accepts(self, value: object) -> bool:
        """See `Codec.accepts`."""
        return isinstance(value, torch.Tensor)

    def encode(self, value: torch.Tensor) -> Encoded:
        """See `Codec.encode`. Shares memory with a contiguous CPU tensor.

        Raises:
            Unstorable: It is not a plain strided tensor: sparse, nested, quantized,
                on the meta device, not initialized yet, or of a foreign subclass.
        """
        _refuse_strange(value)
        meta: Meta = {
            "dtype": _short(value.dtype),
            "shape": list(value.shape),
            "device": str(value.device),
            "requires_grad": value.requires_grad,
            "is_parameter": isinstance(value, torch.nn.Parameter),
        }
        return Encoded(meta, {"data": raw(value)})

    def decode(self, meta: Meta, children: Mapping[str, Tree]) -> torch.Tensor:
        """See `Codec.decode`. The device is the old one if this process uses it, else the CPU."""
        dtype = _attribute(meta["dtype"], torch.dtype)
        tensor = from_bytes(children["data"], dtype, tuple(meta["shape"]))
        tensor = tensor.to(_device_in_use(meta["device"]))
        if meta["is_parameter"]:
            return torch.nn.Parameter(tensor, requires_grad=meta["requires_grad"])
        return tensor.requires_grad_(meta["requires_grad"])


class SizeCodec:
    """Shapes."""

    name = "torch.size"

    def accepts(self, value: object) -> bool:
        """See `Codec.accepts`."""
        return isinstance(value, torch.Size)

    def encode(self, value: torch.Size) -> Encoded:
        """See `Codec.encode`."""
        return Encoded({"sizes": list(value)})

    def decode(self, meta: Meta, children: Mapping[str, Tree]) -> torch.Size:
        """See `Codec.decode`."""
        del children
        return torch.Size(meta["sizes"])


class DeviceCodec:
    """Devices, by name. One that this machine lacks still has a name."""

    name = "torch.device"

    def accepts(self, value: object) -> bool:
        """See `Codec.accepts`."""
        return isinstance(value, torch.device)

    def encode(self, value: torch.device) -> Encoded:
        """See `Codec.encode`."""
        return Encoded({"device": str(value)})

    def decode(self, meta: Meta, children: Mapping[str, Tree]) -> torch.device:
        """See `Codec.decode`."""
        del children
        return torch.device(meta["device"])


class DtypeCodec:
    """Dtypes, by name."""

    name = "torch.dtype"

    def accepts(self, value: object) -> bool:
        """See `Codec.accepts`."""
        return isinstance(value, torch.dtype)

    def encode(self, value: torch.dtype) -> Encoded:
        """See `Codec.encode`."""
        return Encoded({"dtype": _short(value)})

    def decode(self, meta: Meta, children: Mapping[str, Tree]) -> torch.dtype:
        """See `Codec.decode`."""
        del children
        return _attribute(meta["dtype"], torch.dtype)


class GeneratorCodec:
    """Generators: their state and their device."""

    name = "torch.generator"

    def accepts(self, value: object) -> bool:
        """See `Codec.accepts`."""
        return isinstance(value, torch.Generator)

    def encode(self, value: torch.Generator) -> Encoded:
        """See `Codec.encode`."""
        return Encoded({"device": str(value.device)}, {"state": raw(value.get_state())})

    def decode(self, meta: Meta, children: Mapping[str, Tree]) -> torch.Generator:
        """See `Codec.decode`.

        Raises:
            RuntimeError: It lived on a device that this process does not have.
        """
        generator = torch.Generator(meta["device"])
        state = children["state"]
        generator.set_state(from_bytes(state, torch.uint8, state.shape))
        return generator


def raw(tensor: torch.Tensor) -> RawArray:
    """Return the bytes of a strided tensor, shared where it is contiguous and on the CPU.

    Inside `gathering`, those of a GPU are there when that ends.
    """
    plain = on_host(tensor).resolve_conj().resolve_neg()
    if plain.is_complex():
        plain = torch.view_as_real(plain)  # pairs of numbers: complex32 has few operations
    flat = plain.contiguous().reshape(-1)
    data: np.ndarray[Any, np.dtype[np.uint8]] = np.empty(0, np.uint8)
    if flat.numel():  # a single number counts as contiguous whatever its stride
        data = flat.as_strided(flat.shape, (1,)).view(torch.uint8).numpy()
    is_alias = flat.untyped_storage().data_ptr() == _address(tensor)
    is_own = tensor.numel() > 0 and (is_copy(tensor) or not is_alias)
    named = _NAMES.get(tensor.dtype)
    if named is None:
        return RawArray("U8", data.shape, data, is_own)
    return RawArray(named, tuple(tensor.shape), data, is_own)


def _address(tensor: torch.Tensor) -> int:
    """Return where the memory of a tensor begins, or 0 on another device than the CPU."""
    return tensor.untyped_storage().data_ptr() if tensor.device.type == "cpu" else 0


def from_bytes(array: RawArray, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    """Return a CPU tensor made of the bytes of `array`; it shares their memory if it can.

    Raises:
        StateError: There are too few bytes, or too many.
    """
    wanted = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    data = array.data.reshape(-1)
    if not data.flags.writeable or data.ctypes.data % dtype.itemsize:
        data = data.copy()
    if data.size != wanted:
        raise StateError(
            f"a tensor {_short(dtype)} {shape} has {data.size} bytes.",
            f"it needs {wanted}.",
            "Resume from an older checkpoint (evertrain ls RUN; --resume STEP).",
        )
    if not wanted:
        return torch.empty(shape, dtype=dtype)
    return torch.from_numpy(data).view(dtype).reshape(shape)


def as_tensor(array: RawArray) -> torch.Tensor:
    """Return a fresh CPU tensor of an array that another program has stored.

    Raises:
        StateError: torch has no such dtype.
    """
    dtype = _DTYPES.get(array.dtype)
    if dtype is None:
        raise StateError(
            f"an array has the dtype {array.dtype}.",
            f"evertrain knows no dtype of torch {torch.__version__} for it.",
            "Convert it with the program that wrote it.",
        )
    return from_bytes(array, dtype, array.shape)


def _refuse_strange(tensor: torch.Tensor) -> None:
    problem = _problem(tensor)
    if problem:
        raise Unstorable(
            f"it {problem}; evertrain stores plain strided tensors, bit for bit.",
            "Attach the plain tensors it is made of, or convert it before it is saved.",
        )


def _problem(tensor: torch.Tensor) -> str | None:
    if torch.nn.parameter.is_lazy(tensor):
        return "has no shape yet (lazy module): run the module once before attaching it"
    if type(tensor) not in {torch.Tensor, torch.nn.Parameter}:
        return "is of a subclass whose parts are unknown"
    if tensor.is_quantized:
        return f"is quantized ({_short(tensor.dtype)})"
    if tensor.is_nested or tensor.layout is not torch.strided:
        return f"is not strided ({'nested' if tensor.is_nested else tensor.layout})"
    if tensor.device.type == "meta":
        return "is on the meta device and has no values"
    return None


def _device_in_use(name: str) -> torch.device:
    """Return the device if this process already uses it; reading must not wake a GPU."""
    device = torch.device(name)
    if device.type != "cuda":
        return device if device.type == "cpu" else torch.device("cpu")
    is_there = cuda_is_awake() and (device.index or 0) < torch.cuda.device_count()
    return device if is_there else torch.device("cpu")


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _attribute(name: str, kind: type[torch.dtype]) -> torch.dtype:
    found = getattr(torch, name, None)
    if not isinstance(found, kind):
        raise StateError(
            f"a tensor has the dtype {name!r}.",
            f"torch {torch.__version__} has none of that name.",
            "Read the checkpoint with the version of torch that wrote it.",
        )
    return found

"""Numpy arrays and scalars as bytes, and back.

What safetensors has a name for is stored under that name. Everything else
(big-endian, complex, structured, text, times, 80-bit floats) is stored as U8,
and the skeleton says what the bytes mean. A Fortran-ordered array keeps its
order: libraries choose their algorithm by it, and round accordingly.

Layer: checkpoint. Imports core only.
"""

import sys
from typing import TYPE_CHECKING, Any, Final, cast

from evertrain.checkpoint.plugin import RawArray
from evertrain.checkpoint.tree.kinds import Json, Unstorable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Dtype = np.dtype[Any]

NATIVE: Final = {
    "|b1": "BOOL",
    "|u1": "U8",
    "|i1": "I8",
    "<u2": "U16",
    "<i2": "I16",
    "<f2": "F16",
    "<u4": "U32",
    "<i4": "I32",
    "<f4": "F32",
    "<u8": "U64",
    "<i8": "I64",
    "<f8": "F64",
}
_FROM_NATIVE: Final = {name: descr for descr, name in NATIVE.items()}
_PLAIN_ARRAY: Final = "Store a plain array instead: numpy.asarray(...)."


def is_array(value: object) -> bool:
    """Say whether `value` is a numpy array of any kind."""
    np = sys.modules.get("numpy")
    return np is not None and isinstance(value, np.ndarray)


def is_scalar(value: object) -> bool:
    """Say whether `value` is a numpy scalar."""
    np = sys.modules.get("numpy")
    return np is not None and isinstance(value, np.generic)


def array_to_raw(array: "Array") -> tuple[RawArray, dict[str, Json]]:
    """Return the array's bytes, and what the skeleton must say besides the key.

    The bytes share the array's memory, unless it is strided: then they are a copy.

    Raises:
        Unstorable: It holds Python objects, or is a subclass with more state.
    """
    import numpy as np

    if type(array) not in {np.ndarray, np.memmap}:
        raise Unstorable(f"{type(array).__qualname__} holds more than an array does.", _PLAIN_ARRAY)
    about: dict[str, Json] = {}
    name = NATIVE.get(array.dtype.str) if array.dtype.names is None else None
    descr = None if name is not None else _descr(array.dtype)
    array = array.view(np.ndarray)
    is_own = False
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        about["order"] = "F"
        array = array.T
    elif not array.flags.c_contiguous:
        array, is_own = array.copy(order="C"), True
    data = _bytes_of(array)
    if name is not None:
        return RawArray(name, array.shape, data, is_own), about
    about |= {"descr": descr, "shape": list(array.shape)}
    return RawArray("U8", (data.size,), data, is_own), about


def raw_to_array(raw: RawArray, about: dict[str, Json]) -> "Array":
    """Return the array whose bytes are `raw`; it shares their memory where it can.

    Raises:
        ValueError: The description does not fit the bytes, or means Python objects.
        TypeError: It is not a description.
    """
    import numpy as np

    dtype = _dtype(about["descr"]) if "descr" in about else np.dtype(_FROM_NATIVE[raw.dtype])
    shape = tuple(about["shape"]) if "descr" in about else raw.shape
    array = _build(shape, dtype, raw.data)
    order = about.get("order", "C")
    if order not in {"C", "F"}:
        raise ValueError(f"order {order!r}")
    return array.T if order == "F" else array


def scalar_to_json(value: "np.generic[Any]") -> dict[str, Json]:
    """Return a numpy scalar as JSON.

    Raises:
        Unstorable: It holds Python objects.
    """
    import numpy as np

    if isinstance(value, (np.str_, np.bytes_)):
        # Their trailing NULs would not survive in an array.
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, np.str_) else value
        return {"descr": "U" if isinstance(value, np.str_) else "S", "hex": bytes(data).hex()}
    return {"descr": _descr(value.dtype), "hex": value.tobytes().hex()}


def scalar_from_json(node: dict[str, Json]) -> "np.generic[Any]":
    """Return the numpy scalar that `node` describes.

    Raises:
        ValueError: The description does not fit the bytes, or means Python objects.
        TypeError: It is not a description.
    """
    import numpy as np

    data = bytes.fromhex(node["hex"])
    if node["descr"] == "U":
        return np.str_(data.decode("utf-8", "surrogatepass"))
    if node["descr"] == "S":
        return np.bytes_(data)
    dtype = _dtype(node["descr"])
    array = _build((), dtype, np.frombuffer(bytearray(data), np.uint8))
    return cast("np.generic[Any]", array[()])


def _bytes_of(array: "Array") -> "npt.NDArray[np.uint8]":
    """Return the bytes of a C-contiguous array, sharing its memory."""
    import numpy as np

    if array.nbytes == 0:
        return np.empty(0, np.uint8)
    return array.reshape(-1).view(np.uint8)


def _build(shape: tuple[int, ...], dtype: "Dtype", data: "npt.NDArray[np.uint8]") -> "Array":
    import numpy as np

    count = 1
    if len(shape) > _MAX_DIMS:
        raise ValueError(f"{len(shape)} dimensions")
    for size in shape:
        if type(size) is not int or not 0 <= size <= _MAX_SIZE:
            raise ValueError(f"shape {shape!r:.60}")
        count *= size
    if count * dtype.itemsize != data.size or count > _MAX_ITEMS:
        raise ValueError(f"{data.size} bytes are not shape {shape!r:.60} of {dtype!s:.60}")
    if data.size == 0:
        return np.zeros(shape, dtype)
    array: Array = np.ndarray(shape, dtype, buffer=data.data)
    return array if array.flags.aligned else array.copy()


def _descr(dtype: "Dtype") -> Json:
    """Return a dtype as JSON, only if it comes back equal."""
    if dtype.hasobject:
        raise Unstorable(
            f"an array of dtype {dtype} holds Python objects.",
            "Turn it into a list, or into an array of numbers.",
        )
    try:
        descr = _lists(_format().dtype_to_descr(dtype)) if dtype.isbuiltin != _USER else None
        if descr is not None and _dtype(descr) == dtype:
            return descr
    except (ValueError, TypeError):
        pass
    raise Unstorable(
        f"dtype {dtype} has no description that numpy reads back.",
        "Convert the array: array.astype(...) or array.view(...).",
    )


_MAX_ITEMS: Final = 2**48  # bounds arrays whose items have no bytes
_MAX_SIZE: Final = 2**62
_MAX_DIMS: Final = 64
_USER: Final = 2  # numpy.dtype.isbuiltin of types that other packages add


def _dtype(descr: Json) -> "Dtype":
    dtype: Dtype = _format().descr_to_dtype(_tuples(descr))
    if dtype.hasobject:
        raise ValueError(f"{descr!r:.60} means Python objects")
    return dtype


def _format() -> Any:
    """Return numpy's own description of dtypes, which has no type hints."""
    import numpy as np

    return np.lib.format


def _lists(descr: Any) -> Json:
    return [_lists(each) for each in descr] if isinstance(descr, (list, tuple)) else descr


def _tuples(descr: Json) -> Any:
    """Turn JSON back into numpy's description: a list of (name, type, shape) tuples."""
    if isinstance(descr, str):
        return descr
    if not isinstance(descr, list):
        raise TypeError(f"{descr!r:.60} is no description of a dtype")
    if _is_subarray(descr):
        return (_tuples(descr[0]), tuple(descr[1]))
    return [_field(each) for each in descr]


def _is_subarray(descr: list[Json]) -> bool:
    is_pair = len(descr) == 2 and isinstance(descr[1], list)  # noqa: PLR2004
    return is_pair and all(type(size) is int for size in descr[1]) and bool(descr[1])


def _field(each: Json) -> tuple[Any, ...]:
    if not isinstance(each, list) or len(each) not in {2, 3}:
        raise TypeError(f"{each!r:.60} is no field of a dtype")
    name = tuple(each[0]) if isinstance(each[0], list) else each[0]
    return (name, _tuples(each[1]), *(tuple(shape) for shape in each[2:]))

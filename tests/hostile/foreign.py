"""Files of weights as strangers leave them: zips, pickles and safetensors that lie."""

import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from typing import Any, Final

from hostile.documents import nested
from hostile.witness import Payload


def safetensors(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """Return a file with that header, which claims to be `length` bytes long."""
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def tensors(data: Any = bytes(96), **rows: Any) -> bytes:
    """Return a file of arrays as they are declared: dtype, shape, offsets."""
    header = {
        name: {"dtype": row[0], "shape": row[1], "data_offsets": row[2]}
        for name, row in rows.items()
    }
    return safetensors(json.dumps(header).encode(), data)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED, **more: Any) -> bytes:
    """Return a zip; torch and SB3 store, numpy deflates."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method, **more) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out.getvalue()


def torch_zip(data: bytes, **members: bytes) -> bytes:
    """Return what `torch.load` takes for its own, with that pickle inside."""
    parts = {"archive/data.pkl": data, "archive/version": b"3\n", "archive/byteorder": b"little"}
    return zipped(parts | {f"archive/{name}": value for name, value in members.items()})


def overlapping(count: int = 2_000) -> bytes:
    """Return a zip of which every member is the same megabyte of zeros."""
    data = bytearray(zipped({"a": bytes(1 << 20)}, zipfile.ZIP_DEFLATED))
    start = data.rindex(b"PK\x01\x02")
    end = data.rindex(b"PK\x05\x06")
    entry = bytes(data[start:end])
    tail = bytearray(data[end:])
    struct.pack_into("<HHI", tail, 8, count, count, len(entry) * count)
    return bytes(data[:start]) + entry * count + bytes(tail)


def claiming(size: int) -> bytes:
    """Return a zip whose end says that its directory has `size` bytes."""
    data = bytearray(zipped({"a": b"x"}))
    struct.pack_into("<I", data, data.rindex(b"PK\x05\x06") + 12, size)
    return bytes(data)


def opcodes(*codes: bytes) -> bytes:
    """Return a pickle of these opcodes, ended as it should be."""
    return b"\x80\x04" + b"".join(codes) + b"."


def laughing(levels: int = 40) -> Any:
    """Return a mapping that holds the same smaller one ten times, and so on down."""
    found: Any = {"x": 1}
    for _ in range(levels):
        found = {str(index): found for index in range(10)}
    return found


def endless() -> Any:
    """Return a mapping that holds itself."""
    found: dict[str, Any] = {}
    found["w"] = found
    return found


SAFETENSORS: Final[dict[str, bytes]] = {
    "nothing": b"",
    "seven bytes": b"\0" * 7,
    "a header of 2**63 bytes": safetensors(b"{}", length=1 << 63),
    "a header of 99 MB that is not there": safetensors(b"{}", length=99_000_000),
    "no JSON": safetensors(b"PK\x03\x04"),
    "a pickle": pickle.dumps(Payload()),
    "a pickle in the header": safetensors(pickle.dumps(Payload())),
    "lists 20,000 deep": safetensors(nested(20_000)),
    "a list": safetensors(b"[]"),
    "a number": safetensors(b"7"),
    "NaN": safetensors(b'{"w":NaN}'),
    "a key twice": safetensors(b'{"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
                               b'"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
    "10,000 digits": safetensors(b'{"w":{"dtype":"U8","shape":[' + b"9" * 10_000 +
                                 b'],"data_offsets":[0,0]}}'),
    "overlapping": tensors(a=("U8", [96], [0, 96]), b=("U8", [96], [0, 96])),
    "a gap": tensors(a=("U8", [4], [0, 4]), b=("U8", [4], [92, 96])),
    "beyond its end": tensors(a=("U8", [960], [0, 960])),
    "before its start": tensors(a=("U8", [96], [-96, 0])),
    "the wrong way round": tensors(a=("U8", [96], [96, 0])),
    "another size": tensors(a=("F64", [96], [0, 96])),
    "a product that overflows": tensors(b"", a=("U8", [1 << 32, 1 << 32], [0, 0])),
    "none times a giant": tensors(b"", a=("F32", [0, 1 << 61], [0, 0])),
    "a giant times none": tensors(b"", a=("F32", [1 << 61, 0], [0, 0])),
    "a hundred dimensions": tensors(b"", a=("F32", [0] * 100, [0, 0])),
    "a negative shape": tensors(a=("U8", [-96], [0, 96])),
    "a true shape": tensors(b"\0", a=("U8", [True], [0, 1])),
    "a float as offset": tensors(a=("U8", [96], [0.0, 96.0])),
    "an unknown dtype": tensors(a=("O", [12], [0, 96])),
    "a dtype like a module": tensors(a=("os.system", [12], [0, 96])),
    "a name of 100,000 letters": tensors(**{"w" * 100_000: ("U8", [96], [0, 96])}),
    "a name to obey": tensors(**{"\x1b[2J\r\nw": ("U8", [96], [0, 96])}),
}  # fmt: skip

ZIPS: Final[dict[str, bytes]] = {
    "half of one": zipped({"a": b"x" * 999})[:500],
    "only its mark": b"PK\x03\x04",
    "a directory of four gigabytes": claiming(0xFFFFFF00),
    "overlapping members": overlapping(),
    "a way up": zipped({"../../evil": b"x", "/evil": b"x"}),
    "names twice": zipped({"a": b"x"})[:-22] + zipped({"a": b"y"}),
    "a payload": torch_zip(pickle.dumps(Payload(), protocol=2)),
    "a payload in every slot": torch_zip(
        pickle.dumps(Payload(), protocol=2),
        **dict.fromkeys(("version", "byteorder", "data/0"), pickle.dumps(Payload())),
    ),
    "an SB3 model of payloads": zipped(
        {
            "data": json.dumps({"policy_class": {":serialized:": "gASV"}}).encode(),
            "policy.pth": pickle.dumps(Payload()),
            "pytorch_variables.pth": pickle.dumps(Payload()),
            "_stable_baselines3_version": b"9.9",
        }
    ),
    "a mapping in itself": torch_zip(pickle.dumps(endless(), protocol=2)),
    "a mapping that laughs": torch_zip(pickle.dumps(laughing(), protocol=2)),
    "numbers as names": torch_zip(pickle.dumps({1: 2, (3,): 4, None: 5}, protocol=2)),
    "an integer of 40,000 digits": torch_zip(pickle.dumps({10**4_999: 10**4_999}, protocol=2)),
    "an ordered dict of texts": torch_zip(pickle.dumps(OrderedDict(w="x"), protocol=2)),
    "a list": torch_zip(pickle.dumps([1, 2], protocol=2)),
}

PICKLES: Final[dict[str, bytes]] = {
    "a payload": pickle.dumps(Payload()),
    "a payload of protocol 0": pickle.dumps(Payload(), protocol=0),
    "a payload behind another pickle": pickle.dumps({}) + pickle.dumps(Payload()),
    "bytes of 2**62": opcodes(b"\x8e" + struct.pack("<Q", 1 << 62)),
    "bytes of 2**64 - 1": opcodes(b"\x8e" + b"\xff" * 8),
    "a text of four gigabytes": opcodes(b"X" + b"\xff" * 4),
    "a negative length": opcodes(b"T" + b"\xff" * 4),
    "an integer of two gigabytes": opcodes(b"\x8b" + struct.pack("<i", 2**31 - 1)),
    "a line that never ends": b"I" + b"9" * 3_000_000,
    "an integer of 10,000 digits": b"I" + b"9" * 10_000 + b"\n.",
    "no opcode": b"\x80\x04\xfe.",
    "a stack that runs out": opcodes(b"0" * 99),
    "a memo that is not there": opcodes(b"h\x07"),
    "an extension": opcodes(b"\x82\x01"),
    "a frame of 2**60": opcodes(b"\x95" + struct.pack("<Q", 1 << 60)),
}

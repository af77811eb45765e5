"""Leaves of a framework go through its plugin, and errors of a plugin are no damage."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from evertrain.checkpoint import plugin
from evertrain.checkpoint.plugin import Encoded, Plugin, RawArray
from evertrain.checkpoint.tree import flatten, unflatten
from evertrain.core.errors import StateError


class Tensor:
    """A leaf of a framework."""

    def __init__(self, data: bytes, **meta: Any) -> None:
        """Keep both."""
        self.data = data
        self.meta = meta


class TensorCodec:
    """Stores a `Tensor` as one array."""

    name = "tests.tensor"
    part = "data"

    def accepts(self, value: object) -> bool:
        """See `Codec.accepts`."""
        return isinstance(value, Tensor)

    def encode(self, value: Tensor) -> Encoded:
        """See `Codec.encode`."""
        raw = RawArray("U8", (len(value.data),), np.frombuffer(value.data, np.uint8))
        return Encoded(value.meta, {self.part: raw})

    def decode(self, meta: Mapping[str, Any], children: Mapping[str, Any]) -> Tensor:
        """See `Codec.decode`."""
        return Tensor(children["data"].data.tobytes(), **meta)


@pytest.fixture
def codec(monkeypatch: pytest.MonkeyPatch) -> TensorCodec:
    """Provide a codec that is active."""
    codec = TensorCodec()
    monkeypatch.setattr(plugin, "active", lambda: (Plugin(codecs=(codec,)),))
    monkeypatch.setattr(plugin, "codec_named", lambda _: codec)
    return codec


@pytest.mark.usefixtures("codec")
def test_round_trip() -> None:
    """A leaf comes back through its codec, and its array is called what the leaf is called."""
    flat = flatten({"net": {"0.weight": Tensor(b"abc", grad=True, lr=float("inf"))}})
    assert list(flat.arrays) == ["net/0.weight"]
    back = unflatten(flat.skeleton, flat.arrays)["net"]["0.weight"]
    assert (back.data, back.meta) == (b"abc", {"grad": True, "lr": float("inf")})


@pytest.mark.usefixtures("codec")
def test_not_in_a_set() -> None:
    """A leaf with an array cannot be a key."""
    with pytest.raises(StateError, match="net"):
        flatten({"net": {Tensor(b"x")}})


def test_plugin_errors_are_not_damage(codec: TensorCodec) -> None:
    """What a codec cannot put together is a state error: no checkpoint is condemned for it."""
    flat = flatten([Tensor(b"x", surprise=1)])
    flat.skeleton[0]["children"]["other"] = flat.skeleton[0]["children"].pop("data")
    with pytest.raises(StateError, match=r"tests\.tensor"):
        unflatten(flat.skeleton, flat.arrays)
    codec.part = "$data"
    with pytest.raises(StateError, match="cannot be stored"):
        flatten([Tensor(b"x")])

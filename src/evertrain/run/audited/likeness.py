"""A value told in a few words and a digest: enough to see that it has changed.

Looking changes nothing and draws nothing: generators and optimizers are captured by the
adapters that save them, the rest is encoded as a save would encode it.

Layer: run. Imports checkpoint and core.
"""

import json
import operator
import types
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.tree import flatten
from evertrain.checkpoint.tree.arrays import is_array, is_scalar
from evertrain.core.errors import EvertrainError
from evertrain.run.adapters import find_adapter

# Of a longer array, its first and last bytes and a sample of the rest are looked at.
SAMPLE_BYTES: Final = 1 << 19
_LONG: Final = 256  # items: a longer list is one value
_ENDS: Final = 16  # of which so many are looked at, at either end
_SHOWN: Final = 40
_LONG_BITS: Final = 1024

_PLAIN: Final = frozenset({type(None), bool, int, float, complex, str, bytes})
# What a class is, by the names of its ancestors: no framework is imported for it.
_KINDS: Final = {
    "numpy.random._generator.Generator": "generator",
    "numpy.random.mtrand.RandomState": "generator",
    "random.Random": "generator",
    "torch._C.Generator": "generator",
    "torch.optim.optimizer.Optimizer": "optimizer",
    "torch.optim.lr_scheduler.LRScheduler": "scheduler",
    "torch.utils.data.dataloader._BaseDataLoaderIter": "iterator",
    "torch.Tensor": "array",
}


@dataclass(frozen=True, slots=True)
class Likeness:
    """What is told of one value.

    Attributes:
        kind: "generator", "optimizer", "scheduler", "iterator", "array", "set" or "value".
        text: What a person is told of its state.
        digest: Equal if and only if the state is, as far as it was looked at.
    """

    kind: str
    text: str
    digest: str


def likeness(value: object) -> Likeness | None:
    """Return what `value` is like, or None for what is looked into, or not looked at."""
    found = (tell(value) for tell in _TELLERS)
    return next((each for each in found if each is not None), None)


def kind_of(cls: type) -> str | None:
    """Return the kind of the instances of a framework's class, or None."""
    names = (
        f"{each.__module__}.{each.__qualname__}"
        for each in cls.__mro__
        if each.__module__ != "builtins"
    )
    return next((_KINDS[name] for name in names if name in _KINDS), None)


def _framework(value: object) -> Likeness | None:
    """Tell of generators, optimizers and schedulers, and how many batches a loader gave."""
    kind = kind_of(type(value))
    if kind == "iterator":
        return _told(kind, f"{getattr(value, '_num_yielded', '?')} batches taken")
    adapter = find_adapter(value) if kind in {"generator", "optimizer", "scheduler"} else None
    if kind is None or adapter is None:
        return None
    digest, count = _digest(adapter.capture(value))
    texts = {
        "generator": f"state {digest[:8]}",
        "optimizer": f"{count} arrays of state" if count else "no state",
        "scheduler": f"last_epoch {getattr(value, 'last_epoch', '?')}",
    }
    return Likeness(kind, texts[kind], digest)


def _said(value: object) -> str:
    """Return a value as text. Python prints no integer of thousands of digits in decimals."""
    if isinstance(value, int):
        return hex(value) if value.bit_length() > _LONG_BITS else repr(value)
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  (the program's own class, or such an integer inside)
        return type(value).__qualname__


def _plain(value: object) -> Likeness | None:
    if type(value) in _PLAIN:
        return _told("value", _said(value))
    return _told("value", str(value)) if is_scalar(value) else None


def _array(value: Any) -> Likeness | None:
    if kind_of(type(value)) != "array" and not is_array(value):
        return None
    dtype = str(value.dtype).removeprefix("torch.")
    return _stored("array", value, f"{dtype} {tuple(value.shape)}")


def _long(value: object) -> Likeness | None:
    if not isinstance(value, (list, deque)) or len(value) <= _LONG:
        return None
    ends = [len(value), *islice(value, _ENDS), *islice(reversed(value), _ENDS)]
    return _stored("value", ends, f"{len(value)} items")


def _stored(kind: str, value: object, text: str) -> Likeness | None:
    """Tell of a value as a save would store it; what cannot be stored is not told."""
    try:
        digest, _ = _digest(value)
    except EvertrainError:
        return None
    return Likeness(kind, f"{text}, {digest[:8]}", digest)


def _told(kind: str, text: str) -> Likeness:
    """Tell of a value all of whose state is a text."""
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
    return Likeness(kind, shown, _hash([text.encode("utf-8", "backslashreplace")]))


def _set(value: object) -> Likeness | None:
    """Tell of a set whose order is up to the seed of the hashes: members that hold text."""
    if not isinstance(value, (set, frozenset)):
        return None
    if not any(isinstance(each, (str, bytes, tuple, frozenset)) for each in value):
        return None
    digest = _hash(sorted(_said(each).encode() for each in value))
    return Likeness("set", f"{len(value)} members", digest)


def _suspended(value: object) -> Likeness | None:
    """Tell where a generator function stands, and its numbers there."""
    if not isinstance(value, types.GeneratorType):
        return None
    frame = value.gi_frame
    if frame is None:
        return _told("iterator", "exhausted")
    numbers = {name: each for name, each in frame.f_locals.items() if type(each) is int}
    at = ", ".join(f"{name} = {_said(each)}" for name, each in numbers.items())
    return _told("iterator", f"at line {frame.f_lineno}" + (f", {at}" if at else ""))


def _left(value: object) -> Likeness | None:
    """Tell how much an iterator of Python's own has left."""
    if type(value).__module__ != "builtins" or not hasattr(value, "__next__"):
        return None
    left = operator.length_hint(value, -1)
    return None if left < 0 else _told("iterator", f"{left} items left")


_TELLERS: Final = (_framework, _plain, _array, _long, _set, _suspended, _left)


def _digest(tree: Tree) -> tuple[str, int]:
    """Return a digest of a tree, and how many arrays it has."""
    flat = flatten(tree)
    skeleton = json.dumps(flat.skeleton, sort_keys=True).encode()
    samples = (each for raw in flat.arrays.values() for each in _sample(raw.data))
    return _hash([skeleton, *samples]), len(flat.arrays)


def _sample(data: Any) -> list[bytes]:
    if data.size <= 2 * SAMPLE_BYTES:
        return [data.tobytes()]
    step = max(1, data.size // SAMPLE_BYTES)
    parts = (data[:SAMPLE_BYTES], data[::step], data[-SAMPLE_BYTES:])
    return [each.tobytes() for each in parts]


def _hash(parts: Iterable[bytes]) -> str:
    from blake3 import blake3

    hasher = blake3()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little"))
        hasher.update(part)
    return hasher.hexdigest()[:32]

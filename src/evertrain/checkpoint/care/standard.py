"""Arrays as any other program reads them: rows first, little-endian.

A checkpoint keeps the order of an array in memory, and its bytes as they are:
its skeleton says what they mean. A bare file of arrays has no skeleton.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Iterator, Mapping

from evertrain.checkpoint.plugin import RawArray
from evertrain.checkpoint.tree import Json, unflatten
from evertrain.checkpoint.tree.arrays import array_to_raw
from evertrain.checkpoint.tree.kinds import MARK

_PLAIN = {MARK, "key"}  # a node that says no more than that: the bytes are what they seem


def standard(arrays: Mapping[str, RawArray], skeleton: Json) -> dict[str, RawArray]:
    """Return arrays in C order and little-endian; what safetensors has no name for stays bytes.

    Args:
        arrays: By key, as a checkpoint holds them; not changed.
        skeleton: Of the object that they belong to.

    Raises:
        StateError: The skeleton does not fit them.
    """
    odd = {node["key"]: node for node in _nodes(skeleton) if node.keys() > _PLAIN}
    return {key: _rewritten(raw, odd[key]) if key in odd else raw for key, raw in arrays.items()}


def _rewritten(raw: RawArray, node: dict[str, Json]) -> RawArray:
    array = unflatten(node, {node["key"]: raw})
    little = array.dtype.newbyteorder("<")
    return array_to_raw(array.astype(little, order="C"))[0]


def _nodes(skeleton: Json) -> Iterator[dict[str, Json]]:
    """Yield every leaf that is an array of numpy."""
    waiting = [skeleton]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if node.get(MARK) == "array":
                yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)

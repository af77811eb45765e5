"""Trees of state: taken apart into JSON and arrays, and put together again.

Exact or refused: what `flatten` accepts, `unflatten` returns equal, type for
type and bit for bit. No pickle, and no class is ever named by a file into
existence: dataclasses and named tuples come back as `Record`, members of an
enumeration as `EnumName`, and the program turns them into its own classes.

Two things are not part of a value here: which of two equal places share one
object, and the order in which a set iterates.

Layer: checkpoint. Imports core only.
"""

from evertrain.checkpoint.tree.decode import unflatten
from evertrain.checkpoint.tree.encode import flatten
from evertrain.checkpoint.tree.kinds import MAX_DEPTH, EnumName, Flat, Json, Record
from evertrain.checkpoint.tree.registry import register

__all__ = ["MAX_DEPTH", "EnumName", "Flat", "Json", "Record", "flatten", "register", "unflatten"]

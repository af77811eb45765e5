"""Random number generators as trees: their name, their state, how they spawn.

Only generators of a fixed list are built from a file; their state is numbers.

Layer: checkpoint. Imports core only.
"""

import operator
import random
import sys
from typing import TYPE_CHECKING, Any, Final

from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.tree.kinds import Unstorable

if TYPE_CHECKING:
    import numpy as np

BIT_GENERATORS: Final = frozenset({"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"})
MAX_SPAWNED: Final = 1 << 20
_MERSENNE_WORDS: Final = 625  # of random.Random: 624, and where it stands
_PHILOX_WORDS: Final = 4


def is_numpy_generator(value: object) -> bool:
    """Say whether `value` is a Generator, a RandomState or a bit generator of numpy."""
    np = sys.modules.get("numpy")
    if np is None:
        return False
    kinds = (np.random.Generator, np.random.RandomState, np.random.BitGenerator)
    return isinstance(value, kinds)


def generator_to_tree(value: Any) -> dict[str, Tree]:
    """Return the whole state of a numpy generator. Draws nothing from it.

    Raises:
        Unstorable: Its bit generator is not one of numpy's own.
    """
    import numpy as np

    if type(value) is np.random.RandomState:
        return {"class": "RandomState", "state": _legacy_state(value)}
    if type(value) is np.random.Generator:
        return {"class": "Generator", **_bits_to_tree(value.bit_generator)}
    return {"class": "BitGenerator", **_bits_to_tree(value)}


def generator_from_tree(tree: dict[str, Tree]) -> Any:
    """Return a generator that goes on where the stored one stood.

    Raises:
        ValueError: The tree is not the state of a generator.
        TypeError: Idem.
        KeyError: Idem.
    """
    import numpy as np

    if tree["class"] == "RandomState":
        legacy = np.random.RandomState(np.random.MT19937())
        check_position(tree["state"])
        legacy.set_state(tree["state"])
        return legacy
    bits = _bits_from_tree(tree)
    if tree["class"] == "Generator":
        return np.random.Generator(bits)
    if tree["class"] == "BitGenerator":
        return bits
    raise ValueError(f"generator class {tree['class']!r}")


def check_position(state: Tree) -> None:
    """Refuse the state of a bit generator that stands outside of its own numbers.

    numpy takes any position, and the next draw would read whatever memory lies there.

    Raises:
        ValueError: It does.
        TypeError: It is no state of a bit generator.
        KeyError: Idem.
    """
    name = state["bit_generator"]
    if name == "MT19937":
        at, most = operator.index(state["state"]["pos"]), _MERSENNE_WORDS - 1
    elif name == "Philox":
        at, most = operator.index(state["buffer_pos"]), _PHILOX_WORDS
    else:
        return
    if not 0 <= at <= most:
        raise ValueError(f"a {name} stands at {at} of {most}")


def random_to_tree(value: random.Random) -> dict[str, Tree]:
    """Return the whole state of a `random.Random`."""
    import numpy as np

    version, words, gauss = value.getstate()
    return {"version": version, "words": np.array(words, np.uint32), "gauss": gauss}


def random_from_tree(tree: dict[str, Tree]) -> random.Random:
    """Return a generator that goes on where the stored one stood.

    Raises:
        ValueError: The tree is not the state of a generator.
        TypeError: Idem.
        KeyError: Idem.
    """
    words = tree["words"].tolist()
    if len(words) != _MERSENNE_WORDS or not isinstance(tree["gauss"], float | None):
        raise ValueError("not the state of random.Random")
    generator = random.Random(0)  # noqa: S311
    generator.setstate((tree["version"], tuple(words), tree["gauss"]))
    return generator


def _legacy_state(value: "np.random.RandomState") -> Tree:
    try:
        state: Tree = value.get_state(legacy=False)
    except ValueError:
        state = {}
    if state.get("bit_generator") != "MT19937":
        raise Unstorable(
            "this RandomState is not built on MT19937.",
            "Use numpy.random.Generator with the same bit generator.",
        )
    return state


def _bits_to_tree(bits: Any) -> dict[str, Tree]:
    name = type(bits).__name__
    if name not in BIT_GENERATORS or not type(bits).__module__.startswith("numpy.random"):
        raise Unstorable(
            f"the bit generator {name} is not one of numpy's own.",
            f"Use one of {', '.join(sorted(BIT_GENERATORS))}, or register the type.",
        )
    return {"bits": name, "state": bits.state, "seed": _seed_to_tree(bits)}


def _bits_from_tree(tree: dict[str, Tree]) -> Any:
    import numpy as np

    if tree["bits"] not in BIT_GENERATORS:
        raise ValueError(f"bit generator {tree['bits']!r}")
    seed = tree["seed"]
    sequence = np.random.SeedSequence(**_seed_fields(seed)) if seed is not None else 0
    bits = getattr(np.random, tree["bits"])(sequence)
    check_position(tree["state"])
    bits.state = tree["state"]
    return bits


def _seed_to_tree(bits: Any) -> Tree:
    """Return what decides the generators that this one will spawn, or None."""
    import numpy as np

    seed = getattr(bits, "seed_seq", None)
    if type(seed) is not np.random.SeedSequence:
        return None
    return {
        "entropy": _numbers(seed.entropy),
        "spawn_key": _numbers(seed.spawn_key),
        "pool_size": int(seed.pool_size),
        "n_children_spawned": int(seed.n_children_spawned),
    }


def _numbers(value: Any) -> Tree:
    if value is None or isinstance(value, int):
        return value
    return [int(each) for each in value]


_SEED_FIELDS: Final = frozenset({"entropy", "spawn_key", "pool_size", "n_children_spawned"})
_MAX_POOL: Final = 256  # numpy mixes each word with each other one
_MAX_NUMBERS: Final = 4096
_MAX_BITS: Final = 1 << 15


def _seed_fields(tree: Tree) -> dict[str, Any]:
    if set(tree) != _SEED_FIELDS or not 0 < tree["pool_size"] <= _MAX_POOL:
        raise ValueError("not a seed sequence")
    entropy, spawn_key = tree["entropy"], tuple(tree["spawn_key"])
    for each in (entropy, spawn_key):
        numbers = each if isinstance(each, list | tuple) else [each or 0]
        is_short = len(numbers) <= _MAX_NUMBERS
        if not is_short or any(operator.index(x).bit_length() > _MAX_BITS for x in numbers):
            raise ValueError("a seed of such a length")
    return {**tree, "spawn_key": spawn_key}

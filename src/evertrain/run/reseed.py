"""Other random numbers from a checkpoint on, where its own lead to the same death every time.

The one thing that makes a resume differ from the training that was never interrupted, so
it is done only where a person has allowed it (`--reseed`), and the journal says so.

Layer: run. Imports checkpoint and core.
"""

import random
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from evertrain.run.rng import sources

ENV_RESEED: Final = "EVERTRAIN_RESEED"


def wanted(environ: Mapping[str, str]) -> str | None:
    """Return what makes the new numbers differ from the old ones, or None: keep them."""
    return environ.get(ENV_RESEED) or None


def reseed(salt: str, step: int, things: Iterable[Any]) -> int:
    """Seed the global generators and the attached ones anew. Return the seed.

    Args:
        salt: Another one gives other numbers.
        step: Where the training stands.
        things: What is attached; whatever is no generator stays as it is.
    """
    seed = zlib.crc32(f"{salt}:{step}".encode())
    for each in sources():
        each.seed(seed)
    for place, thing in enumerate(things, start=1):
        _seed(thing, (seed + place) % 2**32)
    return seed


def _seed(thing: Any, seed: int) -> None:
    """Seed one thing in place, if it is a generator: of Python, numpy or torch."""
    if isinstance(thing, random.Random):
        thing.seed(seed)
    elif hasattr(thing, "manual_seed"):  # torch.Generator
        thing.manual_seed(seed)
    elif hasattr(thing, "set_state") and hasattr(thing, "tomaxint"):  # numpy's RandomState
        thing.seed(seed)
    else:
        bits = getattr(thing, "bit_generator", thing)
        if hasattr(bits, "jumped") or hasattr(bits, "seed_seq"):
            bits.state = type(bits)(seed).state

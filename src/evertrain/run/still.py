"""Points out, once, what never changed between the first two checkpoints.

An optimizer that was never stepped, a network that is not trained: it is seen
in the first minutes, not after the weekend. Pure.

Layer: run. Imports checkpoint only.
"""

from collections.abc import Collection
from typing import Final

from evertrain.checkpoint.manifest import ArrayEntry, Manifest

_SHOWN: Final = 3
# Counters and masks may well stand still; weights and statistics seldom do.
_TRAINED: Final = frozenset({"F64", "F32", "F16", "BF16"})


def unchanged(before: Manifest, after: Manifest, places: Collection[str]) -> list[str]:
    """Return the arrays that are the same in both, as "name/leaf", in order.

    Args:
        before: The older checkpoint.
        after: The newer one.
        places: Where to look: "name" of an attached thing, or "name/part".
    """
    begins = tuple(f"{place}/" for place in places)
    old = _arrays(before)
    return [
        path
        for path, entry in _arrays(after).items()
        if f"{path}/".startswith(begins)
        and entry.bytes
        and entry.dtype in _TRAINED
        and path in old
        and old[path].blake3 == entry.blake3
    ]


def _arrays(manifest: Manifest) -> dict[str, ArrayEntry]:
    return {f"{name}/{key}": x for name, part in manifest.arrays.items() for key, x in part.items()}


def notice(leaves: list[str], since: int) -> str:
    """Return the line that tells people about `leaves`."""
    shown = ", ".join(leaves[:_SHOWN])
    more = f" and {len(leaves) - _SHOWN} more" if len(leaves) > _SHOWN else ""
    return f"evertrain: unchanged since step {since}: {shown}{more} (fine if it is not trained)"

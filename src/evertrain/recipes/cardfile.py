"""Cards: small JSON files that lie beside what a run writes for other programs.

Layer: recipes. Imports core only.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evertrain.core.document import CARD_BYTES, parse_json
from evertrain.core.kinds import misfit
from evertrain.core.regular import read_regular

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def encoded(card: "DataclassInstance") -> bytes:
    """Return a card as a file."""
    return (json.dumps(asdict(card), indent=2) + "\n").encode()


def fields_of(
    path: Path, kinds: Mapping[str, Callable[[Any], bool]], names: Collection[str]
) -> dict[str, Any] | None:
    """Return what stands in a card; None if the file is none, or somebody else's.

    Args:
        path: The file.
        kinds: What these fields have to be.
        names: All that it has to have, and no more.
    """
    try:
        found = parse_json(read_regular(path, CARD_BYTES))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or misfit(found, kinds) is not None:
        return None
    return found if found.keys() == set(names) else None

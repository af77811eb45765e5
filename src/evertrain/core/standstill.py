"""Keeping a run from being taken while somebody looks after it.

Layer: core. Imports core only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evertrain.core.flock import guarded
from evertrain.core.lock import Owner, owner_of


@contextmanager
def standstill(path: Path) -> Iterator[Owner | None]:
    """Let nobody take the lease at `path` meanwhile; give its owner, or None.

    Whoever wants it waits, so be quick. A live owner goes on as ever.
    """
    with guarded(path):
        yield owner_of(path)

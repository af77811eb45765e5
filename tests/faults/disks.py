"""The ways in which a disk refuses, for the tests of this folder."""

import errno
from pathlib import Path
from typing import Any

from evertrain.core.fs import LocalFs
from evertrain.testing import FaultyFs
from evertrain.testing.faults import ALL, ALLOCATING


class FastFs(LocalFs):
    """A disk that does not wait for the medium: nothing here outlives the test anyway."""

    def sync_file(self, path: Path) -> None:
        """Look that there is something to sync."""
        assert path.is_file()

    def sync_dir(self, path: Path) -> None:
        """Look that there is something to sync."""
        assert path.is_dir()


# A disk that is full goes on being full, but deletes; a broken one fails now and then.
FAULTS: dict[str, dict[str, Any]] = {
    "full": {"error": errno.ENOSPC, "is_sticky": True, "is_short": True, "kinds": ALLOCATING},
    "full once": {"error": errno.ENOSPC, "kinds": ALLOCATING},
    "quota": {"error": errno.EDQUOT, "is_sticky": True, "kinds": ALLOCATING},
    "broken": {"error": errno.EIO, "is_short": True},
    "dying": {"error": errno.EIO, "is_sticky": True},
    "read-only": {"error": errno.EROFS, "is_sticky": True},
    "forbidden": {"error": errno.EACCES, "is_sticky": True, "kinds": ALL - {"sync_file"}},
}


def faulty(name: str) -> FaultyFs:
    """Return a disk that will fail in that way, once it is told to."""
    return FaultyFs(FastFs(), **FAULTS[name])

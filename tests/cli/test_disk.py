"""An error of the disk names what the disk refused."""

import errno
import os
from pathlib import Path

import pytest

from evertrain.cli.disk import disk_errors
from evertrain.core.errors import EvertrainError


@pytest.mark.parametrize(
    ("refused", "named"),
    [
        ("run/a", "run/a"),
        ("out/.x.tar.tmp-1", "out/x.tar"),
        ("out/x.tar", "out/x.tar"),
        (None, "out/x.tar"),
    ],
)
def test_the_file_that_was_refused_is_named(refused: str | None, named: str) -> None:
    """Not the one that was to be written; an unfinished one is that one."""
    number = errno.EACCES
    with pytest.raises(EvertrainError) as caught, disk_errors(Path("out/x.tar")):
        raise OSError(number, os.strerror(number), refused)

    assert caught.value.what.startswith(f"{named}: ")
    assert caught.value.fix.endswith(f"ls -ld {named}")

"""A run in a temporary directory, as the tests of `Run` open it."""

from run.conftest import open_run

__all__ = ["open_run"]

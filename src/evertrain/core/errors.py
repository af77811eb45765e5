"""Every error that evertrain raises on purpose.

One tree, one file. A message always has three parts, in this order: *what*
was found, with its values; *why* that is a problem; the *fix* to try next.

    EvertrainError               1
    |-- UsageError               2   also a ValueError
    |-- NotFoundError           10   also a LookupError
    |-- LockedError             11
    |-- FencedError             11
    |-- CorruptError            12
    |-- SaveError                1
    |   `-- BaseLostError        1
    |-- EnvError                 1
    `-- ConfigError             78   also a ValueError
        |-- StateError          78
        |-- FormatError         78
        `-- MissingExtraError   78   also an ImportError

The number is the exit code of the command line; `docs/cli.md` lists them.

Layer: core. Imports core only.
"""

from typing import ClassVar, Final

from evertrain.core.printable import printable

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_SKIPPED: Final = 3
EXIT_NOT_FOUND: Final = 10
EXIT_LOCKED: Final = 11
EXIT_CORRUPT: Final = 12
EXIT_GAVE_UP: Final = 20
EXIT_STOPPED: Final = 75
EXIT_CONFIG: Final = 78
EXIT_DO_NOT_RESTART: Final = 93
EXIT_FORCED: Final = 130


class EvertrainError(Exception):
    """Base of the tree. Catch this to catch everything evertrain raises.

    Attributes:
        exit_code: Process exit status when the command line ends with it.
        what: What was found, with its values.
        why: What was expected, or what is at risk.
        fix: One command or one edit that helps.
    """

    exit_code: ClassVar[int] = EXIT_FAILED

    def __init__(self, what: str, why: str, fix: str) -> None:
        """Keep the three parts as `args`, so the error survives pickling."""
        super().__init__(what, why, fix)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        """Return the three parts, one per line, ready to print.

        What they quote may come from a file, and a file may hold what a terminal obeys.
        """
        return printable(f"{self.what}\n  why: {self.why}\n  fix: {self.fix}", keep="\n")


class UsageError(EvertrainError, ValueError):
    """A call or a command that cannot mean anything."""

    exit_code = EXIT_USAGE


class NotFoundError(EvertrainError, LookupError):
    """There is no such run or checkpoint."""

    exit_code = EXIT_NOT_FOUND


class LockedError(EvertrainError):
    """Another live process owns the run."""

    exit_code = EXIT_LOCKED


class FencedError(EvertrainError):
    """This process lost the run to a later attempt; nothing it saves counts."""

    exit_code = EXIT_LOCKED


class CorruptError(EvertrainError):
    """Bytes on disk are not the bytes that were written."""

    exit_code = EXIT_CORRUPT


class SaveError(EvertrainError):
    """A checkpoint could not be written, or a run found no room to begin."""


class BaseLostError(SaveError):
    """A save was to share files with a checkpoint that is gone; the next one shares nothing."""


class EnvError(EvertrainError):
    """Environments that cannot be built, or die so often that nothing may take their place."""


class ConfigError(EvertrainError, ValueError):
    """A setting has a value that cannot work. Restarting cannot help."""

    exit_code = EXIT_CONFIG


class StateError(ConfigError):
    """State that cannot be stored, or that does not fit the program."""


class FormatError(ConfigError):
    """A file of a format that this version does not read."""


class MissingExtraError(ConfigError, ImportError):
    """A feature needs a package that is not installed."""


def first_line(error: BaseException) -> str:
    """Return what happened, in a line; with the kind of error where its text says little."""
    text = next(iter(str(error).splitlines()), "").strip()
    if not text or isinstance(error, (EvertrainError, OSError)):
        return text or type(error).__name__
    return f"{type(error).__name__}: {text}"

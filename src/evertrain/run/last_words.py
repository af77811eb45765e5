"""What a dying training tells its supervisor itself, so that nobody has to guess from a log.

Exceptions go as JSON lines into `crashes/attempt-N.errors.jsonl`: those that leave the run's
block, and those that nobody catches, in any thread. What breaks below Python, `faulthandler`
writes beside it. Only where a supervisor asks for it: a program by hand shows all that on
its terminal.

Layer: run. Imports core only.
"""

import faulthandler
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

from evertrain.core.clock import SYSTEM_CLOCK, iso_utc
from evertrain.core.fs import LOCAL_FS, make_dir
from evertrain.core.journal import append_lines

ENV_LAST_WORDS: Final = "EVERTRAIN_LAST_WORDS"
_MAX_ROWS: Final = 20
_TOLD: Final = "_evertrain_told"
_MAX_MESSAGE: Final = 4000
_MAX_TRACEBACK: Final = 64_000


class LastWords:
    """Writes down the exceptions of this process.

    Args:
        path: Without suffix: `crashes/attempt-0001`.
        step: Returns the last finished step.
    """

    def __init__(self, path: Path, step: Callable[[], int]) -> None:
        """Write nothing yet."""
        self._errors = path.with_name(f"{path.name}.errors.jsonl")
        self._fault = path.with_name(f"{path.name}.fault.txt")
        self._pid = os.getpid()
        self._count = 0
        self._file: IO[bytes] | None = None
        self.step = step

    def install(self) -> None:
        """Listen for exceptions that nobody catches, and for crashes below Python."""
        before, before_thread = sys.excepthook, threading.excepthook

        def main(
            kind: type[BaseException], error: BaseException, trace: TracebackType | None
        ) -> None:
            self.tell(error, "main")
            before(kind, error, trace)

        def thread(args: threading.ExceptHookArgs) -> None:
            if args.exc_value is not None:
                self.tell(args.exc_value, "thread")
            before_thread(args)

        sys.excepthook, threading.excepthook = main, thread
        with suppress(OSError):  # a full disk: then the output has it
            make_dir(self._fault.parent)
            LOCAL_FS.append(self._fault, b"")
            self._file = self._fault.open("r+b")
            faulthandler.disable()  # or enabling it once more would change the file only, not
            faulthandler.enable(self._file)  # take back a signal that a library has taken since

    def tell(self, error: BaseException, by: str) -> None:
        """Write one exception down, once; whatever breaks here must not hide it.

        Args:
            error: It.
            by: "run" if it left the run's block, "main" or "thread" if nobody caught it.
        """
        is_known = getattr(error, _TOLD, False) or self._count >= _MAX_ROWS
        if is_known or isinstance(error, KeyboardInterrupt):
            return
        self._count += 1
        with suppress(Exception):
            setattr(error, _TOLD, True)  # keeping it here would keep all that its frames hold
            row = self._row_of(error, by if os.getpid() == self._pid else "child")
            make_dir(self._errors.parent)
            append_lines(self._errors, [row], sync=False)

    def _row_of(self, error: BaseException, by: str) -> dict[str, Any]:
        import traceback  # slow to import, and hardly ever needed

        kind = type(error)
        module = "" if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}."
        text = "".join(traceback.format_exception(error))
        return {
            "time": iso_utc(SYSTEM_CLOCK.now_s()),
            "by": by,
            "pid": os.getpid(),
            "step": self.step(),
            "type": module + kind.__qualname__,
            "message": str(error)[:_MAX_MESSAGE],
            "traceback": text[-_MAX_TRACEBACK:],
        }


_LISTENING: Final[list[LastWords]] = []


def listen(environ: Mapping[str, str], step: Callable[[], int]) -> LastWords | None:
    """Begin to write down what happens to this process, where a supervisor asks for it.

    Args:
        environ: The environment.
        step: Returns the last finished step.
    """
    path = environ.get(ENV_LAST_WORDS)
    if not path:
        return None
    if _LISTENING:  # a second Run in this process
        _LISTENING[0].step = step
        return _LISTENING[0]
    words = LastWords(Path(path), step)
    words.install()
    _LISTENING.append(words)
    return words

"""The metrics beside each checkpoint of the folder: as JSON at once, as a picture when drawn.

Drawing takes about a second, and the training does not wait for it: a thread draws, and
what it has drawn is put into the folder at the next iteration, or by the next attempt.

Layer: recipes. Imports its siblings, monitor and core.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from typing import Final, Self

from evertrain.core.errors import first_line
from evertrain.core.journal import read_lines
from evertrain.core.rundir import RunDir
from evertrain.monitor.curve import Marks, marks_of
from evertrain.monitor.metrics import read_metrics
from evertrain.monitor.plot import draw
from evertrain.recipes.hideseek.folder import HISTORY, PICTURE, Folder
from evertrain.recipes.hideseek.history import STEP, Row, encoded, panels, up_to

_TITLE: Final = "hideseek"


class Album:
    """What stands beside the checkpoints of a folder.

    A disk or a drawing that fails ends no training: it is told.

    Args:
        folder: The folder, which has begun.
        run_dir: The run whose metrics they are.
        iteration: Where the run goes on.
        say: Prints a line.
    """

    def __init__(
        self, folder: Folder, run_dir: RunDir, iteration: int, say: Callable[[str], None]
    ) -> None:
        """Make what is missing beside the checkpoints that are there."""
        self._folder = folder
        self._say = say
        self._rows: list[Row] = up_to(read_metrics(run_dir), iteration)
        self._marks: Marks = marks_of(read_lines(run_dir.journal).rows)
        self._drawn: dict[int, Future[bytes]] = {}
        self._painter: ThreadPoolExecutor | None = None
        if find_spec("matplotlib") is None:
            say(f"evertrain: no plots in {folder.path}; for those: pip install 'evertrain[plot]'")
        else:
            self._painter = ThreadPoolExecutor(1, "evertrain-plots")
        for info in folder.found():
            self.add(info.step)

    def note(self, iteration: int, row: Mapping[str, float]) -> None:
        """Remember an iteration's metrics, and put away what has been drawn meanwhile."""
        self._rows.append({"step": iteration, **row})
        self._collect()

    def add(self, iteration: int) -> None:
        """Make the files of a checkpoint that is in the folder, as far as it lacks them."""
        rows = up_to(self._rows, iteration)
        if not rows:
            return
        if self._folder.lacks(HISTORY, iteration):
            self._put(HISTORY, iteration, encoded(rows))
        if self._painter is not None and self._folder.lacks(PICTURE, iteration):
            self._drawn[iteration] = self._painter.submit(_picture, rows, self._marks)

    def __enter__(self) -> Self:
        """Do nothing."""
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        """Wait for the pictures; where the training was stopped, for the one in work only."""
        if self._painter is not None:
            self._painter.shutdown(cancel_futures=failure is not None)
            self._collect()

    def _collect(self) -> None:
        for iteration, drawn in list(self._drawn.items()):
            if not drawn.done():
                continue
            del self._drawn[iteration]
            if drawn.cancelled():
                continue
            error = drawn.exception()
            if error is None:
                self._put(PICTURE, iteration, drawn.result())
            else:
                self._tell(PICTURE, iteration, error)

    def _put(self, name: str, iteration: int, data: bytes) -> None:
        try:
            self._folder.put(name, iteration, data)
        except OSError as error:
            self._tell(name, iteration, error)

    def _tell(self, name: str, iteration: int, error: BaseException) -> None:
        self._say(
            f"evertrain: no {name.format(iteration)} in {self._folder.path}: {first_line(error)}"
        )


def _picture(rows: list[Row], marks: Marks) -> bytes:
    return draw(panels(rows), marks, title=_TITLE, unit=STEP)

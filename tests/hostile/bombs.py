"""Goes through doors behind which something huge waits, with little memory to spare.

    python bombs.py DIRECTORY

Every directory below it holds one bomb, named after its door. Prints a line for each:
its name, and "fine", the name of an error of ours, or what went wrong.
"""

import os
import resource
import sys
import traceback
from pathlib import Path
from typing import Final

import torch  # noqa: F401  (what a training has loaded)

from evertrain.checkpoint.care.unarchive import unarchive
from evertrain.core.errors import EvertrainError
from evertrain.supervise.wholeness import problem_of
from hostile.doors import READERS, WRITERS, come_in

SPARE_BYTES: Final = 512 << 20


def open_door(path: Path) -> None:
    """Do with a bomb what it waits for."""
    if path.name.startswith("archive"):
        unarchive(next(path.iterdir()), path / "back")
    elif path.name.startswith("foreign"):
        print(f"  {problem_of(next(path.iterdir()))}")
    else:
        os.chdir(path)
        doors = {name: READERS[name] for name in ("list", "load", "metrics", "next attempt")}
        commands = (("status", "runs/r"), ("show", "runs/r@latest"), ("log", "runs/r"))
        come_in(path / "runs" / "r", {**doors, "resume": WRITERS["resume"]}, commands)


def _places(error: BaseException) -> list[str]:
    """Return where an error came from, outermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{Path(each.filename).name}:{each.lineno}" for each in frames]


def main() -> None:
    """Limit the memory, then go."""
    for path in sorted(Path(sys.argv[1]).iterdir()):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        try:
            open_door(path)
            told = "fine"
        except EvertrainError as error:
            told = type(error).__name__
        except BaseException as error:
            told = f"{type(error).__name__}, {' <- '.join(_places(error)[::-1][:5])}"
        print(f"{path.name}: {told}", flush=True)


if __name__ == "__main__":
    main()

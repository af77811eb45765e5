"""The ways in: whatever reads a run, a checkpoint or a file of weights, called as people do."""

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from click.testing import CliRunner

from evertrain import Run, every, load_policy
from evertrain.checkpoint import Store
from evertrain.checkpoint.care.archive import archive
from evertrain.checkpoint.care.prune import prune
from evertrain.checkpoint.keep import keep_last
from evertrain.cli.main import cli
from evertrain.core.errors import EvertrainError
from evertrain.core.request import pending
from evertrain.core.rundir import RunDir
from evertrain.monitor.metrics import read_metrics, series
from evertrain.supervise.history import next_attempt, read_story

Door = Callable[[Path], object]

CLEAN: Final = frozenset({0, 1, 2, 3, 10, 11, 12, 20, 75, 78})
LONGEST: Final = 10_000


def model() -> dict[str, Any]:
    """Return what the program below attaches."""
    return {"w": np.zeros((3, 4)), "rng": np.random.default_rng(1), "rows": [np.ones(2)]}


def train(path: Path, total: int, **options: Any) -> Run:
    """Train the run at `path` up to `total`, as the same program every time."""
    with Run(path, total=total, seed=0, save=every(steps=1), best="min:loss", **options) as run:
        net = model()
        run.attach(net=net)
        run.state.epsilon, run.state.seen = 1.0, ["a", 1, (2, 3)]
        for step in run:
            net["w"] += net["rng"].normal(size=(3, 4))
            run.state.epsilon *= 0.9
            run.log(loss=1.0 / step)
    return run


def start_from(path: Path) -> None:
    """Begin another run from the weights of the run at `path`."""
    train(path.with_name("pupil"), 1, init_from=path)


def store_of(path: Path) -> Store:
    """Return the checkpoints of the run at `path`."""
    return Store(path / "checkpoints")


# They change nothing.
READERS: Final[dict[str, Door]] = {
    "list": lambda path: store_of(path).list(),
    "latest": lambda path: store_of(path).latest(),
    "best": lambda path: store_of(path).best(),
    "get": lambda path: store_of(path).get(2),
    "load": lambda path: store_of(path).load(),
    "load a step": lambda path: store_of(path).load(2),
    "map": lambda path: store_of(path).map(),
    "verify": lambda path: store_of(path).verify(),
    "play": load_policy,
    "metrics": lambda path: series(read_metrics(path)),
    "next attempt": lambda path: next_attempt(RunDir(path)),
    "story": lambda path: read_story(RunDir(path), 1),
    "pending": lambda path: list(pending(RunDir(path))),
    "dry prune": lambda path: prune(RunDir(path), keep_last(1), is_dry=True),
}
COMMANDS: Final[tuple[tuple[str, ...], ...]] = (
    ("ls",),
    ("ls", "runs/r", "--detailed"),
    ("ls", "runs/r", "--json"),
    ("show", "runs/r"),
    ("show", "runs/r", "--json"),
    ("show", "runs/r@latest"),
    ("show", "runs/r@2", "--json"),
    ("status", "runs/r"),
    ("status", "runs/r", "--json"),
    ("log", "runs/r"),
    ("verify", "runs/r"),
    ("verify", "runs/r", "--json"),
    ("resume", "runs/r"),
    ("config", "check", "runs/r/run.json"),
)
# They write, into the run and beside it.
WRITERS: Final[dict[str, Door]] = {
    "archive": lambda path: archive(RunDir(path), path.with_name("r.tar")),
    "start from": start_from,
    "resume": lambda path: train(path, 5),
}
WRITING: Final[tuple[tuple[str, ...], ...]] = (
    ("export", "runs/r", "--out", "runs/r.safetensors"),
    ("pin", "runs/r", "2"),
    ("prune", "runs/r", "--keep-last", "1"),
)


def come_in(path: Path, doors: dict[str, Door], commands: tuple[tuple[str, ...], ...]) -> None:
    """Go through all of `doors` and `commands`; each ends well, or in an error of ours."""
    for name, door in doors.items():
        told(name, lambda door=door: door(path))  # type: ignore[misc]
    for command in commands:
        ended(command)


def told(name: str, act: Callable[[], object]) -> EvertrainError | None:
    """Do something; return our error, or None if it went well. Any other error fails."""
    try:
        act()
    except EvertrainError as error:
        check_error(name, error)
        return error
    return None


def check_error(name: str, error: EvertrainError) -> None:
    """Fail unless a person could read the error, and act on it."""
    text = str(error)
    assert error.what, name
    assert error.why, name
    assert error.fix, name
    assert len(text) < LONGEST, (name, text[:200])
    assert text.replace("\n", "").isprintable(), (name, text[:200])


def ended(command: tuple[str, ...]) -> int:
    """Run a command; return its exit code, which is one of those that are documented."""
    result = CliRunner().invoke(cli, list(command))
    error = result.exception
    if error is not None and not isinstance(error, SystemExit):
        raise AssertionError("".join(traceback.format_exception(error))[-3000:])
    assert result.exit_code in CLEAN, (command, result.output[-500:])
    shown = result.output.replace("\n", "").replace("\t", "")
    is_raw = command[0] == "log"  # what a program wrote, as it wrote it
    assert is_raw or shown.isprintable(), (command, ascii(shown)[:300])
    return result.exit_code


def files_of(path: Path) -> Iterator[Path]:
    """Yield the regular files below `path`."""
    return (each for each in sorted(path.rglob("*")) if each.is_file() and not each.is_symlink())

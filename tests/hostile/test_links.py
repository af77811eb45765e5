"""Links, special files and giants in a run: nothing outside is read into it, changed or deleted."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from evertrain import Run
from evertrain.checkpoint import Store
from evertrain.checkpoint.care.archive import archive
from evertrain.checkpoint.catalog import DEMOTED, PINS
from evertrain.checkpoint.keep import keep_last
from evertrain.checkpoint.shelf import EMERGENCY, QUARANTINE, SUPERSEDED
from evertrain.checkpoint.trash import TRASH
from evertrain.core.errors import ConfigError
from evertrain.core.request import post
from evertrain.core.rundir import RunDir
from evertrain.supervise.loop import supervise
from hostile.doors import COMMANDS, READERS, WRITERS, WRITING, come_in, ended, told, train
from hostile.witness import harmless
from runs import new_run

NEWEST = "checkpoints/000000003"
FILES = [
    "run.json", "journal.jsonl", "metrics.jsonl", "lock", "supervisor.lock", "shim.lock",
    "heartbeat", "checkpoints/index.json", "checkpoints/latest", "logs/attempt-0001.log",
    "checkpoints/pins/000000002", f"{NEWEST}/manifest.json", f"{NEWEST}/metadata.json",
    f"{NEWEST}/net.safetensors", ".lock.guard", ".tmp-x", "inbox/00000000000000000001-stop-a.json",
]  # fmt: skip
DIRECTORIES = [
    "checkpoints", "logs", "crashes", "inbox", "plots", "checkpoints/pins", "checkpoints/trash",
    "checkpoints/quarantine", "checkpoints/superseded", "checkpoints/emergency", NEWEST,
]  # fmt: skip

# What is written to in place.
GROWING = {"journal.jsonl", "metrics.jsonl", "lock", "heartbeat"}


def _bind(path: Path) -> None:
    """Put a socket there; its path must be short."""
    here = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(here)


def _sparse(path: Path) -> None:
    """Put a tebibyte there that takes no room."""
    with path.open("wb") as file:
        file.truncate(1 << 40)


ODD: dict[str, Callable[[Path, Path], object]] = {
    "a link outside": lambda path, outside: path.symlink_to(outside / "mine.txt"),
    "a link outside to nowhere": lambda path, outside: path.symlink_to(outside / "evil"),
    "a link up": lambda path, _: path.symlink_to("../" * 9 + "etc/passwd"),
    "a link to a device": lambda path, _: path.symlink_to("/dev/zero"),
    "a link to a process": lambda path, _: path.symlink_to("/proc/self/environ"),
    "a hard link outside": lambda path, outside: path.hardlink_to(outside / "mine.txt"),
    "a FIFO": lambda path, _: os.mkfifo(path),
    "a socket": lambda path, _: _bind(path),
    "a sparse tebibyte": lambda path, _: _sparse(path),
    "a directory": lambda path, _: path.mkdir(),
}


def put(run_path: Path, name: str, outside: Path, kind: str) -> None:
    """Put something odd in the place of a file."""
    path = run_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or path.exists():
        path.rename(run_path.parent / "away")
    ODD[kind](path, outside)


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", FILES)
def test_something_odd_in_place_of_a_file(
    run_path: Path, outside: Path, name: str, kind: str
) -> None:
    """Every door says what stands there, or does without; nothing outside is touched."""
    put(run_path, name, outside, kind)

    # Whoever names a pipe as the configuration wants it read: <(generate).
    commands = COMMANDS[:-1] if (name, kind) == ("run.json", "a FIFO") else COMMANDS
    with harmless(outside):
        come_in(run_path, READERS, commands)
    if "pins" in name and kind == "a directory":
        return  # it pins, and cannot be unpinned: the disk says so
    if kind == "a hard link outside" and name in GROWING:
        return  # one file under two names: what a run writes into it is in both
    # An archive of a tebibyte takes as long as it takes.
    left_out = {"archive"} if kind == "a sparse tebibyte" else set()
    writers = {door: WRITERS[door] for door in WRITERS.keys() - left_out}
    with harmless(outside, run_path.parent):
        come_in(run_path, writers, WRITING)


@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_link_in_place_of_a_directory(run_path: Path, outside: Path, name: str) -> None:
    """Nothing outside is swept, pruned, emptied, filled or packed."""
    path = run_path / name
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        path.rename(run_path.parent / "away")
    path.symlink_to(outside)

    with harmless(outside):
        come_in(run_path, READERS, COMMANDS)
    if name == "checkpoints":  # a run refuses it; whoever names a store by its path means it
        with harmless(outside, run_path.parent):
            writers = {door: WRITERS[door] for door in ("resume", "archive")}
            come_in(run_path, writers, WRITING)
        return
    with harmless(outside, run_path.parent):
        come_in(run_path, WRITERS, WRITING)
        told("stop", lambda: post(RunDir(run_path), "stop"))
        told("back", lambda: train(run_path, 5, resume="1"))
        told("prune", lambda: Store(run_path / "checkpoints").prune(keep_last(1)))
        told("recover", lambda: Store(run_path / "checkpoints").recover())


def test_a_trash_that_leads_outside_is_not_emptied(run_path: Path, outside: Path) -> None:
    """Whatever lies in the trash is deleted: so it has to be the run's own."""
    (run_path / "checkpoints" / "trash").symlink_to(outside)

    with pytest.raises(ConfigError, match="trash is a symbolic link"):
        Run(run_path, total=5)
    assert (outside / "inner" / "precious.txt").read_text() == "precious"


@pytest.mark.parametrize(
    "command",
    ["pin runs/r 2", "unpin runs/r 2", "prune runs/r --keep-last 1", "prune runs/r --undo",
     "rm runs/r@2 --force"],
)  # fmt: skip
def test_checkpoints_that_are_a_directory_of_something_else(
    run_path: Path, tmp_path: Path, command: str
) -> None:
    """Whoever shares a run cannot have a command delete or write beside somebody's files."""
    home = tmp_path / "home"
    (run_path / "checkpoints").rename(home)
    (home / "trash" / "old").mkdir(parents=True, exist_ok=True)
    (home / "letters.txt").write_text("mine")
    (run_path / "checkpoints").symlink_to(home)

    with harmless(home):
        assert ended(tuple(command.split())) == ConfigError.exit_code


@pytest.mark.parametrize("shelf", [PINS, DEMOTED, EMERGENCY, SUPERSEDED, QUARANTINE, TRASH])
def test_checkpoints_on_another_disk_have_every_shelf(
    run_path: Path, tmp_path: Path, shelf: str
) -> None:
    """What evertrain itself puts there never makes them somebody else's."""
    disk = tmp_path / "disk"
    (run_path / "checkpoints").rename(disk)
    (disk / shelf).mkdir(exist_ok=True)
    (run_path / "checkpoints").symlink_to(disk)

    assert train(run_path, 5).step == 5


@pytest.mark.parametrize("shelf", [DEMOTED, EMERGENCY, SUPERSEDED, QUARANTINE, TRASH])
def test_no_shelf_is_a_link(run_path: Path, outside: Path, shelf: str) -> None:
    """What is moved to a shelf, or deleted there, stays in the run."""
    (run_path / "checkpoints" / shelf).symlink_to(outside)

    with pytest.raises(ConfigError, match=f"{shelf} is a symbolic link"):
        Run(run_path, total=5)


@pytest.mark.parametrize("name", ["journal.jsonl", "metrics.jsonl", "lock", "shim.lock"])
def test_a_file_of_a_run_is_no_link(run_path: Path, outside: Path, name: str) -> None:
    """Refused before anything is written, with the link named."""
    put(run_path, name, outside, "a link outside")

    with pytest.raises(ConfigError, match=f"{name} is a symbolic link to"):
        Run(run_path, total=5)
    with pytest.raises(ConfigError, match=f"{name} is a symbolic link to"):
        supervise(["true"], run_path)


def test_logs_elsewhere_are_packed_only_if_they_are_logs(run_path: Path, outside: Path) -> None:
    """An archive is for others to see: a link must not pull anybody's files into it."""
    (run_path / "logs").rename(run_path.parent / "logs")
    (run_path / "logs").symlink_to(outside)
    with pytest.raises(ConfigError, match=r"other things are there \(inner, mine\.txt\)"):
        archive(RunDir(run_path), run_path.with_name("r.tar"))

    (run_path / "logs").unlink()
    (run_path / "logs").symlink_to(run_path.parent / "logs")
    listing = archive(RunDir(run_path), run_path.with_name("r.tar"))
    assert "logs/attempt-0001.log" in listing.files


def test_an_empty_disk_is_welcome(tmp_path: Path) -> None:
    """Checkpoints may lie on another disk, with what its file system keeps there."""
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    new_run(tmp_path / "run")
    (tmp_path / "run" / "checkpoints").symlink_to(tmp_path / "disk")
    train(tmp_path / "run", 2)
    train(tmp_path / "run", 3)

    assert (tmp_path / "disk" / "000000003").is_dir()


def test_a_name_of_too_many_digits_is_no_checkpoint(run_path: Path) -> None:
    """A directory that could not even be set aside does not stop a run."""
    (run_path / "checkpoints" / ("9" * 250)).mkdir()

    assert train(run_path, 5).step == 5

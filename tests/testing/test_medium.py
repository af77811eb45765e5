"""The model of a disk agrees with a real one, and loses nothing that was synced."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from evertrain.core.fs import Fs
from evertrain.testing import PowerDisk
from evertrain.testing.tree import Held, Tree, scan
from evertrain.testing.worlds import survived, tree_of
from support import FAST

NAMES = ("a", "b", "d/a", "d/b", "d/e/a", ".tmp-1/a", "d", "d/e", ".tmp-1")
Act = Callable[[Fs, Path], object]


def one(kind: str, first: str, second: str, data: bytes) -> Act:
    """Return an operation by name."""
    acts: dict[str, Act] = {
        "mkdir": lambda fs, root: fs.mkdir(root / first),
        "write": lambda fs, root: fs.write(root / first, (data,)),
        "append": lambda fs, root: fs.append(root / first, data),
        "sync_file": lambda fs, root: fs.sync_file(root / first),
        "sync_dir": lambda fs, root: fs.sync_dir((root / first).parent),
        "replace": lambda fs, root: fs.replace(root / first, root / second),
        "link": lambda fs, root: fs.link(root / first, root / second),
        "symlink": lambda fs, root: fs.symlink("x", root / "l"),
        "unlink": lambda fs, root: fs.unlink(root / first),
        "rmtree": lambda fs, root: fs.rmtree(root / first),
    }
    return acts[kind]


KINDS = st.sampled_from(
    [
        "mkdir",
        "write",
        "append",
        "sync_file",
        "sync_dir",
        "replace",
        "link",
        "symlink",
        "unlink",
        "rmtree",
    ]
)
ACTS = st.lists(
    st.builds(one, KINDS, st.sampled_from(NAMES), st.sampled_from(NAMES), st.binary(max_size=4)),
    max_size=12,
)


@contextmanager
def directory() -> Iterator[Path]:
    """Provide an empty directory."""
    place = Path(tempfile.mkdtemp(prefix="evertrain-medium-"))
    try:
        yield place
    finally:
        shutil.rmtree(place)


def do(acts: list[Act], fs: Fs, root: Path) -> None:
    """Do what the system does not refuse."""
    for act in acts:
        with suppress(OSError, AssertionError):  # a fast disk asserts where a slow one refuses
            act(fs, root)


def sync_all(fs: Fs, root: Path) -> None:
    """Make everything durable."""
    for path in sorted(root.rglob("*"), reverse=True):
        if not path.is_symlink():
            (fs.sync_dir if path.is_dir() else fs.sync_file)(path)
    fs.sync_dir(root)


def plain(tree: Tree) -> dict[str, object]:
    """Return a tree without inodes."""
    return {path: held.data if isinstance(held, Held) else held for path, held in tree.items()}


@settings(deadline=None)
@given(acts=ACTS)
def test_a_killed_process_leaves_what_is_on_the_real_disk(acts: list[Act]) -> None:
    """Whatever was done, the model holds what the machine holds."""
    with directory() as root:
        disk = PowerDisk(root, FAST)
        do(acts, disk, root)
        medium = disk._medium()
        assert plain(tree_of(medium, survived(medium))) == plain(scan(root))


@settings(deadline=None)
@given(acts=ACTS)
@example(acts=[one("mkdir", "d/a", "a", b""), one("replace", "d/a", "a", b"")])
def test_once_all_is_synced_there_is_one_world(acts: list[Act]) -> None:
    """And it is what is on the disk."""
    with directory() as root:
        disk = PowerDisk(root, FAST, is_unread=lambda _: False)
        do(acts, disk, root)
        sync_all(disk, root)
        sync_all(disk, root)  # a name that moved elsewhere goes once it has arrived there
        [world] = disk.worlds()
        assert plain(tree_of(disk._medium(), world)) == plain(scan(root))


@settings(deadline=None)
@given(before=ACTS, after=ACTS)
def test_what_was_synced_and_left_alone_is_in_every_world(
    before: list[Act], after: list[Act]
) -> None:
    """Whatever is done elsewhere, and not synced."""
    with directory() as root:
        (root / "work").mkdir()
        disk = PowerDisk(root, FAST)
        disk.mkdir(root / "safe" / "place")
        disk.write(root / "safe" / "place" / "f", (b"kept",))
        do(before, disk, root / "work")
        sync_all(disk, root)
        do(after, disk, root / "work")
        for world in disk.worlds(limit=64):
            found = plain(tree_of(disk._medium(), world))
            assert found["safe/place/f"] == b"kept"

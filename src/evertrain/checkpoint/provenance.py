"""Which software wrote a checkpoint: versions, and the commit of the program.

Cheap by design: only what is imported already, only files, no process.

Layer: checkpoint. Imports core only.
"""

import platform
import re
import sys
from functools import cache
from pathlib import Path
from typing import Final

_PACKAGES: Final = (
    "numpy",
    "torch",
    "jax",
    "gymnasium",
    "stable_baselines3",
    "ray",
    "scipy",
)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def versions() -> dict[str, str]:
    """Return the versions of python, evertrain and the imported frameworks."""
    found = {"python": platform.python_version(), "evertrain": _own_version()}
    for name in _PACKAGES:
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = str(version)
    return found


@cache
def git_commit(start: Path | None = None) -> dict[str, str | None] | None:
    """Return the commit that is checked out at or above `start`, or None.

    Args:
        start: None is the working directory, which may be gone.

    The answer is remembered: a commit made while the program runs is not the
    program that runs. `dirty` is None: telling it would need git itself.
    """
    try:
        start = Path.cwd() if start is None else start
        top = next(each for each in (start, *start.parents) if (each / ".git").exists())
        commit = _head(_git_dir(top / ".git"))
    except (OSError, StopIteration, UnicodeDecodeError):
        return None
    return {"commit": commit, "dirty": None} if commit and _COMMIT.fullmatch(commit) else None


@cache
def _own_version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    try:
        return version("evertrain")
    except PackageNotFoundError:
        return "unknown"


def _git_dir(dot_git: Path) -> Path:
    """Return the git directory: a worktree has a file that says where it is."""
    if dot_git.is_dir():
        return dot_git
    return dot_git.parent / dot_git.read_text().removeprefix("gitdir:").strip()


def _head(git_dir: Path) -> str | None:
    head = (git_dir / "HEAD").read_text().strip()
    if not head.startswith("ref:"):
        return head
    ref = head.removeprefix("ref:").strip()
    common = git_dir / "commondir"
    shared = git_dir / common.read_text().strip() if common.exists() else git_dir
    if ref.startswith("/") or ".." in ref:
        return None
    for place in (git_dir, shared):
        if (place / ref).is_file():
            return (place / ref).read_text().strip()
    packed = shared / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {ref}")), None)

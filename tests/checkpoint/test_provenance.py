"""What wrote a checkpoint is read from files and memory, never by running git."""

from pathlib import Path

import pytest

from evertrain.checkpoint.provenance import git_commit, versions

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def repository(path: Path, head: str, **files: str) -> Path:
    """Return a directory two levels below a `.git` with a HEAD."""
    (path / ".git").mkdir(parents=True)
    (path / ".git" / "HEAD").write_text(head + "\n")
    for name, text in files.items():
        target = path / ".git" / name.replace("__", "/").replace("_", "-")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    inner = path / "src" / "deep"
    inner.mkdir(parents=True)
    return inner


@pytest.mark.parametrize(
    ("head", "files"),
    [
        (COMMIT, {}),
        ("ref: refs/heads/main", {"refs__heads__main": COMMIT + "\n"}),
        ("ref: refs/heads/main", {"packed_refs": f"# pack-refs\n{COMMIT} refs/heads/main\n"}),
    ],
    ids=["detached", "branch", "packed"],
)
def test_commit(tmp_path: Path, head: str, files: dict[str, str]) -> None:
    """The commit that is checked out is found from anywhere inside the repository."""
    assert git_commit(repository(tmp_path, head, **files)) == {"commit": COMMIT, "dirty": None}


def test_worktree(tmp_path: Path) -> None:
    """In a worktree, HEAD is its own and the branches are the repository's."""
    repository(tmp_path / "main", COMMIT, refs__heads__topic=COMMIT)
    own = tmp_path / "main" / ".git" / "worktrees" / "w"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/topic\n")
    (own / "commondir").write_text("../..\n")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / ".git").write_text(f"gitdir: {own}\n")
    assert git_commit(tmp_path / "w") == {"commit": COMMIT, "dirty": None}


@pytest.mark.parametrize(
    "head", ["ref: ../../../etc/passwd", "ref: /etc/passwd", "ref: refs/x", "?", ""]
)
def test_no_commit(tmp_path: Path, head: str) -> None:
    """A repository without a commit, or a strange one, has none; that is no error."""
    assert git_commit(repository(tmp_path, head)) is None


def test_versions() -> None:
    """The versions are those of python, evertrain and what is imported."""
    import numpy as np

    found = versions()
    assert found["numpy"] == np.__version__
    assert found.keys() >= {"python", "evertrain"}

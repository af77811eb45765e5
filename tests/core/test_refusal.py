"""What the system refuses is told with the file, the reason and a way out."""

import errno
import os
from pathlib import Path

import pytest

from evertrain.core.errors import ConfigError, EvertrainError, SaveError
from evertrain.core.fs import LocalFs
from evertrain.core.refusal import refusal, refusing

KINDS = [
    ("ENOSPC", SaveError, "df -h"),
    ("EDQUOT", SaveError, "df -h"),
    ("EROFS", ConfigError, "Mount"),
    ("EACCES", ConfigError, "permissions"),
    ("EISDIR", ConfigError, "move it away"),
    ("ELOOP", ConfigError, "move it away"),
    ("ENAMETOOLONG", ConfigError, "shorter"),
    ("EIO", EvertrainError, "dmesg"),
]


@pytest.mark.parametrize(("name", "kind", "fix"), KINDS)
def test_each_refusal_has_its_kind_and_its_way_out(
    name: str, kind: type[EvertrainError], fix: str
) -> None:
    """What may pass is no wrong setting, what stays is one; the file is named."""
    number = getattr(errno, name)
    found = refusal(OSError(number, os.strerror(number), "a/file"), Path("elsewhere"))

    assert type(found) is kind
    assert "a/file" in found.what
    assert os.strerror(number) in found.what
    assert fix in found.fix


def test_a_working_directory_that_is_gone_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rm -rf project; git clone project` in another window: the system names no file."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    (tmp_path / "project").rmdir()
    with pytest.raises(FileNotFoundError) as caught:
        Path("runs").absolute()

    found = refusal(caught.value)
    assert isinstance(found, ConfigError)
    assert found.what == "the working directory is not there any more."
    assert 'cd "$PWD"' in found.fix


def test_a_place_is_named_where_the_system_names_none() -> None:
    """An error of a descriptor has no path of its own."""
    with pytest.raises(SaveError, match="runs/mine"), refusing(Path("runs/mine")):
        raise OSError(errno.ENOSPC, "full")


@pytest.mark.parametrize("error", [ValueError("x"), ConfigError("a", "b", "c")])
def test_other_errors_pass(error: Exception) -> None:
    """Only what the system says is translated."""
    with pytest.raises(type(error)) as caught, refusing(Path("here")):
        raise error

    assert caught.value is error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has /dev/full")
@pytest.mark.parametrize("operation", ["write", "append"])
def test_the_disk_names_the_file_that_did_not_fit(operation: str) -> None:
    """Writing through a descriptor, the system would not say which file it was."""
    fs, full = LocalFs(), Path("/dev/full")

    with pytest.raises(OSError, match="No space") as caught:
        fs.write(full, (b"x",)) if operation == "write" else fs.append(full, b"x")

    assert caught.value.filename == "/dev/full"

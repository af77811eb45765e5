"""Whose the files are that a run writes for other programs, and how another run is refused.

Such files lie where the user says, often in a folder called `models` or `checkpoints` that
holds something already. A run changes only what itself has written.

Layer: recipes. Imports its siblings and core.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self, TypeVar

from evertrain.core.errors import ConfigError
from evertrain.core.fs import LOCAL_FS, Fs, make_dir, write_atomic
from evertrain.core.kinds import is_text
from evertrain.core.refusal import refusing
from evertrain.core.rundir import RunDir, read_identity
from evertrain.recipes.cardfile import encoded, fields_of

MARK: Final = "evertrain-owner.json"

_KINDS: Final = {"run": is_text, "run_id": is_text}


class Signed(Protocol):
    """What names the run that has written it."""

    @property
    def run(self) -> str:
        """Its directory."""

    @property
    def run_id(self) -> str:
        """Its name, which no other run has."""


SomeCard = TypeVar("SomeCard", bound=Signed)


@dataclass(frozen=True, slots=True)
class Owner:
    """A run.

    Attributes:
        run: Its directory, absolute.
        run_id: Its name, which no other run has.
    """

    run: str
    run_id: str

    @classmethod
    def of(cls, run: Path) -> Self:
        """Return what is to be said of the run in the directory `run`, which has begun."""
        identity = read_identity(RunDir(run))
        assert identity is not None  # noqa: S101  (a run that has begun has one)
        return cls(str(run.absolute()), identity.id)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return the run that the file `path` names; None if it names none."""
        found = fields_of(path, _KINDS, _KINDS)
        return None if found is None else cls(**found)


def digest(data: bytes) -> str:
    """Return what tells one content of a file from another, as SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def claim(
    folder: Path,
    owner: Owner,
    *,
    is_meant: Callable[[str], bool],
    option: str,
    fs: Fs = LOCAL_FS,
) -> None:
    """Make a folder that of one run, which its `evertrain-owner.json` names from then on.

    Args:
        folder: It need not exist.
        owner: The run.
        is_meant: Whether the run would write or remove what has this name.
        option: The setting that names the folder.
        fs: Disk to write to.

    Raises:
        ConfigError: It is another run's, or holds such names, and nobody knows whose they are;
            or it is no folder. Nothing was changed.
        EvertrainError: The disk refused.

    Durability:
        After return it survives a power cut.
    """
    with refusing(folder):
        _claim(folder, owner, is_meant=is_meant, option=option, fs=fs)


def _claim(
    folder: Path, owner: Owner, *, is_meant: Callable[[str], bool], option: str, fs: Fs
) -> None:
    mark = folder / MARK
    if os.path.lexists(mark):
        own_card(mark, Owner.read(mark), owner, option)
        return
    strange = sorted(filter(is_meant, os.listdir(folder))) if folder.exists() else []  # noqa: PTH208
    if strange:
        raise _not_ours(folder / strange[0], None, option)
    make_dir(folder, fs=fs)
    write_atomic(mark, encoded(owner), fs=fs)


def own_card(path: Path, card: SomeCard | None, owner: Owner, option: str) -> SomeCard:
    """Return the card of a file that the run itself has written.

    Args:
        path: The file.
        card: What says whose it is; None if nothing does.
        owner: The run.
        option: The setting that names the folder.

    Raises:
        ConfigError: Another run, or nobody knows who, has written it.
    """
    if card is None or card.run_id != owner.run_id:
        raise _not_ours(path, card, option)
    return card


def _not_ours(path: Path, card: Signed | None, option: str) -> ConfigError:
    whose = "nobody knows which run" if card is None else f"another run, {card.run},"
    return ConfigError(
        f"{path.parent} holds {path.name}, which {whose} has written.",
        "this run would overwrite what is there, or remove it as too old.",
        f"Move it away, or name another folder: -o {option}=FOLDER",
    )

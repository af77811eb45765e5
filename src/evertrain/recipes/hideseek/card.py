"""Whose a checkpoint of the folder is, and where `--from` such a path leads. Changes nothing.

A path like `checkpoints/checkpoint_000050` means the checkpoint of that iteration in the
run that wrote it: RLlib's files lack what an exact resume needs. A copy by another name
(`best_model`) means the same.

Layer: recipes. Imports its siblings and core.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from evertrain.core.document import CARD_BYTES, parse_json
from evertrain.core.errors import CorruptError, NotFoundError, UsageError
from evertrain.core.kinds import is_count, is_object, is_text, misfit
from evertrain.core.regular import read_regular
from evertrain.core.rundir import RunDir, read_identity, step_name
from evertrain.recipes.owner import Owner, digest

CARD: Final = "evertrain.json"

_OURS: Final = re.compile(r"checkpoint_[0-9]{6,}")
_RLLIB: Final = "algorithm_state.pkl"
_KINDS: Final = {"run": is_text, "run_id": is_text, "iteration": is_count, "files": is_object}


@dataclass(frozen=True, slots=True)
class Card:
    """What stands in `evertrain.json` of a checkpoint of the folder.

    Attributes:
        run: Directory of the run that wrote it, absolute.
        run_id: Its name, which no other run has.
        iteration: Of the run's checkpoint that it is like.
        files: SHA-256 of every other file, by its path.
    """

    run: str
    run_id: str
    iteration: int
    files: Mapping[str, Any]

    @classmethod
    def of(cls, owner: Owner, iteration: int, place: Path) -> Self:
        """Return the card of what is in the directory `place`."""
        return cls(owner.run, owner.run_id, iteration, _digests(place))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the card that is the file `path`.

        Raises:
            OSError: There is none, or it cannot be read.
            ValueError: It is none of ours.
        """
        found = parse_json(read_regular(path, CARD_BYTES))
        if not isinstance(found, dict) or not _KINDS.keys() <= found.keys():
            raise ValueError("something is missing in it")
        wrong = misfit(found, _KINDS)
        if wrong is not None:
            raise ValueError(f"its {wrong!r} is {found[wrong]!r:.60}")
        return cls(**{name: found[name] for name in _KINDS})


def place(resume: str, run_dir: Path) -> str:
    """Return where to begin, in words that every run knows.

    A checkpoint of the folder becomes the iteration that it is of. Anything else is
    returned as it is.

    Args:
        resume: As it was typed.
        run_dir: The run, old or new.

    Raises:
        NotFoundError: There is no such checkpoint, or the run does not know it.
        CorruptError: It is damaged.
        UsageError: It is of another run, of none, or of a way that the run has left.
    """
    path = Path(resume)
    if not _is_meant(path):
        return resume
    card = _whole(path, run_dir)
    mine = read_identity(RunDir(run_dir))
    if mine is None or mine.id != card.run_id:
        raise _of_another(path, card, run_dir)
    if path.absolute().parent.name == "superseded":
        raise _left(path, card)
    return str(card.iteration)


def target(source: str) -> str:
    """Return RUN@ITERATION for a checkpoint of the folder; anything else as it is.

    Raises:
        EvertrainError: As `place`.
    """
    path = Path(source)
    if not _is_meant(path):
        return source
    card = _whole(path, Path("RUN"))
    return f"{card.run}@{card.iteration}"


def _is_meant(path: Path) -> bool:
    """Say whether a checkpoint of such a folder is meant, there or not, by whatever name."""
    return bool(_OURS.fullmatch(path.name)) or any(
        (path / each).exists() for each in (CARD, _RLLIB)
    )


def _whole(path: Path, run_dir: Path) -> Card:
    """Return the card of a checkpoint of the folder all of whose files are what was written."""
    go_on = f"See what the run itself has, and name the iteration: evertrain ls {run_dir}"
    if not path.is_dir():
        beside = sorted(each.name for each in path.parent.glob("checkpoint_*") if each.is_dir())
        near = ", ".join(beside[-10:])
        raise NotFoundError(
            f"there is no checkpoint at {path}.",
            f"{path.parent} has: {near or 'none'}.",
            f"Name one that is there. {go_on}",
        )
    try:
        card = Card.read(path / CARD)
        files = _digests(path)
    except FileNotFoundError as error:
        raise UsageError(
            f"{path} does not say which run it belongs to.",
            f"it has no {CARD}: another program wrote it, or another version of evertrain.",
            go_on,
        ) from error
    except (OSError, ValueError) as error:
        raise _damaged(path, f"its {CARD} cannot be read: {error}", go_on) from error
    wrong = sorted(
        name for name in {*card.files, *files} if files.get(name) != card.files.get(name)
    )
    if wrong:
        problem = f"{wrong[0]} is {'missing' if wrong[0] not in files else 'not what was written'}"
        own = f"Take the run's own: evertrain resume {card.run} --from {card.iteration}"
        raise _damaged(path, problem, own)
    return card


def _digests(place: Path) -> dict[str, str]:
    return {
        str(path.relative_to(place)): digest(path.read_bytes())
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.name != CARD
    }


def _damaged(path: Path, problem: str, fix: str) -> CorruptError:
    return CorruptError(
        f"{path} is damaged.",
        f"{problem}. The run does not go on from these files, and may still have its own.",
        fix,
    )


def _of_another(path: Path, card: Card, run_dir: Path) -> UsageError:
    own = RunDir(Path(card.run)).checkpoints / step_name(card.iteration)
    return UsageError(
        f"{path} was written by the run {card.run}.",
        f"{run_dir} is another one, and would go on with what it has not learned.",
        f"Go on there: evertrain resume {card.run} --from {card.iteration}; "
        f"or take its state here: --from {own}, which `evertrain train` calls --resume",
    )


def _left(path: Path, card: Card) -> UsageError:
    aside = RunDir(Path(card.run)).checkpoints / "superseded"
    own = sorted(aside.glob(f"{step_name(card.iteration)}-*"))
    return UsageError(
        f"{path} is of a way that the run has left.",
        "the run went back behind it; its iteration of that number now may be another one.",
        f"The run's own: evertrain resume {card.run} --from {own[-1]}"
        if own
        else f"The run has it no more. See what it has: evertrain ls {card.run}",
    )

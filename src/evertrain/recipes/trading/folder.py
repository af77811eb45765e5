"""`models/model_ep250.pt` and its like: which ones a folder should hold, and whose they are.

The folder mirrors the checkpoints of one run. Beside each file of weights lies a card, a
`.json` for people, which also says what the weights belong to; so a folder can be brought
up to date after any death, and nothing in it that is somebody else's is touched.

Layer: recipes. Imports its siblings, checkpoint and core.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from evertrain.checkpoint.directory import opened
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.manifest import to_info
from evertrain.checkpoint.rank import ranked
from evertrain.checkpoint.read import read_manifest
from evertrain.checkpoint.shelf import SUPERSEDED
from evertrain.core.errors import CorruptError, EvertrainError, NotFoundError
from evertrain.core.kinds import is_count, is_text
from evertrain.core.rundir import RunDir, read_identity, step_name
from evertrain.recipes.cardfile import fields_of
from evertrain.recipes.owner import digest
from evertrain.recipes.trading.config import CheckpointConfig

BEST: Final = "best_model"
WEIGHTS: Final = ".pt"
CARD: Final = ".json"
UNFINISHED: Final = (".model_ep", ".best_model")  # how files begin that a death left
_STEM: Final = re.compile(r"model_ep[0-9]+|best_model")
_KINDS: Final = {"episode": is_count, "run": is_text, "run_id": is_text, "sha256": is_text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What stands in a `.json`.

    Attributes:
        episode: Episode after which the weights were saved.
        metrics: On the validation part, as the run logged them.
        is_best: Whether no episode before was better.
        metric_name: What that is judged by.
        metric_value: Its value.
        epsilon: Fraction of random actions in that episode.
        saved_at_s: Unix time of the save, seconds.
        run: Directory of the run.
        run_id: Its name, which no other run has.
        sha256: Digest of the file of weights.
    """

    episode: int
    metrics: Mapping[str, Any]
    is_best: bool | None
    metric_name: str | None
    metric_value: float | None
    epsilon: float
    saved_at_s: float
    run: str
    run_id: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Return the card that is the file `path`; None if there is none of ours."""
        found = fields_of(path, _KINDS, cls.__dataclass_fields__)
        return None if found is None else cls(**found)


def name_of(episode: int) -> str:
    """Return what the files of an episode are called, without suffix."""
    return f"model_ep{episode}"


def wanted(found: Sequence[CheckpointInfo], config: CheckpointConfig) -> dict[str, CheckpointInfo]:
    """Return which checkpoint each name stands for. Pure.

    These are the newest of those at each `save_frequency`, the newest of all, which may be
    that of a stop, and the best.

    Args:
        found: The checkpoints of the run, ascending by step.
        config: How many, and whether the best.
    """
    regular = config.regular(found)
    kept = [*regular[-config.max_keep :], *found[-1:]]
    names = {name_of(info.step): info for info in kept}
    best = next(iter(ranked(found)), None)
    return names if best is None or not config.save_best else {**names, BEST: best}


def cards_in(folder: Path) -> dict[str, Card | None]:
    """Return the card of each name of ours in a folder; None where there is no whole one."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    stems = {Path(name).stem for name in names if is_ours(name)}
    return {stem: Card.of(folder / f"{stem}{CARD}") for stem in sorted(stems)}


def is_ours(name: str) -> bool:
    """Say whether a file of this name is one that a run writes and removes."""
    path = Path(name)
    return path.suffix in {WEIGHTS, CARD} and _STEM.fullmatch(path.stem) is not None


def place(resume: str, run_dir: Path) -> str:
    """Return where to begin, in words that every run knows.

    `models/model_ep200.pt` is the checkpoint that it was made of: a step of the run, or, of
    another run or of a way that the run has left, a path. Anything else is returned as it is.

    Args:
        resume: As it was typed.
        run_dir: The run, old or new.

    Raises:
        NotFoundError: Its run has that checkpoint no more.
        CorruptError: It is not what was written.
    """
    path = Path(resume)
    card = Card.of(path.with_suffix(CARD)) if path.suffix == WEIGHTS and path.is_file() else None
    if card is None:
        return resume
    if digest(path.read_bytes()) != card.sha256:
        raise _damaged(path, card)
    mine = read_identity(RunDir(run_dir))
    is_mine = mine is not None and mine.id == card.run_id
    run = RunDir(run_dir if is_mine else Path(card.run))
    origin = _origin(run, card)
    if origin is None:
        raise _gone(path, run.path, card)
    own = run.checkpoints / step_name(card.episode)
    return str(card.episode) if is_mine and origin == own else str(origin)


def _origin(run: RunDir, card: Card) -> Path | None:
    """Return the very checkpoint that a card is of: a step may be saved twice, on two branches."""
    name, root = step_name(card.episode), run.checkpoints
    for place in (root / name, *sorted((root / SUPERSEDED).glob(f"{name}-*"))):
        with suppress(EvertrainError, OSError), opened(place) as directory:
            if to_info(read_manifest(directory), place).saved_at_s == card.saved_at_s:
                return place
    return None


def _gone(path: Path, run: Path, card: Card) -> NotFoundError:
    return NotFoundError(
        f"{path} was made of a checkpoint that {run} has no more.",
        f"what is there of episode {card.episode}, if anything, was saved another time.",
        f"See what there is: evertrain ls {run}",
    )


def _damaged(path: Path, card: Card) -> CorruptError:
    return CorruptError(
        f"{path} is damaged.",
        "it is not what was written. No run goes on from such a file, and its own may be whole.",
        f"Take the run's own: evertrain resume {card.run} --from {card.episode}",
    )

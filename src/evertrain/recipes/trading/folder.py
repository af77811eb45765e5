"""`models/model_ep250.pt` and its like: which ones a folder should hold, and whose they are.

The folder mirrors the checkpoints of one run. Beside each file of weights lies a card, a
`.json` for people, which also says what the weights belong to; so a folder can be brought
up to date after any death, and nothing in it that is somebody else's is touched.

Layer: recipes. Imports its siblings, checkpoint and core.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.rank import ranked
from evertrain.core.kinds import is_count, is_text
from evertrain.core.rundir import RunDir, read_identity, step_name
from evertrain.recipes.cardfile import fields_of
from evertrain.recipes.owner import Owner
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

    @property
    def owner(self) -> Owner:
        """The run."""
        return Owner(self.run, self.run_id)

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
    regular = [info for info in found if info.step % config.save_frequency == 0]
    kept = [*regular[-config.max_keep :], *found[-1:]]
    names = {name_of(info.step): info for info in kept}
    best = next(iter(ranked(found)), None)
    return names if best is None or not config.save_best else {**names, BEST: best}


def cards_in(folder: Path) -> dict[str, Card | None]:
    """Return the card of each name of ours in a folder; None where there is no whole one."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    stems = {Path(name).stem for name in names if Path(name).suffix in {WEIGHTS, CARD}}
    return {
        stem: Card.of(folder / f"{stem}{CARD}") for stem in sorted(stems) if _STEM.fullmatch(stem)
    }


def place(resume: str, run_dir: Path) -> str:
    """Return where to begin, in words that every run knows.

    `models/model_ep200.pt` is the checkpoint that it was made of: a step of the run, or, of
    another run, a path. Anything else is returned as it is.

    Args:
        resume: As it was typed.
        run_dir: The run, old or new.
    """
    path = Path(resume)
    card = Card.of(path.with_suffix(CARD)) if path.suffix == WEIGHTS and path.is_file() else None
    if card is None:
        return resume
    mine = read_identity(RunDir(run_dir))
    if mine is not None and mine.id == card.run_id:
        return str(card.episode)
    return str(RunDir(Path(card.run)).checkpoints / step_name(card.episode))

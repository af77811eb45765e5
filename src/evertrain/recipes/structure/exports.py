"""Models as files of SB3's own, for programs that know nothing of runs: PPO.load reads them.

    stage1_50kN.zip  stage1_50kN_vecnormalize.pkl     what a finished stage left
    final_structure.zip  ..._vecnormalize.pkl         the end of the last one
    stage2_INTERRUPTED_100kN.zip  ..._ERROR_...       where a training was stopped, or failed
    stage1_50kN.json  ...                             which checkpoint of which run it is

All of them are made of the run's checkpoints, which alone are what a training goes on
from: a file that is lost is made again by the next start, and deleting them all changes
no training. Nor does it touch any that another run has written.

Layer: recipes. Imports its siblings, integrations, run, checkpoint and core.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.shelf import emergencies
from evertrain.core.errors import EvertrainError, first_line
from evertrain.core.fs import LOCAL_FS, make_dir, write_atomic
from evertrain.integrations.sb3.export import saved
from evertrain.recipes.cardfile import encoded
from evertrain.recipes.owner import Owner, digest, own_card
from evertrain.recipes.structure.card import Card
from evertrain.recipes.structure.config import StructureConfig
from evertrain.run.run import Run
from evertrain.run.stop import Stopped

FINAL: Final = "final_structure"
_ENDS: Final = ("stage", "final")
_KINDS: Final = ("", "INTERRUPTED", "ERROR")


def refuse_others(config: StructureConfig, run: Run) -> None:
    """Return if no file that the training may write is there, but for its own.

    Raises:
        ConfigError: Another run, or nobody knows who, has written one.
    """
    if config.exports is None:
        return
    owner, folder = Owner.of(run.path), Path(config.exports)
    indices = range(1, len(config.stages) + 1)
    for stem in (FINAL, *(_stem(config, index, kind) for index in indices for kind in _KINDS)):
        _refuse_others(folder / f"{stem}.zip", owner)


def export_stages(config: StructureConfig, run: Run) -> Iterator[Path]:
    """Write the model of each finished stage, unless its files are there as they should be.

    Args:
        config: Says where to; without a place nothing is done.
        run: Its checkpoints count as far as it has come: what it goes back behind does not.

    Yields:
        Each zip, once it is written, in the order of the stages.

    Raises:
        ConfigError: Another run has written such a file.
        OSError: The disk refused.
        EvertrainError: A checkpoint is damaged.

    Durability:
        Each file is replaced as a whole, the card, whose digests tell if a crash came between,
        before all others, and the statistics before the zip that needs them. What a crash
        keeps from being written, the next call writes.
    """
    if config.exports is None:
        return
    owner = Owner.of(run.path)
    for info in run.store.list():
        for stem in _stems(config, info) if info.step <= run.step else ():
            path = Path(config.exports) / f"{stem}.zip"
            if not _is_of(path, info, owner):
                _write(path, info, owner)
                yield path


def tell_wreck(config: StructureConfig, run: Run, error: BaseException) -> None:
    """Say where a training was stopped or failed, and export what is left of it there.

    Whatever goes wrong here is said and not raised: it must not hide `error`.

    Args:
        config: Says where to; without a place nothing is written.
        run: Closed; what it saved last is on the disk.
        error: What ended it.
    """
    is_stop = isinstance(error, (Stopped, KeyboardInterrupt))
    kind: Literal["INTERRUPTED", "ERROR"] = "INTERRUPTED" if is_stop else "ERROR"
    try:
        info = _last(run, error)
        if info is None or info.stage_index is None:
            return
        run.say(f"\nTraining {'interrupted' if is_stop else 'failed'} in stage {info.stage_index}")
        if config.exports is not None:
            path = Path(config.exports) / f"{_stem(config, info.stage_index, kind)}.zip"
            _write(path, info, Owner.of(run.path))
            run.say(f"   Emergency model saved: {path}")
    except (EvertrainError, OSError) as broken:
        run.say(f"   No emergency model: {first_line(broken)}")
        return
    run.say("   The same command goes on where the newest checkpoint is.")


def _last(run: Run, error: BaseException) -> CheckpointInfo | None:
    """Return what this attempt left of an unfinished stage, or None."""
    if isinstance(error, Stopped):
        info = run.store.latest()
        return None if info is None or info.kind in _ENDS else info
    left = [info for info in emergencies(run.store.path) if info.attempt == run.attempt]
    return left[-1] if left else None


def _stems(config: StructureConfig, info: CheckpointInfo) -> Iterator[str]:
    if info.kind in _ENDS and info.stage_index is not None:
        yield _stem(config, info.stage_index)
        if info.stage_index == len(config.stages):
            yield FINAL


def _stem(config: StructureConfig, stage: int, kind: str = "") -> str:
    """Return e.g. "stage2_100kN", or "stage2_ERROR_100kN"; stages count from 1."""
    force_kn = config.stages[stage - 1].max_force_kn
    return "_".join(filter(None, (f"stage{stage}", kind, f"{force_kn:g}kN")))


def _is_of(path: Path, info: CheckpointInfo, owner: Owner) -> bool:
    """Say whether the files are whole, and made of this very checkpoint."""
    card = Card.read(_card(path))
    if card is None or card.run_id != owner.run_id:
        return False
    if (card.step, card.saved_at_s) != (info.step, info.saved_at_s):
        return False
    try:
        found = (digest(path.read_bytes()), digest(_beside(path).read_bytes()))
    except OSError:
        return False
    return found == (card.model, card.statistics)


def _refuse_others(path: Path, owner: Owner) -> None:
    """Return if at these names is nothing, or what this run has written."""
    there = [each for each in (path, _beside(path), _card(path)) if each.exists()]
    if there:
        own_card(there[0], Card.read(_card(path)), owner, "exports")


def _beside(path: Path) -> Path:
    """Return where the statistics of a model lie."""
    return path.with_name(f"{path.stem}_vecnormalize.pkl")


def _card(path: Path) -> Path:
    """Return where it says what a model is."""
    return path.with_name(f"{path.stem}.json")


def _write(path: Path, info: CheckpointInfo, owner: Owner) -> None:
    _refuse_others(path, owner)
    found = saved(info.path)
    assert found.normalize is not None  # noqa: S101  (the recipe has one)
    card = Card(
        run=owner.run,
        run_id=owner.run_id,
        step=info.step,
        saved_at_s=info.saved_at_s,
        model=digest(found.model),
        statistics=digest(found.normalize),
    )
    make_dir(path.parent)
    write_atomic(_card(path), encoded(card), fs=LOCAL_FS)
    write_atomic(_beside(path), found.normalize, fs=LOCAL_FS)
    write_atomic(path, found.model, fs=LOCAL_FS)

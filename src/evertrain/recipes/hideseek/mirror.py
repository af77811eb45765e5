"""What a run writes for other programs while it trains, if it is asked to.

Layer: recipes. Imports its siblings, run, checkpoint and core.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.keep import Found, Rule, keep_best, keep_last
from evertrain.checkpoint.when import every
from evertrain.core.rundir import RunDir
from evertrain.recipes.hideseek.album import Album
from evertrain.recipes.hideseek.config import HideSeekConfig, PpoConfig
from evertrain.recipes.hideseek.folder import Folder
from evertrain.recipes.owner import Owner
from evertrain.recipes.saving import keep_rule
from evertrain.run.run import Run

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm import Algorithm

Mirror = Callable[[int, Mapping[str, float]], None]


def of_folder(ppo: PpoConfig) -> Rule:
    """Keep what the folder for other programs keeps, so that a path into it means something.

    Between those at each `checkpoint_freq` the run saves each new best one, which would
    push them out. The folder gets that of the last iteration, too, which is no last one any
    more if the training is prolonged.
    """
    newest, best = keep_last(max(ppo.keep_last_n, 1)), keep_best(1)

    def why(found: Found) -> Mapping[int, str]:
        regular = [each for each in found if _is_regular(each, ppo)]
        return {**newest.why(regular), **best.why(regular)}

    return Rule(f"{newest} and {best} of every {ppo.checkpoint_freq}", why)


def _is_regular(info: CheckpointInfo, ppo: PpoConfig) -> bool:
    return info.step % ppo.checkpoint_freq == 0 or info.kind == "final"


def claimed(config: HideSeekConfig, run: Run) -> Folder | None:
    """Return the folder for other programs, which is this run's; None where none is asked for.

    Raises:
        ConfigError: In the folder lies what another run, or nobody knows who, has written; or
            it is no folder.
        EvertrainError: The disk refused.
    """
    if config.ppo.checkpoint_dir is None:
        return None
    keep, owner = keep_rule(config.ppo.keep_last_n), Owner.of(run.path)
    folder = Folder(Path(config.ppo.checkpoint_dir), keep, owner)
    folder.claim()
    return folder


@contextmanager
def mirrored(
    folder: Folder | None, config: HideSeekConfig, run: Run, algorithm: "Algorithm"
) -> Iterator[Mirror]:
    """Keep the folder for other programs up with a training that is restored, and goes on.

    Yields:
        What to call at the end of each iteration, with its number and its metrics.

    Raises:
        OSError: The disk refused.
    """
    if folder is None:
        yield lambda *_: None
        return
    moved = folder.begin(run.step)
    if moved:
        names = ", ".join(each.name for each in moved)
        run.say(f"evertrain: behind iteration {run.step}, moved to superseded/: {names}")

    with Album(folder, RunDir(run.path), run.step, run.say) as album:

        def mirror(iteration: int, row: Mapping[str, float]) -> None:
            album.note(iteration, row)
            is_last = iteration == config.iterations
            if is_last or run.due(every(steps=config.ppo.checkpoint_freq)):
                _add(folder, run, algorithm, iteration, row)
                album.add(iteration)

        yield mirror


def _add(
    folder: Folder, run: Run, algorithm: "Algorithm", iteration: int, row: Mapping[str, float]
) -> None:
    """Write the checkpoint for other programs. A disk that refuses it ends no training.

    It may be there although older ones could not be removed, or listed.
    """
    try:
        folder.add(iteration, row, lambda place: algorithm.save_checkpoint(str(place.absolute())))
    except OSError as error:
        if not folder.has(iteration):
            run.say(f"evertrain: no checkpoint in {folder.path} for iteration {iteration}: {error}")
            return
        run.say(f"evertrain: {folder.path} is not up to date, and is mended by the next: {error}")
    run.say(f"Checkpoint saved: {folder.place(iteration)}")

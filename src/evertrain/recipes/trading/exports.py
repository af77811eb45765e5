"""Keeps a folder of weights as the run's checkpoints are, for programs that know only torch.

What belongs there follows from the checkpoints alone. So it does not matter when a
training dies: the next look finds what is missing, stale or too much.

Layer: recipes. Imports its siblings, integrations, run, monitor, checkpoint and core.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from evertrain.checkpoint.care.export import read_part
from evertrain.checkpoint.commit import sweep
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.core.errors import EvertrainError, first_line
from evertrain.core.fs import LOCAL_FS, Fs, make_dir, write_atomic
from evertrain.integrations.torch.export import pt_bytes
from evertrain.monitor.read import metadata_of
from evertrain.recipes.cardfile import encoded
from evertrain.recipes.owner import Owner, claim, digest, own_card
from evertrain.recipes.trading.backtest import METRICS, TRADES
from evertrain.recipes.trading.config import TradingConfig
from evertrain.recipes.trading.folder import (
    BEST,
    CARD,
    UNFINISHED,
    WEIGHTS,
    Card,
    cards_in,
    is_ours,
    name_of,
    wanted,
)
from evertrain.run.run import Run
from evertrain.run.stop import Stopped

NETWORK: Final = "model.policy"  # of a checkpoint, what `torch.load` is to find
_OPTION: Final = "checkpoints.dir"

# Of which save a file of weights was made: a step may be saved twice, on two branches.
_Save = tuple[int, float]


@contextmanager
def mirrored(run: Run, config: TradingConfig) -> Iterator[Callable[[], None]]:
    """Return a function that brings the folder of `config` up to date; without one, it rests.

    It is called once more when the training is stopped, which saves another checkpoint.

    Raises:
        ConfigError: In the folder lies what another run, or nobody knows who, has written.
    """
    if config.checkpoints.dir is None:
        yield lambda: None
        return
    folder = Folder(config.checkpoints.dir, run, config)
    try:
        yield folder.refresh
    except Stopped:
        folder.refresh()
        raise


class Folder:
    """The files of one run.

    Args:
        path: The folder; made with the first file.
        run: Whose checkpoints they are.
        config: How many are kept, and what epsilon was.

    Raises:
        ConfigError: It is another run's, or in it lies what this run has not written.
    """

    def __init__(self, path: Path, run: Run, config: TradingConfig) -> None:
        """Look at what is there, take the folder, and remove what a death left unfinished."""
        self._path, self._run, self._config = path, run, config
        self._owner = Owner.of(run.path)
        self._there: dict[str, _Save | None] = {
            name: _save_of(card) if self._is_whole(name, card) else None
            for name, card in self._own_cards().items()
        }
        try:
            self._claim()
        except EvertrainError as error:
            if not isinstance(error.__cause__, OSError):  # what the disk refuses, `refresh` says
                raise
        for prefix in UNFINISHED:
            sweep(path, LOCAL_FS, prefix=prefix)

    def refresh(self) -> None:
        """Write what is missing or stale, and remove what is too much.

        A folder that cannot be written ends no training: the checkpoints are what counts.
        """
        names = wanted(self._run.store.list(), self._config.checkpoints)
        try:
            self._claim()
            self._fill(names)
        except (OSError, EvertrainError) as error:
            self._run.say(f"evertrain: {self._path} is not up to date: {first_line(error)}")

    def _own_cards(self) -> dict[str, Card]:
        """Return what lies there by names of ours, all of which has to be this run's."""
        return {
            name: own_card(self._path / name, card, self._owner, _OPTION)
            for name, card in cards_in(self._path).items()
        }

    def _claim(self) -> None:
        """Take the folder: another run may have begun with the same empty one."""
        claim(self._path, self._owner, is_meant=self._is_strange, option=_OPTION)

    def _is_strange(self, name: str) -> bool:
        return is_ours(name) and Path(name).stem not in self._there

    def _fill(self, names: Mapping[str, CheckpointInfo]) -> None:
        for name in self._there.keys() - names.keys():
            self._remove(name)
        for name, info in names.items():
            if self._there.get(name) != (info.step, info.saved_at_s):
                self._write(name, info)

    def _write(self, name: str, info: CheckpointInfo) -> None:
        """Write the card before the weights: its digest tells if a death came between them."""
        epsilon, about = self._config.agent.epsilon_in(info.step), metadata_of(info)
        tree = {"model": {"policy": read_part(info.path, NETWORK)}}
        weights = pt_bytes({**tree, "episode": info.step, "epsilon": epsilon})
        card = Card(
            episode=info.step,
            metrics=_metrics_of(info),
            is_best=about.get("is_best"),
            metric_name=about.get("metric_name"),
            metric_value=about.get("metric_value"),
            epsilon=epsilon,
            saved_at_s=info.saved_at_s,
            run=self._owner.run,
            run_id=self._owner.run_id,
            sha256=digest(weights),
        )
        make_dir(self._path)
        write_atomic(self._path / f"{name}{CARD}", encoded(card))
        self._there[name] = None
        write_atomic(self._path / f"{name}{WEIGHTS}", weights)
        self._there[name] = _save_of(card)
        if self._config.verbose and name != BEST:
            self._run.say(f"Save checkpoint: {self._path / name}{WEIGHTS}")

    def _remove(self, name: str) -> None:
        remove(self._path, name)
        del self._there[name]

    def _is_whole(self, name: str, card: Card) -> bool:
        try:
            return digest((self._path / f"{name}{WEIGHTS}").read_bytes()) == card.sha256
        except OSError:
            return False


def remove(folder: Path, name: str, *, fs: Fs = LOCAL_FS) -> None:
    """Remove weights, then their card: weights without a card would be a stranger's.

    Durability:
        A power cut leaves both, the card alone, or neither.
    """
    fs.unlink(folder / f"{name}{WEIGHTS}")
    fs.sync_dir(folder)
    fs.unlink(folder / f"{name}{CARD}")


def exported(config: TradingConfig, episode: int) -> Path | None:
    """Return the file of weights of an episode; None where there is no folder for it."""
    folder = config.checkpoints.dir
    return None if folder is None else folder / f"{name_of(episode)}{WEIGHTS}"


def _metrics_of(info: CheckpointInfo) -> dict[str, float]:
    """Return what the guide's cards hold, a count as a whole number."""
    found = {key: info.metrics[key] for key in METRICS if key in info.metrics}
    return {key: int(value) if key == TRADES else value for key, value in found.items()}


def _save_of(card: Card) -> _Save:
    return (card.episode, card.saved_at_s)

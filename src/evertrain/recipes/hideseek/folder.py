"""A folder of checkpoints as the guide has it: `checkpoint_000050/`, an index, the last ten.

The run does not go on from these: they are for other programs, in RLlib's own format, with
`metadata.json` in each and `checkpoint_index.json` beside them. What a framework writes file
by file appears under its name only when all of it is on the disk. Each says in a card which
checkpoint of which run it is like; files of metrics stand beside it, and come and go with it.

A folder is one run's. What somebody else puts there meanwhile is neither moved nor removed.

Layer: recipes. Imports its siblings, checkpoint and core.
"""

import errno
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.keep import Keep, verdicts
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.document import parse_json
from evertrain.core.fs import LOCAL_FS, Fs, make_dir, write_atomic
from evertrain.recipes.cardfile import encoded
from evertrain.recipes.hideseek.card import CARD, Card
from evertrain.recipes.owner import Owner, claim

INDEX: Final = "checkpoint_index.json"
METADATA: Final = "metadata.json"
SUPERSEDED: Final = "superseded"
HISTORY: Final = "metrics_iter_{}.json"
PICTURE: Final = "training_metrics_iter_{}.png"

_NAME: Final = re.compile(r"checkpoint_(\d{6,})")
_BESIDE: Final = re.compile(r"metrics_iter_(\d+)\.json|training_metrics_iter_(\d+)\.png")
_HIDDEN: Final = ".tmp-"
_LEFT: Final = re.compile(  # by a training that died
    rf"\.tmp-(?:new|old|gone)-{_NAME.pattern}|\.(?:{re.escape(INDEX)}|{_BESIDE.pattern})\.tmp-\d+"
)
_OPTION: Final = "ppo.checkpoint_dir"
_SCORE: Final = "reward_mean"
_FIELDS: Final = (_SCORE, "seeker_reward", "hider_reward", "episode_len_mean")


class Folder:
    """The checkpoints of one training, for other programs.

    One training at a time writes it; whoever reads sees whole checkpoints only.

    Args:
        path: The folder; it need not exist.
        keep: Which checkpoints stay.
        owner: The run that they are of.
        fs: Disk to write to.
        clock: Time of day.
    """

    def __init__(
        self,
        path: Path,
        keep: Keep,
        owner: Owner,
        *,
        fs: Fs = LOCAL_FS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Look at nothing yet."""
        self.path = path
        self._keep = keep
        self._owner = owner
        self._fs = fs
        self._clock = clock

    def claim(self) -> None:
        """Make the folder the run's, so that no other run takes it.

        Raises:
            ConfigError: It is another run's, or somebody's, or no folder; what is there is
                as it was.
            EvertrainError: The disk refused.
        """
        claim(self.path, self._owner, is_meant=_is_meant, option=_OPTION, fs=self._fs)

    def begin(self, iteration: int) -> list[Path]:
        """Make the folder fit a training that goes on behind `iteration`.

        What lies beyond is of a way that the training has left: it moves to `superseded/`,
        in place of one of the same name.

        Returns:
            What was moved, as it was called before.

        Raises:
            EvertrainError: As `claim`.
            OSError: The disk refused.
        """
        self.claim()
        self._sweep()
        beyond = [info for info in self.found() if info.step > iteration]
        for info in beyond:
            make_dir(self.path / SUPERSEDED, fs=self._fs)
            self._move(info.path, self.path / SUPERSEDED / info.path.name)
            for name in (HISTORY, PICTURE):
                self._set_aside(name.format(info.step))
        if beyond:
            self._prune(self.path / SUPERSEDED)
        self._prune(self.path)
        self._write_index()
        return [info.path for info in beyond]

    def place(self, iteration: int) -> Path:
        """Return where the checkpoint of an iteration is, or would be."""
        return self.path / f"checkpoint_{iteration:06d}"

    def has(self, iteration: int) -> bool:
        """Say whether the run's checkpoint of an iteration is there."""
        return self._is_ours(self.place(iteration))

    def add(
        self, iteration: int, row: Mapping[str, float], write: Callable[[Path], object]
    ) -> None:
        """Add a checkpoint, and let go of those that nobody keeps any more.

        Args:
            iteration: Its number.
            row: The metrics of its iteration.
            write: Fills the directory that it is given, which exists and is empty.

        Raises:
            OSError: The disk refused, or somebody else has put something of this name there;
                what was there before is there still. `has` says how far it came.

        Durability:
            After return it survives a power cut. Killed halfway, it is whole, or not there.
        """
        target = self.place(iteration)
        self._sweep()
        tmp = self._hide(target)
        self._fs.mkdir(tmp)
        try:
            write(tmp)
            text = json.dumps(self._metadata(iteration, row, target), indent=2) + "\n"
            self._fs.write(tmp / METADATA, (text.encode(),))
            card = Card.of(self._owner, iteration, tmp)
            self._fs.write(tmp / CARD, (encoded(card),))
            self._sync(tmp)
            self._move(tmp, target)
        except BaseException:
            with suppress(OSError):  # the first failure is the one to report
                self._fs.rmtree(tmp)
            raise
        self._prune(self.path)
        self._write_index()

    def lacks(self, name: str, iteration: int) -> bool:
        """Say whether a checkpoint is there, and its file `name` is not."""
        place = self.path / name.format(iteration)
        return self.has(iteration) and not place.exists()

    def put(self, name: str, iteration: int, data: bytes) -> None:
        """Write a file beside a checkpoint; if that is gone meanwhile, nothing.

        Args:
            name: `HISTORY` or `PICTURE`.
            iteration: Whose.
            data: All of it.

        Raises:
            OSError: The disk refused.

        Durability:
            As `write_atomic`.
        """
        if self.has(iteration):
            write_atomic(self.path / name.format(iteration), data, fs=self._fs)

    def found(self) -> list[CheckpointInfo]:
        """Return the run's checkpoints that are there, oldest first."""
        return self._found(self.path)

    def _found(self, root: Path) -> list[CheckpointInfo]:
        return [_info(path) for path in sorted(root.glob("checkpoint_*")) if self._is_ours(path)]

    def _is_ours(self, path: Path) -> bool:
        """Say whether the run has written this checkpoint, and by this name."""
        name = _NAME.fullmatch(path.name)
        try:
            card = Card.read(path / CARD)
        except (OSError, ValueError):
            return False
        is_named = name is not None and int(name[1]) == card.iteration
        return is_named and card.run_id == self._owner.run_id

    def _metadata(self, iteration: int, row: Mapping[str, float], target: Path) -> dict[str, Any]:
        return {
            "iteration": iteration,
            "timestamp": self._now(),
            "checkpoint_path": str(target.absolute()),
            **{name: row[name] if math.isfinite(row[name]) else None for name in _FIELDS},
            "episodes_completed": int(row["episodes_completed"]),
        }

    def _now(self) -> str:
        """Return the time of day where people read it, without a zone, as the guide has it."""
        local = datetime.fromtimestamp(self._clock.now_s(), tz=UTC).astimezone()
        return local.replace(tzinfo=None).isoformat(timespec="seconds")

    def _sync(self, root: Path) -> None:
        """Bring all that a framework wrote below `root` to the medium."""
        for folder, _, names in os.walk(root, topdown=False):
            for name in names:
                self._fs.sync_file(Path(folder, name))
            self._fs.sync_dir(Path(folder))

    def _move(self, source: Path, target: Path) -> None:
        """Give a directory its name, in place of another of that name."""
        old = self._hide(target, "old")
        if target.exists():
            if not self._is_ours(target):
                raise FileExistsError(errno.EEXIST, "this run has not written it", str(target))
            self._fs.replace(target, old)
        self._fs.replace(source, target)
        self._fs.sync_dir(target.parent)  # first: a power cut may show it twice, never not at all
        if source.parent != target.parent:
            self._fs.sync_dir(source.parent)
        self._fs.rmtree(old)

    def _set_aside(self, name: str) -> None:
        """Let a file beside a checkpoint follow it."""
        if (self.path / name).is_file():
            self._fs.replace(self.path / name, self.path / SUPERSEDED / name)
            self._fs.sync_dir(self.path / SUPERSEDED)
            self._fs.sync_dir(self.path)

    def _prune(self, root: Path) -> None:
        """Take away what the rule lets go; each is gone from its name at once."""
        for verdict in verdicts(self._found(root), self._keep):
            if not verdict.is_kept:
                place = root / f"checkpoint_{verdict.step:06d}"
                gone = self._hide(place, "gone")
                self._fs.replace(place, gone)
                self._fs.sync_dir(root)
                self._fs.rmtree(gone)
        for path in root.glob("*metrics_iter_*"):
            match = _BESIDE.fullmatch(path.name)
            if match and not (root / f"checkpoint_{int(match[1] or match[2]):06d}").exists():
                self._fs.unlink(path)

    def _write_index(self) -> None:
        rows = [_read(info.path) for info in self.found()]
        index = {
            "last_updated": self._now(),
            "total_checkpoints": len(rows),
            "checkpoints": rows,
        }
        text = json.dumps(index, indent=2) + "\n"
        write_atomic(self.path / INDEX, text.encode(), fs=self._fs)

    def _sweep(self) -> None:
        """Remove what a training left that died in the middle of this."""
        for place in (self.path, self.path / SUPERSEDED):
            for left in place.glob(".*"):
                if _LEFT.fullmatch(left.name):
                    self._fs.rmtree(left) if left.is_dir() else self._fs.unlink(left)

    def _hide(self, target: Path, why: str = "new") -> Path:
        return target.with_name(f"{_HIDDEN}{why}-{target.name}")


def _is_meant(name: str) -> bool:
    """Say whether a training writes, moves or removes what has this name."""
    return name in (INDEX, SUPERSEDED) or any(
        each.fullmatch(name) for each in (_NAME, _BESIDE, _LEFT)
    )


def _info(path: Path) -> CheckpointInfo:
    score = _read(path).get(_SCORE)
    return CheckpointInfo(
        step=int(path.name.removeprefix("checkpoint_")),
        saved_at_s=0.0,
        score=float(score) if isinstance(score, (int, float)) else None,
        path=path,
    )


def _read(path: Path) -> dict[str, Any]:
    """Return what a checkpoint says of itself; nothing if somebody else wrote it."""
    try:
        found = parse_json((path / METADATA).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

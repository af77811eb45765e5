"""What is told of the saves: each in the journal, and to people what they should look at.

A save that is safe stays safe: nothing here fails it.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evertrain.checkpoint.directory import opened
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.manifest import Manifest
from evertrain.checkpoint.read import read_manifest
from evertrain.checkpoint.when import Auto, Moment, When
from evertrain.core.disk import Room, Size, human_bytes, room_at
from evertrain.core.errors import EvertrainError, first_line
from evertrain.core.journal import Journal
from evertrain.run.save import Save
from evertrain.run.still import notice, unchanged

_WORTH_TELLING: Final = 0.25  # of the interval
_DONE: Final = {
    "low": "there is no room for two (evertrain status)",
    "reserve": "this one just fits",
    "trash": "the trash is emptied for it",
    "prune": "the trash is emptied for it, and what the retention rule drops after it goes before",
}


@dataclass(slots=True)
class Account:
    """Tells of the saves of one attempt.

    Attributes:
        journal: Where each one is written down.
        say: Prints one line.
        attempt: Its number.
        root: Directory of the checkpoints.
        watched: Where to look for what stands still: "name", or "name/part"; empty after a resume.
    """

    journal: Journal
    say: Callable[[str], None]
    attempt: int
    root: Path
    watched: tuple[str, ...] = ()
    _first: Manifest | None = None
    _told_s: float | None = None

    def saved(
        self,
        save: Save,
        info: CheckpointInfo,
        *,
        took_s: float | None = None,
        blocked_s: float | None = None,
        written_bytes: int | None = None,
    ) -> None:
        """Tell of a save that is on the disk.

        Args:
            save: What was saved.
            info: Its checkpoint.
            took_s: How long it took until it was safe, seconds, or None.
            blocked_s: How much of that the loop waited, or None.
            written_bytes: How much of it was written and not shared, at most, or None.
        """
        self._tell(
            "saved",
            attempt=self.attempt,
            step=save.step,
            kind=save.kind,
            path=str(info.path.relative_to(self.root)),
            bytes=info.size_bytes,
            written=None if written_bytes is None else min(written_bytes, info.size_bytes),
            seconds=None if took_s is None else round(took_s, 6),
            blocked=None if blocked_s is None else round(blocked_s, 6),
            reasons=list(save.reasons),
            is_best=save.is_best,
        )

    def paced(self, rule: When, moment: Moment) -> None:
        """Tell how often the rule saves, and why, where that has changed by a quarter."""
        interval_s = rule.interval_s(moment) if isinstance(rule, Auto) else 0.0
        told_s = self._told_s
        if told_s is not None and abs(interval_s - told_s) <= _WORTH_TELLING * interval_s:
            return
        self._told_s = interval_s
        self._tell(
            "paced",
            sync=False,
            attempt=self.attempt,
            rule=str(rule),
            interval=round(interval_s, 3) or None,
            why=rule.why(moment) if isinstance(rule, Auto) else None,
        )

    def failed(self, step: int, error: BaseException, needed_bytes: int | None = None) -> str:
        """Tell of a save that failed; return why, in a line.

        Args:
            step: Its step.
            error: What it raised.
            needed_bytes: How much it had to write, about, or None.
        """
        why, room = first_line(error), room_at(self.root)
        self.say(f"evertrain: the save after step {step} failed: {why}")
        self._tell(
            "save_failed",
            attempt=self.attempt,
            step=step,
            error=why,
            needed=needed_bytes,
            free=None if room is None else room.free_bytes,
        )
        return why

    def low(self, state: str, room: Room, need: Size, step: int | None) -> None:
        """Tell that the disk has little room, and what is done about it."""
        there, needed = human_bytes(room.free_bytes), human_bytes(need.bytes)
        text = f"evertrain: the disk is low: {there} free, a save takes about {needed}"
        if state in _DONE:
            self.say(f"{text}; {_DONE[state]}")
        self._tell(
            "disk_low",
            sync=False,
            attempt=self.attempt,
            step=step,
            state=state,
            free=room.free_bytes,
            files=room.free_files,
            needed=need.bytes,
        )

    def pruned(self, steps: list[int]) -> None:
        """Tell what retention removed, if anything."""
        if steps:
            self._tell("pruned", sync=False, steps=steps)

    def emptied(self, step: int, count: int) -> None:
        """Tell that the trash made room for a save."""
        self.say(f"evertrain: the trash was emptied for the save after step {step}")
        self._tell("trash_emptied", sync=False, attempt=self.attempt, step=step, checkpoints=count)

    def look_for_standstill(self, info: CheckpointInfo) -> None:
        """At the second checkpoint of a run, say once what has not changed since the first."""
        if not self.watched:
            return
        try:
            with opened(info.path) as directory:
                manifest = read_manifest(directory)
        except (EvertrainError, OSError):  # not readable just now: a later save looks again
            return
        if self._first is None:
            self._first = manifest
            return
        leaves = unchanged(self._first, manifest, self.watched)
        if leaves:
            self.say(notice(leaves, self._first.step))
            self._tell("unchanged", sync=False, since=self._first.step, leaves=leaves)
        self.watched, self._first = (), None

    def _tell(self, event: str, *, sync: bool = True, **fields: Any) -> None:
        """Write an event down; one that the disk refuses waits for the next."""
        if not self.journal.record(event, fields, sync=sync, must=False):
            self.say(f"evertrain: the journal could not be written; {event!r} waits")

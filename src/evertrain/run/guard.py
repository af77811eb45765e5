"""The disk guard: makes room before a save is written, and once more where one found none.

What nobody keeps goes, and nothing else: the trash first, then what the run's own rule
drops anyway as soon as this save is there.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from evertrain.checkpoint.keep import Keep
from evertrain.checkpoint.share import freed
from evertrain.checkpoint.space import Outlook, Plan, plan
from evertrain.checkpoint.store import Pending, Store
from evertrain.checkpoint.trash import TRASH, contents
from evertrain.core.disk import Room, Size, room_at
from evertrain.core.errors import EvertrainError, SaveError, first_line
from evertrain.core.refusal import is_full
from evertrain.core.rundir import step_name
from evertrain.run.account import Account
from evertrain.run.shortage import no_room

T = TypeVar("T")

# From good to bad; each is told once, until the disk is roomy again.
_ROOMY: Final = "roomy"
_STATES: Final = (_ROOMY, "low", "reserve", "trash", "prune", "full")


@dataclass(slots=True)
class Guard:
    """Keeps the disk of one attempt from filling up.

    Attributes:
        store: The checkpoints.
        keep: The run's retention rule.
        account: Where what it does is told.
        look: Measures the room of a disk.
    """

    store: Store
    keep: Keep
    account: Account
    look: Callable[[Path], Room | None] = room_at
    _worst: str = _ROOMY

    def foresee(self, next_bytes: int | None) -> None:
        """Say at the start of an attempt if the disk has room for fewer than two saves."""
        room = self.look(self.store.path)
        if room is not None and next_bytes is not None:
            self._judge(room, Size(next_bytes), None)

    def before(self, pending: Pending, *, is_last_try: bool) -> None:
        """Make room for a save, if the disk has none.

        Args:
            pending: The save.
            is_last_try: Whether the training ends without it. Then it is tried even
                where it cannot fit: the disk may compress what is written.

        Raises:
            SaveError: It cannot fit. Nothing was written, and nothing deleted.
        """
        room, need = self.look(self.store.path), pending.need
        if room is None:
            return
        if not plan(need, room).is_low:
            self._judge(room, need, pending.step)
            return
        found = self._weigh(pending, need, room)
        if not found.fits:
            self._change_to("full", room, need, pending.step)
            if is_last_try:
                return
            raise no_room(self.store, pending.step, need, room)
        self._change_to(
            found.means if found.means != "nothing" else "reserve", room, need, pending.step
        )
        if found.means != "nothing":
            self._empty_trash(pending.step)
        if found.means == "prune":
            self.prune(pending)

    def with_room(self, step: int, act: Callable[[], T], pending: Pending | None = None) -> T:
        """Act; where the disk, or a quota that no measure shows, is full, make room and try again.

        Args:
            step: Whose save it is for.
            act: What needs room.
            pending: The save, if it has begun; without it only the trash goes.

        Raises:
            SaveError: As `act`; so of `OSError`.
        """
        try:
            return act()
        except (SaveError, OSError) as error:
            if not is_full(error) or not self._relieve(step, pending) or self._is_there(pending):
                raise
        return act()

    def prune(self, ahead: Pending | None = None, *, protect: Collection[int] = ()) -> None:
        """Apply retention. What goes wrong there must not end the training."""
        try:
            verdicts = self.store.prune(self.keep, ahead=ahead, protect=protect)
        except Exception as error:  # noqa: BLE001  (a rule is a program's own function)
            text = f"evertrain: old checkpoints could not be removed: {first_line(error)}"
            self.account.say(text)
            return
        self.account.pruned([each.step for each in verdicts if not each.is_kept])

    def _weigh(self, pending: Pending, need: Size, room: Room) -> Plan:
        """Decide, from what the trash and retention would free."""
        inside, doomed = contents(self.store.path / TRASH), self._doomed(pending)
        return plan(need, room, freed(inside), freed([*inside, *doomed]))

    def _doomed(self, pending: Pending) -> list[Path]:
        """Return the checkpoints that the rule drops once a save is there."""
        with suppress(Exception):  # a rule that fails makes no room
            verdicts = self.store.prune(self.keep, dry_run=True, ahead=pending)
            gone = [each.step for each in verdicts if not each.is_kept]
            return [self.store.path / step_name(step) for step in gone]
        return []

    def _relieve(self, step: int, pending: Pending | None) -> bool:
        """Make what room there is; say whether there was any."""
        count = self._empty_trash(step)
        if pending is None or not freed(self._doomed(pending)).bytes:
            return count > 0
        self.prune(pending)
        return True

    def _is_there(self, pending: Pending | None) -> bool:
        """Say whether a save has got its name, not durably, and could not give it back."""
        return pending is not None and (self.store.path / step_name(pending.step)).exists()

    def _empty_trash(self, step: int) -> int:
        """Return how many checkpoints went from the trash."""
        with suppress(OSError, EvertrainError):  # what stopped the save says it all
            count = self.store.empty_trash()
            if count:
                self.account.emptied(step, count)
            return count
        return 0

    def _judge(self, room: Room, need: Size, step: int | None) -> None:
        is_low = Outlook(room, need.bytes).is_low
        self._change_to("low" if is_low else _ROOMY, room, need, step)

    def _change_to(self, state: str, room: Room, need: Size, step: int | None) -> None:
        """Tell how the disk is, when that has become worse."""
        if _STATES.index(state) > _STATES.index(self._worst):
            self.account.low(state, room, need, step)
            self._worst = state
        elif state == _ROOMY:
            self._worst = state

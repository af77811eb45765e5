"""Saving: when a rule says so, after the metrics, before the old ones go.

The only place of the run that writes checkpoints. A failed save is told, and
tried again; only a save that must not be missed fails the training.

Layer: run. Imports monitor, checkpoint and core.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from evertrain.checkpoint.about import About
from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.keep import Keep
from evertrain.checkpoint.shelf import save_emergency
from evertrain.checkpoint.store import Pending, Store
from evertrain.checkpoint.when import Moment, When
from evertrain.core.clock import Clock
from evertrain.core.errors import EvertrainError, first_line
from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.core.journal import Journal
from evertrain.core.machine import cores
from evertrain.monitor.disk import last_written_bytes
from evertrain.run.account import Account
from evertrain.run.background import Background, Outcome
from evertrain.run.failure import MAX_FAILURES, may_pass, unsaved
from evertrain.run.guard import Guard
from evertrain.run.mtbf import Past, past_of
from evertrain.run.rows import Rows
from evertrain.run.save import Flight, Pace, Right, Save, about
from evertrain.run.shortage import way_out

_PATIENCE_S: Final = 5.0  # of an emergency with a save in flight


@dataclass(slots=True)
class Saver:
    """Writes the checkpoints of one attempt.

    Attributes:
        store: Where to.
        journal: Where each save is written down.
        rows: Metrics, flushed before each save.
        lease: Checked before each commit.
        when: Rule that asks for saves.
        keep: Rule that keeps some of them.
        identity: Fields that each checkpoint repeats: unit, run_id, metric_name, parent.
        clock: Source of times.
        say: Prints one line.
        fs: Disk for emergency checkpoints.
    """

    store: Store
    journal: Journal
    rows: Rows
    lease: Right
    when: When
    keep: Keep
    identity: Mapping[str, Any]
    clock: Clock
    say: Callable[[str], None]
    fs: Fs = LOCAL_FS
    pace: Pace = field(default_factory=Pace)
    past: Past = field(default_factory=Past)
    _flight: Flight | None = None
    _began_s: float = field(init=False)
    _background: Background[CheckpointInfo] = field(init=False)
    _account: Account = field(init=False)
    _guard: Guard = field(init=False)

    def __post_init__(self) -> None:
        """Have nothing in flight."""
        self._began_s, self._background = self.clock.monotonic_s(), Background(self.clock)
        self._account = Account(self.journal, self.say, self.lease.owner.attempt, self.store.path)
        self._guard = Guard(self.store, self.keep, self._account)

    def follow(self, when: When, keep: Keep) -> None:
        """Save and keep by other rules from now on."""
        self.when, self.keep, self._guard.keep = when, keep, keep

    def watch(self, places: tuple[str, ...]) -> None:
        """Point out once what stands still there: "name", or "name/part", of a checkpoint."""
        self._account.watched = places

    def start(self, step: int) -> None:
        """Begin to count from `step`, and learn from the journal how often this run crashes."""
        events = self.journal.events()
        self.past, self._began_s = past_of(events), self.clock.monotonic_s()
        self.pace = Pace(last_step=step, last_at_s=self.clock.monotonic_s())
        self._guard.foresee(last_written_bytes(events))

    def reason(self, step: int, previous_step: int) -> str | None:
        """Return why the rule wants a save now, or None."""
        return self.when(self.moment(step, previous_step))

    def moment(self, step: int, previous_step: int) -> Moment:
        """Return what rules may look at."""
        return Moment(
            step=step,
            previous_step=previous_step,
            last_save_step=self.newest_step,
            since_save_s=self.clock.monotonic_s() - self._last_at_s,
            cost_s=self.pace.cost_s,
            mtbf_s=self.past.mean_life_s(self.clock.monotonic_s() - self._began_s),
            unit=str(self.identity["unit"]),
            is_saving=self.is_saving,
        )

    @property
    def is_saving(self) -> bool:
        """Whether a save is in flight."""
        return self._flight is not None

    @property
    def is_first(self) -> bool:
        """Whether this attempt has neither saved nor begun to."""
        return self.pace.cost_s is None and not self.is_saving

    @property
    def newest_step(self) -> int:
        """Step of the newest save, on the disk or on its way there."""
        return self._flight.save.step if self._flight else self.pace.last_step

    def save(self, save: Save, *, must: bool, began_s: float | None = None) -> Save | None:
        """Save: in the background, or before this returns. None is in flight: see `settle`.

        Args:
            save: What to write.
            must: Whether the training may not go on without it. Then it is on the
                disk when this returns; else the loop goes on as soon as what
                changed is copied, and `settle` tells what became of it.
            began_s: When the loop began to wait for it, monotonic seconds: before
                the state was captured. None is now.

        Returns:
            The save, if it failed and will be tried again.

        Raises:
            SaveError: The disk refused, and `must` is true or it was the fifth time in a row.
            StateError: The state cannot be stored.
            FencedError: A later attempt owns the run.

        Durability:
            When it is done the checkpoint, its journal entry and every metrics
            row up to it survive a power cut. Killed anywhere before, the previous
            checkpoint is whole and the newest.
        """
        if self._flight is not None:
            raise AssertionError("settle first")
        flight = Flight(save, self.clock.monotonic_s() if began_s is None else began_s, must)
        try:
            self._guard.with_room(save.step, lambda: self.rows.flush(sync=flight.must, must=True))
            pending = None if flight.must else self._begin(save)
        except Exception as error:  # noqa: BLE001  (`_end` raises what must not pass)
            return self._end(flight, Outcome(None, error, self.clock.monotonic_s()))
        flight.blocked_s = self.clock.monotonic_s() - flight.began_s
        if pending is None:
            return self._end(flight, self._save_now(flight))
        flight.save = replace(save, trees={})  # or the state of this step would stay in memory
        self._flight = flight
        if self._background.start(lambda: self._write(flight, pending)):
            return None
        flight.blocked_s = self.clock.monotonic_s() - flight.began_s
        return self.settle(wait=True)

    def settle(self, *, wait: bool = False) -> Save | None:
        """Take note of what became of the save in flight.

        Args:
            wait: Whether to wait for it; else one that is not done stays in flight.

        Returns:
            The save, if it failed and will be tried again.

        Raises:
            SaveError: It was the fifth in a row that failed.
            FencedError: A later attempt owns the run.
        """
        flight = self._flight
        if flight is None:
            return None
        outcome = self._background.take(None if wait else 0.0)
        if outcome is None:
            return None
        self._flight = None
        return self._end(flight, outcome)

    def land(self) -> None:
        """Wait for the save in flight, and only tell of its failure: the run ends anyway."""
        try:
            self.settle(wait=True)
        except Exception as error:  # noqa: BLE001  (it must not hide why the run ends)
            self.say(f"evertrain: the last save: {first_line(error)}")

    def save_emergency(self, save: Save) -> CheckpointInfo:
        """Keep an unsafe state for manual recovery; it never resumes by itself.

        Raises:
            SaveError: The disk refused.
        """
        self._background.join(_PATIENCE_S)  # the one in flight would resume by itself
        self.rows.flush(sync=True)
        tools = Tools(self.fs, self.clock)
        info = self._guard.with_room(
            save.step,
            lambda: save_emergency(
                self.store.path, save.step, save.trees, self._about(save), tools
            ),
        )
        self._account.saved(save, info)
        return info

    def _begin(self, save: Save) -> Pending | None:
        """Copy what changed; None if there is no room for a copy."""
        try:
            return self.store.begin(save.step, save.trees, about=self._about(save))
        except MemoryError:
            self.say("evertrain: no memory for a copy of the state; this save holds the loop up")
            return None

    def _save_now(self, flight: Flight) -> Outcome[CheckpointInfo]:
        """Save while the loop waits, from the state as it is."""
        save = flight.save
        try:
            self._guard.with_room(save.step, self.rows.sync)
            pending = self.store.begin(save.step, save.trees, about=self._about(save), copy=False)
            info = self._commit(flight, pending)
        except Exception as error:  # noqa: BLE001  (`_end` raises what must not pass)
            return Outcome(None, error, self.clock.monotonic_s())
        flight.blocked_s = self.clock.monotonic_s() - flight.began_s
        self._finish(flight, info)
        flight.blocked_s = self.clock.monotonic_s() - flight.began_s  # it waits for retention too
        return Outcome(info, None, self.clock.monotonic_s())

    def _write(self, flight: Flight, pending: Pending) -> CheckpointInfo:
        """Write a save beside the loop."""
        self._guard.with_room(flight.save.step, self.rows.sync)
        info = self._commit(flight, pending)
        self._finish(flight, info)
        return info

    def _commit(self, flight: Flight, pending: Pending) -> CheckpointInfo:
        """Make room, and write what was begun."""
        flight.needed_bytes = pending.need.bytes
        is_last_try = flight.must or self.pace.failures + 1 >= MAX_FAILURES
        self._guard.before(pending, is_last_try=is_last_try)
        return self._guard.with_room(pending.step, lambda: self.store.commit(pending), pending)

    def _finish(self, flight: Flight, info: CheckpointInfo) -> None:
        """Tell of a save that is safe: nothing that the disk refuses now may end the training."""
        self._account.saved(
            flight.save,
            info,
            took_s=self.clock.monotonic_s() - flight.began_s,
            blocked_s=flight.blocked_s,
            written_bytes=flight.needed_bytes,
        )
        self._account.look_for_standstill(info)
        self._guard.prune(protect=(info.step,))

    def _end(self, flight: Flight, outcome: Outcome[CheckpointInfo]) -> Save | None:
        """Learn from a save that is over."""
        if outcome.error is not None:
            self._note_failure(flight, outcome.error, outcome.ended_s)
            return flight.save
        # What the thread takes from the training's cores is a cost like the waiting.
        cost_s, step = flight.blocked_s + outcome.cpu_s / cores(), flight.save.step
        if flight.must and self.pace.cost_s is not None:
            cost_s = self.pace.cost_s  # a save that is waited for says nothing of the others
        self.pace = Pace(step, flight.began_s + flight.blocked_s, cost_s)
        self._account.paced(self.when, self.moment(step, step))
        return None

    @property
    def _last_at_s(self) -> float:
        flight = self._flight
        return flight.began_s + flight.blocked_s if flight else self.pace.last_at_s

    def _about(self, save: Save) -> About:
        return about(save, self.identity, self.rows.of(save.step), self.lease)

    def _note_failure(self, flight: Flight, error: BaseException, at_s: float) -> None:
        """Tell of a save that failed; raise, where the training may not go on."""
        if not may_pass(error):
            if not isinstance(error, EvertrainError):  # ours speak for themselves
                self._account.failed(flight.save.step, error)
            raise error
        self.pace.failures += 1
        self.pace.last_at_s = at_s  # the next try waits its turn, however late this is heard
        self._account.failed(flight.save.step, error, flight.needed_bytes)
        ends = flight.must or self.pace.failures >= MAX_FAILURES
        if not ends and self.pace.failures > 1:
            return
        fix = way_out(self.store, error)
        if ends:
            count = None if flight.must else self.pace.failures
            raise unsaved(flight.save.step, error, count, fix) from error
        self.say(f"evertrain: {fix}")

"""Saving: when a rule says so, after the metrics, before the old ones go.

The only place of the run that writes checkpoints. A failed save is told, and
tried again; only a save that must not be missed fails the training.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from evertrain.checkpoint.about import About
from evertrain.checkpoint.directory import opened
from evertrain.checkpoint.info import CheckpointInfo, Kind
from evertrain.checkpoint.keep import Keep
from evertrain.checkpoint.manifest import Manifest
from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.read import read_manifest
from evertrain.checkpoint.shelf import save_emergency
from evertrain.checkpoint.store import Store
from evertrain.checkpoint.when import Moment, When
from evertrain.core.clock import Clock
from evertrain.core.errors import EvertrainError, SaveError
from evertrain.core.journal import Journal
from evertrain.core.lock import Lease
from evertrain.run.mtbf import PRIOR_S, mean_life_s
from evertrain.run.rows import Rows
from evertrain.run.still import notice, unchanged

MAX_FAILURES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """One save that is about to happen.

    Attributes:
        step: The step that has just ended.
        kind: Why it is taken.
        reasons: Rules that ask for it.
        trees: The state, by part.
        score: How good the step was, higher is better, or None.
        is_best: Whether that is the best so far.
        stage: Name and number of the running or ended stage, or None.
    """

    step: int
    kind: Kind
    reasons: tuple[str, ...]
    trees: Mapping[str, Tree]
    score: float | None = None
    is_best: bool = False
    stage: tuple[str, int] | None = None


@dataclass(slots=True)
class Pace:
    """What the saves so far cost.

    Attributes:
        last_step: Step of the newest save.
        last_at_s: When it ended, monotonic seconds.
        cost_s: How long it took, seconds; None before the first.
        failures: Saves that failed in a row.
    """

    last_step: int = 0
    last_at_s: float = 0.0
    cost_s: float | None = None
    failures: int = 0


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
        watched: Attached things to point out if they stand still; none after a resume.
    """

    store: Store
    journal: Journal
    rows: Rows
    lease: Lease
    when: When
    keep: Keep
    identity: Mapping[str, Any]
    clock: Clock
    say: Callable[[str], None]
    watched: tuple[str, ...] = ()
    pace: Pace = field(default_factory=Pace)
    _first: Manifest | None = None
    mtbf_s: float = PRIOR_S

    def start(self, step: int) -> None:
        """Begin to count from `step`, and learn from the journal how often this run crashes."""
        self.mtbf_s = mean_life_s(self.journal.events())
        self.pace = Pace(last_step=step, last_at_s=self.clock.monotonic_s())

    def reason(self, step: int, previous_step: int) -> str | None:
        """Return why the rule wants a save now, or None."""
        return self.when(self.moment(step, previous_step))

    def moment(self, step: int, previous_step: int) -> Moment:
        """Return what rules may look at."""
        return Moment(
            step=step,
            previous_step=previous_step,
            last_save_step=self.pace.last_step,
            since_save_s=self.clock.monotonic_s() - self.pace.last_at_s,
            cost_s=self.pace.cost_s,
            mtbf_s=self.mtbf_s,
            unit=str(self.identity["unit"]),
        )

    def save(
        self, save: Save, *, must: bool, began_s: float | None = None
    ) -> CheckpointInfo | None:
        """Commit a checkpoint, then let retention clear up.

        Args:
            save: What to write.
            must: Whether failing to write it fails the training.
            began_s: When the loop began to wait for it, monotonic seconds: before
                the state was captured. None is now.

        Returns:
            What was committed; None if the disk refused and `must` is false.

        Raises:
            SaveError: The disk refused, and `must` is true or it was the fifth time in a row.
            StateError: The state cannot be stored.
            FencedError: A later attempt owns the run.

        Durability:
            On return the checkpoint, its journal entry and every metrics row up
            to it survive a power cut. Killed anywhere before, the previous
            checkpoint is whole and the newest.
        """
        began_s = self.clock.monotonic_s() if began_s is None else began_s
        try:
            self.rows.flush(sync=True, must=True)
            info = self.store.save(save.step, save.trees, about=self._about(save))
        except (SaveError, OSError) as error:
            self._note_failure(save.step, error, must=must)
            return None
        # It is safe: from here on nothing that the disk refuses may end the training.
        self._record(save, info, self.clock.monotonic_s() - began_s)
        self._look_for_standstill(info)
        self._prune()
        now_s = self.clock.monotonic_s()
        self.pace = Pace(last_step=save.step, last_at_s=now_s, cost_s=now_s - began_s)
        return info

    def save_emergency(self, save: Save) -> CheckpointInfo:
        """Keep an unsafe state for manual recovery; it never resumes by itself.

        Raises:
            SaveError: The disk refused.
        """
        self.rows.flush(sync=True)
        info = save_emergency(self.store.path, save.step, save.trees, self._about(save))
        self._record(save, info, None)
        return info

    def _about(self, save: Save) -> About:
        return About(
            kind=save.kind,
            unit=str(self.identity["unit"]),
            metrics=dict(self.rows.last),
            metric_name=self.identity.get("metric_name"),
            metric_value=self.rows.last.get(str(self.identity.get("metric_name"))),
            score=save.score,
            is_best=save.is_best,
            stage=save.stage[0] if save.stage else None,
            stage_index=save.stage[1] if save.stage else None,
            attempt=self.lease.owner.attempt,
            run_id=str(self.identity["run_id"]),
            parent=self.identity.get("parent"),
            fence=self.lease.check,
        )

    def _record(self, save: Save, info: CheckpointInfo, took_s: float | None) -> None:
        self._tell(
            "saved",
            attempt=self.lease.owner.attempt,
            step=save.step,
            kind=save.kind,
            path=str(info.path.relative_to(self.store.path)),
            bytes=info.size_bytes,
            seconds=None if took_s is None else round(took_s, 6),
            reasons=list(save.reasons),
            is_best=save.is_best,
        )

    def _look_for_standstill(self, info: CheckpointInfo) -> None:
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

    def _prune(self) -> None:
        """Apply retention. A disk that refuses to delete must not end the training."""
        try:
            verdicts = self.store.prune(self.keep)
        except OSError as error:
            self.say(f"evertrain: old checkpoints could not be removed: {error}")
            return
        gone = [each.step for each in verdicts if not each.is_kept]
        if gone:
            self._tell("pruned", sync=False, steps=gone)

    def _tell(self, event: str, *, sync: bool = True, **fields: Any) -> None:
        """Write an event down; one that the disk refuses waits for the next."""
        if not self.journal.record(event, fields, sync=sync, must=False):
            self.say(f"evertrain: the journal could not be written; {event!r} waits")

    def _note_failure(self, step: int, error: Exception, *, must: bool) -> None:
        self.pace.failures += 1
        self.pace.last_at_s = self.clock.monotonic_s()  # the next try waits its turn
        first_line = str(error).splitlines()[0]
        self.say(f"evertrain: the save after step {step} failed: {first_line}")
        self._tell("save_failed", attempt=self.lease.owner.attempt, step=step, error=first_line)
        if not must and self.pace.failures < MAX_FAILURES:
            return
        raise SaveError(
            f"the state after step {step} could not be saved: {first_line}",
            f"{self.pace.failures} saves in a row failed"
            if not must
            else "this one must not be missed; older checkpoints are whole",
            f"Free space for {self.store.path} (df -h; evertrain ls --detailed), then resume.",
        ) from error

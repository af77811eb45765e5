"""`Run`: the user's loop, continued exactly.

A thin face: it counts steps and keeps the order of things at a step's boundary.
What to capture, when to save, what to choose and how to stop live next door.

Layer: run. Imports monitor, checkpoint and core.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.keep import Keep, keep_any, keep_best, keep_last, keep_stages
from evertrain.checkpoint.plugin import Mismatch
from evertrain.checkpoint.store import Store
from evertrain.checkpoint.when import When, auto, quiet_of
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.errors import UsageError
from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.core.journal import Row
from evertrain.core.refusal import refusing
from evertrain.monitor.metrics import read_metrics
from evertrain.run import arguments, last_words, opening
from evertrain.run.beats import STEPPING, Beats
from evertrain.run.boundary import Boundary, Record
from evertrain.run.calls import (
    check_apply,
    check_line,
    check_phase,
    check_rule,
    check_why,
    count_of,
)
from evertrain.run.calm import RESTLESS, Calm, calm
from evertrain.run.capture import Capture
from evertrain.run.choose import Resume, starts_fresh
from evertrain.run.claim import Claim
from evertrain.run.console import Console
from evertrain.run.emergency import Emergency
from evertrain.run.inbox import Inbox, addressed_since_s
from evertrain.run.initial import check_source, start_from
from evertrain.run.origin import Origin
from evertrain.run.owner import OwnProcess
from evertrain.run.refusals import not_restored
from evertrain.run.reseed import reseed, wanted
from evertrain.run.rng import Seeder, isolated
from evertrain.run.rows import Rows, merged, place_in
from evertrain.run.saver import Saver
from evertrain.run.saves import Here, Saves
from evertrain.run.stage import (
    Apply,
    Curriculum,
    Stage,
    StageLoop,
    StagesLoop,
    make_plan,
    outline_of,
)
from evertrain.run.stop import Stopped, StopSignals
from evertrain.run.trial import Trial
from evertrain.run.weights import places

if TYPE_CHECKING:
    from evertrain.run.audited.auditor import Auditor

COMPLETE: Final = "complete"


class Run:
    """A training that saves itself and goes on where it was.

    Iterate over it for your steps, or call `tick` from a loop of your own. See
    `docs/api.md` for the arguments in full.

    Attributes:
        path: The run directory.
        state: Namespace for values that the loop rebinds.
        store: The checkpoints. A save in flight is waited for first.
        step: The last step that ended; 0 before the first.
        total: Steps wanted, or None for an endless run.
        iteration: How often a step has ended, over all attempts.
        attempt: Number of this process's attempt, from 1.
        resumed_from: The checkpoint it goes on from, or None on a fresh start.
        is_stopped: Whether a stop request was honored (`on_stop="return"`).
    """

    def __init__(  # noqa: PLR0913  (the one constructor users type; names are fixed in docs/api.md)
        self,
        path: str | Path,
        *,
        total: int | None = None,
        unit: str = "step",
        seed: int | None = None,
        best: str | None = None,
        save: When | None = None,
        keep: Keep | None = None,
        resume: Resume = "auto",
        config: Mapping[str, Any] | None = None,
        stride: int = 1,
        on_stop: Literal["exit", "return"] = "exit",
        init_from: str | Path | None = None,
        partial: str | Sequence[str] = (),
        recipe: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        fs: Fs = LOCAL_FS,
    ) -> None:
        """Take the run directory and choose where to go on from.

        Args:
            path: Run directory. `EVERTRAIN_RUN` overrides it, and says so.
            total: Steps wanted over all attempts; None never ends by itself.
            unit: What a step is called, singular: "episode", "iteration".
            seed: Seeds every global generator, 0 to 2**32 - 1; None leaves them alone.
            best: What is better, "max:METRIC" or "min:METRIC".
            save: When to save; None saves as often as costs at most 1 % of the time.
            keep: What to keep; None keeps the last 5, the best one and all stages.
            resume: "auto", "never", "must", "latest", "best", "last-stage",
                "stage:N", a step, or the path of a checkpoint.
            config: The program's configuration; changes are written to the journal.
            stride: Steps by which one iteration advances.
            on_stop: What a stop request does: end the process (75), or end the loop.
            init_from: Weights for a fresh start: RUN, RUN@best, RUN@STEP, a checkpoint's path,
                or a file (.safetensors, .pt).
            partial: Patterns of leaves that may differ from the checkpoint's, ["head.*"].
                A string is one pattern.
            recipe: Name of the shipped recipe that runs.
            clock: Source of times.
            fs: Disk to write to; `evertrain.testing` has some that fail.

        Raises:
            UsageError: An argument cannot mean anything. Nothing was touched.
            ConfigError: The directory cannot hold this run. Nothing was touched.
            LockedError: Another live process trains there.
            NotFoundError: `resume` or `init_from` asks for what is not there.
            SaveError: The disk is full.
        """
        given = arguments.check(
            path=path,
            total=total,
            unit=unit,
            seed=seed,
            best=best,
            save=save,
            keep=keep,
            resume=resume,
            config=config,
            stride=stride,
            on_stop=on_stop,
            init_from=init_from,
            partial=partial,
            recipe=recipe,
        )
        record, seed = Record(given.best), given.seed
        where = opening.where(given.resume, os.environ)
        self.step: int = 0
        self._last_words = last_words.listen(os.environ, lambda: self.step)
        place, _ = opening.directory_for(given.path, os.environ)
        if init_from is not None and starts_fresh(place, where):
            check_source(init_from)
        plea = opening.Plea(
            path=given.path,
            unit=unit,
            seed=seed,
            total=given.total,
            config=given.config,
            recipe=recipe,
        )
        opened = opening.begin(plea, os.environ, fs=fs, clock=clock)
        self.stride, self.total, self.is_stopped = given.stride, given.total, False
        self._finished: str | None = None
        self._advanced: int | None = None
        self._is_restored = self._is_in_step = self._is_closed = self._is_recorded = False
        self._is_in_loop = False
        self._calm: Calm = RESTLESS
        self._process = OwnProcess()
        self._dir, self._lease, self._journal = opened.run_dir, opened.lease, opened.journal
        self._unit, self._record, self._on_stop, self._clock = unit, record, on_stop, clock
        self._partial, self._init_from = given.partial, init_from
        self._console = Console(clock=clock)
        self._capture, self._seeder = Capture(), Seeder(seed)
        self._seeder.seed_new()
        metric = record.ranking.metric if record.ranking else None
        self._rows = Rows(
            self._dir.metrics, self.attempt, best=metric, say=self.say, fs=fs, clock=clock
        )
        self._beats = Beats(self._dir.heartbeat, os.environ, fs=fs, clock=clock)
        self._beat("setup")
        self._store = Store(self._dir.checkpoints, best=best, fs=fs, clock=clock, warn=self._warn)
        self._tools = Tools(fs, clock)
        self._trial = Trial(self._journal, self.attempt, self._process)
        self._claim = Claim(
            self._lease, self._store, self._journal, self.say, opened.identity.id, self._tools
        )
        self._origin = Origin(self._store, self._journal, self._tools, self.attempt, self.say)
        try:
            self._auditor = _auditor_for(self._dir.path, self.attempt, os.environ, self.say)
            with refusing(self._store.path):
                self._store.recover()
                self._claim.enter()
                self._origin.choose(where)
            self._set_position()
        except BaseException:
            self._lease.release()
            raise
        since_s = addressed_since_s(self._journal, self._lease.owner, os.environ)
        self._inbox = Inbox(self._dir, self._store, self._journal, clock, since_s=since_s, fs=fs)
        self._saver = Saver(
            store=self._store,
            journal=self._journal,
            rows=self._rows,
            lease=self._claim,
            when=save or auto(),
            keep=keep or keep_any(keep_last(5), keep_best(1), keep_stages()),
            identity={
                "unit": unit,
                "run_id": opened.identity.id,
                "parent": self.resumed_from.step if self.resumed_from else None,
                "metric_name": metric,
            },
            clock=clock,
            say=self.say,
            fs=fs,
        )
        self._saves = Saves(
            saver=self._saver,
            store=self._store,
            right=self._claim,
            capture=self._capture,
            partial=self._partial,
            record=record,
            rows=self._rows,
            clock=clock,
            say=self.say,
            phase=self._phase,
            look=self._look,
            iteration=self.iteration,
        )
        self._emergency = Emergency(
            self.attempt,
            self._journal,
            lambda kind, why: self._saves.wreck(self._here(), kind, why),
            self.say,
        )
        self._signals = StopSignals(lambda: self._emergency.after_force(self.step))
        for note in opened.notes:
            self.say(f"evertrain: {note}")

    # ---- what a run knows -------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._dir.path

    @property
    def store(self) -> Store:
        """The checkpoints. A save in flight is waited for first."""
        if self._process.is_here:
            self._saves.settle(wait=True)
        return self._store

    @property
    def state(self) -> Any:
        """Namespace of the values that the loop rebinds."""
        return self._capture.state

    @property
    def attempt(self) -> int:
        """Number of this process's attempt, from 1."""
        return self._lease.owner.attempt

    @property
    def resumed_from(self) -> CheckpointInfo | None:
        """The checkpoint that this attempt goes on from, or None on a fresh start."""
        return self._origin.info

    @property
    def progress(self) -> float | None:
        """How much is done, 0.0 to 1.0; None without a total."""
        return min(1.0, self.step / self.total) if self.total else None

    @property
    def stage(self) -> StageLoop | None:
        """The stage that runs, or None."""
        return self._curriculum.running(self)

    @property
    def is_over(self) -> bool:
        """Whether no step is left: complete, finished early, or stopped."""
        return self._is_complete() or self._finished is not None or self.is_stopped

    @property
    def metrics(self) -> list[Row]:
        """The live rows of all attempts, one per step, oldest first."""
        self._process.require("run.metrics")  # it writes what waits
        if not self._is_closed:
            self._rows.flush(sync=False)
        return read_metrics(self._dir)

    # ---- what the program gives -------------------------------------------------------

    def attach(self, **things: Any) -> None:
        """Add mutable things to every checkpoint; they are restored in place.

        Args:
            **things: Modules, optimizers, arrays, generators, dicts, lists,
                dataclasses, whatever has `state_dict` and `load_state_dict`.

        Raises:
            StateError: One of them cannot be stored; the message has its path.
        """
        self._require_use("attach()")
        if not self._is_restored:  # what appears within the loop is the program's
            self._seeder.seed_new()
        is_resumed = not self._is_restored and self.resumed_from is not None
        self._capture.attach(things, is_resumed=is_resumed)

    def restore(self) -> None:
        """Put everything back now; the first step does it otherwise.

        Raises:
            StateError: The checkpoint does not fit the program. Nothing was changed, unless
                it was an object that refused its own state; that one is named.
        """
        self._require_use("restore()")
        if self._is_restored:
            return
        self._seeder.seed_new()
        self._capture.begin()
        self._beat("restore")
        info = self.resumed_from
        is_resumed = info is not None
        accepted: Sequence[Mismatch] = ()
        if info is not None:
            self._trial.begin(info, self._store.path)
            trees = self._origin.take_state(self._capture.copying)
            accepted = self._capture.restore(trees, self._partial, str(info.path))
            self._reseed_if_asked()
        elif self._init_from is not None:
            self.say(start_from(self._init_from, self._capture, self._partial))
        self._is_restored = True
        if self._auditor is not None:
            self._auditor.take_over(self._saver, self.total)
            if self._auditor.ends(self.step):  # killed between its last save and its end
                self.finish("the audit ends here")
        self._saver.start(self.step)
        if not self._origin.choice.passed_over:  # else it has to live through a step first
            self._take_branch()
        self._stay_finished()
        self._announce()
        for line in not_restored(accepted):
            self.say(line)
        if is_resumed:
            self._reapply()
        self._look("resume" if is_resumed else "begin")
        self._signals.install()
        self._saver.watch(() if is_resumed else places(self._capture.things))
        self._console.start(self.step)
        self._begin_steps()

    def log(
        self, mapping: Mapping[str, Any] | None = None, /, *, at: float | None = None, **more: Any
    ) -> None:
        """Record metrics of the running step; calls in one step merge into one row.

        Args:
            mapping: Numbers, strings or bools, by name.
            at: Place of a row of its own inside the running step, in steps, e.g. 10.5.
            **more: As `mapping`.

        Raises:
            UsageError: Something is no metric, or `at` lies outside the running step.

        Durability:
            Committed with the step, and durable no later than the next checkpoint.
        """
        self._require_use("log()")
        until = self._ahead if self._is_in_step else None  # `tick` says it only at the end
        place = None if at is None else place_in(at, self.step, until)
        self._rows.add(merged(mapping, more), place)

    def advance(self, count: int) -> None:
        """Say how many steps the running iteration really counts, instead of `stride`."""
        self._advanced = (self._advanced or 0) + count_of(count)

    def wait(self) -> None:
        """Wait until the save in flight, if there is one, is on the disk.

        Raises:
            SaveError: It failed, as the fifth in a row.

        Durability:
            After return every save that began before survives a power cut, or
            has been reported as failed.
        """
        self._require_use("wait()")
        self._saves.settle(wait=True)

    def due(self, rule: When) -> bool:
        """Say whether `rule` fires at the step about to end, e.g. `every(steps=1000)`."""
        check_rule(rule)
        return rule(self._saver.moment(self._ahead, self.step)) is not None

    def finish(self, why: str = "finished early") -> None:
        """End the run here, completely: the loop stops and nothing will be resumed.

        The running step counts. After a loop that was left by `break`, without a `with`
        block, `close` completes the run.

        Args:
            why: For the journal and for people, who read it at the next start.
        """
        self._require_use("finish()")
        check_why(why)
        self._calm = RESTLESS
        self._finished = why

    def stop_if_asked(self) -> bool:
        """End here if a stop was asked for, before the state is restored: in a wait of your own.

        Behind that the loop stops by itself, at its next boundary, where it can save.

        Returns:
            Whether to end now; only with `on_stop="return"`.

        Raises:
            Stopped: A stop was requested. Nothing is lost: no step was made.
        """
        self._require_use("stop_if_asked()")
        if self._is_restored or not self._inbox.is_asked_to_stop:
            return False
        self._inbox.take()
        self._stop("evertrain stop")
        return True

    def say(self, text: str) -> None:
        """Print one line, clear of the progress line."""
        check_line(text)
        self._console.say(text)

    def phase(self, name: str, *, isolate_rng: bool = False) -> AbstractContextManager[None]:
        """Tell the watchdog what the loop is doing, and shield the generators if asked."""
        check_phase(name)
        return self._phase(name, isolate_rng=isolate_rng)

    @contextmanager
    def _phase(self, name: str, *, isolate_rng: bool = False) -> Iterator[None]:
        outer = self._beats.phase
        self._beat(name)
        try:
            with isolated() if isolate_rng else nullcontext():
                yield
        finally:
            self._beat_step() if outer in STEPPING else self._beat(outer)

    def stages(self, stages: Iterable[Stage], apply: Apply | None = None) -> Iterator[StageLoop]:
        """Return the stages that are left; each is iterated over for its steps.

        Args:
            stages: The curriculum. What changed since the checkpoint is told and journalled.
            apply: Makes a stage's overrides real. Called when a stage starts; after a
                resume before the state comes back, and once more behind it if the
                stage has only just begun, because that state is the last stage's.

        Raises:
            UsageError: That is no curriculum.
            StateError: The run stands where this curriculum has no place for it.
        """
        self._require_use("stages()")
        check_apply(apply)
        changed = self._curriculum.adopt(make_plan(stages), apply, self.step)
        if changed is not None:
            about = {"attempt": self.attempt, "changes": {"stages": changed}}
            self._journal.record("config_changed", about, must=False)
            self.say("evertrain: stages changed: {} -> {}".format(*map(outline_of, changed)))
        self.total = self._curriculum.total
        return StagesLoop(self._stages_left(), self._enter_loop)

    def _stages_left(self) -> Iterator[StageLoop]:
        while (stage := self.stage) is not None and not self.is_over:
            self._require_use("the next stage")
            self._begin_stage(stage)
            yield stage
            self.end_step(ends_stage=True)
            if self.stage is not None and self.stage.index == stage.index and not self.is_over:
                self._curriculum.move_on(self, ends_stage=True)
        self._complete()

    # ---- the loop ---------------------------------------------------------------------

    def __iter__(self) -> Iterator[int]:
        """Return itself. From here on, leaving the `with` block ends the run."""
        self._enter_loop()
        return self

    def __next__(self) -> int:
        """End the running step and return the number of the next one."""
        if self._glide():
            return self.step + self.stride
        self._require_use("the loop's next step")
        self.restore()
        self.end_step()
        if self.is_over:
            self._complete()
            raise StopIteration
        self._is_in_step = True
        return self.step + self.stride

    def _glide(self) -> bool:
        """End the running step at once, if nobody needs to be asked about it."""
        step: int = self.step + self.stride
        if (
            step >= self._calm.before_step
            or self._clock.monotonic_s() >= self._calm.until_s
            or self._signals.requested_by is not None
            or not self._is_in_step
            or self._advanced is not None
            or (self.total is not None and step >= self.total)
            or not self._process.is_here
        ):
            return False
        if self._rows.is_open:
            if self._record.ranking is not None:  # it may be the best
                return False
            self._rows.require_until(step)
            self._rows.commit(step)
        self.step = step
        self.iteration += 1
        if (heart := self._beats.heart) is not None:
            heart.pass_step(step)
        return True

    def _settle_down(self) -> None:
        """Find out how long nothing will need to be done at the end of a step."""
        saver = self._saver
        is_busy = saver.is_saving or saver.pace.failures or saver.is_first
        if is_busy or self._curriculum.plan is not None or self.is_over:
            self._calm = RESTLESS
        else:
            moment = saver.moment(self.step, self.step)
            self._calm = calm(quiet_of(saver.when, moment), self._clock.monotonic_s())

    def end_step(self, *, ends_stage: bool = False) -> bool:
        """End the step that iteration began, if one is running. Say whether one was."""
        if not self._is_in_step:
            return False
        self.tick(ends_stage=ends_stage)
        return True

    def tick(self, count: int | None = None, *, ends_stage: bool = False) -> bool:
        """End a step: the safe point. For while-loops and callbacks.

        Args:
            count: Steps that it counts; None is `advance`'s number, else `stride`.
            ends_stage: Whether the running stage ends with it, complete or not.

        Returns:
            Whether there is more to do.

        Raises:
            Stopped: A stop was requested; the state is saved.
            SaveError: A save that must not be missed failed.
            UsageError: `restore` was not called before the first step, or this is a
                forked child.
        """
        self._require_use("tick()")
        self._require_restored()
        before = self.step
        counted = self._ahead - before if count is None else count_of(count)
        self._rows.require_until(before + counted)
        self.step += counted
        self.iteration += 1
        self._is_in_step, self._advanced = False, None
        self._take_branch()
        self._trial.survive(self.step)
        if self._auditor is not None and self._auditor.ends(self.step):
            self.finish("the audit ends here")
        ended = self._curriculum.move_on(self, ends_stage=ends_stage)
        stops_for = self._save_if_due(before, ended=ended)
        self.total = self._curriculum.total or self.total
        self._console.progress(self.step, self.total, self._unit)
        self._rows.flush_if_due()
        self._settle_down()
        if self.is_over:
            self._complete()
        elif stops_for is not None:
            self._stop(stops_for)
        return not self.is_over

    # ---- beginning and end ------------------------------------------------------------

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the run after `break`, keep an emergency checkpoint after an exception."""
        del kind, trace
        if self._is_closed or not self._process.is_here:
            return
        try:
            if error is None:
                self._end_early(is_left=self._is_in_loop or self._is_in_step)
                self._saves.settle(wait=True)
            elif not isinstance(error, Stopped):
                if self._last_words is not None:
                    self._last_words.tell(error, "run")
                self._beat("failed")
                self._emergency.after_error(error, self.step, has_state=self._is_restored)
        finally:
            self._give_back()

    def close(self) -> None:
        """Flush, give the signals and the run directory back. Safe to call twice.

        A run that `finish` has ended is completed first, unless an exception is on its way.
        A forked child gives nothing back: it is all the trainer's.
        """
        if self._is_closed or not self._process.is_here:
            return
        try:
            if sys.exception() is None:
                self._end_early(is_left=False)
                self._saves.settle(wait=True)
        finally:
            self._give_back()

    def _end_early(self, *, is_left: bool) -> None:
        """Complete the run if the program has finished it, or left its loop, before its end."""
        if self._is_recorded or self.is_stopped:
            return
        if is_left and self._finished is None:
            self._finished = "the loop was left early"
        if self._finished is not None:
            self.end_step()
            self._complete()

    def _give_back(self) -> None:
        if self._saver.is_saving:
            self._beat("save")
        self._is_closed, self._calm = True, RESTLESS
        self._saver.land()  # it raises nothing: the lease must go
        self._signals.uninstall()
        self._console.finish()
        self._rows.drop_open()
        self._trial.leave()
        try:
            self._rows.flush(sync=True)
        finally:
            self._beats.end(self.step)
            self._lease.release()

    # ---- inside -----------------------------------------------------------------------

    def _enter_loop(self) -> None:
        self._is_in_loop = True

    def _set_position(self) -> None:
        found = self._origin.standing()
        self.step = self._origin.choice.step
        self.iteration: int = found.iteration
        self._record.go_on(found.best_score, self._origin.known())
        self._curriculum = Curriculum(found.at, found.stages)

    def _here(self, ended: StageLoop | None = None) -> Here:
        """Return where the loop stands; `ended` is the stage that has just ended, if one has."""
        stage = ended or self.stage
        return Here(
            step=self.step,
            iteration=self.iteration,
            at=self._curriculum.at,
            outline=self._curriculum.known,
            stage=(stage.name, stage.index) if stage else None,
        )

    def _warn(self, text: str) -> None:
        self.say(f"evertrain: {text}")

    def _take_branch(self) -> None:
        """Go on from what was chosen: from now on, whatever lies behind it is abandoned."""
        with refusing(self.path):
            self._origin.take(self.total, lambda: self._saves.adopt(self._here()))
        self._claim.base_step = self._origin.choice.step

    def _stay_finished(self) -> None:
        """Let a run that was ended early stay so, unless more or something else is asked for."""
        last = self._journal.last("finished")
        if last is None or self._origin.choice.is_rewind:
            return
        is_same = (last.get("step"), last.get("total")) == (self.step, self.total)
        if is_same and not self._is_complete():
            self._finished = str(last.get("why"))

    def _announce(self) -> None:
        lines = self._origin.announcement(self._unit, self.total)
        for line in (*lines, *self._capture.descriptions()):
            self.say(line)

    def _require_use(self, what: str) -> None:
        self._process.require(what)
        if self._is_closed:
            raise UsageError(
                f"{what} was called on a run that is closed: {self.path}.",
                "it has given its directory back, and another process may train there now.",
                "Call run.close() last, or open the run anew: Run(...) goes on where it was.",
            )

    @property
    def _ahead(self) -> int:
        """Number of the step about to end, as far as it is known before it ends."""
        return self.step + (self.stride if self._advanced is None else self._advanced)

    def _require_restored(self) -> None:
        if self._is_restored:
            return
        raise UsageError(
            "tick() was called before the state was restored.",
            "a resumed run would overwrite its checkpoint's state with fresh values.",
            "Call run.restore() after your set-up code and before the first step.",
        )

    def _save_if_due(self, before: int, *, ended: StageLoop | None) -> str | None:
        """Commit the step's metrics; save if anything asks for it.

        Returns:
            Who asked for a stop, if that was known before the save: a request
            that comes later waits for the next step, which saves for it.
        """
        self._saves.settle(wait=False)
        score, is_best = self._record.judge(self._rows.commit(self.step))
        has_failed = self._saver.pace.failures > 0
        requests = self._inbox.take(keep=self._saver.is_saving or has_failed)
        if any(each.verb == "stop" for each in requests):
            self._signals.ask("evertrain stop")
        stops_for = self._signals.requested_by
        boundary = Boundary(
            is_last=self.is_over,
            ended_stage=ended.index if ended else None,
            is_stopping=stops_for is not None,
            is_first=self.resumed_from is None and self._saver.is_first,
            is_best=is_best,
            is_asked_for=any(each.verb == "save" for each in requests)
            or (has_failed and self._inbox.wants_save),
            rule=self._saver.reason(self.step, before),
        )
        self._saves.at(self._here(ended), boundary, score)
        self._beat_step()
        if ended is not None:
            self._end_stage(ended)
        return stops_for

    def _begin_stage(self, stage: StageLoop) -> None:
        self._console.banner(f"STAGE {stage.index}/{stage.count}: {stage.name}")
        if self.step == stage.start:
            self._record_stage("stage_started", stage)
        self._begin_steps()
        if self._curriculum.apply is not None:
            with self._capture.applying():
                self._curriculum.apply(stage.overrides)

    def _end_stage(self, stage: StageLoop) -> None:
        self._record_stage("stage_finished", stage)
        self.say(f"Stage {stage.index} complete!")

    def _record_stage(self, event: str, stage: StageLoop) -> None:
        about = {"stage": stage.name, "index": stage.index, "step": self.step}
        self._journal.record(event, about, must=False, attempt=self.attempt)

    def _reapply(self) -> None:
        """Make a starting stage's overrides real again: the restored state is the last stage's."""
        stage, apply = self.stage, self._curriculum.apply
        if stage is not None and apply is not None and self.step == stage.start:
            with self._capture.applying():
                apply(stage.overrides)

    def _reseed_if_asked(self) -> None:
        """Take another way from here, where this one ends in the same death every time."""
        salt = wanted(os.environ)
        if salt is not None:
            seed = reseed(salt, self.step, [thing for thing, _ in self._capture.things.values()])
            about = {"step": self.step, "seed": seed}
            self._journal.record("reseeded", about, must=False, attempt=self.attempt)
            self.say(f"evertrain: other random numbers from here on (seed {seed}), as was allowed")

    def _is_complete(self) -> bool:
        if self._curriculum.plan is not None:
            return self._curriculum.is_over
        return self.total is not None and self.step >= self.total

    def _complete(self) -> None:
        """Write down that the training is complete, once."""
        if self._is_recorded or self.is_stopped:
            return
        self.restore()
        self._take_branch()
        self._saves.at_end(self._here())
        self._is_recorded = True
        if self.resumed_from is not None and self.resumed_from.step == self.step:
            self.say(f"Training already complete ({self._unit} {self.step})")
        with refusing(self.path):
            self._record_end()
        self._inbox.done()
        self._beat("finished")

    def _record_end(self) -> None:
        self._rows.flush(sync=True, must=True)
        about = {"step": self.step, "total": self.total, "why": self._finished or COMPLETE}
        self._journal.record(
            "finished", about, attempt=self.attempt, unsaved=self._saves.unsaved(self._here())
        )

    def _stop(self, by: str) -> None:
        unsaved = self._saves.unsaved(self._here())
        about = {"step": self.step, "why": by, "unsaved": unsaved}
        self._journal.record("stopped", about, must=False, attempt=self.attempt)
        self._inbox.done()
        self._beat("stopped")
        self.is_stopped = True
        self._console.finish()
        state = f"{self._saves.shortfall(self._here())};" if unsaved else "saved, and"
        self.say(f"Stopped after {self._unit} {self.step} ({by}); {state} ready to resume")
        if self._on_stop == "exit":
            raise Stopped(self.step, by)

    def _look(self, at: str) -> None:
        """Let the auditor, if there is one, note what the program's variables are like."""
        if self._auditor is not None:
            self._auditor.look(at, self.step, self._capture)

    def _beat(self, phase: str) -> None:
        if self._process.is_here and not self._is_closed:
            self._beats.beat(self.step, phase)

    def _beat_step(self) -> None:
        self._beat(self._beats.stepping(self.iteration))

    def _begin_steps(self) -> None:
        self._beats.begin_steps(self.iteration)
        self._beat_step()


def _auditor_for(
    path: Path, attempt: int, environ: Mapping[str, str], say: Callable[[str], None]
) -> "Auditor | None":
    """Return who watches this run for `evertrain audit`; None as ever."""
    if opening.ENV_AUDIT not in environ:
        return None
    from evertrain.run.audited.auditor import Auditor

    return Auditor.of(environ, path, attempt, say)

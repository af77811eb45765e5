"""`learn`: SB3's training loop, with the safe point exactly between two rollouts.

It does what `model.learn` does, step by step, except that it never resets what
was restored, counts on the absolute total, and trains only what is left.

Layer: integrations. Imports run, and its siblings.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import MaybeCallback, TrainFreq

from evertrain.core.errors import ConfigError, UsageError
from evertrain.integrations.envs.method import AUTO
from evertrain.integrations.sb3 import listener, settings
from evertrain.integrations.sb3.begin import seed_once
from evertrain.integrations.sb3.boundary import BARRIER_ROLLOUTS, Boundary
from evertrain.integrations.sb3.model import (
    ROLLOUTS,
    action_noise,
    logged,
    put_action_noise,
    put_logged,
)
from evertrain.integrations.sb3.numbers import metrics, of_listeners
from evertrain.integrations.sb3.override import apply_again, apply_overrides

if TYPE_CHECKING:
    from evertrain.run.run import Run
    from evertrain.run.stage import StageLoop

AfterUpdate = Callable[[], Mapping[str, Any]]

_LOOPS: Final = (PPO, A2C, DQN, SAC, TD3, DDPG)


def learn(  # noqa: PLR0913  (the arguments of SB3's own learn, less one)
    run: "Run",
    model: BaseAlgorithm,
    *,
    total_timesteps: int | None = None,
    callback: MaybeCallback = None,
    stage: "StageLoop | None" = None,
    log_interval: int | None = 1,
    env_state: str = AUTO,
    barrier_rollouts: int = BARRIER_ROLLOUTS,
    after_update: AfterUpdate | None = None,
) -> None:
    """Train `model` for what is left of the run, stage or total; resumes exactly.

    Attaches the model (as `model`) and restores the run if that has not been
    done. A rollout counts its timesteps as steps of the run. Ctrl+C finishes the
    rollout and its update.

    Args:
        run: Counts timesteps: `Run(..., total=1_000_000, unit="step")`.
        model: As the program builds it on a fresh start; never `PPO.load`.
        total_timesteps: Step at which this call ends, counted from the beginning
            of the run, not of the call. None: the end of the stage, or of the run.
        callback: SB3 callbacks; their counters are saved too.
        stage: A stage of `run.stages`; its overrides are applied to the model.
        log_interval: Rollouts (episodes, off policy) between two of SB3's own
            console tables, counted over the whole run. None prints none. The run's
            metrics have every rollout, with what was recorded in it.
        env_state: How the state of the environments is kept: by their own methods
            ("state"), by all that their objects hold ("attributes"), by playing the
            episode again ("replay"), or not, so that all are reset on a schedule
            ("barrier"). "auto" takes the first that passes a trial, and a resumed run
            does as it began.
        barrier_rollouts: For the barrier: rollouts between two resets.
        after_update: Called after each rollout and its update; the metrics that it
            returns (often none) join the rollout's row. What is measured here
            belongs to the model that a checkpoint of this step holds; callbacks
            are called before the update.

    Raises:
        ConfigError: The stage has unknown overrides, or the model's class has a
            training loop of its own.
        StateError: The checkpoint does not fit the program, or the environments cannot be kept
            as `env_state` says.
        Stopped: A stop was requested; the state is saved.
        UsageError: Nothing says where to end.
    """
    refuse_foreign_loop(model)
    if stage is not None:
        apply_overrides(model, stage.overrides)
    settings.begin(model)
    callbacks = set_up(model, callback, stage.name if stage is not None else "")
    run.attach(model=model)
    run.restore()
    begins_stage = stage is not None and run.step == stage.start
    if begins_stage:
        apply_again(model)
    end = _end(run, stage, total_timesteps)
    model._total_timesteps = max(run.total or 0, end)  # noqa: SLF001
    tables = bool(log_interval)
    boundary = Boundary(run, model, barrier_rollouts, env_state=env_state, has_tables=tables)
    callbacks.on_training_start({"self": model, "total_timesteps": end}, globals())
    listener.begin(model)
    if not begins_stage:
        settings.put_again(model)
    boundary.announce()
    _loop(run, boundary, Rollout(model, callbacks, log_interval, after_update), end)
    callbacks.on_training_end()
    settings.leave(model)
    complete(run)


class Rollout:
    """One turn of SB3's loop: collect, then update.

    Args:
        model: What is trained.
        callbacks: Who listens.
        log_interval: Rollouts between two of SB3's console tables, or None.
        after_update: Adds metrics after the update, or None.
    """

    def __init__(
        self,
        model: BaseAlgorithm,
        callbacks: BaseCallback,
        log_interval: int | None,
        after_update: AfterUpdate | None = None,
    ) -> None:
        """Play nothing yet."""
        self._model = model
        self._callbacks = callbacks
        self._log_interval = log_interval
        self._after_update = after_update

    def play(self) -> dict[str, Any] | None:
        """Collect a rollout and learn from it.

        Returns:
            Its metrics; None if a callback ended the training in the middle.
        """
        model = self._model
        if isinstance(model, OnPolicyAlgorithm):
            row = self._on_policy(model)
        else:
            assert isinstance(model, OffPolicyAlgorithm)  # noqa: S101  (refuse_foreign_loop)
            row = self._off_policy(model)
        if row is not None and self._after_update is not None:
            row |= self._after_update()
        return row

    def _on_policy(self, model: OnPolicyAlgorithm) -> dict[str, Any] | None:
        assert model.env is not None  # noqa: S101  (Boundary)
        if not model.collect_rollouts(
            model.env, self._callbacks, model.rollout_buffer, n_rollout_steps=model.n_steps
        ):
            return None
        count = vars(model).get(ROLLOUTS, 0) + 1
        vars(model)[ROLLOUTS] = count
        model._update_current_progress_remaining(model.num_timesteps, model._total_timesteps)  # noqa: SLF001
        if self._log_interval and count % self._log_interval == 0:
            model.dump_logs(count)
        with schedules_as_numbers(model):
            model.train()
        return metrics(model)

    def _off_policy(self, model: OffPolicyAlgorithm) -> dict[str, Any] | None:
        assert model.env is not None  # noqa: S101  (Boundary)
        assert model.replay_buffer is not None  # noqa: S101  (made by _setup_model)
        assert isinstance(model.train_freq, TrainFreq)  # noqa: S101  (made by _setup_model)
        episodes = model._episode_num  # noqa: SLF001
        rollout = model.collect_rollouts(
            model.env,
            train_freq=model.train_freq,
            action_noise=model.action_noise,
            callback=self._callbacks,
            learning_starts=model.learning_starts,
            replay_buffer=model.replay_buffer,
            log_interval=self._log_interval,
        )
        if not rollout.continue_training:
            return None
        if model.num_timesteps > model.learning_starts:
            chosen = model.gradient_steps
            steps = chosen if chosen >= 0 else rollout.episode_timesteps
            if steps > 0:
                model.train(batch_size=model.batch_size, gradient_steps=steps)
        return numbers_of(model, episodes)


def numbers_of(model: BaseAlgorithm, episodes: int) -> dict[str, Any]:
    """Return the metrics of a rollout: off policy, less of one in which no episode has ended.

    Args:
        model: Has played it.
        episodes: How many it had ended before.
    """
    is_short = isinstance(model, OffPolicyAlgorithm) and model._episode_num == episodes  # noqa: SLF001
    return of_listeners(model) if is_short else metrics(model)


@contextmanager
def schedules_as_numbers(model: BaseAlgorithm) -> Iterator[None]:
    """Let `ent_coef` be a function of the remaining progress: SB3 can only multiply a number."""
    schedule = getattr(model, "ent_coef", None)
    if not callable(schedule):
        yield
        return
    model.ent_coef = float(schedule(model._current_progress_remaining))  # type: ignore[attr-defined]  # noqa: SLF001
    try:
        yield
    finally:
        model.ent_coef = schedule  # type: ignore[attr-defined]


def complete(run: "Run") -> None:
    """Let the run write down that it is complete, if it is and has no stages."""
    if run.is_over and run.stage is None:
        next(run, None)


def _loop(run: "Run", boundary: Boundary, rollout: Rollout, end: int) -> None:
    is_going = run.step < end and not run.is_over
    while is_going:
        boundary.before()
        with run.phase("rollout"):
            row = rollout.play()
        steps = rollout._model.num_timesteps  # noqa: SLF001
        is_last = row is None or steps >= end
        if row is None:
            run.finish("a callback ended the training")
        elif is_last and run.total is None:
            run.finish(f"trained for {steps} steps")
        is_going = boundary.after(row or {}, is_last=is_last) and not is_last


def set_up(model: BaseAlgorithm, callback: MaybeCallback, stage: str) -> BaseCallback:
    """Prepare as SB3 does; what an earlier restore brought stays."""
    seed_once(model)
    waiting = logged(model)
    noise = action_noise(model)
    _, callbacks = model._setup_learn(  # noqa: SLF001
        0, callback, reset_num_timesteps=False, tb_log_name=type(model).__name__
    )
    put_action_noise(model, noise)
    put_logged(model, waiting)
    listener.register(model, callbacks, stage)
    return callbacks


def _end(run: "Run", stage: "StageLoop | None", total_timesteps: int | None) -> int:
    candidates = (total_timesteps, stage.end if stage is not None else None, run.total)
    end = next((each for each in candidates if each is not None), None)
    if end is None:
        raise UsageError(
            "nothing says when the training ends.",
            "schedules need to know how far it is.",
            "Give Run(total=...), or learn(total_timesteps=...).",
        )
    return end


def refuse_foreign_loop(model: BaseAlgorithm) -> None:
    """Refuse a class whose `learn` differs from the one that is repeated here."""
    kind = type(model)
    if any(kind.learn is known.learn for known in _LOOPS):
        return
    raise ConfigError(
        f"{kind.__name__} has a training loop of its own.",
        "evertrain.integrations.sb3.learn repeats only those of PPO, A2C, DQN, SAC, TD3 and DDPG.",
        "Call model.learn(total_timesteps=TOTAL, callback=EvertrainCallback(run)) instead.",
    )

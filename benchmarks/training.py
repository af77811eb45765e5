"""The training that goodput.py kills: PPO on CartPole with a network of some size.

Usage: python training.py bare|evertrain|barriers|callback|tune DIRECTORY WIDTH

It tells a file, line by line, that it was born, at which step it begins, and each rollout
that it has learned from.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.wrappers import TimeLimit
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, CheckpointCallback

STEPS = "steps.jsonl"
ROLLOUT = 512
EPOCHS = 4
SAVE_FREQ = 1000  # of the example in SB3's manual
ENDLESS = 10**9


def tell(place: Path, event: str, step: int = 0) -> None:
    """Add a line: who, when (`time.monotonic`, seconds), what, and how far."""
    row = {"pid": os.getpid(), "at_s": time.monotonic(), "event": event, "step": step}
    with (place / STEPS).open("a") as file:
        file.write(json.dumps(row) + "\n")


class Cart(CartPoleEnv):
    """CartPole that gives its state away, as evertrain's manual asks of environments."""

    def get_state(self) -> dict[str, Any]:
        """Return all that a step changes; wrappers and generators are known."""
        return {"state": np.array(self.state), "beyond": self.steps_beyond_terminated}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on there."""
        self.state, self.steps_beyond_terminated = state["state"], state["beyond"]


def new_env() -> Any:
    """Return the environment."""
    return TimeLimit(Cart(), 500)


class Tell(BaseCallback):
    """Tells where the training begins, and what it has learned from."""

    def __init__(self, place: Path) -> None:
        """Tell it to a file in `place`."""
        super().__init__()
        self._place = place
        self._event = "began"

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        tell(self._place, self._event, learned_steps(self.model))
        self._event = "learned"


def learned_steps(model: Any) -> int:
    """Return how many steps the model has learned from.

    Its `num_timesteps` says more where it was saved in the middle of a rollout: what was
    played of that is lost, for its buffer is not saved.
    """
    return int(model._n_updates) // EPOCHS * ROLLOUT  # noqa: SLF001


def new_model(width: int, env: Any = None) -> PPO:
    """Return the model, as it begins."""
    return PPO(
        "MlpPolicy",
        env or new_env(),
        n_steps=ROLLOUT,
        batch_size=64,
        n_epochs=EPOCHS,
        policy_kwargs={"net_arch": [width, width]},
        seed=0,
        device="cpu",
    )


def bare(place: Path, width: int) -> None:
    """Train, and save nothing."""
    new_model(width).learn(ENDLESS, callback=Tell(place), log_interval=None)


def with_evertrain(place: Path, width: int) -> None:
    """Train as evertrain's manual says, with its default saving rule."""
    _learn(place, new_model(width))


def with_barriers(place: Path, width: int) -> None:
    """Do that as if nobody could tell the state of CartPole."""
    _learn(place, new_model(width, gymnasium.make("CartPole-v1")), env_state="barrier")


def _learn(place: Path, model: PPO, *, env_state: str = "auto") -> None:
    from evertrain import Run
    from evertrain.integrations.sb3 import learn

    with Run(place / "run", total=ENDLESS, seed=0) as run:
        learn(run, model, env_state=env_state, callback=Tell(place), log_interval=None)


def with_callback(place: Path, width: int) -> None:
    """Train as SB3's manual says; where it was killed in a save, begin with the save before."""
    models = place / "models"
    models.mkdir(exist_ok=True)
    model = newest(models) or new_model(width)
    saving = CheckpointCallback(SAVE_FREQ, str(models), name_prefix="ppo")
    model.learn(
        ENDLESS,
        callback=CallbackList([Tell(place), saving]),
        reset_num_timesteps=False,
        log_interval=None,
    )


def newest(models: Path) -> PPO | None:
    """Return the newest model that loads, or None."""
    for path in sorted(models.glob("*.zip"), key=lambda each: -int(each.stem.split("_")[1])):
        try:
            return PPO.load(path, new_env(), device="cpu")
        except Exception as error:  # noqa: BLE001  (whatever half a file leads to)
            print(f"{path.name}: {error}", file=sys.stderr)
    return None


def with_tune(place: Path, width: int) -> None:
    """Train as Ray's manual says: a trial that may fail as often as it likes."""
    import ray
    from ray import tune

    def trial(_: dict[str, Any]) -> None:
        tell(place, "born")
        torch.set_num_threads(1)
        found = tune.get_checkpoint()
        if found is None:
            model = new_model(width)
        else:
            with found.as_directory() as folder:
                model = PPO.load(Path(folder) / "model.zip", new_env(), device="cpu")
        saving = Reporting(place / "models")
        model.learn(
            ENDLESS,
            callback=CallbackList([Tell(place), saving]),
            reset_num_timesteps=False,
            log_interval=None,
        )

    ray.init(num_cpus=1, include_dashboard=False, object_store_memory=100_000_000)
    config = tune.RunConfig(
        storage_path=str(place / "storage"),
        failure_config=tune.FailureConfig(max_failures=-1),
        checkpoint_config=tune.CheckpointConfig(num_to_keep=5),
    )
    tune.Tuner(trial, run_config=config).fit()


class Reporting(BaseCallback):
    """Reports a checkpoint to Ray Tune as often as `CheckpointCallback` saves one."""

    def __init__(self, place: Path) -> None:
        """Save in `place` first: Tune copies it from there."""
        super().__init__()
        self._place = place

    def _on_step(self) -> bool:
        from ray import tune

        if self.n_calls % SAVE_FREQ == 0:
            self._place.mkdir(exist_ok=True)
            self.model.save(self._place / "model.zip")
            checkpoint = tune.Checkpoint.from_directory(str(self._place))
            tune.report({"steps": self.num_timesteps}, checkpoint=checkpoint)
        return True


MODES: Any = {
    "bare": bare,
    "evertrain": with_evertrain,
    "barriers": with_barriers,
    "callback": with_callback,
    "tune": with_tune,
}


if __name__ == "__main__":
    mode, directory, size = sys.argv[1:]
    if mode != "tune":  # there the trial is born, again and again
        tell(Path(directory), "born")
    torch.set_num_threads(1)
    MODES[mode](Path(directory), int(size))

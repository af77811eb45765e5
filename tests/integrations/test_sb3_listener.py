"""Callbacks: what they count comes back, wherever they stand, and what does not is told."""

from typing import Any

import pytest
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    EveryNTimesteps,
)
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from evertrain.integrations.sb3 import listener
from integrations.worlds import World, build


def evaluation() -> EvalCallback:
    """Return one that has not evaluated."""
    env = VecNormalize(DummyVecEnv([lambda: Monitor(World())]))
    return EvalCallback(env, n_eval_episodes=1, verbose=0)


def checkpoints() -> CheckpointCallback:
    """Return one that writes nothing."""
    return CheckpointCallback(10**9, "nowhere")


def listening(*callbacks: BaseCallback) -> Any:
    """Return a model, with callbacks as SB3 prepares them: a list of one is that one."""
    model = build()
    root = callbacks[0] if len(callbacks) == 1 else CallbackList(list(callbacks))
    root.init_callback(model)
    listener.register(model, root)
    return model


@pytest.mark.parametrize("was_alone", [False, True])
def test_a_callback_is_found_in_another_list(*, was_alone: bool) -> None:
    """One that is new beside it changes nothing; nor does one that is gone."""
    trained, fresh = evaluation(), evaluation()
    trained.best_mean_reward, trained.n_calls = 7.0, 70
    alone, together = [[trained], [fresh]] if was_alone else [[fresh], [trained]]
    listening_alone, both = listening(*alone), listening(checkpoints(), *together)
    before, after = (listening_alone, both) if was_alone else (both, listening_alone)

    listener.put(after, listener.take(before))

    assert (fresh.best_mean_reward, fresh.n_calls) == (7.0, 70)
    new = "of CheckpointCallback: it was not there at the save, and starts fresh"
    assert listener.forgotten(after) == ([new] if was_alone else [])


def test_callbacks_of_one_class_keep_their_order() -> None:
    """However deep they stand, and in whatever order the classes do."""
    trained, fresh = ([evaluation(), evaluation(), checkpoints()] for _ in range(2))
    for calls, each in enumerate(trained, 1):
        each.n_calls = calls
    before = listening(EveryNTimesteps(10, trained[0]), trained[2], trained[1])
    after = listening(fresh[2], EveryNTimesteps(10, CallbackList([fresh[0], fresh[1]])))

    listener.put(after, listener.take(before))

    assert [each.n_calls for each in fresh] == [1, 2, 3]
    assert listener.forgotten(after) == []

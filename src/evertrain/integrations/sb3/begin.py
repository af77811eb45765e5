"""What SB3's `learn` leaves to chance when it begins, and what it begins anew with each stage.

SB3 resets the environments before any callback is asked. So the first reset of a
training is taken back, and that of the next stage is seeded before it comes: entered in
this process or resumed from, a stage begins alike.

Layer: integrations. Imports its siblings.
"""

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.running_mean_std import RunningMeanStd

from evertrain.integrations.sb3 import vector
from evertrain.integrations.sb3.model import SEED


def seed_of(model: BaseAlgorithm) -> int:
    """Return the seed that the environments of `model` start from, the same in every attempt.

    It is drawn once, from numpy's generator (which the run has seeded), kept on
    the model, and saved with it.
    """
    if SEED not in vars(model):
        vars(model)[SEED] = int(np.random.randint(2**31 - 1))  # noqa: NPY002  (the seeded one)
    return int(vars(model)[SEED])


def seed_once(model: BaseAlgorithm) -> None:
    """On a fresh start, seed what the program left to chance: environments, workers, spaces."""
    if SEED in vars(model) or model.env is None:
        return
    seed = seed_of(model)
    model.observation_space.seed(seed)  # a network for pictures draws one of it, for its shape
    vector.seed_workers(model.env, seed)
    if model._last_obs is None and not vector.is_seeded(model.env):  # noqa: SLF001
        model.env.seed(seed)
        model.action_space.seed(seed)


def take_back_first_reset(model: BaseAlgorithm) -> None:
    """Forget the reset with which SB3's `learn` began, if chance had a hand in it.

    Statistics that another training has filled keep what they saw of it.
    """
    if SEED in vars(model) or model.seed is not None:
        return
    model._last_obs = None  # noqa: SLF001  (reset when the rollout begins, with a seed)
    normalize = model.get_vec_normalize_env()
    found = getattr(normalize, "obs_rms", None)  # none where observations stay as they are
    for each in found.values() if isinstance(found, dict) else [found]:
        if each is None:
            continue
        new = RunningMeanStd(shape=each.mean.shape)
        if each.count == new.count + model.n_envs:  # it has seen that reset, and nothing else
            each.mean, each.var, each.count = new.mean, new.var, new.count


def seed_for_reset(model: BaseAlgorithm, step: int) -> None:
    """Seed the environments' next reset, and their workers, from (seed, step)."""
    assert model.env is not None  # noqa: S101  (Boundary)
    words = np.random.SeedSequence([seed_of(model), step])
    for_env, for_worker = (int(word) // 2 for word in words.generate_state(2))
    model.env.seed(for_env)
    vector.seed_workers(model.env, for_worker)


def begin_again(model: BaseAlgorithm, total: int, step: int) -> None:
    """Do to a restored model what SB3 does to one that enters a stage at `step`."""
    seed_for_reset(model, step)
    model._setup_learn(total, None, reset_num_timesteps=True)  # noqa: SLF001

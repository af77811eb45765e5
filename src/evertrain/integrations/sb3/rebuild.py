"""A whole model from a checkpoint alone, without its environments: for files of SB3's own.

Layer: integrations. Imports its siblings, run and checkpoint.
"""

from typing import Final

from stable_baselines3.common.base_class import BaseAlgorithm

from evertrain.checkpoint.plugin import INFERENCE, Tree
from evertrain.integrations.envs.space import built
from evertrain.integrations.sb3.absent import AbsentEnvs, normalizer
from evertrain.integrations.sb3.inference import ALGORITHMS, as_argument
from evertrain.integrations.sb3.model import ModelAdapter
from evertrain.integrations.sb3.policy import policy_of, sensible
from evertrain.run.rng import isolated

_ADAPTER: Final = ModelAdapter()


def rebuilt(tree: Tree) -> BaseAlgorithm:
    """Return the model of a captured tree: weights, moments, counters, statistics, settings.

    Its environments are not there, and its replay buffer is empty. A schedule is the number
    that it was at the save. Draws no random numbers.

    Raises:
        StateError: It is made of what only its program knows, or is no model's.
    """
    policy_of(tree)  # looks at everything, and builds nothing that the checkpoint does not hold
    how = tree[INFERENCE]
    algorithm = ALGORITHMS[how["algorithm"]]
    with sensible(), isolated():
        observations, actions = (built(each) for each in how["spaces"])
        env = normalizer(how, tree["env"]) or AbsentEnvs(int(how["envs"]), observations, actions)
        options = {str(key): as_argument(each) for key, each in how["policy_kwargs"].items()}
        settings = {str(key): _setting(each) for key, each in how["settings"].items()}
        model = algorithm(how["policy"], env, policy_kwargs=options, device="cpu", **settings)
        problems = _ADAPTER.remember(model)(tree)
        if problems:
            raise ValueError(f"{problems[0].path}: {problems[0].problem}")
        _ADAPTER.restore(model, {**tree, "env": None, "replay": None})
    return model


def _setting(value: Tree) -> Tree:
    return tuple(value) if isinstance(value, list) else value  # a frequency of training

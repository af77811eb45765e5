"""A model's policy from a checkpoint alone, and the statistics that its observations need.

The networks are first laid out without memory and compared with the weights, so that no
file makes this process build what it does not hold.

Layer: integrations. Imports its siblings, run, checkpoint and core.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from gymnasium import spaces
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecNormalize

from evertrain.checkpoint.plugin import INFERENCE, Policy, Tree
from evertrain.core.errors import StateError, UsageError
from evertrain.integrations.envs.space import built
from evertrain.integrations.sb3 import vector
from evertrain.integrations.sb3.absent import normalizer
from evertrain.integrations.sb3.inference import ALGORITHMS, as_argument
from evertrain.integrations.sb3.observation import checked, shapes
from evertrain.integrations.torch.module import ModuleAdapter
from evertrain.integrations.torch.policy import filled
from evertrain.integrations.torch.weightless import SENSELESS, weightless
from evertrain.run.rng import isolated

_ADAPTER: Final = ModuleAdapter()


class ModelPolicy:
    """An SB3 policy that takes observations as the environments give them.

    Args:
        policy: With the weights of the checkpoint.
        normalize: With its statistics; None if observations are taken as they are.

    Attributes:
        policy: SB3's own object.

    Raises:
        StateError: Observations were changed between `normalize` and the policy.
    """

    def __init__(self, policy: BasePolicy, normalize: VecNormalize | None) -> None:
        """Refuse statistics of other observations than the policy's."""
        self.policy = policy
        self._normalize = normalize if normalize is not None and normalize.norm_obs else None
        if self._normalize is not None:
            _refuse_others(self._normalize.observation_space, policy.observation_space)

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """What it takes."""
        return self.policy.observation_space

    @property
    def action_space(self) -> spaces.Space[Any]:
        """What it returns."""
        return self.policy.action_space

    def predict(self, observation: Any, *, deterministic: bool = True) -> Any:
        """Return the action for `observation`, or the actions for a batch of them.

        Args:
            observation: As the environment gives it, not normalized.
            deterministic: False draws from the policy, by torch's generator. One that only
                ranks actions (DQN) explores in its training alone: it takes the best.

        Raises:
            UsageError: It has another shape than the environment's.
        """
        observation = checked(observation, self.policy.observation_space)
        if self._normalize is not None:
            observation = self._normalize.normalize_obs(observation)
        return self.policy.predict(observation, deterministic=deterministic)[0]


def load_policy(tree: Tree, /, *, module: Any, policy_id: str | None) -> Policy:
    """Return the policy of a captured model; see `LoadPolicy`.

    Raises:
        StateError: It is made of what only its program knows, or is no model's; or a
            wrapper of the program's own may have changed its observations.
        UsageError: `module` is no policy of SB3, or `policy_id` was given.
    """
    if policy_id is not None:
        raise UsageError(
            f"policy_id={policy_id!r:.60} was given for a model of Stable-Baselines3.",
            "such a model is one policy.",
            "Leave it out; name= says which of several attached things is meant.",
        )
    if module is None:
        policy = policy_of(tree)
    elif isinstance(module, BasePolicy):
        policy = module
        filled(policy, tree["policy"])
    else:
        raise UsageError(
            f"module= is a {type(module).__name__}.",
            "the checkpoint holds the policy of a Stable-Baselines3 model.",
            "Give the policy of a model as the training builds it: module=make_model().policy",
        )
    with sensible():
        normalize = normalizer(tree[INFERENCE], tree["env"])
        names = [str(each["class"]) for each in (tree["env"] or {"wrappers": ()})["wrappers"]]
    _refuse_between(names, is_program=module is not None)
    return ModelPolicy(policy, normalize)


def policy_of(tree: Tree) -> BasePolicy:
    """Return the policy that is stored in a captured model. Draws no random numbers.

    Raises:
        StateError: It is made of what only its program knows, or is no model's.
    """
    how = tree[INFERENCE]
    refuse_unknown(how)
    with sensible(), isolated():
        with weightless():
            problems = _ADAPTER.mismatches(_empty(how), tree["policy"])
        if problems:
            raise ValueError(f"{problems[0].path}: {problems[0].problem}")
        policy = _empty(how)
        _ADAPTER.restore(policy, tree["policy"])
    policy.set_training_mode(False)
    return policy


def refuse_unknown(how: Mapping[str, Any]) -> None:
    """Return if the model is made of SB3's own parts.

    Raises:
        StateError: It is not.
    """
    if "problem" not in how:
        return
    raise StateError(
        f"the model has {how['problem']!s:.200}.",
        "only the program that trained it can build that: a checkpoint holds no classes.",
        "Let it: load_policy(..., module=make_model().policy), or evertrain export --model",
    )


@contextmanager
def sensible() -> Iterator[None]:
    """Say what is wrong with data from a file that builds nothing.

    Raises:
        StateError: The block failed.
    """
    try:
        yield
    except SENSELESS as error:
        raise StateError(
            f"what the checkpoint says about its model builds none: {error!s:.200}.",
            "it was not saved by this integration, or by another version of it.",
            "Give the policy: load_policy(..., module=make_model().policy)",
        ) from error


def _empty(how: Mapping[str, Any]) -> BasePolicy:
    """Return the policy with the weights that it would begin with."""
    algorithm = ALGORITHMS[how["algorithm"]]
    options = {str(key): as_argument(each) for key, each in how["policy_kwargs"].items()}
    if issubclass(algorithm, OnPolicyAlgorithm):
        options["use_sde"] = bool(how["settings"]["use_sde"])
    observations, actions = (built(each) for each in how["spaces"])
    build = algorithm.policy_aliases[how["policy"]]
    return build(observations, actions, lambda _: 0.0, **options)


def _refuse_others(normalized: spaces.Space[Any], taken: spaces.Space[Any]) -> None:
    mine, wanted = _parts(normalized), _parts(taken)
    if mine.keys() == wanted.keys() and all(
        each.shape in shapes(wanted[key]) for key, each in mine.items()
    ):
        return
    raise StateError(
        f"observations of {_shapes(normalized)} are normalized, and the policy takes"
        f" {_shapes(taken)}.",
        "a wrapper between them (such as one that stacks frames) is the program's.",
        "Put VecNormalize outermost; or export the model: evertrain export RUN --format sb3",
    )


def _refuse_between(names: Sequence[str], *, is_program: bool) -> None:
    """Refuse wrappers of the program's own, outermost first, that may change observations.

    A program can put observations through those below the statistics itself.
    """
    if is_program:
        names = (
            names[: names.index(VecNormalize.__name__)] if VecNormalize.__name__ in names else ()
        )
    unknown = [each for each in names if each not in vector.OF_SB3]
    if not unknown:
        return
    raise StateError(
        f"a wrapper {unknown[0]:.80} stood between the environments and the model.",
        "what it does to observations only its program knows; it may keep their shape.",
        "Put VecNormalize outermost; or export the model: evertrain export RUN --format sb3"
        if is_program
        else "Give load_policy(..., module=make_model().policy), and predict() observations as"
        " the wrapper gives them; or export the model: evertrain export RUN --format sb3",
    )


def _parts(space: spaces.Space[Any]) -> Mapping[str, spaces.Space[Any]]:
    return space.spaces if isinstance(space, spaces.Dict) else {"": space}


def _shapes(space: spaces.Space[Any]) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: each.shape for key, each in space.spaces.items()}
    return space.shape

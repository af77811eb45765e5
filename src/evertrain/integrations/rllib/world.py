"""The environments of one runner: the vector, the wrappers, the worlds inside.

RLlib keeps no state of them. How theirs is kept is tried out first, see `envs.trial`.

Layer: integrations. Imports its siblings, and core.
"""

from typing import Any, Final

import gymnasium
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from evertrain.checkpoint.plugin import Tree
from evertrain.core.errors import StateError
from evertrain.integrations.envs import method as methods
from evertrain.integrations.envs import replay
from evertrain.integrations.envs.attributes import put, take
from evertrain.integrations.envs.layers import layers
from evertrain.integrations.envs.trial import Choice
from evertrain.integrations.envs.trial import choose as try_methods

# Of a vector, what one step leaves for the next; the rest is configuration.
_OF_VECTOR: Final = (
    "_observations",
    "_rewards",
    "_terminations",
    "_truncations",
    "_infos",
    "_env_obs",
    "_autoreset_envs",
    "_np_random",
    "_np_random_seed",
)


class Stage:
    """An environment of RLlib with many agents, shown as one of PettingZoo's, to be tried out.

    Args:
        env: With its wrappers.

    Attributes:
        agents: Those whose turn it is.
    """

    def __init__(self, env: Any) -> None:
        """Nobody plays yet."""
        self.env = env
        self.agents: list[Any] = []

    @property
    def possible_agents(self) -> list[Any]:
        """Who may ever play."""
        return list(self.env.unwrapped.possible_agents)

    def action_space(self, agent: Any) -> gymnasium.Space[Any]:
        """Return what an agent may do."""
        found: gymnasium.Space[Any] = self.env.unwrapped.get_action_space(agent)
        return found

    def reset(self, **options: Any) -> Any:
        """Begin an episode."""
        answer = self.env.reset(**options)
        self.agents = list(answer[0])
        return answer

    def step(self, actions: Any) -> Any:
        """Play on."""
        answer = self.env.step(actions)
        is_over = answer[2].get("__all__") or answer[3].get("__all__")
        self.agents = [] if is_over else list(answer[0])
        return answer


def members(vector: Any) -> list[Any] | None:
    """Return the environments of a vector; None if they live in processes of their own."""
    return getattr(layers(vector)[-1], "envs", None)


def choose(vector: Any, wanted: str) -> Choice:
    """Return how the state of its environments is kept: the first way that passes the trial."""
    envs = members(vector)
    if not envs:
        reasons = (("auto", "they live in processes of their own"),)
        return Choice(methods.BARRIER, None, 0, reasons)
    found = try_methods(_shown(envs[0]), wanted, is_alone=False)
    others = (methods.applies(_shown(env), found.method) for env in envs[1:])
    reason = next(filter(None, others), None)  # of the same class, but it holds something else
    if reason is None:
        return found
    return Choice(methods.BARRIER, None, 0, (*found.reasons, (found.method, reason)))


def prepare(vector: Any, method: str) -> None:
    """Begin to remember what the method needs to know."""
    if method == methods.REPLAY:
        for env in members(vector) or ():
            replay.record(_shown(env))


def settle(vector: Any, seed: int) -> None:
    """Seed the spaces, which RLlib draws from once, by generators that it left to chance."""
    for number, env in enumerate(members(vector) or ()):
        for layer in layers(env):
            for name in ("action_space", "observation_space"):
                space = vars(layer).get(name)
                if isinstance(space, gymnasium.Space):
                    space.seed(seed + number)
        if isinstance(env.unwrapped, MultiAgentEnv):
            for agent in env.unwrapped.possible_agents:
                env.unwrapped.get_action_space(agent).seed(seed + number)
                env.unwrapped.get_observation_space(agent).seed(seed + number)


def take_worlds(vector: Any, method: str) -> Tree:
    """Return the state of a vector and of each environment in it."""
    envs = [_shown(env) for env in members(vector) or ()]
    return {
        "vector": [take(layer, _OF_VECTOR) for layer in layers(vector)],
        "envs": methods.capture_all(envs, [method] * len(envs), with_globals=False),
    }


def put_worlds(vector: Any, method: str, tree: Tree) -> None:
    """Put everything back.

    Raises:
        StateError: An environment is not what it was.
    """
    envs = [_shown(env) for env in members(vector) or ()]
    problems = methods.restore_all(envs, [method] * len(envs), tree["envs"])
    if problems:
        raise StateError(
            f"an environment did not come back: {problems[0][1]}.",
            "its episode would go on differently.",
            "Restore the program that made it, or start anew with --resume never.",
        )
    for layer, stored in zip(layers(vector), tree["vector"], strict=True):
        put(layer, stored)


def _shown(env: Any) -> Any:
    return Stage(env) if isinstance(env.unwrapped, MultiAgentEnv) else env

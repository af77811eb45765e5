"""The game as RLlib plays it: mpe2's `simple_tag_v3`, with agents in a fixed order.

RLlib's own wrapper for PettingZoo keeps its agents in a set, whose order differs from
process to process; and it gives no state away.

Layer: recipes. Imports mpe2 and RLlib.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

import gymnasium
import numpy as np
from ray.rllib.env.multi_agent_env import MultiAgentEnv

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it greets on standard output
from mpe2 import simple_tag_v3

SEEKER: Final = "seeker_policy"
HIDER: Final = "hider_policy"
ROLES: Final = (SEEKER, HIDER)

ByAgent = dict[str, Any]


def policy_of(agent: str, *_: object, **__: object) -> str:
    """Return the policy that plays an agent; RLlib's `policy_mapping_fn`."""
    return SEEKER if agent.startswith("adversary") else HIDER


class HideAndSeek(MultiAgentEnv):
    """One game after another, for RLlib. All games are equally long.

    Args:
        settings: Fields of `GameConfig`; RLlib adds the number of the env runner. With
            `render_mode="rgb_array"`, `render` draws the field.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Build the game. Nothing is played yet."""
        self.render_mode = settings.get("render_mode")
        self._game = simple_tag_v3.parallel_env(
            num_good=settings["hiders"],
            num_adversaries=settings["seekers"],
            num_obstacles=settings["obstacles"],
            max_cycles=settings["episode_steps"],
            render_mode=self.render_mode,
        )
        self._runner = int(getattr(settings, "worker_index", 0) or 0)
        self.possible_agents: list[str] = list(self._game.possible_agents)
        self.agents: list[str] = []
        self.observation_spaces = {
            name: self._game.observation_space(name) for name in self.possible_agents
        }
        self.action_spaces = {name: self._game.action_space(name) for name in self.possible_agents}
        self.observation_space = gymnasium.spaces.Dict(self.observation_spaces)
        self.action_space = gymnasium.spaces.Dict(self.action_spaces)
        super().__init__()  # type: ignore[no-untyped-call]

    def reset(
        self,
        *,
        seed: int | None = None,
        options: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[ByAgent, ByAgent]:
        """Begin a game, and return what each agent sees.

        Args:
            seed: Seeds this game and those behind it. RLlib adds up the numbers of runner and
                game, so those of two runners overlap; here the runner's counts apart.
            options: Not used.
        """
        if seed is not None:
            seed = int(np.random.SeedSequence([seed, self._runner]).generate_state(1)[0])
        self._game.reset(seed=seed)
        self.agents = list(self.possible_agents)
        raw = self._game.unwrapped
        return {name: raw.observe(name) for name in self.agents}, {name: {} for name in self.agents}

    def step(  # type: ignore[override]  # of many agents
        self, action_dict: Mapping[str, Any]
    ) -> tuple[ByAgent, ByAgent, ByAgent, ByAgent, ByAgent]:
        """Let every agent act, and return what each one sees and gets."""
        names = self.possible_agents
        moves = {name: int(action_dict[name]) for name in names}
        seen, rewards, _, truncated, _ = self._game.step(moves)
        is_over = all(truncated.values())
        self.agents = [] if is_over else list(names)
        return (
            {name: seen[name] for name in names},
            {name: float(rewards[name]) for name in names},
            dict.fromkeys([*names, "__all__"], False),
            dict.fromkeys([*names, "__all__"], is_over),
            {name: {} for name in names},
        )

    def render(self) -> Any:
        """Return the field as a picture, uint8, shape (height, width, 3)."""
        return self._game.render()

    def close(self) -> None:
        """Let go of the game."""
        self._game.close()

    def get_state(self) -> dict[str, Any]:
        """Return all that the next steps depend on, as plain data and arrays."""
        raw = self._game.unwrapped
        return {
            "rng": raw.np_random.bit_generator.state,
            "is_over": not self.agents,
            "steps": raw.steps,
            "positions": np.array([each.state.p_pos for each in raw.world.entities]),
            "velocities": np.array([each.state.p_vel for each in raw.world.entities]),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on where `get_state` was asked."""
        raw = self._game.unwrapped
        self._game.reset()  # all turns as between two steps
        raw.np_random.bit_generator.state = state["rng"]
        raw.steps = state["steps"]
        for each, position, velocity in zip(
            raw.world.entities, state["positions"], state["velocities"], strict=True
        ):
            each.state.p_pos, each.state.p_vel = position.copy(), velocity.copy()
        self.agents = [] if state["is_over"] else list(self.possible_agents)

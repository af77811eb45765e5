"""Playing an environment by chance, for its marks: Gymnasium's, its vectors, PettingZoo's.

Layer: integrations. Imports its siblings only.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from evertrain.integrations.envs.generators import mark_globals
from evertrain.integrations.envs.replay import mark

Turn = Callable[[], tuple[Any, bool]]


class Player:
    """Draws actions from spaces of its own, and begins a new episode behind each one.

    Args:
        env: Is played; its own spaces are not drawn from.
        seed: Decides the actions.

    Attributes:
        episodes: Ends of episodes so far.
        draws: Whether a step drew from the global generators of this process.
    """

    def __init__(self, env: Any, seed: int) -> None:
        """Touch nothing yet."""
        self._env = env
        self._seed = seed
        self._spaces: dict[Any, Any] = {}
        self._turn = self._of_one
        if hasattr(env, "agent_iter"):
            self._turn = self._of_turns
        elif hasattr(env, "possible_agents"):
            self._turn = self._of_agents
        self.episodes = 0
        self.draws = False

    def play(self, steps: int) -> list[str]:
        """Return a mark for each step, of all that it and a reset behind it returned.

        Half way through, an episode ends in any case.
        """
        marks = []
        for step in range(steps):
            before = mark_globals()
            answer, is_over = self._turn()
            self.draws = self.draws or before != mark_globals()
            found = mark(answer)
            if is_over or step == steps // 2:
                self.episodes += 1
                found += mark(self._env.reset())
            marks.append(found)
        return marks

    def _of_one(self) -> tuple[Any, bool]:
        answer = self._env.step(self._sample(None, self._env.action_space))
        is_vector = np.ndim(answer[2]) > 0  # which begins its episodes itself
        return answer, not is_vector and bool(answer[2] or answer[3])

    def _of_agents(self) -> tuple[Any, bool]:
        env = self._env
        actions = {each: self._sample(each, env.action_space(each)) for each in env.agents}
        return env.step(actions), not env.agents

    def _of_turns(self) -> tuple[Any, bool]:
        env = self._env
        who, answer = env.agent_selection, env.last()
        is_dead = answer[2] or answer[3]
        env.step(None if is_dead else self._sample(who, env.action_space(who)))
        return answer, not env.agents

    def _sample(self, who: Any, space: Any) -> Any:
        if who not in self._spaces:
            self._spaces[who] = deepcopy(space)
            self._spaces[who].seed(self._seed + len(self._spaces))
        return self._spaces[who].sample()

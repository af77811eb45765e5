"""The building as a Gymnasium environment whose whole state can be put back.

An episode is one earthquake. Each action is judged against doing nothing: a
copy of the building goes through the same 0.04 s without force, and the reward
is how much less vibration lies ahead of the building than ahead of its copy.
The same ground shakes both, so luck with the earthquake cancels.

Layer: recipes. Imports its siblings and core.
"""

from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from evertrain.core.errors import StateError, UsageError
from evertrain.recipes.structure.building import Array, assemble
from evertrain.recipes.structure.config import StructureConfig
from evertrain.recipes.structure.control import vibration_ahead
from evertrain.recipes.structure.dynamics import Dynamics, roof_m
from evertrain.recipes.structure.motion import GRAVITY_M_S2, ground_motion, training_rng
from evertrain.recipes.structure.sensors import OBSERVED, Observation, Sensors

Action = NDArray[np.float32]

_ACTIVE: Final = 0
_PASSIVE: Final = 1
_QUIET: Final = 2
_ROWS: Final = [_ACTIVE, _PASSIVE, _ACTIVE]  # the quiet building starts as the active one
_FARTHEST_M: Final = 100.0  # no building gets here; a bound that Gymnasium's checker accepts


class StructureEnv(gymnasium.Env[Observation, Action]):
    """Control of a damper during earthquakes of one stage after another.

    Observation: `sensors.OBSERVED`, in m, float32, shape (6,).

    Action: force on the roof over the stage's limit, float32, shape (1,),
    clipped to -1..1.

    Reward: vibration ahead (`control.vibration_ahead`, J s) of the copy without
    force minus that of the building, over a typical value: dimensionless and of
    like size in all stages. It is the advantage of the action over a passive
    damper, so that, discounting and stops aside, rewards add up to what the
    policy saves over a passive one.

    A motion ends with `truncated`; the last `info` then holds
    `peak_reduction_percent`: roof peak against that of a building which went
    through the whole earthquake with a passive damper.

    Source:
        Kakade and Langford, Approximately optimal approximate reinforcement
        learning, ICML 2002, lemma 6.1 (the sum of advantages).
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - gymnasium's own declaration

    def __init__(
        self, config: StructureConfig, *, index: int = 0, seed: int = 0, stage: int = 0
    ) -> None:
        """Build the plant; the first earthquake comes with `reset`.

        Args:
            config: The whole recipe.
            index: Number of this environment among those stepped together, from
                0; environments with different numbers meet different motions.
            seed: Seed of the run. `reset(seed=...)` replaces it.
            stage: Index of the first stage.
        """
        self.config = config
        self.index = index
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space = gymnasium.spaces.Box(
            -_FARTHEST_M, _FARTHEST_M, (len(OBSERVED),), np.float32
        )
        building = assemble(config.building, config.damper)
        self._dynamics = Dynamics.of(building, config.damper, config.motion.sample_s)
        self._sensors = Sensors.of(building)
        self._ahead = vibration_ahead(building, config.control, config.action_s)
        self._first_rad_s = float(building.frequencies_rad_s[0])

        self._seed(seed)
        self._next_stage = self._stage = self._checked(stage)
        self._step = config.actions
        self._state: Array = np.zeros((2, 2 * len(building.mass)))
        self._ground_m_s2: Array = np.zeros(config.motion.samples)
        self._peaks_m: Array = np.zeros(2)

    @property
    def stage(self) -> int:
        """Index of the stage that the next earthquake belongs to."""
        return self._next_stage

    def set_stage(self, stage: int) -> None:
        """Switch to a stage from the next `reset` on.

        An earthquake under way keeps its force limit.

        Args:
            stage: Index into `config.stages`, from 0.
        """
        self._next_stage = self._checked(stage)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start the next earthquake; see `gymnasium.Env.reset`.

        Args:
            seed: Starts the series of earthquakes anew. None: the next one.
            options: Not used.
        """
        super().reset(options=options)
        if seed is not None:
            self._seed(seed)
        self._stage = self._next_stage
        pga_g = self.config.stages[self._stage].pga_g
        self._ground_m_s2 = ground_motion(self.np_random, self.config.motion, pga_g)
        self._step = 0
        self._state = np.zeros_like(self._state)
        self._peaks_m = np.zeros(2)
        return self._observe(), {}

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Hold a force for one action period; see `gymnasium.Env.step`.

        Args:
            action: Force over its limit, -1 to 1, shape (1,).

        Raises:
            ResetNeeded: The earthquake is over, or none has begun.
        """
        if self._step >= self.config.actions:
            raise ResetNeeded("The earthquake is over; call reset() for the next one.")
        reward = self._shake(min(max(float(action[0]), -1.0), 1.0))
        self._step += 1
        is_over = self._step == self.config.actions
        info = {"peak_reduction_percent": self._peak_reduction_percent()} if is_over else {}
        return self._observe(), reward, False, is_over, info

    def get_state(self) -> dict[str, Any]:
        """Return everything that the future depends on, as plain data.

        Arrays are copies. `rng` and `action_rng` are the states of the bit
        generators of the earthquakes and of `action_space.sample()`; their
        integers have 128 bits.
        """
        return {
            "rng": self.np_random.bit_generator.state,
            "action_rng": self.action_space.np_random.bit_generator.state,
            "stage": self._stage,
            "next_stage": self._next_stage,
            "step": self._step,
            "building": self._state.copy(),
            "ground_m_s2": self._ground_m_s2.copy(),
            "peaks_m": self._peaks_m.copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on exactly where `get_state` was called, in this or another process.

        Args:
            state: What `get_state` of an environment with the same
                configuration returned.

        Raises:
            StateError: The state is of another shape; nothing was changed.
        """
        self._refuse_strange(state)
        self.np_random.bit_generator.state = state["rng"]
        self.action_space.np_random.bit_generator.state = state["action_rng"]
        self._stage = int(state["stage"])
        self._next_stage = int(state["next_stage"])
        self._step = int(state["step"])
        self._state = np.array(state["building"], dtype=np.float64, order="C")
        self._ground_m_s2 = np.array(state["ground_m_s2"], dtype=np.float64)
        self._peaks_m = np.array(state["peaks_m"], dtype=np.float64)

    def _shake(self, fraction: float) -> float:
        """Advance all buildings by one action period; return the reward.

        Args:
            fraction: Force on the building over its limit, -1 to 1.
        """
        stage = self.config.stages[self._stage]
        limit_n = stage.max_force_kn * 1e3
        state = self._state[_ROWS]
        inputs = np.zeros((len(_ROWS), 2))
        inputs[_ACTIVE, 0] = fraction * limit_n
        count = self.config.control.samples_per_action
        first = self._step * count
        for ground in self._ground_m_s2[first : first + count]:
            inputs[:, 1] = ground
            state = self._dynamics.step(state, inputs)
            self._peaks_m = np.maximum(self._peaks_m, np.abs(roof_m(state[:_QUIET])))
        self._state = state[:_QUIET]
        ahead_js = (state @ self._ahead * state).sum(axis=1)
        typical_js = limit_n * stage.pga_g * GRAVITY_M_S2 / self._first_rad_s**3
        return float((ahead_js[_QUIET] - ahead_js[_ACTIVE]) / typical_js)

    def _observe(self) -> Observation:
        """Return what the sensors read now."""
        observation: Observation = self._sensors.read(self._state[:1])[0]
        return observation

    def _peak_reduction_percent(self) -> float:
        return float(100.0 * (1.0 - self._peaks_m[_ACTIVE] / self._peaks_m[_PASSIVE]))

    def _seed(self, seed: int) -> None:
        self._np_random = training_rng(seed, self.index)
        self._np_random_seed = seed
        self.action_space.seed(seed)

    def _checked(self, stage: int) -> int:
        if not 0 <= stage < len(self.config.stages):
            raise UsageError(
                what=f"There is no stage {stage!r}.",
                why=f"The configuration has stages 0 to {len(self.config.stages) - 1}.",
                fix="Use one of these indices.",
            )
        return int(stage)

    def _refuse_strange(self, state: dict[str, Any]) -> None:
        """Raise StateError if `state` cannot be this environment's."""
        mine = self.get_state()
        faults = [f"{name} is missing" for name in mine.keys() - state.keys()]
        faults += [f"{name} is not known" for name in state.keys() - mine.keys()]
        for name in ("building", "ground_m_s2", "peaks_m"):
            if name in state and np.shape(state[name]) != mine[name].shape:
                faults.append(f"{name} has shape {np.shape(state[name])}, not {mine[name].shape}")
        if faults:
            raise StateError(
                what=f"This environment state does not fit: {'; '.join(sorted(faults))}.",
                why="It was captured with another configuration or version of the recipe.",
                fix="Restore it into an environment built from the configuration of its run.",
            )

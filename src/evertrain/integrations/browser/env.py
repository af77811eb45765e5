"""A game in a browser as a Gymnasium environment whose whole state can be put back.

The game has no way to save itself. But it follows from its seed and from what it was told
(see virtual.js), so that is what a checkpoint holds; a restore begins the game anew, tells it
the same, and compares the digest of what is then to be seen with the one that was saved.

Layer: integrations. Imports its siblings and core.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from evertrain.core.errors import EnvError, StateError
from evertrain.integrations.browser.episode import Episode, check_outcome, check_play
from evertrain.integrations.browser.game import BrowserGame, Game
from evertrain.integrations.browser.look import Look
from evertrain.integrations.browser.observation import (
    FEATURES,
    LIMIT,
    Observation,
    instruction,
    observe,
    reward,
)
from evertrain.integrations.browser.process import GameLostError
from evertrain.integrations.browser.settings import GameSettings

Action = NDArray[np.integer[Any]]

LOST: Final = "game_lost"  # key of an info: how the game was lost
IS_LOST: Final = "is_lost"  # key of every info: 1.0 where it was, else 0.0
_SEEDS: Final = 2**32
_NAMES: Final = frozenset({"rng", "observation", "episode", "loss"})


class BrowserGameEnv(gymnasium.Env[Observation, Action]):
    """Air traffic control in a browser.

    Observation: `observation.FEATURES` of each slot, float32, shape (slots * features,).

    Action: whom to tell (0 nobody, else a slot from 1) and which instruction, integers, shape
    (2,). An instruction for a slot that is empty, or out of the airspace, is not given.

    Reward: points of the game's score since the last action over `points_per_reward`, less
    the cost of each pair of aircraft that is close at the end of it.

    A game whose browser crashes, or does not answer in time, is lost: the episode ends with
    `truncated`, the last observation that there was, reward 0, and what happened in
    `info["game_lost"]`. The next `reset` starts a fresh browser. Every info has the game's
    `score` (NaN where it is not known any more), the pairs in `conflicts`, the `page_errors`
    that nobody caught, and `is_lost`, 0.0 or 1.0.

    Args:
        settings: What to play, and how it is seen.
        game: Plays it; None starts a browser.

    Raises:
        ConfigError: There is no browser where the settings say.
        MissingExtraError: Playwright is not installed.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - gymnasium's own declaration

    def __init__(self, settings: GameSettings, *, game: Game | None = None) -> None:
        """Start nothing yet; the game begins with `reset`."""
        self.settings = settings
        self._game = BrowserGame(settings) if game is None else game
        size = settings.slots * len(FEATURES)
        self.observation_space = gymnasium.spaces.Box(-LIMIT, LIMIT, (size,), np.float32)
        self.action_space = gymnasium.spaces.MultiDiscrete(
            [settings.slots + 1, len(settings.instructions)]
        )
        self._episode: Episode | None = None
        self._observation: Observation = np.zeros(size, np.float32)
        self._loss: str | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin the next game; see `gymnasium.Env.reset`.

        Args:
            seed: Starts the series of games anew. None: the next one.
            options: Not used.

        Raises:
            EnvError: It could not be begun, however often it was tried.
        """
        super().reset(seed=seed, options=options)
        game_seed = int(self.np_random.integers(_SEEDS))
        self._episode = self._loss = None
        self._see(Episode(game_seed, self._begun(game_seed)))
        return self._observation.copy(), {}

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Tell one aircraft something, and let time pass; see `gymnasium.Env.step`.

        Args:
            action: Slot, or 0, and index of the instruction, shape (2,).

        Raises:
            ResetNeeded: The episode is over, or none has begun.
        """
        if self._loss is not None:
            return self._truncated(self._loss)
        if self._episode is None:
            raise ResetNeeded("The game is over, or none has begun; call reset().")
        episode, before = self._episode, self._episode.look
        command = instruction(before, np.asarray(action).tolist(), self.settings)
        try:
            episode.look = self._game.act(command)
        except GameLostError as error:
            return self._truncated(str(error))
        episode.told.append(command)
        self._see(episode)
        is_over = len(episode.told) == self.settings.episode_steps
        info = _info(episode.look)
        earned = reward(before, episode.look, self.settings)
        if is_over:
            self._episode = None
        return self._observation.copy(), earned, False, is_over, info

    def get_state(self) -> dict[str, Any]:
        """Return everything that the future depends on, as plain data. Asks the game nothing."""
        return {
            "rng": self.np_random.bit_generator.state,
            "observation": self._observation.copy(),
            "episode": self._episode and self._episode.saved(self.settings),
            "loss": self._loss,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on exactly where `get_state` was called, in this or another process.

        The game is played again up to there, at the speed of a training. One that cannot be, or
        comes out otherwise, is told of in a warning and lost: the next step truncates its episode.

        Args:
            state: What `get_state` of an environment with the same settings returned.

        Raises:
            StateError: The state is of another form; nothing was changed.
        """
        _refuse_strange(state, self._observation.size)
        self.np_random.bit_generator.state = state["rng"]
        self._observation = np.array(state["observation"], np.float32)
        self._episode, self._loss = None, state["loss"]
        if state["episode"] is not None:
            self._go_on(state["episode"])

    def close(self) -> None:
        """End the browser."""
        self._episode = None
        self._game.close()

    def _go_on(self, saved: dict[str, Any]) -> None:
        """Play a saved episode again, or say why that cannot be."""
        try:
            check_play(saved, self.settings)
            episode = self._replayed(saved)
            check_outcome(saved, episode)
        except GameLostError as error:
            warnings.warn(
                f"an episode of the game at {self.settings.url} ends here: {error}",
                RuntimeWarning,
                stacklevel=3,
            )
            self._loss = str(error)
        else:
            self._see(episode)

    def _begun(self, seed: int) -> Look:
        """Begin a game, with as many browsers as it takes."""
        loss: GameLostError | None = None
        for _ in range(self.settings.starts):
            try:
                return self._game.begin(seed)
            except GameLostError as error:
                loss = error
        raise EnvError(
            f"the game at {self.settings.url} could not be begun: {loss}",
            f"{self.settings.starts} browsers tried, one after the other.",
            "Open that address in a browser; see docs/recipes/openscope.md.",
        ) from loss

    def _replayed(self, saved: dict[str, Any]) -> Episode:
        """Return the episode that was saved, played again, with as many browsers as it takes.

        Raises:
            GameLostError: None of them played it to its end.
        """
        loss = GameLostError("it was never begun")
        for _ in range(self.settings.starts):
            try:
                return self._played(int(saved["seed"]), saved["told"])
            except GameLostError as error:
                loss = error
        raise loss

    def _played(self, seed: int, told: Sequence[str]) -> Episode:
        episode = Episode(seed, self._game.begin(seed))
        for command in told:
            episode.look = self._game.act(command)
            episode.told.append(command)
        return episode

    def _see(self, episode: Episode) -> None:
        self._episode = episode
        self._observation = observe(episode.look, self.settings.slots)

    def _truncated(self, loss: str) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        look = self._episode.look if self._episode is not None else None
        self._episode = self._loss = None
        return self._observation.copy(), 0.0, False, True, {**_info(look), IS_LOST: 1.0, LOST: loss}


def make_env(settings: GameSettings) -> BrowserGameEnv:
    """Return an environment with a browser of its own, for `vector_env` and the like."""
    return BrowserGameEnv(settings)


def _info(look: Look | None) -> dict[str, Any]:
    """Return what an info tells; without a look, that of a game which nobody can look at."""
    return {
        "score": math.nan if look is None else look.score,
        "conflicts": 0 if look is None else len(look.conflicts),
        "page_errors": 0 if look is None else look.errors,
        IS_LOST: 0.0,
    }


def _refuse_strange(state: dict[str, Any], size: int) -> None:
    """Raise StateError if `state` cannot be this environment's."""
    fault = None
    if state.keys() != _NAMES:
        fault = f"this state has {sorted(state)}, a game's has {sorted(_NAMES)}."
    elif np.size(state["observation"]) != size:
        seen = np.size(state["observation"])
        fault = f"this state has an observation of {seen} numbers, and this environment {size}."
    if fault is not None:
        raise StateError(
            fault,
            "it was captured by another environment, or with other settings.",
            "Restore it into the environment of its run.",
        )

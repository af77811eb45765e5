"""What the games of one iteration came to, and the numbers of both policies' updates.

RLlib's own means reach over a window of games, partly from other iterations, and of agents
that share a policy it counts only one. Here the games of this iteration are summed, no others,
so a row of the metrics depends on its iteration alone.

Layer: recipes. Imports its siblings and RLlib.
"""

from collections.abc import Mapping
from typing import Any, Final

from ray.rllib.callbacks.callbacks import RLlibCallback

from evertrain.recipes.hideseek.env import HIDER, SEEKER, policy_of

TALLY: Final = "hideseek"
_ROLE: Final = {SEEKER: "seeker", HIDER: "hider"}
_LEARNED: Final = {
    "kl": "mean_kl_loss",
    "entropy": "entropy",
    "kl_coeff": "curr_kl_coeff",
    "policy_loss": "policy_loss",
    "vf_loss": "vf_loss",
}


class Tally(RLlibCallback):
    """Adds up what each game came to, wherever it is played."""

    def on_episode_end(self, *, episode: Any, metrics_logger: Any, **_: Any) -> None:
        """Add one game to the sums of the running sample."""
        returns = {name: each.get_return() for name, each in episode.agent_episodes.items()}
        for name, value in of_game(returns, len(episode)).items():
            metrics_logger.log_value((TALLY, name), value, reduce="sum", clear_on_reduce=True)


def of_game(returns: Mapping[str, float], steps: int) -> dict[str, float]:
    """Return what one game came to.

    Args:
        returns: Sum of the rewards of each agent.
        steps: How long it was.

    Returns:
        `seeker` and `hider` are means over the agents of the role; `all` is the sum over all
        agents; `caught` is 1.0 if a hider was ever touched.
    """
    of_role = {
        name: [value for agent, value in returns.items() if policy_of(agent) == role]
        for role, name in _ROLE.items()
    }
    return {
        "games": 1.0,
        "steps": float(steps),
        "all": float(sum(returns.values())),
        "caught": float(any(value > 0 for value in of_role["seeker"])),
        **{name: float(sum(each) / len(each)) for name, each in of_role.items()},
    }


def games_of(result: Mapping[str, Any]) -> int:
    """Return the games that an iteration of RLlib played; 0 if its env runners brought nothing."""
    return round(_sums(result).get("games", 0.0))


def row_of(result: Mapping[str, Any]) -> dict[str, float]:
    """Return an iteration's metrics: means over its games, then each policy's update.

    Args:
        result: What `algorithm.train()` returned, with 1 game or more.
    """
    sums = _sums(result)
    games = sums["games"]
    row = {
        "reward_mean": sums["all"] / games,
        "seeker_reward": sums["seeker"] / games,
        "hider_reward": sums["hider"] / games,
        "episode_len_mean": sums["steps"] / games,
        "caught_share": sums["caught"] / games,
    }
    for role, name in _ROLE.items():
        learned = result.get("learners", {}).get(role, {})
        row |= {
            f"{name}_{ours}": float(learned[theirs])
            for ours, theirs in _LEARNED.items()
            if theirs in learned
        }
    return row


def _sums(result: Mapping[str, Any]) -> dict[str, float]:
    found = result.get("env_runners", {}).get(TALLY, {})
    return {name: float(value) for name, value in found.items() if value == value}  # noqa: PLR0124

"""The block that each iteration prints.

Layer: recipes. Imports nothing from evertrain.
"""

from collections.abc import Mapping

RULE = "-" * 60


def block(
    row: Mapping[str, float], iteration: int, iterations: int, total_episodes: int
) -> list[str]:
    """Return the lines of one iteration.

    Args:
        row: Its metrics.
        iteration: Its number, from 1.
        iterations: How many there will be.
        total_episodes: Games of the whole training.
    """
    return [
        f"Training Iteration {iteration}/{iterations}",
        RULE,
        "Progress:",
        f"   Episodes completed: {row['episodes_completed']:.0f}/{total_episodes}",
        f"   Episodes this iteration: {row['episodes']:.0f}",
        f"   Reward mean: {row['reward_mean']:.2f}",
        f"   Episode length mean: {row['episode_len_mean']:.1f} steps",
        _role("Seeker", row),
        _role("Hider", row),
    ]


def _role(title: str, row: Mapping[str, float]) -> str:
    name = title.lower()
    parts = [f"{title} reward: {row[f'{name}_reward']:.2f}"]
    parts += [f"KL: {row[f'{name}_kl']:.6f}"] if f"{name}_kl" in row else []
    parts += [f"Entropy: {row[f'{name}_entropy']:.4f}"] if f"{name}_entropy" in row else []
    return "   " + " | ".join(parts)

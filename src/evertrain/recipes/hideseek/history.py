"""What all iterations so far came to: as a file for other programs, and as six panels. Pure.

Layer: recipes. Imports monitor.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from evertrain.monitor.metrics import NOT_METRICS, series
from evertrain.monitor.plot import Panel

STEP: Final = "iteration"
Row = Mapping[str, Any]

_PANELS: Final = (
    ("Episode reward", {"reward": "reward_mean"}),
    ("Seeker and hider reward", {"seeker": "seeker_reward", "hider": "hider_reward"}),
    ("Episode length", {"steps": "episode_len_mean"}),
    ("KL divergence", {"seeker": "seeker_kl", "hider": "hider_kl"}),
    ("Entropy", {"seeker": "seeker_entropy", "hider": "hider_entropy"}),
)
_SUMMARY: Final = (
    ("reward mean", "reward_mean", ".2f"),
    ("seeker reward", "seeker_reward", ".2f"),
    ("hider reward", "hider_reward", ".2f"),
    ("episode length", "episode_len_mean", ".1f"),
    ("games with a touch", "caught_share", ".0%"),
    ("episodes completed", "episodes_completed", ".0f"),
    ("seeker KL", "seeker_kl", ".6f"),
    ("hider KL", "hider_kl", ".6f"),
    ("seeker entropy", "seeker_entropy", ".4f"),
    ("hider entropy", "hider_entropy", ".4f"),
)


def up_to(rows: Iterable[Row], iteration: int) -> list[Row]:
    """Return the rows that are not beyond `iteration`."""
    return [row for row in rows if row["step"] <= iteration]


def encoded(rows: Iterable[Row]) -> bytes:
    """Return rows as a JSON list, one object per iteration; what is no finite number is null."""
    lines = [json.dumps(_told(row), allow_nan=False) for row in rows]
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


def panels(rows: Sequence[Row]) -> list[Panel]:
    """Return five panels of curves, as far as these were measured, and one of the latest row.

    Args:
        rows: 1 or more, by step.
    """
    found = series(rows)
    drawn = [
        Panel(title, {label: found[name] for label, name in names.items() if name in found})
        for title, names in _PANELS
    ]
    return [*drawn, Panel(f"Iteration {rows[-1]['step']}", text=_summary(rows[-1]))]


def _told(row: Row) -> dict[str, Any]:
    metrics = {name: _finite(value) for name, value in row.items() if name not in NOT_METRICS}
    return {STEP: row["step"], **metrics}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _summary(row: Row) -> str:
    known = [(title, format(row[name], how)) for title, name, how in _SUMMARY if name in row]
    return "\n".join(f"{title:<18} {value:>10}" for title, value in known)

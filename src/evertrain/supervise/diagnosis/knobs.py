"""Settings that a death can hang on, found in a configuration and a command line. Pure.

Layer: supervise. Imports core only.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_MAX_NAMED: Final = 3
_FLAG: Final = re.compile(r"^(?:--?)?([A-Za-z][\w.-]*)=(.+)$")

# By what a setting costs or risks; the likeliest first.
MEMORY: Final = re.compile(
    r"^(num_envs|n_envs|num_workers|n_workers|workers|num_env_runners|buffer_size|replay_size"
    r"|replay_buffer_size|memory_size|batch_size|rollout_length|n_steps)$"
)
GPU_MEMORY: Final = re.compile(
    r"^(batch_size|minibatch_size|mini_batch_size|train_batch_size|n_steps|num_envs|n_envs"
    r"|seq_len|sequence_length|context_length|hidden_size|hidden_dim|image_size)$"
)
PACE: Final = re.compile(
    r"^(timewarp|time_warp|time_scale|speed|sim_speed|speedup|frame_skip|num_envs|n_envs)$"
)
LEARNING: Final = re.compile(r"^(learning_rate|lr|max_grad_norm|grad_clip|clip_range|gamma)$")
SEED: Final = re.compile(r"^seed$")


def knobs_of(config: Mapping[str, Any], command: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a run by the last part of their names; the command's win."""
    found: dict[str, Any] = {}
    for name, value in _flat(config):
        found.setdefault(_key(name), value)
    words = list(command)
    for word, following in zip(words, [*words[1:], "--"], strict=True):
        given = _FLAG.match(word)
        if given:
            found[_key(given[1])] = given[2]
        elif word.startswith("--") and not following.startswith("-"):
            found[_key(word[2:])] = following
    return found


def named(knobs: Mapping[str, Any], family: "re.Pattern[str]", otherwise: str) -> str:
    """Return the settings of a family as people read them: "num_envs (16) or buffer_size (1e6)".

    Args:
        knobs: Settings by name.
        family: Which of them matter.
        otherwise: What to say where none of them is known.
    """
    parts = [
        f"{name} ({_short(value)})"
        for name, value in knobs.items()
        if family.match(name) and isinstance(value, int | float | str)
    ]
    parts.sort(key=lambda part: family.pattern.index(part.partition(" ")[0]))
    return " or ".join(parts[:_MAX_NAMED]) or otherwise


def _key(name: str) -> str:
    return name.rpartition(".")[2].replace("-", "_").lower()


def _short(value: float | str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value!s:.20}"


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

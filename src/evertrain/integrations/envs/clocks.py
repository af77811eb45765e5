"""Wall-clock times that the usual wrappers keep: of one process, and different in every attempt.

Only where they are known to be that, by the class: an environment may call its own
time what it likes, and that is its state.

Layer: integrations. Imports no sibling.
"""

from typing import Final

_LIBRARIES: Final = frozenset({"gymnasium", "stable_baselines3"})
_OF: Final = {
    "RecordEpisodeStatistics": frozenset(
        {"episode_start_time", "episode_start_times", "time_queue"}
    ),
    "Monitor": frozenset({"t_start", "episode_times"}),
    "VecMonitor": frozenset({"t_start"}),
}
_NONE: Final[frozenset[str]] = frozenset()


def of(thing: object) -> frozenset[str]:
    """Return the names of an object's attributes that are clocks, not state."""
    for kind in type(thing).__mro__:
        if kind.__name__ in _OF and kind.__module__.partition(".")[0] in _LIBRARIES:
            return _OF[kind.__name__]
    return _NONE

"""The ledgers: each counts one thing over the attempts' ends, and says when it is too much. Pure.

Layer: supervise. Imports core only.
"""

from collections.abc import Sequence
from typing import Final

from evertrain.core.clock import human_duration
from evertrain.supervise.end import End
from evertrain.supervise.options import SuperviseOptions

MAX_NO_PROGRESS: Final = 3
# Three deaths while restoring send a `Run` to an older checkpoint; three more there are enough.
MAX_RESTORING: Final = 6
MAX_PREEMPTIONS: Final = 5
# On a ladder: as many as it can have rungs.
MAX_BLIND: Final = 30
SAME: Final = 3  # deaths in one way at one step that are no chance any more
# Where progress is not known, an attempt that lived this long counts as healthy, seconds.
HEALTHY_S: Final = 600.0
# The floor judges this many attempts in a row, if they ran this long together, seconds.
FLOOR_ATTEMPTS: Final = 6
FLOOR_S: Final = 3600.0


def crash_count(ends: Sequence[End], options: SuperviseOptions, now_s: float) -> int:
    """Return how many crashes count at `now_s`, Unix seconds."""
    return sum(end.is_crash and _is_within(end, now_s, options.counted_s) for end in ends)


def intensity(ends: Sequence[End], options: SuperviseOptions) -> str | None:
    """Say whether there were too many crashes, inside the window if there is one."""
    count, limit = crash_count(ends, options, ends[-1].gain.at_s), options.limit
    window_s = options.counted_s
    if not 0 < limit <= count:
        return None
    within = "" if window_s is None else f" within {span(window_s)}"
    return f"{_crashes(count)}{within}, the limit"


def no_progress(ends: Sequence[End]) -> str | None:
    """Say whether the attempts come no further than where they began.

    Where progress is unknown, an attempt says nothing. Deaths while restoring have a longer
    limit: a `Run` passes over the checkpoint that kills, and the older one has to be tried.
    """
    stuck = [end.gain.died_restoring for end in stuck_ends(ends) if end.gain.progress is False]
    if stuck.count(False) < MAX_NO_PROGRESS and len(stuck) < MAX_RESTORING:
        return None
    return f"{len(stuck)} attempts in a row crashed without a newer checkpoint"


def blind(ends: Sequence[End], options: SuperviseOptions) -> str | None:
    """Say whether a ladder is climbed in the dark: nothing shows that any rung gets on.

    What a crash costs there is known only where steps are seen.
    """
    if not options.ladder or options.counts_only:
        return None
    stuck = [end for end in stuck_ends(ends) if end.gain.progress is None]
    count = crash_count(stuck, options, ends[-1].gain.at_s)
    if count < MAX_BLIND:
        return None
    within = "" if options.counted_s is None else f" within {span(options.counted_s)}"
    return (
        f"{_crashes(count)}{within}, and no step of any rung was seen: "
        "--checkpoints or --progress would show them"
    )


def interruptions(ends: Sequence[End]) -> int:
    """Return how often it was interrupted from outside since it last got somewhere."""
    count = 0
    for end in reversed(ends):
        if is_healthy(end):
            break
        count += end.is_preempted
    return count


def preemptions(ends: Sequence[End]) -> str | None:
    """Say whether it is interrupted from outside again and again, before it gets anywhere."""
    count = interruptions(ends)
    if count < MAX_PREEMPTIONS:
        return None
    return f"{count} interruptions from outside without progress between them"


def same_deaths(ends: Sequence[End]) -> list[End]:
    """Return the last crashes that all died in one way at one step, oldest first.

    Without a step, the same exception proves nothing: a flaky simulator throws it anywhere.
    Interruptions in between say nothing either.
    """
    crashes = [end for end in ends if not end.is_preempted]
    mark = _mark(crashes[-1]) if crashes else None
    if mark is None:
        return []
    found: list[End] = []
    for end in reversed(crashes):
        if _mark(end) != mark:
            break
        found.insert(0, end)
    return found


def floor(ends: Sequence[End], options: SuperviseOptions) -> str | None:
    """Say whether it crashes so soon behind each checkpoint that hardly any time is useful."""
    least = options.goodput_floor
    last = [end for end in ends if end.is_crash][-FLOOR_ATTEMPTS:]
    useful = [end.gain.useful_s for end in last if end.gain.useful_s is not None]
    ran_s = sum(end.gain.seconds for end in last)
    if least <= 0 or len(useful) < FLOOR_ATTEMPTS or ran_s < FLOOR_S:
        return None
    share = sum(useful) / ran_s
    if share >= least:
        return None
    return (
        f"only {100 * share:.0f} % of the last {human_duration(ran_s)} was useful work, "
        f"below the floor of {100 * least:.0f} %"
    )


def stuck_ends(ends: Sequence[End]) -> list[End]:
    """Return the crashes since the last that is known to have got somewhere, oldest first."""
    found: list[End] = []
    for end in reversed(ends):
        if is_healthy(end):
            break
        if end.is_crash:
            found.insert(0, end)
    return found


def is_healthy(end: End) -> bool:
    """Say whether it got somewhere: by its checkpoints, or else by how long it lived."""
    gain = end.gain
    return gain.seconds >= HEALTHY_S if gain.progress is None else gain.progress


def span(seconds: float) -> str:
    """Return a length of time as people say it where it stands for a window: "1 h", "30 m"."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return human_duration(seconds)


def _mark(end: End) -> str | None:
    """Return what makes two deaths the same; None where there is no step to compare."""
    mark = end.diagnosis.fingerprint if end.diagnosis else ""
    return mark if end.is_crash and "| step " in mark else None


def _is_within(end: End, now_s: float, window_s: float | None) -> bool:
    """Say whether it is recent. One further in the future is not: the clock was set back since."""
    return window_s is None or abs(now_s - end.gain.at_s) <= window_s


def _crashes(count: int) -> str:
    return f"{count} crash" if count == 1 else f"{count} crashes"

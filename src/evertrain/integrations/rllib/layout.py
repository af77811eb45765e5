"""Where this RLlib keeps what: the one file that knows its versions apart.

Ray 2.50 has one class of metrics, whose instances are named by chance, and calls a runner's
open episodes `_episodes`. Ray 2.60 has a class of metrics for each way to reduce, calls them
`_ongoing_episodes`, and counts a runner's steps beside them. Which of both is meant is looked
up in what is there, not in the version; `probe` says where it is neither.

Layer: integrations. Imports core only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Final

from ray.rllib.utils.metrics import metrics_logger

from evertrain.core.errors import StateError
from evertrain.core.fs import LOCAL_FS

EPISODES: Final = ("_ongoing_episodes", "_episodes")
COUNTERS: Final = ("num_env_steps_sampled_lifetime",)


@dataclass(frozen=True, slots=True)
class Metric:
    """Where one class of metrics keeps what it knows.

    Attributes:
        settings: Argument of its constructor -> attribute.
        state: What it changes; some of it only in those that merge others.
        drawn: What of it is drawn by chance, as a name.
        passing: Attributes of a clock, and those that follow from others.
        anew: What begins at another attribute's value in each process.
        kind: The class.
    """

    settings: dict[str, str] = field(default_factory=dict)
    state: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    passing: tuple[str, ...] = ()
    anew: dict[str, str] = field(default_factory=dict)
    kind: Callable[..., Any] = object

    def needed(self) -> set[str]:
        """Return the attributes that there must be."""
        return {*self.settings.values(), *self.state, *self.anew}


def metric_of(thing: object) -> Metric:
    """Return where a metric keeps what it knows.

    Raises:
        StateError: It is of a class of the program's own.
    """
    found = metrics().get(type(thing).__name__)
    if found is None or found.kind is not type(thing):
        raise StateError(
            f"a metric is a {type(thing).__name__}.",
            "only RLlib's own classes of metrics can be stored.",
            "Log it with one of RLlib's own ways to reduce.",
        )
    return found


@cache
def metrics() -> dict[str, Metric]:
    """Return where RLlib's classes of metrics keep what they know, by their names."""
    here = vars(metrics_logger)
    lookup = here.get("DEFAULT_STATS_CLS_LOOKUP")
    if lookup is None:
        return {"Stats": replace(_ONE, kind=here["Stats"])}
    return {kind.__name__: _one_of_many(kind) for kind in lookup.values()}


def open_episodes(runner: Any) -> list[Any]:
    """Return the episodes that a runner plays; those of a fresh one may be missing."""
    found: list[Any] = getattr(runner, _name_of_episodes(runner), [])
    return found


def set_open_episodes(runner: Any, episodes: list[Any]) -> None:
    """Let a runner go on with these."""
    setattr(runner, _name_of_episodes(runner), episodes)


def counters_of(runner: Any) -> list[str]:
    """Return the attributes in which a runner counts over its lifetime, beside its metrics."""
    return [name for name in COUNTERS if hasattr(runner, name)]


def build_quietly(config: Any) -> Any:
    """Return the algorithm of a configuration, without the files that RLlib logs to by default."""
    if "logger_creator" in signature(config.build_algo).parameters:
        noop = import_module("ray.tune.logger").NoopLogger
        return config.build_algo(logger_creator=lambda settings: noop(settings, ""))
    algorithm = config.build_algo()
    made = Path(algorithm.logdir)  # for loggers that it does not have any more
    if made.is_dir() and not any(made.iterdir()):
        LOCAL_FS.rmtree(made)
    return algorithm


def _one_of_many(kind: type) -> Metric:
    own = _MANY.get(kind.__name__, Metric())
    return Metric(
        settings={"is_root": "is_root", "is_leaf": "is_leaf", **own.settings},
        state=("latest_merged", *own.state),
        passing=("_start_times", *own.passing),
        anew=own.anew,
        kind=kind,
    )


def _name_of_episodes(runner: Any) -> str:
    """Return the newer name if there is one; a fresh runner of 2.50 may have neither yet."""
    return next((name for name in EPISODES if hasattr(runner, name)), EPISODES[-1])


_ONE: Final = Metric(
    settings={
        "reduce": "_reduce_method",
        "percentiles": "_percentiles",
        "reduce_per_index_on_aggregate": "_reduce_per_index_on_aggregate",
        "window": "_window",
        "ema_coeff": "_ema_coeff",
        "clear_on_reduce": "_clear_on_reduce",
        "throughput": "has_throughput",
        "throughput_ema_coeff": "_throughput_ema_coeff",
    },
    state=(
        "id_",
        "values",
        "_prev_merge_values",
        "_has_new_values",
        "_has_returned_zero",
        "_is_tensor",
        "_last_reduced",
    ),
    drawn=("id_",),
    passing=("_start_times", "_inf_window", "_throughput_stats", "_last_throughput_measure_time"),
)
_SERIES: Final = Metric({"window": "_window"}, ("values",))
_MANY: Final = {
    "EmaStats": Metric({"ema_coeff": "_ema_coeff"}, ("_value", "_values_to_merge")),
    "ItemStats": Metric(state=("_item",)),
    "ItemSeriesStats": Metric({"window": "_window"}, ("items",)),
    "MaxStats": _SERIES,
    "MeanStats": _SERIES,
    "MinStats": _SERIES,
    "PercentilesStats": Metric({"window": "_window", "percentiles": "_percentiles"}, ("values",)),
    "SumStats": Metric(
        {"window": "_window", "with_throughput": "track_throughput"},
        ("values",),
        passing=("_last_throughput_measure_time",),
    ),
    "LifetimeSumStats": Metric(
        {"with_throughput": "track_throughputs"},
        ("_lifetime_sum", "_value_at_last_reduce"),
        passing=("_last_reduce_time", "_last_restore_time"),
        anew={"_value_at_last_restore": "_lifetime_sum"},
    ),
}

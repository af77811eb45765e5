"""The metrics that RLlib carries from one iteration to the next.

A logger of RLlib averages over windows that span iterations, and counts over a
lifetime; in Ray 2.50 by subtracting what it has counted before, under ids drawn at
random, which its own `get_state` drops, so that lifetime counters count double after a
restore. Here all of it is taken, except the times of a clock. What a metric consists of
is said by `layout`.

Layer: integrations. Imports checkpoint only, and its siblings.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.rllib import layout
from evertrain.integrations.torch.module import on_cpu

# Times of this machine: of no use to another process, and different in every attempt. They are
# told by their names alone, which stand at any depth and in other places in each version of Ray:
# a program's own metric that is called so begins anew, too.
_CLOCKS: Final = frozenset(
    {"timers", "connectors", "sample", "time_between_sampling", "episode_duration_sec_mean"}
)
_CLOCK_SUFFIXES: Final = ("_timer", "_throughput")

_Path = tuple[Any, ...]


def take(logger: MetricsLogger, ids: list[str]) -> Tree:
    """Return what a logger holds.

    Args:
        logger: Of an algorithm, a learner or a runner.
        ids: Gets the ids that RLlib has drawn.
    """
    leaves = sorted(_leaves(logger.stats), key=lambda leaf: list(map(str, leaf[0])))
    return [[list(path), _take(each, ids)] for path, each in leaves if not _is_time(path)]


def put(logger: MetricsLogger, tree: Tree, device: Any = None) -> None:
    """Put it back. The times that this process has measured stay.

    Args:
        logger: What it was taken from.
        tree: What `take` returned.
        device: Where the logger's owner computes, for values that are tensors.
    """
    times = [(path, each) for path, each in _leaves(logger.stats) if _is_time(path)]
    found: dict[Any, Any] = {}
    for path, each in times:
        _set(found, path, each)
    for path, stored in tree:
        _set(found, tuple(path), _build(stored, device))
    logger.stats = found


def strange(tree: Tree) -> str | None:
    """Return a class of metrics that `tree` holds and this RLlib has not; None if there is none."""
    names = {stored["class"] for _, stored in tree}
    return next(iter(sorted(names - layout.metrics().keys())), None)


def _take(stats: Any, ids: list[str]) -> Tree:
    metric = layout.metric_of(stats)
    ids += [getattr(stats, name) for name in metric.drawn]
    return {
        "class": type(stats).__name__,
        "settings": {name: getattr(stats, mine) for name, mine in metric.settings.items()},
        "state": {
            name: _plain(getattr(stats, name)) for name in metric.state if hasattr(stats, name)
        },
    }


def _build(tree: Tree, device: Any) -> Any:
    metric = layout.metrics()[tree["class"]]
    stats = metric.kind(**tree["settings"])
    for name, stored in tree["state"].items():
        mine = getattr(stats, name, None)
        if isinstance(mine, dict):
            mine.update(dict(stored))  # it has default values, which stay
        else:
            setattr(stats, name, _moved(stored, device))
    for name, other in metric.anew.items():
        setattr(stats, name, getattr(stats, other))
    return stats


def _leaves(node: dict[Any, Any], path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    for key, each in node.items():
        if isinstance(each, dict):
            yield from _leaves(each, (*path, key))
        else:
            yield (*path, key), each


def _set(found: dict[Any, Any], path: _Path, stats: Any) -> None:
    for key in path[:-1]:
        found = found.setdefault(key, {})
    found[path[-1]] = stats


def _is_time(path: _Path) -> bool:
    return any(key in _CLOCKS or str(key).endswith(_CLOCK_SUFFIXES) for key in path)


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return on_cpu(value.detach())
    if isinstance(value, dict):
        return [[key, _plain(each)] for key, each in value.items()]
    return _mapped(value, _plain)


def _moved(value: Any, device: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value if device is None else value.to(device)
    return _mapped(value, lambda each: _moved(each, device))


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, deque):
        return deque(map(change, value), value.maxlen)
    return type(value)(map(change, value)) if type(value) in {list, tuple} else value

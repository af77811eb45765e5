"""What this RLlib keeps that nobody here takes: the attributes of its objects, and those known.

A version of Ray that was never tried is not refused for its number. But an attribute that is not
known might be state, and one that is missing is state that moved: both are found before a
training begins, not in its curve.

Layer: integrations. Imports its siblings.
"""

from collections.abc import Collection, Iterator
from inspect import iscode, isfunction, unwrap
from typing import Any, Final

from ray.rllib.env.multi_agent_episode import MultiAgentEpisode
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from evertrain.integrations.rllib import layout

_CLOCKS: Final = ("_start_time", "_last_step_time")
_OF_BOTH: Final = ("id_", "is_terminated", "is_truncated", "_custom_data", *_CLOCKS)
# What of an episode is taken or made by its constructor; see `episode`.
_OF_SINGLE: Final = frozenset(
    {
        *_OF_BOTH,
        "agent_id",
        "module_id",
        "multi_agent_episode_id",
        "_observation_space",
        "_action_space",
        "observations",
        "actions",
        "rewards",
        "infos",
        "extra_model_outputs",
        "t",
        "t_started",
        "_last_added_observation",
        "_last_added_infos",
    }
)
_OF_MULTI: Final = frozenset(
    {
        *_OF_BOTH,
        "observation_space",
        "action_space",
        "agent_to_module_mapping_fn",
        "agent_episodes",
        "agent_t_started",
        "env_t",
        "env_t_started",
        "env_t_to_agent_t",
        "_agent_to_module_mapping",
        "_len_lookback_buffers",
        "_hanging_actions_end",
        "_hanging_extra_model_outputs_end",
        "_hanging_rewards_begin",
        "_hanging_rewards_end",
    }
)
_OF_BUFFER: Final = frozenset({"data", "lookback", "finalized", "_space"})
# What follows from the space of a buffer, under either name.
_OF_SPACE: Final = frozenset({"space_struct", "_space_struct"})
# What `runner` takes, and must find.
OF_RUNNER: Final = frozenset(
    {
        "_cached_to_module",
        "_done_episodes_for_metrics",
        "_env_to_module",
        "_module_to_env",
        "_needs_initial_reset",
        "_ongoing_episodes_for_metrics",
        "_seed",
        "_shared_data",
        "_weights_seq_no",
        "env",
        "metrics",
    }
)
# Configuration, machinery, clocks, and what only shows what is elsewhere.
_NO_STATE_OF_RUNNER: Final = frozenset(
    {
        "_callbacks",
        "_device",
        "_env_runner_state_server",
        "_episode",
        "_metrics_num_env_steps_sampled",
        "_metrics_num_try_env_step",
        "_time_after_sampling",
        "config",
        "episodes_to_numpy",
        "module",
        "num_envs",
        "num_workers",
        "spaces",
        "tune_trial_id",
        "worker_index",
    }
)


def strangers(runner: Any | None) -> list[str]:
    """Return what is there and not known, or known and not there, in words.

    Args:
        runner: One of the algorithm's runners; None if this process has none. What the
            program has put there, in a class or a callback of its own, is its own business.
    """
    found = [
        *_differing(SingleAgentEpisode(), _OF_SINGLE),
        *_differing(MultiAgentEpisode(), _OF_MULTI),
        *_differing(InfiniteLookbackBuffer(), _OF_BUFFER, _OF_SPACE),
    ]
    for name, metric in layout.metrics().items():
        found += _of_metric(name, metric)
    if runner is not None:
        may = {*_NO_STATE_OF_RUNNER, *layout.EPISODES, *layout.COUNTERS}
        may |= vars(runner).keys() - _named_by_ray(type(runner))
        found += _differing(runner, OF_RUNNER, may)
    return found


def _named_by_ray(kind: type) -> set[str]:
    """Return the names that Ray's own methods of a class look up, attributes among them."""
    classes = [each for each in kind.__mro__ if each.__module__.startswith("ray.")]
    members = [getattr(each, "fget", each) for one in classes for each in vars(one).values()]
    found: set[str] = set()
    codes = [unwrap(each).__code__ for each in members if isfunction(unwrap(each))]
    while codes:
        code = codes.pop()
        found |= {*code.co_names}
        codes += [each for each in code.co_consts if iscode(each)]
    return found


def _of_metric(name: str, metric: layout.Metric) -> Iterator[str]:
    forks = [{"is_leaf": True}, {"is_leaf": False}] if "is_leaf" in metric.settings else [{}]
    made = [metric.kind(**options) for options in forks]
    for each in made:
        yield from _differing(each, (), {*metric.needed(), *metric.passing})
    needed = sorted(metric.needed())
    missing = [mine for mine in needed if not any(hasattr(each, mine) for each in made)]
    yield from (f"a {name} has no {mine}" for mine in missing)


def _differing(thing: Any, must: Collection[str], may: Collection[str] = ()) -> Iterator[str]:
    slots = (getattr(each, "__slots__", ()) for each in type(thing).__mro__)
    found = {*getattr(thing, "__dict__", ()), *(name for names in slots for name in names)}
    kind = type(thing).__name__
    yield from (f"a {kind} has {name}" for name in sorted(found - {*must, *may}))
    yield from (f"a {kind} has no {name}" for name in sorted(must) if not hasattr(thing, name))

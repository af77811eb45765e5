"""What a runner of RLlib's new API stack knows: where each episode is, and what it drew.

The same functions run beside a local runner and, sent there, inside a remote one: so
they return what went wrong as text, because an exception would end a remote runner.

Layer: integrations. Imports run, and its siblings.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from ray.rllib.env.env_runner import EnvRunner

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.envs import method as methods
from evertrain.integrations.rllib import callbacks, episode, layout, spaces, stats, world
from evertrain.integrations.rllib.hashing import hashing
from evertrain.integrations.torch.module import on_cpu
from evertrain.run import rng


def take(runner: EnvRunner, *, trainer_pid: int, method: str) -> Tree:
    """Return the state of a runner.

    Args:
        runner: Local, or the one in whose process this runs.
        trainer_pid: Process of the training, whose generators are the run's.
        method: How the state of its environments is kept. By `barrier`, it is not, and
            its episodes begin anew after a restore.

    Returns:
        `tree`; `ids`: what RLlib has drawn for names; `is_lost`: whether open episodes are
        left out, for what was done in them is not known; `forgotten`: callbacks that cannot
        tell their state; or `error`.
    """
    return _answer(lambda: _take(runner, trainer_pid, method))


def put(runner: EnvRunner, tree: Tree, *, trainer_pid: int, method: str) -> Tree:
    """Put the state of a runner back. Returns an empty dict, or `error`."""
    return _answer(lambda: _put(runner, tree, trainer_pid, method))


def choose(runner: EnvRunner, *, wanted: str) -> Tree:
    """Return how the state of its environments is kept, before they are first played.

    Args:
        runner: Local, or the one in whose process this runs.
        wanted: One of `envs.method.CHOICES`.

    Returns:
        `method`, None without environments, and `reasons`; or `error`.
    """
    return _answer(lambda: _choose(runner, wanted))


def reset(runner: EnvRunner, *, seed: int, trainer_pid: int) -> Tree:
    """Let all episodes of a runner begin anew, drawn from `seed` and nothing else.

    Its environments are reset and seeded when it next plays; generators of a process of
    its own start afresh, and so do those that actions are drawn from.
    """
    return _answer(lambda: _reset(runner, seed, trainer_pid))


def has_played(runner: Any) -> bool:
    """Say whether its environments were ever reset; until then they have no state to tell."""
    return runner.env is not None and runner._shared_data is not None  # noqa: SLF001


def _choose(runner: Any, wanted: str) -> Tree:
    if runner.env is None:
        return {"method": None, "reasons": ()}
    _settle(runner)
    found = world.choose(runner.env, wanted)
    world.prepare(runner.env, found.method)
    return {"method": found.method, "reasons": found.reasons}


def _settle(runner: Any) -> None:
    """Before the first episode, seed what RLlib leaves to chance and draws from once."""
    if not has_played(runner):
        world.settle(runner.env, (runner.config.seed or 0) + 1_000 * (runner.worker_index or 0))


def _take(runner: Any, trainer_pid: int, method: str) -> Tree:
    ids: list[str] = []
    table = spaces.Table()
    should_know = has_played(runner) and method != methods.BARRIER
    worlds = _worlds(runner, method) if should_know else None
    goes_on = worlds is not None and not runner._needs_initial_reset  # noqa: SLF001
    tree = {
        "index": runner.worker_index or 0,
        "reset_seed": runner._seed,  # noqa: SLF001
        "weights_seq_no": runner._weights_seq_no,  # noqa: SLF001
        "counters": {name: getattr(runner, name) for name in layout.counters_of(runner)},
        "connectors": _connectors(runner),
        "callbacks": callbacks.take(runner._callbacks),  # noqa: SLF001
        "done": [
            episode.take(each, table, ids)
            for each in runner._done_episodes_for_metrics  # noqa: SLF001
        ],
        "play": _play(runner, table, ids) if goes_on else None,
        "worlds": worlds,
        "metrics": stats.take(runner.metrics, ids),
        "hashing": hashing() if runner.config.is_multi_agent else None,
        "process": rng.capture() if os.getpid() != trainer_pid else None,
    }
    return {
        "tree": {**tree, "spaces": table.trees()},
        "ids": ids,
        "forgotten": callbacks.forgotten(runner._callbacks),  # noqa: SLF001
        "is_lost": should_know and worlds is None,
    }


def _worlds(runner: Any, method: str) -> Tree | None:
    """Return the state of its environments; None if something of it is not known.

    A runner that RLlib has started in place of another one was not prepared; nor was one that
    is saved for the first time in the middle of an episode. Both know all after a reset.
    """
    world.prepare(runner.env, method)
    found = world.take_worlds(runner.env, method)
    return found if methods.is_complete(found["envs"], method) else None


def _play(runner: Any, table: spaces.Table, ids: list[str]) -> Tree:
    ended = runner._shared_data.get("vector_env_episodes_map", {})  # noqa: SLF001
    ids += [each for pair in ended.items() for each in pair]  # with the last step, and before it
    return {
        "episodes": [episode.take(each, table, ids) for each in layout.open_episodes(runner)],
        "pieces": [
            [key, [episode.take(each, table, ids) for each in pieces]]
            for key, pieces in runner._ongoing_episodes_for_metrics.items()  # noqa: SLF001
        ],
        "shared": runner._shared_data,  # noqa: SLF001
        "cached": _map(runner._cached_to_module, _detached),  # noqa: SLF001
    }


def _put(runner: Any, tree: Tree, trainer_pid: int, method: str) -> Tree:
    table = spaces.table(tree["spaces"])
    mapper = getattr(runner.config, "policy_mapping_fn", None)
    runner._seed = tree["reset_seed"]  # noqa: SLF001
    runner._weights_seq_no = tree["weights_seq_no"]  # noqa: SLF001
    for name, count in tree["counters"].items():
        setattr(runner, name, count)
    for pipeline, stored in zip(_pipelines(runner), tree["connectors"], strict=True):
        pipeline.set_state(stored)
    callbacks.put(runner._callbacks, tree["callbacks"])  # noqa: SLF001
    runner._done_episodes_for_metrics = [  # noqa: SLF001
        episode.build(each, table, mapper) for each in tree["done"]
    ]
    runner._needs_initial_reset = True  # noqa: SLF001
    if runner.env is not None:
        world.prepare(runner.env, method)
    if tree["worlds"] is not None:
        _settle(runner)
        runner.env.reset(seed=tree["reset_seed"])  # from which their generators come
        world.put_worlds(runner.env, method, tree["worlds"])
    runner._shared_data = None if tree["worlds"] is None else {}  # noqa: SLF001
    if tree["play"] is not None:
        _go_on(runner, tree["play"], table, mapper)
    stats.put(runner.metrics, tree["metrics"])
    if tree["process"] is not None and os.getpid() != trainer_pid:
        rng.restore(tree["process"], "the checkpoint")
    return {}


def _go_on(runner: Any, play: Tree, table: spaces.Table, mapper: episode.Mapper | None) -> None:
    """Let the runner go on with the episodes that were open."""
    episodes = [episode.build(each, table, mapper) for each in play["episodes"]]
    layout.set_open_episodes(runner, episodes)
    pieces = runner._ongoing_episodes_for_metrics  # noqa: SLF001
    pieces.clear()
    for key, stored in play["pieces"]:
        pieces[key] = [episode.build(each, table, mapper) for each in stored]
    runner._shared_data = play["shared"]  # noqa: SLF001
    runner._cached_to_module = _map(  # noqa: SLF001
        play["cached"],
        lambda leaf: _placed(leaf, runner._device),  # noqa: SLF001
    )
    runner._needs_initial_reset = False  # noqa: SLF001


def _reset(runner: Any, seed: int, trainer_pid: int) -> Tree:
    index = runner.worker_index or 0
    runner._seed = seed + 1_000 * index  # noqa: SLF001
    runner._needs_initial_reset = True  # noqa: SLF001
    if os.getpid() != trainer_pid:
        for each in rng.sources():
            each.seed((seed + 1_000 * index) % rng.MAX_SEED)
    return {}


def _pipelines(runner: Any) -> list[Any]:
    return [runner._env_to_module, runner._module_to_env]  # noqa: SLF001


def _connectors(runner: Any) -> list[Tree]:
    return [pipeline.get_state() for pipeline in _pipelines(runner)]


def _map(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return `value` with `change` applied to each leaf; its containers are new ones."""
    if isinstance(value, Mapping):
        return {key: _map(each, change) for key, each in value.items()}
    if type(value) in {list, tuple}:
        return type(value)(_map(each, change) for each in value)
    return change(value)


def _detached(leaf: Any) -> Any:
    return on_cpu(leaf.detach()) if isinstance(leaf, torch.Tensor) else leaf


def _placed(leaf: Any, device: Any) -> Any:
    return leaf.to(device) if isinstance(leaf, torch.Tensor) else leaf


def _answer(act: Callable[[], Tree]) -> Tree:
    try:
        return act()
    except Exception as error:  # noqa: BLE001  (an exception would end a remote runner)
        return {"error": f"{type(error).__name__}: {error}"}

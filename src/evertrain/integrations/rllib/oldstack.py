"""An algorithm of RLlib's old API stack: policies, their optimizers, counters.

Its samplers keep open episodes in generators that cannot be taken apart. So episodes
begin anew: in `iterations` behind each iteration, in every attempt alike, which is
exact; in a loop of one's own only at a restore, which is not.

Layer: integrations. Imports its siblings, checkpoint and core.
"""

import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any, Final

from ray.rllib.env.base_env import convert_to_base_env
from ray.rllib.evaluation.metrics import RolloutMetrics
from ray.rllib.evaluation.rollout_worker import RolloutWorker, _update_env_seed_if_necessary
from ray.rllib.evaluation.sampler import SyncSampler

from evertrain.checkpoint.plugin import INFERENCE, Mismatch, Tree
from evertrain.core.errors import StateError
from evertrain.integrations.envs import attributes
from evertrain.integrations.envs.method import AUTO, BARRIER
from evertrain.integrations.rllib import callbacks, environments, groups
from evertrain.integrations.rllib.groups import ask, groups_of, indices_of, tell
from evertrain.integrations.rllib.inference import BY
from evertrain.integrations.rllib.notices import say_once
from evertrain.integrations.torch.module import ModuleAdapter
from evertrain.integrations.torch.optimizer import OptimizerAdapter
from evertrain.run import rng

_MODULE: Final = ModuleAdapter()
_OPTIMIZER: Final = OptimizerAdapter()
_COUNTERS: Final = ("_iteration", "_timesteps_total", "_episodes_total")
# Of a policy, beside its networks: coefficients, schedules and counters.
_OF_POLICY: Final = (
    "kl_coeff",
    "cur_lr",
    "cur_lr2",
    "entropy_coeff",
    "global_timestep",
    "num_grad_updates",
)
_ASYNCHRONOUS: Final = "IMPALA"  # APPO is one, too
_CLOCKS: Final = ("perf_stats", "connector_metrics")  # of this machine
_WHY: Final = "RLlib's old API stack keeps open episodes where nobody can look"


def take(algorithm: Any) -> Tree:
    """Return the state of an algorithm between two iterations.

    Raises:
        StateError: It keeps what is not known here.
    """
    refuse_unknown(algorithm)
    keeping = environments.of(algorithm) or choose(algorithm)
    forgotten = callbacks.forgotten(algorithm.callbacks)
    if forgotten:
        say_once(algorithm, callbacks.sentence(forgotten))
    policies = dict(_policies(algorithm))
    act = partial(_of_worker, trainer_pid=os.getpid())
    return {
        INFERENCE: {"by": BY, "stack": "old"},
        "weights": {key: _MODULE.capture(each.model) for key, each in policies.items()},
        "order": list(policies),
        "environments": keeping.method,
        "policies": {key: _of_policy(each) for key, each in policies.items()},
        "counters": {name: getattr(algorithm, name) for name in _COUNTERS},
        "sampled": [[key, value] for key, value in algorithm._counters.items()],  # noqa: SLF001
        "history": [_plain(each) for each in algorithm._episode_history],  # noqa: SLF001
        "callbacks": callbacks.take(algorithm.callbacks),
        "runners": [
            [ask(group, act, index) for index in indices_of(group)]
            for group in groups_of(algorithm)
        ],
    }


def put(algorithm: Any, tree: Tree) -> None:
    """Put everything back, and let all episodes begin anew.

    Raises:
        StateError: A part could not take its state back.
        EnvError: A remote runner is gone already.
    """
    environments.agree(algorithm, tree["environments"])
    for name, value in tree["counters"].items():
        setattr(algorithm, name, value)
    algorithm._counters.clear()  # noqa: SLF001
    algorithm._counters.update(dict(tree["sampled"]))  # noqa: SLF001
    algorithm._episode_history = [_metrics(each) for each in tree["history"]]  # noqa: SLF001
    callbacks.put(algorithm.callbacks, tree["callbacks"])
    for key, policy in _policies(algorithm):
        _MODULE.restore(policy.model, tree["weights"][key])
        _put_policy(policy, tree["policies"][key])
    for group, trees in zip(groups_of(algorithm), tree["runners"], strict=True):
        group.sync_weights(timeout_seconds=60.0)
        for stored in filter(None, trees):
            act = partial(_put_worker, tree=stored, trainer_pid=os.getpid())
            tell(group, act, stored["index"])


def reset(algorithm: Any, seed: int) -> None:
    """Let all episodes begin anew, in new environments, drawn from `seed` and nothing else.

    Raises:
        StateError: A worker could not.
    """
    act = partial(_reset, seed=seed, trainer_pid=os.getpid())
    for group in groups_of(algorithm):
        for index in indices_of(group):
            ask(group, act, index)


def choose(algorithm: Any, wanted: str = AUTO) -> environments.Keeping:
    """Say that episodes begin anew: there is no other way."""
    return environments.decide(algorithm, environments.Keeping(BARRIER, ((wanted, _WHY),)))


def remember(algorithm: Any) -> Callable[[Tree], list[Mismatch]]:
    """Return what tells how a stored state does not fit this algorithm."""
    policies = dict(_policies(algorithm))
    able = callbacks.names(algorithm.callbacks)
    judges = {key: _MODULE.remember(each.model) for key, each in policies.items()}
    compare = groups.remember(algorithm)

    def misfits(tree: Tree) -> list[Mismatch]:
        there = tree["weights"]
        found = [Mismatch(key, "missing in the checkpoint") for key in judges.keys() - there.keys()]
        found += [Mismatch(key, "not in the program") for key in there.keys() - judges.keys()]
        found += compare(tree)
        found += callbacks.misfits(able, tree["callbacks"])
        for key in judges.keys() & there.keys():
            found += [
                Mismatch(f"{key}.{each.path}", each.problem) for each in judges[key](there[key])
            ]
        return sorted(found, key=lambda each: each.path)

    return misfits


def strangers(algorithm: Any) -> list[str]:
    """Return nothing: what RLlib changes no more is found by its imports alone."""
    del algorithm
    return []


def refuse_unknown(algorithm: Any) -> None:
    """Refuse an algorithm that keeps what is not known here.

    Raises:
        StateError: It does.
    """
    problem = None
    if algorithm.config.framework_str != "torch":
        problem = f"its framework is {algorithm.config.framework_str}"
    elif algorithm.local_replay_buffer is not None:
        problem = "it keeps a replay buffer"
    elif _ASYNCHRONOUS in {each.__name__ for each in type(algorithm).__mro__}:
        problem = "it learns from batches that come in whatever order they are ready"
    elif algorithm.config.observation_filter != "NoFilter":
        problem = f"its observations go through a {algorithm.config.observation_filter}"
    if problem:
        raise StateError(
            f"a {type(algorithm).__name__} of RLlib's old API stack is attached: {problem}.",
            "a resumed run would not go on exactly.",
            "Use the new API stack, or keep RLlib's own files, from which it goes on inexactly:"
            " algorithm.save(PATH).",
        )


def _policies(algorithm: Any) -> Iterator[tuple[str, Any]]:
    yield from algorithm.env_runner_group.local_env_runner.policy_map.items()


def _of_policy(policy: Any) -> Tree:
    exploration = getattr(policy, "exploration", None)
    return {
        "optimizers": [_OPTIMIZER.capture(each) for each in policy._optimizers],  # noqa: SLF001
        "own": attributes.take(policy, _OF_POLICY),
        "exploration": None
        if exploration is None
        else attributes.take_value(exploration.get_state()),
    }


def _put_policy(policy: Any, tree: Tree) -> None:
    for optimizer, stored in zip(policy._optimizers, tree["optimizers"], strict=True):  # noqa: SLF001
        _OPTIMIZER.restore(optimizer, stored)
    attributes.put(policy, tree["own"])
    exploration = getattr(policy, "exploration", None)
    if exploration is not None and tree["exploration"] is not None:
        exploration.set_state(attributes.put_value(exploration.get_state(), tree["exploration"]))


def _of_worker(worker: RolloutWorker, *, trainer_pid: int) -> Tree:
    counts = worker.global_vars["num_grad_updates_per_policy"]
    return {
        "index": worker.worker_index,
        "callbacks": callbacks.take(worker.callbacks),
        "timestep": worker.global_vars["timestep"],
        "updates": [[key, value] for key, value in counts.items()],
        "hashing": None,
        "process": rng.capture() if os.getpid() != trainer_pid else None,
    }


def _put_worker(worker: RolloutWorker, *, tree: Tree, trainer_pid: int) -> Tree:
    callbacks.put(worker.callbacks, tree["callbacks"])
    worker.global_vars["timestep"] = tree["timestep"]
    worker.global_vars["num_grad_updates_per_policy"].update(dict(tree["updates"]))
    if tree["process"] is not None and os.getpid() != trainer_pid:
        rng.restore(tree["process"], "the checkpoint")
    return {}


def _reset(worker: Any, *, seed: int, trainer_pid: int) -> Tree:
    """Build environments and sampler as the worker did when it began."""
    if worker.env is None:
        return {}
    config, seed = worker.config, seed + 1_000 * worker.worker_index
    worker.seed = seed
    worker.async_env.stop()
    worker.env = worker.env_creator(deepcopy(worker.env_context))
    _update_env_seed_if_necessary(worker.env, seed, worker.worker_index, 0)
    worker.make_sub_env_fn = worker._get_make_sub_env_fn(  # noqa: SLF001
        worker.env_creator, worker.env_context, None, lambda env: env, seed
    )
    worker.async_env = convert_to_base_env(
        worker.env,
        make_env=worker.make_sub_env_fn,
        num_envs=config.num_envs_per_env_runner,
        remote_envs=config.remote_worker_envs,
        remote_env_batch_wait_ms=config.remote_env_batch_wait_ms,
        worker=worker,
        restart_failed_sub_environments=config.restart_failed_sub_environments,
    )
    packs = config.batch_mode == "truncate_episodes"
    length: Any = config.get_rollout_fragment_length(worker.worker_index) if packs else float("inf")
    worker.sampler = SyncSampler(
        worker=worker,
        env=worker.async_env,
        clip_rewards=config.clip_rewards,
        rollout_fragment_length=length,
        count_steps_by=config.count_steps_by,
        callbacks=worker.callbacks,
        multiple_episodes_in_batch=packs,
        normalize_actions=config.normalize_actions,
        clip_actions=config.clip_actions,
        observation_fn=config.observation_fn,
        sample_collector_class=config.sample_collector,
        render=False,
    )
    worker.input_reader = worker._get_input_creator_from_config()(worker.io_context)  # noqa: SLF001
    if os.getpid() != trainer_pid:
        for each in rng.sources():
            each.seed(seed % rng.MAX_SEED)
    return {}


def _plain(metrics: RolloutMetrics) -> Tree:
    return {name: getattr(metrics, name) for name in metrics._fields if name not in _CLOCKS}


def _metrics(tree: Tree) -> RolloutMetrics:
    return RolloutMetrics(**tree)

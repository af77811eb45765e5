"""What a learner of RLlib's new API stack has learned, and what it learns with.

RLlib's own restore turns Adam's moments into keys that Adam does not find, and starts
the coefficients of the KL loss over. Here every tensor is put back where it was.

Layer: integrations. Imports run, and its siblings.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from ray.rllib.core.learner.learner import Learner
from ray.util.metrics import Metric  # what Ray's dashboard shows

from evertrain.checkpoint.plugin import Mismatch, Tree
from evertrain.integrations.envs.attributes import put_value
from evertrain.integrations.envs.attributes import take as take_attributes
from evertrain.integrations.rllib import stats
from evertrain.integrations.torch.module import ModuleAdapter
from evertrain.integrations.torch.optimizer import OptimizerAdapter
from evertrain.integrations.torch.scheduler import SchedulerAdapter
from evertrain.run import rng

_MODULE: Final = ModuleAdapter()
_OPTIMIZER: Final = OptimizerAdapter()
_SCHEDULER: Final = SchedulerAdapter()

# Configuration, what is taken on its own, and what belongs to this machine. The rest that is
# plain data is state: coefficients, schedules, counters, also those of a learner of one's own.
_NOT_STATE: Final = frozenset(
    {
        "config",
        "iterator",
        "metrics",
        "_module",
        "_module_obj",
        "_module_spec",
        "_module_optimizers",
        "_named_optimizers",
        "_optimizer_lr_schedules",
        "_optimizer_name_to_module",
        "_optimizer_parameters",
        "_params",
        "_learner_connector",
        "_lr_schedulers",
        "_lr_scheduler_classes",
        "_grad_scalers",
        "_node",
        "_device",
        "_placement_group",
        "_torch_compile_cfg",
        "_possibly_compiled_update",
    }
)


def take(learner: Learner, *, trainer_pid: int) -> Tree:
    """Return the state of a learner.

    Returns:
        `tree`, and `ids`: what RLlib has drawn for names; or `error`.
    """
    return _answer(lambda: _take(learner, trainer_pid))


def put(learner: Learner, tree: Tree, *, trainer_pid: int) -> Tree:
    """Put the state of a learner back. Returns an empty dict, or `error`."""
    return _answer(lambda: _put(learner, tree, trainer_pid))


def remember(learner: Learner) -> Callable[[Tree], list[Mismatch]]:
    """Return what tells how a stored state does not fit this learner."""
    modules = {key: _judge(each) for key, each in _modules(learner)}
    optimizers = {
        key: _OPTIMIZER.remember(each)
        for key, each in learner._named_optimizers.items()  # noqa: SLF001
    }

    def misfits(tree: Tree) -> list[Mismatch]:
        there = tree["modules"]
        found = [
            Mismatch(key, "missing in the checkpoint") for key in modules.keys() - there.keys()
        ]
        found += [Mismatch(key, "not in the program") for key in there.keys() - modules]
        if not found and tree["order"] != list(modules):
            found += [Mismatch("order", _order(tree["order"], list(modules)))]
        for key in modules.keys() & there.keys():
            found += _prefixed(key, modules[key](there[key]))
        for key in optimizers.keys() & tree["optimizers"].keys():
            found += _prefixed(key, optimizers[key](tree["optimizers"][key]))
        return sorted(found, key=lambda each: each.path)

    return misfits


def _take(learner: Any, trainer_pid: int) -> Tree:
    ids: list[str] = []
    connector = learner._learner_connector  # noqa: SLF001
    tree = {
        "modules": {key: _state_of(module) for key, module in _modules(learner)},
        "order": [key for key, _ in _modules(learner)],
        "optimizers": {
            key: _OPTIMIZER.capture(each)
            for key, each in learner._named_optimizers.items()  # noqa: SLF001
        },
        "own": attributes_of(learner),
        "schedulers": [
            [list(path), _SCHEDULER.capture(each)] for path, each in _schedulers(learner)
        ],
        "scalers": [[key, each.state_dict()] for key, each in _scalers(learner).items()],
        "connector": None if connector is None else connector.get_state(),
        "metrics": stats.take(learner.metrics, ids),
        "process": rng.capture() if os.getpid() != trainer_pid else None,
    }
    return {"tree": tree, "ids": ids}


def _put(learner: Any, tree: Tree, trainer_pid: int) -> Tree:
    for key, module in _modules(learner):
        _restore_module(module, tree["modules"][key])
    if tree["schedulers"]:
        _make_schedulers(learner)  # before the optimizers: a new one sets their rate
    for key, each in learner._named_optimizers.items():  # noqa: SLF001
        _OPTIMIZER.restore(each, tree["optimizers"][key])
    _put_own(learner, tree["own"])
    schedulers = dict(_schedulers(learner))
    for path, state in tree["schedulers"]:
        if tuple(path) in schedulers:
            _SCHEDULER.restore(schedulers[tuple(path)], state)
    for key, state in tree["scalers"]:
        _scalers(learner)[key].load_state_dict(state)
    if learner._learner_connector is not None and tree["connector"]:  # noqa: SLF001
        learner._learner_connector.set_state(tree["connector"])  # noqa: SLF001
    stats.put(learner.metrics, tree["metrics"], learner._device)  # noqa: SLF001
    if tree["process"] is not None and os.getpid() != trainer_pid:
        rng.restore(tree["process"], "the checkpoint")
    return {}


def attributes_of(learner: Any) -> dict[str, Tree]:
    """Return the attributes of a learner that are state."""
    own = {name for name, each in vars(learner).items() if not isinstance(each, Metric)}
    return take_attributes(learner, own - _NOT_STATE)


def _put_own(learner: Any, own: dict[str, Tree]) -> None:
    for name, tree in own.items():
        mine = vars(learner).get(name)
        if isinstance(mine, defaultdict) and isinstance(tree, dict):
            for key in tree.get("dict", ()):
                mine[key]  # RLlib makes it when it is first asked for
        vars(learner)[name] = put_value(mine, tree)


def _modules(learner: Any) -> Iterator[tuple[str, Any]]:
    module = learner.module
    yield from ((key, module[key]) for key in module.keys())  # noqa: SIM118  (no dict)


def _state_of(module: Any) -> Tree:
    return _MODULE.capture(module) if isinstance(module, torch.nn.Module) else module.get_state()


def _restore_module(module: Any, tree: Tree) -> None:
    if isinstance(module, torch.nn.Module):
        _MODULE.restore(module, tree)
    else:
        module.set_state(tree)


def _judge(module: Any) -> Callable[[Tree], Any]:
    if isinstance(module, torch.nn.Module):
        return _MODULE.remember(module)
    return lambda _: ()


def _schedulers(learner: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for module, by_optimizer in getattr(learner, "_lr_schedulers", {}).items():
        for optimizer, schedulers in by_optimizer.items():
            for index, each in enumerate(schedulers):
                yield (module, optimizer, index), each


def _make_schedulers(learner: Any) -> None:
    """Make the schedulers that RLlib makes at the first update."""
    if learner._lr_schedulers:  # noqa: SLF001
        return
    classes = learner._lr_scheduler_classes  # noqa: SLF001
    for module, names in learner._module_optimizers.items():  # noqa: SLF001
        for name in names:
            chosen = classes[module] if isinstance(classes, dict) else classes
            optimizer = learner.get_optimizer(module, name)
            made = [each(optimizer) for each in chosen or ()]
            learner._lr_schedulers[module] = {name: made}  # noqa: SLF001


def _scalers(learner: Any) -> dict[str, Any]:
    return getattr(learner, "_grad_scalers", None) or {}


def _order(there: list[str], here: list[str]) -> str:
    return (
        f"in the order {', '.join(there)} there, {', '.join(here)} here:"
        " give `policies` as a list or a dict, not as a set"
    )


def _prefixed(name: str, found: Any) -> list[Mismatch]:
    return [Mismatch(f"{name}.{each.path}".rstrip("."), each.problem) for each in found]


def _answer(act: Callable[[], Tree]) -> Tree:
    try:
        return act()
    except Exception as error:  # noqa: BLE001  (an exception would end a remote learner)
        return {"error": f"{type(error).__name__}: {error}"}

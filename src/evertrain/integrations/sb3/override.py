"""Change hyper-parameters of a model in the middle of its life, for real.

Setting `model.learning_rate` does nothing in SB3 until the model is saved and
loaded; setting `model.n_steps` breaks the rollout buffer. Here each setting
reaches every place that reads it.

Layer: integrations. Imports core only.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from operator import attrgetter
from typing import Any, Final
from weakref import WeakKeyDictionary

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import FloatSchedule, update_learning_rate
from torch.optim import Optimizer

from evertrain.core.errors import ConfigError

_NEWEST: WeakKeyDictionary[BaseAlgorithm, dict[str, Any]] = WeakKeyDictionary()


def apply_overrides(model: BaseAlgorithm, overrides: Mapping[str, Any]) -> None:
    """Make hyper-parameters of `model` what `overrides` says, wherever they are read.

    Args:
        model: Changed in place, between two rollouts.
        overrides: New values by SB3's own names. `learning_rate`, `clip_range`,
            `clip_range_vf` and `ent_coef` may be functions of the progress that
            remains, from 1 to 0.

    Raises:
        ConfigError: Some names are unknown to this model; all of them are listed,
            and nothing was changed.
    """
    _refuse_unknown(model, overrides)
    _NEWEST[model] = dict(overrides)
    for name, value in overrides.items():
        _SETTERS.get(name, _set_plain(name))(model, value)


def apply_again(model: BaseAlgorithm) -> None:
    """Make the newest overrides real again: the restored state is the last stage's."""
    apply_overrides(model, _NEWEST.get(model, {}))


def names_for(model: BaseAlgorithm) -> list[str]:
    """Return the names of the hyper-parameters that can change in this model."""
    plain = _ON_POLICY if isinstance(model, OnPolicyAlgorithm) else _OFF_POLICY
    setters = _SETTERS if isinstance(model, OnPolicyAlgorithm) else ("learning_rate", "gamma")
    return sorted(name for name in (*setters, *plain) if hasattr(model, name))


def _refuse_unknown(model: BaseAlgorithm, overrides: Mapping[str, Any]) -> None:
    known = names_for(model)
    faults = [name for name in overrides if name not in known]
    if not faults:
        return
    nearest = [get_close_matches(name, known, n=1, cutoff=0.5) for name in faults]
    hints = [
        f"{name!r} (did you mean {near[0]!r}?)" if near else f"{name!r}"
        for name, near in zip(faults, nearest, strict=True)
    ]
    raise ConfigError(
        f"{type(model).__name__} has no hyper-parameter {', '.join(hints)}.",
        "a stage's setting that does nothing would go unnoticed for days.",
        f"Use one of: {', '.join(known)}.",
    )


def _set_learning_rate(model: BaseAlgorithm, value: Any) -> None:
    model.learning_rate = value
    model._setup_lr_schedule()  # noqa: SLF001  (what PPO.load does)
    rate = model.lr_schedule(model._current_progress_remaining)  # noqa: SLF001
    for name in model._get_torch_save_params()[0]:  # noqa: SLF001
        part = attrgetter(name)(model)
        if isinstance(part, Optimizer):
            update_learning_rate(part, rate)


def _set_schedule(name: str) -> Callable[[BaseAlgorithm, Any], None]:
    def set_it(model: BaseAlgorithm, value: Any) -> None:
        setattr(model, name, None if value is None else FloatSchedule(value))

    return set_it


def _set_n_steps(model: BaseAlgorithm, value: int) -> None:
    """Change the length of a rollout: the buffer is made anew; it is empty between rollouts."""
    if not isinstance(model, OnPolicyAlgorithm) or model.n_steps == value:
        return
    model.n_steps = value
    model.rollout_buffer.buffer_size = value
    model.rollout_buffer.reset()


def _set_in_buffer(name: str) -> Callable[[BaseAlgorithm, Any], None]:
    def set_it(model: BaseAlgorithm, value: Any) -> None:
        setattr(model, name, value)
        buffer = getattr(model, "rollout_buffer", None) or getattr(model, "replay_buffer", None)
        if hasattr(buffer, name):
            setattr(buffer, name, value)

    return set_it


def _set_plain(name: str) -> Callable[[BaseAlgorithm, Any], None]:
    return lambda model, value: setattr(model, name, value)


_SETTERS: Final[dict[str, Callable[[BaseAlgorithm, Any], None]]] = {
    "learning_rate": _set_learning_rate,
    "clip_range": _set_schedule("clip_range"),
    "clip_range_vf": _set_schedule("clip_range_vf"),
    "n_steps": _set_n_steps,
    "gamma": _set_in_buffer("gamma"),
    "gae_lambda": _set_in_buffer("gae_lambda"),
}
_ON_POLICY: Final = (
    "batch_size",
    "ent_coef",
    "max_grad_norm",
    "n_epochs",
    "normalize_advantage",
    "target_kl",
    "vf_coef",
)
_OFF_POLICY: Final = (
    "batch_size",
    "gradient_steps",
    "learning_starts",
    "max_grad_norm",
    "target_update_interval",
    "tau",
)

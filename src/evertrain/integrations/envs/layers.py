"""An environment and its wrappers, whoever makes them: the outermost first.

Layer: integrations. Imports its siblings only.
"""

from collections.abc import Collection
from typing import Any, Final

from evertrain.integrations.envs import kinds

_LINKS: Final = (
    "env",
    "aec_env",
    "par_env",
)  # Gymnasium, PettingZoo, RLlib's wrapper of the latter
_PAIRS: Final = (("get_state", "set_state"), ("state_dict", "load_state_dict"))
GENERATOR: Final = ("_np_random", "_np_random_seed")
_HAS_RESET: Final = "_has_reset"  # of Gymnasium's and PettingZoo's OrderEnforcing
# Of the usual wrappers, only these attributes are state; the rest is configuration.
_STATE_OF: Final = {
    "Monitor": (
        "rewards",
        "needs_reset",
        "episode_returns",
        "episode_lengths",
        "total_steps",
        "current_reset_info",
    ),
    "TimeLimit": ("_elapsed_steps",),
    "OrderEnforcing": ("_has_reset",),
    "PassiveEnvChecker": ("checked_reset", "checked_step", "checked_render"),
}


def layers(env: Any) -> list[Any]:
    """Return the environment's wrappers, the outermost first, and itself last."""
    found = [env]
    while True:
        inner = (vars(found[-1]).get(name) for name in _LINKS)
        below = next((each for each in inner if hasattr(each, "step")), None)
        if below is None:
            return found
        found.append(below)


def innermost(env: Any) -> Any:
    """Return the environment below all wrappers."""
    return layers(env)[-1]


def pair_of(layer: Any) -> tuple[str, str] | None:
    """Return the names of the layer's own two methods for its state, if its class has them."""
    return next((pair for pair in _PAIRS if all(hasattr(type(layer), n) for n in pair)), None)


def knows_state(env: Any) -> bool:
    """Say whether the environment, or a wrapper, gives its state away."""
    return any(pair_of(layer) for layer in layers(env))


def may_have_begun(env: Any) -> bool:
    """Say whether the environment may be in an episode; the wrapper for the order knows."""
    known = [vars(layer)[_HAS_RESET] for layer in layers(env) if _HAS_RESET in vars(layer)]
    return any(known) or not known


def kind_of(env: Any) -> str:
    """Return which environment it is, for people and to tell kinds apart in one process."""
    classes = [kinds.class_name(layer) for layer in layers(env)]
    name = _registered(env)
    return " of ".join(classes) + (f" ({name})" if name else "")


def names(env: Any) -> list[str | None]:
    """Return which environment it is, the same wherever the modules of its classes are."""
    return [*(type(layer).__qualname__ for layer in layers(env)), _registered(env)]


def _registered(env: Any) -> str | None:
    name: str | None = getattr(getattr(innermost(env), "spec", None), "id", None)
    return name


def wrapper_names(layer: Any) -> Collection[str] | None:
    """Return the attributes of a wrapper that are state, and its link; None for all."""
    known = _STATE_OF.get(type(layer).__name__)
    return None if known is None else (*known, *_LINKS)

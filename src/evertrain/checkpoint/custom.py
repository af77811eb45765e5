"""A retention rule of the program's own: refused before it removes what it was to keep.

A rule that returns checkpoints where steps belong, or a mask, names nothing
that there is: taken literally, everything but the newest would go.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Iterable

from evertrain.core.errors import ConfigError


def check_rules(name: str, *rules: object) -> None:
    """Refuse for `name` what is no rule.

    Raises:
        ConfigError: One of `rules` cannot be called.
    """
    odd = [rule for rule in rules if not callable(rule)]
    if odd:
        raise ConfigError(
            f"{name}({odd[0]!r:.80}) is no rule.",
            "a rule is a function from the checkpoints to the steps that stay.",
            f"Write for example {name}(keep_last(5))",
        )


def check_steps(label: str, returned: object) -> list[int]:
    """Return the steps that a rule returned; some may be of no checkpoint.

    Args:
        label: What a user would call the rule.
        returned: What it gave.

    Raises:
        ConfigError: There is something else among them.
    """
    steps = list(returned) if isinstance(returned, Iterable) else []
    odd = [each for each in steps if isinstance(each, bool) or not hasattr(each, "__index__")]
    if not isinstance(returned, Iterable):
        odd = [returned]
    if odd:
        raise ConfigError(
            f"the retention rule {label} returned {odd[0]!r:.80} where steps belong.",
            "nothing was removed: it would have been what the rule was to keep.",
            "Return the steps that stay: frozenset(each.step for each in found if ...)",
        )
    return steps

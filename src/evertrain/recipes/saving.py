"""When a recipe saves, and what it keeps, as its configuration says.

Layer: recipes. Imports its siblings and checkpoint.
"""

from evertrain.checkpoint.keep import Keep, Rule, keep_all, keep_any, keep_best, keep_last
from evertrain.checkpoint.when import When, auto, every


def save_rule(every_steps: int | None) -> When:
    """Return the rule for saves: every so many steps, or by what they cost."""
    return auto() if every_steps is None else every(steps=every_steps)


def keep_rule(newest: int, *more: Rule) -> Keep:
    """Return the rule for what stays: the newest, the best, and `more`; with 0 all."""
    return keep_all() if newest == 0 else keep_any(keep_last(newest), keep_best(1), *more)

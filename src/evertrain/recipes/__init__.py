"""The trainings that ship with evertrain, found by name and imported only then.

Layer: recipes. Imports core only; each recipe imports what it needs.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from evertrain.core.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Recipe:
    """One shipped training. Importing nothing, until its model is asked for.

    Attributes:
        name: What `evertrain train` is given.
        summary: One line for the list.
        model: Where its configuration model is, as "module:class".
    """

    name: str
    summary: str
    model: str

    @property
    def config_model(self) -> "type[BaseModel]":
        """The pydantic model of its configuration."""
        module, _, name = self.model.partition(":")
        found: type[BaseModel] = getattr(import_module(module), name)
        return found

    @property
    def preset(self) -> Mapping[str, Any]:
        """Its settings where the model alone has no default; may be empty."""
        module = import_module(self.model.partition(":")[0])
        presets: Mapping[str, Mapping[str, Any]] = getattr(module, "PRESETS", {})
        return presets.get("default", {})


_RECIPES: Final = (
    Recipe(
        "structure",
        "PPO drives a mass damper that protects a 12-storey building from earthquakes.",
        "evertrain.recipes.structure.config:StructureConfig",
    ),
)


def names() -> list[str]:
    """Return the names of all recipes."""
    return [each.name for each in _RECIPES]


def find(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises:
        UsageError: There is none. The message names the nearest one.
    """
    for each in _RECIPES:
        if each.name == name:
            return each
    near = difflib.get_close_matches(name, names(), n=1)
    raise UsageError(
        f"there is no recipe {name!r}.",
        f"the recipes are: {', '.join(names())}.",
        f"Did you mean {near[0]!r}?" if near else "List them with: evertrain recipes",
    )

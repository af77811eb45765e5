"""The trainings that ship with evertrain, found by name and imported only then.

Layer: recipes. Imports core only; each recipe imports what it needs.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evertrain.core.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from evertrain.config.resolve import Preset


@dataclass(frozen=True, slots=True)
class Recipe:
    """One shipped training. Importing nothing, until its model is asked for.

    Attributes:
        name: What `evertrain train` is given.
        summary: One line for the list.
        model: Where its configuration model is, as "module:class".
        entry: Where its training is, as "module:function": (config, run directory) -> None.
    """

    name: str
    summary: str
    model: str
    entry: str

    @property
    def config_model(self) -> "type[BaseModel]":
        """The pydantic model of its configuration."""
        module, _, name = self.model.partition(":")
        found: type[BaseModel] = getattr(import_module(module), name)
        return found

    @property
    def preset(self) -> Mapping[str, Any]:
        """Its settings where the model alone has no default; may be empty."""
        return self._presets().get("default", {})

    def preset_named(self, name: str) -> "Preset":
        """Return one of the settings that ship with it.

        Raises:
            UsageError: There is no preset of that name.
        """
        from evertrain.config.resolve import Preset

        presets = {"default": {}, **self._presets()}
        if name in presets:
            return Preset(name, presets[name])
        raise UsageError(
            f"the recipe {self.name} has no preset {name!r}.",
            f"it ships with: {', '.join(presets)}.",
            f"evertrain train {self.name} --preset {next(iter(presets))}",
        )

    def train(self, config: Any, run_dir: Path | str) -> None:
        """Train with `config` in the run directory, or go on there.

        Raises:
            MissingExtraError: A package that the recipe needs is not installed.
        """
        module, _, name = self.entry.partition(":")
        try:
            function = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"the recipe {self.name} needs {error.name!r}, which is not installed.",
                "recipes bring environments and frameworks that the base install lacks.",
                "pip install 'evertrain[recipes]'",
            ) from error
        function(config, run_dir)

    def _presets(self) -> Mapping[str, Mapping[str, Any]]:
        module = import_module(self.model.partition(":")[0])
        found: Mapping[str, Mapping[str, Any]] = getattr(module, "PRESETS", {})
        return found


_RECIPES: Final = (
    Recipe(
        "structure",
        "PPO drives a mass damper that protects a 12-storey building from earthquakes.",
        model="evertrain.recipes.structure.config:StructureConfig",
        entry="evertrain.recipes.structure.train:train",
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

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
from evertrain.recipes.flags import Flag

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
            Its packages are those of the optional dependency group called like the recipe.
        flags: Options of its own, besides those of every recipe.
        places: What makes of a file that it writes for others the checkpoint that it was made
            of, as "module:function": (--resume, run directory) -> --resume. None: it has none.
        exports: Setting that names the folder of those files, None for no folder. None: it
            has no such setting.
    """

    name: str
    summary: str
    model: str
    entry: str
    flags: tuple[Flag, ...] = ()
    places: str | None = None
    exports: str | None = None

    @property
    def config_model(self) -> "type[BaseModel]":
        """The pydantic model of its configuration."""
        module, _, name = self.model.partition(":")
        found: type[BaseModel] = getattr(import_module(module), name)
        return found

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
                f"pip install 'evertrain[{self.name}]'",
            ) from error
        function(config, run_dir)

    def place(self, resume: str, run_dir: Path) -> str:
        """Return where `--resume` means in words that every run knows."""
        if self.places is None:
            return resume
        module, _, name = self.places.partition(":")
        found: str = getattr(import_module(module), name)(resume, run_dir)
        return found

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
        flags=(Flag("--exports", ("-o", "exports={}"), "Directory for zips that PPO.load reads."),),
        exports="exports",
    ),
    Recipe(
        "trading",
        "A DQN buys, holds and sells shares, and is judged on days that it never saw.",
        model="evertrain.recipes.trading.config:TradingConfig",
        entry="evertrain.recipes.trading.train:train",
        flags=(
            Flag("--episodes", ("-o", "episodes={}"), "Episodes to train, over all attempts."),
            Flag("--verbose", ("-o", "verbose=true"), "Print a line for each episode."),
            Flag("--auto-resume", (), "Go on where the run was; it does so anyway."),
        ),
        places="evertrain.recipes.trading.folder:place",
        exports="checkpoints.dir",
    ),
    Recipe(
        "openscope",
        "PPO controls the air traffic of openScope, a game in a browser that you serve.",
        model="evertrain.recipes.openscope.config:OpenscopeConfig",
        entry="evertrain.recipes.openscope.train:train",
        flags=(
            Flag("--game-url", ("-o", "game.url={}"), "Where the game is served."),
            Flag("--chromium", ("-o", "game.chromium={}"), "Path of the browser."),
            Flag("--timewarp", ("-o", "game.timewarp={}"), "Pace of the game; 20 is usual."),
        ),
    ),
    Recipe(
        "atc",
        "PPO leads an aircraft through traffic, on BlueSky simulators that may crash.",
        model="evertrain.recipes.atc.config:AtcConfig",
        entry="evertrain.recipes.atc.train:train",
        flags=(
            Flag(
                "--timewarp", ("-o", "simulator.timewarp={}"), "Pace of the simulator; 20 is usual."
            ),
            Flag("--scenario", ("-o", "simulator.scenario={}"), "sector or merge."),
        ),
    ),
    Recipe(
        "hideseek",
        "Three seekers and a hider learn against each other: two policies, RLlib's PPO.",
        model="evertrain.recipes.hideseek.config:HideSeekConfig",
        entry="evertrain.recipes.hideseek.entry:train",
        flags=(
            Flag("--iterations", ("-o", "iterations={}"), "Iterations of PPO."),
            Flag("--checkpoint-dir", ("-o", "ppo.checkpoint_dir={}"), "Folder for RLlib's format."),
            Flag("--ray-address", ("-o", "ray.address={}"), "Train on an existing Ray cluster."),
        ),
        places="evertrain.recipes.hideseek.card:place",
        exports="ppo.checkpoint_dir",
    ),
)


def names() -> list[str]:
    """Return the names of all recipes."""
    return [each.name for each in _RECIPES]


def place(recipe: str | None, resume: str, run_dir: Path) -> str:
    """Return where `--resume` or `--from` means, in a run of the recipe of that name.

    Args:
        recipe: As `run.json` has it: one that ships, one of somebody else, or None.
        resume: As it was typed.
        run_dir: The run.
    """
    return find(recipe).place(resume, run_dir) if recipe in names() else resume


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

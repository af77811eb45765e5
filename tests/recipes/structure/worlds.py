"""The recipe's own configurations for its tests."""

from evertrain.recipes.structure.config import PRESETS, StructureConfig


def preset(name: str) -> StructureConfig:
    """Return a configuration that ships with the recipe."""
    return StructureConfig.model_validate(PRESETS[name])

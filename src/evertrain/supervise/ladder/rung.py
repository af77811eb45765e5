"""One setting of a ladder, and the ladder.

Layer: supervise. Imports nothing from evertrain.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

# A word of the command where the arguments of the rung go; without it they go to the end.
PLACE: Final = "{rung}"
_KEY_DIGITS: Final = 12


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One setting.

    Attributes:
        name: What people call it; unique in its ladder.
        args: Arguments of the command.
        env: Environment variables; None removes one.
        config: Keys to set, dotted, by the configuration file that the command names.
        speed: How fast it is expected to be, in any unit that all rungs share, or None.
    """

    name: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str | None] = field(default_factory=dict)
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    speed: float | None = None

    @cached_property
    def key(self) -> str:
        """What it is known by in the journal: a digest of what it sets.

        A rung that is renamed or moved keeps what was measured of it; one that sets
        something else is another rung.
        """
        settings = [list(self.args), dict(self.env), {k: dict(v) for k, v in self.config.items()}]
        text = json.dumps(settings, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]

    @property
    def settings(self) -> str:
        """What it sets, in a line."""
        env = [f"-{key}" if value is None else f"{key}={value}" for key, value in self.env.items()]
        keys = [f"{key}: {value}" for each in self.config.values() for key, value in each.items()]
        return " ".join([shlex.join(self.args), *env, *keys]).strip()


@dataclass(frozen=True, slots=True)
class Ladder:
    """Settings from most aggressive to safest.

    Attributes:
        path: The file, as the user named it.
        rungs: At least two.
    """

    path: str
    rungs: tuple[Rung, ...]

    def index(self, key: object) -> int | None:
        """Return where the rung with `key` stands, from 0, or None if it is none of them."""
        return next((index for index, each in enumerate(self.rungs) if each.key == key), None)


def with_arguments(command: Sequence[str], args: Sequence[str]) -> list[str]:
    """Return `command` with `args` in place of its words `{rung}`, or at its end."""
    if PLACE not in command:
        return [*command, *args]
    words: list[str] = []
    for word in command:
        words += args if word == PLACE else [word]
    return words

"""The file of a ladder: a YAML list, read with the place of every fault.

    - --timewarp 40
    - name: fast
      args: [--timewarp, 20]
      env: {OMP_NUM_THREADS: 1}
    - name: safe
      config: {config/train.yaml: {simulator.timewarp: 10}}
      speed: 3

Layer: supervise. Imports config and core.
"""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from evertrain.config.fault import Fault, error_of
from evertrain.config.layer import Loc, Origin, dotted, origin_of
from evertrain.core.errors import ConfigError
from evertrain.supervise.ladder.rewrite import check
from evertrain.supervise.ladder.rung import Ladder, Rung

_KEYS: Final = ("name", "args", "env", "config", "speed")
_MIN_RUNGS, _MAX_RUNGS = 2, 30
_MAX_NAME: Final = 40
_OURS: Final = "EVERTRAIN_"


def read_ladder(path: Path | str, command: Sequence[str]) -> Ladder:
    """Return the ladder in `path`, whose rungs are settings of `command`.

    Raises:
        ConfigError: It cannot be read, or does not fit; every fault is named, with file,
            line and key.
    """
    from evertrain.config.document import read_tree

    found, origins, faults = read_tree(Path(path))
    reader = _Reader(str(path), command, origins, faults)
    rungs = [] if faults and found is None else reader.rungs(found)
    if reader.faults:
        raise _error(reader.faults, str(path))
    return Ladder(str(path), tuple(rungs))


def _error(faults: Sequence[Fault], path: str) -> ConfigError:
    error = error_of(faults, f"the ladder {path}")
    why = "a rung that is not what you meant would be measured, and chosen, for what it is not."
    return ConfigError(error.what, why, "Correct it; docs/ladder.md shows what a rung may hold.")


@dataclass(slots=True)
class _Reader:
    """Turns items into rungs and collects what is wrong with them."""

    path: str
    command: Sequence[str]
    origins: Mapping[Loc, Origin]
    faults: list[Fault] = field(default_factory=list)

    def rungs(self, found: Any) -> list[Rung]:
        if not isinstance(found, list) or not _MIN_RUNGS <= len(found) <= _MAX_RUNGS:
            self._fault(
                (), f"must be a list of {_MIN_RUNGS} to {_MAX_RUNGS} rungs, most aggressive first"
            )
            return []
        rungs: list[Rung] = []
        for index, item in enumerate(found):
            rung = self._rung(index, item)
            for at, other in enumerate(rungs):
                if other.key == rung.key:
                    self._fault((index,), f"sets the same as rung {at + 1}, {other.name!r}")
                elif other.name == rung.name:
                    self._fault((index, "name"), f"rung {at + 1} is called {rung.name!r}, too")
            rungs.append(rung)
        if any(each.speed is None for each in rungs) and any(each.speed for each in rungs):
            missing = next(index for index, each in enumerate(rungs) if each.speed is None)
            self._fault((missing,), "has no speed, and others have: give all of them one, or none")
        return rungs

    def _rung(self, index: int, item: Any) -> Rung:
        table = {"args": item} if isinstance(item, str) else item
        if not isinstance(table, dict):
            self._fault(
                (index,), "must be arguments as a text, or a table with: " + ", ".join(_KEYS)
            )
            return Rung(name=f"rung {index + 1}")
        for key in table:
            if key not in _KEYS:
                from evertrain.config.suggest import nearest

                self._fault((index, key), "there is no such key", nearest(key, _KEYS))
        made = Rung(
            name="",
            args=self._args((index, "args"), table.get("args", [])),
            env=self._env((index, "env"), table.get("env", {})),
            config=self._config((index, "config"), table.get("config", {})),
            speed=self._speed((index, "speed"), table.get("speed")),
        )
        name = self._name((index, "name"), table.get("name", made.settings[:_MAX_NAME] or "as is"))
        return Rung(name=name, args=made.args, env=made.env, config=made.config, speed=made.speed)

    def _name(self, loc: Loc, value: Any) -> str:
        name = _text(value) or ""
        if not name or not name.isprintable() or len(name) > _MAX_NAME:
            self._fault(loc, f"is {value!r:.60}, but must be a text of 1 to {_MAX_NAME} characters")
        return name

    def _args(self, loc: Loc, value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            try:
                return tuple(shlex.split(value))
            except ValueError as error:
                self._fault(loc, f"is {value!r:.60}: {str(error).lower()}")
                return ()
        words = [_text(each) for each in value] if isinstance(value, list) else [None]
        if None in words:
            self._fault(loc, f"is {value!r:.60}, but must be a text or a list of words")
        return tuple(word for word in words if word is not None)

    def _env(self, loc: Loc, value: Any) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for key, each in self._table(loc, value).items():
            text = None if each is None else _text(each)
            if not key or "=" in key or "\0" in key or "\0" in (text or ""):
                self._fault((*loc, key), "cannot be an environment variable")
            elif key.startswith(_OURS) and "__" not in key:
                self._fault((*loc, key), "is the supervisor's own")
            elif each is not None and text is None:
                self._fault((*loc, key), f"is {each!r:.60}, but must be a text, a number or null")
            found[key] = text
        return found

    def _config(self, loc: Loc, value: Any) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for name, keys in self._table(loc, value).items():
            found[name] = dict(self._table((*loc, name), keys))
            for key, error in check(name, found[name], self.command).items():
                at = (*loc, name, key) if key else (*loc, name)
                self._fault(at, str(error), error.meant)
        return found

    def _speed(self, loc: Loc, value: Any) -> float | None:
        if value is None:
            return None
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value <= 0:
            self._fault(loc, f"is {value!r:.60}, but must be a number above 0")
            return None
        return float(value)

    def _table(self, loc: Loc, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self._fault(loc, f"is {value!r:.60}, but must be a table of the form `key: value`")
        return {}

    def _fault(self, loc: Loc, problem: str, suggestion: str | None = None) -> None:
        at = origin_of(self.origins, loc)
        self.faults.append(
            Fault(
                where=at.where if at else self.path,
                key=dotted(loc),
                problem=problem,
                suggestion=suggestion,
                line=at.line if at else None,
                column=at.column if at else None,
            )
        )


def _text(value: Any) -> str | None:
    """Return a scalar as a command line or an environment has it, or None for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else None

"""Where the program's own code reads the time, as far as its bytecode shows it.

Layer: run. Imports its sibling.
"""

import dis
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from evertrain.run.audited.census import frames_of_program, modules

_READERS: Final = frozenset(
    {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"}
)
_CLASSES: Final = frozenset({"datetime", "date"})
_NOW: Final = frozenset({"now", "utcnow", "today"})
_LOADS: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_ATTRIBUTES: Final = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_MOST: Final = 10


def clock_reads() -> list[str]:
    """Return where the program reads a clock: "time.time() in step (train.py:14)", at most ten."""
    scripts = [(each.f_code, each.f_globals) for each in frames_of_program()]
    defined = [(code, vars(module)) for module in modules() for code in _code_of(module)]
    found: dict[str, None] = {}
    for code, names in (*scripts, *defined):
        for what, line in reads(code, names):
            found[f"{what}() in {code.co_name} ({Path(code.co_filename).name}:{line})"] = None
    return list(found)[:_MOST]


def reads(code: types.CodeType, names: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield what in `code` reads a clock, with its line.

    Args:
        code: Of a function.
        names: Its globals.
    """
    steps, line = list(dis.get_instructions(code)), code.co_firstlineno
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        line = step.positions.lineno or line if step.positions else line
        if step.opname not in _LOADS:
            continue
        value = names.get(str(step.argval))
        attribute = after.argval if after is not None and after.opname in _ATTRIBUTES else None
        what = _clock(value, attribute)
        if what is not None:
            yield what, line


def _clock(value: object, attribute: object) -> str | None:
    """Return the name of the clock that a loaded global, and an attribute of it, stand for."""
    if isinstance(value, types.BuiltinFunctionType) and value.__module__ == "time":
        return f"time.{value.__name__}" if value.__name__ in _READERS else None
    if isinstance(value, types.ModuleType) and value.__name__ == "time":
        return f"time.{attribute}" if attribute in _READERS else None
    if isinstance(value, type) and value.__module__ == "datetime":
        return f"{value.__name__}.{attribute}" if attribute in _NOW else None
    if isinstance(value, types.ModuleType) and value.__name__ == "datetime":
        return "datetime" if attribute in _CLASSES else None
    return None


def _code_of(module: types.ModuleType) -> Iterator[types.CodeType]:
    """Yield the code of a module's functions and methods, and of what is defined inside them."""
    for value in list(vars(module).values()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        members = list(vars(value).values()) if isinstance(value, type) else [value]
        for each in members:
            function = getattr(each, "__func__", each)
            if isinstance(function, types.FunctionType):
                yield from _nested(function.__code__)


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from _nested(each)

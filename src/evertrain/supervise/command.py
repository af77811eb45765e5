"""The command to supervise: whether it exists, and what its run is called.

Layer: supervise. Imports core only.
"""

import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from evertrain.core.errors import ConfigError, UsageError

_RUNTIMES: Final = frozenset({"bash", "sh", "zsh", "dash", "node", "julia", "Rscript"})
# They run the program that follows.
_WRAPPERS: Final = frozenset({"env", "nice", "nohup", "time", "uv", "poetry", "xvfb-run", "stdbuf"})
_TAKE_VALUE: Final = frozenset({"-W", "-X"})
# Words that only a shell knows.
_SHELLS_OWN: Final = frozenset(
    {".", "alias", "cd", "conda", "eval", "exec", "export", "module", "set", "source", "ulimit"}
)
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=")
_SYNTAX: Final = re.compile(r"[&|;<>$`*?]")


def default_run_dir(command: Sequence[str]) -> Path:
    """Return `runs/NAME` after the script, module or program that `command` runs."""
    name = _name_of(list(command))
    is_script = "." in name[1:] and not _is_runtime(name)
    return Path("runs") / (name.rpartition(".")[0] if is_script else name)


def check_command(command: Sequence[str]) -> None:
    """Refuse what cannot be started, before anything is created.

    Raises:
        UsageError: There is no command.
        ConfigError: There is no such program, or it may not be executed.
    """
    if not command:
        raise UsageError(
            "there is no command to run.",
            "evertrain run supervises a command, given after --.",
            "For example: evertrain run -- python train.py",
        )
    program = command[0]
    if shutil.which(program) is not None:
        return
    if Path(program).is_file():
        raise ConfigError(
            f"{program!r} is not executable.",
            "only programs can be run.",
            _unquoted(command)
            or f"chmod +x {program}, or name its interpreter: evertrain run -- bash {program}",
        )
    raise ConfigError(
        f"there is no program {program!r}.",
        "it is neither a file nor in PATH.",
        _unquoted(command) or _meant(command),
    )


def _unquoted(command: Sequence[str]) -> str | None:
    """Return what to do where a shell has put the names of files for a pattern."""
    if "--" not in command[1:]:
        return None
    return "Quote a pattern, or the shell puts file names there: --checkpoints 'models/*.pt'"


def _meant(command: Sequence[str]) -> str:
    """Return what was probably meant by a program that is none."""
    program = command[0]
    first, *rest = program.split() or [program]
    if rest and shutil.which(first) is not None and not _SYNTAX.search(program):
        return f"It is a whole command line; write it without quotes: evertrain run -- {program}"
    if first in _SHELLS_OWN or (rest and shutil.which(first) is not None):
        line = shlex.quote(" ".join(command))
        return f"Only a shell understands that: evertrain run -- bash -c {line}"
    if _ASSIGNMENT.match(program):
        return f"To set a variable: evertrain run -- env {shlex.join(command)}"
    return "Check its name; is the virtual environment activated?"


def _name_of(words: list[str]) -> str:
    name = Path(words.pop(0)).name
    while words and (name in _WRAPPERS or _is_runtime(name)):
        word = words.pop(0)
        if _is_runtime(name):
            if word == "-m" and words:
                return words[0].rpartition(".")[2]
            if word == "-" or (word.startswith("-") and word.endswith("c")):
                break  # a program in the arguments has no name
            if word in _TAKE_VALUE:
                words[:1] = []
        is_argument = word.startswith("-") or word.isdigit() or "=" in word or word == "run"
        if not is_argument:
            name = Path(word).name
    return name or "run"


def _is_runtime(name: str) -> bool:
    return name in _RUNTIMES or name.startswith("python")

"""The command to supervise: whether it exists, and what its run is called.

Layer: supervise. Imports core only.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from evertrain.core.errors import ConfigError, UsageError

_RUNTIMES: Final = frozenset({"bash", "sh", "zsh", "dash", "node", "julia", "Rscript"})
# They run the program that follows.
_WRAPPERS: Final = frozenset({"env", "nice", "nohup", "time", "uv", "poetry", "xvfb-run", "stdbuf"})
_TAKE_VALUE: Final = frozenset({"-W", "-X"})


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
            f"chmod +x {program}, or name its interpreter: evertrain run -- bash {program}",
        )
    raise ConfigError(
        f"there is no program {program!r}.",
        "it is neither a file nor in PATH.",
        "Check its name; is the virtual environment activated?",
    )


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

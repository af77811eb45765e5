"""Programs that start a training again when it dies, each as its own manual says to use it."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evertrain.core import proc

EVERTRAIN, TORCHRUN, BASH = "evertrain run", "torchrun", "bash until"
_MANY = "1000000"  # restarts: the schedule of the kills decides, not they
_END_S = 30.0
_NO_CACHE = "PYTHONDONTWRITEBYTECODE"


@dataclass
class Running:
    """A supervisor at work.

    Attributes:
        process: It itself.
        log: What it and the training print.
    """

    process: "subprocess.Popen[bytes]"
    log: Path

    def end(self) -> list[str]:
        """Ask it to end, end the rest, and return who was left behind."""
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            self.process.terminate()
            self.process.wait(_END_S)
        return end_all_below()


def start(command: Sequence[str], place: Path, env: Mapping[str, str] | None = None) -> Running:
    """Start a supervisor in a session of its own, in the directory `place`.

    What it leaves behind becomes ours. Python keeps what it compiles, as in an install.
    """
    proc.become_subreaper()
    inherited = {name: each for name, each in os.environ.items() if name != _NO_CACHE}
    place.mkdir(parents=True, exist_ok=True)
    log = place / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=place,
            env={**inherited, "PYTHONPYCACHEPREFIX": str(place.parent / "pycache"), **(env or {})},
            start_new_session=True,
        )
    return Running(process, log)


def end_all_below() -> list[str]:
    """End every process below this one, and return the names of those that had to be killed."""
    names = {each: proc.executable(each.pid) for each in proc.descendants(os.getpid())}
    killed = proc.sweep(grace_s=0.0)
    proc.reap()
    return [names.get(each, "?") for each in killed]


def with_evertrain(command: Sequence[str], run: Path) -> list[str]:
    """Return `evertrain run` without a pause; only we decide when there were enough crashes."""
    options = ["--run", str(run), "--max-crashes", "0", "--delay", "0"]
    return [sys.executable, "-m", "evertrain", "run", *options, "--", *command]


def with_torchrun(command: Sequence[str], interval_s: float | None = None) -> list[str]:
    """Return `torchrun` for one worker here; None looks as often as it does by itself."""
    options = ["--standalone", "--max-restarts", _MANY]
    if interval_s is not None:
        options += ["--monitor-interval", str(interval_s)]
    return [sys.executable, "-m", "torch.distributed.run", *options, "--no-python", *command]


def with_bash(command: Sequence[str]) -> list[str]:
    """Return the loop that people write."""
    return ["bash", "-c", 'until "$@"; do :; done', "bash", *command]

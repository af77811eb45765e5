"""The unit file of a supervised run. Pure.

Layer: supervise. Imports core only.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from evertrain.core.errors import (
    EXIT_CONFIG,
    EXIT_DO_NOT_RESTART,
    EXIT_FORCED,
    EXIT_GAVE_UP,
    EXIT_LOCKED,
    EXIT_NOT_FOUND,
    EXIT_STOPPED,
    EXIT_USAGE,
)
from evertrain.supervise.systemd.escape import assignment, command_line, path_value, quoted, remark

MARK: Final = "# Made by: evertrain systemd"

_WATCHDOG_S: Final = 120
_STOP_MARGIN_S: Final = 60.0  # forcing, sweeping, the last words
# What says itself also where backslashes mean nothing.
_SIMPLE: Final = re.compile(r"[A-Za-z0-9_@+=:,./ -]+")
# What a training finds the same as in the shell where the unit was made.
_CARRIED: Final = re.compile(
    r"PATH|VIRTUAL_ENV|CONDA_(PREFIX|DEFAULT_ENV)|PYTHON(PATH|HASHSEED|UNBUFFERED)"
    r"|LD_LIBRARY_PATH|LANG|LC_\w+|TZ|(CUDA|OMP|MKL|OPENBLAS|NUMEXPR|NCCL|TORCH|PYTORCH|XLA|JAX"
    r"|TF_(CPP|CUDNN|DETERMINISTIC|ENABLE|FORCE|GPU|NUM|XLA)|HF|MUJOCO|PYOPENGL)_\w+"
)
_SECRET: Final = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What the unit of a run says.

    Attributes:
        run: The run directory, absolute.
        command: The supervisor's command line; its program is absolute.
        cwd: Where it is started, absolute.
        grace_s: Longest graceful stop, seconds.
        environment: Variables for it and the training.
        env_file: File with more of them, absolute, such as secrets; or None.
        user: Who runs it; None for the unit's own user manager, or root.
        is_user: Whether it belongs to a user's manager instead of the system's.
    """

    run: Path
    command: Sequence[str]
    cwd: Path
    grace_s: float
    environment: Mapping[str, str] = field(default_factory=dict)
    env_file: Path | None = None
    user: str | None = None
    is_user: bool = False


def unit_text(unit: Unit) -> str:
    """Return the unit file.

    Raises:
        ConfigError: A directory has a name that a unit cannot say.
    """
    places = (str(unit.run), str(unit.cwd))
    mounts = [quoted(path) for path in places if _SIMPLE.fullmatch(path)]
    sections: dict[str, list[tuple[str, str | None]]] = {
        "Unit": [
            ("Description", remark(f"evertrain: {unit.run.name}").replace("%", "%%")),
            ("After", "network.target"),
            ("RequiresMountsFor", " ".join(mounts) or None),
            # Six starts an hour: the defaults would end it for good within a second.
            ("StartLimitIntervalSec", "1h"),
            ("StartLimitBurst", "6"),
        ],
        "Service": [
            ("Type", "notify"),
            ("NotifyAccess", "main"),
            ("User", unit.user),
            ("WorkingDirectory", path_value("WorkingDirectory", str(unit.cwd))),
            *[("Environment", assignment(*each)) for each in sorted(unit.environment.items())],
            ("EnvironmentFile", _env_file(unit.env_file)),
            ("ExecStart", command_line(unit.command)),
            ("Restart", "on-failure"),
            ("RestartSec", "10"),
            ("SuccessExitStatus", _codes(EXIT_STOPPED, EXIT_FORCED)),
            ("RestartPreventExitStatus", _codes(*_FINAL)),
            # SIGTERM for the supervisor alone, which stops the training at a safe point.
            ("KillMode", "mixed"),
            ("TimeoutStopSec", str(math.ceil(unit.grace_s + _STOP_MARGIN_S))),
            ("WatchdogSec", str(_WATCHDOG_S)),
            # A training that the kernel kills for its memory is restarted, not the service ended.
            ("OOMPolicy", "continue"),
        ],
        "Install": [("WantedBy", "default.target" if unit.is_user else "multi-user.target")],
    }
    head = [MARK, f"# Run: {remark(str(unit.run))}"]
    lines = [
        line
        for title, settings in sections.items()
        for line in ("", f"[{title}]", *(f"{name}={value}" for name, value in settings if value))
    ]
    return "\n".join([*head, *lines, ""])


# A start with the same words would end the same way, or was not wanted.
_FINAL: Final = (
    EXIT_USAGE,
    EXIT_NOT_FOUND,
    EXIT_LOCKED,
    EXIT_GAVE_UP,
    EXIT_STOPPED,
    EXIT_CONFIG,
    EXIT_DO_NOT_RESTART,
    EXIT_FORCED,
)


def carried(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what of `environ` goes into a unit that others may read: nothing secret."""
    return {
        name: value
        for name, value in environ.items()
        if _CARRIED.fullmatch(name) and not _SECRET.search(name)
    }


def unit_name(run: Path) -> str:
    """Return the name of the unit of the run at `run`, such as `evertrain-trading.service`."""
    return f"evertrain-{re.sub(r'[^A-Za-z0-9_.-]', '-', run.name)}.service"


def _env_file(path: Path | None) -> str | None:
    return None if path is None else "-" + path_value("EnvironmentFile", str(path))


def _codes(*codes: int) -> str:
    return " ".join(map(str, codes))

"""How a run was last started: what `evertrain resume` and a unit of systemd start again.

Layer: supervise. Imports core only.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from evertrain.core.errors import ConfigError, CorruptError
from evertrain.core.journal import Journal
from evertrain.core.kinds import is_text, is_words
from evertrain.core.rundir import RunDir, read_identity
from evertrain.supervise.options import SuperviseOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The last start of a run.

    Attributes:
        command: Program and arguments.
        cwd: Directory in which that was, or None if it is not known.
        options: How it was supervised, as the journal has it: a file may hold anything.
    """

    command: list[str]
    cwd: Path | None
    options: Mapping[str, Any] = field(default_factory=dict)

    def supervised(self, given: Mapping[str, Any]) -> SuperviseOptions:
        """Return how to supervise it again: as told now, and as the last time for the rest.

        Where it began then does not matter now.

        Args:
            given: What is told now, by the names of `SuperviseOptions`.

        Raises:
            ConfigError: What is told cannot work.
        """
        kinds = {each.name: each.type for each in fields(SuperviseOptions)}
        del kinds["resume"]
        known = {
            name: value
            for name, value in self.options.items()
            if name in kinds and _fits(value, kinds[name])
        }
        try:
            return SuperviseOptions(**{**known, **given})
        except ConfigError:
            return SuperviseOptions(**given)


def last_start(run_dir: RunDir) -> Start | None:
    """Return how the run was last started; None if nobody says it.

    A supervisor says it as it begins, whatever becomes of the command then; of a `Run` that
    had none, `run.json` says it.

    Raises:
        FormatError: The run was written by a newer version.
    """
    row = Journal(run_dir.journal).last("supervisor_started") or {}
    identity = None
    with suppress(CorruptError):  # the next start makes it anew
        identity = read_identity(run_dir)
    words, options = row.get("command"), row.get("options")
    command = words if is_words(words) and words else identity.command if identity else []
    if not command:
        return None
    told = row.get("cwd")
    cwd = told if is_text(told) and told else identity.cwd if identity else None
    return Start(
        command=list(command),
        cwd=Path(cwd) if cwd else None,
        options=options if isinstance(options, dict) else {},
    )


def _fits(value: object, kind: Any) -> bool:
    """Say whether an option may have that value: what a file says may be anything."""
    kinds = get_args(kind) or (kind,)
    return type(value) in kinds or (type(value) is int and float in kinds)

"""What an audit asks of a `Run`, by way of the environment.

Layer: run. Imports checkpoint and core.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Self

from evertrain.checkpoint.when import Every, Moment, Quiet
from evertrain.core.document import NOTE_BYTES, parse_json
from evertrain.core.errors import ConfigError
from evertrain.run.opening import ENV_AUDIT

# Of a training whose length is known, this many checkpoints are compared.
_SAVES: Final = 20
_EVERY: Final = 100  # steps, where the length is unknown


@dataclass(frozen=True, slots=True)
class AuditSaves:
    """A `When` that no clock decides: both trainings of an audit save at the same steps.

    Attributes:
        every: The steps.
        until: Step at which the training ends, or None.
    """

    every: Every
    until: int | None

    def __call__(self, moment: Moment) -> str | None:
        """See `When`."""
        return self.every(moment)

    def quiet(self, moment: Moment) -> Quiet:
        """See `Quiet`: the loop has to ask at the last step."""
        before_step = self.every.quiet(moment).before_step
        return Quiet(before_step if self.until is None else min(before_step, self.until))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """How an audited training saves, and where it ends.

    Attributes:
        steps: Steps between two saves, 1 or more; None is a twentieth of its length.
        until: Step at which it ends as finished, 1 or more; None is where it would end anyway.
    """

    steps: int | None = None
    until: int | None = None

    def saves(self, total: int | None) -> AuditSaves:
        """Return when to save.

        Args:
            total: Steps of the training, or None if it does not say.
        """
        length = min(each for each in (self.until, total) if each) if self.until or total else None
        steps = self.steps or (_EVERY if length is None else max(1, length // _SAVES))
        return AuditSaves(Every(steps, None), self.until)

    def environment(self) -> dict[str, str]:
        """Return the variable that carries it."""
        return {ENV_AUDIT: json.dumps(asdict(self))}

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Return the mandate that an environment carries.

        Raises:
            ConfigError: What it carries is none.
        """
        text = environ[ENV_AUDIT]
        try:
            given = parse_json(os.fsencode(text), max_bytes=NOTE_BYTES)
            found = cls(**given)
            if all(each is None or _is_step(each) for each in given.values()):
                return found
        except (ValueError, TypeError, AttributeError):
            pass
        raise ConfigError(
            f"{ENV_AUDIT} is {text!r:.80}.",
            "evertrain audit sets it for the trainings that it starts.",
            f"Start the training without it: unset {ENV_AUDIT}",
        )


def _is_step(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1

"""What the supervisor's loop asks of a ladder, and the answers where there is none.

Layer: supervise. Imports core only.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from evertrain.supervise.attempt import Review
from evertrain.supervise.decide import Restart, Stop
from evertrain.supervise.foreign import Found
from evertrain.supervise.notes import Notes
from evertrain.supervise.report import Record
from evertrain.supervise.task import Task, World

if TYPE_CHECKING:
    from evertrain.supervise.ladder.policy import Policy


class Guide(Protocol):
    """Chooses the setting of each attempt."""

    def introduce(self) -> None:
        """Show what there is to choose from, and take up what a killed supervisor left."""

    def begin(self, attempt: int, found: Found | None) -> str | None:
        """Choose the setting of `attempt`, which begins with `found`.

        Returns:
            What it is, and why, for the banner; None if there is to be no attempt.
        """

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command with the setting in force."""

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return the environment with the setting in force."""

    def review(self) -> Review | None:
        """Return who says when a healthy attempt is to make room for another setting."""

    def ended(self, record: Record) -> None:
        """Learn from the end of an attempt."""

    def overrule(self, record: Record, verdict: Restart | Stop) -> Restart | Stop:
        """Return the verdict on an attempt, seen from here."""

    def conclude(self) -> None:
        """Show what was found out."""


class Ground:
    """No ladder: one setting, the user's own."""

    def introduce(self) -> None:
        """See `Guide.introduce`."""

    def begin(self, attempt: int, found: Found | None) -> str | None:
        """See `Guide.begin`."""
        del attempt, found
        return ""

    def command(self, words: Sequence[str]) -> list[str]:
        """See `Guide.command`."""
        return list(words)

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """See `Guide.environment`."""
        return dict(env)

    def review(self) -> Review | None:
        """See `Guide.review`."""
        return None

    def ended(self, record: Record) -> None:
        """See `Guide.ended`."""

    def overrule(self, record: Record, verdict: Restart | Stop) -> Restart | Stop:
        """See `Guide.overrule`."""
        del record
        return verdict

    def conclude(self) -> None:
        """See `Guide.conclude`."""


def guide_for(task: Task, world: World, notes: Notes, policy: "Policy | None") -> Guide:
    """Return who chooses the settings: nobody, where there is no ladder.

    Args:
        task: What is supervised.
        world: Whose time it is, and where people look.
        notes: Who writes the journal.
        policy: Who decides among the rungs; None is the training's rule.

    Raises:
        ConfigError: The ladder has a fault.
    """
    if not task.options.ladder:
        return Ground()
    from evertrain.supervise.ladder.climber import Climber
    from evertrain.supervise.ladder.file import read_ladder
    from evertrain.supervise.ladder.policy import Online

    ladder = read_ladder(task.options.ladder, task.command)
    return Climber(task, world, notes, ladder, policy or Online())

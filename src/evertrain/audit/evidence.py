"""What the auditor inside a training saw, and what follows from two looks at the same step.

Layer: audit. Imports run and core.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evertrain.core.journal import Row, read_lines
from evertrain.core.rundir import RunDir
from evertrain.run.audited.auditor import NOTES
from evertrain.run.audited.census import Found


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment.

    Attributes:
        at: "begin", "resume" or "save".
        step: The last step that had ended.
        attempt: Who looked.
        found: What was there, by name.
        clocks: Where the program reads a clock; only at the beginning.
        steps: Steps between two saves; only at the beginning.
    """

    at: str
    step: int
    attempt: int
    found: Mapping[str, Found]
    clocks: tuple[str, ...] = ()
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """Something that is not what it should be.

    Attributes:
        thing: What it should be.
        now: What it was instead.
        has_started_over: Whether that is what it was when the training began.
    """

    thing: Found
    now: Found
    has_started_over: bool = False


def read_looks(run: RunDir) -> list[Look]:
    """Return what was seen in a run, oldest first; what does not parse is left out."""
    found = (_look(row) for row in read_lines(run.path / NOTES).rows)
    return [each for each in found if each is not None]


def forgotten(looks: Sequence[Look], step: int) -> list[Suspect]:
    """Return what the resume from `step` did not bring back.

    A value that changes from start to start, such as a time, is none: only what is as it was
    at the beginning has started over. A generator counts either way.
    """
    at = next((i for i, each in enumerate(looks) if (each.at, each.step) == ("resume", step)), None)
    if at is None:
        return []
    after = looks[at]
    saves = [each for each in looks[:at] if (each.at, each.step) == ("save", step)]
    first = next((each for each in looks if each.at == "begin"), None)
    if not saves:
        return []
    begun = first.found if first is not None else {}
    unlike = differing(saves[-1], after)
    suspects = [
        Suspect(was, now, name in begun and begun[name].digest == now.digest)
        for name, was, now in unlike
    ]
    return [each for each in suspects if each.has_started_over or each.thing.kind == "generator"]


def differing(one: Look, two: Look) -> list[tuple[str, Found, Found]]:
    """Return what two looks saw by the same name, and not alike."""
    return [
        (name, mine, two.found[name])
        for name, mine in one.found.items()
        if name in two.found and two.found[name].digest != mine.digest
    ]


def unlike_at_start(one: Sequence[Look], two: Sequence[Look]) -> list[Suspect]:
    """Return what was not alike when two undisturbed trainings began."""
    begun = [next((each for each in looks if each.at == "begin"), None) for looks in (one, two)]
    if begun[0] is None or begun[1] is None:
        return []
    return [Suspect(a, b) for _, a, b in differing(begun[0], begun[1])]


def sets(looks: Sequence[Look]) -> list[Found]:
    """Return the sets whose order is up to the seed of the hashes."""
    found = {
        name: each for look in looks for name, each in look.found.items() if each.kind == "set"
    }
    return list(found.values())


def clocks(looks: Sequence[Look]) -> tuple[str, ...]:
    """Return where the program reads a clock."""
    return next((each.clocks for each in looks if each.at == "begin"), ())


def steps_between_saves(looks: Sequence[Look]) -> int | None:
    """Return how often the training saved, in steps; None if nobody saw it begin."""
    return next((each.steps for each in looks if each.at == "begin"), None)


def _look(row: Row) -> Look | None:
    try:
        found = [Found(*each) for each in row["found"]]
        by_name = {each.name: each for each in found}
        begun = (tuple(row.get("clocks", ())), row.get("steps"))
        return Look(str(row["at"]), int(row["step"]), int(row["attempt"]), by_name, *begun)
    except (KeyError, TypeError, ValueError):
        return None

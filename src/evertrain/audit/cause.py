"""Why two trainings differ: pure rules from what was seen to a sentence.

The first rule that knows something speaks. What cannot be known is not claimed: the last
rules say only what is certain, and where to look.

Layer: audit. Imports its siblings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from evertrain.audit.compare import Difference
from evertrain.audit.evidence import Suspect
from evertrain.run.audited.census import Found

_SHOWN: Final = 3
# What usually is the cause of the others comes first.
_RANKS: Final = ("generator", "optimizer", "scheduler", "iterator", "array", "value")
_RATE: Final = (".lr", "learning_rate")
_GLOBAL: Final = "run.rng"


class Nature(Enum):
    """What it takes for two trainings to differ."""

    RESUME = "resume"  # a kill in between
    HASHES = "hashes"  # another seed of the hashes
    CHANCE = "chance"  # nothing at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that the rules look at.

    Attributes:
        first: The first difference.
        nature: What it takes.
        resumed_at: Step of the last resume before it, or None.
        is_first_save: Whether no checkpoint lies between that resume and the difference.
        forgotten: What that resume did not bring back.
        unlike: What was unlike when two undisturbed trainings began.
        clocks: Where the program reads a clock.
        sets: Its sets whose order is up to the seed of the hashes.
    """

    first: Difference
    nature: Nature
    resumed_at: int | None = None
    is_first_save: bool = False
    forgotten: Sequence[Suspect] = ()
    unlike: Sequence[Suspect] = ()
    clocks: Sequence[str] = ()
    sets: Sequence[Found] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """The likely cause.

    Attributes:
        what: What is wrong.
        fix: What to do about it.
    """

    what: str
    fix: str


Rule = Callable[[Evidence], Cause | None]


def likely_cause(evidence: Evidence) -> Cause:
    """Return what most likely made two trainings differ."""
    for rule in _RULES[evidence.nature]:
        found = rule(evidence)
        if found is not None:
            return found
    raise AssertionError(evidence.nature)  # the last rule of each list always speaks


# ---- only a killed training differs ---------------------------------------------------------


def forgotten_state(evidence: Evidence) -> Cause | None:
    """Something was one thing at the save, and another behind the resume from it."""
    suspects = _ranked(evidence)
    if not suspects:
        return None
    first, others = suspects[0], suspects[1:]
    also = _also([_name(each.thing) for each in others])
    return Cause(_forgot(first, evidence.resumed_at) + also, _attach(first.thing))


def _ranked(evidence: Evidence) -> list[Suspect]:
    """Return the suspects, the likeliest first. A rate that differs is the scheduler's."""
    is_rate = any(name.endswith(_RATE) for name in evidence.first.names)
    ranks = ("scheduler", *_RANKS) if is_rate else _RANKS
    known = [each for each in evidence.forgotten if each.thing.kind in ranks]
    return sorted(known, key=lambda each: ranks.index(each.thing.kind))


def _forgot(suspect: Suspect, step: int | None) -> str:
    was, now = suspect.thing, suspect.now
    how = "started over" if suspect.has_started_over else "was another one"
    state = "" if was.kind == "generator" else f" ({was.text} at the save, {now.text} after it)"
    if was.within is None:
        left_out = "is not attached"
    elif was.name == was.within:
        left_out = "is attached, and yet was not put back"
    else:
        left_out = f"is part of the attached `{was.within}`, but not of what that saves"
    return f"{_name(was)} ({_kind(was)}) {left_out}: it {how} at the resume from step {step}{state}"


def _name(thing: Found) -> str:
    """Return what the program calls a thing: `env.rng` of main()."""
    function, _, name = thing.name.rpartition(": ")
    return f"`{name}` of {function}" if function else f"`{name}`"


def _kind(thing: Found) -> str:
    if thing.kind != "value":
        return thing.type
    return f"{'an' if thing.type[0] in 'aeiou' else 'a'} {thing.type}"


def _attach(thing: Found) -> str:
    name = thing.name.rpartition(": ")[2]
    short = name.rpartition(".")[2]
    if thing.within is not None and thing.name != thing.within:
        return f"Let state_dict and load_state_dict of `{thing.within}` include it, or attach it."
    if thing.kind == "value" and thing.type in {"int", "float", "bool", "str", "NoneType"}:
        return f"Keep it in the run's state: run.state.{short}"
    if thing.kind == "iterator":
        return (
            "Keep what it has read in the run's state, and begin there after a resume; or draw"
            " each batch with an attached generator."
        )
    return f"Attach it before the loop: run.attach({short}={name})"


def global_generator(evidence: Evidence) -> Cause | None:
    """A global generator is not where it was, although every one comes back."""
    first = evidence.first
    if not any(each.startswith(_GLOBAL) for each in first.names):
        return None
    return Cause(
        f"after the resume from step {evidence.resumed_at}, something drew from a global generator"
        f" (`{_next_to(first.names, _GLOBAL)}`) more or less often",
        "Look for what happens only on a start or a restart: a warm-up, a reset, a cache that"
        " is filled anew.",
    )


def other_data(evidence: Evidence) -> Cause | None:
    """All generators agree, and the results do not."""
    if evidence.first.part != "state" or not evidence.is_first_save:
        return None
    return Cause(
        f"the first checkpoint after the resume from step {evidence.resumed_at} differs, and no"
        " generator does: what the loop read was not the same, such as a data loader that"
        " started over, or something that is kept nowhere",
        "Keep the position in the data in run.state, and begin there after a resume.",
    )


def lost_metric(evidence: Evidence) -> Cause | None:
    """The state agrees, and a metric does not."""
    if evidence.first.part != "metrics":
        return None
    return Cause(
        f"every checkpoint is equal; `{evidence.first.path}` is computed from something that a"
        " resume does not bring back",
        "Keep what it is computed from in run.state, or do not log it.",
    )


def unknown_resume(evidence: Evidence) -> Cause:
    """Only the killed training differs; nobody knows why."""
    step = evidence.resumed_at
    since = "before its first resume" if step is None else f"after the resume from step {step}"
    return Cause(
        f"only the killed training differs, {since}: something that the program keeps outside"
        " the checkpoint",
        "Compare what the loop uses with what is attached and in run.state.",
    )


# ---- another seed of the hashes makes it differ ---------------------------------------------


def hash_order(evidence: Evidence) -> Cause:
    """A set, or a hash, decides."""
    names = [f"{_name(each)} ({each.text})" for each in evidence.sets]
    where = f": {_listed(names)}" if names else ""
    return Cause(
        "two undisturbed trainings differ if only PYTHONHASHSEED does, so it is not the resume:"
        f" something goes through a set in the order of its hashes, or uses hash(){where}",
        "Go through sorted(...) instead, or fix the order: env PYTHONHASHSEED=0 COMMAND",
    )


# ---- nothing makes it differ ----------------------------------------------------------------


def unseeded(evidence: Evidence) -> Cause | None:
    """A generator begins elsewhere each time."""
    names = [_name(each.thing) for each in evidence.unlike if each.thing.kind == "generator"]
    if not names:
        return None
    return Cause(
        "two undisturbed trainings differ, so it is not the resume:"
        f" {_listed(names)} begins in another state each time",
        "Give it a seed.",
    )


def wall_clock(evidence: Evidence) -> Cause | None:
    """The program reads the time."""
    if not evidence.clocks:
        return None
    return Cause(
        "two undisturbed trainings differ, so it is not the resume; the program reads the wall"
        f" clock: {_listed(list(evidence.clocks))}",
        "Let the loop depend on steps, not on time; log times as metrics, not as state.",
    )


def chance(evidence: Evidence) -> Cause:
    """Something outside the program decides."""
    names = [_name(each.thing) for each in evidence.unlike]
    unlike = f" ({_listed(names)} differed when they began)" if names else ""
    return Cause(
        "two undisturbed trainings with the same seeds differ, so it is not the resume: threads,"
        f" kernels that are not deterministic, a clock, or input from outside decides{unlike}",
        "Make it repeat itself first: OMP_NUM_THREADS=1, torch.use_deterministic_algorithms(True),"
        " seeds for everything.",
    )


_RULES: Final[dict[Nature, tuple[Rule, ...]]] = {
    Nature.RESUME: (forgotten_state, lost_metric, global_generator, other_data, unknown_resume),
    Nature.HASHES: (hash_order,),
    Nature.CHANCE: (unseeded, wall_clock, chance),
}


def _next_to(names: Sequence[str], start: str) -> str:
    return next(each for each in names if each.startswith(start))


def _also(names: list[str]) -> str:
    return f"; so did {_listed(names)}" if names else ""


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"

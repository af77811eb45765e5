"""Checkpoints of programs that never heard of evertrain: the newest one that is whole.

Layer: supervise. Imports core only.
"""

import glob
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from evertrain.core.errors import ConfigError, NotFoundError
from evertrain.supervise.options import GOES_ON
from evertrain.supervise.wholeness import problem_of

_WORD: Final = (
    r"((?:time|train)?steps?|iter(?:ation)?s?|updates?|episodes?|epochs?|ep|ckpt|checkpoint)"
)
_NUMBER: Final = r"((?<![\d.])\d+(?!\.?\d))"  # no part of 0.25
_AFTER_WORD: Final = re.compile(rf"{_WORD}[-_= ]?{_NUMBER}", re.IGNORECASE)
_BEFORE_WORD: Final = re.compile(rf"{_NUMBER}[-_ ]?{_WORD}", re.IGNORECASE)
_SUFFIX: Final = re.compile(r"\.[A-Za-z]\w*$")


@dataclass(frozen=True, slots=True)
class Found:
    """One checkpoint on disk.

    Attributes:
        path: As the glob gave it.
        step: Number in its name, or None.
        changed_at_s: Unix time of its last change, seconds.
    """

    path: Path
    step: int | None
    changed_at_s: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What to resume from.

    Attributes:
        found: The newest whole checkpoint, or None.
        skipped: Newer ones that are not whole, newest first, each with what is wrong.
        abandoned: Those of a branch that was left by a rewind, oldest first.
    """

    found: Found | None
    skipped: tuple[tuple[Path, str], ...] = ()
    abandoned: tuple[Path, ...] = ()


# From what lies there, oldest first, to what counts and what is abandoned.
Split = Callable[[Sequence[Found]], tuple[list[Found], list[Found]]]


def all_count(found: Sequence[Found]) -> tuple[list[Found], list[Found]]:
    """Abandon nothing: the `Split` of a program that was never sent back."""
    return list(found), []


def step_in(name: str) -> int | None:
    """Return the step in a file name: after "step", "ep" and the like, or the last number."""
    stem = _SUFFIX.sub("", name)
    after = [(word, int(number)) for word, number in _AFTER_WORD.findall(stem)]
    before = [(word, int(number)) for number, word in _BEFORE_WORD.findall(stem)]
    named = after or before
    by_step = [number for word, number in named if "step" in word.lower()]
    by_word = [number for _, number in named]
    numbers = by_step or by_word or [int(number) for number in re.findall(_NUMBER, stem)]
    return numbers[-1] if numbers else None


def list_found(pattern: str) -> list[Found]:
    """Return what matches `pattern`, oldest first.

    By the step in the name if every name has one, else by time of change.

    Args:
        pattern: Glob, absolute or relative to the working directory; `**` matches directories.
    """
    found: list[Found] = []
    for name in glob.glob(str(Path(pattern).expanduser()), recursive=True):  # noqa: PTH207
        found += found_at(Path(name))
    if all(each.step is not None for each in found):
        return sorted(found, key=lambda each: (each.step, each.changed_at_s))
    return sorted(found, key=lambda each: each.changed_at_s)


def found_at(path: Path) -> list[Found]:
    """Return what lies at `path`; nothing if it was removed, or is a link to nowhere."""
    try:
        return [Found(path, step_in(path.name), path.stat().st_mtime)]
    except OSError:
        return []


def choose(
    pattern: str,
    resume: str = "auto",
    *,
    split: Split = all_count,
    template: str | None = None,
) -> Choice:
    """Return the checkpoint that `resume` means among what matches `pattern`.

    Args:
        pattern: Glob, see `list_found`.
        resume: "auto" or "latest" for the newest whole one, "must" to insist on one,
            "never" for none, a step, or a path.
        split: Which of them count for the newest. What is asked for by name always does.
        template: How one is handed over, see `resume_arguments`: what cannot be is passed over.

    Raises:
        NotFoundError: There is none, and `resume` insists.
        ConfigError: `resume` names a damaged one, or means nothing here.
    """
    if resume == "never":
        return Choice(None)
    if resume in GOES_ON:
        counting, abandoned = split(list_found(pattern))
        choice = _newest(counting, template)
        choice = replace(choice, abandoned=tuple(each.path for each in abandoned))
        if choice.found is None and resume == "must":
            raise _not_found(pattern, "no whole checkpoint", choice)
        return choice
    if resume.isascii() and resume.isdecimal():
        found = [each for each in list_found(pattern) if each.step == int(resume)]
    else:
        found = found_at(Path(resume))
    if not found:
        raise _not_found(pattern, f"no checkpoint {resume!r}", Choice(None))
    problem = problem_of(found[-1].path)
    if problem is not None:
        raise ConfigError(
            f"{found[-1].path} is not whole: {problem}.",
            "resuming from it would crash, or train on garbage.",
            "Take the newest whole one: --resume auto",
        )
    return Choice(found[-1])


def before_newest(pattern: str, split: Split, template: str | None = None) -> Found | None:
    """Return the whole checkpoint before the newest one, or None."""
    newest = choose(pattern, split=split, template=template).found
    if newest is None:
        return None

    def older(found: Sequence[Found]) -> tuple[list[Found], list[Found]]:
        counting, abandoned = split(found)
        place = next((i for i, each in enumerate(counting) if each.path == newest.path), 0)
        return counting[:place], abandoned

    return choose(pattern, split=older, template=template).found


def resume_arguments(template: str | None, found: Found | None) -> list[str]:
    """Return the arguments that `template` means for `found`; spaces in a path are kept.

    None without one of them.

    Raises:
        ConfigError: It wants `{step}`, and the name of `found` has no number.
    """
    if template is None or found is None:
        return []
    if "{step}" in template and found.step is None:
        raise ConfigError(
            f"--resume-arg wants {{step}}, but there is no number in {found.path.name!r}.",
            "the step is read from the file's name.",
            "Use {path} instead, or save files with the step in their names.",
        )
    return [
        each.replace("{path}", str(found.path)).replace("{step}", str(found.step))
        for each in shlex.split(template)
    ]


def _newest(found: list[Found], template: str | None) -> Choice:
    skipped: list[tuple[Path, str]] = []
    for each in reversed(found):
        problem = _why_not(each, template)
        if problem is None:
            return Choice(each, tuple(skipped))
        skipped.append((each.path, problem))
    return Choice(None, tuple(skipped))


def _why_not(found: Found, template: str | None) -> str | None:
    """Return why a checkpoint cannot be handed over, or None if it can."""
    if found.step is None and template is not None and "{step}" in template:
        return "no number in its name, and --resume-arg wants {step}"
    return problem_of(found.path)


def _not_found(pattern: str, what: str, choice: Choice) -> NotFoundError:
    damaged = "".join(f" {path} is not whole: {problem}." for path, problem in choice.skipped)
    return NotFoundError(
        f"there is {what} among {pattern!r}.{damaged}",
        "--resume insists on it.",
        "Use --resume auto to start fresh where there is none, or correct --checkpoints.",
    )

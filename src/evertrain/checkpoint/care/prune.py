"""Removing checkpoints of a run, by rule or by name, so that they can come back.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from evertrain.checkpoint import trash
from evertrain.checkpoint.care.anchor import (
    Anchor,
    delete,
    discard,
    find_anchor,
    has_moved_on,
    standstill,
    until_settled,
)
from evertrain.checkpoint.catalog import Catalog, pinned_names, step_names
from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.keep import Keep, Verdict, verdicts
from evertrain.checkpoint.share import freed
from evertrain.core.errors import CorruptError, EvertrainError, NotFoundError
from evertrain.core.journal import Journal
from evertrain.core.layout import check_link
from evertrain.core.rundir import RunDir, step_name

_TOOLS: Final = Tools()


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a rule did, or would do.

    Attributes:
        found: The checkpoints that there were, oldest first.
        verdicts: What happened to each, in the same order.
        freed_bytes: What the removed ones alone held on the disk.
    """

    found: list[CheckpointInfo]
    verdicts: list[Verdict]
    freed_bytes: int

    @property
    def removed(self) -> list[CheckpointInfo]:
        """The ones that no rule keeps."""
        pairs = zip(self.found, self.verdicts, strict=True)
        return [info for info, verdict in pairs if not verdict.is_kept]


def prune(
    run_dir: RunDir,
    keep: Keep,
    *,
    grace_s: float = trash.GRACE_S,
    is_dry: bool = False,
    tools: Tools = _TOOLS,
) -> Pruned:
    """Move what the rule `keep` does not keep to the trash.

    The newest checkpoint that reads back whole, anything newer, the pinned
    ones, and the one that a live attempt resumed from stay whatever it says.

    Args:
        run_dir: The run; it may be training.
        keep: The rule.
        grace_s: How long the removed ones can come back, seconds; 0 deletes them.
        is_dry: Only say what would happen.
        tools: Disk and clock.

    Raises:
        ConfigError: `checkpoints` is a link to what is not the run's own.
        CorruptError: There are checkpoints, and none of them is whole.
        LockedError: An attempt is just beginning, and has not said from where.
        OSError: The disk refused.

    Durability:
        Killed anywhere, each checkpoint is whole in its place or in the trash.
    """
    root = run_dir.checkpoints
    check_link(root)
    if not is_dry:
        trash.empty(root / trash.TRASH, tools)

    def attempt() -> Pruned | None:
        found = Catalog(root).infos()
        if not found:
            return Pruned([], [], 0)
        anchor = find_anchor(found)
        if anchor is None:
            if has_moved_on(found):
                return None
            raise _none_whole(run_dir)
        with standstill(run_dir, is_dry=is_dry) as base:
            if not anchor.is_there():
                return None
            found = Catalog(root).infos()
            judged = verdicts(found, keep, _guarded(found, anchor, base))
            doomed = [each.step for each in judged if not each.is_kept]
            gain = freed([info.path for info in found if info.step in doomed])
            moved = [] if is_dry else discard(run_dir, doomed, grace_s, tools)
        if moved:
            Journal(run_dir.journal, fs=tools.fs, clock=tools.clock).record(
                "pruned", must=False, steps=doomed
            )
        delete(moved, grace_s, tools)
        return Pruned(found, judged, gain.bytes)

    return until_settled(run_dir, attempt)


def remove(  # noqa: PLR0913
    run_dir: RunDir,
    steps: Collection[int],
    *,
    is_forced: bool = False,
    grace_s: float = trash.GRACE_S,
    is_dry: bool = False,
    tools: Tools = _TOOLS,
) -> list[int]:
    """Move the checkpoints of `steps`, damaged ones too, to the trash; return their steps.

    Args:
        run_dir: The run; it may be training.
        steps: Which ones.
        is_forced: Whether also pinned ones may go, that which a live attempt resumed
            from, and the last whole one of the run.
        grace_s: How long they can come back, seconds; 0 deletes them.
        is_dry: Only look whether it may be done.
        tools: Disk and clock.

    Raises:
        ConfigError: `checkpoints` is a link to what is not the run's own.
        NotFoundError: One of them is not there.
        EvertrainError: One of them must stay, and `is_forced` is false.
        LockedError: An attempt is just beginning, and has not said from where.
        OSError: The disk refused.

    Durability:
        As `prune`.
    """
    root = run_dir.checkpoints
    check_link(root)

    def attempt() -> list[int] | None:
        _require(run_dir, steps)
        left = [info for info in Catalog(root).infos() if info.step not in steps]
        anchor = None if is_forced else find_anchor(left)
        with standstill(run_dir, is_dry=is_dry) as base:
            _require(run_dir, steps)
            if not is_forced:
                _refuse_pinned(run_dir, steps, base)
                if anchor is None:
                    if has_moved_on(left):
                        return None
                    raise _last(run_dir)
                if not anchor.is_there():
                    return None
            moved = [] if is_dry else discard(run_dir, steps, grace_s, tools)
        if moved:
            Journal(run_dir.journal, fs=tools.fs, clock=tools.clock).record(
                "removed", must=False, steps=sorted(steps)
            )
        delete(moved, grace_s, tools)
        return sorted(steps)

    return until_settled(run_dir, attempt)


def _guarded(found: Sequence[CheckpointInfo], anchor: Anchor, base: int | None) -> dict[int, str]:
    """Return what must stay, each with the reason."""
    newer = [info.step for info in found if info.step > anchor.info.step]
    reasons = {step: "not whole" if step in anchor.damaged else "newer" for step in newer}
    reasons[anchor.info.step] = "newest whole"
    if base is not None and base not in reasons:
        reasons[base] = "resumed from"
    return reasons


def _require(run_dir: RunDir, steps: Collection[int]) -> None:
    names = step_names(run_dir.checkpoints)
    missing = [step for step in sorted(steps) if step_name(step) not in names]
    if missing:
        raise NotFoundError(
            f"{run_dir.path} has no checkpoint of step {missing[0]}.",
            "it was never saved, or it is gone already.",
            f"List what there is with: evertrain ls {run_dir.path}",
        )


def _refuse_pinned(run_dir: RunDir, steps: Collection[int], base: int | None) -> None:
    pins = pinned_names(run_dir.checkpoints)
    for step in sorted(steps):
        is_base = step == base
        if is_base or step_name(step) in pins:
            raise EvertrainError(
                f"the checkpoint {step} of {run_dir.path} "
                f"{'is what the live training resumed from' if is_base else 'is pinned'}.",
                "somebody counts on it." if not is_base else "going back to it may be wanted.",
                f"If you mean it: evertrain rm --force {run_dir.path}@{step}",
            )


def _last(run_dir: RunDir) -> EvertrainError:
    return EvertrainError(
        f"{run_dir.path} would be left without a checkpoint that is whole.",
        "there would be nothing to resume from.",
        "If you mean it: --force; to remove the whole run: evertrain rm RUN",
    )


def _none_whole(run_dir: RunDir) -> CorruptError:
    return CorruptError(
        f"no checkpoint of {run_dir.path} reads back whole.",
        "whichever is removed might be the one that can still be repaired.",
        f"See what is wrong with: evertrain verify {run_dir.path}",
    )

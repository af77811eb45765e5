"""Where two runs first differ: every checkpoint of the same step, leaf by leaf, then the metrics.

Every byte is read back first, so equal digests are equal bits. One array at a time is looked
into, and only where it differs.

Layer: audit. Imports monitor, checkpoint and core.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from evertrain.audit.leaves import Leaf, leaves
from evertrain.checkpoint.catalog import step_names
from evertrain.checkpoint.directory import opened
from evertrain.checkpoint.manifest import Manifest
from evertrain.checkpoint.read import map_array, read_manifest
from evertrain.checkpoint.store import Store
from evertrain.core.errors import CorruptError
from evertrain.core.journal import Row
from evertrain.core.rundir import RunDir, step_name
from evertrain.monitor.metrics import NOT_METRICS, read_metrics

_ABSENT: Final = "(nothing)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first thing in which two runs differ.

    Attributes:
        step: Step of the checkpoint, or of the row of metrics.
        part: "state", "metrics", or "checkpoints" where one run has none of this step.
        path: The leaf or metric, as a person writes it.
        one: What the first run has there.
        two: What the second one has.
        detail: More about two arrays, or "".
        others: How many other leaves or metrics of this step differ.
        equal: How many are equal.
        names: All leaves or metrics of this step that differ, this one first.
    """

    step: int
    part: str
    path: str
    one: str
    two: str
    detail: str = ""
    others: int = 0
    equal: int = 0
    names: tuple[str, ...] = ()


def first_difference(
    one: RunDir,
    two: RunDir,
    *,
    through: int | None = None,
    ignoring: Collection[str] = (),
) -> Difference | None:
    """Return the earliest difference of two runs, or None if all is bit for bit the same.

    Args:
        one: The undisturbed run.
        two: The other one.
        through: Last step to compare; None compares all, and the metrics, too.
        ignoring: Metrics that do not count.

    Raises:
        CorruptError: A checkpoint is not what was written.
    """
    for each in (one, two):
        check_whole(each)
    steps = sorted(_steps(one) | _steps(two))
    for step in steps:
        if through is not None and step > through:
            return None
        found = _at(step, one, two)
        if found is not None:
            return found
    if through is not None:
        return None
    return first_metric(read_metrics(one), read_metrics(two), ignoring)


def check_whole(run: RunDir) -> None:
    """Read every byte of a run's checkpoints back.

    Raises:
        CorruptError: Something is not what was written.
    """
    faults = Store(run.checkpoints).verify()
    if faults:
        raise CorruptError(
            f"{faults[0].path}: {faults[0].problem}.",
            "a checkpoint of the audit is damaged, and cannot be compared.",
            "Examine the disk: evertrain doctor; then audit again.",
        )


def manifest_of(run: RunDir, step: int) -> Manifest:
    """Return what the checkpoint of `step` says about itself.

    Raises:
        CorruptError: It is damaged.
    """
    with opened(run.checkpoints / step_name(step)) as directory:
        return read_manifest(directory)


def first_metric(
    one: Sequence[Row], two: Sequence[Row], ignoring: Collection[str] = ()
) -> Difference | None:
    """Return the first difference of two runs' live rows, apart from time and attempt."""
    mine, other = _by_step(one, ignoring), _by_step(two, ignoring)
    for step in sorted(mine.keys() | other.keys()):
        a, b = mine.get(step, {}), other.get(step, {})
        differing = [name for name in {**a, **b} if _value(a, name) != _value(b, name)]
        if differing:
            name = differing[0]
            return Difference(
                step=int(step),
                part="metrics",
                path=name,
                one=_value(a, name),
                two=_value(b, name),
                others=len(differing) - 1,
                equal=len({**a, **b}) - len(differing),
                names=tuple(differing),
            )
    return None


def unstable_metrics(one: Sequence[Row], two: Sequence[Row]) -> frozenset[str]:
    """Return the metrics that differ anywhere between two runs."""
    found: set[str] = set()
    while (difference := first_metric(one, two, found)) is not None:
        found.update(difference.names)
    return frozenset(found)


def _at(step: int, one: RunDir, two: RunDir) -> Difference | None:
    """Compare the checkpoints of one step."""
    has = [step in _steps(each) for each in (one, two)]
    if not all(has):
        a, b = ("saved" if each else "not saved" for each in has)
        return Difference(step=step, part="checkpoints", path=step_name(step), one=a, two=b)
    mine, other = (leaves(manifest_of(each, step)) for each in (one, two))
    differing = differing_leaves(mine, other)
    if not differing:
        return None
    a_leaf, b_leaf = differing[0]
    a, b, detail = _values(step, (one, a_leaf), (two, b_leaf))
    return Difference(
        step=step,
        part="state",
        path=_path(differing[0]),
        one=a,
        two=b,
        detail=detail,
        others=len(differing) - 1,
        equal=max(len(mine), len(other)) - len(differing),
        names=tuple(_path(each) for each in differing),
    )


Pair = tuple[Leaf | None, Leaf | None]


def differing_leaves(one: Sequence[Leaf], two: Sequence[Leaf]) -> list[Pair]:
    """Return the leaves that differ, in the order of the first state; a missing one is None.

    Where all are equal and only their order is not, it is the first that stands elsewhere.
    """
    mine, other = ({each.path: each for each in found} for found in (one, two))
    found: list[Pair] = []
    for path in [*mine, *(path for path in other if path not in mine)]:
        a, b = mine.get(path), other.get(path)
        if a is None or b is None or a.content != b.content:
            found.append((a, b))
    if found:
        return found
    elsewhere = ((a, b) for a, b in zip(one, two, strict=False) if a.path != b.path)
    return [*islice(elsewhere, 1)]


def _values(
    step: int, one: tuple[RunDir, Leaf | None], two: tuple[RunDir, Leaf | None]
) -> tuple[str, str, str]:
    """Return what two runs have at a leaf, and how their arrays differ."""
    (_, a), (_, b) = one, two
    if a is None or b is None:
        return _ABSENT if a is None else a.text, _ABSENT if b is None else b.text, ""
    if a.path != b.path:
        return f"{a.path} comes here", f"{b.path} comes here", "the keys have another order"
    if isinstance(a.value, list) and isinstance(b.value, list) and a.text == b.text:
        return _row_values(a, b)
    if a.array is None or b.array is None or a.text != b.text:
        return a.text, b.text, "" if a.within == b.within else _kinds(a, b)
    return _array_values(step, (one[0], a), (two[0], b))


def _row_values(a: Leaf, b: Leaf) -> tuple[str, str, str]:
    pairs = enumerate(zip(a.value, b.value, strict=True))
    unlike = [(index, x, y) for index, (x, y) in pairs if repr(x) != repr(y)]
    if not unlike:
        return a.text, b.text, _kinds(a, b)
    index, x, y = unlike[0]
    detail = f"{len(unlike):,} of {a.text} differ"
    return f"{x!r} at [{index}]", f"{y!r} at [{index}]", detail


def _array_values(
    step: int, one: tuple[RunDir, Leaf], two: tuple[RunDir, Leaf]
) -> tuple[str, str, str]:
    from evertrain.audit.arrays import unlike

    raws = []
    for run, leaf in (one, two):
        with opened(run.checkpoints / step_name(step)) as directory:
            raws.append(map_array(directory, read_manifest(directory), leaf.name, leaf.key))
    leaf = one[1]
    found = unlike(leaf, raws[0], raws[1])
    if found is None:
        return leaf.text, two[1].text, _kinds(leaf, two[1])
    at = f" at {list(found.index)}" if found.index else ""
    by = "" if found.largest is None else f", by at most {found.largest:.3g}"
    detail = f"{leaf.text}: {found.count:,} of {found.size:,} elements differ{by}"
    return found.one + at, found.two + at, detail


def _kinds(one: Leaf, two: Leaf) -> str:
    """Say what two leaves of the same bits are made of."""
    kinds = [(*each.within, str(each.value)) for each in (one, two)]
    unlike = [(a, b) for a, b in zip(*kinds, strict=False) if a != b]
    return f"{unlike[0][0]} there, {unlike[0][1]} here" if unlike else "another structure"


def _path(pair: Pair) -> str:
    leaf = pair[0] or pair[1]
    return "" if leaf is None else leaf.path


def _steps(run: RunDir) -> set[int]:
    return {int(name) for name in step_names(run.checkpoints)}


def _by_step(rows: Sequence[Row], ignoring: Collection[str]) -> dict[float, dict[str, Any]]:
    left_out = {*NOT_METRICS, *ignoring}
    return {
        row["step"]: {key: value for key, value in row.items() if key not in left_out}
        for row in rows
    }


def _value(row: Mapping[str, Any], name: str) -> str:
    return repr(row[name]) if name in row else _ABSENT

"""Learning curves as a PNG: what was learned, and where the run was interrupted.

Small multiples of the live rows. Drawn with matplotlib's object interface on
the Agg canvas: no window, no global state, safe in any thread or child process.

Layer: monitor. Imports core only; matplotlib is the extra `plot`.
"""

import difflib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evertrain.core.errors import MissingExtraError, NotFoundError, UsageError
from evertrain.core.fs import LOCAL_FS, Fs, write_atomic
from evertrain.core.journal import Row, read_lines
from evertrain.core.rundir import RunDir, read_identity
from evertrain.monitor.metrics import live_events, read_metrics, series

_MAX_PANELS: Final = 12
_MAX_POINTS: Final = 4_000
_PANEL_INCHES: Final = (4.6, 2.7)
_DPI: Final = 130

_CHARACTER: Final = 0.0185  # width of a letter of a stage's name, as a part of the panel's

_CURVE: Final = "#1f6f9f"
_RESTART: Final = "#c1443c"
_STAGE: Final = "#6b6f76"
_INK: Final = "#24292f"
_FAINT_INK: Final = "#6e7781"

Curve = tuple[list[float], list[float]]


@dataclass(frozen=True, slots=True)
class Marks:
    """Where something happened on the step axis.

    Attributes:
        restarts: Steps at which a later attempt resumed.
        stages: Step and name of each stage's start.
    """

    restarts: tuple[float, ...] = ()
    stages: tuple[tuple[float, str], ...] = ()


def learning_curves(
    run_dir: RunDir | Path,
    out: Path,
    metrics: Sequence[str] | None = None,
    *,
    fs: Fs = LOCAL_FS,
) -> Path:
    """Draw a run's metrics over its steps into the PNG `out`, and return `out`.

    Each metric has a panel: the raw values faint, their moving average on top,
    values that are not finite as crosses at the bottom. Vertical rules show
    restarts and stages.

    Args:
        run_dir: The run.
        out: PNG file; its directory is created.
        metrics: Names, in order; None draws the first dozen in the order of the log.
        fs: Disk to write to.

    Raises:
        MissingExtraError: matplotlib is not installed.
        NotFoundError: The run has logged nothing yet.
        UsageError: It has no metric of that name.

    Durability:
        As `write_atomic`: nobody ever sees half a picture.
    """
    where = run_dir if isinstance(run_dir, RunDir) else RunDir(run_dir)
    curves = _chosen(series(read_metrics(where)), metrics, where)
    identity = read_identity(where)
    picture = _draw(
        curves,
        marks_of(read_lines(where.journal).rows),
        title=where.path.absolute().name,
        unit=identity.unit if identity else "step",
    )
    fs.mkdir(out.parent)
    write_atomic(out, picture, fs=fs)
    return out


def marks_of(journal_rows: Sequence[Row]) -> Marks:
    """Return the live restarts and stage starts of a journal. Pure."""
    restarts = {row["step"] for row in live_events(journal_rows, "resumed") if row["step"] > 0}
    stages: dict[str, float] = {}
    for row in live_events(journal_rows, "stage_started"):
        stages.setdefault(str(row.get("stage", "")), row["step"])
    named = sorted((step, name) for name, step in stages.items())
    return Marks(tuple(sorted(restarts)), tuple(named))


def smooth(values: Sequence[float], span: float) -> list[float]:
    """Return the exponential moving average over about `span` values, without start-up bias.

    A value that is not finite leaves the average as it is. Pure.
    """
    keep = 1.0 - 2.0 / (span + 1.0)
    total = weight = 0.0
    found: list[float] = []
    for value in values:
        if math.isfinite(value):
            total = keep * total + value
            weight = keep * weight + 1.0
        found.append(total / weight if weight else math.nan)
    return found


def thin(curve: Curve, most: int = _MAX_POINTS) -> Curve:
    """Return a curve of at most `most` points that keeps every peak: the extremes of buckets."""
    steps, values = curve
    if len(steps) <= most:
        return curve
    size = math.ceil(len(steps) / (most // 2))
    kept: list[int] = []
    for start in range(0, len(steps), size):
        bucket = range(start, min(start + size, len(steps)))
        low = min(bucket, key=values.__getitem__)
        high = max(bucket, key=values.__getitem__)
        kept += sorted({low, high})
    return [steps[index] for index in kept], [values[index] for index in kept]


def _chosen(
    curves: Mapping[str, Curve], wanted: Sequence[str] | None, run_dir: RunDir
) -> dict[str, Curve]:
    if not curves:
        raise NotFoundError(
            f"{run_dir.path} has no metrics to draw.",
            f"{run_dir.metrics} holds no live row with a number.",
            "Log some in the loop: run.log(reward=...)",
        )
    if wanted is None:
        return dict(list(curves.items())[:_MAX_PANELS])
    for name in wanted:
        if name not in curves:
            near = difflib.get_close_matches(name, curves, n=1)
            raise UsageError(
                f"{run_dir.path} has no metric {name!r}.",
                f"it has: {', '.join(curves)}.",
                f"Did you mean {near[0]!r}?" if near else "Name one of these.",
            )
    return {name: curves[name] for name in wanted}


def _draw(curves: Mapping[str, Curve], marks: Marks, *, title: str, unit: str) -> bytes:
    figure_class = _figure_class()
    columns = 1 if len(curves) == 1 else 2 if len(curves) <= 4 else 3  # noqa: PLR2004
    rows = math.ceil(len(curves) / columns)
    width, height = _PANEL_INCHES
    size = (max(width * columns, 6.4), height * rows + 0.9)
    figure = figure_class(figsize=size, dpi=_DPI, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold", color=_INK)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).flatten()
    for index, (panel, (name, curve)) in enumerate(zip(panels, curves.items(), strict=False)):
        _panel(panel, name, curve, marks)
        panel.tick_params(labelbottom=index + columns >= len(curves))
        if index + columns >= len(curves):
            panel.set_xlabel(unit, fontsize=9, color=_FAINT_INK)
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    _legend(figure, panels[0])
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _panel(panel: Any, name: str, curve: Curve, marks: Marks) -> None:
    _dress(panel, name, curve)
    _rules(panel, _fitting(marks, curve[0]))
    steps, values = curve
    finite = [(step, value) for step, value in zip(steps, values, strict=True) if _ok(value)]
    is_short = len(finite) < 25  # noqa: PLR2004
    if finite:
        xs, ys = map(list, zip(*finite, strict=True))
        faint = thin((xs, ys))
        alpha, width = (0.9, 1.5) if is_short else (0.28, 0.8)
        label = "value" if is_short else "raw"
        panel.plot(*faint, color=_CURVE, alpha=alpha, linewidth=width, label=label, zorder=3)
        if not is_short:
            span = min(max(len(ys) / 40, 5.0), 500.0)
            line = thin((xs, smooth(ys, span)))
            panel.plot(*line, color=_CURVE, linewidth=1.7, label="moving average", zorder=4)
    odd = [step for step, value in zip(steps, values, strict=True) if not _ok(value)]
    if odd:
        panel.plot(
            odd,
            [0.03] * len(odd),
            "x",
            transform=panel.get_xaxis_transform(),
            color=_RESTART,
            markersize=5,
            label="not finite",
            zorder=5,
            clip_on=False,
        )


def _dress(panel: Any, name: str, curve: Curve) -> None:
    last = curve[1][-1]
    panel.set_title(name, loc="left", fontsize=10, fontweight="bold", color=_INK, pad=6)
    shown = f"last {last:.4g}" if _ok(last) else f"last {last}"
    panel.set_title(shown, loc="right", fontsize=9, color=_CURVE if _ok(last) else _RESTART, pad=6)
    panel.grid(visible=True, axis="y", color="#e6e8eb", linewidth=0.7, zorder=0)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color("#c9ced4")
    panel.tick_params(labelsize=8, colors=_FAINT_INK, length=3, color="#c9ced4")
    panel.margins(x=0.02, y=0.14)
    panel.xaxis.set_major_formatter(_step_label)
    panel.xaxis.get_major_locator().set_params(nbins=6, integer=True)


def _rules(panel: Any, marks: Marks) -> None:
    alpha = 0.75 if len(marks.restarts) <= 20 else 0.3  # noqa: PLR2004
    for index, step in enumerate(marks.restarts):
        label = "restart" if index == 0 else "_"
        style = {"linestyle": (0, (3, 2)), "linewidth": 0.9, "zorder": 2}
        panel.axvline(step, color=_RESTART, alpha=alpha, label=label, **style)
    for step, name in marks.stages:
        panel.axvline(step, color=_STAGE, linewidth=0.9, alpha=0.4, zorder=1)
        panel.annotate(
            name,
            (step, 1.0),
            xycoords=panel.get_xaxis_transform(),
            xytext=(3, -2),
            textcoords="offset points",
            ha="left",
            va="top",
            fontsize=6.5,
            color=_STAGE,
            zorder=6,
            bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.8},
        )


def _fitting(marks: Marks, steps: Sequence[float]) -> Marks:
    """Cut the stages' names to the room that each has before the next one."""
    low, high = min(steps), max(steps)
    ends = [*(step for step, _ in marks.stages[1:]), high]
    cut = []
    for (step, name), end in zip(marks.stages, ends, strict=False):
        room = (end - max(step, low)) / max(high - low, 1e-9) / _CHARACTER
        cut.append((step, _cut(name, int(room))))
    return Marks(marks.restarts, tuple(cut))


def _cut(name: str, room: int) -> str:
    return name if len(name) <= room else f"{name[: room - 2]}.." if room >= 4 else ""  # noqa: PLR2004


def _legend(figure: Any, panel: Any) -> None:
    """Put one legend for all panels at the top right, beside the title."""
    handles, labels = panel.get_legend_handles_labels()
    if labels not in ([], ["value"]):
        figure.legend(
            handles,
            labels,
            loc="upper right",
            ncols=len(labels),
            frameon=False,
            fontsize=8,
            labelcolor=_FAINT_INK,
            handlelength=1.6,
        )


def _step_label(value: float, _position: int | None = None) -> str:
    """Return 1500 as "1.5 k" and 1400000 as "1.4 M"."""
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size and abs(value) >= 10_000:  # noqa: PLR2004
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def _ok(value: float) -> bool:
    return math.isfinite(value)


def _figure_class() -> Any:
    """Return matplotlib's `Figure`; on its own it draws with Agg and knows no window.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "matplotlib is not installed.",
            "plots are optional and drawn with it.",
            "pip install 'evertrain[plot]'",
        ) from error
    return Figure

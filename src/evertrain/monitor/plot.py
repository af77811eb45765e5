"""Curves as a PNG: what was learned, and where the run was interrupted.

Small multiples of the live rows, or panels that somebody else has put together.
Drawn with matplotlib's object interface on the Agg canvas: no window, no global
state, safe in any thread or child process.

Layer: monitor. Imports core only; matplotlib is the extra `plot`.
"""

import difflib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from evertrain.core.errors import MissingExtraError, NotFoundError, UsageError
from evertrain.core.fs import LOCAL_FS, Fs, write_atomic
from evertrain.core.journal import read_lines
from evertrain.core.rundir import RunDir, read_identity
from evertrain.monitor.curve import Curve, Marks, fitting, marks_of, smooth, step_label, thin
from evertrain.monitor.metrics import read_metrics, series

_MAX_PANELS: Final = 12
_PANEL_INCHES: Final = (4.6, 2.7)
_DPI: Final = 130


_CURVES: Final = ("#1f6f9f", "#d9822b", "#3b7d4f", "#7a5195")
_RESTART: Final = "#c1443c"
_STAGE: Final = "#6b6f76"
_INK: Final = "#24292f"
_FAINT_INK: Final = "#6e7781"
_WORDS: Final[Mapping[str, Any]] = {
    "va": "top",
    "family": "monospace",
    "fontsize": 9,
    "linespacing": 1.5,
    "color": _INK,
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the small pictures.

    Attributes:
        title: What stands above it.
        curves: Steps and values, by label; without any there is only the text.
        text: Lines in place of curves.
    """

    title: str
    curves: Mapping[str, Curve] = field(default_factory=dict)
    text: str = ""


def learning_curves(
    run_dir: RunDir | Path | str,
    out: Path | str,
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
    where, out = run_dir if isinstance(run_dir, RunDir) else RunDir(Path(run_dir)), Path(out)
    curves = _chosen(series(read_metrics(where)), metrics, where)
    identity = read_identity(where)
    picture = draw(
        [Panel(name, {name: curve}) for name, curve in curves.items()],
        marks_of(read_lines(where.journal).rows),
        title=where.path.absolute().name,
        unit=identity.unit if identity else "step",
    )
    fs.mkdir(out.parent)
    write_atomic(out, picture, fs=fs)
    return out


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


def draw(panels: Sequence[Panel], marks: Marks, *, title: str, unit: str) -> bytes:
    """Return panels side by side as a PNG. Draws no random number; any thread may call it.

    Args:
        panels: 1 or more.
        marks: Restarts and stages, for each panel with curves.
        title: What stands above all of them.
        unit: What a step is called.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure_class = _figure_class()
    columns = 1 if len(panels) == 1 else 2 if len(panels) <= 4 else 3  # noqa: PLR2004
    rows = math.ceil(len(panels) / columns)
    width, height = _PANEL_INCHES
    size = (max(width * columns, 6.4), height * rows + 0.9)
    figure = figure_class(figsize=size, dpi=_DPI, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold", color=_INK)
    places = figure.subplots(rows, columns, squeeze=False, sharex=True).flatten()
    for index, (place, panel) in enumerate(zip(places, panels, strict=False)):
        _panel(place, panel, marks)
        is_lowest = not any(each.curves for each in panels[index + columns :: columns])
        place.tick_params(labelbottom=is_lowest)
        if is_lowest:
            place.set_xlabel(unit, fontsize=9, color=_FAINT_INK)
    for place in places[len(panels) :]:
        place.set_axis_off()
    _legend(figure, places[0])
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _panel(place: Any, panel: Panel, marks: Marks) -> None:
    _dress(place, panel)
    if not panel.curves:
        place.set_axis_off()
        place.text(0.0, 0.95, panel.text, transform=place.transAxes, **_WORDS)
        return
    _rules(place, fitting(marks, [step for steps, _ in panel.curves.values() for step in steps]))
    for (name, curve), color in zip(panel.curves.items(), cycle(_CURVES), strict=False):
        _curve(place, curve, color, None if len(panel.curves) == 1 else name)
    if len(panel.curves) > 1:
        own = [line for line in place.get_lines() if line.get_label() in panel.curves]
        place.legend(
            handles=own, frameon=False, fontsize=8, labelcolor=_FAINT_INK, handlelength=1.2
        )


def _curve(place: Any, curve: Curve, color: str, name: str | None) -> None:
    """Draw the raw values faint, and their moving average; `name` is for the panel's own legend."""
    steps, values = curve
    finite = [(step, value) for step, value in zip(steps, values, strict=True) if _ok(value)]
    is_short = len(finite) < 25  # noqa: PLR2004
    if finite:
        xs, ys = map(list, zip(*finite, strict=True))
        faint = thin((xs, ys))
        alpha, width = (0.9, 1.5) if is_short else (0.28, 0.8)
        label = ("value" if is_short else "raw") if name is None else name if is_short else "_"
        place.plot(*faint, color=color, alpha=alpha, linewidth=width, label=label, zorder=3)
        if not is_short:
            span = min(max(len(ys) / 40, 5.0), 500.0)
            line = thin((xs, smooth(ys, span)))
            label = name or "moving average"
            place.plot(*line, color=color, linewidth=1.7, label=label, zorder=4)
    odd = [step for step, value in zip(steps, values, strict=True) if not _ok(value)]
    if odd:
        place.plot(
            odd,
            [0.03] * len(odd),
            "x",
            transform=place.get_xaxis_transform(),
            color=_RESTART,
            markersize=5,
            label="not finite" if name is None else "_",
            zorder=5,
            clip_on=False,
        )


def _dress(place: Any, panel: Panel) -> None:
    place.set_title(panel.title, loc="left", fontsize=10, fontweight="bold", color=_INK, pad=6)
    if len(panel.curves) == 1:
        [(_, values)] = panel.curves.values()
        last = values[-1]
        shown = f"last {last:.4g}" if _ok(last) else f"last {last}"
        color = _CURVES[0] if _ok(last) else _RESTART
        place.set_title(shown, loc="right", fontsize=9, color=color, pad=6)
    place.grid(visible=True, axis="y", color="#e6e8eb", linewidth=0.7, zorder=0)
    place.spines[["top", "right"]].set_visible(False)
    place.spines[["left", "bottom"]].set_color("#c9ced4")
    place.tick_params(labelsize=8, colors=_FAINT_INK, length=3, color="#c9ced4")
    place.margins(x=0.02, y=0.14)
    place.xaxis.set_major_formatter(step_label)
    place.xaxis.get_major_locator().set_params(nbins=6, integer=True)


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

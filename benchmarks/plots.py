"""The plots of docs/performance.md, drawn from results files."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl

from benchmarks import mergekit
from benchmarks.curves import points
from benchmarks.results import Result
from benchmarks.targets import COPY, MERGES

mpl.use("svg")
mpl.rcParams.update(
    {"svg.fonttype": "none", "svg.hashsalt": "mergestore", "font.size": 9, "axes.grid": True, "axes.grid.axis": "y"}
)
mpl.rcParams.update({"grid.alpha": 0.3, "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False})

from matplotlib import pyplot  # noqa: E402 - only once the backend is chosen

OURS, THEIRS, LIMIT = "#1b6ca8", "#c05746", "#777777"


def draw_comparison(result: Result, path: Path) -> None:
    """CPU seconds and peak memory of each merge, ours and mergekit's best, beside the careful copy."""
    rows = list(MERGES)
    places = range(len(rows))
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
    for axis, measured, title in zip(axes, ("cpu", "memory"), ("CPU seconds", "peak memory, MiB"), strict=True):
        theirs = [result.least(mergekit.rows(MERGES[row]), measured) for row in rows]
        ours = [result.figure(row, measured) for row in rows]
        for shift, values, colour, label in (
            (-0.2, ours, OURS, "mergestore"),
            (0.2, theirs, THEIRS, "mergekit, its best"),
        ):
            bars = axis.barh([place + shift for place in places], values, 0.38, color=colour, label=label)
            axis.bar_label(
                bars, fmt=lambda value: f"{value:,.3g}" if value < 1000 else f"{value:,.0f}", padding=2, fontsize=7
            )
        axis.axvline(result.figure(COPY, measured), color=LIMIT, linestyle="--", label="careful copy of the base")
        axis.grid(visible=False)
        axis.set(title=title, yticks=list(places), yticklabels=rows, xlim=(0, 1.12 * max(theirs)))
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    _save(figure, path)


_PANELS = (("skills", "skills of dare_ties"), ("drop rate",), ("files read", "files written"), ("parameters",))
_MEASURED = (("wall", "wall s"), ("cpu", "CPU s"), ("memory", "peak MiB"))


def draw_curves(result: Result, path: Path) -> None:
    """Wall time, CPU time and peak memory over each of the curves."""
    figure, axes = pyplot.subplots(3, len(_PANELS), figsize=(9.5, 5.6), sharex="col", layout="constrained")
    for column, curves in enumerate(_PANELS):
        for axis, (measured, label) in zip(axes[:, column], _MEASURED, strict=True):
            for curve, colour in zip(curves, (OURS, THEIRS), strict=False):
                _draw_curve(axis, result, curve, measured, colour)
            axis.set_ylim(
                0, 1.3 * max(result.spread(row, measured)[1] for each in curves for _, row in points(result, each))
            )
            axis.locator_params(axis="y", nbins=4)
            axis.set(ylabel=label if column == 0 else "")
        axes[0, column].legend(frameon=False, fontsize=7)
    _save(figure, path)


_GROWN = (
    (
        "verbs, ms",
        1000,
        ("register a skill", "materialize, from the cache", "merge", "move an alias", "audit a merge", "show a skill"),
    ),
    ("what is about all, ms", 1000, ("list, all of it", "impact of the base", "find skills", "metrics")),
    ("whole store, s", 1, ("check", "gc --apply, 1,000 objects", "backup, the first", "repair, all is read")),
)


def draw_growth(result: Result, path: Path) -> None:
    """CPU time over the number of versions, both logarithmic."""
    figure, axes = pyplot.subplots(1, len(_GROWN), figsize=(9.5, 3.2), layout="constrained")
    for axis, (title, factor, rows) in zip(axes, _GROWN, strict=True):
        for row in rows:
            sizes = [size for size in result.facts["sizes"] if f"{row} {size}" in result.rows]
            axis.loglog(
                sizes, [factor * result.figure(f"{row} {size}", "cpu") for size in sizes], "o-", ms=3, label=row
            )
        axis.set(title=title, xlabel="versions")
        axis.legend(frameon=False, fontsize=7)
    _save(figure, path)


def _draw_curve(axis: pyplot.Axes, result: Result, curve: str, measured: str, colour: str) -> None:
    found = points(result, curve)
    millions = 1e6 if curve == "parameters" else 1
    over = [f"{x:g}" for x, _ in found] if curve == "drop rate" else [x / millions for x, _ in found]
    least, most = zip(*(result.spread(row, measured) for _, row in found), strict=True)
    axis.fill_between(over, least, most, color=colour, alpha=0.2, linewidth=0)
    middle = [result.figure(row, measured) for _, row in found]
    axis.plot(over, middle, "o-", color=colour, markersize=3, label=f"{curve}, M" if millions > 1 else curve)


def _save(figure: pyplot.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    path.write_text(_smaller(path.read_text()))


def _smaller(drawing: str) -> str:
    """The same drawing without comments, indents, and digits that no eye sees."""
    drawing = re.sub(r"<!--.*?-->| transform=\"rotate\(-0 [^\"]*\"", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"<g id=\"[^\"]*\"", "<g", drawing)
    drawing = re.sub(r"font-family: [^;]*;", "font-family: sans-serif;", drawing)
    drawing = re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}", drawing)
    return "\n".join(line.strip() for line in drawing.splitlines() if line.strip()) + "\n"

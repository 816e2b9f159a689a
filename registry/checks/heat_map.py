"""The picture of a check: cosines between the skills, over the whole model and layer by layer.

Red is apart (−1), white at right angles (0), blue along (1), on every picture alike; people who see neither red nor
green tell the two ends apart. Grey with a dot: one of the two changes nothing there; with a question mark: skills
that were dropped keep too little there to tell.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from storage.errors import EnvironmentFailure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Comparison = Mapping[str, Any]
"""What ``registry.checks.comparison.compared`` gives."""
_COLOURS, _GREY, _INK = "RdBu", "#d9d9d9", "#333333"
_DPI = 160
_MOST_NUMBERS = 14  # rows or columns of cells that are still wide enough for a number
_MOST_LABELS = 40
_MOST_ERROR = 0.2
"""A standard error above which a cosine is not drawn: too little was kept of so few values to tell."""


@dataclass(frozen=True)
class _Cell:
    """A cosine, not a number where there is none, and what is written on it."""

    value: float
    text: str

    @classmethod
    def of(cls, cosine: float | None, error: float = 0.0) -> _Cell:
        if cosine is None:
            return _NOTHING
        if error > _MOST_ERROR:
            return cls(math.nan, "?")
        return cls(cosine, f"{round(cosine, 2) + 0.0:.2f}".replace("-", "−"))


_NOTHING = _Cell(math.nan, "·")


def require_matplotlib() -> None:
    """Raise EnvironmentFailure where there is nothing to draw with."""
    try:
        import matplotlib.figure  # noqa: F401 - whether it can be
    except ImportError as error:
        raise EnvironmentFailure(
            "drawing a heat map needs matplotlib", hint="pip install 'mergestore[plot]'"
        ) from error


def png(comparison: Comparison, title: str) -> bytes:
    """The picture as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = draw(comparison, title)
    FigureCanvasAgg(figure)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": "mergestore"})
    return file.getvalue()


def draw(comparison: Comparison, title: str) -> Figure:
    """The figure: skills against skills, and beside it layers against pairs. The cosines are its images' arrays."""
    from matplotlib.figure import Figure

    skills, groups = comparison["skills"], comparison["groups"]
    pairs = comparison["whole"]["pairs"]
    square, wide = _between(0.75 * len(skills), 2.6, 9), _between(0.62 * len(pairs), 1.6, 14)
    tall = max(square, _between((0.3 if len(groups) <= _MOST_LABELS else 0.13) * len(groups), 2.6, 12))
    figure = Figure(figsize=(square + wide + 3.6, tall + 2.1), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(square, wide))
    whole = _matrix(left, comparison)
    _layers(right, comparison)
    bar = figure.colorbar(whole, ax=[left, right], location="bottom", shrink=0.55, aspect=40, pad=0.03, panchor=False)
    bar.set_ticks([-1, -0.5, 0, 0.5, 1], labels=["−1", "−0.5", "0", "0.5", "1"], fontsize=8, color=_INK)
    bar.ax.tick_params(length=0)
    bar.set_label("cosine: −1 cancel each other · 0 unrelated · 1 the same direction", color=_INK, fontsize=9)
    bar.outline.set_visible(False)
    figure.suptitle(
        _title(comparison, title, int(12 * figure.get_figwidth())), x=0.02, ha="left", fontsize=11, color=_INK
    )
    return figure


def _title(comparison: Comparison, title: str, width: int) -> str:
    lines = textwrap.wrap(title, width, max_lines=3, placeholder=" …")
    lost = comparison["whole"]["cancelled"]
    if lost is not None:
        lines.append(
            f"{lost:.0%} of the norms cancel in the sum (unrelated skills: {comparison['whole']['unrelated']:.0%})"
        )
    return "\n".join(lines)


def _matrix(axes: Axes, comparison: Comparison) -> AxesImage:
    skills: Sequence[str] = comparison["skills"]
    places = {skill: place for place, skill in enumerate(skills)}
    cells = [[_NOTHING] * len(skills) for _ in skills]
    for skill, norm in comparison["whole"]["norms"].items():
        cells[places[skill]][places[skill]] = _Cell.of(1.0 if norm else None)
    for pair in comparison["whole"]["pairs"]:
        one, other = places[pair["one"]], places[pair["other"]]
        cells[one][other] = cells[other][one] = _Cell.of(pair["cosine"], pair["error"])
    image = _image(axes, cells, "equal")
    axes.set_title("whole model", fontsize=10, color=_INK)
    axes.set_anchor("N")
    _label(axes, list(skills), list(skills))
    return image


def _layers(axes: Axes, comparison: Comparison) -> None:
    groups = comparison["groups"]
    _image(axes, [[_Cell.of(pair["cosine"], pair["error"]) for pair in group["pairs"]] for group in groups], "auto")
    axes.set_title("layer by layer", fontsize=10, color=_INK)
    pairs = [f"{_short(pair['one'], 22)} · {_short(pair['other'], 22)}" for pair in comparison["whole"]["pairs"]]
    _label(axes, pairs, [group["name"] for group in groups])


def _image(axes: Axes, cells: list[list[_Cell]], aspect: Literal["equal", "auto"]) -> AxesImage:
    import numpy as np
    from matplotlib import colormaps

    colours = colormaps[_COLOURS].with_extremes(bad=_GREY)
    array = np.ma.masked_invalid([[cell.value for cell in row] for row in cells])
    image = axes.imshow(array, cmap=colours, vmin=-1, vmax=1, aspect=aspect, interpolation="nearest")
    if len(cells) <= 3 * _MOST_NUMBERS and len(cells[0]) <= _MOST_NUMBERS:
        for line, row in enumerate(cells):
            for column, cell in enumerate(row):
                colour = "white" if abs(cell.value) > 0.6 else _INK
                axes.text(column, line, cell.text, ha="center", va="center", fontsize=7.5, color=colour)
    return image


def _label(axes: Axes, columns: list[str], rows: list[str]) -> None:
    """Names at rows and columns, every so manyth where they would lie over each other; lines between the cells."""
    for axis, names in ((axes.xaxis, columns), (axes.yaxis, rows)):
        step = -(-len(names) // _MOST_LABELS)
        axis.set_ticks(range(0, len(names), step), [_short(name, 48) for name in names[::step]], fontsize=8, color=_INK)
    for label in axes.get_xticklabels():
        label.set(rotation=35, ha="right", rotation_mode="anchor")
    wide, tall = len(columns) - 0.5, len(rows) - 0.5
    axes.hlines([place - 0.5 for place in range(1, len(rows))], -0.5, wide, colors="white", linewidth=1.2)
    axes.vlines([place - 0.5 for place in range(1, len(columns))], -0.5, tall, colors="white", linewidth=1.2)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _short(name: str, most: int) -> str:
    """The name, or its two ends."""
    half = most // 2
    return name if len(name) <= most else f"{name[: half - 1]}…{name[-half:]}"


def _between(value: float, least: float, most: float) -> float:
    return max(least, min(most, value))

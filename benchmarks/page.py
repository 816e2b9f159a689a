"""docs/performance.md: every figure between markers is written from a results file, never by hand.

A block begins with ``<!-- figures: KIND FILE -->`` (FILE without folder and .json) and ends with
``<!-- figures: end -->``. Where the file is not there, nothing was measured, and the block says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from benchmarks import mergekit, results
from benchmarks.curves import CURVES, points
from benchmarks.results import Result
from benchmarks.targets import COPY, MERGES, TARGETS

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_BLOCK = re.compile(r"(<!-- figures: (\w+) ([\w.-]+) -->\n).*?(<!-- figures: end -->)", re.DOTALL)


def rewrite(text: str, folder: Path = results.FOLDER) -> str:
    """The page with every block written anew."""
    return _BLOCK.sub(lambda found: found[1] + block(found[2], folder / f"{found[3]}.json") + found[4], text)


def block(kind: str, path: Path) -> str:
    """The content of one block."""
    if not path.is_file():
        return "Not measured.\n"
    return "\n".join(_BLOCKS[kind](results.load(path))) + "\n"


def _setting(result: Result) -> list[str]:
    about = result.about
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items() if number)
    what = f" {about['size']} ({result.facts['parameters']:,} parameters);" if "size" in about else ""
    device = f" Device: {about['device']}." if about.get("device") else ""
    load = about.get("load")
    busy = f" Load average before and after: {load[0]:.1f}, {load[1]:.1f}." if load else ""
    return [f"{about['machine']}.{device} {about['date']};{what} {_runs(about['runs'])}.{busy} {versions}."]


def _runs(count: int) -> str:
    return f"median of {count} runs, least and most in brackets" if count > 1 else "one run"


def _targets(result: Result) -> list[str]:
    size = {"comparison": "0.5B", "device": "8B"}[result.kind]
    meant = result.about.get("size", size) == size
    lines = ["| work | target | measured | |", "|---|---:|---:|---|"]
    for target in TARGETS[result.kind]:
        value = target.measure(result)
        verdict = target.verdict(value) + (" (one run)" if result.about.get("runs") == 1 else "") if meant else ""
        lines.append(f"| {target.work} | {target.goal()} | {target.shown.format(value)} | {verdict} |")
    return lines if meant else [f"The targets are for models of {size}; these are of another size.", "", *lines]


def _ratios(result: Result) -> list[str]:
    lines = [
        "| merge of 3 | CPU s: ours | mergekit, its best | ratio | wall s: ours | mergekit, its best | ratio "
        "| peak MiB: ours | mergekit, its best | ratio | private MiB: ours | mergekit, its best | ratio |",
        "|---|" + "---:|" * 12,
    ]
    for row, method in MERGES.items():
        cells = [_versus(result, row, method, figure) for figure in ("cpu", "wall", "memory", "private")]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


def _versus(result: Result, row: str, method: str, figure: str) -> str:
    ours, theirs = result.figure(row, figure), result.least(mergekit.rows(method), figure)
    return f"{_number(ours)} | {_number(theirs)} | {theirs / ours:.1f} |".removesuffix(" |")


def _rows(result: Result) -> list[str]:
    copied = result.figure(COPY, "wall")
    heads = ("work", "wall s", "wall / careful copy", "CPU s", "in the kernel", "peak MiB", "private MiB")
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    for row in result.rows:
        wall = result.figure(row, "wall")
        cells = [_spread(result, row, "wall"), f"{wall / copied:.2f}"]
        cells += [_spread(result, row, "cpu"), _number(result.figure(row, "system"))]
        cells += [_spread(result, row, "memory"), _number(result.figure(row, "private"))]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


def _spread(result: Result, row: str, figure: str) -> str:
    least, most = (_number(value) for value in result.spread(row, figure))
    middle = _number(result.figure(row, figure))
    return middle if least == most else f"{middle} ({least}–{most})"


def _number(value: float) -> str:
    """Three digits or so, as a table shows them."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _limits(result: Result) -> list[str]:
    limits = result.facts["limits"]
    return ["| limit | GB/s |", "|---|---:|", *(f"| {name} | {_number(rate)} |" for name, rate in limits.items())]


# How often a merge decodes which skills, and whether it draws masks.
_DECODED = {
    "task_arithmetic, 3 skills": ("skill", 1, True),
    "dare_ties, 3 skills": ("skill", 1, True),
    "ties, 3 magnitude skills": ("magnitude", 1, False),
    "task_arithmetic, 3 exact skills": ("exact", 1, False),
    "ties, 3 exact skills": ("exact", 2, False),
}


def _stages(result: Result) -> list[str]:
    """Where a merge's CPU seconds go: what is measured alone, and what is left."""
    columns = [_spent(result, row) for row in _DECODED]
    lines = ["| CPU s | " + " | ".join(_DECODED) + " |", "|---|" + "---:|" * len(_DECODED)]
    for stage in columns[0]:
        cells = [f"{column[stage]:.2f}" if column[stage] else "-" for column in columns]
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    return lines


def _spent(result: Result, row: str) -> dict[str, float]:
    kind, passes, masks = _DECODED[row]
    decoding = result.facts["decoding"]
    measured = {
        "start-up and the records: a merge of tiny models": result.figure("a merge of tiny models", "cpu"),
        **result.facts["stages"],
        "frames of the skills: read, checked, decompressed": passes * decoding[kind],
        "masks drawn": decoding["masks"] if masks else 0.0,
    }
    whole = result.figure(row, "cpu")
    return {
        **measured,
        "what is left: decoding values, merging, Python": whole - sum(measured.values()),
        "**the whole process**": whole,
    }


def _bits(result: Result) -> list[str]:
    bits = result.facts["bits"]
    lines = ["| skill stored as | bits per parameter | smaller than bf16 |", "|---|---:|---:|"]
    return lines + [f"| {kind} | {value:.4f} | {16 / value:.0f}x |" for kind, value in bits.items()]


def _agreement(result: Result) -> list[str]:
    found = result.facts["agreement"]
    return [
        f"Of all values, {found['equal']:.1%} are the same bits as mergekit's; the difference of the two models is "
        f"{found['difference']:.2%} of the change that the merge made to the base."
    ]


def _curves(result: Result) -> list[str]:
    lines: list[str] = []
    for curve, over in CURVES.items():
        lines += [f"| {over} | wall s | CPU s | peak MiB |", "|---:|---:|---:|---:|"]
        for x, row in points(result, curve):
            cells = " | ".join(_spread(result, row, figure) for figure in ("wall", "cpu", "memory"))
            lines.append(f"| {x:,.10g} | {cells} |")
        lines.append("")
    return lines[:-1]


def _device(result: Result) -> list[str]:
    lines = ["| work | seconds |", "|---|---:|"]
    for row in result.rows:
        least, most = result.spread(row, "wall")
        lines.append(f"| {row} | {result.figure(row, 'wall'):.4f} ({least:.4f}–{most:.4f}) |")
    return lines


def _store(result: Result) -> list[str]:
    from benchmarks.store_scale import block as store_block  # brings the store's code along

    return store_block(result)


def _objects(result: Result) -> list[str]:
    from benchmarks.object_storage import block as objects_block

    return objects_block(result)


def _growth(result: Result) -> list[str]:
    from benchmarks.growth import block as growth_block

    return growth_block(result)


_BLOCKS: dict[str, Callable[[Result], list[str]]] = {
    "setting": _setting,
    "targets": _targets,
    "ratios": _ratios,
    "rows": _rows,
    "limits": _limits,
    "stages": _stages,
    "bits": _bits,
    "agreement": _agreement,
    "curves": _curves,
    "device": _device,
    "store": _store,
    "objects": _objects,
    "growth": _growth,
}

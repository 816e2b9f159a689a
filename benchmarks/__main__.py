"""Benchmarks that anyone can run; `make bench` and its like call this.

    python -m benchmarks compare [--size 0.1B] [--runs 3]      ours, mergekit, PEFT, physical limits
    python -m benchmarks curves [--size 0.05B] [--runs 3]      skills, drop rate, files, model size
    python -m benchmarks device [--size 8B] [--device cuda]    resident mode, loading from cold
    python -m benchmarks page                                  docs/performance.md and its plots from the results

Models are generated with fixed seeds below the work folder, which is theirs alone. Results go to benchmarks/results,
named after the machine.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from benchmarks import device, page, results
from benchmarks.comparison import Comparison
from benchmarks.curves import Curves
from benchmarks.measure import plain_environment
from benchmarks.results import Result
from benchmarks.shapes import SHAPES


def main() -> None:
    given = _arguments()
    for name in set(os.environ) - set(plain_environment()):
        del os.environ[name]
    given.act(given)


def compare(given: argparse.Namespace) -> None:
    """Measure, say what came out, keep it."""
    _finish(Comparison(Path(given.work), given.size, given.torch_index).measure(given.runs), given)


def curves(given: argparse.Namespace) -> None:
    """The curves; those over sizes go up to the largest asked for."""
    sizes = [size for size in SHAPES if size not in ("tiny", "8B")]
    upto = sizes[: sizes.index(given.upto) + 1]
    _finish(Curves(Path(given.work), given.size, upto).measure(given.runs), given)


def on_device(given: argparse.Namespace) -> None:
    """Nothing is said of a device that is not there."""
    if not device.present(given.device):
        print(f"no {given.device} device here: nothing measured", file=sys.stderr)
        return
    _finish(device.DeviceBench(Path(given.work), given.size, given.device).measure(given.runs), given)


def write_page(_: argparse.Namespace) -> None:
    """Write the page's blocks and draw its plots anew from the results files."""
    text = page.PAGE.read_text()
    page.PAGE.write_text(page.rewrite(text))
    from benchmarks import plots  # matplotlib

    for kind, draw in (
        ("comparison", plots.draw_comparison),
        ("curves", plots.draw_curves),
        ("growth", plots.draw_growth),
    ):
        named = re.search(rf"<!-- plot: {kind} ([\w.-]+) -->", text)
        source = results.FOLDER / f"{named[1]}.json" if named else None
        if source is not None and source.is_file():
            draw(results.load(source), page.PAGE.parent / "images" / f"{kind}.svg")


def _finish(result: Result, given: argparse.Namespace) -> None:
    path = results.save(result, Path(given.output))
    kinds = {
        "comparison": ("setting", "rows", "limits", "bits", "stages", "ratios", "targets"),
        "curves": ("setting", "curves"),
    }
    for kind in kinds.get(result.kind, ("setting", "device", "limits")):
        print("\n" + page.block(kind, path), end="")
    print(f"\nkept in {path}; `make bench-page` brings docs/performance.md up to date where it shows this file")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    for name, act, size, runs in (
        ("compare", compare, "0.1B", 3),
        ("curves", curves, "0.05B", 3),
        ("device", on_device, "8B", 10),
    ):
        verb = verbs.add_parser(name)
        verb.set_defaults(act=act)
        verb.add_argument("--size", choices=SHAPES, default=size)
        verb.add_argument("--runs", type=int, default=runs)
        verb.add_argument("--work", default=".bench", help="folder for models and stores")
        verb.add_argument("--output", default=str(results.FOLDER), help="folder for the results file")
    verbs.choices["compare"].add_argument("--torch-index", help="where pip finds a CPU build of torch for mergekit")
    verbs.choices["curves"].add_argument("--upto", choices=SHAPES, default="0.5B", help="largest model")
    verbs.choices["device"].add_argument("--device", default="cuda")
    verbs.add_parser("page").set_defaults(act=write_page)
    return parser.parse_args()


if __name__ == "__main__":
    main()

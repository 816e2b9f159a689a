"""How each verb grows with a store: 1,000 to 100,000 versions, as many materializations, every object on the disk.

    python -m benchmarks.growth [--sizes 1000 10000 100000] [--runs 5] [--work .bench] [--database URL]

Stores are made by ``benchmarks.growth_samples`` and kept; 100,000 versions take half an hour. Verbs that a person waits
for are asked in a process that runs already, with the statements that they take; those that look at the whole store are
whole processes, with the memory that they have for themselves. Every run is a new one: a new version, another alias.
With a URL the records are copied to a server, into databases called NAME1000, NAME10000, … that are there and empty.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from sqlalchemy import event

import mergestore
from benchmarks import growth_samples, store_samples
from benchmarks.measure import plain_environment, run
from benchmarks.results import FOLDER, Result, describe, save
from mergestore import Store
from registry.records import catalog
from registry.records.database import reading

SIZES = (1000, 10_000, 100_000)
GARBAGE = 1000
"""Objects that no record names, for gc."""

SKILL = store_samples.skill_name(9)
Ask = Callable[[Store, int], object]


def _resolved(store: Store, turn: int) -> object:
    with reading(store.engine) as session:
        return catalog.resolve(session, f"{SKILL}@prod")


def _opened(store: Store, turn: int) -> None:
    mergestore.open(store.home.root, database=store.engine.url.render_as_string(False), create=False).close()


def _registered(store: Store, turn: int) -> object:
    tuned = store.home.root.parents[1] / "models" / "tuned0"
    return store.register_skill("grown", tuned, base="tiny", seed=_fresh(turn), wait=False)


def _fresh(turn: int) -> int:
    """A number that no run before has used: what is registered twice is not registered."""
    return turn + int(time.time() * 1000) % 10**12


VERBS: dict[str, Ask] = {
    "open and close": _opened,
    "register a skill": _registered,
    "list, all of it": lambda store, _: store.list(),
    "list, bases": lambda store, _: store.list("base"),
    "show a skill": lambda store, _: store.show(SKILL),
    "resolve NAME@alias": _resolved,
    "audit a merge": lambda store, _: store.audit("merge-00003", newest=10),
    "impact of a skill": lambda store, _: store.impact(SKILL, newest=10),
    "impact of the base": lambda store, _: store.impact("tiny", newest=10),
    "find skills": lambda store, _: store.find("skills", licence="MIT"),
    "find merges with a skill": lambda store, _: store.find("merges", contains=SKILL),
    "find materializations": lambda store, _: store.find("materializations", since="2026-03-01", until="2026-03-02"),
    "find events about a skill": lambda store, _: store.find("events", subject=f"{SKILL}@1"),
    "move an alias": lambda store, turn: store.alias(f"{SKILL}@{turn % 8 + 1}", "moving", wait=False),
    "yank and unyank": lambda store, _: (store.yank(f"{SKILL}@2", "a trial", wait=False),
                                         store.unyank(f"{SKILL}@2", "a trial", wait=False)),
    "merge": lambda store, turn: store.merge("grown-mix", f"tiny + {(_fresh(turn) % 10**6 + 1) / 10**6:g}*real-0"),
    "materialize, from the cache": lambda store, _: store.materialize("mix", wait=False),
    "verify a merge": lambda store, _: store.verify("mix"),
    "metrics": lambda store, _: store.metrics(),
    "doctor": lambda store, _: store.doctor(),
}  # fmt: skip
WHOLE: dict[str, tuple[str, ...]] = {
    "check": ("check",),
    "anchor, the chain is verified": ("anchor",),
    "gc --apply, 1,000 objects": ("gc", "--apply", "--grace", "0"),
    "backup, the first": ("backup", "BACKUP"),
    "repair, all is read": ("repair",),
    "backup, the next": ("backup", "BACKUP"),
    "restore --check, all is read": ("restore", "BACKUP", "--check"),
}
"""What looks at the whole store, as command lines."""


def main() -> None:
    given = _arguments()
    for name in set(os.environ) - set(plain_environment()):
        del os.environ[name]
    os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"  # nobody listens there: provenance stays in the outbox
    rows: dict[str, list[dict[str, float]]] = {}
    load, work, kind = os.getloadavg()[0], Path(given.work) / "growth", ""
    for size in given.sizes:
        growth_samples.make(work / str(size), size, work / "models")
        with mergestore.open(work / str(size) / "store") as store:
            database = _served(store, given.database, size)
        with mergestore.open(work / str(size) / "store", database=database) as store:
            kind = store.engine.dialect.name
            for what, costs in chain(_verbs(store, given.runs), _whole(store, database, work)):
                rows[f"{what} {size}"] = costs
                about = {**describe(), "runs": given.runs, "database": kind, "load": [load, os.getloadavg()[0]]}
                result = Result("growth", f"growth-{kind}", about, {"sizes": list(given.sizes)}, rows)
                path = save(result, Path(given.output))  # a run that is cut short has measured something
                print(f"  {size:,}: {what}: {costs[-1]['wall']:.3f} s", file=sys.stderr)
    print("\n".join(block(result)))
    print(f"kept in {path}")


def _served(store: Store, url: str | None, size: int) -> str | None:
    if url is None:
        return None
    own = f"{url}{size}"
    with mergestore.open(store.home.root.with_name("made-server"), database=own) as server:
        if not server.list("base").bases:
            store_samples.copy(store.engine, server.engine)
    return own


def _verbs(store: Store, runs: int) -> Iterator[tuple[str, list[dict[str, float]]]]:
    statements: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *words: statements.append(words[2]))
    for what, ask in VERBS.items():
        ask(store, 0)  # not counted: the statements are compiled once in a process
        costs = []
        for turn in range(1, runs + 1):
            statements.clear()
            wall, cpu = time.perf_counter(), time.process_time()
            ask(store, turn)
            cost = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
            costs.append({**cost, "statements": float(len(statements))})
        yield what, costs


def _whole(store: Store, database: str | None, work: Path) -> Iterator[tuple[str, list[dict[str, float]]]]:
    """One run of each: they take long, and the second gc has nothing to do."""
    backup = work / f"backup-{store.home.root.parent.name}-{store.engine.dialect.name}"
    shutil.rmtree(backup, ignore_errors=True)
    growth_samples.litter(store, GARBAGE, "gc")
    options = ["--store", str(store.home.root), *(["--database", database] if database else [])]
    for what, words in WHOLE.items():
        command = [str(backup) if word == "BACKUP" else word for word in words]
        cost = asdict(run([sys.executable, "-m", "cli", *options, *command]))
        yield what, [{name: cost[name] for name in ("wall", "cpu", "private")}]
    shutil.rmtree(backup)


def block(result: Result) -> list[str]:
    """Where and how it was measured, and both tables: a column for each size."""
    about, sizes = result.about, result.facts["sizes"]
    setting = f"{about['machine']}. {about['date']}; {about['database']}; median of {about['runs']} runs."
    setting += f" Load average before and after: {about['load'][0]:.1f}, {about['load'][1]:.1f}."
    columns = " | ".join(f"{size:,} versions" for size in sizes)

    def measured(verbs: Iterable[str]) -> list[str]:
        return [what for what in verbs if any(f"{what} {size}" in result.rows for size in sizes)]

    lines = [
        setting,
        "",
        f"| in a running process: CPU ms (wall ms) | {columns} | statements |",
        "|---|" + "---:|" * (len(sizes) + 1),
    ]
    for what in measured(VERBS):
        cells = " | ".join(_milliseconds(result, f"{what} {size}") for size in sizes)
        counts = sorted({turn["statements"] for size in sizes for turn in result.rows.get(f"{what} {size}", [])})
        lines.append(f"| {what} | {cells} | {' to '.join(f'{n:g}' for n in sorted({counts[0], counts[-1]}))} |")
    lines += [
        "",
        f"| a whole process, one run: CPU s (wall s), private memory | {columns} |",
        "|---|" + "---:|" * len(sizes),
    ]
    for what in measured(WHOLE):
        cells = " | ".join(_seconds(result, f"{what} {size}") for size in sizes)
        lines.append(f"| {what} | {cells} |")
    return lines


def _milliseconds(result: Result, row: str) -> str:
    if row not in result.rows:
        return "-"
    return f"{_spelled(1000 * result.figure(row, 'cpu'))} ({_spelled(1000 * result.figure(row, 'wall'))})"


def _seconds(result: Result, row: str) -> str:
    if row not in result.rows:
        return "-"
    cpu, wall, held = (result.figure(row, figure) for figure in ("cpu", "wall", "private"))
    return f"{_spelled(cpu)} ({_spelled(wall)}), {held:,.0f} MiB"


def _spelled(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work", default=".bench", help="folder for the stores")
    parser.add_argument("--database", help="URL of databases on a server, one a size, without the size at the end")
    parser.add_argument("--output", default=str(FOLDER), help="folder for the results file")
    return parser.parse_args()


if __name__ == "__main__":
    main()

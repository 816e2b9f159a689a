"""What the size of a store costs those who ask it: listing, showing, resolving, auditing among 10 to 10,000 skills.

    python -m benchmarks.store_scale [--sizes 10 100 1000 10000] [--runs 7] [--work .bench] [--database URL] [--keep]

Stores are made anew by ``benchmarks.store_samples``, with ten materializations a skill; the largest takes some ten
minutes. Every question is asked in a process that runs already (with the statements that it takes) and, where the
command line has it, as a whole process. With a URL the records are copied to a server (CPU is then that of the
process alone, not the server's).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import event, select

import mergestore
from benchmarks import store_samples
from benchmarks.measure import run
from benchmarks.results import FOLDER, Result, describe, save
from mergestore import NotFound, Store
from registry import merges
from registry.records import catalog
from registry.records.database import reading
from registry.records.integrity import verify_records
from registry.records.tables import AuditEvent
from registry.resolved import Choices

SIZES = (10, 100, 1000, 10_000)
Ask = Callable[[Store], object]


def _resolved(reference: str) -> Ask:
    def ask(store: Store) -> object:
        with reading(store.engine) as session:
            return catalog.resolve(session, reference)

    return ask


def _combined(terms: int) -> Ask:
    def ask(store: Store) -> object:
        with reading(store.engine) as session:
            return merges.resolve_expression(session, store.home, store_samples.expression(terms), Choices())

    return ask


def _mistyped(store: Store) -> object:
    try:
        return _resolved("team0/skil-00003")(store)
    except NotFound as error:
        return error


def _verified(store: Store) -> object:
    with reading(store.engine) as session:
        return verify_records(session)


SKILL = store_samples.skill_name(3)
ALIASED = store_samples.skill_name(9)
QUESTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "bases, licence": ("bases", {"licence": "Apache-2.0"}),
    "skills": ("skills", {}),
    "skills, seed": ("skills", {"seed": 7}),
    "skills, metadata": ("skills", {"meta": {"dataset": "data-7"}}),
    "skills, licence and base": ("skills", {"licence": "MIT", "base": "llama"}),
    "skills, the last page": ("skills", {"page": -1}),
    "merges with a skill": ("merges", {"contains": SKILL}),
    "merges, seed": ("merges", {"seed": 7}),
    "merges, licence": ("merges", {"licence": "MIT AND Apache-2.0"}),
    "merges, method": ("merges", {"method": "dare_ties"}),
    "merges, never evaluated": ("merges", {"never": "evaluated"}),
    "merges, never materialized": ("merges", {"never": "materialized"}),
    "merges, built with a version": ("merges", {"software": "0.0.9"}),
    "materializations": ("materializations", {}),
    "materializations, the last page": ("materializations", {"page": -1}),
    "materializations with a skill": ("materializations", {"contains": SKILL}),
    "materializations with the base": ("materializations", {"contains": "llama"}),
    "materializations, software": ("materializations", {"software": "0.0.9"}),
    "materializations of a week": ("materializations", {"since": "2026-03-01", "until": "2026-03-08"}),
    "materializations, device and person": ("materializations", {"device": "cuda", "by": "person-9@host"}),
    "events": ("events", {}),
    "events since yesterday": ("events", {"since": "2026-11-20"}),
    "events of one action": ("events", {"action": "version.yank"}),
    "events about a skill": ("events", {"subject": f"{SKILL}@1"}),
}
"""What a platform team asks, with filters of ``find``; page -1 is the last one."""


def _found(kind: str, filters: dict[str, Any]) -> Ask:
    def ask(store: Store) -> object:
        asked = dict(filters)
        if asked.get("page") == -1:
            asked["page"] = LAST_PAGES.setdefault((store.home.root, kind), store.find(kind).pages)
        return store.find(kind, **asked)

    return ask


LAST_PAGES: dict[tuple[Path, str], int] = {}
FINDS: dict[str, Ask] = {f"find {what}": _found(kind, filters) for what, (kind, filters) in QUESTIONS.items()}
CALLS: dict[str, Ask] = {
    "list": lambda store: store.list(),
    "list base": lambda store: store.list("base"),
    "show a skill": lambda store: store.show(SKILL),
    "show a merge of 3": lambda store: store.show("merge-0001"),
    "resolve a name": _resolved(SKILL),
    "resolve an alias": _resolved(f"{ALIASED}@prod"),
    "resolve a mistyped name": _mistyped,
    "resolve an expression of 3": _combined(3),
    "resolve an expression of 64": _combined(64),
    "audit a skill": lambda store: store.audit(SKILL, newest=10),
    "audit a merge of 3": lambda store: store.audit("merge-0001", newest=10),
    "audit the base, newest 10": lambda store: store.audit("llama", newest=10),
    "audit the base, all": lambda store: store.audit("llama"),
    "impact of a skill, newest 10": lambda store: store.impact(SKILL, newest=10),
    "impact of the base, newest 10": lambda store: store.impact("llama", newest=10),
    "audit by an output's digest": lambda store: store.audit(store_samples.output_digest(0), newest=10),
    **FINDS,
    "verify the records": _verified,
}
PROCESSES: dict[str, tuple[str, ...]] = {
    "--help": ("--help",),
    "list": ("list",),
    "list --json": ("list", "--json"),
    "list base": ("list", "base"),
    "show a skill": ("show", SKILL),
    "audit a merge of 3": ("audit", "merge-0001"),
    "audit the base": ("audit", "llama"),
    "audit the base --json": ("audit", "llama", "--json"),
    "find merges with a skill": ("find", "merges", "--contains", SKILL),
    "find materializations": ("find", "materializations"),
    "impact of the base": ("impact", "llama"),
}


def main() -> None:
    given = _arguments()
    rows: dict[str, list[dict[str, float]]] = {}
    load = os.getloadavg()[0]
    database = ""
    for skills in given.sizes:
        home = Path(given.work) / "store-scale" / str(skills)
        store = _kept(home, skills, given.database) if given.keep else _made(home, skills, given.database)
        database = store.engine.dialect.name
        rows |= {f"{what} {skills}": costs for what, costs in _calls(store, skills, given.runs)}
        store.close()
        rows |= {f"{what} {skills}": costs for what, costs in _processes(home, given.database, given.runs)}
    about = {**describe(), "runs": given.runs, "database": database, "load": [load, os.getloadavg()[0]]}
    name = "store-scale" if database == "sqlite" else f"store-scale-{database}"
    result = Result("store", name, about, {"sizes": list(given.sizes)}, rows)
    print("\n".join(block(result)))
    print(f"kept in {save(result, Path(given.output))}")


def block(result: Result) -> list[str]:
    """Where and how it was measured, and both tables: CPU milliseconds (wall in brackets), a column for each size."""
    about, sizes = result.about, result.facts["sizes"]
    setting = f"{about['machine']}. {about['date']}; {about['database']}; median of {about['runs']} runs."
    setting += f" Load average before and after: {about['load'][0]:.1f}, {about['load'][1]:.1f}."
    head = ["| {} | " + " | ".join(f"{size:,} skills" for size in sizes) + " |", "|---|" + "---:|" * len(sizes)]
    lines = [setting, "", head[0].format("in a running process: CPU ms (wall ms)") + " statements |", head[1] + "---:|"]
    for what in CALLS:
        if f"call: {what} {sizes[-1]}" in result.rows:
            counts = sorted(
                {run["statements"] for size in sizes for run in result.rows.get(f"call: {what} {size}", [])}
            )
            lines.append(
                f"| {what} | {_cells(result, 'call', what, sizes)} | {' to '.join(f'{n:g}' for n in counts)} |"
            )
    lines += ["", head[0].format("a whole process: CPU ms (wall ms)"), head[1]]
    asked = (what for what in PROCESSES if f"process: {what} {sizes[-1]}" in result.rows)
    lines += [f"| {what} | {_cells(result, 'process', what, sizes)} |" for what in asked]
    return lines


def _cells(result: Result, how: str, what: str, sizes: list[int]) -> str:
    names = [f"{how}: {what} {size}" for size in sizes]
    return " | ".join(
        f"{_spelled(result.figure(name, 'cpu'))} ({_spelled(result.figure(name, 'wall'))})"
        if name in result.rows
        else "-"
        for name in names
    )


def _spelled(seconds: float) -> str:
    milliseconds = 1000 * seconds
    return f"{milliseconds:,.0f}" if milliseconds >= 10 else f"{milliseconds:.1f}"


def _made(home: Path, skills: int, database: str | None) -> Store:
    shutil.rmtree(home, ignore_errors=True)
    store = mergestore.open(home)
    started = time.perf_counter()
    store_samples.fill(store.engine, skills)
    print(f"  {skills:,} skills written in {time.perf_counter() - started:.1f} s", file=sys.stderr)
    return _served(store, skills, database)


def _kept(home: Path, skills: int, database: str | None) -> Store:
    """The store that an earlier run made."""
    return _served(mergestore.open(home, create=False), skills, database)


def _served(store: Store, skills: int, database: str | None) -> Store:
    """The same store with its records on a server, if one is meant; copied there, unless they are there."""
    if database is None:
        return store
    server = mergestore.open(store.home.root, database=_own(database, skills))
    with reading(server.engine) as session:
        there = session.scalar(select(AuditEvent.sequence).limit(1)) is not None
    if not there:
        store_samples.copy(store.engine, server.engine)
    store.close()
    return server


def _own(database: str | None, skills: int) -> str | None:
    """A database for each size: a server has them ready, empty, called NAME10, NAME100, …"""
    return f"{database}{skills}" if database else None


def _calls(store: Store, skills: int, runs: int) -> Iterator[tuple[str, list[dict[str, float]]]]:
    statements: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *words: statements.append(words[2]))
    for what, ask in CALLS.items():
        if what.endswith("of 64") and skills < store_samples.TERMS:
            continue
        ask(store)  # not counted: the statements are compiled once in a process
        yield f"call: {what}", [_asked(store, ask, statements) for _ in range(runs)]


def _asked(store: Store, ask: Ask, statements: list[str]) -> dict[str, float]:
    statements.clear()
    wall, cpu = time.perf_counter(), time.process_time()
    ask(store)
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "statements": float(len(statements)),
    }


def _processes(home: Path, database: str | None, runs: int) -> Iterator[tuple[str, list[dict[str, float]]]]:
    options = ["--store", str(home)]
    options += ["--database", str(_own(database, int(home.name)))] if database else []
    for what, words in PROCESSES.items():
        command = [sys.executable, "-m", "cli", *options, *words]
        run(command)
        costs: list[dict[str, Any]] = [asdict(run(command)) for _ in range(runs)]
        yield f"process: {what}", [{name: cost[name] for name in ("wall", "cpu", "memory")} for cost in costs]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--work", default=".bench", help="folder for the stores")
    parser.add_argument("--database", help="URL of databases on a server, one a size, without the size at the end")
    parser.add_argument("--keep", action="store_true", help="measure the stores of an earlier run, instead of new ones")
    parser.add_argument("--output", default=str(FOLDER), help="folder for the results file")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Tables and records for people: what the store has, and everything recorded about one version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.console import say
from cli.grid import Column, print_grid
from cli.units import count_text, digest_text, number_text, size_text, time_text

if TYPE_CHECKING:
    from mergestore import Found, Listing

Row = Mapping[str, Any]

_SIZES = frozenset({"bytes", "stored_bytes", "size", "vector_bytes", "skill_bytes", "skills_bytes"})
_COUNTS = frozenset({"parameters", "elements", "kept"})
_TIMES = frozenset({"at", "created_at"})
_LISTED = ("name", "version", "digest", "aliases", "licence", "state", "reason", "pin", "created_at")
EVENT = ("at", "actor", "action", "outcome", "subject")
_FOUND = {
    "bases": ("name", "version", "digest", "licence", "source", "state", "created_at", "created_by"),
    "skills": ("name", "version", "digest", "encoding", "seed", "licence", "state", "created_at", "created_by"),
    "merges": ("name", "version", "digest", "method", "expression", "state", "created_at", "created_by"),
    "materializations": ("created_at", "created_by", "method", "recipe_digest", "output_digest", "device", "path"),
    "events": EVENT,
}
SCORE = ("of", "metric", "value", "dataset", "created_at", "created_by")
_MADE = (
    *("created_at", "created_by", "task", "device", "engine", "seconds", "bytes", "output_digest", "path"),
    *("policies", "mlflow_run_id", "mlflow_version"),
)


def listing(answer: Listing) -> None:
    """One table for each kind that the store has."""
    kinds = {"base models": answer.bases, "skills": answer.skills, "merges": answer.merges}
    for title, rows in kinds.items():
        if rows:
            table(title, [{**row, "pin": (row["pinned"] or {}).get("reason")} for row in rows], _LISTED)
    if not any(kinds.values()):
        say("nothing here yet; begin with: mergestore register base NAME PATH")


def found(answer: Found) -> None:
    """A page of rows, and how many there are."""
    if answer.rows:
        table(answer.kind, events(answer.rows) if answer.kind == "events" else answer.rows, _FOUND[answer.kind])
    beyond = f", and no page {answer.page}" if answer.total and answer.page > answer.pages else ""
    last = beyond or (f", page {answer.page} of {answer.pages}" if answer.pages > 1 else "")
    say(f"{number_text(answer.total, answer.kind)}{last}")


def events(rows: Sequence[Row]) -> list[Row]:
    """Events with their outcome, where they tell one."""
    return [{**row, "outcome": row["details"].get("outcome")} for row in rows]


def record(answer: Row) -> None:
    """Plain facts first, then each part of the record below its title; of a merge, its inputs by their names."""
    facts(_plain(answer))
    names = {row["digest"]: row["reference"] for row in answer.get("inputs") or ()}
    for name, part in answer.items():
        if not part or name in _plain(answer):
            continue
        if name == "materializations":
            materializations(part)
        elif isinstance(part, Mapping):
            say(f"{_words(name)}:")
            facts(_by_name(part, names), indent=2)
        elif _is_rows(part):
            table(_words(name), part)
        else:
            say(f"{_words(name)}: {', '.join(map(str, part))}")


def _by_name(part: Any, names: Mapping[str, str]) -> Any:
    """The same with references in the place of digests, as values and as keys."""
    if isinstance(part, Mapping):
        return {names.get(name, name): _by_name(value, names) for name, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [_by_name(value, names) for value in part]
    return names.get(part, part) if isinstance(part, str) else part


def materializations(rows: Sequence[Row], count: int | None = None) -> None:
    """What was made, by whom and when, on what, where it was put, and with which policies it was compared."""
    told = [{**row, "policies": [policy_text(each) for each in row.get("policies", ())]} for row in rows]
    newest("materializations", told, _MADE, count)


def policy_text(policy: Row) -> str:
    """A policy by its name and how its digest begins."""
    return f"{policy['policy']} {digest_text(policy['digest'])}"


def facts(record: Row, indent: int = 0, *, spelled_out: bool = False) -> None:
    """A line for each fact, nested ones further in; digests whole. ``spelled_out``: names as they are, not as words."""
    told = {name: value for name, value in record.items() if value not in (None, [], {})}
    width = max((len(name) for name in told), default=0) + 2
    for name, value in told.items():
        spelled = name if spelled_out else _words(name)
        if isinstance(value, Mapping):
            say(f"{'':{indent}}{spelled}:")
            facts(value, indent + 2, spelled_out=name == "parameters")
        elif _is_rows(value):
            say(f"{'':{indent}}{_words(name)}:")
            for row in value:
                _row(row, indent + 2)
        else:
            say(f"{'':{indent}}{spelled:<{width}}{_cell(name, value, whole=True)}")


def _row(row: Row, indent: int) -> None:
    """What lies flat of a row on one line; what is nested below it."""
    nested = {name: value for name, value in row.items() if isinstance(value, Mapping) or _is_rows(value)}
    flat = (f"{_words(name)} {_cell(name, value, True)}" for name, value in row.items() if name not in nested)
    say(f"{'':{indent}}{', '.join(flat)}")
    facts(nested, indent + 2)


def table(title: str, rows: Sequence[Row], names: Iterable[str] | None = None) -> None:
    """A table of ``rows`` with the columns ``names``, or all, without those that say nothing."""
    names = names or dict.fromkeys(name for row in rows for name in row)
    shown = [name for name in names if _speaks(name, rows)]
    columns = [Column(_words(name), right=name in _SIZES | _COUNTS) for name in shown]
    print_grid(title, columns, ([_cell(name, row.get(name)) for name in shown] for row in rows))


def newest(title: str, rows: Sequence[Row], names: Iterable[str] | None = None, count: int | None = None) -> None:
    """A table of the newest rows of ``count``; the rest is told by its number."""
    if rows:
        table(title, rows, names)
    if count is not None and count > len(rows):
        say(f" … and {count - len(rows):,} older: --tree or --json tells all")
        say()


def _speaks(name: str, rows: Sequence[Row]) -> bool:
    """Whether a column says something that fits into its cells."""
    values = [row.get(name) for row in rows]
    if name == "state":  # only news is worth a column
        return any(value != "ready" for value in values)
    return any(value not in (None, "", []) for value in values) and not any(map(_is_mapping, values))


def _cell(name: str, value: Any, whole: bool = False) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    for names, spell in ((_SIZES, size_text), (_COUNTS, count_text), (_TIMES, time_text)):
        if name in names:
            return spell(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return digest_text(value) if name.endswith("digest") and not whole else str(value)


def _plain(record: Row) -> Row:
    return {name: value for name, value in record.items() if not isinstance(value, (Mapping, list, tuple))}


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_rows(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and _is_mapping(value[0])


def _words(name: str) -> str:
    return name.replace("_", " ")

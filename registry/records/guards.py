"""The triggers that guard the records against changes: whether each is there, switched on, and as the schema made it.

The same of indexes, without which answers would come late.

``GUARDS`` has a digest of each one's definition, spelled without what databases spell in their own way. The tests
compare it with what the migrations make.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Index, inspect, text
from sqlalchemy.orm import Session

from registry.records.columns import Record
from registry.records.told import Finding
from storage.errors import IntegrityFailure

GUARDS: dict[str, dict[str, str]] = {
    "sqlite": {
        "audit_event_follows": "4adcf682309dc19d",
        "audit_event_keeps_rows": "eb786cb704abc128",
        "audit_event_loses_none": "887a871c26064a81",
        "blob_stays_while_used": "9a0af11e11d5f19c",
        "delta_stays_while_kept": "98d048b8653c4447",
        "lineage_edge_stays_while_kept": "98d068bf0eda09bd",
        "model_stays_while_used": "29babf6d0f752fa1",
        "model_version_keeps_content": "98ba91b9af2b62cb",
        "model_version_replaces_none": "33988f2e8ba35e25",
        "model_version_stays_while_used": "759db0e9af60dc55",
        "recipe_input_stays_while_kept": "9355c2453672d416",
        "recipe_stays_while_used": "dc224d08a3760f71",
        "tensor_stays_while_kept": "f48446b04c8b84ba",
        "version_file_stays_while_kept": "ca70d9d83fc0255d",
        "version_file_stays_while_used": "b875d97e5b75de49",
    },
    "postgresql": {
        "audit_event_follows": "c6435da3c046abc0",
        "audit_event_keeps_rows": "9513150ffddb3780",
        "delta_is_not_emptied": "6b956d3d5a8f20c7",
        "delta_stays_while_kept": "fdce9ac147d5936e",
        "lineage_edge_is_not_emptied": "44d35798b484a84b",
        "lineage_edge_stays_while_kept": "0ff6d4685eecd591",
        "model_version_keeps_content": "6c12a7a4ab59d868",
        "pin_is_not_emptied": "20f43f3957e9b416",
        "recipe_input_is_not_emptied": "e3f316130cc60d41",
        "recipe_input_stays_while_kept": "149cfa87c07ae6a1",
        "tensor_is_not_emptied": "e9b49feca6e63ff5",
        "tensor_stays_while_kept": "ffc23bb4d6b54095",
        "version_file_is_not_emptied": "80877905811f2385",
        "version_file_stays_while_kept": "17b0ac3253b2ea1f",
    },
}

GUARDS_HINT = (
    "records could be changed since: hold the audit log against an anchor (`verify --anchor`), and restore a backup; "
    "`mergestore init` puts triggers and indexes back"
)

_SPELLING = re.compile(r"[\s\"()]+")
_TOLD = {
    "sqlite": "SELECT name, sql, '', '', 'O' FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname, pg_get_triggerdef(pg_trigger.oid), prosrc, nspname, tgenabled FROM pg_trigger "
    "JOIN pg_proc ON pg_proc.oid = tgfoid JOIN pg_class ON pg_class.oid = tgrelid "
    "JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE NOT tgisinternal AND pg_table_is_visible(tgrelid)",
}
_ON = ("O", "A")  # of PostgreSQL's tgenabled: in usual sessions, always


def broken_guards(session: Session) -> Iterator[Finding]:
    """Every trigger that is missing, switched off or not as the schema made it; and every index."""
    for name, state in broken_triggers(session).items():
        yield f"the trigger {name}, which guards the records, {state}", "database"
    for index, state in broken_indexes(session.connection()):
        yield f"the index {index.name} {state}", "database"


def guard_problems(session: Session) -> list[dict[str, Any]]:
    """The same as problems: {what, where, kind, hint}."""
    kind = IntegrityFailure.kind
    return [{"what": what, "where": where, "kind": kind, "hint": GUARDS_HINT} for what, where in broken_guards(session)]


def broken_triggers(session: Session) -> dict[str, str]:
    """The triggers that are not as the schema made them, and what is with each."""
    found, broken = found_guards(session), dict[str, str]()
    for name, definition in GUARDS[_dialect(session)].items():
        if name not in found:
            broken[name] = "is missing"
        elif definition not in found[name]:
            broken[name] = "was changed"
        elif not found[name][definition]:
            broken[name] = "is switched off"
    return broken


def broken_indexes(connection: Connection) -> Iterator[tuple[Index, str]]:
    """The indexes that are not as the schema made them, and what is with each."""
    inspector = inspect(connection)
    for table in Record.metadata.sorted_tables:
        found = {
            each["name"]: (each["column_names"], bool(each["unique"])) for each in inspector.get_indexes(table.name)
        }
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            if index.name not in found:
                yield index, "is missing"
            elif found[index.name] != ([column.name for column in index.columns], index.unique):
                yield index, "was changed"


def found_guards(session: Session) -> dict[str, dict[str, bool]]:
    """The triggers of a database: by name the digests of their definitions, and whether each is switched on."""
    found: dict[str, dict[str, bool]] = {}
    for name, definition, function, schema, state in session.execute(text(_TOLD[_dialect(session)])):
        spelled = _SPELLING.sub("", definition.replace(f"{schema}.", "") if schema else definition).lower()
        digest = hashlib.sha256(f"{spelled} {function}".encode()).hexdigest()[:16]
        found.setdefault(name, {})[digest] = state in _ON
    return found


def count_guards(session: Session) -> int:
    """How many triggers the schema has."""
    return len(GUARDS[_dialect(session)])


def _dialect(session: Session) -> str:
    return session.connection().dialect.name

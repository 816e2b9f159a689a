"""Which policies hold, the one of the store's folder always and any that is given beside it, and their being kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.home import Home
from registry.merges import stored_merge
from registry.policies.cases import case_of
from registry.policies.policy import Policy
from registry.policies.reading import read_policy, read_policy_file
from registry.policies.rules import Violation, violations
from registry.problems import Problems
from registry.records.catalog import resolve
from registry.records.database import reading
from registry.records.names import Reference
from registry.records.tables import ModelVersion
from registry.resolved import ResolvedMerge
from registry.results import Merged
from registry.wish import Given
from storage.errors import Conflict, MergestoreError, UsageError
from storage.paths import as_path

GIVEN = "the given policy"


def policies_of(home: Home, given: Given | None = None) -> tuple[Policy, ...]:
    """The policies that hold. Raises UsageError for one that cannot be read: it would let through what it forbids."""
    found = [_own_policy(home.policy)] if os.path.lexists(home.policy) else []
    if isinstance(given, Mapping):
        found.append(read_policy(given, GIVEN))
    elif given is not None:
        path = as_path(given)
        found.append(read_policy_file(path, path.name))
    return tuple(found)


def _own_policy(path: Path) -> Policy:
    if path.exists() and not path.is_file():  # nobody waits at a pipe that lies there
        raise UsageError(f"the policy {path} is no file", hint="put the policy there, or delete it")
    return read_policy_file(path, path.name)


def without_thresholds(policies: Sequence[Policy]) -> tuple[Policy, ...]:
    """The same but for scores: what is loaded into memory may be a candidate that is to be evaluated."""
    return tuple(replace(policy, evaluations=()) for policy in policies)


def found_violations(
    session: Session, policies: Sequence[Policy], roots: Sequence[ModelVersion], resolved: ResolvedMerge | None
) -> list[Violation]:
    """Everything in which a merge, or what is known of it, is not as the policies ask."""
    if not policies:
        return []
    case = case_of(session, roots, resolved)
    return [violation for policy in policies for violation in violations(policy, case)]


def enforce(session: Session, policies: Sequence[Policy], resolved: ResolvedMerge) -> None:
    """Raise Conflict with every violation."""
    found = found_violations(session, policies, resolved.roots, resolved)
    if found:
        target = resolved.merge.reference if resolved.merge is not None else resolved.expression
        count = "a rule of policy keeps" if len(found) == 1 else f"{len(found)} rules of policy keep"
        lines = "".join(f"\n  {violation}" for violation in found)
        raise Conflict(
            f"{count} {target} from being made:{lines}",
            hint="leave out or add what is named, or ask who keeps the policy",
            details={"violations": [violation.to_dict() for violation in found]},
        )


def note_violations(
    session: Session,
    policies: Sequence[Policy],
    roots: Sequence[ModelVersion],
    resolved: ResolvedMerge | None,
    problems: Problems,
) -> None:
    """Take each violation down as a problem of its own."""
    for each in found_violations(session, policies, roots, resolved):
        problems.add(Conflict(str(each), details={"violations": [each.to_dict()]}))
        problems.violations.append(each.to_dict())


def with_notes(engine: Engine, home: Home, merged: Merged) -> Merged:
    """A merge that was named, with notes on what the store's policy will refuse: naming makes nothing yet."""
    try:
        policies = policies_of(home)
    except MergestoreError as error:
        why = error.message.splitlines()[0].rstrip(":")
        return replace(merged, notes=[*merged.notes, f"nothing can be materialized: {why}; `mergestore doctor` tells"])
    if not policies:
        return merged
    with reading(engine) as session:
        version = resolve(session, Reference(merged.name, merged.version))
        found = found_violations(session, policies, [version], stored_merge(session, version))
    return replace(merged, notes=[*merged.notes, *(f"it will not be materialized: {each}" for each in found)])

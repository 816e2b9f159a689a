"""Whether the records still say what the audit chain saw when they were made.

An event keeps what matters of a record as it is, and of many rows their fingerprint (``events.fingerprint``). The
chain itself is checked apart: whoever changes records and wants to stay unseen has to rewrite all that follows.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.records.alias_moves import changed_aliases
from registry.records.attestations import attestation_row
from registry.records.evaluations import evaluation_row
from registry.records.events import fingerprint
from registry.records.quota import changed_quota
from registry.records.result_witness import changed_recipes, changed_results
from registry.records.tables import Attestation, Evaluation
from registry.records.told import Finding, Told
from registry.records.version_witness import changed_versions


def contradictions(session: Session) -> Iterator[Finding]:
    """Every record that is not as the chain tells, changed or gone."""
    told = Told(session)
    yield from changed_versions(session, told)
    yield from changed_aliases(session, told)
    yield from changed_recipes(session, told)
    yield from changed_results(session, told)
    yield from _changed_evaluations(session, told)
    yield from _changed_attestations(session, told)
    yield from changed_quota(session, told)


def _changed_evaluations(session: Session, told: Told) -> Iterator[Finding]:
    found = {record.id: fingerprint([evaluation_row(record)]) for record in session.scalars(select(Evaluation))}
    seen = {event.details.get("evaluation"): event for event in told.all("evaluation.add")}
    for id_ in sorted({*found, *(id_ for id_ in seen if isinstance(id_, int))}):
        event = seen.get(id_)
        where = event.subject if event is not None else f"evaluation {id_}"
        if id_ not in found:
            yield f"evaluation {id_} of {where} was recorded, but has no record any more", where
        elif event is None or found[id_] != event.details.get("row"):
            yield f"the record of evaluation {id_} was changed", where


def _changed_attestations(session: Session, told: Told) -> Iterator[Finding]:
    found = {row.id: fingerprint([attestation_row(row)]) for row in session.scalars(select(Attestation))}
    events = {event.details.get("attestation"): event for event in told.all("attestation.add")}
    seen = {id_: event for id_, event in events.items() if isinstance(id_, int)}
    for id_ in sorted(found.keys() | seen.keys()):
        if id_ not in found:
            yield f"attestation {id_} was recorded, but has no record any more", seen[id_].subject
        elif id_ not in seen or found[id_] != seen[id_].details.get("row"):
            yield f"the record of attestation {id_} was changed", f"attestation {id_}"

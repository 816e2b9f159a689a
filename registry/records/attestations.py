"""Attestations on record: signed statements about what was made, by the digest of the output."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.records import events
from registry.records.columns import batches
from registry.records.tables import Attestation
from registry.records.told import moment
from storage.digests import parse_json, sha256_digest
from storage.errors import IntegrityFailure, in_words


def add_attestation(
    session: Session,
    *,
    subject_digest: str,
    predicate_type: str,
    document: str,
    recipe_digest: str,
    key_ids: Collection[str],
    actor: str,
) -> tuple[Attestation, bool]:
    """Record a signed statement about an output; the same again is the same record, and False says so.

    ``document``: the envelope's JSON text. The event's subject is the recipe, so that audits tell of it.
    """
    same = (Attestation.subject_digest == subject_digest, Attestation.document == document)
    known = session.scalars(select(Attestation).where(*same)).first()
    if known is not None:
        return known, False
    row = Attestation(subject_digest=subject_digest, predicate_type=predicate_type, document=document, created_by=actor)
    session.add(row)
    session.flush()
    details = {
        "attestation": row.id,
        "output_digest": subject_digest,
        "predicate_type": predicate_type,
        "keys": sorted(key_ids),
        "row": events.fingerprint([attestation_row(row)]),
    }
    events.append(session, actor=actor, action="attestation.add", subject=recipe_digest, details=details)
    return row, True


def attestations(session: Session, subject_digests: Collection[str]) -> list[Attestation]:
    """What is attested of these outputs, oldest first."""
    found: list[Attestation] = []
    for batch in batches(sorted(set(subject_digests))):
        found += session.scalars(select(Attestation).where(Attestation.subject_digest.in_(batch)))
    return sorted(found, key=lambda row: row.id)


def attestation_facts(row: Attestation) -> dict[str, Any]:
    """An attestation as JSON-ready values: what is signed of which output, with which keys, and the envelope itself."""
    try:
        envelope = parse_json(row.document)
        keys = [each["keyid"] for each in envelope["signatures"] if "keyid" in each]
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityFailure(
            f"attestation {row.id} is damaged: {in_words(error):.80}", hint="run `mergestore verify`"
        ) from error
    return {
        "keys": keys,
        "output_digest": row.subject_digest,
        "predicate_type": row.predicate_type,
        "envelope": envelope,
        "created_at": row.created_at.isoformat(),
        "created_by": row.created_by,
    }


def attestation_row(row: Attestation) -> dict[str, Any]:
    """What is recorded of an attestation and stays as it is, as plain values; the document by its digest."""
    return {
        "id": row.id,
        "subject_digest": row.subject_digest,
        "predicate_type": row.predicate_type,
        "document": sha256_digest(row.document.encode()),
        "created_by": row.created_by,
        "created_at": moment(row.created_at),
    }

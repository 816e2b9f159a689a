"""Anchors: the last event of the audit chain, kept where whoever can write the database cannot write.

A chain that was rewritten as a whole, with hashes made to fit, holds together; but it does not hold the anchor's event.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.evidence.envelope import LARGEST, parse_envelope, parse_payload, sign
from registry.evidence.files import put, refuse_place
from registry.evidence.keys import Signer, Verifier
from registry.records import events
from registry.records.database import reading
from registry.records.identity import store_id
from registry.records.tables import AuditEvent
from registry.results import Anchored
from storage.bounded import FEW_MARKS, refuse_marks
from storage.digests import canonical_json
from storage.errors import InputRefused, IntegrityFailure, NotFound, UsageError, in_words

PAYLOAD_TYPE = "application/vnd.mergestore.anchor+json"
KIND, FORMAT = "mergestore audit anchor", 1
_FIELDS: Mapping[str, type] = {"kind": str, "format": int, "store": str, "sequence": int, "hash": str, "at": str}
_HINT = "the audit chain is not the one that was anchored: compare the registry with a backup"


def anchor(engine: Engine, key: Signer | None, output: Path | None) -> Anchored:
    """The chain's last event, signed if there is a key. Raises IntegrityFailure for a chain that is broken already."""
    if output is not None:
        refuse_place(output)
    with reading(engine) as session:
        document = _head(session)
    payload = canonical_json(document)
    envelope = sign(PAYLOAD_TYPE, payload, key) if key is not None else None
    if output is not None:
        put(output, envelope.to_bytes() if envelope is not None else payload + b"\n")
    return Anchored(
        anchor=document,
        key_id=key.id if key is not None else None,
        notes=list(key.notes) if key is not None else [],
        envelope=envelope.to_dict() if envelope is not None else None,
        output=str(output) if output is not None else None,
    )


def _head(session: Session) -> dict[str, Any]:
    problems = events.verify_chain(session)
    if problems:
        raise IntegrityFailure(f"the audit chain is broken: {problems[0]['what']}", hint=problems[0]["hint"])
    head = events.head(session)
    if head is None or head.sequence == 0:
        raise NotFound("there is nothing to anchor: the audit log has no event yet", hint="register something first")
    last = session.get_one(AuditEvent, head.sequence)
    told = {"sequence": last.sequence, "hash": last.hash, "at": last.at.isoformat()}
    return {"kind": KIND, "format": FORMAT, "store": store_id(session), **told}


def read_anchor(path: Path, key: Verifier | None) -> dict[str, Any]:
    """What an anchor's file says. With a key it must be signed with it, and one that is signed needs the key.

    Raises UsageError, InputRefused for what is no anchor, IntegrityFailure for a signature that does not fit.
    """
    document = _document(path)
    if "signatures" in document:
        envelope = parse_envelope(document, str(path))
        if key is None:
            raise UsageError(f"{path} is signed, and no key says by whom", hint="name the public key: --key PUB.pem")
        if not envelope.is_signed_by(key) or envelope.payload_type != PAYLOAD_TYPE:
            keys = ", ".join(envelope.key_ids) or "a key that it does not name"
            raise IntegrityFailure(
                f"{path} is no anchor that the key {key.id} signed; it says {keys}",
                hint="verify with the public half of the key that signed, or take another copy of the anchor",
            )
        document = parse_payload(envelope, str(path))
    elif key is not None:
        raise IntegrityFailure(
            f"{path} is not signed, so that anybody may have written it",
            hint="name the anchor that was signed (`mergestore anchor --key KEY.pem -o FILE` writes one), or leave out "
            "--key to compare the log with this one as it is",
        )
    sound = all(type(document.get(name)) is kind for name, kind in _FIELDS.items())
    if not sound or (document["kind"], document["format"]) != (KIND, FORMAT):
        raise InputRefused(f"{path} is no anchor of format {FORMAT}", hint="`mergestore anchor` writes such files")
    return document


def contradictions(session: Session, anchor: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What of the chain is not as an anchor says; the chain itself is checked apart."""
    if anchor["store"] != store_id(session):
        return [_problem(f"the anchor is of another store, {anchor['store']}", "anchor")]
    sequence = anchor["sequence"]
    event = session.get(AuditEvent, sequence) if 0 < sequence < 1 << 31 else None
    where = f"audit_event {sequence}"
    if event is None:
        return [
            _problem(f"audit event {sequence} is missing, which was anchored: the chain was cut or rewritten", where)
        ]
    if (event.hash, event.at.isoformat()) != (anchor["hash"], anchor["at"]):
        what = f"audit event {sequence} is not the one that was anchored ({anchor['hash']} of {anchor['at']})"
        return [_problem(f"{what}: the chain was rewritten up to there", where)]
    return []


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST)
        refuse_marks(data, FEW_MARKS)
        document = json.loads(data)
    except OSError as error:
        raise UsageError(f"cannot read the anchor {path}: {error.strerror}", hint="name its file") from error
    except (ValueError, RecursionError) as error:
        raise InputRefused(
            f"{path} is no anchor: {in_words(error):.120}", hint="`mergestore anchor` writes them"
        ) from error
    if not isinstance(document, dict):
        raise InputRefused(f"{path} is no anchor: no JSON object", hint="`mergestore anchor` writes such files")
    return document


def _problem(what: str, where: str) -> dict[str, Any]:
    return {"what": what, "where": where, "kind": "integrity", "hint": _HINT}

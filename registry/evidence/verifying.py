"""Verifying with evidence from outside: a public key and attestations, or an anchor of the audit log."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.directories import read_manifest
from registry.evidence.anchor import contradictions, read_anchor
from registry.evidence.envelope import parse_envelope
from registry.evidence.keys import read_verifier
from registry.evidence.outputs import find_output
from registry.evidence.proving import Found, prove
from registry.home import Home
from registry.records.attestations import attestations
from registry.records.database import reading
from registry.results import Verification
from registry.targets import folder_instead
from registry.verifying import verify_directory, verify_store
from storage.errors import IntegrityFailure, NotFound, UsageError
from storage.paths import as_path
from storage.progress import Progress, Silent


def check_words(target: object, key: object, attestation: object, anchor: object) -> None:
    """Raise UsageError for what does not go together."""
    if attestation is not None and (key is None or target is None):
        raise UsageError(
            "--attestation goes with a target and --key", hint="A signature needs a key to be checked with."
        )
    if anchor is not None and target is not None:
        raise UsageError("--anchor is of a whole store", hint="Leave the target out.")
    if key is not None and target is None and anchor is None:
        raise UsageError("--key goes with a target or --anchor", hint="Name a folder or a merge that was attested.")


def verify_attested(
    engine: Engine, target: str | Path, key: Path, attestation: str | Path | None, progress: Progress
) -> Verification:
    """Check a folder, or what was made last of a merge, against what is signed of it.

    A folder need not be of this store: then what is signed of it is in the folder, or named.
    """
    verifier = read_verifier(key)
    given = as_path(attestation) if attestation is not None else None
    with reading(engine) as session:
        try:
            found = find_output(session, target)
            folder, output = found.folder, found.made.output_digest
        except (UsageError, NotFound, IntegrityFailure) as refusal:
            folder = folder_instead(target, refusal)
            output = _output(folder)
        recorded = _recorded(session, output)
    return prove(folder, verifier, given, recorded, progress)


def verify_folder(folder: Path, key: Path | None, attestation: Path | None, progress: Progress | None) -> Verification:
    """Check a published folder where there is no store: its manifest, and with a key what is signed of it."""
    check_words(folder, key, attestation, None)
    if key is None:
        return verify_directory(folder, progress or Silent())
    return prove(folder, read_verifier(key), attestation, [], progress or Silent())


def verify_anchored(
    engine: Engine, home: Home, anchor: Path, key: str | Path | None, progress: Progress
) -> Verification:
    """Check the whole store, and that its audit chain still passes through the event of an anchor."""
    document = read_anchor(anchor, read_verifier(as_path(key)) if key is not None else None)
    with reading(engine) as session:
        problems = contradictions(session, document)
    found = verify_store(engine, home, progress)
    found = replace(found, checked={**found.checked, "anchors": 1}, problems=[*found.problems, *problems])
    return replace(found, ok=not found.problems)


def _output(folder: Path) -> str:
    try:
        return str(read_manifest(folder)["output_digest"])
    except (IntegrityFailure, UsageError):
        return ""  # told by the check of the folder


def _recorded(session: Session, output: str) -> list[Found]:
    found = []
    for row in attestations(session, [output]):
        where = f"attestation {row.id} of this store"
        try:
            found.append((where, parse_envelope(json.loads(row.document), where)))
        except ValueError as error:
            raise IntegrityFailure(f"{where} is damaged: {error}", hint="run `mergestore verify`") from error
    return found

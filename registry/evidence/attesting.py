"""Attesting: what a published folder holds and came from, stated, signed and put on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.audits.recorded import on_record
from registry.directories import check_directory
from registry.evidence.contents import file_digests
from registry.evidence.envelope import Envelope, read_envelopes, sign, with_envelope
from registry.evidence.files import held, other_content, put, refuse_other_folder, refuse_place
from registry.evidence.keys import Signer
from registry.evidence.outputs import Output, find_output
from registry.evidence.statement import PAYLOAD_TYPE, PREDICATE_TYPE, make_statement
from registry.hub import hub_place, package_url
from registry.publishing import MANIFEST, published_files
from registry.records.attestations import add_attestation
from registry.records.database import reading, writing
from registry.records.identity import store_id
from registry.records.lookup import find_versions
from registry.records.names import parse_reference
from registry.results import Attested
from storage.digests import canonical_json
from storage.errors import IntegrityFailure, UsageError
from storage.progress import Progress

_APPEND = "choose another file; or add to what is signed in it with --append"


def attest(
    engine: Engine,
    target: str | Path,
    key: Signer | None,
    output: Path | None,
    actor: str,
    progress: Progress,
    *,
    append: bool = False,
) -> Attested:
    """State what a published folder is, and sign that; without a key the statement alone, which is not recorded.

    The manifest is compared with the records, and every byte with the manifest, first. Raises IntegrityFailure where
    one differs: nothing is signed then; UsageError, Conflict where ``output`` cannot take it: nothing is recorded then.
    ``append``: to what is signed in ``output`` already.
    """
    if append and (key is None or output is None):
        raise UsageError("only what is signed is added to a file", hint="--append goes with --key and -o FILE")
    if output is not None:
        refuse_place(output)
    with reading(engine) as session:
        found, store = find_output(session, target), store_id(session)
        if output is not None:
            refuse_other_folder(output, found.folder, target)
            _refuse_held(output, key.id if key is not None else found.made.output_digest, append=append)
        found = _as_recorded(session, found)
        sources, notes = _known(session, found.document)
    statement = make_statement(found.document, _contents(found, progress), found.made, store, sources)
    payload = canonical_json(statement)
    envelope = sign(PAYLOAD_TYPE, payload, key) if key is not None else None
    data = envelope.to_bytes() if envelope is not None else payload + b"\n"
    there = held(output) if output is not None else None
    if output is not None and envelope is not None and there is not None and append:
        data = with_envelope(output, there, envelope)
    elif output is not None and there not in (None, data):
        raise other_content(output, _APPEND)
    created = envelope is not None and _record(engine, found, envelope, actor)
    if output is not None:
        put(output, data, over=there)
    return Attested(
        path=str(found.folder),
        output_digest=found.made.output_digest,
        recipe_digest=found.made.recipe_digest,
        materialization_id=found.made.id,
        key_id=key.id if key is not None else None,
        subjects=len(statement["subject"]),
        created=created,
        notes=[*notes, *(key.notes if key is not None else ())],
        statement=statement,
        envelope=envelope.to_dict() if envelope is not None else None,
        output=str(output) if output is not None else None,
    )


def _refuse_held(output: Path, mark: str, *, append: bool) -> None:
    """Refuse what a file holds, as far as that can be told before anything is read: the same must have a ``mark``."""
    there = held(output)
    if there is None:
        return
    if append:
        read_envelopes(output)
    elif mark.partition(":")[2].encode() not in there:
        raise other_content(output, _APPEND)


def _as_recorded(session: Session, found: Output) -> Output:
    """The folder with the record that its manifest is of. Raises IntegrityFailure where it says otherwise."""
    known = on_record(session, found.folder, found.document)
    if known is None or known.differences:
        raise IntegrityFailure(
            f"{found.folder / MANIFEST} is not what this store published: {known.told if known else 'nothing'}",
            hint=f"nothing was signed; `mergestore audit {found.folder} --json` tells all that differs, and "
            "`mergestore materialize` makes the model again",
            details={"differences": list(known.differences) if known else []},
        )
    return replace(found, made=known.made)


def _contents(found: Output, progress: Progress) -> dict[str, str]:
    """The files by SHA-256, if all of them are what was published."""
    _, problems = check_directory(found.folder, progress)
    hint = f"nothing was signed; `mergestore verify {found.folder}` tells all that is wrong"
    if problems:
        raise IntegrityFailure(f"{found.folder} is not what was published: {problems[0]['what']}", hint=hint)
    files = file_digests(found.folder, published_files(found.document), progress)
    for name, recorded in found.document["files"].items():
        if files.get(name) != recorded["sha256"]:
            raise IntegrityFailure(f"{found.folder / name} is not what was published", hint=hint)
    return files


def _known(session: Session, document: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Package URLs of what came from the Hub, by reference; and notes on what is out of use by now."""
    nodes = {parse_reference(node["id"]): node for node in document["lineage"]["nodes"]}
    sources, notes = {}, []
    for version in find_versions(session, nodes).values():
        if version.state != "ready":
            notes.append(f"{version.reference} is {version.state}: {version.reason}")
        if (hub := hub_place(version.source)) is not None:
            sources[version.reference] = package_url(*hub)
    return sources, sorted(notes)


def _record(engine: Engine, found: Output, envelope: Envelope, actor: str) -> bool:
    with writing(engine) as session:
        _, created = add_attestation(
            session,
            subject_digest=found.made.output_digest,
            predicate_type=PREDICATE_TYPE,
            document=envelope.to_bytes().decode().rstrip("\n"),
            recipe_digest=found.made.recipe_digest,
            key_ids=envelope.key_ids,
            actor=actor,
        )
        return created

"""Whether a published folder is what a signed statement says: the signature, every file, and what it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from registry.audits.folder import check_told
from registry.directories import check_directory, read_manifest
from registry.evidence.contents import file_digests
from registry.evidence.envelope import Envelope, parse_payload, read_envelopes
from registry.evidence.keys import Verifier
from registry.evidence.statement import (
    BUILD_TYPE,
    OUTPUT,
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    digest_set,
    external,
    resolved,
)
from registry.publishing import MANIFEST, published_files
from registry.results import Verification
from storage.checkpoints.tensors import quoted
from storage.errors import IntegrityFailure, MergestoreError, UsageError, in_words
from storage.progress import Progress

ATTACHED = "mergestore.intoto.jsonl"
"""A file of a published folder in which attestations of it are looked for."""

Problem = dict[str, Any]
Found = tuple[str, Envelope]
"""Where an envelope was found, and the envelope."""

_HINT = "do not trust this model before its publisher has been asked"


def prove(
    folder: Path, key: Verifier, given: Path | None, recorded: Sequence[Found], progress: Progress
) -> Verification:
    """Check a published folder against its manifest, and against what is signed of it with this key.

    ``given``: a file with the attestations that count; else those ``recorded`` in a store, and those in the folder.
    Works without any store.
    """
    checked, problems = check_directory(folder, progress)
    try:
        document = read_manifest(folder)
        check_told(folder, document)
    except (IntegrityFailure, UsageError) as error:  # changed, or not there
        own = [] if problems else [_problem(error.message, folder)]
        return Verification(False, checked, [*problems, *own])
    found = list(recorded) if given is None else []
    attached = folder / ATTACHED
    if given is not None or attached.is_file():
        path = given or attached
        known = [envelope for _, envelope in found]
        found += [(str(path), envelope) for envelope in read_envelopes(path) if envelope not in known]
    checked["attestations"] = len(found)
    problems += _unproven(folder, document, key, found, progress)
    return Verification(not problems, checked, problems)


def _unproven(
    folder: Path, document: dict[str, Any], key: Verifier, found: Sequence[Found], progress: Progress
) -> list[Problem]:
    """What keeps a folder from being proven; one statement that is signed and true in everything is enough."""
    signed = [each for each in found if each[1].is_signed_by(key)]
    if not signed:
        return list(_unsigned(folder, key, found))
    digests: dict[str, str] | None = None
    problems: list[Problem] = []
    for where, envelope in signed:
        try:
            statement = _read(envelope, where)
            names = {*_subjects(statement, where), *published_files(document)} - {OUTPUT}
            if digests is None or names - digests.keys():
                digests = file_digests(folder, names, progress)
            problems = [_problem(what, where) for what in _differences(statement, document, digests, where)]
        except MergestoreError as error:
            problems = [_problem(error.message, where)]
        if not problems:
            return []
    return problems


def _unsigned(folder: Path, key: Verifier, found: Sequence[Found]) -> Iterator[Problem]:
    if not found:
        yield _problem(
            "there is no attestation of it", folder, f"name one with --attestation FILE, or put it into {ATTACHED}"
        )
    for where, envelope in found:
        if key.id in envelope.key_ids:
            yield _problem(f"the signature with the key {key.id} does not fit: what is signed was changed", where)
    others = sorted({id_ for _, envelope in found for id_ in envelope.key_ids} - {key.id})
    if found and all(key.id not in envelope.key_ids for _, envelope in found):
        by = f"signed with {', '.join(others)}" if others else "with signatures that name no key"
        what = f"no attestation of it is signed with the key {key.id}; there are {len(found)}, {by}"
        yield _problem(what, folder, "verify with the public half of the key that signed")


def _read(envelope: Envelope, where: str) -> dict[str, Any]:
    """The statement that is signed, if it is one that can be compared."""
    statement = parse_payload(envelope, where)
    predicate = statement.get("predicate")
    definition = predicate.get("buildDefinition") if isinstance(predicate, Mapping) else None
    build_type = definition.get("buildType") if isinstance(definition, Mapping) else None
    kinds = {
        "payload": (envelope.payload_type, PAYLOAD_TYPE),
        "statement": (statement.get("_type"), STATEMENT_TYPE),
        "predicate": (statement.get("predicateType"), PREDICATE_TYPE),
        "build": (build_type, BUILD_TYPE),
    }
    for what, (found, expected) in kinds.items():
        if found != expected:
            raise IntegrityFailure(f"what is signed is another kind of {what}: {found!r:.80} instead of {expected}")
    return statement


def _subjects(statement: Mapping[str, Any], where: str) -> dict[str, dict[str, str]]:
    try:
        found = {str(each["name"]): dict(each["digest"]) for each in statement["subject"]}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityFailure(f"the subjects of {where} cannot be read: {in_words(error):.80}") from error
    return found


def _differences(
    statement: Mapping[str, Any], document: dict[str, Any], files: Mapping[str, str], where: str
) -> Iterator[str]:
    """What a folder, its manifest and a statement say otherwise of each other."""
    subjects = _subjects(statement, where)
    whole = subjects.pop(OUTPUT, None)
    if whole != digest_set(document["output_digest"]):
        said = ":".join(next(iter(whole.items()), ("", ""))) if whole else "nothing"
        yield f"another model is attested: {said}, not {document['output_digest']}"
    for name, attested in sorted(subjects.items()):
        if name not in files:
            yield f"file {quoted(name)} is attested, and missing"
        elif attested != digest_set(files[name]):
            yield f"file {quoted(name)} hashes to {files[name]}, attested is sha256:{attested.get('sha256')}"
    for name in sorted(files.keys() - subjects.keys()):
        yield f"file {quoted(name)} is not attested"
    definition = statement["predicate"]["buildDefinition"]
    yield from _other_request(definition.get("externalParameters"), external(document))
    yield from _other_lineage(definition.get("resolvedDependencies"), resolved(document))


def _other_request(attested: Any, told: Mapping[str, Any]) -> Iterator[str]:
    found = attested if isinstance(attested, Mapping) else {}
    for what in sorted({*map(str, found), *told}):
        if found.get(what) != told.get(what):
            yield f"the {what.replace('_', ' ')} that is attested is not that of {MANIFEST}"


def _other_lineage(attested: Any, told: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    rows = attested if isinstance(attested, list) else []
    found = {str(each.get("name")): each for each in rows if isinstance(each, Mapping)}
    expected = {str(each["name"]): each for each in told}
    for name in sorted(found.keys() | expected.keys()):
        if name not in expected:
            yield f"it is attested to be made of {name}, which {MANIFEST} does not know"
        elif name not in found:
            yield f"it is made of {name}, which is not attested"
        else:
            own = {key: value for key, value in found[name].items() if key != "uri"}
            if own != expected[name]:
                yield f"{name} is attested otherwise than {MANIFEST} tells of it: {_differing(own, expected[name])}"


def _differing(attested: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    notes = [each["annotations"] if isinstance(each.get("annotations"), Mapping) else {} for each in (attested, told)]
    flat = [{**each, **more, "annotations": None} for each, more in zip((attested, told), notes, strict=True)]
    return ", ".join(sorted(key for key in flat[0].keys() | flat[1].keys() if flat[0].get(key) != flat[1].get(key)))


def _problem(what: str, where: object, hint: str = _HINT) -> Problem:
    return {"what": what, "where": str(where), "kind": "integrity", "hint": hint}

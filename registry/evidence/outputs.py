"""What an attestation can be of: a published folder that this store has made, and that is still where it was put."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from registry.audits.audit import audit, output_of
from registry.audits.folder import check_told
from registry.audits.recorded import made_of_output
from registry.directories import read_manifest
from registry.records.catalog import resolve
from registry.records.names import parse_reference
from registry.records.recipes import materializations, merge_recipes
from registry.records.tables import Materialization
from registry.targets import folder_instead
from storage.errors import IntegrityFailure, NotFound, UsageError


@dataclass(frozen=True)
class Output:
    """A published folder, its manifest, and the record of how it was made."""

    folder: Path
    document: Mapping[str, Any]
    made: Materialization


def find_output(session: Session, target: str | Path) -> Output:
    """The folder that a target means: itself, or the newest that was made of a merge, a recipe or an output.

    Raises UsageError for what was not merged, NotFound for what this store has not made, or has nowhere any more.
    """
    if isinstance(target, Path):
        return _of_folder(session, target)
    try:
        recorded = _recorded(session, target)
    except (UsageError, NotFound) as refusal:
        return _of_folder(session, folder_instead(target, refusal))
    found = next(still_there(recorded), None)
    if found is None:
        what = "was never materialized" if not recorded else "lies nowhere any more that this store has put it"
        raise NotFound(f"{target} {what}", hint=f"evidence is of files: mergestore materialize {target} -o DIR")
    return found


def _of_folder(session: Session, folder: Path) -> Output:
    document = read_manifest(folder)
    check_told(folder, document)
    known = made_of_output(session, document["output_digest"])
    if not known:
        raise NotFound(
            f"this store has not made {folder}: it does not know the output {document['output_digest']}",
            hint="use the store that made it; `mergestore verify` needs none",
        )
    return Output(folder, document, known[0])


def _recorded(session: Session, target: str) -> list[Materialization]:
    """What was made of a merge, a recipe or an output, newest first."""
    output = output_of(session, target)
    if output is not None:
        made = materializations(session, [output.recipe_digest])
        return [each for each in made if each.output_digest == output.output_digest]
    found = audit(session, target, newest=1)
    if found.recipe_digest is None:
        raise UsageError(
            f"{target} is a {found.kind}: only what was merged and materialized is attested",
            hint="a statement about a merge names every base and skill in it",
        )
    if found.name is None:
        return materializations(session, [found.recipe_digest])
    version = resolve(session, parse_reference(f"{found.name}@{found.version}"))
    return materializations(session, merge_recipes(session, version.id, version.digest))


def still_there(recorded: list[Materialization]) -> Iterator[Output]:
    """Those whose folders are where they were put, and are of them by their manifests."""
    for made in recorded:
        try:
            document = read_manifest(Path(made.path or "")) if made.path else {}
            if document and _is_of(made, document):
                check_told(Path(str(made.path)), document)
                yield Output(Path(str(made.path)), document, made)
        except (IntegrityFailure, UsageError, NotFound):
            continue  # gone, or damaged: verify tells of that


def _is_of(made: Materialization, document: Mapping[str, Any]) -> bool:
    same = (document["recipe_digest"], document["output_digest"])
    return (made.recipe_digest, made.output_digest) == same

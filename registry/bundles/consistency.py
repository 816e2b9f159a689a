"""Whether a manifest agrees with itself: lineage without cycles, parts that fit their kinds, nothing left over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from merging.recipes.semantics import SEMANTICS, methods_of
from merging.recipes.stored import read_recipe
from registry.bundles.attributes import check_attributes
from registry.bundles.manifest import Bundle, Entry, Parent
from registry.publishing import CARD, MANIFEST
from registry.tokens.companion_files import COMPANION
from registry.unified import FILE as UNIFIED
from registry.unified import KIND as DELTA
from registry.unified import keeps_vector
from storage.checkpoints.companions import is_companion, is_weights
from storage.digests import json_digest
from storage.errors import InputRefused, IntegrityFailure

SKILL_FILE = "delta.safetensors"
_KIND_OF_ROLE = {"base": "base", "skill": "skill", "head": "skill", "merge": "merge"}
_LONGEST_PATH = 255

Known = Mapping[str, tuple[str, str, str | None]]
"""By reference: kind, digest, and digest of the files beside the weights."""


def check_bundle(bundle: Bundle, where: str) -> None:
    """Raise IntegrityFailure naming what contradicts what; InputRefused for a merge by a method that is not known."""
    known = {need.reference: (need.kind, need.digest, need.files) for need in bundle.needs}
    if list(known) != sorted(need.reference for need in bundle.needs):
        raise IntegrityFailure(f"{where}: what is needed is told twice, or out of order")
    newest: dict[str, tuple[str, int]] = {}
    for entry in bundle.versions:
        for fault in _faults(entry, known, newest):
            raise IntegrityFailure(f"{where}: {entry.reference} {fault}")
        _check_recipe(entry, known, where)
        check_attributes(entry, where)
        known[entry.reference] = (entry.kind, *entry.content)
        newest[entry.name] = (entry.kind, entry.version)
    references = {entry.reference for entry in bundle.versions}
    if not bundle.named or not set(bundle.named) <= references or list(bundle.named) != sorted(set(bundle.named)):
        raise IntegrityFailure(f"{where}: what is named is not what there is")
    used = {parent.reference for entry in bundle.versions for parent in entry.parents} - references
    if used != {need.reference for need in bundle.needs}:
        raise IntegrityFailure(f"{where}: what is needed is not what versions were made from")
    if {blob for entry in bundle.versions for blob in entry.blobs} != bundle.blobs.keys():
        raise IntegrityFailure(f"{where}: its blobs are not those that versions are made of")


def _faults(entry: Entry, known: Known, newest: Mapping[str, tuple[str, int]]) -> Iterator[str]:
    if entry.reference in known:
        yield "is there twice"
    kind, before = newest.get(entry.name, (entry.kind, 0))
    if kind != entry.kind or before >= entry.version:
        yield "stands after a later version, or one of another kind"
    for parent in entry.parents:
        if parent.reference not in known:
            yield f"stands before what it was made from, {parent.reference}"
        elif known[parent.reference][0] != _KIND_OF_ROLE[parent.role]:
            yield f"was made from {parent.reference} as its {parent.role}, which is a {known[parent.reference][0]}"
    if list(entry.parents) != sorted(set(entry.parents)):
        yield "was made from the same twice, or from parents out of order"
    yield from _wrong_files(entry)
    yield from _wrong_statements(entry)
    yield from _OF_KIND[entry.kind](entry, known)


def _wrong_files(entry: Entry) -> Iterator[str]:
    paths = [file.path for file in entry.files]
    if paths != sorted(set(paths)):
        yield "has two files of one path, or files out of order"
    for file in entry.files:
        if not is_plain_path(file.path) or file.path in (MANIFEST, CARD):
            yield f"has a file of the path {file.path!r:.80}"
        elif file.kind == COMPANION and not is_companion(file.path):
            yield f"has a file beside its weights that no model is kept with: {file.path!r:.80}"


def is_plain_path(path: str) -> bool:
    """Whether a path stays below the folder that it is relative to."""
    sound = path.isprintable() and len(path) <= _LONGEST_PATH and "\\" not in path
    return sound and all(part not in ("", ".", "..") for part in path.split("/"))


def _wrong_statements(entry: Entry) -> Iterator[str]:
    if entry.kind != "skill" and (entry.base or entry.statistics):
        yield f"is a {entry.kind}, and has what only a skill has"
    if entry.kind != "merge" and (entry.recipe is not None or entry.outputs):
        yield f"is a {entry.kind}, and has what only a merge has"
    if len({each.digest for each in entry.statistics}) != len(entry.statistics):
        yield "has the same statistics twice"
    if not {each.subject_digest for each in entry.attestations} <= {each.output_digest for each in entry.outputs}:
        yield "has statements about what did not come out of it"


def _wrong_base(entry: Entry, known: Known) -> Iterator[str]:
    kinds = [file.kind for file in entry.files]
    if "weights" not in kinds or "delta" in kinds:
        yield "has no weights, or a delta"
    if not all(is_weights(file.path) for file in entry.files if file.kind == "weights"):
        yield "has weights in a file that is not called so"


def _wrong_skill(entry: Entry, known: Known) -> Iterator[str]:
    others = [file for file in entry.files if file.kind != COMPANION]
    if [(file.path, file.kind) for file in others] != [(SKILL_FILE, DELTA)]:
        yield f"has not just {SKILL_FILE}, and files beside it"
    if entry.base is None or Parent("base", entry.base) not in entry.parents:
        yield "was not made from its base"


def _wrong_merge(entry: Entry, known: Known) -> Iterator[str]:
    if entry.recipe is None or json_digest(dict(entry.recipe)) != entry.digest:
        yield "has not the recipe of its digest"
        return
    method = entry.recipe.get("method")
    expected = [(UNIFIED, DELTA)] if isinstance(method, str) and keeps_vector(method) else []
    if [(file.path, file.kind) for file in entry.files] != expected:
        yield f"has not the files of a merge by {method!r:.80}"
    if bool(expected) != ("unified" in entry.attributes):
        yield "tells of a vector that it has not, or does not tell of its own"


_OF_KIND = {"base": _wrong_base, "skill": _wrong_skill, "merge": _wrong_merge}


def _check_recipe(entry: Entry, known: Known, where: str) -> None:
    """That a merge was made from the inputs of its recipe, by a method that is known here."""
    if entry.recipe is None:
        return
    method, semantics = entry.recipe.get("method"), entry.recipe.get("semantics")
    if semantics in SEMANTICS and isinstance(method, str) and method not in methods_of(semantics):
        raise InputRefused(
            f"{where}: {entry.reference} is a merge by {method!r:.80}, a method that is not installed here",
            hint="install the package that brings it, or upgrade mergestore",
        )
    try:
        recipe = read_recipe(entry.recipe)
    except IntegrityFailure as error:
        raise IntegrityFailure(f"{where}: {entry.reference}: {error.message}", hint=error.hint) from error
    inputs = {("base", base) for base in (recipe.base, *(term.base for term in recipe.terms)) if base}
    inputs |= {("skill", term.skill) for term in recipe.terms}
    inputs |= {("head", recipe.head)} if recipe.head else set()
    found = [(parent.role, known[parent.reference][1]) for parent in entry.parents]
    files = [known[parent.reference][2] for parent in entry.parents if known[parent.reference][1] == recipe.base]
    if sorted(found) != sorted(inputs) or recipe.files not in files:
        raise IntegrityFailure(f"{where}: {entry.reference} was not made from the inputs of its recipe")

"""What a bundle says of itself: `bundle.json`, its first member. Written, and read from outside field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from registry.records.names import validate_name
from registry.records.tables import FILE_KINDS, KINDS, LINEAGE_ROLES, STATISTICS_KINDS
from storage.deltas.fields import Fields
from storage.digests import canonical_json, is_digest, json_digest, parse_json
from storage.errors import InputRefused, IntegrityFailure, UsageError

FORMAT = 1
NAME = "bundle.json"
LARGEST = 256 << 20
"""Bytes of the document that are read at most."""
_LARGEST_SIZE = 1 << 48
_LARGEST_NUMBER = 2**31 - 1
_LONGEST_PATH = 1000


@dataclass(frozen=True)
class File:
    """A file of a version, by its path in it: kind weights, companion or delta; size in bytes; the blob's digest."""

    path: str
    kind: str
    size: int
    blob: str


@dataclass(frozen=True)
class Outside:
    """A version that the bundle does not hold. ``files``: digest of the files beside its weights, if there are any."""

    kind: str
    name: str
    version: int
    digest: str
    files: str | None

    @property
    def reference(self) -> str:
        """``name@version`` in the store that it was left in."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Parent:
    """What a version was made from, and the part it had: a version before it in the bundle, or one outside."""

    role: str
    at: int | None = None
    outside: Outside | None = None


@dataclass(frozen=True)
class Collected:
    """Statistics of a skill."""

    kind: str
    digest: str
    blob: str
    model: str
    data: str
    examples: int
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Score:
    """A score of a version: who put it on record, and when."""

    metric: str
    value: float
    dataset: str
    details: Mapping[str, Any]
    by: str
    at: str


@dataclass(frozen=True)
class Made:
    """Where, as what, by whom and when (ISO 8601, UTC) a version was made first."""

    store: str
    name: str
    version: int
    by: str
    at: str


@dataclass(frozen=True)
class Part:
    """A version in a bundle.

    ``base``: which of a skill's parents its delta is from. ``recipe``: a merge's, as canonical JSON text. ``yanked``:
    why it was taken out of use.
    """

    kind: str
    name: str
    version: int
    digest: str
    licence: str | None
    source: str | None
    attributes: Mapping[str, Any]
    made: Made
    parents: tuple[Parent, ...]
    files: tuple[File, ...]
    statistics: tuple[Collected, ...] = ()
    scores: tuple[Score, ...] = ()
    base: int | None = None
    recipe: str | None = None
    yanked: str | None = None

    @property
    def reference(self) -> str:
        """``name@version`` in the store that it comes from."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Content:
    """Size in bytes, and the SHA-256 digest, of a blob."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Bundle:
    """Versions, each after those it was made from, and the blobs that they lie in, by BLAKE3 digest."""

    parts: tuple[Part, ...]
    blobs: Mapping[str, Content]

    def to_bytes(self) -> bytes:
        """Canonical JSON, which names its own digest."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "versions": [_part(part) for part in self.parts],
            "blobs": {digest: dict(vars(blob)) for digest, blob in self.blobs.items()},
        }
        return canonical_json(document | {"digest": json_digest(document)})

    @property
    def members(self) -> list[tuple[str, str, int]]:
        """The members after the document: (name, digest, bytes), in their order."""
        return [(member_name(digest), digest, self.blobs[digest].size) for digest in sorted(self.blobs)]


def member_name(digest: str) -> str:
    """The name of a blob's member."""
    return f"objects/{digest.replace(':', '/')}"


def _part(part: Part) -> dict[str, Any]:
    return {
        **vars(part),
        "attributes": dict(part.attributes),
        "made": dict(vars(part.made)),
        "parents": [_parent(parent) for parent in part.parents],
        "files": [dict(vars(file)) for file in part.files],
        "statistics": [{**vars(each), "settings": dict(each.settings)} for each in part.statistics],
        "scores": [{**vars(each), "details": dict(each.details)} for each in part.scores],
    }


def _parent(parent: Parent) -> dict[str, Any]:
    return {"role": parent.role, "at": parent.at, "outside": dict(vars(parent.outside)) if parent.outside else None}


def read_document(data: bytes, where: str) -> Bundle:
    """A bundle's document, every field checked. Raises IntegrityFailure naming what is wrong with it."""
    try:
        document = parse_json(data)
        canonical = canonical_json(document) == data
    except (ValueError, RecursionError, InputRefused) as error:
        raise IntegrityFailure(f"{where}: {NAME} is damaged: {error!s:.200}") from error
    found = Fields(document, f"{where}: {NAME}")
    if found.integer("format", 1, _LARGEST_NUMBER) != FORMAT:
        raise InputRefused(
            f"{where} is a bundle of format {document['format']}; this mergestore reads format {FORMAT}",
            hint="upgrade mergestore",
        )
    if not canonical:
        raise IntegrityFailure(f"{where}: {NAME} is no canonical JSON")
    found.only("format", "versions", "blobs", "digest")
    if json_digest({key: value for key, value in document.items() if key != "digest"}) != document.get("digest"):
        raise IntegrityFailure(f"{where}: {NAME} does not hash to its own digest", hint="copy the bundle again")
    blobs = {digest: _read_content(found, digest) for digest in found.mapping("blobs")}
    versions = document.get("versions")
    if not isinstance(versions, list) or not versions:
        raise found.fail("versions", "a list of versions")
    parts = tuple(_read_part(each, f"{where}: version {place}", place) for place, each in enumerate(versions))
    bundle = Bundle(parts, blobs)
    _check_whole(bundle, where)
    return bundle


def _read_content(found: Fields, digest: str) -> Content:
    if not is_digest(digest) or not digest.startswith("blake3:"):
        raise found.fail("blobs", "by digest")
    blob = Fields(found.document["blobs"][digest], f"{found.where}: {digest}")
    blob.only("size", "sha256")
    return Content(blob.integer("size", 0, _LARGEST_SIZE), _sha256(blob, "sha256"))


def _read_part(document: Any, where: str, place: int) -> Part:
    found = Fields(document, where)
    found.only(*Part.__dataclass_fields__)
    part = Part(
        kind=found.choice("kind", KINDS),
        name=_name(found),
        version=found.integer("version", 1, _LARGEST_NUMBER),
        digest=_sha256(found, "digest") if document["kind"] == "merge" else found.digest("digest"),
        licence=_optional(found, "licence"),
        source=_optional(found, "source"),
        attributes=found.mapping("attributes"),
        made=_read_made(found),
        parents=tuple(_read_parent(each, where, place) for each in _list(found, "parents")),
        files=tuple(_read_file(each, where) for each in _list(found, "files")),
        statistics=tuple(_read_statistics(each, where) for each in _list(found, "statistics")),
        scores=tuple(_read_score(each, where) for each in _list(found, "scores")),
        base=found.integer("base", 0, len(document["parents"]) - 1) if document["kind"] == "skill" else None,
        recipe=_optional(found, "recipe"),
        yanked=_optional(found, "yanked"),
    )
    misplaced = part.statistics or document.get("base") is not None
    if (part.recipe is not None) != (part.kind == "merge") or (misplaced and part.kind != "skill"):
        raise IntegrityFailure(f"{where}: a {part.kind} has no such parts")
    if len({file.path for file in part.files}) < len(part.files):
        raise IntegrityFailure(f"{where}: it has several files of one path")
    return part


def _read_made(found: Fields) -> Made:
    made = Fields(found.mapping("made"), f"{found.where}: made")
    made.only("store", "name", "version", "by", "at")
    version = made.integer("version", 1, _LARGEST_NUMBER)
    return Made(made.text("store"), _name(made), version, made.text("by"), made.text("at"))


def _read_parent(document: Any, where: str, place: int) -> Parent:
    found = Fields(document, f"{where}: parents")
    found.only("role", "at", "outside")
    role = found.choice("role", LINEAGE_ROLES)
    if found.document.get("outside") is None:
        return Parent(role, at=found.integer("at", 0, place - 1))
    if found.document.get("at") is not None:
        raise found.fail("at", "null beside outside")
    other = Fields(found.mapping("outside"), found.where)
    other.only("kind", "name", "version", "digest", "files")
    kind = other.choice("kind", KINDS)
    digest = _sha256(other, "digest") if kind == "merge" else other.digest("digest")
    files = None if other.document.get("files") is None else _sha256(other, "files")
    outside = Outside(kind, _name(other), other.integer("version", 1, _LARGEST_NUMBER), digest, files)
    return Parent(role, outside=outside)


def _read_file(document: Any, where: str) -> File:
    found = Fields(document, f"{where}: files")
    found.only("path", "kind", "size", "blob")
    path = found.text("path")
    names = path.split("/")
    odd = not path.isprintable() or "\\" in path or len(path) > _LONGEST_PATH
    if odd or any(name in ("", ".", "..") for name in names):
        raise found.fail("path", "a path within the model")
    kind = found.choice("kind", FILE_KINDS)
    if kind != "companion" and not path.endswith(".safetensors"):
        raise found.fail("path", "a safetensors file")
    return File(path, kind, found.integer("size", 0, _LARGEST_SIZE), found.digest("blob"))


def _read_statistics(document: Any, where: str) -> Collected:
    found = Fields(document, f"{where}: statistics")
    found.only(*Collected.__dataclass_fields__)
    return Collected(
        found.choice("kind", STATISTICS_KINDS),
        found.digest("digest"),
        found.digest("blob"),
        found.digest("model"),
        _sha256(found, "data"),
        found.integer("examples", 1, 1 << 53),
        found.mapping("settings"),
    )


def _read_score(document: Any, where: str) -> Score:
    found = Fields(document, f"{where}: scores")
    found.only(*Score.__dataclass_fields__)
    details = found.mapping("details")
    if not all(isinstance(value, str) for value in details.values()):
        raise found.fail("details", "texts by name")
    value = found.number("value")
    return Score(found.text("metric"), value, found.text("dataset"), details, found.text("by"), found.text("at"))


def _check_whole(bundle: Bundle, where: str) -> None:
    """Every blob is named, as large as it is, and none lies there for nothing; no version stands there twice."""
    named: set[str] = set()
    for part in bundle.parts:
        for file in part.files:
            if file.blob not in bundle.blobs or bundle.blobs[file.blob].size != file.size:
                raise IntegrityFailure(f"{where}: the blob of {part.reference}: {file.path} is not in it")
            named.add(file.blob)
        for each in part.statistics:
            if each.blob not in bundle.blobs:
                raise IntegrityFailure(f"{where}: the blob of the {each.kind} of {part.reference} is not in it")
            named.add(each.blob)
    if spare := set(bundle.blobs) - named:
        raise IntegrityFailure(f"{where}: nothing in it has the blob {min(spare)}")
    references = [part.reference for part in bundle.parts]
    if len(set(references)) < len(references):
        raise IntegrityFailure(f"{where}: it holds a version twice")
    kinds = {(part.name, part.kind) for part in bundle.parts}
    if len(kinds) > len({name for name, _ in kinds}):
        raise IntegrityFailure(f"{where}: one name is of several kinds")


def _name(found: Fields) -> str:
    try:
        return validate_name(found.text("name"))
    except UsageError as error:
        raise IntegrityFailure(f"{found.where}: {error.message}") from error


def _sha256(found: Fields, key: str) -> str:
    value = found.text(key)
    if not is_digest(value) or not value.startswith("sha256:"):
        raise found.fail(key, "a digest with its prefix, sha256:")
    return value


def _optional(found: Fields, key: str) -> str | None:
    return None if found.document.get(key) is None else found.text(key)


def _list(found: Fields, key: str) -> list[Any]:
    value = found.document.get(key)
    if not isinstance(value, list):
        raise found.fail(key, "a list")
    return value


def in_namespace(part: Part, namespace: str) -> Part:
    """The same version under a name of this namespace, whatever namespace it had."""
    return replace(part, name=f"{namespace}/{part.name.rpartition('/')[2]}")

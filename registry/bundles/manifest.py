"""What a bundle says of itself, as plain values: the JSON of docs/bundles.md. ``reading`` makes them of untrusted JSON.

Nothing is said here that the files of a bundle say themselves: tensors, deltas and what statistics are of are read
from them, when they are imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any

from storage.digests import canonical_json, json_digest, sha256_digest

FORMAT = 1
MANIFEST, ORIGIN = "manifest.json", "origin.json"
LARGEST_MANIFEST, LARGEST_ORIGIN = 16 << 20, 1 << 16
"""In bytes: more is not read."""


def blob_member(digest: str) -> str:
    """The name that a blob has in a bundle."""
    return f"blobs/{digest.replace(':', '/')}"


@dataclass(frozen=True)
class Act:
    """Who did something, when (UTC, ISO 8601 with microseconds), and in which store."""

    by: str
    at: str
    store: str


@dataclass(frozen=True)
class BundledFile:
    """A file of a version: its path and kind there, and the blob that it is."""

    path: str
    kind: str
    blob: str


@dataclass(frozen=True, order=True)
class Parent:
    """What a version was made from, ``name@version`` in this bundle, and its part."""

    role: str
    reference: str


@dataclass(frozen=True)
class Collected:
    """Statistics of a skill: their identity, and the blob that they lie in."""

    digest: str
    blob: str
    made: Act


@dataclass(frozen=True)
class Score:
    """An evaluation of a version."""

    metric: str
    value: float
    dataset: str
    details: Mapping[str, str]
    made: Act


@dataclass(frozen=True)
class Attested:
    """A statement about one of the outputs, by its digest: the document as it was signed."""

    predicate_type: str
    subject_digest: str
    document: str


@dataclass(frozen=True)
class Output:
    """What came out of a merge, or of a task of it, where it was computed: a statement, with which software."""

    recipe_digest: str
    output_digest: str
    device: str
    engine: str
    versions: Mapping[str, Any]
    made: Act


@dataclass(frozen=True)
class Entry:
    """One version. ``was``: its reference in the store that made it. ``base``: of a skill; ``recipe``: of a merge."""

    name: str
    version: int
    kind: str
    digest: str
    state: str
    reason: str | None
    licence: str | None
    source: str | None
    attributes: Mapping[str, Any]
    files: tuple[BundledFile, ...]
    parents: tuple[Parent, ...]
    base: str | None
    recipe: Mapping[str, Any] | None
    statistics: tuple[Collected, ...]
    evaluations: tuple[Score, ...]
    attestations: tuple[Attested, ...]
    outputs: tuple[Output, ...]
    was: str
    made: Act

    @property
    def reference(self) -> str:
        """``name@version``: how the bundle calls it."""
        return f"{self.name}@{self.version}"

    @property
    def content(self) -> tuple[str, str | None]:
        """What makes it the same version as another of its name: its digest, and that of the files beside it."""
        return self.digest, self.attributes.get("files")

    @property
    def blobs(self) -> Iterator[str]:
        """The blobs that it needs."""
        yield from (file.blob for file in self.files)
        yield from (each.blob for each in self.statistics)


@dataclass(frozen=True, order=True)
class Need:
    """A version that others in the bundle were made from, and that is not in it. ``files``: of what lies beside it."""

    reference: str
    kind: str
    digest: str
    files: str | None


@dataclass(frozen=True)
class BlobFacts:
    """Size in bytes and SHA-256 of a blob, which is named by its BLAKE3."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Bundle:
    """The manifest: ``named`` are the references that were asked for; parents stand before what was made from them."""

    named: tuple[str, ...]
    versions: tuple[Entry, ...]
    needs: tuple[Need, ...]
    blobs: Mapping[str, BlobFacts]

    @cached_property
    def data(self) -> bytes:
        """The manifest's bytes: canonical JSON."""
        return canonical_json({"format": FORMAT, **plain(self)})

    @cached_property
    def digest(self) -> str:
        """``sha256:…`` of the manifest's bytes, and so of all that is in the bundle: its identity."""
        return sha256_digest(self.data)


@dataclass(frozen=True)
class Origin:
    """Which bundle this is, by its digest, and who exported it: a statement, no part of the bundle's identity."""

    bundle: str
    generator: str
    exported: Act

    @property
    def data(self) -> bytes:
        """Its bytes: canonical JSON, with a digest of the rest."""
        document = plain(self)
        return canonical_json({**document, "digest": json_digest(document)})


def plain(value: Any) -> Any:
    """A value as JSON-ready ones."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value

"""The manifest and the origin of a bundle out of untrusted JSON: every field is checked before it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from registry.bundles.manifest import (
    FORMAT,
    MANIFEST,
    ORIGIN,
    Act,
    Attested,
    BlobFacts,
    Bundle,
    BundledFile,
    Collected,
    Entry,
    Need,
    Origin,
    Output,
    Parent,
    Score,
)
from registry.records.names import parse_reference, validate_name
from registry.records.tables import FILE_KINDS, KINDS, LINEAGE_ROLES
from registry.registering.training import check_meta
from storage.bounded import FEW_MARKS, refuse_marks
from storage.deltas.fields import Fields
from storage.digests import canonical_json, is_digest, parse_json, sha256_digest
from storage.errors import InputRefused, IntegrityFailure, UsageError

Value = TypeVar("Value")

_STATES = ("ready", "yanked")
_LARGEST_VERSION = 2**31 - 1
_LARGEST_BLOB = 1 << 50
_LONGEST = 10_000  # characters of a text that is shown in one line


def read_bundle(data: bytes, where: str) -> Bundle:
    """The manifest of a bundle. Raises InputRefused for a format that is not known, IntegrityFailure for all else."""
    reader = Fields(_document(data, f"{where}: {MANIFEST}"), f"{where}: {MANIFEST}")
    version = reader.integer("format", 1, 1 << 31)
    if version != FORMAT:
        raise InputRefused(
            f"{where}: bundles of format {version} are not known to this version, which reads {FORMAT}",
            hint="upgrade mergestore",
        )
    blobs = reader.mapping("blobs")
    bundle = Bundle(
        named=tuple(_reference(text, reader, "named") for text in _texts(reader, "named")),
        versions=_each(reader, "versions", _entry),
        needs=_each(reader, "needs", _need),
        blobs={name: _blob(name, Fields(blobs[name], f"{reader.where}: blob {name!r:.80}")) for name in blobs},
    )
    _refuse_other(bundle.data, data, reader.where)
    return bundle


def read_origin(data: bytes, manifest: bytes, where: str) -> Origin:
    """Who exported a bundle with this manifest. Raises IntegrityFailure where it is the origin of another."""
    reader = Fields(_document(data, f"{where}: {ORIGIN}"), f"{where}: {ORIGIN}")
    origin = Origin(_digest(reader, "bundle", "sha256"), _line(reader, "generator"), _act(reader, "exported"))
    _refuse_other(origin.data, data, reader.where)
    found = sha256_digest(manifest)
    if found != origin.bundle:
        raise IntegrityFailure(f"{where}: {MANIFEST} hashes to {found}, {ORIGIN} says {origin.bundle}")
    return origin


def _document(data: bytes, where: str) -> Any:
    try:
        refuse_marks(data, FEW_MARKS)
        document = parse_json(data.decode())
        sound = canonical_json(document) == data and all(map(_is_text, _all_texts(document)))
    except (ValueError, RecursionError, OverflowError) as error:  # InputRefused, too
        raise IntegrityFailure(f"{where} is not canonical JSON: {str(error).splitlines()[0]:.200}") from error
    if not sound:
        raise IntegrityFailure(f"{where} is not canonical JSON")
    return document


def _all_texts(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict | list):
        for each in document:
            yield from _all_texts(each)
        if isinstance(document, dict):
            yield from _all_texts(list(document.values()))


def _is_text(text: str) -> bool:
    return "\x00" not in text  # which no database holds


def _refuse_other(ours: bytes, data: bytes, where: str) -> None:
    """Every field was read, if what was read is written in the same bytes again."""
    if ours != data:
        raise IntegrityFailure(f"{where} has fields that format {FORMAT} does not have, or lacks some")


def _each(reader: Fields, key: str, read: Callable[[Fields], Value]) -> tuple[Value, ...]:
    values = reader.document.get(key)
    if not isinstance(values, list):
        raise reader.fail(key, "a list")
    return tuple(read(Fields(value, f"{reader.where}: {key} {place}")) for place, value in enumerate(values))


def _texts(reader: Fields, key: str) -> list[str]:
    values = reader.document.get(key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise reader.fail(key, "a list of texts")
    return values


def _entry(reader: Fields) -> Entry:
    entry = Entry(
        name=_name(reader),
        version=reader.integer("version", 1, _LARGEST_VERSION),
        kind=reader.choice("kind", KINDS),
        digest=_digest(reader, "digest"),
        state=reader.choice("state", _STATES),
        reason=_optional(reader, "reason", Fields.text),
        licence=_optional(reader, "licence", _line),
        source=_source(reader),
        attributes=reader.mapping("attributes"),
        files=_each(reader, "files", _file),
        parents=_each(reader, "parents", _parent),
        base=_optional(reader, "base", _field_reference),
        recipe=_optional(reader, "recipe", Fields.mapping),
        statistics=_each(reader, "statistics", _collected),
        evaluations=_each(reader, "evaluations", _score),
        attestations=_each(reader, "attestations", _attested),
        outputs=_each(reader, "outputs", _output),
        was=_field_reference(reader, "was"),
        made=_act(reader, "made"),
    )
    if (entry.kind == "merge") != entry.digest.startswith("sha256:"):
        raise reader.fail("digest", "sha256 of a merge's recipe, blake3 of a base or a skill")
    if (entry.state == "yanked") != bool((entry.reason or "").strip()):
        raise reader.fail("reason", "given for a version that is yanked, and for no other")
    if entry.reason is not None:
        _line(reader, "reason")
    return entry


def _need(reader: Fields) -> Need:
    return Need(
        _field_reference(reader, "reference"),
        reader.choice("kind", KINDS),
        _digest(reader, "digest"),
        _optional(reader, "files", lambda fields, key: _digest(fields, key, "sha256")),
    )


def _blob(name: str, reader: Fields) -> BlobFacts:
    if not is_digest(name) or not name.startswith("blake3:"):
        raise IntegrityFailure(f"{reader.where} has no digest for a name")
    return BlobFacts(reader.integer("size", 0, _LARGEST_BLOB), _digest(reader, "sha256", "sha256"))


def _file(reader: Fields) -> BundledFile:
    return BundledFile(reader.text("path"), reader.choice("kind", FILE_KINDS), _digest(reader, "blob", "blake3"))


def _parent(reader: Fields) -> Parent:
    return Parent(reader.choice("role", LINEAGE_ROLES), _field_reference(reader, "reference"))


def _collected(reader: Fields) -> Collected:
    return Collected(_digest(reader, "digest", "blake3"), _digest(reader, "blob", "blake3"), _act(reader, "made"))


def _score(reader: Fields) -> Score:
    value = reader.document.get("value")
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise reader.fail("value", "a number")
    metric, dataset = _line(reader, "metric"), _line(reader, "dataset")
    return Score(metric, float(value), dataset, _details(reader), _act(reader, "made"))


def _details(reader: Fields) -> dict[str, str]:
    try:
        return check_meta(reader.mapping("details"))
    except UsageError as error:
        raise reader.fail("details", f"lines by name ({error.message})") from error


def _attested(reader: Fields) -> Attested:
    return Attested(_line(reader, "predicate_type"), _digest(reader, "subject_digest"), reader.text("document"))


def _output(reader: Fields) -> Output:
    versions = reader.mapping("versions")
    if not all(isinstance(version, str | None) for version in versions.values()):
        raise reader.fail("versions", "a text for each name")
    return Output(
        _digest(reader, "recipe_digest", "sha256"),
        _digest(reader, "output_digest", "blake3"),
        _line(reader, "device"),
        _line(reader, "engine"),
        versions,
        _act(reader, "made"),
    )


def _act(reader: Fields, key: str) -> Act:
    inner = Fields(reader.document.get(key), f"{reader.where}: {key}")
    act = Act(_line(inner, "by"), _line(inner, "at"), _line(inner, "store"))
    if moment_text(act.at) != act.at:
        raise inner.fail("at", "a moment in UTC with microseconds")
    return act


def moment_text(moment: datetime | str) -> str | None:
    """A moment as bundles spell it; None for a text that is none."""
    try:
        found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return found.astimezone(UTC).isoformat(timespec="microseconds") if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _optional(reader: Fields, key: str, read: Callable[[Fields, str], Value]) -> Value | None:
    return None if reader.document.get(key) is None else read(reader, key)


def _digest(reader: Fields, key: str, algorithm: str = "") -> str:
    text = reader.text(key)
    if not is_digest(text) or not text.startswith(algorithm):
        raise reader.fail(key, f"a digest with its prefix{algorithm and f', {algorithm}:'}")
    return text


def _line(reader: Fields, key: str) -> str:
    text = reader.text(key)
    if not text.strip() or len(text) > _LONGEST or not text.isprintable():
        raise reader.fail(key, f"a line of 1 to {_LONGEST} characters")
    return text


def _source(reader: Fields) -> str | None:
    source = _optional(reader, "source", _line)
    if source is not None and not source.startswith("hf:"):
        raise reader.fail("source", "one that others can reach, hf:…, or null")
    return source


def _name(reader: Fields) -> str:
    try:
        return validate_name(reader.text("name"))
    except UsageError as error:
        raise IntegrityFailure(f"{reader.where}: {error.message}") from error


def _field_reference(reader: Fields, key: str) -> str:
    return _reference(reader.text(key), reader, key)


def _reference(text: str, reader: Fields, key: str) -> str:
    try:
        found = parse_reference(text)
    except UsageError as error:
        raise IntegrityFailure(f"{reader.where}: {key}: {error.message}") from error
    if found.version is None or found.version > _LARGEST_VERSION:
        raise IntegrityFailure(f"{reader.where}: {key} must be NAME@VERSION, found {text!r:.80}")
    return text

"""What is said of a version beside its content: which of it leaves a store, and whether it has the shape it has here.

What the files of a version say themselves is compared with them (``contents``); the rest is what somebody states.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry.bundles.manifest import Entry
from registry.records.imports import IMPORTED
from registry.registering.training import check_meta
from storage.deltas.fields import Fields
from storage.digests import is_digest
from storage.errors import UsageError

_OF_THIS_STORE = (IMPORTED, "referenced")
_PLAIN = (str, int, float, bool)


def exported(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What leaves the store: all but where files lie on this machine, and from where the version was imported."""
    return {key: value for key, value in attributes.items() if key not in _OF_THIS_STORE}


def check_attributes(entry: Entry, where: str) -> None:
    """Raise IntegrityFailure for an attribute that has not the shape that is counted on here."""
    fields = Fields(dict(entry.attributes), f"{where}: {entry.reference}: attributes")
    for key in _OF_THIS_STORE:
        if key in fields.document:
            raise fields.fail(key, "left out: it is of one store only")
    _CHECKS[entry.kind](fields)
    if "training" in fields.document:
        _check_training(fields)


def _check_base(fields: Fields) -> None:
    _sha256(fields, "files")
    if fields.document.get("config") is not None:
        fields.text("config")


def _check_skill(fields: Fields) -> None:
    for key in ("notes", "head"):
        _each(fields, key, (str,))
    fields.digest("fine_tuned")
    for key in ("files", "adapter"):
        if key in fields.document:
            _sha256(fields, key)
    if "tokens" in fields.document:
        fields.integer("tokens", 1, 1 << 31)
    if "grown" in fields.document and len(_each(fields, "grown", (int,))) != 2:
        raise fields.fail("grown", "two numbers of rows")


def _check_merge(fields: Fields) -> None:
    fields.text("expression")
    if "unified" in fields.document:
        told = Fields(fields.document["unified"], f"{fields.where}: unified")
        told.only("digest", "stored_bytes", "vector_bytes", "skills_bytes", "skills")
        told.digest("digest")
        for key in ("stored_bytes", "vector_bytes", "skills_bytes"):
            told.integer(key, 0, 1 << 50)
        for each in _each(told, "skills", (dict,)):
            _check_share(Fields(each, f"{told.where}: skills"))


def _check_share(fields: Fields) -> None:
    fields.only("skill", "scale", "agreeing", "stored_bytes", "skill_bytes")
    fields.text("skill")
    for key in ("scale", "agreeing"):
        fields.number(key)
    for key in ("stored_bytes", "skill_bytes"):
        fields.integer(key, 0, 1 << 50)


def _check_training(fields: Fields) -> None:
    training = Fields(fields.mapping("training"), f"{fields.where}: training")
    for origin in training.document:
        known = training.mapping(origin)
        values = [each for value in known.values() for each in (value if isinstance(value, list) else [value])]
        if not all(isinstance(value, _PLAIN) for value in values):
            raise training.fail(origin, "plain values by name")
    try:
        check_meta(training.document.get("meta"))
    except UsageError as error:
        raise training.fail("meta", f"what can be said with --meta ({error.message})") from error


def _sha256(fields: Fields, key: str) -> None:
    text = fields.text(key)
    if not is_digest(text) or not text.startswith("sha256:"):
        raise fields.fail(key, "a digest with its prefix, sha256:")


def _each(fields: Fields, key: str, kinds: tuple[type, ...]) -> list[Any]:
    values = fields.document.get(key)
    if not isinstance(values, list) or not all(type(value) in kinds for value in values):
        raise fields.fail(key, f"a list of {' or '.join(kind.__name__ for kind in kinds)}")
    return values


_CHECKS = {"base": _check_base, "skill": _check_skill, "merge": _check_merge}

"""What a statistics file says of itself. Its digest is the statistics' identity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from storage.digests import blake3_digest, canonical_json, is_digest
from storage.errors import IntegrityFailure, MergestoreError, in_words
from storage.statistics.triangle import elements_of

FORMAT = 1
Kind = Literal["gram", "fisher"]
KINDS: tuple[Kind, ...] = ("gram", "fisher")
_LARGEST = 1 << 48


@dataclass(frozen=True)
class Payload:
    """Values that are stored once: of a Fisher information all, of a Gram matrix (columns given) the lower triangle.

    ``rows``: of how many inputs a Gram matrix is the average.
    """

    elements: int
    content: str
    columns: int | None = None
    rows: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of it."""
        gram = {} if self.columns is None else {"columns": self.columns, "rows": self.rows}
        return {"elements": self.elements, "content": self.content, **gram}


@dataclass(frozen=True)
class Use:
    """Which payload holds what was collected for a tensor; ``transposed``: the tensor's first axis is its inputs."""

    payload: str
    transposed: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of it."""
        return {"payload": self.payload, **({"transposed": True} if self.transposed else {})}


@dataclass(frozen=True)
class Manifest:
    """Kind, skill, model, data and settings of what was collected, and what there is for each of the base's tensors.

    ``model``: digest of the model that was run. ``data``: SHA-256 of the data file, of which so many ``examples``
    were used. ``norm``: of Fisher information, the root of its mean square over the model.
    """

    kind: Kind
    skill: str
    model: str
    data: str
    examples: int
    settings: Mapping[str, Any]
    payloads: Mapping[str, Payload]
    tensors: Mapping[str, Use]
    norm: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON document that is digested."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "skill": self.skill,
            "model": self.model,
            "data": self.data,
            "examples": self.examples,
            "settings": dict(self.settings),
            "payloads": {name: payload.to_dict() for name, payload in self.payloads.items()},
            "tensors": {name: use.to_dict() for name, use in self.tensors.items()},
            **({} if self.norm is None else {"norm": self.norm}),
        }

    @property
    def digest(self) -> str:
        """``blake3:…`` of the canonical JSON."""
        return blake3_digest(canonical_json(self.to_dict()))


def read_manifest(document: Any, where: str) -> Manifest:
    """A manifest from its JSON, every field checked. Raises IntegrityFailure naming ``where`` it stands."""
    try:
        if document["format"] != FORMAT:
            raise IntegrityFailure(
                f"{where}: statistics of format {document['format']!r} are not known here", hint="upgrade mergestore"
            )
        manifest = Manifest(
            kind=document["kind"],
            skill=document["skill"],
            model=document["model"],
            data=document["data"],
            examples=document["examples"],
            settings=document["settings"],
            payloads={name: Payload(**payload) for name, payload in document["payloads"].items()},
            tensors={
                name: Use(use["payload"], use.get("transposed", False)) for name, use in document["tensors"].items()
            },
            norm=document.get("norm"),
        )
        sound = manifest.to_dict() == document and _sound(manifest)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, MergestoreError):
            raise
        raise IntegrityFailure(f"{where}: damaged manifest of statistics: {in_words(error):.200}") from error
    if not sound:
        raise IntegrityFailure(f"{where}: damaged manifest of statistics: fields unknown, missing or out of range")
    return manifest


def _sound(manifest: Manifest) -> bool:
    digests = (manifest.skill, manifest.model, *(payload.content for payload in manifest.payloads.values()))
    return (
        manifest.kind in KINDS
        and all(is_digest(digest) for digest in (*digests, manifest.data))
        and all(digest.startswith("blake3:") for digest in digests)
        and _whole(manifest.examples, 1)
        and isinstance(manifest.settings, dict)
        and (manifest.norm is not None) == (manifest.kind == "fisher")
        and (manifest.norm is None or _norm(manifest.norm))
        and all(_fits(manifest.kind, payload) for payload in manifest.payloads.values())
        and {use.payload for use in manifest.tensors.values()} == set(manifest.payloads)
        and all(manifest.kind == "gram" or not use.transposed for use in manifest.tensors.values())
    )


def _norm(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _fits(kind: Kind, payload: Payload) -> bool:
    if not _whole(payload.elements, 0):
        return False
    if kind == "fisher":
        return payload.columns is None and payload.rows is None
    columns, rows = payload.columns, payload.rows
    return _whole(columns, 1) and _whole(rows, 1) and payload.elements == elements_of(columns or 0)


def _whole(value: object, low: int) -> bool:
    return type(value) is int and low <= value < _LARGEST

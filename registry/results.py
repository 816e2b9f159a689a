"""What the Store's verbs return: plain values whose ``to_dict`` is the JSON that ``--json`` prints."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Result:
    """Base of every answer: a frozen value that spells itself as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True)
class VersionRef(Result):
    """One version of one name."""

    name: str
    version: int
    digest: str


@dataclass(frozen=True)
class RegisteredBase(Result):
    """Answer of ``register base``; ``created`` is False when this content was registered before."""

    name: str
    version: int
    digest: str
    tensors: int
    parameters: int
    bytes: int
    created: bool
    referenced: bool
    licence: str | None
    source: str


@dataclass(frozen=True)
class RegisteredSkill(Result):
    """Answer of ``register skill``; ``notes`` are findings a person should read (advice, prefix, heads)."""

    name: str
    version: int
    digest: str
    base: VersionRef
    encoding: str
    values: str | None
    drop_rate: float | None
    seed: int | None
    stored_bytes: int
    bits_per_parameter: float
    statistics: dict[str, Any]
    notes: list[str]
    created: bool
    licence: str | None
    source: str


@dataclass(frozen=True)
class Merged(Result):
    """Answer of ``merge``: a named, versioned recipe."""

    name: str
    version: int
    recipe_digest: str
    recipe: dict[str, Any]
    expression: str
    created: bool


@dataclass(frozen=True)
class Materialized(Result):
    """Answer of ``materialize``."""

    recipe_digest: str
    output_digest: str
    path: str
    device: str
    seconds: float
    cached: bool
    materialization_id: str
    mlflow_run_id: str | None
    bytes: int
    notes: list[str]


@dataclass(frozen=True)
class Audit(Result):
    """Answer of ``audit``: the lineage graph of one name down to bases and skills."""

    name: str
    version: int
    kind: str
    digest: str
    recipe_digest: str | None
    recipe: dict[str, Any] | None
    lineage: dict[str, list[dict[str, Any]]]  # {"nodes": [...], "edges": [...]}
    materializations: list[dict[str, Any]]
    events: list[dict[str, Any]]


@dataclass(frozen=True)
class Verification(Result):
    """Answer of ``verify``: ``problems`` each name what, where and what to do; ``checked`` counts by kind."""

    ok: bool
    checked: dict[str, int]
    problems: list[dict[str, Any]]


@dataclass(frozen=True)
class Listing(Result):
    """Answer of ``list``: arrays of {name, version, digest, state, created_at, …}, newest versions only."""

    bases: list[dict[str, Any]] = field(default_factory=list)
    skills: list[dict[str, Any]] = field(default_factory=list)
    merges: list[dict[str, Any]] = field(default_factory=list)

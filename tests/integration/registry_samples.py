"""Small records for tests of the registry."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.records import catalog, contents, lineage, recipes
from registry.records.contents import BlobRow, DeltaRow, FileRow, TensorRow
from registry.records.tables import AuditEvent, Materialization, ModelVersion, Recipe
from storage.digests import blake3_digest, canonical_json

ME = "me@host"


def digest(word: str) -> str:
    return blake3_digest(word.encode())


def make(session: Session, name: str, kind: str = "skill", content: str = "", **more: Any) -> ModelVersion:
    return catalog.create_model_version(session, name=name, kind=kind, digest=digest(content or name), actor=ME, **more)


def actions(session: Session) -> list[str]:
    return list(session.scalars(select(AuditEvent.action).order_by(AuditEvent.sequence)))


FILES = [
    FileRow("model.safetensors", "weights", 100, blob_digest=digest("weights")),
    FileRow("config.json", "companion", 10, referenced_path="/models/llama/config.json", referenced_digest=digest("c")),
]
TENSORS = [
    TensorRow("b.weight", "BF16", (2, 3), digest("t1"), 12, "model.safetensors", 8, {"norm": 1.25}),
    TensorRow("a/weight é", "F32", (), digest("t2"), 4, "model.safetensors", 2**40),
    TensorRow("B", "I64", (0, 4), digest("t3"), 0),
]


def skill(session: Session, base: ModelVersion, name: str, model: str | None = None) -> ModelVersion:
    """A whole skill: version, blob, file, delta and lineage; of the model ``model``, if not of its own name."""
    version = make(session, model or name, content=name)
    contents.record_blobs(session, [BlobRow(digest(name), 5, "delta")])
    contents.add_files(session, version, [FileRow("delta.safetensors", "delta", 5, digest(name))], actor=ME)
    row = DeltaRow(base.id, "dare", digest(name), 5, "int4", 0.9, 7, {"block": 128}, {"norm": 0.5})
    contents.add_delta(session, version, row, actor=ME)
    lineage.add_lineage(session, version, [(base, "base")], actor=ME)
    return version


RECIPE = canonical_json({"method": "dare_ties", "inputs": [1, 0.6], "text": "é"}).decode()


def record(session: Session, *inputs: ModelVersion) -> Recipe:
    rows = [recipes.InputRow(version.id, "skill", 0.6) for version in inputs]
    return recipes.record_recipe(session, canonical=RECIPE, method="dare_ties", inputs=rows, actor=ME)


def made(recipe: Recipe, name: str, **more: Any) -> Materialization:
    fields: dict[str, Any] = {
        **{"id": name, "recipe_digest": recipe.digest, "output_digest": digest("out"), "device": "cpu"},
        **{"engine": "numba", "versions": {"numpy": "2"}, "seconds": 1.5, "bytes": 2**40, "path": "/out"},
        **{"cached": False, "created_by": ME},
    }
    return Materialization(**fields | more)

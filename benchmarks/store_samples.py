"""A store of any number of skills, made by the code that writes real records; its bytes do not exist.

    python -m benchmarks.store_samples DATABASE_URL SKILLS

One base; every twentieth skill has three versions; every tenth an alias; a yanked version in every hundred. A merge for
every 30 skills and one of 64: every other one was materialized, often, and every fourth was evaluated. An expression
that no merge names for every skill. Ten materializations a skill in all, over a year, by ten people, half of them with
older software, all delivered to MLflow.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

import migrations
from registry import merges
from registry.home import Home
from registry.records import aliases, catalog, contents, evaluations, lineage, outbox, readiness, recipes
from registry.records.contents import BlobRow, DeltaRow, FileRow, TensorRow
from registry.records.database import open_engine, reading, writing
from registry.records.tables import Materialization, Model, ModelVersion, StoreMeta
from storage.digests import blake3_digest

ACTOR = "bench@host"
TERMS = 64
_TENSORS = 8
_FIRST = datetime(2025, 11, 1, tzinfo=UTC)
_PREFIXES = {"prefix": "", "dropped_prefix": ""}
_STATISTICS = {"elements": 1 << 20, "kept": 104_857, "minimum": -0.004, "maximum": 0.004, "norm": 1.02}


def skill_name(number: int) -> str:
    """The name of a skill: teams of a hundred."""
    return f"team{number // 100}/skill-{number:05}"


def fill(engine: Engine, skills: int) -> None:
    """Write the records of a store with this many skills, in one transaction."""
    merged = list(_merged(skills))
    often = 5 * skills // max(1, (len(merged) + 1) // 2)
    with writing(engine) as session:
        base = _base(session)
        for number in range(skills):
            _skill(session, base, number)
        for number, terms in enumerate(merged):
            _merge(session, f"merge-{number:04}", terms, made=often if number % 2 == 0 else 0, scored=number % 4 == 0)
        for number in range(skills):
            _unnamed(session, number, skills)


def copy(source: Engine, target: Engine) -> None:
    """Every record of one database in another, new one of the same schema: quicker than to write them anew."""
    with reading(source) as session, writing(target) as written:
        connection = written.connection()
        connection.execute(StoreMeta.__table__.delete())
        for table in Model.metadata.sorted_tables:
            for rows in session.execute(table.select().execution_options(yield_per=1000)).mappings().partitions():
                connection.execute(table.insert(), [dict(row) for row in rows])
    if target.dialect.name == "postgresql":  # a server does so by itself, a minute later
        with target.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in Model.metadata.sorted_tables:  # numbers that were copied were not drawn
                if (column := table.autoincrement_column) is not None:
                    sequence = f"pg_get_serial_sequence('{table.name}', '{column.name}')"
                    connection.exec_driver_sql(f"SELECT setval({sequence}, max({column.name})) FROM {table.name}")
            connection.exec_driver_sql("ANALYZE")


def output_digest(number: int) -> str:
    """Of what was made of a merge."""
    return _digest(f"output merge-{number:04}")


def expression(terms: int) -> str:
    """An expression over this many skills that are ready."""
    return "llama" + "".join(f" + {1 / terms:.4g}*{skill_name(number)}" for number in range(terms))


_NOWHERE = Home(Path())  # nothing is read of it: these versions have no files


def _base(session: Session) -> ModelVersion:
    attributes = {"files": _digest("files")}
    base = catalog.create_model_version(
        session, name="llama", kind="base", digest=_digest("llama"), actor=ACTOR, attributes=attributes
    )
    contents.record_blobs(session, [BlobRow(_digest("weights"), 10**9, "weights")])
    weights = FileRow("model.safetensors", "weights", 10**9, blob_digest=_digest("weights"))
    contents.add_files(session, base, [weights], actor=ACTOR)
    tensors = [
        TensorRow(name, "BF16", (1024, 1024), _digest(name), 1 << 21, "model.safetensors", place << 21)
        for place, name in enumerate(_tensor_names())
    ]
    contents.add_tensors(session, base, tensors, actor=ACTOR)
    return base


def _skill(session: Session, base: ModelVersion, number: int) -> None:
    for version in range(1, 4 if number % 20 == 19 else 2):
        made = _skill_version(session, base, number, version)
        if number % 10 == 9:
            aliases.set_alias(session, made, "prod", actor=ACTOR)
        if number % 100 == 99 and version == 3:
            readiness.yank(session, made, "trained on the test set", actor=ACTOR)


def _skill_version(session: Session, base: ModelVersion, number: int, version: int) -> ModelVersion:
    return record_version(session, base, number, version, BlobRow(_digest(f"blob {number} {version}"), 10**7, "delta"))


def record_version(session: Session, base: ModelVersion, number: int, version: int, blob: BlobRow) -> ModelVersion:
    """One version of a skill, with everything that registering one records; ``blob`` is its delta."""
    name, content = skill_name(number), f"{number} {version}"
    made = catalog.create_model_version(
        session,
        name=name,
        kind="skill",
        digest=_digest(content),
        actor=ACTOR,
        licence=("Apache-2.0", "MIT", "CC-BY-NC-4.0")[number % 3],
        source=f"/models/{name}",
        attributes={"notes": [], "head": [], "training": {"meta": {"dataset": f"data-{number % 100}"}}},
    )
    contents.record_blobs(session, [blob])
    file = FileRow("delta.safetensors", "delta", blob.size, blob_digest=blob.digest)
    contents.add_files(session, made, [file], actor=ACTOR)
    tensors = [
        TensorRow(each, "BF16", (1024, 1024), _digest(f"{content} {each}"), 0, statistics=_STATISTICS)
        for each in _tensor_names()
    ]
    contents.add_tensors(session, made, tensors, actor=ACTOR)
    statistics = {"total": {**_STATISTICS, "share_unchanged": 0.1}, "advice": []}
    delta = DeltaRow(base.id, "dare", blob.digest, blob.size, "int4", 0.9, number % 50, _PREFIXES, statistics)
    contents.add_delta(session, made, delta, actor=ACTOR)
    lineage.add_lineage(session, made, [(base, "base")], actor=ACTOR)
    return made


def _merged(skills: int) -> Iterator[range]:
    """Which skills each merge combines."""
    yield range(min(TERMS, skills))
    yield from (range(start, min(start + 3, skills)) for start in range(0, skills, 30))


def _merge(session: Session, name: str, terms: range, *, made: int, scored: bool) -> None:
    text = "llama" + "".join(f" + 0.3*{skill_name(number)}" for number in terms)
    resolved = merges.resolve_expression(session, _NOWHERE, text, merges.Choices("dare_ties"))
    merges.record_merge(session, name, resolved, actor=ACTOR)
    version = catalog.resolve(session, name)
    for turn in range(made):
        record_materialization(session, name, resolved.recipe.digest, version, turn)
    if scored:
        evaluations.add_evaluation(
            session, version=version, recipe_digest=version.digest, metric="accuracy", value=0.5, dataset="held-out",
            details={}, actor=ACTOR,
        )  # fmt: skip


def _unnamed(session: Session, number: int, skills: int) -> None:
    """An expression over two skills, materialized five times."""
    text = f"llama + 0.5*{skill_name(number)} + 0.5*{skill_name((number + 7) % skills)}"
    resolved = merges.resolve_expression(session, _NOWHERE, text, merges.Choices("linear"))
    merges.record(session, resolved, actor=ACTOR)
    for turn in range(5):
        record_materialization(session, f"unnamed-{number}", resolved.recipe.digest, None, turn)


def record_materialization(session: Session, name: str, recipe: str, version: ModelVersion | None, turn: int) -> None:
    """One computation of a recipe, delivered to MLflow."""
    # Spread over a year, so that dates choose a few of many.
    moment = _FIRST + timedelta(seconds=int(hashlib.sha256(f"{name} {turn}".encode()).hexdigest()[:6], 16) * 2)
    made = Materialization(
        id=hashlib.sha256(f"{name} {turn}".encode()).hexdigest()[:36],
        recipe_digest=recipe,
        merge_version_id=version.id if version is not None else None,
        output_digest=_digest(f"output {name}"),
        device="cuda" if turn % 10 == 9 else "cpu",
        engine="numba",
        versions={"python": "3.11", "numba": "0.68", "mergestore": "0.1.0" if turn % 2 else "0.0.9"},
        seconds=2.0,
        bytes=10**9,
        path=f"/out/{name}",
        cached=turn == 0,
        created_at=moment,
        created_by=f"person-{turn % 10}@host",
    )
    told = {"recipe_digest": made.recipe_digest}
    message = outbox.add(session, kind=outbox.MATERIALIZATION, key=made.id, payload=told)
    recipes.record_materialization(session, made, message=message)
    outbox.mark_delivered(session, message.id)
    recipes.set_mlflow_run(session, made.id, made.id[:32], actor=made.created_by)


def _tensor_names() -> list[str]:
    return [f"model.layers.{layer}.mlp.down_proj.weight" for layer in range(_TENSORS)]


def _digest(word: str) -> str:
    return blake3_digest(word.encode())


def main() -> None:
    url, skills = sys.argv[1:]
    engine = open_engine(url)
    migrations.upgrade(engine)
    fill(engine, int(skills))
    engine.dispose()


if __name__ == "__main__":
    main()

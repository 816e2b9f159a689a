from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import create_engine, event, select, text
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from registry.records.columns import Record
from registry.records.tables import (
    ENCODINGS,
    Alias,
    Blob,
    Delta,
    Evaluation,
    Lease,
    LineageEdge,
    Model,
    ModelVersion,
    Recipe,
    RecipeInput,
    StoreMeta,
    Tensor,
    VersionFile,
)

A, B = "blake3:" + "a" * 64, "blake3:" + "b" * 64
MOMENT = datetime(2025, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture
def session() -> Iterator[Session]:
    """Two models: math with versions 1 and 2 (ids 1 and 2), code with version 1 (id 3)."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
    Record.metadata.create_all(engine)
    with Session(engine) as session:
        math, code = (Model(name=name, kind="skill", created_by="me") for name in ("math", "code"))
        for model, version in ((math, 1), (math, 2), (code, 1)):
            session.add(ModelVersion(model=model, version=version, digest=A, created_by="me"))
            session.flush()
        session.add(Blob(digest=A, size=1, kind="weights"))
        session.add(VersionFile(version_id=1, path="model.safetensors", kind="weights", size=1, blob_digest=A))
        session.add(Recipe(digest=A, canonical="{}", method="linear"))
        session.commit()
        yield session
    engine.dispose()


def delta(**changes: object) -> Delta:
    fields: dict[str, object] = {
        **{"version_id": 2, "base_version_id": 1, "encoding": "dare", "values": "int4", "drop_rate": 0.9},
        **{"seed": 0, "blob_digest": A, "stored_bytes": 1},
    }
    return Delta(**fields | changes)


def tensor(**changes: object) -> Tensor:
    fields: dict[str, object] = {
        **{"version_id": 1, "name": "w", "dtype": "F32", "shape": [2, 2], "digest": A},
        **{"file": "model.safetensors", "offset": 8, "nbytes": 16},
    }
    return Tensor(**fields | changes)


def file(**changes: object) -> VersionFile:
    fields: dict[str, object] = {"version_id": 1, "path": "f", "kind": "companion", "size": 1, "blob_digest": A}
    return VersionFile(**fields | changes)


REFUSED = {
    "kind of model": lambda: Model(name="x", kind="adapter", created_by="me"),
    "name taken": lambda: Model(name="math", kind="base", created_by="me"),
    "version 0": lambda: ModelVersion(model_id=1, version=0, digest=A, created_by="me"),
    "version taken": lambda: ModelVersion(model_id=1, version=2, digest=A, created_by="me"),
    "unknown state": lambda: ModelVersion(model_id=1, version=3, digest=A, state="gone", reason="x", created_by="me"),
    "yanked without reason": lambda: ModelVersion(model_id=1, version=3, digest=A, state="yanked", created_by="me"),
    "half a digest": lambda: ModelVersion(model_id=1, version=3, digest="blake3:12", created_by="me"),
    "unknown model": lambda: ModelVersion(model_id=9, version=1, digest=A, created_by="me"),
    "alias of another model": lambda: Alias(model_id=1, alias="prod", version_id=3, updated_by="me"),
    "negative size": lambda: Blob(digest=B, size=-1, kind="delta"),
    "kind of blob": lambda: Blob(digest=B, size=1, kind="picture"),
    "file nowhere": lambda: file(blob_digest=None),
    "file in two places": lambda: file(referenced_path="/model/f"),
    "file in an unknown blob": lambda: file(blob_digest=B),
    "tensor in an unknown file": lambda: tensor(file="other.safetensors"),
    "tensor without offset": lambda: tensor(offset=None),
    "tensor at a negative offset": lambda: tensor(offset=-8),
    "tensor of negative size": lambda: tensor(nbytes=-1, file=None, offset=None),
    "unknown encoding": lambda: delta(encoding="zip"),
    "unknown values": lambda: delta(values="int3"),
    "drop rate of one": lambda: delta(drop_rate=1.0),
    "negative drop rate": lambda: delta(drop_rate=-0.1),
    "negative seed": lambda: delta(seed=-1),
    "dare without a seed": lambda: delta(seed=None),
    "dare without values": lambda: delta(values=None),
    "delta of an unknown blob": lambda: delta(blob_digest=B),
    "base younger than its skill": lambda: delta(version_id=1, base_version_id=2),
    "lineage to itself": lambda: LineageEdge(child_version_id=1, parent_version_id=1, role="base"),
    "lineage backwards": lambda: LineageEdge(child_version_id=1, parent_version_id=2, role="base"),
    "lineage of unknown role": lambda: LineageEdge(child_version_id=2, parent_version_id=1, role="friend"),
    "input of an unknown recipe": lambda: RecipeInput(recipe_digest=B, position=0, version_id=1, role="base"),
    "input of unknown role": lambda: RecipeInput(recipe_digest=A, position=0, version_id=1, role="tail"),
    "score of nothing": lambda: Evaluation(metric="acc", value=1.0, dataset="d", created_by="me"),
    "lease that never was": lambda: Lease(name="x", holder="me", acquired_at=MOMENT, expires_at=MOMENT),
}


@pytest.mark.parametrize("wrong", REFUSED.values(), ids=REFUSED.keys())
def test_the_schema_refuses(session: Session, wrong: object) -> None:
    session.add(wrong())  # type: ignore[operator]
    with pytest.raises(IntegrityError):
        session.flush()


@pytest.mark.parametrize(
    "right",
    [
        lambda: delta(),
        lambda: delta(encoding="exact", values=None, drop_rate=None, seed=None),
        lambda: delta(drop_rate=0.0, seed=2**53 - 1, stored_bytes=2**40),
        lambda: tensor(),
        lambda: tensor(file=None, offset=None, shape=[], statistics={"norm": 1.5}),
        lambda: tensor(offset=2**40, nbytes=2**40),
        lambda: file(blob_digest=None, referenced_path="/model/f"),
        lambda: LineageEdge(child_version_id=2, parent_version_id=1, role="base"),
        lambda: Alias(model_id=1, alias="prod", version_id=2, updated_by="me"),
    ],
)
def test_the_schema_accepts(session: Session, right: object) -> None:
    session.add(right())  # type: ignore[operator]
    session.commit()


@pytest.mark.parametrize("table", ["model", "model_version", "blob", "version_file", "recipe"])
def test_what_is_used_cannot_be_deleted(session: Session, table: str) -> None:
    session.add_all([tensor(), delta(), Alias(model_id=1, alias="prod", version_id=2, updated_by="me")])
    session.add(RecipeInput(recipe_digest=A, position=0, version_id=1, role="base"))
    session.commit()
    with pytest.raises(IntegrityError):
        session.execute(text(f"DELETE FROM {table}"))


def test_ids_of_versions_are_never_used_again(session: Session) -> None:
    newest = session.get_one(ModelVersion, 3)
    session.delete(newest)
    session.flush()
    version = ModelVersion(model_id=1, version=3, digest=A, created_by="me")
    session.add(version)
    session.flush()
    assert version.id == 4


def test_every_kind_of_encoding_is_known_to_the_schema(session: Session) -> None:
    for encoding in ENCODINGS:
        session.merge(delta(encoding=encoding))
        session.flush()


def test_times_are_aware_and_in_utc(session: Session) -> None:
    tokyo = MOMENT.astimezone(timezone(timedelta(hours=9)))
    session.add(Lease(name="job", holder="me", acquired_at=tokyo, expires_at=tokyo + timedelta(1)))
    session.commit()
    session.expire_all()
    found = session.get_one(Lease, "job").acquired_at
    assert (found, found.tzinfo) == (MOMENT, UTC)
    assert session.scalar(text("SELECT acquired_at FROM lease")) == "2025-01-02 03:04:05.678901"
    assert session.scalar(select(Lease.name).where(Lease.acquired_at == tokyo)) == "job"


def test_a_time_without_a_zone_is_refused(session: Session) -> None:
    naive = MOMENT.replace(tzinfo=None)
    session.add(Lease(name="job", holder="me", acquired_at=naive, expires_at=MOMENT))
    with pytest.raises(StatementError, match="no time zone"):
        session.flush()


def test_defaults(session: Session) -> None:
    version = session.get_one(ModelVersion, 1)
    assert (version.state, version.attributes, version.reason) == ("ready", {}, None)
    assert version.created_at.tzinfo is UTC
    assert (version.reference, version.kind) == ("math@1", "skill")


def test_missing_json_is_null(session: Session) -> None:
    session.add(tensor())
    session.flush()
    assert session.scalar(text("SELECT count(*) FROM tensor WHERE statistics IS NULL")) == 1


def test_every_constraint_has_a_name() -> None:
    for table in Record.metadata.sorted_tables:
        for constraint in table.constraints:
            assert str(constraint.name).startswith(("pk_", "fk_", "uq_", "ck_")), (table.name, constraint)


def test_the_key_of_meta_is_its_name(session: Session) -> None:
    session.add_all([StoreMeta(key="a", value="1")])
    session.flush()
    assert session.get_one(StoreMeta, "a").value == "1"

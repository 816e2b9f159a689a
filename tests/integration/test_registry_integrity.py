"""Damage to the records, on SQLite and PostgreSQL, is found and named."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text

from registry.records import aliases, catalog, contents, integrity, lineage, recipes
from registry.records.contents import BlobRow
from registry.records.database import migrating, reading, writing
from registry.records.guards import GUARDS
from storage.digests import sha256_digest
from tests.integration.registry_samples import FILES, ME, RECIPE, TENSORS, digest, made, make, record, skill


@pytest.fixture
def whole(engine: Engine) -> Engine:
    """A store with one of everything, in which nothing is wrong."""
    with writing(engine) as session:
        base = make(session, "llama", "base")
        contents.record_blobs(session, [BlobRow(digest("weights"), 100, "weights")])
        contents.add_files(session, base, FILES, actor=ME)
        contents.add_tensors(session, base, TENSORS, actor=ME)
        math = skill(session, base, "math")
        skill(session, base, "math-2")
        aliases.set_alias(session, math, "prod", actor=ME)
        recipe = record(session, math)
        merge = catalog.create_model_version(session, name="assistant", kind="merge", digest=recipe.digest, actor=ME)
        lineage.add_lineage(session, merge, [(base, "base"), (math, "skill")], actor=ME)
        recipes.record_materialization(session, made(recipe, "m", merge_version_id=merge.id))
        recipes.record_materialization(session, made(recipe, "n"))
        recipes.set_mlflow_run(session, "m", "run-1", 7, actor=ME)
    return engine


Damage = Callable[[Engine, list[str]], list[dict[str, Any]]]

WITHOUT_FOREIGN_KEYS = {"sqlite": "SELECT 1", "postgresql": "SET LOCAL session_replication_role = replica"}


@pytest.fixture
def damage() -> Damage:
    """Change the records behind every guard's back, then verify."""

    def damage(engine: Engine, statements: list[str]) -> list[dict[str, Any]]:
        with migrating(engine) as connection:
            connection.execute(text(WITHOUT_FOREIGN_KEYS[engine.dialect.name]))
            if engine.dialect.name == "sqlite":
                for name in GUARDS["sqlite"]:
                    connection.execute(text(f"DROP TRIGGER IF EXISTS {name}"))
            for statement in statements:
                connection.exec_driver_sql(statement)
        with reading(engine) as session:
            return integrity.verify_records(session)

    return damage


def test_a_whole_store_has_no_problems(whole: Engine) -> None:
    with reading(whole) as session:
        assert integrity.verify_records(session) == []


@pytest.mark.parametrize(
    ("statement", "words", "where"),
    [
        (f"DELETE FROM blob WHERE digest = '{digest('math')}'", "delta: rows refer to a blob", "delta"),
        ("DELETE FROM version_file WHERE path = 'model.safetensors'", "tensor: rows refer to", "tensor"),
        ("DELETE FROM recipe", "recipe_input: rows refer to a recipe", "recipe_input"),
        ("UPDATE alias SET version_id = 3", "points to another model's version, math-2@1", "math@prod"),
        ("DELETE FROM model_version WHERE id = 3", "math-2 has 0 versions", "math-2"),
        ("DELETE FROM model_version WHERE id = 3", "was made, but has no record", "math-2@1"),
        ("DELETE FROM delta WHERE version_id = 2", "math@1 is a skill without its delta", "math@1"),
        ("DELETE FROM version_file WHERE version_id = 1", "llama@1 is a base without its files", "llama@1"),
        ("DELETE FROM recipe", "assistant@1 is a merge without its recipe", "assistant@1"),
        ("UPDATE recipe SET canonical = '{}'", "was changed", sha256_digest(RECIPE.encode())),
        (f"UPDATE model_version SET digest = '{digest('x')}' WHERE id = 2", f"made with {digest('math')}", "math@1"),
        (
            "UPDATE materialization SET mlflow_run_id = 'run-2' WHERE id = 'm'",
            "materialization m stands in MLflow",
            "m",
        ),
        ("UPDATE materialization SET mlflow_version = 8 WHERE id = 'm'", "materialization m stands in MLflow", "m"),
        ("UPDATE materialization SET mlflow_version = 1 WHERE id = 'n'", "materialization n stands in MLflow", "n"),
        ("UPDATE store_meta SET value = '{}'", "head cannot be read", "audit_event"),
    ],
)
def test_damage_is_found_and_named(whole: Engine, damage: Damage, statement: str, words: str, where: str) -> None:
    problems = damage(whole, [statement])
    assert any(words in problem["what"] and where in problem["where"] for problem in problems), problems
    for problem in problems:
        assert set(problem) == {"what", "where", "kind", "hint"}
        assert problem["kind"] == "integrity"
        json.dumps(problem)


@pytest.mark.parametrize("place", ["model_version.attributes", "tensor.shape", "delta.statistics"])
def test_json_of_another_kind_is_damage(whole: Engine, damage: Damage, place: str) -> None:
    table, column = place.split(".")
    for value in ("null", '"x"', "3", "{}" if column == "shape" else "[1]"):
        problems = damage(whole, [f"UPDATE {table} SET {column} = '{value}'"])
        assert any(f"{table}: {column} of the row with" in problem["what"] for problem in problems), (value, problems)


def test_numbers_that_json_does_not_have_are_damage(whole: Engine, damage: Damage) -> None:
    if whole.dialect.name != "sqlite":
        pytest.skip("the server refuses them")
    for value in ("NaN", '{"x": NaN}', '{"x": -Infinity} '):
        problems = damage(whole, [f"UPDATE model_version SET attributes = '{value}'"])
        assert any("model_version: attributes of the row" in problem["what"] for problem in problems), value

"""Lineage graphs of any shape, on SQLite and PostgreSQL: what audits and impact tell, against a walk in Python."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.audits.audit import audit
from registry.audits.drawing import dot, mermaid
from registry.audits.impact import impact
from registry.audits.layout import layout
from registry.records import catalog, lineage, recipes
from registry.records.database import reading, writing
from registry.records.tables import ModelVersion, Recipe
from storage.digests import canonical_json
from tests.integration.registry_samples import ME, digest, made, make

Edges = dict[str, set[str]]


def _written(engine: Engine, chance: random.Random) -> tuple[Edges, dict[str, set[str]]]:
    """Versions of all kinds, each made of some older ones, and recipes over some; (parents, inputs of each output)."""
    parents: Edges = {}
    outputs: dict[str, set[str]] = {}
    with writing(engine) as session:
        versions = []
        for number in range(chance.randint(2, 14)):
            chosen = chance.sample(versions, chance.randint(0, min(3, len(versions))))
            if chosen and chance.random() < 0.3:
                recipe = _recipe(session, f"merge {number}", chosen)
                version = catalog.create_model_version(
                    session, name=f"n{number}", kind="merge", digest=recipe.digest, actor=ME
                )
            else:
                version = make(session, f"n{number}", "skill" if chosen else "base")
            lineage.add_lineage(session, version, [(each, "skill") for each in chosen], actor=ME)
            parents[version.reference] = {each.reference for each in chosen}
            versions.append(version)
        for number in range(chance.randint(1, 5)):
            inputs = chance.sample(versions, chance.randint(1, min(3, len(versions))))
            recipe = _recipe(session, f"result {number}", inputs)
            name = f"made-{number}"
            recipes.record_materialization(session, made(recipe, name, output_digest=digest(name)))
            outputs[name] = {each.reference for each in inputs}
    return parents, outputs


def _recipe(session: Session, name: str, inputs: list[ModelVersion]) -> Recipe:
    canonical = canonical_json({"method": "linear", "name": name, "parameters": {}}).decode()
    rows = [recipes.InputRow(each.id, "skill", 0.5) for each in inputs]
    return recipes.record_recipe(session, canonical=canonical, method="linear", inputs=rows, actor=ME)


def _reached(start: set[str], steps: Edges) -> set[str]:
    found, pending = set(start), list(start)
    while pending:
        for each in steps.get(pending.pop(), set()) - found:
            found.add(each)
            pending.append(each)
    return found


@pytest.mark.parametrize("seed", range(12))
def test_audits_are_complete_and_impact_is_their_reverse(engine: Engine, seed: int) -> None:
    parents, outputs = _written(engine, random.Random(seed))
    children: Edges = {name: {child for child, found in parents.items() if name in found} for name in parents}
    with reading(engine) as session:
        for name in parents:
            below = _reached({name}, parents)
            found = audit(session, name, newest=1)
            assert {node["id"] for node in found.lineage["nodes"]} == below
            edges = {(edge["child"], edge["parent"]) for edge in found.lineage["edges"]}
            assert edges == {(child, parent) for child in below for parent in parents[child]}
            places = layout(found.lineage).places
            assert all(places[child][0] > places[parent][0] for child, parent in edges)
            assert len(mermaid(found.lineage).splitlines()) == 1 + len(below) + len(edges)
            assert dot(found.lineage).count("->") == len(edges)
            above = _reached({name}, children)
            told = impact(session, name)
            assert {node["id"] for node in told.versions} == above - {name}
            expected = {output for output, inputs in outputs.items() if inputs & above}
            assert {each["materialization_id"] for each in told.materializations} == expected
            assert told.counts["materializations"] == len(expected)
        for output, inputs in outputs.items():
            found = audit(session, digest(output))
            assert found.kind == "result"
            assert {node["id"] for node in found.lineage["nodes"]} == _reached(inputs, parents) | {"result"}

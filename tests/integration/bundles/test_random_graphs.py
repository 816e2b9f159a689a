"""Lineage graphs of any shape, as people make them: what is taken of them arrives whole, on both databases."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from mergestore import NotFound, Store
from tests.integration.bundles.conftest import Open
from tests.integration.random_stores import Maker


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))])
def test_what_is_taken_arrives_whole(
    seed: int, engine: Engine, database_url: str, surroundings: None, tmp_path: Path, opened: Open
) -> None:
    source = opened(tmp_path / "source")
    every = Maker(source, tmp_path / "models", seed).run()
    chance = random.Random(seed)
    target = opened(tmp_path / "target", database_url)
    arrived: set[str] = set()
    for number in range(4):
        named = chance.sample(every, chance.randint(1, 3))
        lineage, bases = chance.choice([(True, True), (True, False), (False, True)])
        path = tmp_path / f"{number}.bundle"
        exported = source.export(named, path, lineage=lineage, bases=bases)
        graphs = [source.audit(name).lineage for name in named]
        below = {node["id"]: node for graph in graphs for node in graph["nodes"]}
        inside = {f"{each['name']}@{each['version']}" for each in exported.versions}
        assert inside >= set(named)
        if lineage and bases:
            assert inside == below.keys()
            assert exported.needs == []
        if not lineage:
            assert inside == set(named)
        have = {node["digest"] for name in arrived for node in target.audit(name).lineage["nodes"]}
        try:
            imported = target.import_bundle(path)
        except NotFound:
            assert {need["digest"] for need in exported.needs} - have
            continue
        here = {each["was"]: f"{each['name']}@{each['version']}" for each in imported.versions}
        assert here.keys() == inside
        arrived |= set(here.values())
        for name in named:
            assert facts(target, here[name]) == facts(source, name)
        assert not any(each["created"] or each["added"] for each in target.import_bundle(path).versions)
    verified = target.verify()
    assert verified.ok, verified.problems


def facts(store: Store, name: str) -> Any:
    """What a version is made of, by content."""
    graph = store.audit(name).lineage
    nodes = {node["id"]: node["digest"] for node in graph["nodes"]}
    return set(nodes.values()), {(nodes[e["child"]], nodes[e["parent"]], e["role"]) for e in graph["edges"]}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_where_nothing_is_renamed_it_is_the_same_bundle(
    seed: int, surroundings: None, tmp_path: Path, opened: Open
) -> None:
    source, target = opened(tmp_path / "source"), opened(tmp_path / "target")
    every = Maker(source, tmp_path / "models", 100 + seed).run()
    bundle = source.export(every, tmp_path / "all.bundle", lineage=True).bundle
    imported = target.import_bundle(tmp_path / "all.bundle")
    assert all(each["was"] == f"{each['name']}@{each['version']}" for each in imported.versions)
    assert target.export(every, tmp_path / "again.bundle", lineage=True).bundle == bundle

"""Stores of any shape: every lineage is what was done, and every result can be made again, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

import mergestore
from mergestore import Store
from tests.integration.random_stores import Maker


@pytest.fixture
def store(engine: Engine, database_url: str, surroundings: None, tmp_path: Path) -> Iterator[Store]:
    with mergestore.open(tmp_path / "store", database=database_url) as store:
        yield store


@pytest.mark.parametrize("seed", [200, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(201, 206))])
def test_lineages_are_what_was_done_and_results_are_made_again(seed: int, store: Store, tmp_path: Path) -> None:
    maker = Maker(store, tmp_path / "models", seed)
    maker.run()
    while not maker.store.list().merges:
        maker.skill()
        maker.merge()
    every = sorted(maker.made_of)
    order = {
        event["subject"]: event["sequence"] for event in store.find("events", action="version.create", limit=99).rows
    }
    rebuilt = 0
    assert set(order) == set(every)
    for name in every:
        graph = store.audit(name).lineage
        nodes = {node["id"]: node for node in graph["nodes"]}
        assert all(order[edge["child"]] > order[edge["parent"]] for edge in graph["edges"])
        for node in nodes:
            parents = {nodes[edge["parent"]]["digest"] for edge in graph["edges"] if edge["child"] == node}
            assert parents == maker.made_of[node]
        if nodes[name]["kind"] == "merge":
            rebuilt += _rebuilt(store, name)
    assert rebuilt
    assert store.verify().problems == []


def _rebuilt(store: Store, name: str) -> int:
    """How many results of a merge were made again: of each task, where it has several."""
    recipe = store.show(name)["recipe"]
    skills = {node["digest"]: node["id"] for node in store.audit(name).lineage["nodes"]}
    tasks = [skills[term["skill"]] for term in recipe["terms"]] if recipe["method"] == "emr" else [None]
    for task in tasks:
        made = store.materialize(name, task=task, wait=False, cache=False, threads=2)
        for target in (made.output_digest, Path(made.path)):
            again = store.rebuild(target, threads=1)
            assert again.ok, again
            assert again.output_digest == made.output_digest
    return len(tasks)

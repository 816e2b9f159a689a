"""Lineage graphs of any shape, as people make them: what is taken of them arrives whole, on both databases."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from mergestore import NotFound, Store
from tests.integration.bundles.conftest import Open
from tests.integration.models import Model, fine_tune, floats, read_model, save

METHODS = ("task_arithmetic", "linear", "ties", "dare_linear", "emr")
ENCODINGS = ("exact", "dare", "magnitude", "sign")


class Maker:
    """Fills a store at random: bases, skills of them, merges of those, and results taken in again."""

    def __init__(self, store: Store, folder: Path, seed: int):
        self.store, self.folder, self.chance = store, folder, random.Random(seed)
        self.bases: list[str] = []
        self.skills: dict[str, list[tuple[str, bool]]] = {}  # of each base: skills, and whether all of them is kept
        self.count = 0

    def folder_of(self, model: Model) -> Path:
        self.count += 1
        return save(self.folder / f"model{self.count}", model, {"model_type": "tiny", "n": self.chance.randint(0, 1)})

    def name(self, kind: str) -> str:
        return f"{kind}{self.chance.randint(0, 2)}"

    def base(self, folder: Path | None = None) -> None:
        values = [self.chance.uniform(-1, 1) for _ in range(6)]
        folder = folder or self.folder_of({"w": floats([values[:3]]), "v": floats(values[3:])})
        made = self.store.register_base(self.name("b"), folder)
        self.bases.append(f"{made.name}@{made.version}")
        self.skills.setdefault(self.bases[-1], [])

    def skill(self, folder: Path | None = None, base: str | None = None) -> None:
        base = base or self.chance.choice(self.bases)
        if folder is None:
            file = next(file for file in self.store.show(base)["files"] if file["path"].endswith(".safetensors"))
            save(self.folder / "read", {})
            (self.folder / "read" / "model.safetensors").write_bytes(
                self.store.home.blobs.path(file["digest"]).read_bytes()
            )
            folder = self.folder_of(fine_tune(read_model(self.folder / "read"), self.chance.randint(0, 99), sigma=0.1))
        encoding = self.chance.choice(ENCODINGS)
        made = self.store.register_skill(self.name("s"), folder, base=base, encoding=encoding)
        self.skills[base].append((f"{made.name}@{made.version}", encoding == "exact"))

    def merge(self) -> None:
        base = self.chance.choice(self.bases)
        method = self.chance.choice(METHODS)
        able = [name for name, whole in self.skills[base] if whole or method != "emr"]
        found = {self.store.show(name)["digest"]: name for name in able}
        chosen = self.chance.sample(sorted(found.values()), min(len(found), self.chance.randint(1, 3)))
        if not chosen or (method == "emr" and len(chosen) < 2):
            return
        expression = " + ".join([base, *(f"0.5*{name}" if method != "emr" else name for name in chosen)])
        made = self.store.merge(self.name("m"), expression, method=method)
        if method != "emr" and self.chance.random() < 0.5:
            self.count += 1
            out = self.folder / f"made{self.count}"
            self.store.materialize(f"{made.name}@{made.version}", output=out, wait=False, threads=1)
            if self.chance.random() < 0.5:
                self.base(out)
            else:
                self.skill(out, base)

    def run(self) -> list[str]:
        self.base()
        for _ in range(14):
            self.chance.choices([self.base, self.skill, self.merge], [1, 5, 4])[0]()
        return sorted(event["subject"] for event in self.store.find("events", action="version.create", limit=500).rows)


@pytest.mark.parametrize("seed", range(5))
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


@pytest.mark.parametrize("seed", range(3))
def test_where_nothing_is_renamed_it_is_the_same_bundle(
    seed: int, surroundings: None, tmp_path: Path, opened: Open
) -> None:
    source, target = opened(tmp_path / "source"), opened(tmp_path / "target")
    every = Maker(source, tmp_path / "models", 100 + seed).run()
    bundle = source.export(every, tmp_path / "all.bundle", lineage=True).bundle
    imported = target.import_bundle(tmp_path / "all.bundle")
    assert all(each["was"] == f"{each['name']}@{each['version']}" for each in imported.versions)
    assert target.export(every, tmp_path / "again.bundle", lineage=True).bundle == bundle

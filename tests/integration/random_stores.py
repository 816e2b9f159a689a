"""Stores of any shape, as people make them: bases, skills, merges, and results that are taken in again."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from mergestore import Store
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
        self.made_of: dict[str, set[str]] = {}  # of each version: digests of what it was made from

    def folder_of(self, model: Model) -> Path:
        self.count += 1
        return save(self.folder / f"model{self.count}", model, {"model_type": "tiny", "n": self.chance.randint(0, 1)})

    def note(self, made: Any, *parents: str) -> str:
        """Remember what a version was made from, if it is new."""
        reference = f"{made.name}@{made.version}"
        if made.created:
            self.made_of[reference] = {self.store.show(parent)["digest"] for parent in parents}
        return reference

    def name(self, kind: str) -> str:
        return f"{kind}{self.chance.randint(0, 2)}"

    def base(self, folder: Path | None = None, of: str | None = None) -> None:
        values = [self.chance.uniform(-1, 1) for _ in range(6)]
        folder = folder or self.folder_of({"w": floats([values[:3]]), "v": floats(values[3:])})
        made = self.store.register_base(self.name("b"), folder)
        self.bases.append(self.note(made, *([of] if of else [])))
        self.skills.setdefault(self.bases[-1], [])

    def skill(self, folder: Path | None = None, base: str | None = None, of: str | None = None) -> None:
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
        self.skills[base].append((self.note(made, base, *([of] if of else [])), encoding == "exact"))

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
        reference = self.note(made, base, *chosen)
        if method != "emr" and self.chance.random() < 0.5:
            self.count += 1
            out = self.folder / f"made{self.count}"
            self.store.materialize(reference, output=out, wait=False, threads=1)
            if self.chance.random() < 0.5:
                self.base(out, reference)
            else:
                self.skill(out, base, reference)

    def run(self) -> list[str]:
        self.base()
        for _ in range(14):
            self.chance.choices([self.base, self.skill, self.merge], [1, 5, 4])[0]()
        return sorted(event["subject"] for event in self.store.find("events", action="version.create", limit=500).rows)

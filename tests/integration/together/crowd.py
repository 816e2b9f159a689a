"""A crowd on one store, and what must be true of the store and of every answer afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

import mergestore
from mergestore import Store
from registry.publishing import MANIFEST
from registry.records import garbage
from registry.records.database import reading
from registry.records.tables import Alias, AuditEvent, Materialization, ModelVersion, RecipeInput
from registry.records.tables import Model as ModelRecord
from tests.integration.models import Model, fine_tune, floats, read_model, save
from tests.integration.together import member

ROOT = Path(__file__).parents[3]
CREATED = ("base", "skill", "merge", "first")
ONE_EVENT = {"yank": "version.yank", "unyank": "version.unyank", "pin": "pin.set", "unpin": "pin.remove"}
"""Verbs of which every success is one event."""


def base_model(number: int) -> Model:
    noise = np.random.default_rng(number)
    return {"embed.weight": floats(noise.normal(0, 0.02, (24, 8))), "norm.weight": floats(noise.normal(1, 0.1, 8))}


def models() -> dict[str, Model]:
    """Everything that the members register, by the name of its folder."""
    found = {f"base{number}": base_model(number) for number in range(member.BASES)}
    return found | {f"tuned{number}": fine_tune(found["base0"], number) for number in range(member.TUNED)}


@dataclass
class Told:
    """What all members wrote down, in each one's order; ``killed``: those that did not come to their end."""

    said: dict[int, list[dict[str, Any]]]
    codes: dict[int, int]
    killed: set[int] = field(default_factory=set)

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [each for log in self.said.values() for each in log if "refused" not in each and each["verb"] != "end"]

    def of(self, *verbs: str) -> list[dict[str, Any]]:
        return [each for each in self.answers if each["verb"] in verbs]


def run(folder: Path, database: str | None, *, seed: int, members: int, deeds: int, kills: int = 0) -> Told:
    """Let a crowd loose on a store that is not there yet."""
    for name, model in models().items():
        save(folder / "models" / name, model, {"model_type": "llama", "name": name})
    for name in ("logs", "out"):
        (folder / name).mkdir()
    places = {"home": "store", "models": "models", "out": "out", "logs": "logs", "backup": "backup"}
    order = {key: str(folder / place) for key, place in places.items()}
    order |= {"database": database, "seed": seed, "members": members, "deeds": deeds, "kills": kills}
    process = subprocess.run(
        [sys.executable, "-m", "tests.integration.together.member"],
        input=json.dumps(order) + "\n",
        text=True,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr, process.stderr
    codes = {int(number): code for number, code in json.loads(process.stdout).items()}
    said = {number: _lines(folder / "logs" / f"{number}.jsonl") for number in codes}
    return Told(said, codes, {number for number, log in said.items() if not log or log[-1]["verb"] != "end"})


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def check(folder: Path, database: str | None, told: Told) -> dict[str, float]:
    """Every promise about what a crowd leaves behind; counts of what was looked at."""
    failed = [(number, each) for number, log in told.said.items() for each in log if "failed" in each]
    assert not failed, f"{len(failed)} failed: " + json.dumps(failed[0], indent=1).replace("\\n", "\n")
    with mergestore.open(folder / "store", database=database, create=False) as store:
        with reading(store.engine) as session:
            events = list(session.scalars(select(AuditEvent).order_by(AuditEvent.sequence)))
        for problems in (store.verify().problems, store.check_store(read_data=True).problems):
            assert problems == []
        _check_versions(store, told, events)
        _check_aliases(store, told, events)
        _check_single_events(told, events)
        _check_yanks(store, events)
        _check_contents(store, told, folder)
        _check_folders(store, told, folder)
        _check_garbage(store)
        if (folder / "backup" / "manifest.json").exists():
            assert mergestore.restore(folder / "backup", folder / "unused", check=True).checked
    verbs = Counter(each["verb"] for each in told.answers)
    refused = sum("refused" in each for log in told.said.values() for each in log)
    waited = max((log[-1]["waited"] for number, log in told.said.items() if number not in told.killed), default=0)
    return {**verbs, "refused": refused, "killed": len(told.killed), "events": len(events), "waited": waited}


def _check_versions(store: Store, told: Told, events: list[AuditEvent]) -> None:
    """Numbers are 1 to n, each was made once, of content that no other of its name has, and as it was answered."""
    made = [event.subject for event in events if event.action == "version.create"]
    assert len(made) == len(set(made))
    names = {subject.partition("@")[0] for subject in made}
    versions = {name: store.show(name)["versions"] for name in names}
    for name, found in versions.items():
        assert sorted(each["version"] for each in found) == list(range(1, len(found) + 1)), name
        assert len({store.show(f"{name}@{each['version']}")["digest"] for each in found}) == len(found), name
    assert sorted(made) == sorted(f"{name}@{each['version']}" for name, found in versions.items() for each in found)
    answers = told.of(*CREATED)
    for answer in answers:
        assert store.show(answer["subject"])["digest"] == answer["digest"]
    created = [answer["subject"] for answer in answers if answer["created"]]
    assert len(created) == len(set(created))
    assert set(created) <= set(made)
    if not told.killed:
        assert set(created) == set(made)


def _check_aliases(store: Store, told: Told, events: list[AuditEvent]) -> None:
    """Each alias means what the last event says, and each member's moves are events in its own order."""
    moves = [event for event in events if event.action in ("alias.set", "alias.remove")]
    named = {event.sequence: json.loads(event.details)["alias"] for event in moves}
    left: dict[tuple[str, str], str] = {}
    for event in moves:
        key = (event.subject.partition("@")[0], named[event.sequence])
        left.pop(key, None)
        if event.action == "alias.set":
            left[key] = event.subject
    for (name, alias), subject in left.items():
        assert f"{name}@{store.show(f'{name}@{alias}')['version']}" == subject
    query = select(ModelRecord.name, Alias.alias).join(Alias, Alias.model_id == ModelRecord.id)
    with reading(store.engine) as session:
        assert {(name, alias) for name, alias in session.execute(query)} == set(left)
    for number, log in told.said.items():
        asked = [(each["verb"], each["subject"], each["alias"]) for each in log if "alias" in each]
        seen = [
            ("alias" if event.action == "alias.set" else "unalias", event.subject, named[event.sequence])
            for event in moves
            if event.actor == f"member{number}@here"
        ]
        seen = [(verb, subject if verb == "alias" else subject.partition("@")[0], each) for verb, subject, each in seen]
        if number in told.killed:  # whose last move may be on record, though it could not say so
            asked += seen[-1:]
        rest = iter(asked)
        assert all(each in rest for each in seen), (number, asked, seen)  # setting what is set already is no event


def _check_single_events(told: Told, events: list[AuditEvent]) -> None:
    """No update is lost: what a member was told that it did is on record as often as it was told."""
    for number, log in told.said.items():
        for verb, action in ONE_EVENT.items():
            asked = Counter(each["subject"] for each in log if each["verb"] == verb and "subject" in each)
            own = [event for event in events if event.actor == f"member{number}@here" and event.action == action]
            seen = Counter(event.subject for event in own)
            more = seen - asked
            assert asked <= seen, (number, verb)
            assert more.total() <= (number in told.killed), (number, verb, more)


def _check_yanks(store: Store, events: list[AuditEvent]) -> None:
    """Nothing was put on record that came of content of which every version was yanked."""
    with reading(store.engine) as session:
        content = {each.reference: each.digest for each in session.scalars(select(ModelVersion))}
        rows = select(RecipeInput.recipe_digest, ModelVersion.digest)
        inputs = set(session.execute(rows.join(ModelVersion, ModelVersion.id == RecipeInput.version_id)))
    ready = Counter[str]()
    for event in events:
        if event.action in ("version.create", "version.unyank"):
            ready[content[event.subject]] += 1
        elif event.action == "version.yank":
            ready[content[event.subject]] -= 1
        elif event.action == "materialization.record":
            assert all(ready[digest] for recipe, digest in inputs if recipe == event.subject), event.sequence


def _check_contents(store: Store, told: Told, folder: Path) -> None:
    """What was registered comes back bit for bit."""
    known = models()
    looked = set()
    for answer in told.of("base", "first", "skill"):
        if answer["subject"] in looked or answer.get("encoding", "exact") != "exact":
            continue
        looked.add(answer["subject"])
        shown = store.show(answer["subject"])
        if answer["verb"] != "skill":
            (file,) = (each for each in shown["files"] if each["path"] == "model.safetensors")
            save(folder / "read", {})
            shutil.copy(store.home.blobs.path(file["digest"]), folder / "read" / "model.safetensors")
            assert read_model(folder / "read") == known[answer["content"]]
        elif shown["state"] == "ready":
            place = folder / f"again-{len(looked)}"
            store.materialize(f"tiny@1 + {answer['subject']}", output=place, cache=False, wait=False, threads=1)
            assert read_model(place) == known[answer["content"]]


def _check_folders(store: Store, told: Told, folder: Path) -> None:
    """What was materialized is on record; a folder of one's own is there, whole, and what was answered."""
    with reading(store.engine) as session:
        recorded = {each.id: each.output_digest for each in session.scalars(select(Materialization))}
    for answer in told.of("cached", "shared", "own"):
        assert recorded[answer["id"]] == answer["output"]
        if answer["verb"] == "own":
            assert store.verify(answer["path"]).ok
            manifest = json.loads((Path(answer["path"]) / MANIFEST).read_text())
            assert manifest["output_digest"] == answer["output"]
    store.collect_garbage(apply=True)
    for place in (folder / "out").iterdir():
        assert store.verify(place).ok, "what a kill has left there is collected"
    if not told.killed:
        shared = {each["path"] for each in told.of("shared")}
        assert shared == {str(place) for place in (folder / "out").iterdir() if place.name.startswith("shared")}


def _check_garbage(store: Store) -> None:
    """With nobody at work all that no record needs can go, and nothing else does."""
    for _ in range(2):
        store.collect_garbage(grace=timedelta(0), apply=True)
    with reading(store.engine) as session:
        needed = garbage.needed(session)
    assert set(store.home.blobs.digests()) == needed
    assert list((store.home.root / "tmp").iterdir()) == []
    assert not list(store.home.cache.glob("*.tmp"))
    assert store.verify().ok

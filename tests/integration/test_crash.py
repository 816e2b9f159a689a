"""Promise 4: killed at any point, what was committed is there and whole, and what was not can be done again."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event

import mergestore
from storage import files
from tests.integration import victim
from tests.integration.models import LLAMA_CONFIG, fine_tune, floats, read_model, save

pytestmark = pytest.mark.usefixtures("surroundings")
ROOT = Path(__file__).parents[2]
KILLS = 40


def tiny(seed):
    """A model so small that its files are written in one go."""
    noise = np.random.default_rng(seed)
    return {"embed.weight": floats(noise.normal(0, 0.02, (24, 8))), "norm.weight": floats(noise.normal(1, 0.1, 8))}


BASE = tiny(0)


class Victim:
    """The forking process, and the folders it works in."""

    def __init__(self, folder, database=None):
        self.database = database
        self.home, self.models, self.out = folder / "store", folder / "models", folder / "out"
        self.log = folder / "log"
        self.out.mkdir()
        self.log.touch()
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.integration.victim"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )
        assert self._said() == "ready"

    def run(self, number, trap=None, seconds=None):
        """Let a child work on a round: until its trap, or for so many seconds, or to the end. Its log comes back."""
        places = {"home": self.home, "models": self.models, "out": self.out, "log": self.log}
        order = {
            "number": number,
            "trap": trap,
            "database": self.database,
            **{name: str(place) for name, place in places.items()},
        }
        before = self.log.stat().st_size
        self._say(json.dumps(order))
        child = int(self._said())
        if seconds is not None:
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
        self._say("let it go")
        assert self._said() == "done"
        return [json.loads(line) for line in self.log.read_text()[before:].splitlines()]

    def _say(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _said(self):
        return self._process.stdout.readline().strip()

    def close(self):
        with self._process:
            self._process.stdin.close()


@pytest.fixture(scope="module")
def target(surroundings, tmp_path_factory):
    target = prepared(tmp_path_factory.mktemp("crash"), KILLS + 1)
    yield target
    target.close()


def prepared(folder, rounds, database=None):
    """A process to kill, with models for so many rounds and a store that has their base."""
    save(folder / "models" / "tiny", BASE, LLAMA_CONFIG)
    for number in range(rounds):
        base = folder / "models" / f"base-{number}"
        save(base, tiny(1000 + number), {"model_type": "llama", "number": number}, files={"tokenizer.json": "{}"})
        save(folder / "models" / f"skill-{number}", fine_tune(BASE, number), LLAMA_CONFIG)
    with mergestore.open(folder / "store", database=database) as store:
        store.register_base("tiny", folder / "models" / "tiny")
    return Victim(folder, database)


def leftovers(target):
    """Temporary files and folders, which are the only things that may lie where nothing was committed."""
    places = [target.home / "tmp", target.home / "cache", target.out, *(target.home / "objects").rglob("??")]
    return [path for folder in places for path in folder.glob("*.tmp")]


def check(target, store, committed):
    """Everything that a child saw return is there and unchanged; everything that is there is whole."""
    verified = store.verify()
    assert verified.ok, verified.problems
    for made in committed:
        match made["step"]:
            case "base" | "skill" | "dare" | "twin":
                assert store.show(f"{made['name']}@{made['version']}")["digest"] == made["digest"]
            case "merge" | "emr":
                assert store.show(f"{made['name']}@{made['version']}")["digest"] == made["recipe_digest"]
            case "alias":
                assert store.show(f"{made['name']}@prod")["version"] == made["version"]
            case "cache" | "out" | "task":
                found = {each["materialization_id"] for each in store.audit(_merge_of(made)).materializations}
                assert made["materialization_id"] in found
    left = leftovers(target)
    published = [folder for folder in (*(target.home / "cache").iterdir(), *target.out.iterdir()) if folder not in left]
    if verified.checked["materializations"] < len(published):
        # Some were published whose record was not committed: those too must be whole.
        assert all(store.verify(folder).ok for folder in published)


def _merge_of(made):
    document = json.loads(Path(made["path"], "mergestore.json").read_text())
    return f"{document['merge']['name']}@{document['merge']['version']}"


def finish(target, store, number):
    """Do a round again, to its end: every step must succeed, and give the fine-tune back bit for bit."""
    for _, step in victim.steps(store, number, target.models, target.out):
        step()
    assert read_model(target.out / f"out-{number}") == fine_tune(BASE, number)
    assert [each["version"] for each in store.show(f"skill-{number}")["versions"]] == [1]
    assert [each["version"] for each in store.show(f"base-{number}")["versions"]] == [1]
    assert [each["version"] for each in store.show(f"merge-{number}")["versions"]] == [1]
    assert [each["version"] for each in store.show(f"emr-{number}")["versions"]] == [1]


def plan(whole, duration, kills):
    """Where each round's child dies: for each kind of trap spread over the whole of its work, at random within."""
    chance = random.Random(20261121)
    kinds = {"disk": kills * 3 // 10, "decided": kills * 3 // 10, "call": kills * 2 // 10, "time": kills * 2 // 10}
    found = []
    for kind, count in kinds.items():
        total = whole.get(kind, duration)
        for part in range(count):
            at = (part + chance.random()) * total / count
            found.append({"seconds": at} if kind == "time" else {"trap": (kind, 1 + int(at))})
    chance.shuffle(found)
    return found


@pytest.mark.slow
def test_killed_anywhere_nothing_is_lost(target):
    kill(target, KILLS)


@pytest.mark.slow
@pytest.mark.server
def test_killed_anywhere_nothing_is_lost_on_postgresql(surroundings, postgres_url, tmp_path):
    target = prepared(tmp_path, 11, postgres_url)
    try:
        kill(target, 10)
    finally:
        target.close()


def kill(target, kills):
    """Let so many children die at their work, and look at what is there after each."""
    *committed, whole = target.run(kills)
    started = time.monotonic()
    target.run(kills)
    duration = time.monotonic() - started
    assert whole["step"] == "end"
    died, deaths = 0, plan(whole, duration, kills)
    assert len(deaths) == kills
    with mergestore.open(target.home, database=target.database, create=False) as store:
        for number, death in enumerate(deaths):
            done = target.run(number, **death)
            died += not done or done[-1]["step"] != "end"
            done = [made for made in done if made["step"] != "end"]
            committed += done
            check(target, store, done)
            finish(target, store, number)
            assert leftovers(target) == []
        check(target, store, committed)
    assert died > kills * 0.7, "the children were not killed, so the test proved little"


class Watch:
    """What reached the disk, in order: fsync, rename and commit, by the paths concerned."""

    def __init__(self, patch, engine):
        self.events = []
        fsync, rename, exchange = os.fsync, os.rename, files._exchange

        def watched_fsync(descriptor):
            fsync(descriptor)
            self.events.append(("fsync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))

        def watched_rename(source, target, **more):
            rename(source, target, **more)
            self.events.append(("rename", os.fspath(source), os.fspath(target)))

        def watched_exchange(source, target):
            done = exchange(source, target)
            if done:
                self.events.append(("rename", os.fspath(source), os.fspath(target)))
            return done

        patch.setattr(os, "fsync", watched_fsync)
        patch.setattr(os, "rename", watched_rename)
        patch.setattr(files, "_exchange", watched_exchange)
        event.listen(engine, "commit", lambda connection: self.events.append(("commit",)))

    def check(self, target, within=None):
        """One rename made ``target``: its content was flushed before, its folder after, and a commit came last."""
        (made,) = [each for each in self.events if each[0] == "rename" and each[2] == str(target)]
        at = self.events.index(made)
        parts = [made[1], *(f"{made[1]}/{name}" for name in within or ())]
        for part in parts:
            assert ("fsync", part) in self.events[:at], f"{part} was not on the disk"
        flushed = self.events.index(("fsync", str(Path(target).parent)), at)
        assert ("commit",) in self.events[flushed:], "the row came before the bytes were safe"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads the names of open files from /proc")
def test_bytes_are_on_the_disk_before_the_row_that_names_them(target, tmp_path, monkeypatch):
    """A kill leaves the kernel's cache alone; a power cut does not. So the order of flushing is looked at."""
    with mergestore.open(tmp_path / "store") as store:
        watch = Watch(monkeypatch, store.engine)
        for number in range(2):
            store.register_base(f"tiny-{number}", target.models / ("tiny" if number else "base-0"))
        store.register_skill("skill", target.models / "skill-0", base="tiny-1")
        for encoding in ("exact", "sign"):
            store.register_skill(encoding, target.models / "skill-0", base="tiny-1", encoding=encoding)
        store.merge("both", "tiny-1 + exact + sign", method="emr")
        objects = [path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file()]
        assert len(objects) == 9
        for path in objects:
            watch.check(path)
        for force in (False, True):
            watch.events.clear()
            made = store.materialize(
                "tiny-1 + skill", output=tmp_path / "out", force=force, cache=False, wait=False, shard_size=600
            )
            names = [path.name for path in Path(made.path).iterdir()]
            assert len(names) > 4
            watch.check(made.path, names)

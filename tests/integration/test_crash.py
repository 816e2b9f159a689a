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

import mergestore
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

    def __init__(self, folder):
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
        order = {"number": number, "trap": trap, **{name: str(place) for name, place in places.items()}}
        before = self.log.stat().st_size
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        child = int(self._said())
        if seconds is not None:
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)  # its parent has not reaped it, so the number is still its own
        assert self._said() == "done"
        return [json.loads(line) for line in self.log.read_text()[before:].splitlines()]

    def _said(self):
        return self._process.stdout.readline().strip()

    def close(self):
        with self._process:
            self._process.stdin.close()


@pytest.fixture(scope="module")
def target(surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crash")
    save(folder / "models" / "tiny", BASE, LLAMA_CONFIG)
    for number in range(KILLS + 1):
        base = folder / "models" / f"base-{number}"
        save(base, tiny(1000 + number), {"model_type": "llama", "number": number}, files={"tokenizer.json": "{}"})
        save(folder / "models" / f"skill-{number}", fine_tune(BASE, number), LLAMA_CONFIG)
    with mergestore.open(folder / "store") as store:
        store.register_base("tiny", folder / "models" / "tiny")
    target = Victim(folder)
    yield target
    target.close()


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
            case "base" | "skill" | "dare":
                assert store.show(f"{made['name']}@{made['version']}")["digest"] == made["digest"]
            case "merge":
                assert store.show(f"{made['name']}@{made['version']}")["digest"] == made["recipe_digest"]
            case "alias":
                assert store.show(f"{made['name']}@prod")["version"] == made["version"]
            case "cache" | "out":
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


def test_killed_anywhere_nothing_is_lost(target):
    chance = random.Random(20261121)
    *committed, whole = target.run(KILLS)
    started = time.monotonic()
    target.run(KILLS)
    duration = time.monotonic() - started
    assert whole["step"] == "end"
    died = 0
    with mergestore.open(target.home, create=False) as store:
        for number in range(KILLS):
            kind = ("disk", "call", "disk", "time")[number % 4]
            if kind == "time":
                done = target.run(number, seconds=chance.uniform(0, duration))
            else:
                done = target.run(number, trap=(kind, chance.randint(1, whole[kind])))
            died += not done or done[-1]["step"] != "end"
            done = [made for made in done if made["step"] != "end"]
            committed += done
            check(target, store, done)
            finish(target, store, number)
            assert leftovers(target) == []
        check(target, store, committed)
    assert died > KILLS * 0.8, "the children were not killed, so the test proved little"

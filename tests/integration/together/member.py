"""One of a crowd: a process that does random things to a store that others use too, and writes down every answer.

Run as a program it reads one order from stdin, forks as many members as that says, kills some of them if it is asked
to and puts others in their place, and tells how each ended.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import mergestore
from mergestore import Conflict, MergestoreError, NotFound, UsageError
from storage.journal import LOGGER
from tests.integration.victim import warm

BASES, TUNED, SKILLS, MERGES = 3, 6, 3, 3
ENCODINGS = {"s0": ("exact",), "s1": ("exact",), "s2": ("dare", "sign", "exact")}
METHODS = ("task_arithmetic", "linear", "ties", "emr")
WEIGHTS = (0.25, 0.5, 1.0)

EXPECTED: dict[type[MergestoreError], tuple[str, ...]] = {
    Conflict: (
        " is yanked: ",  # a version, or what something came from
        " is yanked already: ",
        " is not yanked: ",
        " is ready",  # no version of a name is
        " exists already",  # an output
        " is pinned already",
    ),
    UsageError: (" is the same content as ",),  # two names that others gave to one fine-tune
    NotFound: ("there is no ", "has no version", "has no alias", "is not pinned"),
}
"""What may be refused because of what others have done, by what its message holds."""


class Waits(logging.Handler):
    """For how long a transaction had to wait at most for those before it, in seconds."""

    longest = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "lock.waited":
            self.longest = max(self.longest, record.fields["seconds"])


class Member:
    """A process at work: its store, its chance, its log."""

    def __init__(self, order: dict[str, Any], number: int):
        self.number, self.chance = number, random.Random(f"{order['seed']}.{number}")
        self.models, self.out, self.backup = (Path(order[key]) for key in ("models", "out", "backup"))
        self.log = os.open(Path(order["logs"]) / f"{number}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.store = mergestore.open(order["home"], database=order["database"], actor=f"member{number}@here")
        self.made = 0
        self.waits = Waits()
        LOGGER.addHandler(self.waits)
        LOGGER.setLevel(logging.INFO)

    def write(self, **document: Any) -> None:
        os.write(self.log, json.dumps(document).encode() + b"\n")

    def run(self, deeds: int) -> None:
        """Register the base that all need and something to work with, then do so many things."""
        for verb in (self.first, self.skill, self.skill, self.merge):
            self.do(verb)
        verbs = list(CHANCES)
        for _ in range(deeds):
            self.do(getattr(self, self.chance.choices(verbs, CHANCES.values())[0]))
        self.write(verb="end", waited=self.waits.longest)

    def do(self, verb: Callable[[], dict[str, Any]]) -> None:
        clock, said = time.monotonic(), {"verb": verb.__name__}
        try:
            answer = verb()
        except MergestoreError as error:
            expected = any(part in error.message for part in EXPECTED.get(type(error), ()))
            answer = {"refused" if expected else "failed": f"{type(error).__name__}: {error.message}"}
            answer |= {} if expected else {"trace": traceback.format_exc()}
        except BaseException:
            answer = {"failed": traceback.format_exc()}
        self.write(**said, **answer, seconds=round(time.monotonic() - clock, 3))

    # --- what changes records ---

    def first(self) -> dict[str, Any]:
        return self._version(self.store.register_base("tiny", self.models / "base0"), content="base0")

    def base(self) -> dict[str, Any]:
        content = f"base{self.chance.randrange(BASES)}"
        return self._version(self.store.register_base(f"b{self.chance.randrange(2)}", self.models / content), content)

    def skill(self) -> dict[str, Any]:
        name, content = self._skill(), f"tuned{self.chance.randrange(TUNED)}"
        encoding = self.chance.choice(ENCODINGS[name])
        made = self.store.register_skill(name, self.models / content, base="tiny@1", encoding=encoding)
        return self._version(made, content) | {"encoding": encoding}

    def merge(self) -> dict[str, Any]:
        method = self.chance.choice(METHODS)
        whole = method == "emr"
        skills = ["s0", "s1"] if whole else [f"s{number}" for number in self.chance.sample(range(SKILLS), 2)]
        terms = skills if whole else [f"{self.chance.choice(WEIGHTS)}*{skill}" for skill in skills]
        name = "unified" if whole else f"m{self.chance.randrange(MERGES)}"
        made = self.store.merge(name, " + ".join(["tiny@1", *terms]), method=method)
        return self._version(made, made.recipe_digest) | {"digest": made.recipe_digest}

    def alias(self) -> dict[str, Any]:
        name, alias = self._skill(), self.chance.choice(("prod", "next"))
        found = self.store.alias(self._some(name), alias, wait=False)
        return {"subject": f"{name}@{found['version']}", "alias": alias}

    def unalias(self) -> dict[str, Any]:
        name, alias = self._skill(), self.chance.choice(("prod", "next"))
        self.store.unalias(name, alias, wait=False)
        return {"subject": name, "alias": alias}

    def yank(self) -> dict[str, Any]:
        found = self.store.yank(self._some(self._any()), f"member {self.number} says so", wait=False)
        return {"subject": f"{found['name']}@{found['version']}"}

    def unyank(self) -> dict[str, Any]:
        found = self.store.unyank(self._some(self._any()), f"member {self.number} says so", wait=False)
        return {"subject": f"{found['name']}@{found['version']}"}

    def pin(self) -> dict[str, Any]:
        found = self.store.pin(self._some(self._any()), f"member {self.number} needs it")
        return {"subject": f"{found['name']}@{found['version']}"}

    def unpin(self) -> dict[str, Any]:
        found = self.store.unpin(self._some(self._any()))
        return {"subject": f"{found['name']}@{found['version']}"}

    # --- what makes folders ---

    def cached(self) -> dict[str, Any]:
        return self._materialize(None)

    def shared(self) -> dict[str, Any]:
        """To a folder that others write to as well; some take the place of what is there."""
        return self._materialize(self.out / f"shared{self.chance.randrange(2)}", force=self.chance.random() < 0.5)

    def own(self) -> dict[str, Any]:
        self.made += 1
        return self._materialize(self.out / f"own{self.number}-{self.made}")

    # --- what keeps the house ---

    def collect(self) -> dict[str, Any]:
        found = self.store.collect_garbage(
            grace=timedelta(seconds=self.chance.choice((0, 0, 1))),
            cache_limit=self.chance.choice((None, 0, 20_000)),
            apply=True,
        )
        deleted = [each["digest"] for each in found.objects if each["state"] == "deleted"]
        assert not found.strangers, found.strangers
        return {"deleted": deleted, "evicted": len(found.evicted)}

    def abandon(self) -> dict[str, Any]:
        """An object without records, as a writer leaves it that was killed; of bytes that others register."""
        content = self.models / f"base{self.chance.randrange(BASES)}" / "model.safetensors"
        scratch = self.store.home.blobs.scratch("abandoned")
        scratch.write_bytes(content.read_bytes())
        return {"digest": self.store.home.blobs.adopt(scratch).digest}

    def inspect(self) -> dict[str, Any]:
        found = self.store.check_store(read_data=True, share=self.chance.choice((None, "30%")))
        assert found.ok, found.problems
        assert not found.strangers, found.strangers
        return {"objects": found.checked["objects"]}

    def verify(self) -> dict[str, Any]:
        found = self.store.verify()
        assert found.ok, found.problems
        return {}

    def back_up(self) -> dict[str, Any]:
        made = mergestore.backup(self.backup, self.store.home.root, database=self._database)
        assert made.ok, made.lost
        return {"sequence": made.audit_head["sequence"]}

    def look(self) -> dict[str, Any]:
        name = self._any()
        self.store.list()
        self.store.metrics()
        self.store.audit(name)
        self.store.impact(name)
        shown = self.store.show(name)
        numbers = [each["version"] for each in shown["versions"]]
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), numbers
        return {"events": len(self.store.find("events", limit=500).rows)}

    @property
    def _database(self) -> str:
        return self.store.engine.url.render_as_string(hide_password=False)

    def _version(self, made: Any, content: str) -> dict[str, Any]:
        found = {"subject": f"{made.name}@{made.version}", "created": made.created, "content": content}
        return found | ({"digest": made.digest} if hasattr(made, "digest") else {})

    def _materialize(self, output: Path | None, force: bool = False) -> dict[str, Any]:
        task, kind = None, self.chance.random()
        if kind < 0.2:
            target, task = "unified", self.chance.choice(("s0", "s1"))
        elif kind < 0.6:
            target = f"m{self.chance.randrange(MERGES)}"
        else:
            target = f"tiny@1 + {self.chance.choice(WEIGHTS)}*{self._skill()}"
        made = self.store.materialize(target, output=output, force=force, wait=False, threads=1, task=task)
        return {"id": made.materialization_id, "path": made.path, "output": made.output_digest, "cached": made.cached}

    def _skill(self) -> str:
        return f"s{self.chance.randrange(SKILLS)}"

    def _any(self) -> str:
        return self.chance.choice((self._skill(), f"m{self.chance.randrange(MERGES)}"))

    def _some(self, name: str) -> str:
        """One of the first few versions of a name, or one that there is not yet."""
        return f"{name}@{self.chance.randint(1, 4)}"


CHANCES = {
    "base": 3,
    "skill": 10,
    "merge": 8,
    "alias": 6,
    "unalias": 2,
    "yank": 2,
    "unyank": 3,
    "pin": 2,
    "unpin": 2,
    "cached": 8,
    "shared": 5,
    "own": 4,
    "collect": 8,
    "abandon": 4,
    "inspect": 2,
    "verify": 1,
    "back_up": 1,
    "look": 3,
}
"""How often each thing is done."""


def fork(order: dict[str, Any], number: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        Member(order, number).run(order["deeds"])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    order = json.loads(sys.stdin.readline())
    warm()
    chance = random.Random(order["seed"])
    running = {fork(order, number): number for number in range(order["members"])}
    following, kills, codes = order["members"], order["kills"], {}
    while running:
        if kills:
            time.sleep(chance.uniform(0.05, 0.6))
            os.kill(chance.choice(sorted(running)), signal.SIGKILL)
        child, status = os.wait() if kills or len(running) else (0, 0)
        codes[running.pop(child)] = os.waitstatus_to_exitcode(status)
        if kills:
            kills -= 1
            running[fork(order, following)] = following
            following += 1
    print(json.dumps(codes), flush=True)


if __name__ == "__main__":
    main()

"""What is done while faults happen: every verb that writes, as command lines over a small store."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from blake3 import blake3
from sqlalchemy import Engine, text

from migrations import REVISIONS
from registry.records.database import open_engine
from tests.integration.golden_stores import copy_objects, load_postgresql, load_sqlite
from tests.integration.models import LLAMA_CONFIG, Model, factors, fine_tune, floats, save, save_adapter
from tests.integration.shell import Shell

DATABASE = "MERGESTORE_DATABASE"
QUERY = "model.layers.0.self_attn.q_proj.weight"
CONFIGURATION = """
merge_method: task_arithmetic
base_model: models/other
models: [{model: models/other-tuned, parameters: {weight: 0.5}}]
dtype: float32
"""


def tiny(seed: int) -> Model:
    """A model so small that its files are written in one go."""
    noise = np.random.default_rng(seed)
    return {
        "model.embed_tokens.weight": floats(noise.normal(0, 0.02, (24, 8))),
        QUERY: floats(noise.normal(0, 0.02, (8, 8))),
        "model.norm.weight": floats(noise.normal(1, 0.1, 8)),
    }


def stock(root: Path) -> None:
    """Models, and a store that has a base, skills, merges, results, and a backup of an hour ago."""
    models, base, other = root / "models", tiny(0), tiny(1)
    save(models / "tiny", base, LLAMA_CONFIG, files={"tokenizer.json": "{}"})
    save(models / "other", other, LLAMA_CONFIG, files={"tokenizer.json": "{}"})
    save(models / "other-tuned", fine_tune(other, 1), LLAMA_CONFIG)
    for number in range(3):
        save(models / f"tuned-{number}", fine_tune(base, number), LLAMA_CONFIG)
    save_adapter(models / "adapter", factors(base, [QUERY]))
    (root / "mergekit.yml").write_text(CONFIGURATION)
    shell = Shell(root / "store")
    shell.text("init")
    shell.text("register", "base", "tiny", models / "tiny")
    shell.text("register", "skill", "math", models / "tuned-0", "--base", "tiny", "--encoding", "exact")
    shell.text("register", "skill", "code", models / "tuned-1", "--base", "tiny", "--drop-rate", "0.5")
    shell.text("register", "skill", "style", models / "tuned-2", "--base", "tiny", "--encoding", "sign")
    shell.text("merge", "both", "tiny + 0.5*math + 0.5*code")
    shell.text("merge", "each", "tiny + math + style", "--method", "emr")
    shell.text("materialize", "each", "--task", "style", "--no-wait")
    shell.text("materialize", "tiny + math", "-o", root / "out" / "old", "--no-wait")
    shell.text("alias", "math@1", "prod")
    shell.text("export", "both", "--lineage", "-o", root / "both.bundle")
    shell.text("backup", root / "backup")
    shell.text("register", "skill", "twin", models / "tuned-0", "--base", "tiny", "--encoding", "sign")
    shell.text("register", "skill", "late", models / "tuned-1", "--base", "tiny", "--encoding", "magnitude")


@contextlib.contextmanager
def database() -> Iterator[Engine | None]:
    """The database that the environment names; None where a store's registry lies in its folder."""
    if DATABASE not in os.environ:
        yield None
        return
    engine = open_engine(os.environ[DATABASE])
    try:
        yield engine
    finally:
        engine.dispose()


def older(root: Path) -> None:
    """A store of an earlier schema in its place."""
    removed(root)
    copy_objects("store2", root / "store")
    with database() as engine:
        if engine is None:
            load_sqlite("store2", root / "store" / "registry.db")
        else:
            load_postgresql("store2", engine)


def newer(root: Path) -> None:
    """The same, upgraded: what it was before is in its backups."""
    older(root)
    Shell(root / "store").text("init")


def littered(root: Path) -> None:
    """Garbage of every kind: objects that nothing needs, known and new, and what dead processes have left."""
    shell = Shell(root / "store")
    for number in range(2):
        content = b"garbage" * (number + 1)
        name = blake3(content).hexdigest()
        place = root / "store" / "objects" / "blake3" / name[:2] / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        if number == 0:
            shell.text("gc", "--apply")
    shell.text("materialize", "both", "--no-wait")


def damaged(root: Path) -> None:
    """A damaged object, two that are gone, and a result in the cache that is not what it was."""
    shell = Shell(root / "store")
    places = [_object(root, shell, *each) for each in (("tiny", "tokenizer.json"), ("math", "delta.safetensors"))]
    places[0].write_bytes(b"[]")
    places[1].unlink()
    _object(root, shell, "each", "unified.safetensors").unlink()
    (weights,) = (root / "store" / "cache").rglob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x55")


def _object(root: Path, shell: Shell, reference: str, path: str) -> Path:
    (digest,) = (file["digest"] for file in shell.json("show", reference)["files"] if file["path"] == path)
    algorithm, name = digest.split(":")
    return root / "store" / "objects" / algorithm / name[:2] / name


def emptied(root: Path) -> None:
    """A new store beside what was exported of the old."""
    removed(root)
    Shell(root / "store").text("init")


def removed(root: Path) -> None:
    """No store: only its backup."""
    shutil.rmtree(root / "store")
    with database() as engine:
        if engine is not None:
            with engine.begin() as connection:
                connection.execute(text("DROP SCHEMA public CASCADE"))
                connection.execute(text("CREATE SCHEMA public"))


def as_it_is(root: Path) -> None:
    """The store as it was stocked."""


@dataclass(frozen=True)
class Scenario:
    """One verb on one state. ``words``: its command line, with ``{root}`` for the folder of it all.

    ``lost``: what the state has that the verb may take away; ``once``: what was done cannot be done again.
    """

    words: str
    state: Callable[[Path], None] = as_it_is
    lost: bool = False
    once: bool = False

    @property
    def verb(self) -> str:
        """The first word."""
        return self.words.split(" ")[0]

    def lines(self, root: Path) -> list[list[str]]:
        """The command lines."""
        return [["--store", str(root / "store"), *(word.format(root=root) for word in shlex.split(self.words))]]


_REGISTER = "register skill new {root}/models/tuned-2 --base tiny"
SCENARIOS = {
    "init": Scenario("init", removed),
    "register base": Scenario("register base other {root}/models/other"),
    "register base --reference": Scenario("register base other {root}/models/other --reference"),
    "register skill (dare)": Scenario(f"{_REGISTER} --drop-rate 0.5 --seed 3"),
    "register skill (exact)": Scenario(f"{_REGISTER} --encoding exact"),
    "register skill (magnitude)": Scenario(f"{_REGISTER} --encoding magnitude --density 0.3"),
    "register skill (sign)": Scenario(f"{_REGISTER} --encoding sign"),
    "register skill (lora)": Scenario("register skill new {root}/models/adapter --base tiny"),
    "merge": Scenario("merge more 'tiny + 0.3*math - 0.1*code' --method dare_linear"),
    "merge (emr)": Scenario("merge more 'tiny + style + twin' --method emr"),
    "alias": Scenario("alias code@1 prod"),
    "materialize to the cache": Scenario("materialize both --no-wait"),
    "materialize to a folder": Scenario("materialize both -o {root}/out/new --force --no-wait"),
    "materialize over a folder": Scenario("materialize both -o {root}/out/old --force --no-wait"),
    "materialize (emr, one task)": Scenario("materialize each --task math -o {root}/out/new --force --no-wait"),
    "materialize --as lora": Scenario(
        "materialize both --as lora --rank 2 --rest drop -o {root}/out/new --force --no-wait"
    ),
    "gc --apply": Scenario("gc --apply --grace 0s", littered, lost=True),
    "gc --apply --cache-limit": Scenario("gc --apply --grace 0s --cache-limit 0", littered, lost=True),
    "repair --apply": Scenario("repair --apply --from {root}/backup", damaged, lost=True),
    "check --read-data": Scenario("check --read-data"),
    "init (upgrade)": Scenario("init", older),
    "init --downgrade": Scenario(f"init --downgrade {REVISIONS[1]}", newer, lost=True),
    "export": Scenario("export both --lineage -o {root}/new.bundle --force"),
    "import": Scenario("import {root}/both.bundle", emptied),
    "merge --from-mergekit": Scenario("merge imported --from-mergekit {root}/mergekit.yml --register"),
    "backup (first)": Scenario("backup {root}/new-backup"),
    "backup (again)": Scenario("backup {root}/backup"),
    "restore": Scenario("restore {root}/backup", removed, once=True),
}
"""Every verb that writes, and every way in which it writes differently."""
ON_SERVER = (
    *("init", "register base", "register skill (dare)", "merge", "merge (emr)", "alias"),
    *("materialize to the cache", "materialize to a folder", "gc --apply", "repair --apply", "init (upgrade)"),
    *("export", "import", "backup (again)", "restore"),
)
"""Those that are tried with the registry in PostgreSQL too."""

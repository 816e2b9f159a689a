"""How the golden stores were made: python -m tests.golden.make_store HOME [DATABASE] fills a new store at HOME.

``store2`` was written at schema 0002 by ``make`` alone, in /srv/mergestore; its dumps are those of `sqlite3 .dump` and
`pg_dump --inserts --no-owner`. ``store3`` and ``store4`` have what ``go_on`` adds, so far as the code of their time had
it. A schema that was released never changes again, and stores of it are read for ever: a newer one gets a folder of
its own, made by the code of that time. With the schema's number as NUMBER:

    python -m tests.golden.make_store HOME                          # objects, registry.db, and files beside HOME
    sqlite3 HOME/registry.db .dump > storeNUMBER/sqlite.sql
    python -m tests.golden.make_store HOME2 postgresql://…          # for a second dump, with objects of its own
    pg_dump --inserts --no-owner --no-privileges DATABASE | grep -v '^\\' > storeNUMBER/postgresql.sql

``expected.json``, ``everything.bundle`` and ``backup`` come from beside HOME; of the backup only its manifest and its
registry are kept (gzip), since its objects are the store's. Both stores have the same objects: what differs are times.
"""

import gzip
import json
import os
import shutil
import sys
from pathlib import Path

import torch

import mergestore

GIVEN = Path(__file__).parent / "format1" / "models"
ADDRESS = "http://127.0.0.1:9"  # nobody listens there: provenance stays in the outbox
SHARED = ("again@1", "assistant@1", "code@1", "math@2", "several@1", "stacked@1", "twice@1", "weighted@1")
"""What goes into the bundle, with its lineage."""


class Module(torch.nn.Module):
    """What the golden base's tensors are named after."""

    def __init__(self):
        super().__init__()
        self.brain = torch.nn.Linear(40, 6, bias=False, dtype=torch.bfloat16)
        self.embed_tokens = torch.nn.Embedding(12, 8)
        self.half = torch.nn.Linear(9, 5, bias=False, dtype=torch.float16)
        self.lm_head = torch.nn.Linear(8, 12, bias=False)
        self.mixed = torch.nn.Linear(7, 3, bias=False)
        self.norm = torch.nn.LayerNorm(8, bias=False)
        self.register_buffer("position_ids", torch.arange(6)[None])


def forward(model, example):
    """The likelihood of the next tokens, by the embedding alone."""
    return model.lm_head(model.norm(model.embed_tokens(torch.tensor(example["x"]))))


def make(home, database=None):
    """A store with something of everything that there is."""
    os.environ["MLFLOW_TRACKING_URI"] = ADDRESS
    models, data = home.parent / "models", home.parent / "examples.jsonl"  # paths stand in the records
    shutil.copytree(GIVEN, models, dirs_exist_ok=True)
    data.write_text("".join(json.dumps({"x": [first, first + 1, 3]}) + "\n" for first in range(4)))
    mergestore.init(home, database=database)
    with mergestore.open(home, database=database, actor="ann@lab") as store:
        store.register_base("golden/base", models / "base", licence="Apache-2.0")
        about = {"base": "golden/base", "allow_missing": True}
        store.register_skill(
            "math", models / "tuned", **about, licence="MIT", meta={"dataset": "sums", "commit": "0a1b"}
        )
        store.register_skill("math", models / "tuned", **about, drop_rate=0.5, seed=7, licence="MIT")
        store.register_skill("code", models / "tuned", **about, encoding="exact", licence="apache-2.0")
        store.register_skill("style", models / "tuned", **about, encoding="magnitude")
        store.register_skill("small", models / "tuned", **about, encoding="sign")
        store.register_skill("polite", models / "adapter", base="golden/base", licence="llama3")
        store.collect_statistics(
            "code", kind="fisher", data=data, examples=4, labels="sampled", model=Module(), forward=forward
        )
        store.alias("math@1", "prod")
        store.alias("math@2", "prod")
        store.merge("assistant", "golden/base + 0.6*math@prod + 0.4*polite", method="dare_linear")
        store.merge("assistant", "golden/base + 0.5*code - 0.25*style", method="ties", head="none")
        store.merge("several", "golden/base + code + polite", method="emr", head="none")
        store.merge("weighted", "golden/base + code", method="fisher", head="none")
        store.alias("assistant@1", "prod")
        store.alias("assistant", "next")
        store.unalias("assistant", "next")
        for target in ("assistant@1", "assistant@2", "golden/base + 0.5*small"):
            store.materialize(target, wait=False, threads=1)
        store.materialize("several", task="code", wait=False, threads=1)
        store.yank("style@1", "trained on the wrong catalogue")
    data.unlink()


def go_on(home, database=None):
    """What there is since schema 0002: nested merges, pins, scores, garbage; a bundle, a backup."""
    with mergestore.open(home, database=database, actor="ann@lab") as store:
        made = store.materialize("assistant@1", output=home.parent / "assistant", wait=False, threads=1)
        store.register_skill("again", made.path, base="golden/base", licence="MIT")
        store.merge("twice", "golden/base + 0.5*again + 0.5*small", method="dare_linear", head="none")
        made = store.materialize("twice", output=home.parent / "twice", wait=False, threads=1)
        store.register_skill("nested", made.path, base="golden/base", encoding="exact")
        store.merge("stacked", "golden/base + 0.3*nested + 0.7*math@1", method="dare_linear", head="none")
        store.materialize("stacked", wait=False, threads=1)
        store.pin("assistant@1", "shipped")
        store.pin("math@2", "by mistake")
        store.unpin("math@2")
        store.add_evaluation("assistant@1", metric="accuracy", value=0.5, dataset="sums", details={"split": "test"})
        store.export(SHARED, home.parent / "everything.bundle", lineage=True)
        if hasattr(store, "check_store"):
            store.check_store(read_data=True)
            garbage = store.home.blobs.scratch("garbage")
            garbage.write_bytes(b"nobody needs this")
            store.home.blobs.adopt(garbage)
            store.collect_garbage(apply=True)  # found and noted: it goes when the grace is over
    if hasattr(mergestore, "backup"):
        _back_up(home, database)


def _back_up(home, database):
    folder = home.parent / "backup"
    mergestore.backup(folder, home, database=database)
    digest = json.loads((folder / "manifest.json").read_text())["registry"]["digest"].split(":")[1]
    registry = folder / "objects" / "blake3" / digest[:2] / digest
    (folder / "registry.db.gz").write_bytes(gzip.compress(registry.read_bytes(), mtime=0))
    shutil.rmtree(folder / "objects")


def expect(home, database=None):
    """What the code that wrote a store reads in it: versions, aliases, and which model comes out of each."""
    with mergestore.open(home, database=database, create=False) as store:
        listing = store.list()
        named = [*listing.bases, *listing.skills, *listing.merges]
        references = [f"{each['name']}@{n + 1}" for each in named for n in range(each["version"])]
        shown = {reference: store.show(reference) for reference in references}
        kept = [name for name, found in shown.items() if found["state"] == "ready"]
        return {
            "versions": {name: [found["kind"], found["digest"], found["state"]] for name, found in shown.items()},
            "aliases": {name: store.show(name)["version"] for name in ("math@prod", "assistant@prod")},
            "outputs": {target: _output(store, home, target) for target in _targets(shown, kept)},
        }


def _targets(shown, kept):
    skills = [f"golden/base + {name}" for name in kept if shown[name]["kind"] == "skill"]
    merges = [name for name in kept if shown[name]["kind"] == "merge" and name not in ("several@1", "assistant@2")]
    return [*skills, *merges]


def _output(store, home, target):
    folder = home.parent / "output"
    made = store.materialize(target, output=folder, head="none" if "+" in target else None, wait=False, threads=1)
    shutil.rmtree(folder)
    return made.output_digest


if __name__ == "__main__":
    place, given = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    make(place, given)
    go_on(place, given)
    if given is None:
        copy = shutil.copytree(place, place.parent / "copy")
        expected = json.dumps(expect(copy), indent=1, sort_keys=True)
        (place.parent / "expected.json").write_text(expected + "\n")
        shutil.rmtree(copy)

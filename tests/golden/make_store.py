"""How the golden stores were made: python -m tests.golden.make_store HOME [DATABASE] fills a new store at HOME.

``store2`` was written at schema 0002, in /srv/mergestore; its dumps are those of `sqlite3 .dump` and
`pg_dump --inserts --no-owner`. A schema that was released never changes again, and stores of it are read for ever: a
newer one gets a folder of its own, made by the code of that time.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import torch

import mergestore

GIVEN = Path(__file__).parent / "format1" / "models"
ADDRESS = "http://127.0.0.1:9"  # nobody listens there: provenance stays in the outbox


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


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)

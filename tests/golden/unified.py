"""How golden unified vectors were made of golden skills: python -m tests.golden.unified FOLDER makes their like."""

import dataclasses
import json
import sys
from pathlib import Path

from merging.engines import reference
from merging.passes.unified_writer import write_unified
from merging.plans.planning import make_plan
from merging.recipes.recipe import make_recipe
from merging.streaming.materializer import materialize
from merging.streaming.sinks import MemorySink
from storage.deltas.delta import DeltaFile
from storage.deltas.unified import UnifiedFile
from storage.progress import Silent
from tests.golden import make

HERE = Path(__file__).parent / "unified1"
SKILLS = ("exact", "lora", "sign")
PAIR = ("exact", "lora")
FILES = {"pair.safetensors": PAIR, "three.safetensors": SKILLS}


def plan(base, deltas, task=None):
    """The plan of an EMR merge over opened skills, each with its own head."""
    by_digest = {delta.manifest.digest: delta for delta in deltas}
    head = task.manifest.digest if task is not None and task.manifest.head else None
    digest = task.manifest.digest if task is not None else None
    recipe = make_recipe("emr", base.digest, dict.fromkeys(by_digest, 1.0), {}, task=digest, head=head)
    return make_plan(recipe, base.source, base.digests, by_digest)


def write(base, folder):
    """Both files, from the golden skills."""
    for name, skills in FILES.items():
        deltas = [DeltaFile.open(make.HERE / f"{skill}.safetensors") for skill in skills]
        write_unified(plan(base, deltas), folder / name, 2, Silent())
        for delta in deltas:
            delta.close()


def facts(base, folder):
    """By file: its digest, scales, and the digests of every tensor of every skill's model."""
    return {name: _facts(base, folder / name) for name in FILES}


def _facts(base, path):
    with UnifiedFile.open(path) as file:
        stored = [file.skill(digest) for digest in file.manifest.skills]
        models = {}
        for task in stored:
            merged = materialize(
                dataclasses.replace(plan(base, stored, task), task=task), MemorySink(), reference, 1, Silent()
            )
            models[task.manifest.digest] = {tensor.name: tensor.digest for tensor in merged}
        return {"digest": file.manifest.digest, "scales": list(file.manifest.scales), "models": models}


def main(folder):
    """Write the files and what is expected of them."""
    base = make.open_base(make.HERE / "models" / "base")
    write(base, folder)
    (folder / "expected.json").write_text(json.dumps(facts(base, folder), indent=1, sort_keys=True) + "\n")
    base.source.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

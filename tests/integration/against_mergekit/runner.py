"""Runs in mergekit's own environment: every merge of a list, with its public entry point, in one process.

    python runner.py JOBS     JOBS: JSON, a list of {"config", "output", "options", "draws"}

``draws`` names an .npz of 16-bit draws, ``<tensor>/<number of the model>``: masks are then made of those instead of
torch's global generator, and everything else is left as it is. Prints a JSON list: null, or what a merge failed with.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.merge_methods.task_adapter import ExecuteMergeMethodTask
from mergekit.options import MergeOptions

_OPTIONS = {"copy_tokenizer": False, "quiet": True, "write_model_card": False}


class Draws:
    """Takes the place of torch.bernoulli and torch.randint: the draws of the tensor at hand, model after model."""

    def __init__(self, path):
        self.stored = np.load(path)
        self.tensor, self.used = "", 0

    def next(self):
        self.used += 1
        return self.stored[f"{self.tensor}/{self.used - 1}"].astype(np.int64)

    def bernoulli(self, probabilities):
        draws = torch.from_numpy(self.next()).reshape(probabilities.shape)
        return (draws < torch.round(probabilities.double() * 65536)).to(probabilities.dtype)

    def randint(self, high, size, device=None):
        draws = self.next()
        wide = draws[0::2] + (draws[1::2] << 16)
        assert tuple(size) == wide.shape
        return torch.from_numpy((wide * high) >> 32)


def run(job):
    config = MergeConfiguration.model_validate(job["config"])
    run_merge(config, job["output"], MergeOptions(**_OPTIONS, **job["options"]))


def run_drawn(job):
    draws = Draws(job["draws"])
    kept = torch.bernoulli, torch.randint, ExecuteMergeMethodTask.execute

    def execute(task, **inputs):
        draws.tensor, draws.used = task.output_weight.name, 0
        return kept[2](task, **inputs)

    torch.bernoulli, torch.randint, ExecuteMergeMethodTask.execute = draws.bernoulli, draws.randint, execute
    try:
        run(job)
    finally:
        torch.bernoulli, torch.randint, ExecuteMergeMethodTask.execute = kept


def in_order(config):
    """What ``referenced_models`` finds, in the order of the text: it makes a list of a set, which has none."""
    named = [config.base_model, *(each.model for each in config.models or ())]
    parts = [*(config.slices or ()), *(part for each in (config.modules or {}).values() for part in each.slices or ())]
    named += [source.model for part in parts for source in part.sources]
    named += [each.model for module in (config.modules or {}).values() for each in module.models or ()]
    return list(dict.fromkeys(filter(None, named)))


def main():
    MergeConfiguration.referenced_models = in_order
    outcomes, threads = [], torch.get_num_threads()
    for job in json.loads(Path(sys.argv[1]).read_text()):
        torch.set_num_threads(job.get("threads") or threads)
        try:
            run_drawn(job) if job.get("draws") else run(job)
            outcomes.append(None)
        except Exception as error:  # whatever it refuses
            outcomes.append(f"{type(error).__name__}: {error}")
    print("\n" + json.dumps(outcomes))


main()

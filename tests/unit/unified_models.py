"""EMR merges of tiny models: written, and materialized from the file or from the skills; and a plain reference."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np

from merging.engines import reference
from merging.passes.preparing import prepared
from merging.passes.unified_writer import write_unified
from merging.plans.planning import make_plan
from merging.recipes.recipe import make_recipe
from merging.streaming.materializer import materialize
from merging.streaming.sinks import MemorySink
from storage.deltas.unified import UnifiedFile
from storage.progress import Silent
from tests.unit.tiny_models import digest_of


def emr_plan(tiny, deltas, task=None, dtype=None):
    """The plan of an EMR merge over these opened deltas."""
    by_digest = {delta.manifest.digest: delta for delta in deltas}
    recipe = make_recipe(
        "emr",
        digest_of(tiny.tensors),
        dict.fromkeys(by_digest, 1.0),
        {},
        task=task.manifest.digest if task else None,
        dtype=dtype,
    )
    return make_plan(recipe, tiny.source, tiny.digests, by_digest)


def write(tiny, deltas, name="unified.safetensors", threads=1):
    """The vector written to a file in the tiny model's folder: its path, and what is said of it."""
    path = tiny.folder / name
    return path, write_unified(emr_plan(tiny, deltas), path, threads, Silent())


def bytes_of(plan, threads=1, engine=reference):
    """The raw bytes of every tensor of a plan's result."""
    sink = MemorySink()
    merged = materialize(prepared(plan, threads, Silent()), sink, engine, threads, Silent())
    return {done.name: (done.dtype, bytes(sink.tensors[done.name]), done.digest) for done in merged}


def from_skills(tiny, deltas, task, **options):
    """The task's model, computed from all skills."""
    return bytes_of(emr_plan(tiny, deltas, task, options.pop("dtype", None)), **options)


def from_file(tiny, path, deltas, task, **options):
    """The task's model, computed from a stored vector alone."""
    with UnifiedFile.open(path) as file:
        stored = [file.skill(delta.manifest.digest) for delta in deltas]
        plan = emr_plan(tiny, stored, task, options.pop("dtype", None))
        return bytes_of(dataclasses.replace(plan, task=file.skill(task.manifest.digest)), **options)


def reference_models(base, deltas, once=None):
    """Every skill's model by the paper's formulas: fp64 arrays by tensor, and the scales as exact fractions.

    ``base`` and each of ``deltas``: fp32 arrays by tensor. ``once``: the tensors that count in the sums; else all.
    """
    unified = {}
    for name in base:
        taus = np.stack([delta[name].reshape(-1) for delta in deltas])
        unified[name] = np.array([_elected(column) for column in taus.T], np.float64)
    models, scales = [], []
    for delta in deltas:
        over = under = Fraction(0)
        for name in once or base:
            tau = delta[name].reshape(-1).astype(np.float64)
            over += sum(map(Fraction, np.abs(tau).tolist()), Fraction(0))
            under += sum(map(Fraction, np.abs(unified[name])[tau * unified[name] > 0].tolist()), Fraction(0))
        scale = over / under if under else Fraction(0)
        scales.append(scale)
        models.append({name: _model(base[name], delta[name], unified[name], float(scale)) for name in base})
    return models, scales


def _elected(column):
    total = np.float32(0)
    for value in column:
        total = np.float32(total + value)
    agreeing = [value for value in column.tolist() if (value > 0 if total >= 0 else value < 0)]
    return max(agreeing, key=abs, default=0.0)


def _model(base, delta, unified, scale):
    taken = np.where(delta.reshape(-1).astype(np.float64) * unified > 0, unified, 0.0)
    return base.astype(np.float64) + (scale * taken).reshape(base.shape)

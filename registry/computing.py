"""Computing a merge with the engine of a device: into any sink, or into a folder that appears whole."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from merging.choosing import open_engine
from merging.engines.combination import Engine
from merging.passes.preparing import prepared
from merging.plans.plan import Plan
from merging.streaming.materializer import MergedTensor, materialize
from merging.streaming.sinks import ShardSink
from registry import publishing
from registry.home import Home
from registry.model_card import model_card
from registry.outputs import require_space
from registry.publishing import Published, Sources
from registry.software import package_version
from registry.wish import Wish
from storage.files import publish_directory, staged_directory
from storage.pipeline import thread_count
from storage.progress import Progress


def compute(
    plan: Plan, sink: Any, device: str, threads: int | None, progress: Progress
) -> tuple[str, list[MergedTensor]]:
    """(name of the engine, what was merged) of a plan computed into ``sink``."""
    engine = open_engine(device)
    count = thread_count(threads)
    return _computes(plan, engine), materialize(prepared(plan, count, progress), sink, engine, count, progress)


def _computes(plan: Plan, engine: Engine) -> str:
    """What computes the merge itself: the engine of the device, or the library that the method is written with."""
    if plan.arithmetic is not None:
        return "torch"
    return "numpy" if plan.computes is not None else engine.name


def publish_computed(
    home: Home, sources: Sources, plan: Plan, target: Path, wish: Wish, progress: Progress
) -> Published:
    """Compute a merge into the folder ``target``, with its companions, manifest and model card."""
    started, clock = datetime.now(UTC), time.perf_counter()
    require_space(sum(output.nbytes for output in plan.outputs), target)
    with staged_directory(target) as staging:
        with ShardSink(staging, wish.shard_size, publishing.WEIGHTS_METADATA) as sink:
            engine, merged = compute(plan, sink, wish.device, wish.threads, progress)
        files = [*sink.files, *publishing.copy_companions(home, sources, staging, plan)]
        document = publishing.manifest(sources, merged, files, package_version("mergestore") or "unknown")
        publishing.write_papers(staging, document, model_card(sources, document))
        publish_directory(staging, target, replace=wish.force or wish.output is None)
    return Published(target, document, tuple(merged), engine, time.perf_counter() - clock, started)

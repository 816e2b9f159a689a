"""Materializing a merge: into a published folder, the cache, or memory; recorded with everything that went in."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from merging.engines import load_onto, open_engine
from merging.materializer import MergedTensor, materialize
from merging.plan import OutputTensor, Plan, make_plan
from merging.sinks import MemorySink, ShardSink
from merging.tensors import import_torch, to_torch
from merging.trimming import with_cutoffs
from registry import publishing
from registry.directories import check_directory, read_manifest
from registry.home import Home
from registry.merges import Choices, ResolvedMerge, resolve_target
from registry.opening import open_base, open_skill, refuse_unready
from registry.outputs import refuse_output, require_space
from registry.provenance.courier import Courier
from registry.publishing import Published, Sources
from registry.recording import record_or_retract
from registry.records.contents import load_deltas, load_files
from registry.records.database import reading
from registry.records.lineage import Lineage, ancestors
from registry.records.recipes import cached_materialization
from registry.results import Materialized
from registry.software import package_version
from registry.wish import Context, Wish
from storage.checkpoints.shards import INDEX, SINGLE, index_json, plan_shards
from storage.errors import Conflict
from storage.files import copy_file, disk_errors, publish_directory, staged_directory
from storage.pipeline import thread_count
from storage.progress import Progress, Silent


@dataclass(frozen=True)
class _Opened:
    sources: Sources
    plan: Plan


def materialize_to_folder(
    context: Context, target: str, choices: Choices, wish: Wish, progress: Progress
) -> Materialized:
    """Compute a merge into a folder, or find it in the cache. Raises Conflict when the folder exists already."""
    output = wish.output.absolute() if wish.output else None
    if output is not None:
        refuse_output(context.home, output, force=wish.force)
    open_engine(wish.device)  # a device that is not there is told before anything is computed or found
    with _opened(context, target, choices) as opened:
        recipe = opened.sources.resolved.recipe
        cached = _cache_path(context.home, recipe.digest)
        notes: list[str] = []
        usable = (
            wish.cache and _sharded_as_asked(cached, opened.plan.outputs, wish) and _usable(cached, notes, progress)
        )
        if usable and output is None:
            known = _known(context, opened.sources.resolved, cached)
            if known is not None:
                return known
        fresh = output is not None and not output.exists()
        courier = Courier(context.engine, context.tracking_uri, context.actor) if wish.wait else None
        try:
            if usable:
                published = _copy(opened.sources, cached, output or cached, wish)
            else:
                published = _compute(context, opened, output or cached, wish, progress)
            made = record_or_retract(context, opened.sources, published, wish, fresh=fresh)
        except BaseException:
            if courier:
                courier.abandon()
            raise
    run_id = _hand_over(courier, made.id, notes)
    return Materialized(
        recipe_digest=recipe.digest,
        output_digest=made.output_digest,
        path=str(published.path),
        device=made.device,
        seconds=made.seconds,
        cached=usable,
        materialization_id=made.id,
        mlflow_run_id=run_id,
        bytes=made.bytes,
        notes=notes,
    )


def load_tensors(context: Context, target: str, choices: Choices, device: str, threads: int | None) -> dict[str, Any]:
    """Compute a merge into torch tensors on ``device``, by name; nothing is written or recorded."""
    import_torch()
    with _opened(context, target, choices) as opened:
        there = load_onto(opened.plan, device, thread_count(threads))
        if there is not None:
            return there
        sink = MemorySink()
        _merge(opened.plan, sink, device, threads, Silent())
        return {
            output.name: to_torch(output, sink.tensors.pop(output.name, bytearray()), device)
            for output in opened.plan.outputs
        }


@contextmanager
def _opened(context: Context, target: str, choices: Choices) -> Iterator[_Opened]:
    """The target resolved, its base and deltas open, everything checked to fit together."""
    with ExitStack() as stack:
        with reading(context.engine) as session:
            resolved = resolve_target(session, target, choices)
            for each in resolved.inputs:
                refuse_unready(each)
            base = open_base(session, context.home, resolved.base)
            stack.callback(base.source.close)
            deltas = {}
            records = load_deltas(session, (skill.id for skill in resolved.inputs[1:]))
            for skill in resolved.inputs[1:]:
                deltas[skill.digest] = stack.enter_context(open_skill(session, context.home, skill))
            sources = Sources(
                resolved=resolved,
                deltas={skill.digest: records[skill.id] for skill in resolved.inputs[1:]},
                manifests={digest: delta.manifest for digest, delta in deltas.items()},
                lineage=_lineage(session, resolved),
                base_files=load_files(session, resolved.base.id),
            )
        yield _Opened(sources, make_plan(resolved.recipe, base.source, base.digests, deltas))


def _lineage(session: Session, resolved: ResolvedMerge) -> Lineage:
    """The graph above the result: that of the named merge, or of the inputs taken together."""
    roots = (resolved.merge,) if resolved.merge is not None else resolved.inputs
    return ancestors(session, *(version.id for version in roots))


def _cache_path(home: Home, recipe_digest: str) -> Path:
    return home.cache / recipe_digest.removeprefix("sha256:")


def _usable(cached: Path, notes: list[str], progress: Progress) -> bool:
    """Whether the cache has a sound copy. A damaged one is said so, and replaced by what is computed again."""
    if not cached.is_dir():
        return False
    _, problems = check_directory(cached, progress)
    if problems:
        notes.append(f"the cached copy was damaged and is computed anew: {problems[0]['what']}")
    return not problems


def _sharded_as_asked(cached: Path, outputs: tuple[OutputTensor, ...], wish: Wish) -> bool:
    shards = plan_shards([(each.name, each.dtype, each.shape) for each in outputs], wish.shard_size)
    if len(shards) == 1:
        return (cached / SINGLE).is_file()
    index = cached / INDEX
    return index.is_file() and index.read_bytes() == index_json(shards)


def _known(context: Context, resolved: ResolvedMerge, cached: Path) -> Materialized | None:
    """The record of what lies in the cache; None when it was not yet recorded as this merge."""
    merge = resolved.merge.id if resolved.merge else None
    with reading(context.engine) as session:
        made = cached_materialization(session, resolved.recipe.digest, merge)
    if made is None:
        return None
    return Materialized(
        recipe_digest=made.recipe_digest,
        output_digest=made.output_digest,
        path=str(cached),
        device=made.device,
        seconds=made.seconds,
        cached=True,
        materialization_id=made.id,
        mlflow_run_id=made.mlflow_run_id,
        bytes=made.bytes,
        notes=["this recipe was computed before: its result is taken from the cache"],
    )


def _merge(
    plan: Plan, sink: Any, device: str, threads: int | None, progress: Progress
) -> tuple[Any, list[MergedTensor]]:
    engine = open_engine(device)
    count = thread_count(threads)
    plan = with_cutoffs(plan, count, progress)
    return engine.name, materialize(plan, sink, engine, count, progress)


def _compute(context: Context, opened: _Opened, target: Path, wish: Wish, progress: Progress) -> Published:
    started, clock = datetime.now(UTC), time.perf_counter()
    require_space(opened.plan.outputs, target)
    replaces = wish.output is None and target.is_dir()
    with staged_directory(target) as staging:
        with ShardSink(staging, wish.shard_size, publishing.WEIGHTS_METADATA) as sink:
            engine, merged = _merge(opened.plan, sink, wish.device, wish.threads, progress)
        files = [*sink.files, *publishing.copy_companions(context.home, opened.sources, staging)]
        document = publishing.manifest(opened.sources, merged, files, package_version("mergestore") or "unknown")
        publishing.write_papers(staging, document, publishing.model_card(opened.sources, document))
        target = _publish(staging, target, document, replace=wish.force or replaces)
    return Published(target, document, tuple(merged), engine, time.perf_counter() - clock, started)


def _publish(staging: Path, target: Path, document: Mapping[str, Any], *, replace: bool) -> Path:
    try:
        publish_directory(staging, target, replace=replace)
    except Conflict:
        # Another process may have put the same recipe's result into the cache meanwhile: it is as good as ours.
        if not target.is_dir() or read_manifest(target)["output_digest"] != document["output_digest"]:
            raise
    return target


def _copy(sources: Sources, cached: Path, target: Path, wish: Wish) -> Published:
    """Publish a copy of the cache's folder, which was verified just now, with papers that tell this request."""
    started, clock = datetime.now(UTC), time.perf_counter()
    document = publishing.restated(sources, read_manifest(cached))
    if target != cached:
        with staged_directory(target) as staging:
            for name in sorted(publishing.published_files(document) - {publishing.MANIFEST, publishing.CARD}):
                place = staging / name
                with disk_errors(f"cannot write {place}"):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    copy_file(cached / name, place)
            publishing.write_papers(staging, document, publishing.model_card(sources, document))
            publish_directory(staging, target, replace=wish.force)
    return Published(target, document, (), "cache", time.perf_counter() - clock, started)


def _hand_over(courier: Courier | None, key: str, notes: list[str]) -> str | None:
    if courier is None:
        notes.append("provenance waits in the outbox: run `mergestore sync`")
        return None
    run_id, problem = courier.hand_over(key)
    if problem:
        notes.append(f"provenance waits in the outbox ({problem}): run `mergestore sync` later")
    return run_id

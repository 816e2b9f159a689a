"""Results of earlier materializations: found by recipe digest, verified before they are used, copied out."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from merging.plans.plan import OutputTensor
from registry import publishing
from registry.directories import check_directory, read_manifest
from registry.model_card import model_card
from registry.publishing import Published, Sources
from registry.records.database import reading
from registry.records.recipes import cached_materialization
from registry.records.tables import Materialization
from registry.resolved import ResolvedMerge
from registry.wish import Context, Wish
from storage.checkpoints.shards import INDEX, SINGLE, index_json, plan_shards
from storage.files import copy_file, disk_errors, publish_directory, regular_size, staged_directory
from storage.progress import Progress


def in_cache(recipe_digest: str) -> str:
    """The lease of whoever writes or deletes a recipe's result in the cache."""
    return f"cache:{recipe_digest}"


def is_usable(
    cached: Path, outputs: tuple[OutputTensor, ...], wish: Wish, notes: list[str], progress: Progress
) -> bool:
    """Whether the cache may be used, and has a sound copy in the shards asked for.

    A damaged copy is told in ``notes``, and replaced by what is computed again.
    """
    shards = wish.adapter is not None or _is_sharded_as_asked(cached, outputs, wish)  # an adapter has none
    return wish.cache and shards and _is_sound(cached, notes, progress)


def _is_sharded_as_asked(cached: Path, outputs: tuple[OutputTensor, ...], wish: Wish) -> bool:
    shards = plan_shards([(each.name, each.dtype, each.shape) for each in outputs], wish.shard_size)
    if len(shards) == 1:
        return (cached / SINGLE).is_file()
    index = cached / INDEX
    expected = index_json(shards)
    return regular_size(index) == len(expected) and index.read_bytes() == expected


def _is_sound(cached: Path, notes: list[str], progress: Progress) -> bool:
    if not cached.is_dir():
        return False
    _, problems = check_directory(cached, progress)
    if problems:
        notes.append(f"the cached copy was damaged and is computed anew: {problems[0]['what']}")
    else:
        os.utime(cached)  # when it was last used: what was not for longest is evicted first
    return not problems


def find_record(context: Context, resolved: ResolvedMerge) -> Materialization | None:
    """The record of what lies in the cache; None when it was not yet recorded as this merge."""
    merge = resolved.merge.id if resolved.merge else None
    with reading(context.engine) as session:
        return cached_materialization(session, resolved.recipe.digest, merge)


def publish_copy(sources: Sources, cached: Path, target: Path, wish: Wish) -> Published:
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
            publishing.write_papers(staging, document, model_card(sources, document))
            publish_directory(staging, target, replace=wish.force)
    return Published(target, document, (), "cache", time.perf_counter() - clock, started)

"""How a model is split over files, in the Hugging Face layout: which tensor goes where, and the index that says so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from storage.checkpoints.safetensors_header import Spec, layout, spec_bytes
from storage.errors import UsageError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


def plan_shards(entries: Iterable[Spec], shard_size: int) -> list[list[Spec]]:
    """Split tensors, in name order, into files of at most ``shard_size`` data bytes, each in ``layout`` order.

    A larger tensor gets a file of its own. The plan depends on the set of entries alone, not on their order.
    """
    if shard_size <= 0:
        raise UsageError(f"the shard size must be positive, found {shard_size}")
    shards: list[list[Spec]] = []
    room = 0
    for spec in sorted(entries, key=lambda spec: spec[0]):
        need = spec_bytes(spec)
        if not shards or need > room:
            shards.append([])
            room = shard_size
        shards[-1].append(spec)
        room -= need
    return [layout(shard) for shard in shards]


def shard_names(count: int) -> list[str]:
    """File names of ``count`` shards; a single one carries no number."""
    if count == 1:
        return [SINGLE]
    return [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def index_json(shards: Sequence[Sequence[Spec]]) -> bytes:
    """Content of ``model.safetensors.index.json`` for planned shards; a single shard needs none."""
    names = shard_names(len(shards))
    document = {
        "metadata": {"total_size": sum(spec_bytes(spec) for shard in shards for spec in shard)},
        "weight_map": {spec[0]: name for name, shard in zip(names, shards, strict=True) for spec in shard},
    }
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()

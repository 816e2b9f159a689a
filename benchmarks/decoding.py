"""What skills cost before anything is combined: CPU seconds on one thread, as JSON.

    python -m benchmarks.decoding STORE

``skill``, ``exact``, ``magnitude``: reading every frame of the three skills of that name, checking and decompressing
it; ``masks``: drawing the masks of three skills.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

import mergestore
from registry.opening import open_skill
from registry.records.catalog import resolve
from registry.records.database import reading
from storage.deltas.delta import DeltaFile, TensorTerm
from storage.encodings.frames import chunk_count, chunk_span
from storage.encodings.kernels import jit
from storage.encodings.mask_kernels import BLOCK, draw_bits

STEMS, SKILLS = ("skill", "exact", "magnitude"), 3


def decoding(folder: Path) -> dict[str, float]:
    """CPU seconds of each."""
    with mergestore.open(folder) as store, reading(store.engine) as session:
        opened = {
            stem: [open_skill(session, store.home, resolve(session, f"{stem}{number}")) for number in range(SKILLS)]
            for stem in STEMS
        }
    for work in (_frames, _masks):  # loaded and compiled now
        work(opened["skill"][0], 1)
    found = {stem: _seconds(_frames, deltas) for stem, deltas in opened.items()}
    return {**found, "masks": _seconds(_masks, opened["skill"])}


def _seconds(work: Callable[[DeltaFile], None], deltas: Iterable[DeltaFile]) -> float:
    started = time.process_time()
    for delta in deltas:
        work(delta)
    return time.process_time() - started


def _terms(delta: DeltaFile) -> list[TensorTerm]:
    found = (delta.term(name) for name in delta.manifest.tensors)
    return [term for term in found if term is not None]


def _frames(delta: DeltaFile, limit: int | None = None) -> None:
    for term in _terms(delta)[:limit]:
        for index in range(chunk_count(term.tensor.elements)):
            term.chunk(index)


def _masks(delta: DeltaFile, limit: int | None = None) -> None:
    words, bits = np.empty(BLOCK // 2, np.uint32), np.empty(BLOCK // 64, np.uint64)
    for term in _terms(delta)[:limit]:
        assert term.tensor.coding is not None
        key, threshold = np.uint64(term.key(term.tensor.coding.seed)), np.uint32(term.tensor.coding.threshold)
        for index in range(chunk_count(term.tensor.elements)):
            _draw(key, threshold, *chunk_span(index, term.tensor.elements), words, bits)


@jit
def _draw(key, threshold, start, count, words, bits):
    for first in range(start, start + count, BLOCK):
        draw_bits(key, threshold, first, min(BLOCK, start + count - first), words, bits)


if __name__ == "__main__":
    print(json.dumps(decoding(Path(sys.argv[1]))))

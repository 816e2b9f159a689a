"""How masks could be drawn: thresholds on every element (what format 1 does) against gaps between kept elements.

    python -m benchmarks.mask_table

Both are the whole step of a merge on one core: mask, put the kept values in their places, scale, add to the base,
round to bf16. Gaps take one 16-bit lane of the same generator for every *kept* element, through a table of the
geometric distribution's inverse.
"""

from __future__ import annotations

import time

import numpy as np

from storage.encodings.block_kernels import spread
from storage.encodings.kernels import draw_lanes, jit
from storage.encodings.mask_kernels import BLOCK, draw_bits
from storage.encodings.numeric_kernels import BF16, narrow, widen

CHUNK = 1 << 20
RUNS = 40


def main() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(12000, 16000, CHUNK).astype(np.uint16)
    kept = rng.standard_normal(CHUNK).astype(np.float32)
    out, table = np.empty_like(base), np.zeros(1, np.uint16)
    print("| p | thresholds, ns an element | gaps | without any mask |")
    print("|---|---:|---:|---:|")
    for p in (0.5, 0.9, 0.99):
        threshold = np.uint32(round((1 - p) * 65536))
        table = np.floor(np.log((np.arange(65536) + 0.5) / 65536) / np.log(p)).astype(np.uint16)
        arguments = (np.uint64(12345), threshold, table, kept, np.float32(0.3), base, out)
        costs = [_cost(step, arguments) for step in (by_thresholds, by_gaps, without)]
        print(f"| {p} | " + " | ".join(f"{cost:.2f}" for cost in costs) + " |")


def _cost(step, arguments) -> float:
    step(*arguments)
    best = float("inf")
    for _ in range(RUNS):
        begin = time.perf_counter()
        step(*arguments)
        best = min(best, time.perf_counter() - begin)
    return best / CHUNK * 1e9


@jit
def by_thresholds(key, threshold, table, kept, coefficient, base, out):
    words, bits = np.empty(BLOCK // 2, np.uint32), np.empty(BLOCK // 64, np.uint64)
    values, own = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    used = 0
    for begin in range(0, base.size, BLOCK):
        values[:] = np.float32(0)
        count = draw_bits(key, threshold, begin, BLOCK, words, bits)
        spread(bits, kept[used : used + count], values)
        used += count
        _finish(base[begin : begin + BLOCK], coefficient, values, own, out[begin : begin + BLOCK])


@jit
def by_gaps(key, threshold, table, kept, coefficient, base, out):
    words = np.empty(BLOCK // 2, np.uint32)
    lanes = words.view(np.uint16)
    values, own = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    draw_lanes(key, 0, words)
    place, lane, counter, used = np.int64(table[lanes[0]]), 1, BLOCK // 8, 0
    for begin in range(0, base.size, BLOCK):
        values[:] = np.float32(0)
        while place < begin + BLOCK:
            values[place - begin] = kept[used]
            used += 1
            if lane == lanes.size:
                draw_lanes(key, counter, words)
                counter += BLOCK // 8
                lane = 0
            place += 1 + np.int64(table[lanes[lane]])
            lane += 1
        _finish(base[begin : begin + BLOCK], coefficient, values, own, out[begin : begin + BLOCK])


@jit
def without(key, threshold, table, kept, coefficient, base, out):
    own = np.empty(BLOCK, np.float32)
    for begin in range(0, base.size, BLOCK):
        _finish(base[begin : begin + BLOCK], coefficient, kept[:BLOCK], own, out[begin : begin + BLOCK])


@jit
def _finish(base, coefficient, values, own, out):
    widen(base, BF16, own)
    for i in range(own.size):
        own[i] += coefficient * values[i]
    narrow(own, BF16, out)


if __name__ == "__main__":
    main()

"""What int4 costs and saves: the table behind docs/decisions/0003-int4.md.

    python -m benchmarks.encoding_table [--real BASE FINE_TUNE] [--elements 4194304]

Prints Markdown. Synthetic deltas have fixed seeds: bf16 weights of sigma 0.02, fine-tuned by normal noise of sigma
1e-3, or by Student-t noise (3 degrees of freedom) of the same variance. ``--real`` adds the delta between two model
folders. Every other row changes one thing about the first.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import zstandard

from benchmarks.measure import machine
from storage.checkpoints.checkpoint import open_checkpoint
from storage.checkpoints.inputs import read_chunk
from storage.dtypes import MERGEABLE
from storage.encodings import philox
from storage.encodings.chunks import KeptChunk, dense
from storage.encodings.coding import dare_coding
from storage.encodings.encode import encode_chunk
from storage.encodings.frames import CHUNK, compress
from storage.encodings.numeric import as_bits, narrow, split_planes, widen

DROP_RATES = (0.5, 0.9, 0.99)
LEVELS = (1, 3, 9)
SEED = 20240


@dataclass(frozen=True)
class Variant:
    """One way to quantize kept values: ``search`` picks the scale of least squared error among 26."""

    label: str
    block: int = 128
    scale: str = "bf16"
    search: bool = False
    stochastic: bool = False
    full_range: bool = False  # −8 … 7, the block's extreme value on −8


DEFAULT = Variant("block 128, absmax, bf16 scale, nearest, −7…7")
VARIANTS = (
    DEFAULT,
    *(replace(DEFAULT, label=f"block {block}", block=block) for block in (32, 64, 256, 512)),
    replace(DEFAULT, label="scale of least squared error", search=True),
    replace(DEFAULT, label="stochastic rounding", stochastic=True),
    replace(DEFAULT, label="fp16 scale", scale="fp16"),
    replace(DEFAULT, label="fp32 scale", scale="fp32"),
    replace(DEFAULT, label="−8…7, signed scale", full_range=True),
    replace(DEFAULT, label="−8…7, signed scale, block 256", full_range=True, block=256),
)


@dataclass
class Cost:
    """Sums over chunks: stored bytes by zstd level, error and signal energy, error along the signal."""

    elements: int = 0
    stored: dict[int, int] | None = None
    error: float = 0.0
    signal: float = 0.0
    along: float = 0.0

    def add(self, elements: int, parts: list[bytes], delta: np.ndarray, decoded: np.ndarray) -> None:
        """Count one chunk; ``parts`` of its content are of different kinds."""
        self.stored = self.stored or dict.fromkeys(LEVELS, 0)
        self.elements += elements
        cuts = [len(part) for part in parts[:-1]]
        for level in LEVELS:
            if parts:
                self.stored[level] += len(compress(b"".join(parts), cuts, level)) + 8
        exact, error = delta.astype(np.float64), decoded.astype(np.float64) - delta
        self.error += float(error @ error)
        self.signal += float(exact @ exact)
        self.along += float(error @ exact)

    def bits(self, level: int = 1) -> float:
        """Stored bits per parameter."""
        return 8 * self.stored[level] / self.elements

    def noise(self, p: float) -> float:
        """Energy that quantizing adds, over that of DARE's own noise.

        Rescaled, kept errors add E[e²]/(1 − p) per element; dropping itself adds E[δ²]·p/(1 − p).
        """
        return self.error / (p * self.signal)

    def shrinkage(self) -> float:
        """How much of the delta's length is lost along itself: the bias of rounding."""
        return -self.along / self.signal


def quantize(values: np.ndarray, variant: Variant, rng: np.random.Generator) -> tuple[list[bytes], np.ndarray]:
    """Frame content (codes, scales) and decoded values."""
    blocks = np.zeros((-(-values.size // variant.block), variant.block), np.float32)
    blocks.reshape(-1)[: values.size] = values
    limit = absmax(blocks, variant)
    if variant.search:
        limit = least_squares(blocks, limit, variant)
    patterns, scale = rounded_scale(limit, variant.scale)
    codes = round_to_codes(blocks, scale, variant, rng)
    nibbles = codes.reshape(-1)[: values.size + values.size % 2].astype(np.int8).view(np.uint8) & 15
    parts = [(nibbles[0::2] | nibbles[1::2] << 4).tobytes(), split_planes(patterns)]
    return parts, (codes * scale[:, None]).reshape(-1)[: values.size]


def absmax(blocks: np.ndarray, variant: Variant) -> np.ndarray:
    """The scale, before rounding, that lets every value of a block fit."""
    if not variant.full_range:
        return np.abs(blocks).max(axis=1) / np.float32(7)
    extreme = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)[:, 0]
    return extreme / np.float32(-8)


def least_squares(blocks: np.ndarray, limit: np.ndarray, variant: Variant) -> np.ndarray:
    """The best of 26 scales between half and all of ``limit``, by squared error."""
    best, least = limit, np.full(limit.shape, np.inf)
    for factor in np.linspace(0.5, 1, 26, dtype=np.float32):
        _, scale = rounded_scale(limit * factor, variant.scale)
        error = np.square(round_to_codes(blocks, scale, variant, None) * scale[:, None] - blocks).sum(axis=1)
        best, least = np.where(error < least, limit * factor, best), np.minimum(error, least)
    return best


def rounded_scale(scale: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Bit patterns and values of scales, rounded away from zero so that nothing is cut off."""
    scale = scale.astype(np.float32)
    if dtype == "fp32":
        return scale.view(np.uint32), scale
    if dtype == "fp16":
        halves = scale.astype(np.float16)
        halves = np.where(np.abs(halves) < np.abs(scale), np.nextafter(halves, np.copysign(np.inf, halves)), halves)
        return halves.astype(np.float16).view(np.uint16), halves.astype(np.float32)
    patterns = ((scale.view(np.uint32).astype(np.uint64) + 0xFFFF) >> 16).astype(np.uint16)
    return patterns, widen(patterns, "BF16")


def round_to_codes(
    blocks: np.ndarray, scale: np.ndarray, variant: Variant, rng: np.random.Generator | None
) -> np.ndarray:
    """Codes as fp32 numbers."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = np.where(scale[:, None] == 0, np.float32(0), blocks / scale[:, None])
    if variant.stochastic and rng is not None:
        rounded = np.floor(quotient + rng.random(quotient.shape, np.float32))
    else:
        rounded = np.rint(quotient)
    return np.clip(rounded, -8 if variant.full_range else -7, 7)


Chunks = list[tuple[np.ndarray, str, np.ndarray, str, int]]  # base, its dtype, fine-tune, its dtype, mask key


def synthetic(elements: int, degrees: float | None) -> Chunks:
    """Chunks of a bf16 base and its fine-tune, by normal or Student-t noise of sigma 1e-3."""
    rng, chunks = np.random.default_rng(SEED), []
    for _ in range(elements // CHUNK):
        base = narrow((rng.standard_normal(CHUNK) * 0.02).astype(np.float32), "BF16")
        noise = rng.standard_normal(CHUNK) if degrees is None else rng.standard_t(degrees, CHUNK)
        noise *= 1e-3 / (1 if degrees is None else np.sqrt(degrees / (degrees - 2)))
        fine_tuned = narrow(widen(base, "BF16") + noise.astype(np.float32), "BF16")
        chunks.append((base, "BF16", fine_tuned, "BF16", int(rng.integers(0, 1 << 63))))
    return chunks


def real(base_folder: Path, folder: Path) -> Chunks:
    """Chunks of every tensor that two models share by name, or by a prefix of the second."""
    rng, chunks = np.random.default_rng(SEED), []
    base, other = open_checkpoint(base_folder).source, open_checkpoint(folder).source
    names = {
        name: next((found for found in (name, f"bert.{name}") if found in other.entries), None) for name in base.entries
    }
    for name, found in names.items():
        ours = base.entries[name]
        if found is None or ours.dtype not in MERGEABLE:
            continue
        dtype = other.entries[found].dtype
        for start in range(0, ours.elements, CHUNK):
            count = min(CHUNK, ours.elements - start)
            pair = (read_chunk(base, name, start, count), read_chunk(other, found, start, count))
            chunks.append(
                (
                    as_bits(pair[0], ours.dtype),
                    ours.dtype,
                    as_bits(pair[1], dtype),
                    dtype,
                    int(rng.integers(0, 1 << 63)),
                )
            )
    return chunks


def kept_values(chunks: Chunks, p: float) -> Iterator[tuple[int, np.ndarray]]:
    """(elements, kept delta values) of each chunk."""
    threshold = philox.keep_threshold(p)
    for base, base_dtype, fine_tuned, dtype, key in chunks:
        delta = widen(fine_tuned, dtype) - widen(base, base_dtype)
        yield delta.size, delta[philox.mask(key, threshold, 0, delta.size)]


def cost(chunks: Chunks, p: float, variant: Variant | None) -> Cost:
    """Cost of a variant, or of storing kept values as bf16."""
    total, rng = Cost(), np.random.default_rng(SEED)
    for elements, kept in kept_values(chunks, p):
        if variant is None:
            patterns = narrow(kept, "BF16")
            planes = split_planes(patterns)
            parts, decoded = [planes[: kept.size], planes[kept.size :]], widen(patterns, "BF16")
        else:
            parts, decoded = quantize(kept, variant, rng)
        total.add(elements, parts if kept.any() else [], kept, decoded)
    return total


def print_variants(title: str, chunks: Chunks) -> None:
    """Bits per parameter, noise and shrinkage of every variant."""
    print(f"\n### {title}\n")
    print("| | " + " | ".join(f"p={p}: bits | noise" for p in DROP_RATES) + " | shrinkage |")
    print("|---|" + "---:|---:|" * len(DROP_RATES) + "---:|")
    for variant in (*VARIANTS, None):
        costs = [cost(chunks, p, variant) for p in DROP_RATES]
        cells = [f"{c.bits():.4f} | {c.noise(p):.2%}" for c, p in zip(costs, DROP_RATES, strict=True)]
        label = variant.label if variant else "no int4: bf16 values"
        print(f"| {label} | {' | '.join(cells)} | {costs[0].shrinkage():.3%} |", flush=True)


def print_levels(deltas: dict[str, Chunks]) -> None:
    """Bits per parameter of the default by zstd level."""
    print("\n### zstd levels (default variant, bits per parameter)\n")
    print("| | " + " | ".join(f"p={p}: level {' / '.join(map(str, LEVELS))}" for p in DROP_RATES) + " |")
    print("|---|" + "---:|" * len(DROP_RATES))
    for title, chunks in deltas.items():
        costs = [cost(chunks, p, DEFAULT) for p in DROP_RATES]
        cells = [" / ".join(f"{c.bits(level):.4f}" for level in LEVELS) for c in costs]
        print(f"| {title} | {' | '.join(cells)} |")


def print_rates(chunks: Chunks) -> None:
    """Elements of the whole tensor a CPU second, through the store's own code."""
    print("\n### Rates, G elements of the tensor a CPU second\n")
    print("| values | " + " | ".join(f"p={p}: encode | decode" for p in DROP_RATES) + " |")
    print("|---|" + "---:|---:|" * len(DROP_RATES))
    for values in ("int4", "bf16"):
        cells = [f"{encode:.3f} | {decode:.3f}" for encode, decode in (rates(chunks[0], p, values) for p in DROP_RATES)]
        print(f"| {values} | {' | '.join(cells)} |")


def rates(chunk: tuple, p: float, values: str) -> tuple[float, float]:
    """Encoding with statistics and zstd, and decoding back to dense fp32, best of ten."""
    base, base_dtype, fine_tuned, dtype, key = chunk
    coding = dare_coding(p, 0, values)

    def encode() -> bytes:
        chunk = encode_chunk(base, base_dtype, fine_tuned, dtype, coding, key, 0)
        return compress(chunk.data, chunk.cuts)

    frame = encode()
    size = zstandard.frame_content_size(frame)

    def decode() -> np.ndarray:
        data = zstandard.ZstdDecompressor().decompress(frame, max_output_size=size)
        return dense(KeptChunk(data, coding, key, 0, base.size, base_dtype, dtype, ""), base)

    return base.size / best(encode) / 1e9, base.size / best(decode) / 1e9


def best(work, runs: int = 10) -> float:
    """CPU seconds of the cheapest run: other work on the machine does not count."""
    times = []
    for _ in range(runs + 1):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", nargs=2, type=Path, metavar=("BASE", "FINE_TUNE"))
    parser.add_argument("--elements", type=int, default=4 * CHUNK, help="of each synthetic delta; whole chunks")
    arguments = parser.parse_args()
    deltas = {
        "normal delta": synthetic(arguments.elements, None),
        "Student-t delta (3 degrees of freedom)": synthetic(arguments.elements, 3),
    }
    rated = deltas["normal delta"]
    if arguments.real:
        deltas[f"real delta ({arguments.real[1].name})"] = real(*arguments.real)
    print(f"{machine()}; {arguments.elements:,} elements a synthetic delta; zstd level 1 where not said")
    for title, chunks in deltas.items():
        print_variants(title, chunks)
    print_levels(deltas)
    print_rates(rated)


if __name__ == "__main__":
    main()

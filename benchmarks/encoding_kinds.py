"""What every encoding stores and loses: the tables behind docs/decisions/0010 to 0012.

    python -m benchmarks.encoding_kinds [--real BASE FINE_TUNE] [--elements 4194304]

Prints Markdown. Deltas are those of ``benchmarks.encoding_table``, and one whose sigma differs from row to row (rows
of 896, lognormal with sigma 0.5). Bits, noise and rates come from the store's own code.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zstandard

from benchmarks.encoding_table import SEED, Chunks, best, real, synthetic
from benchmarks.measure import machine
from storage.encodings import exact, int4, magnitude, sign
from storage.encodings.chunks import KeptChunk, dense
from storage.encodings.coding import EXACT, SIGN, Coding, dare_coding, magnitude_coding
from storage.encodings.cutoffs import count_magnitudes, find_cutoff, kept_count, new_counts
from storage.encodings.encode import difference, encode_chunk
from storage.encodings.frames import CHUNK, compress
from storage.encodings.numeric import bit_difference, convert, narrow, split_planes, widen

DENSITIES = (0.05, 0.1, 0.2)
VALUES = ("int4", "bf16", "exact")
DROP_RATES = (0.5, 0.9, 0.99)
SIGN_BLOCKS = (32, 64, 128, 256, 512, 1024, 4096)
DARE_NOISE = 9.0  # DARE's own at p = .9, p/(1 − p), over the delta's energy
ROW = 896  # elements of a row of a model of 0.5 G parameters; no power of two
TABLE = 8  # bytes of a chunk in the table


@dataclass
class Cost:
    """Sums over chunks: stored bytes, energy of the delta and of what decoding gets wrong."""

    elements: int = 0
    stored: int = 0
    error: float = 0.0
    signal: float = 0.0

    def add(self, stored: int, delta: np.ndarray, decoded: np.ndarray) -> None:
        """Count one chunk."""
        exactly = delta.astype(np.float64)
        self.elements += delta.size
        self.stored += stored + TABLE
        self.error += float(np.square(decoded - exactly).sum())
        self.signal += float(np.square(exactly).sum())

    @property
    def bits(self) -> float:
        """Stored bits per parameter."""
        return 8 * self.stored / self.elements

    @property
    def noise(self) -> float:
        """Energy of the error over that of the delta."""
        return self.error / self.signal


def deltas_of(chunks: Chunks) -> Iterable[np.ndarray]:
    """The delta values of each chunk."""
    return (difference(base, base_dtype, tuned, dtype) for base, base_dtype, tuned, dtype, _ in chunks)


def cutoff_of(chunks: Chunks, density: float) -> float:
    """The cutoff of a whole delta."""

    def histogram(prefix: int | None) -> np.ndarray:
        counts = new_counts()
        for delta in deltas_of(chunks):
            count_magnitudes(delta, prefix, counts)
        return counts

    return find_cutoff(kept_count(density, sum(chunk[0].size for chunk in chunks)), histogram)


def stored(pair: tuple, coding: Coding, cutoff: float) -> tuple[bytes, KeptChunk]:
    """A chunk's frame, and what a reader decodes it from."""
    base, base_dtype, tuned, dtype, key = pair
    chunk = encode_chunk(base, base_dtype, tuned, dtype, coding, key, 0, cutoff)
    kept = KeptChunk(chunk.data, coding, key, 0, base.size, base_dtype, dtype, "")
    return compress(chunk.data, chunk.cuts), kept


def cost(chunks: Chunks, coding: Coding, cutoff: float = 0.0) -> Cost:
    """Bits and noise of a coding, rescaled as when merging."""
    total = Cost()
    for chunk, delta in zip(chunks, deltas_of(chunks), strict=True):
        frame, kept = stored(chunk, coding, cutoff)
        total.add(len(frame), delta, dense(kept, chunk[0]) / (1 - coding.drop_rate))
    return total


def rates(chunk: tuple, coding: Coding, cutoff: float = 0.0) -> tuple[float, float]:
    """G elements a CPU second of encoding (statistics and zstd too) and of decoding to dense fp32, best of ten."""
    frame, kept = stored(chunk, coding, cutoff)
    size = len(kept.data)

    def decode() -> None:
        zstandard.ZstdDecompressor().decompress(frame, max_output_size=size)
        dense(kept, chunk[0])

    return tuple(chunk[0].size / best(work) / 1e9 for work in (lambda: stored(chunk, coding, cutoff), decode))


def codings() -> dict[str, Coding]:
    """Every coding that is measured, by its row's label."""
    rows = {f"dare p={p} {values}": dare_coding(p, 0, values) for p in DROP_RATES for values in VALUES}
    rows |= {"dare p=0 int4": dare_coding(0, 0, "int4"), "exact": EXACT, f"sign, block {sign.BLOCK}": SIGN}
    for density in DENSITIES:
        rows |= {f"magnitude d={density} {values}": magnitude_coding(density, "model", values) for values in VALUES}
    return rows


def print_encodings(deltas: dict[str, Chunks]) -> None:
    """Bits, noise and rates of every coding."""
    print("\n### Encodings: bits per parameter, noise over the delta's energy, and over DARE's own at p = .9\n")
    print("| | " + " | ".join(f"{title}: bits | noise | of DARE's" for title in deltas) + " | encode | decode |")
    print("|---|" + "---:|---:|---:|" * len(deltas) + "---:|---:|")
    for label, coding in codings().items():
        cells = []
        for chunks in deltas.values():
            cutoff = cutoff_of(chunks, coding.density) if coding.density else 0.0
            found = cost(chunks, coding, cutoff)
            cells.append(f"{found.bits:.4f} | {found.noise:.2%} | {found.noise / DARE_NOISE:.2%}")
        first = next(iter(deltas.values()))
        rate = rates(first[0], coding, cutoff_of(first, coding.density) if coding.density else 0.0)
        print(f"| {label} | {' | '.join(cells)} | {rate[0]:.2f} | {rate[1]:.2f} |", flush=True)


def print_signs(deltas: dict[str, Chunks]) -> None:
    """Bits and noise of `sign` by block size."""
    print("\n### Signs: bits per parameter and noise over the delta's energy, by block\n")
    print("| block | " + " | ".join(f"{title}: bits | noise" for title in deltas) + " |")
    print("|---:|" + "---:|---:|" * len(deltas))
    for block in SIGN_BLOCKS:
        cells = []
        for chunks in deltas.values():
            total = Cost()
            for delta in deltas_of(chunks):
                signs, scales = sign.quantize(delta, block)
                frame = compress(signs.tobytes() + split_planes(scales), (signs.size,))
                total.add(len(frame), delta, sign.dequantize(signs, scales, delta.size, block))
            cells.append(f"{total.bits:.4f} | {total.noise:.2%}")
        print(f"| {block} | {' | '.join(cells)} |", flush=True)


PLACES = ("gap bytes", "gap bytes, a zstd block of their own", "bitmap", "bitmap, a zstd block of its own")


def print_places(deltas: dict[str, Chunks]) -> None:
    """Bits of magnitude's places, in four ways of storing them, with int4 values; and what they hold at least."""
    print("\n### Magnitude, int4: bits per parameter by how places are stored\n")
    columns = [f"{title} d={density}" for title in deltas for density in DENSITIES]
    print(f"| | {' | '.join(columns)} |")
    print("|---|" + "---:|" * len(columns))
    rows = {label: [] for label in (*PLACES, "(entropy of independent places, and the values)")}
    for chunks in deltas.values():
        for density in DENSITIES:
            for label, bits in places_bits(chunks, density).items():
                rows[label].append(f"{bits:.4f}")
    for label, cells in rows.items():
        print(f"| {label} | {' | '.join(cells)} |")


def places_bits(chunks: Chunks, density: float) -> dict[str, float]:
    """Bits per parameter of each way, and of the entropy."""
    cutoff, elements, kept = cutoff_of(chunks, density), 0, 0
    sizes = dict.fromkeys((*PLACES, "values"), 0)
    for delta in deltas_of(chunks):
        mask = (np.abs(delta) >= np.float32(cutoff)) & (delta != 0)
        places = np.flatnonzero(mask)
        codes, scales = (part.tobytes() for part in int4.quantize(delta[places]))
        sizes["values"] += len(compress(codes + scales, (len(codes),)))
        for kind, coded in (("gap bytes", magnitude.pack_places(places)), ("bitmap", np.packbits(mask).tobytes())):
            whole, cut = coded + codes + scales, (len(coded), len(coded) + len(codes))
            apart = next(label for label in PLACES if label.startswith(f"{kind}, "))
            sizes[kind] += len(compress(whole)) + TABLE
            sizes[apart] += len(compress(whole, cut)) + TABLE
        elements, kept = elements + delta.size, kept + places.size
    share = kept / elements
    entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
    values_bits = 8 * sizes.pop("values") / elements
    found = {label: 8 * size / elements for label, size in sizes.items()}
    return found | {"(entropy of independent places, and the values)": entropy + values_bits}


def print_orders(deltas: dict[str, Chunks]) -> None:
    """Bits of `exact` codes in the order of elements, of the base's exponents, of its whole upper patterns."""
    print("\n### Exact: bits per parameter by the order of the codes, and by zstd level\n")
    print("| order | " + " | ".join(f"{title}: level 1 | 3 | 9" for title in deltas) + " |")
    print("|---|" + "---:|---:|---:|" * len(deltas))
    for label, order in ORDERS.items():
        cells = []
        for chunks in deltas.values():
            sizes, elements = [0, 0, 0], 0
            for base, base_dtype, tuned, dtype, _ in chunks:
                rounded = convert(base, base_dtype, dtype)
                planes = split_planes(bit_difference(rounded, tuned)[order(rounded, dtype)])
                for index, level in enumerate((1, 3, 9)):
                    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True)
                    sizes[index] += len(compressor.compress(planes)) + TABLE
                elements += base.size
            cells.append(" | ".join(f"{8 * size / elements:.3f}" for size in sizes))
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def _finer(base: np.ndarray, dtype: str) -> np.ndarray:
    shift = exact.EXPONENT[dtype][0] - 2
    magnitudes = base & base.dtype.type((1 << (8 * base.itemsize - 1)) - 1)
    return np.argsort(magnitudes >> base.dtype.type(shift), kind="stable")


ORDERS = {
    "of the elements": lambda base, dtype: slice(None),
    "of the base's exponent": exact.order,
    "of exponent and two mantissa bits": _finer,
}


def by_rows(elements: int) -> Chunks:
    """Chunks whose delta has another sigma in every row of ``ROW``."""
    rng, chunks = np.random.default_rng(SEED), []
    for _ in range(elements // CHUNK):
        base = narrow((rng.standard_normal(CHUNK) * 0.02).astype(np.float32), "BF16")
        sigma = np.exp(rng.normal(0, 0.5, -(-CHUNK // ROW))).repeat(ROW)[:CHUNK] * 1e-3 / np.exp(0.5**2)
        tuned = narrow(widen(base, "BF16") + (rng.standard_normal(CHUNK) * sigma).astype(np.float32), "BF16")
        chunks.append((base, "BF16", tuned, "BF16", int(rng.integers(0, 1 << 63))))
    return chunks


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", nargs=2, type=Path, metavar=("BASE", "FINE_TUNE"))
    parser.add_argument("--elements", type=int, default=4 * CHUNK, help="of each synthetic delta; whole chunks")
    arguments = parser.parse_args()
    deltas = {
        "normal": synthetic(arguments.elements, None),
        "Student-t": synthetic(arguments.elements, 3),
        "rows": by_rows(arguments.elements),
    }
    if arguments.real:
        deltas["real"] = real(*arguments.real)
    print(f"{machine()}; {arguments.elements:,} elements a synthetic delta; rates in G elements a CPU second")
    print_encodings(deltas)
    print_signs(deltas)
    print_places(deltas)
    print_orders(deltas)


if __name__ == "__main__":
    main()

"""What compiled code shares: the compiler's options, the mask generator, low-rank products. Numba, no fast-math.

Every compiled function has a plain numpy counterpart (``philox``, ``int4``, ``sign``, ``exact``, ``magnitude``,
``numeric``) that tests hold it to, bit for bit. Arrays are one-dimensional; ``start`` is a multiple of
``philox.LANES``.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from pathlib import Path
from pickle import UnpicklingError

import numba
import numpy as np
from numba.core.caching import CompileResultCacheImpl, FunctionCache


def jit(function):
    """Compile a function: IEEE arithmetic as written, no global interpreter lock; and keep it for other processes.

    Where numba finds no folder for it that can be written, or the disk is full, each process compiles anew: results
    are the same.
    """
    compiled = numba.njit(nogil=True, error_model="numpy")(function)
    with contextlib.suppress(RuntimeError, OSError):  # no such folder
        compiled._cache = _Cache(function)
    return compiled


def cache_folder() -> Path | None:
    """Where the compiled functions of this package are kept; None: nowhere."""
    place = draw_lanes.stats.cache_path
    return None if place is None else Path(place)


class _Files(CompileResultCacheImpl):
    """Names of files that tell what was compiled: numba looks at a function's own file, not at those it calls.

    So other code has other files, whatever an upgrade, or a disk that was full, left there.
    """

    def get_filename_base(self, fullname, abiflags):
        return f"{super().get_filename_base(fullname, abiflags)}-{_sources(Path(self.locator._py_file))}"


class _Cache(FunctionCache):
    """Numba's cache; files that cannot be read or written are a matter of time, not of results."""

    _impl_class = _Files

    def load_overload(self, sig, target_context):
        with contextlib.suppress(OSError):
            try:
                return super().load_overload(sig, target_context)
            except (EOFError, UnpicklingError):  # cut short, as by a power cut
                self.flush()
        return None

    def save_overload(self, sig, data):
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


@functools.cache
def _sources(file: Path) -> str:
    """A digest of what is compiled of a file: of its text, and of all kernels here, which it may call."""
    sources = (file, *sorted(Path(__file__).parent.glob("*kernels.py")))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


@jit
def draw_lanes(key, first, words):
    """Fill ``words`` (uint32, 4 per counter) with Philox4x32-10 of the counters from ``first`` on."""
    key0 = np.uint32(key & np.uint64(0xFFFFFFFF))
    key1 = np.uint32(key >> np.uint64(32))
    for i in range(words.size // 4):
        counter = np.uint64(first + i)
        c0 = np.uint32(counter & np.uint64(0xFFFFFFFF))
        c1 = np.uint32(counter >> np.uint64(32))
        c2 = np.uint32(0)
        c3 = np.uint32(0)
        k0 = key0
        k1 = key1
        for _ in range(10):
            p0 = np.uint64(c0) * np.uint64(0xD2511F53)
            p1 = np.uint64(c2) * np.uint64(0xCD9E8D57)
            c0 = np.uint32(p1 >> np.uint64(32)) ^ c1 ^ k0
            c2 = np.uint32(p0 >> np.uint64(32)) ^ c3 ^ k1
            c1 = np.uint32(p1)
            c3 = np.uint32(p0)
            k0 = np.uint32(k0 + np.uint32(0x9E3779B9))
            k1 = np.uint32(k1 + np.uint32(0xBB67AE85))
        words[4 * i] = c0
        words[4 * i + 1] = c1
        words[4 * i + 2] = c2
        words[4 * i + 3] = c3


@numba.extending.intrinsic
def _as_float(typing_context, bits):
    """Reinterpret a uint32 as fp32."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return numba.types.float32(numba.types.uint32), generate


@numba.extending.intrinsic
def _as_bits(typing_context, value):
    """Reinterpret an fp32 as uint32."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return numba.types.uint32(numba.types.float32), generate


@jit
def difference_energy(a, b):
    """(Σ(a − b)² in fp64 and in order, elements that differ) of two fp32 arrays."""
    squares = 0.0
    changed = np.int64(0)
    for i in range(a.size):
        x = np.float64(a[i] - b[i])
        squares += x * x
        changed += np.int64(a[i] != b[i])
    return squares, changed


@jit
def low_rank(lines, across, scaling, start, out):
    """``out[e] = scaling · Σₗ lines[i, l]·across[l, j]``, the sum in order of l, each step rounded to fp32.

    Element e = start + position is (i, j) of the product, row-major; ``across`` has shape (rank, width).
    """
    width = across.shape[1]
    position = 0
    while position < out.size:
        line = (start + position) // width
        first = (start + position) % width
        span = min(width - first, out.size - position)
        row = out[position : position + span]
        row[:] = np.float32(0)
        for index in range(across.shape[0]):
            _add_scaled(lines[line, index], across[index, first : first + span], row)
        _scale(scaling, row)
        position += span


@jit
def rescale(gains, own, lines, start, width, out):
    """Turn products into fine-tuned values: ``out[e] = gains[row] · (own[e] + out[e])``, each step rounded to fp32.

    Elements from ``start`` on of a tensor whose lines are ``width`` long; the row is the line that an element is on,
    or, if not ``lines``, its place on it.
    """
    for i in range(out.size):
        row = (start + i) // width if lines else (start + i) % width
        out[i] = gains[row] * (own[i] + out[i])


@jit
def add_squares(own, product, lines, start, width, sums):
    """Add each (own[e] + product[e])², the sum in fp32 and its square in fp64, to its row's of ``sums``, in order.

    Rows as in ``rescale``.
    """
    for i in range(product.size):
        value = np.float64(own[i] + product[i])
        row = (start + i) // width if lines else (start + i) % width
        sums[row] += value * value


@jit
def _add_scaled(factor, values, out):
    for i in range(out.size):
        out[i] += factor * values[i]


@jit
def _scale(factor, out):
    for i in range(out.size):
        out[i] *= factor

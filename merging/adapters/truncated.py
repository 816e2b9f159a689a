"""The factors that come nearest to a matrix: a truncated singular value decomposition, exact or by random projection.

Of all matrices of rank r, that of M's first r singular values and vectors is the nearest in the Frobenius norm (Eckart
and Young 1936). Small matrices are decomposed whole. Of a large one only the range of (M·Mᵀ)^q·M·G is, G being Gaussian
and a little wider than the rank, q the number of power iterations: Halko, Martinsson and Tropp 2011, *Finding structure
with randomness*, arXiv 0909.4061, algorithms 4.4 and 5.1. What is left of M is computed from the factors as they are
written, and never estimated.

All is fp64 but the factors. G is a function of the tensor's name, so the same matrix has the same factors on the same
machine; another linear algebra library, or another number of its threads, rounds otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from merging.adapters.matrices import Doubles, Matrix
from merging.adapters.settings import Extraction
from storage.encodings.numeric import Floats
from storage.encodings.philox import philox4x32
from storage.errors import EnvironmentFailure

SMALL = 512
"""Matrices with a side of at most this are decomposed whole."""
_FIRST = 32  # rank that is tried first where a share of energy is asked for
_DOMAIN = b"mergestore/range-finder/1\x00"

Decomposed = tuple[Doubles, Doubles, Doubles]


@dataclass(frozen=True)
class Factors:
    """B (rows, rank) and A (rank, columns) in fp32; ``energy`` is ‖M‖², ``residual`` is ‖M − B·A‖²."""

    a: Floats
    b: Floats
    energy: float
    residual: float

    @property
    def rank(self) -> int:
        """Rank of the factors."""
        return int(self.a.shape[0])


def truncate(matrix: Matrix, name: str, extraction: Extraction) -> Factors | None:
    """The factors of a tensor's matrix; None where it is zero. The rank is at most the smaller side.

    Raises EnvironmentFailure where the linear algebra library gives up.
    """
    energy = matrix.energy()
    if energy == 0:
        return None
    try:
        left, values, right = _decompose(matrix, name, energy, extraction)
    except np.linalg.LinAlgError as error:
        raise EnvironmentFailure(f"tensor {name!r}: the linear algebra library gave up: {error}") from error
    root = np.sqrt(values)
    b, a = (left * root).astype(np.float32), (root[:, None] * right).astype(np.float32)
    return Factors(a, b, energy, matrix.residual(b.astype(np.float64), a.astype(np.float64)))


def _decompose(matrix: Matrix, name: str, energy: float, extraction: Extraction) -> Decomposed:
    """The leading singular vectors and values, as many as asked for."""
    smaller = min(matrix.shape)
    most = min(extraction.rank or smaller, smaller)
    for rank in _ranks(most, extraction):
        width = rank + extraction.oversampling
        whole = smaller <= SMALL or 2 * width >= smaller
        left, values, right = _whole(matrix) if whole else _projected(matrix, name, width, extraction.iterations)
        found = _enough(values, energy, extraction.energy)
        if whole or rank == most or found <= rank:
            break
    found = min(found, most)
    return _signed(left[:, :found], values[:found], right[:found])


def _ranks(most: int, extraction: Extraction) -> Iterator[int]:
    """The ranks to try: the one that is given, or doubled until enough energy is kept."""
    rank = most if extraction.energy is None else min(_FIRST, most)
    while rank < most:
        yield rank
        rank = min(2 * rank, most)
    yield most


def _enough(values: Doubles, energy: float, share: float | None) -> int:
    """How many singular values hold the share of energy; all of them where they do not, or none is asked for."""
    if share is None:
        return values.size
    kept = np.flatnonzero(np.cumsum(values**2) >= share * energy)
    return int(kept[0]) + 1 if kept.size else values.size


def _whole(matrix: Matrix) -> Decomposed:
    return np.linalg.svd(matrix.values(), full_matrices=False)


def _projected(matrix: Matrix, name: str, width: int, iterations: int) -> Decomposed:
    basis = _orthonormal(matrix.times(gaussian(name, matrix.shape[1], width)))
    for _ in range(iterations):
        basis = _orthonormal(matrix.times(_orthonormal(matrix.transposed_times(basis))))
    left, values, right = np.linalg.svd(matrix.transposed_times(basis), full_matrices=False)
    return basis @ right.T, values, np.ascontiguousarray(left.T)


def _orthonormal(columns: Doubles) -> Doubles:
    basis: Doubles = np.linalg.qr(columns)[0]
    return basis


def _signed(left: Doubles, values: Doubles, right: Doubles) -> Decomposed:
    """Singular vectors of one sign: the largest component of each left one is positive."""
    largest = left[np.abs(left).argmax(axis=0), np.arange(values.size)]
    signs = np.where(largest < 0, -1.0, 1.0)
    return left * signs, values, right * signs[:, None]


def gaussian(name: str, rows: int, columns: int) -> Doubles:
    """The test matrix of a tensor: normal numbers by Box and Muller's method, from Philox keyed with the name."""
    key = int.from_bytes(hashlib.sha256(_DOMAIN + name.encode()).digest()[:8], "little")
    count = rows * columns
    counter = np.zeros((-(-count // 4), 4), np.uint32)
    counter[:, 0] = np.arange(counter.shape[0], dtype=np.uint32)
    words = philox4x32(counter, (key & 0xFFFFFFFF, key >> 32)).reshape(-1, 2)
    length = np.sqrt(-2 * np.log((words[:, 0] + 1.0) / 2**32))
    angle = 2 * np.pi * words[:, 1] / 2**32
    normal: Doubles = np.stack([length * np.cos(angle), length * np.sin(angle)], axis=1).reshape(-1)[:count]
    return normal.reshape(rows, columns)

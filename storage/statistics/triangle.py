"""A symmetric matrix as its lower triangle: row i gives its first i + 1 elements, rows in order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from storage.encodings.numeric import Floats


def elements_of(columns: int) -> int:
    """How many elements the triangle of a matrix with so many columns has."""
    return columns * (columns + 1) // 2


def spans(columns: int) -> Iterator[tuple[int, int]]:
    """First element in the triangle and number of elements of every row."""
    return ((elements_of(row), row + 1) for row in range(columns))


def unfolded(triangle: Floats, columns: int) -> NDArray[np.float64]:
    """The whole matrix in fp64, (columns, columns)."""
    matrix = np.empty((columns, columns), np.float64)
    for row, (start, count) in enumerate(spans(columns)):
        part = triangle[start : start + count]
        matrix[row, :count] = part
        matrix[:count, row] = part
    return matrix

"""Vectors as coefficients over a tensor's base and deltas: lengths and angles from inner products alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merging.methods.method import Coefficients, Products

Vector = NDArray[np.float64]
_STRAIGHT = 1e-7
"""Sines below which two directions count as one line, along which an angle leads nowhere."""


@dataclass(frozen=True)
class Span:
    """The space that the base (axis 0) and the deltas (axes 1 to k) of one tensor span."""

    products: NDArray[np.float64]

    @property
    def skills(self) -> int:
        """The number of skills, k."""
        return len(self.products) - 1

    def delta(self, skill: int) -> Vector:
        """δₖ, counted from 0."""
        axis = np.zeros(len(self.products))
        axis[skill + 1] = 1
        return axis

    def model(self, skill: int | None) -> Vector:
        """θₖ = θ₀ + δₖ; None: θ₀."""
        axis = np.zeros(len(self.products)) if skill is None else self.delta(skill)
        axis[0] = 1
        return axis

    def dot(self, one: Vector, other: Vector) -> float:
        """⟨x, y⟩."""
        return float(one @ self.products @ other)

    def norm(self, one: Vector) -> float:
        """‖x‖."""
        return math.sqrt(max(0.0, self.dot(one, one)))

    def unit(self, one: Vector) -> Vector:
        """x/‖x‖; of nothing, nothing."""
        norm = self.norm(one)
        return one / norm if norm > 0 else one

    def between(self, one: Vector, other: Vector, t: float) -> Vector:
        """Spherical interpolation, from ``one`` at t = 0 to ``other`` at 1; linear where the two lie on one line.

        Shoemake 1985, https://doi.org/10.1145/325334.325242, of vectors with their lengths.
        """
        cosine = min(1.0, max(-1.0, self.dot(self.unit(one), self.unit(other))))
        angle = math.acos(cosine)
        if math.sin(angle) < _STRAIGHT or not (self.norm(one) and self.norm(other)):
            return (1 - t) * one + t * other
        return (math.sin((1 - t) * angle) * one + math.sin(t * angle) * other) / math.sin(angle)


def span_of(given: Products) -> Span:
    """The span of a tensor's inner products."""
    return Span(given.products)


def coefficients(vector: Vector, *, around_base: bool) -> Coefficients:
    """The coefficients of a vector; ``around_base``: it is a delta, to be added to the base."""
    return Coefficients(float(vector[0]) + (1.0 if around_base else 0.0), tuple(vector[1:].tolist()))

"""The sizes of models that benchmarks generate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama-shaped model."""

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    heads: int
    kv_heads: int


SHAPES = {
    "0.05B": Shape(6, 512, 1408, 32000, 8, 2),
    "0.1B": Shape(8, 768, 2048, 32000, 12, 4),
    "0.5B": Shape(24, 896, 4864, 151936, 14, 2),
    "1B": Shape(16, 2048, 8192, 128256, 32, 8),
    "8B": Shape(32, 4096, 14336, 128256, 32, 8),
}

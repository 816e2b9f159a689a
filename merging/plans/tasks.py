"""One skill's model out of the vector that all skills share: where its delta comes from, and how it is added."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from storage.encodings.numeric import Bits, Floats, narrow, widen


class TaskTensor(Protocol):
    """One tensor of the base that the task's skill changes."""

    def chunk(self, index: int, base: Bits) -> Floats:
        """M⊙τ_uni of the ``index``-th chunk in fp32; ``base``: its bits in the base. For several threads at once."""


class Task(Protocol):
    """The skill whose model is made: λ, and what its mask leaves of the unified vector."""

    @property
    def scale(self) -> float:
        """λ"""

    def tensor(self, name: str) -> TaskTensor | None:
        """What it takes of one of the base's tensors; None where the skill has the base's own bits."""


def with_delta(base: Bits, dtype: str, scale: float, values: Floats, out_dtype: str) -> Bits:
    """Base + λ·M⊙τ_uni, λ as fp32, each operation rounded on its own."""
    with np.errstate(over="ignore"):  # what is not finite is refused by whoever asks
        return narrow(widen(base, dtype) + np.float32(scale) * values, out_dtype)

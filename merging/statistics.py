"""What was collected of skills and is merged with: Gram matrices of layers' inputs, diagonal Fisher information."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class Statistics(Protocol):
    """The statistics of a recipe's skills, by skill digest and name of the base's tensor."""

    def read(self, skill: str, tensor: str, start: int, count: int) -> Array | None:
        """Of ``count`` elements from ``start`` on: their Fisher information, fp32; or the Gram matrix of the layer that
        the tensor is the weight of, fp64 (columns, columns). None where none was collected for this tensor.
        """

"""The compiled loop of ``unified``: the unified values of a chunk in one pass over all deltas."""

from __future__ import annotations

import numpy as np

from storage.encodings.kernels import jit


@jit
def unify(deltas, values, chosen):
    """``unified.unify`` of the rows of ``deltas`` (fp32, skills × elements), into ``values`` and ``chosen`` (int16)."""
    for i in range(values.size):
        total = deltas[0, i]
        for place in range(1, deltas.shape[0]):
            total += deltas[place, i]
        positive = total >= np.float32(0)
        value = largest = np.float32(0)
        taken = np.int16(-1)
        for place in range(deltas.shape[0]):
            delta = deltas[place, i]
            magnitude = abs(delta)
            if magnitude > largest and (delta > np.float32(0)) == positive:
                value, largest, taken = delta, magnitude, np.int16(place)
        values[i], chosen[i] = value, taken

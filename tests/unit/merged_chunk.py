"""One chunk merged into an array of its own, by any engine."""

import numpy as np

from merging.engines.combination import measure_change
from storage.encodings.numeric import BITS


def merged_chunk(engine, base, dtype, contributions, combine, out_dtype):
    """The merged bits; what the engine says of them is compared with the plain measure."""
    out = np.full(base.size, 0xA5A5, BITS[out_dtype])
    change = engine.merge(base, dtype, contributions, combine, out_dtype, out)
    expected = measure_change(base, dtype, out, out_dtype)
    assert (change.changed, change.finite) == (expected.changed, expected.finite)
    if expected.finite:
        assert np.isclose(change.squares, expected.squares, rtol=1e-9, atol=0)
    return out

"""Whether two merged models are the same but for rounding, as JSON.

    python -m benchmarks.agreement BASE MODEL MODEL

``difference``: norm of the difference of the two, over the norm of the change that the first made to the base;
``equal``: share of the values that are the same bits.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from storage.checkpoints.checkpoint import open_checkpoint
from storage.checkpoints.inputs import read_chunk
from storage.encodings.frames import chunk_count, chunk_span
from storage.encodings.numeric import as_bits, widen


def compare(base: Path, first: Path, second: Path) -> dict[str, float]:
    """Both figures, over all tensors."""
    sources = [open_checkpoint(path).source for path in (base, first, second)]
    changed = different = equal = total = 0.0
    for name, entry in sources[0].entries.items():
        for index in range(chunk_count(entry.elements)):
            span = chunk_span(index, entry.elements)
            bits = [as_bits(read_chunk(source, name, *span), entry.dtype) for source in sources]
            values = [widen(each, entry.dtype).astype(np.float64) for each in bits]
            changed += float(np.square(values[1] - values[0]).sum())
            different += float(np.square(values[2] - values[1]).sum())
            equal += int((bits[1] == bits[2]).sum())
            total += span[1]
    return {"difference": (different / changed) ** 0.5, "equal": equal / total}


if __name__ == "__main__":
    print(json.dumps(compare(*map(Path, sys.argv[1:]))))

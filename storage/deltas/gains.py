"""DoRA's rule: what each row of base + product is multiplied by, so that it has the length that was trained.

Liu et al. 2024, *DoRA: weight-decomposed low-rank adaptation* (arXiv 2402.09353), with PEFT's meaning of a row: an
output of a linear layer, an output channel of a convolution, a component of an embedding's vectors.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from storage.checkpoints.inputs import check_digest, digest_of, read_chunk, tensor_hasher
from storage.checkpoints.tensors import quoted
from storage.deltas.base_model import BaseModel
from storage.encodings.chunks import LowRankChunk, add_row_squares
from storage.encodings.frames import chunk_count, chunk_span
from storage.encodings.numeric import Floats, as_bits
from storage.errors import InputRefused


def find_gains(base: BaseModel, name: str, term: LowRankChunk, magnitudes: Floats) -> Floats:
    """Each row's magnitude / ‖base + product‖, rounded once to fp32; ``term`` is the product for the whole tensor.

    The sum is taken in fp32, squares and their sums in fp64, in the order of elements: the same bits everywhere.
    Raises IntegrityFailure where the base's tensor is not what is on record, InputRefused where a row has no length.
    """
    entry = base.source.entries[name]
    squares = np.zeros(magnitudes.size, np.float64)
    hasher = tensor_hasher(entry.nbytes)
    for index in range(chunk_count(entry.elements)):
        start, count = chunk_span(index, entry.elements)
        raw = read_chunk(base.source, name, start, count)
        hasher.update(raw)
        add_row_squares(dataclasses.replace(term, start=start, count=count), as_bits(raw, entry.dtype), squares)
    check_digest(f"tensor {name!r}", digest_of(hasher), base.digests[name])
    with np.errstate(all="ignore"):
        gains: Floats = (magnitudes.astype(np.float64) / np.sqrt(squares)).astype(np.float32)
    if not np.isfinite(gains).all():
        row = int(np.flatnonzero(~np.isfinite(gains))[0])
        raise InputRefused(
            f"DoRA cannot be applied to {quoted(name)}: row {row} of base and product has length "
            f"{float(np.sqrt(squares[row])):g}, and is to have {float(magnitudes[row]):g}",
            hint="is this the base that the adapter was trained on?",
        )
    return gains

"""The order of `exact` codes in plain numpy: the definition that the compiled kernels are held to.

How far training moves a weight, counted in steps of its dtype, depends on the weight's size: small weights have
small steps and large codes. Codes are stored sorted by the exponent of the base's element, so that alike codes lie
side by side and compress. The reader has the base, hence the order: ``docs/decisions/0012-exact-order.md``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from storage.encodings.numeric import Bits, join_planes, split_planes

EXPONENT = {"F32": (23, 0xFF), "F16": (10, 0x1F), "BF16": (7, 0xFF)}
"""Where a dtype's exponent lies in its bit pattern: lowest bit and, moved there, the mask."""


def order(base: Bits, dtype: str) -> NDArray[np.intp]:
    """The elements in the order of their codes: by ascending exponent, within one exponent as they stand."""
    shift, mask = EXPONENT[dtype]
    return np.argsort((base >> base.dtype.type(shift)) & base.dtype.type(mask), kind="stable")


def pack(codes: Bits, base: Bits, dtype: str) -> bytes:
    """The planes of codes; ``base``: the base's patterns of the same elements, rounded to the fine-tune's dtype."""
    return split_planes(codes[order(base, dtype)])


def unpack(data: bytes | memoryview, base: Bits, dtype: str) -> Bits:
    """The inverse of ``pack``."""
    codes = np.empty(base.size, base.dtype)
    codes[order(base, dtype)] = join_planes(data, base.itemsize)
    return codes

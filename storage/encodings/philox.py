"""The mask generator: Philox4x32-10 (Salmon et al. 2011), in plain numpy. Which elements DARE keeps.

The mask of a tensor is a pure function of (seed, fine-tuned tensor's digest, tensor name, threshold); it is
regenerated wherever it is needed and never stored. ``docs/format.md`` has the definition for other languages.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from storage.errors import UsageError

M0, M1 = 0xD2511F53, 0xCD9E8D57
W0, W1 = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10
LANES = 8
"""Elements decided by one counter: four 32-bit words of two 16-bit lanes, low half first."""
FULL = 1 << 16
"""The keep threshold at which every element is kept."""
MAX_SEED = (1 << 53) - 1
"""Seeds stay exact in JSON."""

_DOMAIN = b"mergestore/dare-mask/1\x00"


def keep_threshold(drop_rate: float) -> int:
    """The 16-bit threshold round((1 − p)·65536): an element is kept iff its lane is below it.

    Raises UsageError for a drop rate outside [0, 1) or so near 1 that nothing would be kept.
    """
    if not 0 <= drop_rate < 1:
        raise UsageError(f"drop rate {drop_rate} is outside [0, 1)", hint="0.9 keeps one value in ten")
    threshold = round((1 - drop_rate) * FULL)
    if threshold == 0:
        raise UsageError(f"drop rate {drop_rate} keeps nothing: the largest is {1 - 1 / FULL:.6f}")
    return threshold


def quantized_drop_rate(threshold: int) -> float:
    """The drop rate that a threshold really has; exact in binary."""
    return 1 - threshold / FULL


def check_seed(seed: int) -> int:
    """A seed that fits; UsageError otherwise."""
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"seed {seed} is outside 0 … {MAX_SEED}")
    return seed


@lru_cache(maxsize=4096, typed=True)  # every chunk of a tensor asks for the same one
def mask_key(seed: int, content_digest: str, name: str) -> int:
    """The 64-bit key of one tensor's mask: the first 8 bytes, little-endian, of a SHA-256.

    ``content_digest`` is the fine-tuned tensor's digest (``blake3:…``): content is mixed in, so two skills
    never share a mask, whatever their seeds.
    """
    content = bytes.fromhex(content_digest.removeprefix("blake3:"))
    message = _DOMAIN + check_seed(seed).to_bytes(8, "little") + content + name.encode()
    return int.from_bytes(hashlib.sha256(message).digest()[:8], "little")


def philox4x32(counter: NDArray[np.uint32], key: tuple[int, int]) -> NDArray[np.uint32]:
    """Philox4x32-10 of counters of shape (n, 4), giving words of shape (n, 4)."""
    c0, c1, c2, c3 = (counter[:, i].astype(np.uint64) for i in range(4))
    k0, k1 = key
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(ROUNDS):
        p0, p1 = c0 * np.uint64(M0), c2 * np.uint64(M1)
        c0, c1, c2, c3 = (
            (p1 >> half) ^ c1 ^ np.uint64(k0),
            p1 & low,
            (p0 >> half) ^ c3 ^ np.uint64(k1),
            p0 & low,
        )
        k0, k1 = (k0 + W0) & 0xFFFFFFFF, (k1 + W1) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def mask(key: int, threshold: int, start: int, count: int) -> NDArray[np.bool_]:
    """Which of the elements [start, start + count) of a tensor are kept."""
    kept: NDArray[np.bool_] = lanes(key, start, count) < threshold
    return kept


def lanes(key: int, start: int, count: int) -> NDArray[np.uint32]:
    """The 16 random bits of each of the elements [start, start + count) of a tensor."""
    first, last = start // LANES, -(-(start + count) // LANES)
    index = np.arange(first, last, dtype=np.uint64)
    counter = np.zeros((index.size, 4), dtype=np.uint32)
    counter[:, 0] = (index & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    counter[:, 1] = (index >> np.uint64(32)).astype(np.uint32)
    words = philox4x32(counter, (key & 0xFFFFFFFF, key >> 32))
    halves: NDArray[np.uint32] = np.stack([words & np.uint32(0xFFFF), words >> np.uint32(16)], axis=2).reshape(-1)
    offset = start - first * LANES
    return halves[offset : offset + count]

"""Frames that hold anything at all, under the checksums: compiled decoding stays within its arrays.

The compiled way and the plain one give the same values, or both refuse. A child with numba's bounds checks runs the
same, since a read or write past an array's end would not be seen here otherwise.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mergestore import IntegrityFailure
from merging.engines import numba_engine
from merging.engines.combination import Contribution
from storage.encodings.chunks import KeptChunk, dense
from storage.encodings.coding import Coding

ROOT = Path(__file__).parents[2]
WIDTH = {"F32": 4, "BF16": 2, "F16": 2}
CODINGS = [
    *(Coding(values, threshold) for values in ("int4", "bf16", "exact") for threshold in (65536, 6554, 1)),
    *(Coding(values, density=0.1, trim="model") for values in ("int4", "bf16", "exact")),
    Coding("sign"),
]
FEW, MANY = int(os.environ.get("MERGESTORE_FUZZ", "150")), int(os.environ.get("MERGESTORE_FUZZ", "5000"))


@st.composite
def chunks(draw: Any) -> tuple[KeptChunk, np.ndarray]:
    coding, count = (
        draw(st.sampled_from(CODINGS)),
        draw(st.sampled_from([1, 7, 63, 64, 65, 128, 4095, 4096, 4097, 9000])),
    )
    dtype = draw(st.sampled_from(sorted(WIDTH)))
    kept = draw(st.integers(0, count) | st.just(count) | st.just(count // 10))
    size = coding.frame_size(kept, WIDTH[dtype]) + draw(st.sampled_from([0, 0, 0, -1, 1, 5]))
    content = np.random.default_rng(draw(st.integers(0, 2**32))).integers(0, 256, max(0, size), np.uint8).tobytes()
    if coding.selects_magnitude:
        gaps = draw(st.binary(max_size=40) | st.just(bytes(kept)) | st.just(b"\xff" * min(count, 300) + b"\x00" * kept))
        claimed = draw(st.sampled_from([kept, len(gaps), 0, 2**32 - 1, count]))
        length = draw(st.sampled_from([len(gaps), len(gaps), len(gaps), 2**32 - 1, count]))
        content = claimed.to_bytes(4, "little") + length.to_bytes(4, "little") + gaps + content
    other = draw(st.sampled_from([dtype, dtype, "F32", "BF16"])) if coding.values == "exact" else dtype
    key, start = draw(st.integers(0, 2**64 - 1)), draw(st.sampled_from([0, 1 << 20]))
    base = np.random.default_rng(1).integers(0, 1 << 15, count).astype(np.uint32 if WIDTH[dtype] == 4 else np.uint16)
    return KeptChunk(content, coding, key, start, count, dtype, other, "here"), base


def decoded(chunk: KeptChunk, base: Any) -> np.ndarray | None:
    out = np.empty(chunk.count, np.float32)
    try:
        numba_engine.values(Contribution(chunk, 1.0, 1.0), base, out)
    except IntegrityFailure:
        return None
    return out


def plain(chunk: KeptChunk, base: Any) -> np.ndarray | None:
    try:
        return dense(chunk, base)
    except IntegrityFailure:
        return None


def fuzz(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=chunks())
    def run(case: tuple[KeptChunk, Any]) -> None:
        chunk, base = case
        with np.errstate(all="ignore"):
            found, wanted = decoded(chunk, base), plain(chunk, base)
        assert (found is None) == (wanted is None)
        if found is not None and wanted is not None:
            assert np.array_equal(found, wanted, equal_nan=True)

    run()


def test_any_frame_is_decoded_alike_or_refused() -> None:
    fuzz(FEW)


@pytest.mark.slow
def test_many_frames_are_decoded_alike_or_refused() -> None:
    fuzz(MANY)


@pytest.mark.slow
def test_nothing_is_read_or_written_outside_of_an_array(tmp_path: Path) -> None:
    script = f"from tests.fuzz.test_decoding import fuzz; fuzz({MANY // 10}); print('within bounds')"
    surroundings = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False
    )
    assert "within bounds" in answer.stdout, answer.stderr[-3000:]

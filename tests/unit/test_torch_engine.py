"""The torch engine's parts against their definitions, on the CPU and, where there is one, on a CUDA device."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from merging.choosing import open_engine
from merging.engines import numba_engine, reference, torch_kernels
from merging.engines.combination import Combine, Contribution, Drop
from merging.engines.torch_engine import TorchEngine, available_devices
from storage.encodings import numeric, philox
from storage.encodings.chunks import KeptChunk, LowRankChunk
from storage.encodings.coding import Coding
from storage.encodings.encode import encode_chunk
from storage.errors import EnvironmentFailure, IntegrityFailure
from tests.unit.merged_chunk import merged_chunk

ROOT = Path(__file__).parents[2]
NO_CUDA = not torch.cuda.is_available()
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(NO_CUDA, reason="needs a CUDA device")]),
]
EVERY16 = np.arange(1 << 16, dtype=np.uint16)
RANDOM32 = np.random.default_rng(0).integers(0, 1 << 32, 1 << 16, dtype=np.uint32)
RANDOM32[:6] = [0, 0x80000000, 1, 0x80000001, 0x7F7FFFFF, 0x00800000]

on_every_device = pytest.mark.parametrize("device", DEVICES)


def as_device(name):
    return torch.device(name)


def finite(bits, dtype):
    values = numeric.widen(bits, dtype)
    return bits[np.isfinite(values)]


@on_every_device
@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_answers(device, counter, key, expected):
    words = torch_kernels.philox4x32(torch.tensor([counter], device=as_device(device)), key)
    assert words.tolist() == [list(expected)]


@on_every_device
@pytest.mark.parametrize("start", [0, 8, (1 << 35) + 16, 1 << 47])
@pytest.mark.parametrize("threshold", [1, 6554, 65535, 65536])
def test_masks_are_the_same(device, start, threshold):
    key = 0xFEDCBA9876543210
    found = torch_kernels.mask(key, threshold, start, 1003, as_device(device))
    assert np.array_equal(found.cpu().numpy(), philox.mask(key, threshold, start, 1003))


@on_every_device
@pytest.mark.parametrize(("dtype", "bits"), [("BF16", EVERY16), ("F16", EVERY16), ("F32", RANDOM32)])
def test_every_pattern_widens_to_the_same_value(device, dtype, bits):
    bits = finite(bits, dtype)
    values = torch_kernels.widen(torch_kernels.upload(bits, as_device(device)), dtype)
    assert values.cpu().numpy().tobytes() == numeric.widen(bits, dtype).tobytes()
    again = torch_kernels.download(torch_kernels.narrow(values, dtype), dtype)
    assert np.array_equal(again, bits)


@on_every_device
@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_every_value_narrows_to_the_same_pattern(device, dtype):
    """Ties, denormals and overflow included: patterns between neighbours of the 16-bit dtypes."""
    between = [(EVERY16.astype(np.uint32) << 16) | low for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)]
    halves = numeric.widen(finite(EVERY16, "F16"), "F16")
    near_f16 = [np.nextafter(halves, np.float32(to), dtype=np.float32).view(np.uint32) for to in (-np.inf, np.inf)]
    middles = ((halves[:-1] + halves[1:]) / 2).view(np.uint32)
    bits = finite(np.concatenate([RANDOM32, *between, *near_f16, middles]), "F32")
    values = bits.view(np.float32)
    found = torch_kernels.narrow(torch.tensor(values, device=as_device(device)), dtype)
    assert np.array_equal(torch_kernels.download(found, dtype), numeric.narrow(values, dtype))


@on_every_device
@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_nan_stays_nan_whatever_its_bits(device, dtype):
    """CUDA's own is 0x7fffffff, which rounding by integers would carry into −0."""
    values = torch.tensor([0x7FFFFFFF, -1, 0x7FC00000], dtype=torch.int32, device=as_device(device)).view(torch.float32)
    made = torch.tensor([0.0, float("inf")], device=as_device(device)) * torch.tensor(
        [float("inf"), 0.0], device=as_device(device)
    )
    for tensor in (values, made):
        found = torch_kernels.download(torch_kernels.narrow(tensor, dtype), dtype)
        assert np.isnan(numeric.widen(found, dtype)).all()


@on_every_device
def test_arithmetic_keeps_denormals(device):
    """A flush-to-zero mode would show here; torch's is off unless someone turned it on."""
    tiny = torch.tensor([2.0**-149, 3 * 2.0**-149, 2.0**-127], device=as_device(device))
    assert (tiny + tiny).cpu().tolist() == [2.0**-148, 6 * 2.0**-149, 2.0**-126]
    assert (tiny * 0.5).cpu().numpy().tobytes() == (tiny.cpu().numpy() * np.float32(0.5)).tobytes()
    assert (tiny / tiny).cpu().tolist() == [1, 1, 1]


def terms(n=3001, start=4096):
    rng = np.random.default_rng(1)
    base = numeric.narrow((rng.standard_normal(n) * 0.02).astype(np.float32), "BF16")
    fine_tuned = (numeric.widen(base, "BF16") + rng.standard_normal(n).astype(np.float32) * np.float32(1e-3)).astype(
        np.float32
    )
    chunks = []
    for number, (values, threshold) in enumerate(
        [("int4", 6554), ("int4", 65536), ("bf16", 32768), ("exact", 65536), ("exact", 655)]
    ):
        for dtype in ("BF16", "F32"):
            coding = Coding(values, threshold, number)
            data = encode_chunk(base, "BF16", numeric.narrow(fine_tuned, dtype), dtype, coding, number, start).data
            chunks.append(KeptChunk(data, coding, number, start, n, "BF16", dtype, "delta: tensor 'w'"))
    for transposed in (False, True):
        a, b = rng.standard_normal((3, 100)).astype(np.float32), rng.standard_normal((80, 3)).astype(np.float32)
        chunks.append(LowRankChunk(a, b, 0.01, transposed, start, n))
    return base, chunks


@on_every_device
@pytest.mark.parametrize("combine", [Combine(False, False, 0.7, 1.0), Combine(True, True, 1.3, 0.9)])
@pytest.mark.parametrize("out_dtype", ["BF16", "F16", "F32"])
def test_a_merge_of_every_kind_has_the_same_bits(device, combine, out_dtype):
    base, chunks = terms()
    contributions = tuple(
        Contribution(
            chunk, 0.3 + k / 7, 0.3, drop=Drop(k, 30000) if k % 3 == 0 else None, cutoff=1e-4 if k % 4 == 0 else 0.0
        )
        for k, chunk in enumerate(chunks)
    )
    found = merged_chunk(TorchEngine(device), base, "BF16", contributions, combine, out_dtype)
    for engine in (reference, numba_engine):
        assert np.array_equal(merged_chunk(engine, base, "BF16", contributions, combine, out_dtype), found)


@on_every_device
@pytest.mark.parametrize("number", range(10))
@pytest.mark.parametrize("change", [-4, -1, 1, 4])
def test_damaged_sizes_are_found_before_they_reach_the_device(device, number, change):
    base, chunks = terms()
    chunk = chunks[number]
    data = chunk.data[:change] if change < 0 else chunk.data + bytes(change)
    damaged = KeptChunk(data, chunk.coding, chunk.key, chunk.start, chunk.count, "BF16", chunk.dtype, chunk.where)
    with pytest.raises(IntegrityFailure, match="tensor 'w'"):
        merged_chunk(
            TorchEngine(device), base, "BF16", (Contribution(damaged, 1.0, 1.0),), Combine(False, False, 1, 1), "F32"
        )


@on_every_device
def test_torchs_own_defaults_do_not_matter(device):
    base, chunks = terms(500, 0)
    contributions = tuple(Contribution(chunk, 0.5, 0.5) for chunk in chunks[:4])
    combine = Combine(True, False, 1.0, 1.0)
    before = merged_chunk(TorchEngine(device), base, "BF16", contributions, combine, "F32")
    torch.set_default_dtype(torch.float64)
    try:
        after = merged_chunk(TorchEngine(device), base, "BF16", contributions, combine, "F32")
    finally:
        torch.set_default_dtype(torch.float32)
    assert np.array_equal(before, after)


def test_cpu_is_the_compiled_engine_and_the_rest_is_torch():
    assert open_engine("cpu") is numba_engine
    assert (numba_engine.name, numba_engine.device) == ("numba", "cpu")
    engine = TorchEngine("cpu")
    assert (engine.name, engine.device) == ("torch", "cpu")
    assert available_devices()[0] == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(NO_CUDA, reason="needs a CUDA device")
def test_cuda_opens():
    assert open_engine("cuda").name == "torch"
    assert open_engine("cuda:0").device == "cuda:0"


@pytest.mark.parametrize("device", ["gpu", "", "cuda:", "cuda:x", "cuda:-1", "CPU ", "mps", "meta", "xla", "cuda:4096"])
def test_a_device_that_is_not_here_is_an_environment_failure(device):
    with pytest.raises(EnvironmentFailure, match=f"device {device!r}") as caught:
        open_engine(device)
    assert caught.value.exit_code == 7
    assert "available here: cpu" in caught.value.hint


@pytest.mark.skipif(not NO_CUDA, reason="there is a CUDA device")
def test_cuda_without_a_cuda_device():
    with pytest.raises(EnvironmentFailure, match="torch finds no CUDA device"):
        open_engine("cuda")


def test_a_missing_torch_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EnvironmentFailure) as caught:
        open_engine("cuda")
    assert "pip install 'mergestore[torch]'" in caught.value.hint


def test_a_full_device_is_an_environment_failure(monkeypatch):
    def full(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    monkeypatch.setattr(torch_kernels, "merge", full)
    with pytest.raises(EnvironmentFailure, match="device 'cpu' is out of memory") as caught:
        merged_chunk(TorchEngine("cpu"), EVERY16, "BF16", (), Combine(False, False, 1, 1), "BF16")
    assert caught.value.exit_code == 7


def test_torch_is_imported_only_when_a_torch_engine_opens():
    code = (
        "import sys; from merging.choosing import open_engine; import merging.engines.torch_engine\n"
        "open_engine('cpu'); assert 'torch' not in sys.modules\n"
        "merging.engines.torch_engine.TorchEngine('cpu'); assert 'torch' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""What the compiler makes of the Triton kernels for a Hopper GPU, which it does without one: IEEE, and wide loads."""

import re

import pytest
import torch

triton = pytest.importorskip("triton")

from benchmarks.kernel_code import BF16, DRAWN, PLACED, SPREAD, compiled, instructions  # noqa: E402
from merging.device import kernels, launch, tables  # noqa: E402
from merging.engines.combination import Combine  # noqa: E402
from storage.encodings import int4, sign  # noqa: E402
from storage.encodings.frames import CHUNK  # noqa: E402

EXACT, LOW_RANK = BF16 | tables.EXACT.value, tables.LOW_RANK.value
DROPS, TRIMS = 1 << 7, 1 << 8


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


def assembly(kinds, **options):
    return compiled(kinds, **options)["ptx"]


@pytest.mark.parametrize(
    "kinds", [[SPREAD] * 3, [PLACED, DRAWN | TRIMS], [EXACT | DROPS, LOW_RANK]], ids=["spread", "searched", "whole"]
)
def test_every_operation_rounds_on_its_own(kinds):
    ptx = assembly(kinds, elects=True, scaled=True)
    assert not re.findall(r"\bfma\.\S+", ptx)
    assert not re.findall(r"\S+\.ftz\S*", ptx)
    assert "div.rn.f32" in ptx
    assert not re.findall(r"\bdiv\.(?:full|approx)\S*", ptx)


def test_they_are_launched_without_contraction(monkeypatch):
    """`assembly` asks for it itself; so must what launches them."""
    launched = []

    class Kernel:
        def __getitem__(self, grid):
            return lambda *arguments, **options: launched.append(options)

    monkeypatch.setattr(kernels, "merge_blocks", Kernel())
    memory = torch.zeros(16, dtype=torch.uint8)
    work = launch.Work(memory, "BF16", memory, "F16", 8)
    launch.launch([work], Combine(False, False, 1.0, 1.0), torch.device("cpu"))
    assert [options["enable_fp_fusion"] for options in launched] == [False]


def test_blocks_and_spans_fit():
    """A span lies in one chunk; five bits count the blocks that begin in it."""
    assert CHUNK % tables.SPAN == 0
    assert tables.SPAN // int4.BLOCK < 1 << 5
    assert int4.BLOCK % 8 == sign.BLOCK % 8 == 0


def test_the_device_rounds_to_the_nearest_bf16():
    """The interpreter cannot, and so takes another way in the same place."""
    ptx = assembly([SPREAD])
    assert len(re.findall(r"cvt\.rn\.bf16x2\.f32", ptx)) == tables.SPAN // 128 // 2
    assert not re.findall(r"cvt\.r[zmp]\S*bf16\S*", ptx)
    assert "max.NaN.f32" in ptx


def test_base_and_result_move_sixteen_bytes_at_a_time():
    ptx = assembly([SPREAD])
    assert len(re.findall(r"ld\.global\.v4\.b32", ptx)) == tables.SPAN // 8 // 128
    assert len(re.findall(r"st\.global\.v4\.b32", ptx)) == tables.SPAN // 8 // 128
    assert "st.global.b16" not in ptx
    assert "bar.sync" not in ptx  # threads do not wait for one another


def test_machine_code_ends_and_multiplies():
    code = instructions(compiled([SPREAD])["cubin"])
    assert code[-1] == "EXIT"
    assert {"FMUL", "FADD"} <= set(code)
    assert not [name for name in code if name.startswith("FFMA")]


def test_tensors_of_odd_sizes_take_one_element_at_a_time():
    ptx = assembly([SPREAD], even=False)
    assert "st.global.v4" not in ptx
    assert "st.global.b16" in ptx

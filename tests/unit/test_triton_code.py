"""What the compiler makes of the Triton kernels for a Hopper GPU, which it does without one: IEEE, and wide loads."""

import re

import pytest
import torch

triton = pytest.importorskip("triton")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from merging.combination import Combine  # noqa: E402
from merging.device import kernels, launch, tables  # noqa: E402
from storage.encodings import int4, sign  # noqa: E402
from storage.encodings.frames import CHUNK  # noqa: E402

BF16 = 2 << 5
SELECTS = (tables.SPREAD, tables.PLACED, tables.DRAWN)
SPREAD, PLACED, DRAWN = (BF16 | select.value << 3 for select in SELECTS)
EXACT, LOW_RANK = BF16 | tables.EXACT.value, tables.LOW_RANK.value
DROPS, TRIMS = 1 << 7, 1 << 8


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


def assembly(kinds, *, elects=False, even=True):
    """PTX of one kernel for bf16 in and out, as ``launch`` asks for it."""
    kernel = kernels.merge_blocks
    pointers = {"tensor_of": "*i32", "tensors": "*i64", "terms": "*i64", "factors": "*fp32"}
    constants = {
        "DTYPE": 2,
        "OUT_DTYPE": 2,
        "KINDS": sum(kind << (place * tables.KIND_BITS) for place, kind in enumerate(kinds)),
        "TERMS": len(kinds),
        "ELECTS": elects,
        "BY_WEIGHT": elects,
        "BASE_SCALED": True,
        "SCALED": True,
        "REBUILDS": False,
        "EVEN": even,
        "INT4_BLOCK": 128,
        "SIGN_BLOCK": 128,
        "SPAN": tables.SPAN,
    }
    signature = pointers | {"scale": "fp32", "base_scale": "fp32"} | dict.fromkeys(constants, "constexpr")
    places = {(place,): [["tt.divisibility", 16]] for place, name in enumerate(kernel.arg_names) if name in pointers}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=places)
    options = {"num_warps": 4, "enable_fp_fusion": False}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]


@pytest.mark.parametrize(
    "kinds", [[SPREAD] * 3, [PLACED, DRAWN | TRIMS], [EXACT | DROPS, LOW_RANK]], ids=["spread", "searched", "whole"]
)
def test_every_operation_rounds_on_its_own(kinds):
    ptx = assembly(kinds, elects=True)
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


def test_base_and_result_move_sixteen_bytes_at_a_time():
    ptx = assembly([SPREAD])
    assert len(re.findall(r"ld\.global\.v4\.b32", ptx)) == tables.SPAN // 8 // 128
    assert len(re.findall(r"st\.global\.v4\.b32", ptx)) == tables.SPAN // 8 // 128
    assert "st.global.b16" not in ptx
    assert "bar.sync" not in ptx  # threads do not wait for one another


def test_tensors_of_odd_sizes_take_one_element_at_a_time():
    ptx = assembly([SPREAD], even=False)
    assert "st.global.v4" not in ptx
    assert "st.global.b16" in ptx

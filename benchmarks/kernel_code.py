"""What the compiler makes of the fused Triton kernel for a Hopper GPU, without one: instructions an element.

    python -m benchmarks.kernel_code        (needs the extra `cuda`, no device)

For three skills and λ = 1, int4 codes being spread over their elements, found by search in a cached mask, or in one
that is drawn: all instructions of the machine code, and those on integers, over the elements of a thread.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from merging.device import kernels, launch, tables

HOPPER = GPUTarget("cuda", 90, 32)
BF16 = 2 << 5
SPREAD, PLACED, DRAWN = (BF16 | select.value << 3 for select in (tables.SPREAD, tables.PLACED, tables.DRAWN))
_INTEGER = re.compile(r"^(I|LOP|SH[FLR]|SEL|PRMT|BMSK|SGXT|POPC|FLO|BREV|PLOP|LEA|VOTE|UI|ULOP|USH|USEL|ULEA|R2P|P2R)")


def compiled(kinds: Sequence[int], *, elects: bool = False, scaled: bool = False, even: bool = True) -> dict[str, Any]:
    """What the compiler makes of the kernel, stage by stage (``ptx``, ``cubin`` …), for bf16 in and out.

    ``kinds``: of each term; ``scaled``: whether λ and β are not 1; ``even``: whether everything lies at a multiple of
    16 bytes.
    """
    kernel = kernels.merge_blocks
    pointers = {"tensor_of": "*i32", "tensors": "*i64", "terms": "*i64", "factors": "*fp32"}
    constants = {
        "DTYPE": 2,
        "OUT_DTYPE": 2,
        "KINDS": sum(kind << (place * tables.KIND_BITS) for place, kind in enumerate(kinds)),
        "TERMS": len(kinds),
        "ELECTS": elects,
        "BY_WEIGHT": elects,
        "BASE_SCALED": scaled,
        "SCALED": scaled,
        "REBUILDS": False,
        "EVEN": even,
        "INT4_BLOCK": 128,
        "SIGN_BLOCK": 128,
        "SPAN": tables.SPAN,
    }
    signature = (
        pointers | {"scale": "fp32", "base_scale": "fp32", "two_to_23": "i32"} | dict.fromkeys(constants, "constexpr")
    )
    places = {(place,): [["tt.divisibility", 16]] for place, name in enumerate(kernel.arg_names) if name in pointers}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=places)
    options = {"num_warps": launch.WARPS, "enable_fp_fusion": False}
    return dict(triton.compile(source, target=HOPPER, options=options).asm)


def instructions(cubin: bytes) -> list[str]:
    """The names of the instructions of machine code, in order, up to the end of the program."""
    disassembler = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "nvdisasm"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        words = [str(disassembler), "-c", "-novliw", file.name]
        text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    found = re.findall(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", text, re.MULTILINE)
    return found[: found.index("EXIT") + 1] if "EXIT" in found else found


def main() -> None:
    elements = tables.SPAN // (32 * launch.WARPS)
    for name, kind in (("spread", SPREAD), ("searched", PLACED), ("drawn", DRAWN)):
        found = instructions(compiled([kind] * 3)["cubin"])
        every, integer = len(found) / elements, sum(bool(_INTEGER.match(each)) for each in found) / elements
        print(f"3 skills, {name:9} {every:6.1f} instructions an element, {integer:.1f} of them on integers")


if __name__ == "__main__":
    main()

"""The CUDA engine for chunks: the fused Triton kernel, on a stream and with staging memory of each thread's own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from merging.device.index import Raw, index
from merging.device.launch import Arena, Term, Work, launch, pack
from merging.device.layout import lay_out
from merging.device.memory import on_device
from merging.engines.combination import Change, Combine, Contribution
from merging.engines.torch_engine import TorchEngine, told_out_of_memory, torch_device
from storage.encodings.chunks import DenseChunk
from storage.encodings.numeric import Bits

if TYPE_CHECKING:
    from torch import Tensor

_FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class TritonEngine:
    """Computes chunks on a CUDA device, in one fused pass; the bits are those of every other engine.

    Threads may share it: each has a stream, so that one's copies run beside another's kernels. Raises
    EnvironmentFailure when the device is missing.
    """

    name = "triton"

    def __init__(self, device: str):
        self.device = device
        self._place: torch.device = torch_device(device)
        self._own = threading.local()

    def allocate(self, nbytes: int) -> NDArray[np.uint8]:
        """Staging memory that a device copies from and to without a detour: pinned, where it is a CUDA device."""
        pinned = torch.empty(nbytes, dtype=torch.uint8, pin_memory=self._place.type == "cuda")
        raw: NDArray[np.uint8] = pinned.numpy()  # keeps the tensor alive
        return raw

    def merge(
        self,
        base: Bits,
        dtype: str,
        contributions: tuple[Contribution, ...],
        combine: Combine,
        out_dtype: str,
        out: Bits,
    ) -> Change:
        """Write the merged chunk's bit patterns in ``out_dtype`` to ``out``."""
        if any(isinstance(contribution.term, DenseChunk) for contribution in contributions):
            # Values found on the host are no kind that the kernel decodes: torch's operations give the same bits.
            return TorchEngine(self.device).merge(base, dtype, contributions, combine, out_dtype, out)
        with told_out_of_memory(self.device), on_device(self._place), self._on_own_stream():
            there, terms = self._bring(base, contributions)
            made = torch.empty(out.nbytes, dtype=torch.uint8, device=self._place)
            work = Work(
                base=there,
                dtype=dtype,
                out=made,
                out_dtype=out_dtype,
                elements=base.size,
                terms=tuple(zip(terms, contributions, strict=True)),
                origin=contributions[0].term.start,
            )
            flags = launch([work], combine, self._place)
            torch.from_numpy(out.view(np.uint8)).copy_(made, non_blocking=True)
            change = _change(there, dtype, made, out_dtype, flags)
            return Change(*self._fetched(change))

    def _bring(self, base: Bits, contributions: Sequence[Contribution]) -> tuple[Tensor, list[Term]]:
        """The base's bits and the terms on the device, brought there in one copy."""
        arena = Arena()
        place = arena.add(base)
        layouts = [lay_out([contribution.term], lambda _: base) for contribution in contributions]
        packed = [pack(layout, arena) for layout in layouts]
        memory = arena.gather(pinned=self._place.type == "cuda").to(self._place, non_blocking=True)
        start = contributions[0].term.start
        raws = [Raw(each.term(memory), each.layout, base.size, start) for each in packed]
        return memory[place : place + base.nbytes], index(raws, self._place, caches=False)

    def _fetched(self, change: Tensor) -> tuple[float, int, bool]:
        """What the device counted; waits for it, and so for the copy of the result that was begun before."""
        squares, changed, flag = change.tolist()
        return squares, int(changed), flag == 0

    def _on_own_stream(self) -> AbstractContextManager[Any]:
        if self._place.type != "cuda":
            return nullcontext()
        if not hasattr(self._own, "stream"):
            self._own.stream = torch.cuda.Stream(self._place)  # type: ignore[no-untyped-call]
        return torch.cuda.stream(self._own.stream)


def _change(base: Tensor, dtype: str, out: Tensor, out_dtype: str, flags: Tensor) -> Tensor:
    """Σ(out − base)², elements changed, and the flag, in fp64."""
    difference = out.view(_FLOATS[out_dtype]).to(torch.float32) - base.view(_FLOATS[dtype]).to(torch.float32)
    squares = difference.to(torch.float64).square().sum()
    return torch.stack((squares, torch.count_nonzero(difference).to(torch.float64), flags[0].to(torch.float64)))

"""The torch engine: merges chunks on a CPU or a CUDA device. torch is imported when one is opened, not before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from merging.engines.combination import Change, Combine, Contribution, measure_change
from storage.encodings.numeric import Bits
from storage.errors import EnvironmentFailure


class TorchEngine:
    """Computes chunks through torch on one device; the bits are those of every other engine.

    Raises EnvironmentFailure when torch is missing, or the device is.
    """

    name = "torch"

    def __init__(self, device: str):
        self.device = device
        self._device = torch_device(device)

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
        from merging.engines import torch_kernels

        with told_out_of_memory(self.device):
            out[:] = torch_kernels.merge(base, dtype, contributions, combine, out_dtype, self._device)
        return measure_change(base, dtype, out, out_dtype)


@contextmanager
def told_out_of_memory(device: str) -> Iterator[None]:
    """Raise EnvironmentFailure where torch finds no memory left on the device."""
    torch = import_torch()
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise EnvironmentFailure(
            f"device {device!r} is out of memory: {str(error).splitlines()[0]}",
            hint="free memory on it, use fewer threads or skills, or take the cpu",
        ) from error


def import_torch() -> Any:
    """The torch module. Raises EnvironmentFailure when it is not installed, or does not load."""
    try:
        import torch
    except (ImportError, OSError) as error:
        raise EnvironmentFailure(
            f"this needs torch, which does not load: {error}", hint="install it with: pip install 'mergestore[torch]'"
        ) from error
    return torch


def available_devices() -> list[str]:
    """The device names that an engine can be opened for here."""
    torch = import_torch()
    found = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    return ["cpu", *(["cuda"] if found else []), *(f"cuda:{index}" for index in found)]


def torch_device(device: str) -> Any:
    """The torch device of this name. Raises EnvironmentFailure unless it is here and keeps to IEEE arithmetic."""
    torch = import_torch()
    try:
        parsed = torch.device(device)
    except (RuntimeError, ValueError):
        raise _unavailable(device, "is not the name of a device") from None
    if parsed.type == "cpu":
        return parsed
    if parsed.type != "cuda":
        # Other backends flush denormals or fuse operations: their bits would differ.
        raise _unavailable(device, "is not supported")
    if not torch.cuda.is_available():
        raise _unavailable(device, "is not available: torch finds no CUDA device")
    if parsed.index is not None and parsed.index >= torch.cuda.device_count():
        raise _unavailable(device, "does not exist")
    return parsed


def _unavailable(device: str, trouble: str) -> EnvironmentFailure:
    return EnvironmentFailure(f"device {device!r} {trouble}", hint=f"available here: {', '.join(available_devices())}")

"""Which engine computes on which device, and where resident mode keeps what it merges."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from shutil import which
from typing import TYPE_CHECKING, Literal

from merging.engines.combination import Engine
from storage.checkpoints.tensors import TensorSource
from storage.deltas.delta import DeltaFile
from storage.errors import UsageError
from storage.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from merging.plans.plan import Plan
    from merging.residence.resident import Memory


def open_engine(device: str) -> Engine:
    """The engine for a device: numba for ``cpu``; for ``cuda`` and ``cuda:1`` Triton, or torch where that is missing.

    Raises EnvironmentFailure when torch or the device is missing.
    """
    if device == "cpu":
        from merging.engines import numba_engine

        return numba_engine
    from merging.engines.torch_engine import TorchEngine, torch_device

    if torch_device(device).type == "cuda" and has_triton():
        from merging.device.engine import TritonEngine

        return TritonEngine(device)
    return TorchEngine(device)


def load_onto(plan: Plan, device: str, threads: int) -> dict[str, Tensor] | None:
    """A plan's result straight into a device's memory; None where no engine of the device can do that."""
    if open_engine(device).name != "triton" or not plan.alike:
        return None
    from merging.device.holding import load_on_device
    from merging.engines.torch_engine import torch_device

    return load_on_device(plan, torch_device(device), threads)


def has_triton() -> bool:
    """Whether Triton is installed, and the C compiler that it starts its kernels with."""
    return find_spec("triton") is not None and any(map(which, ("gcc", "clang", "cc")))


def open_memory(
    base: TensorSource,
    digests: Mapping[str, str],
    deltas: Mapping[str, DeltaFile],
    *,
    device: str,
    on_host: bool,
    masks: Literal["cached", "drawn"] | None,
    threads: int,
    progress: Progress,
) -> Memory:
    """Keep a base and skills (by digest) in the memory of a device, their bytes verified."""
    engine = open_engine(device)
    if engine.name == "triton":
        from merging.device.holding import hold_on_device
        from merging.engines.torch_engine import torch_device

        place = torch_device(device)
        return hold_on_device(
            base, digests, deltas, place, on_host=on_host, masks=masks, threads=threads, progress=progress
        )
    if on_host or masks is not None:
        raise UsageError(
            f"deltas and masks have no effect on {device!r} with the {engine.name} engine",
            hint="leave them out; they are for CUDA devices with Triton",
        )
    from merging.residence.host_memory import hold_on_host

    return hold_on_host(base, digests, deltas, engine, threads, progress)

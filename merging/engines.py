"""Which engine computes on which device."""

from __future__ import annotations

from merging.combination import Engine


def open_engine(device: str) -> Engine:
    """The engine for a device: numba for ``cpu``, torch for anything else (``cuda``, ``cuda:1``).

    Raises EnvironmentFailure when torch or the device is missing.
    """
    if device == "cpu":
        from merging import kernels

        return kernels
    from merging.torch_engine import TorchEngine

    return TorchEngine(device)

"""Merged bytes as torch tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from merging.plans.plan import OutputTensor
from storage.errors import EnvironmentFailure

if TYPE_CHECKING:
    from torch import Tensor

_NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
}


def import_torch() -> Any:
    """The torch module. Raises EnvironmentFailure naming the extra when it is missing."""
    try:
        import torch
    except (ImportError, OSError) as error:
        raise EnvironmentFailure(
            f"tensors in memory need torch: {error}", hint="install it with: pip install 'mergestore[torch]'"
        ) from error
    return torch


def torch_dtype(dtype: str) -> Any:
    """The torch dtype of a safetensors one."""
    return getattr(import_torch(), _NAMES[dtype])


def host_bytes(tensor: Tensor) -> NDArray[np.uint8]:
    """The bytes of a contiguous tensor on the CPU, in its own memory."""
    torch = import_torch()
    raw: NDArray[np.uint8] = tensor.detach().reshape(-1).view(torch.uint8).numpy()
    return raw


def to_torch(output: OutputTensor, raw: bytearray | memoryview, device: str) -> Tensor:
    """A tensor over ``raw`` (not copied on the CPU), on ``device``."""
    torch = import_torch()
    dtype = torch_dtype(output.dtype)
    flat = torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
    tensor: Tensor = flat.reshape(output.shape).to(device)
    return tensor

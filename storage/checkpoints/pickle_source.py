"""Tensors of pickled checkpoints (``.bin``), read through torch's restricted unpickler and never otherwise."""

from __future__ import annotations

import os
import pickle
import struct
import threading
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.checkpoints.safetensors_header import check_text
from storage.checkpoints.tensors import TensorEntry, open_regular, quoted
from storage.dtypes import DTYPES
from storage.errors import EnvironmentFailure, InputRefused
from storage.files import disk_errors

if TYPE_CHECKING:
    import torch

_CONVERT = "convert it to safetensors with a tool you trust, where the file came from, and register that"
_SAFE_TORCH = (2, 6)  # before it, weights_only could be made to run code: CVE-2025-32434
_TORCH_NAMES = {
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float64": "F64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
    "complex64": "C64",
}
# What the restricted unpickler and the zip reader are seen to raise on damaged or hostile files.
_UNREADABLE = (
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    ArithmeticError,
    NotImplementedError,
    MemoryError,
)


class PickleSource:
    """A TensorSource over one or more ``.bin`` files; zip files are mapped, not loaded."""

    def __init__(self, root: Path, files: Iterable[str]):
        self._tensors: dict[str, torch.Tensor] = {}
        self._copy: tuple[str, memoryview] | None = None
        self._lock = threading.Lock()
        entries: dict[str, TensorEntry] = {}
        for file in files:
            for name, tensor, entry in _load(root, file):
                if name in entries:
                    raise InputRefused(f"{root}: tensor {quoted(name)} is in both {entries[name].file} and {file}")
                self._tensors[name] = tensor
                entries[name] = entry
        self._entries = {name: entries[name] for name in sorted(entries)}

    @property
    def entries(self) -> Mapping[str, TensorEntry]:
        """Every tensor, in sorted name order."""
        return self._entries

    def read_into(self, name: str, start: int, out: memoryview) -> None:
        """Fill ``out`` with bytes ``[start, start + len(out))`` of a tensor."""
        target = out.cast("B")
        view = self._bytes(name)
        if start < 0 or start + len(target) > len(view):
            raise ValueError(f"{quoted(name)} has {len(view)} bytes, asked for {start} to {start + len(target)}")
        target[:] = view[start : start + len(target)]

    def _bytes(self, name: str) -> memoryview:
        """The tensor's bytes; of tensors that are not contiguous one copy is kept, the last one asked for."""
        tensor = self._tensors[name]
        if tensor.is_contiguous():
            return _view(tensor)
        with self._lock:
            if self._copy is None or self._copy[0] != name:
                self._copy = None
                self._copy = (name, _view(tensor.contiguous()))
            return self._copy[1]

    def close(self) -> None:
        """Let go of the tensors, and of the files mapped for them."""
        self._tensors = {}
        self._copy = None


def _view(tensor: torch.Tensor) -> memoryview:
    import torch

    # Axes of one element may have any stride, which view() would stumble over: say that it is 1.
    return tensor.as_strided((tensor.numel(),), (1,)).view(torch.uint8).numpy().data


def _load(root: Path, file: str) -> list[tuple[str, torch.Tensor, TensorEntry]]:

    path = root / file
    descriptor, size = open_regular(path)
    os.close(descriptor)
    document = _unpickle(path)
    if not isinstance(document, dict):
        raise InputRefused(f"{path}: expected a dictionary of tensors, found {type(document).__name__}", hint=_CONVERT)
    loaded = []
    for name, value in document.items():
        tensor = _checked(path, name, value, size)
        check_text(path, name, "a tensor's name")
        dtype = _TORCH_NAMES[str(tensor.dtype).removeprefix("torch.")]
        nbytes = tensor.numel() * DTYPES[dtype].itemsize
        loaded.append((name, tensor, TensorEntry(name, dtype, tuple(tensor.shape), file, 0, nbytes)))
    return loaded


def _unpickle(path: Path) -> Any:
    torch = _torch(path)
    zipped = zipfile.is_zipfile(path)
    with disk_errors(f"cannot read {path}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch comments on old pickle protocols; the outcome tells enough
        try:
            if zipped:
                _refuse_compressed(path)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
        except InputRefused:
            raise
        except pickle.UnpicklingError as error:
            raise InputRefused(
                f"{path}: refused: it is damaged, or holds code or objects other than tensors", hint=_CONVERT
            ) from error
        except _UNREADABLE as error:
            raise InputRefused(
                f"{path}: cannot be read as a PyTorch checkpoint ({type(error).__name__})",
                hint="the file is damaged or is something else: download it again, or use a safetensors file",
            ) from error


def _torch(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise EnvironmentFailure(
            f"{path}: reading a .bin file needs torch, which is not installed",
            hint="pip install 'mergestore[torch]', or give a safetensors checkpoint",
        ) from error
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < _SAFE_TORCH:
        raise EnvironmentFailure(
            f"{path}: torch {torch.__version__} cannot read .bin files safely (CVE-2025-32434)",
            hint="upgrade to torch 2.6 or later, or give a safetensors checkpoint",
        )
    return torch


def _refuse_compressed(path: Path) -> None:
    # torch stores its records as they are; a compressed one is a bomb or a mistake.
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED:
                raise InputRefused(f"{path}: record {quoted(info.filename)} is compressed", hint=_CONVERT)


def _checked(path: Path, name: object, value: Any, size: int) -> torch.Tensor:
    """The value as a plain CPU tensor, or InputRefused naming it."""
    import torch

    if not isinstance(name, str) or not isinstance(value, torch.Tensor):
        found = type(value).__name__ if isinstance(name, str) else f"a key of type {type(name).__name__}"
        raise InputRefused(
            f"{path}: {quoted(str(name)[:200])}: expected a tensor, found {found}",
            hint="a checkpoint of weights alone is needed: save model.state_dict() or use save_pretrained",
        )
    where = f"{path}: tensor {quoted(name)}"
    tensor = value.detach()
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise InputRefused(f"{where}: sparse, quantized and meta tensors are not supported", hint=_CONVERT)
    if str(tensor.dtype).removeprefix("torch.") not in _TORCH_NAMES:
        raise InputRefused(f"{where}: unknown dtype {tensor.dtype}", hint=_CONVERT)
    # An expanded tensor repeats few bytes many times: copying it could take any amount of memory.
    if not tensor.is_contiguous() and tensor.numel() * tensor.element_size() > size:
        raise InputRefused(f"{where}: larger than the file that holds it", hint=_CONVERT)
    return tensor.resolve_conj().resolve_neg()

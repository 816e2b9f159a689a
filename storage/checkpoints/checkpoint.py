"""A model as its author saved it: one file or many, safetensors or pickled, behind one TensorSource."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from storage.checkpoints.companions import companions, is_weights, read_config
from storage.checkpoints.json_files import read_json_object
from storage.checkpoints.pickle_source import PickleSource
from storage.checkpoints.safetensors_header import read_header
from storage.checkpoints.tensors import (
    Stamp,
    TensorEntry,
    TensorSource,
    changed_meanwhile,
    listed,
    open_regular,
    pread_into,
    quoted,
    stamp_of,
)
from storage.errors import InputRefused

__all__ = ["Checkpoint", "SafetensorsSource", "TensorEntry", "TensorSource", "open_checkpoint"]

Format = Literal["safetensors", "pickle"]
# In order of preference: the file or index that makes a folder a checkpoint, and the format it means.
_LAYOUTS: tuple[tuple[str, Format], ...] = (
    ("model.safetensors", "safetensors"),
    ("model.safetensors.index.json", "safetensors"),
    ("pytorch_model.bin", "pickle"),
    ("pytorch_model.bin.index.json", "pickle"),
)
_SHARD = re.compile(r"-\d+-of-\d+\.(safetensors|bin)")


@dataclass(frozen=True)
class Checkpoint:
    """An opened model. ``files`` (its weights) and ``companions`` (kept beside them) are relative to ``root``."""

    source: TensorSource
    root: Path
    config: dict[str, Any] | None
    companions: tuple[Path, ...]
    format: Format
    files: tuple[Path, ...]

    def close(self) -> None:
        """Let go of open files."""
        self.source.close()


class SafetensorsSource:
    """A TensorSource over safetensors files under ``root``; files are opened at first use and read by position.

    ``stamps``: those of files when their headers were read; another file in the place of one is refused.
    """

    def __init__(self, root: Path, entries: Iterable[TensorEntry], stamps: Mapping[str, Stamp | None] | None = None):
        self._root = root
        self._stamps = stamps or {}
        self._entries = {entry.name: entry for entry in sorted(entries, key=lambda entry: entry.name)}
        self._open: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def entries(self) -> Mapping[str, TensorEntry]:
        """Every tensor, in sorted name order."""
        return self._entries

    def read_into(self, name: str, start: int, out: memoryview) -> None:
        """Fill ``out`` with bytes ``[start, start + len(out))`` of a tensor."""
        entry = self._entries[name]
        target = out.cast("B")
        if start < 0 or start + len(target) > entry.nbytes:
            raise ValueError(f"{quoted(name)} has {entry.nbytes} bytes, asked for {start} to {start + len(target)}")
        pread_into(self._descriptor(entry.file), self._root / entry.file, entry.offset + start, target)

    def _descriptor(self, file: str) -> int:
        with self._lock:
            if file not in self._open:
                descriptor, _ = open_regular(self._root / file)
                if not self._is_as_it_was(file, descriptor):
                    os.close(descriptor)
                    raise changed_meanwhile(self._root / file)
                self._open[file] = descriptor
            return self._open[file]

    def refuse_changed(self, file: str) -> None:
        """Raise InputRefused where a file is no longer the one whose header was read."""
        if not self._is_as_it_was(file, self._root / file):
            raise changed_meanwhile(self._root / file)

    def _is_as_it_was(self, file: str, now: Path | int) -> bool:
        return file not in self._stamps or stamp_of(now) == self._stamps[file]

    def close(self) -> None:
        """Close the files; reading again would open them again."""
        with self._lock:
            for descriptor in self._open.values():
                os.close(descriptor)
            self._open.clear()


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a model's folder, or one weight file. Raises InputRefused where it is not a whole, sound checkpoint."""
    if path.is_dir():
        layout, form = _find_layout(path)
        return _open(path, layout, form, whole=True)
    if not path.exists():
        raise InputRefused(f"{path}: no such file or directory", hint="check the path")
    return _open_file(path)


def _open_file(path: Path) -> Checkpoint:
    if path.suffix not in (".safetensors", ".bin"):
        raise InputRefused(f"{path}: not a .safetensors or .bin file", hint="give a weight file or the model's folder")
    if _SHARD.search(path.name):
        raise InputRefused(f"{path}: one shard of a larger model", hint=f"give the folder: {path.parent}")
    return _open(path.parent, path.name, "safetensors" if path.suffix == ".safetensors" else "pickle", whole=False)


def _open(root: Path, layout: str, form: Format, *, whole: bool) -> Checkpoint:
    """Open what ``layout`` names. A file with a name of its own says nothing about the files beside it."""
    standard = any(layout == name for name, _ in _LAYOUTS)
    config = read_config(root) if standard else None
    kept = companions(root, config, sentence_transformers=whole) if standard else ()
    weight_map = _read_index(root, layout) if layout.endswith(".json") else None
    files = sorted(set(weight_map.values())) if weight_map is not None else [layout]
    source: TensorSource
    if form == "safetensors":
        stamps = {name: stamp_of(root / name) for name in files}  # before anything is read
        entries = {name: _shard_entries(root, name) for name in files}
        _check_index(root, layout, weight_map, entries)
        source = SafetensorsSource(root, (entry for shard in entries.values() for entry in shard), stamps)
    else:
        pickled = PickleSource(root, files)
        shards = {name: [entry for entry in pickled.entries.values() if entry.file == name] for name in files}
        _check_index(root, layout, weight_map, shards)
        source = pickled
    if not source.entries:
        raise InputRefused(f"{root / layout}: holds no tensors")
    return Checkpoint(source, root, config, kept, form, tuple(Path(name) for name in files))


def _find_layout(root: Path) -> tuple[str, Format]:
    for name, form in _LAYOUTS:
        if (root / name).exists():
            return name, form
    if (root / "adapter_config.json").exists():
        raise InputRefused(
            f"{root}: holds a PEFT adapter, not a whole model", hint="register it as a skill of its base"
        )
    others = sorted(path.relative_to(root).as_posix() for path in [*root.glob("*"), *root.glob("*/*")])
    weights = [name for name in others if is_weights(name)]
    hint = f"weights under other names: {listed(weights, 3)}; give the file or folder meant" if weights else None
    raise InputRefused(
        f"{root}: no model here; looked for {', '.join(name for name, _ in _LAYOUTS)}",
        hint=hint or "save the model with save_pretrained",
    )


def _shard_entries(root: Path, file: str) -> list[TensorEntry]:
    entries, _ = read_header(root / file)
    return [replace(entry, file=file) for entry in entries.values()]


def _read_index(root: Path, name: str) -> dict[str, str]:
    """The index's weight map, after checking that it names plain files that are there."""
    path = root / name
    weight_map = read_json_object(path).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise InputRefused(f"{path}: weight_map must map tensor names to file names")
    for file in sorted(set(weight_map.values())):
        if not is_plain_name(file):
            raise InputRefused(
                f"{path}: the shard name {quoted(file)} leads out of the model's folder",
                hint="do not use this model: its index is malformed or hostile",
            )
        if not (root / file).is_file():
            first = min(tensor for tensor, shard in weight_map.items() if shard == file)
            raise InputRefused(
                f"{path}: the shard {quoted(file)} (tensor {quoted(first)} and others) is missing",
                hint="download the missing file; a partial model is never used",
            )
    return weight_map


def is_plain_name(name: str) -> bool:
    """Whether ``name`` can only mean a file directly in its folder."""
    return name not in ("", ".", "..") and not any(mark in name for mark in ("/", "\\", "\0")) and name.isprintable()


def _check_index(
    root: Path, layout: str, weight_map: Mapping[str, str] | None, shards: Mapping[str, Iterable[TensorEntry]]
) -> None:
    """What the shards hold must be exactly what the index says, each tensor where it says."""
    if weight_map is None:
        return
    path = root / layout
    present = {(entry.name, file) for file, entries in shards.items() for entry in entries}
    promised = set(weight_map.items())
    for names, fault in (
        (sorted(promised - present), "not in the shard that the index names"),
        (sorted(present - promised), "in a shard, but not listed there by the index"),
    ):
        if names:
            shown = listed(f"{name} ({file})" for name, file in names)
            raise InputRefused(
                f"{path}: {fault}: {shown}", hint="index and shards belong to different models, or versions"
            )

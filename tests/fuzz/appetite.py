"""How much memory a child takes to read the worst files of each kind, at the largest size that is read.

    python -m tests.fuzz.appetite [KIND …]        prints one line of JSON for each file that is read

Each file is read in a fork of its own, whose peak (``VmHWM``) is counted from what it had when it began.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zstandard

from merging.recipes import document
from registry.backups import manifest as backup
from registry.bundles.manifest import LARGEST_MANIFEST
from registry.bundles.reading import read_bundle
from registry.directories import read_manifest
from registry.evidence import envelope
from registry.registering.training import LARGEST_FILE, read_training
from storage import bounded
from storage.checkpoints.adapter_config import read_settings
from storage.checkpoints.checkpoint import open_checkpoint
from storage.checkpoints.json_files import read_json_object
from storage.checkpoints.safetensors_header import MAX_HEADER
from storage.checkpoints.tokenizer import read_tokenizer
from storage.deltas.delta import MANIFEST_KEY, STATISTICS_KEY, DeltaFile
from storage.encodings.frames import read_frame, read_table


def filled(unit: str, size: int, before: str = "[", after: str = "1]") -> bytes:
    """A text of at most so many bytes, of one part over and over."""
    count = (size - len((before + after).encode())) // len(unit.encode())
    return (before + unit * count + after).encode()


def numbered(unit: str, size: int, before: str, after: str) -> bytes:
    """The same of parts with a number each."""
    width = len((unit % (1 << 24)).encode())
    return (before + "".join(unit % n for n in range(1 << 24, (1 << 24) + (size - 64) // width)) + after).encode()


DEEP = "[" * 90 + "]" * 90 + ","
SHAPES: dict[str, Callable[[int], bytes]] = {
    "lists": lambda size: filled("[],", size, '{"a":[', "1]}"),
    "deep lists": lambda size: filled(DEEP, size, '{"a":[', "1]}"),
    "deep tables": lambda size: filled('{"a":' * 90 + "1" + "}" * 90 + ",", size, '{"a":[', "1]}"),
    "keys": lambda size: numbered('"Ā%x":[],', size, "{", '"a":1}'),
    "tables": lambda size: numbered('{"Ā%x":0},', size, '{"a":[', "1]}"),
    "texts": lambda size: filled('"Ā",', size, '{"a":[', "1]}"),
    "one text": lambda size: filled("a", size, '{"a":"😀', '"}'),
}
WORST = ("deep lists", "tables", "one text")


def largest(shape: Callable[[int], bytes], size: int, marks: int) -> bytes:
    """As much of a shape as is taken, of its bytes and of its marks."""
    sample = shape(100_000)
    dense = sum(sample.count(mark.encode()) for mark in "[{,:") / len(sample)
    return shape(int(min(size, (marks - 1000) / dense)))


def json_files(size: int, marks: int = bounded.MARKS, name: str = "x.json") -> Iterator[tuple[str, dict[str, bytes]]]:
    """Files of the worst shapes, by what they are called; of every shape are those of weights."""
    for told in WORST:
        yield told, {name: largest(SHAPES[told], size, marks)}


def headed(header: bytes, data: bytes = b"") -> bytes:
    """A safetensors file."""
    return len(header).to_bytes(8, "little") + header + data


def headers() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Safetensors files with headers of 100 MB."""
    for told, shape in SHAPES.items():
        yield told, {"model.safetensors": headed(largest(shape, MAX_HEADER, bounded.MARKS))}
    entry = '"%x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
    tensors = largest(lambda size: numbered(entry, size, "{", '"__metadata__":{}}'), MAX_HEADER, bounded.MARKS)
    yield "tensors", {"model.safetensors": headed(tensors)}


def deltas() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Delta files whose manifest is nearly all of the header, as a text within its JSON."""
    for told in WORST:
        shape = SHAPES[told]
        text = json.dumps(largest(shape, MAX_HEADER // 2, bounded.MARKS // 2).decode(), ensure_ascii=False)
        yield told, {"x": headed(f'{{"__metadata__":{{"{MANIFEST_KEY}":{text},"{STATISTICS_KEY}":"{{}}"}}}}'.encode())}


def trainings() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Folders with one file about their training, or a card whose front matter is large."""
    yield from json_files(LARGEST_FILE, bounded.FEW_MARKS, "trainer_state.json")
    matter = filled("[],", document.LARGEST, "tags: [", "1]\n")
    yield "card", {"README.md": b"---\n" + matter + b"---\n" + bytes(LARGEST_FILE - len(matter) - 10)}


def yamls() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Documents of YAML that take most."""
    yield "deep lists", {"x": filled("[" * 50 + "]" * 50 + ",", document.LARGEST)}


def envelopes() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Files with envelopes, and one whose payload is large."""
    yield from json_files(envelope.LARGEST, bounded.FEW_MARKS, "x")
    yield "lines", {"x": b"[]\n" * (bounded.FEW_MARKS)}
    inner = largest(SHAPES["deep lists"], envelope.LARGEST // 2, bounded.FEW_MARKS)
    signed = {"payloadType": "x", "payload": base64.b64encode(inner).decode(), "signatures": []}
    yield "payload", {"x": json.dumps(signed).encode()}


def frames() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A table of frames that claims much, a frame that is much."""
    bomb = zstandard.ZstdCompressor(write_checksum=True).compress(bytes(4 << 20))
    yield "bomb", {"x": len(bomb).to_bytes(4, "little") + (4 << 20).to_bytes(4, "little") + bomb}
    yield "stored", {"x": (200 << 20).to_bytes(4, "little") + (1 << 20).to_bytes(4, "little") + bytes(200 << 20)}


def _read_frames(folder: Path) -> None:
    path = folder / "x"
    fd = os.open(path, os.O_RDONLY)
    for frame in read_table(fd, 0, path.stat().st_size, 1 << 20, 4 << 20, "here").frames:
        read_frame(fd, frame, "here")


def _read_envelopes(folder: Path) -> None:
    for each in envelope.read_envelopes(folder / "x"):
        envelope.parse_payload(each, "x")


Kind = tuple[Callable[[], Iterator[tuple[str, dict[str, bytes]]]], Callable[[Path], object]]


def _read_adapter(folder: Path) -> None:
    read_settings(read_json_object(folder / "adapter_config.json"), "x")


def _read_tokenizer(folder: Path) -> None:
    read_tokenizer({"tokenizer.json": bounded.read_whole(folder / "tokenizer.json", bounded.JSON)}, "x")


KINDS: dict[str, Kind] = {
    "weights": (headers, open_checkpoint),
    "delta": (deltas, lambda folder: DeltaFile.open(folder / "x")),
    "frame": (frames, _read_frames),
    "adapter": (lambda: json_files(bounded.JSON, name="adapter_config.json"), _read_adapter),
    "index": (lambda: json_files(bounded.JSON, name="model.safetensors.index.json"), open_checkpoint),
    "tokenizer": (lambda: json_files(bounded.JSON, name="tokenizer.json"), _read_tokenizer),
    "published": (lambda: json_files(bounded.JSON, name="mergestore.json"), read_manifest),
    "backup": (lambda: json_files(backup.LARGEST, backup.MARKS, backup.MANIFEST), backup.read),
    "bundle": (
        lambda: json_files(LARGEST_MANIFEST, bounded.FEW_MARKS, "x"),
        lambda folder: read_bundle((folder / "x").read_bytes(), "x"),
    ),
    "document": (yamls, lambda folder: document.load_document(folder / "x")),
    "training": (trainings, lambda folder: read_training(folder, {})),
    "envelope": (envelopes, _read_envelopes),
}


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def peak(read: Callable[[Path], object], folder: Path) -> dict[str, Any]:
    """Bytes that reading takes at most beside what was held before, and how it ended."""
    gc.collect()
    inner, outer = os.pipe()
    if not (child := os.fork()):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        before, clock = _status("VmRSS"), time.perf_counter()
        try:
            read(folder)
            told = "read"
        except BaseException as error:
            told = f"{type(error).__name__}: {str(error)[:90]}"
        found = {"peak": _status("VmHWM") - before, "told": told, "seconds": round(time.perf_counter() - clock, 1)}
        os.write(outer, json.dumps(found).encode())
        os._exit(0)
    os.close(outer)
    with os.fdopen(inner) as file:
        text = file.read()
    os.waitpid(child, 0)
    return dict(json.loads(text))


def main(kinds: list[str]) -> None:
    for kind in kinds or KINDS:
        files, read = KINDS[kind]
        for told, content in files():
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                for file, data in content.items():
                    (folder / file).write_bytes(data)
                size = sum(map(len, content.values()))
                content.clear()
                print(json.dumps({"kind": kind, "file": told, "size": size, **peak(read, folder)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

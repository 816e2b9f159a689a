"""Tiny models on disk for tests: a base, deltas written with DeltaWriter alone, and merging them by recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from merging.engines import reference
from merging.passes.preparing import prepared
from merging.plans.planning import make_plan
from merging.recipes.recipe import Chosen, make_recipe
from merging.streaming.materializer import materialize
from merging.streaming.sinks import MemorySink
from storage.checkpoints.checkpoint import TensorSource, open_checkpoint
from storage.checkpoints.payloads import ContentHash
from storage.checkpoints.safetensors_file import SafetensorsWriter, layout
from storage.deltas.delta import DeltaFile, DeltaWriter
from storage.deltas.manifest import LowRank, Manifest, TensorDelta
from storage.digests import blake3_digest, model_digest
from storage.encodings.coding import EXACT, Coding
from storage.encodings.encode import encode_chunk
from storage.encodings.frames import chunk_count, chunk_span, compress
from storage.encodings.numeric import BITS, as_bytes, narrow, widen
from storage.encodings.philox import FULL, mask_key
from storage.progress import Silent


@dataclass(frozen=True)
class Values:
    """One tensor: dtype, shape and flat bit patterns."""

    dtype: str
    shape: tuple[int, ...]
    bits: np.ndarray

    @property
    def digest(self) -> str:
        return blake3_digest(as_bytes(self.bits))

    @property
    def floats(self) -> np.ndarray:
        return widen(self.bits, self.dtype).reshape(self.shape)


def tensor(values, dtype: str = "F32") -> Values:
    """Numbers, rounded to a dtype."""
    array = np.asarray(values, np.float32)
    return Values(dtype, array.shape, np.array(narrow(np.ascontiguousarray(array.reshape(-1)), dtype)))


def raw(bits, dtype: str) -> Values:
    """Bit patterns as they are."""
    array = np.ascontiguousarray(bits, BITS[dtype])
    return Values(dtype, array.shape, array.reshape(-1))


def digest_of(tensors: dict[str, Values]) -> str:
    return model_digest((name, t.dtype, t.shape, t.digest) for name, t in tensors.items())


@dataclass
class Tiny:
    """A base on disk in a folder that also takes its deltas."""

    folder: Path
    tensors: dict[str, Values]
    source: TensorSource = field(init=False)
    opened: list[DeltaFile] = field(default_factory=list)

    def __post_init__(self):
        home = self.folder / "base"
        home.mkdir()
        specs = layout([(name, t.dtype, t.shape) for name, t in self.tensors.items()])
        with SafetensorsWriter(home / "model.safetensors", specs) as writer:
            for name, _, _ in specs:
                writer.write(name, as_bytes(self.tensors[name].bits))
        self.source = open_checkpoint(home).source

    @property
    def digests(self) -> dict[str, str]:
        return {name: self.tensors[name].digest for name in sorted(self.tensors)}

    def close(self):
        for delta in self.opened:
            delta.close()
        self.source.close()

    def delta(self, fine_tuned: dict[str, Values], coding: Coding = EXACT, name: str | None = None) -> DeltaFile:
        """Encode a fine-tune and open the stored delta. Tensors with the base's own bits are stored as `same`."""
        entries = {}
        path = self.folder / (name or f"{len(self.opened)}.safetensors")
        cutoff = self._cutoff(fine_tuned, coding)
        with DeltaWriter(path.with_suffix(".spool")) as writer:
            for tensor_name in sorted(fine_tuned):
                entries[tensor_name] = self._entry(writer, tensor_name, fine_tuned[tensor_name], coding, cutoff)
            manifest = Manifest(_encoding(coding), digest_of(self.tensors), digest_of(fine_tuned), entries, coding)
            writer.finish(path, manifest, {})
        return self._open(path)

    def _cutoff(self, fine_tuned: dict[str, Values], coding: Coding) -> float:
        """The k-th largest magnitude over the whole model, where a coding selects by it."""
        if coding.density is None:
            return 0.0
        deltas = [np.abs(ours.floats - self.tensors[name].floats).reshape(-1) for name, ours in fine_tuned.items()]
        magnitudes = np.sort(np.concatenate(deltas))
        return float(magnitudes[-int(coding.density * magnitudes.size)])

    def _entry(self, writer: DeltaWriter, name: str, ours: Values, coding: Coding, cutoff: float) -> TensorDelta:
        base = self.tensors[name]
        common = (base.dtype, base.shape, base.digest, ours.digest, ours.dtype)
        if (base.dtype, base.digest) == (ours.dtype, ours.digest):
            return TensorDelta("same", *common)
        key = mask_key(coding.seed, ours.digest, name)
        chunks = []
        for index in range(chunk_count(base.bits.size)):
            start, count = chunk_span(index, base.bits.size)
            end = start + count
            data = encode_chunk(
                base.bits[start:end], base.dtype, ours.bits[start:end], ours.dtype, coding, key, start, cutoff
            ).data
            chunks.append((data, compress(data)))
        return TensorDelta("kept", *common, coding=coding, content=writer.add_frames(name, chunks))

    def adapter(self, factors: dict[str, tuple[np.ndarray, np.ndarray, float, bool]]) -> DeltaFile:
        """Store LoRA factors (A, B, scaling, transposed) by tensor; the other tensors are the base's own."""
        entries = {}
        path = self.folder / f"{len(self.opened)}.safetensors"
        with DeltaWriter(path.with_suffix(".spool")) as writer:
            for name, base in sorted(self.tensors.items()):
                common = (base.dtype, base.shape, base.digest, base.digest, base.dtype)
                if name not in factors:
                    entries[name] = TensorDelta("same", *common)
                    continue
                a, b, scaling, transposed = factors[name]
                content = ContentHash()
                for label, matrix in (("A", a), ("B", b)):
                    data = matrix.astype(np.float32).tobytes()
                    writer.add_raw(f"lora/{name}/{label}", "F32", matrix.shape, [data])
                    content.update(data)
                low_rank = LowRank(f"lora/{name}/A", f"lora/{name}/B", len(a), len(b), a.shape[1], scaling, transposed)
                entries[name] = TensorDelta("lora", *common, content=content.digest(), low_rank=low_rank)
            manifest = Manifest("lora", digest_of(self.tensors), digest_of(self.tensors), entries)
            writer.finish(path, manifest, {})
        return self._open(path)

    def _open(self, path: Path) -> DeltaFile:
        self.opened.append(DeltaFile.open(path))
        return self.opened[-1]

    def plan(self, method: str, skills: list[tuple], dtype: str | None = None, **parameters):
        """The plan of a recipe, with what its first passes find. ``lambda_`` stands for lambda.

        ``skills``: deltas with weights, and perhaps parameters of their own.
        """
        given = {name.rstrip("_"): value for name, value in parameters.items()}
        deltas = {delta.manifest.digest: delta for delta, *_ in skills}
        sparse = frozenset(digest for digest, delta in deltas.items() if stored_sparse(delta))
        chosen = {delta.manifest.digest: Chosen(*said) for delta, *said in skills}
        recipe = make_recipe(method, digest_of(self.tensors), chosen, given, stored_sparse=sparse, dtype=dtype)
        plan = make_plan(recipe, self.source, self.digests, deltas)
        return prepared(plan, 1, Silent())

    def merge(self, method, skills, *, engine=reference, threads=1, dtype=None, **parameters) -> dict[str, np.ndarray]:
        """The merged tensors, as fp32 arrays in their shapes."""
        plan = self.plan(method, skills, dtype, **parameters)
        sink = MemorySink()
        merged = materialize(plan, sink, engine, threads, Silent())
        return {
            done.name: widen(np.frombuffer(sink.tensors[done.name], BITS[done.dtype]), done.dtype).reshape(done.shape)
            for done in merged
        }


def _encoding(coding: Coding) -> str:
    if coding.selects_magnitude:
        return "magnitude"
    if coding.values == "sign":
        return "sign"
    return "exact" if coding.values == "exact" and coding.threshold == FULL else "dare"


def stored_sparse(delta: DeltaFile) -> bool:
    return delta.manifest.coding is not None and delta.manifest.coding.threshold != FULL

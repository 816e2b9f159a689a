"""A reader and a maker of unified vectors written from docs/format.md alone: it imports nothing of mergestore.

Beside it stands ``format1_decoder``, which reads the delta files of the skills, and is as independent.
"""

import json
import math

import numpy as np

from tests.unit.format1_decoder import (
    CHUNK,
    ITEMSIZE,
    PATTERN,
    DeltaFile,
    Refused,
    _unique,
    apply_codes,
    blake3_digest,
    canonical,
    convert,
    in_element_order,
    join_planes,
    narrow,
    read_safetensors,
    widen,
)


class UnifiedFile:
    """One file, by its bytes."""

    def __init__(self, data):
        self.payloads, self.metadata = read_safetensors(data)
        self.manifest = json.loads(self.metadata["mergestore.unified"], object_pairs_hook=_unique)
        if self.manifest["format"] != 1 or set(self.manifest) != {"format", "base", "skills", "tensors"}:
            raise Refused("not a unified vector of format 1")
        self.tensors = self.manifest["tensors"]
        self.skills = [each["skill"] for each in self.manifest["skills"]]
        self.scales = [each["scale"] for each in self.manifest["skills"]]

    @property
    def digest(self):
        return blake3_digest(canonical(self.manifest).encode())

    def frames(self, payload, elements):
        """The decoded frames of any payload with a table."""
        reader = DeltaFile.__new__(DeltaFile)
        reader.payloads, reader.tensors = {"delta/x": self.payloads[payload]}, {"x": {"shape": [elements]}}
        return reader.frames("x")

    def content(self, payload, elements):
        return blake3_digest(
            b"".join(len(each).to_bytes(4, "little") + each for each in self.frames(payload, elements))
        )

    def skill_manifest(self, place):
        (text,) = self.frames(f"skill/{place}", 1)
        if blake3_digest(text) != self.skills[place]:
            raise Refused("the manifest of another skill")
        return json.loads(text)

    def values(self, name, base):
        """τ of one tensor, fp32, from the base's raw bytes."""
        entry = self.tensors[name]
        elements, bits = math.prod(entry["shape"]), np.frombuffer(base, PATTERN[entry["dtype"]])
        parts = [
            self._values(entry, frame, bits[index * CHUNK : (index + 1) * CHUNK])
            for index, frame in enumerate(self.frames(f"unified/{name}", elements))
        ]
        return np.concatenate(parts)

    def _values(self, entry, frame, base):
        if entry["values"] == "fp32":
            return join_planes(frame, 4).view("<f4") if frame else np.zeros(base.size, np.float32)
        target = entry["fine_tuned_dtype"]
        size, rounded = ITEMSIZE[target], convert(base, entry["dtype"], target)
        codes = join_planes(frame, size) if frame else np.zeros(base.size, f"<u{size}")
        rebuilt = apply_codes(rounded, in_element_order(codes, rounded, target), 8 * size)
        return widen(rebuilt, target) - widen(base, entry["dtype"])

    def mask(self, place, name, values):
        """Skill ``place``'s mask of one tensor, by its unified values."""
        found = []
        for index, frame in enumerate(self.frames(f"mask/{place}/{name}", values.size)):
            some = values[index * CHUNK : (index + 1) * CHUNK] != 0
            bits = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")
            if len(frame) != -(-int(some.sum()) // 8) or bits[int(some.sum()) :].any():
                raise Refused("another number of bits")
            mask = np.zeros(some.size, bool)
            mask[some] = bits[: int(some.sum())]
            found.append(mask)
        return np.concatenate(found)

    def model(self, place, name, base, dtype=None):
        """One tensor of the model of skill ``place``, as raw bytes, from the base's."""
        entry = self.tensors[name]
        own, out = entry["dtype"], dtype or entry["dtype"]
        if own not in PATTERN:
            return base
        bits, stored = np.frombuffer(base, PATTERN[own]), entry.get("tied_to", name)
        if self.tensors[stored]["form"] == "same" or self.tensors[stored]["masks"][place] is None:
            return convert(bits, own, out).tobytes()
        values = self.values(stored, base)
        taken = np.where(self.mask(place, stored, values), values, np.float32(0))
        return narrow(widen(bits, own) + np.float32(self.scales[place]) * taken, out).tobytes()


def made(deltas, base):
    """What 10.4 says of delta files in canonical order: τ and masks by tensor, λ, ties, kinds of values.

    ``base``: (dtype, shape, raw bytes) by tensor.
    """
    values, masks, ties, kinds = {}, {}, {}, {}
    sums = [[0.0, 0.0] for _ in deltas]
    first = {}
    for name in sorted(base):
        dtype, shape, raw = base[name]
        sources = [delta.resolve(name) if delta.changes(name) and math.prod(shape) else None for delta in deltas]
        if dtype not in PATTERN or not any(sources):
            continue
        owner = first.setdefault((dtype, shape, blake3_digest(raw), tuple(sources)), name)
        if owner != name:
            ties[name] = owner
            continue
        found = {k: delta.values(name, raw)[0] for k, delta in enumerate(deltas) if sources[k]}
        values[name] = _unified(list(found.values()))
        masks[name] = {k: (v != 0) & (values[name] != 0) & ((v > 0) == (values[name] > 0)) for k, v in found.items()}
        kinds[name] = _kind([delta.tensors[source] for delta, source in zip(deltas, sources, strict=True) if source])
        for k, v in found.items():
            for start in range(0, v.size, CHUNK):
                span = slice(start, start + CHUNK)
                sums[k][0] += _sum(v[span])
                sums[k][1] += _sum(np.where(masks[name][k], values[name], np.float32(0))[span])
    return values, masks, [s / u if u else 0.0 for s, u in sums], ties, kinds


def _unified(vectors):
    total = vectors[0]
    for v in vectors[1:]:
        total = total + v
    unified = np.zeros_like(total)
    for v in vectors:
        unified = np.where((v != 0) & ((v > 0) == (total >= 0)) & (np.abs(v) > np.abs(unified)), v, unified)
    return unified


def _sum(values):
    total = 0.0
    for value in np.abs(values.astype(np.float64)).tolist():
        total += value
    return total


def _kind(entries):
    """(`values`, `fine_tuned_dtype`) of a tensor, from the entries of the skills that change it."""
    full = {"values": "exact", "keep_threshold": 65536, "seed": 0}
    dtypes = {entry["fine_tuned_dtype"] if entry.get("coding") == full else None for entry in entries}
    return ("exact", dtypes.pop()) if len(dtypes) == 1 and None not in dtypes else ("fp32", None)

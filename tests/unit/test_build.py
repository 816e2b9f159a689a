"""One pass over a fine-tune makes its delta: the same bytes however it is read, in bounded memory, each byte once."""

import threading
import tracemalloc
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from storage.blobs import hash_file
from storage.checkpoints.checkpoint import Checkpoint
from storage.checkpoints.tensors import TensorEntry
from storage.deltas.build import BaseModel, build_delta
from storage.deltas.delta import DeltaFile
from storage.digests import blake3_digest
from storage.encodings.coding import EXACT, SIGN, dare_coding, magnitude_coding
from storage.encodings.frames import CHUNK
from storage.encodings.numeric import as_bits, as_bytes, narrow, widen
from storage.errors import InputRefused, IntegrityFailure
from storage.progress import Silent

WIDE = CHUNK + 12345  # elements: a chunk and a part of one
PLENTY = 64 << 20
CODINGS = {
    "dare": dare_coding(0.9, 3, "int4"),
    "exact": EXACT,
    "sparse exact": dare_coding(0.5, 1, "exact"),
    "sign": SIGN,
    "largest of each tensor": magnitude_coding(0.1, "tensor", "int4"),
    "largest of the model": magnitude_coding(0.05, "model", "bf16"),
}


class Tensors:
    """A TensorSource in memory that counts how often each tensor's bytes were read."""

    def __init__(self, tensors):
        self.raw = {name: bytes(as_bytes(bits)) for name, (_, bits) in tensors.items()}
        self.entries = {
            name: TensorEntry(name, dtype, bits.shape, "f", 0, len(self.raw[name]))
            for name, (dtype, bits) in sorted(tensors.items())
        }
        self.read, self.counting = Counter(), threading.Lock()

    def read_into(self, name, start, out):
        assert start + len(out) <= len(self.raw[name])
        out[:] = self.raw[name][start : start + len(out)]
        with self.counting:
            self.read[name] += len(out)

    def close(self):
        """There is nothing to close."""

    @property
    def times(self):
        """How often each tensor was read, on average over its bytes."""
        return {name: self.read[name] / len(raw) for name, raw in self.raw.items() if raw}


def drawn(n, seed, dtype="BF16", scale=0.02):
    noise = np.random.default_rng(seed).standard_normal(n, np.float32) * np.float32(scale)
    return dtype, np.array(narrow(noise, dtype))


def moved(tensor, seed, dtype=None):
    """A fine-tune of a tensor, in another dtype if asked."""
    own, bits = tensor
    values = bits.astype(np.uint32) << 16 if own == "BF16" else bits
    noise = np.random.default_rng(seed).standard_normal(bits.size, np.float32) * np.float32(1e-3)
    target = dtype or own
    return target, np.array(narrow(values.view(np.float32) + noise, target))


def models():
    """Base and fine-tune with every kind of pair: wide, in another dtype, same, whole numbers, tied, empty, a head."""
    base = {
        "embed_tokens.weight": drawn(WIDE, 1),
        "mlp.weight": drawn(3 * CHUNK, 2),
        "narrow.weight": drawn(CHUNK // 2, 3, "F32"),
        "norm.weight": drawn(77, 4),
        "none.weight": drawn(0, 5, "F32"),
        "same.weight": drawn(WIDE, 6),
        "inv_freq": ("I64", np.arange(8, dtype=np.uint64)),
    }
    base["lm_head.weight"] = base["embed_tokens.weight"]
    tuned = {name: moved(tensor, 9) for name, tensor in base.items() if tensor[0] != "I64"}
    tuned |= {"inv_freq": base["inv_freq"], "same.weight": base["same.weight"]}
    tuned |= {"lm_head.weight": tuned["embed_tokens.weight"], "none.weight": drawn(0, 5, "BF16")}
    tuned |= {"narrow.weight": moved(base["narrow.weight"], 9, "F16"), "score.weight": drawn(1000, 8, "F32")}
    return Tensors(base), Tensors(tuned)


def opened(base, tuned, folder):
    digests = {name: blake3_digest(raw) for name, raw in base.raw.items()}
    return BaseModel(base, digests, "blake3:" + "0" * 64, {}), Checkpoint(tuned, folder, {}, (), "safetensors", ())


def build(folder, base, tuned, coding=CODINGS["dare"], *, threads=2, memory=PLENTY):
    model, checkpoint = opened(base, tuned, folder)
    path = folder / f"{len(list(folder.iterdir()))}.safetensors"
    plain = coding.values if coding in (EXACT, SIGN) else "dare"
    encoding = "magnitude" if coding.selects_magnitude else plain
    built = build_delta(model, checkpoint, encoding, coding, path, threads=threads, progress=Silent(), memory=memory)
    return built, path


@pytest.fixture(scope="module")
def pair():
    return models()


@pytest.mark.parametrize("coding", CODINGS.values(), ids=CODINGS)
def test_how_much_is_held_and_on_how_many_threads_changes_nothing(tmp_path, pair, coding):
    base, tuned = pair
    first, path = build(tmp_path, base, tuned, coding, threads=1)
    for threads, memory in ((1, 0), (3, 0), (2, 12 * CHUNK), (8, PLENTY), (3, 1 << 40)):
        again, other = build(tmp_path, base, tuned, coding, threads=threads, memory=memory)
        assert again == first
        assert hash_file(other) == hash_file(path), (threads, memory)
    with DeltaFile.open(path) as delta:
        forms = {name: tensor.form for name, tensor in delta.manifest.tensors.items()}
        for name in forms:
            delta.check_content(name)
    assert Counter(forms.values()) == {"kept": 5, "same": 2, "tied": 1}
    assert forms["lm_head.weight"] == "tied"
    assert first.statistics["tensors"].keys() == forms.keys() - {"lm_head.weight"}


def test_every_byte_is_read_once(tmp_path):
    base, tuned = models()
    build(tmp_path, base, tuned)
    assert set(tuned.times.values()) == {1}
    # What the fine-tune left alone, and the second end of a tie, are not read from the base at all.
    unread = {"same.weight", "inv_freq", "lm_head.weight"}
    assert base.times == {name: 0 if name in unread else 1 for name in base.times}


def test_what_cannot_be_held_is_read_once_more(tmp_path):
    base, tuned = models()
    build(tmp_path, base, tuned, memory=0)
    once = {"same.weight", "inv_freq", "lm_head.weight", "score.weight"}
    assert tuned.times == {name: 1 if name in once else 2 for name in tuned.times}
    assert max(base.times.values()) == 1


def magnitudes(base, tuned, name):
    """Of one tensor's delta, in element order."""
    old, new = (
        widen(as_bits(each.raw[name], each.entries[name].dtype), each.entries[name].dtype) for each in (base, tuned)
    )
    return np.abs(new - old)


@pytest.mark.parametrize(("trim", "density"), [("model", 0.05), ("model", 0.9), ("tensor", 0.1)])
def test_the_largest_magnitudes_are_kept(tmp_path, pair, trim, density):
    """Counted against a plain sort: n is the elements that merge, of a tie once; zeros are never kept."""
    base, tuned = pair
    built, _ = build(tmp_path, base, tuned, magnitude_coding(density, trim, "bf16"))
    changed = ["embed_tokens.weight", "mlp.weight", "narrow.weight", "norm.weight"]
    found = {name: built.statistics["tensors"][name]["kept"] for name in changed}
    every = {name: magnitudes(base, tuned, name) for name in changed}
    merging = [name for name, entry in base.entries.items() if entry.dtype != "I64" and name != "lm_head.weight"]
    groups = [changed] if trim == "model" else [[name] for name in changed]
    for group in groups:
        sizes = merging if trim == "model" else group
        keep = int(density * sum(base.entries[name].elements for name in sizes))
        falling = np.sort(np.concatenate([every[name] for name in group]))[::-1]
        cutoff = falling[min(keep, np.count_nonzero(falling)) - 1]
        assert {name: found[name] for name in group} == {
            name: np.count_nonzero(every[name] >= cutoff) for name in group
        }


class Endless(Tensors):
    """One tensor that is never in memory as a whole: every row of 4096 elements is the same."""

    def __init__(self, elements, row):
        self.entries = {"w": TensorEntry("w", "BF16", (elements,), "f", 0, 2 * elements)}
        self.row = as_bytes(np.tile(row, 2))

    def read_into(self, name, start, out):
        for at in range(0, len(out), 8192):
            count = min(8192, len(out) - at)
            shift = (start + at) % 8192
            out[at : at + count] = self.row[shift : shift + count]


def test_memory_does_not_grow_with_the_tensor(tmp_path):
    row = drawn(4096, 1)
    peaks = []
    for chunks in (24, 96):
        base, tuned = Endless(chunks * CHUNK, row[1]), Endless(chunks * CHUNK, moved(row, 2)[1])
        digest = blake3_digest(bytes(base.row[:8192]) * (chunks * CHUNK // 4096))
        model = BaseModel(base, {"w": digest}, "blake3:" + "0" * 64, {})
        checkpoint = Checkpoint(tuned, tmp_path, {}, (), "safetensors", ())
        options = {"threads": 2, "progress": Silent(), "memory": 16 << 20}
        build_delta(model, checkpoint, "dare", CODINGS["dare"], tmp_path / f"warm{chunks}", **options)
        tracemalloc.start()
        build_delta(model, checkpoint, "dare", CODINGS["dare"], tmp_path / f"{chunks}", **options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + (8 << 20)
    assert peaks[1] < 96 << 20, "half of the tensor"


@pytest.mark.parametrize("memory", [0, PLENTY])
@pytest.mark.parametrize("threads", [1, 3])
def test_damage_in_the_base_is_found_while_it_is_used(tmp_path, memory, threads):
    base, tuned = models()
    model, checkpoint = opened(base, tuned, tmp_path)
    raw = bytearray(base.raw["mlp.weight"])
    raw[-1] ^= 1
    base.raw["mlp.weight"] = bytes(raw)
    before = set(threading.enumerate())
    with pytest.raises(IntegrityFailure, match=r"tensor 'mlp\.weight' of the base hashes to"):
        build_delta(model, checkpoint, "dare", EXACT, tmp_path / "d", threads=threads, progress=Silent(), memory=memory)
    assert set(threading.enumerate()) == before
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize("memory", [0, PLENTY])
@pytest.mark.parametrize("name", ["mlp.weight", "score.weight", "lm_head.weight"])
def test_nan_anywhere_is_refused(tmp_path, name, memory):
    base, tuned = models()
    at = tuned.entries[name].elements - 5
    dtype, size = (np.uint16, 2) if tuned.entries[name].dtype == "BF16" else (np.uint32, 4)
    raw = bytearray(tuned.raw[name])
    raw[at * size : (at + 1) * size] = np.array([0x7FC0 if size == 2 else 0x7FC00000], dtype).tobytes()
    tuned.raw[name] = bytes(raw)
    with pytest.raises(InputRefused, match=rf"tensor '{name}': element {at} is nan"):
        build(tmp_path, base, tuned, memory=memory)


def test_changed_whole_numbers_are_refused_before_anything_else_is_read(tmp_path):
    base, tuned = models()
    tuned.raw["inv_freq"] = bytes(len(tuned.raw["inv_freq"]))
    with pytest.raises(InputRefused, match="tensors of dtype I64 differ"):
        build(tmp_path, base, tuned)
    assert tuned.read.keys() == {"inv_freq"}
    assert not base.read


def test_ends_that_were_changed_apart_are_stored_apart(tmp_path):
    base, tuned = models()
    other = Tensors({"w": moved(drawn(WIDE, 1), 10)})
    tuned.raw["lm_head.weight"] = other.raw["w"]
    _, path = build(tmp_path, base, tuned)
    with DeltaFile.open(path) as delta:
        assert delta.manifest.tensors["lm_head.weight"].form == "kept"
        assert delta.manifest.tensors["lm_head.weight"].content != delta.manifest.tensors["embed_tokens.weight"].content


def test_an_end_that_only_the_fine_tune_saves_is_an_alias_or_a_head(tmp_path):
    for same in (True, False):
        base, tuned = models()
        del base.entries["lm_head.weight"], base.raw["lm_head.weight"]
        if not same:
            tuned.raw["lm_head.weight"] = Tensors({"w": moved(drawn(WIDE, 1), 10)}).raw["w"]
        built, path = build(tmp_path, base, tuned)
        assert ("lm_head.weight" in built.manifest.head) is not same
        assert tuned.times["lm_head.weight"] == (1 if same else 2)
        with DeltaFile.open(path) as delta:
            assert delta.manifest == replace(built.manifest)

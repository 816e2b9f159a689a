"""docs/format.md is enough: what the code writes, a decoder made from that page alone reads, to the bit."""

import ast
import json
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from merging.recipes.recipe import make_recipe
from registry.records.contents import FileRow
from registry.tokens.companion_files import companions_digest
from storage.checkpoints.adapter import open_adapter
from storage.checkpoints.checkpoint import open_checkpoint
from storage.deltas.build import BaseModel, Built, build_delta
from storage.deltas.build_adapter import build_adapter_delta
from storage.deltas.delta import DeltaFile
from storage.digests import blake3_digest, model_digest
from storage.encodings.coding import EXACT, SIGN, dare_coding, magnitude_coding
from storage.progress import Silent
from tests.golden import make
from tests.unit import format1_decoder as decoder

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
CODINGS = {
    "int4": dare_coding(0.9, 1, "int4"),
    "int4, nothing dropped": dare_coding(0, 0, "int4"),
    "bf16": dare_coding(0.5, 2**53 - 1, "bf16"),
    "exact, dropped": dare_coding(0.99, 3, "exact"),
    "exact": EXACT,
    "largest of the model, int4": magnitude_coding(0.1, "model", "int4"),
    "largest of each tensor, bf16": magnitude_coding(0.01, "tensor", "bf16"),
    "largest of the model, exact": magnitude_coding(0.4, "model", "exact"),
    "sign": SIGN,
}
PAIRS = [(ours, theirs) for ours in decoder.PATTERN for theirs in decoder.PATTERN]


@dataclass
class Stored:
    """A delta file of the real code beside the models it came from."""

    base: BaseModel
    built: Built
    path: Path
    ours: dict
    theirs: dict

    @property
    def file(self) -> decoder.DeltaFile:
        return decoder.DeltaFile(self.path.read_bytes())


@pytest.fixture
def store(tmp_path):
    """Store a fine-tune of a base, both given as {name: (dtype, shape, raw bytes)}."""
    opened = []

    def write(base, tuned, coding):
        folder = tmp_path / str(len(opened))
        make.save_models(folder, base, tuned, {})
        model = make.open_base(folder / "base")
        checkpoint = open_checkpoint(folder / "tuned")
        opened.extend([model.source, checkpoint])
        encoding = {EXACT: "exact", SIGN: "sign"}.get(coding, "magnitude" if coding.selects_magnitude else "dare")
        path = folder / "delta.safetensors"
        built = build_delta(model, checkpoint, encoding, coding, path, threads=2, progress=Silent())
        return Stored(model, built, path, base, tuned)

    yield write
    for each in opened:
        each.close()


def patterns(dtype, count, seed):
    """Every kind of finite pattern: denormals, both zeros, large and small; sums of two still fit."""
    bits = np.random.default_rng(seed).integers(0, 2 ** (8 * decoder.ITEMSIZE[dtype]), count, np.uint64)
    bits = bits.astype(decoder.PATTERN[dtype])
    bits[:4] = [0, 1, 1 << (8 * bits.itemsize - 1), (1 << (8 * bits.itemsize - 1)) + 1]
    with np.errstate(over="ignore"):
        bits[~(np.abs(decoder.widen(bits, dtype)) < (6e4 if dtype == "F16" else 1e38))] = 0
    return bits


def assert_as_decoded_by_the_code(stored):
    file = stored.file
    with DeltaFile.open(stored.path) as real:
        for name in file.tensors:
            assert file.changes(name) == (real.term(name) is not None)
            if file.changes(name):
                mine, _ = file.values(name, stored.ours[name][2])
                assert mine.tobytes() == make.values(real, stored.base, name).tobytes(), name


def test_the_decoder_is_independent():
    imported = set()
    for node in ast.walk(ast.parse(Path(decoder.__file__).read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert imported - sys.stdlib_module_names == {"numpy", "zstandard", "blake3"}


@pytest.mark.parametrize("coding", CODINGS.values(), ids=CODINGS)
def test_every_form_and_coding_is_read_from_the_page_alone(store, coding):
    base, tuned, _ = make.models()
    stored = store(base, tuned, coding)
    file = stored.file
    assert_as_decoded_by_the_code(stored)
    assert file.digest == stored.built.manifest.digest
    assert file.digest == decoder.blake3_digest(file.metadata["mergestore.delta"].encode())
    for name, entry in file.tensors.items():
        if entry["form"] == "kept":
            assert file.content(name) == entry["content"]
            assert len(file.frames(name)) == 1
        assert decoder.blake3_digest(base[name][2]) == entry["base"]
    dtype, shape, raw = file.payloads["head/classifier.weight"]
    assert (dtype, shape, raw) == tuned["classifier.weight"]
    assert file.manifest["head"]["classifier.weight"]["digest"] == decoder.blake3_digest(raw)
    assert file.manifest["prefix"] == "bert."
    assert file.manifest["config"]["layer_norm_eps"] == 1e-12


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids="-".join)
def test_exact_is_rebuilt_bit_for_bit_across_dtypes(store, ours, theirs):
    count = 3000
    base = {"w": (ours, (30, 100), patterns(ours, count, 1).tobytes())}
    tuned = {"w": (theirs, (30, 100), patterns(theirs, count, 2).tobytes())}
    if ours != "F16" and theirs == "F16":  # so that converting the base does not leave the range
        small = (1e-3 * np.random.default_rng(1).standard_normal(count)).astype(np.float32)
        base = {"w": (ours, (30, 100), decoder.narrow(small, ours).tobytes())}
    stored = store(base, tuned, EXACT)
    assert_as_decoded_by_the_code(stored)
    rebuilt = stored.file.values("w", base["w"][2])[1]
    assert rebuilt.tobytes() == tuned["w"][2]
    assert decoder.blake3_digest(rebuilt.tobytes()) == stored.file.tensors["w"]["fine_tuned"]


@pytest.mark.parametrize("coding", CODINGS.values(), ids=CODINGS)
def test_tensors_of_several_chunks(store, coding):
    count = 2 * decoder.CHUNK + 1001
    random = np.random.default_rng(0)
    base = (0.02 * random.standard_normal(count)).astype(np.float32)
    tuned = base + (1e-3 * random.standard_normal(count)).astype(np.float32)
    tuned[decoder.CHUNK : 2 * decoder.CHUNK] = base[decoder.CHUNK : 2 * decoder.CHUNK]  # a chunk without a frame
    models = [{"w": ("BF16", (count,), decoder.narrow(each, "BF16").tobytes())} for each in (base, tuned)]
    stored = store(*models, coding)
    frames = stored.file.frames("w")
    assert [bool(frame) for frame in frames] == [True, False, True]
    assert stored.file.content("w") == stored.file.tensors["w"]["content"]
    assert_as_decoded_by_the_code(stored)


def test_rounding_of_the_base_alone_is_a_delta(store):
    base = decoder.narrow(np.linspace(0.1, 0.2, 50, dtype=np.float32), "F32")
    tuned = decoder.convert(base, "F32", "BF16")
    stored = store({"w": ("F32", (50,), base.tobytes())}, {"w": ("BF16", (50,), tuned.tobytes())}, EXACT)
    assert stored.file.frames("w") == [b""]
    values, rebuilt = stored.file.values("w", base.tobytes())
    assert rebuilt.tobytes() == tuned.tobytes()
    assert values.any()
    assert_as_decoded_by_the_code(stored)


def test_adapters_are_read_from_the_page_alone(tmp_path):
    base, tuned, adapter = make.models()
    make.save_models(tmp_path, base, tuned, adapter)
    model, opened = make.open_base(tmp_path / "base"), open_adapter(tmp_path / "adapter")
    built = build_adapter_delta(model, opened, tmp_path / "delta", threads=1, progress=Silent())
    stored = Stored(model, built, tmp_path / "delta", base, {})
    file = stored.file
    assert {file.tensors[name]["form"] for name in ("brain.weight", "norm.weight", "half.weight")} == {
        "lora", "kept", "same"
    }  # fmt: skip
    assert file.content("brain.weight") == file.tensors["brain.weight"]["content"]
    assert file.tensors["brain.weight"]["fine_tuned"] == file.tensors["brain.weight"]["content"]
    assert file.digest == built.manifest.digest
    assert file.manifest["coding"] is None
    rows = {name: (dtype, shape, decoder.blake3_digest(raw)) for name, (dtype, shape, raw) in adapter.items()}
    assert decoder.model_digest(rows) == file.manifest["fine_tuned"]
    assert_as_decoded_by_the_code(stored)
    model.source.close()
    opened.close()


def test_digests_of_models_recipes_and_files(store):
    base, tuned, _ = make.models()
    stored = store(base, tuned, EXACT)
    for tensors, digest in ((base, stored.file.manifest["base"]), (tuned, stored.file.manifest["fine_tuned"])):
        rows = {name: (dtype, shape, decoder.blake3_digest(raw)) for name, (dtype, shape, raw) in tensors.items()}
        assert decoder.model_digest(rows) == digest
        assert model_digest((name, *row) for name, row in rows.items()) == digest
    skill = stored.built.manifest.digest
    for weight in (1, 0.1, -0.30000000000000004, 1e-7, 123456789.5, 1e20, 1e21, 5e-324, 2 / 3):
        recipe = make_recipe("ties", stored.base.digest, {skill: weight}, {"density": 1 / 3}, head=skill, dtype="F16")
        assert decoder.canonical(recipe.to_dict()) == recipe.canonical
        assert decoder.recipe_digest(json.loads(recipe.canonical)) == recipe.digest
    rows = [FileRow(path, "companion", 1, blob_digest=blake3_digest(path.encode())) for path in ("b", "a/c", "a.json")]
    assert decoder.files_digest({row.path: row.path.encode() for row in rows}) == companions_digest(rows)


@pytest.mark.parametrize("damage", ["payload", "table", "manifest", "rest"])
def test_damage_is_noticed(store, damage):
    base, tuned, _ = make.models()
    data = bytearray(store(base, tuned, CODINGS["int4"]).path.read_bytes())
    file = decoder.DeltaFile(bytes(data))
    _, _, payload = file.payloads["delta/half.weight"]
    at = bytes(data).index(payload)
    if damage == "payload":
        data[at + len(payload) - 1] ^= 1  # the frame's checksum
    elif damage == "table":
        data[at + 4] ^= 1
    elif damage == "manifest":
        data[8 + bytes(data)[8:].index(b'format\\":1') + 9] ^= 2
    else:
        data += b"\0"
    with pytest.raises((decoder.Refused, decoder.zstandard.ZstdError)):
        decoder.DeltaFile(bytes(data)).values("half.weight", base["half.weight"][2])


def test_the_fields_of_the_manifest_are_those_on_the_page(store):
    base, tuned, _ = make.models()
    manifest = store(base, tuned, CODINGS["int4"]).file.manifest
    section = PAGE[PAGE.index("### 3.3 ") : PAGE.index("### 3.4 ")]
    _, whole, entry = section.split("| field |")
    assert _fields(whole) == set(manifest)
    used = {field for each in manifest["tensors"].values() for field in each}
    assert used == _fields(entry) - {"low_rank", "added"}
    assert set(manifest["head"]["classifier.weight"]) == {"dtype", "shape", "digest"}


def _fields(table):
    cells = (line.split("|")[1] for line in table.split("\n\n")[0].splitlines() if line.startswith("| `"))
    return {name.strip(" `") for cell in cells for name in cell.split(",")}


# The worked example of section 5


@pytest.fixture(scope="module")
def example():
    """The page's own numbers, by their labels."""
    section = PAGE[PAGE.index("## 5 Worked example") : PAGE.index("## 6 ")]
    lines = [line.strip() for line in section.splitlines() if line.startswith("    ")]
    return {label: rest for label, _, rest in (re.sub(r"\s{2,}", "\t", line).partition("\t") for line in lines)}


def test_the_worked_example_is_what_the_code_writes(store, example):
    base, tuned = bytes.fromhex(example["base"]), bytes.fromhex(example["fine-tune"])
    models = [{"layer.weight": ("F32", (3, 4), raw)} for raw in (base, tuned)]
    codings = {values: dare_coding(0.5, 7, values) for values in ("int4", "bf16", "exact")}
    codings |= {"sign": SIGN, "magnitude": magnitude_coding(0.25, "tensor", "int4")}
    for label, coding in codings.items():
        stored = store(*models, coding)
        assert [frame.hex() for frame in stored.file.frames("layer.weight")] == [example[label].split("\t")[0]]
    assert stored.file.tensors["layer.weight"]["fine_tuned"] == example["digest of the fine-tune"]


def test_the_numbers_of_the_worked_example(example):
    base, tuned = (np.frombuffer(bytes.fromhex(example[name]), np.float32) for name in ("base", "fine-tune"))
    digest = decoder.blake3_digest(tuned.tobytes())
    key = decoder.mask_key(7, digest, "layer.weight")
    words = decoder.philox(np.arange(2, dtype=np.uint64), key)
    kept = decoder.keep(key, 32768, 0, 12)
    shown = [int(word) for word in re.findall(r"\d+", example["lanes"])]
    assert hex(key) in example["its SHA-256 begins"]
    assert example["Philox, counter 0"] == " ".join(f"{word:08x}" for word in words[0])
    assert example["Philox, counter 1"] == " ".join(f"{word:08x}" for word in words[1])
    assert shown == decoder.lanes(key, 0, 12).tolist()
    assert example["kept elements"] == " ".join(map(str, np.flatnonzero(kept)))
    delta = [float(word.replace("−", "-")) for word in example["their delta values"].split()]
    np.testing.assert_array_equal(np.array(delta, np.float32), (tuned - base)[kept])
    decoded = decoder.decode_int4(bytes.fromhex(example["int4"].split("\t")[0]), 7)
    told = [float(word.replace("−", "-")) for word in example["decoded"].split()]
    np.testing.assert_allclose(decoded, told, rtol=1e-5)
    codes = decoder.join_planes(bytes.fromhex(example["exact"]), 4)
    assert example["codes"] == " ".join(map(str, codes))
    patterns = np.frombuffer(bytes.fromhex(example["base"]), np.uint32)[kept]
    order, exponents = np.flatnonzero(kept), (patterns >> 23) % 256
    ranked = np.argsort(exponents, kind="stable")
    shown = " ".join(map(str, order[ranked])), " ".join(map(str, exponents[ranked]))
    assert example["order"] == f"{shown[0]}\tthe base's exponents {shown[1]}"
    changed = decoder.apply_codes(patterns, decoder.in_element_order(codes, patterns, "F32"), 32)
    assert np.array_equal(changed.view(np.float32), tuned[kept])


def test_the_numbers_of_signs_and_places(example):
    frame, told = example["sign"].split("\t")
    decoded = decoder.decode_sign(bytes.fromhex(frame), 12)
    assert np.flatnonzero(decoded < 0).tolist() == [int(n) for n in re.findall(r"\d+", told.partition("are")[0])]
    assert decoded[0] == np.float32(told.rpartition(" ")[2])
    kept, data = decoder.read_places(bytes.fromhex(example["magnitude"]), 12)
    assert example["places"].startswith(" ".join(map(str, np.flatnonzero(kept))))
    delta = np.subtract(*(np.frombuffer(bytes.fromhex(example[name]), np.float32) for name in ("fine-tune", "base")))
    assert np.sort(np.abs(delta))[-3] == np.float32(0.0035000001)
    assert "cutoff 0.0035," in example["places"]
    np.testing.assert_allclose(decoder.decode_int4(data, 3), np.array([7, -7, 6]) * 0.00057220459)


def test_the_generator_is_random123s():
    known = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert decoder.philox(np.zeros(1, np.uint64), 0)[0].tolist() == known
    assert " ".join(f"{word:08x}" for word in known) in PAGE


@pytest.mark.parametrize(("p", "threshold"), [(0.9, 6554), (0.99, 655)])
def test_the_quantized_drop_rates_on_the_page(p, threshold):
    assert dare_coding(p, 0, "int4").threshold == threshold == round((1 - p) * decoder.FULL)
    assert repr(1 - threshold / decoder.FULL) in PAGE


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (1e16, "10000000000000000"), (-0.0, "0"), (1e-7, "1e-7"), (1.5e21, "1.5e+21"), (1e-6, "0.000001")],
)
def test_canonical_numbers(value, text):
    assert decoder.canonical(value) == text
    assert math.isclose(float(text), value)

"""DoRA skills: format 2 of delta files, held to its golden file, to an independent decoder and to the rule itself."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from storage.checkpoints.adapter import open_adapter
from storage.deltas.build_adapter import build_adapter_delta
from storage.deltas.delta import DeltaFile
from storage.digests import blake3_digest, canonical_json
from storage.errors import IntegrityFailure
from storage.progress import Silent
from tests.golden.make import array, noise, open_base, save, values
from tests.unit import format1_decoder as decoder

GOLDEN = Path(__file__).parents[1] / "golden" / "format2" / "dora.safetensors"
FROZEN = "d231af4c4135c9ed775482aac328b5998eb7102c90c0ec32556512743a2cfb47"
SHAPES = {"linear.weight": (5, 9, "BF16"), "turned.weight": (9, 6, "F32"), "embed.weight": (12, 8, "F16")}
ROWS = {"linear": (5, 9), "turned": (6, 9), "embed": (8, 12)}  # outputs and inputs of each product


def models():
    base = {
        name: array(0.1 * noise(f"base {name}", rows * columns), dtype, (rows, columns))
        for name, (rows, columns, dtype) in SHAPES.items()
    }
    adapter = {}
    for module, (rows, columns) in ROWS.items():
        a, b = (f"lora_embedding_{s}" if module == "embed" else f"lora_{s}.weight" for s in "AB")
        adapter[f"base_model.model.{module}.{a}"] = array(noise(f"{module} A", 2 * columns), "F32", (2, columns))
        adapter[f"base_model.model.{module}.{b}"] = array(0.02 * noise(f"{module} B", 2 * rows), "F32", (rows, 2))
        lengths = 0.2 + 0.05 * noise(f"{module} magnitude", rows)
        adapter[f"base_model.model.{module}.lora_magnitude_vector"] = array(lengths, "F32", (rows,))
    return base, adapter


def saved(folder):
    base, adapter = models()
    for name, tensors, file in (("base", base, "model"), ("adapter", adapter, "adapter_model")):
        (folder / name).mkdir()
        save(folder / name / f"{file}.safetensors", tensors)
    settings = '{"peft_type": "LORA", "r": 2, "lora_alpha": 3, "use_dora": true}'
    (folder / "adapter" / "adapter_config.json").write_text(settings)
    return base, adapter


def build(folder, threads=1):
    base, adapter = open_base(folder / "base"), open_adapter(folder / "adapter")
    path = folder / f"dora-{threads}.safetensors"
    build_adapter_delta(base, adapter, path, threads=threads, progress=Silent())
    adapter.close()
    return base, path


def test_the_golden_file_is_read_for_ever():
    assert hashlib.sha256(GOLDEN.read_bytes()).hexdigest() == FROZEN


def test_the_same_models_still_make_the_same_skill(tmp_path):
    saved(tmp_path)
    _, path = build(tmp_path)
    with DeltaFile.open(path) as made, DeltaFile.open(GOLDEN) as golden:
        assert made.manifest == golden.manifest
        assert golden.manifest.format == 2
        for name in SHAPES:
            made.check_content(name)
            golden.check_content(name)
    with DeltaFile.open(build(tmp_path, threads=3)[1]) as again:
        assert again.manifest.digest == made.manifest.digest


def test_an_independent_decoder_finds_the_same_values_and_the_rule_holds(tmp_path):
    base_tensors, adapter = saved(tmp_path)
    base = open_base(tmp_path / "base")
    independent = decoder.DeltaFile(GOLDEN.read_bytes())
    with DeltaFile.open(GOLDEN) as golden:
        for name, (rows, columns, dtype) in SHAPES.items():
            raw = base_tensors[name][2]
            found = values(golden, base, name)
            assert independent.values(name, raw)[0].tobytes() == found.tobytes()
            assert independent.content(name) == golden.manifest.tensors[name].content
            own = decoder.widen(np.frombuffer(raw, decoder.PATTERN[dtype]), dtype).reshape(rows, columns)
            expected = dora(adapter, name.removesuffix(".weight"), own.astype(np.float64))
            np.testing.assert_allclose(found.reshape(rows, columns), expected, rtol=0, atol=5e-8)


def dora(adapter, module, own):
    """m ⊙ (W₀ + s·B·A)/‖W₀ + s·B·A‖ − W₀ in float64, the norm over the inputs of each output."""
    names = [name for name in adapter if f".{module}." in name]
    a, b, lengths = (np.frombuffer(adapter[n][2], np.float32).reshape(adapter[n][1]).astype(float) for n in names)
    product = 1.5 * b @ a
    turned = product.shape != own.shape
    whole = (own.T if turned else own) + product
    tuned = lengths[:, None] * whole / np.linalg.norm(whole, axis=1, keepdims=True)
    return (tuned.T if turned else tuned) - own


def test_a_changed_base_is_found_while_its_rows_are_measured(tmp_path):
    saved(tmp_path)
    base, adapter = open_base(tmp_path / "base"), open_adapter(tmp_path / "adapter")
    wrong = dict(base.digests) | {"linear.weight": blake3_digest(b"another")}
    changed = type(base)(base.source, wrong, base.digest, base.config)
    with pytest.raises(IntegrityFailure, match=r"'linear\.weight' hashes to"):
        build_adapter_delta(changed, adapter, tmp_path / "skill", threads=1, progress=Silent())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gains": "lora/linear.weight/A"}, "manifest and payloads disagree|do not fit"),
        ({"gains": "nowhere"}, "manifest and payloads disagree"),
        ({"gains": 7}, "gains must be a text"),
    ],
)
def test_damaged_manifests_are_refused(tmp_path, change, words):
    tensors, metadata = decoder.read_safetensors(GOLDEN.read_bytes())
    manifest = json.loads(metadata["mergestore.delta"])
    manifest["tensors"]["linear.weight"]["low_rank"] |= change
    metadata["mergestore.delta"] = canonical_json(manifest).decode()
    header, position = {"__metadata__": metadata}, 0
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, position + len(raw)]}
        position += len(raw)
    text = json.dumps(header).encode()
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(raw for _, _, raw in tensors.values()))
    with pytest.raises(IntegrityFailure, match=words):
        DeltaFile.open(path)

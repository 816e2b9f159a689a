"""How the golden files of format 1 were made: python -m tests.golden.make FOLDER makes their like.

Format 1 is frozen, and these files never change again; a new format gets a folder of its own.
Every number here comes from ``noise``, so that the same models can be made for ever, on any machine.
"""

import hashlib
import json
import struct
import sys
from pathlib import Path

import numpy as np

from merging.choosing import open_engine
from merging.engines.combination import Engine
from merging.passes.trimming import with_cutoffs
from merging.plans.planning import make_plan
from merging.recipes.recipe import make_recipe
from merging.streaming.materializer import materialize
from merging.streaming.sinks import MemorySink
from storage.checkpoints.adapter import open_adapter
from storage.checkpoints.checkpoint import open_checkpoint
from storage.deltas.build import BaseModel, build_delta
from storage.deltas.build_adapter import build_adapter_delta
from storage.deltas.delta import DeltaFile
from storage.digests import blake3_digest, model_digest
from storage.encodings.chunks import dense
from storage.encodings.coding import EXACT, SIGN, dare_coding, magnitude_coding
from storage.encodings.frames import chunk_count
from storage.encodings.numeric import as_bits, narrow
from storage.progress import Silent

HERE = Path(__file__).parent / "format1"
CODINGS = {
    "dare-int4": ("dare", dare_coding(0.9, 1, "int4")),
    "dare-bf16": ("dare", dare_coding(0.5, 2, "bf16")),
    "dare-exact": ("dare", dare_coding(0.5, 3, "exact")),
    "exact": ("exact", EXACT),
    "magnitude-int4": ("magnitude", magnitude_coding(0.3, "model", "int4")),
    "magnitude-bf16": ("magnitude", magnitude_coding(0.02, "tensor", "bf16")),
    "magnitude-exact": ("magnitude", magnitude_coding(0.5, "model", "exact")),
    "sign": ("sign", SIGN),
}
MERGES = (
    ("linear", {}),
    ("linear", {"normalize": False}),
    ("task_arithmetic", {"lambda": 0.7}),
    ("dare_linear", {"drop_rate": 0.25, "seed": 5}),
    ("ties", {}),
    ("ties", {"trim": "tensor", "divisor": "weights", "density": 0.5}),
    ("dare_ties", {}),
)
WEIGHTS = {"dare-int4": 0.6, "exact": 0.4, "lora": -0.3, "magnitude-bf16": 0.2, "magnitude-exact": 0.3, "sign": -0.1}
SPARSE = ("dare", "magnitude")

Model = dict[str, tuple[str, tuple[int, ...], bytes]]


def noise(label: str, count: int) -> np.ndarray:
    """``count`` fp32 numbers in [−1, 1), from SHA-256 of the label and the index."""
    digests = (hashlib.sha256(f"{label} {index}".encode()).digest()[:4] for index in range(count))
    return np.array([int.from_bytes(d, "little", signed=True) / 2**31 for d in digests], np.float32)


def array(values: np.ndarray, dtype: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...], bytes]:
    """A tensor of a model."""
    return dtype, shape, narrow(np.ascontiguousarray(values, np.float32), dtype).tobytes()


def models() -> tuple[Model, Model, Model]:
    """Base, fine-tune and adapter: every dtype that merges, a tie, buffers, a head, a tensor that did not change."""
    shapes = {"embed_tokens.weight": (12, 8), "half.weight": (5, 9), "brain.weight": (6, 40), "mixed.weight": (3, 7)}
    dtypes = {"embed_tokens.weight": "F32", "half.weight": "F16", "brain.weight": "BF16", "mixed.weight": "F32"}
    base, tuned = {}, {}
    for name, shape in shapes.items():
        count = shape[0] * shape[1]
        values = 0.1 * noise(f"base {name}", count)
        base[name] = array(values, dtypes[name], shape)
        delta = np.where(np.arange(count) % 3 == 0, 0, 0.004 * noise(f"delta {name}", count)).astype(np.float32)
        tuned[f"bert.{name}"] = array(values + delta, "BF16" if name == "mixed.weight" else dtypes[name], shape)
    base["lm_head.weight"] = base["embed_tokens.weight"]
    base["norm.weight"] = tuned["bert.norm.weight"] = array(np.ones(8), "F32", (8,))
    base["position_ids"] = ("I64", (1, 6), np.arange(6, dtype="<i8").tobytes())
    tuned["classifier.weight"] = array(noise("classifier", 16), "F32", (2, 8))
    adapter = {
        "base_model.model.brain.lora_A.weight": array(0.02 * noise("A", 80), "F32", (2, 40)),
        "base_model.model.brain.lora_B.weight": array(0.02 * noise("B", 12), "F32", (6, 2)),
        "base_model.model.norm.weight": array(1 + 0.01 * noise("norm", 8), "F32", (8,)),
    }
    return base, tuned, adapter


def save(path: Path, tensors: Model) -> None:
    """A safetensors file, written without the code under test."""
    header, position = {}, 0
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, position + len(raw)]}
        position += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(raw for _, _, raw in tensors.values()))


def save_models(folder: Path, base: Model, tuned: Model, adapter: Model) -> None:
    """The three as folders that the code opens."""
    config = {"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12, "_name_or_path": "gone"}
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 3, "modules_to_save": ["norm"]}
    for name, tensors, file in (
        ("base", base, "model"),
        ("tuned", tuned, "model"),
        ("adapter", adapter, "adapter_model"),
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        save(folder / name / f"{file}.safetensors", tensors)
    for name in ("base", "tuned"):
        (folder / name / "config.json").write_text(json.dumps(config))
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps(settings))


def open_base(folder: Path) -> BaseModel:
    """The base as registering sees it."""
    checkpoint = open_checkpoint(folder)
    source, digests = checkpoint.source, {}
    for name, entry in source.entries.items():
        raw = bytearray(entry.nbytes)
        source.read_into(name, 0, memoryview(raw))
        digests[name] = blake3_digest(raw)
    digest = model_digest((name, e.dtype, e.shape, digests[name]) for name, e in source.entries.items())
    return BaseModel(source, digests, digest, checkpoint.config)


def build(base: BaseModel, models: Path, folder: Path) -> None:
    """Every delta file, by the real code."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (encoding, coding) in CODINGS.items():
        checkpoint = open_checkpoint(models / "tuned")
        path = folder / f"{name}.safetensors"
        build_delta(base, checkpoint, encoding, coding, path, threads=1, progress=Silent())
        checkpoint.close()
    adapter = open_adapter(models / "adapter")
    build_adapter_delta(base, adapter, folder / "lora.safetensors", threads=1, progress=Silent())
    adapter.close()


def values(delta: DeltaFile, base: BaseModel, name: str) -> np.ndarray:
    """The delta values of one tensor, as the real code decodes them."""
    term, entry = delta.term(name), base.source.entries[name]
    raw = bytearray(entry.nbytes)
    base.source.read_into(name, 0, memoryview(raw))
    bits = as_bits(raw, entry.dtype)
    assert term is not None
    chunks = (term.chunk(index) for index in range(chunk_count(entry.elements)))
    return np.concatenate([dense(chunk, bits[chunk.start : chunk.start + chunk.count]) for chunk in chunks])


def merge(
    base: BaseModel, deltas: dict[str, DeltaFile], method: str, parameters: dict, engine: Engine
) -> tuple[dict, dict]:
    """(recipe, what it gives) of one merge of the golden skills: digests of the result and of its tensors."""
    skills = {delta.manifest.digest: delta for delta in deltas.values()}
    recipe = make_recipe(
        method,
        base.digest,
        {deltas[name].manifest.digest: weight for name, weight in WEIGHTS.items()},
        parameters,
        stored_sparse=frozenset(d for d, delta in skills.items() if delta.manifest.encoding in SPARSE),
        head=deltas["exact"].manifest.digest,
        files="sha256:" + "0" * 64,
    )
    plan = with_cutoffs(make_plan(recipe, base.source, base.digests, skills), 1, Silent())
    merged = materialize(plan, MemorySink(), engine, 1, Silent())
    output = model_digest((each.name, each.dtype, each.shape, each.digest) for each in merged)
    tensors = {each.name: each.digest for each in sorted(merged, key=lambda each: each.name)}
    return recipe.to_dict(), {"recipe_digest": recipe.digest, "output_digest": output, "tensors": tensors}


def facts(base: BaseModel, folder: Path, engine: Engine) -> dict:
    """What the delta files in a folder hold, by the real code: the content of expected.json."""
    deltas = {name: DeltaFile.open(folder / f"{name}.safetensors") for name in (*CODINGS, "lora")}
    try:
        return {
            "base": base.digest,
            "skills": {name: _skill(delta, base) for name, delta in deltas.items()},
            "merges": [
                {"recipe": recipe, **result}
                for recipe, result in (merge(base, deltas, method, given, engine) for method, given in MERGES)
            ],
        }
    finally:
        for delta in deltas.values():
            delta.close()


def _skill(delta: DeltaFile, base: BaseModel) -> dict:
    changed = [name for name in delta.manifest.tensors if delta.term(name) is not None]
    for name in changed:
        delta.check_content(delta.resolve(name))
    return {
        "digest": delta.manifest.digest,
        "values": {name: blake3_digest(values(delta, base, name).tobytes()) for name in changed},
    }


def main(folder: Path) -> None:
    """Write base, fine-tune, adapter, delta files and expected.json."""
    save_models(folder / "models", *models())
    base = open_base(folder / "models" / "base")
    for old in folder.glob("*.safetensors"):
        old.unlink()
    build(base, folder / "models", folder)
    (folder / "expected.json").write_text(json.dumps(facts(base, folder, open_engine("cpu")), indent=1) + "\n")
    base.source.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

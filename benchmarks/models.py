"""Generated Llama-shaped models with fixed seeds: a base and its fine-tunes, as safetensors in bf16."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.shapes import SHAPES, Shape
from storage.checkpoints.safetensors_file import SafetensorsWriter, layout
from storage.encodings.numeric import as_bytes, narrow

WEIGHT_SIGMA, DELTA_SIGMA = 0.02, 1e-3


def tensors(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Names and shapes, as transformers names them; the head is tied to the embedding."""
    kv = shape.hidden * shape.kv_heads // shape.heads
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (shape.vocabulary, shape.hidden)}
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        found |= {
            prefix + "self_attn.q_proj.weight": (shape.hidden, shape.hidden),
            prefix + "self_attn.k_proj.weight": (kv, shape.hidden),
            prefix + "self_attn.v_proj.weight": (kv, shape.hidden),
            prefix + "self_attn.o_proj.weight": (shape.hidden, shape.hidden),
            prefix + "mlp.gate_proj.weight": (shape.intermediate, shape.hidden),
            prefix + "mlp.up_proj.weight": (shape.intermediate, shape.hidden),
            prefix + "mlp.down_proj.weight": (shape.hidden, shape.intermediate),
            prefix + "input_layernorm.weight": (shape.hidden,),
            prefix + "post_attention_layernorm.weight": (shape.hidden,),
        }
    found["model.norm.weight"] = (shape.hidden,)
    return found


def config(shape: Shape) -> dict[str, object]:
    """The config.json of such a model."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "vocab_size": shape.vocabulary,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    }


def write_model(folder: Path, size: str, fine_tune: int | None = None) -> Path:
    """Write the base (``fine_tune`` None) or one of its fine-tunes, unless it is there already."""
    if (folder / "config.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    shape = SHAPES[size]
    shapes = tensors(shape)
    specs = [(name, "BF16", dims) for name, dims in shapes.items()]
    (folder / "model.safetensors").unlink(missing_ok=True)
    with SafetensorsWriter(folder / "model.safetensors", specs, {"format": "pt"}) as writer:
        for name, _, dims in layout(specs):
            writer.write(name, as_bytes(narrow(_values(name, dims, fine_tune), "BF16")))
    (folder / "config.json").write_text(json.dumps(config(shape)))
    return folder


def _values(name: str, dims: tuple[int, ...], fine_tune: int | None) -> np.ndarray:
    seed = [ord(character) for character in name]
    count = int(np.prod(dims))
    values = np.random.default_rng(seed).standard_normal(count, dtype=np.float32)
    values *= np.float32(WEIGHT_SIGMA)
    if fine_tune is not None:
        delta = np.random.default_rng([fine_tune + 1, *seed]).standard_normal(count, dtype=np.float32)
        # The fine-tune starts from the rounded base, as training does.
        values = _rounded(values) + delta * np.float32(DELTA_SIGMA)
    return values


def _rounded(values: np.ndarray) -> np.ndarray:
    return (narrow(values, "BF16").astype(np.uint32) << np.uint32(16)).view(np.float32)


if __name__ == "__main__":
    write_model(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None)

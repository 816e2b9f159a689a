"""The models that benchmarks generate: their sizes, their tensors, and making one in a process of its own."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

RANK = 16
ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

Dims = tuple[int, ...]


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama-shaped model."""

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    heads: int
    kv_heads: int


SHAPES = {
    "tiny": Shape(2, 64, 128, 256, 4, 2),
    "0.05B": Shape(12, 512, 1408, 32000, 8, 2),
    "0.1B": Shape(12, 768, 2048, 32000, 12, 4),
    "0.5B": Shape(24, 896, 4864, 151936, 14, 2),
    "1B": Shape(16, 2048, 8192, 128256, 32, 8),
    "8B": Shape(32, 4096, 14336, 128256, 32, 8),
}


def tensors(shape: Shape) -> dict[str, Dims]:
    """Names and shapes, as transformers names them."""
    kv = shape.hidden * shape.kv_heads // shape.heads
    found: dict[str, Dims] = {"model.embed_tokens.weight": (shape.vocabulary, shape.hidden)}
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


def factors(shape: Shape) -> dict[str, Dims]:
    """Names and shapes of a LoRA adapter's factors on every projection, as PEFT names them."""
    found: dict[str, Dims] = {}
    for name, dims in tensors(shape).items():
        module = name.removesuffix(".weight")
        if module.endswith(ADAPTED):
            found[f"base_model.model.{module}.lora_A.weight"] = (RANK, dims[1])
            found[f"base_model.model.{module}.lora_B.weight"] = (dims[0], RANK)
    return found


def parameters(size: str) -> int:
    """How many numbers a model of this size holds."""
    return sum(math.prod(dims) for dims in tensors(SHAPES[size]).values())


def make(folder: Path, size: str, *options: str) -> Path:
    """Write a model, unless it is there, by a process of its own: so this one, whose memory counts as its children's
    until they run their own program, stays small.
    """
    subprocess.run([sys.executable, "-m", "benchmarks.models", str(folder), size, *options], check=True)
    return folder.resolve()

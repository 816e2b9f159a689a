"""Tiny models on disk for tests of the whole store, written and read without any of the code under test."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

ITEMSIZES = {"F64": 8, "I64": 8, "F32": 4, "F16": 2, "BF16": 2, "U8": 1}
BITS = {"F32": np.uint32, "F16": np.uint16, "BF16": np.uint16}
DTYPES = tuple(BITS)


@dataclass(frozen=True)
class Tensor:
    """One tensor as a safetensors file holds it."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    @property
    def bits(self) -> np.ndarray:
        return np.frombuffer(self.data, BITS[self.dtype])

    @property
    def values(self) -> np.ndarray:
        """The fp32 values, in the tensor's shape."""
        if self.dtype == "BF16":
            return (self.bits.astype(np.uint32) << 16).view(np.float32).reshape(self.shape)
        return self.bits.view({"F32": np.float32, "F16": np.float16}[self.dtype]).astype(np.float32).reshape(self.shape)

    @property
    def digest(self) -> str:
        return "blake3:" + blake3(self.data).hexdigest()


Model = dict[str, Tensor]


def floats(values: Any, dtype: str = "F32") -> Tensor:
    """Numbers rounded to nearest, ties to even."""
    array = np.ascontiguousarray(values, np.float32)
    if dtype == "BF16":
        bits = array.view(np.uint32)
        array = ((bits + (0x7FFF + ((bits >> 16) & 1)).astype(np.uint32)) >> 16).astype(np.uint16)
    elif dtype == "F16":
        array = array.astype(np.float16)
    return Tensor(dtype, tuple(np.shape(values)), array.tobytes())


def raw(bits: np.ndarray, dtype: str) -> Tensor:
    """Bit patterns as they are."""
    return Tensor(dtype, bits.shape, np.ascontiguousarray(bits, BITS[dtype]).tobytes())


def whole(values: Any) -> Tensor:
    """Whole numbers, as buffers hold them."""
    array = np.ascontiguousarray(values, np.int64)
    return Tensor("I64", array.shape, array.tobytes())


LLAMA_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "tie_word_embeddings": False,
}
BERT_CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 12,
}


QUERY = "model.layers.0.self_attn.q_proj.weight"
"""A weight of ``llama`` for tests that need one."""


def llama(dtype: str = "F32", seed: int = 0) -> Model:
    """Random weights under the names of a small Llama."""
    wide, inner, vocabulary = 16, 24, 64
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, wide), "model.norm.weight": (wide,)}
    for layer in ("model.layers.0.", "model.layers.1."):
        shapes |= {
            layer + "self_attn.q_proj.weight": (wide, wide),
            layer + "self_attn.k_proj.weight": (wide // 2, wide),
            layer + "self_attn.v_proj.weight": (wide // 2, wide),
            layer + "self_attn.o_proj.weight": (wide, wide),
            layer + "mlp.gate_proj.weight": (inner, wide),
            layer + "mlp.up_proj.weight": (inner, wide),
            layer + "mlp.down_proj.weight": (wide, inner),
            layer + "input_layernorm.weight": (wide,),
            layer + "post_attention_layernorm.weight": (wide,),
        }
    return _random(shapes | {"lm_head.weight": (vocabulary, wide)}, dtype, seed)


def bert(dtype: str = "F32", seed: int = 0) -> Model:
    """Random weights under the names of a small BERT, with its buffer of position ids."""
    wide, inner = 16, 24
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (64, wide),
        "embeddings.position_embeddings.weight": (12, wide),
        "embeddings.token_type_embeddings.weight": (2, wide),
    }
    norms, dense = ["embeddings.LayerNorm"], {"pooler.dense": (wide, wide)}
    for layer in ("encoder.layer.0.", "encoder.layer.1."):
        dense |= {layer + f"attention.self.{part}": (wide, wide) for part in ("query", "key", "value")}
        dense |= {layer + "attention.output.dense": (wide, wide), layer + "intermediate.dense": (inner, wide)}
        dense |= {layer + "output.dense": (wide, inner)}
        norms += [layer + "attention.output.LayerNorm", layer + "output.LayerNorm"]
    for name, shape in dense.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        shapes |= {f"{name}.weight": (wide,), f"{name}.bias": (wide,)}
    return _random(shapes, dtype, seed) | {"embeddings.position_ids": whole(np.arange(12)[None])}


def _random(shapes: Mapping[str, tuple[int, ...]], dtype: str, seed: int) -> Model:
    random = np.random.default_rng([seed, 1])
    return {name: floats(random.normal(0, 0.02, shape), dtype) for name, shape in shapes.items()}


def fine_tune(
    base: Model, seed: int, *, sigma: float = 1e-3, dtype: str | None = None, only: Iterable[str] | None = None
) -> Model:
    """The base with noise added to its float tensors (all, or ``only`` some); buffers stay."""
    random = np.random.default_rng([seed, 2])
    changed = sorted(name for name, tensor in base.items() if tensor.dtype in BITS)
    if only is not None:
        changed = sorted(only)
    tuned = dict(base)
    for name in changed:
        values = base[name].values + random.normal(0, sigma, base[name].shape).astype(np.float32)
        tuned[name] = floats(values, dtype or base[name].dtype)
    return tuned


def renamed(model: Model, prefix: str) -> Model:
    """The model under names that begin with ``prefix``."""
    return {prefix + name: tensor for name, tensor in model.items()}


def factors(base: Model, names: Iterable[str], *, rank: int = 2, seed: int = 0, dtype: str = "F32") -> Model:
    """Random LoRA factors, as PEFT names them, for linear weights of the base."""
    random = np.random.default_rng([seed, 3])
    found = {}
    for name in sorted(names):
        rows, columns = base[name].shape
        module = "base_model.model." + name.removesuffix(".weight")
        found[module + ".lora_A.weight"] = floats(random.normal(0, 0.05, (rank, columns)), dtype)
        found[module + ".lora_B.weight"] = floats(random.normal(0, 0.05, (rows, rank)), dtype)
    return found


def save(
    folder: Path,
    model: Model,
    config: Mapping[str, Any] | None = None,
    *,
    shards: int = 1,
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write a checkpoint in the Hugging Face layout: one file, or shards with their index."""
    folder.mkdir(parents=True, exist_ok=True)
    if shards == 1:
        write_file(folder / "model.safetensors", model)
    else:
        names, weight_map = sorted(model), {}
        for number in range(shards):
            file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
            part = names[number::shards]
            write_file(folder / file, {name: model[name] for name in part})
            weight_map |= dict.fromkeys(part, file)
        index = {"metadata": {}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    for name, text in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def save_adapter(folder: Path, tensors: Model, *, rank: int = 2, alpha: float = 4, **config: Any) -> Path:
    """Write a PEFT adapter."""
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "adapter_model.safetensors", tensors)
    settings = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "fan_in_fan_out": False, "bias": "none", **config}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def write_file(path: Path, model: Model) -> None:
    """One safetensors file, tensors in the order given."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in model.items():
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [end, end + len(tensor.data)],
        }
        end += len(tensor.data)
    path.write_bytes(file_bytes(header, b"".join(tensor.data for tensor in model.values())))


def file_bytes(header: Any, data: bytes = b"") -> bytes:
    """A safetensors file with this header, whatever that says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def read_file(path: Path) -> Model:
    """The tensors of one safetensors file."""
    content = path.read_bytes()
    start = 8 + struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        begin, end = (start + offset for offset in entry["data_offsets"])
        found[name] = Tensor(entry["dtype"], tuple(entry["shape"]), content[begin:end])
    return found


def read_model(folder: Path) -> Model:
    """The tensors of a checkpoint, which must be exactly what its index lists."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return read_file(folder / "model.safetensors")
    weight_map = json.loads(index.read_text())["weight_map"]
    found = {}
    for file in sorted(set(weight_map.values())):
        tensors = read_file(folder / file)
        assert {name for name, place in weight_map.items() if place == file} == set(tensors)
        found |= tensors
    return found

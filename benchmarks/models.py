"""Generated Llama-shaped models with fixed seeds: a base, its fine-tunes and its adapters, as safetensors.

    python -m benchmarks.models FOLDER SIZE [--fine-tune N | --adapter N] [--shards N]

Weights are bf16 and normal with sigma 0.02, a fine-tune's deltas normal with sigma 1e-3; the head is tied to the
embedding. Each tensor depends on its name and the fine-tune's number alone.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.shapes import ADAPTED, RANK, SHAPES, Dims, Shape, factors, tensors
from storage.checkpoints.safetensors_file import SafetensorsWriter, Spec, layout
from storage.checkpoints.shards import INDEX, index_json, shard_names
from storage.encodings.numeric import as_bytes, narrow, widen

WEIGHT_SIGMA, DELTA_SIGMA, FACTOR_SIGMA = 0.02, 1e-3, 0.01


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


def adapter_config() -> dict[str, object]:
    """The adapter_config.json of such an adapter."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "base",
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(ADAPTED),
    }


def write_model(folder: Path, size: str, fine_tune: int | None = None, shards: int = 1) -> Path:
    """Write the base (``fine_tune`` None) or one of its fine-tunes, unless it is there already."""
    shapes = tensors(SHAPES[size])

    def values(name: str) -> np.ndarray:
        return narrow(_weights(name, shapes[name], fine_tune), "BF16")

    specs = [(name, "BF16", dims) for name, dims in shapes.items()]
    return _write(folder, specs, values, shard_names(shards), ("config.json", config(SHAPES[size])))


def write_adapter(folder: Path, size: str, number: int) -> Path:
    """Write a LoRA adapter in fp32, unless it is there already."""
    shapes = factors(SHAPES[size])

    def values(name: str) -> np.ndarray:
        return narrow(_normal([number + 1, *name.encode()], shapes[name], FACTOR_SIGMA), "F32")

    specs = [(name, "F32", dims) for name, dims in shapes.items()]
    return _write(folder, specs, values, ["adapter_model.safetensors"], ("adapter_config.json", adapter_config()))


def _write(
    folder: Path,
    specs: list[Spec],
    values: Callable[[str], np.ndarray],
    names: Sequence[str],
    settings: tuple[str, dict[str, object]],
) -> Path:
    done = folder / settings[0]
    if done.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    groups = _groups(specs, len(names))
    for file, group in zip(names, groups, strict=True):
        (folder / file).unlink(missing_ok=True)
        with SafetensorsWriter(folder / file, group, {"format": "pt"}) as writer:
            for name, data in _made([name for name, _, _ in group], values):
                writer.write(name, data)
    if len(names) > 1:
        (folder / INDEX).write_bytes(index_json(groups))
    done.write_text(json.dumps(settings[1]))
    return folder


def _groups(specs: list[Spec], count: int) -> list[list[Spec]]:
    """The tensors in groups of about as many, none empty."""
    return [layout(specs[len(specs) * place // count : len(specs) * (place + 1) // count]) for place in range(count)]


def _made(names: Sequence[str], values: Callable[[str], np.ndarray]) -> Iterator[tuple[str, memoryview]]:
    """Tensors in order, a few at a time on threads."""
    width = os.cpu_count() or 1
    with ThreadPoolExecutor(width) as pool:
        for start in range(0, len(names), width):
            some = names[start : start + width]
            for name, array in zip(some, pool.map(values, some), strict=True):
                yield name, as_bytes(array)


def _weights(name: str, dims: Dims, fine_tune: int | None) -> np.ndarray:
    seed = list(name.encode())
    values = _normal(seed, dims, WEIGHT_SIGMA)
    if fine_tune is None:
        return values
    # The fine-tune starts from the rounded base, as training does.
    return widen(narrow(values, "BF16"), "BF16") + _normal([fine_tune + 1, *seed], dims, DELTA_SIGMA)


def _normal(seed: list[int], dims: Dims, sigma: float) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal(int(np.prod(dims)), dtype=np.float32)
    values *= np.float32(sigma)
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("size", choices=SHAPES)
    parser.add_argument("--fine-tune", type=int)
    parser.add_argument("--adapter", type=int)
    parser.add_argument("--shards", type=int, default=1)
    given = parser.parse_args()
    if given.adapter is not None:
        write_adapter(given.folder, given.size, given.adapter)
    else:
        write_model(given.folder, given.size, given.fine_tune, given.shards)


if __name__ == "__main__":
    main()

"""Tiny Llama models and fine-tunes of them, saved by transformers; a store with skills of them; mergekit's merges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from blake3 import blake3
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

import mergestore
from storage.encodings.philox import lanes, mask_key
from tests.integration.against_mergekit.cases import BASE, SHORT, Case

SMALL = {"vocab_size": 97, "hidden_size": 24, "intermediate_size": 41}
WIDE = {"vocab_size": 1501, "hidden_size": 48, "intermediate_size": 700}
"""Its tensors have more elements than torch adds up on one thread, 32768."""
HUGE = {"vocab_size": 41_700, "hidden_size": 24, "intermediate_size": 8}
"""Its embeddings have more than a million elements, of which arcee_fusion takes a sample."""
SAMPLE = 1_000_000
FILE = "model.safetensors"


@dataclass(frozen=True)
class World:
    """A base and fine-tunes of some dtypes, by name, and the cases that they are merged in.

    ``threads``: those of torch in mergekit. ``options``: more of mergekit's.
    """

    folder: Path
    dtypes: Mapping[str, torch.dtype]
    sizes: Mapping[str, int]
    cases: Mapping[str, Case]
    threads: int | None = None
    failed: dict[str, str | None] = field(default_factory=dict)

    def prepare(self) -> None:
        """Save the models, and register them."""
        self.save()
        with self.store() as store:
            store.register_base(BASE, self.path(BASE))
            for name in self.dtypes:
                if name != BASE:
                    store.register_skill(name, self.path(name), base=BASE, encoding="exact")

    def save(self) -> None:
        """Save the models."""
        for number, (name, dtype) in enumerate(self.dtypes.items()):
            _model(number, self.sizes).to(dtype).save_pretrained(self.path(name))

    def store(self) -> mergestore.Store:
        """The store, opened."""
        return mergestore.open(self.folder / "store", actor="ann@lab")

    def path(self, name: str) -> Path:
        """The folder of a model."""
        return self.folder / name

    def made(self, case: str) -> dict[str, torch.Tensor]:
        """What mergekit made in a case."""
        return load_file(self.folder / "merged" / case / FILE)

    def jobs(self) -> list[dict[str, Any]]:
        """The cases for the runner."""
        return [self._job(name, case) for name, case in self.cases.items()]

    def _job(self, name: str, case: Case) -> dict[str, Any]:
        paths = {model: str(self.path(model)) for model in self.dtypes}
        output = self.folder / "merged" / name
        job = {"config": case.config(paths), "output": str(output), "options": {}, "threads": self.threads}
        if case.seed is None:
            return job
        output.parent.mkdir(exist_ok=True)
        draws = output.with_suffix(".npz")
        np.savez(draws, **self._draws(case))
        return job | {"draws": str(draws)}

    def _draws(self, case: Case) -> dict[str, np.ndarray]:
        """Our draws for every tensor, model after model in their order: those of its own content, name and seed."""
        assert case.seed is not None
        draws = {}
        for number, name in enumerate(name for name in case.models if name != case.base):
            for tensor, values in load_file(self.path(name) / FILE).items():
                count = values.numel()
                if case.method == "arcee_fusion":
                    count = 2 * SAMPLE if count > SAMPLE else 0
                key = mask_key(case.seed, "blake3:" + blake3(raw(values)).hexdigest(), tensor)
                draws[f"{tensor}/{number}"] = lanes(key, 0, count).astype(np.uint16)
        return draws


def load(store: mergestore.Store, case: Case, **more: Any) -> dict[str, torch.Tensor]:
    """The same merge by a store."""
    return store.load(
        case.expression,
        method=case.method,
        parameters=case.parameters,
        semantics="mergekit",
        dtype=SHORT.get(case.out_dtype or ""),
        **more,
    )


def raw(tensor: torch.Tensor) -> bytes:
    """A tensor's bytes."""
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _model(number: int, sizes: Mapping[str, int]) -> LlamaForCausalLM:
    """The base (0), or a fine-tune: values changed by far less and far more than they are; some tensors not at all."""
    torch.manual_seed(0)
    config = LlamaConfig(
        num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, max_position_embeddings=32, **sizes
    )
    model = LlamaForCausalLM(config)
    draw = torch.Generator().manual_seed(number)
    for place, (_, tensor) in enumerate(sorted(model.named_parameters())):
        if number and place % 7 != number % 7:
            change = torch.randn(tensor.shape, generator=draw) * 0.01 * 10 ** torch.randn(tensor.shape, generator=draw)
            tensor.data += change * (torch.rand(tensor.shape, generator=draw) < 0.7)
    return model

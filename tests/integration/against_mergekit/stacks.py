"""Layers that are stacked, as mergekit's configurations say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.integration.against_mergekit.cases import BASE


@dataclass(frozen=True)
class Part:
    """A slice: by name, or name and a mark of another place, the first layer and the end, and parameters of its own."""

    sources: Mapping[str, tuple[int, int, Mapping[str, Any]]]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    base: str | None = None


@dataclass(frozen=True)
class StackCase:
    """One stack, of models with two layers."""

    method: str
    parts: Sequence[Part]
    whole: Mapping[str, Any] = field(default_factory=dict)
    base: str | None = None
    dtype: str | None = None
    out_dtype: str | None = None
    seed: None = None

    def config(self, paths: Mapping[str, str]) -> dict[str, Any]:
        """The configuration that mergekit reads."""
        config: dict[str, Any] = {"merge_method": self.method, "parameters": dict(self.whole)}
        config["slices"] = [
            {
                "sources": [
                    {"model": paths[name], "layer_range": [first, last], "parameters": dict(own)}
                    for name, (first, last, own) in part.sources.items()
                ],
                "parameters": dict(part.parameters),
            }
            | ({"base_model": paths[part.base]} if part.base else {})
            for part in self.parts
        ]
        if self.base is not None:
            config["base_model"] = paths[self.base]
        return config | {key: getattr(self, key) for key in ("dtype", "out_dtype") if getattr(self, key)}


def _of(name: str, first: int, last: int, **own: Any) -> Part:
    return Part({name: (first, last, own)})


def _both(first: str, second: str, start: int, end: int, one: Mapping[str, Any], two: Mapping[str, Any]) -> Part:
    return Part({first: (start, end, one), second: (start, end, two)})


STACKED = {
    "deeper": StackCase("passthrough", [_of("ft0", 0, 2), _of("ft1", 0, 2)]),
    "overlapping, of five layers": StackCase("passthrough", [_of("ft2", 0, 2), _of("ft1", 1, 2), _of(BASE, 0, 2)]),
    "of one model": StackCase("passthrough", [_of(BASE, 0, 1), _of(BASE, 0, 2), _of(BASE, 1, 2)]),
    "fewer layers": StackCase("passthrough", [_of("ft0", 1, 2)]),
    "the first and the last": StackCase("passthrough", [_of("ft0", 0, 1), _of("ft0", 1, 2)]),
    "scaled": StackCase(
        "passthrough",
        [
            _of("ft0", 0, 2, scale=[{"filter": "o_proj", "value": 0}, {"filter": "down", "value": 0.5}, {"value": 1}]),
            _of("ft1", 0, 2, scale=[0.25, 0.75]),
        ],
    ),
    "linear of other layers": StackCase(
        "linear",
        [
            _both("ft0", "ft1", 0, 2, {"weight": 0.3}, {"weight": [0.2, 0.9]}),
            Part({"ft2": (1, 2, {"weight": 0.6}), BASE: (0, 1, {"weight": 0.3})}, {"normalize": False}),
        ],
    ),
    "slerp by depth": StackCase(
        "slerp",
        [
            Part(
                {"ft0": (0, 2, {}), "ft1": (0, 2, {})},
                {"t": [{"filter": "attn", "value": [0, 0.3]}, {"filter": "mlp", "value": [1, 0.5]}, {"value": 0.5}]},
            ),
            Part({"ft1": (1, 2, {}), "ft0": (0, 1, {})}),
        ],
        {"t": 0.35},
        base="ft0",
    ),
    "another base of a slice": StackCase(
        "task_arithmetic",
        [
            _both(BASE, "ft1", 0, 2, {}, {"weight": 0.7}),
            Part({"ft0": (1, 2, {}), "ft2": (0, 1, {"weight": 0.4})}, {"lambda": 0.8}, base="ft0"),
        ],
        base=BASE,
    ),
    "ties, by the name of the layer": StackCase(
        "ties",
        [
            Part(
                {"ft0": (0, 2, {"weight": 0.5}), "ft1": (0, 2, {"weight": 0.3}), BASE: (0, 2, {})},
                {"density": [{"filter": "layers.0.", "value": 0.2}, {"value": 0.8}]},
            ),
            Part(
                {"ft1": (0, 1, {"weight": 0.5}), BASE: (1, 2, {})},
                {"lambda": [{"filter": "layers.2.", "value": 0.5}, {"value": 1.0}], "density": 0.6},
            ),
        ],
        base=BASE,
    ),
    "model_stock of three": StackCase(
        "model_stock",
        [Part({n: (0, 2, {}) for n in ("ft0", BASE, "ft1")}), Part({n: (1, 2, {}) for n in ("ft2", "ft0", BASE)})],
        base=BASE,
    ),
    "in fp16, kept in fp32": StackCase(
        "passthrough", [_of("ft0", 0, 2), _of("ft1", 1, 2)], dtype="float16", out_dtype="float32"
    ),
    "fewer models last": StackCase(
        "linear",
        [
            _both("ft0", "ft1", 0, 2, {"weight": 0.3}, {"weight": 0.6}),
            _of("ft2", 1, 2, weight=1.0),
        ],
    ),
    "fewer models first": StackCase(
        "linear",
        [
            _of("ft2", 1, 2, weight=1.0),
            _both("ft0", "ft1", 0, 2, {"weight": 0.3}, {"weight": 0.6}),
        ],
    ),
}  # fmt: skip

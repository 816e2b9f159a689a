"""Merges to be compared: each once in mergekit's words and once in ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from merging.setting_text import spelled, spelled_pairs

BASE = "base"


@dataclass(frozen=True)
class Case:
    """One merge. ``models``: name → parameters of its own, ``weight`` among them; ``base``: mergekit's base_model."""

    method: str
    models: Mapping[str, Mapping[str, Any]]
    whole: Mapping[str, Any] = field(default_factory=dict)
    base: str | None = BASE
    dtype: str | None = None
    out_dtype: str | None = None
    seed: int | None = None

    def config(self, paths: Mapping[str, str]) -> dict[str, Any]:
        """The configuration that mergekit reads."""
        config: dict[str, Any] = {
            "merge_method": self.method,
            "models": [{"model": paths[name], "parameters": dict(own)} for name, own in self.models.items()],
            "parameters": dict(self.whole),
        }
        if self.base is not None:
            config["base_model"] = paths[self.base]
        return config | {key: getattr(self, key) for key in ("dtype", "out_dtype") if getattr(self, key)}

    @property
    def expression(self) -> str:
        """The expression that a store reads; a model's name is its skill's."""
        text = BASE
        for name, own in self.models.items():
            weight = own.get("weight", 1.0)
            sign = "-" if isinstance(weight, float) and weight < 0 else "+"
            alone = {key: value for key, value in own.items() if key != "weight"}
            written = spelled(abs(weight) if isinstance(weight, float) else weight)
            text += f" {sign} {written}*{name}{spelled_pairs(alone) if alone else ''}"
        return text

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that a store takes."""
        placed = {} if self.base == BASE else {"base_model": "none" if self.base is None else "first"}
        if self.method in ("linear", "karcher", "passthrough"):
            placed = {}
        seed = {} if self.seed is None else {"seed": self.seed}
        dtype = {} if self.dtype is None else {"compute_dtype": SHORT[self.dtype]}
        return {**self.whole, **placed, **seed, **dtype}


SHORT = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


def weighted(*weights: float, **own: Any) -> dict[str, dict[str, Any]]:
    """The first fine-tunes with these weights, and other parameters alike."""
    return {f"ft{number}": {"weight": weight, **own} for number, weight in enumerate(weights)}


def plain(count: int) -> dict[str, dict[str, Any]]:
    """The first fine-tunes, for methods without weights."""
    return {f"ft{number}": {} for number in range(count)}


DETERMINISTIC = {
    "linear": Case("linear", weighted(0.3, 0.7), base=None),
    "linear of five": Case("linear", weighted(0.1, 0.25, 0.3, 0.2, 0.15), base=None),
    "linear unnormalized": Case("linear", weighted(0.6, -0.3, 0.4), {"normalize": False}, base=None),
    "linear in another order": Case(
        "linear", {n: {"weight": w} for n, w in (("ft2", 0.1), ("ft0", 0.5), ("ft1", 0.7))}, base=None
    ),
    "linear with the base": Case(
        "linear", {"ft0": {"weight": 0.4}, BASE: {"weight": 0.35}, "ft1": {"weight": 0.2}}, base=None
    ),
    "task_arithmetic": Case("task_arithmetic", weighted(0.6, 0.3)),
    "task_arithmetic of five": Case("task_arithmetic", weighted(0.6, 0.3, -0.2, 0.15, 0.4), {"lambda": 0.8}),
    "task_arithmetic normalized": Case("task_arithmetic", weighted(0.6, 0.3, 0.4), {"normalize": True}),
    "task_arithmetic around a fine-tune": Case(
        "task_arithmetic", {"ft0": {}, "ft1": {"weight": 0.3}, "ft2": {"weight": 0.7}}, base="ft0"
    ),
    "ties": Case("ties", weighted(0.5, 0.3, 0.2, density=0.4)),
    "ties untrimmed": Case("ties", weighted(1.0, 1.0)),
    "ties of their own": Case(
        "ties",
        {
            "ft1": {"weight": 0.5, "density": 0.3},
            "ft0": {"weight": 0.4, "density": 0.7},
            "ft2": {"weight": -0.2, "density": 1.0},
        },
        {"int8_mask": True, "lambda": 1.2, "normalize": False},
    ),
    "ties by depth and by name": Case(
        "ties",
        {
            "ft0": {"weight": [0.2, 0.9], "density": [{"filter": "mlp", "value": [0.9, 0.3]}, {"value": 0.6}]},
            "ft1": {"weight": [{"filter": "self_attn", "value": 0.7}, {"filter": "norm", "value": 0}, {"value": 0.4}]},
        },
        {"density": 0.5, "lambda": [1.0, 0.5, 1.5]},
    ),
    "linear by depth": Case("linear", {"ft1": {"weight": [0.25, 0.75]}, "ft0": {"weight": 1.0}}, base=None),
    "ties rescaled": Case("ties", weighted(0.5, 0.5, density=0.2), {"rescale": True}),
    "breadcrumbs": Case("breadcrumbs", weighted(0.6, 0.4, density=0.8, gamma=0.05)),
    "breadcrumbs of their own": Case(
        "breadcrumbs",
        {"ft0": {"weight": 0.5, "density": 0.9, "gamma": 0.2}, "ft1": {"weight": 0.5, "density": 0.6, "gamma": 0.01}},
    ),
    "breadcrumbs_ties": Case("breadcrumbs_ties", weighted(0.6, 0.4, 0.5, density=0.7, gamma=0.02), {"int8_mask": True}),
    "sce": Case("sce", plain(3), {"select_topk": 0.3}),
    "sce of all": Case("sce", plain(4), {"int8_mask": True}),
    "ram": Case("ram", plain(3)),
    "ramplus_tl": Case("ramplus_tl", plain(3), {"r": 0.2, "alpha": 0.3, "epsilon": 1e-4}),
    "slerp": Case("slerp", plain(1), {"t": 0.3}),
    "slerp between fine-tunes": Case("slerp", plain(2), {"t": 0.65}, base="ft0"),
    "slerp back to the base": Case("slerp", {"ft1": {}, BASE: {}}, {"t": 0.25}, base="ft1"),
    "nuslerp": Case("nuslerp", weighted(0.4, 0.6)),
    "nuslerp of models": Case("nuslerp", weighted(0.3, 0.5), base=None),
    "nuslerp of columns": Case("nuslerp", weighted(0.3, 0.5), {"nuslerp_flatten": False}),
    "nuslerp of rows": Case("nuslerp", weighted(1, 2), {"nuslerp_flatten": False, "nuslerp_row_wise": True}, base=None),
    "multislerp": Case("multislerp", weighted(0.4, 0.6, 0.3)),
    "multislerp of models": Case("multislerp", weighted(0.4, 0.6, 0.3), {"normalize_weights": False}, base=None),
    "karcher": Case("karcher", plain(3), base=None),
    "karcher with the base": Case("karcher", {"ft1": {}, BASE: {}, "ft0": {}}, {"max_iter": 5, "tol": 1e-4}),
    "model_stock": Case("model_stock", plain(3)),
    "model_stock by filter": Case("model_stock", plain(2), {"filter_wise": True}),
    "nearswap": Case("nearswap", plain(1), {"t": 0.002}),
    "arcee_fusion": Case("arcee_fusion", plain(1)),
    "passthrough": Case("passthrough", plain(1), base=None),
    "passthrough scaled": Case("passthrough", {"ft1": {"scale": 0.7}}, base=None),
    "passthrough of the base": Case("passthrough", {BASE: {}}, base=None),
}
"""All that mergekit computes the same way twice. Weights are not round in binary, and orders are not canonical."""

DRAWN = {
    "dare_linear": Case("dare_linear", weighted(0.6, 0.4, density=0.5), seed=3),
    "dare_linear as is": Case(
        "dare_linear", weighted(0.6, 0.4, density=0.3), {"rescale": False, "normalize": True}, seed=4
    ),
    "dare_ties": Case("dare_ties", weighted(0.5, 0.3, 0.4, density=0.53), {"int8_mask": True}, seed=0),
    "dare_ties of their own": Case(
        "dare_ties", {"ft2": {"weight": 0.5, "density": 0.2}, "ft0": {"weight": 0.7, "density": 0.9}}, seed=7
    ),
    "della": Case("della", weighted(0.5, 0.3, 0.4, density=0.5, epsilon=0.1), seed=1),
    "della_linear": Case("della_linear", weighted(0.5, 0.3, density=0.4, epsilon=0.2), {"lambda": 1.1}, seed=1),
    "della_linear of their own": Case(
        "della_linear",
        {
            "ft1": {"weight": 0.5, "density": 0.4, "epsilon": 0.05},
            "ft0": {"weight": 0.3, "density": 0.7, "epsilon": 0.25},
        },
        seed=2,
    ),
}
"""Those that draw masks."""

LONG_SUMS = {
    name: (DETERMINISTIC | DRAWN)[name]
    for name in (
        "linear",
        "ties rescaled",
        "sce",
        "slerp",
        "nuslerp",
        "multislerp",
        "karcher",
        "model_stock",
        "dare_linear",
        "dare_ties",
        "della",
    )
}
"""Those that add up whole tensors, which torch splits among its threads where they are large; and one that does not."""

SAMPLED = {"arcee_fusion": Case("arcee_fusion", plain(1), seed=5)}

MIXED = {
    "linear": Case("linear", weighted(0.3, 0.7), base=None),
    "linear of narrow ones": Case("linear", {"ft2": {"weight": 0.3}, BASE: {"weight": 0.7}}, base=None),
    "linear in bf16": Case("linear", weighted(0.3, 0.7), base=None, dtype="bfloat16"),
    "linear in fp16, kept in fp32": Case("linear", weighted(0.3, 0.7), base=None, dtype="float16", out_dtype="float32"),
    "task_arithmetic of one": Case("task_arithmetic", {"ft2": {"weight": 0.3}}),
    "task_arithmetic": Case("task_arithmetic", {"ft1": {"weight": 0.3}, "ft2": {"weight": 0.4}}, out_dtype="bfloat16"),
    "ties in fp32": Case("ties", weighted(0.3, 0.4, 0.5, density=0.5), dtype="float32", out_dtype="bfloat16"),
    "dare_ties in fp16": Case("dare_ties", weighted(0.3, 0.4, 0.5, density=0.5), dtype="float16", seed=11),
    "slerp": Case("slerp", {"ft1": {}}, {"t": 0.4}),
    "passthrough": Case("passthrough", {"ft1": {}}, base=None),
    "passthrough in fp32": Case("passthrough", {"ft1": {}}, base=None, dtype="float32"),
    "arcee_fusion": Case("arcee_fusion", {"ft2": {}}, out_dtype="float16"),
    "ramplus_tl": Case("ramplus_tl", {"ft2": {}, "ft0": {}}),
}
"""Of models of different dtypes, with mergekit's ``dtype`` and ``out_dtype``."""

REFUSED = {
    "slerp without a base": Case("slerp", plain(2), {"t": 0.5}),
    "nearswap of three": Case("nearswap", plain(2), {"t": 0.5}),
    "nuslerp of one": Case("nuslerp", weighted(1.0)),
    "model_stock of one": Case("model_stock", plain(1)),
    "passthrough of two": Case("passthrough", plain(2), base=None),
    "probabilities above one": Case("della", weighted(0.5, 0.5, density=0.9, epsilon=0.2)),
    "unknown": Case("regmean", plain(2)),
}
"""What mergekit fails on."""

"""What is worth knowing of an adapter before it is loaded: whether the model, as transformers builds it, fits it.

Checkpoints keep the names of old releases, which transformers translates when it reads them; PEFT looks for modules
under the names of today, and leaves out without a word what it does not find.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from storage.checkpoints.tensors import listed

MODEL_CLASS = 450_000_000
"""About the bytes that torch and transformers take, which are loaded for it, beside what a merge leaves."""


def module_notes(config: Mapping[str, Any] | None, told: Mapping[str, Any]) -> list[str]:
    """Notes on the modules of an adapter, from the ``adapter`` of its manifest; none where transformers cannot tell."""
    if not config or find_spec("transformers") is None or find_spec("torch") is None:
        return []
    built = _modules(config)
    if built is None:
        return []
    known, lying = built
    layers = [name.rpartition(".")[0] for name in told["layers"]]
    lacking = sorted(name for name in [*layers, *told["modules_to_save"]] if name not in known)
    transposed = {name.rpartition(".")[0]: layer["transposed"] for name, layer in told["layers"].items()}
    other = sorted(name for name in layers if name in known and lying.get(name) != transposed[name])
    notes = []
    if lacking:
        notes.append(
            f"{_release()} names modules of this model otherwise than its checkpoint: PEFT will not find "
            f"{listed(lacking)}, and leave them as they are in the base"
        )
    if other:
        notes.append(
            f"in {_release()}, {listed(other)} are no linear layers, or lie the other way: PEFT cannot take their "
            "factors as they are"
        )
    return notes


def _modules(config: Mapping[str, Any]) -> tuple[set[str], dict[str, bool]] | None:
    """Names of all modules; and of linear ones, with whether they are Conv1D. None for a model it does not know."""
    import torch
    import transformers
    from transformers.pytorch_utils import Conv1D

    kind = getattr(transformers, str(next(iter(config.get("architectures") or ()), "")), None)
    if kind is None or "model_type" not in config:
        return None
    try:
        with torch.device("meta"):
            model = kind(transformers.AutoConfig.for_model(**config))
    except (ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError):
        return None
    modules = dict(model.named_modules())
    linear = {name: module for name, module in modules.items() if isinstance(module, torch.nn.Linear | Conv1D)}
    return set(modules), {name: isinstance(module, Conv1D) for name, module in linear.items()}


def _release() -> str:
    import transformers

    return f"transformers {transformers.__version__}"

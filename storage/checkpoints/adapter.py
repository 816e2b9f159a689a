"""A PEFT LoRA adapter as PEFT saved it: which factors change which weight, by how much, and what replaces what."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from storage.checkpoints.adapter_config import LoraSettings, read_settings
from storage.checkpoints.checkpoint import SafetensorsSource
from storage.checkpoints.json_files import read_json_object
from storage.checkpoints.pickle_source import PickleSource
from storage.checkpoints.safetensors_header import read_header
from storage.checkpoints.tensors import TensorEntry, TensorSource, listed, quoted, stamp_of
from storage.dtypes import MERGEABLE
from storage.errors import InputRefused

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PICKLED = "adapter_model.bin"
_WHOLE_MODELS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_PREFIX = "base_model.model."
_FACTORS = {
    ".lora_A.weight": ("A", False),
    ".lora_B.weight": ("B", False),
    ".lora_embedding_A": ("A", True),
    ".lora_embedding_B": ("B", True),
}
_MAGNITUDES = (".lora_magnitude_vector", ".lora_magnitude_vector.weight")
_FOREIGN = ("trainable_tokens", "token_adapter", "modules_to_save", "original_module", "prompt_embeddings")
_WRAPPED = (re.compile(r"\.(modules_to_save\.[^.]+|original_module)\."), re.compile(r"\.modules_to_save\."))
_SAVE_AGAIN = "save the adapter with PEFT's save_pretrained"

Kind = Literal["linear", "embedding", "conv"]


@dataclass(frozen=True)
class LoraModule:
    """How two factors change one weight: by ``scaling`` · B·A, as ``shape``.

    A is (rank, …) and B (…, rank), both taken as matrices: the trailing axes of a convolution's A are one. With
    ``transposed`` the product is transposed before it is added (embeddings always, linear layers by
    fan_in_fan_out); a convolution's product is reshaped. ``a`` and ``b`` name tensors of the adapter's source.

    With DoRA ``magnitude`` names a third: the length that each row of base + product is brought to (Liu et al. 2024,
    *DoRA: weight-decomposed low-rank adaptation*, arXiv 2402.09353), a row being that of the product before any
    transposing, so an output of a linear layer.
    """

    a: str
    b: str
    rank: int
    alpha: float
    scaling: float
    kind: Kind
    transposed: bool
    shape: tuple[int, ...]
    magnitude: str | None = None


@dataclass(frozen=True)
class Adapter:
    """An opened adapter. ``modules`` and ``replaced`` are keyed by the weight's name without ``base_model.model.``.

    A tensor in ``replaced`` (modules_to_save, trained biases, saved embeddings) stands instead of the base's own, and
    is read from ``source`` under its entry's name; where ``modules`` has the name too, the product adds to it.
    """

    root: Path
    config: dict[str, Any]
    modules: Mapping[str, LoraModule]
    replaced: Mapping[str, TensorEntry]
    source: TensorSource
    base_model_name: str | None

    def close(self) -> None:
        """Let go of open files."""
        self.source.close()


def is_adapter(path: Path) -> bool:
    """Whether a folder holds a PEFT adapter and no whole model."""
    return (path / CONFIG).is_file() and not any((path / name).exists() for name in _WHOLE_MODELS)


def open_adapter(path: Path) -> Adapter:
    """Open a LoRA adapter's folder. Raises InputRefused naming the setting or tensor that cannot be honoured."""
    if not path.is_dir():
        raise InputRefused(f"{path}: no such directory", hint=f"give the folder that holds {CONFIG}")
    config = read_json_object(path / CONFIG)
    settings = read_settings(config, str(path / CONFIG))
    source = _open_source(path)
    try:
        modules, replaced = _sort_tensors(source.entries, settings, str(path))
    except InputRefused:
        source.close()
        raise
    return Adapter(path, config, modules, replaced, source, settings.base_model_name)


def _open_source(root: Path) -> TensorSource:
    if (root / WEIGHTS).exists():
        stamps = {WEIGHTS: stamp_of(root / WEIGHTS)}
        entries, _ = read_header(root / WEIGHTS)
        return SafetensorsSource(root, entries.values(), stamps)
    if (root / _PICKLED).exists():
        return PickleSource(root, [_PICKLED])
    raise InputRefused(f"{root}: no weights beside {CONFIG}; looked for {WEIGHTS}, {_PICKLED}", hint=_SAVE_AGAIN)


def _sort_tensors(
    entries: Mapping[str, TensorEntry], settings: LoraSettings, where: str
) -> tuple[dict[str, LoraModule], dict[str, TensorEntry]]:
    factors: dict[tuple[str, bool], dict[str, TensorEntry]] = {}
    magnitudes: dict[str, TensorEntry] = {}
    replaced: dict[str, TensorEntry] = {}
    names = {entry.name: _bare_name(entry.name, where) for entry in entries.values()}
    for entry in entries.values():
        name = names[entry.name]
        if _is_shadow(name, names.values()):
            continue
        suffix = next((suffix for suffix in _FACTORS if name.endswith(suffix)), None)
        if length := next((length for length in _MAGNITUDES if name.endswith(length)), None):
            magnitudes[name.removesuffix(length)] = entry
        elif suffix is None:
            _refuse_foreign(name, where)
            if name in replaced:
                raise InputRefused(
                    f"{where}: both {quoted(replaced[name].name)} and {quoted(entry.name)} replace {name}"
                )
            replaced[name] = entry
        else:
            side, embedded = _FACTORS[suffix]
            factors.setdefault((name.removesuffix(suffix), embedded), {})[side] = entry
    modules = {
        f"{module}.weight": _module(module, embedded, pair, settings, where)
        for (module, embedded), pair in sorted(factors.items())
    }
    if len(modules) < len(factors):
        twice = sorted(module for module, embedded in factors if embedded and (module, False) in factors)
        raise InputRefused(f"{where}: {listed(twice)}: factors both of an embedding and of another layer")
    modules = _with_magnitudes(modules, magnitudes, entries, settings, where)
    if not modules and not replaced:
        raise InputRefused(f"{where}: the adapter holds no tensors", hint=_SAVE_AGAIN)
    return modules, replaced


def _bare_name(name: str, where: str) -> str:
    """The name without PEFT's wrapping: its prefix, and ``base_layer`` where a saved tensor lies under an adapter."""
    if not name.startswith(_PREFIX):
        raise InputRefused(f"{where}: tensor {quoted(name)} does not begin with {_PREFIX!r}", hint=_SAVE_AGAIN)
    return name.removeprefix(_PREFIX).replace(".base_layer.", ".")


def _is_shadow(name: str, names: Collection[str]) -> bool:
    """Whether it is a tensor that PEFT saves once more, as it lies in the wrapping of a saved module.

    So it does with biases (bias: all) and with embeddings (save_embedding_layers, on by itself where they were
    resized). When loading, it takes the one under the plain name; the original one takes no part.
    """
    return any(plain != name and plain in names for plain in (wrap.sub(".", name) for wrap in _WRAPPED))


def _refuse_foreign(name: str, where: str) -> None:
    parts = name.split(".")
    if any(part.startswith("lora_") or part in _FOREIGN for part in parts):
        raise InputRefused(f"{where}: unknown adapter tensor {quoted(name)}", hint=_SAVE_AGAIN)


def _module(
    module: str, embedded: bool, pair: Mapping[str, TensorEntry], settings: LoraSettings, where: str
) -> LoraModule:
    """Check two factors against each other and the settings."""
    at = f"{where}: module {quoted(module)}"
    if len(pair) < 2:
        have, lack = ("A", "B") if "A" in pair else ("B", "A")
        raise InputRefused(f"{at} has a factor {have} but no {lack}", hint=_SAVE_AGAIN)
    a, b = pair["A"], pair["B"]
    for factor in (a, b):
        if factor.dtype not in MERGEABLE:
            raise InputRefused(f"{at}: factors must be F32, F16 or BF16, found {factor.dtype}")
    kind = _kind(at, a, b, embedded)
    rank, alpha = settings.of(module)
    if not a.shape[0] == b.shape[1] == rank:
        raise InputRefused(
            f"{at}: A of shape {list(a.shape)} and B of shape {list(b.shape)} do not have the rank {rank} of {CONFIG}",
            hint="the configuration belongs to other weights, or this is a grouped convolution: "
            "merge the adapter with PEFT's merge_and_unload and register the saved model",
        )
    transposed = kind == "embedding" or (kind == "linear" and settings.fan_in_fan_out)
    rows, columns = b.shape[0], a.shape[1:]
    shape = (*columns, rows) if transposed else (rows, *columns)
    return LoraModule(a.name, b.name, rank, alpha, settings.scaling(rank, alpha), kind, transposed, shape)


def _with_magnitudes(
    modules: Mapping[str, LoraModule],
    magnitudes: Mapping[str, TensorEntry],
    entries: Mapping[str, TensorEntry],
    settings: LoraSettings,
    where: str,
) -> dict[str, LoraModule]:
    """Every module with its DoRA magnitude, if the settings say DoRA; else none may have one."""
    if magnitudes and not settings.decomposed:
        name = quoted(next(iter(magnitudes.values())).name)
        raise InputRefused(f"{where}: {name} is a DoRA magnitude, but {CONFIG} does not say use_dora", hint=_SAVE_AGAIN)
    if not settings.decomposed:
        return dict(modules)
    names = {f"{module}.weight": entry for module, entry in magnitudes.items()}
    if odd := sorted(names.keys() ^ modules.keys()):
        raise InputRefused(
            f"{where}: with DoRA (use_dora) every module has two factors and a magnitude, but not {listed(odd)}",
            hint=_SAVE_AGAIN,
        )
    for name, module in modules.items():
        magnitude, rows = names[name], entries[module.b].shape[0]
        if magnitude.dtype not in MERGEABLE or magnitude.elements != rows:
            raise InputRefused(
                f"{where}: {quoted(magnitude.name)} is {magnitude.dtype} {list(magnitude.shape)}; "
                f"expected are {rows} values of F32, F16 or BF16",
                hint=_SAVE_AGAIN,
            )
    return {name: replace(module, magnitude=names[name].name) for name, module in modules.items()}


def _kind(at: str, a: TensorEntry, b: TensorEntry, embedded: bool) -> Kind:
    if len(a.shape) == len(b.shape) == 2:
        return "embedding" if embedded else "linear"
    if not embedded and len(a.shape) == len(b.shape) and 3 <= len(a.shape) <= 5 and set(b.shape[2:]) == {1}:
        return "conv"
    raise InputRefused(
        f"{at}: factors of shapes {list(a.shape)} and {list(b.shape)} belong to no known layer", hint=_SAVE_AGAIN
    )


def fit_modules(modules: Mapping[str, LoraModule], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, LoraModule]:
    """The modules with ``transposed`` settled by the shapes of the weights they change (same keys).

    PEFT saves one fan_in_fan_out for all layers but decides by each layer's type, so in a model that has both
    (GPT-2 with lm_head) the saved flag is wrong for some. A shape that is not square tells; where the flag is thus
    known to be wrong somewhere, square weights stay undecided and are refused, like shapes that fit neither way.
    """
    fitted = {name: _turned(module, shapes[name]) for name, module in modules.items()}
    misfits = sorted(name for name, module in fitted.items() if module.shape != shapes[name])
    if misfits:
        first = misfits[0]
        raise InputRefused(
            f"the adapter does not fit the base: {_disagreements(misfits, modules, shapes)}",
            hint=f"was it trained on another base? {quoted(first)} tells the two apart",
            details={"tensors": misfits},
        )
    contradicted = [name for name, module in modules.items() if fitted[name] != module]
    square = [name for name, module in modules.items() if module.kind == "linear" and len(set(module.shape)) == 1]
    if contradicted and square:
        raise InputRefused(
            f"fan_in_fan_out is wrong for {listed(sorted(contradicted))}, so the direction of the square "
            f"{listed(sorted(square))} cannot be known",
            hint="merge the adapter with PEFT's merge_and_unload and register the saved model",
        )
    return fitted


def _turned(module: LoraModule, shape: tuple[int, ...]) -> LoraModule:
    if module.kind == "linear" and module.shape != shape and module.shape[::-1] == shape:
        return replace(module, transposed=not module.transposed, shape=shape)
    return module


def _disagreements(
    names: Iterable[str], modules: Mapping[str, LoraModule], shapes: Mapping[str, tuple[int, ...]]
) -> str:
    every = [f"{quoted(name)} is {list(shapes[name])}, its factors give {list(modules[name].shape)}" for name in names]
    more = f" and {len(every) - 5} more" if len(every) > 5 else ""
    return "; ".join(every[:5]) + more

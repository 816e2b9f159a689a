"""The files beside a model's weights that travel with it: configuration, tokenizer, templates, licence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from storage.checkpoints.json_files import read_json_object
from storage.checkpoints.tensors import quoted
from storage.errors import InputRefused

GENERATION = "generation_config.json"
_TOKENIZER = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "vocab-src.json",
    "vocab-tgt.json",
    "merges.txt",
    "bpe.codes",
    "dict.txt",
    "entity_vocab.json",
    "normalizer.json",
    "*.model",
    "*.spm",
    "*.tiktoken",
    "tekken.json",
    "chat_template.*",
    "additional_chat_templates/*.jinja",
)
_TRANSFORMER = (
    "config.json",
    GENERATION,
    *_TOKENIZER,
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "LICENSE*",
    "LICENCE*",
    "COPYING*",
    "NOTICE*",
    "USE_POLICY*",
)
_SENTENCE_TRANSFORMERS = (
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "*_Pooling/config.json",
)
_CODE = "*.py"  # modelling code that config.json refers to (auto_map); kept, never run here
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf", ".ot")


def companions(root: Path, config: Mapping[str, Any] | None, *, sentence_transformers: bool) -> tuple[Path, ...]:
    """Files to keep, relative to ``root``, in sorted order. No weights in any format, no training state."""
    patterns = [*_TRANSFORMER]
    if sentence_transformers:
        _refuse_weighted_modules(root)
        patterns += _SENTENCE_TRANSFORMERS
    if config and "auto_map" in config:
        patterns.append(_CODE)
    found = {path.relative_to(root) for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    return tuple(sorted(path for path in found if not path.name.endswith(_WEIGHTS)))


def _refuse_weighted_modules(root: Path) -> None:
    """Refuse a sentence-transformers pipeline of which a later module has weights: they would be lost silently."""
    listing = root / "modules.json"
    if not listing.is_file():
        return
    for weights in sorted(path for suffix in _WEIGHTS for path in root.glob(f"[1-9]*_*/*{suffix}")):
        module = weights.relative_to(root)
        raise InputRefused(
            f"{root}: the sentence-transformers module {quoted(str(module.parent))} has weights of its own "
            f"({quoted(module.name)}), which a merge would lose",
            hint=f"to register the transformer alone, give its weights: {root / 'model.safetensors'}",
        )


def is_companion(name: str) -> bool:
    """Whether a file of this name, relative to a model's folder, may be one that is kept."""
    path = PurePath(name)
    patterns = [pattern for pattern in (*_TRANSFORMER, *_SENTENCE_TRANSFORMERS, _CODE) if path.match(pattern)]
    return not is_weights(name) and len(path.parts) in {len(PurePath(pattern).parts) for pattern in patterns}


def read_config(root: Path) -> dict[str, Any] | None:
    """``config.json`` as a dictionary, None where there is none."""
    path = root / "config.json"
    return read_json_object(path, unique=False) if path.exists() else None


def is_read_by_loaders(name: str) -> bool:
    """Whether a loader that finds this file in a model's folder may read it: code, weights, config, tokenizer."""
    path = PurePath(name)
    patterns = (*_TRANSFORMER, *_SENTENCE_TRANSFORMERS, _CODE, "adapter_config.json", "*.index.json")
    return is_weights(name) or any(path.match(pattern) for pattern in patterns)


def is_tokenizer(name: str) -> bool:
    """Whether a companion file is the tokenizer's: its vocabulary, settings or chat templates."""
    return any(PurePath(name).match(pattern) for pattern in _TOKENIZER)


def is_weights(name: str) -> bool:
    """Whether a file's name says that it holds weights."""
    return PurePath(name).name.endswith(_WEIGHTS)

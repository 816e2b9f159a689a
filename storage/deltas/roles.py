"""What a tensor's name says of its part in a model: constant buffers, and the two ends of the vocabulary.

The names are those of Hugging Face transformers' checkpoints; a name that is not listed is an ordinary weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storage.checkpoints.tensors import TensorEntry

# Constants that a model computes for itself: some releases save them, others do not.
_BUFFERS = frozenset(
    {"position_ids", "token_type_ids", "inv_freq", "original_inv_freq", "cos_cached", "sin_cached", "masked_bias"}
    | {"causal_mask", "num_batches_tracked", "relative_position_index", "embed_positions.weights"}
)
# Integer tensors of these names are (quantized) weights, not buffers.
_QUANTIZED = frozenset({"weight", "qweight", "qzeros", "scales", "g_idx"})
_WHOLE_DTYPES = frozenset({"I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"})
_INPUT_EMBEDDINGS = frozenset(
    {"embed_tokens", "word_embeddings", "word_embedding", "tok_embeddings", "embed_in", "wte", "shared", "tokens_embed"}
)
_OUTPUT_EMBEDDINGS = frozenset(
    {"lm_head", "decoder", "embed_out", "output", "output_layer", "vocab_projector", "lm_loss", "generator_lm_head"}
)


def is_known_buffer(name: str, entry: TensorEntry) -> bool:
    """Whether this is one of the constants above, or a causal mask under the name of a bias (GPT-2, GPT-Neo)."""
    parts = name.split(".")
    if parts[-1] == "bias" and len(entry.shape) == 4:
        return any("attn" in part or "attention" in part for part in parts[-2:-1])
    return parts[-1] in _BUFFERS or ".".join(parts[-2:]) in _BUFFERS


def is_buffer(name: str, entry: TensorEntry) -> bool:
    """Whether a fine-tune may lack this tensor: a known buffer, or whole numbers that are no quantized weight."""
    whole = entry.dtype in _WHOLE_DTYPES and name.rpartition(".")[2] not in _QUANTIZED
    return whole or is_known_buffer(name, entry)


def is_input_embedding(name: str) -> bool:
    """Whether the name is that of a table from tokens to vectors."""
    return _module(name) in _INPUT_EMBEDDINGS


def is_vocabulary(name: str) -> bool:
    """Whether one axis of the tensor is the vocabulary: input embeddings, and the layer that predicts tokens."""
    return _module(name) in _INPUT_EMBEDDINGS | _OUTPUT_EMBEDDINGS or name.endswith("predictions.bias")


def may_tie(config: Mapping[str, Any] | None) -> bool:
    """Whether a model's configuration allows its output layer to share the input embeddings; false must be said."""
    parts = [config or {}, *(value for value in (config or {}).values() if isinstance(value, dict))]
    return not any(part.get("tie_word_embeddings") is False for part in parts)


def _module(name: str) -> str:
    parts = name.split(".")
    return parts[-2] if len(parts) > 1 else parts[0]

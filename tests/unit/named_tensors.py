"""Tensors known by name, dtype and shape alone, to be aligned."""

from storage.checkpoints.checkpoint import TensorEntry
from storage.deltas.align import align


def plain(*names, dtype="F32", shape=(2, 2)):
    return {name: TensorEntry(name, dtype, shape, "model.safetensors", 0, 1) for name in names}


def digests(base, **same):
    """A digest of its own for every tensor, except those said to be the same as another."""
    found = {name: f"digest of {name}" for name in base}
    return found | {name.replace("__", "."): found[other] for name, other in same.items()}


def run(base, fine_tuned, **options):
    options.setdefault("base_digests", digests(base))
    return align(base, fine_tuned, **options)


BASE = plain("embeddings.word_embeddings.weight", "layer.0.weight", "layer.0.bias", "layer.1.weight", "layer.1.bias")


def prefixed(prefix, names=BASE):
    return plain(*(prefix + name for name in names))


TIED = plain("model.embed_tokens.weight", "lm_head.weight", "model.norm.weight", shape=(9, 2))

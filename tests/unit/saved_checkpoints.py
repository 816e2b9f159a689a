"""Checkpoints in the layouts of Hugging Face, and what must be read from them."""

import json

import torch
from safetensors.torch import save_file

TENSORS = {
    "embed.weight": torch.arange(12, dtype=torch.float32).reshape(4, 3),
    "norm.weight": torch.ones(3).bfloat16(),
    "step": torch.tensor(7),
    "empty": torch.zeros(0, 2, dtype=torch.float16),
    "mask": torch.tensor([True, False]),
}


def raw(tensor):
    return tensor.flatten().clone(memory_format=torch.contiguous_format).view(torch.uint8).numpy().tobytes()


def read(source, name):
    out = bytearray(source.entries[name].nbytes)
    source.read_into(name, 0, memoryview(out))
    return bytes(out)


def shards(folder, form="safetensors", tensors=TENSORS, index=None):
    """Two shards and their index, as save_pretrained lays them out."""
    stem, save = ("model", save_file) if form == "safetensors" else ("pytorch_model", torch.save)
    names = list(tensors)
    weight_map = {}
    for number, part in enumerate((names[:2], names[2:]), start=1):
        file = f"{stem}-{number:05d}-of-00002.{'safetensors' if form == 'safetensors' else 'bin'}"
        save({name: tensors[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    document = {"metadata": {"total_size": 1}, "weight_map": weight_map} if index is None else index(weight_map)
    suffix = "safetensors" if form == "safetensors" else "bin"
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(document))


def check(checkpoint, tensors=TENSORS):
    source = checkpoint.source
    assert list(source.entries) == sorted(tensors)
    for name, tensor in tensors.items():
        entry = source.entries[name]
        assert entry.shape == tuple(tensor.shape)
        assert entry.file in {path.as_posix() for path in checkpoint.files}
        assert read(source, name) == raw(tensor)
    checkpoint.close()

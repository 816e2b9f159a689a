"""Adapters written by the real PEFT, and the check of their products against merge_and_unload."""

import torch
from peft import get_peft_model
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
)

from storage.checkpoints.adapter import fit_modules, open_adapter

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def bert(kind=BertModel):
    return kind(
        BertConfig(
            hidden_size=12,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=20,
            vocab_size=30,
            max_position_embeddings=16,
        )
    )


def gpt2():
    return GPT2LMHeadModel(GPT2Config(n_embd=12, n_layer=1, n_head=2, vocab_size=30, n_positions=16))


class Convolutions(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one = torch.nn.Conv1d(3, 5, 2)
        self.two = torch.nn.Conv2d(3, 6, (3, 2), stride=2, padding=1)
        self.point = torch.nn.Conv2d(6, 4, 1)
        self.grouped = torch.nn.Conv2d(4, 4, 3, groups=2)
        self.emb = torch.nn.Embedding(7, 5)


def train(model, config, folder):
    """Randomise an adapter, save it, and return the base's and the merged model's weights in float64."""
    torch.manual_seed(0)
    base = {name: tensor.clone().double() for name, tensor in model.state_dict().items()}
    tuned = get_peft_model(model, config)
    for parameter in tuned.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter)
    tuned.save_pretrained(folder)
    merged = tuned.double().merge_and_unload().state_dict()
    return base, merged


def train_only(model, config, folder):
    get_peft_model(model, config).save_pretrained(folder)


def tensor(adapter, entry):
    data = bytearray(entry.nbytes)
    adapter.source.read_into(entry.name, 0, memoryview(data))
    return torch.frombuffer(data, dtype=DTYPES[entry.dtype]).reshape(entry.shape)


def product(adapter, module):
    """scaling · B·A in float64, by the rule of LoraModule alone."""
    a, b = (tensor(adapter, adapter.source.entries[name]).double() for name in (module.a, module.b))
    matrix = b.reshape(b.shape[0], -1) @ a.reshape(a.shape[0], -1)
    return module.scaling * (matrix.T if module.transposed else matrix).reshape(module.shape)


def check(folder, base, merged, changed):
    """Base, adapter and nothing else give the merged model."""
    adapter = open_adapter(folder)
    assert len(adapter.modules) == changed
    modules = fit_modules(adapter.modules, {name: tuple(base[name].shape) for name in adapter.modules})
    assert sorted(merged) == sorted(base)
    for name, before in base.items():
        expected = tensor(adapter, adapter.replaced[name]).double() if name in adapter.replaced else before.clone()
        if name in modules:
            expected += product(adapter, modules[name])
        torch.testing.assert_close(merged[name], expected, rtol=1e-12, atol=1e-12)
        if name in modules or name in adapter.replaced:
            assert not torch.equal(merged[name], before) or name.endswith("embeddings.weight")
    adapter.close()
    return adapter

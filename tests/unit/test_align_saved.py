"""Alignment of what save_pretrained of real classes writes: checkpoints, and adapters of PEFT."""

import hashlib

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    T5Config,
    T5ForConditionalGeneration,
)

from storage.checkpoints.adapter import LoraModule, open_adapter
from storage.checkpoints.checkpoint import TensorEntry, open_checkpoint
from storage.deltas.align import MissingTensor, TiedExtra, align
from storage.deltas.align_adapter import align_adapter
from storage.errors import InputRefused
from tests.unit.named_tensors import TIED, plain

SHAPE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 20}


def saved(model, folder):
    model.save_pretrained(folder)
    checkpoint = open_checkpoint(folder)
    found = {}
    for name, entry in checkpoint.source.entries.items():
        data = bytearray(entry.nbytes)
        checkpoint.source.read_into(name, 0, memoryview(data))
        found[name] = hashlib.sha256(data).hexdigest()
    checkpoint.close()
    return checkpoint.source.entries, checkpoint.config, found


def align_saved(base, fine_tuned, tmp_path, **options):
    ours, config, digests_of = saved(base, tmp_path / "base")
    theirs, _, _ = saved(fine_tuned, tmp_path / "fine_tuned")
    return align(ours, theirs, base_config=config, base_digests=digests_of, **options)


def test_bert_classifier(tmp_path):
    """The demo's case, with the buffer that its base saves."""
    base, config = BertModel(BertConfig(**SHAPE)), BertConfig(**SHAPE)
    tensors = {name: tensor.contiguous() for name, tensor in base.state_dict().items()}
    tensors["embeddings.position_ids"] = torch.arange(512)[None]
    save_file(tensors, tmp_path / "model.safetensors")
    ours = open_checkpoint(tmp_path).source.entries
    theirs, _, _ = saved(BertForSequenceClassification(config), tmp_path / "fine_tuned")
    found = align(ours, theirs, base_config=config.to_dict(), base_digests={})
    assert found.prefix_added == "bert."
    assert found.extra == ("classifier.bias", "classifier.weight")
    assert found.missing == (MissingTensor("embeddings.position_ids", "buffer"),)
    assert len(found.pairs) == len(tensors) - 1


def test_bert_without_its_head(tmp_path):
    model = BertForMaskedLM(BertConfig(**SHAPE))
    with pytest.raises(InputRefused, match=r"'cls\.predictions\.bias'"):
        align_saved(model, BertModel(BertConfig(**SHAPE), add_pooling_layer=False), tmp_path)
    found = align_saved(model, BertModel(BertConfig(**SHAPE), add_pooling_layer=False), tmp_path, allow_missing=True)
    assert found.prefix_removed == "bert."
    assert {tensor.reason for tensor in found.missing} == {"allowed"}


def test_bert_with_the_tied_decoder_saved(tmp_path):
    model = BertForMaskedLM(BertConfig(**SHAPE))
    ours, config, digests_of = saved(model, tmp_path / "base")
    assert "cls.predictions.decoder.weight" not in ours
    theirs = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(theirs, tmp_path / "model.safetensors")
    found = align(ours, open_checkpoint(tmp_path).source.entries, base_config=config, base_digests=digests_of)
    assert found.extra == ()
    assert found.tied_extra == (
        TiedExtra("cls.predictions.decoder.bias", "cls.predictions.bias", "cls.predictions.bias"),
        TiedExtra(
            "cls.predictions.decoder.weight",
            "bert.embeddings.word_embeddings.weight",
            "bert.embeddings.word_embeddings.weight",
        ),
    )


def test_gpt2_with_and_without_its_prefix(tmp_path):
    config = GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=20, n_positions=16)
    found = align_saved(GPT2Model(config), GPT2LMHeadModel(config), tmp_path)
    assert found.prefix_added == "transformer."
    assert found.extra == found.missing == ()


def test_t5_embeddings_saved_four_times(tmp_path):
    config = T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, decoder_start_token_id=0)
    model = T5ForConditionalGeneration(config)
    every = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(every, tmp_path / "model.safetensors")
    full = open_checkpoint(tmp_path).source.entries
    found_digests = {name: hashlib.sha256(tensor.numpy().tobytes()).hexdigest() for name, tensor in every.items()}
    lean, _, lean_digests = saved(model, tmp_path / "lean")
    aliases = {"lm_head.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"}
    forward = align(full, lean, base_config=config.to_dict(), base_digests=found_digests)
    assert {tensor.name: tensor.tied_to for tensor in forward.missing} == dict.fromkeys(aliases, "shared.weight")
    backward = align(lean, full, base_config=config.to_dict(), base_digests=lean_digests)
    assert {alias.name: alias.partner for alias in backward.tied_extra} == dict.fromkeys(aliases, "shared.weight")


# Adapters


@pytest.fixture
def adapter_on_classifier(tmp_path):
    model = BertForSequenceClassification(BertConfig(**SHAPE))
    config = LoraConfig(r=2, target_modules=["query", "intermediate.dense"], modules_to_save=["classifier", "pooler"])
    get_peft_model(model, config).save_pretrained(tmp_path / "adapter")
    base, _, _ = saved(BertModel(BertConfig(**SHAPE)), tmp_path / "base")
    adapter = open_adapter(tmp_path / "adapter")
    yield base, adapter
    adapter.close()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_adapter_of_a_classifier(adapter_on_classifier):
    base, adapter = adapter_on_classifier
    found = align_adapter(base, adapter.modules, adapter.replaced)
    assert found.prefix_added == "bert."
    assert sorted(found.modules) == [
        "encoder.layer.0.attention.self.query.weight",
        "encoder.layer.0.intermediate.dense.weight",
    ]
    assert found.replaced == (
        ("pooler.dense.bias", "bert.pooler.dense.bias"),
        ("pooler.dense.weight", "bert.pooler.dense.weight"),
    )
    assert found.extra == ("classifier.bias", "classifier.weight")


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_adapter_of_another_base(adapter_on_classifier):
    base, adapter = adapter_on_classifier
    smaller = {name: entry for name, entry in base.items() if "query" not in name}
    with pytest.raises(InputRefused, match=r"base lacks 1: 'bert\.encoder\.layer\.0\.attention\.self\.query\.weight'"):
        align_adapter(smaller, adapter.modules, adapter.replaced)
    wider = dict(base)
    name = "encoder.layer.0.intermediate.dense.weight"
    wider[name] = TensorEntry(name, "F32", (16, 8), "x", 0, 512)
    with pytest.raises(InputRefused, match=r"does not fit the base: .*is \[16, 8\], its factors give \[8, 8\]"):
        align_adapter(wider, adapter.modules, adapter.replaced)
    quantized = base | {name: TensorEntry(name, "I8", (8, 8), "x", 0, 64)}
    with pytest.raises(InputRefused, match="not F32, F16 or BF16"):
        align_adapter(quantized, adapter.modules, adapter.replaced)
    with pytest.raises(InputRefused, match="of which the base lacks 2"):
        align_adapter(plain("a.b"), adapter.modules, adapter.replaced)


def test_adapter_on_a_layer_that_the_base_shares():
    module = LoraModule("a", "b", 1, 1.0, 1.0, "linear", False, (9, 2))
    base = {name: entry for name, entry in TIED.items() if name != "lm_head.weight"}
    with pytest.raises(InputRefused, match=r"lm_head\.weight") as caught:
        align_adapter(base, {"lm_head.weight": module, "model.norm.weight": module}, {})
    assert "shares this layer with its embeddings" in caught.value.hint

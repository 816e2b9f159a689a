"""Names, shapes and dtypes of a fine-tune against its base: synthetic cases, and checkpoints of real transformers."""

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
from storage.deltas.prefix import Prefix, find_prefix
from storage.deltas.roles import is_buffer, is_known_buffer, may_tie
from storage.errors import InputRefused


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


def test_equal_names():
    found = run(BASE, BASE)
    assert found.pairs == tuple((name, name) for name in sorted(BASE))
    assert (found.prefix_added, found.prefix_removed) == ("", "")
    assert found.extra == found.missing == found.tied_extra == found.extra_buffers == found.notes == ()


@pytest.mark.parametrize("prefix", ["bert.", "model.", "base.model.model."])
def test_prefix_in_either_direction(prefix):
    added = run(BASE, prefixed(prefix))
    assert (added.prefix_added, added.prefix_removed) == (prefix, "")
    assert added.pairs == tuple((name, prefix + name) for name in sorted(BASE))
    assert added.notes == (f"the fine-tune's names begin with '{prefix}', the base's do not",)
    removed = run(prefixed(prefix), BASE)
    assert (removed.prefix_added, removed.prefix_removed) == ("", prefix)
    assert removed.pairs == tuple((prefix + name, name) for name in sorted(BASE))


def test_prefix_with_most_matches_wins():
    smaller = {name: entry for name, entry in prefixed("query.").items() if "layer.1" not in name}
    found = run(BASE, smaller | prefixed("document.") | plain("head.weight"))
    assert found.prefix_added == "document."
    assert len(found.extra) + len(found.tied_extra) == len(smaller) + 1
    assert run(BASE, BASE | prefixed("copy.")).prefix_added == ""


def test_two_towers_are_refused():
    with pytest.raises(InputRefused, match=r"holds the base 2 times: .*'document\.'.*'query\.'"):
        run(BASE, prefixed("query.") | prefixed("document."))


def test_mixture_is_refused():
    fine_tuned = prefixed("bert.")
    del fine_tuned["bert.layer.1.weight"], fine_tuned["bert.layer.1.bias"]
    fine_tuned |= plain("layer.1.weight", "layer.1.bias")
    with pytest.raises(InputRefused, match=r"begin with 'bert\.'.*'layer\.1\.bias is layer\.1\.bias'") as caught:
        run(BASE, fine_tuned)
    assert caught.value.details["tensors"] == ["layer.1.bias", "layer.1.weight"]


def test_nothing_in_common():
    with pytest.raises(InputRefused, match="does not look like a fine-tune of this base"):
        run(BASE, plain("a.b", "c.d"))
    with pytest.raises(InputRefused, match="does not look like a fine-tune"):
        run(BASE, plain("a.b", "c.d"), allow_missing=True)


def test_prefix_search_is_bounded():
    deep = ".".join(["a"] * 50_000)
    assert find_prefix([deep], [f"b.{deep}"]) == Prefix(added="b.")
    assert find_prefix([], []) is None


def test_head_is_extra():
    found = run(BASE, BASE | plain("classifier.weight", "classifier.bias"))
    assert found.extra == ("classifier.bias", "classifier.weight")
    assert any("its head" in note for note in found.notes)


BUFFERS = [
    ("embeddings.position_ids", "I64", (1, 512)),
    ("layers.0.rotary_emb.inv_freq", "F32", (8,)),
    ("h.0.attn.bias", "F32", (1, 1, 8, 8)),
    ("h.0.attn.attention.bias", "U8", (1, 1, 8, 8)),
    ("h.0.attn.masked_bias", "F32", ()),
    ("norm.num_batches_tracked", "I64", ()),
    ("some.table_of_integers", "I64", (4,)),
    ("some.flags", "BOOL", (4,)),
]
WEIGHTS = [
    ("h.0.attn.bias", "F32", (8,)),
    ("layer.weight", "I8", (8, 8)),
    ("layer.qweight", "I32", (8, 8)),
    ("norm.running_mean", "F32", (8,)),
    ("position_embeddings.weight", "F32", (8, 8)),
]


@pytest.mark.parametrize(("name", "dtype", "shape"), BUFFERS)
def test_missing_buffers_come_from_the_base(name, dtype, shape):
    base = BASE | plain(name, dtype=dtype, shape=shape)
    found = run(base, BASE)
    assert found.missing == (MissingTensor(name, "buffer"),)
    assert any(name in note and "taken from the base" in note for note in found.notes)


@pytest.mark.parametrize(("name", "dtype", "shape"), WEIGHTS)
def test_weights_are_no_buffers(name, dtype, shape):
    base = BASE | plain(name, dtype=dtype, shape=shape)
    assert not is_buffer(name, base[name])
    with pytest.raises(InputRefused, match="lacks 1 tensors"):
        run(base, BASE)


def test_buffers_of_the_fine_tune_alone_are_no_head():
    fine_tuned = BASE | plain("embeddings.position_ids", dtype="I64") | plain("some.integers", dtype="I64")
    found = run(BASE, fine_tuned)
    assert found.extra_buffers == ("embeddings.position_ids",)
    assert found.extra == ("some.integers",)  # not known to be a constant: kept


def test_causal_masks_of_different_dtypes_are_the_bases():
    mask = "h.0.attn.bias"
    base = BASE | plain(mask, dtype="F32", shape=(1, 1, 4, 4))
    found = run(base, BASE | plain(mask, dtype="BOOL", shape=(1, 1, 4, 4)))
    assert mask not in dict(found.pairs)
    assert found.missing == (MissingTensor(mask, "buffer"),)
    assert found.extra_buffers == (mask,)


def test_missing_is_refused_named_and_counted():
    base = BASE | plain(*(f"layer.{i}.norm" for i in range(9)))
    with pytest.raises(InputRefused) as caught:
        run(base, prefixed("bert.") | plain("bert.layer.0.norn"))
    assert "this does not look like" in caught.value.message
    assert "lacks 9 tensors of the base: 'layer.0.norm', 'layer.1.norm'" in caught.value.message
    assert "and 4 more" in caught.value.message
    assert "was 'layer.0.norm' renamed to 'bert.layer.0.norn'?" in caught.value.hint
    assert "--allow-missing" in caught.value.hint
    assert len(caught.value.details["tensors"]) == 9


def test_missing_is_allowed_when_asked():
    base = BASE | plain("pooler.weight")
    found = run(base, BASE, allow_missing=True)
    assert found.missing == (MissingTensor("pooler.weight", "allowed"),)
    assert any("as allowed" in note for note in found.notes)


TIED = plain("model.embed_tokens.weight", "lm_head.weight", "model.norm.weight", shape=(9, 2))


@pytest.mark.parametrize(
    ("gone", "kept"),
    [("lm_head.weight", "model.embed_tokens.weight"), ("model.embed_tokens.weight", "lm_head.weight")],
)
def test_missing_tied_weight_follows_its_partner(gone, kept):
    fine_tuned = {name: entry for name, entry in TIED.items() if name != gone}
    same = digests(TIED, lm_head__weight="model.embed_tokens.weight")
    found = run(TIED, fine_tuned, base_digests=same)
    assert found.missing == (MissingTensor(gone, "tied", kept),)
    for config in ({"tie_word_embeddings": False}, {"text_config": {"tie_word_embeddings": False}}):
        with pytest.raises(InputRefused, match=gone):
            run(TIED, fine_tuned, base_digests=same, base_config=config)
    with pytest.raises(InputRefused, match=gone):
        run(TIED, fine_tuned)


def test_equal_content_alone_is_no_tie():
    base = BASE | plain("layer.0.norm.weight", "layer.1.norm.weight", shape=(2,))
    fine_tuned = {name: entry for name, entry in base.items() if name != "layer.1.norm.weight"}
    same = digests(base) | {"layer.1.norm.weight": "ones", "layer.0.norm.weight": "ones"}
    with pytest.raises(InputRefused, match=r"layer\.1\.norm\.weight"):
        run(base, fine_tuned, base_digests=same)


def test_saved_alias_of_a_tied_weight():
    base = {name: entry for name, entry in TIED.items() if name != "lm_head.weight"}
    found = run(base, {f"x.{name}": entry for name, entry in TIED.items()})
    assert found.extra == ()
    assert found.tied_extra == (
        TiedExtra("x.lm_head.weight", "x.model.embed_tokens.weight", "model.embed_tokens.weight"),
    )
    untied = run(base, TIED, base_config={"tie_word_embeddings": False})
    assert (untied.extra, untied.tied_extra) == (("lm_head.weight",), ())
    other_size = run(base, base | plain("lm_head.weight", shape=(5, 2)))
    assert (other_size.extra, other_size.tied_extra) == (("lm_head.weight",), ())


def test_shapes():
    fine_tuned = BASE | plain("layer.0.weight", "layer.1.weight", shape=(2, 3))
    with pytest.raises(InputRefused) as caught:
        run(BASE, fine_tuned)
    assert "shapes differ: 'layer.0.weight' is [2, 2] in the base and [2, 3] here" in caught.value.message
    assert caught.value.details["tensors"] == ["layer.0.weight", "layer.1.weight"]
    many = plain(*(f"l.{i}.weight" for i in range(9)))
    with pytest.raises(InputRefused, match="and 4 more"):
        run(many, plain(*many, shape=(3, 3)))


@pytest.mark.parametrize("name", ["embed_tokens.weight", "lm_head.weight", "cls.predictions.bias", "shared.weight"])
def test_vocabulary_growth_is_called_so(name):
    base = BASE | plain(name, shape=(100,) if name.endswith("bias") else (100, 2))
    fine_tuned = BASE | plain(name, shape=(103,) if name.endswith("bias") else (103, 2))
    with pytest.raises(
        InputRefused, match="the vocabulary differs: 100 rows in the base, 103 in the fine-tune"
    ) as caught:
        run(base, fine_tuned)
    assert "resize_token_embeddings(100)" in caught.value.hint


def test_dtypes():
    found = run(BASE, BASE | plain("layer.0.weight", "layer.1.weight", dtype="BF16"))
    assert found.notes == ("2 tensors are F32 in the base and BF16 here",)
    for dtype in ("F64", "I64", "U8"):
        with pytest.raises(InputRefused, match=f"'layer.0.weight' is F32 in the base and {dtype} here"):
            run(BASE, BASE | plain("layer.0.weight", dtype=dtype))


def test_everything_is_accounted_for_once():
    base = BASE | TIED | plain("position_ids", dtype="I64")
    fine_tuned = prefixed("m.") | plain("m.model.embed_tokens.weight", "m.model.norm.weight", shape=(9, 2))
    fine_tuned |= plain("m.inv_freq", "classifier.weight")
    found = run(base, fine_tuned, base_digests=digests(base, lm_head__weight="model.embed_tokens.weight"))
    assert sorted([a for a, _ in found.pairs] + [tensor.name for tensor in found.missing]) == sorted(base)
    theirs = [b for _, b in found.pairs] + [alias.name for alias in found.tied_extra]
    assert sorted(theirs + list(found.extra) + list(found.extra_buffers)) == sorted(fine_tuned)


def test_answers_do_not_depend_on_order():
    base = BASE | TIED | plain("position_ids", dtype="I64")
    fine_tuned = {f"m.{name}": entry for name, entry in base.items()} | plain("a.weight", "b.weight")
    backwards = [dict(reversed(list(tensors.items()))) for tensors in (base, fine_tuned)]
    assert run(base, fine_tuned) == run(*backwards)


def test_roles_by_name():
    assert is_known_buffer("inv_freq", plain("inv_freq")["inv_freq"])
    assert may_tie(None)
    assert may_tie({"tie_word_embeddings": True, "text_config": {}})


# Real checkpoints: what save_pretrained of each class writes.

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

"""Tiny language models with real tokenizers, and fine-tunes of them that added tokens, as transformers saves them."""

import json
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ("one", "two", "three", "four", "five", "plus", "minus", "is", "what", "the", "a", "of", "tool", "red", "sun")
CHAT = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"


def tokenizer():
    """A fast tokenizer that knows some words."""
    vocabulary = {word: number for number, word in enumerate(["<unk>", "<s>", "</s>", *WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>", chat_template="base:" + CHAT
    )


SIZE = len(WORDS) + 3
EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def model(*, tied=False, rows=SIZE, seed=0, dtype=torch.float32, wide=16):
    """A Llama of one layer."""
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=rows,
        hidden_size=wide,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=tied,
        bos_token_id=1,
        eos_token_id=2,
        max_position_embeddings=32,
    )
    return transformers.LlamaForCausalLM(config).to(dtype)


def save(folder, network, words):
    """Weights, config, generation config and tokenizer, in one folder."""
    network.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def fine_tuned(base, seed, *, special=(), plain=(), template=None, multiple=None, tied=False, sigma=1e-3, **change):
    """(network, tokenizer) trained a little from the saved ``base``, with tokens added."""
    network = transformers.AutoModelForCausalLM.from_pretrained(base)
    words = transformers.AutoTokenizer.from_pretrained(base)
    words.add_special_tokens({"additional_special_tokens": list(special)}) if special else None
    words.add_tokens(list(plain)) if plain else None
    torch.manual_seed(1000 + seed)
    if len(words) > network.config.vocab_size:
        network.resize_token_embeddings(len(words), pad_to_multiple_of=multiple, mean_resizing=False)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += (sigma * torch.randn(parameter.shape)).to(parameter.dtype)
    if template:
        words.chat_template = template + CHAT
    for name, value in change.items():
        setattr(network.config, name, value)
        setattr(network.generation_config, name, value)
    return network, words


def weights(folder):
    """Every tensor of a saved model, tied ones under both names."""
    network = transformers.AutoModelForCausalLM.from_pretrained(folder)
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def document(folder, name):
    """A JSON file of a saved model."""
    return json.loads((folder / name).read_text())


def tokens(folder):
    """A saved model's tokenizer."""
    return transformers.AutoTokenizer.from_pretrained(folder)


def materialized(store, tmp_path, target, **asked):
    """(folder, notes) of a merge, whose folder is verified."""
    made = store.materialize(target, output=tmp_path / "out", wait=False, **asked)
    assert store.verify(tmp_path / "out").ok
    return Path(made.path), made.notes

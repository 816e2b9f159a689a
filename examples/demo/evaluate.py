"""Measuring for the demo: how often a held-out text finds its partner first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.demo.data import Corpus
from examples.demo.train import mean_pool

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
LENGTH = 40
BATCH = 32

Pairs = Sequence[tuple[str, str]]


def measure(folder: Path, tasks: Mapping[str, Pairs]) -> dict[str, float]:
    """Recall@1 in percent per task, for the model in ``folder`` as plain ``transformers`` loads it."""
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = sorted({text for pairs in tasks.values() for pair in pairs for text in pair})
    vectors = dict(zip(texts, _embed(model, tokenizer, texts), strict=True))
    return {name: _recall(pairs, vectors) for name, pairs in tasks.items()}


def accuracy(folder: Path, corpus: Corpus) -> float:
    """Percent of held-out texts, in both languages, whose part of Django the model in ``folder`` names right."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [m.english for m in corpus.test] + [m.translation for m in corpus.test]
    with torch.inference_mode():
        guess = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.argmax(1).tolist()
    truth = [m.section for m in corpus.test] * 2
    right = sum(bool(model.config.id2label[g] == t) for g, t in zip(guess, truth, strict=True))
    return 100 * right / len(truth)


def majority(corpus: Corpus) -> float:
    """Percent of held-out messages that belong to the most frequent part of Django."""
    counts = Counter(message.section for message in corpus.test)
    return 100 * max(counts.values()) / len(corpus.test)


def identical_tensors(folder: Path, original: Path) -> tuple[int, int]:
    """How many of the original's tensors ``folder`` holds under the same name with the same bytes, and of how many."""
    from safetensors.numpy import load_file

    left, right = load_file(folder / WEIGHTS), load_file(original / WEIGHTS)
    same = [name in left and left[name].tobytes() == value.tobytes() for name, value in right.items()]
    return sum(same), len(same)


def _recall(pairs: Pairs, vectors: Mapping[str, Tensor]) -> float:
    """Both directions averaged: left finds right, right finds left, among all the task's texts."""
    import torch

    left = torch.stack([vectors[a] for a, _ in pairs])
    right = torch.stack([vectors[b] for _, b in pairs])
    similarity = left @ right.T
    target = torch.arange(len(pairs))
    hits = (similarity.argmax(1) == target).sum() + (similarity.argmax(0) == target).sum()
    return 100 * float(hits) / (2 * len(pairs))


def _embed(model: Any, tokenizer: Any, texts: Sequence[str]) -> Tensor:
    """One unit vector per text; texts of like length share a batch, so that little is padding."""
    import torch

    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors = torch.empty(len(texts), model.config.hidden_size)
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            batch = [texts[i] for i in rows]
            tokens = tokenizer(batch, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt")
            vectors[rows] = mean_pool(model(**tokens).last_hidden_state, tokens["attention_mask"])
    return vectors

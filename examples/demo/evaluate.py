"""Measuring for the demo: how often a held-out text finds its partner first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from examples.demo.data import Corpus
from examples.demo.train import mean_pool

Pairs = Sequence[tuple[str, str]]


def measure(folder: Path, tasks: Mapping[str, Pairs], length: int = 64) -> dict[str, float]:
    """Recall@1 in percent per task, for the model in ``folder`` as plain ``transformers`` loads it."""
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return {name: _recall(model, tokenizer, pairs, length) for name, pairs in tasks.items()}


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
    return 100 * sum(model.config.id2label[g] == t for g, t in zip(guess, truth, strict=True)) / len(truth)


def majority(corpus: Corpus) -> float:
    """Percent of held-out messages that belong to the most frequent part of Django."""
    counts = Counter(message.section for message in corpus.test)
    return 100 * max(counts.values()) / len(corpus.test)


def _recall(model: Any, tokenizer: Any, pairs: Pairs, length: int) -> float:
    """Both directions averaged: left finds right, right finds left, among all the task's texts."""
    import torch

    left = _embed(model, tokenizer, [a for a, _ in pairs], length)
    right = _embed(model, tokenizer, [b for _, b in pairs], length)
    similarity = left @ right.T
    target = torch.arange(len(pairs))
    hits = (similarity.argmax(1) == target).sum() + (similarity.argmax(0) == target).sum()
    return 100 * float(hits) / (2 * len(pairs))


def _embed(model: Any, tokenizer: Any, texts: Sequence[str], length: int, batch: int = 64) -> Any:
    import torch

    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors = torch.empty(len(texts), model.config.hidden_size)
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            tokens = tokenizer(
                [texts[i] for i in rows], padding=True, truncation=True, max_length=length, return_tensors="pt"
            )
            vectors[rows] = mean_pool(model(**tokens).last_hidden_state, tokens["attention_mask"])
    return vectors

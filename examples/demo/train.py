"""Fine-tuning for the demo: MiniLM learns that a message and its translation mean the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.demo.data import Corpus, Message

if TYPE_CHECKING:
    from torch import Tensor

THREADS = 2
_DONE = "training.json"


@dataclass(frozen=True)
class Settings:
    """How one skill is trained; the number of steps is fixed, so that the result does not depend on the machine.

    ``form`` is what gets saved: ``plain`` (the encoder), ``classifier`` (the encoder inside a model with a task
    head, which also learns what part of Django a message belongs to) or ``adapter`` (PEFT LoRA factors).
    """

    language: str
    form: str
    steps: int = 70
    batch: int = 32
    length: int = 24
    learning_rate: float = 3e-4
    warmup: int = 10
    scale: float = 20.0
    head_weight: float = 0.2
    rank: int = 16
    seed: int = 0


def finished(folder: Path, settings: Settings, corpus: Corpus) -> bool:
    """Whether ``folder`` holds a fine-tune made with these very settings, text and library versions."""
    record = folder / _DONE
    return record.is_file() and json.loads(record.read_text()) == _identity(settings, corpus)


def train(base: Path, corpus: Corpus, settings: Settings, folder: Path) -> None:
    """Fine-tune ``base`` on the corpus and save the result as ``folder``, which appears only when complete."""
    import torch

    torch.set_num_threads(THREADS)
    torch.manual_seed(settings.seed)
    learner = _Learner(base, corpus, settings)
    parameters = [p for p in learner.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _pace(step, settings))
    for batch in _batches(corpus.train, settings):
        loss = learner.loss(batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    _publish(learner, folder, _identity(settings, corpus))


class _Learner:
    """The model in training, its tokenizer and its loss."""

    def __init__(self, base: Path, corpus: Corpus, settings: Settings) -> None:
        from transformers import AutoTokenizer

        self.settings = settings
        self.tokenizer = AutoTokenizer.from_pretrained(base)
        self.sections = sorted({message.section for message in corpus.train})
        self.model, self.encoder = _build(base, settings, self.sections)

    def loss(self, batch: Sequence[Message]) -> Tensor:
        """Symmetric contrastive loss over the batch: each message must find its translation, and the reverse."""
        import torch
        from torch.nn.functional import cross_entropy

        tokens = self.tokenizer(
            [m.english for m in batch] + [m.translation for m in batch],
            padding=True, truncation=True, max_length=self.settings.length, return_tensors="pt",
        )  # fmt: skip
        output = self.encoder(**tokens)
        english, translation = mean_pool(output.last_hidden_state, tokens["attention_mask"]).chunk(2)
        logits = self.settings.scale * english @ translation.T
        target = torch.arange(len(batch))
        loss = (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2
        if self.settings.form == "classifier":
            labels = torch.tensor([self.sections.index(m.section) for m in batch]).repeat(2)
            guess = self.model.classifier(output.pooler_output)
            loss = loss + self.settings.head_weight * cross_entropy(guess, labels)
        return loss


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """One unit vector per text: the mean over its tokens (batch × length × width → batch × width)."""
    from torch.nn.functional import normalize

    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1)


def _build(base: Path, settings: Settings, sections: Sequence[str]) -> tuple[Any, Any]:
    """The model to train and save, and the encoder inside it."""
    from transformers import BertForSequenceClassification, BertModel

    if settings.form == "classifier":
        model = BertForSequenceClassification.from_pretrained(
            base, id2label=dict(enumerate(sections)), label2id={s: i for i, s in enumerate(sections)}
        )
        return model, model.bert
    model = BertModel.from_pretrained(base)
    if settings.form == "adapter":
        from peft import LoraConfig, get_peft_model

        targets = ["query", "key", "value", "dense"]
        config = LoraConfig(r=settings.rank, lora_alpha=2 * settings.rank, target_modules=targets)
        model = get_peft_model(model, config)
    return model, model


def _batches(messages: Sequence[Message], settings: Settings) -> Iterator[list[Message]]:
    """``steps`` full batches, epoch after epoch, each epoch shuffled anew from the seed."""
    import torch

    generator = torch.Generator().manual_seed(settings.seed)
    order: list[int] = []
    for _ in range(settings.steps):
        if len(order) < settings.batch:
            order = torch.randperm(len(messages), generator=generator).tolist()
        yield [messages[i] for i in order[: settings.batch]]
        order = order[settings.batch :]


def _pace(step: int, settings: Settings) -> float:
    """Share of the learning rate at a step: up during the warm-up, then straight down towards zero."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    return (settings.steps - step) / (settings.steps - settings.warmup)


def _publish(learner: _Learner, folder: Path, identity: dict[str, Any]) -> None:
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    learner.model.save_pretrained(partial)
    learner.tokenizer.save_pretrained(partial)
    (partial / _DONE).write_text(json.dumps(identity, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _identity(settings: Settings, corpus: Corpus) -> dict[str, Any]:
    import hashlib

    import torch
    import transformers

    text = "\n".join(f"{m.english}\t{m.translation}\t{m.section}" for m in corpus.train)
    return {
        "settings": asdict(settings),
        "messages": len(corpus.train),
        "text": hashlib.sha256(text.encode()).hexdigest(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }

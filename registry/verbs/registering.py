"""Verbs that put things on record: base models, skills, what was collected of skills, and how models scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.results import CollectedStatistics, RegisteredBase, RegisteredSkill
from registry.upkeep.writers import storing
from registry.verbs.opened import Opened
from storage.paths import as_path
from storage.progress import Progress, Silent

if TYPE_CHECKING:
    import torch

    from registry.collecting.asked import Forward
    from storage.statistics.manifest import Kind


class Registering(Opened):
    """The verbs that register."""

    def register_base(
        self,
        name: str,
        source: str | Path,
        *,
        reference: bool = False,
        licence: str | None = None,
        meta: Mapping[str, str] | None = None,
        wait: bool = True,
        progress: Progress | None = None,
    ) -> RegisteredBase:
        """Register a base model from a folder, a weight file, or ``hf:repo@revision``.

        Its files are copied into the store; with ``reference`` the weights stay where they are and their digests
        are checked on every use. ``licence``: an SPDX expression; else what the model card declares. ``meta``: what
        is known of its training, by key (data set, commit, run id). An MLflow run that is named in it is told what
        came of it; with ``wait`` False by ``sync``.
        """
        from registry.registering.declaration import Who, check_licence
        from registry.registering.register_base import register_base
        from registry.registering.training import check_meta
        from storage.checkpoints.checkpoint import open_checkpoint

        who = Who(self.actor, check_licence(licence), check_meta(meta))
        path, origin = self.locate(source)
        checkpoint = open_checkpoint(path)
        try:
            with storing(self.engine, self.home):
                registered = register_base(
                    self.engine,
                    self.home,
                    name,
                    checkpoint,
                    who,
                    origin,
                    reference=reference,
                    progress=progress or Silent(),
                )
        finally:
            checkpoint.close()
        notes = self._tell_training(registered.name, registered.version, who.meta, wait)
        return replace(registered, notes=[*registered.notes, *notes])

    def register_skill(
        self,
        name: str,
        source: str | Path,
        *,
        base: str,
        encoding: str | None = None,
        values: str | None = None,
        drop_rate: float | None = None,
        seed: int | None = None,
        density: float | None = None,
        trim: str | None = None,
        allow_missing: bool = False,
        licence: str | None = None,
        meta: Mapping[str, str] | None = None,
        wait: bool = True,
        progress: Progress | None = None,
    ) -> RegisteredSkill:
        """Register a fine-tune (checkpoint or PEFT adapter) as a skill: its delta from ``base``, encoded.

        ``encoding`` dare, exact, magnitude, sign or lora; by default lora for an adapter and dare for a checkpoint.
        ``values`` (int4, bf16, exact; default int4) are those of dare and magnitude; ``drop_rate`` p in [0, 1) (default
        0.9) and ``seed`` (default 0) dare's; ``density`` in (0, 1) (default 0.1) and ``trim`` (over the whole model or
        within each tensor; default model) magnitude's. With another encoding they are refused. ``licence`` as
        for a base. ``meta``: what is known of its training, by key (data set, commit, run id), beside what the model
        card and the trainer's files say. An MLflow run that is named in it is told what came of it; with ``wait`` False
        by ``sync``.
        """
        from registry.registering.coding_options import CodingOptions
        from registry.registering.declaration import Who, check_licence
        from registry.registering.register_skill import register_skill
        from registry.registering.training import check_meta

        who = Who(self.actor, check_licence(licence), check_meta(meta))
        path, origin = self.locate(source)
        with storing(self.engine, self.home):
            registered = register_skill(
                self.engine,
                self.home,
                name,
                path,
                who,
                origin,
                base=base,
                options=CodingOptions(encoding, values, drop_rate, seed, density, trim),
                allow_missing=allow_missing,
                progress=progress or Silent(),
            )
        notes = self._tell_training(registered.name, registered.version, who.meta, wait)
        return replace(registered, notes=[*registered.notes, *notes])

    def collect_statistics(
        self,
        skill: str,
        *,
        kind: Kind,
        data: str | Path,
        examples: int,
        text_field: str | None = None,
        max_length: int | None = None,
        batch_size: int | None = None,
        seed: int | None = None,
        labels: str | None = None,
        checkpoint: str | Path | None = None,
        device: str = "cpu",
        memory: int = 8_000_000_000,
        save_every: int = 100,
        model: torch.nn.Module | None = None,
        forward: Forward | None = None,
        progress: Progress | None = None,
    ) -> CollectedStatistics:
        """Run a skill's fine-tune on the first so many ``examples`` of a data file, for `regmean` and `fisher`.

        ``kind`` gram: what goes into its linear layers; fisher: how much its likelihood depends on each weight.
        ``data``: .jsonl (text, messages, prompt and completion, or input_ids) or .txt, an example a line. The model is
        rebuilt from the store, or is the ``checkpoint`` that the skill was made from. ``labels`` of the likelihood:
        sampled from the model, expected over all classes, or those of the data. ``memory``: bytes of sums held at a
        time; more take several passes. What was found is saved ``save_every`` examples, and gone on with after a kill.

        For a model that transformers does not know, give a torch ``model`` with the base's tensor names, which gets the
        fine-tune's values, and ``forward(model, example)``: of a JSON line as a dict, the log-likelihood, or logits.
        """
        from registry.collecting.asked import Asked
        from registry.collecting.collect import collect_statistics
        from registry.wish import Context

        asked = Asked(
            kind=kind,
            data=as_path(data),
            examples=examples,
            text_field=text_field,
            max_length=max_length,
            batch_size=batch_size,
            seed=seed,
            labels=labels,
            checkpoint=as_path(checkpoint) if checkpoint is not None else None,
            device=device,
            memory=memory,
            save_every=save_every,
            model=model,
            forward=forward,
        )
        context = Context(self.engine, self.home, self.tracking_uri, self.actor)
        with storing(self.engine, self.home):
            return collect_statistics(context, skill, asked, progress or Silent())

    def add_evaluation(
        self,
        target: str | Path,
        *,
        metric: str,
        value: float,
        dataset: str,
        details: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Record a score that was measured of a version, or of a result by its recipe, on a named data set.

        ``target``: a version's reference, a folder that this store has made, or a digest as for ``audit``. ``details``:
        more of how it was measured, by key (task, split, commit). The same again is one more; the newest counts.
        """
        from registry.evaluating import evaluate

        return evaluate(
            self.engine,
            target,
            metric=metric,
            value=value,
            dataset=dataset,
            details=details,
            actor=self.actor,
        )

    def _tell_training(self, name: str, version: int, meta: Mapping[str, str], wait: bool) -> list[str]:
        """Tell the training run what came of it, if one is known; notes."""
        from registry.registering.training import mlflow_run

        run = mlflow_run(meta)
        if run is None:
            return []
        from registry.provenance.messages import TRAINING, training_key
        from registry.provenance.telling import tell

        key = training_key(run, name, version)
        return tell(self.engine, self.tracking_uri, self.home.tracking, self.actor, TRAINING, key, wait=wait)

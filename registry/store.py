"""The Store: the verbs of mergestore as methods of one object. Each opens its transactions and calls one module.

Modules that need numba or torch are imported by the verbs that use them, so that looking things up stays quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Engine

from merging.adapters.settings import (
    DEFAULT_ITERATIONS,
    DEFAULT_OVERSAMPLING,
    Extraction,
    Rest,
    check_extraction,
)
from registry import answers
from registry.home import Home
from registry.records import aliases as alias_records
from registry.records import catalog
from registry.records.database import reading, writing
from registry.records.names import parse_reference
from registry.results import (
    Audit,
    Checked,
    CollectedStatistics,
    Difference,
    Found,
    Impact,
    Influence,
    Listing,
    Materialized,
    MaterializedAdapter,
    Merged,
    Rebuilt,
    RegisteredBase,
    RegisteredSkill,
    Verification,
)
from storage.errors import NotFound, UsageError
from storage.progress import Progress, Silent

if TYPE_CHECKING:
    import torch

    from registry.collecting.asked import Forward
    from registry.merges import Target
    from registry.resident import Masks, Place, Resident
    from storage.statistics.manifest import Kind

HUB = "hf:"


class Store:
    """A store of base models, skills and merges. Made by ``mergestore.open``; a context manager.

    Every method raises a MergestoreError of the kind that says what to do (``storage.errors``).
    """

    def __init__(self, home: Path, engine: Engine, tracking_uri: str, actor: str):
        self.home = Home(Path(home))
        self.engine = engine
        self.tracking_uri = tracking_uri
        self.actor = actor
        self.home.prepare()

    def close(self) -> None:
        """Let go of database connections."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def register_base(
        self,
        name: str,
        source: str | Path,
        *,
        reference: bool = False,
        licence: str | None = None,
        meta: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> RegisteredBase:
        """Register a base model from a folder, a weight file, or ``hf:repo@revision``.

        Its files are copied into the store; with ``reference`` the weights stay where they are and their digests
        are checked on every use. ``meta``: what is known of its training, by key (data set, commit, run id).
        """
        from registry.registering.declaration import Who
        from registry.registering.register_base import register_base
        from registry.registering.training import check_meta
        from storage.checkpoints.checkpoint import open_checkpoint

        path, origin = self.locate(source)
        checkpoint = open_checkpoint(path)
        try:
            return register_base(
                self.engine,
                self.home,
                name,
                checkpoint,
                Who(self.actor, licence, check_meta(meta)),
                origin,
                reference=reference,
                progress=progress or Silent(),
            )
        finally:
            checkpoint.close()

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
        progress: Progress | None = None,
    ) -> RegisteredSkill:
        """Register a fine-tune (checkpoint or PEFT adapter) as a skill: its delta from ``base``, encoded.

        ``encoding`` dare, exact, magnitude, sign or lora; by default lora for an adapter and dare for a checkpoint.
        ``values`` (int4, bf16, exact; default int4) are those of dare and magnitude; ``drop_rate`` p in [0, 1) (default
        0.9) and ``seed`` (default 0) dare's; ``density`` in (0, 1) (default 0.1) and ``trim`` (over the whole model or
        within each tensor; default model) magnitude's. With another encoding they are refused. ``meta``: what is known
        of its training, by key (data set, commit, run id), beside what the model card and the trainer's files say.
        """
        from registry.registering.coding_options import CodingOptions
        from registry.registering.declaration import Who
        from registry.registering.register_skill import register_skill
        from registry.registering.training import check_meta

        path, origin = self.locate(source)
        return register_skill(
            self.engine,
            self.home,
            name,
            path,
            Who(self.actor, licence, check_meta(meta)),
            origin,
            base=base,
            options=CodingOptions(encoding, values, drop_rate, seed, density, trim),
            allow_missing=allow_missing,
            progress=progress or Silent(),
        )

    def merge(
        self,
        name: str,
        expression: Target,
        *,
        method: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        head: str | None = None,
        dtype: str | None = None,
        semantics: str | None = None,
        statistics: Mapping[str, str] | None = None,
        vocabulary: str | None = None,
        pad_vocabulary: int | None = None,
        chat_template: str | Path | None = None,
        generation_config: str | None = None,
        progress: Progress | None = None,
    ) -> Merged:
        """Name and version the recipe of an expression such as ``llama + 0.6*math - 0.2*toxic@prod``.

        Instead of an expression: the path of a recipe file, or a mapping with what stands in one; what is said beside
        it counts before what stands there. ``method`` is by default task_arithmetic. ``head`` names the skill whose own
        tensors (a task head) the result carries, or ``none``. ``dtype`` is the output dtype (F32, F16, BF16); by
        default the base's. ``semantics`` paper, or mergekit for that tool's arithmetic, bit for bit: docs/mergekit.md.
        A merge by ``emr`` also stores a vector, from which the model of each of its skills is materialized.
        ``statistics``: by name of a skill, the digest of those that `fisher` and `regmean` use; by default the newest.

        ``vocabulary`` says what becomes of tokens that skills added: ``base`` (the default) leaves them out, a skill's
        name takes its added rows and its tokenizer, ``union`` adds all of them to the base's. ``pad_vocabulary``: the
        number of rows becomes a multiple of it. ``chat_template`` (``base``, a skill's name, or a file) and
        ``generation_config`` (``base`` or a skill's name) go with the tokenizer unless they are given.
        """
        from registry import merges, unified
        from registry.tokens.vocabulary import Asked

        beside = Asked(vocabulary, pad_vocabulary, chat_template, generation_config)
        given = merges.Choices(method, parameters, head, dtype, semantics, None, statistics, beside)
        asked, choices = merges.asked_for(expression, given)
        if unified.keeps_vector(choices.method):
            return unified.merge_unified(self.engine, self.home, name, asked, choices, self.actor, progress or Silent())
        with writing(self.engine) as session:
            resolved = merges.resolve_expression(session, self.home, asked, choices)
            return merges.record_merge(session, name, resolved, actor=self.actor)

    def merge_from_mergekit(
        self,
        name: str,
        config: str | Path,
        *,
        register: bool = False,
        parameters: Mapping[str, Any] | None = None,
        head: str | None = None,
        dtype: str | None = None,
        semantics: str | None = None,
        vocabulary: str | None = None,
        pad_vocabulary: int | None = None,
        chat_template: str | Path | None = None,
        generation_config: str | None = None,
        progress: Progress | None = None,
    ) -> Merged:
        """Name and version the recipe of a mergekit configuration, with mergekit's semantics unless others are chosen.

        Its models are found in the store by their content; with ``register`` those that are missing are registered, the
        fine-tunes losslessly. What has no equivalent is refused by name: docs/mergekit.md.
        """
        from registry import merges
        from registry.imports import importing, stacking
        from registry.imports.models import telling
        from registry.tokens.vocabulary import Asked

        beside = Asked(vocabulary, pad_vocabulary, chat_template, generation_config)
        given = merges.Choices(None, parameters, head, dtype, semantics, vocabulary=beside)
        found = importing.import_config(self, Path(config), given, register=register, progress=progress or Silent())
        with telling(found.notes), writing(self.engine) as session:
            if found.stack is not None:
                resolved = stacking.resolve_stack(session, self.home, found.stack, found.choices, found.expression)
            else:
                resolved = merges.resolve_expression(session, self.home, found.expression, found.choices)
            merged = merges.record_merge(session, name, resolved, actor=self.actor)
        return replace(merged, notes=[*found.notes, *merged.notes])

    def materialize(
        self,
        target: Target,
        *,
        output: str | Path | None = None,
        device: str = "cpu",
        method: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        head: str | None = None,
        dtype: str | None = None,
        semantics: str | None = None,
        task: str | None = None,
        statistics: Mapping[str, str] | None = None,
        vocabulary: str | None = None,
        pad_vocabulary: int | None = None,
        chat_template: str | Path | None = None,
        generation_config: str | None = None,
        shard_size: int = 5_000_000_000,
        force: bool = False,
        cache: bool = True,
        threads: int | None = None,
        wait: bool = True,
        progress: Progress | None = None,
    ) -> Materialized:
        """Compute a merge (by reference), an expression or a recipe file into a model folder that transformers loads.

        Without ``output`` the folder lies in the store's cache and is reused. ``shard_size`` is in bytes. With
        ``wait`` False the provenance stays in the outbox for ``sync``. ``task`` names the skill whose model it is, of a
        merge by ``emr``; its head comes along unless another is chosen.
        """
        from registry import materializing, merges, wish
        from registry.tokens.vocabulary import Asked

        beside = Asked(vocabulary, pad_vocabulary, chat_template, generation_config)
        return materializing.materialize_to_folder(
            wish.Context(self.engine, self.home, self.tracking_uri, self.actor),
            *merges.asked_for(
                target,
                merges.Choices(method, parameters, head, dtype, semantics, task, statistics, beside),
            ),
            wish.Wish(
                output=Path(output) if output is not None else None,
                device=device,
                shard_size=shard_size,
                force=force,
                cache=cache,
                threads=threads,
                wait=wait,
            ),
            progress or Silent(),
        )

    def materialize_adapter(
        self,
        target: Target,
        *,
        rank: int | None = None,
        energy: float | None = None,
        rest: Rest = "save",
        oversampling: int = DEFAULT_OVERSAMPLING,
        iterations: int = DEFAULT_ITERATIONS,
        output: str | Path | None = None,
        device: str = "cpu",
        method: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        head: str | None = None,
        semantics: str | None = None,
        task: str | None = None,
        statistics: Mapping[str, str] | None = None,
        force: bool = False,
        cache: bool = True,
        threads: int | None = None,
        wait: bool = True,
        progress: Progress | None = None,
    ) -> MaterializedAdapter:
        """Compute a merge in fp32, and extract a LoRA adapter of its delta: a folder that PEFT loads onto the base.

        Each changed linear layer has factors of ``rank``; with ``energy``, of the smallest rank that keeps this share
        of the layer's ‖delta‖², ``rank`` being the largest allowed. ``rest``: other changed tensors are saved whole
        ("save"), left out ("drop"), or refused ("refuse"). ``oversampling`` and ``iterations`` are those of the random
        projection that finds the factors of large layers. The other arguments are those of ``materialize``.
        """
        from registry import materializing, merges, wish

        return materializing.materialize_adapter(
            wish.Context(self.engine, self.home, self.tracking_uri, self.actor),
            *merges.asked_for(target, merges.Choices(method, parameters, head, None, semantics, task, statistics)),
            wish.Wish(
                output=Path(output) if output is not None else None,
                device=device,
                force=force,
                cache=cache,
                threads=threads,
                wait=wait,
                adapter=check_extraction(Extraction(rank, energy, rest, oversampling, iterations)),
            ),
            progress or Silent(),
        )

    def check(
        self,
        target: Target,
        *,
        output: str | Path | None = None,
        force: bool = False,
        method: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        head: str | None = None,
        dtype: str | None = None,
        semantics: str | None = None,
        task: str | None = None,
        statistics: Mapping[str, str] | None = None,
        vocabulary: str | None = None,
        pad_vocabulary: int | None = None,
        chat_template: str | Path | None = None,
        generation_config: str | None = None,
        adapter: Mapping[str, Any] | None = None,
        quick: bool = False,
        plot: str | Path | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Checked:
        """Look at what ``materialize`` would do, without doing it: problems, space and memory, licences, interference.

        All problems are in the answer, none is raised. ``adapter``: of ``materialize_adapter``, with its ``rank``,
        ``energy``, ``rest``, ``oversampling`` and ``iterations``. ``quick`` reads no deltas, and so tells nothing of
        how the skills lie to each other; ``plot`` is a PNG file to draw that into (needs the extra ``plot``).
        """
        from registry import merges, wish
        from registry.checks import checking
        from registry.tokens.vocabulary import Asked

        beside = Asked(vocabulary, pad_vocabulary, chat_template, generation_config)
        return checking.check(
            wish.Context(self.engine, self.home, self.tracking_uri, self.actor),
            target,
            merges.Choices(method, parameters, head, dtype, semantics, task, statistics, beside),
            wish.Wish(
                output=Path(output) if output is not None else None,
                force=force,
                threads=threads,
                adapter=check_extraction(Extraction(**adapter)) if adapter is not None else None,
            ),
            checking.Depth(quick, Path(plot) if plot is not None else None),
            progress or Silent(),
        )

    def load(
        self,
        target: Target,
        *,
        device: str = "cpu",
        method: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        head: str | None = None,
        dtype: str | None = None,
        semantics: str | None = None,
        task: str | None = None,
        statistics: Mapping[str, str] | None = None,
        vocabulary: str | None = None,
        pad_vocabulary: int | None = None,
        threads: int | None = None,
    ) -> dict[str, torch.Tensor]:
        """Compute a merge into torch tensors by name, on ``device``; writes and records nothing.

        ``task`` as for ``materialize``.
        """
        from registry import materializing, merges, wish
        from registry.tokens.vocabulary import Asked

        beside = Asked(vocabulary, pad_vocabulary)
        return materializing.load_tensors(
            wish.Context(self.engine, self.home, self.tracking_uri, self.actor),
            *merges.asked_for(
                target,
                merges.Choices(method, parameters, head, dtype, semantics, task, statistics, beside),
            ),
            device,
            threads,
        )

    def resident(
        self,
        base: str,
        skills: Iterable[str],
        *,
        device: str = "cpu",
        deltas: Place = "device",
        masks: Masks | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Resident:
        """Keep a base and compressed skills in memory, verified once, and combine them there at will.

        A context manager, whose ``load`` and ``load_into`` take expressions over what is resident. ``deltas`` "host"
        keeps the skills in pinned host memory instead of on a CUDA device. ``masks`` says whether the masks of dropped
        skills are "cached" there, which takes memory, or "drawn" each time; by default cached where there is room.
        Both are refused where they have no effect, as on the CPU.
        """
        from registry import resident

        resident.check_keeping(skills, deltas, masks)
        keeping = resident.Keeping(device, deltas, masks, threads)
        return resident.make_resident(self.engine, self.home, base, skills, keeping, progress or Silent())

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
            data=Path(data),
            examples=examples,
            text_field=text_field,
            max_length=max_length,
            batch_size=batch_size,
            seed=seed,
            labels=labels,
            checkpoint=Path(checkpoint) if checkpoint is not None else None,
            device=device,
            memory=memory,
            save_every=save_every,
            model=model,
            forward=forward,
        )
        context = Context(self.engine, self.home, self.tracking_uri, self.actor)
        return collect_statistics(context, skill, asked, progress or Silent())

    def statistics(self, skill: str | None = None) -> list[dict[str, Any]]:
        """What was collected of one skill, or of all, oldest first."""
        with reading(self.engine) as session:
            return answers.statistics(session, skill)

    def show_statistics(self, digest: str) -> dict[str, Any]:
        """Statistics in full, by their digest or its first digits: settings, software, size, and of which tensors."""
        with reading(self.engine) as session:
            return answers.show_statistics(session, self.home, digest)

    def audit(self, target: str | Path, *, newest: int | None = None) -> Audit:
        """What is in a model, from whom, and what was made of it.

        ``target``: a version's reference; a digest, or how one begins, of a version, a recipe or an output; or a
        published folder, of which the store need not know. ``newest``: of materializations, descendants and events only
        so many, the newest; by default all.
        """
        from registry.audits.audit import audit

        with reading(self.engine) as session:
            if isinstance(target, str):
                try:
                    return audit(session, target, newest)
                except (UsageError, NotFound):
                    if not Path(target).is_dir():
                        raise
            from registry.audits.folder import audit_folder

            return audit_folder(Path(target), session, newest)

    def diff(
        self, one: str | Path, other: str | Path, *, threads: int | None = None, progress: Progress | None = None
    ) -> Difference:
        """Compare two models: what they are made of, and every tensor. Versions by reference, folders by path.

        A skill is compared as its fine-tune; with a common base, norms and cosines are those of the deltas from it.
        """
        from registry import wish
        from registry.audits.diff import diff

        context = wish.Context(self.engine, self.home, self.tracking_uri, self.actor)
        return diff(context, one, other, threads, progress or Silent())

    def find(self, kind: str, *, limit: int = 50, page: int = 1, **filters: Any) -> Found:
        """What is such: ``kind`` skills, merges, materializations or events, newest first, a page at a time.

        ``filters``: contains, base, method, encoding, seed, licence, state, never (materialized, evaluated), software,
        device, action, subject, by, since, until, meta; which of them a kind takes is told when one is not.
        """
        from registry.audits.queries import Filters, find

        with reading(self.engine) as session:
            return find(session, kind, Filters(**filters), limit=limit, page=page)

    def impact(self, reference: str, *, newest: int | None = None) -> Impact:
        """What contains a version: versions, aliases, materializations and their MLflow runs; what a recall is about.

        ``newest``: of versions and materializations only so many, the newest; by default all.
        """
        from registry.audits.impact import impact

        with reading(self.engine) as session:
            return impact(session, reference, newest)

    def influence(self, target: str, pattern: str = "*") -> Influence:
        """Which skills touched the tensors of a merge whose names fit a pattern, with what weight, norm and share."""
        from registry.audits.influence import influence

        with reading(self.engine) as session:
            return influence(session, target, pattern)

    def rebuild(
        self, target: str | Path, *, device: str = "cpu", threads: int | None = None, progress: Progress | None = None
    ) -> Rebuilt:
        """Make a result again from its lineage, and compare it with what is on record of it and with its folders.

        ``target`` as for ``audit``. Nothing is written but a receipt, an event of the audit chain.
        """
        from registry import wish
        from registry.audits.rebuild import rebuild

        context = wish.Context(self.engine, self.home, self.tracking_uri, self.actor)
        return rebuild(context, target, wish.Wish(device=device, threads=threads), progress or Silent())

    def verify(self, target: str | Path | None = None, progress: Progress | None = None) -> Verification:
        """Check a version with all it came from, a published folder, or (nothing named) the whole store."""
        from registry import verifying

        watcher = progress or Silent()
        if target is None:
            return verifying.verify_store(self.engine, self.home, watcher)
        if isinstance(target, Path):
            return verifying.verify_directory(target, watcher)
        try:
            return verifying.verify_version(self.engine, self.home, target, watcher)
        except (UsageError, NotFound):
            if not Path(target).is_dir():
                raise
            return verifying.verify_directory(Path(target), watcher)

    def list(self, kind: str | None = None) -> Listing:
        """The newest ready version of every name; of one kind (base, skill, merge) if given."""
        if kind not in (None, "base", "skill", "merge"):
            raise UsageError(f"unknown kind {kind!r}", hint="choose base, skill or merge")
        with reading(self.engine) as session:
            return answers.listing(session, kind)

    def show(self, reference: str) -> dict[str, Any]:
        """One version in full: record, files, statistics, recipe, aliases and their history."""
        with reading(self.engine) as session:
            return answers.show(session, reference)

    def alias(self, reference: str, alias: str) -> dict[str, Any]:
        """Let ``name@alias`` mean the version that ``reference`` means now."""
        with writing(self.engine) as session:
            version = catalog.resolve(session, parse_reference(reference))
            alias_records.set_alias(session, version, alias, actor=self.actor)
            return {"name": version.name, "version": version.version, "digest": version.digest, "alias": alias}

    def unalias(self, name: str, alias: str) -> dict[str, Any]:
        """Take an alias away; its history stays."""
        with writing(self.engine) as session:
            alias_records.remove_alias(session, name, alias, actor=self.actor)
            return {"name": name, "alias": alias, "removed": True}

    def yank(self, reference: str, reason: str) -> dict[str, Any]:
        """Take a version out of use, with a reason: new merges and materializations refuse it."""
        with writing(self.engine) as session:
            version = catalog.yank(
                session, catalog.resolve(session, parse_reference(reference)), reason, actor=self.actor
            )
            return {"name": version.name, "version": version.version, "state": version.state, "reason": reason}

    def sync(self) -> dict[str, Any]:
        """Deliver the provenance that waits in the outbox to MLflow."""
        from registry.provenance import delivery

        synced = delivery.sync(self.engine, self.tracking_uri, self.actor)
        return {"delivered": synced.delivered, "pending": synced.pending, "errors": list(synced.errors)}

    def doctor(self) -> dict[str, Any]:
        """Look at everything around the store that could give trouble."""
        from registry import doctor

        return doctor.examine(self.engine, self.home, self.tracking_uri)

    def locate(self, source: str | Path) -> tuple[Path, str]:
        """Where the files of a folder, or of ``hf:repo@revision``, are on this machine, and how that is recorded."""
        text = str(source)
        if text.startswith(HUB):
            from registry import hub

            return hub.snapshot(text)
        path = Path(source)
        return path, str(path.absolute())

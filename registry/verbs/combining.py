"""Verbs that combine skills: named and versioned, looked at before any work, into folders, tensors and memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging.adapters.settings import (
    DEFAULT_ITERATIONS,
    DEFAULT_OVERSAMPLING,
    Extraction,
    Rest,
    check_extraction,
)
from registry.records.database import require_writable, writing
from registry.records.names import validate_name
from registry.results import Checked, Materialized, MaterializedAdapter, Merged
from registry.upkeep.writers import storing
from registry.verbs.registering import Registering
from storage.paths import as_path
from storage.progress import Progress, Silent

if TYPE_CHECKING:
    import torch

    from registry.merges import Target
    from registry.resident import Masks, Place, Resident
    from registry.wish import Given


class Combining(Registering):
    """The verbs that merge."""

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
        from registry.policies.enforcing import with_notes
        from registry.resolved import Choices
        from registry.tokens.vocabulary import Asked

        validate_name(name)
        beside = Asked(vocabulary, pad_vocabulary, chat_template, generation_config)
        given = Choices(method, parameters, head, dtype, semantics, None, statistics, beside)
        asked, choices = merges.asked_for(expression, given)
        if unified.keeps_vector(choices.method):
            watcher = progress or Silent()
            with storing(self.engine, self.home):
                merged = unified.merge_unified(self.engine, self.home, name, asked, choices, self.actor, watcher)
            return with_notes(self.engine, self.home, merged)
        with writing(self.engine) as session:
            resolved = merges.resolve_expression(session, self.home, asked, choices)
            merged = merges.record_merge(session, name, resolved, actor=self.actor)
        return with_notes(self.engine, self.home, merged)

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
        from registry.policies.enforcing import with_notes
        from registry.resolved import Choices
        from registry.tokens.vocabulary import Asked

        validate_name(name)
        beside = Asked(vocabulary, pad_vocabulary, chat_template, generation_config)
        given = Choices(None, parameters, head, dtype, semantics, vocabulary=beside)
        found = importing.import_config(self, as_path(config), given, register=register, progress=progress or Silent())
        with telling(found.notes), writing(self.engine) as session:
            if found.stack is not None:
                resolved = stacking.resolve_stack(session, self.home, found.stack, found.choices, found.expression)
            else:
                resolved = merges.resolve_expression(session, self.home, found.expression, found.choices)
            merged = merges.record_merge(session, name, resolved, actor=self.actor)
        return with_notes(self.engine, self.home, replace(merged, notes=[*found.notes, *merged.notes]))

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
        policy: Given | None = None,
        progress: Progress | None = None,
    ) -> Materialized:
        """Compute a merge (by reference), an expression or a recipe file into a model folder that transformers loads.

        Without ``output`` the folder lies in the store's cache and is reused. ``shard_size`` is in bytes. With
        ``wait`` False the provenance stays in the outbox for ``sync``. ``task`` names the skill whose model it is, of a
        merge by ``emr``; its head comes along unless another is chosen. ``policy``: a file, or what stands in one, to
        hold beside the store's own; Conflict names every violation: docs/policy.md.
        """
        from registry import materializing, merges, wish
        from registry.resolved import Choices
        from registry.tokens.vocabulary import Asked

        require_writable(self.engine)
        beside = Asked(vocabulary, pad_vocabulary, chat_template, generation_config)
        return materializing.materialize_to_folder(
            wish.Context(self.engine, self.home, self.tracking_uri, self.actor),
            *merges.asked_for(
                target,
                Choices(method, parameters, head, dtype, semantics, task, statistics, beside),
            ),
            wish.Wish(
                output=as_path(output) if output is not None else None,
                device=device,
                shard_size=shard_size,
                force=force,
                cache=cache,
                threads=threads,
                wait=wait,
                policy=policy,
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
        policy: Given | None = None,
        progress: Progress | None = None,
    ) -> MaterializedAdapter:
        """Compute a merge in fp32, and extract a LoRA adapter of its delta: a folder that PEFT loads onto the base.

        Each changed linear layer has factors of ``rank``; with ``energy``, of the smallest rank that keeps this share
        of the layer's ‖delta‖², ``rank`` being the largest allowed. ``rest``: other changed tensors are saved whole
        ("save"), left out ("drop"), or refused ("refuse"). ``oversampling`` and ``iterations`` are those of the random
        projection that finds the factors of large layers. The other arguments are those of ``materialize``.
        """
        from registry import materializing, merges, wish
        from registry.resolved import Choices

        require_writable(self.engine)
        return materializing.materialize_adapter(
            wish.Context(self.engine, self.home, self.tracking_uri, self.actor),
            *merges.asked_for(target, Choices(method, parameters, head, None, semantics, task, statistics)),
            wish.Wish(
                output=as_path(output) if output is not None else None,
                device=device,
                force=force,
                cache=cache,
                threads=threads,
                wait=wait,
                policy=policy,
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
        policy: Given | None = None,
        progress: Progress | None = None,
    ) -> Checked:
        """Look at what ``materialize`` would do, without doing it: problems, space and memory, licences, interference.

        All problems are in the answer, none is raised. ``adapter``: of ``materialize_adapter``, with its ``rank``,
        ``energy``, ``rest``, ``oversampling`` and ``iterations``. ``quick`` reads no deltas, and so tells nothing of
        how the skills lie to each other; ``plot`` is a PNG file to draw that into (needs the extra ``plot``).
        ``policy`` as for ``materialize``; each violation is a problem.
        """
        from registry import wish
        from registry.checks import checking
        from registry.resolved import Choices
        from registry.tokens.vocabulary import Asked

        beside = Asked(vocabulary, pad_vocabulary, chat_template, generation_config)
        return checking.check(
            wish.Context(self.engine, self.home, self.tracking_uri, self.actor),
            target,
            Choices(method, parameters, head, dtype, semantics, task, statistics, beside),
            wish.Wish(
                output=as_path(output) if output is not None else None,
                force=force,
                threads=threads,
                adapter=check_extraction(Extraction(**adapter)) if adapter is not None else None,
                policy=policy,
            ),
            checking.Depth(quick, as_path(plot) if plot is not None else None),
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

        ``task`` as for ``materialize``. The store's policy holds but for scores, so that a candidate can be evaluated.
        """
        from registry import materializing, merges, wish
        from registry.resolved import Choices
        from registry.tokens.vocabulary import Asked

        beside = Asked(vocabulary, pad_vocabulary)
        return materializing.load_tensors(
            wish.Context(self.engine, self.home, self.tracking_uri, self.actor),
            *merges.asked_for(
                target,
                Choices(method, parameters, head, dtype, semantics, task, statistics, beside),
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

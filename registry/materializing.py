"""Materializing a merge: into a published folder, the cache, or memory; recorded with everything that went in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from merging.adapters.settings import Extraction
from merging.choosing import load_onto, open_engine
from merging.plans.plan import OtherBase, Plan
from merging.plans.planning import make_plan, with_statistics
from merging.plans.tasks import Task
from merging.streaming.sinks import MemorySink
from merging.streaming.tensors import import_torch, to_torch
from registry.adapter_notes import module_notes
from registry.adapters import as_adapter, model_config, publish_adapter
from registry.cache import find_record, in_cache, is_usable, publish_copy
from registry.computing import compute, publish_computed
from registry.directories import read_manifest
from registry.merges import notes_of, resolve_target
from registry.opening import open_base, open_skill, open_statistics
from registry.outputs import refuse_output
from registry.outside import noted
from registry.policies.enforcing import enforce, policies_of, without_thresholds
from registry.policies.policy import Policy
from registry.provenance.courier import Courier
from registry.provenance.messages import MATERIALIZATION
from registry.published_lineage import lineage_facts
from registry.publishing import Sources
from registry.recording import record_or_retract
from registry.records.alone import alone, at_place
from registry.records.contents import load_deltas
from registry.records.database import reading
from registry.records.evaluations import evaluations
from registry.records.lineage import ancestors
from registry.records.lookup import find_versions
from registry.records.names import parse_reference
from registry.records.readiness import refuse_unready
from registry.records.tables import Materialization
from registry.resolved import Choices, ResolvedMerge
from registry.results import Materialized, MaterializedAdapter
from registry.scores import told
from registry.tasks import require_task
from registry.tokens.vocabulary import files_of
from registry.unified import check_recipe, open_unified
from registry.wish import Context, Wish
from storage.deltas.delta import DeltaFile
from storage.errors import UsageError
from storage.pipeline import thread_count
from storage.progress import Progress, Silent

_WORTH_TELLING = 1.0  # seconds of waiting


@dataclass(frozen=True)
class Opened:
    """A merge resolved, with all that it reads open and checked to fit together."""

    sources: Sources
    plan: Plan
    config: Mapping[str, Any] | None  # the base's config.json


def materialize_adapter(
    context: Context, target: str, choices: Choices, wish: Wish, progress: Progress
) -> MaterializedAdapter:
    """``materialize_to_folder`` of a wish for an adapter, with what its manifest tells of it."""
    made = materialize_to_folder(context, target, choices, wish, progress)
    return MaterializedAdapter(**vars(made), adapter=read_manifest(Path(made.path))["adapter"])


def materialize_to_folder(
    context: Context, target: str, choices: Choices, wish: Wish, progress: Progress
) -> Materialized:
    """Compute a merge into a folder, or find it in the cache. Raises Conflict when the folder exists already."""
    output = wish.output.absolute() if wish.output else None
    if output is not None:
        refuse_output(context.home, output, force=wish.force)
    open_engine(wish.device)  # a device that is not there is told before anything is computed or found
    policies = policies_of(context.home, wish.policy)
    notes: list[str] = []
    with opened_merge(context, target, choices, wish.adapter, policies) as found:
        wish = replace(wish, adapter=found.plan.recipe.adapter)  # a recipe that is named by its digest may be one's
        resolved = found.sources.resolved
        notes += notes_of(resolved)
        cached = context.home.cached(resolved.recipe.digest)
        place = output or cached
        looks = output is None or cached.is_dir()
        with ExitStack() as held:
            if output is not None:
                held.enter_context(_first(context, at_place("output", output), "folder", notes))
                held.enter_context(noted(context.home, output))
                refuse_output(context.home, output, force=wish.force)  # who was waited for may have made it
            if looks:  # What is copied from the cache must stay there for as long as that takes.
                held.enter_context(_first(context, in_cache(resolved.recipe.digest), "recipe", notes))
            usable = looks and is_usable(cached, found.plan.outputs, wish, notes, progress)
            known = find_record(context, resolved) if usable and output is None else None
            if known is not None:
                notes.append("this recipe was computed before: its result is taken from the cache")
                return _answer(known, place, known.mlflow_run_id, notes, cached=True)
            courier = (
                Courier(context.engine, context.tracking_uri, context.home.tracking, context.actor)
                if wish.wait
                else None
            )
            try:
                made = _make(context, found, place, cached if usable else None, wish, notes, progress)
            except BaseException:
                if courier:
                    courier.abandon()
                raise
    run_id = _hand_over(courier, made.id, notes)
    return _answer(made, place, run_id, notes, cached=usable)


@contextmanager
def _first(context: Context, lease: str, what: str, notes: list[str]) -> Iterator[None]:
    """Of all processes that want one result in the cache, or one folder, the first makes it; the others wait for it."""
    with alone(context.engine, lease) as waited:
        if waited > _WORTH_TELLING:
            notes.append(f"waited {waited:.0f} s for another process that was at the same {what}")
        yield


def _make(
    context: Context,
    opened: Opened,
    place: Path,
    found: Path | None,
    wish: Wish,
    notes: list[str],
    progress: Progress,
) -> Materialization:
    """Put the result into ``place``, copied from where it was ``found`` or else computed, and on record."""
    fresh = wish.output is not None and not place.exists()
    if found is not None:
        published = publish_copy(opened.sources, found, place, wish)
    elif wish.adapter is not None:
        published = publish_adapter(opened.sources, opened.plan, opened.config, place, wish, progress)
    else:
        published = publish_computed(context.home, opened.sources, opened.plan, place, wish, progress)
    made = record_or_retract(context, opened.sources, published, wish, fresh=fresh)
    if wish.adapter is not None:
        notes += module_notes(model_config(opened.sources, opened.config), published.document["adapter"])
    return made


def _hand_over(courier: Courier | None, key: str, notes: list[str]) -> str | None:
    if courier is None:
        notes.append("provenance waits in the outbox: run `mergestore sync`")
        return None
    run_id, problem = courier.hand_over(MATERIALIZATION, key)
    if problem:
        notes.append(f"provenance waits in the outbox ({problem}): run `mergestore sync` later")
    return run_id


def _answer(made: Materialization, place: Path, run_id: str | None, notes: list[str], *, cached: bool) -> Materialized:
    return Materialized(
        recipe_digest=made.recipe_digest,
        output_digest=made.output_digest,
        path=str(place),
        device=made.device,
        seconds=made.seconds,
        cached=cached,
        materialization_id=made.id,
        mlflow_run_id=run_id,
        bytes=made.bytes,
        notes=notes,
    )


def load_tensors(context: Context, target: str, choices: Choices, device: str, threads: int | None) -> dict[str, Any]:
    """Compute a merge into torch tensors on ``device``, by name; nothing is written or recorded."""
    import_torch()
    policies = without_thresholds(policies_of(context.home))
    with opened_merge(context, target, choices, policies=policies) as found:
        if found.plan.recipe.adapter is not None:
            raise UsageError(f"{target} is the recipe of an adapter", hint="materialize it, and load it with PEFT")
        there = load_onto(found.plan, device, thread_count(threads))
        if there is not None:
            return there
        sink = MemorySink()
        compute(found.plan, sink, device, threads, Silent())
        return {
            output.name: to_torch(output, sink.tensors.pop(output.name, bytearray()), device)
            for output in found.plan.outputs
        }


@contextmanager
def opened_merge(
    context: Context,
    target: str,
    choices: Choices,
    adapter: Extraction | None = None,
    policies: Sequence[Policy] = (),
) -> Iterator[Opened]:
    """The target resolved and as policies ask, its base and deltas open, everything checked to fit together."""

    def resolve(session: Session) -> ResolvedMerge:
        resolved = resolve_target(session, context.home, target, choices)
        require_task(resolved)
        return resolved if adapter is None else as_adapter(resolved, adapter)

    with opened(context, resolve, policies) as found:
        yield found


@contextmanager
def opened(
    context: Context,
    resolve: Callable[[Session], ResolvedMerge],
    policies: Sequence[Policy] = (),
    *,
    looking: bool = False,
) -> Iterator[Opened]:
    """What a merge is made of, open and checked to fit together.

    Raises Conflict where it is not as the policies ask, and unless one is only ``looking``, where it is out of use.
    """
    with ExitStack() as stack:
        with reading(context.engine) as session:
            resolved = resolve(session)
            if not looking:
                refuse_unready(session, *resolved.inputs)
            enforce(session, policies, resolved)
            base = open_base(session, context.home, resolved.base)
            stack.callback(base.source.close)
            others = {}
            for version in resolved.others:
                other = open_base(session, context.home, version)
                stack.callback(other.source.close)
                others[version.digest] = OtherBase(other.source, other.digests)
            records = load_deltas(session, (skill.id for skill in resolved.deltas))
            deltas, task = _open_skills(session, context, resolved, stack)
            statistics = {
                skill: stack.enter_context(open_statistics(session, context.home, digest))
                for skill, digest in resolved.recipe.statistics.items()
            }
            lineage = ancestors(session, *(version.id for version in resolved.roots))
            found = find_versions(session, (parse_reference(node.id) for node in lineage.nodes))
            versions = {version.reference: version for version in found.values()}
            sources = Sources(
                resolved=resolved,
                deltas={skill.digest: records[skill.id] for skill in resolved.deltas},
                manifests={digest: delta.manifest for digest, delta in deltas.items()},
                lineage=lineage,
                files=files_of(session, resolved.recipe, resolved.base, resolved.skills),
                policies=tuple(policy.told() for policy in policies),
                evaluations=told(session, evaluations(session, [], [resolved.recipe.digest])),
                training={name: version.attributes.get("training", {}) for name, version in versions.items()},
                known=lineage_facts(session, lineage, versions),
            )
        plan = make_plan(resolved.recipe, base.source, base.digests, deltas, others)
        yield Opened(sources, with_statistics(replace(plan, task=task), statistics), base.config)


def _open_skills(
    session: Session, context: Context, resolved: ResolvedMerge, stack: ExitStack
) -> tuple[dict[str, DeltaFile], Task | None]:
    """The deltas of a recipe, by digest. A stored vector stands for those of its skills, and gives the task."""
    deltas: dict[str, DeltaFile] = {}
    task = None
    if resolved.unified is not None and resolved.task is not None:
        file = stack.enter_context(open_unified(session, context.home, resolved.unified))
        check_recipe(file, resolved)
        stored = {skill.digest: file.skill(skill.digest) for skill in resolved.skills}
        deltas, task = dict(stored), stored[resolved.task.digest]
    for skill in resolved.deltas:
        if skill.digest not in deltas:
            deltas[skill.digest] = stack.enter_context(open_skill(session, context.home, skill))
    return deltas, task

"""A check before any work: what a target means, all that keeps it from being made, what it takes, what to expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from merging.adapters.settings import Extraction
from merging.methods import Unified
from merging.passes.interference import Interference, find_interference
from merging.plans.plan import OtherBase, Plan
from merging.plans.planning import make_plan
from merging.recipes.expression import parse_expression
from merging.streaming.cost import PROCESS, Cost, Stage, cost_of, with_factors
from registry.adapter_notes import MODEL_CLASS
from registry.adapters import adapter_parts
from registry.checks import heat_map
from registry.checks.caution import cautions
from registry.checks.comparison import compared
from registry.checks.needs import Needed, missing_statistics, needs_of
from registry.checks.survey import Survey, survey
from registry.licences.combined import combined
from registry.merges import Target, asked_for
from registry.opening import open_base, open_skill, require_files
from registry.outputs import refuse_output, require_space
from registry.policies.enforcing import note_violations, policies_of
from registry.policies.policy import Policy
from registry.problems import Problems
from registry.publishing import free_space
from registry.records.contents import load_deltas, load_files
from registry.records.database import reading
from registry.records.lineage import ancestors
from registry.records.lookup import versions_by_id
from registry.records.names import parse_reference
from registry.records.tables import Delta, ModelVersion
from registry.resolved import Choices, ResolvedMerge
from registry.results import Checked
from registry.unified import check_recipe, open_unified
from registry.wish import Context, Wish
from storage.deltas.delta import DeltaFile
from storage.deltas.unified import StoredSkill
from storage.errors import MergestoreError, UsageError
from storage.files import write_file
from storage.pipeline import thread_count
from storage.progress import Progress


@dataclass(frozen=True)
class Depth:
    """How far a check goes. ``quick``: no delta is read. ``plot``: the file that its picture is put into."""

    quick: bool = False
    plot: Path | None = None


@dataclass(frozen=True)
class _Found:
    """What was found out about a target before anything of its deltas was read; ``plan`` where it can be made."""

    survey: Survey
    deltas: Mapping[int, Delta]
    bases: Mapping[int, ModelVersion]
    needed: Sequence[Needed]
    plan: Plan | None
    lying: Plan | None  # over the skills' own deltas, which tell how they lie to each other
    config: Mapping[str, Any] | None  # of the model that comes out
    companions: int  # bytes of the files beside the weights
    licences: dict[str, Any]  # of all that goes in


def check(context: Context, target: Target, choices: Choices, wish: Wish, depth: Depth, progress: Progress) -> Checked:
    """Everything that ``materialize`` would meet, and what it would take, without doing it.

    Raises UsageError for options that do not go together, EnvironmentFailure where a picture cannot be drawn or kept.
    """
    if depth.plot is not None:
        _refuse_plot(depth.plot, quick=depth.quick)
    problems, output = Problems(), wish.output.absolute() if wish.output else None
    if output is not None:
        with problems.noted():
            refuse_output(context.home, output, force=wish.force)
    policies: tuple[Policy, ...] = ()
    with problems.noted():
        policies = policies_of(context.home, wish.policy)
    with _looked_into(context, target, choices, wish.adapter, depth, policies, problems) as found:
        resources = _resources(context, found, wish, problems)
        interference = None
        if depth.plot is not None and found.plan is not None and found.plan.stack:
            raise UsageError("of a stack of layers no skills are compared", hint="leave --plot out")
        if found.lying is not None and not depth.quick:
            if depth.plot is not None and len(found.lying.skills) < 2:
                raise UsageError("a heat map compares skills, and here is only one", hint="leave --plot out")
            with problems.noted():
                interference = find_interference(found.lying, thread_count(wish.threads), progress)
    found = _as_written(found)
    interference = interference and interference.ordered([skill.digest for skill in found.survey.skills])
    adds = found.plan is not None and not (found.plan.stack or isinstance(found.plan.method.how, Unified))
    comparison = compared(interference, _names(found.survey), adds=adds) if interference is not None else None
    drawn = depth.plot if comparison is not None else None
    if drawn is not None and comparison is not None:
        write_file(drawn.absolute(), heat_map.png(comparison, found.survey.expression))
    return _answer(found, policies, problems, resources, interference, comparison, drawn)


def _as_written(found: _Found) -> _Found:
    """With the skills in the order of the expression, and not in that of the recipe."""
    places: dict[str, int] = {}
    with suppress(MergestoreError):  # a stack has none, and one that cannot be read is a problem told already
        expression = parse_expression(found.survey.expression)
        for reference in (expression.base, *(term.reference for term in expression.terms)):
            places.setdefault(parse_reference(reference).name, len(places))
    skills = tuple(sorted(found.survey.skills, key=lambda skill: places.get(skill.name, len(places))))
    order = [skill.reference for skill in skills]
    needed = sorted(found.needed, key=lambda need: order.index(need.skill))
    return replace(found, survey=replace(found.survey, skills=skills), needed=needed)


def _refuse_plot(plot: Path, *, quick: bool) -> None:
    if quick:
        raise UsageError(
            "a quick check reads no deltas, so there is nothing to draw", hint="leave out --quick or --plot"
        )
    if plot.suffix.lower() != ".png":
        raise UsageError(f"{plot} is no name for a picture", hint="name a PNG file: --plot skills.png")
    if plot.is_dir() or not plot.absolute().parent.is_dir():
        what = "is a folder" if plot.is_dir() else f"cannot be: there is no folder {plot.absolute().parent}"
        raise UsageError(f"{plot} {what}", hint="name a file in a folder that is there")
    heat_map.require_matplotlib()


@contextmanager
def _looked_into(
    context: Context,
    target: Target,
    choices: Choices,
    adapter: Extraction | None,
    depth: Depth,
    policies: Sequence[Policy],
    problems: Problems,
) -> Iterator[_Found]:
    """The target resolved as far as it goes, and what it is made of open."""
    with ExitStack() as stack:
        with reading(context.engine) as session:
            found = Survey(target if isinstance(target, str) else "")
            with problems.noted():
                found = survey(session, context.home, *asked_for(target, choices), problems, adapter)
            note_violations(session, policies, found.roots, found.resolved, problems)
            lineage = ancestors(session, *(version.id for version in found.roots)).to_dict()
            deltas = load_deltas(session, (skill.id for skill in found.skills))
            bases = versions_by_id(session, (delta.base_version_id for delta in deltas.values()))
            needed = needs_of(session, found.method, found.skills) if found.method is not None else []
            if found.method is not None:
                for error in missing_statistics(session, found.method, found.skills):
                    problems.add(error)
            plan, lying, config = _plans(session, context, stack, found, depth, problems)
            files = load_files(session, found.base.id) if found.base is not None and adapter is None else []
        companions = sum(file.size for file in files if file.kind == "companion")
        licences = combined(lineage, [version.reference for version in found.roots])
        yield _Found(found, deltas, bases, needed, plan, lying, config, companions, licences)


def _plans(
    session: Session, context: Context, stack: ExitStack, found: Survey, depth: Depth, problems: Problems
) -> tuple[Plan | None, Plan | None, Mapping[str, Any] | None]:
    """Open all that can be opened; plans and the configuration of the model, if that is everything.

    Of a merge whose vector is stored, a plan over that one, and over the skills' deltas as far as these are there.
    """
    bases, deltas = {}, {}
    for version in [*([found.base] if found.base is not None else []), *found.others]:
        with problems.noted():
            require_files(session, context.home, version)
            bases[version.digest] = open_base(session, context.home, version)
            stack.callback(bases[version.digest].source.close)
    resolved = found.resolved
    unified = None if resolved is None else _with_vector(resolved)
    stored = unified is not None
    skills = {skill.id: skill for skill in (*found.skills, *([found.head] if found.head is not None else []))}
    for skill in skills.values():
        with (Problems() if stored else problems).noted():
            delta = open_skill(session, context.home, skill, verified=depth.quick)
            deltas[skill.digest] = stack.enter_context(delta)
    if resolved is None or len(bases) < 1 + len(found.others):
        return None, None, None
    own = bases[resolved.base.digest]
    others = {version.digest: bases[version.digest] for version in found.others}
    opened = {digest: OtherBase(other.source, other.digests) for digest, other in others.items()}

    def plan(deltas: Mapping[str, DeltaFile]) -> Plan:
        made = make_plan(resolved.recipe, own.source, own.digests, deltas, opened)
        for name in own.source.entries:
            made.settings.of(name)  # weights that differ by tensor may not add up in one of them
        return made

    lying = kept = None
    if len(deltas) == len(skills):
        with problems.noted():
            lying = kept = plan(deltas)
    if stored:
        kept = None
        with problems.noted():
            skills_there = _stored(session, context, stack, replace(resolved, unified=unified), verified=depth.quick)
            task = resolved.recipe.task or resolved.recipe.terms[0].skill  # of whichever, as much is read and written
            kept = replace(plan({**deltas, **skills_there}), task=skills_there[task])
    head = deltas.get(resolved.recipe.head or "")
    lying = None if resolved.recipe.slices else lying  # whose skills are not added up as wholes
    return kept, lying, (head.manifest.config if head is not None else None) or own.config


def _with_vector(resolved: ResolvedMerge) -> ModelVersion | None:
    """The named merge whose stored vector is read."""
    merge = resolved.merge
    own = merge if merge is not None and merge.attributes.get("unified") else None
    return resolved.unified or own


def _stored(
    session: Session, context: Context, stack: ExitStack, resolved: ResolvedMerge, *, verified: bool
) -> dict[str, StoredSkill]:
    """The skills as the stored vector of their merge has them, by digest."""
    assert resolved.unified is not None
    file = stack.enter_context(open_unified(session, context.home, resolved.unified, verified=verified))
    check_recipe(file, resolved)
    return {skill.digest: file.skill(skill.digest) for skill in resolved.skills}


def _resources(context: Context, found: _Found, wish: Wish, problems: Problems) -> dict[str, Any] | None:
    plan, output, threads = found.plan, wish.output and wish.output.absolute(), thread_count(wish.threads)
    if plan is None:
        return None
    if wish.adapter is not None:
        with problems.noted():
            layers, outputs, needed = adapter_parts(plan, found.config, wish.adapter)
            plan = replace(plan, outputs=outputs)
            cost = cost_of(plan, threads)
            linear = [output.shape for output in outputs if output.name in layers.linear]
            cost = replace(with_factors(cost, linear, wish.adapter), written=needed // 2)
            if find_spec("transformers") is not None:
                cost = replace(cost, stages=(*cost.stages, Stage("look at the model's class", MODEL_CLASS)))
            return _told(context, cost, plan, needed, output, threads, problems)
        return None
    cost = cost_of(plan, threads)
    cost = replace(cost, written=cost.written + found.companions)
    return _told(context, cost, plan, cost.written, output, threads, problems)


def _told(
    context: Context, cost: Cost, plan: Plan, peak: int, output: Path | None, threads: int, problems: Problems
) -> dict[str, Any]:
    """``peak``: bytes on disk while it is made."""
    cached = context.home.cached(plan.recipe.digest)
    place = output or cached
    if output is not None or not cached.is_dir():
        with problems.noted():
            require_space(peak, place)
    return {
        "place": str(place),
        "kind": "folder" if output is not None else "cache",
        "cached": cached.is_dir(),
        "needed_bytes": cost.written,
        "peak_bytes": peak,
        "free_bytes": free_space(place.parent),
        "memory_bytes": cost.memory,
        "process_bytes": PROCESS,
        "stages": [vars(stage) for stage in cost.stages],
        "threads": threads,
        "passes": [{"what": each.what, "base_bytes": each.base, "skill_bytes": each.skills} for each in cost.passes],
        "read_bytes": cost.read,
    }


def _answer(
    found: _Found,
    policies: Sequence[Policy],
    problems: Problems,
    resources: dict[str, Any] | None,
    interference: Interference | None,
    comparison: dict[str, Any] | None,
    drawn: Path | None,
) -> Checked:
    surveyed = found.survey
    return Checked(
        ok=not problems.found,
        exit_code=problems.found[0].exit_code if problems.found else 0,
        expression=surveyed.expression,
        method=surveyed.method.name if surveyed.method is not None else None,
        recipe_digest=surveyed.resolved.recipe.digest if surveyed.resolved is not None else None,
        problems=[{"kind": each.kind, "message": each.message, "hint": each.hint} for each in problems.found],
        violations=problems.violations,
        warnings=_warnings(found, interference),
        inputs=_inputs(found),
        needs=[each.to_dict() for each in found.needed],
        licences=found.licences,
        policies=[policy.told() for policy in policies],
        resources=resources,
        interference=comparison,
        plot=str(drawn) if drawn is not None else None,
    )


def _warnings(found: _Found, interference: Interference | None) -> list[dict[str, object]]:
    surveyed = found.survey
    if surveyed.method is None:
        return []
    parameters = surveyed.resolved.recipe.parameters if surveyed.resolved is not None else {}
    return cautions(interference, surveyed.skills, found.deltas, surveyed.method, parameters)


def _inputs(found: _Found) -> list[dict[str, Any]]:
    """Every version that is read, with what each is told apart by."""
    surveyed = found.survey
    rows = [_input("base", version) for version in (surveyed.base, *surveyed.others) if version is not None]
    base_term = surveyed.resolved.recipe.base_term if surveyed.resolved is not None else None
    if base_term is not None:
        rows[0]["weight"] = base_term.weight
    for skill in surveyed.skills:
        delta = found.deltas[skill.id]
        rows.append(
            {
                **_input("skill", skill),
                "weight": surveyed.weights.get(skill.digest),
                "base": found.bases[delta.base_version_id].reference,
                "encoding": delta.encoding,
                "drop_rate": delta.drop_rate,
                "stored_bytes": delta.stored_bytes,
            }
        )
    if surveyed.head is not None:
        rows.append(_input("head", surveyed.head))
    return rows


def _input(role: str, version: ModelVersion) -> dict[str, Any]:
    return {
        "role": role,
        "reference": version.reference,
        "digest": version.digest,
        "state": version.state,
        "licence": version.licence,
    }


def _names(surveyed: Survey) -> list[str]:
    return [skill.reference for skill in surveyed.skills]

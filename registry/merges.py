"""From an expression or a merge's name to a recipe with every input resolved; recording merges."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from merging.methods import Method, Unified
from merging.recipes.expression import parse_expression
from merging.recipes.recipe import Chosen, Recipe, make_recipe
from merging.recipes.recipe_file import read_document, read_file
from merging.recipes.semantics import MERGEKIT, PAPER, check_semantics, method_of
from merging.recipes.stored import read_recipe
from merging.recipes.tensor_settings import idle_filters
from merging.settings import Setting, constant, varies
from registry.heads import NO_HEAD, choose_head, head_choice
from registry.home import Home
from registry.records.catalog import create_model_version, find_version_by_digest, resolve, versions_of_content
from registry.records.contents import load_deltas, load_tensors
from registry.records.lineage import add_lineage, parents
from registry.records.lookup import versions_by_id
from registry.records.names import parse_reference
from registry.records.readiness import refuse_unready
from registry.records.recipes import InputRow, load_recipe, recipe_document, recipe_inputs, record_recipe
from registry.records.tables import Delta, ModelVersion
from registry.resolved import Choices, ResolvedMerge
from registry.results import Merged
from registry.statistics_used import choose_statistics, statistics_notes
from registry.tasks import choose_task
from registry.terms import Resolved, resolve_terms
from registry.tokens.vocabulary import Asked, as_asked, left_out, settle
from storage.checkpoints.tensors import listed
from storage.errors import IntegrityFailure, NotFound, UsageError
from storage.paths import as_path

_RECIPE = re.compile(r"sha256:[0-9a-f]{64}")
Target = str | os.PathLike[str] | Mapping[str, Any]
"""An expression, a merge's reference, or a recipe's digest; a recipe file; or what stands in one."""


def asked_for(target: Target, choices: Choices) -> tuple[str, Choices]:
    """A target as text, and the choices: what a recipe file or document says, under what is chosen beside it."""
    if isinstance(target, str):
        return target, choices
    said = read_document(target, "the recipe") if isinstance(target, Mapping) else read_file(as_path(target))
    folder = Path() if isinstance(target, Mapping) else Path(target).parent
    beside = Asked(said.vocabulary, said.pad_vocabulary, said.chat_template, said.generation_config, said.tokens)
    beside = beside.beside(folder)
    parameters = {**(said.parameters or {}), **(choices.parameters or {})}
    return said.expression, Choices(
        choices.method or said.method,
        parameters,
        choices.head or said.head,
        choices.dtype or said.dtype,
        choices.semantics or said.semantics,
        choices.task,
        choices.statistics,
        choices.vocabulary.over(beside),
    )


def resolve_expression(session: Session, home: Home, text: str, choices: Choices) -> ResolvedMerge:
    """Parse an expression and resolve its names. Raises UsageError, NotFound or Conflict pointing at the term."""
    semantics = check_semantics(choices.semantics or PAPER)
    found = resolve_terms(session, parse_expression(text), semantics)
    return _resolved(session, home, found, choices, text)


def resolve_target(session: Session, home: Home, target: str, choices: Choices) -> ResolvedMerge:
    """What a user means by a target: an expression, or the reference of a merge (with other choices, if given)."""
    if not target.strip():
        raise UsageError(
            "no merge and no expression is named", hint="for example: assistant, assistant@2, or base + 0.6*skill"
        )
    if is_expression(target):
        return resolve_expression(session, home, target, choices)
    if is_recipe(target.strip()):
        if choices.any:
            raise UsageError("a recipe's digest means that recipe as it is", hint="name the merge, or the expression")
        return recorded(session, target.strip())
    version = resolve(session, parse_reference(target.strip()))
    if version.kind != "merge":
        example = f'"BASE + {target}"'
        if version.kind == "base":
            example = f'"{target} + 0.6*SKILL"; with weight 0 it has the values of the base'
        raise NotFound(
            f"there is no merge {target!r}: it is a {version.kind}",
            hint=f"to combine it, write an expression: {example}",
        )
    refuse_unready(session, version)
    stored = stored_merge(session, version)
    return _vary(session, home, stored, choices) if choices.any else stored


def is_expression(target: str) -> bool:
    """Whether a target is an expression, and not the reference of a merge."""
    return any(character.isspace() or character in "+*" for character in target.strip())


def is_recipe(target: str) -> bool:
    """Whether a target is the digest of a recipe."""
    return bool(_RECIPE.fullmatch(target))


def recorded(session: Session, digest: str) -> ResolvedMerge:
    """A recipe by its digest, as the newest ready merge that it is, if it is one. Raises NotFound."""
    record = load_recipe(session, digest)
    merges = versions_of_content(session, digest, "merge")
    ready = [version for version in merges if version.state == "ready"]
    if merges and not ready:
        refuse_unready(session, merges[-1])
    return stored_merge(session, ready[-1]) if ready else stored_recipe(session, record.digest)


def stored_merge(session: Session, version: ModelVersion) -> ResolvedMerge:
    """A named merge as it was recorded, with its own inputs: another version may have the content of one of them."""
    recipe = read_recipe(recipe_document(session, version.digest))
    inputs = {(role, parent.digest): parent for parent, role in parents(session, version.id)}
    try:
        return with_inputs(recipe, inputs, str(version.attributes.get("expression", "")), version)
    except KeyError as error:
        raise IntegrityFailure(f"{version.reference}: the lineage lacks an input of its recipe: {error}") from error


def stored_recipe(session: Session, digest: str) -> ResolvedMerge:
    """A recipe as it was recorded, that no merge names or whose name does not matter, with its own inputs."""
    recipe = read_recipe(recipe_document(session, digest))
    rows = recipe_inputs(session, digest)
    versions = versions_by_id(session, (row.version_id for row in rows))
    inputs = {(row.role, versions[row.version_id].digest): versions[row.version_id] for row in rows}
    try:
        return with_inputs(recipe, inputs, digest)
    except KeyError as error:
        raise IntegrityFailure(f"recipe {digest}: the records lack one of its inputs: {error}") from error


def with_inputs(
    recipe: Recipe, inputs: Mapping[tuple[str, str], ModelVersion], expression: str, merge: ModelVersion | None = None
) -> ResolvedMerge:
    """A recipe with its inputs, by role and digest; KeyError for one that is not among them."""
    base = inputs["base", recipe.base]
    skills = tuple(inputs["skill", term.skill] for term in recipe.terms)
    head = inputs["head", recipe.head] if recipe.head else None
    others = tuple(inputs["base", each] for each in sorted({term.base for term in recipe.terms if term.base}))
    return ResolvedMerge(recipe, base, skills, head, expression, merge, others)


def record(session: Session, resolved: ResolvedMerge, *, actor: str) -> None:
    """Make sure that the recipe and its inputs are on record."""
    weights = resolved.weights
    rows = [InputRow(each.id, "base") for each in (resolved.base, *resolved.others)]
    rows += [InputRow(skill.id, "skill", _number(weights[skill.digest])) for skill in resolved.skills]
    rows += [InputRow(resolved.head.id, "head")] if resolved.head else []
    record_recipe(session, canonical=resolved.recipe.canonical, method=resolved.recipe.method, inputs=rows, actor=actor)


def record_merge(
    session: Session, name: str, resolved: ResolvedMerge, *, actor: str, unified: Mapping[str, Any] | None = None
) -> Merged:
    """Name and version a recipe. The same recipe under the same name again is recognised.

    ``unified``: what is to be told of the vector that was stored for it.
    """
    recipe = resolved.recipe
    refuse_unready(session, *resolved.inputs)
    known = find_version_by_digest(session, name, recipe.digest)
    if known is not None and known.kind == "merge":
        refuse_unready(session, known)
        return _merged(name, known, resolved, created=False)
    version = create_model_version(
        session,
        name=name,
        kind="merge",
        digest=recipe.digest,
        actor=actor,
        attributes={"expression": resolved.expression} | ({"unified": dict(unified)} if unified else {}),
    )
    record(session, resolved, actor=actor)
    inputs = [(each, "base") for each in (resolved.base, *resolved.others)]
    inputs += [(skill, "skill") for skill in resolved.skills]
    inputs += [(resolved.head, "head")] if resolved.head else []
    add_lineage(session, version, inputs, actor=actor)
    return _merged(name, version, resolved, created=True)


def _merged(name: str, version: ModelVersion, resolved: ResolvedMerge, *, created: bool) -> Merged:
    recipe = resolved.recipe
    notes = notes_of(resolved)
    unified = version.attributes.get("unified")
    return Merged(name, version.version, recipe.digest, recipe.to_dict(), resolved.expression, created, notes, unified)


def _resolved(
    session: Session,
    home: Home,
    found: Resolved,
    choices: Choices,
    text: str,
    recorded: Mapping[str, str] | None = None,
) -> ResolvedMerge:
    base, skills = found.base, list(found.skills)
    semantics = choices.semantics or PAPER
    method = method_of(semantics, choices.method or "task_arithmetic")
    task = choose_task(session, method, skills, choices.task)
    head = choose_head(session, base, [task] if task else skills, head_choice(method, task, choices.head))
    stored_sparse = sparse_skills(session, skills)
    refuse_sparse(method, [skill for skill in skills if skill.digest in stored_sparse])
    statistics = choose_statistics(session, method, skills, choices.statistics or {}, recorded or {})
    with _by_reference((base, *skills)):
        recipe = make_recipe(
            method.name,
            base.digest,
            found.chosen,
            choices.parameters or {},
            stored_sparse=stored_sparse,
            head=head.digest if head else None,
            dtype=output_dtype(choices.dtype),
            files=base.attributes.get("files"),
            semantics=semantics,
            task=task.digest if task else None,
            statistics=statistics,
        )
    by_digest = {skill.digest: skill for skill in skills}
    ordered = tuple(by_digest[term.skill] for term in recipe.terms)
    idle = _idle_filters(session, recipe, {base.digest: base} | by_digest)
    recipe = settle(session, home, recipe, base, ordered, choices.vocabulary)
    notes = (*idle, *statistics_notes(session, recipe.statistics, ordered))
    return ResolvedMerge(recipe, base, ordered, head, text, others=found.others, notes=notes)


@contextmanager
def _by_reference(models: Sequence[ModelVersion]) -> Iterator[None]:
    """Errors within it name models as a user does: a recipe knows them by their digests."""
    try:
        yield
    except UsageError as error:
        message, hint = error.message, error.hint
        for model in models:
            message = message.replace(model.digest, model.reference)
            hint = hint.replace(model.digest, model.reference) if hint else hint
        raise UsageError(message, hint=hint, details=error.details) from error


def _idle_filters(session: Session, recipe: Recipe, models: Mapping[str, ModelVersion]) -> tuple[str, ...]:
    """Notes on filters that fit no tensor, as mergekit lets them stand. Raises UsageError with the papers'."""
    if not recipe.varies:
        return ()
    names = [tensor.name for tensor in load_tensors(session, models[recipe.base].id)]
    notes = []
    for what, skill, pattern in idle_filters(recipe, names):
        whose = f" of {models[skill].reference}" if skill else ""
        note = f"{what}{whose}: the filter {pattern!r} fits none of the base's {len(names)} tensors"
        if recipe.semantics == PAPER:
            wild = set(pattern) & set("*?[")
            raise UsageError(
                note,
                hint=f"names are such as {listed(names, 2)}; "
                + (
                    f"a filter with * ? [ ] is compared with the whole name: '*{pattern.strip('*')}*' with any part"
                    if wild
                    else "correct it, or leave it out"
                ),
            )
        notes.append(note)
    return tuple(notes)


def notes_of(resolved: ResolvedMerge) -> list[str]:
    """What a person should know of a merge: what is not in it of its skills, whose head is, what has no effect."""
    notes = left_out(resolved.recipe, resolved.skills)
    if resolved.head is not None:
        own = resolved.head.attributes["head"]
        notes.append(
            f"it carries the task head of {resolved.head.reference} ({listed(own, 3)}), and is a model of that kind; "
            "--head none leaves it out"
        )
    return [*notes, *resolved.notes]


def _vary(session: Session, home: Home, stored: ResolvedMerge, choices: Choices) -> ResolvedMerge:
    """A named merge with some choices made otherwise: another recipe, which is not that merge any more."""
    recipe = stored.recipe
    if recipe.slices:
        raise UsageError(
            f"{stored.expression!r} stacks layers, and is materialized as it is",
            hint="change the configuration that it was imported from, and import it again",
        )
    semantics = choices.semantics or recipe.semantics
    if semantics == MERGEKIT and recipe.semantics != MERGEKIT and len(recipe.terms) > 1:
        raise UsageError(
            "with the semantics of mergekit the order of the models counts, and this merge's recipe has none",
            hint=f'write the expression in the order that is meant: "{stored.expression}"',
        )
    same_method = choices.method in (None, recipe.method) and semantics == recipe.semantics
    given = {**(recipe.parameters if same_method else {}), **(choices.parameters or {})}
    unified = same_method and isinstance(recipe.definition.how, Unified)
    own_head = stored.head.reference if stored.head else None if unified else NO_HEAD
    head = choices.head or own_head
    chosen = {model.skill: Chosen(model.weight, model.parameters, model.base) for model in recipe.lineup}
    varied = _resolved(
        session,
        home,
        Resolved(stored.base, stored.skills, chosen, stored.others),
        Choices(
            choices.method or recipe.method,
            given,
            head,
            choices.dtype or recipe.dtype,
            semantics,
            choices.task,
            choices.statistics,
            choices.vocabulary.over(as_asked(recipe, stored.skills)),
        ),
        stored.expression,
        recipe.statistics if same_method else None,
    )
    same = varied.recipe == recipe or (unified and choices.head is None and varied.recipe.dtype == recipe.dtype)
    return replace(varied, merge=stored.merge if same else None, unified=stored.merge if unified else None)


def sparse_skills(session: Session, skills: Sequence[ModelVersion]) -> frozenset[str]:
    """The digests of those of which only a part was stored."""
    deltas = load_deltas(session, (skill.id for skill in skills))
    return frozenset(skill.digest for skill in skills if skill.id in deltas and _is_sparse(deltas[skill.id]))


def refuse_sparse(method: Method, sparse: Sequence[ModelVersion]) -> None:
    """A method that looks at all of a delta is not given a part of it."""
    if "unsparsified" in method.needs and sparse:
        names = ", ".join(skill.reference for skill in sparse)
        raise UsageError(
            f"{method.name} needs all of each skill's delta, and of {names} only a part was stored",
            hint="register the fine-tunes again with --encoding exact: "
            + "; ".join(f"mergestore register skill {each.name} PATH --base BASE --encoding exact" for each in sparse),
        )


def _is_sparse(delta: Delta) -> bool:
    return bool(delta.drop_rate) or delta.encoding == "magnitude"


def output_dtype(dtype: str | None) -> str | None:
    """A dtype as recipes spell it: also of the names that torch has for it."""
    names = {"FLOAT32": "F32", "FLOAT16": "F16", "BFLOAT16": "BF16", "FP32": "F32", "FP16": "F16"}
    return names.get(dtype.upper(), dtype.upper()) if dtype else None


def _number(weight: Setting | None) -> float | None:
    """A weight as its column has it: none where it differs from tensor to tensor, which the recipe tells."""
    return None if weight is None or varies(weight) else float(constant(weight))

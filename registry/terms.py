"""From the names of an expression to the versions behind them: the target base, and what is added to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from merging.recipes.expression import Expression, Term, pointed
from merging.recipes.recipe import Chosen
from merging.recipes.semantics import MERGEKIT, PAPER
from registry.problems import Problems
from registry.records.catalog import resolve
from registry.records.contents import load_deltas, load_tensors
from registry.records.lookup import find_versions, versions_by_id
from registry.records.names import Reference, parse_reference
from registry.records.tables import ModelVersion
from storage.checkpoints.tensors import listed
from storage.errors import Conflict, NotFound


@dataclass(frozen=True)
class Resolved:
    """The versions of an expression. ``others``: bases, beside its own, that skills were made against."""

    base: ModelVersion
    skills: tuple[ModelVersion, ...]
    chosen: Mapping[str, Chosen]  # by skill digest
    others: tuple[ModelVersion, ...]


@dataclass(frozen=True)
class _Part:
    """A term and the version that it names."""

    term: Term
    version: ModelVersion


def resolve_terms(session: Session, expression: Expression, semantics: str = PAPER) -> Resolved:
    """Look every name up. Raises UsageError, NotFound or Conflict pointing at the term.

    With the semantics of mergekit, the base may be one of the terms.
    """
    first = _at(expression, 0, lambda: resolve(session, parse_reference(expression.base), kinds=("base", "skill")))
    base = first if first.kind == "base" else _base_of(session, [first])[first.id]
    found = find_versions(session, [parse_reference(term.reference) for term in expression.terms])
    own_base = base.digest if semantics == MERGEKIT else None
    parts = [_Part(term, _version(session, expression, term, found, own_base)) for term in expression.terms]
    if first.kind == "skill":
        target = Term(expression.base, 1.0, expression.text.index(expression.base))
        parts = [_Part(target, first), *parts]
    models = [part for part in parts if part.version.kind == "skill" or part.term.group is None]
    if not models:
        raise pointed(expression.text, len(expression.text), "no skill is added to the base")
    _refuse_twice(expression, models)
    skills = [part for part in models if part.version.kind == "skill"]
    own = _base_of(session, (part.version for part in skills))
    groups = _groups(expression, parts, own)
    for part in skills:
        _refuse_other_base(session, expression, part, own[part.version.id], base, groups.get(part.term.group, []))
    others = {each.digest: each for each in (own[part.version.id] for part in skills) if each.digest != base.digest}
    return Resolved(
        base,
        tuple(part.version for part in skills),
        {part.version.digest: _chosen(part.term, own.get(part.version.id, base)) for part in models},
        tuple(others.values()),
    )


@dataclass(frozen=True)
class Surveyed:
    """What of an expression was found: its base, its skills with the terms that name them, and whether that is all."""

    base: ModelVersion | None
    skills: tuple[tuple[Term, ModelVersion], ...]
    complete: bool


def survey_terms(session: Session, expression: Expression, problems: Problems, semantics: str = PAPER) -> Surveyed:
    """As ``resolve_terms``, but every problem is noted, and what can be found is."""
    parts: list[_Part] = []
    first = base = None
    with problems.noted():
        first = _at(expression, 0, lambda: resolve(session, parse_reference(expression.base), kinds=("base", "skill")))
        base = first if first.kind == "base" else _base_of(session, [first])[first.id]
        if first.kind == "skill":
            parts.append(_Part(Term(expression.base, 1.0, expression.text.index(expression.base)), first))
    for term in expression.terms:
        with problems.noted():
            found = find_versions(session, [parse_reference(term.reference)])
            own_base = base.digest if base is not None and semantics == MERGEKIT else None
            parts.append(_Part(term, _version(session, expression, term, found, own_base)))
    skills = [part for part in parts if part.version.kind == "skill"]
    for count in range(len(skills)):
        with problems.noted():
            _refuse_twice(expression, skills[: count + 1])
    own = _base_of(session, (part.version for part in skills))
    for part in skills if base is not None else []:
        named = [each.version for each in parts if each.term.group == part.term.group and each.version.kind == "base"]
        with problems.noted():
            _refuse_other_base(session, expression, part, own[part.version.id], base, named)
    complete = first is not None and len(parts) == len(expression.terms) + (first.kind == "skill")
    return Surveyed(base, tuple((part.term, part.version) for part in skills), complete)


def _chosen(term: Term, own: ModelVersion) -> Chosen:
    return Chosen(term.weight, term.parameters, own.digest)


def _base_of(session: Session, skills: Iterable[ModelVersion]) -> dict[int, ModelVersion]:
    """The base that each skill was made against, by the skill's id."""
    deltas = load_deltas(session, [skill.id for skill in skills])
    bases = versions_by_id(session, (delta.base_version_id for delta in deltas.values()))
    return {skill: bases[delta.base_version_id] for skill, delta in deltas.items()}


def _version(
    session: Session,
    expression: Expression,
    term: Term,
    found: Mapping[Reference, ModelVersion],
    own_base: str | None,
) -> ModelVersion:
    """The version of a term: a skill; within parentheses a base too; and the base ``own_base`` (a digest) anywhere."""
    reference, kinds = parse_reference(term.reference), ("skill",) if term.group is None else ("skill", "base")
    version = found.get(reference)
    if version is not None and (version.kind in kinds or (version.kind == "base" and version.digest == own_base)):
        return version
    if version is not None and version.kind == "base" and own_base is None:
        raise pointed(
            expression.text,
            term.position,
            f"{version.reference} is a base, of which nothing can be added to a base",
            "a base stands first, and within parentheses: general + 0.4*(math - pretrained); with a weight, as a model "
            "like the others, it stands with --semantics mergekit only",
        )
    # Asked again, and alone, it says what is wrong.
    return _at(expression, term.position, lambda: resolve(session, reference, kinds=kinds))


def _groups(
    expression: Expression, parts: list[_Part], own: Mapping[int, ModelVersion]
) -> dict[int | None, list[ModelVersion]]:
    """The bases that parentheses name, which must be what their skills are deltas from."""
    groups: dict[int, list[_Part]] = defaultdict(list)
    for part in parts:
        if part.term.group is not None:
            groups[part.term.group].append(part)
    named: dict[int | None, list[ModelVersion]] = {}
    for group, members in groups.items():
        bases = [part for part in members if part.version.kind == "base"]
        if bases:
            _check_group(expression, members, bases, own)
        named[group] = [part.version for part in bases]
    return named


def _check_group(
    expression: Expression, members: list[_Part], bases: list[_Part], own: Mapping[int, ModelVersion]
) -> None:
    """Models minus models are a delta where their factors cancel, and each base is that of some skill."""
    stands = {own[part.version.id].digest for part in members if part.version.kind == "skill"}
    for part in bases:
        if part.version.digest not in stands:
            raise pointed(
                expression.text,
                part.term.position,
                f"no skill within these parentheses is a fine-tune of {part.version.reference}",
                "write for instance general + 0.4*(math - pretrained), where math is a skill of pretrained",
            )
        if part.term.parameters:
            raise pointed(expression.text, part.term.position, "a base has no parameters of a method")
    if abs(sum(part.term.factor for part in members)) > 1e-9:
        raise pointed(
            expression.text,
            bases[0].term.position,
            "within these parentheses models do not cancel, so what is left is no delta",
            "subtract the base as often as fine-tunes are added: 0.5*math + 0.5*code - pretrained",
        )


def _refuse_other_base(
    session: Session,
    expression: Expression,
    part: _Part,
    own: ModelVersion,
    base: ModelVersion,
    named: list[ModelVersion],
) -> None:
    if own.digest == base.digest or any(own.digest == each.digest for each in named):
        return
    differing = _differing(session, own, base)
    skill, text = part.version, expression.text
    raise Conflict(
        f"{skill.reference} is a skill of {own.reference}, not of {base.reference}: the two differ in "
        f"{listed(differing)}\n  {text}\n  {' ' * part.term.position}^",
        hint=f"a delta fits its own base: begin the expression with {own.reference}; or, to add it to another base on "
        f"purpose, write ({part.term.reference} - {own.name})",
        details={"tensors": differing},
    )


def _differing(session: Session, one: ModelVersion, other: ModelVersion) -> list[str]:
    """Names of the tensors that two bases do not share."""
    ours, theirs = (
        {tensor.name: (tensor.dtype, tensor.shape, tensor.digest) for tensor in load_tensors(session, version.id)}
        for version in (one, other)
    )
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


def _refuse_twice(expression: Expression, parts: list[_Part]) -> None:
    seen: dict[str, ModelVersion] = {}
    for part in parts:
        skill = part.version
        if skill.digest in seen:
            first = seen[skill.digest]
            same = "stands here twice" if first.id == skill.id else f"is the same content as {first.reference}"
            raise pointed(
                expression.text, part.term.position, f"{skill.reference} {same}", "add the weights up in one term"
            )
        seen[skill.digest] = skill


def _at(expression: Expression, position: int, find: Callable[[], ModelVersion]) -> ModelVersion:
    """Run ``find`` and show where in the expression the name stands that it did not find."""
    text = expression.text
    position = position or text.index(expression.base)
    try:
        return find()
    except (NotFound, Conflict) as error:
        message = f"{error.message}\n  {text}\n  {' ' * position}^"
        raise type(error)(message, hint=error.hint, details=error.details) from error

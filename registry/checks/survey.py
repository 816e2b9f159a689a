"""What a target means as far as it means anything, and everything that keeps it from being merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.orm import Session

from merging.adapters.settings import Extraction
from merging.methods import Method
from merging.recipes.expression import Term, parse_expression
from merging.recipes.recipe import check_dtype
from merging.recipes.semantics import PAPER, method_of
from merging.settings import Setting
from registry.adapters import as_adapter
from registry.heads import choose_head, head_choice
from registry.home import Home
from registry.merges import (
    is_expression,
    is_recipe,
    output_dtype,
    recorded,
    refuse_sparse,
    resolve_target,
    sparse_skills,
    stored_merge,
)
from registry.problems import Problems
from registry.records.catalog import resolve
from registry.records.names import parse_reference
from registry.records.readiness import refuse_unready
from registry.records.tables import ModelVersion
from registry.resolved import Choices, ResolvedMerge
from registry.tasks import choose_task, require_task
from registry.terms import survey_terms

DEFAULT_METHOD = "task_arithmetic"


@dataclass(frozen=True)
class Survey:
    """What was found: everything where ``resolved`` is not None, else what there is of it.

    ``weights``: by skill digest, as the expression or the recipe has them. ``complete``: whether no name is missing.
    """

    expression: str
    resolved: ResolvedMerge | None = None
    method: Method | None = None
    base: ModelVersion | None = None
    others: tuple[ModelVersion, ...] = ()
    skills: tuple[ModelVersion, ...] = ()
    head: ModelVersion | None = None
    weights: Mapping[str, Setting | None] = field(default_factory=dict)
    complete: bool = True

    @property
    def roots(self) -> list[ModelVersion]:
        """Where the lineage of what was found begins."""
        if self.resolved is not None:
            return list(self.resolved.roots)
        return _each_once([self.base, *self.others, *self.skills, self.head])


def survey(
    session: Session, home: Home, target: str, choices: Choices, problems: Problems, adapter: Extraction | None = None
) -> Survey:
    """Resolve a target as ``materialize`` does; where that fails, note every problem that can be found.

    The first is the one that ``materialize`` would raise. ``adapter``: it is to be made of the result.
    """
    resolved = None
    with problems.noted():
        resolved = resolve_target(session, home, target, choices)
        require_task(resolved)
        resolved = resolved if adapter is None else as_adapter(resolved, adapter)
    found = _of_resolved(resolved) if resolved is not None else _in_parts(session, target, choices, problems)
    for version in _each_once([found.base, *found.others, *found.skills, found.head]):
        with problems.noted():
            refuse_unready(session, version)
    return found


def _of_resolved(resolved: ResolvedMerge) -> Survey:
    return Survey(
        resolved.expression,
        resolved,
        resolved.recipe.definition,
        resolved.base,
        resolved.others,
        resolved.skills,
        resolved.head,
        resolved.weights,
    )


def _in_parts(session: Session, target: str, choices: Choices, problems: Problems) -> Survey:
    """One by one what ``resolve_target`` does until it fails."""
    with problems.noted():
        check_dtype(output_dtype(choices.dtype))
    if is_expression(target):
        found, terms = _expression(session, target, choices, problems)
    else:
        found, terms = _named(session, target, choices, problems), ()
    if found.method is not None:
        _survey_method(session, found, terms, choices, problems)
    if found.base is not None and (is_expression(target) or choices.head is not None):
        with problems.noted():
            found = replace(found, head=_head(session, found, choices))
    return found


def _head(session: Session, found: Survey, choices: Choices) -> ModelVersion | None:
    assert found.base is not None
    if found.method is None:
        return None
    task = choose_task(session, found.method, found.skills, choices.task)
    chosen = head_choice(found.method, task, choices.head)
    return choose_head(session, found.base, [task] if task else list(found.skills), chosen)


def _expression(
    session: Session, text: str, choices: Choices, problems: Problems
) -> tuple[Survey, tuple[tuple[Term, ModelVersion], ...]]:
    found = Survey(text, method=_method(choices, problems))
    with problems.noted():
        surveyed = survey_terms(session, parse_expression(text), problems, choices.semantics or PAPER)
        skills = _each_once([version for _, version in surveyed.skills])
        weights = {version.digest: term.weight for term, version in surveyed.skills}
        found = replace(found, base=surveyed.base, skills=tuple(skills), weights=weights, complete=surveyed.complete)
        return found, surveyed.skills
    return replace(found, complete=False), ()


def _named(session: Session, target: str, choices: Choices, problems: Problems) -> Survey:
    """The merge of a reference, whatever its state."""
    with problems.noted():
        if is_recipe(target.strip()):
            return replace(_of_resolved(recorded(session, target.strip())), resolved=None)
        version = resolve(session, parse_reference(target.strip()))
        if version.kind == "merge":
            found = _of_resolved(stored_merge(session, version))
            method = _method(choices, problems) if choices.method else found.method
            return replace(found, resolved=None, method=method)
    return Survey(target, method=_method(choices, problems), complete=False)


def _method(choices: Choices, problems: Problems) -> Method | None:
    with problems.noted():
        return method_of(choices.semantics or PAPER, choices.method or DEFAULT_METHOD)
    return None


def _survey_method(
    session: Session, found: Survey, terms: Sequence[tuple[Term, ModelVersion]], choices: Choices, problems: Problems
) -> None:
    """Whether method, skills, weights and parameters go together, each question by itself."""
    method, skills = found.method, found.skills
    assert method is not None
    sparse = sparse_skills(session, skills)
    draws = len(sparse) < len(skills) or not found.complete
    with problems.noted():
        refuse_sparse(method, [skill for skill in skills if skill.digest in sparse])
    alone = replace(method, consistent=None)  # whether parameters go together is for all of them to say
    for name, value in (choices.parameters or {}).items():
        with problems.noted():
            alone.check({name: value}, draws=draws)
    for term, version in terms:
        for name, value in term.parameters.items():
            with problems.noted():
                method.check_each({name: value}, version.reference, draws=version.digest not in sparse)
    if found.complete:
        with problems.noted():
            method.check_skills([weight for weight in found.weights.values() if weight is not None])


def _each_once(versions: Sequence[ModelVersion | None]) -> list[ModelVersion]:
    return list({version.id: version for version in versions if version is not None}.values())

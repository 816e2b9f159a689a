"""Recipes: a merge as canonical JSON over digests. The digest of that JSON is the merge's identity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from merging.adapters.settings import Extraction
from merging.mergekit.lineup import check_models, order_of
from merging.mergekit.stack import OF_THE_WHOLE, LayerSlice, SliceModel
from merging.methods import Method, Unified
from merging.recipes.semantics import MERGEKIT, PAPER, method_of
from merging.recipes.vocabulary import ChatTemplate, Vocabulary
from merging.settings import Setting, checked, constant, varies
from storage.digests import canonical_json, json_digest
from storage.dtypes import MERGEABLE
from storage.errors import UsageError

FORMAT = 1
EXTENDED_FORMAT = 2
"""Of recipes that say something which format 1 has no word for; all others keep format 1, and so their digests."""
MAX_WEIGHT = 1e30
"""Weights stay well inside fp32, rescaled or not."""


@dataclass(frozen=True)
class RecipeTerm:
    """One skill of a recipe: its digest and its signed weight.

    ``parameters``: those of the method that are this skill's own. ``base``: digest of the base that its delta was made
    against, where that is another one than the recipe's: it is added to that one all the same.
    """

    skill: str
    weight: Setting
    parameters: Mapping[str, Setting] = field(default_factory=dict)
    base: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Its part of the recipe's JSON."""
        own = {"parameters": dict(self.parameters)} if self.parameters else {}
        other = {"base": self.base} if self.base else {}
        return {"skill": self.skill, "weight": self.weight} | own | other

    @property
    def extended(self) -> bool:
        """Whether it says something that format 1 has no word for."""
        return varies(self.weight) or bool(self.parameters) or self.base is not None


@dataclass(frozen=True)
class Recipe:
    """Method, base, skills with weights in canonical order (by skill digest), parameters, head and dtype.

    Two recipes of the same digest give the same output bytes. ``head``: digest of the skill whose extra tensors
    (a task head) the result carries. ``dtype``: the output dtype of merged tensors, None for the base's own.
    ``files``: digest of the base's companion files (config, tokenizer), which the result is published with.

    With the semantics of mergekit the base may be one of the models, ``base_term``; and sums are in the order of the
    models: ``order`` has for each in turn its place among the terms, or behind them for the base, where that is not
    the canonical order. ``slices``: layers are stacked, each slice of models of its own; terms then have no weights.
    ``adapter``: the result is not the merged model but a LoRA adapter of its delta, which is then computed in fp32
    whatever ``dtype`` says, and how it is extracted.
    ``task``: of a method that keeps one vector for all skills, the skill whose model it is; None for all of them.
    ``statistics``: by skill digest, the digest of the statistics that the method merges with; of all or none.
    ``vocabulary``: what becomes of added tokens, where they are not left out. ``chat_template``, ``generation_config``
    (base, or a skill's digest): whose they are, where they are not the tokenizer's.
    """

    method: str
    base: str
    terms: tuple[RecipeTerm, ...]
    parameters: Mapping[str, Setting]
    head: str | None = None
    dtype: str | None = None
    files: str | None = None
    adapter: Extraction | None = None
    semantics: str = PAPER
    base_term: RecipeTerm | None = None
    order: tuple[int, ...] | None = None
    slices: tuple[LayerSlice, ...] = ()
    task: str | None = None
    statistics: Mapping[str, str] = field(default_factory=dict)
    vocabulary: Vocabulary | None = None
    chat_template: ChatTemplate | None = None
    generation_config: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON document that is digested."""
        added = self._added()
        extended = bool(added) or self.varies or self.semantics != PAPER or any(term.extended for term in self.terms)
        return added | {
            "format": EXTENDED_FORMAT if extended else FORMAT,
            "semantics": self.semantics,
            "method": self.method,
            "base": self.base,
            "files": self.files,
            "terms": [term.to_dict() for term in self.terms],
            "parameters": dict(self.parameters),
            "head": self.head,
            "dtype": self.dtype,
        }

    def _added(self) -> dict[str, Any]:
        """The fields that format 2 added: those that say something."""
        added: dict[str, Any] = {"adapter": self.adapter.to_dict()} if self.adapter else {}
        if self.task is not None:
            added["task"] = self.task
        if self.base_term is not None:
            added["base_term"] = {key: value for key, value in self.base_term.to_dict().items() if key != "skill"}
        if self.order is not None:
            added["order"] = list(self.order)
        if self.slices:
            added["slices"] = [each.to_dict() for each in self.slices]
        if self.statistics:
            added["statistics"] = dict(self.statistics)
        added |= {"vocabulary": self.vocabulary.to_dict()} if self.vocabulary else {}
        added |= {"chat_template": self.chat_template.to_dict()} if self.chat_template else {}
        return added | ({"generation_config": self.generation_config} if self.generation_config else {})

    @property
    def inputs(self) -> tuple[str, ...]:
        """The digests of all that it reads."""
        others = (term.base for term in self.terms if term.base)
        return (self.base, *(term.skill for term in self.terms), *others, *filter(None, [self.head]))

    @property
    def definition(self) -> Method:
        """What its method is and takes, under its semantics."""
        return method_of(self.semantics, self.method)

    @property
    def models(self) -> tuple[RecipeTerm, ...]:
        """What is combined, in canonical order: the skills, and behind them the base where it is one of the models."""
        return self.terms if self.base_term is None else (*self.terms, self.base_term)

    @property
    def places(self) -> tuple[int, ...]:
        """The places of the models in the order in which they are combined."""
        return tuple(range(len(self.models))) if self.order is None else self.order

    @property
    def lineup(self) -> tuple[RecipeTerm, ...]:
        """The models in the order in which they are combined."""
        return tuple(self.models[place] for place in self.places)

    @property
    def varies(self) -> bool:
        """Whether weights or parameters differ from tensor to tensor."""
        settings = [*self.parameters.values(), *(term.weight for term in self.models)]
        settings += [value for term in self.models for value in term.parameters.values()]
        return any(map(varies, settings))

    @property
    def canonical(self) -> str:
        """The canonical JSON text."""
        return canonical_json(self.to_dict()).decode()

    @property
    def digest(self) -> str:
        """``sha256:…`` of the canonical JSON."""
        return json_digest(self.to_dict())


@dataclass(frozen=True)
class Chosen:
    """What is said of one skill when a recipe is made: weight, parameters of its own, another base of its own."""

    weight: object
    parameters: Mapping[str, object] = field(default_factory=dict)
    base: str | None = None


def make_recipe(
    method: str,
    base: str,
    skills: Mapping[str, Chosen | float],
    parameters: Mapping[str, object],
    *,
    stored_sparse: frozenset[str] = frozenset(),
    head: str | None = None,
    dtype: str | None = None,
    files: str | None = None,
    semantics: str = PAPER,
    task: str | None = None,
    statistics: Mapping[str, str] | None = None,
) -> Recipe:
    """Build a recipe from digests, checking parameters and putting terms in canonical order.

    ``skills``: what is chosen of each, by digest, or its weight alone; with the semantics of mergekit, in the order of
    the models, and the base may be one of them. ``stored_sparse`` names the skills that were sparsified when they were
    stored; a parameter that would then have no effect is not recorded, and refused when given. ``statistics``: their
    digests, by skill digest, for a method that needs them. Raises UsageError.
    """
    definition = method_of(semantics, method)
    if not skills:
        raise UsageError("a recipe needs at least one skill")
    if "unsparsified" in definition.needs and (sparse := sorted(set(skills) & stored_sparse)):
        raise UsageError(
            f"{method} needs all of each delta, and {len(sparse)} skills were sparsified when they were registered: "
            f"{', '.join(sparse)}",
            hint="register their fine-tunes again with --encoding exact",
        )
    check_dtype(dtype)
    if task is not None:
        _check_task(definition, task, skills)
    build = _in_line if semantics == MERGEKIT else _by_paper
    built = build(definition, base, skills, parameters, stored_sparse)
    collected = dict(statistics or {})
    if collected and set(collected) != _needing(definition, built.terms):
        needed = len(_needing(definition, built.terms))
        raise UsageError(
            f"{method} is given statistics of {len(collected)} skills, and needs them of {needed}",
            hint=f"see `mergestore methods {method}`",
        )
    return replace(built, head=head, dtype=dtype, files=files, task=task, statistics=collected)


def _check_task(method: Method, task: str, skills: Iterable[str]) -> None:
    if not isinstance(method.how, Unified):
        raise UsageError(
            f"{method.name} has no tasks: it makes one model of all skills",
            hint="leave the task out; --method emr keeps a model for each skill",
        )
    if task not in skills:
        raise UsageError(f"the task {task} is not one of the merged skills")


def _by_paper(
    method: Method,
    base: str,
    skills: Mapping[str, Chosen | float],
    parameters: Mapping[str, object],
    stored_sparse: frozenset[str],
) -> Recipe:
    if base in skills:
        raise UsageError(
            "only with the semantics of mergekit the base is one of the models", hint="choose --semantics mergekit"
        )
    settled = method.check(parameters, draws=not set(skills) <= stored_sparse)
    terms = tuple(_term(method, base, skill, skills[skill], settled, stored_sparse) for skill in sorted(skills))
    _refuse_uneven_trimming(settled, terms)
    if isinstance(method.how, Unified) and any(term.base for term in terms):
        raise UsageError(f"{method.name} keeps one vector for skills of one base, and here is one of another base")
    weights = [term.weight for term in terms]
    method.check_skills(weights)
    if method.sums(settled, len(terms)) and not any(map(varies, weights)):
        check_sum(method.name, [float(constant(weight)) for weight in weights], can_choose="normalize" in settled)
    return Recipe(method.name, base, terms, settled)


def _in_line(
    method: Method,
    base: str,
    models: Mapping[str, Chosen | float],
    parameters: Mapping[str, object],
    stored_sparse: frozenset[str],
) -> Recipe:
    """A recipe with the semantics of mergekit: the models in their order, of which the base may be one."""
    del stored_sparse  # what was dropped when it was stored is rebuilt, and dropped again if the method drops
    settled = method.check(parameters, draws=True)
    terms = {model: _term(method, base, model, models[model], settled, frozenset()) for model in models}
    if foreign := [model for model, term in terms.items() if term.base is not None]:
        raise UsageError(f"with the semantics of mergekit every skill is one of the base; not so {', '.join(foreign)}")
    check_models(method, settled, {model: term.weight for model, term in terms.items()}, base)
    skills = sorted(set(terms) - {base})
    canonical = [*skills, *({base} & set(terms))]
    return Recipe(
        method.name,
        base,
        tuple(terms[skill] for skill in skills),
        settled,
        semantics=MERGEKIT,
        base_term=terms.get(base),
        order=order_of(list(terms), canonical),
    )


def _needing(definition: Method, terms: Sequence[RecipeTerm]) -> set[str]:
    """The skills of which statistics are needed."""
    return {term.skill for term in terms} if definition.collects(len(terms)) else set()


def make_stacked(
    method: str,
    base: str,
    slices: Sequence[LayerSlice],
    parameters: Mapping[str, object],
    *,
    dtype: str | None = None,
    files: str | None = None,
) -> Recipe:
    """Build a recipe with mergekit's semantics whose layers are stacked.

    ``slices``: what is chosen of each, unchecked; models are digests, and the base may be one of them. ``parameters``:
    those of the whole, as base_model. Raises UsageError.
    """
    definition = method_of(MERGEKIT, method)
    if not slices:
        raise UsageError("a stack needs at least one slice")
    check_dtype(dtype)
    whole = {name: value for name, value in definition.check(parameters, draws=True).items() if name in OF_THE_WHOLE}
    checked_slices = tuple(_slice(definition, base, each, whole) for each in slices)
    skills = sorted({model.model for each in checked_slices for model in each.models} - {base})
    terms = tuple(RecipeTerm(skill, 1.0) for skill in skills)
    return Recipe(method, base, terms, whole, None, dtype, files, semantics=MERGEKIT, slices=checked_slices)


def _slice(method: Method, base: str, given: LayerSlice, whole: Mapping[str, Setting]) -> LayerSlice:
    if isinstance(given.layers, bool) or not isinstance(given.layers, int) or given.layers < 1:
        raise UsageError(f"a slice of {given.layers!r} layers is none")
    shared = method.check({**whole, **given.parameters}, draws=True)
    models = []
    for model in given.models:
        term = _term(method, base, model.model, Chosen(model.weight, model.parameters), shared, frozenset())
        if isinstance(model.first, bool) or not isinstance(model.first, int) or model.first < 0:
            raise UsageError(f"{model.model} has no layer {model.first!r}")
        models.append(SliceModel(model.model, model.first, term.weight, term.parameters))
    role = shared.get("base_model", "none")
    if role == "base":
        raise UsageError("of stacked layers base_model is none, or the first model of every slice")
    weights = [model.weight for model in models]
    method.check_skills(weights[1:] if role == "first" else weights)
    own = {name: value for name, value in shared.items() if name not in OF_THE_WHOLE}
    return LayerSlice(given.layers, tuple(models), own)


def check_dtype(dtype: str | None) -> None:
    """Raise UsageError for an output dtype that there is not; None is the base's own."""
    if dtype is not None and dtype not in MERGEABLE:
        raise UsageError(f"unknown output dtype {dtype!r}", hint=f"choose one of {', '.join(sorted(MERGEABLE))}")


def check_sum(method: str, weights: Sequence[float], *, can_choose: bool, where: str = "") -> float:
    """Σ wₖ, rounded once (the built-in sum rounds differently in different versions of Python).

    Raises UsageError where the sum is zero but for rounding, as that of 0.1, 0.2 and −0.3 is.
    """
    total = math.fsum(weights)
    if abs(total) <= 1e-12 * math.fsum(map(abs, weights)):
        raise UsageError(
            f"{method}: the weights {where}add up to zero, so they cannot be normalized",
            hint="choose other weights" + (", or set normalize to false" if can_choose else ""),
        )
    return total


def _refuse_uneven_trimming(parameters: Mapping[str, Setting], terms: Sequence[RecipeTerm]) -> None:
    densities = [each.get("density", 0.0) for each in (parameters, *(term.parameters for term in terms))]
    if parameters.get("trim") == "model" and any(map(varies, densities)):
        raise UsageError(
            "density differs from tensor to tensor, and trim=model finds one cutoff for all of them",
            hint="set trim=tensor",
        )


def _term(
    method: Method,
    base: str,
    skill: str,
    chosen: Chosen | float,
    shared: Mapping[str, Setting],
    stored_sparse: frozenset[str],
) -> RecipeTerm:
    given = chosen if isinstance(chosen, Chosen) else Chosen(chosen)
    weight = checked(given.weight, lambda value: _weight(skill, value), f"the weight of {skill}")
    own = method.check_each(given.parameters, skill, draws=skill not in stored_sparse)
    own = {name: value for name, value in own.items() if value != shared.get(name)}  # said once is said enough
    method.agree({**shared, **own})
    return RecipeTerm(skill, weight, own, None if given.base == base else given.base)


def _weight(skill: str, weight: object) -> float:
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not abs(weight) <= MAX_WEIGHT:
        raise UsageError(f"weight {weight!r} of {skill} is not a number of at most {MAX_WEIGHT:g}")
    return float(weight) + 0.0  # −0.0 and 0.0 have one spelling in canonical JSON, so they must be one weight

"""A policy compared with a merge: what is not as it asks, each with the way by which it comes in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from registry.licences.spdx import UNSTATED, Expression, satisfied, understood
from registry.policies.policy import Licences, Methods, Policy, Required, Selector, Threshold, Twin, Versions, covered


@dataclass(frozen=True)
class Fact:
    """What is known of a version that goes into a result. ``twins``: what has the same content, itself included."""

    id: str
    kind: str
    digest: str
    licence: str | None
    source: str | None
    training: Mapping[str, Mapping[str, Any]]
    twins: tuple[Twin, ...]
    path: tuple[str, ...]  # by which it comes in, from step to step
    way: str  # the same in words
    as_skill: bool  # whether more of it comes in than a head
    method: str | None = None  # of a merge

    def fits(self, selector: Selector) -> bool:
        """Whether a selector means it."""
        return selector.fits(self.digest, self.twins)


@dataclass(frozen=True)
class Score:
    """The newest score of a metric on a data set, and the number that it is recorded under."""

    value: float
    number: int


@dataclass(frozen=True)
class Case:
    """What is judged: everything that goes in, and of a merge that could be resolved (``whole``) what else is known.

    ``method``: of what no merge names, else a merge among the facts has it. ``weights``: of the recipe's skills by
    digest, the lowest where they vary, None where each slice has its own. ``scores``: by metric and data set.
    """

    facts: tuple[Fact, ...]
    whole: bool = False
    method: str | None = None
    base: Fact | None = None
    weights: Mapping[str, float | None] = field(default_factory=dict)
    scores: Mapping[tuple[str, str], Score] = field(default_factory=dict)


@dataclass(frozen=True)
class Violation:
    """What is not as a policy asks: by which rule of which policy, of what, and the way by which it comes in.

    ``found``: what is there instead of what is ``allowed``, or as one of what is ``forbidden``, in the policy's words.
    """

    rule: str
    subject: str
    what: str
    found: Any = None
    allowed: Any = None
    forbidden: Any = None
    path: tuple[str, ...] = ()
    way: str | None = None
    policy: str = ""

    def __str__(self) -> str:
        return f"{self.policy}, {self.rule}: {self.what}" + (f": {self.way}" if self.way else "")

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


Found = Iterator[Violation]


def violations(policy: Policy, case: Case) -> list[Violation]:
    """Everything in which a merge is not as a policy asks, in the order of the policy's parts."""
    return [replace(each, policy=policy.name) for each in _found(policy, case)]


def _found(policy: Policy, case: Case) -> Found:
    bases = [fact for fact in case.facts if fact.kind == "base"]
    skills = [fact for fact in case.facts if fact.kind == "skill"]
    if policy.licences is not None:
        for fact in (*bases, *skills):
            yield from _licence(policy.licences, fact)
    for word, asked, facts in (("bases", policy.bases, bases), ("skills", policy.skills, skills)):
        for fact in facts:
            yield from _version(word, asked, fact)
    if case.whole:
        for required in policy.required:
            yield from _required(required, case, skills)
    yield from _methods(policy.methods, case)
    if case.whole:
        for threshold in policy.evaluations:
            yield from _threshold(threshold, case.scores.get((threshold.metric, threshold.dataset)))


def _of(fact: Fact, rule: str, what: str, **told: Any) -> Violation:
    return Violation(rule, fact.id, what, path=fact.path, way=fact.way, **told)


def _licence(asked: Licences, fact: Fact) -> Found:
    stated = understood(fact.licence or "")
    if stated == UNSTATED:
        if not asked.unstated:
            yield _of(fact, "licences.unstated", f"{fact.id} states no licence")
    elif not satisfied(stated, asked.accepts):
        rule = "licences.forbidden" if _forbids(asked, stated) else "licences.allowed"
        why = "forbidden" if rule == "licences.forbidden" else "not allowed"
        what = f"{fact.id} comes under {stated}, which is {why}"
        yield _of(fact, rule, what, found=str(stated), allowed=asked.allowed, forbidden=asked.forbidden)


def _forbids(asked: Licences, stated: Expression) -> bool:
    """Whether it is the forbidden licences that keep it out, and not just that others are allowed."""
    return not satisfied(stated, lambda item: not covered(asked.forbidden, item))


def _version(word: str, asked: Versions, fact: Fact) -> Found:
    if asked.allowed is not None and not any(fact.fits(each) for each in asked.allowed):
        allowed = [each.text for each in asked.allowed]
        what = f"{fact.id} is none of {', '.join(allowed) or 'what is allowed, which is nothing'}"
        yield _of(fact, f"{word}.allowed", what, found=fact.id, allowed=allowed)
    for each in asked.forbidden:
        if fact.fits(each):
            what = f"{fact.id} is forbidden" + _by(each, fact)
            yield _of(fact, f"{word}.forbidden", what, found=fact.id, forbidden=[each.text])
    for key, pattern in asked.metadata.items():
        value = _stated(fact, key)
        rule, allowed = f"{word}.metadata", [f"{key}: {pattern}"]
        if value is None:
            yield _of(fact, rule, f"{fact.id} states no {key}", allowed=allowed)
        elif not any(fnmatchcase(each, pattern) for each in value):
            what = f"the {key} of {fact.id} is {', '.join(value)}, not {pattern}"
            yield _of(fact, rule, what, found=value, allowed=allowed)


def _by(selector: Selector, fact: Fact) -> str:
    return f" as {selector.text}" if selector.text not in (fact.id, fact.id.partition("@")[0]) else ""


def _stated(fact: Fact, key: str) -> list[str] | None:
    """What a version states by a key, as texts; None where it states nothing."""
    origin, _, name = key.partition(".")
    value: Any = fact.training.get(origin, {}).get(name) if name else vars(fact)[key]
    return None if value in (None, "", []) else [str(each) for each in (value if isinstance(value, list) else [value])]


def _required(asked: Required, case: Case, skills: list[Fact]) -> Found:
    if asked.base is not None and (case.base is None or not case.base.fits(asked.base)):
        return
    there = [fact for fact in skills if fact.as_skill and fact.fits(asked.skill)]
    terms = [(fact, case.weights[fact.digest]) for fact in there if fact.digest in case.weights]
    rule, allowed = "skills.required", {"at_least": asked.at_least}
    if not there:
        yield Violation(rule, asked.skill.text, f"{asked.skill.text} is not in it", allowed=allowed)
    elif terms and not any(_weighs(asked, weight) for _, weight in terms):
        fact, weight = terms[0]
        least = "more than 0" if asked.at_least is None else f"at least {asked.at_least:g}"
        told = "not known" if weight is None else f"{weight:g}"
        what = f"the weight of {fact.id} is {told}, and should be {least}"
        yield _of(fact, rule, what, found=weight, allowed=allowed)
    elif not terms and asked.at_least is not None:
        what = f"{there[0].id} comes in through others, without a weight of its own"
        yield _of(there[0], rule, what, allowed=allowed)


def _weighs(asked: Required, weight: float | None) -> bool:
    if weight is None:  # of layers that are stacked
        return asked.at_least is None
    return weight > 0 if asked.at_least is None else weight >= asked.at_least


def _methods(asked: Methods, case: Case) -> Found:
    own = [(case.method, None)] if case.method is not None else []
    for name, fact in (*own, *((fact.method, fact) for fact in case.facts if fact.method is not None)):
        subject = fact.id if fact is not None else name
        way: dict[str, Any] = {"path": fact.path, "way": fact.way} if fact is not None else {}
        if asked.allowed is not None and not covered(asked.allowed, name):
            what = f"{name} is none of {', '.join(asked.allowed)}"
            yield Violation("methods.allowed", subject, what, name, asked.allowed, **way)
        if covered(asked.forbidden, name):
            what = f"{name} is forbidden"
            yield Violation("methods.forbidden", subject, what, name, forbidden=asked.forbidden, **way)


def _threshold(asked: Threshold, score: Score | None) -> Found:
    subject = f"{asked.metric} on {asked.dataset}"
    allowed = {"at_least": asked.at_least, "at_most": asked.at_most}
    if score is None:
        yield Violation("evaluations", subject, f"{subject} is not on record", allowed=allowed)
        return
    for limit, past, how in (
        (asked.at_least, asked.at_least is not None and score.value < asked.at_least, "below"),
        (asked.at_most, asked.at_most is not None and score.value > asked.at_most, "above"),
    ):
        if past:
            what = f"{subject} is {score.value:g}, {how} {limit:g} (evaluation {score.number})"
            yield Violation("evaluations", subject, what, score.value, allowed)

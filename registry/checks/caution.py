"""What a check warns of: skills that work against each other, drown each other out, or do not bear dropping.

None of it keeps a merge from being made. The limits stand here and in docs/check.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from merging.methods import Method
from merging.passes.interference import Interference, Overlap
from merging.settings import Setting
from registry.checks.comparison import pairs
from registry.records.tables import Delta, ModelVersion

OPPOSED = -0.1
"""A cosine over the whole model below which two skills pull apart; unrelated ones are within a few hundredths of 0."""
OPPOSED_LAYER = -0.3
"""The same of one layer alone."""
DISAGREED = 0.4
"""Share of equal signs below which two skills undo each other; unrelated ones have 0.5."""
ENOUGH = 1000
"""Elements that two skills must both change before their signs are worth a warning."""
DWARFED = 5.0
"""A norm so many times that of every other skill: it decides nearly alone."""
_CERTAIN = 2.0  # standard errors that a cosine must lie beyond its limit
_DROPPING = ("drop_rate",)  # parameters of methods that drop values of skills which were stored whole

Caution = dict[str, object]


def cautions(
    found: Interference | None,
    skills: Sequence[ModelVersion],
    deltas: Mapping[int, Delta],
    method: Method,
    parameters: Mapping[str, Setting],
) -> list[Caution]:
    """{kind, message, skills} of each warning; ``skills`` in the recipe's order, ``deltas`` by version."""
    warned = [*_dropped(skills, deltas, method), *_untrimmed(skills, deltas, method, parameters)]
    if found is not None:
        names = [skill.reference for skill in skills]
        warned += [*_silent(found.whole, names), *_opposed(found, names), *_disagreed(found.whole, names)]
        warned += _dwarfed(found.whole, names)
    return warned


def _dropped(skills: Sequence[ModelVersion], deltas: Mapping[int, Delta], method: Method) -> Iterator[Caution]:
    """Skills whose values are too large for the dropping that was done, or that this method does."""
    drops = any(parameter.name in _DROPPING for parameter in method.parameters)
    for skill in skills:
        delta = deltas[skill.id]
        advice = delta.statistics.get("advice", {})
        whole = not delta.drop_rate and delta.encoding != "magnitude"
        if advice.get("verdict") in ("caution", "unsuitable") and (delta.drop_rate or (drops and whole)):
            yield _caution("dare", f"{skill.reference}: {advice['sentence']}", skill.reference)


def _untrimmed(
    skills: Sequence[ModelVersion], deltas: Mapping[int, Delta], method: Method, parameters: Mapping[str, Setting]
) -> Iterator[Caution]:
    """Skills of which no more is left than trimming would keep."""
    density = parameters.get("density")
    if not method.fused.trims or not isinstance(density, int | float):
        return
    for skill in skills:
        left = 1 - (deltas[skill.id].drop_rate or 0.0)
        if left < 1 and left <= density:
            yield _caution(
                "trim",
                f"{skill.reference}: at density {density:g} {method.name} trims nothing of it, as only {left:.3g} of "
                "its values were kept when it was registered",
                skill.reference,
            )


def _silent(whole: Overlap, names: Sequence[str]) -> Iterator[Caution]:
    for place, name in enumerate(names):
        if not whole.norm(place):
            yield _caution("silent", f"{name} adds nothing: its weighted delta is zero in every tensor", name)


def _opposed(found: Interference, names: Sequence[str]) -> Iterator[Caution]:
    for one, other in pairs(len(names)):
        if (cosine := _below(found.whole, one, other, OPPOSED)) is not None:
            yield _caution(
                "opposed",
                f"{names[one]} and {names[other]} pull apart: cosine {cosine:.2f} over the whole model",
                names[one],
                names[other],
            )
            continue
        layers = {label: _below(group, one, other, OPPOSED_LAYER) for label, group in found.groups}
        apart = {label: cosine for label, cosine in layers.items() if cosine is not None}
        if apart:
            worst = min(apart, key=lambda label: apart[label])
            more = f" and {len(apart) - 1} more" if len(apart) > 1 else ""
            yield _caution(
                "opposed",
                f"{names[one]} and {names[other]} pull apart in {worst}{more}: cosine {apart[worst]:.2f}",
                names[one],
                names[other],
            )


def _below(group: Overlap, one: int, other: int, limit: float) -> float | None:
    """The cosine, where it is certainly below the limit."""
    cosine = group.cosine(one, other)
    certain = cosine is not None and cosine + _CERTAIN * group.error(one, other) < limit
    return cosine if certain else None


def _disagreed(whole: Overlap, names: Sequence[str]) -> Iterator[Caution]:
    for one, other in pairs(len(names)):
        share = whole.agreement(one, other)
        if share is not None and share < DISAGREED and int(whole.both[one, other]) >= ENOUGH:
            yield _caution(
                "signs",
                f"{names[one]} and {names[other]} both change {whole.overlap(one, other):.1%} of the model, "
                f"and only {share:.0%} of that in the same direction",
                names[one],
                names[other],
            )


def _dwarfed(whole: Overlap, names: Sequence[str]) -> Iterator[Caution]:
    norms = sorted(((whole.norm(place), name) for place, name in enumerate(names)), reverse=True)
    if len(norms) < 2 or not norms[1][0]:
        return
    (largest, name), (second, _) = norms[:2]
    if largest > DWARFED * second:
        times = f"is {largest / second:.0f} times the next largest"
        yield _caution("dwarfed", f"{name} outweighs the others: its weighted norm {times}", name)


def _caution(kind: str, message: str, *skills: str) -> Caution:
    return {"kind": kind, "message": message, "skills": list(skills)}

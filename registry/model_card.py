"""The model card of a published folder: README.md in the Hub's conventions.

The metadata is that of https://github.com/huggingface/hub-docs/blob/main/modelcard.md. What inputs say of themselves is
taken over by the rules of ``inherited``; the manifest does not depend on any of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from merging.mergekit import VERSION
from merging.recipes.semantics import PAPER
from merging.setting_text import spelled
from registry import inherited
from registry.adapter_card import adapter_lines
from registry.hub import hub_place
from registry.licences.combined import combined, hub_metadata
from registry.publishing import Sources
from registry.records.tables import ModelVersion
from registry.resolved import ResolvedMerge
from registry.scores import model_index
from registry.tokens.tokenizers import vocabulary_lines

_PIPELINE = "modules.json"  # of sentence-transformers
_LICENCE_FILES = ("LICENSE", "LICENCE", "COPYING", "USE_POLICY")


def model_card(sources: Sources, document: Mapping[str, Any]) -> str:
    """Metadata that a machine reads, then what a person wants to know. The same inputs give the same text."""
    import yaml

    resolved = sources.resolved
    licences = combined(sources.lineage.to_dict(), [version.reference for version in resolved.roots])
    metadata = yaml.safe_dump(_metadata(sources, document, licences), sort_keys=False, allow_unicode=True, width=120)
    return "\n".join([f"---\n{metadata}---", "", *_body(sources, document, licences)]) + "\n"


def _metadata(sources: Sources, document: Mapping[str, Any], licences: dict[str, Any]) -> dict[str, Any]:
    """What the Hub reads, without what is not known."""
    resolved, trainings = sources.resolved, list(sources.training.values())
    adapter = "adapter" in document
    known = _repositories((resolved.base,) if adapter else resolved.inputs)
    chosen = resolved.task or resolved.head
    index = model_index(_title(resolved), sources.evaluations)
    found = {
        "library_name": _library(document),
        "base_model": known,
        "base_model_relation": ("adapter" if adapter else "merge") if known else None,
        "pipeline_tag": inherited.task(trainings, sources.training.get(chosen.reference) if chosen else None),
        "language": inherited.languages(trainings),
        "datasets": inherited.datasets(trainings),
        "tags": [*(["lora"] if adapter else []), "merge", "mergestore", resolved.recipe.method],
        **_licence(document, licences, trainings),
        "metrics": sorted({score["metric"] for score in sources.evaluations}),
        "model-index": index,
    }
    return {name: value for name, value in found.items() if value}


def _library(document: Mapping[str, Any]) -> str:
    if "adapter" in document:
        return "peft"
    return "sentence-transformers" if _PIPELINE in document["files"] else "transformers"


def _licence(
    document: Mapping[str, Any], licences: dict[str, Any], trainings: list[inherited.Training]
) -> dict[str, str]:
    """The licence as the Hub names it; for one that it has no name for, where its text is, if one alone was stated."""
    found = hub_metadata(licences)
    if found.get("license") != "other" or len(licences["stated"]) != 1:
        return found
    files = [name for name in sorted(document["files"]) if name.startswith(_LICENCE_FILES)]
    link = inherited.licence_link(trainings) or (files[0] if files else None)
    return found | ({"license_link": link} if link else {})


def _title(resolved: ResolvedMerge) -> str:
    return resolved.merge.name if resolved.merge else resolved.expression


def _parameters(resolved: ResolvedMerge) -> list[str]:
    """The parameters of the recipe, and after them those that one model has for itself."""
    names = {version.digest: version.reference for version in resolved.inputs}
    own = [(f"{names[model.skill]}: ", model.parameters) for model in resolved.recipe.models]
    levels = [("", resolved.recipe.parameters), *own]
    return [f"`{of}{name}={spelled(value)}`" for of, level in levels for name, value in level.items()]


def _body(sources: Sources, document: Mapping[str, Any], licences: Mapping[str, Any]) -> list[str]:
    resolved = sources.resolved
    method = resolved.recipe.definition
    title = _title(resolved)
    lines = [f"# {title}, task {resolved.task.name}" if resolved.task else f"# {title}", ""]
    count = len(resolved.skills)
    skills = "one skill" if count == 1 else f"{count} skills"
    what = "A LoRA adapter of a merge" if "adapter" in document else "A merge"
    lines += [f"{what} of {skills} of `{resolved.base.reference}`, made by mergestore:", ""]
    lines += [f"    {resolved.expression}", ""]
    lines += [f"Method: `{method.name}`, {method.summary}: {method.formula} ({method.source})", ""]
    if resolved.recipe.semantics != PAPER:
        lines += [f"Semantics: `{resolved.recipe.semantics}`, the arithmetic of mergekit {VERSION}", ""]
    if parameters := _parameters(resolved):
        lines += ["Parameters: " + ", ".join(parameters), ""]
    lines += ["| input | weight | encoding | drop rate | seed | licence | digest |", "|---|---|---|---|---|---|---|"]
    base = resolved.base
    base_term = resolved.recipe.base_term
    own_weight = "" if base_term is None else f" {spelled(base_term.weight)}"
    lines.append(f"| base `{base.reference}` |{own_weight} | | | | {_cell(base.licence)} | `{base.digest}` |")
    for skill in document["skills"]:
        rate = "" if skill["drop_rate"] is None else f"{skill['drop_rate']:.4g}"
        seed = "" if skill["seed"] is None else skill["seed"]
        weight = "by slice" if skill["weight"] is None else spelled(skill["weight"])
        density = "" if skill["density"] is None else f", density {skill['density']:g}"
        lines.append(
            f"| skill `{skill['name']}@{skill['version']}` | {weight} | {skill['encoding']}{density} "
            f"| {rate} | {seed} | {_cell(skill['licence'])} | `{skill['digest']}` |"
        )
    lines += ["", f"- recipe digest: `{document['recipe_digest']}`", f"- output digest: `{document['output_digest']}`"]
    if "adapter" in document:
        lines += adapter_lines(document["adapter"])
    if resolved.head:
        lines.append(f"- head (tensors that the base lacks): from `{resolved.head.reference}`")
    if resolved.task:
        lines.append(f"- task (the skill whose model it is): `{resolved.task.reference}`")
    lines += vocabulary_lines(resolved.recipe, resolved.base, resolved.skills)
    if licences["unknown"]:
        lines.append(f"- licence not stated for: {', '.join(licences['unknown'])}")
    if licences["stated"]:
        lines.append(f"- licences of all that went in, together: `{licences['expression']}` ({licences['note']})")
    for score in sources.evaluations:
        lines.append(f"- {score['metric']} on {score['dataset']}: {score['value']:g}")
    lines += ["", "The whole recipe:", "", "```json", json.dumps(document["recipe"], indent=2, sort_keys=True), "```"]
    return lines


def _repositories(versions: Iterable[ModelVersion]) -> list[str]:
    """Those that came from the Hub, by their names there: another model may have the name that one has only here."""
    places = (hub_place(version.source) for version in versions)
    return list(dict.fromkeys(place[0] for place in places if place))


def _cell(licence: str | None) -> str:
    """A licence in a table, whatever earlier stores took for one."""
    return " ".join(licence.replace("|", "/").split()) if licence else "not stated"

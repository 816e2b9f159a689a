"""What MLflow is told about one materialization, as plain values: no MLflow in here.

``describe`` turns an outbox payload into a ``Record``: params, metrics, tags, files and models, already cut
to the lengths a tracking server accepts. The whole of a value that was cut stands in ``parameters.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry.made_by import told_graph
from registry.provenance.lineage_page import lineage_markdown
from storage.digests import canonical_json

MATERIALIZATION = "mergestore.materialization_id"  # the tag that makes delivering idempotent
KIND, DIGEST, NAME, VERSION = (f"mergestore.{word}" for word in ("kind", "digest", "name", "version"))
STORE, RECIPE, OUTPUT = (f"mergestore.{word}" for word in ("store", "recipe_digest", "output_digest"))
MERGE_NAME, MERGE_VERSION = "mergestore.merge.name", "mergestore.merge.version"

PARAM_LENGTH = 500  # MLflow 3 takes 6000; hosted servers took 500 for long, and a table cell shows less
TAG_LENGTH = 5000  # MLflow 3 takes 8000, hosted servers 5000
RUN_NAME_LENGTH = 100


@dataclass(frozen=True)
class ModelFacts:
    """One model as MLflow sees it: an external LoggedModel, whose bytes stay in the store."""

    name: str
    model_type: str
    tags: Mapping[str, str]
    params: Mapping[str, str]


@dataclass(frozen=True)
class RegisteredFacts:
    """The registered model and the version that a named merge gets.

    ``source``: where MLflow finds the files, by a scheme of ours; None of records that older versions left behind.
    """

    name: str
    description: str
    model_tags: Mapping[str, str]
    tags: Mapping[str, str]
    source: str | None


@dataclass(frozen=True)
class Record:
    """Everything one delivery writes. Times are milliseconds since the epoch; ``files`` are texts by name."""

    materialization_id: str
    run_name: str
    started: int
    finished: int
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: Mapping[str, str]
    inputs: tuple[ModelFacts, ...]
    output: ModelFacts
    registered: RegisteredFacts | None


def describe(payload: Mapping[str, Any], page: str | None = None) -> Record:
    """The record of one outbox payload of kind ``materialization``; ``page`` is its audit, as HTML."""
    params = _params(payload)
    return Record(
        materialization_id=payload["materialization_id"],
        run_name=shorten(_title(payload), RUN_NAME_LENGTH),
        started=_milliseconds(payload["started_at"]),
        finished=_milliseconds(payload["finished_at"]),
        params={name: _param(value) for name, value in params.items()},
        metrics={name: float(value) for name, value in payload["metrics"].items() if value is not None},
        tags=_run_tags(payload),
        files=_files(payload, params) | ({"audit.html": page} if page else {}),
        inputs=_inputs(payload),
        output=_output(payload),
        registered=_registered(payload),
    )


def shorten(text: str, length: int, rest: str = "…") -> str:
    """``text``, or its beginning and ``rest`` where it is longer than ``length`` characters."""
    return text if len(text) <= length else text[: length - len(rest)] + rest


def registered_name(merge: str) -> str:
    """The registered model's name of a merge: MLflow refuses ``/``, and ``~`` occurs in none of our names."""
    return merge.replace("/", "~")


def _param(value: str) -> str:
    return shorten(value, PARAM_LENGTH, f"… ({len(value)} characters: see parameters.json)")


def _tag(value: str, where: str) -> str:
    return shorten(value, TAG_LENGTH, f"…\n\n(cut: the whole of it is in the artifact {where})")


def _title(payload: Mapping[str, Any]) -> str:
    merge = payload["merge"]
    return f"{merge['name']}@{merge['version']}" if merge else str(payload["expression"])


def _milliseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def _stated(facts: Mapping[str, Any]) -> dict[str, str]:
    """The facts that are known, as text; JSON spells what is not text."""
    return {name: _text(value) for name, value in facts.items() if value is not None}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _params(payload: Mapping[str, Any]) -> dict[str, str]:
    base = payload["base"]
    facts = {
        "method": payload["method"],
        "semantics": payload.get("semantics"),  # not in what older versions left in the outbox
        "expression": payload["expression"],
        "merge": _title(payload) if payload["merge"] else None,
        "recipe_digest": payload["recipe_digest"],
        "output_digest": payload["output_digest"],
        "base": f"{base['name']}@{base['version']}",
        "base.digest": base["digest"],
        "skills": len(payload["skills"]),
        "dtype": payload["dtype"] or "as the base",
        "task": _task(payload),
        "vocabulary": payload["recipe"].get("vocabulary", {}).get("source"),
        "device": payload["device"],
        "engine": payload["engine"],
    }
    facts |= {f"parameter.{name}": value for name, value in payload["parameters"].items()}
    facts |= {f"adapter.{name}": value for name, value in payload["recipe"].get("adapter", {}).items()}
    facts |= {f"version.{name}": value for name, value in payload["versions"].items()}
    for skill in payload["skills"]:
        facts |= _skill_params(skill)
    return _stated(facts)


def _skill_params(skill: Mapping[str, Any]) -> dict[str, Any]:
    words = ("weight", "encoding", "drop_rate", "seed", "density", "trim", "digest")
    return {f"skill.{skill['name']}.v{skill['version']}.{word}": skill.get(word) for word in words}


def _run_tags(payload: Mapping[str, Any]) -> dict[str, str]:
    return _stated(
        {
            MATERIALIZATION: payload["materialization_id"],
            "mergestore.expression": _tag(payload["expression"], "parameters.json"),
            "mergestore.path": payload.get("path"),
            "mergestore.licences": _licences(payload),
            **_digests(payload),
            **_merge_tags(payload),
            "mlflow.user": payload.get("actor"),
            "mlflow.source.name": "mergestore",
            "mlflow.source.type": "LOCAL",
            "mlflow.note.content": _tag(_note(payload), "README.md"),
        }
    )


def _note(payload: Mapping[str, Any]) -> str:
    """What the run's page says at first: Markdown, and nothing in it too wide for a column, as digests are."""
    base, skills = payload["base"], payload["skills"]
    lines = [f"`{payload['expression']}`, by `{payload['method']}`:", ""]
    lines.append(f"- base `{base['name']}@{base['version']}`, {base.get('licence') or 'licence unknown'}")
    for skill in skills:
        weight = "" if skill["weight"] is None else f"{_text(skill['weight'])} × "
        licence = skill.get("licence") or "licence unknown"
        lines.append(f"- {weight}skill `{skill['name']}@{skill['version']}`, {licence}")
    lines += ["", "Among the artifacts: `audit.html`, the lineage with people and times; `README.md`, the model card."]
    return "\n".join(lines) + "\n"


def _digests(payload: Mapping[str, Any]) -> dict[str, str]:
    """The tags by which a record is found again, the same on run, output model and registered version."""
    return {
        RECIPE: payload["recipe_digest"],
        OUTPUT: payload["output_digest"],
        "mergestore.base_digest": payload["base"]["digest"],
    } | ({STORE: payload["store"]} if "store" in payload else {})


def _merge_tags(payload: Mapping[str, Any]) -> dict[str, Any]:
    merge = payload["merge"] or {}
    return {MERGE_NAME: merge.get("name"), MERGE_VERSION: merge.get("version")}


def _licences(payload: Mapping[str, Any]) -> str | None:
    stated = {model.get("licence") for model in (payload["base"], *payload["skills"])}
    return ", ".join(sorted(licence for licence in stated if licence)) or None


def _files(payload: Mapping[str, Any], params: Mapping[str, str]) -> dict[str, str]:
    return {
        "recipe.json": canonical_json(payload["recipe"]).decode(),  # its SHA-256 is the recipe digest
        "mergestore.json": _json(payload["manifest"]),
        "lineage.json": _json(payload["lineage"]),
        "lineage.md": lineage_markdown(told_graph(payload["lineage"], payload["recipe_digest"], payload["recipe"])),
        "parameters.json": _json(params),
        "README.md": payload["model_card"],
    }


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _inputs(payload: Mapping[str, Any]) -> tuple[ModelFacts, ...]:
    models = [("base", payload["base"]), *(("skill", skill) for skill in payload["skills"])]
    return tuple(_input(kind, model) for kind, model in models)


def _input(kind: str, model: Mapping[str, Any]) -> ModelFacts:
    name, version = model["name"], model["version"]
    tags = {
        KIND: kind,
        DIGEST: model["digest"],
        NAME: name,
        VERSION: version,
        "mergestore.licence": model.get("licence"),
    }
    return ModelFacts(_model_name(name, version), kind, _stated(tags), {})


def _output(payload: Mapping[str, Any]) -> ModelFacts:
    merge = payload["merge"]
    ad_hoc = "merge-" + payload["recipe_digest"].partition(":")[2][:12]
    tags = {
        KIND: "merged model",
        DIGEST: payload["output_digest"],
        MATERIALIZATION: payload["materialization_id"],
        "mergestore.path": payload.get("path"),
        **_digests(payload),
        **_merge_tags(payload),
    }
    params = {name: payload[name] for name in ("method", "dtype", "device", "engine")} | {"task": _task(payload)}
    name = _model_name(merge["name"], merge["version"]) if merge else ad_hoc
    return ModelFacts(name, "merged model", _stated(tags), _stated(params))


def _task(payload: Mapping[str, Any]) -> str | None:
    """The skill whose model it is, where the recipe names one."""
    digest = payload["recipe"].get("task")
    return next((f"{each['name']}@{each['version']}" for each in payload["skills"] if each["digest"] == digest), None)


def _model_name(name: str, version: int) -> str:
    """A LoggedModel's name: MLflow refuses ``/`` and ``.``; the exact name and version are in the tags."""
    return registered_name(name).replace(".", "_") + f"-v{version}"


def _registered(payload: Mapping[str, Any]) -> RegisteredFacts | None:
    merge = payload["merge"]
    if not merge:
        return None
    tags = {MATERIALIZATION: payload["materialization_id"], **_digests(payload), **_merge_tags(payload)}
    expression = shorten(payload["expression"], TAG_LENGTH - 200)
    return RegisteredFacts(
        name=registered_name(merge["name"]),
        description=f"{_title(payload)}: `{expression}`",  # as code: it is Markdown, where * stands for something
        model_tags={MERGE_NAME: merge["name"]} | ({STORE: payload["store"]} if "store" in payload else {}),
        tags=_stated(tags),
        source=f"mergestore://{payload['store']}/{payload['recipe_digest']}" if "store" in payload else None,
    )

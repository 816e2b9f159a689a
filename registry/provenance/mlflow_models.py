"""LoggedModels: what MLflow calls the base, the skills and the merged model, whose bytes stay in the store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from registry.provenance.mlflow_record import DIGEST, KIND, MATERIALIZATION, NAME, VERSION, ModelFacts, Record
from registry.provenance.mlflow_steps import batches, claim, upload

_DIGESTS_PER_QUERY = 50
_EXTERNAL = "mlflow.model.isExternal"  # the model's bytes are not in MLflow


def input_models(client: Any, experiment_id: str, facts: Sequence[ModelFacts]) -> list[str]:
    """Model ids of the base and the skills: one LoggedModel per version, shared by every run that used it."""
    known = _known_inputs(client, experiment_id, facts)
    missing = [model for model in facts if _identity(model.tags) not in known]
    for model in missing:
        _create_model(client, experiment_id, model, None)
    if missing:  # a process beside us may have made the same: all take the oldest
        known = _known_inputs(client, experiment_id, facts)
    for model in facts:
        _make_ready(client, known[_identity(model.tags)])
    return list(dict.fromkeys(known[_identity(model.tags)].model_id for model in facts))


def _known_inputs(client: Any, experiment_id: str, facts: Sequence[ModelFacts]) -> dict[tuple[str, ...], Any]:
    known: dict[tuple[str, ...], Any] = {}
    digests = sorted({model.tags[DIGEST] for model in facts})
    for batch in batches(digests, _DIGESTS_PER_QUERY):
        listed = ", ".join(f"'{digest}'" for digest in batch)
        query = f"tags.`{KIND}` IN ('base', 'skill') AND tags.`{DIGEST}` IN ({listed})"
        for model in _search_models(client, experiment_id, query):
            known.setdefault(_identity(model.tags), model)
    return known


def _identity(tags: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(tags.get(word, "") for word in (KIND, NAME, VERSION, DIGEST))


def _search_models(client: Any, experiment_id: str, query: str) -> list[Any]:
    """All LoggedModels that a query finds, oldest first."""
    page = client.search_logged_models([experiment_id], query)
    found = list(page)
    while page.token:
        page = client.search_logged_models([experiment_id], query, page_token=page.token)
        found += page
    return sorted(found, key=lambda model: (model.creation_timestamp, model.model_id))


def output_model(client: Any, experiment_id: str, run: Any, record: Record) -> Any:
    """The LoggedModel that this run made."""
    logged = {output.model_id for output in outputs(run)}
    query = f"tags.`{MATERIALIZATION}` = '{record.materialization_id}'"

    def find() -> list[Any]:
        models = _search_models(client, experiment_id, query)
        ours = [model for model in models if model.source_run_id == run.info.run_id]
        return sorted(ours, key=lambda model: model.model_id not in logged)

    model = claim(
        find,
        lambda: _create_model(client, experiment_id, record.output, run.info.run_id),
        lambda double: client.delete_logged_model(double.model_id),
    )
    _make_ready(client, model)
    return model


def _create_model(client: Any, experiment_id: str, facts: ModelFacts, run_id: str | None) -> Any:
    return client.create_logged_model(
        experiment_id,
        name=facts.name,
        source_run_id=run_id,
        tags={**facts.tags, _EXTERNAL: "true"},
        params=dict(facts.params),
        model_type=facts.model_type,
    )


def _make_ready(client: Any, model: Any) -> None:
    """Finish an external model: MLflow wants an MLmodel file before it lets a model be registered."""
    if str(model.status) == "READY":
        return
    description = {
        "artifact_path": model.artifact_location,
        "flavors": {},
        "metadata": {_EXTERNAL: True},
        "model_id": model.model_id,
        "model_uuid": model.model_id,
        "run_id": model.source_run_id,
    }
    files = {"MLmodel": json.dumps(description, indent=2) + "\n"}  # JSON is YAML
    upload(files, lambda folder: client.log_model_artifacts(model.model_id, folder))
    client.finalize_logged_model(model.model_id, "READY")


def outputs(run: Any) -> Sequence[Any]:
    """The output models that a run names, as MLflow's entities."""
    return (run.outputs.model_outputs or []) if run.outputs else []

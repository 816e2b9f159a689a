"""The steps that write one record into MLflow, each safe to repeat after a crash at any instruction.

Every step looks for what is there by the materialization's tag, makes what is missing, and the run is
marked FINISHED last: a finished run is a whole record. A tag is written in the same request that creates
what it marks, so nothing of ours can exist without it.

Two processes that deliver the same record at once: whoever creates something looks again afterwards, and
takes it back if it is not alone (``claim``). The later of two always sees both, so no double survives; at
worst both give up, and the next delivery finds a clean place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from registry.provenance.mlflow_models import input_models, output_model, outputs
from registry.provenance.mlflow_record import MATERIALIZATION, OUTPUT, RECIPE, Record
from registry.provenance.mlflow_session import environment, is_database
from registry.provenance.mlflow_steps import batches, claim, unless_it_exists, upload
from storage.errors import EnvironmentFailure

_BATCH = 100  # params per request, by MLflow's limit
_VERSIONS = "mlflow.modelVersions"  # a server links a LoggedModel to its registered versions by this tag


def deliver_record(
    client: Any, record: Record, *, experiment: str, artifacts: Callable[[], str | None], tracking_uri: str
) -> tuple[str, int | None]:
    """Write what is missing of a record; its run id and registered version.

    ``artifacts`` says where a new experiment keeps its files; it is asked only if there is none yet.
    """
    experiment_id = _experiment(client, experiment, artifacts)
    run = _run(client, experiment_id, record)
    if run.info.status != "FINISHED":
        version = _complete(client, experiment_id, run, record, tracking_uri)
        client.set_terminated(run.info.run_id, "FINISHED", end_time=record.finished)
        return run.info.run_id, version
    found = _versions(client, record)
    return run.info.run_id, int(found[0].version) if found else None


def _complete(client: Any, experiment_id: str, run: Any, record: Record, tracking_uri: str) -> int | None:
    run_id = run.info.run_id
    _log_params(client, run, record.params)
    upload(record.files, lambda folder: client.log_artifacts(run_id, folder))
    _log_inputs(client, run, input_models(client, experiment_id, record.inputs))
    model = output_model(client, experiment_id, run, record)
    _log_metrics(client, run_id, model.model_id, record)
    _log_output(client, run, model.model_id)
    return _register(client, run_id, model, record, tracking_uri)


def _experiment(client: Any, name: str, artifacts: Callable[[], str | None]) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        unless_it_exists(lambda: client.create_experiment(name, artifact_location=artifacts()))
        experiment = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage != "active":
        raise EnvironmentFailure(
            f"the MLflow experiment {name!r} (id {experiment.experiment_id}) was deleted",
            hint=f"restore it: mlflow experiments restore --experiment-id {experiment.experiment_id}",
        )
    return str(experiment.experiment_id)


def _run(client: Any, experiment_id: str, record: Record) -> Any:
    def create() -> Any:
        return client.create_run(
            experiment_id, start_time=record.started, tags=dict(record.tags), run_name=record.run_name
        )

    run = claim(lambda: _runs(client, experiment_id, record), create, lambda run: client.delete_run(run.info.run_id))
    return client.get_run(run.info.run_id)  # a search leaves out the inputs and outputs


def _runs(client: Any, experiment_id: str, record: Record) -> list[Any]:
    found = client.search_runs([experiment_id], f"tags.`{MATERIALIZATION}` = '{record.materialization_id}'")
    return sorted(found, key=lambda run: (run.info.status != "FINISHED", -len(run.data.params), run.info.run_id))


def _log_params(client: Any, run: Any, params: Mapping[str, str]) -> None:
    """Log the params the run lacks: a value once logged can never be changed, whoever wrote it."""
    from mlflow.entities import Param

    missing = (Param(name, value) for name, value in params.items() if name not in run.data.params)
    for batch in batches(missing, _BATCH):
        client.log_batch(run.info.run_id, params=batch)


def _log_metrics(client: Any, run_id: str, model_id: str, record: Record) -> None:
    """Log the metrics on the run and on its output model; the same value at the same time counts once."""
    from mlflow.entities import Metric

    metrics = [Metric(name, value, record.finished, 0, model_id=model_id) for name, value in record.metrics.items()]
    client.log_batch(run_id, metrics=metrics)


def _log_inputs(client: Any, run: Any, model_ids: Sequence[str]) -> None:
    from mlflow.entities import LoggedModelInput

    logged = {model.model_id for model in (run.inputs.model_inputs or [])} if run.inputs else set()
    if missing := [LoggedModelInput(model_id) for model_id in model_ids if model_id not in logged]:
        client.log_inputs(run.info.run_id, models=missing)


def _log_output(client: Any, run: Any, model_id: str) -> None:
    from mlflow.entities import LoggedModelOutput

    if model_id not in {output.model_id for output in outputs(run)}:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model_id, step=0)])


def _register(client: Any, run_id: str, model: Any, record: Record, tracking_uri: str) -> int | None:
    facts = record.registered
    if facts is None:
        return None
    unless_it_exists(lambda: client.create_registered_model(facts.name, tags=dict(facts.model_tags)))

    def create() -> Any:
        with environment(**({"MLFLOW_TRACKING_URI": tracking_uri} if is_database(tracking_uri) else {})):
            return client.create_model_version(
                facts.name,
                facts.source or _source(model, tracking_uri),
                run_id=run_id,
                tags=dict(facts.tags),
                description=facts.description,
                await_creation_for=0,
                model_id=model.model_id,
            )

    version = claim(
        lambda: _candidates(client, record),
        create,
        lambda double: client.delete_model_version(facts.name, double.version),
    )
    link = json.dumps([{"name": facts.name, "version": int(version.version)}])
    client.set_logged_model_tags(model.model_id, {_VERSIONS: link})
    return int(version.version)


def _candidates(client: Any, record: Record) -> list[Any]:
    """The version to take, if there is one, and behind it those that this record left beside it."""
    found = _versions(client, record)
    mine = [version for version in found if version.tags[MATERIALIZATION] == record.materialization_id]
    return [*found[:1], *(version for version in mine if version is not found[0])]


def _versions(client: Any, record: Record) -> list[Any]:
    """The registered versions of what was made, lowest first: one, however often the same is made of the same recipe.

    Those that older versions of mergestore registered, which MLflow finds no files of, stay as they are.
    """
    facts = record.registered
    if facts is None:
        return []
    if facts.source is None:
        same = {MATERIALIZATION: record.materialization_id}
    else:
        same = {name: facts.tags[name] for name in (RECIPE, OUTPUT)}
    query = " AND ".join([f"name = '{facts.name}'", *(f"tags.`{name}` = '{value}'" for name, value in same.items())])
    found = [each for each in client.search_model_versions(query) if facts.source in (None, each.source)]
    return sorted(found, key=lambda version: int(version.version))


def _source(model: Any, tracking_uri: str) -> str:
    """``models:/<model id>``, as servers want it.

    A database's registry resolves that at the process's own tracking URI, not at the client's (a known gap
    of MLflow). We point the environment there; a program that chose another URI globally keeps it, and
    its version names the model's folder instead.
    """
    import mlflow

    if is_database(tracking_uri) and mlflow.get_tracking_uri() != tracking_uri:
        return str(model.artifact_location)
    return f"models:/{model.model_id}"

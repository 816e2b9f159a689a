"""Outbox payloads of invented materializations, and what MLflow must hold of each."""

import json
import uuid
from pathlib import Path

from mlflow.entities import ViewType

from storage.digests import blake3_digest, json_digest


def model(name, version=1, **facts):
    """A base or skill nobody has seen before."""
    return {"name": name, "version": version, "digest": blake3_digest(uuid.uuid4().bytes), "licence": "MIT", **facts}


def skill(name, weight=0.5, **facts):
    return model(name, weight=weight, encoding="dare", drop_rate=0.9, seed=7, **facts)


def payload(*, skills=None, base=None, **changes):
    base = base or model("llama")
    skills = [skill("math", 0.6)] if skills is None else skills
    recipe = {"method": "dare_ties", "base": base["digest"], "terms": [[s["digest"], s["weight"]] for s in skills]}
    nodes = [{"id": "base:1", "kind": "base", **base}, *({"id": s["name"], "kind": "skill", **s} for s in skills)]
    return {
        "store": "0123456789abcdef" * 2,
        "materialization_id": str(uuid.uuid4()),
        "recipe_digest": json_digest(recipe),
        "output_digest": blake3_digest(uuid.uuid4().bytes),
        "expression": "llama + 0.6*math",
        "merge": {"name": "assistant-" + uuid.uuid4().hex[:8], "version": 3},
        "recipe": recipe,
        "manifest": {"format": 1, "tensors": 5},
        "lineage": {
            "nodes": nodes,
            "edges": [{"child": s["name"], "parent": "base:1", "role": "base"} for s in skills],
        },
        "base": base,
        "skills": skills,
        "method": "dare_ties",
        "parameters": {"lambda": 1.0, "density": 0.2, "trim": "model"},
        "dtype": None,
        "device": "cpu",
        "engine": "numba",
        "versions": {"mergestore": "0.1.0", "python": "3.11.2", "numpy": "2.4", "numba": "0.68", "torch": None},
        "metrics": {
            "seconds": 1.25,
            "gb_per_second": 0.5,
            "bytes": 5_000_000_000,
            "tensors": 5,
            "density": 0.1,
            "delta_norm": None,
        },
        "path": "/store/cache/assistant",
        "model_card": "# assistant\n\nMerged from llama and math.\n",
        "started_at": "2026-01-02T03:04:05.250000+00:00",
        "finished_at": "2026-01-02T03:04:06.500000+00:00",
        "actor": "ada@example",
        **changes,
    }


def records(client, sent):
    """All that MLflow holds of one materialization: (runs, output models, registered versions)."""
    tag = f"tags.`mergestore.materialization_id` = '{sent['materialization_id']}'"
    experiment = client.get_experiment_by_name("mergestore")
    if experiment is None:
        return [], [], []
    ids = [experiment.experiment_id]
    runs = client.search_runs(ids, tag, run_view_type=ViewType.ACTIVE_ONLY)
    return list(runs), list(client.search_logged_models(ids, tag)), list(client.search_model_versions(tag))


def assert_whole(client, sent, delivered):
    """Exactly one finished run with all its params, metrics, files, inputs, output and version."""
    runs, models, versions = records(client, sent)
    assert [run.info.run_id for run in runs] == [delivered.run_id]
    run = client.get_run(delivered.run_id)
    assert run.info.status == "FINISHED"
    assert sum(name.endswith(".weight") for name in run.data.params) == len(sent["skills"])
    assert {name for name, value in sent["metrics"].items() if value is not None} == set(run.data.metrics)
    assert {file.path for file in client.list_artifacts(delivered.run_id)} == {
        *("recipe.json", "mergestore.json", "lineage.json", "lineage.md", "parameters.json", "README.md")
    }
    assert [model.model_id for model in models] == [output.model_id for output in run.outputs.model_outputs]
    assert [str(model.status) for model in models] == ["READY"]
    assert models[0].source_run_id == delivered.run_id
    assert {metric.key for metric in models[0].metrics} == set(run.data.metrics)
    assert len(models[0].metrics) == len(run.data.metrics)
    inputs = [client.get_logged_model(given.model_id) for given in run.inputs.model_inputs]
    assert sorted(given.tags["mergestore.digest"] for given in inputs) == sorted(
        [sent["base"]["digest"], *(s["digest"] for s in sent["skills"])]
    )
    assert {str(given.status) for given in inputs} == {"READY"}
    if sent["merge"] is None:
        assert (versions, delivered.registered_version) == ([], None)
    else:
        assert [int(version.version) for version in versions] == [delivered.registered_version]
        older = f"models:/{models[0].model_id}"  # of what older versions left in the outbox
        ours = f"mergestore://{sent['store']}/{sent['recipe_digest']}" if "store" in sent else older
        assert versions[0].source == ours
        assert versions[0].run_id == delivered.run_id
        assert json.loads(models[0].tags["mlflow.modelVersions"]) == [
            {"name": versions[0].name, "version": delivered.registered_version}
        ]


def read(client, run_id, path, folder):
    return Path(client.download_artifacts(run_id, path, str(folder))).read_text(encoding="utf-8")
